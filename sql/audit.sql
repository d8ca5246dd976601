-- Who did what to which model. Rows are only ever added.

CREATE TABLE audit_event (
    event_id  uuid PRIMARY KEY,
    at        timestamptz NOT NULL,
    login     name NOT NULL,
    role      name NOT NULL,
    action    text NOT NULL,
    model     text COLLATE "C" NOT NULL,
    version   integer,
    detail    jsonb NOT NULL
);
CREATE INDEX audit_event_model ON audit_event (model, at);
COMMENT ON TABLE audit_event IS 'One row for each change to a model, its versions, aliases and privileges';
COMMENT ON COLUMN audit_event.login IS 'The session''s user';
COMMENT ON COLUMN audit_event.role IS 'The current user, with whose rights it was done';

SELECT pg_catalog.pg_extension_config_dump('audit_event', '');

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
