//! Trainings for those who act on lists: the best rows of each region and week.

mod support;

use arrow_array::{BooleanArray, Date32Array, Int64Array, StringArray};
use model::params::{CalibrationChoice, Metric};
use model::protocol::Event;
use model::protocol::Role::{Feature, Key, Label, Time};
use model::recipe::Family::{Boolean, Date, Number, Text};
use model::{Algorithm, Params, Quality};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use support::sales::{column, sales, Source};
use support::{quick, train, Trainer};

/// Twenty products, half of which are bought more than the others in each region, and in the north far more is bought than in
/// the south. The only column says the region.
fn two_regions() -> Source {
    let rows: Vec<(i64, bool, i32)> =
        (0..20).flat_map(|week| (0..20).flat_map(move |n| [(n, true, week), (n, false, week)])).collect();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut is_bought = |(product, north, _): &(i64, bool, i32)| {
        random.random_bool(match (product % 2 == 0, north) {
            (true, true) => 0.9,
            (false, true) => 0.6,
            (true, false) => 0.2,
            (false, false) => 0.0,
        })
    };
    Source::empty()
        .with(
            column("product_id", "bigint", Number, Key),
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        )
        .with(
            column("region", "text", Text, Key),
            Arc::new(
                rows.iter().map(|row| Some(if row.1 { "north" } else { "south" })).collect::<StringArray>(),
            ),
        )
        .with(
            column("week", "date", Date, Time),
            Arc::new(rows.iter().map(|row| Some(17_168 + 7 * row.2)).collect::<Date32Array>()),
        )
        .with(
            column("is_north", "boolean", Boolean, Feature),
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<BooleanArray>()),
        )
        .with(
            column("purchased", "boolean", Boolean, Label),
            Arc::new(rows.iter().map(|row| Some(is_bought(row))).collect::<BooleanArray>()),
        )
}

#[test]
fn who_acts_on_lists_gets_the_model_that_is_best_within_them() {
    // The regression knows regions, which ranks all rows well and says nothing within a list; popularity the products.
    let algorithms = [Algorithm::Logistic, Algorithm::Popularity];
    let kept = |metric| {
        let params = Params { metric: Some(metric), k: 10, epochs: 10, learning_rate: Some(0.05), ..quick() };
        let run = Trainer::of(&algorithms, &two_regions(), params).run();
        let told: Vec<f64> = run
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Candidate(candidate) => candidate.validation.as_ref()?.value(metric),
                _ => None,
            })
            .collect();
        let validation = run.finished().0.unwrap().clone();
        (run.artifact().algorithm, told, validation)
    };
    let (by_rank, told, _) = kept(Metric::AveragePrecision);
    assert!(told[0] > told[1] + 0.05, "{told:?}");
    assert_eq!(by_rank, Algorithm::Logistic);
    let (by_list, told, validation) = kept(Metric::PrecisionAtK);
    assert!(told[1] > told[0] + 0.05, "{told:?}");
    assert_eq!(by_list, Algorithm::Popularity);
    // Two regions in each of three weeks, for the baseline as well.
    for quality in [validation.model, validation.popularity] {
        let Quality::Binary(metrics) = quality else { panic!("a probability") };
        let lists = metrics.lists.unwrap();
        assert_eq!((lists.k, lists.lists), (10, 6));
        assert!((lists.positives_at_k - 10.0 * lists.precision_at_k).abs() < 1e-9);
    }
}

#[test]
fn the_best_epoch_can_be_that_of_the_best_lists() {
    let source = Source::of(&sales(1500));
    // Slow enough that the epochs differ.
    let plain = Params { number_bins: Some(0), ..quick() };
    let params = Params { epochs: 15, learning_rate: Some(0.02), patience: Some(0), k: 8, ..plain };
    let of = |metric| {
        let run = train(&source, Params { metric, calibration: CalibrationChoice::Platt, ..params.clone() });
        let (validation, _, best, _) = run.finished();
        (best, validation.unwrap().model.value(Metric::PrecisionAtK).unwrap())
    };
    let (best, precision) = of(Some(Metric::PrecisionAtK));
    for other in [None, Some(Metric::AveragePrecision)] {
        let (other_best, other_precision) = of(other);
        assert_ne!(best, other_best, "the data do not tell {other:?} and lists apart");
        assert!(precision > other_precision, "{other:?}: {precision} {other_precision}");
    }
}
