COMMENT ON PROCEDURE train(text, regclass, name, text, jsonb, name[], name, boolean) IS
'Trains a new version of a model from the rows of a table, view or materialized view.
model: the logical name. source: read with the caller''s rights, every row. label: boolean or 0 and 1, of which the
probability is predicted, or any number, of which the mean and quantiles are; a feature view''s own if none is named; rows
where it is NULL are not used. algorithm: popularity, logistic, boosted_trees, mlp, deep_cross, or auto, which trains them all
and keeps the best. params: a JSON object, such as {"epochs": 20,
"hidden": [64, 32], "seed": 7}; the page "Training" of the documentation lists them, and an error about one that is unknown
those that there are.
keys: the columns that identify a row besides the time, product first; found from the primary key or a unique
index, else product_id and region. time_column: the date or timestamp by which the newest rows are held out;
found from the primary key, else week. promote: make the version the champion even if there is one.
Commits between its steps unless called inside a transaction. Errors leave a run that failed, and no version.';

COMMENT ON PROCEDURE tune(text, regclass, name, text, jsonb, integer, interval, text, jsonb, name[], name, boolean, integer) IS
'Searches the parameters of a model and makes the best a version of it: trials with parameters drawn at random, many trained
briefly and the best third of them longer (Hyperband), each a run, compared on validation rows.
model, source, label, keys, time_column, promote: as train takes them. algorithm: logistic, boosted_trees, mlp or deep_cross.
search: a JSON object of parameters, each with an array of values or a range {"min", "max", "log"}; NULL takes the algorithm''s
own, with its defaults as the first trial. trials: how many sets of parameters. time_budget: when it ends with the best so far.
metric: as the parameter metric of train. params: what all trials have in common; epochs or trees is what the best are
trained for. parallel: trainings at once; 0 for one on each core, on a GPU one. A call with the same arguments goes on with
a search that was cancelled or failed, if the rows are the same. Commits between its steps unless called inside a transaction.';

COMMENT ON FUNCTION predict(text, record) IS
'What the model''s champion gives a row: the calibrated probability, 0 to 1, or the mean of the quantity. Columns are found by name; others are
ignored. NULL columns and values never seen are scored, not refused. A missing column or a wrong type is an error.
NULL if the model or the row is NULL.';

COMMENT ON FUNCTION predict(text, real[]) IS
'The same for a model whose inputs are all numbers, given in the order of the source''s columns. NULL and NaN
elements are missing values; a wrong number of elements is an error. NULL if the model or the array is NULL.';

COMMENT ON FUNCTION predict_quantiles(text, record) IS
'The 10 %, 50 % and 90 % quantiles of the quantity that the model''s champion expects of the row, ascending: an array of
three. The row is read as by predict(). An error if the model predicts probabilities, or means only (popularity).';

COMMENT ON FUNCTION recommend(bigint, text, text, date, text) IS
'The calibrated probability (or the mean of the quantity) that the product is bought in the region in the week after its
newest feature row (not later than as_of), read from the relation the model was trained on, with the caller''s rights. NULL if the key has
no row. model: the setting reco.default_model, else the only model that the caller or one of its roles owns, else
that the database''s owner or a superuser has granted to one of these, else to everybody. While an A/B test runs, a
key that takes part is scored by its arm''s version; ab_key: what the arm goes by in a test of unit key (NULL: champion).';

COMMENT ON FUNCTION recommend(text, text, text, date, text) IS
'The same for a product_id that is text.';

COMMENT ON FUNCTION create_feature_view(text, text, name[], name, name, text, regclass[], integer, integer, text, jsonb) IS
'Makes a feature view: a table of weekly rows, partitioned by time, with the primary key (keys, time_column), owned by the
caller, empty until it is refreshed. definition: a query for the rows of the weeks whose Mondays lie from $1 to $2
(dates). keys, time_column, label: columns of its result; the time column is a date, the Monday of the week. available:
a query for the first moment of the data and the moment up to which they are complete. inputs: feature views that it
reads, refreshed first. lookback: newest stored weeks that each refresh computes again, for sales that came late.
horizon: weeks after its own that a row looks at, for its label. partition_by: year, quarter or month.
settings: under which the definition is run, such as {"work_mem": "256MB"}.
Returns the table. Its definition is always run with the rights of the table''s owner.';

COMMENT ON FUNCTION create_launch_features(text, regclass, regclass, regclass, name, name, name, name, name, name, name[], name, name, name[], name, integer, integer, integer, text, text) IS
'Makes the feature views of new products from tables of sales lines, products and stores: view_weekly with the sales of
each product, region and week, and view with a row for each product in its launch window, in every region that trades,
and the label purchased. The other arguments name columns; discount: amounts taken off the price, added up; attributes:
columns of products that become features; launch_date: of products, so that one without sales has rows from the week
before its launch on; without it the first sale is the launch. launch_weeks: length of the window. warm_up_weeks:
products first sold in so many first weeks of the data have no known launch. time_zone: whose weeks are meant where
sold_at has a time zone; the session''s. Refresh both with CALL reco.refresh_features(view).';

COMMENT ON PROCEDURE refresh_features(regclass, date, date, integer) IS
'Brings a feature view and its inputs up to date in one transaction: computes the weeks from from_week to to_week that are
missing, the newest lookback ones that are stored, and those before them whose label looks at one of these. By default
from the first week of the data to the last complete one. Other refreshes of the view wait, readers do not. Leaves a
record in reco.feature_refreshes, also of failure unless called inside a transaction. For members of the owner.';

COMMENT ON FUNCTION features_as_of(anyelement, record, name, interval) IS
'The newest row of a feature view that was known at a moment: a row of week w is known from the Monday after it on. view:
NULL of the view''s row type. spine: a row with the view''s key columns, by name, and the moment: its only date or
timestamp, or the column that at names; a date is its first instant. max_age: no row that was known longer than that
before the moment, 0 to 1000 years. No row where there is none, or where a key or the moment is NULL. Read with the caller''s rights.
SELECT s.*, f.* FROM spine AS s LEFT JOIN LATERAL reco.features_as_of(NULL::launch_features, s) AS f ON true';

COMMENT ON FUNCTION drop_feature_view(regclass, boolean) IS
'Drops a feature view, its rows and what the catalog knows about it, be that damaged; the record of its refreshes stays. with_inputs: also
the feature views that it reads and no other one does. For members of the owner. Models that were trained from it stay,
but recommend() needs its rows.';

COMMENT ON FUNCTION check_setup(interval) IS
'What is installed, what a training would run on, and what is wrong with it: a row for each item; where ok is false, the
detail says what to do. Starts the trainer, which uses the processor and every GPU once. A trainer that cannot start or
does not answer within time_limit is a row too, not an error. catalog: whether what its rows refer to is there, and whether
weights have the digest that they were stored with, for as long as time_limit lasts; looked at for those who may read the
catalog''s tables. For everybody who may train.';

-- Whoever owns a database dumps it, without being a superuser. A dump holds the catalog, weights included, so that its owner
-- can read them. Superusers only before PostgreSQL 14, which has no such role.
DO $$
DECLARE
    configuration record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'pg_database_owner') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA @extschema@ TO pg_database_owner;
    FOR configuration IN
        SELECT n.nspname, c.relname
        FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) ANY (e.extconfig)
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE e.extname OPERATOR(pg_catalog.=) 'pg_recommend'
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON %I.%I TO pg_database_owner', configuration.nspname, configuration.relname);
    END LOOP;
END
$$;
