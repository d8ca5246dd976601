//! How good scores are: ranking (AUROC, average precision), probability (log loss, Brier score, calibration).
//!
//! `scores` and `labels` always have the same length, one element a row. A score that is NaN says nothing:
//! it ranks below every number and counts as the probability 0. Where a score is read as a probability it is
//! first brought into `[0, 1]`, so every result is finite. Cost: O(n log n) for the rankings, else O(n).

use super::lists::ListMetrics;
use super::ranking::{probability, Ranked, Ranking};
use allocator_api2::alloc::Allocator;
use serde::{Deserialize, Serialize};

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
    /// Of the lists that the rows make; `None` where it is not known which list a row is in.
    #[serde(flatten)]
    pub lists: Option<ListMetrics>,
}

impl Metrics {
    /// All metrics of one set of rows, `None` where there are no rows.
    ///
    /// # Panics
    /// If `scores` and `labels` differ in length.
    pub fn of(scores: &[f64], labels: &[bool]) -> Option<Metrics> {
        Self::of_ranking(&mut Ranking::of(scores, labels))
    }

    /// All metrics of the rows of a ranking, `None` where there are none.
    pub fn of_ranking<A: Allocator + Copy>(ranking: &mut Ranking<A>) -> Option<Metrics> {
        let ranked = ranking.sorted();
        Some(Metrics {
            rows: ranked.len() as u64,
            positives: ranked.positives.len() as u64,
            auroc: auroc_of(ranked),
            average_precision: average_precision_of(ranked),
            log_loss: mean(ranked.rows(), log_loss_of_row)?,
            brier: mean(ranked.rows(), brier_of_row)?,
            calibration: calibration_of(ranked, CALIBRATION_BINS),
            lists: None,
        })
    }

    /// The expected calibration error (Naeini, Cooper and Hauskrecht 2015): how far the mean score of a bin of the
    /// calibration table is from its rate of positives, a mean over the rows. `None` without the table.
    pub fn calibration_error(&self) -> Option<f64> {
        self.over_bins(|bin| (bin.mean_score - bin.positive_rate).abs())
    }

    /// About what that error is for scores that are right, by chance alone: the mean distance of a rate from its
    /// expectation, where rates are normal.
    pub fn calibration_error_by_chance(&self) -> Option<f64> {
        self.over_bins(|bin| {
            let variance = bin.mean_score * (1.0 - bin.mean_score) / bin.rows as f64;
            (variance.max(0.0) * std::f64::consts::FRAC_2_PI).sqrt()
        })
    }

    fn over_bins(&self, of: impl Fn(&CalibrationBin) -> f64) -> Option<f64> {
        let sum = self.calibration.iter().map(|bin| of(bin) * bin.rows as f64).sum::<f64>();
        (!self.calibration.is_empty()).then(|| sum / self.rows as f64)
    }

    /// The standard error of the AUROC (Hanley and McNeil 1982); `None` where there is none.
    pub fn auroc_error(&self) -> Option<f64> {
        let auroc = self.auroc?;
        let (positives, negatives) = (self.positives as f64, (self.rows - self.positives) as f64);
        let (q1, q2) = (auroc / (2.0 - auroc), 2.0 * auroc * auroc / (1.0 + auroc));
        let square = auroc * auroc;
        let sum = auroc - square + (positives - 1.0) * (q1 - square) + (negatives - 1.0) * (q2 - square);
        Some((sum / (positives * negatives)).max(0.0).sqrt())
    }

    /// The mean of the scores as probabilities.
    pub fn mean_score(&self) -> f64 {
        let sums = self.calibration.iter().map(|bin| bin.mean_score * bin.rows as f64);
        sums.sum::<f64>() / self.rows as f64
    }
}

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties counting
/// one half (Mann and Whitney 1947). Exact, since the pairs are counted in integers. `None` where one class
/// is missing.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    auroc_of(Ranking::of(scores, labels).sorted())
}

/// [`auroc`] of ranked rows.
pub fn auroc_of(ranked: Ranked) -> Option<f64> {
    let mut positives = 0_u128;
    let mut twice_won = 0_u128;
    for group in ranked.groups() {
        let (above, tied) = (positives, u128::from(group.positives));
        twice_won += u128::from(group.negatives) * (2 * above + tied);
        positives += tied;
    }
    let pairs = positives * ranked.negatives.len() as u128;
    (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
}

/// Average precision: the sum over the distinct scores, from the highest down, of the precision there times
/// the recall gained (no interpolation; as scikit-learn's `average_precision_score`). `None` where one class
/// is missing.
pub fn average_precision_of(ranked: Ranked) -> Option<f64> {
    let (mut found, mut taken, mut sum) = (0_u64, 0_u64, 0.0);
    for group in ranked.groups() {
        found += group.positives;
        taken += group.rows();
        sum += group.positives as f64 * (found as f64 / taken as f64);
    }
    (found > 0 && found < taken).then(|| sum / found as f64)
}

/// The mean of [`log_loss_of_row`]. `None` where there are no rows.
///
/// # Panics
/// If `scores` and `labels` differ in length.
pub fn log_loss(scores: &[f64], labels: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "one label for each score");
    mean(scores.iter().copied().zip(labels.iter().copied()), log_loss_of_row)
}

/// Negative log likelihood, natural logarithm, of a probability kept at least 2⁻⁵² away from 0 and 1.
#[inline]
pub fn log_loss_of_row(score: f64, label: bool) -> f64 {
    let clipped = probability(score).clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    -(if label { clipped } else { 1.0 - clipped }).ln()
}

/// Squared difference between probability and outcome; its mean is the Brier score (Brier 1950).
#[inline]
pub fn brier_of_row(score: f64, label: bool) -> f64 {
    (probability(score) - f64::from(u8::from(label))).powi(2)
}

fn mean(rows: impl Iterator<Item = (f64, bool)>, loss: impl Fn(f64, bool) -> f64) -> Option<f64> {
    let (mut count, mut sum) = (0_u64, 0.0);
    for (score, label) in rows {
        count += 1;
        sum += loss(score, label);
    }
    (count > 0).then(|| sum / count as f64)
}

/// The calibration table: `bins` bins of equal width over `[0, 1]`, the last one closed, only those that hold
/// rows.
pub fn calibration_of(ranked: Ranked, bins: usize) -> Vec<CalibrationBin> {
    let mut sums = vec![(0_u64, 0.0, 0_u64); bins];
    for (score, label) in ranked.rows() {
        let score = probability(score);
        if let Some((rows, total, positives)) = sums.get_mut(bin_of(score, bins)) {
            *rows += 1;
            *total += score;
            *positives += u64::from(label);
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

fn edge(bin: usize, bins: usize) -> f64 {
    bin as f64 / bins as f64
}

/// The bin whose printed edges hold the score. `score * bins` alone can be rounded into the neighbouring bin.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::cmp::Ordering;

    fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
        average_precision_of(Ranking::of(scores, labels).sorted())
    }

    fn brier(scores: &[f64], labels: &[bool]) -> Option<f64> {
        Metrics::of(scores, labels).map(|metrics| metrics.brier)
    }

    fn calibration_bins(scores: &[f64], labels: &[bool], bins: usize) -> Vec<CalibrationBin> {
        calibration_of(Ranking::of(scores, labels).sorted(), bins)
    }

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
    fn two_hundred_rows_give_what_scikit_learn_gives() {
        // roc_auc_score, average_precision_score, log_loss of clipped scores, brier_score_loss (1.9.1).
        let scores: Vec<f64> = (1..=200).map(|i| f64::from(i * 37 % 101) / 100.0).collect();
        let label = |(i, score): (i32, &f64)| f64::from((i * i * 7 + i * 3) % 11) < 2.0 + 6.0 * score;
        let labels: Vec<bool> = (1..).zip(&scores).map(label).collect();
        let metrics = Metrics::of(&scores, &labels).unwrap();
        assert_eq!(metrics.positives, 117);
        assert!(same(metrics.auroc, Some(0.6807743795695602)));
        assert!(same(metrics.average_precision, Some(0.7443180007752218)));
        assert!(same(Some(metrics.log_loss), Some(1.0695865498323247)));
        assert!(same(Some(metrics.brier), Some(0.24560200000000001)));
        assert!(same(Some(metrics.mean_score()), Some(scores.iter().sum::<f64>() / 200.0)));
    }

    #[test]
    fn calibration_error_is_the_mean_distance_of_the_bins() {
        let scores: Vec<f64> = (1..=200).map(|i| f64::from(i * 37 % 101) / 100.0).collect();
        let label = |(i, score): (i32, &f64)| f64::from((i * i * 7 + i * 3) % 11) < 2.0 + 6.0 * score;
        let labels: Vec<bool> = (1..).zip(&scores).map(label).collect();
        let metrics = Metrics::of(&scores, &labels).unwrap();
        // numpy 2: the bins floor(10 * score), the last of them with 1.
        assert!(same(metrics.calibration_error(), Some(0.1402)));
        let chance = metrics.calibration_error_by_chance().unwrap();
        assert!(chance > 0.03 && chance < 0.1, "{chance}");
        assert_eq!(Metrics { calibration: Vec::new(), ..metrics }.calibration_error(), None);
    }

    #[test]
    fn the_error_of_an_auroc_is_its_spread_over_exponential_scores() {
        // Of scores that are exponential, positive ones nine times as high, the area is 0.9 and the formula exact.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let labels: Vec<bool> = (0..80).map(|n| n < 30).collect();
        let mut draw = || {
            let score = |label: &bool| if *label { 9.0 } else { 1.0 } * -random.random::<f64>().ln();
            let scores: Vec<f64> = labels.iter().map(score).collect();
            auroc(&scores, &labels).unwrap()
        };
        let draws = 4000;
        let variance = (0..draws).map(|_| (draw() - 0.9_f64).powi(2)).sum::<f64>() / f64::from(draws);
        let metrics = Metrics {
            rows: 80,
            positives: 30,
            auroc: Some(0.9),
            average_precision: None,
            log_loss: 0.0,
            brier: 0.0,
            calibration: Vec::new(),
            lists: None,
        };
        let error = metrics.auroc_error().unwrap();
        assert!((error / variance.sqrt() - 1.0).abs() < 0.05, "{error} {}", variance.sqrt());
        assert_eq!(Metrics { auroc: None, ..metrics }.auroc_error(), None);
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
