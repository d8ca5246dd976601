"""Trains elsewhere what a server exports, on one process and on two, imports it, and compares it with the server's own training.

Called by scripts/test-torchrun."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

SOURCE = "launch_features"
LABEL = "purchased"
TRAIN = Path(__file__).parents[2] / "integrations" / "torchrun" / "train.py"
WORK = Path(os.environ["WORK"])
SEEDS = (1, 2, 3, 4, 5)
# How far the mean AUROC of the seeds may be from that of the server's own trainings.
NEAR = 0.001

passed, failed = 0, 0


def check(name, is_right, figures=""):
    global passed, failed
    passed, failed = passed + is_right, failed + (not is_right)
    print(f"{'ok' if is_right else 'FAILED'}: {name} {figures}", flush=True)


def export(connection, algorithm, params, label=LABEL):
    """The path of an exported training set."""
    began = time.monotonic()
    (exported,) = connection.execute(
        "SELECT reco.export_training_set(%s, %s, %s, %s)", [SOURCE, label, algorithm, json.dumps(params)]
    ).fetchone()
    path = WORK / "exported.arrow"
    path.write_bytes(exported)
    print(f"{len(exported) / 1e6:.1f} MB exported in {time.monotonic() - began:.1f} s", flush=True)
    return path


def trained(exported, processes, *others):
    """The model that so many processes make, with one thread each, and the seconds that the training took."""
    model = WORK / "model.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(TRAIN), str(exported), str(model), "--quiet", *others], check=True, env=environment)
    header = model.read_bytes()
    size = int.from_bytes(header[:8], "little")
    told = json.loads(json.loads(header[8 : 8 + size])["__metadata__"]["pg_recommend.training"])
    return header, told["training"]["seconds"]


def imported(connection, model, artifact, label=LABEL):
    """Imports a version, and returns the test metrics that it tells."""
    (version,) = connection.execute(
        "SELECT reco.import_model(%s, %s, source => %s, label => %s)", [model, artifact, SOURCE, label]
    ).fetchone()
    return version, *connection.execute(
        "SELECT metrics #> '{test,model}', data, (metrics ->> 'parity')::float8 FROM reco.versions WHERE model = %s AND version = %s",
        [model, version],
    ).fetchone()


def check_told(connection, name, model, version, told, data, parity):
    """What a version tells of its test rows is what the server measures of them."""
    cursor = connection.execute(
        "SELECT * FROM reco.evaluate(%s, %s, version => %s, from_week => %s)", [model, SOURCE, version, data["test_from"]]
    )
    measured = dict(zip([column.name for column in cursor.description], cursor.fetchone()))
    figures = ("auroc", "average_precision", "log_loss", "brier", "rmse", "mae", "r2", "pinball", "coverage")
    compared = [figure for figure in figures if measured[figure] is not None]
    apart = max(abs(told[figure] - measured[figure]) / max(1.0, abs(measured[figure])) for figure in compared)
    check(f"{name}: {len(compared)} metrics are told as they are measured", apart < 1e-5, f"within {apart:.1e}, parity {parity:.1e}")


def same_as_the_server(connection):
    params = {"threads": 1, "refit": False, "importance": False}
    areas, digest = {"server": []}, None
    began = time.monotonic()
    for seed in SEEDS:
        connection.execute("CALL reco.train('server', %s, params => %s)", [SOURCE, json.dumps({**params, "seed": seed})])
        area, digest, seconds = connection.execute(
            "SELECT (metrics #>> '{test,model,auroc}')::float8, data ->> 'digest', seconds FROM reco.versions WHERE model = 'server' "
            "ORDER BY version DESC LIMIT 1"
        ).fetchone()
        areas["server"].append(area)
    times = {"server": [(time.monotonic() - began) / len(SEEDS)]}
    exported = export(connection, "mlp", params)
    for processes in (1, 2):
        name = f"{processes} processes"
        areas[name], times[name] = [], []
        for seed in SEEDS:
            artifact, seconds = trained(exported, processes, "--seed", str(seed))
            version, told, data, parity = imported(connection, "elsewhere", artifact)
            areas[name].append(told["auroc"])
            times[name].append(seconds)
        check_told(connection, name, "elsewhere", version, told, data, parity)
        check(f"{name}: the rows are those of the server's training", data["digest"] == digest)
    means = {name: sum(of) / len(of) for name, of in areas.items()}
    for name, of in areas.items():
        seconds = sum(times[name]) / len(times[name])
        print(f"{name}: AUROC {means[name]:.5f} ({min(of):.5f} to {max(of):.5f}), {seconds:.1f} s a training", flush=True)
    for name in ("1 processes", "2 processes"):
        apart = abs(means[name] - means["server"])
        check(f"{name}: as good as the server's own training", apart <= NEAR, f"means {apart:.5f} apart")
    apart = abs(means["1 processes"] - means["2 processes"])
    check("two processes are as good as one", apart <= NEAR, f"means {apart:.5f} apart")
    return artifact


def every_kind(connection):
    """Other networks, other losses, other parameters: each comes back and says of itself what is measured."""
    brief = {"epochs": 4, "threads": 1}
    deep = {**brief, "hidden": [32, 16], "crosses": 2, "batch_norm": True, "schedule": "one_cycle", "exclude": ["purchased"]}
    kinds = [
        ("logistic", {**brief, "l1": 0.001, "schedule": "cosine", "calibration": "isotonic"}, LABEL),
        ("mlp", {**brief, "members": 2, "negative_share": 0.5, "class_weight": 2.0, "weight_decay": 1e-5}, LABEL),
        ("mlp", {**brief, "batch_size": 0, "metric": "auroc", "dropout": 0.3}, LABEL),
        ("deep_cross", deep, "sales_1w"),
        ("deep_cross", {**brief, "precision": "bf16", "batch_norm": True, "validation_share": 0}, LABEL),
    ]
    for n, (algorithm, params, label) in enumerate(kinds):
        artifact, _ = trained(export(connection, algorithm, params, label), 2)
        version, *others = imported(connection, f"kind_{n}", artifact, label)
        check_told(connection, f"{algorithm} {json.dumps(params)}", f"kind_{n}", version, *others)


def refused(connection, artifact):
    """A file whose weights are not those that it tells of."""
    changed = bytearray(artifact)
    # Of the last of its numbers, in the middle.
    changed[-2] ^= 1 << 6
    try:
        imported(connection, "changed", bytes(changed))
        check("a changed weight is refused", False)
    except psycopg.errors.InvalidBinaryRepresentation as error:
        check("a changed weight is refused", "comes out here" in str(error), str(error).splitlines()[0])


def main():
    with psycopg.connect(autocommit=True) as connection:
        artifact = same_as_the_server(connection)
        refused(connection, artifact)
        every_kind(connection)
    print(f"\n{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
