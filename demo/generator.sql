-- Generated sales with a known best answer, in the tables of the real ones.
--
--   psql -f demo/generator.sql -v seed=7 -v products=10000
--
-- Each product has in each region a weekly rate, the expected number of households that buy it:
--
--   log(rate) = appeal of the product + its category's standing in the region + taste + season,
--
-- pushed apart so that most products either sell or do not. The number of buyers is Poisson, so a
-- week without any has the probability exp(-rate), and true_probability keeps 1 - exp(-rate). No
-- model can rank the weeks to come better than that; how close it gets from the sales alone is what
-- the demo shows.
--
-- Every draw is a hash of the seed and of what it is for, so that the same seed gives the same data
-- whatever plan the server chooses, and more products do not change the first ones.

\set ON_ERROR_STOP on
\if :{?seed}     \else \set seed 42       \endif
\if :{?products} \else \set products 3200 \endif
\if :{?weeks}    \else \set weeks 53      \endif
\if :{?regions}  \else \set regions 5     \endif
\if :{?stores}   \else \set stores 50     \endif
\if :{?households} \else \set households 20000 \endif

\ir schema.sql
SET client_min_messages = warning;
BEGIN;
SET LOCAL work_mem = '256MB';

-- Uniform on (0, 1), from up to three keys and what is drawn.
CREATE FUNCTION pg_temp.draw(seed bigint, what text, a bigint, b bigint DEFAULT 0, c bigint DEFAULT 0)
RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((hashint8extended(a, hashint8extended(b, hashint8extended(c, hashtextextended(what COLLATE "C", seed))))
             & 4503599627370495) + 0.5) / 4503599627370496.0
$$;

-- Standard normal, by Box and Muller.
CREATE FUNCTION pg_temp.normal(seed bigint, what text, a bigint, b bigint DEFAULT 0, c bigint DEFAULT 0)
RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sqrt(-2 * ln(pg_temp.draw(seed, what || '/r', a, b, c))) * cos(2 * pi() * pg_temp.draw(seed, what || '/t', a, b, c))
$$;

-- How many, for a uniform draw: the inverse of the Poisson distribution function.
CREATE FUNCTION pg_temp.poisson(rate float8, draw float8) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n int := 0;
    p float8 := exp(-rate);
    total float8 := p;
BEGIN
    WHILE draw > total AND n < 200 LOOP
        n := n + 1;
        p := p * rate / n;
        total := total + p;
    END LOOP;
    RETURN n;
END $$;

INSERT INTO stores
SELECT store_id, 'r' || (store_id % :regions) FROM generate_series(1, :stores) AS store_id;

CREATE TEMP TABLE category ON COMMIT DROP AS
SELECT id, name, department, price FROM (VALUES
    (0, 'YOGURT', 'GROCERY', 1.2),          (1, 'CHEESE', 'GROCERY', 3.4),
    (2, 'COLD CEREAL', 'GROCERY', 3.1),     (3, 'BAG SNACKS', 'GROCERY', 2.6),
    (4, 'SOFT DRINKS', 'GROCERY', 2.2),     (5, 'FROZEN PIZZA', 'GROCERY', 4.5),
    (6, 'ICE CREAM', 'GROCERY', 3.9),       (7, 'COOKIES', 'GROCERY', 2.8),
    (8, 'PASTA SAUCE', 'GROCERY', 2.4),     (9, 'COFFEE', 'GROCERY', 6.5),
    (10, 'BREAD', 'PASTRY', 2.3),           (11, 'CAKES', 'PASTRY', 5.9),
    (12, 'SALAD', 'PRODUCE', 2.9),          (13, 'BERRIES', 'PRODUCE', 3.6),
    (14, 'DELI MEATS', 'DELI', 4.8),        (15, 'CHICKEN', 'MEAT', 6.2),
    (16, 'SAUSAGES', 'MEAT-PCKGD', 4.1),    (17, 'SHAMPOO', 'DRUG GM', 4.4),
    (18, 'DETERGENT', 'DRUG GM', 7.3),      (19, 'CANDY', 'DRUG GM', 1.5)
) AS c(id, name, department, price);

-- Most products are launched during the year, spread evenly; one in six was there before.
CREATE TEMP TABLE product ON COMMIT DROP AS
SELECT product_id,
       category.*,
       (pg_temp.draw(:seed, 'private', product_id) < 0.3) AS private,
       round((category.price * exp(0.35 * pg_temp.normal(:seed, 'price', product_id)))::numeric, 2) AS list_price,
       greatest(0, floor(:weeks * (1.2 * pg_temp.draw(:seed, 'launch', product_id) - 0.2)))::int AS launch,
       pg_temp.normal(:seed, 'appeal', product_id) AS appeal
FROM generate_series(1, :products) AS product_id
JOIN category ON category.id = floor(20 * pg_temp.draw(:seed, 'category', product_id));

INSERT INTO products
SELECT product_id, 1 + floor(200 * pg_temp.draw(:seed, 'maker', product_id)), department,
       CASE WHEN private THEN 'Private' ELSE 'National' END, name,
       name || ' ' || CASE WHEN appeal > 0 THEN 'PREMIUM' ELSE 'BASIC' END,
       (4 * (1 + floor(8 * pg_temp.draw(:seed, 'size', product_id))))::text || ' OZ'
FROM product;

-- Weeks count from 0 at the first Monday. A promotion takes a tenth or a fifth off and sells more.
CREATE TEMP TABLE rate ON COMMIT DROP AS
SELECT product_id, region, week, list_price, promotion,
       exp(CASE WHEN strength > 0 THEN least(1.9, 0.85 + 0.25 * strength) ELSE -4.5 + 0.35 * strength END
           + 0.15 * sin(2 * pi() * (week + 5 * id) / 52.0)
           + 0.6 * promotion) AS rate
FROM (
    SELECT product_id, id, region, list_price, launch,
           appeal
           + 1.2 * pg_temp.normal(:seed, 'standing', id, region)
           + 0.8 * pg_temp.normal(:seed, 'taste', product_id, region)
           - 0.6 AS strength
    FROM product CROSS JOIN generate_series(0, :regions - 1) AS region
) AS place
CROSS JOIN LATERAL generate_series(launch, :weeks) AS week
CROSS JOIN LATERAL (
    SELECT CASE WHEN pg_temp.draw(:seed, 'promotion', product_id, week) < 0.1
                THEN 0.1 + 0.1 * (pg_temp.draw(:seed, 'depth', product_id, week) < 0.5)::int ELSE 0 END AS promotion
) AS offer;

-- Every promotion is advertised, and the larger ones are on display. The week after the last one is planned too.
INSERT INTO promotions
SELECT product_id, 'r' || region, date '2017-01-02' + 7 * week, (promotion > 0.15)::int, 1 FROM rate WHERE promotion > 0;

-- Buyers live in the region and shop in its stores at any time of the week.
INSERT INTO sales
SELECT household_id, store_id, household_id * 1000 + week, product_id, quantity,
       round(quantity * list_price * (1 - promotion)::numeric, 2),
       round(quantity * list_price * promotion::numeric, 2),
       0, 0, week + 1,
       timestamp '2017-01-02' + week * interval '7 days'
           + pg_temp.draw(:seed, 'when', product_id, week, household_id) * interval '7 days'
FROM (
    SELECT rate.*,
           :regions * floor(:households / :regions * pg_temp.draw(:seed, 'who', product_id, week, region * 1000 + buyer))::bigint
               + region AS household_id,
           1 + (pg_temp.draw(:seed, 'two', product_id, week, region * 1000 + buyer) < 0.25)::int AS quantity,
           region + :regions * ((region = 0)::int + floor(:stores / :regions
               * pg_temp.draw(:seed, 'where', product_id, week, region * 1000 + buyer)))::bigint AS store_id
    FROM (
        SELECT *, pg_temp.draw(:seed, 'buyers', product_id, week, region) AS draw FROM rate WHERE week < :weeks
    ) AS rate
    CROSS JOIN LATERAL generate_series(1, pg_temp.poisson(rate, draw)) AS buyer
    WHERE draw > exp(-rate)
) AS bought;

CREATE TABLE true_probability (
    product_id  bigint,
    region      text,
    week        date,
    probability double precision NOT NULL,
    PRIMARY KEY (product_id, region, week)
);
COMMENT ON TABLE true_probability IS 'What generated the sales: how probable it was, at the end of the week, that the product is bought in the region in the week after';

INSERT INTO true_probability
SELECT product_id, 'r' || region, date '2017-01-02' + 7 * (week - 1), 1 - exp(-rate)
FROM rate
WHERE week > 0;

COMMIT;
VACUUM ANALYZE sales, products, stores, promotions, true_probability;
