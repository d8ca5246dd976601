"""A copy of a catalog in another MLflow, such as a company's own or Azure ML's, over MLflow's client.

What was copied carries the id that it has in the catalog as a tag, and is not copied again; what was cut off in the middle is
deleted there and copied anew. Models, runs and versions are only added; descriptions and aliases follow the catalog.
"""

import logging
import re
import tempfile
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from pg_recommend_mlflow import catalog, runs, versions
from pg_recommend_mlflow.address import hex_of
from pg_recommend_mlflow.artifacts import ArtifactStore
from pg_recommend_mlflow.catalog import Row
from pg_recommend_mlflow.tracking import KIND, TrackingStore

logger = logging.getLogger(__name__)

RUN_ID, VERSION, TRAINED_AT, WHOLE = "reco.run_id", "reco.version", "reco.trained_at", "reco.exported"
FILES = "model"
ENDED = {RunStatus.to_string(status) for status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)}
# What MLflow's API takes at once, and the longest values that its stores keep.
PARAMS, METRICS, TAGS = 100, 1000, 100
PARAM_LENGTH, TAG_LENGTH, DESCRIPTION_LENGTH = 6000, 5000, 5000
PAGE = 1000


@dataclass
class Copied:
    """How many were added, and how many aliases were moved."""

    models: int = 0
    runs: int = 0
    versions: int = 0
    aliases: int = 0
    names: list[str] = field(default_factory=list)


def export_to(
    tracking_uri: str,
    source_uri: str,
    *,
    registry_uri: str | None = None,
    models: list[str] | None = None,
    prefix: str = "",
    files: bool = True,
) -> Copied:
    """Copies the catalog at `source_uri`, or the models named of it, into the MLflow at `tracking_uri`.

    prefix: before the names of experiments and models there. files: weights, of models that one manages, and model cards too.
    A run that is under way is copied by a later call, once it has ended.
    """
    copy = Export(TrackingStore(source_uri), MlflowClient(tracking_uri, registry_uri), prefix, files)
    with copy.source.database.reading() as connection:
        found = [row for row in catalog.models(connection) if models is None or row["model"] in models]
    missing = set(models or []) - {row["model"] for row in found}
    if missing:
        raise MlflowException(f"no model that one may see is named {', '.join(sorted(missing))}", RESOURCE_DOES_NOT_EXIST)
    for row in found:
        if re.search("[/:]|'.*\"|\".*'", prefix + row["model"]):
            logger.warning(
                "the model %s is left out: MLflow has no names with / or :, or with both kinds of quotes", row["model"]
            )
        else:
            copy.model(row)
    return copy.copied


class Export:
    def __init__(self, source: TrackingStore, client: MlflowClient, prefix: str, files: bool):
        self.source, self.client, self.prefix, self.files = source, client, prefix, files
        self.copied = Copied()

    def model(self, row: Row) -> None:
        name = self.prefix + row["model"]
        with self.source.database.reading() as connection:
            trained = self.source._runs(connection, models=[row["model"]])
            made = catalog.versions(connection, row["model"]) if row["exists"] else []
            aliases = [alias for alias in catalog.aliases(connection) if alias["model"] == row["model"]]
        experiment = self.experiment(name, row)
        there = self.runs_there(experiment)
        # Searches first, since their trials name them.
        for run in sorted(trained, key=lambda run: (MLFLOW_PARENT_RUN_ID in run.data.tags, run.info.start_time)):
            if run.info.status in ENDED and run.info.run_id not in there:
                there[run.info.run_id] = self.run(experiment, run, there)
        if row["exists"]:
            self.registered(name, row)
            self.versions(name, made, experiment, there)
            self.aliases(name, aliases, made)
        self.copied.names.append(name)

    # --- experiments and runs

    def experiment(self, name: str, row: Row) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return self.client.create_experiment(name, tags={KIND[0]: KIND[1], "reco.model": row["model"]})
        if found.lifecycle_stage != "active":
            raise MlflowException(f"the experiment {name} was deleted there: restore it, or give a prefix", INVALID_STATE)
        return found.experiment_id

    def runs_there(self, experiment: str) -> dict[str, str]:
        """The ids of what was copied, by the ids in the catalog. What was cut off is deleted."""
        there, page = {}, None
        while True:
            found = self.client.search_runs([experiment], "", ViewType.ACTIVE_ONLY, PAGE, page_token=page)
            for run in found:
                if RUN_ID in run.data.tags and WHOLE in run.data.tags:
                    there[run.data.tags[RUN_ID]] = run.info.run_id
                elif RUN_ID in run.data.tags:
                    self.client.delete_run(run.info.run_id)
            page = found.token
            if not page:
                return there

    def run(self, experiment: str, run: Run, there: dict[str, str]) -> str:
        tags = {key: value[:TAG_LENGTH] for key, value in run.data.tags.items()}
        parent = tags.pop(MLFLOW_PARENT_RUN_ID, None)
        if parent in there:
            tags[MLFLOW_PARENT_RUN_ID] = there[parent]
        made = self.begin(experiment, run.info.run_id, run.info.start_time, tags)
        self.log(made, run.data.params, self.source.histories([run.info.run_id])[run.info.run_id])
        if run.inputs.dataset_inputs:
            self.client.log_inputs(made, run.inputs.dataset_inputs)
        self.end(made, run.info.artifact_uri, run.info.status, run.info.end_time)
        self.copied.runs += 1
        return made

    def begin(self, experiment: str, identifier: str, start_time: int, tags: dict[str, str]) -> str:
        tags = {**tags, RUN_ID: identifier}
        first, rest = dict(list(tags.items())[-TAGS:]), list(tags.items())[:-TAGS]
        made = self.client.create_run(experiment, start_time, first, tags.get(MLFLOW_RUN_NAME)).info.run_id
        for key, value in rest:
            self.client.set_tag(made, key, value)
        return made

    def log(self, made: str, params: dict[str, str], metrics: list[Metric]) -> None:
        cut = [Param(key, value[:PARAM_LENGTH]) for key, value in params.items()]
        for start in range(0, len(cut), PARAMS):
            self.client.log_batch(made, params=cut[start : start + PARAMS])
        for start in range(0, len(metrics), METRICS):
            self.client.log_batch(made, metrics=metrics[start : start + METRICS])

    def end(self, made: str, artifact_uri: str, status: str, end_time: int | None) -> None:
        if self.files:
            repository = ArtifactStore(artifact_uri)
            with tempfile.TemporaryDirectory() as folder:
                if repository.list_artifacts():
                    repository.download_artifacts("", folder)
                    self.client.log_artifacts(made, folder, FILES)
        self.client.set_terminated(made, status, end_time)
        self.client.log_batch(made, tags=[RunTag(WHOLE, "whole")])

    # --- models, versions and aliases

    def registered(self, name: str, row: Row) -> None:
        description = (row["purpose"] or "")[:DESCRIPTION_LENGTH]
        try:
            found = self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            self.client.create_registered_model(name, {"reco.owner": row["owner"]}, description)
            self.copied.models += 1
        else:
            if (found.description or "") != description:
                self.client.update_registered_model(name, description)

    def versions(self, name: str, made: list[Row], experiment: str, there: dict[str, str]) -> None:
        known = self.versions_there(name)
        for row in reversed(made):
            key = key_of(row)
            if key in known:
                continue
            identifier = hex_of(row["run_id"]) if row["run_id"] else f"version-{row['version']}-{key[1]}"
            if identifier not in there:
                there[identifier] = self.run_of_version(experiment, identifier, row)
            version = versions.version(row, "")
            self.client.create_model_version(
                name,
                source=f"{self.client.get_run(there[identifier]).info.artifact_uri}/{FILES}",
                run_id=there[identifier],
                tags={**version.tags, VERSION: key[0], TRAINED_AT: key[1]},
                description=version.description[:DESCRIPTION_LENGTH],
            )
            self.copied.versions += 1

    def versions_there(self, name: str) -> dict[tuple[str, str], str]:
        known, page = {}, None
        while True:
            found = self.client.search_model_versions(f"name = {quoted(name)}", PAGE, page_token=page)
            known.update(
                {(v.tags[VERSION], v.tags[TRAINED_AT]): v.version for v in found if {VERSION, TRAINED_AT} <= v.tags.keys()}
            )
            page = found.token
            if not page:
                return known

    def run_of_version(self, experiment: str, identifier: str, row: Row) -> str:
        """A run that holds the files of a version that has none: one that was imported, or whose run one may not see."""
        at = runs.milliseconds(row["trained_at"])
        made = self.begin(experiment, identifier, at, {MLFLOW_RUN_NAME: f"v{row['version']} {row['status']}"})
        self.log(made, {"algorithm": row["algorithm"]}, list(runs.version_metrics(row["metrics"], at)))
        self.end(made, self.source.files.of_version(row["model"], row["version"]), RunStatus.to_string(RunStatus.FINISHED), at)
        return made

    def aliases(self, name: str, aliases: list[Row], made: list[Row]) -> None:
        numbers = self.versions_there(name)
        # By the time too: a model that was dropped may have left versions of the same number there.
        copied = {row["version"]: numbers[key_of(row)] for row in made}
        wanted = {alias["alias"]: copied[alias["version"]] for alias in aliases if is_alias(alias["alias"])}
        there = self.client.get_registered_model(name).aliases
        for alias, version in wanted.items():
            if str(there.get(alias)) != str(version):
                self.client.set_registered_model_alias(name, alias, version)
                self.copied.aliases += 1
        ours = {str(version) for version in numbers.values()}
        for alias, version in there.items():
            if alias not in wanted and str(version) in ours:
                self.client.delete_registered_model_alias(name, alias)
                self.copied.aliases += 1


def key_of(row: Row) -> tuple[str, str]:
    return str(row["version"]), row["trained_at"].isoformat()


def quoted(name: str) -> str:
    """A name in a filter of MLflow's, which has two kinds of quotes and no way to write one inside its own."""
    return f'"{name}"' if "'" in name else f"'{name}'"


def is_alias(alias: str) -> bool:
    """Whether MLflow takes the name: it knows letters, digits, _ and -, and keeps `latest` and v1, v2 … for itself."""
    fits = re.fullmatch(r"[\w-]+", alias) and alias.lower() != "latest" and not re.fullmatch(r"[vV]\d+", alias)
    if not fits:
        logger.warning("the alias %s cannot be a name in MLflow and is left out", alias)
    return bool(fits)
