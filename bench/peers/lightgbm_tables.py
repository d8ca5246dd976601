"""A table by a tuned LightGBM: the settings and the number of trees are those of the lowest loss on the validation rows.
A program of its own, see `separate`."""

import lightgbm
import numpy

from peers import separate
from peers.table_rows import QUANTILES, Rows, coverage, pinball

NAME = f"LightGBM {lightgbm.__version__}, tuned"
PATIENCE = 50
MANY_ROWS, FEW_ROWS, MANY_VALUES = 1_000_000, 50_000, 30

# Of many rows and a rare label.
LAUNCHES = [
    {"num_leaves": 63, "min_data_in_leaf": 2000, "feature_fraction": 0.35, "lambda_l2": 1, "path_smooth": 1000},
    {"num_leaves": 31, "min_data_in_leaf": 5000, "feature_fraction": 0.35, "lambda_l2": 10, "path_smooth": 1000},
    {"num_leaves": 15, "min_data_in_leaf": 5000, "feature_fraction": 0.2, "lambda_l2": 100, "path_smooth": 1000},
    {"num_leaves": 15, "min_data_in_leaf": 1000, "feature_fraction": 0.5, "lambda_l2": 10, "path_smooth": 0},
    {"num_leaves": 7, "min_data_in_leaf": 5000, "feature_fraction": 0.35, "lambda_l2": 10, "path_smooth": 100},
]


def candidates(rows):
    """Settings, with the most trees. Few rows take smaller steps, of which they can afford more."""
    count = rows.train.stop
    if count >= MANY_ROWS:
        return [settings | {"learning_rate": 0.05, "num_iterations": 1500} for settings in LAUNCHES]
    large = max(20, count // 500)
    listed = [
        {"num_leaves": 4, "min_data_in_leaf": large, "feature_fraction": 0.5, "lambda_l2": 10},
        {"num_leaves": 7, "min_data_in_leaf": 20, "feature_fraction": 0.8, "lambda_l2": 1},
        {"num_leaves": 15, "min_data_in_leaf": large, "feature_fraction": 0.5, "lambda_l2": 1},
        {"num_leaves": 31, "min_data_in_leaf": 20, "feature_fraction": 0.8, "lambda_l2": 1},
        {"num_leaves": 31, "min_data_in_leaf": large, "feature_fraction": 0.5, "lambda_l2": 10},
        {"num_leaves": 63, "min_data_in_leaf": large, "feature_fraction": 0.5, "lambda_l2": 10, "path_smooth": large},
        {"num_leaves": 127, "min_data_in_leaf": 20, "feature_fraction": 0.8, "lambda_l2": 10},
    ]
    if rows.texts and rows.categories.max() > MANY_VALUES:
        smooth = {"cat_smooth": 50, "cat_l2": 50, "min_data_per_group": 20}
        listed += [settings | smooth for settings in (listed[3], listed[5])]
    rate, trees = (0.03, 3000) if count < FEW_ROWS else (0.05, 2000)
    return [settings | {"learning_rate": rate, "num_iterations": trees} for settings in listed]


def train(params):
    rows = Rows(params)
    inputs = numpy.concatenate([rows.numbers, rows.categories.astype("f4")], 1)
    names = rows.numeric + rows.texts
    of_data = {"verbosity": -1, "num_threads": params["threads"], "feature_pre_filter": False}
    training = lightgbm.Dataset(
        inputs[rows.train], rows.labels[rows.train], feature_name=names, categorical_feature=rows.texts, params=of_data
    )
    validation = lightgbm.Dataset(inputs[rows.validation], rows.labels[rows.validation], reference=training)
    objective = "binary" if rows.binary else "regression"
    tried = (fit(training, validation, of_data | settings, objective) for settings in candidates(rows))
    _, booster, settings = min(tried, key=lambda fitted: fitted[0])
    scores = {part: booster.predict(inputs[getattr(rows, part)], raw_score=True) for part in ("validation", "test")}
    made = {
        "chosen": f"{settings['num_leaves']} leaves, {booster.best_iteration} trees",
        "inputs": len(names),
        "loss": rows.loss(scores["validation"], rows.validation),
        **rows.measures(scores["test"], rows.test),
    }
    return made if rows.binary else made | of_quantiles(training, validation, settings, inputs, rows)


METRICS = {"binary": "binary_logloss", "regression": "l2", "quantile": "quantile"}


def fit(training, validation, settings, objective, **other):
    """Its loss on the validation rows, the booster at its best number of trees, and the settings."""
    metric = METRICS[objective]
    drawn = {"bagging_fraction": 0.7, "bagging_freq": 1, "seed": 1}
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    of_task = {"objective": objective, "metric": metric, **other}
    booster = lightgbm.train(drawn | settings | of_task, training, valid_sets=[validation], callbacks=[stop])
    return booster.best_score["valid_0"][metric], booster, settings


def of_quantiles(training, validation, settings, inputs, rows):
    """Trees for each quantile, with the settings that were the best for the mean."""
    boosters = [fit(training, validation, settings, "quantile", alpha=alpha)[1] for alpha in QUANTILES]
    quantiles = numpy.stack([booster.predict(inputs[rows.test]) for booster in boosters])
    labels = rows.labels[rows.test]
    return {"pinball": pinball(quantiles, labels), "coverage": coverage(quantiles, labels)}


if __name__ == "__main__":
    separate.main(train)
