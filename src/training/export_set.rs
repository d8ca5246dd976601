//! The function `reco.export_training_set(…)`: what a network would read of a training's rows, as a file for a training elsewhere.

use super::attempt::PATIENCE;
use super::read::read_source;
use super::request::{Arguments, Request};
use super::temp_file::TempFile;
use super::trainer::{check_version, reported, unasked, wait_for_any, News, Trainer};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::values::{given, LARGEST_VALUE};
use model::bytes::Bytes;
use model::protocol::Event;
use model::Algorithm;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The name that stands for the model in messages.
const NAME: &str = "export_training_set";

/// Declared in sql/training.sql.
#[pg_extern(sql = false)]
fn export_training_set(fcinfo: pg_sys::FunctionCallInfo) -> Vec<u8> {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let exported = arguments(unsafe { &Call::new(fcinfo) }).and_then(export);
    if let Err(Error::Interrupted) = exported {
        pgrx::check_for_interrupts!();
    }
    or_raise(exported)
}

fn arguments(call: &Call) -> Result<Arguments, Error> {
    Ok(Arguments {
        model: NAME.into(),
        source: given(call.oid(0), "source")?,
        label: call.name(1),
        algorithm: given(call.text(2), "algorithm")?,
        params: given(call.json(3, "params")?, "params")?.to_string(),
        keys: call.names(4)?,
        time_column: call.name(5),
        promote: false,
    })
}

fn export(arguments: Arguments) -> Result<Vec<u8>, Error> {
    check_algorithm(&arguments.algorithm)?;
    let request = Request::new(arguments)?;
    request.tell_roles();
    let (data, rows) = Spi::connect(|_| read_source(&request))?;
    say!("{NAME}: {rows} rows of {} read", request.source);
    let spec = TempFile::with_content("what is to be trained", &serde_json::to_vec(&request.spec)?)?;
    let out = TempFile::create("the training set");
    wait(Trainer::start_preparation(&data, &spec, &out)?)?;
    drop(data);
    content(&out)
}

/// Refuses what is no network by its name. A name that nothing has is left to [`Request::new`].
fn check_algorithm(name: &str) -> Result<(), Error> {
    match Algorithm::from_name(name) {
        Some(algorithm) if algorithm.is_network() => Ok(()),
        None if name != "auto" => Ok(()),
        _ => Err(Error::InvalidArgument(
            format!("the algorithm \"{name}\" is not trained elsewhere: it is no network"),
            Some(format!(
                "The networks are: {}. CALL reco.train(…) trains the others here.",
                Algorithm::NETWORKS.map(Algorithm::name).join(", ")
            )),
        )),
    }
}

/// Waits until the training set is written. A larger one than a value can hold is not.
fn wait(mut trainer: Trainer) -> Result<(), Error> {
    let mut is_done = false;
    loop {
        match trainer.news()? {
            News::Event(event) => match *event {
                Event::Started { trainer, .. } => check_version(&trainer)?,
                Event::Data(_) => {}
                Event::Warning { message } => warn!("{message}"),
                Event::Preparing { bytes } => check_size(bytes)?,
                Event::Prepared => is_done = true,
                Event::Error { cause, message, detail, hint } => {
                    return Err(reported(cause, message, detail, hint));
                }
                _ => return Err(unasked()),
            },
            News::None => wait_for_any(std::iter::once(&trainer), PATIENCE)?,
            News::End if is_done => return Ok(()),
            News::End => return Err(trainer.cause_of_death()),
        }
    }
}

fn check_size(bytes: u64) -> Result<(), Error> {
    match usize::try_from(bytes) {
        Ok(..=LARGEST_VALUE) => Ok(()),
        _ => Err(Error::Limit {
            message: format!("the training set has {bytes} bytes, more than a bytea can hold"),
            hint: "Export fewer rows or columns, from a view or with \"exclude\", or take fewer \"number_bins\": the bins of \
                   numbers are most of a row."
                .into(),
        }),
    }
}

fn content(file: &TempFile) -> Result<Vec<u8>, Error> {
    let unreadable = || Error::system("could not read the training set");
    let size = file.size().map_err(unreadable())?;
    check_size(size as u64)?;
    let mut room = Vec::new();
    file.piece(0, size, &mut room).map_err(unreadable())?;
    Ok(room)
}
