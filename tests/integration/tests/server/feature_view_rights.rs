//! Definitions run with the rights of the table's owner, whoever calls, and under the owner's search path.

use super::views::{contents, create, creation, refresh};
use integration::{refusal, rows, value, wait_until, Database};
use postgres::Client;

/// A role that may use the schema and make tables, and its session.
fn role(database: &Database, name: &str) -> Client {
    let sql = format!("CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA reco TO {name}; GRANT CREATE ON SCHEMA public TO {name}");
    database.connect().batch_execute(&sql).unwrap();
    database.connect_as(name)
}

/// A view of one row a week that says who computed it.
fn create_signed(client: &mut Client, definition: &str, options: &str) {
    let sql = format!(
        "SELECT reco.create_feature_view('signed',
             $d$SELECT w AS week, 1 AS product_id, {definition} FROM generate_series($1::timestamp, $2, '7 days') AS t, LATERAL (SELECT t::date) AS l (w)$d$,
             '{{product_id}}'{options})"
    );
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{error:?}"));
}

const ONE_WEEK: &str = "CALL reco.refresh_features('signed', '2024-01-01', '2024-01-01')";

#[test]
fn only_members_of_the_owner_refresh_and_drop() {
    let database = Database::with_data();
    let mut owner = role(&database, "view_owner");
    let mut member = role(&database, "view_member");
    let mut stranger = role(&database, "view_stranger");
    database.connect().batch_execute("GRANT view_owner TO view_member").unwrap();
    create(&mut owner, "");
    owner.batch_execute("GRANT SELECT, INSERT, UPDATE, DELETE ON demand TO view_stranger").unwrap();
    for statement in ["CALL reco.refresh_features('demand')", "SELECT reco.drop_feature_view('demand')"] {
        refusal(&mut stranger, statement).expect(
            "42501",
            &["must be owner of feature view public.demand"],
            &[],
        );
    }
    refresh(&mut member, "'demand'");
    refresh(&mut owner, "'demand'");
    refresh(&mut database.connect(), "'demand'");
    let by = "SELECT started_by FROM reco.feature_refreshes ORDER BY started_at";
    assert_eq!(rows(&mut stranger, by), ["(view_member)", "(view_owner)", "(postgres)"]);
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename ~ '^demand'";
    assert_eq!(rows(&mut owner, owners), ["(view_owner)"]);
    // A view of one's own over somebody else's: the input must be one's own too.
    stranger
        .batch_execute(
            "SELECT reco.create_feature_view('above', 'SELECT * FROM demand WHERE week BETWEEN $1 AND $2',
                               '{product_id,region}', inputs => '{demand}')",
        )
        .unwrap();
    let refused = refusal(&mut stranger, "CALL reco.refresh_features('above')");
    refused.expect("42501", &["must be owner of feature view public.demand"], &[]);
    stranger.batch_execute("SELECT reco.drop_feature_view('above')").unwrap();
    member.batch_execute("SELECT reco.drop_feature_view('demand')").unwrap();
}

#[test]
fn a_definition_has_its_owners_rights_whoever_calls() {
    let database = Database::with_data();
    let mut owner = role(&database, "signing_owner");
    let mut member = role(&database, "signing_member");
    let mut admin = database.connect();
    admin
        .batch_execute("GRANT signing_owner TO signing_member; CREATE TABLE secret AS SELECT 1 AS one")
        .unwrap();
    owner.batch_execute("CREATE TABLE own AS SELECT 5 AS five").unwrap();
    create_signed(&mut owner, "current_user::text AS by, (SELECT five FROM own) AS five", ", lookback => 9");
    for client in [&mut owner, &mut member, &mut admin] {
        client.batch_execute(ONE_WEEK).unwrap();
        assert_eq!(rows(client, "SELECT by, five FROM signed"), ["(signing_owner,5)"]);
    }
    // What the owner may not read is not read for a superuser either.
    owner
        .batch_execute(
            "CREATE FUNCTION peek() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT one FROM secret); END';
             SELECT reco.drop_feature_view('signed')",
        )
        .unwrap();
    create_signed(&mut owner, "peek() AS one", "");
    refusal(&mut admin, ONE_WEEK).expect("42501", &["permission denied", "secret"], &[]);
    assert_eq!(value::<String>(&mut admin, "SELECT current_user::text"), "postgres");
}

#[test]
fn a_definition_cannot_do_anything_to_the_callers_session() {
    let database = Database::with_data();
    let mut owner = role(&database, "scheming_owner");
    let mut admin = database.connect();
    for (body, words) in [
        ("SET ROLE postgres", "security-restricted operation"),
        ("RESET ROLE", "security-restricted operation"),
        ("RESET SESSION AUTHORIZATION", "security-restricted operation"),
        ("CREATE TEMP TABLE planted ()", "security-restricted operation"),
        ("DECLARE planted CURSOR WITH HOLD FOR SELECT 1", "security-restricted operation"),
        ("PREPARE planted AS SELECT 1", "security-restricted operation"),
        ("LISTEN planted", "security-restricted operation"),
    ] {
        owner
            .batch_execute(&format!(
                "CREATE OR REPLACE FUNCTION scheme() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN EXECUTE '{body}'; RETURN 1; END $$"
            ))
            .unwrap();
        create_signed(&mut owner, "scheme() AS one", "");
        let error = refusal(&mut admin, ONE_WEEK);
        let refused =
            error.message.contains(words) || error.message.contains("within security-definer function");
        assert!(error.code == "42501" && refused, "{body}: {error:?}");
        owner.batch_execute("SELECT reco.drop_feature_view('signed')").unwrap();
    }
    // Settings that it changes are set back.
    owner
        .batch_execute(
            "CREATE OR REPLACE FUNCTION scheme() RETURNS integer LANGUAGE plpgsql AS
             $$ BEGIN PERFORM set_config('search_path', 'hostile', false); RETURN 1; END $$",
        )
        .unwrap();
    create_signed(&mut owner, "scheme() AS one", "");
    let path: String = value(&mut admin, "SHOW search_path");
    admin.batch_execute(ONE_WEEK).unwrap();
    assert_eq!(value::<String>(&mut admin, "SHOW search_path"), path);
}

#[test]
fn a_definition_leaves_no_advisory_lock_and_takes_none_away() {
    let database = Database::with_data();
    let mut owner = role(&database, "locking_owner");
    let mut admin = database.connect();
    owner
        .batch_execute(
            "CREATE TABLE how (words text);
             CREATE FUNCTION scheme() RETURNS integer LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_advisory_unlock_all();
                 PERFORM pg_advisory_lock(1), pg_advisory_lock(1), pg_advisory_lock_shared(2, 3), pg_advisory_xact_lock(4);
                 IF EXISTS (SELECT FROM how) THEN RAISE EXCEPTION '%', (SELECT words FROM how); END IF;
                 RETURN 1;
             END $$",
        )
        .unwrap();
    create_signed(&mut owner, "scheme() AS one", ", lookback => 9");
    admin.batch_execute("SELECT pg_advisory_lock(5), pg_advisory_lock_shared(6)").unwrap();
    let held =
        "SELECT objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1";
    let of_admin = ["(5,ExclusiveLock)", "(6,ShareLock)"];
    assert_eq!(rows(&mut admin, held), of_admin);
    admin.batch_execute(ONE_WEEK).unwrap();
    assert_eq!(rows(&mut admin, held), of_admin);
    // Those of the transaction go with it.
    admin.batch_execute(&format!("BEGIN; {ONE_WEEK}")).unwrap();
    assert_eq!(rows(&mut admin, held), ["(4,ExclusiveLock)", "(5,ExclusiveLock)", "(6,ShareLock)"]);
    admin.batch_execute("COMMIT").unwrap();
    assert_eq!(rows(&mut admin, held), of_admin);
    // Nor where it fails.
    owner.batch_execute("INSERT INTO how VALUES ('on purpose')").unwrap();
    admin.batch_execute("SELECT pg_advisory_unlock_all()").unwrap();
    refusal(&mut admin, ONE_WEEK).expect("P0001", &["on purpose"], &[]);
    assert_eq!(rows(&mut admin, held), Vec::<String>::new());
}

/// How often the session can let go of an advisory lock; it is let go of.
fn times(client: &mut Client, key: i32) -> usize {
    client.batch_execute("SET client_min_messages = error").unwrap();
    let unlock = format!("SELECT pg_advisory_unlock({key})");
    std::iter::repeat_with(|| value::<bool>(client, &unlock)).take_while(|held| *held).count()
}

#[test]
fn the_session_has_its_advisory_locks_as_often_as_before_a_definition() {
    let database = Database::with_data();
    let mut owner = role(&database, "counting_owner");
    let mut admin = database.connect();
    owner
        .batch_execute(
            "CREATE TABLE how (fails boolean);
             CREATE FUNCTION scheme() RETURNS integer LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_advisory_lock(k) FROM (VALUES (1), (1), (2), (6), (6)) AS l (k);
                 PERFORM pg_advisory_unlock(3), pg_advisory_unlock(4), pg_advisory_unlock(4);
                 BEGIN
                     PERFORM pg_advisory_lock(7);
                     RAISE EXCEPTION 'caught';
                 EXCEPTION WHEN raise_exception THEN PERFORM pg_advisory_unlock(5);
                 END;
                 IF EXISTS (SELECT FROM how) THEN RAISE EXCEPTION 'on purpose'; END IF;
                 RETURN 1;
             END $$",
        )
        .unwrap();
    create_signed(&mut owner, "scheme() AS one", ", lookback => 9");
    // 1: taken again; 2: the transaction's, taken for the session; 3: let go of once; 4: altogether; 5: in a subtransaction;
    // 6 and 7: new.
    let take = "SELECT pg_advisory_lock(k) FROM (VALUES (1), (3), (3), (4), (4), (5)) AS l (k)";
    for fails in [false, true] {
        if fails {
            owner.batch_execute("INSERT INTO how VALUES (true)").unwrap();
        }
        admin.batch_execute(take).unwrap();
        admin
            .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(k) FROM (VALUES (2), (5)) AS l (k)")
            .unwrap();
        match fails {
            true => drop(refusal(&mut admin, ONE_WEEK).expect("P0001", &["on purpose"], &[])),
            false => admin.batch_execute(ONE_WEEK).unwrap(),
        }
        admin.batch_execute("COMMIT").unwrap();
        let held = [1, 2, 3, 4, 5, 6, 7].map(|key| times(&mut admin, key));
        assert_eq!(held, [1, 0, 2, 2, 1, 0, 0], "fails: {fails}");
    }
}

#[test]
fn nobody_gets_an_advisory_lock_of_the_session_while_a_definition_lets_go_of_it() {
    let database = Database::with_data();
    let mut owner = role(&database, "releasing_owner");
    let mut admin = database.connect();
    owner
        .batch_execute(
            "CREATE FUNCTION scheme() RETURNS boolean LANGUAGE sql AS
             $$ SELECT pg_advisory_unlock(5) FROM (SELECT pg_advisory_unlock_all()) AS l $$",
        )
        .unwrap();
    create_signed(&mut owner, "scheme() AS one", ", lookback => 9");
    admin.batch_execute("SELECT pg_advisory_lock(5)").unwrap();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5 AND NOT granted";
    let mut other = database.connect();
    let waiting = std::thread::spawn(move || other.batch_execute("SELECT pg_advisory_lock(5)"));
    wait_until("the other session waits", || value::<i64>(&mut owner, waits) == 1);
    admin.batch_execute(ONE_WEEK).unwrap();
    assert_eq!(value::<i64>(&mut owner, waits), 1);
    assert_eq!(times(&mut admin, 5), 1);
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_definition_finds_what_its_author_meant() {
    let database = Database::with_data();
    let mut owner = role(&database, "path_owner");
    let mut admin = database.connect();
    owner.batch_execute("CREATE TABLE fact AS SELECT 'the real one' AS words").unwrap();
    create_signed(&mut owner, "(SELECT words FROM fact) AS words", ", lookback => 9");
    admin
        .batch_execute(
            "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.fact AS SELECT 'of another schema' AS words;
             GRANT ALL ON SCHEMA elsewhere TO PUBLIC; GRANT SELECT ON elsewhere.fact TO PUBLIC;
             CREATE TEMP TABLE fact AS SELECT 'temporary' AS words;
             GRANT SELECT ON fact TO PUBLIC;
             SET search_path = elsewhere, public",
        )
        .unwrap();
    admin.batch_execute(&ONE_WEEK.replace("signed", "public.signed")).unwrap();
    assert_eq!(rows(&mut admin, "SELECT words FROM signed"), ["(\"the real one\")"]);
    // Nor does the owner's own temporary table stand in for it.
    owner.batch_execute("CREATE TEMP TABLE fact AS SELECT 'temporary' AS words").unwrap();
    owner.batch_execute(ONE_WEEK).unwrap();
    assert_eq!(rows(&mut admin, "SELECT words FROM signed"), ["(\"the real one\")"]);
}

#[test]
fn types_are_found_whatever_the_callers_search_path() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE SCHEMA shop; CREATE TYPE shop.kind AS ENUM ('new', 'old');
             CREATE SCHEMA hostile; CREATE TYPE hostile.kind AS ENUM ('other')",
        )
        .unwrap();
    create_signed(&mut client, "'new'::shop.kind AS kind", ", lookback => 9");
    for path in ["public", "shop, public", "shop, hostile, public", "hostile, public"] {
        client.batch_execute(&format!("SET search_path = {path}")).unwrap();
        for week in ["2024-01-01", "2025-01-06"] {
            client
                .batch_execute(&ONE_WEEK.replace("2024-01-01", week))
                .unwrap_or_else(|e| panic!("{path}: {e:?}"));
        }
    }
    let types = "SELECT DISTINCT atttypid::regtype::text FROM pg_attribute WHERE attname = 'kind' AND attrelid::regclass::text ~ '^(public.)?signed'";
    assert_eq!(rows(&mut client, types), ["(shop.kind)"]);
}

#[test]
fn settings_are_those_that_the_owner_may_change() {
    let database = Database::with_data();
    let mut owner = role(&database, "setting_owner");
    let mut admin = database.connect();
    create_signed(
        &mut owner,
        "current_setting('work_mem') AS memory, current_setting('enable_hashjoin') AS hashjoin",
        r#", settings => '{"work_mem": "77MB", "enable_hashjoin": false}', lookback => 9"#,
    );
    admin.batch_execute(ONE_WEEK).unwrap();
    assert_eq!(rows(&mut admin, "SELECT memory, hashjoin FROM signed"), ["(77MB,off)"]);
    assert_ne!(value::<String>(&mut admin, "SHOW work_mem"), "77MB");
    let with = |settings: &str| super::views::creation("demand", &format!(", settings => '{settings}'"));
    owner
        .batch_execute("CREATE TABLE sold (product_id bigint, region text, day date, quantity integer)")
        .unwrap();
    for (settings, code, words) in [
        (r#"{"log_statement": "none"}"#, "42501", "permission denied to set parameter"),
        (r#"{"session_replication_role": "replica"}"#, "42501", "permission denied to set parameter"),
        (r#"{"role": "setting_owner"}"#, "42501", "role"),
        (r#"{"session_authorization": "setting_owner"}"#, "42501", "session_authorization"),
        (r#"{"no_such_setting": 1}"#, "42704", "unrecognized configuration parameter"),
        (r#"{"work_mem": "a lot"}"#, "22023", "work_mem"),
        (r#"{"shared_buffers": "1GB"}"#, "55P02", "shared_buffers"),
        (r#"["work_mem"]"#, "22023", "settings is an object"),
    ] {
        let error = refusal(&mut owner, &with(settings));
        assert!(error.code == code && error.message.contains(words), "{settings}: {error:?}");
    }
    // A setting of a library that was not there yet is not changed with a superuser's rights later.
    owner.batch_execute(&with(r#"{"plpgsql.variable_conflict": "use_column"}"#)).unwrap();
    admin.batch_execute("LOAD 'plpgsql'").unwrap();
    let error = refusal(&mut admin, "CALL reco.refresh_features('demand')");
    error.expect("42501", &["permission denied to set parameter \"plpgsql.variable_conflict\""], &[]);
}

#[test]
fn a_definition_does_not_pass_to_another_owner_with_the_name() {
    let database = Database::with_data();
    let mut author = role(&database, "planting_author");
    let mut victim = role(&database, "planted_owner");
    let mut admin = database.connect();
    create_signed(&mut author, "current_user::text AS by", "");
    author.batch_execute(ONE_WEEK).unwrap();
    author.batch_execute("DROP TABLE signed").unwrap();
    victim
        .batch_execute("CREATE TABLE signed (week date, product_id int, by text) PARTITION BY RANGE (week)")
        .unwrap();
    for client in [&mut victim, &mut admin] {
        let error = refusal(client, ONE_WEEK);
        error.expect("22023", &["public.signed is not a feature view"], &["create"]);
    }
    // Nor with a mark of its own, whose name anybody can read.
    let id: String = value(&mut admin, "SELECT view_id::text FROM reco.feature_view");
    let mark = format!("CREATE STATISTICS \"feature_view_{id}\" ON week, product_id FROM signed");
    victim.batch_execute(&mark).unwrap();
    for client in [&mut victim, &mut admin] {
        let error = refusal(client, ONE_WEEK);
        error.expect("22023", &["public.signed is not a feature view"], &["create"]);
    }
    let shown = "SELECT count(*) FROM reco.feature_views WHERE definition IS NOT NULL";
    assert_eq!(value::<i64>(&mut victim, shown), 0);
    // With the mark of a superuser it is one, and still not the victim's to run.
    victim.batch_execute(&format!("DROP STATISTICS \"feature_view_{id}\"")).unwrap();
    admin.batch_execute(&mark).unwrap();
    for client in [&mut victim, &mut admin] {
        let error = refusal(client, ONE_WEEK);
        error.expect("42501", &["planting_author", "planted_owner"], &["create"]);
    }
    // It may pass to a role that the author can act for.
    admin.batch_execute("GRANT planted_owner TO planting_author").unwrap();
    victim.batch_execute("DROP TABLE signed").unwrap();
    create_signed(&mut author, "current_user::text AS by", "");
    author.batch_execute("ALTER TABLE signed OWNER TO planted_owner").unwrap();
    victim.batch_execute(ONE_WEEK).unwrap();
    assert_eq!(rows(&mut admin, "SELECT by FROM signed"), ["(planted_owner)"]);
}

#[test]
fn the_catalog_of_views_is_not_the_users_to_write() {
    let database = Database::with_data();
    let mut client = role(&database, "catalog_writer");
    create(&mut client, "");
    refresh(&mut client, "'demand'");
    assert!(!contents(&mut client, "demand").is_empty());
    for table in ["feature_view", "feature_week", "feature_refresh"] {
        for statement in ["SELECT * FROM", "DELETE FROM", "TRUNCATE"] {
            refusal(&mut client, &format!("{statement} reco.{table}")).expect(
                "42501",
                &["permission denied"],
                &[],
            );
        }
    }
    for view in ["feature_views", "feature_refreshes"] {
        assert_eq!(rows(&mut client, &format!("SELECT * FROM reco.{view}")).len(), 1);
        let error = refusal(&mut client, &format!("DELETE FROM reco.{view}"));
        assert!(["42501", "55000"].contains(&error.code.as_str()), "{error:?}");
    }
    // Nor is a schema without the right to create in it a place for a view.
    refusal(&mut client, &creation("reco.mine", "")).expect(
        "42501",
        &["permission denied for schema reco"],
        &[],
    );
}
