//! The rows of new products are those of the SQL that defines them.

mod reference;
mod world;

use features::launch::{Gathering, Plans, Row, Setting, COLUMNS};
use proptest::prelude::*;
use reference::Expected;
use world::{week, weekly, Line, Product, Rows, World};

const MANY: usize = 1000;

/// How a world's quantities come: in pieces, of which sums are exact, or weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantities {
    Pieces,
    Weighed,
}

fn line(quantities: Quantities) -> impl Strategy<Value = Line> {
    let weeks = prop_oneof![4 => -8..12i32, 2 => -24..-8i32, 2 => -60..-24i32];
    let pieces = prop_oneof![5 => 1..4i32, 1 => -3..0i32, 1 => Just(0)];
    let quantity = pieces.prop_map(move |pieces| match quantities {
        Quantities::Pieces => f64::from(pieces),
        Quantities::Weighed => f64::from(pieces) * 0.377,
    });
    let amount = prop::option::weighted(0.95, 1..2000i32);
    let discount = prop::option::weighted(0.7, 0..200i32);
    (
        0..9u32,
        0..3u32,
        weeks,
        amount,
        prop::option::weighted(0.95, quantity),
        discount,
        prop::option::of(0..6u64),
    )
        .prop_map(|(product, region, week, amount, quantity, discount, customer)| {
            let sign = if quantity.is_some_and(|quantity| quantity < 0.0) { -0.01 } else { 0.01 };
            let [amount, discount] =
                [amount, discount].map(|cents| cents.map(|cents| f64::from(cents) * sign));
            // Some regions begin to trade late.
            let region = if week < region as i32 { region % 3 } else { region };
            Line { product, region, week, amount, quantity, discount, customer }
        })
}

fn setting() -> impl Strategy<Value = Setting> {
    let available = prop::option::weighted(0.9, -70..0i32);
    (-4..6i32, 0..7i32, 1..8i32, 0..5i32, available, prop::option::weighted(0.9, 0..100i32)).prop_map(
        |(first, weeks, launch_weeks, warm_up_weeks, available, complete)| Setting {
            first: week(first),
            last: week(first + weeks),
            launch_weeks,
            warm_up_weeks,
            available: available.map(week),
            complete: complete.map(|days| week(-1).monday() + days),
        },
    )
}

fn world(quantities: Quantities) -> impl Strategy<Value = World> {
    let planned = prop::option::weighted(0.3, prop_oneof![4 => -6..12i32, 1 => -60..-6i32]);
    let product = (0..3u32, planned).prop_map(|(category, planned)| Product { category, planned });
    // The last product is listed but never sold.
    let products = prop::collection::vec(product, 10);
    let lines = prop::collection::vec(line(quantities), 0..160);
    (products, lines, setting()).prop_map(|(products, lines, setting)| World {
        products,
        weekly: weekly(&lines),
        setting,
    })
}

/// Whether the engine's rows are the expected ones; where they are weighed, up to the error of plain sums.
fn assert_same(found: &Rows, expected: &reference::Rows, quantities: Quantities) {
    let keys = |row: &Row| (row.product, row.region, row.week.since(week(0)));
    assert!(
        found.values().map(keys).eq(expected.keys().copied()),
        "rows of the same products, regions, weeks"
    );
    for (row, expected) in found.values().zip(expected.values()) {
        assert_eq!(row.purchased, expected.purchased, "purchased of {:?}", keys(row));
        assert_eq!(expected.values.len(), COLUMNS.len());
        assert!(row.values.iter().eq((0..COLUMNS.len()).map(|column| row.values.get(column))));
        for (name, value) in COLUMNS.iter().zip(row.values.iter()) {
            assert_value(name, value, expected, quantities, &format!("{name} of {:?}", keys(row)));
        }
    }
}

fn assert_value(name: &str, value: Option<f32>, expected: &Expected, quantities: Quantities, of: &str) {
    let expected = expected.values[name];
    let plain_sum =
        ["trend", "returned_13w", "category_launch_quantity"].iter().any(|sum| name.ends_with(sum));
    if plain_sum && quantities == Quantities::Weighed {
        let near = |(one, other): (f32, f32)| (one - other).abs() <= 1e-6 * (1.0 + other.abs());
        assert!(value.zip(expected).map_or(value == expected, near), "{of}: {value:?}, not {expected:?}");
    } else {
        assert_eq!(value, expected, "{of}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rows_are_those_of_the_definition(world in world(Quantities::Pieces), at_once in 1..12usize) {
        let rows = world.rows(world.setting, at_once);
        assert_same(&rows, &reference::rows(&world, world.setting), Quantities::Pieces);
    }

    #[test]
    fn weighed_quantities_come_within_the_error_of_plain_sums(world in world(Quantities::Weighed)) {
        let rows = world.rows(world.setting, MANY);
        assert_same(&rows, &reference::rows(&world, world.setting), Quantities::Weighed);
    }

    #[test]
    fn the_sales_that_a_pass_says_it_needs_are_enough(world in world(Quantities::Weighed), at_once in 1..12usize) {
        prop_assert_eq!(world.rows_from_the_least(world.setting, at_once), world.rows(world.setting, MANY));
    }

    #[test]
    fn a_week_has_the_same_rows_whatever_weeks_are_computed_with_it(world in world(Quantities::Weighed)) {
        let Setting { first, last, .. } = world.setting;
        let weeks = (0..=last.since(first)).map(|n| first.plus(n));
        let each = weeks.flat_map(|week| world.rows(Setting { first: week, last: week, ..world.setting }, MANY));
        prop_assert_eq!(each.collect::<Rows>(), world.rows(world.setting, MANY));
    }
}

/// One line of a single piece.
fn bought(product: u32, region: u32, week: i32) -> Line {
    Line {
        product,
        region,
        week,
        amount: Some(2.0),
        quantity: Some(1.0),
        discount: Some(0.5),
        customer: Some(7),
    }
}

fn brought_back(product: u32, region: u32, week: i32) -> Line {
    Line { amount: Some(-2.0), quantity: Some(-1.0), ..bought(product, region, week) }
}

/// A world of products of one category, in which every product sold is a launch.
fn small_world(planned: &[Option<i32>], lines: &[Line]) -> World {
    let products = planned.iter().map(|planned| Product { category: 0, planned: *planned }).collect();
    let setting = Setting {
        first: week(0),
        last: week(9),
        launch_weeks: 4,
        warm_up_weeks: 0,
        available: Some(week(-60)),
        complete: Some(week(11).monday()),
    };
    World { products, weekly: weekly(lines), setting }
}

fn checked_rows(world: &World) -> Rows {
    let rows = world.rows(world.setting, MANY);
    assert_same(&rows, &reference::rows(world, world.setting), Quantities::Pieces);
    rows
}

fn keys(rows: &Rows) -> Vec<(u32, u32, i32)> {
    rows.keys().map(|(product, region, at)| (*product, *region, at.since(week(0)))).collect()
}

fn value(rows: &Rows, key: (u32, u32, i32), name: &str) -> Option<f32> {
    let column = COLUMNS.iter().position(|column| *column == name).unwrap();
    rows[&(key.0, key.1, week(key.2))].values.get(column)
}

#[test]
fn a_product_is_new_from_its_first_purchase_on() {
    let lines = [brought_back(0, 0, 1), bought(0, 0, 2), bought(0, 0, 3), brought_back(1, 0, 3)];
    let rows = checked_rows(&small_world(&[None, None], &lines));
    assert_eq!(keys(&rows), [(0, 0, 2), (0, 0, 3), (0, 0, 4), (0, 0, 5)]);
    let at = |week, name| value(&rows, (0, 0, week), name);
    assert_eq!(
        ["sales_1w", "sales_4w", "quantity_4w", "returned_13w"].map(|name| at(3, name)),
        [2.0, 2.0, 1.0, 1.0].map(Some)
    );
    assert_eq!([at(5, "sales_1w"), at(5, "price_1w"), at(5, "trend")], [Some(0.0), None, Some(-0.4)]);
    assert_eq!(at(2, "category_launches_sold"), None, "nothing was launched before");
    let labels: Vec<_> = rows.values().map(|row| row.purchased).collect();
    assert_eq!(labels, [Some(true), Some(false), Some(false), Some(false)]);
}

#[test]
fn what_comes_back_is_no_purchase() {
    let lines = [bought(0, 0, 2), brought_back(0, 0, 3), brought_back(0, 1, 2)];
    let rows = checked_rows(&small_world(&[None], &lines));
    assert_eq!(
        keys(&rows).iter().filter(|(_, region, _)| *region == 1).count(),
        0,
        "the region does not trade"
    );
    let at = |name| value(&rows, (0, 0, 3), name);
    assert_eq!(
        ["regions_sold", "regions_share", "all_returned_13w", "all_quantity_13w"].map(at),
        [1.0, 1.0, 2.0, -1.0].map(Some)
    );
    assert_eq!(rows[&(0, 0, week(2))].purchased, Some(false), "only brought back in the week after");
}

#[test]
fn a_planned_launch_has_rows_from_the_week_before_on_in_regions_that_trade() {
    let lines = [bought(0, 0, -20), bought(0, 1, 3)];
    let rows = checked_rows(&small_world(&[None, Some(3)], &lines));
    let expected =
        [2, 3, 4, 5, 6].map(|week| (1, 0, week)).into_iter().chain([3, 4, 5, 6].map(|week| (1, 1, week)));
    assert_eq!(keys(&rows), expected.collect::<Vec<_>>());
    assert_eq!(value(&rows, (1, 0, 2), "weeks_since_launch"), Some(-1.0));
    assert_eq!(
        [value(&rows, (1, 0, 2), "sales_13w"), value(&rows, (1, 0, 2), "price_13w")],
        [Some(0.0), None]
    );
}

#[test]
fn launches_are_compared_once_their_first_four_weeks_are_over() {
    let lines = [bought(0, 0, 0), bought(0, 0, 1), bought(1, 1, 0), bought(2, 0, 2)];
    let rows = checked_rows(&small_world(&[None, None, None], &lines));
    let at = |week, name| value(&rows, (2, 0, week), name);
    assert_eq!([at(2, "category_launches_sold"), at(2, "category_launch_share")], [None, Some(0.0)]);
    assert_eq!([at(3, "category_launches_sold"), at(3, "category_launch_quantity")], [Some(0.5), Some(1.0)]);
}

#[test]
fn many_customers_are_estimated_as_a_rollup_of_the_summaries_is() {
    let mut lines = Vec::new();
    for week in 0..8 {
        // In week 5 more than are counted exactly, in the others fewer, of whom some come again.
        let customers = if week == 5 { 900 } else { 120 };
        for customer in 0..customers {
            let hash = (customer + 90 * week as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            lines.push(Line { customer: Some(hash), ..bought(0, u32::from(customer % 3 == 0), week) });
        }
    }
    let rows = checked_rows(&small_world(&[None], &lines));
    let at = |week, name| value(&rows, (0, 0, week), name).unwrap();
    assert_eq!([at(0, "customers_13w"), at(1, "all_customers_4w")], [80.0, 210.0]);
    assert!((at(3, "all_customers_4w") - 390.0).abs() < 40.0);
}

#[test]
fn without_weeks_there_are_no_rows() {
    let mut world = small_world(&[Some(2)], &[bought(0, 0, 2)]);
    world.setting.last = week(-1);
    assert!(world.rows(world.setting, MANY).is_empty());
}

#[test]
fn what_cannot_be_a_feature_is_an_error() {
    let huge = Line { amount: Some(1e39), ..bought(0, 0, 2) };
    let mut damaged = small_world(&[None], &[bought(0, 0, 2)]);
    damaged.weekly[0].sales = Some(vec![1, 2, 3]);
    for world in [small_world(&[None], &[huge]), damaged] {
        let mut gathering = Gathering::new(world.setting, Plans::default());
        let passed = gathering.add(&world.chunk()).and_then(|()| gathering.finish());
        assert!(passed.is_err());
    }
    let world = small_world(&[None], &[]);
    let mut gathering = Gathering::new(world.setting, Plans::default());
    assert!(gathering.add(&world.chunk()).is_ok() && gathering.add(&world.chunk()).is_err(), "out of order");
}
