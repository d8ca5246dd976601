//! How far two sets of counts by the same bins are from each other.

use crate::ab::normal;

/// Shares below this count as this, so that a bin that is empty on one side has a finite weight.
pub const LEAST_SHARE: f64 = 1e-4;

/// The population stability index: the sum over the bins of `(q - p) · ln(q / p)`, which is the Kullback–Leibler
/// divergence of both directions together (Jeffreys 1946). `expected` and `found` have values in at least one bin, and the
/// same length.
pub fn psi(expected: &[u64], found: &[u64]) -> f64 {
    let term = |(p, q): (f64, f64)| {
        let (p, q) = (p.max(LEAST_SHARE), q.max(LEAST_SHARE));
        (q - p) * (q / p).ln()
    };
    shares(expected).zip(shares(found)).map(term).sum()
}

/// The Jensen–Shannon distance: the root of the mean Kullback–Leibler divergence, in bits, of both from their middle (Lin
/// 1991, Endres and Schindelin 2003). 0 to 1; scipy's `spatial.distance.jensenshannon(p, q, base=2)`.
pub fn jensen_shannon(expected: &[u64], found: &[u64]) -> f64 {
    let part = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).log2() } else { 0.0 };
    let term = |(p, q): (f64, f64)| {
        let middle = (p + q) / 2.0;
        part(p, middle) + part(q, middle)
    };
    let twice: f64 = shares(expected).zip(shares(found)).map(term).sum();
    (twice / 2.0).clamp(0.0, 1.0).sqrt()
}

/// What the index exceeds by chance once in a thousand times if nothing has changed: `(1/n + 1/m)` times the quantile of a
/// chi-squared distribution with a degree of freedom less than there are bins (Yurdakul and Naranjo 2020). Bins that are empty on
/// both sides do not count.
pub fn by_chance(expected: &[u64], found: &[u64]) -> f64 {
    let total = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
    let bins = expected.iter().zip(found).filter(|(p, q)| **p > 0 || **q > 0).count();
    match bins {
        0 | 1 => 0.0,
        bins => (1.0 / total(expected) + 1.0 / total(found)) * chi_squared(bins as f64 - 1.0),
    }
}

/// The quantile 0.999 of a chi-squared distribution, by the cube root of Wilson and Hilferty (1931).
fn chi_squared(degrees: f64) -> f64 {
    let z = normal::distance(0.002);
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread + z * spread.sqrt()).powi(3)
}

fn shares(counts: &[u64]) -> impl Iterator<Item = f64> + '_ {
    let total: f64 = counts.iter().map(|count| *count as f64).sum();
    counts.iter().map(move |count| *count as f64 / total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const EXPECTED: [u64; 5] = [120, 80, 60, 30, 10];
    const FOUND: [u64; 5] = [40, 50, 35, 20, 55];

    #[test]
    fn the_distances_are_those_of_scipy() {
        // scipy 1.17.1: p, q = EXPECTED/sum, FOUND/sum;
        // sum(scipy.special.rel_entr(q, p) + scipy.special.rel_entr(p, q))
        assert!((psi(&EXPECTED, &FOUND) - 0.6530115530303208).abs() < 1e-14);
        // scipy.spatial.distance.jensenshannon(p, q, base=2)
        assert!((jensen_shannon(&EXPECTED, &FOUND) - 0.3213827841254246).abs() < 1e-14);
        // scipy.spatial.distance.jensenshannon([3, 0, 1], [0, 2, 2], base=2)
        assert!((jensen_shannon(&[3, 0, 1], &[0, 2, 2]) - 0.8097154205210412).abs() < 1e-14);
    }

    #[test]
    fn the_quantile_is_near_that_of_scipy() {
        // scipy.stats.chi2.ppf(0.999, [1, 4, 10, 20])
        for (degrees, exact) in [
            (1.0, 10.827566170662733),
            (4.0, 18.46682695290317),
            (10.0, 29.58829844507442),
            (20.0, 45.31474661812586),
        ] {
            assert!(
                (chi_squared(degrees) / exact - 1.0).abs() < 0.035,
                "{degrees}: {}",
                chi_squared(degrees)
            );
        }
    }

    /// Kullback and Leibler's divergence, term by term.
    fn divergence(p: &[f64], q: &[f64]) -> f64 {
        p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p.ln() - q.ln())).sum()
    }

    fn plain_shares(counts: &[u64]) -> Vec<f64> {
        let total = counts.iter().sum::<u64>() as f64;
        counts.iter().map(|count| *count as f64 / total).collect()
    }

    proptest! {
        #[test]
        fn both_are_what_the_plain_formulas_say(
            pairs in prop::collection::vec((0..200_u64, 0..200_u64), 1..25)
        ) {
            let (mut p, mut q): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
            (p[0], q[0]) = (p[0] + 1, q[0] + 1);
            let (ps, qs) = (plain_shares(&p), plain_shares(&q));
            let middle: Vec<f64> = ps.iter().zip(&qs).map(|(p, q)| (p + q) / 2.0).collect();
            let mean = (divergence(&ps, &middle) + divergence(&qs, &middle)) / 2.0;
            let distance = jensen_shannon(&p, &q);
            prop_assert!((distance * distance * 2_f64.ln() - mean).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&distance));
            let floored = |shares: &[f64]| shares.iter().map(|share| share.max(LEAST_SHARE)).collect::<Vec<_>>();
            let (pf, qf) = (floored(&ps), floored(&qs));
            prop_assert!((psi(&p, &q) - divergence(&pf, &qf) - divergence(&qf, &pf)).abs() < 1e-9);
            prop_assert!((psi(&p, &q) - psi(&q, &p)).abs() < 1e-12);
        }
    }

    #[test]
    fn nothing_in_common_is_far_and_finite() {
        assert_eq!(jensen_shannon(&[5, 0], &[0, 7]), 1.0);
        let far = psi(&[5, 0], &[0, 7]);
        assert!(far > 10.0 && far.is_finite());
    }

    #[test]
    fn chance_alone_exceeds_its_bound_about_once_in_a_thousand_times() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut draw = |rows: usize| {
            let mut counts = vec![0; 10];
            (0..rows).for_each(|_| counts[random.random_range(0..10)] += 1);
            counts
        };
        let exceeded = (0..4000).filter(|_| {
            let (trained, week) = (draw(2000), draw(300));
            psi(&trained, &week) > by_chance(&trained, &week)
        });
        let exceeded = exceeded.count();
        assert!((1..=14).contains(&exceeded), "{exceeded}");
        assert_eq!(by_chance(&[5, 0], &[7, 0]), 0.0);
    }
}
