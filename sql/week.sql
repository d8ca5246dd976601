CREATE FUNCTION week(date) RETURNS date
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'week_of_date_wrapper';
COMMENT ON FUNCTION week(date) IS 'The Monday of the date''s week; an infinite date is an error';

CREATE FUNCTION week(timestamp) RETURNS date
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', 'week_of_timestamp_wrapper';
COMMENT ON FUNCTION week(timestamp) IS
'The Monday of the moment''s week, as date_trunc(''week'', …)::date, in a tenth of its time; an infinite moment is an error';
