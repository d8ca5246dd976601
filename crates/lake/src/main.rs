//! The object-storage process: Parquet files of a data lake in and out of a backend. It has no connection to the database:
//! what it is to do comes on its standard input, and what it has to say and the rows go to its standard output.
//!
//! | file | holds |
//! | --- | --- |
//! | `say` | the pipes to and from the backend |
//! | `credentials`, `masked` | what the server's file of credentials says of a URI; messages without secrets |
//! | `store` | the store that a URI names |
//! | `list`, `hive` | which files a URI names; columns in the names of folders |
//! | `watched` | a file whose content may not change while it is read |
//! | `columns` | which column of the table takes which of the file's |
//! | `convert`, `convert_text`, `field`, `numeric`, `moments` | values of files as PostgreSQL's binary COPY has them |
//! | `load` | files into a table |
//! | `rows` | rows of a backend as Arrow arrays |
//! | `output` | files that are seen whole or not at all |
//! | `save` | a query's rows into files |
//! | `error` | errors, in the words in which the backend raises them |

mod columns;
mod convert;
mod convert_text;
mod credentials;
mod error;
mod field;
mod hive;
mod list;
mod load;
mod masked;
mod moments;
mod numeric;
mod output;
mod rows;
mod save;
mod say;
mod store;
mod watched;

use error::{LakeError, Result};
use lake_protocol::message::{other_version, Event, Request, Task, OTHER_VERSION_HINT};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

/// What the panic hook saw, for the error event.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Of the threads that wait for stores; one converts besides.
const THREADS: usize = 2;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().lines().collect::<Vec<_>>().join(" ");
        eprintln!("pg_recommend_lake: {}", masked::masked(&text));
        if let Ok(mut seen) = PANIC.lock() {
            *seen = Some(text);
        }
    }));
    let error = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => {
            LakeError::process(PANIC.lock().map(|seen| seen.clone()).ok().flatten().unwrap_or_default())
        }
    };
    // Errors of writing are ignored: if standard output is closed, nobody is left to be told.
    let _ = say::event(&error.event());
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    let Request { version, task } = say::message()?;
    if let Task::Check = task {
        return say::event(&Event::Checked { version: VERSION.into() });
    }
    if version != VERSION {
        return Err(LakeError::process(other_version(VERSION, &version)).hint(OTHER_VERSION_HINT));
    }
    // Fails only if another has been installed, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| LakeError::process(format!("could not start a thread: {error}")))?;
    let done = match task {
        Task::Load(load) => load::run(load, runtime.handle()),
        Task::Save(save) => save::run(save, runtime.handle()),
        Task::Check => Ok(()),
    };
    // What still waits for a store is given up.
    runtime.shutdown_background();
    done
}
