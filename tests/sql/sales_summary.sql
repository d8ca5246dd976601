-- A data engineer keeps sales summaries by product, region and week, and rolls them up.
SET client_min_messages = warning;
SET search_path = reco, public;

CREATE TABLE sale_lines (
    product bigint, region text, sold_at timestamp, amount double precision, quantity double precision,
    discount double precision, customer text
);
INSERT INTO sale_lines VALUES
    (1, 'r1', '2024-01-01 10:00', 5.98, 2, 0.5, 'ann'),
    (1, 'r1', '2024-01-02 11:30', 2.99, 1, NULL, 'bob'),
    (1, 'r1', '2024-01-09 12:00', -2.99, -1, 0, 'bob'),      -- a return
    (1, 'r2', '2024-01-03 09:00', NULL, 3, 0, 'ann'),        -- not priced
    (1, 'r2', '2024-01-04 09:00', 4, NULL, 1, NULL),         -- to nobody known
    (1, 'r2', '2024-01-05 09:00', NULL, NULL, 9, 'eve'),     -- no sale
    (2, 'r1', NULL, 10, 1, NULL, 'ann');

CREATE TABLE weekly AS
SELECT product, region, date_trunc('week', sold_at)::date AS week,
       sales_summary(amount, quantity, discount, customer, sold_at) AS sales
FROM sale_lines GROUP BY 1, 2, 3;

CREATE FUNCTION show(s sales_summary) RETURNS TABLE (
    sales double precision, quantity double precision, discount double precision, customers bigint,
    avg_discount numeric, rate numeric, price numeric, lines bigint, first timestamp, last timestamp)
RETURN (total_sales(s), total_quantity(s), total_discount(s), unique_customers(s), round(avg_discount(s)::numeric, 3),
        round(discount_rate(s)::numeric, 3), round(avg_price(s)::numeric, 3), transactions(s), first_sale(s), last_sale(s));

SELECT product, region, week, s.* FROM weekly, show(sales) AS s ORDER BY 1, 2, 3;
-- Rolled up, it is as if summarised at once
SELECT product, s.* FROM (SELECT product, rollup(sales) FROM weekly GROUP BY 1) AS r, show(rollup) AS s ORDER BY 1;
SELECT product, s.* FROM (SELECT product, sales_summary(amount, quantity, discount, customer, sold_at) AS sales
                          FROM sale_lines GROUP BY 1) AS r, show(sales) AS s ORDER BY 1;

-- As a window aggregate, in grouping sets, with FILTER, beside DISTINCT
SELECT product, region, week, total_sales(rollup(sales) OVER w) AS two_weeks, unique_customers(rollup(sales) OVER w)
FROM weekly WHERE product = 1
WINDOW w AS (PARTITION BY product, region ORDER BY week RANGE BETWEEN '7 days' PRECEDING AND CURRENT ROW)
ORDER BY 1, 2, 3;
SELECT product, region, transactions(rollup(sales)) AS lines, transactions(rollup(sales) FILTER (WHERE region = 'r1')) AS r1,
       count(DISTINCT region) AS regions
FROM weekly GROUP BY ROLLUP (product, region) ORDER BY 1, 2;

-- Nothing gives NULL
SELECT sales_summary(amount, quantity, discount, customer, sold_at) FROM sale_lines WHERE customer = 'eve';
SELECT rollup(sales) FROM weekly WHERE false;
SELECT rollup(NULL::sales_summary), total_sales(NULL);

-- Text and binary
SELECT sales FROM weekly WHERE product = 2;
SELECT sales_summary_send(sales) FROM weekly WHERE product = 2;
SELECT bool_and(sales::text::sales_summary::text = sales::text) FROM weekly;

-- The same whatever the order, even where rounding would show
SELECT sum(x), total_sales(sales_summary(x, NULL, NULL, NULL::int, NULL))
FROM unnest('{1e16,0.1,0.1,-1e16}'::double precision[]) AS x;

-- Customers: of any type; exact, then estimated, and the same however they are merged
SELECT unique_customers(sales_summary(1, 1, 0, c, NULL)) FROM (VALUES ('{1,2}'::int[]), ('{1,2}'), (NULL), ('{2,1}')) AS v(c);
SELECT unique_customers(sales_summary(1, 1, 0, c, NULL)) FROM (VALUES (1.0), (1.00), (2)) AS v(c);
SELECT unique_customers(rollup(sales)) FROM (
    SELECT sales_summary(1, 1, 0, c, NULL) AS sales FROM unnest('{7,1152921504606846977}'::bigint[]) AS c
    UNION ALL SELECT sales_summary(1, 1, 0, c, NULL) FROM unnest('{7.00,1152921504606846977.0}'::numeric[]) AS c
    UNION ALL SELECT sales_summary(1, 1, 0, c, NULL) FROM unnest('{7,7.5}'::double precision[]) AS c
) AS s;
SELECT n, unique_customers(sales_summary(1, 1, 0, c, NULL)) = n AS exact,
       abs(unique_customers(sales_summary(1, 1, 0, c, NULL)) / n::double precision - 1) < 0.05 AS near
FROM (VALUES (384), (385), (5000), (50000)) AS v(n), generate_series(1, n) AS c GROUP BY n ORDER BY n;
WITH part AS (SELECT c % 7 AS part, sales_summary(1, 1, 0, c, NULL) AS sales FROM generate_series(1, 3000) AS c GROUP BY 1)
SELECT unique_customers(rollup(sales ORDER BY part)) = unique_customers(rollup(sales ORDER BY part DESC)) AS same,
       unique_customers(rollup(sales)) = (SELECT unique_customers(sales_summary(1, 1, 0, c, NULL))
                                          FROM generate_series(1, 3000) AS c) AS as_at_once
FROM part;
-- Sizes in bytes: of one line, of many
SELECT pg_column_size(sales_summary(12.34, 1, 0.5, 42, '2024-01-01 10:11:12')) AS one_line,
       pg_column_size(sales_summary(12.34, 1, 0.5, 42, '2024-01-01 10:11:12')) < 50 AS small;
SELECT pg_column_size(sales_summary(c / 7.0, 1.1, 0.1, c, timestamp '2024-01-01' + c * interval '1 s')) < 3200 AS small
FROM generate_series(1, 100000) AS c;

-- What is refused
SELECT sales_summary('NaN'::real, 1, 0, 1, NULL);
SELECT sales_summary('NaN'::numeric, 1, 0, 1, NULL);
SELECT sales_summary('5', 1, 0, 1, NULL);
SELECT sales_summary(1, '-Infinity'::float8, 0, 1, NULL);
SELECT sales_summary(1, 1, 'Infinity'::numeric, 1, NULL);
SELECT sales_summary(1, 1, 0, 1, 'infinity');
SELECT sales_summary(x, 1, 0, 1, NULL) FROM (VALUES (1.7e308), (1.7e308)) AS v(x);
SELECT sales_summary(1, 1, 0, point(1, 2), NULL);
SELECT '{"version":1,"transactions":2,"sales":[3.5,0.0],"customers":["000000000000000a","000000000000000b"]}'::sales_summary;
SELECT '{"version":1,"transactions":1,"sales":[3.5,0.0],"customers":["000000000000000a","000000000000000b"]}'::sales_summary;
SELECT '{"version":1,"transactions":2,"sales":[3.5,0.0],"customers":["000000000000000b","000000000000000a"]}'::sales_summary;
SELECT '{"version":1,"transactions":0,"sales":[3.5,0.0],"customers":[]}'::sales_summary;
SELECT '{"version":1,"transactions":1,"sales":[3.5,1.0],"customers":[]}'::sales_summary;
SELECT '{"version":1,"transactions":1,"sales":[1e999,0.0],"customers":[]}'::sales_summary;
SELECT '{"version":1,"transactions":1,"sales":[3.5,0.0],"customers":[],"colour":1}'::sales_summary;
SELECT '{"version":9}'::sales_summary;
SELECT 'nonsense'::sales_summary;
SELECT sales = sales FROM weekly;

-- Decayed sums and averages: 10 now, 4 half a week ago, 4 a week ago, one that was not known yet
CREATE TABLE series (value double precision, at timestamp);
INSERT INTO series VALUES (10, '2024-01-15'), (4, '2024-01-11 12:00'), (4, '2024-01-08'), (99, '2024-01-15 00:00:01'),
                          (NULL, '2024-01-15'), (7, NULL);
SELECT decayed_sum(value, at, '2024-01-15', '3.5 days'), decayed_avg(value, at, '2024-01-15', '3.5 days') FROM series;
SELECT decayed_sum(value, at, '2000-01-01', '1 week') FROM series;
SELECT decayed_sum(value, at, '2024-01-15', '1 month') = decayed_sum(value, at, '2024-01-15', '30 days') AS months FROM series;
SELECT decayed_sum(value, at, '2024-01-15', '0') FROM series;
SELECT decayed_sum(value, at, '2024-01-15', '-1 day') FROM series;
SELECT decayed_sum(value, at, at, '1 day') FROM series;
SELECT decayed_avg('NaN', at, '2024-01-15', '1 day') FROM series;
SELECT decayed_avg(1, '-infinity', '2024-01-15', '1 day');

-- Trends: 2 more each week, with a week missing
SELECT trend(v, w) FROM (VALUES (5, date '2024-01-01'), (7, '2024-01-08'), (11, '2024-01-22'), (NULL, '2024-01-29'), (9, NULL)) AS s(v, w);
SELECT trend(v, '2024-01-01') FROM generate_series(1, 3) AS v;
SELECT trend(1, NULL);
SELECT trend('Infinity', '2024-01-01');
SELECT trend(1, 'infinity');

-- Mondays
SELECT week(date '2024-02-29'), week(timestamp '2024-02-25 23:59:59.999999'), week(timestamp '1969-12-31'),
       week(date '4713-01-01 BC') = date_trunc('week', timestamp '4713-01-01 BC')::date AS early;
SELECT bool_and(week(t) = date_trunc('week', t)::date) AS same
FROM (SELECT timestamp '1990-01-01' + n * interval '37 hours 11 minutes' AS t FROM generate_series(0, 9999) AS n) AS moments;
SELECT week(timestamp 'infinity');
SELECT week(date '-infinity');

-- Trailing weeks are what a rollup over a frame finds, NULL weeks and all
CREATE TABLE weeks AS
SELECT p AS product, date '2024-01-01' + 7 * n AS week,
       CASE WHEN n % 5 > 0 THEN (SELECT sales_summary(n, 1, NULL, c, NULL) FROM generate_series(1, n % 3 + 1) AS c) END AS sales
FROM generate_series(1, 3) AS p, generate_series(1, 40) AS n WHERE (n * p) % 4 > 0;
SELECT count(*), bool_and(a::text IS NOT DISTINCT FROM b::text) AS four, bool_and(c::text IS NOT DISTINCT FROM d::text) AS one
FROM (SELECT trailing_weeks(sales, week, 4) OVER w AS a,
             rollup(sales) OVER (PARTITION BY product ORDER BY week RANGE BETWEEN '21 days' PRECEDING AND CURRENT ROW) AS b,
             trailing_weeks(sales, week, 1) OVER w AS c, sales AS d
      FROM weeks WINDOW w AS (PARTITION BY product ORDER BY week)) AS windows;
SELECT trailing_weeks(sales, week, 4) OVER (ORDER BY week DESC) FROM weeks WHERE product = 1;
SELECT trailing_weeks(sales, week, 0) OVER (ORDER BY week) FROM weeks;
SELECT trailing_weeks(sales, NULL, 4) OVER (ORDER BY week) FROM weeks;
SELECT trailing_weeks(sales, week, 4) FROM weeks;

-- Numbers of any type, and customers that differ in their upper bits only
SELECT total_sales(s), total_quantity(s), total_discount(s), unique_customers(s)
FROM (SELECT sales_summary(n::numeric / 100, n::smallint, n::real, (n::bigint << 32) + n, NULL) AS s
      FROM generate_series(1, 300) AS n) AS summaries;
SELECT x, total_sales(sales_summary(x, 1, NULL, 1, NULL)) = x::double precision AS same
FROM (VALUES ('0.1'::numeric), ('-12345678.9012'), ('1e30'), ('123456789012345678901234567890.123456789'), ('0'), ('1e-20')) AS v(x)
GROUP BY x ORDER BY x;
SELECT sales_summary('NaN'::numeric, 1, NULL, 1, NULL);
SELECT sales_summary('1'::text, 1, NULL, 1, NULL);

DROP FUNCTION show;
DROP TABLE sale_lines, weekly, series, weeks;
