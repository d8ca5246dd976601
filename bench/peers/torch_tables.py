"""A table by a network with embeddings in PyTorch: the settings and the epoch are those of the lowest loss on the
validation rows. A program of its own, see `separate`."""

import copy

import numpy
import torch
from torch import nn

from peers import separate
from peers.table_rows import Rows

NAME = f"PyTorch {torch.__version__.split('+')[0]}, tuned"
MANY_ROWS, MANY_VALUES = 1_000_000, 30


def candidates(rows):
    """Settings, each with the numbers as they are and with their logarithms."""
    if rows.train.stop >= MANY_ROWS:
        pace = {"batch": 4096, "epochs": 15, "patience": 3, "slows": False}
        listed = [{"hidden": [128]}, {"hidden": [256, 128], "dropout": 0.3}]
    else:
        # About 200 steps in an epoch; the steps get smaller where the loss does not.
        batch = min(2048, max(64, 1 << (rows.train.stop // 200).bit_length() - 1))
        pace = {"batch": batch, "epochs": 60, "patience": 6, "slows": True}
        listed = [
            {"hidden": []},
            {"hidden": [128]},
            {"hidden": [256, 128], "dropout": 0.2},
            {"hidden": [256, 128], "dropout": 0.3, "decay": 0.1},
        ]
    if rows.train.stop < MANY_ROWS and rows.texts and rows.categories.max() > MANY_VALUES:
        listed.append({"hidden": [256, 128], "dropout": 0.3, "decay": 0.1, "spread": 0.1})
    logs = (False, True) if rows.numeric else (False,)
    return [pace | settings | {"log": log} for log in logs for settings in listed]


class Network(nn.Module):
    def __init__(self, numbers, categories, hidden, dropout, spread):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(count, min(16, 1 + count // 2)) for count in categories)
        for embedding in self.embeddings:
            nn.init.normal_(embedding.weight, std=spread)
        width = numbers + sum(embedding.embedding_dim for embedding in self.embeddings)
        layers = []
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, numbers, categories):
        embedded = [embedding(categories[:, n]) for n, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat([numbers, *embedded], 1)).squeeze(1)


class Labels:
    """What the network learns: 0 and 1, or the quantity, standardized."""

    def __init__(self, rows):
        training = rows.labels[rows.train]
        self.mean, self.scale = (0, 1) if rows.binary else (training.mean(), training.std())
        self.values = torch.from_numpy(((rows.labels - self.mean) / self.scale).astype("f4"))
        self.loss = nn.BCEWithLogitsLoss() if rows.binary else nn.MSELoss()

    def restore(self, outputs):
        return outputs * self.scale + self.mean


def train(params):
    torch.set_num_threads(params["threads"])
    rows = Rows(params)
    labels, categories = Labels(rows), torch.from_numpy(rows.categories)
    sizes = [int(most) + 1 for most in rows.categories.max(0)]
    best = None
    for settings in candidates(rows):
        torch.manual_seed(params["seed"])
        numbers = torch.from_numpy(standardized(rows, settings["log"]))
        of_network = settings["hidden"], settings.get("dropout", 0), settings.get("spread", 1)
        network = Network(numbers.shape[1], sizes, *of_network)
        loss = fit(network, numbers, categories, labels, rows, settings)
        if best is None or loss < best["loss"]:
            chosen = f"hidden {settings['hidden']}{', logarithms' if settings['log'] else ''}"
            measured = rows.measures(labels.restore(score(network, numbers, categories, rows.test)), rows.test)
            best = {"chosen": chosen, "inputs": len(rows.numeric) + len(rows.texts), "loss": loss, **measured}
    return best


def standardized(rows, log):
    """Missing numbers are the mean, and have a column that says so."""
    numbers = numpy.sign(rows.numbers) * numpy.log1p(abs(rows.numbers)) if log else rows.numbers
    missing = numpy.isnan(numbers)
    training = numbers[rows.train]
    mean, scale = numpy.nanmean(training, 0, dtype="f8"), numpy.nanstd(training, 0, dtype="f8")
    numbers = numpy.where(missing, 0, (numbers - mean) / numpy.where(scale > 0, scale, 1))
    return numpy.concatenate([numbers, missing[:, missing[rows.train].any(0)]], 1).astype("f4")


def fit(network, numbers, categories, labels, rows, settings):
    """Stops early and leaves the best weights in the network; returns their loss on the validation rows."""
    optimizer = torch.optim.AdamW(network.parameters(), 0.001, weight_decay=settings.get("decay", 0))
    pace = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=2)
    best, at, weights = None, 0, None
    for epoch in range(settings["epochs"]):
        network.train()
        for chosen in torch.randperm(rows.train.stop).split(settings["batch"]):
            optimizer.zero_grad()
            labels.loss(network(numbers[chosen], categories[chosen]), labels.values[chosen]).backward()
            optimizer.step()
        loss = rows.loss(labels.restore(score(network, numbers, categories, rows.validation)), rows.validation)
        if settings["slows"]:
            pace.step(loss)
        if best is None or loss < best:
            best, at, weights = loss, epoch, copy.deepcopy(network.state_dict())
        if epoch - at >= settings["patience"]:
            break
    network.load_state_dict(weights)
    return best


def score(network, numbers, categories, part):
    """Logits, or standardized quantities."""
    network.eval()
    with torch.no_grad():
        parts = zip(numbers[part].split(1 << 16), categories[part].split(1 << 16))
        return torch.cat([network(*both) for both in parts]).double().numpy()


if __name__ == "__main__":
    separate.main(train)
