//! Quantities: their mean, and quantiles that hold what their names say.

mod support;

use arrow_array::Float64Array;
use model::params::CalibrationChoice;
use model::recipe::Family;
use model::{Algorithm, Params, Quality, Task};
use std::sync::Arc;
use support::sales::{sales, served, Source};
use support::{fit, largest_difference, quick};

#[test]
fn quantities_are_predicted_with_their_quantiles() {
    let sales = sales(4000);
    let quantity = |sale: &support::sales::Sale| f64::from(u8::from(sale.label == Some(true))) * 30.0 + 5.0;
    let labels: Float64Array = sales.iter().map(|sale| sale.label.map(|_| quantity(sale))).collect();
    let mut source = Source::of(&sales).set("purchased", Arc::new(labels));
    source.columns.last_mut().unwrap().family = Family::Number;
    for algorithm in [Algorithm::Mlp, Algorithm::Logistic, Algorithm::BoostedTrees] {
        // By default quantities have thousands of trees, which take minutes in a build that checks.
        let params = Params { epochs: 10, learning_rate: Some(0.01), trees: Some(100), ..quick() };
        let run = fit(&[algorithm], &source, params);
        assert_eq!(run.artifact().task(), Task::Regression);
        let (_, test, ..) = run.finished();
        let Quality::Regression(test) = &test.unwrap().model else { panic!("a regression") };
        assert!(test.r2.unwrap() > 0.2, "{algorithm}: {test:?}");
        assert!((0.6..=1.0).contains(&test.coverage.unwrap()), "{algorithm}: {test:?}");
        let difference = largest_difference(&served(&run.artifact(), &sales), &run.scores);
        assert!(difference < 1e-3, "{algorithm}: {difference}");
    }
}

#[test]
fn four_fifths_of_the_quantities_lie_between_the_outer_quantiles() {
    let sales = sales(4000);
    let noise =
        |row: usize| ((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24);
    // Wider where more is bought.
    let quantity =
        |row: usize| (if sales[row].label == Some(true) { 20.0 } else { 4.0 }) * (1.0 + noise(row));
    let labels: Float64Array = (0..sales.len()).map(|row| sales[row].label.map(|_| quantity(row))).collect();
    let mut source = Source::of(&sales).set("purchased", Arc::new(labels));
    source.columns.last_mut().unwrap().family = Family::Number;
    for algorithm in [Algorithm::Mlp, Algorithm::BoostedTrees, Algorithm::Blend] {
        let of = |calibration| {
            // Too short to find the quantiles.
            let params =
                Params { epochs: 2, trees: Some(10), members: 1, importance: false, calibration, ..quick() };
            let others: &[_] = match algorithm {
                Algorithm::Blend => &[Algorithm::Mlp, Algorithm::BoostedTrees, Algorithm::Blend],
                _ => &[algorithm],
            };
            let run = fit(others, &source, params);
            let (_, test, ..) = run.finished();
            let Quality::Regression(test) = &test.unwrap().model else { panic!("a regression") };
            (test.coverage.unwrap(), test.pinball.unwrap())
        };
        let (without, with) = (of(CalibrationChoice::None), of(CalibrationChoice::Auto));
        assert!((with.0 - 0.8).abs() < 0.06, "{algorithm}: {without:?} {with:?}");
        assert!(with.1 < without.1, "{algorithm}: {without:?} {with:?}");
        assert!(algorithm != Algorithm::Mlp || without.0 < 0.74, "found without: {without:?}");
    }
}
