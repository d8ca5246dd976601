//! Features of several numbers made of one or several numbers. NaN stands for a missing number and stays NaN.

use super::checks::{argument, limit};
use super::scale::too_large;
use crate::FeatureError;

/// The highest degree of [`polynomial_expand`].
pub const MAX_DEGREE: i32 = 10;
/// The most numbers that [`polynomial_expand`] makes.
pub const MAX_TERMS: usize = 65_536;

/// Every product of 1 to `degree` of the values, repeated ones included: by degree, then in the order of positions,
/// as a, b, aa, ab, bb. Without the constant 1.
pub fn polynomial_expand(values: &[f64], degree: i32) -> Result<Vec<f64>, FeatureError> {
    if !(1..=MAX_DEGREE).contains(&degree) {
        return Err(argument(
            format!("there is no polynomial of degree {degree}"),
            format!("The degree is from 1 to {MAX_DEGREE}."),
        ));
    }
    let mut terms = Vec::with_capacity(number_of_terms(values.len(), degree as usize)?);
    terms.extend_from_slice(values);
    // For each value, the position, among the products of the degree before, of the first product whose first factor is
    // that value.
    let mut starts: Vec<usize> = (0..values.len()).collect();
    let mut end = values.len();
    for _ in 1..degree {
        let next: Vec<usize> = starts
            .iter()
            .zip(values)
            .map(|(from, value)| {
                let start = terms.len();
                for n in *from..end {
                    terms.push(value * terms[n]);
                }
                start
            })
            .collect();
        (starts, end) = (next, terms.len());
    }
    let overflows = terms.iter().any(|term| term.is_infinite()) && !values.iter().any(|v| v.is_infinite());
    if overflows {
        return Err(too_large());
    }
    Ok(terms)
}

/// (n + d)! / (n! d!) - 1, if it is within bounds.
fn number_of_terms(values: usize, degree: usize) -> Result<usize, FeatureError> {
    let mut terms: usize = 1;
    for n in 1..=degree {
        // The division is exact, since the product so far is a binomial coefficient.
        terms = terms * (values + n) / n;
        if terms > MAX_TERMS + 1 {
            return Err(limit(
                format!("a polynomial of degree {degree} of {values} values has more than {MAX_TERMS} terms"),
                "Take fewer values or a lower degree.",
            ));
        }
    }
    Ok(terms - 1)
}

/// The values divided by their p-norm: the sum of absolute values for 1, the Euclidean length for 2, the largest
/// absolute value for infinity. NaN is left out of the norm. All zeros stay zeros.
pub fn normalize(values: &[f64], p: f64) -> Result<Vec<f64>, FeatureError> {
    if p.is_nan() || p < 1.0 {
        return Err(argument(format!("there is no {p}-norm"), "p is at least 1, and may be 'infinity'."));
    }
    let known = values.iter().filter(|value| !value.is_nan()).map(|value| value.abs());
    let largest = known.clone().fold(0.0, f64::max);
    if largest == 0.0 {
        return Ok(values.to_vec());
    }
    if largest.is_infinite() || p.is_infinite() {
        return Ok(values.iter().map(|value| value / largest).collect());
    }
    // The values are divided by the largest first, so that no power overflows or vanishes.
    let sum: f64 = match p {
        1.0 => known.map(|value| value / largest).sum(),
        2.0 => known.map(|value| (value / largest).powi(2)).sum(),
        _ => known.map(|value| (value / largest).powf(p)).sum(),
    };
    let norm = match p {
        1.0 => sum,
        2.0 => sum.sqrt(),
        _ => sum.powf(p.recip()),
    };
    Ok(values.iter().map(|value| value / largest / norm).collect())
}

/// Sine and cosine of the value's place in its period. NaN and infinite values give NaN.
pub fn cyclic_encode(value: f64, period: f64) -> Result<[f64; 2], FeatureError> {
    if !period.is_finite() || period <= 0.0 {
        return Err(argument(
            format!("there is no period {period}"),
            "A period is a finite number above 0: 12 for months, 7 for days of the week.",
        ));
    }
    // The remainder is taken before the multiplication by pi, since the remainder is exact and the product is not.
    let (sine, cosine) = (value % period / period * std::f64::consts::TAU).sin_cos();
    Ok([sine, cosine])
}
