"""A copy in another MLflow."""

import pytest
from conftest import uri
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pg_recommend_mlflow.command import main
from pg_recommend_mlflow.export import Export, export_to


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    mlflow_uri = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(mlflow_uri)
    for name in ("launch", "größe", "broken"):
        client.create_experiment(name, artifact_location=str(folder / name))
    return mlflow_uri


@pytest.fixture(scope="module")
def copied(elsewhere):
    return export_to(elsewhere, uri())


def runs_of(client, name):
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def test_all_of_a_catalog_is_copied(copied, elsewhere, store, launch):
    client = MlflowClient(elsewhere)
    ours, theirs = store.search_runs([launch], "", 1), runs_of(client, "launch")
    assert {run.data.tags["reco.run_id"] for run in theirs} == {run.info.run_id for run in ours}
    for run in theirs:
        ours = store.get_run(run.data.tags["reco.run_id"])
        assert run.data.metrics == ours.data.metrics and run.data.params == ours.data.params
        assert (run.info.status, run.info.start_time, run.info.end_time) == (
            ours.info.status,
            ours.info.start_time,
            ours.info.end_time,
        )
    assert (copied.models, copied.versions) == (2, 5) and "größe 1/2" not in copied.names


def test_curves_nesting_files_and_data_come_along(copied, elsewhere, store):
    client = MlflowClient(elsewhere)
    by_name = {run.info.run_name: run for run in runs_of(client, "launch")}
    network, search = by_name["v1 mlp"], by_name["v3 search of mlp, 4 trials"]
    curve = client.get_metric_history(network.info.run_id, "epochs/train_loss")
    ours = store.get_metric_history(network.data.tags["reco.run_id"], "epochs/train_loss")
    assert [(v.step, v.timestamp, v.value) for v in curve] == [(v.step, v.timestamp, v.value) for v in ours]
    trials = [run for run in by_name.values() if "reco.trial" in run.data.tags]
    assert len(trials) > 4 and {run.data.tags["mlflow.parentRunId"] for run in trials} == {search.info.run_id}
    assert {file.path for file in client.list_artifacts(network.info.run_id, "model")} >= {"model/model.safetensors"}
    assert network.inputs.dataset_inputs[0].dataset.name == "public.launch_features"


def test_versions_and_aliases_are_copied_also_of_one_without_a_run(copied, elsewhere):
    client = MlflowClient(elsewhere)
    assert client.get_model_version_by_alias("launch", "champion").tags["reco.version"] == "2"
    assert client.get_registered_model("launch").description == "Which new products are bought where next week."
    (imported,) = client.search_model_versions("name = 'größe'")
    assert {file.path for file in client.list_artifacts(imported.run_id, "model")} >= {"model/model.safetensors"}


def test_a_second_copy_adds_nothing_and_follows_the_catalog(copied, elsewhere, sql):
    client = MlflowClient(elsewhere)
    before = {run.info.run_id for run in runs_of(client, "launch")}
    again = export_to(elsewhere, uri())
    assert (again.models, again.runs, again.versions, again.aliases) == (0, 0, 0, 0)
    assert {run.info.run_id for run in runs_of(client, "launch")} == before
    sql("SELECT reco.set_alias('launch', 'canary', 1), reco.drop_alias('launch', 'challenger')")
    try:
        assert export_to(elsewhere, uri(), models=["launch"]).aliases == 2
        assert set(client.get_registered_model("launch").aliases) == {"champion", "canary"}
    finally:
        sql("SELECT reco.set_alias('launch', 'challenger', 3), reco.drop_alias('launch', 'canary')")


def test_a_copy_that_was_cut_off_is_made_whole_by_the_next(elsewhere, monkeypatch):
    def cut_off(self, made, artifact_uri, status, end_time):
        raise ConnectionError("cut off")

    client = MlflowClient(elsewhere)
    options = {"models": ["größe"], "prefix": "o'cut "}
    client.create_experiment("o'cut größe", artifact_location=client.get_experiment_by_name("größe").artifact_location)
    with monkeypatch.context() as patched:
        patched.setattr(Export, "end", cut_off)
        with pytest.raises(ConnectionError):
            export_to(elsewhere, uri(), **options)
    assert export_to(elsewhere, uri(), **options).versions == 1
    (run,) = runs_of(client, "o'cut größe")
    assert run.info.status == "FINISHED" and run.data.tags["reco.exported"] == "whole"
    assert len(client.search_model_versions('name = "o\'cut größe"')) == 1


def test_the_command_says_what_it_copied_and_why_it_could_not(elsewhere, copied, capsys):
    assert main(["export", "--from", uri(), "--to", elsewhere, "--model", "launch"]) == 0
    assert "copied 0 runs, 0 models and 0 versions" in capsys.readouterr().out
    assert main(["export", "--from", uri(), "--to", elsewhere, "--model", "nothing"]) == 1
    assert "no model that one may see is named nothing" in capsys.readouterr().err
    with pytest.raises(MlflowException):
        export_to(elsewhere, "pg-recommend://nowhere")
