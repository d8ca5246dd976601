use super::parallel::{explain, FORCED};
use integration::{value, Database};
use postgres::Client;

/// More values than quantiles are exact for.
const ROWS: i64 = 1_300_000;

fn database() -> Client {
    let mut client = Database::with_data().connect();
    // The order of the values has nothing to do with their size; every thousandth is NULL.
    client
        .batch_execute(&format!(
            "CREATE TABLE readings AS
             SELECT i, CASE WHEN i % 1000 > 0 THEN (i * 104729 % {ROWS}) / 10.0::float8 END AS x,
                    'v' || (i * 7919 % 40000) % 300 AS v, ARRAY['t' || i % 3, 't' || i % 5] AS tags
             FROM generate_series(1::bigint, {ROWS}) AS i;
             ALTER TABLE readings SET (parallel_workers = 2);
             ANALYZE readings"
        ))
        .unwrap();
    client
}

/// The answer by one process and the answer by two workers, as text.
fn both(client: &mut Client, sql: &str) -> (String, String) {
    client.batch_execute("SET max_parallel_workers_per_gather = 0").unwrap();
    let serial = value(client, sql);
    client.batch_execute(FORCED).unwrap();
    let plan = explain(client, sql);
    assert!(plan.contains("Partial Aggregate") && plan.contains("Workers Launched: 2"), "{plan}");
    (serial, value(client, sql))
}

#[test]
fn fits_are_merged_from_parallel_workers() {
    let mut client = database();
    for exact in [
        "reco.min_max_scaler(x)",
        "reco.max_abs_scaler(x)",
        "reco.robust_scaler(x) FILTER (WHERE i <= 1000000)",
        "reco.robust_scaler(x, 0.05, 0.9) FILTER (WHERE i <= 1000000)",
        "reco.quantile_boundaries(x, 7) FILTER (WHERE i <= 1000000)",
        "reco.vocabulary(v)",
        "reco.vocabulary(v, 4334)",
        "reco.vocabulary(v, 1, 10)",
        "reco.vocabulary(tags)",
        "reco.vocabulary(tags, 1, 2)",
        "reco.imputer(v)",
        "reco.imputer(round(x / 1000), 'most_frequent')",
        "reco.imputer(round(x / 1000), 'median')",
        "reco.min_max_scaler(x) FILTER (WHERE i < 0)",
    ] {
        let (serial, parallel) =
            both(&mut client, &format!("SELECT coalesce({exact}::text, 'none') FROM readings"));
        assert_eq!(serial, parallel, "{exact}");
    }
    for rounded in
        ["(reco.standard_scaler(x)).mean", "(reco.standard_scaler(x)).scale", "reco.imputer(x, 'mean')"]
    {
        let (serial, parallel) = both(&mut client, &format!("SELECT {rounded}::text FROM readings"));
        let (serial, parallel): (f64, f64) = (serial.parse().unwrap(), parallel.parse().unwrap());
        assert!((serial - parallel).abs() <= 1e-12 * serial.abs(), "{rounded}: {serial} and {parallel}");
    }
}

#[test]
fn scalers_are_postgres_own_mean_deviation_and_percentiles() {
    let mut client = database();
    let error: f64 = value(
        &mut client,
        "SELECT greatest(abs((f).mean / avg - 1), abs((f).scale / deviation - 1))
         FROM (SELECT reco.standard_scaler(x) AS f, avg(x), stddev_pop(x) AS deviation FROM readings) AS s",
    );
    assert!(error < 1e-12, "{error}");
    let error: f64 = value(
        &mut client,
        "SELECT greatest(abs((f).median - p[2]), abs((f).interquartile_range - (p[3] - p[1])))
         FROM (SELECT reco.robust_scaler(x) AS f,
                      percentile_cont('{0.25,0.5,0.75}'::float8[]) WITHIN GROUP (ORDER BY x) AS p
               FROM readings WHERE i <= 1000000) AS s",
    );
    assert!(error < 1e-9, "{error}");
}

#[test]
fn beyond_the_exact_bound_ranks_are_within_the_stated_error_in_workers_too() {
    let mut client = database();
    let sql = "SELECT reco.quantile_boundaries(x, 20)::text FROM readings";
    let (serial, parallel) = both(&mut client, sql);
    for boundaries in [serial, parallel] {
        let error: f64 = value(
            &mut client,
            &format!(
                "SELECT max(abs(below / total - n / 20.0))::float8
                 FROM unnest('{boundaries}'::float8[]) WITH ORDINALITY AS b(boundary, n),
                      LATERAL (SELECT count(*) FILTER (WHERE x < boundary) AS below, count(x)::float8 AS total
                               FROM readings) AS c"
            ),
        );
        assert!(error < 0.0002, "{error}: {boundaries}");
    }
}

#[test]
fn encoding_runs_in_parallel_workers() {
    let mut client = database();
    client.batch_execute("CREATE TABLE fitted AS SELECT reco.vocabulary(v) AS words FROM readings").unwrap();
    let sql = "SELECT sum(reco.label_encode(v, (SELECT words FROM fitted)) * reco.bucketize(x, '{5,500}') \
                          + reco.hash_bucket(v, 50))::text FROM readings";
    let (serial, parallel) = both(&mut client, sql);
    assert_eq!(serial, parallel);
}

#[test]
fn an_error_of_a_fit_in_a_worker_is_the_users_error() {
    let mut client = database();
    client.batch_execute(FORCED).unwrap();
    integration::refusal(&mut client, "SELECT reco.standard_scaler(x + 'infinity') FROM readings").expect(
        "22003",
        &["infinite values"],
        &["FILTER"],
    );
}
