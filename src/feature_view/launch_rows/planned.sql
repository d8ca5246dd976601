-- What is planned for products, in their order.
SELECT product_id::{key_type} AS product_id, region::text, week::date{values}
FROM {plan} AS plan
ORDER BY product_id{collation}
