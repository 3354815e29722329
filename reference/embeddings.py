"""Figures of an embedding: whether classes form clusters, and whether a representation has collapsed."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import silhouette_score
from torch import Tensor


def knn_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, *, k: int = 20
) -> tuple[int, int]:
    """Test samples whose k most similar training samples vote for their label, and how many there were.

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
    if not 1 <= k <= len(train):
        raise ValueError(f"k = {k} of {len(train)} training samples: expected 1 to all of them")
    neighbours = (F.normalize(test, dim=1) @ F.normalize(train, dim=1).T).topk(k, dim=1).indices  # (M, k)
    votes = F.one_hot(train_labels[neighbours]).sum(dim=1)  # (M, C)
    return int((votes.argmax(dim=1) == test_labels).sum()), len(test_labels)


def knn_purity(embedding: Tensor, labels: Tensor, *, k: int = 10) -> float:
    """Mean share of each sample's k nearest others, by Euclidean distance, that have its label.

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
    """Mean silhouette, −1…1, of the labels as clusters (Rousseeuw 1987; scikit-learn).

    Args:
        embedding: (N, d) floating point.
        labels: (N,) int64, at least two classes and fewer than N.
    """
    return float(silhouette_score(embedding.double().cpu().numpy(), np.asarray(labels.cpu())))


def embedding_std(embedding: Tensor) -> float:
    """Standard deviation over samples of the ℓ₂-normalised embedding, averaged over dimensions.

    About 1/√d where samples spread over the sphere, 0 where they have collapsed to one point.

    Args:
        embedding: (N, d) floating point, N ≥ 2.
    """
    return float(F.normalize(embedding, dim=1).std(dim=0).mean())


def effective_rank(embedding: Tensor) -> float:
    """exp of the entropy of the normalised singular values, 1…min(N, d) (Roy and Vetterli 2007).

    Args:
        embedding: (N, d) floating point.

    Returns:
        nan where every value is 0.
    """
    values = torch.linalg.svdvals(embedding.double())
    shares = values / values.sum()
    return float(torch.exp(torch.special.entr(shares).sum()))
