//! One value has one meaning whatever its type: padding is no part of a text, and a whole number is the same in every number
//! type.

use integration::{rows, value, Database, Training};
use postgres::Client;

/// A table whose rows are those of the training table, with columns of these types.
fn table(client: &mut Client, name: &str, product: &str, region: &str, category: &str) {
    let sql = format!(
        "CREATE TABLE {name} AS SELECT product_id::{product} AS product_id, region::{region} AS region, week, sales_1w,
                                       category::text::{category} AS category, purchased FROM launch_features;
         ALTER TABLE {name} ADD PRIMARY KEY (product_id, region, week)"
    );
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The largest difference between the scores that a model gives the rows of two tables.
fn difference(client: &mut Client, model: &str, one: &str, other: &str) -> f64 {
    let sql = format!(
        "SELECT max(abs(reco.predict('{model}', a) - reco.predict('{model}', b))) FROM {one} AS a JOIN {other} AS b \
         ON a.product_id = b.product_id AND a.region::text = b.region::text AND a.week = b.week"
    );
    value(client, &sql)
}

const TYPES: &str = "CREATE TYPE kind AS ENUM ('drinks', 'bakery', 'pet food', 'cosmetics');
                     CREATE DOMAIN code AS char(12); CREATE DOMAIN kind_domain AS kind";

#[test]
fn a_category_scores_the_same_in_every_type_that_holds_it() {
    let mut client = Database::with_data().connect();
    client.batch_execute(TYPES).unwrap();
    let types = ["text", "char(12)", "code", "varchar(20)", "kind", "kind_domain", "name"];
    let name = |n: usize| format!("t{n}");
    for (n, category) in types.iter().enumerate() {
        table(&mut client, &name(n), "bigint", "text", category);
    }
    for trained in ["t0", "t1", "t4"] {
        Training::new(trained).source(trained).call(&mut client);
        for (n, category) in types.iter().enumerate() {
            let found = difference(&mut client, trained, trained, &name(n));
            assert_eq!(found, 0.0, "{trained} scores {category}");
        }
    }
    // The vocabulary and what is explained are without padding too.
    let padding = "SELECT count(*) FROM reco.versions WHERE recipe::text LIKE '%bakery %'";
    assert_eq!(value::<i64>(&mut client, padding), 0);
    let explained = "SELECT count(*) FROM reco.explain(1, 'r1', 't1') AS a, reco.explain(1, 'r1', 't0') AS b
                     WHERE a.column_name = 'category' AND b.column_name = 'category' AND a.value = b.value";
    assert_eq!(value::<i64>(&mut client, explained), 1);
}

#[test]
fn spaces_that_are_part_of_a_text_or_a_label_stay() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TYPE spaced AS ENUM ('a', 'a ');
             CREATE TABLE spaces AS SELECT product_id, region, week, CASE WHEN sales_1w > 5 THEN 'a ' ELSE 'a' END AS kind,
                                           sales_1w > 5 AS purchased FROM launch_features",
        )
        .unwrap();
    Training::new("spaces").source("spaces").call(&mut client);
    for kind in ["text", "spaced", "name"] {
        let apart = format!(
            "SELECT reco.predict('spaces', a) > 0.9 AND reco.predict('spaces', b) < 0.1
             FROM (SELECT 'a '::text::{kind} AS kind) AS a, (SELECT 'a'::text::{kind} AS kind) AS b"
        );
        assert!(value::<bool>(&mut client, &apart), "{kind}");
    }
}

#[test]
fn popularity_knows_a_number_in_every_type_and_a_text_without_its_padding() {
    let mut client = Database::with_data().connect();
    client.batch_execute("CREATE DOMAIN article AS numeric").unwrap();
    let numbers =
        ["bigint", "integer", "smallint", "numeric", "numeric(9, 2)", "article", "double precision", "real"];
    let texts = ["text", "char(8)", "varchar"];
    for (group, types) in [("numbers", &numbers[..]), ("texts", &texts[..])] {
        let names: Vec<String> = (0..types.len()).map(|n| format!("{group}{n}")).collect();
        for (name, product) in names.iter().zip(types) {
            table(&mut client, name, product, "text", "text");
            let popularity = "algorithm => 'popularity'";
            Training::new(name).source(name).params("{}").with(popularity).call(&mut client);
            let apart = format!("SELECT count(DISTINCT reco.predict('{name}', t)) FROM {name} AS t");
            assert!(value::<i64>(&mut client, &apart) > 10, "{product}");
        }
        for trained in &names {
            for scored in &names {
                let found = difference(&mut client, trained, &names[0], scored);
                assert_eq!(found, 0.0, "a model of {trained} scores {scored}");
            }
        }
    }
}

#[test]
fn a_key_is_ranked_and_logged_once_however_many_zeros_it_is_stored_with() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE scales AS SELECT round(product_id, 1 + extract(day FROM week)::integer % 3) AS product_id, region,
                                           week, sales_1w, purchased FROM launch_features;
             ALTER TABLE scales ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    for seed in [1, 2] {
        Training::new("scales").source("scales").param(&format!(r#""seed": {seed}"#)).call(&mut client);
    }
    let products = "SELECT count(*), count(DISTINCT product_id::numeric), bool_and(product_id NOT LIKE '%.%')
                    FROM reco.top_products('r1', 1000, 'scales', max_age => NULL)";
    assert_eq!(rows(&mut client, products), ["(60,60,t)"]);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('scales', 'scales',
                   '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]')"#,
        )
        .unwrap();
    let arms = "SELECT count(*) FROM generate_series(1, 60) AS p
                WHERE reco.ab_arm('scales', p, 'r1') <> reco.ab_arm('scales', p || '.00', 'r1')";
    assert_eq!(value::<i64>(&mut client, arms), 0);
    let log = "SELECT reco.log_recommendations('{7,7.0,+7.00,07}'::text[], '{r1,r1,r1,r1}', 'scales')";
    assert_eq!(value::<i64>(&mut client, log), 1);
    assert_eq!(rows(&mut client, "SELECT product_id FROM reco.recommendations"), ["(7)"]);
}

#[test]
fn numbers_of_nineteen_digits_and_large_reals_are_found_by_their_text() {
    let mut client = Database::with_data().connect();
    for (name, product) in
        [("longest", "(9223372036854775807 - product_id)"), ("reals", "(1e15 * product_id)::float8")]
    {
        client
            .batch_execute(&format!(
                "CREATE TABLE {name} AS SELECT {product} AS product_id, region, week, sales_1w, purchased FROM launch_features;
                 ALTER TABLE {name} ADD PRIMARY KEY (product_id, region, week)"
            ))
            .unwrap();
        for seed in [1, 2] {
            Training::new(name).source(name).param(&format!(r#""seed": {seed}"#)).call(&mut client);
        }
        client
            .batch_execute(&format!(
                r#"SELECT reco.start_ab_test('{name}', '{name}',
                       '[{{"arm": "a", "version": 1, "share": 0.5}}, {{"arm": "b", "version": 2, "share": 0.5}}]')"#
            ))
            .unwrap();
        let log = format!(
            "SELECT reco.log_recommendations(array_agg(product_id), array_agg('r1'::text), '{name}')
             FROM reco.top_products('r1', 1000, '{name}')"
        );
        assert_eq!(value::<i64>(&mut client, &log), 60, "{name}");
    }
    let too_long = "SELECT reco.log_recommendations('{9223372036854775808,99999999999999999999}'::text[], '{r1,r1}', 'longest')";
    assert_eq!(value::<i64>(&mut client, too_long), 0);
}

#[test]
fn encoders_and_vocabularies_know_no_padding() {
    let mut client = Database::with_data().connect();
    let same = "SELECT reco.hash_bucket('bakery'::char(12), 1000) = reco.hash_bucket('bakery', 1000)
                   AND reco.feature_cross('a'::char(3), 'b') = reco.feature_cross('a', 'b')
                   AND reco.vocabulary(c) = '{bakery}' AND reco.label_encode('bakery'::char(9), '{bakery}') = 1
                FROM (VALUES ('bakery'::char(12))) AS v (c)";
    assert!(value::<bool>(&mut client, same));
}
