//! The procedure `reco.monitor`: it measures the weeks of a model one by one, and then says how the model is.

use super::plan::{Asked, Plan};
use super::settings::thresholds;
use super::{status, week};
use crate::catalog::history;
use crate::catalog::read;
use crate::catalog::rights::{check, Privilege};
use crate::error::{or_raise, Error};
use crate::feature_view::refresh::complete_week;
use crate::feature_view::registry::FeatureView;
use crate::pg::acting_as::{as_owner, in_utc};
use crate::pg::call::Call;
use crate::pg::catalog_lock::CatalogLock;
use crate::pg::session::{Failure, Session};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use features::weeks::Week;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Declared in sql/monitoring.sql.
#[pg_extern(sql = false)]
fn monitor(fcinfo: pg_sys::FunctionCallInfo) {
    require_writable(c"CALL reco.monitor()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let (session, (model, asked)) = (Session::begin(&call), or_raise(arguments(&call)));
    or_raise(check(&model, Privilege::Train));
    let lock = or_raise(hold(&model, &session));
    match run(&model, asked, &session) {
        Ok(()) => {
            lock.release(&session);
            session.end();
        }
        // Each week that was measured is stored, and the lock goes when the failure is raised.
        Err(failure) => session.raise(failure),
    }
}

fn arguments(call: &Call) -> Result<(String, Asked), Error> {
    let week = |n: usize, name: &str| match call.date(n) {
        Some(i32::MIN | i32::MAX) => Err(Error::invalid(format!("{name} must not be infinite"))),
        day => Ok(day.map(Week::of_day)),
    };
    let asked = Asked {
        from: week(1, "from_week")?,
        to: week(2, "to_week")?,
        again: given(call.boolean(3), "again")?,
    };
    if asked.from.zip(asked.to).is_some_and(|(from, to)| from > to) {
        return Err(Error::invalid("from_week must not be after to_week"));
    }
    Ok((given(call.text(0), "model")?, asked))
}

fn run(model: &str, asked: Asked, session: &Session) -> Result<(), Failure> {
    let (plan, thresholds) = session.attempt(|| {
        let thresholds = thresholds(model)?;
        Ok((in_utc(|| Plan::make(model, asked, &thresholds))?, thresholds))
    })?;
    let mut judged = 0;
    for todo in &plan.todo {
        judged += usize::from(session.attempt(|| in_utc(|| week::measure(model, todo)))?);
        session.commit();
    }
    let complete = session.attempt(|| complete(model))?;
    let (status, reasons) = session.attempt(|| status::conclude(model, &plan, complete, &thresholds))?;
    session.commit();
    let waiting = match plan.waiting {
        0 => String::new(),
        waiting => format!(", waiting for their outcome: {waiting}"),
    };
    say!("{model}: {}; weeks judged: {judged}{waiting}", status.name());
    for reason in reasons {
        say!("{model}: {}: {}", reason.level.name(), reason.words);
    }
    Ok(())
}

/// The last week that the champion's source could have, if it is a feature view that knows.
fn complete(model: &str) -> Result<Option<Week>, Error> {
    let Some(champion) = as_owner(|client| history::champion(client, model))? else { return Ok(None) };
    let Ok(version) = read::version(model, champion) else { return Ok(None) };
    let Ok(Some((source, _))) = version.source.if_there(model, pg_sys::NoLock) else { return Ok(None) };
    match FeatureView::find(source)? {
        Some(view) => complete_week(&view),
        None => Ok(None),
    }
}

/// Takes the lock of the model's monitoring. It is an error if another session holds it.
fn hold(model: &str, session: &Session) -> Result<CatalogLock, Error> {
    let lock = CatalogLock::of_monitoring(model)?;
    match lock.try_take(session) {
        true => Ok(lock),
        false => Err(Error::InUse {
            message: format!("model \"{model}\" is being monitored by another session"),
            hint: "The view reco.monitoring shows how far it is.".into(),
        }),
    }
}
