//! What is taken where the caller says nothing: it depends on the table. Chosen on nine tables; docs/decisions/0034 and 0047 have the
//! figures. The refit takes what the measured fit had, though it has more rows.

use crate::prepare::{Encoder, Grain};
use crate::rows::prepared::Prepared;
use crate::rows::split::Split;
use model::params::Parameter;
use model::protocol::Spec;
use model::{Algorithm, Params, Task};
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashSet};

/// The values of the parameters that are null.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Those of the measured fit.
    pub training_rows: usize,
    /// Those that the recipe was made with.
    pub grain: Grain,
    pub trees: usize,
    pub leaves: usize,
    pub min_leaf_rows: usize,
    pub column_share: f64,
    pub dropout: f64,
    pub batch_size: usize,
    /// Of networks, in epochs.
    pub patience: u32,
    /// Of boosted trees, in trees.
    pub tree_patience: u32,
}

/// Fewer training rows are few: smaller trees.
const FEW_ROWS: usize = 100_000;
/// Sizes of trees of which validation takes the best: small trees learn less by heart, large ones see what more columns do together.
const SIZES: [usize; 3] = [8, 31, 63];
/// From so many training rows on only one size is grown: each would take minutes.
const MOST_ROWS_IN_SIZES: usize = 500_000;
/// Of so many training rows one more is the least in a leaf. Leaves of a few rows learn by heart what the weeks to come do not
/// repeat.
const ROWS_PER_LEAF_ROW: usize = 800;
const FEWEST_LEAF_ROWS: usize = 20;
const MOST_LEAF_ROWS: usize = 2000;
/// A category of more values has few rows for each, so that large leaves could not tell them apart.
const MANY_VALUES: usize = 1000;
/// With this many columns a tree sees half of them, with many fewer than that: trees that differ generalize better.
const SOME_COLUMNS: usize = 6;
const MANY_COLUMNS: usize = 20;
/// So many training rows are many for a network.
const MANY_ROWS: usize = 50_000;
/// The share of hidden units that a network of many rows drops, if it predicts a probability: what it would learn by heart does not
/// carry over to the weeks to come. A network of few rows needs all of its units.
const DROPOUT: f64 = 0.2;
/// Rows in a gradient step: of fewer training rows an epoch would have too few steps to learn from. From so many training rows on, the
/// most first, so many rows.
const BATCH: [(usize, usize); 3] = [(MANY_ROWS, 1024), (10_000, 256), (0, 64)];
/// An epoch of more rows has more steps, so that fewer of them show that a network gets no better: from so many rows on, the most
/// first, so many epochs.
const PATIENCE: [(usize, u32); 3] = [(1_000_000, 3), (100_000, 5), (0, 10)];
const TREE_PATIENCE: u32 = 30;
/// The loss of trees of quantities falls unevenly.
const TREE_PATIENCE_OF_QUANTITIES: u32 = 100;
/// Bins of a number: what a network of few rows would need many epochs to bend into shape.
const NUMBER_BINS: usize = 16;
/// What a quantity depends on bends more often; a probability would learn so many by heart.
const NUMBER_BINS_OF_QUANTITIES: usize = 32;
/// Of fewer training rows the bins of a quantity are learned by heart.
const FEWEST_ROWS_IN_BINS: usize = 10_000;
/// From so many training rows on a network finds steps and bends without bins, which would double its time.
const MOST_ROWS_IN_BINS: usize = 300_000;

/// A value of a category is known by as many first keys (products) as a key has training rows, but by no more than this: from the
/// rows of a few keys it is learned which keys these are, and not what the next key with that value is like.
const MOST_CATEGORY_KEYS: usize = 50;
/// And by no more than one of so many keys.
const KEYS_PER_CATEGORY_KEY: usize = 100;
/// Where fewer of the held-out rows have a key that the training rows do not have, the keys to come are known ones, and each value says
/// which.
const SHARE_OF_NEW_KEYS: f64 = 0.05;

/// What the caller says, or else what is taken by the rows, before there is a recipe.
pub fn grain(spec: &Spec, Prepared { table, split, task, .. }: &Prepared) -> Grain {
    let Params { number_bins: bins, min_category_keys: keys, .. } = spec.params;
    let rows = split.train.len();
    let by_rows = || number_bins(&spec.algorithms, rows, table.stored.is_none(), *task);
    let of_keys = |first: &[u64]| keys.unwrap_or_else(|| category_keys(split, first));
    let category_keys = table.first_key.as_deref().map_or(1, of_keys);
    Grain { bins: bins.unwrap_or_else(by_rows), category_keys }
}

/// `keys` has the first key of every row of the table.
fn category_keys(split: &Split, keys: &[u64]) -> usize {
    let key = |row: &u32| keys[*row as usize];
    let known: HashSet<u64> = split.train.iter().map(key).collect();
    let held_out = [&split.validation[..], &split.test].concat();
    let new = held_out.iter().filter(|row| !known.contains(&key(row))).count();
    match (new as f64) < SHARE_OF_NEW_KEYS * held_out.len() as f64 {
        true => 1,
        false => category_keys_of(split.train.len(), known.len()),
    }
}

fn category_keys_of(rows: usize, keys: usize) -> usize {
    let rows_of_key = rows / keys.max(1);
    rows_of_key.min(MOST_CATEGORY_KEYS).min(keys / KEYS_PER_CATEGORY_KEY).max(1)
}

/// Bins of each number. Rows that do not fit into memory are made no wider.
fn number_bins(algorithms: &[Algorithm], training_rows: usize, in_memory: bool, task: Task) -> usize {
    let has_networks = algorithms.iter().any(|algorithm| Algorithm::NETWORKS.contains(algorithm));
    match training_rows {
        MOST_ROWS_IN_BINS.. => 0,
        0..FEWEST_ROWS_IN_BINS if task == Task::Regression => 0,
        _ if !has_networks || !in_memory => 0,
        _ if task == Task::Regression => NUMBER_BINS_OF_QUANTITIES,
        _ => NUMBER_BINS,
    }
}

impl Defaults {
    /// Those for the columns of a recipe and so many training rows.
    pub fn of(encoder: &Encoder, training_rows: usize, task: Task) -> Self {
        let categories = encoder.recipe.categories();
        let most_values = categories.iter().map(|category| category.vocabulary.len()).max();
        let columns = encoder.recipe.scalings().len() + categories.len();
        let others = Self::new(training_rows, columns, most_values.unwrap_or(0), task);
        Self { grain: encoder.grain, ..others }
    }

    /// The most leaves of a tree that are tried where validation rows can tell which is best.
    pub fn sizes(&self) -> &[usize] {
        match self.training_rows < MOST_ROWS_IN_SIZES {
            true => &SIZES,
            false => std::slice::from_ref(&self.leaves),
        }
    }

    /// What an algorithm took of its parameters that are null, by their names; `leaves` is the size of its trees.
    pub fn taken(
        &self,
        params: &Params,
        algorithm: Algorithm,
        leaves: Option<usize>,
    ) -> BTreeMap<String, Value> {
        let patience = if algorithm == Algorithm::BoostedTrees { self.tree_patience } else { self.patience };
        let all = [
            ("learning_rate", params.learning_rate.is_none(), json!(params.learning_rate(algorithm))),
            ("patience", params.patience.is_none(), json!(patience)),
            ("batch_size", params.batch_size.is_none(), json!(self.batch_size)),
            ("dropout", params.dropout.is_none(), json!(self.dropout)),
            ("min_category_keys", params.min_category_keys.is_none(), json!(self.grain.category_keys)),
            ("number_bins", params.number_bins.is_none(), json!(self.grain.bins)),
            ("trees", params.trees.is_none(), json!(self.trees)),
            ("leaves", params.leaves.is_none(), json!(leaves)),
            ("min_leaf_rows", params.min_leaf_rows.is_none(), json!(self.min_leaf_rows)),
            ("column_share", params.column_share.is_none(), json!(self.column_share)),
        ];
        let known = |name| Parameter::find(name).is_some_and(|found| found.algorithms.contains(&algorithm));
        let taken = all.into_iter().filter(|(name, is_null, _)| *is_null && known(name));
        taken.map(|(name, _, value)| (name.to_owned(), value)).collect()
    }

    fn new(rows: usize, columns: usize, most_values: usize, task: Task) -> Self {
        Self {
            training_rows: rows,
            grain: Grain::default(),
            patience: from_rows(&PATIENCE, rows),
            trees: Params::most_trees(task),
            tree_patience: match task {
                Task::Binary => TREE_PATIENCE,
                Task::Regression => TREE_PATIENCE_OF_QUANTITIES,
            },
            dropout: if task == Task::Binary && rows >= MANY_ROWS { DROPOUT } else { 0.0 },
            batch_size: from_rows(&BATCH, rows),
            leaves: if rows < FEW_ROWS { 31 } else { 63 },
            min_leaf_rows: match task {
                Task::Binary if most_values <= MANY_VALUES => {
                    (rows / ROWS_PER_LEAF_ROW).clamp(FEWEST_LEAF_ROWS, MOST_LEAF_ROWS)
                }
                _ => FEWEST_LEAF_ROWS,
            },
            column_share: match columns {
                MANY_COLUMNS.. => 0.4,
                SOME_COLUMNS.. => 0.5,
                _ => 1.0,
            },
        }
    }
}

/// What is taken from so many rows on.
fn from_rows<T: Copy + Default>(all: &[(usize, T)], rows: usize) -> T {
    all.iter().find(|(least, _)| rows >= *least).map_or(T::default(), |(_, taken)| *taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_have_large_leaves_unless_values_are_rare_or_quantities_are_predicted() {
        let of = |rows, values, task| Defaults::new(rows, 50, values, task).min_leaf_rows;
        assert_eq!(of(1_600_000, 300, Task::Binary), 2000);
        assert_eq!(of(360_000, 300, Task::Binary), 450);
        assert_eq!(of(5000, 300, Task::Binary), 20);
        assert_eq!(of(360_000, 4000, Task::Binary), 20);
        assert_eq!(of(360_000, 300, Task::Regression), 20);
    }

    #[test]
    fn few_rows_have_small_trees_and_few_columns_are_all_seen() {
        let of = |rows, columns| {
            let Defaults { leaves, column_share, .. } = Defaults::new(rows, columns, 0, Task::Binary);
            (leaves, column_share)
        };
        assert_eq!((of(4000, 4), of(100_000, 9), of(1_000_000, 60)), ((31, 1.0), (63, 0.5), (63, 0.4)));
    }

    #[test]
    fn values_need_many_keys_where_keys_have_many_rows() {
        // Products of 52 rows each, as in 5 regions; and rows of their own.
        assert_eq!(category_keys_of(1_540_000, 29_500), 50);
        assert_eq!(category_keys_of(120_000, 2205), 22);
        assert_eq!(category_keys_of(30_000, 10_000), 3);
        assert_eq!(
            [(70_000, 70_000), (1_000_000, 5), (9, 0)].map(|(rows, keys)| category_keys_of(rows, keys)),
            [1, 1, 1]
        );
    }

    #[test]
    fn several_sizes_are_tried_unless_rows_are_many() {
        let of = |rows| Defaults::new(rows, 9, 0, Task::Binary).sizes().to_vec();
        assert_eq!([0, 499_999, 500_000].map(of), [vec![8, 31, 63], vec![8, 31, 63], vec![63]]);
    }

    #[test]
    fn with_more_rows_fewer_epochs_show_that_nothing_gets_better() {
        let of = |rows| Defaults::new(rows, 9, 0, Task::Binary).patience;
        assert_eq!([0, 99_999, 100_000, 1_000_000].map(of), [10, 10, 5, 3]);
    }

    #[test]
    fn quantities_have_more_trees_and_wait_longer_for_a_better_one() {
        let of = |task| {
            let Defaults { trees, tree_patience, .. } = Defaults::new(20_000, 9, 0, task);
            (trees, tree_patience)
        };
        assert_eq!((of(Task::Binary), of(Task::Regression)), ((500, 30), (2000, 100)));
    }

    #[test]
    fn units_are_dropped_where_many_rows_have_a_probability() {
        let of = |rows, task| Defaults::new(rows, 9, 0, task).dropout;
        assert_eq!([of(49_999, Task::Binary), of(50_000, Task::Binary)], [0.0, 0.2]);
        assert_eq!(of(1_000_000, Task::Regression), 0.0);
    }

    #[test]
    fn networks_read_bins_unless_rows_are_many_or_quantities_few() {
        let of = |rows, task| number_bins(&[Algorithm::BoostedTrees, Algorithm::Mlp], rows, true, task);
        assert_eq!([100, 9_999, 10_000, 299_999, 300_000].map(|n| of(n, Task::Binary)), [16, 16, 16, 16, 0]);
        assert_eq!(
            [100, 9_999, 10_000, 299_999, 300_000].map(|n| of(n, Task::Regression)),
            [0, 0, 32, 32, 0]
        );
        assert_eq!(number_bins(&[Algorithm::BoostedTrees], 20_000, true, Task::Binary), 0);
        assert_eq!(number_bins(&[Algorithm::Mlp], 20_000, false, Task::Binary), 0);
    }

    #[test]
    fn few_rows_are_learned_in_small_steps() {
        let of = |rows| Defaults::new(rows, 9, 0, Task::Regression).batch_size;
        assert_eq!([4000, 9_999, 10_000, 49_999, 50_000, 1_000_000].map(of), [64, 64, 256, 256, 1024, 1024]);
    }
}
