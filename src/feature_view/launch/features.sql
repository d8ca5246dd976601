-- New products in every region that trades, as known at the end of each week.
-- A product is bought where a line is a purchase; returned pieces only reduce sales and quantity.
-- $1 and $2: the Mondays of the first and the last week. Only the label looks further than its row's own week.
WITH available (first, complete) AS MATERIALIZED (
    {available}
), weeks AS MATERIALIZED (
    SELECT $1 + 7 * n AS week FROM generate_series(0, ($2 - $1) / 7) AS n
), first_sales AS MATERIALIZED (
    -- What was only ever returned has no first sale, but counts for its category.
    SELECT product_id, min(week) FILTER (WHERE purchases > 0) AS week FROM {weekly} WHERE week <= $2 GROUP BY product_id
), regions AS MATERIALIZED (
    SELECT region, min(week) AS since FROM {weekly} WHERE week <= $2 AND purchases > 0 GROUP BY region
), known AS MATERIALIZED (
    -- Products that are sold and those that are listed; the ones without a category are a category of their own.
    SELECT coalesce(f.product_id, p.{product_id}) AS product_id, f.week AS first_sale, {planned} AS planned,
           p.{category} AS category, coalesce(p.{category}::text, '') AS category_key{listed_attributes}
    FROM first_sales AS f FULL JOIN {products} AS p ON p.{product_id} = f.product_id
    WHERE coalesce(f.product_id, p.{product_id}) IS NOT NULL
), launches AS MATERIALIZED (
    -- The data begin in the middle of things: what shows up in their first weeks was most likely sold before.
    SELECT k.*, coalesce(k.planned, k.first_sale) AS launch
    FROM known AS k CROSS JOIN available AS a
    WHERE k.planned IS NOT NULL OR k.first_sale >= reco.week(a.first) + 7 * {warm_up_weeks}
), candidates AS MATERIALIZED (
    -- A planned launch is known before it happens: its first row is that of the week before.
    SELECT l.*, w.week, (w.week - l.launch) / 7 AS age
    FROM launches AS l
    JOIN weeks AS w ON w.week BETWEEN l.launch - 7 * (l.planned IS NOT NULL)::int
                                  AND l.launch + 7 * ({launch_weeks} - 1)
), sold AS MATERIALIZED (
    -- By region, and everywhere (no region). The trend is the least-squares slope of the weekly quantity over the
    -- n = least({quarter}, age + 1) weeks since the launch, weeks without sales counting as 0:
    -- sum((x - mean of x) * y) / sum((x - mean of x)^2), the latter being n * (n^2 - 1) / 12.
    SELECT c.product_id, s.region, c.week,
           reco.total_sales(reco.rollup(s.sales) FILTER (WHERE s.week = c.week))::real AS sales_1w,
           reco.total_sales(reco.rollup(s.sales) FILTER (WHERE s.week > c.week - {days_of_month}))::real AS sales_4w,
           reco.total_sales(reco.rollup(s.sales))::real AS sales_13w,
           reco.total_quantity(reco.rollup(s.sales) FILTER (WHERE s.week = c.week))::real AS quantity_1w,
           reco.total_quantity(reco.rollup(s.sales) FILTER (WHERE s.week > c.week - {days_of_month}))::real AS quantity_4w,
           reco.total_quantity(reco.rollup(s.sales))::real AS quantity_13w,
           reco.unique_customers(reco.rollup(s.sales) FILTER (WHERE s.week = c.week))::real AS customers_1w,
           reco.unique_customers(reco.rollup(s.sales) FILTER (WHERE s.week > c.week - {days_of_month}))::real AS customers_4w,
           reco.unique_customers(reco.rollup(s.sales))::real AS customers_13w,
           reco.discount_rate(reco.rollup(s.sales) FILTER (WHERE s.week = c.week))::real AS discount_1w,
           reco.discount_rate(reco.rollup(s.sales) FILTER (WHERE s.week > c.week - {days_of_month}))::real AS discount_4w,
           reco.discount_rate(reco.rollup(s.sales))::real AS discount_13w,
           reco.avg_price(reco.rollup(s.sales) FILTER (WHERE s.week = c.week))::real AS price_1w,
           reco.avg_price(reco.rollup(s.sales) FILTER (WHERE s.week > c.week - {days_of_month}))::real AS price_4w,
           reco.avg_price(reco.rollup(s.sales))::real AS price_13w,
           reco.total_sales(reco.sales_summary(s.returned, {no_more}))::real AS returned_13w, sum(s.purchases) AS purchases,
           (reco.total_sales(reco.sales_summary(reco.total_quantity(s.sales) * ((s.week - c.week) / 7 + (least({quarter}, c.age + 1) - 1) / 2.0), {no_more})
                             FILTER (WHERE s.week >= c.launch))
            * 12 / nullif(min(least({quarter}, c.age + 1) * (least({quarter}, c.age + 1) ^ 2 - 1)), 0))::real AS trend
    FROM candidates AS c
    JOIN {weekly} AS s ON s.product_id = c.product_id AND s.week BETWEEN c.week - {rest_of_quarter} AND c.week
    WHERE s.week BETWEEN $1 - {rest_of_quarter} AND $2
    GROUP BY GROUPING SETS ((c.product_id, s.region, c.week), (c.product_id, c.week))
), trading AS MATERIALIZED (
    SELECT w.week, count(*) AS regions FROM weeks AS w JOIN regions AS r ON r.since <= w.week GROUP BY w.week
), spread AS MATERIALIZED (
    SELECT product_id, week, count(*) AS regions FROM sold WHERE region IS NOT NULL AND purchases > 0 GROUP BY product_id, week
), category_weeks AS MATERIALIZED (
    SELECT k.category_key, s.region, s.week, reco.rollup(s.sales) AS sales
    FROM {weekly} AS s JOIN known AS k ON k.product_id = s.product_id
    WHERE s.week BETWEEN $1 - {rest_of_month} AND $2
    GROUP BY k.category_key, s.region, s.week
), categories AS MATERIALIZED (
    SELECT c.category_key, c.region, w.week,
           reco.total_sales(reco.rollup(c.sales))::real AS sales_4w,
           reco.total_quantity(reco.rollup(c.sales))::real AS quantity_4w,
           reco.unique_customers(reco.rollup(c.sales))::real AS customers_4w,
           reco.avg_price(reco.rollup(c.sales))::real AS price_4w
    FROM category_weeks AS c JOIN weeks AS w ON c.week BETWEEN w.week - {rest_of_month} AND w.week
    GROUP BY c.category_key, c.region, w.week
), cohorts AS MATERIALIZED (
    SELECT category_key, launch, count(*) AS launches FROM launches GROUP BY category_key, launch
), first_months AS MATERIALIZED (
    -- Sums are those of summaries, which do not depend on the order of the rows.
    -- What the launches of a category and week sold in a region in their first four weeks.
    SELECT category_key, launch, region, count(*) FILTER (WHERE purchases > 0) AS sold, reco.rollup(quantity) AS quantity
    FROM (
        SELECT l.category_key, l.launch, s.region, l.product_id, reco.sales_summary(reco.total_quantity(s.sales), {no_more}) AS quantity,
               sum(s.purchases) AS purchases
        FROM launches AS l
        JOIN {weekly} AS s ON s.product_id = l.product_id AND s.week BETWEEN l.launch AND l.launch + {rest_of_month}
        WHERE s.week <= $2
        GROUP BY l.category_key, l.launch, s.region, l.product_id
    ) AS products
    GROUP BY category_key, launch, region
), launched AS MATERIALIZED (
    -- Launches of the last year whose first four weeks are over, and the category's share of all of them: their number
    -- would tell the date as long as the data are younger than a year.
    SELECT c.category_key, w.week, sum(c.launches) AS launches,
           sum(c.launches) / sum(sum(c.launches)) OVER (PARTITION BY w.week) AS share
    FROM cohorts AS c JOIN weeks AS w ON c.launch BETWEEN w.week - {days_of_year} AND w.week - {rest_of_month}
    GROUP BY c.category_key, w.week
), succeeded AS MATERIALIZED (
    SELECT m.category_key, m.region, w.week, sum(m.sold) AS sold, reco.total_sales(reco.rollup(m.quantity)) AS quantity
    FROM first_months AS m JOIN weeks AS w ON m.launch BETWEEN w.week - {days_of_year} AND w.week - {rest_of_month}
    GROUP BY m.category_key, m.region, w.week
), everywhere AS MATERIALIZED (
    -- What is the same for all regions.
    SELECT c.product_id, c.week, c.age, c.category, c.category_key{candidate_attributes},
           coalesce(s.sales_1w, 0)::real AS all_sales_1w, coalesce(s.sales_4w, 0)::real AS all_sales_4w, coalesce(s.sales_13w, 0)::real AS all_sales_13w,
           coalesce(s.quantity_1w, 0)::real AS all_quantity_1w, coalesce(s.quantity_4w, 0)::real AS all_quantity_4w, coalesce(s.quantity_13w, 0)::real AS all_quantity_13w,
           coalesce(s.customers_1w, 0)::real AS all_customers_1w, coalesce(s.customers_4w, 0)::real AS all_customers_4w, coalesce(s.customers_13w, 0)::real AS all_customers_13w,
           s.discount_1w AS all_discount_1w, s.discount_4w AS all_discount_4w, s.discount_13w AS all_discount_13w,
           s.price_1w AS all_price_1w, s.price_4w AS all_price_4w, s.price_13w AS all_price_13w,
           coalesce(s.returned_13w, 0)::real AS all_returned_13w, s.price_4w, coalesce(s.trend, 0)::real AS all_trend,
           coalesce(p.regions, 0)::real AS regions_sold,
           (coalesce(p.regions, 0) / t.regions::real)::real AS regions_share,
           l.launches, coalesce(l.share, 0)::real AS category_launch_share
    FROM candidates AS c
    JOIN trading AS t ON t.week = c.week
    LEFT JOIN sold AS s ON s.product_id = c.product_id AND s.week = c.week AND s.region IS NULL
    LEFT JOIN spread AS p ON p.product_id = c.product_id AND p.week = c.week
    LEFT JOIN launched AS l ON l.category_key = c.category_key AND l.week = c.week
){plan_steps}
SELECT e.product_id, r.region, e.week,

       coalesce(here.sales_1w, 0)::real AS sales_1w, coalesce(here.sales_4w, 0)::real AS sales_4w, coalesce(here.sales_13w, 0)::real AS sales_13w,
       coalesce(here.quantity_1w, 0)::real AS quantity_1w, coalesce(here.quantity_4w, 0)::real AS quantity_4w, coalesce(here.quantity_13w, 0)::real AS quantity_13w,
       coalesce(here.customers_1w, 0)::real AS customers_1w, coalesce(here.customers_4w, 0)::real AS customers_4w, coalesce(here.customers_13w, 0)::real AS customers_13w,
       here.discount_1w, here.discount_4w, here.discount_13w,
       here.price_1w, here.price_4w, here.price_13w,
       coalesce(here.returned_13w, 0)::real AS returned_13w,
       e.all_sales_1w, e.all_sales_4w, e.all_sales_13w,
       e.all_quantity_1w, e.all_quantity_4w, e.all_quantity_13w,
       e.all_customers_1w, e.all_customers_4w, e.all_customers_13w,
       e.all_discount_1w, e.all_discount_4w, e.all_discount_13w,
       e.all_price_1w, e.all_price_4w, e.all_price_13w, e.all_returned_13w,

       coalesce(c.sales_4w, 0)::real AS category_sales_4w,
       coalesce(c.quantity_4w, 0)::real AS category_quantity_4w,
       coalesce(c.customers_4w, 0)::real AS category_customers_4w,
       (e.price_4w / nullif(c.price_4w, 0))::real AS price_to_category,
       e.category_launch_share,
       (coalesce(m.sold, 0) / e.launches)::real AS category_launches_sold,
       (coalesce(m.quantity, 0) / e.launches::float8)::real AS category_launch_quantity,

       e.age::real AS weeks_since_launch,
       coalesce(here.trend, 0)::real AS trend, e.all_trend,
       e.regions_sold, e.regions_share,
       sin(2 * pi() * date_part('doy', e.week) / 365.25)::real AS season_sin,
       cos(2 * pi() * date_part('doy', e.week) / 365.25)::real AS season_cos,
       e.category{attributes}{planned_features},

       CASE WHEN e.week + {to_end_of_label} <= a.complete THEN coalesce(next.purchases > 0, false) END AS purchased
FROM everywhere AS e
CROSS JOIN available AS a
JOIN regions AS r ON r.since <= e.week
LEFT JOIN sold AS here ON here.product_id = e.product_id AND here.week = e.week AND here.region = r.region
LEFT JOIN categories AS c ON c.category_key = e.category_key AND c.week = e.week AND c.region = r.region
LEFT JOIN succeeded AS m ON m.category_key = e.category_key AND m.week = e.week AND m.region = r.region
LEFT JOIN {weekly} AS next
       ON next.product_id = e.product_id AND next.region = r.region AND next.week = e.week + {to_label}
{plan_joins}