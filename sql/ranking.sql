-- Many keys at once: the best of them, and what is expected of all.

-- The best of many keys.
CREATE FUNCTION top_products(region text, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                             candidates anyarray DEFAULT NULL::bigint[], max_age integer DEFAULT 6,
                             plan jsonb DEFAULT NULL)
RETURNS TABLE (rank integer, product_id text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_products_wrapper';
COMMENT ON FUNCTION top_products(text, integer, text, date, anyarray, integer, jsonb) IS
'The k products with the highest scores in the region, the highest first; equal scores in the order of the products. Each is
scored by its newest feature row in the region (not later than as_of), as recommend() does, read with the caller''s rights and
row security in one pass over the relation that the model was trained on. candidates: only these products, an array of any type
that casts to theirs, such as ARRAY(SELECT product_id FROM …); NULL takes all. max_age: left out are products whose newest row
is more than so many days older than the newest of all rows read, since nothing is known of them now; NULL leaves out none. k: 1
to 100000. product_id is text: cast it to the type that it has. What is kept is within work_mem times hash_mem_multiplier;
beyond it rows are sorted in temporary files. plan: replaces the planned columns of every row, as in recommend(). No rows if the region is NULL. model: the setting reco.default_model, else as in
recommend().';

CREATE FUNCTION top_regions(product_id bigint, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            candidates text[] DEFAULT NULL, max_age integer DEFAULT 6,
                            plan jsonb DEFAULT NULL)
RETURNS TABLE (rank integer, region text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_regions_bigint_wrapper';
COMMENT ON FUNCTION top_regions(bigint, integer, text, date, text[], integer, jsonb) IS
'The k regions in which the product has the highest scores, the highest first; the arguments and what is read are those of
top_products(). No rows if the product is NULL.';

CREATE FUNCTION top_regions(product_id text, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            candidates text[] DEFAULT NULL, max_age integer DEFAULT 6,
                            plan jsonb DEFAULT NULL)
RETURNS TABLE (rank integer, region text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_regions_text_wrapper';
COMMENT ON FUNCTION top_regions(text, integer, text, date, text[], integer, jsonb) IS 'The same for a product_id that is text.';

-- What is expected of a region's products in the coming week.
CREATE FUNCTION forecast_products(region text, model text DEFAULT NULL, units_model text DEFAULT NULL, by name DEFAULT NULL,
                                  as_of date DEFAULT NULL, version integer DEFAULT NULL,
                                  units_version integer DEFAULT NULL, plan jsonb DEFAULT NULL)
RETURNS TABLE (product_id text, category text, week date, probability double precision, units double precision,
               units_p10 double precision, units_p90 double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 1000
LANGUAGE c AS 'MODULE_PATHNAME', 'forecast_products_wrapper';
COMMENT ON FUNCTION forecast_products(text, text, text, name, date, integer, integer, jsonb) IS
'What forecast() adds up, with its arguments: each product of the region by its newest row, in the order of the products, also those whose
newest row is of an earlier week.';

-- Operators are written with their schema: the caller's search path is in force.
CREATE FUNCTION forecast(region text, model text DEFAULT NULL, units_model text DEFAULT NULL, by name DEFAULT NULL,
                         as_of date DEFAULT NULL, version integer DEFAULT NULL, units_version integer DEFAULT NULL,
                         plan jsonb DEFAULT NULL)
RETURNS TABLE (level text, category text, product_id text, week date, products bigint, purchases double precision,
               units double precision, units_p10 double precision, units_p90 double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 1000
LANGUAGE sql
AS $$
    SELECT CASE WHEN s.is_product THEN 'product' WHEN s.is_category THEN 'category' ELSE 'region' END,
           s.category, s.product_id, s.week, s.products, s.purchases, s.units,
           CASE WHEN s.is_product OR s.p10 IS NULL THEN s.p10
                ELSE greatest(s.units OPERATOR(pg_catalog.-) pg_catalog.sqrt(s.below), least(s.p10, 0)) END,
           CASE WHEN s.is_product THEN s.p90
                ELSE s.units OPERATOR(pg_catalog.+) pg_catalog.sqrt(s.above) END
    FROM (
        SELECT GROUPING(p.product_id) OPERATOR(pg_catalog.=) 0 AS is_product,
               GROUPING(p.category) OPERATOR(pg_catalog.=) 0 AS is_category,
               p.category, p.product_id, pg_catalog.min(p.week) AS week, pg_catalog.count(*) AS products,
               pg_catalog.sum(p.probability) AS purchases, pg_catalog.sum(p.units) AS units,
               pg_catalog.sum(p.units_p10) AS p10, pg_catalog.sum(p.units_p90) AS p90,
               pg_catalog.sum(pg_catalog.power(p.units OPERATOR(pg_catalog.-) p.units_p10, 2)) AS below,
               pg_catalog.sum(pg_catalog.power(p.units_p90 OPERATOR(pg_catalog.-) p.units, 2)) AS above
        FROM (SELECT f.*, pg_catalog.rank() OVER (ORDER BY f.week DESC) AS age
              FROM @extschema@.forecast_products($1, $2, $3, $4, $5, $6, $7, $8) AS f) AS p
        WHERE p.age OPERATOR(pg_catalog.=) 1
        GROUP BY GROUPING SETS ((), (p.category), (p.category, p.product_id))
    ) AS s
    WHERE s.products OPERATOR(pg_catalog.>) 0 AND (s.is_product OR NOT s.is_category OR $4 IS NOT NULL)
    ORDER BY s.is_product, s.is_category, s.purchases DESC, s.category COLLATE pg_catalog."C",
             s.product_id COLLATE pg_catalog."C"
$$;
COMMENT ON FUNCTION forecast(text, text, text, name, date, integer, integer, jsonb) IS
'What is expected of a region in the coming week, by product and added up: a row for the region (level region), one for each
category where by is given, and one for each product, each level by falling purchases. purchases: how many of the products are
expected to be bought, of one product its calibrated probability. units: expected units, with the 10 % and 90 % quantiles
where the model has them. What is added up is the sum of its products; the interval of a sum takes their errors for
independent: the distances of quantile and mean in quadrature, not below 0 unless a quantile is. Products are scored by their
newest row (not later than as_of), read as top_products() does, with the caller''s rights and row security; those without a
row in the newest week of the region are left out. week: its Monday. model: one that predicts a probability; NULL is the setting
reco.default_model, else as in recommend(). units_model: one that predicts a quantity of the same
source, keys and time; NULL is the only one of the same owner, if the caller may score with it, else units are NULL. by: the
source''s column with the categories. version, units_version: champions by default. plan: replaces the planned columns of every row, as in
recommend(). No rows if the region is NULL or has none.';
