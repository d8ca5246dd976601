//! Files of every kind of predictor: well-formed, the same every time, refused where ONNX has no words. That they score as
//! `predict` does is tested with ONNX Runtime (`make test-export`).

use model::algorithm::Task;
use model::calibration::Platt;
use model::conversion::{Conversion, OutputKind};
use model::forest::{category_set, Forest, Step};
use model::isotonic::Isotonic;
use model::network::{Activation, Cross, Dense};
use model::output::Shifts;
use model::predictor::{Blend, Weights};
use model::rates::Rates;
use model::{Algorithm, Artifact, Network, Output, Predictor, Recipe};
use ndarray::{Array1, Array2};
use onnx::export::{export, About, ExportError, NULL_TEXT};
use onnx::import::convert;
use onnx::proto::{self, attribute, element};
use prost::Message;
use serde_json::{json, Value};
use std::collections::{HashMap, HashSet};

const ABOUT: About = About { model: "launch", version: 7, writer: "0.2.0" };
const MOST: usize = 1 << 20;

/// A number of each kind, a category, and one without values.
fn columns() -> Value {
    let points = json!({"quantile": {"points": [[0.0, -1.0], [2.0, 0.0], [9.0, 1.5]]}});
    let second =
        json!({"mean": 1.0, "scale": 0.5, "indicator": false, "transform": {"signed_log": {"unit": 3.0}}});
    let plain = |indicator: bool| json!({"mean": 1.0, "scale": 2.0, "indicator": indicator});
    json!([
        {"name": "price", "sql_type": "numeric", "family": "number", "input": {"numbers": [
            {"mean": 0.1, "scale": 0.9, "indicator": true, "transform": points, "second": second, "bins": [0.0, 1.0, 2.0, 5.0]}]}},
        {"name": "same", "sql_type": "integer", "family": "number", "input": {"numbers": [
            {"mean": 4.0, "scale": 0.0, "indicator": false}]}},
        {"name": "organic", "sql_type": "boolean", "family": "boolean", "input": {"numbers": [plain(true)]}},
        {"name": "sales", "sql_type": "real[]", "family": "number_array", "input": {"numbers": [plain(false), plain(false)]}},
        {"name": "brand", "sql_type": "text", "family": "text", "input": {"category": {"vocabulary": ["own", "Größe", ""], "dimension": 2}}},
        {"name": "score", "sql_type": "text", "family": "text", "input": {"category": {"vocabulary": [], "dimension": 3}}},
    ])
}

fn recipe() -> Recipe {
    let recipe: Recipe = serde_json::from_value(json!({ "columns": columns() })).unwrap();
    recipe.check().unwrap();
    recipe
}

fn weights(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| ((7 * row + 3 * column) as f32).sin() / 4.0)
}

fn network(recipe: &Recipe, hidden: &[usize], crosses: usize, task: Task) -> Network {
    let width = recipe.width();
    let tables = recipe.categories().into_iter().map(|category| weights(category.rows(), category.dimension));
    let cross = |_| Cross { down: weights(2, width), up: weights(width, 2), bias: Array1::zeros(width) };
    let mut layers = Vec::new();
    let mut inputs = width;
    for outputs in hidden {
        layers.push(Dense { weight: weights(*outputs, inputs), bias: Array1::zeros(*outputs) });
        inputs = *outputs;
    }
    let read = match (crosses, hidden.len()) {
        (0, _) => inputs,
        (_, 0) => width,
        _ => width + inputs,
    };
    layers.push(Dense { weight: weights(task.outputs(), read), bias: Array1::zeros(task.outputs()) });
    let activations = Vec::new();
    Network { embeddings: tables.collect(), crosses: (0..crosses).map(cross).collect(), layers, activations }
}

/// The first output has two trees, which share a set; the others have none.
fn forest(task: Task) -> Forest {
    let mut forest = Forest::new(vec![0.25; task.outputs()]).unwrap();
    let set = || category_set([0, 3]);
    let number = Step::Number { input: 0, threshold: 2.5, missing_left: true, left: 1 };
    let leaf = |value| Step::Leaf { value };
    forest
        .add_tree(
            0,
            &[number, Step::Category { category: 0, set: set(), left: 3 }, leaf(0.5), leaf(-1.0), leaf(2.0)],
        )
        .unwrap();
    forest.add_tree(0, &[Step::Category { category: 0, set: set(), left: 1 }, leaf(0.1), leaf(0.2)]).unwrap();
    forest
}

fn output(task: Task) -> Output {
    match task {
        Task::Binary => Output::Platt(Platt { slope: 1.5, offset: -0.25 }),
        Task::Regression => {
            Output::Quantity { mean: 10.0, scale: 3.0, least: Some(0.0), shifts: Shifts([-0.5, 0.0, 0.5]) }
        }
    }
}

/// A version of each kind, with what it is called.
fn versions() -> Vec<(String, Artifact)> {
    let recipe = recipe();
    let mut versions = Vec::new();
    for task in [Task::Binary, Task::Regression] {
        let networks = |hidden: &[usize], crosses| vec![network(&recipe, hidden, crosses, task)];
        let two = || [networks(&[4, 3], 0), networks(&[4, 3], 0)].concat();
        let weights = Weights { networks: 0.25, forest: 0.75, offset: 0.1 };
        let depths = [networks(&[4], 1), networks(&[], 0)].concat();
        let blend = Blend { networks: depths, forest: forest(task), weights };
        for (algorithm, predictor) in [
            (Algorithm::Logistic, Predictor::Networks(networks(&[], 0))),
            (Algorithm::Mlp, Predictor::Networks(two())),
            (Algorithm::DeepCross, Predictor::Networks(networks(&[4], 2))),
            (Algorithm::DeepCross, Predictor::Networks(networks(&[], 1))),
            (Algorithm::BoostedTrees, Predictor::Forest(forest(task))),
            (Algorithm::Blend, Predictor::Blend(blend)),
        ] {
            let artifact = Artifact { algorithm, recipe: recipe.clone(), predictor, output: output(task) };
            versions.push((format!("{algorithm} {task:?}"), artifact));
        }
    }
    let isotonic = Isotonic { points: vec![(-2.0, 0.1), (0.5, 0.4), (1.0, 0.9)] };
    let mut calibrated = versions[1].1.clone();
    calibrated.output = Output::Isotonic(isotonic);
    versions.push(("isotonic".to_owned(), calibrated));
    versions.push(("of activations".to_owned(), of_activations(&recipe)));
    let mut plain = versions[4].1.clone();
    plain.output = Output::Probability;
    versions.push(("plain probability".to_owned(), plain));
    versions
}

/// A network of every activation, as models made elsewhere have them.
fn of_activations(recipe: &Recipe) -> Artifact {
    let activations = [
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Elu { alpha: 1.5 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Silu,
    ];
    let plain = network(recipe, &[3; 8], 0, Task::Binary);
    let predictor = Predictor::Networks(vec![Network { activations: activations.to_vec(), ..plain }]);
    let output = output(Task::Binary);
    Artifact { algorithm: Algorithm::Mlp, recipe: recipe.clone(), predictor, output }
}

fn exported(artifact: &Artifact) -> Result<proto::Model, ExportError> {
    let bytes = export(artifact, ABOUT, MOST, &mut || ())?;
    Ok(proto::Model::decode(&bytes[..]).unwrap())
}

fn graph(artifact: &Artifact) -> proto::Graph {
    exported(artifact).unwrap().graph.unwrap()
}

/// Every tensor has the bytes that its shape and type say.
fn check_tensor(tensor: &proto::Tensor, of: &str) {
    let size = match tensor.data_type.unwrap() {
        element::FLOAT => 4,
        element::DOUBLE | element::INT64 => 8,
        element::UINT8 => 1,
        other => panic!("{of}: {} is of type {other}", tensor.name()),
    };
    let elements: i64 = tensor.dims.iter().product();
    let bytes = tensor.raw_data.as_deref().unwrap();
    assert_eq!(bytes.len(), elements as usize * size, "{of}: {}", tensor.name());
    assert!(elements > 0, "{of}: {} is empty", tensor.name());
}

#[test]
fn every_value_is_made_once_before_it_is_read_and_nothing_is_made_in_vain() {
    for (of, artifact) in versions() {
        let graph = graph(&artifact);
        let mut made = HashSet::new();
        graph.input.iter().for_each(|input| assert!(made.insert(input.name()), "{of}: {}", input.name()));
        for tensor in &graph.initializer {
            check_tensor(tensor, &of);
            assert!(made.insert(tensor.name()), "{of}: {} is there twice", tensor.name());
        }
        let mut read = HashSet::new();
        let mut names = HashSet::new();
        for node in &graph.node {
            assert!(names.insert(node.name.as_deref()), "{of}: two nodes are called {:?}", node.name);
            for input in &node.input {
                assert!(
                    made.contains(input.as_str()),
                    "{of}: {:?} reads {input}, which is not made yet",
                    node.name
                );
                read.insert(input.as_str());
            }
            for output in &node.output {
                assert!(made.insert(output.as_str()), "{of}: {output} is made twice");
            }
            node.attribute.iter().filter_map(|setting| setting.t.as_ref()).for_each(|t| check_tensor(t, &of));
        }
        graph
            .output
            .iter()
            .for_each(|output| assert!(read.insert(output.name()), "{of}: {} is read", output.name()));
        let may_be_spare: HashSet<&str> = graph.input.iter().map(|input| input.name()).collect();
        for value in made {
            let spare =
                may_be_spare.contains(value) || value.ends_with("/places") || value.ends_with("bases");
            assert!(read.contains(value) || spare, "{of}: nothing reads {value}");
        }
    }
}

#[test]
fn an_input_for_each_column_and_the_outputs_of_the_task() {
    for (of, artifact) in versions() {
        let graph = graph(&artifact);
        let shape = |kind: &Option<proto::Type>| {
            let tensor = kind.as_ref().unwrap().tensor.as_ref().unwrap();
            let dims = &tensor.shape.as_ref().unwrap().dim;
            assert_eq!(dims[0].dim_param.as_deref(), Some("rows"), "{of}");
            (
                tensor.elem_type.unwrap(),
                dims[1..].iter().map(|dim| dim.dim_value.unwrap()).collect::<Vec<_>>(),
            )
        };
        let inputs: Vec<_> = graph.input.iter().map(|input| (input.name(), shape(&input.r#type))).collect();
        let (number, text) = (element::DOUBLE, element::STRING);
        assert_eq!(
            inputs,
            [
                ("price", (number, vec![1])),
                ("same", (number, vec![1])),
                ("organic", (number, vec![1])),
                ("sales", (number, vec![2])),
                ("brand", (text, vec![1])),
                ("score", (text, vec![1])),
            ]
        );
        // The column keeps its name.
        let outputs: Vec<_> =
            graph.output.iter().map(|output| (output.name(), shape(&output.r#type))).collect();
        let score = ("score_2", (number, vec![]));
        match artifact.task() {
            Task::Binary => assert_eq!(outputs, [score], "{of}"),
            Task::Regression => assert_eq!(outputs, [score, ("quantiles", (number, vec![3]))], "{of}"),
        }
    }
}

#[test]
fn the_same_artifact_gives_the_same_bytes() {
    for (of, artifact) in versions() {
        let bytes = |artifact: &Artifact| export(artifact, ABOUT, MOST, &mut || ()).unwrap();
        let again = Artifact::from_bytes(&artifact.to_bytes().unwrap()).unwrap();
        assert!(bytes(&artifact) == bytes(&again), "{of}");
    }
}

#[test]
fn the_file_says_what_it_is() {
    let model = exported(&versions()[0].1).unwrap();
    assert_eq!((model.producer_name.as_str(), model.producer_version.as_str()), ("pg_recommend", "0.2.0"));
    assert_eq!(model.model_version, 7);
    let opsets: Vec<_> = model.opset_import.iter().map(|opset| (opset.domain(), opset.version())).collect();
    assert_eq!(opsets, [("", 17), ("ai.onnx.ml", 3)]);
    let said: HashMap<_, _> =
        model.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!((said["algorithm"], said["task"], said["null_text"]), ("logistic", "binary", NULL_TEXT));
    let columns: Value = serde_json::from_str(said["columns"]).unwrap();
    assert_eq!(columns[2], json!({"name": "organic", "sql_type": "boolean", "family": "boolean"}));
}

#[test]
fn the_codes_of_texts_are_those_of_the_recipe() {
    let graph = graph(&versions()[0].1);
    let encoders: Vec<_> = graph.node.iter().filter(|node| node.op_type() == "LabelEncoder").collect();
    let setting = |name: &str| encoders[0].attribute.iter().find(|setting| setting.name() == name).unwrap();
    let keys: Vec<_> =
        setting("keys_strings").strings.iter().map(|key| std::str::from_utf8(key).unwrap()).collect();
    assert_eq!(keys, [NULL_TEXT, "own", "Größe", ""]);
    assert_eq!(setting("values_int64s").ints, [1, 2, 3, 4]);
    assert_eq!((setting("default_int64").i, setting("default_int64").kind), (Some(0), attribute::INT));
    assert_eq!(encoders[1].attribute[0].strings, [NULL_TEXT.as_bytes()]);
}

#[test]
fn a_set_that_trees_share_stands_there_once() {
    let (_, artifact) = versions().into_iter().find(|(of, _)| of == "boosted_trees Binary").unwrap();
    let graph = graph(&artifact);
    let table = graph.initializer.iter().find(|tensor| tensor.name().ends_with("/sets")).unwrap();
    // Codes 0 and 3 of five, the first and the last known one but one.
    assert_eq!((table.dims.as_slice(), table.raw_data()), (&[5, 1][..], &[1, 0, 0, 1, 0][..]));
    let trees = graph.node.iter().find(|node| node.op_type() == "TreeEnsembleRegressor").unwrap();
    let ints = |name: &str| &trees.attribute.iter().find(|setting| setting.name() == name).unwrap().ints;
    // Numbers come first: there are five of them.
    assert_eq!(ints("nodes_featureids"), &[0, 5, 0, 0, 0, 5, 0, 0]);
    // Below the threshold is left; not in the set is right.
    assert_eq!(ints("nodes_truenodeids"), &[1, 4, 0, 0, 0, 2, 0, 0]);
    assert_eq!(ints("nodes_falsenodeids"), &[2, 3, 0, 0, 0, 1, 0, 0]);
    assert_eq!(ints("nodes_missing_value_tracks_true"), &[1, 0, 0, 0, 0, 0, 0, 0]);
}

/// A version whose recipe is another.
fn with_columns(change: impl FnOnce(&mut Value)) -> Artifact {
    let mut columns = columns();
    change(&mut columns);
    let recipe: Recipe = serde_json::from_value(json!({ "columns": columns })).unwrap();
    let predictor = Predictor::Networks(vec![network(&recipe, &[], 0, Task::Binary)]);
    Artifact { algorithm: Algorithm::Logistic, recipe, predictor, output: output(Task::Binary) }
}

#[test]
fn what_onnx_has_no_words_for_is_refused() {
    let key = json!([{"name": "product_id", "sql_type": "bigint", "family": "number", "input": "key"}]);
    let popularity = Artifact {
        algorithm: Algorithm::Popularity,
        recipe: serde_json::from_value(json!({ "columns": key })).unwrap(),
        predictor: Predictor::Rates(Rates::new(vec![(1, 0.5)], 0.0)),
        output: output(Task::Binary),
    };
    let null_text =
        with_columns(|columns| columns[4]["input"]["category"]["vocabulary"][0] = NULL_TEXT.into());
    let twice = with_columns(|columns| columns[1]["name"] = "price".into());
    let nameless = with_columns(|columns| columns[1]["name"] = "".into());
    for (artifact, word) in [
        (popularity, "popularity"),
        (null_text, "\"brand\""),
        (twice, "\"price\""),
        (nameless, "without a name"),
    ] {
        match exported(&artifact) {
            Err(ExportError::Unsupported(reason)) => assert!(reason.contains(word), "{reason}"),
            other => panic!("{word}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_would_be_too_large_is_refused() {
    for (of, artifact) in versions() {
        let bytes = export(&artifact, ABOUT, MOST, &mut || ()).unwrap();
        for most in [0, bytes.len() / 8, bytes.len() - 1] {
            let refused = export(&artifact, ABOUT, most, &mut || ());
            assert!(matches!(refused, Err(ExportError::TooLarge { .. })), "{of}: {most}");
        }
    }
}

#[test]
fn it_pauses_at_each_node() {
    let mut pauses = 0;
    export(&versions()[0].1, ABOUT, MOST, &mut || pauses += 1).unwrap();
    assert!(pauses >= graph(&versions()[0].1).node.len(), "{pauses}");
}

#[test]
fn a_file_comes_back_as_the_version_that_it_was() {
    for (of, artifact) in versions() {
        let bytes = export(&artifact, ABOUT, MOST, &mut || ()).unwrap();
        let (back, comparison) =
            convert(&bytes, &Conversion::default()).unwrap_or_else(|error| panic!("{of}: {error}"));
        assert!(back.to_bytes().unwrap() == artifact.to_bytes().unwrap(), "{of}");
        assert_eq!((comparison.rows, comparison.without_score), (2000, 0), "{of}");
        assert!(comparison.worst < 2e-6, "{of}: {}", comparison.worst);
    }
}

/// The error that refuses a file.
fn refusal(model: &proto::Model, conversion: &Conversion) -> String {
    convert(&model.encode_to_vec(), conversion).unwrap_err().to_string()
}

#[test]
fn a_graph_that_says_something_else_than_the_version_it_carries_is_refused() {
    let versions = versions();
    let carried = |n: usize| exported(&versions[n].1).unwrap();
    // Logistic and mlp read the same columns.
    let mixed = proto::Model { metadata_props: carried(1).metadata_props, ..carried(0) };
    let told = refusal(&mixed, &Conversion::default());
    assert!(told.starts_with("the converted model differs from the original by"), "{told}");
    let other = exported(&with_columns(|columns| columns[1]["name"] = "other".into())).unwrap();
    let mixed = proto::Model { metadata_props: other.metadata_props, ..carried(0) };
    assert!(refusal(&mixed, &Conversion::default()).contains("inputs of the graph"));
    let mut damaged = carried(0);
    damaged.metadata_props.last_mut().unwrap().value.truncate(99);
    assert!(refusal(&damaged, &Conversion::default()).contains("pg_recommend.artifact"));
}

#[test]
fn what_a_file_says_itself_is_not_said_again() {
    let model = exported(&versions()[0].1).unwrap();
    for conversion in [
        Conversion { names: Some(vec!["price".into()]), ..Conversion::default() },
        Conversion { output: Some(OutputKind::Logit), ..Conversion::default() },
    ] {
        assert!(refusal(&model, &conversion).contains("says itself"));
    }
}
