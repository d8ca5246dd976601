//! What `k8s/` runs in servers: the SQL that a new cluster is made with, and the job that trains elsewhere and imports the version.

use integration::installation::Installation;
use integration::{data, rows, value, Cluster};
use postgres::{Client, NoTls};
use std::path::{Path, PathBuf};
use std::process::Command;

const DATABASE: &str = "postgres";
/// As in the cluster's manifest, with the database that is there.
const PRELOADED: &str = "
shared_preload_libraries = 'pg_recommend,pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
";

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k8s")
}

/// A server as the operator leaves it: the application's role owns the database, then our SQL has run, then roles that log in.
fn deployed() -> (Cluster, Client) {
    let cluster = Cluster::with(PRELOADED);
    let mut client = cluster.connect(DATABASE);
    client.batch_execute("CREATE ROLE app LOGIN; ALTER DATABASE postgres OWNER TO app").unwrap();
    for file in ["bootstrap.sql", "pg_cron.sql"] {
        let sql = std::fs::read_to_string(manifests().join("base").join(file)).unwrap();
        client.batch_execute(&sql).unwrap_or_else(|error| panic!("{file}: {error:?}"));
    }
    client
        .batch_execute(
            "CREATE ROLE reco_scorer LOGIN IN ROLE reco_scoring; CREATE ROLE reco_trainer LOGIN IN ROLE reco_training",
        )
        .unwrap();
    (cluster, client)
}

fn session(cluster: &Cluster, user: &str) -> Client {
    cluster.config(DATABASE, user).connect(NoTls).unwrap()
}

/// The training table, made by the application and readable for the job.
fn with_rows(cluster: &Cluster) -> Client {
    let mut app = session(cluster, "app");
    data::create_table(&mut app);
    app.batch_execute("GRANT SELECT ON launch_features TO reco_training, reco_scoring").unwrap();
    app
}

/// Runs the job as its pod does, but for the GPU. What it printed, and whether it ended well.
fn train(cluster: &Cluster, params: &str) -> (bool, String) {
    let installation = Installation::get();
    let [user, rest @ ..] = installation.as_server_user() else {
        return finished(job(cluster, Command::new("bash"), params));
    };
    let mut command = Command::new(user);
    command.args(rest).arg("bash");
    finished(job(cluster, command, params))
}

fn job(cluster: &Cluster, mut command: Command, params: &str) -> Command {
    let bin = Installation::get().program("psql").parent().unwrap().to_owned();
    let psql = cluster.client_program("psql");
    let socket = psql.get_envs().find(|(name, _)| *name == "PGHOST").and_then(|(_, value)| value).unwrap();
    command.arg(manifests().join("components/gpu-training/train.sh")).current_dir("/");
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    command.env("READ_HOST", socket).env("WRITE_HOST", socket).env("PGPORT", "5432");
    command.env("PGUSER", "reco_trainer").env("PGDATABASE", DATABASE).env("PARAMS", params);
    command.env("MODEL", "launch").env("SOURCE", "public.launch_features").env("LABEL", "purchased");
    command
}

fn finished(mut command: Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

const VERSIONS: &str = "SELECT version, aliases, status FROM reco.versions ORDER BY version";

#[test]
fn pg_cron_beside_a_version_trained_by_the_job_scores_and_takes_the_place_of_a_worse_one() {
    let (cluster, mut client) = deployed();
    with_rows(&cluster);
    let (ended, said) = train(&cluster, r#"{"device": "cpu", "epochs": 2}"#);
    assert!(ended && said.contains("version 1 is the first, and the champion"), "{said}");
    assert_eq!(rows(&mut client, VERSIONS), ["(1,{champion},imported)"]);
    // Whoever may score does so, and sees neither rows nor weights otherwise.
    session(&cluster, "reco_trainer")
        .batch_execute("SELECT reco.grant_model('launch', 'reco_scoring', 'score')")
        .unwrap();
    let score: f64 = value(&mut session(&cluster, "reco_scorer"), "SELECT reco.recommend(1, 'r1', 'launch')");
    assert!(score > 0.0 && score < 1.0, "{score}");

    // The same again is no better.
    let (ended, said) = train(&cluster, r#"{"device": "cpu", "epochs": 2}"#);
    assert!(ended && said.contains("not promoted: "), "{said}");
    let (ended, said) = train(&cluster, r#"{"device": "cpu", "epochs": 20}"#);
    assert!(ended && said.contains("\npromoted: "), "{said}");
    assert_eq!(
        rows(&mut client, VERSIONS),
        ["(1,{},imported)", "(2,{},imported)", "(3,{champion},imported)"]
    );
    let why: String = value(&mut client, "SELECT why FROM reco.promotions ORDER BY step DESC LIMIT 1");
    assert!(why.contains("of version 3") && why.ends_with("on 960 rows since 2024-05-20"), "{why}");
}

#[test]
fn pg_cron_beside_a_champion_trained_in_the_database_is_judged_on_rows_that_it_has_not_seen() {
    let (cluster, mut client) = deployed();
    let mut app = with_rows(&cluster);
    // Its test rows begin later than those of the job's version.
    app.batch_execute(
        r#"CALL reco.train('launch', 'launch_features', 'purchased', 'logistic', '{"epochs": 1, "test_share": 0.05}');
           SELECT reco.grant_model('launch', 'reco_training', 'manage')"#,
    )
    .unwrap();
    let since: String =
        value(&mut client, "SELECT data ->> 'test_from' FROM reco.versions WHERE 'champion' = ANY (aliases)");
    assert!(since.as_str() > "2024-05-20", "{since}");
    let (ended, said) = train(&cluster, r#"{"device": "cpu", "epochs": 20}"#);
    assert!(ended && said.contains(&format!("rows since {since}")), "{said}");
}

#[test]
fn pg_cron_beside_a_job_that_may_not_read_the_rows_ends_with_the_servers_words_and_leaves_nothing() {
    let (cluster, mut client) = deployed();
    data::create_table(&mut session(&cluster, "app"));
    let (ended, said) = train(&cluster, r#"{"device": "cpu"}"#);
    assert!(!ended && said.contains("permission denied for table launch_features"), "{said}");
    assert!(rows(&mut client, VERSIONS).is_empty());
    // Where there is no GPU, a job that asks for one fails rather than train on a processor.
    client.batch_execute("GRANT SELECT ON launch_features TO reco_training").unwrap();
    let (ended, said) = train(&cluster, r#"{"device": "cuda"}"#);
    assert!(!ended && said.contains("GPU"), "{said}");
    assert!(rows(&mut client, VERSIONS).is_empty());
}

#[test]
fn pg_cron_runs_what_the_application_schedules_and_metrics_are_read_by_the_operator() {
    let (cluster, mut client) = deployed();
    let mut app = with_rows(&cluster);
    app.batch_execute(
        r#"CALL reco.train('launch', 'launch_features', 'purchased', 'logistic', '{"epochs": 1}');
           SELECT reco.schedule_retraining('launch', '0 4 * * mon')"#,
    )
    .unwrap();
    assert_eq!(
        rows(&mut client, "SELECT jobname, command, username FROM cron.job"),
        ["(pg_recommend,\"CALL reco.run_due()\",app)"]
    );
    // As the operator's exporter reads.
    client.batch_execute("SET ROLE pg_monitor").unwrap();
    let released: i64 =
        value(&mut client, "SELECT count(*) FROM reco.metrics WHERE name = 'reco_extension_info'");
    assert_eq!(released, 1);
}
