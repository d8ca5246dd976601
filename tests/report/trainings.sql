-- What the page is looked at with: three versions on the demo's generated sales, an A/B test with outcomes, promotions, and
-- roles that may see more or less of it.

\set ON_ERROR_STOP on
SET client_min_messages = warning;

CALL reco.train('launch', 'launch_features', algorithm => 'mlp', params => '{"hidden": [16], "epochs": 12, "importance": true}');
CALL reco.train('launch', 'launch_features', algorithm => 'boosted_trees', params => '{"trees": 20, "leaves": 7}');
CALL reco.train('launch', 'launch_features', algorithm => 'auto', params => '{"epochs": 3, "trees": 10}');
SELECT reco.describe_model('launch', 'Which new products are bought where next week.');

-- Six weeks of an A/B test, replayed.
SELECT reco.start_ab_test('network or trees', 'launch', '[{"arm": "network", "version": 1, "share": 0.5}, {"arm": "trees", "version": 2, "share": 0.5}]');
SELECT sum(reco.log_recommendations(array_agg, regions, 'launch', as_of => week)) AS shown
FROM (SELECT week, array_agg(product_id), array_agg(region) AS regions FROM launch_features
      WHERE purchased IS NOT NULL AND week > (SELECT max(week) - 7 * 7 FROM launch_features) GROUP BY week) AS weeks;
SELECT reco.stop_ab_test('network or trees', 'trees', 'sells no worse');
SELECT reco.rollback('launch', 'the trees were slower');
SELECT reco.promote('launch', 1, 'as it was');

-- Quantities have errors and no curves.
CREATE VIEW quantities AS SELECT product_id, region, week, sales_1w, sales_4w, weeks_since_launch, quantity_4w, purchased::int * sales_4w AS sold FROM launch_features;
CALL reco.train('quantity', 'quantities', 'sold', params => '{"hidden": [8], "epochs": 3}');

-- Weeks beside the test rows, and a newest one whose prices are another currency's.
UPDATE launch_features SET price_1w = price_1w * 7, all_price_4w = all_price_4w * 7 WHERE week = (SELECT max(week) FROM launch_features);
CALL reco.monitor('launch');
CALL reco.monitor('quantity');

CREATE ROLE shop LOGIN;
GRANT USAGE ON SCHEMA reco TO shop;
SELECT reco.grant_model('launch', 'shop', 'score');
