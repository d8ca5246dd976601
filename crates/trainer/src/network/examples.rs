//! The rows that a network learns from or is measured on. Either all of them lie on the device, or, where they do not
//! fit (out-of-core training), they are loaded a pool at a time, and encoded anew for every epoch.

use super::net::Net;
use super::on_device::{outputs, stream_outputs, LabelledRows};
use crate::error::TrainerError;
use crate::job::{Job, Units};
use crate::prepare::Encoder;
use crate::rows::labels::Labels;
use rand::seq::SliceRandom;
use rand::Rng;
use tch::{Device, TchError, Tensor};

/// Bytes of the encoded rows in a pool.
const POOL_BYTES: usize = 32 << 20;
/// Fewest and most rows in a pool.
const POOL_ROWS: (usize, usize) = (1024, 262_144);

pub enum Examples<'a> {
    Whole(LabelledRows),
    Pools(Pools<'a>),
}

/// Rows that are loaded a pool at a time.
pub struct Pools<'a> {
    pub encoder: &'a Encoder<'a>,
    /// The rows' numbers; in ascending order if the rows lie in a file.
    pub rows: &'a [u32],
    pub labels: &'a Labels,
    pub units: Units,
    pub device: Device,
    /// A pool is complete once it has so many rows.
    pub pool_rows: usize,
}

impl<'a> Examples<'a> {
    pub fn new(job: &Job<'a>, rows: &'a [u32], units: Units, whole: bool) -> Result<Self, TrainerError> {
        let Job { encoder, device, .. } = *job;
        let labels = &job.table.labels;
        Ok(match whole {
            true => Self::Whole(LabelledRows::new(encoder, rows, labels, units, device)?),
            false => {
                let pool_rows = pool_rows(encoder);
                Self::Pools(Pools { encoder, rows, labels, units, device, pool_rows })
            }
        })
    }

    /// The names of all rows, by which an epoch takes them: their positions in the part, or their numbers in the table.
    pub fn names(&self) -> Vec<u32> {
        match self {
            Self::Whole(part) => (0..part.len() as u32).collect(),
            Self::Pools(pools) => pools.rows.to_vec(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Whole(part) => part.len(),
            Self::Pools(pools) => pools.rows.len(),
        }
    }

    /// Hands the rows with these names to `f`, pool by pool: the rows, the order in which to take them, and their
    /// number. Without an order they are taken as they stand. With `shuffled`, the rows of a pool come from all over
    /// the file, in random order; the names of rows that all lie on the device must have been shuffled before.
    pub fn for_each_pool(
        &self,
        names: &[u32],
        shuffled: bool,
        random: &mut impl Rng,
        mut f: impl FnMut(&LabelledRows, Option<&Tensor>, i64) -> Result<(), TchError>,
    ) -> Result<(), TrainerError> {
        let pools = match self {
            Self::Whole(part) => {
                // With all rows in every step their order does not matter, and slices need no copy.
                let is_all = !shuffled && names.len() == part.len();
                let order =
                    (!is_all).then(|| order(names.iter().copied(), part.targets.device())).transpose()?;
                return Ok(f(part, order.as_ref(), names.len() as i64)?);
            }
            Self::Pools(pools) => pools,
        };
        let mut runs = pools.encoder.table().runs(names);
        if shuffled {
            runs.shuffle(random);
        }
        let mut runs = runs.into_iter().peekable();
        while runs.peek().is_some() {
            let mut rows = Vec::new();
            while let Some(run) = runs.next_if(|_| rows.len() < pools.pool_rows) {
                rows.extend_from_slice(&names[run]);
            }
            let part = LabelledRows::new(pools.encoder, &rows, pools.labels, pools.units, pools.device)?;
            let mut places: Vec<u32> = (0..rows.len() as u32).collect();
            places.shuffle(random);
            let order = shuffled.then(|| order(places.into_iter(), pools.device)).transpose()?;
            f(&part, order.as_ref(), rows.len() as i64)?;
        }
        Ok(())
    }

    /// The network's outputs, row after row.
    pub fn outputs(&self, net: &Net) -> Result<Vec<f64>, TrainerError> {
        match self {
            Self::Whole(part) => Ok(outputs(net, &part.rows)?),
            Self::Pools(pools) => stream_outputs(net, pools.encoder, pools.rows),
        }
    }
}

fn order(places: impl Iterator<Item = u32>, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(&places.map(i64::from).collect::<Vec<_>>())?.f_to(device)
}

/// The number of rows in a pool.
pub fn pool_rows(encoder: &Encoder) -> usize {
    (POOL_BYTES / encoder.row_bytes()).clamp(POOL_ROWS.0, POOL_ROWS.1)
}
