-- One training of each kind, on the demo's generated sales, and roles that may see more or less of them.

\set ON_ERROR_STOP on
SET client_min_messages = warning;

CALL reco.train('launch', 'launch_features', algorithm => 'mlp', params => '{"hidden": [16], "epochs": 12}');
CALL reco.train('launch', 'launch_features', algorithm => 'boosted_trees', params => '{"trees": 20, "leaves": 7}');
CALL reco.tune('launch', 'launch_features', algorithm => 'mlp', trials => 4, params => '{"epochs": 4}',
    search => '{"learning_rate": {"min": 0.001, "max": 0.03, "log": true}, "hidden": [[8], [16]]}');
CALL reco.train('launch', 'launch_features', algorithm => 'auto', params => '{"epochs": 3, "trees": 10}');
SELECT reco.promote('launch', 2, 'ranks new products better');
SELECT reco.set_alias('launch', 'challenger', 3);
SELECT reco.describe_model('launch', 'Which new products are bought where next week.');

-- A version without a run, under a name that paths do not like.
SELECT reco.import_model('größe 1/2', reco.export_model('launch', 1));
SELECT reco.import_model('größe', reco.export_model('launch', 1));

-- A run without a model.
CREATE TABLE few AS SELECT * FROM launch_features LIMIT 3;
\set ON_ERROR_STOP off
\set VERBOSITY sqlstate
CALL reco.train('broken', 'few', 'purchased', params => '{"epochs": 1}');
\set ON_ERROR_STOP on

CREATE ROLE analyst LOGIN;
CREATE ROLE shop LOGIN;
CREATE ROLE stranger LOGIN;
CREATE ROLE outsider LOGIN;
GRANT USAGE ON SCHEMA reco TO analyst, shop, stranger;
SELECT reco.grant_model('launch', 'analyst', 'train');
SELECT reco.grant_model('launch', 'shop', 'score');
