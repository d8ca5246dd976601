-- Encoders. Written by hand: the aggregates' parallel parts cannot be derived from the Rust code.
-- Formulas are those of scikit-learn, whose answers the tests compare with; docs/encoders.md has the rules.

-- What the scalers' aggregates give and their scalar functions take.
CREATE TYPE standard_scaler AS (mean double precision, scale double precision);
COMMENT ON TYPE standard_scaler IS
'A fitted standard scaler. mean: arithmetic mean. scale: population standard deviation, 0 of a constant column.
Both in the unit of the column.';

CREATE TYPE min_max_scaler AS (minimum double precision, maximum double precision);
COMMENT ON TYPE min_max_scaler IS 'A fitted min-max scaler: the extremes of the column, in its unit.';

CREATE TYPE max_abs_scaler AS (max_abs double precision);
COMMENT ON TYPE max_abs_scaler IS 'A fitted max-abs scaler: the largest absolute value of the column, in its unit.';

CREATE TYPE robust_scaler AS (median double precision, interquartile_range double precision);
COMMENT ON TYPE robust_scaler IS
'A fitted robust scaler: the median and the distance between the quartiles, or between the quantiles that the fit
was asked for, in the unit of the column.';

-- Mean, variance and extremes: one pass for all the aggregates over the same column.
CREATE FUNCTION column_statistics_step(internal, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_step_wrapper';
COMMENT ON FUNCTION column_statistics_step(internal, double precision) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION column_statistics_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_combine_wrapper';
COMMENT ON FUNCTION column_statistics_combine(internal, internal) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION column_statistics_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_serialize_wrapper';
COMMENT ON FUNCTION column_statistics_serialize(internal) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION column_statistics_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_statistics_deserialize_wrapper';
COMMENT ON FUNCTION column_statistics_deserialize(bytea, internal) IS 'Part of the scalers'' aggregates.';
CREATE FUNCTION standard_scaler_final(internal) RETURNS standard_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'standard_scaler_final_wrapper';
COMMENT ON FUNCTION standard_scaler_final(internal) IS 'Part of the aggregate standard_scaler.';
CREATE FUNCTION min_max_scaler_final(internal) RETURNS min_max_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'min_max_scaler_final_wrapper';
COMMENT ON FUNCTION min_max_scaler_final(internal) IS 'Part of the aggregate min_max_scaler.';
CREATE FUNCTION max_abs_scaler_final(internal) RETURNS max_abs_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'max_abs_scaler_final_wrapper';
COMMENT ON FUNCTION max_abs_scaler_final(internal) IS 'Part of the aggregate max_abs_scaler.';

CREATE AGGREGATE standard_scaler(value double precision) (
    SFUNC = column_statistics_step, STYPE = internal, SSPACE = 64, FINALFUNC = standard_scaler_final,
    COMBINEFUNC = column_statistics_combine, SERIALFUNC = column_statistics_serialize,
    DESERIALFUNC = column_statistics_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE standard_scaler(double precision) IS
'Fits a standard scaler for reco.standard_scale: mean and population standard deviation (Welford; merged by Chan,
Golub and LeVeque), 0 where the column is constant up to rounding. NULL and NaN are left out, an infinite value is
an error. NULL of no values.';

CREATE AGGREGATE min_max_scaler(value double precision) (
    SFUNC = column_statistics_step, STYPE = internal, SSPACE = 64, FINALFUNC = min_max_scaler_final,
    COMBINEFUNC = column_statistics_combine, SERIALFUNC = column_statistics_serialize,
    DESERIALFUNC = column_statistics_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE min_max_scaler(double precision) IS
'Fits a min-max scaler for reco.min_max_scale: minimum and maximum. NULL and NaN are left out, an infinite value is
an error. NULL of no values.';

CREATE AGGREGATE max_abs_scaler(value double precision) (
    SFUNC = column_statistics_step, STYPE = internal, SSPACE = 64, FINALFUNC = max_abs_scaler_final,
    COMBINEFUNC = column_statistics_combine, SERIALFUNC = column_statistics_serialize,
    DESERIALFUNC = column_statistics_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE max_abs_scaler(double precision) IS
'Fits a max-abs scaler for reco.max_abs_scale: the largest absolute value. NULL and NaN are left out, an infinite
value is an error. NULL of no values.';

-- Quantiles.
CREATE FUNCTION column_values_step(internal, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_step_wrapper';
COMMENT ON FUNCTION column_values_step(internal, double precision) IS 'Part of the aggregate robust_scaler.';
CREATE FUNCTION column_values_step_range(internal, double precision, double precision, double precision) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_step_range_wrapper';
COMMENT ON FUNCTION column_values_step_range(internal, double precision, double precision, double precision) IS
'Part of the aggregate robust_scaler.';
CREATE FUNCTION column_values_step_buckets(internal, double precision, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_step_buckets_wrapper';
COMMENT ON FUNCTION column_values_step_buckets(internal, double precision, integer) IS
'Part of the aggregate quantile_boundaries.';
CREATE FUNCTION column_values_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_combine_wrapper';
COMMENT ON FUNCTION column_values_combine(internal, internal) IS
'Part of the aggregates robust_scaler and quantile_boundaries.';
CREATE FUNCTION column_values_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_serialize_wrapper';
COMMENT ON FUNCTION column_values_serialize(internal) IS
'Part of the aggregates robust_scaler and quantile_boundaries.';
CREATE FUNCTION column_values_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'column_values_deserialize_wrapper';
COMMENT ON FUNCTION column_values_deserialize(bytea, internal) IS
'Part of the aggregates robust_scaler and quantile_boundaries.';
CREATE FUNCTION robust_scaler_final(internal) RETURNS robust_scaler
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'robust_scaler_final_wrapper';
COMMENT ON FUNCTION robust_scaler_final(internal) IS 'Part of the aggregate robust_scaler.';
CREATE FUNCTION quantile_boundaries_final(internal) RETURNS double precision[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'quantile_boundaries_final_wrapper';
COMMENT ON FUNCTION quantile_boundaries_final(internal) IS 'Part of the aggregate quantile_boundaries.';

CREATE AGGREGATE robust_scaler(value double precision) (
    SFUNC = column_values_step, STYPE = internal, SSPACE = 8192, FINALFUNC = robust_scaler_final,
    COMBINEFUNC = column_values_combine, SERIALFUNC = column_values_serialize,
    DESERIALFUNC = column_values_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE robust_scaler(double precision) IS
'Fits a robust scaler for reco.robust_scale: the median and the distance between the quartiles, interpolated as numpy
does by default. Exact up to 1048576 values (8 MB of memory a group); beyond that a sketch whose ranks are off by less
than 0.0002 of the rows. NULL and NaN are left out, an infinite value is an error. NULL of no values.';

CREATE AGGREGATE robust_scaler(value double precision, lower double precision, upper double precision) (
    SFUNC = column_values_step_range, STYPE = internal, SSPACE = 8192, FINALFUNC = robust_scaler_final,
    COMBINEFUNC = column_values_combine, SERIALFUNC = column_values_serialize,
    DESERIALFUNC = column_values_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE robust_scaler(double precision, double precision, double precision) IS
'The same with the distance between two other quantiles, 0 to 1, the lower first: 0.05 and 0.95. They are the same in
every row.';

CREATE AGGREGATE quantile_boundaries(value double precision, buckets integer) (
    SFUNC = column_values_step_buckets, STYPE = internal, SSPACE = 8192, FINALFUNC = quantile_boundaries_final,
    COMBINEFUNC = column_values_combine, SERIALFUNC = column_values_serialize,
    DESERIALFUNC = column_values_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE quantile_boundaries(double precision, integer) IS
'Boundaries, strictly increasing, of buckets (2 to 10000, the same in every row) with equally many values each, for
reco.quantile_buckets: one fewer than buckets, or still fewer where values repeat; none of a constant column.
Quantiles as in reco.robust_scaler. NULL and NaN are left out, an infinite value is an error. NULL of no values.';

-- Vocabularies.
CREATE FUNCTION vocabulary_step(internal, text) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_step(internal, text, bigint) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text, bigint) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text, bigint, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text, bigint, integer) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text[]) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_array_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text[]) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text[], bigint) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_array_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text[], bigint) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_step(internal, text[], bigint, integer) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_array_step_wrapper';
COMMENT ON FUNCTION vocabulary_step(internal, text[], bigint, integer) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION vocabulary_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_combine_wrapper';
COMMENT ON FUNCTION vocabulary_combine(internal, internal) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_serialize_wrapper';
COMMENT ON FUNCTION vocabulary_serialize(internal) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_deserialize_wrapper';
COMMENT ON FUNCTION vocabulary_deserialize(bytea, internal) IS 'Part of the aggregates vocabulary and imputer.';
CREATE FUNCTION vocabulary_final(internal) RETURNS text[]
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'vocabulary_final_wrapper';
COMMENT ON FUNCTION vocabulary_final(internal) IS 'Part of the aggregate vocabulary.';
CREATE FUNCTION text_imputer_final(internal) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'text_imputer_final_wrapper';
COMMENT ON FUNCTION text_imputer_final(internal) IS 'Part of the aggregate imputer.';

CREATE AGGREGATE vocabulary(value text) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text) IS
'The 32000 most frequent values of a column for reco.label_encode and reco.one_hot, most frequent first, equally
frequent ones in the order of their bytes. NULL is left out. NULL of no values. More than 1048576 distinct values, or
64 MB of them, are an error.';

CREATE AGGREGATE vocabulary(value text, min_count bigint) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text, bigint) IS
'The same without values that occur less than min_count times. min_count is at least 1 and the same in every row.';

CREATE AGGREGATE vocabulary(value text, min_count bigint, max_size integer) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text, bigint, integer) IS
'The same with at most max_size values: 1 to 1000000, the same in every row.';

CREATE AGGREGATE vocabulary(value text[]) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text[]) IS
'The vocabulary of the elements of arrays, for reco.multi_hot: each element counts as a value of reco.vocabulary(text)
does.';

CREATE AGGREGATE vocabulary(value text[], min_count bigint) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text[], bigint) IS
'The same without values that occur less than min_count times. min_count is at least 1 and the same in every row.';

CREATE AGGREGATE vocabulary(value text[], min_count bigint, max_size integer) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = vocabulary_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE vocabulary(text[], bigint, integer) IS
'The same with at most max_size values: 1 to 1000000, the same in every row.';

-- What missing values are replaced with.
CREATE FUNCTION imputer_step(internal, double precision, text) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_step_wrapper';
COMMENT ON FUNCTION imputer_step(internal, double precision, text) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_combine_wrapper';
COMMENT ON FUNCTION imputer_combine(internal, internal) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_serialize_wrapper';
COMMENT ON FUNCTION imputer_serialize(internal) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_deserialize_wrapper';
COMMENT ON FUNCTION imputer_deserialize(bytea, internal) IS 'Part of the aggregate imputer.';
CREATE FUNCTION imputer_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'imputer_final_wrapper';
COMMENT ON FUNCTION imputer_final(internal) IS 'Part of the aggregate imputer.';

CREATE AGGREGATE imputer(value double precision, strategy text) (
    SFUNC = imputer_step, STYPE = internal, SSPACE = 8192, FINALFUNC = imputer_final,
    COMBINEFUNC = imputer_combine, SERIALFUNC = imputer_serialize, DESERIALFUNC = imputer_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE imputer(double precision, text) IS
'What reco.impute fills in for a missing number, in the unit of the column. strategy, the same in every row: mean;
median, as in reco.robust_scaler; most_frequent, the smallest of several, up to 1048576 distinct values. NULL and NaN
are left out, an infinite value is an error. NULL of no values.';

CREATE AGGREGATE imputer(value text) (
    SFUNC = vocabulary_step, STYPE = internal, SSPACE = 4096, FINALFUNC = text_imputer_final,
    COMBINEFUNC = vocabulary_combine, SERIALFUNC = vocabulary_serialize, DESERIALFUNC = vocabulary_deserialize,
    PARALLEL = SAFE);
COMMENT ON AGGREGATE imputer(text) IS
'The most frequent text, for reco.impute; the first in the order of bytes of several. NULL is left out. NULL of no
values. Bounds as in reco.vocabulary.';

-- Scalar functions: numbers.
CREATE FUNCTION standard_scale(value double precision, params standard_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'standard_scale_wrapper';
COMMENT ON FUNCTION standard_scale(double precision, standard_scaler) IS
'(value - mean) / scale, in standard deviations; a scale of 0 divides by 1, so that a constant column gives 0. NULL of
NULL; NaN and infinite values follow IEEE arithmetic. A result that is too large is an error, and so are params that
are NULL inside or not finite, or a negative scale.';

CREATE FUNCTION min_max_scale(value double precision, params min_max_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'min_max_scale_wrapper';
COMMENT ON FUNCTION min_max_scale(double precision, min_max_scaler) IS
'(value - minimum) / (maximum - minimum): 0 to 1 for the values that it was fitted to, beyond for others. A constant
column gives 0. NULL, NaN, infinite values and errors as in reco.standard_scale.';

CREATE FUNCTION max_abs_scale(value double precision, params max_abs_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'max_abs_scale_wrapper';
COMMENT ON FUNCTION max_abs_scale(double precision, max_abs_scaler) IS
'value / max_abs: -1 to 1 for the values that it was fitted to, 0 stays 0. NULL, NaN, infinite values and errors as in
reco.standard_scale.';

CREATE FUNCTION robust_scale(value double precision, params robust_scaler) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'robust_scale_wrapper';
COMMENT ON FUNCTION robust_scale(double precision, robust_scaler) IS
'(value - median) / interquartile_range; a range of 0 divides by 1. NULL, NaN, infinite values and errors as in
reco.standard_scale.';

CREATE FUNCTION bucketize(value double precision, boundaries double precision[]) RETURNS integer
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'bucketize_wrapper';
COMMENT ON FUNCTION bucketize(double precision, double precision[]) IS
'The number of the value''s bucket: 1 below the first boundary, one more for each boundary that is at most the value.
A value equal to a boundary is in the bucket above it. Without boundaries all are in bucket 1. Boundaries that are not
finite or not strictly increasing are an error. NULL of NULL and of NaN.';

CREATE FUNCTION quantile_buckets(value double precision, boundaries double precision[]) RETURNS integer
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'bucketize_wrapper';
COMMENT ON FUNCTION quantile_buckets(double precision, double precision[]) IS
'reco.bucketize under the name that goes with reco.quantile_boundaries.';

CREATE FUNCTION impute(value double precision, fill double precision) RETURNS double precision
IMMUTABLE PARALLEL SAFE COST 1 LANGUAGE c AS 'MODULE_PATHNAME', 'impute_number_wrapper';
COMMENT ON FUNCTION impute(double precision, double precision) IS
'The value, or fill where it is NULL or NaN. Infinite values are kept. NULL if fill is NULL and needed.';

CREATE FUNCTION impute(value text, fill text) RETURNS text
IMMUTABLE PARALLEL SAFE COST 1 LANGUAGE c AS 'MODULE_PATHNAME', 'impute_text_wrapper';
COMMENT ON FUNCTION impute(text, text) IS
'The value, or fill where it is NULL. The empty text is a value.';

-- Scalar functions: texts.
CREATE FUNCTION label_encode(value text, vocabulary text[]) RETURNS integer
IMMUTABLE PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'label_encode_wrapper';
COMMENT ON FUNCTION label_encode(text, text[]) IS
'The value''s position in the vocabulary, from 1; 0 of NULL and of a value that is not in it. NULL of a NULL vocabulary.
A vocabulary with NULL, with a value twice or with more than 1000000 values is an error.';

CREATE FUNCTION one_hot(value text, vocabulary text[]) RETURNS real[]
IMMUTABLE PARALLEL SAFE COST 10 LANGUAGE c AS 'MODULE_PATHNAME', 'one_hot_wrapper';
COMMENT ON FUNCTION one_hot(text, text[]) IS
'As many numbers as the vocabulary has values: 1 at the value''s position, 0 elsewhere; all 0 of NULL and of a value that
is not in it. NULL of a NULL vocabulary; errors as in reco.label_encode.';

CREATE FUNCTION multi_hot("values" text[], vocabulary text[]) RETURNS real[]
IMMUTABLE PARALLEL SAFE COST 15 LANGUAGE c AS 'MODULE_PATHNAME', 'multi_hot_wrapper';
COMMENT ON FUNCTION multi_hot(text[], text[]) IS
'As many numbers as the vocabulary has values: 1 at the position of each of the values, 0 elsewhere. NULL elements, and
values that are not in it, set none; a NULL or empty array gives all 0. NULL of a NULL vocabulary; errors as in
reco.label_encode.';

CREATE FUNCTION hash_bucket(value text, buckets integer) RETURNS integer
IMMUTABLE STRICT PARALLEL SAFE COST 2 LANGUAGE c AS 'MODULE_PATHNAME', 'hash_bucket_wrapper';
COMMENT ON FUNCTION hash_bucket(text, integer) IS
'XXH64 (seed 0) of the value''s UTF-8 bytes modulo buckets: 0 to buckets - 1, the same on every machine and in every
version. buckets is at least 1. NULL of NULL.';

CREATE FUNCTION feature_cross(VARIADIC "values" text[]) RETURNS text
IMMUTABLE STRICT PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'feature_cross_wrapper';
COMMENT ON FUNCTION feature_cross(text[]) IS
'The values with | between them, a backslash before each | and backslash inside a value: different values never give the
same cross. NULL if any of them is NULL, or without values.';

CREATE FUNCTION ngrams(tokens text[], from_size integer, to_size integer, separator text DEFAULT ' ') RETURNS text[]
IMMUTABLE STRICT PARALLEL SAFE COST 20 LANGUAGE c AS 'MODULE_PATHNAME', 'ngrams_wrapper';
COMMENT ON FUNCTION ngrams(text[], integer, integer, text) IS
'The runs of from_size to to_size (1 to 100) neighbouring tokens, the separator between them: by their first token, then
by length. None holds a NULL token. No tokens, or too few, give an empty array. More than 1000000 n-grams or 64 MB are an
error. NULL of NULL.';

-- Scalar functions: numbers to several numbers.
CREATE FUNCTION polynomial_expand("values" double precision[], degree integer) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE COST 10 LANGUAGE c AS 'MODULE_PATHNAME', 'polynomial_expand_wrapper';
COMMENT ON FUNCTION polynomial_expand(double precision[], integer) IS
'Every product of 1 to degree (1 to 10) of the values, repeated ones included: by degree, then by position, as
a, b, aa, ab, bb; without the constant. NULL elements count as NaN, and so do products with them. More than 65536
products are an error, and so is one that is too large. NULL of NULL.';

-- The name is a keyword: it needs quotes here, and the schema where it is called.
CREATE FUNCTION "normalize"("values" double precision[], p double precision DEFAULT 2) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'normalize_wrapper';
COMMENT ON FUNCTION "normalize"(double precision[], double precision) IS
'The values divided by their p-norm; p is at least 1: 1 sum of absolute values, 2 Euclidean length, infinity largest
absolute value. All zeros stay zeros. NULL and NaN elements are left out of the norm and give NaN. With an infinite
element finite ones give 0 and infinite ones NaN. NULL of NULL.';

CREATE FUNCTION cyclic_encode(value double precision, period double precision) RETURNS double precision[]
IMMUTABLE STRICT PARALLEL SAFE COST 3 LANGUAGE c AS 'MODULE_PATHNAME', 'cyclic_encode_wrapper';
COMMENT ON FUNCTION cyclic_encode(double precision, double precision) IS
'Sine and cosine of the value''s place in its period, both in the same unit: neighbours in time are neighbours across
the end of a period. The period is finite and above 0. NaN and infinite values give two NaN. NULL of NULL.';
