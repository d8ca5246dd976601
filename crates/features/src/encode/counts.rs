//! How often each value of a column occurs.

use super::checks::limit;
use super::wire::{damaged, StateReader, StateWriter};
use crate::FeatureError;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// The most distinct values that a fit counts.
pub const MAX_DISTINCT: usize = 1 << 20;
/// The most bytes that distinct texts may have together.
pub const MAX_BYTES: usize = 64 << 20;

/// Values that can be counted: texts by their bytes, numbers by their bits.
pub trait Countable: Eq + Hash + Ord + Borrow<Self::Borrowed> {
    type Borrowed: Eq + Hash + ?Sized;

    fn of(borrowed: &Self::Borrowed) -> Self;
    fn size(borrowed: &Self::Borrowed) -> usize;
    fn write(&self, to: &mut StateWriter);
    fn read(from: &mut StateReader) -> Result<Self, FeatureError>
    where
        Self: Sized;
}

impl Countable for Box<[u8]> {
    type Borrowed = [u8];

    fn of(borrowed: &[u8]) -> Self {
        borrowed.into()
    }

    fn size(borrowed: &[u8]) -> usize {
        borrowed.len()
    }

    fn write(&self, to: &mut StateWriter) {
        to.bytes(self);
    }

    fn read(from: &mut StateReader) -> Result<Self, FeatureError> {
        from.bytes().map(Into::into)
    }
}

impl Countable for u64 {
    type Borrowed = u64;

    fn of(borrowed: &u64) -> Self {
        *borrowed
    }

    fn size(_: &u64) -> usize {
        0
    }

    fn write(&self, to: &mut StateWriter) {
        to.integer(*self);
    }

    fn read(from: &mut StateReader) -> Result<Self, FeatureError> {
        from.integer()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Counts<K: Countable> {
    counts: HashMap<K, u64>,
    bytes: usize,
}

impl<K: Countable> Default for Counts<K> {
    fn default() -> Self {
        Self { counts: HashMap::new(), bytes: 0 }
    }
}

impl<K: Countable> Counts<K> {
    /// Counts a value `times` times; an error when there are too many distinct ones.
    #[inline]
    pub fn add(&mut self, value: &K::Borrowed, times: u64) -> Result<(), FeatureError> {
        if let Some(count) = self.counts.get_mut(value) {
            *count = count.saturating_add(times);
            return Ok(());
        }
        self.bytes += K::size(value);
        if self.counts.len() >= MAX_DISTINCT || self.bytes > MAX_BYTES {
            return Err(too_many());
        }
        self.counts.insert(K::of(value), times);
        Ok(())
    }

    pub fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        other.counts.iter().try_for_each(|(value, times)| self.add(value.borrow(), *times))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.counts.iter().map(|(value, count)| (value, *count))
    }

    pub fn write(&self, to: &mut StateWriter) {
        to.integer(self.counts.len() as u64);
        for (value, count) in &self.counts {
            value.write(to);
            to.integer(*count);
        }
    }

    pub fn read(from: &mut StateReader) -> Result<Self, FeatureError> {
        let mut counts = Self::default();
        // A value and its count are at least 16 bytes.
        let distinct = from.count(16)?;
        if distinct > MAX_DISTINCT {
            return Err(damaged("too many distinct values"));
        }
        counts.counts.reserve(distinct);
        for _ in 0..distinct {
            let value = K::read(from)?;
            counts.add(value.borrow(), from.integer()?)?;
        }
        Ok(counts)
    }
}

fn too_many() -> FeatureError {
    limit(
        format!(
            "there are more than {MAX_DISTINCT} distinct values, or more than {} MiB of them",
            MAX_BYTES >> 20
        ),
        "Fit to a sample of the rows, or encode with reco.hash_bucket(…), which needs no fit.",
    )
}
