//! Versions as files: exported, imported, and made by a writer that is not ours.

use super::support::{artifact, champion, sum_of_scores};
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;
use serde_json::{json, Value};

/// A safetensors file by hand: the header's length, the header, the numbers.
pub fn file(metadata: &Value, tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut header = serde_json::Map::from_iter([("__metadata__".to_owned(), metadata.clone())]);
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let info = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert((*name).to_owned(), info);
    }
    let header = Value::from(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

const EMBEDDING: [f32; 8] = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8];
const HIDDEN: [f32; 12] = [0.5, -1.0, 0.25, 2.0, -0.75, 0.5, 1.0, -0.5, 1.5, 0.2, -0.3, 0.9];
const HIDDEN_BIAS: [f32; 3] = [0.1, -0.1, 0.05];
const LAST: [f32; 3] = [0.8, -1.2, 0.6];
const LAST_BIAS: [f32; 1] = [0.15];

pub fn metadata() -> Value {
    let recipe = json!({"columns": [
        {"name": "price", "sql_type": "numeric", "family": "number",
         "input": {"numbers": [{"mean": 5.0, "scale": 2.0, "indicator": true}]}},
        {"name": "category", "sql_type": "text", "family": "text",
         "input": {"category": {"vocabulary": ["drinks", "bakery"], "dimension": 2}}},
    ]});
    json!({
        "format": "pg_recommend", "format_version": "1", "algorithm": "mlp", "recipe": recipe.to_string(),
        "layout": json!({"networks": {"members": 1, "crosses": 0, "layers": 2}}).to_string(),
        "output": json!({"platt": {"slope": 1.5, "offset": -0.25}}).to_string(),
    })
}

pub const TENSORS: [(&str, &[usize], &[f32]); 5] = [
    ("network.0.embedding.0", &[4, 2], &EMBEDDING),
    ("network.0.layer.0.weight", &[3, 4], &HIDDEN),
    ("network.0.layer.0.bias", &[3], &HIDDEN_BIAS),
    ("network.0.layer.1.weight", &[1, 3], &LAST),
    ("network.0.layer.1.bias", &[1], &LAST_BIAS),
];

/// What the network of the file gives, from its definition: the standardized price, whether it is missing, and the
/// category's embedding, which has row 0 for what was never seen, 1 for NULL and then the vocabulary.
pub fn expected(price: Option<f64>, category: Option<&str>) -> f64 {
    let row = match category {
        None => 1,
        Some("drinks") => 2,
        Some("bakery") => 3,
        Some(_) => 0,
    };
    let embedded = &EMBEDDING[2 * row..2 * row + 2];
    let input = [
        price.map_or(0.0, |price| (price - 5.0) / 2.0),
        f64::from(u8::from(price.is_none())),
        embedded[0].into(),
        embedded[1].into(),
    ];
    let logit: f64 = (0..3)
        .map(|unit| {
            let sum: f64 = (0..4).map(|i| f64::from(HIDDEN[4 * unit + i]) * input[i]).sum();
            f64::from(LAST[unit]) * (sum + f64::from(HIDDEN_BIAS[unit])).max(0.0)
        })
        .sum();
    1.0 / (1.0 + (-(1.5 * (logit + f64::from(LAST_BIAS[0])) - 0.25)).exp())
}

pub fn import(client: &mut Client, model: &str, bytes: &[u8], others: &str) -> Result<i32, postgres::Error> {
    let sql = format!("SELECT reco.import_model('{model}', $1{others})");
    client.query_one(&sql, &[&bytes]).map(|row| row.get(0))
}

#[test]
fn a_file_of_another_writer_scores_as_its_arithmetic_says() {
    let mut client = Database::with_data().connect();
    assert_eq!(import(&mut client, "made elsewhere", &file(&metadata(), &TENSORS), "").unwrap(), 1);
    assert_eq!(champion(&mut client, "made elsewhere"), Some(1));
    for (price, category) in [
        (Some(6.0), Some("drinks")),
        (None, Some("bakery")),
        (Some(3.5), Some("never seen")),
        (Some(70.0), None),
    ] {
        let sql = "SELECT reco.predict('made elsewhere', r) FROM (SELECT $1::float8 AS price, $2::text AS category) AS r";
        let found: f64 = client.query_one(sql, &[&price, &category]).unwrap().get(0);
        let expected = expected(price, category);
        assert!((found - expected).abs() < 1e-6, "{price:?} {category:?}: {found}, not {expected}");
    }
    let stored = "SELECT algorithm, status, run_id, source, label, trained_by FROM reco.versions";
    assert_eq!(rows(&mut client, stored), ["(mlp,imported,,,,postgres)"]);
    let audit = "SELECT action, version FROM reco.audit ORDER BY at";
    assert_eq!(rows(&mut client, audit), ["(imported,1)", "(promoted,1)"]);
    // Without a source there is no row to recommend from.
    let error = refusal(&mut client, "SELECT reco.recommend(1, 'r1')");
    error.expect("55000", &["\"made elsewhere\"", "no source"], &["source"]);
}

#[test]
fn an_imported_version_recommends_from_the_source_that_was_named() {
    let mut client = Database::with_data().connect();
    let bytes = file(&metadata(), &TENSORS);
    assert_eq!(
        import(&mut client, "launch", &bytes, ", source => 'launch_features', label => 'purchased'").unwrap(),
        1
    );
    let stored = "SELECT source, keys, time_column, label FROM reco.versions";
    assert_eq!(
        rows(&mut client, stored),
        ["(public.launch_features,\"{product_id,region}\",week,purchased)"]
    );
    let recommended: f64 = value(&mut client, "SELECT reco.recommend(1, 'r1')");
    let newest = "SELECT reco.predict('launch', f) FROM launch_features AS f \
                  WHERE (product_id, region) = (1, 'r1') ORDER BY week DESC LIMIT 1";
    assert_eq!(value::<f64>(&mut client, newest), recommended);

    // A further version, with keys of its own.
    let others = ", 'launch_features', keys => '{product_id, category}', time_column => 'launched_on', promote => true";
    assert_eq!(import(&mut client, "launch", &bytes, others).unwrap(), 2);
    assert_eq!(champion(&mut client, "launch"), Some(2));
    let stored = "SELECT keys, time_column FROM reco.versions WHERE version = 2";
    assert_eq!(rows(&mut client, stored), ["(\"{product_id,category}\",launched_on)"]);
}

#[test]
fn an_exported_version_comes_back_the_same() {
    let database = Database::trained();
    let mut client = database.connect();
    let bytes: Vec<u8> = value(&mut client, "SELECT reco.export_model('launch')");
    assert!(bytes == artifact(&mut client, "launch", 1));
    assert_eq!(import(&mut client, "copy", &bytes, ", 'launch_features'").unwrap(), 1);
    assert!(artifact(&mut client, "copy", 1) == bytes);
    assert_eq!(sum_of_scores(&mut client, "copy"), sum_of_scores(&mut client, "launch"));
    let audit = "SELECT model, version FROM reco.audit WHERE action = 'exported'";
    assert_eq!(rows(&mut client, audit), ["(launch,1)"]);
    refusal(&mut client, "SELECT reco.export_model('launch', 2)").expect("42704", &["no version 2"], &[]);
    let leaderboard = "SELECT version, auroc FROM reco.leaderboard('copy')";
    assert_eq!(rows(&mut client, leaderboard), ["(1,)"]);
}

/// A change to the file, and a word that the refusal has.
type Fault = (Vec<u8>, &'static str);

fn faults() -> Vec<Fault> {
    let whole = file(&metadata(), &TENSORS);
    let with = |key: &str, text: String| {
        let mut changed = metadata();
        changed[key] = text.into();
        file(&changed, &TENSORS)
    };
    let with_tensors = |n: usize, tensor: (&'static str, &'static [usize], &'static [f32])| {
        let mut tensors: [(&str, &[usize], &[f32]); 5] = TENSORS;
        tensors[n] = tensor;
        file(&metadata(), &tensors)
    };
    let mut too_long = whole.clone();
    too_long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let recipe = |from: &str, to: &str| metadata()["recipe"].as_str().unwrap().replace(from, to);
    vec![
        (Vec::new(), "safetensors"),
        (whole[..7].to_vec(), "safetensors"),
        (whole[..whole.len() - 1].to_vec(), "safetensors"),
        ([whole.clone(), vec![0]].concat(), "safetensors"),
        (too_long, "safetensors"),
        (with("format", "another".into()), "format"),
        (with("format_version", "2".into()), "format version"),
        (with("algorithm", "magic".into()), "magic"),
        (with("recipe", "{".into()), "recipe"),
        (with("recipe", recipe("2.0", "-2.0")), "price"),
        (with("recipe", recipe("\"bakery\"", "\"drinks\"")), "category"),
        (
            with("layout", r#"{"networks": {"members": 99999999, "crosses": 0, "layers": 2}}"#.into()),
            "99999999",
        ),
        (with("layout", r#"{"networks": {"members": 1, "crosses": 0, "layers": 3}}"#.into()), "layer.2"),
        (with("output", r#"{"platt": {"slope": -1, "offset": 0}}"#.into()), "calibration"),
        (with("output", r#"{"quantity": {"mean": 0, "scale": 1, "least": null}}"#.into()), "layer 1"),
        (with_tensors(1, ("network.0.layer.0.weight", &[4, 3], &HIDDEN)), ""),
        (with_tensors(4, ("network.0.layer.1.bias", &[1], &[f32::NAN])), "finite"),
        (with_tensors(2, ("network.0.layer.0.bias", &[3], &[3e38, 3e38, 3e38])), "overflow"),
        (with_tensors(4, ("network.0.layer.9.bias", &[1], &LAST_BIAS)), "layer.1.bias"),
    ]
}

#[test]
fn a_faulty_file_is_refused_and_leaves_nothing() {
    let mut client = Database::with_data().connect();
    for (n, (bytes, word)) in faults().into_iter().enumerate() {
        let error = import(&mut client, "launch", &bytes, "").expect_err(&format!("fault {n}: {word}"));
        let refusal = integration::refusal::Refusal::of(&error);
        refusal.expect("22P03", &["cannot be imported", word], &["reco.export_model"]);
    }
    for table in ["model", "version", "artifact", "audit_event"] {
        assert_eq!(value::<i64>(&mut client, &format!("SELECT count(*) FROM reco.{table}")), 0, "{table}");
    }
}

#[test]
fn bad_arguments_of_an_import_are_named() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE lacks_category AS SELECT product_id, region, week, price FROM launch_features",
        )
        .unwrap();
    let bytes = file(&metadata(), &TENSORS);
    for (others, code, word) in [
        (", keys => '{product_id}'", "22023", "source"),
        (", 'lacks_category'", "42703", "category"),
        (", 'launch_features', keys => '{nothing}'", "42703", "nothing"),
        (", 'launch_features', label => 'nothing'", "42703", "nothing"),
        (", promote => NULL", "22023", "promote"),
    ] {
        let error = import(&mut client, "launch", &bytes, others).expect_err(others);
        integration::refusal::Refusal::of(&error).expect(code, &[word], &[]);
    }
    let error = import(&mut client, &"a".repeat(64), &bytes, "").expect_err("a long name");
    integration::refusal::Refusal::of(&error).expect("22023", &["1 to 63 bytes"], &[]);
    client.batch_execute("SET reco.max_import_size = '1MB'").unwrap();
    let error = import(&mut client, "launch", &vec![0; (1 << 20) + 1], "").expect_err("a large file");
    integration::refusal::Refusal::of(&error).expect(
        "22023",
        &["more than 1048576"],
        &["reco.max_import_size"],
    );
}

/// With a cross layer in place of the hidden ones, whose sums can grow without a bound.
fn crossed(size: f32) -> Vec<u8> {
    let mut metadata = metadata();
    metadata["layout"] = json!({"networks": {"members": 1, "crosses": 2, "layers": 1}}).to_string().into();
    metadata["algorithm"] = "deep_cross".into();
    let (down, up, bias, last) = ([size; 4], [size; 4], [0.1; 4], [0.5; 4]);
    let cross = |k: usize| {
        [
            format!("network.0.cross.{k}.down"),
            format!("network.0.cross.{k}.up"),
            format!("network.0.cross.{k}.bias"),
        ]
    };
    let (first, second) = (cross(0), cross(1));
    let mut tensors: Vec<(&str, &[usize], &[f32])> = vec![("network.0.embedding.0", &[4, 2], &EMBEDDING)];
    for names in [&first, &second] {
        tensors.push((&names[0], &[1, 4], &down));
        tensors.push((&names[1], &[4, 1], &up));
        tensors.push((&names[2], &[4], &bias));
    }
    tensors.push(("network.0.layer.0.weight", &[1, 4], &last));
    tensors.push(("network.0.layer.0.bias", &[1], &LAST_BIAS));
    file(&metadata, &tensors)
}

#[test]
fn weights_whose_sums_can_overflow_are_refused() {
    let mut client = Database::with_data().connect();
    for (layer, size) in [(1, 1e36_f32), (3, 3e38)] {
        let large = [size, -size, size, -size, size, -size, size, -size, size, -size, size, -size];
        let mut tensors: [(&str, &[usize], &[f32]); 5] = TENSORS;
        tensors[layer].2 = &large[..TENSORS[layer].2.len()];
        let error = import(&mut client, "large", &file(&metadata(), &tensors), "").unwrap_err();
        let refused = integration::refusal::Refusal::of(&error);
        refused.expect("22P03", &["cannot be imported", "weights"], &["reco.export_model"]);
    }
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.models"), 0);
}

#[test]
fn a_score_that_is_no_number_is_an_error_that_names_the_model() {
    let mut client = Database::with_data().connect();
    client.batch_execute("UPDATE launch_features SET price = 99999 WHERE product_id = 7").unwrap();
    import(&mut client, "wild", &crossed(1e8), ", source => 'launch_features', label => 'purchased'")
        .unwrap();
    for call in [
        "reco.predict('wild', f) FROM launch_features AS f WHERE product_id = 7",
        "reco.recommend(7::bigint, 'r1')",
        "reco.top_products('r1')",
        "reco.explain(7::bigint, 'r1')",
        "reco.forecast('r1')",
        "reco.evaluate('wild', 'launch_features')",
    ] {
        let error = refusal(&mut client, &format!("SELECT {call}"));
        error.expect("22003", &["version 1 of model \"wild\"", "overflow"], &["NULL"]);
    }
    // Missing values, infinite ones among them, have no such effect.
    let missing = "SELECT reco.predict('wild', r) FROM (SELECT 'Infinity'::float8 AS price, NULL::text AS category) AS r";
    assert!((0.0..=1.0).contains(&value::<f64>(&mut client, missing)));
}

/// The bytes of the graph, which has these texts in it as they are.
fn as_onnx(client: &mut Client, model: &str) -> Vec<u8> {
    value(client, &format!("SELECT reco.export_model('{model}', NULL, 'onnx')"))
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_version_of_each_algorithm_leaves_as_onnx_and_comes_back_as_it_was() {
    let database = Database::with_data();
    let mut client = database.connect();
    for (algorithm, operator) in [
        ("logistic", "Gemm"),
        ("mlp", "Relu"),
        ("deep_cross", "cross.0"),
        ("boosted_trees", "TreeEnsembleRegressor"),
    ] {
        let params = match algorithm {
            "boosted_trees" => r#"{"trees": 20, "threads": 1}"#,
            "logistic" => r#"{"epochs": 2, "threads": 1}"#,
            _ => r#"{"hidden": [8], "epochs": 2, "threads": 1}"#,
        };
        let training = Training::new(algorithm).params(params);
        training.with(&format!("algorithm => '{algorithm}'")).call(&mut client);
        let bytes = as_onnx(&mut client, algorithm);
        for text in
            ["pg_recommend", "price", "category", "LabelEncoder", "pet food", "score", algorithm, operator]
        {
            assert!(has(&bytes, text), "{algorithm}: {text}");
        }
        // Another session hashes its vocabularies in another way.
        assert!(bytes == as_onnx(&mut database.connect(), algorithm), "{algorithm}");
        let back = format!("SELECT reco.import_model('back', reco.export_model('{algorithm}', 1, 'onnx'))");
        let version: i32 = value(&mut client, &back);
        let same =
            format!("SELECT reco.export_model('back', {version}) = reco.export_model('{algorithm}', 1)");
        assert!(value::<bool>(&mut client, &same), "{algorithm}");
    }
    let audit = "SELECT count(*), count(*) FILTER (WHERE detail ->> 'format' = 'onnx') FROM reco.audit WHERE action = 'exported'";
    assert_eq!(rows(&mut client, audit), ["(20,12)"]);
    let compared = "SELECT bool_and((data -> 'comparison' ->> 'worst')::float8 < 1e-5), \
                    min((data -> 'comparison' ->> 'rows')::integer) FROM reco.versions WHERE model = 'back'";
    assert_eq!(rows(&mut client, compared), ["(t,2000)"]);
    let sql = "SELECT reco.import_onnx('back', reco.export_model('mlp', 1, 'onnx'), output => 'logit')";
    refusal(&mut client, sql).expect("22023", &["exported here"], &["columns and output"]);
}

#[test]
fn a_format_is_named_or_refused() {
    let mut client = Database::trained().connect();
    let plain: Vec<u8> = value(&mut client, "SELECT reco.export_model('launch')");
    let named: Vec<u8> = value(&mut client, "SELECT reco.export_model('launch', 1, format => 'safetensors')");
    assert!(plain == named);
    for (format, words) in [("'ONNX'", ["\"ONNX\"", "format"]), ("'pickle'", ["\"pickle\"", "format"])] {
        let error = refusal(&mut client, &format!("SELECT reco.export_model('launch', 1, {format})"));
        error.expect("22023", &words, &["safetensors", "onnx"]);
    }
    refusal(&mut client, "SELECT reco.export_model('launch', 1, NULL)").expect("22023", &["format"], &[]);
    refusal(&mut client, "SELECT reco.export_model('launch', 2, 'onnx')").expect(
        "42704",
        &["no version 2"],
        &[],
    );
    Training::new("rates").params("{}").with("algorithm => 'popularity'").call(&mut client);
    let error = refusal(&mut client, "SELECT reco.export_model('rates', NULL, 'onnx')");
    error.expect("0A000", &["version 1 of model \"rates\"", "hashes"], &["safetensors"]);
}
