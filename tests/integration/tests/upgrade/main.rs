//! From each release to this version, with the release's own library and trainer: what they made scores the same to the last
//! bit and goes on, whichever of library, catalog and standby comes first. `make test-upgrade` builds the releases and runs this.

mod files;
#[path = "../server/views.rs"]
#[allow(dead_code)]
mod views;
mod world;

use files::{releases, Files, NEW};
use integration::catalog_objects::Objects;
use integration::cluster::Stop;
use integration::installation::output;
use integration::query::backend_pid;
use integration::{refusal, rows, value, wait_until, Cluster};
use postgres::{Client, NoTls};
use world::{expect_same, goes_on, Questions};

const UPDATE: &str = "ALTER EXTENSION pg_recommend UPDATE";

/// A server whose library and trainer are of an old version, and a database that they have made.
struct Old {
    version: String,
    files: Files,
    cluster: Cluster,
}

impl Old {
    fn new(version: &str) -> Self {
        let files = Files::of(version);
        let cluster = Cluster::with(&files.settings());
        let this = Self { version: version.to_owned(), files, cluster };
        world::make(&mut this.connect(), version);
        this
    }

    fn connect(&self) -> Client {
        self.cluster.connect("postgres")
    }

    fn connect_as(&self, role: &str) -> Client {
        self.cluster.config("postgres", role).connect(NoTls).unwrap_or_else(|error| panic!("{role}: {error}"))
    }

    /// The error by which the new library refuses to change the old catalog.
    #[track_caller]
    fn expect_refusal(&self, client: &mut Client, sql: &str, todo: &str) {
        refusal(client, sql).expect(
            "55000",
            &[&format!("is version {NEW}"), &format!("version {}", self.version)],
            &[todo],
        );
    }
}

/// The objects of a fresh installation of this version, in a database of its own.
fn fresh(cluster: &Cluster) -> Objects {
    cluster.connect("postgres").batch_execute("CREATE DATABASE fresh TEMPLATE template0").unwrap();
    let mut client = cluster.connect("fresh");
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    Objects::of(&mut client)
}

/// Where they differ, but for what roles were granted.
fn differences(fresh: &Objects, updated: &Objects) -> Vec<String> {
    let of_roles =
        |line: &String| line.contains("privileges") && (line.contains("analyst") || line.contains("planner"));
    let lines = fresh.differences(updated);
    let granted: Vec<_> = lines
        .iter()
        .filter(|line| of_roles(line))
        .map(|line| line.split(", privileges").next().unwrap().to_owned())
        .collect();
    lines
        .into_iter()
        .filter(|line| !granted.iter().any(|object| line.starts_with(&format!("{object}, privileges"))))
        .collect()
}

fn wait_until_replayed(primary: &mut Client, standby: &mut Client) {
    let here: String = value(primary, "SELECT pg_current_wal_lsn()::text");
    let there = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'");
    wait_until("the standby has caught up", || value::<bool>(standby, &there));
}

#[test]
fn what_a_release_made_scores_the_same_before_and_after_the_update_and_goes_on() {
    for version in releases() {
        let old = Old::new(&version);
        let mut client = old.connect();
        let questions = Questions::of(&mut client);
        let answers = questions.asked(&mut client);
        assert!(answers.iter().all(|(sql, rows)| !rows.is_empty() || panic!("nothing is asked by {sql}")));

        old.files.replace_by(NEW);
        let mut client = old.connect();
        expect_same(&answers, &questions.asked(&mut client), "the new library with the old catalog");
        for sql in ["CALL reco.retrain('net')", "SELECT reco.promote('net', 1)", "CALL reco.run_due()"] {
            old.expect_refusal(&mut client, sql, UPDATE);
        }
        // What serves goes on: an application that logs what it shows is not stopped.
        let logged: i64 =
            value(&mut client, "SELECT reco.log_recommendations('{6}'::bigint[], '{r1}', 'trees')");
        assert_eq!(logged, 1);
        let found =
            rows(&mut client, "SELECT detail FROM reco.check_setup() WHERE item = 'extension' AND NOT ok");
        assert!(found.len() == 1 && found[0].contains(UPDATE), "{found:?}");
        let answers = questions.asked(&mut client);

        client.batch_execute(UPDATE).unwrap();
        expect_same(&answers, &questions.asked(&mut client), "after the update, in the same session");
        let mut client = old.connect();
        expect_same(&answers, &questions.asked(&mut client), "after the update");
        let left = differences(&fresh(&old.cluster), &Objects::of(&mut client));
        assert!(left.is_empty(), "{}", left.join("\n"));
        may_do_what_they_could(&old);
        goes_on(&mut client);
    }
}

/// Roles, with what was granted to them before.
fn may_do_what_they_could(old: &Old) {
    let mut analyst = old.connect_as("analyst");
    assert_eq!(rows(&mut analyst, "SELECT model FROM of_models WHERE model = 'net'"), ["(net)"]);
    assert!(value::<Option<f64>>(&mut analyst, "SELECT reco.recommend(1::bigint, 'r1', 'net')").is_some());
    refusal(&mut analyst, "SELECT reco.recommend(1::bigint, 'r1', 'logistic')").expect(
        "42501",
        &["logistic"],
        &[],
    );
    let mut planner = old.connect_as("planner");
    assert!(value::<i64>(&mut planner, "SELECT count(*) FROM reco.version") > 0);
    planner.batch_execute("SELECT reco.set_alias('trees', 'planners', 1)").unwrap();
}

#[test]
fn a_session_that_has_the_old_library_scores_on_after_files_and_catalog_are_new() {
    for version in releases() {
        let old = Old::new(&version);
        let (mut open, mut untouched) = (old.connect(), old.connect());
        let questions = Questions::of(&mut open);
        let answers = questions.scores(&mut open);
        old.files.replace_by(NEW);
        let mut other = old.connect();
        other.batch_execute(UPDATE).unwrap();
        expect_same(&answers, &questions.scores(&mut open), "the old library with the new catalog");
        let backend = backend_pid(&mut open);
        assert!(old.files.mapped(backend).ends_with("(deleted)"), "the session has kept the old library");
        // One that has not loaded it yet gets the new one.
        expect_same(
            &answers,
            &questions.scores(&mut untouched),
            "a session that was open and had no library",
        );
        let backend = backend_pid(&mut untouched);
        assert!(!old.files.mapped(backend).ends_with("(deleted)"));
        // What only the new library has, as an update in the old session would make it.
        let newer = "CREATE FUNCTION newer() RETURNS integer LANGUAGE c AS 'pg_recommend', 'newer_wrapper'";
        refusal(&mut open, newer).expect("42883", &["could not find function", "pg_recommend.so"], &[]);
    }
}

#[test]
fn a_standby_that_is_upgraded_first_scores_the_same_and_points_to_the_primary() {
    for version in releases() {
        let old = Old::new(&version);
        let mut primary = old.connect();
        let questions = Questions::of(&mut primary);
        let answers = questions.asked(&mut primary);
        let files = Files::of(NEW);
        let cluster = old.cluster.standby_with(&files.settings());
        let mut standby = cluster.connect("postgres");
        expect_same(
            &answers,
            &questions.asked(&mut standby),
            "the new library on a standby of the old primary",
        );
        let found =
            rows(&mut standby, "SELECT detail FROM reco.check_setup() WHERE item = 'extension' AND NOT ok");
        assert!(found.len() == 1 && found[0].contains("on the primary"), "{found:?}");

        old.files.replace_by(NEW);
        let mut primary = old.connect();
        primary.batch_execute(UPDATE).unwrap();
        wait_until_replayed(&mut primary, &mut standby);
        expect_same(
            &answers,
            &questions.asked(&mut standby),
            "after the primary's update, in the same session",
        );
        let found = rows(&mut standby, "SELECT ok FROM reco.check_setup() WHERE item = 'extension'");
        assert_eq!(found, ["(t)"]);
        promoted_goes_on(&cluster);
    }
}

#[test]
fn a_standby_that_is_upgraded_last_scores_the_same_until_it_is() {
    for version in releases() {
        let old = Old::new(&version);
        let mut primary = old.connect();
        let questions = Questions::of(&mut primary);
        let answers = questions.scores(&mut primary);
        let files = Files::of(&version);
        let cluster = old.cluster.standby_with(&files.settings());
        let mut open = cluster.connect("postgres");
        expect_same(&answers, &questions.scores(&mut open), "both old");

        old.files.replace_by(NEW);
        let mut primary = old.connect();
        primary.batch_execute(UPDATE).unwrap();
        wait_until_replayed(&mut primary, &mut open);
        expect_same(
            &answers,
            &questions.scores(&mut open),
            "the old library on a standby of the new primary",
        );
        let mut anew = cluster.connect("postgres");
        expect_same(&answers, &questions.scores(&mut anew), "the same in a new session");
        let sql = "SELECT detail FROM reco.check_setup() WHERE item = 'extension' AND NOT ok";
        let found = rows(&mut anew, sql);
        assert!(found.len() == 1 && found[0].contains(NEW) && found[0].contains(&version), "{found:?}");

        files.replace_by(NEW);
        let mut anew = cluster.connect("postgres");
        expect_same(&answers, &questions.scores(&mut anew), "both new");
        assert_eq!(rows(&mut anew, sql), Vec::<String>::new());
        old.cluster.stop(Stop::Fast);
        promoted_goes_on(&cluster);
    }
}

fn promoted_goes_on(standby: &Cluster) {
    let mut client = standby.connect("postgres");
    assert!(value::<bool>(&mut client, "SELECT pg_promote()"));
    goes_on(&mut client);
}

#[test]
fn a_dump_of_a_release_comes_back_whole_in_this_version() {
    for version in releases() {
        let old = Old::new(&version);
        let mut client = old.connect();
        let questions = Questions::of(&mut client);
        let answers = questions.asked(&mut client);
        let dump = old.cluster.folder().join("old.dump");
        output(old.cluster.client_program("pg_dump").args(["-Fc", "-f"]).arg(&dump).arg("postgres"));

        let files = Files::of(NEW);
        let cluster = Cluster::with(&files.settings());
        cluster
            .connect("postgres")
            .batch_execute("CREATE ROLE analyst LOGIN; CREATE ROLE planner LOGIN")
            .unwrap();
        cluster.connect("postgres").batch_execute("CREATE DATABASE copy").unwrap();
        output(
            cluster.client_program("pg_restore").args(["-d", "copy", "-j2", "--exit-on-error"]).arg(&dump),
        );
        let mut copy = cluster.connect("copy");
        assert_eq!(
            rows(&mut copy, "SELECT extversion FROM pg_extension WHERE extname = 'pg_recommend'"),
            [format!("({NEW})")]
        );
        expect_same(&answers, &questions.asked(&mut copy), "restored into the new version");
        let left = differences(&fresh(&cluster), &Objects::of(&mut copy));
        assert!(left.is_empty(), "{}", left.join("\n"));
        goes_on(&mut copy);
    }
}
