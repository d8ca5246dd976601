//! Findings about the trainer, from its own answer.

use super::finding::Finding;
use super::server::size;
use crate::error::Error;
use crate::pg::extension::LIBRARY;
use crate::settings::{check_libtorch_path, trainer_path, training_nice, training_threads};
use crate::training::trainer::{reported, silent, unasked, wait_for_any, News, Trainer};
use model::protocol::{other_version, Event, Gpu, Setup, OTHER_VERSION_HINT};
use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// How long one wait for news lasts.
const PATIENCE: Duration = Duration::from_millis(100);
/// The predefined role that may read settings which otherwise only superusers may read (pg_authid.dat).
const PG_READ_ALL_SETTINGS: u32 = 3374;

/// Starts the trainer and asks it what a training would run on. A trainer that fails is one finding.
pub fn findings(limit: Duration) -> Vec<Finding> {
    if let Err(error) = check_libtorch_path() {
        return vec![Finding { item: LIBTORCH, ok: false, detail: error.in_lines() }];
    }
    match ask(limit) {
        Ok(setup) => {
            let mut findings = vec![version(&setup), libtorch(&setup), processors(&setup)];
            findings.extend(gpus(&setup));
            findings
        }
        Err(Error::Interrupted) => {
            pgrx::check_for_interrupts!();
            Vec::new()
        }
        Err(error) => vec![Finding { item: "trainer", ok: false, detail: error.in_lines() }],
    }
}

fn ask(limit: Duration) -> Result<Setup, Error> {
    let began = Instant::now();
    let mut trainer = Trainer::start_check()?;
    loop {
        match trainer.news()? {
            News::Event(event) => return answer(*event),
            News::End => return Err(trainer.cause_of_death()),
            News::None if began.elapsed() >= limit => return Err(silent(limit)),
            News::None => wait_for_any(std::iter::once(&trainer), PATIENCE.min(limit))?,
        }
    }
}

fn answer(event: Event) -> Result<Setup, Error> {
    match event {
        Event::Setup(setup) => Ok(setup),
        Event::Error { cause, message, detail, hint } => Err(reported(cause, message, detail, hint)),
        _ => Err(unasked()),
    }
}

fn version(setup: &Setup) -> Finding {
    const ITEM: &str = "trainer";
    let place = if may_see_paths() { format!(", {}", trainer_path().display()) } else { String::new() };
    match setup.trainer == LIBRARY {
        true => Finding::good(ITEM, format!("{LIBRARY}{place}")),
        false => Finding::bad(
            ITEM,
            format!("{}{place}", other_version(&setup.trainer, LIBRARY)),
            OTHER_VERSION_HINT,
        ),
    }
}

/// Whether the user may read `reco.trainer_path`.
fn may_see_paths() -> bool {
    // SAFETY: this is a look-up of roles, inside a transaction.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(PG_READ_ALL_SETTINGS)) }
}

fn libtorch(setup: &Setup) -> Finding {
    Finding::good(LIBTORCH, format!("{} with {} kernels", setup.libtorch, setup.instructions))
}

fn processors(setup: &Setup) -> Finding {
    const ITEM: &str = "CPU";
    let processors = setup.threads;
    let used = match training_threads() {
        threads if (1..processors).contains(&threads) => format!("{threads} of"),
        _ => "all".into(),
    };
    Finding::good(ITEM, format!("a training uses {used} {processors} processors, {}", niceness()))
}

fn niceness() -> String {
    format!("at nice {}", training_nice())
}

fn gpus(setup: &Setup) -> Vec<Finding> {
    let Some(missing) = &setup.no_gpu else {
        return setup.gpus.iter().enumerate().map(|(index, gpu)| usable_gpu(index, gpu)).collect();
    };
    let hint = setup.hint.as_deref().unwrap_or_default();
    let unusable = |gpu: &Gpu| Finding::bad(GPU, format!("{}: {missing}", described(gpu)), hint);
    match (setup.gpus.as_slice(), &setup.hint) {
        ([], None) => vec![Finding::good(GPU, format!("none, trainings run on the CPU: {missing}"))],
        ([], Some(hint)) => vec![Finding::bad(GPU, missing, hint)],
        (gpus, _) => gpus.iter().map(unusable).collect(),
    }
}

const GPU: &str = "GPU";
const LIBTORCH: &str = "libtorch";

fn usable_gpu(index: usize, gpu: &Gpu) -> Finding {
    let name = format!("cuda:{index} is {}", described(gpu));
    match &gpu.problem {
        None => Finding::good(GPU, name),
        Some(problem) => Finding::bad(
            GPU,
            format!("{name}: {problem}"),
            "libtorch cannot compute on it. Set the training parameter \"device\" to another one.",
        ),
    }
}

fn described(gpu: &Gpu) -> String {
    let free = gpu.free_bytes.map_or(String::new(), |bytes| format!(", {} free", size(bytes)));
    format!("{} with {}{free}", gpu.name, size(gpu.memory_bytes))
}
