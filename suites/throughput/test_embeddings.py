"""t-SNE of an embedding, which the reports draw of hundreds of images and more."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from reference.embeddings import knn_purity

CLUSTERS = 5


def points(number: int, seed: int) -> NDArray[np.float32]:
    """(number, 512) features around five centres, which t-SNE must keep apart."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, 512))
    noise = rng.normal(size=(number, 512))
    return (4 * centres[np.arange(number) % CLUSTERS] + noise).astype(np.float32)


def embed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    with threadpool_limits(1):  # its threads wait for each other longer than they work on so few points
        return TSNE(init="pca", random_state=0).fit_transform(features)


def test_tsne(measuring: bool, seconds_alone: Callable[..., list[float]], note: Callable[..., None]) -> None:
    number, seeds = 500 if measuring else 200, count(1)
    placed = torch.from_numpy(embed(points(number, 0)))
    assert placed.shape == (number, 2)
    assert knn_purity(placed, torch.arange(number) % CLUSTERS) > 0.99
    seconds = seconds_alone(embed, lambda: points(number, next(seeds)))
    note("t-SNE of 512 features", "scikit-learn", unit="points/s", items=number, seconds=seconds)
