-- Encoders: fit to a column, keep what was fitted, encode with it.
CREATE TABLE encoder_sales (product text, region text, tags text[], price double precision);
INSERT INTO encoder_sales VALUES
    ('milk', 'north', '{fresh,dairy}', 1),
    ('bread', 'south', '{fresh}', 2),
    ('milk', 'south', '{dairy,NULL}', 3),
    ('apples', NULL, '{}', NULL),
    (NULL, 'north', NULL, 'NaN'),
    ('milk', 'north', '{dairy}', 6);

-- What is fitted is a plain value, which a table keeps.
CREATE TABLE encoder_fits AS
SELECT reco.standard_scaler(price) AS standard, reco.min_max_scaler(price) AS min_max,
       reco.max_abs_scaler(price) AS max_abs, reco.robust_scaler(price) AS robust,
       reco.robust_scaler(price, 0, 1) AS whole_range, reco.quantile_boundaries(price, 2) AS boundaries,
       reco.vocabulary(product) AS products, reco.vocabulary(tags) AS tags
FROM encoder_sales;
SELECT * FROM encoder_fits;
SELECT (standard).mean, round((standard).scale::numeric, 6) AS scale, (robust).median FROM encoder_fits;

SELECT price, round(reco.standard_scale(price, standard)::numeric, 4) AS standard,
       reco.min_max_scale(price, min_max) AS min_max, round(reco.max_abs_scale(price, max_abs)::numeric, 4) AS max_abs,
       round(reco.robust_scale(price, robust)::numeric, 4) AS robust,
       reco.quantile_buckets(price, boundaries) AS bucket
FROM encoder_sales, encoder_fits ORDER BY price;
SELECT product, reco.label_encode(product, f.products) AS label, reco.one_hot(product, f.products) AS one_hot,
       reco.multi_hot(s.tags, f.tags) AS multi_hot
FROM encoder_sales AS s, encoder_fits AS f ORDER BY s.price, product;

-- Values that were not there when it was fitted.
SELECT reco.label_encode('wine', products), reco.one_hot('wine', products), reco.multi_hot('{wine,fresh}', tags),
       reco.min_max_scale(11, min_max), reco.robust_scale('infinity', robust), reco.standard_scale('NaN', standard)
FROM encoder_fits;

-- Vocabularies: least count, most values, order by bytes; the same from any order of rows.
SELECT reco.vocabulary(product, 2) AS twice, reco.vocabulary(product, 1, 2) AS two, reco.vocabulary(tags, 2, 5) AS tags,
       reco.vocabulary(region ORDER BY price) = reco.vocabulary(region ORDER BY price DESC) AS same
FROM encoder_sales;
SELECT reco.vocabulary(v) FROM unnest('{ä,z,Z,"",a}'::text[]) AS v;

-- Missing values.
SELECT reco.imputer(price, 'mean') AS mean, reco.imputer(price, 'median') AS median,
       reco.imputer(price, 'most_frequent') AS most_frequent, reco.imputer(region) AS region
FROM encoder_sales;
SELECT reco.impute(price, 0) AS price, reco.impute(region, '?') AS region FROM encoder_sales ORDER BY 1, 2;
SELECT reco.impute(NULL::double precision, NULL), reco.impute('infinity', 0), reco.impute('', 'x') = '' AS kept;

-- A constant column; no values at all.
SELECT reco.standard_scaler(x) AS fitted, reco.standard_scale(7, reco.standard_scaler(x)) AS standard,
       reco.min_max_scale(7, reco.min_max_scaler(x)) AS min_max, reco.robust_scale(7, reco.robust_scaler(x)) AS robust,
       reco.quantile_boundaries(x, 4) AS boundaries,
       reco.quantile_buckets(x, reco.quantile_boundaries(x, 4)) AS bucket
FROM (VALUES (7), (7), (7)) AS t(x) GROUP BY x;
SELECT reco.standard_scaler(x), reco.min_max_scaler(x), reco.max_abs_scaler(x), reco.robust_scaler(x),
       reco.quantile_boundaries(x, 3), reco.imputer(x, 'mean'), reco.imputer(t), reco.vocabulary(t), reco.vocabulary(a)
FROM (VALUES (NULL::double precision, NULL::text, NULL::text[]), ('NaN', NULL, '{NULL}')) AS v(x, t, a);
SELECT reco.standard_scaler(x), reco.vocabulary(x::text), reco.imputer(x, 'no matter') FROM generate_series(1, 0) AS x;

-- As a window, and by group.
SELECT x, reco.max_abs_scaler(x) OVER (ORDER BY x), reco.imputer(x, 'median') OVER (ORDER BY x) FROM generate_series(1, 4) AS x;
SELECT x % 2 AS odd, reco.min_max_scaler(x), reco.quantile_boundaries(x, 2) FROM generate_series(1, 9) AS x GROUP BY 1 ORDER BY 1;

-- Functions that need no fit.
SELECT v, reco.bucketize(v, '{0,10}') FROM unnest('{-infinity,-1,0,9.99,10,infinity,NaN,NULL}'::double precision[]) AS v;
SELECT reco.bucketize(5, '{}') AS no_boundaries, reco.hash_bucket('milk', 100) AS hash, reco.hash_bucket('', 10) AS empty;
SELECT reco.feature_cross('milk', 'north') AS plain, reco.feature_cross('a|b', 'c') AS left_bar,
       reco.feature_cross('a', 'b|c') AS right_bar, reco.feature_cross('a', NULL) AS missing,
       reco.feature_cross(VARIADIC '{}') AS nothing, reco.feature_cross('') AS empty;
SELECT reco.ngrams('{the,red,apple}', 1, 2) AS words, reco.ngrams('{a,NULL,b,c}', 2, 3, '') AS around_null,
       reco.ngrams('{a}', 2, 3) AS too_few;
SELECT reco.polynomial_expand('{2,3}', 3) AS cubic, reco.polynomial_expand('{2,NULL}', 2) AS missing,
       reco.polynomial_expand('{}', 2) AS nothing;
SELECT reco.normalize('{3,-4}') AS l2, reco.normalize('{3,-4}', 1) AS l1, reco.normalize('{3,-4}', 'infinity') AS largest,
       reco.normalize('{0,0}') AS zeros, reco.normalize('{NULL,2}') AS missing, reco.normalize('{1e300,1e300}', 1) AS large;
SELECT period, round(e[1]::numeric, 6) AS sine, round(e[2]::numeric, 6) AS cosine
FROM (VALUES (0), (3), (6), (15)) AS t(period), reco.cyclic_encode(period, 12) AS e;

-- What is kept from row to row follows the argument: one call site, another vocabulary in each row.
SELECT reco.label_encode('b', v) FROM (VALUES ('{a,b}'::text[]), ('{b,a}'), ('{b,a}'), (NULL), ('{c}')) AS t(v);
DO $$
DECLARE
    vocabulary text[];
    found integer[];
BEGIN
    FOREACH vocabulary SLICE 1 IN ARRAY '{{a,b},{b,a},{c,b}}'::text[] LOOP
        found := found || reco.label_encode('b', vocabulary);
    END LOOP;
    RAISE NOTICE '%', found;
END
$$;
-- A vocabulary that is stored outside its row, and replaced.
CREATE TABLE encoder_long (id integer, vocabulary text[]);
ALTER TABLE encoder_long ALTER COLUMN vocabulary SET STORAGE EXTERNAL;
INSERT INTO encoder_long SELECT n, array_agg('value ' || i ORDER BY i * n) FROM generate_series(1, 5000) AS i, (VALUES (-1), (1)) AS t(n) GROUP BY n;
SELECT id, sum(reco.label_encode(v, vocabulary)) FROM encoder_long, unnest('{value 1,value 2,no}'::text[]) AS v GROUP BY id ORDER BY id;
CREATE FUNCTION encoder_first(wanted text) RETURNS integer LANGUAGE plpgsql AS
$$ BEGIN RETURN reco.label_encode(wanted, (SELECT vocabulary FROM encoder_long WHERE id = 1)); END $$;
SELECT encoder_first('value 5000');
UPDATE encoder_long SET vocabulary = (SELECT vocabulary FROM encoder_long WHERE id = -1) WHERE id = 1;
SELECT encoder_first('value 5000');

-- Errors
SELECT reco.standard_scaler(x) FROM (VALUES ('infinity'::double precision)) AS t(x);
SELECT reco.quantile_boundaries(x, 1) FROM generate_series(1, 3) AS x;
SELECT reco.quantile_boundaries(x, x + 1) FROM generate_series(1, 3) AS x;
SELECT reco.quantile_boundaries(x, NULL) FROM generate_series(1, 3) AS x;
SELECT reco.robust_scaler(x, 0.9, 0.1) FROM generate_series(1, 3) AS x;
SELECT reco.vocabulary(x::text, 0) FROM generate_series(1, 3) AS x;
SELECT reco.vocabulary(x::text, 1, 2000000) FROM generate_series(1, 3) AS x;
SELECT reco.vocabulary(x::text) FROM generate_series(1, 1048577) AS x;
SELECT reco.imputer(x, 'mode') FROM generate_series(1, 3) AS x;
SELECT reco.standard_scale(1, (0, -1));
SELECT reco.standard_scale(1, (NULL, 1));
SELECT reco.max_abs_scale(1e300, row(1e-300)::reco.max_abs_scaler);
SELECT reco.bucketize(1, '{2,1}');
SELECT reco.bucketize(1, '{1,NULL}');
SELECT reco.label_encode('a', '{a,b,a}');
SELECT reco.one_hot('a', '{a,NULL}');
SELECT reco.hash_bucket('a', 0);
SELECT reco.ngrams('{a}', 0, 1);
SELECT reco.ngrams('{a}', 2, 1);
SELECT reco.polynomial_expand('{1}', 11);
SELECT reco.polynomial_expand(array_fill(1, '{1000}'), 2);
SELECT reco.polynomial_expand('{1e200}', 2);
SELECT reco.normalize('{1}', 0.5);
SELECT reco.cyclic_encode(1, 0);
-- Which words refuse what only aggregates may call depends on the minor version of Postgres.
DO $$
BEGIN
    PERFORM reco.column_statistics_step(NULL, 1);
    RAISE 'called';
EXCEPTION WHEN undefined_function OR feature_not_supported THEN
    RAISE NOTICE 'refused';
END $$;
DROP FUNCTION encoder_first;
DROP TABLE encoder_sales, encoder_fits, encoder_long;
