-- Weekly sales in the order of products.
SELECT product_id::{key_type} AS product_id, region::text, week::date, purchases > 0 AS purchased, returned::float8,
       sales::reco.sales_summary
FROM {weekly} WHERE week BETWEEN $1 AND $2
ORDER BY product_id{collation}
