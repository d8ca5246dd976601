//! Everything that cannot be trained on ends with one error event that names the culprit, and exit code 1.

mod support;

use arrow_array::types::Float32Type;
use arrow_array::{new_null_array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, ListArray};
use arrow_schema::DataType;
use model::protocol::Role;
use model::recipe::Family;
use model::{Params, Task};
use std::fs;
use std::sync::Arc;
use support::sales::{column, sales, Source};
use support::{quick, Trainer};

const ROWS: usize = 300;

fn source() -> Source {
    Source::of(&sales(ROWS))
}

/// Message and hint of a training that must fail.
fn refusal(source: &Source, params: Params) -> (String, String) {
    Trainer::new(source, params).run().failure()
}

fn message(source: &Source) -> String {
    refusal(source, quick()).0
}

#[test]
fn no_rows() {
    assert_eq!(message(&Source::of(&[])), "the source has no rows");
}

#[test]
fn no_labels() {
    let unlabelled = new_null_array(&DataType::Boolean, ROWS);
    assert_eq!(message(&source().set("purchased", unlabelled)), "none of the 300 rows has a label");
}

#[test]
fn labels_of_one_class() {
    let (message, hint) =
        refusal(&source().set("purchased", Arc::new(BooleanArray::from(vec![false; ROWS]))), quick());
    assert!(message.starts_with("the label is false (0) in all "), "{message}");
    assert!(hint.contains("test_share"), "{hint}");
}

#[test]
fn labels_that_are_no_labels() {
    for (value, shown) in [(2.0, "2"), (0.5, "0.5"), (f64::NAN, "NaN")] {
        let mut values = vec![0.0; ROWS];
        values[200] = value;
        let mut source = source().set("purchased", Arc::new(Float64Array::from(values)));
        source.columns.last_mut().unwrap().family = Family::Number;
        let params = Params { task: Some(Task::Binary), ..quick() };
        assert_eq!(refusal(&source, params).0, format!("label column \"purchased\" holds the value {shown}"));
    }
}

#[test]
fn a_text_as_label() {
    let mut source = source();
    source.columns.iter_mut().for_each(|c| match c.name.as_str() {
        "purchased" => c.role = Role::Feature,
        "brand" => c.role = Role::Label,
        _ => {}
    });
    assert_eq!(message(&source), "label column \"brand\" has type text");
}

#[test]
fn no_label_column_or_two() {
    let mut two = source();
    two.columns.iter_mut().filter(|c| c.name == "flag").for_each(|c| c.role = Role::Label);
    assert_eq!(message(&two), "the data must have one label column, not 2");
    assert_eq!(message(&source().without("purchased")), "the data must have one label column, not 0");
}

#[test]
fn labelled_rows_without_a_time() {
    let weeks: Vec<Option<i32>> =
        (0..ROWS as i32).map(|row| (row % 10 != 3).then_some(17_168 + row % 20)).collect();
    let source = source()
        .set("week", Arc::new(Date32Array::from(weeks)))
        .set("purchased", Arc::new((0..ROWS).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>()));
    assert_eq!(message(&source), "time column \"week\" is NULL in 30 labelled rows");
}

#[test]
fn arrays_of_two_lengths() {
    let lists = (0..ROWS).map(|row| Some(vec![Some(1.0); if row == 250 { 5 } else { 3 }]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists));
    assert_eq!(
        message(&source().set("lags", lists)),
        "array column \"lags\" holds arrays of 3 and of 5 elements"
    );
}

#[test]
fn no_input() {
    let mut none = source();
    none.columns.retain(|c| !c.role.is_feature());
    let names: Vec<_> = none.columns.iter().map(|c| c.name.clone()).collect();
    let all = source();
    none.arrays = names
        .iter()
        .map(|name| all.arrays[all.columns.iter().position(|c| c.name == *name).unwrap()].clone())
        .collect();
    let (message, hint) = refusal(&none, quick());
    assert_eq!(message, "no column is left as an input of the model");
    assert!(hint.contains("include"), "{hint}");

    let constant: ArrayRef = Arc::new(Int32Array::from(vec![7; ROWS]));
    let useless = none.with(column("seven", "integer", Family::Number, Role::Feature), constant);
    let (message, hint) = refusal(&useless, quick());
    assert_eq!(message, "no input tells the training rows apart");
    assert!(hint.contains("\"seven\""), "{hint}");
}

#[test]
fn a_device_that_is_not_there() {
    let (message, hint) = refusal(&source(), Params { device: "cuda:63".into(), ..quick() });
    assert!(message.starts_with("device \"cuda:63\" was asked for, but "), "{message}");
    assert!(hint.contains("cpu"), "{hint}");
}

#[test]
fn a_learning_rate_that_makes_the_loss_infinite() {
    let deep =
        Params { learning_rate: Some(10.0), hidden: vec![256; 8], epochs: 300, patience: Some(0), ..quick() };
    let (message, hint) = refusal(&source(), deep);
    assert!(message.starts_with("the training diverged in epoch "), "{message}");
    assert!(hint.contains("learning_rate"), "{hint}");
}

#[test]
fn data_that_are_not_those_of_the_spec() {
    let trainer = Trainer::new(&source(), quick());
    let columns = source().columns;
    let with = |change: &dyn Fn(&mut Vec<model::protocol::SourceColumn>)| {
        let mut changed = columns.clone();
        change(&mut changed);
        trainer.write_spec(&changed, quick());
        trainer.run().failure().0
    };
    assert_eq!(with(&|c| drop(c.remove(3))), "the data file has 16 columns, the spec 15");
    assert_eq!(
        with(&|c| c[3].name = "tiny".into()),
        "column 4 of the data file is \"small\", but \"tiny\" in the spec"
    );
    assert_eq!(
        with(&|c| c[3].family = Family::Text),
        "column \"small\" of the data file has the Arrow type Int16, which is not a text or enum"
    );
}

#[test]
fn files_that_cannot_be_read_or_written() {
    let trainer = Trainer::new(&source(), quick());
    let whole = fs::read(trainer.path("data.arrow")).unwrap();
    for broken in [&whole[..whole.len() / 2], b"no Arrow at all", b""] {
        fs::write(trainer.path("data.arrow"), broken).unwrap();
        let (message, _) = trainer.run().failure();
        assert!(message.starts_with("cannot read the data file "), "{message}");
    }
    fs::write(trainer.path("spec.json"), "{").unwrap();
    assert!(trainer.run().failure().0.starts_with("cannot read the spec "));

    let trainer = Trainer::new(&source(), quick());
    fs::create_dir(trainer.path("model.safetensors")).unwrap();
    let (message, _) = trainer.run().failure();
    assert!(message.starts_with("cannot write the model to "), "{message}");
}

#[test]
fn another_version_is_named_before_its_spec_is_read() {
    let trainer = Trainer::new(&source(), quick());
    fs::write(trainer.path("spec.json"), r#"{"extension": "9.9.9", "algorithms": "none of ours"}"#).unwrap();
    let (message, hint) = trainer.run().failure();
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(message, format!("the trainer is version {own}, the extension 9.9.9"));
    assert!(hint.contains("same version"), "{hint}");
}

#[test]
fn parameters_out_of_bounds() {
    let (message, _) = refusal(&source(), Params { epochs: 0, ..quick() });
    assert!(message.contains("epochs"), "{message}");
}

#[test]
fn the_source_of_these_tests_is_good_before_it_is_spoiled() {
    let run = Trainer::new(&source(), quick()).run();
    assert_eq!(run.code, Some(0), "{:?} {}", run.events.last(), run.stderr);
}
