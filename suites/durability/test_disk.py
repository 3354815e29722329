"""Full disks and folders that cannot be written: one line, exit code 2, and later it goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.runs import records
from reference.errors import DiskError
from reference.files import make_folder, write_atomically

Command = Callable[..., Any]

# what is being written when the disk is full, from which of its writes on, and what the system says
REFUSALS: list[dict[str, Any]] = [
    {"kind": "checkpoint", "nth": 2, "errno": errno.ENOSPC},  # the tensors of the first
    {"kind": "checkpoint", "nth": 3, "errno": errno.ENOSPC},  # the second
    {"kind": "checkpoint", "nth": 1, "errno": errno.EDQUOT, "only": True},
    {"kind": "cache", "nth": 3, "errno": errno.ENOSPC},
    {"kind": "figure", "nth": 1, "errno": errno.EIO},
    {"kind": "record", "nth": 1, "errno": errno.ENOSPC},
]
MORE: list[dict[str, Any]] = [
    {"kind": kind, "nth": nth, "errno": number, "only": only}
    for kind in ("checkpoint", "weights", "results", "embedding", "owner", "probe")
    for nth, number in ((1, errno.ENOSPC), (1, errno.EROFS))
    for only in (True, False)
]


@pytest.fixture(scope="module")
def expected(
    command: Command, data: Path, comparable: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("unbroken")
    done = command("run", "r4-classify", "--data", data, "--device", "cpu", "--out", out)
    assert done.code == 0, done.said
    return dict(comparable(out))


def is_one_line(ended: Any) -> bool:
    """Exit code 2 and one line next to the run's heading."""
    lines = [line for line in ended.lines if not line.startswith("[1/1]")]
    return ended.code == 2 and len(lines) == 1 and lines[0].startswith("bench: ")


def withstood(run: Command, out: Path, refusal: dict[str, Any], leftovers: Command) -> tuple[bool, str]:
    refused = run("r4-classify", out, refuse=refusal)
    said = refused.said
    whole = all(record.status == "interrupted" for record in records.read_all(out))
    return is_one_line(refused) and whole and not leftovers(out), said


@pytest.mark.parametrize("several", [REFUSALS, pytest.param(MORE, marks=pytest.mark.slow)], ids=["", "slow"])
def test_a_disk_that_fills_up_stops_a_run_in_one_line_and_it_goes_on_later(
    several: list[dict[str, Any]],
    run: Command,
    expected: dict[str, Any],
    comparable: Command,
    leftovers: Command,
    tmp_path: Path,
    note: Command,
) -> None:
    held: dict[str, Any] = {}
    for number, refusal in enumerate(several):
        out = tmp_path / str(number)
        refused, said = withstood(run, out, refusal, leftovers)
        done = run("r4-classify", out)
        went_on = done.code == 0 and comparable(out) == expected
        held[str(refusal)] = True if refused and went_on else (refused, said, done.said)
    note("disk", f"the system refuses a write{', slow' if several is MORE else ''}", *_counts(held))
    assert all(value is True for value in held.values()), held


def _counts(held: dict[str, Any]) -> tuple[int, int]:
    return sum(value is True for value in held.values()), len(held)


def test_a_limit_on_file_size_stops_a_run_in_one_line(
    run: Command,
    expected: dict[str, Any],
    comparable: Command,
    leftovers: Command,
    tmp_path: Path,
    note: Command,
) -> None:
    """RLIMIT_FSIZE, which the system itself enforces: larger than the records, smaller than a checkpoint."""
    refused = run("r4-classify", tmp_path, largest_file=40_000)
    held = is_one_line(refused) and os.strerror(errno.EFBIG) in refused.said
    (record,) = records.read_all(tmp_path)
    held = held and record.status == "interrupted" and os.strerror(errno.EFBIG) in record.reason
    held = held and run("r4-classify", tmp_path).code == 0 and comparable(tmp_path) == expected
    note("disk", "a limit on file size (RLIMIT_FSIZE)", int(held), 1)
    assert held, refused


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 100 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no command mount on this system")
    if mounted.returncode:
        pytest.skip(f"may not mount a file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_file_system_that_is_full_or_read_only_stops_a_run_in_one_line(
    run: Command, leftovers: Command, small_disk: Path, note: Command
) -> None:
    full = run("r4-classify", small_disk)
    held = {
        "full": is_one_line(full) and os.strerror(errno.ENOSPC) in full.said and not leftovers(small_disk)
    }
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    fixed = run("r4-classify", small_disk / "new")
    held["read-only"] = is_one_line(fixed) and os.strerror(errno.EROFS) in fixed.said
    note("disk", "a small file system, full or read-only", sum(held.values()), len(held))
    assert all(held.values()), (held, full, fixed)


@pytest.mark.parametrize("words", [("run", "r4-classify"), ("report",), ("publish", "--from")])
def test_a_file_in_a_folders_place_is_named(
    words: tuple[str, ...], command: Command, data: Path, tmp_path: Path, note: Command
) -> None:
    (tmp_path / "taken").write_text("somebody's")
    options = {"run": ["--data", data, "--device", "cpu"], "publish": [_a_run(command, data, tmp_path)]}
    ended = command(*words, *options.get(words[0], []), "--out", tmp_path / "taken" / "out")
    held = is_one_line(ended) and str(tmp_path / "taken") in ended.said
    held = held and (tmp_path / "taken").read_text() == "somebody's"
    note("disk", f"a file where the folder of bench {words[0]} belongs", int(held), 1)
    assert held, ended


def _a_run(command: Command, data: Path, folder: Path) -> Path:
    out = folder / "runs"
    if not out.exists():
        assert command("run", "r4-classify", "--data", data, "--device", "cpu", "--out", out).code == 0
        _published(out)
    return out


def _published(out: Path) -> None:
    """A record of committed code, whatever this checkout is."""
    for path in records.paths(out):
        body = json.loads(path.read_text())
        body["provenance"] |= {"commit": "0123456789abcdef" * 3, "dirty": False}
        del body["content_hash"]
        path.write_text(json.dumps(body | {"content_hash": records.hash_of(body)}))


def test_what_was_there_stays_when_a_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"old")
    pwrite = os.pwrite

    def full(file: int, data: memoryview, offset: int) -> int:
        if offset:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data[:3], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(
        DiskError, match=r"file: cannot be written \(No space left on device\); free some space"
    ):
        write_atomically(path, b"new and longer", before=tmp_path / "before")
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
    with pytest.raises(DiskError, match="a file has the name of a needed folder"):
        make_folder(path / "below")


@pytest.mark.parametrize("kept", [False, True])
def test_content_reaches_the_disk_before_its_name_does(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut between the two must not leave a name over nothing."""
    path, calls = tmp_path / "a.json", list[str]()
    path.write_bytes(b"old")
    sync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        there = Path(f"/proc/self/fd/{descriptor}").resolve()
        calls.append("fsync folder" if there.is_dir() else f"fsync {os.fstat(descriptor).st_size} bytes")
        sync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        calls.append(f"rename to {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_atomically(path, b"content", before=tmp_path / "old.json" if kept else None)
    aside = ["rename to old.json"] if kept else []
    assert calls == ["fsync 7 bytes", *aside, "rename to a.json", "fsync folder"]
