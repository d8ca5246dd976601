//! `--prepare`: what a network elsewhere reads is what the scorer here makes of the raw values.

mod support;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int8Type};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_select::concat::concat_batches;
use model::calibration::Platt;
use model::network::Dense;
use model::params::Metric;
use model::protocol::{Cause, Event};
use model::{Algorithm, Artifact, Network, Output, Params, Predictor, Recipe, Scorer};
use ndarray::{Array1, Array2};
use serde_json::Value;
use std::fs::File;
use std::process::Command;
use support::sales::{sales, Source};
use support::{quick, Trainer};

/// What the trainer says, and the file that it writes.
fn prepare(algorithm: Algorithm, params: Params) -> (Vec<Event>, Trainer) {
    let trainer = Trainer::of(&[algorithm], &Source::of(&sales(4000)), params);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg_recommend_trainer"));
    for (name, file) in [("--prepare", "data.arrow"), ("--spec", "spec.json"), ("--out", "set.arrow")] {
        command.arg(name).arg(trainer.path(file));
    }
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    (said.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), trainer)
}

struct Set {
    rows: RecordBatch,
    about: Value,
    recipe: Recipe,
}

fn read(trainer: &Trainer) -> Set {
    let reader = FileReader::try_new(File::open(trainer.path("set.arrow")).unwrap(), None).unwrap();
    let schema = reader.schema();
    let json = |name: &str| schema.metadata()[name].clone();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    Set {
        rows: concat_batches(&schema, &batches).unwrap(),
        about: serde_json::from_str(&json("pg_recommend.training_set")).unwrap(),
        recipe: serde_json::from_str(&json("pg_recommend.recipe")).unwrap(),
    }
}

impl Set {
    fn column<'a>(&'a self, name: &str) -> &'a dyn Array {
        self.rows.column_by_name(name).unwrap()
    }

    /// A linear model with weights that look random, and its logit of a row as the file has it.
    fn linear(&self) -> (Artifact, impl Fn(usize) -> f64 + '_) {
        let weight = |n: usize| ((n * 7919 + 13) % 101) as f32 / 101.0 - 0.5;
        let categories = self.recipe.categories();
        let tables: Vec<Array2<f32>> = categories
            .iter()
            .map(|category| {
                Array2::from_shape_fn((category.rows(), category.dimension), |(r, c)| weight(r * 31 + c))
            })
            .collect();
        let weights: Vec<f32> = (0..self.recipe.width()).map(weight).collect();
        let layer = Dense {
            weight: Array2::from_shape_vec((1, weights.len()), weights.clone()).unwrap(),
            bias: Array1::from_vec(vec![0.25]),
        };
        let embeddings = tables.clone();
        let network = Network { activations: vec![], embeddings, crosses: vec![], layers: vec![layer] };
        let artifact = Artifact {
            algorithm: Algorithm::Logistic,
            recipe: self.recipe.clone(),
            predictor: Predictor::Networks(vec![network]),
            output: Output::Platt(Platt::IDENTITY),
        };
        let dense = self.column("dense").as_fixed_size_list();
        let logit = move |row: usize| {
            let dense = dense.value(row);
            let mut read: Vec<f32> = dense.as_primitive::<Float32Type>().values().to_vec();
            for (n, table) in tables.iter().enumerate() {
                let ids = self.column(&format!("category_{n}")).as_primitive::<Int32Type>();
                read.extend(table.row(ids.value(row) as usize));
            }
            let products = read.iter().zip(&weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
            0.25 + products.sum::<f64>()
        };
        (artifact, logit)
    }
}

#[test]
fn the_rows_are_those_that_the_scorer_makes_of_the_raw_values() {
    let (events, trainer) = prepare(Algorithm::Mlp, quick());
    assert!(matches!(events.last(), Some(Event::Prepared)), "{events:?}");
    let set = read(&trainer);
    let (artifact, logit) = set.linear();
    let scorer = Scorer::new(&artifact).unwrap();
    let sample = &set.about["sample"];
    let rows = sample["places"].as_array().unwrap();
    assert!(rows.len() > 100, "{}", rows.len());
    let mut row = scorer.row();
    for (n, place) in rows.iter().enumerate() {
        for (number, value) in sample["numbers"][n].as_array().unwrap().iter().enumerate() {
            scorer.set_number(&mut row, number, value.as_f64());
        }
        for (category, text) in sample["texts"][n].as_array().unwrap().iter().enumerate() {
            scorer.set_category(&mut row, category, text.as_str());
        }
        let expected = 1.0 / (1.0 + (-logit(place.as_u64().unwrap() as usize)).exp());
        let score = scorer.score(&mut row);
        assert!((score - expected).abs() < 1e-5, "{n}: {score} {expected}");
    }
}

#[test]
fn parts_labels_and_size_are_those_that_are_told() {
    let (events, trainer) = prepare(Algorithm::DeepCross, quick());
    let set = read(&trainer);
    let data = events.iter().find_map(|event| match event {
        Event::Data(data) => Some(data.clone()),
        _ => None,
    });
    let data = data.unwrap();
    let parts = set.column("part").as_primitive::<Int8Type>().values().to_vec();
    assert!(parts.is_sorted());
    let count = |part: i8| parts.iter().filter(|found| **found == part).count() as u64;
    assert_eq!([count(0), count(1), count(2)], [data.train, data.validation, data.test]);
    assert_eq!(set.about["data"]["digest"], data.digest.as_str());
    let labels = set.column("label").as_primitive::<Float64Type>().values();
    assert_eq!(labels.iter().filter(|label| **label == 1.0).count() as u64, data.positives.unwrap());
    let later = set.column("later").as_boolean();
    assert_eq!(later.null_count() as u64, data.train + data.test);
    assert!(later.true_count() > 0 && (later.true_count() as u64) < data.validation);
    let told = events.iter().find_map(|event| match event {
        Event::Preparing { bytes } => Some(*bytes as f64),
        _ => None,
    });
    let size = std::fs::metadata(trainer.path("set.arrow")).unwrap().len() as f64;
    assert!((size / told.unwrap() - 1.0).abs() < 0.05, "{size} {told:?}");
    let network = &set.about["network"];
    assert_eq!((&network["crosses"], &network["hidden"]), (&2.into(), &serde_json::json!([16])));
    assert_eq!(network["dense"], set.recipe.dense_width());
    assert_eq!(set.about["taken"]["dropout"], 0.0);
    assert!(set.about["popularity"]["test"]["auroc"].is_number());
}

#[test]
fn what_is_not_trained_elsewhere_is_refused() {
    let lists = Params { metric: Some(Metric::PrecisionAtK), ..quick() };
    for (algorithm, params, words) in
        [(Algorithm::BoostedTrees, quick(), "only one network"), (Algorithm::Mlp, lists, "precision_at_k")]
    {
        let (events, trainer) = prepare(algorithm, params);
        let Some(Event::Error { cause: Cause::Arguments, message, .. }) = events.last() else {
            panic!("{events:?}")
        };
        assert!(message.contains(words), "{message}");
        assert!(!trainer.path("set.arrow").exists());
    }
}
