//! What a missing value is replaced with.

use super::checks::{argument, counts};
use super::counts::Counts;
use super::statistics::Statistics;
use super::values::Values;
use super::vocabulary::VocabularyFit;
use super::wire::{damaged, StateReader, StateWriter};
use crate::state::State;
use crate::FeatureError;
use std::cmp::Reverse;

/// The most frequent text is the first of a vocabulary.
pub type TextImputer = VocabularyFit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Mean,
    Median,
    MostFrequent,
}

impl std::str::FromStr for Strategy {
    type Err = FeatureError;

    fn from_str(name: &str) -> Result<Self, FeatureError> {
        match name {
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            "most_frequent" => Ok(Self::MostFrequent),
            _ => Err(argument(
                format!("there is no strategy \"{name}\" of filling in missing values"),
                "Strategies are mean, median and most_frequent.",
            )),
        }
    }
}

/// The state of a fit, by its strategy.
#[derive(Debug, Clone, Default)]
pub enum Imputer {
    #[default]
    Unknown,
    Mean(Statistics),
    Median(Values),
    MostFrequent(Counts<u64>),
}

impl Imputer {
    /// The strategy must be the same each time.
    pub fn set_strategy(&mut self, strategy: Strategy) -> Result<(), FeatureError> {
        match (&self, strategy) {
            (Self::Unknown, Strategy::Mean) => *self = Self::Mean(Statistics::default()),
            (Self::Unknown, Strategy::Median) => *self = Self::Median(Values::default()),
            (Self::Unknown, Strategy::MostFrequent) => *self = Self::MostFrequent(Counts::default()),
            (Self::Mean(_), Strategy::Mean)
            | (Self::Median(_), Strategy::Median)
            | (Self::MostFrequent(_), Strategy::MostFrequent) => {}
            _ => return Err(differs()),
        }
        Ok(())
    }

    /// Takes a value; NaN is left out, an infinite value is an error.
    pub fn insert(&mut self, value: f64) -> Result<(), FeatureError> {
        match self {
            Self::Unknown => Ok(()),
            Self::Mean(statistics) => statistics.insert(value),
            Self::Median(values) => values.insert(value),
            // Adding 0 turns minus zero into zero.
            Self::MostFrequent(found) if counts(value)? => found.add(&(value + 0.0).to_bits(), 1),
            Self::MostFrequent(_) => Ok(()),
        }
    }

    /// The value to fill in; `None` without values. Of several most frequent values it is the smallest.
    pub fn fill(&mut self) -> Result<Option<f64>, FeatureError> {
        match self {
            Self::Unknown => Ok(None),
            Self::Mean(statistics) => statistics.mean(),
            Self::Median(values) => Ok(values.median()),
            Self::MostFrequent(found) => Ok(found
                .iter()
                .map(|(bits, count)| (Reverse(count), f64::from_bits(*bits)))
                .min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
                .map(|(_, value)| value)),
        }
    }
}

fn differs() -> FeatureError {
    argument("the strategy must be the same in every row", "Give a constant, or group by what it depends on.")
}

impl State for Imputer {
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        match (&mut *self, other) {
            (_, Self::Unknown) => Ok(()),
            (Self::Unknown, other) => {
                *self = other.clone();
                Ok(())
            }
            (Self::Mean(mine), Self::Mean(theirs)) => mine.merge(theirs),
            (Self::Median(mine), Self::Median(theirs)) => mine.merge(theirs),
            (Self::MostFrequent(mine), Self::MostFrequent(theirs)) => mine.merge(theirs),
            _ => Err(differs()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = StateWriter::default();
        match self {
            Self::Unknown => to.byte(0),
            Self::Mean(statistics) => {
                to.byte(1);
                to.bytes(&statistics.to_bytes());
            }
            Self::Median(values) => {
                to.byte(2);
                to.bytes(&values.to_bytes());
            }
            Self::MostFrequent(counts) => {
                to.byte(3);
                counts.write(&mut to);
            }
        }
        to.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut from = StateReader::new(bytes);
        let state = match from.byte()? {
            0 => Self::Unknown,
            1 => Self::Mean(Statistics::from_bytes(from.bytes()?)?),
            2 => Self::Median(Values::from_bytes(from.bytes()?)?),
            3 => Self::MostFrequent(Counts::read(&mut from)?),
            _ => return Err(damaged("its strategy")),
        };
        from.end()?;
        Ok(state)
    }
}
