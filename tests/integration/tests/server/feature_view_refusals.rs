//! What `reco.create_feature_view` refuses, in whose words.

use super::views::{create, creation};
use integration::refusal::Refusal;
use integration::{refusal, rows, Database};
use postgres::Client;

/// `reco.create_feature_view` with this query, and the other arguments.
fn refused(client: &mut Client, query: &str, arguments: &str) -> Refusal {
    refusal(
        client,
        &format!("SELECT reco.create_feature_view('refused', $definition${query}$definition$, {arguments})"),
    )
}

const QUERY: &str = "SELECT 1 AS product_id, 'r1' AS region, w::date AS week, 1.5 AS number, 'a' AS letter,
                            '{1}'::integer[] AS numbers
                     FROM generate_series($1::timestamp, $2, '7 days') AS w";

#[test]
fn definitions_and_columns_that_cannot_be_are_refused() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    for (query, arguments, code, message, hint) in [
        (QUERY, "'{product}'", "42703", "key column \"product\"", "product_id, region, week"),
        (QUERY, "'{product_id,region,product_id}'", "22023", "named twice", ""),
        (QUERY, "'{product_id,week}'", "22023", "a key and the time column", ""),
        (QUERY, "'{}'", "22023", "at least one key", ""),
        (QUERY, "NULL", "22023", "keys must not be NULL", ""),
        (QUERY, "'{product_id,NULL}'", "22023", "NULL", ""),
        (QUERY, "'{product_id}', time_column => 'month'", "42703", "time column \"month\"", "week"),
        (
            QUERY,
            "'{product_id}', time_column => 'number'",
            "42804",
            "time column \"number\" has type numeric",
            "date_trunc",
        ),
        (QUERY, "'{product_id}', label => 'bought'", "42703", "label column \"bought\"", "letter"),
        (QUERY, "'{product_id}', label => 'letter'", "42804", "\"letter\" has type text", "boolean"),
        (QUERY, "'{product_id}', planned => '{display}'", "42703", "planned column \"display\"", "letter"),
        (QUERY, "'{product_id}', planned => '{number,number}'", "22023", "\"number\" is named twice", ""),
        (QUERY, "'{product_id}', planned => '{product_id}'", "22023", "cannot be a key and planned", ""),
        (QUERY, "'{product_id}', planned => '{week}'", "22023", "cannot be the time column and planned", ""),
        (
            QUERY,
            "'{product_id}', label => 'number', planned => '{number}'",
            "22023",
            "the label and planned",
            "",
        ),
        (
            QUERY,
            "'{product_id}', planned => '{numbers}'",
            "22023",
            "has type integer[], which a plan",
            "a number",
        ),
        (QUERY, "'{product_id}', planned => NULL", "22023", "planned must not be NULL", ""),
        (
            QUERY,
            "'{product_id}', partition_by => 'week'",
            "22023",
            "month, quarter or year, not \"week\"",
            "",
        ),
        (QUERY, "'{product_id}', lookback => -1", "22023", "lookback is a number of weeks from 0 to 520", ""),
        (QUERY, "'{product_id}', lookback => NULL", "22023", "lookback must not be NULL", ""),
        (QUERY, "'{product_id}', horizon => 521", "22023", "horizon is a number of weeks", ""),
        (
            QUERY,
            "'{product_id}', inputs => '{sold}'",
            "22023",
            "public.sold is not a feature view",
            "create_feature_view",
        ),
        (QUERY, "'{product_id}', inputs => '{demand,NULL}'", "22023", "an input must not be NULL", ""),
        (
            QUERY,
            "'{product_id}', available => 'SELECT max(day) FROM sold'",
            "22023",
            "two dates or timestamps",
            "SELECT min",
        ),
        (QUERY, "'{product_id}', available => 'SELECT 1, 2'", "22023", "not for (integer, integer)", ""),
        (QUERY, "'{product_id}', available => 'DELETE FROM sold'", "42601", "syntax error", ""),
        ("SELECT 1; SELECT 2", "'{product_id}'", "42601", "syntax error", ""),
        (
            "SELECT 1) AS a; DROP TABLE sold; SELECT * FROM (SELECT 2",
            "'{product_id}'",
            "22023",
            "not a query",
            "",
        ),
        ("DROP TABLE sold", "'{product_id}'", "42601", "syntax error", ""),
        ("WITH d AS (DELETE FROM sold RETURNING *) SELECT * FROM d", "'{product_id}'", "0A000", "WITH", ""),
        ("", "'{product_id}'", "42601", "syntax error", ""),
        ("SELECT * FROM nothing", "'{product_id}'", "42P01", "nothing", ""),
        ("SELECT $3::int AS product_id, $1 AS week", "'{product_id}'", "42P02", "$3", ""),
        (
            "SELECT 1 AS product_id, $1 AS week, 2 AS product_id",
            "'{product_id}'",
            "42701",
            "more than once",
            "",
        ),
    ] {
        let error = refused(&mut client, query, arguments);
        let fits = error.code == code && error.message.contains(message) && error.hint.contains(hint);
        assert!(fits, "{query}, {arguments}: {error:?}");
    }
    assert_eq!(rows(&mut client, "SELECT view FROM reco.feature_views"), ["(public.demand)"]);
    assert!(rows(&mut client, "SELECT relname FROM pg_class WHERE relname ~ '^refused'").is_empty());
}

#[test]
fn names_that_cannot_be_are_refused() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refusal(&mut client, &creation("demand", "")).expect("42P07", &["already exists"], &[]);
    refusal(&mut client, &creation("nowhere.demand", "")).expect("3F000", &["nowhere"], &[]);
    refusal(&mut client, &creation("", "")).expect("42602", &["invalid name"], &[]);
    // Partitions have longer names.
    let longest = "d".repeat(53);
    client.batch_execute(&creation(&longest, ", partition_by => 'month'")).unwrap();
    client.batch_execute(&format!("CALL reco.refresh_features('{longest}')")).unwrap();
    let longer = creation(&"d".repeat(54), "");
    refusal(&mut client, &longer).expect("22023", &["at most 53 bytes", "has 54"], &[]);
    // Any other name will do.
    let odd = r#""o'D d"".{1}""#;
    client.batch_execute(&creation(&odd.replace('\'', "''"), "")).unwrap();
    let call = format!("CALL reco.refresh_features('{}')", odd.replace('\'', "''"));
    client.batch_execute(&call).unwrap();
    client.batch_execute(&call).unwrap();
    let same = format!("SELECT count(*) = (SELECT count(*) FROM {longest}) FROM {odd}");
    assert!(integration::value::<bool>(&mut client, &same));
}

#[test]
fn without_data_nothing_is_computed_and_without_a_range_it_is_asked_for() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    client.batch_execute("TRUNCATE sold; CALL reco.refresh_features('demand')").unwrap();
    assert_eq!(super::views::newest_record(&mut client, "public.demand"), "succeeded 0 0");
    client
        .batch_execute(&format!(
            "SELECT reco.create_feature_view('calendar', $d${QUERY}$d$, '{{product_id}}')"
        ))
        .unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('calendar')");
    error.expect("22023", &["public.calendar has no week yet"], &["from_week", "available"]);
    // From then on to the last week that is over.
    client
        .batch_execute(
            "CALL reco.refresh_features('calendar', from_week => (now() - interval '21 days')::date)",
        )
        .unwrap();
    let newest =
        "SELECT max(week) = date_trunc('week', LOCALTIMESTAMP)::date - 7 AND count(*) = 3 FROM calendar";
    assert!(integration::value::<bool>(&mut client, newest));
    client.batch_execute("CALL reco.refresh_features('calendar')").unwrap();
    // A query of what is available has one row.
    client
        .batch_execute(&format!(
            "SELECT reco.create_feature_view('two_rows', $d${QUERY}$d$, '{{product_id}}',
                    available => 'SELECT now(), now() FROM generate_series(1, 2)')"
        ))
        .unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('two_rows')");
    error.expect("22023", &["available to public.two_rows must return one row"], &[]);
}
