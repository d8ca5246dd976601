//! How good a model is on one set of rows, whatever its task.

use crate::algorithm::{Task, QUANTILES};
use crate::metrics::Metrics;
use crate::params::Metric;
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

impl RegressionMetrics {
    /// All metrics of one set of rows; `None` where there are no rows. `quantiles` is one row of the 10 %, 50 % and 90 %
    /// quantiles for each label, or nothing.
    ///
    /// # Panics
    /// If `means` and `labels` differ in length.
    pub fn of(means: &[f64], quantiles: Option<&[[f64; 3]]>, labels: &[f64]) -> Option<Self> {
        assert_eq!(means.len(), labels.len(), "one label for each prediction");
        if labels.is_empty() {
            return None;
        }
        let rows = labels.len() as f64;
        let average = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / rows;
        let squares = average(&mut means.iter().zip(labels).map(|(mean, label)| (label - mean).powi(2)));
        let mean_label = average(&mut labels.iter().copied());
        let variance = average(&mut labels.iter().map(|label| (label - mean_label).powi(2)));
        let absolute = |predicted: &mut dyn Iterator<Item = f64>| {
            average(&mut predicted.zip(labels).map(|(predicted, label)| (label - predicted).abs()))
        };
        Some(Self {
            rows: labels.len() as u64,
            mean_label,
            mean_prediction: average(&mut means.iter().copied()),
            rmse: squares.sqrt(),
            mae: match quantiles {
                Some(quantiles) => absolute(&mut quantiles.iter().map(|row| row[1])),
                None => absolute(&mut means.iter().copied()),
            },
            r2: (variance > 0.0).then(|| 1.0 - squares / variance),
            pinball: quantiles.map(|quantiles| {
                average(&mut quantiles.iter().zip(labels).map(|(row, label)| pinball(row, *label)))
            }),
            coverage: quantiles.map(|quantiles| {
                let covered = |(row, label): (&[f64; 3], &f64)| row[0] <= *label && *label <= row[2];
                average(&mut quantiles.iter().zip(labels).map(|pair| f64::from(u8::from(covered(pair)))))
            }),
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

    /// The value of one metric; `None` where it is not defined, or is another task's.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match (self, metric) {
            (Self::Binary(m), Metric::Auroc) => m.auroc,
            (Self::Binary(m), Metric::AveragePrecision) => m.average_precision,
            (Self::Binary(m), Metric::LogLoss) => Some(m.log_loss),
            (Self::Regression(m), Metric::Rmse) => Some(m.rmse),
            (Self::Regression(m), Metric::Mae) => Some(m.mae),
            (Self::Regression(m), Metric::Pinball) => m.pinball,
            _ => None,
        }
    }

    /// Whether this is better than `other` by a metric. What has no value is worse than anything.
    pub fn beats(&self, other: Option<&Quality>, metric: Metric) -> bool {
        match (self.value(metric), other.and_then(|other| other.value(metric))) {
            (Some(ours), Some(theirs)) if metric.is_gain() => ours > theirs,
            (Some(ours), Some(theirs)) => ours < theirs,
            (ours, None) => ours.is_some(),
            (None, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_metric_knows_which_way_is_better() {
        let quality = |scores: &[f64]| Quality::Binary(Metrics::of(scores, &[false, true]).unwrap());
        let (good, bad) = (quality(&[0.1, 0.9]), quality(&[0.9, 0.1]));
        for metric in [Metric::Auroc, Metric::AveragePrecision, Metric::LogLoss] {
            assert!(good.beats(Some(&bad), metric) && !bad.beats(Some(&good), metric), "{metric:?}");
            assert!(bad.beats(None, metric));
        }
        assert!(!good.beats(Some(&bad), Metric::Rmse));
    }

    #[test]
    fn both_kinds_are_read_back() {
        let binary = Quality::Binary(Metrics::of(&[0.5, 0.6], &[false, true]).unwrap());
        let regression = RegressionMetrics::of(&[1.0], None, &[2.0]).map(Quality::Regression).unwrap();
        for quality in [binary, regression] {
            let text = serde_json::to_string(&quality).unwrap();
            assert_eq!(serde_json::from_str::<Quality>(&text).unwrap(), quality);
        }
    }
}
