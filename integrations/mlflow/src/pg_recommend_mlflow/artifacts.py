"""The files of a run or a version: its weights as reco.export_model gives them, and its model card."""

from collections.abc import Iterator
from pathlib import Path

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from psycopg import Connection

from pg_recommend_mlflow import catalog
from pg_recommend_mlflow.address import Address, unspelled, uuid_of
from pg_recommend_mlflow.catalog import Row
from pg_recommend_mlflow.database import Database
from pg_recommend_mlflow.versions import with_definition

CARD, CARD_JSON, WEIGHTS, MLMODEL = "model_card.md", "model_card.json", "model.safetensors", "MLmodel"
DEPTH = {"runs": 2, "models": 3}
"""How many segments of a path name the folder: runs/<id>, models/<name>/<version>."""


class ArtifactStore(ArtifactRepository):
    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None):
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self.address = Address.of(artifact_uri)
        self.database = Database.known_at(self.address)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        folder, name = self._split(path)
        if folder is None or name:
            return []
        before = f"{path.strip('/')}/" if path else ""
        with self.database.reading() as connection:
            row = self._version(connection, folder)
            files = files_of(row, folder) if row else []
            # How long the weights are nobody says before they are exported, which is written down.
            sizes = {file: len(text_of(connection, row, file)) for file in files if file != WEIGHTS}
        return [FileInfo(before + file, False, sizes.get(file)) for file in files]

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        folder, name = self._split(remote_file_path)
        with self.database.reading() as connection:
            row = folder and self._version(connection, folder)
            if not row or name not in {WEIGHTS, *files_of(row, folder)}:
                raise MlflowException(f"there is no file {remote_file_path} that one may see", RESOURCE_DOES_NOT_EXIST)
            content = text_of(connection, row, name) if name != WEIGHTS else None
        if content is None:
            # Outside of what only reads, since the audit keeps who has taken the weights; who may not gets PostgreSQL's error.
            with self.database.exporting() as connection:
                content = catalog.weights(connection, row["model"], row["version"])
        Path(local_path).write_bytes(content)

    def _split(self, path: str | None) -> tuple[list[str] | None, str]:
        """The segments that name a run or a version, and the file in its folder; None above these folders."""
        segments = [segment for segment in f"{self.address.path}/{path or ''}".split("/") if segment]
        depth = DEPTH.get(segments[0], 0) if segments else 0
        if not depth or len(segments) < depth:
            return None, ""
        return segments[:depth], "/".join(segments[depth:])

    def _version(self, connection: Connection, folder: list[str]) -> Row | None:
        """The version that a folder belongs to, if there is one and one may see it."""
        if folder[0] == "models":
            made = [(unspelled(folder[1]), folder[2])] if folder[2].isdecimal() and len(folder[2]) < len(str(2**31)) else []
        else:
            made = list(made_by(connection, folder[1]))
        for model, version in made:
            for row in catalog.versions(connection, model, int(version)):
                return row
        return None

    def log_artifact(self, local_file, artifact_path=None):
        raise MlflowException(
            "files cannot be logged here: SELECT reco.import_model('model', file) stores a version that was made elsewhere.",
            PERMISSION_DENIED,
        )

    def log_artifacts(self, local_dir, artifact_path=None):
        self.log_artifact(local_dir, artifact_path)

    def delete_artifacts(self, artifact_path=None):
        raise MlflowException(
            "files cannot be deleted here: SELECT reco.archive_version('model', 1) deletes the weights of a version.",
            PERMISSION_DENIED,
        )


def made_by(connection: Connection, run_id: str) -> Iterator[tuple[str, int]]:
    identifier = uuid_of(run_id)
    for row in catalog.runs(connection, ids=[identifier]):
        if row["made"]:
            yield row["model"], row["made"]
    for row in catalog.tunes(connection, ids=[identifier]):
        if row["version"]:
            yield row["model"], row["version"]


def files_of(row: Row, folder: list[str]) -> list[str]:
    """Weights are there for those who may take them, until the version is archived."""
    weights = [WEIGHTS] if row["manages"] and row["status"] != "archived" else []
    return [*([MLMODEL] if folder[0] == "models" else []), *weights, CARD_JSON, CARD]


def text_of(connection: Connection, row: Row, file: str) -> bytes:
    model, version = row["model"], row["version"]
    if file == CARD_JSON:
        return catalog.card(connection, model, version).encode()
    if file == CARD:
        definition = catalog.definition(connection, model, version)
        return with_definition(catalog.card_text(connection, model, version), definition).encode()
    # Not above: MLflow looks for plugins like this one while its models are being imported.
    from pg_recommend_mlflow.mlmodel import mlmodel

    return mlmodel(row, catalog.columns(connection, model, version)).encode()
