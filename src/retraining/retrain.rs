//! The procedure `reco.retrain`: it brings the features up to date, trains a version as the champion was trained, and
//! promotes it if it is better.

use super::judge::{judge, promote, Bar};
use super::settings::of_champion;
use crate::catalog::audit::Caller;
use crate::catalog::rights::{check, may, Privilege};
use crate::error::{or_raise, Error};
use crate::feature_view::refresh::refresh_all;
use crate::feature_view::registry::FeatureView;
use crate::pg::acting_as::as_owner;
use crate::pg::call::Call;
use crate::pg::catalog_lock::CatalogLock;
use crate::pg::session::{Failure, Session};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use crate::training::request::Request;
use crate::training::train;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{json, Value};

/// Declared in sql/retraining.sql.
#[pg_extern(sql = false)]
fn retrain(fcinfo: pg_sys::FunctionCallInfo) {
    require_writable(c"CALL reco.retrain()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let call = unsafe { Call::new(fcinfo) };
    let (session, asked) = (Session::begin(&call), or_raise(Asked::read(&call)));
    or_raise(check(&asked.model, Privilege::Train));
    let lock = or_raise(hold(&asked.model, &session));
    match asked.run(&session) {
        Ok(()) => {
            lock.release(&session);
            session.end();
        }
        Err(failure) => session.record_and_raise(failure, |failure| {
            let outcome = json!({ "status": if failure.is_cancel() { "cancelled" } else { "failed" },
                                  "error": failure.message() });
            let _ = session.attempt(|| note(&asked.model, None, outcome));
            // The lock goes when the failure is raised.
            session.commit();
        }),
    }
}

/// The arguments of a call.
struct Asked {
    model: String,
    bar: Bar,
    refresh: bool,
}

impl Asked {
    fn read(call: &Call) -> Result<Self, Error> {
        Ok(Self {
            model: given(call.text(0), "model")?,
            bar: Bar::new(call.text(1), call.float(2))?,
            refresh: given(call.boolean(3), "refresh")?,
        })
    }

    fn run(&self, session: &Session) -> Result<(), Failure> {
        let arguments = session.attempt(|| of_champion(&self.model))?;
        let source = arguments.source;
        if self.refresh && session.attempt(|| FeatureView::find(source))?.is_some() {
            refresh_all(source, session)?;
        }
        let request = session.attempt(|| Request::again(arguments))?;
        let version = train::run(&request, session)?.version;
        session.attempt(|| self.judge(version))?;
        session.commit();
        Ok(())
    }

    /// Promotes the new version if it is better and the caller may promote. Tells the client and records the result.
    fn judge(&self, version: i32) -> Result<(), Error> {
        let model = &self.model;
        let (verdict, promoted) = with_new_snapshot(|| {
            let verdict = judge(model, version, &self.bar)?;
            let promoted = may(model, Privilege::Manage)? && promote(model, version, &verdict)?;
            Ok((verdict, promoted))
        })?;
        let told = match (promoted, verdict.is_better) {
            (true, _) => "champion",
            (false, true) => "better, but not promoted: that needs the privilege manage",
            (false, false) => "not promoted",
        };
        say!("{model}: version {version} {told}: {}", verdict.describe());
        note(
            model,
            Some(version),
            json!({ "status": "succeeded", "promoted": promoted, "metric": verdict.metric,
                    "champion": verdict.champion, "candidate": verdict.candidate, "rows": verdict.rows }),
        )
    }
}

/// Runs `step` under a new snapshot, which sees what the procedure has done so far.
fn with_new_snapshot<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // SAFETY: the snapshot is pushed and popped in pairs; after an error the abort of the transaction pops it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = step();
        if result.is_ok() {
            pg_sys::PopActiveSnapshot();
        }
        result
    }
}

/// Adds the result of a retraining to the audit.
fn note(model: &str, version: Option<i32>, outcome: Value) -> Result<(), Error> {
    let caller = Caller::now();
    as_owner(|client| caller.did(client, "retrained", model, version, outcome))
}

/// Takes the lock of the model's retraining. It is an error if another session holds it.
fn hold(model: &str, session: &Session) -> Result<CatalogLock, Error> {
    let lock = CatalogLock::of_retraining(model)?;
    match lock.try_take(session) {
        true => Ok(lock),
        false => Err(Error::InUse {
            message: format!("model \"{model}\" is being retrained by another session"),
            hint: "The view reco.runs shows how far it is.".into(),
        }),
    }
}
