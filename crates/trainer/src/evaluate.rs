//! Metrics of the holdout sets (validation and test), from the scores that will be served.

use crate::baseline::Outcomes;
use crate::error::TrainerError;
use crate::job::{Fit, Job};
use crate::prepare::{RawColumns, RawRow};
use crate::rows::lists::Lists;
use crate::rows::split::{HeldOut, Split};
use crate::threads::on_each;
use model::drift::Histogram;
use model::metrics::Metrics;
use model::params::Metric;
use model::protocol::{mean, ByGroup, CutOff, Evaluation};
use model::quality::{Quality, RegressionMetrics};
use model::{Artifact, Output, Row, Scorer, Task};
use std::collections::BTreeMap;

/// The largest difference allowed between the training library's score and the served one.
const PARITY: f64 = 1e-5;

/// The metrics of both holdout sets, those of the regions, and how far the served scores are from the training
/// library's.
pub struct Measured {
    pub validation: Option<Evaluation>,
    pub test: Option<Evaluation>,
    /// The metrics of each region's test rows, or of its validation rows where there are no test rows.
    pub by: ByGroup,
    /// The scores of the test rows, or of the validation rows where there are no test rows.
    pub scores: Option<Histogram>,
    pub parity: f64,
}

/// A trained model, measured.
pub struct Trained<'a> {
    pub artifact: Artifact,
    pub fit: Fit<'a>,
    /// The training library's outputs for the rows of the holdout sets.
    pub outputs: HeldOut<Vec<f64>>,
    pub measured: Measured,
    /// How long its parts took to learn.
    pub seconds: f64,
    /// How good the same is before earlier stretches of validation weeks.
    pub cut_offs: Vec<CutOff>,
}

impl Trained<'_> {
    /// The mean of a metric over the validation rows of every cut-off; `None` where one of them has no value.
    pub fn mean(&self, metric: Metric) -> Option<f64> {
        mean(self.measured.validation.as_ref(), &self.cut_offs, metric)
    }
}

/// Measures both holdout sets. `outputs` are the training library's outputs for them, `baselines` the metrics of the
/// popularity baseline on the same rows. Refuses a model whose served scores are not those of the training library.
pub fn measure(
    artifact: &Artifact,
    fit: &Fit,
    outputs: &HeldOut<Vec<f64>>,
    baselines: &HeldOut<Option<Quality>>,
    job: &Job,
) -> Result<Measured, TrainerError> {
    let scorer = Scorer::new(artifact)?;
    let part = |rows: &[u32], outputs: &[f64], baseline: &Option<Quality>| -> Result<_, TrainerError> {
        let served = serve(&scorer, job, rows)?;
        let difference = served.difference(outputs, &artifact.output) / job.units.scale;
        let both = served.quality_with_lists(job, rows).zip(baseline.clone());
        Ok((both.map(|(model, popularity)| Evaluation { model, popularity }), difference, served))
    };
    let Split { train, validation: earlier, test: later, .. } = job.split;
    let (validation, first, served) = part(earlier, &outputs.validation, &baselines.validation)?;
    let mut by = served.by_region(job, earlier);
    let mut scores = validation.is_some().then(|| Histogram::of_numbers(&served.scores));
    drop(served);
    let (test, second, served) = part(later, &outputs.test, &baselines.test)?;
    if test.is_some() {
        by = served.by_region(job, later);
        scores = Some(Histogram::of_numbers(&served.scores));
    }
    let parity = match (&validation, &test) {
        (None, None) => part(train, &fit.reference.outputs(train)?, &None)?.1,
        // Unlike `max`, this does not lose a difference that is not a number.
        _ if first.is_nan() => first,
        _ if second > first || second.is_nan() => second,
        _ => first,
    };
    check(parity)?;
    Ok(Measured { validation, test, by, scores, parity })
}

/// How far the served scores of some rows are from the training library's; an error if that is too far.
pub fn parity(artifact: &Artifact, fit: &Fit, rows: &[u32], job: &Job) -> Result<f64, TrainerError> {
    let served = serve(&Scorer::new(artifact)?, job, rows)?;
    let difference = served.difference(&fit.reference.outputs(rows)?, &artifact.output) / job.units.scale;
    check(difference)?;
    Ok(difference)
}

/// Written so that a difference that is not a number is refused too.
fn check(parity: f64) -> Result<(), TrainerError> {
    match parity <= PARITY {
        true => Ok(()),
        false => Err(TrainerError::Parity { difference: parity }),
    }
}

/// The scores of some rows as they will be served.
#[derive(Default)]
pub struct Served {
    pub scores: Vec<f64>,
    /// The quantiles of quantities, if the model has them.
    pub quantiles: Option<Vec<[f64; 3]>>,
}

/// Scores rows from their raw values, as a query will, on every thread.
pub fn serve(scorer: &Scorer, job: &Job, rows: &[u32]) -> Result<Served, TrainerError> {
    let mut served = Served { scores: Vec::with_capacity(rows.len()), quantiles: None };
    job.table.blocks(rows, |block| {
        let share = block.rows.len().div_ceil(job.threads).max(1);
        let sources = block.pieces(share).map(|part| RawColumns::new(scorer.recipe(), job.table, &part));
        let mut parts: Vec<_> = sources.map(|source| (source, Served::default())).collect();
        on_each(&mut parts, job.threads, |(source, served)| served.add_all(scorer, source));
        parts.into_iter().for_each(|(_, part)| served.append(part));
        Ok::<(), TrainerError>(())
    })?;
    Ok(served)
}

impl Served {
    /// What an output makes of the training library's outputs, a task's number of them for each row.
    pub fn of(outputs: &[f64], output: &Output) -> Self {
        let rows = outputs.chunks_exact(output.task().outputs());
        let quantiles = |row: &[f64]| output.quantiles([1, 2, 3].map(|n| output.of(row[n])));
        Self {
            scores: rows.clone().map(|row| output.of(row[0])).collect(),
            quantiles: (output.task() == Task::Regression).then(|| rows.map(quantiles).collect()),
        }
    }

    fn add_all(&mut self, scorer: &Scorer, source: &RawColumns) {
        let mut raw = Raw { scorer, row: scorer.row() };
        for n in 0..source.len() {
            source.raw_row(n, &mut raw);
            self.scores.push(scorer.score(&mut raw.row));
            if let Some(quantiles) = scorer.quantiles(&mut raw.row) {
                self.quantiles.get_or_insert_default().push(quantiles);
            }
        }
    }

    fn append(&mut self, mut other: Served) {
        self.scores.append(&mut other.scores);
        if let Some(mut quantiles) = other.quantiles {
            self.quantiles.get_or_insert_default().append(&mut quantiles);
        }
    }

    pub fn quality(&self, job: &Job, rows: &[u32]) -> Option<Quality> {
        let labels = &job.table.labels;
        match job.task {
            Task::Binary => Metrics::of(&self.scores, &labels.positive(rows)).map(Quality::Binary),
            Task::Regression => {
                let quantiles = self.quantiles.as_deref();
                RegressionMetrics::of(&self.scores, quantiles, &labels.of(rows)).map(Quality::Regression)
            }
        }
    }

    /// The same metrics, with those of the lists that the rows make.
    pub fn quality_with_lists(&self, job: &Job, rows: &[u32]) -> Option<Quality> {
        let quality = self.quality(job, rows)?;
        Some(match job.task {
            Task::Binary => {
                let lists = Lists::of(job.table, rows, job.params.k);
                quality.with_lists(lists.metrics(&self.scores, &job.table.labels.positive(rows)))
            }
            Task::Regression => quality,
        })
    }

    /// The metrics of the rows of each region, without tables.
    fn by_region(&self, job: &Job, rows: &[u32]) -> ByGroup {
        let Some(regions) = &job.table.regions else { return ByGroup::new() };
        let quality = |positions: &[u32]| {
            let at = |position: &u32| *position as usize;
            let of_these = Served {
                scores: positions.iter().map(|position| self.scores[at(position)]).collect(),
                quantiles: self
                    .quantiles
                    .as_ref()
                    .map(|all| positions.iter().map(|position| all[at(position)]).collect()),
            };
            let rows: Vec<u32> = positions.iter().map(|position| rows[at(position)]).collect();
            of_these.quality_with_lists(job, &rows).map(Quality::without_tables)
        };
        let groups = regions.largest(rows).into_iter();
        let measured: BTreeMap<_, _> =
            groups.filter_map(|(name, positions)| Some((name.to_owned(), quality(&positions)?))).collect();
        match measured.is_empty() {
            true => ByGroup::new(),
            false => ByGroup::from([(regions.column.clone(), measured)]),
        }
    }

    /// The largest difference from scores made of the training library's outputs.
    fn difference(&self, outputs: &[f64], output: &Output) -> f64 {
        let width = output.task().outputs();
        let mut largest = 0.0;
        let mut compare = |difference: f64| {
            if difference > largest || difference.is_nan() {
                largest = difference;
            }
        };
        for (n, (score, outputs)) in self.scores.iter().zip(outputs.chunks_exact(width)).enumerate() {
            compare(apart(*score, outputs[0], output));
            if let Some(quantiles) = &self.quantiles {
                let expected = output.quantiles([1, 2, 3].map(|i| output.of(outputs[i])));
                quantiles[n]
                    .iter()
                    .zip(expected)
                    .for_each(|(served, expected)| compare((served - expected).abs()));
            }
        }
        largest
    }
}

/// How far a served score is from that of the training library's output. The steps of an isotonic calibration can be steep,
/// where the logits of a model lie close together: what counts there is that the logits agree, so the score may be any
/// between those of logits as far apart as two forward passes may be.
fn apart(served: f64, logit: f64, output: &Output) -> f64 {
    let slack = match output {
        Output::Isotonic(_) => PARITY * logit.abs().max(1.0),
        Output::Platt(_) | Output::Quantity { .. } | Output::Probability | Output::Mean => 0.0,
    };
    let (least, most) = (output.of(logit - slack), output.of(logit + slack));
    // The nearest that the score may be; NaN if any of them is.
    let nearest = if served < least { least } else { served.min(most) };
    match least.is_nan() || most.is_nan() {
        true => f64::NAN,
        false => (served - nearest).abs(),
    }
}

/// The metrics of the baseline that knows every outcome before a row's time.
pub fn baseline(job: &Job, rows: &[u32]) -> Option<Quality> {
    let times = job.table.times.as_ref().filter(|_| job.split.by_time);
    let outcomes = Outcomes {
        labels: &job.table.labels,
        keys: job.table.first_key.as_deref(),
        times: times.map(|(_, times)| &times[..]),
    };
    let mut rows = rows.to_vec();
    if let Some((_, times)) = times {
        rows.sort_by_key(|row| times[*row as usize]);
    }
    let scores = outcomes.scores(job.ordered, &job.split.train, &rows);
    Served { scores, quantiles: None }.quality_with_lists(job, &rows)
}

/// Fills a row of the scorer with raw values.
pub struct Raw<'a> {
    pub scorer: &'a Scorer,
    pub row: Row,
}

impl RawRow for Raw<'_> {
    fn number(&mut self, number: usize, value: Option<f64>) {
        self.scorer.set_number(&mut self.row, number, value);
    }

    fn category(&mut self, category: usize, value: Option<&str>) {
        self.scorer.set_category(&mut self.row, category, value);
    }

    fn key(&mut self, key: u64) {
        self.scorer.set_key(&mut self.row, Some(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::measure::isotonic::Isotonic;

    #[test]
    fn a_steep_calibration_is_compared_by_its_logits() {
        // Probability rises by 0.6 within a ten-thousandth.
        let steep = Output::Isotonic(Isotonic { points: vec![(0.5, 0.2), (0.5001, 0.8)] });
        let served = |logit| steep.of(logit);
        assert_eq!(apart(served(0.500_051), 0.500_05, &steep), 0.0);
        assert!((served(0.500_051) - served(0.500_05)).abs() > 100.0 * PARITY);
        assert!(apart(served(0.500_08), 0.500_05, &steep) > 0.1);
        assert!(apart(f64::NAN, 0.5, &steep).is_nan() && apart(0.5, f64::NAN, &steep).is_nan());
        let platt = Output::Platt(model::measure::calibration::Platt { slope: 1.0, offset: 0.0 });
        assert!((apart(0.5 + 2e-5, 0.0, &platt) - 2e-5).abs() < 1e-12);
        assert!(apart(0.5, f64::NAN, &platt).is_nan());
    }
}
