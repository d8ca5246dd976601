//! The popularity baseline, which every model is compared with: how often, or how much, a key was bought so far.
//!
//! The score of a row at time t is `(sum of labels + M * mean) / (rows + M)` over the labelled rows earlier than t that
//! have the same first key (the product), where `mean` is that of the training rows' labels. Every outcome before t is
//! known at t, so that rows of the holdout sets count too once they are past. Without a split by time, only training
//! rows count. Without keys, every row gets `mean`.

use crate::rows::labels::Labels;
use std::collections::HashMap;

/// Each key starts with this many rows of the overall mean, so that a key with few rows stays near it.
pub const PRIOR_ROWS: f64 = 10.0;

/// What is known of each row, indexed by row number.
pub struct Outcomes<'a> {
    /// Rows without a label are in no list of rows.
    pub labels: &'a Labels,
    /// A hash of the first key; `None` without keys.
    pub keys: Option<&'a [u64]>,
    /// The event times; `None` if only training rows count.
    pub times: Option<&'a [i64]>,
}

#[derive(Debug, Default, Clone, Copy)]
struct PastRows {
    sum: f64,
    rows: f64,
}

impl Outcomes<'_> {
    fn label(&self, row: u32) -> f64 {
        self.labels.get(row).into()
    }

    /// The mean label of `train`.
    fn mean(&self, train: &[u32]) -> f64 {
        train.iter().map(|row| self.label(*row)).sum::<f64>() / train.len().max(1) as f64
    }

    /// The score of each row of `wanted`, in its order. `ordered` are all labelled rows by time; with times, `wanted`
    /// must be ordered by time as well.
    pub fn scores(&self, ordered: &[u32], train: &[u32], wanted: &[u32]) -> Vec<f64> {
        let mean = self.mean(train);
        let Some(keys) = self.keys else {
            return vec![mean; wanted.len()];
        };
        // Keys that nobody asks for take no memory.
        let mut known: HashMap<u64, PastRows> =
            wanted.iter().map(|row| (keys[*row as usize], PastRows::default())).collect();
        let learn = |known: &mut HashMap<u64, PastRows>, row: u32| {
            if let Some(seen) = known.get_mut(&keys[row as usize]) {
                seen.rows += 1.0;
                seen.sum += self.label(row);
            }
        };
        let mut past = ordered.iter().copied().peekable();
        if self.times.is_none() {
            train.iter().for_each(|row| learn(&mut known, *row));
        }
        let score = |row: &u32| {
            if let Some(times) = self.times {
                let now = times[*row as usize];
                while let Some(earlier) = past.next_if(|earlier| times[*earlier as usize] < now) {
                    learn(&mut known, earlier);
                }
            }
            let seen = known.get(&keys[*row as usize]).copied().unwrap_or_default();
            (seen.sum + PRIOR_ROWS * mean) / (seen.rows + PRIOR_ROWS)
        };
        wanted.iter().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [f32; 8] = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
    const KEYS: [u64; 8] = [7, 7, 8, 7, 8, 7, 7, 8];
    const TIMES: [i64; 8] = [1, 1, 1, 2, 2, 3, 4, 4];
    const ALL: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    const TRAIN: [u32; 5] = [0, 1, 2, 3, 4];

    fn score(positives: f64, rows: f64) -> f64 {
        (positives + 10.0 * 0.6) / (rows + 10.0)
    }

    #[test]
    fn counts_all_rows_of_the_key_that_are_earlier_and_none_of_the_same_time() {
        let outcomes = Outcomes { labels: &LABELS.to_vec().into(), keys: Some(&KEYS), times: Some(&TIMES) };
        let scores = outcomes.scores(&ALL, &TRAIN, &[0, 3, 5, 6, 7]);
        // Row 6, at time 4, also knows the outcome of row 5, which is no training row.
        let expected = [score(0.0, 0.0), score(1.0, 2.0), score(2.0, 3.0), score(3.0, 4.0), score(1.0, 2.0)];
        assert_eq!(scores, expected);
    }

    #[test]
    fn later_outcomes_change_no_score() {
        let flipped = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let scores = |labels: &[f32]| {
            Outcomes { labels: &labels.to_vec().into(), keys: Some(&KEYS), times: Some(&TIMES) }.scores(
                &ALL,
                &TRAIN,
                &[5, 6, 7],
            )
        };
        assert_eq!(scores(&LABELS), scores(&flipped));
    }

    #[test]
    fn without_times_only_training_rows_count() {
        let outcomes = Outcomes { labels: &LABELS.to_vec().into(), keys: Some(&KEYS), times: None };
        assert_eq!(outcomes.scores(&ALL, &TRAIN, &[5, 7]), [score(2.0, 3.0), score(1.0, 2.0)]);
    }

    #[test]
    fn without_keys_every_row_gets_the_rate_of_the_training_rows() {
        let outcomes = Outcomes { labels: &LABELS.to_vec().into(), keys: None, times: Some(&TIMES) };
        assert_eq!(outcomes.scores(&ALL, &TRAIN, &[5, 6, 7]), [0.6; 3]);
    }
}
