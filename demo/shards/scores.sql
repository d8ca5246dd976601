-- Once the shards have the version: each scores its own rows, and of the best only few come over.

\set ON_ERROR_STOP on
\pset footer off
\pset linestyle unicode
\set ECHO queries

SELECT product_id, version, round(score::numeric, 4) AS score
FROM scores WHERE region = 'r1' ORDER BY scores.score DESC LIMIT 5;

-- One version everywhere
SELECT count(*) AS rows, array_agg(DISTINCT version) AS versions FROM scores;
