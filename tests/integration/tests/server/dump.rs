use super::support::sum_of_scores;
use integration::installation::output;
use integration::{rows, Database, Training, Tuning};

const VIEWS: [&str; 14] = [
    "models",
    "versions",
    "aliases",
    "runs",
    "run_metrics",
    "training_progress",
    "tunes",
    "trials",
    "model_privileges",
    "audit",
    "promotions",
    "ab_tests",
    "ab_arms",
    "recommendations",
];

#[test]
fn a_restored_dump_has_the_same_catalog_and_the_same_scores() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""seed": 2"#).with("promote => true").call(&mut client);
    Training::new("other").source("numeric_features").call(&mut client);
    Tuning::new("other").source("numeric_features").trials(3).call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.grant_model('launch', 'pg_monitor', 'score'); SELECT reco.rollback('launch');
               SELECT reco.archive_version('launch', 2);
               SELECT reco.start_ab_test('dumped', 'other', '[{"arm": "a", "version": 1, "share": 0.4},
                                                              {"arm": "b", "version": 2, "share": 0.6}]');
               SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'other')"#,
        )
        .unwrap();
    let file = database.cluster.folder().join(format!("{}.dump", database.name));
    let run = |name: &str, arguments: &[&str]| {
        let mut command = database.cluster.client_program(name);
        output(command.args(arguments).arg("-f").arg(&file));
    };
    run("pg_dump", &["-Fc", &database.name]);
    let restored = format!("{}_restored", database.name);
    client.batch_execute(&format!("CREATE DATABASE {restored}")).unwrap();
    let mut restore = database.cluster.client_program("pg_restore");
    output(restore.args(["--exit-on-error", "-d", &restored]).arg(&file));

    let mut copy = database.cluster.connect(&restored);
    for view in VIEWS {
        let sql = format!("SELECT * FROM reco.{view} ORDER BY 1, 2, 3");
        assert_eq!(rows(&mut client, &sql), rows(&mut copy, &sql), "{view}");
    }
    for model in ["launch", "other"] {
        assert_eq!(sum_of_scores(&mut client, model), sum_of_scores(&mut copy, model));
    }
    let sql = "SELECT p, r, reco.recommend(p, 'r' || r, 'launch') \
               FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r";
    assert_eq!(rows(&mut client, sql), rows(&mut copy, sql));

    // The copy goes on by itself.
    Training::new("launch").call(&mut copy);
    assert_eq!(super::support::versions(&mut copy, "launch"), [1, 2, 3]);
}

#[test]
fn dropping_the_extension_takes_everything_with_it() {
    let mut client = Database::trained().connect();
    client.batch_execute("DROP EXTENSION pg_recommend").unwrap();
    let left = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('reco') \
                UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('reco')";
    assert!(rows(&mut client, left).is_empty());
    client.batch_execute("DROP SCHEMA IF EXISTS reco; CREATE EXTENSION pg_recommend").unwrap();
    Training::new("launch").call(&mut client);
}
