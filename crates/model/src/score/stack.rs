//! A network laid out for the kernels: weights in the order in which they are read, padded to whole vectors.

use super::activation::Activation;
use super::array::Array;
use super::image::{refused, ImageReader, ImageWriter};
use crate::error::ModelError;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Outputs are padded to a multiple of this: one AVX-512 vector, one cache line.
pub(crate) const CHUNK: usize = 16;
/// Chunks whose sums stay in registers while the inputs go by.
pub(crate) const BLOCK: usize = 8;

/// Sixteen floats that fill a cache line, so that no load of a vector crosses the border between two lines.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Chunk(pub [f32; CHUNK]);

/// Buffers for the values between layers.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    pub from: Vec<Chunk>,
    pub to: Vec<Chunk>,
}

/// A hidden layer, `then(bias + weight · x)`. The layers of crosses have no activation, and this says nothing.
#[derive(Debug)]
pub(crate) struct Hidden {
    pub inputs: usize,
    pub outputs: usize,
    pub then: Activation,
    pub bias: Array<Chunk>,
    /// For each block of up to [`BLOCK`] chunks of outputs, for each input, the weights of those outputs.
    pub weight: Array<Chunk>,
}

/// The weights of the first hidden layer for the bins of numbers, as running sums: for each bin the sum of the weights of the bins
/// before it in its number, then its own. So a number takes two rows of weights, whatever the number of its bins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    pub rows: usize,
    /// As [`Hidden::weight`], with these rows in place of inputs.
    pub weight: Array<Chunk>,
}

/// The bin in which a number lies: the first of its two rows among [`Steps`], which counts whole, and the share of the second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pick {
    pub row: u32,
    pub share: f32,
}

/// All layers. The kernels rely on the lengths that [`Stack::of_outputs`] and [`Stack::take`] give these fields; nothing
/// changes them later.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Shared by the stacks of a network with several outputs.
    pub hidden: Arc<[Hidden]>,
    /// Of the first hidden layer; none where bins are inputs.
    pub steps: Steps,
    pub inputs: usize,
    /// The weights of the one output, padded with zeros to whole chunks.
    pub last: Array<Chunk>,
    pub bias: f32,
    /// The widest hidden layer, in chunks.
    pub widest: usize,
}

/// One linear layer as it comes in: weights row by row, `(outputs, inputs)`.
pub(crate) struct Linear {
    pub inputs: usize,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Hidden {
    fn new(layer: &Linear, then: Activation) -> Self {
        let (inputs, outputs) = (layer.inputs, layer.bias.len());
        Self { inputs, outputs, then, bias: padded(&layer.bias), weight: in_blocks(layer) }
    }

    /// Bytes of this process's own memory.
    fn memory(&self) -> usize {
        self.bias.memory() + self.weight.memory()
    }

    fn put(&self, image: &mut ImageWriter) {
        image.put(&self.bias);
        image.put(&self.weight);
    }

    fn take(
        inputs: usize,
        (outputs, then): (usize, Activation),
        image: &mut ImageReader,
    ) -> Result<Self, ModelError> {
        let chunks = outputs.div_ceil(CHUNK);
        let weights = inputs.checked_mul(chunks).filter(|weights| *weights > 0).ok_or_else(refused)?;
        Ok(Self { inputs, outputs, then, bias: image.take_just(chunks)?, weight: image.take_just(weights)? })
    }
}

/// The weights of a layer as [`Hidden::weight`] has them.
fn in_blocks(layer: &Linear) -> Array<Chunk> {
    let (inputs, outputs) = (layer.inputs, layer.bias.len());
    let chunks = outputs.div_ceil(CHUNK);
    let chunk_of = |chunk: usize, input: usize| {
        let weight = |o: usize| if o < outputs { layer.weight[o * inputs + input] } else { 0.0 };
        Chunk(std::array::from_fn(|lane| weight(chunk * CHUNK + lane)))
    };
    let mut weight = Vec::with_capacity(inputs * chunks);
    for first in (0..chunks).step_by(BLOCK) {
        for input in 0..inputs {
            weight.extend((first..(first + BLOCK).min(chunks)).map(|chunk| chunk_of(chunk, input)));
        }
    }
    weight.into()
}

impl Steps {
    /// Takes the weights of bins out of a layer: those from the input `first` on, of numbers with so many bins each.
    pub(crate) fn split_off(layer: &mut Linear, first: usize, counts: &[usize]) -> Self {
        let bins: usize = counts.iter().sum();
        let (mut others, mut steps) = (Vec::new(), Vec::new());
        for weights in layer.weight.chunks_exact(layer.inputs) {
            let (before, rest) = weights.split_at(first);
            let (mut of_bins, after) = rest.split_at(bins);
            others.extend(before.iter().chain(after));
            for count in counts {
                let (of_number, rest) = of_bins.split_at(*count);
                let mut sum = 0.0;
                for weight in of_number {
                    steps.extend([sum as f32, *weight]);
                    sum += f64::from(*weight);
                }
                of_bins = rest;
            }
        }
        (layer.inputs, layer.weight) = (layer.inputs - bins, others);
        let rows = 2 * bins;
        let bias = vec![0.0; layer.bias.len()];
        Self { rows, weight: in_blocks(&Linear { inputs: rows, weight: steps, bias }) }
    }

    /// Whether all rows of the picks are there.
    pub(crate) fn have(&self, picks: &[Pick]) -> bool {
        picks.iter().all(|pick| (pick.row as usize) + 1 < self.rows)
    }
}

impl Stack {
    /// Lays out a network, one stack for each output of its last layer. A hidden layer without an activation has ReLU. `steps` are what was split off its first layer. `None`
    /// unless there is a last layer and all shapes agree.
    pub(crate) fn of_outputs(layers: &[Linear], then: &[Activation], steps: &Steps) -> Option<Vec<Self>> {
        let (last, hidden) = layers.split_last()?;
        let shapes_agree = layers.iter().all(|l| l.inputs > 0 && l.weight.len() == l.inputs * l.bias.len())
            && layers.windows(2).all(|pair| pair[0].bias.len() == pair[1].inputs);
        if !shapes_agree {
            return None;
        }
        let then = then.iter().copied().chain(std::iter::repeat(Activation::Relu));
        let hidden: Arc<[Hidden]> =
            hidden.iter().zip(then).map(|(layer, then)| Hidden::new(layer, then)).collect();
        let stack = |(weights, bias): (&[f32], &f32)| {
            Self::new(layers[0].inputs, Arc::clone(&hidden), steps.clone(), padded(weights), *bias)
        };
        Some(last.weight.chunks_exact(last.inputs).zip(&last.bias).map(stack).collect())
    }

    fn new(inputs: usize, hidden: Arc<[Hidden]>, steps: Steps, last: Array<Chunk>, bias: f32) -> Self {
        let widest = hidden.iter().map(|layer| layer.bias.len()).max().unwrap_or(0);
        Self { inputs, widest, last, bias, hidden, steps }
    }

    /// The steps' and the hidden layers' weights, then those of each stack's last layer.
    pub(crate) fn put<'a>(stacks: impl Iterator<Item = &'a Self> + Clone, image: &mut ImageWriter) {
        stacks.clone().take(1).for_each(|stack| image.put(&stack.steps.weight));
        stacks.clone().take(1).flat_map(|stack| &stack.hidden[..]).for_each(|layer| layer.put(image));
        stacks.for_each(|stack| image.put(&stack.last));
    }

    /// Reads what [`Stack::put`] wrote. The stacks have this many inputs and rows of steps, hidden layers with these numbers
    /// of outputs and activations, and these biases.
    pub(crate) fn take(
        (inputs, rows): (usize, usize),
        hidden: &[(usize, Activation)],
        biases: &[f32],
        image: &mut ImageReader,
    ) -> Result<Vec<Self>, ModelError> {
        let chunks = hidden.first().map_or(0, |(outputs, _)| outputs.div_ceil(CHUNK));
        let weight = image.take_just(rows.checked_mul(chunks).ok_or_else(refused)?)?;
        let steps = Steps { rows, weight };
        let befores = [inputs].into_iter().chain(hidden.iter().map(|(outputs, _)| *outputs));
        let layers = befores.zip(hidden).map(|(inputs, layer)| Hidden::take(inputs, *layer, image));
        let layers: Arc<[Hidden]> = layers.collect::<Result<_, _>>()?;
        let read = hidden.last().map_or(inputs, |(outputs, _)| *outputs).div_ceil(CHUNK);
        let stack = |bias: &f32| {
            Ok(Self::new(inputs, Arc::clone(&layers), steps.clone(), image.take_just(read)?, *bias))
        };
        biases.iter().map(stack).collect()
    }

    pub(crate) fn scratch(&self) -> Scratch {
        let buffer = vec![Chunk::default(); self.widest];
        Scratch { to: buffer.clone(), from: buffer }
    }

    /// Bytes of this process's own memory, all hidden layers' included.
    pub(crate) fn memory(&self) -> usize {
        self.hidden.iter().map(Hidden::memory).sum::<usize>()
            + self.steps.weight.memory()
            + self.last.memory()
    }
}

/// Cross layers (see [`crate::network::Cross`]), each as two linear layers: down to the rank and up again.
#[derive(Debug)]
pub(crate) struct Crosses {
    pub layers: Vec<(Hidden, Hidden)>,
    pub width: usize,
    /// The highest rank, in chunks.
    highest: usize,
}

/// Buffers for the cross layers.
#[derive(Debug, Clone)]
pub(crate) struct CrossScratch {
    /// The output of the cross layers, padded with zeros.
    pub crossed: Vec<Chunk>,
    pub down: Vec<Chunk>,
    pub up: Vec<Chunk>,
}

impl Crosses {
    /// Lays out pairs of layers, down and up. `None` unless all shapes agree.
    pub(crate) fn new(layers: &[(Linear, Linear)]) -> Option<Self> {
        let width = layers.first()?.0.inputs;
        let agree = layers.iter().all(|(down, up)| {
            let rank = down.bias.len();
            rank > 0
                && (down.inputs, up.inputs, up.bias.len()) == (width, rank, width)
                && (down.weight.len(), up.weight.len()) == (width * rank, width * rank)
        });
        if !agree {
            return None;
        }
        Some(Self::laid_out(layers.iter().map(|(down, up)| (uncut(down), uncut(up))).collect(), width))
    }

    fn laid_out(layers: Vec<(Hidden, Hidden)>, width: usize) -> Self {
        let highest = layers.iter().map(|(down, _)| down.bias.len()).max().unwrap_or(0);
        Self { layers, width, highest }
    }

    /// The rank of each layer.
    pub(crate) fn ranks(&self) -> Vec<usize> {
        self.layers.iter().map(|(down, _)| down.outputs).collect()
    }

    pub(crate) fn put(&self, image: &mut ImageWriter) {
        self.layers.iter().flat_map(|(down, up)| [down, up]).for_each(|layer| layer.put(image));
    }

    /// Reads what [`Crosses::put`] wrote. The layers have this width and these ranks.
    pub(crate) fn take(width: usize, ranks: &[usize], image: &mut ImageReader) -> Result<Self, ModelError> {
        let then = Activation::default();
        let mut layer = |rank: usize| {
            let down = Hidden::take(width, (rank, then), image)?;
            Ok((down, Hidden::take(rank, (width, then), image)?))
        };
        let layers = ranks.iter().map(|rank| layer(*rank)).collect::<Result<_, ModelError>>()?;
        Ok(Self::laid_out(layers, width))
    }

    pub(crate) fn scratch(&self) -> CrossScratch {
        let wide = vec![Chunk::default(); self.width.div_ceil(CHUNK)];
        CrossScratch { crossed: wide.clone(), up: wide, down: vec![Chunk::default(); self.highest] }
    }

    /// Bytes of this process's own memory.
    pub(crate) fn memory(&self) -> usize {
        self.layers.iter().map(|(down, up)| down.memory() + up.memory()).sum()
    }
}

impl CrossScratch {
    /// Whether the buffers are large enough.
    pub(crate) fn serves(&self, crosses: &Crosses) -> bool {
        let wide = crosses.width.div_ceil(CHUNK);
        self.crossed.len() >= wide && self.up.len() >= wide && self.down.len() >= crosses.highest
    }
}

/// A layer of crosses.
fn uncut(layer: &Linear) -> Hidden {
    Hidden::new(layer, Activation::default())
}

/// Weights, with zeros to whole chunks.
pub(crate) fn padded(weights: &[f32]) -> Array<Chunk> {
    let chunk = |part: &[f32]| {
        let mut chunk = Chunk::default();
        chunk.0[..part.len()].copy_from_slice(part);
        chunk
    };
    weights.chunks(CHUNK).map(chunk).collect()
}

/// What the first layer adds for bins.
#[derive(Clone, Copy)]
pub(crate) struct Picked<'a> {
    pub picks: &'a [Pick],
    /// The weights and rows of [`Steps`].
    weight: *const Chunk,
    rows: usize,
}

impl<'a> Picked<'a> {
    pub const NONE: Picked<'static> = Picked { picks: &[], weight: std::ptr::null(), rows: 0 };

    pub fn of(stack: &Stack, picks: &'a [Pick]) -> Self {
        Self { picks, weight: stack.steps.weight.as_ptr(), rows: stack.steps.rows }
    }

    /// The weights of a few outputs: those `lane` lanes into the block that begins with the chunk `first`.
    #[inline(always)]
    pub fn of_outputs(&self, first: usize, lane: usize) -> *const f32 {
        self.weight.wrapping_add(first * self.rows).cast::<f32>().wrapping_add(lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::network::{Dense, Network};
    use crate::score::simd::{available, Kernel};
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random_network(sizes: &[usize], random: &mut ChaCha8Rng) -> Network {
        let layers = sizes.windows(2).map(|pair| {
            let reach = 1.0 / (pair[0] as f32).sqrt();
            Dense {
                weight: Array2::from_shape_fn((pair[1], pair[0]), |_| random.random_range(-reach..reach)),
                bias: Array1::from_shape_fn(pair[1], |_| random.random_range(-1.0..1.0)),
            }
        });
        Network { layers: layers.collect(), ..Network::default() }
    }

    fn laid_out(network: &Network) -> Stack {
        let layers = network.layers.iter().map(|layer| Linear {
            inputs: layer.weight.ncols(),
            weight: layer.weight.iter().copied().collect(),
            bias: layer.bias.to_vec(),
        });
        Stack::of_outputs(&layers.collect::<Vec<_>>(), &[], &Steps::default()).unwrap().remove(0)
    }

    fn random_inputs(count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        (0..count).map(|_| random.random_range(-3.0..3.0)).collect()
    }

    fn assert_all_agree(sizes: &[usize], seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let network = random_network(sizes, &mut random);
        let stack = laid_out(&network);
        let inputs = random_inputs(sizes[0], &mut random);
        let expected = network.outputs(&inputs, &[])[0];
        for kernel in available() {
            let logit = kernel.logit(&stack, &inputs, &[], &mut stack.scratch());
            let near = 2e-5 * expected.abs().max(1.0);
            assert!((logit - expected).abs() < near, "{} {sizes:?}: {logit}, not {expected}", kernel.name);
        }
    }

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_plain_network(
            inputs in 1..100_usize,
            hidden in prop::collection::vec(1..300_usize, 0..4),
            seed: u64,
        ) {
            assert_all_agree(&[&[inputs], &hidden[..], &[1]].concat(), seed);
        }
    }

    #[test]
    fn every_size_of_a_hidden_layer_is_covered() {
        (1..=300).for_each(|outputs| assert_all_agree(&[7, outputs, outputs, 1], 1));
    }

    #[test]
    fn the_scalar_kernel_is_always_there_and_the_best_is_first() {
        let names: Vec<&str> = available().iter().map(|kernel| kernel.name).collect();
        assert_eq!(names.last(), Some(&"scalar"));
        assert_eq!(Kernel::best().name, names[0]);
    }

    #[test]
    fn inputs_left_out_count_as_zero() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for sizes in [&[20, 50, 1][..], &[20, 1], &[20, 200, 30, 1]] {
            let stack = laid_out(&random_network(sizes, &mut random));
            let mut inputs = random_inputs(20, &mut random);
            inputs[13..].fill(0.0);
            for kernel in available() {
                let whole = kernel.logit(&stack, &inputs, &[], &mut stack.scratch());
                let short = kernel.logit(&stack, &inputs[..13], &[], &mut stack.scratch());
                assert!((whole - short).abs() < 1e-5, "{} {sizes:?}", kernel.name);
            }
        }
    }

    #[test]
    fn inputs_of_any_alignment_are_read() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let stack = laid_out(&random_network(&[40, 1], &mut random));
        let values = random_inputs(60, &mut random);
        for start in 0..17 {
            let inputs = &values[start..start + 40];
            let copied = inputs.to_vec();
            for kernel in available() {
                let there = kernel.logit(&stack, inputs, &[], &mut stack.scratch());
                assert_eq!(there, kernel.logit(&stack, &copied, &[], &mut stack.scratch()));
            }
        }
    }

    #[test]
    fn a_sum_that_is_not_a_number_is_cut_off_by_every_relu() {
        let layers = [
            Linear { inputs: 2, weight: vec![1.0, -1.0], bias: vec![0.0] },
            Linear { inputs: 1, weight: vec![1.0], bias: vec![0.5] },
        ];
        let stack = Stack::of_outputs(&layers, &[], &Steps::default()).unwrap().remove(0);
        for kernel in available() {
            let logit = kernel.logit(&stack, &[f32::INFINITY, f32::INFINITY], &[], &mut stack.scratch());
            assert_eq!(logit, 0.5, "{}", kernel.name);
        }
    }

    #[test]
    #[should_panic(expected = "another model's row")]
    fn a_pick_beyond_the_steps_is_refused() {
        let mut layers = [
            Linear { inputs: 4, weight: vec![1.0; 8], bias: vec![0.0; 2] },
            Linear { inputs: 2, weight: vec![1.0; 2], bias: vec![0.5] },
        ];
        let steps = Steps::split_off(&mut layers[0], 1, &[3]);
        let stack = Stack::of_outputs(&layers, &[], &steps).unwrap().remove(0);
        let pick = |row| Pick { row, share: 0.5 };
        assert_eq!(Kernel::best().logit(&stack, &[2.0], &[pick(4)], &mut stack.scratch()), 9.5);
        Kernel::best().logit(&stack, &[2.0], &[pick(5)], &mut stack.scratch());
    }

    #[test]
    fn layers_that_do_not_fit_together_are_refused() {
        let layer = |inputs, outputs: usize| Linear {
            inputs,
            weight: vec![0.0; inputs * outputs],
            bias: vec![0.0; outputs],
        };
        assert!(Stack::of_outputs(&[], &[], &Steps::default()).is_none());
        assert!(Stack::of_outputs(&[layer(3, 2), layer(3, 1)], &[], &Steps::default()).is_none());
        assert!(Stack::of_outputs(&[layer(0, 1)], &[], &Steps::default()).is_none());
        assert!(Stack::of_outputs(
            &[Linear { inputs: 3, weight: vec![0.0; 2], bias: vec![0.0] }],
            &[],
            &Steps::default()
        )
        .is_none());
        assert!(Stack::of_outputs(&[layer(3, 2), layer(2, 1)], &[], &Steps::default()).is_some());
    }

    #[test]
    #[should_panic(expected = "another model's row")]
    fn the_scratch_of_a_smaller_network_is_refused() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let small = laid_out(&random_network(&[2, 2, 1], &mut random));
        let large = laid_out(&random_network(&[2, 99, 9, 1], &mut random));
        Kernel::best().logit(&large, &[0.0, 0.0], &[], &mut small.scratch());
    }
}
