-- All products that are known, those that are sold and those that are listed, in the order of the view's primary key. Products
-- without a category are a category of their own.
SELECT *
FROM (
    SELECT coalesce(f.product_id, p.product_id)::{key_type} AS product_id, p.planned,
           coalesce(p.category::text, '') AS category_key{carried}
    FROM (SELECT DISTINCT product_id FROM {weekly}) AS f FULL JOIN ({products}) AS p ON p.product_id = f.product_id
) AS known
WHERE product_id IS NOT NULL
ORDER BY product_id{collation}
