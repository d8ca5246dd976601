"""recommend by key beside a primary-key SELECT of the same row, and many keys in one statement."""

import os
import re
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from data import NAMES, REGIONS, newest_week, warm
from measure import connect, figure, medians, seconds
from standby import standby

TITLE = "recommend(product_id, region)"
NOTE = """pgbench with prepared statements over the socket; product and region are drawn at random in both scripts.
The peers are SELECTs by the whole primary key of the row that `recommend` reads: of its 30 columns, and of the last of them
alone. The three take turns; the standby streams from the primary, and nothing is written meanwhile."""

VARIABLES = """\\set product random(1, {products})
\\set region random(1, {regions})
"""
RECOMMEND = "SELECT reco.recommend(:product::bigint, :region::text);\n"
SELECT = (
    "SELECT {columns} FROM launch_features\n"
    f"WHERE product_id = :product::bigint AND region = :region::text AND week = date '{newest_week()}';\n"
)
STATEMENTS = {
    "ours": RECOMMEND,
    "row": SELECT.format(columns=", ".join(NAMES)),
    "column": SELECT.format(columns=NAMES[-1]),
}
PEERS = [("row", "the row", 1), ("column", "one column", 0.9)]
RELATIONS = ["launch_features", "launch_features_pkey"]


def run(scale):
    with connect() as connection:
        warm(connection, *RELATIONS)
    with tempfile.TemporaryDirectory() as folder:
        variables = VARIABLES.format(products=scale.products, regions=REGIONS)
        scripts = {}
        for name, statement in STATEMENTS.items():
            scripts[name] = Path(folder, f"{name}.sql")
            scripts[name].write_text(variables + statement)
        figures = beside_selects(scale, scripts, "by key", os.environ["PGPORT"])
        with standby() as port:
            with connect(port=port) as connection:
                connection.execute("SELECT " + ", ".join(f"pg_prewarm('{name}')" for name in RELATIONS))
            figures += beside_selects(scale, scripts, "by key, standby", port)
    figures.append(many_keys(scale, "as their products come", "product_id, region"))
    figures.append(many_keys(scale, "in random order", "random()"))
    return figures


def beside_selects(scale, scripts, what, port):
    figures = []
    for clients in (1, 8):
        seconds = scale.pgbench_seconds / 2
        sides = {name: partial(pgbench, script, clients, seconds, port) for name, script in scripts.items()}
        rates = medians(scale.repetitions, **sides)
        figures += [
            figure(
                f"{what}, {clients} client{'s' if clients > 1 else ''}",
                f"{rates['ours']:,.0f}/s",
                f"{rates[peer]:,.0f}/s, primary-key SELECT of {selected}",
                rates["ours"] / rates[peer],
                at_least=bound,
            )
            for peer, selected, bound in PEERS
        ]
    return figures


def pgbench(script, clients, duration, port=None):
    """Transactions a second; on the primary unless another port is given."""
    threads = min(clients, os.cpu_count())
    command = ["pgbench", "-n", "-M", "prepared", "-c", clients, "-j", threads, "-T", round(duration), "-f", script]
    command += [] if port is None else ["-p", port]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"tps = ([0-9.]+)", output)[1])


def many_keys(scale, what, order):
    """The keys of a table that is read in the order given."""
    connection = connect()
    connection.execute("SELECT setseed(0.5)")
    connection.execute("DROP TABLE IF EXISTS pairs")
    connection.execute(
        "CREATE TABLE pairs AS SELECT product_id, region FROM launch_features "
        f"WHERE week = '{newest_week()}' ORDER BY {order}"
    )
    connection.execute("VACUUM (FREEZE, ANALYZE) pairs")
    (pairs,) = connection.execute("SELECT count(*) FROM pairs").fetchone()
    times = medians(
        scale.repetitions,
        ours=lambda: seconds(connection, "SELECT sum(reco.recommend(product_id, region)) FROM pairs"),
        peer=lambda: seconds(connection, lookups()),
    )
    ours, peer = pairs / times["ours"], pairs / times["peer"]
    return figure(
        f"{pairs:,} keys in one statement, {what}",
        f"{ours:,.0f} keys/s",
        f"{peer:,.0f} keys/s, index lookups in a lateral join ({ours / peer:.2f}×)",
        ours,
        unit="keys/s",
        at_least=400_000,
    )


def lookups():
    """The newest row of each key by a query, and one of its columns."""
    return (
        "SELECT sum(f.c30) FROM pairs p CROSS JOIN LATERAL (SELECT f.c30 FROM launch_features f "
        "WHERE f.product_id = p.product_id AND f.region = p.region ORDER BY f.week DESC LIMIT 1) f"
    )
