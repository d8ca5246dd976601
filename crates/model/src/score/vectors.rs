//! Vectors of floats: what an instruction set is to the kernels, and the sums that all kernels share.
#![allow(unsafe_code)]

/// A vector of floats. `WIDTH` divides [`super::stack::CHUNK`].
///
/// A vector proves that the processor has the instructions which compute with it: [`Lanes::splat`] and [`Lanes::load`], the
/// only ways to the first vector, are unsafe for that reason, and what computes with vectors is not.
pub(super) trait Lanes: Copy {
    const WIDTH: usize;
    /// The same value in every lane.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// The processor has the instructions, and `WIDTH` floats can be read at `at`, which may have any alignment.
    unsafe fn load(at: *const f32) -> Self;
    /// # Safety
    /// `WIDTH` floats can be written at `at`, which may have any alignment.
    unsafe fn store(self, at: *mut f32);
    /// `self + a * b`.
    fn add_product(self, a: Self, b: Self) -> Self;
    fn add(self, other: Self) -> Self;
    /// The larger of each lane and 0; 0 for NaN.
    fn relu(self) -> Self;
    /// The sum of all lanes.
    fn sum(self) -> f32;
}

/// The sum of the vectors, by halves, so that the additions do not wait for each other.
#[inline(always)]
pub(super) fn add_up<V: Lanes, const N: usize>(mut vectors: [V; N]) -> V {
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
///
/// # Safety
/// The processor has the instructions of `V`, and `count` floats can be read at `a` and at `b`.
#[inline(always)]
pub(super) unsafe fn dot<V: Lanes>(a: *const f32, b: *const f32, count: usize) -> f32 {
    // SAFETY: whatever is read lies before `count`, as each loop's condition says.
    unsafe {
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
        // SAFETY: the caller says that four floats can be read there.
        Self(unsafe { at.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        // SAFETY: the caller says that four floats can be written there.
        unsafe { at.cast::<[f32; 4]>().write_unaligned(self.0) };
    }
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.map(|value| value.max(0.0)))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// Sixteen floats, by AVX-512F.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub(crate) struct Avx512(__m512);

    impl Lanes for Avx512 {
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller says that the processor has the instructions.
            Self(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self {
            // SAFETY: the caller says so, and that these floats can be read.
            Self(unsafe { _mm512_loadu_ps(at) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut f32) {
            // SAFETY: there is a vector; the caller says that these floats can be written.
            unsafe { _mm512_storeu_ps(at, self.0) };
        }
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: there is a vector, hence the processor has the instructions.
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: there is a vector.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn relu(self) -> Self {
            // SAFETY: there is a vector. The second operand wins where the first is NaN.
            Self(unsafe { _mm512_max_ps(self.0, _mm512_setzero_ps()) })
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: there is a vector.
            unsafe { _mm512_reduce_add_ps(self.0) }
        }
    }

    /// Eight floats, by AVX2 and FMA.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub(crate) struct Avx2(__m256);

    impl Lanes for Avx2 {
        const WIDTH: usize = 8;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller says that the processor has the instructions.
            Self(unsafe { _mm256_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self {
            // SAFETY: the caller says so, and that these floats can be read.
            Self(unsafe { _mm256_loadu_ps(at) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut f32) {
            // SAFETY: there is a vector; the caller says that these floats can be written.
            unsafe { _mm256_storeu_ps(at, self.0) };
        }
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: there is a vector, hence the processor has the instructions.
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: there is a vector.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn relu(self) -> Self {
            // SAFETY: there is a vector. The second operand wins where the first is NaN.
            Self(unsafe { _mm256_max_ps(self.0, _mm256_setzero_ps()) })
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: there is a vector.
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps(self.0, 1));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::Lanes;
    use std::arch::aarch64::*;

    /// Four floats, by NEON.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub(crate) struct Neon(float32x4_t);

    impl Lanes for Neon {
        const WIDTH: usize = 4;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller says that the processor has the instructions.
            Self(unsafe { vdupq_n_f32(value) })
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Self {
            // SAFETY: the caller says so, and that these floats can be read.
            Self(unsafe { vld1q_f32(at) })
        }
        #[inline(always)]
        unsafe fn store(self, at: *mut f32) {
            // SAFETY: there is a vector; the caller says that these floats can be written.
            unsafe { vst1q_f32(at, self.0) };
        }
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: there is a vector, hence the processor has the instructions.
            Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: there is a vector.
            Self(unsafe { vaddq_f32(self.0, other.0) })
        }
        #[inline(always)]
        fn relu(self) -> Self {
            // SAFETY: there is a vector. The number wins where the other is NaN.
            Self(unsafe { vmaxnmq_f32(self.0, vdupq_n_f32(0.0)) })
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: there is a vector.
            unsafe { vaddvq_f32(self.0) }
        }
    }
}
