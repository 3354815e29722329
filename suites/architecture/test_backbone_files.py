"""Files that people give to ``--backbone``: every kind that torch loads is read, and each step is said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from reference.errors import InputError
from reference.models import build
from reference.models.weights import read_backbone

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """A narrow ResNet-50's, as torchvision names its keys."""
    return build("resnet50", num_classes=10, width=1).state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def moco(state: State) -> State:
    other = {key: torch.zeros_like(tensor) for key, tensor in state.items()}
    queue = {"module.queue": torch.zeros(4, 8), "module.queue_ptr": torch.zeros(1, dtype=torch.int64)}
    return prefixed(state, "module.encoder_q.") | prefixed(other, "module.encoder_k.") | queue


def byol(state: State) -> State:
    other = {key: torch.zeros_like(tensor) for key, tensor in state.items()}
    heads = {"projector.0.weight": torch.zeros(2, 2)}
    return prefixed(state, "encoder.") | prefixed(other, "target_encoder.") | heads


# What a training leaves, and the lines that say how the network was found in it.
FILES: dict[str, tuple[Callable[[State], Any], list[str]]] = {
    "a state dict": (lambda s: s, []),
    "an ordered one": (OrderedDict, []),
    "state_dict": (
        lambda s: {"state_dict": s, "epoch": 3},
        ["took the state dict under its key 'state_dict'"],
    ),
    "model": (
        lambda s: {"model": s, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, "epoch": 3},
        ["took the state dict under its key 'model'"],
    ),
    "one in another": (
        lambda s: {"state_dict": {"model": s}},
        ["took the state dict under its key 'state_dict'", "took the state dict under its key 'model'"],
    ),
    "DataParallel": (lambda s: prefixed(s, "module."), ["took the keys that begin with 'module.'"]),
    "a backbone and a head": (
        lambda s: prefixed(s, "backbone.") | {"head.0.weight": torch.zeros(2, 2)},
        ["took the keys that begin with 'backbone.'; left 1 others out"],
    ),
    "Lightning": (
        lambda s: {
            "state_dict": prefixed(s, "model.backbone."),
            "pytorch-lightning_version": "2.4.0",
            "global_step": 7,
            "callbacks": {},
        },
        ["took the state dict under its key 'state_dict'", "took the keys that begin with 'model.backbone.'"],
    ),
    "MoCo": (
        lambda s: {"state_dict": moco(s), "arch": "resnet50"},
        [
            "took the state dict under its key 'state_dict'",
            "took the keys that begin with 'module.encoder_q.'; left 322 others out",
        ],
    ),
    "BYOL": (byol, ["took the keys that begin with 'encoder.'; left 321 others out"]),
}


@pytest.mark.parametrize("ending", ["pth", "safetensors", "SAFETENSORS"])
@pytest.mark.parametrize("kind", FILES)
def test_the_network_is_found_and_how_is_said(kind: str, ending: str, state: State, tmp_path: Path) -> None:
    make, expected = FILES[kind]
    content, path = make(state), tmp_path / f"file.{ending}"
    if ending == "pth":
        torch.save(content, path)
    elif all(isinstance(value, Tensor) for value in content.values()):
        save_file({key: tensor.clone() for key, tensor in content.items()}, path)
    else:
        pytest.skip("safetensors holds tensors by name and nothing else")
    read, notes = read_backbone(path)
    assert notes == expected
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_a_file_without_the_counters_of_batch_norm_is_loaded(state: State, tmp_path: Path) -> None:
    """torch itself does not ask for them."""
    old = {
        key: torch.full_like(t, 0.5) for key, t in state.items() if not key.endswith("num_batches_tracked")
    }
    torch.save(old, tmp_path / "old.pth")
    network = build("resnet50_linear", num_classes=3, width=1)
    network.load_encoder(read_backbone(tmp_path / "old.pth")[0])
    assert (network.backbone.layer3[2].bn2.running_var == 0.5).all()
    assert network.backbone.layer3[2].bn2.num_batches_tracked == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, state: State, tmp_path: Path) -> None:
    broken = {key: tensor.clone() for key, tensor in state.items()}
    broken["layer2.0.conv1.weight"].view(-1)[3] = value
    torch.save({"state_dict": prefixed(broken, "module.")}, tmp_path / "w.pth")
    with pytest.raises(InputError) as caught:
        read_backbone(tmp_path / "w.pth")
    assert str(caught.value) == (
        f"{tmp_path / 'w.pth'}: key 'layer2.0.conv1.weight' holds values that are not finite; the training "
        "that left it diverged: save an earlier checkpoint of it"
    )


def test_what_is_left_out_may_be_anything(state: State, tmp_path: Path) -> None:
    torch.save(moco(state) | {"module.queue": torch.full((2,), float("nan"))}, tmp_path / "w.pth")
    assert read_backbone(tmp_path / "w.pth")[0].keys() == state.keys()


def test_two_networks_of_equal_rank_are_refused(state: State, tmp_path: Path) -> None:
    torch.save(prefixed(state, "left.") | prefixed(state, "right."), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"holds 2 networks, under 'left\.', 'right\.'; expected one"):
        read_backbone(tmp_path / "w.pth")


class Trainer:
    """Something that only its own code can load."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds something other than a state dict of tensors"),
        ({"state_dict": {"epoch": 3}}, "holds something other than a state dict of tensors"),
        ({"model": nn.Linear(1, 1)}, "not a torch file of tensors"),
        ({"state_dict": {}, "trainer": Trainer()}, "not a torch file of tensors"),
        ({0: torch.zeros(1)}, "holds tensors under keys that are not names"),
    ],
)
def test_other_files_are_refused_with_the_remedy_for_ones_own(
    content: Any, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=message) as caught:
        read_backbone(tmp_path / "w.pth")
    assert "save it again with torch.save(model.state_dict(), FILE)" in str(caught.value)
    assert "fetch" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_backbone(tmp_path / "none.pth")
    (tmp_path / "w.SAFETENSORS").write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match="not a safetensors file of tensors"):
        read_backbone(tmp_path / "w.SAFETENSORS")
