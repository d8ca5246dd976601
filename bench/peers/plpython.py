"""The same network as a PL/Python function with numpy, a row at a time; weights are read once a session."""

from pathlib import Path

LOAD = """
row = plpy.execute("SELECT string_agg(body, '' ORDER BY position) AS body FROM reco.artifact_chunk JOIN reco.version USING (artifact_id) WHERE model = 'wide'")[0]
GD["network"] = Network(row["body"])
"""

ARRAY = """
if "network" not in GD:
    plpy.execute("SELECT plpython_load()")
return GD["network"].score(x)
"""

ROW = """
if "network" not in GD:
    plpy.execute("SELECT plpython_load()")
network = GD["network"]
return network.score([x[name] for name in network.columns])
"""


def create(connection):
    connection.execute("CREATE EXTENSION plpython3u")
    source = Path(__file__).with_name("artifact.py").read_text()
    function(connection, "plpython_load()", "void", source + LOAD)
    function(connection, "plpython_predict(x real[])", "double precision", ARRAY)
    for row_type in "wide", "wide_row":
        function(connection, f"plpython_predict(x {row_type})", "double precision", ROW)


def function(connection, signature, result, body):
    connection.execute(
        f"CREATE FUNCTION {signature} RETURNS {result} LANGUAGE plpython3u STABLE PARALLEL SAFE AS $body${body}$body$"
    )
