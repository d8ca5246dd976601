//! A calibration that is fitted to rows which the predictor has not learned from, from the numbers that it puts out.

use super::calibration::{sigmoid, Platt};
use super::isotonic::Isotonic;
use super::metrics;
use crate::hash::mix;
use crate::stored::output::Output;

/// How far, in log-odds, isotonic steps are shifted at most, and how often the interval is halved: to a millionth.
const FARTHEST_SHIFT: f64 = 8.0;
const SHIFT_STEPS: u32 = 24;

/// How numbers become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By a line and a sigmoid.
    Platt,
    /// By rising steps.
    Isotonic,
}

impl Method {
    pub const ALL: [Method; 2] = [Self::Platt, Self::Isotonic];

    pub fn name(self) -> &'static str {
        match self {
            Self::Platt => "platt",
            Self::Isotonic => "isotonic",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The fewest rows of the rarer outcome: a line has two numbers, steps have as many as the rows allow.
    pub fn fewest(self) -> usize {
        match self {
            Self::Platt => 20,
            Self::Isotonic => 200,
        }
    }

    /// The output that is fitted to one number and one label each. `None` where outcomes are not more frequent at higher
    /// numbers, so that a calibration would turn the ranking around or have no steps.
    ///
    /// # Panics
    /// If `numbers` and `labels` differ in length.
    pub fn fit(self, numbers: &[f64], labels: &[bool]) -> Option<Output> {
        match self {
            Self::Platt => Platt::fitted(numbers, labels).map(Output::Platt),
            Self::Isotonic => {
                let fitted = Isotonic::fit(numbers, labels)?;
                Some(Output::Isotonic(right_on_average(fitted, numbers, labels)))
            }
        }
    }
}

/// The same steps with their log-odds shifted until the mean probability is the share of positives: straight lines between the middles of
/// steps miss it where few rows lie between wide steps.
fn right_on_average(fitted: Isotonic, numbers: &[f64], labels: &[bool]) -> Isotonic {
    let wanted = labels.iter().filter(|label| **label).count() as f64 / labels.len() as f64;
    let shifted = |by: f64| {
        let of = |(number, p): &(f64, f64)| (*number, sigmoid((p / (1.0 - p)).ln() + by));
        Isotonic { points: fitted.points.iter().map(of).collect() }
    };
    let mean = |by: f64| {
        let curve = shifted(by);
        numbers.iter().map(|number| curve.probability(*number)).sum::<f64>() / numbers.len() as f64
    };
    let (mut low, mut high) = (-FARTHEST_SHIFT, FARTHEST_SHIFT);
    for _ in 0..SHIFT_STEPS {
        let middle = (low + high) / 2.0;
        if mean(middle) < wanted {
            low = middle
        } else {
            high = middle
        }
    }
    let curve = shifted((low + high) / 2.0);
    if curve.check().is_ok() {
        curve
    } else {
        fitted
    }
}

/// Numbers and their labels.
type Half = (Vec<f64>, Vec<bool>);

/// The log loss on rows that were not fitted to: the mean of two, each of one half of the rows with what `fit` makes of the
/// other half. Which half a row is in depends on its place alone. `None` where a half cannot be fitted to, or is empty.
///
/// # Panics
/// If `numbers` and `labels` differ in length.
pub fn held_out_loss(
    numbers: &[f64],
    labels: &[bool],
    fit: impl Fn(&[f64], &[bool]) -> Option<Output>,
) -> Option<f64> {
    assert_eq!(numbers.len(), labels.len(), "one label for each number");
    let half = |first: bool| -> Half {
        let rows = (0_u64..).zip(numbers.iter().zip(labels));
        let of_half = rows.filter(|(row, _)| (mix(*row) & 1 == 0) == first);
        of_half.map(|(_, (number, label))| (*number, *label)).unzip()
    };
    let halves = [half(true), half(false)];
    let loss =
        |fitted: &Half, measured: &Half| loss_of(&fit(&fitted.0, &fitted.1)?, &measured.0, &measured.1);
    Some((loss(&halves[0], &halves[1])? + loss(&halves[1], &halves[0])?) / 2.0)
}

/// The log loss of the probabilities that an output makes of numbers; `None` without rows.
///
/// # Panics
/// If `numbers` and `labels` differ in length.
pub fn loss_of(output: &Output, numbers: &[f64], labels: &[bool]) -> Option<f64> {
    let scores: Vec<f64> = numbers.iter().map(|number| output.of(*number)).collect();
    metrics::log_loss(&scores, labels)
}

/// At most so many rows of a stream, each of which is among them with the same chance (reservoir sampling, Vitter 1985). The
/// same rows in the same order give the same sample.
pub struct Sample {
    most: usize,
    pub rows: u64,
    pub positives: u64,
    pub numbers: Vec<f64>,
    pub labels: Vec<bool>,
}

impl Sample {
    pub fn new(most: usize) -> Self {
        Self { most, rows: 0, positives: 0, numbers: Vec::new(), labels: Vec::new() }
    }

    pub fn insert(&mut self, number: f64, label: bool) {
        self.rows += 1;
        self.positives += u64::from(label);
        if self.numbers.len() < self.most {
            self.numbers.push(number);
            self.labels.push(label);
            return;
        }
        let place = (mix(self.rows) % self.rows) as usize;
        if place < self.most {
            self.numbers[place] = number;
            self.labels[place] = label;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose true probability is `truth` of them.
    fn drawn(rows: u64, truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<bool>) {
        let row = |i: u64| {
            let number = (mix(i) % 6000) as f64 / 1000.0 - 3.0;
            (number, (mix(!i) as f64 / 2f64.powi(64)) < truth(number))
        };
        (0..rows).map(row).unzip()
    }

    #[test]
    fn both_methods_find_the_probabilities_that_the_rows_were_drawn_from() {
        let truth = |number: f64| sigmoid(0.5 * number - 1.0);
        let (numbers, labels) = drawn(50_000, truth);
        for method in Method::ALL {
            let output = method.fit(&numbers, &labels).unwrap();
            for number in [-2.0, 0.0, 2.0] {
                assert!((output.of(number) - truth(number)).abs() < 0.03, "{method:?} {number}");
            }
        }
    }

    #[test]
    fn isotonic_is_right_on_average_where_few_rows_lie_between_wide_steps() {
        // Most numbers are low with few positives, and far above them lies a wide step of nothing else.
        let row = |i: u32| match i % 10 {
            0..=6 => (f64::from(i % 700) / 100.0, i.is_multiple_of(70)),
            _ => (7.5 + f64::from(i % 900), true),
        };
        let (numbers, labels): (Vec<f64>, Vec<bool>) = (0..4000).map(row).unzip();
        let output = Method::Isotonic.fit(&numbers, &labels).unwrap();
        let mean = numbers.iter().map(|number| output.of(*number)).sum::<f64>() / 4000.0;
        let rate = labels.iter().filter(|label| **label).count() as f64 / 4000.0;
        assert!((mean - rate).abs() < 1e-4, "{mean} {rate}");
    }

    #[test]
    fn the_loss_of_held_out_rows_is_lower_after_a_calibration_that_is_needed() {
        let (numbers, labels) = drawn(20_000, |number| sigmoid(0.5 * number - 1.0));
        let before = loss_of(&Output::Platt(Platt::IDENTITY), &numbers, &labels).unwrap();
        let after = held_out_loss(&numbers, &labels, |n, l| Method::Platt.fit(n, l)).unwrap();
        assert!(after < before - 0.1, "{before} {after}");
        // A model that knows the fitted half by heart has gained nothing on the other.
        let by_heart = held_out_loss(&numbers, &labels, |_, _| Some(Output::Platt(Platt::IDENTITY))).unwrap();
        assert!((by_heart - before).abs() < 0.01, "{before} {by_heart}");
    }

    #[test]
    fn numbers_that_outcomes_do_not_follow_are_not_calibrated() {
        let (numbers, labels) = drawn(5_000, |number| sigmoid(-number));
        assert!(Method::ALL.iter().all(|method| method.fit(&numbers, &labels).is_none()));
        assert!(Method::ALL.iter().all(|method| method.fit(&[1.0, 2.0], &[true, true]).is_none()));
    }

    #[test]
    fn a_sample_is_bounded_even_and_knows_all_rows() {
        let mut sample = Sample::new(1000);
        (0..100_000).for_each(|row| sample.insert(f64::from(row), row % 10 == 0));
        assert_eq!((sample.rows, sample.positives, sample.numbers.len()), (100_000, 10_000, 1000));
        let mean = sample.numbers.iter().sum::<f64>() / 1000.0;
        assert!((mean - 50_000.0).abs() < 3_000.0, "{mean}");
        let labels_fit =
            sample.numbers.iter().zip(&sample.labels).all(|(n, label)| (n % 10.0 == 0.0) == *label);
        assert!(labels_fit);
    }
}
