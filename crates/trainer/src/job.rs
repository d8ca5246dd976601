//! What every algorithm gets, and what it gives.

use crate::error::TrainerError;
use crate::prepare::Encoder;
use crate::rows::data::Table;
use crate::rows::split::Split;
use model::{Params, Predictor, Recipe, Task};
use std::rc::Rc;
use std::time::Instant;
use tch::Device;

/// One training: its rows and its parameters.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub table: &'a Table,
    /// All labelled rows by time.
    pub ordered: &'a [u32],
    pub split: &'a Split,
    pub encoder: &'a Encoder<'a>,
    pub task: Task,
    pub params: &'a Params,
    pub device: Device,
    pub threads: usize,
    /// When the training has to stop with the best model so far.
    pub deadline: Option<Instant>,
}

impl<'a> Job<'a> {
    /// The validation rows, by which training is stopped and probabilities are calibrated; none of them if all have the
    /// same outcome.
    pub fn stopping_rows(&self) -> &'a [u32] {
        let rows = &self.split.validation;
        match self.task == Task::Regression || self.table.labels.has_both(rows) {
            true => rows,
            false => &[],
        }
    }
}

/// The line from a label to what the network is to put out: `(label - mean) / scale`.
#[derive(Debug, Clone, Copy)]
pub struct Units {
    pub mean: f64,
    pub scale: f64,
}

impl Units {
    /// A probability needs no units.
    pub const NONE: Units = Units { mean: 0.0, scale: 1.0 };

    /// The units in which the labels have a mean of 0 and a standard deviation of 1.
    pub fn standard(labels: &[f64]) -> Self {
        let rows = labels.len().max(1) as f64;
        let mean = labels.iter().sum::<f64>() / rows;
        let scale = (labels.iter().map(|label| (label - mean).powi(2)).sum::<f64>() / rows).sqrt();
        Self { mean, scale: if scale > 0.0 && scale.is_finite() { scale } else { 1.0 } }
    }

    pub fn of(&self, label: f64) -> f64 {
        (label - self.mean) / self.scale
    }
}

/// What an algorithm has learned.
pub struct Fit<'a> {
    pub recipe: Recipe,
    pub predictor: Predictor,
    /// Slope and offset of the line from the predictor's outputs to the label's units; (1, 0) for a binary task.
    pub units: (f64, f64),
    /// The epoch (from 1) whose weights were kept, or the number of trees.
    pub best_epoch: u32,
    /// How many numbers were fitted.
    pub parameters: usize,
    /// The predictor as its maker computes it, to be compared with what will be served.
    pub reference: Rc<dyn Reference + 'a>,
}

pub trait Reference {
    /// The outputs of each row, row after row.
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError>;
}
