//! What a model will be worth: metrics of the held-out rows, from the scores that will be served.

use crate::baseline::Outcomes;
use crate::block::Block;
use crate::error::TrainerError;
use crate::job::{Job, Reference, Units};
use crate::prepare::{RawRow, Source};
use model::metrics::Metrics;
use model::protocol::Evaluation;
use model::quality::{Quality, RegressionMetrics};
use model::{Artifact, Output, Row, Scorer, Task};

/// The largest difference allowed between the training library's score and the served one.
const PARITY: f64 = 1e-5;

/// The metrics of both held-out parts, and how far the served scores are from the training library's.
pub struct Measured {
    pub validation: Option<Evaluation>,
    pub test: Option<Evaluation>,
    pub parity: f64,
}

/// Measures both held-out parts. Refuses a model whose served scores are not those of the training library.
pub fn measure(artifact: &Artifact, reference: &dyn Reference, job: &Job) -> Result<Measured, TrainerError> {
    let scorer = Scorer::new(artifact)?;
    let unit = match job.task {
        Task::Binary => 1.0,
        Task::Regression => Units::standard(&job.table.labels.of(&job.split.train)).scale,
    };
    let part = |rows: &[u32]| -> Result<_, TrainerError> {
        let served = serve(&scorer, job, rows)?;
        let difference = served.difference(&reference.outputs(rows)?, &artifact.output) / unit;
        let model = served.quality(job, rows);
        let popularity = baseline(job, rows);
        let evaluation = model.zip(popularity).map(|(model, popularity)| Evaluation { model, popularity });
        Ok((evaluation, difference))
    };
    let (validation, first) = part(&job.split.validation)?;
    let (test, second) = part(&job.split.test)?;
    let parity = match (&validation, &test) {
        (None, None) => part(&job.split.train)?.1,
        // Unlike `max`, this does not lose a difference that is not a number.
        _ if first.is_nan() => first,
        _ if second > first || second.is_nan() => second,
        _ => first,
    };
    // Written so that a difference that is not a number is refused too.
    match parity <= PARITY {
        true => Ok(Measured { validation, test, parity }),
        false => Err(TrainerError::Parity { difference: parity }),
    }
}

/// The scores of some rows as they will be served.
pub struct Served {
    pub scores: Vec<f64>,
    /// Of quantities, if the model has them.
    pub quantiles: Option<Vec<[f64; 3]>>,
}

/// Scores rows from their raw values, as a query will, on every thread.
pub fn serve(scorer: &Scorer, job: &Job, rows: &[u32]) -> Result<Served, TrainerError> {
    let mut served = Served { scores: Vec::with_capacity(rows.len()), quantiles: None };
    job.table.blocks(rows, |block| {
        let share = block.rows.len().div_ceil(job.threads).max(1);
        let parts = block.rows.chunks(share).zip(block.places.chunks(share));
        std::thread::scope(|scope| {
            let crew: Vec<_> = parts
                .map(|(rows, places)| {
                    let part = Block { features: block.features, rows, places };
                    let source = Source::new(scorer.recipe(), job.table, &part);
                    scope.spawn(move || serve_all(scorer, &source, places.len()))
                })
                .collect();
            for thread in crew {
                served.append(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    })?;
    Ok(served)
}

fn serve_all(scorer: &Scorer, source: &Source, rows: usize) -> Served {
    let mut raw = Raw { scorer, row: scorer.row() };
    let mut served = Served { scores: Vec::with_capacity(rows), quantiles: None };
    for n in 0..rows {
        source.raw_row(n, &mut raw);
        served.scores.push(scorer.score(&mut raw.row));
        if let Some(quantiles) = scorer.quantiles(&mut raw.row) {
            served.quantiles.get_or_insert_default().push(quantiles);
        }
    }
    served
}

impl Served {
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

    /// The largest difference from scores made of the training library's outputs.
    fn difference(&self, outputs: &[f64], output: &Output) -> f64 {
        let width = output.task().outputs();
        let mut largest = 0.0;
        let mut compare = |served: f64, expected: f64| {
            let difference = (served - expected).abs();
            if difference > largest || difference.is_nan() {
                largest = difference;
            }
        };
        for (n, (score, outputs)) in self.scores.iter().zip(outputs.chunks_exact(width)).enumerate() {
            compare(*score, output.of(outputs[0]));
            if let Some(quantiles) = &self.quantiles {
                let mut expected = [1, 2, 3].map(|i| output.of(outputs[i]));
                expected.sort_unstable_by(f64::total_cmp);
                quantiles[n].iter().zip(expected).for_each(|(served, expected)| compare(*served, expected));
            }
        }
        largest
    }
}

/// The metrics of the baseline that knows every outcome before a row's time.
fn baseline(job: &Job, rows: &[u32]) -> Option<Quality> {
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
    Served { scores, quantiles: None }.quality(job, &rows)
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
