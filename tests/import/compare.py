"""Imports a model of each maker and compares its scores in SQL with the maker's own, row by row."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas
import psycopg

import makers

# How far a score may be from the maker's: makers add up in floats of 32 bits.
TOLERANCE = 1e-5
ROWS = "import_rows"
LABEL = "bought"


def read(connection):
    """A table of rows whose numbers are 32-bit floats, as makers get them."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'launch_features' "
        "AND column_name NOT IN ('product_id', 'region', 'week', 'label', 'purchased') ORDER BY ordinal_position").fetchall()
    kinds = {"real": "real", "double precision": "real", "integer": "real", "bigint": "real", "smallint": "real", "text": "text"}
    kept = [(name, kinds[kind]) for name, kind in columns if kind in kinds]
    values = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in kept)
    connection.execute(f"""
        CREATE TABLE {ROWS} AS
        SELECT product_id, region, week, {values}, purchased AS {LABEL}
        FROM launch_features WHERE purchased IS NOT NULL ORDER BY week, product_id, region LIMIT 20000""")
    rows = connection.execute(f"SELECT * FROM {ROWS} ORDER BY week, product_id, region")
    frame = pandas.DataFrame(rows.fetchall(), columns=[column.name for column in rows.description])
    numbers = [name for name, kind in kept if kind == "real"]
    texts = [name for name, kind in kept if kind == "text"]
    frame[numbers] = frame[numbers].astype("float32")
    return frame, numbers, texts, frame[LABEL].to_numpy(bool)


def area(scores, label):
    """The area under the ROC curve, ties counted half."""
    ranks = pandas.Series(scores).rank().to_numpy()
    positives = label.sum()
    return (ranks[label].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives))


def scores(connection, model, made):
    """The scores of all rows. Makers that take no missing numbers got zeros."""
    filled = ROWS
    if made.name in ("keras", "pytorch"):
        columns = ", ".join(f'coalesce("{name}", 0) AS "{name}"' for name in made.columns)
        filled = f"(SELECT week, product_id, region, {columns} FROM {ROWS})"
    query = f"SELECT reco.predict(%s, r) FROM {filled} AS r ORDER BY week, product_id, region"
    return np.array([score for (score,) in connection.execute(query, [model])], float)


def check(connection, made, label):
    """Every use of a version, on one that was imported."""
    columns = made.columns and list(made.columns)
    connection.execute(
        "SELECT reco.import_onnx(%s, %s, source => %s, label => %s, columns => %s::name[], promote => true)",
        [made.name, made.onnx, ROWS, LABEL, columns])
    ours = scores(connection, made.name, made)
    difference = np.abs(ours - made.scores).max()
    areas = area(ours, label), area(made.scores, label)
    print(f"{made.name}: largest difference {difference:.1e}, AUROC {areas[0]:.6f}, the maker's {areas[1]:.6f}", flush=True)
    assert difference <= TOLERANCE, made.name
    assert abs(areas[0] - areas[1]) < 1e-4, made.name
    copy = made.name + "_copy"
    connection.execute("SELECT reco.import_model(%s, reco.export_model(%s), source => %s)", [copy, made.name, ROWS])
    assert np.array_equal(scores(connection, copy, made), ours), "out and in again"
    key = connection.execute(f"SELECT product_id, region FROM {ROWS} LIMIT 1").fetchone()
    recommended, = connection.execute("SELECT reco.recommend(%s, %s, %s)", [*key, made.name]).fetchone()
    assert 0 <= recommended <= 1
    explained = connection.execute(
        "SELECT max(baseline_score) + sum(contribution), max(score) FROM reco.explain(%s, %s, %s)", [*key, made.name]).fetchone()
    assert abs(explained[0] - explained[1]) < 1e-6
    evaluated, = connection.execute(
        "SELECT auroc FROM reco.evaluate(%s, %s, label => %s)", [made.name, ROWS, LABEL]).fetchone()
    assert 0 < evaluated <= 1
    page, = connection.execute("SELECT reco.report(%s)", [made.name]).fetchone()
    assert made.name in page


def main():
    wanted = sys.argv[1:]
    with psycopg.connect(autocommit=True) as connection:
        rows, numbers, texts, label = read(connection)
        for maker in makers.ALL:
            if not wanted or maker.__name__ in wanted:
                check(connection, in_its_own_process(maker, rows, numbers, texts, label.astype(int)), label)
    print("every model scores as its maker does")


def in_its_own_process(maker, *arguments):
    """TensorFlow and PyTorch crash in one process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(maker, *arguments).result()


if __name__ == "__main__":
    main()
