"""Who sees what, and that nothing can be changed from MLflow."""

import inspect

import pytest
from conftest import uri
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore as AbstractRegistry
from mlflow.store.tracking.abstract_store import AbstractStore as AbstractTracking

from pg_recommend_mlflow.refused import REGISTRY, TRACKING
from pg_recommend_mlflow.registry import RegistryStore
from pg_recommend_mlflow.tracking import TrackingStore


def test_who_may_train_sees_the_runs_of_that_model_alone():
    store = TrackingStore(uri("analyst"))
    assert [experiment.name for experiment in store.search_experiments()] == ["launch"]
    runs = store.search_runs([experiment.experiment_id for experiment in store.search_experiments()], "", 1)
    assert len(runs) >= 8 and all(run.data.params for run in runs)


def test_who_may_score_sees_versions_and_no_runs():
    store, registry = TrackingStore(uri("shop")), RegistryStore(uri("shop"))
    (launch,) = store.search_experiments()
    assert store.search_runs([launch.experiment_id], "", 1) == []
    versions = registry.search_model_versions("name = 'launch'")
    assert len(versions) == 4 and {version.run_id for version in versions} == {None}
    assert registry.get_model_version_by_alias("launch", "champion").version == "2"


def test_a_run_that_one_may_not_see_is_not_found_and_has_no_curves(named):
    store, run_id = TrackingStore(uri("shop")), named["v1 mlp"].info.run_id
    with pytest.raises(MlflowException) as refused:
        store.get_run(run_id)
    assert refused.value.get_http_status_code() == 404
    assert store.get_metric_history(run_id, "epochs/train_loss") == []


def test_a_stranger_sees_nothing():
    assert TrackingStore(uri("stranger")).search_experiments() == []
    assert RegistryStore(uri("stranger")).search_registered_models() == []


def test_who_may_not_use_the_schema_is_told_what_to_grant():
    with pytest.raises(MlflowException, match='GRANT USAGE ON SCHEMA reco TO "outsider"'):
        TrackingStore(uri("outsider"))


@pytest.mark.parametrize("name", TRACKING)
def test_a_tracking_store_refuses_each_write_and_names_the_sql(store, name):
    with pytest.raises(MlflowException, match="MLflow only shows the catalog") as refused:
        getattr(store, name)()
    assert refused.value.get_http_status_code() == 403


@pytest.mark.parametrize("name", REGISTRY)
def test_a_registry_refuses_each_write_and_names_the_sql(registry, name):
    with pytest.raises(MlflowException, match=r"reco\.|aliases") as refused:
        getattr(registry, name)()
    assert refused.value.get_http_status_code() == 403


# What these do comes out of the methods that are defined, or concerns no catalog.
KEPT = {
    "delete_traces", "end_async_logging", "filter_active_experiment_ids", "flush_async_logging", "shut_down_async_logging",
    "get_metric_history_bulk_interval_from_steps", "list_scorers_across_experiments", "resolve_trace_archival_config",
    "search_runs", "get_prompt", "get_prompt_version", "get_prompt_version_by_alias", "search_prompts", "search_prompt_versions",
}  # fmt: skip


@pytest.mark.parametrize("ours, base", [(TrackingStore, AbstractTracking), (RegistryStore, AbstractRegistry)])
def test_every_method_of_mlflows_stores_is_answered_or_refused(ours, base):
    methods = [name for name, member in inspect.getmembers(base, inspect.isfunction) if not name.startswith("_")]
    left = [name for name in methods if getattr(ours, name) is getattr(base, name) and name not in KEPT]
    assert left == []
