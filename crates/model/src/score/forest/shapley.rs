//! What each input of a forest contributes to its output: exact Shapley values (Shapley 1953; Lundberg and Lee 2017).
//!
//! Inputs are the players of a game. A coalition is worth what the forest puts out for a row that has the coalition's
//! inputs from one row and all others from a baseline row. Within a tree a leaf is reached by the coalitions that hold the
//! u players through whom the path follows the row and none of the v through whom it follows the baseline; a game that is
//! worth 1 for these coalitions gives each of the u players `(u-1)! v! / (u+v)!` and each of the v players
//! `-u! (v-1)! / (u+v)!`. So one visit of every leaf that can be reached is enough.

use super::Forest;

/// The players: several numbers and categories may be one player, as the elements of an array are.
#[derive(Debug, Clone, Copy)]
pub struct Players<'a> {
    /// How many there are.
    pub count: usize,
    /// The player that each number belongs to.
    pub numbers: &'a [usize],
    /// The player that each category belongs to.
    pub categories: &'a [usize],
}

/// Numbers and category codes, as [`Forest::margin`] takes them.
pub type ForestRow<'a> = (&'a [f64], &'a [u32]);

impl Forest {
    /// The contribution of every player to the difference between an output for `row` and for `baseline`; they add up to it.
    /// `pause` is called before each tree.
    ///
    /// # Panics
    /// If there is no such output, or a tree tests what belongs to no player.
    pub fn shapley(
        &self,
        output: usize,
        row: ForestRow,
        baseline: ForestRow,
        players: Players,
        pause: &mut dyn FnMut(),
    ) -> Vec<f64> {
        let mut walk = Walk {
            forest: self,
            row,
            baseline,
            players,
            follows: vec![None; players.count],
            path: Vec::new(),
            contributions: vec![0.0; players.count],
        };
        for root in &self.roots[output] {
            pause();
            walk.tree(*root);
        }
        walk.contributions
    }
}

struct Walk<'a> {
    forest: &'a Forest,
    row: ForestRow<'a>,
    baseline: ForestRow<'a>,
    players: Players<'a>,
    /// For each player, whether the path follows the row's values (true) or the baseline's; `None` while both have led
    /// the same way.
    follows: Vec<Option<bool>>,
    /// The players for whom `follows` is decided, in the order of the decisions.
    path: Vec<usize>,
    contributions: Vec<f64>,
}

/// Where the baseline parts from the row.
struct Turn {
    /// Where the baseline goes.
    node: u32,
    player: usize,
    /// How many players were decided before this node.
    depth: usize,
}

impl Walk<'_> {
    /// Visits every leaf that some coalition reaches.
    fn tree(&mut self, root: u32) {
        let mut turns = Vec::new();
        let mut at = root;
        loop {
            self.leaf(at, &mut turns);
            let Some(Turn { node, player, depth }) = turns.pop() else { break };
            self.back_to(depth);
            self.decide(player, false);
            at = node;
        }
        self.back_to(0);
    }

    /// Goes on to a leaf, following the row where row and baseline part, and shares the leaf's value among the players.
    fn leaf(&mut self, mut at: u32, turns: &mut Vec<Turn>) {
        loop {
            let node = self.forest.nodes[at as usize];
            if node.is_leaf() {
                return self.credit(node.number());
            }
            let here = self.forest.walk().next(at, self.row.0, self.row.1);
            let there = self.forest.walk().next(at, self.baseline.0, self.baseline.1);
            let of = if node.is_category() { self.players.categories } else { self.players.numbers };
            let player = of[node.input()];
            at = match self.follows[player] {
                Some(false) => there,
                None if here != there => {
                    turns.push(Turn { node: there, player, depth: self.path.len() });
                    self.decide(player, true);
                    here
                }
                _ => here,
            };
        }
    }

    fn decide(&mut self, player: usize, with_row: bool) {
        self.follows[player] = Some(with_row);
        self.path.push(player);
    }

    fn back_to(&mut self, depth: usize) {
        for player in self.path.drain(depth..) {
            self.follows[player] = None;
        }
    }

    /// Shares a leaf's value among the players of the path.
    fn credit(&mut self, value: f64) {
        let with_row = self.path.iter().filter(|player| self.follows[**player] == Some(true)).count();
        let (gain, loss) = weights(with_row, self.path.len() - with_row);
        for player in &self.path {
            let weight = if self.follows[*player] == Some(true) { gain } else { -loss };
            self.contributions[*player] += weight * value;
        }
    }
}

/// `(u-1)! v! / (u+v)!` and `u! (v-1)! / (u+v)!`.
fn weights(u: usize, v: usize) -> (f64, f64) {
    let choose = (1..=u).fold(1.0, |product, i| product * i as f64 / (v + i) as f64);
    (choose / u as f64, choose / v as f64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random_forest, CATEGORIES, NUMBERS};
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    type OwnedRow = (Vec<f64>, Vec<u32>);

    fn random_row(random: &mut ChaCha8Rng) -> OwnedRow {
        let number = |random: &mut ChaCha8Rng| match random.random_bool(0.1) {
            true => f64::NAN,
            false => random.random_range(-1.0..1.0),
        };
        let numbers = (0..NUMBERS).map(|_| number(random)).collect();
        let codes = CATEGORIES.map(|codes| random.random_range(0..codes as u32 + 1));
        (numbers, codes.to_vec())
    }

    /// The last two numbers belong together.
    const OF_NUMBERS: [usize; NUMBERS] = [0, 1, 2, 3, 3];
    const OF_CATEGORIES: [usize; 2] = [4, 5];
    const COUNT: usize = 6;

    fn players() -> Players<'static> {
        Players { count: COUNT, numbers: &OF_NUMBERS, categories: &OF_CATEGORIES }
    }

    fn contributions(forest: &Forest, output: usize, row: &OwnedRow, baseline: &OwnedRow) -> Vec<f64> {
        forest.shapley(output, (&row.0, &row.1), (&baseline.0, &baseline.1), players(), &mut || ())
    }

    fn margin(forest: &Forest, output: usize, row: &OwnedRow) -> f64 {
        forest.margin(output, &row.0, &row.1)
    }

    /// What a coalition, one bit for each player, is worth.
    fn worth(forest: &Forest, output: usize, coalition: usize, row: &OwnedRow, baseline: &OwnedRow) -> f64 {
        let holds = |player: usize| coalition >> player & 1 == 1;
        let mut mixed = baseline.clone();
        (0..NUMBERS).filter(|n| holds(OF_NUMBERS[*n])).for_each(|n| mixed.0[n] = row.0[n]);
        (0..2).filter(|n| holds(OF_CATEGORIES[*n])).for_each(|n| mixed.1[n] = row.1[n]);
        margin(forest, output, &mixed)
    }

    /// Shapley's definition: what a player adds, averaged over all orders in which the players may come.
    fn by_definition(forest: &Forest, output: usize, row: &OwnedRow, baseline: &OwnedRow) -> Vec<f64> {
        let factorial = |n: usize| (1..=n).product::<usize>() as f64;
        let value = |player: usize| {
            let others = (0..1 << COUNT).filter(|coalition: &usize| coalition >> player & 1 == 0);
            let added = others.map(|coalition| {
                let size = coalition.count_ones() as usize;
                let orders = factorial(size) * factorial(COUNT - size - 1) / factorial(COUNT);
                let with = worth(forest, output, coalition | 1 << player, row, baseline);
                orders * (with - worth(forest, output, coalition, row, baseline))
            });
            added.sum::<f64>()
        };
        (0..COUNT).map(value).collect()
    }

    proptest! {
        #[test]
        fn contributions_are_shapley_values_by_definition(seed: u64) {
            let (forest, _) = random_forest(seed);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            for output in 0..forest.outputs() {
                let (row, baseline) = (random_row(&mut random), random_row(&mut random));
                let fast = contributions(&forest, output, &row, &baseline);
                for (fast, plain) in fast.iter().zip(by_definition(&forest, output, &row, &baseline)) {
                    prop_assert!((fast - plain).abs() < 1e-11, "{fast} is not {plain}");
                }
                let difference = margin(&forest, output, &row) - margin(&forest, output, &baseline);
                prop_assert!((fast.iter().sum::<f64>() - difference).abs() < 1e-11);
            }
        }

        #[test]
        fn the_other_way_round_contributions_change_their_sign(seed: u64) {
            let (forest, _) = random_forest(seed);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let (row, baseline) = (random_row(&mut random), random_row(&mut random));
            let there = contributions(&forest, 0, &row, &baseline);
            let back = contributions(&forest, 0, &baseline, &row);
            prop_assert!(there.iter().zip(&back).all(|(there, back)| (there + back).abs() < 1e-11));
            prop_assert!(contributions(&forest, 0, &row, &row).iter().all(|value| *value == 0.0));
        }
    }

    #[test]
    fn a_tree_as_deep_as_it_has_nodes_is_walked() {
        use crate::score::forest::Step;
        const DEPTH: usize = 200_000;
        let test = |at: usize| {
            let (input, threshold) = (at % NUMBERS, at as f64);
            Step::Number { input, threshold, missing_left: false, left: 2 * at + 1 }
        };
        let with_leaf = |at: usize| [test(at), Step::Leaf { value: at as f64 }];
        let mut steps: Vec<Step> = (0..DEPTH).flat_map(with_leaf).collect();
        steps.push(Step::Leaf { value: -1.0 });
        let mut forest = Forest::new(vec![0.0]).unwrap();
        forest.add_tree(0, &steps).unwrap();
        let row = (vec![DEPTH as f64; NUMBERS], vec![0, 0]);
        let baseline = (vec![DEPTH as f64 / 2.0; NUMBERS], vec![0, 0]);
        let sum: f64 = contributions(&forest, 0, &row, &baseline).iter().sum();
        let difference = margin(&forest, 0, &row) - margin(&forest, 0, &baseline);
        assert!((sum - difference).abs() < 1e-6 * difference.abs(), "{sum} {difference}");
    }
}
