"""Parquet files into a table, beside DuckDB, which reads the same files and hands them to PostgreSQL by ADBC (binary COPY)."""

import os
import tempfile
import time
from pathlib import Path

import adbc_driver_postgresql.dbapi
import duckdb
from measure import connect, figure, medians, seconds

TITLE = "Parquet files into a table"
NOTE = """Lines of sales with six columns (bigint, integer, text, timestamptz, numeric, real) in ten files, zstd, into a table without
indexes, `TRUNCATE` before each; the files are in the page cache. DuckDB reads them with as many threads as there are cores, and
its Arrow batches go to `adbc_ingest`, which sends binary COPY through the socket. PyPI has no postgres extension of DuckDB.
DuckDB's driver has no numeric for ADBC that PostgreSQL takes as such, so that its table has double precision there, which is less
work."""

COLUMNS = "sale_id bigint, product_id integer, region text, sold_at timestamptz, amount {amount}, quantity real"
FILES = 10


def run(scale):
    lines = 2 * scale.rows
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        write(folder, lines)
        with connect() as connection:
            for name, amount in (("by_us", "numeric(12, 2)"), ("by_duckdb", "double precision")):
                connection.execute(f"CREATE TABLE bench.{name} ({COLUMNS.format(amount=amount)})")
            times = medians(
                scale.repetitions, ours=lambda: ours(connection, folder), duckdb=lambda: with_duckdb(connection, folder)
            )
            counts = [connection.execute(f"SELECT count(*) FROM bench.{name}").fetchone()[0] for name in ("by_us", "by_duckdb")]
            assert counts == [lines, lines], counts
    rates = {name: f"{lines / took:,.0f} lines/s" for name, took in times.items()}
    ratio = times["ours"] / times["duckdb"]
    return [figure("load_parquet", rates["ours"], f"{rates['duckdb']}, DuckDB and ADBC", ratio, at_most=1.3)]


def write(folder, lines):
    each = lines // FILES
    for n in range(FILES):
        query = f"""SELECT i AS sale_id, (i % 1000)::INTEGER AS product_id, 'region ' || i % 7 AS region,
            ('epoch'::TIMESTAMPTZ + to_seconds(i)) AS sold_at, (i % 100000 / 100)::DECIMAL(12, 2) AS amount,
            (i % 10)::FLOAT AS quantity FROM range({n * each}, {(n + 1) * each}) AS r (i)"""
        duckdb.execute(f"COPY ({query}) TO '{Path(folder, f'{n}.parquet')}' (FORMAT parquet, COMPRESSION zstd)")
    for file in Path(folder).iterdir():
        file.chmod(0o644)


def ours(connection, folder):
    connection.execute("TRUNCATE bench.by_us")
    return seconds(connection, f"CALL reco.load_parquet('bench.by_us', 'file://{folder}/')")


def with_duckdb(connection, folder):
    connection.execute("TRUNCATE bench.by_duckdb")
    start = time.perf_counter()
    uri = "postgresql:///" + os.environ.get("PGDATABASE", "bench")
    query = f"SELECT * REPLACE (amount::DOUBLE AS amount) FROM '{folder}/*.parquet'"
    with adbc_driver_postgresql.dbapi.connect(uri) as peer, peer.cursor() as cursor:
        batches = duckdb.sql(query).fetch_arrow_reader(100_000)
        cursor.adbc_ingest("by_duckdb", batches, mode="append", db_schema_name="bench")
        peer.commit()
    return time.perf_counter() - start
