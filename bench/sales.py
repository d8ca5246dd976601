"""A year of real sales (Complete Journey) in a schema of their own, or generated ones of the same shape."""

import os
import subprocess
from pathlib import Path

from measure import connect

REPOSITORY = Path(__file__).parent.parent
FETCHED = Path(os.environ.get("PG_RECOMMEND_STATE", ""), "data/complete-journey/complete")
SCHEMA = "journey"

# Generated sales of so many products are about as many lines as the real ones.
PRODUCTS = 6300


def create(connection, share, generated=False):
    """sales, stores and products as demo/schema.sql makes them; `share` of a year, which only 1 has of real sales unless
    they are to be generated. Says what they are."""
    connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    if real := share >= 1 and not generated and FETCHED.exists():
        psql("-f", REPOSITORY / "demo/schema.sql")
        for table in "stores", "products", "sales":
            copy_csv(connection, table)
    else:
        psql("-f", REPOSITORY / "demo/generator.sql", "-v", f"products={max(100, int(PRODUCTS * share))}")
    connection.execute(f"CREATE INDEX ON {SCHEMA}.sales (sold_at)")
    connection.execute(f"VACUUM (FREEZE, ANALYZE) {SCHEMA}.sales, {SCHEMA}.stores, {SCHEMA}.products")
    (lines,) = connection.execute(f"SELECT count(*) FROM {SCHEMA}.sales").fetchone()
    return f"{lines:,} {'' if real else 'generated '}sales lines"


def add_plans(connection):
    """What is on display and in the mailer, of which generated sales have their own."""
    (listed,) = connection.execute(f"SELECT count(*) FROM {SCHEMA}.promotions").fetchone()
    if not listed:
        copy_csv(connection, "promotions")
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {SCHEMA}.promotions")


def connect_to_sales():
    connection = connect()
    connection.execute(f"SET search_path = {SCHEMA}")
    return connection


def psql(*arguments):
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *map(str, arguments)]
    options = f"{os.environ.get('PGOPTIONS', '')} -c search_path={SCHEMA}"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PGOPTIONS": options})


def copy_csv(connection, table):
    command = [REPOSITORY / "scripts/complete-journey", "csv", table]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
        with connection.cursor().copy(f"COPY {SCHEMA}.{table} FROM STDIN (FORMAT csv)") as copy:
            while part := made.stdout.read(1 << 20):
                copy.write(part)
    if made.returncode:
        raise SystemExit(f"error: the {table} of Complete Journey could not be read")
