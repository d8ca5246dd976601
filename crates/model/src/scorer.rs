//! The fast forward pass: a row of raw values in, a calibrated probability out.
//!
//! Scaling and calibration cost nothing per row. `(x - mean) / scale` is folded into the first layer's weights
//! and biases, Platt's slope and offset into the last layer's, both in double precision. What cannot be folded
//! without losing digits is done to the value instead, in double precision: a number whose mean is large
//! against its scale (timestamps, ids) is centered, and one of a very large or very small scale is standardized.

use crate::artifact::Artifact;
use crate::calibration::sigmoid;
use crate::error::ModelError;
use crate::network::Network;
use crate::recipe::{Recipe, Scaling, MAX_STANDARDIZED, NULL, UNSEEN};
use crate::simd::{available, Kernel};
use crate::stack::{Linear, Scratch, Stack};
use std::collections::HashMap;

/// A mean this many scales away from 0 is subtracted before the value loses digits as a 32-bit float.
const CENTER_ABOVE: f64 = 4.0;
/// Scales outside are not folded, so that neither values nor weights leave the range of 32-bit floats.
const FOLDED_SCALES: std::ops::RangeInclusive<f64> = 1e-12..=1e12;

/// A model version ready to score rows. Holds the weights once, is immutable, and is shared between threads.
pub struct Scorer {
    recipe: Recipe,
    numbers: Vec<Number>,
    arrays: Arrays,
    categories: Vec<Table>,
    /// How many numbers have a missing indicator; they follow the numbers in the input.
    indicators: usize,
    width: usize,
    stack: Stack,
    kernel: &'static Kernel,
}

/// The values of one row on their way through a [`Scorer`]: made by [`Scorer::row`], reused for every row.
#[derive(Debug, Clone)]
pub struct Row {
    inputs: Vec<f32>,
    scratch: Scratch,
}

/// How one number goes in: `((value - center) * gain)`, kept between `low` and `high`.
#[derive(Debug, Clone)]
struct Number {
    center: f64,
    gain: f64,
    low: f64,
    high: f64,
    /// What the mean becomes: the input of a missing value.
    missing: f32,
    /// Position of the missing indicator in the input.
    indicator: Option<usize>,
}

/// The short way for rows that come as arrays: one look whether all values are ordinary, then at most one
/// subtraction each.
struct Arrays {
    /// The values that need no clamping and are not missing, number by number.
    low: Vec<f32>,
    high: Vec<f32>,
    centers: Vec<f64>,
    way: Way,
}

/// What ordinary values need before they go to the network.
enum Way {
    /// Nothing.
    InPlace,
    /// Their centers subtracted.
    Centered,
    /// Some are standardized one by one.
    OneByOne,
}

/// The embeddings of one category.
struct Table {
    rows: HashMap<Box<str>, u32>,
    dimension: usize,
    /// Position of the embedding in the input.
    first: usize,
    values: Vec<f32>,
}

impl Number {
    fn new(scaling: &Scaling, indicator: Option<usize>) -> Self {
        let Scaling { mean, scale, .. } = *scaling;
        if scaling.is_constant() {
            return Self { center: 0.0, gain: 0.0, low: 0.0, high: 0.0, missing: 0.0, indicator };
        }
        let folded = FOLDED_SCALES.contains(&scale);
        let center = if folded && mean.abs() <= CENTER_ABOVE * scale { 0.0 } else { mean };
        let gain = if folded { 1.0 } else { 1.0 / scale };
        let (middle, reach) = ((mean - center) * gain, MAX_STANDARDIZED * scale * gain);
        Self { center, gain, low: middle - reach, high: middle + reach, missing: middle as f32, indicator }
    }

    /// The scale and mean left for the first layer to fold.
    fn left_to_fold(&self, scaling: &Scaling) -> (f64, f64) {
        if self.gain == 0.0 {
            return (0.0, 0.0);
        }
        let scale = scaling.scale * self.gain;
        (1.0 / scale, (scaling.mean - self.center) * self.gain)
    }

    #[inline]
    fn input(&self, value: f64) -> f32 {
        ((value - self.center) * self.gain).clamp(self.low, self.high) as f32
    }

    /// The raw values that need no clamping: any for a constant number, whose weight is 0.
    fn raw_bounds(&self) -> (f32, f32) {
        if self.gain == 0.0 {
            return (f32::MIN, f32::MAX);
        }
        let (low, high) = (self.low + self.center, self.high + self.center);
        (low.max(f64::from(f32::MIN)) as f32, high.min(f64::from(f32::MAX)) as f32)
    }
}

impl Arrays {
    fn new(numbers: &[Number]) -> Self {
        let (low, high) = numbers.iter().map(Number::raw_bounds).unzip();
        let way = if numbers.iter().any(|n| n.gain != 0.0 && n.gain != 1.0) {
            Way::OneByOne
        } else if numbers.iter().any(|n| n.center != 0.0) {
            Way::Centered
        } else {
            Way::InPlace
        };
        Self { low, high, centers: numbers.iter().map(|n| n.center).collect(), way }
    }

    /// True if no value is missing or beyond its bounds.
    #[inline]
    fn are_ordinary(&self, values: &[f32]) -> bool {
        let bounds = self.low.iter().zip(&self.high);
        values
            .iter()
            .zip(bounds)
            .fold(true, |all, (value, (low, high))| all & (value >= low) & (value <= high))
    }

    fn memory(&self) -> usize {
        self.centers.len() * (2 * size_of::<f32>() + size_of::<f64>())
    }
}

impl Scorer {
    /// Prepares a model version. An artifact that [`Artifact::check`] refuses, or whose weights leave the range
    /// of 32-bit floats once scaling and calibration are folded in, is an error.
    pub fn new(artifact: &Artifact) -> Result<Scorer, ModelError> {
        Self::prepare(artifact, Kernel::best())
    }

    /// As [`Scorer::new`], with the kernel of this name (see [`Scorer::kernels`]): for tests and measurements. A
    /// kernel that this processor cannot run is an error.
    pub fn with_kernel(artifact: &Artifact, name: &str) -> Result<Scorer, ModelError> {
        let kernel = available().into_iter().find(|kernel| kernel.name == name);
        Self::prepare(artifact, kernel.ok_or_else(|| ModelError::artifact(format!("no kernel \"{name}\"")))?)
    }

    /// The names of the kernels this processor can run, fastest first.
    pub fn kernels() -> Vec<&'static str> {
        available().into_iter().map(|kernel| kernel.name).collect()
    }

    fn prepare(artifact: &Artifact, kernel: &'static Kernel) -> Result<Scorer, ModelError> {
        artifact.check()?;
        let recipe = artifact.recipe.clone();
        let numbers: Vec<Number> =
            recipe.scalings().iter().zip(recipe.indicators()).map(|(s, i)| Number::new(s, i)).collect();
        let layers = fold(artifact, &numbers);
        let finite = |layer: &Linear| layer.weight.iter().chain(&layer.bias).all(|w| w.is_finite());
        if !layers.iter().all(finite) {
            return Err(ModelError::artifact("its weights are too large once scaled"));
        }
        let stack =
            Stack::new(&layers).ok_or_else(|| ModelError::artifact("its layers do not fit together"))?;
        Ok(Scorer {
            arrays: Arrays::new(&numbers),
            categories: tables(&recipe, &artifact.network),
            indicators: recipe.dense_width() - numbers.len(),
            width: recipe.width(),
            numbers,
            recipe,
            stack,
            kernel,
        })
    }

    /// How many numbers a row has (elements of arrays counted one by one): the length
    /// [`Scorer::score_numbers`] wants.
    pub fn numbers(&self) -> usize {
        self.numbers.len()
    }

    /// The preprocessing this scorer applies.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// True if a row is nothing but numbers.
    pub fn is_numeric_only(&self) -> bool {
        self.categories.is_empty()
    }

    /// The instruction set in use: `avx512`, `avx2`, `neon` or `scalar`.
    pub fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        let numbers = self.numbers.len() * (size_of::<Number>() + size_of::<Scaling>());
        let tables: usize = self.categories.iter().map(Table::memory).sum();
        let names: usize = self.recipe.columns.iter().map(|c| size_of_val(c) + c.name.len()).sum();
        size_of::<Self>() + numbers + self.arrays.memory() + tables + names + self.stack.memory()
    }

    /// A row in which every number and category is missing. Rows belong to the scorer that made them.
    pub fn row(&self) -> Row {
        let mut row = Row { inputs: vec![0.0; self.width], scratch: self.stack.scratch() };
        for number in 0..self.numbers.len() {
            self.set_number(&mut row, number, None);
        }
        for category in 0..self.categories.len() {
            self.set_category(&mut row, category, None);
        }
        row
    }

    /// Sets a number, by its position among the recipe's numbers. `None`, NaN and infinities are missing: the
    /// mean, and the indicator if there is one. A finite value of any size is accepted.
    ///
    /// # Panics
    /// If there is no such number, or the row is another scorer's.
    #[inline]
    pub fn set_number(&self, row: &mut Row, number: usize, value: Option<f64>) {
        let how = &self.numbers[number];
        let value = value.filter(|value| value.is_finite());
        row.inputs[number] = value.map_or(how.missing, |value| how.input(value));
        if let Some(indicator) = how.indicator {
            row.inputs[indicator] = f32::from(u8::from(value.is_none()));
        }
    }

    /// Sets all numbers at once, NaN and infinities being missing: as [`Scorer::set_number`] on each, only faster
    /// for rows without missing values.
    ///
    /// # Panics
    /// If `values` does not hold [`Scorer::numbers`] numbers, or the row is another scorer's.
    #[inline]
    pub fn set_numbers(&self, row: &mut Row, values: &[f32]) {
        assert_eq!(values.len(), self.numbers.len(), "as many values as the model has numbers");
        if matches!(self.arrays.way, Way::OneByOne) || !self.arrays.are_ordinary(values) {
            for (number, value) in values.iter().enumerate() {
                self.set_number(row, number, Some(f64::from(*value)));
            }
            return;
        }
        let (inputs, rest) = row.inputs.split_at_mut(values.len());
        if matches!(self.arrays.way, Way::InPlace) {
            inputs.copy_from_slice(values);
        } else {
            for ((input, value), center) in inputs.iter_mut().zip(values).zip(&self.arrays.centers) {
                *input = (f64::from(*value) - center) as f32;
            }
        }
        rest[..self.indicators].fill(0.0);
    }

    /// Sets a category, by its position among the recipe's categories. `None` is NULL; a value that the
    /// vocabulary does not have is the one never seen.
    ///
    /// # Panics
    /// If there is no such category, or the row is another scorer's.
    #[inline]
    pub fn set_category(&self, row: &mut Row, category: usize, value: Option<&str>) {
        let table = &self.categories[category];
        let index = match value {
            Some(value) => table.rows.get(value).copied().unwrap_or(UNSEEN),
            None => NULL,
        };
        let from = index as usize * table.dimension;
        row.inputs[table.first..table.first + table.dimension]
            .copy_from_slice(&table.values[from..from + table.dimension]);
    }

    /// The calibrated probability of the row.
    ///
    /// # Panics
    /// If the row is another scorer's.
    #[inline]
    pub fn score(&self, row: &mut Row) -> f64 {
        sigmoid(self.logit(row))
    }

    /// The calibrated logit of the row.
    ///
    /// # Panics
    /// If the row is another scorer's.
    #[inline]
    pub fn logit(&self, row: &mut Row) -> f64 {
        f64::from(self.kernel.logit(&self.stack, &row.inputs, &mut row.scratch))
    }

    /// The calibrated probability of a row that is nothing but numbers, NaN and infinities being missing. The
    /// values are read in place where they can be; `row` is where they go otherwise.
    ///
    /// # Panics
    /// If `values` does not hold [`Scorer::numbers`] numbers, the model has categories, or the row is another
    /// scorer's.
    #[inline]
    pub fn score_numbers(&self, row: &mut Row, values: &[f32]) -> f64 {
        assert!(self.is_numeric_only(), "the model has categories");
        assert_eq!(values.len(), self.numbers.len(), "as many values as the model has numbers");
        if matches!(self.arrays.way, Way::InPlace) && self.arrays.are_ordinary(values) {
            // No value is missing, so the indicators are all 0 and can be left out.
            return sigmoid(f64::from(self.kernel.logit(&self.stack, values, &mut row.scratch)));
        }
        self.set_numbers(row, values);
        self.score(row)
    }
}

/// The layers with scaling and calibration folded in.
fn fold(artifact: &Artifact, numbers: &[Number]) -> Vec<Linear> {
    let layers = artifact.network.layers.iter().map(|layer| Linear {
        inputs: layer.weight.ncols(),
        weight: layer.weight.iter().copied().collect(),
        bias: layer.bias.to_vec(),
    });
    let mut layers: Vec<Linear> = layers.collect();
    if let Some(first) = layers.first_mut() {
        fold_scaling(first, &artifact.recipe, numbers);
    }
    if let Some(last) = layers.last_mut() {
        let (slope, offset) = (artifact.calibration.slope, artifact.calibration.offset);
        last.weight.iter_mut().for_each(|w| *w = (f64::from(*w) * slope) as f32);
        last.bias.iter_mut().for_each(|b| *b = (f64::from(*b) * slope + offset) as f32);
    }
    layers
}

/// Turns weights for standardized numbers into weights for the numbers as they go in. The bias makes up for
/// each weight as rounded, so that the rounding is multiplied by a value's distance from the mean only.
fn fold_scaling(first: &mut Linear, recipe: &Recipe, numbers: &[Number]) {
    let scalings = recipe.scalings();
    let left: Vec<(f64, f64)> = numbers.iter().zip(scalings).map(|(n, s)| n.left_to_fold(s)).collect();
    for (weights, bias) in first.weight.chunks_exact_mut(first.inputs).zip(&mut first.bias) {
        let mut exact = f64::from(*bias);
        for (weight, (factor, mean)) in weights.iter_mut().zip(&left) {
            *weight = (f64::from(*weight) * factor) as f32;
            exact -= f64::from(*weight) * mean;
        }
        *bias = exact as f32;
    }
}

fn tables(recipe: &Recipe, network: &Network) -> Vec<Table> {
    let mut next = recipe.dense_width();
    let tables = recipe.categories().into_iter().zip(&network.embeddings).map(|(category, values)| {
        let first = next;
        next += category.dimension;
        let rows = category.embedding_rows().into_iter().map(|(value, row)| (value.into(), row));
        Table {
            rows: rows.collect(),
            dimension: category.dimension,
            first,
            values: values.iter().copied().collect(),
        }
    });
    tables.collect()
}

impl Table {
    /// Bytes held, about: the vocabulary stands in the recipe as well.
    fn memory(&self) -> usize {
        let entry = size_of::<(Box<str>, u32)>() + size_of::<String>();
        let text: usize = self.rows.keys().map(|value| 2 * value.len()).sum();
        self.rows.capacity() * entry + text + self.values.len() * size_of::<f32>()
    }
}
