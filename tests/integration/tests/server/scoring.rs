use super::support::sum_of_scores;
use integration::{refusal, value, Database, Training};
use postgres::Client;

/// Asserts that a query brings one probability.
#[track_caller]
fn assert_probability(client: &mut Client, sql: &str) {
    let score: Option<f64> = value(client, sql);
    assert!(score.is_some_and(|score| (0.0..=1.0).contains(&score)), "{sql}: {score:?}");
}

#[test]
fn recommend_is_the_score_of_the_newest_row() {
    let mut client = Database::trained().connect();
    let sql = "SELECT bool_and(reco.recommend(product_id, region) = reco.predict('launch', f)), count(*) \
               FROM launch_features AS f WHERE week = '2024-06-17'";
    let row = client.query_one(sql, &[]).unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, i64>(1)), (true, 240));
}

#[test]
fn as_of_goes_back_in_time() {
    let mut client = Database::trained().connect();
    let sql =
        "SELECT bool_and(reco.recommend(product_id, region, as_of => week + 6) = reco.predict('launch', f)) \
               FROM launch_features AS f WHERE product_id = 3";
    assert!(value::<bool>(&mut client, sql));
    let too_early = "SELECT reco.recommend(3, 'r1', as_of => '2023-12-31')";
    assert_eq!(value::<Option<f64>>(&mut client, too_early), None);
}

#[test]
fn a_key_without_rows_has_no_score() {
    let mut client = Database::trained().connect();
    for key in ["999999, 'r1'", "1, 'nowhere'", "NULL, 'r1'", "1, NULL", "-9223372036854775808, ''"] {
        assert_eq!(
            value::<Option<f64>>(&mut client, &format!("SELECT reco.recommend({key}::text)")),
            None,
            "{key}"
        );
    }
}

#[test]
fn a_new_product_is_scored() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "INSERT INTO launch_features (product_id, region, week) VALUES (7001, 'r9', '2024-06-24');
             INSERT INTO launch_features (product_id, region, week, category, price, on_promotion)
                 VALUES (7002, 'r1', '2024-06-24', 'never seen', 3.99, true), (7003, 'r1', '2024-06-24', '', -1, NULL)",
        )
        .unwrap();
    for key in ["7001, 'r9'", "7002, 'r1'", "7003, 'r1'"] {
        assert_probability(&mut client, &format!("SELECT reco.recommend({key})"));
    }
    assert_probability(
        &mut client,
        "SELECT reco.predict('launch', f) FROM launch_features AS f WHERE product_id = 7001",
    );
    assert_probability(
        &mut client,
        "SELECT reco.predict('launch', NULL::launch_features) IS NULL::int::float8",
    );
}

#[test]
fn extreme_values_are_scored() {
    let mut client = Database::trained().connect();
    let changes = [
        "launched_on = 'infinity'",
        "launched_on = '-infinity', updated_at = 'infinity'",
        "updated_at = '-infinity'",
        "launched_on = '4713-01-01 BC', updated_at = '294276-01-01'",
        "price = 'NaN'",
        "sales_1w = 'NaN', sales_4w = 'infinity'",
        "sales_1w = '-infinity', sales_4w = 1e308",
        "clicks = 9223372036854775807, households = -2147483648",
        "history = '{NULL,NULL,NULL}'",
        "history = '{NaN,infinity,-infinity}'",
        "category = repeat('long', 100000)",
        "category = E'\\u00e9\\u4e2d\\U0001F600'",
        "weeks_since_launch = NULL, ranks = NULL, size = NULL",
    ];
    for change in changes {
        client.batch_execute("BEGIN").unwrap();
        let set = format!(
            "UPDATE launch_features SET {change} WHERE (product_id, region, week) = (1, 'r1', '2024-06-17')"
        );
        client.batch_execute(&set).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        assert_probability(&mut client, "SELECT reco.recommend(1, 'r1')");
        client.batch_execute("ROLLBACK").unwrap();
    }
}

#[test]
fn rows_of_any_shape_are_read_by_name() {
    let mut client = Database::trained().connect();
    let expected = sum_of_scores(&mut client, "launch");
    client
        .batch_execute(
            "CREATE VIEW reordered AS
                 SELECT purchased, ranks, history, updated_at, launched_on, size, category, 'ignored' AS other,
                        on_promotion, clicks, weeks_since_launch, households, sales_4w, sales_1w, price, week
                 FROM launch_features;
             CREATE VIEW other_types AS
                 SELECT price::float8, sales_1w::numeric, sales_4w, households::bigint, weeks_since_launch::int, clicks::numeric,
                        on_promotion, category::varchar, size::text, launched_on, updated_at::timestamp, history::float8[],
                        ranks::bigint[] FROM launch_features",
        )
        .unwrap();
    for relation in ["reordered", "other_types", "(SELECT * FROM launch_features OFFSET 0)"] {
        let sum: f64 =
            value(&mut client, &format!("SELECT sum(reco.predict('launch', f)) FROM {relation} AS f"));
        assert!((sum - expected).abs() < 1e-6 * expected, "{relation}: {sum} and {expected}");
    }
}

#[test]
fn two_kinds_of_rows_at_one_call_site_are_told_apart() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE parent (LIKE launch_features);
             CREATE TABLE child (extra int, LIKE launch_features);
             ALTER TABLE child INHERIT parent;
             INSERT INTO parent SELECT * FROM launch_features WHERE region IN ('r0', 'r1');
             INSERT INTO child SELECT 1, * FROM launch_features WHERE region IN ('r2', 'r3')",
        )
        .unwrap();
    let expected = sum_of_scores(&mut client, "launch");
    let sum: f64 = value(&mut client, "SELECT sum(reco.predict('launch', p)) FROM parent AS p");
    assert!((sum - expected).abs() < 1e-9 * expected, "{sum} and {expected}");

    // Rows of no declared type: the type comes with the value.
    client
        .batch_execute(
            "CREATE FUNCTION row_of(n int) RETURNS record LANGUAGE plpgsql STABLE AS $$
             DECLARE r record;
             BEGIN
                 IF n % 2 = 0 THEN SELECT * INTO r FROM parent WHERE (product_id, region, week) = (n, 'r0', '2024-06-17');
                 ELSE SELECT * INTO r FROM child WHERE (product_id, region, week) = (n, 'r2', '2024-06-17'); END IF;
                 RETURN r;
             END $$",
        )
        .unwrap();
    let same = "SELECT bool_and(reco.predict('launch', row_of(n)) \
                                = reco.recommend(n, CASE n % 2 WHEN 0 THEN 'r0' ELSE 'r2' END)) \
                FROM generate_series(1, 60) AS n";
    assert!(value::<bool>(&mut client, same));
}

#[test]
fn two_models_at_one_call_site_are_told_apart() {
    let mut client = Database::trained().connect();
    Training::new("numbers").source("numeric_features").call(&mut client);
    let both = sum_of_scores(&mut client, "launch") + sum_of_scores(&mut client, "numbers");
    let sum: f64 = value(
        &mut client,
        "SELECT sum(reco.predict(m, f)) FROM launch_features AS f, (VALUES ('launch'), ('numbers')) AS v (m)",
    );
    assert!((sum - both).abs() < 1e-9 * both, "{sum} and {both}");
}

#[test]
fn an_array_scores_the_same_as_its_row() {
    let mut client = Database::trained().connect();
    Training::new("numbers").source("numeric_features").call(&mut client);
    let sql = "SELECT max(abs(reco.predict('numbers', f) \
                            - reco.predict('numbers', ARRAY[price, sales_1w, households, clicks]::real[]))), count(*) \
               FROM numeric_features AS f";
    let row = client.query_one(sql, &[]).unwrap();
    assert!(row.get::<_, f64>(0) < 1e-6 && row.get::<_, i64>(1) == 6000, "{row:?}");
    for elements in ["NULL, 1, 2, 3", "NULL, NULL, NULL, NULL", "'NaN', 'infinity', '-infinity', 1e38"] {
        let sql = format!("SELECT reco.predict('numbers', ARRAY[{elements}]::real[])");
        assert_probability(&mut client, &sql);
    }
    let missing = "SELECT reco.predict('numbers', '{NaN,1,2,3}'::real[]) = reco.predict('numbers', '{NULL,1,2,3}'::real[])";
    assert!(value::<bool>(&mut client, missing));
    assert!(value::<bool>(&mut client, "SELECT reco.predict('numbers', NULL::real[]) IS NULL"));
    assert!(value::<bool>(&mut client, "SELECT reco.predict(NULL, '{1,1,2,3}'::real[]) IS NULL"));
}

#[test]
fn products_that_are_text_are_recommended() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE articles AS SELECT 'article ' || product_id AS product_id, region::varchar(2), week, price, \
                                             sales_1w, purchased FROM launch_features;
             ALTER TABLE articles ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    Training::new("articles").source("articles").call(&mut client);
    let sql =
        "SELECT bool_and(reco.recommend(product_id, region, 'articles') = reco.predict('articles', a)) \
               FROM articles AS a WHERE week = '2024-06-17'";
    assert!(value::<bool>(&mut client, sql));
}

#[test]
fn keys_of_other_types_are_found() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TYPE market AS ENUM ('r0', 'r1', 'r2', 'r3');
             CREATE DOMAIN article AS numeric(12, 0) CHECK (VALUE > 0);
             CREATE TABLE typed AS SELECT product_id::article, region::market, week, price, sales_1w, purchased
                                   FROM launch_features;
             ALTER TABLE typed ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    Training::new("typed").source("typed").call(&mut client);
    let sql = "SELECT bool_and(reco.recommend(product_id::bigint, region::text) = reco.predict('typed', t)) \
               FROM typed AS t WHERE week = '2024-06-17'";
    assert!(value::<bool>(&mut client, sql));
    // A region that no row has is no error, whatever the column's type.
    assert_eq!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(1, 'r9')"), None);
    assert_eq!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(-1, 'r1')"), None);
}

#[test]
fn recommend_answers_from_an_index() {
    let mut client = Database::trained().connect();
    let reads = "SELECT pg_stat_reset(); SELECT pg_stat_force_next_flush()";
    client.batch_execute(reads).unwrap();
    for product in 1..=20 {
        let score: Option<f64> = value(&mut client, &format!("SELECT reco.recommend({product}, 'r1')"));
        assert!(score.is_some());
    }
    client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    let scans =
        "SELECT idx_scan >= 20 AND seq_scan = 0 FROM pg_stat_user_tables WHERE relname = 'launch_features'";
    assert!(value::<bool>(&mut client, scans));
}

#[test]
fn the_default_model_is_the_setting_else_the_only_one() {
    let mut client = Database::trained().connect();
    let launch: f64 = value(&mut client, "SELECT reco.recommend(1, 'r1')");
    Training::new("other").source("numeric_features").call(&mut client);
    let other: f64 = value(&mut client, "SELECT reco.recommend(1, 'r1', 'other')");
    refusal(&mut client, "SELECT reco.recommend(1, 'r1')").expect(
        "42P08",
        &["2 models"],
        &["reco.default_model"],
    );
    client.batch_execute("SET reco.default_model = 'other'").unwrap();
    assert_eq!(value::<f64>(&mut client, "SELECT reco.recommend(1, 'r1')"), other);
    client.batch_execute("SET reco.default_model = 'launch'").unwrap();
    assert_eq!(value::<f64>(&mut client, "SELECT reco.recommend(1, 'r1')"), launch);
    assert_eq!(value::<f64>(&mut client, "SELECT reco.recommend(1, 'r1', 'other')"), other);
}

#[test]
fn columns_dropped_and_added_before_the_used_ones_do_not_matter() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE changing AS SELECT 1 AS first, f.*, 'x'::text AS last FROM launch_features AS f;
             ALTER TABLE changing ADD PRIMARY KEY (product_id, region, week);
             ALTER TABLE changing DROP COLUMN first",
        )
        .unwrap();
    Training::new("changing").source("changing").param(r#""exclude": ["last", "clicks"]"#).call(&mut client);
    let sums = |client: &mut Client| -> (f64, f64) {
        let recommended = "SELECT sum(reco.recommend(p, 'r1')) FROM generate_series(1::bigint, 60) AS p";
        (
            value(client, "SELECT sum(reco.predict('changing', c)) FROM changing AS c"),
            value(client, recommended),
        )
    };
    let expected = sums(&mut client);
    for change in [
        "DROP COLUMN clicks",
        "ADD COLUMN added numeric DEFAULT 3.5",
        "DROP COLUMN last",
        "ALTER COLUMN households TYPE bigint",
    ] {
        client.batch_execute(&format!("ALTER TABLE changing {change}")).unwrap();
        let found = sums(&mut client);
        assert!(
            (found.0 - expected.0).abs() < 1e-6 && (found.1 - expected.1).abs() < 1e-6,
            "{change}: {found:?}"
        );
    }
    client.batch_execute("ALTER TABLE changing RENAME COLUMN price TO cost").unwrap();
    let sql = "SELECT reco.predict('changing', c) FROM changing AS c";
    refusal(&mut client, sql).expect("42703", &["\"price\" is missing"], &["rename"]);
}

#[test]
fn scoring_needs_no_libtorch_in_the_backend() {
    let mut client = Database::trained().connect();
    assert_probability(&mut client, "SELECT reco.recommend(1, 'r1')");
    let backend = integration::query::backend_pid(&mut client);
    let maps = std::fs::read_to_string(format!("/proc/{backend}/maps")).unwrap();
    assert!(maps.contains("pg_recommend") && !maps.contains("libtorch"));
}

#[test]
fn a_small_cache_of_models_gives_the_same_scores() {
    let mut client = Database::trained().connect();
    Training::new("large").param(r#""hidden": [1024, 256], "epochs": 1"#).call(&mut client);
    let sql = "SELECT sum(reco.recommend(p, 'r1', m)) FROM generate_series(1::bigint, 20) AS p, \
               LATERAL (VALUES ('launch'), ('large')) AS v (m)";
    let expected: f64 = value(&mut client, sql);
    client.batch_execute("SET reco.model_cache_size = '1MB'").unwrap();
    assert_eq!(value::<f64>(&mut client, sql), expected);
}

#[test]
fn a_database_with_another_encoding_is_refused() {
    let database = Database::with_data();
    let name = format!("{}_latin1", database.name);
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    database.connect().batch_execute(&create).unwrap();
    let mut client = database.cluster.connect(&name);
    refusal(&mut client, "CREATE EXTENSION pg_recommend").expect(
        "0A000",
        &["encoding is UTF8", "not LATIN1"],
        &[],
    );
}

#[test]
fn a_long_loop_with_writes_does_not_grow_the_backend() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE written (n int);
             CREATE FUNCTION memory() RETURNS bigint LANGUAGE sql VOLATILE
             AS $$ SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts $$;
             CREATE FUNCTION growth(times int) RETURNS bigint LANGUAGE plpgsql AS $$
             DECLARE row launch_features; score float8; before bigint;
             BEGIN
                 SELECT * INTO row FROM launch_features LIMIT 1;
                 FOR i IN 1..times LOOP
                     INSERT INTO written VALUES (i);
                     score := reco.predict('launch', row);
                     score := reco.recommend(row.product_id, row.region);
                     score := reco.recommend(row.product_id, row.region, as_of => row.week);
                     IF i = 100 THEN before := memory(); END IF;
                 END LOOP;
                 RETURN memory() - before;
             END $$",
        )
        .unwrap();
    let grown: i64 = value(&mut client, "SELECT growth(10000)");
    assert!(grown < 4 << 20, "grew by {} kB in 9900 rounds", grown >> 10);
}
