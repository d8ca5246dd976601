//! The forward pass of many rows at once: a matrix product by tiles of a few rows and a few vectors of outputs, so that a
//! weight is loaded once for all rows of a tile, and a layer that is larger than a cache is read once for all rows.
//!
//! Each sum has the terms of [`super::simd`]'s pass in the same order: the outputs are the same to the last bit.
#![allow(unsafe_code)]

use super::activation::Activation;
use super::stack::{Chunk, Hidden, Pick, Picked, Stack, BLOCK, CHUNK};
use super::vectors::{add_up, dot, Lanes};

/// Most rows at once.
pub(crate) const ROWS: usize = 64;
/// Rows of a tile. Its sums, its weights and an input fit into sixteen registers.
const TILE: usize = 4;

/// Buffers for the values of [`ROWS`] rows between layers.
#[derive(Debug)]
pub(crate) struct TileScratch {
    pub(super) from: Vec<Chunk>,
    pub(super) to: Vec<Chunk>,
}

impl TileScratch {
    pub(crate) fn of(stack: &Stack) -> Self {
        let buffer = vec![Chunk::default(); if stack.hidden.is_empty() { 0 } else { ROWS * stack.widest }];
        Self { to: buffer.clone(), from: buffer }
    }
}

/// Rows of values, each `stride` floats behind the one before.
#[derive(Clone, Copy)]
struct StridedRows {
    at: *const f32,
    stride: usize,
    /// Values of a row.
    count: usize,
    rows: usize,
}

/// The forward pass of many rows: see [`super::simd::Kernel::logits`], also for its panics.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn pass<V: Lanes>(
    stack: &Stack,
    inputs: &[f32],
    picks: &[Pick],
    scratch: &mut TileScratch,
    logits: &mut [f32],
) {
    let (width, rows) = (stack.inputs, logits.len());
    assert!(rows <= ROWS && inputs.len() == rows * width, "other rows");
    assert!(picks.len().is_multiple_of(rows.max(1)) && stack.steps.have(picks), "other rows");
    let needed = if stack.hidden.is_empty() { 0 } else { rows * stack.widest };
    assert!(scratch.from.len() >= needed && scratch.to.len() >= needed, "another model's rows");
    let mut values = StridedRows { at: inputs.as_ptr(), stride: width, count: width, rows };
    let stride = stack.widest * CHUNK;
    let (mut free, mut taken) =
        (scratch.from.as_mut_ptr().cast::<f32>(), scratch.to.as_mut_ptr().cast::<f32>());
    let mut picked = Picked::of(stack, picks);
    for layer in stack.hidden.iter() {
        // SAFETY: `Stack` holds layers that fit together: each has as many inputs as the one before has outputs. A buffer
        // holds `stride` floats of each row, which are enough for the widest layer; the values lie in the other one or in
        // `inputs`.
        unsafe {
            match layer.then {
                Activation::Relu => hidden::<V, true>(layer, values, picked, free, stride),
                then => {
                    hidden::<V, false>(layer, values, picked, free, stride);
                    for r in 0..rows {
                        then.apply(std::slice::from_raw_parts_mut(
                            free.add(r * stride),
                            layer.bias.len() * CHUNK,
                        ));
                    }
                }
            }
        };
        picked = Picked::NONE;
        values = StridedRows { at: free, stride, count: layer.outputs, rows };
        std::mem::swap(&mut free, &mut taken);
    }
    let last = stack.last.as_ptr().cast::<f32>();
    for (r, logit) in logits.iter_mut().enumerate() {
        // SAFETY: the row is one of `values`, which hold whole chunks after a hidden layer, else `width` floats; the last
        // layer has weights for as many.
        let sum = unsafe {
            let row = values.at.add(r * values.stride);
            match stack.hidden.last() {
                Some(layer) => weigh::<V>(row, last, layer.bias.len()),
                None => dot::<V>(row, last, width),
            }
        };
        *logit = stack.bias + sum;
    }
}

/// One layer of all rows; row r of its outputs goes to `to + r * stride`, negative ones as 0 if `RELU`.
///
/// # Safety
/// The processor has the instructions of `V`; the layer is laid out as `Hidden` says, and has an input for each of the
/// rows' values, which can be read; `picked` are of its steps, as many of each row. Room for the outputs of each row, in whole chunks, lies at `to` and nowhere among the
/// values.
#[inline(always)]
unsafe fn hidden<V: Lanes, const RELU: bool>(
    layer: &Hidden,
    rows: StridedRows,
    picked: Picked,
    to: *mut f32,
    stride: usize,
) {
    let chunks = layer.bias.len();
    for first in (0..chunks).step_by(BLOCK) {
        let lanes = (chunks - first).min(BLOCK) * CHUNK;
        // SAFETY: before this block of the layer lie `first` chunks of weights for each input.
        let block = unsafe { layer.weight.as_ptr().add(first * layer.inputs).cast::<f32>() };
        let mut lane = 0;
        while lane < lanes {
            let at = first * CHUNK + lane;
            // SAFETY: the layer has more than `at` outputs, the block more than `lane`. From there to the end of the block,
            // whose width is a multiple of a vector's, lie as many vectors of outputs as are computed.
            lane += V::WIDTH
                * unsafe {
                    let bias = layer.bias.as_ptr().cast::<f32>().add(at);
                    let (weight, to) = (block.add(lane), to.add(at));
                    let (picks, steps) = (picked.picks, picked.of_outputs(first, lane));
                    let outputs = TileOutputs { weight, lanes, picks, steps, bias, to, stride };
                    match (lanes - lane) / V::WIDTH {
                        2.. => outputs.all::<V, 2, RELU>(rows),
                        _ => outputs.all::<V, 1, RELU>(rows),
                    }
                };
        }
    }
}

/// A few neighbouring outputs of a hidden layer, of all rows.
struct TileOutputs<'a> {
    /// The weights of these outputs for the first input; those for the next are `lanes` floats on.
    weight: *const f32,
    lanes: usize,
    /// Those of the first row, then those of the next.
    picks: &'a [Pick],
    /// Their weights of the first row of the steps; those of the next are `lanes` floats on.
    steps: *const f32,
    bias: *const f32,
    /// Where the first row's outputs go; the next row's are `stride` floats on.
    to: *mut f32,
    stride: usize,
}

impl TileOutputs<'_> {
    /// Computes `N` vectors of outputs of every row, and says how many vectors that were.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; the rows' values can be read; `N` vectors of outputs lie at `bias`, at
    /// `weight` for each value of a row, at `steps` for both rows of each pick, and at `to` for each row.
    #[inline(always)]
    unsafe fn all<V: Lanes, const N: usize, const RELU: bool>(&self, rows: StridedRows) -> usize {
        let mut row = 0;
        while row + TILE <= rows.rows {
            // SAFETY: there are `TILE` rows from this one on; all else is as the caller says.
            unsafe { self.tile::<V, TILE, N, RELU>(rows, row) };
            row += TILE;
        }
        while row < rows.rows {
            // SAFETY: there is this row.
            unsafe { self.tile::<V, 1, N, RELU>(rows, row) };
            row += 1;
        }
        N
    }

    /// Those of `R` rows, all sums in registers.
    ///
    /// # Safety
    /// As of [`Self::all`], and there are `R` rows from `first` on.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const N: usize, const RELU: bool>(
        &self,
        rows: StridedRows,
        first: usize,
    ) {
        // SAFETY: every load and store is of one of the `N` vectors that the caller says are there, and every input is
        // one of the `count` of one of the `R` rows.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; R];
            for row in &mut sums {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum = V::load(self.bias.add(j * V::WIDTH));
                }
            }
            let inputs = rows.at.add(first * rows.stride);
            let mut weight = self.weight;
            for i in 0..rows.count {
                let mut weights = [V::splat(0.0); N];
                for (j, vector) in weights.iter_mut().enumerate() {
                    *vector = V::load(weight.add(j * V::WIDTH));
                }
                for (r, row) in sums.iter_mut().enumerate() {
                    let input = V::splat(*inputs.add(r * rows.stride + i));
                    for (sum, weights) in row.iter_mut().zip(weights) {
                        *sum = sum.add_product(input, weights);
                    }
                }
                weight = weight.wrapping_add(self.lanes);
            }
            let of_row = self.picks.len() / rows.rows;
            for (row, picks) in sums.iter_mut().zip(self.picks[first * of_row..].chunks(of_row.max(1))) {
                for pick in picks {
                    let before = self.steps.add(pick.row as usize * self.lanes);
                    let (own, share) = (before.add(self.lanes), V::splat(pick.share));
                    for (j, sum) in row.iter_mut().enumerate() {
                        let at = j * V::WIDTH;
                        *sum = sum.add(V::load(before.add(at))).add_product(share, V::load(own.add(at)));
                    }
                }
            }
            for (r, row) in sums.iter().enumerate() {
                for (j, sum) in row.iter().enumerate() {
                    let value = if RELU { sum.relu() } else { *sum };
                    value.store(self.to.add((first + r) * self.stride + j * V::WIDTH));
                }
            }
        }
    }
}

/// The sum of a row's values, each times its weight, in the order in which the pass of one row adds them up.
///
/// # Safety
/// The processor has the instructions of `V`, and `chunks` chunks of floats can be read at `values` and at `weights`.
#[inline(always)]
pub(super) unsafe fn weigh<V: Lanes>(values: *const f32, weights: *const f32, chunks: usize) -> f32 {
    // SAFETY: the processor has the instructions.
    let mut sum = unsafe { V::splat(0.0) };
    for first in (0..chunks).step_by(BLOCK) {
        let (mut at, end) = (first * CHUNK, (first + BLOCK).min(chunks) * CHUNK);
        while at < end {
            // SAFETY: so many vectors lie between `at` and `end`, which is not behind the last chunk.
            at += V::WIDTH
                * unsafe {
                    let (values, weights) = (values.add(at), weights.add(at));
                    match (end - at) / V::WIDTH {
                        8.. => products::<V, 8>(values, weights, &mut sum),
                        4.. => products::<V, 4>(values, weights, &mut sum),
                        2.. => products::<V, 2>(values, weights, &mut sum),
                        _ => products::<V, 1>(values, weights, &mut sum),
                    }
                };
        }
    }
    sum.sum()
}

/// Adds up `N` vectors of products, and says how many vectors that were.
///
/// # Safety
/// The processor has the instructions of `V`, and `N` vectors can be read at `values` and at `weights`.
#[inline(always)]
unsafe fn products<V: Lanes, const N: usize>(values: *const f32, weights: *const f32, sum: &mut V) -> usize {
    // SAFETY: every load is of one of the `N` vectors.
    let products = unsafe {
        let mut products = [V::splat(0.0); N];
        for (j, product) in products.iter_mut().enumerate() {
            let at = j * V::WIDTH;
            *product = product.add_product(V::load(values.add(at)), V::load(weights.add(at)));
        }
        products
    };
    *sum = sum.add(add_up(products));
    N
}
