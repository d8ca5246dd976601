//! Sums that keep what rounding loses, so that neither order nor parallel workers change them.
//!
//! A sum is an unevaluated pair of numbers ("double-double", about 32 decimal digits). The error of an addition is
//! recovered exactly by Knuth's TwoSum (The Art of Computer Programming, volume 2, section 4.2.2, theorem B), and the
//! pair is renormalised by Dekker's FastTwoSum (T. J. Dekker, "A floating-point technique for extending the available
//! precision", Numerische Mathematik 18, 1971).

use crate::FeatureError;

/// A sum of finite numbers; `hi` is the sum rounded to the nearest double, `lo` what that rounding left over.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    hi: f64,
    lo: f64,
}

impl Sum {
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };

    /// The sum with these parts, `None` unless they are finite and normalised.
    #[inline]
    pub fn from_parts(hi: f64, lo: f64) -> Option<Self> {
        (hi.is_finite() && lo.is_finite() && hi + lo == hi).then_some(Self { hi, lo })
    }

    #[inline]
    pub fn parts(&self) -> (f64, f64) {
        (self.hi, self.lo)
    }

    #[inline]
    pub fn value(&self) -> f64 {
        self.hi
    }

    #[inline]
    pub fn add(&mut self, number: f64) -> Result<(), FeatureError> {
        self.merge(&Self { hi: number, lo: 0.0 })
    }

    /// Adds another sum; an error where the result is too large for a double.
    #[inline]
    pub fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        let (sum, error) = two_sum(self.hi, other.hi);
        let rest = error + (self.lo + other.lo);
        let hi = sum + rest;
        if !hi.is_finite() {
            return Err(overflow());
        }
        *self = Self { hi, lo: rest - (hi - sum) };
        Ok(())
    }
}

/// The rounded sum and its exact error.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_rounded = sum - a;
    let a_rounded = sum - b_rounded;
    (sum, (a - a_rounded) + (b - b_rounded))
}

#[cold]
fn overflow() -> FeatureError {
    FeatureError::Range {
        message: "a total is too large for double precision".into(),
        hint: Some("Leave out such values with FILTER (WHERE …).".into()),
    }
}
