"""MNIST-1D once more, by a plain loop that shares nothing with ours but the data: the same means.

Networks, initial weights, batches and evaluation are written anew below, and the seeds are others, so the two
means agree within the scatter of seeds alone.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.runs import records
from reference.data import mnist1d


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(40, 100), nn.Linear(100, 100), nn.Linear(100, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x))
        return self.last(hidden + torch.relu(self.second(hidden)))


def network(name: str) -> nn.Module:
    if name == "logistic":
        return nn.Linear(40, 10)
    if name == "mlp":
        return Residual()
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 40))]
    for channels, kernel in ((1, 5), (25, 3), (25, 3)):
        layers += [nn.Conv1d(channels, 25, kernel, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(125, 10))


def accuracy(name: str, data: str, seed: int) -> float:
    drawn = mnist1d.draw(data)
    x, y = torch.tensor(drawn.train.images), torch.tensor(drawn.train.targets)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(6001):
        at = step * 100 % 4000
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[at : at + 100]), y[at : at + 100]).backward()
        optimizer.step()
    with torch.no_grad():
        return float((model(torch.tensor(drawn.val.images)).argmax(1).numpy() == drawn.val.targets).mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic", "mlp", "cnn"])
@pytest.mark.parametrize("data", ["mnist1d", "mnist1d-shuffled"])
def test_a_plain_loop_gives_the_same_mean(name: str, data: str, pytestconfig: pytest.Config) -> None:
    slug = f"{data}-{name}"
    folder = pytestconfig.getoption("--out") or pytestconfig.rootpath / "results"
    ours = [
        record.metric("top1") or math.nan
        for record in records.read_all(Path(folder))
        if record.slug == slug and record.status == "ok" and record.tier == "full"
    ]
    if len(ours) < 3:
        pytest.skip(f"{folder}: {len(ours)} records of {slug}; run it with three seeds, and give --out")
    again = [accuracy(name, data, seed) for seed in (101, 102, 103)]
    # The scatter of both, but at least half a percentage point: three equal runs have none.
    scatter = max(statistics.stdev(ours), statistics.stdev(again), 0.005)
    error = scatter * math.sqrt(1 / len(ours) + 1 / len(again))
    print(f"{slug}: ours {statistics.fmean(ours):.4f} ({len(ours)}), again {statistics.fmean(again):.4f} (3)")
    assert abs(statistics.fmean(ours) - statistics.fmean(again)) < 3.5 * error, (ours, again)
