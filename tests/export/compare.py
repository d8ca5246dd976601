"""Every version that tests/export/trainings.sql trains, exported as ONNX and run by ONNX Runtime: its scores are those of
reco.predict, row by row, and its quantiles those of reco.predict_quantiles.

Called by scripts/test-export."""

import contextlib
import json
import math
import os
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
import psycopg

# Of a probability; of a quantity in units of its spread, or of its size where that is larger.
NEAR = 1e-5
# Of a quantity beyond a thousand spreads: cross layers multiply numbers that no training saw, and the floats' rounding with them.
ABSURD, NEAR_ABSURD = 1e3, 1e-4
REFUSED = {"popularity"}
# What a column's values are read as, by the family that the file names.
VALUES = {
    "number": "{}::float8",
    "boolean": "{}::int::float8",
    "date": "CASE WHEN isfinite({0}) THEN ({0} - date '2000-01-01')::float8 END",
    "timestamp": "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) - 946684800)::float8 END",
    "text": "{}::text",
    "number_array": "{}::float8[]",
}


def connect():
    host, port, database = (os.environ[name] for name in ("PGHOST", "PGPORT", "PGDATABASE"))
    return psycopg.connect(host=host, port=port, dbname=database, user="postgres", autocommit=True)


def number(value):
    return math.nan if value is None else value


def tensor(column, values, width, null_text):
    """The values of a column as the graph's input takes them."""
    if column["family"] == "text":
        return numpy.array([[null_text if value is None else value] for value in values], dtype=object)
    if column["family"] == "number_array":
        lists = [[number(element) for element in value or [None] * width] for value in values]
        return numpy.array(lists, dtype=numpy.float64).reshape(len(values), width)
    return numpy.array([[number(value)] for value in values], dtype=numpy.float64)


def exported(connection, model):
    """The session, and the inputs of the probes."""
    file = connection.execute("SELECT reco.export_model(%s, NULL, 'onnx')", [model]).fetchone()[0]
    onnx.checker.check_model(onnx.load_from_string(file), full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    columns = json.loads(said["columns"])
    wanted = [VALUES[column["family"]].format('"{}"'.format(column["name"])) for column in columns]
    rows = connection.execute(f"SELECT {', '.join(wanted)} FROM probes ORDER BY product_id").fetchall()
    widths = {taken.name: taken.shape[1] for taken in session.get_inputs()}
    by_column = zip(columns, zip(*rows, strict=True), strict=True)
    inputs = {c["name"]: tensor(c, values, widths[c["name"]], said["null_text"]) for c, values in by_column}
    assert set(inputs) == set(widths), f"{model}: its inputs are {set(widths)}"
    return session, said, inputs


def worst(found, expected, scale, what):
    """The largest difference, and an error where one is too large or only one of the two is no number."""
    found, expected = numpy.asarray(found), numpy.asarray(expected, dtype=numpy.float64)
    assert found.shape == expected.shape and found.dtype == numpy.float64, f"{what}: {found.dtype} of shape {found.shape}"
    assert numpy.isfinite(found).all(), f"{what}: {found}"
    far = numpy.abs(found - expected) / numpy.maximum(scale, numpy.abs(expected))
    is_absurd = numpy.abs(expected) > ABSURD * scale
    row = numpy.unravel_index((far / numpy.where(is_absurd, NEAR_ABSURD, NEAR)).argmax(), far.shape)
    assert far[row] <= (NEAR_ABSURD if is_absurd[row] else NEAR), f"{what}: row {row} is {found[row]}, not {expected[row]}"
    return far[~is_absurd].max()


def compare(connection, model):
    session, said, inputs = exported(connection, model)
    outputs = dict(zip([given.name for given in session.get_outputs()], session.run(None, inputs), strict=True))
    predicted = "SELECT reco.predict(%s, p) FROM probes AS p ORDER BY product_id"
    expected = [row[0] for row in connection.execute(predicted, [model])]
    scale = 1.0
    if said["task"] == "regression":
        scale = connection.execute("SELECT stddev(sold) FROM deals").fetchone()[0]
        quantiles = "SELECT reco.predict_quantiles(%s, p) FROM probes AS p ORDER BY product_id"
        lists = [row[0] for row in connection.execute(quantiles, [model])]
        worst(outputs["quantiles"], lists, scale, f"{model}: quantiles")
    far = worst(outputs["score"], expected, scale, f"{model}: score")
    # A row alone is what it is among others.
    alone = session.run(["score"], {name: values[-1:] for name, values in inputs.items()})[0]
    worst(alone, expected[-1:], scale, f"{model}: one row")
    distinct = len(set(numpy.round(outputs["score"], 9)))
    assert distinct > 20, f"{model}: only {distinct} scores differ"
    print(f"{model} ({said['algorithm']}): {len(expected)} rows, largest difference {far:.1e}")
    return said["algorithm"], said["task"]


def refused(connection, model):
    try:
        exported(connection, model)
    except psycopg.errors.FeatureNotSupported as error:
        assert "hashes" in str(error), error
    else:
        raise AssertionError(f"{model} was exported")


def as_documented(connection):
    """The Python of the documentation, on a version that has one of its columns."""
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    code = page.split("## Run a model where there is no PostgreSQL")[1].split("```python\n")[1].split("```")[0]
    file = connection.execute("SELECT reco.export_model('texts_mlp', NULL, 'onnx')").fetchone()[0]
    names = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("launch.onnx").write_bytes(file)
        exec(compile(code, "docs/models.md", "exec"), names)  # noqa: S102
    row = "SELECT reco.predict('texts_mlp', r) FROM (SELECT %s::text AS brand, NULL::text AS code) AS r"
    expected = [connection.execute(row, [given["brand"]]).fetchone()[0] for given in names["rows"]]
    worst(names["scores"], expected, 1.0, "docs/models.md")


def main():
    print(f"ONNX Runtime {onnxruntime.__version__}")
    with connect() as connection:
        models = [row[0] for row in connection.execute("SELECT model FROM reco.models ORDER BY model")]
        kinds = {compare(connection, model) for model in models if model not in REFUSED}
        for model in REFUSED:
            refused(connection, model)
        as_documented(connection)
    algorithms = ("logistic", "mlp", "deep_cross", "boosted_trees", "blend")
    missing = {(a, t) for a in algorithms for t in ("binary", "regression")} - kinds
    assert not missing, f"no version of {missing} was compared"


main()
