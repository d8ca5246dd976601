//! Rows measured one by one as they are scored, whatever the task.

use super::metrics::Metrics;
use super::quality::{Errors, Quality};
use super::ranking::Ranking;
use crate::algorithm::Task;
use allocator_api2::alloc::Allocator;

/// What is kept of the rows seen so far: 8 bytes a row where probabilities are ranked, a few sums where not.
#[derive(Debug, Clone)]
pub enum Tally<A: Allocator> {
    Binary(Ranking<A>),
    Regression(Errors),
}

impl<A: Allocator + Copy> Tally<A> {
    /// A tally without rows. The rows it takes will be kept in memory of this allocator.
    pub fn new_in(task: Task, allocator: A) -> Self {
        match task {
            Task::Binary => Self::Binary(Ranking::new_in(allocator)),
            Task::Regression => Self::Regression(Errors::default()),
        }
    }

    /// Takes a row. Labels of a binary task are 0 or 1.
    #[inline]
    pub fn insert(&mut self, score: f64, quantiles: Option<&[f64; 3]>, label: f64) {
        match self {
            Self::Binary(ranking) => ranking.insert(score, label == 1.0),
            Self::Regression(errors) => errors.insert(score, quantiles, label),
        }
    }

    /// Takes the rows of another tally of the same task.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Binary(mine), Self::Binary(theirs)) => mine.merge(theirs),
            (Self::Regression(mine), Self::Regression(theirs)) => mine.merge(theirs),
            _ => {}
        }
    }

    /// The metrics of all rows; `None` without rows.
    pub fn quality(&mut self) -> Option<Quality> {
        match self {
            Self::Binary(ranking) => Metrics::of_ranking(ranking).map(Quality::Binary),
            Self::Regression(errors) => errors.metrics().map(Quality::Regression),
        }
    }
}
