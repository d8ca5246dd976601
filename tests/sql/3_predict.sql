-- Scores in plain SELECTs.
SELECT count(*), count(p) AS scored, bool_and(p BETWEEN 0 AND 1) AS probabilities,
       avg(p) FILTER (WHERE purchased) > 2 * avg(p) FILTER (WHERE NOT purchased) AS apart
FROM (SELECT purchased, reco.predict('launch', l) AS p FROM launches l) AS s;

-- Calibrated: the mean score is about the share of purchases.
SELECT abs(avg(reco.predict('launch', l)) - avg(purchased::int)) < 0.1 AS calibrated
FROM launches l WHERE purchased IS NOT NULL;

-- A row can be made up: columns go by name, others are ignored, and what is missing or new is scored too.
SELECT a.p > b.p AS "more sales, better", c.p BETWEEN 0 AND 1 AS "nothing known", d.p BETWEEN 0 AND 1 AS "new category"
FROM (SELECT reco.predict('launch', r) FROM (SELECT 'x' AS other, 'bakery' AS category, 1000::real AS sales, 99 AS households) r) a (p),
     (SELECT reco.predict('launch', r) FROM (SELECT 99 AS households, 10::real AS sales, 'bakery' AS category) r) b (p),
     (SELECT reco.predict('launch', r) FROM (SELECT NULL::real AS sales, NULL::int AS households, NULL::text AS category) r) c (p),
     (SELECT reco.predict('launch', r) FROM (SELECT 500::real AS sales, 99 AS households, 'garden' AS category) r) d (p);

SELECT reco.predict('launch', NULL::launches) IS NULL AS "no row", reco.predict(NULL, l) IS NULL AS "no model"
FROM launches l LIMIT 1;

-- A model whose inputs are all numbers takes them as an array as well.
SET client_min_messages = warning;
CALL reco.train('numbers', 'launches', 'purchased',
                params => '{"hidden": [8], "epochs": 3, "threads": 1, "exclude": ["category"]}');
SELECT max(abs(reco.predict('numbers', l) - reco.predict('numbers', ARRAY[sales, households]))) < 1e-6 AS same FROM launches l;

-- The planner knows that the function reads and does not write, and may use parallel workers.
BEGIN READ ONLY;
SELECT count(reco.predict('launch', l)) FROM launches l;
COMMIT;
EXPLAIN (COSTS OFF) SELECT product_id FROM launches l WHERE reco.predict('launch', l) > 0.5;
