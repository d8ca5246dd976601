//! Summaries against a plain reference, however they are merged, stored and written.

use allocator_api2::alloc::Global;
use features::customers::EXACT;
use features::stored::{View, MAX_LENGTH, VERSION};
use features::summary::{Sale, Summary};
use features::text::stored_form;
use features::FeatureError;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn of(sales: &[Sale]) -> Summary {
    let mut summary = Summary::new();
    for sale in sales.iter().filter(|sale| !sale.is_none()) {
        summary.add(sale, Global).unwrap();
    }
    summary
}

fn line(amount: f64, customer: u64) -> Sale {
    Sale {
        amount: Some(amount),
        quantity: Some(2.0),
        discount: Some(0.1),
        customer: Some(customer),
        sold_at: Some(757_418_400_000_000),
    }
}

fn sale() -> impl Strategy<Value = Sale> {
    let money = || prop::option::weighted(0.8, -1e6..1e6);
    let moment = prop::option::weighted(0.9, 0..1_000_000_000_000_000i64);
    (money(), money(), money(), prop::option::weighted(0.9, 0..900u64), moment).prop_map(
        |(amount, quantity, discount, customer, sold_at)| {
            let customer = customer.map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            Sale { amount, quantity, discount, customer, sold_at }
        },
    )
}

fn assert_near(found: Option<f64>, expected: impl Iterator<Item = f64>) {
    let values: Vec<_> = expected.collect();
    let exact = values.iter().sum::<f64>();
    let bound = 1e-12 * values.iter().map(|value| value.abs()).sum::<f64>();
    assert_eq!(found.is_some(), !values.is_empty());
    assert!(found.is_none_or(|found| (found - exact).abs() <= bound), "{found:?} for {exact}");
}

#[test]
fn a_sum_does_not_lose_what_is_small() {
    let mut summary = of(&[line(1e16, 1)]);
    for _ in 0..1000 {
        summary.add(&line(0.001, 1), Global).unwrap();
    }
    summary.add(&line(-1e16, 1), Global).unwrap();
    assert!((summary.figures().total_sales().unwrap() - 1.0).abs() < 1e-12);
}

#[test]
fn a_line_is_small_and_the_largest_summary_is_bounded() {
    assert!(of(&[line(12.34, u64::MAX)]).to_bytes().len() <= 47);
    let many: Vec<_> =
        (0..1000u64).map(|n| line(0.1 * n as f64, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    assert!(of(&many).to_bytes().len() <= MAX_LENGTH);
    assert_eq!(MAX_LENGTH, 3173);
}

#[test]
fn what_cannot_be_counted_is_refused_with_a_hint() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let good = line(1.0, 1);
        let sales = [
            Sale { amount: Some(bad), ..good },
            Sale { quantity: Some(bad), ..good },
            Sale { discount: Some(bad), ..good },
        ];
        for sale in sales {
            let error = Summary::new().add(&sale, Global).unwrap_err();
            assert!(matches!(error, FeatureError::Range { .. }) && error.hint().unwrap().contains("FILTER"));
        }
    }
    for sold_at in [i64::MIN, i64::MAX] {
        let sale = Sale { sold_at: Some(sold_at), ..line(1.0, 1) };
        assert!(matches!(Summary::new().add(&sale, Global), Err(FeatureError::Range { .. })));
    }
    let mut summary = of(&[line(f64::MAX, 1)]);
    assert!(matches!(summary.add(&line(f64::MAX, 1), Global), Err(FeatureError::Range { .. })));
}

#[test]
fn counts_that_do_not_fit_are_refused() {
    let text = format!(r#"{{"version":1,"transactions":{},"sales":[1.0,0.0],"customers":[]}}"#, i64::MAX);
    let bytes = stored_form(&text).unwrap();
    let mut summary = of(&[line(1.0, 1)]);
    let error = summary.merge_stored(&View::parse(&bytes).unwrap(), Global).unwrap_err();
    assert!(matches!(error, FeatureError::Limit { .. }));
}

#[test]
fn what_rounding_leaves_of_returns_has_no_discount_rate() {
    let lines = [(1.86, 0.46), (-2.32, 0.0), (3.71, 0.93), (-4.64, 0.0)];
    let returned = lines.map(|(amount, discount)| Sale { discount: Some(discount), ..line(amount, 1) });
    assert_eq!(of(&returned).figures().discount_rate(), None);
}

#[test]
fn ratios_of_nothing_are_unknown() {
    let cancelled = of(&[line(0.0, 1), Sale { quantity: Some(-2.0), discount: Some(-0.1), ..line(0.0, 1) }]);
    assert_eq!(cancelled.figures().avg_price(), None);
    assert_eq!(cancelled.figures().discount_rate(), None);
    assert_eq!(cancelled.figures().avg_discount(), Some(0.0));
    let unpriced = of(&[Sale { amount: None, discount: None, ..line(0.0, 1) }]);
    let figures = unpriced.figures();
    assert_eq!((figures.total_sales(), figures.total_discount(), figures.avg_discount()), (None, None, None));
    assert_eq!((figures.avg_price(), figures.discount_rate()), (None, None));
    assert_eq!(figures.total_quantity(), Some(2.0));
}

#[test]
fn another_version_is_named() {
    let mut bytes = of(&[line(1.0, 1)]).to_bytes();
    bytes[0] = VERSION + 1;
    assert!(View::parse(&bytes).unwrap_err().to_string().contains("version 2"));
    let error = stored_form(r#"{"version":2,"new":1}"#).unwrap_err();
    assert!(matches!(&error, FeatureError::Text(text) if text.contains("version is 2")), "{error}");
}

#[test]
fn a_form_that_is_too_short_too_long_or_flagged_wrongly_is_refused() {
    let bytes = of(&[line(1.25, 1), line(2.0, 2)]).to_bytes();
    assert!(View::parse(&bytes).is_ok());
    assert!((0..bytes.len()).all(|length| View::parse(&bytes[..length]).is_err()));
    assert!(View::parse(&[&bytes[..], &[0]].concat()).is_err());
    for flags in [0b1000_0111, 0b1100, 0b10_0111, 0b1_0000] {
        let mut flagged = bytes.clone();
        flagged[1] = flags;
        assert!(View::parse(&flagged).is_err(), "{flags:b}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn figures_are_those_of_all_lines(sales in prop::collection::vec(sale(), 1..40)) {
        let summary = of(&sales);
        let counted: Vec<_> = sales.iter().filter(|sale| !sale.is_none()).collect();
        prop_assert_eq!(summary.figures().lines(), counted.len() as u64);
        if counted.is_empty() {
            return Ok(());
        }
        assert_near(summary.figures().total_sales(), counted.iter().filter_map(|sale| sale.amount));
        assert_near(summary.figures().total_quantity(), counted.iter().filter_map(|sale| sale.quantity));
        assert_near(summary.figures().total_discount(), counted.iter().filter_map(|sale| sale.discount));
        let moments = || counted.iter().filter_map(|sale| sale.sold_at);
        prop_assert_eq!(summary.figures().period(), moments().min().zip(moments().max()));
        let customers: BTreeSet<_> = counted.iter().filter_map(|sale| sale.customer).collect();
        let bytes = summary.to_bytes();
        prop_assert_eq!(View::parse(&bytes).unwrap().unique_customers().unwrap(), customers.len() as u64);
    }

    #[test]
    fn merging_does_not_depend_on_how(
        sales in prop::collection::vec(sale(), 1..900),
        cuts in prop::collection::vec(0..900usize, 1..4),
        from_stored: bool,
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(sales.len())).collect();
        cuts.extend([0, sales.len()]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|cut| of(&sales[cut[0]..cut[1]])).collect();
        let mut merged = Summary::new();
        for part in parts.iter().rev().filter(|part| part.figures().lines() > 0) {
            if from_stored {
                merged.merge_stored(&View::parse(&part.to_bytes()).unwrap(), Global).unwrap();
            } else {
                merged.merge(part, Global).unwrap();
            }
        }
        let whole = of(&sales);
        let (merged, whole) = (merged.to_bytes(), whole.to_bytes());
        let (merged, whole) = (View::parse(&merged), View::parse(&whole));
        if let (Ok(merged), Ok(whole)) = (&merged, &whole) {
            let near = |one: Option<f64>, other: Option<f64>| match (one, other) {
                (Some(one), Some(other)) => (one - other).abs() <= 1e-15 * 1e6,
                (one, other) => one == other,
            };
            let (one, other) = (merged.figures(), whole.figures());
            prop_assert!(near(one.total_sales(), other.total_sales()));
            prop_assert!(near(one.total_quantity(), other.total_quantity()));
            prop_assert!(near(one.total_discount(), other.total_discount()));
            prop_assert_eq!((one.lines(), one.period()), (other.lines(), other.period()));
            // The same to the last bit: hashes or registers, and what is estimated from them.
            prop_assert_eq!(merged.unique_customers().unwrap(), whole.unique_customers().unwrap());
        } else {
            prop_assert!(merged.is_err() && whole.is_err());
        }
    }

    #[test]
    fn the_text_form_reads_back_exactly(sales in prop::collection::vec(sale(), 1..600)) {
        let bytes = of(&sales).to_bytes();
        if let Ok(view) = View::parse(&bytes) {
            prop_assert_eq!(stored_form(&view.to_text().unwrap()).unwrap(), bytes.clone());
            prop_assert_eq!(view.to_bytes(), bytes);
        }
    }

    #[test]
    fn garbage_is_an_error_not_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version: bool) {
        if let (Some(first), true) = (bytes.first_mut(), version) {
            *first = VERSION;
        }
        use_everything(&bytes);
    }

    #[test]
    fn damage_is_an_error_or_another_summary(
        sales in prop::collection::vec(sale(), 1..500),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = of(&sales).to_bytes();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        use_everything(&bytes);
    }

    #[test]
    fn garbage_text_is_an_error_not_a_panic(text in ".{0,200}") {
        prop_assert!(stored_form(&text).is_err());
    }

    #[test]
    fn damaged_text_is_an_error_or_another_summary(
        sales in prop::collection::vec(sale(), 1..30),
        place: prop::sample::Index,
        with in r#"[0-9a-f\[\]{},:"eE+. -]{0,3}"#,
    ) {
        let bytes = of(&sales).to_bytes();
        if let Ok(view) = View::parse(&bytes) {
            let mut text = view.to_text().unwrap();
            let place = place.index(text.len());
            text.replace_range(place..=place, &with);
            if let Ok(bytes) = stored_form(&text) {
                use_everything(&bytes);
            }
        }
    }
}

/// Whatever can be parsed can be used, and stored again as itself.
fn use_everything(bytes: &[u8]) {
    let Ok(view) = View::parse(bytes) else { return };
    let figures = view.figures();
    let _ = (figures.avg_price(), figures.avg_discount(), figures.discount_rate());
    assert!(view.unique_customers().unwrap() <= figures.lines() || figures.lines() as usize > EXACT);
    let again = view.to_bytes();
    assert_eq!(View::parse(&again).unwrap(), view);
    let text = view.to_text().unwrap();
    assert_eq!(stored_form(&text).unwrap(), again);
    let mut summary = Summary::new();
    summary.merge_stored(&view, Global).unwrap();
    assert_eq!(summary.to_bytes(), again);
    let _ = summary.merge_stored(&view, Global);
}
