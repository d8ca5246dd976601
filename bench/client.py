"""Scores of a whole table into another table, beside a client that fetches, scores and writes back."""

import time
from functools import partial

import numpy

import copy_format
from data import INPUTS, NAMES
from measure import connect, figure, medians, seconds
from peers import driver, onnx_scorer, torch_scorer, wire
from peers.artifact import Network

TITLE = "A table of scores"
NOTE = """Ours is `CREATE TABLE … AS SELECT id, reco.predict('wide', w) FROM wide w` on one core. The client reads id
and the 30 columns by binary COPY into one numpy array, scores all rows in one batch on one thread, and writes (id,
score) by binary COPY. It reads through psycopg, or takes the array off the socket itself, without a driver. Its
start, its imports and its reading of the weights are not counted. Server and client work on different cores while
rows move, which is in the client's favour."""

READ = f"COPY (SELECT id, {', '.join(NAMES)} FROM wide) TO STDOUT (FORMAT binary)"
COLUMNS = [("id", ">i8"), ("inputs", ">f4", INPUTS)]
AGREEMENT = 1e-5


READERS = {"psycopg": driver.read, "the bare socket": wire.read}
SCORERS = [torch_scorer, onnx_scorer]


def run(scale):
    connection = connect()
    network = network_of(connection)
    clients = {
        f"client with {reader} and {scorer.NAME}": partial(by_client, connection, read, scorer.scorer(network))
        for reader, read in READERS.items()
        for scorer in SCORERS
    }
    ours = partial(in_database, connection, "wide")
    for name, client in clients.items():
        check_agreement(connection, ours, name, client)
    times = medians(min(scale.repetitions, 5), ours=ours, **clients)
    return [beside(f"{scale.rows:,} rows into a table", times, name) for name in clients]


def network_of(connection):
    """The network of the model that all sides score by."""
    query = "SELECT string_agg(body, '' ORDER BY position) FROM reco.artifact_chunk JOIN reco.version USING (artifact_id) WHERE model = 'wide'"
    return Network(connection.execute(query).fetchone()[0])


def beside(what, times, name):
    ours, peer = times["ours"], times[name]
    return figure(what, f"{ours:.2f} s", f"{peer:.2f} s, {name}", peer / ours, at_least=3)


def in_database(connection, model):
    connection.execute("DROP TABLE IF EXISTS scores")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CREATE TABLE scores AS SELECT id, reco.predict('{model}', w) AS score FROM wide w")


def by_client(connection, read, score):
    connection.execute("DROP TABLE IF EXISTS client_scores")
    connection.execute("CHECKPOINT")
    start = time.perf_counter()
    rows = read(connection, READ, COLUMNS)
    made = copy_format.rows(len(rows), [("id", ">i8"), ("score", ">f8")])
    made["id"]["value"] = rows["id"]["value"]
    made["score"]["value"] = score(rows["inputs"]["value"].astype(numpy.float32))
    with connection.transaction():
        connection.execute("CREATE TABLE client_scores (id bigint, score double precision)")
        copy_format.load(connection, "client_scores", made)
    return time.perf_counter() - start


def check_agreement(connection, ours, name, client):
    client()
    ours()
    difference, missing = connection.execute(
        "SELECT max(abs(s.score - c.score)), count(*) FILTER (WHERE s.score IS NULL OR c.score IS NULL) "
        "FROM scores s FULL JOIN client_scores c USING (id)"
    ).fetchone()
    if missing or difference > AGREEMENT:
        raise SystemExit(f"error: {name} computes something else: {difference} apart, {missing} rows missing")
