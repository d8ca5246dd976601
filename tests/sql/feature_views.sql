-- An analyst makes a feature view, keeps it current, joins it to moments of the past and trains from it.
-- Notices of a refresh say seconds.
SET client_min_messages = warning;
SET datestyle = iso;

CREATE TABLE orders (product_id bigint, region text, ordered_at timestamp, quantity integer);
-- Eight weeks from Monday, 2024-01-01; product 2 is bought every other week, product 3 from the fifth on.
INSERT INTO orders
SELECT p, r, date '2024-01-01' + 7 * w + p::int * interval '30 hours', p * (w % 3 + 1)
FROM generate_series(1, 3) AS p, unnest('{north,south}'::text[]) AS r, generate_series(0, 7) AS w
WHERE (p < 3 OR w > 3) AND (p, w % 2) <> (2, 1);
INSERT INTO orders VALUES (1, 'north', '2024-02-25 23:59', 1);  -- so that the eighth week is over

-- The rows of the weeks from $1 to $2, and the label: bought again in the week after
SELECT reco.create_feature_view('demand', $$
    WITH weekly AS (
        SELECT product_id, region, date_trunc('week', ordered_at)::date AS week, sum(quantity)::real AS quantity
        FROM orders
        WHERE ordered_at >= $1 - 21 AND ordered_at < $2 + 14
        GROUP BY 1, 2, 3
    )
    SELECT w.product_id, w.region, w.week, w.quantity,
           (SELECT sum(m.quantity) FROM weekly AS m
            WHERE m.product_id = w.product_id AND m.region = w.region AND m.week BETWEEN w.week - 21 AND w.week) AS quantity_4w,
           CASE WHEN w.week + 14 <= (SELECT max(ordered_at) + interval '1 day' FROM orders)
                THEN n.week IS NOT NULL END AS bought_again
    FROM weekly AS w
    LEFT JOIN weekly AS n ON n.product_id = w.product_id AND n.region = w.region AND n.week = w.week + 7
    WHERE w.week BETWEEN $1 AND $2 $$,
    keys      => '{product_id,region}',
    label     => 'bought_again',
    horizon   => 1,
    available => $$ SELECT min(ordered_at), max(ordered_at) + interval '1 day' FROM orders $$);

SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'demand'::regclass AND attnum > 0 ORDER BY attnum;
SELECT pg_get_partkeydef('demand'::regclass), pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'demand'::regclass AND contype = 'p';

CALL reco.refresh_features('demand');
SELECT * FROM demand WHERE region = 'north' AND week >= '2024-02-05' ORDER BY product_id, week;
SELECT view, keys, time_column, label, weeks, first_week, last_week, rows, lookback, horizon, partition_by FROM reco.feature_views;

-- A late order of the newest week, the first days of the next one, and a late order from long ago
INSERT INTO orders VALUES (3, 'north', '2024-02-21', 100), (1, 'north', '2024-02-27', 5), (1, 'north', '2024-01-02', 50);
CALL reco.refresh_features('demand');
SELECT product_id, week, quantity, bought_again FROM demand
WHERE region = 'north' AND (week >= '2024-02-19' OR week = '2024-01-01') ORDER BY product_id, week;
-- The week is over
INSERT INTO orders VALUES (2, 'south', '2024-03-03', 1);
CALL reco.refresh_features('demand', lookback => 9);
SELECT product_id, week, quantity, bought_again FROM demand
WHERE region = 'north' AND (week >= '2024-02-19' OR week = '2024-01-01') ORDER BY product_id, week;
CALL reco.refresh_features('demand', lookback => 0);
CALL reco.refresh_features('demand', from_week => '2024-02-14', to_week => '2024-02-25');
SELECT status, first_week, last_week, weeks, rows, seconds > 0 AS timed, error FROM reco.feature_refreshes ORDER BY started_at;

-- What was known when each offer was made
CREATE TABLE offers (offer integer, product_id bigint, region text, made_at timestamptz);
INSERT INTO offers VALUES (1, 1, 'north', '2024-01-07 12:00+00'), (2, 1, 'north', '2024-01-08 00:00+00'),
    (3, 3, 'south', '2024-02-20 10:00+00'), (4, 3, 'west', '2024-02-20 10:00+00'), (5, 2, 'south', NULL),
    (6, 2, 'south', '2024-09-01 10:00+00');
SET timezone = 'UTC';
SELECT o.offer, f.week, f.quantity, f.quantity_4w
FROM offers AS o LEFT JOIN LATERAL reco.features_as_of(NULL::demand, o) AS f ON true ORDER BY 1;
SELECT o.offer, f.week
FROM offers AS o LEFT JOIN LATERAL reco.features_as_of(NULL::demand, o, max_age => '30 days') AS f ON true ORDER BY 1;
SELECT reco.features_as_of(NULL::offers, o) FROM offers AS o;
SELECT f.* FROM offers AS o, LATERAL reco.features_as_of(NULL::demand, ROW(o.product_id, o.made_at)) AS f;

-- A model needs the view's name alone
CALL reco.train('again', 'demand', params => '{"hidden": [], "epochs": 2, "threads": 1}');
SELECT source, label, keys, time_column FROM reco.versions WHERE model = 'again';
SELECT reco.recommend(1, 'north', 'again') =
       (SELECT reco.predict('again', d) FROM demand AS d WHERE (product_id, region, week) = (1, 'north', '2024-02-26')) AS newest;

-- What goes wrong leaves the rows as they are
INSERT INTO orders VALUES (NULL, 'north', '2024-03-01', 1);
CALL reco.refresh_features('demand');
SELECT status, error FROM reco.feature_refreshes ORDER BY started_at DESC LIMIT 1;
SELECT count(*), max(week) FROM demand;

SELECT reco.drop_feature_view('demand');
SELECT to_regclass('demand') AS gone, (SELECT count(*) FROM reco.feature_views) AS views;
DROP TABLE orders, offers;
