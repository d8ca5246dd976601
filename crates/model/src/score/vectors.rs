//! Vectors of floats: what an instruction set is to the kernels, and the sums that all kernels share.
#![allow(unsafe_code)]

/// A vector of floats. `WIDTH` divides [`super::stack::CHUNK`].
///
/// Safety, for every function: the processor has the instructions, and `at` points to `WIDTH` floats (of any
/// alignment).
pub(super) trait Lanes: Copy {
    const WIDTH: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(at: *const f32) -> Self;
    unsafe fn store(self, at: *mut f32);
    /// `self + a * b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// The larger of each lane and 0; 0 for NaN.
    unsafe fn relu(self) -> Self;
    unsafe fn sum(self) -> f32;
}

/// The sum of the vectors, by halves, so that the additions do not wait for each other.
#[inline(always)]
pub(super) unsafe fn add_up<V: Lanes, const N: usize>(mut vectors: [V; N]) -> V {
    let mut half = N / 2;
    while half > 0 {
        for j in 0..half {
            vectors[j] = vectors[j].add(vectors[j + half]);
        }
        half /= 2;
    }
    vectors[0]
}

/// The dot product of `count` floats at `a` and at `b`.
#[inline(always)]
pub(super) unsafe fn dot<V: Lanes>(a: *const f32, b: *const f32, count: usize) -> f32 {
    let mut sums = [V::splat(0.0); 4];
    let mut i = 0;
    while i + 4 * V::WIDTH <= count {
        for (j, s) in sums.iter_mut().enumerate() {
            let at = i + j * V::WIDTH;
            *s = s.add_product(V::load(a.add(at)), V::load(b.add(at)));
        }
        i += 4 * V::WIDTH;
    }
    while i + V::WIDTH <= count {
        sums[0] = sums[0].add_product(V::load(a.add(i)), V::load(b.add(i)));
        i += V::WIDTH;
    }
    let mut sum = add_up(sums).sum();
    while i < count {
        sum += *a.add(i) * *b.add(i);
        i += 1;
    }
    sum
}

/// Four floats, plain Rust. No `mul_add`: without the instruction it is a slow library call.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 4]);

impl Lanes for Plain {
    const WIDTH: usize = 4;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }
    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        Self(at.cast::<[f32; 4]>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        at.cast::<[f32; 4]>().write_unaligned(self.0);
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|value| value.max(0.0)))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    impl Lanes for __m512 {
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            _mm512_set1_ps(value)
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self {
            _mm512_loadu_ps(at)
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut f32) {
            _mm512_storeu_ps(at, self);
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            _mm512_fmadd_ps(a, b, self)
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            _mm512_add_ps(self, other)
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The second operand wins where the first is NaN.
            _mm512_max_ps(self, _mm512_setzero_ps())
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            _mm512_reduce_add_ps(self)
        }
    }

    impl Lanes for __m256 {
        const WIDTH: usize = 8;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            _mm256_set1_ps(value)
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self {
            _mm256_loadu_ps(at)
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut f32) {
            _mm256_storeu_ps(at, self);
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            _mm256_fmadd_ps(a, b, self)
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            _mm256_add_ps(self, other)
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The second operand wins where the first is NaN.
            _mm256_max_ps(self, _mm256_setzero_ps())
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            let four = _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps(self, 1));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::Lanes;
    use std::arch::aarch64::*;

    impl Lanes for float32x4_t {
        const WIDTH: usize = 4;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            vdupq_n_f32(value)
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self {
            vld1q_f32(at)
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut f32) {
            vst1q_f32(at, self);
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            vfmaq_f32(self, a, b)
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            vaddq_f32(self, other)
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // The number wins where the other is NaN.
            vmaxnmq_f32(self, vdupq_n_f32(0.0))
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            vaddvq_f32(self)
        }
    }
}
