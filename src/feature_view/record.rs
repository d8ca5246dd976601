//! The record of each refresh, in `reco.feature_refresh`.
//!
//! As for a training, the backend holds a lock while the refresh runs, so that a refresh whose backend was killed does not
//! count as running: see `reco.run_is_alive`.

use super::registry::FeatureView;
use crate::error::Error;
use crate::pg::acting_as::{as_owner, current_user};
use crate::pg::liveness;
use crate::pg::session::Session;
use features::weeks::Week;
use pgrx::Uuid;
use std::time::Instant;

/// The record of a refresh of one view, which has begun.
pub struct Record {
    id: Uuid,
    began: Instant,
}

/// What a refresh computed: each week with its number of rows, and the time that it took.
#[derive(Default)]
pub struct Done {
    pub weeks: Vec<(Week, i64)>,
    pub seconds: f64,
}

impl Done {
    pub fn rows(&self) -> i64 {
        self.weeks.iter().map(|(_, rows)| rows).sum()
    }
}

impl Record {
    /// Inserts the row of a refresh that begins, and takes its lock. Refreshes that lost their backend are marked as failed
    /// first.
    pub fn start(view: &FeatureView, session: &Session) -> Result<Self, Error> {
        let caller = current_user();
        as_owner(|client| {
            liveness::fail_lost(client, "feature_refresh", "refresh_id", "refreshed")?;
            let insert = "INSERT INTO reco.feature_refresh (refresh_id, view_id, table_schema, table_name, status, \
                                                            started_by) \
                          VALUES (pg_catalog.gen_random_uuid(), $1, $2, $3, 'running', $4) RETURNING refresh_id";
            let name = &view.name;
            let args = [
                view.id.into(),
                name.schema.as_str().into(),
                name.name.as_str().into(),
                caller.as_str().into(),
            ];
            let id = client.update(insert, Some(1), &args)?.first().get_one::<Uuid>()?;
            let id = id.ok_or_else(|| Error::invalid("the refresh could not be recorded"))?;
            liveness::hold(id, session)?;
            Ok(Self { id, began: Instant::now() })
        })
    }

    pub fn succeed(&self, done: &Done) -> Result<(), Error> {
        self.finish("succeeded", Some(done), None)
    }

    pub fn fail(&self, error: &str) -> Result<(), Error> {
        self.finish("failed", None, Some(error))
    }

    pub fn cancel(&self) -> Result<(), Error> {
        self.finish("cancelled", None, None)
    }

    fn finish(&self, status: &str, done: Option<&Done>, error: Option<&str>) -> Result<(), Error> {
        let weeks = done.map(|done| done.weeks.as_slice());
        let seconds = done.map_or_else(|| self.began.elapsed().as_secs_f64(), |done| done.seconds);
        let day = |week: Option<&(Week, i64)>| week.map(|(week, _)| super::target::date(week.monday()));
        as_owner(|client| {
            client.update(
                "UPDATE reco.feature_refresh \
                 SET status = $2, first_week = $3, last_week = $4, weeks = $5, rows = $6, seconds = $7, error = $8, \
                     finished_at = pg_catalog.clock_timestamp() \
                 WHERE refresh_id OPERATOR(pg_catalog.=) $1",
                None,
                &[
                    self.id.into(),
                    status.into(),
                    weeks.and_then(|weeks| day(weeks.first())).into(),
                    weeks.and_then(|weeks| day(weeks.last())).into(),
                    weeks.map(|weeks| weeks.len() as i32).into(),
                    done.map(Done::rows).into(),
                    seconds.into(),
                    error.into(),
                ],
            )?;
            Ok(())
        })
    }

    /// Releases the session's lock that says that this refresh is alive. The caller commits the record first: otherwise
    /// other sessions would take the refresh for one that has lost its backend.
    pub fn unlock(&self, session: &Session) -> Result<(), Error> {
        liveness::end(self.id, session)
    }
}
