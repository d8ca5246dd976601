//! The networks of a [`Scorer`](super::Scorer): how a row's values go in, and the weights with scaling and the output's line
//! folded in.

use super::{bounds, Row};
use crate::error::ModelError;
use crate::score::array::Array;
use crate::score::image::{refused, ImageReader, ImageWriter};
use crate::score::inputs::{Arrays, BinPlace, Number, Way};
use crate::score::network::{Activation, Network};
use crate::score::simd::Kernel;
use crate::score::stack::{padded, Chunk, CrossScratch, Crosses, Linear, Pick, Scratch, Stack, Steps, CHUNK};
use crate::stored::recipe::{Recipe, Scaling};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub(super) struct Networks {
    numbers: Vec<Number>,
    pub arrays: Arrays,
    /// Where each category's embedding stands in the input, and how long it is.
    pub(super) places: Vec<(usize, usize)>,
    /// How many numbers have a missing indicator; they follow the numbers in the input.
    indicators: usize,
    pub width: usize,
    /// How many numbers have bins that are no inputs.
    pub picks: usize,
    pub members: Vec<Member>,
}

/// How the networks of a version read a recipe.
#[derive(Clone, Copy)]
struct Reading<'a> {
    recipe: &'a Recipe,
    /// Whether scaling can be folded into the first layer: there are no cross layers.
    foldable: bool,
    /// Whether the first layer has steps in place of inputs for bins: it is a hidden layer, and nothing else reads the inputs.
    picked: bool,
}

/// One of the networks that are averaged.
pub(super) struct Member {
    embeddings: Vec<Array<f32>>,
    pub crosses: Option<Crosses>,
    /// One for each output: the hidden layers, and the weights of what the crosses put out.
    pub heads: Vec<(Stack, Array<Chunk>)>,
}

/// The shape of a network, which its arrays do not tell.
#[derive(Serialize, Deserialize)]
pub(super) struct Shape {
    /// The outputs of each hidden layer, and its activation.
    hidden: Vec<(usize, Activation)>,
    /// The rank of each cross layer.
    ranks: Vec<usize>,
    /// The bias of each output.
    biases: Vec<f32>,
}

impl Networks {
    pub fn new(recipe: &Recipe, networks: &[Network], line: (f64, f64)) -> Result<Self, ModelError> {
        let foldable = networks.iter().all(|network| network.crosses.is_empty());
        let picked = foldable && networks.iter().all(|network| network.layers.len() > 1);
        let reading = Reading { recipe, foldable, picked };
        let numbers = reading.numbers();
        let share = networks.len() as f64;
        let line = (line.0 / share, line.1 / share);
        let member = |network| Member::new(network, reading, &numbers, line);
        let members = networks.iter().map(member).collect::<Result<_, _>>()?;
        Ok(Self::of_members(reading, numbers, members))
    }

    fn of_members(reading: Reading, numbers: Vec<Number>, members: Vec<Member>) -> Self {
        let recipe = reading.recipe;
        let picked = reading.counts();
        let bins: usize = picked.iter().sum();
        let mut next = recipe.dense_width() - bins;
        let places = recipe.categories().into_iter().map(|category| {
            next += category.dimension;
            (next - category.dimension, category.dimension)
        });
        Self {
            arrays: Arrays::new(&numbers),
            places: places.collect(),
            indicators: numbers.iter().filter(|number| number.indicator.is_some()).count(),
            width: recipe.width() - bins,
            picks: picked.len(),
            members,
            numbers,
        }
    }

    pub fn shapes(&self) -> Vec<Shape> {
        self.members.iter().map(Member::shape).collect()
    }

    pub fn put(&self, image: &mut ImageWriter) {
        self.members.iter().for_each(|member| member.put(image));
    }

    /// What [`Self::put`] wrote of networks with these shapes and so many outputs.
    pub fn take(
        recipe: &Recipe,
        shapes: &[Shape],
        outputs: usize,
        image: &mut ImageReader,
    ) -> Result<Self, ModelError> {
        if shapes.is_empty() || shapes.iter().any(|shape| shape.biases.len() != outputs) {
            return Err(refused());
        }
        let foldable = shapes.iter().all(|shape| shape.ranks.is_empty());
        let picked = foldable && shapes.iter().all(|shape| !shape.hidden.is_empty());
        let reading = Reading { recipe, foldable, picked };
        let members = shapes.iter().map(|shape| Member::take(reading, shape, image));
        let members = members.collect::<Result<_, _>>()?;
        Ok(Self::of_members(reading, reading.numbers(), members))
    }

    pub fn memory(&self) -> usize {
        let members: usize = self.members.iter().map(Member::memory).sum();
        self.numbers.len() * size_of::<Number>() + self.arrays.memory() + members
    }

    #[inline]
    pub fn set_number(&self, Row { inputs, picks, .. }: &mut Row, number: usize, value: Option<f64>) {
        let how = &self.numbers[number];
        inputs[number] = value.map_or(how.missing, |value| how.input(value));
        if let Some(indicator) = how.indicator {
            inputs[indicator] = f32::from(u8::from(value.is_none()));
        }
        if let Some((how, position)) = &how.second {
            inputs[*position] = value.map_or(how.missing, |value| how.input(value));
        }
        match &how.bins {
            None => {}
            Some((bins, BinPlace::Inputs(first))) => {
                bins.encode(value.unwrap_or(f64::NAN), &mut inputs[*first..first + bins.count()]);
            }
            Some((bins, BinPlace::Pick { n, row })) => {
                // Nothing of the first bin is nothing at all.
                let (bin, share) = value.map_or((0, 0.0), |value| bins.place(value));
                picks[*n] = Pick { row: row + 2 * bin as u32, share };
            }
        }
    }

    #[inline]
    pub fn set_numbers(&self, row: &mut Row, values: &[f32]) {
        if matches!(self.arrays.way, Way::OneByOne) || !self.arrays.are_ordinary(values) {
            for (number, value) in values.iter().enumerate() {
                self.set_number(row, number, Some(f64::from(*value)).filter(|value| value.is_finite()));
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

    /// Puts a member's embedding of a category into the inputs.
    #[inline]
    pub fn embed(&self, member: usize, category: usize, code: u32, inputs: &mut [f32]) {
        let (first, dimension) = self.places[category];
        let from = code as usize * dimension;
        let table = &self.members[member].embeddings[category];
        inputs[first..first + dimension].copy_from_slice(&table[from..from + dimension]);
    }

    /// One output, averaged over the members, which read the same numbers through embeddings of their own.
    #[inline]
    pub fn number(&self, kernel: &Kernel, row: &mut Row, output: usize) -> f64 {
        let mut sum = self.members[0].number(kernel, (&row.inputs, &row.picks), &mut row.scratch[0], output);
        for (m, member) in self.members.iter().enumerate().skip(1) {
            self.embed_all(m, row);
            sum += member.number(kernel, (&row.inputs, &row.picks), &mut row.scratch[m], output);
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
        reading: Reading,
        numbers: &[Number],
        line: (f64, f64),
    ) -> Result<Self, ModelError> {
        let recipe = reading.recipe;
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
        if !bounds::fit(bounds::of_inputs(recipe, numbers, network), &layers, &network.activations) {
            return Err(ModelError::artifact("its weights are so large that their sums overflow"));
        }
        let misfit = || ModelError::artifact("its layers do not fit together");
        let steps = match reading.counts() {
            counts if counts.is_empty() => Steps::default(),
            counts => {
                let first = recipe.dense_width() - counts.iter().sum::<usize>();
                Steps::split_off(&mut layers[0], first, &counts)
            }
        };
        let stacks = Stack::of_outputs(&layers, &network.activations, &steps).ok_or_else(misfit)?;
        let crossed =
            crossed.iter().map(|weights| padded(weights)).chain(std::iter::repeat(Array::default()));
        Ok(Self {
            embeddings: network.embeddings.iter().map(|table| table.iter().copied().collect()).collect(),
            heads: stacks.into_iter().zip(crossed).collect(),
            crosses: match crosses.is_empty() {
                true => None,
                false => Some(Crosses::new(&crosses).ok_or_else(misfit)?),
            },
        })
    }

    fn shape(&self) -> Shape {
        let hidden = self.heads[0].0.hidden.iter().map(|layer| (layer.outputs, layer.then));
        Shape {
            hidden: hidden.collect(),
            ranks: self.crosses.as_ref().map_or(Vec::new(), Crosses::ranks),
            biases: self.heads.iter().map(|(stack, _)| stack.bias).collect(),
        }
    }

    fn put(&self, image: &mut ImageWriter) {
        self.embeddings.iter().for_each(|table| image.put(table));
        Stack::put(self.heads.iter().map(|(stack, _)| stack), image);
        if let Some(crosses) = &self.crosses {
            crosses.put(image);
            self.heads.iter().for_each(|(_, crossed)| image.put(crossed));
        }
    }

    fn take(reading: Reading, shape: &Shape, image: &mut ImageReader) -> Result<Self, ModelError> {
        let bins: usize = reading.counts().iter().sum();
        let width = reading.recipe.width() - bins;
        let categories = reading.recipe.categories().into_iter();
        let tables = categories.map(|category| image.take_just(category.rows() * category.dimension));
        let embeddings = tables.collect::<Result<_, _>>()?;
        let stacks = Stack::take((width, 2 * bins), &shape.hidden, &shape.biases, image)?;
        let crosses = match shape.ranks.is_empty() {
            true => None,
            false => Some(Crosses::take(width, &shape.ranks, image)?),
        };
        let mut crossed = || match &crosses {
            Some(_) => image.take_just(width.div_ceil(CHUNK)),
            None => Ok(Array::default()),
        };
        let heads = stacks.into_iter().map(|stack| Ok((stack, crossed()?)));
        Ok(Self { heads: heads.collect::<Result<_, ModelError>>()?, embeddings, crosses })
    }

    pub fn scratch(&self) -> (Scratch, Option<CrossScratch>) {
        (self.heads[0].0.scratch(), self.crosses.as_ref().map(Crosses::scratch))
    }

    pub fn memory(&self) -> usize {
        let tables: usize = self.embeddings.iter().map(Array::memory).sum();
        let heads: usize =
            self.heads.iter().map(|(stack, crossed)| stack.last.memory() + crossed.memory()).sum();
        self.heads[0].0.memory() + self.crosses.as_ref().map_or(0, Crosses::memory) + tables + heads
    }

    #[inline]
    pub fn number(
        &self,
        kernel: &Kernel,
        (inputs, picks): (&[f32], &[Pick]),
        (scratch, cross_scratch): &mut (Scratch, Option<CrossScratch>),
        output: usize,
    ) -> f64 {
        let (stack, weights) = &self.heads[output];
        let hidden = f64::from(kernel.logit(stack, inputs, picks, scratch));
        match (&self.crosses, cross_scratch) {
            (Some(crosses), Some(scratch)) => {
                kernel.cross(crosses, inputs, scratch);
                hidden + f64::from(kernel.weigh(&scratch.crossed, weights))
            }
            _ => hidden,
        }
    }
}

impl Reading<'_> {
    /// How each number goes in.
    fn numbers(&self) -> Vec<Number> {
        let Self { recipe, foldable, picked } = *self;
        let scalings = recipe.scalings().into_iter().zip(recipe.indicators()).zip(recipe.seconds());
        let (mut n, mut row) = (0, 0);
        let numbers = scalings.zip(recipe.bins()).map(|(((scaling, indicator), second), bins)| {
            let mut number = Number::new(scaling, indicator, second, foldable);
            number.bins = bins.map(|(bins, position)| {
                let pick = BinPlace::Pick { n, row };
                (n, row) = (n + 1, row + 2 * bins.count() as u32);
                (bins.clone(), if picked { pick } else { BinPlace::Inputs(position) })
            });
            number
        });
        numbers.collect()
    }

    /// The bins of each number that has some, if they are no inputs.
    fn counts(&self) -> Vec<usize> {
        let bins = self.recipe.bins().into_iter().flatten().map(|(bins, _)| bins.count());
        bins.filter(|_| self.picked).collect()
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
