"""The queries. Only views and functions of the schema reco are read, so that the role's rights decide what is seen; the
search path is fixed by the connection, values are always bound."""

from typing import Any
from uuid import UUID

from psycopg import Connection

Row = dict[str, Any]

# A model that is trained for the first time, or whose first training failed, has runs and no row of its own.
MODELS = """
SELECT coalesce(m.model, seen.model) AS model, m.model IS NOT NULL AS exists, m.owner, m.champion, m.created_at, m.purpose,
       least(m.created_at, seen.begun_at) AS begun_at, greatest(m.created_at, seen.changed_at, moved.at) AS changed_at
FROM reco.models AS m
FULL JOIN (
    SELECT r.model, min(r.started_at) AS begun_at, max(coalesce(r.finished_at, r.started_at)) AS changed_at
    FROM (SELECT model, started_at, finished_at FROM reco.runs
          UNION ALL SELECT model, started_at, finished_at FROM reco.tunes) AS r
    GROUP BY r.model
) AS seen ON seen.model = m.model
LEFT JOIN (SELECT model, max(set_at) AS at FROM reco.aliases GROUP BY model) AS moved ON moved.model = m.model
WHERE %(model)s::text IS NULL OR coalesce(m.model, seen.model) = %(model)s
ORDER BY 1
"""

# A version is a run's only if it names the run: a model that was dropped may have a successor with versions of the same number.
RUNS = """
SELECT r.run_id, r.model, r.status, r.version, r.algorithm, r.source, r.parameters, r.started_by, r.started_at,
       r.finished_at, r.error, r.tune_id, r.trial, r.rung, r.value, t.metric, t.digest AS tune_digest,
       v.version AS made, v.algorithm AS made_by, reco.shown_metrics(v.metrics, false) AS metrics,
       CASE jsonb_typeof(v.data) WHEN 'object' THEN v.data - 'definition' END AS data, v.keys,
       v.time_column, v.label, v.libraries, v.seconds, v.status AS version_status, v.aliases
FROM reco.runs AS r
LEFT JOIN reco.versions AS v ON v.model = r.model AND v.version = r.version AND v.run_id = r.run_id
LEFT JOIN reco.tunes AS t ON t.tune_id = r.tune_id
WHERE (%(models)s::text[] IS NULL OR r.model = ANY (%(models)s))
  AND (%(ids)s::uuid[] IS NULL OR r.run_id = ANY (%(ids)s))
ORDER BY r.started_at DESC, r.run_id
"""

TUNES = """
SELECT t.tune_id, t.model, t.status, t.version, t.algorithm, t.source, t.metric, t.trials, t.trained, t.settings, t.threads,
       t.digest, t.started_by, t.started_at, t.finished_at, t.error
FROM reco.tunes AS t
WHERE (%(models)s::text[] IS NULL OR t.model = ANY (%(models)s))
  AND (%(ids)s::uuid[] IS NULL OR t.tune_id = ANY (%(ids)s))
ORDER BY t.started_at DESC, t.tune_id
"""

# When an epoch ended is not kept, but how long each took: they are laid one after the other from the start of the run.
EPOCHS = """
SELECT m.run_id, m.algorithm, m.epoch, m.train_loss, m.validation_loss, m.validation_auroc,
       coalesce(v.algorithm, r.algorithm) AS run_algorithm,
       r.started_at + make_interval(secs => sum(m.seconds) OVER (PARTITION BY m.run_id, m.algorithm ORDER BY m.epoch)) AS at
FROM reco.run_metrics AS m JOIN reco.runs AS r ON r.run_id = m.run_id LEFT JOIN reco.versions AS v ON v.run_id = m.run_id
WHERE m.run_id = ANY (%(ids)s::uuid[])
"""
ALL_EPOCHS = EPOCHS + "ORDER BY m.run_id, m.algorithm, m.epoch"
LAST_EPOCHS = f"""
SELECT DISTINCT ON (e.run_id, e.algorithm) e.* FROM ({EPOCHS}) AS e ORDER BY e.run_id, e.algorithm, e.epoch DESC
"""

CANDIDATES = """
SELECT c.run_id, c.algorithm, c.validation, c.test, c.error FROM reco.run_candidates AS c
WHERE c.run_id = ANY (%(ids)s::uuid[]) AND NOT c.kept
ORDER BY c.run_id, c.algorithm
"""

TRIALS = """
SELECT t.tune_id, t.trial, t.rung, t.value, coalesce(t.finished_at, t.started_at) AS at FROM reco.trials AS t
WHERE t.tune_id = ANY (%(ids)s::uuid[]) AND t.value IS NOT NULL
ORDER BY t.tune_id, t.trial, t.rung
"""

# The run is named only to those who may see it.
VERSIONS = """
SELECT v.model, v.version, v.algorithm, v.aliases, reco.shown_metrics(v.metrics, false) AS metrics, v.source, v.keys,
       v.time_column, v.label, v.libraries, v.seconds, v.trained_by, v.trained_at, r.run_id, v.status,
       v.data ->> 'digest' AS digest, greatest(v.trained_at, a.at, p.moved_at) AS changed_at, p.moved_at, p.moved_by, p.why,
       reco.has_model_privilege(v.model, 'manage') AS manages
FROM reco.versions AS v
LEFT JOIN reco.runs AS r ON r.run_id = v.run_id
LEFT JOIN (SELECT model, version, max(set_at) AS at FROM reco.aliases GROUP BY model, version) AS a
    ON a.model = v.model AND a.version = v.version
LEFT JOIN LATERAL (
    SELECT q.moved_at, q.moved_by, q.why FROM reco.promotions AS q
    WHERE q.model = v.model AND q.to_version = v.version ORDER BY q.step DESC LIMIT 1) AS p ON true
WHERE (%(model)s::text IS NULL OR v.model = %(model)s) AND (%(version)s::integer IS NULL OR v.version = %(version)s)
ORDER BY v.model, v.version DESC
"""


def models(connection: Connection, model: str | None = None) -> list[Row]:
    return connection.execute(MODELS, {"model": model}).fetchall()


def runs(connection: Connection, models: list[str] | None = None, ids: list[UUID] | None = None) -> list[Row]:
    return connection.execute(RUNS, {"models": models, "ids": ids}).fetchall()


def tunes(connection: Connection, models: list[str] | None = None, ids: list[UUID] | None = None) -> list[Row]:
    return connection.execute(TUNES, {"models": models, "ids": ids}).fetchall()


def all_epochs(connection: Connection, ids: list[UUID]) -> list[Row]:
    return connection.execute(ALL_EPOCHS, {"ids": ids}).fetchall()


def last_epochs(connection: Connection, ids: list[UUID]) -> list[Row]:
    return connection.execute(LAST_EPOCHS, {"ids": ids}).fetchall()


def candidates(connection: Connection, ids: list[UUID]) -> list[Row]:
    return connection.execute(CANDIDATES, {"ids": ids}).fetchall()


def trials(connection: Connection, tune_ids: list[UUID]) -> list[Row]:
    return connection.execute(TRIALS, {"ids": tune_ids}).fetchall()


def versions(connection: Connection, model: str | None = None, version: int | None = None) -> list[Row]:
    return connection.execute(VERSIONS, {"model": model, "version": version}).fetchall()


def aliases(connection: Connection) -> list[Row]:
    return connection.execute(
        "SELECT a.model, a.alias, a.version FROM reco.aliases AS a ORDER BY a.model, a.alias <> 'champion', a.alias"
    ).fetchall()


def card_text(connection: Connection, model: str, version: int) -> str:
    row = connection.execute("SELECT reco.model_card_text(%s, %s) AS card", [model, version]).fetchone()
    return row["card"]


def card(connection: Connection, model: str, version: int) -> str:
    row = connection.execute("SELECT jsonb_pretty(reco.model_card(%s, %s)) AS card", [model, version]).fetchone()
    return row["card"]


def definition(connection: Connection, model: str, version: int) -> str | None:
    """Of the source that a version was trained on; nothing where one may not train the model."""
    row = connection.execute(
        "SELECT v.data ->> 'definition' AS definition FROM reco.versions AS v WHERE v.model = %s AND v.version = %s",
        [model, version],
    ).fetchone()
    return row and row["definition"]


def columns(connection: Connection, model: str, version: int) -> list[Row]:
    """What a version takes, in the order of its inputs; nothing where one may not train the model."""
    return connection.execute(
        "SELECT c.value ->> 'name' AS name, c.value ->> 'family' AS family"
        " FROM reco.versions AS v, jsonb_array_elements(CASE jsonb_typeof(v.recipe -> 'columns') WHEN 'array'"
        " THEN v.recipe -> 'columns' END) WITH ORDINALITY AS c (value, place)"
        " WHERE v.model = %s AND v.version = %s ORDER BY c.place",
        [model, version],
    ).fetchall()


def weights(connection: Connection, model: str, version: int) -> bytes:
    # In binary, since the text of a bytea has two characters for each byte.
    cursor = connection.cursor(binary=True)
    return cursor.execute("SELECT reco.export_model(%s, %s) AS file", [model, version]).fetchone()["file"]
