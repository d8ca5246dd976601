"""Boosted trees in LightGBM; a program of its own, see `separate`."""

import lightgbm

from peers import separate
from peers.training_rows import Rows, auroc

NAME = f"LightGBM {lightgbm.__version__}"


def train(params):
    rows = Rows(params["validation_weeks"], params["test_weeks"])
    settings = {
        "objective": "binary",
        "num_leaves": params["leaves"],
        "learning_rate": params["learning_rate"],
        "num_threads": params["threads"],
        "seed": params["seed"],
        "verbosity": -1,
    }
    training = lightgbm.Dataset(rows.inputs[rows.train], rows.labels[rows.train])
    booster = lightgbm.train(settings, training, params["trees"])
    return {"auroc": auroc(booster.predict(rows.inputs[rows.test]), rows.labels[rows.test])}


if __name__ == "__main__":
    separate.main(train)
