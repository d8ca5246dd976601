//! `reco.create_launch_features` on tables as people have them: returns, lists with repetitions and gaps, keys of other types,
//! dates that cannot be.

use super::views::refresh;
use integration::{refusal, rows, value, Database};
use postgres::Client;

/// Eight weeks from Monday, 2024-01-01. Product 1 is bought on every Sunday in r1 and makes the weeks complete; the others are
/// up to each test.
const TABLES: &str = "
CREATE TABLE products (product_id bigint, category text, launch_date date);
INSERT INTO products VALUES (1, 'tea', NULL), (2, 'tea', NULL), (3, 'tea', NULL);
CREATE TABLE stores (store_id integer, region text);
INSERT INTO stores VALUES (10, 'r1'), (20, 'r2');
CREATE TABLE sales (product_id bigint, store_id integer, sold_at timestamp, amount numeric(8, 2), quantity integer, customer_id bigint);
INSERT INTO sales
SELECT 1, 10, timestamp '2024-01-07 23:30' + w * interval '7 days', 5, 1, 100 FROM generate_series(0, 7) AS w;";

fn with_tables(more: &str) -> Client {
    let mut client = Database::with_data().connect();
    client.batch_execute(TABLES).unwrap();
    client.batch_execute(more).unwrap_or_else(|error| panic!("{more}: {error:?}"));
    client
}

fn creation(options: &str) -> String {
    format!("SELECT reco.create_launch_features('launches', sales => 'sales', products => 'products', stores => 'stores', warm_up_weeks => 2{options})")
}

fn create(client: &mut Client, options: &str) {
    client.batch_execute(&creation(options)).unwrap_or_else(|error| panic!("{options}: {error:?}"));
    refresh(client, "'launches'");
}

/// `column` of a product in a region by week of the data.
fn by_week(client: &mut Client, column: &str, product: i64, region: &str) -> String {
    value(
        client,
        &format!(
            "SELECT coalesce(string_agg(format('%s:%s', (week - date '2024-01-01') / 7, {column}), ' ' ORDER BY week), '')
             FROM launches WHERE product_id = {product} AND region = '{region}'"
        ),
    )
}

#[test]
fn a_return_is_no_purchase() {
    let mut client = with_tables(
        "INSERT INTO sales VALUES
             (2, 10, '2024-01-24', 20, 4, 1), (2, 10, '2024-01-31', -5, -1, 2), (2, 20, '2024-02-01', -10, -2, 3),
             (2, 20, '2024-02-07', 0, 0, 4), (2, 10, '2024-02-14', 5, 1, 5), (2, 10, '2024-02-15', -5, -1, 1),
             (3, 10, '2024-01-24', -5, -1, 6), (1, 20, '2024-02-21', 5, 1, 7)",
    );
    create(&mut client, "");
    // Bought in week 3 and in week 6; a return in week 4, nothing at all in week 5.
    let label = "coalesce(purchased::text, '?')";
    assert_eq!(by_week(&mut client, label, 2, "r1"), "3:false 4:false 5:true 6:false 7:?");
    assert_eq!(by_week(&mut client, "quantity_13w", 2, "r1"), "3:4 4:3 5:3 6:3 7:3");
    assert_eq!(by_week(&mut client, "returned_13w", 2, "r1"), "3:0 4:1 5:1 6:2 7:2");
    assert_eq!(by_week(&mut client, "all_returned_13w", 2, "r1"), "3:0 4:3 5:3 6:4 7:4");
    assert_eq!(by_week(&mut client, "sales_1w", 2, "r1"), "3:20 4:-5 5:0 6:0 7:0");
    // Customer 1, and 5 in week 6: who brings back buys nothing.
    assert_eq!(by_week(&mut client, "customers_13w", 2, "r1"), "3:1 4:1 5:1 6:2 7:2");
    // r2 took back and sold nothing: it trades from week 7 on, and nothing of the product was bought there.
    assert_eq!(by_week(&mut client, "regions_sold", 2, "r1"), "3:1 4:1 5:1 6:1 7:1");
    assert_eq!(by_week(&mut client, "all_quantity_13w", 2, "r2"), "7:1");
    // What was only ever returned is no launch.
    assert_eq!(by_week(&mut client, "week", 3, "r1"), "");
    // Of the launches of week 3 none but product 2 was bought in its first four weeks, in r1 alone.
    let success = "SELECT DISTINCT region, category_launches_sold, category_launch_quantity FROM launches
                   WHERE week = '2024-02-19' ORDER BY 1";
    assert_eq!(rows(&mut client, success), ["(r1,1,3)", "(r2,0,-2)"]);
}

#[test]
fn a_later_first_purchase_changes_no_earlier_row() {
    let returned = "INSERT INTO sales VALUES (2, 10, '2024-01-24', 20, 4, 1), (9, 10, '2024-01-31', -5, -1, 2), (9, 10, '2024-02-10', 5, 0.5, 2)";
    let rows_of = |more: &str| {
        let mut client = with_tables(&format!(
            "ALTER TABLE sales ALTER quantity TYPE float8; UPDATE products SET category = NULL; {returned}; {more}"
        ));
        create(&mut client, "");
        rows(&mut client, "SELECT to_jsonb(f) - 'purchased' FROM launches AS f WHERE week <= '2024-02-05' ORDER BY product_id, region, week")
    };
    let before = rows_of("DELETE FROM sales WHERE product_id = 9 AND quantity > 0");
    assert_eq!(before.len(), 3);
    assert_eq!(rows_of("DELETE FROM sales WHERE product_id = 9 AND quantity > 0; INSERT INTO sales VALUES (9, 10, '2024-02-14', 5, 1, 2)"), before);
}

#[test]
fn what_is_a_purchase_can_be_said() {
    let lines = "ALTER TABLE sales ADD kind text DEFAULT 'sale';
                 INSERT INTO sales VALUES (2, 10, '2024-01-24', 0, 5, 1, 'sample'), (2, 10, '2024-02-07', 5, 1, 2, 'sale')";
    let mut client = with_tables(lines);
    create(&mut client, ", purchase => 'quantity > 0 AND kind <> ''sample'''");
    assert_eq!(by_week(&mut client, "weeks_since_launch", 2, "r1"), "5:0 6:1 7:2");
    for (wrong, code) in [
        ("quantity", "42804"),
        ("", "22023"),
        ("quantity > 0, true", "42804"),
        ("true) AS x, (false", "42601"),
        ("count(*) > 0", "42803"),
        ("row_number() OVER () > 5", "42P20"),
        ("unnest(ARRAY[true, false])", "0A000"),
    ] {
        let error = refusal(
            &mut client,
            &creation(&format!(", purchase => $${wrong}$$")).replace("'launches'", "'others'"),
        );
        assert_eq!(error.code, code, "{wrong}: {error:?}");
    }
}

#[test]
fn what_is_listed_twice_ends_the_refresh() {
    for (more, message, hint) in [
        ("INSERT INTO stores VALUES (10, 'r2')", "store 10 is listed 2 times in public.stores", "store_id"),
        (
            "INSERT INTO products VALUES (2, 'coffee', NULL)",
            "product 2 is listed 2 times in public.products",
            "product_id",
        ),
    ] {
        let mut client = with_tables(more);
        client.batch_execute(&creation("")).unwrap();
        let error = refusal(&mut client, "CALL reco.refresh_features('launches')");
        error.expect("22000", &[message], &[hint]);
        assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM launches_weekly"), 0);
    }
}

#[test]
fn sales_of_stores_that_are_not_listed_are_told() {
    let lines = "INSERT INTO stores VALUES (30, NULL);
                 INSERT INTO sales VALUES (2, 99, '2024-01-24', 20, 4, 1), (2, 30, '2024-01-24', 20, 4, 1)";
    let total = "SELECT coalesce(sum(reco.total_sales(sales)), 0) FROM launches_weekly";
    let message =
        "2 of 10 sales lines (20.0 %) are of stores without a region in public.stores, such as store 30";

    let (database, heard) = notices_of(lines, "");
    assert!(heard.iter().any(|text| text.contains(message)), "{heard:?}");
    assert_eq!(value::<f64>(&mut database.connect(), total), 40.0);

    let mut client = with_tables(lines);
    client.batch_execute(&creation(", unlisted_stores => 'refuse'")).unwrap();
    refusal(&mut client, "CALL reco.refresh_features('launches')").expect(
        "22000",
        &[message],
        &["unlisted_stores"],
    );

    let mut client = with_tables(lines);
    create(&mut client, ", unlisted_stores => 'own_region'");
    assert_eq!(value::<f64>(&mut client, total), 80.0);
    assert_eq!(by_week(&mut client, "sales_13w", 2, "unlisted"), "3:40 4:40 5:40 6:40 7:40");

    client.batch_execute("INSERT INTO stores VALUES (31, 'unlisted')").unwrap();
    refusal(&mut client, "CALL reco.refresh_features('launches')").expect(
        "22000",
        &["store 31 of public.stores is of a region that is called unlisted"],
        &["Call it otherwise"],
    );

    let mut client = with_tables(lines);
    refusal(&mut client, &creation(", unlisted_stores => 'drop'")).expect(
        "22023",
        &["leave_out, refuse or own_region"],
        &[],
    );
}

/// Creates and refreshes the view, and returns what the refresh told.
fn notices_of(more: &str, options: &str) -> (Database, Vec<String>) {
    let database = Database::with_data();
    let mut client = database.connect();
    client.batch_execute(TABLES).unwrap();
    client.batch_execute(more).unwrap();
    client.batch_execute(&creation(options)).unwrap();
    let heard = database.told_by("CALL reco.refresh_features('launches')");
    (database, heard)
}

#[test]
fn a_number_that_no_sale_has_is_named() {
    let columns = [
        ("amount", "float8", "NaN"),
        ("amount", "float8", "1e300"),
        ("amount", "numeric", "-1e16"),
        ("amount", "numeric(10,2)", "NaN"),
        ("quantity", "real", "Infinity"),
    ];
    for (column, kind, number) in columns {
        let mut client = with_tables(&format!(
            "ALTER TABLE sales ALTER {column} TYPE {kind};
             INSERT INTO sales VALUES (2, 10, '2024-01-24', 20, 4, 1);
             UPDATE sales SET {column} = '{number}' WHERE product_id = 2"
        ));
        client.batch_execute(&creation("")).unwrap();
        let written = match number {
            "-1e16" => "-10000000000000000",
            "1e300" => "1e+300",
            other => other,
        };
        refusal(&mut client, "CALL reco.refresh_features('launches')").expect(
            "22000",
            &[
                "rows of public.sales have a number that no sale has",
                &format!("{column} = {written}"),
                "of product 2",
            ],
            &["further than 1e15 from 0"],
        );
    }
}

#[test]
fn returns_that_are_paid_for_are_told() {
    let (_, heard) = notices_of(
        "INSERT INTO sales VALUES (2, 10, '2024-01-24', 20, 4, 1), (2, 10, '2024-01-25', 5, -1, 1)",
        "",
    );
    let message = "1 of 10 sales lines of public.sales have a negative quantity and a positive amount: they raise sales";
    assert!(heard.iter().any(|text| text.contains(message)), "{heard:?}");
}

#[test]
fn a_region_is_written_in_one_way() {
    let lines =
        "INSERT INTO stores VALUES (30, '1'); INSERT INTO sales VALUES (2, 30, '2024-01-24', 20, 4, 1)";
    for (change, region) in [
        ("UPDATE stores SET region = store_id; ALTER TABLE stores ALTER region TYPE numeric USING CASE store_id WHEN 10 THEN 1.0 WHEN 30 THEN 1.00 ELSE 2.50 END", "1"),
        ("ALTER TABLE stores ALTER region TYPE date USING date '2024-01-02' + store_id", "2024-01-12"),
    ] {
        let mut client = with_tables(&format!("{lines}; {change}"));
        client.batch_execute("SET datestyle = 'German'").unwrap();
        create(&mut client, "");
        client.batch_execute("SET datestyle = 'SQL, MDY'").unwrap();
        refresh(&mut client, "'launches', lookback => 3");
        let regions = "SELECT array_agg(DISTINCT region) FROM launches_weekly WHERE product_id = 1";
        assert_eq!(value::<Vec<String>>(&mut client, regions), [region], "{change}");
    }
}

#[test]
fn dates_that_cannot_be_are_left_out_and_told() {
    let lines = "INSERT INTO sales VALUES (2, 10, '1970-01-01', 20, 4, 1), (2, 10, 'infinity', 20, 4, 1), (2, 10, '-infinity', 20, 4, 1),
                     (2, 10, '2024-01-24', 20, 4, 1), (2, 10, NULL, 20, 4, 1), (2, 10, '2098-01-01', 20, 4, 1);
                 INSERT INTO products VALUES (4, 'tea', 'infinity'), (5, 'tea', '9999-12-31'), (6, 'tea', '0001-01-01');
                 INSERT INTO sales VALUES (5, 10, '2024-01-31', 5, 1, 1)";
    let (database, heard) = notices_of(lines, ", launch_date => 'launch_date'");
    for message in [
        "3 rows of public.sales have a sold_at before 2000-01-01 or after 2099-12-31; they are left out",
        "1 rows of public.sales have a sold_at in the future",
        "1 rows of public.sales have no product_id or no sold_at",
        "3 rows of public.products have a launch date before 2000-01-01 or after 2099-12-31",
    ] {
        assert!(heard.iter().any(|text| text.contains(message)), "{message}: {heard:?}");
    }
    let mut client = database.connect();
    assert_eq!(
        value::<i64>(&mut client, "SELECT weeks FROM reco.feature_views WHERE view = 'public.launches'"),
        8
    );
    assert_eq!(by_week(&mut client, "weeks_since_launch", 2, "r1"), "3:0 4:1 5:2 6:3 7:4");
    // A date that stands for none does not hide the first sale.
    assert_eq!(by_week(&mut client, "weeks_since_launch", 5, "r1"), "4:0 5:1 6:2 7:3");
    let (database, _) = notices_of("", ", earliest => '2024-02-05', latest => '2024-02-25'");
    let weeks = "SELECT array_agg(DISTINCT week::text ORDER BY week::text) FROM launches_weekly";
    assert_eq!(
        value::<Vec<String>>(&mut database.connect(), weeks),
        ["2024-02-05", "2024-02-12", "2024-02-19"]
    );
    for wrong in [
        "earliest => '2024-01-01', latest => '2023-01-01'",
        "latest => 'infinity'",
        "earliest => '-infinity'",
        "latest => NULL",
    ] {
        refusal(&mut with_tables(""), &creation(&format!(", {wrong}"))).expect("22023", &["latest"], &[]);
    }
}

#[test]
fn keys_that_cannot_be_compared_are_named_when_the_view_is_made() {
    for (change, argument) in [
        ("ALTER TABLE sales ALTER product_id TYPE text", "product_id"),
        ("ALTER TABLE stores ALTER store_id TYPE text", "store_id"),
        (
            "ALTER TABLE sales ALTER product_id TYPE text COLLATE \"C\"; ALTER TABLE products ALTER product_id TYPE text COLLATE \"POSIX\"",
            "product_id",
        ),
        ("ALTER TABLE sales ALTER store_id TYPE text COLLATE \"POSIX\"; ALTER TABLE stores ALTER store_id TYPE varchar COLLATE \"C\"", "store_id"),
    ] {
        let mut client = with_tables(change);
        let error = refusal(&mut client, &creation(""));
        error.expect("22023", &[&format!("{argument} column \"{argument}\""), "cannot be compared", "public.sales"], &["CREATE VIEW"]);
        assert!(rows(&mut client, "SELECT view FROM reco.feature_views").is_empty());
    }
    // What compares by a cast of Postgres's own works.
    for change in [
        "ALTER TABLE sales ALTER product_id TYPE text; ALTER TABLE products ALTER product_id TYPE varchar(9)",
        "ALTER TABLE sales ALTER store_id TYPE char(4); ALTER TABLE stores ALTER store_id TYPE text",
        "ALTER TABLE sales ALTER store_id TYPE numeric",
        "CREATE DOMAIN code AS integer; ALTER TABLE sales ALTER store_id TYPE code",
    ] {
        let mut client = with_tables(change);
        client.batch_execute("INSERT INTO sales VALUES ('2', '10', '2024-01-24', 20, 4, 1)").unwrap();
        create(&mut client, "");
        assert_eq!(
            value::<i64>(&mut client, "SELECT count(*) FROM launches WHERE sales_13w = 20"),
            5,
            "{change}"
        );
    }
}

#[test]
fn an_attribute_with_the_name_of_a_feature_is_named() {
    for name in ["week", "sales_1w", "region", "purchased"] {
        let mut client = with_tables(&format!("ALTER TABLE products ADD {name} text"));
        let error = refusal(&mut client, &creation(&format!(", attributes => '{{{name}}}'")));
        error.expect(
            "42701",
            &[&format!("column \"{name}\" specified more than once")],
            &["view of that table"],
        );
    }
}

#[test]
fn moments_of_a_domain_are_moments() {
    let right = {
        let mut client = with_tables(
            "INSERT INTO sales VALUES (2, 10, '2024-01-24', 20, 4, 1), (2, 10, '2024-02-04 22:00', 20, 4, 1)",
        );
        create(&mut client, "");
        rows(
            &mut client,
            "SELECT week, product_id, region, sales::text FROM launches_weekly ORDER BY 1, 2, 3",
        )
    };
    for (domain, cast) in
        [("timestamptz", "sold_at AT TIME ZONE 'America/New_York'"), ("timestamp", "sold_at")]
    {
        let mut client = with_tables(&format!(
            "INSERT INTO sales VALUES (2, 10, '2024-01-24', 20, 4, 1), (2, 10, '2024-02-04 22:00', 20, 4, 1);
             CREATE DOMAIN instant AS {domain}; CREATE DOMAIN checkout AS instant CHECK (VALUE > '2000-01-01');
             ALTER TABLE sales ALTER sold_at TYPE checkout USING {cast}"
        ));
        create(&mut client, ", time_zone => 'America/New_York'");
        let found = rows(
            &mut client,
            "SELECT week, product_id, region, sales::text FROM launches_weekly ORDER BY 1, 2, 3",
        );
        assert_eq!(found, right, "{domain}");
    }
}

#[test]
fn a_chain_that_is_closed_on_sundays_is_not_a_week_behind() {
    let saturdays = "UPDATE sales SET sold_at = sold_at - interval '1 day'; INSERT INTO sales VALUES (2, 10, '2024-02-20', 20, 4, 1)";
    let mut client = with_tables(saturdays);
    create(&mut client, "");
    let last = "SELECT last_week::text FROM reco.feature_views WHERE view = 'public.launches'";
    assert_eq!(value::<String>(&mut client, last), "2024-02-12");
    let mut client = with_tables(saturdays);
    create(&mut client, ", last_weekday => 6");
    assert_eq!(value::<String>(&mut client, last), "2024-02-19");
    assert_eq!(by_week(&mut client, "coalesce(purchased::text, '?')", 2, "r1"), "7:?");
    // Saturday's sales are needed all the same.
    client.batch_execute("INSERT INTO sales VALUES (2, 10, '2024-03-01 20:00', 20, 4, 1)").unwrap();
    refresh(&mut client, "'launches'");
    assert_eq!(value::<String>(&mut client, last), "2024-02-19");
    client.batch_execute("INSERT INTO sales VALUES (2, 10, '2024-03-02 09:00', 20, 4, 1)").unwrap();
    refresh(&mut client, "'launches'");
    assert_eq!(by_week(&mut client, "coalesce(purchased::text, '?')", 2, "r1"), "7:true 8:?");
    for wrong in ["0", "8"] {
        let error = refusal(
            &mut client,
            &creation(&format!(", last_weekday => {wrong}")).replace("'launches'", "'others'"),
        );
        error.expect("22023", &["last_weekday is a day of the week"], &[]);
    }
}

#[test]
fn weeks_that_are_missing_are_computed_again() {
    let everything = "SELECT to_jsonb(f)::text FROM launches AS f ORDER BY product_id, region, week";
    let mut client = with_tables("INSERT INTO sales VALUES (2, 10, '2024-01-24', 20, 4, 1)");
    create(&mut client, ", partition_by => 'month'");
    let right = rows(&mut client, everything);
    assert_eq!(right.len(), 5);
    for loss in [
        "TRUNCATE launches",
        "TRUNCATE launches, launches_weekly",
        "DELETE FROM launches WHERE week = '2024-02-05'",
        "TRUNCATE launches_2024_01",
    ] {
        client.batch_execute(loss).unwrap();
        refresh(&mut client, "'launches'");
        assert_eq!(rows(&mut client, everything), right, "{loss}");
        client.batch_execute(loss).unwrap();
        refresh(&mut client, "'launches', from_week => '2024-01-01', to_week => '2024-02-19', lookback => 0");
        assert_eq!(rows(&mut client, everything), right, "{loss}, by a range");
    }
    // Dropping a partition is how old rows are retired.
    client.batch_execute("DROP TABLE launches_2024_01").unwrap();
    refresh(&mut client, "'launches'");
    assert_eq!(rows(&mut client, everything).len(), 3);
}

#[test]
fn weeks_at_the_end_of_a_year_are_those_of_the_zone() {
    // 2023-12-31 23:30 in New York is Monday, 2024-01-01 in UTC, but Sunday there.
    let mut client = with_tables(
        "ALTER TABLE sales ALTER sold_at TYPE timestamptz USING sold_at AT TIME ZONE 'America/New_York';
         INSERT INTO sales VALUES (2, 10, '2024-01-01 04:30Z', 20, 4, 1), (2, 10, '2024-01-01 05:00Z', 7, 1, 1)",
    );
    create(&mut client, ", time_zone => 'America/New_York'");
    let weeks =
        "SELECT week::text, reco.total_sales(sales) FROM launches_weekly WHERE product_id = 2 ORDER BY 1";
    assert_eq!(rows(&mut client, weeks), ["(2023-12-25,20)", "(2024-01-01,7)"]);
}
