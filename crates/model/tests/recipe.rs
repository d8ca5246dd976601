//! Fitting the preprocessing, and what a recipe says about a row.

use model::number_bins::NumberBins;
use model::recipe::{
    Category, CategoryFit, Column, Family, Input, NumberFit, Recipe, Scaling, Slot, FIRST_VALUE, MAX_COLUMNS,
    MAX_INPUTS, MAX_STANDARDIZED, NULL, UNSEEN,
};
use model::vocabulary::Vocabulary;
use proptest::prelude::*;

fn fit(values: &[f64]) -> Scaling {
    let mut fit = NumberFit::default();
    values.iter().for_each(|value| fit.add(*value));
    fit.finish()
}

fn number(name: &str, scalings: Vec<Scaling>) -> Column {
    let family = if scalings.len() == 1 { Family::Number } else { Family::NumberArray };
    Column { name: name.into(), sql_type: "real".into(), family, input: Input::Numbers(scalings) }
}

fn category(name: &str, vocabulary: &[&str], dimension: usize) -> Column {
    let vocabulary = vocabulary.iter().collect();
    let input = Input::Category(Category { vocabulary, dimension });
    Column { name: name.into(), sql_type: "text".into(), family: Family::Text, input }
}

fn scaling(indicator: bool) -> Scaling {
    Scaling { scale: 1.0, indicator, ..Scaling::default() }
}

proptest! {
    #[test]
    fn running_mean_and_scale_equal_those_of_two_passes(
        values in prop::collection::vec(-1e3..1e3_f64, 1..200),
        shift in prop_oneof![Just(0.0), Just(7.8e8)],
    ) {
        let values: Vec<f64> = values.iter().map(|v| v + shift).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        let fitted = fit(&values);
        prop_assert!((fitted.mean - mean).abs() <= 1e-9 * mean.abs().max(1.0));
        if values.len() > 1 {
            prop_assert!((fitted.scale - variance.sqrt()).abs() <= 1e-6 * variance.sqrt().max(1.0));
        }
        prop_assert!(!fitted.indicator);
    }

    #[test]
    fn a_fit_of_anything_passes_the_check(bits in prop::collection::vec(any::<u64>(), 0..50)) {
        let values: Vec<f64> = bits.iter().map(|b| f64::from_bits(*b)).collect();
        let recipe = Recipe { columns: vec![number("x", vec![fit(&values)])] };
        prop_assert!(recipe.check().is_ok(), "{:?}", recipe);
        for value in values {
            prop_assert!(f64::from(fit(&[value]).standardize(value)).abs() <= MAX_STANDARDIZED);
        }
    }

    #[test]
    fn the_vocabulary_does_not_depend_on_the_order_of_the_rows(
        rows in prop::collection::vec("[a-e]{1,2}", 0..80).prop_shuffle(),
        min_count in 1..4_u64,
        most in 1..10_usize,
    ) {
        let (mut forward, mut backward) = (CategoryFit::default(), CategoryFit::default());
        rows.iter().for_each(|value| forward.add(value, 1));
        rows.iter().rev().for_each(|value| backward.add(value, 1));
        prop_assert_eq!(forward.finish(min_count, most), backward.finish(min_count, most));
    }
}

#[test]
fn a_constant_column_has_no_scale() {
    for value in [0.0, 0.1, -7.8e8, 1e300] {
        let fitted = fit(&[value; 1000]);
        assert_eq!((fitted.mean, fitted.scale), (value, 0.0));
        assert_eq!(fitted.standardize(value + 5.0), 0.0);
    }
}

#[test]
fn a_column_of_missing_values_has_neither_scale_nor_indicator() {
    let fitted = fit(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    assert_eq!(fitted, Scaling { mean: 0.0, scale: 0.0, indicator: false, ..Scaling::default() });
    assert_eq!(fit(&[]), fitted);
}

#[test]
fn some_missing_values_give_an_indicator_and_leave_the_mean_alone() {
    let fitted = fit(&[1.0, f64::NAN, 3.0]);
    assert_eq!(fitted, Scaling { mean: 2.0, scale: 1.0, indicator: true, ..Scaling::default() });
    assert_eq!(fitted.standardize(f64::NAN), 0.0);
    assert_eq!(fitted.standardize(4.0), 2.0);
}

#[test]
fn values_whose_spread_overflows_are_ignored() {
    let fitted = fit(&[1e308, -1e308, 1e308]);
    assert!(fitted.mean.is_finite() && fitted.is_constant(), "{fitted:?}");
}

#[test]
fn standardized_values_are_bounded() {
    let scaling = Scaling { mean: 0.0, scale: 1.0, indicator: false, ..Scaling::default() };
    assert_eq!(f64::from(scaling.standardize(1e300)), MAX_STANDARDIZED);
    assert_eq!(f64::from(scaling.standardize(-1e300)), -MAX_STANDARDIZED);
    assert_eq!(scaling.standardize(f64::INFINITY), 0.0);
}

#[test]
fn the_vocabulary_is_ordered_by_count_then_value_and_cut() {
    let mut counts = CategoryFit::default();
    for (value, count) in [("rare", 4), ("b", 9), ("a", 9), ("top", 20), ("c", 5)] {
        counts.add(value, count - 1);
        counts.add(value, 1);
    }
    assert_eq!(counts.finish(5, 100).vocabulary, Vocabulary::from_iter(["top", "a", "b", "c"]));
    assert_eq!(counts.finish(5, 2).vocabulary, Vocabulary::from_iter(["top", "a"]));
    assert_eq!(counts.finish(1, 100).vocabulary, Vocabulary::from_iter(["top", "a", "b", "c", "rare"]));
    assert!(counts.finish(1000, 100).vocabulary.is_empty());
    counts.keep(|value| value < "c");
    assert_eq!(counts.finish(1, 100).vocabulary, Vocabulary::from_iter(["a", "b"]));
}

#[test]
fn what_is_left_of_several_values_is_not_the_only_one() {
    let mut counts = CategoryFit::default();
    counts.add("a", 1);
    counts.keep(|_| true);
    assert!(counts.is_single());
    counts.add("b", 1);
    counts.keep(|value| value == "a");
    assert!(!counts.is_single());
}

#[test]
fn embedding_rows_follow_the_vocabulary() {
    let category = Category { vocabulary: ["x", "y"].into_iter().collect(), dimension: 2 };
    let rows = [Some("x"), Some("y"), Some("z"), None].map(|value| category.embedding_row(value));
    assert_eq!(rows, [FIRST_VALUE, 3, UNSEEN, NULL]);
    assert_eq!(category.rows(), 4);
}

#[test]
fn embeddings_grow_with_the_vocabulary_within_bounds() {
    let mut counts = CategoryFit::default();
    let mut dimensions = vec![counts.finish(1, usize::MAX).dimension];
    for size in [3, 100, 3_000, 100_000] {
        (0..size).for_each(|i| counts.add(&i.to_string(), 1));
        dimensions.push(counts.finish(1, usize::MAX).dimension);
    }
    assert!(dimensions.is_sorted() && dimensions.iter().all(|d| (2..=32).contains(d)), "{dimensions:?}");
}

#[test]
fn numbers_come_first_then_indicators_then_embeddings() {
    let recipe = Recipe {
        columns: vec![
            category("brand", &["a"], 3),
            number("price", vec![scaling(true)]),
            number("history", vec![scaling(false), scaling(true)]),
            category("region", &[], 2),
        ],
    };
    let slots = recipe.slots();
    assert_eq!(slots[0], Slot::Category { index: 0 });
    assert_eq!(slots[1], Slot::Numbers { first: 0, count: 1 });
    assert_eq!(slots[2], Slot::Numbers { first: 1, count: 2 });
    assert_eq!(slots[3], Slot::Category { index: 1 });
    assert_eq!(recipe.indicators(), [Some(3), None, Some(4)]);
    assert_eq!((recipe.dense_width(), recipe.width()), (5, 10));
    assert!(!recipe.is_numeric_only());
    assert!(recipe.check().is_ok());
}

#[test]
fn bins_come_after_second_readings_and_before_embeddings() {
    let bins = NumberBins::fit(&[0.0, 1.0, 2.0, 3.0], 3);
    let second = Some(Box::new(scaling(false)));
    let recipe = Recipe {
        columns: vec![
            number("price", vec![Scaling { bins: bins.clone(), ..scaling(true) }]),
            category("brand", &["a"], 3),
            number("history", vec![scaling(true), Scaling { second, bins: bins.clone(), ..scaling(false) }]),
        ],
    };
    assert_eq!(recipe.indicators(), [Some(3), Some(4), None]);
    assert_eq!(recipe.seconds()[2].map(|(_, position)| position), Some(5));
    assert_eq!(recipe.bins(), [Some((&bins, 6)), None, Some((&bins, 9))]);
    assert_eq!((recipe.dense_width(), recipe.width()), (12, 15));
    assert!(recipe.check().is_ok());
}

#[test]
fn recipes_beyond_their_bounds_are_refused() {
    let wide = |count| number("x", vec![scaling(false); count]);
    let text_of_numbers = Column { family: Family::Text, ..number("x", vec![scaling(false)]) };
    let number_of_two = Column { family: Family::Number, ..wide(2) };
    let not_finite =
        |mean, scale| number("x", vec![Scaling { mean, scale, indicator: false, ..Scaling::default() }]);
    let in_bins = Scaling { bins: NumberBins::fit(&[0.0, 1.0, 2.0], 2), ..scaling(true) };
    let second_in_bins =
        Scaling { second: Some(Box::new(Scaling { indicator: false, ..in_bins.clone() })), ..scaling(false) };
    for columns in [
        vec![],
        vec![wide(1); MAX_COLUMNS + 1],
        vec![wide(MAX_INPUTS + 1)],
        vec![number("x", vec![])],
        vec![text_of_numbers],
        vec![number_of_two],
        vec![not_finite(f64::NAN, 1.0)],
        vec![not_finite(0.0, f64::INFINITY)],
        vec![not_finite(0.0, -1.0)],
        vec![number("x", vec![second_in_bins])],
        vec![number("x", vec![in_bins; MAX_INPUTS / 3])],
        vec![category("c", &["a", "a"], 2)],
        vec![category("c", &["a"], 0)],
        vec![category("c", &["a"], 257)],
    ] {
        assert!(Recipe { columns }.check().is_err());
    }
    assert!(Recipe { columns: vec![wide(MAX_INPUTS)] }.check().is_ok());
    assert!(Recipe { columns: vec![wide(1); MAX_COLUMNS] }.check().is_ok());
}

#[test]
fn a_bounded_count_keeps_the_frequent_values_and_forgets_the_others() {
    let (mut bounded, mut whole) = (CategoryFit::default(), CategoryFit::default());
    for row in 0..20_000 {
        let value = if row % 2 == 0 { format!("often {}", row / 2 % 5) } else { format!("once {row}") };
        whole.add(&value, 1);
        bounded.add(&value, 1);
        bounded.forget_rare(50_000);
    }
    assert_eq!(bounded.finish(500, 100), whole.finish(500, 100));
    // 50,000 bytes do not hold 1000 values.
    assert!(bounded.finish(1, 10_000).vocabulary.len() < 1000);

    let mut unique = CategoryFit::default();
    (0..5000).for_each(|row| {
        unique.add(&row.to_string(), 1);
        unique.forget_rare(10_000);
    });
    assert!(unique.finish(2, 100).vocabulary.is_empty() && !unique.is_single());
}
