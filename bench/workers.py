"""Scoring by two parallel workers beside one of them, and beside a process without workers."""

from functools import partial

from data import warm
from measure import connect, figure, medians, seconds

TITLE = "Parallel workers"
NOTE = """One statement, `SELECT sum(f(…)) FROM table`, scanned by two parallel workers whose leader only puts together what
they made, beside the same with one worker, and beside one process without any. What workers cost to start, some tens of
milliseconds, is in their times. The tables are in shared buffers; the keys of recommend come in random order from a table
of their own."""

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
    return [shown for statement in STATEMENTS.items() for shown in of_two(connection, scale, *statement)]


def of_two(connection, scale, what, statement):
    for workers in (0, 1, 2):
        check_plan(connection, statement, workers)
    none, one, two = medians(
        scale.repetitions,
        **{str(workers): partial(by_workers, connection, statement, workers) for workers in (0, 1, 2)},
    ).values()
    what = f"{what}, 2 workers"
    return [
        figure(what, f"{two:.3f} s", f"{one:.3f} s, 1 worker", one / two, at_least=1.8),
        figure(what, f"{two:.3f} s", f"{none:.3f} s, 1 process", none / two),
    ]


def by_workers(connection, statement, workers):
    """Planned for two workers if for any: so few rows to hand over make one worker alone no plan."""
    connection.execute(f"SET max_parallel_workers_per_gather = {2 if workers else 0}")
    connection.execute(f"SET max_parallel_workers = {workers}")
    return seconds(connection, statement)


def check_plan(connection, statement, workers):
    by_workers(connection, statement, workers)
    explained = connection.execute(f"EXPLAIN (ANALYZE, COSTS off, TIMING off) {statement}")
    plan = "\n".join(line for (line,) in explained)
    if (f"Workers Launched: {workers}" in plan) != (workers > 0):
        raise SystemExit(f"error: not {workers} workers:\n{plan}")
