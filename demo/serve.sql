-- What a team does with a second version: judge it, try it against the first in every region, explain it, take it back.

\set ON_ERROR_STOP on
\pset footer off
\pset null '-'
\pset linestyle unicode
\set VERBOSITY terse
-- Also where somebody has trained other models since.
SET reco.default_model = 'launch';

\echo
\echo '-- A second version, of boosted trees, is promoted if it ranks the held-out rows better than the champion'
\set ECHO queries
CALL reco.train('launch', 'launch_features', algorithm => 'boosted_trees');
\set ECHO none
SELECT max(version) AS trees FROM reco.versions WHERE model = 'launch' \gset
SELECT format('trees of version %s', :trees) AS test \gset
SELECT champion FROM reco.models WHERE model = 'launch' \gset
\set ECHO queries
SELECT promoted, champion_version, round(champion::numeric, 4) AS champion, round(candidate::numeric, 4) AS candidate, rows
FROM reco.promote_if_better('launch', :trees, metric => 'auroc');
\set ECHO none

\echo '-- An A/B test over all regions: half of the pairs of product and region are scored by either version'
\set ECHO queries
SELECT reco.start_ab_test(:'test', 'launch',
    format('[{"arm": "network", "version": %s, "share": 0.5}, {"arm": "trees", "version": %s, "share": 0.5}]', :champion, :trees)::jsonb);
\set ECHO none

\echo '-- Eight weeks of it, replayed to show how a test runs; to say which is better it has to look ahead, for both have learned from these'
\set ECHO queries
SELECT week, reco.log_recommendations(array_agg(product_id), array_agg(region), 'launch', as_of => week) AS shown
FROM (SELECT week, region, product_id,
             row_number() OVER (PARTITION BY week, region, reco.ab_arm(:'test', product_id, region)
                                ORDER BY reco.recommend(product_id, region, 'launch', as_of => week) DESC, product_id) AS place
      FROM launch_features
      WHERE week > (SELECT max(week) - 9 * 7 FROM launch_features) AND purchased IS NOT NULL) AS ranked
WHERE place <= 60
GROUP BY week ORDER BY week;

SELECT region, arm, exposures, purchases, round(rate::numeric, 3) AS rate, round(lift::numeric, 3) AS lift,
       round(always_low::numeric, 3) AS low, round(always_high::numeric, 3) AS high,
       round(always_p_value::numeric, 2) AS p_value, warning
FROM reco.ab_report(:'test');
\set ECHO none

\echo '-- The test ends with a winner, which is the champion from this transaction on'
\set ECHO queries
SELECT reco.stop_ab_test(:'test', 'trees', 'sells no worse');
\set ECHO none

SELECT product_id AS best FROM reco.top_products('r1', 1) \gset
\echo '-- Why the product that is first now?'
\set ECHO queries
SELECT column_name, value, baseline, round(contribution::numeric, 3) AS contribution, round(score::numeric, 3) AS score
FROM reco.explain(:best, 'r1') LIMIT 5;
\set ECHO none

\echo '-- What is expected of a region next week'
\set ECHO queries
SELECT level, category, products, round(purchases::numeric, 1) AS purchases
FROM reco.forecast('r1', by => 'department') WHERE level <> 'product' LIMIT 6;
\set ECHO none

\echo '-- Is it as good on weeks that it has not seen, and are the rows of the newest like those of training?'
\set ECHO queries
CALL reco.monitor('launch');
SELECT week, version, rows, round(auroc::numeric, 3) AS auroc, round(test_auroc::numeric, 3) AS test_auroc,
       round(calibration_error::numeric, 3) AS calibration_error
FROM reco.monitoring WHERE model = 'launch' AND NOT is_region AND judged_at IS NOT NULL ORDER BY week DESC LIMIT 4;
SELECT status, coalesce(string_agg(reason ->> 'words', E'\n'), 'nothing to say') AS reasons
FROM reco.health LEFT JOIN LATERAL jsonb_array_elements(reasons) AS reason ON true WHERE model = 'launch' GROUP BY status;
\set ECHO none

\echo '-- Back to what was, and what has happened'
\set ECHO queries
SELECT reco.rollback('launch', 'the demo is over');
SELECT action, from_version, to_version, why FROM reco.promotions WHERE model = 'launch' ORDER BY step;
