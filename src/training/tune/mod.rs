//! The procedure `reco.tune`, step by step.
//!
//! | file | step |
//! | --- | --- |
//! | `request` | checks the arguments, and collects what the search depends on |
//! | `record`  | the row of `reco.tune`: a new one, or that of a search that was cut off |
//! | `search`  | trains trials, several at a time, until the plan is done or the time is over |
//!
//! `crates/model` decides which parameters are drawn and how long each trial is trained: see its files `search` and
//! `halving`.

mod record;
mod request;
mod search;

use super::attempt::refit;
use super::request::Arguments;
use super::store::{announce, store};
use super::train::read;
use crate::catalog::write::check_may_train;
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::session::{Failure, Session};
use crate::pg::two_versions::require_writable;
use crate::pg::values::{given, microseconds};
use model::protocol::Spec;
use model::Params;
use pgrx::pg_sys;
use pgrx::prelude::*;
use record::Tune;
use request::{Asked, Tuning};
use search::Search;

/// Searches the parameters of a model; declared in sql/training.sql.
#[pg_extern(sql = false)]
fn tune(fcinfo: pg_sys::FunctionCallInfo) {
    require_writable(c"CALL reco.tune()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let (session, asked) = (Session::begin(&call), or_raise(arguments(&call)));
    let tuning = or_raise(Tuning::new(asked));
    or_raise(check_may_train(tuning.model(), tuning.request.promote));
    tuning.request.tell_roles();
    run_to_the_end(&tuning, &session);
    session.end();
}

/// Reads the arguments.
fn arguments(call: &Call) -> Result<Asked, Error> {
    let text = |n| call.text(n);
    let name = |n| call.name(n);
    let keys = call.names(9)?;
    let params = given(call.json(8, "params")?, "params")?;
    Ok(Asked {
        search: call.json(4, "search")?,
        trials: given(call.integer(5), "trials")?,
        time_budget: call.interval(6).map(microseconds),
        metric: text(7),
        parallel: given(call.integer(12), "parallel")?,
        params: params.clone(),
        training: Arguments {
            model: given(text(0), "model")?,
            source: given(call.oid(1), "source")?,
            label: name(2),
            algorithm: given(text(3), "algorithm")?,
            params: params.to_string(),
            keys,
            time_column: name(10),
            promote: given(call.boolean(11), "promote")?,
        },
    })
}

/// Records the search, runs it, and records how it ended before an error is raised.
fn run_to_the_end(tuning: &Tuning, session: &Session) {
    let tune = or_raise(Tune::resume_or_start(tuning, session));
    session.commit();
    let mut search = Search::new(tuning, tune, session);
    match search_and_store(tuning, session, &mut search) {
        Ok(()) => session.commit(),
        Err(failure) => {
            let (tune, runs) = search.abandon();
            session.record_and_raise(failure, |failure| {
                runs.iter().for_each(|run| run.end_after(failure, session));
                tune.end_after(failure, session);
                session.commit();
            })
        }
    }
}

fn search_and_store(tuning: &Tuning, session: &Session, search: &mut Search) -> Result<(), Failure> {
    let data = read(&tuning.request, session, tuning.began)?;
    let (best, mut trained) = search.run(&data)?;
    let params = search.params(best)?;
    if params.refit {
        say!("{}: the best trial is refit on all labelled rows", tuning.model());
        // Rolling validation has said what it says.
        let once = Params { cut_offs: 1, ..params.clone() };
        let spec = Spec { params: once, ..tuning.request.spec.clone() };
        trained = session.attempt(|| refit(trained, &spec, &data))?;
        session.commit();
    }
    drop(data);
    session.attempt(|| {
        let stored = store(&tuning.request, &params, &trained, tuning.began)?;
        trained.run.became(stored.version)?;
        search.tune.succeed(stored.version, session)?;
        // The notice is sent inside the step, because a notice can raise a cancel, and that cancel has to be recorded.
        search.tell_winner(best);
        announce(&tuning.request, &trained.outcome, &stored, tuning.began);
        Ok(())
    })
}
