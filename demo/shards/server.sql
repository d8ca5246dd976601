-- On the coordinator, for one shard: its server and its tables, each a partition of the table of all regions.
--
--   psql -v shard=shard1 -v host=… -v port=… -v regions="'r0', 'r3'"

\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- extensions: functions of pg_recommend are computed there. async_capable: shards work at the same time. fetch_size: rows that
-- come are fetched by the ten thousand.
CREATE SERVER :"shard" FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host :'host', port :'port', dbname :'shard', extensions 'pg_recommend', async_capable 'true', fetch_size '10000');
CREATE USER MAPPING FOR CURRENT_USER SERVER :"shard" OPTIONS (user 'postgres');

CREATE SCHEMA :"shard";
IMPORT FOREIGN SCHEMA public LIMIT TO (sales, stores, promotions, launch_features, scores) FROM SERVER :"shard" INTO :"shard";

SELECT format('CREATE TABLE IF NOT EXISTS %1$I (LIKE %2$I.%1$I) PARTITION BY LIST (region)', t, :'shard'),
       format('ALTER TABLE %1$I ATTACH PARTITION %2$I.%1$I FOR VALUES IN (%3$s)', t, :'shard', :'regions')
FROM unnest('{sales,stores,promotions,launch_features,scores}'::text[]) AS t
\gexec
