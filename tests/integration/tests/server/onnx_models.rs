//! Models in ONNX: converted by the trainer's process, then versions like any other. Those of real makers: tests/import.

use integration::{refusal, rows, value, Database};
use postgres::Client;

/// A field of a protobuf message that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        bytes.push(length as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// A field that holds a number below 128.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
    let rest = [field(2, output.as_bytes()), field(3, b"of the test"), field(4, op.as_bytes())].concat();
    field(1, &[inputs, rest].concat())
}

/// An initializer of 32-bit floats.
fn weights(name: &str, dims: &[u8], values: &[f32]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|length| number(1, *length)).collect();
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    field(5, &[dims, number(2, 1), field(8, name.as_bytes()), field(9, &raw)].concat())
}

/// An input (11) or output (12) of rows of `width` floats.
fn rows_of(kind: u8, name: &str, width: u8) -> Vec<u8> {
    let shape = [field(1, &[]), field(1, &number(1, width))].concat();
    let tensor = field(1, &[number(1, 1), field(2, &shape)].concat());
    field(kind, &[field(1, name.as_bytes()), field(2, &tensor)].concat())
}

/// `sigmoid(tanh(x · w + b) · v)` over two numbers; `op` takes tanh's place.
fn network(op: &str) -> Vec<u8> {
    let graph = [
        node("Gemm", &["x", "w", "b"], "sum"),
        node(op, &["sum"], "hidden"),
        node("MatMul", &["hidden", "v"], "logit"),
        node("Sigmoid", &["logit"], "score"),
        weights("w", &[2, 2], &[0.5, -0.25, 0.125, 1.0]),
        weights("b", &[2], &[0.1, -0.2]),
        weights("v", &[2, 1], &[1.5, -0.75]),
        rows_of(11, "x", 2),
        rows_of(12, "score", 1),
    ];
    [number(1, 8), field(7, &graph.concat()), field(8, &number(2, 17))].concat()
}

fn expected(price: f64, size: f64) -> f64 {
    let first = (0.5 * price + 0.125 * size + f64::from(0.1_f32)).tanh();
    let second = (-0.25 * price + size - f64::from(0.2_f32)).tanh();
    1.0 / (1.0 + (-(1.5 * first - 0.75 * second)).exp())
}

fn import(client: &mut Client, bytes: &[u8], others: &str) -> Result<i32, postgres::Error> {
    let sql = format!("SELECT reco.import_onnx('bought', $1{others})");
    client.query_one(&sql, &[&bytes]).map(|row| row.get(0))
}

const SOURCE: &str = "CREATE TABLE offers AS SELECT n AS product_id, 'r' || n % 3 AS region, date '2024-01-01' AS week, \
                      (n % 7)::real / 7 AS price, (n % 5)::real / 5 AS size, n % 4 = 0 AS taken FROM generate_series(1, 500) AS n";
const OF_SOURCE: &str = ", source => 'offers', label => 'taken', columns => '{price,size}'";

#[test]
fn a_converted_model_scores_as_the_graph_says_and_is_a_version_like_any_other() {
    let mut client = Database::with_data().connect();
    client.batch_execute(SOURCE).unwrap();
    assert_eq!(import(&mut client, &network("Tanh"), OF_SOURCE).unwrap(), 1);
    let scored = "SELECT price::float8, size::float8, reco.predict('bought', r) FROM offers AS r";
    for row in client.query(scored, &[]).unwrap() {
        let (price, size, score): (f64, f64, f64) = (row.get(0), row.get(1), row.get(2));
        assert!((score - expected(price, size)).abs() < 1e-6, "{price} {size}: {score}");
    }
    let stored = "SELECT algorithm, status, label FROM reco.versions";
    assert_eq!(rows(&mut client, stored), ["(mlp,imported,taken)"]);
    let same = "SELECT reco.recommend(7, 'r1', 'bought') = (SELECT reco.predict('bought', o) FROM offers AS o WHERE product_id = 7)";
    assert!(value::<bool>(&mut client, same));
    let sums = "SELECT abs(max(baseline_score) + sum(contribution) - max(score)) < 1e-9 FROM reco.explain(7, 'r1', 'bought')";
    assert!(value::<bool>(&mut client, sums));
    assert!(value::<bool>(
        &mut client,
        "SELECT auroc BETWEEN 0 AND 1 FROM reco.evaluate('bought', 'offers', 'taken')"
    ));
    assert!(value::<bool>(&mut client, "SELECT reco.report('bought') LIKE '%bought%'"));
    client
        .batch_execute("SELECT reco.import_model('copy', reco.export_model('bought'), source => 'offers')")
        .unwrap();
    let copied = "SELECT bool_and(reco.predict('copy', o) = reco.predict('bought', o)) FROM offers AS o";
    assert!(value::<bool>(&mut client, copied));
}

#[test]
fn what_cannot_be_converted_is_refused_and_nothing_is_stored() {
    let mut client = Database::with_data().connect();
    client.batch_execute(SOURCE).unwrap();
    client.batch_execute("CREATE TABLE file (body bytea)").unwrap();
    let mut refuse = |bytes: &[u8], others: &str, words: &[&str]| {
        client.execute("DELETE FROM file", &[]).unwrap();
        client.execute("INSERT INTO file VALUES ($1)", &[&bytes]).unwrap();
        let error =
            refusal(&mut client, &format!("SELECT reco.import_onnx('bought', body{others}) FROM file"));
        error.expect("22023", words, &[]);
    };
    refuse(&network("Softplus"), OF_SOURCE, &["of the test", "Softplus"]);
    refuse(&network("Tanh"), ", source => 'offers'", &["2 values"]);
    refuse(&network("Tanh"), ", columns => '{a,b,c}'", &["3 columns"]);
    refuse(&network("Tanh"), ", source => 'offers', columns => '{price,colour}'", &["colour"]);
    refuse(&network("Tanh"), ", source => 'offers', columns => '{price,region}'", &["region", "number"]);
    refuse(&network("Tanh"), ", columns => '{a,b}', output => 'guess'", &["guess"]);
    let whole = network("Tanh");
    refuse(&whole[..whole.len() - 40], OF_SOURCE, &["ONNX"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.versions"), 0);
}
