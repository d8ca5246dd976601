"""reco.train beside reading the table once, and beside PyTorch and LightGBM on the same rows and cores."""

import json
import os
import re
import statistics

import trainer_process
from data import NAMES, PARAMS
from measure import connect, figure, medians, seconds
from peers import lightgbm_trainer, separate, torch_trainer
from peers.training_rows import TABLE

KEPT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
START = "start"

TITLE = "Training"
NOTE = f"""`CALL reco.train` on the whole table with `{PARAMS}` and every core: reading the rows, fitting the recipe,
the epochs, validation, test and storing the version. The peer of the first three figures reads the table once, `COPY wide
TO '/dev/null' (FORMAT binary)`, on one core as the reading part of the training is.

The other figures are whole trainings on every core, of the same rows with a week each; the last weeks are the test.
{torch_trainer.NAME} and {lightgbm_trainer.NAME} read the table by binary COPY through psycopg, turn rows into numbers as
they come, and score the test weeks. They are processes of their own; Python's start and the imports are not counted. Ours
measures validation weeks after every epoch, checks the scores it will serve, and stores the version; the importance of
columns is not measured. Both networks start
from the same weights. All rows in every step, 50 epochs and 128 hidden units is what the original did. *Large blocks kept*
is PyTorch with `{" ".join(f"{name}={value}" for name, value in KEPT.items())}`: glibc else returns the memory of large
tensors to the kernel, which clears it anew for the next step. *Losses apart* is the largest relative difference of the
training losses of any epoch. Memory is the most that was ever resident in the trainer or the peer, libraries included."""

WEEKS, VALIDATION_WEEKS, TEST_WEEKS = 20, 3, 3
SHARES = {"validation_share": VALIDATION_WEEKS / WEEKS, "test_share": TEST_WEEKS / WEEKS}
CORES = os.cpu_count()
OF_PEERS = {"threads": CORES, "seed": 1, "validation_weeks": VALIDATION_WEEKS, "test_weeks": TEST_WEEKS}

# Every epoch, at one learning rate, as the peer does.
OF_NETWORKS = {"hidden": [128], "patience": 0, "schedule": "constant", "transform": "none", "importance": False}
FULL_BATCH = {"epochs": 50, "batch_size": 0, "learning_rate": 0.001}
MINI_BATCHES = {"epochs": 10, "batch_size": 8192, "learning_rate": 0.001}
TREES = {"trees": 300, "leaves": 63, "learning_rate": 0.05}


def run(scale):
    connection = connect()
    create_table(connection, scale.rows)
    create_start(connection)
    repetitions = min(scale.repetitions, 3)
    return [
        *reading(connection, scale.rows, repetitions),
        *full_batch(connection, repetitions),
        *mini_batches(connection, repetitions),
        *trees(connection, repetitions),
    ]


def create_table(connection, rows):
    """The rows of `wide`, each with a week."""
    connection.execute(
        f"CREATE TABLE {TABLE} AS SELECT id, date '2024-01-01' + 7 * ((id - 1) * {WEEKS} / {rows})::int AS week, "
        f"{', '.join(NAMES)}, purchased FROM wide ORDER BY id"
    )
    connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")
    connection.execute(f"VACUUM (FREEZE, ANALYZE) {TABLE}")


def create_start(connection):
    """The weights that the networks start from: a step of this size changes none."""
    params = json.dumps(OF_NETWORKS | SHARES | {"epochs": 1, "batch_size": 0, "learning_rate": 1e-30})
    connection.execute(f"CALL reco.train('{START}', '{TABLE}', 'purchased', params => '{params}')")


def reading(connection, rows, repetitions):
    notices = []
    connection.add_notice_handler(lambda notice: keep_reading_time(notice.message_primary, notices))
    train = f"CALL reco.train('wide_timed', 'wide', 'purchased', params => '{PARAMS}')"
    times = medians(
        repetitions,
        ours=lambda: seconds(connection, train),
        peer=lambda: seconds(connection, "COPY wide TO '/dev/null' (FORMAT binary)"),
    )
    once = times["peer"]
    epochs = connection.execute("SELECT seconds FROM reco.run_metrics WHERE model = 'wide_timed'").fetchall()
    epoch_seconds = statistics.median(took for (took,) in epochs)
    read = statistics.median(notices)
    peer = f"{once:.2f} s, COPY to nowhere"
    return [
        figure(f"{rows:,} rows, the reading", f"{read:.1f} s", peer, read / once),
        figure(f"{rows:,} rows, one epoch", f"{epoch_seconds:.2f} s", peer, epoch_seconds / once),
        figure(f"{rows:,} rows, the whole call", f"{times['ours']:.2f} s", peer, times["ours"] / once),
    ]


def keep_reading_time(message, notices):
    if found := re.search(r"read in ([0-9.]+) s", message):
        notices.append(float(found[1]))


def full_batch(connection, repetitions):
    ours, peer = networks(connection, FULL_BATCH)
    kept = Peer(torch_trainer, peer.params, KEPT, f"{torch_trainer.NAME}, large blocks kept")
    times = medians(repetitions, ours=ours.train, peer=peer.train, kept=kept.train)
    what = "50 epochs of all rows"
    return [
        beside(what, times, "peer", peer, at_most=0.35),
        beside(what, times, "kept", kept, at_most=0.5),
        losses_apart(what, ours.losses(), peer),
        memory(what, ours, peer),
    ]


def mini_batches(connection, repetitions):
    ours, peer = networks(connection, MINI_BATCHES)
    times = medians(repetitions, ours=ours.train, peer=peer.train)
    what = "10 epochs, batches of 8,192"
    apart = abs(ours.auroc() - peer.result["auroc"])
    return [
        beside(what, times, "peer", peer, at_most=0.5),
        aurocs(f"{what}, apart", ours, peer, apart),
        memory(what, ours, peer),
    ]


def trees(connection, repetitions):
    every_tree = TREES | {"patience": 0, "importance": False}
    ours, peer = Ours(connection, "boosted_trees", every_tree), Peer(lightgbm_trainer, TREES)
    times = medians(repetitions, ours=ours.train, peer=peer.train)
    what = "300 trees of 63 leaves"
    return [
        beside(what, times, "peer", peer, at_most=2),
        aurocs(f"{what}, short of it", ours, peer, peer.result["auroc"] - ours.auroc()),
    ]


def networks(connection, params):
    """A training of ours and the peer's."""
    hidden = OF_NETWORKS["hidden"][0]
    return Ours(connection, "mlp", params | OF_NETWORKS), Peer(torch_trainer, params | {"hidden": hidden, "start": START})


class Ours:
    """A training of this name and algorithm on the table of weeks."""

    def __init__(self, connection, algorithm, params):
        self.connection = connection
        self.model = f"{algorithm}_{params.get('batch_size', '')}"
        self.algorithm, self.params = algorithm, json.dumps(params | SHARES)
        self.peak = 0

    def train(self):
        """Seconds."""
        call = f"CALL reco.train('{self.model}', '{TABLE}', 'purchased', '{self.algorithm}', '{self.params}')"
        with trainer_process.watched(self.connection) as watch:
            took = seconds(self.connection, call)
        self.peak = watch.peak
        return took

    def losses(self):
        query = "SELECT train_loss FROM reco.run_metrics WHERE run_id = %s ORDER BY epoch"
        return [loss for (loss,) in self.connection.execute(query, [self.newest("run_id")])]

    def auroc(self):
        return self.newest("test_auroc")

    def newest(self, what):
        """Of the newest version."""
        query = f"SELECT {what} FROM reco.versions WHERE model = %s ORDER BY version DESC LIMIT 1"
        return self.connection.execute(query, [self.model]).fetchone()[0]


class Peer:
    """A module of peers/ that trains in a process of its own."""

    def __init__(self, module, params, environment=(), name=None):
        self.module, self.params, self.environment = module, params | OF_PEERS, environment
        self.name = name or module.NAME
        self.result = None

    def train(self):
        """Seconds."""
        self.result = separate.run(self.module, self.params, self.environment)
        return self.result["seconds"]


def beside(what, times, side, peer, at_most):
    ours, theirs = times["ours"], times[side]
    return figure(what, f"{ours:.2f} s", f"{theirs:.2f} s, {peer.name}", ours / theirs, at_most=at_most)


def losses_apart(what, ours, peer):
    theirs = peer.result["losses"]
    if len(ours) != len(theirs):
        raise SystemExit(f"error: {len(ours)} epochs beside {len(theirs)} of the peer")
    apart = max(abs(one / other - 1) for one, other in zip(ours, theirs))
    last = f"{theirs[-1]:.4f} in the last epoch, {peer.name}"
    return figure(f"{what}, losses apart", f"{ours[-1]:.4f} in the last epoch", last, 100 * apart, "%", at_most=1)


def aurocs(what, ours, peer, value):
    theirs = f"{peer.result['auroc']:.4f}, {peer.name}"
    return figure(f"test AUROC, {what}", f"{ours.auroc():.4f}", theirs, value, "", at_most=0.002)


def memory(what, ours, peer):
    own, theirs = ours.peak / 2**20, peer.result["peak"] / 2**20
    return figure(f"{what}, memory", f"{own:,.0f} MB", f"{theirs:,.0f} MB, {peer.name}", own / theirs, at_most=0.5)
