//! The training loop: shuffled mini-batches, Adam, a moving average of the weights, early stopping with the best average kept.
//!
//! An epoch takes its rows from one pool or, where they do not fit into memory, from several. A batch that reaches from
//! one pool into the next is taken in pieces: its gradient is complete after the last. Nothing inside an epoch waits for a
//! GPU: the loss is added up there and read once.

use super::adam::Adam;
use super::average::Average;
use super::batches::{chunks, pieces};
use super::examples::Examples;
use super::loss::Loss;
use super::net::Net;
use super::on_device::block_rows;
use super::plan::TrainingPlan;
use super::schedule::factor;
use super::worker::{in_step, Worker};
use crate::error::TrainerError;
use crate::precision;
use crate::rows::lists::Lists;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;
use tch::{Device, TchError, Tensor};

/// What is known after an epoch.
pub struct Epoch {
    /// The number of the epoch, from 1.
    pub number: u32,
    pub train_loss: f64,
    pub validation_loss: Option<f64>,
    pub validation_auroc: Option<f64>,
    pub seconds: f64,
}

/// The validation rows, by which training is stopped early.
pub struct Validation<'a> {
    pub examples: &'a Examples<'a>,
    /// Their targets, on the host.
    pub targets: &'a [f64],
    /// Their lists, if the best epoch is that of the best lists.
    pub lists: Option<&'a Lists>,
}

/// How good an epoch is on the validation rows.
struct EpochQuality {
    loss: f64,
    auroc: Option<f64>,
    /// What the best epoch has least of: the metric that was asked for, with its sign changed if more of it is better,
    /// or else the loss.
    cost: f64,
}

/// Trains `net` in place and returns the epoch (from 1) whose weights it now has. It is the best epoch on the
/// validation rows, by the metric that was asked for or else by the loss, with or without patience; without validation
/// rows it is the last epoch.
pub fn train(
    net: &mut Net,
    training: &Examples,
    validation: Option<Validation>,
    plan: &TrainingPlan,
    tell: &mut dyn FnMut(Epoch) -> Result<(), TrainerError>,
) -> Result<u32, TrainerError> {
    let params = plan.params;
    let mut trainer = Loop::new(net, training, plan, block_rows(net.device()))?;
    let mut best: Option<(f64, u32, (Tensor, Tensor))> = None;
    let mut last = plan.epochs;
    for number in 1..=plan.epochs {
        let started = Instant::now();
        let reduced = precision::begin(params.precision)?;
        let train_loss = trainer.epoch()?;
        drop(reduced);
        let measured = validation.as_ref().map(|rows| trainer.measure(rows)).transpose()?;
        if !train_loss.is_finite() || measured.as_ref().is_some_and(|measured| !measured.loss.is_finite()) {
            return Err(TrainerError::Diverged { epoch: number });
        }
        let validation_loss = measured.as_ref().map(|measured| measured.loss);
        let validation_auroc = measured.as_ref().and_then(|measured| measured.auroc);
        let seconds = started.elapsed().as_secs_f64();
        tell(Epoch { number, train_loss, validation_loss, validation_auroc, seconds })?;
        last = number;
        if let Some(EpochQuality { cost, .. }) = measured {
            match &best {
                Some((least, at, _)) if cost >= *least => {
                    if plan.patience > 0 && number - at >= plan.patience {
                        break;
                    }
                }
                _ => best = Some((cost, number, trainer.result().snapshot()?)),
            }
        }
        if plan.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
    }
    let (epoch, weights) = match best {
        Some((_, epoch, weights)) => (epoch, weights),
        None => (last, trainer.result().snapshot()?),
    };
    net.restore(&weights)?;
    net.shift(logit_shift(plan))?;
    Ok(epoch)
}

/// What must be added to the logits of a network that saw only a share of the negatives, since the odds it learned are
/// too high by one over that share.
fn logit_shift(plan: &TrainingPlan) -> f64 {
    match plan.positives {
        Some(_) => plan.params.negative_share.ln(),
        None => 0.0,
    }
}

/// The state of the training loop, from epoch to epoch.
struct Loop<'a> {
    net: &'a Net,
    training: &'a Examples<'a>,
    plan: &'a TrainingPlan<'a>,
    loss: Loss,
    adam: Adam,
    average: Option<Average>,
    /// The rows of the next epoch, by the names that [`Examples::names`] gives them.
    order: Vec<u32>,
    random: ChaCha8Rng,
    workers: Vec<Worker>,
    /// Most rows in a block.
    block: i64,
    steps: usize,
    blocks: u64,
}

impl<'a> Loop<'a> {
    fn new(
        net: &'a Net,
        training: &'a Examples<'a>,
        plan: &'a TrainingPlan,
        block: i64,
    ) -> Result<Self, TchError> {
        let loss = Loss::new(plan.task, plan.params.class_weight, net.device())?;
        let threads = match net.device() {
            Device::Cpu => plan.threads.max(1),
            _ => 1,
        };
        let worker = |_| Worker::new(net, &loss, plan);
        Ok(Self {
            workers: (0..threads).map(worker).collect::<Result<_, _>>()?,
            adam: Adam::new(net.flat(), plan.params.weight_decay)?,
            average: Average::new(net, plan.l1)?,
            order: training.names(),
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
    fn epoch(&mut self) -> Result<f64, TrainerError> {
        let rows = self.rows_of_epoch();
        let batch = match self.plan.batch_size as i64 {
            0 => rows,
            size => size.min(rows),
        };
        let all_steps = (chunks(rows, batch) * i64::from(self.plan.params.epochs)) as usize;
        let block = self.block.min(chunks(batch, self.workers.len() as i64));
        self.workers.iter_mut().try_for_each(Worker::begin)?;
        let (plan, workers, adam) = (self.plan, &mut self.workers, &mut self.adam);
        let (steps, blocks) = (&mut self.steps, &mut self.blocks);
        let (parameters, weights) = (self.net.flat(), self.net.last_weights());
        let (average, epoch) = (&mut self.average, chunks(rows, batch) as f64);
        let mut step = |gradient: &mut Tensor| {
            let rate = plan.learning_rate * factor(plan.params.schedule, *steps, all_steps);
            *steps += 1;
            adam.step(gradient, rate)?;
            shrink(&weights, rate * plan.l1)?;
            average.as_mut().map_or(Ok(()), |average| average.add(&parameters, epoch))
        };
        let mut done = 0;
        self.training.for_each_pool(&self.order, batch < rows, &mut self.random, |pool, order, count| {
            workers.iter_mut().for_each(|worker| worker.take_pool(pool, order));
            let pieces = pieces(done, count, batch, rows);
            in_step(workers, &pieces, block, *blocks, &mut step)?;
            workers.iter_mut().for_each(Worker::leave_pool);
            *blocks += chunks(count, block) as u64 + pieces.len() as u64;
            done += count;
            Ok(())
        })?;
        self.net.average_statistics(&self.workers.iter().map(|worker| &worker.net).collect::<Vec<_>>())?;
        let total: f64 = self.workers.iter().map(Worker::total).sum::<Result<f64, _>>()?;
        Ok(total / rows as f64)
    }

    /// Chooses the rows of the next epoch and says how many they are: all, or the positive ones and a share of the
    /// others. Rows that are all on the device are shuffled.
    fn rows_of_epoch(&mut self) -> i64 {
        let shuffles = matches!(self.training, Examples::Whole(_));
        let Some(positives) = self.plan.positives else {
            if shuffles && self.plan.batch_size > 0 {
                self.order.shuffle(&mut self.random);
            }
            return self.training.len() as i64;
        };
        let share = self.plan.params.negative_share;
        let random = &mut self.random;
        let named = self.training.names().into_iter().zip(positives);
        let chosen = named.filter(|(_, positive)| **positive || random.random_bool(share));
        self.order = chosen.map(|(row, _)| row).collect();
        if shuffles {
            self.order.shuffle(random);
        }
        self.order.len() as i64
    }

    /// The network as it would be served.
    fn result(&self) -> &Net {
        self.average.as_ref().map_or(self.net, Average::net)
    }

    fn measure(&self, validation: &Validation) -> Result<EpochQuality, TrainerError> {
        let shift = logit_shift(self.plan);
        let mut found = validation.examples.outputs(self.result())?;
        found.iter_mut().for_each(|output| *output += shift);
        let loss = self.loss.mean(&found, validation.targets);
        let asked = self.plan.params.metric.and_then(|metric| {
            let value = self.loss.quality(&found, validation.targets, validation.lists)?.value(metric)?;
            Some(if metric.is_gain() { -value } else { value })
        });
        let auroc = self.loss.auroc(&found, validation.targets);
        Ok(EpochQuality { loss, auroc, cost: asked.unwrap_or(loss) })
    }
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

#[cfg(test)]
mod tests {
    use super::super::examples::Pools;
    use super::super::net::{floats, Shape};
    use super::super::on_device::LabelledRows;
    use super::super::rows::Rows;
    use super::*;
    use crate::job::Units;
    use crate::prepare::{Encoder, Grain};
    use crate::rows::data::Table;
    use crate::rows::labels::Labels;
    use crate::rows::values::{Feature, Floats, Values};
    use model::protocol::{Role, SourceColumn};
    use model::recipe::{Column, Family, Input, Recipe, Scaling};
    use model::{Params, Task};
    use tch::Kind;

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

    fn training() -> Examples<'static> {
        let targets: Vec<f32> = (0..ROWS).map(|row| if row % 3 == 0 { 1.0 } else { 0.0 }).collect();
        let dense: Vec<f32> = (0..2 * ROWS).map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.5).collect();
        Examples::Whole(LabelledRows {
            rows: Rows {
                dense: Tensor::from_slice(&dense).view_([ROWS, 2]),
                ids: Tensor::f_empty([0, ROWS], (Kind::Int, Device::Cpu)).unwrap(),
            },
            targets: Tensor::from_slice(&targets),
        })
    }

    fn plan<'a>(params: &'a Params, threads: usize) -> TrainingPlan<'a> {
        TrainingPlan {
            task: Task::Binary,
            params,
            epochs: params.epochs,
            learning_rate: 0.05,
            batch_size: params.batch_size.unwrap_or(1024),
            dropout: params.dropout.unwrap_or(0.0),
            patience: 0,
            seed: 1,
            threads,
            deadline: None,
            positives: None,
            l1: 0.0,
        }
    }

    /// The loss of each of three epochs, and the weights after them.
    fn run(block: i64, plan: &TrainingPlan) -> (Vec<f64>, Vec<f32>) {
        run_on(&training(), block, plan)
    }

    fn run_on(training: &Examples, block: i64, plan: &TrainingPlan) -> (Vec<f64>, Vec<f32>) {
        let shape =
            Shape { crosses: 1, rank: 2, hidden: vec![8], batch_norm: false, outputs: 1, training_rows: 0 };
        let net = Net::new(&recipe(), &shape, 1, Device::Cpu).unwrap();
        let mut trainer = Loop::new(&net, training, plan, block).unwrap();
        let losses = (0..3).map(|_| trainer.epoch().unwrap()).collect();
        (losses, floats(&net.flat()).unwrap())
    }

    fn are_close(a: &(Vec<f64>, Vec<f32>), b: &(Vec<f64>, Vec<f32>)) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-5;
        a.0.iter().zip(&b.0).all(|(a, b)| near(*a, *b))
            && a.1.iter().zip(&b.1).all(|(a, b)| near((*a).into(), (*b).into()))
    }

    /// A table of two columns, for pools.
    fn table(rows: u32) -> Table {
        let feature = |name: &str, step: u32| Feature {
            source: SourceColumn {
                name: name.into(),
                sql_type: "real".into(),
                family: Family::Number,
                role: Role::Feature,
            },
            values: Values::Numbers {
                width: 1,
                floats: Floats::Double((0..rows).map(|row| f64::from(row * step % 19)).collect()),
            },
        };
        Table {
            features: vec![feature("a", 37), feature("b", 11)],
            labels: (0..rows).map(|row| f32::from(row * 37 % 19 > 9)).collect::<Vec<f32>>().into(),
            ..Table::default()
        }
    }

    #[test]
    fn pools_add_up_to_the_gradient_of_all_rows() {
        let table = table(1000);
        let rows: Vec<u32> = (0..1000).collect();
        let encoder = Encoder::fit(&table, &rows, &Params::default(), Grain::default(), 1).unwrap();
        let (labels, units, device) = (&table.labels, Units::NONE, Device::Cpu);
        let (encoder, rows) = (&encoder, &rows[..]);
        let pools = Examples::Pools(Pools { encoder, rows, labels, units, device, pool_rows: 300 });
        let whole = Examples::Whole(LabelledRows::new(encoder, rows, labels, units, device).unwrap());
        for threads in [1, 2] {
            let params = Params { batch_size: Some(0), ..Params::default() };
            let of = |examples: &Examples| run_on(examples, 64, &plan(&params, threads));
            assert!(are_close(&of(&pools), &of(&whole)), "{:?} {:?}", of(&pools), of(&whole));

            let params = Params { batch_size: Some(96), dropout: Some(0.1), ..params };
            let of = |examples: &Examples| run_on(examples, 64, &plan(&params, threads));
            assert_eq!(of(&pools), of(&pools));
            let (losses, _) = of(&pools);
            assert!(losses[2] < losses[0], "{losses:?}");
        }
    }

    #[test]
    fn an_epoch_takes_every_row_once_and_its_pools_come_from_everywhere() {
        let table = table(2048);
        let rows: Vec<u32> = (0..2048).collect();
        let encoder = Encoder::fit(&table, &rows, &Params::default(), Grain::default(), 1).unwrap();
        let (labels, units) = (&Labels::from((0..2048).map(|n| n as f32).collect::<Vec<_>>()), Units::NONE);
        let (encoder, device) = (&encoder, Device::Cpu);
        let pools = Examples::Pools(Pools { encoder, rows: &rows, labels, units, device, pool_rows: 512 });
        let mut seen: Vec<f32> = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let take = |pool: &LabelledRows, order: Option<&Tensor>, count: i64| {
            assert_eq!(count, 512);
            seen.extend(floats(&pool.targets.f_index_select(0, order.unwrap())?)?);
            Ok(())
        };
        pools.for_each_pool(&pools.names(), true, &mut random, take).unwrap();
        assert!(!seen[..512].is_sorted() && seen[..512].iter().any(|row| *row > 1024.0));
        seen.sort_by(f32::total_cmp);
        assert_eq!(seen, (0..2048).map(|n| n as f32).collect::<Vec<_>>());
    }

    #[test]
    fn blocks_and_threads_add_up_to_the_gradient_of_the_whole_batch() {
        for batch_size in [0, 64] {
            let params = Params { batch_size: Some(batch_size), class_weight: 2.0, ..Params::default() };
            let whole = run(1000, &plan(&params, 1));
            assert!(whole.0[2] < whole.0[0], "{whole:?}");
            for (block, threads) in [(7, 1), (7, 3), (1000, 2)] {
                let others = run(block, &plan(&params, threads));
                assert!(are_close(&whole, &others), "{whole:?} {others:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_and_threads_give_the_same_bits() {
        let params = Params { batch_size: Some(32), dropout: Some(0.3), ..Params::default() };
        assert_eq!(run(10, &plan(&params, 3)), run(10, &plan(&params, 3)));
    }

    #[test]
    fn what_is_served_is_the_average_and_not_the_last_weights() {
        let shape =
            Shape { crosses: 0, rank: 1, hidden: vec![8], batch_norm: false, outputs: 1, training_rows: 0 };
        let net = || Net::new(&recipe(), &shape, 1, Device::Cpu).unwrap();
        let params = Params { batch_size: Some(10), epochs: 1, ..Params::default() };
        let (training, plan) = (training(), plan(&params, 1));
        let (stepped, mut served) = (net(), net());
        let mut trainer = Loop::new(&stepped, &training, &plan, block_rows(Device::Cpu)).unwrap();
        trainer.epoch().unwrap();
        let weights = |net: &Net| floats(&net.flat()).unwrap();
        let average = weights(trainer.result());
        train(&mut served, &training, None, &plan, &mut |_| Ok(())).unwrap();
        assert_eq!(weights(&served), average);
        assert_ne!(average, weights(&stepped));
    }

    #[test]
    fn an_epoch_leaves_out_negatives_only() {
        let positives: Vec<bool> = (0..ROWS).map(|row| row % 3 == 0).collect();
        let params = Params { negative_share: 0.5, ..Params::default() };
        let plan = TrainingPlan { positives: Some(&positives), ..plan(&params, 1) };
        let shape =
            Shape { crosses: 0, rank: 1, hidden: vec![], batch_norm: false, outputs: 1, training_rows: 0 };
        let net = Net::new(&recipe(), &shape, 1, Device::Cpu).unwrap();
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
