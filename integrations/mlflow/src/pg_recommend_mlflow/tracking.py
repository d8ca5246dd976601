"""MLflow's tracking store on a catalog: a model is an experiment, trainings and searches are its runs."""

from uuid import UUID

from mlflow.entities import Experiment, ExperimentTag, LifecycleStage, Metric, Run, ViewType
from mlflow.entities.dataset_summary import _DatasetSummary
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT, SEARCH_MAX_RESULTS_THRESHOLD
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from psycopg import Connection

from pg_recommend_mlflow import catalog, runs
from pg_recommend_mlflow.absent import Absent
from pg_recommend_mlflow.address import SCHEME, Address, experiment_id, hex_of, spelled, uuid_of
from pg_recommend_mlflow.catalog import Row
from pg_recommend_mlflow.database import SERVER_ARTIFACTS, Database, environment
from pg_recommend_mlflow.refused import TRACKING, read_only

# Without it the UI shows an experiment as one of traces and prompts.
KIND = ("mlflow.experimentKind", "custom_model_development")
PROXIED = "mlflow-artifacts:/"


class Files:
    """Where MLflow finds the files of a run or a version: through the server, if it was started with the catalog as the place
    of its artifacts, so that clients need neither this package nor the database; else in the database."""

    def __init__(self, address: Address, artifact_root: str | None):
        proxied = (artifact_root or "").startswith(PROXIED) and environment(SERVER_ARTIFACTS).startswith(f"{SCHEME}:")
        self._of = (lambda path: PROXIED + path) if proxied else address.with_path

    def of_run(self, run_id: UUID) -> str:
        return self._of(f"runs/{hex_of(run_id)}")

    def of_version(self, model: str, version: int) -> str:
        return self._of(f"models/{spelled(model)}/{version}")

    def of_model(self, model: str) -> str:
        return self._of(f"models/{spelled(model)}")


def check_max_results(max_results: int | None, most: int) -> None:
    if not isinstance(max_results, int) or not 1 <= max_results <= most:
        raise MlflowException(f"max_results is a whole number from 1 to {most}, not {max_results}", INVALID_PARAMETER_VALUE)


class Histories(AbstractStore):
    """Metrics that were read, as the store that MLflow's sampling asks for them."""

    def __init__(self, values: dict[str, list[Metric]]):
        self.values = values

    def get_metric_history(self, run_id, metric_key, max_results=None, page_token=None):
        return [value for value in self.values[run_id] if value.key == metric_key]


@read_only(TRACKING)
class TrackingStore(Absent, AbstractStore):
    def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None):
        super().__init__()
        address = Address.of(store_uri or "")
        self.database = Database.at(address)
        self.database.check()
        self.files = Files(address, artifact_uri)

    # --- experiments

    def search_experiments(
        self,
        view_type=ViewType.ACTIVE_ONLY,
        max_results=SEARCH_MAX_RESULTS_DEFAULT,
        filter_string=None,
        order_by=None,
        page_token=None,
    ):
        check_max_results(max_results, SEARCH_MAX_RESULTS_THRESHOLD)
        found = SearchExperimentsUtils.filter(self._experiments(view_type), filter_string)
        found = SearchExperimentsUtils.sort(found, order_by or ["last_update_time DESC", "name ASC"])
        return PagedList(*SearchUtils.paginate(found, page_token, max_results))

    def get_experiment(self, experiment_id):
        return self._experiment_of(lambda experiment: experiment.experiment_id == str(experiment_id), f"the id {experiment_id}")

    def get_experiment_by_name(self, experiment_name):
        with self.database.reading() as connection:
            rows = catalog.models(connection, experiment_name)
        return self._experiment(rows[0]) if rows else None

    def _experiments(self, view_type) -> list[Experiment]:
        if view_type == ViewType.DELETED_ONLY:
            return []
        with self.database.reading() as connection:
            return [self._experiment(row) for row in catalog.models(connection)]

    def _experiment_of(self, wanted, what: str) -> Experiment:
        for experiment in self._experiments(ViewType.ALL):
            if wanted(experiment):
                return experiment
        raise MlflowException(f"no model that one may see has {what}", RESOURCE_DOES_NOT_EXIST)

    def _experiment(self, row: Row) -> Experiment:
        tags = {
            KIND[0]: KIND[1],
            MLFLOW_RUN_NOTE: row["purpose"],
            "reco.owner": row["owner"],
            "reco.champion": row["champion"] and str(row["champion"]),
        }
        return Experiment(
            experiment_id=experiment_id(row["model"]),
            name=row["model"],
            artifact_location=self.files.of_model(row["model"]),
            lifecycle_stage=LifecycleStage.ACTIVE,
            tags=[ExperimentTag(key, value) for key, value in tags.items() if value],
            creation_time=runs.milliseconds(row["begun_at"]),
            last_update_time=runs.milliseconds(row["changed_at"]),
        )

    # --- runs

    def get_run(self, run_id):
        identifier = uuid_of(run_id)
        with self.database.reading() as connection:
            found = self._runs(connection, ids=[identifier])
        if not found:
            raise MlflowException(f"no run that one may see has the id {run_id}", RESOURCE_DOES_NOT_EXIST)
        return found[0]

    def _search_runs(self, experiment_ids, filter_string, run_view_type, max_results, order_by, page_token):
        check_max_results(max_results, SEARCH_MAX_RESULTS_THRESHOLD)
        found = SearchUtils.filter(self._runs_of(experiment_ids, run_view_type), filter_string)
        return SearchUtils.paginate(SearchUtils.sort(found, order_by), page_token, max_results)

    def _runs_of(self, experiment_ids, view_type=ViewType.ACTIVE_ONLY) -> list[Run]:
        if view_type == ViewType.DELETED_ONLY:
            return []
        with self.database.reading() as connection:
            wanted = {str(identifier) for identifier in experiment_ids}
            names = [row["model"] for row in catalog.models(connection) if experiment_id(row["model"]) in wanted]
            return self._runs(connection, models=names) if names else []

    def _runs(self, connection: Connection, models: list[str] | None = None, ids: list[UUID] | None = None) -> list[Run]:
        trained, searched = catalog.runs(connection, models, ids), catalog.tunes(connection, models, ids)
        identifiers = [row["run_id"] for row in trained]
        epochs = runs.grouped(catalog.last_epochs(connection, identifiers), "run_id")
        tried = runs.grouped(catalog.candidates(connection, identifiers), "run_id")
        trials = runs.grouped(catalog.trials(connection, [row["tune_id"] for row in searched]), "tune_id")
        found = [runs.run(row, epochs[row["run_id"]], tried[row["run_id"]], self.files.of_run(row["run_id"])) for row in trained]
        return found + [runs.tune(row, trials[row["tune_id"]], self.files.of_run(row["tune_id"])) for row in searched]

    # --- metrics

    def get_metric_history(self, run_id, metric_key, max_results=None, page_token=None):
        values = [metric for metric in self.histories([run_id]).get(run_id, []) if metric.key == metric_key]
        if max_results is None:
            return PagedList(values[SearchUtils.parse_start_offset_from_page_token(page_token) :], None)
        return PagedList(*SearchUtils.paginate(values, page_token, max_results))

    def histories(self, run_ids: list[str]) -> dict[str, list[Metric]]:
        """Every value of every metric of runs; of a run that one may not see nothing."""
        identifiers = [uuid_of(run_id) for run_id in run_ids]
        values: dict[str, list[Metric]] = {run_id: [] for run_id in run_ids}
        with self.database.reading() as connection:
            trained, searched = catalog.runs(connection, ids=identifiers), catalog.tunes(connection, ids=identifiers)
            for row in catalog.all_epochs(connection, identifiers):
                values[hex_of(row["run_id"])].extend(runs.epoch_metrics(row))
            tried = runs.grouped(catalog.candidates(connection, identifiers), "run_id")
            trials = runs.grouped(catalog.trials(connection, identifiers), "tune_id")
        for row in trained:
            values[hex_of(row["run_id"])].extend(runs.result_metrics(row, tried[row["run_id"]]))
        for row in searched:
            values[hex_of(row["tune_id"])].extend(runs.trial_metrics(row, trials[row["tune_id"]]))
        return values

    def get_metric_history_bulk(self, run_ids, metric_key, max_results):
        histories = self.histories(list(run_ids))
        values = [(run_id, value) for run_id in sorted(run_ids) for value in histories[run_id] if value.key == metric_key]
        return [MetricWithRunId(value, run_id) for run_id, value in values[:max_results]]

    def get_metric_history_bulk_interval(self, run_ids, metric_key, max_results, start_step, end_step):
        # MLflow's own choice of steps, on what one query has read.
        read = Histories(self.histories(list(run_ids)))
        return AbstractStore.get_metric_history_bulk_interval(read, list(run_ids), metric_key, max_results, start_step, end_step)

    # --- datasets

    def _search_datasets(self, experiment_ids):
        summaries = {
            (run.info.experiment_id, used.dataset.name, used.dataset.digest)
            for run in self._runs_of(experiment_ids)
            for used in run.inputs.dataset_inputs
        }
        return [_DatasetSummary(*summary, context="training") for summary in sorted(summaries)]
