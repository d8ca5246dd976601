//! How much better the rate of one arm is than that of another. The lift is the ratio of the rates less 1. It is judged
//! by the difference of their logarithms, which is about normal, with the variance of each rate from
//! [`Ratio::variance`].
//!
//! An interval and a p-value for one look, at a moment chosen beforehand, are the usual ones. Those that stay valid however
//! often one looks, and whenever one stops, come from the mixture sequential probability ratio test: the likelihood of the
//! difference, mixed over normal alternatives, against that of none (Robbins 1970; Johari, Koomen, Pekelis and Walsh 2017,
//! "Peeking at A/B Tests", section 5; with estimated variances: Waudby-Smith et al. 2021, "Time-uniform central limit theory
//! and asymptotic confidence sequences").

use super::normal::{distance, two_sided};
use super::ratio::Ratio;

/// The standard deviation of the alternatives: lifts of about a tenth are found soonest.
const EXPECTED_LIFT: f64 = 0.1;
/// Fewer units, or purchases, in either arm are too few for the normal distribution.
pub const LEAST: u64 = 20;

/// The lift of an arm over another, with bounds and p-values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lift {
    pub lift: f64,
    /// Valid for one look, at a moment chosen beforehand.
    pub once: Judged,
    /// Valid for any number of looks, whenever one stops.
    pub always: Judged,
}

/// A confidence interval of the lift, with the confidence that was asked for, and the p-value of the hypothesis that
/// there is no lift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    pub low: f64,
    pub high: f64,
    pub p_value: f64,
}

impl Lift {
    /// `confidence` lies between 0 and 1. `None` where an arm has fewer than [`LEAST`] units or purchases, or does not vary.
    pub fn of(arm: &Ratio, control: &Ratio, confidence: f64) -> Option<Self> {
        let enough = |ratio: &Ratio| ratio.units.min(ratio.purchases) >= LEAST;
        if !enough(arm) || !enough(control) {
            return None;
        }
        let (rate, base) = (arm.rate()?, control.rate()?);
        let difference = (rate / base).ln();
        let variance = arm.variance()? / (rate * rate) + control.variance()? / (base * base);
        if variance <= 0.0 {
            return None;
        }
        let judged = |(half, p_value): (f64, f64)| Judged {
            low: (difference - half).exp_m1(),
            high: (difference + half).exp_m1(),
            p_value,
        };
        Some(Self {
            lift: rate / base - 1.0,
            once: judged(once(difference, variance, confidence)),
            always: judged(always(difference, variance, confidence)),
        })
    }
}

/// Half the width of the interval for one look, and its p-value.
fn once(difference: f64, variance: f64, confidence: f64) -> (f64, f64) {
    let deviation = variance.sqrt();
    (distance(1.0 - confidence) * deviation, two_sided(difference / deviation))
}

/// Half the width of the interval for any number of looks, and its p-value, by the mixture of alternatives.
fn always(difference: f64, variance: f64, confidence: f64) -> (f64, f64) {
    let mixing = EXPECTED_LIFT * EXPECTED_LIFT;
    let sum = variance + mixing;
    let spread = (sum / variance).ln();
    let half = (variance * sum / mixing * (spread - 2.0 * (1.0 - confidence).ln())).sqrt();
    let log_likelihood_ratio = mixing * difference * difference / (2.0 * variance * sum) - spread / 2.0;
    (half, (-log_likelihood_ratio).exp().min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn proportion(units: u64, purchases: u64) -> Ratio {
        let mut ratio = Ratio::default();
        (0..units).for_each(|n| ratio.add(1, u64::from(n < purchases)));
        ratio
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn the_lift_of_two_proportions() {
        // 60 of 400 against 40 of 400, computed apart from this with Python's math and statistics modules.
        let found = Lift::of(&proportion(400, 60), &proportion(400, 40), 0.95).unwrap();
        close(found.lift, 0.5);
        close(found.once.low, 0.03013572580283097);
        close(found.once.high, 1.184178204523946);
        close(found.once.p_value, 0.03444495304514944);
        close(found.always.p_value, 0.6991154031203856);
        assert!(found.always.low < found.once.low && found.once.high < found.always.high);
    }

    #[test]
    fn the_mixture_is_the_mean_likelihood_of_the_alternatives() {
        let (difference, variance) = (0.25_f64, 0.01_f64);
        let density = |x: f64, variance: f64| (-x * x / (2.0 * variance)).exp() / variance.sqrt();
        let step = 1e-4;
        let alternatives = (-10_000..=10_000).map(|n| f64::from(n) * step);
        let mixed: f64 = alternatives
            .map(|lift| {
                let prior = density(lift, EXPECTED_LIFT.powi(2)) / std::f64::consts::TAU.sqrt();
                prior * density(difference - lift, variance) * step
            })
            .sum();
        close(always(difference, variance, 0.95).1, density(difference, variance) / mixed);
    }

    #[test]
    fn interval_and_p_value_agree() {
        for n in 41..90 {
            let found = Lift::of(&proportion(400, n), &proportion(400, 40), 0.9).unwrap();
            for judged in [found.once, found.always] {
                assert_eq!(judged.low > 0.0, judged.p_value < 0.1, "{n}: {judged:?}");
            }
        }
    }

    #[test]
    fn of_too_little_nothing_is_said() {
        assert!(Lift::of(&proportion(400, 19), &proportion(400, 40), 0.95).is_none());
        assert!(Lift::of(&proportion(30, 30), &proportion(30, 30), 0.95).is_none());
        let mut five_regions = Ratio::default();
        (0..5).for_each(|n| five_regions.add(1000, 90 + n));
        assert!(Lift::of(&five_regions, &five_regions, 0.95).is_none());
    }

    /// How many experiments of 60 days exclude the true lift on any day, and how many on the last: by the interval that is
    /// always valid, and by that for one look. Units come with one to three rows and propensities of their own, a rate of a
    /// tenth in the control, and 40 units an arm and day.
    fn excluded(experiments: usize, lift: f64, seed: u64) -> [usize; 3] {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut counts = [0; 3];
        for _ in 0..experiments {
            let mut arms = [Ratio::default(); 2];
            let (mut ever, mut ever_once, mut last) = (false, false, false);
            for _ in 0..60 {
                for (ratio, rate) in arms.iter_mut().zip([0.1, 0.1 * (1.0 + lift)]) {
                    (0..40).for_each(|_| add_unit(ratio, rate, &mut random));
                }
                let Some(found) = Lift::of(&arms[1], &arms[0], 0.9) else { continue };
                let outside = |judged: Judged| !(judged.low..=judged.high).contains(&lift);
                ever |= outside(found.always);
                last = outside(found.once);
                ever_once |= last;
            }
            [ever, last, ever_once].into_iter().zip(&mut counts).for_each(|(hit, n)| *n += usize::from(hit));
        }
        counts
    }

    fn add_unit(ratio: &mut Ratio, rate: f64, random: &mut ChaCha8Rng) {
        let rows = random.random_range(1..=3_u64);
        // Half of the units buy twice as readily as the mean, and half never.
        let buys = random.random::<f64>() < 0.5;
        let purchases = (0..rows).filter(|_| buys && random.random::<f64>() < 2.0 * rate).count();
        ratio.add(rows, purchases as u64);
    }

    #[test]
    fn looking_every_day_does_not_find_what_is_not_there() {
        let [always, last, peeked] = excluded(600, 0.0, 1);
        // 60 are allowed; 22 more would be three standard deviations.
        assert!(always <= 60, "{always} of 600");
        assert!((38..=82).contains(&last), "{last} of 600");
        assert!(peeked > 120, "looking at the interval for one look is what goes wrong: {peeked} of 600");
    }

    #[test]
    fn intervals_have_the_true_lift_in_them_as_often_as_they_say() {
        let [always, last, _] = excluded(600, 0.3, 2);
        assert!(always <= 60, "{always} of 600");
        assert!((38..=82).contains(&last), "{last} of 600");
    }
}
