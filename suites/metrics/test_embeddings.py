"""Embedding figures against scikit-learn, and at the two ends of collapse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from reference.embeddings import (
    effective_rank,
    embedding_std,
    knn_accuracy,
    knn_purity,
    knn_votes,
    project,
    purity_neighbours,
    silhouette,
)


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
    votes = knn_votes(train, train_labels, test, k=k)
    assert votes.tolist() == oracle.predict(test.numpy()).tolist()


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


@pytest.mark.parametrize(
    ("sizes", "k"), [((5,) * 10, 4), ((50,) * 4, 10), ((30, 2), 1), ((3, 1), 1), ((8, 9), 7)]
)
def test_perfect_clusters_are_pure_whatever_their_size(sizes: tuple[int, ...], k: int) -> None:
    """Ten neighbours of five images a class would have a purity of 0.4 at best."""
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    assert purity_neighbours(labels) == k
    points = 100.0 * labels[:, None] + torch.rand(len(labels), 2, generator=torch.Generator().manual_seed(0))
    if min(sizes) > 1:
        assert knn_purity(points, labels, k=purity_neighbours(labels)) == 1.0


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


def test_effective_rank_is_the_exponent_of_scipys_entropy() -> None:
    embedding, _ = blobs(4)
    values = np.linalg.svd(embedding.numpy(), compute_uv=False)
    assert effective_rank(embedding) == pytest.approx(math.exp(entropy(values)), rel=1e-9)
    assert effective_rank(-7 * embedding) == pytest.approx(effective_rank(embedding), rel=1e-9)


def test_pca_is_the_two_directions_of_most_variance() -> None:
    features, _ = blobs(2)
    u, s, _ = torch.linalg.svd(features - features.mean(dim=0), full_matrices=False)
    points = project(features, "pca")
    assert points.shape == (60, 2)
    # Either sign of a direction will do; float32.
    torch.testing.assert_close(points.abs().double(), (u * s)[:, :2].abs(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "d"), [(60, 80), (60, 3), (4, 3)])
def test_tsne_keeps_neighbours_and_repeats(n: int, d: int) -> None:
    features, labels = blobs(3, n=n, d=d)
    features += 100 * torch.nn.functional.one_hot(labels % min(d, 4), d)  # classes far apart
    points = project(features, "tsne")
    assert points.shape == (n, 2)
    assert points.dtype == torch.float32
    assert points.isfinite().all()
    assert torch.equal(project(features, "tsne"), points)
    if n > 4:
        assert knn_purity(points, labels % min(d, 4)) == 1.0


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize("value", [0.0, 1e6 / 3])
def test_features_of_a_dead_network_are_one_point(method: str, value: float) -> None:
    """On which scikit-learn's t-SNE does not raise: the process crashes."""
    for spread in (0.0, 1e-25):
        features = torch.full((50, 8), value, dtype=torch.float64)
        features[:, 0] += spread * torch.arange(50)
        points = project(features.float() if spread == 0 else features, method)
        assert torch.equal(points, torch.zeros(50, 2))
    labels = torch.arange(50) % 5
    assert silhouette(points, labels) == 0.0
    assert 0 <= knn_purity(points, labels) <= 1


@pytest.mark.parametrize("spread", [1e-14, 1e-3])
def test_features_of_which_one_differs_have_a_place_each(spread: float) -> None:
    features = torch.zeros(50, 8)
    features[7, 2] = spread
    assert project(features, "tsne").isfinite().all()
    assert project(features, "pca").isfinite().all()


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize(("n", "d"), [(0, 3), (1, 3), (2, 3), (3, 3), (3, 1), (4, 1), (9, 1), (4, 2)])
def test_however_few_points_have_their_places(method: str, n: int, d: int) -> None:
    features = torch.arange(n * d, dtype=torch.float32).view(n, d).square()
    points = project(features, method)
    assert points.shape == (n, 2)
    assert points.isfinite().all()
    if 1 < n < 4:  # too few for t-SNE: as PCA places them, which keeps distances of up to three points
        torch.testing.assert_close(torch.cdist(points, points), torch.cdist(features, features))


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_features_that_are_not_finite_have_no_place(method: str, wrong: float) -> None:
    features = torch.ones(6, 3)
    features[4, 1] = wrong
    assert project(features, method).isnan().all()


def test_what_does_not_fit_is_refused() -> None:
    embedding, labels = blobs(0, n=5)
    with pytest.raises(ValueError, match="k = 6"):
        knn_accuracy(embedding, labels, embedding, labels, k=6)
    with pytest.raises(ValueError, match="k = 5"):
        knn_purity(embedding, labels, k=5)
    with pytest.raises(ValueError, match="expected tsne or pca"):
        project(embedding, "umap")
    assert math.isnan(effective_rank(torch.zeros(3, 2)))
