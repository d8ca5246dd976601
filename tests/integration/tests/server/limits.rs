//! Limits are set by superusers, or by whom they grant that, and anybody keeps within them by settings of their own.

use integration::process::Process;
use integration::{refusal, value, wait_until, Background, Database, Training};
use postgres::{Client, NoTls};

/// Each limit, a value beyond it, and what stands in the server's configuration for all.
const LIMITS: [(&str, &str, &str); 3] = [
    ("reco.max_training_memory", "64GB", "8GB"),
    ("reco.max_import_size", "1000MB", "256MB"),
    ("reco.min_training_nice", "0", "10"),
];

fn role(database: &Database, name: &str) -> Client {
    let sql = format!("CREATE ROLE {name} LOGIN CREATEDB; GRANT USAGE ON SCHEMA reco TO {name}; GRANT SELECT ON launch_features TO {name}");
    database.connect().batch_execute(&sql).unwrap();
    database.connect_as(name)
}

/// Loads the library, which defines the settings; what had been set before is then checked.
fn load(client: &mut Client) {
    client
        .batch_execute("DO $$ BEGIN PERFORM reco.recommend(1, 'r'); EXCEPTION WHEN OTHERS THEN END $$")
        .unwrap();
}

fn show(client: &mut Client, setting: &str) -> String {
    value(client, &format!("SHOW {setting}"))
}

#[test]
fn no_role_raises_a_limit_in_any_way() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let mut owner = role(&database, "raises_limits");
    // As the owner of the database, it changes the database's settings.
    admin
        .batch_execute(&format!(
            "ALTER DATABASE {0} OWNER TO raises_limits; ALTER DATABASE {0} SET reco.min_training_nice = 10",
            database.name
        ))
        .unwrap();
    for (setting, beyond, limit) in LIMITS {
        for loaded in [false, true] {
            let mut client = database.connect_as("raises_limits");
            if loaded {
                load(&mut client);
            }
            // Without the library Postgres takes it for a setting that anybody may have, until it knows better.
            let set = client.batch_execute(&format!("SET {setting} = '{beyond}'"));
            assert_eq!(set.is_err(), loaded, "{setting}: {set:?}");
            load(&mut client);
            assert_eq!(show(&mut client, setting), limit);
            client.batch_execute("BEGIN").unwrap();
            assert!(client.batch_execute(&format!("SET LOCAL {setting} = '{beyond}'")).is_err());
            client.batch_execute("ROLLBACK").unwrap();
            assert_eq!(show(&mut client, setting), limit);
        }
        for statement in ["ALTER ROLE raises_limits", &format!("ALTER DATABASE {}", database.name)] {
            for with_library in [false, true] {
                let mut client = database.connect_as("raises_limits");
                if with_library {
                    load(&mut client);
                }
                refusal(&mut client, &format!("{statement} SET {setting} = '{beyond}'")).expect(
                    "42501",
                    &[setting],
                    &[],
                );
            }
        }
        // Nor by a function's own settings, nor by options of the connection.
        let function = format!(
            "CREATE FUNCTION pg_temp.beyond() RETURNS integer LANGUAGE sql SET {setting} = '{beyond}' AS 'SELECT 1'"
        );
        for client in [&mut owner, &mut database.connect_as("raises_limits")] {
            refusal(client, &function).expect("42501", &[setting], &[]);
            load(client);
            refusal(client, &function).expect("42501", &[setting], &[]);
        }
        let mut config = database.cluster.config(&database.name, "raises_limits");
        match config.options(&format!("-c {setting}={beyond}")).connect(NoTls) {
            Ok(mut client) => {
                load(&mut client);
                assert_eq!(show(&mut client, setting), limit);
            }
            Err(error) => {
                assert!(error.to_string().contains(setting) || error.as_db_error().is_some(), "{error:?}")
            }
        }
    }
}

#[test]
fn a_superuser_gives_a_role_another_limit_or_the_right_to_set_it() {
    let database = Database::with_data();
    let mut admin = database.connect();
    role(&database, "limited_alone");
    load(&mut admin);
    admin.batch_execute("ALTER ROLE limited_alone SET reco.max_training_memory = '2GB'").unwrap();
    let mut client = database.connect_as("limited_alone");
    load(&mut client);
    assert_eq!(show(&mut client, "reco.max_training_memory"), "2GB");
    refusal(&mut client, "ALTER ROLE limited_alone RESET reco.max_training_memory").expect("42501", &[], &[]);
    admin.batch_execute("GRANT SET ON PARAMETER reco.max_training_memory TO limited_alone").unwrap();
    client.batch_execute("SET reco.max_training_memory = '3GB'").unwrap();
    assert_eq!(show(&mut client, "reco.max_training_memory"), "3GB");
}

#[test]
fn anybody_takes_less() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let mut client = role(&database, "takes_less");
    load(&mut client);
    client.batch_execute("SET reco.training_memory = '16MB'").unwrap();
    let refused = Training::new("mine").param(r#""hidden": [4096, 4096]"#).refused(&mut client);
    refused.expect("38000", &[], &[]);
    client.batch_execute("SET reco.training_memory = '64GB'; SET reco.training_nice = 7").unwrap();
    let (training, trainer) = Background::training(client, &Training::endless("mine"), &mut observer);
    assert_eq!(trainer.nice().as_deref(), Some("7"));
    assert_eq!(data_limit(&trainer), 8 << 30, "more is not to be had");
    training.cancel();
    training.finish();
    wait_until("the trainer ends", || !trainer.is_alive());
}

/// Bytes of memory that the process may allocate.
fn data_limit(process: &Process) -> u64 {
    let limits = process.limits();
    let line = limits.lines().find(|line| line.starts_with("Max data size")).expect("Linux tells it");
    line.split_whitespace().nth(3).and_then(|bytes| bytes.parse().ok()).expect("there is a bound")
}
