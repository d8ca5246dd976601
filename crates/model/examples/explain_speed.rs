//! Milliseconds to explain a row, on one core: of networks of several sizes, and of 300 trees with 63 leaves each.
use model::calibration::Platt;
use model::explain::{Explainer, Values};
use model::forest::{Forest, Step};
use model::network::{Cross, Dense};
use model::recipe::{Column, Family, Input, Scaling};
use model::{Algorithm, Artifact, ModelError, Network, Output, Predictor, Recipe, Scorer};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

const NUMBERS: usize = 30;
const TREES: usize = 300;
const LEAVES: usize = 63;
const ROWS: usize = 50;

fn main() -> Result<(), ModelError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for hidden in [&[128][..], &[256, 128], &[1024, 1024]] {
        let network = network(hidden, 0, &mut random);
        report(&format!("hidden {hidden:?}"), Predictor::Networks(vec![network]), &mut random)?;
    }
    let crosses = network(&[128], 2, &mut random);
    report("2 crosses, hidden [128]", Predictor::Networks(vec![crosses]), &mut random)?;
    let mut forest = Forest::new(vec![0.0])?;
    for _ in 0..TREES {
        forest.add_tree(0, &tree(&mut random))?;
    }
    report(&format!("{TREES} trees of {LEAVES} leaves"), Predictor::Forest(forest), &mut random)
}

/// Prints how long the average row takes.
fn report(what: &str, predictor: Predictor, random: &mut ChaCha8Rng) -> Result<(), ModelError> {
    let scaling = Scaling { mean: 0.0, scale: 1.0, ..Scaling::default() };
    let column = |n: usize| Column {
        name: format!("c{n}"),
        sql_type: "real".into(),
        family: Family::Number,
        input: Input::Numbers(vec![scaling.clone()]),
    };
    let recipe = Recipe { columns: (0..NUMBERS).map(column).collect() };
    let artifact =
        Artifact { algorithm: Algorithm::Mlp, recipe, predictor, output: Output::Platt(Platt::IDENTITY) };
    let scorer = Scorer::new(&artifact)?;
    let explainer = Explainer::new(artifact)?;
    let start = Instant::now();
    for _ in 0..ROWS {
        let numbers = (0..NUMBERS).map(|_| random.random_range(-2.0..2.0)).collect();
        explainer.explain(&scorer, &Values { numbers, codes: Vec::new(), key: None }, &mut || ());
    }
    println!("{what}: {:.3} ms a row", start.elapsed().as_secs_f64() * 1e3 / ROWS as f64);
    Ok(())
}

fn network(hidden: &[usize], crosses: usize, random: &mut ChaCha8Rng) -> Network {
    let mut dense = |outputs: usize, inputs: usize| {
        let reach = (3.0 / inputs as f32).sqrt();
        let weight = Array2::from_shape_fn((outputs, inputs), |_| random.random_range(-reach..reach));
        Dense { weight, bias: Array1::from_shape_fn(outputs, |_| random.random_range(-0.5..0.5)) }
    };
    let cross = |up: Dense, down: Dense| Cross { down: down.weight, up: up.weight, bias: up.bias };
    let crosses: Vec<Cross> = (0..crosses).map(|_| cross(dense(NUMBERS, 16), dense(16, NUMBERS))).collect();
    let (mut layers, mut inputs) = (Vec::new(), NUMBERS);
    for outputs in hidden {
        layers.push(dense(*outputs, inputs));
        inputs = *outputs;
    }
    layers.push(dense(1, if crosses.is_empty() { inputs } else { NUMBERS + inputs }));
    Network { embeddings: Vec::new(), crosses, layers, activations: Vec::new() }
}

/// Splits a leaf at random until there are enough: some paths are long, as those of trees grown best leaf first.
fn tree(random: &mut ChaCha8Rng) -> Vec<Step> {
    let mut steps = vec![Step::Leaf { value: 0.0 }];
    let mut open = vec![0];
    while open.len() < LEAVES {
        let (at, left) = (open.swap_remove(random.random_range(0..open.len())), steps.len());
        let (input, threshold) = (random.random_range(0..NUMBERS), random.random_range(-1.6..1.6));
        steps[at] = Step::Number { input, threshold, missing_left: random.random(), left };
        for child in [left, left + 1] {
            steps.push(Step::Leaf { value: random.random_range(-0.1..0.1) });
            open.push(child);
        }
    }
    steps
}
