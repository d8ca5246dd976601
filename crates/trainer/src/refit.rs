//! The refit: what validation and test have chosen and measured is trained once more, as long and from the same seeds, on
//! all labelled rows. What is served has then learned from the newest weeks too; what is reported was measured before, on
//! weeks that the measured fit had not seen.

use crate::blend;
use crate::calibrate;
use crate::error::TrainerError;
use crate::evaluate::{parity, Trained};
use crate::job::{Fit, Job, Part};
use crate::learn::learn;
use crate::prepare::Encoder;
use crate::report::Reporter;
use crate::rows::split::Split;
use model::Artifact;
use std::io::Write;
use std::time::{Duration, Instant};

/// Rows on which the scores of the refit are compared with the training library's, evenly spread over time.
pub const PARITY_ROWS: usize = 65_536;

/// All labelled rows as training rows, prepared.
pub struct AllRows<'a> {
    split: Split,
    encoder: Encoder<'a>,
}

/// The model that is served in place of the measured one.
pub struct Refit<'a> {
    pub artifact: Artifact,
    pub fit: Fit<'a>,
    pub parity: f64,
}

/// Prepares all rows. `None` if nothing was held out, or none is wanted, or it would take longer than the time budget allows.
pub fn prepare<'a, W: Write>(
    measured: &Trained,
    job: &Job<'a>,
    reporter: &mut Reporter<W>,
) -> Result<Option<AllRows<'a>>, TrainerError> {
    let (all, train) = (job.ordered.len(), job.split.train.len());
    if !job.params.refit || all == train {
        return Ok(None);
    }
    let expected = Duration::from_secs_f64(measured.seconds * all as f64 / train as f64);
    if job.deadline.is_some_and(|deadline| Instant::now() + expected > deadline) {
        return not_done("there is no time for it in the time budget", reporter);
    }
    let split = Split { train: job.ordered.to_vec(), by_time: job.split.by_time, ..Split::default() };
    match Encoder::fit(job.table, &split.train, job.params, job.encoder.grain, job.threads) {
        Ok(encoder) => Ok(Some(AllRows { split, encoder })),
        Err(error) => not_done(&error.to_string(), reporter),
    }
}

impl AllRows<'_> {
    pub fn encoder(&self) -> &Encoder<'_> {
        &self.encoder
    }

    /// The job of fitting again what has `parts`.
    pub fn job<'a>(&'a self, measured: &Job<'a>, parts: &'a [Part]) -> Job<'a> {
        Job { split: &self.split, encoder: &self.encoder, refit: Some(parts), ..*measured }
    }
}

/// Fits again what was measured. `None`, with a warning, where that fails or takes too long: the measured fit is then
/// served, and nothing is lost but the newest rows.
pub fn fit<'a, W: Write>(
    measured: &Trained,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Option<Refit<'a>>, TrainerError> {
    match try_fit(measured, job, reporter) {
        Ok(Some(refit)) => Ok(Some(refit)),
        Ok(None) => not_done("the time budget is used up", reporter),
        Err(TrainerError::HungUp) => Err(TrainerError::HungUp),
        Err(error) => not_done(&error.to_string(), reporter),
    }
}

fn try_fit<'a, W: Write>(
    measured: &Trained,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Option<Refit<'a>>, TrainerError> {
    let parts = &measured.fit.parts;
    let again = |part: &Part| learn(part.algorithm, job, reporter);
    let mut fits = parts.iter().map(again).collect::<Result<Vec<_>, _>>()?;
    let were_cut_short = fits.iter().zip(parts).any(|(fit, part)| fit.parts[0].lengths != part.lengths);
    if were_cut_short {
        return Ok(None);
    }
    let fit = match &measured.fit.mix {
        Some(mix) => blend::join(&fits.iter().collect::<Vec<_>>(), mix),
        None => fits.pop(),
    };
    let fit = fit.ok_or_else(|| TrainerError::internal("a refit has other parts than what was measured"))?;
    let artifact = Artifact {
        algorithm: measured.artifact.algorithm,
        recipe: fit.recipe.clone(),
        predictor: fit.predictor.clone(),
        output: calibrate::again(&measured.artifact.output, &fit, job),
    };
    let stride = job.ordered.len().div_ceil(PARITY_ROWS);
    let rows: Vec<u32> = job.ordered.iter().step_by(stride).copied().collect();
    let parity = parity(&artifact, &fit, &rows, job)?;
    Ok(Some(Refit { artifact, fit, parity }))
}

fn not_done<T, W: Write>(why: &str, reporter: &mut Reporter<W>) -> Result<Option<T>, TrainerError> {
    reporter.warn(format!(
        "The version has not learned from the validation and test rows, since there was no refit: {why}."
    ))?;
    Ok(None)
}
