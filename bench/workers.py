"""Scoring by two parallel workers beside one process."""

from functools import partial

from data import warm
from measure import connect, figure, medians, seconds

TITLE = "Parallel workers"
NOTE = """One statement, `SELECT sum(f(…)) FROM table`, scanned by two parallel workers whose leader only puts together what
they made, beside the same statement in one process. The tables are in shared buffers; the keys of recommend come in random
order from a table of their own."""

STATEMENTS = {
    "predict(model, real[30])": "SELECT sum(reco.predict('wide', x)) FROM wide_array",
    "predict(model, row)": "SELECT sum(reco.predict('wide', w)) FROM wide_row w",
    "recommend(product_id, region)": "SELECT sum(reco.recommend(product_id, region)) FROM all_keys",
}
SETTINGS = {"parallel_leader_participation": "off", "parallel_setup_cost": 0, "min_parallel_table_scan_size": 0}


def run(scale):
    connection = connect()
    connection.execute("SELECT setseed(0.5)")
    connection.execute("CREATE TABLE all_keys AS SELECT product_id, region FROM launch_features ORDER BY random()")
    connection.execute("VACUUM (FREEZE, ANALYZE) all_keys")
    warm(connection, "wide_array", "wide_row", "launch_features", "launch_features_pkey")
    for name, value in SETTINGS.items():
        connection.execute(f"SET {name} = {value}")
    return [two_beside_one(connection, scale, *statement) for statement in STATEMENTS.items()]


def two_beside_one(connection, scale, what, statement):
    times = medians(
        scale.repetitions,
        one=partial(by_workers, connection, statement, 0),
        two=partial(by_workers, connection, statement, 2),
    )
    one, two = times["one"], times["two"]
    return figure(f"{what}, 2 workers", f"{two:.3f} s", f"{one:.3f} s, 1 process", one / two, at_least=1.8)


def by_workers(connection, statement, workers):
    connection.execute(f"SET max_parallel_workers_per_gather = {workers}")
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN (COSTS off) {statement}"))
    if (f"Workers Planned: {workers}" in plan) != (workers > 0):
        raise SystemExit(f"error: the planner does not give the statement {workers} workers:\n{plan}")
    return seconds(connection, statement)
