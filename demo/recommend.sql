-- What the trained model says: how good it is on weeks it has not seen, and what to recommend next
-- week.

\set ON_ERROR_STOP on
\pset footer off
\pset null '-'
\pset linestyle unicode
-- Also where somebody has trained other models since.
SET reco.default_model = 'launch';

\echo
\echo '-- How good is it? Later weeks than it was trained on, beside the popularity of each product so far'
\set ECHO queries
SELECT held_out,
       rival AS predictor,
       (m ->> 'rows')::int AS rows,
       (m ->> 'positives')::int AS bought,
       round((m ->> 'auroc')::numeric, 4) AS auroc,
       round((m ->> 'average_precision')::numeric, 4) AS average_precision,
       round((m ->> 'log_loss')::numeric, 4) AS log_loss,
       round((m ->> 'brier')::numeric, 4) AS brier
FROM reco.versions
CROSS JOIN (VALUES (1, 'validation'), (2, 'test')) AS part(n, held_out)
CROSS JOIN jsonb_each(metrics -> held_out) AS predictor(rival, m)
WHERE model = 'launch' AND version = (SELECT max(version) FROM reco.versions WHERE model = 'launch')
ORDER BY n, rival;
\set ECHO none

SELECT to_regclass('true_probability') IS NOT NULL AS generated \gset
\if :generated
\echo '-- And how good could it be? The test weeks ranked by the probabilities that generated the sales'
\set ECHO queries
WITH scored AS (
    SELECT f.purchased, t.probability AS truth, reco.predict('launch', f) AS model
    FROM launch_features f JOIN true_probability t USING (product_id, region, week)
    WHERE f.week >= (SELECT (data ->> 'test_from')::date FROM reco.versions
                     WHERE model = 'launch' AND 'champion' = ANY (aliases))
      AND f.purchased IS NOT NULL
), ranked AS (
    SELECT predictor, purchased,
           rank() OVER up + (count(*) OVER (PARTITION BY predictor, score) - 1) / 2.0 AS place
    FROM scored CROSS JOIN LATERAL (VALUES ('true probabilities', truth), ('model', model)) AS s(predictor, score)
    WINDOW up AS (PARTITION BY predictor ORDER BY score)
), counted AS (
    SELECT predictor, count(*) FILTER (WHERE purchased) AS bought, count(*) FILTER (WHERE NOT purchased) AS unsold,
           sum(place) FILTER (WHERE purchased) AS places
    FROM ranked GROUP BY predictor
)
SELECT predictor, round((places - bought * (bought + 1) / 2.0) / (bought::numeric * unsold), 4) AS auroc
FROM counted
ORDER BY auroc DESC;
\set ECHO none
\endif

\echo '-- The ten new products most likely to be bought in region r1 next week'
\set ECHO queries
SELECT t.rank, p.product_id, p.product_type, p.brand, p.package_size AS size, round(t.score::numeric, 3) AS probability
FROM reco.top_products('r1', 10) AS t JOIN products AS p ON p.product_id = t.product_id::bigint
ORDER BY t.rank;
\set ECHO none

SELECT product_id AS best FROM reco.top_products('r1', 1) \gset

\echo '-- One product, one region: what an application asks'
\set ECHO queries
SELECT reco.recommend(:best, 'r1');
\set ECHO none

\echo '-- And if every store displayed and advertised it next week?'
\set ECHO queries
SELECT round(score::numeric, 3) AS as_planned, round(plan_score::numeric, 3) AS with_both, round(effect::numeric, 3) AS effect
FROM reco.plan_effect(:best, 'r1', '{"display": 1, "mailer": 1}');
\set ECHO none

\echo '-- Where should that product be offered first?'
\set ECHO queries
SELECT rank, region, round(score::numeric, 3) AS probability FROM reco.top_regions(:best);
