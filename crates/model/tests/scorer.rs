//! The fast forward pass against a plain one in double precision, and against the network's own.

mod common;

use common::{
    artifact, column, embedding_row, network, numeric_artifact, random_row, reference, Kind, Value,
};
use model::calibration::Platt;
use model::recipe::Scaling;
use model::{Artifact, Recipe, Row, Scorer};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOLERANCE: f64 = 1e-5;

fn set(scorer: &Scorer, row: &mut Row, values: &[Value]) {
    let (mut number, mut category) = (0, 0);
    for value in values {
        match value {
            Value::Number(value) => {
                scorer.set_number(row, number, *value);
                number += 1;
            }
            Value::Text(value) => {
                scorer.set_category(row, category, value.as_deref());
                category += 1;
            }
        }
    }
}

fn model(scalings: &[Scaling], hidden: &[usize]) -> Artifact {
    let kinds = scalings.iter().map(|s| Kind::Numbers(vec![s.clone()]));
    let recipe = Recipe { columns: kinds.enumerate().map(|(i, kind)| column(i, &kind)).collect() };
    let network = network(&recipe, hidden, 7);
    common::mlp(recipe, network, Platt { slope: 1.5, offset: -0.5 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_kernel_gives_the_probability_of_the_plain_forward_pass(artifact in artifact(), seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let mut row = scorer.row();
            for _ in 0..8 {
                let values = random_row(&artifact.recipe, &mut random);
                set(&scorer, &mut row, &values);
                let (fast, plain) = (scorer.score(&mut row), reference(&artifact, &values));
                prop_assert!((fast - plain).abs() <= TOLERANCE, "{kernel}: {fast} against {plain} for {values:?}");
            }
        }
    }

    #[test]
    fn every_kind_of_network_gives_what_the_definitions_say(artifact in common::any_networks(), seed: u64) {
        let mut artifact = artifact;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let mut row = scorer.row();
            for _ in 0..4 {
                let values = random_row(&artifact.recipe, &mut random);
                set(&scorer, &mut row, &values);
                let mut plain = common::reference_outputs(&artifact, &values);
                // Each cross layer multiplies by the inputs, and rounding with them.
                let crosses = common::networks(&mut artifact)[0].crosses.len() as i32;
                let reach = common::largest_input(&artifact.recipe, &values).max(1.0).powi(1 + crosses);
                let close = |fast: f64, plain: f64| (fast - plain).abs() <= TOLERANCE * reach * plain.abs().max(1.0);
                prop_assert!(close(scorer.score(&mut row), plain[0]), "{kernel}: {plain:?}");
                let quantiles = scorer.quantiles(&mut row);
                prop_assert_eq!(quantiles.is_some(), plain.len() > 1);
                plain[1..].sort_by(f64::total_cmp);
                for (fast, plain) in quantiles.iter().flatten().zip(&plain[1..]) {
                    prop_assert!(close(*fast, *plain), "{kernel}: {fast} against {plain}");
                }
                prop_assert_eq!(scorer.quantiles(&mut row), quantiles);
            }
        }
    }

    #[test]
    fn the_scorer_agrees_with_the_network_on_standardized_inputs(artifact in artifact(), seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scorer = Scorer::new(&artifact).unwrap();
        let mut row = scorer.row();
        let values = random_row(&artifact.recipe, &mut random);
        set(&scorer, &mut row, &values);
        let (mut dense, mut categories) = (vec![0.0; artifact.recipe.dense_width()], Vec::new());
        let (scalings, tables) = (artifact.recipe.scalings(), artifact.recipe.categories());
        let mut number = 0;
        for value in &values {
            match value {
                Value::Number(value) => {
                    let value = value.unwrap_or(f64::NAN);
                    dense[number] = scalings[number].standardize(value);
                    if let Some(indicator) = artifact.recipe.indicators()[number] {
                        dense[indicator] = if value.is_finite() { 0.0 } else { 1.0 };
                    }
                    if let Some((second, position)) = artifact.recipe.seconds()[number] {
                        dense[position] = second.standardize(value);
                    }
                    if let Some((bins, first)) = artifact.recipe.bins()[number] {
                        bins.encode(value, &mut dense[first..first + bins.count()]);
                    }
                    number += 1;
                }
                Value::Text(value) => {
                    categories.push(embedding_row(tables[categories.len()], value.as_deref()));
                }
            }
        }
        let mut artifact = artifact;
        let logit = common::networks(&mut artifact)[0].outputs(&dense, &categories)[0];
        let plain = artifact.output.of(f64::from(logit));
        prop_assert!((scorer.score(&mut row) - plain).abs() <= TOLERANCE);
    }

    #[test]
    fn an_array_scores_as_the_same_numbers_set_one_by_one(artifact in numeric_artifact(), seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let mut row = scorer.row();
            for round in 0..8 {
                let values: Vec<f32> = random_row(&artifact.recipe, &mut random)
                    .iter()
                    .zip(artifact.recipe.scalings())
                    .map(|(value, scaling)| match value {
                        Value::Number(Some(v)) if round % 2 == 0 || v.is_finite() => *v as f32,
                        _ if round % 2 == 0 => f32::NAN,
                        _ => scaling.mean as f32,
                    })
                    .collect();
                let exact: Vec<Value> = values.iter().map(|v| Value::Number(Some(f64::from(*v)))).collect();
                let array = scorer.score_numbers(&mut row, &values);
                set(&scorer, &mut row, &exact);
                let one_by_one = scorer.score(&mut row);
                let plain = reference(&artifact, &exact);
                let far = exact.iter().zip(artifact.recipe.scalings()).any(|(value, scaling)| {
                    matches!(value, Value::Number(Some(v)) if scaling.standardize(*v).abs() > 10.0)
                });
                // Where rounding to 32 bits alone moves a value many scales, only the two ways are compared.
                let near = if far { 1e-3 } else { TOLERANCE };
                prop_assert!((array - one_by_one).abs() <= near, "{kernel}: {array} against {one_by_one}");
                prop_assert!(far || (array - plain).abs() <= TOLERANCE, "{kernel}: {array} against {plain}");
            }
        }
    }

    #[test]
    fn a_reused_row_keeps_nothing_of_the_row_before(artifact in artifact(), seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scorer = Scorer::new(&artifact).unwrap();
        let mut reused = scorer.row();
        for _ in 0..8 {
            let values = random_row(&artifact.recipe, &mut random);
            let mut fresh = scorer.row();
            set(&scorer, &mut reused, &values);
            set(&scorer, &mut fresh, &values);
            prop_assert_eq!(scorer.score(&mut reused).to_bits(), scorer.score(&mut fresh).to_bits());
        }
    }

    #[test]
    fn any_value_at_all_gives_a_probability(artifact in artifact(), bits in prop::collection::vec(any::<u64>(), 64)) {
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let mut row = scorer.row();
            for number in 0..scorer.numbers() {
                scorer.set_number(&mut row, number, Some(f64::from_bits(bits[number % bits.len()])));
            }
            let score = scorer.score(&mut row);
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
        }
    }

    #[test]
    fn any_array_at_all_gives_a_probability(artifact in numeric_artifact(), seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let values: Vec<f32> = (0..scorer.numbers()).map(|_| f32::from_bits(random.random())).collect();
            let score = scorer.score_numbers(&mut scorer.row(), &values);
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
        }
    }
}

#[test]
fn a_new_row_is_all_missing() {
    let artifact = model(&[Scaling { mean: 9.0, scale: 2.0, indicator: true, ..Scaling::default() }], &[8]);
    let scorer = Scorer::new(&artifact).unwrap();
    let missing = [Value::Number(None)];
    assert!((scorer.score(&mut scorer.row()) - reference(&artifact, &missing)).abs() < TOLERANCE);
}

#[test]
fn timestamps_keep_their_seconds() {
    // Seconds since 2000 in a week: as 32-bit floats they would be 64 seconds apart.
    let artifact =
        model(&[Scaling { mean: 7.8e8, scale: 100.0, indicator: false, ..Scaling::default() }], &[16]);
    let scorer = Scorer::new(&artifact).unwrap();
    let mut row = scorer.row();
    for second in 0..50 {
        let value = 7.8e8 + f64::from(second);
        scorer.set_number(&mut row, 0, Some(value));
        let plain = reference(&artifact, &[Value::Number(Some(value))]);
        assert!((scorer.score(&mut row) - plain).abs() < TOLERANCE);
    }
}

#[test]
fn a_constant_column_contributes_nothing_whatever_its_value() {
    let constant = Scaling { mean: 3.0, scale: 0.0, indicator: false, ..Scaling::default() };
    let varying = Scaling { mean: 1.0, scale: 2.0, indicator: false, ..Scaling::default() };
    let scorer = Scorer::new(&model(&[constant, varying], &[20])).unwrap();
    let mut row = scorer.row();
    let expected = scorer.score_numbers(&mut row, &[3.0, 1.5]);
    for value in [0.0, -1e38, f32::MAX, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let score = scorer.score_numbers(&mut row, &[value, 1.5]);
        assert!((score - expected).abs() < 1e-6, "{value}: {score}, not {expected}");
    }
    scorer.set_number(&mut row, 0, Some(1e300));
    assert!((scorer.score(&mut row) - expected).abs() < 1e-6);
}

#[test]
fn a_huge_value_scores_as_the_largest_standardized_one() {
    let scaling = Scaling { mean: 1.0, scale: 2.0, indicator: false, ..Scaling::default() };
    let mut artifact = model(&[scaling], &[]);
    // So flat that the probability tells one large logit from another.
    artifact.output = model::Output::Platt(Platt { slope: 1e-5, offset: 0.0 });
    let scorer = Scorer::new(&artifact).unwrap();
    let mut row = scorer.row();
    scorer.set_number(&mut row, 0, Some(1e300));
    let huge = scorer.score(&mut row);
    scorer.set_number(&mut row, 0, Some(1.0 + 2e4));
    assert_eq!(huge, scorer.score(&mut row));
    assert_eq!(scorer.score_numbers(&mut row, &[1e30]), scorer.score(&mut row));
}

#[test]
fn wide_and_deep_networks_score_as_the_plain_forward_pass() {
    let scalings = vec![Scaling { mean: 0.5, scale: 1.0, indicator: true, ..Scaling::default() }; 40];
    for hidden in [vec![4096], vec![129, 1, 257], vec![16; 8], vec![1000, 300]] {
        let artifact = model(&scalings, &hidden);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let values = random_row(&artifact.recipe, &mut random);
            let mut row = scorer.row();
            set(&scorer, &mut row, &values);
            let difference = scorer.score(&mut row) - reference(&artifact, &values);
            assert!(difference.abs() < TOLERANCE, "{kernel} {hidden:?}: {difference}");
        }
    }
}

#[test]
fn weights_that_overflow_once_scaled_are_refused() {
    let mut artifact =
        model(&[Scaling { mean: 0.0, scale: 1e-10, indicator: false, ..Scaling::default() }], &[4]);
    common::networks(&mut artifact)[0].layers[0].weight.fill(1e30);
    assert!(Scorer::new(&artifact).is_err());
    artifact = model(&[Scaling { mean: 0.0, scale: 1.0, indicator: false, ..Scaling::default() }], &[4]);
    artifact.output = model::Output::Platt(Platt { slope: 1e300, offset: 0.0 });
    assert!(Scorer::new(&artifact).is_err());
}

#[test]
fn scorers_are_shared_between_threads_and_say_what_they_hold() {
    fn shared<T: Send + Sync>(_: &T) {}
    let scorer = Scorer::new(&model(
        &vec![Scaling { mean: 0.0, scale: 1.0, indicator: false, ..Scaling::default() }; 30],
        &[128],
    ))
    .unwrap();
    shared(&scorer);
    assert!(scorer.is_numeric_only());
    assert_eq!((scorer.numbers(), scorer.recipe().columns.len()), (30, 30));
    assert!((16_000..34_000).contains(&scorer.memory()), "{}", scorer.memory());
}
