//! `reco.create_launch_features` on a few hand-made sales. The values of its columns are recounted in `demo`.

use super::views::refresh;
use integration::{refusal, rows, value, Database};
use postgres::Client;

/// Eight weeks of sales from Monday, 2024-01-01.
///
/// | product | |
/// | --- | --- |
/// | 1 | sold from the first week on, on every Sunday at 23:30: not new, but it makes the weeks complete |
/// | 2 | no launch date; sold first in week 3, in r1; again in week 5 |
/// | 3 | its launch is planned on Wednesday of week 5; never sold |
/// | 4 | sold in the first week, its launch planned for week 6 |
/// | 5 | its launch is planned for next year |
/// | 6 | no launch date, not listed, sold first in week 6 |
/// | 7 | listed only |
///
/// Region r2 trades from the first week on, r3 from week 6 on, r4 has a store and no sales.
const TABLES: &str = "
CREATE TABLE products (product_id bigint, category text, brand text, launch_date date);
INSERT INTO products VALUES (1, 'tea', 'A', NULL), (2, 'tea', 'A', NULL), (3, 'tea', 'B', '2024-02-07'),
    (4, NULL, 'B', '2024-02-12'), (5, 'tea', NULL, '2025-01-06'), (7, 'tea', 'A', NULL);
CREATE TABLE stores (store_id integer, region text);
INSERT INTO stores VALUES (10, 'r1'), (20, 'r2'), (30, 'r3'), (40, 'r4'), (50, NULL);
CREATE TABLE sales (product_id bigint, store_id integer, sold_at timestamp, amount numeric(8, 2), quantity integer,
                    customer_id bigint, off numeric(8, 2));
INSERT INTO sales
SELECT 1, store, timestamp '2024-01-07 23:30' + w * interval '7 days', 5, 1, 100 + w, 0.5
FROM generate_series(0, 7) AS w, unnest('{10,20}'::int[]) AS store;
INSERT INTO sales VALUES
    (2, 10, '2024-01-28 23:30', 6, 2, 1, 0), (2, 10, '2024-02-05', 3, 1, 2, NULL), (2, 50, '2024-02-01', 3, 1, 2, 0),
    (4, 20, '2024-01-03 12:00', 9, 1, 3, 0), (4, 20, '2024-02-14 12:00', 9, 1, 3, 0),
    (6, 30, '2024-02-13 12:00', 2, 1, 4, 0), (NULL, 10, '2024-02-13 12:00', 2, 1, 4, 0)";

const OPTIONS: &str = "launch_date => 'launch_date', launch_weeks => 4, warm_up_weeks => 2, attributes => '{brand}', discount => '{off}'";

fn creation(options: &str) -> String {
    format!("SELECT reco.create_launch_features('new_products', sales => 'sales', products => 'products', stores => 'stores', {options})")
}

fn create(client: &mut Client, options: &str) {
    client.batch_execute(&creation(options)).unwrap_or_else(|error| panic!("{options}: {error:?}"));
    refresh(client, "'new_products'");
}

fn with_tables() -> Client {
    let mut client = Database::with_data().connect();
    client.batch_execute(TABLES).unwrap();
    client
}

/// Weeks since launch by week of the data, with the labels, of a product in a region.
fn life(client: &mut Client, product: i64, region: &str) -> String {
    value(
        client,
        &format!(
            "SELECT coalesce(string_agg(format('%s:%s%s', (week - date '2024-01-01') / 7, weeks_since_launch,
                                               CASE WHEN purchased THEN '+' WHEN NOT purchased THEN '-' ELSE '?' END), ' ' ORDER BY week), '')
             FROM new_products WHERE product_id = {product} AND region = '{region}'"
        ),
    )
}

#[test]
fn a_product_has_rows_in_its_launch_window_in_every_region_that_trades() {
    let mut client = with_tables();
    create(&mut client, OPTIONS);
    // From the first sale on, where it is sold and elsewhere.
    assert_eq!(life(&mut client, 2, "r1"), "3:0- 4:1+ 5:2- 6:3-");
    assert_eq!(life(&mut client, 2, "r2"), "3:0- 4:1- 5:2- 6:3-");
    assert_eq!(life(&mut client, 2, "r3"), "6:3-", "no earlier than the region trades");
    // From the week before the planned launch on, sold or not.
    assert_eq!(life(&mut client, 3, "r1"), "4:-1- 5:0- 6:1- 7:2?");
    assert_eq!(life(&mut client, 4, "r2"), "5:-1+ 6:0- 7:1?");
    assert_eq!(life(&mut client, 6, "r3"), "6:0- 7:1?");
    assert_eq!(
        value::<Vec<i64>>(&mut client, "SELECT array_agg(DISTINCT product_id) FROM new_products"),
        [2, 3, 4, 6]
    );
    assert_eq!(
        value::<Vec<String>>(&mut client, "SELECT array_agg(DISTINCT region) FROM new_products"),
        ["r1", "r2", "r3"]
    );
    // The label of the newest week becomes known with the next one.
    client.batch_execute("INSERT INTO sales VALUES (1, 10, '2024-03-02 20:00', 5, 1, 1, 0), (3, 20, '2024-02-26', 5, 1, 1, 0)").unwrap();
    refresh(&mut client, "'new_products', lookback => 0");
    assert_eq!(life(&mut client, 3, "r1"), "4:-1- 5:0- 6:1- 7:2?");
    client.batch_execute("INSERT INTO sales VALUES (1, 10, '2024-03-03 00:00', 5, 1, 1, 0)").unwrap();
    refresh(&mut client, "'new_products', lookback => 0");
    assert_eq!(life(&mut client, 3, "r1"), "4:-1- 5:0- 6:1- 7:2- 8:3?");
    assert_eq!(life(&mut client, 3, "r2"), "4:-1- 5:0- 6:1- 7:2+ 8:3?");
    assert_eq!(life(&mut client, 6, "r3"), "6:0- 7:1- 8:2?");
}

#[test]
fn the_window_and_the_warm_up_are_as_asked() {
    let mut client = with_tables();
    create(&mut client, "warm_up_weeks => 0, launch_weeks => 1");
    // Without launch dates the first sale is the launch, also in the first week.
    for (product, expected) in [(1, "0:0+"), (2, "3:0-"), (3, ""), (4, "0:0-"), (6, "6:0-")] {
        assert_eq!(life(&mut client, product, "r1"), expected, "product {product}");
    }
    assert_eq!(life(&mut client, 6, "r3"), "6:0-");
    client.batch_execute("SELECT reco.drop_feature_view('new_products', with_inputs => true)").unwrap();
    create(&mut client, "warm_up_weeks => 4, launch_weeks => 520");
    assert_eq!(life(&mut client, 2, "r1"), "", "first sold in week 3");
    assert_eq!(life(&mut client, 6, "r3"), "6:0- 7:1?");
    let weekly = "SELECT count(*), sum(reco.transactions(sales)) FROM new_products_weekly";
    assert_eq!(rows(&mut client, weekly), ["(21,21)"], "sales of no product or region are left out");
}

#[test]
fn features_of_a_product_that_was_not_sold_are_zero_or_unknown() {
    let mut client = with_tables();
    create(&mut client, OPTIONS);
    let unsold = "SELECT sales_13w, customers_13w, discount_13w, price_13w, all_sales_13w, trend, all_trend, regions_sold, regions_share,
                         price_to_category, brand, category
                  FROM new_products WHERE (product_id, region, week) = (3, 'r1', '2024-01-29')";
    assert_eq!(rows(&mut client, unsold), ["(0,0,,,0,0,0,0,0,,B,tea)"]);
    let category = "SELECT category_sales_4w, category_quantity_4w, category_customers_4w FROM new_products
                    WHERE (product_id, region, week) = (3, 'r1', '2024-01-29')";
    // Product 1 every week, product 2 in week 3.
    assert_eq!(rows(&mut client, category), ["(26,6,5)"]);
}

/// Everything the view holds but the type of the product.
fn everything(client: &mut Client) -> Vec<String> {
    rows(
        client,
        "SELECT product_id::text AS p, region, week, (to_jsonb(f) - 'product_id')::text AS columns
         FROM new_products AS f ORDER BY 1, 2, 3",
    )
}

#[test]
fn types_and_names_of_the_columns_do_not_matter() {
    let expected = {
        let mut client = with_tables();
        create(&mut client, OPTIONS);
        everything(&mut client)
    };
    assert_eq!(expected.len(), 4 + 4 + 1 + 4 + 4 + 2 + 3 + 3 + 2 + 2 + 2 + 2);
    let renamed = "launch_date => 'Launch day', launch_weeks => 4, warm_up_weeks => 2, attributes => '{brand}', discount => '{\"{moment}\"}',
                   product_id => 'a \"product\"', store_id => '{weekly}', region => 'o''clock', sold_at => '{sales}', amount => '$1',
                   quantity => '%s', customer => 'SELECT', category => 'week'";
    for (change, options) in [
        ("ALTER TABLE products ALTER product_id TYPE text; ALTER TABLE sales ALTER product_id TYPE text", OPTIONS.to_owned()),
        ("ALTER TABLE products ALTER product_id TYPE integer; ALTER TABLE sales ALTER product_id TYPE smallint", OPTIONS.to_owned()),
        ("ALTER TABLE sales ALTER sold_at TYPE date", OPTIONS.to_owned()),
        ("ALTER TABLE products ALTER launch_date TYPE timestamp", OPTIONS.to_owned()),
        (
            // Sunday, 23:30 in New York is Monday in UTC.
            "ALTER TABLE sales ALTER sold_at TYPE timestamptz USING sold_at AT TIME ZONE 'America/New_York';
             ALTER TABLE products ALTER launch_date TYPE timestamptz USING launch_date::timestamp AT TIME ZONE 'America/New_York'",
            format!("{OPTIONS}, time_zone => 'America/New_York'"),
        ),
        (
            "SET timezone = 'Pacific/Auckland'; ALTER TABLE sales ALTER sold_at TYPE timestamptz; SET timezone = 'UTC'",
            format!("{OPTIONS}, time_zone => 'Pacific/Auckland'"),
        ),
        (
            "SET timezone = 'Asia/Tokyo'; ALTER TABLE sales ALTER sold_at TYPE timestamptz",
            OPTIONS.to_owned(),
        ),
        ("ALTER TABLE sales ALTER amount TYPE float8, ALTER quantity TYPE numeric, ALTER customer_id TYPE text;
          ALTER TABLE stores ALTER region TYPE varchar(10)", OPTIONS.to_owned()),
        ("SELECT 1", format!("{OPTIONS}, partition_by => 'month'")),
        (
            r#"ALTER TABLE products RENAME product_id TO "a ""product"""; ALTER TABLE sales RENAME product_id TO "a ""product""";
               ALTER TABLE sales RENAME store_id TO "{weekly}"; ALTER TABLE stores RENAME store_id TO "{weekly}";
               ALTER TABLE stores RENAME region TO "o'clock"; ALTER TABLE sales RENAME sold_at TO "{sales}";
               ALTER TABLE sales RENAME amount TO "$1"; ALTER TABLE sales RENAME quantity TO "%s";
               ALTER TABLE sales RENAME customer_id TO "SELECT"; ALTER TABLE sales RENAME off TO "{moment}";
               ALTER TABLE products RENAME category TO week; ALTER TABLE products RENAME launch_date TO "Launch day""#,
            renamed.to_owned(),
        ),
        (
            r#"CREATE SCHEMA "{stores}"; ALTER TABLE sales SET SCHEMA "{stores}"; ALTER TABLE stores SET SCHEMA "{stores}";
               ALTER TABLE "{stores}".sales RENAME TO "{products}"; CREATE VIEW sales AS SELECT * FROM "{stores}"."{products}";
               CREATE MATERIALIZED VIEW stores AS SELECT * FROM "{stores}".stores"#,
            OPTIONS.to_owned(),
        ),
    ] {
        let mut client = with_tables();
        client.batch_execute(change).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        create(&mut client, &options);
        assert_eq!(everything(&mut client), expected, "{change}");
        // In the session of somebody elsewhere.
        client.batch_execute("SET timezone = 'America/Los_Angeles'").unwrap();
        refresh(&mut client, "'new_products', lookback => 520");
        assert_eq!(everything(&mut client), expected, "{change}, refreshed elsewhere");
    }
}

#[test]
fn now_is_told_by_the_clock_whose_weeks_are_meant() {
    let mut client = with_tables();
    client
        .batch_execute(
            "ALTER TABLE sales ALTER sold_at TYPE timestamptz; TRUNCATE sales;
             INSERT INTO sales VALUES (1, 10, now() - interval '1 minute', 1, 1, 1, 0)",
        )
        .unwrap();
    create(&mut client, "time_zone => 'Pacific/Kiritimati'");
    let available: String =
        value(&mut client, "SELECT available FROM reco.feature_views WHERE view = 'public.new_products'");
    for zone in ["Pacific/Kiritimati", "UTC", "Pacific/Niue"] {
        client.batch_execute(&format!("SET timezone = '{zone}'")).unwrap();
        let sql = format!("SELECT complete = now() AT TIME ZONE 'Pacific/Kiritimati' FROM ({available}) AS a (first, complete)");
        assert_eq!(value::<Option<bool>>(&mut client, &sql), Some(true), "{zone}");
    }
    // A sale of tomorrow is not believed.
    client
        .batch_execute(
            "TRUNCATE sales; INSERT INTO sales VALUES (1, 10, now() + interval '1 day', 1, 1, 1, 0)",
        )
        .unwrap();
    let sql = format!("SELECT first IS NULL FROM ({available}) AS a (first, complete)");
    assert!(value::<bool>(&mut client, &sql));
}

#[test]
fn columns_that_cannot_be_are_refused() {
    let mut client = with_tables();
    for (options, code, message, hint) in [
        (
            "amount => 'sum'",
            "42703",
            "amount column \"sum\" does not exist in public.sales",
            "Say amount => '…'",
        ),
        (
            "category => 'kind'",
            "42703",
            "category column \"kind\" does not exist in public.products",
            "brand",
        ),
        ("attributes => '{brand,colour}'", "42703", "attributes column \"colour\"", "brand"),
        ("region => 'land'", "42703", "region column \"land\" does not exist in public.stores", "store_id"),
        ("discount => '{off,on}'", "42703", "discount column \"on\"", ""),
        (
            "launch_date => 'brand'",
            "22023",
            "launch_date column \"brand\" of public.products has type text",
            "",
        ),
        ("sold_at => 'amount'", "22023", "sold_at column \"amount\" of public.sales has type numeric", ""),
        ("amount => 'sold_at'", "22023", "amount column \"sold_at\"", ""),
        ("launch_weeks => 0", "22023", "launch_weeks is a number of weeks from 1 to 520, not 0", ""),
        ("warm_up_weeks => -1", "22023", "warm_up_weeks is a number of weeks from 0", ""),
        ("lookback => NULL", "22023", "lookback must not be NULL", ""),
        ("time_zone => 'Mars'", "22023", "Mars", ""),
        ("partition_by => 'day'", "22023", "not \"day\"", ""),
        ("attributes => '{brand,brand}'", "42701", "column \"brand\" specified more than once", ""),
        ("attributes => '{category}'", "42701", "column \"category\" specified more than once", ""),
        ("customer => NULL", "22023", "customer must not be NULL", ""),
    ] {
        let error = refusal(&mut client, &creation(options));
        let fits = error.code == code && error.message.contains(message) && error.hint.contains(hint);
        assert!(fits, "{options}: {error:?}");
    }
    assert!(rows(&mut client, "SELECT view FROM reco.feature_views").is_empty());
    // Partitions and the weekly sales have longer names.
    let long =
        format!("SELECT reco.create_launch_features('{}', 'sales', 'products', 'stores')", "n".repeat(47));
    refusal(&mut client, &long).expect("22023", &["at most 53 bytes", "_weekly\" has 54"], &[]);
}

#[test]
fn attributes_may_have_the_names_of_the_templates_own_columns() {
    let mut client = with_tables();
    let names = [
        "age",
        "launch",
        "planned",
        "first_sale",
        "category_key",
        "price_4w_old",
        "d",
        "sales",
        "Launch {region}",
    ];
    for name in names {
        client.batch_execute(&format!("ALTER TABLE products ADD \"{name}\" text DEFAULT '{name}'")).unwrap();
    }
    let list = names.map(|name| format!("\"{name}\"")).join(",");
    create(
        &mut client,
        &format!("{}, attributes => '{{{list}}}'", OPTIONS.replace(", attributes => '{brand}'", "")),
    );
    for name in names {
        let sql = format!("SELECT bool_and(\"{name}\" = '{name}') FROM new_products WHERE product_id <> 6");
        assert!(value::<bool>(&mut client, &sql), "{name}");
    }
    assert_eq!(life(&mut client, 3, "r1"), "4:-1- 5:0- 6:1- 7:2?");
}
