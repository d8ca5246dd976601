//! Plans in `reco.create_launch_features`: what is known of a week before it begins.

use super::views::refresh;
use integration::{refusal, rows, value, Database};
use postgres::Client;

/// Eight weeks from Monday, 2024-01-01; product 1 is bought every week in r1 and r2, product 2 is launched in week 3. Region r1
/// has two stores, r2 one.
const TABLES: &str = "
CREATE TABLE products (product_id bigint, category text);
INSERT INTO products VALUES (1, 'tea'), (2, 'tea'), (3, 'coffee');
CREATE TABLE stores (store_id integer, region text);
INSERT INTO stores VALUES (10, 'r1'), (11, 'r1'), (20, 'r2');
CREATE TABLE sales (product_id bigint, store_id integer, sold_at timestamp, amount numeric(8, 2), quantity integer, customer_id bigint);
INSERT INTO sales
SELECT 1, store, timestamp '2024-01-07 23:30' + w * interval '7 days', 5, CASE WHEN w = 4 AND store = 10 THEN 6 ELSE 2 END, 100
FROM generate_series(0, 7) AS w, unnest('{10,20}'::int[]) AS store;
INSERT INTO sales SELECT 2, 10, timestamp '2024-01-22' + w * interval '7 days', 5, CASE WHEN w = 1 THEN 8 ELSE 1 END, 7
FROM generate_series(0, 3) AS w;";

fn with_tables(more: &str) -> Client {
    let mut client = Database::with_data().connect();
    client.batch_execute(TABLES).unwrap();
    client.batch_execute(more).unwrap_or_else(|error| panic!("{more}: {error:?}"));
    client
}

fn creation(plans: &str) -> String {
    format!(
        "SELECT reco.create_launch_features('launches', sales => 'sales', products => 'products', stores => 'stores',
                                            warm_up_weeks => 2, plans => $${plans}$$)"
    )
}

fn create(client: &mut Client, plans: &str) {
    client.batch_execute(&creation(plans)).unwrap_or_else(|error| panic!("{plans}: {error:?}"));
    refresh(client, "'launches'");
}

fn by_week(client: &mut Client, column: &str, product: i64, region: &str) -> String {
    value(
        client,
        &format!(
            "SELECT coalesce(string_agg(format('%s:%s', (week - date '2024-01-01') / 7, coalesce(round(({column})::numeric, 3)::text, '?')), ' ' ORDER BY week), '')
             FROM launches WHERE product_id = {product} AND region = '{region}'"
        ),
    )
}

#[test]
fn plans_of_stores_are_shares_of_their_region() {
    let mut client = with_tables(
        "CREATE TABLE promotions (product_id bigint, store_id integer, week date, display boolean, price numeric);
         INSERT INTO promotions VALUES
             (2, 10, '2024-01-29', true, 2), (2, 11, '2024-01-31', false, 4), (2, 20, '2024-01-29', NULL, 3),
             (2, 10, '2024-02-26', true, 1), (2, 11, '2024-02-26', true, 1), (2, 99, '2024-02-26', true, 1),
             (1, 10, '2024-01-29', true, 9), (2, 10, 'infinity', true, 1), (NULL, 10, '2024-02-05', true, 1), (2, 10, NULL, true, 1)",
    );
    create(&mut client, r#"{"table": "promotions", "columns": ["display", "price"]}"#);
    // Planned for week 4 in one of two stores, and for week 8, which is the newest row's label, in both.
    assert_eq!(by_week(&mut client, "planned_display", 2, "r1"), "3:0.500 4:0.000 5:0.000 6:0.000 7:1.000");
    assert_eq!(by_week(&mut client, "planned_display", 2, "r2"), "3:0.000 4:0.000 5:0.000 6:0.000 7:0.000");
    assert_eq!(
        by_week(&mut client, "planned_display_1w", 2, "r1"),
        "3:0.000 4:0.500 5:0.000 6:0.000 7:0.000"
    );
    assert_eq!(by_week(&mut client, "display_weeks_since", 2, "r1"), "3:? 4:0.000 5:1.000 6:2.000 7:3.000");
    assert_eq!(by_week(&mut client, "planned_price", 2, "r1"), "3:3.000 4:? 5:? 6:? 7:1.000");
    assert_eq!(by_week(&mut client, "planned_price_1w", 2, "r1"), "3:? 4:3.000 5:? 6:? 7:?");
    assert_eq!(by_week(&mut client, "planned_price", 2, "r2"), "3:3.000 4:? 5:? 6:? 7:?");
    // 8 with, 1 without.
    assert_eq!(by_week(&mut client, "display_lift", 2, "r1"), "3:? 4:8.000 5:8.000 6:8.000 7:8.000");
    assert_eq!(by_week(&mut client, "display_lift", 2, "r2"), "3:? 4:8.000 5:8.000 6:8.000 7:8.000");
    // Tea in r1 to the end of week 4: 8 and 6 with; without 2 in four weeks, and 1. In week 5 another 2 and another 1.
    assert_eq!(
        by_week(&mut client, "category_display_lift", 2, "r1").split(' ').take(3).collect::<Vec<_>>(),
        ["3:?", "4:3.889", "5:4.083"]
    );
    assert_eq!(by_week(&mut client, "category_display_lift", 2, "r2"), "3:? 4:? 5:? 6:? 7:?");
    assert_eq!(
        by_week(&mut client, "region_display_lift", 2, "r1"),
        by_week(&mut client, "category_display_lift", 2, "r1"),
        "all that r1 sells is tea"
    );
    let planned = "SELECT planned FROM reco.feature_views WHERE view = 'public.launches'";
    assert_eq!(value::<Vec<String>>(&mut client, planned), ["planned_display", "planned_price"]);
}

#[test]
fn plans_are_of_regions_or_of_everywhere_too() {
    let mut client = with_tables(
        "CREATE TABLE regional (product_id bigint, region varchar(9), week timestamp, reach real);
         INSERT INTO regional VALUES (2, 'r1', '2024-02-08 12:00', 0.25), (2, 'r2', '2024-02-05', 0.75);
         CREATE TABLE prices (article text, first date, last date, price real);
         INSERT INTO prices VALUES ('2', NULL, '2024-02-05', 1), ('2', '2024-02-12', '2024-02-18', 2), ('2', '2024-02-19', NULL, 3),
             ('2', '2024-02-15', '2024-02-13', 50);
         ALTER TABLE products ALTER product_id TYPE text; ALTER TABLE sales ALTER product_id TYPE text;
         ALTER TABLE regional ALTER product_id TYPE text",
    );
    create(
        &mut client,
        r#"[{"table": "regional", "shares": ["reach"]},
            {"table": "public.prices", "product_id": "article", "from": "first", "until": "last", "columns": ["price"]}]"#,
    );
    let mut of = |column: &str, region: &str| -> String {
        value(
            &mut client,
            &format!("SELECT string_agg(coalesce({column}::text, '?'), ' ' ORDER BY week) FROM launches WHERE product_id = '2' AND region = '{region}'"),
        )
    };
    assert_eq!(of("planned_reach", "r1"), "0 0.25 0 0 0");
    assert_eq!(of("planned_reach", "r2"), "0 0.75 0 0 0");
    assert_eq!(of("planned_price", "r2"), "1 1 2 3 3");
    assert_eq!(of("planned_price_1w", "r1"), "1 1 1 2 3");
}

#[test]
fn plans_that_match_nothing_are_told() {
    let plans = "CREATE TABLE promotions (product_id bigint, place integer, week date, reach numeric, known date);
         INSERT INTO promotions VALUES
             (2, 10, '2024-02-05', 1, '2024-02-01'), (NULL, 10, '2024-02-05', 1, '2024-02-01'), (77, 10, '2024-02-05', 1, '2024-02-01'),
             (2, 99, '2024-02-05', 1, '2024-02-01'), (2, 11, '2024-02-05', 25, '2024-02-01'), (2, 10, 'infinity', 1, '2024-02-01'),
             (2, 10, '2024-02-12', 1, NULL), (2, 10, '2024-02-19', 1, '2024-02-19');
         INSERT INTO stores VALUES (NULL, 'r1')";
    let database = Database::with_data();
    let mut client = database.connect();
    client.batch_execute(&format!("{TABLES} {plans}")).unwrap();
    let creation =
        creation(r#"{"table": "promotions", "store_id": "place", "shares": ["reach"], "known_at": "known"}"#);
    client.batch_execute(&creation).unwrap();
    for (options, counted) in [("", "6 of 8"), (", '2024-02-19', '2024-02-19', 1", "2 of 3")] {
        let told = database.told_by(&format!("CALL reco.refresh_features('launches'{options})"));
        let message = format!(
            "{counted} rows of public.promotions for these weeks are of no known product, place or day; they are left out"
        );
        assert!(told.iter().any(|text| text.contains(&message)), "{message}: {told:?}");
    }
    // One of two stores; what becomes known on a day is known when the day is over.
    assert_eq!(by_week(&mut client, "planned_reach", 2, "r1"), "3:0.000 4:0.500 5:0.000 6:0.000 7:0.000");
}

#[test]
fn a_row_knows_only_what_was_known_at_its_end() {
    let mut client = with_tables(
        "CREATE TABLE promotions (product_id bigint, region text, week date, display boolean, announced timestamp);
         INSERT INTO promotions VALUES
             (2, 'r1', '2024-02-05', true, '2024-02-05 00:00'), (2, 'r1', '2024-02-12', true, '2024-02-12 00:01'),
             (2, 'r1', '2024-02-19', true, NULL)",
    );
    create(&mut client, r#"{"table": "promotions", "columns": ["display"], "known_at": "announced"}"#);
    assert_eq!(by_week(&mut client, "planned_display", 2, "r1"), "3:0.000 4:1.000 5:0.000 6:0.000 7:0.000");
    assert_eq!(
        by_week(&mut client, "planned_display_1w", 2, "r1"),
        "3:0.000 4:0.000 5:1.000 6:0.000 7:0.000"
    );
}

#[test]
fn later_sales_and_plans_change_no_row_that_could_not_know_them() {
    let promotions = "CREATE TABLE promotions (product_id bigint, region text, week date, display boolean, announced date);
         INSERT INTO promotions SELECT p, 'r' || r, date '2024-01-01' + 7 * w, hashint4(p * 99 + r * 9 + w) & 1 = 0, date '2024-01-01' + 7 * w - 3
         FROM generate_series(1, 2) AS p, generate_series(1, 2) AS r, generate_series(0, 9) AS w";
    let plans = r#"{"table": "promotions", "columns": ["display"], "known_at": "announced"}"#;
    let rows_of = |client: &mut Client| {
        rows(client, "SELECT to_jsonb(f) - 'purchased' FROM launches AS f WHERE week <= '2024-02-12' ORDER BY product_id, region, week")
    };
    let mut client = with_tables(promotions);
    create(&mut client, plans);
    let all = rows_of(&mut client);
    assert_eq!(all.len(), 8);
    // As if it were the Monday after 2024-02-12, with what had been announced by then.
    let mut client = with_tables(&format!(
        "{promotions}; DELETE FROM sales WHERE sold_at >= '2024-02-19'; DELETE FROM promotions WHERE announced > '2024-02-19'"
    ));
    create(&mut client, plans);
    assert_eq!(rows_of(&mut client), all);
}

#[test]
fn no_plan_is_none() {
    let mut client = with_tables("");
    create(&mut client, "null");
    let planned = "SELECT planned FROM reco.feature_views WHERE view = 'public.launches'";
    assert!(value::<Vec<String>>(&mut client, planned).is_empty());
}

#[test]
fn plans_that_cannot_be_are_refused() {
    let mut client = with_tables(
        "CREATE TABLE promotions (product_id bigint, region text, week date, display boolean, mailer text, sku text, \"longer than any name of a column ought to be, really\" real);
         CREATE TABLE timeless (product_id bigint, display boolean)",
    );
    for (plans, code, message) in [
        ("7", "22023", "plans cannot be read: each of them is an object"),
        (r#"[{"table": "promotions", "columns": ["display"]}, []]"#, "22023", "each of them is an object"),
        (&format!("[{}]", ["{}"; 33].join(",")), "22023", "plans names 33 tables; 32 is the most"),
        (r#"{"columns": ["display"]}"#, "22023", "missing field `table`"),
        (r#"{"table": "promotions", "colums": ["display"]}"#, "22023", "unknown field `colums`"),
        (
            r#"{"table": "nowhere", "columns": ["display"]}"#,
            "22023",
            "the table nowhere, which does not exist",
        ),
        (r#"{"table": "promotions"}"#, "22023", "names no column of public.promotions"),
        (
            r#"{"table": "promotions", "columns": ["discount"]}"#,
            "42703",
            "column \"discount\" does not exist",
        ),
        (r#"{"table": "promotions", "columns": ["mailer"]}"#, "22023", "has type text"),
        (r#"{"table": "promotions", "shares": ["display"]}"#, "22023", "has type boolean"),
        (
            r#"{"table": "promotions", "columns": ["display"], "product_id": "sku"}"#,
            "22023",
            "cannot be compared",
        ),
        (
            r#"{"table": "promotions", "columns": ["display"], "region": "region", "store_id": "region"}"#,
            "22023",
            "name one of",
        ),
        (r#"{"table": "promotions", "columns": ["display"], "from": "week"}"#, "22023", "do not say when"),
        (r#"{"table": "timeless", "columns": ["display"]}"#, "22023", "do not say when"),
        (
            r#"{"table": "promotions", "columns": ["longer than any name of a column ought to be, really"]}"#,
            "22023",
            "at most 49 bytes",
        ),
        (
            r#"{"table": "promotions", "columns": ["display", "display"]}"#,
            "42701",
            "\"planned_display\" specified more than once",
        ),
    ] {
        let error = refusal(&mut client, &creation(plans));
        assert!(error.code == code && error.message.contains(message), "{plans}: {error:?}");
    }
    assert!(rows(&mut client, "SELECT view FROM reco.feature_views").is_empty());
}
