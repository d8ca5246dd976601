use super::views::refresh;
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

const QUICK: &str = r#"{"hidden": [8], "epochs": 2, "threads": 1}"#;

/// A copy of product 7's newest row in r2, as another product's, with some columns changed.
fn twin(client: &mut Client, product: i64, changes: &str) {
    client
        .batch_execute(&format!(
            "CREATE TEMP TABLE twin AS SELECT * FROM launch_features WHERE product_id = 7 AND region = 'r2' ORDER BY week DESC LIMIT 1;
             UPDATE twin SET product_id = {product}, purchased = true;
             UPDATE twin SET {changes};
             INSERT INTO launch_features SELECT * FROM twin;
             DROP TABLE twin"
        ))
        .unwrap_or_else(|error| panic!("{changes}: {error:?}"));
}

fn found(client: &mut Client, call: &str) -> Vec<i64> {
    let sql = format!("SELECT similar_product::bigint FROM {call}");
    client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}\n{error:?}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn only_what_was_known_of_other_products_in_the_region_is_compared() {
    let mut client = Database::trained().connect();
    twin(&mut client, 901, "week = week - 7");
    twin(&mut client, 902, "week = week - 14, purchased = false");
    twin(&mut client, 903, "week = week");
    twin(&mut client, 904, "week = week - 7, purchased = NULL");
    twin(&mut client, 905, "week = week - 7, region = 'r1'");
    twin(&mut client, 906, "week = week - 7, weeks_since_launch = weeks_since_launch - 1");
    twin(&mut client, 907, "week = week - 700");
    let twins = "SELECT similar_product, week - date '2024-06-17' AS days, similarity, outcome, launch, first_quantity, first_sales
                 FROM reco.similar_launches(7, 'r2', 60) WHERE similarity = 1";
    assert_eq!(rows(&mut client, twins), ["(901,-7,1,1,,,)", "(902,-14,1,0,,,)", "(907,-700,1,1,,,)"]);
    assert_eq!(found(&mut client, "reco.similar_launches(7, 'r2', 2)"), [901, 902]);
    assert_eq!(found(&mut client, "reco.similar_launches(7, 'r2', 1, 'launch', '2024-06-16')").len(), 1);
    let all = found(&mut client, "reco.similar_launches(7, 'r2', 1000)");
    assert!(!all.contains(&7) && !all.contains(&906), "{all:?}");
    // As of a week earlier its row is another.
    let earlier = "SELECT max(week)::text FROM reco.similar_launches(7, 'r2', 1000, as_of => '2024-06-16')";
    assert_eq!(rows(&mut client, earlier), ["(2024-06-03)"]);
    let ordered: bool = value(
        &mut client,
        "SELECT array_agg(similarity) = array_agg(similarity ORDER BY similarity DESC) AND min(similarity) > 0
         FROM reco.similar_launches(7, 'r2', 60)",
    );
    assert!(ordered);
}

#[test]
fn what_the_model_owes_much_to_decides() {
    let mut client = Database::trained().connect();
    let importance = r#"UPDATE reco.version SET metrics = jsonb_set(metrics, '{importance}', '[{"column": "COLUMN", "loss": 0.5}, {"column": "clicks", "loss": -1}]')"#;
    twin(&mut client, 901, "week = week - 7, price = price + 1");
    twin(&mut client, 902, "week = week - 7, sales_1w = sales_1w + 1, clicks = clicks + 500");
    for (column, alike) in [("price", 902), ("sales_1w", 901)] {
        client.batch_execute(&importance.replace("COLUMN", column)).unwrap();
        let same = "SELECT similar_product FROM reco.similar_launches(7, 'r2', 60) WHERE similarity = 1";
        assert!(rows(&mut client, same).contains(&format!("({alike})")), "{column}");
        assert!(!rows(&mut client, same).contains(&format!("({})", 1803 - alike)), "{column}");
    }
    // Without any, all columns count.
    client.batch_execute("UPDATE reco.version SET metrics = metrics - 'importance'").unwrap();
    let same = "SELECT count(*) FROM reco.similar_launches(7, 'r2', 60) WHERE similarity = 1";
    assert_eq!(rows(&mut client, same), ["(0)"]);
}

#[test]
fn without_an_age_each_product_has_its_nearest_row() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute("CREATE VIEW ageless AS SELECT product_id, region, week::timestamptz AS at, price, sales_1w, sales_4w, purchased FROM launch_features")
        .unwrap();
    let training = Training::new("ageless").source("ageless").with("keys => '{product_id,region}'");
    training.with("time_column => 'at'").call(&mut client);
    client
        .batch_execute(
            r#"UPDATE reco.version SET metrics = jsonb_set(metrics, '{importance}', '[{"column": "sales_4w", "loss": 1}]')"#,
        )
        .unwrap();
    let similar = rows(&mut client, "SELECT similar_product, week FROM reco.similar_launches(7, 'r2', 5)");
    let expected = rows(
        &mut client,
        "SELECT product_id::text, at::date FROM (
             SELECT DISTINCT ON (product_id) product_id, at, abs(a.sales_4w - b.sales_4w) AS apart
             FROM ageless AS a, (SELECT sales_4w FROM ageless WHERE product_id = 7 AND region = 'r2' ORDER BY at DESC LIMIT 1) AS b
             WHERE region = 'r2' AND product_id <> 7 AND purchased IS NOT NULL AND at <= '2024-06-10'
             ORDER BY product_id, apart) AS nearest
         ORDER BY apart LIMIT 5",
    );
    assert_eq!(similar, expected);
}

/// Forty products, two of them launched in each of twenty weeks, and sold in two regions from then on.
const SHOP: &str = "
CREATE TABLE products AS
SELECT p AS product_id, 'c' || p % 3 AS category, date '2024-01-29' + 7 * (p / 2) AS launch_date FROM generate_series(1, 40) AS p;
CREATE TABLE stores AS SELECT s AS store_id, 'r' || s AS region FROM generate_series(1, 2) AS s;
CREATE TABLE sales AS
SELECT product_id, s AS store_id, launch_date + 7 * w + d + time '12:00' AS sold_at, (1 + p.product_id % 5)::numeric AS amount,
       1 + (product_id + w) % 3 AS quantity, d AS customer_id
FROM products AS p, generate_series(1, 2) AS s, generate_series(0, 30) AS w, generate_series(0, 6, 2) AS d
WHERE launch_date + 7 * w < '2024-07-29' AND chance(format('%s %s %s', product_id, s, w)) < 0.6;
INSERT INTO sales SELECT NULL, 1, date '2024-01-01' + 6 + 7 * w + time '23:00', 1, 1, 1 FROM generate_series(0, 29) AS w;
SELECT reco.create_launch_features('new_products', sales => 'sales', products => 'products', stores => 'stores',
                                   launch_date => 'launch_date');
";

#[test]
fn launches_of_a_view_of_new_products_come_with_their_first_sales() {
    let database = Database::with_data();
    let mut client = database.connect();
    client.batch_execute(SHOP).unwrap();
    refresh(&mut client, "'new_products'");
    Training::new("new").source("new_products").params(QUICK).call(&mut client);
    let newest =
        "(SELECT week FROM new_products WHERE product_id = 36 AND region = 'r1' ORDER BY week DESC LIMIT 1)";
    let all = "reco.similar_launches(36, 'r1', 100)";
    let wrong = format!(
        "SELECT s.*, p.launch_date, t.quantity, t.amount FROM {all} AS s
         JOIN products AS p ON p.product_id = s.similar_product::bigint, LATERAL (
             SELECT coalesce(sum(quantity), 0) AS quantity, coalesce(sum(amount), 0) AS amount FROM sales
             WHERE sales.product_id = p.product_id AND store_id = 1 AND sold_at >= launch_date AND sold_at < launch_date + 28) AS t
         WHERE launch <> launch_date OR first_quantity <> quantity OR first_sales IS DISTINCT FROM amount
            OR launch_date + 21 > {newest}"
    );
    assert_eq!(rows(&mut client, &wrong), [""; 0]);
    // All launches whose first four weeks were over, at the same age.
    let expected = format!(
        "SELECT product_id FROM new_products AS f JOIN products AS p USING (product_id)
         WHERE region = 'r1' AND product_id <> 36 AND purchased IS NOT NULL AND launch_date + 21 <= {newest} AND week < {newest}
           AND weeks_since_launch = (SELECT weeks_since_launch FROM new_products
                                     WHERE product_id = 36 AND region = 'r1' AND week = {newest}) ORDER BY 1"
    );
    let found = rows(&mut client, &format!("SELECT similar_product::int AS p FROM {all} ORDER BY 1"));
    assert_eq!(found, rows(&mut client, &expected));
    assert!(found.len() > 20, "{found:?}");
    let sold: f64 = value(&mut client, &format!("SELECT sum(first_quantity) FROM {all}"));
    assert!(sold > 0.0);

    // Sales are for those who may read them.
    client
        .batch_execute("CREATE ROLE no_weekly LOGIN; GRANT USAGE ON SCHEMA reco TO no_weekly; GRANT SELECT ON new_products TO no_weekly;
             SELECT reco.grant_model('new', 'no_weekly', 'score')")
        .unwrap();
    let mut other = database.connect_as("no_weekly");
    let told =
        format!("SELECT count(*), count(launch), count(first_quantity), count(first_sales) FROM {all}");
    assert_eq!(rows(&mut other, &told), [format!("({0},{0},0,0)", found.len())]);
}

#[test]
fn a_read_only_transaction_finds_the_same() {
    let mut client = Database::trained().connect();
    let call = "SELECT * FROM reco.similar_launches(7, 'r2')";
    let before = rows(&mut client, call);
    assert_eq!(before.len(), 5);
    client.batch_execute("BEGIN READ ONLY").unwrap();
    assert_eq!(rows(&mut client, call), before);
    client.batch_execute("COMMIT").unwrap();
}

#[test]
fn what_has_no_launches_is_refused() {
    let mut client = Database::trained().connect();
    for (call, nothing) in [
        ("reco.similar_launches(999, 'r2')", "a product without a row"),
        ("reco.similar_launches(7, 'nowhere')", "a region without a row"),
        ("reco.similar_launches(NULL::bigint, 'r2')", "no product"),
    ] {
        assert!(rows(&mut client, &format!("SELECT * FROM {call}")).is_empty(), "{nothing}");
    }
    for k in ["0", "-1", "1001"] {
        let error = refusal(&mut client, &format!("SELECT * FROM reco.similar_launches(7, 'r2', {k})"));
        error.expect("22023", &["k is a number of launches", k], &[]);
    }
    refusal(&mut client, "SELECT * FROM reco.similar_launches(7, 'r2', NULL)").expect(
        "22023",
        &["k must not be NULL"],
        &[],
    );
    Training::new("popular").params(r#"{"threads": 1}"#).with("algorithm => 'popularity'").call(&mut client);
    let error = refusal(&mut client, "SELECT * FROM reco.similar_launches(7, 'r2', model => 'popular')");
    error.expect("22000", &["nothing but a key"], &["popularity"]);
}
