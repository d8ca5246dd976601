"""The benchmarks' tables, the same for the same size, the models trained on them, and the functions beside ours."""

import datetime
import os

import numpy

import copy_format
from peers import plpython

INPUTS = 30
NAMES = [f"c{n}" for n in range(1, INPUTS + 1)]
REGIONS, WEEKS = 5, 4
FIRST_WEEK = datetime.date(2024, 1, 1)

# Two epochs: how well a model ranks makes no difference to what scoring costs.
PARAMS = '{"hidden": [128], "epochs": 2, "batch_size": 8192, "transform": "none", "calibration": "platt"}'


def create(connection, size, products):
    """wide: `size` rows of 30 numbers with key and label; wide_row: the numbers alone; wide_array: the numbers as an
    array; launch_features: by product, region and week."""
    connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")
    connection.execute("DROP EXTENSION IF EXISTS pg_recommend, plpython3u CASCADE")
    connection.execute("CREATE SCHEMA bench")
    connection.execute("CREATE EXTENSION pg_recommend")
    create_wide(connection, size)
    create_launch_features(connection, products)
    for table in "wide", "wide_row", "wide_array", "launch_features":
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}")


def warm(connection, *relations):
    """Brings tables and indexes into shared buffers, so that no side is slowed by reading files."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
    for relation in relations:
        connection.execute("SELECT pg_prewarm(%s)", [relation])


def train(connection):
    for model, source in ("wide", "wide"), ("launch", "launch_features"):
        connection.execute(f"CALL reco.train('{model}', '{source}', 'purchased', params => '{PARAMS}')")


def create_peers(connection):
    library = os.environ["PG_RECOMMEND_NOOP"]
    for argument in "real[]", "record":
        connection.execute(
            f"CREATE FUNCTION noop(text, {argument}) RETURNS double precision STABLE STRICT PARALLEL SAFE COST 10 "
            f"LANGUAGE c AS '{library}', 'noop'"
        )
    plpython.create(connection)


def create_wide(connection, size):
    columns = ", ".join(f"{name} real NOT NULL" for name in NAMES)
    connection.execute(f"CREATE TABLE wide (id bigint, {columns}, purchased boolean NOT NULL)")
    made = copy_format.rows(size, [("id", ">i8"), ("inputs", ">f4", INPUTS), ("purchased", "?")])
    made["id"]["value"] = numpy.arange(1, size + 1)
    fill_numbers(made, numpy.random.default_rng(1))
    copy_format.load(connection, "wide", made)
    connection.execute("ALTER TABLE wide ADD PRIMARY KEY (id)")
    numbers = ", ".join(NAMES)
    connection.execute(f"CREATE TABLE wide_row AS SELECT {numbers} FROM wide ORDER BY id")
    connection.execute(f"CREATE TABLE wide_array AS SELECT ARRAY[{numbers}] AS x FROM wide ORDER BY id")


def create_launch_features(connection, products):
    columns = ", ".join(f"{name} real NOT NULL" for name in NAMES)
    connection.execute(
        f"CREATE TABLE launch_features (product_id bigint, region text, week date, {columns}, purchased boolean)"
    )
    kinds = [("product_id", ">i8"), ("region", "S1"), ("week", ">i4"), ("inputs", ">f4", INPUTS), ("purchased", "?")]
    made = copy_format.rows(products * REGIONS * WEEKS, kinds)
    # Week by week, as such a table grows.
    week, product, region = numpy.indices((WEEKS, products, REGIONS)).reshape(3, -1)
    made["product_id"]["value"] = product + 1
    made["region"]["value"] = numpy.arange(1, REGIONS + 1).astype("S1")[region]
    made["week"]["value"] = (FIRST_WEEK - datetime.date(2000, 1, 1)).days + 7 * week
    fill_numbers(made, numpy.random.default_rng(2))
    copy_format.load(connection, "launch_features", made)
    connection.execute("ALTER TABLE launch_features ADD PRIMARY KEY (product_id, region, week)")


def newest_week():
    return FIRST_WEEK + datetime.timedelta(weeks=WEEKS - 1)


def fill_numbers(made, random):
    """Amounts (log-normal), counts (Poisson) and shares (uniform), and a label that depends on some of each."""
    rows, third = len(made), INPUTS // 3
    numbers = numpy.concatenate(
        [
            random.lognormal(2, 1, (rows, third)).astype(numpy.float32),
            random.poisson(5, (rows, third)).astype(numpy.float32),
            random.random((rows, third), numpy.float32),
        ],
        axis=1,
    )
    made["inputs"]["value"] = numbers
    logit = numpy.log(numbers[:, 0]) - 0.4 * numbers[:, third] + 2 * numbers[:, 2 * third] * numbers[:, 2 * third + 1]
    made["purchased"]["value"] = random.random(rows) < 1 / (1 + numpy.exp(-logit))
