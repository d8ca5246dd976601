"""A graph in ONNX Runtime inside PL/Python, a row at a time; the session is made once a connection."""

import sysconfig

from data import NAMES
from peers import plpython

LOAD = """
import sys
sys.path.insert(0, {packages!r})
import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3  # CatBoost's graphs do not say the shape of their output
row = plpy.execute("SELECT body FROM graph WHERE model = '{model}'")[0]
session = onnxruntime.InferenceSession(row["body"], options, providers=["CPUExecutionProvider"])
(name,) = (value.name for value in session.get_inputs())

def score(values):
    return float(session.run(None, {{name: numpy.array([values], numpy.float32)}})[0][0][0])

GD["{model}"] = score
"""

SCORE = """
if "{model}" not in GD:
    plpy.execute("SELECT {model}_load()")
return GD["{model}"]({values})
"""
ROW = f"[x[name] for name in {NAMES!r}]"


def create(connection, model, graph):
    """The functions MODEL_predict of rows and of arrays, for a graph of one input and one output. PL/Python runs
    the machine's own Python, and the packages here have to be made for its version."""
    connection.execute("CREATE TABLE IF NOT EXISTS graph (model text PRIMARY KEY, body bytea)")
    connection.execute("INSERT INTO graph VALUES (%s, %s)", [model, graph])
    load = LOAD.format(packages=sysconfig.get_path("purelib"), model=model)
    plpython.function(connection, f"{model}_load()", "void", load)
    for kind, values in ("wide_row", ROW), ("real[]", "x"):
        body = SCORE.format(model=model, values=values)
        plpython.function(connection, f"{model}_predict(x {kind})", "double precision", body)
