//! What others make and grant never changes what a caller gets who names no model.

use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

fn role(database: &Database, name: &str) -> Client {
    let sql = format!("CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA reco TO {name}; GRANT SELECT ON launch_features TO {name}");
    database.connect().batch_execute(&sql).unwrap();
    database.connect_as(name)
}

/// Another model, which gives other scores.
fn train(client: &mut Client, model: &str, seed: i32) {
    Training::new(model).param(&format!(r#""epochs": 2, "seed": {seed}"#)).call(client);
}

const SCORE: &str = "SELECT reco.recommend(1, 'r1')";

fn score_of(client: &mut Client, model: &str) -> f64 {
    value(client, &format!("SELECT reco.recommend(1, 'r1', '{model}')"))
}

fn grant(client: &mut Client, model: &str, role: &str) {
    client.batch_execute(&format!("SELECT reco.grant_model('{model}', '{role}', 'score')")).unwrap();
}

#[test]
fn the_default_is_the_nearest_model() {
    let database = Database::trained();
    let mut admin = database.connect();
    let mut stranger = role(&database, "default_stranger");
    let mut owner = role(&database, "default_owner");
    let mut granted = role(&database, "default_granted");
    let mut member = role(&database, "default_member");
    let mut anybody = role(&database, "default_anybody");
    admin.batch_execute("CREATE ROLE default_group; GRANT default_group TO default_member").unwrap();
    train(&mut owner, "own", 1);
    grant(&mut admin, "launch", "default_granted");
    grant(&mut admin, "launch", "default_group");
    let of_owner: f64 = value(&mut owner, SCORE);
    let of_launch: f64 = value(&mut granted, SCORE);
    assert_ne!(of_owner, of_launch);
    refusal(&mut anybody, SCORE).expect(
        "42501",
        &["no model that role \"default_anybody\""],
        &["grant_model"],
    );

    // Whatever a stranger makes and grants, to whomever, nobody's default changes.
    train(&mut stranger, "theirs", 2);
    for role in ["public", "default_owner", "default_granted", "default_group", "default_anybody"] {
        grant(&mut stranger, "theirs", role);
    }
    let of_stranger = score_of(&mut stranger, "theirs");
    let everybodys = [
        (&mut owner, of_owner),
        (&mut granted, of_launch),
        (&mut member, of_launch),
        (&mut stranger, of_stranger),
        // A superuser owns one too.
        (&mut admin, of_launch),
    ];
    for (client, expected) in everybodys {
        assert_eq!(value::<f64>(client, SCORE), expected);
    }
    let error = refusal(&mut anybody, SCORE);
    error.expect(
        "42P08",
        &["role \"default_anybody\" has no default model"],
        &["ALTER ROLE default_anybody SET reco.default_model", "theirs"],
    );
    assert!(error.detail.contains("owner or a superuser has granted"), "{error:?}");
    anybody.batch_execute("SET reco.default_model = 'theirs'").unwrap();
    assert_eq!(value::<f64>(&mut anybody, SCORE), of_stranger);
    anybody.batch_execute("RESET reco.default_model").unwrap();

    // The word of the database's owner counts, also of what a stranger has granted before.
    grant(&mut admin, "theirs", "public");
    assert_eq!(value::<f64>(&mut anybody, SCORE), of_stranger);
    train(&mut stranger, "theirs_too", 3);
    grant(&mut stranger, "theirs_too", "public");
    assert_eq!(value::<f64>(&mut anybody, SCORE), of_stranger);
    // And it is not taken back by granting again.
    grant(&mut stranger, "theirs", "public");
    assert_eq!(value::<f64>(&mut anybody, SCORE), of_stranger);
    // Among several that are equally near, one is to be named.
    let several = ["there are 2 models", "say which"];
    refusal(&mut stranger, SCORE).expect("42P08", &several, &["reco.default_model: theirs, theirs_too."]);
    grant(&mut admin, "theirs_too", "public");
    refusal(&mut anybody, SCORE).expect("42P08", &several, &["reco.default_model: theirs, theirs_too."]);
    for (client, expected) in [(&mut owner, of_owner), (&mut granted, of_launch), (&mut admin, of_launch)] {
        assert_eq!(value::<f64>(client, SCORE), expected);
    }

    // A superuser without models has those that were granted to everybody, else those of the database's owner and superusers.
    admin.batch_execute("CREATE ROLE default_super LOGIN SUPERUSER").unwrap();
    stranger.batch_execute("SELECT reco.revoke_model('theirs_too', 'public', 'score')").unwrap();
    let mut superuser = database.connect_as("default_super");
    assert_eq!(value::<f64>(&mut superuser, SCORE), of_stranger);
    stranger.batch_execute("SELECT reco.revoke_model('theirs', 'public', 'score')").unwrap();
    assert_eq!(value::<f64>(&mut superuser, SCORE), of_launch);
}

#[test]
fn a_grant_counts_as_long_as_who_made_it_owns_the_database() {
    let database = Database::trained();
    let mut admin = database.connect();
    let mut manager = role(&database, "word_manager");
    let mut web = role(&database, "word_web");
    admin.batch_execute("SELECT reco.grant_model('launch', 'word_manager', 'manage')").unwrap();
    grant(&mut manager, "launch", "word_web");
    let none = ["has no default model"];
    refusal(&mut web, SCORE).expect("42P08", &none, &["launch"]);
    // By owning the database, as its member, and by being a superuser.
    for (give, take) in [
        (
            format!("ALTER DATABASE {} OWNER TO word_manager", database.name),
            format!("ALTER DATABASE {} OWNER TO postgres", database.name),
        ),
        ("ALTER ROLE word_manager SUPERUSER".into(), "ALTER ROLE word_manager NOSUPERUSER".into()),
        ("GRANT word_manager TO word_web".into(), "REVOKE word_manager FROM word_web".into()),
    ] {
        admin.batch_execute(&give).unwrap();
        value::<f64>(&mut web, SCORE);
        admin.batch_execute(&take).unwrap();
        refusal(&mut web, SCORE).expect("42P08", &none, &["launch"]);
    }
}

#[test]
fn units_are_those_of_the_same_owner_or_of_the_model_that_is_named() {
    let database = Database::trained();
    let mut admin = database.connect();
    let mut stranger = role(&database, "units_stranger");
    let exclude = |client: &mut Client, model: &str, label: &str| {
        let params = r#"{"epochs": 1, "exclude": ["purchased"]}"#;
        Training::new(model).label(label).params(params).call(client);
    };
    exclude(&mut stranger, "their_units", "sales_1w");
    grant(&mut stranger, "their_units", "public");
    let units = "SELECT count(units) FROM reco.forecast_products('r1', 'launch')";
    assert_eq!(value::<i64>(&mut admin, units), 0, "a stranger's are not taken");
    exclude(&mut admin, "our_units", "sales_4w");
    let ours: f64 = value(&mut admin, "SELECT sum(units) FROM reco.forecast_products('r1', 'launch')");
    exclude(&mut stranger, "more_of_theirs", "sales_1w");
    grant(&mut stranger, "more_of_theirs", "public");
    assert_eq!(
        value::<f64>(&mut admin, "SELECT sum(units) FROM reco.forecast_products('r1', 'launch')"),
        ours
    );
    let named = "SELECT sum(units) FROM reco.forecast_products('r1', 'launch', 'their_units')";
    assert_ne!(value::<f64>(&mut admin, named), ours);
}

#[test]
fn a_model_is_imported_only_for_what_one_may_read() {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE TABLE file AS SELECT reco.export_model('launch') AS body;
             CREATE SCHEMA closed; CREATE TABLE closed.rows AS SELECT * FROM launch_features;
             CREATE ROLE imports LOGIN; GRANT USAGE ON SCHEMA reco TO imports; GRANT SELECT ON file, closed.rows TO imports",
        )
        .unwrap();
    let mut client = database.connect_as("imports");
    let import = |source: &str| {
        format!("SELECT reco.import_model('mine', body, {source}, keys => '{{product_id,region}}', time_column => 'week', label => 'purchased') FROM file")
    };
    let of = |table: &str| value::<u32>(&mut database.connect(), &format!("SELECT '{table}'::regclass::oid"));
    let closed = import(&of("closed.rows").to_string());
    for refused in [import("'launch_features'"), closed.clone()] {
        refusal(&mut client, &refused).expect("42501", &["permission denied for relation"], &["SELECT"]);
    }
    let inputs = "price, sales_1w, sales_4w, households, weeks_since_launch, clicks, on_promotion, category, size, launched_on, updated_at, history, ranks";
    admin
        .batch_execute(&format!(
            "GRANT SELECT (product_id, region, week, {inputs}) ON launch_features TO imports"
        ))
        .unwrap();
    refusal(&mut client, &import("'launch_features'")).expect("42501", &["permission denied"], &[]);
    admin
        .batch_execute(
            "GRANT SELECT (purchased) ON launch_features TO imports; GRANT USAGE ON SCHEMA closed TO imports",
        )
        .unwrap();
    client.batch_execute(&import("'launch_features'")).unwrap();
    client.batch_execute(&closed).unwrap();
    assert_eq!(
        rows(&mut client, "SELECT source FROM reco.versions ORDER BY version"),
        ["(public.launch_features)", "(closed.rows)"]
    );
}
