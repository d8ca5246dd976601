use super::*;
use crate::rows::values::{Floats, NULL_CODE};
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

    pub fn columns(&self) -> Vec<TreeInput<'_>> {
        let category = |codes, recipe_codes: &[i32]| TreeInput::Category {
            codes,
            recipe_codes: recipe_codes.to_vec(),
            null: 1,
        };
        vec![
            TreeInput::Number { floats: &self.pair, width: 2, position: 0 },
            TreeInput::Number { floats: &self.pair, width: 2, position: 1 },
            TreeInput::Number { floats: &self.alone, width: 1, position: 0 },
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

    pub fn part<'a>(&'a self, targets: &'a [f64]) -> TreeRows<'a> {
        TreeRows { rows: &self.rows, targets, weights: None }
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
fn halves<'a>(sample: &'a Sample, targets: &'a [f64]) -> (TreeRows<'a>, TreeRows<'a>) {
    let part = |rows: std::ops::Range<usize>| TreeRows {
        rows: &sample.rows[rows.clone()],
        targets: &targets[rows],
        weights: None,
    };
    (part(0..3000), part(3000..sample.rows.len()))
}

fn quick() -> TreeParams {
    TreeParams { trees: 30, leaves: 15, learning_rate: 0.2, ..defaults() }
}

pub fn defaults() -> TreeParams {
    TreeParams {
        trees: 300,
        lengths: None,
        leaves: 63,
        learning_rate: 0.05,
        min_leaf_rows: 20.0,
        l2: 1.0,
        row_sample: 1.0,
        column_sample: 1.0,
        bins: 255,
        directions: Vec::new(),
        patience: 20,
        class_weight: 1.0,
        seed: 42,
        threads: 1,
    }
}

fn silent() -> impl FnMut(Round) -> Result<bool, TrainerError> {
    |_| Ok(true)
}

fn fit_binary(sample: &Sample, params: &TreeParams) -> Forest {
    let part = sample.part(&sample.labels);
    grow_forest(&sample.columns(), &part, None, &[Goal::Binary], params, &mut silent()).unwrap().forest
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
        let params = TreeParams { row_sample: 0.7, column_sample: 0.8, trees: 5, seed, threads, ..quick() };
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
            Ok(true)
        };
        let fitted =
            grow_forest(&sample.columns(), &training, Some(&validation), &[Goal::Binary], &params, &mut keep);
        let Fitted { forest, best_rounds, .. } = fitted.unwrap();
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
            Ok(true)
        }
    };
    let params = TreeParams { trees: 100_000, ..quick() };
    let part = sample.part(&sample.labels);
    let result = grow_forest(&sample.columns(), &part, None, &[Goal::Binary], &params, &mut hang_up);
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
        grow_forest(&sample.columns(), &part, None, &goals, &params, &mut silent()).unwrap().forest
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
    let result = grow_forest(&sample.columns(), &part, None, &[Goal::Mean], &quick(), &mut silent());
    assert!(matches!(result, Err(TrainerError::Data { .. })));
}

#[test]
fn weights_count_rows() {
    let sample = Sample::new(2000, 9);
    let params = TreeParams { trees: 1, ..quick() };
    let base = |class_weight, weights: Option<&[f64]>| {
        let part = TreeRows { weights, ..sample.part(&sample.labels) };
        let params = TreeParams { class_weight, ..params.clone() };
        let fitted = grow_forest(&sample.columns(), &part, None, &[Goal::Binary], &params, &mut silent());
        let estimates = sample.margins(&fitted.unwrap().forest, 0);
        estimates.iter().sum::<f64>() / estimates.len() as f64
    };
    let weights: Vec<f64> = sample.labels.iter().map(|label| if *label == 1.0 { 3.0 } else { 1.0 }).collect();
    assert_eq!(base(3.0, None), base(1.0, Some(&weights)));
    assert!(base(3.0, None) > base(1.0, None) + 0.5);
}

#[test]
fn a_listener_that_has_heard_enough_gets_the_trees_so_far() {
    let sample = Sample::new(1000, 6);
    let part = sample.part(&sample.labels);
    let mut enough = |round: Round| Ok(round.round < 4);
    let params = TreeParams { trees: 100_000, ..quick() };
    let fitted = grow_forest(&sample.columns(), &part, None, &[Goal::Binary], &params, &mut enough).unwrap();
    assert_eq!((fitted.best_rounds[0], fitted.forest.tree_count()), (4, 4));
}
