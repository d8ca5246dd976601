-- Who may score with, train and manage which model. Grantees are names, as owners are, so that a dump can be restored
-- where roles have other numbers: revoke before a role is dropped or renamed.

CREATE TABLE model_privilege (
    model       text COLLATE "C" NOT NULL,
    grantee     name NOT NULL,
    privilege   text COLLATE "C" NOT NULL CHECK (privilege IN ('score', 'train', 'manage')),
    granted_by  name NOT NULL,
    granted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, grantee, privilege)
);
COMMENT ON TABLE model_privilege IS 'Privileges on models that were granted; the owner and superusers need none';
COMMENT ON COLUMN model_privilege.grantee IS 'A role; public stands for all of them';
COMMENT ON COLUMN model_privilege.privilege IS 'score; train, which includes score; manage, which includes both';

SELECT pg_catalog.pg_extension_config_dump('model_privilege', '');

CREATE VIEW model_privileges WITH (security_barrier) AS
SELECT p.model, p.grantee, p.privilege, p.granted_by, p.granted_at
FROM model_privilege p
WHERE has_model_privilege(p.model, 'manage')
   OR p.grantee = 'public'
   OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = p.grantee AND pg_has_role(r.oid, 'USAGE'));
COMMENT ON VIEW model_privileges IS 'Privileges that were granted: one''s own, and all of the models that one manages';
GRANT SELECT ON model_privileges TO PUBLIC;

COMMENT ON FUNCTION has_model_privilege(text, text, name) IS
'Whether a role has a privilege on a model: score, train (which includes score) or manage (which includes both); by owning
the model, being a superuser, a grant, or as a member of a role that has it. role: the current one where it is NULL. Of a
model that does not exist false, to superusers true. NULL if model or privilege is NULL.';

COMMENT ON FUNCTION grant_model(text, name, text) IS
'Grants a privilege on a model to a role and its members; public is everybody. score: to predict, recommend and explain;
train: also to train further versions and to see runs, recipes and data; manage: also to promote, roll back, archive,
export, drop and grant. Granting what is granted changes nothing. For those who manage the model.';

COMMENT ON FUNCTION revoke_model(text, name, text) IS
'Takes a privilege back from a role (or public), and those that include it. What the role has by owning the model, as a
member of another role or by what is granted to public stays. For those who manage the model.';

COMMENT ON FUNCTION set_model_owner(text, name) IS
'Gives a model to another role, of which the caller is to be a member. For those who manage the model; where its owner was
dropped, for superusers.';
