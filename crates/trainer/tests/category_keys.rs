//! Values of categories that only a few products have.

mod support;

use arrow_array::{BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use model::protocol::{Event, Role};
use model::recipe::Family;
use model::{Algorithm, Params};
use std::sync::Arc;
use support::sales::{column, Source};
use support::{fit, quick, Run};

const PRODUCTS: usize = 600;
const WEEKS_OF_PRODUCT: usize = 40;

/// A number from 0 to 1 that depends on nothing else.
fn random(seed: usize) -> f64 {
    ((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Products that come one after the other, so many a week, each of 40 weeks. How often one is bought follows from its number and from
/// itself. It shares its kind with the product that comes 300 later, and its group with a fifth of all.
fn source(launches: usize) -> Source {
    let rows = || (0..PRODUCTS).flat_map(|product| (0..WEEKS_OF_PRODUCT).map(move |week| (product, week)));
    let number = |product: usize| random(product + 1_000_000);
    let label = |(product, week): (usize, usize)| {
        random(product * WEEKS_OF_PRODUCT + week) < 0.2 + 0.3 * number(product) + 0.5 * random(product)
    };
    let group = |product: usize| format!("group {}", product % 5);
    let kind = |product: usize| format!("kind {}", product % 300);
    Source::empty()
        .with(
            column("product_id", "bigint", Family::Number, Role::Key),
            Arc::new(rows().map(|(product, _)| product as i64).collect::<Int64Array>()),
        )
        .with(
            column("week", "date", Family::Date, Role::Time),
            Arc::new(
                rows()
                    .map(|(product, week)| Some(7 * (product / launches + week) as i32))
                    .collect::<Date32Array>(),
            ),
        )
        .with(
            column("number", "double precision", Family::Number, Role::Feature),
            Arc::new(rows().map(|(product, _)| Some(number(product))).collect::<Float64Array>()),
        )
        .with(
            column("kind", "text", Family::Text, Role::Feature),
            Arc::new(rows().map(|(product, _)| Some(kind(product))).collect::<StringArray>()),
        )
        .with(
            column("group", "text", Family::Text, Role::Feature),
            Arc::new(rows().map(|(product, _)| Some(group(product))).collect::<StringArray>()),
        )
        .with(
            column("purchased", "boolean", Family::Boolean, Role::Label),
            Arc::new(rows().map(|row| Some(label(row))).collect::<BooleanArray>()),
        )
}

/// How many values of kind and group the model knows.
fn known(run: &Run) -> [usize; 2] {
    let artifact = run.artifact();
    let known: Vec<usize> = artifact.recipe.categories().iter().map(|known| known.vocabulary.len()).collect();
    known.try_into().unwrap()
}

fn taken(run: &Run) -> Option<u64> {
    match run.events.last() {
        Some(Event::Finished { defaults, .. }) => {
            defaults[&Algorithm::Mlp].get("min_category_keys")?.as_u64()
        }
        other => panic!("ended with {other:?}"),
    }
}

#[test]
fn what_a_few_products_have_is_not_taken_for_their_kind() {
    let source = source(2);
    let of = |min_category_keys| {
        fit(
            &[Algorithm::Mlp],
            &source,
            Params { min_category_keys, refit: false, learning_rate: Some(0.01), epochs: 5, ..quick() },
        )
    };
    let log_loss = |run: &Run| {
        let measured = &run.finished().1.expect("test rows").model;
        measured.value(model::params::Metric::LogLoss).expect("a binary target")
    };
    let (taken_by_the_table, every_key) = (of(None), of(Some(1)));
    assert_eq!((known(&taken_by_the_table), taken(&taken_by_the_table)), ([0, 5], Some(4)));
    assert_eq!((known(&every_key), taken(&every_key)), ([300, 5], None));
    let losses = [&taken_by_the_table, &every_key].map(log_loss);
    assert!(losses[0] < losses[1], "{losses:?}");
    let warned = |run: &Run| {
        run.events.iter().any(|event| {
            matches!(event, Event::Warning { message } if message.contains("\"kind\"")
            && message.contains("and with 4 first keys (min_category_keys)"))
        })
    };
    assert_eq!([&taken_by_the_table, &every_key].map(warned), [true, false]);
}

#[test]
fn rows_without_a_key_count_as_before() {
    let source = source(2).without("product_id");
    let run = fit(&[Algorithm::Mlp], &source, quick());
    assert_eq!((known(&run), taken(&run)), ([300, 5], Some(1)));
    // Nothing is said of keys where there are none, though they are asked for.
    let params = Params { min_category_keys: Some(9), min_category_count: 1000, refit: false, ..quick() };
    let run = fit(&[Algorithm::Mlp], &source, params);
    assert_eq!(known(&run), [0, 5]);
    assert!(!run.events.iter().any(says_keys), "{:?}", run.events);
}

fn says_keys(event: &Event) -> bool {
    matches!(event, Event::Warning { message } if message.contains("min_category_keys"))
}

#[test]
fn where_no_product_is_new_every_value_says_which_it_is() {
    let run = fit(&[Algorithm::Mlp], &source(PRODUCTS), Params { refit: false, ..quick() });
    assert_eq!((known(&run), taken(&run)), ([300, 5], Some(1)));
}

#[test]
fn a_key_that_is_an_input_keeps_its_values() {
    let source = source(2);
    let at = source.columns.iter().position(|column| column.name == "kind").unwrap();
    let key = column("kind", "text", Family::Text, Role::KeyAndFeature);
    let kinds = source.arrays[at].clone();
    let run =
        fit(&[Algorithm::Mlp], &source.without("kind").with(key, kinds), Params { refit: false, ..quick() });
    assert_eq!((known(&run), taken(&run)), ([5, 300], Some(4)));
}
