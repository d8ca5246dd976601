//! What the model will be worth: metrics of the held-out rows, from the scores that will be served.

use crate::data::Table;
use crate::error::TrainerError;
use crate::network::Net;
use crate::part::stream_logits;
use crate::popularity::Outcomes;
use crate::prepare::{Encoder, RawRow};
use crate::split::Split;
use model::calibration::Platt;
use model::metrics::Metrics;
use model::protocol::Evaluation;
use model::{Artifact, Row, Scorer};

/// The largest difference allowed between libtorch's probability and the served one.
const PARITY: f64 = 1e-5;

/// The scores of some rows.
struct Scored {
    /// As they will be served.
    served: Vec<f64>,
    /// The largest difference from libtorch's.
    difference: f64,
}

/// Everything the measurements need.
pub struct Evaluator<'a> {
    pub table: &'a Table,
    /// All labelled rows by time.
    pub ordered: &'a [u32],
    pub split: &'a Split,
    pub encoder: &'a Encoder<'a>,
    pub net: &'a Net,
    pub artifact: &'a Artifact,
}

/// The metrics of both held-out parts, and how far the served scores are from libtorch's.
pub struct Measured {
    pub validation: Option<Evaluation>,
    pub test: Option<Evaluation>,
    pub parity: f64,
}

impl Evaluator<'_> {
    /// Measures both held-out parts. Refuses a model whose served scores are not those of libtorch.
    pub fn measure(&self) -> Result<Measured, TrainerError> {
        let scorer = Scorer::new(self.artifact)?;
        let (validation, first) = self.part(&scorer, &self.split.validation)?;
        let (test, second) = self.part(&scorer, &self.split.test)?;
        let parity = match (&validation, &test) {
            (None, None) => self.score(&scorer, &self.split.train)?.difference,
            _ => first.max(second),
        };
        // Written so that a difference that is not a number is refused too.
        if parity <= PARITY {
            Ok(Measured { validation, test, parity })
        } else {
            Err(TrainerError::Parity { difference: parity })
        }
    }

    fn part(&self, scorer: &Scorer, rows: &[u32]) -> Result<(Option<Evaluation>, f64), TrainerError> {
        let scored = self.score(scorer, rows)?;
        let labels: Vec<bool> = rows.iter().map(|row| self.table.labels[*row as usize] == 1).collect();
        let popularity = self.popularity().scores(self.ordered, &self.split.train, rows);
        let evaluation = Metrics::of(&scored.served, &labels)
            .zip(Metrics::of(&popularity, &labels))
            .map(|(model, popularity)| Evaluation { model, popularity });
        Ok((evaluation, scored.difference))
    }

    fn popularity(&self) -> Outcomes<'_> {
        let times = self.table.times.as_ref().filter(|_| self.split.by_time);
        Outcomes {
            labels: &self.table.labels,
            keys: self.table.first_key.as_deref(),
            times: times.map(|(_, times)| &times[..]),
        }
    }

    fn score(&self, scorer: &Scorer, rows: &[u32]) -> Result<Scored, TrainerError> {
        let logits = stream_logits(self.net, self.encoder, rows)?;
        let mut raw = Raw { scorer, row: scorer.row() };
        let mut scored = Scored { served: Vec::with_capacity(rows.len()), difference: 0.0 };
        for (row, logit) in rows.iter().zip(logits) {
            self.encoder.raw_row(*row, &mut raw);
            let served = scorer.score(&mut raw.row);
            let difference = (served - self.artifact.calibration.probability(logit)).abs();
            // Unlike `max`, this does not lose a difference that is not a number.
            if difference > scored.difference || difference.is_nan() {
                scored.difference = difference;
            }
            scored.served.push(served);
        }
        Ok(scored)
    }
}

/// Fills a row of the scorer with raw values.
struct Raw<'a> {
    scorer: &'a Scorer,
    row: Row,
}

impl RawRow for Raw<'_> {
    fn number(&mut self, number: usize, value: Option<f64>) {
        self.scorer.set_number(&mut self.row, number, value);
    }

    fn category(&mut self, category: usize, value: Option<&str>) {
        self.scorer.set_category(&mut self.row, category, value);
    }
}

/// Platt scaling fitted on the validation rows; none where they cannot carry it.
pub fn calibrate(net: &Net, validation: Option<&crate::part::Part>) -> Result<Platt, TrainerError> {
    match validation {
        Some(part) => Ok(Platt::fit(&crate::part::logits(net, &part.rows)?, &part.labels)),
        None => Ok(Platt::IDENTITY),
    }
}
