//! The kernels: one forward pass through the hidden layers or the cross layers, compiled for each instruction set and
//! chosen at run time.
//!
//! The bodies ([`pass`], [`cross`], [`tiles::pass`]) are written once over the [`Lanes`] trait; each instruction set only says
//! what a vector is (see [`super::vectors`]). The safe ways in are the functions of [`Kernel`], which check every length that
//! comes from outside. Only these three files may hold `unsafe`.
#![allow(unsafe_code)]

use super::stack::{Chunk, CrossScratch, Crosses, Hidden, Scratch, Stack, BLOCK, CHUNK};
use super::tiles::{self, TileScratch, ROWS};
use super::vectors::{add_up, dot, Lanes, Plain};
use once_cell::sync::Lazy;

/// The forward pass for one instruction set.
pub(crate) struct Kernel {
    pub name: &'static str,
    /// Relies on: the processor has the instructions; at most `stack.inputs` inputs; both buffers hold
    /// `stack.widest` chunks.
    pass: unsafe fn(&Stack, &[f32], &mut [Chunk], &mut [Chunk]) -> f32,
    /// Relies on: the processor has the instructions; at most `crosses.width` inputs; the scratch is that of these
    /// crosses or of larger ones.
    cross: unsafe fn(&Crosses, &[f32], &mut CrossScratch),
    /// Relies on the processor's instructions, and on as many floats as there are inputs behind both pointers.
    dot: unsafe fn(*const f32, *const f32, usize) -> f32,
    /// The forward pass of many rows. Relies on: the processor has the instructions; the lengths that
    /// [`Kernel::logits`] checks.
    tiles: unsafe fn(&Stack, &[f32], &mut TileScratch, &mut [f32]),
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
    /// If `inputs` is longer than the first layer, or the scratch is that of a smaller network.
    #[inline]
    pub(crate) fn logit(&self, stack: &Stack, inputs: &[f32], scratch: &mut Scratch) -> f32 {
        assert!(inputs.len() <= stack.inputs, "more inputs than the network has");
        assert!(
            scratch.from.len() >= stack.widest && scratch.to.len() >= stack.widest,
            "another model's row"
        );
        // SAFETY: only kernels of this processor can be had (`available`); `Stack::of_outputs` laid out every layer,
        // and the lengths that come from outside were checked just now.
        unsafe { (self.pass)(stack, inputs, &mut scratch.from, &mut scratch.to) }
    }

    /// [`Kernel::logit`] of each of many rows; `inputs` holds them one after the other.
    ///
    /// # Panics
    /// If there are more than [`ROWS`] rows, a row has another length than the first layer, or the scratch is that of a
    /// smaller network.
    pub(crate) fn logits(
        &self,
        stack: &Stack,
        inputs: &[f32],
        scratch: &mut TileScratch,
        logits: &mut [f32],
    ) {
        assert!(logits.len() <= ROWS && inputs.len() == logits.len() * stack.inputs, "other rows");
        let needed = if stack.hidden.is_empty() { 0 } else { logits.len() * stack.widest };
        assert!(scratch.from.len() >= needed && scratch.to.len() >= needed, "another model's rows");
        // SAFETY: as in `logit`: all lengths were checked just now.
        unsafe { (self.tiles)(stack, inputs, scratch, logits) }
    }

    /// Leaves in the scratch what the cross layers put out. `inputs` may be shorter than the layers are wide; the
    /// inputs it leaves out are 0.
    ///
    /// # Panics
    /// If `inputs` is longer than the layers are wide, or the scratch is that of smaller ones.
    #[inline]
    pub(crate) fn cross(&self, crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
        assert!(inputs.len() <= crosses.width, "more inputs than the network has");
        assert!(scratch.serves(crosses), "another model's row");
        // SAFETY: as in `logit`, with `Crosses::new`.
        unsafe { (self.cross)(crosses, inputs, scratch) }
    }

    /// The sum of what the cross layers put out, each times its weight.
    #[inline]
    pub(crate) fn weigh(&self, crossed: &[Chunk], weights: &[Chunk]) -> f32 {
        let count = crossed.len().min(weights.len()) * CHUNK;
        // SAFETY: both hold so many floats.
        unsafe { (self.dot)(crossed.as_ptr().cast(), weights.as_ptr().cast(), count) }
    }
}

static SCALAR: Kernel = Kernel {
    name: "scalar",
    pass: pass::<Plain>,
    cross: cross::<Plain>,
    dot: dot::<Plain>,
    tiles: tiles::pass::<Plain>,
};

/// Every kernel this processor can run, fastest first; the scalar one is always there.
#[cfg(target_arch = "x86_64")]
pub(crate) fn available() -> Vec<&'static Kernel> {
    let mut kernels = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        kernels.push(&x86::AVX512);
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        kernels.push(&x86::AVX2);
    }
    kernels.push(&SCALAR);
    kernels
}

/// Every kernel this processor can run, fastest first; the scalar one is always there.
#[cfg(target_arch = "aarch64")]
pub(crate) fn available() -> Vec<&'static Kernel> {
    vec![&neon::NEON, &SCALAR]
}

/// Every kernel this processor can run, fastest first; the scalar one is always there.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn available() -> Vec<&'static Kernel> {
    vec![&SCALAR]
}

/// The forward pass. See [`Kernel`] for what it relies on.
#[inline(always)]
unsafe fn pass<V: Lanes>(stack: &Stack, inputs: &[f32], from: &mut [Chunk], to: &mut [Chunk]) -> f32 {
    let (mut values, mut count) = (inputs.as_ptr(), inputs.len());
    let Some((last, before)) = stack.hidden.split_last() else {
        return stack.bias + dot::<V>(values, stack.last.as_ptr().cast(), count);
    };
    let (mut free, mut taken) = (from.as_mut_ptr().cast::<f32>(), to.as_mut_ptr().cast::<f32>());
    for layer in before {
        hidden::<V, RELU>(layer, values, count, free, std::ptr::null());
        (values, count) = (free, layer.outputs);
        std::mem::swap(&mut free, &mut taken);
    }
    stack.bias + hidden::<V, WEIGHED>(last, values, count, free, stack.last.as_ptr().cast())
}

/// The cross layers. See [`Kernel`] for what it relies on.
#[inline(always)]
unsafe fn cross<V: Lanes>(crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
    let count = inputs.len();
    let CrossScratch { crossed, down, up } = scratch;
    crossed.fill(Chunk::default());
    let crossed = std::slice::from_raw_parts_mut(crossed.as_mut_ptr().cast::<f32>(), count);
    crossed.copy_from_slice(inputs);
    let (low, high) = (down.as_mut_ptr().cast::<f32>(), up.as_mut_ptr().cast::<f32>());
    for (down, up) in &crosses.layers {
        hidden::<V, LINEAR>(down, crossed.as_ptr(), count, low, std::ptr::null());
        hidden::<V, LINEAR>(up, low, down.outputs, high, std::ptr::null());
        for (i, (x, input)) in crossed.iter_mut().zip(inputs).enumerate() {
            *x += input * *high.add(i);
        }
    }
}

/// What becomes of a layer's outputs: negative ones become 0, or they are kept as they are;
const RELU: u8 = 0;
const LINEAR: u8 = 1;
/// or they become 0 if negative and never leave the registers: each is multiplied with its weight, and the sum returned.
const WEIGHED: u8 = 2;

/// One layer. Its outputs go to `to`, if they are not `WEIGHED` by what is at `weights`.
#[inline(always)]
unsafe fn hidden<V: Lanes, const THEN: u8>(
    layer: &Hidden,
    inputs: *const f32,
    count: usize,
    to: *mut f32,
    weights: *const f32,
) -> f32 {
    let chunks = layer.bias.len();
    let mut sum = V::splat(0.0);
    for first in (0..chunks).step_by(BLOCK) {
        let stride = (chunks - first).min(BLOCK) * CHUNK;
        let block = layer.weight.as_ptr().add(first * layer.inputs).cast::<f32>();
        let mut lane = 0;
        while lane < stride {
            let at = first * CHUNK + lane;
            let bias = layer.bias.as_ptr().cast::<f32>().add(at);
            let outputs =
                RowOutputs { inputs, count, block: block.add(lane), stride, bias, to: to.wrapping_add(at) };
            let weights = weights.wrapping_add(at);
            let vectors = (stride - lane) / V::WIDTH;
            let done = match vectors {
                8.. => outputs.run::<V, 8, THEN>(weights, &mut sum),
                4.. => outputs.run::<V, 4, THEN>(weights, &mut sum),
                2.. => outputs.run::<V, 2, THEN>(weights, &mut sum),
                _ => outputs.run::<V, 1, THEN>(weights, &mut sum),
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
struct RowOutputs {
    inputs: *const f32,
    count: usize,
    /// The weights of these outputs for the first input; those for the next are `stride` floats on.
    block: *const f32,
    stride: usize,
    bias: *const f32,
    to: *mut f32,
}

impl RowOutputs {
    /// Computes `N` vectors of outputs, all sums in registers, and says how many vectors that were.
    #[inline(always)]
    unsafe fn run<V: Lanes, const N: usize, const THEN: u8>(
        &self,
        weights: *const f32,
        sum: &mut V,
    ) -> usize {
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{cross, dot, pass, tiles, Chunk, CrossScratch, Crosses, Kernel, Stack, TileScratch};
    use std::arch::x86_64::*;

    pub(super) static AVX512: Kernel = Kernel {
        name: "avx512",
        pass: pass_avx512,
        cross: cross_avx512,
        dot: dot_avx512,
        tiles: tiles_avx512,
    };
    pub(super) static AVX2: Kernel =
        Kernel { name: "avx2", pass: pass_avx2, cross: cross_avx2, dot: dot_avx2, tiles: tiles_avx2 };

    #[target_feature(enable = "avx512f")]
    unsafe fn pass_avx512(stack: &Stack, inputs: &[f32], from: &mut [Chunk], to: &mut [Chunk]) -> f32 {
        pass::<__m512>(stack, inputs, from, to)
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn cross_avx512(crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
        cross::<__m512>(crosses, inputs, scratch);
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn dot_avx512(a: *const f32, b: *const f32, count: usize) -> f32 {
        dot::<__m512>(a, b, count)
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn tiles_avx512(stack: &Stack, inputs: &[f32], scratch: &mut TileScratch, logits: &mut [f32]) {
        tiles::pass::<__m512>(stack, inputs, scratch, logits);
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn pass_avx2(stack: &Stack, inputs: &[f32], from: &mut [Chunk], to: &mut [Chunk]) -> f32 {
        pass::<__m256>(stack, inputs, from, to)
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn cross_avx2(crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
        cross::<__m256>(crosses, inputs, scratch);
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn dot_avx2(a: *const f32, b: *const f32, count: usize) -> f32 {
        dot::<__m256>(a, b, count)
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn tiles_avx2(stack: &Stack, inputs: &[f32], scratch: &mut TileScratch, logits: &mut [f32]) {
        tiles::pass::<__m256>(stack, inputs, scratch, logits);
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::{cross, dot, pass, tiles, Chunk, CrossScratch, Crosses, Kernel, Stack, TileScratch};
    use std::arch::aarch64::*;

    pub(super) static NEON: Kernel =
        Kernel { name: "neon", pass: pass_neon, cross: cross_neon, dot: dot_neon, tiles: tiles_neon };

    #[target_feature(enable = "neon")]
    unsafe fn pass_neon(stack: &Stack, inputs: &[f32], from: &mut [Chunk], to: &mut [Chunk]) -> f32 {
        pass::<float32x4_t>(stack, inputs, from, to)
    }

    #[target_feature(enable = "neon")]
    unsafe fn cross_neon(crosses: &Crosses, inputs: &[f32], scratch: &mut CrossScratch) {
        cross::<float32x4_t>(crosses, inputs, scratch);
    }

    #[target_feature(enable = "neon")]
    unsafe fn dot_neon(a: *const f32, b: *const f32, count: usize) -> f32 {
        dot::<float32x4_t>(a, b, count)
    }

    #[target_feature(enable = "neon")]
    unsafe fn tiles_neon(stack: &Stack, inputs: &[f32], scratch: &mut TileScratch, logits: &mut [f32]) {
        tiles::pass::<float32x4_t>(stack, inputs, scratch, logits);
    }
}
