-- What PostgREST serves: POST /rpc/recommend with {"product_id": 1, "region": "r1"}, or GET with the same as parameters.
--
-- reco_web, who a request is, may call this one function and nothing else: no table, no other function of the extension. The
-- function does its work as reco_web_reader, who gets what the model needs once there is a model (docker/README.md).
BEGIN;
CREATE ROLE reco_web NOLOGIN;
CREATE ROLE reco_web_reader NOLOGIN;
GRANT reco_web TO authenticator;
ALTER ROLE authenticator SET default_transaction_read_only = on;
ALTER ROLE authenticator SET statement_timeout = '5s';
GRANT USAGE ON SCHEMA reco TO reco_web_reader;

CREATE SCHEMA api;
COMMENT ON SCHEMA api IS 'What is reached by HTTP, through PostgREST';
GRANT USAGE ON SCHEMA api TO reco_web;

CREATE FUNCTION api.recommend(product_id bigint, region text) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT reco.recommend($1, $2)';
COMMENT ON FUNCTION api.recommend(bigint, text) IS
    'Probability that the product is bought in the region in the week after its newest features, from the champion or the arm of a running test; null without features';
ALTER FUNCTION api.recommend(bigint, text) OWNER TO reco_web_reader;
REVOKE ALL ON FUNCTION api.recommend(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.recommend(bigint, text) TO reco_web;

-- What PostgreSQL lets everybody do: temporary tables, and in PostgreSQL 14 and older also tables in public.
SELECT pg_catalog.format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', pg_catalog.current_database()) \gexec
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
COMMIT;
