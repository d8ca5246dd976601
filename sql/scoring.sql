-- What the champion, or the version of an A/B test's arm, says of a row or of a key, and why.

-- Of a row.
CREATE FUNCTION predict(model text, features record) RETURNS double precision
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'predict_row_wrapper';
COMMENT ON FUNCTION predict(text, record) IS
'What the model''s champion gives a row: the calibrated probability, 0 to 1, or the mean of the quantity. Columns are found by name; others are
ignored. NULL columns and values never seen are scored, not refused. A missing column or a wrong type is an error.
NULL if the model or the row is NULL.';

CREATE FUNCTION predict(model text, features real[]) RETURNS double precision
STABLE STRICT PARALLEL SAFE COST 10
LANGUAGE c AS 'MODULE_PATHNAME', 'predict_array_wrapper';
COMMENT ON FUNCTION predict(text, real[]) IS
'The same for a model whose inputs are all numbers, given in the order of the source''s columns. NULL and NaN
elements are missing values; a wrong number of elements is an error. NULL if the model or the array is NULL.';

CREATE FUNCTION predict_quantiles(model text, features record) RETURNS double precision[]
STABLE STRICT PARALLEL SAFE COST 20
LANGUAGE c AS 'MODULE_PATHNAME', 'predict_quantiles_wrapper';
COMMENT ON FUNCTION predict_quantiles(text, record) IS
'The 10 %, 50 % and 90 % quantiles of the quantity that the model''s champion expects of the row, ascending: an array of
three. The row is read as by predict(). An error if the model predicts probabilities, or means only (popularity).';

-- Of a key, whose newest row is read.
CREATE FUNCTION recommend(product_id bigint, region text, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL, plan jsonb DEFAULT NULL)
RETURNS double precision
STABLE PARALLEL SAFE COST 100
LANGUAGE c AS 'MODULE_PATHNAME', 'recommend_bigint_wrapper';
COMMENT ON FUNCTION recommend(bigint, text, text, date, text, jsonb) IS
'The calibrated probability (or the mean of the quantity) that the product is bought in the region in the week after its
newest feature row (not later than as_of), read from the relation the model was trained on, with the caller''s rights. NULL if the key has
no row. model: the setting reco.default_model, else the only model that the caller or one of its roles owns, else
that the database''s owner or a superuser has granted to one of these, else to everybody. While an A/B test runs, a
key that takes part is scored by its arm''s version; ab_key: what the arm goes by in a test of unit key (NULL: champion).
plan: what if something else is planned: an object whose values take the place of the row''s planned columns, such as
{"display": true, "price": 2.49}. A name may leave out planned_; null is a value that is not known. NULL: the row as it is.';

CREATE FUNCTION recommend(product_id text, region text, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL, plan jsonb DEFAULT NULL)
RETURNS double precision
STABLE PARALLEL SAFE COST 100
LANGUAGE c AS 'MODULE_PATHNAME', 'recommend_text_wrapper';
COMMENT ON FUNCTION recommend(text, text, text, date, text, jsonb) IS
'The same for a product_id that is text.';

-- What if something else is planned for the week. Operators are written with their schema: the caller's search path is in force.
CREATE FUNCTION recommend_plans(product_id bigint, region text, plans jsonb[], model text DEFAULT NULL, as_of date DEFAULT NULL,
                                ab_key text DEFAULT NULL)
RETURNS TABLE (plan jsonb, score double precision)
STABLE PARALLEL SAFE COST 1000 ROWS 10
LANGUAGE sql
AS $$
    SELECT s.plan, s.score
    FROM (SELECT p.plan, p.n, @extschema@.recommend($1, $2, $4, $5, $6, p.plan) AS score
          FROM pg_catalog.unnest($3) WITH ORDINALITY AS p (plan, n)
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
    ORDER BY s.score DESC, s.n
$$;
COMMENT ON FUNCTION recommend_plans(bigint, text, jsonb[], text, date, text) IS
'What recommend() says of a key under each of several plans, the best plan first; equal scores in the order of the plans. A
NULL among the plans is the row as it is. No rows if the key has no row.';

CREATE FUNCTION recommend_plans(product_id text, region text, plans jsonb[], model text DEFAULT NULL, as_of date DEFAULT NULL,
                                ab_key text DEFAULT NULL)
RETURNS TABLE (plan jsonb, score double precision)
STABLE PARALLEL SAFE COST 1000 ROWS 10
LANGUAGE sql
AS $$
    SELECT s.plan, s.score
    FROM (SELECT p.plan, p.n, @extschema@.recommend($1, $2, $4, $5, $6, p.plan) AS score
          FROM pg_catalog.unnest($3) WITH ORDINALITY AS p (plan, n)
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
    ORDER BY s.score DESC, s.n
$$;
COMMENT ON FUNCTION recommend_plans(text, text, jsonb[], text, date, text) IS 'The same for a product_id that is text.';

CREATE FUNCTION plan_seen(product_id bigint, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL)
RETURNS boolean
STABLE PARALLEL SAFE COST 100000
LANGUAGE c AS 'MODULE_PATHNAME', 'plan_seen_bigint_wrapper';
COMMENT ON FUNCTION plan_seen(bigint, text, jsonb, text, date, text) IS
'Whether the version that scores the key was trained on rows whose planned columns are like those that the plan makes of the
key''s newest row; a warning says what was never seen, for there the score is a guess. Booleans, texts, missing values and
the numbers 0 and 1 must have occurred together in one row, and each other number must lie between those of rows with the
same. Read are the rows of the version''s source that had a label and were not kept for its test, with the caller''s
rights, until one answers: all of them at most where there is none. Dates do not count, nor do columns that the version
does not use. NULL if the key has no row.';

CREATE FUNCTION plan_seen(product_id text, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                          ab_key text DEFAULT NULL)
RETURNS boolean
STABLE PARALLEL SAFE COST 100000
LANGUAGE c AS 'MODULE_PATHNAME', 'plan_seen_text_wrapper';
COMMENT ON FUNCTION plan_seen(text, text, jsonb, text, date, text) IS 'The same for a product_id that is text.';

CREATE FUNCTION plan_effect(product_id bigint, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            ab_key text DEFAULT NULL)
RETURNS TABLE (score double precision, plan_score double precision, effect double precision, seen boolean)
STABLE PARALLEL SAFE COST 100000 ROWS 1
LANGUAGE sql
AS $$
    SELECT s.score, s.plan_score, s.plan_score OPERATOR(pg_catalog.-) s.score, s.seen
    FROM (SELECT @extschema@.recommend($1, $2, $4, $5, $6) AS score,
                 @extschema@.recommend($1, $2, $4, $5, $6, $3) AS plan_score,
                 @extschema@.plan_seen($1, $2, $3, $4, $5, $6) AS seen
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
$$;
COMMENT ON FUNCTION plan_effect(bigint, text, jsonb, text, date, text) IS
'By how much a plan changes what recommend() says of a key: score as the row is, plan_score with the plan, effect, which is
plan_score - score, and seen, which is what plan_seen() says, with its warning. An A/B test gives both scores the same
version. No rows if the key has no row.';

CREATE FUNCTION plan_effect(product_id text, region text, plan jsonb, model text DEFAULT NULL, as_of date DEFAULT NULL,
                            ab_key text DEFAULT NULL)
RETURNS TABLE (score double precision, plan_score double precision, effect double precision, seen boolean)
STABLE PARALLEL SAFE COST 100000 ROWS 1
LANGUAGE sql
AS $$
    SELECT s.score, s.plan_score, s.plan_score OPERATOR(pg_catalog.-) s.score, s.seen
    FROM (SELECT @extschema@.recommend($1, $2, $4, $5, $6) AS score,
                 @extschema@.recommend($1, $2, $4, $5, $6, $3) AS plan_score,
                 @extschema@.plan_seen($1, $2, $3, $4, $5, $6) AS seen
          OFFSET 0) AS s
    WHERE s.score IS NOT NULL
$$;
COMMENT ON FUNCTION plan_effect(text, text, jsonb, text, date, text) IS 'The same for a product_id that is text.';

-- Why a row scores as it does.
CREATE FUNCTION explain_row(model text, features record, version integer DEFAULT NULL)
RETURNS TABLE (column_name text, value text, baseline text, contribution double precision, margin double precision,
               score double precision, baseline_score double precision)
STABLE PARALLEL SAFE COST 10000 ROWS 30
LANGUAGE c AS 'MODULE_PATHNAME', 'explain_row_wrapper';
COMMENT ON FUNCTION explain_row(text, record, integer) IS
'What each column of a row contributes to its score: a row for each input of the model, the largest contribution first.
value: the column as text. baseline: its value in a typical row, that of the means and the most frequent categories.
contribution: by how much the column moves the score (the probability, or the quantity) away from the typical row''s;
baseline_score + sum(contribution) = score, which is what predict() says. margin: the same on the scale on which models add
up, the log-odds. Networks by integrated gradients, trees by exact Shapley values. version: that of the model''s champion.
No rows if the model or the row is NULL; columns are found by name and refused as by predict().';

CREATE FUNCTION explain(product_id bigint, region text, model text DEFAULT NULL, as_of date DEFAULT NULL)
RETURNS TABLE (column_name text, value text, baseline text, contribution double precision, margin double precision,
               score double precision, baseline_score double precision)
STABLE PARALLEL SAFE COST 10000 ROWS 30
LANGUAGE c AS 'MODULE_PATHNAME', 'explain_bigint_wrapper';
COMMENT ON FUNCTION explain(bigint, text, text, date) IS
'What each column contributes to what recommend() says of a key: the columns of explain_row() for its newest feature row (not
later than as_of), read with the caller''s rights. No rows if the key has no row. model: the setting reco.default_model,
else as in recommend().';

CREATE FUNCTION explain(product_id text, region text, model text DEFAULT NULL, as_of date DEFAULT NULL)
RETURNS TABLE (column_name text, value text, baseline text, contribution double precision, margin double precision,
               score double precision, baseline_score double precision)
STABLE PARALLEL SAFE COST 10000 ROWS 30
LANGUAGE c AS 'MODULE_PATHNAME', 'explain_text_wrapper';
COMMENT ON FUNCTION explain(text, text, text, date) IS 'The same for a product_id that is text.';

-- Which earlier launches a product is like.
CREATE FUNCTION similar_launches(product_id bigint, region text, k integer DEFAULT 5, model text DEFAULT NULL,
                                 as_of date DEFAULT NULL)
RETURNS TABLE (similar_product text, week date, similarity double precision, outcome double precision, launch date,
               first_quantity double precision, first_sales double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 5
LANGUAGE c AS 'MODULE_PATHNAME', 'similar_launches_bigint_wrapper';
COMMENT ON FUNCTION similar_launches(bigint, text, integer, text, date) IS
'The k earlier launches in the region that were most like the product, and what became of them, the most similar first.
Compared are the product''s newest feature row (not later than as_of) and the rows of other products whose label was known
by then, at the same weeks_since_launch if the relation has such a column; one row for each product. similarity: from 1
down to 0, 1 / (1 + distance); a column counts as much as the model owes to it. outcome: the label of that row, 1 for true.
launch, first_quantity, first_sales: where the model was trained on a view of create_launch_features, the week of the launch,
and the pieces and the amount that the region bought in the first four weeks; NULL for those who may not read the view''s
weekly sales. Read with the caller''s rights. model: the setting reco.default_model, else as in recommend().';

CREATE FUNCTION similar_launches(product_id text, region text, k integer DEFAULT 5, model text DEFAULT NULL,
                                 as_of date DEFAULT NULL)
RETURNS TABLE (similar_product text, week date, similarity double precision, outcome double precision, launch date,
               first_quantity double precision, first_sales double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 5
LANGUAGE c AS 'MODULE_PATHNAME', 'similar_launches_text_wrapper';
COMMENT ON FUNCTION similar_launches(text, text, integer, text, date) IS 'The same for a product_id that is text.';
