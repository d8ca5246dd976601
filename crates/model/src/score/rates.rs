//! The popularity baseline as a predictor: a number for each product, and one for all others.

use super::array::Array;
use crate::error::ModelError;
use std::collections::HashMap;

/// A number for each key and one for keys that training did not see. In a binary model the numbers are logits, in a
/// regression means.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// Hashes of the keys (see [`crate::hash`]), ascending.
    pub keys: Array<u64>,
    /// The number of each key.
    pub rates: Array<f64>,
    pub of_others: f64,
}

impl Rates {
    /// Checks that the keys ascend and every number is finite.
    pub fn check(&self) -> Result<(), ModelError> {
        let ascend = self.keys.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = self.of_others.is_finite() && self.rates.iter().all(|rate| rate.is_finite());
        match ascend && finite && self.keys.len() == self.rates.len() {
            true => Ok(()),
            false => Err(ModelError::artifact("the rates of its keys")),
        }
    }

    /// Rates from ascending hashes of keys, each with its number, and the number of all other keys.
    pub fn new(of_key: Vec<(u64, f64)>, of_others: f64) -> Self {
        let (keys, rates): (Vec<u64>, Vec<f64>) = of_key.into_iter().unzip();
        Self { keys: keys.into(), rates: rates.into(), of_others }
    }

    /// Bytes of this process's own memory.
    pub fn memory(&self) -> usize {
        self.keys.memory() + self.rates.memory()
    }

    /// The largest absolute value of the numbers.
    pub fn largest(&self) -> f64 {
        self.rates.iter().fold(self.of_others.abs(), |most, rate| most.max(rate.abs()))
    }

    /// The number of a key, given by its hash.
    pub fn of(&self, key: Option<u64>) -> f64 {
        let found = key.and_then(|key| self.keys.binary_search(&key).ok());
        found.and_then(|position| self.rates.get(position)).copied().unwrap_or(self.of_others)
    }

    /// Smoothed means: `(sum + prior · overall) / (rows + prior)` for each key's rows, turned by `as_output` into what
    /// the model puts out.
    pub fn smoothed(
        rows: impl Iterator<Item = (u64, f64)>,
        prior: f64,
        as_output: impl Fn(f64) -> f64,
    ) -> Rates {
        let mut sums: HashMap<u64, (f64, f64)> = HashMap::new();
        let (mut total, mut count) = (0.0, 0.0);
        for (key, value) in rows {
            let (sum, seen) = sums.entry(key).or_default();
            (*sum, *seen) = (*sum + value, *seen + 1.0);
            (total, count) = (total + value, count + 1.0);
        }
        let overall = if count > 0.0 { total / count } else { 0.0 };
        let smooth = |(key, (sum, seen)): (u64, (f64, f64))| {
            (key, as_output((sum + prior * overall) / (seen + prior)))
        };
        let mut of_key: Vec<(u64, f64)> = sums.into_iter().map(smooth).collect();
        of_key.sort_unstable_by_key(|(key, _)| *key);
        Self::new(of_key, as_output(overall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_few_rows_stays_near_the_average() {
        let rows = [(7, 1.0), (7, 1.0), (9, 0.0), (9, 0.0)];
        let rates = Rates::smoothed(rows.into_iter(), 2.0, |rate| rate);
        assert_eq!((rates.of(Some(7)), rates.of(Some(9))), (0.75, 0.25));
        assert_eq!((rates.of(Some(8)), rates.of(None)), (0.5, 0.5));
        assert!(rates.check().is_ok());
    }

    #[test]
    fn keys_out_of_order_and_numbers_that_are_none_are_refused() {
        let rates = |of_key: &[(u64, f64)], of_others| Rates::new(of_key.to_vec(), of_others);
        assert!(rates(&[], 0.0).check().is_ok());
        assert!(rates(&[], f64::NAN).check().is_err());
        assert!(rates(&[(2, 0.0), (1, 0.0)], 0.0).check().is_err());
        assert!(rates(&[(1, 0.0), (1, 0.0)], 0.0).check().is_err());
        assert!(rates(&[(1, f64::INFINITY)], 0.0).check().is_err());
    }
}
