use super::support::{artifact, versions};
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// Keys and time column of the only version.
fn found(client: &mut Client) -> Vec<String> {
    rows(client, "SELECT keys, time_column FROM reco.versions")
}

fn inputs(client: &mut Client) -> Vec<String> {
    let sql = "SELECT c ->> 'name' FROM reco.versions, jsonb_array_elements(recipe -> 'columns') AS c";
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_view_trains_the_same_as_its_table_and_its_query_is_kept() {
    let mut client = Database::trained().connect();
    client.batch_execute("CREATE VIEW seen AS SELECT * FROM launch_features").unwrap();
    Training::new("seen").source("seen").call(&mut client);
    assert!(artifact(&mut client, "seen", 1) == artifact(&mut client, "launch", 1));
    let sql =
        "SELECT data ->> 'definition' LIKE '%FROM launch_features%' FROM reco.versions WHERE model = 'seen'";
    assert!(value::<bool>(&mut client, sql));
    let of_a_table = "SELECT data ->> 'definition' IS NULL FROM reco.versions WHERE model = 'launch'";
    assert!(value::<bool>(&mut client, of_a_table));
}

#[test]
fn a_materialized_view_gives_its_keys_by_a_unique_index() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE MATERIALIZED VIEW stored AS
                 SELECT product_id AS article, region AS market, week AS seen_in, price, sales_1w, purchased
                 FROM launch_features;
             CREATE UNIQUE INDEX ON stored (article, market, seen_in)",
        )
        .unwrap();
    Training::new("stored").source("stored").call(&mut client);
    assert_eq!(found(&mut client), ["(\"{article,market}\",seen_in)"]);
    assert_eq!(inputs(&mut client), ["price", "sales_1w"]);
    let score: Option<f64> = value(&mut client, "SELECT reco.recommend(3, 'r1')");
    assert!(score.is_some());
}

#[test]
fn a_partitioned_table_is_read_whole() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE parted (LIKE launch_features INCLUDING ALL) PARTITION BY RANGE (week);
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2024-03-01');
             CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2024-03-01') TO (MAXVALUE);
             INSERT INTO parted SELECT * FROM launch_features",
        )
        .unwrap();
    Training::new("parted").source("parted").call(&mut client);
    assert!(artifact(&mut client, "parted", 1) == artifact(&mut client, "launch", 1));
    let same = "SELECT bool_and(reco.recommend(p, 'r2', 'parted') = reco.recommend(p, 'r2', 'launch')) \
                FROM generate_series(1::bigint, 60) AS p";
    assert!(value::<bool>(&mut client, same));
}

#[test]
fn a_foreign_table_trains_the_same_as_the_table_that_its_file_was_made_of() {
    let database = Database::with_data();
    let mut client = database.connect();
    let file = database.cluster.folder().join(format!("{}.csv", database.name));
    let file = file.display();
    client
        .batch_execute(&format!(
            "CREATE TABLE here AS SELECT product_id, region, week, price, households, purchased FROM launch_features;
             COPY here TO '{file}' (FORMAT csv);
             CREATE EXTENSION file_fdw;
             CREATE SERVER lake FOREIGN DATA WRAPPER file_fdw;
             CREATE FOREIGN TABLE there (product_id bigint, region text, week date, price numeric, households integer,
                                         purchased boolean)
             SERVER lake OPTIONS (filename '{file}', format 'csv')"
        ))
        .unwrap();
    for source in ["here", "there"] {
        Training::new(source).source(source).call(&mut client);
    }
    let scores = rows(
        &mut client,
        "SELECT DISTINCT reco.recommend(product_id, 'r1', 'here') = reco.recommend(product_id, 'r1', 'there')
         FROM generate_series(1, 60) AS product_id",
    );
    assert_eq!(scores, ["(t)"]);
    let digests: i64 = value(&mut client, "SELECT count(DISTINCT data ->> 'digest') FROM reco.versions");
    assert_eq!(digests, 1, "the rows are the same");
}

#[test]
fn keys_and_time_column_can_be_given() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE other AS SELECT region AS market, product_id AS article, updated_at AS moment, \
                                          week, price, sales_1w, purchased FROM launch_features",
        )
        .unwrap();
    Training::new("other")
        .source("other")
        .with("keys => '{article,market}'")
        .with("time_column => 'moment'")
        .call(&mut client);
    assert_eq!(found(&mut client), ["(\"{article,market}\",moment)"]);
    assert_eq!(inputs(&mut client), ["week", "price", "sales_1w"]);
    let newest = "SELECT reco.recommend(5, 'r0') = (SELECT reco.predict('other', o) FROM other AS o \
                  WHERE article = 5 AND market = 'r0' ORDER BY moment DESC LIMIT 1)";
    assert!(value::<bool>(&mut client, newest));
}

#[test]
fn without_a_unique_key_the_usual_names_are_found() {
    let mut client = Database::with_data().connect();
    client.batch_execute("CREATE TABLE plain AS SELECT * FROM launch_features").unwrap();
    Training::new("plain").source("plain").param(r#""epochs": 1"#).call(&mut client);
    assert_eq!(found(&mut client), ["(\"{product_id,region}\",week)"]);
}

#[test]
fn without_a_time_column_keys_are_held_out_by_hash() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE timeless AS
                 SELECT row_number() OVER (ORDER BY product_id, region, week) AS product_id, region,
                        price, sales_1w, households, category, purchased
                 FROM launch_features WHERE purchased IS NOT NULL",
        )
        .unwrap();
    Training::new("timeless").source("timeless").call(&mut client);
    assert_eq!(found(&mut client), ["(\"{product_id,region}\",)"]);
    let shares = "SELECT (data ->> 'test')::float8 / 5760 BETWEEN 0.1 AND 0.2 \
                         AND (data ->> 'validation')::float8 / 5760 BETWEEN 0.1 AND 0.2 \
                         AND data ->> 'time_from' IS NULL AND data ->> 'test_from' IS NULL FROM reco.versions";
    assert!(value::<bool>(&mut client, shares), "{:?}", rows(&mut client, "SELECT data FROM reco.versions"));
    assert!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(17, 'r0')").is_some());
}

#[test]
fn keys_and_time_are_inputs_only_when_included() {
    let mut client = Database::with_data().connect();
    Training::new("launch").param(r#""epochs": 1"#).call(&mut client);
    let without = inputs(&mut client);
    for name in ["product_id", "region", "week", "purchased"] {
        assert!(!without.contains(&name.to_owned()), "{without:?}");
    }
    assert_eq!(without.len(), 13);

    let params = r#"{"epochs": 1, "include": ["region", "week"], "exclude": ["clicks", "launched_on"]}"#;
    client.batch_execute("DELETE FROM reco.alias; DELETE FROM reco.version").unwrap();
    Training::new("launch").params(params).call(&mut client);
    let with = inputs(&mut client);
    for (name, expected) in
        [("region", true), ("week", true), ("clicks", false), ("launched_on", false), ("product_id", false)]
    {
        assert_eq!(with.contains(&name.to_owned()), expected, "{name}: {with:?}");
    }
}

#[test]
fn a_label_can_be_a_number() {
    let mut client = Database::trained().connect();
    client
        .batch_execute("CREATE VIEW numbered AS SELECT *, purchased::int AS bought FROM launch_features")
        .unwrap();
    Training::new("numbered")
        .source("numbered")
        .label("bought")
        .param(r#""exclude": ["purchased"]"#)
        .call(&mut client);
    let same = "SELECT count(DISTINCT test_auroc) = 1 FROM reco.versions";
    assert!(value::<bool>(&mut client, same), "{:?}", versions(&mut client, "numbered"));
}

#[test]
fn names_that_need_quotes_are_quoted() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            r#"CREATE SCHEMA "My ""Shop""";
               CREATE TABLE "My ""Shop"""."Launch; DROP TABLE x" AS
                   SELECT product_id AS "Product Id", region AS "select", week AS "the ""week""",
                          price AS "Price, in €", sales_1w AS "user", purchased AS "Bought?"
                   FROM launch_features;
               ALTER TABLE "My ""Shop"""."Launch; DROP TABLE x" ADD PRIMARY KEY ("Product Id", "select", "the ""week""")"#,
        )
        .unwrap();
    Training::new("O''Brien \"x\"")
        .source(r#""My ""Shop"""."Launch; DROP TABLE x""#)
        .label("Bought?")
        .call(&mut client);
    assert_eq!(inputs(&mut client), ["Price, in €", "user"]);
    assert!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(3, 'r1')").is_some());
    let sql =
        r#"SELECT count(reco.predict('O''Brien "x"', l)) FROM "My ""Shop"""."Launch; DROP TABLE x" AS l"#;
    assert_eq!(value::<i64>(&mut client, sql), 6000);
}

#[test]
fn a_temporary_relation_is_no_source_of_what_is_scored_later() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TEMP TABLE passing AS SELECT * FROM launch_features;
             CREATE VIEW passing_view AS SELECT * FROM passing",
        )
        .unwrap();
    let hint: &[&str] = &["CREATE TABLE"];
    for source in ["passing", "passing_view"] {
        Training::new("launch").source(source).refused(&mut client).expect(
            "22023",
            &[source, "is temporary", "\"launch\""],
            hint,
        );
        let tune = format!("CALL reco.tune('launch', '{source}', 'purchased', trials => 2)");
        refusal(&mut client, &tune).expect("22023", &[source, "is temporary"], hint);
        let view = format!(
            "SELECT reco.create_feature_view('kept', 'SELECT product_id, region, week FROM {source} WHERE week BETWEEN $1 AND $2',
                 '{{product_id,region}}', available => 'SELECT min(week), max(week) FROM launch_features')"
        );
        refusal(&mut client, &view).expect("22023", &["passing", "is temporary"], hint);
        let available = view
            .replace(source, "launch_features")
            .replace("max(week) FROM launch_features", &format!("max(week) FROM {source}"));
        refusal(&mut client, &available).expect("22023", &["passing", "is temporary"], hint);
    }
    let view = "SELECT reco.create_feature_view('pg_temp.kept', 'SELECT 1 AS product_id, NULL::date AS week', '{product_id}')";
    refusal(&mut client, view).expect("22023", &["would be temporary"], &["schema"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.models"), 0);
    // What is kept nowhere may be measured and replayed.
    Training::new("launch").call(&mut client);
    let evaluate = "SELECT count(*) FROM reco.evaluate('launch', 'passing')";
    assert_eq!(value::<i64>(&mut client, evaluate), 1);
    let bytes: Vec<u8> = value(&mut client, "SELECT reco.export_model('launch')");
    let import = client
        .query_one("SELECT reco.import_model('other', $1, source => 'passing')", &[&bytes])
        .unwrap_err();
    integration::refusal::Refusal::of(&import).expect("22023", &["is temporary"], hint);
}

#[test]
fn nobodys_temporary_table_stands_in_for_a_source_that_is_gone() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TEMP TABLE passing AS SELECT * FROM launch_features;
             UPDATE reco.version SET source_schema = pg_my_temp_schema()::regnamespace::text, source_name = 'passing'",
        )
        .unwrap();
    for call in
        ["recommend(1::bigint, 'r1')", "top_products('r1')", "forecast('r1')", "explain(1::bigint, 'r1')"]
    {
        refusal(&mut client, &format!("SELECT * FROM reco.{call}")).expect(
            "42P01",
            &["passing", "\"launch\""],
            &["Train"],
        );
    }
}
