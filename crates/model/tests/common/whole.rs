//! Versions of every kind.

use super::forests::random_forest;
use super::{column, network_of, Kind, Shape};
use model::calibration::Platt;
use model::explain::Values;
use model::isotonic::Isotonic;
use model::number_bins::NumberBins;
use model::predictor::{Blend, Weights};
use model::recipe::Scaling;
use model::transform::Transform;
use model::{Algorithm, Artifact, Network, Output, Predictor, Recipe, Task};
use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub fn scaling(mean: f64, scale: f64) -> Scaling {
    Scaling { mean, scale, indicator: true, ..Scaling::default() }
}

/// Three numbers, the last of them read in two ways, an array of two, two categories. Some of the numbers have bins.
pub fn recipe() -> Recipe {
    let bins = |edges: &[f64]| NumberBins::fit(edges, edges.len() - 1);
    let transform = Transform::SignedLog { unit: 2.0 };
    let second = Some(Box::new(Scaling { transform, mean: 1.8, scale: 0.7, ..Scaling::default() }));
    let read_twice = Scaling { second, bins: bins(&[1.0, 9.0, 10.0, 12.0]), ..scaling(10.0, 5.0) };
    let in_bins = Scaling { bins: bins(&[-1.0, 0.5, 3.0]), ..scaling(0.0, 1.0) };
    let kinds = [
        Kind::Numbers(vec![scaling(1.0, 2.0)]),
        Kind::Numbers(vec![scaling(-3.0, 0.5)]),
        Kind::Numbers(vec![in_bins, scaling(4.0, 3.0)]),
        Kind::Category { values: 3, dimension: 2 },
        Kind::Numbers(vec![read_twice]),
        Kind::Category { values: 100, dimension: 3 },
    ];
    Recipe { columns: kinds.iter().enumerate().map(|(i, kind)| column(i, kind)).collect() }
}

pub fn random_values(recipe: &Recipe, random: &mut ChaCha8Rng) -> Values {
    let mut values = Values::missing(recipe);
    for (value, scaling) in values.numbers.iter_mut().zip(recipe.scalings()) {
        if random.random_bool(0.9) {
            *value = scaling.mean + scaling.scale * random.random_range(-3.0..3.0);
        }
    }
    for (code, category) in values.codes.iter_mut().zip(recipe.categories()) {
        *code = random.random_range(0..category.rows() as u32);
    }
    values
}

pub fn random_network(recipe: &Recipe, crosses: usize, hidden: &[usize], seed: u64) -> Network {
    network_of(recipe, &Shape { crosses, rank: 2, hidden, outputs: 1 }, seed)
}

pub fn outputs() -> impl Strategy<Value = Output> {
    let platt =
        (0.2..3.0_f64, -2.0..2.0_f64).prop_map(|(slope, offset)| Output::Platt(Platt { slope, offset }));
    let points = vec![(-2.0, 0.02), (-0.5, 0.2), (0.4, 0.4), (3.0, 0.95)];
    prop_oneof![platt, Just(Output::Isotonic(Isotonic { points }))]
}

/// A version of every kind that reads columns.
pub fn artifacts() -> impl Strategy<Value = Artifact> {
    (outputs(), 0..3_usize, prop::collection::vec(1..20_usize, 0..3), 0..3_usize, any::<u64>()).prop_map(
        |(output, crosses, hidden, kind, seed)| {
            let recipe = recipe();
            let mut networks: Vec<_> =
                (0..2).map(|m| random_network(&recipe, crosses, &hidden, seed ^ m)).collect();
            let forest = random_forest(&recipe, Task::Binary, seed);
            let (algorithm, predictor) = match kind {
                0 => (Algorithm::DeepCross, Predictor::Networks(networks)),
                1 => (Algorithm::BoostedTrees, Predictor::Forest(forest)),
                _ => {
                    // Of another depth.
                    networks.push(random_network(&recipe, 0, &[3, 2, 1], seed ^ 2));
                    let weights = Weights { networks: 0.7, forest: 0.4, offset: -0.2 };
                    (Algorithm::Blend, Predictor::Blend(Blend { networks, forest, weights }))
                }
            };
            Artifact { algorithm, recipe, predictor, output }
        },
    )
}
