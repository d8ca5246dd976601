-- A/B tests: which versions share a model's traffic, what was shown, and what came of it. Scoring reads `ab_test` and `ab_arm`
-- through their primary keys; src/catalog/read.rs names the columns it relies on. A test's arms, shares, unit, regions and
-- salt never change, so that a key keeps its arm.

CREATE TABLE ab_test (
    test        text COLLATE "C" PRIMARY KEY CHECK (octet_length(test) BETWEEN 1 AND 63),
    model       text COLLATE "C" NOT NULL,
    unit        text COLLATE "C" NOT NULL CHECK (unit IN ('region', 'product', 'pair', 'key')),
    regions     text[] CHECK (cardinality(regions) > 0),
    salt        text COLLATE "C" NOT NULL,
    status      text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'stopped')),
    started_by  name NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    stopped_by  name,
    stopped_at  timestamptz,
    winner      text COLLATE "C",
    why         text
);
COMMENT ON TABLE ab_test IS 'A/B tests; the champion''s row of the table alias names the one that runs';
COMMENT ON COLUMN ab_test.unit IS 'What is assigned to an arm as a whole; pair: a product in a region; key: a key of the caller''s own';
COMMENT ON COLUMN ab_test.regions IS 'The regions that take part, NULL for all of them; in others the champion scores';
COMMENT ON COLUMN ab_test.salt IS 'Goes into the hash of every key';
COMMENT ON COLUMN ab_test.winner IS 'The arm whose version was promoted when it was stopped; NULL where none was';
CREATE INDEX ab_test_model ON ab_test (model);

CREATE TABLE ab_arm (
    test      text COLLATE "C" NOT NULL,
    position  integer NOT NULL CHECK (position > 0),
    arm       text COLLATE "C" NOT NULL CHECK (octet_length(arm) BETWEEN 1 AND 63),
    version   integer NOT NULL,
    share     double precision NOT NULL CHECK (share > 0 AND share < 1),
    PRIMARY KEY (test, position),
    UNIQUE (test, arm)
);
COMMENT ON TABLE ab_arm IS 'The arms of every A/B test: which version, for which share of the keys';
COMMENT ON COLUMN ab_arm.position IS 'From 1, which is the control that the others are compared with';

CREATE TABLE recommendation (
    test        text COLLATE "C" NOT NULL,
    week        date NOT NULL,
    region      text COLLATE "C" NOT NULL,
    product_id  text COLLATE "C" NOT NULL,
    ab_key      text COLLATE "C" NOT NULL,
    arm         text COLLATE "C" NOT NULL,
    model       text COLLATE "C" NOT NULL,
    version     integer NOT NULL,
    score       double precision NOT NULL,
    shown_by    name NOT NULL,
    shown_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (test, week, region, product_id, ab_key)
);
COMMENT ON TABLE recommendation IS 'What A/B tests have shown; the primary key makes logging a thing twice the same as once';
COMMENT ON COLUMN recommendation.week IS 'That of the feature row which was scored';
COMMENT ON COLUMN recommendation.ab_key IS 'The caller''s own key where these are assigned, else empty';

SELECT pg_catalog.pg_extension_config_dump('ab_test', '');
SELECT pg_catalog.pg_extension_config_dump('ab_arm', '');
SELECT pg_catalog.pg_extension_config_dump('recommendation', '');

CREATE VIEW ab_tests WITH (security_barrier) AS
SELECT t.test, t.model, t.status, t.unit, t.regions, t.winner, t.why, t.salt, t.started_by, t.started_at, t.stopped_by,
       t.stopped_at
FROM ab_test t
WHERE has_model_privilege(t.model, 'score');
COMMENT ON VIEW ab_tests IS 'The A/B tests of models that one may score with';

CREATE VIEW ab_arms WITH (security_barrier) AS
SELECT a.test, t.model, a.position, a.arm, a.version, a.share, a.position = 1 AS control
FROM ab_arm a JOIN ab_test t USING (test)
WHERE has_model_privilege(t.model, 'score');
COMMENT ON VIEW ab_arms IS 'The arms of A/B tests of models that one may score with: version and share';

GRANT SELECT ON ab_tests, ab_arms TO PUBLIC;

-- Rows of others' logs are not for everybody: row security may hide their keys.
CREATE VIEW recommendations WITH (security_barrier) AS
SELECT r.test, r.arm, r.model, r.version, r.week, r.region, r.product_id, r.ab_key, r.score, r.shown_by, r.shown_at
FROM recommendation r
WHERE (r.shown_by = current_user AND has_model_privilege(r.model, 'score'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW recommendations IS 'What A/B tests have shown and one has logged oneself; to superusers all';
GRANT SELECT ON recommendations TO PUBLIC;

-- From start to stop.
CREATE FUNCTION start_ab_test(name text, model text, arms jsonb, regions text[] DEFAULT NULL, unit text DEFAULT 'pair',
                              salt text DEFAULT NULL) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'start_ab_test_wrapper';
COMMENT ON FUNCTION start_ab_test(text, text, jsonb, text[], text, text) IS
'Starts an A/B test: from the commit on, recommend() scores every key with the version of its arm. name: of the test, unique for
ever. arms: a JSON array, the control first, of objects with arm (a name), version and share; shares add up to 1. regions:
those that take part, NULL for all; in others the champion scores. unit: what is assigned as a whole: region, product, pair
(a product in a region) or key (the ab_key that recommend is given). salt: goes into the hash of every key; by default the
name, so that two tests do not depend on each other. Arms, shares and unit stay as they are until the test is stopped. One
test a model at a time. Every version needs a source with a date as its time column, and to predict a probability. For
those who manage the model.';

CREATE FUNCTION stop_ab_test(name text, winner text DEFAULT NULL, why text DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'stop_ab_test_wrapper';
COMMENT ON FUNCTION stop_ab_test(text, text, text) IS
'Stops an A/B test and returns the champion''s version. winner: the arm whose version is promoted in the same transaction, with
its row in the history; NULL leaves the champion as it is. why: kept with the test and in the history, at
most 10,000 characters. Arms, what was
shown and the report stay. For those who manage the model.';

-- Which arm a key falls to.
CREATE FUNCTION ab_arm(test text, product_id bigint, region text) RETURNS text
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'ab_arm_bigint_wrapper';
COMMENT ON FUNCTION ab_arm(text, bigint, text) IS
'The arm of an A/B test that a product in a region falls to, also of a test that was stopped; NULL in regions that do not take
part, or if an argument is NULL. A hash of salt and key: the same in every session, on every standby and machine. For
those who may score with the model.';

CREATE FUNCTION ab_arm(test text, product_id text, region text) RETURNS text
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'ab_arm_text_wrapper';
COMMENT ON FUNCTION ab_arm(text, text, text) IS
'The same for a product_id that is text. A number and its digits as text are one product.';

CREATE FUNCTION ab_arm(test text, key text) RETURNS text
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'ab_arm_key_wrapper';
COMMENT ON FUNCTION ab_arm(text, text) IS
'The arm that a key of the caller''s own falls to, in a test of unit key. An error in a test of another unit.';

-- What was shown, and what came of it.
CREATE FUNCTION log_recommendations(product_ids text[], regions text[], model text DEFAULT NULL,
                                    as_of date DEFAULT NULL, ab_keys text[] DEFAULT NULL) RETURNS bigint
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'log_recommendations_wrapper';
COMMENT ON FUNCTION log_recommendations(text[], text[], text, date, text[]) IS
'Stores what the model''s running A/B test shows of these keys, and returns how many were not stored before. product_ids, regions
and ab_keys (of a test of unit key): one element for each key, at most 1048576; NULLs are left out. Arm, version, week and
score are found here, as recommend() finds them, with the caller''s rights. Keys that do not take part or have no row are left
out; where no test runs, nothing is stored. Called twice, it stores a key once a week of its rows. model, as_of: as in
recommend(). For those who may score with the model.';

CREATE FUNCTION log_recommendations(product_ids bigint[], regions text[], model text DEFAULT NULL, as_of date DEFAULT NULL,
                                    ab_keys text[] DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$ SELECT @extschema@.log_recommendations($1::pg_catalog.text[], $2, $3, $4, $5) $$;
COMMENT ON FUNCTION log_recommendations(bigint[], text[], text, date, text[]) IS 'The same for product_ids that are bigint.';

CREATE FUNCTION ab_report(name text, confidence double precision DEFAULT 0.95)
RETURNS TABLE (region text, arm text, version integer, share double precision, units bigint, exposures bigint,
               outcomes bigint, purchases bigint, rate double precision, mean_score double precision,
               auroc double precision, lift double precision, lift_low double precision, lift_high double precision,
               p_value double precision, always_low double precision, always_high double precision,
               always_p_value double precision, split_p_value double precision, warning text)
STABLE PARALLEL RESTRICTED COST 10000 ROWS 20
LANGUAGE c AS 'MODULE_PATHNAME', 'ab_report_wrapper';
COMMENT ON FUNCTION ab_report(text, double precision) IS
'What an A/B test has shown and what came of it: a row for each arm over all regions (region NULL), then for each region.
exposures: what was logged; outcomes: how many of them have a label by now, in the source of the arm''s version; purchases and
rate: of those. units: what was assigned as a whole. lift: the rate over that of the first arm, less 1; lift_low, lift_high,
p_value: at the given confidence, for one look. always_low, always_high, always_p_value: the same, valid however often one
looks and whenever one stops (mixture sequential test). The rows of a unit count as one observation. NULL where an arm has
fewer than 20 units or purchases with a known outcome. split_p_value: whether the units came in the arms'' shares, also valid
at every look; warning: it is below 0.001, and the comparison is not to be trusted. Rows of the source that the caller may
not read are not counted. For those who may score with the model.';
