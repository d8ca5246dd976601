"""The network of crates/trainer/src/network/net.rs: embeddings, then cross layers and hidden layers side by side, then the last
layer."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# How fast running statistics of batch normalization follow the batches, what it adds to a variance, and the fewest rows whose own
# statistics are taken.
MOMENTUM = 0.1
EPSILON = 1e-5
FEWEST_ROWS = 16

# The embedding rows of what was never seen and of NULL, and the share of categories that training replaces by the former.
UNSEEN = 0
NULL = 1
UNSEEN_SHARE = 0.02


class Network(nn.Module):
    """A network with the initial parameters that the trainer draws from the same seed."""

    def __init__(self, layers: dict[str, Any], dropout: float, precision: str, seed: int):
        super().__init__()
        self.dropout = dropout
        self.precision = precision
        self.null_seen = [table["null_seen"] for table in layers["embeddings"]]
        random = torch.Generator().manual_seed(seed)

        def drawn(*shape: int, bound: float) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=random))

        def normal(table: dict[str, Any]) -> nn.Parameter:
            values = torch.empty(table["rows"], table["dimension"])
            return nn.Parameter(values.normal_(0.0, table["spread"], generator=random))

        # In the order of the trainer's parameters, since all come from one stream of random numbers.
        self.embeddings = nn.ParameterList([normal(table) for table in layers["embeddings"]])
        width = layers["dense"] + sum(table["dimension"] for table in layers["embeddings"])
        rank = layers["rank"]
        self.crosses = nn.ParameterList()
        for _ in range(layers["crosses"]):
            self.crosses.append(drawn(rank, width, bound=1 / math.sqrt(width)))
            self.crosses.append(drawn(width, rank, bound=1 / math.sqrt(rank)))
            self.crosses.append(nn.Parameter(torch.zeros(width)))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.scales, self.offsets = nn.ParameterList(), nn.ParameterList()
        inputs = width
        for n, hidden in enumerate(layers["hidden"]):
            self.weights.append(drawn(hidden, inputs, bound=1 / math.sqrt(inputs)))
            self.biases.append(drawn(hidden, bound=1 / math.sqrt(inputs)))
            if layers["batch_norm"]:
                self.scales.append(nn.Parameter(torch.ones(hidden)))
                self.offsets.append(nn.Parameter(torch.zeros(hidden)))
                self.register_buffer(f"mean_{n}", torch.zeros(hidden))
                self.register_buffer(f"variance_{n}", torch.ones(hidden))
            inputs = hidden
        if layers["crosses"]:
            inputs = width + inputs if layers["hidden"] else width
        self.last_weight = drawn(layers["outputs"], inputs, bound=1 / math.sqrt(inputs))
        self.last_bias = drawn(layers["outputs"], bound=1 / math.sqrt(inputs))

    def forward(self, dense: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        """The outputs of each row, shape (rows, outputs)."""
        if self.training and len(categories):
            forgotten = torch.rand(categories.shape, device=categories.device) < UNSEEN_SHARE
            categories = categories.masked_fill(forgotten, UNSEEN)
        embedded = [functional.embedding(ids, table) for ids, table in zip(categories, self.embeddings, strict=True)]
        read = torch.cat([dense, *embedded], 1)
        parts = []
        if self.crosses:
            parts.append(self._crossed(read))
        if self.weights or not self.crosses:
            parts.append(self._deep(read))
        return self._linear(torch.cat(parts, 1), self.last_weight, self.last_bias)

    def _crossed(self, read: torch.Tensor) -> torch.Tensor:
        x = read
        layers = list(self.crosses)
        for down, up, bias in zip(layers[::3], layers[1::3], layers[2::3], strict=True):
            x = x + read * self._linear(self._linear(x, down, None), up, bias)
        return x

    def _deep(self, x: torch.Tensor) -> torch.Tensor:
        batch = self.training and len(x) >= FEWEST_ROWS
        for n, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = self._linear(x, weight, bias)
            if self.scales:
                mean, variance = self._statistics(n)
                x = functional.batch_norm(x, mean, variance, self.scales[n], self.offsets[n], batch, MOMENTUM, EPSILON)
            x = functional.dropout(functional.relu(x), self.dropout, self.training)
        return x

    def _linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if self.precision != "bf16" or not self.training:
            return functional.linear(x, weight, bias)
        short = bias.bfloat16() if bias is not None else None
        return functional.linear(x.bfloat16(), weight.bfloat16(), short).float()

    def _statistics(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.get_buffer(f"mean_{n}"), self.get_buffer(f"variance_{n}")

    @torch.no_grad()
    def shrink(self, amount: float) -> None:
        """Draws the last layer's weights towards 0, those nearer than `amount` to 0 itself."""
        self.last_weight.copy_(functional.softshrink(self.last_weight, amount))

    @torch.no_grad()
    def finish(self, shift: float) -> None:
        """Adds to the bias of every output, and gives NULL the embedding of an unseen value where training never saw NULL."""
        self.last_bias.add_(shift)
        for table, seen in zip(self.embeddings, self.null_seen, strict=True):
            if not seen:
                table[NULL] = table[UNSEEN]

    @torch.no_grad()
    def tensors(self, member: int) -> dict[str, torch.Tensor]:
        """The weights as the artifact keeps them: normalization is folded into its layer, in double precision."""
        named: dict[str, torch.Tensor] = {}

        def add(name: str, values: torch.Tensor) -> None:
            named[f"network.{member}.{name}"] = values.detach().float().cpu().contiguous()

        for n, table in enumerate(self.embeddings):
            add(f"embedding.{n}", table)
        for n, values in enumerate(self.crosses):
            add(f"cross.{n // 3}.{('down', 'up', 'bias')[n % 3]}", values)
        for n, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            weight, bias = weight.double(), bias.double()
            if self.scales:
                mean, variance = (statistic.double() for statistic in self._statistics(n))
                gain = self.scales[n].double() / torch.sqrt(variance + EPSILON)
                weight, bias = weight * gain[:, None], (bias - mean) * gain + self.offsets[n].double()
            add(f"layer.{n}.weight", weight)
            add(f"layer.{n}.bias", bias)
        add(f"layer.{len(self.weights)}.weight", self.last_weight)
        add(f"layer.{len(self.weights)}.bias", self.last_bias)
        return named


def loss_of(
    is_binary: bool, class_weight: float, quantiles: tuple[float, ...]
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The sum over rows of the loss: cross-entropy, or the squared error of the mean and the pinball losses of the quantiles."""

    def binary(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weight = outputs.new_tensor([class_weight])
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, pos_weight=weight, reduction="sum")

    def regression(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        errors = targets[:, None] - outputs
        loss = errors[:, 0].square().sum()
        for error, quantile in zip(errors[:, 1:].T, quantiles, strict=True):
            loss = loss + torch.maximum(quantile * error, (quantile - 1) * error).sum()
        return loss

    return binary if is_binary else regression
