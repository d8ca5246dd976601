//! Adam (Kingma and Ba 2015), as PyTorch computes it, over one flat tensor of parameters.

use tch::{TchError, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

pub struct Adam {
    parameters: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: i32,
    weight_decay: f64,
}

impl Adam {
    /// `weight_decay` is an L2 penalty: it is added to the gradient.
    pub fn new(parameters: Tensor, weight_decay: f64) -> Result<Self, TchError> {
        let (mean, square) = (parameters.f_zeros_like()?, parameters.f_zeros_like()?);
        Ok(Self { parameters, mean, square, steps: 0, weight_decay })
    }

    /// One step along `gradient`, which is changed on the way.
    pub fn step(&mut self, gradient: &mut Tensor, learning_rate: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        if self.weight_decay > 0.0 {
            let _ = gradient.f_add_(&self.parameters.f_mul_scalar(self.weight_decay)?)?;
        }
        let _ = self.mean.f_lerp_(gradient, 1.0 - BETA1)?;
        let _ = self.square.f_lerp_(&gradient.f_square_()?, 1.0 - BETA2)?;
        let correction1 = 1.0 - BETA1.powi(self.steps);
        let correction2 = (1.0 - BETA2.powi(self.steps)).sqrt();
        // mean / correction1 / (sqrt(square) / correction2 + epsilon), with the constants moved to the end.
        let mut scale = self.square.f_sqrt()?.f_add_scalar_(EPSILON * correction2)?;
        scale = scale.f_reciprocal_()?.f_mul_scalar_(-learning_rate * correction2 / correction1)?;
        let _ = self.parameters.f_addcmul_(&self.mean, &scale)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook, in doubles.
    fn reference(gradients: &[f64], learning_rate: f64, weight_decay: f64) -> f64 {
        let (mut x, mut mean, mut square) = (1.0, 0.0, 0.0);
        for (step, gradient) in (1..).zip(gradients) {
            let g = gradient + weight_decay * x;
            mean = BETA1 * mean + (1.0 - BETA1) * g;
            square = BETA2 * square + (1.0 - BETA2) * g * g;
            let (m, v) = (mean / (1.0 - BETA1.powi(step)), square / (1.0 - BETA2.powi(step)));
            x -= learning_rate * m / (v.sqrt() + EPSILON);
        }
        x
    }

    #[test]
    fn steps_are_those_of_the_textbook() {
        let gradients = [0.5, -2.0, 0.0, 1e-3, 3.0];
        for weight_decay in [0.0, 0.1] {
            let parameters = Tensor::from_slice(&[1.0_f64]);
            let mut adam = Adam::new(parameters.shallow_clone(), weight_decay).unwrap();
            gradients.iter().for_each(|g| adam.step(&mut Tensor::from_slice(&[*g]), 0.01).unwrap());
            let difference = parameters.double_value(&[0]) - reference(&gradients, 0.01, weight_decay);
            assert!(difference.abs() < 1e-12, "{difference:e}");
        }
    }
}
