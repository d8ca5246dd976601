"""How good `auto` is without a parameter on many different tables, beside the better of tuned LightGBM and PyTorch."""

import os

import numpy

import public_tables
import sales
from measure import connect, figure, seconds
from peers import lightgbm_tables, separate, torch_tables
from peers.training_rows import auroc

TITLE = "Tables"
NOTE = """`CALL reco.train(model, table, label, 'auto')` without a parameter, on tables that packages of statistics ship and on
generated sales. Probabilities: is a flight late (327,346 rows), does a person like a film (100,004), do mothers of two have a
third child (254,654), is a caravan insured (5,822), does a customer leave (7,043), who votes for Trump (44,932). Quantities: the
price of diamonds (53,940), visits to a doctor (20,190), Americans' wages (37,887), rides from a station (5,698). The sales are
those of demo/generator.sql, of 504 and 3,150 products, with the features of demo/features.sql.

Beside it is the better of two peers, by its loss on the validation rows: LightGBM, which chooses there among seven to nine
settings of leaves, their rows and penalties, and PyTorch, a network with embeddings, among four or five of layers, dropout and
weight decay, with logarithms or without; both stop where that loss is lowest. All have the same columns and learn from the same
rows: the newest days are the test, those before them validation. Where the rows of a table have no day, they fall into twenty
groups by chance. Keys and days are no inputs, but the region of the sales is one.

The figures are of the test rows. *Measured* is ours less theirs; of RMSE and pinball it is by how much ours is smaller. Pinball
is the mean loss of the quantiles at 0.1, 0.5 and 0.9, beside LightGBM's trees for each of them with the settings found; coverage
is the share of rows between the outer two, and should be 0.8. Seconds are of the whole call, with every algorithm, the refit on
all rows and the storing, beside both peers together, which do not refit."""

# Of the sales that demo/generator.sql makes, as shares of a year of real ones.
GENERATED = {"sales_small": 0.08, "sales_large": 0.5}
GENERATED_TABLE = f"{sales.SCHEMA}.launch_features"
NEAR_TRUTH = -0.002

PEERS = [lightgbm_tables, torch_tables]


def run(scale):
    with connect() as connection:
        figures = [line for name in public_tables.TABLES for line in public(connection, name, scale.sales)]
    return figures + [line for name, share in GENERATED.items() for line in generated(name, share * scale.sales)]


def public(connection, name, share):
    label = public_tables.create(connection, name, share)
    table = f"{public_tables.SCHEMA}.{name}"
    ours, best, theirs = compare(connection, name, table, label, [public_tables.KEY], public_tables.DAY)
    measured = of_binary if "auroc" in best else of_quantity
    return [*measured(name, ours, best), beside_seconds(name, ours, theirs)]


def generated(name, share):
    with sales.connect_to_sales() as connection:
        sales.create(connection, share, generated=True)
        sales.psql("-f", sales.REPOSITORY / "demo/features.sql")
        ours, best, theirs = compare(connection, name, GENERATED_TABLE, "purchased", ["product_id"], "week")
        truth = auroc_of_truth(connection, ours["days"]["test_from"])
    return [*of_binary(name, ours, best), beside_truth(name, ours, truth), beside_seconds(name, ours, theirs)]


def compare(connection, name, table, label, keys, day):
    """What our version says of itself, the peer that is better on the validation rows, and the seconds of all peers."""
    ours = train(connection, name, table, label)
    of_all = {"table": table, "keys": keys, "time": day, "label": label, "threads": os.cpu_count(), "seed": 1}
    of_all |= ours["days"] | {"exclude": ours["left_out"]}
    peers = [separate.run(peer, of_all) | {"name": peer.NAME} for peer in PEERS]
    best = min(peers, key=lambda peer: peer["loss"])
    quantiles = {of: peer[of] for peer in peers for of in ("pinball", "coverage") if of in peer}
    return ours, quantiles | best, sum(peer["seconds"] for peer in peers)


def train(connection, name, table, label):
    took = seconds(connection, f"CALL reco.train('{name}', '{table}', '{label}', 'auto')")
    query = "SELECT algorithm, metrics, data FROM reco.versions WHERE model = %s ORDER BY version DESC LIMIT 1"
    algorithm, metrics, data = connection.execute(query, [name]).fetchone()
    days = {at: data[at] for at in ("validation_from", "test_from")}
    inputs = {column["column"] for column in metrics["importance"]}
    names = [column.name for column in connection.execute(f"SELECT * FROM {table} LIMIT 0").description]
    left_out = [name for name in names if name not in inputs]
    return {"algorithm": algorithm, "days": days, "left_out": left_out, "seconds": took, **metrics["test"]["model"]}


def of_binary(name, ours, best):
    return [
        figure(
            f"{name}, AUROC",
            f"{ours['auroc']:.4f}, {ours['algorithm']}",
            f"{best['auroc']:.4f}, {best['name']}: {best['chosen']}",
            ours["auroc"] - best["auroc"],
            "",
            at_least=0,
        ),
        beside(f"{name}, average precision", ours, best, "average_precision", at_least=0),
        beside(f"{name}, log loss", ours, best, "log_loss"),
    ]


def beside(what, ours, best, measure, **bound):
    difference = ours[measure] - best[measure]
    return figure(what, f"{ours[measure]:.4f}", f"{best[measure]:.4f}, {best['name']}", difference, "", **bound)


def of_quantity(name, ours, best):
    peer = f"{best['name']}: {best['chosen']}"
    return [
        smaller(f"{name}, RMSE", ours["rmse"], f", {ours['algorithm']}", best["rmse"], peer),
        smaller(f"{name}, pinball", ours["pinball"], "", best["pinball"], "LightGBM's quantile trees"),
        figure(
            f"{name}, coverage",
            f"{ours['coverage']:.3f}",
            f"{best['coverage']:.3f}, LightGBM's quantile trees",
            ours["coverage"] - best["coverage"],
            "",
        ),
    ]


def four_digits(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def smaller(what, ours, algorithm, theirs, peer):
    """By how much ours is smaller."""
    texts = f"{four_digits(ours)}{algorithm}", f"{four_digits(theirs)}, {peer}"
    return figure(what, *texts, 100 * (1 - ours / theirs), "%", at_least=0)


def beside_seconds(name, ours, theirs):
    return figure(f"{name}, seconds", f"{ours['seconds']:.0f} s", f"{theirs:.0f} s, both peers", ours["seconds"] / theirs)


def auroc_of_truth(connection, test_from):
    query = f"""SELECT purchased, probability FROM {GENERATED_TABLE} JOIN true_probability USING (product_id, region, week)
                WHERE week >= %s AND purchased IS NOT NULL"""
    labels, truth = zip(*connection.execute(query, [test_from]).fetchall())
    return auroc(numpy.array(truth), numpy.array(labels))


def beside_truth(name, ours, truth):
    difference = ours["auroc"] - truth
    return figure(
        f"{name}, AUROC", f"{ours['auroc']:.4f}", f"{truth:.4f}, the true probabilities", difference, "", at_least=NEAR_TRUTH
    )
