//! Whatever the weights and whatever the row: a version that is accepted gives a number, or says that it has none.

mod common;

use common::{any_networks, networks, random_row, whole, Value};
use model::calibration::Platt;
use model::output::Shifts;
use model::rates::Rates;
use model::recipe::{Column, Family, Input, Scaling};
use model::{Algorithm, Artifact, Output, Predictor, Recipe, Row, Scorer, Task};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values as far from what training saw as a column can hold, beside ordinary ones.
fn set(scorer: &Scorer, row: &mut Row, values: &[Value], random: &mut ChaCha8Rng) {
    const FAR: [f64; 6] = [f64::MAX, f64::MIN, 1e300, -1e30, f64::MIN_POSITIVE, 3.4e38];
    let (mut number, mut category) = (0.., 0..);
    for value in values {
        match value {
            Value::Number(_) if random.random_bool(0.5) => {
                let far = FAR[random.random_range(0..FAR.len())];
                scorer.set_number(row, number.next().unwrap(), Some(far));
            }
            Value::Number(value) => scorer.set_number(row, number.next().unwrap(), *value),
            Value::Text(value) => scorer.set_category(row, category.next().unwrap(), value.as_deref()),
        }
    }
}

fn fits(score: f64, task: Task) -> bool {
    match task {
        Task::Binary => (0.0..=1.0).contains(&score),
        Task::Regression => score.is_finite(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn networks_that_are_accepted_score_every_row(artifact in any_networks(), sizes in prop::array::uniform4(0..39_i32), seed: u64) {
        let mut artifact = artifact;
        let crossed = networks(&mut artifact).iter().any(|network| !network.crosses.is_empty());
        for network in networks(&mut artifact) {
            let factors = sizes.map(|size| 10_f32.powi(size));
            network.embeddings.iter_mut().for_each(|table| *table *= factors[3]);
            network.layers.iter_mut().zip(factors.iter().cycle()).for_each(|(layer, factor)| {
                layer.weight *= *factor;
                layer.bias *= *factor;
            });
            network.crosses.iter_mut().for_each(|cross| cross.up *= factors[0]);
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for kernel in Scorer::kernels() {
            let Ok(scorer) = Scorer::with_kernel(&artifact, kernel) else { continue };
            let mut row = scorer.row();
            let mut batch = scorer.batch();
            for _ in 0..8 {
                set(&scorer, &mut row, &random_row(&artifact.recipe, &mut random), &mut random);
                scorer.put(&mut row, &mut batch);
                let score = scorer.score(&mut row);
                let together = scorer.score_batch(&mut batch)[0];
                prop_assert_eq!(score.to_bits(), together.to_bits());
                prop_assert!(fits(score, artifact.task()) || (crossed && score.is_nan()), "{}: {}", kernel, score);
                for quantile in scorer.quantiles(&mut row).iter().flatten() {
                    prop_assert!(quantile.is_finite() || (crossed && quantile.is_nan()), "{}: {}", kernel, quantile);
                }
            }
        }
    }

    #[test]
    fn versions_of_every_kind_score_every_row(artifact in whole::artifacts(), seed: u64) {
        let scorer = Scorer::new(&artifact).unwrap();
        let (mut row, mut random) = (scorer.row(), ChaCha8Rng::seed_from_u64(seed));
        for _ in 0..8 {
            set(&scorer, &mut row, &random_row(&artifact.recipe, &mut random), &mut random);
            prop_assert!(fits(scorer.score(&mut row), Task::Binary));
        }
    }
}

#[test]
fn sums_that_cancel_only_on_paper_are_refused() {
    // Two halves of a hidden sum that are infinite each: their difference is no number, of which a ReLU made 0.
    let one = Scaling { mean: 0.0, scale: 1.0, ..Scaling::default() };
    let kinds = [0, 1].map(|n| common::column(n, &common::Kind::Numbers(vec![one.clone()])));
    let recipe = Recipe { columns: kinds.into() };
    let mut network = common::network(&recipe, &[1], 1);
    network.layers[0].weight[(0, 0)] = 3e38;
    network.layers[0].weight[(0, 1)] = -3e38;
    let artifact = common::mlp(recipe, network, Platt::IDENTITY);
    assert!(artifact.check().is_ok());
    let refused = Scorer::new(&artifact).map(drop).unwrap_err();
    assert!(refused.to_string().contains("overflow"), "{refused}");
}

#[test]
fn rates_and_units_that_overflow_are_refused() {
    let column =
        Column { name: "p".into(), sql_type: "bigint".into(), family: Family::Number, input: Input::Key };
    let with = |rate: f64, output: Output| Artifact {
        algorithm: Algorithm::Popularity,
        recipe: Recipe { columns: vec![column.clone()] },
        predictor: Predictor::Rates(Rates::new(vec![(1, rate)], 0.0)),
        output,
    };
    let units = |scale| Output::Quantity { mean: 0.0, scale, least: Some(0.0), shifts: Shifts::default() };
    assert!(Scorer::new(&with(1e200, units(1.0))).is_ok());
    assert!(Scorer::new(&with(1e200, units(1e200))).is_err());
    assert!(Scorer::new(&with(1e200, Output::Platt(Platt { slope: 1e200, offset: 0.0 }))).is_err());
}

#[test]
fn a_scale_near_the_largest_number_bounds_what_goes_in() {
    let wide = Scaling { mean: -1.7e308, scale: 1e305, ..Scaling::default() };
    let recipe = Recipe { columns: vec![common::column(0, &common::Kind::Numbers(vec![wide]))] };
    let network = common::network(&recipe, &[4], 3);
    let scorer = Scorer::new(&common::mlp(recipe, network, Platt::IDENTITY)).unwrap();
    let mut row = scorer.row();
    scorer.set_number(&mut row, 0, Some(1.7e308));
    assert!(fits(scorer.score(&mut row), Task::Binary));
}
