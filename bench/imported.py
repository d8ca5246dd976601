"""Models that came as ONNX beside the same graphs in ONNX Runtime: in PL/Python, and in a client that moves rows by COPY."""

import tempfile
from functools import partial
from pathlib import Path

import catboost
import numpy

import client
from data import INPUTS, NAMES, warm
from measure import connect, figure, medians, seconds
from peers import driver, onnx_scorer, plpython_onnx, wire

TITLE = "Models in ONNX"
NOTE = """Two graphs are imported (`import_onnx`) and scored beside themselves: the network of 30 → 128 → 1 above, and a
forest of 200 trees of 64 leaves that CatBoost has trained and written. PL/Python keeps a session of ONNX Runtime for its
connection and runs it a row at a time. The client reads id and the 30 columns by binary COPY, runs all rows in one batch on
one thread, and writes (id, score) by binary COPY: through psycopg, or from the bare socket. Ours is
`CREATE TABLE … AS SELECT id, reco.predict(model, w) FROM wide w`, and for PL/Python `SELECT sum(predict(model, …))` over the
tables of bulk scoring, on one core."""

AGREEMENT = 1e-5
NAME = onnx_scorer.NAME
LEARNED_FROM = 100_000


def run(scale):
    connection = connect()
    graphs = {"network": onnx_scorer.graph(client.network_of(connection)), "forest": forest(connection)}
    return [line for model, graph in graphs.items() for line in beside_the_graph(connection, scale, model, graph)]


def forest(connection):
    query = client.READ.replace("FROM wide", f"FROM wide WHERE id <= {LEARNED_FROM}")
    rows = driver.read(connection, query, client.COLUMNS)["inputs"]["value"].astype(numpy.float32)
    amount = numpy.log(rows[:, 0]) - 0.4 * rows[:, INPUTS // 3] + rows[:, 2 * INPUTS // 3]
    model = catboost.CatBoostRegressor(iterations=200, depth=6, random_seed=1, verbose=0, allow_writing_files=False)
    model.fit(rows, amount)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.onnx"
        model.save_model(str(written), format="onnx")
        return written.read_bytes()


def beside_the_graph(connection, scale, model, graph):
    connection.execute("SELECT reco.import_onnx(%s, %s, columns => %s)", [model, graph, NAMES])
    plpython_onnx.create(connection, model, graph)
    warm(connection, "wide", "wide_row", "wide_array")
    return [
        beside_python(scale, model, "predict(model, real[30])", "x", "wide_array"),
        beside_python(scale, model, "predict(model, row)", "w", "wide_row w"),
        *beside_clients(connection, scale, model, graph),
    ]


def beside_python(scale, model, what, argument, table):
    # A connection that has loaded no other numpy.
    with connect() as connection:
        agree(connection, f"SELECT {argument} AS v FROM {table} LIMIT 1000", model)
        few = f"SELECT {model}_predict({argument}) AS score FROM {table} LIMIT {scale.python_rows}"
        times = medians(
            scale.repetitions,
            ours=lambda: seconds(connection, f"SELECT sum(reco.predict('{model}', {argument})) FROM {table}"),
            python=lambda: seconds(connection, f"SELECT sum(score) FROM ({few}) s"),
        )
    ours, python = scale.rows / times["ours"], scale.python_rows / times["python"]
    peer = f"{python:,.0f} rows/s, PL/Python with {NAME}"
    return figure(f"{model}: {what}", f"{ours:,.0f} rows/s", peer, ours / python, at_least=20)


def beside_clients(connection, scale, model, graph):
    session = onnx_scorer.one_thread(graph)
    (name,) = (value.name for value in session.get_inputs())
    clients = {
        f"client with {reader} and {NAME}": partial(
            client.by_client, connection, read, lambda inputs: session.run(None, {name: inputs})[0][:, 0]
        )
        for reader, read in (("psycopg", driver.read), ("the bare socket", wire.read))
    }
    ours = partial(client.in_database, connection, model)
    for peer, by_client in clients.items():
        client.check_agreement(connection, ours, peer, by_client)
    times = medians(min(scale.repetitions, 5), ours=ours, **clients)
    return [client.beside(f"{model}: {scale.rows:,} rows into a table", times, peer) for peer in clients]


def agree(connection, sample, model):
    query = f"SELECT max(abs(reco.predict('{model}', v) - {model}_predict(v))) FROM ({sample}) s"
    (difference,) = connection.execute(query).fetchone()
    if difference is None or difference > AGREEMENT:
        raise SystemExit(f"error: PL/Python computes something else: {difference} apart")
