-- What the catalog shows to whom: a model's name, versions and metrics to those who may score with it; runs, and what
-- would tell of the training data, to those who may train it. A superuser sees everything.

-- What was measured is shown as far as it is a number; a row that is damaged hides no other. reco.check_setup() names it.
CREATE FUNCTION figure(stored jsonb, path text[]) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN pg_catalog.jsonb_typeof(f.found) OPERATOR(pg_catalog.<>) 'number' THEN NULL
                WHEN f.found OPERATOR(pg_catalog.=) '0' THEN 0
                WHEN pg_catalog.abs(f.found::pg_catalog.numeric) OPERATOR(pg_catalog.>=) 1e-300
                 AND pg_catalog.abs(f.found::pg_catalog.numeric) OPERATOR(pg_catalog.<=) 1e300
                THEN f.found::pg_catalog.float8 END
    FROM (SELECT stored OPERATOR(pg_catalog.#>) path) AS f (found)
$$;
COMMENT ON FUNCTION figure(jsonb, text[]) IS 'The number at a place in stored JSON; NULL where there is none';

CREATE FUNCTION whole_figure(stored jsonb, path text[]) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN f.found OPERATOR(pg_catalog.>=) 0 AND f.found OPERATOR(pg_catalog.<=) 2147483647
                THEN f.found::pg_catalog.int4 END
    FROM (SELECT @extschema@.figure(stored, path)) AS f (found)
$$;
COMMENT ON FUNCTION whole_figure(jsonb, text[]) IS 'The same as an integer, 0 or more';

-- The fields that others than those who train may see, of an object; of anything else nothing.
CREATE FUNCTION shown_metrics(metrics jsonb, trains boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN trains THEN metrics
                WHEN pg_catalog.jsonb_typeof(metrics) OPERATOR(pg_catalog.=) 'object'
                THEN metrics OPERATOR(pg_catalog.-) '{importance,by}'::pg_catalog.text[] END
$$;
COMMENT ON FUNCTION shown_metrics(jsonb, boolean) IS 'A version''s metrics as they are shown to those who train it, or to others';

CREATE VIEW models WITH (security_barrier) AS
SELECT m.model, m.owner, a.version AS champion,
       (SELECT count(*) FROM version v WHERE v.model = m.model) AS versions, m.created_at, m.purpose
FROM model m LEFT JOIN alias a ON a.model = m.model AND a.alias = 'champion'
WHERE has_model_privilege(m.model, 'score');
COMMENT ON VIEW models IS 'The models that one may score with, each with its champion';

CREATE VIEW versions WITH (security_barrier) AS
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

CREATE VIEW aliases WITH (security_barrier) AS
SELECT model, alias, version, set_by, set_at FROM alias
WHERE has_model_privilege(model, 'score');
COMMENT ON VIEW aliases IS 'Which version each movable name stands for';

CREATE VIEW promotions WITH (security_barrier) AS
SELECT p.model, p.step, p.action, p.from_version, p.to_version, p.why, p.moved_by, p.moved_at
FROM promotion p
WHERE has_model_privilege(p.model, 'score');
COMMENT ON VIEW promotions IS 'Every move of a model''s champion: from which version to which, when, by whom and why';
GRANT SELECT ON promotions TO PUBLIC;

CREATE VIEW model_privileges WITH (security_barrier) AS
SELECT p.model, p.grantee, p.privilege, p.granted_by, p.granted_at
FROM model_privilege p
WHERE has_model_privilege(p.model, 'manage')
   OR p.grantee = 'public'
   OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = p.grantee AND pg_has_role(r.oid, 'USAGE'));
COMMENT ON VIEW model_privileges IS 'Privileges that were granted: one''s own, and all of the models that one manages';
GRANT SELECT ON model_privileges TO PUBLIC;

CREATE VIEW runs WITH (security_barrier) AS
SELECT r.run_id, r.model,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id) THEN 'failed' ELSE r.status END AS status,
       r.version, r.algorithm, relation_name(r.source_schema, r.source_name) AS source, r.parameters, r.started_by, r.started_at, r.finished_at,
       CASE WHEN r.status = 'running' AND NOT run_is_alive(r.run_id)
            THEN 'the server process that trained it ended' ELSE r.error END AS error,
       r.tune_id, r.trial, r.rung, r.value
FROM run r LEFT JOIN model m USING (model)
WHERE r.started_by = current_user
   OR (r.started_at >= m.begun_at AND has_model_privilege(r.model, 'train'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW runs IS 'Training attempts and how they ended: one''s own, and those of models that one may train';

CREATE VIEW run_metrics WITH (security_barrier) AS
SELECT m.run_id, r.model, m.algorithm, m.epoch, m.train_loss, m.validation_loss, m.validation_auroc, m.seconds
FROM run_metric m JOIN runs r USING (run_id);
COMMENT ON VIEW run_metrics IS 'Losses by epoch, also of the runs under way';

CREATE VIEW run_candidates WITH (security_barrier) AS
SELECT c.run_id, r.model, c.algorithm, c.validation, c.test, c.best_epoch, c.fitted, c.seconds, c.error,
       coalesce(c.algorithm = v.algorithm, false) AS kept, v.version, c.cut_offs
FROM run_candidate c JOIN runs r USING (run_id) LEFT JOIN version v ON v.run_id = c.run_id;
COMMENT ON VIEW run_candidates IS 'The algorithms that a run of several has tried, and which of them became the version';

CREATE VIEW training_progress WITH (security_barrier) AS
SELECT r.run_id, r.model, r.started_by, r.started_at, m.algorithm, m.epoch,
       whole_figure(r.parameters, '{epochs}') AS epochs, m.train_loss, m.validation_loss, m.validation_auroc
FROM runs r LEFT JOIN LATERAL (
    SELECT * FROM run_metric m WHERE m.run_id = r.run_id ORDER BY m.epoch DESC LIMIT 1) m ON true
WHERE r.status = 'running';
COMMENT ON VIEW training_progress IS 'The runs under way with their newest epoch';

CREATE VIEW tunes WITH (security_barrier) AS
SELECT t.tune_id, t.model,
       CASE WHEN t.status = 'running' AND NOT run_is_alive(t.tune_id) THEN 'failed' ELSE t.status END AS status,
       t.version, t.algorithm, relation_name(t.source_schema, t.source_name) AS source, t.metric, whole_figure(t.settings, '{trials}') AS trials,
       (SELECT count(*) FROM run r WHERE r.tune_id = t.tune_id AND r.status = 'succeeded') AS trained,
       t.settings, t.threads, t.digest, t.started_by, t.started_at, t.finished_at,
       CASE WHEN t.status = 'running' AND NOT run_is_alive(t.tune_id)
            THEN 'the server process that tuned it ended' ELSE t.error END AS error
FROM tune t LEFT JOIN model m USING (model)
WHERE t.started_by = current_user
   OR (t.started_at >= m.begun_at AND has_model_privilege(t.model, 'train'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW tunes IS 'Searches for a model''s parameters and how they ended: one''s own, and those of models that one may train';

CREATE VIEW trials WITH (security_barrier) AS
SELECT r.tune_id, r.model, r.trial, r.rung,
       whole_figure(r.parameters, ARRAY[CASE r.algorithm WHEN 'boosted_trees' THEN 'trees' ELSE 'epochs' END]) AS budget,
       (SELECT jsonb_object_agg(name, r.parameters -> name)
        FROM jsonb_object_keys(CASE WHEN jsonb_typeof(t.settings -> 'search') = 'object' THEN t.settings -> 'search' END) AS name) AS params,
       t.metric, r.value, r.status, r.version, r.run_id, r.started_at, r.finished_at, r.error
FROM runs r JOIN tune t USING (tune_id);
COMMENT ON VIEW trials IS 'The trainings of every search: the parameters that were drawn, for how long they were trained (in epochs or trees), and how good they are by the search''s metric on validation rows';

CREATE VIEW audit WITH (security_barrier) AS
SELECT e.at, e.login, e.role, e.action, e.model, e.version,
       -- The text of an error has values of the training data in it.
       CASE WHEN e.role = current_user OR has_model_privilege(e.model, 'train') THEN e.detail ELSE e.detail - 'error' END AS detail,
       e.event_id
FROM audit_event e LEFT JOIN model m USING (model)
WHERE (e.at >= m.begun_at AND has_model_privilege(e.model, 'score'))
   OR (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = current_user);
COMMENT ON VIEW audit IS 'Who trained, promoted, granted and so on, and when: the models on which one has a privilege; to superusers all, also those that are dropped. Texts of errors are shown to those who may train';
GRANT SELECT ON audit TO PUBLIC;

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

CREATE FUNCTION leaderboard(model text)
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

GRANT SELECT ON models, versions, aliases, runs, run_metrics, run_candidates, training_progress, tunes, trials TO PUBLIC;
