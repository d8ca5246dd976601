#!/bin/bash
# The roles of the services around the database, with the passwords of their secrets. The image's entrypoint runs this once.
set -euo pipefail

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --set=exporter="$(</run/secrets/exporter_password)" --set=postgrest="$(</run/secrets/postgrest_password)" <<'SQL'
BEGIN;
-- Else the passwords would be in the log of a failing statement.
SET LOCAL log_min_error_statement = panic;
CREATE ROLE exporter LOGIN PASSWORD :'exporter' IN ROLE reco_monitor CONNECTION LIMIT 5;
-- PostgREST connects as this one, which can do nothing, and becomes reco_web for each request.
CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD :'postgrest' CONNECTION LIMIT 20;
COMMIT;
SQL
