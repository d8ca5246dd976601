//! A version's probabilities, fitted anew to rows that it has not learned from.

use super::support::champion;
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// The model `copy`, made elsewhere as far as anybody knows, and rows of which fewer are bought than it thinks.
fn imported() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE held AS SELECT * FROM launch_features WHERE purchased IS NOT NULL;
             UPDATE held SET purchased = purchased AND hashint8(product_id) % 3 = 0;
             INSERT INTO held SELECT (jsonb_populate_record(f, '{\"purchased\": null}')).* FROM held AS f LIMIT 50;
             SELECT reco.import_model('copy', reco.export_model('launch'), source => 'held', label => 'purchased')",
        )
        .unwrap();
    (database, client)
}

#[test]
fn an_imported_version_is_right_on_average_afterwards_and_ranks_as_before() {
    let (_database, mut client) = imported();
    for (version, method) in [(2, "platt"), (3, "isotonic")] {
        let call = format!("SELECT reco.calibrate('copy', 1, 'held', method => '{method}')");
        assert_eq!(value::<i32>(&mut client, &call), version);
        let measured = format!(
            "SELECT e.mean_score - e.mean_label, e.log_loss - b.log_loss, e.auroc - b.auroc
             FROM reco.evaluate('copy', 'held', version => {version}) AS e, reco.evaluate('copy', 'held', version => 1) AS b"
        );
        let row = client.query_one(&measured, &[]).unwrap();
        let [bias, loss, auroc]: [f64; 3] = [row.get(0), row.get(1), row.get(2)];
        assert!(bias.abs() < 0.01 && loss < -0.01, "{method}: {bias} {loss}");
        // Within a step, scores of close numbers may be one number.
        assert!(auroc.abs() < 1e-4, "{method}: {auroc}");
    }
    assert_eq!(champion(&mut client, "copy"), Some(1));
    let lineage = "SELECT status, label, data #>> '{calibration,from_version}', data #>> '{calibration,method}',
                          (data #>> '{calibration,rows}')::bigint = (SELECT count(purchased) FROM held),
                          (data #>> '{calibration,positives}')::bigint = (SELECT count(*) FROM held WHERE purchased),
                          (data #>> '{calibration,log_loss_after}')::float8 < (data #>> '{calibration,log_loss_before}')::float8
                   FROM reco.versions WHERE model = 'copy' AND version > 1 ORDER BY version";
    assert_eq!(
        rows(&mut client, lineage),
        ["(calibrated,purchased,1,platt,t,t,t)", "(calibrated,purchased,1,isotonic,t,t,t)"]
    );
    let beside = "SELECT v.version, e.rows FROM reco.versions AS v, reco.evaluate('copy', 'held', version => v.version) AS e
                  WHERE v.model = 'copy' AND v.status <> 'archived' ORDER BY e.log_loss";
    assert_eq!(client.query(beside, &[]).unwrap().len(), 3);
    let audited = "SELECT count(*) FROM reco.audit WHERE model = 'copy' AND action = 'calibrated'";
    assert_eq!(value::<i64>(&mut client, audited), 2);
    let promoted = "SELECT reco.calibrate('copy', NULL, 'held', promote => true)";
    assert_eq!(value::<i32>(&mut client, promoted), 4);
    assert_eq!(champion(&mut client, "copy"), Some(4));
    let card: String = value(&mut client, "SELECT reco.model_card_text('copy')");
    assert!(card.contains("calibrated"), "{card}");
    assert!(value::<bool>(&mut client, "SELECT reco.report('copy') LIKE '%copy%'"));
}

#[test]
fn a_calibrated_version_leaves_as_a_graph_and_comes_back_as_it_was() {
    let (_database, mut client) = imported();
    for (version, method) in [(2, "platt"), (3, "isotonic")] {
        let calibrate = format!("SELECT reco.calibrate('copy', 1, 'held', method => '{method}')");
        assert_eq!(value::<i32>(&mut client, &calibrate), version);
        // The graph's scores are compared with the version's when it is read back.
        let back = "SELECT reco.import_model($1, reco.export_model('copy', $2, 'onnx'))";
        client.execute(back, &[&method, &version]).unwrap();
        let same = "SELECT reco.export_model($1, 1) = reco.export_model('copy', $2)";
        assert!(client.query_one(same, &[&method, &version]).unwrap().get::<_, bool>(0), "{method}");
    }
}

#[test]
fn of_its_own_source_only_rows_that_it_has_not_learned_from_are_taken() {
    let mut client = Database::trained().connect();
    Training::new("launch").param("\"refit\": false").call(&mut client);
    assert_eq!(value::<i32>(&mut client, "SELECT reco.calibrate('launch', 2, 'launch_features')"), 3);
    let unseen = "SELECT (c.data #>> '{calibration,rows}')::bigint = (
                             SELECT count(purchased) FROM launch_features WHERE week >= (b.data ->> 'test_from')::date)
                         AND c.data -> 'test_from' IS NULL AND c.data -> 'digest' = b.data -> 'digest'
                         AND c.parameters = b.parameters AND c.metrics ->> 'test' IS NULL
                         AND c.data #>> '{calibration,newest}' = (
                             SELECT max(week)::text FROM launch_features WHERE purchased IS NOT NULL)
                  FROM reco.versions AS c, reco.versions AS b WHERE c.version = 3 AND b.version = 2";
    assert!(value::<bool>(&mut client, unseen));
    let drift = "SELECT count(*) > 0 AND bool_and(column_name IS NOT NULL) FROM reco.version_histogram WHERE version = 3";
    assert!(value::<bool>(&mut client, drift));
    let earlier = "SELECT reco.calibrate('launch', 2, 'launch_features', from_week => '2000-01-03')";
    refusal(&mut client, earlier).expect("22023", &["may have learned from rows", "before"], &["from_week"]);
    // The refit of version 1 has learned from every row, and version 3 knows all outcomes.
    for version in [1, 3] {
        let call = format!("SELECT reco.calibrate('launch', {version}, 'launch_features')");
        refusal(&mut client, &call).expect("22000", &["0 rows of", "purchased"], &["20 rows"]);
    }
    client.batch_execute("CREATE TABLE timeless AS SELECT price, purchased FROM launch_features").unwrap();
    let params = r#"{"epochs": 2, "threads": 1, "batch_size": 128, "refit": false}"#;
    Training::new("timeless").source("timeless").params(params).call(&mut client);
    let unknown = "SELECT reco.calibrate('timeless', NULL, 'timeless')";
    refusal(&mut client, unknown).expect("22023", &["not known which rows"], &["view"]);
}

#[test]
fn what_cannot_be_calibrated_is_refused_and_nothing_is_stored() {
    let (database, mut client) = imported();
    let mut refuse = |arguments: &str, code: &str, words: &[&str]| {
        let call = format!("SELECT reco.calibrate('copy', {arguments})");
        refusal(&mut client, &call).expect(code, words, &[]);
    };
    refuse("1, 'held', method => 'beta'", "22023", &["beta"]);
    refuse("9, 'held'", "42704", &["no version 9"]);
    refuse("1, 'held', label => 'colour'", "42703", &["colour"]);
    client.batch_execute("CREATE VIEW unsold AS SELECT * FROM held WHERE NOT purchased").unwrap();
    client
        .batch_execute(
            "CREATE VIEW worse AS SELECT *, reco.predict('copy', h) < 0.5 AS wrong FROM held AS h;
             CREATE ROLE cal_scorer LOGIN; CREATE ROLE cal_trainer LOGIN; GRANT USAGE ON SCHEMA public, reco TO cal_scorer, cal_trainer;
             SELECT reco.grant_model('copy', 'cal_scorer', 'score'), reco.grant_model('copy', 'cal_trainer', 'train')",
        )
        .unwrap();
    let one_class = "SELECT reco.calibrate('copy', 1, 'unsold')";
    refusal(&mut client, one_class).expect("22000", &["0 are positive"], &["20 rows of each"]);
    let down = "SELECT reco.calibrate('copy', 1, 'worse', 'wrong')";
    refusal(&mut client, down).expect("22000", &["does not become more frequent"], &["ranking"]);
    let call = "SELECT reco.calibrate('copy', 1, 'held')";
    refusal(&mut database.connect_as("cal_scorer"), call).expect("42501", &["copy"], &[]);
    refusal(&mut database.connect_as("cal_trainer"), call).expect("42501", &["held"], &[]);
    client.batch_execute("GRANT SELECT ON held TO cal_trainer").unwrap();
    let promote = "SELECT reco.calibrate('copy', 1, 'held', promote => true)";
    refusal(&mut database.connect_as("cal_trainer"), promote).expect("42501", &["copy"], &[]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.versions WHERE model = 'copy'"), 1);
    assert_eq!(value::<i32>(&mut database.connect_as("cal_trainer"), call), 2);
}

#[test]
fn quantities_have_no_probabilities_to_calibrate() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute("CREATE TABLE sizes AS SELECT week, price, price * 2 AS twice FROM launch_features")
        .unwrap();
    let params = r#"{"epochs": 2, "threads": 1, "batch_size": 128}"#;
    Training::new("sizes").source("sizes").label("twice").params(params).call(&mut client);
    let call = "SELECT reco.calibrate('sizes', NULL, 'sizes')";
    refusal(&mut client, call).expect("22023", &["predicts a quantity"], &["Probabilities"]);
}
