//! The graph of a model: its inputs, its constants, and the nodes that its score needs, each after those that it reads.

use super::error::{refuse, ImportError, Result};
use super::tensor::{texts, Kind, Tensor, TEXT};
use super::wire;
use crate::{carried, proto};
use model::Artifact;
use prost::Message;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Oldest operator set of ONNX itself, and newest known one.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=27;
/// The domain of the operators of classical machine learning.
pub const ML: &str = "ai.onnx.ml";

/// What a graph input takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub name: String,
    /// `None` for texts.
    pub kind: Option<Kind>,
    /// Values of a row; `None` if the model leaves it open.
    pub width: Option<usize>,
    /// Dimensions of a row besides the first.
    pub rank: usize,
}

#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub op: String,
    /// Empty for ONNX itself.
    pub domain: String,
    /// The operator set of its domain.
    pub version: i64,
    /// Names of values; empty for one that is left out.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    attributes: HashMap<String, proto::Attribute>,
}

#[derive(Debug)]
pub struct Graph {
    pub inputs: Vec<Input>,
    pub constants: BTreeMap<String, Tensor>,
    pub nodes: Vec<Node>,
    /// The value that becomes the score.
    pub output: String,
}

impl Graph {
    /// Reads a model, and the artifact that it carries if we wrote it. Sizes, counts and depth are checked before anything is decoded.
    pub fn read(bytes: &[u8]) -> Result<(Self, Option<Artifact>)> {
        wire::check(bytes)?;
        let model = proto::Model::decode(bytes)
            .map_err(|error| ImportError::new(format!("the bytes are no ONNX model: {error}")))?;
        let carried = carried::artifact(&model)?;
        let Some(graph) = model.graph else {
            return refuse("the bytes are no ONNX model: there is no graph");
        };
        if let Some(function) = model.functions.first() {
            let name = function.name.as_deref().unwrap_or("");
            return Err(ImportError::hinted(
                format!("the model defines operators of its own, such as \"{name}\""),
                "Inline them: onnx.inliner.inline_local_functions(model).",
            ));
        }
        let versions = versions(&model.opset_import)?;
        if !graph.sparse_initializer.is_empty() {
            return refuse("the model has sparse tensors");
        }
        let mut constants = BTreeMap::new();
        for tensor in &graph.initializer {
            let name = tensor.name.clone().unwrap_or_default();
            if constants.insert(name.clone(), Tensor::read(tensor)?).is_some() {
                return refuse(format!("the model defines \"{name}\" twice"));
            }
        }
        let inputs = graph.input.iter().filter(|input| !constants.contains_key(input.name()));
        let inputs = inputs.map(input).collect::<Result<Vec<_>>>()?;
        let output = match (&carried, graph.output.first()) {
            (Some(_), Some(score)) => score.name().to_owned(),
            _ => output(&graph.output)?,
        };
        let nodes = graph.node.into_iter().map(|node| Node::read(node, &versions));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        let nodes = in_order(nodes, &inputs, &constants, &output)?;
        Ok((Self { inputs, constants, nodes, output }, carried))
    }
}

fn versions(imports: &[proto::OperatorSet]) -> Result<HashMap<String, i64>> {
    let mut versions = HashMap::new();
    for import in imports {
        let domain = match import.domain.as_deref() {
            None | Some("ai.onnx") => "",
            Some(domain) => domain,
        };
        let version = import.version.unwrap_or_default();
        if domain.is_empty() && !OPSETS.contains(&version) {
            return Err(ImportError::hinted(
                format!("the model has operator set {version}"),
                format!("Operator sets {} to {} are read.", OPSETS.start(), OPSETS.end()),
            ));
        }
        versions.insert(domain.to_owned(), version);
    }
    Ok(versions)
}

fn input(value: &proto::ValueInfo) -> Result<Input> {
    let name = value.name().to_owned();
    let tensor = value.r#type.as_ref().and_then(|r#type| r#type.tensor.as_ref());
    let Some(tensor) = tensor else { return refuse(format!("input \"{name}\" is no tensor")) };
    let element = tensor.elem_type.unwrap_or_default();
    let kind = Kind::of(element);
    if kind.is_none() && element != TEXT {
        return Err(ImportError::hinted(
            format!("input \"{name}\" has element type {element}"),
            "Inputs are float, double, integers, booleans or texts.",
        ));
    }
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let lengths = dimensions.get(1..).unwrap_or_default().iter().map(|dimension| dimension.dim_value);
    let mut known = lengths.map(|length| length.and_then(|length| usize::try_from(length).ok()));
    let width =
        known.try_fold(1_usize, |product, length| length.and_then(|length| product.checked_mul(length)));
    Ok(Input { name, kind, width, rank: dimensions.len().saturating_sub(1) })
}

/// The output that is the score: the last of those that are numbers or maps, since classifiers put the label first.
fn output(outputs: &[proto::ValueInfo]) -> Result<String> {
    let is_label = |value: &proto::ValueInfo| {
        let tensor = value.r#type.as_ref().and_then(|r#type| r#type.tensor.as_ref());
        tensor.is_some_and(|tensor| matches!(tensor.elem_type, Some(2..=9 | 12 | 13)))
    };
    let scores: Vec<&str> =
        outputs.iter().filter(|value| !is_label(value)).map(proto::ValueInfo::name).collect();
    match scores[..] {
        [one] => Ok(one.to_owned()),
        [] => refuse("the model has no output of floating-point numbers"),
        _ => Err(ImportError::hinted(
            format!("the model has several outputs: {}", scores.join(", ")),
            "Keep the one that is the score: onnx.utils.Extractor, or a model with one output.",
        )),
    }
}

/// The nodes that the output needs, in topological order.
fn in_order(
    nodes: Vec<Node>,
    inputs: &[Input],
    constants: &BTreeMap<String, Tensor>,
    output: &str,
) -> Result<Vec<Node>> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    let given: HashSet<&str> =
        inputs.iter().map(|input| input.name.as_str()).chain(constants.keys().map(String::as_str)).collect();
    for (n, node) in nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if given.contains(name.as_str()) || makers.insert(name, n).is_some() {
                return refuse(format!("the model defines \"{name}\" twice"));
            }
        }
    }
    // A walk from the output without recursion: each node is opened once and closed once its inputs are there.
    let mut state = vec![State::New; nodes.len()];
    let mut order = Vec::new();
    let mut stack: Vec<(&str, bool)> = vec![(output, false)];
    while let Some((name, are_inputs_done)) = stack.pop() {
        let Some(n) = makers.get(name).copied() else {
            match given.contains(name) {
                true => continue,
                false => return refuse(format!("nothing in the model defines \"{name}\"")),
            }
        };
        match (state[n], are_inputs_done) {
            (State::Done, _) => {}
            (_, true) => {
                state[n] = State::Done;
                order.push(n);
            }
            (State::Open, false) => return refuse(format!("{} depends on itself", nodes[n])),
            (State::New, false) => {
                state[n] = State::Open;
                stack.push((name, true));
                let needed = nodes[n].inputs.iter().filter(|name| !name.is_empty());
                stack.extend(needed.map(|name| (name.as_str(), false)));
            }
        }
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|n| nodes[n].take()).collect())
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    Done,
}

impl Node {
    fn read(node: proto::Node, versions: &HashMap<String, i64>) -> Result<Self> {
        let domain = match node.domain.as_deref() {
            None | Some("ai.onnx") => String::new(),
            Some(domain) => domain.to_owned(),
        };
        let version = versions.get(&domain).copied().unwrap_or(1);
        let named = |attribute: proto::Attribute| (attribute.name().to_owned(), attribute);
        Ok(Self {
            name: node.name.unwrap_or_default(),
            op: node.op_type.unwrap_or_default(),
            domain,
            version,
            inputs: node.input,
            outputs: node.output,
            attributes: node.attribute.into_iter().map(named).collect(),
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attributes.get(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub fn float(&self, name: &str, default: f32) -> f64 {
        f64::from(self.attributes.get(name).and_then(|attribute| attribute.f).unwrap_or(default))
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        let bytes = self.attributes.get(name).and_then(|attribute| attribute.s.as_deref());
        bytes.map_or(default.to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn ints(&self, name: &str) -> &[i64] {
        self.attributes.get(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub fn floats(&self, name: &str) -> Vec<f64> {
        let floats = self.attributes.get(name).map_or(&[][..], |attribute| &attribute.floats);
        floats.iter().map(|value| f64::from(*value)).collect()
    }

    pub fn strings(&self, name: &str) -> Result<Vec<String>> {
        self.attributes.get(name).map_or(Ok(Vec::new()), |attribute| texts(&attribute.strings))
    }

    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        self.attributes.get(name).and_then(|attribute| attribute.t.as_ref()).map(Tensor::read).transpose()
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let domain = if self.domain.is_empty() { String::new() } else { format!("{}.", self.domain) };
        write!(to, "node \"{}\" ({domain}{})", self.name, self.op)
    }
}
