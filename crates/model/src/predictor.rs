//! What turns a prepared row into numbers: networks, a forest, or the rates of keys; and their tensors.
//!
//! | tensor | shape |
//! | --- | --- |
//! | `network.{m}.embedding.{i}` | (rows, dimension) of the recipe's i-th category |
//! | `network.{m}.cross.{k}.down`, `.up`, `.bias` | (rank, width), (width, rank), (width) |
//! | `network.{m}.layer.{k}.weight`, `.bias` | (outputs, inputs), (outputs) |
//! | `forest.…` | see [`crate::forest`] |
//! | `rates.key`, `rates.rate`, `rates.others` | (keys), (keys), (1) |

use crate::algorithm::Task;
use crate::error::ModelError;
use crate::network::{Cross, Dense, Network, MAX_CROSSES, MAX_LAYERS};
use crate::rates::Rates;
use crate::recipe::{Input, Recipe};
use crate::tensors::{Reader, Writer};
use serde::{Deserialize, Serialize};

/// Most networks that are averaged.
pub const MAX_MEMBERS: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub enum Predictor {
    /// Networks of one shape, whose outputs are averaged.
    Networks(Vec<Network>),
    Rates(Rates),
}

/// What the header says, so that a reader knows which tensors to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    Networks { members: usize, crosses: usize, layers: usize },
    Rates,
}

impl Predictor {
    /// Checks every bound, and the shapes against the recipe and the task.
    pub fn check(&self, recipe: &Recipe, task: Task) -> Result<(), ModelError> {
        let key = recipe.columns.iter().any(|column| matches!(column.input, Input::Key));
        match self {
            Self::Rates(rates) if key && recipe.columns.len() == 1 => rates.check(),
            Self::Rates(_) => Err(ModelError::artifact("rates need a key, and nothing else")),
            _ if key => Err(ModelError::artifact("only rates read a key")),
            Self::Networks(members) => {
                self.layout().check()?;
                let depth = |network: &Network| (network.crosses.len(), network.layers.len());
                if members.iter().any(|member| depth(member) != depth(&members[0])) {
                    return Err(ModelError::artifact("its networks differ in depth"));
                }
                members.iter().try_for_each(|member| member.check(recipe, task))
            }
        }
    }

    /// How many numbers training fitted.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Networks(members) => members.iter().map(Network::parameters).sum(),
            Self::Rates(rates) => rates.of_key.len() + 1,
        }
    }

    pub fn layout(&self) -> Layout {
        match self {
            Self::Networks(members) => Layout::Networks {
                members: members.len(),
                crosses: members.first().map_or(0, |network| network.crosses.len()),
                layers: members.first().map_or(0, |network| network.layers.len()),
            },
            Self::Rates(_) => Layout::Rates,
        }
    }

    pub fn write(&self, tensors: &mut Writer) {
        match self {
            Self::Networks(members) => {
                members.iter().enumerate().for_each(|(m, network)| write_network(m, network, tensors));
            }
            Self::Rates(rates) => {
                tensors.list("rates.key", rates.of_key.iter().map(|(key, _)| *key));
                tensors.list("rates.rate", rates.of_key.iter().map(|(_, rate)| *rate));
                tensors.list("rates.others", [rates.of_others].into_iter());
            }
        }
    }

    /// Reads what [`Predictor::write`] wrote. The recipe must have been checked; the result has not been.
    pub fn read(layout: Layout, recipe: &Recipe, tensors: &mut Reader) -> Result<Self, ModelError> {
        layout.check()?;
        match layout {
            Layout::Networks { members, crosses, layers } => {
                let categories = recipe.categories().len();
                let read = |m| read_network(m, categories, crosses, layers, tensors);
                Ok(Self::Networks((0..members).map(read).collect::<Result<_, _>>()?))
            }
            Layout::Rates => {
                let keys: Vec<u64> = tensors.list("rates.key")?;
                let rates: Vec<f64> = tensors.list("rates.rate")?;
                let others: Vec<f64> = tensors.list("rates.others")?;
                match others[..] {
                    [of_others] if keys.len() == rates.len() => {
                        Ok(Self::Rates(Rates { of_key: keys.into_iter().zip(rates).collect(), of_others }))
                    }
                    _ => Err(ModelError::artifact("the rates of its keys")),
                }
            }
        }
    }
}

impl Layout {
    fn check(self) -> Result<(), ModelError> {
        let fits = match self {
            Self::Networks { members, crosses, layers } => {
                (1..=MAX_MEMBERS).contains(&members)
                    && crosses <= MAX_CROSSES
                    && (1..=MAX_LAYERS).contains(&layers)
            }
            Self::Rates => true,
        };
        match fits {
            true => Ok(()),
            false => Err(ModelError::artifact(format!("{self:?}"))),
        }
    }
}

fn write_network(m: usize, network: &Network, tensors: &mut Writer) {
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
    crosses: usize,
    layers: usize,
    tensors: &mut Reader,
) -> Result<Network, ModelError> {
    let name = |part: &str| format!("network.{m}.{part}");
    let mut network = Network::default();
    for i in 0..categories {
        network.embeddings.push(tensors.matrix(&name(&format!("embedding.{i}")))?);
    }
    for k in 0..crosses {
        network.crosses.push(Cross {
            down: tensors.matrix(&name(&format!("cross.{k}.down")))?,
            up: tensors.matrix(&name(&format!("cross.{k}.up")))?,
            bias: tensors.vector(&name(&format!("cross.{k}.bias")))?,
        });
    }
    for k in 0..layers {
        network.layers.push(Dense {
            weight: tensors.matrix(&name(&format!("layer.{k}.weight")))?,
            bias: tensors.vector(&name(&format!("layer.{k}.bias")))?,
        });
    }
    Ok(network)
}
