//! What every algorithm gets, and what it gives.

use crate::defaults::Defaults;
use crate::error::TrainerError;
use crate::mix::Mix;
use crate::prepare::Encoder;
use crate::rows::data::Table;
use crate::rows::split::Split;
use model::{Algorithm, Params, Predictor, Recipe, Task};
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
    /// What is taken of the parameters that are null.
    pub defaults: Defaults,
    pub device: Device,
    pub threads: usize,
    /// When the training has to stop with the best model so far.
    pub deadline: Option<Instant>,
    /// The units of a quantity, from the training rows of the measured fit, so that the refit puts out the same.
    pub units: Units,
    /// How long what was measured was trained, if this job fits it again on all rows.
    pub refit: Option<&'a [Part]>,
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

    /// What an algorithm did before, if this is a refit.
    pub fn before(&self, algorithm: Algorithm) -> Option<&'a Part> {
        self.refit?.iter().find(|part| part.algorithm == algorithm)
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

/// What one algorithm has done, as far as it takes to do the same on other rows.
#[derive(Debug, Clone)]
pub struct Part {
    pub algorithm: Algorithm,
    /// For each network the epochs whose weights were kept, or for each output of a forest its trees.
    pub lengths: Vec<u32>,
    /// Of a forest the most leaves of a tree.
    pub leaves: Option<usize>,
}

/// What an algorithm has learned.
pub struct Fit<'a> {
    pub recipe: Recipe,
    pub predictor: Predictor,
    /// Slope and offset of the line from the predictor's outputs to the label's units; (1, 0) for a binary task.
    pub units: (f64, f64),
    /// What it is made of: a blend has several parts, of which the forest is the last.
    pub parts: Vec<Part>,
    /// How many numbers were fitted.
    pub parameters: usize,
    /// How the parts of a blend add up.
    pub mix: Option<Mix>,
    /// The predictor as its maker computes it, to be compared with what will be served.
    pub reference: Rc<dyn Reference + 'a>,
}

impl Fit<'_> {
    /// The epoch (from 1) whose weights were kept, on average where there are several networks, or the trees of the first
    /// output.
    pub fn best_epoch(&self) -> u32 {
        match self.parts.first() {
            Some(Part { algorithm: Algorithm::BoostedTrees, lengths, .. }) => lengths[0],
            Some(Part { lengths, .. }) if !lengths.is_empty() => {
                lengths.iter().sum::<u32>() / lengths.len() as u32
            }
            _ => 1,
        }
    }
}

pub trait Reference {
    /// The outputs of each row, row after row.
    fn outputs(&self, rows: &[u32]) -> Result<Vec<f64>, TrainerError>;
}
