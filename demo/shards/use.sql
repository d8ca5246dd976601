-- What is asked of the coordinator: summaries that the shards make, a model over the rows of all of them.

\set ON_ERROR_STOP on
\pset footer off
\pset linestyle unicode
\set ECHO queries

-- The shards make the summaries: each line of Remote SQL has the aggregate
EXPLAIN (VERBOSE, COSTS OFF)
SELECT region, reco.sales_summary(sales_value, quantity, discount, household_id, sold_at) FROM sales GROUP BY region;

SELECT region, round(reco.total_sales(s)::numeric) AS sales, reco.unique_customers(s) AS customers
FROM (SELECT region, reco.sales_summary(sales_value, quantity, discount, household_id, sold_at) AS s FROM sales GROUP BY region) AS r
ORDER BY region;

-- Of all regions together, merged from what the shards have made
SELECT product_id, round(reco.total_sales(reco.rollup(s))::numeric) AS sales, reco.unique_customers(reco.rollup(s)) AS customers
FROM (SELECT product_id, region, reco.sales_summary(sales_value, quantity, discount, household_id, sold_at) AS s
      FROM sales GROUP BY product_id, region) AS p
GROUP BY product_id ORDER BY sales DESC LIMIT 3;

-- A model over the rows of all shards
CALL reco.train('launch', 'launch_features', 'purchased', keys => '{product_id,region}');

SELECT rank, product_id, round(score::numeric, 4) AS score FROM reco.top_products('r1', 5);

-- Which setting would have it pull rows
SELECT item, ok, detail FROM reco.check_setup() WHERE item = 'foreign servers';
