//! How a new partition is filled: in batches, by parallel workers too, and all of it or nothing.

use super::parallel::FORCED;
use super::views::refresh;
use integration::{refusal, rows, value, wait_until, Background, Database};
use postgres::Client;

/// The table that the views here take their rows from, of three weeks that are several batches each.
const MANY: &str = "
CREATE TABLE many AS
SELECT n AS product_id, date '2024-01-01' + 7 * least(n / 1500, 2) AS week, n / 7.0 AS amount, NULLIF(n % 3, 0) AS rest
FROM generate_series(1, 5000) AS n";

/// Makes a view of a query over that table.
fn create(client: &mut Client, columns: &str, settings: &str) {
    client.batch_execute(MANY).unwrap();
    let create = format!(
        "SELECT reco.create_feature_view('view', 'SELECT {columns} FROM many WHERE week BETWEEN $1 AND $2',
                                         '{{product_id}}', settings => '{settings}')"
    );
    client.batch_execute(&create).unwrap_or_else(|error| panic!("{create}\n{error:?}"));
}

const WEEKS: &str = "'view', '2024-01-01', '2024-01-15'";

fn contents(client: &mut Client, relation: &str) -> Vec<String> {
    rows(client, &format!("SELECT * FROM {relation} ORDER BY product_id"))
}

#[test]
fn a_new_partition_has_every_row_and_their_number_is_noted() {
    let mut client = Database::with_data().connect();
    create(&mut client, "*", "{}");
    refresh(&mut client, WEEKS);
    let expected = contents(&mut client, "many");
    assert_eq!(contents(&mut client, "view_2024"), expected);
    let noted = "SELECT array_agg(rows ORDER BY week) FROM reco.feature_week";
    assert_eq!(value::<Vec<i64>>(&mut client, noted), [1499, 1500, 2001]);
}

#[test]
fn values_that_are_too_wide_for_a_page_are_stored_beside_the_table() {
    let mut client = Database::with_data().connect();
    // Digests do not compress.
    let digests = "(SELECT string_agg(sha512((product_id * 1000 + i)::text::bytea), NULL) FROM generate_series(1, 400) AS i)";
    let columns = format!("product_id, week, CASE WHEN product_id % 100 < 2 THEN {digests} END AS wide");
    create(&mut client, &columns, "{}");
    refresh(&mut client, WEEKS);
    let beside = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'view_2024'::regclass";
    let bytes = 100 * 400 * 64;
    assert!(value::<i64>(&mut client, beside) >= bytes);
    let stored = "SELECT sum(length(wide))::bigint FROM view";
    assert_eq!(value::<i64>(&mut client, stored), bytes);
    let expected = contents(&mut client, &format!("(SELECT {columns} FROM many) AS m"));
    assert_eq!(contents(&mut client, "view"), expected);
}

#[test]
fn a_build_that_is_cancelled_leaves_no_partition() {
    let database = Database::with_data();
    let mut client = database.connect();
    let sleep = "(SELECT pg_sleep(CASE WHEN product_id = 4999 THEN seconds ELSE 0 END) FROM switch)";
    client.batch_execute("CREATE TABLE switch AS SELECT 600 AS seconds").unwrap();
    create(&mut client, &format!("*, {sleep}::text AS slept"), "{}");
    let build = Background::start(database.connect(), &format!("CALL reco.refresh_features({WEEKS})"));
    wait_until("nearly all rows are written", || {
        let sql =
            format!("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {}", build.backend);
        value::<Option<bool>>(&mut client, &sql) == Some(true)
    });
    assert!(value::<bool>(&mut client, &format!("SELECT pg_cancel_backend({})", build.backend)));
    build.finish().refusal().expect("57014", &["user request"], &[]);
    assert!(value::<bool>(&mut client, "SELECT to_regclass('view_2024') IS NULL"));
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.feature_week"), 0);
    client.batch_execute("UPDATE switch SET seconds = 0").unwrap();
    refresh(&mut client, WEEKS);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM view"), 5000);
}

#[test]
fn parallel_workers_compute_the_rows() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE FUNCTION computed_by() RETURNS integer PARALLEL SAFE LANGUAGE plpgsql
             AS 'BEGIN RETURN pg_backend_pid(); END'",
        )
        .unwrap();
    // As the statements SET name = value; …
    let forced = FORCED.split(';').map(|set| set.trim().trim_start_matches("SET ").replace(" = ", "\": \""));
    create(
        &mut client,
        "*, computed_by()",
        &format!("{{\"{}\"}}", forced.collect::<Vec<_>>().join("\", \"")),
    );
    refresh(&mut client, WEEKS);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM view"), 5000);
    let others = "SELECT bool_and(computed_by <> pg_backend_pid()) FROM view";
    assert!(value::<bool>(&mut client, others), "the leader computed rows");
}

#[test]
fn a_new_partition_has_the_checks_that_the_owner_has_added() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE sold AS SELECT g % 5 AS product_id, '2023-12-04'::date + 7 * (g % 8) AS week, 1::real AS n
                                  FROM generate_series(1, 40) AS g;
             SELECT reco.create_feature_view('checked', 'SELECT * FROM sold WHERE week BETWEEN $1 AND $2',
                                             '{product_id}', available => 'SELECT min(week), max(week) + 7 FROM sold');
             CALL reco.refresh_features('checked', to_week => '2023-12-25');
             ALTER TABLE checked ADD CONSTRAINT \"some sold\" CHECK (n > 0), ALTER n SET NOT NULL;
             CALL reco.refresh_features('checked')",
        )
        .unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM checked"), 40);
    client.batch_execute("INSERT INTO sold VALUES (1, '2025-01-06', 0)").unwrap();
    refusal(&mut client, "CALL reco.refresh_features('checked')").expect("23514", &["some sold"], &[]);
}
