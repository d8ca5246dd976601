//! Which relation is meant: by schema and name, whatever settings and search paths say, and feature views wherever they are.

use super::views::{built_anew, contents, create, creation, refresh};
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// A model `launch` and a feature view `demand` that has some of its weeks.
fn with_both() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    create(&mut client, "");
    refresh(&mut client, "'demand', to_week => '2024-02-19'");
    (database, client)
}

#[test]
fn nothing_depends_on_which_names_a_session_quotes() {
    let (database, mut client) = with_both();
    let score = "SELECT reco.recommend(1, 'r1', 'launch')";
    let expected: f64 = value(&mut client, score);
    let mut quoting = database.connect();
    quoting.batch_execute("SET quote_all_identifiers = on").unwrap();
    assert_eq!(value::<f64>(&mut quoting, score), expected);
    refresh(&mut quoting, "'demand'");
    assert_eq!(rows(&mut client, "SELECT view, weeks FROM reco.feature_views"), ["(public.demand,10)"]);
    quoting
        .batch_execute(
            "SELECT reco.create_feature_view('above', 'SELECT * FROM demand WHERE week BETWEEN $1 AND $2',
                                             '{product_id,region}', inputs => '{demand}');
             CALL reco.refresh_features('above'); CALL reco.retrain('launch')",
        )
        .unwrap();
    Training::new("quoted").call(&mut quoting);
    let sources = "SELECT DISTINCT source FROM reco.versions UNION SELECT source FROM reco.runs";
    assert_eq!(rows(&mut client, sources), ["(public.launch_features)"]);
    // What one of them has made is the other's as well.
    refresh(&mut client, "'above'");
    client.batch_execute("SELECT reco.recommend(1, 'r1', 'quoted'); CALL reco.retrain('quoted')").unwrap();
    assert_eq!(contents(&mut client, "above"), built_anew(&mut client));
    quoting.batch_execute("SELECT reco.drop_feature_view('above', with_inputs => true)").unwrap();
    assert!(rows(&mut client, "SELECT view FROM reco.feature_views").is_empty());
}

#[test]
fn a_feature_view_that_is_renamed_or_moved_is_followed() {
    let (_database, mut client) = with_both();
    client
        .batch_execute(
            "SELECT reco.create_feature_view('above', 'SELECT * FROM elsewhere.\"de Mand\" WHERE week BETWEEN $1 AND $2',
                                             '{product_id,region}', inputs => '{demand}')",
        )
        .unwrap_err();
    client
        .batch_execute(
            "CREATE SCHEMA elsewhere; ALTER TABLE demand SET SCHEMA elsewhere; ALTER TABLE elsewhere.demand RENAME TO \"de Mand\";
             SELECT reco.create_feature_view('above', 'SELECT * FROM elsewhere.\"de Mand\" WHERE week BETWEEN $1 AND $2',
                                             '{product_id,region}', inputs => ARRAY['elsewhere.\"de Mand\"'::regclass])",
        )
        .unwrap();
    refresh(&mut client, "'above'");
    let seen = "SELECT view, weeks, inputs FROM reco.feature_views ORDER BY view";
    assert_eq!(
        rows(&mut client, seen),
        [r#"("elsewhere.""de Mand""",10,{})"#, r#"(public.above,10,"{""elsewhere.\\""de Mand\\""""}")"#]
    );
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "above"), anew);
    client.batch_execute("SELECT reco.drop_feature_view('above', with_inputs => true)").unwrap();
    assert_eq!(
        value::<Option<String>>(&mut client, "SELECT to_regclass('elsewhere.\"de Mand\"')::text"),
        None
    );
}

#[test]
fn a_table_that_has_taken_a_feature_views_name_is_none() {
    let (_database, mut client) = with_both();
    client
        .batch_execute("ALTER TABLE demand RENAME TO before; CREATE TABLE demand AS SELECT * FROM before")
        .unwrap();
    for call in ["SELECT reco.drop_feature_view('demand')", "CALL reco.refresh_features('demand')"] {
        refusal(&mut client, call).expect(
            "22023",
            &["public.demand is not a feature view"],
            &["reco.feature_views"],
        );
    }
    // Nor is one that was made like it.
    client
        .batch_execute("CREATE TABLE copied (LIKE before INCLUDING ALL) PARTITION BY RANGE (week)")
        .unwrap();
    refusal(&mut client, "SELECT reco.drop_feature_view('copied')").expect(
        "22023",
        &["not a feature view"],
        &[],
    );
    client.batch_execute("SELECT reco.drop_feature_view('before')").unwrap();
    assert!(value::<i64>(&mut client, "SELECT count(*) FROM demand") > 0);
    assert!(rows(
        &mut client,
        "SELECT view_id FROM reco.feature_view UNION ALL SELECT view_id FROM reco.feature_week"
    )
    .is_empty());
}

#[test]
fn a_dropped_tables_view_goes_when_another_takes_its_name() {
    let (_database, mut client) = with_both();
    client.batch_execute("DROP TABLE demand").unwrap();
    assert_eq!(rows(&mut client, "SELECT view FROM reco.feature_views"), ["(public.demand)"]);
    client.batch_execute(&creation("demand", "")).unwrap();
    assert_eq!(rows(&mut client, "SELECT view, weeks FROM reco.feature_views"), ["(public.demand,0)"]);
}

#[test]
fn nothing_stays_behind_where_triggers_do_not_fire() {
    let (_database, mut client) = with_both();
    Training::new("launch").param(r#""epochs": 1, "seed": 2"#).call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.grant_model('launch', 'public', 'score');
               SELECT reco.start_ab_test('replica', 'launch', '[{"arm": "a", "version": 1, "share": 0.4},
                                                                {"arm": "b", "version": 2, "share": 0.6}]');
               SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'launch');
               SET session_replication_role = replica;
               SELECT reco.drop_model('launch', force => true); SELECT reco.drop_feature_view('demand')"#,
        )
        .unwrap();
    for table in [
        "model",
        "version",
        "alias",
        "artifact",
        "artifact_chunk",
        "promotion",
        "model_privilege",
        "ab_test",
        "ab_arm",
        "recommendation",
        "feature_view",
        "feature_week",
    ] {
        assert_eq!(value::<i64>(&mut client, &format!("SELECT count(*) FROM reco.{table}")), 0, "{table}");
    }
}

#[test]
fn a_temporary_table_of_the_sources_name_is_not_read() {
    let (_database, mut client) = with_both();
    let score = "SELECT reco.recommend(1, 'r1', 'launch')";
    let expected: f64 = value(&mut client, score);
    client
        .batch_execute(
            "CREATE TEMPORARY TABLE launch_features AS SELECT * FROM public.launch_features WHERE false",
        )
        .unwrap();
    assert_eq!(value::<f64>(&mut client, score), expected);
    client.batch_execute("ALTER TABLE public.launch_features RENAME TO gone").unwrap();
    refusal(&mut client, score).expect("42P01", &["public.launch_features", "does not exist"], &["Train"]);
    // By its name it is found again, whatever it was made of.
    client.batch_execute("CREATE VIEW public.launch_features AS SELECT * FROM gone").unwrap();
    assert_eq!(value::<f64>(&mut client, score), expected);
}

#[test]
fn a_key_may_have_a_collation_off_the_search_path() {
    let (_database, mut client) = with_both();
    client
        .batch_execute(
            "CREATE SCHEMA words; CREATE COLLATION words.\"German\" (LOCALE = 'C');
             SELECT reco.drop_feature_view('demand'); ALTER TABLE sold ALTER region TYPE text COLLATE words.\"German\"",
        )
        .unwrap();
    client.batch_execute(&creation("demand", "")).unwrap();
    refresh(&mut client, "'demand'");
    let collation = "SELECT DISTINCT a.attcollation::regcollation::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                     WHERE a.attname = 'region' AND c.relname ~ '^demand(_2024)?$'";
    assert_eq!(rows(&mut client, collation), [r#"("words.""German""")"#]);
    assert_eq!(contents(&mut client, "demand"), built_anew(&mut client));
}
