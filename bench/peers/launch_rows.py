"""The features of new products as a client has them: as CSV into numpy, cut at the weeks at which reco.train cuts."""

import os
import tempfile
from pathlib import Path

import duckdb
import numpy

from measure import connect
from peers.training_rows import auroc

KINDS = {"real": "REAL", "text": "VARCHAR", "date": "DATE", "bigint": "BIGINT", "boolean": "BOOLEAN"}
FEWEST = 5  # training rows of a category that counts as one


class Rows:
    """`numbers`: one column each, NaN where NULL. `categories`: codes from 1 on, 0 for the rare. Of the labelled rows,
    ordered by week; `train`, `validation` and `test` are slices."""

    def __init__(self, params):
        self.names, kinds = columns(params["table"])
        read = fetch(params["table"], self.names, kinds)
        inputs = [name for name in self.names if name not in (*params["keys"], params["label"], *params["exclude"])]
        weeks, labels = read["week"], read[params["label"]]
        first, last = (numpy.searchsorted(weeks, numpy.datetime64(params[at])) for at in ("validation_from", "test_from"))
        self.train, self.validation, self.test = slice(0, first), slice(first, last), slice(last, None)
        self.labels = numpy.asarray(labels, bool)
        self.numeric = [name for name in inputs if kinds[name] == "real"]
        self.texts = [name for name in inputs if kinds[name] == "text"]
        self.numbers = numpy.stack([numpy.ma.filled(read[name], numpy.nan) for name in self.numeric], 1)
        self.categories = numpy.stack([codes(numpy.ma.filled(read[name], ""), first) for name in self.texts], 1)

    def measures(self, scores, part):
        labels = self.labels[part]
        return {"auroc": auroc(scores, labels), "average_precision": average_precision(scores, labels)}


def columns(table):
    """Names, and the type of each."""
    query = """SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
               WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
    with connect() as connection:
        kinds = dict(connection.execute(query, [table]).fetchall())
    return list(kinds), kinds


def fetch(table, names, kinds):
    query = f"SELECT {', '.join(names)} FROM {table} WHERE purchased IS NOT NULL ORDER BY week"
    with tempfile.TemporaryDirectory(dir=Path(os.environ["PG_RECOMMEND_STATE"], "tmp")) as folder:
        file = Path(folder, "rows.csv")
        with open(file, "wb") as to, connect() as connection:
            with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
                for part in copy:
                    to.write(part)
        database = duckdb.connect()
        given = {name: KINDS[kinds[name]] for name in names}
        return database.execute(f"SELECT * FROM read_csv('{file}', header=false, columns={given})").fetchnumpy()


def codes(texts, train):
    """Every text as a number; those that `train` first rows have too seldom, or never, are 0."""
    known, seen = numpy.unique(texts[:train].astype(str), return_counts=True)
    known = known[seen >= FEWEST]
    place = numpy.minimum(numpy.searchsorted(known, texts.astype(str)), len(known) - 1)
    return numpy.where(known[place] == texts.astype(str), place + 1, 0)


def average_precision(scores, labels):
    """The mean precision over the positives, tied scores taken together."""
    order = numpy.argsort(-scores, kind="stable")
    scores, found = scores[order], numpy.cumsum(labels[order])
    last = numpy.flatnonzero(numpy.append(scores[1:] != scores[:-1], True))
    return float((numpy.diff(found[last], prepend=0) * found[last] / (last + 1)).sum() / found[-1])


def log_loss(logits, labels):
    return float(numpy.mean(numpy.logaddexp(0, logits) - logits * labels))
