"""The cache of decoded images: reused, never wrong, never torn, whoever dies while writing it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.data.decode
from reference.data import open_dataset
from reference.data.cache import cached_array, in_threads
from reference.errors import InputError

SHAPE = (50, 3, 5)
ROOT = Path(__file__).parents[2]


def item(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, SHAPE[1:], dtype=np.uint8)


EXPECTED = np.stack([item(i) for i in range(SHAPE[0])])


class Counted:
    """``item``, counting how often it is called."""

    def __init__(self) -> None:
        self.calls = 0
        self.lock = threading.Lock()

    def __call__(self, index: int) -> np.ndarray:
        with self.lock:
            self.calls += 1
        return item(index)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_in_memory_and_on_disk_are_alike(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "new" / "folder"):
        array = cached_array(folder, "a", SHAPE, item)
        np.testing.assert_array_equal(array, EXPECTED)
        assert array.dtype == np.uint8
        assert not array.flags.writeable


def test_numpy_reads_the_file(tmp_path: Path) -> None:
    cached_array(tmp_path, "a", SHAPE, item)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False), EXPECTED)
    assert files(tmp_path) == ["a.npy"]


def test_second_opening_makes_nothing(tmp_path: Path) -> None:
    fill = Counted()
    for _ in range(3):
        np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, fill), EXPECTED)
    assert fill.calls == SHAPE[0]


def test_on_disk_array_is_a_memory_map(tmp_path: Path) -> None:
    for _ in range(2):
        assert isinstance(cached_array(tmp_path, "a", SHAPE, item), np.memmap)


def test_nothing_to_store(tmp_path: Path) -> None:
    assert cached_array(tmp_path / "c", "a", (0, 4, 4, 3), item).shape == (0, 4, 4, 3)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("shape", [(50, 5, 3), (49, 3, 5), (50, 15), (25, 6, 5)])
def test_another_shape_is_made_anew(tmp_path: Path, shape: tuple[int, ...]) -> None:
    cached_array(tmp_path, "a", shape, lambda i: np.zeros(shape[1:], dtype=np.uint8))
    np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, item), EXPECTED)


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, position: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cached_array(folder, "a", SHAPE, item)
    blob = bytearray((folder / "a.npy").read_bytes())
    blob[int(position * len(blob))] ^= 1 << bit
    (folder / "a.npy").write_bytes(blob)
    fill = Counted()
    np.testing.assert_array_equal(cached_array(folder, "a", SHAPE, fill), EXPECTED)
    assert fill.calls == SHAPE[0]


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b[:400], lambda b: b[:40], lambda b: b"", lambda b: b + b"x"]
)
def test_torn_file_is_made_anew(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    cached_array(tmp_path, "a", SHAPE, item)
    path = tmp_path / "a.npy"
    path.write_bytes(change(path.read_bytes()))
    fill = Counted()
    np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, fill), EXPECTED)
    assert fill.calls == SHAPE[0]


def test_swapped_items_are_noticed(tmp_path: Path) -> None:
    """Each item has its own checksum; their order counts too."""
    cached_array(tmp_path, "a", SHAPE, item)
    path = tmp_path / "a.npy"
    blob = path.read_bytes()
    start = len(blob) - 32 - EXPECTED.size
    swapped = blob[:start] + blob[start + 15 : start + 30] + blob[start : start + 15] + blob[start + 30 :]
    path.write_bytes(swapped)
    np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, item), EXPECTED)


def test_first_error_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(index: int) -> np.ndarray:
        if index >= 20:
            raise InputError(f"{index}: bad")
        return item(index)

    with pytest.raises(InputError, match="20: bad"):
        cached_array(tmp_path, "a", SHAPE, fill)
    assert files(tmp_path) == []


def test_item_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="item 0 is"):
        cached_array(tmp_path, "a", SHAPE, lambda i: np.zeros((5, 3), dtype=np.uint8))
    assert files(tmp_path) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond ``size`` bytes of a file, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        largest_file(500),
        pytest.raises(InputError, match=r"a\.npy: cannot write the cache \(File too large\)"),
    ):
        cached_array(tmp_path, "a", SHAPE, item)
    assert files(tmp_path) == []
    np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, item), EXPECTED)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may write less than it was given."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, data[:7], offset))
    np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, item), EXPECTED)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match=r"f/a\.npy: cannot write the cache"):
        cached_array(tmp_path / "f", "a", SHAPE, item)


def test_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(InputError, match=r"a\.npy: cannot write the cache \(Is a directory\)"):
        cached_array(tmp_path, "a", SHAPE, item)


DIE = """
import os, sys, numpy as np
from pathlib import Path
from reference.data.cache import cached_array
def fill(i):
    if i == 30:
        os.kill(os.getpid(), 9)
    return np.zeros((3, 5), dtype=np.uint8)
cached_array(Path(sys.argv[1]), "a", (50, 3, 5), fill)
"""


def test_killed_builder_leaves_no_cache(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left = files(tmp_path)
    assert len(left) == 1
    assert left[0].endswith(".tmp")
    np.testing.assert_array_equal(cached_array(tmp_path, "a", SHAPE, item), EXPECTED)
    # It stays for a day, in case that its builder is alive after all.
    assert files(tmp_path) == sorted([*left, "a.npy"])
    old = time.time() - 25 * 3600
    os.utime(tmp_path / left[0], (old, old))
    cached_array(tmp_path, "b", SHAPE, item)
    assert files(tmp_path) == ["a.npy", "b.npy"]


def test_many_threads_build_at_once(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def build(_: int) -> np.ndarray:
        barrier.wait()
        return cached_array(tmp_path, "a", SHAPE, item)

    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(build, range(8)))
    for array in arrays:
        np.testing.assert_array_equal(array, EXPECTED)
    assert files(tmp_path) == ["a.npy"]


BUILD = """
import sys, numpy as np
from pathlib import Path
from reference.data.cache import cached_array
def fill(i):
    return np.random.default_rng(i).integers(0, 256, (3, 5), dtype=np.uint8)
sys.stdin.readline()
print(int(cached_array(Path(sys.argv[1]), "a", (50, 3, 5), fill).astype(np.int64).sum()))
"""


def test_many_processes_build_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(tmp_path)]
    builders = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for builder in builders:
        assert builder.stdin is not None
        builder.stdin.write("go\n")
        builder.stdin.flush()
    sums = {builder.communicate(timeout=60)[0].strip() for builder in builders}
    assert sums == {str(int(EXPECTED.astype(np.int64).sum()))}
    assert files(tmp_path) == ["a.npy"]


def test_a_map_outlives_its_file(tmp_path: Path) -> None:
    array = cached_array(tmp_path, "a", SHAPE, item)
    (tmp_path / "a.npy").unlink()
    cached_array(tmp_path, "a", SHAPE, lambda i: np.zeros(SHAPE[1:], dtype=np.uint8))
    np.testing.assert_array_equal(array, EXPECTED)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cached_array(tmp_path, "a", SHAPE, item, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (50, 50)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    seen.clear()
    cached_array(tmp_path, "a", SHAPE, item, lambda done, total: seen.append((done, total)))
    assert seen == []


@given(st.integers(0, 100))
def test_threads_keep_the_order(count: int) -> None:
    assert list(in_threads(lambda i: i * i, count)) == [i * i for i in range(count)]


# --- data sets in the cache -----------------------------------------------------------------------------


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were decoded, in no particular order."""
    names: list[str] = []
    original = reference.data.decode.decode_image

    def counted(blob: bytes, name: str) -> object:
        names.append(Path(name).name)
        return original(blob, name)

    monkeypatch.setattr(reference.data.decode, "decode_image", counted)
    return names


def test_second_opening_decodes_nothing(classification50: Path, tmp_path: Path, decodings: list[str]) -> None:
    cache = tmp_path / "cache"
    first = open_dataset("classification50", classification50, image_size=8, cache=cache)
    assert len(decodings) == 18
    second = open_dataset("classification50", classification50, image_size=8, cache=cache)
    assert len(decodings) == 18
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.manifest == second.manifest
    open_dataset("classification50", classification50, image_size=9, cache=cache)
    assert len(decodings) == 36


def test_one_changed_byte_is_seen_even_with_its_old_time(
    classification50: Path, tmp_path: Path, decodings: list[str]
) -> None:
    cache = tmp_path / "cache"
    path = classification50 / "p1_data" / "val_50" / "1_8.png"
    path.write_bytes(path.read_bytes() + b"a")  # behind the image's end, where no decoder looks
    stat = path.stat()
    first = open_dataset("classification50", classification50, image_size=12, cache=cache)
    path.write_bytes(path.read_bytes()[:-1] + b"b")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    decodings.clear()
    second = open_dataset("classification50", classification50, image_size=12, cache=cache)
    # Only the split that it is in was decoded again.
    assert len(decodings) == 6
    assert first.manifest != second.manifest
    np.testing.assert_array_equal(first.val.images, second.val.images)


def test_changed_pixels_are_seen(
    classification50: Path, tmp_path: Path, write_image: Callable[..., None]
) -> None:
    cache = tmp_path / "cache"
    open_dataset("classification50", classification50, image_size=12, cache=cache)
    write_image(classification50 / "p1_data" / "val_50" / "1_8.png", 4242)
    data = open_dataset("classification50", classification50, image_size=12, cache=cache)
    expected = np.random.default_rng(4242).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(data.val.images[data.val.ids.index("1_8")], expected)


def test_another_pillow_decodes_anew(
    classification50: Path, tmp_path: Path, decodings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its decoders decide about single grey levels."""
    open_dataset("classification50", classification50, image_size=12, cache=tmp_path / "cache")
    decodings.clear()
    monkeypatch.setattr(reference.data.decode, "pillow_version", "99.0")
    open_dataset("classification50", classification50, image_size=12, cache=tmp_path / "cache")
    assert len(decodings) == 18


def test_masks_are_cached_under_their_palette(landcover: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    open_dataset("landcover", landcover, image_size=16, cache=cache)
    assert len(files(cache)) == 4
    colours = ["#FFFFFF", "#0000FF", "#00FF00", "#FF00FF", "#FFFF00", "#00FFFF"]
    (landcover / "p2_data" / "dataset.toml").write_text(
        f'name = "turned"\nclasses = ["a", "b", "c", "d", "e", "f"]\npalette = {colours}\n'
        'unknown = { index = 6, colour = "#000000" }\n'
    )
    turned = open_dataset("landcover", landcover, image_size=16, cache=cache)
    straight = np.random.default_rng(0).permutation(np.arange(256) % 7).reshape(16, 16)
    np.testing.assert_array_equal(turned.train.targets[0], np.array([5, 4, 3, 2, 1, 0, 6])[straight])
    assert len(files(cache)) == 6


def test_file_that_changes_between_two_readings_is_noticed(
    classification50: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: dict[Path, int] = {}

    def flickering(path: Path) -> bytes:
        readings[path] = readings.get(path, 0) + 1
        return path.read_bytes() + b"\0" * readings[path]

    monkeypatch.setattr(reference.data.decode, "read_bytes", flickering)
    with pytest.raises(InputError, match=r"0_8\.png: changed while the data was read"):
        open_dataset("classification50", classification50, image_size=8, cache=tmp_path / "cache")
    assert files(tmp_path / "cache") == []
