-- Run after bootstrap.sql: the first schedule that app makes is a job of pg_cron, once a minute.

CREATE EXTENSION pg_cron;
GRANT USAGE ON SCHEMA cron TO app;
