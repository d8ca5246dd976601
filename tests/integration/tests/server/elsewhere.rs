//! Training on other machines: what `export_training_set` gives to whom, and what the file of a model may tell of its training.
//! `make test-torchrun` has the trainings themselves.

use super::model_files::{expected, file, import, metadata, TENSORS};
use super::support::artifact;
use super::trainer_process::with_fake_trainer;
use integration::refusal::Refusal;
use integration::{refusal, rows, value, Background, Database};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

const EXPORT: &str = "SELECT reco.export_training_set('launch_features', 'purchased')";

/// What the file says besides its rows: it stands in the text of the schema.
fn about(exported: &[u8]) -> Value {
    let begins = br#"{"format_version":"#;
    let from = exported.windows(begins.len()).position(|bytes| bytes == begins).unwrap();
    serde_json::Deserializer::from_slice(&exported[from..]).into_iter().next().unwrap().unwrap()
}

#[test]
fn a_training_set_has_the_rows_of_a_training() {
    let database = Database::trained();
    let mut client = database.connect();
    let exported: Vec<u8> = value(&mut client, EXPORT);
    assert!(exported.starts_with(b"ARROW1"));
    let about = about(&exported);
    let data: Value = value(&mut client, "SELECT data FROM reco.versions WHERE model = 'launch'");
    for name in ["rows", "unlabelled", "positives", "train", "validation", "test", "digest", "test_from"] {
        assert_eq!(about["data"][name], data[name], "{name}");
    }
    assert_eq!((&about["algorithm"], &about["task"]), (&"mlp".into(), &"binary".into()));
    assert_eq!(about["taken"]["batch_size"], 64);
    // It is told which keys were taken.
    assert!(database.told_by(EXPORT).iter().any(|line| line.contains("the product is product_id")));
    // Also in a transaction that may not write.
    client.batch_execute(&format!("BEGIN READ ONLY; {EXPORT}; COMMIT")).unwrap();
}

#[test]
fn rows_are_read_with_the_callers_rights() {
    let database = Database::with_data();
    let mut admin = database.connect();
    admin.batch_execute("CREATE ROLE exports LOGIN; GRANT USAGE ON SCHEMA reco TO exports").unwrap();
    let mut client = database.connect_as("exports");
    refusal(&mut client, EXPORT).expect("42501", &["permission denied", "launch_features"], &[]);
    admin
        .batch_execute(
            "GRANT SELECT ON launch_features TO exports;
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_region ON launch_features TO exports USING (region = 'r0')",
        )
        .unwrap();
    let exported: Vec<u8> = value(&mut client, EXPORT);
    assert_eq!(about(&exported)["data"]["rows"], 1500);
}

#[test]
fn what_is_not_trained_elsewhere_is_refused_by_name() {
    let mut client = Database::with_data().connect();
    let mut refused = |arguments: &str| {
        refusal(&mut client, &format!("SELECT reco.export_training_set('launch_features', {arguments})"))
    };
    for algorithm in ["boosted_trees", "popularity", "blend", "auto"] {
        let error = refused(&format!("'purchased', '{algorithm}'"));
        error.expect("22023", &[algorithm, "not trained elsewhere"], &["logistic, mlp, deep_cross"]);
    }
    refused("'purchased', 'lstm'").expect("22023", &["unknown algorithm"], &[]);
    refused("'purchased', params => '{\"trees\": 3}'").expect("22023", &["trees", "mlp"], &[]);
    refused("'purchased', params => '{\"metric\": \"precision_at_k\"}'").expect(
        "22023",
        &["precision_at_k"],
        &[],
    );
    refused("'sold'").expect("42703", &["sold"], &[]);
    refused("NULL").expect("22023", &["label"], &["label =>"]);
    refused("'purchased', NULL").expect("22023", &["algorithm must not be NULL"], &[]);
}

#[test]
fn more_than_a_value_holds_is_not_written() {
    let database = Database::with_data();
    let version = env!("CARGO_PKG_VERSION");
    let script = format!(
        "echo '{{\"event\": \"started\", \"trainer\": \"{version}\", \"libtorch\": \"\", \"device\": \"cpu\", \"threads\": 1}}'
         echo '{{\"event\": \"preparing\", \"bytes\": 1073741824}}'
         exec sleep 100"
    );
    let mut client = with_fake_trainer(&database, &script);
    refusal(&mut client, EXPORT).expect("54000", &["1073741824 bytes", "bytea"], &["number_bins"]);
}

#[test]
fn a_cancel_stops_it_within_a_second() {
    let database = Database::with_data();
    let client = with_fake_trainer(&database, "exec sleep 100");
    let running = Background::start(client, EXPORT);
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    running.cancel();
    let ended = running.finish();
    assert!(ended.at - asked <= Duration::from_secs(1), "{:?}", ended.at - asked);
    ended.refusal().expect("57014", &["user request"], &[]);
}

/// What a file tells whose network is that of [`TENSORS`].
fn told() -> Value {
    let quality = json!({"rows": 20, "positives": 6, "auroc": 0.75, "average_precision": 0.5, "log_loss": 0.4,
                         "brier": 0.2, "calibration": []});
    let evaluation = json!({"model": quality, "popularity": quality});
    // The network's logit, of which `expected` is the calibrated probability.
    let logit = |price, category| {
        let p: f64 = expected(price, category);
        ((p / (1.0 - p)).ln() + 0.25) / 1.5
    };
    json!({
        "parameters": {"epochs": 7}, "taken": {"dropout": 0.0},
        "data": {"task": "binary", "rows": 100, "unlabelled": 0, "positives": 30, "train": 60, "validation": 20,
                 "test": 20, "time_from": "2024-01-01", "time_to": "2024-06-10", "validation_from": "2024-05-06",
                 "test_from": "2024-05-27", "digest": "00ff"},
        "validation": evaluation, "test": evaluation, "best_epoch": 5,
        "training": {"processes": 2, "epochs": 7, "seed": 3, "seconds": 1.5},
        "losses": [[1, 0.7, 0.6], [2, 0.6, null]],
        "libraries": {"torch": "2.13.0"},
        "sample": {"numbers": [[6.0], [null]], "texts": [["drinks"], ["of another world"]],
                   "outputs": [[logit(Some(6.0), Some("drinks"))], [logit(None, Some("never seen"))]]},
    })
}

fn with_told(told: &Value) -> Vec<u8> {
    let mut metadata = metadata();
    metadata["pg_recommend.training"] = told.to_string().into();
    file(&metadata, &TENSORS)
}

#[test]
fn what_a_file_tells_is_the_versions_and_marked_as_told() {
    let database = Database::with_data();
    let mut client = database.connect();
    let source = ", source => 'launch_features', label => 'purchased'";
    assert_eq!(import(&mut client, "elsewhere", &with_told(&told()), source).unwrap(), 1);
    let stored = "SELECT status, parameters ->> 'epochs', metrics #>> '{test,model,auroc}',
                         (metrics ->> 'parity')::float8 < 1e-5, data ->> 'digest', data #>> '{told_by_file,processes}',
                         data #>> '{defaults,mlp,dropout}', libraries ->> 'torch', libraries ? 'pg_recommend'
                  FROM reco.versions";
    assert_eq!(rows(&mut client, stored), ["(imported,7,0.75,t,00ff,2,0.0,2.13.0,t)"]);
    let board = "SELECT auroc, test_auroc FROM reco.leaderboard('elsewhere')";
    assert_eq!(rows(&mut client, board), ["(0.75,0.75)"]);
    let card: String = value(&mut client, "SELECT reco.model_card_text('elsewhere')");
    assert!(card.contains("told by the file") && card.contains("00ff"), "{card}");
    assert!(value::<bool>(&mut client, "SELECT reco.report('elsewhere') LIKE '%0.75%'"));
    // The rows that it shows are not kept.
    let kept = artifact(&mut client, "elsewhere", 1);
    assert!(!kept.windows(13).any(|bytes| bytes == b"another world"));
    assert_eq!(import(&mut client, "copy", &kept, "").unwrap(), 1);
    // It can be trained again here, with its parameters.
    let call = "CALL reco.retrain('elsewhere')";
    client.batch_execute(call).unwrap();
    let again = "SELECT parameters ->> 'epochs', data ? 'told_by_file' FROM reco.versions WHERE version = 2";
    assert_eq!(rows(&mut client, again), ["(7,f)"]);
}

#[test]
fn what_a_file_tells_wrongly_is_refused() {
    let database = Database::with_data();
    let mut client = database.connect();
    let mut refused =
        |told: &Value| Refusal::of(&import(&mut client, "elsewhere", &with_told(told), "").unwrap_err());
    let mut changed = told();
    changed["sample"]["outputs"][1][0] = 3.0.into();
    refused(&changed).expect("22P03", &["row 2 comes out here", "1e-5"], &[]);
    let mut changed = told();
    changed["test"]["model"]["auroc"] = 1.5.into();
    refused(&changed).expect("22P03", &["test rows are impossible"], &[]);
    let mut changed = told();
    changed["parameters"]["epochs"] = 0.into();
    refused(&changed).expect("22023", &["epochs"], &[]);
    let mut changed = told();
    changed.as_object_mut().unwrap().remove("sample");
    refused(&changed).expect("22P03", &["pg_recommend.training", "cannot be read"], &[]);
    assert!(rows(&mut client, "SELECT * FROM reco.models").is_empty());
}
