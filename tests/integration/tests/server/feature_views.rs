//! Which weeks a refresh computes, where it puts them, and who waits for whom.

use super::views::{built_anew, contents, create, creation, newest_record, refresh};
use integration::installation::output;
use integration::{refusal, rows, value, wait_until, Background, Database};
use postgres::Client;

const VIEW: &str = "public.demand";

fn count(client: &mut Client) -> i64 {
    value(client, "SELECT count(*) FROM demand")
}

fn label(client: &mut Client, week: &str) -> Option<bool> {
    value(
        client,
        &format!("SELECT bought FROM demand WHERE (product_id, region, week) = (1, 'r0', '{week}')"),
    )
}

fn quantity(client: &mut Client, week: &str) -> i32 {
    value(
        client,
        &format!("SELECT quantity FROM demand WHERE (product_id, region, week) = (1, 'r0', '{week}')"),
    )
}

#[test]
fn a_refresh_computes_the_missing_weeks_and_the_newest_stored_ones() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    assert_eq!(count(&mut client), 0);
    refresh(&mut client, "'demand'");
    let all = count(&mut client);
    assert_eq!(newest_record(&mut client, VIEW), format!("succeeded 2024-01-01 2024-03-04 10 {all}"));
    let expected =
        "SELECT count(*) FROM (SELECT DISTINCT product_id, region, date_trunc('week', day) FROM sold) AS s";
    assert_eq!(value::<i64>(&mut client, expected), all);
    let timed = "SELECT bool_and(seconds > 0 AND finished_at >= started_at AND error IS NULL AND started_by = 'postgres')
                 FROM reco.feature_refreshes";
    assert!(value::<bool>(&mut client, timed));
    let summary = "SELECT concat_ws(' ', weeks, first_week, last_week, rows) FROM reco.feature_views";
    assert_eq!(value::<String>(&mut client, summary), format!("10 2024-01-01 2024-03-04 {all}"));

    // The newest one with the default lookback, and the one before it, whose label looks at it.
    refresh(&mut client, "'demand'");
    let record = newest_record(&mut client, VIEW);
    assert!(record.starts_with("succeeded 2024-02-26 2024-03-04 2 "), "{record}");
    let untouched = contents(&mut client, "demand");
    let versions = "SELECT array_agg(xmin::text || ctid ORDER BY product_id, region, week) FROM demand";
    let before: Vec<String> = value(&mut client, versions);
    refresh(&mut client, "'demand', lookback => 0");
    assert_eq!(newest_record(&mut client, VIEW), "succeeded 0 0");
    assert_eq!(value::<Vec<String>>(&mut client, versions), before, "no row was written");
    assert_eq!(contents(&mut client, "demand"), untouched);
    assert_eq!(built_anew(&mut client), untouched);
}

#[test]
fn a_late_sale_is_seen_as_far_back_as_the_refresh_looks() {
    let mut client = Database::with_data().connect();
    create(&mut client, ", lookback => 2");
    refresh(&mut client, "'demand'");
    let (near, far) = (quantity(&mut client, "2024-02-26"), quantity(&mut client, "2024-01-15"));
    client
        .batch_execute("INSERT INTO sold VALUES (1, 'r0', '2024-02-28', 100), (1, 'r0', '2024-01-17', 100)")
        .unwrap();
    refresh(&mut client, "'demand'");
    assert_eq!(quantity(&mut client, "2024-02-26"), near + 100);
    assert_eq!(quantity(&mut client, "2024-01-15"), far);
    refresh(&mut client, "'demand', lookback => 8");
    assert_eq!(quantity(&mut client, "2024-01-15"), far + 100);
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
    // A row that is no longer there goes.
    client.batch_execute("DELETE FROM sold WHERE product_id = 3 AND day >= '2024-03-04'").unwrap();
    refresh(&mut client, "'demand'");
    assert_eq!(
        value::<i64>(&mut client, "SELECT count(*) FROM demand WHERE product_id = 3 AND week = '2024-03-04'"),
        0
    );
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
}

#[test]
fn a_new_week_makes_the_label_of_the_one_before_it_known() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refresh(&mut client, "'demand'");
    assert_eq!(label(&mut client, "2024-03-04"), None);
    assert_eq!(label(&mut client, "2024-02-26"), Some(true));
    // Monday to Sunday; with Saturday as its newest day the week is not over.
    client
        .batch_execute(
            "INSERT INTO sold SELECT 1, 'r0', date '2024-03-11' + d, 1 FROM generate_series(0, 5) AS d",
        )
        .unwrap();
    refresh(&mut client, "'demand', lookback => 0");
    assert_eq!(newest_record(&mut client, VIEW), "succeeded 0 0");
    client.batch_execute("INSERT INTO sold VALUES (1, 'r0', '2024-03-17', 1)").unwrap();
    refresh(&mut client, "'demand', lookback => 0");
    let record = newest_record(&mut client, VIEW);
    assert!(record.starts_with("succeeded 2024-03-04 2024-03-11 2 "), "{record}");
    assert_eq!((label(&mut client, "2024-03-04"), label(&mut client, "2024-03-11")), (Some(true), None));
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
}

#[test]
fn the_label_before_a_week_that_was_asked_for_becomes_known_too() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    let all = "INSERT INTO sold SELECT 1, 'r0', date '2024-03-11' + d, 1 FROM generate_series(0, 6) AS d";
    client.batch_execute(all).unwrap();
    refresh(&mut client, "'demand', to_week => '2024-03-04'");
    // The definition sees the sales of the week after, whether that week is stored or not.
    client.batch_execute("UPDATE demand SET bought = NULL WHERE week = '2024-03-04'").unwrap();
    refresh(&mut client, "'demand', from_week => '2024-03-13', to_week => '2024-03-13'");
    assert!(newest_record(&mut client, VIEW).starts_with("succeeded 2024-03-04 2024-03-11 2 "));
    assert_eq!(label(&mut client, "2024-03-04"), Some(true));
}

#[test]
fn weeks_can_be_asked_for_by_any_of_their_days() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refresh(&mut client, "'demand', from_week => '2024-01-17', to_week => '2024-02-04'");
    assert!(newest_record(&mut client, VIEW).starts_with("succeeded 2024-01-15 2024-01-29 3 "));
    refresh(&mut client, "'demand', from_week => '2024-01-29', to_week => '2024-01-22'");
    assert_eq!(newest_record(&mut client, VIEW), "succeeded 0 0");
    // A week without a row is stored too, and not computed again.
    refresh(&mut client, "'demand', from_week => '2023-06-05', to_week => '2023-06-05'");
    assert_eq!(newest_record(&mut client, VIEW), "succeeded 2023-06-05 2023-06-05 1 0");
    refresh(&mut client, "'demand', from_week => '2023-06-05', to_week => '2023-06-05', lookback => 0");
    assert_eq!(newest_record(&mut client, VIEW), "succeeded 0 0");
    refresh(&mut client, "'demand'");
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
    for (arguments, words) in [
        ("'demand', lookback => -1", "lookback"),
        ("'demand', from_week => 'infinity', to_week => 'infinity'", "infinite"),
        ("'demand', from_week => '-infinity'", "infinite"),
        ("NULL", "view must not be NULL"),
        ("'sold'", "public.sold is not a feature view"),
        ("'demand', from_week => '0001-01-01 BC', to_week => '2024-01-01'", "weeks are more than"),
        ("'demand', from_week => '5874897-12-30', to_week => '5874897-12-30'", "out of the calendar's range"),
    ] {
        let error = refusal(&mut client, &format!("CALL reco.refresh_features({arguments})"));
        assert!(error.message.contains(words), "{arguments}: {error:?}");
    }
}

/// The partitions with their bounds.
fn partitions(client: &mut Client) -> Vec<String> {
    let sql = "SELECT inhrelid::regclass::text, pg_get_expr(c.relpartbound, c.oid)
               FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
               WHERE inhparent = 'demand'::regclass ORDER BY 1";
    client
        .query(sql, &[])
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row.get::<_, String>(0), row.get::<_, String>(1)))
        .collect()
}

#[test]
fn a_week_lies_in_the_partition_of_its_monday() {
    for (period, expected) in [
        (
            "year",
            [
                "demand_1999 FOR VALUES FROM ('1999-01-01') TO ('2000-01-01')",
                "demand_2000 FOR VALUES FROM ('2000-01-01') TO ('2001-01-01')",
            ],
        ),
        (
            "quarter",
            [
                "demand_1999q4 FOR VALUES FROM ('1999-10-01') TO ('2000-01-01')",
                "demand_2000q1 FOR VALUES FROM ('2000-01-01') TO ('2000-04-01')",
            ],
        ),
        (
            "month",
            [
                "demand_1999_12 FOR VALUES FROM ('1999-12-01') TO ('2000-01-01')",
                "demand_2000_01 FOR VALUES FROM ('2000-01-01') TO ('2000-02-01')",
            ],
        ),
    ] {
        let mut client = Database::with_data().connect();
        create(&mut client, &format!(", partition_by => '{period}'"));
        // From Monday, 1999-12-20, on: the week of the 27th goes on into 2000.
        client
            .batch_execute(
                "UPDATE sold SET day = day - (date '2024-01-01' - date '1999-12-20');
                              DELETE FROM sold WHERE day > '2000-01-09'",
            )
            .unwrap();
        refresh(&mut client, "'demand'");
        assert_eq!(partitions(&mut client), expected, "{period}");
        let weeks = "SELECT array_agg(DISTINCT week::text) FROM demand";
        assert_eq!(value::<Vec<String>>(&mut client, weeks), ["1999-12-20", "1999-12-27", "2000-01-03"]);
        let anew = built_anew(&mut client);
        assert_eq!(contents(&mut client, "demand"), anew, "{period}");
        // The indexes that a view has are those of its partitions.
        let indexes = "SELECT count(*) FROM pg_index WHERE indrelid = ANY (SELECT inhrelid FROM pg_inherits
                       WHERE inhparent = 'demand'::regclass) AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)";
        assert_eq!(value::<i64>(&mut client, indexes), 0, "{period}");
    }
}

#[test]
fn weeks_before_2000_are_weeks() {
    let mut client = Database::with_data().connect();
    create(&mut client, ", partition_by => 'quarter'");
    client.batch_execute("UPDATE sold SET day = day - (date '2024-01-01' - date '1987-11-02')").unwrap();
    refresh(&mut client, "'demand'");
    let all = count(&mut client);
    assert_eq!(newest_record(&mut client, VIEW), format!("succeeded 1987-11-02 1988-01-04 10 {all}"));
}

#[test]
fn a_wrong_date_is_refused_before_anything_is_computed() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refresh(&mut client, "'demand'");
    let before = contents(&mut client, "demand");
    client.batch_execute("INSERT INTO sold VALUES (1, 'r0', '20240-01-08', 1)").unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('demand')");
    error.expect("54000", &["weeks are more than the 10436"], &["Check the dates", "to_week"]);
    assert_eq!(contents(&mut client, "demand"), before);
    refresh(&mut client, "'demand', to_week => '2024-03-04'");
    client.batch_execute("UPDATE sold SET day = 'infinity' WHERE day > '20240-01-01'").unwrap();
    refusal(&mut client, "CALL reco.refresh_features('demand')").expect("22023", &["infinite"], &[]);
}

#[test]
fn a_second_refresh_waits_for_the_first_and_readers_do_not() {
    let database = Database::with_data();
    let mut first = database.connect();
    create(&mut first, "");
    refresh(&mut first, "'demand', to_week => '2024-02-05'");
    let mut reader = database.connect();
    let before = contents(&mut reader, "demand");
    first.batch_execute("BEGIN; CALL reco.refresh_features('demand')").unwrap();
    let second = Background::start(database.connect(), "CALL reco.refresh_features('demand')");
    wait_until("the second refresh waits", || {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {} AND NOT granted
                                          AND relation = 'demand'::regclass)",
            second.backend
        );
        value::<bool>(&mut reader, &sql)
    });
    reader.batch_execute("SET lock_timeout = '1s'").unwrap();
    assert_eq!(contents(&mut reader, "demand"), before, "the first has not committed");
    assert_eq!(
        value::<Option<i64>>(
            &mut reader,
            "SELECT count(*) FROM reco.features_as_of(NULL::demand,
        (SELECT s FROM (VALUES (1::bigint, 'r0', date '2024-03-01')) AS s (product_id, region, day)))"
        ),
        Some(1)
    );
    assert!(!second.is_finished());
    first.batch_execute("COMMIT").unwrap();
    second.finish().result.unwrap();
    let record = newest_record(&mut reader, VIEW);
    assert!(record.starts_with("succeeded 2024-02-26 2024-03-04 2 "), "what the first did is done: {record}");
    let anew = built_anew(&mut first);
    assert_eq!(contents(&mut reader, "demand"), anew);
}

#[test]
fn a_restored_dump_goes_on() {
    let database = Database::with_data();
    let mut client = database.connect();
    create(&mut client, ", partition_by => 'month'");
    client
        .batch_execute(
            r#"SELECT reco.create_feature_view('above', 'SELECT *, quantity * 2 AS twice FROM demand WHERE week BETWEEN $1 AND $2',
                                               '{product_id,region}', inputs => '{demand}', settings => '{"work_mem": "8MB"}')"#,
        )
        .unwrap();
    refresh(&mut client, "'above', to_week => '2024-02-19'");
    let file = database.cluster.folder().join(format!("{}.dump", database.name));
    output(database.cluster.client_program("pg_dump").args(["-Fc", &database.name]).arg("-f").arg(&file));
    let restored = format!("{}_restored", database.name);
    client.batch_execute(&format!("CREATE DATABASE {restored}")).unwrap();
    let mut restore = database.cluster.client_program("pg_restore");
    output(restore.args(["--exit-on-error", "-d", &restored]).arg(&file));

    let mut copy = database.cluster.connect(&restored);
    for view in ["demand", "above"] {
        assert_eq!(contents(&mut client, view), contents(&mut copy, view));
    }
    for view in ["reco.feature_views", "reco.feature_refreshes", "reco.feature_week"] {
        let sql = format!("SELECT * FROM {view} ORDER BY 1, 2");
        assert_eq!(rows(&mut client, &sql), rows(&mut copy, &sql), "{view}");
    }
    refresh(&mut copy, "'above'");
    let record = newest_record(&mut copy, "public.above");
    assert!(record.starts_with("succeeded 2024-02-19 2024-03-04 3 "), "{record}");
    let anew = built_anew(&mut copy);
    assert_eq!(contents(&mut copy, "demand"), anew);
}

#[test]
fn a_view_is_dropped_with_its_inputs_where_nobody_else_reads_them() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    let reader = |name: &str| {
        format!(
            "SELECT reco.create_feature_view('{name}', 'SELECT * FROM demand WHERE week BETWEEN $1 AND $2',
                        '{{product_id,region}}', inputs => '{{demand}}')"
        )
    };
    client.batch_execute(&reader("one")).unwrap();
    client.batch_execute(&reader("other")).unwrap();
    refresh(&mut client, "'one'");
    refusal(&mut client, "SELECT reco.drop_feature_view('demand')").expect(
        "22023",
        &["public.demand is an input of public.one, public.other"],
        &["with_inputs"],
    );
    client.batch_execute("SELECT reco.drop_feature_view('one', with_inputs => true)").unwrap();
    assert_eq!(
        rows(&mut client, "SELECT view FROM reco.feature_views ORDER BY 1"),
        ["(public.demand)", "(public.other)"]
    );
    client.batch_execute("SELECT reco.drop_feature_view('other', with_inputs => true)").unwrap();
    let left = "SELECT relname FROM pg_class WHERE relname ~ '^(one|other|demand)' UNION ALL
                SELECT view FROM reco.feature_views UNION ALL SELECT view_id::text FROM reco.feature_week";
    assert!(rows(&mut client, left).is_empty());
    assert!(value::<i64>(&mut client, "SELECT count(*) FROM reco.feature_refreshes") > 0, "the record stays");
    refusal(&mut client, "SELECT reco.drop_feature_view('sold')").expect(
        "22023",
        &["not a feature view"],
        &[],
    );
}

#[test]
fn a_table_that_was_dropped_by_hand_can_be_made_anew() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    refresh(&mut client, "'demand'");
    let before = contents(&mut client, "demand");
    client.batch_execute("DROP TABLE demand").unwrap();
    client.batch_execute(&creation("demand", ", lookback => 0")).unwrap();
    refresh(&mut client, "'demand'");
    assert_eq!(contents(&mut client, "demand"), before, "no week counts as stored");
    // An input that is gone is named.
    client
        .batch_execute(
            "SELECT reco.create_feature_view('above', 'SELECT * FROM demand WHERE week BETWEEN $1 AND $2',
                                 '{product_id,region}', inputs => '{demand}'); DROP TABLE demand",
        )
        .unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('above')");
    error.expect("22023", &["public.demand, an input of public.above, does not exist"], &[]);
}

#[test]
fn a_partition_that_was_dropped_stays_dropped() {
    let mut client = Database::with_data().connect();
    create(&mut client, ", partition_by => 'month'");
    refresh(&mut client, "'demand'");
    client.batch_execute("DROP TABLE demand_2024_01").unwrap();
    refresh(&mut client, "'demand', lookback => 3");
    assert_eq!(value::<String>(&mut client, "SELECT min(week)::text FROM demand"), "2024-02-05");
    // As far back as a refresh looks, it comes again.
    refresh(&mut client, "'demand', lookback => 10");
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
}

#[test]
fn a_table_in_the_way_of_a_partition_is_left_alone() {
    let mut client = Database::with_data().connect();
    create(&mut client, "");
    client
        .batch_execute(
            "CREATE TABLE demand_2024 AS SELECT 7::bigint AS product_id, 'r0' AS region,
                          date '2024-01-01' AS week, 5 AS quantity, true AS bought",
        )
        .unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('demand')");
    error.expect("22023", &["public.demand_2024 is in the way"], &["Rename or drop"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM demand_2024"), 1);
    client.batch_execute("DROP TABLE demand_2024").unwrap();
    refresh(&mut client, "'demand'");
    // A partition that was detached is such a table.
    client.batch_execute("ALTER TABLE demand DETACH PARTITION demand_2024").unwrap();
    let error = refusal(&mut client, "CALL reco.refresh_features('demand')");
    error.expect("22023", &["public.demand_2024 is in the way"], &[]);
}

#[test]
fn a_view_without_weeks_has_no_rows() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "SELECT reco.create_feature_view('empty', 'SELECT 1 AS product_id, $1 AS week WHERE $2 IS NULL', '{product_id}')",
        )
        .unwrap();
    let rows = "SELECT rows FROM reco.feature_views WHERE view = 'public.empty'";
    assert_eq!(value::<i64>(&mut client, rows), 0);
    client
        .batch_execute("INSERT INTO reco.feature_week SELECT view_id, '2024-01-01', -9223372036854775807 - 1 FROM reco.feature_view")
        .unwrap();
    assert_eq!(value::<i64>(&mut client, rows), 0);
}
