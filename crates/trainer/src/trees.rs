//! Gradient-boosted trees, grown by the crate hessboost (histograms, best leaf first) and handed over as a
//! [`Forest`], so that scoring needs nothing of that crate.
//!
//! Missing numbers and categories are native: a split says where missing numbers go, and which category codes go left.
//! The same rows, parameters and seed give the same forest with any number of threads.
//!
//! | file | holds |
//! | --- | --- |
//! | `matrix` | rows of the table as the matrix that trees are grown on |
//! | `convert` | grown trees as a forest with the same answers |
//! | `fit` | the algorithm: a forest from a training's parameters |

mod convert;
mod fit;
mod matrix;
#[cfg(test)]
mod tests;

use crate::error::TrainerError;
use crate::prepare::TreeInput;
use hessboost::config::{GrowPolicy, Monotone, TrainingParams, TreeMethod};
use hessboost::data::DMatrix;
use hessboost::error::HessboostError;
use hessboost::metric::EvalMetric;
use hessboost::model::BoostedModel;
use hessboost::objective::{Objective, Quantiles, RegLoss};
use hessboost::training::{RoundEval, Trainer};
use model::Forest;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::mpsc;

pub use fit::fit;

/// How trees are grown. The bounds are the caller's to check.
#[derive(Debug, Clone)]
pub struct TreeParams {
    /// Most trees of an output; fewer are kept if a validation part says so.
    pub trees: u32,
    /// The trees of each output instead, where they are known from a fit before.
    pub lengths: Option<Vec<u32>>,
    /// Most leaves of a tree, from 2.
    pub leaves: usize,
    pub learning_rate: f64,
    /// Fewest rows in a leaf, counted by the curvature that rows have before the first tree: for a binary target, a
    /// leaf of rows whose outcome is nearly sure needs more of them.
    pub min_leaf_rows: f64,
    /// L2 penalty on leaf values.
    pub l2: f64,
    /// Share of the rows drawn for each tree, above 0 and up to 1.
    pub row_sample: f64,
    /// Share of the columns drawn for each tree, above 0 and up to 1.
    pub column_sample: f64,
    /// Most histogram bins of a number.
    pub bins: usize,
    /// How the prediction may move with each column; empty where none is bound.
    pub directions: Vec<Monotone>,
    /// Trees without a better validation loss before growing stops; 0 grows all of them.
    pub patience: u32,
    /// Weight of a positive row of a binary target.
    pub class_weight: f64,
    pub seed: u64,
    /// At least 1.
    pub threads: usize,
}

impl TreeParams {
    /// Most trees of an output.
    pub fn most(&self, output: usize) -> u32 {
        self.lengths.as_ref().map_or(self.trees, |lengths| lengths[output])
    }
}

/// What an output of the forest estimates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The logit of a target of 0 and 1, by log loss.
    Binary,
    /// The mean of a number, by squared error.
    Mean,
    /// This quantile of a number, above 0 and below 1, by a smoothed pinball loss.
    Quantile(f64),
}

/// Rows of the table with what is to be learned from them.
#[derive(Debug, Clone, Copy)]
pub struct TreeRows<'a> {
    /// Positions in the table.
    pub rows: &'a [u32],
    /// The target of each of `rows`: finite, and 0 or 1 if the goal is binary.
    pub targets: &'a [f64],
    /// The weight of each of `rows`, above 0; `None` weighs all alike.
    pub weights: Option<&'a [f64]>,
}

/// The losses of an output's trees, reported after each tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// The position of the goal, from 0.
    pub output: usize,
    /// The number of trees that the output has so far, from 1.
    pub round: u32,
    /// Mean log loss, root mean squared error or mean pinball loss of up to [`WATCHED_ROWS`] training rows.
    pub train_loss: f64,
    /// The same loss of all validation rows; `None` without them.
    pub validation_loss: Option<f64>,
    /// Only of a binary goal.
    pub validation_auroc: Option<f64>,
}

/// The smoothed pinball loss falls slowly. With the learning rate multiplied by this, the trees of a quantile are as
/// good as LightGBM's (pinball loss 0.189 against 0.191, with 150 trees at a rate of 0.05).
const QUANTILE_PACE: f64 = 4.0;
/// A rate above this is not raised further.
const FASTEST_PACE: f64 = 0.2;

/// Training rows whose loss is reported, evenly spread: a measure of all of them would cost more than it tells.
pub const WATCHED_ROWS: usize = 65_536;

/// A forest, and for each goal how many trees it kept: those with the lowest validation loss, with or without
/// patience, or all of them without validation rows.
#[derive(Debug)]
pub struct Fitted {
    pub forest: Forest,
    pub best_rounds: Vec<u32>,
    /// The trees of each goal as hessboost has grown them.
    pub grown: Vec<Grown>,
}

/// The trees of one output.
#[derive(Debug)]
pub struct Grown {
    model: BoostedModel,
    best: u32,
    /// Their validation loss in the trees' own unit; `None` without validation rows.
    loss: Option<f64>,
    unit: Unit,
}

impl Grown {
    /// The loss of the validation rows that the trees have least of; comparable among trees of one goal and the same rows.
    pub fn loss(&self) -> Option<f64> {
        self.loss
    }

    /// What hessboost itself estimates of rows of the matrix.
    pub fn estimates(&self, matrix: &DMatrix) -> Result<Vec<f64>, TrainerError> {
        let margins = self.model.predict_margin(matrix, ..self.best as usize).map_err(failed)?;
        Ok(margins.as_ref().iter().map(|margin| self.unit.restore(*margin)).collect())
    }
}

/// Grows a forest with one output for each goal from at least one column; the columns' numbers come first, and no part
/// is empty. `on_round` is called after every tree, in order; it says whether the output shall have more trees, and can
/// end the training with an error. Errors: a target without spread where a number is to be estimated, a loss that is no
/// longer a number, and those of `on_round`.
pub fn grow_forest(
    columns: &[TreeInput],
    training: &TreeRows,
    validation: Option<&TreeRows>,
    goals: &[Goal],
    params: &TreeParams,
    on_round: &mut dyn FnMut(Round) -> Result<bool, TrainerError>,
) -> Result<Fitted, TrainerError> {
    let stride = training.rows.len().div_ceil(WATCHED_ROWS).max(1);
    let (rows, targets, weights) = (
        spread(training.rows, stride),
        spread(training.targets, stride),
        training.weights.map(|w| spread(w, stride)),
    );
    let watched = TreeRows { rows: &rows, targets: &targets, weights: weights.as_deref() };
    let mut matrices = Matrices {
        training: matrix::build(columns, training.rows)?,
        watched: matrix::build(columns, watched.rows)?,
        validation: validation.map(|part| matrix::build(columns, part.rows)).transpose()?,
    };
    let mut grown = Vec::new();
    for (output, goal) in goals.iter().enumerate() {
        let unit = Unit::of(*goal, training.targets)?;
        let label = |matrix, part: &TreeRows| label(matrix, part, *goal, unit, params);
        matrices = Matrices {
            training: label(matrices.training, training)?,
            watched: label(matrices.watched, &watched)?,
            validation: match (matrices.validation, validation) {
                (Some(matrix), Some(part)) => Some(label(matrix, part)?),
                _ => None,
            },
        };
        let settings = settings(*goal, &matrices.training, params)?;
        let mut report = |round: Round| {
            let loss_scale = unit.scale;
            on_round(Round {
                output,
                train_loss: round.train_loss * loss_scale,
                validation_loss: round.validation_loss.map(|loss| loss * loss_scale),
                ..round
            })
        };
        let (model, best, loss) =
            grow(&matrices, &settings, *goal, params.most(output), params.patience, &mut report)?;
        grown.push(Grown { model, best, loss, unit });
    }
    let bases = grown.iter().map(|Grown { model, unit, .. }| unit.restore(model.base_score()));
    let mut forest = Forest::new(bases.collect())?;
    for (output, Grown { model, best, unit, .. }) in grown.iter().enumerate() {
        convert::add_trees(&mut forest, output, model, *best, columns, unit.scale)?;
    }
    let best_rounds = grown.iter().map(|grown| grown.best).collect();
    Ok(Fitted { forest, best_rounds, grown })
}

fn spread<T: Copy>(values: &[T], stride: usize) -> Vec<T> {
    values.iter().step_by(stride).copied().collect()
}

struct Matrices {
    training: DMatrix,
    watched: DMatrix,
    validation: Option<DMatrix>,
}

/// Trees are grown in single precision: a number to be estimated is centered and scaled first.
#[derive(Debug, Clone, Copy)]
struct Unit {
    center: f64,
    scale: f64,
}

impl Unit {
    fn of(goal: Goal, targets: &[f64]) -> Result<Self, TrainerError> {
        if goal == Goal::Binary {
            return Ok(Self { center: 0.0, scale: 1.0 });
        }
        let mut fit = model::recipe::NumberFit::default();
        targets.iter().for_each(|target| fit.add(*target));
        let scaling = fit.finish();
        if scaling.is_constant() {
            return Err(TrainerError::data(
                "the target is the same in all training rows, or its spread overflows",
                "A model learns from rows whose targets differ.",
            ));
        }
        Ok(Self { center: scaling.mean, scale: scaling.scale })
    }

    fn apply(self, target: f64) -> f32 {
        ((target - self.center) / self.scale) as f32
    }

    fn restore(self, value: f32) -> f64 {
        self.center + self.scale * f64::from(value)
    }
}

fn label(
    matrix: DMatrix,
    part: &TreeRows,
    goal: Goal,
    unit: Unit,
    params: &TreeParams,
) -> Result<DMatrix, TrainerError> {
    let targets: Vec<f32> = part.targets.iter().map(|target| unit.apply(*target)).collect();
    let matrix = matrix.with_labels(&targets).map_err(failed)?;
    let weigh_classes = goal == Goal::Binary && params.class_weight != 1.0;
    if part.weights.is_none() && !weigh_classes {
        return Ok(matrix);
    }
    let weights = part.targets.iter().enumerate().map(|(row, target)| {
        let weight = part.weights.map_or(1.0, |weights| weights[row]);
        let class = if weigh_classes && *target == 1.0 { params.class_weight } else { 1.0 };
        (weight * class) as f32
    });
    matrix.with_weights(&weights.collect::<Vec<_>>()).map_err(failed)
}

/// The parameters as hessboost has them. The last metric is the one that stops the growing.
fn settings(goal: Goal, training: &DMatrix, params: &TreeParams) -> Result<TrainingParams, TrainerError> {
    let builder = TrainingParams::builder();
    let builder = match goal {
        Goal::Binary => builder
            .objective(Objective::BinaryLogistic(RegLoss::default()))
            .eval_metric(EvalMetric::Auc)
            .eval_metric(EvalMetric::LogLoss),
        Goal::Mean => {
            builder.objective(Objective::SquaredError(RegLoss::default())).eval_metric(EvalMetric::Rmse)
        }
        Goal::Quantile(level) => {
            let level = Quantiles::new([level]).map_err(failed)?;
            builder.objective(Objective::Quantile(level.clone())).eval_metric(EvalMetric::Quantile(level))
        }
    };
    builder
        .tree_method(TreeMethod::Hist)
        .grow_policy(GrowPolicy::LossGuide)
        .unlimited_depth()
        .max_leaves(params.leaves)
        .eta(match goal {
            Goal::Quantile(_) => {
                (QUANTILE_PACE * params.learning_rate).min(FASTEST_PACE).max(params.learning_rate)
            }
            _ => params.learning_rate,
        })
        .lambda(params.l2)
        .min_child_weight(params.min_leaf_rows * curvature(goal, training))
        .subsample(params.row_sample)
        .colsample_bytree(params.column_sample)
        .max_bin(params.bins)
        .monotone_constraints(params.directions.clone())
        .seed(params.seed)
        .nthread(params.threads)
        .build()
        .map_err(failed)
}

/// The mean second derivative of a training row's loss before the first tree.
fn curvature(goal: Goal, training: &DMatrix) -> f64 {
    let labels = training.labels().unwrap_or_default();
    let weight = |row: usize| training.weights().map_or(1.0, |weights| f64::from(weights[row]));
    let total: f64 = (0..labels.len()).map(weight).sum();
    let mean_weight = total / labels.len().max(1) as f64;
    match goal {
        Goal::Binary => {
            let positive: f64 =
                labels.iter().enumerate().map(|(row, label)| weight(row) * f64::from(*label)).sum();
            let share = positive / total;
            mean_weight * share * (1.0 - share)
        }
        Goal::Mean => mean_weight,
        // By the formula of the smoothed loss, for residuals that are about as large as their scale.
        Goal::Quantile(_) => 0.5 * mean_weight,
    }
}

/// Grows the trees of one output on a thread of their own, so that `on_round` stays on this one; its error, or a
/// validation loss that no longer falls, ends them.
fn grow(
    matrices: &Matrices,
    settings: &TrainingParams,
    goal: Goal,
    most: u32,
    patience: u32,
    on_round: &mut dyn FnMut(Round) -> Result<bool, TrainerError>,
) -> Result<(BoostedModel, u32, Option<f64>), TrainerError> {
    let (sender, rounds) = mpsc::channel();
    std::thread::scope(|scope| {
        let growing = scope.spawn(move || {
            let mut trainer = Trainer::new(settings, &matrices.training, most as usize)
                .eval(&matrices.watched, WATCHED)
                .on_round(move |eval| match sender.send(round_of(&eval, goal)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                });
            if let Some(validation) = &matrices.validation {
                trainer = trainer.eval(validation, VALIDATION);
                if let Some(patience) = NonZeroUsize::new(patience as usize) {
                    trainer = trainer.early_stopping_rounds(patience);
                }
            }
            trainer.train()
        });
        let mut best: Option<(f64, u32)> = None;
        let mut grown = 0;
        // Leaving the loop early drops the receiver, which the next round notices.
        for round in rounds {
            let measured = round.validation_loss.unwrap_or_default();
            if !round.train_loss.is_finite() || !measured.is_finite() {
                return Err(TrainerError::Diverged { epoch: round.round });
            }
            let goes_on = on_round(round)?;
            grown = round.round;
            if round.validation_loss.is_some() && best.is_none_or(|(least, _)| measured < least) {
                best = Some((measured, grown));
            }
            if !goes_on {
                break;
            }
        }
        let result =
            growing.join().map_err(|_| TrainerError::internal("a thread that grows trees panicked"))?;
        let (loss, at) = best.unzip();
        Ok((result.map_err(failed)?.model, at.unwrap_or(grown), loss))
    })
}

const WATCHED: &str = "training";
const VALIDATION: &str = "validation";

fn round_of(eval: &RoundEval, goal: Goal) -> Round {
    let loss = match goal {
        Goal::Binary => "logloss",
        Goal::Mean => "rmse",
        Goal::Quantile(_) => "quantile",
    };
    Round {
        output: 0,
        round: eval.iteration() as u32 + 1,
        train_loss: eval.score(WATCHED, loss).unwrap_or(f64::NAN),
        validation_loss: eval.score(VALIDATION, loss),
        validation_auroc: eval.score(VALIDATION, "auc").filter(|auroc| auroc.is_finite()),
    }
}

/// An error of hessboost. Parameters and data were checked before, so that the error is a defect of the trainer.
fn failed(error: HessboostError) -> TrainerError {
    TrainerError::internal(error.to_string())
}
