//! Whether units came in the shares that were asked for (a sample-ratio mismatch). If they did not, something loses or adds
//! rows of one arm, and no comparison of the arms can be trusted.

/// The concentration of the Dirichlet distribution, in units. It is large enough that a split which is off by a few
/// percent is found, and small enough that a split which is far off is found at once.
const CONCENTRATION: f64 = 100.0;

/// A p-value of the shares that stays valid however often it is looked at, as units come: the inverse of the likelihood
/// of the counts, mixed over a Dirichlet distribution around the shares, against that of the shares themselves (Lindon
/// and Malek 2022, "Anytime-Valid Inference for Multinomial Count Data"). Each arm has one count and one positive
/// share; the shares add up to 1.
pub fn p_value(counts: &[u64], shares: &[f64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let all = libm::lgamma(CONCENTRATION) - libm::lgamma(CONCENTRATION + total as f64);
    let arms = counts.iter().zip(shares).map(|(count, share)| {
        let (count, weight) = (*count as f64, CONCENTRATION * share);
        libm::lgamma(weight + count) - libm::lgamma(weight) - count * share.ln()
    });
    let log_likelihood_ratio = all + arms.sum::<f64>();
    (-log_likelihood_ratio).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Whether the p-value ever falls to 0.05 while units come, looked at after every 20 of them.
    fn alarms(random: &mut ChaCha8Rng, real: f64, units: usize) -> bool {
        let mut counts = [0; 2];
        (0..units).any(|n| {
            counts[usize::from(random.random::<f64>() >= real)] += 1;
            n % 20 == 19 && p_value(&counts, &[0.5, 0.5]) <= 0.05
        })
    }

    #[test]
    fn a_split_as_asked_for_rarely_alarms_however_often_it_is_looked_at() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let alarmed = (0..1000).filter(|_| alarms(&mut random, 0.5, 2000)).count();
        // 50 are allowed, and three standard deviations more by chance.
        assert!(alarmed <= 50, "{alarmed} of 1000");
    }

    #[test]
    fn a_split_that_is_off_alarms() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let alarmed = (0..100).filter(|_| alarms(&mut random, 0.55, 5000)).count();
        assert!(alarmed >= 99, "{alarmed} of 100");
        assert!(p_value(&[5300, 4700], &[0.5, 0.5]) < 1e-6);
        assert_eq!(p_value(&[0, 0], &[0.5, 0.5]), 1.0);
    }

    #[test]
    fn the_mixture_is_the_product_of_its_predictions() {
        // Unit by unit: the chance that the mixture gives the next one, over its share.
        let (shares, sequence) = ([0.2, 0.3, 0.5], [0, 0, 1, 0, 2, 0, 0, 1, 0, 0, 0, 0]);
        let (mut counts, mut ratio) = ([0; 3], 1.0);
        for (n, arm) in sequence.into_iter().enumerate() {
            let predicted = (CONCENTRATION * shares[arm] + counts[arm] as f64) / (CONCENTRATION + n as f64);
            ratio *= predicted / shares[arm];
            counts[arm] += 1;
        }
        assert!((p_value(&counts, &shares) - f64::min(1.0, 1.0 / ratio)).abs() < 1e-10);
    }
}
