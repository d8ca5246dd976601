"""The training loop of crates/trainer/src/network/train.rs, over processes: shuffled mini-batches, each divided among all of
them, Adam, a moving average of the weights, early stopping with the best average kept."""

import contextlib
import copy
import math
import time
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import measure
from network import Network, loss_of
from training_set import Rows, TrainingSet

# A one-cycle schedule rises in this share of its steps, from this share of the full rate.
RISE = 0.3
START = 1 / 25
# Of the steps so far, the share that the mean of the weights reaches back over, until these are an epoch.
REACH = 0.1
# As many seeds as there are.
SEEDS = 2**63
# Rows whose activations are in memory at once.
BLOCK = {"cpu": 2048, "cuda": 262_144}


@dataclass
class Fit:
    network: Network
    best_epoch: int = 0
    epochs: int = 0
    losses: list[tuple[int, float, float | None]] = field(default_factory=list)


def factor(schedule: str, step: int, steps: int) -> float:
    """The factor of the learning rate at `step` (from 0) of `steps`."""

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    place = step / (max(steps, 2) - 1)
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return between(1, 0, step / max(steps, 1))
    return between(START, 1, place / RISE) if place < RISE else between(1, 0, (place - RISE) / (1 - RISE))


@torch.no_grad()
def outputs_of(network: Network, rows: Rows) -> torch.Tensor:
    """The outputs of each row, shape (rows, outputs), of which every process computes a part; on the CPU, in doubles."""
    network.eval()
    all_outputs = torch.zeros(len(rows), len(network.last_bias), device=rows.dense.device)
    size = -(-len(rows) // dist.get_world_size()) if len(rows) else 0
    first = dist.get_rank() * size
    block = BLOCK[rows.dense.device.type]
    for at in range(first, min(first + size, len(rows)), block):
        end = min(at + block, first + size, len(rows))
        all_outputs[at:end] = network(rows.dense[at:end], rows.categories[:, at:end])
    # The others' rows are 0 here, so that the sum is exact and the same everywhere.
    dist.all_reduce(all_outputs)
    return all_outputs.double().cpu()


class Loop:
    """The state of a training, from epoch to epoch."""

    def __init__(self, network: Network, data: TrainingSet, seed: int):
        self.data, self.params = data, data.params
        self.network, self.device = network, data.train.dense.device
        self.parallel = DistributedDataParallel(network, forward_sync_buffers=False)
        self.loss = loss_of(data.is_binary, self.params["class_weight"], measure.QUANTILES)
        rate, decay = self.params["learning_rate"], self.params["weight_decay"]
        self.adam = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
        self.l1 = self.params["l1"] if data.about["algorithm"] == "logistic" else 0.0
        # Every process takes its rows from the same order.
        self.random = torch.Generator().manual_seed(seed)
        # What is dropped and forgotten is drawn by each for itself.
        torch.manual_seed((seed + 1_000_003 * (dist.get_rank() + 1)) % SEEDS)
        self.steps = 0
        # As the trainer has it: penalized weights are to be exactly 0, normalized layers are measured by their own statistics.
        self.averaged = None if self.l1 > 0 or network.scales else copy.deepcopy(network)

    @property
    def result(self) -> Network:
        """The network as it would be served."""
        return self.averaged or self.network

    def shift(self) -> float:
        """What logits learned from a share of the negative rows are too high by."""
        share = self.params["negative_share"]
        return math.log(share) if self.data.is_binary else 0.0

    def order(self) -> torch.Tensor:
        """The rows of an epoch: all, or the positive ones and a share of the others."""
        rows, share = len(self.data.train), self.params["negative_share"]
        order = torch.randperm(rows, generator=self.random)
        if self.data.is_binary and share < 1:
            chosen = torch.rand(rows, generator=self.random) < share
            chosen |= torch.from_numpy(self.data.train.labels == 1)
            order = order[chosen[order]]
        return order.to(self.device)

    def epoch(self) -> float:
        """One pass over the training rows; returns their mean loss on the way."""
        self.network.train()
        order = self.order()
        size = min(self.params["batch_size"] or len(order), len(order))
        steps_of_epoch = -(-len(order) // size)
        steps = steps_of_epoch * self.params["epochs"]
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in order.split(size):
            rate = self.params["learning_rate"] * factor(self.params["schedule"], self.steps, steps)
            self.steps += 1
            total += self.step(batch, rate)
            self.average(steps_of_epoch)
        dist.all_reduce(total)
        for statistic in self.network.buffers():
            dist.all_reduce(statistic)
            statistic /= dist.get_world_size()
        return total.item() / len(order)

    def step(self, batch: torch.Tensor, rate: float) -> torch.Tensor:
        """One step along the gradient of the batch's mean loss; returns the loss of this process's rows."""
        world, total = dist.get_world_size(), torch.zeros((), dtype=torch.float64, device=self.device)
        own = batch.tensor_split(world)[dist.get_rank()]
        blocks = own.split(BLOCK[self.device.type])
        self.adam.zero_grad()
        for n, block in enumerate(blocks):
            dense, categories, targets = self.data.train.select(block)
            # Gradients are exchanged after the last block.
            waits = self.parallel.no_sync() if n + 1 < len(blocks) else contextlib.nullcontext()
            with waits:
                loss = self.loss(self.parallel(dense, categories), targets)
                # The gradient is the mean over the processes, and is to be the sum.
                (loss * (world / len(batch))).backward()
            total += loss.detach()
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        if self.l1 > 0:
            self.network.shrink(rate * self.l1)
        return total

    @torch.no_grad()
    def average(self, steps_of_epoch: int) -> None:
        """Takes the parameters after a step into the mean."""
        if self.averaged is None:
            return
        reach = min(1 + REACH * self.steps, steps_of_epoch)
        for mean, now in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 / reach)


def train(data: TrainingSet, seed: int, deadline: float | None, tell) -> Fit:
    """Trains one network; it has the weights of the best epoch on the validation rows, without these of the last."""
    params = data.params
    network = Network(data.about["network"], params["dropout"], params["precision"], seed).to(data.train.dense.device)
    fit, loop = Fit(network), Loop(network, data, seed)
    stopping = data.validation if data.about["stops"] else data.validation.slice(0, 0)
    best: tuple[float, int, dict[str, torch.Tensor]] | None = None
    for number in range(1, params["epochs"] + 1):
        torch.backends.cuda.matmul.allow_tf32 = params["precision"] == "tf32"
        train_loss, validation_loss, cost = loop.epoch(), None, None
        torch.backends.cuda.matmul.allow_tf32 = False
        if len(stopping):
            found = outputs_of(loop.result, stopping) + loop.shift()
            targets = stopping.targets.double().cpu()
            validation_loss = loop.loss(found, targets).item() / len(stopping)
            asked = measure.cost(params["metric"], data.is_binary, found.numpy(), targets.numpy())
            cost = validation_loss if asked is None else asked
        if not math.isfinite(train_loss + (validation_loss or 0.0)):
            raise SystemExit(f"the training diverged in epoch {number}: lower the training parameter learning_rate")
        fit.epochs = number
        fit.losses.append((number, train_loss, validation_loss))
        tell(number, train_loss, validation_loss)
        if cost is not None:
            if best is None or cost < best[0]:
                best = (cost, number, copy.deepcopy(loop.result.state_dict()))
            elif params["patience"] > 0 and number - best[1] >= params["patience"]:
                break
        if _is_over(deadline, data.train.dense.device):
            break
    _, fit.best_epoch, weights = best or (0.0, fit.epochs, loop.result.state_dict())
    network.load_state_dict(weights)
    network.finish(loop.shift())
    return fit


def _is_over(deadline: float | None, device: torch.device) -> bool:
    """Whether the first process's time is up: all have to end with the same epoch."""
    if deadline is None:
        return False
    over = torch.tensor([float(time.monotonic() >= deadline)], device=device)
    dist.broadcast(over, 0)
    return bool(over.item())
