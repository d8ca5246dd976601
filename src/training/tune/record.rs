//! The record of a search in the catalog: `reco.tune`, and its trials among the runs.
//!
//! As for a run, the backend holds a lock on a search as long as it works on it.

use super::request::Tuning;
use crate::error::Error;
use crate::pg::acting_as::{as_owner, current_user};
use crate::pg::liveness;
use crate::pg::session::{Failure, Session};
use model::halving::TrialRung;
use model::params::Metric;
use pgrx::spi::{SpiClient, SpiHeapTupleData};
use pgrx::Uuid;

/// The record of a search that has begun.
pub struct Tune {
    pub id: Uuid,
    /// How many CPU threads each trial has.
    pub threads: usize,
    /// What the search knows of the rows: their digest, and the metric by which trials are compared.
    pub seen: Option<SearchedData>,
    /// The trials that an earlier call has trained, and how good each of them was.
    pub trained: Vec<(TrialRung, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SearchedData {
    pub digest: String,
    pub metric: Metric,
}

impl Tune {
    /// The newest search with the same settings if it was cut off, or else a new one. Searches that lost their backend are
    /// marked as failed first.
    pub fn resume_or_start(tuning: &Tuning, session: &Session) -> Result<Self, Error> {
        let resumed = as_owner(|client| {
            liveness::fail_lost(client, "tune", "tune_id", "tuned")?;
            resume(client, tuning, session)
        })?;
        let Some(tune) = resumed else { return Self::start(tuning, session) };
        if !tune.trained.is_empty() {
            let done = tune.trained.len();
            say!("{}: goes on with a tuning that was cut off: {done} trainings are done", tuning.model());
        }
        Ok(tune)
    }

    pub fn start(tuning: &Tuning, session: &Session) -> Result<Self, Error> {
        let caller = current_user();
        let threads = tuning.lanes.threads;
        as_owner(|client| {
            let insert = "INSERT INTO reco.tune (tune_id, model, status, algorithm, source_schema, source_name, settings, \
                                                 threads, started_by) \
                          VALUES (pg_catalog.gen_random_uuid(), $1, 'running', $2, $3, $4, $5::pg_catalog.jsonb, $6, $7) \
                          RETURNING tune_id";
            let args = [
                tuning.model().into(),
                tuning.algorithm.name().into(),
                tuning.request.source.schema.as_str().into(),
                tuning.request.source.name.as_str().into(),
                tuning.settings.to_string().into(),
                (threads as i32).into(),
                caller.as_str().into(),
            ];
            let id = client.update(insert, Some(1), &args)?.first().get_one::<Uuid>()?;
            let id = id.ok_or_else(|| Error::invalid("the tuning could not be recorded"))?;
            liveness::hold(id, session)?;
            Ok(Self { id, threads, seen: None, trained: Vec::new() })
        })
    }

    /// Records what the first trial has said about the rows.
    pub fn saw(&mut self, seen: SearchedData) -> Result<(), Error> {
        as_owner(|client| {
            let update =
                "UPDATE reco.tune SET digest = $2, metric = $3 WHERE tune_id OPERATOR(pg_catalog.=) $1";
            let metric = serde_json::to_value(seen.metric)?;
            let args = [self.id.into(), seen.digest.as_str().into(), metric.as_str().into()];
            client.update(update, None, &args)?;
            Ok(())
        })?;
        self.seen = Some(seen);
        Ok(())
    }

    pub fn succeed(&self, version: i32, session: &Session) -> Result<(), Error> {
        self.finish("succeeded", Some(version), None, session)
    }

    pub fn fail(&self, error: &str, session: &Session) -> Result<(), Error> {
        self.finish("failed", None, Some(error), session)
    }

    /// Records how the search ended, as far as that is possible after a failure.
    pub fn end_after(&self, failure: &Failure, session: &Session) {
        let write = |status: &str, error: Option<&str>| self.finish(status, None, error, session);
        liveness::end_after(failure, session, write);
    }

    fn finish(
        &self,
        status: &str,
        version: Option<i32>,
        error: Option<&str>,
        session: &Session,
    ) -> Result<(), Error> {
        as_owner(|client| {
            client.update(
                "UPDATE reco.tune SET status = $2, version = $3, error = $4, \
                                      finished_at = pg_catalog.clock_timestamp() \
                 WHERE tune_id OPERATOR(pg_catalog.=) $1",
                None,
                &[self.id.into(), status.into(), version.into(), error.into()],
            )?;
            Ok(())
        })?;
        liveness::end(self.id, session)
    }
}

/// Takes up a search that was cut off. Of two calls at the same time only one gets it: the other waits for the row and then
/// sees that the search runs.
fn resume(client: &mut SpiClient, tuning: &Tuning, session: &Session) -> Result<Option<Tune>, Error> {
    let update = "UPDATE reco.tune AS t SET status = 'running', finished_at = NULL, error = NULL \
                  WHERE t.status OPERATOR(pg_catalog.=) ANY ('{failed,cancelled}') \
                    AND t.tune_id OPERATOR(pg_catalog.=) ( \
                      SELECT n.tune_id FROM reco.tune AS n \
                      WHERE n.model OPERATOR(pg_catalog.=) $1 AND n.algorithm OPERATOR(pg_catalog.=) $2 \
                        AND n.source_schema OPERATOR(pg_catalog.=) $3 AND n.source_name OPERATOR(pg_catalog.=) $4 \
                        AND n.settings OPERATOR(pg_catalog.=) $5::pg_catalog.jsonb \
                      ORDER BY n.started_at DESC LIMIT 1) \
                  RETURNING t.tune_id, t.threads, t.digest, t.metric";
    let args = [
        tuning.model().into(),
        tuning.algorithm.name().into(),
        tuning.request.source.schema.as_str().into(),
        tuning.request.source.name.as_str().into(),
        tuning.settings.to_string().into(),
    ];
    let rows = client.update(update, Some(1), &args)?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let (Some(id), Some(threads)) = (row.get::<Uuid>(1)?, row.get::<i32>(2)?) else { return Ok(None) };
    let metric = row.get::<String>(4)?.map(|name| serde_json::from_value(name.into())).transpose();
    let metric = metric.map_err(|_| {
        Error::Damaged(format!(
            "the tuning {id} of model \"{}\" is damaged: there is no such metric",
            tuning.model()
        ))
    })?;
    let seen = row.get::<String>(3)?.zip(metric).map(|(digest, metric)| SearchedData { digest, metric });
    liveness::hold(id, session)?;
    let trained = trained(client, id)?;
    Ok(Some(Tune { id, threads: threads as usize, seen, trained }))
}

fn trained(client: &SpiClient, id: Uuid) -> Result<Vec<(TrialRung, f64)>, Error> {
    let select = "SELECT r.trial, r.rung, r.value FROM reco.run AS r \
                  WHERE r.tune_id OPERATOR(pg_catalog.=) $1 AND r.status OPERATOR(pg_catalog.=) 'succeeded'";
    let read = |row: SpiHeapTupleData| -> Result<Option<(TrialRung, f64)>, Error> {
        let key = row.get::<i32>(1)?.zip(row.get::<i32>(2)?);
        let value = row.get::<f64>(3)?;
        Ok(key.zip(value).map(|((trial, rung), value)| ((trial as u32, rung as u32), value)))
    };
    client.select(select, None, &[id.into()])?.filter_map(|row| read(row).transpose()).collect()
}
