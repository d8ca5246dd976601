//! The kernels: one forward pass through the hidden layers or the cross layers, compiled for each instruction set and
//! chosen at run time.
//!
//! The bodies ([`pass`], [`cross`], [`tiles::pass`]) are written once over the [`Lanes`] trait; each instruction set only says
//! what a vector is (see [`super::vectors`]). They check every length that comes from outside, so that a kernel relies on
//! nothing but the processor's instructions. Of this crate's files, only this one, `tiles`, `vectors` and the
//! kernels of forests may hold `unsafe`.
#![allow(unsafe_code)]

use super::activation::Activation;
use super::stack::{Chunk, CrossScratch, Crosses, Hidden, Pick, Picked, Scratch, Stack, BLOCK, CHUNK};
use super::tiles::{self, TileScratch};
use super::vectors::{add_up, dot, Lanes, Plain};
use once_cell::sync::Lazy;

/// The forward pass for one instruction set. Each function relies on the processor having that set.
pub(crate) struct Kernel {
    pub name: &'static str,
    pass: unsafe fn(&Stack, &[f32], &[Pick], &mut Scratch) -> f32,
    /// [`Self::pass`] of many rows.
    tiles: unsafe fn(&Stack, &[f32], &[Pick], &mut TileScratch, &mut [f32]),
    cross: unsafe fn(&Crosses, &[f32], &mut CrossScratch),
    weigh: unsafe fn(&[Chunk], &[Chunk]) -> f32,
}

impl Kernel {
    /// The fastest kernel of this processor.
    pub(crate) fn best() -> &'static Kernel {
        static BEST: Lazy<&'static Kernel> = Lazy::new(|| available()[0]);
        *BEST
    }

    /// The network's one output. `inputs` may be shorter than the first layer; the inputs it leaves out are 0.
    ///
    /// # Panics
    /// If `inputs` is longer than the first layer, a pick is not among the steps, or the scratch is that of a smaller network.
    #[inline]
    pub(crate) fn logit(&self, stack: &Stack, inputs: &[f32], picks: &[Pick], scratch: &mut Scratch) -> f32 {
        // SAFETY: `available` gives out only the kernels whose instructions this processor has.
        unsafe { (self.pass)(stack, inputs, picks, scratch) }
    }

    /// [`Kernel::logit`] of each of many rows; `inputs` holds them one after the other, and `picks` as many of each row.
    ///
    /// # Panics
    /// If there are more than [`tiles::ROWS`] rows, a row has another length than the first layer, a pick is not among the
    /// steps, or the scratch is that of a smaller network.
    pub(crate) fn logits(
        &self,
        stack: &Stack,
        inputs: &[f32],
        picks: &[Pick],
        scratch: &mut TileScratch,
        logits: &mut [f32],
    ) {
        // SAFETY: as in `logit`.
        unsafe { (self.tiles)(stack, inputs, picks, scratch, logits) }
    }

    /// Leaves in the scratch what the cross layers put out. `inputs` may be shorter than the layers are wide; the
    /// inputs it leaves out are 0.
    ///
    /// # Panics
    /// If `inputs` is longer than the layers are wide, or the scratch is that of smaller ones.
    #[inline]
    pub(crate) fn cross(&self, crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
        // SAFETY: as in `logit`.
        unsafe { (self.cross)(crosses, inputs, scratch) }
    }

    /// The sum of what the cross layers put out, each times its weight.
    #[inline]
    pub(crate) fn weigh(&self, crossed: &[Chunk], weights: &[Chunk]) -> f32 {
        // SAFETY: as in `logit`.
        unsafe { (self.weigh)(crossed, weights) }
    }
}

/// The kernel whose vectors are `$vector`, compiled for the instruction sets that `$features` names, as
/// `target_feature` spells them.
macro_rules! kernel {
    ($name:literal, $vector:ty, $features:literal) => {{
        /// # Safety
        /// The processor has the instructions.
        #[target_feature(enable = $features)]
        fn pass(stack: &Stack, inputs: &[f32], picks: &[Pick], scratch: &mut Scratch) -> f32 {
            // SAFETY: the instructions that the caller has made sure of are those of the vector.
            unsafe { self::pass::<$vector>(stack, inputs, picks, scratch) }
        }
        /// # Safety
        /// The processor has the instructions.
        #[target_feature(enable = $features)]
        fn tiles(
            stack: &Stack,
            inputs: &[f32],
            picks: &[Pick],
            scratch: &mut TileScratch,
            logits: &mut [f32],
        ) {
            // SAFETY: as in `pass`.
            unsafe { tiles::pass::<$vector>(stack, inputs, picks, scratch, logits) }
        }
        /// # Safety
        /// The processor has the instructions.
        #[target_feature(enable = $features)]
        fn cross(crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
            // SAFETY: as in `pass`.
            unsafe { self::cross::<$vector>(crosses, inputs, scratch) }
        }
        /// # Safety
        /// The processor has the instructions.
        #[target_feature(enable = $features)]
        fn weigh(values: &[Chunk], weights: &[Chunk]) -> f32 {
            // SAFETY: as in `pass`.
            unsafe { self::weigh::<$vector>(values, weights) }
        }
        Kernel { name: $name, pass, tiles, cross, weigh }
    }};
}

#[cfg(target_arch = "x86_64")]
static AVX512: Kernel = kernel!("avx512", super::vectors::Avx512, "avx512f");
#[cfg(target_arch = "x86_64")]
static AVX2: Kernel = kernel!("avx2", super::vectors::Avx2, "avx2,fma");
#[cfg(target_arch = "aarch64")]
static NEON: Kernel = kernel!("neon", super::vectors::Neon, "neon");
static SCALAR: Kernel = Kernel {
    name: "scalar",
    pass: pass::<Plain>,
    tiles: tiles::pass::<Plain>,
    cross: cross::<Plain>,
    weigh: weigh::<Plain>,
};

/// Every kernel this processor can run, fastest first; the scalar one is always there.
#[cfg(target_arch = "x86_64")]
pub(crate) fn available() -> Vec<&'static Kernel> {
    let mut kernels = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        kernels.push(&AVX512);
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        kernels.push(&AVX2);
    }
    kernels.push(&SCALAR);
    kernels
}

/// Every kernel this processor can run, fastest first; the scalar one is always there.
#[cfg(target_arch = "aarch64")]
pub(crate) fn available() -> Vec<&'static Kernel> {
    vec![&NEON, &SCALAR]
}

/// Every kernel this processor can run, fastest first; the scalar one is always there.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn available() -> Vec<&'static Kernel> {
    vec![&SCALAR]
}

/// The forward pass: see [`Kernel::logit`], also for its panics.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn pass<V: Lanes>(stack: &Stack, inputs: &[f32], picks: &[Pick], scratch: &mut Scratch) -> f32 {
    assert!(inputs.len() <= stack.inputs, "more inputs than the network has");
    assert!(stack.steps.have(picks), "another model's row");
    assert!(scratch.from.len() >= stack.widest && scratch.to.len() >= stack.widest, "another model's row");
    let (mut values, mut count) = (inputs.as_ptr(), inputs.len());
    let weights = stack.last.as_ptr().cast::<f32>();
    let Some((last, before)) = stack.hidden.split_last() else {
        // SAFETY: without hidden layers, the last one has a weight for each of the network's inputs.
        return stack.bias + unsafe { dot::<V>(values, weights, count) };
    };
    let (mut free, mut taken) =
        (scratch.from.as_mut_ptr().cast::<f32>(), scratch.to.as_mut_ptr().cast::<f32>());
    let mut picked = Picked::of(stack, picks);
    for layer in before {
        // SAFETY: `Stack` holds layers that fit together: each has as many inputs as the one before has outputs. A buffer
        // holds the outputs of the widest layer, and `values` lie in the other one or in `inputs`.
        unsafe { activated::<V>(layer, values, count, picked, free) };
        (values, count, picked) = (free, layer.outputs, Picked::NONE);
        std::mem::swap(&mut free, &mut taken);
    }
    // SAFETY: as for the layers before; `weights` are padded to as many chunks as this layer has.
    stack.bias
        + unsafe {
            match last.then {
                Activation::Relu => hidden::<V, WEIGHED>(last, values, count, picked, free, weights),
                _ => {
                    activated::<V>(last, values, count, picked, free);
                    tiles::weigh::<V>(free, weights, last.bias.len())
                }
            }
        }
}

/// A layer and its activation.
///
/// # Safety
/// As of [`hidden`].
#[inline(always)]
unsafe fn activated<V: Lanes>(
    layer: &Hidden,
    inputs: *const f32,
    count: usize,
    picked: Picked,
    to: *mut f32,
) {
    // SAFETY: as the caller says; so many floats lie at `to`, and have just been written.
    unsafe {
        match layer.then {
            Activation::Relu => {
                hidden::<V, RELU>(layer, inputs, count, picked, to, std::ptr::null());
            }
            then => {
                hidden::<V, LINEAR>(layer, inputs, count, picked, to, std::ptr::null());
                then.apply(std::slice::from_raw_parts_mut(to, layer.bias.len() * CHUNK));
            }
        }
    }
}

/// The cross layers: see [`Kernel::cross`], also for its panics.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn cross<V: Lanes>(crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
    assert!(inputs.len() <= crosses.width, "more inputs than the network has");
    assert!(scratch.serves(crosses), "another model's row");
    let count = inputs.len();
    let CrossScratch { crossed, down, up } = scratch;
    crossed.fill(Chunk::default());
    // SAFETY: the scratch serves layers of `width` floats, and there are not more inputs.
    let crossed = unsafe { std::slice::from_raw_parts_mut(crossed.as_mut_ptr().cast::<f32>(), count) };
    crossed.copy_from_slice(inputs);
    let (low, high) = (down.as_mut_ptr().cast::<f32>(), up.as_mut_ptr().cast::<f32>());
    for (down, up) in &crosses.layers {
        // SAFETY: the way down has `width` inputs, and the way up as many as the way down has outputs. `low` holds the
        // outputs of the highest rank, and `high` those of the layers' width.
        unsafe {
            hidden::<V, LINEAR>(down, crossed.as_ptr(), count, Picked::NONE, low, std::ptr::null());
            hidden::<V, LINEAR>(up, low, down.outputs, Picked::NONE, high, std::ptr::null());
        }
        for (i, (x, input)) in crossed.iter_mut().zip(inputs).enumerate() {
            // SAFETY: the way up has just written `width` floats there.
            *x += input * unsafe { *high.add(i) };
        }
    }
}

/// The sum of products: see [`Kernel::weigh`].
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn weigh<V: Lanes>(values: &[Chunk], weights: &[Chunk]) -> f32 {
    let count = values.len().min(weights.len()) * CHUNK;
    // SAFETY: both hold `count` floats.
    unsafe { dot::<V>(values.as_ptr().cast(), weights.as_ptr().cast(), count) }
}

/// The layer's outputs are written, and negative ones become 0.
const RELU: u8 = 0;
/// The layer's outputs are written as they are.
const LINEAR: u8 = 1;
/// Negative outputs become 0, each is multiplied with its weight, and only the sum of the products leaves the registers.
const WEIGHED: u8 = 2;

/// One layer. Its outputs go to `to`, if they are not `WEIGHED` by what is at `weights`.
///
/// # Safety
/// The processor has the instructions of `V`; the layer is laid out as `Hidden` says, and `picked` are of its steps; `inputs`
/// points to `count` floats, and the layer has that many inputs or more. Room for the layer's outputs, in whole chunks, lies at `to` and nowhere
/// among the inputs; if they are `WEIGHED`, as many weights lie at `weights`, and nothing is written.
#[inline(always)]
unsafe fn hidden<V: Lanes, const THEN: u8>(
    layer: &Hidden,
    inputs: *const f32,
    count: usize,
    picked: Picked,
    to: *mut f32,
    weights: *const f32,
) -> f32 {
    let chunks = layer.bias.len();
    // SAFETY: the processor has the instructions.
    let mut sum = unsafe { V::splat(0.0) };
    for first in (0..chunks).step_by(BLOCK) {
        let stride = (chunks - first).min(BLOCK) * CHUNK;
        // SAFETY: before this block of the layer lie `first` chunks of weights for each input.
        let block = unsafe { layer.weight.as_ptr().add(first * layer.inputs).cast::<f32>() };
        let mut lane = 0;
        while lane < stride {
            let at = first * CHUNK + lane;
            // SAFETY: the layer has more than `at` outputs, and the block more than `lane`.
            let (bias, block) = unsafe { (layer.bias.as_ptr().cast::<f32>().add(at), block.add(lane)) };
            let (picks, steps) = (picked.picks, picked.of_outputs(first, lane));
            let to = to.wrapping_add(at);
            let outputs = RowOutputs { inputs, count, block, stride, picks, steps, bias, to };
            let weights = weights.wrapping_add(at);
            let vectors = (stride - lane) / V::WIDTH;
            // SAFETY: so many vectors of outputs lie between `lane` and the end of the block, whose width is a multiple of
            // a vector's; all else is as the caller says.
            let done = unsafe {
                match vectors {
                    8.. => outputs.run::<V, 8, THEN>(weights, &mut sum),
                    4.. => outputs.run::<V, 4, THEN>(weights, &mut sum),
                    2.. => outputs.run::<V, 2, THEN>(weights, &mut sum),
                    _ => outputs.run::<V, 1, THEN>(weights, &mut sum),
                }
            };
            lane += done * V::WIDTH;
        }
    }
    if THEN == WEIGHED {
        sum.sum()
    } else {
        0.0
    }
}

/// A few neighbouring outputs of a hidden layer, of one row.
struct RowOutputs<'a> {
    inputs: *const f32,
    count: usize,
    /// The weights of these outputs for the first input; those for the next are `stride` floats on.
    block: *const f32,
    stride: usize,
    picks: &'a [Pick],
    /// Their weights of the first row of the steps; those of the next are `stride` floats on.
    steps: *const f32,
    bias: *const f32,
    to: *mut f32,
}

impl RowOutputs<'_> {
    /// Computes `N` vectors of outputs, all sums in registers, and says how many vectors that were.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; `N` vectors of outputs lie at `bias`, at `to` (at `weights` if they are
    /// `WEIGHED`), at `block` for each of the `count` inputs, and at `steps` for both rows of each pick.
    #[inline(always)]
    unsafe fn run<V: Lanes, const N: usize, const THEN: u8>(
        &self,
        weights: *const f32,
        sum: &mut V,
    ) -> usize {
        // SAFETY: every load and store is of one of the `N` vectors that the caller says are there, and every input is
        // before `count`.
        unsafe {
            let mut sums = [V::splat(0.0); N];
            for (j, s) in sums.iter_mut().enumerate() {
                *s = V::load(self.bias.add(j * V::WIDTH));
            }
            let mut weight = self.block;
            for i in 0..self.count {
                let input = V::splat(*self.inputs.add(i));
                for (j, s) in sums.iter_mut().enumerate() {
                    *s = s.add_product(input, V::load(weight.add(j * V::WIDTH)));
                }
                weight = weight.wrapping_add(self.stride);
            }
            for pick in self.picks {
                let before = self.steps.add(pick.row as usize * self.stride);
                let (own, share) = (before.add(self.stride), V::splat(pick.share));
                for (j, s) in sums.iter_mut().enumerate() {
                    let at = j * V::WIDTH;
                    *s = s.add(V::load(before.add(at))).add_product(share, V::load(own.add(at)));
                }
            }
            for (j, s) in sums.iter_mut().enumerate() {
                let value = if THEN == LINEAR { *s } else { s.relu() };
                if THEN == WEIGHED {
                    *s = V::splat(0.0).add_product(value, V::load(weights.add(j * V::WIDTH)));
                } else {
                    value.store(self.to.add(j * V::WIDTH));
                }
            }
            if THEN == WEIGHED {
                *sum = sum.add(add_up(sums));
            }
            N
        }
    }
}
