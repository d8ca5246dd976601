//! The values of a column that are worth a number of their own.

use super::checks::{agree, agree_merged, argument};
use super::counts::Counts;
use super::wire::{StateReader, StateWriter};
use crate::state::State;
use crate::FeatureError;
use std::cmp::Reverse;
use std::collections::HashMap;

/// The most values a vocabulary has unless another number is asked for.
pub const DEFAULT_SIZE: i32 = 32_000;
/// The largest vocabulary.
pub const MAX_SIZE: i32 = 1_000_000;

/// How often each text occurs, and which of them will be kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VocabularyFit {
    counts: Counts<Box<[u8]>>,
    /// The least count of a value that is kept, and the most values.
    bounds: Option<(i64, i32)>,
}

impl VocabularyFit {
    pub fn insert(&mut self, value: &[u8]) -> Result<(), FeatureError> {
        self.counts.add(value, 1)
    }

    /// Values that occur less than `min_count` times are left out, and all but the `max_size` most frequent.
    pub fn set_bounds(&mut self, min_count: i64, max_size: i32) -> Result<(), FeatureError> {
        if min_count < 1 || !(1..=MAX_SIZE).contains(&max_size) {
            return Err(argument(
                format!("a vocabulary cannot have min_count {min_count} and max_size {max_size}"),
                format!("min_count is at least 1, max_size from 1 to {MAX_SIZE}."),
            ));
        }
        agree(&mut self.bounds, (min_count, max_size), "min_count and max_size")
    }

    /// The values, most frequent first, equally frequent ones in the order of their bytes; `None` of no values.
    pub fn values(&self) -> Option<Vec<&[u8]>> {
        let (min_count, max_size) = self.bounds.unwrap_or((1, DEFAULT_SIZE));
        let mut any = false;
        let mut kept: Vec<(Reverse<u64>, &[u8])> = self
            .counts
            .iter()
            .inspect(|_| any = true)
            .filter(|(_, count)| *count >= min_count as u64)
            .map(|(value, count)| (Reverse(count), &**value))
            .collect();
        kept.sort_unstable();
        kept.truncate(max_size as usize);
        any.then(|| kept.into_iter().map(|(_, value)| value).collect())
    }

    /// The most frequent value; of several such values, the first in the order of their bytes.
    pub fn most_frequent(&self) -> Option<&[u8]> {
        self.counts.iter().map(|(value, count)| (Reverse(count), &**value)).min().map(|(_, value)| value)
    }
}

impl State for VocabularyFit {
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        agree_merged(&mut self.bounds, &other.bounds, "min_count and max_size")?;
        self.counts.merge(&other.counts)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = StateWriter::default();
        let (min_count, max_size) = self.bounds.unwrap_or((0, 0));
        to.integer(min_count as u64);
        to.integer(max_size as u64);
        self.counts.write(&mut to);
        to.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut from = StateReader::new(bytes);
        let (min_count, max_size) = (from.integer()? as i64, from.integer()? as i32);
        let mut state = Self { counts: Counts::read(&mut from)?, bounds: None };
        from.end()?;
        if min_count != 0 {
            state.set_bounds(min_count, max_size)?;
        }
        Ok(state)
    }
}

/// A vocabulary made ready for many look-ups. Positions count from 1; 0 stands for a value that is not in the
/// vocabulary.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    positions: HashMap<Box<[u8]>, u32>,
}

impl Vocabulary {
    pub fn new<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<Self, FeatureError> {
        if values.len() > MAX_SIZE as usize {
            return Err(argument(
                format!("a vocabulary of {} values is too large", values.len()),
                format!("The largest has {MAX_SIZE}: fit one with max_size."),
            ));
        }
        let mut positions = HashMap::with_capacity(values.len());
        for (before, value) in (0u32..).zip(values) {
            if positions.insert(Box::from(value), before + 1).is_some() {
                return Err(argument(
                    format!("a vocabulary has \"{}\" twice", String::from_utf8_lossy(value)),
                    "Fit it with the aggregate reco.vocabulary(…), or remove one of them.",
                ));
            }
        }
        Ok(Self { positions })
    }

    pub fn len(&self) -> usize {
        self.positions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    #[inline]
    pub fn position(&self, value: &[u8]) -> u32 {
        self.positions.get(value).copied().unwrap_or(0)
    }

    /// Sets the numbers at the positions of the values to 1. `into` has the vocabulary's length.
    pub fn mark<'a>(&self, values: impl Iterator<Item = &'a [u8]>, into: &mut [f32]) {
        for value in values {
            let found = (self.position(value) as usize).checked_sub(1);
            if let Some(number) = found.and_then(|position| into.get_mut(position)) {
                *number = 1.0;
            }
        }
    }
}
