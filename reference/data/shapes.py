"""Objects drawn by code: a textured shape on a background, in any colour, place, size and tilt.

The class is the pair of shape and texture; colour and place say nothing about it.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np

from reference.data.noise import direction, pixel_grid, smooth_noise, to_uint8, triangle_wave

# Corners within the unit circle, y downwards; curved shapes are drawn by ``_curved``.
POLYGONS: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)),
    "triangle": ((0.0, -1.0), (0.87, 0.62), (-0.87, 0.62)),
    "plus": (
        *((-0.33, -1.0), (0.33, -1.0), (0.33, -0.33), (1.0, -0.33), (1.0, 0.33), (0.33, 0.33)),
        *((0.33, 1.0), (-0.33, 1.0), (-0.33, 0.33), (-1.0, 0.33), (-1.0, -0.33), (-0.33, -0.33)),
    ),
    "star": (
        *((0.0, -1.0), (0.25, -0.34), (0.95, -0.31), (0.4, 0.13), (0.59, 0.81)),
        *((0.0, 0.42), (-0.59, 0.81), (-0.4, 0.13), (-0.95, -0.31), (-0.25, -0.34)),
    ),
    "diamond": ((0.0, -1.0), (0.62, 0.0), (0.0, 1.0), (-0.62, 0.0)),
    "arrow": ((-1.0, -0.3), (0.1, -0.3), (0.1, -0.8), (1.0, 0.0), (0.1, 0.8), (0.1, 0.3), (-1.0, 0.3)),
    "hourglass": ((-0.67, -0.74), (0.67, -0.74), (0.13, 0.0), (0.67, 0.74), (-0.67, 0.74), (-0.13, 0.0)),
    "corner": ((-0.69, -0.72), (-0.1, -0.72), (-0.1, 0.16), (0.69, 0.16), (0.69, 0.72), (-0.69, 0.72)),
    "tee": (
        *((-0.74, -0.67), (0.74, -0.67), (0.74, -0.13), (0.27, -0.13)),
        *((0.27, 0.74), (-0.27, 0.74), (-0.27, -0.13), (-0.74, -0.13)),
    ),
    "bar": ((-1.0, -0.3), (1.0, -0.3), (1.0, 0.3), (-1.0, 0.3)),
}
CURVED = ("disc", "ring", "crescent")
SHAPES = (
    *("disc", "square", "triangle", "plus", "ring"),
    *("star", "crescent", "arrow", "hourglass", "tee"),
    *("corner", "diamond", "bar"),
)
TEXTURES = ("plain", "striped", "checked", "dotted", "speckled")


def _class_order(pair: tuple[str, str]) -> tuple[int, int, int]:
    # The first ten classes are five shapes times two textures, so that with ten it takes both as well.
    return SHAPES.index(pair[0]) // 5, TEXTURES.index(pair[1]) // 2, SHAPES.index(pair[0])


CLASSES: tuple[tuple[str, str], ...] = tuple(sorted(product(SHAPES, TEXTURES), key=_class_order))
Style = Literal["photo", "drawing"]
SUPERSAMPLING = 3
# How much larger the outline of a drawing is than the object.
OUTLINE = 1.14


def class_names(count: int) -> tuple[str, ...]:
    """Return the names of the first ``count`` classes, such as "striped ring"."""
    return tuple(f"{texture} {shape}" for shape, texture in CLASSES[:count])


def draw_object(rng: np.random.Generator, size: int, label: int, style: Style) -> np.ndarray:
    """Draw an object of a class: (size, size, 3) uint8.

    Args:
        label: index into ``CLASSES``.
        style: "photo" has a cluttered, noisy background and dull colours; "drawing" a pale, even one,
            full colours and a dark outline.
    """
    shape, texture = CLASSES[label]
    radius = 0.27 + 0.13 * rng.random()
    centre = 0.5 + (rng.random(2) - 0.5) * (1.0 - 2.0 * radius)
    cosine, sine = (float(value[0]) for value in direction(rng, 0.2, 1))
    x, y = (grid - middle for grid, middle in zip(pixel_grid(size * SUPERSAMPLING), centre, strict=True))
    u, v = (x * cosine + y * sine) / radius, (y * cosine - x * sine) / radius
    inside = _inside(shape, u, v)
    pattern = _pattern(rng, texture, u, v, max(5.0 / size / radius, 0.42))
    background, colours = _photo(rng, size) if style == "photo" else _drawing(rng)
    covered, second = _share(inside), _share(inside & pattern)
    image = background * (1.0 - covered) + colours[0] * (covered - second) + colours[1] * second
    if style == "drawing":
        image *= 1.0 - 0.85 * _share(_inside(shape, u / OUTLINE, v / OUTLINE) & ~inside)
    grain = 26.0 if style == "photo" else 6.0
    return to_uint8(image + grain * (rng.random((size, size, 3)) - 0.5))


def _share(samples: np.ndarray) -> np.ndarray:
    """Average the samples of each pixel, 0…1: (size * S, size * S) bool to (size, size, 1)."""
    count = np.zeros((samples.shape[0] // SUPERSAMPLING, samples.shape[1] // SUPERSAMPLING), dtype=np.uint8)
    for row, column in product(range(SUPERSAMPLING), repeat=2):
        count += samples[row::SUPERSAMPLING, column::SUPERSAMPLING]
    share: np.ndarray = count[..., None] / SUPERSAMPLING**2
    return share


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _curved(shape, u, v) if shape in CURVED else _within(POLYGONS[shape], u, v)


def _curved(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    squared = u * u + v * v
    disc: np.ndarray = squared < 0.81
    if shape == "ring":
        disc &= squared > 0.2
    if shape == "crescent":
        disc &= (u - 0.45) * (u - 0.45) + v * v > 0.42
    return disc


def _within(corners: tuple[tuple[float, float], ...], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Find the points inside a polygon by the even-odd rule."""
    inside = np.zeros(u.shape, dtype=bool)
    for (u0, v0), (u1, v1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if v0 != v1:
            inside ^= ((v0 > v) != (v1 > v)) & (u < u0 + (v - v0) * ((u1 - u0) / (v1 - v0)))
    return inside


def _pattern(
    rng: np.random.Generator, texture: str, u: np.ndarray, v: np.ndarray, period: float
) -> np.ndarray:
    """Return the pixels of the second colour, (H, W) bool."""
    shift_u, shift_v = rng.random(2)
    wave_u, wave_v = triangle_wave(u / period + shift_u), triangle_wave(v / period + shift_v)
    if texture == "striped":
        return np.asarray(wave_v > 0.5)
    if texture == "checked":
        return np.asarray((wave_u > 0.5) ^ (wave_v > 0.5))
    if texture == "dotted":
        return np.asarray(np.minimum(wave_u, wave_v) > 0.4)
    if texture == "speckled":
        cells = rng.random((64, 64))
        column, row = (np.floor(4.0 * axis / period).astype(np.int64) % 64 for axis in (u, v))
        return np.asarray(cells[row, column] > 0.6)
    return np.zeros(u.shape, dtype=bool)


def _photo(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a cluttered background, dark or bright, and two colours that contrast with it."""
    dark = rng.random() < 0.5
    low = 20.0 if dark else 150.0
    ends = low + 85.0 * rng.random((2, 3))
    blend = (0.6 * smooth_noise(rng, size, 3) + 0.4 * smooth_noise(rng, size, 9))[..., None]
    background = ends[0] + (ends[1] - ends[0]) * blend
    x, y = pixel_grid(size)
    for _ in range(3):
        cosine, sine = direction(rng, 1.0, 1)
        band = np.abs((x - rng.random()) * cosine + (y - rng.random()) * sine) < 0.02 + 0.05 * rng.random()
        background = np.where(band[..., None], low + 85.0 * rng.random(3), background)
    return background, _two_colours(rng, bright=dark, spread=70.0)


def _drawing(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a pale and even background, and two full colours."""
    background = 222.0 + 30.0 * rng.random(3)
    return background, _two_colours(rng, bright=rng.random() < 0.5, spread=120.0)


def _two_colours(rng: np.random.Generator, bright: bool, spread: float) -> np.ndarray:
    """Draw two colours that clearly differ in brightness: (2, 3) grey levels."""
    base = (135.0 if bright else 40.0) + spread * (rng.random(3) - 0.3)
    step = 75.0 if rng.random() < 0.5 else -75.0
    if not bright:
        base, step = np.clip(base, 10.0, 120.0), abs(step) * 0.7
    return np.clip(np.stack([base + step * 0.5, base - step * 0.5]), 0.0, 255.0)
