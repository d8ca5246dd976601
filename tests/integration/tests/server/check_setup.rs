//! `reco.check_setup()`: an installation that is well, and every way in which it is not.

use super::trainer_process::with_fake_trainer;
use integration::{refusal, value, Database};
use postgres::Client;

/// The rows for an item: whether it is well, and the detail.
fn findings(client: &mut Client, item: &str) -> Vec<(bool, String)> {
    let sql = "SELECT ok, detail FROM reco.check_setup() WHERE item = $1";
    let rows = client.query(sql, &[&item]).expect("it never fails");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The only row for an item.
#[track_caller]
fn finding(client: &mut Client, item: &str) -> (bool, String) {
    let mut found = findings(client, item);
    assert_eq!(found.len(), 1, "{item}: {found:?}");
    found.remove(0)
}

/// Asserts that the item is not well, and that the detail has these words.
#[track_caller]
fn expect_bad(client: &mut Client, item: &str, words: &[&str]) {
    let (ok, detail) = finding(client, item);
    assert!(!ok, "{detail}");
    words.iter().for_each(|word| assert!(detail.contains(word), "no {word:?} in {detail:?}"));
}

/// What a trainer answers.
fn answer(version: &str, gpus: &str, no_gpu: &str, hint: &str) -> String {
    format!(
        r#"echo '{{"event":"setup","trainer":"{version}","libtorch":"2.13.0","threads":64,"instructions":"AVX2","gpus":[{gpus}],"no_gpu":{no_gpu},"hint":{hint}}}'"#
    )
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const NO_PROBLEM: &str = "null";
const GPU: &str = r#"{"name":"Some GPU","memory_bytes":85899345920,"free_bytes":null,"problem":null}"#;

#[test]
fn an_installation_that_works_is_well_in_every_row() {
    let mut client = Database::with_data().connect();
    let sql = "SELECT item, ok, detail FROM reco.check_setup()";
    let rows = client.query(sql, &[]).unwrap();
    let (items, bad): (Vec<String>, Vec<String>) = (
        rows.iter().map(|row| row.get(0)).collect(),
        rows.iter().filter(|row| !row.get::<_, bool>(1)).map(|row| format!("{row:?}")).collect(),
    );
    let expected =
        ["extension", "PostgreSQL", "trainer", "libtorch", "CPU", "GPU", "memory", "temporary files"];
    assert!(expected.iter().all(|item| items.iter().any(|found| found == item)), "{items:?}");
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(finding(&mut client, "extension"), (true, VERSION.into()));
    let version: String = value(&mut client, "SHOW server_version");
    assert_eq!(finding(&mut client, "PostgreSQL"), (true, version));
    assert!(finding(&mut client, "trainer").1.starts_with(VERSION));
    assert!(finding(&mut client, "libtorch").1.starts_with("2.13.0"));
    assert!(finding(&mut client, "CPU").1.starts_with("a training uses 1 of "));
}

#[test]
fn gpus_are_named_with_their_memory() {
    let database = Database::with_data();
    let gpus = r#"{"name":"Big GPU","memory_bytes":85899345920,"free_bytes":83751862272,"problem":null},
                  {"name":"Old GPU","memory_bytes":1073741824,"free_bytes":null,"problem":"no kernel image"}"#;
    let mut client =
        with_fake_trainer(&database, &answer(VERSION, &gpus.replace('\n', ""), "null", NO_PROBLEM));
    let found = findings(&mut client, "GPU");
    assert_eq!(found[0], (true, "cuda:0 is Big GPU with 80.0 GB, 78.0 GB free".into()));
    assert!(!found[1].0);
    assert!(found[1].1.starts_with("cuda:1 is Old GPU with 1.0 GB: no kernel image"), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_gpu_that_libtorch_cannot_use_is_not_well_but_a_machine_without_one_is() {
    let database = Database::with_data();
    let missing = (r#""no library""#, r#""install it""#);
    let mut client = with_fake_trainer(&database, &answer(VERSION, GPU, missing.0, missing.1));
    expect_bad(&mut client, "GPU", &["Some GPU with 80.0 GB: no library", "install it"]);
    let mut client = with_fake_trainer(&database, &answer(VERSION, "", missing.0, missing.1));
    expect_bad(&mut client, "GPU", &["no library", "install it"]);
    let mut client = with_fake_trainer(&database, &answer(VERSION, "", r#""no driver""#, NO_PROBLEM));
    let (ok, detail) = finding(&mut client, "GPU");
    assert!(ok && detail.contains("no driver") && detail.contains("CPU"), "{detail}");
}

#[test]
fn a_trainer_of_another_version_is_not_well() {
    let database = Database::with_data();
    let mut client = with_fake_trainer(&database, &answer("9.9.9", "", "null", NO_PROBLEM));
    expect_bad(&mut client, "trainer", &["9.9.9", VERSION, "make install"]);
}

#[test]
fn the_threads_of_a_training_are_said() {
    let database = Database::with_data();
    let mut client = with_fake_trainer(&database, &answer(VERSION, "", "null", NO_PROBLEM));
    for (threads, said) in [(0, "all 64 processors"), (1, "1 of 64 processors"), (1024, "64 processors")] {
        client.batch_execute(&format!("SET reco.training_threads = {threads}")).unwrap();
        let (ok, detail) = finding(&mut client, "CPU");
        assert!(ok && detail.contains(said) && !detail.contains("1024"), "{threads}: {detail}");
    }
}

#[test]
fn a_trainer_that_fails_is_a_row_with_what_a_training_would_say() {
    let database = Database::with_data();
    for (script, words) in [
        ("echo last words >&2; exit 3", &["exit code 3", "last words"][..]),
        (
            "echo 'error while loading shared libraries: x.so' >&2; exit 127",
            &["libtorch", "x.so", "make install"],
        ),
        ("echo this is no event", &["no event"]),
        (r#"echo '{"event":"warning","message":"boo"}'"#, &["not asked for"]),
        (r#"echo '{"event":"error","cause":"trainer","message":"m","detail":"d","hint":"h"}'"#, &["m\nd\nh"]),
    ] {
        let mut client = with_fake_trainer(&database, script);
        expect_bad(&mut client, "trainer", words);
        assert!(findings(&mut client, "GPU").is_empty());
        assert!(finding(&mut client, "extension").0, "the other rows are there");
        assert!(finding(&mut client, "memory").0);
    }
    let mut client = database.connect();
    client.batch_execute("SET reco.trainer_path = '/nowhere/trainer'").unwrap();
    expect_bad(
        &mut client,
        "trainer",
        &["could not start the trainer", "/nowhere/trainer", "reco.trainer_path"],
    );
}

#[test]
fn a_trainer_that_does_not_answer_is_waited_for_no_longer_than_allowed() {
    let database = Database::with_data();
    let mut client = with_fake_trainer(&database, "exec sleep 1000");
    let sql = "SELECT detail FROM reco.check_setup(time_limit => '0.2 s') WHERE item = 'trainer' AND NOT ok";
    let detail: String = value(&mut client, sql);
    assert!(detail.contains("did not answer within 0.2 s"), "{detail}");
    assert!(value::<String>(&mut client, &sql.replace("0.2 s", "-1 day")).contains("within 0 s"));
}

#[test]
fn a_check_can_be_cancelled() {
    let database = Database::with_data();
    let mut client = with_fake_trainer(&database, "exec sleep 1000");
    client.batch_execute("SET statement_timeout = '1s'").unwrap();
    refusal(&mut client, "SELECT * FROM reco.check_setup()").expect("57014", &["statement timeout"], &[]);
}

#[test]
fn settings_that_the_machine_cannot_keep_are_not_well() {
    let mut client = Database::with_data().connect();
    client.batch_execute("SET reco.max_training_memory = '1000TB'; SET temp_file_limit = '1MB'").unwrap();
    expect_bad(&mut client, "memory", &["1024000.0 GB", "the server has", "reco.max_training_memory"]);
    expect_bad(&mut client, "temporary files", &["1 MB", "temp_file_limit"]);
    client.batch_execute("SET reco.max_training_memory = 0; SET temp_file_limit = '1GB'").unwrap();
    assert!(finding(&mut client, "memory").0);
    assert_eq!(
        finding(&mut client, "temporary files"),
        (true, "a training's rows and weights may take 1.0 GB".into())
    );
}

#[test]
fn a_catalog_of_another_version_is_not_well() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute("UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'pg_recommend'")
        .unwrap();
    expect_bad(&mut client, "extension", &["0.0.1", VERSION, "ALTER EXTENSION"]);
}

#[test]
fn everybody_who_may_train_may_ask_but_sees_no_path() {
    let database = Database::with_data();
    let mut admin = database.connect();
    assert!(finding(&mut admin, "trainer").1.contains("pg_recommend_trainer"));
    admin
        .batch_execute(
            "CREATE ROLE asks LOGIN; CREATE ROLE reads_settings LOGIN IN ROLE pg_read_all_settings",
        )
        .unwrap();
    refusal(&mut database.connect_as("asks"), "SELECT * FROM reco.check_setup()").expect(
        "42501",
        &["schema"],
        &[],
    );
    admin.batch_execute("GRANT USAGE ON SCHEMA reco TO asks, reads_settings").unwrap();
    assert_eq!(finding(&mut database.connect_as("asks"), "trainer"), (true, VERSION.into()));
    assert!(finding(&mut database.connect_as("reads_settings"), "trainer")
        .1
        .contains("pg_recommend_trainer"));
}

#[test]
fn it_works_in_a_read_only_transaction() {
    let mut client = Database::with_data().connect();
    client.batch_execute("BEGIN READ ONLY").unwrap();
    assert!(finding(&mut client, "trainer").0);
    client.batch_execute("COMMIT").unwrap();
}

#[test]
fn a_folder_without_libtorch_is_told_and_not_passed_over() {
    let database = Database::with_data();
    let mut client = database.connect();
    for folder in ["/nowhere/lib", "/usr", "not a path"] {
        client.batch_execute(&format!("SET reco.libtorch_path = '{folder}'")).unwrap();
        expect_bad(&mut client, "libtorch", &["reco.libtorch_path", "libtorch_cpu.so", "leave it empty"]);
        integration::Training::new("launch").refused(&mut client).expect(
            "22023",
            &["reco.libtorch_path", "libtorch_cpu.so"],
            &["libtorch"],
        );
    }
    client.batch_execute("RESET reco.libtorch_path").unwrap();
    assert!(finding(&mut client, "libtorch").0);
}
