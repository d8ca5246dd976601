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
use crate::algorithm::Algorithm;
use crate::error::ModelError;
use crate::stored::recipe::{Input, Recipe};
use crate::stored::tensors::{TensorReader, TensorWriter};
use serde::{Deserialize, Serialize};

/// Most networks of one depth that are averaged.
pub const MAX_MEMBERS: usize = 32;
/// Most depths of the networks of a blend: one for each algorithm.
const MAX_DEPTHS: usize = Algorithm::NETWORKS.len();

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
    /// Their outputs are averaged. Those of one depth are neighbours.
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
    Blend {
        networks: Depth,
        /// The networks after those, of another depth each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<Depth>,
        weights: Weights,
    },
    Rates,
}

/// How many networks of one depth there are, and of how many layers.
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
                let depths = by_depth(&blend.networks);
                check_depths(depths.len())?;
                depths.iter().try_for_each(|networks| check_networks(networks, recipe, outputs))?;
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
                let mut depths = by_depth(&blend.networks).into_iter().map(Depth::of);
                let networks = depths.next().unwrap_or_else(|| Depth::of(&[]));
                PredictorLayout::Blend { networks, others: depths.collect(), weights: blend.weights }
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
            PredictorLayout::Networks(depth) => Ok(Self::Networks(read_networks(&[depth], recipe, tensors)?)),
            PredictorLayout::Forest => Ok(Self::Forest(read_forest(tensors)?)),
            PredictorLayout::Blend { networks, others, weights } => Ok(Self::Blend(Blend {
                networks: read_networks(&[&[networks], &others[..]].concat(), recipe, tensors)?,
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
}

/// The networks, those of each depth by themselves, and of one depth no more together than may be: without hidden layers the networks
/// of two algorithms are alike.
fn by_depth(networks: &[Network]) -> Vec<&[Network]> {
    let depth = |network: &Network| Depth::of(std::slice::from_ref(network));
    let alike = networks.chunk_by(|a, b| depth(a) == depth(b));
    alike.flat_map(|networks| networks.chunks(MAX_MEMBERS)).collect()
}

fn check_depths(depths: usize) -> Result<(), ModelError> {
    match (1..=MAX_DEPTHS).contains(&depths) {
        true => Ok(()),
        false => Err(ModelError::artifact(format!("networks of {depths} depths"))),
    }
}

fn read_networks(
    depths: &[Depth],
    recipe: &Recipe,
    tensors: &mut TensorReader,
) -> Result<Vec<Network>, ModelError> {
    check_depths(depths.len())?;
    let categories = recipe.categories().len();
    let mut networks = Vec::new();
    for depth in depths {
        depth.check()?;
        for _ in 0..depth.members {
            networks.push(read_network(networks.len(), categories, depth, tensors)?);
        }
    }
    Ok(networks)
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    /// A blend of networks of one input that have so many hidden layers each.
    fn blend(hidden: &[usize]) -> Predictor {
        let layer = Dense { weight: arr2(&[[2.0]]), bias: arr1(&[0.5]) };
        let network =
            |hidden: &usize| Network { layers: vec![layer.clone(); hidden + 1], ..Network::default() };
        let weights = Weights { networks: 0.5, forest: 0.5, offset: 0.0 };
        let forest = Forest::new(vec![0.0]).unwrap();
        Predictor::Blend(Blend { networks: hidden.iter().map(network).collect(), forest, weights })
    }

    #[test]
    fn a_blend_of_one_depth_is_written_as_it_always_was() {
        let layout = |hidden: &[usize]| serde_json::to_value(blend(hidden).layout()).unwrap();
        let one = layout(&[1, 1]);
        assert_eq!(one["blend"]["networks"], serde_json::json!({"members": 2, "crosses": 0, "layers": 2}));
        assert!(one["blend"].get("others").is_none(), "{one}");
        let three = layout(&[2, 0, 0]);
        assert_eq!(three["blend"]["networks"]["layers"], 3);
        assert_eq!(three["blend"]["others"], serde_json::json!([{"members": 2, "crosses": 0, "layers": 1}]));
    }

    #[test]
    fn as_many_networks_of_two_algorithms_as_may_be_can_be_alike() {
        let layout = serde_json::to_value(blend(&[0; 2 * MAX_MEMBERS]).layout()).unwrap();
        let half = serde_json::json!({"members": MAX_MEMBERS, "crosses": 0, "layers": 1});
        assert_eq!(
            (&layout["blend"]["networks"], &layout["blend"]["others"]),
            (&half, &serde_json::json!([half]))
        );
        // Refused for what they read, and not for being so many.
        let said = blend(&[0; 2 * MAX_MEMBERS]).check(&Recipe { columns: Vec::new() }, 1).unwrap_err();
        assert!(!said.to_string().contains("networks of"), "{said}");
    }

    #[test]
    fn more_depths_than_there_are_algorithms_are_refused() {
        let recipe = Recipe { columns: Vec::new() };
        let said = |hidden: &[usize]| blend(hidden).check(&recipe, 1).unwrap_err().to_string();
        assert!(
            said(&[0, 1, 2, 3]).contains("networks of 4 depths")
                && said(&[]).contains("networks of 0 depths")
        );
        // These are of a right number, and refused for what they read.
        assert!(!said(&[0, 1, 2]).contains("depths"), "{}", said(&[0, 1, 2]));
    }
}
