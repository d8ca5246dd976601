"""A table as a client has it: as CSV into numpy, cut at the times at which reco.train cuts."""

import os
import tempfile
from pathlib import Path

import duckdb
import numpy

from measure import connect
from peers.training_rows import auroc

NUMBERS = {
    "real": "REAL",
    "double precision": "DOUBLE",
    "smallint": "BIGINT",
    "integer": "BIGINT",
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
}
KINDS = NUMBERS | {"text": "VARCHAR", "date": "DATE"}
FEWEST = 5  # training rows of a category that counts as one
QUANTILES = [0.1, 0.5, 0.9]


class Rows:
    """`numbers`: one column each, NaN where NULL. `categories`: codes from 1 on, 0 for the rare. Of the labelled rows,
    ordered by time; `train`, `validation` and `test` are slices. A label that is no boolean is a quantity."""

    def __init__(self, params):
        time, label = params["time"], params["label"]
        self.names, kinds = columns(params["table"])
        read = fetch(params, self.names, kinds)
        inputs = [name for name in self.names if name not in (*params["keys"], time, label, *params["exclude"])]
        first, last = (
            int(numpy.searchsorted(read[time], numpy.datetime64(params[at]))) for at in ("validation_from", "test_from")
        )
        self.train, self.validation, self.test = slice(0, first), slice(first, last), slice(last, None)
        self.binary = kinds[label] == "boolean"
        self.labels = numpy.asarray(read[label], bool if self.binary else "f8")
        self.numeric = [name for name in inputs if kinds[name] in NUMBERS]
        self.texts = [name for name in inputs if kinds[name] == "text"]
        self.numbers = stack([numbers(read[name]) for name in self.numeric], len(self.labels), "f4")
        texts = [codes(numpy.ma.filled(read[name], ""), first) for name in self.texts]
        self.categories = stack(texts, len(self.labels), "i8")

    def loss(self, scores, part):
        """The log loss of logits; of a quantity's means the root of their mean squared error."""
        labels = self.labels[part]
        return log_loss(scores, labels) if self.binary else float(numpy.sqrt(numpy.mean((scores - labels) ** 2)))

    def measures(self, scores, part):
        labels, loss = self.labels[part], self.loss(scores, part)
        if not self.binary:
            return {"rmse": loss}
        return {"auroc": auroc(scores, labels), "average_precision": average_precision(scores, labels), "log_loss": loss}


def columns(table):
    """Names, and the type of each."""
    query = """SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
               WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
    with connect() as connection:
        kinds = dict(connection.execute(query, [table]).fetchall())
    return list(kinds), kinds


def fetch(params, names, kinds):
    order = ", ".join([params["time"], *(key for key in params["keys"] if key != params["time"])])
    query = f"SELECT {', '.join(names)} FROM {params['table']} WHERE {params['label']} IS NOT NULL ORDER BY {order}"
    with tempfile.TemporaryDirectory(dir=Path(os.environ["PG_RECOMMEND_STATE"], "tmp")) as folder:
        file = Path(folder, "rows.csv")
        with open(file, "wb") as to, connect() as connection:
            with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
                for part in copy:
                    to.write(part)
        database = duckdb.connect()
        given = {name: KINDS[kinds[name]] for name in names}
        return database.execute(f"SELECT * FROM read_csv('{file}', header=false, columns={given})").fetchnumpy()


def numbers(values):
    return numpy.ma.filled(numpy.ma.asarray(values).astype("f4"), numpy.nan)


def stack(made, rows, kind):
    """The columns beside each other, of which there may be none."""
    return numpy.stack(made, 1).astype(kind) if made else numpy.empty((rows, 0), kind)


def codes(texts, train):
    """Every text as a number; those that `train` first rows have too seldom, or never, are 0."""
    texts = texts.astype(str)
    known, seen = numpy.unique(texts[:train], return_counts=True)
    known = known[seen >= FEWEST]
    if not len(known):
        return numpy.zeros(len(texts), int)
    place = numpy.minimum(numpy.searchsorted(known, texts), len(known) - 1)
    return numpy.where(known[place] == texts, place + 1, 0)


def average_precision(scores, labels):
    """The mean precision over the positives, tied scores taken together."""
    order = numpy.argsort(-scores, kind="stable")
    scores, found = scores[order], numpy.cumsum(labels[order])
    last = numpy.flatnonzero(numpy.append(scores[1:] != scores[:-1], True))
    return float((numpy.diff(found[last], prepend=0) * found[last] / (last + 1)).sum() / found[-1])


def log_loss(logits, labels):
    return float(numpy.mean(numpy.logaddexp(0, logits) - logits * labels))


def pinball(quantiles, labels):
    """The mean loss of QUANTILES, which are the rows of `quantiles`."""
    above = labels - quantiles
    share = numpy.array(QUANTILES)[:, None]
    return float(numpy.maximum(share * above, (share - 1) * above).mean())


def coverage(quantiles, labels):
    """The share of labels between the outer quantiles."""
    return float(((quantiles[0] <= labels) & (labels <= quantiles[-1])).mean())
