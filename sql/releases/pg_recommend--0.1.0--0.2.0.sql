-- What ALTER EXTENSION pg_recommend UPDATE does to a catalog of version 0.1.0: it leaves the objects that version 0.2.0 has
-- in sql/. Written by hand, below the file of sql/ that the statement belongs to; docs/releasing.md says what to write.

\echo Use "ALTER EXTENSION pg_recommend UPDATE" to load this file. \quit

-- sql/catalog.sql

-- sql/encoders.sql

-- sql/evaluation.sql

-- sql/feature_view.sql

-- sql/catalog_views.sql

-- sql/ab_test.sql

-- sql/features.sql

-- sql/models.sql

-- sql/monitoring.sql

-- sql/ranking.sql

-- sql/report.sql

-- sql/retraining.sql

-- sql/schedule.sql

-- sql/metrics.sql

-- sql/scoring.sql

-- sql/training.sql

-- sql/setup.sql
