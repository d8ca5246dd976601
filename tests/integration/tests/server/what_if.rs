//! Plans: what is scored if something else is planned than the rows say.

use super::model_rights::create_roles;
use super::parallel::FORCED;
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// A view whose label follows from what is planned. Displays and coupons never come together; a display costs at most 5.
const VIEW: &str = "
CREATE TYPE theme AS ENUM ('easter', 'summer');
SELECT reco.create_feature_view('planned', $$
    SELECT f.product_id, f.region, f.week, f.sales_1w, f.households, p.display AS planned_display,
           (NOT p.display AND chance('coupon ' || p.key) < 0.4)::int::smallint AS planned_coupon,
           (CASE WHEN chance('priced ' || p.key) < 0.9
                 THEN 1 + CASE WHEN p.display THEN 4 ELSE 9 END * chance('planned price ' || p.key) END)::numeric(8, 2) AS planned_price,
           CASE WHEN chance('theme ' || p.key) < 0.6 THEN (ARRAY['easter', 'summer'])[1 + (chance('which ' || p.key) < 0.5)::int]::theme
                END AS planned_theme,
           f.week + 7 + (7 * chance('starts ' || p.key))::int AS planned_from,
           CASE WHEN f.purchased IS NOT NULL
                THEN chance('bought ' || p.key) < CASE WHEN p.display THEN 0.7 ELSE 0.2 END
                                                  + CASE WHEN chance('which ' || p.key) < 0.5 THEN 0.2 ELSE 0 END END AS bought
    FROM launch_features AS f
    CROSS JOIN LATERAL (SELECT format('%s %s %s', f.product_id, f.region, f.week)) AS k (key)
    CROSS JOIN LATERAL (SELECT k.key, chance('display ' || k.key) < 0.3 AS display) AS p
    WHERE f.week BETWEEN $1 AND $2 $$,
    keys => '{product_id,region}', label => 'bought', partition_by => 'quarter',
    planned => '{planned_display,planned_coupon,planned_price,planned_theme,planned_from}',
    available => 'SELECT min(week), max(week) + 7 FROM launch_features');
CALL reco.refresh_features('planned')";

pub fn create(client: &mut Client) {
    client.batch_execute(VIEW).unwrap_or_else(|error| panic!("{error:?}"));
}

fn training(model: &str) -> Training {
    Training::new(model).source("planned").label("bought")
}

fn trees(model: &str) -> Training {
    training(model)
        .params(r#"{"trees": 30, "learning_rate": 0.2, "threads": 1}"#)
        .with("algorithm => 'boosted_trees'")
}

/// With the view, and a network of it.
fn database() -> (Database, Client) {
    let database = Database::with_data();
    let mut client = database.connect();
    create(&mut client);
    // What the plans of the test weeks would do is asked of a version that has not learned from them.
    training("net").param("\"refit\": false").call(&mut client);
    (database, client)
}

/// What `predict` says of the newest rows once SQL has replaced their columns, of all keys.
fn replaced(model: &str, row: &str, as_of: &str) -> String {
    format!(
        "SELECT product_id, region, reco.predict('{model}', jsonb_populate_record(f, '{row}')) AS score
         FROM (SELECT DISTINCT ON (product_id, region) * FROM planned WHERE week <= '{as_of}'
               ORDER BY product_id, region, week DESC) AS f ORDER BY 1, 2"
    )
}

fn with_plan(model: &str, plan: &str, as_of: &str) -> String {
    format!(
        "SELECT product_id, region, reco.recommend(product_id, region, '{model}', plan => '{plan}'{as_of}) AS score
         FROM (SELECT DISTINCT product_id, region FROM planned) AS k ORDER BY 1, 2"
    )
}

/// Plans, each with what it makes of a row.
const PLANS: [(&str, &str); 6] = [
    ("{}", "{}"),
    (r#"{"display": true}"#, r#"{"planned_display": true}"#),
    (
        r#"{"planned_display": false, "price": 2.499}"#,
        r#"{"planned_display": false, "planned_price": 2.499}"#,
    ),
    (r#"{"coupon": true, "theme": "summer"}"#, r#"{"planned_coupon": 1, "planned_theme": "summer"}"#),
    (r#"{"coupon": false, "price": true}"#, r#"{"planned_coupon": 0, "planned_price": 1}"#),
    (
        r#"{"price": null, "theme": null, "from": "2024-07-01", "coupon": 1.0}"#,
        r#"{"planned_price": null, "planned_theme": null, "planned_from": "2024-07-01", "planned_coupon": 1}"#,
    ),
];

#[test]
fn a_score_with_a_plan_is_that_of_the_row_with_its_values() {
    let (database, mut client) = database();
    trees("trees").call(&mut client);
    training("wide")
        .params(r#"{"hidden": [8], "crosses": 1, "epochs": 4, "threads": 1}"#)
        .with("algorithm => 'deep_cross'")
        .call(&mut client);
    // By index probes, and by plans where row security applies.
    create_roles(&mut client, &["what_if_secured"]);
    client
        .batch_execute(
            "GRANT SELECT ON planned TO what_if_secured; SELECT reco.grant_model(m, 'what_if_secured', 'score') FROM unnest('{net,trees,wide}'::text[]) AS m;
             ALTER TABLE planned ENABLE ROW LEVEL SECURITY; CREATE POLICY whole ON planned USING (true)",
        )
        .unwrap();
    let mut secured = database.connect_as("what_if_secured");
    for model in ["net", "trees", "wide"] {
        let mut different = 0;
        let as_it_is = rows(&mut client, &replaced(model, "{}", "infinity"));
        for (plan, row) in PLANS {
            let expected = rows(&mut client, &replaced(model, row, "infinity"));
            assert_eq!(rows(&mut client, &with_plan(model, plan, "")), expected, "{model}: {plan}");
            assert_eq!(rows(&mut secured, &with_plan(model, plan, "")), expected, "{model}: {plan}");
            different += usize::from(expected != as_it_is);
            let earlier = rows(&mut client, &replaced(model, row, "2024-02-14"));
            assert_eq!(
                rows(&mut client, &with_plan(model, plan, ", as_of => '2024-02-14'")),
                earlier,
                "{model}: {plan}"
            );
        }
        assert!(different >= 4, "{model}: {different}");
    }
    // One call site, with a plan and without one in turns.
    let turns = "SELECT count(*) FROM (SELECT DISTINCT product_id, region FROM planned) AS k
                 WHERE reco.recommend(product_id, region, 'net', plan => CASE product_id % 3 WHEN 0 THEN '{\"display\": true}'
                                                                                 WHEN 1 THEN '{\"price\": 9}' END::jsonb)
                   = CASE product_id % 3 WHEN 0 THEN reco.recommend(product_id, region, 'net', plan => '{\"display\": true}')
                                         WHEN 1 THEN reco.recommend(product_id, region, 'net', plan => '{\"price\": 9}')
                                         ELSE reco.recommend(product_id, region, 'net') END";
    assert_eq!(value::<i64>(&mut client, turns), 240);
    let nothing = "SELECT reco.recommend(1, 'nowhere', 'net', plan => '{\"display\": true}')";
    assert_eq!(value::<Option<f64>>(&mut client, nothing), None);
}

#[test]
fn a_plan_runs_no_function_of_the_views_author() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE heard (at timestamptz DEFAULT now());
             CREATE FUNCTION hears(numeric) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO heard DEFAULT VALUES; RETURN true; END $$;
             CREATE DOMAIN price AS numeric(8, 2) CHECK (hears(VALUE));
             CREATE TABLE priced AS SELECT product_id, region, week, purchased, sales_1w, price::price AS planned_price FROM launch_features;
             SELECT reco.create_feature_view('authored', 'SELECT * FROM priced WHERE week BETWEEN $1 AND $2', keys => '{product_id,region}',
                 label => 'purchased', planned => '{planned_price}', available => 'SELECT min(week), max(week) + 7 FROM priced');
             CALL reco.refresh_features('authored')",
        )
        .unwrap();
    Training::new("authored").source("authored").call(&mut client);
    client.batch_execute("TRUNCATE heard").unwrap();
    let score = "SELECT reco.recommend(7, 'r2', 'authored', plan => '{\"price\": 2.499}')";
    let same = "SELECT reco.predict('authored', f) FROM (SELECT (r).* FROM (SELECT a AS r FROM authored AS a WHERE product_id = 7 AND region = 'r2' ORDER BY week DESC LIMIT 1) AS x) AS f";
    assert!(value::<Option<f64>>(&mut client, score).is_some());
    assert!(value::<Option<f64>>(&mut client, same).is_some());
    let seen = "SELECT count(*) FROM reco.plan_effect(7, 'r2', '{\"price\": 2.499}', 'authored')";
    assert_eq!(value::<i64>(&mut client, seen), 1);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM heard"), 0);
}

#[test]
fn what_is_missing_in_training_is_missing_in_what_was_seen() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE priced AS SELECT product_id, region, week, purchased, sales_1w,
                 (CASE WHEN product_id % 3 = 0 THEN 'NaN' WHEN product_id % 3 = 1 THEN 'Infinity' ELSE (1 + product_id % 5)::float8 END)::real AS planned_price
             FROM launch_features;
             SELECT reco.create_feature_view('odd', 'SELECT * FROM priced WHERE week BETWEEN $1 AND $2', keys => '{product_id,region}',
                 label => 'purchased', planned => '{planned_price}', available => 'SELECT min(week), max(week) + 7 FROM priced');
             CALL reco.refresh_features('odd')",
        )
        .unwrap();
    Training::new("odd").source("odd").call(&mut client);
    for (product, plan, seen) in [
        (6, "{}", true),
        (7, "{}", true),
        (5, r#"{"price": null}"#, true),
        (5, r#"{"price": 1e30}"#, false),
        (5, r#"{"price": 2.5}"#, true),
    ] {
        let sql = format!("SELECT seen FROM reco.plan_effect({product}::bigint, 'r2', '{plan}', 'odd')");
        assert_eq!(value::<bool>(&mut client, &sql), seen, "{product} {plan}");
    }
}

#[test]
fn a_plan_that_cannot_be_read_is_refused() {
    let (_database, mut client) = database();
    training("of_table").source("launch_features").label("purchased").call(&mut client);
    const PLANNED: &str = "planned_display, planned_coupon, planned_price, planned_theme, planned_from";
    for (plan, code, message, hint) in [
        (r#"{"colour": 1}"#, "42703", "planned column \"colour\" of public.planned does not exist", PLANNED),
        (r#"{"sales_1w": 1}"#, "42703", "\"sales_1w\" of public.planned is not planned", PLANNED),
        (r#"{"bought": true}"#, "42703", "\"bought\" of public.planned is not planned", PLANNED),
        (r#"{"price": 1, "planned_price": 2}"#, "22023", "\"planned_price\" twice", ""),
        (
            r#"{"display": 1}"#,
            "22023",
            "\"planned_display\" has type boolean, and cannot be 1",
            "true or false",
        ),
        (r#"{"display": "yes"}"#, "22023", "\"planned_display\" has type boolean", "true or false"),
        (
            r#"{"price": "cheap"}"#,
            "22023",
            "\"planned_price\" has type numeric(8,2), and cannot be \"cheap\"",
            "a number",
        ),
        (r#"{"price": [2]}"#, "22023", "\"planned_price\"", "a number"),
        (
            r#"{"price": 12345678}"#,
            "22023",
            "\"planned_price\" has type numeric(8,2), and cannot be 12345678: numeric",
            "a number",
        ),
        (r#"{"price": 1e400}"#, "22023", "out of range", ""),
        (
            r#"{"coupon": 70000}"#,
            "22023",
            "\"planned_coupon\" has type smallint, and cannot be 70000",
            "a number",
        ),
        (
            r#"{"coupon": 0.5}"#,
            "22023",
            "\"planned_coupon\" has type smallint, and cannot be 0.5",
            "a number",
        ),
        (
            r#"{"theme": "winter"}"#,
            "22023",
            "\"planned_theme\" has type public.theme, and cannot be \"winter\"",
            "a text",
        ),
        (r#"{"theme": 3}"#, "22023", "\"planned_theme\"", "a text"),
        (
            r#"{"from": "soon"}"#,
            "22023",
            "\"planned_from\" has type date, and cannot be \"soon\"",
            "2024-05-06",
        ),
        ("[true]", "22023", "a plan is an object", ""),
    ] {
        for call in [
            format!("SELECT reco.recommend(1, 'r1', 'net', plan => '{plan}')"),
            // There is no such key.
            format!("SELECT reco.recommend(1, 'nowhere', 'net', plan => '{plan}')"),
            format!("SELECT * FROM reco.plan_effect(1, 'r1', '{plan}', 'net')"),
            format!("SELECT * FROM reco.top_products('r1', model => 'net', plan => '{plan}')"),
        ] {
            refusal(&mut client, &call).expect(code, &[message], &[hint]);
        }
    }
    let what = "SELECT reco.recommend(1, 'r1', 'of_table', plan => '{\"display\": true}')";
    let told = ["model \"of_table\" takes no plan", "public.launch_features, which is no feature view"];
    refusal(&mut client, what).expect("22023", &told, &["planned => …"]);
    client.batch_execute("UPDATE reco.feature_view SET planned = '{}'").unwrap();
    let what = "SELECT reco.recommend(1, 'r1', 'net', plan => '{\"display\": true}')";
    refusal(&mut client, what).expect(
        "22023",
        &["a feature view without planned columns"],
        &["planned => …"],
    );
    client.batch_execute("UPDATE reco.feature_view SET planned = '{NULL}'").unwrap();
    refusal(&mut client, what).expect("XX001", &["\"planned\"", "damaged"], &["check_setup"]);
}

#[test]
fn a_plan_needs_the_rights_that_a_score_needs() {
    let (database, mut client) = database();
    create_roles(&mut client, &["what_if_scores", "what_if_reads"]);
    client
        .batch_execute("GRANT SELECT ON planned TO what_if_reads; SELECT reco.grant_model('net', 'what_if_scores', 'score')")
        .unwrap();
    let calls = [
        "SELECT reco.recommend(1, 'r1', 'net', plan => '{\"display\": true}')",
        "SELECT * FROM reco.plan_effect(1, 'r1', '{\"display\": true}', 'net')",
        "SELECT * FROM reco.recommend_plans(1, 'r1', '{NULL}', 'net')",
        "SELECT reco.plan_seen(1, 'r1', '{\"display\": true}', 'net')",
    ];
    for call in calls {
        let mut scores = database.connect_as("what_if_scores");
        refusal(&mut scores, call).expect("42501", &["planned"], &[]);
        let mut reads = database.connect_as("what_if_reads");
        refusal(&mut reads, call).expect("42501", &["net"], &[]);
    }
    client.batch_execute("GRANT SELECT ON planned TO what_if_scores").unwrap();
    let mut scores = database.connect_as("what_if_scores");
    for call in calls {
        assert_eq!(rows(&mut scores, call), rows(&mut client, call), "{call}");
    }
}

#[test]
fn rankings_and_forecasts_take_a_plan() {
    let (_database, mut client) = database();
    Training::new("units")
        .source("planned")
        .label("households")
        .with("algorithm => 'boosted_trees'")
        .params(r#"{"trees": 10, "threads": 1, "exclude": ["bought", "sales_1w"]}"#)
        .call(&mut client);
    let plan = r#"{"display": true, "theme": "easter", "price": 3}"#;
    let by_recommend = |key: &str, keys: &str, call: &str| {
        format!(
            "SELECT row_number() OVER (ORDER BY score DESC, key), key::text, score
             FROM (SELECT {key} AS key, reco.recommend({call}, 'net', plan => '{plan}') AS score
                   FROM (SELECT DISTINCT {key} FROM planned WHERE {keys}) AS k) AS s ORDER BY score DESC, key LIMIT 9"
        )
    };
    let expected = rows(&mut client, &by_recommend("product_id", "region = 'r1'", "product_id, 'r1'"));
    let top = format!("SELECT * FROM reco.top_products('r1', 9, 'net', plan => '{plan}')");
    assert_eq!(rows(&mut client, &top), expected);
    assert_ne!(rows(&mut client, "SELECT * FROM reco.top_products('r1', 9, 'net')"), expected);
    let expected = rows(&mut client, &by_recommend("region", "product_id = 7", "7, region"));
    assert_eq!(
        rows(&mut client, &format!("SELECT * FROM reco.top_regions(7, 9, 'net', plan => '{plan}')")),
        expected
    );
    // Both models of a forecast.
    let forecast = format!(
        "SELECT count(*) FROM reco.forecast('r1', 'net', 'units', plan => '{plan}') AS f
         WHERE f.level = 'product' AND f.purchases = reco.recommend(f.product_id::bigint, 'r1', 'net', plan => '{plan}')
           AND f.units = reco.recommend(f.product_id::bigint, 'r1', 'units', plan => '{plan}')"
    );
    assert_eq!(value::<i64>(&mut client, &forecast), 60);
    let moved = format!(
        "SELECT (SELECT units FROM reco.forecast('r1', 'net', 'units', plan => '{plan}') LIMIT 1)
                             <> (SELECT units FROM reco.forecast('r1', 'net', 'units') LIMIT 1)"
    );
    assert!(value::<bool>(&mut client, &moved));
    // More keys than fit into memory.
    client
        .batch_execute(
            "INSERT INTO planned SELECT (jsonb_populate_record(p, jsonb_build_object('product_id', product_id + 100 * n))).*
             FROM planned AS p, generate_series(1, 20) AS n WHERE week = (SELECT max(week) FROM planned)",
        )
        .unwrap();
    let with_room = rows(&mut client, &top);
    client.batch_execute("SET work_mem = '64kB'; SET hash_mem_multiplier = 1").unwrap();
    assert_eq!(rows(&mut client, &top), with_room);
}

#[test]
fn several_plans_come_the_best_first() {
    let (_database, mut client) = database();
    let plans = r#"ARRAY['{"display": false}', '{"display": true}', NULL, '{"display": true}']::jsonb[]"#;
    let found = rows(&mut client, &format!("SELECT * FROM reco.recommend_plans(3, 'r2', {plans}, 'net')"));
    let expected = format!(
        "SELECT p.plan, reco.recommend(3, 'r2', 'net', plan => p.plan) AS score
         FROM unnest({plans}) WITH ORDINALITY AS p (plan, n) ORDER BY 2 DESC, n"
    );
    assert_eq!(found, rows(&mut client, &expected));
    assert_eq!(found.len(), 4);
    assert!(found[0].contains("true") && found[1].contains("true"), "{found:?}");
    let nothing = format!("SELECT * FROM reco.recommend_plans(3, 'nowhere', {plans}, 'net')");
    assert!(rows(&mut client, &nothing).is_empty());
}

#[test]
fn the_effect_of_a_plan_is_the_difference_of_two_scores() {
    let (database, mut client) = database();
    let (mut told, said) = database.listen();
    // Displays with coupons come in the newest week, in the weeks of the test, and in rows without a label: in none that was
    // trained on.
    client.batch_execute("UPDATE planned SET planned_display = true, planned_coupon = 1 WHERE week = (SELECT max(week) FROM planned)").unwrap();
    let unseen = "UPDATE planned SET planned_coupon = 1 WHERE planned_display
                      AND week >= (SELECT (data ->> 'test_from')::date FROM reco.versions WHERE model = 'net')";
    client.batch_execute(unseen).unwrap();
    let unlabelled = "UPDATE planned SET planned_coupon = 1, bought = NULL WHERE planned_display AND week = (SELECT min(week) FROM planned)";
    client.batch_execute(unlabelled).unwrap();
    for (plan, seen, warning) in [
        (r#"{"display": true, "coupon": false, "price": 2.5, "theme": null}"#, true, ""),
        (r#"{"display": false, "coupon": true, "price": 2.5, "theme": "easter"}"#, true, ""),
        (r#"{"display": false, "coupon": false, "price": 9, "theme": null, "from": "2030-01-07"}"#, true, ""),
        (
            r#"{"display": true, "coupon": true, "price": 2.5, "theme": null}"#,
            false,
            "no row with planned_display = t, planned_coupon = 1, planned_theme = NULL: its",
        ),
        // The row has a coupon.
        (r#"{"display": true}"#, false, "no row with planned_display = t, planned_coupon = 1, planned_theme = "),
        // As dear as others, but not on display; and cheaper than all.
        (
            r#"{"display": true, "coupon": false, "price": 9, "theme": null}"#,
            false,
            "no row with planned_display = t, planned_coupon = 0, planned_theme = NULL whose planned_price is 9.00 or more",
        ),
        (r#"{"coupon": false, "price": 0.5, "theme": null}"#, false, "whose planned_price is 0.50 or less"),
        // The row as it is.
        ("", false, "planned_coupon = 1"),
    ] {
        let plan = if plan.is_empty() { "NULL".into() } else { format!("'{plan}'") };
        let effect = format!("SELECT score, plan_score, effect, seen FROM reco.plan_effect(3, 'r2', {plan}, 'net')");
        let row = told.query_one(&effect, &[]).unwrap();
        let [score, plan_score, effect] = [0, 1, 2].map(|n| row.get::<_, f64>(n));
        assert_eq!(score, value::<f64>(&mut client, "SELECT reco.recommend(3, 'r2', 'net')"));
        assert_eq!(plan_score, value::<f64>(&mut client, &format!("SELECT reco.recommend(3, 'r2', 'net', plan => {plan})")));
        assert_eq!(effect, plan_score - score);
        assert_eq!(row.get::<_, bool>(3), seen, "{plan}");
        let heard: Vec<String> = said.lock().unwrap().drain(..).collect();
        match seen {
            true => assert!(heard.is_empty(), "{plan}: {heard:?}"),
            false => assert!(heard.len() == 1 && heard[0].contains(warning) && heard[0].starts_with("WARNING: version 1 of model \"net\" was trained on no row"), "{plan}: {heard:?}"),
        }
    }
    let nothing = "SELECT * FROM reco.plan_effect(3, 'nowhere', '{\"display\": true}', 'net')";
    assert!(rows(&mut told, nothing).is_empty());
    // NaN and no value are missing values.
    client.batch_execute("ALTER TABLE planned ALTER planned_price TYPE real; UPDATE planned SET planned_price = 'NaN' WHERE planned_price > 8").unwrap();
    training("net").with("promote => true").call(&mut client);
    let high = r#"SELECT reco.plan_seen(3, 'r2', '{"display": false, "coupon": false, "price": 8.5, "theme": null}', 'net')"#;
    assert!(!value::<bool>(&mut told, high));
}

#[test]
fn a_column_that_the_version_does_not_use_is_named_once() {
    let database = Database::with_data();
    let (mut client, said) = database.listen();
    create(&mut client);
    training("some").param(r#""exclude": ["planned_theme", "planned_coupon"]"#).call(&mut client);
    said.lock().unwrap().clear();
    let sql = "SELECT count(*) FROM generate_series(1::bigint, 60) AS product_id, unnest('{r0,r1,r2,r3}'::text[]) AS region
               WHERE reco.recommend(product_id, region, 'some', plan => ('{\"theme\": \"easter\", \"price\": ' || product_id || '}')::jsonb)
                   = reco.recommend(product_id, region, 'some', plan => ('{\"price\": ' || product_id || '}')::jsonb)";
    assert_eq!(value::<i64>(&mut client, sql), 240);
    assert_eq!(
        said.lock().unwrap().drain(..).collect::<Vec<_>>(),
        ["WARNING: version 1 of model \"some\" does not use planned column \"planned_theme\": the plan's value changes nothing"]
    );
    // It is not part of what must have been seen.
    let sql = "SELECT seen AND effect = 0 FROM reco.plan_effect(3, 'r2', '{\"theme\": null, \"coupon\": 17}', 'some')";
    assert!(value::<bool>(&mut client, sql));
    assert_eq!(said.lock().unwrap().len(), 2);
}

#[test]
fn an_ab_test_gives_a_plan_the_version_of_its_key_and_logs_nothing() {
    let (_database, mut client) = database();
    trees("net").with("promote => true").call(&mut client);
    let plan = r#"{"display": true}"#;
    let scores = |what: &str| {
        format!("SELECT product_id, region, {what} FROM (SELECT DISTINCT product_id, region FROM planned) AS k ORDER BY 1, 2")
    };
    let planned = scores(&format!("reco.recommend(product_id, region, 'net', plan => '{plan}')"));
    let trees = rows(&mut client, &planned);
    client.batch_execute("SELECT reco.promote('net', 1)").unwrap();
    let network = rows(&mut client, &planned);
    client
        .batch_execute(r#"SELECT reco.start_ab_test('ab', 'net', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]')"#)
        .unwrap();
    let arms = rows(&mut client, &scores("reco.ab_arm('ab', product_id, region)"));
    let found = rows(&mut client, &planned);
    for (n, arm) in arms.iter().enumerate() {
        let expected = if arm.contains(",a)") { &network } else { &trees };
        assert_eq!(found[n], expected[n], "{arm}");
    }
    let effects = rows(
        &mut client,
        &scores(&format!(
            "(SELECT e.plan_score FROM reco.plan_effect(product_id, region, '{plan}', 'net') AS e)"
        )),
    );
    assert_eq!(effects, found);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.recommendation"), 0);
}

#[test]
fn plans_run_in_parallel_workers_and_read_only_transactions() {
    let (_database, mut client) = database();
    client
        .batch_execute("CREATE TABLE keys AS SELECT product_id, region FROM planned; ANALYZE keys")
        .unwrap();
    let sum = r#"SELECT sum(reco.recommend(product_id, region, 'net', plan => '{"display": true, "price": 2}')
                          * reco.plan_seen(product_id, region, '{"display": true, "coupon": false}', 'net')::int) FROM keys WHERE product_id < 9"#;
    client.batch_execute("BEGIN READ ONLY").unwrap();
    let serial: f64 = value(&mut client, sum);
    assert!(
        !value::<bool>(&mut client, "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"),
        "a plan takes no transaction id"
    );
    client.batch_execute(&format!("COMMIT; {FORCED}")).unwrap();
    let plan = super::parallel::explain(&mut client, sum);
    assert!(plan.contains("Gather") && plan.contains("Workers Launched: 2"), "{plan}");
    let parallel: f64 = value(&mut client, sum);
    assert!((serial - parallel).abs() <= 1e-9 * serial.abs(), "{serial} and {parallel}");
}
