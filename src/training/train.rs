//! The procedure `reco.train`, step by step.

use super::attempt::{wait, Attempt};
use super::read::read_source;
use super::request::{Arguments, Request};
use super::run::Run;
use super::store::{announce, store};
use super::temp_file::TempFile;
use crate::catalog::write::{check_may_train, StoredVersion};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::session::{Failure, Session};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Instant;

/// Trains a new version of a model; declared in sql/training.sql.
#[pg_extern(sql = false)]
fn train(fcinfo: pg_sys::FunctionCallInfo) {
    require_writable(c"CALL reco.train()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let (session, arguments) = (Session::begin(&call), or_raise(arguments(&call)));
    or_raise(arguments.check_source_stays());
    let request = or_raise(Request::new(arguments));
    or_raise(check_may_train(&request.spec.model, request.promote));
    request.tell_roles();
    match run(&request, &session) {
        Ok(_) => session.end(),
        Err(failure) => session.raise(failure),
    }
}

/// Reads the arguments.
fn arguments(call: &Call) -> Result<Arguments, Error> {
    let text = |n| call.text(n);
    let name = |n| call.name(n);
    let keys = call.names(5)?;
    Ok(Arguments {
        model: given(text(0), "model")?,
        source: given(call.oid(1), "source")?,
        label: name(2),
        algorithm: given(text(3), "algorithm")?,
        params: given(call.json(4, "params")?, "params")?.to_string(),
        keys,
        time_column: name(6),
        promote: given(call.boolean(7), "promote")?,
    })
}

/// Records the run, trains, and records how the run ended.
pub fn run(request: &Request, session: &Session) -> Result<StoredVersion, Failure> {
    let began = Instant::now();
    let run = session.attempt(|| Run::start(request, &request.spec.params, None, session))?;
    session.commit();
    let stored = train_and_store(request, session, run, began);
    match &stored {
        Ok(_) => session.commit(),
        Err(failure) => session.record(|| {
            run.end_after(failure, session);
            session.commit();
        }),
    }
    stored
}

fn train_and_store(
    request: &Request,
    session: &Session,
    run: Run,
    began: Instant,
) -> Result<StoredVersion, Failure> {
    let data = read(request, session, began)?;
    let mut attempt =
        session.attempt(|| Attempt::start(run, &request.spec, &data, Some(&request.spec.model)))?;
    session.commit();
    while !attempt.hear(session, &mut |message| warn!("{message}"))? {
        wait(std::iter::once(&attempt))?;
    }
    let trained = attempt.finish()?;
    drop(data);
    session.attempt(|| {
        let stored = store(request, &request.spec.params, &trained, began)?;
        run.succeed(Some(stored.version), None, session)?;
        announce(request, &trained.outcome, &stored, began);
        Ok(stored)
    })
}

/// Reads the source's rows into a file, and commits, so that no snapshot is held from then on.
pub fn read(request: &Request, session: &Session, began: Instant) -> Result<TempFile, Failure> {
    let data = session.attempt(|| {
        let (data, rows) = read_source(request)?;
        let seconds = began.elapsed().as_secs_f64();
        say!("{}: {rows} rows of {} read in {seconds:.1} s", request.spec.model, request.source);
        Ok(data)
    })?;
    session.commit();
    Ok(data)
}
