//! How good scores are: ranking (AUROC, average precision), probability (log loss, Brier score, calibration).
//!
//! `scores` and `labels` always have the same length, one element a row. A score that is NaN says nothing:
//! it ranks below every number and counts as the probability 0. Where a score is read as a probability it is
//! first brought into `[0, 1]`, so every result is finite. Cost: O(n log n) for the rankings, else O(n).

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Bins of the calibration table in [`Metrics`].
pub const CALIBRATION_BINS: usize = 10;

/// One bin of the calibration table: scores in `[lower, upper)`; the last bin includes 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    pub lower: f64,
    pub upper: f64,
    pub rows: u64,
    pub mean_score: f64,
    pub positive_rate: f64,
}

/// How good scores are on one set of rows. AUROC and average precision are `None` where one class is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub rows: u64,
    pub positives: u64,
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
    pub log_loss: f64,
    pub brier: f64,
    pub calibration: Vec<CalibrationBin>,
}

impl Metrics {
    /// All metrics of one set of rows, `None` where there are no rows.
    ///
    /// # Panics
    /// If `scores` and `labels` differ in length.
    pub fn of(scores: &[f64], labels: &[bool]) -> Option<Metrics> {
        let groups = ranked_groups(scores, labels);
        Some(Metrics {
            rows: scores.len() as u64,
            positives: groups.iter().map(|g| g.positives).sum(),
            auroc: auroc_of(&groups),
            average_precision: average_precision_of(&groups),
            log_loss: log_loss(scores, labels)?,
            brier: brier(scores, labels)?,
            calibration: calibration_bins(scores, labels, CALIBRATION_BINS),
        })
    }
}

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties counting
/// one half (Mann and Whitney 1947). Exact, since the pairs are counted in integers. `None` where one class
/// is missing.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    auroc_of(&ranked_groups(scores, labels))
}

/// Average precision: the sum over the distinct scores, from the highest down, of the precision there times
/// the recall gained (no interpolation; as scikit-learn's `average_precision_score`). `None` where one class
/// is missing.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    average_precision_of(&ranked_groups(scores, labels))
}

/// Mean negative log likelihood, natural logarithm, of probabilities kept at least 2⁻⁵² away from 0 and 1.
/// `None` where there are no rows.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn log_loss(scores: &[f64], labels: &[bool]) -> Option<f64> {
    mean(scores, labels, |probability, label| {
        let clipped = probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -(if label { clipped } else { 1.0 - clipped }).ln()
    })
}

/// Mean squared difference between probability and outcome (Brier 1950). `None` where there are no rows.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn brier(scores: &[f64], labels: &[bool]) -> Option<f64> {
    mean(scores, labels, |probability, label| (probability - f64::from(u8::from(label))).powi(2))
}

/// The calibration table: `bins` bins of equal width over `[0, 1]`, the last one closed, only those that hold
/// rows.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn calibration_bins(scores: &[f64], labels: &[bool], bins: usize) -> Vec<CalibrationBin> {
    same_length(scores, labels);
    let mut sums = vec![(0_u64, 0.0, 0_u64); bins];
    for (score, label) in scores.iter().zip(labels) {
        let score = probability(*score);
        if let Some((rows, total, positives)) = sums.get_mut(bin_of(score, bins)) {
            *rows += 1;
            *total += score;
            *positives += u64::from(*label);
        }
    }
    let filled = sums.iter().enumerate().filter(|(_, (rows, ..))| *rows > 0);
    let table = filled.map(|(bin, (rows, total, positives))| CalibrationBin {
        lower: edge(bin, bins),
        upper: edge(bin + 1, bins),
        rows: *rows,
        mean_score: total / *rows as f64,
        positive_rate: *positives as f64 / *rows as f64,
    });
    table.collect()
}

/// Rows that share one score.
struct Group {
    positives: u64,
    negatives: u64,
}

/// The rows grouped by score, lowest first.
fn ranked_groups(scores: &[f64], labels: &[bool]) -> Vec<Group> {
    same_length(scores, labels);
    let rank = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
    let mut rows: Vec<(f64, bool)> =
        scores.iter().zip(labels).map(|(score, label)| (rank(*score), *label)).collect();
    rows.sort_unstable_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
    let groups = rows.chunk_by(|a, b| a.0 == b.0).map(|group| {
        let positives = group.iter().filter(|(_, label)| *label).count() as u64;
        Group { positives, negatives: group.len() as u64 - positives }
    });
    groups.collect()
}

fn auroc_of(groups: &[Group]) -> Option<f64> {
    let (mut negatives, mut positives) = (0_u128, 0_u128);
    let mut twice_won = 0_u128;
    for group in groups {
        let (won, tied) = (negatives, u128::from(group.negatives));
        twice_won += u128::from(group.positives) * (2 * won + tied);
        negatives += tied;
        positives += u128::from(group.positives);
    }
    let pairs = positives * negatives;
    (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
}

fn average_precision_of(groups: &[Group]) -> Option<f64> {
    let (mut found, mut taken, mut sum) = (0_u64, 0_u64, 0.0);
    for group in groups.iter().rev() {
        found += group.positives;
        taken += group.positives + group.negatives;
        sum += group.positives as f64 * (found as f64 / taken as f64);
    }
    (found > 0 && found < taken).then(|| sum / found as f64)
}

fn mean(scores: &[f64], labels: &[bool], loss: impl Fn(f64, bool) -> f64) -> Option<f64> {
    same_length(scores, labels);
    let sum: f64 = scores.iter().zip(labels).map(|(score, label)| loss(probability(*score), *label)).sum();
    (!scores.is_empty()).then(|| sum / scores.len() as f64)
}

fn probability(score: f64) -> f64 {
    if score.is_nan() {
        0.0
    } else {
        score.clamp(0.0, 1.0)
    }
}

fn edge(bin: usize, bins: usize) -> f64 {
    bin as f64 / bins as f64
}

/// The bin whose printed edges hold the score: the product alone can be off by one in the last place.
fn bin_of(score: f64, bins: usize) -> usize {
    let guess = ((score * bins as f64) as usize).min(bins.saturating_sub(1));
    if score < edge(guess, bins) {
        guess - 1
    } else if guess + 1 < bins && score >= edge(guess + 1, bins) {
        guess + 1
    } else {
        guess
    }
}

fn same_length(scores: &[f64], labels: &[bool]) {
    assert_eq!(scores.len(), labels.len(), "one label for each score");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Scores with many ties, and their labels.
    fn rows() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        let score = prop_oneof![(0..8_u8).prop_map(|s| f64::from(s) / 7.0), 0.0..1.0_f64, Just(f64::NAN)];
        prop::collection::vec((score, any::<bool>()), 0..60).prop_map(|rows| rows.into_iter().unzip())
    }

    fn rank(score: f64) -> f64 {
        if score.is_nan() {
            f64::NEG_INFINITY
        } else {
            score
        }
    }

    /// All pairs of a positive and a negative row.
    fn auroc_by_pairs(scores: &[f64], labels: &[bool]) -> Option<f64> {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (i, positive) in scores.iter().enumerate().filter(|(i, _)| labels[*i]) {
            for (j, negative) in scores.iter().enumerate().filter(|(j, _)| !labels[*j]) {
                assert_ne!(i, j);
                pairs += 1.0;
                won += match rank(*positive).partial_cmp(&rank(*negative)) {
                    Some(Ordering::Greater) => 1.0,
                    Some(Ordering::Equal) => 0.5,
                    _ => 0.0,
                };
            }
        }
        (pairs > 0.0).then(|| won / pairs)
    }

    /// Precision and recall at every threshold, each counted over all rows.
    fn average_precision_by_thresholds(scores: &[f64], labels: &[bool]) -> Option<f64> {
        let positives = labels.iter().filter(|l| **l).count() as f64;
        let mut thresholds: Vec<f64> = scores.iter().map(|s| rank(*s)).collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let (mut sum, mut recall_before) = (0.0, 0.0);
        for threshold in thresholds {
            let at_least = |i: &usize| rank(scores[*i]) >= threshold;
            let taken = (0..scores.len()).filter(at_least).count() as f64;
            let found = (0..scores.len()).filter(at_least).filter(|i| labels[*i]).count() as f64;
            sum += (found / positives - recall_before) * found / taken;
            recall_before = found / positives;
        }
        (positives > 0.0 && positives < labels.len() as f64).then_some(sum)
    }

    fn same(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        }
    }

    proptest! {
        #[test]
        fn rankings_agree_with_counting_every_pair_and_threshold((scores, labels) in rows()) {
            prop_assert!(same(auroc(&scores, &labels), auroc_by_pairs(&scores, &labels)));
            let plain = average_precision_by_thresholds(&scores, &labels);
            prop_assert!(same(average_precision(&scores, &labels), plain));
        }

        #[test]
        fn metrics_survive_json_whatever_the_scores(bits in prop::collection::vec((any::<u64>(), any::<bool>()), 1..40)) {
            let scores: Vec<f64> = bits.iter().map(|(b, _)| f64::from_bits(*b)).collect();
            let labels: Vec<bool> = bits.iter().map(|(_, l)| *l).collect();
            let metrics = Metrics::of(&scores, &labels).unwrap();
            let json = serde_json::to_string(&metrics).unwrap();
            prop_assert_eq!(serde_json::from_str::<Metrics>(&json).unwrap(), metrics);
        }

        #[test]
        fn calibration_bins_hold_every_row_within_their_edges((scores, labels) in rows(), bins in 1..40_usize) {
            let table = calibration_bins(&scores, &labels, bins);
            prop_assert_eq!(table.iter().map(|b| b.rows).sum::<u64>(), scores.len() as u64);
            for bin in &table {
                let inside = |s: &&f64| {
                    let s = probability(**s);
                    s >= bin.lower && (s < bin.upper || bin.upper == 1.0)
                };
                prop_assert_eq!(bin.rows, scores.iter().filter(inside).count() as u64);
            }
        }
    }

    #[test]
    fn known_values_of_four_rows() {
        // scikit-learn's own example: 0.75 and 0.8333.
        let (scores, labels) = ([0.1, 0.4, 0.35, 0.8], [false, false, true, true]);
        assert_eq!(auroc(&scores, &labels), Some(0.75));
        assert!(same(average_precision(&scores, &labels), Some(0.5 + 0.5 * 2.0 / 3.0)));
        let expected = -(0.9_f64.ln() + 0.6_f64.ln() + 0.35_f64.ln() + 0.8_f64.ln()) / 4.0;
        assert!(same(log_loss(&scores, &labels), Some(expected)));
        let expected = (0.01 + 0.16 + 0.65 * 0.65 + 0.04) / 4.0;
        assert!(same(brier(&scores, &labels), Some(expected)));
    }

    #[test]
    fn equal_scores_rank_nothing() {
        let (scores, labels) = ([0.5; 5], [true, false, false, true, false]);
        assert_eq!(auroc(&scores, &labels), Some(0.5));
        assert!(same(average_precision(&scores, &labels), Some(0.4)));
    }

    #[test]
    fn both_zeros_are_one_score() {
        assert_eq!(auroc(&[0.0, -0.0], &[true, false]), Some(0.5));
    }

    #[test]
    fn one_class_has_no_ranking_but_a_loss() {
        let metrics = Metrics::of(&[0.5, 0.5], &[true, true]).unwrap();
        assert_eq!((metrics.auroc, metrics.average_precision), (None, None));
        assert!(same(Some(metrics.log_loss), Some(2.0_f64.ln())));
        assert_eq!((metrics.rows, metrics.positives), (2, 2));
    }

    #[test]
    fn no_rows_have_no_metrics() {
        assert_eq!(Metrics::of(&[], &[]), None);
    }

    #[test]
    fn a_sure_mistake_costs_a_finite_loss() {
        let loss = log_loss(&[0.0, 1.0], &[true, false]).unwrap();
        assert!((loss - 52.0 * 2.0_f64.ln()).abs() < 1e-9, "{loss}");
    }

    #[test]
    fn the_last_bin_is_closed_and_empty_bins_are_left_out() {
        let table = calibration_bins(&[0.0, 0.05, 0.1, 1.0], &[false, true, true, true], 10);
        let edges: Vec<(f64, f64, u64, f64)> =
            table.iter().map(|b| (b.lower, b.upper, b.rows, b.positive_rate)).collect();
        assert_eq!(edges, [(0.0, 0.1, 2, 0.5), (0.1, 0.2, 1, 1.0), (0.9, 1.0, 1, 1.0)]);
        assert_eq!(table[0].mean_score, 0.025);
    }

    #[test]
    fn a_million_rows_are_counted_exactly() {
        let rows = 1_000_000;
        let scores: Vec<f64> = (0..rows).map(|i| f64::from(i % 1000)).collect();
        let labels: Vec<bool> = (0..rows).map(|i| i % 1000 >= 500).collect();
        assert_eq!(auroc(&scores, &labels), Some(1.0));
    }
}
