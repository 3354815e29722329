"""MNIST-1D drawn by code is the published data set, and its manifest tells another one from it."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from reference.data import DRAWN, mnist1d, open_dataset
from reference.errors import InputError

published = pytest.importorskip("mnist1d.data")


@pytest.fixture(scope="module")
def package() -> dict[str, np.ndarray]:
    """The arrays that the published package draws; its draws come from numpy's global generator."""
    before = np.random.get_state()
    arrays: dict[str, np.ndarray] = published.make_dataset(published.get_dataset_args())
    np.random.set_state(before)
    return arrays


def test_arrays_are_those_of_the_published_package(package: dict[str, np.ndarray]) -> None:
    signals, labels = mnist1d.draw_signals()
    theirs = np.concatenate([package["x"], package["x_test"]])
    np.testing.assert_array_equal(labels, np.concatenate([package["y"], package["y_test"]]))
    assert signals.dtype == theirs.dtype == np.float64
    if platform.machine() in ("x86_64", "AMD64"):
        np.testing.assert_array_equal(signals, theirs)
    else:  # scipy's compiler may join a product and a sum there, which changes the last bit
        np.testing.assert_allclose(signals, theirs, rtol=0, atol=1e-12)


def test_data_are_the_packages_in_single_precision(package: dict[str, np.ndarray]) -> None:
    data = open_dataset("mnist1d", None, image_size=40)
    np.testing.assert_allclose(data.train.images, package["x"].astype(np.float32), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(data.val.targets, package["y_test"])
    assert data.val.images.dtype == np.float32
    assert (len(data.train), len(data.val)) == (4000, 1000)
    assert np.bincount(data.val.targets).tolist() == [102, 104, 89, 106, 106, 98, 99, 96, 98, 102]
    assert data.classes == tuple("0123456789")
    assert not data.train.images.flags.writeable


def test_shuffled_moves_every_position_in_every_signal_alike() -> None:
    plain, shuffled = (open_dataset(name, None, image_size=40) for name in DRAWN)
    order = np.random.RandomState(42).permutation(40)
    assert sorted(order) == list(range(40))
    assert (order != np.arange(40)).any()
    for before, after in ((plain.train, shuffled.train), (plain.val, shuffled.val)):
        np.testing.assert_array_equal(before.images[:, order], after.images)
        np.testing.assert_array_equal(before.targets, after.targets)
    assert plain.manifest != shuffled.manifest


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_data_are_official(name: str) -> None:
    data = open_dataset(name, None, image_size=40)
    assert data.source == "official"
    assert data.manifest == mnist1d.MANIFESTS[name]
    assert data.unique_val == 1000


def test_no_value_lies_where_its_last_bit_decides_the_manifest() -> None:
    """Values are rounded for the manifest: the nearest to a boundary is a million last bits away from it."""
    signals, _ = mnist1d.draw_signals()
    steps = signals * 10**mnist1d.DECIMALS
    boundary = np.abs(steps - np.floor(steps) - 0.5).min() / 10**mnist1d.DECIMALS
    assert boundary > 1e-9
    assert np.spacing(np.abs(signals).max()) < 1e-15


def drawn_with(monkeypatch: pytest.MonkeyPatch, signals: np.ndarray, labels: np.ndarray) -> str:
    monkeypatch.setattr(mnist1d, "draw_signals", lambda: (signals, labels))
    data = mnist1d.draw("mnist1d")
    assert data.source == ("official" if data.manifest == mnist1d.MANIFESTS["mnist1d"] else "stand-in")
    return data.counts_note if data.source == "stand-in" else ""


def test_a_changed_last_bit_is_still_official(monkeypatch: pytest.MonkeyPatch) -> None:
    signals, labels = mnist1d.draw_signals()
    assert not drawn_with(monkeypatch, np.nextafter(signals, np.inf), labels)
    assert not drawn_with(monkeypatch, signals + 1e-10, labels)


@pytest.mark.parametrize("fault", ["one value", "all values", "order", "label"])
def test_other_arrays_are_not_official_and_named(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signals, labels = (array.copy() for array in mnist1d.draw_signals())
    if fault == "one value":
        signals[4321, 7] += 2e-3
    elif fault == "all values":
        signals *= 1 + 1e-4
    elif fault == "order":
        signals, labels = signals[::-1], labels[::-1]
    else:
        labels[17] = (labels[17] + 1) % 10
    note = drawn_with(monkeypatch, signals, labels)
    assert f"numpy {np.__version__}" in note
    assert mnist1d.MANIFESTS["mnist1d"][:12] in note


def test_drawing_leaves_numpys_generator_alone() -> None:
    np.random.seed(7)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    mnist1d.draw_signals.__wrapped__()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]


@pytest.mark.parametrize("option", ["classes", "train_limit", "val_limit"])
def test_official_data_are_used_whole(option: str) -> None:
    with pytest.raises(InputError, match=f"{option}: mnist1d cannot be limited"):
        open_dataset("mnist1d", None, image_size=40, **{option: 5})
