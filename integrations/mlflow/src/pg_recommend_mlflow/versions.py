"""Rows of the catalog as MLflow's registered models and their versions."""

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)
from mlflow.entities.model_registry.model_version_stages import STAGE_NONE

from pg_recommend_mlflow.address import hex_of
from pg_recommend_mlflow.catalog import Row
from pg_recommend_mlflow.runs import as_text, fields, is_figure, milliseconds

# What a sentence about a version says, of probabilities and of quantities.
SAID = ("auroc", "average_precision", "rmse", "mae")


def tagged(tag: type, values: dict) -> list:
    return [tag(key, as_text(value)) for key, value in values.items() if value not in (None, "", [])]


def measured(row: Row) -> str | None:
    metrics = fields(row["metrics"])
    part = "test" if fields(metrics.get("test")).get("model") else "validation"
    model, popularity = (fields(fields(metrics.get(part)).get(who)) for who in ("model", "popularity"))
    figures = [
        f"{name.replace('_', ' ')} {model[name]:.4f}"
        + (f" (popularity {popularity[name]:.4f})" if is_figure(popularity.get(name)) else "")
        for name in SAID
        if is_figure(model.get(name))
    ]
    return f"On {part} rows: {', '.join(figures)}." if figures else None


def sentence(row: Row) -> str:
    """What a version is, in a line or two."""
    learned = f"{row['algorithm']}, {row['status']}" + (f" from {row['source']}" if row["source"] else "")
    if row["label"]:
        learned += f", predicts {row['label']}"
    if row["keys"]:
        learned += f" by {', '.join(row['keys'])}"
    promoted = f"Promoted by {row['moved_by']}" + (f": {row['why']}" if row["why"] else ".") if row["moved_at"] else None
    return " ".join(part for part in (learned + ".", measured(row), promoted) if part)


def readable(card: str) -> str:
    """A model card for a page: without the source's definition, which is long and stands on one line, and with places where long
    lines of JSON can break."""
    lines = (line for line in card.splitlines() if not line.startswith("- definition:"))
    return "\n".join(line.replace(',"', ', "') if line.startswith("- ") else line for line in lines)


def with_definition(card: str, definition: str | None) -> str:
    """The same with the definition at its end, as it was written."""
    if not definition:
        return readable(card)
    fence = "````"
    return f"{readable(card)}\n\n## Definition of the source\n\n{fence}sql\n{definition}\n{fence}\n"


def version(row: Row, source: str, description: str | None = None) -> ModelVersion:
    tags = {
        "reco.algorithm": row["algorithm"],
        "reco.status": row["status"],
        "reco.source": row["source"],
        "reco.digest": row["digest"],
    }
    return ModelVersion(
        name=row["model"],
        version=str(row["version"]),
        creation_timestamp=milliseconds(row["trained_at"]),
        last_updated_timestamp=milliseconds(row["changed_at"]),
        description=description or sentence(row),
        user_id=row["trained_by"],
        current_stage=STAGE_NONE,
        source=source,
        run_id=row["run_id"] and hex_of(row["run_id"]),
        tags=tagged(ModelVersionTag, tags),
        aliases=list(row["aliases"] or []),
    )


def model(row: Row, aliases: list[Row], newest: list[ModelVersion]) -> RegisteredModel:
    return RegisteredModel(
        name=row["model"],
        creation_timestamp=milliseconds(row["created_at"]),
        last_updated_timestamp=milliseconds(row["changed_at"]),
        description=row["purpose"],
        latest_versions=newest,
        tags=tagged(RegisteredModelTag, {"reco.owner": row["owner"]}),
        aliases=[RegisteredModelAlias(alias["alias"], str(alias["version"])) for alias in aliases],
    )
