//! The best of many keys: `top_products` and `top_regions`.

use integration::{refusal, rows, value, Background, Database, Training};
use postgres::Client;

/// What `recommend` makes of every product, the best first.
fn by_recommend(region: &str, k: usize, condition: &str, as_of: &str) -> String {
    format!(
        "SELECT row_number() OVER (ORDER BY score DESC, product_id), product_id::text, score
         FROM (SELECT product_id, reco.recommend(product_id, '{region}', 'launch', {as_of}) AS score
               FROM (SELECT DISTINCT product_id FROM launch_features WHERE region = '{region}' AND {condition}) AS p) AS s
         ORDER BY score DESC, product_id LIMIT {k}"
    )
}

#[test]
fn the_top_products_are_those_that_recommend_scores_highest() {
    let database = Database::trained();
    let mut client = database.connect();
    for region in ["r0", "r3"] {
        let top = rows(&mut client, &format!("SELECT * FROM reco.top_products('{region}', 7)"));
        assert_eq!(top.len(), 7);
        assert_eq!(top, rows(&mut client, &by_recommend(region, 7, "true", "NULL")));
    }
    // As it was known on a day, and with more asked for than there are.
    let then = rows(&mut client, "SELECT * FROM reco.top_products('r1', 1000, 'launch', '2024-03-06')");
    assert_eq!(then.len(), 60);
    assert_eq!(then, rows(&mut client, &by_recommend("r1", 1000, "true", "'2024-03-06'")));
    assert_ne!(then, rows(&mut client, "SELECT * FROM reco.top_products('r1', 1000)"));
    // Of some only, of any type that casts.
    let some = rows(&mut client, &by_recommend("r1", 3, "product_id IN (3, 5, 8, 13, 21)", "NULL"));
    for candidates in [
        "ARRAY[3, 5, 8, 13, 21, 999]",
        "'{3,5,8,13,21}'::bigint[]",
        "ARRAY(SELECT p FROM (VALUES (3), (5), (8), (13), (21)) AS p (p))",
    ] {
        let sql = format!("SELECT * FROM reco.top_products('r1', 3, candidates => {candidates})");
        assert_eq!(rows(&mut client, &sql), some);
    }
    for none in ["'nowhere'", "NULL", "'r1', as_of => '1999-01-01'", "'r1', candidates => '{}'::int[]"] {
        assert!(rows(&mut client, &format!("SELECT * FROM reco.top_products({none})")).is_empty(), "{none}");
    }
}

#[test]
fn the_top_regions_of_a_product() {
    let database = Database::trained();
    let mut client = database.connect();
    let expected = rows(
        &mut client,
        "SELECT row_number() OVER (ORDER BY score DESC), region, score
         FROM (SELECT 'r' || r AS region, reco.recommend(7, 'r' || r) AS score FROM generate_series(0, 3) AS r) AS s
         ORDER BY score DESC",
    );
    assert_eq!(rows(&mut client, "SELECT * FROM reco.top_regions(7)"), expected);
    assert_eq!(rows(&mut client, "SELECT * FROM reco.top_regions(7, 2)"), expected[..2]);
    let two: Vec<String> =
        value(&mut client, "SELECT array_agg(region) FROM reco.top_regions(7, candidates => '{r0,r2,r9}')");
    assert!(two.len() == 2 && two.contains(&"r0".into()) && two.contains(&"r2".into()), "{two:?}");
    // A product that is no number.
    client.batch_execute("CREATE TABLE texts AS SELECT 'p' || product_id AS product_id, region, week, price, sales_1w, purchased FROM launch_features").unwrap();
    Training::new("texts").source("texts").call(&mut client);
    let top: Vec<String> = value(
        &mut client,
        "SELECT array_agg(region ORDER BY rank) FROM reco.top_regions('p7', model => 'texts')",
    );
    assert_eq!(top.len(), 4);
    let products: Vec<String> = value(
        &mut client,
        "SELECT array_agg(product_id) FROM reco.top_products('r1', model => 'texts', candidates => ARRAY['p7', 'p8'])",
    );
    assert!(products.len() == 2 && products.contains(&"p7".into()), "{products:?}");
}

#[test]
fn equal_scores_are_in_the_order_of_the_products() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE alike AS SELECT product_id, region, week, sales_1w, purchased FROM launch_features",
        )
        .unwrap();
    Training::new("alike").source("alike").call(&mut client);
    client.batch_execute("UPDATE alike SET sales_1w = 1").unwrap();
    let products: Vec<String> =
        value(&mut client, "SELECT array_agg(product_id ORDER BY rank) FROM reco.top_products('r1', 12)");
    assert_eq!(products, (1..=12).map(|product| product.to_string()).collect::<Vec<_>>());
}

/// Thousands of products with old rows that lie behind newer ones.
fn many_products() -> (Database, Client) {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE many AS
             SELECT product_id + 100 * copy AS product_id, region, week, sales_1w + copy AS sales_1w, households, purchased
             FROM launch_features, generate_series(0, 49) AS copy WHERE week >= '2024-05-27' ORDER BY week DESC",
        )
        .unwrap();
    Training::new("launch").source("many").param(r#""epochs": 1"#).call(&mut client);
    (database, client)
}

#[test]
fn more_keys_than_fit_into_work_mem_give_the_same() {
    let (_database, mut client) = many_products();
    let sql = "SELECT * FROM reco.top_products('r2', 100)";
    let with_room = rows(&mut client, sql);
    let expected = by_recommend("r2", 100, "true", "NULL").replace("launch_features", "many");
    assert_eq!(with_room, rows(&mut client, &expected));
    client.batch_execute("SET work_mem = '64kB'").unwrap();
    assert_eq!(rows(&mut client, sql), with_room);
}

#[test]
fn what_has_no_row_of_the_newest_week_is_left_out() {
    let (_database, mut client) = many_products();
    let recommended = |condition: &str| {
        by_recommend("r2", 1000, condition, "NULL").replace("FROM launch_features", "FROM many")
    };
    let weeks = "SELECT (max(week) - 7)::text || ',' || (max(week) - 14)::text FROM many";
    let weeks: String = value(&mut client, weeks);
    let (last, before) = weeks.split_once(',').unwrap();
    client
        .batch_execute(&format!(
            "DELETE FROM many WHERE week > '{last}' AND product_id % 3 = 1;
             DELETE FROM many WHERE week > '{before}' AND product_id % 3 = 2"
        ))
        .unwrap();
    for work_mem in ["4MB", "64kB"] {
        client.batch_execute(&format!("SET work_mem = '{work_mem}'")).unwrap();
        for (max_age, condition) in [
            ("", "product_id % 3 = 0"),
            (", max_age => 7", "product_id % 3 < 2"),
            (", max_age => NULL", "true"),
        ] {
            let top = rows(&mut client, &format!("SELECT * FROM reco.top_products('r2', 1000{max_age})"));
            assert_eq!(top, rows(&mut client, &recommended(condition)), "{work_mem}{max_age}");
        }
    }
    // Rows with a time of day.
    client.batch_execute("SET work_mem = '4MB'; ALTER TABLE many ALTER week TYPE timestamp").unwrap();
    let top = rows(&mut client, "SELECT * FROM reco.top_products('r2', 1000)");
    assert_eq!(top, rows(&mut client, &recommended("product_id % 3 = 0")));
    // A region that a product has left.
    client
        .batch_execute(&format!(
            "DELETE FROM many WHERE week > '{last}' AND region = 'r1' AND product_id = 3"
        ))
        .unwrap();
    let left = |max_age| format!("SELECT count(*) FROM reco.top_regions(3{max_age}) WHERE region = 'r1'");
    assert_eq!(value::<i64>(&mut client, &left("")), 0);
    assert_eq!(value::<i64>(&mut client, &left(", max_age => 7")), 1);
}

#[test]
fn rows_that_the_caller_may_not_see_are_not_ranked() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE ROLE ranking_some LOGIN; CREATE ROLE ranking_none LOGIN;
             GRANT USAGE ON SCHEMA reco TO ranking_some, ranking_none; GRANT SELECT ON launch_features TO ranking_some;
             SELECT reco.grant_model('launch', 'public', 'score');
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY even ON launch_features TO ranking_some USING (product_id % 2 = 0 AND region <> 'r3')",
        )
        .unwrap();
    let mut some = database.connect_as("ranking_some");
    let odd =
        "SELECT count(*) FILTER (WHERE product_id::int % 2 = 1), count(*) FROM reco.top_products('r1', 100)";
    assert_eq!(rows(&mut some, odd), ["(0,30)"]);
    assert_eq!(value::<i64>(&mut some, "SELECT count(*) FROM reco.top_regions(2)"), 3);
    let mut none = database.connect_as("ranking_none");
    for sql in ["SELECT * FROM reco.top_products('r1')", "SELECT * FROM reco.top_regions(2)"] {
        refusal(&mut none, sql).expect("42501", &["launch_features"], &[]);
    }
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let database = Database::trained();
    let mut client = database.connect();
    let mut refused =
        |arguments: &str| refusal(&mut client, &format!("SELECT * FROM reco.top_products({arguments})"));
    refused("'r1', 0").expect("22023", &["k is a number from 1 to 100000, not 0"], &[]);
    refused("'r1', NULL").expect("22023", &["k must not be NULL"], &[]);
    refused("'r1', max_age => -1").expect("22023", &["max_age is a number of days, 0 or more, not -1"], &[]);
    refused("'r1', model => 'none'").expect("42704", &["\"none\""], &["reco.models"]);
    refused("'r1', candidates => ARRAY[now()]").expect("42846", &["cannot cast"], &[]);
    client
        .batch_execute(
            "CREATE TABLE one_key AS SELECT product_id, week, price, purchased FROM launch_features",
        )
        .unwrap();
    Training::new("one_key").source("one_key").with("keys => '{product_id}'").call(&mut client);
    refusal(&mut client, "SELECT * FROM reco.top_products('r1', model => 'one_key')").expect(
        "22023",
        &["has the keys (product_id), not a product and a region"],
        &[],
    );
}

#[test]
fn a_ranking_can_be_cancelled() {
    let (database, mut client) = many_products();
    client
        .batch_execute(
            "CREATE FUNCTION endless(sales float8) RETURNS float8 LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_lock(1); RETURN sales; END $$;
             ALTER TABLE many RENAME TO behind;
             CREATE VIEW many AS SELECT product_id, region, week, endless(sales_1w) AS sales_1w, households, purchased FROM behind;
             SELECT pg_advisory_lock(1)",
        )
        .unwrap();
    let ranking = Background::start(database.connect(), "SELECT * FROM reco.top_products('r1')");
    let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {} AND NOT granted", ranking.backend);
    integration::wait_until("it reads", || value::<i64>(&mut client, &waits) == 1);
    ranking.cancel();
    assert_eq!(ranking.finish().refusal().code, "57014");
}

#[test]
fn the_source_may_be_anything_that_can_be_queried() {
    let database = Database::trained();
    let mut client = database.connect();
    let top = "SELECT * FROM reco.top_products('r2', 9)";
    let expected = rows(&mut client, top);
    let columns: String = value(
        &mut client,
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname)
         FROM pg_attribute WHERE attrelid = 'launch_features'::regclass AND attnum > 0",
    );
    let many: String = (0..30).map(|n| format!(", {n} AS not_needed_{n}")).collect();
    let forms = [
        format!("CREATE TABLE launch_features AS SELECT 'x' AS another, {columns} FROM first"),
        format!(
            "CREATE TABLE launch_features AS SELECT 1 AS dropped, {columns} FROM first;
             ALTER TABLE launch_features DROP COLUMN dropped"
        ),
        format!("CREATE TABLE launch_features AS SELECT {columns} {many} FROM first"),
        "CREATE TABLE launch_features AS TABLE first; ALTER TABLE launch_features ALTER product_id TYPE int"
            .into(),
        format!("CREATE VIEW launch_features AS SELECT {columns} FROM first"),
        "CREATE TABLE launch_features (LIKE first) PARTITION BY RANGE (week);
         CREATE TABLE earlier PARTITION OF launch_features FOR VALUES FROM (MINVALUE) TO ('2024-04-01');
         CREATE TABLE later (dropped int, LIKE first); ALTER TABLE later DROP COLUMN dropped;
         ALTER TABLE launch_features ATTACH PARTITION later FOR VALUES FROM ('2024-04-01') TO (MAXVALUE);
         INSERT INTO launch_features TABLE first"
            .into(),
    ];
    client.batch_execute("ALTER TABLE launch_features RENAME TO first").unwrap();
    for form in forms {
        client.batch_execute(&format!("BEGIN; {form}")).unwrap();
        assert_eq!(rows(&mut client, top), expected, "{form}");
        client.batch_execute("ROLLBACK").unwrap();
    }
    // Who may read no other columns than those needed.
    client
        .batch_execute(&format!(
            "ALTER TABLE first RENAME TO launch_features; ALTER TABLE launch_features ADD secret text DEFAULT 'x';
             CREATE ROLE ranking_columns LOGIN; GRANT USAGE ON SCHEMA reco TO ranking_columns;
             GRANT SELECT ({columns}) ON launch_features TO ranking_columns;
             SELECT reco.grant_model('launch', 'public', 'score')"
        ))
        .unwrap();
    assert_eq!(rows(&mut database.connect_as("ranking_columns"), top), expected);
}
