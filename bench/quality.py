"""How well new products are ranked, beside tuned LightGBM and PyTorch, on a year of real sales."""

import json
import os

import sales
from measure import figure, seconds
from peers import lightgbm_tables, separate, torch_tables

TITLE = "Quality"
NOTE = """New products × regions × weeks of Complete Journey with the features that demo/features.sql makes, those of what is planned
on display and in the mailer among them, the same columns for all: is the product bought in the region in the week after? Training rows are the weeks to 2 October 2017,
validation the three from 9 October, test the eight from 30 October. Ours is `algorithm => 'auto'` with no parameter but the shares of
weeks. Every choice is made on the validation weeks: of ours the algorithm, of the peers settings and when to stop, each by its loss
there. LightGBM chooses among few leaves, large leaves and smoothing; PyTorch, a network with embeddings, among one or two hidden
layers, with logarithms or without. The figures are of the test weeks, *measured* is ours less theirs. Popularity is the smoothed rate of a product's
purchases in the weeks before. The seconds of ours are those of the whole call, the refit and the importance of columns too; of the
peers those of both, choices included."""

TABLE = f"{sales.SCHEMA}.launch_features"
MODEL = "new_products"
EXCLUDE = ["season_sin", "season_cos"]  # one year cannot tell the season from the date
SHARES = {"validation_share": 0.07, "test_share": 0.18}  # 3 and 8 of 44 weeks

PEERS = [lightgbm_tables, torch_tables]
OF_PEERS = {
    "table": TABLE,
    "keys": ["product_id"],
    "time": "week",
    "label": "purchased",
    "exclude": EXCLUDE,
    "threads": os.cpu_count(),
    "seed": 1,
}


def run(scale):
    with sales.connect_to_sales() as connection:
        sales.create(connection, scale.sales)
        sales.add_plans(connection)
        sales.psql("-f", sales.REPOSITORY / "demo/features.sql")
        ours = train(connection)
    params = OF_PEERS | ours["weeks"]
    peers = [separate.run(peer, params) | {"name": peer.NAME} for peer in PEERS]
    figures = [beside(ours, peer, measure) for peer in peers for measure in ("auroc", "average_precision")]
    theirs = ours["popularity"]["auroc"]
    return [*figures, of_time(ours, peers), *(beside_popularity(each, theirs) for each in ours["candidates"])]


def train(connection):
    """What the version says of itself, and how long the call took."""
    params = json.dumps(SHARES)
    call = f"CALL reco.train('{MODEL}', '{TABLE}', algorithm => 'auto', params => '{params}')"
    took = seconds(connection, call)
    query = "SELECT algorithm, metrics, data FROM reco.versions WHERE model = %s ORDER BY version DESC LIMIT 1"
    algorithm, metrics, data = connection.execute(query, [MODEL]).fetchone()
    weeks = {at: data[at] for at in ("validation_from", "test_from")}
    columns = "algorithm, auroc, average_precision, test_auroc, test_average_precision, seconds"
    query = f"SELECT {columns} FROM reco.leaderboard(%s) WHERE error IS NULL"
    candidates = connection.execute(query, [MODEL]).fetchall()
    return {
        "algorithm": algorithm,
        "candidates": candidates,
        "weeks": weeks,
        "test": metrics["test"]["model"],
        "popularity": metrics["test"]["popularity"],
        "seconds": took,
    }


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


def of_time(ours, peers):
    theirs = sum(peer["seconds"] for peer in peers)
    return figure("the whole call", f"{ours['seconds']:.0f} s", f"{theirs:.0f} s, both peers", ours["seconds"] / theirs, at_most=1)


def beside_popularity(candidate, theirs):
    """What each algorithm that `auto` has tried ranks the test weeks by."""
    name, auroc, precision, test_auroc, test_precision, took = candidate
    ours = f"{test_auroc:.4f} and {test_precision:.4f}, on validation {auroc:.4f} and {precision:.4f}, in {took:.0f} s"
    return figure(f"AUROC and precision, {name}", ours, f"{theirs:.4f}, popularity", test_auroc - theirs, "")
