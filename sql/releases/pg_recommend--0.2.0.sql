-- What CREATE EXTENSION pg_recommend makes, version 0.2.0: the files of sql/, each after those that it
-- requires. Written by scripts/release-sql.

\echo Use "CREATE EXTENSION pg_recommend" to load this file. \quit

-- The catalog: what was trained, from what, how good it is, which version answers to which name, who may do what with it, and
-- who did. What is shown of it to whom is in catalog_views.sql.
--
-- Plain tables on purpose: primary keys, no foreign keys, no triggers, no inheritance, no sequences, so that they can be
-- dumped, restored in any order and by several jobs at once, and replicated.
-- What refers to what is kept by the functions, under the lock of the model's row; reco.check_setup() says where it is
-- broken. Scoring reads `alias`, `version`, `artifact` and `artifact_chunk` through their primary keys; src/catalog/columns.rs
-- names the columns it relies on.

DO $$
BEGIN
    IF pg_catalog.current_setting('server_encoding') OPERATOR(pg_catalog.<>) 'UTF8' THEN
        RAISE feature_not_supported USING
            MESSAGE = 'pg_recommend needs a database whose encoding is UTF8, not '
                      OPERATOR(pg_catalog.||) pg_catalog.current_setting('server_encoding');
    END IF;
    -- Views and bodies below are parsed with this schema on the path: what somebody has put there would be taken for what they mean.
    IF EXISTS (
        SELECT FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) n.nspowner
        WHERE n.nspname OPERATOR(pg_catalog.=) 'reco'
          AND ((NOT o.rolsuper AND o.rolname OPERATOR(pg_catalog.<>) current_user)
               OR EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) AS a
                          WHERE a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                            AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner)
               OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace OPERATOR(pg_catalog.=) n.oid)
               OR EXISTS (SELECT FROM pg_catalog.pg_operator AS p WHERE p.oprnamespace OPERATOR(pg_catalog.=) n.oid))
    ) THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'schema "reco" exists and is not the extension''s alone: it has functions or operators, or another role owns it or may create in it',
            HINT = 'Drop or rename it: CREATE EXTENSION makes the schema.';
    END IF;
END
$$;

-- Models, their versions, and the names of these.
CREATE TABLE model (
    model       text COLLATE "C" PRIMARY KEY CHECK (octet_length(model) BETWEEN 1 AND 63),
    owner       name NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    begun_at    timestamptz NOT NULL DEFAULT now(),
    purpose     text
);
COMMENT ON TABLE model IS 'Logical models; each has versions';
COMMENT ON COLUMN model.owner IS 'The role that made it; it has every privilege on the model, and so have its members';
COMMENT ON COLUMN model.begun_at IS 'When the run began that made it: runs before it are of another model that had the name';
COMMENT ON COLUMN model.purpose IS 'What it is for, as its model card says';

CREATE TABLE version (
    model         text COLLATE "C" NOT NULL,
    version       integer NOT NULL CHECK (version > 0),
    artifact_id   uuid UNIQUE,
    run_id        uuid,
    algorithm     text NOT NULL,
    source_schema text,
    source_name   text,
    keys          text[] NOT NULL,
    time_column   text,
    label         text,
    parameters    jsonb NOT NULL,
    recipe        jsonb NOT NULL,
    metrics       jsonb NOT NULL,
    data          jsonb NOT NULL,
    libraries     jsonb NOT NULL,
    seconds       double precision NOT NULL,
    trained_by    name NOT NULL,
    trained_at    timestamptz NOT NULL DEFAULT now(),
    source_view   uuid,
    measured_artifact_id uuid UNIQUE,
    PRIMARY KEY (model, version)
);
COMMENT ON TABLE version IS 'Immutable results of training: parameters, recipe, metrics and lineage';
COMMENT ON COLUMN version.artifact_id IS 'The weights, in the table artifact; NULL once it is archived';
COMMENT ON COLUMN version.measured_artifact_id IS 'Where the weights were trained once more on all rows: those before, of which the metrics are, and by which versions are compared';
COMMENT ON COLUMN version.run_id IS 'The run that made it; NULL of one that was imported or calibrated';
COMMENT ON COLUMN version.source_schema IS 'Schema of the relation it was trained on and recommend() reads; NULL of one that was imported without';
COMMENT ON COLUMN version.source_name IS 'Its name then, unquoted: whichever table or view has it is read, if it was no feature view';
COMMENT ON COLUMN version.source_view IS 'The feature view that it is, which is read wherever its table is by now';
COMMENT ON COLUMN version.trained_by IS 'The role that trained or imported it';
COMMENT ON COLUMN version.keys IS 'Key columns of the source, in the order of recommend()''s arguments';
COMMENT ON COLUMN version.data IS 'The data it saw: rows by part, time range, digest, the source''s definition';
COMMENT ON COLUMN version.metrics IS 'Of validation and test, for the model and for the popularity baseline on the same rows';
COMMENT ON COLUMN version.seconds IS 'From the call to the stored version';

CREATE TABLE artifact (
    artifact_id  uuid PRIMARY KEY,
    size         bigint NOT NULL CHECK (size > 0),
    digest       bytea NOT NULL CHECK (octet_length(digest) = 32)
);
COMMENT ON TABLE artifact IS 'Weights and recipe of each version, as safetensors, in the chunks of artifact_chunk';
COMMENT ON COLUMN artifact.size IS 'Bytes, of all chunks together';
COMMENT ON COLUMN artifact.digest IS 'SHA-256 of the chunks in their order; the file that backends share a large model through has its name';

-- A value of half a gigabyte can be stored but not dumped: COPY writes two digits for each byte.
CREATE TABLE artifact_chunk (
    artifact_id  uuid NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    body         bytea NOT NULL,
    PRIMARY KEY (artifact_id, position)
);
COMMENT ON TABLE artifact_chunk IS 'The bytes of weights, a row for each 16 MB; read only through the scoring functions';
COMMENT ON COLUMN artifact_chunk.position IS 'From 0';
ALTER TABLE artifact_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE alias (
    model    text COLLATE "C" NOT NULL,
    alias    text COLLATE "C" NOT NULL CHECK (octet_length(alias) BETWEEN 1 AND 63),
    version  integer NOT NULL,
    set_by   name NOT NULL DEFAULT session_user,
    set_at   timestamptz NOT NULL DEFAULT now(),
    ab_test  text COLLATE "C" CHECK (alias = 'champion' OR ab_test IS NULL),
    PRIMARY KEY (model, alias)
);
COMMENT ON TABLE alias IS 'Movable names of versions; champion is the one that predict and recommend use';
COMMENT ON COLUMN alias.ab_test IS 'Of the champion: the A/B test that the model takes part in; scoring reads the row anyway';

-- Every move of a model's champion. A rollback follows `back`, so that two of them go two steps back, and a promotion after
-- one begins a new line from there.
CREATE TABLE promotion (
    model         text COLLATE "C" NOT NULL,
    step          integer NOT NULL CHECK (step > 0),
    action        text NOT NULL CHECK (action IN ('promoted', 'rolled_back', 'alias_dropped')),
    from_version  integer,
    to_version    integer,
    back          integer,
    why           text,
    moved_by      name NOT NULL,
    moved_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, step)
);
COMMENT ON TABLE promotion IS 'The history of every model''s champion';
COMMENT ON COLUMN promotion.step IS 'From 1';
COMMENT ON COLUMN promotion.to_version IS 'NULL where the model was left without a champion';
COMMENT ON COLUMN promotion.back IS 'The step whose version a rollback from here goes to; NULL where there is none';

-- Trainings, and searches for parameters, which are trainings of many.
CREATE TABLE tune (
    tune_id      uuid PRIMARY KEY,
    model        text COLLATE "C" NOT NULL,
    status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    algorithm    text NOT NULL,
    source_schema text NOT NULL,
    source_name  text NOT NULL,
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
COMMENT ON TABLE tune IS 'One row for each search for the parameters of a model; its trials are runs';
COMMENT ON COLUMN tune.settings IS 'All that the search depends on besides the rows: a call with the same goes on with one that was cut off';
COMMENT ON COLUMN tune.threads IS 'CPU threads of each trial: the same when it is gone on with';
COMMENT ON COLUMN tune.digest IS 'Of the rows it has seen; NULL before the first trial has read them';
COMMENT ON COLUMN tune.metric IS 'What its trials are compared by, on validation rows';
CREATE INDEX tune_model ON tune (model, started_at);

CREATE TABLE run (
    run_id       uuid PRIMARY KEY,
    model        text COLLATE "C" NOT NULL,
    status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    algorithm    text NOT NULL,
    source_schema text NOT NULL,
    source_name  text NOT NULL,
    parameters   jsonb NOT NULL,
    version      integer,
    started_by   name NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    error        text,
    tune_id      uuid,
    trial        integer,
    rung         integer,
    value        double precision,
    CHECK ((tune_id IS NULL) = (trial IS NULL) AND (tune_id IS NULL) = (rung IS NULL))
);
COMMENT ON TABLE run IS 'One row for each training attempt';
COMMENT ON COLUMN run.tune_id IS 'The search that the run is a trial of';
COMMENT ON COLUMN run.trial IS 'From 1: a set of parameters';
COMMENT ON COLUMN run.rung IS 'From 0: how long the trial was trained, in the search''s steps';
COMMENT ON COLUMN run.value IS 'The search''s metric on validation rows';
CREATE INDEX run_model ON run (model, started_at);
CREATE INDEX run_tune ON run (tune_id) WHERE tune_id IS NOT NULL;

CREATE TABLE run_metric (
    run_id            uuid NOT NULL,
    algorithm         text NOT NULL,
    epoch             integer NOT NULL,
    train_loss        double precision NOT NULL,
    validation_loss   double precision,
    validation_auroc  double precision,
    seconds           double precision NOT NULL,
    PRIMARY KEY (run_id, algorithm, epoch)
);
COMMENT ON TABLE run_metric IS 'One row for each epoch of a run, visible while it trains';
COMMENT ON COLUMN run_metric.epoch IS 'From 1; of boosted trees the tree; trees of several sizes or outputs count on from each other, as networks that are averaged do';

CREATE TABLE run_candidate (
    run_id      uuid NOT NULL,
    algorithm   text NOT NULL,
    validation  jsonb,
    test        jsonb,
    best_epoch  integer NOT NULL,
    fitted      bigint NOT NULL,
    seconds     double precision NOT NULL,
    error       text,
    cut_offs    jsonb,
    PRIMARY KEY (run_id, algorithm)
);
COMMENT ON TABLE run_candidate IS 'One row for each algorithm that a run of several has tried';
COMMENT ON COLUMN run_candidate.cut_offs IS 'Of rolling validation: metrics on each earlier stretch of validation rows, the newest first';
COMMENT ON COLUMN run_candidate.fitted IS 'How many numbers were fitted: weights, leaves or rates';

-- Who may score with, train and manage which model. Grantees are names, as owners are, so that a dump can be restored
-- where roles have other numbers: revoke before a role is dropped or renamed.
CREATE TABLE model_privilege (
    model       text COLLATE "C" NOT NULL,
    grantee     name NOT NULL,
    privilege   text COLLATE "C" NOT NULL CHECK (privilege IN ('score', 'train', 'manage')),
    granted_by  name NOT NULL,
    granted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, grantee, privilege)
);
COMMENT ON TABLE model_privilege IS 'Privileges on models that were granted; the owner and superusers need none';
COMMENT ON COLUMN model_privilege.grantee IS 'A role; public stands for all of them';
COMMENT ON COLUMN model_privilege.privilege IS 'score; train, which includes score; manage, which includes both';

CREATE FUNCTION has_model_privilege(model text, privilege text, role name DEFAULT NULL) RETURNS boolean
STABLE PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'has_model_privilege_wrapper';
COMMENT ON FUNCTION has_model_privilege(text, text, name) IS
'Whether a role has a privilege on a model: score, train (which includes score) or manage (which includes both); by owning
the model, being a superuser, a grant, or as a member of a role that has it. role: the current one where it is NULL. Of a
model that does not exist false, to superusers true. NULL if model or privilege is NULL.';

-- Who did what to which model. Rows are only ever added.
CREATE TABLE audit_event (
    event_id  uuid PRIMARY KEY,
    at        timestamptz NOT NULL,
    login     name NOT NULL,
    role      name NOT NULL,
    action    text NOT NULL,
    model     text COLLATE "C" NOT NULL,
    version   integer,
    detail    jsonb NOT NULL
);
COMMENT ON TABLE audit_event IS 'One row for each change to a model, its versions, aliases and privileges';
COMMENT ON COLUMN audit_event.login IS 'The session''s user';
COMMENT ON COLUMN audit_event.role IS 'The current user, with whose rights it was done';
CREATE INDEX audit_event_model ON audit_event (model, at);

-- What a dump takes with it.
SELECT pg_catalog.pg_extension_config_dump('model', '');
SELECT pg_catalog.pg_extension_config_dump('version', '');
SELECT pg_catalog.pg_extension_config_dump('artifact', '');
SELECT pg_catalog.pg_extension_config_dump('artifact_chunk', '');
SELECT pg_catalog.pg_extension_config_dump('alias', '');
SELECT pg_catalog.pg_extension_config_dump('tune', '');
SELECT pg_catalog.pg_extension_config_dump('run', '');
SELECT pg_catalog.pg_extension_config_dump('run_metric', '');
SELECT pg_catalog.pg_extension_config_dump('run_candidate', '');
SELECT pg_catalog.pg_extension_config_dump('promotion', '');
SELECT pg_catalog.pg_extension_config_dump('model_privilege', '');
SELECT pg_catalog.pg_extension_config_dump('audit_event', '');

-- What the views of the catalog and of others are made of.
CREATE FUNCTION relation_name(relation_schema text, relation_name text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$
    SELECT pg_catalog.quote_ident(relation_schema) OPERATOR(pg_catalog.||) '.'
           OPERATOR(pg_catalog.||) pg_catalog.quote_ident(relation_name)
$$;
COMMENT ON FUNCTION relation_name(text, text) IS 'A relation as SQL writes it: schema and name, quoted where that is needed';

-- A backend that trains holds a lock on its run, one that tunes on its search, one that refreshes on its refresh, as no SQL
-- can: see src/pg/catalog_lock.rs. A row that says `running` and whose lock is gone has lost its backend or its server: it failed.
-- A standby does not see the primary's locks.
CREATE FUNCTION run_is_alive(run_id uuid) RETURNS boolean
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
AS $$
    SELECT pg_catalog.pg_is_in_recovery() OR EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype OPERATOR(pg_catalog.=) 'object' AND l.granted
          AND l.classid OPERATOR(pg_catalog.=) '@extschema@.run'::pg_catalog.regclass::pg_catalog.oid
          AND l.database OPERATOR(pg_catalog.=) (
              SELECT d.oid FROM pg_catalog.pg_database AS d
              WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
          -- The first 48 bits of the id: its text begins with eight digits, a hyphen and four more.
          AND pg_catalog.concat(
                  pg_catalog.lpad(pg_catalog.to_hex(l.objid::pg_catalog.int8), 8, '0'), '-',
                  pg_catalog.lpad(pg_catalog.to_hex(l.objsubid::pg_catalog.int4 OPERATOR(pg_catalog.&) 65535), 4, '0'))
              OPERATOR(pg_catalog.=) pg_catalog.left(run_id::pg_catalog.text, 13))
$$;
COMMENT ON FUNCTION run_is_alive(uuid) IS 'Whether the backend that trains this run still exists; true on a standby, which cannot know';

-- Encoders. Written by hand: the aggregates' parallel parts cannot be derived from the Rust code.
-- Formulas are those of scikit-learn, whose answers the tests compare with; docs/encoders.md has the rules.

-- What the scalers' aggregates give and their scalar functions take.
CREATE TYPE standard_scaler AS (mean double precision, scale double precision);
COMMENT ON TYPE standard_scaler IS
'A fitted standard scaler. mean: arithmetic mean. scale: population standard deviation, 0 of a constant column.
Both in the unit of the column.';

CREATE TYPE min_max_scaler AS (minimum double precision, maximum double precision);
COMMENT ON TYPE min_max_scaler IS 'A fitted min-max scaler: the extremes of the column, in its unit.';

CREATE TYPE max_abs_scaler AS (max_abs double precision);
COMMENT ON TYPE max_abs_scaler IS 'A fitted max-abs scaler: the largest absolute value of the column, in its unit.';

CREATE TYPE robust_scaler AS (median double precision, interquartile_range double precision);
COMMENT ON TYPE robust_scaler IS
'A fitted robust scaler: the median and the distance between the quartiles, or between the quantiles that the fit
was asked for, in the unit of the column.';

-- Mean, variance and extremes: one pass for all the aggregates over the same column.
CREATE FUNCTION column_statistics_step(internal, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_step_wrapper';
COMMENT ON FUNCTION column_statistics_step(internal, double precision) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION column_statistics_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_combine_wrapper';
COMMENT ON FUNCTION column_statistics_combine(internal, internal) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION column_statistics_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_serialize_wrapper';
COMMENT ON FUNCTION column_statistics_serialize(internal) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION column_statistics_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_deserialize_wrapper';
COMMENT ON FUNCTION column_statistics_deserialize(bytea, internal) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION standard_scaler_final(internal) RETURNS standard_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'standard_scaler_final_wrapper';
COMMENT ON FUNCTION standard_scaler_final(internal) IS 'Part of the aggregate standard_scaler.';
CREATE FUNCTION min_max_scaler_final(internal) RETURNS min_max_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'min_max_scaler_final_wrapper';
COMMENT ON FUNCTION min_max_scaler_final(internal) IS 'Part of the aggregate min_max_scaler.';
CREATE FUNCTION max_abs_scaler_final(internal) RETURNS max_abs_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'max_abs_scaler_final_wrapper';
COMMENT ON FUNCTION max_abs_scaler_final(internal) IS 'Part of the aggregate max_abs_scaler.';

CREATE AGGREGATE standard_scaler(value double precision) (
    SFUNC = column_statistics_step, STYPE = internal, SSPACE = 64, FINALFUNC = standard_scaler_final,
    COMBINEFUNC = column_statistics_combine, SERIALFUNC = column_statistics_serialize,
    DESERIALFUNC = column_statistics_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE standard_scaler(double precision) IS
'Fits a standard scaler for reco.standard_scale: mean and population standard deviation (Welford; merged by Chan,
Golub and LeVeque), 0 where the column is constant up to rounding. NULL and NaN are left out, an infinite value is
an error. NULL of no values.';

CREATE AGGREGATE min_max_scaler(value double precision) (
    SFUNC = column_statistics_step, STYPE = internal, SSPACE = 64, FINALFUNC = min_max_scaler_final,
    COMBINEFUNC = column_statistics_combine, SERIALFUNC = column_statistics_serialize,
    DESERIALFUNC = column_statistics_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE min_max_scaler(double precision) IS
'Fits a min-max scaler for reco.min_max_scale: minimum and maximum. NULL and NaN are left out, an infinite value is
an error. NULL of no values.';

CREATE AGGREGATE max_abs_scaler(value double precision) (
    SFUNC = column_statistics_step, STYPE = internal, SSPACE = 64, FINALFUNC = max_abs_scaler_final,
    COMBINEFUNC = column_statistics_combine, SERIALFUNC = column_statistics_serialize,
    DESERIALFUNC = column_statistics_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE max_abs_scaler(double precision) IS
'Fits a max-abs scaler for reco.max_abs_scale: the largest absolute value. NULL and NaN are left out, an infinite
value is an error. NULL of no values.';

-- Quantiles.
CREATE FUNCTION column_values_step(internal, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_step_wrapper';
COMMENT ON FUNCTION column_values_step(internal, double precision) IS 'Part of the aggregate robust_scaler.';
CREATE FUNCTION column_values_step_range(internal, double precision, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_step_range_wrapper';
COMMENT ON FUNCTION column_values_step_range(internal, double precision, double precision, double precision) IS
'Part of the aggregate robust_scaler.';
CREATE FUNCTION column_values_step_buckets(internal, double precision, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_step_buckets_wrapper';
COMMENT ON FUNCTION column_values_step_buckets(internal, double precision, integer) IS
'Part of the aggregate quantile_boundaries.';
CREATE FUNCTION column_values_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_combine_wrapper';
COMMENT ON FUNCTION column_values_combine(internal, internal) IS
'Part of the aggregates robust_scaler and quantile_boundaries.';
CREATE FUNCTION column_values_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_serialize_wrapper';
COMMENT ON FUNCTION column_values_serialize(internal) IS
'Part of the aggregates robust_scaler and quantile_boundaries.';
CREATE FUNCTION column_values_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_deserialize_wrapper';
COMMENT ON FUNCTION column_values_deserialize(bytea, internal) IS
'Part of the aggregates robust_scaler and quantile_boundaries.';
CREATE FUNCTION robust_scaler_final(internal) RETURNS robust_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'robust_scaler_final_wrapper';
COMMENT ON FUNCTION robust_scaler_final(internal) IS 'Part of the aggregate robust_scaler.';
CREATE FUNCTION quantile_boundaries_final(internal) RETURNS double precision[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'quantile_boundaries_final_wrapper';
COMMENT ON FUNCTION quantile_boundaries_final(internal) IS 'Part of the aggregate quantile_boundaries.';

CREATE AGGREGATE robust_scaler(value double precision) (
    SFUNC = column_values_step, STYPE = internal, SSPACE = 8192, FINALFUNC = robust_scaler_final,
    COMBINEFUNC = column_values_combine, SERIALFUNC = column_values_serialize,
    DESERIALFUNC = column_values_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE robust_scaler(double precision) IS
'Fits a robust scaler for reco.robust_scale: the median and the distance between the quartiles, interpolated as numpy
does by default. Exact up to 1048576 values (8 MB of memory a group); beyond that a sketch whose ranks are off by less
than 0.0002 of the rows. NULL and NaN are left out, an infinite value is an error. NULL of no values.';

CREATE AGGREGATE robust_scaler(value double precision, lower double precision, upper double precision) (
    SFUNC = column_values_step_range, STYPE = internal, SSPACE = 8192, FINALFUNC = robust_scaler_final,
    COMBINEFUNC = column_values_combine, SERIALFUNC = column_values_serialize,
    DESERIALFUNC = column_values_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE robust_scaler(double precision, double precision, double precision) IS
'The same with the distance between two other quantiles, 0 to 1, the lower first: 0.05 and 0.95. They are the same in
every row.';

CREATE AGGREGATE quantile_boundaries(value double precision, buckets integer) (
    SFUNC = column_values_step_buckets, STYPE = internal, SSPACE = 8192, FINALFUNC = quantile_boundaries_final,
    COMBINEFUNC = column_values_combine, SERIALFUNC = column_values_serialize,
    DESERIALFUNC = column_values_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE quantile_boundaries(double precision, integer) IS
'Boundaries, strictly increasing, of buckets (2 to 10000, the same in every row) with equally many values each, for
reco.quantile_buckets: one fewer than buckets, or still fewer where values repeat; none of a constant column.
Quantiles as in reco.robust_scaler. NULL and NaN are left out, an infinite value is an error. NULL of no values.';

-- Vocabularies.
CREATE FUNCTION vocabulary_step(internal, text) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_step(internal, text, bigint) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text, bigint) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text, bigint, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text, bigint, integer) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text[]) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_array_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text[]) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text[], bigint) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_array_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text[], bigint) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text[], bigint, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_array_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text[], bigint, integer) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_combine_wrapper';
COMMENT ON FUNCTION vocabulary_combine(internal, internal) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_serialize_wrapper';
COMMENT ON FUNCTION vocabulary_serialize(internal) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_deserialize_wrapper';
COMMENT ON FUNCTION vocabulary_deserialize(bytea, internal) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_final(internal) RETURNS text[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_final_wrapper';
COMMENT ON FUNCTION vocabulary_final(internal) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION text_imputer_final(internal) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'text_imputer_final_wrapper';
COMMENT ON FUNCTION text_imputer_final(internal) IS 'Part of the aggregate imputer.';

CREATE AGGREGATE vocabulary(value text) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text) IS
'The 32000 most frequent values of a column for reco.label_encode and reco.one_hot, most frequent first, equally
frequent ones in the order of their bytes. NULL is left out. NULL of no values. More than 1048576 distinct values, or
64 MB of them, are an error.';

CREATE AGGREGATE vocabulary(value text, min_count bigint) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text, bigint) IS
'The same without values that occur less than min_count times. min_count is at least 1 and the same in every row.';

CREATE AGGREGATE vocabulary(value text, min_count bigint, max_size integer) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text, bigint, integer) IS
'The same with at most max_size values: 1 to 1000000, the same in every row.';

CREATE AGGREGATE vocabulary(value text[]) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text[]) IS
'The vocabulary of the elements of arrays, for reco.multi_hot: each element counts as a value of reco.vocabulary(text)
does.';

CREATE AGGREGATE vocabulary(value text[], min_count bigint) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text[], bigint) IS
'The same without values that occur less than min_count times. min_count is at least 1 and the same in every row.';

CREATE AGGREGATE vocabulary(value text[], min_count bigint, max_size integer) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text[], bigint, integer) IS
'The same with at most max_size values: 1 to 1000000, the same in every row.';

-- What missing values are replaced with.
CREATE FUNCTION imputer_step(internal, double precision, text) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_step_wrapper';
COMMENT ON FUNCTION imputer_step(internal, double precision, text) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_combine_wrapper';
COMMENT ON FUNCTION imputer_combine(internal, internal) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_serialize_wrapper';
COMMENT ON FUNCTION imputer_serialize(internal) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_deserialize_wrapper';
COMMENT ON FUNCTION imputer_deserialize(bytea, internal) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_final_wrapper';
COMMENT ON FUNCTION imputer_final(internal) IS 'Part of the aggregate imputer.';

CREATE AGGREGATE imputer(value double precision, strategy text) (
    SFUNC = imputer_step, STYPE = internal, SSPACE = 8192, FINALFUNC = imputer_final,
    COMBINEFUNC = imputer_combine, SERIALFUNC = imputer_serialize, DESERIALFUNC = imputer_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE imputer(double precision, text) IS
'What reco.impute fills in for a missing number, in the unit of the column. strategy, the same in every row: mean;
median, as in reco.robust_scaler; most_frequent, the smallest of several, up to 1048576 distinct values. NULL and NaN
are left out, an infinite value is an error. NULL of no values.';

CREATE AGGREGATE imputer(value text) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = text_imputer_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE imputer(text) IS
'The most frequent text, for reco.impute; the first in the order of bytes of several. NULL is left out. NULL of no
values. Bounds as in reco.vocabulary.';

-- Scalar functions: numbers.
CREATE FUNCTION standard_scale(value double precision, params standard_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'standard_scale_wrapper';
COMMENT ON FUNCTION standard_scale(double precision, standard_scaler) IS
'(value - mean) / scale, in standard deviations; a scale of 0 divides by 1, so that a constant column gives 0. NULL of
NULL; NaN and infinite values follow IEEE arithmetic. A result that is too large is an error, and so are params that
are NULL inside or not finite, or a negative scale.';

CREATE FUNCTION min_max_scale(value double precision, params min_max_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'min_max_scale_wrapper';
COMMENT ON FUNCTION min_max_scale(double precision, min_max_scaler) IS
'(value - minimum) / (maximum - minimum): 0 to 1 for the values that it was fitted to, beyond for others. A constant
column gives 0. NULL, NaN, infinite values and errors as in reco.standard_scale.';

CREATE FUNCTION max_abs_scale(value double precision, params max_abs_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'max_abs_scale_wrapper';
COMMENT ON FUNCTION max_abs_scale(double precision, max_abs_scaler) IS
'value / max_abs: -1 to 1 for the values that it was fitted to, 0 stays 0. NULL, NaN, infinite values and errors as in
reco.standard_scale.';

CREATE FUNCTION robust_scale(value double precision, params robust_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'robust_scale_wrapper';
COMMENT ON FUNCTION robust_scale(double precision, robust_scaler) IS
'(value - median) / interquartile_range; a range of 0 divides by 1. NULL, NaN, infinite values and errors as in
reco.standard_scale.';

CREATE FUNCTION bucketize(value double precision, boundaries double precision[]) RETURNS integer
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'bucketize_wrapper';
COMMENT ON FUNCTION bucketize(double precision, double precision[]) IS
'The number of the value''s bucket: 1 below the first boundary, one more for each boundary that is at most the value.
A value equal to a boundary is in the bucket above it. Without boundaries all are in bucket 1. Boundaries that are not
finite or not strictly increasing are an error. NULL of NULL and of NaN.';

CREATE FUNCTION quantile_buckets(value double precision, boundaries double precision[]) RETURNS integer
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'bucketize_wrapper';
COMMENT ON FUNCTION quantile_buckets(double precision, double precision[]) IS
'reco.bucketize under the name that goes with reco.quantile_boundaries.';

CREATE FUNCTION impute(value double precision, fill double precision) RETURNS double precision
IMMUTABLE PARALLEL SAFE COST 1 LANGUAGE c AS 'MODULE_PATHNAME', 'impute_number_wrapper';
COMMENT ON FUNCTION impute(double precision, double precision) IS
'The value, or fill where it is NULL or NaN. Infinite values are kept. NULL if fill is NULL and needed.';

CREATE FUNCTION impute(value text, fill text) RETURNS text
IMMUTABLE PARALLEL SAFE COST 1 LANGUAGE c AS 'MODULE_PATHNAME', 'impute_text_wrapper';
COMMENT ON FUNCTION impute(text, text) IS
'The value, or fill where it is NULL. The empty text is a value.';

-- Scalar functions: texts.
CREATE FUNCTION label_encode(value text, vocabulary text[]) RETURNS integer
IMMUTABLE PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'label_encode_wrapper';
COMMENT ON FUNCTION label_encode(text, text[]) IS
'The value''s position in the vocabulary, from 1; 0 of NULL and of a value that is not in it. NULL of a NULL vocabulary.
A vocabulary with NULL, with a value twice or with more than 1000000 values is an error.';

CREATE FUNCTION one_hot(value text, vocabulary text[]) RETURNS real[]
IMMUTABLE PARALLEL SAFE COST 10 LANGUAGE c AS 'MODULE_PATHNAME', 'one_hot_wrapper';
COMMENT ON FUNCTION one_hot(text, text[]) IS
'As many numbers as the vocabulary has values: 1 at the value''s position, 0 elsewhere; all 0 of NULL and of a value that
is not in it. NULL of a NULL vocabulary; errors as in reco.label_encode.';

CREATE FUNCTION multi_hot("values" text[], vocabulary text[]) RETURNS real[]
IMMUTABLE PARALLEL SAFE COST 15 LANGUAGE c AS 'MODULE_PATHNAME', 'multi_hot_wrapper';
COMMENT ON FUNCTION multi_hot(text[], text[]) IS
'As many numbers as the vocabulary has values: 1 at the position of each of the values, 0 elsewhere. NULL elements, and
values that are not in it, set none; a NULL or empty array gives all 0. NULL of a NULL vocabulary; errors as in
reco.label_encode.';

CREATE FUNCTION hash_bucket(value text, buckets integer) RETURNS integer
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'hash_bucket_wrapper';
COMMENT ON FUNCTION hash_bucket(text, integer) IS
'XXH64 (seed 0) of the value''s UTF-8 bytes modulo buckets: 0 to buckets - 1, the same on every machine and in every
version. buckets is at least 1. NULL of NULL.';

CREATE FUNCTION feature_cross(VARIADIC "values" text[]) RETURNS text
IMMUTABLE STRICT PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'feature_cross_wrapper';
COMMENT ON FUNCTION feature_cross(text[]) IS
'The values with | between them, a backslash before each | and backslash inside a value: different values never give the
same cross. NULL if any of them is NULL, or without values.';

CREATE FUNCTION ngrams(tokens text[], from_size integer, to_size integer, separator text DEFAULT ' ') RETURNS text[]
IMMUTABLE STRICT PARALLEL SAFE COST 20 LANGUAGE c AS 'MODULE_PATHNAME', 'ngrams_wrapper';
COMMENT ON FUNCTION ngrams(text[], integer, integer, text) IS
'The runs of from_size to to_size (1 to 100) neighbouring tokens, the separator between them: by their first token, then
by length. None holds a NULL token. No tokens, or too few, give an empty array. More than 1000000 n-grams or 64 MB are an
error. NULL of NULL.';

-- Scalar functions: numbers to several numbers.
CREATE FUNCTION polynomial_expand("values" double precision[], degree integer) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE COST 10 LANGUAGE c AS 'MODULE_PATHNAME', 'polynomial_expand_wrapper';
COMMENT ON FUNCTION polynomial_expand(double precision[], integer) IS
'Every product of 1 to degree (1 to 10) of the values, repeated ones included: by degree, then by position, as
a, b, aa, ab, bb; without the constant. NULL elements count as NaN, and so do products with them. More than 65536
products are an error, and so is one that is too large. NULL of NULL.';

-- The name is a keyword: it needs quotes here, and the schema where it is called.
CREATE FUNCTION "normalize"("values" double precision[], p double precision DEFAULT 2) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'normalize_wrapper';
COMMENT ON FUNCTION "normalize"(double precision[], double precision) IS
'The values divided by their p-norm; p is at least 1: 1 sum of absolute values, 2 Euclidean length, infinity largest
absolute value. All zeros stay zeros. NULL and NaN elements are left out of the norm and give NaN. With an infinite
element finite ones give 0 and infinite ones NaN. NULL of NULL.';

CREATE FUNCTION cyclic_encode(value double precision, period double precision) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE COST 3 LANGUAGE c AS 'MODULE_PATHNAME', 'cyclic_encode_wrapper';
COMMENT ON FUNCTION cyclic_encode(double precision, double precision) IS
'Sine and cosine of the value''s place in its period, both in the same unit: neighbours in time are neighbours across
the end of a period. The period is finite and above 0. NaN and infinite values give two NaN. NULL of NULL.';

-- How good scores are: aggregates over any scores, and functions over a version and the rows of a relation.
-- src/evaluation has the functions, crates/model the arithmetic.

-- Rows of charts, as the aggregates return them.
CREATE TYPE roc_point AS (
    threshold            double precision,
    false_positive_rate  double precision,
    true_positive_rate   double precision
);
COMMENT ON TYPE roc_point IS
'A point of a ROC curve: the rates if scores of at least the threshold are called positive. At its beginning, where none
are, the threshold is infinite.';

CREATE TYPE confusion AS (
    threshold        double precision,
    true_positives   bigint,
    false_positives  bigint,
    false_negatives  bigint,
    true_negatives   bigint,
    "precision"      double precision,
    recall           double precision,
    f1               double precision,
    accuracy         double precision
);
COMMENT ON TYPE confusion IS
'Outcomes beside predictions, which are positive where the score is at least the threshold. precision: the share of predicted
positives that are; recall: the share of positives that are predicted; f1: their harmonic mean; accuracy: the share of rows
predicted right. NULL where it is a share of nothing.';

CREATE TYPE calibration_bin AS (
    lower          double precision,
    upper          double precision,
    rows           bigint,
    mean_score     double precision,
    positive_rate  double precision
);
COMMENT ON TYPE calibration_bin IS
'Rows whose scores are at least lower and less than upper (the last bin: at most 1), their mean score, and how many of them
came true. Calibrated scores have the two about equal.';

CREATE TYPE lift_bucket AS (
    bucket           integer,
    rows             bigint,
    lowest_score     double precision,
    positives        double precision,
    rate             double precision,
    lift             double precision,
    cumulative_gain  double precision
);
COMMENT ON TYPE lift_bucket IS
'An equal share of the rows by rank, the highest scores in bucket 1. rate: the share of its rows that are positive; lift: that
over the rate of all rows; cumulative_gain: the share of all positives in this bucket and those before it, NULL as lift is
where there are no positives. Rows with one score that fall into several buckets are shared among them in proportion, so that
positives may be a fraction.';

-- The aggregates that keep every score, 8 bytes each.
CREATE FUNCTION scores_step(internal, double precision, boolean) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_step_wrapper';
COMMENT ON FUNCTION scores_step(internal, double precision, boolean) IS 'Part of the aggregates auroc and average_precision.';
CREATE FUNCTION scores_step(internal, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_step_number_wrapper';
COMMENT ON FUNCTION scores_step(internal, double precision, double precision) IS 'Part of the aggregates auroc and average_precision.';
CREATE FUNCTION roc_points_step(internal, double precision, boolean, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'roc_points_step_wrapper';
COMMENT ON FUNCTION roc_points_step(internal, double precision, boolean, integer) IS 'Part of the aggregate roc_points.';
CREATE FUNCTION confusion_step(internal, double precision, boolean, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'confusion_step_wrapper';
COMMENT ON FUNCTION confusion_step(internal, double precision, boolean, double precision) IS 'Part of the aggregate confusion.';
CREATE FUNCTION calibration_bins_step(internal, double precision, boolean, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'calibration_bins_step_wrapper';
COMMENT ON FUNCTION calibration_bins_step(internal, double precision, boolean, integer) IS 'Part of the aggregate calibration_bins.';
CREATE FUNCTION lift_buckets_step(internal, double precision, boolean, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'lift_buckets_step_wrapper';
COMMENT ON FUNCTION lift_buckets_step(internal, double precision, boolean, integer) IS 'Part of the aggregate lift_buckets.';
CREATE FUNCTION scores_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_combine_wrapper';
COMMENT ON FUNCTION scores_combine(internal, internal) IS 'Part of the aggregates that keep every score.';
CREATE FUNCTION scores_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_serialize_wrapper';
COMMENT ON FUNCTION scores_serialize(internal) IS 'Part of the aggregates that keep every score.';
CREATE FUNCTION scores_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_deserialize_wrapper';
COMMENT ON FUNCTION scores_deserialize(bytea, internal) IS 'Part of the aggregates that keep every score.';
CREATE FUNCTION auroc_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'auroc_final_wrapper';
COMMENT ON FUNCTION auroc_final(internal) IS 'Part of the aggregate auroc.';
CREATE FUNCTION average_precision_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'average_precision_final_wrapper';
COMMENT ON FUNCTION average_precision_final(internal) IS 'Part of the aggregate average_precision.';
CREATE FUNCTION roc_points_final(internal) RETURNS roc_point[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'roc_points_final_wrapper';
COMMENT ON FUNCTION roc_points_final(internal) IS 'Part of the aggregate roc_points.';
CREATE FUNCTION confusion_final(internal) RETURNS confusion
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'confusion_final_wrapper';
COMMENT ON FUNCTION confusion_final(internal) IS 'Part of the aggregate confusion.';
CREATE FUNCTION calibration_bins_final(internal) RETURNS calibration_bin[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'calibration_bins_final_wrapper';
COMMENT ON FUNCTION calibration_bins_final(internal) IS 'Part of the aggregate calibration_bins.';
CREATE FUNCTION lift_buckets_final(internal) RETURNS lift_bucket[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'lift_buckets_final_wrapper';
COMMENT ON FUNCTION lift_buckets_final(internal) IS 'Part of the aggregate lift_buckets.';

CREATE AGGREGATE auroc(score double precision, label boolean) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = auroc_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE auroc(double precision, boolean) IS
'The area under the ROC curve: the probability that a positive row has a higher score than a negative one, ties counting one
half. Exact. Scores are any numbers; NaN ranks below all others. Rows where one of the two is NULL are left out. NULL where
there are not both labels. At most 67108864 rows a group.';

CREATE AGGREGATE auroc(score double precision, label double precision) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = auroc_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE auroc(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE average_precision(score double precision, label boolean) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = average_precision_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE average_precision(double precision, boolean) IS
'Average precision: the sum over the distinct scores, the highest first, of the precision there times the recall gained, not
interpolated. For rare positives it says more than auroc; scores that know nothing get the share of positives. NULL, NaN and
bounds as in reco.auroc.';

CREATE AGGREGATE average_precision(score double precision, label double precision) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = average_precision_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE average_precision(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE roc_points(score double precision, label boolean, points integer) (
    SFUNC = roc_points_step, STYPE = internal, SSPACE = 1024, FINALFUNC = roc_points_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE roc_points(double precision, boolean, integer) IS
'The ROC curve from (0, 0) to (1, 1) as an array for unnest. points, 3 to 100000 and the same in every row: how many there are
at most. Fewer are enough where the rest lie on straight lines; of more, those are left out that change the curve least, and
the one with the largest difference of the two rates is kept. NULL, NaN and bounds as in reco.auroc.';

CREATE AGGREGATE confusion(score double precision, label boolean, threshold double precision) (
    SFUNC = confusion_step, STYPE = internal, SSPACE = 1024, FINALFUNC = confusion_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE confusion(double precision, boolean, double precision) IS
'The confusion matrix if scores of at least the threshold, a number that is the same in every row, are called positive, and
its rates. Rows where score or label is NULL are left out. NULL without rows. At most 67108864 rows a group.';

CREATE AGGREGATE calibration_bins(score double precision, label boolean, bins integer) (
    SFUNC = calibration_bins_step, STYPE = internal, SSPACE = 1024, FINALFUNC = calibration_bins_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE calibration_bins(double precision, boolean, integer) IS
'How often what was scored about alike came true, in bins of equal width from 0 to 1, as an array for unnest; bins without
rows are left out. bins: 1 to 10000, the same in every row. Scores are probabilities: one below 0, above 1 or NaN is an error.
Rows where score or label is NULL are left out. NULL without rows. At most 67108864 rows a group.';

CREATE AGGREGATE lift_buckets(score double precision, label boolean, buckets integer) (
    SFUNC = lift_buckets_step, STYPE = internal, SSPACE = 1024, FINALFUNC = lift_buckets_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE lift_buckets(double precision, boolean, integer) IS
'The rows by rank in equal shares, ten of them for deciles, with their rates, lift and gain, as an array for unnest. buckets: 1
to 10000, the same in every row; no more than there are rows. NaN ranks below all others. Rows where score or label is NULL are
left out. NULL without rows. At most 67108864 rows a group.';

-- The aggregates that add up.
CREATE FUNCTION probability_losses_step(internal, double precision, boolean) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'probability_losses_step_wrapper';
COMMENT ON FUNCTION probability_losses_step(internal, double precision, boolean) IS 'Part of the aggregates log_loss and brier.';
CREATE FUNCTION probability_losses_step(internal, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'probability_losses_step_number_wrapper';
COMMENT ON FUNCTION probability_losses_step(internal, double precision, double precision) IS 'Part of the aggregates log_loss and brier.';
CREATE FUNCTION quantity_errors_step(internal, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'quantity_errors_step_wrapper';
COMMENT ON FUNCTION quantity_errors_step(internal, double precision, double precision) IS 'Part of the aggregates rmse and mae.';
CREATE FUNCTION losses_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'losses_combine_wrapper';
COMMENT ON FUNCTION losses_combine(internal, internal) IS 'Part of the aggregates log_loss, brier, rmse and mae.';
CREATE FUNCTION losses_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'losses_serialize_wrapper';
COMMENT ON FUNCTION losses_serialize(internal) IS 'Part of the aggregates log_loss, brier, rmse and mae.';
CREATE FUNCTION losses_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'losses_deserialize_wrapper';
COMMENT ON FUNCTION losses_deserialize(bytea, internal) IS 'Part of the aggregates log_loss, brier, rmse and mae.';
CREATE FUNCTION log_loss_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'log_loss_final_wrapper';
COMMENT ON FUNCTION log_loss_final(internal) IS 'Part of the aggregate log_loss.';
CREATE FUNCTION brier_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'brier_final_wrapper';
COMMENT ON FUNCTION brier_final(internal) IS 'Part of the aggregate brier.';
CREATE FUNCTION rmse_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'rmse_final_wrapper';
COMMENT ON FUNCTION rmse_final(internal) IS 'Part of the aggregate rmse.';
CREATE FUNCTION mae_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'mae_final_wrapper';
COMMENT ON FUNCTION mae_final(internal) IS 'Part of the aggregate mae.';

CREATE AGGREGATE log_loss(score double precision, label boolean) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = log_loss_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE log_loss(double precision, boolean) IS
'The mean negative logarithm, to base e, of the probability that was given to what came true. Probabilities are kept 2^-52 away
from 0 and 1: a sure mistake costs 36.04. A score below 0, above 1 or NaN is no probability, and an error. Rows where one of
the two is NULL are left out. NULL without rows.';

CREATE AGGREGATE log_loss(score double precision, label double precision) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = log_loss_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE log_loss(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE brier(score double precision, label boolean) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = brier_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE brier(double precision, boolean) IS
'The Brier score: the mean squared difference between the probability and 1 or 0. NULL and what is no
probability as in reco.log_loss.';

CREATE AGGREGATE brier(score double precision, label double precision) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = brier_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE brier(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE rmse(prediction double precision, value double precision) (
    SFUNC = quantity_errors_step, STYPE = internal, SSPACE = 32, FINALFUNC = rmse_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE rmse(double precision, double precision) IS
'The root of the mean squared error, in the unit of the value. Rows where one of the two is NULL are left out; one
that is NaN or infinite is an error, as is a sum that overflows. NULL without rows.';

CREATE AGGREGATE mae(prediction double precision, value double precision) (
    SFUNC = quantity_errors_step, STYPE = internal, SSPACE = 32, FINALFUNC = mae_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE mae(double precision, double precision) IS
'The mean absolute error, in the unit of the value. NULL, NaN and infinite values as in reco.rmse.';

-- A version on the rows of a relation.
CREATE FUNCTION evaluate(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, rows bigint, positives bigint, mean_label double precision, mean_score double precision,
    auroc double precision, average_precision double precision, log_loss double precision, brier double precision,
    rmse double precision, mae double precision, r2 double precision, pinball double precision,
    coverage double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'evaluate_wrapper';
COMMENT ON FUNCTION evaluate(text, regclass, name, name, integer, date, date) IS
'How good a version is on the rows of a table or view: one row with the metrics of all rows, and, where by names a column, one
for each of its values (slice), with that column''s name in by. Rows are read with the caller''s rights and row security and
scored as predict() does; those whose label is NULL are left out.
model: NULL for the setting reco.default_model, else the only one. label: the column that the version was trained on. version:
the champion. from_week, to_week: only rows of the weeks in which these days lie, by the version''s time column.
auroc to brier are of probabilities, rmse to coverage of quantities, NULL for the others: rmse and r2 of the mean, mae of the
median, pinball of the 10 %, 50 % and 90 % quantiles, coverage the share of labels between the outer two.
Nothing to measure is an error. At most 67108864 rows of probabilities, 8 bytes of memory each, and 100000 slices.';

CREATE FUNCTION roc_curve(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    points     integer DEFAULT 200,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, threshold double precision, false_positive_rate double precision, true_positive_rate double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 200 LANGUAGE c AS 'MODULE_PATHNAME', 'roc_curve_wrapper';
COMMENT ON FUNCTION roc_curve(text, regclass, name, integer, name, integer, date, date) IS
'The ROC curve of a version on the rows of a table or view, in at most so many points; see the aggregate reco.roc_points.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

CREATE FUNCTION confusion_matrix(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    threshold  double precision DEFAULT 0.5,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, threshold double precision, true_positives bigint, false_positives bigint,
    false_negatives bigint, true_negatives bigint,
    "precision" double precision, recall double precision, f1 double precision, accuracy double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', 'confusion_matrix_wrapper';
COMMENT ON FUNCTION confusion_matrix(text, regclass, name, double precision, name, integer, date, date) IS
'The confusion matrix of a version on the rows of a table or view at a threshold; see the type reco.confusion.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

CREATE FUNCTION calibration(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    bins       integer DEFAULT 10,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, lower double precision, upper double precision, rows bigint, mean_score double precision,
    positive_rate double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'calibration_wrapper';
COMMENT ON FUNCTION calibration(text, regclass, name, integer, name, integer, date, date) IS
'How often what a version scored about alike came true; see the aggregate reco.calibration_bins.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

CREATE FUNCTION lift(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    buckets    integer DEFAULT 10,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, bucket integer, rows bigint, lowest_score double precision, positives double precision,
    rate double precision, lift double precision, cumulative_gain double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'lift_wrapper';
COMMENT ON FUNCTION lift(text, regclass, name, integer, name, integer, date, date) IS
'The rows of a table or view by a version''s rank in equal shares, deciles unless said otherwise, with their rates, lift and
gain; see the type reco.lift_bucket.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

-- Feature views: what makes their rows, which weeks are stored, and every refresh. The rows are in tables of the
-- users' own.

CREATE TABLE feature_view (
    view_id       uuid PRIMARY KEY,
    table_schema  text NOT NULL,
    table_name    text NOT NULL,
    definition    text NOT NULL,
    available     text,
    checks        text,
    keys          text[] NOT NULL,
    time_column   text NOT NULL,
    label         text,
    planned       text[] NOT NULL,
    inputs        uuid[] NOT NULL,
    lookback      integer NOT NULL,
    horizon       integer NOT NULL,
    partition_by  text NOT NULL,
    search_path   text NOT NULL,
    settings      jsonb NOT NULL,
    engine        jsonb,
    created_by    name NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE feature_view IS 'Feature views: how the rows of each are computed';
COMMENT ON COLUMN feature_view.view_id IS 'The table that holds the rows has a mark of this name: see feature_view_table()';
COMMENT ON COLUMN feature_view.table_schema IS 'Where the table was when it was created or refreshed last';
COMMENT ON COLUMN feature_view.table_name IS 'Its name then, unquoted';
COMMENT ON COLUMN feature_view.definition IS 'Query with the first week ($1) and the last ($2) as parameters';
COMMENT ON COLUMN feature_view.available IS 'Query for the first moment of the data and the moment up to which they are complete';
COMMENT ON COLUMN feature_view.checks IS 'Query with the parameters of definition for what is wrong with the data: severity, message and hint';
COMMENT ON COLUMN feature_view.planned IS 'Columns that hold what is planned for the week after the row; a plan may replace them';
COMMENT ON COLUMN feature_view.inputs IS 'Feature views that are refreshed before this one';
COMMENT ON COLUMN feature_view.lookback IS 'Newest stored weeks that each refresh computes again';
COMMENT ON COLUMN feature_view.horizon IS 'Weeks after its own that a row looks at, for its label';
COMMENT ON COLUMN feature_view.search_path IS 'Under which the definition was written, and is run';
COMMENT ON COLUMN feature_view.settings IS 'Further settings under which it is run';
COMMENT ON COLUMN feature_view.engine IS 'For views of new products: what the library needs to compute the rows that the definition says';

CREATE TABLE feature_week (
    view_id      uuid NOT NULL,
    week         date NOT NULL,
    rows         bigint NOT NULL,
    computed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (view_id, week)
);
COMMENT ON TABLE feature_week IS 'The weeks that a feature view has stored, also those without a row';

CREATE TABLE feature_refresh (
    refresh_id   uuid PRIMARY KEY,
    view_id      uuid NOT NULL,
    table_schema text NOT NULL,
    table_name   text NOT NULL,
    status       text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    first_week   date,
    last_week    date,
    weeks        integer,
    rows         bigint,
    seconds      double precision,
    started_by   name NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    error        text
);
COMMENT ON TABLE feature_refresh IS 'One row for each refresh of a feature view';
CREATE INDEX feature_refresh_view ON feature_refresh (view_id, started_at);

SELECT pg_catalog.pg_extension_config_dump('feature_view', '');
SELECT pg_catalog.pg_extension_config_dump('feature_week', '');
SELECT pg_catalog.pg_extension_config_dump('feature_refresh', '');

-- What a table is called says nothing: it can be renamed, and another can take its name. A feature view's has a statistics
-- object that is named after the view's id and gathers nothing. It comes back with a dump and an upgrade, partitions need not
-- have it, and a table made LIKE this one has none of that name. Anybody can make one of that name: only those count that belong
-- to the view's author, or to a superuser, as after a restore without owners. Of several that have it all the same, the one at
-- the place that is known counts, else the oldest.
CREATE FUNCTION feature_view_table(view_id uuid, table_schema text, table_name text, author name) RETURNS oid
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$
    SELECT c.oid
    FROM pg_catalog.pg_statistic_ext AS s
    JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) s.stxowner
     AND (o.rolname OPERATOR(pg_catalog.=) author OR o.rolsuper)
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) s.stxrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE s.stxname OPERATOR(pg_catalog.=)
              ('feature_view_' OPERATOR(pg_catalog.||) view_id::pg_catalog.text)::pg_catalog.name
      AND c.relkind OPERATOR(pg_catalog.=) 'p'
    ORDER BY (n.nspname OPERATOR(pg_catalog.=) table_schema AND c.relname OPERATOR(pg_catalog.=) table_name) DESC, c.oid
    LIMIT 1
$$;
COMMENT ON FUNCTION feature_view_table(uuid, text, text, name) IS 'The table that holds the rows of a feature view, wherever it is by now; NULL where it is gone';

CREATE FUNCTION feature_view_name(view_id uuid, table_schema text, table_name text, author name) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$
    SELECT @extschema@.relation_name(coalesce(n.nspname::pg_catalog.text, table_schema),
                                     coalesce(c.relname::pg_catalog.text, table_name))
    FROM (SELECT @extschema@.feature_view_table(view_id, table_schema, table_name, author)) AS t (oid)
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.oid
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
$$;
COMMENT ON FUNCTION feature_view_name(uuid, text, text, name) IS 'What that table is called now, else what it was called';

-- A definition may have data in it, and so has the text of an error: they are for the owner of the view, its members, and
-- whoever wrote or started it.
CREATE FUNCTION is_own_feature_view(view_table oid, author name) RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT author OPERATOR(pg_catalog.=) current_user
        OR (SELECT u.rolsuper FROM pg_catalog.pg_roles AS u WHERE u.rolname OPERATOR(pg_catalog.=) current_user)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_class AS c
            WHERE c.oid OPERATOR(pg_catalog.=) view_table AND pg_catalog.pg_has_role(c.relowner, 'USAGE'))
$$;
COMMENT ON FUNCTION is_own_feature_view(oid, name) IS 'Whether the caller owns the table of a feature view, is a member of the role that does, or is the role named, which wrote or started something';

CREATE VIEW feature_views WITH (security_barrier) AS
SELECT feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by) AS view, v.keys, v.time_column, v.label, v.planned, w.weeks, w.first_week, w.last_week, w.rows, w.computed_at,
       ARRAY(SELECT feature_view_name(i.view_id, i.table_schema, i.table_name, i.created_by)
             FROM unnest(v.inputs) WITH ORDINALITY AS n (view_id, position) JOIN feature_view i USING (view_id)
             ORDER BY n.position) AS inputs,
       v.lookback, v.horizon, v.partition_by,
       CASE WHEN o.own THEN v.settings END AS settings, CASE WHEN o.own THEN v.definition END AS definition,
       CASE WHEN o.own THEN v.available END AS available, CASE WHEN o.own THEN v.checks END AS checks, v.created_by, v.created_at
FROM feature_view v
CROSS JOIN LATERAL (
    SELECT is_own_feature_view(feature_view_table(v.view_id, v.table_schema, v.table_name, v.created_by), v.created_by) AS own) o
LEFT JOIN LATERAL (
    SELECT count(*) AS weeks, min(w.week) AS first_week, max(w.week) AS last_week, least(coalesce(sum(w.rows) FILTER (WHERE w.rows > 0), 0), 9223372036854775807)::bigint AS rows,
           max(w.computed_at) AS computed_at
    FROM feature_week w WHERE w.view_id = v.view_id) w ON true;
COMMENT ON VIEW feature_views IS 'Every feature view with the weeks that it has stored. Settings, definition, available and checks are shown to its owner';

CREATE VIEW feature_refreshes WITH (security_barrier) AS
SELECT r.refresh_id,
       coalesce(feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by),
                relation_name(r.table_schema, r.table_name)) AS view,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id) THEN 'failed' ELSE r.status END AS status,
       r.first_week, r.last_week, r.weeks, r.rows, r.seconds, r.started_by, r.started_at, r.finished_at,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id)
            THEN 'the server process that refreshed it ended'
            WHEN is_own_feature_view(feature_view_table(v.view_id, v.table_schema, v.table_name, v.created_by), r.started_by)
            THEN r.error END AS error
FROM feature_refresh r LEFT JOIN feature_view v ON v.view_id = r.view_id;
COMMENT ON VIEW feature_refreshes IS 'Every refresh of a feature view: weeks, rows, seconds, and how it ended. Errors are shown to the view''s owner and to whoever started it';

GRANT SELECT ON feature_views, feature_refreshes TO PUBLIC;

-- From creation to removal.
CREATE FUNCTION create_feature_view(
    view         text,
    definition   text,
    keys         name[],
    time_column  name       DEFAULT 'week',
    label        name       DEFAULT NULL,
    available    text       DEFAULT NULL,
    inputs       regclass[] DEFAULT '{}',
    lookback     integer    DEFAULT 1,
    horizon      integer    DEFAULT 0,
    partition_by text       DEFAULT 'year',
    settings     jsonb      DEFAULT '{}',
    checks       text       DEFAULT NULL,
    planned      name[]     DEFAULT '{}')
RETURNS regclass
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'create_feature_view_wrapper';
COMMENT ON FUNCTION create_feature_view(text, text, name[], name, name, text, regclass[], integer, integer, text, jsonb, text, name[]) IS
'Makes a feature view: a table of weekly rows, partitioned by time, with the primary key (keys, time_column), owned by the
caller, empty until it is refreshed. definition: a query for the rows of the weeks whose Mondays lie from $1 to $2
(dates). keys, time_column, label: columns of its result; the time column is a date, the Monday of the week. available:
a query for the first moment of the data and the moment up to which they are complete. inputs: feature views that it
reads, refreshed first. lookback: newest stored weeks that each refresh computes again, for sales that came late.
horizon: weeks after its own that a row looks at, for its label. partition_by: year, quarter or month.
settings: under which the definition is run, such as {"work_mem": "256MB"}. checks: a query with the same parameters that a
refresh runs first; each row is a severity, a message and a hint: an error ends the refresh, a warning or notice is told.
planned: columns that hold what is planned for the week after the row, such as its price; recommend(…, plan => …) replaces them.
Returns the table. Its definition is always run with the rights of the table''s owner.';

CREATE FUNCTION create_launch_features(
    view          text,
    sales         regclass,
    products      regclass,
    stores        regclass,
    product_id    name    DEFAULT 'product_id',
    store_id      name    DEFAULT 'store_id',
    region        name    DEFAULT 'region',
    sold_at       name    DEFAULT 'sold_at',
    amount        name    DEFAULT 'amount',
    quantity      name    DEFAULT 'quantity',
    discount      name[]  DEFAULT '{}',
    customer      name    DEFAULT 'customer_id',
    category      name    DEFAULT 'category',
    attributes    name[]  DEFAULT '{}',
    launch_date   name    DEFAULT NULL,
    launch_weeks  integer DEFAULT 12,
    warm_up_weeks integer DEFAULT 8,
    lookback      integer DEFAULT 1,
    time_zone     text    DEFAULT NULL,
    partition_by  text    DEFAULT 'year',
    purchase      text    DEFAULT NULL,
    unlisted_stores text  DEFAULT 'leave_out',
    earliest      date    DEFAULT '2000-01-01',
    latest        date    DEFAULT '2099-12-31',
    last_weekday  integer DEFAULT 7,
    plans         jsonb   DEFAULT NULL)
RETURNS regclass
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'create_launch_features_wrapper';
COMMENT ON FUNCTION create_launch_features(text, regclass, regclass, regclass, name, name, name, name, name, name, name[], name, name, name[], name, integer, integer, integer, text, text, text, text, date, date, integer, jsonb) IS
'Makes the feature views of new products from tables of sales lines, products and stores: view_weekly with the sales of
each product, region and week, and view with a row for each product in its launch window, in every region that trades,
and the label purchased. The other arguments name columns; discount: amounts taken off the price, added up; attributes:
columns of products that become features; launch_date: of products, so that one without sales has rows from the week
before its launch on; without it the first sale is the launch. launch_weeks: length of the window. warm_up_weeks:
products first sold in so many first weeks of the data have no known launch. time_zone: whose weeks are meant where
sold_at has a time zone; the session''s. purchase: the condition by which a sales line is a purchase, quantity > 0: first sales,
customers and the label go by purchases; other lines, such as returns, only change sales and quantity. unlisted_stores: what
becomes of sales of stores without a region: leave_out, with a warning, refuse, or own_region, the region unlisted. earliest,
latest: rows and launch dates of other days are left out, with a warning. last_weekday: the last day of trade in a week, 1
(Monday) to 7: the week is over after it. A store or product that is listed twice is an error of the refresh. plans: an object, or an array of them, for each table of what is known of a week before
it begins: {"table": "promotions", "columns": ["display", "price"], "shares": [], "product_id": …, "store_id" or "region" or
neither, "week" or "from" and "until", "known_at": …}. Refresh both with CALL reco.refresh_features(view).';

CREATE PROCEDURE refresh_features(
    view      regclass,
    from_week date    DEFAULT NULL,
    to_week   date    DEFAULT NULL,
    lookback  integer DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'refresh_features_wrapper';
COMMENT ON PROCEDURE refresh_features(regclass, date, date, integer) IS
'Brings a feature view and its inputs up to date in one transaction: computes the weeks from from_week to to_week that are
missing, the newest lookback ones that are stored, and those before them whose label looks at one of these. By default
from the first week of the data to the last complete one. Other refreshes of the view wait, readers do not. Leaves a
record in reco.feature_refreshes, also of failure unless called inside a transaction. Weeks whose rows were deleted or truncated
are missing; those of a dropped partition are not. For members of the owner.';

CREATE FUNCTION features_as_of(
    view    anyelement,
    spine   record,
    at      name     DEFAULT NULL,
    max_age interval DEFAULT NULL)
RETURNS SETOF anyelement
STABLE PARALLEL SAFE COST 100 ROWS 1
LANGUAGE c AS 'MODULE_PATHNAME', 'features_as_of_wrapper';
COMMENT ON FUNCTION features_as_of(anyelement, record, name, interval) IS
'The newest row of a feature view that was known at a moment: a row of week w is known from the Monday after it on. view:
NULL of the view''s row type. spine: a row with the view''s key columns, by name, and the moment: its only date or
timestamp, or the column that at names; a date is its first instant. max_age: no row that was known longer than that
before the moment, 0 to 1000 years. No row where there is none, or where a key or the moment is NULL. Read with the caller''s rights.
SELECT s.*, f.* FROM spine AS s LEFT JOIN LATERAL reco.features_as_of(NULL::launch_features, s) AS f ON true';

CREATE FUNCTION drop_feature_view(view regclass, with_inputs boolean DEFAULT false) RETURNS void
VOLATILE STRICT PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'drop_feature_view_wrapper';
COMMENT ON FUNCTION drop_feature_view(regclass, boolean) IS
'Drops a feature view, its rows and what the catalog knows about it, be that damaged; the record of its refreshes stays. with_inputs: also
the feature views that it reads and no other one does. For members of the owner. Models that were trained from it stay,
but recommend() needs its rows.';

-- What the catalog shows to whom: a model's name, versions and metrics to those who may score with it; runs, and what
-- would tell of the training data, to those who may train it. A superuser sees everything.

-- What was measured is shown as far as it is a number; a row that is damaged hides no other. reco.check_setup() names it.
CREATE FUNCTION figure(stored jsonb, path text[]) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN pg_catalog.jsonb_typeof(f.found) OPERATOR(pg_catalog.<>) 'number' THEN NULL
                WHEN f.found OPERATOR(pg_catalog.=) '0' THEN 0
                WHEN pg_catalog.abs(f.found::pg_catalog.numeric) OPERATOR(pg_catalog.>=) 1e-300
                 AND pg_catalog.abs(f.found::pg_catalog.numeric) OPERATOR(pg_catalog.<=) 1e300
                THEN f.found::pg_catalog.float8 END
    FROM (SELECT stored OPERATOR(pg_catalog.#>) path) AS f (found)
$$;
COMMENT ON FUNCTION figure(jsonb, text[]) IS 'The number at a place in stored JSON; NULL where there is none';

CREATE FUNCTION whole_figure(stored jsonb, path text[]) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN f.found OPERATOR(pg_catalog.>=) 0 AND f.found OPERATOR(pg_catalog.<=) 2147483647
                THEN f.found::pg_catalog.int4 END
    FROM (SELECT @extschema@.figure(stored, path)) AS f (found)
$$;
COMMENT ON FUNCTION whole_figure(jsonb, text[]) IS 'The same as an integer, 0 or more';

-- The fields that others than those who train may see, of an object; of anything else nothing.
CREATE FUNCTION shown_metrics(metrics jsonb, trains boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN trains THEN metrics
                WHEN pg_catalog.jsonb_typeof(metrics) OPERATOR(pg_catalog.=) 'object'
                THEN metrics OPERATOR(pg_catalog.-) '{importance,by}'::pg_catalog.text[] END
$$;
COMMENT ON FUNCTION shown_metrics(jsonb, boolean) IS 'A version''s metrics as they are shown to those who train it, or to others';

CREATE VIEW models WITH (security_barrier) AS
SELECT m.model, m.owner, a.version AS champion,
       (SELECT count(*) FROM version v WHERE v.model = m.model) AS versions, m.created_at, m.purpose
FROM model m LEFT JOIN alias a ON a.model = m.model AND a.alias = 'champion'
WHERE has_model_privilege(m.model, 'score');
COMMENT ON VIEW models IS 'The models that one may score with, each with its champion';

CREATE VIEW versions WITH (security_barrier) AS
SELECT v.model, v.version, v.algorithm,
       ARRAY(SELECT a.alias FROM alias a WHERE a.model = v.model AND a.version = v.version ORDER BY a.alias) AS aliases,
       figure(v.metrics, '{test,model,auroc}') AS test_auroc,
       figure(v.metrics, '{test,popularity,auroc}') AS test_auroc_popularity,
       shown_metrics(v.metrics, p.trains) AS metrics,
       CASE WHEN p.trains THEN v.parameters END AS parameters,
       CASE WHEN p.trains THEN v.recipe END AS recipe,
       CASE WHEN p.trains THEN v.data END AS data,
       coalesce((SELECT feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by)
                 FROM feature_view f WHERE f.view_id = v.source_view),
                relation_name(v.source_schema, v.source_name)) AS source, v.keys, v.time_column, v.label, v.libraries, v.seconds, v.trained_by, v.trained_at, v.run_id,
       CASE WHEN v.artifact_id IS NULL THEN 'archived' WHEN v.run_id IS NOT NULL THEN 'trained'
            WHEN v.data ? 'calibration' THEN 'calibrated' ELSE 'imported' END AS status
FROM version v CROSS JOIN LATERAL (SELECT has_model_privilege(v.model, 'train') AS trains) p
WHERE has_model_privilege(v.model, 'score');
COMMENT ON VIEW versions IS 'The versions of models that one may score with: aliases, metrics, lineage and status (trained, imported, calibrated or archived). Parameters, recipe, data, the importance of columns and the metrics by region are shown to those who may train';

CREATE VIEW aliases WITH (security_barrier) AS
SELECT model, alias, version, set_by, set_at FROM alias
WHERE has_model_privilege(model, 'score');
COMMENT ON VIEW aliases IS 'Which version each movable name stands for';

CREATE VIEW promotions WITH (security_barrier) AS
SELECT p.model, p.step, p.action, p.from_version, p.to_version, p.why, p.moved_by, p.moved_at
FROM promotion p
WHERE has_model_privilege(p.model, 'score');
COMMENT ON VIEW promotions IS 'Every move of a model''s champion: from which version to which, when, by whom and why';
GRANT SELECT ON promotions TO PUBLIC;

CREATE VIEW model_privileges WITH (security_barrier) AS
SELECT p.model, p.grantee, p.privilege, p.granted_by, p.granted_at
FROM model_privilege p
WHERE has_model_privilege(p.model, 'manage')
   OR p.grantee = 'public'
   OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = p.grantee AND pg_has_role(r.oid, 'USAGE'));
COMMENT ON VIEW model_privileges IS 'Privileges that were granted: one''s own, and all of the models that one manages';
GRANT SELECT ON model_privileges TO PUBLIC;

CREATE VIEW runs WITH (security_barrier) AS
SELECT r.run_id, r.model,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id) THEN 'failed' ELSE r.status END AS status,
       r.version, r.algorithm, relation_name(r.source_schema, r.source_name) AS source, r.parameters, r.started_by, r.started_at, r.finished_at,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id)
            THEN 'the server process that trained it ended' ELSE r.error END AS error,
       r.tune_id, r.trial, r.rung, r.value
FROM run r LEFT JOIN model m USING (model)
WHERE r.started_by = current_user
   OR (r.started_at >= m.begun_at AND has_model_privilege(r.model, 'train'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW runs IS 'Training attempts and how they ended: one''s own, and those of models that one may train';

CREATE VIEW run_metrics WITH (security_barrier) AS
SELECT m.run_id, r.model, m.algorithm, m.epoch, m.train_loss, m.validation_loss, m.validation_auroc, m.seconds
FROM run_metric m JOIN runs r USING (run_id);
COMMENT ON VIEW run_metrics IS 'Losses by epoch, also of the runs under way';

CREATE VIEW run_candidates WITH (security_barrier) AS
SELECT c.run_id, r.model, c.algorithm, c.validation, c.test, c.best_epoch, c.fitted, c.seconds, c.error,
       coalesce(c.algorithm = v.algorithm, false) AS kept, v.version, c.cut_offs
FROM run_candidate c JOIN runs r USING (run_id) LEFT JOIN version v ON v.run_id = c.run_id;
COMMENT ON VIEW run_candidates IS 'The algorithms that a run of several has tried, and which of them became the version';

CREATE VIEW training_progress WITH (security_barrier) AS
SELECT r.run_id, r.model, r.started_by, r.started_at, m.algorithm, m.epoch,
       whole_figure(r.parameters, '{epochs}') AS epochs, m.train_loss, m.validation_loss, m.validation_auroc
FROM runs r LEFT JOIN LATERAL (
    SELECT * FROM run_metric m WHERE m.run_id = r.run_id ORDER BY m.epoch DESC LIMIT 1) m ON true
WHERE r.status = 'running';
COMMENT ON VIEW training_progress IS 'The runs under way with their newest epoch';

CREATE VIEW tunes WITH (security_barrier) AS
SELECT t.tune_id, t.model,
       CASE WHEN t.status = 'running' AND NOT run_is_alive(t.tune_id) THEN 'failed' ELSE t.status END AS status,
       t.version, t.algorithm, relation_name(t.source_schema, t.source_name) AS source, t.metric, whole_figure(t.settings, '{trials}') AS trials,
       (SELECT count(*) FROM run r WHERE r.tune_id = t.tune_id AND r.status = 'succeeded') AS trained,
       t.settings, t.threads, t.digest, t.started_by, t.started_at, t.finished_at,
       CASE WHEN t.status = 'running' AND NOT run_is_alive(t.tune_id)
            THEN 'the server process that tuned it ended' ELSE t.error END AS error
FROM tune t LEFT JOIN model m USING (model)
WHERE t.started_by = current_user
   OR (t.started_at >= m.begun_at AND has_model_privilege(t.model, 'train'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW tunes IS 'Searches for a model''s parameters and how they ended: one''s own, and those of models that one may train';

CREATE VIEW trials WITH (security_barrier) AS
SELECT r.tune_id, r.model, r.trial, r.rung,
       whole_figure(r.parameters, ARRAY[CASE r.algorithm WHEN 'boosted_trees' THEN 'trees' ELSE 'epochs' END]) AS budget,
       (SELECT jsonb_object_agg(name, r.parameters -> name)
        FROM jsonb_object_keys(CASE WHEN jsonb_typeof(t.settings -> 'search') = 'object' THEN t.settings -> 'search' END) AS name) AS params,
       t.metric, r.value, r.status, r.version, r.run_id, r.started_at, r.finished_at, r.error
FROM runs r JOIN tune t USING (tune_id);
COMMENT ON VIEW trials IS 'The trainings of every search: the parameters that were drawn, for how long they were trained (in epochs or trees), and how good they are by the search''s metric on validation rows';

CREATE VIEW audit WITH (security_barrier) AS
SELECT e.at, e.login, e.role, e.action, e.model, e.version,
       -- The text of an error has values of the training data in it.
       CASE WHEN e.role = current_user OR has_model_privilege(e.model, 'train') THEN e.detail ELSE e.detail - 'error' END AS detail,
       e.event_id
FROM audit_event e LEFT JOIN model m USING (model)
WHERE (e.at >= m.begun_at AND has_model_privilege(e.model, 'score'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW audit IS 'Who trained, promoted, granted and so on, and when: the models on which one has a privilege; to superusers all, also those that are dropped. Texts of errors are shown to those who may train';
GRANT SELECT ON audit TO PUBLIC;

CREATE FUNCTION more_is_better(metric text) RETURNS boolean
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'more_is_better_wrapper';
COMMENT ON FUNCTION more_is_better(text) IS 'Whether a higher value of a metric is better; an error where no metric has the name';

CREATE FUNCTION leaderboard(model text, metric text)
RETURNS TABLE (version integer, run_id uuid, algorithm text, champion boolean, auroc double precision,
               average_precision double precision, log_loss double precision, rmse double precision,
               mae double precision, pinball double precision, test_auroc double precision,
               test_average_precision double precision, test_rmse double precision, seconds double precision,
               error text, k integer, precision_at_k double precision, recall_at_k double precision,
               expected_at_k double precision, positives_at_k double precision,
               test_precision_at_k double precision, test_recall_at_k double precision,
               test_expected_at_k double precision, test_positives_at_k double precision)
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT v.version, v.run_id, v.algorithm, coalesce('champion' OPERATOR(pg_catalog.=) ANY (v.aliases), false),
           m.auroc, m.average_precision, m.log_loss, m.rmse, m.mae, m.pinball,
           t.auroc, t.average_precision, t.rmse, v.seconds, v.error, coalesce(m.k, t.k),
           m.precision_at_k, m.recall_at_k, m.expected_at_k, m.positives_at_k,
           t.precision_at_k, t.recall_at_k, t.expected_at_k, t.positives_at_k
    FROM (
        SELECT version, run_id, algorithm, aliases, metrics OPERATOR(pg_catalog.#>) '{validation,model}' AS validation,
               metrics OPERATOR(pg_catalog.#>) '{test,model}' AS test, seconds, NULL AS error
        FROM @extschema@.versions
        WHERE model OPERATOR(pg_catalog.=) $1
        UNION ALL
        SELECT NULL, run_id, algorithm, NULL, validation, test, seconds, error
        FROM @extschema@.run_candidates
        WHERE model OPERATOR(pg_catalog.=) $1 AND NOT kept
    ) AS v,
    LATERAL (SELECT @extschema@.figure(v.validation, '{auroc}'), @extschema@.figure(v.validation, '{average_precision}'),
                    @extschema@.figure(v.validation, '{log_loss}'), @extschema@.figure(v.validation, '{rmse}'),
                    @extschema@.figure(v.validation, '{mae}'), @extschema@.figure(v.validation, '{pinball}'),
                    @extschema@.whole_figure(v.validation, '{k}'),
                    @extschema@.figure(v.validation, '{precision_at_k}'), @extschema@.figure(v.validation, '{recall_at_k}'),
                    @extschema@.figure(v.validation, '{expected_at_k}'), @extschema@.figure(v.validation, '{positives_at_k}'),
                    @extschema@.figure(v.validation, ARRAY[$2])
            ) AS m (auroc, average_precision, log_loss, rmse, mae, pinball, k, precision_at_k, recall_at_k, expected_at_k,
                    positives_at_k, asked),
    LATERAL (SELECT @extschema@.figure(v.test, '{auroc}'), @extschema@.figure(v.test, '{average_precision}'),
                    @extschema@.figure(v.test, '{rmse}'), @extschema@.whole_figure(v.test, '{k}'),
                    @extschema@.figure(v.test, '{precision_at_k}'), @extschema@.figure(v.test, '{recall_at_k}'),
                    @extschema@.figure(v.test, '{expected_at_k}'), @extschema@.figure(v.test, '{positives_at_k}')
            ) AS t (auroc, average_precision, rmse, k, precision_at_k, recall_at_k, expected_at_k, positives_at_k)
    -- The least is the best.
    ORDER BY CASE WHEN $2 IS NULL THEN coalesce(OPERATOR(pg_catalog.-) m.average_precision, m.rmse)
                  WHEN @extschema@.more_is_better($2) THEN OPERATOR(pg_catalog.-) m.asked
                  ELSE m.asked END NULLS LAST, v.version
$$;
COMMENT ON FUNCTION leaderboard(text, text) IS
'Every version of a model, and the candidates that did not become one, by a metric on validation rows, the best first. metric: a
value of the training parameter metric; NULL takes average_precision, or rmse. Columns that begin with test_ are of the test
rows, the others of the validation rows. Those that end with at_k are of lists, the k rows of a region and week with the highest
scores: precision_at_k of them came true, a mean over the lists; they hold recall_at_k of all that came true; expected_at_k is
the sum of their probabilities, positives_at_k how many came true, both a mean over the lists.';

CREATE FUNCTION leaderboard(model text)
RETURNS TABLE (version integer, run_id uuid, algorithm text, champion boolean, auroc double precision,
               average_precision double precision, log_loss double precision, rmse double precision,
               mae double precision, pinball double precision, test_auroc double precision,
               test_average_precision double precision, test_rmse double precision, seconds double precision,
               error text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT version, run_id, algorithm, champion, auroc, average_precision, log_loss, rmse, mae, pinball,
           test_auroc, test_average_precision, test_rmse, seconds, error
    FROM @extschema@.leaderboard($1, NULL)
    ORDER BY average_precision DESC NULLS LAST, rmse, version
$$;
COMMENT ON FUNCTION leaderboard(text) IS 'Every version of a model, and the candidates that did not become one, by average precision (of regressions by root mean squared error) on validation rows, the best first; columns that begin with test_ are of the test rows. With a metric as second argument by that one, and with the figures of lists';

GRANT SELECT ON models, versions, aliases, runs, run_metrics, run_candidates, training_progress, tunes, trials TO PUBLIC;

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

-- What features are computed with: sales summaries, decayed sums and trends, the week of a moment. Encoders are in
-- encoders.sql.

-- Sales summaries: an aggregate in two steps. reco.sales_summary(…) makes a summary of sale lines, reco.rollup(…) merges
-- summaries, and the accessors read it.

CREATE TYPE sales_summary;

CREATE FUNCTION sales_summary_in(cstring) RETURNS sales_summary
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_in_wrapper';
COMMENT ON FUNCTION sales_summary_in(cstring) IS 'Input function of sales_summary';
CREATE FUNCTION sales_summary_out(sales_summary) RETURNS cstring
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_out_wrapper';
COMMENT ON FUNCTION sales_summary_out(sales_summary) IS 'Output function of sales_summary';
CREATE FUNCTION sales_summary_recv(internal) RETURNS sales_summary
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_recv_wrapper';
COMMENT ON FUNCTION sales_summary_recv(internal) IS 'Binary input function of sales_summary';
CREATE FUNCTION sales_summary_send(sales_summary) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_send_wrapper';
COMMENT ON FUNCTION sales_summary_send(sales_summary) IS 'Binary output function of sales_summary';

CREATE TYPE sales_summary (
    INPUT = sales_summary_in,
    OUTPUT = sales_summary_out,
    RECEIVE = sales_summary_recv,
    SEND = sales_summary_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = extended
);
COMMENT ON TYPE sales_summary IS
'Totals, distinct customers and period of any number of sale lines. One line takes about 40 bytes, the largest summary
3173. The text form is a JSON object that reads back exactly; the binary form is the stored one. Damaged input is an
error. There is no comparison: compare what the accessors say.';

CREATE FUNCTION sales_summary_step(
    internal, amount "any", quantity "any", discount "any", customer anyelement, sold_at timestamp
) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_step_wrapper';
COMMENT ON FUNCTION sales_summary_step(internal, "any", "any", "any", anyelement, timestamp) IS
'Transition function of the aggregate sales_summary';
CREATE FUNCTION rollup_step(internal, sales_summary) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'rollup_step_wrapper';
COMMENT ON FUNCTION rollup_step(internal, sales_summary) IS 'Transition function of the aggregate rollup';
CREATE FUNCTION sales_summary_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_combine_wrapper';
COMMENT ON FUNCTION sales_summary_combine(internal, internal) IS 'Merges the states of parallel workers';
CREATE FUNCTION sales_summary_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_serialize_wrapper';
COMMENT ON FUNCTION sales_summary_serialize(internal) IS 'A state as another process takes it';
CREATE FUNCTION sales_summary_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_deserialize_wrapper';
COMMENT ON FUNCTION sales_summary_deserialize(bytea, internal) IS 'A state of another process';
CREATE FUNCTION sales_summary_final(internal) RETURNS sales_summary
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_final_wrapper';
COMMENT ON FUNCTION sales_summary_final(internal) IS 'The summary that a state stands for';

CREATE AGGREGATE sales_summary(
    amount "any", quantity "any", discount "any", customer anyelement, sold_at timestamp
) (
    SFUNC = sales_summary_step,
    STYPE = internal,
    SSPACE = 128,
    COMBINEFUNC = sales_summary_combine,
    SERIALFUNC = sales_summary_serialize,
    DESERIALFUNC = sales_summary_deserialize,
    FINALFUNC = sales_summary_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE sales_summary("any", "any", "any", anyelement, timestamp) IS
'Summary of sale lines. Numbers may be of any type of number. amount: what was paid; returns may be negative. quantity: units. discount: what was taken off.
customer: who bought, of any type with a hash function; NULL is nobody. sold_at: when.
A row whose amount and quantity are both NULL is no sale and is skipped. Any other NULL adds nothing to its own figure.
NULL where no row counts. NaN, infinities and totals beyond double precision are errors.
Totals are compensated sums (Knuth''s TwoSum, Dekker''s double-double). Customers are kept as 64-bit hashes, exactly up to
384 of them; beyond that their number is estimated by HyperLogLog with a standard error of 1.6 percent.';

CREATE AGGREGATE rollup(sales_summary) (
    SFUNC = rollup_step,
    STYPE = internal,
    SSPACE = 128,
    COMBINEFUNC = sales_summary_combine,
    SERIALFUNC = sales_summary_serialize,
    DESERIALFUNC = sales_summary_deserialize,
    FINALFUNC = sales_summary_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(sales_summary) IS
'The summary of all sale lines that the summaries stand for. NULLs are skipped; NULL where there is nothing else. The
lines must not overlap: one that is in two summaries counts twice, but its customer once.';

CREATE FUNCTION trailing_weeks(sales sales_summary, week date, weeks integer) RETURNS sales_summary
WINDOW IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trailing_weeks_wrapper';
COMMENT ON FUNCTION trailing_weeks(sales_summary, date, integer) IS
'Window function: the summary of the weeks that end with the row''s, so many of them, of the rows up to it; NULL where none
of them has sales. The window is ordered by the week. As rollup(sales) over a frame of that many weeks, but several
lengths take one pass. SELECT reco.trailing_weeks(sales, week, 13) OVER (PARTITION BY product_id, region ORDER BY week)';

CREATE FUNCTION total_sales(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'total_sales_wrapper';
COMMENT ON FUNCTION total_sales(sales_summary) IS 'Sum of the amounts; NULL if none was known';

CREATE FUNCTION total_quantity(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'total_quantity_wrapper';
COMMENT ON FUNCTION total_quantity(sales_summary) IS 'Sum of the quantities; NULL if none was known';

CREATE FUNCTION total_discount(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'total_discount_wrapper';
COMMENT ON FUNCTION total_discount(sales_summary) IS 'Sum of the discounts; NULL if none was known';

CREATE FUNCTION unique_customers(sales_summary) RETURNS bigint
IMMUTABLE STRICT PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'unique_customers_wrapper';
COMMENT ON FUNCTION unique_customers(sales_summary) IS
'Distinct customers: exact up to 384, estimated beyond with a standard error of 1.6 percent; 0 if none was known. Customers
whose 64-bit hashes are equal count as one. Source of the estimate: Flajolet et al., HyperLogLog (2007), as corrected by
Apache DataSketches (composite estimator)';

CREATE FUNCTION avg_discount(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'avg_discount_wrapper';
COMMENT ON FUNCTION avg_discount(sales_summary) IS
'Mean discount of the sale lines whose discount is known; NULL if there is none';

CREATE FUNCTION discount_rate(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'discount_rate_wrapper';
COMMENT ON FUNCTION discount_rate(sales_summary) IS
'total_discount / (total_sales + total_discount): the part of the full price that was taken off. NULL if either is unknown
or the sum is 0';

CREATE FUNCTION avg_price(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'avg_price_wrapper';
COMMENT ON FUNCTION avg_price(sales_summary) IS
'total_sales / total_quantity: what a unit brought in. NULL if either is unknown or the quantity is 0';

CREATE FUNCTION transactions(sales_summary) RETURNS bigint
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'transactions_wrapper';
COMMENT ON FUNCTION transactions(sales_summary) IS 'Sale lines counted';

CREATE FUNCTION first_sale(sales_summary) RETURNS timestamp
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'first_sale_wrapper';
COMMENT ON FUNCTION first_sale(sales_summary) IS 'The earliest sold_at; NULL if none was known';

CREATE FUNCTION last_sale(sales_summary) RETURNS timestamp
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'last_sale_wrapper';
COMMENT ON FUNCTION last_sale(sales_summary) IS 'The latest sold_at; NULL if none was known';

-- Aggregates over a series of values: decayed sums and averages, and trends.
CREATE FUNCTION decayed_step(internal, value double precision, at timestamp, as_of timestamp, half_life interval) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_step_wrapper';
COMMENT ON FUNCTION decayed_step(internal, double precision, timestamp, timestamp, interval) IS
'Transition function of the aggregates decayed_sum and decayed_avg';
CREATE FUNCTION decayed_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_combine_wrapper';
COMMENT ON FUNCTION decayed_combine(internal, internal) IS 'Merges the states of parallel workers';
CREATE FUNCTION decayed_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_serialize_wrapper';
COMMENT ON FUNCTION decayed_serialize(internal) IS 'A state as another process takes it';
CREATE FUNCTION decayed_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_deserialize_wrapper';
COMMENT ON FUNCTION decayed_deserialize(bytea, internal) IS 'A state of another process';
CREATE FUNCTION decayed_sum_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_sum_wrapper';
COMMENT ON FUNCTION decayed_sum_final(internal) IS 'What a state says';
CREATE FUNCTION decayed_avg_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_avg_wrapper';
COMMENT ON FUNCTION decayed_avg_final(internal) IS 'What a state says';

CREATE AGGREGATE decayed_sum(value double precision, at timestamp, as_of timestamp, half_life interval) (
    SFUNC = decayed_step,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = decayed_combine,
    SERIALFUNC = decayed_serialize,
    DESERIALFUNC = decayed_deserialize,
    FINALFUNC = decayed_sum_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE decayed_sum(double precision, timestamp, timestamp, interval) IS
'Sum of value * 2^(-age / half_life), age being the time from at to as_of: a value one half_life old counts half. Values
after as_of were not known then and are ignored, as is a row with a NULL. as_of and half_life must be the same in all rows
of a group, and half_life positive; a month counts 30 days, a day 24 hours. NULL where no row counts. NaN and infinities
are errors. Source: the law of exponential decay; compensated sums';

CREATE AGGREGATE decayed_avg(value double precision, at timestamp, as_of timestamp, half_life interval) (
    SFUNC = decayed_step,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = decayed_combine,
    SERIALFUNC = decayed_serialize,
    DESERIALFUNC = decayed_deserialize,
    FINALFUNC = decayed_avg_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE decayed_avg(double precision, timestamp, timestamp, interval) IS
'Average of the values, weighted by 2^(-age / half_life); see decayed_sum. NULL also where the values are so old that their
weights are all 0. Source: exponentially weighted moving average, Roberts, Technometrics 1 (1959)';

CREATE FUNCTION trend_step(internal, value double precision, week date) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_step_wrapper';
COMMENT ON FUNCTION trend_step(internal, double precision, date) IS
'Transition function of the aggregate trend';
CREATE FUNCTION trend_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_combine_wrapper';
COMMENT ON FUNCTION trend_combine(internal, internal) IS 'Merges the states of parallel workers';
CREATE FUNCTION trend_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_serialize_wrapper';
COMMENT ON FUNCTION trend_serialize(internal) IS 'A state as another process takes it';
CREATE FUNCTION trend_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_deserialize_wrapper';
COMMENT ON FUNCTION trend_deserialize(bytea, internal) IS 'A state of another process';
CREATE FUNCTION trend_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_final_wrapper';
COMMENT ON FUNCTION trend_final(internal) IS 'What a state says';

CREATE AGGREGATE trend(value double precision, week date) (
    SFUNC = trend_step,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = trend_combine,
    SERIALFUNC = trend_serialize,
    DESERIALFUNC = trend_deserialize,
    FINALFUNC = trend_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE trend(double precision, date) IS
'Slope of the least-squares line through the values: their change per week of 7 days. Weeks that are absent are not zeros:
give them as rows if they are. A row with a NULL is ignored. NULL with fewer than two different dates. NaN and infinities
are errors. Source: co-moments by Chan, Golub and LeVeque, STAN-CS-79-773 (1979)';

-- The week of a day or moment.
CREATE FUNCTION week(date) RETURNS date
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'week_of_date_wrapper';
COMMENT ON FUNCTION week(date) IS 'The Monday of the date''s week; an infinite date is an error';

CREATE FUNCTION week(timestamp) RETURNS date
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'week_of_timestamp_wrapper';
COMMENT ON FUNCTION week(timestamp) IS
'The Monday of the moment''s week, as date_trunc(''week'', …)::date, in a tenth of its time; an infinite moment is an error';

-- Parquet files of a data lake, in and out. The process that reads and writes them is in crates/lake.

CREATE TABLE lake_file (
    table_schema  name NOT NULL,
    table_name    name NOT NULL,
    uri           text COLLATE "C" NOT NULL,
    etag          text NOT NULL,
    bytes         bigint NOT NULL,
    rows          bigint NOT NULL,
    loaded_by     name NOT NULL DEFAULT session_user,
    loaded_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_schema, table_name, uri)
);
COMMENT ON TABLE lake_file IS 'The files that load_parquet() has loaded, by the table that they went into: what new_files leaves out';
COMMENT ON COLUMN lake_file.table_schema IS 'Schema of the table, as it was called then';
COMMENT ON COLUMN lake_file.etag IS 'What the store calls the content that was loaded';
COMMENT ON COLUMN lake_file.rows IS 'How many rows the file had';

SELECT pg_catalog.pg_extension_config_dump('lake_file', '');

CREATE VIEW loaded_files WITH (security_barrier) AS
SELECT table_schema, table_name, uri, etag, bytes, rows, loaded_by, loaded_at
FROM @extschema@.lake_file
WHERE pg_catalog.has_table_privilege(
    pg_catalog.to_regclass(pg_catalog.format('%I.%I', table_schema, table_name)), 'SELECT');
COMMENT ON VIEW loaded_files IS 'The files that load_parquet() has loaded into tables that one may read: where from, which content, how many rows, when, by whom';
GRANT SELECT ON loaded_files TO PUBLIC;

CREATE PROCEDURE load_parquet(
    relation  regclass,
    uri       text,
    columns   jsonb  DEFAULT NULL,
    mode      text   DEFAULT 'append')
LANGUAGE c AS 'MODULE_PATHNAME', 'load_parquet_wrapper';
COMMENT ON PROCEDURE load_parquet(regclass, text, jsonb, text) IS
'Loads Parquet files into a table, as COPY would: with its defaults, triggers and constraints, and with the caller''s right to
INSERT. All or nothing, in the caller''s transaction.
relation: the table. uri: a file, a folder with all below it, or a pattern (*, ?, [a-z], and ** for folders) under file:///,
abfss://container@account.dfs.core.windows.net/, az://container/, s3://bucket/ or gs://bucket/; folders such as week=2024-01-01
are columns too. columns: a JSON object of the table''s columns, each with that of the files; NULL takes those that have the
same name. mode: append; replace, which deletes the table''s rows and has its files forgotten before; new_files, which leaves
out those that were loaded, and refuses one that has changed since.
For members of reco_lake_read, under the prefixes of reco.lake_prefixes; file:/// for superusers and pg_read_server_files.
Notices say how far it is, and pg_stat_progress_copy to others.';

CREATE PROCEDURE save_parquet(
    source        text,
    uri           text,
    partition_by  name[]   DEFAULT NULL,
    replace       boolean  DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'save_parquet_wrapper';
COMMENT ON PROCEDURE save_parquet(text, text, name[], boolean) IS
'Writes the rows of a relation or a query into Parquet files, read with the caller''s rights. Nothing is seen before all is
written.
source: the name of a table or view, or a query that begins with SELECT, WITH, VALUES or TABLE. uri: a file, which ends with
.parquet, or a folder, into which one or more are written; schemes as load_parquet takes them. partition_by: columns whose
values go into the names of folders, such as week=2024-01-01, and not into the files. replace: whether a file that is there may
be replaced; a folder must be new or empty.
For members of reco_lake_write, under the prefixes of reco.lake_prefixes; file:/// for superusers and pg_write_server_files.';

-- Roles belong to all databases of a server, so that another database may have made them.
DO $$
DECLARE
    gate text;
BEGIN
    FOREACH gate IN ARRAY ARRAY['reco_lake_read', 'reco_lake_write'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) gate) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', gate);
        END IF;
        EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA @extschema@ TO %I', gate);
    END LOOP;
END
$$;
REVOKE EXECUTE ON PROCEDURE load_parquet(regclass, text, jsonb, text), save_parquet(text, text, name[], boolean) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE load_parquet(regclass, text, jsonb, text) TO reco_lake_read;
GRANT EXECUTE ON PROCEDURE save_parquet(text, text, name[], boolean) TO reco_lake_write;

-- What is done with models: names for versions, who may do what, the model card, files of models, and what is not needed any
-- more. The tables are in catalog.sql.

-- Names for versions; the champion is the one that scores.
CREATE FUNCTION set_alias(model text, alias text, version integer) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'set_alias_wrapper';
COMMENT ON FUNCTION set_alias(text, text, integer) IS
'Lets a name stand for a version of a model, instead of the one that it stood for. The alias champion is the one that
predict and recommend use; setting it is the same as promote(). For those who manage the model.';

CREATE FUNCTION drop_alias(model text, alias text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'drop_alias_wrapper';
COMMENT ON FUNCTION drop_alias(text, text) IS
'Removes an alias of a model; the version stays. Without the alias champion, predict and recommend refuse until a version
is promoted or rolled back to. For those who manage the model.';

CREATE FUNCTION promote(model text, version integer, why text DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'promote_wrapper';
COMMENT ON FUNCTION promote(text, integer, text) IS
'Makes a version the champion and returns the one that was (NULL if none). why: kept in the history, at most 10,000
characters. Seen by others when the
transaction commits, by each of their statements as a whole. Promoting the champion changes nothing. For those who manage
the model; concurrent promotions wait for each other.';

CREATE FUNCTION rollback(model text, why text DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'rollback_wrapper';
COMMENT ON FUNCTION rollback(text, text) IS
'Makes the champion before the present one champion again and returns its number; called twice, the one before that. Archived
versions are passed over. A promotion after a rollback begins a new line: rolling back from it comes to where it began.
An error where there is nothing to go back to. For those who manage the model.';

CREATE PROCEDURE wait_for(model text, version integer, alias text DEFAULT 'champion', time_limit interval DEFAULT '1 minute')
LANGUAGE c AS 'MODULE_PATHNAME', 'wait_for_wrapper';
COMMENT ON PROCEDURE wait_for(text, integer, text, interval) IS
'Waits until this server sees a version as the champion of a model (or under another alias; alias NULL: until the version is
stored), for a deployment: on a standby that is when what was committed on the primary has been replayed. An error after
time_limit; one of 0 or less looks once. A model that is not there yet is waited for as well. Holds no snapshot and no lock while
it waits, so it cannot run inside a transaction block. For those who may score with the model.';

-- Privileges.
CREATE FUNCTION grant_model(model text, role name, privilege text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'grant_model_wrapper';
COMMENT ON FUNCTION grant_model(text, name, text) IS
'Grants a privilege on a model to a role and its members; public is everybody. score: to predict, recommend and explain;
train: also to train further versions and to see runs, recipes and data; manage: also to promote, roll back, archive,
export, drop and grant. Granting what is granted changes nothing. For those who manage the model.';

CREATE FUNCTION revoke_model(model text, role name, privilege text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'revoke_model_wrapper';
COMMENT ON FUNCTION revoke_model(text, name, text) IS
'Takes a privilege back from a role (or public), and those that include it. What the role has by owning the model, as a
member of another role or by what is granted to public stays. For those who manage the model.';

CREATE FUNCTION set_model_owner(model text, owner name) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'set_model_owner_wrapper';
COMMENT ON FUNCTION set_model_owner(text, name) IS
'Gives a model to another role, of which the caller is to be a member. For those who manage the model; where its owner was
dropped, for superusers.';

-- The model card.
CREATE FUNCTION model_card(model text, version integer DEFAULT NULL) RETURNS jsonb
STABLE PARALLEL RESTRICTED
LANGUAGE c AS 'MODULE_PATHNAME', 'model_card_wrapper';
COMMENT ON FUNCTION model_card(text, integer) IS
'What a version (the champion where it is NULL) is for, made from, how good and how limited it is, as JSON: purpose, metrics of
validation and test rows beside those of popularity, limits, lineage, aliases and the history of the champion. Data,
parameters and columns with their importance are shown to those who may train the model; it needs the privilege score.';

CREATE FUNCTION model_card_text(model text, version integer DEFAULT NULL) RETURNS text
STABLE PARALLEL RESTRICTED
LANGUAGE c AS 'MODULE_PATHNAME', 'model_card_text_wrapper';
COMMENT ON FUNCTION model_card_text(text, integer) IS
'The same as Markdown to be read.';

CREATE FUNCTION describe_model(model text, purpose text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'describe_model_wrapper';
COMMENT ON FUNCTION describe_model(text, text) IS
'Says what a model is for, in its card and in reco.models; NULL takes it away. At most 10,000
characters. For those who manage the model.';

-- Out of the database and into it.
CREATE FUNCTION export_model(model text, version integer DEFAULT NULL) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_wrapper';
COMMENT ON FUNCTION export_model(text, integer) IS
'A version (the champion where it is NULL) as a safetensors file with its recipe: what import_model takes, here or in another
database, and what Python reads; an error where it has a gigabyte or more. For those who manage the model; it is recorded in the audit.';

CREATE FUNCTION export_model(model text, version integer, format text) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_as_wrapper';
COMMENT ON FUNCTION export_model(text, integer, text) IS
'The same in a format: safetensors, or onnx for programs that run models where there is no PostgreSQL. As ONNX it is one graph with
an input for each column and the outputs score and, of a quantity, quantiles, which are those of predict() and
predict_quantiles(); the page "Models" of the documentation says what goes in for NULL. An error for the popularity
baseline, for a category that has the value <NULL>, and where the file would have a gigabyte or more.';

CREATE FUNCTION import_model(
    model       text,
    artifact    bytea,
    source      regclass DEFAULT NULL,
    keys        name[]   DEFAULT NULL,
    time_column name     DEFAULT NULL,
    label       name     DEFAULT NULL,
    promote     boolean  DEFAULT false) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'import_model_wrapper';
COMMENT ON FUNCTION import_model(text, bytea, regclass, name[], name, name, boolean) IS
'Stores a version that was made elsewhere and returns its number: a safetensors file with a recipe, as export_model writes it and
the page "Models" of the documentation describes it, every length, shape and number of which is checked; or a model in ONNX whose
inputs have the names of columns, as import_onnx takes it. source: a relation with
the recipe''s columns, whose rows recommend scores; keys and time_column: found as train finds them; without a source predict
alone works. label: what is predicted, for the record. promote: make it the champion even if there is one. A file of integrations/torchrun/train.py
brings metrics and lineage, which are kept as told by the file, and is refused where its scores of the rows that it shows are not those
that come out here, within 1e-5. A new model belongs to the caller; a version of one that exists needs the privilege train, to promote
it manage.';

CREATE FUNCTION import_onnx(
    model       text,
    artifact    bytea,
    source      regclass DEFAULT NULL,
    keys        name[]   DEFAULT NULL,
    time_column name     DEFAULT NULL,
    label       name     DEFAULT NULL,
    promote     boolean  DEFAULT false,
    columns     name[]   DEFAULT NULL,
    output      text     DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'import_onnx_wrapper';
COMMENT ON FUNCTION import_onnx(text, bytea, regclass, name[], name, name, boolean, name[], text) IS
'As import_model, of a model in ONNX. The trainer''s process converts it and compares it with the original on rows of the source, or
on random ones: it is refused if a score differs by more than 1e-5, or if it has an operator that is not supported. columns: the
columns of the values of its one input, in their order, if its inputs have not the columns'' names. output: probability, logit or
quantity, if the graph does not say it.';

-- Probabilities that are right.
CREATE FUNCTION calibrate(
    model     text,
    version   integer,
    source    regclass,
    label     name    DEFAULT NULL,
    method    text    DEFAULT 'platt',
    from_week date    DEFAULT NULL,
    to_week   date    DEFAULT NULL,
    promote   boolean DEFAULT false) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'calibrate_wrapper';
COMMENT ON FUNCTION calibrate(text, integer, regclass, name, text, date, date, boolean) IS
'Fits the probabilities of a version (the champion where it is NULL) anew to rows that it has not learned from, and stores the
result as another version, whose number it returns: the same columns and weights, another calibration, which takes the place of
the one that it had. method: platt, a line of the log-odds, which needs 20 rows of each outcome; or isotonic, rising steps, which
needs 200. label: the column that the version was trained on. from_week, to_week: only rows of these weeks, by the version''s time
column. Rows are read with the caller''s rights; those whose label is NULL are left out, and of more than 4194304 a random sample is
fitted to. On the relation that the version was trained on, rows begin on the first day that it has not learned from: an earlier
from_week is refused, and so is the relation where that day is not known. Rows of another relation are taken for new ones, and so
are those of an imported version. Lineage (data in reco.versions): the version, rows, positives, and log loss before and after, which is
of rows that were held out from the fit. An error for quantities, and where outcomes do not become more frequent with the
scores. It needs the privilege train, to promote it manage.';

-- What is not needed any more.
CREATE FUNCTION archive_version(model text, version integer) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'archive_version_wrapper';
COMMENT ON FUNCTION archive_version(text, integer) IS
'Deletes the weights of a version; its row, metrics and lineage stay, and reco.versions shows it as archived. It cannot come
back. Refused while an alias stands for it. For those who manage the model.';

CREATE FUNCTION drop_model(model text, force boolean DEFAULT false) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'drop_model_wrapper';
COMMENT ON FUNCTION drop_model(text, boolean) IS
'Deletes a model with its versions, aliases, history and privileges; its runs and the audit stay. Refused while it has an
alias, which somebody may score with; force drops it all the same. For those who manage the model.';

-- Whether what a model says of new weeks is still as good as it was on its test rows, and whether the rows are still like
-- those that it was trained on.

-- What a training has seen, in a few hundred bytes a column: written with the version, and as immutable.
CREATE TABLE version_histogram (
    model        text COLLATE "C" NOT NULL,
    version      integer NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    column_name  text COLLATE "C",
    histogram    jsonb NOT NULL,
    PRIMARY KEY (model, version, position)
);
COMMENT ON TABLE version_histogram IS 'The values of each input over the training rows of a version, and its scores of the test rows';
COMMENT ON COLUMN version_histogram.position IS 'From 0, in the order of the recipe';
COMMENT ON COLUMN version_histogram.column_name IS 'NULL of the scores';

CREATE TABLE monitored_week (
    model        text COLLATE "C" NOT NULL,
    week         date NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    region       text COLLATE "C",
    version      integer,
    served       boolean NOT NULL,
    rows         bigint NOT NULL,
    unlabelled   bigint,
    positives    bigint,
    mean_label   double precision,
    mean_score   double precision,
    auroc        double precision,
    auroc_error  double precision,
    average_precision double precision,
    log_loss     double precision,
    brier        double precision,
    calibration_error double precision,
    calibration_chance double precision,
    test_calibration_error double precision,
    calibration_slope double precision,
    calibration_intercept double precision,
    rmse         double precision,
    mae          double precision,
    shown        bigint,
    outcomes     bigint,
    bought       bigint,
    new_region   boolean,
    problem      text,
    note         text,
    measured_by  name NOT NULL,
    measured_at  timestamptz NOT NULL,
    judged_at    timestamptz,
    PRIMARY KEY (model, week, position)
);
COMMENT ON TABLE monitored_week IS 'How good a model was, by week and region; position 0 is of all regions';
COMMENT ON COLUMN monitored_week.version IS 'The champion at the end of the week; NULL where there was none';
COMMENT ON COLUMN monitored_week.served IS 'False of weeks before the first champion, which that one is judged on instead';
COMMENT ON COLUMN monitored_week.rows IS 'Rows with a label';
COMMENT ON COLUMN monitored_week.auroc_error IS 'Its standard error';
COMMENT ON COLUMN monitored_week.calibration_chance IS 'About what the calibration error is by chance';
COMMENT ON COLUMN monitored_week.judged_at IS 'NULL while the outcome is not known, or where it could not be judged';

CREATE TABLE monitored_column (
    model        text COLLATE "C" NOT NULL,
    week         date NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    column_name  text COLLATE "C",
    version      integer NOT NULL,
    rows         bigint NOT NULL,
    importance   double precision,
    psi          double precision,
    psi_chance   double precision,
    jensen_shannon double precision,
    nulls        double precision,
    nulls_trained double precision,
    unseen       double precision,
    unseen_trained double precision,
    lowest       double precision,
    highest      double precision,
    lowest_trained double precision,
    highest_trained double precision,
    outside      double precision,
    note         text,
    psi_usual    double precision,
    level        text CHECK (level IN ('warning', 'alarm')),
    PRIMARY KEY (model, week, position)
);
COMMENT ON TABLE monitored_column IS 'How far the values of each input, and the scores, of a week are from those of training';
COMMENT ON COLUMN monitored_column.column_name IS 'NULL of the scores';
COMMENT ON COLUMN monitored_column.note IS 'Why there is no drift, or why it is no reason for the status';
COMMENT ON COLUMN monitored_column.psi_chance IS 'What the PSI exceeds by chance once in a thousand times';
COMMENT ON COLUMN monitored_column.psi_usual IS 'The most that it was in earlier weeks in which the model was good';
COMMENT ON COLUMN monitored_column.level IS 'Of what the drift was a reason when the week was the newest; NULL of nothing';

CREATE TABLE monitored_model (
    model        text COLLATE "C" PRIMARY KEY,
    settings     jsonb NOT NULL,
    status       text CHECK (status IN ('ok', 'warning', 'alarm')),
    reasons      jsonb,
    since        timestamptz,
    newest_week  date,
    complete_week date,
    monitored_by name,
    monitored_at timestamptz
);
COMMENT ON TABLE monitored_model IS 'Thresholds and status of the models that are monitored';
COMMENT ON COLUMN monitored_model.settings IS 'Those that differ from the defaults';
COMMENT ON COLUMN monitored_model.newest_week IS 'Of the champion''s source, when it was monitored last';
COMMENT ON COLUMN monitored_model.complete_week IS 'The newest week that the source could have had then, if it is a feature view that knows';

SELECT pg_catalog.pg_extension_config_dump('version_histogram', '');
SELECT pg_catalog.pg_extension_config_dump('monitored_week', '');
SELECT pg_catalog.pg_extension_config_dump('monitored_column', '');
SELECT pg_catalog.pg_extension_config_dump('monitored_model', '');

CREATE VIEW monitoring WITH (security_barrier) AS
SELECT w.model, w.week, w.region, w.position > 0 AS is_region, w.version, w.served, w.rows, w.unlabelled, w.positives,
       w.mean_label, w.mean_score, w.auroc, figure(v.metrics, t.of || '{auroc}'::text[]) AS test_auroc,
       w.average_precision, figure(v.metrics, t.of || '{average_precision}'::text[]) AS test_average_precision,
       w.log_loss, figure(v.metrics, t.of || '{log_loss}'::text[]) AS test_log_loss, w.brier,
       w.calibration_error, w.test_calibration_error, w.calibration_slope, w.calibration_intercept,
       w.rmse, figure(v.metrics, t.of || '{rmse}'::text[]) AS test_rmse,
       w.mae, figure(v.metrics, t.of || '{mae}'::text[]) AS test_mae,
       w.shown, w.outcomes, w.bought, w.new_region,
       CASE WHEN p.trains THEN w.problem END AS problem, CASE WHEN p.trains THEN w.note END AS note,
       w.measured_by, w.measured_at, w.judged_at
FROM monitored_week w CROSS JOIN LATERAL (SELECT has_model_privilege(w.model, 'train') AS trains) p
     LEFT JOIN version v ON v.model = w.model AND v.version = w.version
     CROSS JOIN LATERAL (SELECT CASE WHEN w.position = 0 THEN '{test,model}'::text[]
                                     ELSE ARRAY['by', v.keys[2], w.region] END AS of) t
WHERE has_model_privilege(w.model, 'score') AND (w.position = 0 OR p.trains);
COMMENT ON VIEW monitoring IS 'How good each model was, by week, of all rows (is_region false) and by region, beside its test rows. Regions, problems and notes are shown to those who may train the model';

CREATE VIEW drift WITH (security_barrier) AS
SELECT c.model, c.week, c.version, c.column_name, c.column_name IS NULL AS is_score, c.rows, c.importance, c.psi,
       c.psi_chance, c.jensen_shannon, c.nulls, c.nulls_trained, c.unseen, c.unseen_trained, c.lowest, c.highest,
       c.lowest_trained, c.highest_trained, c.outside, c.note, c.psi_usual, c.level
FROM monitored_column c
WHERE has_model_privilege(c.model, 'train')
ORDER BY c.model, c.week DESC, c.psi * greatest(c.importance, 0) DESC NULLS LAST, c.psi DESC NULLS LAST, c.position;
COMMENT ON VIEW drift IS 'How far the inputs and the scores of each week are from those of training: for a week, drift times importance first. Of models that one may train';

CREATE VIEW health WITH (security_barrier) AS
SELECT m.model, coalesce(h.status, 'unknown') AS status, CASE WHEN p.trains THEN h.reasons END AS reasons, h.since,
       w.week, w.version, w.auroc, w.test_auroc, w.rmse, w.test_rmse,
       (SELECT count(*) FROM monitored_week d WHERE d.model = m.model AND d.position = 0 AND d.judged_at IS NOT NULL) AS weeks_judged,
       (SELECT count(*) FROM monitored_week d WHERE d.model = m.model AND d.position = 0 AND d.judged_at IS NULL
          AND d.version IS NOT NULL AND d.problem IS NULL) AS weeks_waiting,
       h.newest_week,
       CASE WHEN h.newest_week IS NOT NULL
            THEN greatest(0, (coalesce(h.complete_week, date_trunc('week', now() AT TIME ZONE 'UTC')::date - 7) - h.newest_week) / 7)
       END AS features_weeks_behind,
       a.version AS champion, v.trained_at AS champion_trained_at,
       (extract(epoch FROM now() - v.trained_at) / 604800)::integer AS champion_age_weeks, h.monitored_by, h.monitored_at
FROM model m CROSS JOIN LATERAL (SELECT has_model_privilege(m.model, 'train') AS trains) p
     LEFT JOIN monitored_model h ON h.model = m.model
     LEFT JOIN LATERAL (SELECT r.week, r.version, r.auroc, r.test_auroc, r.rmse, r.test_rmse FROM monitoring r
                        WHERE r.model = m.model AND NOT r.is_region AND r.judged_at IS NOT NULL
                        ORDER BY r.week DESC LIMIT 1) w ON true
     LEFT JOIN alias a ON a.model = m.model AND a.alias = 'champion'
     LEFT JOIN version v ON v.model = a.model AND v.version = a.version
WHERE has_model_privilege(m.model, 'score');
COMMENT ON VIEW health IS 'A row for each model that one may score with: its status (ok, warning, alarm, or unknown before it is monitored), the newest week that was judged, and how old its features and its champion are. Reasons are shown to those who may train it';

GRANT SELECT ON monitoring, drift, health TO PUBLIC;

CREATE PROCEDURE monitor(
    model     text,
    from_week date    DEFAULT NULL,
    to_week   date    DEFAULT NULL,
    again     boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'monitor_wrapper';
COMMENT ON PROCEDURE monitor(text, date, date, boolean) IS
'Judges a model on each week of its champions'' sources whose outcome is known and that is not judged yet, and measures the drift of
each week, also of those whose outcome is not known. A week is judged on the version that was champion at its end (00:00 UTC of the
next Monday), weeks before the first champion on that one, as far as it has not seen them. An A/B test changes nothing of that:
its arms are compared by ab_report(). Results are in the views monitoring, drift and health. from_week, to_week: only weeks from
the one to the other. again: also those that were judged before, for labels that changed. Says what it cannot judge; where the
status of the model changes, NOTIFY reco_alarm says so. Rows are read with the caller''s rights and row security. Commits after
each week unless called inside a transaction. Refused while another session monitors the model. For those who may train the model.';

CREATE FUNCTION set_monitoring(model text, settings jsonb) RETURNS jsonb
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'set_monitoring_wrapper';
COMMENT ON FUNCTION set_monitoring(text, jsonb) IS
'Changes thresholds by which a model is monitored, and returns all that are in force. settings: an object with the ones that change:
psi_warning, psi_alarm, least_importance, auroc_drop_warning, auroc_drop_alarm, rmse_rise_warning, rmse_rise_alarm,
calibration_warning, calibration_alarm, features_weeks_warning, features_weeks_alarm, champion_weeks_warning,
champion_weeks_alarm, least_labelled; null in one switches it off; NULL instead of the object brings all defaults back. The status
follows at the next monitor(). For those who manage the model.';

-- Many keys at once: the best of them, and what is expected of all.

-- The best of many keys.
CREATE FUNCTION top_products(region text, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                             candidates anyarray DEFAULT NULL::bigint[], max_age integer DEFAULT 6,
                             plan jsonb DEFAULT NULL)
RETURNS TABLE (rank integer, product_id text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_products_wrapper';
COMMENT ON FUNCTION top_products(text, integer, text, date, anyarray, integer, jsonb) IS
'The k products with the highest scores in the region, the highest first; equal scores in the order of the products. Each is
scored by its newest feature row in the region (not later than as_of), as recommend() does, read with the caller''s rights and
row security in one pass over the relation that the model was trained on. candidates: only these products, an array of any type
that casts to theirs, such as ARRAY(SELECT product_id FROM …); NULL takes all. max_age: left out are products whose newest row
is more than so many days older than the newest of all rows read, since nothing is known of them now; NULL leaves out none. k: 1
to 100000. product_id is text: cast it to the type that it has. What is kept is within work_mem times hash_mem_multiplier;
beyond it rows are sorted in temporary files. plan: replaces the planned columns of every row, as in recommend(). No rows if the region is NULL. model: the setting reco.default_model, else as in
recommend().';

CREATE FUNCTION top_regions(product_id bigint, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            candidates text[] DEFAULT NULL, max_age integer DEFAULT 6,
                            plan jsonb DEFAULT NULL)
RETURNS TABLE (rank integer, region text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_regions_bigint_wrapper';
COMMENT ON FUNCTION top_regions(bigint, integer, text, date, text[], integer, jsonb) IS
'The k regions in which the product has the highest scores, the highest first; the arguments and what is read are those of
top_products(). No rows if the product is NULL.';

CREATE FUNCTION top_regions(product_id text, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            candidates text[] DEFAULT NULL, max_age integer DEFAULT 6,
                            plan jsonb DEFAULT NULL)
RETURNS TABLE (rank integer, region text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_regions_text_wrapper';
COMMENT ON FUNCTION top_regions(text, integer, text, date, text[], integer, jsonb) IS 'The same for a product_id that is text.';

-- What is expected of a region's products in the coming week.
CREATE FUNCTION forecast_products(region text, model text DEFAULT NULL, units_model text DEFAULT NULL, by name DEFAULT NULL,
                                  as_of date DEFAULT NULL, version integer DEFAULT NULL,
                                  units_version integer DEFAULT NULL, plan jsonb DEFAULT NULL)
RETURNS TABLE (product_id text, category text, week date, probability double precision, units double precision,
               units_p10 double precision, units_p90 double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 1000
LANGUAGE c AS 'MODULE_PATHNAME', 'forecast_products_wrapper';
COMMENT ON FUNCTION forecast_products(text, text, text, name, date, integer, integer, jsonb) IS
'What forecast() adds up, with its arguments: each product of the region by its newest row, in the order of the products, also those whose
newest row is of an earlier week.';

-- Operators are written with their schema: the caller's search path is in force.
CREATE FUNCTION forecast(region text, model text DEFAULT NULL, units_model text DEFAULT NULL, by name DEFAULT NULL,
                         as_of date DEFAULT NULL, version integer DEFAULT NULL, units_version integer DEFAULT NULL,
                         plan jsonb DEFAULT NULL)
RETURNS TABLE (level text, category text, product_id text, week date, products bigint, purchases double precision,
               units double precision, units_p10 double precision, units_p90 double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 1000
LANGUAGE sql
AS $$
    SELECT CASE WHEN s.is_product THEN 'product' WHEN s.is_category THEN 'category' ELSE 'region' END,
           s.category, s.product_id, s.week, s.products, s.purchases, s.units,
           CASE WHEN s.is_product OR s.p10 IS NULL THEN s.p10
                ELSE greatest(s.units OPERATOR(pg_catalog.-) pg_catalog.sqrt(s.below), least(s.p10, 0)) END,
           CASE WHEN s.is_product THEN s.p90
                ELSE s.units OPERATOR(pg_catalog.+) pg_catalog.sqrt(s.above) END
    FROM (
        SELECT GROUPING(p.product_id) OPERATOR(pg_catalog.=) 0 AS is_product,
               GROUPING(p.category) OPERATOR(pg_catalog.=) 0 AS is_category,
               p.category, p.product_id, pg_catalog.min(p.week) AS week, pg_catalog.count(*) AS products,
               pg_catalog.sum(p.probability) AS purchases, pg_catalog.sum(p.units) AS units,
               pg_catalog.sum(p.units_p10) AS p10, pg_catalog.sum(p.units_p90) AS p90,
               pg_catalog.sum(pg_catalog.power(p.units OPERATOR(pg_catalog.-) p.units_p10, 2)) AS below,
               pg_catalog.sum(pg_catalog.power(p.units_p90 OPERATOR(pg_catalog.-) p.units, 2)) AS above
        FROM (SELECT f.*, pg_catalog.rank() OVER (ORDER BY f.week DESC) AS age
              FROM @extschema@.forecast_products($1, $2, $3, $4, $5, $6, $7, $8) AS f) AS p
        WHERE p.age OPERATOR(pg_catalog.=) 1
        GROUP BY GROUPING SETS ((), (p.category), (p.category, p.product_id))
    ) AS s
    WHERE s.products OPERATOR(pg_catalog.>) 0 AND (s.is_product OR NOT s.is_category OR $4 IS NOT NULL)
    ORDER BY s.is_product, s.is_category, s.purchases DESC, s.category COLLATE pg_catalog."C",
             s.product_id COLLATE pg_catalog."C"
$$;
COMMENT ON FUNCTION forecast(text, text, text, name, date, integer, integer, jsonb) IS
'What is expected of a region in the coming week, by product and added up: a row for the region (level region), one for each
category where by is given, and one for each product, each level by falling purchases. purchases: how many of the products are
expected to be bought, of one product its calibrated probability. units: expected units, with the 10 % and 90 % quantiles
where the model has them. What is added up is the sum of its products; the interval of a sum takes their errors for
independent: the distances of quantile and mean in quadrature, not below 0 unless a quantile is. Products are scored by their
newest row (not later than as_of), read as top_products() does, with the caller''s rights and row security; those without a
row in the newest week of the region are left out. week: its Monday. model: one that predicts a probability; NULL is the setting
reco.default_model, else as in recommend(). units_model: one that predicts a quantity of the same
source, keys and time; NULL is the only one of the same owner, if the caller may score with it, else units are NULL. by: the
source''s column with the categories. version, units_version: champions by default. plan: replaces the planned columns of every row, as in
recommend(). No rows if the region is NULL or has none.';

-- A page to look at.

CREATE FUNCTION report(model text, version integer DEFAULT NULL, time_limit interval DEFAULT '30 seconds') RETURNS text
STABLE PARALLEL UNSAFE COST 1000000
LANGUAGE c AS 'MODULE_PATHNAME', 'report_wrapper';
COMMENT ON FUNCTION report(text, integer, interval) IS
'A version (the champion where it is NULL) as one page of HTML, which fetches nothing and runs no script: model card, leaderboard,
ROC and precision-recall curves beside the popularity baseline, calibration, lift, metrics by week and region, importance of
columns, A/B tests with intervals, history of promotions, lineage. For psql: \pset format unaligned, \t, \o launch.html.
Part by part the caller''s rights decide: curves are of the version''s test rows, read now with the caller''s rights and row
security; a part that the caller may not see, that takes longer than time_limit, or that cannot be made says so, and the rest
is there. Lists are cut after their first rows. Writes nothing, and works on a standby. It needs the privilege score.';

-- Champions that are kept up to date.

CREATE FUNCTION promote_if_better(
    model    text,
    version  integer,
    metric   text             DEFAULT NULL,
    min_gain double precision DEFAULT 0)
RETURNS TABLE (promoted boolean, judged_by text, champion_version integer, champion double precision,
               candidate double precision, gain double precision, rows bigint)
VOLATILE PARALLEL UNSAFE ROWS 1
LANGUAGE c AS 'MODULE_PATHNAME', 'promote_if_better_wrapper';
COMMENT ON FUNCTION promote_if_better(text, integer, text, double precision) IS
'Makes a version the champion if it is better than the present one, and says how good both are. They are measured on the same
rows: those of their source that neither was trained on, which are the ones from the later of the days on which their test rows
begin (of a version without test rows, the day after its last row), as far as labels are known. Rows are read with the
caller''s rights. metric: average_precision, auroc, log_loss or precision_at_k (of lists, by the candidate''s parameter k); of
quantities rmse, mae or pinball; NULL takes average_precision, or rmse. min_gain: by how much the candidate must be better, in units of the metric; at 0 by anything at all. gain: by how
much it is, below 0 where it is worse. The promotion stands in history and audit with its reason. An error where versions have
different sources, labels, time columns or tasks, where there are no such rows, or where the champion changed meanwhile.
For those who manage the model.';

CREATE PROCEDURE retrain(
    model    text,
    metric   text             DEFAULT NULL,
    min_gain double precision DEFAULT 0,
    refresh  boolean          DEFAULT true)
LANGUAGE c AS 'MODULE_PATHNAME', 'retrain_wrapper';
COMMENT ON PROCEDURE retrain(text, text, double precision, boolean) IS
'Trains a model again as its champion was trained (source, label, keys, time column, algorithm, parameters), and promotes the
new version if it is better: see promote_if_better(), whose metric and min_gain it takes. refresh: first bring the source up to
date if it is a feature view, with the views it is computed from; for that one must own them. For those who may train the model;
without the privilege manage the version is stored and judged, but not promoted. Refused while another session retrains the
model. Commits between its steps unless called inside a transaction: what was refreshed or trained stays if a later step fails.
What became of it, failures too, is a row retrained of reco.audit.';

CREATE FUNCTION backtest(
    source      regclass,
    from_week   date,
    to_week     date,
    every       integer DEFAULT 4,
    label       name    DEFAULT NULL,
    algorithm   text    DEFAULT 'mlp',
    params      jsonb   DEFAULT '{}',
    keys        name[]  DEFAULT NULL,
    time_column name    DEFAULT NULL,
    horizon     integer DEFAULT NULL)
RETURNS TABLE (week date, trained_before date, rows bigint, mean_label double precision, mean_score double precision,
               auroc double precision, average_precision double precision, log_loss double precision,
               rmse double precision, mae double precision)
VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 50
LANGUAGE c AS 'MODULE_PATHNAME', 'backtest_wrapper';
COMMENT ON FUNCTION backtest(regclass, date, date, integer, name, text, jsonb, name[], name, integer) IS
'How good a model would have been in past weeks: for each stretch of so many weeks (every) from from_week to to_week, trains on
the rows whose label was known when it began, and scores each of its weeks. A row for each week that has labels; the metrics
are those of evaluate(), NULL where they are another task''s. trained_before: only rows from before that day were trained on.
horizon: weeks after its own that a row''s label looks at; NULL takes the feature view''s, else 1. source, label, algorithm,
params, keys, time_column: as train() takes them, but test_share is 0 if params do not say otherwise: the weeks replayed are the
test. Features have to be point in time, as a feature view''s are. Rows are read with the caller''s rights. Nothing is stored, and
it runs in one statement: a snapshot is held as long.';

-- Schedules: what is to be done at which times, as whom, and every attempt at it. Something outside has to call run_due() once a
-- minute: pg_cron, a timer of the system, a CronJob.

CREATE TABLE schedule (
    kind          text COLLATE "C" NOT NULL CHECK (kind IN ('refresh', 'retraining', 'monitoring')),
    subject       text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    expression    text NOT NULL,
    time_zone     text NOT NULL,
    owner         name NOT NULL,
    arguments     jsonb NOT NULL,
    retries       integer NOT NULL CHECK (retries >= 0),
    retry_delay   interval NOT NULL,
    timeout       interval NOT NULL,
    next_run      timestamptz NOT NULL,
    attempt       integer NOT NULL DEFAULT 0,
    run_id        uuid,
    waits_for     text,
    last_run      timestamptz,
    last_outcome  text,
    failures      integer NOT NULL DEFAULT 0,
    paused_at     timestamptz,
    pause_reason  text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, subject)
);
COMMENT ON TABLE schedule IS 'What is to be done at which times, and as which role';
COMMENT ON COLUMN schedule.subject IS 'The model; of a refresh the id of the feature view, which is found wherever its table is';
COMMENT ON COLUMN schedule.name IS 'What it was called when it was scheduled';
COMMENT ON COLUMN schedule.expression IS 'Five fields of cron: minute, hour, day of the month, month, day of the week';
COMMENT ON COLUMN schedule.owner IS 'The role that scheduled it, with whose rights it runs';
COMMENT ON COLUMN schedule.arguments IS 'What the procedure is called with, besides the subject';
COMMENT ON COLUMN schedule.next_run IS 'When it is to be tried next, at its regular time or again; it stays in the past while it waits';
COMMENT ON COLUMN schedule.attempt IS 'Attempts that failed since its regular time';
COMMENT ON COLUMN schedule.run_id IS 'The attempt under way, a row of schedule_run';
COMMENT ON COLUMN schedule.waits_for IS 'Why it has not begun although its time has come';
COMMENT ON COLUMN schedule.failures IS 'How often in a row it failed for good, with all its retries';
COMMENT ON COLUMN schedule.paused_at IS 'Since when nothing is tried; NULL where it is not paused';

CREATE TABLE schedule_run (
    run_id        uuid PRIMARY KEY,
    kind          text COLLATE "C" NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    owner         name NOT NULL,
    attempt       integer NOT NULL,
    due_at        timestamptz NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at   timestamptz,
    status        text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    error         text,
    sqlstate      text,
    pid           integer,
    worker_start  timestamptz
);
COMMENT ON TABLE schedule_run IS 'One row for each attempt of a schedule, as far back as reco.max_schedule_history says';
COMMENT ON COLUMN schedule_run.attempt IS 'From 1: how often it was tried since its regular time';
COMMENT ON COLUMN schedule_run.due_at IS 'When its time had come';
COMMENT ON COLUMN schedule_run.pid IS 'The background worker; NULL until it has begun';
COMMENT ON COLUMN schedule_run.worker_start IS 'When that process began: another may have its number by now';
CREATE INDEX schedule_run_subject ON schedule_run (kind, subject, started_at);
CREATE INDEX schedule_run_finished ON schedule_run (finished_at);

-- When run_due() was called last. It is no part of a dump: a copy of the database is called by nobody yet.
CREATE TABLE schedule_call (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    called_at  timestamptz NOT NULL,
    called_by  name NOT NULL
);
COMMENT ON TABLE schedule_call IS 'When run_due() was called last while there were schedules, and by whom: one row';

SELECT pg_catalog.pg_extension_config_dump('schedule', '');
SELECT pg_catalog.pg_extension_config_dump('schedule_run', '');

-- A worker that has not begun a minute after it was started will not begin. Whoever may not see when others' processes began
-- goes by their number alone. A standby does not see the primary's workers.
CREATE FUNCTION schedule_run_is_alive(started_at timestamptz, pid integer, worker_start timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT pg_catalog.pg_is_in_recovery() OR CASE
        WHEN pid IS NULL
        THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.<) (started_at OPERATOR(pg_catalog.+) '1 minute'::pg_catalog.interval)
        ELSE EXISTS (
            SELECT FROM pg_catalog.pg_stat_activity AS a
            WHERE a.pid OPERATOR(pg_catalog.=) $2
              AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
              AND coalesce(a.backend_start OPERATOR(pg_catalog.=) worker_start, true)) END
$$;
COMMENT ON FUNCTION schedule_run_is_alive(timestamptz, integer, timestamptz) IS 'Whether the background worker of an attempt still exists; true on a standby, which cannot know';

CREATE VIEW schedules WITH (security_barrier) AS
SELECT s.kind,
       CASE s.kind WHEN 'refresh' THEN coalesce(v.view, s.name) ELSE s.subject END AS subject,
       s.expression AS schedule, s.time_zone, s.owner,
       CASE WHEN s.paused_at IS NULL THEN s.next_run END AS next_run,
       r.started_at AS running_since, s.waits_for, s.last_run, s.last_outcome,
       CASE WHEN s.paused_at IS NULL THEN greatest(1 + s.retries - s.attempt, 0) END AS attempts_left, s.failures,
       s.paused_at IS NOT NULL AS paused, s.pause_reason, s.paused_at, s.retries, s.retry_delay, s.timeout, s.arguments, s.created_at
FROM schedule s
LEFT JOIN schedule_run r ON r.run_id = s.run_id AND r.status = 'running'
                        AND schedule_run_is_alive(r.started_at, r.pid, r.worker_start)
LEFT JOIN LATERAL (
    SELECT feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by) AS view,
           feature_view_table(f.view_id, f.table_schema, f.table_name, f.created_by) AS oid
    FROM feature_view f WHERE s.kind = 'refresh' AND f.view_id::text = s.subject) v ON true
-- Its owner, and for models those who may train them; is_own_feature_view() knows members and superusers as well.
WHERE is_own_feature_view(v.oid, s.owner)
   OR EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = s.owner AND pg_has_role(o.oid, 'USAGE'))
   OR (s.kind <> 'refresh' AND has_model_privilege(s.subject, 'train'));
COMMENT ON VIEW schedules IS 'Schedules: when each runs next or since when it runs, why it waits or is paused, how it ended last, how many attempts are left of this time, and how often in a row it failed for good. Shown to the role that owns it and its members, and to those who may train the model or own the view';

CREATE VIEW schedule_runs WITH (security_barrier) AS
SELECT r.run_id, r.kind, CASE r.kind WHEN 'refresh' THEN coalesce(v.view, r.name) ELSE r.subject END AS subject,
       r.owner, r.attempt, r.due_at, r.started_at, r.finished_at,
       extract(epoch FROM r.finished_at - r.started_at)::double precision AS seconds,
       CASE WHEN a.lost THEN 'failed' ELSE r.status END AS status,
       CASE WHEN a.lost THEN 'the background worker ended without a word' ELSE r.error END AS error, r.sqlstate, r.pid
FROM schedule_run r
CROSS JOIN LATERAL (
    SELECT r.status = 'running' AND NOT schedule_run_is_alive(r.started_at, r.pid, r.worker_start) AS lost) a
LEFT JOIN LATERAL (
    SELECT feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by) AS view,
           feature_view_table(f.view_id, f.table_schema, f.table_name, f.created_by) AS oid
    FROM feature_view f WHERE r.kind = 'refresh' AND f.view_id::text = r.subject) v ON true
LEFT JOIN model m ON r.kind <> 'refresh' AND m.model = r.subject
WHERE is_own_feature_view(v.oid, r.owner)
   OR EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = r.owner AND pg_has_role(o.oid, 'USAGE'))
   OR (r.started_at >= m.begun_at AND has_model_privilege(r.subject, 'train'));
COMMENT ON VIEW schedule_runs IS 'Every attempt of a schedule: when it was due, how long it took, and how it ended. Shown to whom reco.schedules shows the schedule';

GRANT SELECT ON schedules, schedule_runs TO PUBLIC;

CREATE FUNCTION schedule_refresh(
    view        regclass,
    schedule    text,
    lookback    integer  DEFAULT NULL,
    time_zone   text     DEFAULT NULL,
    retries     integer  DEFAULT 2,
    retry_delay interval DEFAULT '5 minutes',
    timeout     interval DEFAULT '6 hours')
RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'schedule_refresh_wrapper';
COMMENT ON FUNCTION schedule_refresh(regclass, text, integer, text, integer, interval, interval) IS
'Calls refresh_features(view, lookback) at the times of a schedule, as the current role; returns the first of them. schedule: a
cron expression of five fields, such as ''0 4 * * mon''. time_zone: in which it is meant, an IANA name; the session''s. retries:
how often a failed attempt is repeated before the next regular time, 0 to 20. retry_delay: before the first repetition, and twice
as long before each further one, a day at most. timeout: of each attempt, 1 second to 7 days. Replaces the view''s schedule
where the caller owns that. The role must be able to log in. For members of the view''s owner.';

CREATE FUNCTION schedule_retraining(
    model       text,
    schedule    text,
    metric      text             DEFAULT NULL,
    min_gain    double precision DEFAULT 0,
    refresh     boolean          DEFAULT true,
    time_zone   text             DEFAULT NULL,
    retries     integer          DEFAULT 2,
    retry_delay interval         DEFAULT '5 minutes',
    timeout     interval         DEFAULT '6 hours')
RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'schedule_retraining_wrapper';
COMMENT ON FUNCTION schedule_retraining(text, text, text, double precision, boolean, text, integer, interval, interval) IS
'Calls retrain(model, metric, min_gain, refresh) at the times of a schedule, as the current role, and after the refresh of the
feature views that the model reads; returns the first of them. schedule, time_zone, retries, retry_delay and timeout are those of
schedule_refresh(). While another session retrains the model it waits, without an attempt. Replaces the model''s
schedule of this kind where the caller owns that. For those who may train the model.';

CREATE FUNCTION schedule_monitoring(
    model       text,
    schedule    text,
    time_zone   text     DEFAULT NULL,
    retries     integer  DEFAULT 2,
    retry_delay interval DEFAULT '5 minutes',
    timeout     interval DEFAULT '6 hours')
RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'schedule_monitoring_wrapper';
COMMENT ON FUNCTION schedule_monitoring(text, text, text, integer, interval, interval) IS
'Calls monitor(model) at the times of a schedule, as the current role, and after the refresh of the feature views that the model
reads and its retraining; returns the first of them. schedule, time_zone, retries, retry_delay and timeout are those of
schedule_refresh(). Replaces the model''s schedule of this kind where the caller owns that. For those who may train the model.';

CREATE FUNCTION unschedule(kind text, subject text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'unschedule_wrapper';
COMMENT ON FUNCTION unschedule(text, text) IS
'Ends a schedule. kind: refresh, retraining or monitoring; subject: the model or the feature view, as reco.schedules has both. An
attempt under way goes on to its end. The last schedule takes pg_cron''s job with it where it is the caller''s. For the schedule''s
owner, and for those who manage the model or own the view.';

CREATE FUNCTION pause_schedule(kind text, subject text, reason text DEFAULT NULL) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'pause_schedule_wrapper';
COMMENT ON FUNCTION pause_schedule(text, text, text) IS
'Lets the times of a schedule pass until resume_schedule(). reason: shown in reco.schedules. An attempt under way goes on to its
end. For whom unschedule() is.';

CREATE FUNCTION resume_schedule(kind text, subject text) RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'resume_schedule_wrapper';
COMMENT ON FUNCTION resume_schedule(text, text) IS
'Goes on with a schedule that is paused, whatever paused it, and returns its next time: what passed meanwhile is not made up for.
For whom unschedule() is.';

CREATE PROCEDURE run_due(wait boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'run_due_wrapper';
COMMENT ON PROCEDURE run_due(boolean) IS
'Starts what is due of all schedules, each in a background worker of its own as the role that scheduled it, at most
reco.max_scheduled_runs at once; to be called once a minute. What was due several times while nobody called runs once. A view is
refreshed before those that read it and the models trained from it, a model is retrained before it is monitored; one waits for the other as
long as that is due, runs or is tried again, but for a day at most, and not past its own next regular time. Attempts whose worker
is gone are failed ones. A schedule is paused whose role, model, view or privilege is gone. wait: return only once nothing
runs. On a standby it does nothing. Not inside a transaction. Anybody may call it: it starts only what the owners of schedules
have asked for.';

-- What a monitoring system reads: the counters of scoring and the state of the catalog, one row a sample, by the names and in the
-- units of Prometheus. The definitions below are the only place where a metric has its name, type, labels and meaning: the
-- queries of the exporters in monitoring/ are made from them (monitoring/generate). A metric is a definition and a line of the
-- view.

-- Roles are the cluster's, so that this one is there already where another database has the extension.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'reco_monitor') THEN
        CREATE ROLE reco_monitor NOLOGIN;
        COMMENT ON ROLE reco_monitor IS 'May read the view metrics of pg_recommend, in each database that has the extension';
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- Another session has just made it.
END
$$;

-- The counters of scoring in shared memory.
CREATE FUNCTION scoring_counters()
RETURNS TABLE (model text, version integer, calls bigint, rows bigint, errors bigint, cache_hits bigint, cache_misses bigint,
               seconds double precision, bounds double precision[], latency bigint[])
VOLATILE STRICT PARALLEL SAFE ROWS 20
LANGUAGE c AS 'MODULE_PATHNAME', 'scoring_counters_wrapper';
COMMENT ON FUNCTION scoring_counters() IS
'What each version of this database has scored since the server started, if the library is preloaded, else nothing: calls (the
parts of processes in statements), rows, calls that ended in an error, decoded models found and not found in the cache of a
backend, seconds of all calls, and the number of calls that took at most so many seconds (bounds, latency). model is empty
where a call failed before it had a version. For the view metrics.';

CREATE FUNCTION scoring_slots()
RETURNS TABLE (slots bigint, used bigint, uncounted bigint)
VOLATILE STRICT PARALLEL SAFE ROWS 1
LANGUAGE c AS 'MODULE_PATHNAME', 'scoring_slots_wrapper';
COMMENT ON FUNCTION scoring_slots() IS
'How many versions can be counted in the whole server (reco.counted_versions), how many are, and how many calls of others were
not; NULL if the library is not preloaded, or nothing is to be counted. For the view metrics.';

REVOKE ALL ON FUNCTION scoring_counters(), scoring_slots() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scoring_counters(), scoring_slots() TO reco_monitor;

-- A name begins with its family, whose metrics are measured together and have the same labels.
CREATE VIEW metric_definitions (family, name, type, labels, help) AS VALUES
('reco_extension', 'reco_extension_info', 'gauge', '{release}', 'Always 1; release is the installed version of the extension'),
('reco_standby', 'reco_standby_lag_seconds', 'gauge', '{}', 'Age of the newest commit that a standby has replayed; 0 while it is connected and has replayed all that it received, and on a primary'),
('reco_counters', 'reco_counters_enabled', 'gauge', '{}', '1 if scoring is counted: the library is in shared_preload_libraries'),
('reco_counters', 'reco_counters_slots', 'gauge', '{}', 'Versions that can be counted, in the whole server (reco.counted_versions)'),
('reco_counters', 'reco_counters_slots_used', 'gauge', '{}', 'Versions that are counted, in the whole server'),
('reco_counters', 'reco_counters_uncounted_calls_total', 'counter', '{}', 'Calls of versions that are not counted because all slots are taken, in the whole server'),
('reco_scoring', 'reco_scoring_calls_total', 'counter', '{model,version}', 'Statements that scored with the version; each process of a parallel one counts'),
('reco_scoring', 'reco_scoring_rows_total', 'counter', '{model,version}', 'Rows that the version scored'),
('reco_scoring', 'reco_scoring_errors_total', 'counter', '{model,version}', 'Calls whose statement ended in an error, also of cancel or a timeout; without model: calls that failed before they had a version'),
('reco_scoring', 'reco_scoring_cache_hits_total', 'counter', '{model,version}', 'Calls that found the decoded model in their backend''s cache'),
('reco_scoring', 'reco_scoring_cache_misses_total', 'counter', '{model,version}', 'Calls for which their backend had to decode or map the model'),
('reco_scoring', 'reco_scoring_latency_seconds_sum', 'histogram', '{model,version}', 'Time from the look-up of the version to the end of its statement'),
('reco_scoring', 'reco_scoring_latency_seconds_count', 'histogram', '{model,version}', 'Time from the look-up of the version to the end of its statement'),
('reco_scoring_latency', 'reco_scoring_latency_seconds_bucket', 'histogram', '{model,version,le}', 'Time from the look-up of the version to the end of its statement'),
('reco_model', 'reco_model_versions', 'gauge', '{model}', 'Stored versions'),
('reco_model', 'reco_model_trainings_running', 'gauge', '{model}', 'Trainings under way'),
('reco_champion', 'reco_champion_version', 'gauge', '{model}', 'The version that predict and recommend use'),
('reco_champion', 'reco_champion_trained_timestamp_seconds', 'gauge', '{model}', 'When the champion was trained or imported'),
('reco_champion', 'reco_champion_promoted_timestamp_seconds', 'gauge', '{model}', 'When the champion became that'),
('reco_runs', 'reco_runs_total', 'counter', '{model,status}', 'Trainings that ended, without the trials of tunings: succeeded, failed or cancelled'),
('reco_run_last', 'reco_run_last_timestamp_seconds', 'gauge', '{model,status}', 'When the last training that ended so ended'),
('reco_run_last', 'reco_run_last_duration_seconds', 'gauge', '{model,status}', 'How long it took'),
('reco_test', 'reco_test_auroc', 'gauge', '{model,version}', 'Area under the ROC curve on the test weeks of its training, of versions that have an alias or an arm'),
('reco_test', 'reco_test_popularity_auroc', 'gauge', '{model,version}', 'The same of the popularity baseline on the same rows'),
('reco_test', 'reco_test_average_precision', 'gauge', '{model,version}', 'Average precision on the test weeks'),
('reco_test', 'reco_test_log_loss', 'gauge', '{model,version}', 'Mean log loss on the test weeks'),
('reco_test', 'reco_test_calibration_error', 'gauge', '{model,version}', 'Mean distance of probability and share of purchases over the bins of scores, weighed by rows'),
('reco_test_bin', 'reco_test_bin_score_mean', 'gauge', '{model,version,bin}', 'Mean probability of the test rows in a bin of scores'),
('reco_test_bin', 'reco_test_bin_label_mean', 'gauge', '{model,version,bin}', 'Share of purchases of the test rows in a bin of scores'),
('reco_test_error', 'reco_test_error_rmse', 'gauge', '{model,version}', 'Root mean squared error on the test weeks, of models of quantities'),
('reco_test_error', 'reco_test_error_mae', 'gauge', '{model,version}', 'Mean absolute error on the test weeks, of models of quantities'),
('reco_features', 'reco_features_complete_timestamp_seconds', 'gauge', '{view}', 'The end of the newest week that the feature view has stored'),
('reco_features', 'reco_features_refreshed_timestamp_seconds', 'gauge', '{view}', 'When a week was last computed'),
('reco_features', 'reco_features_weeks', 'gauge', '{view}', 'Weeks that are stored'),
('reco_features', 'reco_features_rows', 'gauge', '{view}', 'Rows that are stored'),
('reco_refreshes', 'reco_refreshes_total', 'counter', '{view,status}', 'Refreshes that ended: succeeded, failed or cancelled'),
('reco_ab_arm', 'reco_ab_arm_share', 'gauge', '{test,model,arm,version}', 'Share of the keys that fall to the arm, of tests that run'),
('reco_ab_arm', 'reco_ab_arm_shown', 'gauge', '{test,model,arm,version}', 'Recommendations logged in the newest week that the test has logged'),
('reco_ab_shown', 'reco_ab_shown_score_mean', 'gauge', '{test,model,arm,version}', 'Their mean score'),
('reco_schedule', 'reco_schedule_failures_in_a_row', 'gauge', '{kind,subject}', 'How often in a row the schedule failed for good, with all its retries'),
('reco_schedule', 'reco_schedule_attempts_left', 'gauge', '{kind,subject}', 'How often it can still be tried of this time; 0 while it is paused'),
('reco_schedule', 'reco_schedule_paused', 'gauge', '{kind,subject}', '1 if it is paused, by somebody or because its role, model, view or privilege is gone'),
('reco_schedule_next_run', 'reco_schedule_next_run_timestamp_seconds', 'gauge', '{kind,subject}', 'When it is to be tried next, unless it is paused; it stays in the past while it waits'),
('reco_schedule_attempts', 'reco_schedule_attempts_kept', 'gauge', '{kind,subject,status}', 'Attempts that ended so, as far back as reco.max_schedule_history: succeeded, failed or cancelled'),
('reco_schedules', 'reco_schedules_active', 'gauge', '{}', 'Schedules that are not paused'),
('reco_schedules_called', 'reco_schedules_called_timestamp_seconds', 'gauge', '{}', 'When run_due() was last called in this database while there were schedules'),
('reco_health', 'reco_health_status', 'gauge', '{model}', 'What monitor() said last: 0 ok, 1 warning, 2 alarm'),
('reco_health', 'reco_health_monitored_timestamp_seconds', 'gauge', '{model}', 'When it said so'),
('reco_monitored', 'reco_monitored_auroc', 'gauge', '{model,version}', 'Area under the ROC curve in the newest week that was judged; NaN of a week without both outcomes'),
('reco_monitored', 'reco_monitored_test_auroc', 'gauge', '{model,version}', 'The same on the test weeks of the version that served'),
('reco_monitored', 'reco_monitored_average_precision', 'gauge', '{model,version}', 'Average precision in that week'),
('reco_monitored', 'reco_monitored_log_loss', 'gauge', '{model,version}', 'Mean log loss in that week'),
('reco_monitored', 'reco_monitored_calibration_error', 'gauge', '{model,version}', 'Mean distance of probability and share of purchases in that week, over the bins of scores, weighed by rows'),
('reco_monitored', 'reco_monitored_calibration_slope', 'gauge', '{model,version}', 'Slope of the log odds of a purchase over those of the probability in that week: 1 if they agree, less if probabilities are too extreme'),
('reco_monitored', 'reco_monitored_score_mean', 'gauge', '{model,version}', 'Mean probability in that week'),
('reco_monitored', 'reco_monitored_label_mean', 'gauge', '{model,version}', 'Share of purchases in that week'),
('reco_monitored_error', 'reco_monitored_error_rmse', 'gauge', '{model,version}', 'Root mean squared error in the newest week that was judged, of models of quantities'),
('reco_monitored_error', 'reco_monitored_error_mae', 'gauge', '{model,version}', 'Mean absolute error in that week'),
('reco_monitored_week', 'reco_monitored_week_timestamp_seconds', 'gauge', '{model,version}', 'When the newest week that was judged began'),
('reco_monitored_week', 'reco_monitored_week_rows', 'gauge', '{model,version}', 'Its rows with a known outcome'),
('reco_drift', 'reco_drift_psi', 'gauge', '{model,column}', 'Population stability index of an input, the newest week that was measured beside training; of the twenty inputs whose drift matters most'),
('reco_drift', 'reco_drift_psi_chance', 'gauge', '{model,column}', 'What it exceeds by chance once in a thousand times'),
('reco_drift', 'reco_drift_jensen_shannon', 'gauge', '{model,column}', 'Jensen-Shannon distance of the same, 0 to 1'),
('reco_drift', 'reco_drift_null_share', 'gauge', '{model,column}', 'Share of NULLs in that week'),
('reco_drift', 'reco_drift_unseen_share', 'gauge', '{model,column}', 'Share of values in that week that training has not seen; NaN of numbers'),
('reco_drift', 'reco_drift_importance', 'gauge', '{model,column}', 'Importance of the input for the version that is measured: how much AUROC falls without it; NaN if it was not measured'),
('reco_drift', 'reco_drift_level', 'gauge', '{model,column}', 'What the drift means for the status of the model: 0 nothing, 1 a warning, 2 an alarm'),
('reco_drift_score', 'reco_drift_score_psi', 'gauge', '{model}', 'Population stability index of the scores, the newest week that was measured beside the test weeks'),
('reco_drift_score', 'reco_drift_score_jensen_shannon', 'gauge', '{model}', 'Jensen-Shannon distance of the same, 0 to 1')
;
COMMENT ON VIEW metric_definitions IS 'The metrics of the view metrics: name, which begins with the family, type, labels and meaning';

-- The table of scores and purchases of a version's test rows.
CREATE FUNCTION test_bins(metrics jsonb)
RETURNS TABLE (bin integer, rows double precision, score_mean double precision, label_mean double precision)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
AS $$
    SELECT b.position::pg_catalog.int4, @extschema@.figure(b.bin, '{rows}'), @extschema@.figure(b.bin, '{mean_score}'),
           @extschema@.figure(b.bin, '{positive_rate}')
    FROM pg_catalog.jsonb_array_elements(
             CASE WHEN pg_catalog.jsonb_typeof(metrics OPERATOR(pg_catalog.#>) '{test,model,calibration}')
                       OPERATOR(pg_catalog.=) 'array'
                  THEN metrics OPERATOR(pg_catalog.#>) '{test,model,calibration}' END)
         WITH ORDINALITY AS b (bin, position)
$$;
COMMENT ON FUNCTION test_bins(jsonb) IS 'The bins of scores of a version''s test rows, from 1: rows, mean probability and share of purchases';

-- A test's newest week, found through the primary key of what it has logged. Schedules of a view have its name of today.
CREATE VIEW metrics AS
WITH status (status) AS (VALUES ('succeeded'), ('failed'), ('cancelled')),
     deployed AS (
         SELECT a.model, a.version FROM alias a
         UNION
         SELECT t.model, a.version FROM ab_arm a JOIN ab_test t USING (test) WHERE t.status = 'running'),
     scheduled AS (
         SELECT s.kind, coalesce(feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by), s.name) AS subject,
                s.subject AS key, s.next_run, s.paused_at, s.retries, s.attempt, s.failures
         FROM schedule s LEFT JOIN feature_view f ON s.kind = 'refresh' AND f.view_id::text = s.subject),
     judged AS (
         SELECT DISTINCT ON (w.model) w.*
         FROM monitored_week w WHERE w.position = 0 AND w.judged_at IS NOT NULL AND w.version IS NOT NULL
         ORDER BY w.model, w.week DESC)
SELECT s.name, s.labels, s.value, d.help, d.type, s.family
FROM (
    SELECT 'reco_extension' AS family, 'reco_extension_info' AS name, jsonb_build_object('release', e.extversion) AS labels,
           1::double precision AS value
    FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_recommend'
    UNION ALL
    -- A standby without its primary has replayed all that it received, too, and is behind all the same.
    SELECT 'reco_standby', 'reco_standby_lag_seconds', '{}'::jsonb,
           CASE WHEN NOT pg_is_in_recovery() THEN 0
                WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                 AND EXISTS (SELECT FROM pg_stat_get_wal_receiver() r WHERE r.pid IS NOT NULL) THEN 0
                ELSE greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END
    UNION ALL
    SELECT 'reco_counters', m.name, '{}'::jsonb, m.value
    FROM scoring_slots() c
    CROSS JOIN LATERAL (VALUES ('reco_counters_enabled', (c.slots IS NOT NULL)::integer::double precision),
                               ('reco_counters_slots', coalesce(c.slots, 0)),
                               ('reco_counters_slots_used', coalesce(c.used, 0)),
                               ('reco_counters_uncounted_calls_total', coalesce(c.uncounted, 0))) AS m (name, value)
    UNION ALL
    SELECT 'reco_scoring', m.name, jsonb_build_object('model', c.model, 'version', coalesce(nullif(c.version, 0)::text, '')),
           m.value
    FROM scoring_counters() c
    CROSS JOIN LATERAL (VALUES ('reco_scoring_calls_total', c.calls::double precision), ('reco_scoring_rows_total', c.rows),
                               ('reco_scoring_errors_total', c.errors), ('reco_scoring_cache_hits_total', c.cache_hits),
                               ('reco_scoring_cache_misses_total', c.cache_misses),
                               ('reco_scoring_latency_seconds_sum', c.seconds),
                               ('reco_scoring_latency_seconds_count', c.latency[cardinality(c.latency)])) AS m (name, value)
    UNION ALL
    SELECT 'reco_scoring_latency', 'reco_scoring_latency_seconds_bucket',
           jsonb_build_object('model', c.model, 'version', c.version::text,
                              'le', CASE b.bound WHEN 'Infinity' THEN '+Inf' ELSE b.bound::text END), b.calls
    FROM scoring_counters() c CROSS JOIN LATERAL unnest(c.bounds, c.latency) AS b (bound, calls)
    WHERE c.version <> 0
    UNION ALL
    SELECT 'reco_model', m.name, jsonb_build_object('model', o.model), m.value
    FROM model o
    CROSS JOIN LATERAL (
        VALUES ('reco_model_versions', (SELECT count(*)::double precision FROM version v WHERE v.model = o.model)),
               ('reco_model_trainings_running', (SELECT count(*) FROM run r WHERE r.model = o.model AND r.started_at >= o.begun_at
                                                  AND r.status = 'running' AND run_is_alive(r.run_id)))) AS m (name, value)
    UNION ALL
    SELECT 'reco_champion', m.name, jsonb_build_object('model', v.model), m.value
    FROM alias a JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_champion_version', v.version::double precision),
               ('reco_champion_trained_timestamp_seconds', extract(epoch FROM v.trained_at)),
               ('reco_champion_promoted_timestamp_seconds', extract(epoch FROM a.set_at))) AS m (name, value)
    WHERE a.alias = 'champion'
    UNION ALL
    SELECT 'reco_runs', 'reco_runs_total', jsonb_build_object('model', o.model, 'status', s.status),
           (SELECT count(*) FROM run r WHERE r.model = o.model AND r.started_at >= o.begun_at AND r.tune_id IS NULL
             AND s.status = CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id) THEN 'failed' ELSE r.status END)
    FROM model o CROSS JOIN status s
    UNION ALL
    SELECT 'reco_run_last', m.name, jsonb_build_object('model', o.model, 'status', s.status), m.value
    FROM model o CROSS JOIN status s
    CROSS JOIN LATERAL (
        SELECT r.started_at, r.finished_at FROM run r
        WHERE r.model = o.model AND r.started_at >= o.begun_at AND r.tune_id IS NULL AND r.status = s.status
          AND r.finished_at IS NOT NULL
        ORDER BY r.started_at DESC LIMIT 1) r
    CROSS JOIN LATERAL (
        VALUES ('reco_run_last_timestamp_seconds', extract(epoch FROM r.finished_at)::double precision),
               ('reco_run_last_duration_seconds', extract(epoch FROM r.finished_at - r.started_at))) AS m (name, value)
    UNION ALL
    SELECT 'reco_test', m.name, jsonb_build_object('model', v.model, 'version', v.version::text), m.value
    FROM deployed JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_test_auroc', figure(v.metrics, '{test,model,auroc}')),
               ('reco_test_popularity_auroc', figure(v.metrics, '{test,popularity,auroc}')),
               ('reco_test_average_precision', figure(v.metrics, '{test,model,average_precision}')),
               ('reco_test_log_loss', figure(v.metrics, '{test,model,log_loss}')),
               ('reco_test_calibration_error',
                (SELECT sum(abs(b.label_mean - b.score_mean) * b.rows) / nullif(sum(b.rows), 0)
                 FROM test_bins(v.metrics) b))) AS m (name, value)
    UNION ALL
    SELECT 'reco_test_bin', m.name, jsonb_build_object('model', v.model, 'version', v.version::text, 'bin', b.bin::text), m.value
    FROM deployed JOIN version v USING (model, version) CROSS JOIN LATERAL test_bins(v.metrics) b
    CROSS JOIN LATERAL (VALUES ('reco_test_bin_score_mean', b.score_mean), ('reco_test_bin_label_mean', b.label_mean))
               AS m (name, value)
    UNION ALL
    SELECT 'reco_test_error', m.name, jsonb_build_object('model', v.model, 'version', v.version::text), m.value
    FROM deployed JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_test_error_rmse', figure(v.metrics, '{test,model,rmse}')),
               ('reco_test_error_mae', figure(v.metrics, '{test,model,mae}'))) AS m (name, value)
    UNION ALL
    SELECT 'reco_features', m.name,
           jsonb_build_object('view', feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by)), m.value
    FROM feature_view f
    JOIN (SELECT w.view_id, max(w.week) AS newest, max(w.computed_at) AS computed_at, count(*) AS weeks, sum(w.rows) AS rows
          FROM feature_week w GROUP BY w.view_id) w USING (view_id)
    CROSS JOIN LATERAL (
        VALUES ('reco_features_complete_timestamp_seconds', extract(epoch FROM w.newest + 7)::double precision),
               ('reco_features_refreshed_timestamp_seconds', extract(epoch FROM w.computed_at)),
               ('reco_features_weeks', w.weeks), ('reco_features_rows', w.rows)) AS m (name, value)
    UNION ALL
    SELECT 'reco_refreshes', 'reco_refreshes_total',
           jsonb_build_object('view', feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by),
                              'status', s.status),
           (SELECT count(*) FROM feature_refresh r WHERE r.view_id = f.view_id
             AND s.status = CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id) THEN 'failed' ELSE r.status END)
    FROM feature_view f CROSS JOIN status s
    UNION ALL
    SELECT CASE m.name WHEN 'reco_ab_shown_score_mean' THEN 'reco_ab_shown' ELSE 'reco_ab_arm' END, m.name,
           jsonb_build_object('test', t.test, 'model', t.model, 'arm', a.arm, 'version', a.version::text), m.value
    FROM ab_test t JOIN ab_arm a USING (test)
    CROSS JOIN LATERAL (
        SELECT count(*) AS shown, avg(r.score) AS score FROM recommendation r
        WHERE r.test = t.test AND r.arm = a.arm
          AND r.week = (SELECT max(n.week) FROM recommendation n WHERE n.test = t.test)) r
    CROSS JOIN LATERAL (VALUES ('reco_ab_arm_share', a.share), ('reco_ab_arm_shown', r.shown),
                               ('reco_ab_shown_score_mean', r.score)) AS m (name, value)
    WHERE t.status = 'running'
    UNION ALL
    SELECT 'reco_schedule', m.name, jsonb_build_object('kind', s.kind, 'subject', s.subject), m.value
    FROM scheduled s
    CROSS JOIN LATERAL (
        VALUES ('reco_schedule_failures_in_a_row', s.failures::double precision),
               ('reco_schedule_attempts_left',
                CASE WHEN s.paused_at IS NULL THEN greatest(1 + s.retries - s.attempt, 0) ELSE 0 END),
               ('reco_schedule_paused', (s.paused_at IS NOT NULL)::integer)) AS m (name, value)
    UNION ALL
    SELECT 'reco_schedule_next_run', 'reco_schedule_next_run_timestamp_seconds',
           jsonb_build_object('kind', s.kind, 'subject', s.subject), extract(epoch FROM s.next_run)
    FROM scheduled s WHERE s.paused_at IS NULL
    UNION ALL
    SELECT 'reco_schedule_attempts', 'reco_schedule_attempts_kept',
           jsonb_build_object('kind', s.kind, 'subject', s.subject, 'status', t.status),
           (SELECT count(*) FROM schedule_run r WHERE r.kind = s.kind AND r.subject = s.key
             AND t.status = CASE WHEN r.status = 'running' AND NOT schedule_run_is_alive(r.started_at, r.pid, r.worker_start)
                                 THEN 'failed' ELSE r.status END)
    FROM scheduled s CROSS JOIN status t
    UNION ALL
    SELECT 'reco_schedules', 'reco_schedules_active', '{}'::jsonb, (SELECT count(*) FROM schedule s WHERE s.paused_at IS NULL)
    UNION ALL
    SELECT 'reco_schedules_called', 'reco_schedules_called_timestamp_seconds', '{}'::jsonb, extract(epoch FROM c.called_at)
    FROM schedule_call c
    UNION ALL
    SELECT 'reco_health', m.name, jsonb_build_object('model', h.model), m.value
    FROM monitored_model h
    CROSS JOIN LATERAL (
        VALUES ('reco_health_status', (array_position('{ok,warning,alarm}', h.status) - 1)::double precision),
               ('reco_health_monitored_timestamp_seconds', extract(epoch FROM h.monitored_at))) AS m (name, value)
    WHERE h.status IS NOT NULL
    UNION ALL
    SELECT 'reco_monitored', m.name, jsonb_build_object('model', w.model, 'version', w.version::text), m.value
    FROM judged w LEFT JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_monitored_auroc', w.auroc), ('reco_monitored_test_auroc', figure(v.metrics, '{test,model,auroc}')),
               ('reco_monitored_average_precision', w.average_precision), ('reco_monitored_log_loss', w.log_loss),
               ('reco_monitored_calibration_error', w.calibration_error),
               ('reco_monitored_calibration_slope', w.calibration_slope),
               ('reco_monitored_score_mean', w.mean_score), ('reco_monitored_label_mean', w.mean_label)) AS m (name, value)
    WHERE w.rmse IS NULL
    UNION ALL
    SELECT 'reco_monitored_error', m.name, jsonb_build_object('model', w.model, 'version', w.version::text), m.value
    FROM judged w
    CROSS JOIN LATERAL (VALUES ('reco_monitored_error_rmse', w.rmse), ('reco_monitored_error_mae', w.mae)) AS m (name, value)
    UNION ALL
    SELECT 'reco_monitored_week', m.name, jsonb_build_object('model', w.model, 'version', w.version::text), m.value
    FROM judged w
    CROSS JOIN LATERAL (
        VALUES ('reco_monitored_week_timestamp_seconds', extract(epoch FROM w.week)::double precision),
               ('reco_monitored_week_rows', w.rows)) AS m (name, value)
    UNION ALL
    -- A note says why a drift is no reason for an alarm.
    SELECT 'reco_drift', m.name, jsonb_build_object('model', o.model, 'column', c.column_name), m.value
    FROM model o
    CROSS JOIN LATERAL (
        SELECT c.* FROM monitored_column c
        WHERE c.model = o.model AND c.column_name IS NOT NULL AND c.psi IS NOT NULL AND c.note IS NULL
          AND c.week = (SELECT max(n.week) FROM monitored_column n WHERE n.model = o.model)
        ORDER BY c.level IS NULL, c.psi * greatest(c.importance, 0) DESC NULLS LAST, c.psi DESC, c.position LIMIT 20) c
    CROSS JOIN LATERAL (
        VALUES ('reco_drift_psi', c.psi), ('reco_drift_psi_chance', c.psi_chance),
               ('reco_drift_jensen_shannon', c.jensen_shannon), ('reco_drift_null_share', c.nulls),
               ('reco_drift_unseen_share', c.unseen), ('reco_drift_importance', c.importance),
               ('reco_drift_level', coalesce(array_position('{warning,alarm}', c.level), 0)::double precision)) AS m (name, value)
    UNION ALL
    SELECT 'reco_drift_score', m.name, jsonb_build_object('model', c.model), m.value
    FROM monitored_column c
    CROSS JOIN LATERAL (VALUES ('reco_drift_score_psi', c.psi), ('reco_drift_score_jensen_shannon', c.jensen_shannon))
               AS m (name, value)
    WHERE c.column_name IS NULL AND c.note IS NULL
      AND c.week = (SELECT max(n.week) FROM monitored_column n WHERE n.model = c.model)
) s JOIN metric_definitions d USING (name)
WHERE s.value IS NOT NULL;
COMMENT ON VIEW metrics IS 'What a monitoring system reads, one row a sample: name, labels and value, help and type of the metric, and its family, whose metrics are measured together. For members of reco_monitor';

GRANT USAGE ON SCHEMA @extschema@ TO reco_monitor;
GRANT SELECT ON metrics TO reco_monitor;

-- What the champion, or the version of an A/B test's arm, says of a row or of a key, and why.

-- Of a row.
CREATE FUNCTION predict(model text, features record) RETURNS double precision
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'predict_row_wrapper';
COMMENT ON FUNCTION predict(text, record) IS
'What the model''s champion gives a row: the calibrated probability, 0 to 1, or the mean of the quantity. Columns are found by name; others are
ignored. NULL columns and values never seen are scored, not refused. A missing column or a wrong type is an error.
NULL if the model or the row is NULL.';

CREATE FUNCTION predict(model text, features real[]) RETURNS double precision
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'predict_array_wrapper';
COMMENT ON FUNCTION predict(text, real[]) IS
'The same for a model whose inputs are all numbers, given in the order of the source''s columns. NULL and NaN
elements are missing values; a wrong number of elements is an error. NULL if the model or the array is NULL.';

CREATE FUNCTION predict_quantiles(model text, features record) RETURNS double precision[]
STABLE STRICT PARALLEL SAFE COST 20
LANGUAGE c AS 'MODULE_PATHNAME', 'predict_quantiles_wrapper';
COMMENT ON FUNCTION predict_quantiles(text, record) IS
'The 10 %, 50 % and 90 % quantiles of the quantity that the model''s champion expects of the row, ascending: an array of
three. The row is read as by predict(). An error if the model predicts probabilities, or means only (popularity).';

-- Of a key, whose newest row is read.
CREATE FUNCTION recommend(product_id bigint, region text, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL, plan jsonb DEFAULT NULL)
RETURNS double precision
STABLE PARALLEL SAFE COST 100
LANGUAGE c AS 'MODULE_PATHNAME', 'recommend_bigint_wrapper';
COMMENT ON FUNCTION recommend(bigint, text, text, date, text, jsonb) IS
'The calibrated probability (or the mean of the quantity) that the product is bought in the region in the week after its
newest feature row (not later than as_of), read from the relation the model was trained on, with the caller''s rights. NULL if the key has
no row. model: the setting reco.default_model, else the only model that the caller or one of its roles owns, else
that the database''s owner or a superuser has granted to one of these, else to everybody. While an A/B test runs, a
key that takes part is scored by its arm''s version; ab_key: what the arm goes by in a test of unit key (NULL: champion).
plan: what if something else is planned: an object whose values take the place of the row''s planned columns, such as
{"display": true, "price": 2.49}. A name may leave out planned_; null is a value that is not known. NULL: the row as it is.';

CREATE FUNCTION recommend(product_id text, region text, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL, plan jsonb DEFAULT NULL)
RETURNS double precision
STABLE PARALLEL SAFE COST 100
LANGUAGE c AS 'MODULE_PATHNAME', 'recommend_text_wrapper';
COMMENT ON FUNCTION recommend(text, text, text, date, text, jsonb) IS
'The same for a product_id that is text.';

-- What if something else is planned for the week. Operators are written with their schema: the caller's search path is in force.
CREATE FUNCTION recommend_plans(product_id bigint, region text, plans jsonb[], model text DEFAULT NULL, as_of date DEFAULT NULL,
                                ab_key text DEFAULT NULL)
RETURNS TABLE (plan jsonb, score double precision)
STABLE PARALLEL SAFE COST 1000 ROWS 10
LANGUAGE sql
AS $$
    SELECT s.plan, s.score
    FROM (SELECT p.plan, p.n, @extschema@.recommend($1, $2, $4, $5, $6, p.plan) AS score
          FROM pg_catalog.unnest($3) WITH ORDINALITY AS p (plan, n)
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
    ORDER BY s.score DESC, s.n
$$;
COMMENT ON FUNCTION recommend_plans(bigint, text, jsonb[], text, date, text) IS
'What recommend() says of a key under each of several plans, the best plan first; equal scores in the order of the plans. A
NULL among the plans is the row as it is. No rows if the key has no row.';

CREATE FUNCTION recommend_plans(product_id text, region text, plans jsonb[], model text DEFAULT NULL, as_of date DEFAULT NULL,
                                ab_key text DEFAULT NULL)
RETURNS TABLE (plan jsonb, score double precision)
STABLE PARALLEL SAFE COST 1000 ROWS 10
LANGUAGE sql
AS $$
    SELECT s.plan, s.score
    FROM (SELECT p.plan, p.n, @extschema@.recommend($1, $2, $4, $5, $6, p.plan) AS score
          FROM pg_catalog.unnest($3) WITH ORDINALITY AS p (plan, n)
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
    ORDER BY s.score DESC, s.n
$$;
COMMENT ON FUNCTION recommend_plans(text, text, jsonb[], text, date, text) IS 'The same for a product_id that is text.';

CREATE FUNCTION plan_seen(product_id bigint, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL)
RETURNS boolean
STABLE PARALLEL SAFE COST 100000
LANGUAGE c AS 'MODULE_PATHNAME', 'plan_seen_bigint_wrapper';
COMMENT ON FUNCTION plan_seen(bigint, text, jsonb, text, date, text) IS
'Whether the version that scores the key was trained on rows whose planned columns are like those that the plan makes of the
key''s newest row; a warning says what was never seen, for there the score is a guess. Booleans, texts, missing values and
the numbers 0 and 1 must have occurred together in one row, and each other number must lie between those of rows with the
same. Read are the rows of the version''s source that had a label and were not kept for its test, with the caller''s
rights, until one answers: all of them at most where there is none. Dates do not count, nor do columns that the version
does not use. NULL if the key has no row.';

CREATE FUNCTION plan_seen(product_id text, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL)
RETURNS boolean
STABLE PARALLEL SAFE COST 100000
LANGUAGE c AS 'MODULE_PATHNAME', 'plan_seen_text_wrapper';
COMMENT ON FUNCTION plan_seen(text, text, jsonb, text, date, text) IS 'The same for a product_id that is text.';

CREATE FUNCTION plan_effect(product_id bigint, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            ab_key text DEFAULT NULL)
RETURNS TABLE (score double precision, plan_score double precision, effect double precision, seen boolean)
STABLE PARALLEL SAFE COST 100000 ROWS 1
LANGUAGE sql
AS $$
    SELECT s.score, s.plan_score, s.plan_score OPERATOR(pg_catalog.-) s.score, s.seen
    FROM (SELECT @extschema@.recommend($1, $2, $4, $5, $6) AS score,
                 @extschema@.recommend($1, $2, $4, $5, $6, $3) AS plan_score,
                 @extschema@.plan_seen($1, $2, $3, $4, $5, $6) AS seen
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
$$;
COMMENT ON FUNCTION plan_effect(bigint, text, jsonb, text, date, text) IS
'By how much a plan changes what recommend() says of a key: score as the row is, plan_score with the plan, effect, which is
plan_score - score, and seen, which is what plan_seen() says, with its warning. An A/B test gives both scores the same
version. No rows if the key has no row.';

CREATE FUNCTION plan_effect(product_id text, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            ab_key text DEFAULT NULL)
RETURNS TABLE (score double precision, plan_score double precision, effect double precision, seen boolean)
STABLE PARALLEL SAFE COST 100000 ROWS 1
LANGUAGE sql
AS $$
    SELECT s.score, s.plan_score, s.plan_score OPERATOR(pg_catalog.-) s.score, s.seen
    FROM (SELECT @extschema@.recommend($1, $2, $4, $5, $6) AS score,
                 @extschema@.recommend($1, $2, $4, $5, $6, $3) AS plan_score,
                 @extschema@.plan_seen($1, $2, $3, $4, $5, $6) AS seen
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
$$;
COMMENT ON FUNCTION plan_effect(text, text, jsonb, text, date, text) IS 'The same for a product_id that is text.';

-- Why a row scores as it does.
CREATE FUNCTION explain_row(model text, features record, version integer DEFAULT NULL)
RETURNS TABLE (column_name text, value text, baseline text, contribution double precision, margin double precision,
               score double precision, baseline_score double precision)
STABLE PARALLEL SAFE COST 10000 ROWS 30
LANGUAGE c AS 'MODULE_PATHNAME', 'explain_row_wrapper';
COMMENT ON FUNCTION explain_row(text, record, integer) IS
'What each column of a row contributes to its score: a row for each input of the model, the largest contribution first.
value: the column as text. baseline: its value in a typical row, that of the means and the most frequent categories.
contribution: by how much the column moves the score (the probability, or the quantity) away from the typical row''s;
baseline_score + sum(contribution) = score, which is what predict() says. margin: the same on the scale on which models add
up, the log-odds. Networks by integrated gradients, trees by exact Shapley values. version: that of the model''s champion.
No rows if the model or the row is NULL; columns are found by name and refused as by predict().';

CREATE FUNCTION explain(product_id bigint, region text, model text DEFAULT NULL, as_of date DEFAULT NULL)
RETURNS TABLE (column_name text, value text, baseline text, contribution double precision, margin double precision,
               score double precision, baseline_score double precision)
STABLE PARALLEL SAFE COST 10000 ROWS 30
LANGUAGE c AS 'MODULE_PATHNAME', 'explain_bigint_wrapper';
COMMENT ON FUNCTION explain(bigint, text, text, date) IS
'What each column contributes to what recommend() says of a key: the columns of explain_row() for its newest feature row (not
later than as_of), read with the caller''s rights. No rows if the key has no row. model: the setting reco.default_model,
else as in recommend().';

CREATE FUNCTION explain(product_id text, region text, model text DEFAULT NULL, as_of date DEFAULT NULL)
RETURNS TABLE (column_name text, value text, baseline text, contribution double precision, margin double precision,
               score double precision, baseline_score double precision)
STABLE PARALLEL SAFE COST 10000 ROWS 30
LANGUAGE c AS 'MODULE_PATHNAME', 'explain_text_wrapper';
COMMENT ON FUNCTION explain(text, text, text, date) IS 'The same for a product_id that is text.';

-- Which earlier launches a product is like.
CREATE FUNCTION similar_launches(product_id bigint, region text, k integer DEFAULT 5, model text DEFAULT NULL,
                                 as_of date DEFAULT NULL)
RETURNS TABLE (similar_product text, week date, similarity double precision, outcome double precision, launch date,
               first_quantity double precision, first_sales double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 5
LANGUAGE c AS 'MODULE_PATHNAME', 'similar_launches_bigint_wrapper';
COMMENT ON FUNCTION similar_launches(bigint, text, integer, text, date) IS
'The k earlier launches in the region that were most like the product, and what became of them, the most similar first.
Compared are the product''s newest feature row (not later than as_of) and the rows of other products whose label was known
by then, at the same weeks_since_launch if the relation has such a column; one row for each product. similarity: from 1
down to 0, 1 / (1 + distance); a column counts as much as the model owes to it. outcome: the label of that row, 1 for true.
launch, first_quantity, first_sales: where the model was trained on a view of create_launch_features, the week of the launch,
and the pieces and the amount that the region bought in the first four weeks; NULL for those who may not read the view''s
weekly sales. Read with the caller''s rights. model: the setting reco.default_model, else as in recommend().';

CREATE FUNCTION similar_launches(product_id text, region text, k integer DEFAULT 5, model text DEFAULT NULL,
                                 as_of date DEFAULT NULL)
RETURNS TABLE (similar_product text, week date, similarity double precision, outcome double precision, launch date,
               first_quantity double precision, first_sales double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 5
LANGUAGE c AS 'MODULE_PATHNAME', 'similar_launches_text_wrapper';
COMMENT ON FUNCTION similar_launches(text, text, integer, text, date) IS 'The same for a product_id that is text.';

-- Trains versions of models. The parameters are in crates/model/src/tune/params.rs.

CREATE PROCEDURE train(
    model       text,
    source      regclass,
    label       name    DEFAULT NULL,
    algorithm   text    DEFAULT 'mlp',
    params      jsonb   DEFAULT '{}',
    keys        name[]  DEFAULT NULL,
    time_column name    DEFAULT NULL,
    promote     boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'train_wrapper';
COMMENT ON PROCEDURE train(text, regclass, name, text, jsonb, name[], name, boolean) IS
'Trains a new version of a model from the rows of a table, view or materialized view.
model: the logical name. source: read with the caller''s rights, every row. label: boolean or 0 and 1, of which the
probability is predicted, or any number, of which the mean and quantiles are; a feature view''s own if none is named; rows
where it is NULL are not used. algorithm: popularity, logistic, boosted_trees, mlp, deep_cross, or auto, which trains them all
and keeps the best. params: a JSON object, such as {"epochs": 20,
"hidden": [64, 32], "seed": 7}; the page "Training" of the documentation lists them, and an error about one that is unknown
those that there are.
keys: the columns that identify a row besides the time, product first; found from the primary key or a unique
index, else product_id and region. time_column: the date or timestamp by which the newest rows are held out;
found from the primary key, else week. promote: make the version the champion even if there is one.
Commits between its steps unless called inside a transaction. Errors leave a run that failed, and no version.';

CREATE PROCEDURE tune(
    model       text,
    source      regclass,
    label       name     DEFAULT NULL,
    algorithm   text     DEFAULT 'mlp',
    search      jsonb    DEFAULT NULL,
    trials      integer  DEFAULT 20,
    time_budget interval DEFAULT NULL,
    metric      text     DEFAULT NULL,
    params      jsonb    DEFAULT '{}',
    keys        name[]   DEFAULT NULL,
    time_column name     DEFAULT NULL,
    promote     boolean  DEFAULT false,
    parallel    integer  DEFAULT 0)
LANGUAGE c AS 'MODULE_PATHNAME', 'tune_wrapper';
COMMENT ON PROCEDURE tune(text, regclass, name, text, jsonb, integer, interval, text, jsonb, name[], name, boolean, integer) IS
'Searches the parameters of a model and makes the best a version of it: trials with parameters drawn at random, many trained
briefly and the best third of them longer (Hyperband), each a run, compared on validation rows.
model, source, label, keys, time_column, promote: as train takes them. algorithm: logistic, boosted_trees, mlp or deep_cross.
search: a JSON object of parameters, each with an array of values or a range {"min", "max", "log"}; NULL takes the algorithm''s
own, with its defaults as the first trial. trials: how many sets of parameters. time_budget: when it ends with the best so far.
metric: as the parameter metric of train. params: what all trials have in common; epochs or trees is what the best are
trained for. parallel: trainings at once; 0 for one on each core, on a GPU one. A call with the same arguments goes on with
a search that was cancelled or failed, if the rows are the same. Commits between its steps unless called inside a transaction.';

CREATE FUNCTION export_training_set(
    source      regclass,
    label       name   DEFAULT NULL,
    algorithm   text   DEFAULT 'mlp',
    params      jsonb  DEFAULT '{}',
    keys        name[] DEFAULT NULL,
    time_column name   DEFAULT NULL) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_training_set_wrapper';
COMMENT ON FUNCTION export_training_set(regclass, name, text, jsonb, name[], name) IS
'The rows of a training as its network reads them, as a file for a training on other machines: integrations/torchrun/train.py trains
it on as many processes and hosts as there are, and import_model brings the result back as a version like any other.
source, label, params, keys, time_column: as train takes them; rows are read with the caller''s rights. algorithm: mlp, deep_cross or
logistic. The file is Arrow IPC: encoded inputs, labels and the split by time, with the recipe, the parameters and the shape of the
network. It holds what the rows hold: keep it as you keep them. An error where it would have a gigabyte or more.';

-- What is installed, and the last of what an installation does: this file is run after all others.

CREATE FUNCTION check_setup(time_limit interval DEFAULT '1 minute')
RETURNS TABLE (item text, ok boolean, detail text)
VOLATILE STRICT PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'check_setup_wrapper';
COMMENT ON FUNCTION check_setup(interval) IS
'What is installed, what a training would run on, and what is wrong with it: a row for each item; where ok is false, the
detail says what to do. Starts the trainer, which uses the processor and every GPU once. A trainer that cannot start or
does not answer within time_limit is a row too, not an error. catalog: whether what its rows refer to is there, and whether
weights have the digest that they were stored with, for as long as time_limit lasts; looked at for those who may read the
catalog''s tables. For everybody who may train.';

-- What scoring reads, and no more: subscribers score, and whoever publishes keeps the runs, the history and the weeks.
CREATE FUNCTION publish_catalog() RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
    CREATE PUBLICATION reco_catalog FOR TABLE
        @extschema@.model, @extschema@.version, @extschema@.artifact, @extschema@.artifact_chunk, @extschema@.alias,
        @extschema@.model_privilege, @extschema@.ab_test, @extschema@.ab_arm, @extschema@.feature_view;
$$;
COMMENT ON FUNCTION publish_catalog() IS
'Makes the publication reco_catalog of the tables that scoring reads, for servers that score with this server''s models: workers
of Citus, shards. Each subscribes with CREATE SUBSCRIPTION, under a name of its own; its catalog must be empty before. It scores
from then on, and refuses to change the catalog. For superusers: only they may publish tables that they do not own.';

-- Whoever owns a database dumps it, without being a superuser. A dump holds the catalog, weights included, so that its owner
-- can read them. Superusers only before PostgreSQL 14, which has no such role.
DO $$
DECLARE
    configuration record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'pg_database_owner') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA @extschema@ TO pg_database_owner;
    FOR configuration IN
        SELECT n.nspname, c.relname
        FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) ANY (e.extconfig)
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE e.extname OPERATOR(pg_catalog.=) 'pg_recommend'
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON %I.%I TO pg_database_owner', configuration.nspname, configuration.relname);
    END LOOP;
END
$$;
