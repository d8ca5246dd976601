-- What ALTER EXTENSION pg_recommend UPDATE does to a catalog of version 0.1.0: it leaves the objects that version 0.2.0 has
-- in sql/. Written by hand, below the file of sql/ that the statement belongs to; docs/releasing.md says what to write.

\echo Use "ALTER EXTENSION pg_recommend UPDATE" to load this file. \quit

-- sql/catalog.sql

ALTER TABLE run_candidate ADD COLUMN cut_offs jsonb;
COMMENT ON COLUMN run_candidate.cut_offs IS 'Of rolling validation: metrics on each earlier stretch of validation rows, the newest first';

ALTER TABLE version ADD COLUMN measured_artifact_id uuid UNIQUE;
COMMENT ON COLUMN version.measured_artifact_id IS 'Where the weights were trained once more on all rows: those before, of which the metrics are, and by which versions are compared';

COMMENT ON COLUMN version.run_id IS 'The run that made it; NULL of one that was imported or calibrated';
COMMENT ON COLUMN run_metric.epoch IS 'From 1; of boosted trees the tree; trees of several sizes or outputs count on from each other, as networks that are averaged do';

-- sql/encoders.sql

-- sql/evaluation.sql

COMMENT ON FUNCTION lift(text, regclass, name, integer, name, integer, date, date) IS
'The rows of a table or view by a version''s rank in equal shares, deciles unless said otherwise, with their rates, lift and
gain; see the type reco.lift_bucket.
Of all rows, and of each value of the column by. The other arguments, rights and bounds are those of reco.evaluate; the model
must be one of probabilities.';

-- sql/feature_view.sql

-- sql/catalog_views.sql

CREATE OR REPLACE VIEW versions WITH (security_barrier) AS
SELECT v.model, v.version, v.algorithm,
       ARRAY(SELECT a.alias FROM alias a WHERE a.model = v.model AND a.version = v.version ORDER BY a.alias) AS aliases,
       figure(v.metrics, '{test,model,auroc}') AS test_auroc,
       figure(v.metrics, '{test,popularity,auroc}') AS test_auroc_popularity,
       shown_metrics(v.metrics, p.trains) AS metrics,
       CASE WHEN p.trains THEN v.parameters END AS parameters,
       CASE WHEN p.trains THEN v.recipe END AS recipe,
       CASE WHEN p.trains THEN v.data END AS data,
       coalesce((SELECT feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by)
                 FROM feature_view f WHERE f.view_id = v.source_view),
                relation_name(v.source_schema, v.source_name)) AS source, v.keys, v.time_column, v.label, v.libraries, v.seconds, v.trained_by, v.trained_at, v.run_id,
       CASE WHEN v.artifact_id IS NULL THEN 'archived' WHEN v.run_id IS NOT NULL THEN 'trained'
            WHEN v.data ? 'calibration' THEN 'calibrated' ELSE 'imported' END AS status
FROM version v CROSS JOIN LATERAL (SELECT has_model_privilege(v.model, 'train') AS trains) p
WHERE has_model_privilege(v.model, 'score');
COMMENT ON VIEW versions IS 'The versions of models that one may score with: aliases, metrics, lineage and status (trained, imported, calibrated or archived). Parameters, recipe, data, the importance of columns and the metrics by region are shown to those who may train';

CREATE OR REPLACE VIEW run_candidates WITH (security_barrier) AS
SELECT c.run_id, r.model, c.algorithm, c.validation, c.test, c.best_epoch, c.fitted, c.seconds, c.error,
       coalesce(c.algorithm = v.algorithm, false) AS kept, v.version, c.cut_offs
FROM run_candidate c JOIN runs r USING (run_id) LEFT JOIN version v ON v.run_id = c.run_id;

CREATE FUNCTION more_is_better(metric text) RETURNS boolean
IMMUTABLE STRICT PARALLEL SAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'more_is_better_wrapper';
COMMENT ON FUNCTION more_is_better(text) IS 'Whether a higher value of a metric is better; an error where no metric has the name';

CREATE FUNCTION leaderboard(model text, metric text)
RETURNS TABLE (version integer, run_id uuid, algorithm text, champion boolean, auroc double precision,
               average_precision double precision, log_loss double precision, rmse double precision,
               mae double precision, pinball double precision, test_auroc double precision,
               test_average_precision double precision, test_rmse double precision, seconds double precision,
               error text, k integer, precision_at_k double precision, recall_at_k double precision,
               expected_at_k double precision, positives_at_k double precision,
               test_precision_at_k double precision, test_recall_at_k double precision,
               test_expected_at_k double precision, test_positives_at_k double precision)
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT v.version, v.run_id, v.algorithm, coalesce('champion' OPERATOR(pg_catalog.=) ANY (v.aliases), false),
           m.auroc, m.average_precision, m.log_loss, m.rmse, m.mae, m.pinball,
           t.auroc, t.average_precision, t.rmse, v.seconds, v.error, coalesce(m.k, t.k),
           m.precision_at_k, m.recall_at_k, m.expected_at_k, m.positives_at_k,
           t.precision_at_k, t.recall_at_k, t.expected_at_k, t.positives_at_k
    FROM (
        SELECT version, run_id, algorithm, aliases, metrics OPERATOR(pg_catalog.#>) '{validation,model}' AS validation,
               metrics OPERATOR(pg_catalog.#>) '{test,model}' AS test, seconds, NULL AS error
        FROM @extschema@.versions
        WHERE model OPERATOR(pg_catalog.=) $1
        UNION ALL
        SELECT NULL, run_id, algorithm, NULL, validation, test, seconds, error
        FROM @extschema@.run_candidates
        WHERE model OPERATOR(pg_catalog.=) $1 AND NOT kept
    ) AS v,
    LATERAL (SELECT @extschema@.figure(v.validation, '{auroc}'), @extschema@.figure(v.validation, '{average_precision}'),
                    @extschema@.figure(v.validation, '{log_loss}'), @extschema@.figure(v.validation, '{rmse}'),
                    @extschema@.figure(v.validation, '{mae}'), @extschema@.figure(v.validation, '{pinball}'),
                    @extschema@.whole_figure(v.validation, '{k}'),
                    @extschema@.figure(v.validation, '{precision_at_k}'), @extschema@.figure(v.validation, '{recall_at_k}'),
                    @extschema@.figure(v.validation, '{expected_at_k}'), @extschema@.figure(v.validation, '{positives_at_k}'),
                    @extschema@.figure(v.validation, ARRAY[$2])
            ) AS m (auroc, average_precision, log_loss, rmse, mae, pinball, k, precision_at_k, recall_at_k, expected_at_k,
                    positives_at_k, asked),
    LATERAL (SELECT @extschema@.figure(v.test, '{auroc}'), @extschema@.figure(v.test, '{average_precision}'),
                    @extschema@.figure(v.test, '{rmse}'), @extschema@.whole_figure(v.test, '{k}'),
                    @extschema@.figure(v.test, '{precision_at_k}'), @extschema@.figure(v.test, '{recall_at_k}'),
                    @extschema@.figure(v.test, '{expected_at_k}'), @extschema@.figure(v.test, '{positives_at_k}')
            ) AS t (auroc, average_precision, rmse, k, precision_at_k, recall_at_k, expected_at_k, positives_at_k)
    -- The least is the best.
    ORDER BY CASE WHEN $2 IS NULL THEN coalesce(OPERATOR(pg_catalog.-) m.average_precision, m.rmse)
                  WHEN @extschema@.more_is_better($2) THEN OPERATOR(pg_catalog.-) m.asked
                  ELSE m.asked END NULLS LAST, v.version
$$;
COMMENT ON FUNCTION leaderboard(text, text) IS
'Every version of a model, and the candidates that did not become one, by a metric on validation rows, the best first. metric: a
value of the training parameter metric; NULL takes average_precision, or rmse. Columns that begin with test_ are of the test
rows, the others of the validation rows. Those that end with at_k are of lists, the k rows of a region and week with the highest
scores: precision_at_k of them came true, a mean over the lists; they hold recall_at_k of all that came true; expected_at_k is
the sum of their probabilities, positives_at_k how many came true, both a mean over the lists.';

CREATE OR REPLACE FUNCTION leaderboard(model text)
RETURNS TABLE (version integer, run_id uuid, algorithm text, champion boolean, auroc double precision,
               average_precision double precision, log_loss double precision, rmse double precision,
               mae double precision, pinball double precision, test_auroc double precision,
               test_average_precision double precision, test_rmse double precision, seconds double precision,
               error text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT version, run_id, algorithm, champion, auroc, average_precision, log_loss, rmse, mae, pinball,
           test_auroc, test_average_precision, test_rmse, seconds, error
    FROM @extschema@.leaderboard($1, NULL)
    ORDER BY average_precision DESC NULLS LAST, rmse, version
$$;
COMMENT ON FUNCTION leaderboard(text) IS 'Every version of a model, and the candidates that did not become one, by average precision (of regressions by root mean squared error) on validation rows, the best first; columns that begin with test_ are of the test rows. With a metric as second argument by that one, and with the figures of lists';

-- sql/ab_test.sql

-- sql/features.sql

-- sql/models.sql

CREATE PROCEDURE wait_for(model text, version integer, alias text DEFAULT 'champion', time_limit interval DEFAULT '1 minute')
LANGUAGE c AS 'MODULE_PATHNAME', 'wait_for_wrapper';
COMMENT ON PROCEDURE wait_for(text, integer, text, interval) IS
'Waits until this server sees a version as the champion of a model (or under another alias; alias NULL: until the version is
stored), for a deployment: on a standby that is when what was committed on the primary has been replayed. An error after
time_limit; one of 0 or less looks once. A model that is not there yet is waited for as well. Holds no snapshot and no lock while
it waits, so it cannot run inside a transaction block. For those who may score with the model.';

CREATE FUNCTION export_model(model text, version integer, format text) RETURNS bytea
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'export_model_as_wrapper';
COMMENT ON FUNCTION export_model(text, integer, text) IS
'The same in a format: safetensors, or onnx for programs that run models where there is no PostgreSQL. As ONNX it is one graph with
an input for each column and the outputs score and, of a quantity, quantiles, which are those of predict() and
predict_quantiles(); the page "Models" of the documentation says what goes in for NULL. An error for the popularity
baseline, for a category that has the value <NULL>, and where the file would have a gigabyte or more.';

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

-- sql/monitoring.sql

ALTER TABLE monitored_column
    ADD COLUMN psi_usual double precision,
    ADD COLUMN level text CHECK (level IN ('warning', 'alarm'));
COMMENT ON COLUMN monitored_column.psi_usual IS 'The most that it was in earlier weeks in which the model was good';
COMMENT ON COLUMN monitored_column.level IS 'Of what the drift was a reason when the week was the newest; NULL of nothing';

CREATE OR REPLACE VIEW drift WITH (security_barrier) AS
SELECT c.model, c.week, c.version, c.column_name, c.column_name IS NULL AS is_score, c.rows, c.importance, c.psi,
       c.psi_chance, c.jensen_shannon, c.nulls, c.nulls_trained, c.unseen, c.unseen_trained, c.lowest, c.highest,
       c.lowest_trained, c.highest_trained, c.outside, c.note, c.psi_usual, c.level
FROM monitored_column c
WHERE has_model_privilege(c.model, 'train')
ORDER BY c.model, c.week DESC, c.psi * greatest(c.importance, 0) DESC NULLS LAST, c.psi DESC NULLS LAST, c.position;

-- sql/ranking.sql

-- sql/report.sql

-- sql/retraining.sql

COMMENT ON FUNCTION promote_if_better(text, integer, text, double precision) IS
'Makes a version the champion if it is better than the present one, and says how good both are. They are measured on the same
rows: those of their source that neither was trained on, which are the ones from the later of the days on which their test rows
begin (of a version without test rows, the day after its last row), as far as labels are known. Rows are read with the
caller''s rights. metric: average_precision, auroc, log_loss or precision_at_k (of lists, by the candidate''s parameter k); of
quantities rmse, mae or pinball; NULL takes average_precision, or rmse. min_gain: by how much the candidate must be better, in units of the metric; at 0 by anything at all. gain: by how
much it is, below 0 where it is worse. The promotion stands in history and audit with its reason. An error where versions have
different sources, labels, time columns or tasks, where there are no such rows, or where the champion changed meanwhile.
For those who manage the model.';

-- sql/schedule.sql

-- sql/metrics.sql

CREATE OR REPLACE VIEW metric_definitions (family, name, type, labels, help) AS VALUES
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

CREATE OR REPLACE VIEW metrics AS
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

-- sql/scoring.sql

-- sql/training.sql

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

-- sql/lake.sql

CREATE TABLE lake_file (
    table_schema  name NOT NULL,
    table_name    name NOT NULL,
    uri           text COLLATE "C" NOT NULL,
    etag          text NOT NULL,
    bytes         bigint NOT NULL,
    rows          bigint NOT NULL,
    loaded_by     name NOT NULL DEFAULT session_user,
    loaded_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_schema, table_name, uri)
);
COMMENT ON TABLE lake_file IS 'The files that load_parquet() has loaded, by the table that they went into: what new_files leaves out';
COMMENT ON COLUMN lake_file.table_schema IS 'Schema of the table, as it was called then';
COMMENT ON COLUMN lake_file.etag IS 'What the store calls the content that was loaded';
COMMENT ON COLUMN lake_file.rows IS 'How many rows the file had';

SELECT pg_catalog.pg_extension_config_dump('lake_file', '');

CREATE VIEW loaded_files WITH (security_barrier) AS
SELECT table_schema, table_name, uri, etag, bytes, rows, loaded_by, loaded_at
FROM @extschema@.lake_file
WHERE pg_catalog.has_table_privilege(
    pg_catalog.to_regclass(pg_catalog.format('%I.%I', table_schema, table_name)), 'SELECT');
COMMENT ON VIEW loaded_files IS 'The files that load_parquet() has loaded into tables that one may read: where from, which content, how many rows, when, by whom';
GRANT SELECT ON loaded_files TO PUBLIC;

CREATE PROCEDURE load_parquet(
    relation  regclass,
    uri       text,
    columns   jsonb  DEFAULT NULL,
    mode      text   DEFAULT 'append')
LANGUAGE c AS 'MODULE_PATHNAME', 'load_parquet_wrapper';
COMMENT ON PROCEDURE load_parquet(regclass, text, jsonb, text) IS
'Loads Parquet files into a table, as COPY would: with its defaults, triggers and constraints, and with the caller''s right to
INSERT. All or nothing, in the caller''s transaction.
relation: the table. uri: a file, a folder with all below it, or a pattern (*, ?, [a-z], and ** for folders) under file:///,
abfss://container@account.dfs.core.windows.net/, az://container/, s3://bucket/ or gs://bucket/; folders such as week=2024-01-01
are columns too. columns: a JSON object of the table''s columns, each with that of the files; NULL takes those that have the
same name. mode: append; replace, which deletes the table''s rows and has its files forgotten before; new_files, which leaves
out those that were loaded, and refuses one that has changed since.
For members of reco_lake_read, under the prefixes of reco.lake_prefixes; file:/// for superusers and pg_read_server_files.
Notices say how far it is, and pg_stat_progress_copy to others.';

CREATE PROCEDURE save_parquet(
    source        text,
    uri           text,
    partition_by  name[]   DEFAULT NULL,
    replace       boolean  DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'save_parquet_wrapper';
COMMENT ON PROCEDURE save_parquet(text, text, name[], boolean) IS
'Writes the rows of a relation or a query into Parquet files, read with the caller''s rights. Nothing is seen before all is
written.
source: the name of a table or view, or a query that begins with SELECT, WITH, VALUES or TABLE. uri: a file, which ends with
.parquet, or a folder, into which one or more are written; schemes as load_parquet takes them. partition_by: columns whose
values go into the names of folders, such as week=2024-01-01, and not into the files. replace: whether a file that is there may
be replaced; a folder must be new or empty.
For members of reco_lake_write, under the prefixes of reco.lake_prefixes; file:/// for superusers and pg_write_server_files.';

-- Roles belong to all databases of a server, so that another database may have made them.
DO $$
DECLARE
    gate text;
BEGIN
    FOREACH gate IN ARRAY ARRAY['reco_lake_read', 'reco_lake_write'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) gate) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', gate);
        END IF;
        EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA @extschema@ TO %I', gate);
    END LOOP;
END
$$;
REVOKE EXECUTE ON PROCEDURE load_parquet(regclass, text, jsonb, text), save_parquet(text, text, name[], boolean) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE load_parquet(regclass, text, jsonb, text) TO reco_lake_read;
GRANT EXECUTE ON PROCEDURE save_parquet(text, text, name[], boolean) TO reco_lake_write;

-- sql/setup.sql

-- What scoring reads, and no more: subscribers score, and whoever publishes keeps the runs, the history and the weeks.
CREATE FUNCTION publish_catalog() RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
    CREATE PUBLICATION reco_catalog FOR TABLE
        @extschema@.model, @extschema@.version, @extschema@.artifact, @extschema@.artifact_chunk, @extschema@.alias,
        @extschema@.model_privilege, @extschema@.ab_test, @extschema@.ab_arm, @extschema@.feature_view;
$$;
COMMENT ON FUNCTION publish_catalog() IS
'Makes the publication reco_catalog of the tables that scoring reads, for servers that score with this server''s models: workers
of Citus, shards. Each subscribes with CREATE SUBSCRIPTION, under a name of its own; its catalog must be empty before. It scores
from then on, and refuses to change the catalog. For superusers: only they may publish tables that they do not own.';

GRANT SELECT ON lake_file TO pg_database_owner;
