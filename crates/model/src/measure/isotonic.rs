//! Isotonic calibration: the monotone step function nearest to the outcomes, with straight lines between its steps.

use super::calibration::sigmoid;
use crate::error::ModelError;
use serde::{Deserialize, Serialize};

/// Most points of an isotonic calibration.
pub const MAX_POINTS: usize = 4096;
/// Fewest rows of a step.
const FEWEST_ROWS: f64 = 20.0;

/// Probabilities at rising logits, with straight lines between them. Beyond the first and the last point, the log-odds
/// rise by what the logit rises. The curve rises everywhere, so that the ranking is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// Pairs of logit and probability, both rising.
    pub points: Vec<(f64, f64)>,
}

/// Neighbouring rows that share a probability.
#[derive(Clone, Copy)]
struct Pool {
    logits: f64,
    positives: f64,
    rows: f64,
}

impl Pool {
    fn rate(&self) -> f64 {
        self.positives / self.rows
    }

    fn add(&mut self, other: Pool) {
        self.logits += other.logits;
        self.positives += other.positives;
        self.rows += other.rows;
    }
}

impl Isotonic {
    /// Fits to held-out rows, one logit and one label each, by pooling adjacent violators (Ayer et al. 1955). Steps of
    /// fewer than 20 rows are pooled with their neighbours. `None` where fewer than two steps are left.
    ///
    /// # Panics
    /// If `logits` and `labels` differ in length.
    pub fn fit(logits: &[f64], labels: &[bool]) -> Option<Isotonic> {
        assert_eq!(logits.len(), labels.len(), "one label for each logit");
        let mut rows: Vec<(f64, bool)> = logits
            .iter()
            .copied()
            .zip(labels.iter().copied())
            .filter(|(logit, _)| logit.is_finite())
            .collect();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut pools: Vec<Pool> = Vec::new();
        for (logit, label) in rows {
            let mut pool = Pool { logits: logit, positives: f64::from(u8::from(label)), rows: 1.0 };
            while let Some(before) = pools.last() {
                if before.rows >= FEWEST_ROWS && before.rate() < pool.rate() {
                    break;
                }
                pool.add(*before);
                pools.pop();
            }
            pools.push(pool);
        }
        // The last pool may be too small; only the one before it is left to be pooled with.
        while let [.., _, last] = pools[..] {
            if last.rows >= FEWEST_ROWS {
                break;
            }
            pools.pop();
            pools.last_mut()?.add(last);
        }
        let mut points =
            pools.iter().map(|pool| (pool.logits / pool.rows, smoothed(pool))).collect::<Vec<_>>();
        points.dedup_by(|next, before| next.0 <= before.0 || next.1 <= before.1);
        let fitted = Isotonic { points: thinned(points) };
        fitted.check().ok().map(|()| fitted)
    }

    /// The calibrated probability of a logit; NaN for NaN.
    #[inline]
    pub fn probability(&self, logit: f64) -> f64 {
        let after = self.points.partition_point(|(at, _)| *at <= logit);
        let before = after.checked_sub(1).and_then(|before| self.points.get(before));
        match (before, self.points.get(after)) {
            _ if logit.is_nan() => logit,
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * ((logit - x0) / (x1 - x0)),
            (Some((x, y)), None) | (None, Some((x, y))) => sigmoid((y / (1.0 - y)).ln() + (logit - x)),
            (None, None) => f64::NAN,
        }
    }

    /// Checks every bound of a calibration that came from outside.
    pub fn check(&self) -> Result<(), ModelError> {
        let points = &self.points;
        let fits = (2..=MAX_POINTS).contains(&points.len())
            && points.iter().all(|(logit, p)| logit.is_finite() && *p > 0.0 && *p < 1.0)
            && points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1)
            && (points[points.len() - 1].0 - points[0].0).is_finite();
        match fits {
            true => Ok(()),
            false => Err(ModelError::artifact("the points of its calibration")),
        }
    }
}

/// The share of positives with half a row added on either side, so that it is never 0 or 1.
fn smoothed(pool: &Pool) -> f64 {
    (pool.positives + 0.5) / (pool.rows + 1.0)
}

/// At most [`MAX_POINTS`] of the points, evenly spread, the ends among them.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points;
    }
    let last = points.len() - 1;
    (0..MAX_POINTS).map(|i| points[i * last / (MAX_POINTS - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose share of positives rises with the logit, from 0.05 to 0.95.
    fn rising() -> (Vec<f64>, Vec<bool>) {
        let row = |i: u32| {
            let step = i / 100;
            (f64::from(i) / 100.0, (i * 37) % 100 < 5 + 10 * step)
        };
        (0..1000).map(row).unzip()
    }

    #[test]
    fn the_fit_follows_the_rates_and_never_falls() {
        let (logits, labels) = rising();
        let fitted = Isotonic::fit(&logits, &labels).unwrap();
        for step in 0..10 {
            let p = fitted.probability(f64::from(step) + 0.5);
            assert!((p - (0.05 + 0.1 * f64::from(step))).abs() < 0.06, "{step}: {p}");
        }
        let all: Vec<f64> = (-5..200).map(|i| fitted.probability(f64::from(i) / 10.0)).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(all.iter().all(|p| *p > 0.0 && *p < 1.0));
    }

    #[test]
    fn what_cannot_be_calibrated_gives_none() {
        assert!(Isotonic::fit(&[], &[]).is_none());
        assert!(Isotonic::fit(&[1.0, 2.0], &[true, false]).is_none());
        let falling: Vec<bool> = (0..100).map(|i| i < 50).collect();
        assert!(Isotonic::fit(&(0..100).map(f64::from).collect::<Vec<_>>(), &falling).is_none());
    }

    #[test]
    fn points_that_do_not_rise_are_refused() {
        let check = |points: &[(f64, f64)]| Isotonic { points: points.to_vec() }.check();
        assert!(check(&[(0.0, 0.1), (1.0, 0.2)]).is_ok());
        for points in [
            &[(0.0, 0.1)][..],
            &[(0.0, 0.1), (0.0, 0.2)],
            &[(0.0, 0.2), (1.0, 0.2)],
            &[(0.0, 0.0), (1.0, 0.2)],
            &[(f64::NAN, 0.1), (1.0, 0.2)],
            &[(f64::MIN, 0.1), (f64::MAX, 0.2)],
        ] {
            assert!(check(points).is_err(), "{points:?}");
        }
    }
}
