"""MLflow's model registry on a catalog: models, their versions and aliases."""

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import add_prompt_filter_string
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
    SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD,
)
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils, SearchUtils
from psycopg import Connection

from pg_recommend_mlflow import catalog, versions
from pg_recommend_mlflow.address import Address
from pg_recommend_mlflow.catalog import Row
from pg_recommend_mlflow.database import SERVER_ARTIFACT_ROOT, Database, environment
from pg_recommend_mlflow.refused import REGISTRY, read_only
from pg_recommend_mlflow.runs import grouped
from pg_recommend_mlflow.tracking import Files, check_max_results

LARGEST_VERSION = 2**31 - 1


def version_number(version: str) -> int:
    if not str(version).isdecimal() or not 1 <= int(version) <= LARGEST_VERSION:
        raise MlflowException(f"a version is a whole number, not {version}", INVALID_PARAMETER_VALUE)
    return int(version)


@read_only(REGISTRY)
class RegistryStore(AbstractStore):
    def __init__(self, store_uri: str | None = None, tracking_uri: str | None = None):
        super().__init__(store_uri, tracking_uri)
        address = Address.of(store_uri or "")
        self.database = Database.at(address)
        self.database.check()
        self.files = Files(address, environment(SERVER_ARTIFACT_ROOT))

    # --- models

    def search_registered_models(
        self,
        filter_string=None,
        max_results=SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
        order_by=None,
        page_token=None,
    ):
        check_max_results(max_results, SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD)
        with self.database.reading() as connection:
            found = self._models(connection)
        found = SearchModelUtils.filter(found, add_prompt_filter_string(filter_string, is_prompt=False))
        return PagedList(*SearchUtils.paginate(SearchModelUtils.sort(found, order_by), page_token, max_results))

    def get_registered_model(self, name):
        with self.database.reading() as connection:
            return self._model(connection, name)

    def get_latest_versions(self, name, stages=None):
        # Versions have aliases and no stages: all of them are in MLflow's stage None.
        if stages and "none" not in {stage.lower() for stage in stages}:
            return []
        return self.get_registered_model(name).latest_versions

    def _models(self, connection: Connection, name: str | None = None):
        aliases = grouped(catalog.aliases(connection), "model")
        made = grouped(catalog.versions(connection, name), "model")
        return [
            versions.model(row, aliases[row["model"]], [self._version(newest) for newest in made[row["model"]][:1]])
            for row in catalog.models(connection, name)
            if row["exists"]
        ]

    def _model(self, connection: Connection, name: str):
        found = self._models(connection, name)
        if not found:
            raise MlflowException(f"there is no model {name} that one may see", RESOURCE_DOES_NOT_EXIST)
        return found[0]

    # --- versions

    def search_model_versions(
        self,
        filter_string=None,
        max_results=SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
        order_by=None,
        page_token=None,
    ):
        check_max_results(max_results, SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD)
        with self.database.reading() as connection:
            found = [self._version(row) for row in catalog.versions(connection)]
        found = SearchModelVersionUtils.filter(found, add_prompt_filter_string(filter_string, is_prompt=False))
        found = SearchModelVersionUtils.sort(
            found, order_by or ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]
        )
        return PagedList(*SearchUtils.paginate(found, page_token, max_results))

    def get_model_version(self, name, version):
        """With its model card as the description, which the UI shows on the version's page."""
        number = version_number(version)
        with self.database.reading() as connection:
            row = self._row(connection, name, number)
            card = versions.readable(catalog.card_text(connection, name, number))
            return versions.version(row, self.files.of_version(name, number), card)

    def get_model_version_download_uri(self, name, version):
        number = version_number(version)
        with self.database.reading() as connection:
            self._row(connection, name, number)
        return self.files.of_version(name, number)

    def get_model_version_by_alias(self, name, alias):
        model = self.get_registered_model(name)
        if alias not in model.aliases:
            raise MlflowException(f"the model {name} has no alias {alias}", INVALID_PARAMETER_VALUE)
        return self.get_model_version(name, model.aliases[alias])

    def _row(self, connection: Connection, name: str, version: int) -> Row:
        found = catalog.versions(connection, name, version)
        if not found:
            raise MlflowException(f"there is no version {version} of {name} that one may see", RESOURCE_DOES_NOT_EXIST)
        return found[0]

    def _version(self, row: Row) -> ModelVersion:
        return versions.version(row, self.files.of_version(row["model"], row["version"]))

    # --- webhooks, which a server looks for whenever something changes

    def list_webhooks(self, max_results=None, page_token=None):
        return PagedList([], None)

    def list_webhooks_by_event(self, event, max_results=None, page_token=None):
        return PagedList([], None)

    def get_webhook(self, webhook_id):
        raise MlflowException("a catalog of models has no webhooks", RESOURCE_DOES_NOT_EXIST)
