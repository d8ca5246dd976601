"""Both launch views, built whole, beside COPY of the finished rows, PySpark and DuckDB; one week more; ten times the data."""

import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import sales
from features import temporary_folder
from measure import figure, medians, seconds
from peers import agreement, launch_in_duckdb, launch_in_spark
from peers.separate import peak_memory

TITLE = "Launch features"
NOTE = """The features of new products that `reco.create_launch_features` makes, without plans: a row for each product in
its first 12 weeks, each region and week, with 49 features and the label. Ours is `CALL reco.refresh_features` from nothing:
it makes the view of weekly summaries, too, and of both the primary key and an index by week. COPY reads the finished
features alone, from a binary file of the server's, into an empty table with the same columns and primary key and no other
index; the faster of two ways, the key there from the start or added after.

DuckDB and PySpark compute the same rows from the same tables of PostgreSQL, and write them to a table there, whose primary
key is added after; the benchmark ends with an error where a row is not the same (numbers within 1e-5, estimates of more
than 384 distinct customers within 5 %), on few sales with returns among them and on those that are measured. They share
their SQL, `peers/launch_sql.py`. Both read and write by binary COPY through Arrow's driver for PostgreSQL: DuckDB's own
extension is not among the packages that a registry has for this version, and JDBC would want a server that listens on TCP.
They keep what is in between in memory, use two cores besides the server's, and need no weekly summaries for the next
refresh; the start of Spark's JVM (8 GB for it) is not counted.

The newest week is a refresh when all before it are there. Ten times the data are generated sales of ten times as many
products, beside as many generated ones as the real sales have; a build each, on a connection of its own. Memory is the most
that its backend ever had resident, the pages of shared buffers that it used among it."""

VIEW = "launch_features"
KEYS = "product_id", "region", "week"
RESULT, YARDSTICK = "by_peer", "copied"
MEMORY = "512MB"
FEW = 0.03  # of a year's sales
TIMES = 10


def run(scale):
    repetitions = min(scale.repetitions, 3)
    with sales.connect_to_sales() as connection, temporary_folder() as folder:
        duckdb = launch_in_duckdb.Peer(sales.SCHEMA)
        spark = launch_in_spark.Peer(sales.SCHEMA, Path(folder))
        try:
            sales.create(connection, FEW * min(scale.sales, 1))
            spoil(connection)
            check_agreement(connection, duckdb, spark)
            what = sales.create(connection, scale.sales)
            check_agreement(connection, duckdb, spark)
            with finished_rows(connection) as file:
                times = medians(
                    repetitions,
                    ours=partial(build_full, connection),
                    key_first=partial(copy, connection, file, key_first=True),
                    key_after=partial(copy, connection, file, key_first=False),
                    duckdb=partial(build_peer, connection, duckdb),
                    spark=partial(build_peer, connection, spark),
                )
        finally:
            spark.stop()
        (rows,) = connection.execute(f"SELECT count(*) FROM {VIEW}").fetchone()
        week = medians(repetitions, ours=partial(refresh_one_week, connection))["ours"]
        once, more = (build_generated(connection, times * scale.sales) for times in (1, TIMES))
    what = f"{what}, {rows:,} rows"
    return [
        beside_copy(what, times),
        beside(what, times, "spark", spark.name, at_most=0.5),
        beside(what, times, "duckdb", duckdb.name, at_most=1),
        one_week(week, times["ours"]),
        *growth(once, more),
    ]


def create_view(connection):
    connection.execute(f"SET work_mem = '{MEMORY}'")
    connection.execute(
        f"""SELECT reco.create_launch_features('{VIEW}', sales => 'sales', products => 'products', stores => 'stores',
                amount => 'sales_value', discount => '{{retail_disc,coupon_disc,coupon_match_disc}}',
                customer => 'household_id', category => 'product_category', attributes => '{{brand,department}}')"""
    )


def drop_view(connection):
    (there,) = connection.execute("SELECT to_regclass(%s)", [VIEW]).fetchone()
    if there:
        connection.execute(f"SELECT reco.drop_feature_view('{VIEW}', with_inputs => true)")


def build_full(connection):
    """Seconds that all finished weeks of both views take, from nothing."""
    drop_view(connection)
    create_view(connection)
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{VIEW}')")


def refresh_one_week(connection):
    """Seconds that the newest week takes in both views when all before it are there."""
    (newest,) = connection.execute(f"SELECT max(week) FROM {VIEW}").fetchone()
    for view in VIEW, f"{VIEW}_weekly":
        connection.execute(f"DELETE FROM {view} WHERE week = %s", [newest])
        connection.execute(f"VACUUM ANALYZE {view}")
    connection.execute("CHECKPOINT")
    return seconds(connection, f"CALL reco.refresh_features('{VIEW}', lookback => 0)")


@contextmanager
def finished_rows(connection):
    """A file of the server's with the rows of the view, as binary COPY has them."""
    (folder,) = connection.execute("SHOW data_directory").fetchone()
    file = Path(folder, "launch_features.copy")
    connection.execute(f"COPY (SELECT * FROM {VIEW} ORDER BY {', '.join(KEYS)}) TO '{file}' (FORMAT binary)")
    try:
        yield file
    finally:
        file.unlink()


def empty_table(connection, table):
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE {table} (LIKE {VIEW})")
    connection.execute("CHECKPOINT")


def add_key(connection, table):
    return seconds(connection, f"ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(KEYS)})")


def copy(connection, file, key_first):
    """Seconds."""
    empty_table(connection, YARDSTICK)
    if key_first:
        add_key(connection, YARDSTICK)
    took = seconds(connection, f"COPY {YARDSTICK} FROM '{file}' (FORMAT binary)")
    return took if key_first else took + add_key(connection, YARDSTICK)


def build_peer(connection, peer):
    """Seconds."""
    empty_table(connection, RESULT)
    start = time.perf_counter()
    peer.build(RESULT)
    return time.perf_counter() - start + add_key(connection, RESULT)


def spoil(connection):
    """Returns, some of them before the first sale, lines without a piece, and products that are not listed."""
    returned = """INSERT INTO sales
        SELECT household_id, store_id, basket_id, product_id, -quantity, -sales_value, -retail_disc, -coupon_disc,
               -coupon_match_disc, week, sold_at + interval '{}' FROM sales WHERE (household_id + product_id) % 40 = {}"""
    connection.execute(returned.format("9 days", 1))
    connection.execute(returned.format("-37 days", 2))
    connection.execute("UPDATE sales SET quantity = 0 WHERE quantity > 0 AND (household_id + product_id) % 40 = 3")
    connection.execute("DELETE FROM products WHERE product_id % 20 = 4")


def check_agreement(connection, *peers):
    build_full(connection)
    for peer in peers:
        build_peer(connection, peer)
        agreement.check(connection, peer.name, sales.SCHEMA, VIEW, RESULT, KEYS)


def build_generated(connection, share):
    """What the sales are, the seconds of a build, and the peak memory of its backend in bytes."""
    drop_view(connection)
    what = sales.create(connection, share, generated=True)
    with sales.connect_to_sales() as builder:
        return what, build_full(builder), peak_memory(builder.info.backend_pid)


def beside_copy(what, times):
    how, copied = min(("key first", times["key_first"]), ("key after", times["key_after"]), key=lambda way: way[1])
    ours = times["ours"]
    return figure(what, f"{ours:.2f} s", f"{copied:.2f} s, COPY of the finished rows, {how}", ours / copied, at_most=0.8)


def beside(what, times, peer, name, at_most):
    ours, theirs = times["ours"], times[peer]
    return figure(what, f"{ours:.2f} s", f"{theirs:.2f} s, {name}", ours / theirs, at_most=at_most)


def one_week(week, full):
    return figure("the newest week", f"{week:.2f} s", f"{full:.2f} s, all weeks", week / full, at_most=1 / 20)


def growth(once, more):
    (few, seconds_once, peak_once), (many, seconds_more, peak_more) = once, more
    megabytes = "{:,.0f} MB".format
    return [
        figure(
            f"{many}, time",
            f"{seconds_more:.2f} s",
            f"{seconds_once:.2f} s, {few}",
            seconds_more / seconds_once,
            at_most=TIMES,
        ),
        figure(
            f"{many}, memory",
            megabytes(peak_more / 2**20),
            f"{megabytes(peak_once / 2**20)}, {few}",
            peak_more / peak_once,
            at_most=TIMES,
        ),
    ]
