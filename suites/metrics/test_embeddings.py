"""Embedding figures against scikit-learn, and at the two ends of collapse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from reference.embeddings import effective_rank, embedding_std, knn_accuracy, knn_purity, silhouette


def blobs(seed: int, n: int = 60, d: int = 5, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    centres = torch.randn(classes, d, generator=generator, dtype=torch.float64)
    return centres[labels] + torch.randn(n, d, generator=generator, dtype=torch.float64), labels


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_knn_equals_scikit_learn(seed: int, k: int) -> None:
    (train, train_labels), (test, test_labels) = blobs(seed), blobs(seed, n=37)
    oracle = KNeighborsClassifier(k, metric="cosine").fit(train.numpy(), train_labels.numpy())
    expected = int((oracle.predict(test.numpy()) == test_labels.numpy()).sum())
    assert knn_accuracy(train, train_labels, test, test_labels, k=k) == (expected, 37)


def test_silhouette_equals_scikit_learn() -> None:
    embedding, labels = blobs(0)
    assert silhouette(embedding, labels) == pytest.approx(silhouette_score(embedding.numpy(), labels.numpy()))


def test_purity_equals_a_slow_count() -> None:
    embedding, labels = blobs(1)
    distances = pairwise_distances(embedding.numpy())
    shares = []
    for i, row in enumerate(distances):
        nearest = [j for j in row.argsort() if j != i][:10]
        shares.append(sum(labels[j].item() == labels[i].item() for j in nearest) / 10)
    assert knn_purity(embedding, labels) == pytest.approx(sum(shares) / len(shares))


def test_purity_at_its_ends() -> None:
    apart = torch.cat([torch.zeros(11, 2), torch.full((11, 2), 100.0)])
    labels = torch.arange(22) // 11
    assert knn_purity(apart, labels) == 1.0
    assert knn_purity(apart, torch.arange(22)) == 0.0


def test_std_is_the_spheres_or_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(4000, 64, generator=generator)
    # The sample's own error: 1/√(2·4000·64) is .14 % of 1/√d, and the norm varies by 1/(4d).
    assert embedding_std(spread) == pytest.approx(1 / math.sqrt(64), rel=0.01)
    assert embedding_std(torch.ones(10, 8)) == 0.0
    assert embedding_std(5 * spread) == pytest.approx(embedding_std(spread), rel=1e-5)


@given(st.integers(1, 8))
def test_effective_rank_of_equal_directions_is_their_number(rank: int) -> None:
    embedding = torch.zeros(12, 8)
    embedding[:rank, :rank] = 3 * torch.eye(rank)
    assert effective_rank(embedding) == pytest.approx(rank)


def test_what_does_not_fit_is_refused() -> None:
    embedding, labels = blobs(0, n=5)
    with pytest.raises(ValueError, match="k = 6"):
        knn_accuracy(embedding, labels, embedding, labels, k=6)
    with pytest.raises(ValueError, match="k = 5"):
        knn_purity(embedding, labels, k=5)
    assert math.isnan(effective_rank(torch.zeros(3, 2)))
