"""The file that reco.export_training_set writes: rows as a network reads them, and all that is known besides."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

ABOUT = b"pg_recommend.training_set"
RECIPE = b"pg_recommend.recipe"
FORMAT_VERSION = 1


@dataclass
class Rows:
    """Rows of one part. `dense` has the shape (rows, width), `categories` (categories, rows)."""

    dense: torch.Tensor
    categories: torch.Tensor
    targets: torch.Tensor
    labels: np.ndarray
    later: np.ndarray | None

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Copies of the inputs and targets that `index` names."""
        return self.dense[index], self.categories[:, index], self.targets[index]

    def slice(self, first: int, end: int) -> "Rows":
        later = self.later[first:end] if self.later is not None else None
        inputs = self.dense[first:end], self.categories[:, first:end], self.targets[first:end]
        return Rows(*inputs, self.labels[first:end], later)


@dataclass
class TrainingSet:
    about: dict[str, Any]
    recipe: str
    train: Rows
    validation: Rows
    test: Rows
    sample: Rows

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter, with the value that is taken for null."""
        return {**self.about["params"], **self.about["taken"]}

    @property
    def is_binary(self) -> bool:
        return self.about["task"] == "binary"


def read(path: str, device: torch.device) -> TrainingSet:
    """Reads the file; the inputs go to the device."""
    with pa.memory_map(path) as source:
        table = pa.ipc.open_file(source).read_all()
        about = json.loads(table.schema.metadata[ABOUT])
        if about["format_version"] != FORMAT_VERSION:
            raise SystemExit(
                f"{path} has format version {about['format_version']}, and this program reads {FORMAT_VERSION}: "
                "take train.py and the extension from one release"
            )
        rows = _rows(table, about, device)
        parts = table["part"].to_numpy()
    first, second = (int(np.searchsorted(parts, part)) for part in (1, 2))
    places = torch.tensor(about["sample"]["places"], dtype=torch.int64, device=device)
    dense, categories, targets = rows.select(places)
    return TrainingSet(
        about,
        table.schema.metadata[RECIPE].decode(),
        rows.slice(0, first),
        rows.slice(first, second),
        rows.slice(second, len(rows)),
        Rows(dense, categories, targets, rows.labels[places.cpu().numpy()], None),
    )


def _rows(table: pa.Table, about: dict[str, Any], device: torch.device) -> Rows:
    count, width = table.num_rows, about["network"]["dense"]
    dense = np.zeros((count, width), np.float32)
    if width > 0:
        chunks = [chunk.flatten().to_numpy() for chunk in table["dense"].chunks]
        np.concatenate(chunks, out=dense.reshape(-1))
    names = [f"category_{n}" for n in range(len(about["network"]["embeddings"]))]
    categories = np.zeros((len(names), count), np.int32)
    for n, name in enumerate(names):
        categories[n] = table[name].to_numpy()
    labels = table["label"].to_numpy()
    units = about["units"]
    targets = ((labels - units["mean"]) / units["scale"]).astype(np.float32)
    later = table["later"]
    is_known = later.null_count < count
    inputs = [torch.from_numpy(values).to(device) for values in (dense, categories, targets)]
    return Rows(*inputs, labels, later.fill_null(False).to_numpy() if is_known else None)
