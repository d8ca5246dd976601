//! The numbers behind charts of probabilities: ROC curve, confusion matrix, lift by bucket. The calibration table is in
//! [`crate::metrics`].

use super::ranking::{Group, Ranked};

/// A point of the ROC curve: its rates are those of a prediction that is positive where the score is at least the
/// threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Infinite at the curve's beginning, where nothing is predicted positive.
    pub threshold: f64,
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
}

/// The ROC curve in at most `points` points, from (0, 0) to (1, 1); empty where one class is missing.
///
/// Points on a straight line between their neighbours are left out, which loses nothing. If more than `points` remain,
/// the way from (0, 0) to (1, 1), measured along both axes, is cut into `points - 2` equal parts, and the point of each
/// part with the largest difference of the rates is kept. So the best threshold of all (Youden 1950) is kept too, and a
/// point that was left out is at most `2 / (points - 2)`, along both axes, from the kept point of its part.
///
/// # Panics
/// If `points` is less than 3.
pub fn roc_curve(ranked: Ranked, points: usize) -> Vec<RocPoint> {
    assert!(points >= 3, "both ends and one between them");
    let all =
        Corner { threshold: 0.0, found: ranked.positives.len() as u64, wrong: ranked.negatives.len() as u64 };
    if all.found == 0 || all.wrong == 0 {
        return Vec::new();
    }
    let point = |corner: Corner| RocPoint {
        threshold: corner.threshold,
        false_positive_rate: corner.wrong as f64 / all.wrong as f64,
        true_positive_rate: corner.found as f64 / all.found as f64,
    };
    let start = Corner { threshold: f64::INFINITY, found: 0, wrong: 0 };
    let curve = || std::iter::once(start).chain(corners(ranked));
    if curve().take(points + 1).count() <= points {
        return curve().map(point).collect();
    }
    let parts = points - 2;
    let mut kept = vec![point(start)];
    let mut best: Option<(usize, Corner)> = None;
    let mut last = start;
    for corner in corners(ranked) {
        last = corner;
        if corner.found == all.found && corner.wrong == all.wrong {
            break;
        }
        let part = (corner.way(all) / 2.0 * parts as f64) as usize;
        best = match best {
            Some((current, before)) if current == part && before.gain(all) >= corner.gain(all) => best,
            Some((current, before)) => {
                if current != part {
                    kept.push(point(before));
                }
                Some((part, corner))
            }
            None => Some((part, corner)),
        };
    }
    kept.extend(best.map(|(_, corner)| point(corner)));
    kept.push(point(last));
    kept
}

/// Rows predicted positive from a threshold on.
#[derive(Clone, Copy)]
struct Corner {
    threshold: f64,
    found: u64,
    wrong: u64,
}

impl Corner {
    /// The sum of both rates.
    fn way(&self, all: Corner) -> f64 {
        self.found as f64 / all.found as f64 + self.wrong as f64 / all.wrong as f64
    }

    /// The difference of both rates, times the number of pairs.
    fn gain(&self, all: Corner) -> i128 {
        i128::from(self.found) * i128::from(all.wrong) - i128::from(self.wrong) * i128::from(all.found)
    }
}

/// The points at which the curve changes its direction, and its end.
fn corners(ranked: Ranked<'_>) -> impl Iterator<Item = Corner> + '_ {
    let mut groups = ranked.groups().peekable();
    let (mut found, mut wrong) = (0, 0);
    std::iter::from_fn(move || loop {
        let group = groups.next()?;
        found += group.positives;
        wrong += group.negatives;
        let goes_on = groups.peek().is_some_and(|next| {
            u128::from(group.positives) * u128::from(next.negatives)
                == u128::from(next.positives) * u128::from(group.negatives)
        });
        if !goes_on {
            return Some(Corner { threshold: group.score, found, wrong });
        }
    })
}

/// Outcomes beside predictions: positive where the score is at least the threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    pub true_positives: u64,
    pub false_positives: u64,
    pub false_negatives: u64,
    pub true_negatives: u64,
}

impl Confusion {
    /// The matrix of ranked rows at a threshold, which must be finite.
    pub fn of(ranked: Ranked, threshold: f64) -> Self {
        let below = |scores: &[f64]| scores.partition_point(|score| *score < threshold) as u64;
        let (false_negatives, true_negatives) = (below(ranked.positives), below(ranked.negatives));
        Self {
            true_positives: ranked.positives.len() as u64 - false_negatives,
            false_positives: ranked.negatives.len() as u64 - true_negatives,
            false_negatives,
            true_negatives,
        }
    }

    pub fn rows(&self) -> u64 {
        self.true_positives + self.false_positives + self.false_negatives + self.true_negatives
    }

    /// The share of the predicted positives that are positive; `None` where none is predicted.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// The share of positives that are predicted; `None` where there are none.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// The harmonic mean of precision and recall; `None` where nothing is positive nor predicted to be.
    pub fn f1(&self) -> Option<f64> {
        let twice = 2 * self.true_positives;
        share(twice, twice + self.false_positives + self.false_negatives)
    }

    /// The share of rows predicted right; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.true_positives + self.true_negatives, self.rows())
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// An equal share of the rows by rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiftBucket {
    /// The number of the bucket, from 1; bucket 1 has the highest scores.
    pub bucket: u32,
    pub rows: u64,
    pub lowest_score: f64,
    pub positives: f64,
    /// The share of the bucket's rows that are positive.
    pub rate: f64,
    /// The bucket's rate divided by the rate of all rows; `None` where no row is positive.
    pub lift: Option<f64>,
    /// The share of all positives in this bucket and those above it; `None` where no row is positive.
    pub cumulative_gain: Option<f64>,
}

/// The rows by rank in `buckets` buckets whose sizes differ by at most one row, larger ones first; fewer where there are
/// fewer rows. Where rows with one score fall into several buckets, each gets its share of their positives: what it
/// would get on average if they were shuffled.
pub fn lift(ranked: Ranked, buckets: u32) -> Vec<LiftBucket> {
    let positives = ranked.positives.len() as u64;
    let rows = positives + ranked.negatives.len() as u64;
    let buckets = u64::from(buckets).min(rows);
    let mut places = places(ranked);
    let mut found_above = 0.0;
    (0..buckets)
        .map(|n| {
            let size = rows / buckets + u64::from(n < rows % buckets);
            let found = places.advance(size);
            let in_bucket = found - found_above;
            found_above = found;
            let rate = in_bucket / size as f64;
            let overall = positives as f64 / rows as f64;
            LiftBucket {
                bucket: n as u32 + 1,
                rows: size,
                lowest_score: places.score,
                positives: in_bucket,
                rate,
                lift: (positives > 0).then(|| rate / overall),
                cumulative_gain: (positives > 0).then(|| found / positives as f64),
            }
        })
        .collect()
}

/// A place among the ranked rows that moves down.
struct Places<I> {
    groups: I,
    score: f64,
    /// The rows of the current group that are not passed yet, and the positives for each row of it.
    left: u64,
    density: (u64, u64),
    /// Positives in all groups up to this one.
    found: u64,
}

fn places(ranked: Ranked<'_>) -> Places<impl Iterator<Item = Group> + '_> {
    Places { groups: ranked.groups(), score: f64::INFINITY, left: 0, density: (0, 1), found: 0 }
}

impl<I: Iterator<Item = Group>> Places<I> {
    /// Moves down by some rows and returns the positives above; a group that is passed in part counts with its share.
    fn advance(&mut self, mut rows: u64) -> f64 {
        while rows > self.left {
            rows -= self.left;
            let Some(group) = self.groups.next() else {
                self.left = 0;
                break;
            };
            self.score = group.score;
            self.left = group.rows();
            self.density = (group.positives, group.rows());
            self.found += group.positives;
        }
        self.left = self.left.saturating_sub(rows);
        let (positives, of) = self.density;
        self.found as f64 - self.left as f64 * positives as f64 / of as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::metrics::auroc_of;
    use crate::measure::ranking::Ranking;
    use proptest::prelude::*;

    /// Scores with many ties, and their labels.
    fn rows() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        let score = prop_oneof![(0..8_u8).prop_map(|s| f64::from(s) / 7.0), 0.0..1.0_f64];
        prop::collection::vec((score, any::<bool>()), 1..80).prop_map(|rows| rows.into_iter().unzip())
    }

    /// The area under a curve of straight lines.
    fn area(curve: &[RocPoint]) -> f64 {
        let strip = |pair: &[RocPoint]| {
            (pair[1].false_positive_rate - pair[0].false_positive_rate)
                * (pair[1].true_positive_rate + pair[0].true_positive_rate)
                / 2.0
        };
        curve.windows(2).map(strip).sum()
    }

    fn rates_at(threshold: f64, scores: &[f64], labels: &[bool]) -> (f64, f64) {
        let share = |wanted: bool| {
            let of: Vec<f64> =
                scores.iter().zip(labels).filter(|(_, l)| **l == wanted).map(|(s, _)| *s).collect();
            of.iter().filter(|score| **score >= threshold).count() as f64 / of.len() as f64
        };
        (share(false), share(true))
    }

    proptest! {
        #[test]
        fn every_point_of_a_curve_is_what_its_threshold_gives((scores, labels) in rows(), points in 3..20_usize) {
            let mut ranking = Ranking::of(&scores, &labels);
            let curve = roc_curve(ranking.sorted(), points);
            let both = labels.contains(&true) && labels.contains(&false);
            prop_assert_eq!(curve.is_empty(), !both);
            for point in &curve {
                let expected = rates_at(point.threshold, &scores, &labels);
                prop_assert_eq!((point.false_positive_rate, point.true_positive_rate), expected);
            }
            prop_assert!(curve.len() <= points);
            if both {
                let ends = (curve[0], curve[curve.len() - 1]);
                prop_assert_eq!((ends.0.true_positive_rate, ends.0.false_positive_rate), (0.0, 0.0));
                prop_assert_eq!((ends.1.true_positive_rate, ends.1.false_positive_rate), (1.0, 1.0));
            }
        }

        #[test]
        fn an_unthinned_curve_has_the_area_and_a_thinned_one_the_best_threshold((scores, labels) in rows()) {
            let mut ranking = Ranking::of(&scores, &labels);
            let whole = roc_curve(ranking.sorted(), 1000);
            if let Some(auroc) = auroc_of(ranking.sorted()) {
                prop_assert!((area(&whole) - auroc).abs() < 1e-12);
            }
            let youden = |curve: &[RocPoint]| {
                curve.iter().map(|p| p.true_positive_rate - p.false_positive_rate).fold(0.0, f64::max)
            };
            for points in 3..10 {
                let thinned = roc_curve(ranking.sorted(), points);
                prop_assert!((youden(&thinned) - youden(&whole)).abs() < 1e-12);
                prop_assert!(thinned.windows(2).all(|p| p[0].threshold > p[1].threshold));
                let way = |p: &RocPoint| p.true_positive_rate + p.false_positive_rate;
                for left_out in &whole {
                    let nearest = thinned.iter().map(|p| (way(p) - way(left_out)).abs()).fold(9.0, f64::min);
                    prop_assert!(nearest <= 2.0 / (points - 2) as f64 + 1e-12);
                }
            }
        }

        #[test]
        fn a_confusion_matrix_counts_every_row((scores, labels) in rows(), threshold in -0.1..1.1_f64) {
            let count = |predicted: bool, label: bool| {
                let cell = |(s, l): &(&f64, &bool)| (**s >= threshold) == predicted && **l == label;
                scores.iter().zip(&labels).filter(cell).count() as u64
            };
            let found = Confusion::of(Ranking::of(&scores, &labels).sorted(), threshold);
            prop_assert_eq!((found.true_positives, found.false_positives), (count(true, true), count(true, false)));
            prop_assert_eq!((found.false_negatives, found.true_negatives), (count(false, true), count(false, false)));
            let (_, recall) = rates_at(threshold, &scores, &labels);
            prop_assert!(recall.is_nan() && found.recall().is_none() || Some(recall) == found.recall());
        }

        #[test]
        fn buckets_share_rows_and_positives((scores, labels) in rows(), buckets in 1..20_u32) {
            let mut ranking = Ranking::of(&scores, &labels);
            let table = lift(ranking.sorted(), buckets);
            let positives = labels.iter().filter(|label| **label).count() as f64;
            prop_assert_eq!(table.len(), scores.len().min(buckets as usize));
            prop_assert_eq!(table.iter().map(|b| b.rows).sum::<u64>(), scores.len() as u64);
            prop_assert!((table.iter().map(|b| b.positives).sum::<f64>() - positives).abs() < 1e-9);
            prop_assert!(table.windows(2).all(|b| b[0].rows >= b[1].rows && b[0].rows <= b[1].rows + 1));
            prop_assert!(table.windows(2).all(|b| b[0].lowest_score >= b[1].lowest_score));
            if positives > 0.0 {
                prop_assert_eq!(table[table.len() - 1].cumulative_gain, Some(1.0));
            }
            // The average over all orders in which equal scores can stand: that of one row of each in turn.
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let share = |row: usize| {
                let tied: Vec<usize> = order.iter().copied().filter(|r| scores[*r] == scores[row]).collect();
                tied.iter().filter(|r| labels[**r]).count() as f64 / tied.len() as f64
            };
            let mut at = 0;
            for bucket in &table {
                let expected: f64 = order[at..at + bucket.rows as usize].iter().map(|row| share(*row)).sum();
                prop_assert!((bucket.positives - expected).abs() < 1e-9);
                at += bucket.rows as usize;
                prop_assert_eq!(bucket.lowest_score, scores[order[at - 1]]);
            }
        }
    }

    #[test]
    fn rates_of_a_confusion_matrix_are_what_scikit_learn_gives() {
        // precision_score, recall_score, f1_score and accuracy_score of as many rows (1.9.1).
        let found =
            Confusion { true_positives: 74, false_positives: 27, false_negatives: 43, true_negatives: 56 };
        let rates = [found.precision(), found.recall(), found.f1(), found.accuracy()];
        let expected = [0.7326732673267327, 0.6324786324786325, 0.6788990825688074, 0.65];
        for (rate, expected) in rates.into_iter().zip(expected) {
            assert!((rate.unwrap() - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_known_curve() {
        // scikit-learn's example for roc_curve.
        let mut ranking = Ranking::of(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
        let curve: Vec<_> = roc_curve(ranking.sorted(), 200)
            .iter()
            .map(|p| (p.threshold, p.false_positive_rate, p.true_positive_rate))
            .collect();
        let expected =
            [(f64::INFINITY, 0.0, 0.0), (0.8, 0.0, 0.5), (0.4, 0.5, 0.5), (0.35, 0.5, 1.0), (0.1, 1.0, 1.0)];
        assert_eq!(curve, expected);
    }

    #[test]
    fn what_cannot_be_said_is_none() {
        let nothing = Confusion::default();
        assert_eq!(
            (nothing.precision(), nothing.recall(), nothing.f1(), nothing.accuracy()),
            (None, None, None, None)
        );
        let mut ranking = Ranking::of(&[0.5, 0.5, 0.1], &[false; 3]);
        let table = lift(ranking.sorted(), 2);
        assert_eq!(
            (table.len(), table[0].lift, table[1].cumulative_gain, table[0].rate),
            (2, None, None, 0.0)
        );
        assert!(lift(Ranking::of(&[], &[]).sorted(), 10).is_empty());
    }
}
