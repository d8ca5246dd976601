//! What the view `reco.metrics` shows of schedules, judged weeks and drift.

use super::metrics::sample;
use super::monitoring::{monitor, served, test_from};
use super::schedules::{run_due, run_now, with_refresh};
use integration::{rows, value};

#[test]
fn a_schedule_that_fails_has_its_failures_and_attempts_left_and_one_that_is_paused_has_none() {
    let (_database, mut client) = with_refresh(", retries => 0");
    let view = r#"{"kind": "refresh", "subject": "public.demand"}"#;
    let failures = "reco_schedule_failures_in_a_row";
    assert_eq!(
        (sample(&mut client, failures, view), sample(&mut client, "reco_schedule_attempts_left", view)),
        (0.0, 1.0)
    );
    run_now(&mut client);
    assert_eq!(sample(&mut client, failures, view), 0.0);
    client.batch_execute("ALTER TABLE sold RENAME TO gone").unwrap();
    (0..2).for_each(|_| run_now(&mut client));
    assert_eq!(sample(&mut client, failures, view), 2.0);
    let mut ended = |status: &str| {
        let labels = format!(r#"{{"kind": "refresh", "subject": "public.demand", "status": "{status}"}}"#);
        sample(&mut client, "reco_schedule_attempts_kept", &labels)
    };
    assert_eq!((ended("succeeded"), ended("failed"), ended("cancelled")), (1.0, 2.0, 0.0));
    let next = "SELECT m.value = extract(epoch FROM s.next_run) FROM reco.metrics AS m, reco.schedules AS s
                WHERE m.name = 'reco_schedule_next_run_timestamp_seconds'";
    assert!(value::<bool>(&mut client, next));
    assert_eq!(sample(&mut client, "reco_schedules_active", "{}"), 1.0);
    client.batch_execute("SELECT reco.pause_schedule('refresh', 'public.demand')").unwrap();
    let paused = ["reco_schedule_paused", "reco_schedule_attempts_left", "reco_schedules_active"];
    assert_eq!(paused.map(|name| sample(&mut client, name, "{}")), [1.0, 0.0, 0.0]);
    assert!(client.query(next, &[]).unwrap().is_empty());
}

#[test]
fn it_shows_when_schedules_were_last_called_for() {
    let (_database, mut client) = with_refresh("");
    let called = "SELECT value FROM reco.metrics WHERE name = 'reco_schedules_called_timestamp_seconds'";
    assert!(client.query(called, &[]).unwrap().is_empty());
    run_due(&mut client);
    let age = format!("SELECT extract(epoch FROM clock_timestamp())::float8 - ({called})");
    assert!((0.0..60.0).contains(&value::<f64>(&mut client, &age)));
    client.batch_execute("UPDATE reco.schedule_call SET called_at = called_at - interval '1 hour'").unwrap();
    assert!((3600.0..3660.0).contains(&value::<f64>(&mut client, &age)));
}

#[test]
fn what_is_said_of_the_newest_judged_week_is_shown_with_the_version_that_served() {
    let (_database, mut client) = served();
    assert_eq!(sample(&mut client, "reco_monitored_week_rows", "{}"), 0.0);
    let from = test_from(&mut client);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    let of = r#"{"model": "launch", "version": "1"}"#;
    for (metric, column) in [
        ("reco_monitored_auroc", "auroc"),
        ("reco_monitored_test_auroc", "test_auroc"),
        ("reco_monitored_average_precision", "average_precision"),
        ("reco_monitored_log_loss", "log_loss"),
        ("reco_monitored_calibration_error", "calibration_error"),
        ("reco_monitored_calibration_slope", "calibration_slope"),
        ("reco_monitored_score_mean", "mean_score"),
        ("reco_monitored_label_mean", "mean_label"),
        ("reco_monitored_week_timestamp_seconds", "extract(epoch FROM week)::float8"),
        ("reco_monitored_week_rows", "rows::float8"),
    ] {
        let newest = format!(
            "SELECT {column} FROM reco.monitoring WHERE NOT is_region AND judged_at IS NOT NULL ORDER BY week DESC LIMIT 1"
        );
        assert_eq!(sample(&mut client, metric, of), value::<f64>(&mut client, &newest), "{metric}");
    }
    assert_eq!(
        value::<i64>(&mut client, "SELECT count(*) FROM reco.metrics WHERE name = 'reco_monitored_auroc'"),
        1
    );
    let said = "SELECT CASE status WHEN 'ok' THEN 0.0 WHEN 'warning' THEN 1.0 WHEN 'alarm' THEN 2.0 END::float8 FROM reco.health";
    for status in ["ok", "warning", "alarm"] {
        client.execute("UPDATE reco.monitored_model SET status = $1", &[&status]).unwrap();
        assert_eq!(
            sample(&mut client, "reco_health_status", r#"{"model": "launch"}"#),
            value::<f64>(&mut client, said)
        );
    }
}

#[test]
fn drift_is_that_of_the_newest_week_and_of_the_twenty_inputs_that_matter_most() {
    let (_database, mut client) = served();
    let from = test_from(&mut client);
    monitor(&mut client, &format!(", from_week => '{from}'"));
    let same = "SELECT count(*), bool_and(m.value IS NOT DISTINCT FROM d.psi)
                FROM (SELECT * FROM reco.drift WHERE week = (SELECT max(week) FROM reco.drift) AND NOT is_score AND note IS NULL) AS d
                LEFT JOIN reco.metrics AS m ON m.name = 'reco_drift_psi' AND m.labels = jsonb_build_object('model', d.model, 'column', d.column_name)";
    let row = client.query_one(same, &[]).unwrap();
    assert!(row.get::<_, i64>(0) > 0 && row.get::<_, bool>(1));
    let scores = "SELECT psi FROM reco.drift WHERE is_score ORDER BY week DESC LIMIT 1";
    let scores: f64 = value(&mut client, scores);
    assert_eq!(sample(&mut client, "reco_drift_score_psi", r#"{"model": "launch"}"#), scores);
    // Fifty inputs of which the later ones have the greater drift times importance.
    client
        .batch_execute(
            "DELETE FROM reco.monitored_column;
             INSERT INTO reco.monitored_column (model, week, position, column_name, version, rows, psi, psi_chance, importance)
             SELECT 'launch', '2024-06-03', n, 'c' || n, 1, 100, n * 0.01, 0.01, 0.1 FROM generate_series(0, 49) AS n",
        )
        .unwrap();
    let kept = "SELECT count(*), min(value) FROM reco.metrics WHERE name = 'reco_drift_psi'";
    assert_eq!(rows(&mut client, kept), ["(20,0.3)"]);
}

#[test]
fn a_thousand_versions_that_were_champions_in_turn_are_bounded_in_page_and_metrics() {
    let (_database, mut client) = served();
    client.batch_execute("SET statement_timeout = '5 min'").unwrap();
    let lines = "SELECT count(*) FROM reco.metrics";
    monitor(&mut client, "");
    let before = value::<i64>(&mut client, lines);
    // Each the champion of a minute; the first one is so again at last.
    client
        .batch_execute(
            "INSERT INTO reco.version SELECT (jsonb_populate_record(v, jsonb_build_object('version', n, 'artifact_id', NULL,
                                                                                         'measured_artifact_id', NULL))).*
                 FROM reco.version AS v, generate_series(2, 1200) AS n;
             INSERT INTO reco.version_histogram SELECT model, n, position, column_name, histogram
                 FROM reco.version_histogram, generate_series(2, 1200) AS n WHERE version = 1;
             INSERT INTO reco.promotion
                 SELECT 'launch', n, 'promoted', n - 1, CASE WHEN n < 1200 THEN n ELSE 1 END, n - 1, NULL, 'postgres',
                        '2024-06-12'::timestamptz + n * interval '1 minute' FROM generate_series(2, 1200) AS n",
        )
        .unwrap();
    monitor(&mut client, ", from_week => '2024-06-03', again => true");
    let judged = "SELECT count(*), min(version), max(version) FROM reco.monitoring WHERE NOT is_region AND judged_at IS NOT NULL AND week >= '2024-06-03'";
    assert_eq!(rows(&mut client, judged), ["(2,1,1)"]);
    assert_eq!(value::<i64>(&mut client, lines), before);
    let page: String = value(&mut client, "SELECT reco.report('launch')");
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(page.contains("and 1,170 more"), "of 1,200 versions and of as many promotions thirty are shown");
    assert_eq!(page.matches("and 1,170 more").count(), 2);
}
