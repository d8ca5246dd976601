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
