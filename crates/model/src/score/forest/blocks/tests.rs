//! Every kernel gives the bits of the walk from node to node.

use super::build::blocks;
use super::kernels::available;
use super::line::ROWS;
use super::ranks::SLOTS;
use crate::score::forest::{category_set, Forest, Rows, Step};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CODES: [u32; 3] = [3, 70, 600];

/// What random trees look like.
#[derive(Debug, Clone)]
struct Kind {
    trees: usize,
    leaves: usize,
    inputs: usize,
    outputs: usize,
    /// Thresholds are among so many.
    thresholds: u32,
    /// How likely the last leaf is split, by which trees get deep.
    deep: f64,
    /// How likely a category is tested.
    categories: f64,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let leaves = prop_oneof![Just(1), Just(2), 3..31_usize, Just(63), Just(64), Just(65), 66..400_usize];
    let thresholds = prop_oneof![Just(1_u32), Just(4), Just(300), Just(u32::MAX)];
    let inputs = prop_oneof![Just(1_usize), Just(7), Just(200)];
    (0..12_usize, leaves, inputs, 1..5_usize, thresholds, 0.0..1.0, 0.0..0.6).prop_map(
        |(trees, leaves, inputs, outputs, thresholds, deep, categories)| Kind {
            trees,
            leaves,
            inputs,
            outputs,
            thresholds,
            deep,
            categories,
        },
    )
}

impl Kind {
    fn forest(&self, random: &mut ChaCha8Rng) -> Forest {
        let mut forest = Forest::new((0..self.outputs).map(|n| 0.1 * n as f64).collect()).unwrap();
        for _ in 0..self.trees {
            let leaves = if random.random() { self.leaves } else { random.random_range(1..=self.leaves) };
            forest.add_tree(random.random_range(0..self.outputs), &self.tree(leaves, random)).unwrap();
        }
        forest
    }

    fn tree(&self, leaves: usize, random: &mut ChaCha8Rng) -> Vec<Step> {
        let leaf = |random: &mut ChaCha8Rng| Step::Leaf { value: random.random_range(-1.0..1.0) };
        let mut steps = vec![leaf(random)];
        let mut open = vec![0];
        while open.len() < leaves {
            let last = open.len() - 1;
            let split = if random.random_bool(self.deep) { last } else { random.random_range(0..=last) };
            let (at, left) = (open.remove(split), steps.len());
            steps[at] = self.test(left, random);
            steps.extend([leaf(random), leaf(random)]);
            open.extend([left, left + 1]);
        }
        steps
    }

    fn test(&self, left: usize, random: &mut ChaCha8Rng) -> Step {
        if random.random_bool(self.categories) {
            let category = random.random_range(0..CODES.len());
            let most = random.random_range(0..CODES[category]);
            let codes: Vec<u32> = (0..most).filter(|_| random.random()).collect();
            return Step::Category { category, set: category_set(codes), left };
        }
        let (input, threshold) = (random.random_range(0..self.inputs), self.number(random));
        Step::Number { input, threshold, missing_left: random.random(), left }
    }

    /// A threshold, or a number that is near one or equal to it.
    fn number(&self, random: &mut ChaCha8Rng) -> f64 {
        let number = f64::from(random.random_range(0..self.thresholds)) - f64::from(self.thresholds / 2);
        match random.random_range(0..8) {
            0 => -0.0,
            1 => 0.0,
            _ => number,
        }
    }

    fn row(&self, random: &mut ChaCha8Rng) -> (Vec<f64>, Vec<u32>) {
        let (mut numbers, mut codes) = self.whole_row(random);
        if random.random_bool(0.1) {
            numbers.truncate(self.inputs / 2);
            codes.truncate(1);
        }
        (numbers, codes)
    }

    fn whole_row(&self, random: &mut ChaCha8Rng) -> (Vec<f64>, Vec<u32>) {
        let number = |random: &mut ChaCha8Rng| match random.random_range(0..10) {
            0 | 1 => f64::NAN,
            2 => f64::INFINITY,
            3 => f64::NEG_INFINITY,
            4 => self.number(random).next_up(),
            5 => self.number(random).next_down(),
            _ => self.number(random),
        };
        let code = |codes: u32, random: &mut ChaCha8Rng| match random.random_range(0..10) {
            0 => u32::MAX,
            _ => random.random_range(0..codes + 100),
        };
        let numbers = (0..self.inputs).map(|_| number(random)).collect();
        (numbers, CODES.map(|codes| code(codes, random)).to_vec())
    }

    fn check(&self, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let forest = self.forest(&mut random);
        let blocks = blocks(&forest).unwrap();
        for _ in 0..20 {
            let (numbers, codes) = self.row(&mut random);
            for output in 0..self.outputs {
                let walked = forest.margin(output, &numbers, &codes).to_bits();
                for (n, kernel) in available().into_iter().enumerate() {
                    let sum = forest.bases[output] + kernel.sum(&blocks, output, &numbers, &codes);
                    assert_eq!(sum.to_bits(), walked, "kernel {n} of {self:?}");
                }
            }
        }
    }

    /// If `short`, the rows lack numbers and codes at their ends.
    fn check_together(&self, count: usize, short: bool, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let forest = self.forest(&mut random);
        let blocks = blocks(&forest).unwrap();
        let (mut numbers, mut codes) = (Vec::new(), Vec::new());
        let widths = if short { (self.inputs / 2, 1) } else { (self.inputs, CODES.len()) };
        for _ in 0..count {
            let row = self.whole_row(&mut random);
            numbers.extend_from_slice(&row.0[..widths.0]);
            codes.extend_from_slice(&row.1[..widths.1]);
        }
        let rows = Rows::new(count, &numbers, &codes);
        for output in 0..self.outputs {
            let walk = |n| blocks.sum(output, rows.get(n).0, rows.get(n).1).to_bits();
            let alone: Vec<u64> = (0..count).map(walk).collect();
            let check = |sums: &[f64], how: &str| {
                let sums: Vec<u64> = sums.iter().map(|sum| sum.to_bits()).collect();
                assert_eq!(sums, alone[..sums.len()], "{how} of {self:?}");
            };
            let mut sums = vec![f64::NAN; count];
            blocks.sums(output, &rows, &mut sums);
            check(&sums, "the best kernel");
            if blocks.have_links() {
                continue;
            }
            for (n, kernel) in available().into_iter().enumerate() {
                let few = count.min(ROWS);
                let mut sums = vec![f64::NAN; few];
                kernel.sums(&blocks, output, &rows.part(0..few), &mut sums);
                check(&sums, &format!("kernel {n}"));
            }
        }
    }
}

proptest! {
    #[test]
    fn every_kernel_has_the_bits_of_the_walk(kind in kinds(), seed: u64) {
        kind.check(seed);
    }

    #[test]
    fn many_rows_have_the_bits_of_each(kind in kinds(), count in 0..150_usize, short: bool, seed: u64) {
        kind.check_together(count, short, seed);
    }
}

#[test]
fn as_many_rows_as_one_likes_are_scored_together() {
    for count in (0..70).chain([127, 128, 129, 200]) {
        PLAIN.check_together(count, false, count as u64);
    }
}

#[test]
fn trees_of_all_sizes_are_scored_for_many_rows() {
    for leaves in 1..70 {
        Kind { trees: 9, leaves, ..PLAIN }.check_together(64, false, leaves as u64);
    }
}

#[test]
fn many_tests_of_categories_in_a_block_have_the_answers_of_each_row() {
    Kind { categories: 1.0, ..PLAIN }.check_together(64, false, 1);
    Kind { categories: 1.0, deep: 1.0, ..PLAIN }.check_together(64, true, 2);
}

#[test]
fn only_trees_that_are_larger_than_a_block_have_links() {
    for (leaves, links) in [(64, false), (65, true)] {
        let kind = Kind { leaves, outputs: 3, ..PLAIN };
        let blocks = blocks(&kind.forest(&mut ChaCha8Rng::seed_from_u64(6))).unwrap();
        assert_eq!(blocks.have_links(), links);
    }
}

const PLAIN: Kind =
    Kind { trees: 40, leaves: 63, inputs: 20, outputs: 1, thresholds: 200, deep: 0.3, categories: 0.2 };

#[test]
fn trees_of_all_sizes_share_or_span_blocks() {
    for leaves in (1..70).chain([127, 128, 129, 1000, 4096]) {
        Kind { trees: 9, leaves, ..PLAIN }.check(leaves as u64);
    }
}

#[test]
fn trees_as_deep_as_they_have_tests_are_scored() {
    for leaves in [17, 33, 64, 500] {
        Kind { leaves, deep: 1.0, ..PLAIN }.check(1);
    }
}

#[test]
fn inputs_with_more_thresholds_than_a_rank_can_tell_have_several_slots() {
    let kind = Kind { trees: 300, leaves: 30, inputs: 4, thresholds: u32::MAX, categories: 0.0, ..PLAIN };
    kind.check(2);
    let blocks = blocks(&kind.forest(&mut ChaCha8Rng::seed_from_u64(2))).unwrap();
    assert!(blocks.ranks.slots() > 16, "{}", blocks.ranks.slots());
}

#[test]
fn more_slots_than_a_register_holds_are_compared_too() {
    for inputs in [127, 128, 129, SLOTS] {
        let kind = Kind { trees: 120, inputs, categories: 0.0, ..PLAIN };
        kind.check(3);
        let blocks = blocks(&kind.forest(&mut ChaCha8Rng::seed_from_u64(3))).unwrap();
        assert_eq!(blocks.ranks.slots(), inputs);
    }
}

#[test]
fn a_forest_of_too_many_inputs_has_no_blocks() {
    let kind = Kind { trees: 100, inputs: 2 * SLOTS, categories: 0.0, ..PLAIN };
    assert!(blocks(&kind.forest(&mut ChaCha8Rng::seed_from_u64(4))).is_none());
}

#[test]
fn answers_that_would_take_more_memory_than_the_forest_are_not_kept() {
    let mut forest = Forest::new(vec![0.0]).unwrap();
    let leaf = Step::Leaf { value: 1.0 };
    for tree in 0..500 {
        let set = category_set([if tree == 0 { 50_000 } else { 3 }]);
        forest
            .add_tree(0, &[Step::Category { category: 0, set, left: 1 }, leaf.clone(), leaf.clone()])
            .unwrap();
    }
    assert!(blocks(&forest).is_none());
}

#[test]
fn blocks_take_less_memory_than_nodes() {
    let forest = Kind { trees: 400, leaves: 63, ..PLAIN }.forest(&mut ChaCha8Rng::seed_from_u64(5));
    let blocks = blocks(&forest).unwrap();
    assert!(blocks.memory() < forest.memory(), "{} {}", blocks.memory(), forest.memory());
}
