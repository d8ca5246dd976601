//! Values counted by given bins, one by one, and how far they are from the training's.

use super::distance::{by_chance, jensen_shannon, psi};
use super::edges::{bin_of, edges_of};
use super::histogram::{Bins, Histogram};
use std::collections::HashMap;

/// Numbers from which edges are made at most.
const SAMPLE: usize = 50_000;

/// Counts of the values seen so far.
#[derive(Debug, Clone)]
pub struct Counts {
    bins: Bins,
    /// The bin of each value of a category.
    places: HashMap<String, usize>,
    counts: Vec<u64>,
    nulls: u64,
    range: Option<(f64, f64)>,
    /// The training's range, and how many values lay outside it.
    expected: Option<(f64, f64)>,
    outside: u64,
}

/// How far the values of a column are from those of training. Shares are of all values, NULLs among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    pub psi: Option<f64>,
    /// What the index reaches by chance once in a thousand times: see [`by_chance`].
    pub chance: Option<f64>,
    pub jensen_shannon: Option<f64>,
    pub nulls: Option<f64>,
    /// Values of a category that the recipe does not know.
    pub unseen: Option<f64>,
    pub range: Option<(f64, f64)>,
    /// Numbers below or above all of training.
    pub outside: Option<f64>,
}

impl Counts {
    pub fn new(bins: Bins) -> Self {
        let places = match &bins {
            Bins::Values(values) => values.iter().cloned().zip(0..).collect(),
            Bins::Edges(_) => HashMap::new(),
        };
        let counts = vec![0; bins.count()];
        Self { bins, places, counts, nulls: 0, range: None, expected: None, outside: 0 }
    }

    /// No counts yet, by the bins of a histogram.
    pub fn like(histogram: &Histogram) -> Self {
        Self { expected: histogram.range, ..Self::new(histogram.bins.clone()) }
    }

    /// Takes a number; one that is not finite counts as NULL, as it does in the recipe.
    #[inline]
    pub fn number(&mut self, value: f64) {
        let Bins::Edges(edges) = &self.bins else { return };
        if !value.is_finite() {
            self.nulls += 1;
            return;
        }
        self.counts[bin_of(edges, value)] += 1;
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
        self.outside += u64::from(self.expected.is_some_and(|(low, high)| value < low || value > high));
    }

    /// Takes `rows` rows with a text; `known` says whether it is in the recipe's vocabulary.
    #[inline]
    pub fn text(&mut self, value: &str, known: bool, rows: u64) {
        let unseen = self.counts.len() - 1;
        let bin = match known {
            true => self.places.get(value).copied().unwrap_or(unseen.saturating_sub(1)),
            false => unseen,
        };
        self.counts[bin] += rows;
    }

    /// Takes rows whose texts are not in the vocabulary, and not at hand.
    pub fn unseen(&mut self, rows: u64) {
        self.text("", false, rows);
    }

    #[inline]
    pub fn nulls(&mut self, rows: u64) {
        self.nulls += rows;
    }

    pub fn into_histogram(self) -> Histogram {
        Histogram { bins: self.bins, counts: self.counts, nulls: self.nulls, range: self.range }
    }

    /// How far these values are from the histogram that the counts are like. Distances are not defined where either has no
    /// value at all. NULL is a bin of its own.
    pub fn drift(&self, trained: &Histogram) -> Drift {
        let now = self.clone().into_histogram();
        let (ours, theirs) = (with_nulls(&now), with_nulls(trained));
        let (total, before) = (now.total(), trained.total());
        let comparable = total > 0 && before > 0 && ours.len() == theirs.len();
        let numbers = now.total() - now.nulls;
        Drift {
            psi: comparable.then(|| psi(&theirs, &ours)),
            chance: comparable.then(|| by_chance(&theirs, &ours)),
            jensen_shannon: comparable.then(|| jensen_shannon(&theirs, &ours)),
            nulls: now.null_share(),
            unseen: now.unseen(),
            range: now.range,
            outside: (self.expected.is_some() && numbers > 0).then(|| self.outside as f64 / numbers as f64),
        }
    }
}

impl Histogram {
    /// Of numbers, such as scores: all of them are counted, by edges from a sample that is spread evenly over them.
    pub fn of_numbers(values: &[f64]) -> Self {
        let sample = values.iter().step_by(values.len().div_ceil(SAMPLE).max(1)).copied();
        let edges = edges_of(&mut sample.collect());
        let mut counts = Counts::new(Bins::Edges(edges));
        values.iter().for_each(|value| counts.number(*value));
        counts.into_histogram()
    }
}

fn with_nulls(histogram: &Histogram) -> Vec<u64> {
    histogram.counts.iter().copied().chain([histogram.nulls]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_by_the_bins_of_training() {
        let trained = Histogram::of_numbers(&[0.0, 1.0, 1.0, 2.0]);
        let mut week = Counts::like(&trained);
        [2.0, 3.0, f64::NAN, -1.0].into_iter().for_each(|value| week.number(value));
        let drift = week.drift(&trained);
        assert_eq!((drift.nulls, drift.range), (Some(0.25), Some((-1.0, 3.0))));
        assert_eq!((drift.outside, drift.unseen), (Some(2.0 / 3.0), None));
        // Of training 1, 2, 1 and no NULL; of the week 1, 0, 2 and one.
        assert_eq!(drift.psi, Some(psi(&[1, 2, 1, 0], &[1, 0, 2, 1])));
    }

    #[test]
    fn values_that_are_not_listed_are_others_or_unseen() {
        let trained =
            Histogram { bins: Bins::Values(vec!["a".into()]), counts: vec![8, 2, 0], nulls: 0, range: None };
        let mut week = Counts::like(&trained);
        week.text("a", true, 1);
        week.text("b", true, 1);
        week.text("c", false, 2);
        week.nulls(1);
        let drift = week.drift(&trained);
        assert_eq!((drift.unseen, drift.nulls, drift.outside), (Some(0.4), Some(0.2), None));
        assert_eq!(drift.psi, Some(psi(&[8, 2, 0, 0], &[1, 1, 2, 1])));
    }

    #[test]
    fn no_rows_have_no_distance() {
        let trained = Histogram::of_numbers(&[0.0, 1.0]);
        let drift = Counts::like(&trained).drift(&trained);
        assert_eq!(drift, Drift::default());
    }

    #[test]
    fn the_same_values_have_no_distance_at_all() {
        let values: Vec<f64> = (0..500).map(|n| f64::from(n % 37)).collect();
        let trained = Histogram::of_numbers(&values);
        let mut week = Counts::like(&trained);
        values.iter().for_each(|value| week.number(*value));
        let drift = week.drift(&trained);
        assert_eq!((drift.psi, drift.jensen_shannon, drift.outside), (Some(0.0), Some(0.0), Some(0.0)));
    }
}
