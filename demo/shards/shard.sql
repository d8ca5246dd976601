-- A shard: the sales, stores and promotions of its regions, the list of all products, and a feature view over them.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_recommend;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
DROP TABLE IF EXISTS sales, stores, promotions, products, launch_features, launch_features_weekly CASCADE;

-- When a product is launched is written down: the first sale in the regions of a shard need not be the first of all.
CREATE TABLE products (
    product_id       bigint PRIMARY KEY,
    department       text,
    brand            text,
    product_category text,
    launched_on      date
);

CREATE TABLE stores (
    store_id bigint PRIMARY KEY,
    region   text NOT NULL
);

CREATE TABLE promotions (
    product_id bigint NOT NULL,
    region     text NOT NULL,
    week       date NOT NULL,
    display    real NOT NULL,
    mailer     real NOT NULL
);

CREATE TABLE sales (
    region       text NOT NULL,
    store_id     bigint NOT NULL,
    household_id bigint NOT NULL,
    product_id   bigint NOT NULL,
    quantity     integer NOT NULL,
    sales_value  numeric(10, 2) NOT NULL,
    discount     numeric(10, 2) NOT NULL,
    sold_at      timestamp NOT NULL
);
COMMENT ON TABLE sales IS 'One row for each product in each basket, with its region, which is the partition key of the coordinator';

SELECT reco.create_launch_features('launch_features',
    sales       => 'sales',
    products    => 'products',
    stores      => 'stores',
    amount      => 'sales_value',
    discount    => '{discount}',
    customer    => 'household_id',
    category    => 'product_category',
    attributes  => '{brand,department}',
    launch_date => 'launched_on',
    plans       => '{"table": "promotions", "shares": ["display", "mailer"]}') \g (format=unaligned tuples_only=on)

-- What the shard says of its newest rows, and by which version. It has no row before there is a version.
CREATE VIEW scores AS
SELECT f.product_id, f.region, f.week, m.champion AS version, reco.predict('launch', f) AS score
FROM launch_features AS f, reco.models AS m
WHERE m.model = 'launch' AND f.week = (SELECT max(week) FROM launch_features);

-- Where versions come from. Host and port are psql's variables: -v host=… -v port=…
DROP SERVER IF EXISTS coordinator CASCADE;
CREATE SERVER coordinator FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'host', port :'port', dbname 'shards');
CREATE USER MAPPING FOR CURRENT_USER SERVER coordinator OPTIONS (user 'postgres');
CREATE FOREIGN TABLE trained (artifact bytea) SERVER coordinator;
