//! Where the bins of numbers lie: each bin holds the values up to and with its edge and above the edge before.

/// Bins of a continuous column.
const BINS: usize = 10;
/// Most edges of a column: between the bins, and one below each value that fills a bin by itself.
pub const MOST_EDGES: usize = 2 * (BINS - 1);

/// The edges for values like these, lowest first; none without values. With few distinct values each has a bin of its
/// own. Else the edges are the deciles; a value that is a decile more than once gets a bin of its own, so that a column
/// that is mostly 0 is not one bin. Values that are not finite are left out.
pub fn edges_of(values: &mut Vec<f64>) -> Vec<f64> {
    values.retain(|value| value.is_finite());
    // Adding zero makes both zeros one value.
    values.iter_mut().for_each(|value| *value += 0.0);
    values.sort_unstable_by(f64::total_cmp);
    let mut distinct = values.clone();
    distinct.dedup();
    if distinct.len() <= BINS {
        distinct.pop();
        return distinct;
    }
    let quantile = |n: usize| values[(values.len() * n).div_ceil(BINS) - 1];
    let deciles: Vec<f64> = (1..BINS).map(quantile).collect();
    let mut edges = Vec::with_capacity(MOST_EDGES);
    for (n, decile) in deciles.iter().enumerate() {
        let repeats = deciles.get(n + 1) == Some(decile);
        if repeats {
            edges.extend(distinct[..distinct.partition_point(|value| value < decile)].last());
        }
        edges.push(*decile);
    }
    edges.sort_unstable_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// The bin of a value: the first whose edge it does not exceed, or the one after the last edge.
#[inline]
pub fn bin_of(edges: &[f64], value: f64) -> usize {
    edges.partition_point(|edge| *edge < value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges(values: &[f64]) -> Vec<f64> {
        edges_of(&mut values.to_vec())
    }

    #[test]
    fn few_distinct_values_have_a_bin_each() {
        assert_eq!(edges(&[1.0, 1.0, 1.0, 0.0]), [0.0]);
        assert_eq!(edges(&[3.0, 2.0, 1.0, f64::NAN, f64::INFINITY]), [1.0, 2.0]);
        assert_eq!(edges(&[-0.0, 0.0]), [0.0; 0]);
        assert_eq!(edges(&[]), [0.0; 0]);
    }

    #[test]
    fn the_edges_of_many_values_are_their_deciles() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(edges(&values), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]);
    }

    #[test]
    fn a_value_of_most_rows_is_a_bin_by_itself() {
        let values: Vec<f64> =
            (0..100).map(|n| if n < 70 { 5.0 } else { f64::from(n) / 10.0 - 5.0 }).collect();
        let edges = edges(&values);
        let at = edges.iter().position(|edge| *edge == 5.0).unwrap();
        assert!(at > 0 && edges[at - 1] == 4.9, "{edges:?}");
        assert_eq!(bin_of(&edges, 5.0), at);
        assert_eq!(bin_of(&edges, 4.9), at - 1);
    }

    proptest! {
        #[test]
        fn edges_ascend_are_few_and_leave_no_bin_of_the_sample_empty(
            values in prop::collection::vec(prop_oneof![(-5..5_i8).prop_map(f64::from), -1e3..1e3], 1..300)
        ) {
            let edges = edges(&values);
            prop_assert!(edges.len() <= MOST_EDGES);
            prop_assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
            let mut counts = vec![0; edges.len() + 1];
            values.iter().for_each(|value| counts[bin_of(&edges, *value)] += 1);
            prop_assert!(counts.iter().all(|count| *count > 0), "{edges:?} {counts:?}");
        }
    }
}
