-- The coordinator: no rows of its own but the list of products, and the version that it gives to the shards.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_recommend;
CREATE EXTENSION postgres_fdw;
ALTER DATABASE shards SET enable_partitionwise_aggregate = on;

CREATE TABLE products (
    product_id       bigint PRIMARY KEY,
    department       text,
    brand            text,
    product_category text,
    launched_on      date
);

CREATE VIEW trained AS SELECT reco.export_model('launch') AS artifact;
