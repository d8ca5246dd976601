//! The fast way from a row of raw values to a calibrated probability or a quantity.
//!
//! The scaling of a network's inputs is folded into its first layer where that is possible (see [`super::inputs`]), and
//! the output's slope and offset are folded into its last layer, both in double precision.

mod bounds;
mod image;
mod networks;

use super::forest::Trees;
use super::inputs::Way;
use super::predictor::{Blend, Predictor};
use super::rates::Rates;
use super::simd::{available, Kernel};
use super::stack::{CrossScratch, Pick, Scratch};
use crate::algorithm::Task;
use crate::error::ModelError;
use crate::stored::artifact::Artifact;
use crate::stored::output::Output;
use crate::stored::recipe::{Category, Input, Recipe, Scaling, NULL};
use networks::{Member, Networks};

mod batch;

pub use batch::Batch;

/// A model version ready to score rows. Holds the weights once, is immutable, and is shared between threads.
pub struct Scorer {
    recipe: Recipe,
    numbers: usize,
    /// The categories of the recipe, whose vocabularies they share.
    categories: Vec<Category>,
    engine: Engine,
    output: Output,
    kernel: &'static Kernel,
}

/// The largest sum of a predictor's parts.
const MOST: f64 = f64::MAX / 4.0;

/// The prepared predictor: parts that are added up. The output's line is folded into the networks; the other parts come
/// with the factor that it gives them.
#[derive(Default)]
struct Engine {
    networks: Option<Networks>,
    forest: Option<(Trees, f64)>,
    rates: Option<(Rates, f64)>,
    offset: f64,
}

/// The values of one row on their way through a [`Scorer`]: made by [`Scorer::row`], reused for every row.
#[derive(Debug, Clone)]
pub struct Row {
    /// A network's inputs; those of the embeddings are the first member's.
    inputs: Vec<f32>,
    /// The bins of numbers, where they are no inputs.
    picks: Vec<Pick>,
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
        Ok(Self::of_parts(recipe, engine, artifact.output.clone(), kernel))
    }

    fn of_parts(recipe: Recipe, engine: Engine, output: Output, kernel: &'static Kernel) -> Self {
        let categories = recipe.categories().into_iter().cloned().collect();
        Self { numbers: recipe.scalings().len(), categories, engine, output, kernel, recipe }
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
        self.categories.is_empty() && !self.recipe.columns.iter().any(|c| c.input == Input::Key)
    }

    /// The instruction set in use: `avx512`, `avx2`, `neon` or `scalar`.
    pub fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    /// Bytes of this process's own memory, about; an image is shared and does not count.
    pub fn memory(&self) -> usize {
        let of_number = |scaling: &Scaling| size_of_val(scaling) + scaling.bins.memory();
        let scalings: usize = self.recipe.scalings().into_iter().map(of_number).sum();
        let names: usize = self.recipe.columns.iter().map(|c| size_of_val(c) + c.name.len()).sum();
        let vocabularies: usize = self.categories.iter().map(|category| category.vocabulary.memory()).sum();
        let Engine { networks, forest, rates, .. } = &self.engine;
        let engine = networks.as_ref().map_or(0, Networks::memory)
            + forest.as_ref().map_or(0, |(forest, _)| forest.memory())
            + rates.as_ref().map_or(0, |(rates, _)| rates.memory());
        size_of::<Self>() + scalings + names + vocabularies + engine
    }

    /// A row in which every number and category is missing. Rows belong to the scorer that made them.
    pub fn row(&self) -> Row {
        let mut row = Row {
            inputs: Vec::new(),
            picks: Vec::new(),
            numbers: Vec::new(),
            codes: vec![NULL; self.categories.len()],
            key: None,
            scratch: Vec::new(),
        };
        if let Some(networks) = &self.engine.networks {
            row.inputs = vec![0.0; networks.width];
            row.picks = vec![Pick::default(); networks.picks];
            row.scratch = networks.members.iter().map(Member::scratch).collect();
        }
        if self.engine.forest.is_some() {
            row.numbers = vec![f64::NAN; self.numbers];
        }
        for number in 0..self.numbers {
            self.set_number(&mut row, number, None);
        }
        for category in 0..self.categories.len() {
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
            networks.set_number(row, number, value);
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
            networks.set_numbers(row, values);
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
        self.categories[category].embedding_row(value)
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

    /// The calibrated probability of the row, or the mean of its quantity. NaN where the sums of cross layers overflowed.
    ///
    /// # Panics
    /// If the row is another scorer's.
    #[inline]
    pub fn score(&self, row: &mut Row) -> f64 {
        self.finish(self.margin(row))
    }

    /// The margin: the score on the scale on which a model adds up. Of a probability it is the log-odds, calibrated if
    /// the calibration is a line; of a quantity it is the mean, before values below the least are raised to it.
    ///
    /// # Panics
    /// If the row is another scorer's.
    #[inline]
    pub fn margin(&self, row: &mut Row) -> f64 {
        self.number(row, 0)
    }

    /// The score of a predictor's number; NaN if that is not finite, which the bounds of a probability or of a quantity
    /// would hide.
    #[inline]
    fn finish(&self, number: f64) -> f64 {
        match number.is_finite() {
            true => self.output.finish(number),
            false => f64::NAN,
        }
    }

    /// The 10 %, 50 % and 90 % quantiles of the row's quantity, ascending; NaN as in [`Scorer::score`]. `None` for
    /// probabilities, and if the model knows only the mean.
    ///
    /// # Panics
    /// If the row is another scorer's.
    pub fn quantiles(&self, row: &mut Row) -> Option<[f64; 3]> {
        if self.task() != Task::Regression || self.output.outputs() == 1 || self.engine.rates.is_some() {
            return None;
        }
        Some(self.output.quantiles([1, 2, 3].map(|output| self.finish(self.number(row, output)))))
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
                    let logit = self.kernel.logit(&heads[0].0, values, &[], &mut row.scratch[0].0);
                    return self.finish(f64::from(logit));
                }
            }
        }
        self.set_numbers(row, values);
        self.score(row)
    }
}

impl Engine {
    /// Prepares a predictor; `line` is the output's slope and offset.
    fn new(predictor: &Predictor, recipe: &Recipe, (slope, offset): (f64, f64)) -> Result<Self, ModelError> {
        let engine = match predictor {
            Predictor::Networks(members) => {
                let networks = Some(Networks::new(recipe, members, (slope, offset))?);
                Self { networks, ..Self::default() }
            }
            Predictor::Forest(forest) => {
                Self { forest: Some((Trees::new(forest), slope)), offset, ..Self::default() }
            }
            Predictor::Blend(Blend { networks, forest, weights }) => {
                let line = (slope * weights.networks, slope * weights.offset + offset);
                Self {
                    networks: Some(Networks::new(recipe, networks, line)?),
                    forest: Some((Trees::new(forest), slope * weights.forest)),
                    ..Self::default()
                }
            }
            Predictor::Rates(rates) => {
                Self { rates: Some((rates.clone(), slope)), offset, ..Self::default() }
            }
        };
        match engine.largest() <= MOST {
            true => Ok(engine),
            false => Err(ModelError::artifact("its numbers are so large that their sums overflow")),
        }
    }

    /// The largest absolute value that the parts other than networks can add up to. The sums of networks are bounded
    /// elsewhere.
    fn largest(&self) -> f64 {
        let forest = self.forest.as_ref().map_or(0.0, |(forest, gain)| gain.abs() * forest.largest());
        let rates = self.rates.as_ref().map_or(0.0, |(rates, gain)| gain.abs() * rates.largest());
        forest + rates + self.offset.abs()
    }
}
