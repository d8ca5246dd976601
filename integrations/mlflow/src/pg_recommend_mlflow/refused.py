"""What cannot be done from MLflow, and the SQL that does it. MLflow shows the catalog; people and schedules change it in SQL,
where privileges, audit and transactions are."""

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

TRAIN = "CALL reco.train('model', 'source', 'label') makes models and runs"
DROP = "SELECT reco.drop_model('model') deletes a model; its runs stay"
LOGGED = "what a run logs is written by CALL reco.train(…) and CALL reco.tune(…)"
DESCRIBE = "SELECT reco.describe_model('model', 'what it is for') describes a model; versions say what they are by themselves"
ALIAS = "SELECT reco.promote('model', 2, 'why') moves the champion, reco.set_alias and reco.drop_alias other names"
ARCHIVE = "SELECT reco.archive_version('model', 1) deletes the weights of a version; its row stays"
IMPORT = "SELECT reco.import_model('model', file) stores a version that was made elsewhere"
NAMES = "a model keeps its name: SELECT reco.import_model('new', reco.export_model('old')) makes a copy under another"
TAGS = "tags are what the catalog says; SELECT reco.describe_model('model', 'what it is for') keeps a text"
STAGES = "aliases take the place of stages: SELECT reco.promote('model', 2, 'why')"

TRACKING = {
    "create_experiment": TRAIN,
    "delete_experiment": DROP,
    "restore_experiment": IMPORT,
    "rename_experiment": NAMES,
    "set_experiment_tag": TAGS,
    "delete_experiment_tag": TAGS,
    "create_run": TRAIN,
    "update_run_info": LOGGED,
    "delete_run": "runs are kept as the history of a model",
    "restore_run": "runs are kept as the history of a model",
    "log_batch": LOGGED,
    "log_metric": LOGGED,
    "log_param": LOGGED,
    "set_tag": TAGS,
    "delete_tag": TAGS,
    "log_inputs": LOGGED,
    "log_outputs": LOGGED,
    "record_logged_model": LOGGED,
    "create_logged_model": IMPORT,
}

REGISTRY = {
    "create_registered_model": TRAIN,
    "update_registered_model": DESCRIBE,
    "rename_registered_model": NAMES,
    "delete_registered_model": DROP,
    "set_registered_model_tag": TAGS,
    "delete_registered_model_tag": TAGS,
    "create_model_version": IMPORT,
    "copy_model_version": IMPORT,
    "update_model_version": DESCRIBE,
    "transition_model_version_stage": STAGES,
    "delete_model_version": ARCHIVE,
    "set_model_version_tag": TAGS,
    "delete_model_version_tag": TAGS,
    "set_registered_model_alias": ALIAS,
    "delete_registered_model_alias": ALIAS,
}

# Of what a catalog has not, there is nothing to write either.
WRITES = (
    "add_", "archive_", "attach_", "create_", "delete_", "detach_", "finalize_", "link_", "log_", "register_", "remove_",
    "set_", "start_", "test_", "unlink_", "update_", "upsert_",
)  # fmt: skip
FOREIGN = "a catalog of models has no traces, prompts, assessments, gateways or webhooks"


def refusing(what: str, instead: str):
    def refuse(self, *args, **kwargs):
        raise MlflowException(f"{what} is not possible here: MLflow only shows the catalog. {instead}.", PERMISSION_DENIED)

    return refuse


def read_only(instead: dict[str, str]):
    """Lets a store refuse everything that writes: the methods named, with the SQL that does it, and others of its bases whose
    names begin with what writes."""

    def refuse_writes(store: type) -> type:
        for name in {*instead, *(name for name in dir(store) if name.startswith(WRITES))}:
            if name not in vars(store):
                setattr(store, name, refusing(name.replace("_", " "), instead.get(name, FOREIGN)))
        return store

    return refuse_writes
