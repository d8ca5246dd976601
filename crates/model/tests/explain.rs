//! Contributions add up to the difference of two scores, and are what their definitions say.

mod common;

use common::whole::{artifacts, random_network, random_values, recipe, scaling};
use common::{column, network_of, network_outputs, networks, Kind, Shape};
use model::calibration::Platt;
use model::explain::{integrated_gradients, Explainer, Explanation, Values};
use model::output::Shifts;
use model::rates::Rates;
use model::recipe::{Column, Family, Input, Scaling, Slot};
use model::{Algorithm, Artifact, Network, Output, Predictor, Recipe, Scorer};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn explain(artifact: &Artifact, values: &Values) -> Explanation {
    let scorer = Scorer::new(artifact).unwrap();
    Explainer::new(artifact.clone()).unwrap().explain(&scorer, values, &mut || ())
}

/// The network's inputs: all random, so that no coordinate is special.
fn random_inputs(network: &Network, recipe: &Recipe, random: &mut ChaCha8Rng) -> [Vec<f64>; 2] {
    assert_eq!(network.embeddings.len(), recipe.categories().len());
    [(); 2].map(|()| (0..recipe.width()).map(|_| random.random_range(-2.0..2.0)).collect())
}

/// The definition, by midpoints and finite differences, and how far off that may be: where the network has a kink, a step is
/// counted to one side of it, so that all are off by no more than a few steps of the steepest part.
fn plain_gradients(network: &Network, from: &[f64], to: &[f64]) -> (Vec<f64>, f64) {
    const STEPS: usize = 500;
    const NEAR: f64 = 1e-6;
    let of = |input: &[f64]| network_outputs(network, input.to_vec())[0];
    let mut sums = vec![0.0; from.len()];
    let mut steepest = 0.0_f64;
    for n in 0..STEPS {
        let place = (n as f64 + 0.5) / STEPS as f64;
        let mut at: Vec<f64> = from.iter().zip(to).map(|(from, to)| from + place * (to - from)).collect();
        let mut slope = 0.0;
        for (i, sum) in sums.iter_mut().enumerate() {
            let here = at[i];
            at[i] = here + NEAR;
            let above = of(&at);
            at[i] = here - NEAR;
            let gradient = (above - of(&at)) / (2.0 * NEAR) * (to[i] - from[i]);
            at[i] = here;
            *sum += gradient / STEPS as f64;
            slope += gradient.abs();
        }
        steepest = steepest.max(slope);
    }
    (sums, 3.0 * steepest / STEPS as f64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn contributions_add_up_to_the_difference_of_the_scores(artifact in artifacts(), seed: u64) {
        let values = random_values(&artifact.recipe, &mut ChaCha8Rng::seed_from_u64(seed));
        let Explanation { score, baseline_score, columns, remainder } = explain(&artifact, &values);
        let sum: f64 = columns.iter().map(|c| c.score).sum();
        prop_assert!((sum - (score - baseline_score)).abs() < 1e-12, "{sum} for {score} - {baseline_score}");
        let margins: f64 = columns.iter().map(|c| c.margin.abs()).sum();
        // What 32-bit scoring rounds; before it is shared out.
        prop_assert!(remainder.abs() <= 1e-5 * margins.max(1.0), "{remainder} of {margins}");
        if let Predictor::Forest(_) = artifact.predictor {
            prop_assert!(remainder.abs() <= 1e-12 * margins.max(1.0), "{remainder}");
        }
    }

    #[test]
    fn the_scores_are_those_of_predict(artifact in artifacts(), seed: u64) {
        let values = random_values(&artifact.recipe, &mut ChaCha8Rng::seed_from_u64(seed));
        let explanation = explain(&artifact, &values);
        let scorer = Scorer::new(&artifact).unwrap();
        let score = |values: &Values| scorer.score(&mut values.row(&scorer));
        prop_assert_eq!(explanation.score, score(&values));
        let typical = Values::typical(&artifact.recipe);
        prop_assert_eq!(explanation.baseline_score, score(&typical));
        let nothing = explain(&artifact, &typical);
        prop_assert!(nothing.columns.iter().all(|c| c.score == 0.0 && c.margin == 0.0), "{:?}", nothing);
    }

    #[test]
    fn a_column_that_is_as_in_the_baseline_contributes_nothing(artifact in artifacts(), seed: u64) {
        let mut values = random_values(&artifact.recipe, &mut ChaCha8Rng::seed_from_u64(seed));
        let typical = Values::typical(&artifact.recipe);
        values.numbers[1] = typical.numbers[1];
        values.codes[0] = typical.codes[0];
        let columns = explain(&artifact, &values).columns;
        prop_assert_eq!((columns[1].margin, columns[3].margin), (0.0, 0.0));
    }

    #[test]
    fn a_column_that_alone_is_not_as_in_the_baseline_contributes_all(artifact in artifacts(), seed: u64) {
        let random = random_values(&artifact.recipe, &mut ChaCha8Rng::seed_from_u64(seed));
        for (column, slot) in artifact.recipe.slots().into_iter().enumerate() {
            let mut values = Values::typical(&artifact.recipe);
            match slot {
                Slot::Numbers { first, count } => {
                    values.numbers[first..first + count].copy_from_slice(&random.numbers[first..first + count]);
                }
                Slot::Category { index } => values.codes[index] = random.codes[index],
                Slot::Key => unreachable!("there is no key"),
            }
            let Explanation { score, baseline_score, columns, .. } = explain(&artifact, &values);
            prop_assert!((columns[column].score - (score - baseline_score)).abs() < 1e-12, "{column}: {columns:?}");
            prop_assert!(columns.iter().enumerate().all(|(n, c)| n == column || c.margin == 0.0), "{columns:?}");
        }
    }

    #[test]
    fn integrated_gradients_are_complete(
        crosses in 0..9_usize, hidden in prop::collection::vec(1..40_usize, 0..4), seed: u64,
    ) {
        let recipe = recipe();
        let network = random_network(&recipe, crosses, &hidden, seed);
        let [from, to] = random_inputs(&network, &recipe, &mut ChaCha8Rng::seed_from_u64(seed));
        let gradients = integrated_gradients(&network, &from, &to, &mut || ());
        let [before, after] = [from, to].map(|input| network_outputs(&network, input)[0]);
        let size = gradients.iter().map(|g| g.abs()).sum::<f64>().max(1.0);
        let missing = gradients.iter().sum::<f64>() - (after - before);
        prop_assert!(missing.abs() < 1e-7 * size, "{missing} of {size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn integrated_gradients_are_what_the_definition_says(
        crosses in 0..4_usize, hidden in prop::collection::vec(1..8_usize, 0..3), seed: u64,
    ) {
        let recipe = recipe();
        let network = random_network(&recipe, crosses, &hidden, seed);
        let [from, to] = random_inputs(&network, &recipe, &mut ChaCha8Rng::seed_from_u64(seed));
        let fast = integrated_gradients(&network, &from, &to, &mut || ());
        let (plain, bound) = plain_gradients(&network, &from, &to);
        for (fast, plain) in fast.iter().zip(&plain) {
            prop_assert!((fast - plain).abs() <= bound, "{fast} is not {plain}");
        }
    }
}

/// A network of one member whose weights for column 0's inputs (its number and its indicator) are 0.
fn without_column_0(crosses: usize) -> Artifact {
    let recipe = recipe();
    let indicator = recipe.indicators()[0].unwrap();
    let mut network = random_network(&recipe, crosses, &[12], 3);
    for input in [0, indicator] {
        network.layers[0].weight.column_mut(input).fill(0.0);
        for cross in &mut network.crosses {
            cross.down.column_mut(input).fill(0.0);
            cross.up.row_mut(input).fill(0.0);
            cross.bias[input] = 0.0;
        }
        if crosses > 0 {
            network.layers[1].weight[[0, input]] = 0.0;
        }
    }
    let output = Output::Platt(Platt::IDENTITY);
    Artifact { algorithm: Algorithm::Mlp, recipe, predictor: Predictor::Networks(vec![network]), output }
}

#[test]
fn a_column_that_the_model_does_not_use_contributes_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for artifact in [without_column_0(0), without_column_0(2)] {
        let values = random_values(&artifact.recipe, &mut random);
        let columns = explain(&artifact, &values).columns;
        assert_eq!(columns[0].score, 0.0);
        assert!(columns[1].score != 0.0, "{columns:?}");
    }
}

#[test]
fn two_columns_that_do_the_same_contribute_the_same() {
    let kinds = [Kind::Numbers(vec![scaling(1.0, 2.0)]), Kind::Numbers(vec![scaling(1.0, 2.0)])];
    let recipe = Recipe { columns: kinds.iter().enumerate().map(|(i, kind)| column(i, kind)).collect() };
    let mut network = random_network(&recipe, 0, &[16, 8], 9);
    let first = &mut network.layers[0].weight;
    for (one, other) in [(0, 1), (2, 3)] {
        let weights = first.column(one).to_owned();
        first.column_mut(other).assign(&weights);
    }
    let output = Output::Platt(Platt::IDENTITY);
    let predictor = Predictor::Networks(vec![network]);
    let artifact = Artifact { algorithm: Algorithm::Mlp, recipe, predictor, output };
    let columns = explain(&artifact, &Values { numbers: vec![4.5, 4.5], codes: vec![], key: None }).columns;
    assert!((columns[0].score - columns[1].score).abs() < 1e-15 && columns[0].score != 0.0, "{columns:?}");
}

#[test]
fn a_quantity_is_explained_in_its_own_units_and_not_below_its_least() {
    let recipe = recipe();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let shape = Shape { crosses: 1, rank: 2, hidden: &[10], outputs: 4 };
    let predictor = Predictor::Networks(vec![network_of(&recipe, &shape, 4)]);
    for least in [None, Some(2.9), Some(1e6)] {
        let output = Output::Quantity { mean: 3.0, scale: 2.5, least, shifts: Shifts::default() };
        let artifact = Artifact {
            algorithm: Algorithm::Mlp,
            recipe: recipe.clone(),
            predictor: predictor.clone(),
            output,
        };
        for _ in 0..20 {
            let values = random_values(&artifact.recipe, &mut random);
            let Explanation { score, baseline_score, columns, .. } = explain(&artifact, &values);
            let sum: f64 = columns.iter().map(|c| c.score).sum();
            assert!((sum - (score - baseline_score)).abs() < 1e-12, "{sum} for {score} - {baseline_score}");
            if least.is_none() {
                assert!(columns.iter().all(|c| (c.score - c.margin).abs() < 1e-9), "{columns:?}");
            }
        }
    }
}

#[test]
fn popularity_is_the_key_alone() {
    let key = Column {
        name: "product_id".into(),
        sql_type: "bigint".into(),
        family: Family::Number,
        input: Input::Key,
    };
    let rates = Rates::new(vec![(7, 1.5), (9, -0.5)], 0.25);
    let artifact = Artifact {
        algorithm: Algorithm::Popularity,
        recipe: Recipe { columns: vec![key] },
        predictor: Predictor::Rates(rates),
        output: Output::Platt(Platt { slope: 2.0, offset: 0.0 }),
    };
    let of = |key| explain(&artifact, &Values { numbers: vec![], codes: vec![], key });
    assert_eq!(of(Some(7)).columns[0].margin, 2.5);
    assert_eq!(of(Some(8)).columns[0].score, 0.0);
    let Explanation { score, baseline_score, columns, .. } = of(Some(9));
    assert!((columns[0].score - (score - baseline_score)).abs() < 1e-15 && score < baseline_score);
}

#[test]
fn the_typical_row_standardizes_to_zero() {
    let scalings: Vec<Scaling> = recipe().scalings().into_iter().cloned().collect();
    let typical = Values::typical(&recipe());
    assert!(scalings.iter().zip(&typical.numbers).all(|(s, value)| s.standardize(*value) == 0.0));
    assert_eq!(typical.codes, [2, 2]);
}

#[test]
fn what_can_give_up_is_asked_often() {
    let mut artifact = without_column_0(2);
    networks(&mut artifact)[0] = random_network(&recipe(), 2, &[64, 64], 1);
    let values = random_values(&artifact.recipe, &mut ChaCha8Rng::seed_from_u64(1));
    let mut asked = 0;
    let scorer = Scorer::new(&artifact).unwrap();
    Explainer::new(artifact).unwrap().explain(&scorer, &values, &mut || asked += 1);
    assert!(asked > 20, "{asked}");
}
