//! Data as they come: what cannot be trained on is refused in words, what tells nothing is left out with a warning, what
//! tells too much is named.

mod support;

use arrow_array::{
    new_null_array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use model::protocol::{Cause, Event, Role};
use model::recipe::Family;
use model::{Algorithm, Params, Task};
use std::sync::Arc;
use support::sales::{column, Source};
use support::{quick, Run, Trainer};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Mlp, Algorithm::Logistic, Algorithm::Popularity];
const ROWS: usize = 1200;
const FIRST_WEEK: i32 = 17_168;

fn numbers(rows: usize, value: impl Fn(usize) -> Option<f64>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<Float64Array>())
}

/// Something between 0 and 1 that looks random.
fn draw(row: usize, salt: usize) -> f64 {
    ((row * 7919 + salt * 104_729 + 13) * 2_654_435_761 % 1_000_003) as f64 / 1_000_003.0
}

fn is_bought(row: usize) -> bool {
    draw(row, 1) + 0.3 * draw(row, 2) > 0.75
}

fn week(row: usize) -> i32 {
    FIRST_WEEK + 7 * (row % 20) as i32
}

/// Rows of 40 products in 20 weeks, with one honest input.
fn plain(rows: usize) -> Source {
    let products: Int64Array = (0..rows).map(|row| Some((row / 20 % 40) as i64)).collect();
    let weeks: Date32Array = (0..rows).map(|row| Some(week(row))).collect();
    let labels: BooleanArray = (0..rows).map(|row| Some(is_bought(row))).collect();
    Source::empty()
        .with(column("product_id", "bigint", Family::Number, Role::Key), Arc::new(products))
        .with(column("week", "date", Family::Date, Role::Time), Arc::new(weeks))
        .with(number("honest"), numbers(rows, |row| Some(draw(row, 1) + draw(row, 3))))
        .with(column("purchased", "boolean", Family::Boolean, Role::Label), Arc::new(labels))
}

fn number(name: &str) -> model::protocol::SourceColumn {
    column(name, "double precision", Family::Number, Role::Feature)
}

fn run(algorithm: Algorithm, source: &Source, params: Params) -> Run {
    Trainer::of(&[algorithm], source, params).run()
}

/// Trains with every algorithm; each must succeed and say this.
fn every(source: &Source, params: Params, warning: &str) {
    for algorithm in ALGORITHMS {
        let run = run(algorithm, source, params.clone());
        assert_eq!(run.code, Some(0), "{algorithm}: {:?} {}", run.events.last(), run.stderr);
        assert!(
            run.warnings().iter().any(|said| said.contains(warning)),
            "{algorithm}: {:?}",
            run.warnings()
        );
        assert!(run.scores.iter().all(|score| score.is_finite()), "{algorithm}");
    }
}

/// Trains with every algorithm; each must be refused for the data, and with this message.
fn none(source: &Source, params: Params, expected: &str) {
    for algorithm in ALGORITHMS {
        let run = run(algorithm, source, params.clone());
        let (message, hint) = run.failure();
        assert!(message.contains(expected) && !hint.is_empty(), "{algorithm}: {message}");
        assert!(matches!(run.events.last(), Some(Event::Error { cause: Cause::Data, .. })), "{algorithm}");
    }
}

#[test]
fn no_rows_and_three_rows() {
    none(&plain(0), quick(), "the source has no rows");
    none(&plain(3), quick(), "the label is false (0) in all 1 training rows");
    // The first three rows are all negative; others are not.
    let labels: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true]));
    let whole = Params { validation_share: 0.0, test_share: 0.0, ..quick() };
    for algorithm in ALGORITHMS {
        let run = run(algorithm, &plain(3).set("purchased", labels.clone()), whole.clone());
        assert_eq!(run.code, Some(0), "{algorithm}: {:?}", run.events.last());
    }
}

#[test]
fn one_class_only() {
    let labels: ArrayRef = Arc::new(BooleanArray::from(vec![true; ROWS]));
    none(&plain(ROWS).set("purchased", labels), quick(), "the label is true (1) in all ");
}

#[test]
fn constant_and_empty_columns() {
    let source = plain(ROWS)
        .with(number("seven"), numbers(ROWS, |_| Some(7.0)))
        .with(number("endless"), numbers(ROWS, |_| Some(f64::INFINITY)))
        .with(number("nothing"), new_null_array(&DataType::Float64, ROWS))
        .with(column("no text", "text", Family::Text, Role::Feature), new_null_array(&DataType::Utf8, ROWS));
    every(
        &source,
        quick(),
        r#"NULL in every training row and are ignored: "endless", "nothing", "no text"."#,
    );
    every(&source, quick(), r#"constant in the training rows and are ignored: "seven"."#);
}

#[test]
fn numbers_that_are_none_stand_among_others() {
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0];
    let values = numbers(ROWS, |row| strange.get(row % 9).copied().or(Some(draw(row, 5))));
    let seven = numbers(ROWS, |_| Some(7.0));
    let source = plain(ROWS).with(number("strange"), values).with(number("seven"), seven);
    every(&source, quick(), "constant");
}

#[test]
fn a_category_in_each_row() {
    let receipts: StringArray = (0..ROWS).map(|row| Some(format!("receipt {row}"))).collect();
    let column = column("receipt", "text", Family::Text, Role::Feature);
    every(&plain(ROWS).with(column, Arc::new(receipts)), quick(), r#"are ignored: "receipt"."#);
}

#[test]
fn as_many_columns_as_a_table_can_have_and_one_more() {
    let rows = 300;
    let mut source = plain(rows).with(number("seven"), numbers(rows, |_| Some(7.0)));
    while source.columns.len() < 1600 {
        let n = source.columns.len();
        source = source.with(number(&format!("x{n}")), numbers(rows, |row| Some(draw(row, n))));
    }
    every(&source, Params { importance: false, ..quick() }, "constant");
    let source = source.with(number("too much"), numbers(rows, |row| Some(row as f64)));
    assert_eq!(run(Algorithm::Mlp, &source, quick()).failure().0, "the data have 1601 columns");
}

#[test]
fn names_that_are_given_twice() {
    let refused = |source: &Source| run(Algorithm::Mlp, source, quick()).failure();
    let twice = plain(ROWS).with(number("honest"), numbers(ROWS, |row| Some(row as f64)));
    let (message, hint) = refused(&twice);
    assert_eq!(message, "there are two columns \"honest\"");
    assert!(hint.contains("name of its own"), "{hint}");
    let label = plain(ROWS).with(number("purchased"), numbers(ROWS, |row| Some(row as f64)));
    assert_eq!(refused(&label).0, "the label \"purchased\" is a column of another role too");
}

fn tells(name: &str) -> String {
    format!("Column \"{name}\" alone tells the label: is it known before the outcome?")
}

#[test]
fn columns_that_tell_the_label_are_named_and_honest_ones_are_not() {
    let label = |row: usize| f64::from(u8::from(is_bought(row)));
    let status: StringArray =
        (0..ROWS).map(|row| Some(if is_bought(row) { ["paid", "sent"][row % 2] } else { "open" })).collect();
    let region: StringArray = (0..ROWS).map(|row| Some(["north", "south"][row % 2])).collect();
    let source = plain(ROWS)
        .with(number("copy"), numbers(ROWS, |row| Some(label(row))))
        .with(number("refund"), numbers(ROWS, |row| Some(-2.0 * label(row) - draw(row, 4))))
        .with(number("paid_at"), numbers(ROWS, |row| is_bought(row).then(|| draw(row, 6))))
        .with(number("noise"), numbers(ROWS, |row| (row % 3 > 0).then(|| draw(row, 7))))
        .with(column("status", "text", Family::Text, Role::Feature), Arc::new(status))
        .with(column("region", "text", Family::Text, Role::Feature), Arc::new(region));
    for leak in ["copy", "refund", "paid_at", "status"] {
        every(&source, Params { epochs: 1, importance: false, ..quick() }, &tells(leak));
    }
    let run = run(Algorithm::Mlp, &source, quick());
    assert_eq!(run.warnings().iter().filter(|said| said.contains("alone tells")).count(), 4);
}

#[test]
fn a_column_that_is_the_quantity_in_other_units_is_named() {
    let quantity = |row: usize| 3.0 * draw(row, 1) + 10.0 * draw(row, 2);
    let mut source = plain(ROWS)
        .set("purchased", numbers(ROWS, |row| Some(quantity(row))))
        .with(number("cents"), numbers(ROWS, |row| Some(100.0 * quantity(row) - 5.0)))
        .with(number("near"), numbers(ROWS, |row| Some(quantity(row) + draw(row, 9))));
    source.columns.iter_mut().find(|c| c.name == "purchased").unwrap().family = Family::Number;
    let run = run(Algorithm::Mlp, &source, Params { task: Some(Task::Regression), ..quick() });
    let told: Vec<_> = run.warnings().into_iter().filter(|said| said.contains("alone tells")).collect();
    assert_eq!(told, [tells("cents")]);
}

#[test]
fn dates_later_than_their_rows_are_named() {
    let at = |row: usize, days: i32| Some(week(row) + days);
    let dates =
        |days: i32| -> ArrayRef { Arc::new((0..ROWS).map(|row| at(row, days)).collect::<Date32Array>()) };
    let returned: TimestampMicrosecondArray =
        (0..ROWS).map(|row| (row % 4 == 0).then(|| i64::from(week(row) + 30) * 86_400_000_000)).collect();
    let date = |name: &str| column(name, "date", Family::Date, Role::Feature);
    let source = plain(ROWS)
        .with(date("last sale of the week"), dates(6))
        .with(date("paid on"), dates(7))
        .with(date("launched"), dates(-200))
        .with(column("returned", "timestamp", Family::Timestamp, Role::Feature), Arc::new(returned));
    let run = run(Algorithm::Logistic, &source, quick());
    let later: Vec<_> = run.warnings().into_iter().filter(|said| said.contains("is later than")).collect();
    let expected = |name: &str| {
        format!(
            "Column \"{name}\" is later than the time of its row in 100 % of the rows: is it known by then?"
        )
    };
    assert_eq!(later, [expected("paid on"), expected("returned")]);
}
