"""The service that `recommend` takes the place of: Flask under gunicorn, which looks the newest row of a product in a region
up in the same table, scores it with PyTorch and answers in JSON.

Everything that a request need not do is done before: the weights are folded, the statement is prepared, each thread keeps its
connection, PyTorch does not differentiate and uses one thread."""

import threading

import flask
import psycopg
import torch

from data import NAMES
from peers.artifact import Network

QUERY = (
    f"SELECT {', '.join(NAMES)} FROM launch_features WHERE product_id = %s AND region = %s ORDER BY week DESC LIMIT 1"
)


def scorer():
    with psycopg.connect() as connection:
        query = "SELECT string_agg(body, '' ORDER BY position) FROM reco.artifact_chunk JOIN reco.version USING (artifact_id) WHERE model = 'launch'"
        network = Network(connection.execute(query).fetchone()[0])
    torch.set_num_threads(1)
    weight, bias = torch.from_numpy(network.weight), torch.from_numpy(network.bias)
    last_weight = torch.from_numpy(network.last_weight)

    @torch.inference_mode()
    def score(values):
        hidden = torch.addmv(bias, weight, torch.tensor(values)).relu_()
        return torch.dot(hidden, last_weight).add_(network.last_bias).sigmoid_().item()

    return score


app = flask.Flask(__name__)
score = scorer()
of_thread = threading.local()


def cursor():
    """Binary results, which spare both sides the digits."""
    if not hasattr(of_thread, "cursor"):
        connection = psycopg.connect(autocommit=True, prepare_threshold=0)
        of_thread.cursor = connection.cursor(binary=True)
    return of_thread.cursor


@app.get("/recommend/<int:product_id>/<region>")
def recommend(product_id, region):
    row = cursor().execute(QUERY, (product_id, region)).fetchone()
    return flask.jsonify(score=score(row) if row else None)
