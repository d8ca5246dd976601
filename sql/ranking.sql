-- The best of many keys.

CREATE FUNCTION top_products(region text, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                             candidates anyarray DEFAULT NULL::bigint[], max_age integer DEFAULT 6)
RETURNS TABLE (rank integer, product_id text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_products_wrapper';
COMMENT ON FUNCTION top_products(text, integer, text, date, anyarray, integer) IS
'The k products with the highest scores in the region, the highest first; equal scores in the order of the products. Each is
scored by its newest feature row in the region (not later than as_of), as recommend() does, read with the caller''s rights and
row security in one pass over the relation that the model was trained on. candidates: only these products, an array of any type
that casts to theirs, such as ARRAY(SELECT product_id FROM …); NULL takes all. max_age: left out are products whose newest row
is more than so many days older than the newest of all rows read, since nothing is known of them now; NULL leaves out none. k: 1
to 100000. product_id is text: cast it to the type that it has. What is kept is within work_mem times hash_mem_multiplier;
beyond it rows are sorted in temporary files. No rows if the region is NULL. model: the setting reco.default_model, else as in
recommend().';

CREATE FUNCTION top_regions(product_id bigint, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            candidates text[] DEFAULT NULL, max_age integer DEFAULT 6)
RETURNS TABLE (rank integer, region text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_regions_bigint_wrapper';
COMMENT ON FUNCTION top_regions(bigint, integer, text, date, text[], integer) IS
'The k regions in which the product has the highest scores, the highest first; the arguments and what is read are those of
top_products(). No rows if the product is NULL.';

CREATE FUNCTION top_regions(product_id text, k integer DEFAULT 10, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            candidates text[] DEFAULT NULL, max_age integer DEFAULT 6)
RETURNS TABLE (rank integer, region text, score double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
LANGUAGE c AS 'MODULE_PATHNAME', 'top_regions_text_wrapper';
COMMENT ON FUNCTION top_regions(text, integer, text, date, text[], integer) IS 'The same for a product_id that is text.';
