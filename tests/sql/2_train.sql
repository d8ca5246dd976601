-- An analyst trains a model on a table of weekly features, and looks at what came of it.
SET client_min_messages = warning;

CREATE TABLE launches AS
SELECT p AS product_id, 'r' || r AS region, date '2024-01-01' + 7 * w AS week,
       (hashint8extended(p, 1) & 1023)::real AS sales,
       CASE WHEN (hashint8extended(p * 64 + w, 2) & 7) > 0 THEN (hashint8extended(p, 3) & 255)::integer END AS households,
       (ARRAY['drinks', 'bakery', 'pet food'])[1 + (hashint8extended(p, 4) & 1)] AS category,
       CASE WHEN w < 19 THEN (hashint8extended(p, 1) & 1023) + 512 * (hashint8extended(p, 4) & 1)
                             + (hashint8extended(p * 4096 + w * 4 + r, 5) & 127) > 800 END AS purchased
FROM generate_series(1::bigint, 100) AS p, generate_series(0, 2) AS r, generate_series(0, 19) AS w;
ALTER TABLE launches ADD PRIMARY KEY (product_id, region, week);

CALL reco.train(
    model => 'launch',
    source => 'launches',
    label => 'purchased',
    algorithm => 'mlp',
    params => '{"hidden": [16], "epochs": 20, "learning_rate": 0.01, "batch_size": 128, "threads": 1}');

SELECT model, owner = current_user AS mine, champion, versions FROM reco.models;

SELECT version, algorithm, aliases, source, keys, time_column, label, test_auroc > 0.95 AS good,
       test_auroc > test_auroc_popularity - 0.01 AS "as good as popularity"
FROM reco.versions;

SELECT data ->> 'rows' AS rows, data ->> 'unlabelled' AS unlabelled, data ->> 'train' AS train,
       data ->> 'validation' AS validation, data ->> 'test' AS test, data ->> 'time_from' AS "from",
       data ->> 'validation_from' AS validation_from, data ->> 'test_from' AS test_from, data ->> 'time_to' AS "to"
FROM reco.versions;

SELECT c ->> 'name' AS input, c ->> 'sql_type' AS type
FROM reco.versions, jsonb_array_elements(recipe -> 'columns') WITH ORDINALITY AS c (c, n) ORDER BY n;

SELECT string_agg(p.key, ', ' ORDER BY p.key COLLATE "C") AS parameters
FROM reco.versions, jsonb_each(parameters) AS p;

SELECT model, status, version, error FROM reco.runs;
SELECT count(*) BETWEEN 1 AND 20 AS some, min(train_loss) < max(train_loss) AS learned FROM reco.run_metrics;
SELECT * FROM reco.training_progress;

-- Next week's version does not go live by itself.
CALL reco.train('launch', 'launches', 'purchased', params => '{"hidden": [], "epochs": 5, "threads": 1, "seed": 7}');
SELECT champion, versions FROM reco.models;

-- Unless it is asked to.
CALL reco.train('launch', 'launches', 'purchased', promote => true,
                params => '{"hidden": [8], "epochs": 20, "learning_rate": 0.01, "batch_size": 128, "threads": 1}');
SELECT champion, versions FROM reco.models;
SELECT model, alias, version FROM reco.aliases;
