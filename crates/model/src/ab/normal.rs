//! The normal distribution.

use std::f64::consts::SQRT_2;

/// The probability that a standard normal number lies at least `z` from 0.
pub fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / SQRT_2)
}

/// How far from 0 a standard normal number lies with the probability `outside`, between 0 and 1, or farther.
pub fn distance(outside: f64) -> f64 {
    // The probability falls with the distance: halving finds it to the last bits.
    let (mut near, mut far) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = (near + far) / 2.0;
        if two_sided(middle) > outside {
            near = middle;
        } else {
            far = middle;
        }
    }
    far
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles() {
        for (outside, z) in [(0.05, 1.959963984540054), (0.01, 2.5758293035489004), (0.3173105078629141, 1.0)]
        {
            assert!((distance(outside) - z).abs() < 1e-12, "{outside}");
            assert!((two_sided(-z) - outside).abs() < 1e-14, "{outside}");
        }
    }
}
