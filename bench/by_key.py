"""recommend by key beside a primary-key SELECT of the same row, and many keys in one statement."""

import os
import re
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from data import NAMES, REGIONS, newest_week, warm
from measure import connect, figure, medians, seconds

TITLE = "recommend(product_id, region)"
NOTE = """pgbench with prepared statements over the socket; product and region are drawn at random in both scripts.
The peer is a SELECT of the 30 columns of the row that `recommend` reads, by its whole primary key."""

VARIABLES = """\\set product random(1, {products})
\\set region random(1, {regions})
"""
RECOMMEND = "SELECT reco.recommend(:product::bigint, :region::text);\n"
SELECT = (
    f"SELECT {', '.join(NAMES)} FROM launch_features\n"
    f"WHERE product_id = :product::bigint AND region = :region::text AND week = date '{newest_week()}';\n"
)


def run(scale):
    with connect() as connection:
        warm(connection, "launch_features", "launch_features_pkey")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        variables = VARIABLES.format(products=scale.products, regions=REGIONS)
        scripts = {"ours": Path(folder, "recommend.sql"), "peer": Path(folder, "select.sql")}
        scripts["ours"].write_text(variables + RECOMMEND)
        scripts["peer"].write_text(variables + SELECT)
        for clients, bound in (1, None), (8, 0.95):
            figures.append(beside_select(scale, scripts, clients, bound))
    figures.append(many_keys(scale))
    return figures


def beside_select(scale, scripts, clients, bound):
    sides = {name: partial(pgbench, script, clients, scale.pgbench_seconds) for name, script in scripts.items()}
    rates = medians(scale.repetitions, **sides)
    return figure(
        f"by key, {clients} client{'s' if clients > 1 else ''}",
        f"{rates['ours']:,.0f}/s",
        f"{rates['peer']:,.0f}/s, primary-key SELECT",
        rates["ours"] / rates["peer"],
        at_least=bound,
    )


def pgbench(script, clients, duration):
    """Transactions a second."""
    threads = min(clients, os.cpu_count())
    command = ["pgbench", "-n", "-M", "prepared", "-c", clients, "-j", threads, "-T", duration, "-f", script]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"tps = ([0-9.]+)", output)[1])


def many_keys(scale):
    connection = connect()
    connection.execute("SELECT setseed(0.5)")
    connection.execute(
        "CREATE TABLE pairs AS SELECT product_id, region FROM launch_features "
        f"WHERE week = '{newest_week()}' ORDER BY random()"
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
        f"{pairs:,} keys in one statement",
        f"{ours:,.0f} keys/s",
        f"{peer:,.0f} keys/s, index lookups in a lateral join ({ours / peer:.2f}×)",
        ours,
        unit="keys/s",
        at_least=180_000,
    )


def lookups():
    """The newest row of each key by a query, and one of its columns."""
    return (
        "SELECT sum(f.c30) FROM pairs p CROSS JOIN LATERAL (SELECT f.c30 FROM launch_features f "
        "WHERE f.product_id = p.product_id AND f.region = p.region ORDER BY f.week DESC LIMIT 1) f"
    )
