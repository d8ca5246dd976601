-- What each shard gets, as queries over the generated tables, and the same tables with all regions, on one server to compare
-- with.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS shards CASCADE;
CREATE SCHEMA shards;

-- The products of the first eight weeks were there before.
CREATE VIEW shards.products AS
SELECT p.product_id, p.department, p.brand, p.product_category,
       CASE WHEN f.first_sold >= date '2017-02-27' THEN f.first_sold ELSE date '2016-01-04' END AS launched_on
FROM products AS p
LEFT JOIN (SELECT product_id, min(sold_at)::date AS first_sold FROM sales GROUP BY product_id) AS f USING (product_id);

CREATE VIEW shards.stores AS SELECT store_id, region FROM stores;
CREATE VIEW shards.promotions AS SELECT product_id, region, week, display, mailer FROM promotions;
CREATE VIEW shards.sales AS
SELECT t.region, s.store_id, s.household_id, s.product_id, s.quantity, s.sales_value,
       s.retail_disc + s.coupon_disc + s.coupon_match_disc AS discount, s.sold_at
FROM sales AS s JOIN stores AS t USING (store_id);
