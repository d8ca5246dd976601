"""predict over a whole table beside a do-nothing function on the same column, and beside PL/Python with numpy."""

from data import warm
from measure import connect, figure, medians, seconds

TITLE = "Bulk scoring"
NOTE = """One statement, `SELECT sum(f(…)) FROM table`, on one core, the table in shared buffers. The do-nothing
function is C, of the same signature, and looks at no argument: what is left is PostgreSQL reading the rows and
forming the row value. PL/Python scores one row at a time with numpy, scaling and calibration folded into the weights
as ours are."""

AGREEMENT = 1e-5


def run(scale):
    connection = connect()
    check_agreement(connection)
    warm(connection, "wide_array", "wide_row")
    array = beside_peers(connection, scale, "x", "wide_array")
    row = beside_peers(connection, scale, "w", "wide_row w")
    return [
        beside_noop("predict(model, real[30])", scale.rows, array, at_most=4.0),
        beside_noop("predict(model, row)", scale.rows, row, at_most=2.5),
        beside_python("predict(model, real[30])", scale, array, at_least=20),
        beside_python("predict(model, row)", scale, row, at_least=10),
    ]


def beside_peers(connection, scale, argument, table):
    few = f"(SELECT plpython_predict({argument}) AS score FROM {table} LIMIT {scale.python_rows}) s"
    return medians(
        scale.repetitions,
        ours=lambda: seconds(connection, f"SELECT sum(reco.predict('wide', {argument})) FROM {table}"),
        noop=lambda: seconds(connection, f"SELECT sum(noop('wide', {argument})) FROM {table}"),
        python=lambda: seconds(connection, f"SELECT sum(score) FROM {few}"),
    )


def check_agreement(connection):
    for sample in "(SELECT x AS v FROM wide_array LIMIT 1000) s", "(SELECT w AS v FROM wide_row w LIMIT 1000) s":
        query = f"SELECT max(abs(reco.predict('wide', v) - plpython_predict(v))) FROM {sample}"
        (difference,) = connection.execute(query).fetchone()
        if difference > AGREEMENT:
            raise SystemExit(f"error: PL/Python computes something else: {difference} apart")


def beside_noop(what, rows, times, at_most):
    ours, noop = (f"{times[side] / rows * 1e6:.3f} µs a row" for side in ("ours", "noop"))
    return figure(what, ours, f"{noop}, do-nothing function", times["ours"] / times["noop"], at_most=at_most)


def beside_python(what, scale, times, at_least):
    ours, python = scale.rows / times["ours"], scale.python_rows / times["python"]
    peer = f"{python:,.0f} rows/s, PL/Python with numpy"
    return figure(what, f"{ours:,.0f} rows/s", peer, ours / python, at_least=at_least)
