//! Rows scored in batches have the scores that they have one by one, to the last bit.

mod common;

use common::forests::random_forest;
use common::{column, network, networks, random_row, Kind, Value};
use model::calibration::Platt;
use model::predictor::{Blend, Weights};
use model::rates::Rates;
use model::recipe::{Column, Family, Input, Scaling};
use model::{Algorithm, Artifact, Output, Predictor, Recipe, Row, Scorer};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A version of every kind that reads columns.
fn artifacts() -> impl Strategy<Value = Artifact> {
    (common::any_networks(), 0..4_usize, any::<u64>()).prop_map(|(mut artifact, kind, seed)| {
        let forest = random_forest(&artifact.recipe, artifact.task(), seed);
        match kind {
            0 => {
                artifact.algorithm = Algorithm::BoostedTrees;
                artifact.predictor = Predictor::Forest(forest);
            }
            1 => {
                let weights = Weights { networks: 0.7, forest: 0.4, offset: -0.2 };
                let networks = networks(&mut artifact).clone();
                artifact.algorithm = Algorithm::Blend;
                artifact.predictor = Predictor::Blend(Blend { networks, forest, weights });
            }
            _ => {}
        }
        artifact
    })
}

fn set(scorer: &Scorer, row: &mut Row, values: &[Value]) {
    let (mut number, mut category) = (0.., 0..);
    for value in values {
        match value {
            Value::Number(value) => scorer.set_number(row, number.next().unwrap(), *value),
            Value::Text(value) => scorer.set_category(row, category.next().unwrap(), value.as_deref()),
        }
    }
}

/// The bits of what `count` rows score, in batches and one by one; `fill` sets the row of a number.
fn both_ways(scorer: &Scorer, count: usize, fill: impl Fn(usize, &mut Row)) -> [Vec<u64>; 2] {
    let (mut row, mut batch) = (scorer.row(), scorer.batch());
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for n in 0..count {
        fill(n, &mut row);
        scorer.put(&mut row, &mut batch);
        if batch.is_full() {
            together.extend_from_slice(scorer.score_batch(&mut batch));
        }
        alone.push(scorer.score(&mut row));
    }
    together.extend_from_slice(scorer.score_batch(&mut batch));
    [together, alone].map(|scores| scores.into_iter().map(f64::to_bits).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn batches_score_as_single_rows_do(artifact in artifacts(), count in 0..200_usize, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<_> = (0..count).map(|_| random_row(&artifact.recipe, &mut random)).collect();
        for kernel in Scorer::kernels() {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            let [together, alone] = both_ways(&scorer, count, |n, row| set(&scorer, row, &rows[n]));
            prop_assert_eq!(together, alone, "{}", kernel);
        }
    }
}

#[test]
fn the_popularity_of_keys_too() {
    let key = Column {
        name: "product_id".into(),
        sql_type: "bigint".into(),
        family: Family::Number,
        input: Input::Key,
    };
    let rates = Rates::new((0..80).map(|key| (key, key as f64 / 10.0 - 3.0)).collect(), 0.25);
    let artifact = Artifact {
        algorithm: Algorithm::Popularity,
        recipe: Recipe { columns: vec![key] },
        predictor: Predictor::Rates(rates),
        output: Output::Platt(Platt { slope: 2.0, offset: 0.0 }),
    };
    let scorer = Scorer::new(&artifact).unwrap();
    let [together, alone] = both_ways(&scorer, 100, |n, row| scorer.set_key(row, Some(n as u64)));
    assert_eq!(together.len(), 100);
    assert_eq!(together, alone);
}

#[test]
#[should_panic(expected = "the batch is full")]
fn a_full_batch_takes_no_more() {
    let recipe = Recipe { columns: vec![column(0, &Kind::Numbers(vec![Scaling::default()]))] };
    let network = network(&recipe, &[3], 1);
    let artifact = common::mlp(recipe, network, Platt::IDENTITY);
    let scorer = Scorer::new(&artifact).unwrap();
    let (mut row, mut batch) = (scorer.row(), scorer.batch());
    while !batch.is_full() {
        scorer.put(&mut row, &mut batch);
    }
    scorer.put(&mut row, &mut batch);
}
