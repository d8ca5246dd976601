"""reco.train beside reading the table once."""

import re
import statistics

from data import PARAMS
from measure import connect, figure, medians, seconds

TITLE = "Training"
NOTE = f"""`CALL reco.train` on the whole table with `{PARAMS}` and every core: reading the rows, fitting the recipe,
the epochs, validation, test and storing the version. The peer reads the table once, `COPY wide TO '/dev/null' (FORMAT
binary)`, on one core as the reading part of the training is."""


def run(scale):
    connection = connect()
    reading = []
    connection.add_notice_handler(lambda notice: keep_reading_time(notice.message_primary, reading))
    train = f"CALL reco.train('wide_timed', 'wide', 'purchased', params => '{PARAMS}')"
    times = medians(
        min(scale.repetitions, 3),
        ours=lambda: seconds(connection, train),
        peer=lambda: seconds(connection, "COPY wide TO '/dev/null' (FORMAT binary)"),
    )
    once = times["peer"]
    epochs = connection.execute("SELECT seconds FROM reco.run_metrics WHERE model = 'wide_timed'").fetchall()
    epoch_seconds = statistics.median(took for (took,) in epochs)
    read = statistics.median(reading)
    peer = f"{once:.2f} s, COPY to nowhere"
    return [
        figure(f"{scale.rows:,} rows, the reading", f"{read:.1f} s", peer, read / once),
        figure(f"{scale.rows:,} rows, one epoch", f"{epoch_seconds:.2f} s", peer, epoch_seconds / once),
        figure(f"{scale.rows:,} rows, the whole call", f"{times['ours']:.2f} s", peer, times["ours"] / once),
    ]


def keep_reading_time(message, reading):
    if found := re.search(r"read in ([0-9.]+) s", message):
        reading.append(float(found[1]))
