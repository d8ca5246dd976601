-- Whether what a model says of new weeks is still as good as it was on its test rows, and whether the rows are still like
-- those that it was trained on.

-- What a training has seen, in a few hundred bytes a column: written with the version, and as immutable.
CREATE TABLE version_histogram (
    model        text COLLATE "C" NOT NULL,
    version      integer NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    column_name  text COLLATE "C",
    histogram    jsonb NOT NULL,
    PRIMARY KEY (model, version, position)
);
COMMENT ON TABLE version_histogram IS 'The values of each input over the training rows of a version, and its scores of the test rows';
COMMENT ON COLUMN version_histogram.position IS 'From 0, in the order of the recipe';
COMMENT ON COLUMN version_histogram.column_name IS 'NULL of the scores';

CREATE TABLE monitored_week (
    model        text COLLATE "C" NOT NULL,
    week         date NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    region       text COLLATE "C",
    version      integer,
    served       boolean NOT NULL,
    rows         bigint NOT NULL,
    unlabelled   bigint,
    positives    bigint,
    mean_label   double precision,
    mean_score   double precision,
    auroc        double precision,
    auroc_error  double precision,
    average_precision double precision,
    log_loss     double precision,
    brier        double precision,
    calibration_error double precision,
    calibration_chance double precision,
    test_calibration_error double precision,
    calibration_slope double precision,
    calibration_intercept double precision,
    rmse         double precision,
    mae          double precision,
    shown        bigint,
    outcomes     bigint,
    bought       bigint,
    new_region   boolean,
    problem      text,
    note         text,
    measured_by  name NOT NULL,
    measured_at  timestamptz NOT NULL,
    judged_at    timestamptz,
    PRIMARY KEY (model, week, position)
);
COMMENT ON TABLE monitored_week IS 'How good a model was, by week and region; position 0 is of all regions';
COMMENT ON COLUMN monitored_week.version IS 'The champion at the end of the week; NULL where there was none';
COMMENT ON COLUMN monitored_week.served IS 'False of weeks before the first champion, which that one is judged on instead';
COMMENT ON COLUMN monitored_week.rows IS 'Rows with a label';
COMMENT ON COLUMN monitored_week.auroc_error IS 'Its standard error';
COMMENT ON COLUMN monitored_week.calibration_chance IS 'About what the calibration error is by chance';
COMMENT ON COLUMN monitored_week.judged_at IS 'NULL while the outcome is not known, or where it could not be judged';

CREATE TABLE monitored_column (
    model        text COLLATE "C" NOT NULL,
    week         date NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    column_name  text COLLATE "C",
    version      integer NOT NULL,
    rows         bigint NOT NULL,
    importance   double precision,
    psi          double precision,
    psi_chance   double precision,
    jensen_shannon double precision,
    nulls        double precision,
    nulls_trained double precision,
    unseen       double precision,
    unseen_trained double precision,
    lowest       double precision,
    highest      double precision,
    lowest_trained double precision,
    highest_trained double precision,
    outside      double precision,
    note         text,
    psi_usual    double precision,
    level        text CHECK (level IN ('warning', 'alarm')),
    PRIMARY KEY (model, week, position)
);
COMMENT ON TABLE monitored_column IS 'How far the values of each input, and the scores, of a week are from those of training';
COMMENT ON COLUMN monitored_column.column_name IS 'NULL of the scores';
COMMENT ON COLUMN monitored_column.note IS 'Why there is no drift, or why it is no reason for the status';
COMMENT ON COLUMN monitored_column.psi_chance IS 'What the PSI exceeds by chance once in a thousand times';
COMMENT ON COLUMN monitored_column.psi_usual IS 'The most that it was in earlier weeks in which the model was good';
COMMENT ON COLUMN monitored_column.level IS 'Of what the drift was a reason when the week was the newest; NULL of nothing';

CREATE TABLE monitored_model (
    model        text COLLATE "C" PRIMARY KEY,
    settings     jsonb NOT NULL,
    status       text CHECK (status IN ('ok', 'warning', 'alarm')),
    reasons      jsonb,
    since        timestamptz,
    newest_week  date,
    complete_week date,
    monitored_by name,
    monitored_at timestamptz
);
COMMENT ON TABLE monitored_model IS 'Thresholds and status of the models that are monitored';
COMMENT ON COLUMN monitored_model.settings IS 'Those that differ from the defaults';
COMMENT ON COLUMN monitored_model.newest_week IS 'Of the champion''s source, when it was monitored last';
COMMENT ON COLUMN monitored_model.complete_week IS 'The newest week that the source could have had then, if it is a feature view that knows';

SELECT pg_catalog.pg_extension_config_dump('version_histogram', '');
SELECT pg_catalog.pg_extension_config_dump('monitored_week', '');
SELECT pg_catalog.pg_extension_config_dump('monitored_column', '');
SELECT pg_catalog.pg_extension_config_dump('monitored_model', '');

CREATE VIEW monitoring WITH (security_barrier) AS
SELECT w.model, w.week, w.region, w.position > 0 AS is_region, w.version, w.served, w.rows, w.unlabelled, w.positives,
       w.mean_label, w.mean_score, w.auroc, figure(v.metrics, t.of || '{auroc}'::text[]) AS test_auroc,
       w.average_precision, figure(v.metrics, t.of || '{average_precision}'::text[]) AS test_average_precision,
       w.log_loss, figure(v.metrics, t.of || '{log_loss}'::text[]) AS test_log_loss, w.brier,
       w.calibration_error, w.test_calibration_error, w.calibration_slope, w.calibration_intercept,
       w.rmse, figure(v.metrics, t.of || '{rmse}'::text[]) AS test_rmse,
       w.mae, figure(v.metrics, t.of || '{mae}'::text[]) AS test_mae,
       w.shown, w.outcomes, w.bought, w.new_region,
       CASE WHEN p.trains THEN w.problem END AS problem, CASE WHEN p.trains THEN w.note END AS note,
       w.measured_by, w.measured_at, w.judged_at
FROM monitored_week w CROSS JOIN LATERAL (SELECT has_model_privilege(w.model, 'train') AS trains) p
     LEFT JOIN version v ON v.model = w.model AND v.version = w.version
     CROSS JOIN LATERAL (SELECT CASE WHEN w.position = 0 THEN '{test,model}'::text[]
                                     ELSE ARRAY['by', v.keys[2], w.region] END AS of) t
WHERE has_model_privilege(w.model, 'score') AND (w.position = 0 OR p.trains);
COMMENT ON VIEW monitoring IS 'How good each model was, by week, of all rows (is_region false) and by region, beside its test rows. Regions, problems and notes are shown to those who may train the model';

CREATE VIEW drift WITH (security_barrier) AS
SELECT c.model, c.week, c.version, c.column_name, c.column_name IS NULL AS is_score, c.rows, c.importance, c.psi,
       c.psi_chance, c.jensen_shannon, c.nulls, c.nulls_trained, c.unseen, c.unseen_trained, c.lowest, c.highest,
       c.lowest_trained, c.highest_trained, c.outside, c.note, c.psi_usual, c.level
FROM monitored_column c
WHERE has_model_privilege(c.model, 'train')
ORDER BY c.model, c.week DESC, c.psi * greatest(c.importance, 0) DESC NULLS LAST, c.psi DESC NULLS LAST, c.position;
COMMENT ON VIEW drift IS 'How far the inputs and the scores of each week are from those of training: for a week, drift times importance first. Of models that one may train';

CREATE VIEW health WITH (security_barrier) AS
SELECT m.model, coalesce(h.status, 'unknown') AS status, CASE WHEN p.trains THEN h.reasons END AS reasons, h.since,
       w.week, w.version, w.auroc, w.test_auroc, w.rmse, w.test_rmse,
       (SELECT count(*) FROM monitored_week d WHERE d.model = m.model AND d.position = 0 AND d.judged_at IS NOT NULL) AS weeks_judged,
       (SELECT count(*) FROM monitored_week d WHERE d.model = m.model AND d.position = 0 AND d.judged_at IS NULL
          AND d.version IS NOT NULL AND d.problem IS NULL) AS weeks_waiting,
       h.newest_week,
       CASE WHEN h.newest_week IS NOT NULL
            THEN greatest(0, (coalesce(h.complete_week, date_trunc('week', now() AT TIME ZONE 'UTC')::date - 7) - h.newest_week) / 7)
       END AS features_weeks_behind,
       a.version AS champion, v.trained_at AS champion_trained_at,
       (extract(epoch FROM now() - v.trained_at) / 604800)::integer AS champion_age_weeks, h.monitored_by, h.monitored_at
FROM model m CROSS JOIN LATERAL (SELECT has_model_privilege(m.model, 'train') AS trains) p
     LEFT JOIN monitored_model h ON h.model = m.model
     LEFT JOIN LATERAL (SELECT r.week, r.version, r.auroc, r.test_auroc, r.rmse, r.test_rmse FROM monitoring r
                        WHERE r.model = m.model AND NOT r.is_region AND r.judged_at IS NOT NULL
                        ORDER BY r.week DESC LIMIT 1) w ON true
     LEFT JOIN alias a ON a.model = m.model AND a.alias = 'champion'
     LEFT JOIN version v ON v.model = a.model AND v.version = a.version
WHERE has_model_privilege(m.model, 'score');
COMMENT ON VIEW health IS 'A row for each model that one may score with: its status (ok, warning, alarm, or unknown before it is monitored), the newest week that was judged, and how old its features and its champion are. Reasons are shown to those who may train it';

GRANT SELECT ON monitoring, drift, health TO PUBLIC;

CREATE PROCEDURE monitor(
    model     text,
    from_week date    DEFAULT NULL,
    to_week   date    DEFAULT NULL,
    again     boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'monitor_wrapper';
COMMENT ON PROCEDURE monitor(text, date, date, boolean) IS
'Judges a model on each week of its champions'' sources whose outcome is known and that is not judged yet, and measures the drift of
each week, also of those whose outcome is not known. A week is judged on the version that was champion at its end (00:00 UTC of the
next Monday), weeks before the first champion on that one, as far as it has not seen them. An A/B test changes nothing of that:
its arms are compared by ab_report(). Results are in the views monitoring, drift and health. from_week, to_week: only weeks from
the one to the other. again: also those that were judged before, for labels that changed. Says what it cannot judge; where the
status of the model changes, NOTIFY reco_alarm says so. Rows are read with the caller''s rights and row security. Commits after
each week unless called inside a transaction. Refused while another session monitors the model. For those who may train the model.';

CREATE FUNCTION set_monitoring(model text, settings jsonb) RETURNS jsonb
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'set_monitoring_wrapper';
COMMENT ON FUNCTION set_monitoring(text, jsonb) IS
'Changes thresholds by which a model is monitored, and returns all that are in force. settings: an object with the ones that change:
psi_warning, psi_alarm, least_importance, auroc_drop_warning, auroc_drop_alarm, rmse_rise_warning, rmse_rise_alarm,
calibration_warning, calibration_alarm, features_weeks_warning, features_weeks_alarm, champion_weeks_warning,
champion_weeks_alarm, least_labelled; null in one switches it off; NULL instead of the object brings all defaults back. The status
follows at the next monitor(). For those who manage the model.';
