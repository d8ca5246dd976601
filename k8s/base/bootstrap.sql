-- Run once, as a superuser in the database of the applications, when the first instance is made. A restored cluster has all of it
-- in its backup.

CREATE EXTENSION pg_recommend;

-- Who owns the data owns the models, refreshes and retrains.
GRANT USAGE ON SCHEMA reco TO app;

-- Members score with what they are granted: SELECT reco.grant_model('launch', 'reco_scoring', 'score').
CREATE ROLE reco_scoring NOLOGIN;
GRANT USAGE ON SCHEMA reco TO reco_scoring;

-- Members train elsewhere: they read the rows they are granted, and import versions of models that they may train or manage.
CREATE ROLE reco_training NOLOGIN;
GRANT USAGE ON SCHEMA reco TO reco_training;

-- The operator reads metrics as pg_monitor.
GRANT reco_monitor TO pg_monitor;
