//! The fast way from a row of raw values to a calibrated probability or a quantity.
//!
//! Of a network, scaling is folded into the first layer where it can be (see [`crate::inputs`]) and the output's slope and
//! offset into the last, both in double precision.

use crate::algorithm::Task;
use crate::artifact::Artifact;
use crate::error::ModelError;
use crate::forest::Forest;
use crate::inputs::{Arrays, Number, Way};
use crate::network::Network;
use crate::output::Output;
use crate::predictor::{Blend, Predictor};
use crate::rates::Rates;
use crate::recipe::{Input, Recipe, Scaling, NULL, UNSEEN};
use crate::simd::{available, Kernel};
use crate::stack::{padded, Chunk, CrossScratch, Crosses, Linear, Scratch, Stack};
use ndarray::Array2;
use std::collections::HashMap;

mod batch;

pub use batch::Batch;

/// A model version ready to score rows. Holds the weights once, is immutable, and is shared between threads.
pub struct Scorer {
    recipe: Recipe,
    numbers: usize,
    vocabularies: Vec<HashMap<Box<str>, u32>>,
    engine: Engine,
    output: Output,
    kernel: &'static Kernel,
}

/// What the predictor has become: parts that are added up. Networks have the output's line folded in; other parts come
/// with their factor of it.
#[derive(Default)]
struct Engine {
    networks: Option<Networks>,
    forest: Option<(Forest, f64)>,
    rates: Option<(Rates, f64)>,
    offset: f64,
}

struct Networks {
    numbers: Vec<Number>,
    arrays: Arrays,
    /// Where each category's embedding stands in the input, and how long it is.
    places: Vec<(usize, usize)>,
    /// How many numbers have a missing indicator; they follow the numbers in the input.
    indicators: usize,
    width: usize,
    members: Vec<Member>,
}

/// One network.
struct Member {
    embeddings: Vec<Vec<f32>>,
    crosses: Option<Crosses>,
    /// One for each output: the hidden layers, and the weights of what the crosses put out.
    heads: Vec<(Stack, Vec<Chunk>)>,
}

/// The values of one row on their way through a [`Scorer`]: made by [`Scorer::row`], reused for every row.
#[derive(Debug, Clone)]
pub struct Row {
    /// A network's inputs; those of the embeddings are the first member's.
    inputs: Vec<f32>,
    codes: Vec<u32>,
    /// A forest's numbers, NaN where they are missing.
    numbers: Vec<f64>,
    key: Option<u64>,
    scratch: Vec<(Scratch, Option<CrossScratch>)>,
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
        let engine = Engine::new(&artifact.predictor, &recipe, artifact.output.line())?;
        let vocabularies = recipe.categories().into_iter().map(|category| {
            category.embedding_rows().into_iter().map(|(value, row)| (value.into(), row)).collect()
        });
        Ok(Scorer {
            numbers: recipe.scalings().len(),
            vocabularies: vocabularies.collect(),
            engine,
            output: artifact.output.clone(),
            kernel,
            recipe,
        })
    }

    /// How many numbers a row has (elements of arrays counted one by one): the length
    /// [`Scorer::score_numbers`] wants.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// The preprocessing this scorer applies.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Whether it scores probabilities or quantities.
    pub fn task(&self) -> Task {
        self.output.task()
    }

    /// True if a row is nothing but numbers.
    pub fn is_numeric_only(&self) -> bool {
        self.vocabularies.is_empty() && !self.recipe.columns.iter().any(|c| c.input == Input::Key)
    }

    /// The instruction set in use: `avx512`, `avx2`, `neon` or `scalar`.
    pub fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        let scalings = self.numbers * size_of::<Scaling>();
        let names: usize = self.recipe.columns.iter().map(|c| size_of_val(c) + c.name.len()).sum();
        let vocabularies: usize = self.vocabularies.iter().map(vocabulary_memory).sum();
        let Engine { networks, forest, rates, .. } = &self.engine;
        let engine = networks.as_ref().map_or(0, Networks::memory)
            + forest.as_ref().map_or(0, |(forest, _)| forest.memory())
            + rates.as_ref().map_or(0, |(rates, _)| size_of_val(&rates.of_key[..]));
        size_of::<Self>() + scalings + names + vocabularies + engine
    }

    /// A row in which every number and category is missing. Rows belong to the scorer that made them.
    pub fn row(&self) -> Row {
        let mut row = Row {
            inputs: Vec::new(),
            numbers: Vec::new(),
            codes: vec![NULL; self.vocabularies.len()],
            key: None,
            scratch: Vec::new(),
        };
        if let Some(networks) = &self.engine.networks {
            row.inputs = vec![0.0; networks.width];
            row.scratch = networks.members.iter().map(Member::scratch).collect();
        }
        if self.engine.forest.is_some() {
            row.numbers = vec![f64::NAN; self.numbers];
        }
        for number in 0..self.numbers {
            self.set_number(&mut row, number, None);
        }
        for category in 0..self.vocabularies.len() {
            self.set_category(&mut row, category, None);
        }
        row
    }

    /// Sets a number, by its position among the recipe's numbers. `None`, NaN and infinities are missing. A finite value
    /// of any size is accepted.
    ///
    /// # Panics
    /// If there is no such number, or the row is another scorer's.
    #[inline]
    pub fn set_number(&self, row: &mut Row, number: usize, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        if let Some(networks) = &self.engine.networks {
            networks.set_number(&mut row.inputs, number, value);
        }
        if self.engine.forest.is_some() {
            row.numbers[number] = value.unwrap_or(f64::NAN);
        }
    }

    /// Sets all numbers at once, NaN and infinities being missing: as [`Scorer::set_number`] on each, only faster
    /// for rows without missing values.
    ///
    /// # Panics
    /// If `values` does not hold [`Scorer::numbers`] numbers, or the row is another scorer's.
    #[inline]
    pub fn set_numbers(&self, row: &mut Row, values: &[f32]) {
        assert_eq!(values.len(), self.numbers, "as many values as the model has numbers");
        if let Some(networks) = &self.engine.networks {
            networks.set_numbers(&mut row.inputs, values);
        }
        if self.engine.forest.is_some() {
            let finite = |value: f32| if value.is_finite() { value.into() } else { f64::NAN };
            row.numbers.iter_mut().zip(values).for_each(|(number, value)| *number = finite(*value));
        }
    }

    /// Sets a category, by its position among the recipe's categories. `None` is NULL; a value that the
    /// vocabulary does not have is the one never seen.
    ///
    /// # Panics
    /// If there is no such category, or the row is another scorer's.
    #[inline]
    pub fn set_category(&self, row: &mut Row, category: usize, value: Option<&str>) {
        self.set_code(row, category, self.code(category, value));
    }

    /// The code of a category's value, as in [`crate::recipe`].
    ///
    /// # Panics
    /// If there is no such category.
    #[inline]
    pub fn code(&self, category: usize, value: Option<&str>) -> u32 {
        match value {
            Some(value) => self.vocabularies[category].get(value).copied().unwrap_or(UNSEEN),
            None => NULL,
        }
    }

    /// Sets a category by its code.
    #[inline]
    pub(crate) fn set_code(&self, row: &mut Row, category: usize, code: u32) {
        row.codes[category] = code;
        if let Some(networks) = &self.engine.networks {
            networks.embed(0, category, code, &mut row.inputs);
        }
    }

    /// Sets the key, by its hash (see [`crate::hash`]). `None` is NULL.
    #[inline]
    pub fn set_key(&self, row: &mut Row, key: Option<u64>) {
        row.key = key;
    }

    /// The calibrated probability of the row, or the mean of its quantity.
    ///
    /// # Panics
    /// If the row is another scorer's.
    #[inline]
    pub fn score(&self, row: &mut Row) -> f64 {
        self.output.finish(self.margin(row))
    }

    /// What the score is made of, on the scale on which a model adds up: of a probability the log-odds, calibrated if its
    /// calibration is a line; of a quantity the mean, before it is kept above its least.
    ///
    /// # Panics
    /// If the row is another scorer's.
    #[inline]
    pub fn margin(&self, row: &mut Row) -> f64 {
        self.number(row, 0)
    }

    /// The 10 %, 50 % and 90 % quantiles of the row's quantity, ascending. `None` for probabilities, and where the model
    /// knows only the mean.
    ///
    /// # Panics
    /// If the row is another scorer's.
    pub fn quantiles(&self, row: &mut Row) -> Option<[f64; 3]> {
        if self.task() != Task::Regression || self.engine.rates.is_some() {
            return None;
        }
        let mut quantiles = [1, 2, 3].map(|output| self.output.finish(self.number(row, output)));
        quantiles.sort_unstable_by(f64::total_cmp);
        Some(quantiles)
    }

    /// One of the predictor's outputs, put through the line of [`Output::line`]: of a binary model the logit, calibrated
    /// if its calibration is a line.
    #[inline]
    fn number(&self, row: &mut Row, output: usize) -> f64 {
        let Engine { networks, forest, rates, offset } = &self.engine;
        let mut number = *offset;
        if let Some(networks) = networks {
            number += networks.number(self.kernel, row, output);
        }
        if let Some((forest, gain)) = forest {
            number += gain * forest.margin(output, &row.numbers, &row.codes);
        }
        if let Some((rates, gain)) = rates {
            number += gain * rates.of(row.key);
        }
        number
    }

    /// What [`Scorer::score`] says of a row that is nothing but numbers, NaN and infinities being missing. The
    /// values are read in place where they can be; `row` is where they go otherwise.
    ///
    /// # Panics
    /// If `values` does not hold [`Scorer::numbers`] numbers, the model has other inputs, or the row is another
    /// scorer's.
    #[inline]
    pub fn score_numbers(&self, row: &mut Row, values: &[f32]) -> f64 {
        assert!(self.is_numeric_only(), "the model has categories");
        assert_eq!(values.len(), self.numbers, "as many values as the model has numbers");
        if let Engine { networks: Some(Networks { arrays, members, .. }), forest: None, .. } = &self.engine {
            if let ([Member { crosses: None, heads, .. }], Way::InPlace) = (&members[..], &arrays.way) {
                if arrays.are_ordinary(values) {
                    // No value is missing, so the indicators are all 0 and can be left out.
                    let logit = self.kernel.logit(&heads[0].0, values, &mut row.scratch[0].0);
                    return self.output.finish(f64::from(logit));
                }
            }
        }
        self.set_numbers(row, values);
        self.score(row)
    }
}

impl Engine {
    /// `line` is the output's slope and offset.
    fn new(predictor: &Predictor, recipe: &Recipe, (slope, offset): (f64, f64)) -> Result<Self, ModelError> {
        Ok(match predictor {
            Predictor::Networks(members) => {
                let networks = Some(Networks::new(recipe, members, (slope, offset))?);
                Self { networks, ..Self::default() }
            }
            Predictor::Forest(forest) => {
                Self { forest: Some((forest.clone(), slope)), offset, ..Self::default() }
            }
            Predictor::Blend(Blend { networks, forest, weights }) => {
                let line = (slope * weights.networks, slope * weights.offset + offset);
                Self {
                    networks: Some(Networks::new(recipe, networks, line)?),
                    forest: Some((forest.clone(), slope * weights.forest)),
                    ..Self::default()
                }
            }
            Predictor::Rates(rates) => {
                Self { rates: Some((rates.clone(), slope)), offset, ..Self::default() }
            }
        })
    }
}

impl Networks {
    fn new(recipe: &Recipe, networks: &[Network], line: (f64, f64)) -> Result<Self, ModelError> {
        let foldable = networks.iter().all(|network| network.crosses.is_empty());
        let number = |((scaling, indicator), second)| Number::new(scaling, indicator, second, foldable);
        let scalings = recipe.scalings().into_iter();
        let numbers: Vec<Number> =
            scalings.zip(recipe.indicators()).zip(recipe.seconds()).map(number).collect();
        let share = networks.len() as f64;
        let line = (line.0 / share, line.1 / share);
        let member = |network| Member::new(network, recipe, &numbers, line);
        let mut next = recipe.dense_width();
        let places = recipe.categories().into_iter().map(|category| {
            next += category.dimension;
            (next - category.dimension, category.dimension)
        });
        Ok(Self {
            arrays: Arrays::new(&numbers),
            places: places.collect(),
            indicators: numbers.iter().filter(|number| number.indicator.is_some()).count(),
            width: recipe.width(),
            members: networks.iter().map(member).collect::<Result<_, _>>()?,
            numbers,
        })
    }

    fn memory(&self) -> usize {
        let members: usize = self.members.iter().map(Member::memory).sum();
        self.numbers.len() * size_of::<Number>() + self.arrays.memory() + members
    }

    #[inline]
    fn set_number(&self, inputs: &mut [f32], number: usize, value: Option<f64>) {
        let how = &self.numbers[number];
        inputs[number] = value.map_or(how.missing, |value| how.input(value));
        if let Some(indicator) = how.indicator {
            inputs[indicator] = f32::from(u8::from(value.is_none()));
        }
        if let Some((how, position)) = &how.second {
            inputs[*position] = value.map_or(how.missing, |value| how.input(value));
        }
    }

    #[inline]
    fn set_numbers(&self, inputs: &mut [f32], values: &[f32]) {
        if matches!(self.arrays.way, Way::OneByOne) || !self.arrays.are_ordinary(values) {
            for (number, value) in values.iter().enumerate() {
                self.set_number(inputs, number, Some(f64::from(*value)).filter(|value| value.is_finite()));
            }
            return;
        }
        let (inputs, rest) = inputs.split_at_mut(values.len());
        if matches!(self.arrays.way, Way::InPlace) {
            inputs.copy_from_slice(values);
        } else {
            for ((input, value), center) in inputs.iter_mut().zip(values).zip(&self.arrays.centers) {
                *input = (f64::from(*value) - center) as f32;
            }
        }
        rest[..self.indicators].fill(0.0);
    }

    /// Puts a member's embedding of a category into the inputs.
    #[inline]
    fn embed(&self, member: usize, category: usize, code: u32, inputs: &mut [f32]) {
        let (first, dimension) = self.places[category];
        let from = code as usize * dimension;
        let table = &self.members[member].embeddings[category];
        inputs[first..first + dimension].copy_from_slice(&table[from..from + dimension]);
    }

    /// One output, averaged over the members, which read the same numbers through embeddings of their own.
    #[inline]
    fn number(&self, kernel: &Kernel, row: &mut Row, output: usize) -> f64 {
        let mut sum = self.members[0].number(kernel, &row.inputs, &mut row.scratch[0], output);
        for (m, member) in self.members.iter().enumerate().skip(1) {
            self.embed_all(m, row);
            sum += member.number(kernel, &row.inputs, &mut row.scratch[m], output);
        }
        if self.members.len() > 1 {
            self.embed_all(0, row);
        }
        sum
    }

    fn embed_all(&self, member: usize, row: &mut Row) {
        for (category, code) in row.codes.iter().enumerate() {
            self.embed(member, category, *code, &mut row.inputs);
        }
    }
}

impl Member {
    /// Folds the scaling that is left to fold into the first layer, and the line into the last.
    fn new(
        network: &Network,
        recipe: &Recipe,
        numbers: &[Number],
        line: (f64, f64),
    ) -> Result<Self, ModelError> {
        let mut layers: Vec<Linear> =
            network.layers.iter().map(|layer| linear(&layer.weight, layer.bias.to_vec())).collect();
        if let Some(last) = layers.last_mut() {
            last.weight.iter_mut().for_each(|w| *w = (f64::from(*w) * line.0) as f32);
            last.bias.iter_mut().for_each(|b| *b = (f64::from(*b) * line.0 + line.1) as f32);
        }
        let crosses: Vec<_> = network
            .crosses
            .iter()
            .map(|c| (linear(&c.down, vec![0.0; c.down.nrows()]), linear(&c.up, c.bias.to_vec())))
            .collect();
        let crossed = match crosses.is_empty() {
            true => Vec::new(),
            false => split_last(&mut layers, recipe.width()),
        };
        if crosses.is_empty() {
            fold_scaling(&mut layers[0], &recipe.scalings(), numbers);
        }
        let finite = |layer: &Linear| layer.weight.iter().chain(&layer.bias).all(|w| w.is_finite());
        if !layers.iter().all(finite) {
            return Err(ModelError::artifact("its weights are too large once scaled"));
        }
        let misfit = || ModelError::artifact("its layers do not fit together");
        let stacks = Stack::of_outputs(&layers).ok_or_else(misfit)?;
        let crossed = crossed.iter().map(|weights| padded(weights)).chain(std::iter::repeat(Vec::new()));
        Ok(Self {
            embeddings: network.embeddings.iter().map(|table| table.iter().copied().collect()).collect(),
            heads: stacks.into_iter().zip(crossed).collect(),
            crosses: match crosses.is_empty() {
                true => None,
                false => Some(Crosses::new(&crosses).ok_or_else(misfit)?),
            },
        })
    }

    fn scratch(&self) -> (Scratch, Option<CrossScratch>) {
        (self.heads[0].0.scratch(), self.crosses.as_ref().map(Crosses::scratch))
    }

    fn memory(&self) -> usize {
        let chunks = |chunks: &[Chunk]| size_of_val(chunks);
        let tables: usize = self.embeddings.iter().map(|table| size_of_val(&table[..])).sum();
        let heads: usize =
            self.heads.iter().map(|(stack, crossed)| chunks(&stack.last) + chunks(crossed)).sum();
        self.heads[0].0.memory() + self.crosses.as_ref().map_or(0, Crosses::memory) + tables + heads
    }

    #[inline]
    fn number(
        &self,
        kernel: &Kernel,
        inputs: &[f32],
        (scratch, cross_scratch): &mut (Scratch, Option<CrossScratch>),
        output: usize,
    ) -> f64 {
        let (stack, weights) = &self.heads[output];
        let hidden = f64::from(kernel.logit(stack, inputs, scratch));
        match (&self.crosses, cross_scratch) {
            (Some(crosses), Some(scratch)) => {
                kernel.cross(crosses, inputs, scratch);
                hidden + f64::from(kernel.weigh(&scratch.crossed, weights))
            }
            _ => hidden,
        }
    }
}

fn linear(weight: &Array2<f32>, bias: Vec<f32>) -> Linear {
    Linear { inputs: weight.ncols(), weight: weight.iter().copied().collect(), bias }
}

/// Takes from the last layer the weights of what the crosses put out, one list for each output. Without hidden layers
/// nothing else is left: its own weights become 0.
fn split_last(layers: &mut [Linear], width: usize) -> Vec<Vec<f32>> {
    let alone = layers.len() == 1;
    let Some(last) = layers.last_mut() else { return Vec::new() };
    let (mut crossed, mut left) = (Vec::new(), Vec::new());
    for weights in last.weight.chunks_exact(last.inputs) {
        let (of_crossed, of_hidden) = weights.split_at(width);
        crossed.push(of_crossed.to_vec());
        left.extend_from_slice(of_hidden);
    }
    if alone {
        last.weight.fill(0.0);
    } else {
        (last.inputs, last.weight) = (last.inputs - width, left);
    }
    crossed
}

/// Turns weights for standardized numbers into weights for the numbers as they go in. The bias makes up for
/// each weight as rounded, so that the rounding is multiplied by a value's distance from the mean only.
fn fold_scaling(first: &mut Linear, scalings: &[&Scaling], numbers: &[Number]) {
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

/// Bytes held, about: each value stands in the recipe as well.
fn vocabulary_memory(rows: &HashMap<Box<str>, u32>) -> usize {
    let entry = size_of::<(Box<str>, u32)>() + size_of::<String>();
    rows.capacity() * entry + rows.keys().map(|value| 2 * value.len()).sum::<usize>()
}
