-- Aggregates over a series of values: decayed sums and averages, and trends.

CREATE FUNCTION decayed_step(internal, value double precision, at timestamp, as_of timestamp, half_life interval) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_step_wrapper';
CREATE FUNCTION decayed_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_combine_wrapper';
CREATE FUNCTION decayed_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_serialize_wrapper';
CREATE FUNCTION decayed_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_deserialize_wrapper';
CREATE FUNCTION decayed_sum_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_sum_wrapper';
CREATE FUNCTION decayed_avg_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_avg_wrapper';
COMMENT ON FUNCTION decayed_step(internal, double precision, timestamp, timestamp, interval) IS
'Transition function of the aggregates decayed_sum and decayed_avg';
COMMENT ON FUNCTION decayed_combine(internal, internal) IS 'Merges the states of parallel workers';
COMMENT ON FUNCTION decayed_serialize(internal) IS 'A state as another process takes it';
COMMENT ON FUNCTION decayed_deserialize(bytea, internal) IS 'A state of another process';
COMMENT ON FUNCTION decayed_sum_final(internal) IS 'What a state says';
COMMENT ON FUNCTION decayed_avg_final(internal) IS 'What a state says';

CREATE AGGREGATE decayed_sum(value double precision, at timestamp, as_of timestamp, half_life interval) (
    SFUNC = decayed_step,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = decayed_combine,
    SERIALFUNC = decayed_serialize,
    DESERIALFUNC = decayed_deserialize,
    FINALFUNC = decayed_sum_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE decayed_sum(double precision, timestamp, timestamp, interval) IS
'Sum of value * 2^(-age / half_life), age being the time from at to as_of: a value one half_life old counts half. Values
after as_of were not known then and are ignored, as is a row with a NULL. as_of and half_life must be the same in all rows
of a group, and half_life positive; a month counts 30 days, a day 24 hours. NULL where no row counts. NaN and infinities
are errors. Source: the law of exponential decay; compensated sums';

CREATE AGGREGATE decayed_avg(value double precision, at timestamp, as_of timestamp, half_life interval) (
    SFUNC = decayed_step,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = decayed_combine,
    SERIALFUNC = decayed_serialize,
    DESERIALFUNC = decayed_deserialize,
    FINALFUNC = decayed_avg_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE decayed_avg(double precision, timestamp, timestamp, interval) IS
'Average of the values, weighted by 2^(-age / half_life); see decayed_sum. NULL also where the values are so old that their
weights are all 0. Source: exponentially weighted moving average, Roberts, Technometrics 1 (1959)';

CREATE FUNCTION trend_step(internal, value double precision, week date) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_step_wrapper';
CREATE FUNCTION trend_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_combine_wrapper';
CREATE FUNCTION trend_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_serialize_wrapper';
CREATE FUNCTION trend_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_deserialize_wrapper';
CREATE FUNCTION trend_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_final_wrapper';
COMMENT ON FUNCTION trend_step(internal, double precision, date) IS
'Transition function of the aggregate trend';
COMMENT ON FUNCTION trend_combine(internal, internal) IS 'Merges the states of parallel workers';
COMMENT ON FUNCTION trend_serialize(internal) IS 'A state as another process takes it';
COMMENT ON FUNCTION trend_deserialize(bytea, internal) IS 'A state of another process';
COMMENT ON FUNCTION trend_final(internal) IS 'What a state says';

CREATE AGGREGATE trend(value double precision, week date) (
    SFUNC = trend_step,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = trend_combine,
    SERIALFUNC = trend_serialize,
    DESERIALFUNC = trend_deserialize,
    FINALFUNC = trend_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE trend(double precision, date) IS
'Slope of the least-squares line through the values: their change per week of 7 days. Weeks that are absent are not zeros:
give them as rows if they are. A row with a NULL is ignored. NULL with fewer than two different dates. NaN and infinities
are errors. Source: co-moments by Chan, Golub and LeVeque, STAN-CS-79-773 (1979)';
