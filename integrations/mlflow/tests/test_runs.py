"""Experiments and runs, as MLflow's client and server ask for them."""

import uuid

import pytest
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from pg_recommend_mlflow import database
from pg_recommend_mlflow.address import experiment_id, hex_of, uuid_of


def names(runs):
    return [run.info.run_name for run in runs]


def test_each_model_is_an_experiment_also_one_whose_first_training_failed(store):
    found = {experiment.name: experiment for experiment in store.search_experiments()}
    assert set(found) == {"launch", "broken", "größe", "größe 1/2"}
    launch = found["launch"]
    assert launch.tags["mlflow.experimentKind"] == "custom_model_development"
    assert launch.tags["mlflow.note.content"] == "Which new products are bought where next week."
    assert store.get_experiment(launch.experiment_id).name == "launch"
    assert launch.experiment_id == experiment_id("launch")


def test_experiments_are_filtered_ordered_and_paged_by_mlflows_own_rules(store):
    assert names_of(store.search_experiments(filter_string="name LIKE 'l%'")) == ["launch"]
    first = store.search_experiments(max_results=1, order_by=["name DESC"])
    second = store.search_experiments(max_results=1, order_by=["name DESC"], page_token=first.token)
    assert names_of(first) + names_of(second) == ["launch", "größe 1/2"]
    assert store.search_experiments(view_type=ViewType.DELETED_ONLY) == []
    with pytest.raises(MlflowException, match="max_results"):
        store.search_experiments(max_results=0)


def names_of(experiments):
    return [experiment.name for experiment in experiments]


def test_what_no_one_has_is_not_found(store):
    assert store.get_experiment_by_name("nothing") is None
    for ask in (lambda: store.get_experiment("0"), lambda: store.get_run(uuid.uuid4().hex), lambda: store.get_run("x' OR 1=1")):
        with pytest.raises(MlflowException) as refused:
            ask()
        assert refused.value.get_http_status_code() == 404


def test_a_run_has_the_id_of_the_catalog_both_ways(store, sql):
    for (identifier,) in sql("SELECT run_id FROM reco.runs"):
        assert uuid_of(hex_of(identifier)) == identifier
        assert store.get_run(hex_of(identifier)).info.run_id == identifier.hex


def test_a_run_says_its_parameters_lineage_and_result(store, named, sql):
    run = named["v1 mlp"]
    (digest, auroc), *_ = sql("SELECT data ->> 'digest', test_auroc FROM reco.versions WHERE model = 'launch' AND version = 1")
    assert run.data.params["epochs"] == "12" and run.data.params["hidden"] == "[16]" and run.data.params["algorithm"] == "mlp"
    assert run.data.metrics["test/auroc"] == auroc and "validation/popularity_auroc" in run.data.metrics
    tags = run.data.tags
    assert tags["reco.source"] == "public.launch_features" and tags["reco.keys"] == "product_id, region"
    assert tags["reco.digest"] == digest and tags["mlflow.user"] == "postgres" and tags["reco.library.libtorch"]
    used = run.inputs.dataset_inputs[0].dataset
    assert (used.name, used.digest) == ("public.launch_features", digest)
    assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time


def test_the_curves_are_the_epochs_of_the_catalog(store, named, sql):
    run = named["v1 mlp"]
    history = store.get_metric_history(run.info.run_id, "epochs/train_loss")
    epochs = sql("SELECT epoch, train_loss FROM reco.run_metrics WHERE run_id = %s ORDER BY epoch", uuid_of(run.info.run_id))
    assert [(value.step, value.value) for value in history] == epochs and len(epochs) == 12
    times = [value.timestamp for value in history]
    assert times == sorted(times) and times[0] >= run.info.start_time
    page = store.get_metric_history(run.info.run_id, "epochs/train_loss", max_results=5)
    rest = store.get_metric_history(run.info.run_id, "epochs/train_loss", max_results=50, page_token=page.token)
    assert [value.step for value in [*page, *rest]] == list(range(1, 13))
    assert store.get_metric_history(run.info.run_id, "no_such_metric") == []


def test_many_runs_give_their_curves_in_one_question(store, named):
    ids = [named["v1 mlp"].info.run_id, named["v2 boosted_trees"].info.run_id]
    values = store.get_metric_history_bulk_interval(ids, "epochs/validation_loss", 5, None, None)
    assert {value.run_id for value in values} == set(ids)
    assert {value.step for value in values if value.run_id == ids[0]} >= {1, 12}
    assert len(store.get_metric_history_bulk(ids, "epochs/validation_loss", 1000)) == 12 + 20


def test_trials_of_a_search_are_nested_in_it(store, named, sql):
    parent = named["v3 search of mlp, 4 trials"]
    trials = store.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", 1)
    (count,), *_ = sql("SELECT count(*) FROM reco.trials")
    assert len(trials) == count > 4
    (best,), *_ = sql("SELECT max(value) FROM reco.trials")
    assert parent.data.metrics["search/best_average_precision"] == best
    assert [value.step for value in store.get_metric_history(parent.info.run_id, "search/average_precision")] == [1, 2, 3, 4]
    assert parent.data.params["search.hidden"] == "[[8], [16]]"


def test_a_run_of_several_algorithms_shows_those_that_it_did_not_keep_under_their_names(named):
    run = next(run for name, run in named.items() if name.startswith("v4 auto: "))
    kept = run.info.run_name.removeprefix("v4 auto: ")
    others = {"boosted_trees", "mlp", "deep_cross", "logistic"} - {kept}
    assert all(f"tried/{other}/validation/auroc" in run.data.metrics for other in others)
    assert f"tried/{kept}/validation/auroc" not in run.data.metrics


def test_a_run_that_failed_says_why(store):
    broken = store.get_experiment_by_name("broken")
    (run,) = store.search_runs([broken.experiment_id], "attributes.status = 'FAILED'", 1)
    assert "the label is" in run.data.tags["reco.error"]
    assert run.data.tags["mlflow.note.content"] == run.data.tags["reco.error"]


def test_runs_are_filtered_ordered_and_paged_by_mlflows_own_rules(store, launch):
    found = store.search_runs([launch], "metrics.`test/auroc` > 0 AND params.algorithm = 'mlp'", 1, order_by=["run_name DESC"])
    assert names(found)[-1] == "v1 mlp" and len(found) == 2
    everything = store.search_runs([launch], "", 1)
    first = store.search_runs([launch], "", 1, max_results=3)
    rest = store.search_runs([launch], "", 1, max_results=100, page_token=first.token)
    assert names([*first, *rest]) == names(everything)
    with pytest.raises(MlflowException) as refused:
        store.search_runs([launch], "nonsense ==== 1", 1)
    assert refused.value.get_http_status_code() == 400
    assert store.search_runs([launch], "", ViewType.DELETED_ONLY) == []


def test_the_data_of_an_experiment_are_summed_up(store, launch):
    summaries = store._search_datasets([launch])
    assert {summary.name for summary in summaries} == {"public.launch_features"}


def test_a_statement_that_takes_too_long_is_stopped(store, monkeypatch):
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 1)
    with pytest.raises(MlflowException) as stopped, store.database.reading() as connection:
        connection.execute("SELECT pg_sleep(60)")
    assert stopped.value.get_http_status_code() == 503


def test_nothing_can_be_written_through_the_connection(store):
    with pytest.raises(MlflowException, match="read-only"), store.database.reading() as connection:
        connection.execute("SELECT reco.describe_model('launch', 'something else')")
