-- The catalog: what was trained, from what, how good it is, and which version answers to which name.
--
-- Plain tables on purpose: primary keys, no triggers, no inheritance, no sequences, so that they can be
-- dumped, replicated, or made reference tables of a sharded database. Scoring reads `alias`, `version` and
-- `artifact` through their primary keys; src/catalog/read.rs names the columns it relies on.

DO $$
BEGIN
    IF pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.<>) 'UTF8' THEN
        RAISE feature_not_supported USING
            MESSAGE = 'pg_recommend needs a database whose encoding is UTF8, not '
                      OPERATOR(pg_catalog.||) pg_catalog.current_setting('server_encoding');
    END IF;
END
$$;

CREATE TABLE model (
    model       text COLLATE "C" PRIMARY KEY CHECK (octet_length(model) BETWEEN 1 AND 63),
    owner       name NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE model IS 'Logical models; each has versions';
COMMENT ON COLUMN model.owner IS 'The role that trained it first, and whose members may train further versions';

CREATE TABLE version (
    model         text COLLATE "C" NOT NULL REFERENCES model,
    version       integer NOT NULL CHECK (version > 0),
    artifact_id   uuid NOT NULL UNIQUE,
    run_id        uuid NOT NULL,
    algorithm     text NOT NULL,
    source        text NOT NULL,
    keys          text[] NOT NULL,
    time_column   text,
    label         text NOT NULL,
    parameters    jsonb NOT NULL,
    recipe        jsonb NOT NULL,
    metrics       jsonb NOT NULL,
    data          jsonb NOT NULL,
    libraries     jsonb NOT NULL,
    seconds       double precision NOT NULL,
    trained_by    name NOT NULL,
    trained_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, version)
);
COMMENT ON TABLE version IS 'Immutable results of training: parameters, recipe, metrics and lineage';
COMMENT ON COLUMN version.artifact_id IS 'The weights, in the table artifact';
COMMENT ON COLUMN version.run_id IS 'The run that made it';
COMMENT ON COLUMN version.source IS 'Qualified, quoted name of the relation it was trained on and recommend() reads';
COMMENT ON COLUMN version.keys IS 'Key columns of the source, in the order of recommend()''s arguments';
COMMENT ON COLUMN version.data IS 'The data it saw: rows by part, time range, digest, the source''s definition';
COMMENT ON COLUMN version.metrics IS 'Of validation and test, for the model and for the popularity baseline on the same rows';
COMMENT ON COLUMN version.seconds IS 'From the call to the stored version';

CREATE TABLE artifact (
    artifact_id  uuid PRIMARY KEY,
    body         bytea NOT NULL
);
ALTER TABLE artifact ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON TABLE artifact IS 'Weights and recipe of each version, as safetensors; read only through the scoring functions';

CREATE TABLE alias (
    model    text COLLATE "C" NOT NULL,
    alias    text COLLATE "C" NOT NULL CHECK (octet_length(alias) BETWEEN 1 AND 63),
    version  integer NOT NULL,
    set_by   name NOT NULL DEFAULT session_user,
    set_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, alias),
    FOREIGN KEY (model, version) REFERENCES version
);
COMMENT ON TABLE alias IS 'Movable names of versions; champion is the one that predict and recommend use';

CREATE TABLE tune (
    tune_id      uuid PRIMARY KEY,
    model        text COLLATE "C" NOT NULL,
    status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    algorithm    text NOT NULL,
    source       text NOT NULL,
    settings     jsonb NOT NULL,
    threads      integer NOT NULL,
    digest       text,
    metric       text,
    version      integer,
    started_by   name NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    error        text
);
CREATE INDEX tune_model ON tune (model, started_at);
COMMENT ON TABLE tune IS 'One row for each search for the parameters of a model; its trials are runs';
COMMENT ON COLUMN tune.settings IS 'All that the search depends on besides the rows: a call with the same goes on with one that was cut off';
COMMENT ON COLUMN tune.threads IS 'CPU threads of each trial: the same when it is gone on with';
COMMENT ON COLUMN tune.digest IS 'Of the rows it has seen; NULL before the first trial has read them';
COMMENT ON COLUMN tune.metric IS 'What its trials are compared by, on validation rows';

CREATE TABLE run (
    run_id       uuid PRIMARY KEY,
    model        text COLLATE "C" NOT NULL,
    status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    algorithm    text NOT NULL,
    source       text NOT NULL,
    parameters   jsonb NOT NULL,
    version      integer,
    started_by   name NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    error        text,
    tune_id      uuid REFERENCES tune,
    trial        integer,
    rung         integer,
    value        double precision,
    CHECK ((tune_id IS NULL) = (trial IS NULL) AND (tune_id IS NULL) = (rung IS NULL))
);
CREATE INDEX run_model ON run (model, started_at);
CREATE INDEX run_tune ON run (tune_id) WHERE tune_id IS NOT NULL;
COMMENT ON TABLE run IS 'One row for each training attempt';
COMMENT ON COLUMN run.tune_id IS 'The search that the run is a trial of';
COMMENT ON COLUMN run.trial IS 'From 1: a set of parameters';
COMMENT ON COLUMN run.rung IS 'From 0: how long the trial was trained, in the search''s steps';
COMMENT ON COLUMN run.value IS 'The search''s metric on validation rows';

CREATE TABLE run_metric (
    run_id            uuid NOT NULL REFERENCES run ON DELETE CASCADE,
    algorithm         text NOT NULL,
    epoch             integer NOT NULL,
    train_loss        double precision NOT NULL,
    validation_loss   double precision,
    validation_auroc  double precision,
    seconds           double precision NOT NULL,
    PRIMARY KEY (run_id, algorithm, epoch)
);
COMMENT ON TABLE run_metric IS 'One row for each epoch of a run, visible while it trains';
COMMENT ON COLUMN run_metric.epoch IS 'From 1; of boosted trees the tree; networks that are averaged count on from each other';

CREATE TABLE run_candidate (
    run_id      uuid NOT NULL REFERENCES run ON DELETE CASCADE,
    algorithm   text NOT NULL,
    validation  jsonb,
    test        jsonb,
    best_epoch  integer NOT NULL,
    fitted      bigint NOT NULL,
    seconds     double precision NOT NULL,
    error       text,
    PRIMARY KEY (run_id, algorithm)
);
COMMENT ON TABLE run_candidate IS 'One row for each algorithm that a run of several has tried';
COMMENT ON COLUMN run_candidate.fitted IS 'How many numbers were fitted: weights, leaves or rates';

SELECT pg_catalog.pg_extension_config_dump('model', '');
SELECT pg_catalog.pg_extension_config_dump('version', '');
SELECT pg_catalog.pg_extension_config_dump('artifact', '');
SELECT pg_catalog.pg_extension_config_dump('alias', '');
SELECT pg_catalog.pg_extension_config_dump('tune', '');
SELECT pg_catalog.pg_extension_config_dump('run', '');
SELECT pg_catalog.pg_extension_config_dump('run_metric', '');
SELECT pg_catalog.pg_extension_config_dump('run_candidate', '');

-- A training backend holds a session advisory lock on its run, and one that tunes on its search. A run that says `running` and whose lock is
-- gone has lost its backend or its server: it failed. A standby does not see the primary's locks.
CREATE FUNCTION run_lock_key(run_id uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT pg_catalog.hashtextextended(run_id::pg_catalog.text, 7363756) $$;
COMMENT ON FUNCTION run_lock_key(uuid) IS 'The advisory lock that the backend of a running training holds';

CREATE FUNCTION run_is_alive(run_id uuid) RETURNS boolean
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
AS $$
    SELECT pg_catalog.pg_is_in_recovery() OR EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
          AND l.objsubid OPERATOR(pg_catalog.=) 1
          AND l.database OPERATOR(pg_catalog.=) (
              SELECT d.oid FROM pg_catalog.pg_database AS d
              WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
          AND (l.classid::pg_catalog.int8 OPERATOR(pg_catalog.<<) 32)
              OPERATOR(pg_catalog.|) l.objid::pg_catalog.int8
              OPERATOR(pg_catalog.=) @extschema@.run_lock_key(run_id))
$$;
COMMENT ON FUNCTION run_is_alive(uuid) IS 'Whether the backend that trains this run still exists; true on a standby, which cannot know';

CREATE VIEW models AS
SELECT m.model, m.owner, a.version AS champion,
       (SELECT count(*) FROM version v WHERE v.model = m.model) AS versions, m.created_at
FROM model m LEFT JOIN alias a ON a.model = m.model AND a.alias = 'champion';
COMMENT ON VIEW models IS 'Every model with its champion';

CREATE VIEW versions AS
SELECT v.model, v.version, v.algorithm,
       ARRAY(SELECT a.alias FROM alias a WHERE a.model = v.model AND a.version = v.version ORDER BY a.alias) AS aliases,
       (v.metrics #>> '{test,model,auroc}')::double precision AS test_auroc,
       (v.metrics #>> '{test,popularity,auroc}')::double precision AS test_auroc_popularity,
       v.metrics, v.parameters, v.recipe, v.data, v.source, v.keys, v.time_column, v.label,
       v.libraries, v.seconds, v.trained_by, v.trained_at, v.run_id
FROM version v;
COMMENT ON VIEW versions IS 'Every version with its aliases, metrics and lineage';

CREATE VIEW aliases AS
SELECT model, alias, version, set_by, set_at FROM alias;
COMMENT ON VIEW aliases IS 'Which version each movable name stands for';

CREATE VIEW runs AS
SELECT r.run_id, r.model,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id) THEN 'failed' ELSE r.status END AS status,
       r.version, r.algorithm, r.source, r.parameters, r.started_by, r.started_at, r.finished_at,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id)
            THEN 'the server process that trained it ended' ELSE r.error END AS error,
       r.tune_id, r.trial, r.rung, r.value
FROM run r;
COMMENT ON VIEW runs IS 'Every training attempt and how it ended';

CREATE VIEW run_metrics AS
SELECT m.run_id, r.model, m.algorithm, m.epoch, m.train_loss, m.validation_loss, m.validation_auroc, m.seconds
FROM run_metric m JOIN run r USING (run_id);
COMMENT ON VIEW run_metrics IS 'Losses by epoch, also of the runs under way';

CREATE VIEW run_candidates AS
SELECT c.run_id, r.model, c.algorithm, c.validation, c.test, c.best_epoch, c.fitted, c.seconds, c.error,
       coalesce(c.algorithm = v.algorithm, false) AS kept, v.version
FROM run_candidate c JOIN run r USING (run_id) LEFT JOIN version v ON v.run_id = c.run_id;
COMMENT ON VIEW run_candidates IS 'The algorithms that a run of several has tried, and which of them became the version';

CREATE VIEW training_progress AS
SELECT r.run_id, r.model, r.started_by, r.started_at, m.algorithm, m.epoch,
       (r.parameters ->> 'epochs')::integer AS epochs, m.train_loss, m.validation_loss, m.validation_auroc
FROM runs r LEFT JOIN LATERAL (
    SELECT * FROM run_metric m WHERE m.run_id = r.run_id ORDER BY m.epoch DESC LIMIT 1) m ON true
WHERE r.status = 'running';
COMMENT ON VIEW training_progress IS 'The runs under way with their newest epoch';

CREATE VIEW tunes AS
SELECT t.tune_id, t.model,
       CASE WHEN t.status = 'running' AND NOT run_is_alive(t.tune_id) THEN 'failed' ELSE t.status END AS status,
       t.version, t.algorithm, t.source, t.metric, (t.settings ->> 'trials')::integer AS trials,
       (SELECT count(*) FROM run r WHERE r.tune_id = t.tune_id AND r.status = 'succeeded') AS trained,
       t.settings, t.threads, t.digest, t.started_by, t.started_at, t.finished_at,
       CASE WHEN t.status = 'running' AND NOT run_is_alive(t.tune_id)
            THEN 'the server process that tuned it ended' ELSE t.error END AS error
FROM tune t;
COMMENT ON VIEW tunes IS 'Every search for a model''s parameters and how it ended';

CREATE VIEW trials AS
SELECT r.tune_id, r.model, r.trial, r.rung,
       (r.parameters ->> CASE r.algorithm WHEN 'boosted_trees' THEN 'trees' ELSE 'epochs' END)::integer AS budget,
       (SELECT jsonb_object_agg(name, r.parameters -> name)
        FROM jsonb_object_keys(t.settings -> 'search') AS name) AS params,
       t.metric, r.value, r.status, r.version, r.run_id, r.started_at, r.finished_at, r.error
FROM runs r JOIN tune t USING (tune_id);
COMMENT ON VIEW trials IS 'The trainings of every search: the parameters that were drawn, for how long they were trained (in epochs or trees), and how good they are by the search''s metric on validation rows';

CREATE FUNCTION leaderboard(model text)
RETURNS TABLE (version integer, run_id uuid, algorithm text, champion boolean, auroc double precision,
               average_precision double precision, log_loss double precision, rmse double precision,
               mae double precision, pinball double precision, test_auroc double precision,
               test_average_precision double precision, test_rmse double precision, seconds double precision,
               error text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT v.version, v.run_id, v.algorithm, coalesce('champion' OPERATOR(pg_catalog.=) ANY (v.aliases), false),
           m.auroc, m.average_precision, m.log_loss, m.rmse, m.mae, m.pinball,
           t.auroc, t.average_precision, t.rmse, v.seconds, v.error
    FROM (
        SELECT version, run_id, algorithm, aliases, metrics #> '{validation,model}' AS validation,
               metrics #> '{test,model}' AS test, seconds, NULL AS error
        FROM @extschema@.versions
        WHERE model OPERATOR(pg_catalog.=) $1
        UNION ALL
        SELECT NULL, run_id, algorithm, NULL, validation, test, seconds, error
        FROM @extschema@.run_candidates
        WHERE model OPERATOR(pg_catalog.=) $1 AND NOT kept
    ) AS v,
    pg_catalog.jsonb_to_record(coalesce(v.validation, '{}')) AS m (
        auroc double precision, average_precision double precision, log_loss double precision,
        rmse double precision, mae double precision, pinball double precision),
    pg_catalog.jsonb_to_record(coalesce(v.test, '{}')) AS t (
        auroc double precision, average_precision double precision, rmse double precision)
    ORDER BY m.average_precision DESC NULLS LAST, m.rmse, v.version
$$;
COMMENT ON FUNCTION leaderboard(text) IS 'Every version of a model, and the candidates that did not become one, by average precision (of regressions by root mean squared error) on validation rows, the best first; columns that begin with test_ are of the test rows';

GRANT SELECT ON models, versions, aliases, runs, run_metrics, run_candidates, training_progress, tunes, trials TO PUBLIC;
