"""Check printed accuracies of scikit-learn's classifiers, which are deterministic and need no training run.

The printed value is the claim's. The found value is ours on the official data, rounded to as many decimals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.claims.claim import Claim

if TYPE_CHECKING:
    import numpy as np

    from reference.data.dataset import Dataset

Finding = tuple[Any, Any]
"""What is printed and what we find."""

NEIGHBOURS = 10
TOLERANCE, MOST_ITERATIONS = 0.01, 1000


def nearest_neighbours(dataset: Dataset) -> np.ndarray:
    """Predict the classes (N,) of the test signals by a vote of the ten nearest training signals."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(n_neighbors=NEIGHBOURS).fit(dataset.train.images, dataset.train.targets)
    predicted: np.ndarray = model.predict(dataset.val.images)
    return predicted


def linear(dataset: Dataset) -> np.ndarray:
    """Predict the classes (N,) of the test signals by logistic regression on standardised values.

    The report's tolerance is for the summed loss; scikit-learn uses the mean loss since release 1.4. The
    values are float64, as the package draws them: in float32 the rounding of a processor's own routines
    decides one test signal.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tolerance = TOLERANCE / len(dataset.train)
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=tolerance, max_iter=MOST_ITERATIONS))
    train, val = (np.asarray(split.images, np.float64) for split in (dataset.train, dataset.val))
    predicted: np.ndarray = model.fit(train, dataset.train.targets).predict(val)
    return predicted


CLASSIFIERS: dict[str, Callable[[Dataset], np.ndarray]] = {
    "mnist1d-knn": nearest_neighbours,
    "mnist1d-linear": linear,
}


def accuracy(claim: Claim) -> Finding:
    """Return the printed accuracy, and that of the claim's classifier on the claim's data."""
    from reference.data import DRAWN

    assert claim.data is not None
    dataset = DRAWN[claim.data](claim.data)
    right = float((CLASSIFIERS[claim.id](dataset) == dataset.val.targets).mean())
    scale = 100 if claim.unit == "percent" else 1
    return f"{claim.value} on official data", f"{right * scale:.{claim.decimals}f} on {dataset.source} data"


BASELINES: dict[str, Callable[[Claim], Finding]] = dict.fromkeys(CLASSIFIERS, accuracy)
"""Claim id → its check."""
