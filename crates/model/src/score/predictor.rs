//! A predictor turns a prepared row into numbers: networks, a forest, both, or the rates of keys. Its tensors are:
//!
//! | tensor | shape |
//! | --- | --- |
//! | `network.{m}.embedding.{i}` | (rows, dimension) of the recipe's i-th category |
//! | `network.{m}.cross.{k}.down`, `.up`, `.bias` | (rank, width), (width, rank), (width) |
//! | `network.{m}.layer.{k}.weight`, `.bias` | (outputs, inputs), (outputs) |
//! | `forest.…` | see [`crate::forest`] |
//! | `rates.key`, `rates.rate`, `rates.others` | (keys), (keys), (1) |

use super::forest::{self, Forest};
use super::network::{Activation, Cross, Dense, Network, MAX_CROSSES, MAX_LAYERS};
use super::rates::Rates;
use crate::error::ModelError;
use crate::stored::recipe::{Input, Recipe};
use crate::stored::tensors::{TensorReader, TensorWriter};
use serde::{Deserialize, Serialize};

/// Most networks that are averaged.
pub const MAX_MEMBERS: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub enum Predictor {
    /// Networks of one shape, whose outputs are averaged.
    Networks(Vec<Network>),
    /// A forest with the outputs of the task.
    Forest(Forest),
    Blend(Blend),
    Rates(Rates),
}

/// Networks and a forest, weighed and added.
#[derive(Debug, Clone, PartialEq)]
pub struct Blend {
    pub networks: Vec<Network>,
    pub forest: Forest,
    pub weights: Weights,
}

/// `networks * (their mean output) + forest * (its output) + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    pub networks: f64,
    pub forest: f64,
    pub offset: f64,
}

impl Weights {
    /// The weighted sum of the parts' outputs.
    pub fn of(&self, networks: f64, forest: f64) -> f64 {
        self.networks * networks + self.forest * forest + self.offset
    }

    fn check(&self) -> Result<(), ModelError> {
        match [self.networks, self.forest, self.offset].iter().all(|weight| weight.is_finite()) {
            true => Ok(()),
            false => Err(ModelError::artifact("the weights of its parts")),
        }
    }
}

/// The predictor's description in the header of an artifact, which tells a reader the tensors to expect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictorLayout {
    Networks(Depth),
    Forest,
    Blend { networks: Depth, weights: Weights },
    Rates,
}

/// How many networks there are, and of how many layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Depth {
    members: usize,
    crosses: usize,
    layers: usize,
    /// Of the hidden layers; empty if all are ReLU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    activations: Vec<Activation>,
}

impl Predictor {
    /// Checks every bound, and the shapes against the recipe and the number of outputs.
    pub fn check(&self, recipe: &Recipe, outputs: usize) -> Result<(), ModelError> {
        let key = recipe.columns.iter().any(|column| matches!(column.input, Input::Key));
        match self {
            Self::Rates(rates) if key && recipe.columns.len() == 1 => rates.check(),
            Self::Rates(_) => Err(ModelError::artifact("rates need a key, and nothing else")),
            _ if key => Err(ModelError::artifact("only rates read a key")),
            Self::Networks(members) => check_networks(members, recipe, outputs),
            Self::Forest(forest) => check_forest(forest, recipe, outputs),
            Self::Blend(blend) => {
                blend.weights.check()?;
                check_networks(&blend.networks, recipe, outputs)?;
                check_forest(&blend.forest, recipe, outputs)
            }
        }
    }

    /// How many numbers training fitted.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Networks(members) => members.iter().map(Network::parameters).sum(),
            Self::Forest(forest) => forest.leaf_count(),
            Self::Blend(blend) => {
                blend.networks.iter().map(Network::parameters).sum::<usize>() + blend.forest.leaf_count()
            }
            Self::Rates(rates) => rates.keys.len() + 1,
        }
    }

    pub fn layout(&self) -> PredictorLayout {
        match self {
            Self::Networks(members) => PredictorLayout::Networks(Depth::of(members)),
            Self::Forest(_) => PredictorLayout::Forest,
            Self::Blend(blend) => {
                PredictorLayout::Blend { networks: Depth::of(&blend.networks), weights: blend.weights }
            }
            Self::Rates(_) => PredictorLayout::Rates,
        }
    }

    pub fn write(&self, tensors: &mut TensorWriter) {
        match self {
            Self::Networks(members) => write_networks(members, tensors),
            Self::Forest(forest) => write_forest(forest, tensors),
            Self::Blend(blend) => {
                write_networks(&blend.networks, tensors);
                write_forest(&blend.forest, tensors);
            }
            Self::Rates(rates) => {
                tensors.list("rates.key", rates.keys.iter().copied());
                tensors.list("rates.rate", rates.rates.iter().copied());
                tensors.list("rates.others", [rates.of_others].into_iter());
            }
        }
    }

    /// Reads what [`Predictor::write`] wrote. The recipe must have been checked; the result has not been.
    pub fn read(
        layout: PredictorLayout,
        recipe: &Recipe,
        tensors: &mut TensorReader,
    ) -> Result<Self, ModelError> {
        match layout {
            PredictorLayout::Networks(depth) => Ok(Self::Networks(depth.read(recipe, tensors)?)),
            PredictorLayout::Forest => Ok(Self::Forest(read_forest(tensors)?)),
            PredictorLayout::Blend { networks, weights } => Ok(Self::Blend(Blend {
                networks: networks.read(recipe, tensors)?,
                forest: read_forest(tensors)?,
                weights,
            })),
            PredictorLayout::Rates => {
                let keys: Vec<u64> = tensors.list("rates.key")?;
                let rates: Vec<f64> = tensors.list("rates.rate")?;
                let others: Vec<f64> = tensors.list("rates.others")?;
                match others[..] {
                    [of_others] if keys.len() == rates.len() => {
                        Ok(Self::Rates(Rates { keys: keys.into(), rates: rates.into(), of_others }))
                    }
                    _ => Err(ModelError::artifact("the rates of its keys")),
                }
            }
        }
    }
}

fn check_networks(members: &[Network], recipe: &Recipe, outputs: usize) -> Result<(), ModelError> {
    let depth = Depth::of(members);
    depth.check()?;
    if members
        .iter()
        .any(|member| Depth::of(std::slice::from_ref(member)) != Depth { members: 1, ..depth.clone() })
    {
        return Err(ModelError::artifact("its networks differ in depth or activations"));
    }
    members.iter().try_for_each(|member| member.check(recipe, outputs))
}

fn check_forest(forest: &Forest, recipe: &Recipe, outputs: usize) -> Result<(), ModelError> {
    if forest.outputs() != outputs {
        return Err(ModelError::artifact(format!("a forest of {} outputs", forest.outputs())));
    }
    let codes: Vec<usize> = recipe.categories().iter().map(|category| category.rows()).collect();
    forest.check(recipe.scalings().len(), &codes)
}

impl Depth {
    fn of(members: &[Network]) -> Self {
        Self {
            members: members.len(),
            crosses: members.first().map_or(0, |network| network.crosses.len()),
            layers: members.first().map_or(0, |network| network.layers.len()),
            activations: members.first().map_or(Vec::new(), |network| network.activations.clone()),
        }
    }

    fn check(&self) -> Result<(), ModelError> {
        let Self { members, crosses, layers, .. } = self;
        let fits = (1..=MAX_MEMBERS).contains(members)
            && *crosses <= MAX_CROSSES
            && (1..=MAX_LAYERS).contains(layers);
        match fits {
            true => Ok(()),
            false => Err(ModelError::artifact(format!(
                "{members} networks of {crosses} cross layers and {layers} layers"
            ))),
        }
    }

    fn read(self, recipe: &Recipe, tensors: &mut TensorReader) -> Result<Vec<Network>, ModelError> {
        self.check()?;
        let categories = recipe.categories().len();
        (0..self.members).map(|m| read_network(m, categories, &self, tensors)).collect()
    }
}

fn write_forest(forest: &Forest, tensors: &mut TensorWriter) {
    forest.to_tensors().into_iter().for_each(|tensor| tensors.raw(tensor));
}

fn read_forest(tensors: &mut TensorReader) -> Result<Forest, ModelError> {
    let raw = tensors.raw(&forest::NAMES)?;
    let forest = Forest::from_tensors(|name| {
        raw.get(name).map(|(dtype, shape, bytes)| (*dtype, *shape, bytes.as_slice()))
    })?;
    drop(raw);
    tensors.count(forest::NAMES.len());
    Ok(forest)
}

fn write_networks(members: &[Network], tensors: &mut TensorWriter) {
    members.iter().enumerate().for_each(|(m, network)| write_network(m, network, tensors));
}

fn write_network(m: usize, network: &Network, tensors: &mut TensorWriter) {
    let name = |part: &str| format!("network.{m}.{part}");
    for (i, table) in network.embeddings.iter().enumerate() {
        tensors.matrix(name(&format!("embedding.{i}")), table);
    }
    for (k, cross) in network.crosses.iter().enumerate() {
        tensors.matrix(name(&format!("cross.{k}.down")), &cross.down);
        tensors.matrix(name(&format!("cross.{k}.up")), &cross.up);
        tensors.vector(name(&format!("cross.{k}.bias")), &cross.bias);
    }
    for (k, layer) in network.layers.iter().enumerate() {
        tensors.matrix(name(&format!("layer.{k}.weight")), &layer.weight);
        tensors.vector(name(&format!("layer.{k}.bias")), &layer.bias);
    }
}

fn read_network(
    m: usize,
    categories: usize,
    depth: &Depth,
    tensors: &mut TensorReader,
) -> Result<Network, ModelError> {
    let name = |part: &str| format!("network.{m}.{part}");
    let mut network = Network { activations: depth.activations.clone(), ..Network::default() };
    for i in 0..categories {
        network.embeddings.push(tensors.matrix(&name(&format!("embedding.{i}")))?);
    }
    for k in 0..depth.crosses {
        network.crosses.push(Cross {
            down: tensors.matrix(&name(&format!("cross.{k}.down")))?,
            up: tensors.matrix(&name(&format!("cross.{k}.up")))?,
            bias: tensors.vector(&name(&format!("cross.{k}.bias")))?,
        });
    }
    for k in 0..depth.layers {
        network.layers.push(Dense {
            weight: tensors.matrix(&name(&format!("layer.{k}.weight")))?,
            bias: tensors.vector(&name(&format!("layer.{k}.bias")))?,
        });
    }
    Ok(network)
}
