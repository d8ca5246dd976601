//! A catalog with rows missing: errors that name what is not there, a check that lists it, and no crash.

use super::shared_models;
use integration::{refusal, value, Database, Training};
use postgres::Client;

/// Two versions, an A/B test and what it has shown.
fn with_everything() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""epochs": 1, "seed": 2"#).call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('spring', 'launch', '[{"arm": "a", "version": 1, "share": 0.4},
                                                               {"arm": "b", "version": 2, "share": 0.6}]');
               SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'launch')"#,
        )
        .unwrap();
    (database, client)
}

fn check(client: &mut Client) -> (bool, String) {
    let row =
        client.query_one("SELECT ok, detail FROM reco.check_setup() WHERE item = 'catalog'", &[]).unwrap();
    (row.get(0), row.get(1))
}

const SCORE: &str = "SELECT reco.recommend(p, 'r1', 'launch') FROM generate_series(1, 20) AS p";

/// What is done to the catalog, the SQLSTATE of a score then (none where it still is one), and words that the error and the
/// check have.
const DAMAGES: [(&str, &str, &str, &str); 15] = [
    (
        "DELETE FROM reco.artifact WHERE artifact_id IN (SELECT measured_artifact_id FROM reco.version)",
        "",
        "",
        "have no row",
    ),
    ("DELETE FROM reco.artifact", "XX001", "of version", "have no row"),
    ("DELETE FROM reco.artifact_chunk", "XX001", "bytes", "have 0 of their"),
    ("UPDATE reco.artifact_chunk SET body = substr(body, 2)", "XX001", "of their", "of their"),
    ("UPDATE reco.artifact_chunk SET body = body || '\\x00'", "XX001", "more than", "more than"),
    (
        "UPDATE reco.artifact_chunk SET body = set_byte(body, 900, get_byte(body, 900) # 1)",
        "XX001",
        "digest",
        "digest",
    ),
    ("UPDATE reco.artifact_chunk SET position = 1", "XX001", "chunk 0 is missing", "chunk 0 is missing"),
    ("UPDATE reco.artifact SET size = 9000000000000000000", "54000", "memory", "memory"),
    (
        "DELETE FROM reco.version",
        "42704",
        "no version",
        "stands for version 1, which has no weights or is missing",
    ),
    ("DELETE FROM reco.alias", "42704", "no champion", ""),
    ("DELETE FROM reco.model", "", "", "has no model"),
    ("DELETE FROM reco.ab_test", "42704", "\"spring\" does not exist", "\"spring\", which is missing"),
    ("DELETE FROM reco.ab_arm", "XX001", "\"spring\"", "fewer than two arms"),
    ("DELETE FROM reco.ab_arm WHERE position = 2", "XX001", "\"spring\"", "fewer than two arms"),
    ("DELETE FROM reco.run", "", "", "have no run"),
];

#[test]
fn what_is_missing_is_named_and_nothing_crashes() {
    let (database, mut client) = with_everything();
    assert!(check(&mut client).0, "{}", check(&mut client).1);
    for (damage, code, words, listed) in DAMAGES {
        // A backend that has scored keeps what it has decoded.
        let mut fresh = database.connect();
        fresh.batch_execute(&format!("BEGIN; {damage}")).unwrap();
        fresh.batch_execute("SAVEPOINT damaged").unwrap();
        match code {
            "" => fresh.batch_execute(SCORE).unwrap(),
            _ => {
                let error = refusal(&mut fresh, SCORE);
                assert!(error.code.starts_with(code) && error.message.contains(words), "{damage}: {error:?}");
            }
        }
        fresh.batch_execute("ROLLBACK TO damaged").unwrap();
        let (ok, detail) = check(&mut fresh);
        assert_eq!(ok, listed.is_empty(), "{damage}: {detail}");
        assert!(detail.contains(listed), "{damage}: {detail}");
        // Nothing else that is asked of it ends the session.
        for sql in [
            "SELECT * FROM reco.ab_report('spring')",
            "SELECT reco.explain(1, 'r1', 'launch')",
            "SELECT reco.model_card_text('launch')",
            "SELECT reco.export_model('launch')",
            "SELECT reco.log_recommendations('{4}'::bigint[], '{r1}', 'launch')",
            "SELECT reco.promote('launch', 2)",
            "SELECT reco.rollback('launch')",
            "SELECT * FROM reco.top_products('r1', 3, 'launch')",
            "SELECT reco.stop_ab_test('spring')",
            "SELECT reco.drop_model('launch', force => true)",
        ] {
            fresh.batch_execute("SAVEPOINT tried").unwrap();
            if let Err(error) = fresh.batch_execute(sql) {
                let code =
                    error.as_db_error().unwrap_or_else(|| panic!("{damage}, {sql}: {error:?}")).code().code();
                assert!(code != "XX000" && code != "42601", "{damage}, {sql}: {error:?}");
            }
            fresh.batch_execute("ROLLBACK TO tried").unwrap();
        }
        fresh.batch_execute("ROLLBACK").unwrap();
    }
}

#[test]
fn weights_of_several_chunks_are_read_whole_or_not_at_all() {
    let database = Database::with_data();
    let mut client = database.connect();
    // 40 MB.
    let weights = shared_models::network(3200, 7);
    client.execute("SELECT reco.import_model('wide', $1)", &[&weights]).unwrap();
    let chunks = "SELECT count(*) FROM reco.artifact_chunk";
    assert_eq!(value::<i64>(&mut client, chunks), 3);
    assert_eq!(value::<Vec<u8>>(&mut client, "SELECT reco.export_model('wide')"), weights);
    let expected = shared_models::score(&mut client, "wide");
    for size in ["1MB", "1GB"] {
        let mut fresh = database.connect();
        fresh.batch_execute(&format!("SET reco.model_cache_size = '{size}'")).unwrap();
        assert_eq!(shared_models::score(&mut fresh, "wide"), expected);
    }
    for (position, words) in [(0, "chunk 0 is missing"), (1, "chunk 1 is missing"), (2, "of their")] {
        let mut fresh = database.connect();
        fresh
            .batch_execute(&format!("BEGIN; DELETE FROM reco.artifact_chunk WHERE position = {position}"))
            .unwrap();
        let error = refusal(&mut fresh, "SELECT reco.export_model('wide')");
        error.expect("XX001", &["version 1 of model \"wide\"", words], &["reco.check_setup"]);
    }
    // What a value cannot hold is said before it is read.
    client.batch_execute("BEGIN; UPDATE reco.artifact SET size = 1 << 30").unwrap();
    let error = refusal(&mut client, "SELECT reco.export_model('wide')");
    error.expect("54000", &["1073741824 bytes", "more than a bytea can hold"], &["dump"]);
    client.batch_execute("ROLLBACK; SELECT reco.drop_model('wide', force => true)").unwrap();
    assert_eq!(value::<i64>(&mut client, chunks), 0);
}

#[test]
fn a_column_that_is_not_where_it_is_read_is_named() {
    const ONE: &str = "SELECT reco.recommend(1, 'r1', 'launch')";
    let database = Database::trained();
    let mut client = database.connect();
    assert!(value::<Option<f64>>(&mut client, ONE).is_some());
    client.batch_execute("ALTER TABLE reco.version RENAME COLUMN keys TO key_columns").unwrap();
    refusal(&mut client, ONE).expect("XX001", &["column 8", "reco.version", "is not keys"], &[]);
    client.batch_execute("ALTER TABLE reco.version RENAME COLUMN key_columns TO keys").unwrap();
    assert!(value::<Option<f64>>(&mut client, ONE).is_some());
}
