//! The training loop: shuffled mini-batches, Adam, early stopping with the best weights kept.
//!
//! A step's gradient is summed over blocks of the batch (see [`block_rows`]), so that a batch of any size, up to all
//! rows, works in the cache and in bounded memory. Nothing inside an epoch waits for the device: the loss is added up
//! there and read once.

use crate::adam::Adam;
use crate::error::TrainerError;
use crate::network::{Net, Rows};
use crate::part::{block_rows, logits, Part};
use crate::report::Reporter;
use model::protocol::Event;
use model::recipe::UNSEEN;
use model::{metrics, Params};
use rand::seq::SliceRandom;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::io::Write;
use std::time::Instant;
use tch::{Kind, Reduction, TchError, Tensor};

/// The share of categories that a training batch replaces by "never seen", so that its embedding is trained as well.
const UNSEEN_SHARE: f64 = 0.02;

/// Trains `net` in place and returns the epoch (from 1) whose weights it now has: the one with the lowest validation
/// loss, with or without patience; the last one if `validation` is `None`.
pub fn train<W: Write>(
    net: &mut Net,
    training: &Part,
    validation: Option<&Part>,
    params: &Params,
    reporter: &mut Reporter<W>,
) -> Result<u32, TrainerError> {
    let mut trainer = Loop::new(net, training, params)?;
    let mut best: Option<(f64, u32, Tensor)> = None;
    for epoch in 1..=params.epochs {
        let started = Instant::now();
        let train_loss = trainer.epoch()?;
        let measured = match validation {
            Some(part) => Some(measure(trainer.net, part, params.class_weight)?),
            None => None,
        };
        if !train_loss.is_finite() || measured.is_some_and(|(loss, _)| !loss.is_finite()) {
            return Err(TrainerError::Diverged { epoch });
        }
        reporter.send(&Event::Epoch {
            epoch,
            epochs: params.epochs,
            train_loss,
            validation_loss: measured.map(|(loss, _)| loss),
            validation_auroc: measured.and_then(|(_, auroc)| auroc),
            seconds: started.elapsed().as_secs_f64(),
        })?;
        if let Some((loss, _)) = measured {
            match &best {
                Some((least, at, _)) if loss >= *least => {
                    if params.patience > 0 && epoch - at >= params.patience {
                        break;
                    }
                }
                _ => best = Some((loss, epoch, trainer.net.flat().f_detach_copy()?)),
            }
        }
    }
    match best {
        Some((_, epoch, weights)) => {
            net.restore(&weights)?;
            Ok(epoch)
        }
        None => Ok(params.epochs),
    }
}

/// What one epoch needs.
struct Loop<'a> {
    net: &'a Net,
    training: &'a Part,
    params: &'a Params,
    adam: Adam,
    order: Vec<i64>,
    random: ChaCha8Rng,
    class_weight: Option<Tensor>,
    /// Rows in a block.
    block: i64,
}

impl<'a> Loop<'a> {
    fn new(net: &'a Net, training: &'a Part, params: &'a Params) -> Result<Self, TchError> {
        let class_weight = match params.class_weight {
            1.0 => None,
            weight => Some(Tensor::f_from_slice(&[weight as f32])?.f_to(net.device())?),
        };
        Ok(Self {
            net,
            training,
            params,
            adam: Adam::new(net.flat(), params.learning_rate, params.weight_decay)?,
            order: (0..training.len() as i64).collect(),
            random: ChaCha8Rng::seed_from_u64(params.seed),
            class_weight,
            block: block_rows(net.device()),
        })
    }

    /// One pass over the training rows; returns their mean loss on the way.
    fn epoch(&mut self) -> Result<f64, TchError> {
        let rows = self.training.len() as i64;
        let batch = match self.params.batch_size as i64 {
            0 => rows,
            size => size.min(rows),
        };
        let device = self.net.device();
        let total = Tensor::f_zeros([], (Kind::Double, device))?;
        // With all rows in every step their order does not matter, and slices need no copy.
        let order = if batch < rows {
            self.order.shuffle(&mut self.random);
            Some(Tensor::f_from_slice(&self.order)?.f_to(device)?)
        } else {
            None
        };
        for start in (0..rows).step_by(batch as usize) {
            self.step(order.as_ref(), start, batch.min(rows - start), &total)?;
        }
        Ok(total.f_double_value(&[])? / rows as f64)
    }

    /// One step on `length` rows from `start` on, in the given order; adds the sum of their losses to `total`.
    fn step(
        &mut self,
        order: Option<&Tensor>,
        start: i64,
        length: i64,
        total: &Tensor,
    ) -> Result<(), TchError> {
        let block = self.block;
        let mut gradient: Option<Tensor> = None;
        for at in (start..start + length).step_by(block as usize) {
            let count = block.min(start + length - at);
            let (mut rows, targets) = match order {
                Some(order) => {
                    let index = order.f_narrow(0, at, count)?;
                    (self.training.rows.select(&index)?, self.training.targets.f_index_select(0, &index)?)
                }
                None => (self.training.rows.slice(at, count)?, self.training.targets.f_narrow(0, at, count)?),
            };
            forget_some(&mut rows)?;
            let logits = self.net.logits(&rows, self.params.dropout)?;
            let loss = logits.f_binary_cross_entropy_with_logits(
                &targets,
                None,
                self.class_weight.as_ref(),
                Reduction::Sum,
            )?;
            total.shallow_clone().f_add_(&loss.f_detach()?).map(drop)?;
            let loss = loss.f_div_scalar(length as f64)?;
            let parts = Tensor::f_run_backward(&[loss], self.net.leaves(), false, false)?;
            let flat: Vec<Tensor> = parts.iter().map(|g| g.f_flatten(0, -1)).collect::<Result<_, _>>()?;
            let flat = Tensor::f_cat(&flat, 0)?;
            gradient = Some(match gradient {
                Some(mut sum) => sum.f_add_(&flat)?,
                None => flat,
            });
        }
        match gradient {
            Some(gradient) => self.adam.step(gradient),
            None => Ok(()),
        }
    }
}

/// Replaces a few categories by "never seen".
fn forget_some(rows: &mut Rows) -> Result<(), TchError> {
    if !rows.has_categories() {
        return Ok(());
    }
    let mut chance = Tensor::f_empty(rows.ids.size(), (Kind::Float, rows.ids.device()))?;
    let forgotten = chance.f_uniform_(0.0, 1.0)?.f_lt(UNSEEN_SHARE)?;
    rows.ids = rows.ids.f_masked_fill(&forgotten, i64::from(UNSEEN))?;
    Ok(())
}

/// Loss (with the class weight, as in training) and AUROC on a part.
fn measure(net: &Net, part: &Part, class_weight: f64) -> Result<(f64, Option<f64>), TchError> {
    let logits = logits(net, &part.rows)?;
    let loss = |(logit, label): (&f64, &bool)| match label {
        true => class_weight * softplus(-logit),
        false => softplus(*logit),
    };
    let total: f64 = logits.iter().zip(&part.labels).map(loss).sum();
    Ok((total / part.len() as f64, metrics::auroc(&logits, &part.labels)))
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::recipe::{Column, Family, Input, Recipe, Scaling};
    use tch::Device;

    const ROWS: i64 = 100;

    fn recipe() -> Recipe {
        let scaling = Scaling { mean: 0.0, scale: 1.0, indicator: false };
        let column = |name: &str| Column {
            name: name.into(),
            sql_type: "real".into(),
            family: Family::Number,
            input: Input::Numbers(vec![scaling.clone()]),
        };
        Recipe { columns: vec![column("a"), column("b")] }
    }

    fn training() -> Part {
        let labels: Vec<bool> = (0..ROWS).map(|row| row % 3 == 0).collect();
        let targets: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(*label))).collect();
        let dense: Vec<f32> = (0..2 * ROWS).map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.5).collect();
        Part {
            rows: Rows {
                dense: Tensor::from_slice(&dense).view_([ROWS, 2]),
                ids: Tensor::f_empty([0, ROWS], (Kind::Int, Device::Cpu)).unwrap(),
            },
            targets: Tensor::from_slice(&targets),
            labels,
        }
    }

    /// The loss of each of three epochs, and the weights after them.
    fn run(block: i64, params: &Params) -> (Vec<f64>, Vec<f32>) {
        tch::manual_seed(1);
        let net = Net::new(&recipe(), &[8], Device::Cpu).unwrap();
        let training = training();
        let mut trainer = Loop { block, ..Loop::new(&net, &training, params).unwrap() };
        let losses = (0..3).map(|_| trainer.epoch().unwrap()).collect();
        (losses, crate::network::floats(&net.flat()).unwrap())
    }

    #[test]
    fn blocks_add_up_to_the_gradient_of_the_whole_batch() {
        for batch_size in [0, 64] {
            let params = Params { batch_size, learning_rate: 0.05, class_weight: 2.0, ..Params::default() };
            let (losses, weights) = run(1000, &params);
            let (in_blocks, weights_in_blocks) = run(7, &params);
            assert!(losses[2] < losses[0], "{losses:?}");
            let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
            assert!(losses.iter().zip(&in_blocks).all(|(a, b)| close(*a, *b)), "{losses:?} {in_blocks:?}");
            assert!(weights.iter().zip(&weights_in_blocks).all(|(a, b)| close((*a).into(), (*b).into())));
        }
    }
}
