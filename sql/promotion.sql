-- Every move of a model's champion. A rollback follows `back`, so that two of them go two steps back, and a promotion after
-- one begins a new line from there.

CREATE TABLE promotion (
    model         text COLLATE "C" NOT NULL,
    step          integer NOT NULL CHECK (step > 0),
    action        text NOT NULL CHECK (action IN ('promoted', 'rolled_back', 'alias_dropped')),
    from_version  integer,
    to_version    integer,
    back          integer,
    why           text,
    moved_by      name NOT NULL,
    moved_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, step)
);
COMMENT ON TABLE promotion IS 'The history of every model''s champion';
COMMENT ON COLUMN promotion.step IS 'From 1';
COMMENT ON COLUMN promotion.to_version IS 'NULL where the model was left without a champion';
COMMENT ON COLUMN promotion.back IS 'The step whose version a rollback from here goes to; NULL where there is none';

SELECT pg_catalog.pg_extension_config_dump('promotion', '');

CREATE VIEW promotions WITH (security_barrier) AS
SELECT p.model, p.step, p.action, p.from_version, p.to_version, p.why, p.moved_by, p.moved_at
FROM promotion p
WHERE has_model_privilege(p.model, 'score');
COMMENT ON VIEW promotions IS 'Every move of a model''s champion: from which version to which, when, by whom and why';
GRANT SELECT ON promotions TO PUBLIC;

COMMENT ON FUNCTION set_alias(text, text, integer) IS
'Lets a name stand for a version of a model, instead of the one that it stood for. The alias champion is the one that
predict and recommend use; setting it is the same as promote(). For those who manage the model.';

COMMENT ON FUNCTION drop_alias(text, text) IS
'Removes an alias of a model; the version stays. Without the alias champion, predict and recommend refuse until a version
is promoted or rolled back to. For those who manage the model.';

COMMENT ON FUNCTION promote(text, integer, text) IS
'Makes a version the champion and returns the one that was (NULL if none). why: kept in the history, at most 10,000
characters. Seen by others when the
transaction commits, by each of their statements as a whole. Promoting the champion changes nothing. For those who manage
the model; concurrent promotions wait for each other.';

COMMENT ON FUNCTION rollback(text, text) IS
'Makes the champion before the present one champion again and returns its number; called twice, the one before that. Archived
versions are passed over. A promotion after a rollback begins a new line: rolling back from it comes to where it began.
An error where there is nothing to go back to. For those who manage the model.';
