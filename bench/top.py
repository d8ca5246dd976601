"""top_products over many candidates beside ORDER BY predict(model, row) DESC LIMIT k over the same rows."""

from data import NAMES, warm
from measure import connect, figure, medians, seconds

TITLE = "top_products(region, k)"
NOTE = """One statement on one core, the table in shared buffers: one row of 30 columns for each product of one region. Both
return the same ten products."""

OURS = "SELECT product_id::bigint FROM reco.top_products('1', 10, 'top')"
PEER = """SELECT product_id FROM candidates c WHERE region = '1'
ORDER BY reco.predict('top', c) DESC, product_id LIMIT 10"""


def run(scale):
    connection = connect()
    candidates = scale.rows // 10
    create(connection, candidates)
    ours, peer = (connection.execute(query).fetchall() for query in (OURS, PEER))
    if ours != peer:
        raise SystemExit(f"error: the two sides disagree: {ours} and {peer}")
    # As in the other benchmarks, on one core.
    connection.execute("SET max_parallel_workers_per_gather = 0")
    times = medians(
        scale.repetitions, ours=lambda: seconds(connection, OURS), peer=lambda: seconds(connection, PEER)
    )
    return [
        figure(
            f"the best 10 of {candidates:,} products",
            f"{times['ours'] * 1000:.1f} ms",
            f"{times['peer'] * 1000:.1f} ms, ORDER BY predict(model, row) DESC LIMIT 10",
            times["peer"] / times["ours"],
            at_least=1.5,
        )
    ]


def create(connection, count):
    """The first rows of the wide table as candidates, and the model of that table with them as its source."""
    connection.execute("DROP TABLE IF EXISTS candidates")
    connection.execute(
        f"CREATE TABLE candidates AS SELECT id AS product_id, '1'::text AS region, date '2024-01-01' AS week, "
        f"{', '.join(NAMES)} FROM wide ORDER BY id LIMIT {count}"
    )
    connection.execute("ALTER TABLE candidates ADD PRIMARY KEY (product_id, region, week)")
    connection.execute("VACUUM (FREEZE, ANALYZE) candidates")
    connection.execute("SELECT reco.import_model('top', reco.export_model('wide'), source => 'candidates')")
    warm(connection, "candidates")
