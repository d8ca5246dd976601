//! Who may read and write which files, and that no secret is told.

use super::lake::folder;
use integration::installation::{output, Installation};
use integration::refusal;
use integration::Database;
use std::process::Command;

#[test]
fn only_members_of_the_roles_may_and_only_under_the_prefixes() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let role = format!("lake_user_{}", database.name);
    let uri = folder(&database);
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; CREATE TABLE mine (id integer); ALTER TABLE mine OWNER TO {role};
             GRANT USAGE ON SCHEMA reco TO {role};
             CALL reco.save_parquet('SELECT 1 AS id', '{uri}/a/x.parquet')"
        ))
        .unwrap();
    let load = |uri: &str| format!("CALL reco.load_parquet('mine', '{uri}')");
    let save = |uri: &str| format!("CALL reco.save_parquet('mine', '{uri}')");
    let mut client = database.connect_as(&role);
    let lake = "s3://nowhere/data/";
    for sql in [load(lake), save(lake)] {
        refusal(&mut client, &sql).expect("42501", &["permission denied for procedure"], &[]);
    }
    admin.batch_execute(&format!("GRANT reco_lake_read TO {role}")).unwrap();
    refusal(&mut client, &save(lake)).expect("42501", &["permission denied for procedure"], &[]);
    refusal(&mut client, &load(lake)).expect("42501", &["lies under no prefix"], &["reco.lake_prefixes"]);
    refusal(&mut client, "SET reco.lake_prefixes = 's3://nowhere/'").expect(
        "42501",
        &["permission denied"],
        &[],
    );
    let file = format!("{uri}/a/x.parquet");
    refusal(&mut client, &load(&file)).expect("42501", &["superusers"], &["pg_read_server_files"]);

    let allow = format!("ALTER ROLE {role} SET reco.lake_prefixes = '{uri}/a, s3://other/'");
    admin.batch_execute(&format!("GRANT pg_read_server_files TO {role}; {allow}")).unwrap();
    let mut client = database.connect_as(&role);
    client.batch_execute(&load(&file)).unwrap();
    for outside in [format!("{uri}/ab/x.parquet"), format!("{uri}/*/x.parquet"), "s3://others/x".into()] {
        refusal(&mut client, &load(&outside)).expect("42501", &["lies under no prefix"], &[]);
    }
    for spelt in [
        format!("{uri}/a/../b/x"),
        format!("{uri}/a/%2e%2e/b"),
        "file://host/x".into(),
        "http://host/x".into(),
    ] {
        refusal(&mut client, &load(&spelt)).expect("22023", &["is no URI of a lake"], &[]);
    }
    admin.batch_execute(&format!("GRANT reco_lake_write TO {role}")).unwrap();
    refusal(&mut client, &save(&format!("{uri}/a/y.parquet"))).expect(
        "42501",
        &["superusers"],
        &["pg_write_server_files"],
    );
}

#[test]
fn the_table_needs_the_rights_that_copy_needs() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let role = format!("lake_loader_{}", database.name);
    let uri = folder(&database);
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN IN ROLE reco_lake_read, reco_lake_write, pg_read_server_files;
             GRANT USAGE ON SCHEMA reco TO {role};
             ALTER ROLE {role} SET reco.lake_prefixes = '{uri}';
             CREATE TABLE theirs (id integer, secret integer);
             CALL reco.save_parquet('SELECT 1 AS id, 2 AS secret', '{uri}/x.parquet')"
        ))
        .unwrap();
    let mut client = database.connect_as(&role);
    let load = format!("CALL reco.load_parquet('theirs', '{uri}')");
    refusal(&mut client, &load).expect("42501", &["permission denied for table theirs"], &[]);
    admin.batch_execute(&format!("GRANT INSERT (id) ON theirs TO {role}")).unwrap();
    refusal(&mut client, &load).expect("42501", &["permission denied for table theirs"], &[]);
    client
        .batch_execute(&format!("CALL reco.load_parquet('theirs', '{uri}', columns => '{{\"id\": \"id\"}}')"))
        .unwrap();
    let save = format!("CALL reco.save_parquet('theirs', '{uri}/y.parquet')");
    admin
        .batch_execute(&format!(
            "GRANT pg_write_server_files TO {role}; GRANT INSERT, SELECT (id) ON theirs TO {role}"
        ))
        .unwrap();
    refusal(&mut client, &save).expect("42501", &["permission denied for table theirs"], &[]);
    let replace = format!("CALL reco.load_parquet('theirs', '{uri}', mode => 'replace')");
    refusal(&mut client, &replace).expect("42501", &["permission denied for table theirs"], &[]);
    admin.batch_execute("ALTER TABLE theirs ENABLE ROW LEVEL SECURITY").unwrap();
    refusal(&mut client, &load).expect("22023", &["row security"], &["INSERT"]);
}

/// Access to a store that is not there, with a secret that must not be told.
#[test]
fn credentials_are_in_no_message_and_in_no_log() {
    const SECRET: &str = "sesame/open+wide";
    let database = Database::with_data();
    let mut client = database.connect();
    let file = database.cluster.folder().join(format!("credentials-{}", database.name));
    let store = r#""aws_endpoint": "http://127.0.0.1:1", "aws_region": "eu-central-1", "aws_access_key_id": "someone-known""#;
    let text = format!(r#"{{"s3://bucket/": {{{store}, "aws_secret_access_key": "{SECRET}"}}}}"#);
    Installation::get().write_program(&file, &text);
    client
        .batch_execute(&format!(
            "CREATE TABLE numbers (id bigint); SET reco.lake_credentials_file = '{}'; SET log_min_messages = debug1",
            file.display()
        ))
        .unwrap();
    let load = "CALL reco.load_parquet('numbers', 's3://bucket/x/')";
    refusal(&mut client, load).expect("22023", &["reco.lake_credentials_file", "others"], &[]);
    output(Command::new("chmod").arg("600").arg(&file));
    if !Installation::get().as_server_user().is_empty() {
        output(Command::new("chown").arg("--reference").arg(database.cluster.folder()).arg(&file));
    }
    let error = refusal(&mut client, load);
    assert_eq!(error.code, "58030", "{error:?}");
    assert!(error.message.contains("s3://bucket/x"), "{error:?}");
    let told = format!("{error:?}{}", database.cluster.log());
    assert!(!told.contains(SECRET) && !told.contains("someone-known"), "{told}");
}
