-- What a monitoring system reads: the counters of scoring and the state of the catalog, one row a sample, by the names and in the
-- units of Prometheus. The definitions below are the only place where a metric has its name, type, labels and meaning: the
-- queries of the exporters in monitoring/ are made from them (monitoring/generate). A metric is a definition and a line of the
-- view.

-- Roles are the cluster's, so that this one is there already where another database has the extension.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'reco_monitor') THEN
        CREATE ROLE reco_monitor NOLOGIN;
        COMMENT ON ROLE reco_monitor IS 'May read the view metrics of pg_recommend, in each database that has the extension';
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- Another session has just made it.
END
$$;

-- The counters of scoring in shared memory.
CREATE FUNCTION scoring_counters()
RETURNS TABLE (model text, version integer, calls bigint, rows bigint, errors bigint, cache_hits bigint, cache_misses bigint,
               seconds double precision, bounds double precision[], latency bigint[])
VOLATILE STRICT PARALLEL SAFE ROWS 20
LANGUAGE c AS 'MODULE_PATHNAME', 'scoring_counters_wrapper';
COMMENT ON FUNCTION scoring_counters() IS
'What each version of this database has scored since the server started, if the library is preloaded, else nothing: calls (the
parts of processes in statements), rows, calls that ended in an error, decoded models found and not found in the cache of a
backend, seconds of all calls, and the number of calls that took at most so many seconds (bounds, latency). model is empty
where a call failed before it had a version. For the view metrics.';

CREATE FUNCTION scoring_slots()
RETURNS TABLE (slots bigint, used bigint, uncounted bigint)
VOLATILE STRICT PARALLEL SAFE ROWS 1
LANGUAGE c AS 'MODULE_PATHNAME', 'scoring_slots_wrapper';
COMMENT ON FUNCTION scoring_slots() IS
'How many versions can be counted in the whole server (reco.counted_versions), how many are, and how many calls of others were
not; NULL if the library is not preloaded, or nothing is to be counted. For the view metrics.';

REVOKE ALL ON FUNCTION scoring_counters(), scoring_slots() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scoring_counters(), scoring_slots() TO reco_monitor;

-- A name begins with its family, whose metrics are measured together and have the same labels.
CREATE VIEW metric_definitions (family, name, type, labels, help) AS VALUES
('reco_extension', 'reco_extension_info', 'gauge', '{release}', 'Always 1; release is the installed version of the extension'),
('reco_standby', 'reco_standby_lag_seconds', 'gauge', '{}', 'Age of the newest commit that a standby has replayed; 0 while it is connected and has replayed all that it received, and on a primary'),
('reco_counters', 'reco_counters_enabled', 'gauge', '{}', '1 if scoring is counted: the library is in shared_preload_libraries'),
('reco_counters', 'reco_counters_slots', 'gauge', '{}', 'Versions that can be counted, in the whole server (reco.counted_versions)'),
('reco_counters', 'reco_counters_slots_used', 'gauge', '{}', 'Versions that are counted, in the whole server'),
('reco_counters', 'reco_counters_uncounted_calls_total', 'counter', '{}', 'Calls of versions that are not counted because all slots are taken, in the whole server'),
('reco_scoring', 'reco_scoring_calls_total', 'counter', '{model,version}', 'Statements that scored with the version; each process of a parallel one counts'),
('reco_scoring', 'reco_scoring_rows_total', 'counter', '{model,version}', 'Rows that the version scored'),
('reco_scoring', 'reco_scoring_errors_total', 'counter', '{model,version}', 'Calls whose statement ended in an error, also of cancel or a timeout; without model: calls that failed before they had a version'),
('reco_scoring', 'reco_scoring_cache_hits_total', 'counter', '{model,version}', 'Calls that found the decoded model in their backend''s cache'),
('reco_scoring', 'reco_scoring_cache_misses_total', 'counter', '{model,version}', 'Calls for which their backend had to decode or map the model'),
('reco_scoring', 'reco_scoring_latency_seconds_sum', 'histogram', '{model,version}', 'Time from the look-up of the version to the end of its statement'),
('reco_scoring', 'reco_scoring_latency_seconds_count', 'histogram', '{model,version}', 'Time from the look-up of the version to the end of its statement'),
('reco_scoring_latency', 'reco_scoring_latency_seconds_bucket', 'histogram', '{model,version,le}', 'Time from the look-up of the version to the end of its statement'),
('reco_model', 'reco_model_versions', 'gauge', '{model}', 'Stored versions'),
('reco_model', 'reco_model_trainings_running', 'gauge', '{model}', 'Trainings under way'),
('reco_champion', 'reco_champion_version', 'gauge', '{model}', 'The version that predict and recommend use'),
('reco_champion', 'reco_champion_trained_timestamp_seconds', 'gauge', '{model}', 'When the champion was trained or imported'),
('reco_champion', 'reco_champion_promoted_timestamp_seconds', 'gauge', '{model}', 'When the champion became that'),
('reco_runs', 'reco_runs_total', 'counter', '{model,status}', 'Trainings that ended, without the trials of tunings: succeeded, failed or cancelled'),
('reco_run_last', 'reco_run_last_timestamp_seconds', 'gauge', '{model,status}', 'When the last training that ended so ended'),
('reco_run_last', 'reco_run_last_duration_seconds', 'gauge', '{model,status}', 'How long it took'),
('reco_test', 'reco_test_auroc', 'gauge', '{model,version}', 'Area under the ROC curve on the test weeks of its training, of versions that have an alias or an arm'),
('reco_test', 'reco_test_popularity_auroc', 'gauge', '{model,version}', 'The same of the popularity baseline on the same rows'),
('reco_test', 'reco_test_average_precision', 'gauge', '{model,version}', 'Average precision on the test weeks'),
('reco_test', 'reco_test_log_loss', 'gauge', '{model,version}', 'Mean log loss on the test weeks'),
('reco_test', 'reco_test_calibration_error', 'gauge', '{model,version}', 'Mean distance of probability and share of purchases over the bins of scores, weighed by rows'),
('reco_test_bin', 'reco_test_bin_score_mean', 'gauge', '{model,version,bin}', 'Mean probability of the test rows in a bin of scores'),
('reco_test_bin', 'reco_test_bin_label_mean', 'gauge', '{model,version,bin}', 'Share of purchases of the test rows in a bin of scores'),
('reco_test_error', 'reco_test_error_rmse', 'gauge', '{model,version}', 'Root mean squared error on the test weeks, of models of quantities'),
('reco_test_error', 'reco_test_error_mae', 'gauge', '{model,version}', 'Mean absolute error on the test weeks, of models of quantities'),
('reco_features', 'reco_features_complete_timestamp_seconds', 'gauge', '{view}', 'The end of the newest week that the feature view has stored'),
('reco_features', 'reco_features_refreshed_timestamp_seconds', 'gauge', '{view}', 'When a week was last computed'),
('reco_features', 'reco_features_weeks', 'gauge', '{view}', 'Weeks that are stored'),
('reco_features', 'reco_features_rows', 'gauge', '{view}', 'Rows that are stored'),
('reco_refreshes', 'reco_refreshes_total', 'counter', '{view,status}', 'Refreshes that ended: succeeded, failed or cancelled'),
('reco_ab_arm', 'reco_ab_arm_share', 'gauge', '{test,model,arm,version}', 'Share of the keys that fall to the arm, of tests that run'),
('reco_ab_arm', 'reco_ab_arm_shown', 'gauge', '{test,model,arm,version}', 'Recommendations logged in the newest week that the test has logged'),
('reco_ab_shown', 'reco_ab_shown_score_mean', 'gauge', '{test,model,arm,version}', 'Their mean score'),
('reco_schedule', 'reco_schedule_failures_in_a_row', 'gauge', '{kind,subject}', 'How often in a row the schedule failed for good, with all its retries'),
('reco_schedule', 'reco_schedule_attempts_left', 'gauge', '{kind,subject}', 'How often it can still be tried of this time; 0 while it is paused'),
('reco_schedule', 'reco_schedule_paused', 'gauge', '{kind,subject}', '1 if it is paused, by somebody or because its role, model, view or privilege is gone'),
('reco_schedule_next_run', 'reco_schedule_next_run_timestamp_seconds', 'gauge', '{kind,subject}', 'When it is to be tried next, unless it is paused; it stays in the past while it waits'),
('reco_schedule_attempts', 'reco_schedule_attempts_kept', 'gauge', '{kind,subject,status}', 'Attempts that ended so, as far back as reco.max_schedule_history: succeeded, failed or cancelled'),
('reco_schedules', 'reco_schedules_active', 'gauge', '{}', 'Schedules that are not paused'),
('reco_schedules_called', 'reco_schedules_called_timestamp_seconds', 'gauge', '{}', 'When run_due() was last called in this database while there were schedules'),
('reco_health', 'reco_health_status', 'gauge', '{model}', 'What monitor() said last: 0 ok, 1 warning, 2 alarm'),
('reco_health', 'reco_health_monitored_timestamp_seconds', 'gauge', '{model}', 'When it said so'),
('reco_monitored', 'reco_monitored_auroc', 'gauge', '{model,version}', 'Area under the ROC curve in the newest week that was judged; NaN of a week without both outcomes'),
('reco_monitored', 'reco_monitored_test_auroc', 'gauge', '{model,version}', 'The same on the test weeks of the version that served'),
('reco_monitored', 'reco_monitored_average_precision', 'gauge', '{model,version}', 'Average precision in that week'),
('reco_monitored', 'reco_monitored_log_loss', 'gauge', '{model,version}', 'Mean log loss in that week'),
('reco_monitored', 'reco_monitored_calibration_error', 'gauge', '{model,version}', 'Mean distance of probability and share of purchases in that week, over the bins of scores, weighed by rows'),
('reco_monitored', 'reco_monitored_calibration_slope', 'gauge', '{model,version}', 'Slope of the log odds of a purchase over those of the probability in that week: 1 if they agree, less if probabilities are too extreme'),
('reco_monitored', 'reco_monitored_score_mean', 'gauge', '{model,version}', 'Mean probability in that week'),
('reco_monitored', 'reco_monitored_label_mean', 'gauge', '{model,version}', 'Share of purchases in that week'),
('reco_monitored_error', 'reco_monitored_error_rmse', 'gauge', '{model,version}', 'Root mean squared error in the newest week that was judged, of models of quantities'),
('reco_monitored_error', 'reco_monitored_error_mae', 'gauge', '{model,version}', 'Mean absolute error in that week'),
('reco_monitored_week', 'reco_monitored_week_timestamp_seconds', 'gauge', '{model,version}', 'When the newest week that was judged began'),
('reco_monitored_week', 'reco_monitored_week_rows', 'gauge', '{model,version}', 'Its rows with a known outcome'),
('reco_drift', 'reco_drift_psi', 'gauge', '{model,column}', 'Population stability index of an input, the newest week that was measured beside training; of the twenty inputs whose drift matters most'),
('reco_drift', 'reco_drift_psi_chance', 'gauge', '{model,column}', 'What it exceeds by chance once in a thousand times'),
('reco_drift', 'reco_drift_jensen_shannon', 'gauge', '{model,column}', 'Jensen-Shannon distance of the same, 0 to 1'),
('reco_drift', 'reco_drift_null_share', 'gauge', '{model,column}', 'Share of NULLs in that week'),
('reco_drift', 'reco_drift_unseen_share', 'gauge', '{model,column}', 'Share of values in that week that training has not seen; NaN of numbers'),
('reco_drift', 'reco_drift_importance', 'gauge', '{model,column}', 'Importance of the input for the version that is measured: how much AUROC falls without it; NaN if it was not measured'),
('reco_drift', 'reco_drift_level', 'gauge', '{model,column}', 'What the drift means for the status of the model: 0 nothing, 1 a warning, 2 an alarm'),
('reco_drift_score', 'reco_drift_score_psi', 'gauge', '{model}', 'Population stability index of the scores, the newest week that was measured beside the test weeks'),
('reco_drift_score', 'reco_drift_score_jensen_shannon', 'gauge', '{model}', 'Jensen-Shannon distance of the same, 0 to 1')
;
COMMENT ON VIEW metric_definitions IS 'The metrics of the view metrics: name, which begins with the family, type, labels and meaning';

-- The table of scores and purchases of a version's test rows.
CREATE FUNCTION test_bins(metrics jsonb)
RETURNS TABLE (bin integer, rows double precision, score_mean double precision, label_mean double precision)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
AS $$
    SELECT b.position::pg_catalog.int4, @extschema@.figure(b.bin, '{rows}'), @extschema@.figure(b.bin, '{mean_score}'),
           @extschema@.figure(b.bin, '{positive_rate}')
    FROM pg_catalog.jsonb_array_elements(
             CASE WHEN pg_catalog.jsonb_typeof(metrics OPERATOR(pg_catalog.#>) '{test,model,calibration}')
                       OPERATOR(pg_catalog.=) 'array'
                  THEN metrics OPERATOR(pg_catalog.#>) '{test,model,calibration}' END)
         WITH ORDINALITY AS b (bin, position)
$$;
COMMENT ON FUNCTION test_bins(jsonb) IS 'The bins of scores of a version''s test rows, from 1: rows, mean probability and share of purchases';

-- A test's newest week, found through the primary key of what it has logged. Schedules of a view have its name of today.
CREATE VIEW metrics AS
WITH status (status) AS (VALUES ('succeeded'), ('failed'), ('cancelled')),
     deployed AS (
         SELECT a.model, a.version FROM alias a
         UNION
         SELECT t.model, a.version FROM ab_arm a JOIN ab_test t USING (test) WHERE t.status = 'running'),
     scheduled AS (
         SELECT s.kind, coalesce(feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by), s.name) AS subject,
                s.subject AS key, s.next_run, s.paused_at, s.retries, s.attempt, s.failures
         FROM schedule s LEFT JOIN feature_view f ON s.kind = 'refresh' AND f.view_id::text = s.subject),
     judged AS (
         SELECT DISTINCT ON (w.model) w.*
         FROM monitored_week w WHERE w.position = 0 AND w.judged_at IS NOT NULL AND w.version IS NOT NULL
         ORDER BY w.model, w.week DESC)
SELECT s.name, s.labels, s.value, d.help, d.type, s.family
FROM (
    SELECT 'reco_extension' AS family, 'reco_extension_info' AS name, jsonb_build_object('release', e.extversion) AS labels,
           1::double precision AS value
    FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_recommend'
    UNION ALL
    -- A standby without its primary has replayed all that it received, too, and is behind all the same.
    SELECT 'reco_standby', 'reco_standby_lag_seconds', '{}'::jsonb,
           CASE WHEN NOT pg_is_in_recovery() THEN 0
                WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                 AND EXISTS (SELECT FROM pg_stat_get_wal_receiver() r WHERE r.pid IS NOT NULL) THEN 0
                ELSE greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END
    UNION ALL
    SELECT 'reco_counters', m.name, '{}'::jsonb, m.value
    FROM scoring_slots() c
    CROSS JOIN LATERAL (VALUES ('reco_counters_enabled', (c.slots IS NOT NULL)::integer::double precision),
                               ('reco_counters_slots', coalesce(c.slots, 0)),
                               ('reco_counters_slots_used', coalesce(c.used, 0)),
                               ('reco_counters_uncounted_calls_total', coalesce(c.uncounted, 0))) AS m (name, value)
    UNION ALL
    SELECT 'reco_scoring', m.name, jsonb_build_object('model', c.model, 'version', coalesce(nullif(c.version, 0)::text, '')),
           m.value
    FROM scoring_counters() c
    CROSS JOIN LATERAL (VALUES ('reco_scoring_calls_total', c.calls::double precision), ('reco_scoring_rows_total', c.rows),
                               ('reco_scoring_errors_total', c.errors), ('reco_scoring_cache_hits_total', c.cache_hits),
                               ('reco_scoring_cache_misses_total', c.cache_misses),
                               ('reco_scoring_latency_seconds_sum', c.seconds),
                               ('reco_scoring_latency_seconds_count', c.latency[cardinality(c.latency)])) AS m (name, value)
    UNION ALL
    SELECT 'reco_scoring_latency', 'reco_scoring_latency_seconds_bucket',
           jsonb_build_object('model', c.model, 'version', c.version::text,
                              'le', CASE b.bound WHEN 'Infinity' THEN '+Inf' ELSE b.bound::text END), b.calls
    FROM scoring_counters() c CROSS JOIN LATERAL unnest(c.bounds, c.latency) AS b (bound, calls)
    WHERE c.version <> 0
    UNION ALL
    SELECT 'reco_model', m.name, jsonb_build_object('model', o.model), m.value
    FROM model o
    CROSS JOIN LATERAL (
        VALUES ('reco_model_versions', (SELECT count(*)::double precision FROM version v WHERE v.model = o.model)),
               ('reco_model_trainings_running', (SELECT count(*) FROM run r WHERE r.model = o.model AND r.started_at >= o.begun_at
                                                  AND r.status = 'running' AND run_is_alive(r.run_id)))) AS m (name, value)
    UNION ALL
    SELECT 'reco_champion', m.name, jsonb_build_object('model', v.model), m.value
    FROM alias a JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_champion_version', v.version::double precision),
               ('reco_champion_trained_timestamp_seconds', extract(epoch FROM v.trained_at)),
               ('reco_champion_promoted_timestamp_seconds', extract(epoch FROM a.set_at))) AS m (name, value)
    WHERE a.alias = 'champion'
    UNION ALL
    SELECT 'reco_runs', 'reco_runs_total', jsonb_build_object('model', o.model, 'status', s.status),
           (SELECT count(*) FROM run r WHERE r.model = o.model AND r.started_at >= o.begun_at AND r.tune_id IS NULL
             AND s.status = CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id) THEN 'failed' ELSE r.status END)
    FROM model o CROSS JOIN status s
    UNION ALL
    SELECT 'reco_run_last', m.name, jsonb_build_object('model', o.model, 'status', s.status), m.value
    FROM model o CROSS JOIN status s
    CROSS JOIN LATERAL (
        SELECT r.started_at, r.finished_at FROM run r
        WHERE r.model = o.model AND r.started_at >= o.begun_at AND r.tune_id IS NULL AND r.status = s.status
          AND r.finished_at IS NOT NULL
        ORDER BY r.started_at DESC LIMIT 1) r
    CROSS JOIN LATERAL (
        VALUES ('reco_run_last_timestamp_seconds', extract(epoch FROM r.finished_at)::double precision),
               ('reco_run_last_duration_seconds', extract(epoch FROM r.finished_at - r.started_at))) AS m (name, value)
    UNION ALL
    SELECT 'reco_test', m.name, jsonb_build_object('model', v.model, 'version', v.version::text), m.value
    FROM deployed JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_test_auroc', figure(v.metrics, '{test,model,auroc}')),
               ('reco_test_popularity_auroc', figure(v.metrics, '{test,popularity,auroc}')),
               ('reco_test_average_precision', figure(v.metrics, '{test,model,average_precision}')),
               ('reco_test_log_loss', figure(v.metrics, '{test,model,log_loss}')),
               ('reco_test_calibration_error',
                (SELECT sum(abs(b.label_mean - b.score_mean) * b.rows) / nullif(sum(b.rows), 0)
                 FROM test_bins(v.metrics) b))) AS m (name, value)
    UNION ALL
    SELECT 'reco_test_bin', m.name, jsonb_build_object('model', v.model, 'version', v.version::text, 'bin', b.bin::text), m.value
    FROM deployed JOIN version v USING (model, version) CROSS JOIN LATERAL test_bins(v.metrics) b
    CROSS JOIN LATERAL (VALUES ('reco_test_bin_score_mean', b.score_mean), ('reco_test_bin_label_mean', b.label_mean))
               AS m (name, value)
    UNION ALL
    SELECT 'reco_test_error', m.name, jsonb_build_object('model', v.model, 'version', v.version::text), m.value
    FROM deployed JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_test_error_rmse', figure(v.metrics, '{test,model,rmse}')),
               ('reco_test_error_mae', figure(v.metrics, '{test,model,mae}'))) AS m (name, value)
    UNION ALL
    SELECT 'reco_features', m.name,
           jsonb_build_object('view', feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by)), m.value
    FROM feature_view f
    JOIN (SELECT w.view_id, max(w.week) AS newest, max(w.computed_at) AS computed_at, count(*) AS weeks, sum(w.rows) AS rows
          FROM feature_week w GROUP BY w.view_id) w USING (view_id)
    CROSS JOIN LATERAL (
        VALUES ('reco_features_complete_timestamp_seconds', extract(epoch FROM w.newest + 7)::double precision),
               ('reco_features_refreshed_timestamp_seconds', extract(epoch FROM w.computed_at)),
               ('reco_features_weeks', w.weeks), ('reco_features_rows', w.rows)) AS m (name, value)
    UNION ALL
    SELECT 'reco_refreshes', 'reco_refreshes_total',
           jsonb_build_object('view', feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by),
                              'status', s.status),
           (SELECT count(*) FROM feature_refresh r WHERE r.view_id = f.view_id
             AND s.status = CASE WHEN r.status = 'running' AND NOT run_is_alive(r.refresh_id) THEN 'failed' ELSE r.status END)
    FROM feature_view f CROSS JOIN status s
    UNION ALL
    SELECT CASE m.name WHEN 'reco_ab_shown_score_mean' THEN 'reco_ab_shown' ELSE 'reco_ab_arm' END, m.name,
           jsonb_build_object('test', t.test, 'model', t.model, 'arm', a.arm, 'version', a.version::text), m.value
    FROM ab_test t JOIN ab_arm a USING (test)
    CROSS JOIN LATERAL (
        SELECT count(*) AS shown, avg(r.score) AS score FROM recommendation r
        WHERE r.test = t.test AND r.arm = a.arm
          AND r.week = (SELECT max(n.week) FROM recommendation n WHERE n.test = t.test)) r
    CROSS JOIN LATERAL (VALUES ('reco_ab_arm_share', a.share), ('reco_ab_arm_shown', r.shown),
                               ('reco_ab_shown_score_mean', r.score)) AS m (name, value)
    WHERE t.status = 'running'
    UNION ALL
    SELECT 'reco_schedule', m.name, jsonb_build_object('kind', s.kind, 'subject', s.subject), m.value
    FROM scheduled s
    CROSS JOIN LATERAL (
        VALUES ('reco_schedule_failures_in_a_row', s.failures::double precision),
               ('reco_schedule_attempts_left',
                CASE WHEN s.paused_at IS NULL THEN greatest(1 + s.retries - s.attempt, 0) ELSE 0 END),
               ('reco_schedule_paused', (s.paused_at IS NOT NULL)::integer)) AS m (name, value)
    UNION ALL
    SELECT 'reco_schedule_next_run', 'reco_schedule_next_run_timestamp_seconds',
           jsonb_build_object('kind', s.kind, 'subject', s.subject), extract(epoch FROM s.next_run)
    FROM scheduled s WHERE s.paused_at IS NULL
    UNION ALL
    SELECT 'reco_schedule_attempts', 'reco_schedule_attempts_kept',
           jsonb_build_object('kind', s.kind, 'subject', s.subject, 'status', t.status),
           (SELECT count(*) FROM schedule_run r WHERE r.kind = s.kind AND r.subject = s.key
             AND t.status = CASE WHEN r.status = 'running' AND NOT schedule_run_is_alive(r.started_at, r.pid, r.worker_start)
                                 THEN 'failed' ELSE r.status END)
    FROM scheduled s CROSS JOIN status t
    UNION ALL
    SELECT 'reco_schedules', 'reco_schedules_active', '{}'::jsonb, (SELECT count(*) FROM schedule s WHERE s.paused_at IS NULL)
    UNION ALL
    SELECT 'reco_schedules_called', 'reco_schedules_called_timestamp_seconds', '{}'::jsonb, extract(epoch FROM c.called_at)
    FROM schedule_call c
    UNION ALL
    SELECT 'reco_health', m.name, jsonb_build_object('model', h.model), m.value
    FROM monitored_model h
    CROSS JOIN LATERAL (
        VALUES ('reco_health_status', (array_position('{ok,warning,alarm}', h.status) - 1)::double precision),
               ('reco_health_monitored_timestamp_seconds', extract(epoch FROM h.monitored_at))) AS m (name, value)
    WHERE h.status IS NOT NULL
    UNION ALL
    SELECT 'reco_monitored', m.name, jsonb_build_object('model', w.model, 'version', w.version::text), m.value
    FROM judged w LEFT JOIN version v USING (model, version)
    CROSS JOIN LATERAL (
        VALUES ('reco_monitored_auroc', w.auroc), ('reco_monitored_test_auroc', figure(v.metrics, '{test,model,auroc}')),
               ('reco_monitored_average_precision', w.average_precision), ('reco_monitored_log_loss', w.log_loss),
               ('reco_monitored_calibration_error', w.calibration_error),
               ('reco_monitored_calibration_slope', w.calibration_slope),
               ('reco_monitored_score_mean', w.mean_score), ('reco_monitored_label_mean', w.mean_label)) AS m (name, value)
    WHERE w.rmse IS NULL
    UNION ALL
    SELECT 'reco_monitored_error', m.name, jsonb_build_object('model', w.model, 'version', w.version::text), m.value
    FROM judged w
    CROSS JOIN LATERAL (VALUES ('reco_monitored_error_rmse', w.rmse), ('reco_monitored_error_mae', w.mae)) AS m (name, value)
    UNION ALL
    SELECT 'reco_monitored_week', m.name, jsonb_build_object('model', w.model, 'version', w.version::text), m.value
    FROM judged w
    CROSS JOIN LATERAL (
        VALUES ('reco_monitored_week_timestamp_seconds', extract(epoch FROM w.week)::double precision),
               ('reco_monitored_week_rows', w.rows)) AS m (name, value)
    UNION ALL
    -- A note says why a drift is no reason for an alarm.
    SELECT 'reco_drift', m.name, jsonb_build_object('model', o.model, 'column', c.column_name), m.value
    FROM model o
    CROSS JOIN LATERAL (
        SELECT c.* FROM monitored_column c
        WHERE c.model = o.model AND c.column_name IS NOT NULL AND c.psi IS NOT NULL AND c.note IS NULL
          AND c.week = (SELECT max(n.week) FROM monitored_column n WHERE n.model = o.model)
        ORDER BY c.level IS NULL, c.psi * greatest(c.importance, 0) DESC NULLS LAST, c.psi DESC, c.position LIMIT 20) c
    CROSS JOIN LATERAL (
        VALUES ('reco_drift_psi', c.psi), ('reco_drift_psi_chance', c.psi_chance),
               ('reco_drift_jensen_shannon', c.jensen_shannon), ('reco_drift_null_share', c.nulls),
               ('reco_drift_unseen_share', c.unseen), ('reco_drift_importance', c.importance),
               ('reco_drift_level', coalesce(array_position('{warning,alarm}', c.level), 0)::double precision)) AS m (name, value)
    UNION ALL
    SELECT 'reco_drift_score', m.name, jsonb_build_object('model', c.model), m.value
    FROM monitored_column c
    CROSS JOIN LATERAL (VALUES ('reco_drift_score_psi', c.psi), ('reco_drift_score_jensen_shannon', c.jensen_shannon))
               AS m (name, value)
    WHERE c.column_name IS NULL AND c.note IS NULL
      AND c.week = (SELECT max(n.week) FROM monitored_column n WHERE n.model = c.model)
) s JOIN metric_definitions d USING (name)
WHERE s.value IS NOT NULL;
COMMENT ON VIEW metrics IS 'What a monitoring system reads, one row a sample: name, labels and value, help and type of the metric, and its family, whose metrics are measured together. For members of reco_monitor';

GRANT USAGE ON SCHEMA @extschema@ TO reco_monitor;
GRANT SELECT ON metrics TO reco_monitor;
