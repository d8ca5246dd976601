-- Feature views: what makes their rows, which weeks are stored, and every refresh. The rows are in tables of the
-- users' own.

CREATE TABLE feature_view (
    view          text COLLATE "C" PRIMARY KEY,
    definition    text NOT NULL,
    available     text,
    keys          text[] NOT NULL,
    time_column   text NOT NULL,
    label         text,
    inputs        text[] NOT NULL,
    lookback      integer NOT NULL,
    horizon       integer NOT NULL,
    partition_by  text NOT NULL,
    search_path   text NOT NULL,
    settings      jsonb NOT NULL,
    created_by    name NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE feature_view IS 'Feature views: how the rows of each are computed';
COMMENT ON COLUMN feature_view.view IS 'Qualified, quoted name of the table that holds the rows';
COMMENT ON COLUMN feature_view.definition IS 'Query with the first week ($1) and the last ($2) as parameters';
COMMENT ON COLUMN feature_view.available IS 'Query for the first moment of the data and the moment up to which they are complete';
COMMENT ON COLUMN feature_view.inputs IS 'Feature views that are refreshed before this one';
COMMENT ON COLUMN feature_view.lookback IS 'Newest stored weeks that each refresh computes again';
COMMENT ON COLUMN feature_view.horizon IS 'Weeks after its own that a row looks at, for its label';
COMMENT ON COLUMN feature_view.search_path IS 'Under which the definition was written, and is run';
COMMENT ON COLUMN feature_view.settings IS 'Further settings under which it is run';

CREATE TABLE feature_week (
    view         text COLLATE "C" NOT NULL,
    week         date NOT NULL,
    rows         bigint NOT NULL,
    computed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (view, week)
);
COMMENT ON TABLE feature_week IS 'The weeks that a feature view has stored, also those without a row';

CREATE TABLE feature_refresh (
    refresh_id   uuid PRIMARY KEY,
    view         text COLLATE "C" NOT NULL,
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
CREATE INDEX feature_refresh_view ON feature_refresh (view, started_at);
COMMENT ON TABLE feature_refresh IS 'One row for each refresh of a feature view';

SELECT pg_catalog.pg_extension_config_dump('feature_view', '');
SELECT pg_catalog.pg_extension_config_dump('feature_week', '');
SELECT pg_catalog.pg_extension_config_dump('feature_refresh', '');

-- A definition may have data in it, and so has the text of an error: they are for the owner of the view, its members, and
-- whoever wrote or started it.
CREATE FUNCTION is_own_feature_view(view text, author name) RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT author OPERATOR(pg_catalog.=) current_user
        OR (SELECT u.rolsuper FROM pg_catalog.pg_roles AS u WHERE u.rolname OPERATOR(pg_catalog.=) current_user)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            WHERE ARRAY[n.nspname, c.relname]::pg_catalog.text[] OPERATOR(pg_catalog.=) pg_catalog.parse_ident(view)
              AND pg_catalog.pg_has_role(c.relowner, 'USAGE'))
$$;
COMMENT ON FUNCTION is_own_feature_view(text, name) IS 'Whether the caller owns a feature view, is a member of the role that does, or is the role named, which wrote or started something';

CREATE VIEW feature_views WITH (security_barrier) AS
SELECT v.view, v.keys, v.time_column, v.label, w.weeks, w.first_week, w.last_week, w.rows, w.computed_at,
       v.inputs, v.lookback, v.horizon, v.partition_by,
       CASE WHEN o.own THEN v.settings END AS settings, CASE WHEN o.own THEN v.definition END AS definition,
       CASE WHEN o.own THEN v.available END AS available, v.created_by, v.created_at
FROM feature_view v CROSS JOIN LATERAL (SELECT is_own_feature_view(v.view, v.created_by) AS own) o LEFT JOIN LATERAL (
    SELECT count(*) AS weeks, min(w.week) AS first_week, max(w.week) AS last_week, sum(w.rows)::bigint AS rows,
           max(w.computed_at) AS computed_at
    FROM feature_week w WHERE w.view = v.view) w ON true;
COMMENT ON VIEW feature_views IS 'Every feature view with the weeks that it has stored. Settings, definition and available are shown to its owner';

CREATE VIEW feature_refreshes WITH (security_barrier) AS
SELECT r.refresh_id, r.view,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id) THEN 'failed' ELSE r.status END AS status,
       r.first_week, r.last_week, r.weeks, r.rows, r.seconds, r.started_by, r.started_at, r.finished_at,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id)
            THEN 'the server process that refreshed it ended'
            WHEN is_own_feature_view(r.view, r.started_by) THEN r.error END AS error
FROM feature_refresh r;
COMMENT ON VIEW feature_refreshes IS 'Every refresh of a feature view: weeks, rows, seconds, and how it ended. Errors are shown to the view''s owner and to whoever started it';

GRANT SELECT ON feature_views, feature_refreshes TO PUBLIC;
