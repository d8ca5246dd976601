//! The record of a training in the catalog: `reco.run` and `reco.run_metric`.
//!
//! The backend holds a lock on its run, so that a run whose backend was killed can be told from a run that is under way:
//! see `reco.run_is_alive` in `sql/catalog.sql`.

use super::request::Request;
use crate::error::Error;
use crate::pg::acting_as::{as_owner, current_user};
use crate::pg::liveness;
use crate::pg::session::{Failure, Session};
use model::protocol::{Candidate, CutOff};
use model::{Algorithm, Params, Quality};
use pgrx::Uuid;
use std::collections::BTreeMap;

/// The losses of one epoch.
pub struct EpochMetric {
    pub algorithm: Algorithm,
    pub epoch: i32,
    pub train_loss: f64,
    pub validation_loss: Option<f64>,
    pub validation_auroc: Option<f64>,
    pub seconds: f64,
}

/// The record of a run that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub id: Uuid,
}

/// The trial of a tuning that a run belongs to.
pub struct TrialOf {
    pub tune: Uuid,
    pub trial: i32,
    pub rung: i32,
}

impl Run {
    /// Inserts the row of a run that begins, and takes its lock. Runs that lost their backend are marked as failed first.
    pub fn start(
        request: &Request,
        params: &Params,
        trial: Option<TrialOf>,
        session: &Session,
    ) -> Result<Self, Error> {
        let caller = current_user();
        let parameters = serde_json::to_string(params)?;
        as_owner(|client| {
            liveness::fail_lost(client, "run", "run_id", "trained")?;
            let insert = "INSERT INTO reco.run (run_id, model, status, algorithm, source_schema, source_name, \
                                                parameters, started_by, tune_id, trial, rung) \
                          VALUES (pg_catalog.gen_random_uuid(), $1, 'running', $2, $3, $4, $5::pg_catalog.jsonb, \
                                  $6, $7, $8, $9) \
                          RETURNING run_id";
            let args = [
                request.spec.model.as_str().into(),
                request.algorithm.as_str().into(),
                request.source.schema.as_str().into(),
                request.source.name.as_str().into(),
                parameters.as_str().into(),
                caller.as_str().into(),
                trial.as_ref().map(|trial| trial.tune).into(),
                trial.as_ref().map(|trial| trial.trial).into(),
                trial.as_ref().map(|trial| trial.rung).into(),
            ];
            let id = client.update(insert, Some(1), &args)?.first().get_one::<Uuid>()?;
            let id = id.ok_or_else(|| Error::invalid("the run could not be recorded"))?;
            liveness::hold(id, session)?;
            Ok(Self { id })
        })
    }

    /// Adds the metrics of epochs.
    pub fn add_metrics(&self, metrics: &[EpochMetric]) -> Result<(), Error> {
        as_owner(|client| {
            for metric in metrics {
                client.update(
                    "INSERT INTO reco.run_metric \
                         (run_id, algorithm, epoch, train_loss, validation_loss, validation_auroc, seconds) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    None,
                    &[
                        self.id.into(),
                        metric.algorithm.name().into(),
                        metric.epoch.into(),
                        metric.train_loss.into(),
                        metric.validation_loss.into(),
                        metric.validation_auroc.into(),
                        metric.seconds.into(),
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// Adds the result of one of several algorithms.
    pub fn add_candidate(&self, candidate: &Candidate) -> Result<(), Error> {
        let quality = |quality: &Option<Quality>| quality.as_ref().map(serde_json::to_string).transpose();
        let (validation, test) = (quality(&candidate.validation)?, quality(&candidate.test)?);
        as_owner(|client| {
            client.update(
                "INSERT INTO reco.run_candidate \
                     (run_id, algorithm, validation, test, best_epoch, fitted, seconds, error) \
                 VALUES ($1, $2, $3::pg_catalog.jsonb, $4::pg_catalog.jsonb, $5, $6, $7, $8)",
                None,
                &[
                    self.id.into(),
                    candidate.algorithm.name().into(),
                    validation.as_deref().into(),
                    test.as_deref().into(),
                    (candidate.best_epoch as i32).into(),
                    (candidate.parameters as i64).into(),
                    candidate.seconds.into(),
                    candidate.error.as_deref().into(),
                ],
            )?;
            Ok(())
        })
    }

    /// Notes what rolling validation says of the candidates, those of an algorithm in one array.
    pub fn add_cut_offs(&self, cut_offs: &[CutOff]) -> Result<(), Error> {
        let mut of_algorithms = BTreeMap::<_, Vec<_>>::new();
        cut_offs.iter().for_each(|cut_off| of_algorithms.entry(cut_off.algorithm).or_default().push(cut_off));
        as_owner(|client| {
            for (algorithm, cut_offs) in of_algorithms {
                let update = "UPDATE reco.run_candidate SET cut_offs = $3::pg_catalog.jsonb \
                              WHERE run_id OPERATOR(pg_catalog.=) $1 AND algorithm OPERATOR(pg_catalog.=) $2";
                let cut_offs = serde_json::to_string(&cut_offs)?;
                client.update(
                    update,
                    None,
                    &[self.id.into(), algorithm.name().into(), cut_offs.as_str().into()],
                )?;
            }
            Ok(())
        })
    }

    /// `version` is the version that the run has become; `value` says how good the trial was.
    pub fn succeed(&self, version: Option<i32>, value: Option<f64>, session: &Session) -> Result<(), Error> {
        self.finish("succeeded", version, value, None, session)
    }

    pub fn fail(&self, error: &str, session: &Session) -> Result<(), Error> {
        self.finish("failed", None, None, Some(error), session)
    }

    pub fn cancel(&self, session: &Session) -> Result<(), Error> {
        self.finish("cancelled", None, None, None, session)
    }

    /// Records how the run ended, as far as that is possible after a failure.
    pub fn end_after(&self, failure: &Failure, session: &Session) {
        let write = |status: &str, error: Option<&str>| self.finish(status, None, None, error, session);
        liveness::end_after(failure, session, write);
    }

    /// Records which version a trial has become.
    pub fn became(&self, version: i32) -> Result<(), Error> {
        as_owner(|client| {
            let update = "UPDATE reco.run SET version = $2 WHERE run_id OPERATOR(pg_catalog.=) $1";
            client.update(update, None, &[self.id.into(), version.into()])?;
            Ok(())
        })
    }

    fn finish(
        &self,
        status: &str,
        version: Option<i32>,
        value: Option<f64>,
        error: Option<&str>,
        session: &Session,
    ) -> Result<(), Error> {
        as_owner(|client| {
            client.update(
                "UPDATE reco.run SET status = $2, version = $3, value = $4, error = $5, \
                                     finished_at = pg_catalog.clock_timestamp() \
                 WHERE run_id OPERATOR(pg_catalog.=) $1",
                None,
                &[self.id.into(), status.into(), version.into(), value.into(), error.into()],
            )?;
            Ok(())
        })?;
        liveness::end(self.id, session)
    }
}
