#!/usr/bin/env bash
# Trains a version outside the cluster and imports it: reads the rows as a role of its own from a standby, trains them in a server
# that lives as long as this script, brings the version to the primary, and promotes it there if it is better on rows that neither
# version has seen.
#
# Environment: MODEL, SOURCE (schema.relation), LABEL; ALGORITHM, PARAMS (a JSON object), KEYS (a,b), TIME_COLUMN, MIN_GAIN, MEMORY
# as arguments of reco.train and its like; READ_HOST and WRITE_HOST, and whatever else libpq reads (PGUSER, PGPASSWORD, …).
set -euo pipefail

: "${MODEL:?}" "${SOURCE:?}" "${LABEL:?}" "${READ_HOST:?}" "${WRITE_HOST:?}" "${PGDATABASE:?}"
ALGORITHM=${ALGORITHM:-mlp} PARAMS=${PARAMS:-'{}'} KEYS=${KEYS:-product_id,region} TIME_COLUMN=${TIME_COLUMN:-week}
MIN_GAIN=${MIN_GAIN:-0} MEMORY=${MEMORY:-8GB}

work=$(mktemp -d)
stop() {
    [ ! -f "$work/data/postmaster.pid" ] || pg_ctl -D "$work/data" -m immediate stop >/dev/null
    rm -rf "$work"
}
trap stop EXIT

# Variables of psql, quoted by it: a name or a text of the environment is never spliced into SQL.
variables=()
for name in MODEL SOURCE LABEL ALGORITHM PARAMS KEYS TIME_COLUMN MIN_GAIN; do
    variables+=(--set "$name=${!name}")
done
cluster() { psql -X --quiet --set ON_ERROR_STOP=1 --host "$1" "${variables[@]}" "${@:2}"; }
# This server listens on a socket in a folder that only we can enter.
here() {
    env -u PGPASSWORD -u PGSSLMODE -u PGSSLROOTCERT -u PGPORT PGUSER=trainer PGDATABASE=postgres \
        psql -X --quiet --set ON_ERROR_STOP=1 --host "$work" "${variables[@]}" "$@"
}

echo "a server of its own"
initdb --pgdata "$work/data" --username trainer --auth trust --encoding UTF8 --locale C --no-sync >"$work/initdb.log" ||
    { cat "$work/initdb.log"; exit 1; }
env -u PGPORT pg_ctl -D "$work/data" -w -l "$work/server.log" start >/dev/null -o \
    "-c listen_addresses= -c unix_socket_directories=$work -c fsync=off -c wal_level=minimal -c max_wal_senders=0 \
     -c reco.max_training_memory=$MEMORY" || { cat "$work/server.log"; exit 1; }
here --command "CREATE EXTENSION pg_recommend"

echo "rows of $SOURCE"
# What makes the same table here, its enumerations first; then what copies its rows. Types are written with their schemas.
cluster "$READ_HOST" --tuples-only --no-align >"$work/table.sql" <<'SQL'
SET search_path = pg_catalog;
SELECT DISTINCT format('CREATE SCHEMA IF NOT EXISTS %I;', n.nspname) || format(' CREATE TYPE %s AS ENUM (%s);', t.oid::regtype,
    (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE attrelid = :'SOURCE'::regclass AND attnum > 0 AND NOT attisdropped AND typtype = 'e';
SELECT format('CREATE TABLE public.source (%s);', string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum))
FROM pg_attribute WHERE attrelid = :'SOURCE'::regclass AND attnum > 0 AND NOT attisdropped;
SQL
here --file "$work/table.sql"
cluster "$READ_HOST" <<'SQL' | here --command "COPY source FROM STDIN (FORMAT binary)"
SELECT format('COPY (SELECT * FROM %s) TO STDOUT (FORMAT binary)', :'SOURCE'::regclass) \gexec
SQL
here --tuples-only --no-align --command "SELECT count(*) || ' rows' FROM source"

echo "training"
here <<'SQL'
CALL reco.train('made', 'source', :'LABEL', :'ALGORITHM', :'PARAMS', string_to_array(:'KEYS', ',')::name[], :'TIME_COLUMN');
SELECT format('trained on %s in %s s', libraries ->> 'device', round(seconds::numeric, 1)) AS done FROM reco.versions \gset
\echo :done
SQL
# What it was tested on, it was not trained on.
UNSEEN_FROM=$(here --tuples-only --no-align --command "SELECT data ->> 'test_from' FROM reco.versions")
variables+=(--set "UNSEEN_FROM=$UNSEEN_FROM")
here --command "COPY (SELECT reco.export_model('made')) TO STDOUT (FORMAT binary)" >"$work/artifact"

echo "import into $MODEL"
cat >"$work/import.sql" <<'SQL'
CREATE TEMPORARY TABLE artifact (bytes bytea);
\copy artifact FROM pstdin (FORMAT binary)
SELECT reco.import_model(:'MODEL', bytes, :'SOURCE', string_to_array(:'KEYS', ',')::name[], :'TIME_COLUMN', :'LABEL') AS version
FROM artifact \gset
SELECT 'champion' = ANY (aliases) AS first FROM reco.versions WHERE model = :'MODEL' AND version = :version \gset
\if :first
    \echo version :version is the first, and the champion
\else
    -- Rows that neither version has seen: those that this one was tested on, as far as the champion was not trained on them. One that
    -- was imported does not say; made by this script it is older.
    SELECT greatest(nullif(:'UNSEEN_FROM', '')::date, (data ->> 'test_from')::date) AS since, version AS champion
    FROM reco.versions WHERE model = :'MODEL' AND 'champion' = ANY (aliases) \gset
    \if :{?since}
    \else
        \echo version :version is not promoted: the rows are too few weeks to hold some out
        \quit
    \endif
    WITH measured AS (
        SELECT coalesce(n.average_precision, -n.rmse) AS new, coalesce(o.average_precision, -o.rmse) AS old, n.rows
        FROM reco.evaluate(:'MODEL', :'SOURCE', :'LABEL', version => :version, from_week => :'since') AS n,
             reco.evaluate(:'MODEL', :'SOURCE', :'LABEL', version => :champion, from_week => :'since') AS o
    )
    SELECT new - old >= :'MIN_GAIN' AND new > old AS better,
           format('%s of version %s, %s of version %s, on %s rows since %s', round(new::numeric, 5), :version, round(old::numeric, 5),
                  :champion, rows, :'since') AS judged
    FROM measured \gset
    \if :better
        SELECT reco.promote(:'MODEL', :version, :'judged') \gset
        \echo promoted: :judged
    \else
        \echo not promoted: :judged
    \endif
\endif
SQL
cluster "$WRITE_HOST" --file "$work/import.sql" <"$work/artifact"
