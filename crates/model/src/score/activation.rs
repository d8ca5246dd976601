//! The activations of hidden layers, written once as plain arithmetic on floats. The compiler makes vectors of it for each
//! instruction set, and since no product is fused with a sum, all of them compute the same bits.

use serde::{Deserialize, Serialize};

/// What a hidden layer does to its sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x` above 0, else `slope · x`.
    LeakyRelu {
        slope: f32,
    },
    /// `x` above 0, else `alpha · (eˣ - 1)`.
    Elu {
        alpha: f32,
    },
    /// `x · Φ(x)`, where Φ is the normal distribution (Hendrycks and Gimpel 2016).
    Gelu,
    /// Gelu with Φ by a hyperbolic tangent.
    GeluTanh,
    Tanh,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
}

/// The largest slope or alpha.
const MOST: f32 = 100.0;

impl Activation {
    /// Whether its parameter is within its bounds.
    pub fn fits(self) -> bool {
        match self {
            Self::LeakyRelu { slope: parameter } | Self::Elu { alpha: parameter } => parameter.abs() <= MOST,
            _ => true,
        }
    }

    /// The largest size of its output, where that of its input is `size`.
    pub fn reach(self, size: f64) -> f64 {
        match self {
            Self::LeakyRelu { slope } => size * f64::from(slope.abs()).max(1.0),
            Self::Elu { alpha } => size.max(f64::from(alpha.abs())),
            Self::Tanh | Self::Sigmoid => 1.0,
            Self::Relu | Self::Gelu | Self::GeluTanh | Self::Silu => size,
        }
    }

    /// Its value in double precision, and its slope there.
    pub fn with_slope(self, x: f64) -> (f64, f64) {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        match self {
            Self::Relu => (x.max(0.0), f64::from(u8::from(x > 0.0))),
            Self::LeakyRelu { slope } => {
                let slope = if x > 0.0 { 1.0 } else { f64::from(slope) };
                (slope * x, slope)
            }
            Self::Elu { .. } if x > 0.0 => (x, 1.0),
            Self::Elu { alpha } => (f64::from(alpha) * x.exp_m1(), f64::from(alpha) * x.exp()),
            Self::Gelu => {
                let below = 0.5 * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2));
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                (x * below, below + x * density)
            }
            Self::GeluTanh => {
                let root = (2.0 / std::f64::consts::PI).sqrt();
                let tanh = (root * (x + 0.044715 * x * x * x)).tanh();
                let inner = root * (1.0 + 3.0 * 0.044715 * x * x);
                (0.5 * x * (1.0 + tanh), 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner)
            }
            Self::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
            Self::Sigmoid => (sigmoid, sigmoid * (1.0 - sigmoid)),
            Self::Silu => (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))),
        }
    }

    /// Applies it to each value. Inlined into the kernels, which are compiled for their instruction sets.
    #[inline(always)]
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Relu => each(values, |x| x.max(0.0)),
            Self::LeakyRelu { slope } => each(values, |x| if x > 0.0 { x } else { slope * x }),
            Self::Elu { alpha } => each(values, |x| if x > 0.0 { x } else { alpha * (exp(x) - 1.0) }),
            Self::Gelu => each(values, |x| 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))),
            Self::GeluTanh => {
                each(values, |x| 0.5 * x * (1.0 + tanh(0.797_884_6 * (x + 0.044_715 * x * x * x))))
            }
            Self::Tanh => each(values, tanh),
            Self::Sigmoid => each(values, sigmoid),
            Self::Silu => each(values, |x| x * sigmoid(x)),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The exponential, to about two units in the last place: a power of two, and a polynomial on the rest (Cephes, expf). Beyond
/// what floats can hold it stays at the last of them.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    // The logarithm of 2 in two parts, so that the product with the first is exact.
    let rest = (x - whole * (355.0 / 512.0)) - whole * -2.121_944_4e-4;
    let square = rest * rest;
    let mut sum = 1.987_569_1e-4;
    sum = sum * rest + 1.398_199_9e-3;
    sum = sum * rest + 8.333_452e-3;
    sum = sum * rest + 4.166_579_6e-2;
    sum = sum * rest + 1.666_666_5e-1;
    sum = sum * rest + 5e-1;
    let fraction = sum * square + rest + 1.0;
    let power = (shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23;
    fraction * f32::from_bits(power)
}

/// The error function, to about 2e-7 (Abramowitz and Stegun 1964, 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let mut sum = 1.061_405_4;
    sum = sum * t - 1.453_152;
    sum = sum * t + 1.421_413_8;
    sum = sum * t - 0.284_496_74;
    sum = sum * t + 0.254_829_6;
    (1.0 - sum * t * exp(-size * size)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 8] = [
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.3 },
        Activation::Elu { alpha: 1.5 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Silu,
    ];

    #[test]
    fn each_is_what_double_precision_says_and_stays_within_its_reach() {
        for activation in ALL {
            for x in (-4000..4000).map(|n| n as f32 * 0.025) {
                let mut value = [x];
                activation.apply(&mut value);
                let (expected, _) = activation.with_slope(x.into());
                let near = 1e-6 * expected.abs().max(1.0);
                assert!((f64::from(value[0]) - expected).abs() < near, "{activation:?} of {x}: {value:?}");
                assert!(f64::from(value[0].abs()) <= activation.reach(f64::from(x.abs())) + 1e-6);
            }
        }
    }

    #[test]
    fn slopes_are_those_of_small_steps() {
        for activation in ALL {
            for x in [-3.1, -1.0, -0.2, 0.3, 0.9, 4.5] {
                let step = 1e-5;
                let rise = activation.with_slope(x + step).0 - activation.with_slope(x - step).0;
                assert!(
                    (rise / (2.0 * step) - activation.with_slope(x).1).abs() < 1e-6,
                    "{activation:?} at {x}"
                );
            }
        }
    }

    #[test]
    fn nothing_finite_becomes_infinite() {
        for activation in ALL {
            let mut values = [f32::MIN / 200.0, -1e30, -88.5, 88.5, 1e12];
            activation.apply(&mut values);
            assert!(values.iter().all(|value| value.is_finite()), "{activation:?}: {values:?}");
        }
    }
}
