//! From each release to this version by `ALTER EXTENSION … UPDATE`: the same objects as a fresh installation, and nothing lost
//! that others have built on them. With this version's library alone: `make test-upgrade` has the libraries of the releases too.

use super::views;
use integration::catalog_objects::{functions_of_c, Objects};
use integration::{refusal, rows, value, Cluster, Database};
use postgres::Client;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The versions that were released, oldest first.
fn releases() -> Vec<&'static str> {
    let list = include_str!("../../../../sql/releases/released");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut versions: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    versions.dedup();
    assert!(!versions.is_empty());
    versions.retain(|version| *version != VERSION);
    versions
}

/// An empty database of the shared cluster.
fn empty_database() -> Client {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let (cluster, name) = (Cluster::shared(), format!("upgraded{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    cluster.connect("postgres").batch_execute(&create).unwrap();
    cluster.connect(&name)
}

/// A database with a catalog of this version, or of an earlier one.
fn with_catalog(version: &str, before: &str) -> Client {
    let mut client = empty_database();
    let create = format!("{before}; CREATE EXTENSION pg_recommend VERSION '{version}'");
    client.batch_execute(&create).unwrap_or_else(|error| panic!("{version}: {error:?}"));
    client
}

fn update(client: &mut Client) {
    client
        .batch_execute("ALTER EXTENSION pg_recommend UPDATE")
        .unwrap_or_else(|error| panic!("the update fails: {error:?}"));
}

#[track_caller]
fn expect_same(fresh: &Objects, updated: &Objects, from: &str) {
    let differences = fresh.differences(updated);
    assert!(
        differences.is_empty(),
        "an update from {from} (+) leaves other objects than a fresh installation (-): mend the script that leads to {VERSION}\n{}",
        differences.join("\n")
    );
}

#[test]
fn an_update_from_each_release_leaves_the_objects_of_a_fresh_installation() {
    let fresh = Objects::of(&mut with_catalog(VERSION, ""));
    assert!(fresh.count() > 300, "{} objects", fresh.count());
    for from in releases() {
        let mut client = with_catalog(from, "");
        assert_ne!(Objects::of(&mut client).differences(&fresh), Vec::<String>::new());
        update(&mut client);
        expect_same(&fresh, &Objects::of(&mut client), from);
    }
}

#[test]
fn an_update_leaves_the_same_where_others_have_default_privileges_and_the_database() {
    let before = "DO $$ BEGIN CREATE ROLE has_defaults; EXCEPTION WHEN duplicate_object THEN END $$;
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO has_defaults', current_database()); END $$;
         CREATE SCHEMA reco;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO has_defaults;
         ALTER DEFAULT PRIVILEGES IN SCHEMA reco GRANT EXECUTE ON FUNCTIONS TO has_defaults;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC";
    let fresh = Objects::of(&mut with_catalog(VERSION, before));
    for from in releases() {
        let mut client = with_catalog(from, before);
        update(&mut client);
        expect_same(&fresh, &Objects::of(&mut client), from);
    }
}

/// Every way in which objects of the comparison can differ, made in a catalog of this version.
const CHANGES: [(&str, &str); 14] = [
    ("COMMENT ON FUNCTION reco.week(date) IS 'other'", "comment"),
    ("COMMENT ON COLUMN reco.model.owner IS NULL", "comment of column owner"),
    ("GRANT SELECT ON reco.model TO pg_monitor", "privileges"),
    ("REVOKE SELECT ON reco.models FROM PUBLIC", "privileges"),
    ("GRANT SELECT (owner) ON reco.model TO pg_monitor", "privileges of column owner"),
    (
        "UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'pg_recommend'",
        "filter of a dump",
    ),
    ("ALTER FUNCTION reco.has_model_privilege COST 11", "definition"),
    ("ALTER TABLE reco.model ADD COLUMN more text", "column more"),
    ("ALTER TABLE reco.model ALTER COLUMN owner DROP NOT NULL", "column owner"),
    ("ALTER TABLE reco.model DROP CONSTRAINT model_model_check", "is there"),
    ("DROP INDEX reco.run_model", "is there"),
    ("ALTER EXTENSION pg_recommend DROP TABLE reco.run_metric", "is there"),
    ("ALTER VIEW reco.models RESET (security_barrier)", "row of pg_class"),
    ("ALTER TABLE reco.artifact_chunk ALTER COLUMN body SET STORAGE EXTENDED", "column body"),
];

#[test]
fn the_comparison_names_what_differs() {
    let mut client = with_catalog(VERSION, "");
    let fresh = Objects::of(&mut client);
    for (change, named) in CHANGES {
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute(change).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        // The comparison begins a transaction of its own, so what is changed is committed and taken back by name.
        transaction.commit().unwrap();
        let differences = fresh.differences(&Objects::of(&mut client));
        assert!(
            differences.iter().any(|line| line.contains(&format!(", {named}: "))),
            "{change}: {differences:?}"
        );
        client = with_catalog(VERSION, "");
    }
}

#[test]
fn what_was_granted_and_built_on_the_objects_is_there_after_an_update() {
    for from in releases() {
        let mut client = with_catalog(
            from,
            "DO $$ BEGIN CREATE ROLE was_granted; EXCEPTION WHEN duplicate_object THEN END $$",
        );
        client
            .batch_execute(
                "GRANT USAGE ON SCHEMA reco TO was_granted; GRANT SELECT ON ALL TABLES IN SCHEMA reco TO was_granted;
                 GRANT EXECUTE ON ALL ROUTINES IN SCHEMA reco TO was_granted;
                 DO $$
                 DECLARE v name;
                 BEGIN
                     FOR v IN SELECT relname FROM pg_class WHERE relnamespace = 'reco'::regnamespace AND relkind = 'v' LOOP
                         EXECUTE format('CREATE VIEW public.on_%s AS SELECT * FROM reco.%I', v, v);
                     END LOOP;
                 END $$",
            )
            .unwrap();
        let granted = "SELECT c.oid::regclass::text FROM pg_class c, aclexplode(c.relacl) a \
                       WHERE c.relnamespace = 'reco'::regnamespace AND a.grantee = 'was_granted'::regrole \
                       UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(p.proacl) a \
                       WHERE p.pronamespace = 'reco'::regnamespace AND a.grantee = 'was_granted'::regrole ORDER BY 1";
        let before: BTreeSet<_> = rows(&mut client, granted).into_iter().collect();
        update(&mut client);
        let after: BTreeSet<_> = rows(&mut client, granted).into_iter().collect();
        assert!(before.len() > 200, "{before:?}");
        let lost: Vec<_> = before.difference(&after).collect();
        assert!(lost.is_empty(), "from {from}: replaced, not dropped and made anew: {lost:?}");
        let views: i64 = value(&mut client, "SELECT count(*) FROM pg_views WHERE schemaname = 'public'");
        assert!(views > 20);
    }
}

#[test]
fn a_function_of_c_means_the_same_to_every_catalog_that_calls_it() {
    let new: BTreeSet<_> = functions_of_c(&mut with_catalog(VERSION, "")).into_iter().collect();
    let named: BTreeSet<_> = new.iter().map(|(symbol, _)| symbol.clone()).collect();
    for from in releases() {
        let old = functions_of_c(&mut with_catalog(from, ""));
        assert!(old.len() > 100);
        let changed = old
            .iter()
            .filter(|(symbol, _)| named.contains(symbol))
            .filter(|function| !new.contains(function));
        let changed: Vec<_> = changed.collect();
        assert!(
            changed.is_empty(),
            "until {from} is updated, its SQL calls these with other types than {VERSION} reads: give the new one another symbol \
             and keep the old one\n{changed:#?}"
        );
    }
}

#[test]
fn rows_of_an_old_dump_fit_into_the_tables_of_this_version() {
    let columns = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull AND NOT a.atthasdef \
                   FROM pg_extension e JOIN pg_class c ON c.oid = ANY (e.extconfig) JOIN pg_attribute a ON a.attrelid = c.oid \
                   WHERE e.extname = 'pg_recommend' AND a.attnum > 0 AND NOT a.attisdropped";
    let read = |client: &mut Client| -> Vec<(String, String, String, bool)> {
        let rows = client.query(columns, &[]).unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
    };
    let new = read(&mut with_catalog(VERSION, ""));
    for from in releases() {
        let old = read(&mut with_catalog(from, ""));
        let there = |columns: &[(String, String, String, bool)], table: &str, column: &str| {
            columns.iter().any(|(t, c, ..)| t == table && c == column)
        };
        for (table, column, kind, _) in &old {
            let same = new.iter().any(|(t, c, k, _)| (t, c, k) == (table, column, kind));
            assert!(same, "a dump of {from} has the column {column} {kind} of reco.{table}");
        }
        for (table, column, _, required) in &new {
            let added = old.iter().any(|(t, ..)| t == table) && !there(&old, table, column);
            assert!(
                !added || !required,
                "a dump of {from} has no {column} of reco.{table}: it needs a default"
            );
        }
    }
}

/// A trained database whose catalog says that it is of this version.
fn of_version(version: &str) -> Database {
    let database = Database::trained();
    set_version(&mut database.connect(), version);
    database
}

fn set_version(client: &mut Client, version: &str) {
    let update = format!("UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'pg_recommend'");
    client.batch_execute(&update).unwrap();
}

const SCORES: &str =
    "SELECT sum(reco.predict('launch', f) ORDER BY product_id, region, week) FROM launch_features AS f \
                      UNION ALL SELECT reco.recommend(1, 'r1', 'launch') \
                      UNION ALL (SELECT score FROM reco.top_products('r1', 3, 'launch'))";

/// A call of each kind that changes the catalog.
const CHANGING: [&str; 16] = [
    "CALL reco.train('launch', 'launch_features', 'purchased')",
    "CALL reco.tune('launch', 'launch_features', 'purchased', trials => 3)",
    "CALL reco.retrain('launch')",
    "CALL reco.monitor('launch')",
    "CALL reco.run_due()",
    "CALL reco.refresh_features('launch_features')",
    "SELECT reco.promote('launch', 1)",
    "SELECT reco.set_alias('launch', 'other', 1)",
    "SELECT reco.drop_model('launch', force => true)",
    "SELECT reco.grant_model('launch', 'pg_monitor', 'score')",
    "SELECT reco.import_model('other', ''::bytea)",
    "SELECT reco.start_ab_test('test', 'launch', '[{\"arm\": \"a\", \"version\": 1, \"share\": 0.5}, {\"arm\": \"b\", \"version\": 1, \"share\": 0.5}]')",
    "SELECT reco.create_feature_view('view', 'SELECT 1', '{a}', 'b')",
    "SELECT reco.drop_feature_view('launch_features')",
    "SELECT reco.schedule_retraining('launch', '0 4 * * mon')",
    "SELECT * FROM reco.promote_if_better('launch', 1)",
];

#[test]
fn a_catalog_of_another_version_is_scored_with_and_not_changed() {
    for (version, todo) in [
        ("0.0.1", "ALTER EXTENSION pg_recommend UPDATE in this database"),
        ("9.0.0", "Install pg_recommend 9.0.0 on this server"),
        ("next", "Install pg_recommend next on this server"),
    ] {
        let expected = rows(&mut Database::trained().connect(), SCORES);
        let database = of_version(version);
        let mut client = database.connect();
        assert_eq!(rows(&mut client, SCORES), expected, "{version}");
        for sql in CHANGING {
            let told = refusal(&mut client, sql);
            told.expect("55000", &[&format!("version {VERSION}"), &format!("version {version}")], &[todo]);
            assert!(told.detail.contains("scoring goes on"), "{sql}: {told:?}");
        }
        set_version(&mut client, VERSION);
        client.batch_execute("SELECT reco.promote('launch', 1)").unwrap();
    }
}

/// How often a statement of this session asks which version the catalog is of. What the session has not yet reported is
/// counted, which no other session's look-ups are among.
fn versions_looked_up(client: &mut Client, statement: &str) -> i64 {
    client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let count = "SELECT pg_stat_get_xact_numscans('pg_extension_name_index'::regclass)";
    transaction.query_one(count, &[]).unwrap().get(0)
}

#[test]
fn scoring_looks_up_no_version() {
    let database = Database::trained();
    let mut client = database.connect();
    views::create_of_launches(&mut client);
    integration::Training::new("weekly").source("weekly").call(&mut client);
    let by_key = ["launch", "weekly"].map(|model| format!("SELECT reco.recommend(1, 'r1', '{model}')"));
    for statement in by_key.iter().map(String::as_str).chain([SCORES]) {
        assert!(!rows(&mut client, statement).is_empty());
        assert_eq!(versions_looked_up(&mut client, statement), 0, "{statement}");
    }
    assert!(
        versions_looked_up(&mut client, "SELECT reco.promote('launch', 1)") > 0,
        "what is counted are look-ups of the version"
    );
}

/// What another version may have elsewhere, and a call that needs it.
const ELSEWHERE: [(&str, &str); 5] = [
    ("ALTER TABLE reco.alias RENAME COLUMN version TO number", "SELECT reco.recommend(1, 'r1', 'launch')"),
    ("ALTER TABLE reco.artifact RENAME TO weights", "SELECT reco.recommend(1, 'r1', 'launch')"),
    ("ALTER TABLE reco.version RENAME COLUMN parameters TO settings", "SELECT reco.model_card('launch')"),
    ("ALTER TABLE reco.model RENAME COLUMN purpose TO aim", "SELECT reco.model_card('launch')"),
    ("UPDATE reco.artifact SET size = 1", "SELECT reco.recommend(1, 'r1', 'launch')"),
];

#[test]
fn what_is_missing_in_a_catalog_of_another_version_is_told_with_both_versions() {
    for (change, call) in ELSEWHERE {
        let database = of_version("0.0.1");
        let mut client = database.connect();
        client.batch_execute(change).unwrap();
        let told = refusal(&mut client, call);
        told.expect("55000", &[VERSION, "0.0.1"], &["ALTER EXTENSION pg_recommend UPDATE"]);
        assert!(told.detail.contains("needs what version"), "{change}: {told:?}");
        // Without a difference of versions it is what it was.
        set_version(&mut client, VERSION);
        assert_ne!(refusal(&mut client, call).code, "55000", "{change}");
    }
}

#[test]
fn errors_of_other_relations_are_not_told_as_those_of_a_version() {
    let database = of_version("0.0.1");
    let mut client = database.connect();
    client.batch_execute("ALTER TABLE launch_features RENAME COLUMN price TO cost").unwrap();
    refusal(&mut client, "SELECT reco.recommend(1, 'r1', 'launch')").expect("42703", &["price"], &[]);
    refusal(&mut client, "SELECT reco.recommend(1, 'r1', 'unknown')").expect("42704", &["unknown"], &[]);
}

#[test]
fn check_setup_tells_of_another_version_whatever_its_catalog_lacks() {
    let database = of_version("0.0.1");
    let mut client = database.connect();
    client
        .batch_execute("ALTER TABLE reco.schedule RENAME TO calendar; ALTER TABLE reco.run RENAME TO attempt")
        .unwrap();
    let detail: String =
        value(&mut client, "SELECT detail FROM reco.check_setup() WHERE item = 'extension' AND NOT ok");
    for words in [VERSION, "0.0.1", "ALTER EXTENSION pg_recommend UPDATE"] {
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn a_standby_whose_library_is_newer_scores_and_points_to_the_primary() {
    let cluster = Cluster::new();
    let mut primary = cluster.connect("postgres");
    integration::data::create(&mut primary);
    integration::Training::new("launch").call(&mut primary);
    set_version(&mut primary, "0.0.1");
    let standby = cluster.standby();
    let mut client = standby.connect("postgres");
    assert_eq!(rows(&mut client, SCORES), rows(&mut primary, SCORES));
    primary.batch_execute("ALTER TABLE reco.version RENAME COLUMN parameters TO settings").unwrap();
    super::standby::wait_until_replayed(&mut primary, &mut client);
    refusal(&mut client, "SELECT reco.model_card('launch')").expect(
        "55000",
        &[VERSION, "0.0.1"],
        &["on the primary"],
    );
    assert_eq!(rows(&mut client, SCORES), rows(&mut primary, SCORES));
}
