//! Large models in one file for all backends: what it is worth, and that it decides nothing.

use super::model_files::file;
use integration::query::backend_pid;
use integration::{value, Cluster, Database};
use postgres::Client;
use serde_json::json;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};

const NUMBERS: usize = 4;
/// 0.6 MB of weights, and 1 KB.
const LARGE: usize = 400;
const SMALL: usize = 8;

/// A network of three layers with weights that look random.
pub fn network(hidden: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut weights = |count: usize| -> Vec<f32> {
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
        };
        (0..count).map(next).collect()
    };
    let column = |n| {
        let scaling = json!({"mean": 1.0, "scale": 2.0, "indicator": false});
        json!({"name": format!("c{n}"), "sql_type": "real", "family": "number", "input": {"numbers": [scaling]}})
    };
    let recipe = json!({"columns": (0..NUMBERS).map(column).collect::<Vec<_>>()});
    let metadata = json!({
        "format": "pg_recommend", "format_version": "1", "algorithm": "mlp", "recipe": recipe.to_string(),
        "layout": json!({"networks": {"members": 1, "crosses": 0, "layers": 3}}).to_string(),
        "output": json!({"platt": {"slope": 0.2, "offset": 0.0}}).to_string(),
    });
    let [first, second, last] = [weights(hidden * NUMBERS), weights(hidden * hidden), weights(hidden)];
    let bias = weights(hidden);
    file(
        &metadata,
        &[
            ("network.0.layer.0.weight", &[hidden, NUMBERS], &first),
            ("network.0.layer.0.bias", &[hidden], &bias),
            ("network.0.layer.1.weight", &[hidden, hidden], &second),
            ("network.0.layer.1.bias", &[hidden], &bias),
            ("network.0.layer.2.weight", &[1, hidden], &last),
            ("network.0.layer.2.bias", &[1], &bias[..1]),
        ],
    )
}

/// A large one.
pub fn import(client: &mut Client, model: &str, seed: u64) {
    client.execute("SELECT reco.import_model($1, $2)", &[&model, &network(LARGE, seed)]).unwrap();
}

pub fn score(client: &mut Client, model: &str) -> u64 {
    let sql = format!("SELECT reco.predict('{model}', ARRAY[0.5, -1, 2, 3.25]::real[])");
    value::<f64>(client, &sql).to_bits()
}

/// Device and inode of the file that a backend maps a model from.
pub fn mapped(client: &mut Client) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", backend_pid(client))).unwrap();
    let lines = maps.lines().filter(|line| line.contains("/pgsql_tmp_reco/"));
    lines.map(|line| line.split_whitespace().skip(3).take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// Where the files of a cluster lie.
fn folder(client: &mut Client) -> PathBuf {
    Path::new(&value::<String>(client, "SHOW data_directory")).join("base/pgsql_tmp/pgsql_tmp_reco")
}

/// The file of a model's first version, if it has one.
fn find_file(client: &mut Client, model: &str) -> Option<PathBuf> {
    let sql = "SELECT encode(a.digest, 'hex') FROM reco.artifact a JOIN reco.version v USING (artifact_id) WHERE v.model";
    let digest: String = value(client, &format!("{sql} = '{model}'"));
    let named = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == digest.as_str());
    fs::read_dir(folder(client)).unwrap().map(|entry| entry.unwrap().path()).find(named)
}

fn file_of(client: &mut Client, model: &str) -> PathBuf {
    find_file(client, model).unwrap_or_else(|| panic!("{model} has no file"))
}

#[test]
fn backends_map_one_file_of_a_large_model_and_none_of_a_small_one() {
    let database = Database::with_data();
    let mut clients = [(); 3].map(|()| database.connect());
    import(&mut clients[0], "large", 1);
    let scores = clients.each_mut().map(|client| score(client, "large"));
    assert_eq!(scores, [scores[0]; 3]);
    let files = clients.each_mut().map(mapped);
    assert_eq!(files[0].len(), 1);
    assert_eq!(files[1..], [files[0].clone(), files[0].clone()]);

    let mut other = database.connect();
    other.execute("SELECT reco.import_model('small', $1)", &[&network(SMALL, 1)]).unwrap();
    score(&mut other, "small");
    assert_eq!(mapped(&mut other), Vec::<String>::new());
}

#[test]
fn many_first_scores_at_once_are_the_same() {
    let database = Database::with_data();
    import(&mut database.connect(), "large", 2);
    let clients: Vec<Client> = (0..12).map(|_| database.connect()).collect();
    let scores: Vec<u64> = std::thread::scope(|scope| {
        let started: Vec<_> =
            clients.into_iter().map(|mut client| scope.spawn(move || score(&mut client, "large"))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(scores.iter().all(|found| *found == scores[0]));
}

/// Spoils the file of a model; the other path is that of another model's file.
type Damage = fn(&Path, &Path);

const DAMAGES: [(&str, Damage); 9] = [
    ("deleted", |file, _| fs::remove_file(file).unwrap()),
    ("deleted with its folder", |file, _| fs::remove_dir_all(file.parent().unwrap()).unwrap()),
    ("changed in the middle", |file, _| rewrite(file, |bytes| bytes[300_000] ^= 0x40)),
    ("changed at the beginning", |file, _| rewrite(file, |bytes| bytes[40] ^= 1)),
    ("cut short", |file, _| rewrite(file, |bytes| bytes.truncate(bytes.len() / 2))),
    ("empty", |file, _| rewrite(file, Vec::clear)),
    ("another model's", |file, other| fs::rename(other, file).unwrap()),
    ("a link to another model's", |file, other| {
        fs::remove_file(file).unwrap();
        symlink(other, file).unwrap();
    }),
    ("open to be written by others", |file, _| {
        fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap()
    }),
];

/// In place, so that owner and mode stay.
fn rewrite(file: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    let mode = fs::metadata(file).unwrap().permissions();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    OpenOptions::new().write(true).truncate(true).open(file).unwrap().write_all(&bytes).unwrap();
    fs::set_permissions(file, mode).unwrap();
}

#[test]
fn a_file_that_is_gone_or_not_the_servers_changes_no_score() {
    let cluster = Cluster::new();
    let mut client = cluster.connect("postgres");
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    import(&mut client, "large", 3);
    import(&mut client, "other", 4);
    let (expected, others) = (score(&mut client, "large"), score(&mut client, "other"));
    assert_ne!(expected, others);
    for (what, damage) in DAMAGES {
        // A session that has scored with it would keep what it has mapped.
        let mut fresh = cluster.connect("postgres");
        score(&mut fresh, "other");
        let paths = [file_of(&mut client, "large"), file_of(&mut client, "other")];
        damage(&paths[0], &paths[1]);
        assert_eq!(score(&mut fresh, "large"), expected, "{what}");
        let mut next = cluster.connect("postgres");
        assert_eq!((score(&mut next, "large"), score(&mut next, "other")), (expected, others), "{what}");
        assert_eq!(mapped(&mut next).len(), 2, "{what}: a right one was made");
    }
}

/// Makes a mapped file shorter, in place.
fn cut(file: &Path, length: u64) {
    let mode = fs::metadata(file).unwrap().permissions();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
    fs::set_permissions(file, mode).unwrap();
}

#[test]
fn a_file_that_is_cut_short_while_it_is_mapped_ends_a_statement_and_no_backend() {
    let cluster = Cluster::new();
    let mut client = cluster.connect("postgres");
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    import(&mut client, "large", 8);
    let expected = score(&mut client, "large");
    for length in [0, 4096, 300_001] {
        let mut session = cluster.connect("postgres");
        let pid = backend_pid(&mut session);
        assert_eq!(score(&mut session, "large"), expected);
        let file = file_of(&mut client, "large");
        // One call site that scores on while the file shrinks.
        let scores = "SELECT reco.predict('large', ARRAY[0.5, -1, 2, 3.25 + 0 * n]::real[]), pg_sleep(0.2) \
                      FROM generate_series(1, 10) AS n";
        std::thread::scope(|scope| {
            let statement = scope.spawn(|| session.batch_execute(scores));
            integration::wait_until("it scores", || {
                value::<bool>(
                    &mut client,
                    &format!("SELECT coalesce(wait_event = 'PgSleep', false) FROM pg_stat_activity WHERE pid = {pid}"),
                )
            });
            cut(&file, length);
            let error = statement.join().unwrap().unwrap_err();
            let error = integration::refusal::Refusal::of(&error);
            error.expect("58030", &["cut short"], &["again"]);
        });
        // The same session, and others, map a new one.
        assert_eq!(score(&mut session, "large"), expected, "{length}");
        assert_eq!(backend_pid(&mut session), pid);
        assert_eq!(mapped(&mut session).len(), 1);
        assert_eq!(score(&mut client, "large"), expected);
    }
}

#[test]
fn a_function_that_catches_the_error_scores_on_with_a_new_file() {
    let cluster = Cluster::new();
    let mut client = cluster.connect("postgres");
    client
        .batch_execute(
            "CREATE EXTENSION pg_recommend;
             CREATE FUNCTION scores() RETURNS SETOF double precision LANGUAGE plpgsql AS $$
             DECLARE score double precision;
             BEGIN
                 FOR n IN 1 .. 10 LOOP
                     BEGIN
                         score := reco.predict('large', ARRAY[0.5, -1, 2, 3.25]::real[]);
                         RETURN NEXT score;
                     EXCEPTION WHEN io_error THEN
                         RETURN NEXT NULL;
                     END;
                     PERFORM pg_sleep(0.2);
                 END LOOP;
             END $$",
        )
        .unwrap();
    import(&mut client, "large", 9);
    let expected = score(&mut client, "large");
    let file = file_of(&mut client, "large");
    let mut session = cluster.connect("postgres");
    let pid = backend_pid(&mut session);
    let scores: Vec<Option<f64>> = std::thread::scope(|scope| {
        let statement = scope.spawn(|| value(&mut session, "SELECT array_agg(s) FROM scores() AS s"));
        integration::wait_until("it scores", || {
            let sql = format!(
                "SELECT coalesce(wait_event = 'PgSleep', false) FROM pg_stat_activity WHERE pid = {pid}"
            );
            value::<bool>(&mut client, &sql)
        });
        cut(&file, 0);
        statement.join().unwrap()
    });
    assert_eq!(scores.len(), 10);
    assert!(scores.iter().flatten().all(|score| score.to_bits() == expected), "{scores:?}");
    assert!(scores.iter().filter(|score| score.is_none()).count() <= 1, "{scores:?}");
}

#[test]
fn without_a_place_for_the_file_the_model_is_decoded() {
    let cluster = Cluster::new();
    let mut client = cluster.connect("postgres");
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    import(&mut client, "large", 5);
    let expected = score(&mut client, "large");
    let folder = folder(&mut client);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    let mut fresh = cluster.connect("postgres");
    assert_eq!((score(&mut fresh, "large"), mapped(&mut fresh).len()), (expected, 0));

    fs::remove_file(&folder).unwrap();
    client.batch_execute("ALTER SYSTEM SET reco.shared_models_size = 0").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let mut fresh = cluster.connect("postgres");
    integration::wait_until("the setting has arrived", || {
        value::<String>(&mut fresh, "SHOW reco.shared_models_size") == "0"
    });
    assert_eq!((score(&mut fresh, "large"), mapped(&mut fresh).len()), (expected, 0));
}

#[test]
fn files_go_with_their_models_and_with_the_server() {
    let cluster = Cluster::new();
    let mut client = cluster.connect("postgres");
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    import(&mut client, "large", 6);
    import(&mut client, "other", 7);
    let expected = score(&mut client, "other");
    score(&mut client, "large");
    let paths = [file_of(&mut client, "large"), file_of(&mut client, "other")];
    client.batch_execute("SELECT reco.drop_model('large', force => true)").unwrap();
    assert_eq!(paths.each_ref().map(|path| path.exists()), [false, true]);

    cluster.stop(integration::cluster::Stop::Fast);
    cluster.start();
    assert!(!paths[1].exists());
    assert_eq!(score(&mut cluster.connect("postgres"), "other"), expected);
    assert!(paths[1].exists());
}

#[test]
fn the_least_recently_used_files_make_room() {
    let cluster = Cluster::new();
    let mut client = cluster.connect("postgres");
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    client.batch_execute("ALTER SYSTEM SET reco.shared_models_size = '2MB'").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let models = ["a", "b", "c", "d", "e"];
    for (model, seed) in models.into_iter().zip(10..) {
        import(&mut client, model, seed);
    }
    let mut client = cluster.connect("postgres");
    integration::wait_until("the setting has arrived", || {
        value::<String>(&mut client, "SHOW reco.shared_models_size") == "2MB"
    });
    let scores = models.map(|model| score(&mut client, model));
    let left: Vec<bool> = models.iter().map(|model| find_file(&mut client, model).is_some()).collect();
    assert_eq!(left, [false, false, true, true, true]);
    let mut fresh = cluster.connect("postgres");
    assert_eq!(models.map(|model| score(&mut fresh, model)), scores);
}
