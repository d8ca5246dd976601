//! Quantiles that hold what their names say: what is called the 10 % quantile has a tenth of the calibration rows below it.

use model::algorithm::QUANTILES;
use model::output::Shifts;
use model::{Output, Task};

/// Fewer calibration rows say too little: of so many the share below a quantile is known to about 0.03.
const FEWEST: usize = 100;

/// What each quantile has to be shifted by: the quantile of the calibration rows' residuals, which is the shift with the lowest
/// pinball loss (Koenker and Bassett 1978); for the outer ones also that of conformalized quantile regression (Romano,
/// Patterson and Candès 2019), each side by itself. `outputs` are the predictor's numbers, row after row.
pub fn shifts(output: &Output, outputs: &[f64], labels: &[f64]) -> Shifts {
    if labels.len() < FEWEST {
        return Shifts::default();
    }
    let rows = outputs.chunks_exact(Task::Regression.outputs()).zip(labels);
    // The first output is the mean.
    let residuals =
        |quantile: usize| rows.clone().map(move |(row, label)| label - output.of(row[1 + quantile]));
    Shifts(std::array::from_fn(|quantile| {
        nearest_to_zero(residuals(quantile).collect(), QUANTILES[quantile])
    }))
}

/// A quantile of the numbers; where several numbers are, as at a step, that which is nearest to 0.
fn nearest_to_zero(mut numbers: Vec<f64>, share: f64) -> f64 {
    let wanted = share * numbers.len() as f64;
    let below = numbers.iter().filter(|number| **number < 0.0).count() as f64;
    let not_above = numbers.iter().filter(|number| **number <= 0.0).count() as f64;
    if below <= wanted && wanted <= not_above {
        return 0.0;
    }
    let at = (wanted.ceil() as usize).clamp(1, numbers.len()) - 1;
    *numbers.select_nth_unstable_by(at, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Output =
        Output::Quantity { mean: 0.0, scale: 1.0, least: Some(0.0), shifts: Shifts([0.0; 3]) };

    /// The shifts of rows whose labels are given and of all of which the same is predicted.
    fn of_constant(predicted: [f64; 3], labels: &[f64]) -> [f64; 3] {
        let row = [0.0, predicted[0], predicted[1], predicted[2]];
        let outputs: Vec<f64> = labels.iter().flat_map(|_| row).collect();
        shifts(&PLAIN, &outputs, labels).0
    }

    #[test]
    fn each_quantile_is_moved_to_where_its_share_of_the_rows_is_below() {
        let labels: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(of_constant([300.0, 500.0, 600.0], &labels), [-200.0, 0.0, 300.0]);
    }

    #[test]
    fn quantities_that_are_mostly_zero_are_left_where_their_quantiles_are_zero() {
        let mut labels = vec![0.0; 950];
        labels.extend([7.0; 50]);
        assert_eq!(of_constant([-0.5, 0.0, 0.0], &labels), [0.0; 3]);
        assert_eq!(of_constant([0.0, 0.25, 2.0], &labels), [0.0, -0.25, -2.0]);
    }

    #[test]
    fn few_rows_move_nothing() {
        let labels: Vec<f64> = (0..FEWEST - 1).map(|row| row as f64).collect();
        assert_eq!(of_constant([70.0, 70.0, 70.0], &labels), [0.0; 3]);
    }
}
