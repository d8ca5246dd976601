"""A feature view of trailing windows beside plain SQL, DuckDB and PySpark: built whole, and one week more."""

import os
import tempfile
from functools import partial
from pathlib import Path

import sales
from measure import figure, medians, seconds
from peers import in_duckdb, in_spark, plain_sql, trailing

TITLE = "Features"
NOTE = """A table of trailing windows over sales lines: a row for each product, region and week with sales; sales,
quantity, transactions, average discount and price of the 1, 4 and 13 calendar weeks up to it, and the distinct
households of 4. Ours is `CALL reco.refresh_features` of a feature view, from nothing, and of the newest week once all
before it are there. The peers make the same table from nothing, and the benchmark ends with an error where it is not
the same. Plain SQL is the fastest we found that uses `count(DISTINCT …)`, a temporary table with an index first,
with work_mem 512MB as ours has; both have their primary key built within the time and use one core. DuckDB (from and
to a table in its own file) and PySpark (from and to Parquet, four shuffle partitions, 4 GB for the driver, the start of
the JVM not counted) use two cores and need no key; their loading is not counted. Two workers beside one: `GROUP BY
region` over all sales with `reco.sales_summary`, the leader taking no part in the scan."""

VIEW = "trailing"
RELATION = '"trailing"'  # a reserved word
MEMORY = "512MB"

DEFINITION = """SELECT product_id, region, date_trunc('week', sold_at)::date AS week
FROM sales JOIN stores USING (store_id)"""

PARALLEL = """SELECT sum(pg_column_size(summary)) FROM (
    SELECT region,
           reco.sales_summary(sales_value, quantity, retail_disc + coupon_disc + coupon_match_disc, household_id, sold_at)
           AS summary
    FROM sales JOIN stores USING (store_id)
    GROUP BY region
) AS regions"""


def run(scale):
    with sales.connect_to_sales() as connection, temporary_folder() as folder:
        what = sales.create(connection, scale.sales)
        create_view(connection)
        database = in_duckdb.Database(connection, Path(folder))
        session = in_spark.Session(Path(folder), {table: database.export(table) for table in ("sales", "stores")})
        try:
            check_agreement(connection, database, session)
            times = medians(
                min(scale.repetitions, 3),
                ours=partial(build_full, connection),
                plain=partial(plain_sql.build, connection),
                duckdb=database.build,
                spark=session.build,
            )
        finally:
            session.stop()
        week = medians(min(scale.repetitions, 3), ours=partial(refresh_one_week, connection))["ours"]
        workers = {f"by_{n}": partial(parallel, connection, n) for n in (1, 2)}
        scans = medians(scale.repetitions, **workers)
    return [
        beside(f"{what}, all weeks", times, "plain", plain_sql.NAME, at_least=3),
        beside(f"{what}, all weeks", times, "spark", in_spark.NAME, at_least=2),
        beside(f"{what}, all weeks", times, "duckdb", in_duckdb.NAME),
        one_week(week, times["ours"]),
        two_workers(scans),
    ]


def temporary_folder():
    """Where DuckDB and Spark keep what is theirs."""
    return tempfile.TemporaryDirectory(dir=Path(os.environ["PG_RECOMMEND_STATE"], "tmp"))


def create_view(connection):
    connection.execute(f"SET work_mem = '{MEMORY}'")
    create = "SELECT reco.create_feature_view(%s, %s, keys => '{product_id,region}')"
    connection.execute(create, [VIEW, DEFINITION])


def build_full(connection):
    """Seconds that all finished weeks take, from nothing."""
    connection.execute(f"TRUNCATE {RELATION}")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{VIEW}')")


def refresh_one_week(connection):
    """Seconds that the newest finished week takes when all before it are there. What was sold after it is held back at
    first, so that it is not finished; then it comes in."""
    with connection.transaction():
        later = "WHERE sold_at >= (SELECT date_trunc('week', max(sold_at)) FROM sales)"
        connection.execute(f"CREATE TEMP TABLE held AS SELECT * FROM sales {later}")
        connection.execute(f"DELETE FROM sales {later}")
    build_full(connection)
    connection.execute("INSERT INTO sales SELECT * FROM held")
    connection.execute("DROP TABLE held")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{VIEW}')")


def parallel(connection, workers):
    """Seconds of one statement's scan by so many workers, their leader only putting together what they made."""
    settings = {
        "max_parallel_workers_per_gather": workers,
        "parallel_leader_participation": "off",
        "parallel_setup_cost": 0,
        "min_parallel_table_scan_size": 0,
    }
    with connection.transaction(force_rollback=True):
        for name, value in settings.items():
            connection.execute(f"SET LOCAL {name} = {value}")
        check_workers(connection, workers)
        return seconds(connection, PARALLEL)


def check_workers(connection, workers):
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN (COSTS off) {PARALLEL}"))
    if f"Workers Planned: {workers}" not in plan:
        raise SystemExit(f"error: the planner does not give the statement {workers} workers:\n{plan}")


def check_agreement(connection, database, session):
    build_full(connection)
    ours = connection.execute(f"SELECT {trailing.TOTALS} FROM {RELATION}").fetchone()
    plain_sql.build(connection)
    database.build()
    session.build()
    trailing.check_agreement(plain_sql.NAME, plain_sql.totals(connection), ours)
    trailing.check_agreement(in_duckdb.NAME, database.totals(), ours)
    trailing.check_agreement(in_spark.NAME, session.totals(), ours)


def beside(what, times, peer, name, at_least=None):
    ours, theirs = times["ours"], times[peer]
    return figure(what, f"{ours:.2f} s", f"{theirs:.2f} s, {name}", theirs / ours, at_least=at_least)


def one_week(week, full):
    return figure("the newest week", f"{week:.2f} s", f"{full:.2f} s, all weeks", week / full, at_most=1 / 20)


def two_workers(scans):
    one, two = scans["by_1"], scans["by_2"]
    return figure("2 workers", f"{two:.2f} s", f"{one:.2f} s, 1 worker", one / two, at_least=1.7)
