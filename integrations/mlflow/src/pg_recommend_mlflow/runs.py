"""Rows of the catalog as MLflow's runs: a training is a run, a search is the parent of its trainings."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunStatus,
    RunTag,
)
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from pg_recommend_mlflow.address import experiment_id, hex_of
from pg_recommend_mlflow.catalog import Row

STATUS = {
    "running": RunStatus.RUNNING,
    "succeeded": RunStatus.FINISHED,
    "failed": RunStatus.FAILED,
    "cancelled": RunStatus.KILLED,
}
EPOCH_METRICS = ("train_loss", "validation_loss", "validation_auroc")
# Of other metrics less is better.
GAINS = {"average_precision", "auroc", "precision_at_k"}
# Before the names of algorithms that a run tried and did not keep.
TRIED = "tried/"
# Counts of rows describe the data, not the model: they are in the dataset's profile.
COUNTS = {"rows", "positives", "lists", "k"}


def milliseconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)


def as_text(value: Any) -> str:
    """A value of JSON as one reads it: texts without quotes, everything else as it is written."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fields(value: Any) -> dict:
    """The fields of an object; of a damaged row, where it is none, nothing."""
    return value if isinstance(value, dict) else {}


def is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def tagged(prefix: str, values: dict[str, Any]) -> list[RunTag]:
    return [RunTag(f"{prefix}{key}", as_text(value)) for key, value in values.items() if value not in (None, "", [])]


# --- metrics ----------------------------------------------------------------------------------------------------------


def epoch_metrics(row: Row) -> Iterator[Metric]:
    """The curves of a run. Those of the algorithm that became the version have the same names in all runs, which are compared by
    them, and in a group that the UI puts before what was measured in the end; others stand under their algorithm's name,
    after these."""
    prefix = "epochs/" if row["algorithm"] == row["run_algorithm"] else f"{TRIED}{row['algorithm']}/"
    for name in EPOCH_METRICS:
        if row[name] is not None:
            yield Metric(prefix + name, row[name], milliseconds(row["at"]), row["epoch"])


def quality(measured: Any, prefix: str, at: int) -> Iterator[Metric]:
    for name, value in fields(measured).items():
        if is_figure(value) and name not in COUNTS:
            yield Metric(prefix + name, float(value), at, 0)


def version_metrics(metrics: Any, at: int) -> Iterator[Metric]:
    """What was measured of a version on validation and test rows, and beside it popularity on the same rows."""
    for part in ("validation", "test"):
        measured = fields(fields(metrics).get(part))
        yield from quality(measured.get("model"), f"{part}/", at)
        yield from quality(measured.get("popularity"), f"{part}/popularity_", at)


def result_metrics(row: Row, tried: list[Row]) -> Iterator[Metric]:
    """The metrics of a run that have one value."""
    at = milliseconds(row["finished_at"] or row["started_at"])
    yield from version_metrics(row["metrics"], at)
    if row["value"] is not None:
        yield Metric(f"search/{row['metric']}", row["value"], at, 0)
    for candidate in tried:
        for part in ("validation", "test"):
            yield from quality(candidate[part], f"{TRIED}{candidate['algorithm']}/{part}/", at)


def trial_metrics(row: Row, trials: list[Row]) -> Iterator[Metric]:
    """How good each trial of a search was in the end, by the number of the trial, and the best of those up to it."""
    last = {trial["trial"]: trial for trial in trials}
    better = max if row["metric"] in GAINS else min
    best = None
    for number, trial in sorted(last.items()):
        best = trial["value"] if best is None else better(best, trial["value"])
        for name, value in ((row["metric"], trial["value"]), (f"best_{row['metric']}", best)):
            yield Metric(f"search/{name}", value, milliseconds(trial["at"]), number)


# --- runs -------------------------------------------------------------------------------------------------------------


def run_name(row: Row) -> str:
    """The number of the version stands first: tables cut names off at the end."""
    name = row["algorithm"] if row["trial"] is None else f"trial {row['trial']}, step {row['rung'] + 1}"
    if row["made_by"] not in (None, row["algorithm"]):
        name += f": {row['made_by']}"
    return f"v{row['made']} {name}" if row["made"] else name


def run_tags(row: Row) -> list[RunTag]:
    data = fields(row["data"])
    tags = tagged(
        "",
        {
            MLFLOW_RUN_NAME: run_name(row),
            MLFLOW_USER: row["started_by"],
            MLFLOW_SOURCE_NAME: "reco.train" if row["tune_id"] is None else "reco.tune",
            MLFLOW_SOURCE_TYPE: "JOB",
            MLFLOW_PARENT_RUN_ID: row["tune_id"] and hex_of(row["tune_id"]),
            MLFLOW_RUN_NOTE: row["error"],
        },
    )
    tags += tagged(
        "reco.",
        {
            "model": row["model"],
            "version": row["made"],
            "algorithm": row["algorithm"],
            "source": row["source"],
            "keys": ", ".join(row["keys"] or []),
            "time_column": row["time_column"],
            "label": row["label"],
            "digest": data.get("digest") or row["tune_digest"],
            "seconds": row["seconds"] and round(row["seconds"], 3),
            "error": row["error"],
            "trial": row["trial"],
            "rung": row["rung"],
            "aliases": ", ".join(row["aliases"] or []),
            "best_epoch": fields(row["metrics"]).get("best_epoch"),
        },
    )
    return tags + tagged("reco.library.", fields(row["libraries"]))


def dataset(source: str | None, digest: str | None, data: dict, label: str | None) -> RunInputs:
    """What it was trained on, as MLflow has it: a relation, the digest of its rows, how many there were in which part."""
    if not source or not digest:
        return RunInputs([])
    used = Dataset(
        name=source,
        digest=digest[:36],
        source_type="postgresql",
        source=json.dumps({"relation": source, "label": label}),
        profile=json.dumps({key: value for key, value in data.items() if key != "digest"}, default=str),
    )
    return RunInputs([DatasetInput(used, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])])


def assembled(row: Row, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag], inputs: RunInputs, uri: str):
    name = next(tag.value for tag in tags if tag.key == MLFLOW_RUN_NAME)
    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment_id(row["model"]),
        user_id=row["started_by"],
        status=RunStatus.to_string(STATUS[row["status"]]),
        start_time=milliseconds(row["started_at"]),
        end_time=milliseconds(row["finished_at"]),
        lifecycle_stage=LifecycleStage.ACTIVE,
        artifact_uri=uri,
        run_name=name,
    )
    return Run(info, RunData(metrics=metrics, params=params, tags=tags), inputs)


def run(row: Row, last_epochs: list[Row], tried: list[Row], artifact_uri: str) -> Run:
    """A training. `last_epochs` has one row for each algorithm, `tried` the candidates that did not become the version."""
    metrics = [metric for epoch in last_epochs for metric in epoch_metrics(epoch)]
    metrics += result_metrics(row, tried)
    params = [Param(key, as_text(value)) for key, value in sorted(fields(row["parameters"]).items())]
    params.insert(0, Param("algorithm", row["algorithm"]))
    data = fields(row["data"])
    inputs = dataset(row["source"], data.get("digest") or row["tune_digest"], data, row["label"])
    return assembled(row, hex_of(row["run_id"]), metrics, params, run_tags(row), inputs, artifact_uri)


def tune(row: Row, trials: list[Row], artifact_uri: str) -> Run:
    """A search. Its trials are runs whose parent it is."""
    history = list(trial_metrics(row, trials))
    settings = fields(row["settings"])
    params = [
        Param("algorithm", row["algorithm"]),
        Param("trials", as_text(row["trials"])),
        Param("threads", str(row["threads"])),
    ]
    for group in ("search", "params"):
        params += [Param(f"{group}.{key}", as_text(value)) for key, value in sorted(fields(settings.get(group)).items())]
    name = f"search of {row['algorithm']}, {row['trials']} trials"
    tags = tagged(
        "",
        {
            MLFLOW_RUN_NAME: name if row["version"] is None else f"v{row['version']} {name}",
            MLFLOW_USER: row["started_by"],
            MLFLOW_SOURCE_NAME: "reco.tune",
            MLFLOW_SOURCE_TYPE: "JOB",
            MLFLOW_RUN_NOTE: row["error"],
            "reco.model": row["model"],
            "reco.version": row["version"],
            "reco.algorithm": row["algorithm"],
            "reco.source": row["source"],
            "reco.metric": row["metric"],
            "reco.trained": row["trained"],
            "reco.digest": row["digest"],
            "reco.error": row["error"],
        },
    )
    inputs = dataset(row["source"], row["digest"], {}, None)
    return assembled(row, hex_of(row["tune_id"]), history[-2:], params, tags, inputs, artifact_uri)


def grouped(rows: list[Row], key: str) -> dict[Any, list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups
