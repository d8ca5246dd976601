//! Encoded rows on the device. They are moved there all at once or a pool at a time, and cut into batches there.

use super::net::{floats, Net};
use super::rows::Rows;
use crate::error::TrainerError;
use crate::job::Units;
use crate::prepare::{Encoder, Inputs};
use crate::rows::block::Block;
use crate::rows::labels::Labels;
use crate::threads::on_each;
use tch::{Device, Kind, TchError, Tensor};

/// Labelled rows of one part of the data.
pub struct LabelledRows {
    pub rows: Rows,
    /// The target of each row, on the device: 0 or 1, or the standardized quantity.
    pub targets: Tensor,
}

impl LabelledRows {
    pub fn new(
        encoder: &Encoder,
        rows: &[u32],
        labels: &Labels,
        units: Units,
        device: Device,
    ) -> Result<Self, TrainerError> {
        let targets: Vec<f32> = rows.iter().map(|row| units.of(labels.get(*row).into()) as f32).collect();
        let targets = Tensor::f_from_slice(&targets)?.f_to(device)?;
        Ok(Self { rows: load(encoder, rows, device)?, targets })
    }

    pub fn len(&self) -> usize {
        self.targets.numel()
    }

    /// The same rows, for another thread.
    pub fn share(&self) -> Self {
        Self { rows: self.rows.share(), targets: self.targets.shallow_clone() }
    }
}

/// The number of rows that are encoded at a time: few enough to stay in the cache while column after column is written
/// to them.
const STAGED_ROWS: usize = 4096;

/// Encodes rows and moves them to the device piece by piece, on several threads.
fn load(encoder: &Encoder, rows: &[u32], device: Device) -> Result<Rows, TrainerError> {
    let (count, width) = (rows.len() as i64, encoder.dense_width() as i64);
    let categories = encoder.null_seen.len() as i64;
    let dense = Tensor::f_empty([count, width], (Kind::Float, device))?;
    let ids = Tensor::f_empty([categories, count], (Kind::Int, device))?;
    let all = Rows { dense, ids };
    let mut start = 0;
    encoder.table().blocks(rows, |block| {
        let mut pieces = Vec::new();
        for rows in block.pieces(STAGED_ROWS) {
            let length = rows.rows.len() as i64;
            pieces.push(StagedRows { rows, to: all.slice(start, length)?, result: Ok(()) });
            start += length;
        }
        let inputs = encoder.inputs();
        on_each(&mut pieces, encoder.threads(), |piece| piece.result = piece.load(inputs));
        pieces.into_iter().try_for_each(|piece| piece.result)
    })?;
    Ok(all)
}

/// Rows on their way to the device, and their place there.
struct StagedRows<'a> {
    rows: Block<'a>,
    to: Rows,
    result: Result<(), TchError>,
}

impl StagedRows<'_> {
    fn load(&mut self, inputs: Inputs) -> Result<(), TchError> {
        let encoded = inputs.of(&self.rows);
        self.to.dense.f_copy_(&Tensor::f_from_slice(&encoded.dense)?.f_view_as(&self.to.dense)?)?;
        self.to.ids.f_copy_(&Tensor::f_from_slice(&encoded.ids)?.f_view_as(&self.to.ids)?)
    }
}

/// The number of rows in a block of the forward pass. On the CPU the block's activations should stay in the cache; on a
/// GPU large kernels are faster.
pub fn block_rows(device: Device) -> i64 {
    match device {
        Device::Cpu => 2048,
        _ => 262_144,
    }
}

/// The network's outputs for each of the rows, row after row.
pub fn outputs(net: &Net, rows: &Rows) -> Result<Vec<f64>, TchError> {
    let _guard = tch::no_grad_guard();
    let count = rows.dense.size2()?.0;
    let block = block_rows(net.device());
    let mut parts = Vec::new();
    for start in (0..count).step_by(block as usize) {
        parts.push(net.outputs(&rows.slice(start, block.min(count - start))?, None)?);
    }
    match parts.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(floats(&Tensor::f_cat(&parts, 0)?)?.into_iter().map(f64::from).collect()),
    }
}

/// The network's outputs for each of `rows`, which need not be on the device, in bounded memory.
pub fn stream_outputs(net: &Net, encoder: &Encoder, rows: &[u32]) -> Result<Vec<f64>, TrainerError> {
    let mut all = Vec::with_capacity(rows.len());
    let most = match encoder.table().stored.is_some() {
        true => encoder.table().block_rows(),
        false => STAGED_ROWS,
    };
    for block in rows.chunks(most) {
        all.extend(outputs(net, &load(encoder, block, net.device())?)?);
    }
    Ok(all)
}
