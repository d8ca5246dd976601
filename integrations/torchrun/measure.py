"""Metrics of held-out rows, as crates/model/src/measure defines them."""

from typing import Any

import numpy as np

# What a network of quantities puts out besides the mean.
QUANTILES = (0.1, 0.5, 0.9)
BINS = 10


def auroc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """The probability that a positive row scores above a negative one, ties counting one half."""
    positives, negatives = np.sort(scores[labels]), scores[~labels]
    pairs = len(positives) * len(negatives)
    if pairs == 0:
        return None
    above = len(positives) - np.searchsorted(positives, negatives, "right")
    not_below = len(positives) - np.searchsorted(positives, negatives, "left")
    return float((int(above.sum()) + int(not_below.sum())) / (2 * pairs))


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """The sum over the distinct scores, from the highest down, of precision times the recall gained."""
    if not 0 < labels.sum() < len(labels):
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    found = np.cumsum(labels[order])[last_of_ties]
    gained = np.diff(found, prepend=0)
    return float((gained * (found / (last_of_ties + 1))).sum() / found[-1])


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    least = np.finfo(float).eps
    clipped = np.clip(scores, least, 1 - least)
    return float(-np.log(np.where(labels, clipped, 1 - clipped)).mean())


def calibration(scores: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """Bins of equal width over [0, 1], the last one closed, only those that hold rows."""
    edges = np.arange(BINS + 1) / BINS
    bins = np.clip(np.searchsorted(edges, scores, "right") - 1, 0, BINS - 1)
    table = []
    for n in np.unique(bins):
        held = bins == n
        rates = {"mean_score": float(scores[held].mean()), "positive_rate": float(labels[held].mean())}
        table.append({"lower": float(edges[n]), "upper": float(edges[n + 1]), "rows": int(held.sum()), **rates})
    return table


def binary(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return {
        "rows": len(labels),
        "positives": int(labels.sum()),
        "auroc": auroc(scores, labels),
        "average_precision": average_precision(scores, labels),
        "log_loss": log_loss(scores, labels),
        "brier": float(((scores - labels) ** 2).mean()),
        "calibration": calibration(scores, labels),
    }


def pinball(quantiles: np.ndarray, labels: np.ndarray) -> float:
    errors = labels[:, None] - quantiles
    shares = np.array(QUANTILES)
    return float(np.maximum(shares * errors, (shares - 1) * errors).mean())


def regression(means: np.ndarray, quantiles: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    squares, spread = ((labels - means) ** 2).sum(), ((labels - labels.mean()) ** 2).sum()
    covered = (quantiles[:, 0] <= labels) & (labels <= quantiles[:, 2])
    return {
        "rows": len(labels),
        "mean_label": float(labels.mean()),
        "mean_prediction": float(means.mean()),
        "rmse": float(np.sqrt(squares / len(labels))),
        "mae": float(np.abs(labels - quantiles[:, 1]).mean()),
        "r2": float(1 - squares / spread) if spread > 0 else None,
        "pinball": pinball(quantiles, labels),
        "coverage": float(covered.mean()),
    }


def cost(metric: str | None, is_binary: bool, outputs: np.ndarray, targets: np.ndarray) -> float | None:
    """What the best epoch has least of, if a metric was asked for; the sign of one of which more is better is changed."""
    if metric is None:
        return None
    if is_binary:
        labels = targets == 1
        if metric == "log_loss":
            return log_loss(1 / (1 + np.exp(-outputs[:, 0])), labels)
        value = {"auroc": auroc, "average_precision": average_precision}[metric](outputs[:, 0], labels)
        return None if value is None else -value
    return regression(outputs[:, 0], np.sort(outputs[:, 1:], 1), targets)[metric]
