//! Champions that are kept up to date: which of two versions is better, and retraining.

use super::support::{champion, locks_held, status, versions, wait_for_status};
use super::views;
use integration::{refusal, rows, value, Background, Database, Training};
use postgres::Client;

/// A weak champion, and a version that has learnt something.
fn weak_and_better() -> (Database, Client) {
    let database = Database::with_data();
    let mut client = database.connect();
    Training::new("launch").with("algorithm => 'popularity'").params("{}").call(&mut client);
    Training::new("launch").call(&mut client);
    (database, client)
}

/// Values of what `promote_if_better` returns.
fn judged(client: &mut Client, call: &str) -> (bool, f64, f64, f64, i64) {
    let sql = format!("SELECT promoted, champion, candidate, gain, rows FROM reco.promote_if_better({call})");
    let row = client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
}

#[test]
fn the_better_of_two_versions_is_promoted_and_the_history_says_why() {
    let (_database, mut client) = weak_and_better();
    let test_from: String = value(&mut client, "SELECT max(data ->> 'test_from') FROM reco.versions");
    let measured = |client: &mut Client, metric: &str, version: i32| -> f64 {
        value(
            client,
            &format!(
                "SELECT {metric} FROM reco.evaluate('launch', 'launch_features', version => {version}, from_week => '{test_from}')"
            ),
        )
    };
    let expected = [1, 2].map(|version| measured(&mut client, "average_precision", version));
    let (promoted, before, after, gain, rows_judged) = judged(&mut client, "'launch', 2");
    assert_eq!((promoted, before, after, gain), (true, expected[0], expected[1], after - before));
    let labelled = format!("SELECT count(purchased) FROM launch_features WHERE week >= '{test_from}'");
    assert_eq!(rows_judged, value::<i64>(&mut client, &labelled));
    assert_eq!(champion(&mut client, "launch"), Some(2));
    let why: String = value(&mut client, "SELECT why FROM reco.promotions ORDER BY step DESC LIMIT 1");
    assert!(why.starts_with("better: average precision 0.") && why.contains("of version 1"), "{why}");
    let audited = "SELECT count(*) FROM reco.audit WHERE action = 'promoted' AND version = 2 AND detail ->> 'why' LIKE 'better:%'";
    assert_eq!(value::<i64>(&mut client, audited), 1);
    // The one before is worse, by a metric of which less is better as well.
    let (promoted, before, after, gain, _) = judged(&mut client, "'launch', 1, 'log_loss'");
    let losses = [2, 1].map(|version| measured(&mut client, "log_loss", version));
    assert_eq!((promoted, before, after, gain), (false, losses[0], losses[1], before - after));
    assert!(gain < 0.0);
    // The champion is no better than itself.
    assert!(!judged(&mut client, "'launch', 2").0);
    assert_eq!(champion(&mut client, "launch"), Some(2));
}

#[test]
fn a_version_is_promoted_only_if_it_gains_enough() {
    let (_database, mut client) = weak_and_better();
    let (promoted, _, _, gain, _) = judged(&mut client, "'launch', 2, 'auroc', 0.9");
    assert!(!promoted && gain > 0.0 && gain < 0.9, "{gain}");
    assert_eq!(champion(&mut client, "launch"), Some(1));
    assert!(judged(&mut client, &format!("'launch', 2, 'auroc', {gain}")).0);
}

#[test]
fn rows_that_one_of_them_was_trained_on_do_not_count() {
    let (_database, mut client) = weak_and_better();
    Training::new("launch").param(r#""test_share": 0.05"#).call(&mut client);
    let begins = "SELECT count(DISTINCT data ->> 'test_from') FROM reco.versions";
    assert_eq!(value::<i64>(&mut client, begins), 2);
    let later = "SELECT count(purchased) FROM launch_features
                 WHERE week >= (SELECT max((data ->> 'test_from')::date) FROM reco.versions)";
    let expected: i64 = value(&mut client, later);
    assert_eq!(judged(&mut client, "'launch', 3").4, expected);
    // Trained on all there is: nothing is left to judge by.
    Training::new("launch").param(r#""test_share": 0"#).call(&mut client);
    refusal(&mut client, "SELECT * FROM reco.promote_if_better('launch', 4)").expect(
        "22000",
        &["no row of public.launch_features from 2024-06-11 on"],
        &["test_share"],
    );
    // A week later there is.
    client.batch_execute("UPDATE launch_features SET purchased = true WHERE week = '2024-06-17' AND product_id < 30;
                          UPDATE launch_features SET purchased = false WHERE week = '2024-06-17' AND product_id >= 30").unwrap();
    assert_eq!(judged(&mut client, "'launch', 4").4, 240);
}

#[test]
fn versions_that_cannot_be_compared_are_refused() {
    let (_database, mut client) = weak_and_better();
    let judge = |client: &mut Client, call: &str| {
        refusal(client, &format!("SELECT * FROM reco.promote_if_better({call})"))
    };
    client
        .batch_execute("CREATE TABLE others AS SELECT *, NOT purchased AS kept FROM launch_features")
        .unwrap();
    Training::new("launch").source("others").call(&mut client);
    judge(&mut client, "'launch', 3").expect("22023", &["different sources"], &["reco.evaluate"]);
    client
        .batch_execute(
            "ALTER TABLE launch_features ADD kept boolean; UPDATE launch_features SET kept = NOT purchased",
        )
        .unwrap();
    Training::new("launch").label("kept").param(r#""exclude": ["purchased"]"#).call(&mut client);
    judge(&mut client, "'launch', 4").expect("22023", &["different labels"], &["reco.evaluate"]);
    client
        .batch_execute("SELECT reco.import_model('launch', reco.export_model('launch', 2), source => 'launch_features', label => 'purchased')")
        .unwrap();
    judge(&mut client, "'launch', 5").expect("22023", &["not known up to when version 5"], &["imported"]);
    judge(&mut client, "'launch', 9").expect("42704", &["no version 9"], &[]);
    judge(&mut client, "'launch', 2, 'rmse'").expect("22000", &["RMSE", "not defined"], &["another task"]);
    judge(&mut client, "'launch', 2, 'luck'").expect("22023", &["unknown metric \"luck\""], &["auroc"]);
    judge(&mut client, "'launch', 2, min_gain => -1").expect("22023", &["min_gain"], &[]);
    judge(&mut client, "'nothing', 1").expect("42704", &["\"nothing\""], &[]);
}

#[test]
fn retraining_refreshes_trains_alike_and_promotes_the_better() {
    let database = Database::with_data();
    let mut client = database.connect();
    views::create_of_launches(&mut client);
    // A champion that knows one column only.
    Training::new("launch")
        .source("weekly")
        .param(r#""exclude": ["price", "sales_1w", "category"], "seed": 3, "epochs": 2"#)
        .call(&mut client);
    client.batch_execute("CALL reco.retrain('launch')").unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2]);
    let same =
        "SELECT count(DISTINCT (source, label, keys, time_column, algorithm, parameters)) FROM reco.versions";
    assert_eq!(value::<i64>(&mut client, same), 1);
    // It has seen the weeks that the refresh added.
    let rows_seen = "SELECT data ->> 'time_to' FROM reco.versions ORDER BY version";
    assert_eq!(rows(&mut client, rows_seen), ["(2024-05-06)", "(2024-06-10)"]);
    let audited = "SELECT version, detail ->> 'status', detail ->> 'promoted' FROM reco.audit WHERE action = 'retrained'";
    let now = champion(&mut client, "launch");
    let promoted = now == Some(2);
    assert_eq!(rows(&mut client, audited), [format!("(2,succeeded,{promoted})")]);
    // In one transaction it is all or nothing, and sees its own version.
    client.batch_execute("BEGIN; CALL reco.retrain('launch', min_gain => 0.9); ROLLBACK").unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2]);
    client
        .batch_execute("BEGIN; CALL reco.retrain('launch', min_gain => 0.9, refresh => false); COMMIT")
        .unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2, 3]);
    assert_eq!(champion(&mut client, "launch"), now);
}

#[test]
fn a_second_retraining_is_refused_and_the_first_can_be_cancelled() {
    let database = Database::trained();
    let (client, mut observer) = (database.connect(), database.connect());
    observer
        .batch_execute(
            r#"UPDATE reco.version SET parameters = parameters || '{"epochs": 100000, "patience": 0}'"#,
        )
        .unwrap();
    let first = Background::start(client, "CALL reco.retrain('launch')");
    wait_for_status(&mut observer, "launch", "running");
    refusal(&mut observer, "CALL reco.retrain('launch')").expect(
        "55006",
        &["being retrained by another session"],
        &["reco.runs"],
    );
    first.cancel();
    let mut ended = first.finish();
    assert_eq!(ended.refusal().code, "57014");
    assert_eq!(status(&mut observer, "launch"), "cancelled");
    let audited = "SELECT detail ->> 'status' FROM reco.audit WHERE action = 'retrained'";
    assert_eq!(rows(&mut observer, audited), ["(cancelled)"]);
    let backend: i32 = value(&mut ended.client, "SELECT pg_backend_pid()");
    assert_eq!(locks_held(&mut observer, backend), 0);
    assert_eq!(versions(&mut observer, "launch"), [1]);
}

#[test]
fn a_retraining_that_fails_says_so_and_can_be_tried_again() {
    let database = Database::trained();
    let mut client = database.connect();
    client.batch_execute("ALTER TABLE launch_features RENAME TO gone").unwrap();
    refusal(&mut client, "CALL reco.retrain('launch')").expect("42P01", &["does not exist"], &[]);
    client
        .batch_execute(
            "ALTER TABLE gone RENAME TO launch_features; UPDATE launch_features SET purchased = NULL",
        )
        .unwrap();
    refusal(&mut client, "CALL reco.retrain('launch')");
    let audited = "SELECT detail ->> 'status', detail ->> 'error' IS NOT NULL FROM reco.audit WHERE action = 'retrained'";
    assert_eq!(rows(&mut client, audited), ["(failed,t)", "(failed,t)"]);
    assert_eq!(status(&mut client, "launch"), "failed");
    let backend = value(&mut client, "SELECT pg_backend_pid()");
    assert_eq!(locks_held(&mut client, backend), 0);
    client
        .batch_execute("SELECT reco.import_model('copy', reco.export_model('launch'), source => 'launch_features', label => 'purchased')")
        .unwrap();
    refusal(&mut client, "CALL reco.retrain('copy')").expect("22023", &["was imported"], &["reco.train"]);
}

#[test]
fn who_may_train_but_not_manage_retrains_without_promoting() {
    let (database, mut client) = weak_and_better();
    client
        .batch_execute(
            "CREATE ROLE retrainer LOGIN; GRANT USAGE ON SCHEMA reco TO retrainer; GRANT SELECT ON launch_features TO retrainer;
             SELECT reco.grant_model('launch', 'retrainer', 'train'), reco.promote('launch', 2), reco.promote('launch', 1);
             UPDATE reco.version SET parameters = (SELECT parameters FROM reco.version WHERE version = 2);
             UPDATE reco.run SET algorithm = 'mlp'",
        )
        .unwrap();
    database.connect_as("retrainer").batch_execute("CALL reco.retrain('launch')").unwrap();
    let audited = "SELECT role, version, detail ->> 'promoted', (detail ->> 'candidate')::float > (detail ->> 'champion')::float
                   FROM reco.audit WHERE action = 'retrained'";
    assert_eq!(rows(&mut client, audited), ["(retrainer,3,false,t)"]);
    assert_eq!(champion(&mut client, "launch"), Some(1));
}

const BACKTEST: &str = r#"reco.backtest('launch_features', '2024-05-01', '2024-06-20', 3, 'purchased',
    params => '{"hidden": [16], "epochs": 4, "learning_rate": 0.01, "batch_size": 256, "threads": 1}')"#;

#[test]
fn past_weeks_are_replayed_with_what_was_known_then() {
    let database = Database::with_data();
    let mut client = database.connect();
    let weeks = "SELECT week, trained_before, rows, rmse IS NULL FROM";
    // The last week has no labels yet.
    let expected = [
        "(2024-04-29,2024-04-29,240,t)",
        "(2024-05-06,2024-04-29,240,t)",
        "(2024-05-13,2024-04-29,240,t)",
        "(2024-05-20,2024-05-20,240,t)",
        "(2024-05-27,2024-05-20,240,t)",
        "(2024-06-03,2024-05-20,240,t)",
        "(2024-06-10,2024-06-10,240,t)",
    ];
    assert_eq!(rows(&mut client, &format!("{weeks} {BACKTEST}")), expected);
    let metrics = format!("SELECT * FROM {BACKTEST} WHERE week < '2024-05-20'");
    let before = rows(&mut client, &metrics);
    assert!(value::<f64>(&mut client, &format!("SELECT avg(auroc) FROM {BACKTEST}")) > 0.6);
    // Nothing is stored, and nothing that came later changes what was known.
    assert!(versions(&mut client, "backtest").is_empty());
    client
        .batch_execute(
            "UPDATE launch_features SET purchased = NOT purchased, sales_1w = 0 WHERE week >= '2024-05-20'",
        )
        .unwrap();
    assert_eq!(rows(&mut client, &metrics), before);
    // A label that looks further ahead is known later.
    let further = BACKTEST.replace("3, 'purchased'", "10, 'purchased', horizon => 3");
    assert_eq!(
        rows(&mut client, &format!("SELECT DISTINCT trained_before FROM {further}")),
        ["(2024-04-15)"]
    );
}

#[test]
fn a_backtest_that_makes_no_sense_is_refused_and_others_can_be_cancelled() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let backtest = |arguments: &str| format!("SELECT * FROM reco.backtest('launch_features', {arguments})");
    for (arguments, message) in [
        ("'2024-06-01', '2024-05-01', label => 'purchased'", "1 to 1040 weeks"),
        ("'2024-05-01', 'infinity', label => 'purchased'", "must not be infinite"),
        ("'2024-05-01', '2024-06-01', 0, 'purchased'", "every is a number of weeks"),
        ("'2024-05-01', '2024-06-01', 4, 'purchased', horizon => -1", "horizon"),
        ("'2024-05-01', '2024-06-01'", "no label of its own"),
    ] {
        refusal(&mut client, &backtest(arguments)).expect("22023", &[message], &[]);
    }
    client.batch_execute("CREATE ROLE replayer LOGIN; GRANT USAGE ON SCHEMA reco TO replayer").unwrap();
    refusal(&mut database.connect_as("replayer"), &backtest("'2024-05-01', '2024-06-01', 4, 'purchased'"))
        .expect("42501", &["launch_features"], &[]);
    let endless =
        format!("'2024-05-01', '2024-06-01', 4, 'purchased', params => '{}'", integration::training::ENDLESS);
    let running = Background::start(client, &backtest(&endless));
    integration::process::Process::trainer_of(running.backend);
    assert_eq!(value::<i64>(&mut observer, "SELECT count(*) FROM reco.run"), 0);
    running.cancel();
    assert_eq!(running.finish().refusal().code, "57014");
}
