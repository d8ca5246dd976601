-- Errors as a user sees them.
SET client_min_messages = warning;
RESET reco.default_model;

-- Training: arguments
CALL reco.train('launch', 'launches', 'purchased', params => '{"epoch": 5}');
CALL reco.train('launch', 'launches', 'purchased', params => '{"epochs": 0}');
CALL reco.train('launch', 'launches', 'purchased', params => '{"dropout": "much"}');
CALL reco.train('launch', 'launches', 'purchased', params => '[]');
CALL reco.train('launch', 'launches', 'purchased', algorithm => 'forest');
CALL reco.train(NULL, 'launches', 'purchased');
CALL reco.train('', 'launches', 'purchased');
CALL reco.train('launch', 'nothing', 'purchased');
CALL reco.train('launch', 'launches', 'bought');
CALL reco.train('launch', 'launches', 'category');
CALL reco.train('launch', 'launches', 'purchased', keys => '{product_id,shop}');
CALL reco.train('launch', 'launches', 'purchased', time_column => 'sales');
CALL reco.train('launch', 'launches', 'purchased', params => '{"exclude": ["colour"]}');

-- Training: data
CALL reco.train('launch', 'launches', 'households', params => '{"task": "binary"}');
CREATE VIEW with_document AS SELECT *, '{}'::jsonb AS document FROM launches;
CALL reco.train('launch', 'with_document', 'purchased');
CALL reco.train('launch', 'with_document', 'purchased', keys => '{document,region}');
CREATE VIEW empty AS SELECT * FROM launches WHERE false;
CALL reco.train('launch', 'empty', 'purchased');
CREATE VIEW unknown AS SELECT * FROM launches WHERE purchased IS NULL;
CALL reco.train('launch', 'unknown', 'purchased');
CREATE VIEW bought AS SELECT * FROM launches WHERE purchased;
CALL reco.train('launch', 'bought', 'purchased');
CREATE VIEW uneven AS SELECT *, CASE WHEN product_id = 5 THEN '{1}' ELSE '{1,2}' END::real[] AS history FROM launches;
CALL reco.train('launch', 'uneven', 'purchased');

-- Training: the trainer
SET reco.trainer_path = '/nowhere/trainer';
CALL reco.train('launch', 'launches', 'purchased');
RESET reco.trainer_path;
SET reco.no_such_setting = 1;

-- Scoring
SELECT reco.predict('nobody', l) FROM launches l LIMIT 1;
SELECT reco.recommend(1, 'r1');
SELECT reco.recommend(1, 'r1', 'nobody');
SELECT reco.recommend(1, 'r1', repeat('somebody ', 100000));
SELECT reco.recommend('one', 'r1', 'launch');
SELECT reco.predict('launch', '{1,2}'::real[]);
SELECT reco.predict('numbers', '{1,2,3}'::real[]);
SELECT reco.predict('launch', r) FROM (SELECT 1::real AS sales, 2 AS households) r;
SELECT reco.predict('launch', r) FROM (SELECT 'many' AS sales, 2 AS households, 'bakery' AS category) r;

-- None of this made a version, and every training that had begun says why it failed.
SELECT model, champion, versions FROM reco.models ORDER BY model;
SELECT source, error FROM reco.runs WHERE status = 'failed' ORDER BY started_at;
SELECT count(*) AS running FROM reco.runs WHERE status = 'running';
