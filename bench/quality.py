"""How well new products are ranked, beside tuned LightGBM and PyTorch, on a year of real sales."""

import json
import os

import sales
from measure import figure
from peers import lightgbm_tables, separate, torch_tables

TITLE = "Quality"
NOTE = """New products × regions × weeks of Complete Journey with the features that demo/features.sql makes, the same
columns for all: is the product bought in the region in the week after? Training rows are the weeks to 2 October 2017,
validation the three from 9 October, test the eight from 30 October. Every choice is made on the validation weeks: of
ours the algorithm, of the peers settings and when to stop, each by its loss there. LightGBM chooses among few leaves,
large leaves and smoothing; PyTorch, a network with embeddings, among one or two hidden layers, with logarithms or
without. The figures are of the test weeks, *measured* is ours less theirs. Popularity is the smoothed rate of a product's
purchases in the weeks before."""

TABLE = f"{sales.SCHEMA}.launch_features"
LABEL = "purchased"
EXCLUDE = ["season_sin", "season_cos"]  # one year cannot tell the season from the date
SHARES = {"validation_share": 0.07, "test_share": 0.18}  # 3 and 8 of 44 weeks

# Chosen on the validation weeks.
NETWORKS = {"hidden": [256, 128], "dropout": 0.3, "batch_norm": True, "batch_size": 4096, "schedule": "one_cycle", "epochs": 4, "members": 3}
TREES = {"trees": 400, "leaves": 63, "min_leaf_rows": 2000, "column_share": 0.35}
ALGORITHMS = {
    "logistic": {"batch_size": 4096, "schedule": "one_cycle", "epochs": 4},
    "auto": NETWORKS | TREES,
}
PEERS = [lightgbm_tables, torch_tables]
OF_PEERS = {
    "table": TABLE,
    "keys": ["product_id"],
    "time": "week",
    "label": LABEL,
    "exclude": EXCLUDE,
    "threads": os.cpu_count(),
    "seed": 1,
}


def run(scale):
    with sales.connect_to_sales() as connection:
        sales.create(connection, scale.sales)
        sales.psql("-f", sales.REPOSITORY / "demo/features.sql")
        versions = [train(connection, algorithm, params) for algorithm, params in ALGORITHMS.items()]
    best = min(versions, key=lambda version: version["validation"]["log_loss"])
    params = OF_PEERS | best["weeks"]
    peers = [separate.run(peer, params) | {"name": peer.NAME} for peer in PEERS]
    figures = [beside(best, peer, measure) for peer in peers for measure in ("auroc", "average_precision")]
    return [*figures, *(beside_popularity(version) for version in versions)]


def train(connection, algorithm, params):
    """What the version says of itself."""
    params = json.dumps(params | SHARES | {"exclude": EXCLUDE, "include": ["region"]})
    model = f"launch_{algorithm}"
    connection.execute(f"CALL reco.train('{model}', '{TABLE}', '{LABEL}', '{algorithm}', params => '{params}')")
    query = "SELECT algorithm, metrics, data FROM reco.versions WHERE model = %s ORDER BY version DESC LIMIT 1"
    algorithm, metrics, data = connection.execute(query, [model]).fetchone()
    weeks = {at: data[at] for at in ("validation_from", "test_from")}
    parts = {part: metrics[part]["model"] for part in ("validation", "test")}
    return {"algorithm": algorithm, "weeks": weeks, "popularity": metrics["test"]["popularity"], **parts}


NAMES = {"auroc": "AUROC", "average_precision": "average precision"}


def beside(best, peer, measure):
    ours, theirs = best["test"][measure], peer[measure]
    return figure(
        NAMES[measure],
        f"{ours:.4f}, {best['algorithm']}",
        f"{theirs:.4f}, {peer['name']}: {peer['chosen']}",
        ours - theirs,
        "",
        at_least=0,
    )


def beside_popularity(version):
    ours, theirs = version["test"]["auroc"], version["popularity"]["auroc"]
    return figure(f"AUROC, {version['algorithm']}", f"{ours:.4f}", f"{theirs:.4f}, popularity", ours - theirs, "")
