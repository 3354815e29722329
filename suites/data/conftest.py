"""Small data sets in the official layout, written as real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reference.data import OFFICIAL_PALETTE

REAL = Path(__file__).parents[2].parent / "shared" / "data"


def _write_image(path: Path, seed: int, size: tuple[int, int] = (12, 12)) -> None:
    """Write random pixels; ``size`` is (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")


def _write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(OFFICIAL_PALETTE.encode(mask)).save(path, format="PNG")


def _write_csv(path: Path, labels: dict[str, str]) -> None:
    rows = [f"{i},{name},{label}" for i, (name, label) in enumerate(labels.items())]
    path.write_text("\n".join(["id,filename,label", *rows, ""]), encoding="utf-8")


@pytest.fixture
def write_image() -> Callable[..., None]:
    """``write_image(path, seed, size)``: a file of random pixels."""
    return _write_image


@pytest.fixture
def write_mask() -> Callable[..., None]:
    """``write_mask(path, mask)``: class indices in the official colours."""
    return _write_mask


@pytest.fixture
def write_csv() -> Callable[..., None]:
    """``write_csv(path, {filename: label})``."""
    return _write_csv


@pytest.fixture
def classification50(tmp_path: Path) -> Path:
    """3 classes, 4 training and 2 validation images each."""
    for split, count in (("train_50", 4), ("val_50", 2)):
        for label in range(3):
            for i in range(count):
                seed = label * 100 + i + 1000 * count
                _write_image(tmp_path / "p1_data" / split / f"{label}_{i + 8}.png", seed)
    return tmp_path


@pytest.fixture
def officehome(tmp_path: Path) -> Path:
    """3 named classes, 4 training and 2 validation images each."""
    for split, count in (("train", 4), ("val", 2)):
        labels = {f"{name}{i:05d}.jpg": name for name in ("Mug", "Bed", "Desk") for i in range(count)}
        for seed, name in enumerate(labels):
            _write_image(tmp_path / "p1_data" / "office" / split / name, seed + 1000 * count)
        _write_csv(tmp_path / "p1_data" / "office" / f"{split}.csv", labels)
    return tmp_path


@pytest.fixture
def miniimagenet(tmp_path: Path) -> Path:
    """8 images of 2 classes."""
    labels = {f"n0{k}00000{i}.jpg": f"n0{k}" for k in range(2) for i in range(4)}
    for seed, name in enumerate(labels):
        _write_image(tmp_path / "p1_data" / "mini" / "train" / name, seed)
    _write_csv(tmp_path / "p1_data" / "mini" / "train.csv", labels)
    return tmp_path


@pytest.fixture
def landcover(tmp_path: Path) -> Path:
    """4 training and 2 validation pairs of 16 x 16, all seven classes in each mask."""
    for split, count in (("train", 4), ("validation", 2)):
        for i in range(count):
            folder = tmp_path / "p2_data" / split
            _write_image(folder / f"{i:04d}_sat.jpg", i + 100 * count, (16, 16))
            mask = np.random.default_rng(i).permutation(np.arange(256) % 7).reshape(16, 16).astype(np.uint8)
            _write_mask(folder / f"{i:04d}_mask.png", mask)
    return tmp_path


@pytest.fixture
def source_of_role(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """The small data set of a role, made when asked for."""

    def make(role: str) -> Path:
        path = request.getfixturevalue(role)
        assert isinstance(path, Path)
        return path

    return make


@pytest.fixture
def real_data() -> Path:
    """Real images next to the project, where there are any."""
    if not REAL.is_dir():
        pytest.skip("no real images next to the project (../shared/data)")
    return REAL
