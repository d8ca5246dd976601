-- What is done with models: names for versions, who may do what, the model card, files of models, and what is not needed any
-- more. The tables are in catalog.sql.

-- Names for versions; the champion is the one that scores.
CREATE FUNCTION set_alias(model text, alias text, version integer) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'set_alias_wrapper';
COMMENT ON FUNCTION set_alias(text, text, integer) IS
'Lets a name stand for a version of a model, instead of the one that it stood for. The alias champion is the one that
predict and recommend use; setting it is the same as promote(). For those who manage the model.';

CREATE FUNCTION drop_alias(model text, alias text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'drop_alias_wrapper';
COMMENT ON FUNCTION drop_alias(text, text) IS
'Removes an alias of a model; the version stays. Without the alias champion, predict and recommend refuse until a version
is promoted or rolled back to. For those who manage the model.';

CREATE FUNCTION promote(model text, version integer, why text DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'promote_wrapper';
COMMENT ON FUNCTION promote(text, integer, text) IS
'Makes a version the champion and returns the one that was (NULL if none). why: kept in the history, at most 10,000
characters. Seen by others when the
transaction commits, by each of their statements as a whole. Promoting the champion changes nothing. For those who manage
the model; concurrent promotions wait for each other.';

CREATE FUNCTION rollback(model text, why text DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'rollback_wrapper';
COMMENT ON FUNCTION rollback(text, text) IS
'Makes the champion before the present one champion again and returns its number; called twice, the one before that. Archived
versions are passed over. A promotion after a rollback begins a new line: rolling back from it comes to where it began.
An error where there is nothing to go back to. For those who manage the model.';

CREATE PROCEDURE wait_for(model text, version integer, alias text DEFAULT 'champion', time_limit interval DEFAULT '1 minute')
LANGUAGE c AS 'MODULE_PATHNAME', 'wait_for_wrapper';
COMMENT ON PROCEDURE wait_for(text, integer, text, interval) IS
'Waits until this server sees a version as the champion of a model (or under another alias; alias NULL: until the version is
stored), for a deployment: on a standby that is when what was committed on the primary has been replayed. An error after
time_limit; one of 0 or less looks once. A model that is not there yet is waited for as well. Holds no snapshot and no lock while
it waits, so it cannot run inside a transaction block. For those who may score with the model.';

-- Privileges.
CREATE FUNCTION grant_model(model text, role name, privilege text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'grant_model_wrapper';
COMMENT ON FUNCTION grant_model(text, name, text) IS
'Grants a privilege on a model to a role and its members; public is everybody. score: to predict, recommend and explain;
train: also to train further versions and to see runs, recipes and data; manage: also to promote, roll back, archive,
export, drop and grant. Granting what is granted changes nothing. For those who manage the model.';

CREATE FUNCTION revoke_model(model text, role name, privilege text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'revoke_model_wrapper';
COMMENT ON FUNCTION revoke_model(text, name, text) IS
'Takes a privilege back from a role (or public), and those that include it. What the role has by owning the model, as a
member of another role or by what is granted to public stays. For those who manage the model.';

CREATE FUNCTION set_model_owner(model text, owner name) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'set_model_owner_wrapper';
COMMENT ON FUNCTION set_model_owner(text, name) IS
'Gives a model to another role, of which the caller is to be a member. For those who manage the model; where its owner was
dropped, for superusers.';

-- The model card.
CREATE FUNCTION model_card(model text, version integer DEFAULT NULL) RETURNS jsonb
STABLE PARALLEL RESTRICTED
LANGUAGE c AS 'MODULE_PATHNAME', 'model_card_wrapper';
COMMENT ON FUNCTION model_card(text, integer) IS
'What a version (the champion where it is NULL) is for, made from, how good and how limited it is, as JSON: purpose, metrics of
validation and test rows beside those of popularity, limits, lineage, aliases and the history of the champion. Data,
parameters and columns with their importance are shown to those who may train the model; it needs the privilege score.';

CREATE FUNCTION model_card_text(model text, version integer DEFAULT NULL) RETURNS text
STABLE PARALLEL RESTRICTED
LANGUAGE c AS 'MODULE_PATHNAME', 'model_card_text_wrapper';
COMMENT ON FUNCTION model_card_text(text, integer) IS
'The same as Markdown to be read.';

CREATE FUNCTION describe_model(model text, purpose text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'describe_model_wrapper';
COMMENT ON FUNCTION describe_model(text, text) IS
'Says what a model is for, in its card and in reco.models; NULL takes it away. At most 10,000
characters. For those who manage the model.';

-- Out of the database and into it.
CREATE FUNCTION export_model(model text, version integer DEFAULT NULL) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_wrapper';
COMMENT ON FUNCTION export_model(text, integer) IS
'A version (the champion where it is NULL) as a safetensors file with its recipe: what import_model takes, here or in another
database, and what Python reads; an error where it has a gigabyte or more. For those who manage the model; it is recorded in the audit.';

CREATE FUNCTION export_model(model text, version integer, format text) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_as_wrapper';
COMMENT ON FUNCTION export_model(text, integer, text) IS
'The same in a format: safetensors, or onnx for programs that run models where there is no PostgreSQL. As ONNX it is one graph with
an input for each column and the outputs score and, of a quantity, quantiles, which are those of predict() and
predict_quantiles(); the page "Models" of the documentation says what goes in for NULL. An error for the popularity
baseline, for a category that has the value <NULL>, and where the file would have a gigabyte or more.';

CREATE FUNCTION import_model(
    model       text,
    artifact    bytea,
    source      regclass DEFAULT NULL,
    keys        name[]   DEFAULT NULL,
    time_column name     DEFAULT NULL,
    label       name     DEFAULT NULL,
    promote     boolean  DEFAULT false) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'import_model_wrapper';
COMMENT ON FUNCTION import_model(text, bytea, regclass, name[], name, name, boolean) IS
'Stores a version that was made elsewhere and returns its number: a safetensors file with a recipe, as export_model writes it and
the page "Models" of the documentation describes it, every length, shape and number of which is checked; or a model in ONNX whose
inputs have the names of columns, as import_onnx takes it. source: a relation with
the recipe''s columns, whose rows recommend scores; keys and time_column: found as train finds them; without a source predict
alone works. label: what is predicted, for the record. promote: make it the champion even if there is one. A file of integrations/torchrun/train.py
brings metrics and lineage, which are kept as told by the file, and is refused where its scores of the rows that it shows are not those
that come out here, within 1e-5. A new model belongs to the caller; a version of one that exists needs the privilege train, to promote
it manage.';

CREATE FUNCTION import_onnx(
    model       text,
    artifact    bytea,
    source      regclass DEFAULT NULL,
    keys        name[]   DEFAULT NULL,
    time_column name     DEFAULT NULL,
    label       name     DEFAULT NULL,
    promote     boolean  DEFAULT false,
    columns     name[]   DEFAULT NULL,
    output      text     DEFAULT NULL) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'import_onnx_wrapper';
COMMENT ON FUNCTION import_onnx(text, bytea, regclass, name[], name, name, boolean, name[], text) IS
'As import_model, of a model in ONNX. The trainer''s process converts it and compares it with the original on rows of the source, or
on random ones: it is refused if a score differs by more than 1e-5, or if it has an operator that is not supported. columns: the
columns of the values of its one input, in their order, if its inputs have not the columns'' names. output: probability, logit or
quantity, if the graph does not say it.';

-- Probabilities that are right.
CREATE FUNCTION calibrate(
    model     text,
    version   integer,
    source    regclass,
    label     name    DEFAULT NULL,
    method    text    DEFAULT 'platt',
    from_week date    DEFAULT NULL,
    to_week   date    DEFAULT NULL,
    promote   boolean DEFAULT false) RETURNS integer
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'calibrate_wrapper';
COMMENT ON FUNCTION calibrate(text, integer, regclass, name, text, date, date, boolean) IS
'Fits the probabilities of a version (the champion where it is NULL) anew to rows that it has not learned from, and stores the
result as another version, whose number it returns: the same columns and weights, another calibration, which takes the place of
the one that it had. method: platt, a line of the log-odds, which needs 20 rows of each outcome; or isotonic, rising steps, which
needs 200. label: the column that the version was trained on. from_week, to_week: only rows of these weeks, by the version''s time
column. Rows are read with the caller''s rights; those whose label is NULL are left out, and of more than 4194304 a random sample is
fitted to. On the relation that the version was trained on, rows begin on the first day that it has not learned from: an earlier
from_week is refused, and so is the relation where that day is not known. Rows of another relation are taken for new ones, and so
are those of an imported version. Lineage (data in reco.versions): the version, rows, positives, and log loss before and after, which is
of rows that were held out from the fit. An error for quantities, and where outcomes do not become more frequent with the
scores. It needs the privilege train, to promote it manage.';

-- What is not needed any more.
CREATE FUNCTION archive_version(model text, version integer) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'archive_version_wrapper';
COMMENT ON FUNCTION archive_version(text, integer) IS
'Deletes the weights of a version; its row, metrics and lineage stay, and reco.versions shows it as archived. It cannot come
back. Refused while an alias stands for it. For those who manage the model.';

CREATE FUNCTION drop_model(model text, force boolean DEFAULT false) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'drop_model_wrapper';
COMMENT ON FUNCTION drop_model(text, boolean) IS
'Deletes a model with its versions, aliases, history and privileges; its runs and the audit stay. Refused while it has an
alias, which somebody may score with; force drops it all the same. For those who manage the model.';
