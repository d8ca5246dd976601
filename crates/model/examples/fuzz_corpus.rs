//! Writes a small artifact of every kind into a folder: where the fuzzer begins.
use model::calibration::Platt;
use model::forest::{category_set, Forest, Step};
use model::isotonic::Isotonic;
use model::network::{Cross, Dense};
use model::number_bins::NumberBins;
use model::predictor::{Blend, Weights};
use model::rates::Rates;
use model::recipe::{Category, Column, Family, Input, Scaling};
use model::transform::Transform;
use model::{Algorithm, Artifact, Network, Output, Predictor, Recipe};
use ndarray::{Array1, Array2};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("into which folder?")?;
    for (name, artifact) in artifacts()? {
        std::fs::write(format!("{folder}/{name}"), artifact.to_bytes()?)?;
    }
    Ok(())
}

fn artifacts() -> Result<[(&'static str, Artifact); 5], model::ModelError> {
    let platt = || Output::Platt(Platt { slope: 1.5, offset: -0.25 });
    let quantity = Output::Quantity {
        mean: 3.0,
        scale: 2.0,
        least: Some(0.0),
        shifts: model::output::Shifts([-0.5, 0.0, 1.0]),
    };
    let isotonic = Output::Isotonic(Isotonic { points: vec![(-1.0, 0.1), (0.5, 0.4), (2.0, 0.9)] });
    let blend = Blend {
        networks: vec![network(1, 1)],
        forest: forest(1)?,
        weights: Weights { networks: 0.5, forest: 0.75, offset: -0.1 },
    };
    let rates = Rates::new(vec![(7, 0.5), (9, -0.5)], 0.25);
    let versions = [
        (
            "networks",
            Algorithm::Mlp,
            recipe(),
            Predictor::Networks(vec![network(0, 4), network(0, 4)]),
            quantity,
        ),
        ("crosses", Algorithm::DeepCross, recipe(), Predictor::Networks(vec![network(2, 1)]), isotonic),
        ("forest", Algorithm::BoostedTrees, recipe(), Predictor::Forest(forest(1)?), platt()),
        ("blend", Algorithm::Blend, recipe(), Predictor::Blend(blend), platt()),
        ("rates", Algorithm::Popularity, key_recipe(), Predictor::Rates(rates), platt()),
    ];
    Ok(versions.map(|(name, algorithm, recipe, predictor, output)| {
        (name, Artifact { algorithm, recipe, predictor, output })
    }))
}

fn column(name: &str, family: Family, input: Input) -> Column {
    Column { name: name.into(), sql_type: "text".into(), family, input }
}

/// Seven inputs: a number, its indicator, its second reading and two bins, and an embedding of two.
fn recipe() -> Recipe {
    let second = Scaling { transform: Transform::SignedLog { unit: 2.0 }, scale: 1.0, ..Scaling::default() };
    let points = vec![[0.0, -1.0], [5.0, 0.0], [9.0, 1.0]].into();
    let price = Scaling {
        transform: Transform::Quantile { points },
        mean: 0.5,
        scale: 2.0,
        indicator: true,
        second: Some(Box::new(second)),
        bins: NumberBins::fit(&[0.0, 2.0, 9.0], 2),
    };
    let kinds = Category { vocabulary: ["a", "b"].into_iter().collect(), dimension: 2 };
    Recipe {
        columns: vec![
            column("price", Family::Number, Input::Numbers(vec![price])),
            column("kind", Family::Text, Input::Category(kinds)),
        ],
    }
}

fn key_recipe() -> Recipe {
    Recipe { columns: vec![column("product_id", Family::Number, Input::Key)] }
}

fn network(crosses: usize, outputs: usize) -> Network {
    let matrix = |rows, columns| Array2::from_shape_fn((rows, columns), |(i, j)| (i as f32 - j as f32) / 4.0);
    let dense = |outputs, inputs| Dense { weight: matrix(outputs, inputs), bias: Array1::ones(outputs) };
    let cross = || Cross { down: matrix(1, 7), up: matrix(7, 1), bias: Array1::zeros(7) };
    let read = if crosses == 0 { 3 } else { 7 + 3 };
    Network {
        activations: Vec::new(),
        embeddings: vec![matrix(4, 2)],
        crosses: (0..crosses).map(|_| cross()).collect(),
        layers: vec![dense(3, 7), dense(outputs, read)],
    }
}

fn forest(outputs: usize) -> Result<Forest, model::ModelError> {
    let mut forest = Forest::new(vec![0.25; outputs])?;
    let steps = [
        Step::Number { input: 0, threshold: 4.5, missing_left: true, left: 1 },
        Step::Category { category: 0, set: category_set([0, 3]), left: 3 },
        Step::Leaf { value: -0.5 },
        Step::Leaf { value: 0.5 },
        Step::Leaf { value: 1.5 },
    ];
    (0..outputs).try_for_each(|output| forest.add_tree(output, &steps))?;
    Ok(forest)
}
