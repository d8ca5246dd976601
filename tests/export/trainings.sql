-- Rows with a column of every kind, each missing at times, and a version of every algorithm, of probabilities and of quantities.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_recommend;
DO $$ BEGIN PERFORM setseed(0.42); END $$;

CREATE TYPE season AS ENUM ('spring', 'summer', 'autumn', 'winter');
CREATE TABLE deals (
    product_id bigint, region text, week date, price numeric(12, 2), stock integer, weight double precision, rating real,
    pages bigint, constant integer, organic boolean, launched date, changed timestamptz, opened timestamp, brand text,
    code character(8), season season, embedding real[], bought boolean, sold double precision,
    PRIMARY KEY (product_id, region, week));

INSERT INTO deals
SELECT n, 'r' || n % 3, date '2024-01-01' + 7 * (n % 40), exp(2 * u.normal)::numeric(12, 2), (u.stock * 900)::int,
       u.weight * 3 - 1, u.rating * 5, 4000000000 + (u.pages * 1e6)::bigint, 7, u.organic < 0.4,
       date '2019-05-05' + (u.launched * 2000)::int, timestamptz '2023-01-01 UTC' + u.changed * interval '500 days',
       timestamp '2001-02-03 04:05:06.789' + u.changed * interval '9000 days',
       (ARRAY['', 'Größe', 'own', 'a b', E'tab\t', '日本'])[1 + (u.brand * u.brand * 6)::int % 6] || (u.brand * 30)::int / 3,
       'c' || (u.code * 12)::int, (enum_range(NULL::season))[1 + (u.season * 4)::int % 4],
       ARRAY[u.weight, u.rating, u.code, u.normal]::real[], NULL, NULL
FROM generate_series(1, 9000) AS n,
     LATERAL (SELECT n * 0 + sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS normal, random() AS stock, random() AS weight,
                     random() AS rating, random() AS pages, random() AS organic, random() AS launched, random() AS changed,
                     random() AS brand, random() AS code, random() AS season) AS u;

UPDATE deals SET
    sold = greatest(0, 20 + 6 * ln(1 + price) - 9 * (weight - 0.5) ^ 2 + 8 * (stock > 450)::int * (rating > 2.5)::int
                       + 5 * organic::int + length(brand) * 1.5 - 4 * (season = 'winter')::int * (code > 'c5')::int
                       + 3 * embedding[1] * embedding[2] + 4 * (random() - 0.5));
UPDATE deals SET bought = random() < 1 / (1 + exp((30 - sold) / 4));
-- Each is missing in some rows, each in others.
UPDATE deals SET stock = NULL WHERE product_id % 11 = 0;
UPDATE deals SET price = NULL WHERE product_id % 13 = 0;
UPDATE deals SET rating = 'NaN' WHERE product_id % 17 = 0;
UPDATE deals SET rating = 'Infinity' WHERE product_id % 97 = 0;
UPDATE deals SET organic = NULL WHERE product_id % 7 = 0;
UPDATE deals SET launched = NULL WHERE product_id % 19 = 0;
UPDATE deals SET launched = 'infinity' WHERE product_id % 89 = 0;
UPDATE deals SET changed = NULL WHERE product_id % 23 = 0;
UPDATE deals SET brand = NULL WHERE product_id % 9 = 0;
UPDATE deals SET season = NULL WHERE product_id % 29 = 0;
UPDATE deals SET embedding = NULL WHERE product_id % 31 = 0;
UPDATE deals SET embedding[2] = NULL WHERE product_id % 37 = 0 AND embedding IS NOT NULL;

CREATE VIEW quantities AS
SELECT product_id, region, week, price, stock, weight, rating, pages, constant, organic, launched, changed, opened, brand, code,
       season, embedding, sold
FROM deals;
CREATE VIEW numbers_only AS SELECT product_id, region, week, price, stock, weight, bought FROM deals;
CREATE VIEW texts_only AS SELECT product_id, region, week, brand, code::text, bought FROM deals;

-- Rows as they were trained on, and rows that no training saw: all NULL, values never seen, numbers far from all others.
CREATE TABLE probes AS SELECT * FROM deals WHERE product_id <= 400 OR product_id % 89 = 0 OR product_id % 97 = 0;
INSERT INTO probes (product_id) VALUES (-1);
INSERT INTO probes
SELECT -1 - n, 'r9', date '2031-01-06', (ARRAY[-5, 0, 99999999.99])[1 + n % 3], (ARRAY[-2147483648, 0, 2147483647])[1 + n % 3],
       (ARRAY[-1e300, 1e300, 1.7e308, '-Infinity', 'NaN', 0])[1 + n % 6], (ARRAY[-3e38, 3e38, 0])[1 + n % 3]::real,
       (ARRAY[-9223372036854775808, 0, 9223372036854775807])[1 + n % 3]::bigint, n, n % 2 = 0,
       (ARRAY['4713-01-01 BC', '5874897-12-31', '2000-01-01'])[1 + n % 3]::date,
       (ARRAY['4713-01-01 BC', '294276-12-31', 'infinity'])[1 + n % 3]::timestamptz,
       (ARRAY['4713-01-01 BC', '294276-12-31', '-infinity'])[1 + n % 3]::timestamp,
       (ARRAY['never seen', '', ' own', 'größe', repeat('long', 5000)])[1 + n % 5], (ARRAY['', 'c3', 'unseen'])[1 + n % 3],
       (enum_range(NULL::season))[1 + n % 4], (ARRAY['{NaN,1e30,-1e30,0}', '{0,0,0,0}'])[1 + n % 2]::real[], NULL, NULL
FROM generate_series(1, 30) AS n;

CALL reco.train('logistic', 'deals', 'bought', algorithm => 'logistic', params => '{"exclude": ["sold"], "epochs": 5, "l1": 0.001}');
CALL reco.train('mlp', 'deals', 'bought', algorithm => 'mlp', params => '{"exclude": ["sold"], "epochs": 8, "number_bins": 16}');
CALL reco.train('members', 'deals', 'bought', algorithm => 'mlp', params => '{"exclude": ["sold"], "epochs": 3, "hidden": [32, 16], "members": 3, "batch_norm": true, "transform": "signed_log", "calibration": "platt"}');
CALL reco.train('deep', 'deals', 'bought', algorithm => 'deep_cross', params => '{"exclude": ["sold"], "epochs": 5, "number_bins": 8, "calibration": "isotonic"}');
CALL reco.train('crosses', 'deals', 'bought', algorithm => 'deep_cross', params => '{"exclude": ["sold"], "epochs": 3, "hidden": [], "crosses": 1}');
CALL reco.train('trees', 'deals', 'bought', algorithm => 'boosted_trees', params => '{"exclude": ["sold"], "trees": 80}');
CALL reco.train('auto', 'deals', 'bought', algorithm => 'auto', params => '{"exclude": ["sold"], "epochs": 8, "trees": 60}');
CALL reco.train('quantity_mlp', 'quantities', 'sold', algorithm => 'mlp', params => '{"epochs": 8, "transform": "quantile"}');
CALL reco.train('quantity_deep', 'quantities', 'sold', algorithm => 'deep_cross', params => '{"epochs": 4, "members": 2}');
CALL reco.train('quantity_linear', 'quantities', 'sold', algorithm => 'logistic', params => '{"epochs": 4}');
CALL reco.train('quantity_trees', 'quantities', 'sold', algorithm => 'boosted_trees', params => '{"trees": 60, "leaves": 15}');
CALL reco.train('quantity_auto', 'quantities', 'sold', algorithm => 'auto', params => '{"epochs": 8, "trees": 60}');
CALL reco.train('numbers', 'numbers_only', 'bought', algorithm => 'auto', params => '{"epochs": 4, "trees": 20}');
CALL reco.train('texts', 'texts_only', 'bought', algorithm => 'boosted_trees', params => '{"trees": 20}');
CALL reco.train('texts_mlp', 'texts_only', 'bought', algorithm => 'mlp', params => '{"epochs": 4}');
CALL reco.train('popularity', 'deals', 'bought', algorithm => 'popularity');
