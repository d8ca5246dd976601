//! Ensembles of decision trees of `ai.onnx.ml`, in all forms, and their walk as the specification says it.

use super::error::{refuse, Result};
use super::graph::Node;
use std::collections::{BTreeMap, HashMap};

/// What an ensemble's sums become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    None,
    Logistic,
    Softmax,
}

impl Post {
    pub fn of(node: &Node) -> Result<Self> {
        match node.text("post_transform", "NONE").as_str() {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            other => {
                refuse(format!("{node} has post_transform {other}; NONE, LOGISTIC and SOFTMAX are read"))
            }
        }
    }
}

/// How a test compares.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    Above(f64),
    /// Whether the value is one of these.
    OneOf(Vec<f64>),
    /// Whether it is another.
    Not(f64),
}

impl Mode {
    pub fn holds(&self, value: f64) -> bool {
        match self {
            Self::AtMost(threshold) => value <= *threshold,
            Self::Below(threshold) => value < *threshold,
            Self::AtLeast(threshold) => value >= *threshold,
            Self::Above(threshold) => value > *threshold,
            Self::OneOf(values) => values.contains(&value),
            Self::Not(other) => value != *other,
        }
    }

    /// The values that it is equal to, or not.
    pub fn named(&self) -> Vec<f64> {
        match self {
            Self::OneOf(values) => values.clone(),
            Self::Not(value) => vec![*value],
            _ => Vec::new(),
        }
    }

    /// Whether it compares by size, so that it holds below a value or above it.
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Self::OneOf(_) | Self::Not(_))
    }
}

/// Most outputs of an ensemble: a mean and quantiles.
const MAX_TARGETS: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub enum Branch {
    /// What the leaf adds to each target.
    Leaf(Vec<(usize, f64)>),
    Test {
        feature: usize,
        mode: Mode,
        missing_holds: bool,
        yes: usize,
        no: usize,
    },
}

impl Branch {
    /// Whether a value takes the branch `yes`.
    pub fn takes(mode: &Mode, missing_holds: bool, value: f64) -> bool {
        mode.holds(value) || (missing_holds && value.is_nan())
    }
}

/// Trees, each with its root first and every node reached once.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    pub trees: Vec<Vec<Branch>>,
    /// Outputs of the sums: targets or classes.
    pub targets: usize,
    /// Added to each target, or nothing.
    pub base: Vec<f64>,
    pub average: bool,
    pub post: Post,
    /// A classifier of two classes of which the leaves vote for one only.
    pub one_sided: bool,
    pub all_positive: bool,
}

/// What a branch asks: the place of the value, how it is compared, and whether a missing value goes to the first child.
type Test = (usize, Mode, bool);

/// Nodes as the attributes list them, before they are trees.
struct Listed {
    /// By (tree, node) the position.
    places: HashMap<(i64, i64), usize>,
    trees: Vec<i64>,
    nodes: Vec<(Option<Test>, [i64; 2])>,
    leaves: BTreeMap<usize, Vec<(usize, f64)>>,
}

impl Ensemble {
    pub fn read(node: &Node) -> Result<Self> {
        match node.op.as_str() {
            "TreeEnsemble" => super::trees_v5::read(node),
            "TreeEnsembleClassifier" => Self::classifier(node),
            _ => Self::regressor(node),
        }
    }

    fn classifier(node: &Node) -> Result<Self> {
        let labels = node.ints("classlabels_int64s").len().max(node.strings("classlabels_strings")?.len());
        if labels > 2 {
            return refuse(format!("{node} tells {labels} classes apart; two are supported"));
        }
        let listed = Listed::read(node, "class")?;
        let ids = listed.leaves.values().flatten().map(|(class, _)| *class);
        let highest = ids.clone().max().unwrap_or(0);
        let one_sided = ids.clone().all(|class| class == highest);
        let all_positive = listed.leaves.values().flatten().all(|(_, weight)| *weight >= 0.0);
        let mut ensemble = Self {
            trees: listed.into_trees(node)?,
            targets: 2,
            base: weights(node, "base_values")?,
            average: false,
            post: Post::of(node)?,
            one_sided,
            all_positive,
        };
        if one_sided {
            ensemble.votes_for_one();
        }
        ensemble.checked(node)
    }

    /// Makes the one class that leaves vote for the only target.
    fn votes_for_one(&mut self) {
        let leaves = self.trees.iter_mut().flatten().filter_map(|branch| match branch {
            Branch::Leaf(votes) => Some(votes),
            Branch::Test { .. } => None,
        });
        leaves.flatten().for_each(|(target, _)| *target = 0);
        self.base = self.base.last().copied().into_iter().collect();
        self.targets = 1;
    }

    fn regressor(node: &Node) -> Result<Self> {
        let targets = usize::try_from(node.int("n_targets", 1)).unwrap_or(0);
        let average = match node.text("aggregate_function", "SUM").as_str() {
            "SUM" => false,
            "AVERAGE" => true,
            other => {
                return refuse(format!("{node} takes the {other} of its trees; SUM and AVERAGE are read"))
            }
        };
        Self {
            trees: Listed::read(node, "target")?.into_trees(node)?,
            targets,
            base: weights(node, "base_values")?,
            average,
            post: Post::of(node)?,
            one_sided: false,
            all_positive: false,
        }
        .checked(node)
    }

    pub fn checked(self, node: &Node) -> Result<Self> {
        let branches = self.trees.iter().flatten();
        let mut fits = (1..=MAX_TARGETS).contains(&self.targets)
            && (self.base.is_empty() || self.base.len() == self.targets);
        for branch in branches {
            if let Branch::Leaf(votes) = branch {
                fits &= votes.iter().all(|(target, weight)| *target < self.targets && weight.is_finite());
            }
        }
        match fits && self.base.iter().all(|base| base.is_finite()) {
            true => Ok(self),
            false => refuse(format!("{node} has targets or base values that do not fit")),
        }
    }

    /// The sums of one row, base values included, before the post transform.
    pub fn sums(&self, features: &[f64]) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; self.targets];
        for tree in &self.trees {
            let mut at = 0;
            let votes = loop {
                match &tree[at] {
                    Branch::Leaf(votes) => break votes,
                    Branch::Test { feature, mode, missing_holds, yes, no } => {
                        let Some(value) = features.get(*feature) else {
                            return refuse(format!("a tree reads feature {feature} of {}", features.len()));
                        };
                        at = if Branch::takes(mode, *missing_holds, *value) { *yes } else { *no };
                    }
                }
            };
            votes.iter().for_each(|(target, weight)| sums[*target] += weight);
        }
        let share = if self.average { self.trees.len().max(1) as f64 } else { 1.0 };
        sums.iter_mut().for_each(|sum| *sum /= share);
        sums.iter_mut().zip(&self.base).for_each(|(sum, base)| *sum += base);
        Ok(sums)
    }
}

/// A list of numbers that is an attribute of floats or a tensor.
pub fn weights(node: &Node, name: &str) -> Result<Vec<f64>> {
    match node.tensor(&format!("{name}_as_tensor"))? {
        Some(tensor) => Ok(tensor.values()?.to_vec()),
        None => Ok(node.floats(name)),
    }
}

impl Listed {
    fn read(node: &Node, kind: &str) -> Result<Self> {
        let list = |name: &str| node.ints(&format!("nodes_{name}"));
        let (trees, ids, features) = (list("treeids"), list("nodeids"), list("featureids"));
        let (yes, no, missing) =
            (list("truenodeids"), list("falsenodeids"), list("missing_value_tracks_true"));
        let values = weights(node, "nodes_values")?;
        let modes = node.strings("nodes_modes")?;
        let count = trees.len();
        let fits = [ids.len(), features.len(), yes.len(), no.len(), values.len(), modes.len()]
            .iter()
            .all(|length| *length == count);
        if !fits || !(missing.is_empty() || missing.len() == count) {
            return refuse(format!("{node} lists its nodes in arrays of different lengths"));
        }
        let (mut places, mut nodes) = (HashMap::new(), Vec::with_capacity(count));
        for n in 0..count {
            if places.insert((trees[n], ids[n]), n).is_some() {
                return refuse(format!("{node} has two nodes {} in tree {}", ids[n], trees[n]));
            }
            let mode = mode(&modes[n], values[n]).map_err(|other| {
                super::error::ImportError::new(format!("{node} has a node of mode {other}"))
            })?;
            let feature = usize::try_from(features[n]).unwrap_or(usize::MAX);
            let missing = missing.get(n).is_some_and(|tracks| *tracks != 0);
            nodes.push((mode.map(|mode| (feature, mode, missing)), [yes[n], no[n]]));
        }
        let leaves = leaves(node, kind, &places)?;
        Ok(Self { places, trees: trees.to_vec(), nodes, leaves })
    }

    fn into_trees(self, node: &Node) -> Result<Vec<Vec<Branch>>> {
        let mut is_child = vec![false; self.nodes.len()];
        let child =
            |n: usize, which: usize| self.places.get(&(self.trees[n], self.nodes[n].1[which])).copied();
        for n in (0..self.nodes.len()).filter(|n| self.nodes[*n].0.is_some()) {
            for which in 0..2 {
                match child(n, which) {
                    Some(child) if !is_child[child] && child != n => is_child[child] = true,
                    _ => return refuse(format!("{node} has a tree that is no tree")),
                }
            }
        }
        let mut trees = Vec::new();
        let mut seen = 0;
        for root in (0..self.nodes.len()).filter(|n| !is_child[*n]) {
            let mut tree = vec![root];
            let mut branches = Vec::new();
            while branches.len() < tree.len() {
                let n = tree[branches.len()];
                branches.push(match &self.nodes[n].0 {
                    None => Branch::Leaf(self.leaves.get(&n).cloned().unwrap_or_default()),
                    Some((feature, mode, missing_holds)) => {
                        let children = [child(n, 0), child(n, 1)].map(|child| child.unwrap_or(root));
                        tree.extend(children);
                        let (yes, no) = (tree.len() - 2, tree.len() - 1);
                        let (mode, missing_holds) = (mode.clone(), *missing_holds);
                        Branch::Test { feature: *feature, mode, missing_holds, yes, no }
                    }
                });
            }
            seen += branches.len();
            trees.push(branches);
        }
        // Nodes that no root leads to are a cycle.
        match seen == self.nodes.len() {
            true => Ok(trees),
            false => refuse(format!("{node} has a tree that is no tree")),
        }
    }
}

/// `None` for a leaf; the word itself if it is unknown.
fn mode(word: &str, value: f64) -> std::result::Result<Option<Mode>, String> {
    Ok(Some(match word {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Mode::AtMost(value),
        "BRANCH_LT" => Mode::Below(value),
        "BRANCH_GTE" => Mode::AtLeast(value),
        "BRANCH_GT" => Mode::Above(value),
        "BRANCH_EQ" => Mode::OneOf(vec![value]),
        "BRANCH_NEQ" => Mode::Not(value),
        other => return Err(other.to_owned()),
    }))
}

fn leaves(
    node: &Node,
    kind: &str,
    places: &HashMap<(i64, i64), usize>,
) -> Result<BTreeMap<usize, Vec<(usize, f64)>>> {
    let list = |name: &str| node.ints(&format!("{kind}_{name}"));
    let (trees, nodes, ids) = (list("treeids"), list("nodeids"), list("ids"));
    let weights = weights(node, &format!("{kind}_weights"))?;
    if trees.len() != nodes.len() || trees.len() != ids.len() || trees.len() != weights.len() {
        return refuse(format!("{node} lists its leaves in arrays of different lengths"));
    }
    let mut leaves: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    for (n, weight) in weights.into_iter().enumerate() {
        let place = places.get(&(trees[n], nodes[n])).copied();
        let (Some(place), Ok(target)) = (place, usize::try_from(ids[n])) else {
            return refuse(format!("{node} gives a weight to a node that it does not have"));
        };
        leaves.entry(place).or_default().push((target, weight));
    }
    Ok(leaves)
}
