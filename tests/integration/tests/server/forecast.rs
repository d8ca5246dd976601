//! `reco.forecast`: what is expected of a region's products, and what it adds up to.

use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// The models `launch` (bought or not) and `units` (a quantity), of the same rows.
fn forecast() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    units("units").call(&mut client);
    client.batch_execute("SET reco.default_model = 'launch'").unwrap();
    (database, client)
}

fn units(model: &str) -> Training {
    Training::new(model).label("households").param(r#""epochs": 2, "exclude": ["purchased"], "seed": 3"#)
}

#[test]
fn each_product_is_forecast_from_its_newest_row_by_both_models() {
    let (_database, mut client) = forecast();
    for (arguments, until) in [("'r1'", "2024-06-17"), ("'r1', as_of => '2024-03-06'", "2024-03-04")] {
        let products = format!(
            "SELECT product_id, week, products, purchases, units, units_p10, units_p90
             FROM reco.forecast({arguments}) WHERE level = 'product' ORDER BY product_id"
        );
        let expected = format!(
            "SELECT product_id::text, week, 1::bigint, reco.predict('launch', f), reco.predict('units', f),
                    (reco.predict_quantiles('units', f))[1], (reco.predict_quantiles('units', f))[3]
             FROM launch_features AS f WHERE region = 'r1' AND week = '{until}' ORDER BY product_id::text"
        );
        let found = rows(&mut client, &products);
        assert_eq!(found.len(), 60);
        assert_eq!(found, rows(&mut client, &expected));
    }
    let levels = "SELECT string_agg(DISTINCT level, ' ' ORDER BY level) FROM reco.forecast('r1')";
    assert_eq!(value::<String>(&mut client, levels), "product region");
    for none in ["NULL", "'nowhere'", "'r1', as_of => '1999-01-01'"] {
        assert!(rows(&mut client, &format!("SELECT * FROM reco.forecast({none})")).is_empty(), "{none}");
    }
}

#[test]
fn categories_and_the_region_are_the_sums_of_their_products() {
    let (_database, mut client) = forecast();
    client
        .batch_execute("CREATE TEMP TABLE f AS SELECT * FROM reco.forecast('r2', by => 'category')")
        .unwrap();
    // By hand: from the products alone, also the intervals.
    let sums = |category: &str| {
        format!(
            "SELECT count(*), sum(purchases), sum(units),
                    greatest(0, sum(units) - sqrt(sum((units - units_p10) ^ 2))),
                    sum(units) + sqrt(sum((units_p90 - units) ^ 2))
             FROM f WHERE level = 'product' AND {category}"
        )
    };
    let agree = |client: &mut Client, level: &str, category: &str| {
        let sql = format!(
            "SELECT products = s.count AND abs(purchases - s.a) < 1e-9 AND abs(units - s.b) < 1e-6
                    AND abs(units_p10 - s.low) < 1e-6 AND abs(units_p90 - s.high) < 1e-6
             FROM f, ({}) AS s (count, a, b, low, high) WHERE level = '{level}' AND {category}",
            sums(category)
        );
        assert!(value::<bool>(client, &sql), "{level} {category}");
    };
    agree(&mut client, "region", "true");
    // Products without a category are a category, too.
    let categories =
        "SELECT DISTINCT coalesce('category = ' || quote_literal(category), 'category IS NULL') \
                      FROM launch_features WHERE region = 'r2'";
    let categories: Vec<String> =
        client.query(categories, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(categories.len(), 5);
    for category in &categories {
        agree(&mut client, "category", category);
    }
    let counted = "SELECT array_agg(n ORDER BY n) FROM (SELECT count(*) AS n FROM f GROUP BY level) AS l";
    assert_eq!(value::<Vec<i64>>(&mut client, counted), [1, 5, 60]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM f WHERE units_p10 > units_p90"), 0);
    // The widths are neither those of quantiles added up nor nothing.
    let narrower = "SELECT r.units_p90 - r.units_p10 BETWEEN 0.01 AND 0.9 * p.width FROM f AS r,
                    (SELECT sum(units_p90 - units_p10) AS width FROM f WHERE level = 'product') AS p
                    WHERE r.level = 'region'";
    assert!(value::<bool>(&mut client, narrower));
    // The region, then categories, then products, each by falling purchases.
    let sql = "SELECT level, purchases FROM reco.forecast('r2', by => 'category')";
    let found = client.query(sql, &[]).unwrap();
    let mut levels: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    let purchases: Vec<f64> = found.iter().map(|row| row.get(1)).collect();
    assert!(purchases[1..6].is_sorted_by(|a, b| a >= b) && purchases[6..].is_sorted_by(|a, b| a >= b));
    levels.dedup();
    assert_eq!(levels, ["region", "category", "product"]);
}

#[test]
fn products_without_a_row_of_the_newest_week_are_left_out() {
    let (_database, mut client) = forecast();
    let before: f64 = purchases(&mut client);
    let gone: f64 = value(&mut client, "SELECT reco.recommend(7, 'r1')");
    client
        .batch_execute(
            "DELETE FROM launch_features WHERE product_id = 7 AND region = 'r1' AND week = '2024-06-17'",
        )
        .unwrap();
    let after = purchases(&mut client);
    assert!((before - gone - after).abs() < 1e-9, "{before} {gone} {after}");
    let products =
        "SELECT count(*), bool_or(product_id = '7') FROM reco.forecast('r1') WHERE level = 'product'";
    assert_eq!(rows(&mut client, products), ["(59,f)"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.forecast_products('r1')"), 60);
}

fn purchases(client: &mut Client) -> f64 {
    value(client, "SELECT purchases FROM reco.forecast('r1') WHERE level = 'region'")
}

#[test]
fn units_come_from_the_only_regression_of_the_same_rows_or_from_the_one_that_is_named() {
    let (database, mut client) = forecast();
    let units_of = |client: &mut Client, arguments: &str| -> Option<f64> {
        value(client, &format!("SELECT units FROM reco.forecast('r1'{arguments}) WHERE level = 'region'"))
    };
    let found = units_of(&mut client, "");
    assert!(found.is_some());
    assert_eq!(found, units_of(&mut client, ", units_model => 'units'"));
    // One of other rows does not disturb.
    client.batch_execute("CREATE TABLE copied AS SELECT * FROM launch_features").unwrap();
    units("of_a_copy").source("copied").call(&mut client);
    assert_eq!(found, units_of(&mut client, ""));
    refusal(&mut client, "SELECT * FROM reco.forecast('r1', units_model => 'of_a_copy')").expect(
        "22023",
        &["\"launch\" and \"of_a_copy\" are not of the same rows"],
        &["same relation"],
    );
    // A mean without quantiles.
    client
        .batch_execute("CALL reco.train('means', 'launch_features', 'households', algorithm => 'popularity')")
        .unwrap();
    let means =
        "SELECT units > 0, units_p10, units_p90 FROM reco.forecast('r1', units_model => 'means') LIMIT 1";
    assert_eq!(rows(&mut client, means), ["(t,,)"]);
    refusal(&mut client, "SELECT * FROM reco.forecast('r1')").expect(
        "22023",
        &["2 models of quantities", "\"launch\""],
        &["units_model: means, units"],
    );
    // Neither do those that one may not score with.
    client
        .batch_execute(
            "CREATE ROLE forecasts LOGIN; GRANT USAGE ON SCHEMA reco TO forecasts;
             GRANT SELECT ON launch_features TO forecasts; SELECT reco.grant_model('launch', 'forecasts', 'score')",
        )
        .unwrap();
    let mut other = database.connect_as("forecasts");
    assert_eq!(units_of(&mut other, ""), None);
    refusal(&mut other, "SELECT * FROM reco.forecast('r1', units_model => 'units')").expect(
        "42501",
        &["permission denied to score with", "\"units\""],
        &[],
    );
    client.batch_execute("SELECT reco.grant_model('units', 'forecasts', 'score')").unwrap();
    assert_eq!(units_of(&mut other, ", model => 'launch'"), found);
    // Versions that are no champions.
    units("units").param(r#""epochs": 2, "exclude": ["purchased"], "seed": 4"#).call(&mut client);
    let second = units_of(&mut client, ", units_model => 'units', units_version => 2");
    assert_ne!(second, found);
    assert_eq!(units_of(&mut client, ", version => 1, units_model => 'units', units_version => 1"), found);
}

#[test]
fn rows_that_the_caller_may_not_see_are_not_forecast() {
    let (database, mut client) = forecast();
    client
        .batch_execute(
            "CREATE ROLE forecast_some LOGIN; CREATE ROLE forecast_none LOGIN;
             GRANT USAGE ON SCHEMA reco TO forecast_some, forecast_none; GRANT SELECT ON launch_features TO forecast_some;
             SELECT reco.grant_model('launch', 'public', 'score'), reco.grant_model('units', 'public', 'score');
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY even ON launch_features TO forecast_some USING (product_id % 2 = 0 AND region <> 'r3')",
        )
        .unwrap();
    let mut some = database.connect_as("forecast_some");
    let forecast = "SELECT count(*) FILTER (WHERE product_id::int % 2 = 1), max(products)
                    FROM reco.forecast('r1', 'launch', by => 'category')";
    assert_eq!(rows(&mut some, forecast), ["(0,30)"]);
    assert_eq!(value::<i64>(&mut some, "SELECT count(*) FROM reco.forecast('r3', 'launch')"), 0);
    let mut none = database.connect_as("forecast_none");
    refusal(&mut none, "SELECT * FROM reco.forecast('r1', 'launch')").expect(
        "42501",
        &["launch_features"],
        &[],
    );
}

#[test]
fn little_memory_and_hostile_search_paths_change_nothing() {
    let (_database, mut client) = forecast();
    let sql = "SELECT * FROM reco.forecast('r1', by => 'category')";
    let expected = rows(&mut client, sql);
    client
        .batch_execute(
            "CREATE SCHEMA evil;
             CREATE FUNCTION evil.wrong(float8, float8) RETURNS float8 LANGUAGE sql AS 'SELECT -1::float8';
             CREATE OPERATOR evil.- (FUNCTION = evil.wrong, LEFTARG = float8, RIGHTARG = float8);
             CREATE OPERATOR evil.+ (FUNCTION = evil.wrong, LEFTARG = float8, RIGHTARG = float8);
             CREATE FUNCTION evil.never(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = int, RIGHTARG = int);
             CREATE FUNCTION evil.sqrt(float8) RETURNS float8 LANGUAGE sql AS 'SELECT -1::float8';
             SET search_path = evil, public, pg_catalog",
        )
        .unwrap();
    assert_eq!(rows(&mut client, sql), expected);
    client.batch_execute("RESET search_path; SET work_mem = '64kB'; SET hash_mem_multiplier = 1").unwrap();
    client
        .batch_execute(
            "INSERT INTO launch_features SELECT (jsonb_populate_record(f, jsonb_build_object('product_id', product_id + 1000 * n))).*
             FROM launch_features AS f, generate_series(1, 40) AS n WHERE region = 'r1' AND week >= '2024-06-10'",
        )
        .unwrap();
    let many = rows(&mut client, &sql.replace("SELECT *", "SELECT level, products, week"));
    client.batch_execute("SET work_mem = '64MB'").unwrap();
    assert_eq!(many, rows(&mut client, &sql.replace("SELECT *", "SELECT level, products, week")));
    assert_eq!(many[0], "(region,2460,2024-06-17)");
}

#[test]
fn what_cannot_be_forecast_is_refused() {
    let (_database, mut client) = forecast();
    let mut refused =
        |arguments: &str| refusal(&mut client, &format!("SELECT * FROM reco.forecast('r1', {arguments})"));
    refused("'units'").expect(
        "22023",
        &["\"units\" predicts a quantity, not a probability"],
        &["units_model"],
    );
    refused("units_model => 'launch'").expect(
        "22023",
        &["\"launch\" predicts a probability, not a quantity"],
        &["units_model"],
    );
    refused("by => 'colour'").expect(
        "42703",
        &["\"colour\" does not exist", "launch_features"],
        &["by names"],
    );
    refused("'none'").expect("42704", &["\"none\""], &["reco.models"]);
    refused("version => 9").expect("42704", &["no version 9"], &["reco.versions"]);
    refused("units_version => 1").expect("22023", &["units_model"], &[]);
}
