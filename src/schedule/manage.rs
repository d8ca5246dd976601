//! The functions `reco.unschedule`, `reco.pause_schedule` and `reco.resume_schedule`.

use super::create::{acts_as, caller};
use super::kind::{Kind, Subject};
use super::pg_cron;
use super::time::{datum, now, stored};
use crate::catalog::rights::{may, Privilege};
use crate::error::Error;
use crate::feature_view::registry::{table_of, FeatureView};
use crate::pg::acting_as::as_owner;
use crate::pg::call::Call;
use crate::pg::relations;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::two_versions::require_writable;
use crate::pg::values::{given, note};
use pgrx::{pg_sys, Spi};
use schedule::Calendar;

// Declared in sql/schedule.sql.
sql_function!(unschedule, unschedule);
sql_function!(pause_schedule, pause_schedule);
sql_function!(resume_schedule, resume_schedule);

fn unschedule(call: &Call) -> Returned {
    require_writable(c"reco.unschedule()");
    let found = Found::of(call)?;
    found.change("DELETE FROM reco.schedule", None)?;
    pg_cron::end_calls()?;
    Ok(None)
}

fn pause_schedule(call: &Call) -> Returned {
    require_writable(c"reco.pause_schedule()");
    let (found, reason) = (Found::of(call)?, call.text(2));
    let reason = note(reason.as_deref(), "reason")?.map(str::to_owned);
    found.change(
        "UPDATE reco.schedule SET paused_at = pg_catalog.now(), pause_reason = $3, waits_for = NULL",
        Some(reason),
    )?;
    Ok(None)
}

fn resume_schedule(call: &Call) -> Returned {
    require_writable(c"reco.resume_schedule()");
    let (found, now) = (Found::of(call)?, now());
    let next =
        Calendar::new(&found.expression, &found.time_zone, now)?.next(now).ok_or_else(Error::damaged_row)?;
    as_owner(|client| {
        let sql =
            "UPDATE reco.schedule SET paused_at = NULL, pause_reason = NULL, attempt = 0, next_run = $3 \
                   WHERE kind OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) $2";
        let row = [found.subject.kind.name().into(), found.subject.key.as_str().into(), stored(next)?.into()];
        client.update(sql, None, &row)?;
        Ok(())
    })?;
    Ok(Some(datum(next)))
}

/// A schedule that the caller may change.
struct Found {
    subject: Subject,
    expression: String,
    time_zone: String,
}

impl Found {
    /// The schedule that the first two arguments name.
    fn of(call: &Call) -> Result<Self, Error> {
        let kind = Kind::from_name(&given(call.text(0), "kind")?)?;
        let name = given(call.text(1), "subject")?;
        let keys = match kind {
            Kind::Refresh => views_called(&name)?,
            Kind::Retraining | Kind::Monitoring => vec![name.clone()],
        };
        let unknown = || Error::UnknownSchedule { kind: kind.name(), subject: name.clone() };
        let (found, owner) = as_owner(|client| {
            let sql = "SELECT subject, name, expression, time_zone, owner::pg_catalog.text FROM reco.schedule \
                       WHERE kind OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) ANY ($2) FOR UPDATE";
            let rows = client.update(sql, Some(1), &[kind.name().into(), keys.into()])?;
            if rows.is_empty() {
                return Err(unknown());
            }
            let row = rows.first();
            let text = |n| row.get::<String>(n)?.ok_or_else(Error::damaged_row);
            let subject = Subject { kind, key: text(1)?, name: text(2)? };
            Ok((Self { subject, expression: text(3)?, time_zone: text(4)? }, text(5)?))
        })?;
        match found.may_be_changed(&owner)? {
            true => Ok(found),
            // Whoever does not see a schedule is not told that it is there.
            false if kind == Kind::Refresh || !may(&found.subject.key, Privilege::Train)? => Err(unknown()),
            false => Err(Error::Privilege {
                message: format!("{} is scheduled by role \"{owner}\"", found.subject.describe()),
                hint: Some("That role can change it, and whoever manages the model.".into()),
            }),
        }
    }

    /// Whether the caller owns the schedule or manages its subject.
    fn may_be_changed(&self, owner: &str) -> Result<bool, Error> {
        let caller = caller();
        let manages = || match self.subject.kind {
            Kind::Retraining | Kind::Monitoring => may(&self.subject.key, Privilege::Manage),
            Kind::Refresh => {
                let Some((Some(table), _)) = table_of(self.subject.view()?)? else { return Ok(false) };
                let table_owner = relations::owner(table)?;
                // SAFETY: these are look-ups of roles that exist.
                Ok(unsafe { pg_sys::has_privs_of_role(caller, table_owner) })
            }
        };
        Ok(acts_as(caller, owner) || manages()?)
    }

    /// Runs a statement on the schedule's row, with `more` as its third parameter.
    fn change(&self, statement: &str, more: Option<Option<String>>) -> Result<(), Error> {
        let Subject { kind, key, .. } = &self.subject;
        let sql =
            format!("{statement} WHERE kind OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) $2");
        as_owner(|client| {
            let mut row = vec![kind.name().into(), key.as_str().into()];
            row.extend(more.map(Into::into));
            client.update(sql.as_str(), None, &row)?;
            Ok(())
        })
    }
}

/// The ids of the feature views that a text may mean: the one whose table has the name now, else those that were scheduled
/// under it.
fn views_called(name: &str) -> Result<Vec<String>, Error> {
    let table = Spi::get_one_with_args::<pg_sys::Oid>(
        "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid",
        &[name.into()],
    )?;
    if let Some(view) = table.map(FeatureView::find_as_stored).transpose()?.flatten() {
        return Ok(vec![view.0.id.to_string()]);
    }
    as_owner(|client| {
        let sql = "SELECT subject FROM reco.schedule WHERE kind OPERATOR(pg_catalog.=) 'refresh' \
                   AND $1 OPERATOR(pg_catalog.=) ANY (ARRAY[name, subject])";
        let rows = client.update(sql, None, &[name.into()])?;
        rows.map(|row| row.get::<String>(1)?.ok_or_else(Error::damaged_row)).collect()
    })
}
