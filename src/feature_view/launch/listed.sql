-- The products that are listed, each with the week of its launch if one is planned.
SELECT p.{product_id} AS product_id, {planned} AS planned, p.{category} AS category{listed_attributes}
FROM {products} AS p
