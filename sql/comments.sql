COMMENT ON PROCEDURE train(text, regclass, name, text, jsonb, name[], name, boolean) IS
'Trains a new version of a model from the rows of a table, view or materialized view.
model: the logical name. source: read with the caller''s rights, every row. label: boolean, or a number that is
0 or 1; rows where it is NULL are not used. algorithm: mlp. params: a JSON object, see docs/training.md.
keys: the columns that identify a row besides the time, product first; found from the primary key or a unique
index, else product_id and region. time_column: the date or timestamp by which the newest rows are held out;
found from the primary key, else week. promote: make the version the champion even if there is one.
Commits between its steps unless called inside a transaction. Errors leave a run that failed, and no version.';

COMMENT ON FUNCTION predict(text, record) IS
'The calibrated probability, 0 to 1, that the model''s champion gives a row. Columns are found by name; others are
ignored. NULL columns and values never seen are scored, not refused. A missing column or a wrong type is an error.
NULL if the model or the row is NULL.';

COMMENT ON FUNCTION predict(text, real[]) IS
'The same for a model whose inputs are all numbers, given in the order of the source''s columns. NULL and NaN
elements are missing values; a wrong number of elements is an error. NULL if the model or the array is NULL.';

COMMENT ON FUNCTION recommend(bigint, text, text, date) IS
'The calibrated probability that the product is bought in the region in the week after its newest feature row (not
later than as_of), read from the relation the model was trained on, with the caller''s rights. NULL if the key has
no row. model: the setting reco.default_model, else the only model there is.';

COMMENT ON FUNCTION recommend(text, text, text, date) IS
'The same for a product_id that is text.';
