//! How good the lists are that people act on: of each region, in each week, the k rows with the highest scores.
//!
//! Precision and recall at k are those of Manning, Raghavan and Schütze (2008, chapter 8), but a list with fewer than k rows
//! is taken whole and divided by its own length: nobody can act on rows that are not there. Rows that tie for the last
//! places share these in proportion, so that every figure is its mean over all orders of such rows (McSherry and Najork 2008)
//! and does not depend on the order in which rows come.

use super::ranking::{probability, Ranked};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How good the first k rows of each list are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListMetrics {
    pub k: u64,
    /// Lists that have rows.
    pub lists: u64,
    /// The share of positives among the first k rows of a list, or among all of a shorter one, a mean over the lists. A
    /// list without positives counts 0.
    pub precision_at_k: f64,
    /// The share of all positives that are among the first k rows of their lists. It is not a mean over the lists, because
    /// a list without positives has no recall. `None` without positives.
    pub recall_at_k: Option<f64>,
    /// The sum of the scores of the first k rows, as probabilities, a mean over the lists: how many positives are expected.
    pub expected_at_k: f64,
    /// How many of them were positive, a mean over the lists.
    pub positives_at_k: f64,
}

/// The first k rows of one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Top {
    /// How many they are: k, or all rows of a shorter list.
    rows: u64,
    /// The positives among them; a fraction where rows tie for the last places.
    positives: f64,
    /// The sum of their scores as probabilities.
    expected: f64,
    /// The positives of the whole list.
    all_positives: u64,
}

impl Top {
    /// The first `k` rows of a list; `None` of a list without rows, and where k is 0.
    pub fn of(list: Ranked, k: usize) -> Option<Self> {
        let rows = (k as u64).min(list.len() as u64);
        let mut top =
            Self { rows, positives: 0.0, expected: 0.0, all_positives: list.positives.len() as u64 };
        let mut left = rows;
        for group in list.groups() {
            let taken = group.rows().min(left);
            top.positives += group.positives as f64 * (taken as f64 / group.rows() as f64);
            top.expected += taken as f64 * probability(group.score);
            left -= taken;
            if left == 0 {
                break;
            }
        }
        (rows > 0).then_some(top)
    }

    fn order(&self, other: &Self) -> Ordering {
        let Self { rows, positives, expected, all_positives } = other;
        let by_precision = self.rows.cmp(rows).then_with(|| self.positives.total_cmp(positives));
        let by_expected = by_precision.then_with(|| self.expected.total_cmp(expected));
        by_expected.then_with(|| self.all_positives.cmp(all_positives))
    }
}

impl ListMetrics {
    /// The figures of all lists, of whose rows the first `k` were taken; `None` without lists.
    pub fn of(k: usize, tops: impl IntoIterator<Item = Top>) -> Option<Self> {
        let mut tops: Vec<Top> = tops.into_iter().collect();
        // Sums of floats depend on their order, and lists come in that in which their rows were read.
        tops.sort_unstable_by(Top::order);
        let sum = |of: fn(&Top) -> f64| tops.iter().map(of).sum::<f64>();
        let mean = |of| sum(of) / tops.len() as f64;
        let all_positives: u64 = tops.iter().map(|top| top.all_positives).sum();
        (!tops.is_empty()).then(|| Self {
            k: k as u64,
            lists: tops.len() as u64,
            precision_at_k: mean(|top| top.positives / top.rows as f64),
            recall_at_k: (all_positives > 0).then(|| sum(|top| top.positives) / all_positives as f64),
            expected_at_k: mean(|top| top.expected),
            positives_at_k: mean(|top| top.positives),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranking::Ranking;
    use super::*;
    use proptest::prelude::*;

    /// The figures of lists that are given as scores beside labels.
    fn of(k: usize, lists: &[&[(f64, bool)]]) -> Option<ListMetrics> {
        let tops = lists.iter().filter_map(|rows| {
            let (scores, labels): (Vec<f64>, Vec<bool>) = rows.iter().copied().unzip();
            Top::of(Ranking::of(&scores, &labels).sorted(), k)
        });
        ListMetrics::of(k, tops)
    }

    #[test]
    fn lists_of_different_lengths_count_alike() {
        // The first two of each: one of two positive, both of two, and of a list of one row that one.
        let north = [(0.9, true), (0.8, false), (0.7, true), (0.1, false)];
        let south = [(0.2, false), (0.4, true), (0.3, true)];
        let west = [(0.5, false)];
        let found = of(2, &[&north, &south, &west]).unwrap();
        assert_eq!((found.k, found.lists), (2, 3));
        assert!((found.precision_at_k - (0.5 + 1.0 + 0.0) / 3.0).abs() < 1e-12);
        assert_eq!(found.recall_at_k, Some(3.0 / 4.0));
        assert_eq!(found.positives_at_k, 1.0);
        assert!((found.expected_at_k - (0.9 + 0.8 + 0.4 + 0.3 + 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn rows_that_tie_for_the_last_places_share_them() {
        // One place for three rows of which two are positive.
        let rows = [(0.9, false), (0.5, true), (0.5, false), (0.5, true), (0.1, true)];
        let found = of(2, &[&rows]).unwrap();
        assert!((found.precision_at_k - (2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert!((found.recall_at_k.unwrap() - (2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((found.expected_at_k - 1.4).abs() < 1e-12);
        // Where all places are those of the tie, it is the rate of all rows.
        assert_eq!(
            of(2, &[&[(0.5, true), (0.5, false), (0.5, false), (0.5, false)]]).unwrap().precision_at_k,
            0.25
        );
    }

    #[test]
    fn a_list_without_positives_counts_as_no_precision_and_has_no_recall() {
        let found = of(1, &[&[(0.9, true), (0.1, false)], &[(0.8, false), (0.7, false)]]).unwrap();
        assert_eq!((found.precision_at_k, found.recall_at_k), (0.5, Some(1.0)));
        let none = of(1, &[&[(0.9, false)], &[(0.8, false)]]).unwrap();
        assert_eq!((none.precision_at_k, none.recall_at_k, none.positives_at_k), (0.0, None, 0.0));
    }

    #[test]
    fn a_list_shorter_than_k_is_taken_whole() {
        let found = of(10_000, &[&[(0.9, true), (0.1, false), (0.3, true)]]).unwrap();
        assert!((found.precision_at_k - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((found.recall_at_k, found.positives_at_k), (Some(1.0), 2.0));
        assert!((found.expected_at_k - 1.3).abs() < 1e-12);
    }

    #[test]
    fn without_rows_there_is_nothing() {
        assert_eq!(of(3, &[]), None);
        assert_eq!(of(3, &[&[]]), None);
    }

    #[test]
    fn a_score_that_is_no_number_comes_last_and_expects_nothing() {
        let found = of(1, &[&[(f64::NAN, true), (0.2, false)]]).unwrap();
        assert_eq!((found.precision_at_k, found.expected_at_k), (0.0, 0.2));
        let found = of(2, &[&[(f64::NAN, true), (0.2, false)]]).unwrap();
        assert_eq!((found.precision_at_k, found.expected_at_k), (0.5, 0.2));
    }

    proptest! {
        #[test]
        fn the_order_of_the_lists_changes_no_bit(
            lists in prop::collection::vec(prop::collection::vec((0.0..1.0_f64, any::<bool>()), 1..5), 1..9), k in 1..4_usize
        ) {
            let mut lists: Vec<&[(f64, bool)]> = lists.iter().map(|rows| &rows[..]).collect();
            let found = of(k, &lists);
            lists.reverse();
            prop_assert_eq!(&of(k, &lists), &found);
            lists.sort_by_key(|rows| rows.len());
            prop_assert_eq!(of(k, &lists), found);
        }

        #[test]
        fn ties_count_what_they_do_on_average_over_all_orders(
            rows in prop::collection::vec((0..3_u8, any::<bool>()), 1..7), k in 1..8_usize
        ) {
            let rows: Vec<(f64, bool)> = rows.iter().map(|(score, label)| (f64::from(*score) / 2.0, *label)).collect();
            let found = of(k, &[&rows]).unwrap();
            let (mut sum, mut orders) = (0.0, 0.0);
            permutations(rows.len(), &mut |order| {
                let mut sorted: Vec<_> = order.iter().map(|n| rows[*n]).collect();
                // Stable: what ties stays in this order.
                sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
                let taken = &sorted[..k.min(rows.len())];
                sum += taken.iter().filter(|(_, label)| *label).count() as f64 / taken.len() as f64;
                orders += 1.0;
            });
            prop_assert!((found.precision_at_k - sum / orders).abs() < 1e-9, "{} {}", found.precision_at_k, sum / orders);
        }
    }

    /// Calls `with` with every order of so many things.
    fn permutations(count: usize, with: &mut dyn FnMut(&[usize])) {
        fn from(order: &mut Vec<usize>, fixed: usize, with: &mut dyn FnMut(&[usize])) {
            if fixed == order.len() {
                return with(order);
            }
            for n in fixed..order.len() {
                order.swap(fixed, n);
                from(order, fixed + 1, with);
                order.swap(fixed, n);
            }
        }
        from(&mut (0..count).collect(), 0, with);
    }
}
