//! `reco.roc_curve`, `confusion_matrix`, `calibration` and `lift`: charts of a version's probabilities on any rows; and of
//! each chart its option, its bounds, and its rows.

use super::measure::measure;
use super::rows::{set, Fields};
use super::subject::{Positions, Subject};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::given;
use model::charts::{lift, roc_curve, Confusion};
use model::metrics::calibration_of;
use model::ranking::Ranked;
use model::tally::Tally;
use pgrx::{pg_sys, IntoDatum};

sql_function!(roc_curve, |call| draw(call, Chart::RocCurve));
sql_function!(confusion_matrix, |call| draw(call, Chart::Confusion));
sql_function!(calibration, |call| draw(call, Chart::Calibration));
sql_function!(lift, |call| draw(call, Chart::Lift));

/// (model, source, label, the chart's option, by, version, from_week, to_week)
fn draw(call: &Call, chart: Chart) -> Returned {
    let subject = Subject::read(call, Positions { label: 2, by: 4, version: 5 })?;
    let option = chart.option(call, 3)?;
    let parts = measure(&subject, |tally| match tally {
        Tally::Binary(ranking) => Some(chart.of(ranking.sorted(), option)),
        Tally::Regression(_) => None,
    })?;
    if parts.is_empty() {
        return Err(Error::InvalidArgument(
            "the model predicts a quantity, and this chart is of probabilities".into(),
            Some("reco.evaluate(…) gives the errors of quantities.".into()),
        ));
    }
    set(call, &parts)
}

#[derive(Debug, Clone, Copy)]
pub enum Chart {
    RocCurve,
    Confusion,
    Calibration,
    Lift,
}

impl Chart {
    pub fn option_name(self) -> &'static str {
        match self {
            Self::RocCurve => "points",
            Self::Confusion => "threshold",
            Self::Calibration => "bins",
            Self::Lift => "buckets",
        }
    }

    /// The option as a number, which is checked to be within its bounds. It is the n-th argument: a double precision for a
    /// confusion matrix, and an integer for the other charts.
    pub fn option(self, call: &Call, n: usize) -> Result<f64, Error> {
        let value = match self {
            Self::Confusion => call.float(n),
            _ => call.integer(n).map(f64::from),
        };
        let value = given(value, self.option_name())?;
        let (bounds, what) = match self {
            Self::Confusion => (f64::MIN..=f64::MAX, "a finite number"),
            Self::RocCurve => (3.0..=100_000.0, "3 to 100000"),
            Self::Calibration | Self::Lift => (1.0..=10_000.0, "1 to 10000"),
        };
        match bounds.contains(&value) {
            true => Ok(value),
            false => Err(Error::invalid(format!("{} must be {what}, not {value}", self.option_name()))),
        }
    }

    /// The rows of the chart, with fields in the order in which sql/evaluation.sql declares them.
    pub fn of(self, ranked: Ranked, option: f64) -> Vec<Fields> {
        match self {
            Self::RocCurve => {
                let point = |p: model::charts::RocPoint| {
                    [p.threshold, p.false_positive_rate, p.true_positive_rate]
                        .map(IntoDatum::into_datum)
                        .into()
                };
                roc_curve(ranked, option as usize).into_iter().map(point).collect()
            }
            Self::Confusion => vec![confusion(Confusion::of(ranked, option), option)],
            Self::Calibration => {
                let bin = |bin: model::metrics::CalibrationBin| {
                    let [lower, upper] = [bin.lower, bin.upper].map(IntoDatum::into_datum);
                    let [score, rate] = [bin.mean_score, bin.positive_rate].map(IntoDatum::into_datum);
                    vec![lower, upper, count(bin.rows), score, rate]
                };
                calibration_of(ranked, option as usize).into_iter().map(bin).collect()
            }
            Self::Lift => {
                let bucket = |b: model::charts::LiftBucket| {
                    let [lowest, positives, rate] =
                        [b.lowest_score, b.positives, b.rate].map(IntoDatum::into_datum);
                    let [lift, gain] = [b.lift, b.cumulative_gain].map(IntoDatum::into_datum);
                    vec![(b.bucket as i32).into_datum(), count(b.rows), lowest, positives, rate, lift, gain]
                };
                lift(ranked, option as u32).into_iter().map(bucket).collect()
            }
        }
    }
}

fn confusion(found: Confusion, threshold: f64) -> Fields {
    let cells = [found.true_positives, found.false_positives, found.false_negatives, found.true_negatives];
    let rates = [found.precision(), found.recall(), found.f1(), found.accuracy()];
    [&[threshold.into_datum()], &cells.map(count)[..], &rates.map(IntoDatum::into_datum)].concat()
}

fn count(rows: u64) -> Option<pg_sys::Datum> {
    (rows as i64).into_datum()
}
