//! The training table: 60 products, 4 regions and 25 weeks, the same on every machine.
//!
//! Every value comes from a hash of its key, and the label from a probability that depends on the other columns, so
//! that a model has something to learn. It has columns of every kind that a model can use, with NULLs. The label of
//! the last week is not known yet.

use postgres::Client;

pub const ROWS: i64 = 60 * 4 * 25;
pub const UNLABELLED: i64 = 60 * 4;

const TABLE: &str = "
CREATE TYPE pack_size AS ENUM ('small', 'medium', 'large');

-- A number from 0 to 1.
CREATE FUNCTION chance(about text) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (pg_catalog.hashtextextended(about, 20240101) & 2147483647) / 2147483648.0::double precision $$;

CREATE TABLE launch_features AS
WITH product AS (
    SELECT p AS product_id, chance('appeal ' || p) AS appeal,
           (ARRAY['drinks', 'bakery', 'pet food', 'cosmetics'])[1 + (chance('category ' || p) * 4)::int % 4] AS category,
           (ARRAY['small', 'medium', 'large'])[1 + (chance('size ' || p) * 3)::int % 3]::pack_size AS size,
           date '2023-10-02' + (chance('launch ' || p) * 80)::int AS launched_on
    FROM generate_series(1, 60) AS p
), cell AS (
    SELECT product.*, 'r' || r AS region, date '2024-01-01' + 7 * w AS week, w,
           format('%s %s %s', product_id, r, w) AS key, chance('region ' || r) AS taste
    FROM product, generate_series(0, 3) AS r, generate_series(0, 24) AS w
), signal AS (
    SELECT *, 5 * (appeal - 0.5) + 2 * (chance('promotion ' || key) < 0.3)::int + 2 * (taste - 0.5)
              + CASE category WHEN 'bakery' THEN 1 WHEN 'cosmetics' THEN -1 ELSE 0 END
              + 2 * (chance('noise ' || key) - 0.5) AS log_odds
    FROM cell
)
SELECT product_id::bigint, region, week,
       CASE WHEN chance('no price ' || key) < 0.95 THEN (1 + 9 * chance('price ' || product_id))::numeric(8, 2) END AS price,
       (20 * appeal * (0.5 + chance('sales ' || key)))::real AS sales_1w,
       80 * appeal * (0.7 + 0.6 * chance('sales 4 ' || key)) AS sales_4w,
       (10 * appeal + 5 * chance('households ' || key))::integer AS households,
       ((week - launched_on) / 7)::smallint AS weeks_since_launch,
       (1000 * chance('clicks ' || key))::bigint AS clicks,
       CASE WHEN chance('no promotion ' || key) < 0.9 THEN chance('promotion ' || key) < 0.3 END AS on_promotion,
       CASE WHEN chance('no category ' || product_id) < 0.95 THEN category END AS category,
       size, launched_on,
       week::timestamptz + interval '1 hour' * (24 * chance('updated ' || key))::int AS updated_at,
       CASE WHEN chance('no history ' || key) < 0.9
            THEN ARRAY[appeal * chance('h1 ' || key), appeal * chance('h2 ' || key), NULL]::real[] END AS history,
       ARRAY[(5 * appeal)::int, (5 * taste)::int] AS ranks,
       CASE WHEN w < 24 THEN chance('buy ' || key) < 1 / (1 + exp(-2 * log_odds)) END AS purchased
FROM signal;

ALTER TABLE launch_features ADD PRIMARY KEY (product_id, region, week);
ANALYZE launch_features;

CREATE VIEW numeric_features AS
SELECT product_id, region, week, price, sales_1w, households, clicks, purchased FROM launch_features;
";

/// Creates the extension, where it is not there yet, and the table.
pub fn create(client: &mut Client) {
    client
        .batch_execute("CREATE EXTENSION IF NOT EXISTS pg_recommend")
        .unwrap_or_else(|error| panic!("the extension: {error:?}"));
    create_table(client);
}

/// Creates the table alone, as whoever is connected.
pub fn create_table(client: &mut Client) {
    client.batch_execute(TABLE).unwrap_or_else(|error| panic!("the training table: {error:?}"));
}
