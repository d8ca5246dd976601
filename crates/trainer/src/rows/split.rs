//! Training, validation and test rows.
//!
//! Rows with a time are split by time: the newest times are the test set, those before them the validation set, so that
//! the model is measured on rows that were the future to it. Other rows are split by a hash of the key, so that all
//! rows of a key are in one part, and stay in it when rows are added.

use super::data::Table;
use crate::error::TrainerError;
use model::Params;

/// Fewest distinct times that can be cut into three parts.
const FEWEST_TIMES: usize = 3;

/// Rows of each part, in the order in which they were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
    pub test: Vec<u32>,
    /// The first time of each part; `None` where it is empty or the split is not by time.
    pub validation_from: Option<i64>,
    pub test_from: Option<i64>,
    /// Whether every held-out row is later than every training row.
    pub by_time: bool,
}

/// One value for each holdout set: validation and test.
pub struct HeldOut<T> {
    pub validation: T,
    pub test: T,
}

impl Split {
    /// Calls `f` with the rows of each holdout set.
    pub fn held_out<T>(
        &self,
        f: impl Fn(&[u32]) -> Result<T, TrainerError>,
    ) -> Result<HeldOut<T>, TrainerError> {
        Ok(HeldOut { validation: f(&self.validation)?, test: f(&self.test)? })
    }

    /// Puts the rows of each part into the order in which they were read, for data that are read again.
    pub(super) fn in_order_of_reading(&mut self) {
        [&mut self.train, &mut self.validation, &mut self.test]
            .into_iter()
            .for_each(|rows| rows.sort_unstable());
    }
}

/// Splits `rows`, which are labelled and ordered by time. The second value is a warning for the user.
pub fn split(table: &Table, rows: &[u32], params: &Params) -> (Split, Option<String>) {
    let (validation, test) = (params.validation_share, params.test_share);
    let Some((_, times)) = &table.times else {
        return (by_hash(&table.unit_hashes, rows, validation, test), None);
    };
    let mut distinct: Vec<i64> = rows.iter().map(|row| times[*row as usize]).collect();
    distinct.dedup();
    if distinct.len() < FEWEST_TIMES && validation + test > 0.0 {
        let warning = format!(
            "the labelled rows have only {} distinct times: validation and test rows are chosen by a hash of the \
             key, not by time",
            distinct.len()
        );
        return (by_hash(&table.unit_hashes, rows, validation, test), Some(warning));
    }
    (by_time(times, rows, &distinct, validation, test), None)
}

/// The splits of rolling validation after the first, which is `newest`: each has as many times of validation as that one, just
/// before those of the split before it, and trains on what is earlier still. Without times, the folds of a cross-validation. There are
/// fewer than `wanted` where nothing would be left to train on.
pub fn earlier(table: &Table, rows: &[u32], params: &Params, newest: &Split, wanted: usize) -> Vec<Split> {
    match (&table.times, newest.validation_from) {
        _ if wanted == 0 => Vec::new(),
        (Some((_, times)), Some(from)) => earlier_by_time(times, rows, from, newest, wanted),
        _ if newest.validation.is_empty() => Vec::new(),
        _ => (1..=wanted).map_while(|nth| fold(&table.unit_hashes, rows, params, nth)).collect(),
    }
}

fn earlier_by_time(times: &[i64], rows: &[u32], from: i64, newest: &Split, wanted: usize) -> Vec<Split> {
    let time = |row: &u32| times[*row as usize];
    let at = |limit: i64| rows.partition_point(|row| time(row) < limit);
    let distinct = |rows: &[u32]| {
        let mut distinct: Vec<i64> = rows.iter().map(time).collect();
        distinct.dedup();
        distinct
    };
    let (before, width) = (distinct(&rows[..at(from)]), distinct(&newest.validation).len());
    let nth = |nth: usize| {
        let first = before.len().checked_sub(nth * width).filter(|first| *first > 0)?;
        let (validation_from, end) = (before[first], before.get(first + width).copied().unwrap_or(from));
        Some(Split {
            train: rows[..at(validation_from)].to_vec(),
            validation: rows[at(validation_from)..at(end)].to_vec(),
            validation_from: Some(validation_from),
            by_time: true,
            ..Split::default()
        })
    };
    (1..=wanted).map_while(nth).collect()
}

/// The nth fold after the newest: the keys whose hashes come after its validation rows'.
fn fold(units: &[u64], rows: &[u32], params: &Params, nth: usize) -> Option<Split> {
    let (test, width) = (params.test_share, params.validation_share);
    let from = test + nth as f64 * width;
    if from + width > 1.0 + 1e-9 {
        return None;
    }
    let mut split = Split::default();
    for row in rows {
        let place = place(units[*row as usize]);
        if place >= from && place < from + width {
            split.validation.push(*row);
        } else if place >= test {
            split.train.push(*row);
        }
    }
    Some(split)
}

/// Where a hash lies between 0 and 1. It is mixed again, so that the part does not depend on the order of the hashes.
fn place(hash: u64) -> f64 {
    crate::rows::hash::mix(hash) as f64 / 2f64.powi(64)
}

/// The shares count distinct times, rounded, but at least one where a share is above zero and one for training.
fn by_time(times: &[i64], rows: &[u32], distinct: &[i64], validation: f64, test: f64) -> Split {
    let wanted = |share: f64| match share {
        s if s > 0.0 => ((s * distinct.len() as f64).round() as usize).max(1),
        _ => 0,
    };
    let for_validation = usize::from(validation > 0.0);
    let held_out = distinct.len() - 1;
    let test_times = wanted(test).min(held_out.saturating_sub(for_validation));
    let validation_times = wanted(validation).min(held_out.saturating_sub(test_times));

    let test_at = distinct.len() - test_times;
    let validation_at = test_at - validation_times;
    let first_of =
        |at: usize| rows.partition_point(|row| distinct.get(at).is_none_or(|t| times[*row as usize] < *t));
    let (first_validation, first_test) = (first_of(validation_at), first_of(test_at));
    Split {
        train: rows[..first_validation].to_vec(),
        validation: rows[first_validation..first_test].to_vec(),
        test: rows[first_test..].to_vec(),
        validation_from: (validation_times > 0).then(|| distinct[validation_at]),
        test_from: (test_times > 0).then(|| distinct[test_at]),
        by_time: true,
    }
}

fn by_hash(units: &[u64], rows: &[u32], validation: f64, test: f64) -> Split {
    let mut split = Split::default();
    for row in rows {
        let place = place(units[*row as usize]);
        let side = if place < test {
            &mut split.test
        } else if place < test + validation {
            &mut split.validation
        } else {
            &mut split.train
        };
        side.push(*row);
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::column::TimeUnit;

    fn shares(validation_share: f64, test_share: f64) -> Params {
        Params { validation_share, test_share, ..Params::default() }
    }

    /// One row for each given time.
    fn timed(times: &[i64]) -> (Table, Vec<u32>) {
        let table = Table {
            times: Some((TimeUnit::Integer, times.to_vec())),
            labels: vec![0.0; times.len()].into(),
            row_hashes: (0..times.len() as u64).collect(),
            unit_hashes: (0..times.len() as u64).map(crate::rows::hash::mix).collect(),
            ..Table::default()
        };
        let rows = table.ordered_rows();
        (table, rows)
    }

    fn counts(split: &Split) -> [usize; 3] {
        [split.train.len(), split.validation.len(), split.test.len()]
    }

    #[test]
    fn the_newest_times_are_test_and_the_ones_before_them_validation() {
        let times: Vec<i64> = (0..200).map(|row| (row * 7) % 20).collect();
        let (table, rows) = timed(&times);
        let (split, warning) = split(&table, &rows, &shares(0.15, 0.1));
        assert_eq!(warning, None);
        assert_eq!(counts(&split), [150, 30, 20]);
        assert_eq!((split.validation_from, split.test_from), (Some(15), Some(18)));
        let time = |row: &u32| times[*row as usize];
        assert!(split.train.iter().map(time).max() < split.validation.iter().map(time).min());
        assert!(split.validation.iter().map(time).max() < split.test.iter().map(time).min());
    }

    #[test]
    fn the_shares_count_times_not_rows() {
        let times = [vec![1; 1000], vec![2, 3, 4, 5, 6, 7, 8, 9, 10]].concat();
        let (table, rows) = timed(&times);
        assert_eq!(counts(&split(&table, &rows, &shares(0.2, 0.2)).0), [1005, 2, 2]);
    }

    #[test]
    fn every_part_that_is_wanted_gets_a_time_and_training_keeps_one() {
        let (table, rows) = timed(&[1, 2, 3]);
        for (validation, test, expected) in [
            (0.01, 0.01, [1, 1, 1]),
            (0.45, 0.49, [1, 1, 1]),
            (0.0, 0.9, [1, 0, 2]),
            (0.9, 0.0, [1, 2, 0]),
            (0.0, 0.0, [3, 0, 0]),
        ] {
            let (split, _) = split(&table, &rows, &shares(validation, test));
            assert_eq!(counts(&split), expected, "{validation} {test}");
            assert_eq!(split.test_from.is_some(), expected[2] > 0);
        }
    }

    #[test]
    fn earlier_splits_move_back_by_the_weeks_of_validation() {
        let times: Vec<i64> = (0..200).map(|row| (row * 7) % 20).collect();
        let (table, rows) = timed(&times);
        let params = shares(0.15, 0.1);
        let (newest, _) = split(&table, &rows, &params);
        let earlier = earlier(&table, &rows, &params, &newest, 20);
        let time = |row: &u32| times[*row as usize];
        let range =
            |rows: &[u32]| (rows.iter().map(time).min().unwrap(), rows.iter().map(time).max().unwrap());
        let ranges: Vec<_> =
            earlier.iter().map(|split| (range(&split.train), range(&split.validation))).collect();
        // The newest has the weeks 15 to 17.
        let expected = [((0, 11), (12, 14)), ((0, 8), (9, 11)), ((0, 5), (6, 8)), ((0, 2), (3, 5))];
        assert_eq!(ranges, expected);
        assert!(earlier.iter().all(|split| split.by_time && split.test.is_empty()));
        assert_eq!(
            earlier.iter().map(|split| split.validation_from).collect::<Vec<_>>(),
            [12, 9, 6, 3].map(Some)
        );
        let none =
            super::earlier(&table, &rows, &shares(0.0, 0.1), &split(&table, &rows, &shares(0.0, 0.1)).0, 3);
        assert_eq!(none, []);
    }

    #[test]
    fn without_times_each_key_is_in_the_validation_rows_of_one_fold() {
        let table = Table {
            labels: vec![0.0; 3000].into(),
            unit_hashes: (0..3000u64).map(|row| crate::rows::hash::mix(row % 300)).collect(),
            ..Table::default()
        };
        let (rows, params) = ((0..3000).collect::<Vec<u32>>(), shares(0.2, 0.2));
        let (newest, _) = split(&table, &rows, &params);
        let folds = earlier(&table, &rows, &params, &newest, 20);
        assert_eq!(folds.len(), 3);
        let mut held_out: Vec<u32> =
            folds.iter().chain([&newest]).flat_map(|fold| fold.validation.clone()).collect();
        held_out.extend(&newest.test);
        held_out.sort_unstable();
        assert_eq!(held_out, rows);
        assert!(folds
            .iter()
            .all(|fold| fold.train.len() + fold.validation.len() + newest.test.len() == 3000));
    }

    #[test]
    fn too_few_times_fall_back_to_a_hash_with_a_warning() {
        let times: Vec<i64> = (0..1000).map(|row| row % 2).collect();
        let (table, rows) = timed(&times);
        let (split, warning) = split(&table, &rows, &shares(0.2, 0.2));
        assert!(warning.is_some_and(|w| w.contains("only 2 distinct times")));
        assert!(!split.by_time && split.test_from.is_none());
        assert!(counts(&split)[1..].iter().all(|count| (150..250).contains(count)), "{:?}", counts(&split));
    }

    #[test]
    fn all_rows_of_a_key_stand_on_one_side() {
        let units: Vec<u64> = (0..3000u64).map(|row| crate::rows::hash::mix(row % 300)).collect();
        let rows: Vec<u32> = (0..3000).collect();
        let split = by_hash(&units, &rows, 0.3, 0.3);
        let keys = |rows: &[u32]| rows.iter().map(|row| row % 300).collect::<std::collections::HashSet<_>>();
        let parts = [keys(&split.train), keys(&split.validation), keys(&split.test)];
        assert_eq!(parts.iter().map(|p| p.len()).sum::<usize>(), 300);
        assert!(parts.iter().all(|part| part.len() > 60));
    }
}
