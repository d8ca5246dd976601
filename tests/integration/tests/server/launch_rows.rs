//! The rows of new products that the library computes are those that the view's definition says.

use super::demo::{assert_none, database, generate, LIFELIKE};
use super::views::refresh;
use integration::{refusal, value, Database};
use postgres::Client;

/// Generated sales, as real as they can be made, and further statements.
fn with_sales(name: &str, more: &str) -> (Database, Client) {
    let database = database(name);
    generate(&database, &["seed=21"]);
    let mut client = database.connect();
    client.batch_execute(LIFELIKE).unwrap();
    client.batch_execute(more).unwrap();
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_recommend").unwrap();
    (database, client)
}

/// Makes the view `made`, and `defined` with the same definition, which reads the same weekly sales. From now on the
/// definition of `made` itself has no rows.
fn create(client: &mut Client, options: &str) {
    client
        .batch_execute(&format!(
            "SELECT reco.create_launch_features('made',
                 sales => 'sales', products => 'products', stores => 'stores', amount => 'sales_value',
                 discount => '{{retail_disc,coupon_disc,coupon_match_disc}}', customer => 'household_id',
                 category => 'product_category', attributes => '{{brand,department}}'{options});
             SELECT reco.create_feature_view('defined', definition, keys, label => label, available => available,
                 inputs => '{{made_weekly}}', lookback => lookback, horizon => horizon, partition_by => partition_by,
                 settings => settings)
             FROM reco.feature_view WHERE table_name = 'made';
             UPDATE reco.feature_view SET definition = format('SELECT * FROM (%s) AS d WHERE false', definition)
             WHERE table_name = 'made'"
        ))
        .unwrap();
}

#[track_caller]
fn assert_same(client: &mut Client, least: i64, what: &str) {
    assert_none(client, "TABLE made EXCEPT ALL TABLE defined", &format!("{what}, only made"));
    assert_none(client, "TABLE defined EXCEPT ALL TABLE made", &format!("{what}, only defined"));
    let count: i64 = value(client, "SELECT count(*) FROM made");
    assert!(count >= least, "{what}: {count}");
    let noted = "SELECT max(rows) - min(rows) FROM reco.feature_views WHERE view IN ('public.made', 'public.defined')";
    assert_eq!(value::<i64>(client, noted), 0, "{what}");
}

fn refresh_both(client: &mut Client, options: &str) {
    for view in ["made", "defined"] {
        refresh(client, &format!("'{view}'{options}"));
    }
}

#[test]
fn all_weeks_are_as_defined() {
    let (_database, mut client) = with_sales("rows_of_all_weeks", "");
    create(&mut client, ", launch_date => 'launch_date'");
    refresh_both(&mut client, "");
    assert_same(&mut client, 5000, "all weeks");
    let in_order = "SELECT count(*) FROM (SELECT lag((product_id, region, week)) OVER (ORDER BY tableoid, ctid) AS before, tableoid,
                           lag(tableoid) OVER (ORDER BY tableoid, ctid) AS table_before, product_id, region, week FROM made) AS rows
                    WHERE tableoid = table_before AND before > (product_id, region, week)";
    assert_eq!(value::<i64>(&mut client, in_order), 0, "rows come in the order of the key");
}

#[test]
fn weeks_are_as_defined_however_they_are_divided() {
    let (_database, mut client) = with_sales("rows_of_some_weeks", "");
    create(&mut client, ", partition_by => 'month', launch_date => 'launch_date'");
    let weeks = "SELECT array_agg(week::text ORDER BY week) FROM (SELECT DISTINCT reco.week(sold_at) AS week FROM sales) AS weeks";
    let weeks: Vec<String> = value(&mut client, weeks);
    for part in [&weeks[4..5], &weeks[9..17], &weeks[5..9], &weeks[20..]] {
        let (from, to) = (&part[0], &part[part.len() - 1]);
        refresh_both(&mut client, &format!(", from_week => '{from}', to_week => '{to}', lookback => 2"));
        assert_same(&mut client, 10, &format!("after {from} to {to}"));
    }
    client.batch_execute("INSERT INTO sales SELECT * FROM sales WHERE sold_at > (SELECT max(sold_at) - interval '20 days' FROM sales) AND product_id % 2 = 0").unwrap();
    refresh_both(&mut client, ", lookback => 3");
    assert_same(&mut client, 5000, "after late sales");
}

/// Keys that are texts, sold by weight, returned, or not listed at all.
const BY_NAME: &str = "
ALTER TABLE sales ALTER product_id TYPE text USING 'Pé-' || product_id, ALTER quantity TYPE float8;
ALTER TABLE products ALTER product_id TYPE text USING 'Pé-' || product_id;
ALTER TABLE stores ALTER region TYPE text USING translate(region, 'r1', 'R-');
UPDATE sales SET quantity = quantity * (1 + store_id % 7) / 7.0, sales_value = sales_value / 3;
UPDATE sales SET quantity = -quantity, sales_value = -sales_value WHERE household_id % 9 = 0;
DELETE FROM products WHERE hashtext(product_id) % 12 = 0";

#[test]
fn texts_weights_and_unlisted_products_are_as_defined() {
    let (_database, mut client) = with_sales("rows_by_name", BY_NAME);
    create(&mut client, ", partition_by => 'quarter', warm_up_weeks => 2, launch_weeks => 20");
    refresh_both(&mut client, "");
    assert_same(&mut client, 5000, "all weeks");
}

#[test]
fn keys_of_two_types_are_as_defined() {
    let (_database, mut client) = with_sales(
        "rows_of_two_types",
        "ALTER TABLE sales ALTER product_id TYPE integer; ALTER TABLE products ALTER product_id TYPE numeric",
    );
    create(&mut client, ", launch_date => 'launch_date'");
    refresh_both(&mut client, "");
    assert_same(&mut client, 5000, "all weeks");
}

/// What is planned: of stores, of regions, of days everywhere; half of it for products that are not there, or without a value.
const PLANS: &str = "
CREATE TABLE store_plans AS
SELECT product_id + n % 3 AS product_id, store_id, reco.week(sold_at) + 7 * (n % 9 - 2) AS week, n % 4 > 0 AS display,
       nullif(n % 11, 0) / 10.0 AS mailer, nullif(n % 6, 0) * 0.7 AS price
FROM (SELECT product_id, store_id, sold_at, row_number() OVER (ORDER BY sold_at, basket_id, product_id)::integer AS n
      FROM sales) AS s
WHERE n % 5 = 0;
CREATE TABLE region_plans AS
SELECT product_id, CASE WHEN n % 13 > 0 THEN t.region END AS region, week, (n % 3)::real / 2 AS share, week + n % 5 - 2 AS known
FROM (SELECT *, row_number() OVER (ORDER BY product_id, store_id, week, price)::integer AS n FROM store_plans) AS p
JOIN stores AS t USING (store_id) WHERE n % 2 = 0;
CREATE TABLE prices AS
SELECT DISTINCT product_id, week AS begins, nullif(week + n % 40, week) AS ends, (1 + n % 7) / 2.0 AS list_price, n % 2 = 0 AS offer
FROM (SELECT *, row_number() OVER (ORDER BY product_id, store_id, week, price)::integer AS n FROM store_plans) AS p
WHERE n % 20 = 0;
-- A region in which nothing was ever bought, but something came back.
INSERT INTO stores VALUES (99, 'returns only');
INSERT INTO sales SELECT household_id, 99, basket_id, product_id, -1, -1, 0, 0, 0, week, sold_at FROM sales WHERE basket_id % 50 = 0";

const PLANNED: &str = r#", plans => '[
{"table": "store_plans", "columns": ["display", "price"], "shares": ["mailer"]},
{"table": "region_plans", "shares": ["share"], "known_at": "known"},
{"table": "prices", "from": "begins", "until": "ends", "columns": ["list_price", "offer"]}]'"#;

#[test]
fn plans_are_as_defined() {
    let (_database, mut client) = with_sales("rows_of_plans", "");
    client.batch_execute(PLANS).unwrap();
    create(&mut client, &format!(", launch_date => 'launch_date', partition_by => 'quarter'{PLANNED}"));
    refresh_both(&mut client, "");
    assert_same(&mut client, 5000, "all weeks");
    for column in [
        "planned_display",
        "planned_price",
        "mailer_weeks_since",
        "share_lift",
        "category_offer_lift",
        "planned_list_price_1w",
    ] {
        let different = value::<i64>(&mut client, &format!("SELECT count(DISTINCT {column}) FROM made"));
        assert!(different > 3 || (column.contains("list_price") && different > 1), "{column}: {different}");
    }
    let week: String = value(&mut client, "SELECT (max(week) - 21)::text FROM made");
    refresh_both(&mut client, &format!(", from_week => '{week}', to_week => '{week}'"));
    assert_same(&mut client, 5000, "one week again");
}

#[test]
fn plans_of_unlisted_products_and_of_other_types_are_as_defined() {
    let (_database, mut client) = with_sales("rows_of_plans_by_name", "");
    client.batch_execute(PLANS).unwrap();
    client.batch_execute(BY_NAME).unwrap();
    client
        .batch_execute(
            "ALTER TABLE store_plans ALTER product_id TYPE varchar(20) USING 'Pé-' || product_id;
             ALTER TABLE region_plans ALTER product_id TYPE text USING 'Pé-' || product_id, ALTER region TYPE text USING translate(region, 'r1', 'R-');
             ALTER TABLE prices ALTER product_id TYPE text USING 'Pé-' || product_id",
        )
        .unwrap();
    create(&mut client, PLANNED);
    refresh_both(&mut client, "");
    assert_same(&mut client, 5000, "all weeks");
}

/// Ids of plans that no id of a product can hold are of no product.
#[test]
fn plans_whose_ids_are_of_a_wider_type_are_computed_by_the_definition() {
    let (_database, mut client) = with_sales("rows_of_wider_plans", "");
    client.batch_execute(PLANS).unwrap();
    client
        .batch_execute(
            "ALTER TABLE store_plans ALTER product_id TYPE numeric;
             INSERT INTO store_plans SELECT product_id + 0.4, store_id, week, true, 1, 1 FROM store_plans;
             INSERT INTO store_plans SELECT 1e30, store_id, week, true, 1, 1 FROM store_plans LIMIT 10",
        )
        .unwrap();
    client
        .batch_execute(&format!(
            "SELECT reco.create_launch_features('made', sales => 'sales', products => 'products', stores => 'stores',
                 amount => 'sales_value', customer => 'household_id', category => 'product_category'{PLANNED})"
        ))
        .unwrap();
    assert!(!value::<bool>(
        &mut client,
        "SELECT engine IS NOT NULL FROM reco.feature_view WHERE table_name = 'made'"
    ));
    refresh(&mut client, "'made'");
    client.batch_execute("DELETE FROM store_plans WHERE product_id <> floor(product_id) OR product_id > 1e18; ALTER TABLE store_plans ALTER product_id TYPE bigint").unwrap();
    client
        .batch_execute(&format!(
            "SELECT reco.create_launch_features('other', sales => 'sales', products => 'products', stores => 'stores',
                 amount => 'sales_value', customer => 'household_id', category => 'product_category'{PLANNED})"
        ))
        .unwrap();
    refresh(&mut client, "'other'");
    assert_none(&mut client, "TABLE made EXCEPT ALL TABLE other", "only of wider ids");
    assert_none(&mut client, "TABLE other EXCEPT ALL TABLE made", "only of ids of the same type");
}

#[test]
fn views_that_were_renamed_go_on() {
    let (_database, mut client) = with_sales("rows_renamed", "");
    create(&mut client, ", partition_by => 'month'");
    let before: String = value(&mut client, "SELECT (max(sold_at)::date - 28)::text FROM sales");
    refresh_both(&mut client, &format!(", to_week => '{before}'"));
    client.batch_execute("CREATE SCHEMA other; ALTER TABLE made_weekly SET SCHEMA other; ALTER TABLE other.made_weekly RENAME TO by_week").unwrap();
    refresh(&mut client, "'made'");
    client.batch_execute("ALTER TABLE other.by_week RENAME TO made_weekly; ALTER TABLE other.made_weekly SET SCHEMA public").unwrap();
    refresh(&mut client, "'defined'");
    assert_same(&mut client, 5000, "after it was renamed");
}

#[test]
fn a_table_that_its_owner_has_altered_is_filled_by_the_definition() {
    let (_database, mut client) = with_sales("rows_altered", "");
    create(&mut client, "");
    client
        .batch_execute(
            "UPDATE reco.feature_view AS m SET definition = d.definition FROM reco.feature_view AS d
             WHERE (m.table_name, d.table_name) = ('made', 'defined');
             ALTER TABLE made DROP sales_4w, ALTER sales_1w TYPE numeric(12, 2)",
        )
        .unwrap();
    refresh_both(&mut client, "");
    client.batch_execute("ALTER TABLE defined DROP sales_4w, ALTER sales_1w TYPE numeric(12, 2)").unwrap();
    assert_same(&mut client, 5000, "altered");
}

/// Threads of the server process of a connection.
fn threads(client: &mut Client) -> usize {
    let process: i32 = value(client, "SELECT pg_backend_pid()");
    std::fs::read_dir(format!("/proc/{process}/task")).unwrap().count()
}

/// Whatever it is doing at that moment: reading products or sales, comparing, writing, indexing.
#[test]
fn a_refresh_that_is_cancelled_leaves_neither_rows_nor_a_thread() {
    let (_database, mut client) = with_sales("rows_cancelled", "");
    create(&mut client, ", partition_by => 'month'");
    refresh(&mut client, "'made_weekly'");
    let (mut milliseconds, mut cancelled) = (10, 0);
    loop {
        client.batch_execute(&format!("SET statement_timeout = {milliseconds}")).unwrap();
        let refreshed = client.batch_execute("CALL reco.refresh_features('made')");
        client.batch_execute("RESET statement_timeout").unwrap();
        assert_eq!(threads(&mut client), 1);
        let Err(error) = refreshed else { break };
        let code = error.as_db_error().map(|error| error.code().code().to_owned());
        assert_eq!(code.as_deref(), Some("57014"), "{error:?}");
        let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'made'::regclass";
        if value::<i64>(&mut client, partitions) > 0 {
            // The time was over when everything was committed.
            let last = "SELECT status FROM reco.feature_refreshes WHERE view = 'public.made' ORDER BY started_at DESC LIMIT 1";
            assert_eq!(value::<String>(&mut client, last), "succeeded");
            break;
        }
        (milliseconds, cancelled) = (milliseconds + milliseconds / 5, cancelled + 1);
    }
    assert!(cancelled > 5, "{cancelled}");
    refresh(&mut client, "'defined'");
    assert_same(&mut client, 5000, "after cancels");
}

/// Sales that cannot be summed end the pass that meets them.
#[test]
fn an_error_of_the_arithmetic_is_raised_and_leaves_no_thread() {
    let (_database, mut client) = with_sales("rows_overflow", "");
    create(&mut client, "");
    refresh(&mut client, "'made_weekly'");
    client
        .batch_execute(
            "UPDATE made_weekly SET sales = (SELECT reco.sales_summary(1e300, 1, 0, 1, sales.sold_at) FROM sales LIMIT 1)
             WHERE product_id % 7 = 0",
        )
        .unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('made')");
    error.expect("22003", &["out of the range of the type real"], &[]);
    assert_eq!(threads(&mut client), 1);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM made"), 0);
}
