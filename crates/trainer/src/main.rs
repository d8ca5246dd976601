//! The trainer: reads a spec and an Arrow file, fits the preprocessing, trains the network with libtorch, measures it
//! on held-out rows, and writes the model. It knows nothing of Postgres; all it says goes to standard output as
//! [`model::protocol::Event`] lines.
//!
//! | file | holds |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `rows` | the rows: read from the Arrow file, checked, ordered, split |
//! | `memory` | what may still be allocated |
//! | `leaks` | target leakage: columns that know the outcome |
//! | `prepare` | fits the recipe, encodes rows |
//! | `job` | what every algorithm gets and gives |
//! | `network` | libtorch: logistic regression, multilayer perceptron, deep and cross |
//! | `trees` | gradient-boosted trees |
//! | `popularity` | the smoothed rate of each product as a model |
//! | `blend`, `mix` | networks and trees together; how they add up |
//! | `learn`, `defaults` | one algorithm on the training rows; the parameters that depend on the table |
//! | `choose`, `cut_offs` | trains one algorithm or several, and keeps the best; rolling validation |
//! | `refit` | the same once more on all labelled rows |
//! | `calibrate` | probabilities from logits |
//! | `evaluate`, `baseline` | metrics beside those of past purchases, the check that served scores are the library's |
//! | `importance` | how much the model depends on each column |
//! | `cuda`, `device`, `precision` | NVIDIA's driver and libtorch's CUDA library; the device of a training; TF32, bfloat16 |
//! | `pipeline` | the whole training, step by step |
//! | `check` | what a training would run on |
//! | `convert` | a model in ONNX becomes an artifact |
//! | `training_set` | the rows as a network reads them become a file, for a training elsewhere |
//! | `report`, `error` | the events on standard output; the errors |

mod arguments;
mod baseline;
mod blend;
mod calibrate;
mod check;
mod choose;
mod convert;
mod cuda;
mod cut_offs;
mod defaults;
mod device;
mod error;
mod evaluate;
mod importance;
mod job;
mod leaks;
mod learn;
mod memory;
mod mix;
mod network;
mod pipeline;
mod popularity;
mod precision;
mod prepare;
mod random;
mod refit;
mod report;
mod rows;
mod threads;
mod training_set;
mod trees;

use arguments::Mode;
use error::TrainerError;
use report::Reporter;
use std::os::unix::process::CommandExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

/// What the panic hook saw, for the error event.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// How OpenMP's threads wait for each other. Its default, spinning, makes an epoch up to thirty times longer when
/// other processes want the same cores, as they do on a database server.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";

fn main() -> ExitCode {
    wait_patiently();
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().lines().collect::<Vec<_>>().join(" ");
        eprintln!("pg_recommend_trainer: {text}");
        if let Ok(mut seen) = PANIC.lock() {
            *seen = Some(text);
        }
    }));
    let mut reporter = Reporter::stdout();
    let result = catch_unwind(AssertUnwindSafe(|| match Mode::parse(std::env::args_os().skip(1))? {
        Mode::Train(arguments) => pipeline::run(&arguments, &mut reporter),
        Mode::Check => check::check(&mut reporter),
        Mode::Convert(files) => convert::convert(&files, &mut reporter),
        Mode::Prepare(files) => training_set::prepare(&files, &mut reporter),
    }));
    let error = match result {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => TrainerError::internal(PANIC.lock().map(|s| s.clone()).ok().flatten().unwrap_or_default()),
    };
    // Errors of writing are ignored: if standard output is closed, nobody is left to be told.
    let _ = reporter.send(&error.event());
    ExitCode::FAILURE
}

/// OpenMP reads its settings when it is loaded, before `main`. Therefore, if the variable is not set, the program sets
/// it and executes itself again in the same process. Whoever starts the trainer saves that time by setting the
/// variable.
fn wait_patiently() {
    if std::env::var_os(WAIT_POLICY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Returns only if it fails, and then the training is merely slower.
        let _ = Command::new(program).args(std::env::args_os().skip(1)).env(WAIT_POLICY, "passive").exec();
    }
}
