-- Sales of each product in each region and week, as summaries that add up to longer times and wider places. Returned pieces are
-- taken off the sums; customers are those of purchases.
-- $1 and $2: the Mondays of the first and the last week.
SELECT s.product_id, {region_of_store} AS region, reco.week(s.moment) AS week,
       reco.sales_summary(s.amount, s.quantity, s.discount, CASE WHEN s.is_purchase THEN s.customer END, s.moment) AS sales,
       count(*) FILTER (WHERE s.is_purchase) AS purchases,
       coalesce(-(sum(s.quantity) FILTER (WHERE s.quantity < 0)), 0)::float8 AS returned
FROM (
    SELECT s.{product_id} AS product_id, s.{store_id} AS store_id, {moment} AS moment, s.{amount} AS amount,
           s.{quantity} AS quantity, {discount} AS discount, s.{customer} AS customer, {purchase} AS is_purchase
    FROM {sales} AS s
    WHERE s.{sold_at} >= {start_of_first} AND s.{sold_at} < {end_of_last} AND {plausible_sale} AND s.{product_id} IS NOT NULL
) AS s
{join_stores} {stores} AS t ON t.{store_id} = s.store_id
WHERE {region_of_store} IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
