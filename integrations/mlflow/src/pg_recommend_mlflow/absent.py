"""What MLflow's UI asks of a tracking store and a catalog of models does not have: traces, logged models, assessments, scorers,
review queues, gateways. Lists of these are empty, one of them is not found."""

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList

LISTS = (
    "batch_get_trace_infos",
    "batch_get_traces",
    "find_completed_sessions",
    "get_active_online_scorers",
    "get_dataset_experiment_ids",
    "get_mcp_server_versions_for_trace",
    "get_online_scoring_configs",
    "list_endpoint_bindings",
    "list_endpoint_guardrail_configs",
    "list_gateway_endpoints",
    "list_gateway_model_definitions",
    "list_scorer_versions",
    "list_scorers",
    "list_secret_infos",
    "list_budget_policies",
    "list_gateway_guardrails",
    "list_label_schemas",
    "list_review_queue_items",
    "list_review_queues",
    "query_trace_metrics",
    "search_datasets",
    "search_issues",
    "search_logged_models",
    "search_mcp_access_endpoints",
    "search_mcp_server_versions",
    "search_mcp_servers",
)

ONES = (
    "calculate_trace_filter_correlation",
    "get_assessment",
    "get_budget_policy",
    "get_dataset",
    "get_gateway_endpoint",
    "get_gateway_guardrail",
    "get_gateway_model_definition",
    "get_issue",
    "get_label_schema",
    "get_label_schema_by_name",
    "get_latest_mcp_server_version",
    "get_logged_model",
    "get_mcp_access_endpoint",
    "get_mcp_server",
    "get_mcp_server_version",
    "get_mcp_server_version_by_alias",
    "get_online_trace_details",
    "get_or_create_user_queue",
    "get_review_queue",
    "get_review_queue_by_name",
    "get_scorer",
    "get_secret_info",
    "get_trace",
    "get_trace_info",
)


def none_of(name: str):
    def nothing(self, *args, **kwargs):
        return PagedList([], None)

    nothing.__name__ = name
    return nothing


def not_found(name: str):
    what = name.removeprefix("get_").replace("_", " ")

    def missing(self, *args, **kwargs):
        raise MlflowException(f"a catalog of models has no {what}", RESOURCE_DOES_NOT_EXIST)

    missing.__name__ = name
    return missing


def without(store: type) -> type:
    for name in LISTS:
        setattr(store, name, none_of(name))
    for name in ONES:
        setattr(store, name, not_found(name))
    return store


@without
class Absent:
    def search_traces(self, *args, **kwargs):
        return [], None

    def sum_gateway_trace_cost(self, *args, **kwargs):
        return 0.0
