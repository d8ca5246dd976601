-- The listed products, in the order of the view's primary key. Those without a category are a category of their own.
SELECT *
FROM (
    SELECT p.product_id::{key_type} AS product_id, p.planned, coalesce(p.category::text, '') AS category_key{carried}
    FROM {products} AS p
    WHERE p.product_id IS NOT NULL
) AS listed
ORDER BY product_id{collation}
