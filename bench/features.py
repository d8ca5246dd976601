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
households of 4. Ours is `CALL reco.refresh_features` of two feature views: the week's sales as summaries, and the windows
rolled up from them by `reco.trailing_weeks`; from nothing, and one week when all before it are there. The peers make the
windows alone, from nothing, and the benchmark ends with an error where they are not the same. Plain SQL is the fastest we
found that uses `count(DISTINCT …)`, a temporary table with an index first, with work_mem 512MB as ours has; both have
their primary keys built within the time, write a log of it, and use one core. DuckDB (from and to a table in its own file)
and PySpark (from and to Parquet, four shuffle partitions, 4 GB for the driver, the start of the JVM not counted) use two
cores, need no key and log nothing; their loading is not counted. Two workers beside one process: `GROUP BY region` over
all sales with `reco.sales_summary`, the workers' leader taking no part in the scan.

A summary of one sale line takes about 40 bytes, the largest 3,173; the state of an aggregate is at most 128 bytes, 8
more for each customer beyond the third, and 4,096 beyond 384 customers. `HashAggregate` counts them against work_mem and
goes to disk when they outgrow it, so a statement's memory is bounded by the smaller of work_mem and groups × state."""

VIEW = "trailing"
RELATION = '"trailing"'  # a reserved word
MEMORY = "512MB"

# The setting holds back what was sold later.
AVAILABLE = """SELECT min(sold_at), least(max(sold_at), nullif(current_setting('bench.until', true), '')::timestamp)
FROM sales"""

WEEKLY = """SELECT product_id, region, reco.week(sold_at) AS week,
       reco.sales_summary(sales_value, quantity, retail_disc + coupon_disc + coupon_match_disc, household_id, sold_at)
       AS sales
FROM sales JOIN stores USING (store_id)
WHERE sold_at >= $1 AND sold_at < $2 + 7
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3"""


def definition():
    figures = {
        "sales": "reco.total_sales({})",
        "quantity": "reco.total_quantity({})::bigint",
        "transactions": "reco.transactions({})",
        "avg_discount": "reco.avg_discount({})",
        "price": "reco.avg_price({})",
    }
    windows = {1: "sales", 4: "four", 13: "thirteen"}
    columns = [
        f"{figure.format(window)} AS {name}_{weeks}w" for weeks, window in windows.items() for name, figure in figures.items()
    ]
    return f"""SELECT product_id, region, week, {", ".join(columns)}, reco.unique_customers(four) AS households_4w
FROM (
    SELECT *, reco.trailing_weeks(sales, week, 4) OVER place AS four,
           reco.trailing_weeks(sales, week, 13) OVER place AS thirteen
    FROM weekly
    WHERE week BETWEEN $1 - 84 AND $2
      AND ($2 - $1 > 84 OR (product_id, region) IN (
          SELECT product_id, region FROM weekly WHERE week BETWEEN $1 AND $2))
    WINDOW place AS (PARTITION BY product_id, region ORDER BY week)
) AS windows
WHERE week BETWEEN $1 AND $2"""


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
    """The week's sales as summaries, and the trailing windows made of them."""
    connection.execute(f"SET work_mem = '{MEMORY}'")
    create = """SELECT reco.create_feature_view(%s, %s, keys => '{product_id,region}', available => %s, inputs => %s,
                                                partition_by => %s)"""
    connection.execute(create, ["weekly", WEEKLY, AVAILABLE, [], "quarter"])
    connection.execute(create, [RELATION, definition(), AVAILABLE, ["weekly"], "year"])


def build_full(connection):
    """Seconds that all finished weeks take, from nothing."""
    connection.execute(f"SELECT reco.drop_feature_view('{RELATION}', with_inputs => true)")
    create_view(connection)
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{RELATION}')")


def refresh_one_week(connection):
    """Seconds that the newest finished week takes when all before it are there. It is held back at first."""
    (newest,) = connection.execute(f"SELECT max(week) FROM {RELATION}").fetchone()
    connection.execute(f"SET bench.until = '{newest}'")
    build_full(connection)
    connection.execute("RESET bench.until")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{RELATION}', lookback => 0)")


def parallel(connection, workers):
    """Seconds of one statement, scanned by so many workers, whose leader only puts together what they made, or by one
    process alone."""
    settings = {
        "max_parallel_workers_per_gather": workers if workers > 1 else 0,
        "parallel_leader_participation": "off",
        "parallel_setup_cost": 0,
        "min_parallel_table_scan_size": 0,
    }
    with connection.transaction(force_rollback=True):
        for name, value in settings.items():
            connection.execute(f"SET LOCAL {name} = {value}")
        if workers > 1:
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
    return figure("2 workers", f"{two:.2f} s", f"{one:.2f} s, 1 process", one / two, at_least=1.7)
