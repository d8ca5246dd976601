"""The trainer by hand beside PyTorch, both on one device; started by bench/gpu.sh.

Neither measures validation rows: an epoch is nothing but its steps. The median over the epochs but the first, which
warms up what is loaded and compiled late."""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy
import pyarrow
import torch
from torch import nn

TEST_SHARE = 0.02  # the trainer's check of its own scores needs a few rows
CHUNK = 1 << 18


def main():
    settings = arguments()
    data = settings.folder / "data.arrow"
    write_rows(data, settings)
    device, ours = by_trainer(data, settings)
    theirs = by_torch(data, settings, device)
    print(f"{name_of(device)}; PyTorch {torch.__version__}")
    print(
        f"{settings.rows:,} rows × {settings.columns}, {settings.hidden} hidden, "
        f"batches of {settings.batch or 'all rows'}, {settings.epochs} epochs"
    )
    print(f"pg_recommend_trainer  {ours:8.2f} epochs/s")
    print(f"PyTorch, eager        {theirs:8.2f} epochs/s")
    print(f"ratio                 {ours / theirs:8.2f}×")


def arguments():
    parser = argparse.ArgumentParser()
    for name in "trainer", "libtorch", "folder":
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--device", required=True)
    for name in "rows", "columns", "batch", "epochs", "hidden", "seed":
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    if given.epochs < 2:
        parser.error("at least two epochs: the first is not counted")
    return given


def write_rows(file, settings):
    """Standard-normal inputs x1, x2, … and a label that a network can learn in part."""
    random = numpy.random.default_rng(settings.seed)
    direction = random.standard_normal(settings.columns) / settings.columns**0.5
    names = [f"x{n}" for n in range(1, settings.columns + 1)]
    kinds = [(name, pyarrow.float32()) for name in names] + [("purchased", pyarrow.bool_())]
    schema = pyarrow.schema(kinds)
    with pyarrow.OSFile(str(file), "wb") as to, pyarrow.ipc.new_file(to, schema) as writer:
        for start in range(0, settings.rows, CHUNK):
            inputs = random.standard_normal((settings.columns, min(CHUNK, settings.rows - start)), "f4")
            logits = 2 * direction @ inputs + inputs[0] * inputs[-1] - 1
            label = random.random(len(logits)) < 1 / (1 + numpy.exp(-logits))
            writer.write_batch(pyarrow.record_batch([*inputs, label], schema=schema))


def by_trainer(data, settings):
    """Its device, and epochs per second."""
    spec = settings.folder / "spec.json"
    spec.write_text(json.dumps(specification(settings)))
    files = ["--spec", spec, "--data", data, "--out", settings.folder / "model.safetensors"]
    environment = os.environ | {"LD_LIBRARY_PATH": str(settings.libtorch)}
    made = subprocess.run([settings.trainer, *files], env=environment, stdout=subprocess.PIPE, text=True)
    events = [json.loads(line) for line in made.stdout.splitlines()]
    if made.returncode != 0:
        raise SystemExit(f"error: the trainer failed: {events[-1] if events else made.returncode}")
    device = next(event["device"] for event in events if event["event"] == "started")
    return device, per_second([event["seconds"] for event in events if event["event"] == "epoch"])


def specification(settings):
    inputs = [column(f"x{n}", "real", "number", "feature") for n in range(1, settings.columns + 1)]
    return {
        "model": "gpu",
        "algorithms": ["mlp"],
        "params": {
            "hidden": [settings.hidden],
            "epochs": settings.epochs,
            "batch_size": settings.batch,
            "seed": settings.seed,
            "device": settings.device,
            "validation_share": 0,
            "test_share": TEST_SHARE,
            "patience": 0,
        },
        "columns": [*inputs, column("purchased", "boolean", "boolean", "label")],
    }


def column(name, sql_type, family, role):
    return {"name": name, "sql_type": sql_type, "family": family, "role": role}


def by_torch(data, settings, device):
    """Epochs per second, of as many training rows."""
    torch.manual_seed(settings.seed)
    table = pyarrow.ipc.open_file(pyarrow.memory_map(str(data))).read_all()
    rows = round(settings.rows * (1 - TEST_SHARE))
    inputs = numpy.stack([table[f"x{n}"].to_numpy() for n in range(1, settings.columns + 1)], 1)[:rows]
    inputs = torch.from_numpy((inputs - inputs.mean(0)) / inputs.std(0)).to(device)
    labels = torch.from_numpy(table["purchased"].to_numpy()[:rows].astype("f4")).to(device)
    network = nn.Sequential(nn.Linear(settings.columns, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 1)).to(device)
    optimizer, loss_of = torch.optim.Adam(network.parameters(), 0.001), nn.BCEWithLogitsLoss()
    return per_second([epoch(network, optimizer, loss_of, inputs, labels, settings.batch) for _ in range(settings.epochs)])


def epoch(network, optimizer, loss_of, inputs, labels, size):
    """Seconds until the device is done and the loss is known."""
    start = time.perf_counter()
    total = torch.zeros((), device=labels.device)
    for batch, targets in batches(inputs, labels, size):
        optimizer.zero_grad()
        loss = loss_of(network(batch).squeeze(1), targets)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(targets)
    total.item()
    return time.perf_counter() - start


def batches(inputs, labels, size):
    if size == 0:
        yield inputs, labels
        return
    for chosen in torch.randperm(len(labels), device=labels.device).split(size):
        yield inputs[chosen], labels[chosen]


def per_second(seconds):
    return 1 / statistics.median(seconds[1:])


def name_of(device):
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{os.cpu_count()} CPU cores"


if __name__ == "__main__":
    main()
