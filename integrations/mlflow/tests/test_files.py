"""Weights and model cards, from the database and through the server."""

import json

import mlflow.server.constants
import pytest
from conftest import DATABASE, HOST, PORT, uri
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import host_policy
from safetensors import safe_open

from pg_recommend_mlflow import database
from pg_recommend_mlflow.address import Address, spelled, unspelled
from pg_recommend_mlflow.artifacts import CARD, CARD_JSON, MLMODEL, WEIGHTS, ArtifactStore
from pg_recommend_mlflow.registry import RegistryStore


def files_of(uri):
    return {file.path for file in ArtifactStore(uri).list_artifacts()}


def test_a_run_has_the_weights_and_the_card_of_its_version(named, tmp_path):
    store = ArtifactStore(named["v1 mlp"].info.artifact_uri)
    assert {file.path for file in store.list_artifacts()} == {WEIGHTS, CARD, CARD_JSON}
    folder = store.download_artifacts("", str(tmp_path))
    with safe_open(f"{folder}/{WEIGHTS}", "numpy") as weights:
        assert weights.metadata()["algorithm"] == "mlp" and list(weights.keys())
    card = (tmp_path / CARD).read_text()
    assert card.startswith("# launch, version 1") and "## Definition of the source" in card and "- definition:" not in card
    assert {file.path: file.file_size for file in store.list_artifacts()}[CARD] == len(card.encode())
    assert json.loads((tmp_path / CARD_JSON).read_text())["version"] == 1


def test_a_download_of_weights_is_in_the_audit(named, tmp_path, sql):
    before = sql("SELECT count(*) FROM reco.audit WHERE action = 'export_model' OR action LIKE 'export%%'")
    ArtifactStore(named["v2 boosted_trees"].info.artifact_uri).download_artifacts(WEIGHTS, str(tmp_path))
    assert sql("SELECT count(*) FROM reco.audit WHERE action LIKE 'export%%'") == [(before[0][0] + 1,)]


def test_a_run_without_a_version_has_no_files(named):
    trial = next(run for name, run in named.items() if name.startswith("trial "))
    assert files_of(trial.info.artifact_uri) == set()


def test_a_version_tells_its_columns_as_mlflow_writes_them(registry, tmp_path):
    store = ArtifactStore(registry.get_model_version_download_uri("launch", 1))
    path = store.download_artifacts(MLMODEL, str(tmp_path))
    signature = mlflow.models.Model.load(path).signature
    assert {"sales_4w", "category"} <= set(signature.inputs.input_names())


def test_a_name_that_paths_do_not_like_leads_to_its_files(registry, tmp_path):
    assert unspelled(spelled("größe 1/2")) == "größe 1/2"
    store = ArtifactStore(registry.get_model_version_download_uri("größe 1/2", "1"))
    assert store.download_artifacts(WEIGHTS, str(tmp_path))


def test_only_who_manages_a_model_gets_its_weights(tmp_path):
    store = ArtifactStore(RegistryStore(uri("analyst")).get_model_version_download_uri("launch", 1))
    assert {file.path for file in store.list_artifacts()} == {MLMODEL, CARD, CARD_JSON}
    with pytest.raises(MlflowException) as refused:
        store._download_file(WEIGHTS, str(tmp_path / WEIGHTS))
    assert refused.value.get_http_status_code() == 403


@pytest.mark.parametrize("path", ["passwd", "../launch/2/model_card.md", "model_card.md/x", ""])
def test_what_is_no_file_is_not_found(registry, path, tmp_path):
    store = ArtifactStore(registry.get_model_version_download_uri("launch", 1))
    with pytest.raises(MlflowException) as refused:
        store._download_file(path, str(tmp_path / "file"))
    assert refused.value.get_http_status_code() == 404


def test_files_cannot_be_written_or_deleted(registry):
    store = ArtifactStore(registry.get_model_version_download_uri("launch", 1))
    for write in (lambda: store.log_artifact("x"), lambda: store.log_artifacts("x"), store.delete_artifacts):
        with pytest.raises(MlflowException, match=r"SELECT reco\."):
            write()


def test_a_client_without_the_database_downloads_through_the_server(server, named, tmp_path):
    client = MlflowClient(server.url)
    run = client.get_run(named["v1 mlp"].info.run_id)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {WEIGHTS, CARD, CARD_JSON}
    assert client.download_artifacts(run.info.run_id, WEIGHTS, str(tmp_path))
    version = client.get_model_version_by_alias("launch", "champion")
    where = client.get_model_version_download_uri("launch", version.version)
    folder = download_artifacts(where, dst_path=str(tmp_path / "v"), tracking_uri=server.url)
    with safe_open(f"{folder}/{WEIGHTS}", "numpy") as weights:
        assert weights.metadata()["algorithm"] == "boosted_trees"
    assert client.list_artifacts(run.info.run_id, "no/such/folder") == []


def test_a_password_is_not_in_what_is_shown():
    address = Address.of("pg-recommend://reader:geheim@db:5433/shop/runs/x?sslmode=require&password=geheim")
    assert address.public == "pg-recommend://reader@db:5433/shop?sslmode=require" and address.path == "runs/x"
    assert "geheim" in address.conninfo and "geheim" not in address.with_path("runs/x")
    with pytest.raises(MlflowException) as refused:
        Address.of("pg-recommend://reader:geheim@db/shop?nonsense=1")
    assert "geheim" not in str(refused.value)


def test_a_server_connects_to_no_database_that_it_was_not_started_with(monkeypatch):
    monkeypatch.setenv(database.SERVER_ARTIFACT_ROOT, "mlflow-artifacts:/")
    with pytest.raises(MlflowException, match="was not started with"):
        ArtifactStore("pg-recommend://reader@elsewhere/shop/runs/x")
    monkeypatch.setenv(database.SERVER_STORE, f"pg-recommend://stranger@:{PORT}/{DATABASE}?host={HOST}&connect_timeout=7")
    assert ArtifactStore(f"pg-recommend://stranger@:{PORT}/{DATABASE}/runs/x?host={HOST}&connect_timeout=7")


def test_the_names_of_mlflows_variables_are_those_that_it_has():
    assert database.SERVER_STORE == mlflow.server.constants.BACKEND_STORE_URI_ENV_VAR
    assert database.SERVER_ARTIFACTS == mlflow.server.constants.ARTIFACTS_DESTINATION_ENV_VAR
    assert database.SERVER_ARTIFACT_ROOT == host_policy._SERVER_ARTIFACT_ROOT_ENV_VAR
