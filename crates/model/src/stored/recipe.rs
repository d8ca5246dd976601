//! The fitted preprocessing: how a raw row becomes the network's input, in training and in scoring.
//!
//! The input vector of a network is `[numbers | missing indicators | second readings | bins | embeddings]`, each part in
//! column order. A number is transformed (see [`crate::transform`]), standardized, `(x - mean) / scale`, and kept
//! within [`MAX_STANDARDIZED`]; a missing one (NULL, NaN or infinite) becomes the mean, and its indicator 1 if the
//! training rows had missing values there. Its bins (see [`crate::number_bins`]) read the raw number. A category becomes the row of an embedding table: row 0 for values never
//! seen, row 1 for NULL, then the vocabulary. Trees read the raw numbers, NaN where they are missing, and the same row
//! numbers of categories; the popularity baseline reads a key.

use super::number_bins::NumberBins;
use super::transform::Transform;
use super::vocabulary::Vocabulary;
use crate::error::ModelError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The embedding row of a value that training never saw (or saw too seldom).
pub const UNSEEN: u32 = 0;
/// The embedding row of NULL.
pub const NULL: u32 = 1;
/// The embedding row of the first value of the vocabulary.
pub const FIRST_VALUE: u32 = 2;

/// Most columns a source may have: PostgreSQL's own limit.
pub const MAX_COLUMNS: usize = 1600;
/// Most numbers a row may hold once arrays are expanded.
pub const MAX_INPUTS: usize = 16_384;

/// Standardized numbers are kept between minus and plus this, so that no finite value, however far from what
/// training saw, can overflow a sum in the network. No value among n training rows lies more than √n standard
/// deviations from their mean, so fewer than 100 million rows never reach it.
pub const MAX_STANDARDIZED: f64 = 1e4;

/// What kind of SQL type a column has. A row to be scored may have any type of the same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// smallint, integer, bigint, real, double precision, numeric.
    Number,
    Boolean,
    /// text, varchar, char, name, uuid, enums.
    Text,
    /// Days since 2000-01-01.
    Date,
    /// timestamp and timestamptz: seconds since 2000-01-01 00:00 UTC.
    Timestamp,
    /// An array of numbers, always of the same length.
    NumberArray,
}

impl Family {
    /// The family as an error message names it.
    pub fn describe(self) -> &'static str {
        match self {
            Family::Number => "a number",
            Family::Boolean => "a boolean",
            Family::Text => "a text or enum",
            Family::Date => "a date",
            Family::Timestamp => "a timestamp",
            Family::NumberArray => "an array of numbers",
        }
    }
}

/// How one number is transformed and standardized.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    #[serde(default, skip_serializing_if = "Transform::is_identity")]
    pub transform: Transform,
    /// The mean of the transformed numbers.
    pub mean: f64,
    /// The transformed numbers' standard deviation; 0 for a column that was constant in training and is therefore
    /// ignored.
    pub scale: f64,
    /// Whether a missing value has an indicator input.
    pub indicator: bool,
    /// The same number transformed in another way, as one more input. It has neither an indicator, nor a second, nor bins of its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Box<Scaling>>,
    /// The bins that a network reads besides.
    #[serde(default, skip_serializing_if = "NumberBins::is_empty")]
    pub bins: NumberBins,
}

impl Scaling {
    /// The standardized value, within [`MAX_STANDARDIZED`]; 0 where it is missing (NaN or infinite) and for a
    /// constant column.
    pub fn standardize(&self, value: f64) -> f32 {
        if self.is_constant() || !value.is_finite() {
            0.0
        } else {
            ((self.transform.apply(value) - self.mean) / self.scale)
                .clamp(-MAX_STANDARDIZED, MAX_STANDARDIZED) as f32
        }
    }

    /// Whether every bound is kept, also those of a second reading.
    fn fits(&self) -> bool {
        let is_plain = |s: &Scaling| !s.indicator && s.second.is_none() && s.bins.is_empty();
        let second = self.second.as_deref().is_none_or(|s| is_plain(s) && s.fits());
        let finite = self.mean.is_finite() && self.scale.is_finite() && self.scale >= 0.0;
        finite && second && self.bins.fits() && self.transform.check().is_ok()
    }

    /// Its inputs besides bins.
    fn plain_inputs(&self) -> usize {
        1 + usize::from(self.indicator) + usize::from(self.second.is_some())
    }

    /// True if the number contributes nothing: a scale of 0, or one so small that its inverse overflows.
    pub fn is_constant(&self) -> bool {
        self.scale < f64::MIN_POSITIVE
    }
}

/// The values of a category column that have an embedding of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// In order of the embedding rows from [`FIRST_VALUE`] on.
    pub vocabulary: Vocabulary,
    /// The length of an embedding.
    pub dimension: usize,
}

impl Category {
    /// The embedding row of a value: [`NULL`] for NULL, [`UNSEEN`] for one that is not in the vocabulary.
    #[inline]
    pub fn embedding_row(&self, value: Option<&str>) -> u32 {
        match value {
            Some(value) => self.vocabulary.position(value).map_or(UNSEEN, |position| position + FIRST_VALUE),
            None => NULL,
        }
    }

    /// Rows of the embedding table.
    pub fn rows(&self) -> usize {
        self.vocabulary.len() + FIRST_VALUE as usize
    }
}

/// What a column contributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// One number, or as many as the array has elements.
    Numbers(Vec<Scaling>),
    Category(Category),
    /// The hash of the value (see [`crate::hash`]).
    Key,
}

/// One input column of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub sql_type: String,
    pub family: Family,
    pub input: Input,
}

impl Column {
    /// How many numbers it has: the elements of an array, none of a category or a key.
    pub fn numbers(&self) -> usize {
        match &self.input {
            Input::Numbers(scalings) => scalings.len(),
            Input::Category(_) | Input::Key => 0,
        }
    }
}

/// The input columns, in the order of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub columns: Vec<Column>,
}

/// Where a column's values stand in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Numbers `first .. first + count`.
    Numbers { first: usize, count: usize },
    /// The n-th category.
    Category { index: usize },
    /// The key.
    Key,
}

impl Recipe {
    /// The scaling of every number, in input order.
    pub fn scalings(&self) -> Vec<&Scaling> {
        let numbers = self.columns.iter().filter_map(|c| match &c.input {
            Input::Numbers(scalings) => Some(scalings),
            Input::Category(_) | Input::Key => None,
        });
        numbers.flatten().collect()
    }

    /// Every category, in input order.
    pub fn categories(&self) -> Vec<&Category> {
        let categories = self.columns.iter().filter_map(|c| match &c.input {
            Input::Numbers(_) | Input::Key => None,
            Input::Category(category) => Some(category),
        });
        categories.collect()
    }

    /// One slot for each column.
    pub fn slots(&self) -> Vec<Slot> {
        let (mut first, mut index) = (0, 0);
        let slots = self.columns.iter().map(|c| match &c.input {
            Input::Numbers(scalings) => {
                let count = scalings.len();
                first += count;
                Slot::Numbers { first: first - count, count }
            }
            Input::Category(_) => {
                index += 1;
                Slot::Category { index: index - 1 }
            }
            Input::Key => Slot::Key,
        });
        slots.collect()
    }

    /// For each number the position of its missing indicator in the input vector, if it has one.
    pub fn indicators(&self) -> Vec<Option<usize>> {
        let scalings = self.scalings();
        let mut next = scalings.len();
        let positions = scalings.iter().map(|s| {
            s.indicator.then(|| {
                next += 1;
                next - 1
            })
        });
        positions.collect()
    }

    /// For each number the second reading and its position in the input vector, if it has one.
    pub fn seconds(&self) -> Vec<Option<(&Scaling, usize)>> {
        let scalings = self.scalings();
        let mut next = scalings.len() + scalings.iter().filter(|s| s.indicator).count();
        let seconds = scalings.into_iter().map(|s| {
            s.second.as_deref().map(|second| {
                next += 1;
                (second, next - 1)
            })
        });
        seconds.collect()
    }

    /// For each number its bins and the position of the first of them in the input vector, if it has any.
    pub fn bins(&self) -> Vec<Option<(&NumberBins, usize)>> {
        let scalings = self.scalings();
        let mut next: usize = scalings.iter().map(|scaling| scaling.plain_inputs()).sum();
        let bins = scalings.into_iter().map(|s| {
            (!s.bins.is_empty()).then(|| {
                next += s.bins.count();
                (&s.bins, next - s.bins.count())
            })
        });
        bins.collect()
    }

    /// Numbers, indicators, second readings and bins: the part of the input that comes before the embeddings.
    pub fn dense_width(&self) -> usize {
        self.scalings().iter().map(|scaling| scaling.plain_inputs() + scaling.bins.count()).sum()
    }

    /// The whole input: the dense part and the embeddings.
    pub fn width(&self) -> usize {
        let embeddings: usize = self.categories().iter().map(|c| c.dimension).sum();
        self.dense_width() + embeddings
    }

    /// True if a row is nothing but numbers, so that an array can be scored.
    pub fn is_numeric_only(&self) -> bool {
        self.columns.iter().all(|column| matches!(column.input, Input::Numbers(_)))
    }

    /// Checks every bound and number of a recipe that came from outside.
    pub fn check(&self) -> Result<(), ModelError> {
        let refuse = |reason: String| Err(ModelError::artifact(reason));
        if self.columns.is_empty() || self.columns.len() > MAX_COLUMNS {
            return refuse(format!("a recipe of {} columns", self.columns.len()));
        }
        for column in &self.columns {
            match &column.input {
                Input::Numbers(scalings) => {
                    let count_fits = match column.family {
                        Family::Text => false,
                        Family::NumberArray => !scalings.is_empty(),
                        _ => scalings.len() == 1,
                    };
                    if !count_fits || !scalings.iter().all(Scaling::fits) {
                        return refuse(format!("the scaling of column \"{}\"", column.name));
                    }
                }
                Input::Category(category) => {
                    let fits =
                        (1..=256).contains(&category.dimension) && category.vocabulary.len() <= 1_000_000;
                    if column.family != Family::Text || !fits || category.vocabulary.repeats() {
                        return refuse(format!("the categories of column \"{}\"", column.name));
                    }
                }
                Input::Key => {
                    if !matches!(column.family, Family::Text | Family::Number | Family::Boolean) {
                        return refuse(format!("the key column \"{}\"", column.name));
                    }
                }
            }
        }
        if self.columns.iter().filter(|column| matches!(column.input, Input::Key)).count() > 1 {
            return refuse("more than one key".to_owned());
        }
        if self.width() > MAX_INPUTS {
            return refuse(format!("{} inputs, more than {MAX_INPUTS}", self.width()));
        }
        Ok(())
    }
}

/// Running mean and variance of one number over the training rows (Welford 1962).
#[derive(Debug, Clone, Default)]
pub struct NumberFit {
    count: u64,
    missing: u64,
    mean: f64,
    squares: f64,
}

impl NumberFit {
    /// Takes one value; NaN and infinities count as missing, as NULL (`f64::NAN`) does.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.missing += 1;
            return;
        }
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (value - self.mean);
    }

    /// Missing values seen.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// The fitted scaling. A column whose values were all the same, all missing, or so large that their spread
    /// overflows is constant and ignored; one that was all missing has no indicator either.
    pub fn finish(&self) -> Scaling {
        let variance = if self.count > 0 { self.squares / self.count as f64 } else { 0.0 };
        let scale = variance.max(0.0).sqrt();
        // A deviation below this comes from rounding and tells nothing.
        let constant = !scale.is_finite() || scale <= 1e-12 * self.mean.abs();
        Scaling {
            transform: Transform::Identity,
            mean: if self.mean.is_finite() { self.mean } else { 0.0 },
            scale: if constant { 0.0 } else { scale },
            indicator: self.missing > 0 && self.count > 0,
            second: None,
            bins: NumberBins::default(),
        }
    }
}

/// Counts of one category column over the training rows.
#[derive(Debug, Clone, Default)]
pub struct CategoryFit {
    counts: HashMap<String, u64>,
    /// What the values take in memory, in bytes.
    bytes: usize,
    /// Whether some values are no longer counted.
    forgot: bool,
}

/// What a counted value takes in memory besides its text.
const COUNT_BYTES: usize = 64;

impl CategoryFit {
    /// Takes `count` rows with this value.
    pub fn add(&mut self, value: &str, count: u64) {
        match self.counts.get_mut(value) {
            Some(seen) => *seen += count,
            None => {
                self.bytes += value.len() + COUNT_BYTES;
                self.counts.insert(value.to_owned(), count);
            }
        }
    }

    /// Once the values take more than `most` bytes, forgets the rarer half of them and lowers the other counts by the
    /// largest of the forgotten (Misra and Gries 1982; Agarwal et al. 2013). No count becomes too high. A count becomes
    /// too low by at most the number of rows divided by half the number of values that fit.
    pub fn forget_rare(&mut self, most: usize) {
        while self.bytes > most {
            let mut counts: Vec<u64> = self.counts.values().copied().collect();
            let middle = counts.len() / 2;
            let rare = *counts.select_nth_unstable(middle).1;
            self.counts.retain(|_, count| {
                *count = count.saturating_sub(rare);
                *count > 0
            });
            self.bytes = self.counts.keys().map(|value| value.len() + COUNT_BYTES).sum();
            self.forgot = true;
        }
    }

    /// Forgets the values that are not `wanted`.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        let before = self.counts.len();
        self.counts.retain(|value, _| wanted(value));
        self.forgot |= self.counts.len() < before;
    }

    /// Every counted value with its rows, in no order.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(value, count)| (value.as_str(), *count))
    }

    /// Whether all rows had the same value.
    pub fn is_single(&self) -> bool {
        self.counts.len() == 1 && !self.forgot
    }

    /// The most frequent values first, ties in order of the value, so that the same rows give the same vocabulary.
    pub fn finish(&self, min_count: u64, max_categories: usize) -> Category {
        let mut kept: Vec<(&String, u64)> = self
            .counts
            .iter()
            .map(|(value, count)| (value, *count))
            .filter(|(_, count)| *count >= min_count)
            .collect();
        kept.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        kept.truncate(max_categories);
        Category {
            dimension: embedding_dimension(kept.len()),
            vocabulary: kept.into_iter().map(|(value, _)| value).collect(),
        }
    }
}

/// The length of an embedding: it grows with the fourth root of the vocabulary's size, from 2 to 32.
fn embedding_dimension(values: usize) -> usize {
    let root = (values.max(1) as f64).powf(0.25);
    ((3.0 * root).round() as usize).clamp(2, 32)
}
