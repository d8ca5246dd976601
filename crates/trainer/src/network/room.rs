//! How much memory a training will allocate, computed from its shapes before it begins.

use super::examples::pool_rows;
use super::net::{Net, Shape};
use super::on_device::block_rows;
use crate::error::TrainerError;
use crate::job::Job;
use crate::memory;
use crate::refit::PARITY_ROWS;
use tch::Device;

/// Bytes of a row besides its inputs: its target, and its place in the order, on the host and on the device.
const ROW: u64 = 4 + 4 + 8;
/// Bytes of a holdout row that is measured: target, outputs, their order by size, and the earlier purchases of its key.
const MEASURED_ROW: u64 = 140;
/// What a thread takes before it computes anything: its stack, and its part of the allocator.
const THREAD: u64 = 10 << 20;

/// Whether all encoded rows fit into memory; an error if not even a pool of them does. Rows on a GPU take no memory of
/// the host.
pub fn fits_whole(job: &Job, shape: &Shape) -> Result<bool, TrainerError> {
    let encoded = |rows: usize| match job.device {
        Device::Cpu => rows as u64 * (job.encoder.row_bytes() as u64 + ROW),
        _ => rows as u64 * ROW,
    };
    let (train, held_out) = (job.split.train.len(), job.stopping_rows().len());
    let measured = match job.split.validation.len().max(job.split.test.len()) {
        0 if job.refit.is_some() => PARITY_ROWS,
        0 => train,
        measured => measured,
    };
    let always = network(job, shape) + block(job) + measured as u64 * MEASURED_ROW;
    if memory::left().is_none_or(|left| always + encoded(train + held_out) <= left) {
        return Ok(true);
    }
    let longest = job.table.runs(&job.split.train).iter().map(|run| run.len()).max().unwrap_or(0);
    let pool = encoded((pool_rows(job.encoder) + longest).min(train)) + train as u64 * ROW;
    let help = "Or train a smaller network (\"hidden\", \"max_categories\"), with fewer \"threads\", or on fewer columns.";
    memory::check("the training", always + pool, help).map(|()| false)
}

/// The parameters, their average, what the optimizer keeps for each, a gradient for each thread and the best ones so far, and the
/// activations of a block of rows for each thread.
fn network(job: &Job, shape: &Shape) -> u64 {
    let width = job.encoder.recipe.width();
    let threads = match job.device {
        Device::Cpu => job.threads as u64,
        _ => return 0,
    };
    let parameters = Net::size(&job.encoder.recipe, shape) as u64;
    let copies = 8 + 2 * threads + job.params.members as u64;
    let hidden: usize = shape.hidden.iter().sum();
    let activations = 4 * width + 5 * hidden + shape.crosses * (3 * width + 2 * shape.rank);
    4 * parameters * copies + threads * (4 * block_rows(job.device) as u64 * activations as u64 + THREAD)
}

/// A block on its way from the file or the columns to the device: raw, encoded, and as a tensor.
fn block(job: &Job) -> u64 {
    let encoded = 2 * job.encoder.row_bytes();
    let raw = if job.table.stored.is_some() { 3 * job.table.raw_row_bytes() } else { 0 };
    (job.table.block_rows() * (encoded + raw)) as u64
}
