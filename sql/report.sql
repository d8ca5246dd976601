-- A page to look at.

CREATE FUNCTION report(model text, version integer DEFAULT NULL, time_limit interval DEFAULT '30 seconds') RETURNS text
STABLE PARALLEL UNSAFE COST 1000000
LANGUAGE c AS 'MODULE_PATHNAME', 'report_wrapper';
COMMENT ON FUNCTION report(text, integer, interval) IS
'A version (the champion where it is NULL) as one page of HTML, which fetches nothing and runs no script: model card, leaderboard,
ROC and precision-recall curves beside the popularity baseline, calibration, lift, metrics by week and region, importance of
columns, A/B tests with intervals, history of promotions, lineage. For psql: \pset format unaligned, \t, \o launch.html.
Part by part the caller''s rights decide: curves are of the version''s test rows, read now with the caller''s rights and row
security; a part that the caller may not see, that takes longer than time_limit, or that cannot be made says so, and the rest
is there. Lists are cut after their first rows. Writes nothing, and works on a standby. It needs the privilege score.';
