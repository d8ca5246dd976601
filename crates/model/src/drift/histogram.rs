//! The values of one column over the training rows, as a few counts: a few hundred bytes, from which a later week's
//! distance is told.

use super::edges::MOST_EDGES;
use serde::{Deserialize, Serialize};

/// Most values of a category that are counted one by one, and the longest of them in bytes.
pub const MOST_VALUES: usize = 20;
pub const LONGEST_VALUE: usize = 64;

/// What is known of a column's values. An array's elements are counted together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    pub bins: Bins,
    /// Values of each bin. The last two bins of a category are its other values, and those that the recipe does not know.
    pub counts: Vec<u64>,
    pub nulls: u64,
    /// The lowest and the highest number; `None` of a category, and where there are only NULLs.
    pub range: Option<(f64, f64)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// The edges between the bins: see [`super::edges`].
    Edges(Vec<f64>),
    /// The most frequent values.
    Values(Vec<String>),
}

impl Bins {
    /// The bins of a category whose known values are these, the most frequent first.
    pub fn of_values<'a>(known: impl Iterator<Item = &'a str>) -> Self {
        let short = known.filter(|value| value.len() <= LONGEST_VALUE).take(MOST_VALUES);
        Self::Values(short.map(str::to_owned).collect())
    }

    /// How many bins there are, that of NULL left out.
    pub fn count(&self) -> usize {
        match self {
            Self::Edges(edges) => edges.len() + 1,
            Self::Values(values) => values.len() + 2,
        }
    }
}

impl Histogram {
    /// Values and NULLs together.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(self.nulls, |sum, count| sum.saturating_add(*count))
    }

    /// The share of the values that the recipe does not know; `None` of numbers.
    pub fn unseen(&self) -> Option<f64> {
        let unseen = *self.counts.last().filter(|_| matches!(self.bins, Bins::Values(_)))?;
        self.share(unseen)
    }

    pub fn null_share(&self) -> Option<f64> {
        self.share(self.nulls)
    }

    fn share(&self, count: u64) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| count as f64 / total as f64)
    }

    /// Whether it can have been made by a training: what comes from outside may be anything.
    pub fn fits(&self) -> bool {
        let bins = match &self.bins {
            Bins::Edges(edges) => {
                edges.len() <= MOST_EDGES
                    && edges.iter().all(|edge| edge.is_finite())
                    && edges.windows(2).all(|pair| pair[0] < pair[1])
            }
            Bins::Values(values) => {
                values.len() <= MOST_VALUES && values.iter().all(|value| value.len() <= LONGEST_VALUE)
            }
        };
        let range = self.range.is_none_or(|(low, high)| low.is_finite() && high.is_finite() && low <= high);
        bins && range && self.counts.len() == self.bins.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_a_few_hundred_bytes_and_reads_back_the_same() {
        let values: Vec<f64> = (0..100_000).map(|n| f64::from(n * 7919 % 100_003) / 7.0).collect();
        let histogram = Histogram::of_numbers(&values);
        let json = serde_json::to_string(&histogram).unwrap();
        assert!(json.len() < 500, "{}", json.len());
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), histogram);
        assert_eq!((histogram.total(), histogram.range), (100_000, Some((0.0, 100_002.0 / 7.0))));
        assert!(histogram.fits());
    }

    #[test]
    fn the_values_of_a_category_are_bounded() {
        let names: Vec<String> = (0..1000).map(|n| format!("{n}{}", "x".repeat(n))).collect();
        let bins = Bins::of_values(names.iter().map(String::as_str));
        assert_eq!(bins.count(), MOST_VALUES + 2);
        let all = Histogram { counts: vec![1; bins.count()], bins, nulls: 0, range: None };
        assert!(all.fits() && serde_json::to_string(&all).unwrap().len() < 2000);
        assert_eq!(all.unseen(), Some(1.0 / 22.0));
    }

    #[test]
    fn what_no_training_writes_does_not_fit() {
        let good = Histogram::of_numbers(&[1.0, 2.0, 3.0]);
        assert!(good.fits());
        for bad in [
            Histogram { counts: vec![1], ..good.clone() },
            Histogram { range: Some((2.0, 1.0)), ..good.clone() },
            Histogram { bins: Bins::Edges(vec![2.0, 1.0]), ..good.clone() },
            Histogram { bins: Bins::Edges(vec![f64::NAN, 1.0]), ..good.clone() },
            Histogram { bins: Bins::Values(vec!["x".repeat(65)]), ..good.clone() },
        ] {
            assert!(!bad.fits(), "{bad:?}");
        }
    }
}
