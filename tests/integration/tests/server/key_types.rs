//! Keys of every type are compared in one way wherever a key is named: a text that is no value of the column's type is the key
//! of no row, and no error.

use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// Models of the same rows with other types of keys: `uuids` has uuid and enum, `numbers` bigint and text.
fn models(client: &mut Client) {
    client
        .batch_execute(
            "CREATE TYPE market AS ENUM ('r0', 'r1', 'r2', 'r3');
             CREATE TABLE uuids AS SELECT md5(product_id::text)::uuid AS product_id, region::market AS region, week, price,
                                          sales_1w, purchased FROM launch_features;
             ALTER TABLE uuids ADD PRIMARY KEY (product_id, region, week);
             CREATE TABLE numbers AS SELECT product_id::numeric AS product_id, region, week, price, sales_1w, purchased
                                     FROM launch_features;
             ALTER TABLE numbers ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    for model in ["uuids", "numbers"] {
        Training::new(model).source(model).call(client);
        Training::new(model).source(model).param(r#""seed": 3"#).call(client);
    }
}

const FIRST: &str = "md5('1')::uuid::text";

#[test]
fn recommend_and_similar_launches_find_uuids_and_enums() {
    let mut client = Database::with_data().connect();
    models(&mut client);
    let score =
        |product: &str, region: &str| format!("SELECT reco.recommend({product}, '{region}', 'uuids')");
    assert!(value::<Option<f64>>(&mut client, &score(FIRST, "r1")).is_some());
    assert_eq!(value::<Option<f64>>(&mut client, &score(FIRST, "r9")), None);
    assert_eq!(value::<Option<f64>>(&mut client, &score("'no uuid'", "r1")), None);
    let similar = |product: &str| format!("SELECT * FROM reco.similar_launches({product}, 'r1', 3, 'uuids')");
    assert_eq!(rows(&mut client, &similar(FIRST)).len(), 3);
    assert_eq!(rows(&mut client, &similar("'no uuid'")), [""; 0]);
}

#[test]
fn candidates_that_are_no_values_of_the_column_are_no_candidates() {
    let mut client = Database::with_data().connect();
    models(&mut client);
    let products = "SELECT product_id FROM reco.top_products('r1', 5, 'uuids', candidates => ARRAY[md5('1')::uuid::text, 'none'])";
    assert_eq!(rows(&mut client, products), ["(c4ca4238-a0b9-2382-0dcc-509a6f75849b)"]);
    let regions =
        format!("SELECT region FROM reco.top_regions({FIRST}, 5, 'uuids', candidates => '{{r1,r9}}')");
    assert_eq!(rows(&mut client, &regions), ["(r1)"]);
}

#[test]
fn logged_keys_of_any_type_meet_their_outcomes() {
    let mut client = Database::with_data().connect();
    models(&mut client);
    for (model, product) in [("uuids", FIRST), ("numbers", "'1'")] {
        client
            .batch_execute(&format!(
                r#"SELECT reco.start_ab_test('test of {model}', '{model}',
                       '[{{"arm": "a", "version": 1, "share": 0.5}}, {{"arm": "b", "version": 2, "share": 0.5}}]')"#
            ))
            .unwrap();
        let log = format!(
            "SELECT reco.log_recommendations(ARRAY[{product}, {product}], ARRAY['r1', 'r9'], '{model}',
                                             (SELECT max(week) FROM {model} WHERE purchased IS NOT NULL))"
        );
        assert_eq!(value::<i64>(&mut client, &log), 1, "{model}");
        let logged = format!("SELECT product_id FROM reco.recommendations WHERE model = '{model}'");
        let shown = value::<String>(&mut client, &format!("SELECT {product}"));
        assert_eq!(value::<String>(&mut client, &logged), shown);
        let report = format!(
            "SELECT sum(outcomes)::bigint FROM reco.ab_report('test of {model}') WHERE region IS NULL"
        );
        assert_eq!(value::<i64>(&mut client, &report), 1, "{model}");
    }
    let no_uuid = "SELECT reco.log_recommendations('{no uuid}'::text[], '{r1}', 'uuids')";
    assert_eq!(value::<i64>(&mut client, no_uuid), 0);
}

#[test]
fn a_source_whose_weeks_are_no_dates_any_more_is_refused() {
    let mut client = Database::with_data().connect();
    models(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('test', 'numbers',
                   '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]');
               ALTER TABLE numbers ALTER week TYPE timestamp"#,
        )
        .unwrap();
    let log = "SELECT reco.log_recommendations('{1}'::text[], '{r1}', 'numbers')";
    refusal(&mut client, log).expect("42804", &["week", "timestamp"], &[]);
}
