//! Trees as `TreeEnsembleRegressor`, of which version 3 compares numbers with thresholds and knows no sets.
//!
//! So each set of codes that the trees test becomes one more number of the row, 1 where the code of the category is in it and 0
//! where it is not: a row of a table that has one column for each set. Sets that trees share stand there once.

use super::columns::Inputs;
use super::graph::{int, ints, list, text, texts, Graph, Value};
use super::{ExportError, ML};
use model::forest::{Forest, Step};
use model::Recipe;
use std::collections::HashMap;

/// Bytes of a node in the file, about: a few small numbers, the threshold, and what the node does as a text.
const NODE_BYTES: usize = 40;
/// Bits of a word of a set.
const WORD: usize = 64;

/// The sets of a category that trees test, each with its place among them.
type Sets = HashMap<Vec<u64>, usize>;

/// What the forest puts out, shape `(rows, outputs)`, of doubles. The operator adds up doubles and returns floats.
pub fn margins(
    recipe: &Recipe,
    forest: &Forest,
    inputs: &Inputs,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let nodes = 2 * forest.leaf_count() + forest.outputs();
    graph.take_room(nodes * NODE_BYTES)?;
    let mut sets = sets(forest, recipe.categories().len(), graph);
    // Trees that test nothing have a row all the same: a set without codes.
    let nothing = inputs.numbers.is_none() && sets.iter().all(Sets::is_empty);
    if let (true, Some(first)) = (nothing, sets.first_mut()) {
        first.insert(vec![0], 0);
    }
    let (row, firsts) = row(recipe, &sets, inputs, graph)?;
    let bases = graph.constant("forest/bases", &[forest.outputs()], forest.bases().iter().copied())?;
    let nodes = Nodes::of(forest, &sets, &firsts, graph);
    let settings = nodes.settings(forest.outputs());
    let sums = graph.node_of(ML, "TreeEnsembleRegressor", "forest/sums", &[&row], settings);
    let sums = graph.cast::<f64>("forest/doubles", &sums);
    Ok(graph.node("Add", "forest", &[&sums, &bases], vec![]))
}

/// What trees read: the numbers, NaN where they are missing, then whether the codes are in each set. And the place of each
/// category's first set.
fn row(
    recipe: &Recipe,
    sets: &[Sets],
    inputs: &Inputs,
    graph: &mut Graph,
) -> Result<(Value, Vec<usize>), ExportError> {
    let mut row = Vec::new();
    if let Some(numbers) = &inputs.numbers {
        let nan = graph.scalar("forest/nan", f64::NAN)?;
        row.push(graph.node("Where", "forest/numbers", &[&numbers.missing, &nan, &numbers.filled], vec![]));
    }
    let mut firsts = Vec::new();
    let mut width = recipe.scalings().len();
    for (i, (category, sets)) in recipe.categories().into_iter().zip(sets).enumerate() {
        firsts.push(width);
        width += sets.len();
        if !sets.is_empty() {
            row.push(members(
                &format!("forest/category.{i}"),
                sets,
                category.rows(),
                &inputs.codes[i],
                graph,
            )?);
        }
    }
    Ok((graph.concat("forest/row", &row), firsts))
}

fn sets(forest: &Forest, categories: usize, graph: &mut Graph) -> Vec<Sets> {
    let mut sets = vec![Sets::new(); categories];
    for tree in (0..forest.outputs()).flat_map(|output| forest.trees(output)) {
        graph.pause();
        for step in tree {
            if let Step::Category { category, set, .. } = step {
                let place = sets[category].len();
                sets[category].entry(set).or_insert(place);
            }
        }
    }
    sets
}

/// Whether the codes are in each set, shape `(rows, sets)`, of doubles.
fn members(
    name: &str,
    sets: &Sets,
    rows: usize,
    codes: &Value,
    graph: &mut Graph,
) -> Result<Value, ExportError> {
    let mut in_order: Vec<&[u64]> = vec![&[]; sets.len()];
    sets.iter().for_each(|(set, place)| in_order[*place] = set);
    let has = |code: usize| {
        move |set: &&[u64]| set.get(code / WORD).map_or(0, |word| (word >> (code % WORD) & 1) as u8)
    };
    let table = (0..rows).flat_map(|code| in_order.iter().map(has(code)));
    let table = graph.constant(&format!("{name}/sets"), &[rows, sets.len()], table)?;
    let found = graph.node("Gather", &format!("{name}/found"), &[&table, codes], vec![int("axis", 0)]);
    Ok(graph.cast::<f64>(&format!("{name}/members"), &found))
}

/// The operator's settings while they are gathered: one entry for each node, then one for each leaf.
#[derive(Default)]
struct Nodes {
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<Vec<u8>>,
    values: Vec<f64>,
    on_true: Vec<i64>,
    on_false: Vec<i64>,
    missing_true: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_ids: Vec<i64>,
    leaf_outputs: Vec<i64>,
    leaf_values: Vec<f64>,
}

impl Nodes {
    /// `firsts` has the place in the row of each category's first set.
    fn of(forest: &Forest, sets: &[Sets], firsts: &[usize], graph: &mut Graph) -> Self {
        let mut nodes = Self::default();
        for output in 0..forest.outputs() {
            // A tree that adds nothing, since an output without trees is none to the operator.
            let none = forest.trees(output).next().is_none().then(|| vec![Step::Leaf { value: 0.0 }]);
            for tree in forest.trees(output).chain(none) {
                graph.pause();
                nodes.push(output, &tree, |category, set| firsts[category] + sets[category][set]);
            }
        }
        nodes
    }

    fn push(&mut self, output: usize, tree: &[Step], place: impl Fn(usize, &Vec<u64>) -> usize) {
        let tree_id = self.trees.last().map_or(0, |last| last + 1);
        for (id, step) in tree.iter().enumerate() {
            let id = id as i64;
            self.trees.push(tree_id);
            self.ids.push(id);
            match step {
                Step::Leaf { value } => {
                    self.leaf_trees.push(tree_id);
                    self.leaf_ids.push(id);
                    self.leaf_outputs.push(output as i64);
                    self.leaf_values.push(*value);
                    self.node("LEAF", 0, 0.0, (0, 0), false);
                }
                Step::Number { input, threshold, missing_left, left } => {
                    self.node("BRANCH_LT", *input, *threshold, (*left, left + 1), *missing_left);
                }
                // Below a half is not in the set, which goes right.
                Step::Category { category, set, left } => {
                    self.node("BRANCH_LT", place(*category, set), 0.5, (left + 1, *left), false);
                }
            }
        }
    }

    fn node(&mut self, mode: &str, feature: usize, value: f64, children: (usize, usize), missing_true: bool) {
        self.modes.push(mode.as_bytes().to_vec());
        self.features.push(feature as i64);
        self.values.push(value);
        self.on_true.push(children.0 as i64);
        self.on_false.push(children.1 as i64);
        self.missing_true.push(missing_true.into());
    }

    fn settings(self, outputs: usize) -> Vec<crate::proto::Attribute> {
        vec![
            text("aggregate_function", "SUM"),
            int("n_targets", outputs as i64),
            ints("nodes_treeids", self.trees),
            ints("nodes_nodeids", self.ids),
            ints("nodes_featureids", self.features),
            texts("nodes_modes", self.modes),
            list("nodes_values_as_tensor", &self.values),
            ints("nodes_truenodeids", self.on_true),
            ints("nodes_falsenodeids", self.on_false),
            ints("nodes_missing_value_tracks_true", self.missing_true),
            ints("target_treeids", self.leaf_trees),
            ints("target_nodeids", self.leaf_ids),
            ints("target_ids", self.leaf_outputs),
            list("target_weights_as_tensor", &self.leaf_values),
            text("post_transform", "NONE"),
        ]
    }
}
