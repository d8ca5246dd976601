-- How good scores are: aggregates over any scores, and functions over a version and the rows of a relation.
-- src/evaluation has the functions, crates/model the arithmetic.

-- Rows of charts, as the aggregates return them.
CREATE TYPE roc_point AS (
    threshold            double precision,
    false_positive_rate  double precision,
    true_positive_rate   double precision
);
COMMENT ON TYPE roc_point IS
'A point of a ROC curve: the rates if scores of at least the threshold are called positive. At its beginning, where none
are, the threshold is infinite.';

CREATE TYPE confusion AS (
    threshold        double precision,
    true_positives   bigint,
    false_positives  bigint,
    false_negatives  bigint,
    true_negatives   bigint,
    "precision"      double precision,
    recall           double precision,
    f1               double precision,
    accuracy         double precision
);
COMMENT ON TYPE confusion IS
'Outcomes beside predictions, which are positive where the score is at least the threshold. precision: the share of predicted
positives that are; recall: the share of positives that are predicted; f1: their harmonic mean; accuracy: the share of rows
predicted right. NULL where it is a share of nothing.';

CREATE TYPE calibration_bin AS (
    lower          double precision,
    upper          double precision,
    rows           bigint,
    mean_score     double precision,
    positive_rate  double precision
);
COMMENT ON TYPE calibration_bin IS
'Rows whose scores are at least lower and less than upper (the last bin: at most 1), their mean score, and how many of them
came true. Calibrated scores have the two about equal.';

CREATE TYPE lift_bucket AS (
    bucket           integer,
    rows             bigint,
    lowest_score     double precision,
    positives        double precision,
    rate             double precision,
    lift             double precision,
    cumulative_gain  double precision
);
COMMENT ON TYPE lift_bucket IS
'An equal share of the rows by rank, the highest scores in bucket 1. rate: the share of its rows that are positive; lift: that
over the rate of all rows; cumulative_gain: the share of all positives in this bucket and those before it, NULL as lift is
where there are no positives. Rows with one score that fall into several buckets are shared among them in proportion, so that
positives may be a fraction.';

-- The aggregates that keep every score, 8 bytes each.
CREATE FUNCTION scores_step(internal, double precision, boolean) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_step_wrapper';
COMMENT ON FUNCTION scores_step(internal, double precision, boolean) IS 'Part of the aggregates auroc and average_precision.';
CREATE FUNCTION scores_step(internal, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_step_number_wrapper';
COMMENT ON FUNCTION scores_step(internal, double precision, double precision) IS 'Part of the aggregates auroc and average_precision.';
CREATE FUNCTION roc_points_step(internal, double precision, boolean, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'roc_points_step_wrapper';
COMMENT ON FUNCTION roc_points_step(internal, double precision, boolean, integer) IS 'Part of the aggregate roc_points.';
CREATE FUNCTION confusion_step(internal, double precision, boolean, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'confusion_step_wrapper';
COMMENT ON FUNCTION confusion_step(internal, double precision, boolean, double precision) IS 'Part of the aggregate confusion.';
CREATE FUNCTION calibration_bins_step(internal, double precision, boolean, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'calibration_bins_step_wrapper';
COMMENT ON FUNCTION calibration_bins_step(internal, double precision, boolean, integer) IS 'Part of the aggregate calibration_bins.';
CREATE FUNCTION lift_buckets_step(internal, double precision, boolean, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'lift_buckets_step_wrapper';
COMMENT ON FUNCTION lift_buckets_step(internal, double precision, boolean, integer) IS 'Part of the aggregate lift_buckets.';
CREATE FUNCTION scores_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_combine_wrapper';
COMMENT ON FUNCTION scores_combine(internal, internal) IS 'Part of the aggregates that keep every score.';
CREATE FUNCTION scores_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_serialize_wrapper';
COMMENT ON FUNCTION scores_serialize(internal) IS 'Part of the aggregates that keep every score.';
CREATE FUNCTION scores_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'scores_deserialize_wrapper';
COMMENT ON FUNCTION scores_deserialize(bytea, internal) IS 'Part of the aggregates that keep every score.';
CREATE FUNCTION auroc_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'auroc_final_wrapper';
COMMENT ON FUNCTION auroc_final(internal) IS 'Part of the aggregate auroc.';
CREATE FUNCTION average_precision_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'average_precision_final_wrapper';
COMMENT ON FUNCTION average_precision_final(internal) IS 'Part of the aggregate average_precision.';
CREATE FUNCTION roc_points_final(internal) RETURNS roc_point[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'roc_points_final_wrapper';
COMMENT ON FUNCTION roc_points_final(internal) IS 'Part of the aggregate roc_points.';
CREATE FUNCTION confusion_final(internal) RETURNS confusion
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'confusion_final_wrapper';
COMMENT ON FUNCTION confusion_final(internal) IS 'Part of the aggregate confusion.';
CREATE FUNCTION calibration_bins_final(internal) RETURNS calibration_bin[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'calibration_bins_final_wrapper';
COMMENT ON FUNCTION calibration_bins_final(internal) IS 'Part of the aggregate calibration_bins.';
CREATE FUNCTION lift_buckets_final(internal) RETURNS lift_bucket[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'lift_buckets_final_wrapper';
COMMENT ON FUNCTION lift_buckets_final(internal) IS 'Part of the aggregate lift_buckets.';

CREATE AGGREGATE auroc(score double precision, label boolean) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = auroc_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE auroc(double precision, boolean) IS
'The area under the ROC curve: the probability that a positive row has a higher score than a negative one, ties counting one
half. Exact. Scores are any numbers; NaN ranks below all others. Rows where one of the two is NULL are left out. NULL where
there are not both labels. At most 67108864 rows a group.';

CREATE AGGREGATE auroc(score double precision, label double precision) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = auroc_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE auroc(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE average_precision(score double precision, label boolean) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = average_precision_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE average_precision(double precision, boolean) IS
'Average precision: the sum over the distinct scores, the highest first, of the precision there times the recall gained, not
interpolated. For rare positives it says more than auroc; scores that know nothing get the share of positives. NULL, NaN and
bounds as in reco.auroc.';

CREATE AGGREGATE average_precision(score double precision, label double precision) (
    SFUNC = scores_step, STYPE = internal, SSPACE = 1024, FINALFUNC = average_precision_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE average_precision(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE roc_points(score double precision, label boolean, points integer) (
    SFUNC = roc_points_step, STYPE = internal, SSPACE = 1024, FINALFUNC = roc_points_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE roc_points(double precision, boolean, integer) IS
'The ROC curve from (0, 0) to (1, 1) as an array for unnest. points, 3 to 100000 and the same in every row: how many there are
at most. Fewer are enough where the rest lie on straight lines; of more, those are left out that change the curve least, and
the one with the largest difference of the two rates is kept. NULL, NaN and bounds as in reco.auroc.';

CREATE AGGREGATE confusion(score double precision, label boolean, threshold double precision) (
    SFUNC = confusion_step, STYPE = internal, SSPACE = 1024, FINALFUNC = confusion_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE confusion(double precision, boolean, double precision) IS
'The confusion matrix if scores of at least the threshold, a number that is the same in every row, are called positive, and
its rates. Rows where score or label is NULL are left out. NULL without rows. At most 67108864 rows a group.';

CREATE AGGREGATE calibration_bins(score double precision, label boolean, bins integer) (
    SFUNC = calibration_bins_step, STYPE = internal, SSPACE = 1024, FINALFUNC = calibration_bins_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE calibration_bins(double precision, boolean, integer) IS
'How often what was scored about alike came true, in bins of equal width from 0 to 1, as an array for unnest; bins without
rows are left out. bins: 1 to 10000, the same in every row. Scores are probabilities: one below 0, above 1 or NaN is an error.
Rows where score or label is NULL are left out. NULL without rows. At most 67108864 rows a group.';

CREATE AGGREGATE lift_buckets(score double precision, label boolean, buckets integer) (
    SFUNC = lift_buckets_step, STYPE = internal, SSPACE = 1024, FINALFUNC = lift_buckets_final,
    COMBINEFUNC = scores_combine, SERIALFUNC = scores_serialize, DESERIALFUNC = scores_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE lift_buckets(double precision, boolean, integer) IS
'The rows by rank in equal shares, ten of them for deciles, with their rates, lift and gain, as an array for unnest. buckets: 1
to 10000, the same in every row; no more than there are rows. NaN ranks below all others. Rows where score or label is NULL are
left out. NULL without rows. At most 67108864 rows a group.';

-- The aggregates that add up.
CREATE FUNCTION probability_losses_step(internal, double precision, boolean) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'probability_losses_step_wrapper';
COMMENT ON FUNCTION probability_losses_step(internal, double precision, boolean) IS 'Part of the aggregates log_loss and brier.';
CREATE FUNCTION probability_losses_step(internal, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'probability_losses_step_number_wrapper';
COMMENT ON FUNCTION probability_losses_step(internal, double precision, double precision) IS 'Part of the aggregates log_loss and brier.';
CREATE FUNCTION quantity_errors_step(internal, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'quantity_errors_step_wrapper';
COMMENT ON FUNCTION quantity_errors_step(internal, double precision, double precision) IS 'Part of the aggregates rmse and mae.';
CREATE FUNCTION losses_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'losses_combine_wrapper';
COMMENT ON FUNCTION losses_combine(internal, internal) IS 'Part of the aggregates log_loss, brier, rmse and mae.';
CREATE FUNCTION losses_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'losses_serialize_wrapper';
COMMENT ON FUNCTION losses_serialize(internal) IS 'Part of the aggregates log_loss, brier, rmse and mae.';
CREATE FUNCTION losses_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'losses_deserialize_wrapper';
COMMENT ON FUNCTION losses_deserialize(bytea, internal) IS 'Part of the aggregates log_loss, brier, rmse and mae.';
CREATE FUNCTION log_loss_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'log_loss_final_wrapper';
COMMENT ON FUNCTION log_loss_final(internal) IS 'Part of the aggregate log_loss.';
CREATE FUNCTION brier_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'brier_final_wrapper';
COMMENT ON FUNCTION brier_final(internal) IS 'Part of the aggregate brier.';
CREATE FUNCTION rmse_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'rmse_final_wrapper';
COMMENT ON FUNCTION rmse_final(internal) IS 'Part of the aggregate rmse.';
CREATE FUNCTION mae_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'mae_final_wrapper';
COMMENT ON FUNCTION mae_final(internal) IS 'Part of the aggregate mae.';

CREATE AGGREGATE log_loss(score double precision, label boolean) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = log_loss_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE log_loss(double precision, boolean) IS
'The mean negative logarithm, to base e, of the probability that was given to what came true. Probabilities are kept 2^-52 away
from 0 and 1: a sure mistake costs 36.04. A score below 0, above 1 or NaN is no probability, and an error. Rows where one of
the two is NULL are left out. NULL without rows.';

CREATE AGGREGATE log_loss(score double precision, label double precision) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = log_loss_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE log_loss(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE brier(score double precision, label boolean) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = brier_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE brier(double precision, boolean) IS
'The Brier score: the mean squared difference between the probability and 1 or 0. NULL and what is no
probability as in reco.log_loss.';

CREATE AGGREGATE brier(score double precision, label double precision) (
    SFUNC = probability_losses_step, STYPE = internal, SSPACE = 32, FINALFUNC = brier_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE brier(double precision, double precision) IS
'The same of labels that are 1 and 0; another number is an error.';

CREATE AGGREGATE rmse(prediction double precision, value double precision) (
    SFUNC = quantity_errors_step, STYPE = internal, SSPACE = 32, FINALFUNC = rmse_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE rmse(double precision, double precision) IS
'The root of the mean squared error, in the unit of the value. Rows where one of the two is NULL are left out; one
that is NaN or infinite is an error, as is a sum that overflows. NULL without rows.';

CREATE AGGREGATE mae(prediction double precision, value double precision) (
    SFUNC = quantity_errors_step, STYPE = internal, SSPACE = 32, FINALFUNC = mae_final,
    COMBINEFUNC = losses_combine, SERIALFUNC = losses_serialize, DESERIALFUNC = losses_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE mae(double precision, double precision) IS
'The mean absolute error, in the unit of the value. NULL, NaN and infinite values as in reco.rmse.';

-- A version on the rows of a relation.
CREATE FUNCTION evaluate(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, rows bigint, positives bigint, mean_label double precision, mean_score double precision,
    auroc double precision, average_precision double precision, log_loss double precision, brier double precision,
    rmse double precision, mae double precision, r2 double precision, pinball double precision,
    coverage double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'evaluate_wrapper';
COMMENT ON FUNCTION evaluate(text, regclass, name, name, integer, date, date) IS
'How good a version is on the rows of a table or view: one row with the metrics of all rows, and, where by names a column, one
for each of its values (slice), with that column''s name in by. Rows are read with the caller''s rights and row security and
scored as predict() does; those whose label is NULL are left out.
model: NULL for the setting reco.default_model, else the only one. label: the column that the version was trained on. version:
the champion. from_week, to_week: only rows of the weeks in which these days lie, by the version''s time column.
auroc to brier are of probabilities, rmse to coverage of quantities, NULL for the others: rmse and r2 of the mean, mae of the
median, pinball of the 10 %, 50 % and 90 % quantiles, coverage the share of labels between the outer two.
Nothing to measure is an error. At most 67108864 rows of probabilities, 8 bytes of memory each, and 100000 slices.';

CREATE FUNCTION roc_curve(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    points     integer DEFAULT 200,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, threshold double precision, false_positive_rate double precision, true_positive_rate double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 200 LANGUAGE c AS 'MODULE_PATHNAME', 'roc_curve_wrapper';
COMMENT ON FUNCTION roc_curve(text, regclass, name, integer, name, integer, date, date) IS
'The ROC curve of a version on the rows of a table or view, in at most so many points; see the aggregate reco.roc_points.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

CREATE FUNCTION confusion_matrix(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    threshold  double precision DEFAULT 0.5,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, threshold double precision, true_positives bigint, false_positives bigint,
    false_negatives bigint, true_negatives bigint,
    "precision" double precision, recall double precision, f1 double precision, accuracy double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', 'confusion_matrix_wrapper';
COMMENT ON FUNCTION confusion_matrix(text, regclass, name, double precision, name, integer, date, date) IS
'The confusion matrix of a version on the rows of a table or view at a threshold; see the type reco.confusion.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

CREATE FUNCTION calibration(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    bins       integer DEFAULT 10,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, lower double precision, upper double precision, rows bigint, mean_score double precision,
    positive_rate double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'calibration_wrapper';
COMMENT ON FUNCTION calibration(text, regclass, name, integer, name, integer, date, date) IS
'How often what a version scored about alike came true; see the aggregate reco.calibration_bins.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

CREATE FUNCTION lift(
    model      text,
    source     regclass,
    label      name    DEFAULT NULL,
    buckets    integer DEFAULT 10,
    by         name    DEFAULT NULL,
    version    integer DEFAULT NULL,
    from_week  date    DEFAULT NULL,
    to_week    date    DEFAULT NULL)
RETURNS TABLE (
    by text, slice text, bucket integer, rows bigint, lowest_score double precision, positives double precision,
    rate double precision, lift double precision, cumulative_gain double precision)
STABLE PARALLEL RESTRICTED COST 100000 ROWS 10 LANGUAGE c AS 'MODULE_PATHNAME', 'lift_wrapper';
COMMENT ON FUNCTION lift(text, regclass, name, integer, name, integer, date, date) IS
'The rows of a table or view by a version''s rank in equal shares, deciles unless said otherwise, with their rates, lift and
gain; see the type reco.lift_bucket.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';
