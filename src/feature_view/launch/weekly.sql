-- Sales of each product in each region and week, as summaries that add up to longer times and wider places.
-- $1 and $2: the Mondays of the first and the last week.
SELECT s.{product_id} AS product_id,
       t.{region}::text AS region,
       reco.week({moment}) AS week,
       reco.sales_summary(s.{amount}, s.{quantity}, {discount}, s.{customer}, {moment}) AS sales
FROM {sales} AS s
JOIN {stores} AS t ON t.{store_id} = s.{store_id}
WHERE s.{sold_at} >= {start_of_first} AND s.{sold_at} < {end_of_last}
  AND s.{product_id} IS NOT NULL AND t.{region} IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
