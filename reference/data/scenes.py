"""Land-cover scenes drawn by code: fields, towns, woods and water from above, with their masks.

Colours alone do not separate the classes. Agriculture and rangeland share their colours, and so do forest and
murky water, urban and barren. Stripes, blocks, crowns, shrubs and smoothness separate them.
"""

from __future__ import annotations

import numpy as np

from reference.data.dataset import OFFICIAL_PALETTE
from reference.data.noise import direction, pixel_grid, smooth_noise, to_uint8, triangle_wave

URBAN, AGRICULTURE, RANGELAND, FOREST, WATER, BARREN = range(6)
UNKNOWN = OFFICIAL_PALETTE.unknown_index

# How often a region is of a class; rivers add to water. Uneven like the official data, but less extreme.
SHARES = (0.15, 0.36, 0.15, 0.16, 0.06, 0.12)
# Two base colours for each class; a region takes one. The two classes of a pair share them.
COLOURS = np.array(
    [
        [(158, 150, 138), (130, 126, 122)],  # urban
        [(150, 136, 92), (104, 122, 66)],  # agriculture: dry, green
        [(150, 136, 92), (104, 122, 66)],  # rangeland: dry, green
        [(52, 78, 46), (66, 88, 50)],  # forest
        [(44, 66, 84), (56, 82, 56)],  # water: blue, murky
        [(182, 168, 146), (158, 150, 138)],  # barren
    ],
    dtype=np.float64,
)
CLOUD = np.array((226.0, 229.0, 233.0))
RIVER_SHARE = 0.4
MOST_UNKNOWN = 0.04


def draw_scene(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene: image (size, size, 3) uint8 and mask (size, size) uint8 in the official classes."""
    region, kinds = _regions(rng, size)
    kinds = np.append(kinds, WATER)
    region = np.where(_river(rng, size), len(kinds) - 1, region)
    mask = kinds[region]
    image = _base_colours(rng, kinds)[region] * _brightness(rng, size, kinds, region, mask)[..., None]
    image += 9.0 * (rng.random((size, size, 1)) - 0.5) + 5.0 * (rng.random((size, size, 3)) - 0.5)
    cover = _clouds(rng, size)
    image += (CLOUD - image) * cover[..., None]
    return to_uint8(image), np.where(cover > 0.5, UNKNOWN, mask).astype(np.uint8)


def _regions(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw Voronoi cells with wobbling borders: (size, size) cell numbers and each cell's class."""
    x, y = pixel_grid(size)
    x = x + 0.16 * (smooth_noise(rng, size, 6) - 0.5) + 0.05 * (smooth_noise(rng, size, 17) - 0.5)
    y = y + 0.16 * (smooth_noise(rng, size, 6) - 0.5) + 0.05 * (smooth_noise(rng, size, 17) - 0.5)
    count = int(rng.integers(7, 14))
    sites = rng.random((count, 2))
    nearest, region = np.full((size, size), np.inf), np.zeros((size, size), dtype=np.int64)
    for cell, (site_x, site_y) in enumerate(sites):
        squared = (x - site_x) * (x - site_x) + (y - site_y) * (y - site_y)
        region[squared < nearest] = cell
        nearest = np.minimum(nearest, squared)
    return region, np.searchsorted(np.cumsum(SHARES)[:-1], rng.random(count), side="right")


def _river(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw, in some scenes, a winding band from edge to edge: (size, size) bool."""
    along, across = pixel_grid(size)
    if rng.random() < 0.5:
        along, across = across, along
    middle = 0.2 + 0.6 * rng.random() + 0.35 * (smooth_noise(rng, size, 3) - 0.5)
    width = 0.03 + 0.05 * rng.random()
    flows = rng.random() < RIVER_SHARE
    tilted = across + (along - 0.5) * (rng.random() - 0.5)
    return np.asarray((np.abs(tilted - middle) < width) & flows)


def _base_colours(rng: np.random.Generator, kinds: np.ndarray) -> np.ndarray:
    """Draw the colour of each cell near one of its class's two colours: (cells, 3) grey levels."""
    chosen = COLOURS[kinds, rng.integers(0, 2, len(kinds))]
    brightness, tint = rng.random((len(kinds), 1)), rng.random((len(kinds), 3))
    return np.asarray(chosen * (0.88 + 0.24 * brightness) + 12.0 * (tint - 0.5))


def _brightness(
    rng: np.random.Generator, size: int, kinds: np.ndarray, region: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Draw the texture of every class as a factor around 1 on its colour: (size, size)."""
    x, y = pixel_grid(size)
    cosine, sine = (values[region] for values in direction(rng, 1.0, len(kinds)))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    period = (max(4.0 / size, 0.022) * (1.0 + 0.5 * rng.random(len(kinds))))[region]
    fine, coarse = rng.random((size, size)), smooth_noise(rng, size, 9)
    textures = {
        URBAN: _blocks(rng, along / (2.0 * period), across / (2.0 * period)),
        AGRICULTURE: 0.78 + 0.44 * triangle_wave(across / period),
        RANGELAND: _shrubs(rng, size, coarse),
        FOREST: 0.5 + 0.7 * smooth_noise(rng, size, max(size // 3, 8)) + 0.5 * (fine - 0.3),
        WATER: 0.96 + 0.08 * coarse,
        BARREN: 0.86 + 0.22 * coarse + 0.14 * (fine - 0.5),
    }
    result = np.empty((size, size))
    for kind, texture in textures.items():
        result = np.where(mask == kind, texture, result)
    return result


def _blocks(rng: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Draw streets around roofs; each roof is bright or dark."""
    column, row = np.floor(along).astype(np.int64), np.floor(across).astype(np.int64)
    roofs = 0.75 + 0.8 * rng.random(1024)[(column * 37 + row * 101) % 1024]
    street = np.minimum(along - column, across - row) < 0.3
    return np.where(street, 0.6, roofs)


def _shrubs(rng: np.random.Generator, size: int, coarse: np.ndarray) -> np.ndarray:
    """Draw soft patches with some dark dots."""
    dots = smooth_noise(rng, size, max(size // 4, 8))
    return np.asarray(0.84 + 0.3 * coarse - 0.4 * (dots > 0.8))


def _clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw the share that clouds cover, 0…1, (size, size); pixels above one half are unknown."""
    height = 0.75 * smooth_noise(rng, size, 4) + 0.25 * smooth_noise(rng, size, 11)
    share = MOST_UNKNOWN * rng.random()
    ranked = np.sort(height, axis=None)
    edge = ranked[min(int((1.0 - share) * ranked.size), ranked.size - 1)]
    return np.asarray(np.clip(0.5 + (height - edge) * 14.0, 0.0, 1.0))
