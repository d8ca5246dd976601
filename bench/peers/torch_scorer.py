"""The network in PyTorch, all rows in one batch, one thread."""

import torch

NAME = f"PyTorch {torch.__version__.split('+')[0]}"


def scorer(network):
    torch.set_num_threads(1)
    weight, bias = torch.from_numpy(network.weight.T.copy()), torch.from_numpy(network.bias)
    last_weight = torch.from_numpy(network.last_weight)

    @torch.inference_mode()
    def score(inputs):
        hidden = torch.addmm(bias, torch.from_numpy(inputs), weight).relu_()
        return torch.mv(hidden, last_weight).add_(network.last_bias).sigmoid_().numpy()

    return score
