//! Random model versions and a plain double-precision forward pass to compare with.
#![allow(dead_code)]

pub mod forests;
pub mod whole;

use model::calibration::Platt;
use model::network::{Cross, Dense};
use model::number_bins::NumberBins;
use model::output::Shifts;
use model::recipe::{
    Category, Column, Family, Input, Scaling, Slot, FIRST_VALUE, MAX_STANDARDIZED, NULL, UNSEEN,
};
use model::transform::Transform;
use model::{Algorithm, Artifact, Network, Output, Predictor, Recipe, Task};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a column of a random recipe is.
#[derive(Debug, Clone)]
pub enum Kind {
    Numbers(Vec<Scaling>),
    Category { values: usize, dimension: usize },
}

/// A raw value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(Option<f64>),
    Text(Option<String>),
}

pub fn scaling() -> impl Strategy<Value = Scaling> {
    let scale = prop_oneof![
        6 => 0.01..100.0_f64,
        1 => Just(0.0),
        1 => Just(1e-300),
        1 => Just(1e30),
        1 => Just(4e-309),
    ];
    // The mean in units of the scale: small against it, large against it (timestamps), or neither.
    let ratio = prop_oneof![4 => -4.0..4.0_f64, 2 => -100.0..100.0_f64, 1 => Just(3e7), 1 => Just(0.0)];
    let transform = prop_oneof![
        4 => Just(Transform::Identity),
        1 => (0.1..10.0_f64).prop_map(|unit| Transform::SignedLog { unit }),
        1 => Just(Transform::Quantile { points: vec![[-3.0, -1.0], [0.0, 0.0], [0.5, 0.25], [9.0, 2.0]].into() }),
    ];
    let second = prop_oneof![
        3 => Just(None),
        1 => (0.1..10.0_f64, -2.0..2.0_f64).prop_map(|(scale, mean)| {
            let transform = Transform::SignedLog { unit: 0.5 };
            Some(Box::new(Scaling { transform, mean, scale, ..Scaling::default() }))
        }),
    ];
    let bins = prop_oneof![2 => Just(0), 1 => 2..6_usize, 1 => 2..65_usize];
    (scale, ratio, any::<bool>(), transform, second, bins).prop_map(
        |(scale, ratio, indicator, transform, second, bins)| {
            let mut scaling = match transform {
                Transform::Identity => {
                    let mean = ratio * f64::max(scale, 1e-300);
                    Scaling { mean, scale, indicator, transform, second, ..Scaling::default() }
                }
                // What comes out of a transform is never far from 0.
                _ => Scaling { mean: 0.25, scale: 0.8, indicator, transform, second, ..Scaling::default() },
            };
            scaling.bins = NumberBins::fit(&around(&scaling), bins);
            scaling
        },
    )
}

/// Values on both sides of a mean, ascending.
fn around(scaling: &Scaling) -> Vec<f64> {
    (-30..=30).map(|step| scaling.mean + scaling.scale * f64::from(step) / 10.0).collect()
}

fn kind() -> impl Strategy<Value = Kind> {
    let category =
        (0..30_usize, 1..20_usize).prop_map(|(values, dimension)| Kind::Category { values, dimension });
    prop_oneof![3 => numbers(), 1 => category]
}

fn numbers() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => scaling().prop_map(|s| Kind::Numbers(vec![s])),
        1 => prop::collection::vec(scaling(), 1..12).prop_map(Kind::Numbers),
    ]
}

/// Any model version of a few columns and up to three hidden layers.
pub fn artifact() -> impl Strategy<Value = Artifact> {
    build(prop::collection::vec(kind(), 1..14))
}

/// Any version of networks: of either task, with cross layers or without, averaged or alone.
pub fn any_networks() -> impl Strategy<Value = Artifact> {
    let shape = (0..3_usize, 1..5_usize, 1..4_usize, any::<bool>());
    (artifact(), shape, any::<u64>()).prop_map(
        |(mut artifact, (crosses, rank, members, regression), seed)| {
            if regression {
                let shifts = Shifts([-0.5, 0.0, 0.25]);
                artifact.output = Output::Quantity { mean: 3.0, scale: 2.5, least: Some(0.0), shifts };
            }
            let hidden: Vec<usize> = networks(&mut artifact)[0].layers.iter().map(|l| l.bias.len()).collect();
            let hidden = &hidden[..hidden.len() - 1];
            let shape = Shape { crosses, rank, hidden, outputs: artifact.task().outputs() };
            let recipe = artifact.recipe.clone();
            *networks(&mut artifact) =
                (0..members as u64).map(|m| network_of(&recipe, &shape, seed.wrapping_add(m))).collect();
            artifact
        },
    )
}

/// Any model version that is nothing but numbers.
pub fn numeric_artifact() -> impl Strategy<Value = Artifact> {
    build(prop::collection::vec(numbers(), 1..14))
}

fn build(kinds: impl Strategy<Value = Vec<Kind>>) -> impl Strategy<Value = Artifact> {
    let hidden = prop::collection::vec(prop_oneof![4 => 1..40_usize, 1 => 100..300_usize], 0..4);
    (kinds, hidden, 0.2..3.0_f64, -2.0..2.0_f64, any::<u64>()).prop_map(
        |(kinds, hidden, slope, offset, seed)| {
            let recipe =
                Recipe { columns: kinds.iter().enumerate().map(|(i, kind)| column(i, kind)).collect() };
            let network = network(&recipe, &hidden, seed);
            mlp(recipe, network, Platt { slope, offset })
        },
    )
}

/// A version of one network.
pub fn mlp(recipe: Recipe, network: Network, platt: Platt) -> Artifact {
    let predictor = Predictor::Networks(vec![network]);
    Artifact { algorithm: Algorithm::Mlp, recipe, predictor, output: Output::Platt(platt) }
}

/// The networks of a version.
pub fn networks(artifact: &mut Artifact) -> &mut Vec<Network> {
    match &mut artifact.predictor {
        Predictor::Networks(networks) => networks,
        _ => panic!("networks"),
    }
}

pub fn column(i: usize, kind: &Kind) -> Column {
    let (family, sql_type, input) = match kind {
        Kind::Numbers(one) if one.len() == 1 => (Family::Number, "real", Input::Numbers(one.clone())),
        Kind::Numbers(many) => (Family::NumberArray, "real[]", Input::Numbers(many.clone())),
        Kind::Category { values, dimension } => {
            let vocabulary = (0..*values).map(|v| format!("v{v}")).collect();
            (Family::Text, "text", Input::Category(Category { vocabulary, dimension: *dimension }))
        }
    };
    Column { name: format!("c{i}"), sql_type: sql_type.into(), family, input }
}

/// What a network is made of.
pub struct Shape<'a> {
    pub crosses: usize,
    pub rank: usize,
    pub hidden: &'a [usize],
    pub outputs: usize,
}

/// One with hidden layers and one output.
pub fn network(recipe: &Recipe, hidden: &[usize], seed: u64) -> Network {
    network_of(recipe, &Shape { crosses: 0, rank: 1, hidden, outputs: Task::Binary.outputs() }, seed)
}

/// Weights of the size a layer starts training with.
pub fn network_of(recipe: &Recipe, shape: &Shape, seed: u64) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let tables = recipe.categories().into_iter().map(|category| {
        Array2::from_shape_fn((category.rows(), category.dimension), |_| random.random_range(-1.5..1.5))
    });
    let embeddings = tables.collect();
    let mut dense = |outputs: usize, inputs: usize| {
        let reach = 1.0 / (inputs as f32).sqrt();
        let weight = Array2::from_shape_fn((outputs, inputs), |_| random.random_range(-reach..reach));
        Dense { weight, bias: Array1::from_shape_fn(outputs, |_| random.random_range(-reach..reach)) }
    };
    let width = recipe.width();
    let crosses = (0..shape.crosses).map(|_| {
        let (down, up) = (dense(shape.rank, width), dense(width, shape.rank));
        Cross { down: down.weight, up: up.weight, bias: up.bias }
    });
    let crosses: Vec<Cross> = crosses.collect();
    let mut inputs = width;
    let mut layers = Vec::new();
    for outputs in shape.hidden {
        layers.push(dense(*outputs, inputs));
        inputs = *outputs;
    }
    let read = match (crosses.is_empty(), shape.hidden.is_empty()) {
        (true, _) => inputs,
        (false, true) => width,
        (false, false) => width + inputs,
    };
    layers.push(dense(shape.outputs, read));
    Network { embeddings, crosses, layers, activations: Vec::new() }
}

/// A random row: ordinary, missing and unseen values, and anything at all where a column is constant.
pub fn random_row(recipe: &Recipe, random: &mut ChaCha8Rng) -> Vec<Value> {
    let mut row = Vec::new();
    for column in &recipe.columns {
        match &column.input {
            Input::Numbers(scalings) => {
                row.extend(scalings.iter().map(|s| Value::Number(random_number(s, random))));
            }
            Input::Category(category) => row.push(Value::Text(match random.random_range(0..6) {
                0 => None,
                1 => Some("never seen".into()),
                _ => category.vocabulary.get(random.random_range(0..30)).map(str::to_owned),
            })),
            Input::Key => panic!("no key"),
        }
    }
    row
}

fn random_number(scaling: &Scaling, random: &mut ChaCha8Rng) -> Option<f64> {
    match random.random_range(0..12) {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(f64::INFINITY),
        3 if scaling.is_constant() => Some(1e300),
        _ => Some(scaling.mean + scaling.scale * random.random_range(-4.0..4.0)),
    }
}

/// What [`model::Scorer::score`] must say, in double precision, straight from the definitions.
pub fn reference(artifact: &Artifact, row: &[Value]) -> f64 {
    reference_outputs(artifact, row)[0]
}

/// All outputs, averaged over the networks and finished.
pub fn reference_outputs(artifact: &Artifact, row: &[Value]) -> Vec<f64> {
    let Predictor::Networks(networks) = &artifact.predictor else { panic!("networks") };
    let mut mean = vec![0.0; artifact.task().outputs()];
    for network in networks {
        let outputs = forward(network, &artifact.recipe, row);
        mean.iter_mut().zip(outputs).for_each(|(mean, output)| *mean += output / networks.len() as f64);
    }
    let mut finished: Vec<f64> = mean.into_iter().map(|output| artifact.output.of(output)).collect();
    if let Output::Quantity { least, shifts, .. } = &artifact.output {
        let quantiles = finished[1..].iter_mut().zip(shifts.0);
        quantiles
            .for_each(|(quantile, shift)| *quantile = (*quantile + shift).max(least.unwrap_or(f64::MIN)));
    }
    finished
}

fn forward(network: &Network, recipe: &Recipe, row: &[Value]) -> Vec<f64> {
    let (mut numbers, mut indicators) = (Vec::new(), Vec::new());
    let (mut seconds, mut bins, mut embedded) = (Vec::new(), Vec::new(), Vec::new());
    let mut values = row.iter();
    let mut tables = network.embeddings.iter();
    for (column, slot) in recipe.columns.iter().zip(recipe.slots()) {
        match (&column.input, slot) {
            (Input::Numbers(scalings), Slot::Numbers { .. }) => {
                for scaling in scalings {
                    let Some(Value::Number(value)) = values.next() else { panic!("a number") };
                    let value = value.filter(|v| v.is_finite());
                    numbers.push(value.map_or(0.0, |v| standardize(scaling, v)));
                    if scaling.indicator {
                        indicators.push(if value.is_none() { 1.0 } else { 0.0 });
                    }
                    if let Some(second) = &scaling.second {
                        seconds.push(value.map_or(0.0, |v| standardize(second, v)));
                    }
                    bins.extend(binned(scaling, value));
                }
            }
            (Input::Category(category), Slot::Category { .. }) => {
                let Some(Value::Text(value)) = values.next() else { panic!("a text") };
                let id = embedding_row(category, value.as_deref());
                embedded.extend(tables.next().unwrap().row(id as usize).iter().map(|w| f64::from(*w)));
            }
            _ => panic!("a slot of another kind"),
        }
    }
    network_outputs(network, [numbers, indicators, seconds, bins, embedded].concat())
}

fn binned(scaling: &Scaling, value: Option<f64>) -> Vec<f64> {
    let share = |low: f64, high: f64| value.map_or(0.0, |v| ((v - low) / (high - low)).clamp(0.0, 1.0));
    scaling.bins.edges().windows(2).map(|edges| share(edges[0], edges[1])).collect()
}

/// What a network puts out for its input.
pub fn network_outputs(network: &Network, input: Vec<f64>) -> Vec<f64> {
    let mut crossed = input.clone();
    for cross in &network.crosses {
        let down = linear(&cross.down, None, &crossed);
        let up = linear(&cross.up, Some(&cross.bias), &down);
        crossed = crossed.iter().zip(&input).zip(up).map(|((x, x0), up)| x0 * up + x).collect();
    }
    let (last, hidden) = network.layers.split_last().unwrap();
    let mut x = input;
    for layer in hidden {
        x = linear(&layer.weight, Some(&layer.bias), &x);
        x.iter_mut().for_each(|v| *v = v.max(0.0));
    }
    let read = match (network.crosses.is_empty(), hidden.is_empty()) {
        (true, _) => x,
        (false, true) => crossed,
        (false, false) => [crossed, x].concat(),
    };
    linear(&last.weight, Some(&last.bias), &read)
}

fn linear(weight: &Array2<f32>, bias: Option<&Array1<f32>>, x: &[f64]) -> Vec<f64> {
    let row = |(k, weights): (usize, ndarray::ArrayView1<f32>)| {
        let bias = bias.map_or(0.0, |bias| f64::from(bias[k]));
        weights.iter().zip(x).map(|(w, v)| f64::from(*w) * v).sum::<f64>() + bias
    };
    weight.rows().into_iter().enumerate().map(row).collect()
}

/// The largest standardized number of a row.
pub fn largest_input(recipe: &Recipe, row: &[Value]) -> f64 {
    let numbers = row.iter().filter_map(|value| match value {
        Value::Number(value) => Some(value.filter(|v| v.is_finite())),
        Value::Text(_) => None,
    });
    let both = |(scaling, value): (&Scaling, Option<f64>)| {
        let second = scaling.second.as_deref();
        let size = |s: &Scaling| value.map_or(0.0, |v| standardize(s, v).abs());
        size(scaling).max(second.map_or(0.0, size))
    };
    recipe.scalings().into_iter().zip(numbers).map(both).fold(0.0, f64::max)
}

fn standardize(scaling: &Scaling, value: f64) -> f64 {
    if scaling.scale < f64::MIN_POSITIVE {
        return 0.0;
    }
    ((scaling.transform.apply(value) - scaling.mean) / scaling.scale)
        .clamp(-MAX_STANDARDIZED, MAX_STANDARDIZED)
}

pub fn embedding_row(category: &Category, value: Option<&str>) -> u32 {
    let Some(value) = value else { return NULL };
    let place = category.vocabulary.iter().position(|v| v == value);
    place.map_or(UNSEEN, |place| place as u32 + FIRST_VALUE)
}
