//! Models that are monitored: which weeks are judged, on which version, and what is said of them.

use super::support::wait_for_lock;
use integration::{refusal, rows, value, Background, Database, Training};
use postgres::Client;

/// The training table ends in 2024, so that its age by the clock says nothing.
const NO_CLOCK: &str = r#"SELECT reco.set_monitoring('launch', '{"features_weeks_warning": null, "features_weeks_alarm": null}')"#;

/// A model whose first version became the champion in good time, so that it served the weeks that it was tested on.
pub fn served() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    client.batch_execute(NO_CLOCK).unwrap();
    promoted_at(&mut client, 1, "2024-01-01");
    (database, client)
}

pub fn promoted_at(client: &mut Client, step: i32, at: &str) {
    let sql =
        format!("UPDATE reco.promotion SET moved_at = '{at} UTC' WHERE model = 'launch' AND step = {step}");
    assert_eq!(client.execute(&sql, &[]).unwrap(), 1);
}

pub fn test_from(client: &mut Client) -> String {
    value(client, "SELECT data ->> 'test_from' FROM reco.versions WHERE model = 'launch' AND version = 1")
}

pub fn monitor(client: &mut Client, others: &str) {
    let sql = format!("CALL reco.monitor('launch'{others})");
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

pub fn status(client: &mut Client) -> String {
    value(client, "SELECT status FROM reco.health WHERE model = 'launch'")
}

pub fn reasons(client: &mut Client) -> String {
    value(client, "SELECT coalesce(reasons::text, '') FROM reco.health WHERE model = 'launch'")
}

#[test]
fn the_figures_of_a_week_are_those_of_evaluate() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    let figures = "rows, positives, mean_label, mean_score, auroc, average_precision, log_loss, brier";
    let weeks = client
        .query("SELECT DISTINCT week::text FROM reco.monitoring WHERE judged_at IS NOT NULL", &[])
        .unwrap();
    assert!(weeks.len() >= 2, "{}", weeks.len());
    for week in weeks {
        let week: String = week.get(0);
        let ours = format!(
            "SELECT region, {figures} FROM reco.monitoring WHERE week = '{week}' ORDER BY region NULLS FIRST"
        );
        let theirs = format!(
            "SELECT slice, {figures} FROM reco.evaluate('launch', 'launch_features', by => 'region', version => 1,
                                                        from_week => '{week}', to_week => '{week}') ORDER BY slice NULLS FIRST"
        );
        let found = rows(&mut client, &ours);
        assert_eq!(found.len(), 5);
        assert_eq!(found, rows(&mut client, &theirs));
    }
    // Beside them stands what the version had on its test rows.
    let beside = "SELECT bool_and(m.test_auroc = reco.figure(v.metrics, '{test,model,auroc}')) AND bool_and(test_calibration_error > 0)
                  FROM reco.monitoring AS m JOIN reco.versions AS v USING (model, version) WHERE NOT is_region AND judged_at IS NOT NULL";
    assert!(value::<bool>(&mut client, beside));
    let regions = "SELECT bool_and(m.test_auroc = reco.figure(v.metrics, ARRAY['by', 'region', m.region, 'auroc'])) AND NOT bool_or(new_region)
                   FROM reco.monitoring AS m JOIN reco.versions AS v USING (model, version) WHERE is_region";
    assert!(value::<bool>(&mut client, regions));
    let line = "SELECT bool_and(calibration_slope BETWEEN 0.2 AND 3 AND abs(calibration_intercept) < 1.5 AND calibration_error < 0.2)
                FROM reco.monitoring WHERE NOT is_region AND judged_at IS NOT NULL";
    assert!(value::<bool>(&mut client, line));
}

#[test]
fn weeks_that_are_like_training_are_ok_and_one_whose_outcome_is_not_known_waits() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    assert_eq!(status(&mut client), "ok", "{}", reasons(&mut client));
    let waiting =
        "SELECT week, rows, unlabelled, auroc IS NULL, note FROM reco.monitoring WHERE judged_at IS NULL";
    assert_eq!(rows(&mut client, waiting), [r#"(2024-06-17,0,240,t,"the outcome is not known yet")"#]);
    let counted = "SELECT weeks_waiting, newest_week FROM reco.health";
    assert_eq!(rows(&mut client, counted), ["(1,2024-06-17)"]);
    // Its drift is known already.
    let drift = "SELECT count(*) FROM reco.drift WHERE week = '2024-06-17' AND psi >= 0 AND jensen_shannon BETWEEN 0 AND 1 AND rows = 240";
    let columns: i64 =
        value(&mut client, "SELECT jsonb_array_length(recipe -> 'columns')::bigint FROM reco.versions");
    assert_eq!(value::<i64>(&mut client, drift), columns + 1);
    // Once it is known, the week is judged.
    client
        .batch_execute("UPDATE launch_features SET purchased = product_id % 2 = 0 WHERE week = '2024-06-17'")
        .unwrap();
    monitor(&mut client, "");
    let judged = "SELECT rows, unlabelled, auroc IS NOT NULL FROM reco.monitoring WHERE week = '2024-06-17' AND NOT is_region";
    assert_eq!(rows(&mut client, judged), ["(240,0,t)"]);
}

#[test]
fn another_run_changes_nothing_unless_it_is_asked_to_judge_again() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    let all = "SELECT md5(string_agg(w::text, ',' ORDER BY w::text)) || (SELECT md5(string_agg(c::text, ',' ORDER BY c::text))
               FROM reco.monitored_column AS c) FROM reco.monitored_week AS w";
    let before: String = value(&mut client, all);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    assert_eq!(value::<String>(&mut client, all), before);
    let auroc = "SELECT auroc FROM reco.monitoring WHERE week = '2024-06-10' AND NOT is_region";
    let first: f64 = value(&mut client, auroc);
    client
        .batch_execute("UPDATE launch_features SET purchased = NOT purchased WHERE week = '2024-06-10'")
        .unwrap();
    monitor(&mut client, &format!(", from_week => '{from}'"));
    assert_eq!(value::<f64>(&mut client, auroc), first);
    monitor(&mut client, ", from_week => '2024-06-10', to_week => '2024-06-12', again => true");
    let turned: f64 = value(&mut client, auroc);
    assert!((turned - (1.0 - first)).abs() < 1e-12, "{first} {turned}");
    // Its last judged week is far worse than the test rows were.
    assert_eq!(status(&mut client), "alarm");
    assert!(
        reasons(&mut client).contains("AUROC of version 1 in the week of 2024-06-10"),
        "{}",
        reasons(&mut client)
    );
}

#[test]
fn a_week_is_judged_on_the_version_that_was_champion_at_its_end() {
    let (_database, mut client) = served();
    Training::new("launch").param(r#""seed": 9"#).with("promote => true").call(&mut client);
    client.batch_execute("SELECT reco.rollback('launch', 'worse')").unwrap();
    promoted_at(&mut client, 2, "2024-05-27 00:00");
    promoted_at(&mut client, 3, "2024-06-09 23:59");
    monitor(&mut client, ", from_week => '2024-05-13'");
    // The week of 20 May ends as 27 May begins: the promotion of that moment comes too late.
    let by = "SELECT week, version, served FROM reco.monitoring WHERE NOT is_region ORDER BY week";
    assert_eq!(
        rows(&mut client, by),
        [
            "(2024-05-13,1,t)",
            "(2024-05-20,1,t)",
            "(2024-05-27,2,t)",
            "(2024-06-03,1,t)",
            "(2024-06-10,1,t)",
            "(2024-06-17,1,t)",
        ]
    );
    let ours = "SELECT auroc FROM reco.monitoring WHERE week = '2024-05-27' AND NOT is_region";
    let theirs = "SELECT auroc FROM reco.evaluate('launch', 'launch_features', version => 2, from_week => '2024-05-27', to_week => '2024-05-27')";
    assert_eq!(value::<f64>(&mut client, ours), value::<f64>(&mut client, theirs));
}

#[test]
fn a_model_without_a_champion_at_the_end_of_a_week_is_said_to_have_none() {
    let (_database, mut client) = served();
    client.batch_execute("SELECT reco.drop_alias('launch', 'champion')").unwrap();
    promoted_at(&mut client, 2, "2024-06-05");
    monitor(&mut client, ", from_week => '2024-05-27'");
    let weeks = "SELECT week, version, note FROM reco.monitoring WHERE NOT is_region AND week IN ('2024-05-27', '2024-06-03') ORDER BY 1";
    assert_eq!(
        rows(&mut client, weeks),
        ["(2024-05-27,1,)", r#"(2024-06-03,,"no version was the champion at the end of the week")"#]
    );
    assert!(reasons(&mut client).contains("has no champion"));
}

#[test]
fn weeks_of_one_class_a_new_region_and_rows_without_a_label_are_said() {
    let (_database, mut client) = served();
    client
        .batch_execute(
            "UPDATE launch_features SET purchased = false WHERE week = '2024-06-03';
             UPDATE launch_features SET purchased = true WHERE week = '2024-06-10' AND product_id > 5;
             UPDATE launch_features SET purchased = NULL WHERE week = '2024-06-10' AND product_id <= 5;
             UPDATE launch_features SET region = 'far away' WHERE week = '2024-06-10' AND region = 'r3'",
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-03'");
    let said = "SELECT week, rows, auroc, average_precision, calibration_slope, log_loss > 0, note FROM reco.monitoring
                WHERE NOT is_region AND week < '2024-06-17' ORDER BY week";
    assert_eq!(
        rows(&mut client, said),
        [
            r#"(2024-06-03,240,,,,t,"nothing was bought, so there is no AUROC")"#,
            r#"(2024-06-10,220,,,,t,"everything was bought, so there is no AUROC; 20 rows have no label")"#
        ]
    );
    let regions = "SELECT region, new_region FROM reco.monitoring WHERE is_region AND week = '2024-06-10' ORDER BY region";
    assert_eq!(rows(&mut client, regions), [r#"("far away",t)"#, "(r0,f)", "(r1,f)", "(r2,f)"]);
}

#[test]
fn a_week_with_few_labels_waits_until_a_later_one_is_known() {
    let (_database, mut client) = served();
    client
        .batch_execute(
            "UPDATE launch_features SET purchased = NULL WHERE week >= '2024-06-10' AND product_id > 12",
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-10'");
    let judged = "SELECT week, judged_at IS NOT NULL FROM reco.monitoring WHERE NOT is_region ORDER BY 1";
    assert_eq!(rows(&mut client, judged), ["(2024-06-10,f)", "(2024-06-17,f)"]);
    client
        .batch_execute("UPDATE launch_features SET purchased = product_id % 3 = 0 WHERE week = '2024-06-17'")
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-10'");
    assert_eq!(rows(&mut client, judged), ["(2024-06-10,t)", "(2024-06-17,t)"]);
    let of_few = "SELECT rows, unlabelled FROM reco.monitoring WHERE NOT is_region AND week = '2024-06-10'";
    assert_eq!(rows(&mut client, of_few), ["(48,192)"]);
}

#[test]
fn quantities_are_judged_by_their_errors() {
    let database = Database::with_data();
    let mut client = database.connect();
    Training::new("sold").label("sales_1w").param(r#""exclude": ["purchased"]"#).call(&mut client);
    client
        .batch_execute("UPDATE reco.promotion SET moved_at = '2024-01-01'; CALL reco.monitor('sold', from_week => '2024-06-10')")
        .unwrap();
    let figures = "SELECT rows, mean_label, mean_score, rmse, mae, auroc IS NULL, calibration_error IS NULL
                   FROM reco.monitoring WHERE week = '2024-06-10' AND NOT is_region";
    let evaluated = "SELECT rows, mean_label, mean_score, rmse, mae, true, true
                     FROM reco.evaluate('sold', 'launch_features', by => 'region', from_week => '2024-06-10',
                                        to_week => '2024-06-10') WHERE slice IS NULL";
    assert_eq!(rows(&mut client, figures), rows(&mut client, evaluated));
    assert!(value::<bool>(&mut client, "SELECT test_rmse > 0 FROM reco.health"));
}

#[test]
fn what_ab_tests_have_shown_is_counted_with_its_outcomes() {
    let (_database, mut client) = served();
    Training::new("launch").param(r#""seed": 3"#).call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('shown', 'launch', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]');
               SELECT reco.log_recommendations(array_agg(product_id), array_agg(region), 'launch', as_of => '2024-06-10')
               FROM launch_features WHERE week = '2024-06-10' AND product_id <= 20;
               UPDATE launch_features SET purchased = NULL WHERE week = '2024-06-10' AND product_id = 20"#,
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-10'");
    let ours = "SELECT region, shown, outcomes, bought FROM reco.monitoring WHERE week = '2024-06-10' ORDER BY region NULLS FIRST";
    let theirs = "SELECT region, count(*), count(purchased), count(*) FILTER (WHERE purchased) FROM launch_features
                  WHERE week = '2024-06-10' AND product_id <= 20 GROUP BY ROLLUP (region) ORDER BY region NULLS FIRST";
    assert_eq!(rows(&mut client, ours), rows(&mut client, theirs));
    // The week is judged on its champion all the same, and the one after it has shown nothing.
    assert_eq!(
        value::<i32>(
            &mut client,
            "SELECT version FROM reco.monitoring WHERE week = '2024-06-10' AND NOT is_region"
        ),
        1
    );
    assert_eq!(rows(&mut client, "SELECT shown FROM reco.monitoring WHERE week = '2024-06-17'"), ["()"]);
}

#[test]
fn a_test_that_is_stopped_with_a_winner_while_the_model_is_monitored_changes_who_is_judged() {
    let (_database, mut client) = served();
    Training::new("launch").param(r#""seed": 3"#).call(&mut client);
    client
        .batch_execute(
            r#"UPDATE launch_features SET purchased = NULL WHERE week = '2024-06-10';
               SELECT reco.start_ab_test('shown', 'launch', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]')"#,
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-03'");
    let by =
        "SELECT week, version, judged_at IS NOT NULL FROM reco.monitoring WHERE NOT is_region ORDER BY week";
    assert_eq!(rows(&mut client, by), ["(2024-06-03,1,t)", "(2024-06-10,1,f)", "(2024-06-17,1,f)"]);
    client.batch_execute("SELECT reco.stop_ab_test('shown', 'b', 'sells more')").unwrap();
    promoted_at(&mut client, 2, "2024-06-12");
    client
        .batch_execute("UPDATE launch_features SET purchased = product_id % 3 = 0 WHERE week = '2024-06-10'")
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-03'");
    // What was judged stays judged on whom it was; what waited is judged on the winner.
    assert_eq!(rows(&mut client, by), ["(2024-06-03,1,t)", "(2024-06-10,2,t)", "(2024-06-17,2,f)"]);
    let page: String = value(&mut client, "SELECT reco.report('launch')");
    assert!(page.contains("won by b") && page.contains("Judged weeks"));
}

#[test]
fn a_model_is_monitored_by_one_session_at_a_time_and_a_cancel_loses_no_week() {
    let (database, mut client) = served();
    let (mut holder, mut observer) = (database.connect(), database.connect());
    // The week of 10 June is read only once the one before it is stored, and then it waits for a lock.
    client
        .batch_execute(
            "CREATE TABLE gate ();
             CREATE FUNCTION slow(day date) RETURNS boolean LANGUAGE plpgsql AS $$
                 BEGIN
                     IF day = '2024-06-10' AND EXISTS (SELECT FROM reco.monitored_week WHERE week = '2024-06-03') THEN
                         LOCK TABLE gate IN ACCESS SHARE MODE;
                     END IF;
                     RETURN true;
                 END $$;
             ALTER TABLE launch_features RENAME TO behind;
             CREATE VIEW launch_features AS SELECT * FROM behind WHERE slow(week)",
        )
        .unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE").unwrap();
    let first =
        Background::start(database.connect(), "CALL reco.monitor('launch', from_week => '2024-05-27')");
    wait_for_lock(&mut observer, first.backend);
    // Others see the weeks that are done.
    let judged = "SELECT week FROM reco.monitoring WHERE NOT is_region AND judged_at IS NOT NULL ORDER BY 1";
    assert_eq!(rows(&mut observer, judged), ["(2024-05-27)", "(2024-06-03)"]);
    refusal(&mut observer, "CALL reco.monitor('launch')").expect(
        "55006",
        &["being monitored by another session"],
        &["reco.monitoring"],
    );
    first.cancel();
    assert_eq!(first.finish().refusal().code, "57014");
    holder.batch_execute("ROLLBACK").unwrap();
    assert_eq!(rows(&mut observer, judged), ["(2024-05-27)", "(2024-06-03)"]);
    // It goes on where it was.
    monitor(&mut observer, ", from_week => '2024-05-27'");
    assert_eq!(rows(&mut observer, judged), ["(2024-05-27)", "(2024-06-03)", "(2024-06-10)"]);
}

#[test]
fn rows_that_row_security_hides_are_not_judged() {
    let (database, mut client) = served();
    client
        .batch_execute(
            "CREATE ROLE monitored_half LOGIN; GRANT USAGE ON SCHEMA reco TO monitored_half;
             GRANT SELECT ON launch_features TO monitored_half; SELECT reco.grant_model('launch', 'monitored_half', 'train');
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY half ON launch_features USING (region < 'r2')",
        )
        .unwrap();
    let mut half = database.connect_as("monitored_half");
    monitor(&mut half, ", from_week => '2024-06-10', to_week => '2024-06-10'");
    let seen = "SELECT region, rows FROM reco.monitoring ORDER BY region NULLS FIRST";
    assert_eq!(rows(&mut half, seen), ["(,120)", "(r0,60)", "(r1,60)"]);
    assert_eq!(value::<i64>(&mut half, "SELECT max(rows) FROM reco.drift"), 120);
}

#[test]
fn figures_that_row_security_has_chosen_say_so_also_through_a_view() {
    let (database, mut client) = served();
    client
        .batch_execute(
            "CREATE ROLE monitored_some LOGIN; GRANT USAGE ON SCHEMA reco TO monitored_some;
             GRANT SELECT ON launch_features TO monitored_some; SELECT reco.grant_model('launch', 'monitored_some', 'train')",
        )
        .unwrap();
    let again = ", from_week => '2024-06-10', to_week => '2024-06-10', again => true";
    let note = "SELECT coalesce(note, '') FROM reco.monitoring WHERE NOT is_region AND week = '2024-06-10'";
    let mut some = database.connect_as("monitored_some");
    monitor(&mut some, again);
    assert_eq!(value::<String>(&mut some, note), "");
    client
        .batch_execute(
            "ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY half ON launch_features USING (region < 'r2')",
        )
        .unwrap();
    let said = "row security decides which rows role \"monitored_some\" sees: the figures are of these";
    monitor(&mut some, again);
    assert_eq!(value::<String>(&mut some, note), said);
    // Who sees all rows is told nothing.
    monitor(&mut client, again);
    assert_eq!(value::<String>(&mut client, note), "");
    client
        .batch_execute(
            "ALTER TABLE launch_features RENAME TO behind;
             CREATE VIEW launch_features WITH (security_invoker) AS SELECT * FROM behind;
             GRANT SELECT ON launch_features TO monitored_some",
        )
        .unwrap();
    monitor(&mut some, again);
    assert_eq!(value::<String>(&mut some, note), said);
}

#[test]
fn weeks_that_cannot_be_judged_again_stay_as_they_were() {
    let (database, mut client) = served();
    monitor(&mut client, ", from_week => '2024-06-03'");
    let all = "SELECT md5(string_agg(w::text, ',' ORDER BY w::text)) || (SELECT md5(string_agg(c::text, ',' ORDER BY c::text))
               FROM reco.monitored_column AS c WHERE week < '2024-06-17') FROM reco.monitored_week AS w WHERE week < '2024-06-17'";
    let before: String = value(&mut client, all);
    client
        .batch_execute("DROP VIEW numeric_features; ALTER TABLE launch_features RENAME COLUMN price TO cost")
        .unwrap();
    let told = database.told_by("CALL reco.monitor('launch', from_week => '2024-06-03', again => true)");
    let stays =
        "WARNING: launch: the week of 2024-06-10 stays as it was judged before: column \"price\" is missing";
    assert!(told.iter().any(|line| line.starts_with(stays)), "{told:?}");
    assert_eq!(value::<String>(&mut client, all), before);
    // A column that is gone is an alarm all the same, also where no week is measured.
    let gone = "column \\\"price\\\" cannot be read: the column is missing from public.launch_features";
    assert!(reasons(&mut client).contains(gone), "{}", reasons(&mut client));
    client.batch_execute("ALTER TABLE launch_features RENAME COLUMN cost TO price").unwrap();
    monitor(&mut client, ", from_week => '2024-06-03'");
    assert!(!reasons(&mut client).contains("price"), "{}", reasons(&mut client));
    client
        .batch_execute("ALTER TABLE launch_features RENAME COLUMN price TO cost; CALL reco.monitor('launch', from_week => '2030-01-07')")
        .unwrap();
    assert!(reasons(&mut client).contains(gone), "{}", reasons(&mut client));
}

#[test]
fn what_is_dropped_with_a_model_includes_what_was_monitored() {
    let (_database, mut client) = served();
    monitor(&mut client, ", from_week => '2024-06-10'");
    client.batch_execute("SELECT reco.drop_model('launch', force => true)").unwrap();
    for table in ["version_histogram", "monitored_week", "monitored_column", "monitored_model"] {
        assert_eq!(value::<i64>(&mut client, &format!("SELECT count(*) FROM reco.{table}")), 0, "{table}");
    }
    refusal(&mut client, "CALL reco.monitor('launch')").expect("42704", &["\"launch\" does not exist"], &[]);
}

#[test]
fn a_read_only_transaction_is_refused() {
    let (_database, mut client) = served();
    client.batch_execute("SET default_transaction_read_only = on").unwrap();
    refusal(&mut client, "CALL reco.monitor('launch')").expect("25006", &["reco.monitor()"], &[]);
}

#[test]
fn a_label_that_is_gone_and_a_source_without_rows_are_alarms() {
    let (_database, mut client) = served();
    monitor(&mut client, "");
    client.batch_execute("ALTER TABLE launch_features RENAME purchased TO bought").unwrap();
    monitor(&mut client, "");
    let told = reasons(&mut client);
    assert!(
        told.contains("column \\\"purchased\\\", the label, is missing from public.launch_features"),
        "{told}"
    );
    client
        .batch_execute("ALTER TABLE launch_features RENAME bought TO purchased; TRUNCATE launch_features")
        .unwrap();
    monitor(&mut client, "");
    let told = reasons(&mut client);
    assert!(told.contains("the source has no rows"), "{told}");
    assert_eq!(status(&mut client), "alarm");
    let behind: Option<i32> = value(&mut client, "SELECT features_weeks_behind FROM reco.health");
    assert_eq!(behind, None);
}

#[test]
fn weeks_are_those_of_utc_whatever_zone_the_session_has() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "SET timezone = 'UTC';
             CREATE TABLE zoned AS SELECT product_id, region, week::timestamptz AS week, price, households, purchased FROM launch_features",
        )
        .unwrap();
    Training::new("zoned").source("zoned").param(r#""epochs": 1"#).call(&mut client);
    let weeks = "SELECT DISTINCT week::text FROM reco.monitoring WHERE model = 'zoned' ORDER BY 1";
    client.batch_execute("CALL reco.monitor('zoned')").unwrap();
    let expected = rows(&mut client, weeks);
    assert!(!expected.is_empty());
    client.batch_execute("SET timezone = 'America/New_York'; DELETE FROM reco.monitored_week").unwrap();
    client.batch_execute("CALL reco.monitor('zoned')").unwrap();
    assert_eq!(rows(&mut client, weeks), expected);
}

#[test]
fn weeks_that_end_before_they_begin_are_refused() {
    let (_database, mut client) = served();
    refusal(&mut client, "CALL reco.monitor('launch', '2024-06-10', '2024-06-03')").expect(
        "22023",
        &["from_week must not be after to_week"],
        &[],
    );
}
