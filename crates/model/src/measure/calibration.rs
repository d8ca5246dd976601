//! Platt scaling: the network's logits turned into calibrated probabilities by a slope and an offset.

use super::ranking::Ranked;
use serde::{Deserialize, Serialize};

/// `probability = sigmoid(slope * logit + offset)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    pub slope: f64,
    pub offset: f64,
}

/// `1 / (1 + e^-x)`, between 0 and 1 for every number; NaN for NaN.
#[inline]
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + e^x)` without overflow: the cross-entropy of a negative row with the logit `x`, of a positive one with `-x`.
#[inline]
pub fn softplus(x: f64) -> f64 {
    (-x.abs()).exp().ln_1p() + x.max(0.0)
}

/// Newton steps at most; ten are usually enough.
const MAX_STEPS: usize = 100;
/// Added to the Hessian's diagonal, so that it stays invertible when all logits are equal.
const RIDGE: f64 = 1e-12;
/// The search ends when both partial derivatives of the mean loss are this small.
const FLAT: f64 = 1e-12;

impl Platt {
    /// Leaves the network's own probability as it is.
    pub const IDENTITY: Platt = Platt { slope: 1.0, offset: 0.0 };

    /// Fits slope and offset to held-out rows, one logit and one label each: maximum likelihood with the
    /// smoothed targets of Platt (1999), found by Newton's method with step halving and a loss that neither
    /// overflows nor cancels (Lin, Lin and Weng 2007). The same rows in the same order give the same bits.
    ///
    /// Rows whose logit is not finite are left out. [`Platt::IDENTITY`] where a class is missing, or where
    /// the fit is not finite or would turn the ranking around (a slope of 0 or less).
    ///
    /// # Panics
    /// If `logits` and `labels` differ in length.
    pub fn fit(logits: &[f64], labels: &[bool]) -> Platt {
        Self::fitted(logits, labels).unwrap_or(Self::IDENTITY)
    }

    /// As [`Platt::fit`], but `None` where that leaves the probabilities as they are because it cannot fit.
    ///
    /// # Panics
    /// If `logits` and `labels` differ in length.
    pub fn fitted(logits: &[f64], labels: &[bool]) -> Option<Platt> {
        assert_eq!(logits.len(), labels.len(), "one label for each logit");
        let rows = logits.iter().zip(labels).filter(|(logit, _)| logit.is_finite());
        let rows: Vec<(f64, bool)> = rows.map(|(logit, label)| (*logit, *label)).collect();
        let positives = rows.iter().filter(|(_, label)| *label).count() as f64;
        let negatives = rows.len() as f64 - positives;
        if positives == 0.0 || negatives == 0.0 {
            return None;
        }
        let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
        let targets: Vec<(f64, f64)> =
            rows.into_iter().map(|(logit, label)| (logit, if label { high } else { low })).collect();
        let start = Platt { slope: 0.0, offset: ((positives + 1.0) / (negatives + 1.0)).ln() };
        let fitted = newton(start, targets.iter().copied());
        fitted.is_valid().then_some(fitted)
    }

    /// Slope and offset of the line from the logits of probabilities to those of their outcomes (Cox 1958), by maximum
    /// likelihood: 1 and 0 where the probabilities are right. A slope below 1 says that they are too extreme, an offset below
    /// 0 that they are too high. `None` where a class is missing, or where the probabilities tell the classes apart or do
    /// not differ, so that there is no such line.
    pub fn of_outcomes(ranked: Ranked) -> Option<Platt> {
        let ends = |scores: &[f64]| Some((*scores.first()?, *scores.last()?));
        let ((low, high), (lowest, highest)) = ends(ranked.positives).zip(ends(ranked.negatives))?;
        if low >= highest || lowest >= high {
            return None;
        }
        let rows = ranked.rows().map(|(score, label)| (logit(score), f64::from(u8::from(label))));
        let prior = (ranked.positives.len() as f64 / ranked.negatives.len() as f64).ln();
        let found = newton(Platt { slope: 0.0, offset: prior }, rows);
        (found.slope.is_finite() && found.offset.is_finite()).then_some(found)
    }

    /// The calibrated probability of a logit.
    #[inline]
    pub fn probability(self, logit: f64) -> f64 {
        sigmoid(self.slope * logit + self.offset)
    }

    /// True if both numbers are finite and the ranking is kept.
    pub fn is_valid(self) -> bool {
        self.slope.is_finite() && self.slope > 0.0 && self.offset.is_finite()
    }
}

/// The logit of a probability kept at least 2⁻⁵² away from 0 and 1, as the log loss keeps it.
fn logit(probability: f64) -> f64 {
    let clipped = probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    (clipped / (1.0 - clipped)).ln()
}

/// Minimizes the mean cross-entropy of `(logit, target)` rows.
fn newton(start: Platt, rows: impl Iterator<Item = (f64, f64)> + Clone) -> Platt {
    let mut now = start;
    let mut loss = mean_loss(now, rows.clone());
    for _ in 0..MAX_STEPS {
        let Curve { slope, offset, slope2, cross, offset2 } = curve(now, rows.clone());
        if slope.abs() < FLAT && offset.abs() < FLAT {
            break;
        }
        let determinant = slope2 * offset2 - cross * cross;
        let direction = Platt {
            slope: -(offset2 * slope - cross * offset) / determinant,
            offset: -(slope2 * offset - cross * slope) / determinant,
        };
        let expected = slope * direction.slope + offset * direction.offset;
        // The gain of a further step would be smaller than the rounding of the loss.
        if -expected < f64::EPSILON * loss {
            break;
        }
        let Some((next, next_loss)) = downhill(now, loss, direction, expected, rows.clone()) else { break };
        (now, loss) = (next, next_loss);
    }
    now
}

/// The first of the steps 1, 1/2, 1/4, … that lowers the loss enough (Armijo's rule), if there is one.
fn downhill(
    from: Platt,
    loss: f64,
    direction: Platt,
    expected: f64,
    rows: impl Iterator<Item = (f64, f64)> + Clone,
) -> Option<(Platt, f64)> {
    let mut step = 1.0;
    while step > 1e-10 {
        let next = Platt {
            slope: from.slope + step * direction.slope,
            offset: from.offset + step * direction.offset,
        };
        let next_loss = mean_loss(next, rows.clone());
        if next_loss < loss + 1e-4 * step * expected {
            return Some((next, next_loss));
        }
        step /= 2.0;
    }
    None
}

/// First and second derivatives of the mean loss.
#[derive(Default)]
struct Curve {
    slope: f64,
    offset: f64,
    slope2: f64,
    cross: f64,
    offset2: f64,
}

fn curve(platt: Platt, rows: impl Iterator<Item = (f64, f64)>) -> Curve {
    let (mut sum, mut count) = (Curve::default(), 0_u64);
    for (logit, target) in rows {
        count += 1;
        let probability = platt.probability(logit);
        let error = probability - target;
        let weight = probability * (1.0 - probability);
        sum.slope += error * logit;
        sum.offset += error;
        sum.slope2 += weight * logit * logit;
        sum.cross += weight * logit;
        sum.offset2 += weight;
    }
    let rows = count as f64;
    Curve {
        slope: sum.slope / rows,
        offset: sum.offset / rows,
        slope2: sum.slope2 / rows + RIDGE,
        cross: sum.cross / rows,
        offset2: sum.offset2 / rows + RIDGE,
    }
}

/// Cross-entropy, averaged.
fn mean_loss(platt: Platt, rows: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u64);
    for (logit, target) in rows {
        let z = platt.slope * logit + platt.offset;
        sum += softplus(z) - target * z;
        count += 1;
    }
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::super::ranking::Ranking;
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Logits, and labels drawn from `truth`'s probabilities.
    fn drawn(truth: Platt, rows: usize) -> (Vec<f64>, Vec<bool>) {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let logits: Vec<f64> = (0..rows).map(|_| random.random_range(-6.0..6.0)).collect();
        let labels = logits.iter().map(|l| random.random_bool(truth.probability(*l))).collect();
        (logits, labels)
    }

    #[test]
    fn a_known_slope_and_offset_are_found_again() {
        for (slope, offset) in [(1.0, 0.0), (0.4, -1.5), (2.5, 2.0)] {
            let (logits, labels) = drawn(Platt { slope, offset }, 200_000);
            let found = Platt::fit(&logits, &labels);
            assert!((found.slope / slope - 1.0).abs() < 0.03, "{found:?} for a slope of {slope}");
            assert!((found.offset - offset).abs() < 0.05, "{found:?} for an offset of {offset}");
        }
    }

    #[test]
    fn the_fit_is_where_the_loss_is_flat() {
        let (logits, labels) = drawn(Platt { slope: 0.7, offset: 0.3 }, 500);
        let found = Platt::fit(&logits, &labels);
        let positives = labels.iter().filter(|l| **l).count() as f64;
        let negatives = labels.len() as f64 - positives;
        let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
        let rows: Vec<_> =
            logits.iter().zip(&labels).map(|(x, l)| (*x, if *l { high } else { low })).collect();
        let Curve { slope, offset, .. } = curve(found, rows.into_iter());
        assert!(slope.abs() < 1e-9 && offset.abs() < 1e-9, "{slope} {offset}");
    }

    #[test]
    fn the_mean_probability_is_about_the_share_of_positives() {
        let (logits, labels) = drawn(Platt { slope: 1.0, offset: -4.0 }, 50_000);
        let found = Platt::fit(&logits, &labels);
        let mean = logits.iter().map(|l| found.probability(*l)).sum::<f64>() / 50_000.0;
        let share = labels.iter().filter(|l| **l).count() as f64 / 50_000.0;
        assert!((mean - share).abs() < 1e-4, "{mean} {share}");
    }

    #[test]
    fn the_same_rows_give_the_same_bits() {
        let (logits, labels) = drawn(Platt::IDENTITY, 1000);
        let (a, b) = (Platt::fit(&logits, &labels), Platt::fit(&logits, &labels));
        assert_eq!((a.slope.to_bits(), a.offset.to_bits()), (b.slope.to_bits(), b.offset.to_bits()));
    }

    #[test]
    fn what_cannot_be_calibrated_stays_as_it_is() {
        assert_eq!(Platt::fit(&[], &[]), Platt::IDENTITY);
        assert_eq!(Platt::fit(&[1.0, 2.0], &[true, true]), Platt::IDENTITY);
        assert_eq!(Platt::fit(&[1.0, f64::NAN], &[true, false]), Platt::IDENTITY);
        // Upside down: a positive slope cannot help.
        let reversed: Vec<f64> = (0..100).map(f64::from).collect();
        let labels: Vec<bool> = (0..100).map(|i| i < 50).collect();
        assert_eq!(Platt::fit(&reversed, &labels), Platt::IDENTITY);
    }

    #[test]
    fn separated_and_extreme_logits_give_a_usable_fit() {
        let labels = [false, false, true, true];
        for scale in [1e-6, 1.0, 1e3, 1e12, 1e200, 1e308] {
            let found = Platt::fit(&[-scale, -0.5 * scale, 0.5 * scale, scale], &labels);
            assert!(found.is_valid(), "{scale}: {found:?}");
        }
    }

    #[test]
    fn the_line_of_outcomes_is_the_one_that_scipy_finds() {
        let scores: Vec<f64> = (1..=200).map(|i| f64::from(i * 37 % 101 + 1) / 103.0).collect();
        let label = |(i, score): (i32, &f64)| f64::from((i * i * 7 + i * 3) % 11) < 2.0 + 6.0 * score;
        let labels: Vec<bool> = (1..).zip(&scores).map(label).collect();
        let found = Platt::of_outcomes(Ranking::of(&scores, &labels).sorted()).unwrap();
        // scipy 1.17.1: minimize(mean(logaddexp(0, z) - label * z), z = slope * logit(score) + offset), trust-exact.
        assert!((found.slope - 0.3733409011353555).abs() < 1e-9, "{found:?}");
        assert!((found.offset - 0.38112752115096266).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn outcomes_of_right_probabilities_lie_on_the_line_of_slope_one() {
        let (logits, labels) = drawn(Platt::IDENTITY, 100_000);
        let of = |sharpness: f64| {
            let scores: Vec<f64> = logits.iter().map(|logit| sigmoid(sharpness * logit)).collect();
            Platt::of_outcomes(Ranking::of(&scores, &labels).sorted()).unwrap()
        };
        let right = of(1.0);
        assert!((right.slope - 1.0).abs() < 0.03 && right.offset.abs() < 0.03, "{right:?}");
        // Twice as sure as they may be, and the wrong way round.
        assert!((of(2.0).slope - 0.5).abs() < 0.02);
        assert!((of(-1.0).slope + 1.0).abs() < 0.03);
    }

    #[test]
    fn outcomes_without_a_line_have_none() {
        let line = |scores: &[f64], labels: &[bool]| Platt::of_outcomes(Ranking::of(scores, labels).sorted());
        assert_eq!(line(&[0.1, 0.9], &[true, true]), None);
        assert_eq!(line(&[0.5, 0.5, 0.5], &[true, false, true]), None);
        assert_eq!(line(&[0.4, 0.45, 0.55, 0.6], &[false, false, true, true]), None);
        assert_eq!(line(&[], &[]), None);
    }

    #[test]
    fn sigmoid_stays_within_bounds() {
        assert_eq!((sigmoid(0.0), sigmoid(1e300), sigmoid(-1e300)), (0.5, 1.0, 0.0));
        assert!((sigmoid(1.0) - 0.731_058_578_630_004_9).abs() < 1e-15);
    }
}
