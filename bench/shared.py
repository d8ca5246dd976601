"""A model of 100 MB in many connections: memory in all, and the first score of each."""

import statistics
from contextlib import ExitStack

import numpy

from data import INPUTS, NAMES
from measure import connect, figure, seconds
from peers import artifact

TITLE = "A model of 100 MB, shared"
NOTE = """Two models that were made elsewhere and imported: a network of 30 numbers whose every weight each score reads, and
embeddings of a million words of which each score reads one. Memory: what the backends of 200 connections have more, in
all, once each has scored with the large model as well as with a small one; their proportional set sizes added up, so that
a page that many have mapped counts once. Time: the first score of a connection less its second, medians over new
connections; nothing else runs on the connection before. The file that all of them map is made before."""

CONNECTIONS = 200
HIDDEN = [4096, 4096, 2048]
WORDS, DIMENSION = 1_000_000, 22
ONE = "SELECT reco.predict('{model}', w) FROM {table} w WHERE id = 1"
SMALL = ONE.format(model="wide", table="wide")


def run(scale):
    connection = connect()
    connection.execute("SET reco.max_import_size = '512MB'")
    connection.execute("CREATE TABLE IF NOT EXISTS words AS SELECT 1 AS id, 'word 123456'::text AS word, 1::real AS x")
    figures = []
    for model, table, content in ("dense", "wide", dense()), ("words", "words", words()):
        connection.execute("SELECT reco.import_model(%s, %b)", [model, content])
        made = seconds(connection, ONE.format(model=model, table=table))
        figures += judge(model, table, len(content), made, scale)
        connection.execute("SELECT reco.drop_model(%s, true)", [model])
    return figures


def judge(model, table, size, made, scale):
    what = f"{'network' if model == 'dense' else 'embeddings'}, {size / 2**20:.0f} MB"
    score = ONE.format(model=model, table=table)
    extra = statistics.median(extra_of_first(score) for _ in range(scale.connections)) * 1e3
    grown = growth(score)
    return [
        figure(f"{what}: first score less the second", f"{extra:.1f} ms", f"{made * 1e3:,.0f} ms, once a server", extra, unit="ms", at_most=5),
        figure(f"{what}: memory of {CONNECTIONS} connections", megabytes(grown), f"{megabytes(size)}, the model", grown / size, at_most=1.5),
    ]


def extra_of_first(score):
    with connect() as connection:
        first, second = (seconds(connection, score) for _ in range(2))
    return first - second


def growth(score):
    """Bytes."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connect()) for _ in range(CONNECTIONS)]
        for connection in connections:
            connection.execute(SMALL)
        before = memory(connections)
        for connection in connections:
            connection.execute(score)
        return memory(connections) - before


def memory(connections):
    total = 0
    for connection in connections:
        with open(f"/proc/{connection.info.backend_pid}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return total


def dense():
    columns = [artifact.number(name, 5.0, 3.0) for name in NAMES]
    return artifact.network(columns, {}, [INPUTS, *HIDDEN, 1], numpy.random.default_rng(1))


def words():
    """A number and a word."""
    random = numpy.random.default_rng(2)
    columns = [artifact.category("word", [f"word {n}" for n in range(WORDS)], DIMENSION), artifact.number("x", 0.0, 1.0)]
    embeddings = {"network.0.embedding.0": artifact.weights(random, WORDS + 2, DIMENSION)}
    return artifact.network(columns, embeddings, [1 + DIMENSION, 64, 1], random)


def megabytes(size):
    return f"{size / 2**20:,.0f} MB"
