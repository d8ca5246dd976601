-- Trains versions of models. The parameters are in crates/model/src/tune/params.rs.

CREATE PROCEDURE train(
    model       text,
    source      regclass,
    label       name    DEFAULT NULL,
    algorithm   text    DEFAULT 'mlp',
    params      jsonb   DEFAULT '{}',
    keys        name[]  DEFAULT NULL,
    time_column name    DEFAULT NULL,
    promote     boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'train_wrapper';
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

CREATE PROCEDURE tune(
    model       text,
    source      regclass,
    label       name     DEFAULT NULL,
    algorithm   text     DEFAULT 'mlp',
    search      jsonb    DEFAULT NULL,
    trials      integer  DEFAULT 20,
    time_budget interval DEFAULT NULL,
    metric      text     DEFAULT NULL,
    params      jsonb    DEFAULT '{}',
    keys        name[]   DEFAULT NULL,
    time_column name     DEFAULT NULL,
    promote     boolean  DEFAULT false,
    parallel    integer  DEFAULT 0)
LANGUAGE c AS 'MODULE_PATHNAME', 'tune_wrapper';
COMMENT ON PROCEDURE tune(text, regclass, name, text, jsonb, integer, interval, text, jsonb, name[], name, boolean, integer) IS
'Searches the parameters of a model and makes the best a version of it: trials with parameters drawn at random, many trained
briefly and the best third of them longer (Hyperband), each a run, compared on validation rows.
model, source, label, keys, time_column, promote: as train takes them. algorithm: logistic, boosted_trees, mlp or deep_cross.
search: a JSON object of parameters, each with an array of values or a range {"min", "max", "log"}; NULL takes the algorithm''s
own, with its defaults as the first trial. trials: how many sets of parameters. time_budget: when it ends with the best so far.
metric: as the parameter metric of train. params: what all trials have in common; epochs or trees is what the best are
trained for. parallel: trainings at once; 0 for one on each core, on a GPU one. A call with the same arguments goes on with
a search that was cancelled or failed, if the rows are the same. Commits between its steps unless called inside a transaction.';

CREATE FUNCTION export_training_set(
    source      regclass,
    label       name   DEFAULT NULL,
    algorithm   text   DEFAULT 'mlp',
    params      jsonb  DEFAULT '{}',
    keys        name[] DEFAULT NULL,
    time_column name   DEFAULT NULL) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_training_set_wrapper';
COMMENT ON FUNCTION export_training_set(regclass, name, text, jsonb, name[], name) IS
'The rows of a training as its network reads them, as a file for a training on other machines: integrations/torchrun/train.py trains
it on as many processes and hosts as there are, and import_model brings the result back as a version like any other.
source, label, params, keys, time_column: as train takes them; rows are read with the caller''s rights. algorithm: mlp, deep_cross or
logistic. The file is Arrow IPC: encoded inputs, labels and the split by time, with the recipe, the parameters and the shape of the
network. It holds what the rows hold: keep it as you keep them. An error where it would have a gigabyte or more.';
