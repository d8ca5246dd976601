"""The rows that reco.train reads, as a client has them: by binary COPY into numpy, cut at the same weeks."""

import itertools

import numpy

import copy_format
from data import INPUTS, NAMES
from measure import connect

TABLE = "wide_weeks"
COLUMNS = [("week", ">i4"), ("inputs", ">f4", INPUTS), ("purchased", "?")]
READ = f"COPY (SELECT week, {', '.join(NAMES)}, purchased FROM {TABLE}) TO STDOUT (FORMAT binary)"
BLOCK = 1 << 16


class Rows:
    """Inputs, labels and weeks of all rows, and which of them are for training and for the test. What lies between is
    reco.train's validation part, and nobody here trains on it."""

    def __init__(self, validation_weeks, test_weeks):
        weeks, inputs, labels = zip(*blocks())
        weeks = numpy.concatenate(weeks)
        self.inputs = numpy.concatenate(inputs)
        self.labels = numpy.concatenate(labels)
        distinct = numpy.unique(weeks)
        self.train = weeks < distinct[-test_weeks - validation_weeks]
        self.test = weeks >= distinct[-test_weeks]


def blocks():
    """Converts as the rows come, so that their bytes never stand beside their numbers in whole."""
    row = copy_format.row_type(COLUMNS)
    with connect() as connection, connection.cursor().copy(READ) as copy:
        received = (bytes(part) for part in copy)
        first = next(received)[len(copy_format.SIGNATURE) :]
        whole = (part for part in itertools.chain([first], received) if len(part) == row.itemsize)
        while parts := list(itertools.islice(whole, BLOCK)):
            rows = numpy.frombuffer(b"".join(parts), row)
            yield (
                rows["week"]["value"].astype(numpy.int32),
                rows["inputs"]["value"].astype(numpy.float32),
                rows["purchased"]["value"].copy(),
            )


def auroc(scores, labels):
    """By ranks, tied scores sharing the mean of theirs."""
    _, place, count = numpy.unique(scores, return_inverse=True, return_counts=True)
    ranks = (numpy.cumsum(count) - (count - 1) / 2)[place]
    positives, negatives = labels.sum(), (~labels).sum()
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
