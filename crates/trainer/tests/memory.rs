//! Training within a bound of memory: data larger than it are read by the pool, what cannot fit is refused before it
//! is begun, and what is learned is the same.

mod support;

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use model::params::Metric;
use model::protocol::{Event, Role};
use model::recipe::Family;
use model::{Algorithm, Params};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use support::sales::{column, sales, Source};
use support::{quick, Run, Trainer};

const COLUMNS: usize = 30;

/// Rows of 30 numbers, ordered by week, whose label follows from the first three.
fn wide(rows: usize) -> Source {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let columns: Vec<Vec<f64>> =
        (0..COLUMNS).map(|_| (0..rows).map(|_| random.random_range(-1.0..1.0)).collect()).collect();
    let label = |row: usize| {
        let logit = 4.0 * columns[0][row] - 3.0 * columns[1][row] + 2.0 * columns[2][row].abs() - 1.0;
        random.random::<f64>() < 1.0 / (1.0 + (-logit).exp())
    };
    let labels: BooleanArray = (0..rows).map(label).map(Some).collect();
    let weeks: Date32Array = (0..rows).map(|row| Some(17_168 + 7 * (row * 20 / rows) as i32)).collect();
    let products: Int64Array = (0..rows).map(|row| Some((row % 997) as i64)).collect();
    let mut source = Source::empty()
        .with(column("product_id", "bigint", Family::Number, Role::Key), Arc::new(products))
        .with(column("week", "date", Family::Date, Role::Time), Arc::new(weeks));
    for (n, values) in columns.into_iter().enumerate() {
        let column = column(&format!("x{n}"), "double precision", Family::Number, Role::Feature);
        source = source.with(column, Arc::new(Float64Array::from(values)));
    }
    source.with(column("purchased", "boolean", Family::Boolean, Role::Label), Arc::new(labels))
}

/// In record batches of this many rows.
fn in_batches(source: &Source, params: Params, rows: usize) -> Trainer {
    let whole = source.batch();
    let starts = (0..whole.num_rows()).step_by(rows);
    let batches: Vec<_> = starts.map(|at| whole.slice(at, rows.min(whole.num_rows() - at))).collect();
    Trainer::with_batches(source, params, &batches)
}

fn succeeded(run: Run) -> Run {
    assert_eq!(run.code, Some(0), "{:?} {}", run.events.last(), run.stderr);
    run
}

fn auroc(run: &Run) -> f64 {
    run.finished().1.expect("test rows").model.value(Metric::Auroc).expect("both classes")
}

fn streamed(run: &Run) -> bool {
    run.warnings().iter().any(|warning| warning.contains("anew in every epoch"))
}

/// Few epochs; without what would take most of the time.
fn short() -> Params {
    Params {
        epochs: 1,
        learning_rate: Some(0.01),
        batch_size: Some(1024),
        importance: false,
        refit: false,
        ..quick()
    }
}

#[test]
fn data_larger_than_memory_are_learned_from_as_well() {
    const MEBIBYTE: u64 = 1 << 20;
    const LIMIT: u64 = 210;
    let trainer = in_batches(&wide(600_000), short(), 8192);
    let unbounded = succeeded(trainer.run());
    let bounded = succeeded(trainer.run_within(LIMIT));
    assert!(!streamed(&unbounded) && streamed(&bounded));
    // What is resident besides what the bound counts are the pages of libtorch's file.
    assert!(unbounded.peak > 350 * MEBIBYTE, "{}", unbounded.peak);
    assert!(bounded.peak < (LIMIT + 80) * MEBIBYTE, "{}", bounded.peak);
    assert!((auroc(&unbounded) - auroc(&bounded)).abs() < 0.01, "{} {}", auroc(&unbounded), auroc(&bounded));
    assert_eq!(unbounded.data(), bounded.data());
    // What the first fit leaves behind is not there for a second one: then the first is served, and that is said.
    trainer.write_spec(&wide(1).columns, Params { refit: true, ..short() });
    let without = succeeded(trainer.run_within(LIMIT));
    assert!(without.model == bounded.model, "the same file and seed give the same weights");
    let warned = |run: &Run| run.warnings().iter().any(|warning| warning.contains("there was no refit"));
    assert!(without.refit() == (0, None) && warned(&without), "{:?}", without.warnings());
    let refit = succeeded(trainer.run_within(LIMIT + 60));
    assert_eq!(refit.refit(), (1, Some(600_000)), "{:?}", refit.warnings());
    assert!(refit.peak < (LIMIT + 140) * MEBIBYTE, "{}", refit.peak);
}

#[test]
fn what_cannot_fit_is_refused_before_it_begins() {
    let source = Source::of(&sales(2000));
    let trainer = Trainer::new(&source, Params { hidden: vec![4096, 4096], ..quick() });
    let run = trainer.run_within(400);
    assert!(run.losses().is_empty());
    let (message, hint) = run.failure();
    assert!(message.starts_with("the training would take ") && message.contains(" MB are left"), "{message}");
    assert!(hint.contains("reco.max_training_memory") && hint.contains("hidden"), "{hint}");
}

#[test]
fn a_stream_larger_than_memory_is_refused_since_it_is_read_once() {
    let (message, hint) = Trainer::with_stream(&wide(200_000), short()).run_within(140).failure();
    assert!(message.starts_with("the stream of data does not fit"), "{message}");
    assert!(hint.contains("reco.max_training_memory") && hint.contains("Arrow file"), "{hint}");
}

#[test]
fn a_text_of_its_own_in_each_row_takes_bounded_memory() {
    let rows = 300_000;
    let texts = |n: usize| -> ArrayRef {
        let text = |row| Some(format!("a text of row {row} in column {n}"));
        Arc::new((0..rows).map(text).collect::<StringArray>())
    };
    let mut source = wide(rows);
    for n in 3..COLUMNS {
        source = source.without(&format!("x{n}"));
    }
    for n in 0..3 {
        let column = column(&format!("text{n}"), "text", Family::Text, Role::Feature);
        source = source.with(column, texts(n));
    }
    let run = succeeded(in_batches(&source, short(), 8192).run_within(240));
    assert!(run.warnings().iter().any(|warning| warning.contains("\"text0\", \"text1\", \"text2\"")));
}

#[test]
fn several_algorithms_share_what_memory_there_is() {
    use Algorithm::{BoostedTrees, DeepCross, Logistic, Popularity};
    let algorithms = [Popularity, Logistic, DeepCross, BoostedTrees];
    let source = wide(560_000);
    let trainer = in_batches(&source, short(), 8192);
    let params = Params { hidden: vec![4096, 4096], ..short() };
    trainer.write_spec_of(&algorithms, &source.columns, params);
    let run = succeeded(trainer.run_within(220));
    let errors = run.events.iter().filter_map(|event| match event {
        Event::Candidate(candidate) => Some((candidate.algorithm, candidate.error.as_deref())),
        _ => None,
    });
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors[..2], [(Popularity, None), (Logistic, None)]);
    assert!(errors[2].1.is_some_and(|error| error.contains("would take")), "{errors:?}");
    let trees = errors[3].1.unwrap();
    assert!(trees.starts_with("boosted_trees needs the values of all rows in memory: about "), "{trees}");
}
