"""Trains what reco.export_training_set has written, on as many processes and hosts as there are:

    torchrun --nproc-per-node 2 train.py exported.arrow model.safetensors

reco.import_model takes the file that it writes. docs/elsewhere.md says how, and what is the same as in CALL reco.train.
"""

import argparse
import json
import os
import sys
import time
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file

import calibrate
import fit
import measure
import training_set
from training_set import Rows, TrainingSet

# Most epochs whose losses are told.
MOST_LOSSES = 1000
# Metrics that are measured here; those of lists would need to know which list a row is in.
MEASURED = {"rows", "positives", "auroc", "average_precision", "log_loss", "brier", "calibration"} | {
    *("mean_label", "mean_prediction", "rmse", "mae", "r2", "pinball", "coverage")
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", help="the file of reco.export_training_set")
    parser.add_argument("model", help="where the model goes, for reco.import_model")
    parser.add_argument("--seed", type=int, help="instead of the training parameter")
    parser.add_argument("--quiet", action="store_true", help="say nothing of the epochs")
    return parser.parse_args()


def begin() -> torch.device:
    """Joins the other processes: with a GPU for each by NCCL, else by gloo."""
    if "WORLD_SIZE" not in os.environ:
        raise SystemExit("start it with torchrun: torchrun --nproc-per-node 1 train.py exported.arrow model.safetensors")
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if has_gpu else "gloo", timeout=timedelta(minutes=10))
    return device


def members(data: TrainingSet, deadline: float | None, quiet: bool) -> list[fit.Fit]:
    """The networks that are averaged, each from a seed of its own."""
    params, fits = data.params, []

    def tell(number: int, train_loss: float, validation_loss: float | None) -> None:
        if dist.get_rank() == 0 and not quiet:
            held_out = "" if validation_loss is None else f", validation {validation_loss:.4f}"
            print(f"epoch {number} of {params['epochs']}, loss {train_loss:.4f}{held_out}", flush=True)

    for member in range(params["members"]):
        fits.append(fit.train(data, (params["seed"] + member) % fit.SEEDS, deadline, tell))
    return fits


def outputs_of(fits: list[fit.Fit], rows: Rows) -> np.ndarray:
    """The mean outputs of the networks, in doubles."""
    return np.mean([fit.outputs_of(one.network, rows).numpy() for one in fits], axis=0)


def quality(data: TrainingSet, output: calibrate.Output, outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    scores = output.of(outputs[:, 0])
    if data.is_binary:
        return measure.binary(scores, labels == 1)
    return measure.regression(scores, output.quantiles(outputs), labels)


def evaluation(data: TrainingSet, output: calibrate.Output, outputs: np.ndarray, part: str) -> dict[str, Any] | None:
    """The metrics of a part beside those of past purchases, which the export has measured."""
    popularity, labels = data.about["popularity"][part], getattr(data, part).labels
    if len(labels) == 0 or popularity is None:
        return None
    beside = {key: value for key, value in popularity.items() if key in MEASURED}
    return {"model": quality(data, output, outputs, labels), "popularity": beside}


def told(
    data: TrainingSet, fits: list[fit.Fit], output: calibrate.Output, held_out: dict[str, np.ndarray], seconds: float
) -> dict[str, Any]:
    """What the file tells of the training."""
    losses, epochs = [], 0
    for one in fits:
        losses += [(epochs + number, train_loss, loss) for number, train_loss, loss in one.losses]
        epochs += one.epochs
    sample = {key: data.about["sample"][key] for key in ("numbers", "texts")}
    device = data.train.dense.device
    return {
        "parameters": data.about["params"],
        "taken": data.about["taken"],
        "data": data.about["data"],
        **{part: evaluation(data, output, outputs, part) for part, outputs in held_out.items()},
        "best_epoch": sum(one.best_epoch for one in fits) // len(fits),
        "training": {
            "processes": dist.get_world_size(),
            "epochs": epochs,
            "seed": data.about["params"]["seed"],
            "seconds": seconds,
        },
        "losses": losses[:: -(-len(losses) // MOST_LOSSES)],
        "libraries": {
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "exported_by": data.about["pg_recommend"],
        },
        "sample": {**sample, "outputs": outputs_of(fits, data.sample).tolist()},
    }


def write(path: str, data: TrainingSet, fits: list[fit.Fit], output: calibrate.Output, entry: dict[str, Any]) -> None:
    """Writes the file beside its place and renames it, so that it is never half there."""
    tensors: dict[str, torch.Tensor] = {}
    for member, one in enumerate(fits):
        tensors |= one.network.tensors(member)
    network = data.about["network"]
    depth = {"members": len(fits), "crosses": network["crosses"], "layers": len(network["hidden"]) + 1}
    metadata = {
        "format": "pg_recommend",
        "format_version": "1",
        "algorithm": data.about["algorithm"],
        "recipe": data.recipe,
        "layout": json.dumps({"networks": depth}),
        "output": json.dumps(output.json(), allow_nan=False),
        "pg_recommend.training": json.dumps(entry, allow_nan=False),
    }
    save_file(tensors, path + ".new", metadata)
    os.replace(path + ".new", path)


def main() -> None:
    began, given, device = time.monotonic(), arguments(), begin()
    data = training_set.read(given.exported, device)
    if given.seed is not None:
        data.about["params"]["seed"] = given.seed
    params = data.params
    deadline = began + params["time_budget"] if params["time_budget"] > 0 else None
    fits = members(data, deadline, given.quiet)
    held_out = {part: outputs_of(fits, getattr(data, part)) for part in ("validation", "test")}
    stopping, labels = held_out["validation"], data.validation.labels
    if data.is_binary:
        logits, later = stopping[:, 0], data.validation.later
        rows = slice(None) if data.about["stops"] else slice(0)
        output = calibrate.probability(params["calibration"], logits[rows], labels[rows] == 1, later)
    else:
        output = calibrate.quantity(params["calibration"], data.about, stopping, labels)
    seconds = time.monotonic() - began
    entry = told(data, fits, output, held_out, seconds)
    if dist.get_rank() == 0:
        write(given.model, data, fits, output, entry)
        test = (entry["test"] or {}).get("model", {})
        figure = next((f", test {name} {test[name]:.4f}" for name in ("auroc", "rmse") if test.get(name) is not None), "")
        work = f"{entry['training']['epochs']} epochs on {dist.get_world_size()} processes in {seconds:.1f} s"
        print(f"{given.model}: {work}{figure}", flush=True)
    # Nobody leaves while another still talks. Then all is done, and the process ends at once: of gloo's threads some may still
    # run when they are taken down with it, which now and then ends it by an abort.
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
