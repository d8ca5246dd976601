"""Models read from reco.artifact (of numbers only), and written for reco.import_model. Standard library and numpy: the
reading also runs inside PL/Python."""

import json
import math
import struct

import numpy


def tensors(body):
    """The arrays of a safetensors file by name, and its metadata."""
    (length,) = struct.unpack_from("<Q", body)
    header = json.loads(body[8 : 8 + length])
    metadata = header.pop("__metadata__")

    def tensor(place):
        start, end = place["data_offsets"]
        return numpy.frombuffer(body[8 + length + start : 8 + length + end], "<f4").reshape(place["shape"])

    return {name: tensor(place) for name, place in header.items()}, metadata


class Network:
    """Scaling and calibration folded into the weights, as the extension does: the peers too are at their best."""

    def __init__(self, body):
        weights, metadata = tensors(body)
        recipe = json.loads(metadata["recipe"])
        calibration = json.loads(metadata["output"])["platt"]
        scalings = [scaling for column in recipe["columns"] for scaling in column["input"]["numbers"]]
        if any(scaling["indicator"] or "transform" in scaling for scaling in scalings):
            raise ValueError("the benchmark's numbers are neither missing nor transformed")
        mean = numpy.array([scaling["mean"] for scaling in scalings])
        scale = numpy.array([scaling["scale"] for scaling in scalings])

        def tensor(name):
            return weights[f"network.0.{name}"].astype(numpy.float64)

        weight = tensor("layer.0.weight") / scale
        self.weight = weight.astype(numpy.float32)
        self.bias = (tensor("layer.0.bias") - weight @ mean).astype(numpy.float32)
        self.last_weight = (tensor("layer.1.weight")[0] * calibration["slope"]).astype(numpy.float32)
        self.last_bias = float(tensor("layer.1.bias")[0] * calibration["slope"] + calibration["offset"])
        self.columns = [column["name"] for column in recipe["columns"]]

    def score(self, values):
        """The probability of one row."""
        hidden = self.weight @ numpy.array(values, numpy.float32)
        hidden += self.bias
        numpy.maximum(hidden, 0, hidden)
        return 1 / (1 + math.exp(-(float(self.last_weight @ hidden) + self.last_bias)))


def number(name, mean, scale):
    """A column of a recipe."""
    scaling = {"mean": mean, "scale": scale, "indicator": False}
    return {"name": name, "sql_type": "real", "family": "number", "input": {"numbers": [scaling]}}


def category(name, vocabulary, dimension):
    """A column of a recipe."""
    values = {"vocabulary": vocabulary, "dimension": dimension}
    return {"name": name, "sql_type": "text", "family": "text", "input": {"category": values}}


def weights(random, *shape):
    return (random.standard_normal(shape, numpy.float32) / math.sqrt(shape[-1])).astype("<f4")


def network(columns, embeddings, sizes, random):
    """A safetensors file of one network with random weights, its layers of these sizes from the inputs on."""
    arrays = dict(embeddings)
    for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        arrays[f"network.0.layer.{layer}.weight"] = weights(random, outputs, inputs)
        arrays[f"network.0.layer.{layer}.bias"] = numpy.zeros(outputs, "<f4")
    texts = {
        "recipe": {"columns": columns},
        "layout": {"networks": {"members": 1, "crosses": 0, "layers": len(sizes) - 1}},
        "output": {"platt": {"slope": 1.0, "offset": 0.0}},
    }
    metadata = {"format": "pg_recommend", "format_version": "1", "algorithm": "mlp"}
    header, end = {"__metadata__": metadata | {key: json.dumps(value) for key, value in texts.items()}}, 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [start, end]}
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + b"".join(array.tobytes() for array in arrays.values())
