"""MLflow's own description of a model, the file MLmodel, from which the UI takes the columns of a version."""

from mlflow.models import Model
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import Array, DataType

from pg_recommend_mlflow.address import hex_of
from pg_recommend_mlflow.artifacts import WEIGHTS
from pg_recommend_mlflow.catalog import Row

TYPES = {
    "number": DataType.double,
    "boolean": DataType.boolean,
    "text": DataType.string,
    "date": DataType.datetime,
    "timestamp": DataType.datetime,
    "number_array": Array(DataType.double),
}


def mlmodel(row: Row, columns: list[Row]) -> str:
    """It names no Python that could load it: scores come from the database."""
    model = Model(
        run_id=row["run_id"] and hex_of(row["run_id"]),
        utc_time_created=str(row["trained_at"]),
        flavors={"pg_recommend": {"algorithm": row["algorithm"], "data": WEIGHTS}},
        model_uuid=None,
    )
    known = [ColSpec(TYPES[column["family"]], column["name"]) for column in columns if column["family"] in TYPES]
    if known:
        model.signature = ModelSignature(Schema(known), Schema([ColSpec("double", row["label"] or "score")]))
    return model.to_yaml()
