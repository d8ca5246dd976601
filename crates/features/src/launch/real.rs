//! Numbers as PostgreSQL casts them to the type `real`.

use crate::FeatureError;

/// A double as a `real`. Where nothing but infinity or zero is near enough it is an error, as in SQL.
#[inline]
pub fn real(number: f64) -> Result<f32, FeatureError> {
    checked(number as f32, number == 0.0)
}

/// A quotient of two `real`s, which is a `real`; `None` where the divisor is zero.
pub fn quotient(part: f32, whole: f32) -> Result<Option<f32>, FeatureError> {
    let divided = |whole| checked(part / whole, part == 0.0);
    Some(whole).filter(|whole| *whole != 0.0).map(divided).transpose()
}

/// The quotient of two counts. SQL divides them as `numeric`, to 16 digits at least; the `real` is the same for counts
/// below 2^26, since no quotient of such counts lies that close to the middle between two `real`s.
pub fn share(part: u64, whole: u64) -> f32 {
    (part as f64 / whole as f64) as f32
}

#[inline]
fn checked(rounded: f32, is_zero: bool) -> Result<f32, FeatureError> {
    if rounded.is_finite() && (rounded != 0.0 || is_zero) {
        return Ok(rounded);
    }
    Err(out_of_range())
}

#[cold]
fn out_of_range() -> FeatureError {
    FeatureError::Range { message: "a feature is out of the range of the type real".into(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_an_error_and_zero_is_not() {
        assert_eq!([real(0.1), real(-0.0), real(1e-45)], [Ok(0.1), Ok(0.0), Ok(1e-45)]);
        assert!(real(1e39).is_err() && real(-1e-46).is_err());
        assert_eq!(quotient(1.0, 3.0), Ok(Some(1.0 / 3.0)));
        assert_eq!([quotient(1.0, 0.0), quotient(1.0, -0.0)], [Ok(None), Ok(None)]);
        assert!(quotient(1e30, 1e-30).is_err() && quotient(1e-30, 1e30).is_err());
    }

    /// The quotient to 20 decimal places, as `numeric` would have it, and then as a `real`.
    fn decimal_share(part: u64, whole: u64) -> f32 {
        const PLACES: u128 = 100_000_000_000_000_000_000;
        let (part, whole) = (u128::from(part), u128::from(whole));
        let decimal = (part * PLACES + whole / 2) / whole;
        format!("{}.{:020}", decimal / PLACES, decimal % PLACES).parse().unwrap()
    }

    #[test]
    fn a_share_is_that_of_decimal_numbers() {
        for whole in (1..600).chain([9_999, 65_537, 1_000_003, 16_777_217, 67_108_863]) {
            for part in (0..whole.min(600)).chain([whole / 2, whole / 3, whole - 1, whole]) {
                assert_eq!(share(part, whole), decimal_share(part, whole), "{part} of {whole}");
            }
        }
    }
}
