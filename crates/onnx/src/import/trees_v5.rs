//! `TreeEnsemble` of `ai.onnx.ml` 5: leaves apart from nodes, numbers in tensors, and sets of values.

use super::error::{refuse, Result};
use super::graph::Node;
use super::trees::{Branch, Ensemble, Mode, Post};

/// The lists of the node's attributes.
struct Lists<'a> {
    features: &'a [i64],
    splits: Vec<f64>,
    modes: Vec<i64>,
    /// Sets of values, one for each test of membership, each ended by NaN.
    members: Vec<Vec<f64>>,
    children: [&'a [i64]; 2],
    are_leaves: [&'a [i64]; 2],
    missing: &'a [i64],
    targets: &'a [i64],
    weights: Vec<f64>,
}

pub fn read(node: &Node) -> Result<Ensemble> {
    let lists = Lists::read(node)?;
    let trees = node.ints("tree_roots").iter().map(|root| lists.tree(node, *root));
    let average = match node.int("aggregate_function", 1) {
        0 => true,
        1 => false,
        _ => {
            return refuse(format!(
                "{node} takes the least or the most of its trees; sums and means are read"
            ))
        }
    };
    let post = match node.int("post_transform", 0) {
        0 => Post::None,
        1 => Post::Softmax,
        2 => Post::Logistic,
        other => {
            return refuse(format!("{node} has post_transform {other}; none, softmax and logistic are read"))
        }
    };
    Ensemble {
        trees: trees.collect::<Result<_>>()?,
        targets: usize::try_from(node.int("n_targets", 1)).unwrap_or(0),
        base: Vec::new(),
        average,
        post,
        one_sided: false,
        all_positive: false,
    }
    .checked(node)
}

impl<'a> Lists<'a> {
    fn read(node: &'a Node) -> Result<Self> {
        let numbers = |name: &str| -> Result<Vec<f64>> {
            node.tensor(name)?.map_or(Ok(Vec::new()), |tensor| Ok(tensor.values()?.to_vec()))
        };
        let modes: Vec<i64> = numbers("nodes_modes")?.iter().map(|mode| *mode as i64).collect();
        let members = numbers("membership_values")?;
        let members: Vec<Vec<f64>> =
            members.split(|value: &f64| value.is_nan()).map(<[f64]>::to_vec).collect();
        let lists = Self {
            features: node.ints("nodes_featureids"),
            splits: numbers("nodes_splits")?,
            children: [node.ints("nodes_truenodeids"), node.ints("nodes_falsenodeids")],
            are_leaves: [node.ints("nodes_trueleafs"), node.ints("nodes_falseleafs")],
            missing: node.ints("nodes_missing_value_tracks_true"),
            targets: node.ints("leaf_targetids"),
            weights: numbers("leaf_weights")?,
            modes,
            members,
        };
        let count = lists.features.len();
        let fits = lists.splits.len() == count
            && lists.modes.len() == count
            && lists.children.iter().chain(&lists.are_leaves).all(|list| list.len() == count)
            && (lists.missing.is_empty() || lists.missing.len() == count)
            && lists.targets.len() == lists.weights.len();
        match fits {
            true => Ok(lists),
            false => refuse(format!("{node} lists its nodes in arrays of different lengths")),
        }
    }

    /// The tree of a root. A tree of more nodes than there are is one that refers to itself.
    fn tree(&self, node: &Node, root: i64) -> Result<Vec<Branch>> {
        let most = 2 * self.features.len() + 1;
        let is_lone_leaf = |n: i64| {
            usize::try_from(n).is_ok_and(|n| {
                n < self.features.len()
                    && (0..2).all(|side| self.are_leaves[side][n] != 0)
                    && self.children[0][n] == self.children[1][n]
            })
        };
        let mut open = vec![(root, false)];
        if is_lone_leaf(root) {
            open = vec![(self.children[0][root as usize], true)];
        }
        let mut branches = Vec::new();
        while let Some((n, is_leaf)) = open.get(branches.len()).copied() {
            let at = usize::try_from(n).unwrap_or(usize::MAX);
            let known = at < if is_leaf { self.weights.len() } else { self.features.len() };
            if !known || open.len() > most {
                return refuse(format!("{node} has a tree that is no tree"));
            }
            branches.push(match is_leaf {
                true => Branch::Leaf(vec![(
                    usize::try_from(self.targets[at]).unwrap_or(usize::MAX),
                    self.weights[at],
                )]),
                false => {
                    for side in 0..2 {
                        open.push((self.children[side][at], self.are_leaves[side][at] != 0));
                    }
                    Branch::Test {
                        feature: usize::try_from(self.features[at]).unwrap_or(usize::MAX),
                        mode: self.mode(node, at)?,
                        missing_holds: self.missing.get(at).is_some_and(|holds| *holds != 0),
                        yes: open.len() - 2,
                        no: open.len() - 1,
                    }
                }
            });
        }
        Ok(branches)
    }

    fn mode(&self, node: &Node, at: usize) -> Result<Mode> {
        let value = self.splits[at];
        Ok(match self.modes[at] {
            0 => Mode::AtMost(value),
            1 => Mode::Below(value),
            2 => Mode::AtLeast(value),
            3 => Mode::Above(value),
            4 => Mode::OneOf(vec![value]),
            5 => Mode::Not(value),
            6 => {
                let before = self.modes[..at].iter().filter(|mode| **mode == 6).count();
                match self.members.get(before) {
                    Some(members) => Mode::OneOf(members.clone()),
                    None => return refuse(format!("{node} lacks the values of a test of membership")),
                }
            }
            other => return refuse(format!("{node} has a node of mode {other}")),
        })
    }
}
