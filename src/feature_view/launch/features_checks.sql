-- What is wrong with the list of products. $1 and $2 are not used.
WITH listed_twice AS (
    SELECT p.{product_id}::text AS product, count(*) AS times
    FROM {products} AS p WHERE p.{product_id} IS NOT NULL GROUP BY p.{product_id} HAVING count(*) > 1
    ORDER BY 2 DESC, 1 LIMIT 1
), implausible AS (
    SELECT count(*) AS products FROM {products} AS p WHERE {launch_date} IS NOT NULL AND NOT ({plausible_launch})
)
SELECT 'error' AS severity, format('product %s is listed %s times in %s', product, times, {products_name}) AS message,
       format('Keep one row for each %s.', {product_column}) AS hint
FROM listed_twice
UNION ALL
SELECT 'warning', format('%s rows of %s have a launch date before {earliest} or after {latest}; they are taken to have none', products, {products_name}),
       'Which days are plausible is said by the arguments earliest and latest.'
FROM implausible WHERE products > 0
{plan_checks}