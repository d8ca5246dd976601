//! The trainer: reads a spec and an Arrow file, fits the preprocessing, trains the network with libtorch, measures it
//! on held-out rows, and writes the model. It knows nothing of Postgres; all it says goes to standard output as
//! [`model::protocol::Event`] lines.
//!
//! | file | holds |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `input` | the Arrow file, its schema checked against the spec |
//! | `column`, `values`, `data` | Arrow arrays into compact columns, labels, event times and hashes |
//! | `hash` | hashes of values and rows, the digest of the data |
//! | `split` | training, validation and test rows |
//! | `prepare` | fits the recipe, encodes rows |
//! | `network`, `part`, `adam`, `train` | libtorch: the network, rows on the device, the optimizer, the loop |
//! | `trees` | gradient-boosted trees |
//! | `popularity` | the baseline |
//! | `evaluate` | calibration, metrics, the check that served scores are libtorch's |
//! | `pipeline` | the whole training, step by step |
//! | `report`, `error` | what is said |

mod adam;
mod arguments;
mod column;
mod data;
mod error;
mod evaluate;
mod hash;
mod input;
mod network;
mod part;
mod pipeline;
mod popularity;
mod prepare;
mod report;
mod split;
mod train;
#[allow(dead_code)]
mod trees;
mod values;

use arguments::Arguments;
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
    let result = catch_unwind(AssertUnwindSafe(|| {
        pipeline::run(&Arguments::parse(std::env::args_os().skip(1))?, &mut reporter)
    }));
    let error = match result {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => TrainerError::internal(PANIC.lock().map(|s| s.clone()).ok().flatten().unwrap_or_default()),
    };
    // Nobody is left to be told when standard output is closed, neither there nor here.
    let _ = reporter.send(&error.event());
    ExitCode::FAILURE
}

/// OpenMP reads its settings when it is loaded, before `main`: where nobody chose, the program starts itself anew, as
/// the same process. Who starts the trainer saves that time by setting the variable.
fn wait_patiently() {
    if std::env::var_os(WAIT_POLICY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Returns only if it fails, and then the training is merely slower.
        let _ = Command::new(program).args(std::env::args_os().skip(1)).env(WAIT_POLICY, "passive").exec();
    }
}
