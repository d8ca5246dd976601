//! How good a model is on one set of rows, whatever its task.

use super::lists::ListMetrics;
use super::metrics::Metrics;
use crate::algorithm::{Task, QUANTILES};
use crate::tune::params::Metric;
use serde::{Deserialize, Serialize};

/// The metrics of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quality {
    Regression(RegressionMetrics),
    Binary(Metrics),
}

/// How good predicted quantities are on one set of rows, in the label's units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionMetrics {
    pub rows: u64,
    pub mean_label: f64,
    pub mean_prediction: f64,
    /// Root of the mean squared error of the mean.
    pub rmse: f64,
    /// Mean absolute error of the median, or of the mean where there are no quantiles.
    pub mae: f64,
    /// The share of the labels' variance that the mean explains; `None` where all labels are the same.
    pub r2: Option<f64>,
    /// Mean pinball loss of the three quantiles; `None` where the model has none.
    pub pinball: Option<f64>,
    /// The share of labels from the 10 % to the 90 % quantile; 0.8 is right.
    pub coverage: Option<f64>,
}

impl Quality {
    /// The same metrics with the figures of lists; those of quantities have none.
    pub fn with_lists(self, lists: Option<ListMetrics>) -> Self {
        match self {
            Self::Binary(metrics) => Self::Binary(Metrics { lists, ..metrics }),
            regression => regression,
        }
    }

    /// The metrics without tables: those that are single numbers.
    pub fn without_tables(self) -> Self {
        match self {
            Self::Binary(metrics) => Self::Binary(Metrics { calibration: Vec::new(), ..metrics }),
            regression => regression,
        }
    }
}

impl RegressionMetrics {
    /// All metrics of one set of rows; `None` where there are no rows. `quantiles` is one row of the 10 %, 50 % and 90 %
    /// quantiles for each label, or nothing.
    ///
    /// # Panics
    /// If `means`, `quantiles` and `labels` differ in length.
    pub fn of(means: &[f64], quantiles: Option<&[[f64; 3]]>, labels: &[f64]) -> Option<Self> {
        assert_eq!(means.len(), labels.len(), "one label for each prediction");
        let mut errors = Errors::default();
        for (row, (mean, label)) in means.iter().zip(labels).enumerate() {
            errors.insert(*mean, quantiles.map(|quantiles| &quantiles[row]), *label);
        }
        errors.metrics()
    }
}

/// Errors of predicted quantities, a row at a time; can be merged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Errors {
    rows: u64,
    mean_label: f64,
    /// The sum of the squared differences of the labels from their mean.
    spread: f64,
    predictions: f64,
    squares: f64,
    absolute: f64,
    pinball: f64,
    covered: u64,
    /// Rows that came with quantiles.
    with_quantiles: u64,
}

impl Errors {
    /// Takes a row: its label, the mean that was predicted of it, and the 10 %, 50 % and 90 % quantiles.
    pub fn insert(&mut self, mean: f64, quantiles: Option<&[f64; 3]>, label: f64) {
        self.rows += 1;
        // Mean and spread are updated as Welford (1962) does.
        let distance = label - self.mean_label;
        self.mean_label += distance / self.rows as f64;
        self.spread += distance * (label - self.mean_label);
        self.predictions += mean;
        self.squares += (label - mean).powi(2);
        self.absolute += (label - quantiles.map_or(mean, |row| row[1])).abs();
        if let Some(quantiles) = quantiles {
            self.with_quantiles += 1;
            self.pinball += pinball(quantiles, label);
            self.covered += u64::from(quantiles[0] <= label && label <= quantiles[2]);
        }
    }

    /// Takes the rows of another such state; mean and spread are merged as Chan, Golub and LeVeque (1983) do.
    pub fn merge(&mut self, other: &Self) {
        let rows = self.rows + other.rows;
        if rows > 0 {
            let distance = other.mean_label - self.mean_label;
            let share = other.rows as f64 / rows as f64;
            self.mean_label += distance * share;
            self.spread += other.spread + distance * distance * share * self.rows as f64;
        }
        self.rows = rows;
        self.predictions += other.predictions;
        self.squares += other.squares;
        self.absolute += other.absolute;
        self.pinball += other.pinball;
        self.covered += other.covered;
        self.with_quantiles += other.with_quantiles;
    }

    /// All metrics; `None` without rows.
    pub fn metrics(&self) -> Option<RegressionMetrics> {
        let rows = self.rows as f64;
        let has_quantiles = self.with_quantiles == self.rows;
        (self.rows > 0).then(|| RegressionMetrics {
            rows: self.rows,
            mean_label: self.mean_label,
            mean_prediction: self.predictions / rows,
            rmse: (self.squares / rows).sqrt(),
            mae: self.absolute / rows,
            r2: (self.spread > 0.0).then(|| 1.0 - self.squares / self.spread),
            pinball: has_quantiles.then(|| self.pinball / rows),
            coverage: has_quantiles.then(|| self.covered as f64 / rows),
        })
    }
}

/// The mean over the quantiles of `max(q · d, (q - 1) · d)`, where d is the label less the predicted quantile (Koenker
/// and Bassett 1978).
fn pinball(quantiles: &[f64; 3], label: f64) -> f64 {
    let loss = |(predicted, q): (&f64, f64)| (q * (label - predicted)).max((q - 1.0) * (label - predicted));
    quantiles.iter().zip(QUANTILES).map(loss).sum::<f64>() / QUANTILES.len() as f64
}

impl Quality {
    pub fn task(&self) -> Task {
        match self {
            Self::Binary(_) => Task::Binary,
            Self::Regression(_) => Task::Regression,
        }
    }

    /// The value of one metric; `None` where it is not defined, or where the metric belongs to another task.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match (self, metric) {
            (Self::Binary(m), Metric::Auroc) => m.auroc,
            (Self::Binary(m), Metric::AveragePrecision) => m.average_precision,
            (Self::Binary(m), Metric::LogLoss) => Some(m.log_loss),
            (Self::Binary(m), Metric::PrecisionAtK) => m.lists.as_ref().map(|lists| lists.precision_at_k),
            (Self::Regression(m), Metric::Rmse) => Some(m.rmse),
            (Self::Regression(m), Metric::Mae) => Some(m.mae),
            (Self::Regression(m), Metric::Pinball) => m.pinball,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_regression_is_measured_as_the_definitions_say() {
        let quantiles = [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]];
        let m = RegressionMetrics::of(&[1.0, 3.0], Some(&quantiles), &[1.0, 6.0]).unwrap();
        assert_eq!((m.mean_label, m.mean_prediction), (3.5, 2.0));
        assert_eq!((m.rmse, m.mae, m.coverage), (4.5_f64.sqrt(), 1.5, Some(0.5)));
        assert!((m.r2.unwrap() - (1.0 - 4.5 / 6.25)).abs() < 1e-12);
        // First row: 0.1, 0, 0.1; second: 0.4, 1.5, 1.8.
        assert!((m.pinball.unwrap() - 3.9 / 6.0).abs() < 1e-12);
        let m = RegressionMetrics::of(&[2.0, 2.0], None, &[1.0, 1.0]).unwrap();
        assert_eq!((m.mae, m.r2, m.pinball, m.coverage), (1.0, None, None, None));
        assert_eq!(RegressionMetrics::of(&[], None, &[]), None);
    }

    proptest! {
        #[test]
        fn errors_are_merged_and_are_those_of_the_definitions(
            rows in prop::collection::vec((-9.0..9.0_f64, -9.0..9.0_f64), 1..60), cut in 0..60_usize
        ) {
            let cut = cut.min(rows.len());
            let errors = |rows: &[(f64, f64)]| {
                let mut errors = Errors::default();
                rows.iter().for_each(|(mean, label)| errors.insert(*mean, None, *label));
                errors
            };
            let mut merged = errors(&rows[..cut]);
            merged.merge(&errors(&rows[cut..]));
            let found = merged.metrics().unwrap();
            let average = |of: &dyn Fn(&(f64, f64)) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
            let mean_label = average(&|(_, label)| *label);
            let variance = average(&|(_, label)| (label - mean_label).powi(2));
            let squares = average(&|(mean, label)| (mean - label).powi(2));
            for (found, expected) in [
                (found.mean_label, mean_label),
                (found.mean_prediction, average(&|(mean, _)| *mean)),
                (found.rmse, squares.sqrt()),
                (found.mae, average(&|(mean, label)| (mean - label).abs())),
                (found.r2.unwrap_or(0.0), if variance > 0.0 { 1.0 - squares / variance } else { 0.0 }),
            ] {
                prop_assert!((found - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{} {}", found, expected);
            }
        }
    }

    #[test]
    fn a_metric_knows_which_way_is_better() {
        let quality = |scores: &[f64]| Quality::Binary(Metrics::of(scores, &[false, true]).unwrap());
        let (good, bad) = (quality(&[0.1, 0.9]), quality(&[0.9, 0.1]));
        for metric in [Metric::Auroc, Metric::AveragePrecision, Metric::LogLoss] {
            let of = |quality: &Quality| quality.value(metric).unwrap();
            assert!(
                metric.prefers(of(&good), of(&bad)) && !metric.prefers(of(&bad), of(&good)),
                "{metric:?}"
            );
            assert!(!metric.prefers(of(&good), of(&good)), "{metric:?}");
        }
        assert_eq!(good.value(Metric::Rmse), None);
        assert_eq!(good.value(Metric::PrecisionAtK), None, "nobody said which list a row is in");
        let listed = good.with_lists(Some(ListMetrics { precision_at_k: 0.25, ..lists() }));
        assert_eq!(listed.value(Metric::PrecisionAtK), Some(0.25));
        assert!(Metric::PrecisionAtK.prefers(0.5, 0.25) && Metric::Rmse.prefers(1.0, 2.0));
    }

    fn lists() -> ListMetrics {
        ListMetrics {
            k: 2,
            lists: 3,
            precision_at_k: 1.0 / 3.0,
            recall_at_k: None,
            expected_at_k: 0.1 + 0.2,
            positives_at_k: 1.5,
        }
    }

    #[test]
    fn both_kinds_are_read_back() {
        let binary = Quality::Binary(Metrics::of(&[0.5, 0.6], &[false, true]).unwrap());
        let regression = RegressionMetrics::of(&[1.0], None, &[2.0]).map(Quality::Regression).unwrap();
        let listed = binary.clone().with_lists(Some(lists()));
        for quality in [binary, listed, regression] {
            let text = serde_json::to_string(&quality).unwrap();
            assert_eq!(serde_json::from_str::<Quality>(&text).unwrap(), quality);
        }
    }
}
