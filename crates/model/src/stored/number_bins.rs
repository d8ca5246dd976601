//! The bins of a number: piecewise-linear encoding (Gorishniy, Rubachev and Babenko 2022). Each bin is an input of its own, which
//! goes from 0 at the bin's lower edge to 1 at its upper edge, so that a network can learn any broken line of the number from its
//! first layer on.

use crate::score::array::Array;
use serde::{Deserialize, Serialize};

/// Most bins of a number.
pub const MOST_BINS: usize = 64;
/// Fewest edges. One bin between two of them would say what the number says.
const FEWEST_EDGES: usize = 3;

/// The edges of a number's bins, in the number's own unit, ascending; none of a number without bins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NumberBins {
    pub(crate) edges: Array<f64>,
}

impl NumberBins {
    /// So many bins of equal shares of a sample, fewer where a value fills several; none where fewer than three edges are left.
    /// `sorted` are finite values, ascending.
    pub fn fit(sorted: &[f64], bins: usize) -> Self {
        let last = sorted.len().saturating_sub(1);
        // Adding zero makes both zeros one value.
        let quantile = |step| sorted.get(step * last / bins.max(1)).map(|value| value + 0.0);
        let mut edges: Vec<f64> = (0..=bins).filter_map(quantile).collect();
        edges.dedup();
        let fitted = Self { edges: edges.into() };
        if fitted.fits() {
            fitted
        } else {
            Self::default()
        }
    }

    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// How many there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// Bytes of this process's own memory.
    pub fn memory(&self) -> usize {
        self.edges.memory()
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The bin in which a finite value lies, and how far into it, from 0 to 1. Below the first bin that is its lower edge, above the
    /// last its upper one.
    #[inline]
    pub fn place(&self, value: f64) -> (usize, f32) {
        let edges = self.edges();
        // As many as are not above it: counted without a branch, which a processor could not foresee.
        let below: usize = edges.iter().map(|edge| usize::from(*edge <= value)).sum();
        let bin = below.saturating_sub(1).min(edges.len().saturating_sub(2));
        match edges.get(bin..bin + 2) {
            Some(&[low, high]) => (bin, ((value - low) / (high - low)).clamp(0.0, 1.0) as f32),
            _ => (0, 0.0),
        }
    }

    /// Writes the input of each bin: 1 up to the one in which the value lies, 0 after it; all are 0 where it is missing (NaN or
    /// infinite).
    #[inline]
    pub fn encode(&self, value: f64, inputs: &mut [f32]) {
        inputs.fill(0.0);
        if value.is_finite() && !inputs.is_empty() {
            let (bin, share) = self.place(value);
            inputs[..bin].fill(1.0);
            inputs[bin] = share;
        }
    }

    /// Whether there are none, or every bound is kept.
    pub(crate) fn fits(&self) -> bool {
        let ends = (self.edges.first(), self.edges.last());
        let (Some(first), Some(last)) = ends else { return true };
        (FEWEST_EDGES..=MOST_BINS + 1).contains(&self.edges.len())
            && self.edges.windows(2).all(|pair| pair[0] < pair[1])
            && (last - first).is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bins(edges: &[f64]) -> NumberBins {
        NumberBins { edges: edges.to_vec().into() }
    }

    proptest! {
        #[test]
        fn a_value_is_encoded_as_the_formula_says(
            mut edges in prop::collection::vec(-1e3..1e3_f64, 3..65),
            other in any::<f64>().prop_filter("finite", |value| value.is_finite()),
            near in -1.2e3..1.2e3_f64,
            at: prop::sample::Index,
        ) {
            edges.sort_unstable_by(f64::total_cmp);
            edges.dedup();
            prop_assume!(edges.len() >= FEWEST_EDGES);
            let bins = bins(&edges);
            prop_assert!(bins.fits());
            for value in [other, near, edges[at.index(edges.len())]] {
                let plain = edges.windows(2).map(|e| ((value - e[0]) / (e[1] - e[0])).clamp(0.0, 1.0) as f32);
                let mut inputs = vec![9.0; bins.count()];
                bins.encode(value, &mut inputs);
                prop_assert_eq!(inputs, plain.collect::<Vec<_>>());
            }
        }

        #[test]
        fn whatever_the_sample_the_bins_keep_their_bounds(bits in prop::collection::vec(any::<f64>(), 0..60), most in 0..65_usize) {
            let mut sample: Vec<f64> = bits.into_iter().filter(|value| value.is_finite()).collect();
            sample.sort_unstable_by(f64::total_cmp);
            let fitted = NumberBins::fit(&sample, most);
            prop_assert!(fitted.fits() && fitted.count() <= most);
        }
    }

    #[test]
    fn edges_are_quantiles_and_a_value_that_fills_a_bin_is_one_edge() {
        let sample: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(NumberBins::fit(&sample, 4), bins(&[0.0, 25.0, 50.0, 75.0, 100.0]));
        assert_eq!(NumberBins::fit(&[0.0, 1.0, 2.0, 3.0], 2), bins(&[0.0, 1.0, 3.0]));
        let mostly_zero = [-0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 7.0, 9.0];
        assert_eq!(NumberBins::fit(&mostly_zero, 4), bins(&[0.0, 5.0, 9.0]));
        for few in [&[][..], &[3.0], &[3.0; 9], &[0.0, 0.0, 1.0, 1.0], &[-f64::MAX, 0.0, f64::MAX]] {
            assert!(NumberBins::fit(few, 4).is_empty(), "{few:?}");
        }
        assert!(NumberBins::fit(&sample, 0).is_empty());
    }

    #[test]
    fn what_is_missing_is_in_no_bin() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut inputs = [1.0; 2];
            bins(&[0.0, 1.0, 2.0]).encode(value, &mut inputs);
            assert_eq!(inputs, [0.0; 2]);
        }
    }

    #[test]
    fn edges_beyond_their_bounds_do_not_fit() {
        let many: Vec<f64> = (0..66).map(f64::from).collect();
        for edges in [
            &[0.0, 1.0][..],
            &[0.0],
            &many,
            &[0.0, 1.0, 1.0],
            &[0.0, 2.0, 1.0],
            &[0.0, f64::NAN, 1.0],
            &[0.0, 1.0, f64::INFINITY],
            &[-f64::MAX, 0.0, f64::MAX],
        ] {
            assert!(!bins(edges).fits(), "{edges:?}");
        }
        assert!(bins(&many[..65]).fits() && bins(&[]).fits());
    }
}
