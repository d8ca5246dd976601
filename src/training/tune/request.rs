//! The request for a tuning, with its arguments checked.

use super::super::request::{Arguments, Request};
use crate::error::Error;
use crate::settings;
use model::halving::SearchPlan;
use model::search::Space;
use model::trials::{Machine, Trials};
use model::{Algorithm, Params, Task};
use serde_json::{json, Map, Value};
use std::time::{Duration, Instant};

/// The arguments of `reco.tune`, as the caller gave them.
pub struct Asked {
    pub training: Arguments,
    pub search: Option<Value>,
    pub trials: i32,
    /// The time budget in microseconds.
    pub time_budget: Option<i128>,
    pub metric: Option<String>,
    pub params: Value,
    pub parallel: i32,
}

/// A request that was checked, so that the search can start.
pub struct Tuning {
    /// The request for a training, with what all trials have in common.
    pub request: Request,
    pub algorithm: Algorithm,
    pub space: Space,
    pub plan: SearchPlan,
    pub lanes: Trials,
    /// Everything that the result depends on, except the rows and the number of threads.
    pub settings: Value,
    pub trials: u32,
    pub began: Instant,
    pub deadline: Option<Instant>,
}

const MOST_TRIALS: i32 = 10_000;
const MOST_AT_ONCE: i32 = 64;

impl Tuning {
    pub fn new(asked: Asked) -> Result<Self, Error> {
        let began = Instant::now();
        let algorithm = algorithm(&asked.training.algorithm)?;
        let trials = bounded("trials", asked.trials, 1, MOST_TRIALS)?;
        let parallel = bounded("parallel", asked.parallel, 0, MOST_AT_ONCE)?;
        let deadline = asked.time_budget.map(|budget| deadline(began, budget)).transpose()?;
        let fixed = with_metric(asked.params, asked.metric)?;
        let given = settings_of(&asked.training);
        asked.training.check_source_stays()?;
        let training = Arguments { params: Value::Object(fixed.clone()).to_string(), ..asked.training };
        let request = Request::new(training)?;
        let params = &request.spec.params;
        if params.validation_share == 0.0 {
            return Err(Error::InvalidArgument(
                "a tuning needs validation rows".into(),
                Some(
                    "Trials are compared on them: set the training parameter \"validation_share\" above 0."
                        .into(),
                ),
            ));
        }
        let space = Space::new(asked.search, &fixed, params, algorithm)?;
        let plan = SearchPlan::new(trials as u32, longest(params, algorithm));
        let lanes = lanes(&fixed, params, parallel as usize, trials as usize);
        let settings = json!({
            "given": given, "params": fixed, "search": space.json(), "defaults_first": space.defaults_first(),
            "trials": trials,
        });
        let trials = trials as u32;
        Ok(Self { request, algorithm, space, plan, lanes, settings, trials, began, deadline })
    }

    pub fn model(&self) -> &str {
        &self.request.spec.model
    }
}

fn algorithm(name: &str) -> Result<Algorithm, Error> {
    let can_be = |algorithm: &&Algorithm| **algorithm != Algorithm::Popularity;
    let found = Algorithm::TRAINED.iter().filter(can_be).find(|algorithm| algorithm.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = Algorithm::TRAINED.iter().filter(can_be).map(|a| a.name()).collect();
        Error::InvalidArgument(
            format!("algorithm \"{name}\" cannot be tuned"),
            Some(format!("The algorithms that can be are: {}.", names.join(", "))),
        )
    })
}

fn bounded(name: &str, value: i32, least: i32, most: i32) -> Result<i32, Error> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(Error::invalid(format!("{name} is from {least} to {most}, not {value}"))),
    }
}

fn deadline(began: Instant, micros: i128) -> Result<Instant, Error> {
    let budget = u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros);
    budget
        .and_then(|budget| began.checked_add(budget))
        .ok_or_else(|| Error::invalid("time_budget must be longer than nothing, and not without end"))
}

/// The parameters that were given, with the metric among them.
fn with_metric(params: Value, metric: Option<String>) -> Result<Map<String, Value>, Error> {
    let Value::Object(mut fixed) = params else {
        return Err(Error::invalid("params must be a JSON object"));
    };
    if let Some(metric) = metric {
        if fixed.insert("metric".into(), json!(metric)).is_some() {
            return Err(Error::invalid("metric is in params and an argument of its own"));
        }
    }
    Ok(fixed)
}

/// The arguments that decide which columns are read and in which role, besides the source and the parameters.
fn settings_of(training: &Arguments) -> Value {
    json!({"label": training.label, "keys": training.keys, "time_column": training.time_column})
}

/// The number of epochs or trees of the longest training. Nothing is known yet of a label whose task is not given.
fn longest(params: &Params, algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::BoostedTrees => {
            params.trees.unwrap_or(Params::most_trees(params.task.unwrap_or(Task::Binary))) as u32
        }
        _ => params.epochs,
    }
}

/// How the machine is shared by the trials. If `params` names a number of threads, each training gets that many; otherwise
/// the threads of the machine are divided.
fn lanes(fixed: &Map<String, Value>, params: &Params, parallel: usize, trials: usize) -> Trials {
    let cores =
        Some(settings::training_threads()).filter(|threads| *threads > 0).unwrap_or_else(settings::cores);
    let gpus = gpus();
    let each = fixed
        .contains_key("threads")
        .then_some(params.threads.min(settings::cores()))
        .filter(|threads| *threads > 0);
    match each {
        None => Trials::new(Machine { cores, gpus }, &params.device, parallel, trials),
        Some(threads) => {
            let machine = Machine { cores: (cores / threads).max(1), gpus };
            Trials { threads, ..Trials::new(machine, &params.device, parallel, trials) }
        }
    }
}

/// The number of GPUs, which is the number of device files that the driver has made for them.
fn gpus() -> usize {
    let is_gpu = |name: &str| {
        let number = name.strip_prefix("nvidia").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let files = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    files.filter(|file| file.file_name().to_str().is_some_and(is_gpu)).count()
}
