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

CREATE VIEW feature_views AS
SELECT v.view, v.keys, v.time_column, v.label, w.weeks, w.first_week, w.last_week, w.rows, w.computed_at,
       v.inputs, v.lookback, v.horizon, v.partition_by, v.settings, v.definition, v.available, v.created_by, v.created_at
FROM feature_view v LEFT JOIN LATERAL (
    SELECT count(*) AS weeks, min(w.week) AS first_week, max(w.week) AS last_week, sum(w.rows)::bigint AS rows,
           max(w.computed_at) AS computed_at
    FROM feature_week w WHERE w.view = v.view) w ON true;
COMMENT ON VIEW feature_views IS 'Every feature view with the weeks that it has stored';

CREATE VIEW feature_refreshes AS
SELECT r.refresh_id, r.view,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id) THEN 'failed' ELSE r.status END AS status,
       r.first_week, r.last_week, r.weeks, r.rows, r.seconds, r.started_by, r.started_at, r.finished_at,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id)
            THEN 'the server process that refreshed it ended' ELSE r.error END AS error
FROM feature_refresh r;
COMMENT ON VIEW feature_refreshes IS 'Every refresh of a feature view: weeks, rows, seconds, and how it ended';

GRANT SELECT ON feature_views, feature_refreshes TO PUBLIC;
