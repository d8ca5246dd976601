//! Graphs made by hand. Those of real makers are in tests/import.

use super::convert;
use crate::proto;
use model::conversion::{Conversion, OutputKind};
use model::hash::chain;
use model::{Artifact, Output, Predictor, Scorer};
use prost::Message;

const FLOAT: i32 = 1;
const TEXT: i32 = 8;

fn value(name: &str, element: i32, width: i64) -> proto::ValueInfo {
    let dimension = |length: Option<i64>| proto::Dimension { dim_value: length, dim_param: None };
    let shape = proto::Shape { dim: vec![dimension(None), dimension(Some(width))] };
    let tensor = proto::TensorType { elem_type: Some(element), shape: Some(shape) };
    proto::ValueInfo {
        name: Some(name.into()),
        r#type: Some(proto::Type { tensor: Some(tensor), sequence: None }),
        doc_string: String::new(),
    }
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> proto::Tensor {
    proto::Tensor {
        dims: dims.to_vec(),
        data_type: Some(FLOAT),
        float_data: values.to_vec(),
        name: Some(name.into()),
        ..proto::Tensor::default()
    }
}

fn node(op: &str, inputs: &[&str], output: &str, attributes: Vec<proto::Attribute>) -> proto::Node {
    let is_classical = matches!(op, "OneHotEncoder" | "Scaler" | "Imputer" | "TreeEnsembleRegressor");
    proto::Node {
        input: inputs.iter().map(|input| (*input).into()).collect(),
        output: vec![output.into()],
        name: Some(format!("the {op}")),
        op_type: Some(op.into()),
        attribute: attributes,
        domain: is_classical.then(|| super::graph::ML.into()),
    }
}

fn attribute(name: &str) -> proto::Attribute {
    proto::Attribute { name: Some(name.into()), ..proto::Attribute::default() }
}

fn floats(name: &str, floats: &[f32]) -> proto::Attribute {
    proto::Attribute { floats: floats.to_vec(), ..attribute(name) }
}

fn ints(name: &str, ints: &[i64]) -> proto::Attribute {
    proto::Attribute { ints: ints.to_vec(), ..attribute(name) }
}

fn strings(name: &str, strings: &[&str]) -> proto::Attribute {
    let strings = strings.iter().map(|text| text.as_bytes().to_vec()).collect();
    proto::Attribute { strings, ..attribute(name) }
}

fn graph(
    inputs: Vec<proto::ValueInfo>,
    constants: Vec<proto::Tensor>,
    nodes: Vec<proto::Node>,
) -> proto::Model {
    let set = |domain: Option<&str>, version| proto::OperatorSet {
        domain: domain.map(str::to_owned),
        version: Some(version),
    };
    proto::Model {
        ir_version: Some(8),
        graph: Some(proto::Graph {
            node: nodes,
            initializer: constants,
            input: inputs,
            output: vec![value("score", FLOAT, 1)],
            sparse_initializer: Vec::new(),
            ..proto::Graph::default()
        }),
        opset_import: vec![set(None, 17), set(Some(super::graph::ML), 3)],
        functions: Vec::new(),
        ..proto::Model::default()
    }
}

fn converted(model: &proto::Model, names: Option<&[&str]>) -> Artifact {
    let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let conversion = Conversion { names, ..Conversion::default() };
    let (artifact, comparison) = convert(&model.encode_to_vec(), &conversion).unwrap();
    assert_eq!(comparison.rows, 2000);
    Artifact::from_bytes(&artifact.to_bytes().unwrap()).unwrap()
}

fn refused(model: &proto::Model) -> String {
    let conversion = Conversion { names: Some(vec!["a".into(), "b".into()]), ..Conversion::default() };
    let error = convert(&model.encode_to_vec(), &conversion).unwrap_err();
    format!("{error} {}", error.hint.clone().unwrap_or_default())
}

/// Two numbers, a hidden layer of two with an activation, and what comes after it.
fn network(activation: &str, last: Vec<proto::Node>) -> proto::Model {
    let constants = vec![
        tensor("w", &[2, 2], &[1.0, -0.5, 0.25, 2.0]),
        tensor("c", &[2], &[0.1, -0.2]),
        tensor("v", &[2, 1], &[1.5, -1.0]),
    ];
    let mut nodes = vec![
        node("MatMul", &["x", "w"], "product", vec![]),
        node("Add", &["product", "c"], "sum", vec![]),
        node(activation, &["sum"], "hidden", vec![]),
        node("MatMul", &["hidden", "v"], "logit", vec![]),
    ];
    nodes.extend(last);
    graph(vec![value("x", FLOAT, 2)], constants, nodes)
}

fn sigmoid() -> Vec<proto::Node> {
    vec![node("Sigmoid", &["logit"], "score", vec![])]
}

#[test]
fn every_activation_is_converted_and_agrees_on_every_kernel() {
    for activation in ["Relu", "LeakyRelu", "Elu", "Selu", "Gelu", "Tanh", "Sigmoid"] {
        let artifact = converted(&network(activation, sigmoid()), Some(&["a", "b"]));
        assert!(
            matches!(artifact.predictor, Predictor::Networks(_))
                && matches!(artifact.output, Output::Platt(_))
        );
        let scores = Scorer::kernels().into_iter().map(|kernel| {
            let scorer = Scorer::with_kernel(&artifact, kernel).unwrap();
            scorer.score_numbers(&mut scorer.row(), &[0.7, -1.3])
        });
        let scores: Vec<f64> = scores.collect();
        assert!(scores.iter().all(|score| (score - scores[0]).abs() < 1e-6), "{activation}: {scores:?}");
    }
}

#[test]
fn the_output_is_what_the_graph_or_the_caller_says() {
    let model = network("Relu", vec![node("Identity", &["logit"], "score", vec![])]);
    let of = |output| {
        let conversion =
            Conversion { names: Some(vec!["a".into(), "b".into()]), output, ..Conversion::default() };
        convert(&model.encode_to_vec(), &conversion).unwrap().0.output
    };
    assert_eq!(of(None), Output::Mean);
    assert!(matches!(of(Some(OutputKind::Logit)), Output::Platt(_)));
    assert_eq!(of(Some(OutputKind::Probability)), Output::Probability);
}

/// An imputed and scaled number and a text, added up by trees or by a layer.
fn pipeline(last: proto::Node) -> proto::Model {
    let nodes = vec![
        node(
            "Imputer",
            &["price"],
            "imputed",
            vec![
                floats("imputed_value_floats", &[3.0]),
                proto::Attribute { f: Some(f32::NAN), ..attribute("replaced_value_float") },
            ],
        ),
        node("Scaler", &["imputed"], "scaled", vec![floats("offset", &[2.0]), floats("scale", &[0.1])]),
        node("OneHotEncoder", &["region"], "code", vec![strings("cats_strings", &["north", "south"])]),
        node("Reshape", &["code", "shape"], "codes", vec![]),
        node(
            "Concat",
            &["scaled", "codes"],
            "features",
            vec![proto::Attribute { i: Some(1), ..attribute("axis") }],
        ),
        last,
    ];
    let shape = proto::Tensor {
        dims: vec![2],
        data_type: Some(7),
        int64_data: vec![-1, 2],
        name: Some("shape".into()),
        ..proto::Tensor::default()
    };
    let weights = tensor("weights", &[3, 1], &[2.0, -1.0, 0.5]);
    graph(vec![value("price", FLOAT, 1), value("region", TEXT, 1)], vec![shape, weights], nodes)
}

fn scores(artifact: &Artifact, rows: &[(Option<f64>, Option<&str>)]) -> Vec<f64> {
    let scorer = Scorer::new(artifact).unwrap();
    let mut row = scorer.row();
    let score = |(price, region): &(Option<f64>, Option<&str>)| {
        scorer.set_number(&mut row, 0, *price);
        scorer.set_category(&mut row, 0, *region);
        scorer.score(&mut row)
    };
    rows.iter().map(score).collect()
}

#[test]
fn missing_and_unseen_values_are_what_the_pipeline_makes_of_them() {
    let artifact = converted(&pipeline(node("MatMul", &["features", "weights"], "score", vec![])), None);
    let rows =
        [(Some(12.0), Some("north")), (None, Some("south")), (Some(2.0), Some("nowhere")), (Some(2.0), None)];
    let expected = [2.0 - 1.0, 0.2 + 0.5, 0.0, 0.0];
    for (score, expected) in scores(&artifact, &rows).into_iter().zip(expected) {
        assert!((score - expected).abs() < 1e-6, "{score} {expected}");
    }
}

/// Three leaves: by the scaled number, then by a text.
fn small_trees() -> proto::Node {
    node(
        "TreeEnsembleRegressor",
        &["features"],
        "score",
        vec![
            ints("nodes_treeids", &[0, 0, 0, 0, 0]),
            ints("nodes_nodeids", &[0, 1, 2, 3, 4]),
            ints("nodes_featureids", &[0, 1, 0, 0, 0]),
            strings("nodes_modes", &["BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF"]),
            floats("nodes_values", &[0.5, 0.5, 0.0, 0.0, 0.0]),
            ints("nodes_truenodeids", &[1, 3, 0, 0, 0]),
            ints("nodes_falsenodeids", &[2, 4, 0, 0, 0]),
            ints("target_treeids", &[0, 0, 0]),
            ints("target_nodeids", &[2, 3, 4]),
            ints("target_ids", &[0, 0, 0]),
            floats("target_weights", &[10.0, 20.0, 30.0]),
            floats("base_values", &[1.0]),
        ],
    )
}

#[test]
fn trees_behind_a_scaler_test_the_rows_own_numbers_and_texts() {
    let artifact = converted(&pipeline(small_trees()), None);
    assert!(matches!(artifact.predictor, Predictor::Forest(_)));
    let rows = [
        (Some(7.1), Some("north")),
        (Some(6.9), Some("north")),
        (None, Some("south")),
        (Some(6.9), None),
        (Some(6.9), Some("nowhere")),
    ];
    assert_eq!(scores(&artifact, &rows), [11.0, 21.0, 31.0, 31.0, 31.0]);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let said = refused(&network("Softplus", sigmoid()));
    assert!(said.contains("\"the Softplus\" (Softplus)") && said.contains("LeakyRelu"), "{said}");
}

#[test]
fn a_graph_that_depends_on_itself_is_refused() {
    let mut model = network("Relu", sigmoid());
    model.graph.as_mut().unwrap().node[0].input[0] = "hidden".into();
    assert!(refused(&model).contains("depends on itself"));
}

#[test]
fn data_in_other_files_are_refused_and_no_path_is_opened() {
    let mut model = network("Relu", sigmoid());
    let weights = &mut model.graph.as_mut().unwrap().initializer[0];
    weights.float_data.clear();
    (weights.data_location, weights.external_data) = (Some(1), vec![proto::Ignored {}]);
    assert!(refused(&model).contains("another file"));
}

#[test]
fn shapes_that_promise_more_than_there_is_are_refused() {
    for dims in [vec![1 << 31, 1], vec![i64::MAX, i64::MAX], vec![-1, 2], vec![1; 1000]] {
        let mut model = network("Relu", sigmoid());
        model.graph.as_mut().unwrap().initializer[0].dims = dims;
        refused(&model);
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_work() {
    // Each node doubles the length of the constant before it.
    let mut nodes: Vec<proto::Node> = (0..60)
        .map(|n| {
            let before = if n == 0 { "c".to_owned() } else { format!("c{}", n - 1) };
            node("Concat", &[&before, &before], &format!("c{n}"), vec![attribute("axis")])
        })
        .collect();
    nodes.push(node("Add", &["x", "c59"], "score", vec![]));
    let model = graph(vec![value("x", FLOAT, 2)], vec![tensor("c", &[2], &[0.0, 0.0])], nodes);
    assert!(refused(&model).contains("elements"));
    // A deep graph of products of one matrix.
    let mut before = "x".to_owned();
    let mut nodes = Vec::new();
    for n in 0..15_000 {
        let next = if n == 14_999 { "score".to_owned() } else { format!("x{n}") };
        nodes.push(node("MatMul", &[&before, "w"], &next, vec![]));
        before = next;
    }
    let width = 600;
    let names = (0..width).map(|n| format!("c{n}")).collect();
    let weights = tensor("w", &[width, width], &vec![0.001; (width * width) as usize]);
    let model = graph(vec![value("x", FLOAT, width)], vec![weights], nodes);
    let conversion = Conversion { names: Some(names), ..Conversion::default() };
    let error = convert(&model.encode_to_vec(), &conversion).unwrap_err();
    assert!(error.message.contains("more computation"), "{error}");
}

#[test]
fn a_model_cut_off_anywhere_is_refused_or_converted_but_never_panics() {
    let bytes = network("Relu", sigmoid()).encode_to_vec();
    let conversion = Conversion { names: Some(vec!["a".into(), "b".into()]), ..Conversion::default() };
    for end in 0..bytes.len() {
        let _ = convert(&bytes[..end], &conversion);
    }
}

/// Small models of each kind, with what is asked of their conversion.
fn seeds() -> Vec<(Vec<u8>, Conversion)> {
    let models = [
        network("Relu", sigmoid()),
        network("Gelu", sigmoid()),
        pipeline(node("MatMul", &["features", "weights"], "score", vec![])),
        pipeline(small_trees()),
    ];
    let seed = |(n, model): (usize, &proto::Model)| {
        let names = (n < 2).then(|| vec!["a".to_owned(), "b".to_owned()]);
        (model.encode_to_vec(), Conversion { names, ..Conversion::default() })
    };
    models.iter().enumerate().map(seed).collect()
}

/// Writes them into the folder that `FUZZ_SEEDS` names, from which the fuzzer starts.
#[test]
fn seeds_of_the_fuzzer_are_converted() {
    for (n, (bytes, conversion)) in seeds().iter().enumerate() {
        convert(bytes, conversion).unwrap();
        if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
            let file = std::path::Path::new(&folder).join(format!("{n}.onnx"));
            std::fs::write(file, bytes).unwrap();
        }
    }
}

/// Up to three bytes changed, taken out or put in, of which the number decides alone.
fn mutated(bytes: &[u8], number: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut drawn = number;
    let mut draw = |below: usize| {
        drawn = chain(drawn, 1);
        (drawn % below as u64) as usize
    };
    for _ in 0..=draw(3) {
        let (place, byte) = (draw(bytes.len()), draw(256) as u8);
        match draw(4) {
            0 => bytes[place] ^= 1 << (byte % 8),
            1 => bytes[place] = byte,
            2 => bytes.insert(place, byte),
            _ => drop(bytes.remove(place)),
        }
    }
    bytes
}

/// A second of what the fuzzer does for as long as it is let.
#[test]
fn a_model_with_changed_bytes_is_refused_or_converted_to_what_can_be_read() {
    let (mut converted, mut refused) = (0, 0);
    for (bytes, conversion) in seeds() {
        for number in 0..1000 {
            let Ok((artifact, _)) = convert(&mutated(&bytes, number), &conversion) else {
                refused += 1;
                continue;
            };
            converted += 1;
            let written = artifact.to_bytes().unwrap();
            assert_eq!(Artifact::from_bytes(&written).unwrap(), artifact);
        }
    }
    // Both ends are reached, so that neither the reader nor what follows it is left out.
    assert!(converted > 100 && refused > 100, "{converted} {refused}");
}
