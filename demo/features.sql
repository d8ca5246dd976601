-- Features of new products: a weekly, point-in-time feature store from the tables of sales, products and stores, and from
-- what is planned for the week to come.

\set ON_ERROR_STOP on
\set ECHO queries
CREATE EXTENSION IF NOT EXISTS pg_recommend;

SELECT reco.create_launch_features('launch_features',
    sales      => 'sales',
    products   => 'products',
    stores     => 'stores',
    amount     => 'sales_value',
    discount   => '{retail_disc,coupon_disc,coupon_match_disc}',
    customer   => 'household_id',
    category   => 'product_category',
    attributes => '{brand,department,product_type}',
    plans      => '{"table": "promotions", "shares": ["display", "mailer"]}');

SET work_mem = '256MB';
CALL reco.refresh_features('launch_features');
\set ECHO none
VACUUM ANALYZE launch_features;
