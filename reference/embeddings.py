"""Metrics of an embedding: whether classes form clusters, and whether a representation has collapsed."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# scikit-learn is imported where it is called, because the import takes seconds and few runs need it.

SMALLEST_SPREAD = 1e-15
"""Features that differ by less count as equal: t-SNE squares them in float32, where 1e-46 is 0."""


def knn_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, *, k: int = 20
) -> tuple[int, int]:
    """Count the test samples whose k most similar training samples vote for their label, and all samples.

    Similarity is the cosine; every neighbour has one vote, and the lowest class wins a tie.

    Args:
        train, test: (N, d) and (M, d) floating point.
        train_labels, test_labels: (N,) and (M,) int64.
        k: 1…N.

    Returns:
        (numerator, denominator).

    Raises:
        ValueError: k is out of range.
    """
    votes = knn_votes(train, train_labels, test, k=k)
    return int((votes == test_labels).sum()), len(test_labels)


def knn_votes(train: Tensor, train_labels: Tensor, test: Tensor, *, k: int = 20) -> Tensor:
    """Return the label that each test sample's neighbours vote for, (M,). See :func:`knn_accuracy`."""
    if not 1 <= k <= len(train):
        raise ValueError(f"k = {k} of {len(train)} training samples: expected 1 to all of them")
    neighbours = (F.normalize(test, dim=1) @ F.normalize(train, dim=1).T).topk(k, dim=1).indices  # (M, k)
    return F.one_hot(train_labels[neighbours]).sum(dim=1).argmax(dim=1)  # (M, C) → (M,)


def purity_neighbours(labels: Tensor, most: int = 10) -> int:
    """Return the number of neighbours that a purity counts, at least 1 and at most ``most``.

    Every sample has at least this many others of its class, unless a class has a single sample. So perfect
    clusters have purity 1.

    >>> purity_neighbours(torch.arange(10).repeat(5))
    4
    """
    counts = torch.bincount(labels)
    return max(1, min(most, int(counts[counts > 0].min()) - 1))


def knn_purity(embedding: Tensor, labels: Tensor, *, k: int = 10) -> float:
    """Compute the share of each sample's k nearest others (Euclidean) with the same label, and average it.

    Args:
        embedding: (N, d) floating point, such as t-SNE's two coordinates.
        labels: (N,) int64.
        k: 1…N−1.

    Raises:
        ValueError: k is out of range.
    """
    if not 1 <= k < len(embedding):
        raise ValueError(f"k = {k} of {len(embedding)} samples: expected 1 to all others")
    distances = torch.cdist(embedding, embedding)
    distances.fill_diagonal_(float("inf"))
    neighbours = distances.topk(k, dim=1, largest=False).indices  # (N, k)
    return float((labels[neighbours] == labels[:, None]).double().mean())


def silhouette(embedding: Tensor, labels: Tensor) -> float:
    """Compute the mean silhouette, −1…1, with the labels as clusters (Rousseeuw 1987; scikit-learn).

    Args:
        embedding: (N, d) floating point.
        labels: (N,) int64, at least two classes and fewer than N.
    """
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(embedding.double().cpu().numpy(), np.asarray(labels.cpu())))


def embedding_std(embedding: Tensor) -> float:
    """Compute the standard deviation over samples of the ℓ₂-normalised embedding, averaged over dimensions.

    It is about 1/√d if samples spread over the sphere, and 0 if they have collapsed to one point.

    Args:
        embedding: (N, d) floating point, N ≥ 2.
    """
    return float(F.normalize(embedding, dim=1).std(dim=0).mean())


def effective_rank(embedding: Tensor) -> float:
    """Compute exp(entropy of the normalised singular values), 1…min(N, d) (Roy and Vetterli 2007).

    Args:
        embedding: (N, d) floating point.

    Returns:
        The rank; nan if every value is 0.
    """
    values = torch.linalg.svdvals(embedding.double())
    shares = values / values.sum()
    return float(torch.exp(torch.special.entr(shares).sum()))


def project(features: Tensor, method: str) -> Tensor:
    """Project features to (N, 2) float32 by scikit-learn's t-SNE or PCA; the result is deterministic.

    t-SNE gets the first 50 principal components, as in van der Maaten and Hinton (2008). Its perplexity is
    30, or a third of the points if there are few. PCA places fewer than four points, because they have no
    neighbourhoods. If all features are equal, as in a dead network, all points are the origin. If a feature
    is not finite, the points are nan.

    Args:
        features: (N, d) floating point.
        method: ``"tsne"`` or ``"pca"``.

    Raises:
        ValueError: another method.
    """
    if method not in ("tsne", "pca"):
        raise ValueError(f"method {method!r}: expected tsne or pca")
    values = features.double().cpu().numpy()
    if not np.isfinite(values).all():
        return torch.full((len(values), 2), float("nan"))
    # scikit-learn's t-SNE divides by the spread of the first component in float32 and crashes at 0
    if len(values) < 2 or np.ptp(values, axis=0).max() < SMALLEST_SPREAD:
        return torch.zeros(len(values), 2)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    plane = method == "pca" or len(values) < 4
    points = PCA(min(2 if plane else 50, *values.shape), random_state=0).fit_transform(values)
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))  # one feature gives a line
    if not plane:
        perplexity = min(30.0, (len(points) - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(points)
    return torch.from_numpy(np.ascontiguousarray(points[:, :2], dtype=np.float32))
