use integration::installation::Installation;
use integration::query::backend_pid;
use integration::{value, Background, Database, Training};
use postgres::Client;

/// Temporary files of this backend.
fn files(observer: &mut Client, backend: i32) -> i64 {
    value(observer, &format!("SELECT count(*) FROM pg_ls_tmpdir() WHERE name LIKE 'pgsql\\_tmp{backend}.%'"))
}

#[test]
fn none_is_left_after_success() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let backend = backend_pid(&mut client);
    Training::new("launch").call(&mut client);
    assert_eq!(files(&mut observer, backend), 0);
}

#[test]
fn there_are_some_while_it_trains_and_none_after_a_cancel() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, _) = Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    let backend = training.backend;
    assert!(files(&mut observer, backend) >= 1);
    training.cancel();
    let _session_lives = training.finish();
    assert_eq!(files(&mut observer, backend), 0);
}

#[test]
fn none_is_left_after_a_failure() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let backend = backend_pid(&mut client);
    let file = database.cluster.folder().join("failing-trainer");
    Installation::get().write_program(&file, "#!/bin/sh\nexit 3\n");
    client.batch_execute(&format!("SET reco.trainer_path = '{}'", file.display())).unwrap();
    Training::new("launch").refused(&mut client);
    assert_eq!(files(&mut observer, backend), 0);
    // While the rows are written.
    let breaks = "CREATE VIEW breaks AS SELECT f.*, 1 / (60 - product_id) AS ratio FROM launch_features AS f";
    client.batch_execute(breaks).unwrap();
    Training::new("launch").source("breaks").refused(&mut client).expect("22012", &["division by zero"], &[]);
    assert_eq!(files(&mut observer, backend), 0);
}

#[test]
fn none_is_left_inside_a_transaction_that_rolls_back() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let backend = backend_pid(&mut client);
    client.batch_execute("BEGIN").unwrap();
    Training::new("launch").call(&mut client);
    assert_eq!(files(&mut observer, backend), 0);
    client.batch_execute("ROLLBACK; BEGIN").unwrap();
    Training::new("launch").label("category").refused(&mut client);
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(files(&mut observer, backend), 0);
}

#[test]
fn temp_file_limit_holds_with_postgres_own_error() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let backend = backend_pid(&mut client);
    client.batch_execute("SET temp_file_limit = '64kB'").unwrap();
    Training::new("launch").refused(&mut client).expect("53400", &["temp_file_limit"], &[]);
    assert_eq!(super::support::stored_status(&mut observer, "launch"), "failed");
    assert_eq!(files(&mut observer, backend), 0);
    client.batch_execute("RESET temp_file_limit").unwrap();
    Training::new("launch").call(&mut client);
}

#[test]
fn a_full_disk_is_told_with_the_file_what_it_holds_and_the_setting() {
    let database = Database::with_data();
    let mut observer = database.connect();
    Training::new("first").call(&mut observer);
    let folder = database.cluster.folder().join("data/base/pgsql_tmp");
    // Each of a backend's temporary files in turn is on a disk that is full.
    for (number, holds) in [(0, "the rows of a training"), (1, "what is to be trained"), (2, "the model")] {
        let mut client = database.connect();
        let name = format!("pgsql_tmp{}.{number}", backend_pid(&mut client));
        std::os::unix::fs::symlink("/dev/full", folder.join(&name)).unwrap();
        let error = Training::new("launch").refused(&mut client);
        error.expect(
            if number < 2 { "53100" } else { "38000" },
            &[holds, "temporary file", &name],
            &["default tablespace", "temp_file_limit"],
        );
        let all = format!("{} {}", error.message, error.detail);
        assert!(all.contains("No space left on device"), "{error:?}");
        assert_eq!(super::support::stored_status(&mut observer, "launch"), "failed");
        Training::new("launch").call(&mut client);
    }
}
