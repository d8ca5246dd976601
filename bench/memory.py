"""A training whose table is larger than the memory it may use."""

import json

import trainer_process
from data import INPUTS, NAMES
from measure import connect, figure, seconds

TITLE = "Memory of a training"
NOTE = """`CALL reco.train` on a table that does not fit into `reco.max_training_memory`: two epochs in batches of 8,192 of
4 million rows, in 600 MB. That is 157 bytes a row, everything included, where 20 million rows in 4 GiB have 215; a row is
120 bytes of numbers alone. Memory is the most that was ever resident in the trainer's process, libraries included. The
peer of the time is the same training without a limit, both once."""

TABLE = "tall"
TIMES = 4  # the rows of wide
WEEKS = 20
PARAMS = json.dumps({"hidden": [128], "epochs": 2, "batch_size": 8192})


def run(scale):
    connection = connect()
    create_table(connection, scale.rows)
    rows, limit = TIMES * scale.rows, 300 + int(300 * scale.sales)  # MB; a small part is libtorch's own
    what = f"{rows:,} rows × {INPUTS}"
    free = train(connection, 0)
    bounded = train(connection, limit)
    return [
        in_limit(what, bounded, limit),
        figure(f"{what}, memory", megabytes(bounded), f"{megabytes(free)}, no limit", bounded.peak / free.peak),
        figure(f"{what}, time", f"{bounded.took:.2f} s", f"{free.took:.2f} s, no limit", bounded.took / free.took),
    ]


def create_table(connection, rows):
    """The rows of `wide` several times, each with a week."""
    connection.execute(
        f"CREATE TABLE {TABLE} AS SELECT id + {rows} * n AS id, date '2024-01-01' + 7 * (id % {WEEKS})::int AS week, "
        f"{', '.join(NAMES)}, purchased FROM wide CROSS JOIN generate_series(0, {TIMES - 1}) AS n"
    )
    connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")
    connection.execute(f"VACUUM (FREEZE, ANALYZE) {TABLE}")


def train(connection, limit):
    """The trainer's process as it was watched; `limit` in MB, 0 is none."""
    connection.execute(f"SET reco.max_training_memory = '{limit}MB'")
    with trainer_process.watched(connection) as watch:
        watch.took = seconds(connection, f"CALL reco.train('tall', '{TABLE}', 'purchased', params => '{PARAMS}')")
    connection.execute("RESET reco.max_training_memory")
    return watch


def in_limit(what, watch, limit):
    peer = f"{limit} MB, reco.max_training_memory"
    return figure(f"{what}, memory", megabytes(watch), peer, watch.peak / 2**20 / limit, at_most=1)


def megabytes(watch):
    return f"{watch.peak / 2**20:,.0f} MB"
