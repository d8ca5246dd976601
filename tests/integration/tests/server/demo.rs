//! The SQL of the demo, run by psql as the demo runs it, on generated sales.

use super::support::auroc;
use integration::installation::output;
use integration::{rows, value, Cluster, Database};
use postgres::Client;
use std::path::Path;

const SMALL: [&str; 4] = ["products=250", "weeks=30", "stores=20", "households=100"];
const TABLES: [&str; 5] = ["sales", "products", "stores", "promotions", "true_probability"];

/// What real sales have and generated ones lack: households that shop in every region, products without a category,
/// coupons, sales in the first and the last instant of a week, and launch dates: some before the first sale and some
/// after it, some of products that are never sold.
pub const LIFELIKE: &str = "
ALTER TABLE products ADD launch_date date;
UPDATE products AS p SET launch_date = (SELECT min(sold_at)::date FROM sales AS s WHERE s.product_id = p.product_id)
                                       + 7 * (product_id % 5 - 2)::int
WHERE product_id % 3 = 0;
UPDATE products SET launch_date = (SELECT min(sold_at)::date FROM sales) + (60 + product_id % 100)::int WHERE product_id % 25 = 4;
DELETE FROM sales WHERE product_id % 25 = 4;
UPDATE products SET product_category = NULL WHERE product_id % 10 = 0;
UPDATE sales SET household_id = household_id / 5, coupon_disc = 0.1 * (product_id % 3),
                 coupon_match_disc = 0.05 * (product_id % 2),
                 sold_at = CASE product_id % 5
                           WHEN 0 THEN date_trunc('week', sold_at)
                           WHEN 1 THEN date_trunc('week', sold_at) + interval '7 days' - interval '1 microsecond'
                           ELSE sold_at END";

/// An empty database.
pub fn database(name: &str) -> Database {
    let cluster = Cluster::shared();
    let name = format!("demo_{name}");
    cluster.connect("postgres").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    Database { cluster, name }
}

/// Runs a file of the demo with psql; `options` are settings of the server for its session.
fn psql(database: &Database, options: &str, file: &str, variables: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo").join(file);
    let mut command = database.cluster.client_program("psql");
    command.env("PGOPTIONS", options).args(["-X", "-q", "-d", &database.name]).arg("-f").arg(file);
    for variable in variables {
        command.args(["-v", variable]);
    }
    output(&mut command);
}

pub fn generate(database: &Database, variables: &[&str]) {
    psql(database, "", "generator.sql", &[&SMALL[..], variables].concat());
}

/// The template with the launch dates that `LIFELIKE` adds.
const PLANNED: &str = "
CREATE EXTENSION IF NOT EXISTS pg_recommend;
SELECT reco.create_launch_features('launch_features',
    sales => 'sales', products => 'products', stores => 'stores', amount => 'sales_value',
    discount => '{retail_disc,coupon_disc,coupon_match_disc}', customer => 'household_id',
    category => 'product_category', attributes => '{brand,department}', launch_date => 'launch_date');
CALL reco.refresh_features('launch_features')";

/// Builds the feature views, anew where they are there: the demo's, or those with launch dates.
fn build_features(database: &Database, planned: bool) {
    let mut client = database.connect();
    let there: bool = value(&mut client, "SELECT to_regclass('launch_features') IS NOT NULL");
    if there {
        let drop = "SELECT reco.drop_feature_view('launch_features', with_inputs => true)";
        client.batch_execute(drop).unwrap();
    }
    match planned {
        true => client.batch_execute(PLANNED).unwrap(),
        false => psql(database, "", "features.sql", &[]),
    }
}

/// Rows of `one` that `other` lacks, counted as often as they stand there.
fn missing(client: &mut Client, one: &str, other: &str) -> i64 {
    value(client, &format!("SELECT count(*) FROM ({one} EXCEPT ALL {other}) AS missing"))
}

fn same(client: &mut Client, one: &str, other: &str) -> bool {
    missing(client, one, other) == 0 && missing(client, other, one) == 0
}

/// Asserts that the query finds no rows; shows a few if it does.
#[track_caller]
pub fn assert_none(client: &mut Client, sql: &str, what: &str) {
    let found = rows(client, &format!("{sql} LIMIT 5"));
    assert!(found.is_empty(), "{what}: {found:#?}");
}

/// Columns of `launch_features` that are neither key nor label.
fn features(client: &mut Client) -> Vec<String> {
    let sql = "SELECT attname::text FROM pg_attribute
               WHERE attrelid = 'launch_features'::regclass AND attnum > 0 AND NOT attisdropped
                     AND attname NOT IN ('product_id', 'region', 'week', 'purchased')
               ORDER BY attnum";
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn features_of_a_week_are_the_same_before_later_sales_are_known() {
    assert_no_leak("point_in_time", false);
}

#[test]
fn with_launch_dates_too_they_are_the_same_before_later_sales_are_known() {
    assert_no_leak("planned_point_in_time", true);
}

fn assert_no_leak(name: &str, planned: bool) {
    let database = database(name);
    generate(&database, &["seed=11"]);
    let mut client = database.connect();
    client.batch_execute(LIFELIKE).unwrap();
    build_features(&database, planned);
    client
        .batch_execute(
            "CREATE TABLE all_sales AS SELECT * FROM sales;
             CREATE TABLE hindsight AS SELECT * FROM launch_features",
        )
        .unwrap();
    let weeks =
        "SELECT week::text FROM (SELECT DISTINCT week FROM hindsight WHERE purchased IS NOT NULL) AS weeks
                 ORDER BY hashtextextended(week::text, 2) LIMIT 4";
    let cut_offs: Vec<String> = client.query(weeks, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(cut_offs.len(), 4);

    for (n, week) in cut_offs.iter().enumerate() {
        // The first days of the week after are not to be seen either: it is not over.
        let days = [7, 10][n % 2];
        client
            .batch_execute(&format!(
                "TRUNCATE sales;
                 INSERT INTO sales SELECT * FROM all_sales WHERE sold_at < date '{week}' + {days}"
            ))
            .unwrap();
        build_features(&database, planned);
        let cut = format!("cut {days} days into {week}");

        let newest = "SELECT max(week)::text || ' ' || (min(week) FILTER (WHERE purchased IS NULL))::text
                      FROM launch_features";
        assert_eq!(value::<String>(&mut client, newest), format!("{week} {week}"), "{cut}");

        // A product has rows from its first sale anywhere or its planned launch on, and all regions trade at all
        // times, so the keys of a week are known when it ends: none may be there too early, none may come later.
        let both = format!(
            "FROM launch_features AS early
             FULL JOIN (SELECT * FROM hindsight WHERE week <= '{week}') AS late USING (product_id, region, week)"
        );
        let keys = format!(
            "SELECT product_id, region, week, late.week IS NULL AS too_early {both}
             WHERE early.week IS NULL OR late.week IS NULL"
        );
        assert_none(&mut client, &keys, &cut);
        let differing = |column: &str| {
            format!(
                "SELECT product_id, region, week, early.{column} AS early, late.{column} AS late {both}
                 WHERE early.{column} IS DISTINCT FROM late.{column}"
            )
        };
        for column in features(&mut client) {
            assert_none(&mut client, &differing(&column), &format!("{column}, {cut}"));
        }
        let labels = differing("purchased") + &format!(" AND week < '{week}'");
        assert_none(&mut client, &labels, &format!("purchased, {cut}"));
    }
}

#[test]
fn generated_sales_depend_on_the_seed_alone() {
    let database = database("seeds");
    let mut client = database.connect();
    let mut keep = |schema: &str| {
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).unwrap();
        for table in TABLES {
            client.batch_execute(&format!("ALTER TABLE public.{table} SET SCHEMA {schema}")).unwrap();
        }
    };
    generate(&database, &["seed=1"]);
    keep("first");
    // Another plan: the draws must not depend on the order of rows.
    let plan = "-c enable_hashjoin=off -c enable_hashagg=off -c enable_nestloop=off -c work_mem=64kB";
    psql(&database, plan, "generator.sql", &[&SMALL[..], &["seed=1"]].concat());
    keep("again");
    generate(&database, &["seed=2"]);
    keep("other");
    generate(&database, &["seed=1", "products=300"]);
    keep("more");

    for table in TABLES {
        let from = |schema: &str| format!("SELECT * FROM {schema}.{table}");
        assert!(same(&mut client, &from("first"), &from("again")), "{table}");
        let shared = table == "stores"; // they have nothing random
        assert_eq!(same(&mut client, &from("first"), &from("other")), shared, "{table}");
        let more = if shared { from("more") } else { from("more") + " WHERE product_id <= 250" };
        assert!(same(&mut client, &from("first"), &more), "{table} of more products");
    }
    // Not a few differ but all.
    let equal: i64 = value(
        &mut client,
        "SELECT count(*) FROM first.true_probability AS a JOIN other.true_probability AS b
         USING (product_id, region, week) WHERE a.probability = b.probability",
    );
    assert_eq!(equal, 0);
}

#[test]
fn true_probabilities_rank_the_newest_weeks() {
    let database = database("truth");
    psql(&database, "", "generator.sql", &["seed=5", "products=400"]);
    build_features(&database, false);
    let mut client = database.connect();
    let newest = "purchased IS NOT NULL AND week > (
                      SELECT percentile_disc(0.85) WITHIN GROUP (ORDER BY week)
                      FROM (SELECT DISTINCT week FROM launch_features WHERE purchased IS NOT NULL) AS weeks)";
    let joined = "(SELECT * FROM launch_features JOIN true_probability USING (product_id, region, week))";
    let labelled = "SELECT count(*) FROM launch_features WHERE purchased IS NOT NULL";
    let with_truth = format!("SELECT count(*) FROM {joined} AS f WHERE purchased IS NOT NULL");
    assert_eq!(value::<i64>(&mut client, labelled), value::<i64>(&mut client, &with_truth));
    let newest_of = |table: &str| format!("SELECT max(week)::text FROM {table}");
    let known: String = value(&mut client, &newest_of("launch_features"));
    assert_eq!(value::<String>(&mut client, &newest_of("true_probability")), known);
    let best = auroc(&mut client, "probability", joined, newest);
    assert!(best > 0.97, "{best}");
    // Each probability is right about how often, not only about which.
    let surplus = format!(
        "SELECT (sum(purchased::int - probability) / sqrt(sum(probability * (1 - probability))))::float8
         FROM {joined} AS f WHERE {newest}"
    );
    let deviations: f64 = value(&mut client, &surplus);
    assert!(deviations.abs() < 4.0, "{deviations} standard deviations");
}

/// A column, and how it is counted from the raw sales for the row `f`.
fn recounted() -> Vec<(String, String)> {
    let discount = "sum(retail_disc + coupon_disc + coupon_match_disc)";
    let measures = [
        ("sales", "coalesce(sum(sales_value), 0)".to_owned()),
        ("quantity", "coalesce(sum(quantity), 0)".to_owned()),
        ("customers", "count(DISTINCT household_id)".to_owned()),
        ("price", "sum(sales_value) / nullif(sum(quantity), 0)".to_owned()),
        ("discount", format!("{discount} / nullif(sum(sales_value) + {discount}, 0)")),
    ];
    let here = "b.product_id = f.product_id AND b.region = f.region";
    let everywhere = "b.product_id = f.product_id";
    let category = "b.product_category IS NOT DISTINCT FROM f.category AND b.region = f.region";
    let regions = format!(
        "SELECT count(DISTINCT region) FROM bought AS b WHERE {everywhere} AND b.sold_at >= f.week - 84 AND b.sold_at < f.week + 7"
    );
    // Weeks without a sale count as zero; before the second week there is no slope.
    let trend = |place: &str| {
        format!(
            "SELECT coalesce(-regr_slope(quantity, n), 0) FROM (
                 SELECT n, (SELECT coalesce(sum(quantity), 0) FROM bought AS b
                            WHERE {place} AND b.sold_at >= f.week - 7 * n AND b.sold_at < f.week - 7 * n + 7)::float8 AS quantity
                 FROM generate_series(0, least(12, f.weeks_since_launch::int)) AS n) AS weeks"
        )
    };
    let price = |place: &str| {
        format!(
            "SELECT sum(sales_value) / nullif(sum(quantity), 0) FROM bought AS b
             WHERE {place} AND b.sold_at >= f.week - 21 AND b.sold_at < f.week + 7"
        )
    };
    let cohort = "launches AS l WHERE l.category IS NOT DISTINCT FROM f.category AND l.launch BETWEEN f.week - 364 AND f.week - 21";
    let mut columns = Vec::new();
    for (prefix, place, windows) in
        [("", here, &[1, 4, 13][..]), ("all_", everywhere, &[1, 4, 13]), ("category_", category, &[4])]
    {
        for (name, measure) in &measures {
            if prefix == "category_" && ["price", "discount"].contains(name) {
                continue;
            }
            for weeks in windows {
                let days = 7 * (weeks - 1);
                let sql = format!(
                    "SELECT {measure} FROM bought AS b
                     WHERE {place} AND b.sold_at >= f.week - {days} AND b.sold_at < f.week + 7"
                );
                columns.push((format!("{prefix}{name}_{weeks}w"), sql));
            }
        }
    }
    let others = [
        (
            "weeks_since_launch",
            "SELECT (f.week - launch) / 7 FROM launches AS l WHERE l.product_id = f.product_id".to_owned(),
        ),
        ("regions_sold", regions.clone()),
        (
            "regions_share",
            format!("({regions})::float8 / (SELECT count(DISTINCT region) FROM bought AS b WHERE b.sold_at < f.week + 7)"),
        ),
        ("trend", trend(here)),
        ("all_trend", trend(everywhere)),
        ("price_to_category", format!("({}) / nullif(({}), 0)", price(everywhere), price(category))),
        (
            "category_launch_share",
            format!(
                "SELECT coalesce((SELECT count(*) FROM {cohort})::float8 / nullif(count(*), 0), 0)
                 FROM launches AS l WHERE l.launch BETWEEN f.week - 364 AND f.week - 21"
            ),
        ),
        (
            "category_launches_sold",
            format!(
                "SELECT avg((EXISTS (SELECT FROM bought AS b WHERE b.product_id = l.product_id AND b.region = f.region
                             AND b.sold_at >= l.launch AND b.sold_at < l.launch + 28))::int) FROM {cohort}"
            ),
        ),
        (
            "category_launch_quantity",
            format!(
                "SELECT avg((SELECT coalesce(sum(quantity), 0) FROM bought AS b WHERE b.product_id = l.product_id
                             AND b.region = f.region AND b.sold_at >= l.launch AND b.sold_at < l.launch + 28)) FROM {cohort}"
            ),
        ),
        ("season_sin", "sin(2 * pi() * (f.week - date_trunc('year', f.week)::date + 1) / 365.25)".to_owned()),
        ("season_cos", "cos(2 * pi() * (f.week - date_trunc('year', f.week)::date + 1) / 365.25)".to_owned()),
        (
            "purchased::int",
            format!(
                "EXISTS (SELECT FROM bought AS b
                         WHERE {here} AND b.sold_at >= f.week + 7 AND b.sold_at < f.week + 14)::int"
            ),
        ),
    ];
    columns.extend(others.map(|(name, sql)| (name.to_owned(), sql)));
    columns
}

#[test]
fn features_are_what_a_recount_of_the_sales_finds() {
    assert_recounted("recount", false);
}

#[test]
fn with_launch_dates_too_they_are_what_a_recount_finds() {
    assert_recounted("planned_recount", true);
}

fn assert_recounted(name: &str, planned: bool) {
    let database = database(name);
    generate(&database, &["seed=3"]);
    let mut client = database.connect();
    client.batch_execute(LIFELIKE).unwrap();
    build_features(&database, planned);
    let launch_date = if planned { "launch_date" } else { "NULL::date" };
    client
        .batch_execute(&format!(
            "CREATE TABLE launches AS
             SELECT product_id, category, coalesce(planned, first) AS launch
             FROM (SELECT product_id, product_category AS category, date_trunc('week', {launch_date})::date AS planned,
                          (SELECT date_trunc('week', min(sold_at))::date FROM sales AS s WHERE s.product_id = p.product_id) AS first
                   FROM products AS p) AS p
             WHERE planned IS NOT NULL OR first >= (SELECT date_trunc('week', min(sold_at))::date + 56 FROM sales)"
        ))
        .unwrap();
    // Half of the rows are of slow products, whose windows are often empty.
    client
        .batch_execute(
            "CREATE TABLE bought AS SELECT * FROM sales JOIN stores USING (store_id) JOIN products USING (product_id);
             CREATE INDEX ON bought (product_id);
             ANALYZE bought;
             CREATE TABLE sampled AS
             SELECT * FROM (
                 SELECT *, row_number() OVER (PARTITION BY customers_13w < 3
                                              ORDER BY hashtextextended(format('%s %s %s', product_id, region, week), 1)) AS n
                 FROM launch_features
                 WHERE purchased IS NOT NULL
             ) AS shuffled
             WHERE n <= 100",
        )
        .unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM sampled"), 200);
    for (column, recount) in recounted() {
        let sql = format!(
            "SELECT product_id, region, week, found, expected
             FROM (SELECT f.*, (f.{column})::float8 AS found, ({recount})::float8 AS expected FROM sampled AS f) AS both_ways
             WHERE (found IS NULL) <> (expected IS NULL) OR abs(found - expected) > 1e-4 * abs(expected) + 1e-6
             ORDER BY product_id, region, week"
        );
        assert_none(&mut client, &sql, &column);
    }
}
