//! Sales summaries where a second process, little memory or a client's bytes are needed.

use integration::{refusal, rows, value, Database};
use postgres::Client;
use std::io::Write;

const SALES: &str = "
CREATE TABLE sales AS
SELECT g AS line, g % 20000 AS product, 'r' || g % 4 AS region, date '2024-01-01' + g % 364 AS day,
       (hashint4(g) & 4095) / 100.0::float8 AS amount, 1 + (g & 1)::float8 AS quantity,
       nullif(g % 3, 0) / 10.0::float8 AS discount, hashint4(g) % 5000 AS customer,
       timestamp '2024-01-01' + g * interval '1 minute' AS sold_at
FROM generate_series(1, 60000) AS g;
ANALYZE sales;";

const SUMMARY: &str = "reco.sales_summary(amount, quantity, discount, customer, sold_at)";

const SERIAL: &str = "SET max_parallel_workers_per_gather = 0";
const PARALLEL: &str =
    "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; \
                        SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off";

fn with_sales() -> Client {
    let mut client = Database::with_data().connect();
    client.batch_execute(SALES).unwrap();
    client
}

fn plan(client: &mut Client, sql: &str) -> String {
    let lines = client.query(&format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}"), &[]).unwrap();
    lines.iter().map(|line| line.get::<_, String>(0) + "\n").collect()
}

#[test]
fn parallel_workers_do_not_change_a_summary() {
    let mut client = with_sales();
    client.batch_execute(&format!("CREATE TABLE daily AS SELECT product, day, {SUMMARY} AS s FROM sales GROUP BY 1, 2; ANALYZE daily")).unwrap();
    let figures = "reco.transactions(s), reco.unique_customers(s), round(reco.total_sales(s)::numeric, 6), \
                   round(reco.avg_discount(s)::numeric, 9), reco.first_sale(s), reco.last_sale(s)";
    for sql in [
        format!("SELECT {SUMMARY} AS s FROM sales"),
        format!("SELECT region, {SUMMARY} AS s FROM sales GROUP BY region"),
        "SELECT reco.rollup(s) AS s FROM daily".to_owned(),
    ] {
        let all = format!("SELECT {figures} FROM ({sql}) AS summaries ORDER BY 3");
        client.batch_execute(SERIAL).unwrap();
        let serial = rows(&mut client, &all);
        client.batch_execute(PARALLEL).unwrap();
        let plan = plan(&mut client, &sql);
        assert!(plan.contains("Partial") && plan.contains("Workers Launched: 2"), "{plan}");
        assert_eq!(rows(&mut client, &all), serial);
    }
}

#[test]
fn parallel_workers_do_not_change_a_series() {
    let mut client = with_sales();
    let sql = "SELECT round(reco.decayed_sum(amount, sold_at, '2024-02-01', '1 week')::numeric, 6), \
                      round(reco.decayed_avg(amount, sold_at, '2024-02-01', '1 week')::numeric, 6), \
                      round(reco.trend(amount, day)::numeric, 9) FROM sales";
    client.batch_execute(SERIAL).unwrap();
    let serial = rows(&mut client, sql);
    let reference = "SELECT round((sum(v * w))::numeric, 6), round((sum(v * w) / sum(w))::numeric, 6), \
                     (SELECT round((7 * regr_slope(amount, day - date '2024-01-01'))::numeric, 9) FROM sales) \
                     FROM (SELECT amount AS v, power(2.0::float8, extract(epoch FROM sold_at - '2024-02-01')::float8 / 604800) AS w \
                           FROM sales WHERE sold_at <= '2024-02-01') AS weighted";
    assert_eq!(serial, rows(&mut client, reference));
    client.batch_execute(PARALLEL).unwrap();
    let plan = plan(&mut client, sql);
    assert!(plan.contains("Partial") && plan.contains("Workers Launched: 2"), "{plan}");
    assert_eq!(rows(&mut client, sql), serial);
}

/// Groups that come one after the other, with so many customers each that these alone outgrow the memory.
#[test]
fn states_that_outgrow_work_mem_go_to_disk() {
    let mut client = with_sales();
    client.batch_execute(SERIAL).unwrap();
    client.batch_execute("SET enable_sort = off").unwrap();
    let sql = format!("SELECT line / 120 AS part, {SUMMARY} AS s FROM sales GROUP BY 1");
    let digest = format!("SELECT md5(string_agg(s::text, ',' ORDER BY part)) FROM ({sql}) AS summaries");
    client.batch_execute("SET work_mem = '64MB'").unwrap();
    let roomy: String = value(&mut client, &digest);
    client.batch_execute("SET work_mem = '128kB'").unwrap();
    let plan = plan(&mut client, &sql);
    assert!(
        plan.contains("HashAggregate") && plan.contains("Disk Usage") && !plan.contains("Batches: 1 "),
        "{plan}"
    );
    assert_eq!(value::<String>(&mut client, &digest), roomy);
}

/// Few groups, each with a sketch: what they hold is counted too.
#[test]
fn the_customers_of_a_state_count_as_its_memory() {
    let mut client = with_sales();
    client.batch_execute(SERIAL).unwrap();
    client.batch_execute("SET enable_sort = off; SET work_mem = '64MB'").unwrap();
    let sql =
        "SELECT g % 100, reco.sales_summary(1, 1, 0, g, NULL) FROM generate_series(1, 60000) AS g GROUP BY 1";
    let plan = plan(&mut client, sql);
    let usage = plan.split("Memory Usage: ").nth(1).and_then(|rest| rest.split("kB").next()).unwrap();
    assert!(usage.parse::<u32>().unwrap() >= 400, "{plan}");
}

/// Frames that move, with states from a single hash to a sketch and back.
#[test]
fn a_window_is_what_its_rows_are() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE weekly AS SELECT w AS week, reco.sales_summary(c, 1, 0, c * 7 + w, NULL) AS s \
             FROM generate_series(1, 40) AS w, LATERAL generate_series(1, CASE WHEN w % 9 = 4 THEN 600 ELSE w END) AS c \
             GROUP BY w",
        )
        .unwrap();
    let windowed = "SELECT week, reco.rollup(s) OVER (ORDER BY week RANGE BETWEEN 4 PRECEDING AND CURRENT ROW)::text FROM weekly";
    let grouped = "SELECT a.week, reco.rollup(b.s)::text FROM weekly AS a JOIN weekly AS b \
                   ON b.week BETWEEN a.week - 4 AND a.week GROUP BY a.week ORDER BY a.week";
    assert_eq!(rows(&mut client, windowed), rows(&mut client, grouped));
}

#[test]
fn bad_customers_are_named_with_a_way_out() {
    let mut client = Database::with_data().connect();
    let sql = "SELECT reco.sales_summary(1, 1, 0, point(1, 2), NULL)";
    refusal(&mut client, sql).expect("22023", &["customers of type point"], &["as text"]);
    let sql = "SELECT reco.sales_summary('NaN'::real, 1, 0, 1, NULL)";
    refusal(&mut client, sql).expect("22003", &["amount is NaN"], &["FILTER"]);
}

/// The messages of COPY BINARY for one row of one column.
fn copy_binary(client: &mut Client, field: &[u8]) -> Result<u64, postgres::Error> {
    let mut writer = client.copy_in("COPY received FROM STDIN (FORMAT binary)")?;
    let mut message = b"PGCOPY\n\xff\r\n\0".to_vec();
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&1i16.to_be_bytes());
    message.extend_from_slice(&(field.len() as i32).to_be_bytes());
    message.extend_from_slice(field);
    message.extend_from_slice(&(-1i16).to_be_bytes());
    writer.write_all(&message).expect("the bytes are sent");
    writer.finish()
}

/// Bytes that look random and are the same each time.
fn noise(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize
}

fn assert_refused(error: &postgres::Error, code: &str) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("the server is gone: {error:?}"));
    assert_eq!(error.code().code(), code, "{error:?}");
}

/// Whatever was let in can be used.
fn assert_usable(client: &mut Client, accepted: i64) {
    let sql = "SELECT count(s::text::reco.sales_summary) FROM received";
    assert_eq!(value::<i64>(client, sql), accepted);
    client
        .batch_execute(
            "SELECT reco.unique_customers(s), reco.avg_price(s), reco.discount_rate(s), reco.first_sale(s), reco.last_sale(s) \
             FROM received; SELECT reco.rollup(s)::text FROM received GROUP BY ctid",
        )
        .unwrap();
}

#[test]
fn damaged_bytes_are_refused_by_the_server() {
    let mut client = with_sales();
    client.batch_execute("CREATE TABLE received (s reco.sales_summary)").unwrap();
    let (mut seed, mut accepted) = (1, 0);
    for condition in ["product = 7", "product < 100", "true"] {
        let sql = format!("SELECT reco.sales_summary_send({SUMMARY}) FROM sales WHERE {condition}");
        let valid: Vec<u8> = value(&mut client, &sql);
        assert_eq!(copy_binary(&mut client, &valid).unwrap(), 1);
        accepted += 1;
        for round in 0..150 {
            let mut bytes = valid.clone();
            match round % 3 {
                0 => bytes.truncate(noise(&mut seed) % valid.len()),
                1 => bytes.push(noise(&mut seed) as u8),
                _ => {
                    let place = noise(&mut seed) % valid.len().min(60);
                    bytes[place] = noise(&mut seed) as u8;
                }
            }
            match copy_binary(&mut client, &bytes) {
                Ok(_) => accepted += 1,
                Err(error) => assert_refused(&error, "22P03"),
            }
        }
    }
    for length in 0..200 {
        let mut bytes: Vec<u8> = (0..length).map(|_| noise(&mut seed) as u8).collect();
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        match copy_binary(&mut client, &bytes) {
            Ok(_) => accepted += 1,
            Err(error) => assert_refused(&error, "22P03"),
        }
    }
    assert_refused(&copy_binary(&mut client, &vec![1; 1 << 20]).unwrap_err(), "22P03");
    assert_usable(&mut client, accepted);
}

#[test]
fn damaged_text_is_refused_by_the_server() {
    let mut client = with_sales();
    client.batch_execute("CREATE TABLE received (s reco.sales_summary)").unwrap();
    let insert = client.prepare("INSERT INTO received SELECT $1::text::reco.sales_summary").unwrap();
    let valid: String = value(&mut client, &format!("SELECT {SUMMARY}::text FROM sales WHERE product = 7"));
    let (mut seed, mut accepted) = (2, 0);
    for round in 0..400 {
        let mut text = valid.clone();
        let place = noise(&mut seed) % text.len();
        match round % 3 {
            0 => text.truncate(place),
            1 => text.insert(place, ['0', '-', '"', '}', 'é'][noise(&mut seed) % 5]),
            _ => text.replace_range(place..=place, ["9", "f", ",", "[", ""][noise(&mut seed) % 5]),
        }
        match client.execute(&insert, &[&text]) {
            Ok(_) => accepted += 1,
            Err(error) => assert_refused(&error, "22P02"),
        }
    }
    let long = "[".repeat(1 << 20);
    assert_refused(&client.execute(&insert, &[&long]).unwrap_err(), "22P02");
    assert!(accepted > 0);
    assert_usable(&mut client, accepted);
}

/// Everything that reads a summary, as queries over the table `damaged`.
fn readers(client: &mut Client) -> Vec<String> {
    let sql = "SELECT p.proname::text FROM pg_proc AS p
               WHERE p.pronamespace = 'reco'::regnamespace AND p.prokind = 'f'
                 AND p.pronargs = 1 AND p.proargtypes[0] = 'reco.sales_summary'::regtype ORDER BY 1";
    let names: Vec<String> = client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert!(names.len() >= 12, "{names:?}");
    let accessors = names.iter().map(|name| format!("SELECT reco.{name}(s)::text FROM damaged"));
    let others = [
        "SELECT s::text FROM damaged",
        "SELECT reco.rollup(s)::text FROM damaged",
        "SELECT reco.rollup(s) OVER (ORDER BY n ROWS 1 PRECEDING)::text FROM damaged, generate_series(1, 3) AS n",
        "SELECT reco.trailing_weeks(s, date '2024-01-01' + 7 * n, 4) OVER (ORDER BY n)::text \
         FROM damaged, generate_series(1, 3) AS n",
    ];
    accessors.chain(others.map(str::to_owned)).collect()
}

#[test]
fn values_that_are_damaged_on_disk_are_errors_and_no_crash() {
    let mut client = with_sales();
    // What a torn page or a bad memory chip leaves: no input function has seen it.
    client
        .batch_execute(
            "CREATE CAST (bytea AS reco.sales_summary) WITHOUT FUNCTION;
             CREATE TABLE damaged (s reco.sales_summary)",
        )
        .unwrap();
    let queries = readers(&mut client);
    let (mut seed, mut refused, mut answered) = (3, 0, 0);
    for condition in ["product = 7", "product < 100", "true"] {
        let sql = format!("SELECT reco.sales_summary_send({SUMMARY}) FROM sales WHERE {condition}");
        let valid: Vec<u8> = value(&mut client, &sql);
        for round in 0..60 {
            let mut bytes = valid.clone();
            match round % 4 {
                0 => bytes.truncate(noise(&mut seed) % valid.len()),
                1 => bytes.extend((0..noise(&mut seed) % 40).map(|n| n as u8)),
                // A single bit, mostly of the fixed part.
                2 => bytes[noise(&mut seed) % valid.len().min(60)] ^= 1 << (noise(&mut seed) % 8),
                _ => (0..8).for_each(|_| {
                    let place = noise(&mut seed) % valid.len();
                    bytes[place] = noise(&mut seed) as u8;
                }),
            }
            client.execute("TRUNCATE damaged", &[]).unwrap();
            client.execute("INSERT INTO damaged SELECT $1::bytea::reco.sales_summary", &[&bytes]).unwrap();
            for query in &queries {
                match client.batch_execute(query) {
                    Ok(()) => answered += 1,
                    Err(error) => {
                        refused += 1;
                        let error = error.as_db_error().unwrap_or_else(|| panic!("{query}: {error:?}"));
                        let code = error.code().code();
                        assert!(["22P03", "22003", "22P02", "22008"].contains(&code), "{query}: {error:?}");
                    }
                }
            }
        }
    }
    assert!(refused > 0 && answered > 0, "{refused} {answered}");
}
