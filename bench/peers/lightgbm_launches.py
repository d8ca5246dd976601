"""New products by a tuned LightGBM: the settings and the number of trees are those of the lowest loss on the validation
weeks. A program of its own, see `separate`."""

import lightgbm
import numpy

from peers import separate
from peers.launch_rows import Rows, log_loss

NAME = f"LightGBM {lightgbm.__version__}, tuned"
MOST_TREES, PATIENCE = 1500, 50
CANDIDATES = [
    {"num_leaves": 63, "min_data_in_leaf": 2000, "feature_fraction": 0.35, "lambda_l2": 1, "path_smooth": 1000},
    {"num_leaves": 31, "min_data_in_leaf": 5000, "feature_fraction": 0.35, "lambda_l2": 10, "path_smooth": 1000},
    {"num_leaves": 15, "min_data_in_leaf": 5000, "feature_fraction": 0.2, "lambda_l2": 100, "path_smooth": 1000},
    {"num_leaves": 15, "min_data_in_leaf": 1000, "feature_fraction": 0.5, "lambda_l2": 10, "path_smooth": 0},
    {"num_leaves": 7, "min_data_in_leaf": 5000, "feature_fraction": 0.35, "lambda_l2": 10, "path_smooth": 100},
]


def train(params):
    rows = Rows(params)
    inputs = numpy.concatenate([rows.numbers, rows.categories.astype("f4")], 1)
    names = rows.numeric + rows.texts
    of_data = {"verbosity": -1, "num_threads": params["threads"], "feature_pre_filter": False}
    training = lightgbm.Dataset(
        inputs[rows.train], rows.labels[rows.train], feature_name=names, categorical_feature=rows.texts, params=of_data
    )
    validation = lightgbm.Dataset(inputs[rows.validation], rows.labels[rows.validation], reference=training)
    best = min((fit(training, validation, of_data | settings) for settings in CANDIDATES), key=lambda fitted: fitted[0])
    scores = {part: best[1].predict(inputs[getattr(rows, part)], raw_score=True) for part in ("validation", "test")}
    return {
        "chosen": f"{best[2]['num_leaves']} leaves, {best[1].best_iteration} trees",
        "inputs": len(names),
        "loss": log_loss(scores["validation"], rows.labels[rows.validation]),
        **rows.measures(scores["test"], rows.test),
    }


def fit(training, validation, settings):
    """Its loss on the validation weeks, the booster at its best number of trees, and the settings."""
    settings = {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": 0.05,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "seed": 1,
        **settings,
    }
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(settings, training, MOST_TREES, [validation], callbacks=[stop])
    return booster.best_score["valid_0"]["binary_logloss"], booster, settings


if __name__ == "__main__":
    separate.main(train)
