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
