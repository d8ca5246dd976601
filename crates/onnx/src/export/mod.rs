//! A version as one ONNX graph: preprocessing, predictor and calibration, equal to what `reco.predict` gives.
//!
//! | file | holds |
//! | --- | --- |
//! | `columns` | one input for each column of the source |
//! | `numbers` | what a network reads of numbers |
//! | `lines` | broken lines through points: quantile transforms, isotonic calibration |
//! | `network`, `activation` | networks, averaged |
//! | `forest` | trees |
//! | `outputs` | the score and the quantiles |
//! | `graph` | nodes, constants and names while a graph is built |
//!
//! Numbers are doubles wherever scoring here has doubles: raw values, preprocessing, thresholds, calibration. Networks are of
//! floats. Operators are those of opset 17 and of version 3 of `ai.onnx.ml`, which came with ONNX 1.12.

mod activation;
mod columns;
mod forest;
mod graph;
mod lines;
mod network;
mod numbers;
mod outputs;

use crate::{carried, proto};
use columns::Inputs;
use graph::{Graph, Value};
use model::predictor::Blend;
use model::{Artifact, ModelError, Predictor};
use prost::Message;
use serde_json::json;
use thiserror::Error;

pub use columns::NULL_TEXT;

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// The domain of trees and vocabularies.
const ML: &str = "ai.onnx.ml";
const ML_OPSET: i64 = 3;

/// Why a version cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// ONNX has nothing for something that the version needs.
    #[error("{0}")]
    Unsupported(String),
    #[error("as ONNX it would have more than {most} bytes")]
    TooLarge { most: usize },
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ExportError {
    fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }
}

/// What the file says of the version besides.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub model: &'a str,
    pub version: i32,
    /// The version of pg_recommend that writes.
    pub writer: &'a str,
}

/// The artifact as the bytes of an ONNX file; the same artifact always gives the same bytes. `pause` is called between pieces of
/// work, the longest of which is a constant or a tree.
///
/// Inputs: one for each column, by the column's name, of shape `(rows, 1)`, of an array `(rows, elements)`. Text is a tensor of
/// strings, in which [`NULL_TEXT`] stands for NULL; everything else is a tensor of doubles, in which NaN and infinities stand
/// for NULL. Outputs: `score`, shape `(rows)`, and of a quantity `quantiles`, shape `(rows, 3)`; both are doubles. NaN where the
/// sums of cross layers overflow, which is an error of `predict`.
///
/// The file carries the artifact besides, in base 64, by which [`crate::import`] brings the version back as it was.
///
/// An artifact that [`Artifact::check`] refuses is an error, as are the popularity baseline, whose keys are known by their hashes
/// only, a vocabulary that holds [`NULL_TEXT`], two columns of one name, and a file that would have more than `most` bytes.
pub fn export(
    artifact: &Artifact,
    about: About,
    most: usize,
    pause: &mut dyn FnMut(),
) -> Result<Vec<u8>, ExportError> {
    artifact.check()?;
    let mut graph = Graph::new(about.model, most, pause);
    let inputs = Inputs::of(&artifact.recipe, &mut graph)?;
    let numbers = predicted(artifact, &inputs, &mut graph)?;
    outputs::write(artifact, &numbers, &mut graph)?;
    let bytes = artifact.to_bytes()?;
    graph.take_room(carried::length(bytes.len()))?;
    let model = proto::Model {
        ir_version: Some(IR_VERSION),
        producer_name: "pg_recommend".to_owned(),
        producer_version: about.writer.to_owned(),
        model_version: about.version.into(),
        doc_string: format!("Version {} of the model \"{}\"", about.version, about.model),
        graph: Some(graph.finish()),
        opset_import: vec![opset("", OPSET), opset(ML, ML_OPSET)],
        metadata_props: metadata(artifact, &bytes),
        functions: Vec::new(),
    };
    match model.encoded_len() {
        length if length > most => Err(ExportError::TooLarge { most }),
        _ => Ok(model.encode_to_vec()),
    }
}

/// What the predictor puts out, shape `(rows, outputs)`, before calibration.
fn predicted(artifact: &Artifact, inputs: &Inputs, graph: &mut Graph) -> Result<Value, ExportError> {
    let recipe = &artifact.recipe;
    match &artifact.predictor {
        Predictor::Networks(members) => network::average(recipe, members, inputs, graph),
        Predictor::Forest(forest) => forest::margins(recipe, forest, inputs, graph),
        Predictor::Blend(Blend { networks, forest, weights }) => {
            let networks = network::average(recipe, networks, inputs, graph)?;
            let forest = forest::margins(recipe, forest, inputs, graph)?;
            let weighed = |part: &Value, weight: f64, name: &str, graph: &mut Graph| {
                let weight = graph.scalar(&format!("blend/{name}/weight"), weight)?;
                Ok::<_, ExportError>(graph.node("Mul", &format!("blend/{name}"), &[part, &weight], vec![]))
            };
            let networks = weighed(&networks, weights.networks, "networks", graph)?;
            let forest = weighed(&forest, weights.forest, "forest", graph)?;
            let sum = graph.node("Add", "blend/sum", &[&networks, &forest], vec![]);
            let offset = graph.scalar("blend/offset", weights.offset)?;
            Ok(graph.node("Add", "blend", &[&sum, &offset], vec![]))
        }
        Predictor::Rates(_) => Err(ExportError::unsupported(
            "the popularity baseline knows its products by hashes only, which ONNX has no operator for",
        )),
    }
}

fn opset(domain: &str, version: i64) -> proto::OperatorSet {
    proto::OperatorSet { domain: Some(domain.to_owned()), version: Some(version) }
}

fn metadata(artifact: &Artifact, bytes: &[u8]) -> Vec<proto::Entry> {
    let column = |column: &model::recipe::Column| json!({ "name": column.name, "sql_type": column.sql_type, "family": column.family });
    let columns: Vec<_> = artifact.recipe.columns.iter().map(column).collect();
    let task = json!(artifact.task());
    let entry = |key: &str, value: &str| proto::Entry { key: key.to_owned(), value: value.to_owned() };
    vec![
        entry("algorithm", artifact.algorithm.name()),
        entry("task", task.as_str().unwrap_or_default()),
        entry("null_text", NULL_TEXT),
        entry("columns", &json!(columns).to_string()),
        carried::entry(bytes),
    ]
}
