"""Random fields that are bit-identical on every machine.

A pixel uses only sums, products, quotients, square roots and comparisons, because IEEE 754 defines how each
is rounded. Sines, exponentials and matrix products depend on the processor.
"""

from __future__ import annotations

import numpy as np


def pixel_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel centres of a unit square: two (size, size) float64 arrays, x and y."""
    centres = (np.arange(size) + 0.5) / size
    return np.broadcast_to(centres, (size, size)), np.broadcast_to(centres[:, None], (size, size))


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Draw value noise, 0…1: a random lattice of ``cells`` cells, blended smoothly. (size, size) float64."""
    lattice = rng.random((cells + 1, cells + 1))
    position = (np.arange(size) + 0.5) / size * cells
    low = position.astype(np.int64)
    blend = position - low
    blend = blend * blend * (3.0 - 2.0 * blend)
    rows = lattice[low] * (1.0 - blend)[:, None] + lattice[low + 1] * blend[:, None]
    blended: np.ndarray = rows[:, low] * (1.0 - blend) + rows[:, low + 1] * blend
    return blended


def direction(rng: np.random.Generator, widest: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw cosines and sines of random angles, each (count,); ``widest`` is tan(half the largest angle)."""
    t = (2.0 * rng.random(count) - 1.0) * widest
    return (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)


def triangle_wave(phase: np.ndarray) -> np.ndarray:
    """Compute a wave of period 1 between 0 and 1, made of straight lines."""
    return np.asarray(np.abs(2.0 * (phase - np.floor(phase)) - 1.0))


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Round grey levels to uint8, clipped to 0…255."""
    return np.asarray(np.floor(np.clip(values, 0.0, 255.0) + 0.5), dtype=np.uint8)
