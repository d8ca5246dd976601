-- What features are computed with: sales summaries, decayed sums and trends, the week of a moment. Encoders are in
-- encoders.sql.

-- Sales summaries: an aggregate in two steps. reco.sales_summary(…) makes a summary of sale lines, reco.rollup(…) merges
-- summaries, and the accessors read it.

CREATE TYPE sales_summary;

CREATE FUNCTION sales_summary_in(cstring) RETURNS sales_summary
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_in_wrapper';
COMMENT ON FUNCTION sales_summary_in(cstring) IS 'Input function of sales_summary';
CREATE FUNCTION sales_summary_out(sales_summary) RETURNS cstring
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_out_wrapper';
COMMENT ON FUNCTION sales_summary_out(sales_summary) IS 'Output function of sales_summary';
CREATE FUNCTION sales_summary_recv(internal) RETURNS sales_summary
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_recv_wrapper';
COMMENT ON FUNCTION sales_summary_recv(internal) IS 'Binary input function of sales_summary';
CREATE FUNCTION sales_summary_send(sales_summary) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_send_wrapper';
COMMENT ON FUNCTION sales_summary_send(sales_summary) IS 'Binary output function of sales_summary';

CREATE TYPE sales_summary (
    INPUT = sales_summary_in,
    OUTPUT = sales_summary_out,
    RECEIVE = sales_summary_recv,
    SEND = sales_summary_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = extended
);
COMMENT ON TYPE sales_summary IS
'Totals, distinct customers and period of any number of sale lines. One line takes about 40 bytes, the largest summary
3173. The text form is a JSON object that reads back exactly; the binary form is the stored one. Damaged input is an
error. There is no comparison: compare what the accessors say.';

CREATE FUNCTION sales_summary_step(
    internal, amount "any", quantity "any", discount "any", customer anyelement, sold_at timestamp
) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_step_wrapper';
COMMENT ON FUNCTION sales_summary_step(internal, "any", "any", "any", anyelement, timestamp) IS
'Transition function of the aggregate sales_summary';
CREATE FUNCTION rollup_step(internal, sales_summary) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'rollup_step_wrapper';
COMMENT ON FUNCTION rollup_step(internal, sales_summary) IS 'Transition function of the aggregate rollup';
CREATE FUNCTION sales_summary_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_combine_wrapper';
COMMENT ON FUNCTION sales_summary_combine(internal, internal) IS 'Merges the states of parallel workers';
CREATE FUNCTION sales_summary_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_serialize_wrapper';
COMMENT ON FUNCTION sales_summary_serialize(internal) IS 'A state as another process takes it';
CREATE FUNCTION sales_summary_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_deserialize_wrapper';
COMMENT ON FUNCTION sales_summary_deserialize(bytea, internal) IS 'A state of another process';
CREATE FUNCTION sales_summary_final(internal) RETURNS sales_summary
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'sales_summary_final_wrapper';
COMMENT ON FUNCTION sales_summary_final(internal) IS 'The summary that a state stands for';

CREATE AGGREGATE sales_summary(
    amount "any", quantity "any", discount "any", customer anyelement, sold_at timestamp
) (
    SFUNC = sales_summary_step,
    STYPE = internal,
    SSPACE = 128,
    COMBINEFUNC = sales_summary_combine,
    SERIALFUNC = sales_summary_serialize,
    DESERIALFUNC = sales_summary_deserialize,
    FINALFUNC = sales_summary_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE sales_summary("any", "any", "any", anyelement, timestamp) IS
'Summary of sale lines. Numbers may be of any type of number. amount: what was paid; returns may be negative. quantity: units. discount: what was taken off.
customer: who bought, of any type with a hash function; NULL is nobody. sold_at: when.
A row whose amount and quantity are both NULL is no sale and is skipped. Any other NULL adds nothing to its own figure.
NULL where no row counts. NaN, infinities and totals beyond double precision are errors.
Totals are compensated sums (Knuth''s TwoSum, Dekker''s double-double). Customers are kept as 64-bit hashes, exactly up to
384 of them; beyond that their number is estimated by HyperLogLog with a standard error of 1.6 percent.';

CREATE AGGREGATE rollup(sales_summary) (
    SFUNC = rollup_step,
    STYPE = internal,
    SSPACE = 128,
    COMBINEFUNC = sales_summary_combine,
    SERIALFUNC = sales_summary_serialize,
    DESERIALFUNC = sales_summary_deserialize,
    FINALFUNC = sales_summary_final,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(sales_summary) IS
'The summary of all sale lines that the summaries stand for. NULLs are skipped; NULL where there is nothing else. The
lines must not overlap: one that is in two summaries counts twice, but its customer once.';

CREATE FUNCTION trailing_weeks(sales sales_summary, week date, weeks integer) RETURNS sales_summary
WINDOW IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trailing_weeks_wrapper';
COMMENT ON FUNCTION trailing_weeks(sales_summary, date, integer) IS
'Window function: the summary of the weeks that end with the row''s, so many of them, of the rows up to it; NULL where none
of them has sales. The window is ordered by the week. As rollup(sales) over a frame of that many weeks, but several
lengths take one pass. SELECT reco.trailing_weeks(sales, week, 13) OVER (PARTITION BY product_id, region ORDER BY week)';

CREATE FUNCTION total_sales(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'total_sales_wrapper';
COMMENT ON FUNCTION total_sales(sales_summary) IS 'Sum of the amounts; NULL if none was known';

CREATE FUNCTION total_quantity(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'total_quantity_wrapper';
COMMENT ON FUNCTION total_quantity(sales_summary) IS 'Sum of the quantities; NULL if none was known';

CREATE FUNCTION total_discount(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'total_discount_wrapper';
COMMENT ON FUNCTION total_discount(sales_summary) IS 'Sum of the discounts; NULL if none was known';

CREATE FUNCTION unique_customers(sales_summary) RETURNS bigint
IMMUTABLE STRICT PARALLEL SAFE COST 5 LANGUAGE c AS 'MODULE_PATHNAME', 'unique_customers_wrapper';
COMMENT ON FUNCTION unique_customers(sales_summary) IS
'Distinct customers: exact up to 384, estimated beyond with a standard error of 1.6 percent; 0 if none was known. Customers
whose 64-bit hashes are equal count as one. Source of the estimate: Flajolet et al., HyperLogLog (2007), as corrected by
Apache DataSketches (composite estimator)';

CREATE FUNCTION avg_discount(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'avg_discount_wrapper';
COMMENT ON FUNCTION avg_discount(sales_summary) IS
'Mean discount of the sale lines whose discount is known; NULL if there is none';

CREATE FUNCTION discount_rate(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'discount_rate_wrapper';
COMMENT ON FUNCTION discount_rate(sales_summary) IS
'total_discount / (total_sales + total_discount): the part of the full price that was taken off. NULL if either is unknown
or the sum is 0';

CREATE FUNCTION avg_price(sales_summary) RETURNS double precision
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'avg_price_wrapper';
COMMENT ON FUNCTION avg_price(sales_summary) IS
'total_sales / total_quantity: what a unit brought in. NULL if either is unknown or the quantity is 0';

CREATE FUNCTION transactions(sales_summary) RETURNS bigint
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'transactions_wrapper';
COMMENT ON FUNCTION transactions(sales_summary) IS 'Sale lines counted';

CREATE FUNCTION first_sale(sales_summary) RETURNS timestamp
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'first_sale_wrapper';
COMMENT ON FUNCTION first_sale(sales_summary) IS 'The earliest sold_at; NULL if none was known';

CREATE FUNCTION last_sale(sales_summary) RETURNS timestamp
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'last_sale_wrapper';
COMMENT ON FUNCTION last_sale(sales_summary) IS 'The latest sold_at; NULL if none was known';

-- Aggregates over a series of values: decayed sums and averages, and trends.
CREATE FUNCTION decayed_step(internal, value double precision, at timestamp, as_of timestamp, half_life interval) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_step_wrapper';
COMMENT ON FUNCTION decayed_step(internal, double precision, timestamp, timestamp, interval) IS
'Transition function of the aggregates decayed_sum and decayed_avg';
CREATE FUNCTION decayed_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_combine_wrapper';
COMMENT ON FUNCTION decayed_combine(internal, internal) IS 'Merges the states of parallel workers';
CREATE FUNCTION decayed_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_serialize_wrapper';
COMMENT ON FUNCTION decayed_serialize(internal) IS 'A state as another process takes it';
CREATE FUNCTION decayed_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_deserialize_wrapper';
COMMENT ON FUNCTION decayed_deserialize(bytea, internal) IS 'A state of another process';
CREATE FUNCTION decayed_sum_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_sum_wrapper';
COMMENT ON FUNCTION decayed_sum_final(internal) IS 'What a state says';
CREATE FUNCTION decayed_avg_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'decayed_avg_wrapper';
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
COMMENT ON FUNCTION trend_step(internal, double precision, date) IS
'Transition function of the aggregate trend';
CREATE FUNCTION trend_combine(internal, internal) RETURNS internal
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_combine_wrapper';
COMMENT ON FUNCTION trend_combine(internal, internal) IS 'Merges the states of parallel workers';
CREATE FUNCTION trend_serialize(internal) RETURNS bytea
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_serialize_wrapper';
COMMENT ON FUNCTION trend_serialize(internal) IS 'A state as another process takes it';
CREATE FUNCTION trend_deserialize(bytea, internal) RETURNS internal
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_deserialize_wrapper';
COMMENT ON FUNCTION trend_deserialize(bytea, internal) IS 'A state of another process';
CREATE FUNCTION trend_final(internal) RETURNS double precision
IMMUTABLE PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'trend_final_wrapper';
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

-- The week of a day or moment.
CREATE FUNCTION week(date) RETURNS date
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'week_of_date_wrapper';
COMMENT ON FUNCTION week(date) IS 'The Monday of the date''s week; an infinite date is an error';

CREATE FUNCTION week(timestamp) RETURNS date
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'week_of_timestamp_wrapper';
COMMENT ON FUNCTION week(timestamp) IS
'The Monday of the moment''s week, as date_trunc(''week'', …)::date, in a tenth of its time; an infinite moment is an error';
