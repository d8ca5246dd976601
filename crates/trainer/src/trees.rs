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

mod convert;
mod matrix;

use crate::error::TrainerError;
use hessboost::config::{GrowPolicy, TrainingParams, TreeMethod};
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

pub use matrix::Column;

/// How trees are grown. The bounds are the caller's to check.
#[derive(Debug, Clone)]
pub struct TreeParams {
    /// Most trees of an output; fewer are kept if a validation part says so.
    pub trees: u32,
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
    /// Trees without a better validation loss before growing stops; 0 grows all of them.
    pub patience: u32,
    /// Weight of a positive row of a binary target.
    pub class_weight: f64,
    pub seed: u64,
    /// At least 1.
    pub threads: usize,
}

impl Default for TreeParams {
    fn default() -> Self {
        Self {
            trees: 300,
            leaves: 63,
            learning_rate: 0.05,
            min_leaf_rows: 20.0,
            l2: 1.0,
            row_sample: 1.0,
            column_sample: 1.0,
            bins: 255,
            patience: 20,
            class_weight: 1.0,
            seed: 42,
            threads: 1,
        }
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
pub struct Part<'a> {
    /// Positions in the table.
    pub rows: &'a [u32],
    /// The target of each of `rows`: finite, and 0 or 1 if the goal is binary.
    pub targets: &'a [f64],
    /// The weight of each of `rows`, above 0; `None` weighs all alike.
    pub weights: Option<&'a [f64]>,
}

/// How well a round's trees do: after every tree of every output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Which goal, from 0.
    pub output: usize,
    /// How many trees the output has, from 1.
    pub round: u32,
    /// Mean log loss, root mean squared error or mean pinball loss of up to [`WATCHED_ROWS`] training rows.
    pub train_loss: f64,
    /// The same of all validation rows, `None` without them.
    pub validation_loss: Option<f64>,
    /// Only of a binary goal.
    pub validation_auroc: Option<f64>,
}

/// Training rows whose loss is reported, evenly spread: a measure of all of them would cost more than it tells.
pub const WATCHED_ROWS: usize = 65_536;

/// A forest, and for each goal how many trees it kept: those with the lowest validation loss, with or without
/// patience, or all of them without validation rows.
#[derive(Debug)]
pub struct Fitted {
    pub forest: Forest,
    pub best_rounds: Vec<u32>,
}

/// Grows a forest with one output for each goal. `on_round` hears of every tree, in order, and can end the training
/// with an error.
pub fn fit(
    columns: &[Column],
    training: &Part,
    validation: Option<&Part>,
    goals: &[Goal],
    params: &TreeParams,
    on_round: &mut dyn FnMut(Round) -> Result<(), TrainerError>,
) -> Result<Fitted, TrainerError> {
    let stride = training.rows.len().div_ceil(WATCHED_ROWS).max(1);
    let (rows, targets, weights) = (
        spread(training.rows, stride),
        spread(training.targets, stride),
        training.weights.map(|w| spread(w, stride)),
    );
    let watched = Part { rows: &rows, targets: &targets, weights: weights.as_deref() };
    let mut matrices = Matrices {
        training: matrix::build(columns, training.rows)?,
        watched: matrix::build(columns, watched.rows)?,
        validation: validation.map(|part| matrix::build(columns, part.rows)).transpose()?,
    };
    let mut grown = Vec::new();
    for (output, goal) in goals.iter().enumerate() {
        let unit = Unit::of(*goal, training.targets)?;
        let label = |matrix, part: &Part| label(matrix, part, *goal, unit, params);
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
        let (model, best) = grow(&matrices, &settings, *goal, params, &mut report)?;
        grown.push((model, best, unit));
    }
    let bases = grown.iter().map(|(model, _, unit)| unit.restore(model.base_score()));
    let mut forest = Forest::new(bases.collect())?;
    for (output, (model, best, unit)) in grown.iter().enumerate() {
        convert::add_trees(&mut forest, output, model, *best, columns, unit.scale)?;
    }
    Ok(Fitted { forest, best_rounds: grown.iter().map(|(_, best, _)| *best).collect() })
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
    part: &Part,
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
        .eta(params.learning_rate)
        .lambda(params.l2)
        .min_child_weight(params.min_leaf_rows * curvature(goal, training))
        .subsample(params.row_sample)
        .colsample_bytree(params.column_sample)
        .max_bin(params.bins)
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
        // Of residuals about as large as their scale, by the formula of the smoothed loss.
        Goal::Quantile(_) => 0.5 * mean_weight,
    }
}

/// Grows the trees of one output on a thread of their own, so that `on_round` stays on this one; its error, or a
/// validation loss that no longer falls, ends them.
fn grow(
    matrices: &Matrices,
    settings: &TrainingParams,
    goal: Goal,
    params: &TreeParams,
    on_round: &mut dyn FnMut(Round) -> Result<(), TrainerError>,
) -> Result<(BoostedModel, u32), TrainerError> {
    let (sender, rounds) = mpsc::channel();
    std::thread::scope(|scope| {
        let growing = scope.spawn(move || {
            let mut trainer = Trainer::new(settings, &matrices.training, params.trees as usize)
                .eval(&matrices.watched, WATCHED)
                .on_round(move |eval| match sender.send(round_of(&eval, goal)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                });
            if let Some(validation) = &matrices.validation {
                trainer = trainer.eval(validation, VALIDATION);
                if let Some(patience) = NonZeroUsize::new(params.patience as usize) {
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
            on_round(round)?;
            grown = round.round;
            if round.validation_loss.is_some() && best.is_none_or(|(least, _)| measured < least) {
                best = Some((measured, grown));
            }
        }
        let result =
            growing.join().map_err(|_| TrainerError::internal("a thread that grows trees panicked"))?;
        Ok((result.map_err(failed)?.model, best.map_or(grown, |(_, at)| at)))
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

/// Parameters and data are checked before: what hessboost refuses then is a defect.
fn failed(error: HessboostError) -> TrainerError {
    TrainerError::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Floats, NULL_CODE};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Codes of the second category: more than a split can tell apart.
    pub const LARGE_VOCABULARY: usize = 1500;

    /// A table of three numbers (two of them an array column) and two categories, with what depends on them.
    pub struct Sample {
        pair: Floats,
        alone: Floats,
        few: Vec<u32>,
        many: Vec<u32>,
        few_codes: Vec<i32>,
        many_codes: Vec<i32>,
        pub rows: Vec<u32>,
        pub labels: Vec<f64>,
        pub amounts: Vec<f64>,
    }

    impl Sample {
        pub fn new(rows: usize, seed: u64) -> Self {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut number = || match random.random_bool(0.1) {
                true => f64::NAN,
                false => random.random_range(-1.0..1.0_f64),
            };
            let pair: Vec<f32> = (0..2 * rows).map(|_| number() as f32).collect();
            let alone: Vec<f64> = (0..rows).map(|_| number()).collect();
            let few: Vec<u32> = (0..rows).map(|_| random.random_range(0..11)).collect();
            let few = few.into_iter().map(|code| if code == 10 { NULL_CODE } else { code }).collect();
            let many = (0..rows).map(|_| random.random_range(0..LARGE_VOCABULARY as u32 - 2)).collect();
            let mut sample = Self {
                pair: Floats::Single(pair),
                alone: Floats::Double(alone),
                few,
                many,
                few_codes: (2..12).collect(),
                many_codes: (2..LARGE_VOCABULARY as i32).collect(),
                rows: (0..rows as u32).collect(),
                labels: Vec::new(),
                amounts: Vec::new(),
            };
            for row in 0..rows {
                let ([a, b, c], [few, many]) = sample.row(row);
                let sum = 2.0 * a.max(0.0) * b.max(-1.0) + if c.is_nan() { 1.5 } else { c };
                let logit = sum + f64::from(few % 3) - 1.0 + if many % 2 == 0 { 0.5 } else { -0.5 };
                let chance = 1.0 / (1.0 + (-2.0 * logit).exp());
                sample.labels.push(f64::from(u8::from(random.random_bool(chance))));
                sample.amounts.push(logit + random.random_range(-1.0..1.0));
            }
            sample
        }

        pub fn columns(&self) -> Vec<Column<'_>> {
            let category = |codes, recipe_codes| Column::Category { codes, recipe_codes, null: 1 };
            vec![
                Column::Number { floats: &self.pair, width: 2, position: 0 },
                Column::Number { floats: &self.pair, width: 2, position: 1 },
                Column::Number { floats: &self.alone, width: 1, position: 0 },
                category(&self.few, &self.few_codes),
                category(&self.many, &self.many_codes),
            ]
        }

        /// The numbers and recipe codes of a row.
        pub fn row(&self, row: usize) -> ([f64; 3], [u32; 2]) {
            let few = if self.few[row] == NULL_CODE { 1 } else { self.few[row] + 2 };
            let numbers = [self.pair.get(2 * row), self.pair.get(2 * row + 1), self.alone.get(row)];
            (numbers, [few, self.many[row] + 2])
        }

        pub fn part<'a>(&'a self, targets: &'a [f64]) -> Part<'a> {
            Part { rows: &self.rows, targets, weights: None }
        }

        fn margins(&self, forest: &Forest, output: usize) -> Vec<f64> {
            let margin = |row: &u32| {
                let (numbers, codes) = self.row(*row as usize);
                forest.margin(output, &numbers, &codes)
            };
            self.rows.iter().map(margin).collect()
        }
    }

    /// The first 3000 rows of a sample to train on, the others to validate.
    fn halves<'a>(sample: &'a Sample, targets: &'a [f64]) -> (Part<'a>, Part<'a>) {
        let part = |rows: std::ops::Range<usize>| Part {
            rows: &sample.rows[rows.clone()],
            targets: &targets[rows],
            weights: None,
        };
        (part(0..3000), part(3000..sample.rows.len()))
    }

    fn quick() -> TreeParams {
        TreeParams { trees: 30, leaves: 15, learning_rate: 0.2, ..TreeParams::default() }
    }

    fn silent() -> impl FnMut(Round) -> Result<(), TrainerError> {
        |_| Ok(())
    }

    fn fit_binary(sample: &Sample, params: &TreeParams) -> Forest {
        let part = sample.part(&sample.labels);
        fit(&sample.columns(), &part, None, &[Goal::Binary], params, &mut silent()).unwrap().forest
    }

    #[test]
    fn trees_rank_rows_they_never_saw() {
        let forest = fit_binary(&Sample::new(4000, 1), &quick());
        let other = Sample::new(2000, 2);
        let positive: Vec<bool> = other.labels.iter().map(|label| *label == 1.0).collect();
        let auroc = model::metrics::auroc(&other.margins(&forest, 0), &positive).unwrap();
        assert!(auroc > 0.85, "{auroc}");
    }

    #[test]
    fn the_seed_alone_decides_whatever_the_threads() {
        let sample = Sample::new(3000, 3);
        let with = |seed, threads| {
            let params =
                TreeParams { row_sample: 0.7, column_sample: 0.8, trees: 5, seed, threads, ..quick() };
            fit_binary(&sample, &params)
        };
        assert_eq!(with(1, 1), with(1, 2));
        assert_ne!(with(1, 1), with(2, 1));
    }

    #[test]
    fn growing_stops_with_the_validation_loss_and_keeps_its_best_round() {
        let sample = Sample::new(4000, 4);
        let (training, validation) = halves(&sample, &sample.labels);
        for patience in [5, 0] {
            let params = TreeParams { trees: 60, learning_rate: 0.5, patience, ..quick() };
            let mut rounds = Vec::new();
            let mut keep = |round| {
                rounds.push(round);
                Ok(())
            };
            let fitted =
                fit(&sample.columns(), &training, Some(&validation), &[Goal::Binary], &params, &mut keep);
            let Fitted { forest, best_rounds } = fitted.unwrap();
            let losses: Vec<f64> = rounds.iter().map(|round| round.validation_loss.unwrap()).collect();
            let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
            assert_eq!(losses[best_rounds[0] as usize - 1], least);
            assert_eq!(forest.tree_count(), best_rounds[0] as usize);
            let grown = if patience == 0 { 60 } else { best_rounds[0] as usize + 5 };
            assert_eq!(rounds.len(), grown);
            assert!(rounds.windows(2).all(|pair| pair[1].train_loss < pair[0].train_loss));

            let margins = sample.margins(&forest, 0)[3000..].to_vec();
            let chances: Vec<f64> = margins.iter().map(|margin| 1.0 / (1.0 + (-margin).exp())).collect();
            let positive: Vec<bool> = validation.targets.iter().map(|label| *label == 1.0).collect();
            let loss = model::metrics::log_loss(&chances, &positive).unwrap();
            assert!((loss - least).abs() < 1e-5, "{loss} {least}");
            let auroc = model::metrics::auroc(&margins, &positive).unwrap();
            let told = rounds[best_rounds[0] as usize - 1].validation_auroc.unwrap();
            assert!((auroc - told).abs() < 1e-5, "{auroc} {told}");
        }
    }

    #[test]
    fn an_error_of_the_listener_ends_the_training() {
        let sample = Sample::new(1000, 5);
        let mut heard = 0;
        let mut hang_up = |round: Round| {
            heard = round.round;
            if round.round == 3 {
                Err(TrainerError::HungUp)
            } else {
                Ok(())
            }
        };
        let params = TreeParams { trees: 100_000, ..quick() };
        let part = sample.part(&sample.labels);
        let result = fit(&sample.columns(), &part, None, &[Goal::Binary], &params, &mut hang_up);
        assert!(matches!(result, Err(TrainerError::HungUp)));
        assert_eq!(heard, 3);
    }

    #[test]
    fn a_number_has_a_mean_and_quantiles_whatever_its_unit() {
        let (sample, other) = (Sample::new(6000, 6), Sample::new(3000, 7));
        let goals = [Goal::Mean, Goal::Quantile(0.1), Goal::Quantile(0.5), Goal::Quantile(0.9)];
        let moved: Vec<f64> = sample.amounts.iter().map(|amount| 1e9 + 1e6 * amount).collect();
        let params = TreeParams { trees: 60, ..quick() };
        let grow = |targets: &[f64]| {
            let part = sample.part(targets);
            fit(&sample.columns(), &part, None, &goals, &params, &mut silent()).unwrap().forest
        };
        let (forest, far) = (grow(&sample.amounts), grow(&moved));

        let squared = |estimates: &[f64]| -> f64 {
            let errors = estimates.iter().zip(&other.amounts).map(|(e, a)| (e - a).powi(2));
            errors.sum::<f64>() / other.amounts.len() as f64
        };
        let mean = other.amounts.iter().sum::<f64>() / other.amounts.len() as f64;
        let explained = squared(&other.margins(&forest, 0)) / squared(&vec![mean; other.amounts.len()]);
        assert!(explained < 0.5, "{explained}");
        for (output, level) in [(1, 0.1), (2, 0.5), (3, 0.9)] {
            let estimates = other.margins(&forest, output);
            let below = estimates.iter().zip(&other.amounts).filter(|(e, a)| a < e).count();
            let share = below as f64 / estimates.len() as f64;
            assert!((share - level).abs() < 0.06, "{share} of {level}");
        }
        for output in 0..goals.len() {
            let (near, far) = (other.margins(&forest, output), other.margins(&far, output));
            let off = near.iter().zip(&far).map(|(n, f)| ((f - 1e9) / 1e6 - n).abs());
            assert!(off.fold(0.0, f64::max) < 0.01);
        }
    }

    #[test]
    fn a_target_without_spread_is_refused() {
        let sample = Sample::new(100, 8);
        let targets = vec![3.0; 100];
        let part = sample.part(&targets);
        let result = fit(&sample.columns(), &part, None, &[Goal::Mean], &quick(), &mut silent());
        assert!(matches!(result, Err(TrainerError::Data { .. })));
    }

    #[test]
    fn weights_count_rows() {
        let sample = Sample::new(2000, 9);
        let params = TreeParams { trees: 1, ..quick() };
        let base = |class_weight, weights: Option<&[f64]>| {
            let part = Part { weights, ..sample.part(&sample.labels) };
            let params = TreeParams { class_weight, ..params.clone() };
            let fitted = fit(&sample.columns(), &part, None, &[Goal::Binary], &params, &mut silent());
            let estimates = sample.margins(&fitted.unwrap().forest, 0);
            estimates.iter().sum::<f64>() / estimates.len() as f64
        };
        let weights: Vec<f64> =
            sample.labels.iter().map(|label| if *label == 1.0 { 3.0 } else { 1.0 }).collect();
        assert_eq!(base(3.0, None), base(1.0, Some(&weights)));
        assert!(base(3.0, None) > base(1.0, None) + 0.5);
    }
}
