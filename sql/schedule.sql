-- Schedules: what is to be done at which times, as whom, and every attempt at it. Something outside has to call run_due() once a
-- minute: pg_cron, a timer of the system, a CronJob.

CREATE TABLE schedule (
    kind          text COLLATE "C" NOT NULL CHECK (kind IN ('refresh', 'retraining', 'monitoring')),
    subject       text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    expression    text NOT NULL,
    time_zone     text NOT NULL,
    owner         name NOT NULL,
    arguments     jsonb NOT NULL,
    retries       integer NOT NULL CHECK (retries >= 0),
    retry_delay   interval NOT NULL,
    timeout       interval NOT NULL,
    next_run      timestamptz NOT NULL,
    attempt       integer NOT NULL DEFAULT 0,
    run_id        uuid,
    waits_for     text,
    last_run      timestamptz,
    last_outcome  text,
    failures      integer NOT NULL DEFAULT 0,
    paused_at     timestamptz,
    pause_reason  text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, subject)
);
COMMENT ON TABLE schedule IS 'What is to be done at which times, and as which role';
COMMENT ON COLUMN schedule.subject IS 'The model; of a refresh the id of the feature view, which is found wherever its table is';
COMMENT ON COLUMN schedule.name IS 'What it was called when it was scheduled';
COMMENT ON COLUMN schedule.expression IS 'Five fields of cron: minute, hour, day of the month, month, day of the week';
COMMENT ON COLUMN schedule.owner IS 'The role that scheduled it, with whose rights it runs';
COMMENT ON COLUMN schedule.arguments IS 'What the procedure is called with, besides the subject';
COMMENT ON COLUMN schedule.next_run IS 'When it is to be tried next, at its regular time or again; it stays in the past while it waits';
COMMENT ON COLUMN schedule.attempt IS 'Attempts that failed since its regular time';
COMMENT ON COLUMN schedule.run_id IS 'The attempt under way, a row of schedule_run';
COMMENT ON COLUMN schedule.waits_for IS 'Why it has not begun although its time has come';
COMMENT ON COLUMN schedule.failures IS 'How often in a row it failed for good, with all its retries';
COMMENT ON COLUMN schedule.paused_at IS 'Since when nothing is tried; NULL where it is not paused';

CREATE TABLE schedule_run (
    run_id        uuid PRIMARY KEY,
    kind          text COLLATE "C" NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    owner         name NOT NULL,
    attempt       integer NOT NULL,
    due_at        timestamptz NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at   timestamptz,
    status        text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled')),
    error         text,
    sqlstate      text,
    pid           integer,
    worker_start  timestamptz
);
COMMENT ON TABLE schedule_run IS 'One row for each attempt of a schedule, as far back as reco.max_schedule_history says';
COMMENT ON COLUMN schedule_run.attempt IS 'From 1: how often it was tried since its regular time';
COMMENT ON COLUMN schedule_run.due_at IS 'When its time had come';
COMMENT ON COLUMN schedule_run.pid IS 'The background worker; NULL until it has begun';
COMMENT ON COLUMN schedule_run.worker_start IS 'When that process began: another may have its number by now';
CREATE INDEX schedule_run_subject ON schedule_run (kind, subject, started_at);
CREATE INDEX schedule_run_finished ON schedule_run (finished_at);

-- When run_due() was called last. It is no part of a dump: a copy of the database is called by nobody yet.
CREATE TABLE schedule_call (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    called_at  timestamptz NOT NULL,
    called_by  name NOT NULL
);
COMMENT ON TABLE schedule_call IS 'When run_due() was called last while there were schedules, and by whom: one row';

SELECT pg_catalog.pg_extension_config_dump('schedule', '');
SELECT pg_catalog.pg_extension_config_dump('schedule_run', '');

-- A worker that has not begun a minute after it was started will not begin. Whoever may not see when others' processes began
-- goes by their number alone. A standby does not see the primary's workers.
CREATE FUNCTION schedule_run_is_alive(started_at timestamptz, pid integer, worker_start timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT pg_catalog.pg_is_in_recovery() OR CASE
        WHEN pid IS NULL
        THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.<) (started_at OPERATOR(pg_catalog.+) '1 minute'::pg_catalog.interval)
        ELSE EXISTS (
            SELECT FROM pg_catalog.pg_stat_activity AS a
            WHERE a.pid OPERATOR(pg_catalog.=) $2
              AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
              AND coalesce(a.backend_start OPERATOR(pg_catalog.=) worker_start, true)) END
$$;
COMMENT ON FUNCTION schedule_run_is_alive(timestamptz, integer, timestamptz) IS 'Whether the background worker of an attempt still exists; true on a standby, which cannot know';

CREATE VIEW schedules WITH (security_barrier) AS
SELECT s.kind,
       CASE s.kind WHEN 'refresh' THEN coalesce(v.view, s.name) ELSE s.subject END AS subject,
       s.expression AS schedule, s.time_zone, s.owner,
       CASE WHEN s.paused_at IS NULL THEN s.next_run END AS next_run,
       r.started_at AS running_since, s.waits_for, s.last_run, s.last_outcome,
       CASE WHEN s.paused_at IS NULL THEN greatest(1 + s.retries - s.attempt, 0) END AS attempts_left, s.failures,
       s.paused_at IS NOT NULL AS paused, s.pause_reason, s.paused_at, s.retries, s.retry_delay, s.timeout, s.arguments, s.created_at
FROM schedule s
LEFT JOIN schedule_run r ON r.run_id = s.run_id AND r.status = 'running'
                        AND schedule_run_is_alive(r.started_at, r.pid, r.worker_start)
LEFT JOIN LATERAL (
    SELECT feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by) AS view,
           feature_view_table(f.view_id, f.table_schema, f.table_name, f.created_by) AS oid
    FROM feature_view f WHERE s.kind = 'refresh' AND f.view_id::text = s.subject) v ON true
-- Its owner, and for models those who may train them; is_own_feature_view() knows members and superusers as well.
WHERE is_own_feature_view(v.oid, s.owner)
   OR EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = s.owner AND pg_has_role(o.oid, 'USAGE'))
   OR (s.kind <> 'refresh' AND has_model_privilege(s.subject, 'train'));
COMMENT ON VIEW schedules IS 'Schedules: when each runs next or since when it runs, why it waits or is paused, how it ended last, how many attempts are left of this time, and how often in a row it failed for good. Shown to the role that owns it and its members, and to those who may train the model or own the view';

CREATE VIEW schedule_runs WITH (security_barrier) AS
SELECT r.run_id, r.kind, CASE r.kind WHEN 'refresh' THEN coalesce(v.view, r.name) ELSE r.subject END AS subject,
       r.owner, r.attempt, r.due_at, r.started_at, r.finished_at,
       extract(epoch FROM r.finished_at - r.started_at)::double precision AS seconds,
       CASE WHEN a.lost THEN 'failed' ELSE r.status END AS status,
       CASE WHEN a.lost THEN 'the background worker ended without a word' ELSE r.error END AS error, r.sqlstate, r.pid
FROM schedule_run r
CROSS JOIN LATERAL (
    SELECT r.status = 'running' AND NOT schedule_run_is_alive(r.started_at, r.pid, r.worker_start) AS lost) a
LEFT JOIN LATERAL (
    SELECT feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by) AS view,
           feature_view_table(f.view_id, f.table_schema, f.table_name, f.created_by) AS oid
    FROM feature_view f WHERE r.kind = 'refresh' AND f.view_id::text = r.subject) v ON true
LEFT JOIN model m ON r.kind <> 'refresh' AND m.model = r.subject
WHERE is_own_feature_view(v.oid, r.owner)
   OR EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = r.owner AND pg_has_role(o.oid, 'USAGE'))
   OR (r.started_at >= m.begun_at AND has_model_privilege(r.subject, 'train'));
COMMENT ON VIEW schedule_runs IS 'Every attempt of a schedule: when it was due, how long it took, and how it ended. Shown to whom reco.schedules shows the schedule';

GRANT SELECT ON schedules, schedule_runs TO PUBLIC;

CREATE FUNCTION schedule_refresh(
    view        regclass,
    schedule    text,
    lookback    integer  DEFAULT NULL,
    time_zone   text     DEFAULT NULL,
    retries     integer  DEFAULT 2,
    retry_delay interval DEFAULT '5 minutes',
    timeout     interval DEFAULT '6 hours')
RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'schedule_refresh_wrapper';
COMMENT ON FUNCTION schedule_refresh(regclass, text, integer, text, integer, interval, interval) IS
'Calls refresh_features(view, lookback) at the times of a schedule, as the current role; returns the first of them. schedule: a
cron expression of five fields, such as ''0 4 * * mon''. time_zone: in which it is meant, an IANA name; the session''s. retries:
how often a failed attempt is repeated before the next regular time, 0 to 20. retry_delay: before the first repetition, and twice
as long before each further one, a day at most. timeout: of each attempt, 1 second to 7 days. Replaces the view''s schedule
where the caller owns that. The role must be able to log in. For members of the view''s owner.';

CREATE FUNCTION schedule_retraining(
    model       text,
    schedule    text,
    metric      text             DEFAULT NULL,
    min_gain    double precision DEFAULT 0,
    refresh     boolean          DEFAULT true,
    time_zone   text             DEFAULT NULL,
    retries     integer          DEFAULT 2,
    retry_delay interval         DEFAULT '5 minutes',
    timeout     interval         DEFAULT '6 hours')
RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'schedule_retraining_wrapper';
COMMENT ON FUNCTION schedule_retraining(text, text, text, double precision, boolean, text, integer, interval, interval) IS
'Calls retrain(model, metric, min_gain, refresh) at the times of a schedule, as the current role, and after the refresh of the
feature views that the model reads; returns the first of them. schedule, time_zone, retries, retry_delay and timeout are those of
schedule_refresh(). While another session retrains the model it waits, without an attempt. Replaces the model''s
schedule of this kind where the caller owns that. For those who may train the model.';

CREATE FUNCTION schedule_monitoring(
    model       text,
    schedule    text,
    time_zone   text     DEFAULT NULL,
    retries     integer  DEFAULT 2,
    retry_delay interval DEFAULT '5 minutes',
    timeout     interval DEFAULT '6 hours')
RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'schedule_monitoring_wrapper';
COMMENT ON FUNCTION schedule_monitoring(text, text, text, integer, interval, interval) IS
'Calls monitor(model) at the times of a schedule, as the current role, and after the refresh of the feature views that the model
reads and its retraining; returns the first of them. schedule, time_zone, retries, retry_delay and timeout are those of
schedule_refresh(). Replaces the model''s schedule of this kind where the caller owns that. For those who may train the model.';

CREATE FUNCTION unschedule(kind text, subject text) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'unschedule_wrapper';
COMMENT ON FUNCTION unschedule(text, text) IS
'Ends a schedule. kind: refresh, retraining or monitoring; subject: the model or the feature view, as reco.schedules has both. An
attempt under way goes on to its end. The last schedule takes pg_cron''s job with it where it is the caller''s. For the schedule''s
owner, and for those who manage the model or own the view.';

CREATE FUNCTION pause_schedule(kind text, subject text, reason text DEFAULT NULL) RETURNS void
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'pause_schedule_wrapper';
COMMENT ON FUNCTION pause_schedule(text, text, text) IS
'Lets the times of a schedule pass until resume_schedule(). reason: shown in reco.schedules. An attempt under way goes on to its
end. For whom unschedule() is.';

CREATE FUNCTION resume_schedule(kind text, subject text) RETURNS timestamptz
VOLATILE PARALLEL UNSAFE
LANGUAGE c AS 'MODULE_PATHNAME', 'resume_schedule_wrapper';
COMMENT ON FUNCTION resume_schedule(text, text) IS
'Goes on with a schedule that is paused, whatever paused it, and returns its next time: what passed meanwhile is not made up for.
For whom unschedule() is.';

CREATE PROCEDURE run_due(wait boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', 'run_due_wrapper';
COMMENT ON PROCEDURE run_due(boolean) IS
'Starts what is due of all schedules, each in a background worker of its own as the role that scheduled it, at most
reco.max_scheduled_runs at once; to be called once a minute. What was due several times while nobody called runs once. A view is
refreshed before those that read it and the models trained from it, a model is retrained before it is monitored; one waits for the other as
long as that is due, runs or is tried again, but for a day at most, and not past its own next regular time. Attempts whose worker
is gone are failed ones. A schedule is paused whose role, model, view or privilege is gone. wait: return only once nothing
runs. On a standby it does nothing. Not inside a transaction. Anybody may call it: it starts only what the owners of schedules
have asked for.';
