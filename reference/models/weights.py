"""Pretrained weights: the files, their folder, and the mapping from their keys to a model's.

Nothing here downloads. If a file is missing, the error is one line with the command that downloads it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from reference import outside
from reference.errors import InputError, WeightsMissingError

# torchvision's own files; their names end in the first eight hexadecimal digits of the SHA-256.
WEIGHTS: dict[str, str] = {
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "deeplabv3_resnet50_coco": "deeplabv3_resnet50_coco-cd0a2569.pth",
}

HOST = "https://download.pytorch.org/models"


@dataclass(frozen=True, kw_only=True)
class KeyMap:
    """The mapping from the keys of one weights file to a model's.

    Attributes:
        prefixes: the file's key prefix → the model's, or None if the model has no such part.
            The longest matching prefix counts; a key that matches none is an error.
        fresh: the model's prefixes that the file does not hold; they keep their initial weights.
        head: the model's prefixes whose shape depends on the number of classes. If the model and the file
            differ in this number, they keep their initial weights.
        num_classes: number of classes that the file was trained on.
        reshaped: the model's keys whose tensors the file holds in another shape.
    """

    prefixes: Mapping[str, str | None]
    fresh: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    num_classes: int = 1000
    reshaped: tuple[str, ...] = ()

    def rename(self, key: str) -> str | None:
        """Return the model's name for a file's key, or None if the model leaves it out. Raises: KeyError."""
        matches = [prefix for prefix in self.prefixes if key.startswith(prefix)]
        if not matches:
            raise KeyError(key)
        longest = max(matches, key=len)
        own_prefix = self.prefixes[longest]
        return None if own_prefix is None else own_prefix + key.removeprefix(longest)


class Trunk(nn.Module):
    """A network that can load pretrained weights; it has a width, a number of classes and key maps."""

    width: int
    num_classes: int
    pretrained: dict[str, KeyMap]


def check_sizes(num_classes: int, width: int) -> None:
    """Raise InputError unless both are positive integers."""
    for name, value in (("num_classes", num_classes), ("width", width)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name}: found {value!r}, expected an integer of at least 1")


def check_image(x: Tensor, smallest: int, network: nn.Module) -> None:
    """Raise ValueError unless both sides of (B, C, H, W) have the network's smallest number of pixels."""
    height, width = x.shape[-2:]
    if min(height, width) < smallest:
        name = type(network).__name__
        raise ValueError(f"image of {height}×{width}: {name} needs at least {smallest} pixels a side")


def weights_folder(folder: Path | None = None) -> Path:
    """Return the folder of weights files: the given one, else torch hub's checkpoints (``TORCH_HOME``)."""
    return Path(torch.hub.get_dir()) / "checkpoints" if folder is None else folder


def find_weights(name: str, folder: Path | None = None) -> Path:
    """Return the file that holds the named weights.

    Args:
        name: key of ``WEIGHTS``, or the import path of weights of torchvision's kind, which have a ``url``.

    Raises:
        InputError: no weights of that name.
        WeightsMissingError: the file is not in the folder; the message has the command that fetches it.
    """
    if outside.is_import_path(name):
        url = getattr(outside.find_any(name, "init"), "url", None)
        if not isinstance(url, str):
            raise InputError(f"init {name!r}: has no url, expected torchvision's weights")
    elif name in WEIGHTS:
        url = f"{HOST}/{WEIGHTS[name]}"
    else:
        raise InputError(f"weights {name!r}: no such name; known are {', '.join(sorted(WEIGHTS))}")
    place = weights_folder(folder)
    path = place / url.rpartition("/")[2]
    if not path.is_file():
        fetch = f"curl -L --create-dirs -o '{path}' {url}"
        raise WeightsMissingError(f"weights {name!r}: {path.name} is not in {place}; fetch it with: {fetch}")
    return path


def checked_sha256(path: Path) -> str:
    """Return the SHA-256 of a weights file; its name must hold the first digits. Raises: InputError."""
    suffix = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    if suffix is None:
        raise InputError(f"{path}: expected a name like vgg16-397923af.pth, which ends in the file's SHA-256")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not digest.startswith(suffix[1]):
        raise InputError(
            f"{path}: its SHA-256 begins {digest[:8]}, its name says {suffix[1]}; "
            "the file is damaged or another one: delete it and download it again"
        )
    return digest


def load_weights(path: Path) -> dict[str, Tensor]:
    """Check the hash of a weights file and return its tensors, on the CPU.

    Raises:
        InputError: hash and name differ, or the file is not a torch file that holds tensors only.
    """
    checked_sha256(path)
    return _read(path)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors or torch file whose name has no hash, on the CPU.

    Raises:
        InputError: no such file, or one that holds anything but tensors by name.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; expected a state dict")
    return _state_dict(path, _content(path, OWN_REMEDY), OWN_REMEDY)


def read_backbone(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read a ResNet-50 from a user's own file: its tensors by torchvision's names, and how they were found.

    The file is a state dict, or a checkpoint that holds one under a key of ``NESTS`` (Lightning, MoCo).
    Its keys may have a prefix such as ``module.`` or ``backbone.``. If a file holds several networks, the
    trained one counts (``ONLINE``). Keys without the prefix are left out.

    Returns:
        The tensors, and a line for each step away from a plain state dict.

    Raises:
        InputError: no such file, anything but tensors in it, several ResNets, a value that is not finite.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; expected a ResNet-50's state dict")
    content, notes = _content(path, OWN_REMEDY), list[str]()
    while (key := next((key for key in NESTS if _is_nest(content, key)), None)) is not None:
        content = content[key]
        notes.append(f"took the state dict under its key {key!r}")
    state = _state_dict(path, content, OWN_REMEDY)
    prefix = _prefix_of_resnet(path, state)
    if prefix:
        taken = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
        left = len(state) - len(taken)
        notes.append(
            f"took the keys that begin with {prefix!r}" + (f"; left {left} others out" if left else "")
        )
        state = taken
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(
                f"{path}: key {key!r} holds values that are not finite; the training that left it diverged: "
                "save an earlier checkpoint of it"
            )
    return state, notes


OWN_REMEDY = "save it again with torch.save(model.state_dict(), FILE)"
NESTS = ("state_dict", "model", "model_state_dict")
# If a file holds two networks (MoCo, BYOL), the trained one has one of these words in its prefix.
ONLINE = ("encoder_q", "base_encoder", "online", "online_encoder", "student", "encoder")


def _is_nest(content: Any, key: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(key), dict)


def _prefix_of_resnet(path: Path, state: Mapping[str, Tensor]) -> str:
    """Return the prefix of a ResNet's keys; "" if they have none, or if there is no ResNet."""
    stem, last = "conv1.weight", "layer4.0.conv1.weight"
    prefixes = [key.removesuffix(stem) for key in state if key.endswith(stem)]
    prefixes = [prefix for prefix in prefixes if prefix + last in state]
    if "" in prefixes or not prefixes:
        return ""  # unchanged: if this is not a ResNet, the first key that does not fit raises an error
    online = [prefix for prefix in prefixes if set(prefix.split(".")) & set(ONLINE)]
    chosen = prefixes if len(prefixes) == 1 else online
    if len(chosen) != 1:
        raise InputError(
            f"{path}: holds {len(prefixes)} networks, under {', '.join(map(repr, prefixes))}; expected one; "
            f"{OWN_REMEDY} of one of them"
        )
    return chosen[0]


def _content(path: Path, remedy: str) -> Any:
    """Read a file without running anything in it; tensors are on the CPU."""
    kind = "safetensors" if path.suffix.lower() == ".safetensors" else "torch"
    try:
        if kind == "safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    # neither library documents its exceptions for files of another format
    except Exception as error:
        raise InputError(
            f"{path}: not a {kind} file of tensors ({type(error).__name__}); {remedy}"
        ) from error


def _state_dict(path: Path, content: Any, remedy: str) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: holds something other than a state dict of tensors; {remedy}")
    if not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: holds tensors under keys that are not names; {remedy}")
    return content


def _read(path: Path) -> dict[str, Tensor]:
    remedy = "delete it and download it again"
    return _state_dict(path, _content(path, remedy), remedy)


def load_pretrained(model: nn.Module, name: str, folder: Path | None = None) -> str:
    """Load named weights into a model, strictly except for the parts that its key map leaves fresh.

    Weights at an import path have to fit in every key and shape.

    Returns:
        The file's SHA-256.

    Raises:
        InputError: the weights do not belong to this network, its width is not 64, or a key or shape is
            missing, unexpected or different; the message names the first such key.
        WeightsMissingError: the file is not on this machine.
    """
    path = find_weights(name, folder)
    if outside.is_import_path(name):
        digest = checked_sha256(path)
        try:
            model.load_state_dict(_read(path))
        except RuntimeError as error:
            cause = " ".join(str(error).split())
            raise InputError(f"init {name!r}: {path.name} does not fit the network: {cause:.300}") from error
        return digest
    key_map = key_map_of(model, name)
    digest = checked_sha256(path)
    model.load_state_dict(model.state_dict() | translate(_read(path), model, key_map, path))
    return digest


def key_map_of(model: nn.Module, name: str) -> KeyMap:
    """Return the key map from the named weights to the model. Raises: InputError if they do not fit."""
    network = type(model).__name__
    key_maps: dict[str, KeyMap] = getattr(model, "pretrained", {})
    if name not in key_maps:
        fitting = ", ".join(sorted(key_maps)) or "none"
        raise InputError(f"weights {name!r} do not fit {network}; those that do: {fitting}")
    if model.width != 64:
        raise InputError(f"weights {name!r} fit {network} at width 64 only, found width {model.width}")
    return key_maps[name]


def translate(state: dict[str, Tensor], model: nn.Module, key_map: KeyMap, path: Path) -> dict[str, Tensor]:
    """Return a file's tensors under the model's keys and in its shapes. Raises: InputError at a misfit."""
    own = model.state_dict()
    fresh = key_map.fresh + (key_map.head if model.num_classes != key_map.num_classes else ())
    matched: dict[str, Tensor] = {}
    for key, tensor in state.items():
        try:
            name = key_map.rename(key)
        except KeyError:
            raise InputError(f"{path}: key {key!r} is unexpected; is this the file its name says?") from None
        if name is None or name.startswith(fresh):
            continue
        if name not in own:
            raise InputError(f"{path}: key {key!r} is unexpected: the network has no {name!r}")
        if name in key_map.reshaped and tensor.numel() == own[name].numel():
            tensor = tensor.reshape(own[name].shape)
        if tensor.shape != own[name].shape:
            shapes = f"found {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            raise InputError(f"{path}: key {key!r}: {shapes}")
        matched[name] = tensor
    for name in own:
        # Older files do not hold this counter, and torch itself does not require it.
        optional = name.endswith("num_batches_tracked")
        if name not in matched and not name.startswith(fresh) and not optional:
            raise InputError(f"{path}: nothing in it for the network's {name!r}")
    return matched
