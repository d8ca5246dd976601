-- Champions that are kept up to date.

CREATE FUNCTION promote_if_better(
    model    text,
    version  integer,
    metric   text             DEFAULT NULL,
    min_gain double precision DEFAULT 0)
RETURNS TABLE (promoted boolean, judged_by text, champion_version integer, champion double precision,
               candidate double precision, gain double precision, rows bigint)
VOLATILE PARALLEL UNSAFE ROWS 1
LANGUAGE c AS 'MODULE_PATHNAME', 'promote_if_better_wrapper';
COMMENT ON FUNCTION promote_if_better(text, integer, text, double precision) IS
'Makes a version the champion if it is better than the present one, and says how good both are. They are measured on the same
rows: those of their source that neither was trained on, which are the ones from the later of the days on which their test rows
begin (of a version without test rows, the day after its last row), as far as labels are known. Rows are read with the
caller''s rights. metric: average_precision, auroc, log_loss or precision_at_k (of lists, by the candidate''s parameter k); of
quantities rmse, mae or pinball; NULL takes average_precision, or rmse. min_gain: by how much the candidate must be better, in units of the metric; at 0 by anything at all. gain: by how
much it is, below 0 where it is worse. The promotion stands in history and audit with its reason. An error where versions have
different sources, labels, time columns or tasks, where there are no such rows, or where the champion changed meanwhile.
For those who manage the model.';

CREATE PROCEDURE retrain(
    model    text,
    metric   text             DEFAULT NULL,
    min_gain double precision DEFAULT 0,
    refresh  boolean          DEFAULT true)
LANGUAGE c AS 'MODULE_PATHNAME', 'retrain_wrapper';
COMMENT ON PROCEDURE retrain(text, text, double precision, boolean) IS
'Trains a model again as its champion was trained (source, label, keys, time column, algorithm, parameters), and promotes the
new version if it is better: see promote_if_better(), whose metric and min_gain it takes. refresh: first bring the source up to
date if it is a feature view, with the views it is computed from; for that one must own them. For those who may train the model;
without the privilege manage the version is stored and judged, but not promoted. Refused while another session retrains the
model. Commits between its steps unless called inside a transaction: what was refreshed or trained stays if a later step fails.
What became of it, failures too, is a row retrained of reco.audit.';

CREATE FUNCTION backtest(
    source      regclass,
    from_week   date,
    to_week     date,
    every       integer DEFAULT 4,
    label       name    DEFAULT NULL,
    algorithm   text    DEFAULT 'mlp',
    params      jsonb   DEFAULT '{}',
    keys        name[]  DEFAULT NULL,
    time_column name    DEFAULT NULL,
    horizon     integer DEFAULT NULL)
RETURNS TABLE (week date, trained_before date, rows bigint, mean_label double precision, mean_score double precision,
               auroc double precision, average_precision double precision, log_loss double precision,
               rmse double precision, mae double precision)
VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 50
LANGUAGE c AS 'MODULE_PATHNAME', 'backtest_wrapper';
COMMENT ON FUNCTION backtest(regclass, date, date, integer, name, text, jsonb, name[], name, integer) IS
'How good a model would have been in past weeks: for each stretch of so many weeks (every) from from_week to to_week, trains on
the rows whose label was known when it began, and scores each of its weeks. A row for each week that has labels; the metrics
are those of evaluate(), NULL where they are another task''s. trained_before: only rows from before that day were trained on.
horizon: weeks after its own that a row''s label looks at; NULL takes the feature view''s, else 1. source, label, algorithm,
params, keys, time_column: as train() takes them, but test_share is 0 if params do not say otherwise: the weeks replayed are the
test. Features have to be point in time, as a feature view''s are. Rows are read with the caller''s rights. Nothing is stored, and
it runs in one statement: a snapshot is held as long.';
