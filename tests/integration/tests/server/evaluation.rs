//! Metrics of any scores and of a version on any rows.

use super::parallel::{explain, FORCED};
use integration::{refusal, rows, value, wait_until, Background, Database, Training};
use postgres::Client;

const BINARY: [&str; 4] = ["auroc", "average_precision", "log_loss", "brier"];
const QUANTITY: [&str; 5] = ["rmse", "mae", "r2", "pinball", "coverage"];

/// Compares what `evaluate` finds on the test weeks with what training stored of them.
fn assert_test_weeks_agree(client: &mut Client, model: &str, metrics: &[&str]) {
    for metric in ["rows"].iter().chain(metrics) {
        let sql = format!(
            "SELECT (v.metrics #>> '{{test,model,{metric}}}')::float8 AS stored, e.{metric}::float8 AS found
             FROM reco.versions AS v,
                  reco.evaluate(v.model, 'launch_features', from_week => (v.data ->> 'test_from')::date,
                                version => v.version) AS e
             WHERE v.model = '{model}'"
        );
        let row = client.query_one(&sql, &[]).unwrap();
        let (stored, found): (Option<f64>, Option<f64>) = (row.get(0), row.get(1));
        let close = match (stored, found) {
            (Some(stored), Some(found)) => (stored - found).abs() <= 1e-6 * stored.abs().max(1.0),
            (stored, found) => stored == found,
        };
        assert!(close, "{model} {metric}: {stored:?} stored, {found:?} found");
    }
}

#[test]
fn the_test_weeks_have_the_metrics_that_training_stored() {
    let mut client = Database::trained().connect();
    assert_test_weeks_agree(&mut client, "launch", &BINARY);
    for algorithm in ["popularity", "boosted_trees", "deep_cross"] {
        let with = format!("algorithm => '{algorithm}'");
        Training::new(algorithm).params("{\"threads\": 1}").with(&with).call(&mut client);
        assert_test_weeks_agree(&mut client, algorithm, &BINARY);
    }
    for algorithm in ["popularity", "boosted_trees", "mlp"] {
        let (name, with) = (format!("units_{algorithm}"), format!("algorithm => '{algorithm}'"));
        let params = "{\"threads\": 1, \"exclude\": [\"purchased\"]}";
        Training::new(&name).label("sales_4w").params(params).with(&with).call(&mut client);
        assert_test_weeks_agree(&mut client, &name, &QUANTITY);
    }
    let nothing = "SELECT count(auroc) + count(brier) + count(positives) FROM reco.evaluate('units_mlp', 'launch_features')";
    assert_eq!(value::<i64>(&mut client, nothing), 0);
    refusal(&mut client, "SELECT * FROM reco.roc_curve('units_mlp', 'launch_features')").expect(
        "22023",
        &["predicts a quantity"],
        &["reco.evaluate"],
    );
}

#[test]
fn aggregates_over_predictions_are_what_evaluate_finds_overall_and_by_slice() {
    let mut client = Database::with_data().connect();
    Training::new("launch").param("\"refit\": false").call(&mut client);
    let score = "reco.predict('launch', f)";
    for metric in BINARY {
        let sql = format!(
            "SELECT max(abs(e.{metric} - a.value)), count(*)
             FROM reco.evaluate('launch', 'launch_features', by => 'region') AS e
             JOIN (SELECT region, reco.{metric}({score}, purchased) AS value
                   FROM launch_features AS f GROUP BY ROLLUP (region)) AS a ON e.slice IS NOT DISTINCT FROM a.region"
        );
        let row = client.query_one(&sql, &[]).unwrap();
        assert!(row.get::<_, f64>(0) < 1e-12, "{metric}: {row:?}");
        assert_eq!(row.get::<_, i64>(1), 5);
    }
    for (function, aggregate, option) in [
        ("roc_curve", "roc_points", "17"),
        ("calibration", "calibration_bins", "7"),
        ("lift", "lift_buckets", "9"),
    ] {
        let by_function = format!(
            "SELECT * FROM reco.{function}('launch', 'launch_features', NULL, {option}, by => 'region')"
        );
        let by_aggregate = format!(
            "SELECT CASE WHEN region IS NOT NULL THEN 'region' END, region, c.*
             FROM (SELECT region, reco.{aggregate}({score}, purchased, {option}) AS chart
                   FROM launch_features AS f GROUP BY ROLLUP (region) ORDER BY region NULLS FIRST) AS a, unnest(chart) AS c"
        );
        assert_eq!(rows(&mut client, &by_function), rows(&mut client, &by_aggregate), "{function}");
    }
    let by_function = "SELECT * FROM reco.confusion_matrix('launch', 'launch_features', threshold => 0.4)";
    let by_aggregate = format!(
        "SELECT NULL::text, NULL::text, (reco.confusion({score}, purchased, 0.4)).* FROM launch_features AS f"
    );
    assert_eq!(rows(&mut client, by_function), rows(&mut client, &by_aggregate));
}

#[test]
fn parallel_workers_find_the_same() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE scores AS
             SELECT (i * 104729 % 99991) / 99991.0::float8 AS score, i % 7 < 2 + i % 3 AS label, 'r' || i % 5 AS region
             FROM generate_series(1::bigint, 300000) AS i;
             ALTER TABLE scores SET (parallel_workers = 2);
             ANALYZE scores",
        )
        .unwrap();
    for (exact, aggregate) in [
        (true, "reco.auroc(score, label)"),
        (true, "reco.average_precision(score, label)"),
        (true, "reco.auroc(score, label::int)"),
        (true, "reco.confusion(score, label, 0.5)"),
        (true, "reco.roc_points(score, label, 20)"),
        (true, "reco.lift_buckets(score, label, 20)"),
        (true, "reco.calibration_bins(score, label, 20)"),
        (true, "reco.auroc(score, label) FILTER (WHERE score > 2)"),
        (false, "reco.log_loss(score, label)"),
        (false, "reco.brier(score, label)"),
        (false, "reco.rmse(score, label::int)"),
        (false, "reco.mae(score, label::int)"),
    ] {
        for group in ["", " GROUP BY region"] {
            let sql = format!(
                "SELECT coalesce(string_agg(a, ' ' ORDER BY a), '') FROM (SELECT ({aggregate})::text AS a FROM scores{group}) AS g"
            );
            client.batch_execute("SET max_parallel_workers_per_gather = 0").unwrap();
            let serial: String = value(&mut client, &sql);
            client.batch_execute(FORCED).unwrap();
            let plan = explain(&mut client, &sql);
            assert!(plan.contains("Partial") && plan.contains("Workers Launched: 2"), "{plan}");
            let parallel: String = value(&mut client, &sql);
            if exact {
                assert_eq!(serial, parallel, "{aggregate}");
                continue;
            }
            for (serial, parallel) in serial.split(' ').zip(parallel.split(' ')) {
                let (serial, parallel): (f64, f64) = (serial.parse().unwrap(), parallel.parse().unwrap());
                assert!((serial - parallel).abs() < 1e-12, "{aggregate}: {serial} and {parallel}");
            }
        }
    }
}

#[test]
fn windows_and_moving_frames_are_what_each_of_their_rows_gives() {
    let mut client = Database::with_data().connect();
    for frame in ["ORDER BY week", "ORDER BY week RANGE BETWEEN '21 days' PRECEDING AND CURRENT ROW"] {
        let weeks = if frame.contains("RANGE") { "s.week >= f.week - 21 AND " } else { "" };
        for metric in ["auroc(sales_1w, purchased)", "brier(sales_1w / 40, purchased)"] {
            let sql = format!(
                "SELECT count(*) FROM (
                     SELECT week, product_id, reco.{metric} OVER ({frame}) AS w FROM launch_features WHERE region = 'r1'
                 ) AS f WHERE product_id = 1 AND abs(w - (
                     SELECT reco.{metric} FROM launch_features AS s
                     WHERE region = 'r1' AND {weeks}s.week <= f.week)) < 1e-12"
            );
            assert_eq!(value::<i64>(&mut client, &sql), 25, "{metric} {frame}");
        }
    }
}

#[test]
fn scores_count_as_memory_of_the_query() {
    let mut client = Database::with_data().connect();
    // A hundred groups, one after the other: the scores of the first ones fill the memory that there is.
    client
        .batch_execute(
            "CREATE TABLE many AS SELECT i / 4000 AS g, i % 977 / 977.0::float8 AS score, i % 3 = 0 AS label
             FROM generate_series(0, 399999) AS i;
             ANALYZE many;
             SET max_parallel_workers_per_gather = 0; SET enable_sort = off; SET work_mem = '1MB'; SET hash_mem_multiplier = 1",
        )
        .unwrap();
    let spills = |client: &mut Client, sql: &str| {
        let plan = explain(client, sql);
        let batches = plan.lines().find(|line| line.contains("Batches:"));
        !batches.unwrap_or_else(|| panic!("no hashed groups: {plan}")).contains("Batches: 1 ")
    };
    let sql = "SELECT g, reco.auroc(score, label) FROM many GROUP BY g";
    assert!(spills(&mut client, sql) && !spills(&mut client, "SELECT g, avg(score) FROM many GROUP BY g"));
    client.batch_execute(&format!("CREATE TEMP TABLE hashed AS {sql}")).unwrap();
    client.batch_execute("SET enable_hashagg = off; SET enable_sort = on").unwrap();
    let different = format!("SELECT count(*) FROM ({sql}) AS s FULL JOIN hashed AS h USING (g) WHERE s.auroc IS DISTINCT FROM h.auroc");
    assert_eq!(value::<i64>(&mut client, &different), 0);
}

#[test]
fn any_version_is_measured_and_the_champion_stays() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""seed": 5"#).call(&mut client);
    let auroc =
        |version: &str| format!("SELECT auroc FROM reco.evaluate('launch', 'launch_features'{version})");
    let first: f64 = value(&mut client, &auroc(", version => 1"));
    let second: f64 = value(&mut client, &auroc(", version => 2"));
    assert_ne!(first, second);
    assert_eq!(value::<f64>(&mut client, &auroc("")), first);
    // By name, by the default, and from a table that it was not trained on, in any order of columns.
    client
        .batch_execute(
            "CREATE TABLE elsewhere AS SELECT purchased AS bought, ranks, history, updated_at, launched_on, size, category,
                    on_promotion, clicks, weeks_since_launch, households, sales_4w, sales_1w, price
             FROM launch_features",
        )
        .unwrap();
    let elsewhere = "SELECT auroc FROM reco.evaluate(NULL, 'elsewhere', 'bought', version => 2)";
    assert!((value::<f64>(&mut client, elsewhere) - second).abs() < 1e-12);
    let whole: i64 = value(&mut client, "SELECT rows FROM reco.evaluate('launch', 'launch_features')");
    assert_eq!(whole, 60 * 4 * 24);
}

#[test]
fn weeks_are_those_in_which_the_days_lie() {
    let mut client = Database::trained().connect();
    // 2024-01-01 is a Monday; 240 rows a week.
    for (weeks, expected) in [
        ("from_week => '2024-01-08', to_week => '2024-01-08'", 240),
        ("from_week => '2024-01-14', to_week => '2024-01-15'", 480),
        ("from_week => '-infinity', to_week => '2024-01-21'", 720),
        ("to_week => 'infinity'", 240 * 24),
    ] {
        let sql = format!("SELECT rows FROM reco.evaluate('launch', 'launch_features', {weeks})");
        assert_eq!(value::<i64>(&mut client, &sql), expected, "{weeks}");
    }
    client
        .batch_execute(
            "SET timezone = 'Europe/Berlin';
             CREATE TABLE by_moment AS SELECT * FROM launch_features;
             ALTER TABLE by_moment ALTER COLUMN week TYPE timestamptz USING week::timestamptz + interval '6 days 23 hours'",
        )
        .unwrap();
    let sql = "SELECT rows FROM reco.evaluate('launch', 'by_moment', from_week => '2024-01-08', to_week => '2024-01-15')";
    assert_eq!(value::<i64>(&mut client, sql), 480);
}

#[test]
fn slices_are_texts_and_rows_without_one_a_slice_of_their_own() {
    let mut client = Database::trained().connect();
    let slices =
        "SELECT slice, rows FROM reco.evaluate('launch', 'launch_features', by => '{}') WHERE by IS NOT NULL";
    for (by, column) in
        [("category", "category"), ("size", "size"), ("on_promotion", "on_promotion"), ("week", "week")]
    {
        let expected = format!(
            "SELECT {column}::text, count(*) FROM launch_features WHERE purchased IS NOT NULL
             GROUP BY 1 ORDER BY {column}::text COLLATE \"C\" NULLS LAST"
        );
        assert_eq!(rows(&mut client, &slices.replace("{}", by)), rows(&mut client, &expected), "{by}");
    }
    client
        .batch_execute(
            "CREATE TABLE wide AS SELECT f.*, row_number() OVER () AS n FROM launch_features AS f, generate_series(1, 18);
             UPDATE wide SET purchased = coalesce(purchased, false)",
        )
        .unwrap();
    refusal(&mut client, "SELECT * FROM reco.evaluate('launch', 'wide', by => 'n')").expect(
        "54000",
        &["100000 slices"],
        &["fewer values"],
    );
}

#[test]
fn rows_are_those_that_the_caller_may_see() {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE measures LOGIN; CREATE ROLE measures_nothing LOGIN;
             GRANT USAGE ON SCHEMA reco TO measures, measures_nothing;
             SELECT reco.grant_model('launch', 'measures', 'score'), reco.grant_model('launch', 'measures_nothing', 'score');
             GRANT SELECT ON launch_features TO measures;
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_region ON launch_features TO measures USING (region = 'r0')",
        )
        .unwrap();
    let mut client = database.connect_as("measures");
    let seen = rows(
        &mut client,
        "SELECT slice, rows FROM reco.evaluate('launch', 'launch_features', by => 'region')",
    );
    assert_eq!(seen, ["(,1440)", "(r0,1440)"]);
    assert_eq!(
        value::<i64>(
            &mut client,
            "SELECT sum(rows)::bigint FROM reco.calibration('launch', 'launch_features')"
        ),
        1440
    );
    let mut nobody = database.connect_as("measures_nothing");
    for function in ["evaluate", "roc_curve", "confusion_matrix", "calibration", "lift"] {
        let sql = format!("SELECT * FROM reco.{function}('launch', 'launch_features')");
        refusal(&mut nobody, &sql).expect("42501", &["permission denied", "launch_features"], &[]);
    }
}

#[test]
fn measuring_needs_no_write_and_stops_when_asked() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE VIEW endless AS SELECT f.* FROM launch_features AS f, generate_series(1, 1000000)",
        )
        .unwrap();
    client.batch_execute("BEGIN READ ONLY").unwrap();
    assert!(value::<f64>(&mut client, "SELECT auroc FROM reco.evaluate('launch', 'launch_features')") > 0.5);
    assert!(!value::<bool>(&mut client, "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"));
    client.batch_execute("COMMIT").unwrap();

    let under_way =
        Background::start(client, "SELECT * FROM reco.evaluate('launch', 'endless', by => 'region')");
    let mut observer = database.connect();
    let reads = format!(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {} AND relation = 'launch_features'::regclass)",
        under_way.backend
    );
    wait_until("it reads", || value::<bool>(&mut observer, &reads));
    under_way.cancel();
    let mut ended = under_way.finish();
    ended.refusal().expect("57014", &["canceling statement"], &[]);
    assert!(
        value::<f64>(&mut ended.client, "SELECT auroc FROM reco.evaluate('launch', 'launch_features')") > 0.5
    );
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE VIEW without_price AS SELECT product_id, region, week, sales_1w, purchased FROM launch_features;
             CREATE VIEW timeless AS SELECT product_id, price, sales_1w, purchased FROM launch_features;
             CREATE VIEW not_known_yet AS SELECT * FROM launch_features WHERE purchased IS NULL",
        )
        .unwrap();
    Training::new("timeless").source("timeless").with("keys => '{product_id}'").call(&mut client);
    for (arguments, code, message, hint) in [
        ("'nobody', 'launch_features'", "42704", "\"nobody\" does not exist", "reco.models"),
        ("'launch', 'launch_features', version => 7", "42704", "no version 7", "reco.versions"),
        (
            "'launch', 'without_price'",
            "42703",
            "\"price\" is missing from public.without_price",
            "train \"launch\" again",
        ),
        (
            "'launch', 'launch_features', label => 'nothing'",
            "42703",
            "label column \"nothing\"",
            "Its columns are",
        ),
        ("'launch', 'launch_features', label => 'size'", "42804", "pack_size", ""),
        ("'launch', 'launch_features', label => 'clicks'", "22000", "holds the value", "true, false, 1, 0"),
        ("'launch', 'launch_features', by => 'nothing'", "42703", "by column \"nothing\"", "Its columns are"),
        ("'launch', 'not_known_yet'", "22000", "no row of public.not_known_yet has a label", "label =>"),
        ("'launch', 'launch_features', to_week => '2020-01-01'", "22000", "in these weeks", "from_week"),
        ("'timeless', 'timeless', from_week => '2020-01-01'", "22023", "no time column", "Leave them out"),
        ("'launch', 'pg_class'", "42703", "is missing", "train \"launch\" again"),
    ] {
        let sql = format!("SELECT * FROM reco.evaluate({arguments})");
        refusal(&mut client, &sql).expect(code, &[message], &[hint]);
    }
}

#[test]
fn quantities_that_are_none_are_refused() {
    let mut client = Database::with_data().connect();
    for aggregate in ["rmse", "mae"] {
        for (bad, name) in [
            ("'NaN', 1", "prediction"),
            ("'-Infinity', 1", "prediction"),
            ("1, 'Infinity'", "value"),
            ("1, 'NaN'", "value"),
        ] {
            let sql = format!(
                "SELECT reco.{aggregate}(p, v) FROM (VALUES (1::float8, 2::float8), ({bad})) AS v (p, v)"
            );
            refusal(&mut client, &sql).expect("22023", &[name, "is a finite number, not"], &["NULLIF"]);
        }
        let null = format!("SELECT reco.{aggregate}(p, v) FROM (VALUES (1::float8, 2::float8), (NULL, 'NaN'), ('NaN', NULL)) AS v (p, v)");
        assert_eq!(value::<f64>(&mut client, &null), 1.0);
        let huge = format!("SELECT reco.{aggregate}(1.7e308, -1.7e308)");
        refusal(&mut client, &huge).expect("22003", &["overflows"], &[]);
    }
    assert_eq!(value::<f64>(&mut client, "SELECT reco.mae(1e200, 0)"), 1e200);
    refusal(&mut client, "SELECT reco.rmse(1e200, 0)").expect("22003", &["overflows"], &[]);
}
