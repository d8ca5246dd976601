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
