"""Probabilities and quantities from a network's outputs, fitted to validation rows as crates/trainer/src/calibrate.rs does."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

import measure

# Newton steps at most; what is added to the Hessian; where derivatives are flat.
MOST_STEPS = 100
RIDGE = 1e-12
FLAT = 1e-12
# Fewest rows of an isotonic step, and most steps.
FEWEST_ROWS = 20
MOST_POINTS = 4096
# Fewest rows of the rarer outcome for isotonic calibration, and fewest rows for shifts of quantiles.
FEWEST_OF_AN_OUTCOME = 200
FEWEST_FOR_SHIFTS = 100
# How much of Platt's line is tried.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Output(Protocol):
    def of(self, numbers: np.ndarray) -> np.ndarray: ...

    def json(self) -> dict[str, Any]: ...


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


@dataclass(frozen=True)
class Platt:
    """`sigmoid(slope * logit + offset)`."""

    slope: float = 1.0
    offset: float = 0.0

    def of(self, numbers: np.ndarray) -> np.ndarray:
        return sigmoid(self.slope * numbers + self.offset)

    def json(self) -> dict[str, Any]:
        return {"platt": {"slope": self.slope, "offset": self.offset}}

    def shrunk(self, share: float) -> "Platt":
        """The line so far on the way from none to the whole of it."""
        return Platt(1 + share * (self.slope - 1), share * self.offset)


@dataclass(frozen=True)
class Isotonic:
    """Probabilities at rising logits, with straight lines between them; beyond the ends log-odds rise as logits do."""

    points: np.ndarray

    def of(self, numbers: np.ndarray) -> np.ndarray:
        at, rates = self.points.T
        inside = np.interp(numbers, at, rates)
        odds = np.log(rates / (1 - rates))
        below, above = sigmoid(odds[0] + numbers - at[0]), sigmoid(odds[-1] + numbers - at[-1])
        return np.where(numbers < at[0], below, np.where(numbers >= at[-1], above, inside))

    def json(self) -> dict[str, Any]:
        return {"isotonic": {"points": self.points.tolist()}}


@dataclass(frozen=True)
class Quantity:
    """`mean + scale * output`, none below `least`; the quantiles are shifted."""

    mean: float
    scale: float
    least: float | None
    shifts: tuple[float, ...] = (0.0, 0.0, 0.0)

    def of(self, numbers: np.ndarray) -> np.ndarray:
        values = self.mean + self.scale * numbers
        return values if self.least is None else np.maximum(values, self.least)

    def quantiles(self, outputs: np.ndarray) -> np.ndarray:
        """Ascending quantiles of each row, from its outputs after the first, which is the mean."""
        values = self.of(outputs[:, 1:]) + np.array(self.shifts)
        return np.sort(values if self.least is None else np.maximum(values, self.least), 1)

    def json(self) -> dict[str, Any]:
        fields = {"mean": self.mean, "scale": self.scale, "least": self.least}
        return {"quantity": {**fields, "shifts": list(self.shifts)}}


def fit_platt(logits: np.ndarray, labels: np.ndarray) -> Platt:
    """Maximum likelihood with Platt's smoothed targets, by Newton's method with step halving."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        return Platt()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss_of(line: np.ndarray) -> float:
        z = line[0] * logits + line[1]
        return float((np.logaddexp(0, z) - targets * z).mean())

    line = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = loss_of(line)
    for _ in range(MOST_STEPS):
        rates = sigmoid(line[0] * logits + line[1])
        errors, weights = rates - targets, rates * (1 - rates)
        slope = np.array([(errors * logits).mean(), errors.mean()])
        cross = (weights * logits).mean()
        curve = np.array([[(weights * logits**2).mean() + RIDGE, cross], [cross, weights.mean() + RIDGE]])
        direction = -np.linalg.solve(curve, slope)
        expected = float(slope @ direction)
        if np.abs(slope).max() < FLAT or -expected < np.finfo(float).eps * loss:
            break
        step = 1.0
        while step > 1e-10 and not loss_of(line + step * direction) < loss + 1e-4 * step * expected:
            step /= 2
        if step <= 1e-10:
            break
        line = line + step * direction
        loss = loss_of(line)
    is_valid = np.isfinite(line).all() and line[0] > 0
    return Platt(float(line[0]), float(line[1])) if is_valid else Platt()


def fit_isotonic(logits: np.ndarray, labels: np.ndarray) -> Isotonic | None:
    """Pools adjacent violators, and steps of few rows with their neighbours."""
    order = np.argsort(logits, kind="stable")
    pools: list[tuple[float, float, float]] = []
    for logit, label in zip(logits[order].tolist(), labels[order].tolist(), strict=True):
        pool = (logit, float(label), 1.0)
        while pools:
            before = pools[-1]
            if before[2] >= FEWEST_ROWS and before[1] / before[2] < pool[1] / pool[2]:
                break
            pool = (pool[0] + before[0], pool[1] + before[1], pool[2] + before[2])
            pools.pop()
        pools.append(pool)
    while len(pools) > 1 and pools[-1][2] < FEWEST_ROWS:
        last, before = pools.pop(), pools.pop()
        pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    points: list[tuple[float, float]] = []
    for total, positives, rows in pools:
        point = (total / rows, (positives + 0.5) / (rows + 1))
        if not points or (point[0] > points[-1][0] and point[1] > points[-1][1]):
            points.append(point)
    if len(points) > MOST_POINTS:
        points = [points[n * (len(points) - 1) // (MOST_POINTS - 1)] for n in range(MOST_POINTS)]
    return Isotonic(np.array(points)) if len(points) > 1 else None


def _mix(values: np.ndarray) -> np.ndarray:
    """The hash by which held-out halves are told apart."""
    with np.errstate(over="ignore"):
        x = values.astype(np.uint64) ^ np.uint64(0x6A09E667F3BCC909)
        x = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        x = (x ^ (x >> np.uint64(29))) * np.uint64(0xA0761D6478BD642F)
        return x ^ (x >> np.uint64(32))


def _isotonic_is_better(logits: np.ndarray, labels: np.ndarray) -> bool:
    """Whether its log loss is lower than Platt's, each fitted on one half of the rows and measured on the other."""
    if min(labels.sum(), (~labels).sum()) < FEWEST_OF_AN_OUTCOME:
        return False
    first = _mix(np.arange(len(labels))) & np.uint64(1) == 0
    by_platt = by_isotonic = 0.0
    for fitted in (first, ~first):
        isotonic = fit_isotonic(logits[fitted], labels[fitted])
        if isotonic is None:
            return False
        rest = logits[~fitted], labels[~fitted]
        by_isotonic += measure.log_loss(isotonic.of(rest[0]), rest[1])
        by_platt += measure.log_loss(fit_platt(logits[fitted], labels[fitted]).of(rest[0]), rest[1])
    return by_isotonic < by_platt


def _automatic(logits: np.ndarray, labels: np.ndarray, later: np.ndarray | None) -> Output:
    """Isotonic calibration where it is better, else as much of Platt's as carries over to the later half of the rows."""
    whole, isotonic = fit_platt(logits, labels), fit_isotonic(logits, labels)
    takes_steps = isotonic is not None and _isotonic_is_better(logits, labels)
    if later is None:
        return isotonic if takes_steps else whole

    def loss(output: Output) -> float:
        return measure.log_loss(output.of(logits[later]), labels[later])

    line = fit_platt(logits[~later], labels[~later])
    losses = [loss(line.shrunk(share)) for share in SHARES]
    best = max(range(len(SHARES)), key=lambda n: (-losses[n], n))
    if takes_steps:
        earlier = fit_isotonic(logits[~later], labels[~later])
        if earlier is not None and loss(earlier) < losses[best]:
            return isotonic
    return whole.shrunk(SHARES[best])


def probability(choice: str, logits: np.ndarray, labels: np.ndarray, later: np.ndarray | None) -> Output:
    """How logits become probabilities."""
    if choice == "none" or len(logits) == 0:
        return Platt()
    if choice == "platt":
        return fit_platt(logits, labels)
    if choice == "isotonic":
        return fit_isotonic(logits, labels) or fit_platt(logits, labels)
    return _automatic(logits, labels, later)


def quantity(choice: str, about: dict[str, Any], outputs: np.ndarray, labels: np.ndarray) -> Quantity:
    """How outputs become quantities: each quantile is moved to where its share of the validation rows lies below."""
    plain = Quantity(about["units"]["mean"], about["units"]["scale"], about["least"])
    if choice == "none" or len(labels) < FEWEST_FOR_SHIFTS:
        return plain
    residuals = labels[:, None] - plain.of(outputs[:, 1:])
    shifts = (_nearest_to_zero(of_one, share) for of_one, share in zip(residuals.T, measure.QUANTILES, strict=True))
    return replace(plain, shifts=tuple(shifts))


def _nearest_to_zero(numbers: np.ndarray, share: float) -> float:
    """A quantile of the numbers; where several numbers are, that which is nearest to 0."""
    wanted = share * len(numbers)
    if (numbers < 0).sum() <= wanted <= (numbers <= 0).sum():
        return 0.0
    at = min(max(int(np.ceil(wanted)), 1), len(numbers)) - 1
    return float(np.partition(numbers, at)[at])
