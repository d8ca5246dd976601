-- Builds launch_features: what was known about every new product, in every region, at the end of
-- each of its first twelve weeks, and whether it was bought there in the week after.
--
-- Point in time: a row for week w (named by its Monday) holds sales up to the Sunday of w and
-- nothing later. Only `purchased` looks ahead; it is NULL in the newest week, whose next week is
-- not over. Those rows are the ones to recommend from.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SET LOCAL work_mem = '512MB';

-- The weeks the data cover to their end: a week is over when something was sold on its Sunday or
-- later. A product's launch is its first sale anywhere.
CREATE TEMP TABLE calendar ON COMMIT DROP AS
SELECT date_trunc('week', min(sold_at))::date AS first_week,
       date_trunc('week', max(sold_at) + interval '1 day')::date - 7 AS last_week
FROM sales;

CREATE TEMP TABLE regions ON COMMIT DROP AS
SELECT DISTINCT region FROM stores;
ANALYZE calendar, regions; -- a planner that does not know that they are tiny goes far astray

-- Each household counts once a week and place, however often it bought.
\echo sales by product, region, week and household
CREATE TEMP TABLE purchases ON COMMIT DROP AS
SELECT product_id, region, date_trunc('week', sold_at)::date AS week, household_id,
       sum(sales_value)::float8 AS sales,
       sum(quantity)::float8 AS quantity,
       sum(retail_disc + coupon_disc + coupon_match_disc)::float8 AS discount
FROM sales JOIN stores USING (store_id)
WHERE sold_at < (SELECT last_week + 7 FROM calendar)
GROUP BY 1, 2, 3, 4;
ANALYZE purchases;

-- The data begin in the middle of things. What first shows up in their first eight weeks was most
-- likely sold before, so it has no known launch and is left out.
CREATE TEMP TABLE launches ON COMMIT DROP AS
SELECT product_id, min(week) AS launch
FROM purchases
GROUP BY product_id
HAVING min(week) >= (SELECT first_week + 8 * 7 FROM calendar);
ALTER TABLE launches ADD PRIMARY KEY (product_id);
ANALYZE launches;

-- One row for each product, place and week that had sales or saw a household count change; the
-- place '*' is everywhere. A window's distinct households are a running sum: a household that
-- bought in week t adds one in t and takes it back when the window has moved past t, or when it
-- buys again, whichever comes first. Thirteen weeks reach back to the launch, so there only its
-- first purchase counts.
\echo new products by week
CREATE TEMP TABLE weekly ON COMMIT DROP AS
WITH bought AS (
    SELECT product_id, coalesce(region, '*') AS region, week, household_id,
           sum(sales) AS sales, sum(quantity) AS quantity, sum(discount) AS discount
    FROM purchases JOIN launches USING (product_id)
    WHERE week <= launch + 12 * 7
    GROUP BY GROUPING SETS ((product_id, region, week, household_id), (product_id, week, household_id))
), again AS (
    SELECT *, lag(week) OVER household AS before, lead(week) OVER household AS next
    FROM bought
    WINDOW household AS (PARTITION BY product_id, household_id, region ORDER BY week)
)
SELECT product_id, region, week,
       sum(sales) AS sales, sum(quantity) AS quantity, sum(discount) AS discount,
       sum(households) AS households, sum(change_4w) AS change_4w, sum(change_13w) AS change_13w
FROM (
    SELECT product_id, region, week, sales, quantity, discount,
           1 AS households, 1 AS change_4w, (before IS NULL)::int AS change_13w
    FROM again
    UNION ALL
    SELECT product_id, region, least(week + 4 * 7, next), 0, 0, 0, 0, -1, 0
    FROM again
) AS changes
GROUP BY product_id, region, week;
ANALYZE weekly;

-- Where each product has been sold at all, and since when. Before that there is nothing to add up.
CREATE TEMP TABLE places ON COMMIT DROP AS
SELECT product_id, region, launch, min(week) AS first_sale
FROM weekly JOIN launches USING (product_id)
GROUP BY product_id, region, launch;
CREATE INDEX ON places (product_id);
ANALYZE places;

\echo windows of 1, 4 and 13 weeks
CREATE TEMP TABLE windows ON COMMIT DROP AS
WITH grid AS (
    SELECT product_id, region, launch + 7 * age AS week
    FROM places CROSS JOIN generate_series(0, 11) AS age
    WHERE launch + 7 * age >= first_sale AND launch + 7 * age <= (SELECT last_week FROM calendar)
)
SELECT product_id, region, week,
       coalesce(sales, 0) AS sales_1w,
       coalesce(sum(sales) OVER four, 0) AS sales_4w,
       sum(sales) OVER thirteen AS sales_13w,
       coalesce(quantity, 0) AS quantity_1w,
       coalesce(sum(quantity) OVER four, 0) AS quantity_4w,
       sum(quantity) OVER thirteen AS quantity_13w,
       coalesce(households, 0) AS households_1w,
       sum(change_4w) OVER thirteen AS households_4w,
       sum(change_13w) OVER thirteen AS households_13w,
       discount AS discount_1w,
       sum(discount) OVER four AS discount_4w,
       sum(discount) OVER thirteen AS discount_13w
FROM grid LEFT JOIN weekly USING (product_id, region, week)
WINDOW four AS (PARTITION BY product_id, region ORDER BY week ROWS 3 PRECEDING),
       thirteen AS (PARTITION BY product_id, region ORDER BY week ROWS 12 PRECEDING);
ANALYZE windows;

-- The product's category in the region over four weeks, all its products, new or not. Products
-- without a category are a category too.
CREATE TEMP TABLE product_categories ON COMMIT DROP AS
SELECT product_id, dense_rank() OVER (ORDER BY product_category)::int AS category_id FROM products;
ANALYZE product_categories;

\echo their categories
CREATE TEMP TABLE categories ON COMMIT DROP AS
WITH bought AS (
    SELECT category_id, region, week, household_id, sum(sales) AS sales, sum(quantity) AS quantity
    FROM purchases JOIN product_categories USING (product_id)
    GROUP BY 1, 2, 3, 4
), again AS (
    SELECT *, lead(week) OVER (PARTITION BY category_id, household_id, region ORDER BY week) AS next
    FROM bought
), changes AS (
    SELECT category_id, region, week, sum(sales) AS sales, sum(quantity) AS quantity, sum(change) AS change
    FROM (
        SELECT category_id, region, week, sales, quantity, 1 AS change FROM again
        UNION ALL
        SELECT category_id, region, least(week + 4 * 7, next), 0, 0, -1 FROM again
    ) AS both_ways
    GROUP BY 1, 2, 3
), grid AS (
    SELECT category_id, region, week::date
    FROM (SELECT DISTINCT category_id, region FROM bought) AS place
    CROSS JOIN calendar
    CROSS JOIN generate_series(first_week, last_week, interval '7 days') AS week
)
SELECT category_id, region, week,
       coalesce(sum(sales) OVER four, 0) AS sales_4w,
       coalesce(sum(quantity) OVER four, 0) AS quantity_4w,
       coalesce(sum(change) OVER whole, 0) AS households_4w
FROM grid LEFT JOIN changes USING (category_id, region, week)
WINDOW four AS (PARTITION BY category_id, region ORDER BY week ROWS 3 PRECEDING),
       whole AS (PARTITION BY category_id, region ORDER BY week);
ANALYZE categories;

-- What is the same for all regions, once for each product and week. Prices and discounts of nothing
-- are unknown, amounts of nothing are 0. The discount is a share of what would have been paid
-- without it.
\echo all regions together
CREATE TEMP TABLE everywhere ON COMMIT DROP AS
SELECT product_id, week,
       windows.sales_1w::real AS all_sales_1w, windows.sales_4w::real AS all_sales_4w, windows.sales_13w::real AS all_sales_13w,
       windows.quantity_1w::real AS all_quantity_1w, windows.quantity_4w::real AS all_quantity_4w, windows.quantity_13w::real AS all_quantity_13w,
       windows.households_1w::real AS all_households_1w, windows.households_4w::real AS all_households_4w, windows.households_13w::real AS all_households_13w,
       (windows.discount_1w / nullif(windows.sales_1w + windows.discount_1w, 0))::real AS all_discount_1w,
       (windows.discount_4w / nullif(windows.sales_4w + windows.discount_4w, 0))::real AS all_discount_4w,
       (windows.discount_13w / nullif(windows.sales_13w + windows.discount_13w, 0))::real AS all_discount_13w,
       (windows.sales_1w / nullif(windows.quantity_1w, 0))::real AS all_price_1w,
       (windows.sales_4w / nullif(windows.quantity_4w, 0))::real AS all_price_4w,
       (windows.sales_13w / nullif(windows.quantity_13w, 0))::real AS all_price_13w,
       ((week - launch) / 7)::real AS weeks_since_launch,
       (SELECT count(*) FROM places AS p
        WHERE p.product_id = windows.product_id AND p.region <> '*' AND p.first_sale <= week)::real AS regions_sold,
       category_id, products.product_category AS category, products.brand, products.department
FROM windows
JOIN launches USING (product_id)
JOIN products USING (product_id)
JOIN product_categories USING (product_id)
WHERE region = '*';
ANALYZE everywhere;

DROP TABLE IF EXISTS launch_features;
\echo launch_features
CREATE TABLE launch_features AS
SELECT everywhere.product_id,
       regions.region,
       everywhere.week,

       coalesce(here.sales_1w, 0)::real AS sales_1w, coalesce(here.sales_4w, 0)::real AS sales_4w, coalesce(here.sales_13w, 0)::real AS sales_13w,
       coalesce(here.quantity_1w, 0)::real AS quantity_1w, coalesce(here.quantity_4w, 0)::real AS quantity_4w, coalesce(here.quantity_13w, 0)::real AS quantity_13w,
       coalesce(here.households_1w, 0)::real AS households_1w, coalesce(here.households_4w, 0)::real AS households_4w, coalesce(here.households_13w, 0)::real AS households_13w,
       (here.discount_1w / nullif(here.sales_1w + here.discount_1w, 0))::real AS discount_1w,
       (here.discount_4w / nullif(here.sales_4w + here.discount_4w, 0))::real AS discount_4w,
       (here.discount_13w / nullif(here.sales_13w + here.discount_13w, 0))::real AS discount_13w,
       (here.sales_1w / nullif(here.quantity_1w, 0))::real AS price_1w,
       (here.sales_4w / nullif(here.quantity_4w, 0))::real AS price_4w,
       (here.sales_13w / nullif(here.quantity_13w, 0))::real AS price_13w,

       everywhere.all_sales_1w, everywhere.all_sales_4w, everywhere.all_sales_13w,
       everywhere.all_quantity_1w, everywhere.all_quantity_4w, everywhere.all_quantity_13w,
       everywhere.all_households_1w, everywhere.all_households_4w, everywhere.all_households_13w,
       everywhere.all_discount_1w, everywhere.all_discount_4w, everywhere.all_discount_13w,
       everywhere.all_price_1w, everywhere.all_price_4w, everywhere.all_price_13w,

       coalesce(categories.sales_4w, 0)::real AS category_sales_4w,
       coalesce(categories.quantity_4w, 0)::real AS category_quantity_4w,
       coalesce(categories.households_4w, 0)::real AS category_households_4w,

       everywhere.weeks_since_launch,
       everywhere.regions_sold,
       everywhere.category,
       everywhere.brand,
       everywhere.department,

       CASE WHEN everywhere.week < calendar.last_week THEN coalesce(next.households, 0) > 0 END AS purchased
FROM everywhere
CROSS JOIN calendar
CROSS JOIN regions
LEFT JOIN windows AS here
       ON here.product_id = everywhere.product_id AND here.week = everywhere.week AND here.region = regions.region
LEFT JOIN weekly AS next
       ON next.product_id = everywhere.product_id AND next.week = everywhere.week + 7 AND next.region = regions.region
LEFT JOIN categories
       ON categories.category_id = everywhere.category_id AND categories.week = everywhere.week
      AND categories.region = regions.region;

\echo primary key
ALTER TABLE launch_features ADD PRIMARY KEY (product_id, region, week);
CREATE INDEX ON launch_features (week);

COMMENT ON TABLE launch_features IS 'New products by region and week, as known at the end of the week';
COMMENT ON COLUMN launch_features.week IS 'Monday of the week; everything but purchased is known when it ends';
COMMENT ON COLUMN launch_features.sales_1w IS 'Here: sales of the product in the region over 1, 4, 13 weeks; all_…: in all regions; category_…: its category in the region';
COMMENT ON COLUMN launch_features.households_1w IS 'Distinct households that bought it';
COMMENT ON COLUMN launch_features.discount_1w IS 'Discount as a share of the undiscounted value; NULL without sales';
COMMENT ON COLUMN launch_features.price_1w IS 'Average price paid for one; NULL without sales';
COMMENT ON COLUMN launch_features.regions_sold IS 'Number of regions it has been sold in so far';
COMMENT ON COLUMN launch_features.purchased IS 'Bought in the region in the week after; NULL while that week is not over';

COMMIT;
VACUUM ANALYZE launch_features;
