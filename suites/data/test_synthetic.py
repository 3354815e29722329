"""Drawn data: the same everywhere, whatever else is asked for, and what it claims to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reference.data import OFFICIAL_PALETTE, READERS, open_dataset
from reference.data.noise import direction, smooth_noise, triangle_wave
from reference.data.scenes import UNKNOWN, WATER, draw_scene
from reference.data.shapes import CLASSES, POLYGONS, SHAPES, TEXTURES, class_names, draw_object
from reference.data.synthetic import COUNTS, ROLES, STYLES
from reference.errors import InputError

ROOT = Path(__file__).parents[2]
# Manifests of 7 training and 3 validation images at 40 pixels: they hash every pixel.
GOLDEN = {
    "classification50": "590a1b25199ec308dbd0",
    "miniimagenet": "e3b01555a1bbe284f00d",
    "officehome": "8bb0cabe4aeffba62aaa",
    "landcover": "aa4350929c2bdae77eb8",
}
MANIFEST = """
from reference.data import open_dataset
for role in ("classification50", "miniimagenet", "officehome", "landcover"):
    print(role, open_dataset(role, None, image_size=40, train_limit=7, val_limit=3).manifest[:20])
"""


def test_registries_agree() -> None:
    assert set(ROLES) == set(READERS) == set(COUNTS)
    assert set(STYLES) == set(ROLES) - {"landcover"}


@pytest.mark.parametrize("role", ROLES)
def test_golden_pixels(role: str) -> None:
    data = open_dataset(role, None, image_size=40, train_limit=7, val_limit=3)
    assert data.manifest[:20] == GOLDEN[role]


def test_pixels_do_not_depend_on_the_processor() -> None:
    """With numpy's vector instructions off, as on an old processor; nor on how many cores there are."""
    features = (
        "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3 X86_V3 X86_V4"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MANIFEST],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == GOLDEN, done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_images_do_not_depend_on_how_many_are_drawn(role: str) -> None:
    classes = None if role == "landcover" else 10
    few = open_dataset(role, None, image_size=24, classes=classes, train_limit=5, val_limit=2)
    many = open_dataset(role, None, image_size=24, classes=classes, train_limit=33, val_limit=9)
    assert len(many.train) == 33
    for a, b in ((few.train, many.train), (few.val, many.val)):
        assert a.ids == b.ids[: len(a)]
        np.testing.assert_array_equal(a.images, b.images[: len(a)])
        np.testing.assert_array_equal(a.targets, b.targets[: len(a)])
    assert few.manifest != many.manifest


@pytest.mark.parametrize("role", ROLES)
def test_default_counts_and_facts(role: str) -> None:
    data = open_dataset(role, None, image_size=16, classes=None if role == "landcover" else 10)
    assert (len(data.train), len(data.val)) == COUNTS[role]
    assert data.source == "synthetic"
    assert data.counts_note == "drawn by code"
    assert data.unique_val == len(data.val)
    assert data.train.images.shape[1:] == (16, 16, 3)
    assert data.train.images.dtype == np.uint8
    assert not data.train.images.flags.writeable
    assert not data.train.targets.flags.writeable
    if role == "landcover":
        assert data.palette == OFFICIAL_PALETTE
        assert data.classes == (*OFFICIAL_PALETTE.classes, "unknown")
        assert data.scored == tuple(range(6))
        assert data.train.targets.dtype == np.uint8
    else:
        assert data.palette is None
        assert data.scored == tuple(range(10))
        assert data.train.targets.dtype == np.int64


@pytest.mark.parametrize("role", ROLES)
def test_no_image_twice_and_none_in_both_splits(role: str) -> None:
    data = open_dataset(role, None, image_size=16)
    images = [image.tobytes() for split in (data.train, data.val) for image in split.images]
    assert len(set(images)) == len(images)


def test_roles_do_not_share_images() -> None:
    images = [
        image.tobytes()
        for role in ("classification50", "miniimagenet", "officehome")
        for image in open_dataset(role, None, image_size=16, train_limit=20).train.images
    ]
    assert len(set(images)) == 60


@pytest.mark.parametrize(
    ("role", "count"), [("classification50", 50), ("miniimagenet", 64), ("officehome", 65)]
)
def test_all_classes_evenly(role: str, count: int) -> None:
    data = open_dataset(role, None, image_size=8)
    assert len(data.classes) == len(set(data.classes)) == count
    shares = np.bincount(data.train.targets, minlength=count)
    assert shares.min() >= 4
    assert shares.max() - shares.min() <= 1


def test_more_classes_than_can_be_drawn() -> None:
    with pytest.raises(InputError, match="classes: 66; synthetic officehome has only 65"):
        open_dataset("officehome", None, image_size=8, classes=66)


def test_classes_are_all_pairs() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == len(SHAPES) * len(TEXTURES) == 65
    assert len({shape for shape, _ in CLASSES[:10]}) == 5
    assert len({texture for _, texture in CLASSES[:10]}) == 2
    assert class_names(2) == ("plain disc", "striped disc")


@pytest.mark.parametrize("shape", sorted(POLYGONS))
def test_shapes_stay_within_their_circle(shape: str) -> None:
    """So no object is cut off by the border."""
    assert max(u * u + v * v for u, v in POLYGONS[shape]) <= 1.16


def test_every_class_is_recognisably_another() -> None:
    """Drawn with one and the same random numbers, any two classes differ in several pixels of 1,024."""
    images = np.stack([draw_object(np.random.default_rng(3), 32, k, "drawing") for k in range(65)]).astype(
        int
    )
    differing = (np.abs(images[:, None] - images[None]).max(-1) > 40).mean((-1, -2))
    assert differing[~np.eye(65, dtype=bool)].min() > 0.005


def test_styles_are_shifted() -> None:
    """A drawing's background is pale and even, a photo's is neither."""
    corners = {}
    for role in ("miniimagenet", "officehome"):
        images = open_dataset(role, None, image_size=32, train_limit=100).train.images.astype(float)
        corners[role] = images[:, :4, :4].reshape(100, -1)
    assert corners["officehome"].mean() > 215 > corners["miniimagenet"].mean() + 30
    assert np.median(corners["officehome"].std(1)) < 0.7 * np.median(corners["miniimagenet"].std(1))


# --- land cover -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64, 128])
def test_class_shares(size: int) -> None:
    data = open_dataset("landcover", None, image_size=size)
    for split in (data.train, data.val):
        shares = np.bincount(split.targets.ravel(), minlength=7) / split.targets.size
        assert len(shares) == 7
        assert 0.01 <= shares[UNKNOWN] <= 0.03
        assert shares[:6].min() >= 0.04
        assert shares[:6].argmax() == 1
        assert shares[:6].max() > 2 * shares[:6].min()


def test_regions_are_regions() -> None:
    """Nearly all neighbours are of one class, as in a map, and a scene holds several classes."""
    masks = open_dataset("landcover", None, image_size=64).train.targets
    assert (masks[:, 1:] == masks[:, :-1]).mean() > 0.93
    assert np.mean([len(np.unique(mask)) for mask in masks]) > 4


def test_neighbouring_classes_share_colours_but_not_texture() -> None:
    data = open_dataset("landcover", None, image_size=128, train_limit=24)
    grey = data.train.images.astype(float).mean(-1)
    mask = data.train.targets
    mean = np.array([grey[mask == k].mean() for k in range(6)])
    inner = (mask[:, 1:, 1:] == mask[:, :-1, 1:]) & (mask[:, 1:, 1:] == mask[:, 1:, :-1])
    slope = np.abs(grey[:, 1:, 1:] - grey[:, :-1, 1:]) + np.abs(grey[:, 1:, 1:] - grey[:, 1:, :-1])
    rough = np.array([slope[inner & (mask[:, 1:, 1:] == k)].mean() for k in range(6)])
    spread = np.array([grey[mask == k].std() for k in range(6)])
    for smooth, textured in ((2, 1), (4, 3), (5, 0)):
        assert abs(mean[smooth] - mean[textured]) < 1.5 * max(spread[smooth], spread[textured])
        assert rough[textured] > 1.4 * rough[smooth]


def test_scene_keeps_its_layout_at_another_size() -> None:
    small, large = (draw_scene(np.random.default_rng(0), size)[1] for size in (64, 128))
    assert (np.kron(small, np.ones((2, 2))) == large).mean() > 0.85


def test_some_scenes_have_a_river() -> None:
    """Rows or columns that all hold water, yet little of it: no region is so long and thin."""
    masks = open_dataset("landcover", None, image_size=64).train.targets
    water = masks == WATER
    through = (water.any(2).mean(1) > 0.9) | (water.any(1).mean(1) > 0.9)
    thin = water.mean((1, 2)) < 0.2
    assert 0.15 < (through & thin).mean() < 0.6


# --- noise ----------------------------------------------------------------------------------------------


def test_smooth_noise_is_smooth_and_within_bounds() -> None:
    noise = smooth_noise(np.random.default_rng(0), 200, 5)
    assert noise.shape == (200, 200)
    assert noise.min() >= 0
    assert noise.max() <= 1
    assert noise.std() > 0.1
    # At most the lattice's largest step, times the blend's steepest slope 1.5, over 40 pixels a cell.
    assert np.abs(np.diff(noise, axis=0)).max() <= 1.5 / 40 + 1e-9


def test_direction_is_a_unit_vector() -> None:
    cosine, sine = direction(np.random.default_rng(0), 1.0, 1000)
    np.testing.assert_allclose(cosine * cosine + sine * sine, 1.0, atol=1e-15)
    assert cosine.min() >= 0
    assert sine.min() < -0.95
    assert sine.max() > 0.95


def test_triangle_wave() -> None:
    wave = triangle_wave(np.array([-1.0, -0.25, 0.0, 0.125, 0.25, 0.5, 1.5]))
    assert wave.tolist() == [1.0, 0.5, 1.0, 0.75, 0.5, 0.0, 0.0]
