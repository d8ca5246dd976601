//! The functions `reco.schedule_refresh`, `reco.schedule_retraining` and `reco.schedule_monitoring`.

use super::kind::{Kind, Subject};
use super::obstacle::able_owner;
use super::pg_cron;
use super::time::{datum, length, now, stored};
use crate::catalog::rights::{check, Privilege};
use crate::error::Error;
use crate::feature_view::registry::FeatureView;
use crate::pg::acting_as::{as_owner, current_user};
use crate::pg::call::Call;
use crate::pg::relations;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use crate::retraining::judge::Bar;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use schedule::{zone, Calendar, LONGEST_DELAY, SECOND};
use serde_json::{json, Value};
use std::ffi::CStr;

const MOST_RETRIES: i32 = 20;
const DELAYS: (i64, i64, &str) = (SECOND, LONGEST_DELAY, "1 second to 1 day");
const TIMEOUTS: (i64, i64, &str) = (SECOND, 7 * 24 * 3600 * SECOND, "1 second to 7 days");

// Declared in sql/schedule.sql.
sql_function!(schedule_refresh, schedule_refresh);
sql_function!(schedule_retraining, schedule_retraining);
sql_function!(schedule_monitoring, schedule_monitoring);

fn schedule_refresh(call: &Call) -> Returned {
    require_writable(c"reco.schedule_refresh()");
    let view = FeatureView::get(given(call.oid(0), "view")?)?;
    view.check_owner("schedule the refresh of")?;
    let lookback = call.integer(2);
    if lookback.is_some_and(|weeks| weeks < 0) {
        return Err(Error::invalid("lookback is a number of weeks, 0 or more"));
    }
    let subject = Subject { kind: Kind::Refresh, key: view.id.to_string(), name: view.name.to_string() };
    store(&subject, json!({ "lookback": lookback }), &Times::read(call, 3)?)
}

fn schedule_retraining(call: &Call) -> Returned {
    require_writable(c"reco.schedule_retraining()");
    let (metric, min_gain) = (call.text(2), call.float(3));
    let refresh = given(call.boolean(4), "refresh")?;
    // What retrain() would refuse is refused now.
    Bar::new(metric.clone(), min_gain)?;
    let arguments = json!({ "metric": metric, "min_gain": min_gain, "refresh": refresh });
    store(&of_model(call, Kind::Retraining)?, arguments, &Times::read(call, 5)?)
}

fn schedule_monitoring(call: &Call) -> Returned {
    require_writable(c"reco.schedule_monitoring()");
    store(&of_model(call, Kind::Monitoring)?, json!({}), &Times::read(call, 2)?)
}

fn of_model(call: &Call, kind: Kind) -> Result<Subject, Error> {
    let model = given(call.text(0), "model")?;
    check(&model, Privilege::Train)?;
    Ok(Subject { kind, key: model.clone(), name: model })
}

/// When it is tried, and how often.
struct Times {
    expression: String,
    time_zone: String,
    retries: i32,
    /// In microseconds.
    retry_delay: i64,
    /// In microseconds.
    timeout: i64,
    next: i64,
}

impl Times {
    /// The second argument is the expression; from the n-th on the others stand as they do for every kind.
    fn read(call: &Call, n: usize) -> Result<Self, Error> {
        let expression = given(call.text(1), "schedule")?;
        let (_, time_zone) = zone(&call.text(n).map_or_else(sessions_zone, Ok)?)?;
        let retries = given(call.integer(n + 1), "retries")?;
        if !(0..=MOST_RETRIES).contains(&retries) {
            return Err(Error::invalid(format!("retries is a number from 0 to {MOST_RETRIES}")));
        }
        let retry_delay = length(given(call.interval(n + 2), "retry_delay")?, "retry_delay", DELAYS)?;
        let timeout = length(given(call.interval(n + 3), "timeout")?, "timeout", TIMEOUTS)?;
        let now = now();
        let calendar = Calendar::new(&expression, &time_zone, now)?;
        let next = calendar.next(now).ok_or_else(Error::damaged_row)?;
        Ok(Self { expression, time_zone, retries, retry_delay, timeout, next })
    }
}

fn sessions_zone() -> Result<String, Error> {
    // SAFETY: every server has this setting, and its value lives longer than this function.
    let name = unsafe { CStr::from_ptr(pg_sys::GetConfigOption(c"TimeZone".as_ptr(), false, false)) };
    Ok(name.to_string_lossy().into_owned())
}

/// Stores the schedule, in place of one that the caller may replace. Returns its first time.
fn store(subject: &Subject, arguments: Value, times: &Times) -> Returned {
    let (caller, owner) = (caller(), current_user());
    able_owner(subject, &owner)?;
    as_owner(|client| {
        refuse_others(client, caller, subject)?;
        let sql = "INSERT INTO reco.schedule AS s (kind, subject, name, expression, time_zone, owner, arguments, retries, \
                                                   retry_delay, timeout, next_run) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
                           $9 OPERATOR(pg_catalog.*) '1 microsecond'::pg_catalog.interval, \
                           $10 OPERATOR(pg_catalog.*) '1 microsecond'::pg_catalog.interval, $11) \
                   ON CONFLICT (kind, subject) DO UPDATE \
                   SET name = excluded.name, expression = excluded.expression, time_zone = excluded.time_zone, \
                       owner = excluded.owner, arguments = excluded.arguments, retries = excluded.retries, \
                       retry_delay = excluded.retry_delay, timeout = excluded.timeout, next_run = excluded.next_run, \
                       created_at = excluded.created_at, attempt = 0, failures = 0, waits_for = NULL, \
                       paused_at = NULL, pause_reason = NULL";
        let row = [
            subject.kind.name().into(),
            subject.key.as_str().into(),
            subject.name.as_str().into(),
            times.expression.as_str().into(),
            times.time_zone.as_str().into(),
            owner.as_str().into(),
            pgrx::JsonB(arguments).into(),
            times.retries.into(),
            (times.retry_delay as f64).into(),
            (times.timeout as f64).into(),
            stored(times.next)?.into(),
        ];
        client.update(sql, None, &row)?;
        Ok(())
    })?;
    pg_cron::ensure_calls()?;
    Ok(Some(datum(times.next)))
}

/// Refuses a caller who may not replace the schedule that there is.
fn refuse_others(client: &mut SpiClient, caller: pg_sys::Oid, subject: &Subject) -> Result<(), Error> {
    let sql = "SELECT owner::pg_catalog.text FROM reco.schedule \
               WHERE kind OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) $2 FOR UPDATE";
    let rows = client.update(sql, Some(1), &[subject.kind.name().into(), subject.key.as_str().into()])?;
    if rows.is_empty() {
        return Ok(());
    }
    let owner = rows.first().get_one::<String>()?.ok_or_else(Error::damaged_row)?;
    match acts_as(caller, &owner) {
        true => Ok(()),
        false => Err(Error::Privilege {
            message: format!("{} is scheduled by role \"{owner}\"", subject.describe()),
            hint: Some(
                "That role can change it; reco.unschedule(…) ends it, also for those who manage the model or own the view.".into(),
            ),
        }),
    }
}

/// The role that calls. It is looked up before SQL runs with the rights of another one.
pub fn caller() -> pg_sys::Oid {
    // SAFETY: the call only reads a variable of this process.
    unsafe { pg_sys::GetUserId() }
}

/// Whether the caller has the rights of a role.
pub fn acts_as(caller: pg_sys::Oid, role: &str) -> bool {
    // SAFETY: these are look-ups of roles that exist.
    unsafe {
        pg_sys::superuser_arg(caller)
            || relations::role(role).is_some_and(|role| pg_sys::has_privs_of_role(caller, role))
    }
}
