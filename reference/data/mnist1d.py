"""MNIST-1D: 5,000 signals of 40 values in 10 classes, drawn by code like the published data set.

The published data are drawn from a seed, so drawing them again gives the official data without a download.
Each signal is one of ten templates of 12 values, padded, stretched to 72 values, scaled, shifted and
sheared, with smooth noise outside the template and white noise everywhere, then reduced to 40 values. The
official data are the 4,000 training and 1,000 test signals of seed 42, recognised by ``MANIFESTS``.

numpy's ``RandomState`` is frozen: its draws do not change with a release. ``suites/data/test_mnist1d.py``
compares the arrays with those of the package ``mnist1d``.

Source: Greydanus and Kobak, Scaling Down Deep Learning with MNIST-1D, ICML 2024.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from reference.data.dataset import Dataset, ManifestEntry, Split, manifest_hash

SEED = 42
CLASSES = tuple(str(digit) for digit in range(10))
SIGNALS, TRAIN = 5000, 4000
LENGTH = 40

# The ten digits as curves of 12 points, before standardisation.
TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
PADDING = (36, 60)
STRETCHED = 12 + PADDING[1]
SCALE = 0.4
MOST_SHIFT = 48
SMOOTH_NOISE, SMOOTH_SIGMA = 0.25, 2
WHITE_NOISE = 0.02
SHEAR = 0.75
NOT_ZERO = 1e-8
"""Added to a template, so that only its padding is exactly zero."""

DECIMALS = 3
"""Decimals of a value in the manifest, so that a changed last bit does not change it."""

MANIFESTS: dict[str, str] = {
    "mnist1d": "61124b2f7831c5175493a865dd0996f6be66b72218cb305110b448fb73efab72",
    "mnist1d-shuffled": "097f9855c6afe6e9bb5e50ad0bf76b83fe2fb646ff4bc35d5c52568bedef3cd8",
}
"""The manifest of each official data set."""


def draw(name: str) -> Dataset:
    """Draw the official data set of that name; in ``mnist1d-shuffled`` one permutation moves all positions.

    Signals are (N, 40) float32. If the manifest is not the official one, the data is labelled stand-in.

    Raises:
        KeyError: no such data set.
    """
    official = MANIFESTS[name]
    signals, labels = draw_signals()
    if name == "mnist1d-shuffled":
        signals = signals[:, np.random.RandomState(SEED).permutation(LENGTH)]
    digests = [_digest(signal) for signal in signals]
    splits, entries = [], []
    for split, rows in (("train", slice(None, TRAIN)), ("val", slice(TRAIN, None))):
        ids = tuple(f"{index:04d}" for index in range(SIGNALS)[rows])
        images, targets = signals[rows].astype(np.float32), labels[rows]
        images.setflags(write=False)
        targets.setflags(write=False)
        splits.append(Split(ids, images, targets))
        entries += [
            ManifestEntry(split, *row) for row in zip(ids, digests[rows], targets.tolist(), strict=True)
        ]
    manifest = manifest_hash(name, LENGTH, CLASSES, None, entries)
    same = manifest == official
    return Dataset(
        role=name,
        source="official" if same else "stand-in",
        name=name,
        classes=CLASSES,
        scored=tuple(range(len(CLASSES))),
        palette=None,
        train=splits[0],
        val=splits[1],
        unique_val=len(set(digests[TRAIN:])),
        manifest=manifest,
        counts_note="drawn by code; its manifest is the official one"
        if same
        else f"not official: drawn by code with numpy {np.__version__}; manifest {manifest[:12]},"
        f" official {official[:12]}",
    )


@cache
def draw_signals() -> tuple[np.ndarray, np.ndarray]:
    """Draw all signals (5000, 40) float64, centred and scaled as a whole, and labels (5000,) int64."""
    templates = np.array(TEMPLATES)
    templates -= templates.mean(axis=1, keepdims=True)
    templates /= templates.std(axis=1, keepdims=True)
    templates -= templates[:, :1]
    templates /= 6.0
    rng = np.random.RandomState(SEED)
    labels = np.repeat(np.arange(len(CLASSES)), SIGNALS // len(CLASSES))
    signals = np.stack([_signal(templates[label], rng) for label in labels])
    order = rng.permutation(SIGNALS)
    signals, labels = signals[order], labels[order].astype(np.int64)
    return (signals - signals.mean()) / signals.std(), labels


def _signal(template: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Distort a template to (40,) float64. The order of the draws is that of the published generator."""
    low, high = PADDING
    padding = low + int(rng.rand() * (high - low + 1))
    signal = _resampled(np.concatenate([template + NOT_ZERO, np.zeros(padding)]), STRETCHED)
    signal *= 1 + SCALE * (rng.rand() - 0.5)
    signal = np.roll(signal, rng.choice(MOST_SHIFT))
    smooth = _smoothed(SMOOTH_NOISE * rng.randn(STRETCHED))
    signal = np.where(signal != 0, signal, smooth) + WHITE_NOISE * rng.randn(STRETCHED)
    signal -= SHEAR * (rng.rand() - 0.5) * np.linspace(-0.5, 0.5, STRETCHED)
    return _resampled(signal, LENGTH)


def _resampled(signal: np.ndarray, count: int) -> np.ndarray:
    """Resample a signal to ``count`` values at equal steps, by linear interpolation."""
    values: np.ndarray = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(signal)), signal)
    return values


_RADIUS = 4 * SMOOTH_SIGMA


@cache
def _kernel() -> np.ndarray:
    """Return a Gaussian of ``SMOOTH_SIGMA`` cut off at four sigma, centre first: (9,), two-sided sum 1."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-0.5 / SMOOTH_SIGMA**2 * offsets**2)
    kernel: np.ndarray = (weights / weights.sum())[_RADIUS:]
    return kernel


def _smoothed(noise: np.ndarray) -> np.ndarray:
    """Apply a Gaussian filter with mirrored ends; sum outermost weights first, in scipy's order."""
    padded = np.pad(noise, _RADIUS, mode="symmetric")
    weights, count = _kernel(), len(noise)
    total: np.ndarray = weights[0] * noise
    for offset in range(_RADIUS, 0, -1):
        before = padded[_RADIUS - offset : _RADIUS - offset + count]
        after = padded[_RADIUS + offset : _RADIUS + offset + count]
        total += (before + after) * weights[offset]
    return total


def _digest(signal: np.ndarray) -> str:
    """Hash a signal's values, rounded to ``DECIMALS``; a rounded zero has no sign."""
    steps = np.rint(signal * 10**DECIMALS).astype("<i4")
    return hashlib.sha256(steps.tobytes()).hexdigest()
