//! Boosted trees as flat arrays: the forest that a stored model holds, and its fast walk.
//!
//! A forest has one or more outputs; each is a base score plus, for every tree of the output, the value of the leaf
//! that the row falls into. A row is its numbers (NaN where missing) and its category codes as in [`crate::recipe`]:
//! 0 for values never seen, 1 for NULL, then the vocabulary.

mod arrays;
mod blocks;
mod rows;
mod shapley;
mod trees;
mod walk;

use crate::error::ModelError;
use walk::{Node, Walk, CATEGORY, INPUT, LEAF, MISSING_LEFT, WORD};

pub use arrays::{Tensor, NAMES};
pub(crate) use rows::Rows;
pub use shapley::{ForestRow, Players};
pub(crate) use trees::Trees;

/// Most nodes of all trees together.
pub const MAX_NODES: usize = 1 << 24;
/// Most trees of all outputs together.
pub const MAX_TREES: usize = 100_000;
/// Most outputs.
pub const MAX_OUTPUTS: usize = 256;
/// The largest size of a base score and a leaf value. The sum of the most trees that a forest may have then cannot
/// overflow.
pub const MAX_VALUE: f64 = 1e300;

/// What a node of a tree says. Children are positions in the tree: the right child follows the left one, and both come
/// after their parent.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The row ends here with this value.
    Leaf { value: f64 },
    /// Goes left if the number is below the threshold, or missing where missing ones go left.
    Number { input: usize, threshold: f64, missing_left: bool, left: usize },
    /// Goes left if the category's code is in the set: bit `code % 64` of word `code / 64`.
    Category { category: usize, set: Vec<u64>, left: usize },
}

/// A category set of the given codes, as short as they allow but never empty.
pub fn category_set(codes: impl IntoIterator<Item = u32>) -> Vec<u64> {
    let mut set = vec![0];
    for code in codes {
        let word = code as usize / WORD;
        if word >= set.len() {
            set.resize(word + 1, 0);
        }
        set[word] |= 1 << (code as usize % WORD);
    }
    set
}

/// Boosted trees with one or more outputs. Every forest that can be made has walks that end and margins that are
/// finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    bases: Vec<f64>,
    /// For each output the roots of its trees.
    roots: Vec<Vec<u32>>,
    nodes: Vec<Node>,
    sets: Vec<u64>,
}

impl Forest {
    /// A forest without trees, with these base scores, one for each output.
    pub fn new(bases: Vec<f64>) -> Result<Self, ModelError> {
        if bases.is_empty() || bases.len() > MAX_OUTPUTS || !bases.iter().all(|base| fits(*base)) {
            return refuse("the base scores of its trees");
        }
        let roots = vec![Vec::new(); bases.len()];
        Ok(Self { bases, roots, nodes: Vec::new(), sets: Vec::new() })
    }

    /// Adds a tree, its root first, to an output. A tree whose nodes are not each reached once from the root, or with
    /// a number that is not finite, is an error, and the forest is as before.
    pub fn add_tree(&mut self, output: usize, steps: &[Step]) -> Result<(), ModelError> {
        let trees: usize = self.roots.iter().map(Vec::len).sum();
        if output >= self.roots.len() || trees >= MAX_TREES || self.nodes.len() + steps.len() > MAX_NODES {
            return refuse("too many trees, nodes or outputs");
        }
        check_shape(steps)?;
        let root = self.nodes.len();
        let words = self.sets.len();
        for (position, step) in steps.iter().enumerate() {
            match self.node(step, root, position) {
                Ok(node) => self.nodes.push(node),
                Err(error) => {
                    self.nodes.truncate(root);
                    self.sets.truncate(words);
                    return Err(error);
                }
            }
        }
        self.roots[output].push(root as u32);
        Ok(())
    }

    /// Stores the step's set, if it has one.
    fn node(&mut self, step: &Step, root: usize, position: usize) -> Result<Node, ModelError> {
        match step {
            Step::Leaf { value } if fits(*value) => {
                Ok(Node { payload: value.to_bits(), test: LEAF, child: (root + position) as u32 })
            }
            Step::Number { input, threshold, missing_left, left }
                if threshold.is_finite() && *input < INPUT as usize =>
            {
                let missing = if *missing_left { MISSING_LEFT } else { 0 };
                Ok(Node {
                    payload: threshold.to_bits(),
                    test: *input as u32 | missing,
                    child: (root + left) as u32,
                })
            }
            Step::Category { category, set, left } if !set.is_empty() && *category < INPUT as usize => {
                let first = self.sets.len();
                if first + set.len() > u32::MAX as usize {
                    return refuse("too many category sets");
                }
                self.sets.extend(set);
                let payload = (set.len() as u64) << 32 | first as u64;
                Ok(Node { payload, test: *category as u32 | CATEGORY, child: (root + left) as u32 })
            }
            _ => refuse("a node of its trees"),
        }
    }

    /// The trees of an output, as they were added.
    pub fn trees(&self, output: usize) -> impl Iterator<Item = Vec<Step>> + '_ {
        self.roots[output].iter().map(|root| self.tree(*root as usize))
    }

    /// The nodes of a tree lie one after the other, and the last of them is the child of another node, or the root.
    fn tree(&self, root: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut end = root + 1;
        while root + steps.len() < end {
            let node = self.nodes[root + steps.len()];
            let left = node.child as usize - root;
            steps.push(match node {
                _ if node.is_leaf() => Step::Leaf { value: node.number() },
                _ if node.is_category() => {
                    Step::Category { category: node.input(), set: self.sets[node.words()].to_vec(), left }
                }
                _ => Step::Number {
                    input: node.input(),
                    threshold: node.number(),
                    missing_left: node.test & MISSING_LEFT != 0,
                    left,
                },
            });
            if !node.is_leaf() {
                end = end.max(root + left + 2);
            }
        }
        steps
    }

    pub fn outputs(&self) -> usize {
        self.bases.len()
    }

    /// The base score of each output.
    pub fn bases(&self) -> &[f64] {
        &self.bases
    }

    /// Trees of all outputs together.
    pub fn tree_count(&self) -> usize {
        self.roots.iter().map(Vec::len).sum()
    }

    /// The number of leaves of all trees: a tree has one leaf more than it has tests.
    pub fn leaf_count(&self) -> usize {
        (self.nodes.len() + self.tree_count()) / 2
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        self.nodes.len() * size_of::<Node>() + self.sets.len() * size_of::<u64>() + self.tree_count() * 4
    }

    /// Checks that the tests fit a row with this many numbers, and with this many codes of each category
    /// ([`crate::recipe::Category::rows`]).
    pub fn check(&self, numbers: usize, categories: &[usize]) -> Result<(), ModelError> {
        for node in self.nodes.iter().filter(|node| !node.is_leaf()) {
            let known = match node.is_category() {
                false => node.input() < numbers,
                true => categories.get(node.input()).is_some_and(|codes| self.is_within(*node, *codes)),
            };
            if !known {
                return refuse("its trees test an input or a category that the recipe does not have");
            }
        }
        Ok(())
    }

    /// Whether every code of the node's set is below `codes`.
    fn is_within(&self, node: Node, codes: usize) -> bool {
        let words = &self.sets[node.words()];
        let spare = (words.len() * WORD).saturating_sub(codes);
        // If the last word lies beyond `codes`, none of its codes is below.
        spare < WORD && words.last().is_some_and(|last| last.leading_zeros() as usize >= spare)
    }

    /// The output for one row, never NaN or infinite. `numbers` has NaN where a value is missing, `codes` one code for
    /// each category; numbers and codes beyond the end of these slices count as missing and never seen.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn margin(&self, output: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        self.bases[output] + self.walk().sum(&self.roots[output], numbers, codes)
    }

    fn walk(&self) -> Walk<'_> {
        Walk { nodes: &self.nodes, sets: &self.sets }
    }
}

fn refuse<T>(reason: &str) -> Result<T, ModelError> {
    Err(ModelError::artifact(reason))
}

fn fits(value: f64) -> bool {
    value.abs() <= MAX_VALUE
}

/// Each node but the root must be the child of exactly one node before it: then every walk goes forward and ends.
fn check_shape(steps: &[Step]) -> Result<(), ModelError> {
    let mut is_child = vec![false; steps.len()];
    for (position, step) in steps.iter().enumerate() {
        let (Step::Number { left, .. } | Step::Category { left, .. }) = step else { continue };
        let forward = *left > position && *left < steps.len() - 1;
        if !forward || is_child[*left] || is_child[*left + 1] {
            return refuse("the children of a node of its trees");
        }
        is_child[*left] = true;
        is_child[*left + 1] = true;
    }
    match is_child.split_first() {
        Some((false, rest)) if rest.iter().all(|is| *is) => Ok(()),
        _ => refuse("a tree without a root, or with nodes that nothing leads to"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    pub const NUMBERS: usize = 5;
    pub const CATEGORIES: [usize; 2] = [3, 130];

    fn number(input: usize, threshold: f64, missing_left: bool, left: usize) -> Step {
        Step::Number { input, threshold, missing_left, left }
    }

    fn leaf(value: f64) -> Step {
        Step::Leaf { value }
    }

    /// A tree of so many leaves whose leaves are split at random.
    pub fn random_tree(leaves: usize, rng: &mut ChaCha8Rng) -> Vec<Step> {
        let mut steps = vec![leaf(rng.random_range(-1.0..1.0))];
        while steps.len() < 2 * leaves - 1 {
            let open: Vec<usize> =
                (0..steps.len()).filter(|at| matches!(steps[*at], Step::Leaf { .. })).collect();
            let (at, left) = (open[rng.random_range(0..open.len())], steps.len());
            steps[at] = if rng.random_bool(0.7) {
                number(rng.random_range(0..NUMBERS), rng.random_range(-1.0..1.0), rng.random(), left)
            } else {
                let category = rng.random_range(0..CATEGORIES.len());
                let codes = (0..CATEGORIES[category] as u32).filter(|_| rng.random());
                Step::Category { category, set: category_set(codes.collect::<Vec<_>>()), left }
            };
            steps.extend([leaf(rng.random_range(-1.0..1.0)), leaf(rng.random_range(-1.0..1.0))]);
        }
        steps
    }

    /// Each tree and the output it belongs to.
    pub fn random_forest(seed: u64) -> (Forest, Vec<(usize, Vec<Step>)>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let outputs = rng.random_range(1..4);
        let mut forest = Forest::new((0..outputs).map(f64::from).collect()).unwrap();
        let mut trees = Vec::new();
        for _ in 0..rng.random_range(0..40) {
            let tree =
                (rng.random_range(0..outputs as usize), random_tree(rng.random_range(1..20), &mut rng));
            forest.add_tree(tree.0, &tree.1).unwrap();
            trees.push(tree);
        }
        (forest, trees)
    }

    fn plain_walk(steps: &[Step], at: usize, numbers: &[f64], codes: &[u32]) -> f64 {
        let (goes_left, left) = match &steps[at] {
            Step::Leaf { value } => return *value,
            Step::Number { input, missing_left, left, .. } if numbers[*input].is_nan() => {
                (*missing_left, *left)
            }
            Step::Number { input, threshold, left, .. } => (numbers[*input] < *threshold, *left),
            Step::Category { category, set, left } => {
                let members: Vec<usize> =
                    (0..64 * set.len()).filter(|code| set[code / 64] & (1 << (code % 64)) != 0).collect();
                (members.contains(&(codes[*category] as usize)), *left)
            }
        };
        plain_walk(steps, if goes_left { left } else { left + 1 }, numbers, codes)
    }

    proptest! {
        #[test]
        fn the_walk_is_that_of_the_steps_missing_and_unseen_values_included(
            seed in any::<u64>(),
            numbers in prop::collection::vec(prop_oneof![4 => -1.0..1.0_f64, 1 => Just(f64::NAN)], NUMBERS),
            codes in (0..3_u32, 0..130_u32),
        ) {
            let (forest, trees) = random_forest(seed);
            let codes = [codes.0, codes.1];
            prop_assert!(forest.check(NUMBERS, &CATEGORIES).is_ok());
            for output in 0..forest.outputs() {
                let mine = trees.iter().filter(|(of, _)| *of == output);
                let sum: f64 = mine.map(|(_, steps)| plain_walk(steps, 0, &numbers, &codes)).sum();
                prop_assert_eq!(forest.margin(output, &numbers, &codes), output as f64 + sum);
            }
        }

        #[test]
        fn trees_are_given_back_as_they_were_added(seed in any::<u64>()) {
            let (forest, trees) = random_forest(seed);
            for output in 0..forest.outputs() {
                let mine = trees.iter().filter(|(of, _)| *of == output).map(|(_, steps)| steps.clone());
                prop_assert_eq!(forest.trees(output).collect::<Vec<_>>(), mine.collect::<Vec<_>>());
            }
        }

        #[test]
        fn steps_of_any_content_are_refused_or_walked_to_an_end(
            raw in prop::collection::vec((0..3_u8, 0..4_usize, -2.0..2.0_f64, 0..9_usize), 0..9),
        ) {
            let step = |(kind, input, value, left): (u8, usize, f64, usize)| match kind {
                0 => leaf(value),
                1 => number(input, value, true, left),
                _ => Step::Category { category: input, set: vec![5; input], left },
            };
            let mut forest = Forest::new(vec![0.0]).unwrap();
            let before = forest.clone();
            match forest.add_tree(0, &raw.into_iter().map(step).collect::<Vec<_>>()) {
                Ok(()) => prop_assert!(forest.margin(0, &[0.0; 4], &[0; 4]).is_finite()),
                Err(_) => prop_assert_eq!(forest, before),
            }
        }
    }

    #[test]
    fn a_number_at_the_threshold_goes_right() {
        let mut forest = Forest::new(vec![0.5]).unwrap();
        forest.add_tree(0, &[number(0, 2.0, false, 1), leaf(-1.0), leaf(1.0)]).unwrap();
        assert_eq!(forest.margin(0, &[2.0], &[]), 1.5);
        assert_eq!(forest.margin(0, &[2.0_f64.next_down()], &[]), -0.5);
        assert_eq!(forest.margin(0, &[f64::NAN], &[]), 1.5);
    }

    #[test]
    fn trees_that_loop_share_or_lose_nodes_are_refused() {
        let mut forest = Forest::new(vec![0.0]).unwrap();
        let trees: [&[Step]; 6] = [
            &[],
            &[number(0, 0.0, true, 0), leaf(0.0)],
            &[number(0, 0.0, true, 2), leaf(0.0), leaf(0.0)],
            &[leaf(0.0), leaf(0.0), leaf(0.0)],
            &[number(0, 0.0, true, 1), number(0, 0.0, true, 1), leaf(0.0)],
            &[number(0, 0.0, true, 1), number(0, 0.0, true, 3), leaf(0.0), leaf(0.0)],
        ];
        assert!(trees.iter().all(|steps| forest.add_tree(0, steps).is_err()));
        assert!(forest.add_tree(1, &[leaf(0.0)]).is_err());
        assert!(forest.add_tree(0, &[leaf(f64::INFINITY)]).is_err());
        assert!(forest.add_tree(0, &[number(0, f64::NAN, true, 1), leaf(0.0), leaf(0.0)]).is_err());
        assert!(forest.add_tree(0, &[leaf(f64::MAX)]).is_err());
        assert!(Forest::new(vec![]).is_err() && Forest::new(vec![f64::NAN]).is_err());
        assert_eq!(forest.tree_count(), 0);
    }

    #[test]
    fn tests_of_inputs_and_codes_that_the_recipe_lacks_are_refused() {
        let mut forest = Forest::new(vec![0.0]).unwrap();
        forest.add_tree(0, &[number(1, 0.0, true, 1), leaf(0.0), leaf(0.0)]).unwrap();
        assert!(forest.check(2, &[]).is_ok());
        assert!(forest.check(1, &[2]).is_err());
        let set = category_set([0, 64]);
        forest.add_tree(0, &[Step::Category { category: 0, set, left: 1 }, leaf(0.0), leaf(0.0)]).unwrap();
        assert!(forest.check(2, &[65]).is_ok());
        assert!(forest.check(2, &[64]).is_err());
        assert!(forest.check(2, &[1]).is_err());
        assert!(forest.check(2, &[]).is_err());
    }
}
