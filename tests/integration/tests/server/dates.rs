//! Dates at the ends of what Postgres can say, in every function that takes one.

use super::views::{create, refresh};
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// As far in the future as a date can be, and as far in the past.
const LATE: [&str; 2] = ["infinity", "5874897-12-31"];
const EARLY: [&str; 2] = ["-infinity", "4713-01-01 BC"];

/// Models of a table by date and of one by timestamp.
fn models() -> Client {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE moments AS SELECT product_id, region, week::timestamptz + interval '5 hours' AS at, price, sales_1w,
                                            purchased FROM launch_features;
             CREATE VIEW seen AS SELECT * FROM launch_features",
        )
        .unwrap();
    Training::new("moments").source("moments").with("time_column => 'at'").call(&mut client);
    Training::new("seen").source("seen").with("keys => '{product_id,region}'").call(&mut client);
    client
}

#[test]
fn an_infinite_as_of_is_no_bound_and_an_endless_past_has_no_rows() {
    let mut client = models();
    for model in ["launch", "moments", "seen"] {
        for call in [
            "reco.recommend(3, 'r1', '{model}'{as_of}) AS score WHERE score IS NOT NULL",
            "reco.top_products('r1', 5, '{model}'{as_of})",
            "reco.top_products('r1', 5, '{model}'{as_of}, max_age => NULL)",
            "reco.top_regions(3::bigint, 5, '{model}'{as_of})",
            "reco.explain(3::bigint, 'r1', '{model}'{as_of})",
            "reco.similar_launches(3::bigint, 'r1', 4, '{model}'{as_of})",
            "reco.forecast('r1', '{model}'{as_of})",
        ] {
            let call = format!("SELECT * FROM {}", call.replace("{model}", model));
            let today = rows(&mut client, &call.replace("{as_of}", ""));
            assert!(!today.is_empty() || call.contains("similar_launches"), "{call}");
            for day in LATE {
                let as_of = call.replace("{as_of}", &format!(", as_of => '{day}'"));
                assert_eq!(rows(&mut client, &as_of), today, "{as_of}");
            }
            for day in EARLY {
                let as_of = call.replace("{as_of}", &format!(", as_of => '{day}'"));
                assert!(rows(&mut client, &as_of).is_empty(), "{as_of}");
            }
        }
    }
}

#[test]
fn what_a_test_shows_is_logged_for_an_infinite_day_too() {
    let mut client = models();
    Training::new("launch").param(r#""seed": 3"#).call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('spring', 'launch',
                   '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]')"#,
        )
        .unwrap();
    let log = |day: &str| {
        format!("SELECT reco.log_recommendations('{{1,2,3}}'::text[], '{{r1,r1,r1}}', 'launch', as_of => '{day}')")
    };
    for day in EARLY {
        assert_eq!(value::<i64>(&mut client, &log(day)), 0, "{day}");
    }
    assert_eq!(value::<i64>(&mut client, &log("infinity")), 3);
    assert_eq!(value::<i64>(&mut client, &log("5874897-12-31")), 0, "the same rows again");
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.ab_report('spring')"), 4);
}

#[test]
fn weeks_without_an_end_are_measured_as_all_weeks() {
    let mut client = models();
    for model in ["launch", "moments"] {
        let source = if model == "launch" { "launch_features" } else { "moments" };
        let evaluate = |from: &str, to: &str| {
            format!(
                "SELECT * FROM reco.evaluate('{model}', '{source}', from_week => {from}, to_week => {to})"
            )
        };
        let all = rows(&mut client, &evaluate("NULL", "NULL"));
        for (from, to) in EARLY.iter().zip(LATE) {
            assert_eq!(rows(&mut client, &evaluate(&format!("'{from}'"), &format!("'{to}'"))), all);
        }
        for (from, to) in LATE.iter().zip(EARLY) {
            let nothing = refusal(&mut client, &evaluate(&format!("'{from}'"), &format!("'{to}'")));
            nothing.expect("22000", &["no row", "in these weeks"], &["from_week"]);
        }
    }
    let chart =
        "SELECT count(*) > 0 FROM reco.calibration('launch', 'launch_features', from_week => '-infinity')";
    assert!(value::<bool>(&mut client, chart));
}

#[test]
fn what_is_computed_for_each_week_has_ends() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refresh(&mut client, "'demand'");
    for day in LATE.iter().chain(&EARLY) {
        let words: &[&str] = if day.contains("infinity") { &["infinite"] } else { &["week"] };
        for (call, code) in [
            (
                format!(
                    "CALL reco.refresh_features('demand', from_week => '{day}', to_week => '2024-01-01')"
                ),
                "",
            ),
            (
                format!(
                    "CALL reco.refresh_features('demand', from_week => '2024-01-01', to_week => '{day}')"
                ),
                "",
            ),
            (format!("SELECT * FROM reco.backtest('launch_features', '{day}', '2024-05-06')"), "22023"),
            (format!("SELECT * FROM reco.backtest('launch_features', '2024-05-06', '{day}')"), "22023"),
        ] {
            // From a later week to an earlier one there is nothing to do.
            let backwards = call.contains("refresh")
                && !day.contains("infinity")
                && (call.contains("to_week => '4713") || call.contains("from_week => '5874897"));
            if backwards {
                client.batch_execute(&call).unwrap_or_else(|error| panic!("{call}: {error:?}"));
                continue;
            }
            let refused = refusal(&mut client, &call);
            assert!(words.iter().all(|word| refused.message.contains(word)), "{call}: {refused:?}");
            assert!(code.is_empty() || refused.code == code, "{call}: {refused:?}");
        }
        let week = format!("SELECT reco.week('{day}'::date)");
        match day.contains("infinity") {
            true => drop(refusal(&mut client, &week).expect("22023", &["infinite"], &[])),
            false => assert!(value::<bool>(&mut client, &format!("{week} <= '{day}'::date"))),
        }
    }
    for day in ["5874897-12-31", "4713-01-01 BC"] {
        let call = format!("CALL reco.refresh_features('demand', from_week => '{day}', to_week => '{day}')");
        refusal(&mut client, &call).expect("22003", &["week", "range"], &["from_week"]);
    }
    // So far back there is nothing that a replay could have been trained on.
    let sql = "SELECT * FROM reco.backtest('launch_features', '4713-01-01 BC', '4713-01-01 BC', label => 'purchased')";
    let refused = refusal(&mut client, sql);
    assert!(refused.message.contains("no rows") || refused.message.contains("row"), "{refused:?}");
}

#[test]
fn features_are_looked_up_as_of_any_day() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refresh(&mut client, "'demand'");
    let found = |kind: &str, day: &str, more: &str| {
        format!(
            "SELECT f.* FROM (SELECT 1::bigint AS product_id, 'r0' AS region, '{day}'::{kind} AS at) AS s, \
             LATERAL reco.features_as_of(NULL::demand, s{more}) AS f"
        )
    };
    let newest = rows(
        &mut client,
        "SELECT * FROM demand WHERE (product_id, region) = (1, 'r0') ORDER BY week DESC LIMIT 1",
    );
    for (kind, late, early) in [
        ("date", "5874897-12-31", "4713-01-01 BC"),
        ("timestamp", "294276-12-31 23:59", "4713-01-01 00:00 BC"),
        ("timestamptz", "294276-12-31 23:59", "4713-01-01 00:00 BC"),
    ] {
        for day in ["infinity", late] {
            assert_eq!(rows(&mut client, &found(kind, day, "")), newest, "{kind} {day}");
            // Nothing is young by then.
            assert!(
                rows(&mut client, &found(kind, day, ", max_age => '4 weeks'")).is_empty(),
                "{kind} {day}"
            );
        }
        for day in ["-infinity", early] {
            assert!(
                rows(&mut client, &found(kind, day, ", max_age => '4 weeks'")).is_empty(),
                "{kind} {day}"
            );
            assert!(rows(&mut client, &found(kind, day, "")).is_empty(), "{kind} {day}");
        }
    }
}
