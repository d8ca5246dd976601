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
