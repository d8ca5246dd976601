"""New products by a network with embeddings in PyTorch: the settings and the epoch are those of the lowest loss on the
validation weeks. A program of its own, see `separate`."""

import copy

import numpy
import torch
from torch import nn

from peers import separate
from peers.launch_rows import Rows, log_loss

NAME = f"PyTorch {torch.__version__.split('+')[0]}, tuned"
MOST_EPOCHS, PATIENCE, BATCH = 15, 3, 4096
CANDIDATES = [
    {"log": log, "hidden": hidden, "dropout": dropout}
    for log in (False, True)
    for hidden, dropout in (([128], 0.0), ([256, 128], 0.3))
]


class Network(nn.Module):
    def __init__(self, numbers, categories, hidden, dropout):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(count, min(16, 1 + count // 2)) for count in categories)
        width = numbers + sum(embedding.embedding_dim for embedding in self.embeddings)
        layers = []
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, numbers, categories):
        embedded = [embedding(categories[:, n]) for n, embedding in enumerate(self.embeddings)]
        return self.layers(torch.cat([numbers, *embedded], 1)).squeeze(1)


def train(params):
    torch.set_num_threads(params["threads"])
    rows = Rows(params)
    categories = torch.from_numpy(rows.categories)
    best = None
    for settings in CANDIDATES:
        torch.manual_seed(params["seed"])
        numbers = torch.from_numpy(standardized(rows, settings["log"]))
        network = Network(numbers.shape[1], [int(n) + 1 for n in rows.categories.max(0)], settings["hidden"], settings["dropout"])
        loss = fit(network, numbers, categories, rows)
        if best is None or loss < best["loss"]:
            chosen = f"hidden {settings['hidden']}{', logarithms' if settings['log'] else ''}"
            measured = rows.measures(score(network, numbers, categories, rows.test), rows.test)
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


def fit(network, numbers, categories, rows):
    """Stops early and leaves the best weights in the network; returns their loss on the validation weeks."""
    labels = torch.from_numpy(rows.labels.astype("f4"))
    loss_of, optimizer = nn.BCEWithLogitsLoss(), torch.optim.Adam(network.parameters(), 0.001)
    best, at, weights = None, 0, None
    for epoch in range(MOST_EPOCHS):
        network.train()
        for chosen in torch.randperm(rows.train.stop).split(BATCH):
            optimizer.zero_grad()
            loss_of(network(numbers[chosen], categories[chosen]), labels[chosen]).backward()
            optimizer.step()
        loss = log_loss(score(network, numbers, categories, rows.validation), rows.labels[rows.validation])
        if best is None or loss < best:
            best, at, weights = loss, epoch, copy.deepcopy(network.state_dict())
        if epoch - at >= PATIENCE:
            break
    network.load_state_dict(weights)
    return best


def score(network, numbers, categories, part):
    """Logits."""
    network.eval()
    with torch.no_grad():
        parts = zip(numbers[part].split(1 << 16), categories[part].split(1 << 16))
        return torch.cat([network(*both) for both in parts]).double().numpy()


if __name__ == "__main__":
    separate.main(train)
