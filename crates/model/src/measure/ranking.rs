//! Scores beside their outcomes: what every metric and every chart of probabilities is computed from.
//!
//! A ranking takes 8 bytes a row. What is computed from it does not depend on the order of the rows, nor on how many
//! rankings they came in.

use allocator_api2::alloc::{Allocator, Global};
use allocator_api2::vec::Vec;

/// The scores of all rows, by outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking<A: Allocator = Global> {
    positives: Vec<f64, A>,
    negatives: Vec<f64, A>,
    sorted: bool,
}

impl Ranking {
    /// One score and one label for each row.
    ///
    /// # Panics
    /// If `scores` and `labels` differ in length.
    pub fn of(scores: &[f64], labels: &[bool]) -> Self {
        assert_eq!(scores.len(), labels.len(), "one label for each score");
        let mut ranking = Self::new_in(Global);
        scores.iter().zip(labels).for_each(|(score, label)| ranking.insert(*score, *label));
        ranking
    }
}

impl<A: Allocator + Copy> Ranking<A> {
    pub fn new_in(allocator: A) -> Self {
        Self { positives: Vec::new_in(allocator), negatives: Vec::new_in(allocator), sorted: true }
    }

    /// Takes a row. A score that is NaN ranks below every number.
    #[inline]
    pub fn insert(&mut self, score: f64, label: bool) {
        // Adding zero makes both zeros one score.
        let rank = if score.is_nan() { f64::NEG_INFINITY } else { score + 0.0 };
        if label {
            self.positives.push(rank);
        } else {
            self.negatives.push(rank);
        }
        self.sorted = false;
    }

    /// Takes the rows of another ranking.
    pub fn merge<B: Allocator>(&mut self, other: &Ranking<B>) {
        self.positives.extend_from_slice(&other.positives);
        self.negatives.extend_from_slice(&other.negatives);
        self.sorted = false;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.positives.len() + self.negatives.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scores of positive rows, and of negative ones, in no order.
    pub fn scores(&self) -> [&[f64]; 2] {
        [&self.positives, &self.negatives]
    }

    /// The rows in order.
    pub fn sorted(&mut self) -> Ranked<'_> {
        if !self.sorted {
            self.positives.sort_unstable_by(f64::total_cmp);
            self.negatives.sort_unstable_by(f64::total_cmp);
            self.sorted = true;
        }
        Ranked { positives: &self.positives, negatives: &self.negatives }
    }
}

/// The scores of all rows by outcome, each lowest first.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    pub positives: &'a [f64],
    pub negatives: &'a [f64],
}

/// Rows that share one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    pub score: f64,
    pub positives: u64,
    pub negatives: u64,
}

impl Group {
    pub fn rows(&self) -> u64 {
        self.positives + self.negatives
    }
}

impl<'a> Ranked<'a> {
    /// The distinct scores, highest first.
    pub fn groups(self) -> impl Iterator<Item = Group> + 'a {
        let (mut positives, mut negatives) = (self.positives, self.negatives);
        std::iter::from_fn(move || {
            let score = match (positives.last(), negatives.last()) {
                (Some(positive), Some(negative)) => positive.max(*negative),
                (Some(score), None) | (None, Some(score)) => *score,
                (None, None) => return None,
            };
            Some(Group {
                score,
                positives: take(&mut positives, score),
                negatives: take(&mut negatives, score),
            })
        })
    }

    /// How many rows there are.
    pub fn len(self) -> usize {
        self.positives.len() + self.negatives.len()
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// All rows, positive ones first.
    pub fn rows(self) -> impl Iterator<Item = (f64, bool)> + Clone + 'a {
        let positives = self.positives.iter().map(|score| (*score, true));
        positives.chain(self.negatives.iter().map(|score| (*score, false)))
    }
}

/// A score read as a probability: NaN says nothing, which is 0.
pub(super) fn probability(score: f64) -> f64 {
    if score.is_nan() {
        0.0
    } else {
        score.clamp(0.0, 1.0)
    }
}

/// Takes the rows with this score, the highest, off the end; returns how many there were.
fn take(scores: &mut &[f64], score: f64) -> u64 {
    let count = scores.iter().rev().take_while(|other| **other == score).count();
    *scores = &scores[..scores.len() - count];
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_come_from_the_highest_score_with_ties_together() {
        let mut ranking = Ranking::of(&[0.5, 0.1, f64::NAN, 0.5, 0.9], &[true, false, true, false, true]);
        let groups: std::vec::Vec<_> =
            ranking.sorted().groups().map(|g| (g.score, g.positives, g.negatives)).collect();
        assert_eq!(groups, [(0.9, 1, 0), (0.5, 1, 1), (0.1, 0, 1), (f64::NEG_INFINITY, 1, 0)]);
    }

    #[test]
    fn both_zeros_are_one_score() {
        let mut ranking = Ranking::of(&[0.0, -0.0], &[true, false]);
        assert_eq!(ranking.sorted().groups().count(), 1);
    }

    proptest! {
        #[test]
        fn merging_is_taking_all_rows(rows in prop::collection::vec((-3..3_i8, any::<bool>()), 0..40), cut in 0..40_usize) {
            let (scores, labels): (std::vec::Vec<f64>, std::vec::Vec<bool>) =
                rows.iter().map(|(s, l)| (f64::from(*s), *l)).unzip();
            let cut = cut.min(scores.len());
            let mut parts = Ranking::of(&scores[cut..], &labels[cut..]);
            parts.sorted();
            parts.merge(&Ranking::of(&scores[..cut], &labels[..cut]));
            let mut whole = Ranking::of(&scores, &labels);
            prop_assert!(parts.sorted().groups().eq(whole.sorted().groups()));
            prop_assert_eq!(whole.sorted().groups().map(|g| g.rows()).sum::<u64>(), scores.len() as u64);
        }
    }
}
