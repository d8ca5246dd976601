//! The size of trees where the caller says nothing: several are tried, and validation takes one.

mod support;

use arrow_array::Float64Array;
use model::protocol::Event;
use model::recipe::Family;
use model::{Algorithm, Params};
use std::sync::Arc;
use support::sales::{sales, Sale, Source};
use support::{fit, quick, Run};

const SIZES: [usize; 3] = [8, 31, 63];

fn trees(source: &Source, leaves: Option<usize>) -> Run {
    fit(
        &[Algorithm::BoostedTrees],
        source,
        Params { leaves, trees: Some(20), learning_rate: Some(0.3), ..quick() },
    )
}

/// What the run says that it took.
fn taken(run: &Run) -> Option<u64> {
    match run.events.last() {
        Some(Event::Finished { defaults, .. }) => defaults[&Algorithm::BoostedTrees].get("leaves")?.as_u64(),
        other => panic!("ended with {other:?}"),
    }
}

/// The least validation loss of the first output's trees, which are the first that are told.
fn least(run: &Run) -> f64 {
    run.losses().iter().take(20).map(|(_, loss)| loss.unwrap()).fold(f64::INFINITY, f64::min)
}

#[test]
fn the_size_of_the_least_validation_loss_is_taken_and_fitted_again() {
    let all = sales(3000);
    let amount = |(row, sale): (usize, &Sale)| {
        sale.label.map(|label| f64::from(u8::from(label)) * 30.0 + (row % 7) as f64)
    };
    let amounts: Float64Array = all.iter().enumerate().map(amount).collect();
    let mut quantities = Source::of(&all).set("purchased", Arc::new(amounts));
    quantities.columns.last_mut().unwrap().family = Family::Number;
    for source in [Source::of(&all), quantities] {
        let each = SIZES.map(|leaves| trees(&source, Some(leaves)));
        let best = (0..SIZES.len()).min_by(|a, b| least(&each[*a]).total_cmp(&least(&each[*b]))).unwrap();
        let run = trees(&source, None);
        assert_eq!(taken(&run), Some(SIZES[best] as u64));
        // The measured fit, and the refit, are those of a caller who has asked for that size.
        assert_eq!((run.measured, run.model), (each[best].measured.clone(), each[best].model.clone()));
        assert_eq!(
            each.iter().filter(|run| least(run) == least(&each[best])).count(),
            1,
            "they are all alike"
        );
    }
}

#[test]
fn every_tree_of_every_size_is_told_and_counted_once() {
    let run = trees(&Source::of(&sales(1500)), None);
    let told: Vec<(u32, u32)> = run
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Epoch { epoch, epochs, refit: false, .. } => Some((*epoch, *epochs)),
            _ => None,
        })
        .collect();
    let expected: Vec<(u32, u32)> = (1..=60).map(|tree| (tree, 60)).collect();
    assert_eq!(told, expected);
}

#[test]
fn without_validation_rows_one_size_is_grown() {
    let source = Source::of(&sales(1500));
    let params = Params { leaves: None, trees: Some(5), validation_share: 0.0, test_share: 0.0, ..quick() };
    let run = fit(&[Algorithm::BoostedTrees], &source, params);
    assert_eq!((taken(&run), run.losses().len()), (Some(31), 5));
}
