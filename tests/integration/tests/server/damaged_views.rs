//! Feature views whose rows in the catalog are damaged: named, told by the check, and dropped.

use super::views::refresh;
use integration::{refusal, rows, value, Database};
use postgres::Client;

/// `healthy`, and `top`, which reads `middle`, which reads `bottom`.
fn views() -> (Database, Client) {
    let database = Database::with_data();
    let mut client = database.connect();
    for (view, inputs) in [("healthy", ""), ("bottom", ""), ("middle", "bottom"), ("top", "middle")] {
        client
            .batch_execute(&format!(
                "SELECT reco.create_feature_view('{view}', 'SELECT product_id, region, week, price FROM launch_features WHERE week BETWEEN $1 AND $2',
                        '{{product_id,region}}', inputs => '{{{inputs}}}',
                        available => 'SELECT min(week), min(week) + 21 FROM launch_features')"
            ))
            .unwrap_or_else(|error| panic!("{error:?}"));
    }
    refresh(&mut client, "'healthy'");
    refresh(&mut client, "'top'");
    (database, client)
}

const FAULTS: &str = "SELECT detail FROM reco.check_setup() WHERE item = 'catalog'";

fn id(view: &str) -> String {
    format!("(SELECT view_id FROM reco.feature_view WHERE table_name = '{view}')")
}

#[test]
fn a_view_that_reads_itself_is_named_and_can_be_dropped() {
    let (database, mut client) = views();
    for (damaged, reads) in [("bottom", "bottom"), ("bottom", "top"), ("middle", "top")] {
        for dropped in ["bottom", "middle", "top"] {
            let mut client = database.connect();
            let inputs = format!(
                "UPDATE reco.feature_view SET inputs = inputs || {} WHERE table_name = '{damaged}'",
                id(reads)
            );
            client.batch_execute(&format!("BEGIN; {inputs}; SAVEPOINT damaged")).unwrap();
            let error = refusal(&mut client, "CALL reco.refresh_features('top')");
            error.expect("XX001", &["feature view public.", "is an input of itself"], &["check_setup"]);
            client.batch_execute("ROLLBACK TO damaged").unwrap();
            let told: String = value(&mut client, FAULTS);
            assert!(
                told.contains(&format!("the feature view public.{damaged} is an input of itself")),
                "{told}"
            );
            client
                .batch_execute("CALL reco.refresh_features('healthy'); SELECT * FROM reco.feature_views")
                .unwrap();
            // One that is not part of the circle is still an input of one that is there.
            let in_circle = reads == "top" || dropped == "top";
            if in_circle && (damaged, dropped) != ("middle", "bottom") {
                client
                    .batch_execute(&format!(
                        "SELECT reco.drop_feature_view('{dropped}', with_inputs => true)"
                    ))
                    .unwrap();
            }
            client.batch_execute("ROLLBACK TO damaged; SELECT reco.drop_feature_view('healthy')").unwrap();
        }
    }
    client
        .batch_execute(&format!(
            "UPDATE reco.feature_view SET inputs = ARRAY[{}] WHERE table_name = 'bottom'",
            id("bottom")
        ))
        .unwrap();
    client.batch_execute("SELECT reco.drop_feature_view('top', with_inputs => true)").unwrap();
    assert_eq!(rows(&mut client, "SELECT view FROM reco.feature_views"), ["(public.healthy)"]);
}

#[test]
fn damaged_values_are_named_and_the_view_can_be_dropped() {
    let (database, _client) = views();
    for (column, values) in [
        ("keys", ["'{}'", "'{NULL}'", "'{{product_id},{region}}'"].as_slice()),
        ("planned", &["'{NULL}'", "'{{price},{week}}'"]),
        ("inputs", &["'{NULL}'", "ARRAY[[gen_random_uuid()], [gen_random_uuid()]]"]),
        ("settings", &["'null'", "'7'", "'[]'", "'\"text\"'", "'{\"work_mem\": 1e400}'"]),
        ("partition_by", &["''", "'decade'"]),
        (
            "engine",
            &[
                "'null'",
                "'{}'",
                "'{\"products\": \"\", \"attributes\": [], \"launch_weeks\": 0, \"warm_up_weeks\": 0}'",
            ],
        ),
        ("lookback", &["-1", "2147483647"]),
        ("horizon", &["-1", "2147483647"]),
    ] {
        for value_of in values {
            let mut client = database.connect();
            let damage =
                format!("UPDATE reco.feature_view SET {column} = {value_of} WHERE table_name = 'top'");
            client.batch_execute(&format!("BEGIN; {damage}; SAVEPOINT damaged")).unwrap();
            for sql in [
                "CALL reco.refresh_features('top')",
                "SELECT * FROM launch_features AS s, reco.features_as_of(NULL::top, s, at => 'week')",
                "CALL reco.train('model', 'top', 'price')",
            ] {
                let error = refusal(&mut client, sql);
                error.expect(
                    "XX001",
                    &[column, "of the feature view public.top is damaged"],
                    &["check_setup"],
                );
                client.batch_execute("ROLLBACK TO damaged").unwrap();
            }
            let told: String = value(&mut client, FAULTS);
            assert!(told.contains("of the feature view public.top is damaged"), "{damage}: {told}");
            client
                .batch_execute("CALL reco.refresh_features('healthy'); SELECT * FROM reco.feature_views")
                .unwrap();
            client.batch_execute("SELECT reco.drop_feature_view('top')").unwrap();
        }
    }
    // Weeks that cannot be so hide no other view.
    let mut client = database.connect();
    for damage in [
        "UPDATE reco.feature_week SET rows = 9223372036854775807",
        "UPDATE reco.feature_week SET week = 'infinity' WHERE week = (SELECT max(week) FROM reco.feature_week)",
        "UPDATE reco.feature_week SET week = '5874897-12-31' WHERE week = (SELECT max(week) FROM reco.feature_week)",
    ] {
        client.batch_execute(&format!("BEGIN; {damage}; SAVEPOINT damaged; SELECT * FROM reco.feature_views; SELECT * FROM reco.feature_refreshes")).unwrap();
        if let Err(error) = client.batch_execute("CALL reco.refresh_features('top')") {
            let code = error.as_db_error().map(|error| error.code().code().to_owned());
            assert!(!matches!(code.as_deref(), None | Some("XX000" | "22008")), "{damage}: {error:?}");
        }
        client.batch_execute("ROLLBACK TO damaged; SELECT reco.drop_feature_view('top', with_inputs => true); ROLLBACK").unwrap();
    }
}
