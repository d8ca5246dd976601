//! A worker thread adds up the gradients of its blocks of each batch; all workers go through the batches in step.
//!
//! A step's gradient is summed over blocks of the batch (see [`super::on_device::block_rows`]), so that a batch of any size,
//! up to all rows, works in the cache and in bounded memory. On the CPU each thread takes blocks of its own: libtorch's own
//! threads would share every small matrix.

use super::batches::BatchPiece;
use super::loss::Loss;
use super::net::{Learning, Net};
use super::noise::Noise;
use super::on_device::LabelledRows;
use super::plain::Plain;
use super::plan::TrainingPlan;
use model::params::Precision;
use std::ops::Range;
use std::sync::Barrier;
use tch::{Kind, TchError, Tensor};

/// Adds up the gradients of some blocks, on a thread of its own.
pub struct Worker {
    pub net: Net,
    /// The pool that rows are taken from, and their order.
    pool: Option<(LabelledRows, Option<Tensor>)>,
    loss: Loss,
    /// The gradient of the step so far, in the layout of the network's flat parameters, and its views, one for each
    /// leaf.
    gradient: Tensor,
    parts: Vec<Tensor>,
    /// The sum of the epoch's losses.
    total: Tensor,
    /// Computes the gradients where libtorch's automatic differentiation is not needed.
    plain: Option<Plain>,
    seed: u64,
    dropout: f64,
    precision: Precision,
}

impl Worker {
    pub fn new(net: &Net, loss: &Loss, plan: &TrainingPlan) -> Result<Self, TchError> {
        let precision = plan.params.precision;
        let net = net.share()?;
        let gradient = net.flat().f_zeros_like()?;
        Ok(Self {
            parts: net.views_of(&gradient)?,
            total: Tensor::f_zeros([], (Kind::Double, net.device()))?,
            loss: loss.share(),
            pool: None,
            plain: match precision == Precision::Float32 {
                true => Plain::new(&net)?,
                false => None,
            },
            seed: plan.seed,
            dropout: plan.dropout,
            precision,
            net,
            gradient,
        })
    }

    /// Starts an epoch.
    pub fn begin(&mut self) -> Result<(), TchError> {
        self.total.f_zero_().map(drop)
    }

    pub fn take_pool(&mut self, pool: &LabelledRows, order: Option<&Tensor>) {
        self.pool = Some((pool.share(), order.map(Tensor::shallow_clone)));
    }

    pub fn leave_pool(&mut self) {
        self.pool = None;
    }

    pub fn total(&self) -> Result<f64, TchError> {
        self.total.f_double_value(&[])
    }

    /// Adds the part of the gradient of a batch's mean loss that comes from the rows of one block.
    fn add(&mut self, batch_rows: i64, block: Range<i64>, number: u64) -> Result<(), TchError> {
        let Some((pool, order)) = &self.pool else { return Ok(()) };
        let (at, count) = (block.start, block.end - block.start);
        let (mut rows, targets) = match order {
            Some(order) => {
                let index = order.f_narrow(0, at, count)?;
                (pool.rows.select(&index)?, pool.targets.f_index_select(0, &index)?)
            }
            None => (pool.rows.slice(at, count)?, pool.targets.f_narrow(0, at, count)?),
        };
        let mut noise = Noise::new(self.seed, number, self.dropout);
        noise.forget_some(&mut rows)?;
        if let Some(plain) = &mut self.plain {
            let rows = (&rows, &targets);
            let loss = plain.add(&self.net, rows, &self.loss, batch_rows, &mut noise, &mut self.parts)?;
            return self.total.f_add_(&loss).map(drop);
        }
        let learning = Learning { noise: &mut noise, precision: self.precision };
        let outputs = self.net.outputs(&rows, Some(learning))?;
        let loss = self.loss.of(&outputs, &targets)?;
        let _ = self.total.f_add_(&loss.f_detach()?)?;
        let loss = loss.f_div_scalar(batch_rows as f64)?;
        let gradients = Tensor::f_run_backward(&[loss], self.net.leaves(), false, false)?;
        for (sum, gradient) in self.parts.iter_mut().zip(gradients) {
            sum.f_add_(&gradient).map(drop)?;
        }
        Ok(())
    }

    /// The blocks of a piece that are this thread's: every `of`-th, from `mine` on.
    fn take_part(
        &mut self,
        piece: &BatchPiece,
        block: i64,
        first: u64,
        (mine, of): (usize, usize),
    ) -> Result<(), TchError> {
        if piece.is_first {
            self.gradient.f_zero_().map(drop)?;
        }
        let Range { start, end } = piece.rows;
        let blocks = (start..end).step_by(block as usize).enumerate().skip(mine).step_by(of);
        for (number, at) in blocks {
            self.add(piece.batch_rows, at..(at + block).min(end), first + number as u64)?;
        }
        match &mut self.plain {
            Some(plain) => plain.finish(&mut self.parts),
            None => Ok(()),
        }
    }
}

/// Goes through the pieces with all workers in step. Each worker adds up the gradients of its blocks; after the last
/// piece of a batch, `step` gets the sum of all workers.
pub fn in_step(
    workers: &mut [Worker],
    pieces: &[BatchPiece],
    block: i64,
    first_block: u64,
    mut step: impl FnMut(&mut Tensor) -> Result<(), TchError>,
) -> Result<(), TchError> {
    let of = workers.len();
    let Some((own, others)) = workers.split_first_mut() else { return Ok(()) };
    let number = |piece: &BatchPiece| first_block + (piece.rows.start / block) as u64 + 1;
    if others.is_empty() {
        for piece in pieces {
            own.take_part(piece, block, number(piece), (0, 1))?;
            if piece.is_last {
                step(&mut own.gradient)?;
            }
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
                    for piece in pieces {
                        barrier.wait();
                        if result.is_ok() {
                            result = worker.take_part(piece, block, number(piece), (mine, of));
                        }
                        barrier.wait();
                    }
                    result
                })
            })
            .collect();
        tch::set_num_threads(1);
        let mut result = Ok(());
        for piece in pieces {
            barrier.wait();
            if result.is_ok() {
                result = own.take_part(piece, block, number(piece), (0, of));
            }
            barrier.wait();
            // The other workers have added up their gradients and wait for the next piece.
            if result.is_ok() && piece.is_last {
                result = gather(&mut own.gradient, &gradients).and_then(|()| step(&mut own.gradient));
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
