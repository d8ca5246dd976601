//! What a network is trained by.

use model::{Params, Task};
use std::time::Instant;

/// How a network is trained, besides its parameters.
pub struct TrainingPlan<'a> {
    pub task: Task,
    pub params: &'a Params,
    /// How many epochs at most; the learning rate moves as if they were all that `params` says.
    pub epochs: u32,
    pub learning_rate: f64,
    /// Rows in a step; 0 takes all.
    pub batch_size: usize,
    pub dropout: f64,
    /// Epochs without a better one before it ends; 0 never ends it.
    pub patience: u32,
    pub seed: u64,
    pub threads: usize,
    pub deadline: Option<Instant>,
    /// The rows of the training part whose label is true, if negative ones are left out.
    pub positives: Option<&'a [bool]>,
    /// The L1 penalty of the last layer's weights.
    pub l1: f64,
}
