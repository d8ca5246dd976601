//! Bins of numbers, which a network reads besides them.

mod support;

use arrow_array::types::Float32Type;
use arrow_array::{BooleanArray, Float64Array, ListArray};
use model::params::Metric;
use model::protocol::{Event, Role};
use model::recipe::{Family, Input};
use model::{Algorithm, Artifact, Params};
use std::sync::Arc;
use support::sales::{column, sales, served, Source};
use support::{fit, largest_difference, quick, Run, Trainer};

/// How many bins each number of a column has.
fn bins(artifact: &Artifact, name: &str) -> Vec<usize> {
    let column = artifact.recipe.columns.iter().find(|column| column.name == name);
    match column.map(|column| &column.input) {
        Some(Input::Numbers(scalings)) => scalings.iter().map(|scaling| scaling.bins.count()).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

/// What an algorithm took where the caller gave no number.
fn taken(run: &Run, algorithm: Algorithm) -> Option<u64> {
    match run.events.last() {
        Some(Event::Finished { defaults, .. }) => defaults[&algorithm].get("number_bins")?.as_u64(),
        other => panic!("ended with {other:?}"),
    }
}

#[test]
fn every_network_serves_what_libtorch_learned_from_bins() {
    let mut sales = sales(2000);
    let known = sales.len();
    let mut odd = sales[0].clone();
    odd.label = None;
    (odd.double, odd.large, odd.lags) =
        (Some(f64::NEG_INFINITY), Some(i64::MAX), Some([Some(1e30), None, Some(-3.0)]));
    sales.push(odd.clone());
    (odd.double, odd.medium, odd.seen_at, odd.lags) = (None, None, Some(i64::MIN / 4), None);
    sales.push(odd);
    let source = Source::of(&sales);
    for (algorithm, number_bins) in
        [(Algorithm::Mlp, 5), (Algorithm::Mlp, 64), (Algorithm::DeepCross, 16), (Algorithm::Logistic, 16)]
    {
        let params = Params { number_bins: Some(number_bins), members: 2, batch_norm: true, ..quick() };
        let run = fit(&[algorithm], &source, params);
        let artifact = run.artifact();
        for name in ["double", "launched", "seen_at"] {
            assert_eq!(bins(&artifact, name), [number_bins], "{name}");
        }
        assert_eq!(bins(&artifact, "lags"), [number_bins; 3]);
        assert_eq!(bins(&artifact, "flag"), [0], "two values need no bins");
        assert_eq!(taken(&run, algorithm), None);
        let difference = largest_difference(&run.scores, &served(&artifact, &sales));
        assert!(difference < 1e-5, "{algorithm}: {difference:e}");
        assert!(run.scores[known..].iter().all(|score| score.is_finite()), "{algorithm}");
    }
}

#[test]
fn a_step_is_learned_sooner_with_bins() {
    let rows = 6000;
    let place = |row: usize| (row * 7919 % rows) as f64 / rows as f64;
    let noise =
        |row: usize| ((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24);
    let label =
        |row: usize| noise(row) < if ((place(row) * 8.0) as usize).is_multiple_of(2) { 0.9 } else { 0.1 };
    let source = Source::empty()
        .with(
            column("place", "double precision", Family::Number, Role::Feature),
            Arc::new((0..rows).map(|row| Some(place(row))).collect::<Float64Array>()),
        )
        .with(
            column("purchased", "boolean", Family::Boolean, Role::Label),
            Arc::new((0..rows).map(|row| Some(label(row))).collect::<BooleanArray>()),
        );
    let of = |number_bins| {
        let params = Params { number_bins, learning_rate: Some(0.01), epochs: 10, ..quick() };
        let run = fit(&[Algorithm::Mlp], &source, params);
        let auroc = run.finished().1.expect("test rows").model.value(Metric::Auroc).expect("both classes");
        (auroc, taken(&run, Algorithm::Mlp))
    };
    let (without, with) = (of(Some(0)), of(None));
    assert_eq!((without.1, with.1), (None, Some(16)));
    assert!(with.0 > 0.85 && without.0 < 0.7, "{without:?} {with:?}");
}

#[test]
fn bins_are_left_out_where_there_is_no_room_for_them_unless_they_are_asked_for() {
    let rows = 120;
    let value = |row: usize, n: usize| Some(Some((row * 31 + n * 7) as f32 % 97.0));
    let lists = (0..rows).map(|row| Some((0..1000).filter_map(move |n| value(row, n)).collect::<Vec<_>>()));
    let labels: BooleanArray = (0..rows).map(|row| Some(row % 3 == 0)).collect();
    let source = Source::empty()
        .with(
            column("history", "real[]", Family::NumberArray, Role::Feature),
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists)),
        )
        .with(column("purchased", "boolean", Family::Boolean, Role::Label), Arc::new(labels));
    let params = Params { epochs: 1, importance: false, ..quick() };
    let run = fit(&[Algorithm::Mlp], &source, params.clone());
    assert_eq!(bins(&run.artifact(), "history"), [0; 1000]);
    assert_eq!(taken(&run, Algorithm::Mlp), Some(0));
    let (message, hint) = Trainer::new(&source, Params { number_bins: Some(16), ..params }).run().failure();
    assert_eq!(message, "the model would have 17000 inputs");
    assert!(hint.contains("fewer \"number_bins\""), "{hint}");
}
