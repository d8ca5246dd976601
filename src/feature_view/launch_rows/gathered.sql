-- Weekly sales in the order of products; of those before $1 only in which week a product was first bought in a region.
SELECT product_id, region::text, week::date, purchases > 0 AS purchased, returned::float8, sales::reco.sales_summary
FROM (
    SELECT product_id::{key_type} AS product_id, region, week, purchases, returned, sales
    FROM {weekly} WHERE week BETWEEN $1 AND $2
    UNION ALL
    SELECT product_id::{key_type}, region, min(week), 1::bigint, 0::float8, NULL::reco.sales_summary
    FROM {weekly} WHERE week < $1 AND purchases > 0 GROUP BY product_id, region
) AS weekly
ORDER BY product_id{collation}
