//! The original graph, node by node, as the specification says it: the reference that a converted model is compared with.
//! Constants are folded by it too.
//!
//! | file | operators |
//! | --- | --- |
//! | `elementwise` | of numbers one by one, with broadcasting |
//! | `matrix` | Gemm, MatMul, BatchNormalization, Softmax, reductions |
//! | `shapes` | what moves values: Reshape, Concat, Gather, Slice, … |
//! | `classical` | `ai.onnx.ml` |

mod classical;
mod elementwise;
mod matrix;
mod shapes;

use super::error::{refuse, ImportError, Result};
use super::graph::{Graph, Node, ML};
use super::tensor::Tensor;
use super::work::Work;
use std::collections::HashMap;

pub use classical::{impute_value, label_map, of_column, LabelKeys};
pub use elementwise::broadcast;
pub use elementwise::selu;
pub use matrix::{reduced_axes, transposed};
pub use shapes::{axis_of, shape_part};

/// The inputs of a node, of which some may be left out.
pub struct Given<'a> {
    pub node: &'a Node,
    tensors: Vec<Option<&'a Tensor>>,
}

impl<'a> Given<'a> {
    pub fn new(node: &'a Node, tensors: Vec<Option<&'a Tensor>>) -> Self {
        Self { node, tensors }
    }

    pub fn get(&self, n: usize) -> Option<&'a Tensor> {
        self.tensors.get(n).copied().flatten()
    }

    pub fn need(&self, n: usize) -> Result<&'a Tensor> {
        match self.get(n) {
            Some(tensor) => Ok(tensor),
            None => refuse(format!("{} lacks input {n}", self.node)),
        }
    }

    pub fn all(&self) -> Result<Vec<&'a Tensor>> {
        (0..self.tensors.len()).map(|n| self.need(n)).collect()
    }
}

/// What a node makes of its inputs.
pub fn evaluate(given: &Given, work: &Work) -> Result<Vec<Tensor>> {
    let node = given.node;
    let made = match node.domain.as_str() {
        "" => elementwise::evaluate(given, work)
            .or_else(|| matrix::evaluate(given, work))
            .or_else(|| shapes::evaluate(given, work)),
        ML => classical::evaluate(given, work),
        _ => None,
    };
    made.unwrap_or_else(|| Err(unsupported(node)))
}

/// The error for an operator that is not known.
pub fn unsupported(node: &Node) -> ImportError {
    ImportError::hinted(format!("{node} is not supported"), SUPPORTED)
}

/// What would be supported.
pub const SUPPORTED: &str = "Supported are, of ONNX: Gemm, MatMul, Add, Sub, Mul, Div, Neg, Sum, Relu, LeakyRelu, PRelu, Elu, \
    Selu, Gelu, Erf, Tanh, Sigmoid, Softmax of two, BatchNormalization, Dropout, Concat, Reshape, Flatten, Squeeze, Unsqueeze, \
    Slice, Split, Gather, Cast, Identity, IsNaN, Where, ReduceSum, ReduceMean; of ai.onnx.ml: Scaler, Imputer, OneHotEncoder, \
    LabelEncoder, CategoryMapper, FeatureVectorizer, ArrayFeatureExtractor, LinearClassifier, LinearRegressor, \
    TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble, ZipMap.";

/// Runs the graph on the rows of its inputs and returns its output.
pub fn run(graph: &Graph, inputs: HashMap<String, Tensor>, work: &Work) -> Result<Tensor> {
    let mut values = inputs;
    let mut last_use: HashMap<&str, usize> = HashMap::new();
    for (n, node) in graph.nodes.iter().enumerate() {
        last_use.extend(node.inputs.iter().map(|name| (name.as_str(), n)));
    }
    for (n, node) in graph.nodes.iter().enumerate() {
        let of = |name: &String| values.get(name).or_else(|| graph.constants.get(name));
        let given = Given::new(node, node.inputs.iter().map(of).collect());
        let made = evaluate(&given, work)?;
        for name in node.inputs.iter().filter(|name| last_use.get(name.as_str()) == Some(&n)) {
            if *name != graph.output {
                values.remove(name);
            }
        }
        let outputs = node.outputs.iter().cloned().zip(made);
        values.extend(outputs.filter(|(name, _)| !name.is_empty()));
    }
    match values.remove(&graph.output).or_else(|| graph.constants.get(&graph.output).cloned()) {
        Some(output) => Ok(output),
        None => refuse(format!("nothing in the model makes \"{}\"", graph.output)),
    }
}
