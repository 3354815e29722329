"""Checkpoints: what is written is the state at that moment, in order, and a damaged one is done without."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from reference.errors import DiskError
from reference.training import checkpoint
from reference.training.checkpoint import Writer


def kept(folder: Path) -> list[int]:
    """Epochs of the newest checkpoint and of the one before, as they lie on disk."""
    found = []
    while (payload := checkpoint.load(folder)[0]) is not None:
        found.append(payload["epoch"])
        next(path for name in checkpoint.NAMES if (path := folder / name).exists()).unlink()
    return found


def train(folder: Path, *, seconds: float, epochs: int, stop: type[BaseException] | None = None) -> None:
    """The part of a training that a writer sees; ``stop`` is what ends it after those epochs."""
    with Writer(folder, seconds) as writer:
        for epoch in range(1, epochs + 1):
            writer.keep({"epoch": epoch})
        if stop is not None:
            raise stop


class Gate:
    """``save`` that begins to write only once it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.open = threading.Event(), threading.Event()
        self._save = checkpoint.save
        monkeypatch.setattr(checkpoint, "save", self)

    def __call__(self, folder: Path, packed: checkpoint.Packed) -> None:
        self.begun.set()
        assert self.open.wait(60)
        self._save(folder, packed)


def test_training_goes_on_while_the_state_that_was_kept_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    weight, curve = torch.zeros(1000, requires_grad=True), [1.0]
    with Writer(tmp_path, 0.0) as writer:
        writer.keep({"model": {"weight": weight}, "curves": {"loss": curve}, "pair": (1, [weight])})
        assert gate.begun.wait(60)
        with torch.no_grad():
            weight += 1  # the next epoch
        curve.append(2.0)
        assert not list(tmp_path.iterdir())
        gate.open.set()
    payload, damaged = checkpoint.load(tmp_path)
    assert payload is not None
    assert not damaged
    assert torch.equal(payload["model"]["weight"], torch.zeros(1000))
    assert torch.equal(payload["pair"][1][0], torch.zeros(1000))
    assert payload["curves"] == {"loss": [1.0]}


def test_states_are_written_in_order_and_the_last_two_stay(tmp_path: Path) -> None:
    train(tmp_path, seconds=0.0, epochs=5)
    assert kept(tmp_path) == [5, 4]


def test_one_state_is_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with Writer(tmp_path, 0.0) as writer:
        writer.keep({"epoch": 1})
        assert gate.begun.wait(60)
        later = threading.Thread(target=writer.keep, args=({"epoch": 2},))
        later.start()
        later.join(0.05)
        assert later.is_alive(), "a state waits until the one before it is written"
        gate.open.set()
        later.join(60)
    assert kept(tmp_path) == [2, 1]


def test_between_two_checkpoints_lie_so_many_seconds(tmp_path: Path) -> None:
    with Writer(tmp_path, 1e9) as writer:
        writer.keep({"epoch": 1})
        writer.wait()
        assert kept(tmp_path) == []
        writer.keep({"epoch": 2}, last=True)
        writer.wait()
        assert kept(tmp_path) == [2]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_stops_a_run_has_its_newest_state_written(tmp_path: Path, stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        train(tmp_path, seconds=1e9, epochs=2, stop=stop)
    assert kept(tmp_path) == [2]


def test_a_full_disk_ends_the_run_at_its_next_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(folder: Path, packed: checkpoint.Packed) -> None:
        tried.append(checkpoint.unpack(packed)["epoch"])
        raise DiskError("no space left")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(DiskError, match="no space") as raised:
        train(tmp_path, seconds=0.0, epochs=3)
    assert raised.value.__context__ is None, "it is raised once"
    assert tried == [1], "nothing more is written to a disk that is full"


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt])
def test_a_full_disk_is_told_of_at_the_end_at_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException] | None
) -> None:
    def full(folder: Path, packed: checkpoint.Packed) -> None:
        raise DiskError("no space left")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(DiskError, match="no space"):
        train(tmp_path, seconds=0.0, epochs=1, stop=stop)


def test_torn_checkpoint_is_set_aside_and_the_one_before_used(tmp_path: Path) -> None:
    train(tmp_path, seconds=0.0, epochs=2)
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    middle = len(whole) // 2
    for torn in (whole[:-7], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b""):
        (tmp_path / "checkpoint.pt").write_bytes(torn)
        payload, lines = checkpoint.load(tmp_path)
        assert payload == {"epoch": 1}
        assert len(lines) == 1
        assert "checkpoint.pt" in lines[0]
        assert (tmp_path / "checkpoint.torn").exists()


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every kind of tensor that networks, optimisers and evaluations have, and plain values."""
    layer = torch.nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(layer.parameters(), amsgrad=True)
    layer(torch.randn(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    state = {
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "kinds": [torch.arange(7).to(dtype) for dtype in KINDS],
        "transposed": torch.randn(3, 5).t(),
        "expanded": torch.ones(1).expand(6),
        "none": (torch.zeros(0), torch.zeros(2, 0, 3)),
        "scalar": torch.tensor(-0.0),
        "plain": {"a": [1, 2.5, "ü", None, True], 3: (), "nan": float("nan"), "large": 2**70},
    }
    with Writer(tmp_path, 0.0) as writer:
        writer.keep(state)
    payload, damaged = checkpoint.load(tmp_path)
    assert not damaged
    assert same(payload, state)


KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


def same(found: Any, expected: Any) -> bool:
    """Equal in types, dtypes, shapes and bits."""
    if isinstance(expected, torch.Tensor):
        alike = found.dtype == expected.dtype and found.shape == expected.shape
        return alike and found.double().numpy().tobytes() == expected.detach().double().numpy().tobytes()
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        pairs = zip(found, expected, strict=True)
        return isinstance(found, type(expected)) and all(same(*pair) for pair in pairs)
    return type(found) is type(expected) and (found == expected or found != found)


def test_a_restored_tensor_is_its_own(tmp_path: Path) -> None:
    with Writer(tmp_path, 0.0) as writer:
        writer.keep({"a": torch.zeros(3), "b": torch.zeros(3)})
    payload, _ = checkpoint.load(tmp_path)
    assert payload is not None
    storages = {tensor.untyped_storage().data_ptr() for tensor in payload.values()}
    assert len(storages) == 2
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in payload.values())


def test_one_state_is_written_to_the_same_bytes(tmp_path: Path) -> None:
    """Of two tensors the first leaves a gap to the second, which holds nothing of this process's memory."""
    for name in ("a", "b"):
        with Writer(tmp_path / name, 0.0) as writer:
            writer.keep({"a": torch.ones(3), "b": torch.ones(5)})
    assert (tmp_path / "a" / "checkpoint.pt").read_bytes() == (tmp_path / "b" / "checkpoint.pt").read_bytes()


@pytest.mark.parametrize(
    "reference", [["float32", [3], 1000], ["float32", [3], 1], ["Tensor", [3], 0], ["float32", 3, 0], []]
)
def test_a_checkpoint_with_a_wrong_reference_is_set_aside(tmp_path: Path, reference: list[Any]) -> None:
    tree, content = checkpoint.pack({"a": torch.zeros(3)})
    (key,) = tree["a"]
    checkpoint.save(tmp_path, ({"a": {key: reference}}, content))
    payload, (line,) = checkpoint.load(tmp_path)
    assert payload is None
    assert "not a file of tensors and plain values" in line


def test_weights_hash_sees_every_part_of_a_state() -> None:
    state = {"a": torch.arange(4.0), "b": torch.tensor(3)}
    base = checkpoint.weights_hash(state)
    assert base == checkpoint.weights_hash({"b": torch.tensor(3), "a": torch.arange(4.0)})
    assert base != checkpoint.weights_hash({"a": torch.arange(4.0).reshape(2, 2), "b": torch.tensor(3)})
    assert base != checkpoint.weights_hash({"a": torch.arange(4.0).double(), "b": torch.tensor(3)})
    assert base != checkpoint.weights_hash({"c": torch.arange(4.0), "b": torch.tensor(3)})
