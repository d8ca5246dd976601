//! Curves of one ranking.

use crate::{Baseline, Curves};
use model::charts::{lift, roc_curve, RocPoint};
use model::metrics::{auroc_of, average_precision_of, calibration_of};
use model::ranking::Ranked;

/// How many points a curve has at most.
const POINTS: usize = 300;
const TENTHS: u32 = 10;

impl Curves {
    /// Those of scores that are probabilities.
    pub fn of(ranked: Ranked) -> Self {
        let roc = roc_curve(ranked, POINTS);
        Self {
            precision_recall: precision_recall(&roc, ranked),
            calibration: calibration_of(ranked, TENTHS as usize),
            lift: lift(ranked, TENTHS),
            roc,
        }
    }
}

impl Baseline {
    pub fn of(ranked: Ranked) -> Self {
        let roc = roc_curve(ranked, POINTS);
        Self {
            auroc: auroc_of(ranked),
            average_precision: average_precision_of(ranked),
            precision_recall: precision_recall(&roc, ranked),
            roc,
        }
    }
}

/// Recall and precision at the thresholds of the ROC curve where anything is predicted positive.
fn precision_recall(roc: &[RocPoint], ranked: Ranked) -> Vec<(f64, f64)> {
    let (positives, negatives) = (ranked.positives.len() as f64, ranked.negatives.len() as f64);
    roc.iter()
        .filter_map(|point| {
            let (found, wrong) =
                (point.true_positive_rate * positives, point.false_positive_rate * negatives);
            (found + wrong > 0.0).then(|| (point.true_positive_rate, found / (found + wrong)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ranking::Ranking;

    #[test]
    fn precision_and_recall_are_counted_at_every_threshold_of_the_curve() {
        let labels = [true, false, true, false];
        let mut ranking = Ranking::of(&[0.9, 0.8, 0.7, 0.1], &labels);
        let curves = Curves::of(ranking.sorted());
        assert_eq!(curves.precision_recall, [(0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0), (1.0, 0.5)]);
        assert_eq!((curves.lift.len(), curves.calibration.len()), (4, 4));
        assert_eq!(Baseline::of(ranking.sorted()).auroc, Some(0.75));
    }

    #[test]
    fn one_class_has_no_curve() {
        let curves = Curves::of(Ranking::of(&[0.5], &[true]).sorted());
        assert!(
            curves.roc.is_empty() && curves.precision_recall.is_empty() && !curves.calibration.is_empty()
        );
    }
}
