"""Connections, timing, and figures judged against their bounds."""

import statistics
import time
from dataclasses import dataclass

import psycopg


def connect(**other):
    """To the benchmarks' cluster, which the environment names, or to what else is said; each statement its own
    transaction."""
    return psycopg.connect(autocommit=True, prepare_threshold=None, **other)


def seconds(connection, statement):
    start = time.perf_counter()
    connection.execute(statement)
    return time.perf_counter() - start


def medians(repetitions, **sides):
    """The median of what each side's function returns. The sides take turns, and who begins alternates, so that
    whatever else happens on the machine meets all of them."""
    for side in sides.values():
        side()  # caches, plans, connections
    measured = {name: [] for name in sides}
    for turn in range(repetitions):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            measured[name].append(sides[name]())
    return {name: statistics.median(values) for name, values in measured.items()}


@dataclass
class Figure:
    """One measurement beside its peer."""

    what: str
    ours: str
    peer: str
    measured: str
    bound: str = ""
    verdict: str = ""


def figure(what, ours, peer, value, unit="×", at_most=None, at_least=None):
    """Judged by `value`, which is mostly a ratio."""
    if at_most is not None:
        bound, holds = f"≤ {at_most:,}{pad(unit)}", value <= at_most
    elif at_least is not None:
        bound, holds = f"≥ {at_least:,}{pad(unit)}", value >= at_least
    else:
        bound, holds = "", None
    verdict = {True: "ok", False: "SHORT", None: ""}[holds]
    return Figure(what, ours, peer, f"{amount(value)}{pad(unit)}", bound, verdict)


def pad(unit):
    return unit if unit in ("×", "") else f" {unit}"


def amount(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
