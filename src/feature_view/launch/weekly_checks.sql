-- What is wrong with the sales and the list of stores.
-- $1 and $2: the Mondays of the first and the last week that are computed.
WITH listed_twice AS (
    SELECT t.{store_id}::text AS store, count(*) AS times
    FROM {stores} AS t WHERE t.{store_id} IS NOT NULL GROUP BY t.{store_id} HAVING count(*) > 1
    ORDER BY 2 DESC, 1 LIMIT 1
), unusable AS (
    SELECT count(*) FILTER (WHERE s.{sold_at} IS NOT NULL AND NOT ({plausible_sale})) AS implausible,
           count(*) FILTER (WHERE {plausible_sale} AND s.{sold_at} > {now_of_sales}) AS future,
           count(*) FILTER (WHERE s.{product_id} IS NULL OR s.{sold_at} IS NULL) AS incomplete
    FROM {sales} AS s
    WHERE NOT ({plausible_sale}) OR s.{sold_at} > {now_of_sales} OR s.{product_id} IS NULL OR s.{sold_at} IS NULL
), stores AS (
    SELECT DISTINCT ON (t.{store_id}) t.{store_id} AS store_id, {listed_region} AS region
    FROM {stores} AS t WHERE t.{store_id} IS NOT NULL
), unlisted AS (
    SELECT sum(s.lines) AS lines, sum(s.lines) FILTER (WHERE t.region IS NULL) AS without,
           min(s.store_id::text) FILTER (WHERE t.region IS NULL) AS store, sum(s.paid_returns) AS paid_returns,
           sum(s.no_amounts) AS no_amounts, min(s.no_amount) AS no_amount
    FROM (
        SELECT s.{store_id} AS store_id, count(*) AS lines,
               count(*) FILTER (WHERE s.{quantity} < 0 AND s.{amount} > 0) AS paid_returns,
               count(*) FILTER (WHERE {no_amount}) AS no_amounts,
               min(format('{amounts_format} of product %s', {amounts}, s.{product_id})) FILTER (WHERE {no_amount}) AS no_amount
        FROM {sales} AS s
        WHERE s.{sold_at} >= {start_of_first} AND s.{sold_at} < {end_of_last} AND {plausible_sale}
        GROUP BY 1
    ) AS s LEFT JOIN stores AS t ON t.store_id = s.store_id
)
SELECT 'error' AS severity, format('store %s is listed %s times in %s', store, times, {stores_name}) AS message,
       format('A store belongs to one region: keep one row for each %s.', {store_column}) AS hint
FROM listed_twice
UNION ALL
(SELECT 'error', format('store %s of %s is of a region that is called %s, which is the region of unlisted stores', store_id, {stores_name}, region),
        'Call it otherwise, or create the view with another value of unlisted_stores.'
FROM stores WHERE region = {own_region} LIMIT 1)
UNION ALL
SELECT 'error', format('%s rows of %s have a number that no sale has, such as %s', no_amounts, {sales_name}, no_amount),
       'It is not a number, or further than 1e15 from 0: correct it, or name a view of sales that leaves it out.'
FROM unlisted WHERE no_amounts > 0
UNION ALL
SELECT {unlisted_severity},
       format('%s of %s sales lines (%s %%) are of stores without a region in %s, such as store %s', without, lines,
              round(100 * without / lines, 1), {stores_name}, coalesce(store, 'NULL')),
       {unlisted_hint}
FROM unlisted WHERE without > 0
UNION ALL
SELECT 'warning', format('%s of %s sales lines of %s have a negative %s and a positive %s: they raise sales', paid_returns, lines, {sales_name},
              {quantity_column}, {amount_column}), 'The amount of a return is negative: name a view in which it is.'
FROM unlisted WHERE paid_returns > 0
UNION ALL
SELECT 'warning', format('%s rows of %s have a %s before {earliest} or after {latest}; they are left out', implausible, {sales_name}, {sold_column}),
       'Which days are plausible is said by the arguments earliest and latest.'
FROM unusable WHERE implausible > 0
UNION ALL
SELECT 'warning', format('%s rows of %s have a %s in the future; they are left out until then', future, {sales_name}, {sold_column}), NULL
FROM unusable WHERE future > 0
UNION ALL
SELECT 'warning', format('%s rows of %s have no %s or no %s; they are left out', incomplete, {sales_name}, {product_column}, {sold_column}), NULL
FROM unusable WHERE incomplete > 0
