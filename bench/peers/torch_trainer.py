"""A training in PyTorch as one would write it; a program of its own, see `separate`.

All rows in every step without shuffling where batch_size is 0, as the original did; else shuffled mini-batches."""

import torch
from torch import nn

from measure import connect
from peers import artifact, separate
from peers.training_rows import Rows, auroc

NAME = f"PyTorch {torch.__version__.split('+')[0]}"


def train(params):
    torch.set_num_threads(params["threads"])
    torch.manual_seed(params["seed"])
    rows = Rows(params["validation_weeks"], params["test_weeks"])
    training = rows.inputs[rows.train]
    mean, scale = training.mean(0, dtype="f8").astype("f4"), training.std(0, dtype="f8").astype("f4")
    inputs = torch.from_numpy((training - mean) / scale)
    labels = torch.from_numpy(rows.labels[rows.train].astype("f4"))
    test = torch.from_numpy((rows.inputs[rows.test] - mean) / scale)
    test_labels = rows.labels[rows.test]
    del rows, training

    network = nn.Sequential(nn.Linear(inputs.shape[1], params["hidden"]), nn.ReLU(), nn.Linear(params["hidden"], 1))
    start_from(network, params["start"])
    losses = fit(network, inputs, labels, params)
    with torch.no_grad():
        scores = network(test).squeeze(1).numpy()
    return {"losses": losses, "auroc": auroc(scores, test_labels)}


def start_from(network, model):
    """Takes the weights of a model of one hidden layer."""
    query = "SELECT string_agg(body, '' ORDER BY position) FROM reco.artifact_chunk JOIN reco.version USING (artifact_id) WHERE model = %s"
    with connect() as connection:
        weights, _ = artifact.tensors(connection.execute(query, [model]).fetchone()[0])
    linear = {f"{2 * layer}.{part}": weights[f"network.0.layer.{layer}.{part}"] for layer in (0, 1) for part in ("weight", "bias")}
    network.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in linear.items()})


def fit(network, inputs, labels, params):
    """The mean loss of each epoch's rows on the way."""
    loss_of = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(network.parameters(), params["learning_rate"])
    losses = []
    for _ in range(params["epochs"]):
        total = torch.zeros(())
        for batch, targets in batches(inputs, labels, params["batch_size"]):
            optimizer.zero_grad()
            loss = loss_of(network(batch).squeeze(1), targets)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(targets)
        losses.append(total.item() / len(labels))
    return losses


def batches(inputs, labels, size):
    if size == 0:
        yield inputs, labels
        return
    for chosen in torch.randperm(len(labels)).split(size):
        yield inputs[chosen], labels[chosen]


if __name__ == "__main__":
    separate.main(train)
