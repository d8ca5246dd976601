//! The loss that training minimizes: cross-entropy, or the squared error of the mean and the pinball losses of the
//! quantiles.

use crate::rows::lists::Lists;
use model::algorithm::QUANTILES;
use model::calibration::{sigmoid, softplus};
use model::metrics::{self, Metrics};
use model::quality::{Quality, RegressionMetrics};
use model::Task;
use tch::{Reduction, TchError, Tensor};

/// The loss of a task.
pub struct Loss {
    task: Task,
    class_weight: f64,
    /// The weight of a positive row, on the device; `None` if it is 1.
    weight: Option<Tensor>,
}

impl Loss {
    pub fn new(task: Task, class_weight: f64, device: tch::Device) -> Result<Self, TchError> {
        let weight = match class_weight {
            1.0 => None,
            weight => Some(Tensor::f_from_slice(&[weight as f32])?.f_to(device)?),
        };
        Ok(Self { task, class_weight, weight })
    }

    /// The same loss, for another thread.
    pub fn share(&self) -> Self {
        let weight = self.weight.as_ref().map(Tensor::shallow_clone);
        Self { task: self.task, class_weight: self.class_weight, weight }
    }

    /// The sum over the rows; `outputs` has the shape (rows, outputs), `targets` (rows).
    pub fn of(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        match self.task {
            Task::Binary => outputs.f_squeeze_dim(1)?.f_binary_cross_entropy_with_logits(
                targets,
                None,
                self.weight.as_ref(),
                Reduction::Sum,
            ),
            Task::Regression => {
                let error = targets.f_unsqueeze(1)?.f_sub(outputs)?;
                let mean = error.f_select(1, 0)?;
                let mut loss = mean.f_mul(&mean)?.f_sum(None)?;
                for (output, q) in (1..).zip(QUANTILES) {
                    let error = error.f_select(1, output)?;
                    let pinball = error.f_mul_scalar(q)?.f_maximum(&error.f_mul_scalar(q - 1.0)?)?;
                    loss = loss.f_add(&pinball.f_sum(None)?)?;
                }
                Ok(loss)
            }
        }
    }

    /// The mean over the rows, on the host; `outputs` row after row.
    pub fn mean(&self, outputs: &[f64], targets: &[f64]) -> f64 {
        let rows = outputs.chunks_exact(self.task.outputs()).zip(targets);
        rows.map(|(outputs, target)| self.one(outputs, *target)).sum::<f64>() / targets.len() as f64
    }

    fn one(&self, outputs: &[f64], target: f64) -> f64 {
        match self.task {
            Task::Binary if target == 1.0 => self.class_weight * softplus(-outputs[0]),
            Task::Binary => softplus(outputs[0]),
            Task::Regression => {
                let pinball =
                    |(output, q): (&f64, f64)| (q * (target - output)).max((q - 1.0) * (target - output));
                (target - outputs[0]).powi(2) + outputs[1..].iter().zip(QUANTILES).map(pinball).sum::<f64>()
            }
        }
    }

    /// All metrics, those of lists where `lists` says which list a row is in; those of quantities are in the targets' units.
    /// `None` without rows.
    pub fn quality(&self, outputs: &[f64], targets: &[f64], lists: Option<&Lists>) -> Option<Quality> {
        match self.task {
            Task::Binary => {
                let scores: Vec<f64> = outputs.iter().map(|logit| sigmoid(*logit)).collect();
                let labels: Vec<bool> = targets.iter().map(|target| *target == 1.0).collect();
                let lists = lists.and_then(|lists| lists.metrics(&scores, &labels));
                Metrics::of(&scores, &labels).map(|metrics| Quality::Binary(metrics).with_lists(lists))
            }
            Task::Regression => {
                let rows = outputs.chunks_exact(self.task.outputs());
                let means: Vec<f64> = rows.clone().map(|row| row[0]).collect();
                let sorted = |row: &[f64]| {
                    let mut quantiles = [row[1], row[2], row[3]];
                    quantiles.sort_unstable_by(f64::total_cmp);
                    quantiles
                };
                let quantiles: Vec<[f64; 3]> = rows.map(sorted).collect();
                RegressionMetrics::of(&means, Some(&quantiles), targets).map(Quality::Regression)
            }
        }
    }

    /// Area under the ROC curve of a binary task; `None` in a regression, or where a class is missing.
    pub fn auroc(&self, outputs: &[f64], targets: &[f64]) -> Option<f64> {
        let labels: Vec<bool> = targets.iter().map(|target| *target == 1.0).collect();
        (self.task == Task::Binary).then(|| metrics::auroc(outputs, &labels)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn the_device_and_the_host_agree() {
        for (task, targets) in [(Task::Binary, [1.0, 0.0]), (Task::Regression, [0.7, -1.5])] {
            let loss = Loss::new(task, if task == Task::Binary { 3.0 } else { 1.0 }, Device::Cpu).unwrap();
            let outputs: Vec<f64> = (0..2 * task.outputs()).map(|i| 0.4 * i as f64 - 0.9).collect();
            let tensor = Tensor::from_slice(&outputs).view([2, -1]);
            let sum = loss.of(&tensor, &Tensor::from_slice(&targets)).unwrap().double_value(&[]);
            assert!((sum / 2.0 - loss.mean(&outputs, &targets)).abs() < 1e-12, "{task:?}");
        }
    }
}
