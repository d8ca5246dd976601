//! Backups that pg_dump makes and pg_restore, or psql, brings back: of every kind, and whole.

use super::support::{sum_of_scores, versions};
use super::views;
use integration::installation::output;
use integration::{rows, value, Database, Training, Tuning};
use postgres::Client;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

pub const VIEWS: [&str; 22] = [
    "models",
    "versions",
    "aliases",
    "runs",
    "run_metrics",
    "run_candidates",
    "training_progress",
    "tunes",
    "trials",
    "model_privileges",
    "audit",
    "promotions",
    "ab_tests",
    "ab_arms",
    "recommendations",
    "feature_views",
    "feature_refreshes",
    "schedules",
    "schedule_runs",
    "monitoring",
    "drift",
    "health",
];

/// What is asked of a database and its copy, besides the catalog.
pub const ANSWERS: [&str; 6] = [
    "SELECT p, r, reco.recommend(p, 'r' || r, 'launch') FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r",
    "SELECT p, r, reco.recommend(p, 'r' || r, 'other') FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r",
    "SELECT p, e.* FROM generate_series(1::bigint, 5) AS p, reco.explain(p, 'r1', 'launch') AS e",
    "SELECT reco.model_card_text(m) FROM unnest('{launch,other}'::text[]) AS m",
    "SELECT * FROM reco.ab_report('dumped') ORDER BY 1, 2",
    "SELECT * FROM demand ORDER BY product_id, region, week",
];

/// A database that has something of everything, and is only read.
fn original() -> &'static Database {
    static ORIGINAL: OnceLock<Database> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let database = Database::trained();
        fill(&mut database.connect());
        database
    })
}

/// Makes something of everything, in a database with the training table and a version of `launch`.
pub fn fill(client: &mut Client) {
    Training::new("launch").param(r#""seed": 2"#).with("promote => true").call(client);
    Training::new("other").source("numeric_features").call(client);
    Tuning::new("other").source("numeric_features").trials(3).call(client);
    views::create(client, "");
    views::refresh(client, "'demand', to_week => '2024-02-19'");
    client
        .batch_execute(
            r#"SELECT reco.grant_model('launch', 'pg_monitor', 'score'); SELECT reco.rollback('launch');
               SELECT reco.archive_version('launch', 2);
               SELECT reco.start_ab_test('dumped', 'other', '[{"arm": "a", "version": 1, "share": 0.4},
                                                              {"arm": "b", "version": 2, "share": 0.6}]');
               CALL reco.monitor('launch', from_week => '2024-06-10');
               SELECT reco.set_monitoring('launch', '{"psi_alarm": 0.3}');
               SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'other');
               SELECT reco.schedule_retraining('launch', '0 4 * * mon', time_zone => 'Europe/Berlin', min_gain => 0.001);
               SELECT reco.schedule_refresh('demand', '0 3 * * *', retries => 1);
               UPDATE reco.schedule SET next_run = now() WHERE kind = 'refresh';
               ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
               CREATE POLICY all_rows ON launch_features USING (true)"#,
        )
        .unwrap();
    client.batch_execute("CALL reco.run_due(wait => true)").unwrap();
}

/// A new file or folder for a dump, and a new database to restore it into.
struct Backup {
    path: PathBuf,
    copy: String,
}

impl Backup {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let database = original();
        let copy = format!("{}_copy{}", database.name, COUNT.fetch_add(1, Ordering::Relaxed));
        database.connect().batch_execute(&format!("CREATE DATABASE {copy}")).unwrap();
        Self { path: database.cluster.folder().join(format!("{copy}.dump")), copy }
    }

    fn dump(&self, arguments: &[&str]) -> &Self {
        self.dump_as("postgres", arguments)
    }

    fn dump_as(&self, role: &str, arguments: &[&str]) -> &Self {
        let database = original();
        let mut command = database.cluster.client_program("pg_dump");
        command.env("PGUSER", role).args(arguments).arg("-f").arg(&self.path);
        output(command.arg(&database.name));
        self
    }

    fn restoring(&self, arguments: &[&str]) -> Command {
        let mut command = original().cluster.client_program("pg_restore");
        command.args(["-d", &self.copy]).args(arguments).arg(&self.path);
        command
    }

    fn restore(&self, arguments: &[&str]) -> &Self {
        let mut command = self.restoring(arguments);
        output(command.arg("--exit-on-error"));
        self
    }

    fn connect(&self) -> Client {
        original().cluster.connect(&self.copy)
    }

    #[track_caller]
    fn has_the_catalog(&self) -> Client {
        let (mut client, mut copy) = (original().connect(), self.connect());
        for view in VIEWS {
            let sql = format!("SELECT * FROM reco.{view} AS v ORDER BY v::text");
            assert_eq!(rows(&mut client, &sql), rows(&mut copy, &sql), "{view}");
        }
        let catalog = "SELECT ok || ' ' || detail FROM reco.check_setup() WHERE item = 'catalog'";
        let (expected, found) = (rows(&mut client, catalog), rows(&mut copy, catalog));
        assert_eq!(found, expected);
        assert!(expected[0].starts_with("(\"true "), "{expected:?}");
        copy
    }

    /// That the copy is as the original, and goes on by itself.
    #[track_caller]
    fn is_whole(&self) {
        let (mut client, mut copy) = (original().connect(), self.has_the_catalog());
        for model in ["launch", "other"] {
            assert_eq!(sum_of_scores(&mut client, model), sum_of_scores(&mut copy, model));
        }
        for sql in ANSWERS {
            let expected = rows(&mut client, sql);
            assert!(!expected.is_empty(), "{sql}");
            assert_eq!(expected, rows(&mut copy, sql), "{sql}");
        }
        views::refresh(&mut copy, "'demand'");
        assert_eq!(views::contents(&mut copy, "demand"), views::built_anew(&mut copy));
        copy.batch_execute("CALL reco.retrain('launch')").unwrap();
        assert_eq!(versions(&mut copy, "launch"), [1, 2, 3]);
    }
}

#[test]
fn plain_sql_is_whole() {
    let backup = Backup::new();
    backup.dump(&["-Fp"]);
    let mut psql = original().cluster.client_program("psql");
    output(
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", &backup.copy, "-f"])
            .arg(&backup.path),
    );
    backup.is_whole();
}

#[test]
fn the_custom_format_is_whole_by_one_job_and_by_several() {
    Backup::new().dump(&["-Fc"]).restore(&[]).is_whole();
    Backup::new().dump(&["-Fc"]).restore(&["-j4"]).is_whole();
}

#[test]
fn a_folder_is_whole_by_several_jobs() {
    Backup::new().dump(&["-Fd", "-j4"]).restore(&["-j4"]).is_whole();
}

#[test]
fn sections_are_whole_together() {
    let backup = Backup::new();
    backup.dump(&["-Fc"]);
    for section in ["pre-data", "data", "post-data"] {
        backup.restore(&["-j2", &format!("--section={section}")]);
    }
    backup.is_whole();
}

#[test]
fn a_database_that_has_the_extension_takes_the_rows_and_is_replaced_by_clean() {
    let backup = Backup::new();
    backup.connect().batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    backup.dump(&["-Fc"]);
    // Of a partition's primary key PostgreSQL 15 tries to drop what goes with the table's.
    for (arguments, known) in [
        (&["-j2"][..], "schema \"reco\" already exists"),
        (&["--clean", "--if-exists"], "cannot drop inherited constraint"),
    ] {
        let restored = backup.restoring(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&restored.stderr);
        let mut errors = told.lines().filter(|line| line.contains("error: could not"));
        assert!(errors.all(|line| line.contains(known)), "{told}");
        backup.is_whole();
    }
}

#[test]
fn the_owner_of_a_database_who_is_no_superuser_can_dump_it() {
    let mut client = original().connect();
    let name = &original().name;
    client
        .batch_execute(&format!(
            "CREATE ROLE owns_database LOGIN; ALTER DATABASE {name} OWNER TO owns_database;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO owns_database; ALTER ROLE owns_database BYPASSRLS"
        ))
        .unwrap();
    let mut owner = original().connect_as("owns_database");
    assert!(value::<i64>(&mut owner, "SELECT sum(octet_length(body)) FROM reco.artifact_chunk") > 0);
    integration::refusal(&mut owner, "DELETE FROM reco.artifact_chunk").expect(
        "42501",
        &["permission denied"],
        &[],
    );
    Backup::new().dump_as("owns_database", &["-Fc"]).restore(&["-j2"]).is_whole();
}

#[test]
fn the_catalog_comes_back_without_the_sources() {
    let backup = Backup::new();
    backup.dump(&["-Fc", "--exclude-schema=public"]).restore(&["-j2"]);
    let (mut client, mut copy) = (original().connect(), backup.connect());
    for view in VIEWS {
        let sql = format!("SELECT * FROM reco.{view} AS v ORDER BY v::text");
        assert_eq!(rows(&mut client, &sql), rows(&mut copy, &sql), "{view}");
    }
    integration::refusal(&mut copy, "SELECT reco.recommend(1, 'r1', 'launch')").expect(
        "42P01",
        &["public.launch_features", "does not exist"],
        &["Train"],
    );
    // The weights are all there. The original is not changed, other tests look at it: an export is a row of its audit.
    let weights = "SELECT md5(string_agg(c.body, ''::bytea ORDER BY c.position)) \
                   FROM reco.artifact_chunk AS c JOIN reco.version AS v USING (artifact_id) \
                   WHERE v.model = 'launch' AND v.version = 1";
    assert_eq!(rows(&mut client, weights), rows(&mut copy, weights));
}

#[test]
fn dropping_the_extension_takes_everything_with_it() {
    let mut client = Database::trained().connect();
    client.batch_execute("DROP EXTENSION pg_recommend").unwrap();
    let left = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('reco') \
                UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('reco')";
    assert!(rows(&mut client, left).is_empty());
    client.batch_execute("DROP SCHEMA IF EXISTS reco; CREATE EXTENSION pg_recommend").unwrap();
    Training::new("launch").call(&mut client);
}
