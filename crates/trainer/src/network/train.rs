//! The training loop: shuffled mini-batches, Adam, early stopping with the best weights kept.
//!
//! A step's gradient is summed over blocks of the batch (see [`block_rows`]), so that a batch of any size, up to all
//! rows, works in the cache and in bounded memory. On the CPU each thread takes blocks of its own: libtorch's own threads
//! would share every small matrix. Nothing inside an epoch waits for a GPU: the loss is added up there and read once.

use super::adam::Adam;
use super::loss::Loss;
use super::net::{Learning, Net};
use super::noise::Noise;
use super::part::{block_rows, outputs, Part};
use super::schedule::factor;
use crate::error::TrainerError;
use crate::precision;
use model::params::Precision;
use model::{Params, Task};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::sync::Barrier;
use std::time::Instant;
use tch::{Device, Kind, TchError, Tensor};

/// What is known after an epoch.
pub struct Epoch {
    /// From 1.
    pub number: u32,
    pub train_loss: f64,
    pub validation_loss: Option<f64>,
    pub validation_auroc: Option<f64>,
    pub seconds: f64,
}

/// The rows that training is stopped by.
pub struct Validation<'a> {
    pub part: &'a Part,
    /// Its targets, on the host.
    pub targets: &'a [f64],
}

/// How a network is trained, besides its parameters.
pub struct Plan<'a> {
    pub task: Task,
    pub params: &'a Params,
    pub learning_rate: f64,
    pub seed: u64,
    pub threads: usize,
    pub deadline: Option<Instant>,
    /// The rows of the training part whose label is true, if negative ones are left out.
    pub positives: Option<&'a [bool]>,
    /// The L1 penalty of the last layer's weights.
    pub l1: f64,
}

/// Trains `net` in place and returns the epoch (from 1) whose weights it now has: the one with the lowest validation
/// loss, with or without patience; the last one without validation rows.
pub fn train(
    net: &mut Net,
    training: &Part,
    validation: Option<Validation>,
    plan: &Plan,
    tell: &mut dyn FnMut(Epoch) -> Result<(), TrainerError>,
) -> Result<u32, TrainerError> {
    let params = plan.params;
    let mut trainer = Loop::new(net, training, plan, block_rows(net.device()))?;
    let mut best: Option<(f64, u32, (Tensor, Tensor))> = None;
    let mut last = params.epochs;
    for number in 1..=params.epochs {
        let started = Instant::now();
        let reduced = precision::begin(params.precision)?;
        let train_loss = trainer.epoch()?;
        drop(reduced);
        let measured = validation.as_ref().map(|part| trainer.measure(part)).transpose()?;
        if !train_loss.is_finite() || measured.is_some_and(|(loss, _)| !loss.is_finite()) {
            return Err(TrainerError::Diverged { epoch: number });
        }
        let (validation_loss, auroc) = measured.unzip();
        let seconds = started.elapsed().as_secs_f64();
        tell(Epoch { number, train_loss, validation_loss, validation_auroc: auroc.flatten(), seconds })?;
        last = number;
        if let Some(loss) = validation_loss {
            match &best {
                Some((least, at, _)) if loss >= *least => {
                    if params.patience > 0 && number - at >= params.patience {
                        break;
                    }
                }
                _ => best = Some((loss, number, trainer.net.snapshot()?)),
            }
        }
        if plan.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
    }
    let epoch = match best {
        Some((_, epoch, weights)) => {
            net.restore(&weights)?;
            epoch
        }
        None => last,
    };
    net.shift(logit_shift(plan))?;
    Ok(epoch)
}

/// What the logits of a network must be raised by that saw only a share of the negatives: the odds it learned are too
/// high by one over that share.
fn logit_shift(plan: &Plan) -> f64 {
    match plan.positives {
        Some(_) => plan.params.negative_share.ln(),
        None => 0.0,
    }
}

/// What one epoch needs.
struct Loop<'a> {
    net: &'a Net,
    training: &'a Part,
    plan: &'a Plan<'a>,
    loss: Loss,
    adam: Adam,
    order: Vec<i64>,
    random: ChaCha8Rng,
    workers: Vec<Worker>,
    /// Most rows in a block.
    block: i64,
    steps: usize,
    blocks: u64,
}

impl<'a> Loop<'a> {
    fn new(net: &'a Net, training: &'a Part, plan: &'a Plan, block: i64) -> Result<Self, TchError> {
        let loss = Loss::new(plan.task, plan.params.class_weight, net.device())?;
        let threads = match net.device() {
            Device::Cpu => plan.threads.max(1),
            _ => 1,
        };
        let worker = |_| Worker::new(net, training, &loss, plan);
        Ok(Self {
            workers: (0..threads).map(worker).collect::<Result<_, _>>()?,
            adam: Adam::new(net.flat(), plan.params.weight_decay)?,
            order: (0..training.len() as i64).collect(),
            random: ChaCha8Rng::seed_from_u64(plan.seed),
            steps: 0,
            blocks: 0,
            net,
            training,
            plan,
            loss,
            block,
        })
    }

    /// One pass over the training rows; returns their mean loss on the way.
    fn epoch(&mut self) -> Result<f64, TchError> {
        let rows = self.rows_of_epoch();
        let batch = match self.plan.params.batch_size as i64 {
            0 => rows,
            size => size.min(rows),
        };
        let order = match batch < self.training.len() as i64 {
            true => Some(Tensor::f_from_slice(&self.order[..rows as usize])?.f_to(self.net.device())?),
            // With all rows in every step their order does not matter, and slices need no copy.
            false => None,
        };
        let steps = chunks(rows, batch) as usize;
        let all = steps * self.plan.params.epochs as usize;
        let threads = self.workers.len();
        let block = self.block.min(chunks(batch, threads as i64));
        for worker in &mut self.workers {
            worker.begin(order.as_ref())?;
        }
        let batches: Vec<Range<i64>> =
            (0..steps as i64).map(|step| step * batch..((step + 1) * batch).min(rows)).collect();
        let (first_block, plan, done) = (self.blocks, self.plan, self.steps);
        let adam = &mut self.adam;
        let weights = self.net.last_weights();
        in_step(&mut self.workers, &batches, block, first_block, |step, gradient| {
            let rate = plan.learning_rate * factor(plan.params.schedule, done + step, all);
            adam.step(gradient, rate)?;
            shrink(&weights, rate * plan.l1)
        })?;
        self.steps += steps;
        self.blocks += (chunks(rows, block) + steps as i64) as u64;
        self.net.average_statistics(&self.workers.iter().map(|worker| &worker.net).collect::<Vec<_>>())?;
        let total: f64 = self.workers.iter().map(Worker::total).sum::<Result<f64, _>>()?;
        Ok(total / rows as f64)
    }

    /// Shuffles the rows of the next epoch to the front of the order and says how many they are: all, or the positive
    /// ones and a share of the others.
    fn rows_of_epoch(&mut self) -> i64 {
        let Some(positives) = self.plan.positives else {
            if self.plan.params.batch_size > 0 {
                self.order.shuffle(&mut self.random);
            }
            return self.training.len() as i64;
        };
        let share = self.plan.params.negative_share;
        let random = &mut self.random;
        self.order.clear();
        self.order.extend(
            (0..)
                .zip(positives)
                .filter_map(|(row, positive)| (*positive || random.random_bool(share)).then_some(row)),
        );
        self.order.shuffle(random);
        self.order.len() as i64
    }

    /// Loss and AUROC on the validation rows.
    fn measure(&self, validation: &Validation) -> Result<(f64, Option<f64>), TchError> {
        let shift = logit_shift(self.plan);
        let mut found = outputs(self.net, &validation.part.rows)?;
        found.iter_mut().for_each(|output| *output += shift);
        Ok((self.loss.mean(&found, validation.targets), self.loss.auroc(&found, validation.targets)))
    }
}

/// How many chunks of a size it takes to hold some rows.
fn chunks(rows: i64, size: i64) -> i64 {
    (rows + size - 1) / size
}

/// Draws weights towards 0 by `amount`, those nearer than that to 0 itself.
fn shrink(weights: &Tensor, amount: f64) -> Result<(), TchError> {
    if amount == 0.0 {
        return Ok(());
    }
    let _guard = tch::no_grad_guard();
    let smaller = weights.f_abs()?.f_sub_scalar(amount)?.f_clamp_min(0.0)?;
    weights.shallow_clone().f_copy_(&weights.f_sign()?.f_mul(&smaller)?)
}

/// Adds up the gradients of some blocks, on a thread of its own.
struct Worker {
    net: Net,
    training: Part,
    loss: Loss,
    order: Option<Tensor>,
    /// Of the step so far, like the network's flat parameters, and views of it, one for each leaf.
    gradient: Tensor,
    parts: Vec<Tensor>,
    /// The sum of the epoch's losses.
    total: Tensor,
    seed: u64,
    dropout: f64,
    precision: Precision,
}

impl Worker {
    fn new(net: &Net, training: &Part, loss: &Loss, plan: &Plan) -> Result<Self, TchError> {
        let net = net.share()?;
        let gradient = net.flat().f_zeros_like()?;
        Ok(Self {
            parts: net.views_of(&gradient)?,
            total: Tensor::f_zeros([], (Kind::Double, net.device()))?,
            training: training.share(),
            loss: loss.share(),
            order: None,
            seed: plan.seed,
            dropout: plan.params.dropout,
            precision: plan.params.precision,
            net,
            gradient,
        })
    }

    /// Starts an epoch.
    fn begin(&mut self, order: Option<&Tensor>) -> Result<(), TchError> {
        self.order = order.map(Tensor::shallow_clone);
        self.total.f_zero_().map(drop)
    }

    fn total(&self) -> Result<f64, TchError> {
        self.total.f_double_value(&[])
    }

    /// Adds the gradient of the mean loss of `batch`, as far as the rows of one block go.
    fn add(&mut self, batch: &Range<i64>, block: Range<i64>, number: u64) -> Result<(), TchError> {
        let (at, count) = (block.start, block.end - block.start);
        let (mut rows, targets) = match &self.order {
            Some(order) => {
                let index = order.f_narrow(0, at, count)?;
                (self.training.rows.select(&index)?, self.training.targets.f_index_select(0, &index)?)
            }
            None => (self.training.rows.slice(at, count)?, self.training.targets.f_narrow(0, at, count)?),
        };
        let mut noise = Noise::new(self.seed, number, self.dropout);
        noise.forget_some(&mut rows)?;
        let learning = Learning { noise: &mut noise, precision: self.precision };
        let outputs = self.net.outputs(&rows, Some(learning))?;
        let loss = self.loss.of(&outputs, &targets)?;
        let _ = self.total.f_add_(&loss.f_detach()?)?;
        let loss = loss.f_div_scalar((batch.end - batch.start) as f64)?;
        let gradients = Tensor::f_run_backward(&[loss], self.net.leaves(), false, false)?;
        for (sum, gradient) in self.parts.iter_mut().zip(gradients) {
            sum.f_add_(&gradient).map(drop)?;
        }
        Ok(())
    }

    /// The blocks of `batch` that are this thread's: every `of`-th, from `mine` on.
    fn take_part(
        &mut self,
        batch: &Range<i64>,
        block: i64,
        first: u64,
        (mine, of): (usize, usize),
    ) -> Result<(), TchError> {
        self.gradient.f_zero_().map(drop)?;
        let blocks = (batch.start..batch.end).step_by(block as usize).enumerate().skip(mine).step_by(of);
        for (number, at) in blocks {
            self.add(batch, at..(at + block).min(batch.end), first + number as u64)?;
        }
        Ok(())
    }
}

/// Goes through the batches with all workers in step: each adds up its blocks of a batch, then `step` gets the sum.
fn in_step(
    workers: &mut [Worker],
    batches: &[Range<i64>],
    block: i64,
    first_block: u64,
    mut step: impl FnMut(usize, &mut Tensor) -> Result<(), TchError>,
) -> Result<(), TchError> {
    let of = workers.len();
    let Some((own, others)) = workers.split_first_mut() else { return Ok(()) };
    let number = |batch: &Range<i64>| first_block + (batch.start / block) as u64 + 1;
    if others.is_empty() {
        for (n, batch) in batches.iter().enumerate() {
            own.take_part(batch, block, number(batch), (0, 1))?;
            step(n, &mut own.gradient)?;
        }
        return Ok(());
    }
    let threads = tch::get_num_threads();
    let barrier = Barrier::new(of);
    let gradients: Vec<Tensor> = others.iter().map(|worker| worker.gradient.shallow_clone()).collect();
    let result = std::thread::scope(|scope| {
        let crew: Vec<_> = (1..)
            .zip(others)
            .map(|(mine, worker)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    let mut result = Ok(());
                    for batch in batches {
                        barrier.wait();
                        if result.is_ok() {
                            result = worker.take_part(batch, block, number(batch), (mine, of));
                        }
                        barrier.wait();
                    }
                    result
                })
            })
            .collect();
        tch::set_num_threads(1);
        let mut result = Ok(());
        for (n, batch) in batches.iter().enumerate() {
            barrier.wait();
            if result.is_ok() {
                result = own.take_part(batch, block, number(batch), (0, of));
            }
            barrier.wait();
            // The others wait for the next batch, and have added up theirs.
            if result.is_ok() {
                result = gather(&mut own.gradient, &gradients).and_then(|()| step(n, &mut own.gradient));
            }
        }
        crew.into_iter().fold(result, |result, thread| {
            result.and(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    });
    tch::set_num_threads(threads);
    result
}

fn gather(sum: &mut Tensor, gradients: &[Tensor]) -> Result<(), TchError> {
    gradients.iter().try_for_each(|gradient| sum.f_add_(gradient).map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::net::{floats, Rows, Shape};
    use super::*;
    use model::recipe::{Column, Family, Input, Recipe, Scaling};

    const ROWS: i64 = 100;

    fn recipe() -> Recipe {
        let column = |name: &str| Column {
            name: name.into(),
            sql_type: "real".into(),
            family: Family::Number,
            input: Input::Numbers(vec![Scaling { scale: 1.0, ..Scaling::default() }]),
        };
        Recipe { columns: vec![column("a"), column("b")] }
    }

    fn training() -> Part {
        let targets: Vec<f32> = (0..ROWS).map(|row| if row % 3 == 0 { 1.0 } else { 0.0 }).collect();
        let dense: Vec<f32> = (0..2 * ROWS).map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.5).collect();
        Part {
            rows: Rows {
                dense: Tensor::from_slice(&dense).view_([ROWS, 2]),
                ids: Tensor::f_empty([0, ROWS], (Kind::Int, Device::Cpu)).unwrap(),
            },
            targets: Tensor::from_slice(&targets),
        }
    }

    fn plan<'a>(params: &'a Params, threads: usize) -> Plan<'a> {
        Plan {
            task: Task::Binary,
            params,
            learning_rate: 0.05,
            seed: 1,
            threads,
            deadline: None,
            positives: None,
            l1: 0.0,
        }
    }

    /// The loss of each of three epochs, and the weights after them.
    fn run(block: i64, plan: &Plan) -> (Vec<f64>, Vec<f32>) {
        tch::manual_seed(1);
        let shape = Shape { crosses: 1, rank: 2, hidden: vec![8], batch_norm: false, outputs: 1 };
        let net = Net::new(&recipe(), &shape, Device::Cpu).unwrap();
        let training = training();
        let mut trainer = Loop::new(&net, &training, plan, block).unwrap();
        let losses = (0..3).map(|_| trainer.epoch().unwrap()).collect();
        (losses, floats(&net.flat()).unwrap())
    }

    #[test]
    fn blocks_and_threads_add_up_to_the_gradient_of_the_whole_batch() {
        for batch_size in [0, 64] {
            let params = Params { batch_size, class_weight: 2.0, ..Params::default() };
            let (losses, weights) = run(1000, &plan(&params, 1));
            assert!(losses[2] < losses[0], "{losses:?}");
            for (block, threads) in [(7, 1), (7, 3), (1000, 2)] {
                let (others, other_weights) = run(block, &plan(&params, threads));
                let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
                assert!(losses.iter().zip(&others).all(|(a, b)| close(*a, *b)), "{losses:?} {others:?}");
                assert!(weights.iter().zip(&other_weights).all(|(a, b)| close((*a).into(), (*b).into())));
            }
        }
    }

    #[test]
    fn the_same_seed_and_threads_give_the_same_bits() {
        let params = Params { batch_size: 32, dropout: 0.3, ..Params::default() };
        assert_eq!(run(10, &plan(&params, 3)), run(10, &plan(&params, 3)));
    }

    #[test]
    fn an_epoch_leaves_out_negatives_only() {
        let positives: Vec<bool> = (0..ROWS).map(|row| row % 3 == 0).collect();
        let params = Params { negative_share: 0.5, ..Params::default() };
        let plan = Plan { positives: Some(&positives), ..plan(&params, 1) };
        let shape = Shape { crosses: 0, rank: 1, hidden: vec![], batch_norm: false, outputs: 1 };
        let net = Net::new(&recipe(), &shape, Device::Cpu).unwrap();
        let training = training();
        let mut trainer = Loop::new(&net, &training, &plan, 10).unwrap();
        let rows = trainer.rows_of_epoch() as usize;
        assert!((45..90).contains(&rows), "{rows}");
        assert_eq!(trainer.order.iter().filter(|row| positives[**row as usize]).count(), 34);
    }

    #[test]
    fn an_l1_penalty_makes_weights_exactly_0() {
        let weights = Tensor::from_slice(&[0.5_f32, -0.5, 0.05, -0.05]);
        shrink(&weights, 0.1).unwrap();
        assert_eq!(floats(&weights).unwrap(), [0.4, -0.4, 0.0, 0.0]);
    }
}
