//! A/B tests: which version scores a key, from when to when, and what may not be done meanwhile.

use super::support::{champion, versions};
use integration::{refusal, rows, value, wait_until, Cluster, Database, Training};
use postgres::Client;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const START: &str = r#"SELECT reco.start_ab_test('spring', 'launch',
    '[{"arm": "control", "version": 1, "share": 0.5}, {"arm": "new", "version": 2, "share": 0.5}]',
    regions => '{r0,r1,r2,r4}')"#;

/// Keys in five regions: a product and the region's number.
type Scores = HashMap<(i64, i32), f64>;
/// The arm of a key; none for keys outside the test.
type Arms = HashMap<(i64, i32), Option<String>>;

/// A fifth region, and versions of two sources; the third one is the champion.
fn three_versions(client: &mut Client) {
    client
        .batch_execute(
            "CREATE TEMP TABLE fifth AS SELECT * FROM launch_features WHERE region = 'r0';
             UPDATE fifth SET region = 'r4', price = price + 1;
             INSERT INTO launch_features SELECT * FROM fifth",
        )
        .unwrap();
    Training::new("launch").source("numeric_features").call(client);
    Training::new("launch").param(r#""seed": 3"#).with("promote => true").call(client);
}

fn database() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    three_versions(&mut client);
    (database, client)
}

const SCORES: &str = "SELECT p, r, reco.recommend(p, 'r' || r, 'launch') \
                      FROM generate_series(1::bigint, 60) AS p, generate_series(0, 4) AS r";

fn scores(client: &mut Client) -> Scores {
    let rows = client.query(SCORES, &[]).unwrap();
    rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
}

/// What every version gives every key, version 1 first; and the arms of the test `spring`, which is not started.
fn known(client: &mut Client) -> (Vec<Scores>, Arms) {
    let scores = [1, 2, 3].map(|version| {
        client.batch_execute(&format!("BEGIN; SELECT reco.promote('launch', {version})")).unwrap();
        let found = scores(client);
        client.batch_execute("ROLLBACK").unwrap();
        found
    });
    client.batch_execute(&format!("BEGIN; {START}")).unwrap();
    let arms = SCORES.replace("reco.recommend(p, 'r' || r, 'launch')", "reco.ab_arm('spring', p, 'r' || r)");
    let found = client.query(&arms, &[]).unwrap();
    client.batch_execute("ROLLBACK").unwrap();
    let arms = found.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    (scores.into(), arms)
}

/// The version that scores a key while the test runs.
fn version_of(arm: Option<&String>, champion: i32) -> i32 {
    match arm.map(String::as_str) {
        Some("control") => 1,
        Some("new") => 2,
        _ => champion,
    }
}

#[test]
fn every_key_is_scored_by_the_version_of_its_arm() {
    let (database, mut client) = database();
    let (by_version, arms) = known(&mut client);
    let mut other = database.connect();
    assert_eq!(scores(&mut other), by_version[2]);
    client.batch_execute(START).unwrap();
    let expected: Scores = arms
        .iter()
        .map(|(key, arm)| (*key, by_version[version_of(arm.as_ref(), 3) as usize - 1][key]))
        .collect();
    // In the session that has scored, and in a new one.
    assert_eq!(scores(&mut other), expected);
    assert_eq!(scores(&mut database.connect()), expected);
    for arm in [Some("control"), Some("new"), None] {
        let keys = arms.values().filter(|found| found.as_deref() == arm).count();
        // Of 240 keys, six standard deviations; and 60 that do not take part.
        assert!(if arm.is_some() { (74..=166).contains(&keys) } else { keys == 60 }, "{arm:?}: {keys}");
    }
    let one = "SELECT reco.recommend(1, 'r3', 'launch')";
    assert_eq!(value::<f64>(&mut other, one), by_version[2][&(1, 3)]);

    assert_eq!(value::<i32>(&mut client, "SELECT reco.stop_ab_test('spring', 'new', 'it sells')"), 2);
    assert_eq!(scores(&mut other), by_version[1]);
    assert_eq!(champion(&mut client, "launch"), Some(2));
    let history =
        "SELECT action, from_version, to_version, why FROM reco.promotions ORDER BY step DESC LIMIT 1";
    assert_eq!(rows(&mut client, history), ["(promoted,3,2,\"it sells\")"]);
    let test = "SELECT test, status, winner, why FROM reco.ab_tests";
    assert_eq!(rows(&mut client, test), ["(spring,stopped,new,\"it sells\")"]);
    let audit = "SELECT action, detail ->> 'test' FROM reco.audit WHERE action LIKE 'ab%' ORDER BY at";
    assert_eq!(rows(&mut client, audit), ["(ab_test_started,spring)", "(ab_test_stopped,spring)"]);
}

#[test]
fn a_test_that_is_rolled_back_leaves_no_trace() {
    let (database, mut client) = database();
    let mut other = database.connect();
    let before = scores(&mut client);
    client.batch_execute(&format!("BEGIN; {START}")).unwrap();
    assert_ne!(scores(&mut client), before);
    assert_eq!(scores(&mut other), before);
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(scores(&mut client), before);
    for view in ["ab_tests", "ab_arms", "audit WHERE action LIKE 'ab%'"] {
        assert!(rows(&mut client, &format!("SELECT * FROM reco.{view}")).is_empty(), "{view}");
    }
    // Stopping too.
    client.batch_execute(START).unwrap();
    let during = scores(&mut client);
    client.batch_execute("BEGIN; SELECT reco.stop_ab_test('spring', 'new'); ROLLBACK").unwrap();
    assert_eq!(scores(&mut client), during);
    assert_eq!(champion(&mut client, "launch"), Some(3));
}

#[test]
fn keys_of_the_callers_own() {
    let (_database, mut client) = database();
    let (by_version, _) = known(&mut client);
    let start = START.replace("regions => '{r0,r1,r2,r4}'", "unit => 'key'");
    client.batch_execute(&start).unwrap();
    for customer in 0..40 {
        let arm: String = value(&mut client, &format!("SELECT reco.ab_arm('spring', 'customer {customer}')"));
        let sql = format!("SELECT reco.recommend(1, 'r1', 'launch', ab_key => 'customer {customer}')");
        let expected = by_version[version_of(Some(&arm), 3) as usize - 1][&(1, 1)];
        assert_eq!(value::<f64>(&mut client, &sql), expected, "{arm}");
    }
    let without = "SELECT reco.recommend(1, 'r1', 'launch')";
    assert_eq!(value::<f64>(&mut client, without), by_version[2][&(1, 1)]);
    refusal(&mut client, "SELECT reco.ab_arm('spring', 1, 'r1')").expect("22023", &["own"], &["ab_arm"]);
}

#[test]
fn arms_have_their_shares_and_their_units() {
    let (_database, mut client) = database();
    for unit in ["pair", "product", "region"] {
        let sql = format!(
            r#"SELECT reco.start_ab_test('{unit}', 'launch', '[{{"arm": "a", "version": 1, "share": 0.7}},
               {{"arm": "b", "version": 1, "share": 0.2}}, {{"arm": "c", "version": 2, "share": 0.1}}]', unit => '{unit}');
               SELECT reco.stop_ab_test('{unit}')"#
        );
        client.batch_execute(&sql).unwrap();
        let (product, region) = if unit == "region" { ("0", "p") } else { ("p", "p % 5") };
        let shares = format!(
            "SELECT max(abs(n - share)) < 0.02 FROM (SELECT arm, count(*) / 20000.0 AS n
             FROM generate_series(1, 20000) AS p, reco.ab_arm('{unit}', {product}, 'r' || {region}) AS arm GROUP BY arm)
             AS found JOIN reco.ab_arms USING (arm) WHERE test = '{unit}'"
        );
        assert!(value::<bool>(&mut client, &shares), "{unit}");
    }
    let split = "SELECT count(*) FROM generate_series(1, 100) AS p WHERE reco.ab_arm('product', p, 'r1') <> \
                 reco.ab_arm('product', p::text, 'r2')";
    assert_eq!(value::<i64>(&mut client, split), 0);
}

#[test]
fn what_would_break_a_test_is_refused() {
    let (_database, mut client) = database();
    client.batch_execute(START).unwrap();
    let again = START.replace("'spring'", "'summer'");
    for (sql, words) in [
        (again.as_str(), "takes part"),
        ("SELECT reco.archive_version('launch', 1)", "an arm of"),
        ("SELECT reco.drop_alias('launch', 'champion')", "takes part"),
        ("SELECT reco.drop_model('launch')", "champion"),
    ] {
        refusal(&mut client, sql).expect("55006", &["in use", words], &[]);
    }
    let winner = "SELECT reco.stop_ab_test('spring', 'nobody')";
    refusal(&mut client, winner).expect("22023", &["no arm \"nobody\""], &["control, new"]);
    client.batch_execute("SELECT reco.stop_ab_test('spring')").unwrap();
    assert_eq!(champion(&mut client, "launch"), Some(3));
    refusal(&mut client, "SELECT reco.stop_ab_test('spring')").expect("22023", &["stopped before"], &[]);
    refusal(&mut client, START).expect("22023", &["already"], &["another name"]);
    client.batch_execute("SELECT reco.archive_version('launch', 1)").unwrap();
    refusal(&mut client, &again).expect("55000", &["archived"], &[]);
    client.batch_execute("SELECT reco.drop_model('launch', force => true)").unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.ab_arm"), 0);
}

#[test]
fn bad_arguments_are_named() {
    let (_database, mut client) = database();
    let start =
        |arms: &str, others: &str| format!("SELECT reco.start_ab_test('t', 'launch', '{arms}'{others})");
    let arms = r#"[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]"#;
    for (sql, code, word) in [
        (start("{}", ""), "22023", "arms cannot be read"),
        (start("[]", ""), "22023", "2 to 64 arms"),
        (start(&arms.replace("0.5}]", "0.6}]"), ""), "22023", "1.1 in all"),
        (start(&arms.replace("\"b\"", "\"a\""), ""), "22023", "two arms \"a\""),
        (start(&arms.replace("\"version\": 2", "\"version\": 9"), ""), "42704", "no version 9"),
        (start(arms, ", unit => 'store'"), "22023", "\"store\""),
        (start(arms, ", regions => '{}'"), "22023", "empty"),
        (start(arms, ", regions => '{NULL}'"), "22023", "must not be NULL"),
        (start(arms, "").replace("'t'", "''"), "22023", "1 to 63 bytes"),
        ("SELECT reco.ab_arm('nothing', 1, 'r1')".into(), "42704", "\"nothing\""),
        ("SELECT reco.stop_ab_test('nothing')".into(), "42704", "\"nothing\""),
    ] {
        refusal(&mut client, &sql).expect(code, &[word], &[]);
    }
}

#[test]
fn who_may_do_what_with_a_test() {
    let (database, mut client) = database();
    client
        .batch_execute(
            "CREATE ROLE ab_scores LOGIN; CREATE ROLE ab_nothing LOGIN;
             GRANT USAGE ON SCHEMA reco TO ab_scores, ab_nothing;
             SELECT reco.grant_model('launch', 'ab_scores', 'score')",
        )
        .unwrap();
    let mut scores = database.connect_as("ab_scores");
    let mut nothing = database.connect_as("ab_nothing");
    for role in [&mut scores, &mut nothing] {
        refusal(role, START).expect(
            "42501",
            &["permission denied to manage", "\"launch\""],
            &["grant_model"],
        );
    }
    client.batch_execute(START).unwrap();
    let arm = "SELECT reco.ab_arm('spring', 1, 'r1')";
    assert_eq!(value::<String>(&mut scores, arm), value::<String>(&mut client, arm));
    refusal(&mut nothing, arm).expect("42501", &["permission denied to score with"], &["grant_model"]);
    for role in [&mut scores, &mut nothing] {
        refusal(role, "SELECT reco.stop_ab_test('spring')").expect("42501", &["to manage"], &["grant_model"]);
        refusal(role, "SELECT * FROM reco.ab_test").expect("42501", &["permission denied"], &[]);
        refusal(role, "SELECT * FROM reco.recommendation").expect("42501", &["permission denied"], &[]);
    }
    assert_eq!(rows(&mut scores, "SELECT test FROM reco.ab_tests"), ["(spring)"]);
    for view in ["ab_tests", "ab_arms"] {
        assert!(rows(&mut nothing, &format!("SELECT * FROM reco.{view}")).is_empty());
    }
}

#[test]
fn a_standby_finds_the_same_arms() {
    let cluster = Cluster::new();
    let mut primary = cluster.connect("postgres");
    integration::data::create(&mut primary);
    Training::new("launch").call(&mut primary);
    three_versions(&mut primary);
    let standby_cluster = cluster.standby();
    let mut standby = standby_cluster.connect("postgres");
    let before = scores(&mut standby);
    primary.batch_execute(START).unwrap();
    let here: String = value(&mut primary, "SELECT pg_current_wal_lsn()::text");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'");
    wait_until("the standby has caught up", || value::<bool>(&mut standby, &replayed));
    assert_ne!(scores(&mut standby), before);
    assert_eq!(scores(&mut standby), scores(&mut primary));
}

/// Lets the clients end, however their test does.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const CLIENTS: usize = 8;
/// Scores of all keys, beside what the same snapshot says of champion and test.
const WATCHED: &str = "SELECT s.*, (SELECT champion FROM reco.models WHERE model = 'launch') AS champion, \
                       (SELECT count(*) FROM reco.ab_tests WHERE status = 'running') AS running FROM (";

#[test]
fn clients_score_without_pause_while_a_test_starts_and_versions_are_promoted() {
    let (database, mut client) = database();
    let (by_version, arms) = known(&mut client);
    let (ended, done) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; CLIENTS]);
    let watched = format!("{WATCHED}{SCORES}) AS s");
    let score = |count: &AtomicU64| {
        let mut client = database.connect();
        let prepared = client.prepare(&watched).unwrap();
        while !ended.load(Ordering::Relaxed) {
            let rows = client.query(&prepared, &[]).expect("no query fails");
            for row in &rows {
                let key = (row.get(0), row.get(1));
                let (score, champion): (f64, i32) = (row.get(2), row.get(3));
                let arm = if row.get::<_, i64>(4) == 1 { arms[&key].as_ref() } else { None };
                let expected = by_version[version_of(arm, champion) as usize - 1][&key];
                assert_eq!(score, expected, "{key:?}, champion {champion}, arm {arm:?}");
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    // Every client has begun and ended a statement since.
    let all_go_on = || {
        let before: Vec<u64> = done.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        wait_until("all clients have scored", || {
            done.iter().zip(&before).all(|(count, before)| count.load(Ordering::Relaxed) > before + 1)
        });
    };
    thread::scope(|scope| {
        let _end = EndOnDrop(&ended);
        done.iter().for_each(|count| drop(scope.spawn(|| score(count))));
        all_go_on();
        for n in 0..200 {
            match n {
                50 => client.batch_execute(START).unwrap(),
                150 => client.batch_execute("SELECT reco.stop_ab_test('spring', 'new')").unwrap(),
                _ => {}
            }
            client.batch_execute(&format!("SELECT reco.promote('launch', {})", 1 + n % 3)).unwrap();
            if n % 5 == 4 {
                client.batch_execute("SELECT reco.rollback('launch')").unwrap();
            }
            if n % 50 == 25 {
                all_go_on();
            }
        }
    });
    assert_eq!(versions(&mut client, "launch"), [1, 2, 3]);
}

/// All keys, logged as of a date.
fn log(client: &mut Client, as_of: &str) -> i64 {
    let sql = format!(
        "SELECT reco.log_recommendations(array_agg(p), array_agg('r' || r), 'launch', '{as_of}')
         FROM generate_series(1::bigint, 60) AS p, generate_series(0, 4) AS r"
    );
    value(client, &sql)
}

#[test]
fn what_was_shown_is_stored_once_with_what_recommend_said() {
    let (_database, mut client) = database();
    assert_eq!(log(&mut client, "2024-03-04"), 0);
    client.batch_execute(START).unwrap();
    assert_eq!(log(&mut client, "2024-03-06"), 240);
    assert_eq!(log(&mut client, "2024-03-04"), 0);
    let wrong = "SELECT count(*) FROM reco.recommendations WHERE week <> '2024-03-04' OR region = 'r3'
                 OR arm <> reco.ab_arm('spring', product_id, region)
                 OR score <> reco.recommend(product_id::bigint, region, 'launch', week)
                 OR version <> CASE arm WHEN 'control' THEN 1 ELSE 2 END";
    assert_eq!(value::<i64>(&mut client, wrong), 0);
    let unknown = "SELECT reco.log_recommendations(ARRAY[1, NULL, 1000], ARRAY['r1', 'r1', 'r1'], 'launch')";
    assert_eq!(value::<i64>(&mut client, unknown), 1);
    let uneven = "SELECT reco.log_recommendations(ARRAY[1, 2], ARRAY['r1'], 'launch')";
    refusal(&mut client, uneven).expect("22023", &["differ in length"], &[]);
}

#[test]
fn a_report_counts_what_was_shown_and_what_came_of_it() {
    let (database, mut client) = database();
    client.batch_execute(START).unwrap();
    for week in ["2024-01-01", "2024-02-05", "2024-03-04", "2024-06-17"] {
        log(&mut client, week);
    }
    let counted = |region: &str, condition: &str| {
        format!(
            "SELECT {region}, r.arm, count(*), count(f.purchased), count(*) FILTER (WHERE f.purchased),
                    reco.auroc(r.score, f.purchased), count(DISTINCT (r.product_id, r.region))
             FROM reco.recommendations AS r JOIN launch_features AS f
                  ON f.product_id = r.product_id::bigint AND f.region = r.region AND f.week = r.week
             WHERE {condition} GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2"
        )
    };
    let report =
        "SELECT region, arm, exposures, outcomes, purchases, auroc, units FROM reco.ab_report('spring')
                  ORDER BY 1 NULLS FIRST, 2";
    let all = rows(&mut client, report);
    assert_eq!(all.len(), 10);
    assert_eq!(all[..2], rows(&mut client, &counted("NULL::text", "true")));
    assert_eq!(all[2..], rows(&mut client, &counted("r.region", "true")));
    let bounds =
        "SELECT lift = rate / first_value(rate) OVER () - 1 AND always_low < lift_low AND lift_low < lift
                         AND lift < lift_high AND lift_high < always_high AND p_value <= always_p_value
                         AND split_p_value > 0.001 AND warning IS NULL
                  FROM reco.ab_report('spring') WHERE region IS NULL OFFSET 1";
    assert!(value::<bool>(&mut client, bounds));

    // Row security holds in the report, and rows of others' logs are not shown.
    client
        .batch_execute(
            "CREATE ROLE ab_reads LOGIN; GRANT USAGE ON SCHEMA reco TO ab_reads;
             GRANT SELECT ON launch_features, numeric_features TO ab_reads;
             ALTER VIEW numeric_features SET (security_invoker);
             SELECT reco.grant_model('launch', 'ab_reads', 'score');
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY only_r1 ON launch_features USING (region = 'r1')",
        )
        .unwrap();
    let mut reader = database.connect_as("ab_reads");
    let regions = "SELECT DISTINCT region FROM reco.ab_report('spring') WHERE region IS NOT NULL";
    assert_eq!(rows(&mut reader, regions), ["(r1)"]);
    assert!(rows(&mut reader, "SELECT * FROM reco.recommendations").is_empty());
    // Nor is what the reader cannot see stored for them.
    let of_two_regions = "SELECT reco.log_recommendations(ARRAY[1, 2, 1, 2], ARRAY['r1', 'r1', 'r2', 'r2'],
                                                          'launch', '2024-01-10')";
    assert_eq!(value::<i64>(&mut reader, of_two_regions), 2);
    let stored = "SELECT region, shown_by, count(*) FROM reco.recommendations GROUP BY region, shown_by";
    assert_eq!(rows(&mut reader, stored), ["(r1,ab_reads,2)"]);
    client.batch_execute("SELECT reco.revoke_model('launch', 'ab_reads', 'score')").unwrap();
    refusal(&mut reader, regions).expect("42501", &["to score with"], &[]);

    // What loses rows of one arm is noticed.
    client.batch_execute("DELETE FROM reco.recommendation WHERE arm = 'new' AND product_id < '4'").unwrap();
    let warned =
        "SELECT bool_and(warning LIKE '%split is off%') FROM reco.ab_report('spring') WHERE region IS NULL";
    assert!(value::<bool>(&mut client, warned));
}
