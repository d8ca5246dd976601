//! Rolling validation: what is compared is measured before several stretches of weeks.

mod support;

use arrow_array::{BooleanArray, Date32Array, Float64Array, Int64Array};
use model::params::Metric;
use model::protocol::Role::{Feature, Key, Label, Time};
use model::protocol::{CutOff, Event};
use model::recipe::Family::{Boolean, Date, Number};
use model::{Algorithm, Params, Quality};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use support::sales::{column, sales, Sale, Source};
use support::{fit, quick, Run};

fn cut_offs(run: &Run) -> &[CutOff] {
    match run.events.last() {
        Some(Event::Finished { cut_offs, .. }) => cut_offs,
        other => panic!("ended with {other:?}"),
    }
}

/// How good the model is on the newest validation rows.
fn validation(run: &Run) -> Quality {
    match run.events.last() {
        Some(Event::Finished { validation: Some(validation), .. }) => validation.model.clone(),
        other => panic!("ended with {other:?}"),
    }
}

/// The training library's scores, which cut-offs are measured by, are the served ones but for the last digits.
fn same(one: &Quality, other: &Quality) {
    for metric in [Metric::Auroc, Metric::AveragePrecision, Metric::LogLoss, Metric::PrecisionAtK] {
        let difference = one.value(metric).unwrap() - other.value(metric).unwrap();
        assert!(difference.abs() < 1e-6, "{metric:?}: {one:?} {other:?}");
    }
}

#[test]
fn each_cut_off_is_a_training_on_the_weeks_before_it() {
    // Twenty weeks from the day 17,168 on: three are test, the three before them validation.
    let all = sales(3000);
    let algorithms = [Algorithm::BoostedTrees, Algorithm::Mlp, Algorithm::Blend];
    let params = Params { cut_offs: 3, refit: false, importance: false, trees: Some(20), ..quick() };
    let run = fit(&algorithms, &Source::of(&all), params.clone());
    let of = |algorithm| cut_offs(&run).iter().filter(move |cut_off| cut_off.algorithm == algorithm);
    for algorithm in algorithms {
        let from: Vec<_> = of(algorithm).map(|cut_off| cut_off.validation_from.as_deref()).collect();
        assert_eq!(from, [Some("2017-03-20"), Some("2017-02-27")], "{algorithm}");
    }
    for (nth, weeks) in [(0, 14), (1, 11)] {
        let before: Vec<Sale> = all.iter().filter(|sale| sale.week < 17_168 + 7 * weeks).cloned().collect();
        let shares = Params {
            validation_share: 3.0 / f64::from(weeks),
            test_share: 0.0,
            cut_offs: 1,
            ..params.clone()
        };
        for algorithm in [Algorithm::BoostedTrees, Algorithm::Mlp] {
            let alone = fit(&[algorithm], &Source::of(&before), shares.clone());
            same(&of(algorithm).nth(nth).unwrap().validation, &validation(&alone));
        }
    }
    let told = run.events.iter().filter(|event| matches!(event, Event::CutOff(_))).count();
    assert_eq!(told, 4, "the blend is made of what was told");
}

/// Products of which every second is bought mostly, and a number that says the outcome in the first eight weeks and in the newest
/// ones, and nothing between.
fn lucky_weeks() -> Source {
    let random = &mut ChaCha8Rng::seed_from_u64(3);
    let rows: Vec<(i64, i32, bool)> = (0..20)
        .flat_map(|week| (0..40).map(move |product| (product, week)))
        .map(|(product, week)| (product, week, random.random_bool(if product % 2 == 0 { 0.8 } else { 0.2 })))
        .collect();
    let says_it = |week: i32| !(8..14).contains(&week);
    let number = |(_, week, bought): &(i64, i32, bool)| {
        let value = if says_it(*week) { *bought } else { random.random_bool(0.5) };
        Some(f64::from(u8::from(value)) + random.random_range(0.0..0.1))
    };
    let numbers: Float64Array = rows.iter().map(number).collect();
    let (products, weeks, outcomes) = (
        rows.iter().map(|row| Some(row.0)).collect::<Int64Array>(),
        rows.iter().map(|row| Some(17_168 + 7 * row.1)).collect::<Date32Array>(),
        rows.iter().map(|row| Some(row.2)).collect::<BooleanArray>(),
    );
    Source::empty()
        .with(column("product_id", "bigint", Number, Key), Arc::new(products))
        .with(column("week", "date", Date, Time), Arc::new(weeks))
        .with(column("number", "double precision", Number, Feature), Arc::new(numbers))
        .with(column("purchased", "boolean", Boolean, Label), Arc::new(outcomes))
}

#[test]
fn what_was_lucky_in_the_newest_weeks_is_not_kept() {
    let source = lucky_weeks();
    let kept = |cut_offs| {
        let params = Params { cut_offs, learning_rate: Some(0.01), epochs: 20, ..quick() };
        fit(&[Algorithm::Logistic, Algorithm::Popularity], &source, params).artifact().algorithm
    };
    assert_eq!((kept(1), kept(3)), (Algorithm::Logistic, Algorithm::Popularity));
}

#[test]
fn there_are_no_more_cut_offs_than_weeks_to_train_on() {
    let params = Params { cut_offs: 20, metric: Some(Metric::Auroc), ..quick() };
    let run = fit(&[Algorithm::Logistic], &Source::of(&sales(3000)), params);
    assert_eq!(cut_offs(&run).len(), 4);
    let warning = "There are rows for 5 cut-offs, not for 20: before those there is nothing to train on.";
    assert!(run.warnings().contains(&warning), "{:?}", run.warnings());
}

#[test]
fn a_stretch_of_one_outcome_ends_rolling_validation() {
    let mut all = sales(3000);
    // The first five weeks, before which the third cut-off is.
    all.iter_mut().filter(|sale| sale.week < 17_168 + 7 * 8).for_each(|sale| sale.label = Some(false));
    let run = fit(&[Algorithm::Logistic], &Source::of(&all), Params { cut_offs: 5, ..quick() });
    assert_eq!(cut_offs(&run).len(), 1);
    let warning = "Rolling validation ends after cut-off 2: the rows before the next one, or its own, have one outcome only.";
    assert!(run.warnings().contains(&warning), "{:?}", run.warnings());
}
