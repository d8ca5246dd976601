-- By key: the newest row, scored.
SET reco.default_model = 'launch';

SELECT count(*) AS keys,
       bool_and(reco.recommend(product_id, region) = reco.predict('launch', l)) AS "score of the newest row"
FROM launches l WHERE week = (SELECT max(week) FROM launches);

SELECT bool_and(reco.recommend(product_id, region, as_of => week) = reco.predict('launch', l)) AS "as of each week"
FROM launches l WHERE product_id = 11;

SELECT reco.recommend(11, 'r1') = reco.recommend(11, 'r1', 'launch') AS default_model,
       reco.recommend(11, 'r1') <> reco.recommend(11, 'r1', model => 'numbers') AS another_model;

-- No row, no score.
SELECT reco.recommend(-1, 'r1') AS "unknown product", reco.recommend(11, 'nowhere') AS "unknown region",
       reco.recommend(NULL::bigint, 'r1') AS "no product", reco.recommend(11, NULL) AS "no region",
       reco.recommend(11, 'r1', as_of => '2020-01-01') AS "too early";

-- Ten best products of a region, and the regions of a product.
SELECT count(*) AS best FROM (
    SELECT product_id, reco.recommend(product_id, 'r1') AS score
    FROM (SELECT DISTINCT product_id FROM launches) AS p ORDER BY score DESC LIMIT 10) AS t WHERE score > 0.5;
SELECT count(DISTINCT region) FROM (
    SELECT region, reco.recommend(11, region) AS score FROM (SELECT DISTINCT region FROM launches) AS r ORDER BY score DESC) AS t;

-- A product that arrived today.
INSERT INTO launches (product_id, region, week) VALUES (9001, 'r1', '2024-05-20');
SELECT reco.recommend(9001, 'r1') BETWEEN 0 AND 1 AS scored;
DELETE FROM launches WHERE product_id = 9001;
SELECT reco.recommend(9001, 'r1') AS gone;

-- Products whose key is text.
SET client_min_messages = warning;
CREATE VIEW named AS SELECT 'article ' || product_id AS product_id, region, week, sales, category, purchased FROM launches;
CALL reco.train('named', 'named', 'purchased', params => '{"hidden": [8], "epochs": 3, "threads": 1}');
SELECT reco.recommend('article 11', 'r1', 'named') BETWEEN 0 AND 1 AS scored, reco.recommend('article', 'r1', 'named') AS unknown;
