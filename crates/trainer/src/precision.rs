//! The precision in which a training multiplies matrices. Weights, optimizer, losses and everything that is measured
//! stay 32-bit floats: the served scores are compared with libtorch's to within 1e-5, which neither TF32 nor bfloat16
//! reaches.
//!
//! libtorch's autocast is not used: through tch it does nothing on the CPU, and on a GPU it takes float16, whose
//! gradients need scaling.

use crate::cuda::allow_tf32;
use crate::error::TrainerError;
use model::params::Precision;
use tch::{Kind, TchError, Tensor};

/// While it lives, training steps have the precision that it was made for. Scores are computed without it.
#[must_use]
pub struct Reduced(Precision);

/// Begins to compute in a precision.
pub fn begin(precision: Precision) -> Result<Reduced, TrainerError> {
    if precision == Precision::Tf32 {
        allow_tf32(true).map_err(TrainerError::internal)?;
    }
    Ok(Reduced(precision))
}

/// `x` times `weight` transposed, plus `bias`; all are 32-bit floats, and so are the result and all gradients.
pub fn linear(
    precision: Precision,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    if precision != Precision::Bf16 {
        return x.f_linear(weight, bias);
    }
    let short = |tensor: &Tensor| tensor.f_to_kind(Kind::BFloat16);
    short(x)?.f_linear(&short(weight)?, bias.map(short).transpose()?)?.f_to_kind(Kind::Float)
}

impl Drop for Reduced {
    fn drop(&mut self) {
        if self.0 == Precision::Tf32 {
            // The function that forbids TF32 was found when TF32 was allowed, so that this call cannot fail.
            let _ = allow_tf32(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;
    use tch::{Device, Reduction};

    const ROWS: i64 = 256;

    /// The losses of a small network on rows whose label is whether their numbers add up to more than 0.
    fn losses(precision: Precision) -> Vec<f64> {
        let options = (Kind::Float, Device::Cpu);
        let random = |shape: [i64; 2]| Tensor::randn(shape, options) * 0.3;
        let [x, first, last] = seeded(1, || [[ROWS, 16], [32, 16], [1, 32]].map(random));
        let targets = x.sum_dim_intlist(1, false, Kind::Float).gt(0.0).to_kind(Kind::Float);
        let weights = [first, last].map(|w| w.set_requires_grad(true));
        let biases = [32, 1].map(|n| Tensor::zeros([n], options).set_requires_grad(true));
        let _reduced = begin(precision).unwrap();
        let step = |_| {
            let hidden = linear(precision, &x, &weights[0], Some(&biases[0])).unwrap().relu();
            let logits = linear(precision, &hidden, &weights[1], Some(&biases[1])).unwrap().squeeze_dim(1);
            let loss =
                logits.binary_cross_entropy_with_logits::<Tensor>(&targets, None, None, Reduction::Mean);
            let leaves = [&weights[0], &biases[0], &weights[1], &biases[1]];
            let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);
            tch::no_grad(|| {
                for (leaf, gradient) in leaves.into_iter().zip(gradients) {
                    assert_eq!(gradient.kind(), Kind::Float);
                    let _ = leaf.shallow_clone().subtract_(&(gradient * 2.0));
                }
            });
            loss.double_value(&[])
        };
        (0..50).map(step).collect()
    }

    #[test]
    fn every_precision_learns_and_only_bf16_differs_on_the_cpu() {
        let (float32, tf32, bf16) =
            (losses(Precision::Float32), losses(Precision::Tf32), losses(Precision::Bf16));
        assert_eq!(float32, tf32);
        assert_ne!(float32, bf16);
        assert!(bf16.iter().all(|loss| loss.is_finite()), "{bf16:?}");
        for losses in [float32, bf16] {
            assert!(losses[49] < losses[0] / 3.0, "from {} to {}", losses[0], losses[49]);
        }
    }
}
