//! What is served has learned from the newest weeks; what is told of it was measured on weeks that were not learned from.

use super::support::{auroc, champion};
use integration::{value, Database, Training};
use postgres::Client;

const TEST_ROWS: &str =
    "purchased IS NOT NULL AND week >= (SELECT max(data ->> 'test_from')::date FROM reco.versions)";

fn measured(client: &mut Client, arguments: &str) -> f64 {
    value(client, &format!("SELECT auroc FROM reco.evaluate('launch', 'launch_features'{arguments})"))
}

#[test]
fn the_served_weights_have_learned_from_every_labelled_row_and_the_figures_are_those_of_before() {
    let mut client = Database::trained().connect();
    let labelled: i64 = value(&mut client, "SELECT count(purchased) FROM launch_features");
    assert_eq!(
        value::<i64>(&mut client, "SELECT (data ->> 'refit_rows')::bigint FROM reco.versions"),
        labelled
    );
    let stored: f64 = value(&mut client, "SELECT test_auroc FROM reco.versions");
    let served = auroc(&mut client, "reco.predict('launch', f)", "launch_features", TEST_ROWS);
    assert!((served - stored).abs() > 1e-6, "{served} {stored}");
    // Without a refit nothing else is served, and the figures are the same.
    Training::new("launch").param("\"refit\": false").call(&mut client);
    let plain: f64 = value(&mut client, "SELECT test_auroc FROM reco.versions WHERE version = 2");
    assert_eq!(plain, stored);
    let none = "SELECT data ->> 'refit_rows' IS NULL FROM reco.versions WHERE version = 2";
    assert!(value::<bool>(&mut client, none));
}

#[test]
fn rows_that_the_refit_has_learned_from_are_measured_by_the_fit_before_and_later_ones_by_what_is_served() {
    let mut client = Database::trained().connect();
    let stored: f64 = value(&mut client, "SELECT test_auroc FROM reco.versions");
    let test_from: String = value(&mut client, "SELECT data ->> 'test_from' FROM reco.versions");
    assert!((measured(&mut client, &format!(", from_week => '{test_from}'")) - stored).abs() < 1e-9);
    // A week later than all that was learned from, with outcomes.
    client
        .batch_execute(
            "INSERT INTO launch_features
             SELECT (jsonb_populate_record(n.f, jsonb_build_object('week', (n.f).week + 21, 'purchased', n.bought))).*
             FROM (SELECT f, hashint8(product_id) % 2 = 0 AS bought FROM launch_features AS f
                   WHERE week = (SELECT max(week) FROM launch_features)) AS n",
        )
        .unwrap();
    let newest = "week = (SELECT max(week) FROM launch_features)";
    let served = auroc(&mut client, "reco.predict('launch', f)", "launch_features", newest);
    let week: String = value(&mut client, "SELECT max(week)::text FROM launch_features");
    assert!((measured(&mut client, &format!(", from_week => '{week}'")) - served).abs() < 1e-9);
}

#[test]
fn versions_are_compared_on_the_test_weeks_by_the_fits_that_have_not_seen_them() {
    let mut client = Database::trained().connect();
    Training::new("launch").param("\"seed\": 5, \"epochs\": 14").call(&mut client);
    let stored: Vec<f64> = client
        .query("SELECT (metrics #>> '{test,model,average_precision}')::float8 FROM reco.versions ORDER BY version", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let row =
        client.query_one("SELECT champion, candidate FROM reco.promote_if_better('launch', 2)", &[]).unwrap();
    let (before, after): (f64, f64) = (row.get(0), row.get(1));
    assert!(
        (before - stored[0]).abs() < 1e-9 && (after - stored[1]).abs() < 1e-9,
        "{before} {after} {stored:?}"
    );
    assert_eq!(champion(&mut client, "launch"), Some(if after > before { 2 } else { 1 }));
}

#[test]
fn the_card_says_that_the_figures_are_of_the_fit_before() {
    let mut client = Database::trained().connect();
    let card: String = value(&mut client, "SELECT reco.model_card_text('launch')");
    assert!(card.contains("were trained once more on all"), "{card}");
    Training::new("launch").param("\"refit\": false").with("promote => true").call(&mut client);
    let card: String = value(&mut client, "SELECT reco.model_card_text('launch')");
    assert!(!card.contains("were trained once more on all"), "{card}");
}

#[test]
fn both_weights_go_with_their_version() {
    let mut client = Database::trained().connect();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.artifact"), 2);
    client.batch_execute("SELECT reco.drop_model('launch', force => true)").unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.artifact"), 0);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.artifact_chunk"), 0);
}
