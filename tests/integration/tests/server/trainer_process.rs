//! The trainer as a process: what it gets, and how its failures read.

use super::support::{status, stored_status, versions};
use integration::installation::{output, Installation};
use integration::process::Process;
use integration::refusal::Refusal;
use integration::{rows, value, wait_until, Background, Database, Training};
use postgres::Client;
use std::path::PathBuf;
use std::process::Command;

/// A session whose trainer is this shell script.
pub fn with_fake_trainer(database: &Database, script: &str) -> Client {
    let file = database.cluster.folder().join(format!("fake-trainer-{}", database.name));
    Installation::get().write_program(&file, &format!("#!/bin/sh\n{script}\n"));
    let mut client = database.connect();
    client.batch_execute(&format!("SET reco.trainer_path = '{}'", file.display())).unwrap();
    client
}

/// Trains with a fake trainer, in vain; the session must be usable afterwards and the run failed with the message.
fn failure_of(script: &str) -> Refusal {
    let database = Database::with_data();
    let mut client = with_fake_trainer(&database, script);
    let error = Training::new("launch").refused(&mut client);
    assert_failed(&mut client, &error);
    error
}

fn assert_failed(client: &mut Client, error: &Refusal) {
    assert_eq!(stored_status(client, "launch"), "failed");
    assert_eq!(value::<String>(client, "SELECT error FROM reco.runs"), error.message);
    assert!(versions(client, "launch").is_empty());
    assert!(rows(client, "SELECT * FROM reco.models").is_empty(), "no model without a version");
    client.batch_execute("RESET reco.trainer_path; RESET reco.max_training_memory").unwrap();
    Training::new("launch").param(r#""epochs": 1"#).call(client);
    assert_eq!(versions(client, "launch"), [1]);
}

#[test]
fn kill_9_of_the_trainer_fails_the_run_and_nothing_else() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, trainer) =
        Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    let backend = Process::of(training.backend).unwrap();
    trainer.kill();
    let mut ended = training.finish();
    let error = ended.refusal();
    error.expect("38000", &["trainer was killed"], &["memory"]);
    assert!(backend.is_alive());
    assert_failed(&mut ended.client, &error);
    assert_eq!(status(&mut observer, "launch"), "succeeded");
}

#[test]
fn its_last_words_are_the_detail() {
    let error = failure_of("echo first words >&2; echo last words >&2; exit 3");
    error.expect("38000", &["exit code 3"], &[]);
    assert_eq!(error.detail, "first words\nlast words");
}

#[test]
fn of_many_words_the_last_are_kept() {
    let error = failure_of("i=0; while [ $i -lt 50000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3");
    assert!(error.detail.ends_with("line 49999"), "{}", error.detail);
    assert!(error.detail.len() <= 4096, "{}", error.detail.len());
}

#[test]
fn words_that_are_no_utf8_do_no_harm() {
    let error = failure_of("printf 'bad \\377\\376 words' >&2; exit 3");
    assert!(error.detail.starts_with("bad ") && error.detail.ends_with(" words"), "{error:?}");
}

#[test]
fn what_is_no_event_is_an_error() {
    let error = failure_of("echo this is no event; exec sleep 1000");
    error.expect("38000", &["no event"], &[]);
    assert!(error.detail.contains("this is no event"), "{error:?}");
}

#[test]
fn an_event_that_is_unknown_is_an_error() {
    failure_of(r#"echo '{"event": "surprise"}'; exec sleep 1000"#).expect("38000", &["no event"], &[]);
}

#[test]
fn a_trainer_that_ends_without_a_result_is_an_error() {
    failure_of("exit 0").expect("38000", &["no result"], &[]);
}

#[test]
fn a_trainer_that_says_finished_without_weights_is_an_error() {
    let error = failure_of(
        r#"echo '{"event":"finished","validation":null,"test":null,"best_epoch":1,"parity":0.0,"seconds":1.0}'"#,
    );
    assert!(!error.message.is_empty());
}

#[test]
fn a_trainer_that_reports_an_error_speaks_for_itself() {
    let error = failure_of(
        r#"echo '{"event":"error","cause":"trainer","message":"the moon","detail":"is full","hint":"wait"}'; exit 1"#,
    );
    error.expect("38000", &["the moon"], &["wait"]);
    assert_eq!(error.detail, "is full");
}

#[test]
fn a_signal_is_named() {
    failure_of("kill -SEGV $$").expect("38000", &["signal 11"], &[]);
}

#[test]
fn a_trainer_that_closes_its_output_and_goes_on_can_be_cancelled() {
    let database = Database::with_data();
    let mut client = with_fake_trainer(&database, "exec >&- ; exec sleep 1000");
    client.batch_execute("SET statement_timeout = '3s'").unwrap();
    let began = std::time::Instant::now();
    Training::new("launch").refused(&mut client);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn a_trainer_that_does_not_stop_talking_can_be_cancelled() {
    let database = Database::with_data();
    let line = r#"{"event":"warning","message":"again"}"#;
    let mut client = with_fake_trainer(&database, &format!("while :; do echo '{line}'; done"));
    client.batch_execute("SET statement_timeout = '2s'").unwrap();
    let began = std::time::Instant::now();
    Training::new("launch").refused(&mut client).expect("57014", &["statement timeout"], &[]);
    assert!(began.elapsed().as_secs() < 4, "{:?}", began.elapsed());
}

#[test]
fn a_missing_library_reads_as_missing_libtorch() {
    let words = "pg_recommend_trainer: error while loading shared libraries: libtorch_cpu.so: \
                 cannot open shared object file: No such file or directory";
    let error = failure_of(&format!("echo '{words}' >&2; exit 127"));
    error.expect("38000", &["could not load libtorch"], &["make install", "reco.libtorch_path"]);
    assert!(error.detail.contains("libtorch_cpu.so"), "{error:?}");
}

/// Where the server keeps the extension's own files.
fn library_folder() -> PathBuf {
    let libraries = output(Command::new(Installation::get().program("pg_config")).arg("--pkglibdir"));
    PathBuf::from(libraries.trim()).join("pg_recommend")
}

#[test]
fn libtorch_is_found_where_the_setting_says() {
    let database = Database::with_data();
    let mut client = database.connect();
    // Without the folder lib beside it.
    let lonely = database.cluster.folder().join("lonely-trainer");
    output(
        Command::new("install")
            .args(["-m", "755"])
            .arg(library_folder().join("pg_recommend_trainer"))
            .arg(&lonely),
    );
    client.batch_execute(&format!("SET reco.trainer_path = '{}'", lonely.display())).unwrap();
    let error = Training::new("launch").refused(&mut client);
    error.expect("38000", &["could not load libtorch"], &["reco.libtorch_path"]);
    assert!(error.detail.contains(".so"), "{error:?}");

    client
        .batch_execute(&format!("SET reco.libtorch_path = '{}'", library_folder().join("lib").display()))
        .unwrap();
    Training::new("launch").call(&mut client);
    assert_eq!(versions(&mut client, "launch"), [1]);
}

#[test]
fn a_trainer_that_is_not_there_is_named() {
    let mut client = Database::with_data().connect();
    client.batch_execute("SET reco.trainer_path = '/nowhere/trainer'").unwrap();
    let error = Training::new("launch").refused(&mut client);
    error.expect(
        "38000",
        &["could not start the trainer", "/nowhere/trainer"],
        &["pg-recommend-trainer", "make install", "reco.trainer_path"],
    );
    assert_failed(&mut client, &error);
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn a_trainer_of_another_version_is_refused() {
    let error = failure_of(
        r#"echo '{"event":"started","trainer":"9.9.9","libtorch":"2.13.0","device":"cpu","threads":1}'; exec sleep 1000"#,
    );
    error.expect("38000", &["trainer is version 9.9.9", VERSION], &["same version", "connect anew"]);
}

#[test]
fn the_trainer_is_told_which_version_asks() {
    let error = failure_of(r#"grep -o '"extension":"[^"]*"' "$2" >&2; exit 3"#);
    assert_eq!(error.detail, format!(r#""extension":"{VERSION}""#));
}

#[test]
fn too_little_memory_names_the_setting() {
    for limit in ["16MB", "100MB", "250MB"] {
        let mut client = Database::with_data().connect();
        client.batch_execute(&format!("SET reco.max_training_memory = '{limit}'")).unwrap();
        let training = Training::new("launch").param(r#""hidden": [4096, 4096]"#);
        let error = training.refused(&mut client);
        let says = error.hint.contains("reco.max_training_memory")
            || error.message.contains("reco.max_training_memory");
        assert!(says, "{limit}: {error:?}");
        assert_eq!(error.code, "38000", "{limit}: {error:?}");
        assert_failed(&mut client, &error);
    }
}

#[test]
fn it_has_no_connection_no_environment_and_the_priority_of_the_settings() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let mut client = database.connect();
    client.batch_execute("SET reco.training_nice = 7").unwrap();
    let (training, trainer) = Background::training(client, &Training::endless("launch"), &mut observer);
    let files = trainer.open_files();
    assert!(files.iter().all(|file| !file.starts_with("socket:")), "{files:?}");
    let data: String = value(&mut observer, "SHOW data_directory");
    let of_the_server: Vec<_> =
        files.iter().filter(|file| file.starts_with(&data) && !file.contains("pgsql_tmp")).collect();
    assert!(of_the_server.is_empty(), "{of_the_server:?}");
    let variables = trainer.environment();
    let allowed = ["LD_LIBRARY_PATH=", "OMP_", "PATH="];
    assert!(variables.iter().all(|v| allowed.iter().any(|name| v.starts_with(name))), "{variables:?}");
    assert_eq!(trainer.nice().as_deref(), Some("7"));
    assert_eq!(trainer.oom_score_adj().as_deref(), Some("1000"));
    training.cancel();
    training.finish();
    wait_until("the trainer ends", || !trainer.is_alive());
}

#[test]
fn only_a_superuser_chooses_or_sees_programs_and_paths() {
    let database = Database::with_data();
    let mut admin = database.connect();
    admin
        .batch_execute("CREATE ROLE setting_user LOGIN; GRANT USAGE ON SCHEMA reco TO setting_user")
        .unwrap();
    let mut client = database.connect_as("setting_user");
    // Loads the library, which defines the settings.
    client
        .batch_execute("DO $$ BEGIN PERFORM reco.recommend(1, 'r'); EXCEPTION WHEN OTHERS THEN END $$")
        .unwrap();
    for setting in ["reco.trainer_path", "reco.libtorch_path"] {
        integration::refusal(&mut client, &format!("SET {setting} = '/tmp/x'")).expect(
            "42501",
            &[setting],
            &[],
        );
        integration::refusal(&mut client, &format!("SHOW {setting}")).expect("42501", &[setting], &[]);
    }
    for setting in ["reco.max_training_memory", "reco.min_training_nice"] {
        integration::refusal(&mut client, &format!("SET {setting} = 0")).expect("42501", &[setting], &[]);
    }
    client.batch_execute("SET reco.default_model = 'x'; SET reco.model_cache_size = '8MB'").unwrap();
    integration::refusal(&mut client, "SET reco.no_such_setting = 1").expect("42602", &["reco"], &[]);
}
