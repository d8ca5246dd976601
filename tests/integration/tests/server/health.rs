//! The status of a model that is monitored: drift, ages, thresholds, the alarm, and who sees what.

use super::monitoring::{monitor, reasons, served, status, test_from};
use super::views;
use integration::{refusal, rows, value, wait_until, Database, Training};
use postgres::fallible_iterator::FallibleIterator;
use postgres::Client;
use serde_json::Value;

#[test]
fn weeks_before_the_first_champion_are_judged_on_it_as_far_as_it_has_not_seen_them() {
    let database = Database::trained();
    let mut client = database.connect();
    let from = test_from(&mut client);
    monitor(&mut client, "");
    let weeks = "SELECT min(week)::text, bool_or(served) FROM reco.monitoring";
    assert_eq!(rows(&mut client, weeks), [format!("({from},f)")]);
    // By the clock the table is years old.
    assert_eq!(status(&mut client), "alarm");
    assert!(reasons(&mut client).contains("weeks behind"), "{}", reasons(&mut client));
    assert!(value::<i32>(&mut client, "SELECT features_weeks_behind FROM reco.health") > 50);
}

#[test]
fn a_column_that_drifts_raises_the_status_with_the_reason() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    assert_eq!(status(&mut client), "ok", "{}", reasons(&mut client));
    client
        .batch_execute(
            "UPDATE launch_features SET sales_1w = sales_1w * 3 + 30, category = CASE WHEN product_id % 2 = 0 THEN 'novel' END
             WHERE week = '2024-06-17'",
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-17', again => true");
    assert_eq!(status(&mut client), "alarm");
    let reasons = reasons(&mut client);
    assert!(reasons.contains(r#"column \"sales_1w\" in the week of 2024-06-17 drifted"#), "{reasons}");
    let sales = "SELECT psi > 1 AND jensen_shannon > 0.5 AND highest > highest_trained AND outside > 0.9 AND unseen IS NULL
                 FROM reco.drift WHERE week = '2024-06-17' AND column_name = 'sales_1w'";
    assert!(value::<bool>(&mut client, sales));
    let category =
        "SELECT unseen = 0.5 AND nulls = 0.5 AND unseen_trained = 0 AND nulls_trained < 0.2 AND psi > 1
                    FROM reco.drift WHERE week = '2024-06-17' AND column_name = 'category'";
    assert!(value::<bool>(&mut client, category));
    let score = "SELECT psi > 0.1 FROM reco.drift WHERE week = '2024-06-17' AND is_score";
    assert!(value::<bool>(&mut client, score));
    // A time moves on, which is said and is no reason.
    let time = "SELECT psi > 1 AND note LIKE 'a time moves on%' FROM reco.drift WHERE week = '2024-06-17' AND column_name = 'updated_at'";
    assert!(value::<bool>(&mut client, time) && !reasons.contains("updated_at"));
    // A column that was left alone is as it was.
    let alone = "SELECT psi < 0.25 FROM reco.drift WHERE week = '2024-06-17' AND column_name = 'clicks'";
    assert!(value::<bool>(&mut client, alone));
    // What matters stands first, by drift and importance.
    let first: Option<String> =
        value(&mut client, "SELECT column_name FROM reco.drift WHERE week = '2024-06-17' LIMIT 1");
    let expected: Option<String> = value(
        &mut client,
        "SELECT column_name FROM reco.drift WHERE week = '2024-06-17' ORDER BY psi * greatest(importance, 0) DESC NULLS LAST LIMIT 1",
    );
    assert_eq!(first, expected);
}

#[test]
fn drift_that_good_weeks_have_had_as_well_is_no_reason() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    // Far from training in the weeks that are judged, and its outcome follows it no less.
    client
        .batch_execute(&format!(
            "UPDATE launch_features SET sales_1w = sales_1w + 100 WHERE week >= '{from}';
             SELECT reco.set_monitoring('launch', '{{\"least_importance\": 0, \"auroc_drop_warning\": null, \"auroc_drop_alarm\": null,
                 \"calibration_warning\": null, \"calibration_alarm\": null}}')"
        ))
        .unwrap();
    let sales = |client: &mut Client| -> Vec<String> {
        rows(client, "SELECT psi > 1, psi_usual > 1, level FROM reco.drift WHERE week = '2024-06-17' AND column_name = 'sales_1w'")
    };
    monitor(&mut client, ", from_week => '2024-06-17'");
    assert_eq!(sales(&mut client), ["(t,,alarm)"]);
    monitor(&mut client, "");
    assert_eq!(sales(&mut client), ["(t,t,)"]);
    assert!(!reasons(&mut client).contains("sales_1w"), "{}", reasons(&mut client));
    // Weeks that were not good bear witness to nothing.
    client
        .batch_execute(
            r#"SELECT reco.set_monitoring('launch', '{"auroc_drop_warning": 0, "auroc_drop_alarm": 0}')"#,
        )
        .unwrap();
    client
        .batch_execute("UPDATE reco.monitored_week SET auroc = 0.1 WHERE position = 0 AND auroc IS NOT NULL")
        .unwrap();
    monitor(&mut client, "");
    assert_eq!(sales(&mut client), ["(t,,alarm)"]);
}

#[test]
fn a_column_matters_beside_the_most_important_of_the_version() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    client
        .batch_execute(
            "UPDATE launch_features SET clicks = clicks + 10000 WHERE week = '2024-06-17';
             UPDATE reco.version SET metrics = jsonb_set(metrics, '{importance}',
                 '[{\"column\": \"price\", \"loss\": 0.5}, {\"column\": \"clicks\", \"loss\": 0.001}]')",
        )
        .unwrap();
    monitor(&mut client, &format!(", from_week => '{from}'"));
    assert!(!reasons(&mut client).contains("clicks"), "{}", reasons(&mut client));
    // The one that clicks are nothing beside is gone, which makes them no more important.
    client
        .batch_execute("DROP VIEW numeric_features; ALTER TABLE launch_features DROP COLUMN price")
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-17', again => true");
    assert!(!reasons(&mut client).contains("clicks"), "{}", reasons(&mut client));
    assert!(reasons(&mut client).contains("price"));
}

#[test]
fn an_alarm_is_told_once_when_the_status_changes() {
    let (database, mut client) = served();
    let mut listener = database.connect();
    listener.batch_execute("LISTEN reco_alarm").unwrap();
    // All that was told before a word of ours.
    let mut heard = |client: &mut Client| -> Vec<Value> {
        client.batch_execute("NOTIFY reco_alarm, 'over'").unwrap();
        let mut told = Vec::new();
        wait_until("our word arrives", || {
            listener.batch_execute("SELECT 1").unwrap();
            let arrived = listener.notifications().iter().collect::<Vec<_>>().unwrap();
            told.extend(arrived.iter().map(|notification| notification.payload().to_owned()));
            told.last().is_some_and(|last| last == "over")
        });
        told.pop();
        told.iter().map(|told| serde_json::from_str(told).unwrap()).collect()
    };
    monitor(&mut client, ", from_week => '2024-06-03'");
    assert_eq!(status(&mut client), "ok", "{}", reasons(&mut client));
    assert!(heard(&mut client).is_empty());
    client.batch_execute("UPDATE launch_features SET sales_1w = 1000 WHERE week = '2024-06-17'").unwrap();
    monitor(&mut client, ", from_week => '2024-06-17', again => true");
    let told = heard(&mut client);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0]["model"].as_str(), told[0]["status"].as_str(), told[0]["before"].as_str()),
        (Some("launch"), Some("alarm"), Some("ok"))
    );
    assert_eq!(told[0]["about"], serde_json::json!(["drift"]));
    // It says no column: everybody can listen.
    assert!(!told[0].to_string().contains("sales_1w"));
    monitor(&mut client, ", from_week => '2024-06-17', again => true");
    assert!(heard(&mut client).is_empty());
    // A rolled back call tells nobody.
    let off = r#"SELECT reco.set_monitoring('launch', '{"psi_alarm": null, "psi_warning": null}')"#;
    client.batch_execute(off).unwrap();
    client.batch_execute("BEGIN; CALL reco.monitor('launch'); ROLLBACK").unwrap();
    assert!(heard(&mut client).is_empty());
    monitor(&mut client, "");
    let told = heard(&mut client);
    assert_eq!(told.len(), 1, "{}", reasons(&mut client));
    assert_eq!((told[0]["status"].as_str(), told[0]["before"].as_str()), (Some("ok"), Some("alarm")));
}

#[test]
fn thresholds_are_settings_of_the_model() {
    let (_database, mut client) = served();
    let set = |client: &mut Client, settings: &str| -> Value {
        let text: String = value(client, &format!("SELECT reco.set_monitoring('launch', {settings})::text"));
        serde_json::from_str(&text).unwrap()
    };
    let all = set(&mut client, r#"'{"psi_alarm": 0.5}'"#);
    assert_eq!((&all["psi_alarm"], &all["psi_warning"]), (&0.5.into(), &0.1.into()));
    assert!(all["features_weeks_alarm"].is_null());
    let defaults = set(&mut client, "NULL");
    assert_eq!((&defaults["psi_alarm"], &defaults["features_weeks_alarm"]), (&0.25.into(), &4.0.into()));
    for (settings, message) in [
        (r#"'{"luck": 1}'"#, "no setting \"luck\""),
        (r#"'{"psi_alarm": "high"}'"#, "is a number"),
        (r#"'{"psi_alarm": 0.05}'"#, "must not be above"),
        ("'[]'", "is a JSON object"),
        (r#"'{"psi_alarm": 1e400}'"#, "out of range"),
        (r#"'{"psi_alarm": 1e300}'"#, "from 0 to 1000000"),
    ] {
        refusal(&mut client, &format!("SELECT reco.set_monitoring('launch', {settings})")).expect(
            "22023",
            &[message],
            &["psi_warning"],
        );
    }
    let audited = "SELECT count(*) FROM reco.audit WHERE action = 'set_monitoring'";
    assert_eq!(value::<i64>(&mut client, audited), 3);
}

#[test]
fn a_column_or_a_source_that_is_gone_is_said_and_is_no_error() {
    let (_database, mut client) = served();
    client
        .batch_execute(
            "DROP VIEW numeric_features; ALTER TABLE launch_features RENAME COLUMN price TO cost;
             ALTER TABLE launch_features ALTER COLUMN households TYPE text",
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-10'");
    let problem: String = value(
        &mut client,
        "SELECT problem FROM reco.monitoring WHERE week = '2024-06-10' AND judged_at IS NULL",
    );
    assert!(problem.contains("price"), "{problem}");
    let notes = "SELECT column_name, psi IS NULL, note FROM reco.drift WHERE week = '2024-06-10' AND psi IS NULL ORDER BY 1";
    assert_eq!(
        rows(&mut client, notes),
        [
            r#"(households,t,"the column has type text, but the version was trained with a number")"#,
            r#"(price,t,"the column is missing from public.launch_features")"#,
            r#"(,t,"a column of the version cannot be read")"#,
        ]
    );
    // The others are measured.
    assert!(
        value::<i64>(
            &mut client,
            "SELECT count(*) FROM reco.drift WHERE week = '2024-06-10' AND psi IS NOT NULL"
        ) > 5
    );
    client.batch_execute("ALTER TABLE launch_features RENAME TO gone").unwrap();
    monitor(&mut client, "");
    assert_eq!(status(&mut client), "alarm");
    assert!(reasons(&mut client).contains("the source public.launch_features of version 1 does not exist"));
}

#[test]
fn a_version_without_histograms_is_judged_without_drift() {
    let (_database, mut client) = served();
    client.batch_execute("DELETE FROM reco.version_histogram").unwrap();
    monitor(&mut client, ", from_week => '2024-06-10', to_week => '2024-06-10'");
    let said = "SELECT auroc IS NOT NULL, note FROM reco.monitoring WHERE NOT is_region";
    assert_eq!(
        rows(&mut client, said),
        [r#"(t,"the version has no histograms of its training, so there is no drift")"#]
    );
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.drift"), 0);
    assert_eq!(status(&mut client), "ok", "{}", reasons(&mut client));
    // So is one that was imported.
    client
        .batch_execute(
            "SELECT reco.import_model('copy', reco.export_model('launch'), source => 'launch_features', label => 'purchased',
                                      keys => '{product_id,region}', time_column => 'week');
             UPDATE reco.promotion SET moved_at = '2024-01-01' WHERE model = 'copy';
             CALL reco.monitor('copy', from_week => '2024-06-10', to_week => '2024-06-10')",
        )
        .unwrap();
    let imported =
        "SELECT auroc IS NOT NULL, test_auroc FROM reco.monitoring WHERE model = 'copy' AND NOT is_region";
    assert_eq!(rows(&mut client, imported), ["(t,)"]);
}

#[test]
fn who_may_only_score_sees_figures_and_no_regions_columns_or_reasons() {
    let (database, mut client) = served();
    client
        .batch_execute(
            "CREATE ROLE monitored_scorer LOGIN; CREATE ROLE monitored_trainer LOGIN; CREATE ROLE monitored_nobody LOGIN;
             GRANT USAGE ON SCHEMA reco TO monitored_scorer, monitored_trainer, monitored_nobody;
             GRANT SELECT ON launch_features TO monitored_scorer;
             SELECT reco.grant_model('launch', 'monitored_scorer', 'score'), reco.grant_model('launch', 'monitored_trainer', 'train')",
        )
        .unwrap();
    let mut trainer = database.connect_as("monitored_trainer");
    // Rows are read with the caller's rights.
    refusal(&mut trainer, "CALL reco.monitor('launch')").expect("42501", &["launch_features"], &[]);
    client.batch_execute("GRANT SELECT ON launch_features TO monitored_trainer").unwrap();
    monitor(&mut trainer, ", from_week => '2024-06-10'");
    let counts = "SELECT (SELECT count(*) FROM reco.monitoring WHERE is_region), (SELECT count(*) FROM reco.monitoring WHERE NOT is_region),
                         (SELECT count(*) > 0 FROM reco.drift), (SELECT count(*) FROM reco.health),
                         (SELECT bool_or(reasons IS NOT NULL) FROM reco.health), (SELECT bool_or(note IS NOT NULL) FROM reco.monitoring)";
    assert_eq!(rows(&mut trainer, counts), ["(4,2,t,1,t,t)"]);
    let mut scorer = database.connect_as("monitored_scorer");
    assert_eq!(rows(&mut scorer, counts), ["(0,2,f,1,f,f)"]);
    let mut nobody = database.connect_as("monitored_nobody");
    assert_eq!(rows(&mut nobody, counts), ["(0,0,f,0,,)"]);
    for table in ["version_histogram", "monitored_week", "monitored_column", "monitored_model"] {
        refusal(&mut trainer, &format!("SELECT * FROM reco.{table}")).expect("42501", &[table], &[]);
    }
}

#[test]
fn a_feature_view_is_as_old_as_what_it_could_have_says() {
    let database = Database::with_data();
    let mut client = database.connect();
    views::create_of_launches(&mut client);
    Training::new("launch").source("weekly").call(&mut client);
    monitor(&mut client, "");
    let behind = "SELECT status, newest_week, features_weeks_behind FROM reco.health";
    assert_eq!(rows(&mut client, behind), ["(alarm,2024-05-06,6)"]);
    assert!(reasons(&mut client).contains("the newest row of the source is 6 weeks behind"));
    client.batch_execute("CALL reco.refresh_features('weekly')").unwrap();
    monitor(&mut client, "");
    // The champion has not seen the six weeks, which is far from a warning.
    assert_eq!(rows(&mut client, behind), ["(ok,2024-06-17,0)"], "{}", reasons(&mut client));
    client.batch_execute(r#"SELECT reco.set_monitoring('launch', '{"champion_weeks_warning": 6}')"#).unwrap();
    monitor(&mut client, "");
    assert_eq!(status(&mut client), "warning");
    assert!(reasons(&mut client).contains("the champion has not seen the newest 6 weeks"));
}
