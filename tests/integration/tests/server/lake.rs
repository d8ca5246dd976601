//! Parquet files in and out of tables, as files of the machine.

use integration::installation::Installation;
use integration::process::Process;
use integration::query::backend_pid;
use integration::{refusal, rows, value, wait_until, Background, Database};
use postgres::Client;

/// The URI of a folder of this database's own, which is not there yet.
pub fn folder(database: &Database) -> String {
    format!("file://{}/lake-{}", database.cluster.folder().display(), database.name)
}

fn path(uri: &str) -> &str {
    uri.strip_prefix("file://").unwrap()
}

/// The files below a folder, hidden ones too, by their paths in it.
fn files(uri: &str) -> Vec<String> {
    let found = std::process::Command::new("find")
        .args([path(uri), "-type", "f", "-printf", "%P\n"])
        .output()
        .unwrap();
    let mut files: Vec<String> =
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    files.sort();
    files
}

fn is_empty(client: &mut Client, table: &str) -> bool {
    value::<i64>(client, &format!("SELECT count(*) FROM {table}")) == 0
}

/// A table `numbers (id bigint, name text)` of so many rows in a folder of files.
fn numbers(client: &mut Client, uri: &str, count: i32) {
    client.batch_execute("CREATE TABLE numbers (id bigint, name text)").unwrap();
    let save = format!(
        "CALL reco.save_parquet('SELECT n::bigint AS id, ''n'' || n AS name FROM generate_series(1, {count}) AS n', '{uri}')"
    );
    client.batch_execute(&save).unwrap();
}

const TYPES: &str = "b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric(20, 4), \
                     t text, v varchar(5), c char(3), j json, jb jsonb, by bytea, d date, ti time, ts timestamp, \
                     tz timestamptz, u uuid, mood mood, name name, pos positive";

#[test]
fn every_type_comes_back_as_it_went() {
    let database = Database::with_data();
    let mut client = database.connect();
    let uri = folder(&database);
    client
        .batch_execute(&format!(
            "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
             CREATE TABLE these ({TYPES}); CREATE TABLE those ({TYPES});
             INSERT INTO these VALUES
                 (true, -32768, -2147483648, -9223372036854775808, 1.5, 1e300, -1234567890123456.7891, 'täxt ''x''', 'fünfe',
                  'ab', '{{\"a\": [1, null]}}', '{{\"b\": {{}}}}', '\\x00ff10', '0001-01-01', '23:59:59.999999',
                  '1600-02-29 12:00:00.000001', '2024-06-30 23:59:59.5+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'glad',
                  'a_name', 7),
                 (false, 32767, 2147483647, 9223372036854775807, 'NaN', '-Infinity', 0.0001, '', '', '', 'null', '[]', '',
                  '9999-12-31', '00:00', '250000-12-31', '1970-01-01+00', '00000000-0000-0000-0000-000000000000', 'sad', '', 1),
                 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                  NULL, NULL);
             CALL reco.save_parquet('these', '{uri}/all.parquet');
             CALL reco.load_parquet('those', '{uri}/all.parquet')"
        ))
        .unwrap();
    let all = |client: &mut Client, table| rows(client, &format!("SELECT * FROM {table} ORDER BY i8"));
    assert_eq!(all(&mut client, "those"), all(&mut client, "these"));
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM those"), 3);
}

#[test]
fn a_client_with_another_encoding_gets_the_same_texts() {
    let database = Database::with_data();
    let mut client = database.connect();
    let uri = folder(&database);
    client
        .batch_execute("CREATE TABLE words (word text); INSERT INTO words VALUES ('Käse'), ('żółw')")
        .unwrap();
    let statements = format!(
        "SET client_encoding = 'LATIN2'; CALL reco.save_parquet('words', '{uri}/w.parquet');
         CREATE TABLE again (word text); CALL reco.load_parquet('again', '{uri}/w.parquet')"
    );
    integration::installation::output(database.cluster.client_program("psql").args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        &database.name,
        "-c",
        &statements,
    ]));
    assert_eq!(rows(&mut client, "SELECT word FROM again EXCEPT SELECT word FROM words"), [""; 0]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM again"), 2);
}

#[test]
fn columns_go_by_name_or_as_the_mapping_says_and_others_get_their_defaults() {
    let database = Database::with_data();
    let (mut client, told) = database.listen();
    let uri = folder(&database);
    numbers(&mut client, &uri, 3);
    client
        .batch_execute(&format!(
            "CREATE TABLE named (name text, more text DEFAULT 'more', id numeric, twice numeric GENERATED ALWAYS AS (id * 2) STORED);
             CALL reco.load_parquet('named', '{uri}');
             CREATE TABLE renamed (label text, number integer);
             CALL reco.load_parquet('renamed', '{uri}', columns => '{{\"label\": \"name\", \"number\": \"id\"}}')"
        ))
        .unwrap();
    assert_eq!(rows(&mut client, "SELECT * FROM named ORDER BY id")[1], "(n2,more,2,4)");
    assert_eq!(rows(&mut client, "SELECT * FROM renamed ORDER BY number")[2], "(n3,3)");
    let told = told.lock().unwrap().join("\n");
    assert!(told.contains("get their defaults: more"), "{told}");
    assert!(told.contains("3 rows loaded"), "{told}");
    for (columns, words) in [
        (r#"{"label": "gone"}"#, ["has no column \"gone\"", "numbers"]),
        (r#"{"gone": "id"}"#, ["names \"gone\"", "no column of the table"]),
        (r#"["label"]"#, ["no JSON object", "columns"]),
    ] {
        let sql = format!("CALL reco.load_parquet('renamed', '{uri}', columns => '{columns}')");
        let error = refusal(&mut client, &sql);
        assert!(error.message.contains(words[0]), "{error:?}");
    }
}

#[test]
fn folders_of_partitions_are_columns() {
    let database = Database::with_data();
    let mut client = database.connect();
    let uri = folder(&database);
    client
        .batch_execute(&format!(
            "CREATE TABLE sold (week date, region text, amount numeric(10, 2));
             INSERT INTO sold SELECT date '2024-01-01' + 7 * (n % 3), CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN 'a/b=c' ELSE 'São' END, n
                 FROM generate_series(1, 1000) AS n;
             CALL reco.save_parquet('sold', '{uri}/', partition_by => '{{week,region}}');
             CREATE TABLE back (LIKE sold);
             CALL reco.load_parquet('back', '{uri}/');
             CREATE TABLE few (LIKE sold);
             CALL reco.load_parquet('few', '{uri}/week=2024-01-0*/**/*.parquet')"
        ))
        .unwrap();
    let written = files(&uri);
    assert_eq!(written.len(), 9, "{written:?}");
    assert!(written[0].starts_with("week=2024-01-01/region=S%C3%A3o/part-"), "{written:?}");
    let sum = "SELECT count(*)::text || ' ' || md5(string_agg(t::text, '|' ORDER BY amount)) FROM";
    assert_eq!(
        value::<String>(&mut client, &format!("{sum} back AS t")),
        value::<String>(&mut client, &format!("{sum} sold AS t"))
    );
    assert!(value::<bool>(&mut client, "SELECT count(*) = 667 AND max(week) = '2024-01-08' FROM few"));
}

#[test]
fn what_a_type_does_not_hold_is_named_by_file_row_group_and_column() {
    let database = Database::with_data();
    let mut client = database.connect();
    let uri = folder(&database);
    client
        .batch_execute(&format!(
            "CALL reco.save_parquet('SELECT 40000 + n AS id FROM generate_series(1, 10) AS n', '{uri}/big.parquet');
             CALL reco.save_parquet('SELECT ''x''::text AS id', '{uri}/words.parquet');
             CALL reco.save_parquet('SELECT timestamp ''2024-01-01'' AS id', '{uri}/local.parquet');
             CREATE TABLE small (id smallint); CREATE TABLE moments (id timestamptz)"
        ))
        .unwrap();
    let load = |table: &str, file: &str| format!("CALL reco.load_parquet('{table}', '{uri}/{file}.parquet')");
    let error = refusal(&mut client, &load("small", "big"));
    error.expect("22000", &["column \"id\"", "row group 0", "big.parquet", "40001"], &["Nothing was loaded"]);
    assert!(is_empty(&mut client, "small"));
    refusal(&mut client, &load("small", "words")).expect(
        "22000",
        &["\"id\"", "words.parquet", "a string", "smallint"],
        &[],
    );
    refusal(&mut client, &load("moments", "local")).expect("22000", &["without time zone"], &["zone"]);
    refusal(&mut client, &load("small", "gone")).expect("58P01", &["no Parquet file", "gone.parquet"], &[]);
    let error = refusal(
        &mut client,
        &format!("CALL reco.save_parquet('SELECT ''infinity''::date AS d', '{uri}/never.parquet')"),
    );
    error.expect("22000", &["column \"d\"", "infinite"], &["Nothing was written"]);
    let error =
        refusal(&mut client, &format!("CALL reco.save_parquet('SELECT 1.5 AS d', '{uri}/never.parquet')"));
    error.expect("22023", &["column \"d\"", "numeric"], &["numeric(18, 2)"]);
    assert_eq!(files(&uri).len(), 3, "{:?}", files(&uri));
}

#[test]
fn replace_is_atomic_and_new_files_are_those_that_were_not_loaded() {
    let database = Database::with_data();
    let mut client = database.connect();
    let mut reader = database.connect();
    let uri = folder(&database);
    numbers(&mut client, &format!("{uri}/day=1"), 10);
    let load = |mode: &str| format!("CALL reco.load_parquet('numbers', '{uri}/', mode => '{mode}')");
    client.batch_execute(&load("new_files")).unwrap();
    client.batch_execute(&load("new_files")).unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM numbers"), 10);
    let save = |day: u32, query: &str| {
        format!("CALL reco.save_parquet('{query}', '{uri}/day={day}/more.parquet', replace => true)")
    };
    client.batch_execute(&save(2, "SELECT 11::bigint AS id, ''x'' AS name")).unwrap();
    client.batch_execute(&load("new_files")).unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM numbers"), 11);
    let known =
        "SELECT string_agg(rows::text, ',' ORDER BY uri) FROM reco.loaded_files WHERE table_name = 'numbers'";
    assert_eq!(value::<String>(&mut client, known), "10,1");

    // A file that has changed would be there twice.
    client.batch_execute(&save(2, "SELECT 12::bigint AS id, ''y'' AS name")).unwrap();
    refusal(&mut client, &load("new_files")).expect("22000", &["day=2", "has changed since"], &["replace"]);

    client.batch_execute("BEGIN").unwrap();
    client.batch_execute(&load("replace")).unwrap();
    assert_eq!(
        value::<i64>(&mut reader, "SELECT count(*) FROM numbers WHERE name = 'x'"),
        1,
        "others see the old rows"
    );
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(value::<i64>(&mut reader, "SELECT count(*) FROM numbers WHERE name = 'y'"), 1);
    assert_eq!(value::<i64>(&mut reader, "SELECT count(*) FROM numbers"), 11);
    client.batch_execute(&load("new_files")).unwrap();
    assert_eq!(value::<i64>(&mut reader, "SELECT count(*) FROM numbers"), 11);

    // An error after the rows were deleted brings them back, and what was known with them.
    client.batch_execute("ALTER TABLE numbers ADD CHECK (id <> 13)").unwrap();
    client.batch_execute(&save(3, "SELECT 13::bigint AS id, ''z'' AS name")).unwrap();
    refusal(&mut client, &load("replace")).expect("23514", &["check constraint"], &[]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM numbers"), 11);
    assert_eq!(value::<String>(&mut client, known), "10,1");
    refusal(&mut client, &load("merge")).expect("22023", &["merge"], &["new_files"]);
}

#[test]
fn triggers_and_partitions_work_as_with_copy() {
    let database = Database::with_data();
    let mut client = database.connect();
    let uri = folder(&database);
    numbers(&mut client, &uri, 100);
    client
        .batch_execute(&format!(
            "CREATE TABLE parts (id bigint, name text, changed boolean) PARTITION BY RANGE (id);
             CREATE TABLE low PARTITION OF parts FOR VALUES FROM (1) TO (51);
             CREATE TABLE high PARTITION OF parts FOR VALUES FROM (51) TO (1000);
             CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.changed := true; RETURN NEW; END';
             CREATE TRIGGER mark BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION mark();
             CALL reco.load_parquet('parts', '{uri}')"
        ))
        .unwrap();
    let counts = "SELECT (SELECT count(*) FROM low) || ' ' || (SELECT count(*) FROM high WHERE changed)";
    assert_eq!(value::<String>(&mut client, counts), "50 50");
}

#[test]
fn what_is_there_is_not_replaced_and_what_fails_leaves_nothing() {
    let database = Database::with_data();
    let mut client = database.connect();
    let uri = folder(&database);
    numbers(&mut client, &format!("{uri}/a/"), 10);
    let before = files(&uri);
    let save = |query: &str, to: &str| format!("CALL reco.save_parquet('{query}', '{uri}/{to}')");
    refusal(&mut client, &save("numbers", "a/")).expect("22023", &["files below"], &["new folder"]);
    let fails = "SELECT 1 / (n - 90000) AS x FROM generate_series(1, 100000) AS n";
    refusal(&mut client, &save(fails, "b/")).expect("22012", &["division by zero"], &[]);
    refusal(&mut client, &save(fails, "c.parquet")).expect("22012", &["division by zero"], &[]);
    assert_eq!(files(&uri), before);
    client.batch_execute(&save("SELECT 1 AS x WHERE false", "none.parquet")).unwrap();
    refusal(&mut client, &save("numbers", "none.parquet")).expect(
        "22023",
        &["there is a file"],
        &["replace"],
    );
    client
        .batch_execute(&format!(
            "CREATE TABLE none (x integer); CALL reco.load_parquet('none', '{uri}/none.parquet')"
        ))
        .unwrap();
    assert!(is_empty(&mut client, "none"));
}

/// A table into which a load takes for ever, because each row waits.
fn slow(client: &mut Client, uri: &str) -> String {
    numbers(client, uri, 50_000);
    client
        .batch_execute(
            "CREATE TABLE slow (id bigint, name text);
             CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
             CREATE TRIGGER wait BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        .unwrap();
    format!("CALL reco.load_parquet('slow', '{uri}')")
}

#[test]
fn a_cancel_ends_the_process_at_once_and_nothing_is_loaded() {
    let database = Database::with_data();
    let mut client = database.connect();
    let sql = slow(&mut client, &folder(&database));
    let loading = Background::start(database.connect(), &sql);
    let process = Process::trainer_of(loading.backend);
    loading.cancel();
    loading.finish().refusal().expect("57014", &["user request"], &[]);
    assert!(!process.is_alive());
    assert!(is_empty(&mut client, "slow"));
}

#[test]
fn kill_9_of_the_process_is_an_error_and_nothing_is_loaded() {
    let database = Database::with_data();
    let mut client = database.connect();
    let file = database.cluster.folder().join(format!("fake-lake-{}", database.name));
    Installation::get().write_program(&file, "#!/bin/sh\nexec sleep 1000\n");
    client.batch_execute("CREATE TABLE numbers (id bigint)").unwrap();
    let set = format!("SET reco.lake_path = '{}'", file.display());
    let mut session = database.connect();
    session.batch_execute(&set).unwrap();
    let loading =
        Background::start(session, &format!("CALL reco.load_parquet('numbers', '{}')", folder(&database)));
    Process::trainer_of(loading.backend).kill();
    let mut ended = loading.finish();
    ended.refusal().expect("38000", &["was killed"], &["reco.max_lake_memory"]);
    assert!(is_empty(&mut ended.client, "numbers"));
    assert_eq!(Process::children(backend_pid(&mut ended.client)), []);
}

#[test]
fn a_process_that_is_missing_or_says_something_else_is_an_error() {
    let database = Database::with_data();
    let mut client = database.connect();
    client.batch_execute("CREATE TABLE numbers (id bigint); SET reco.lake_path = '/nowhere/lake'").unwrap();
    let sql = format!("CALL reco.load_parquet('numbers', '{}')", folder(&database));
    refusal(&mut client, &sql).expect("38000", &["could not start", "/nowhere/lake"], &["make install"]);
    let file = database.cluster.folder().join(format!("odd-lake-{}", database.name));
    for (script, words) in [("echo hello", "not asked for"), ("echo last words >&2; exit 3", "exit code 3")] {
        Installation::get().write_program(&file, &format!("#!/bin/sh\n{script}\n"));
        client.batch_execute(&format!("SET reco.lake_path = '{}'", file.display())).unwrap();
        refusal(&mut client, &sql).expect("38000", &[words], &[]);
    }
    let found = rows(&mut client, "SELECT ok::text FROM reco.check_setup() WHERE item = 'lake'");
    assert_eq!(found, ["(false)"]);
    client.batch_execute("RESET reco.lake_path").unwrap();
    assert_eq!(rows(&mut client, "SELECT ok::text FROM reco.check_setup() WHERE item = 'lake'"), ["(true)"]);
}

#[test]
fn progress_is_told_to_others() {
    let database = Database::with_data();
    let mut client = database.connect();
    let sql = slow(&mut client, &folder(&database));
    let loading = Background::start(database.connect(), &sql);
    wait_until("the load shows in pg_stat_progress_copy", || {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_progress_copy WHERE pid = {} AND bytes_processed > 0",
            loading.backend
        );
        value::<i64>(&mut client, &sql) == 1
    });
    loading.cancel();
    loading.finish().refusal().expect("57014", &[], &[]);
}
