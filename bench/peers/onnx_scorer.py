"""The network in ONNX Runtime, all rows in one batch, one thread."""

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

NAME = f"ONNX Runtime {onnxruntime.__version__}"


def scorer(network):
    session = one_thread(graph(network))
    return lambda inputs: session.run(None, {"inputs": inputs})[0][:, 0]


def one_thread(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # CatBoost's graphs do not say the shape of their output
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def graph(network):
    weights = {
        "weight": network.weight,
        "bias": network.bias,
        "last_weight": network.last_weight[numpy.newaxis],
        "last_bias": numpy.array([network.last_bias], numpy.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["inputs", "weight", "bias"], ["sums"], transB=1),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "last_weight", "last_bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    body = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["rows", network.weight.shape[1]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()
