//! Models of a feature view: training needs its name alone, and recommending finds the newest row in its partitions.

use super::parallel::{explain, FORCED};
use super::support::wait_for_lock;
use super::views::refresh;
use integration::training::QUICK;
use integration::{refusal, rows, value, Background, Database};
use postgres::Client;

/// A view over the training table, by month; product 7 is no longer there after January.
fn create(client: &mut Client) {
    client
        .batch_execute(
            "DELETE FROM launch_features WHERE product_id = 7 AND week > '2024-01-31';
             SELECT reco.create_feature_view('features', 'SELECT * FROM launch_features WHERE week BETWEEN $1 AND $2',
                    '{product_id,region}', label => 'purchased', partition_by => 'month',
                    available => 'SELECT min(week), max(week) + 7 FROM launch_features');
             CALL reco.refresh_features('features')",
        )
        .unwrap();
}

fn train(client: &mut Client) {
    let sql = format!("CALL reco.train('model', 'features', params => '{QUICK}')");
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}"));
}

/// Keys where `recommend` differs from the score of the newest row that plain SQL finds, and keys that have none.
#[track_caller]
fn assert_same(client: &mut Client, when: &str) -> i64 {
    for as_of in ["", ", as_of => '2024-02-14'", ", as_of => '2023-01-01'"] {
        let until = as_of.split('\'').nth(1).unwrap_or("infinity");
        let sql = format!(
            "SELECT count(*) FROM generate_series(1, 62) AS p, generate_series(0, 5) AS r
             WHERE reco.recommend(p::bigint, 'r' || r, 'model'{as_of}) IS DISTINCT FROM
                   (SELECT reco.predict('model', f) FROM features AS f
                    WHERE product_id = p AND region = 'r' || r AND week <= '{until}' ORDER BY week DESC LIMIT 1)"
        );
        assert_eq!(value::<i64>(client, &sql), 0, "{when}{as_of}");
    }
    value(client, "SELECT count(reco.recommend(p::bigint, 'r' || r, 'model')) FROM generate_series(1, 62) AS p, generate_series(0, 5) AS r")
}

#[test]
fn training_from_a_view_needs_only_its_name() {
    let mut client = Database::with_data().connect();
    create(&mut client);
    train(&mut client);
    let found = "SELECT source, label, keys, time_column FROM reco.versions";
    assert_eq!(rows(&mut client, found), ["(public.features,purchased,\"{product_id,region}\",week)"]);
    let lineage = "SELECT count(*) FROM reco.version WHERE data::text LIKE '%BETWEEN $1 AND $2%'";
    assert_eq!(value::<i64>(&mut client, lineage), 1);
    let error = refusal(&mut client, "CALL reco.train('other', 'launch_features')");
    error.expect("22023", &["public.launch_features has no label of its own"], &["label => '…'"]);
    client
        .batch_execute("SELECT reco.create_feature_view('unlabelled', 'SELECT * FROM launch_features WHERE week BETWEEN $1 AND $2', '{product_id,region}')")
        .unwrap();
    let error = refusal(&mut client, "CALL reco.train('other', 'unlabelled')");
    error.expect("22023", &["public.unlabelled has no label of its own"], &[]);
    // Another label than the view's.
    let other = format!("CALL reco.train('other', 'features', 'on_promotion', params => '{QUICK}')");
    client.batch_execute(&other).unwrap();
    assert_eq!(rows(&mut client, "SELECT label FROM reco.version WHERE model = 'other'"), ["(on_promotion)"]);
}

#[test]
fn recommending_finds_the_newest_row_in_the_partitions() {
    let mut client = Database::with_data().connect();
    create(&mut client);
    train(&mut client);
    assert_eq!(assert_same(&mut client, "at first"), 240);
    let old = "SELECT reco.recommend(7, 'r1', 'model') = (SELECT reco.predict('model', f) FROM features AS f
               WHERE (product_id, region, week) = (7, 'r1', '2024-01-29'))";
    assert!(value::<bool>(&mut client, old), "a key of an old partition alone");
    for change in [
        "UPDATE features SET price = price + 5 WHERE week >= '2024-06-01'",
        "DELETE FROM features WHERE week >= '2024-05-01' AND product_id % 2 = 0",
        "CREATE TABLE features_2031 PARTITION OF features FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')",
        "INSERT INTO features (product_id, region, week) SELECT p, 'r5', '2031-01-06' FROM generate_series(1, 30) AS p",
        "ALTER TABLE features DETACH PARTITION features_2024_06",
        "DROP TABLE features_2024_01",
        "CREATE TABLE features_others PARTITION OF features DEFAULT",
        "DROP TABLE features_others",
        "ALTER TABLE features DROP CONSTRAINT features_pkey",
        "ALTER TABLE features ADD PRIMARY KEY (product_id, region, week)",
        "VACUUM FULL features",
        "TRUNCATE features",
    ] {
        client.batch_execute(change).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        assert_same(&mut client, change);
    }
}

#[test]
fn partitions_may_have_their_columns_in_another_order() {
    let mut client = Database::with_data().connect();
    create(&mut client);
    train(&mut client);
    client
        .batch_execute(
            "CREATE TABLE shuffled AS SELECT purchased, clicks, week, region, NULL::int AS gone, price, product_id, sales_1w, sales_4w,
                    households, weeks_since_launch, on_promotion, category, size, launched_on, updated_at, history, ranks
             FROM features_2024_06;
             ALTER TABLE shuffled DROP COLUMN gone, ALTER product_id SET NOT NULL, ALTER region SET NOT NULL, ALTER week SET NOT NULL;
             ALTER TABLE features DETACH PARTITION features_2024_06;
             DROP TABLE features_2024_06;
             ALTER TABLE features ATTACH PARTITION shuffled FOR VALUES FROM ('2024-06-01') TO ('2024-07-01')",
        )
        .unwrap();
    assert_eq!(assert_same(&mut client, "shuffled"), 240);
}

#[test]
fn a_partition_that_another_session_adds_is_recommended_from() {
    let database = Database::with_data();
    let mut client = database.connect();
    create(&mut client);
    train(&mut client);
    let statement = client.prepare("SELECT reco.recommend(1, 'r1', 'model')").unwrap();
    let score = |client: &mut Client| client.query_one(&statement, &[]).unwrap().get::<_, f64>(0);
    let before = score(&mut client);
    assert_same(&mut client, "before");
    let mut other = database.connect();
    other
        .batch_execute(
            "INSERT INTO launch_features SELECT product_id, region, week + 35, price * 3, 0, 0, households, weeks_since_launch, clicks
             FROM launch_features WHERE week = '2024-06-17'",
        )
        .unwrap();
    refresh(&mut other, "'features'");
    assert!(value::<bool>(&mut other, "SELECT to_regclass('features_2024_07') IS NOT NULL"));
    assert_ne!(score(&mut client), before);
    assert_same(&mut client, "after");
    // Uncommitted ones are not seen.
    let newest = score(&mut client);
    other
        .batch_execute(
            "BEGIN; INSERT INTO launch_features SELECT product_id, region, week + 35, 1, 50, 99 FROM launch_features WHERE week = '2024-07-22';
             CALL reco.refresh_features('features')",
        )
        .unwrap();
    assert_eq!(score(&mut client), newest);
    assert_same(&mut other, "in the transaction that adds it");
    other.batch_execute("ROLLBACK").unwrap();
    assert_same(&mut other, "after the rollback");
    assert_eq!(score(&mut client), newest);
}

#[test]
fn a_right_to_the_view_is_enough_and_row_security_holds() {
    let database = Database::with_data();
    let mut admin = database.connect();
    create(&mut admin);
    train(&mut admin);
    admin
        .batch_execute(
            "CREATE ROLE partition_reader LOGIN; GRANT USAGE ON SCHEMA reco TO partition_reader;
             GRANT SELECT ON features TO partition_reader;
             SELECT reco.grant_model('model', 'partition_reader', 'score')",
        )
        .unwrap();
    let mut reader = database.connect_as("partition_reader");
    assert_eq!(assert_same(&mut reader, "with SELECT on the view"), 240);
    refusal(&mut reader, "SELECT * FROM features_2024_06").expect("42501", &["permission denied"], &[]);
    let mine = format!("CALL reco.train('mine', 'features', params => '{QUICK}')");
    reader.batch_execute(&mine).unwrap();
    reader.batch_execute("SET reco.default_model = 'model'").unwrap();
    admin
        .batch_execute(
            "ALTER TABLE features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY some_weeks ON features TO partition_reader USING (region = 'r0' AND week < '2024-05-01')",
        )
        .unwrap();
    assert_eq!(assert_same(&mut reader, "with row security"), 60);
    assert_eq!(assert_same(&mut admin, "for its owner"), 240);
    admin.batch_execute("ALTER TABLE features DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON features FROM partition_reader").unwrap();
    let error = refusal(&mut reader, "SELECT reco.recommend(1, 'r1', 'model')");
    error.expect("42501", &["permission denied", "features"], &[]);
}

/// What a model of the view gives, by several ways of asking.
fn answers(client: &mut Client) -> Vec<String> {
    let ways =
        "SELECT reco.recommend(8, 'r1', 'model'), reco.recommend(8, 'r1', 'model', as_of => '2024-02-14'),
                       (SELECT array_agg(t ORDER BY t) FROM reco.top_products('r2', 3, 'model') AS t),
                       (SELECT array_agg(t ORDER BY t) FROM reco.top_regions(8, 3, 'model') AS t),
                       (SELECT array_agg(t ORDER BY t) FROM reco.similar_launches(8, 'r1', model => 'model') AS t)";
    rows(client, ways)
}

#[test]
fn a_model_follows_its_view_wherever_that_goes() {
    let database = Database::with_data();
    let (mut client, mut other) = (database.connect(), database.connect());
    create(&mut client);
    train(&mut client);
    let expected = answers(&mut client);
    for (change, name) in [
        ("ALTER TABLE features RENAME TO \"The View\"", "public.\"The View\""),
        ("CREATE SCHEMA here; ALTER TABLE \"The View\" SET SCHEMA here", "here.\"The View\""),
        ("ALTER SCHEMA here RENAME TO there", "there.\"The View\""),
        // Others have its names by now.
        (
            "CREATE TABLE features AS SELECT * FROM launch_features WHERE week < '2024-02-01'",
            "there.\"The View\"",
        ),
        ("CREATE SCHEMA here; CREATE VIEW here.\"The View\" AS SELECT * FROM features", "there.\"The View\""),
    ] {
        other.batch_execute(change).unwrap();
        assert_eq!(answers(&mut client), expected, "{change}");
        assert_eq!(answers(&mut database.connect()), expected, "{change}");
        let seen = "SELECT source, reco.model_card('model') ->> 'source' FROM reco.versions";
        let quoted = name.replace('"', "\"\"");
        assert_eq!(rows(&mut client, seen), [format!("(\"{quoted}\",\"{quoted}\")")], "{change}");
        client.batch_execute(&format!("SELECT * FROM reco.evaluate('model', '{name}')")).unwrap();
    }
    client.batch_execute("CALL reco.retrain('model')").unwrap();
    let sources = "SELECT DISTINCT source, source_view IS NOT NULL FROM reco.version JOIN reco.versions USING (model, version)";
    assert_eq!(rows(&mut client, sources), [r#"("there.""The View""",t)"#]);
    // Versions of one view are compared, whatever it was called when each was trained.
    client.batch_execute("SELECT * FROM reco.promote_if_better('model', 2, min_gain => 1)").unwrap();
    client
        .batch_execute("SELECT reco.import_model('imported', reco.export_model('model', 1), source => 'there.\"The View\"', label => 'purchased')")
        .unwrap();
    other.batch_execute("ALTER TABLE there.\"The View\" SET SCHEMA public").unwrap();
    let same = "SELECT reco.recommend(8, 'r1', 'model', as_of => '2024-02-14') = reco.recommend(8, 'r1', 'imported', as_of => '2024-02-14')";
    client.batch_execute("SELECT reco.promote('model', 1)").unwrap();
    assert!(value::<bool>(&mut client, same));
}

#[test]
fn what_takes_the_name_of_a_view_that_is_gone_is_not_scored_in_its_place() {
    let mut client = Database::with_data().connect();
    create(&mut client);
    train(&mut client);
    let expected = answers(&mut client);
    let score = "SELECT reco.recommend(8, 'r1', 'model')";
    client.batch_execute("SELECT reco.drop_feature_view('features')").unwrap();
    refusal(&mut client, score).expect("42P01", &["public.features", "does not exist"], &["Train"]);
    client.batch_execute("CREATE TABLE features AS TABLE launch_features").unwrap();
    for statement in
        [score, "CALL reco.retrain('model')", "SELECT * FROM reco.top_products('r2', 3, 'model')"]
    {
        let refused = refusal(&mut client, statement);
        refused.expect("42P01", &["public.features is no longer the feature view"], &["train it again"]);
    }
    // The view that is created anew is.
    client.batch_execute("DROP TABLE features").unwrap();
    create(&mut client);
    assert_eq!(answers(&mut client), expected);
    // A role's name is not what the view is known by.
    client
        .batch_execute(
            "UPDATE reco.feature_view SET created_by = 'nobody'; ALTER TABLE features OWNER TO pg_monitor",
        )
        .unwrap();
    assert_eq!(answers(&mut client), expected);
}

#[test]
fn a_model_of_a_view_is_scored_in_parallel_workers_of_a_transaction_that_has_written() {
    let mut client = Database::with_data().connect();
    create(&mut client);
    train(&mut client);
    client
        .batch_execute("CREATE TABLE keys AS SELECT product_id, region FROM launch_features; ANALYZE keys; CREATE TABLE spine AS SELECT product_id, region, week + 9 AS day FROM launch_features; ANALYZE spine")
        .unwrap();
    for sql in [
        "SELECT sum(reco.recommend(product_id, region, 'model')) FROM keys",
        "SELECT sum(f.price)::float8 FROM spine AS s, LATERAL reco.features_as_of(NULL::features, s) AS f",
    ] {
        client.batch_execute("SET max_parallel_workers_per_gather = 0").unwrap();
        let serial: f64 = value(&mut client, sql);
        client.batch_execute(&format!("{FORCED}; BEGIN; INSERT INTO keys VALUES (-1, 'none')")).unwrap();
        let plan = explain(&mut client, sql);
        assert!(plan.contains("Workers Launched: 2"), "{plan}");
        let parallel: f64 = value(&mut client, sql);
        assert!((serial - parallel).abs() < 1e-6 * serial.abs(), "{serial} and {parallel}");
        client.batch_execute("ROLLBACK").unwrap();
    }
}

#[test]
fn a_view_that_is_renamed_while_a_score_waits_for_it_is_to_be_asked_again() {
    let database = Database::with_data();
    let (mut client, mut other) = (database.connect(), database.connect());
    create(&mut client);
    train(&mut client);
    other.batch_execute("BEGIN; ALTER TABLE features RENAME TO renamed").unwrap();
    let score = Background::start(client, "SELECT reco.recommend(8, 'r1', 'model')");
    wait_for_lock(&mut other, score.backend);
    other.batch_execute("COMMIT").unwrap();
    score.finish().refusal().expect("40001", &[], &[]);
    let again = "SELECT reco.recommend(8, 'r1', 'model') IS NOT NULL";
    assert!(value::<bool>(&mut other, again));
}

/// What the model reads, by name.
fn inputs(client: &mut Client, model: &str) -> String {
    let sql = format!("SELECT string_agg(column_name, ',' ORDER BY column_name COLLATE \"C\") FROM reco.explain(1, 'r1', '{model}')");
    value(client, &sql)
}

#[test]
fn the_region_of_a_view_is_an_input_and_its_season_only_after_two_years() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "SELECT reco.create_feature_view('features', $$SELECT product_id, region, week, price,
                    sin(date_part('doy', week) / 58)::real AS season_sin, cos(date_part('doy', week) / 58)::real AS season_cos, purchased
                    FROM launch_features WHERE week BETWEEN $1 AND $2$$,
                    '{product_id,region}', label => 'purchased', partition_by => 'month',
                    available => 'SELECT min(week), max(week) + 7 FROM launch_features');
             CALL reco.refresh_features('features')",
        )
        .unwrap();
    let train = |client: &mut Client, model: &str, chosen: &str| {
        let sql = format!(
            r#"CALL reco.train('{model}', 'features', params => '{{"epochs": 1, "threads": 1, "refit": false{chosen}}}')"#
        );
        client.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}"));
        inputs(client, model)
    };
    assert_eq!(train(&mut client, "default", ""), "price,region");
    let as_chosen = r#", "include": ["season_sin"], "exclude": ["region"]"#;
    assert_eq!(train(&mut client, "chosen", as_chosen), "price,season_sin");
    // The rows of a table are as they were: what is a key is no input.
    client.batch_execute(r#"CALL reco.train('table', 'launch_features', 'purchased', params => '{"epochs": 1, "refit": false}')"#).unwrap();
    assert!(!inputs(&mut client, "table").contains("region"));
    client
        .batch_execute(
            "CREATE TEMP TABLE earlier AS SELECT * FROM launch_features; UPDATE earlier SET week = week - 728;
             INSERT INTO launch_features SELECT * FROM earlier; CALL reco.refresh_features('features')",
        )
        .unwrap();
    assert_eq!(train(&mut client, "later", ""), "price,region,season_cos,season_sin");
}
