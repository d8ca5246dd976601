//! Random model versions and a plain double-precision forward pass to compare with.
#![allow(dead_code)]

use model::calibration::{sigmoid, Platt};
use model::network::Dense;
use model::recipe::{
    Category, Column, Family, Input, Scaling, Slot, FIRST_VALUE, MAX_STANDARDIZED, NULL, UNSEEN,
};
use model::{Artifact, Network, Recipe};
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
    (scale, ratio, any::<bool>()).prop_map(|(scale, ratio, indicator)| Scaling {
        mean: ratio * f64::max(scale, 1e-300),
        scale,
        indicator,
    })
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
            Artifact { algorithm: "mlp".into(), recipe, network, calibration: Platt { slope, offset } }
        },
    )
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

/// Weights of the size a layer starts training with.
pub fn network(recipe: &Recipe, hidden: &[usize], seed: u64) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let tables = recipe.categories().into_iter().map(|category| {
        Array2::from_shape_fn((category.rows(), category.dimension), |_| random.random_range(-1.5..1.5))
    });
    let embeddings = tables.collect();
    let mut inputs = recipe.width();
    let layers = hidden.iter().chain([&1]).map(|&outputs| {
        let reach = 1.0 / (inputs as f32).sqrt();
        let layer = Dense {
            weight: Array2::from_shape_fn((outputs, inputs), |_| random.random_range(-reach..reach)),
            bias: Array1::from_shape_fn(outputs, |_| random.random_range(-reach..reach)),
        };
        inputs = outputs;
        layer
    });
    Network { embeddings, layers: layers.collect() }
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
                _ => category.vocabulary.get(random.random_range(0..30)).cloned(),
            })),
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

/// The calibrated probability, in double precision, straight from the definitions.
pub fn reference(artifact: &Artifact, row: &[Value]) -> f64 {
    let recipe = &artifact.recipe;
    let (mut numbers, mut indicators, mut embedded) = (Vec::new(), Vec::new(), Vec::new());
    let mut values = row.iter();
    let mut tables = artifact.network.embeddings.iter();
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
    let mut x: Vec<f64> = [numbers, indicators, embedded].concat();
    for (k, layer) in artifact.network.layers.iter().enumerate() {
        if k > 0 {
            x.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        let outputs = layer.weight.rows().into_iter().zip(&layer.bias).map(|(weights, bias)| {
            weights.iter().zip(&x).map(|(w, v)| f64::from(*w) * v).sum::<f64>() + f64::from(*bias)
        });
        x = outputs.collect();
    }
    sigmoid(artifact.calibration.slope * x[0] + artifact.calibration.offset)
}

fn standardize(scaling: &Scaling, value: f64) -> f64 {
    if scaling.scale < f64::MIN_POSITIVE {
        return 0.0;
    }
    ((value - scaling.mean) / scaling.scale).clamp(-MAX_STANDARDIZED, MAX_STANDARDIZED)
}

pub fn embedding_row(category: &Category, value: Option<&str>) -> u32 {
    let Some(value) = value else { return NULL };
    let place = category.vocabulary.iter().position(|v| v == value);
    place.map_or(UNSEEN, |place| place as u32 + FIRST_VALUE)
}
