//! The k best of many, kept in a heap of k.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something with a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<T> {
    pub item: T,
    pub score: f64,
}

/// Orders the best first: by descending score, then by ascending item.
impl<T: Ord> Ord for Scored<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.item.cmp(&other.item))
    }
}

impl<T: Ord> PartialOrd for Scored<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Eq for Scored<T> {}

/// Keeps the `k` best of the items that it is offered, in whatever order they come.
pub struct Best<T> {
    k: usize,
    /// A heap with the worst kept item on top.
    kept: BinaryHeap<Scored<T>>,
}

impl<T: Ord> Best<T> {
    pub fn new(k: usize) -> Self {
        Self { k, kept: BinaryHeap::with_capacity(k.min(1024) + 1) }
    }

    pub fn offer(&mut self, item: T, score: f64) {
        let offered = Scored { item, score };
        if self.kept.len() < self.k {
            self.kept.push(offered);
        } else if let Some(mut worst) = self.kept.peek_mut().filter(|worst| offered < **worst) {
            *worst = offered;
        }
    }

    /// The best first.
    pub fn finish(self) -> Vec<Scored<T>> {
        self.kept.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_the_first_of_all_in_order(scores in prop::collection::vec(0..20_i32, 0..80), k in 0..90_usize) {
            let mut best = Best::new(k);
            let mut all: Vec<_> = scores.iter().enumerate().collect();
            all.iter().for_each(|(item, score)| best.offer(*item, f64::from(**score)));
            all.sort_by_key(|(item, score)| (-**score, *item));
            let expected: Vec<_> = all.into_iter().take(k).map(|(item, _)| item).collect();
            let found: Vec<_> = best.finish().into_iter().map(|scored| scored.item).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
