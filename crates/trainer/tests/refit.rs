//! The refit: what is served has learned from all labelled rows, and what is reported has not.

mod support;

use arrow_array::Float64Array;
use model::params::Metric;
use model::protocol::{Event, Role};
use model::recipe::Family;
use model::{Algorithm, Params};
use std::sync::Arc;
use support::sales::{column, sales, served, Sale, Source};
use support::{fit, quick, train, Run};

/// What a run has said of the held-out rows and of the columns.
fn reported(run: &Run) -> String {
    match run.events.last() {
        Some(Event::Finished { validation, test, by, best_epoch, importance, .. }) => {
            format!("{validation:?} {test:?} {by:?} {best_epoch} {importance:?}")
        }
        other => panic!("ended with {other:?}"),
    }
}

#[test]
fn all_labelled_rows_are_learned_from_and_what_is_reported_is_the_fit_before() {
    let sales = sales(3000);
    let source = Source::of(&sales);
    for algorithm in [Algorithm::Popularity, Algorithm::Logistic, Algorithm::Mlp, Algorithm::BoostedTrees] {
        let params = Params { trees: Some(40), members: 2, ..quick() };
        let plain = fit(&[algorithm], &source, Params { refit: false, ..params.clone() });
        let run = fit(&[algorithm], &source, params);
        assert_eq!(reported(&run), reported(&plain), "{algorithm}");
        assert_eq!(run.measured, plain.model, "{algorithm}");
        assert_ne!(run.model, plain.model, "{algorithm}");
        let data = run.data();
        assert_eq!(run.refit().1, Some(data.train + data.validation + data.test), "{algorithm}");
        assert_eq!((plain.refit(), plain.measured), ((0, None), None), "{algorithm}");
        if algorithm == Algorithm::Popularity {
            continue; // It scores by a key, which `served` does not give.
        }
        let ours = served(&run.artifact(), &sales);
        let apart = ours.iter().zip(&run.scores).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-5, "{algorithm}");
    }
}

#[test]
fn its_numbers_have_bins_only_if_those_that_were_measured_had() {
    let sales = sales(13_500);
    let labels: Float64Array =
        sales.iter().map(|sale| sale.label.map(|_| sale.double.unwrap_or(0.0))).collect();
    let mut source = Source::of(&sales).set("purchased", Arc::new(labels));
    source.columns.last_mut().unwrap().family = Family::Number;
    let run = fit(&[Algorithm::Mlp], &source, Params { epochs: 1, importance: false, ..quick() });
    let (train, all) = (run.data().train, run.refit().1.unwrap());
    assert!(train < 10_000 && all > 10_000, "{train} of {all}: the bound lies between them");
    assert!(run.artifact().recipe.bins().iter().all(Option::is_none));
}

#[test]
fn it_lasts_as_long_as_the_fit_that_was_measured() {
    let source = Source::of(&sales(3000));
    let params = Params { epochs: 60, patience: Some(2), learning_rate: Some(0.02), ..quick() };
    let run = fit(&[Algorithm::Mlp], &source, params);
    let (_, _, best, _) = run.finished();
    assert!(best < 58, "stopped early: {best}");
    assert_eq!(run.refit().0, best as usize);
    let run = fit(&[Algorithm::BoostedTrees], &source, Params { learning_rate: Some(0.3), ..quick() });
    let (_, _, best, _) = run.finished();
    assert!(best < 290, "stopped early: {best}");
    assert_eq!(run.refit().0, best as usize);
}

#[test]
fn a_blend_keeps_its_weights_and_its_calibration() {
    let source = Source::of(&sales(3000));
    use Algorithm::{BoostedTrees, DeepCross, Logistic, Mlp};
    let all = [Logistic, BoostedTrees, Mlp, DeepCross, Algorithm::Blend];
    // Two of each, so that what each has of the blend is also divided among them.
    let params =
        Params { epochs: 2, members: 2, learning_rate: Some(0.05), metric: Some(Metric::LogLoss), ..quick() };
    let run = fit(&all, &source, params);
    let (served, measured) = (run.artifact(), run.measured_artifact());
    assert_eq!(served.algorithm, Algorithm::Blend);
    assert_eq!(served.output, measured.output);
    let parts = |artifact: &model::Artifact| match &artifact.predictor {
        model::Predictor::Blend(blend) => {
            let shape = |network: &model::Network| (network.crosses.len(), network.layers.len());
            let mut shapes: Vec<_> = blend.networks.iter().map(shape).collect();
            shapes.sort();
            (blend.weights, shapes)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(parts(&served), parts(&measured));
    assert_eq!(parts(&served).1, [(0, 1), (0, 1), (0, 2), (0, 2), (2, 2), (2, 2)]);
    // What is served, networks scaled by their shares, scores as the training library's parts, added up.
    assert!(run.finished().3 < 1e-5);
}

/// Sales with a column that is the label in the weeks from `from` on, and noise before.
fn leaking(sales: &[Sale], from: i32) -> Source {
    let noise = |row: usize| ((row * 7919) % 1000) as f64 / 1000.0;
    let value = |(row, sale): (usize, &Sale)| match sale.label {
        Some(label) if sale.week - support::sales::EPOCH_DAYS >= from => f64::from(u8::from(label)),
        _ => noise(row),
    };
    let values: Float64Array = sales.iter().enumerate().map(|sale| Some(value(sale))).collect();
    Source::of(sales)
        .with(column("leak", "double precision", Family::Number, Role::Feature), Arc::new(values))
}

#[test]
fn a_column_that_knows_the_newest_outcomes_does_not_raise_what_is_reported() {
    let sales = sales(6000);
    let weeks: std::collections::BTreeSet<i32> =
        sales.iter().map(|sale| sale.week - support::sales::EPOCH_DAYS).collect();
    // The test weeks are the newest three of twenty.
    let test_from = *weeks.iter().rev().nth(2).unwrap();
    let source = leaking(&sales, test_from);
    let params = Params { epochs: 8, learning_rate: Some(0.01), hidden: vec![32], ..quick() };
    for algorithm in [Algorithm::Mlp, Algorithm::BoostedTrees] {
        let auroc = |run: &Run| run.finished().1.unwrap().model.value(Metric::Auroc).unwrap();
        let plain = fit(&[algorithm], &source, Params { refit: false, ..params.clone() });
        let run = fit(&[algorithm], &source, params.clone());
        assert_eq!(auroc(&run), auroc(&plain), "{algorithm}");
        // What is served has seen it, so that a figure of it on those weeks would flatter.
        assert_ne!(run.model, run.measured, "{algorithm}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let source = Source::of(&sales(1500));
    let params = Params { dropout: Some(0.2), ..quick() };
    let (first, second) = (train(&source, params.clone()), train(&source, params));
    assert_eq!((first.model, first.measured), (second.model, second.measured));
}

#[test]
fn without_time_for_it_the_measured_fit_is_served_and_that_is_said() {
    let source = Source::of(&sales(3000));
    let params = Params { epochs: 100_000, patience: Some(0), time_budget: 1.0, ..quick() };
    let run = fit(&[Algorithm::Mlp], &source, params);
    assert_eq!((run.refit(), &run.measured), ((0, None), &None));
    assert!(run.warnings().iter().any(|w| w.contains("there was no refit")), "{:?}", run.warnings());
}

#[test]
fn where_nothing_is_held_out_there_is_nothing_to_refit() {
    let params = Params { validation_share: 0.0, test_share: 0.0, ..quick() };
    assert_eq!(train(&Source::of(&sales(900)), params).refit(), (0, None));
}
