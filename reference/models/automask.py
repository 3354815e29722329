"""SAM, which segments everything in an image: three published sizes, their weights, their masks.

The networks and the mask generator come from the authors' own package, the optional extra ``sam``. This file
imports the package only to build something. The package unpickles any weights file; this file checks its MD5
first and reads only tensors. Random weights are useless: the generator's thresholds leave no mask of theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reference.errors import InputError, WeightsMissingError
from reference.models.shapes import shapes_only
from reference.models.weights import read_state_dict, weights_folder


def sam_vit_h() -> nn.Module:
    """SAM over ViT-H: 32 blocks of width 1280, 641 million parameters; random weights."""
    model: nn.Module = _package().build_sam_vit_h()
    return model


def sam_vit_l() -> nn.Module:
    """SAM over ViT-L: 24 blocks of width 1024, 312 million parameters; random weights."""
    model: nn.Module = _package().build_sam_vit_l()
    return model


def sam_vit_b() -> nn.Module:
    """SAM over ViT-B: 12 blocks of width 768, 94 million parameters; random weights."""
    model: nn.Module = _package().build_sam_vit_b()
    return model


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "sam_vit_h": sam_vit_h,
    "sam_vit_l": sam_vit_l,
    "sam_vit_b": sam_vit_b,
}

# Network → the authors' file, whose name ends in six digits of its MD5, and the whole of it.
CHECKPOINTS: dict[str, tuple[str, str]] = {
    "sam_vit_h": ("sam_vit_h_4b8939.pth", "4b8939a88964f0f4ff5f5b2642c598a6"),
    "sam_vit_l": ("sam_vit_l_0b3195.pth", "0b3195507c641ddb6910d2bb5adee89c"),
    "sam_vit_b": ("sam_vit_b_01ec64.pth", "01ec64d29a2fca3f0661936605ae66f8"),
}

HOST = "https://dl.fbaipublicfiles.com/segment_anything"


class Rle(TypedDict):
    """A mask as run lengths down its columns, in COCO's uncompressed form; the first run is background."""

    size: list[int]  # height, width
    counts: list[int]


class Mask(TypedDict):
    """One mask as the generator describes it; boxes are x, y, width, height in pixels."""

    segmentation: Rle
    area: int
    bbox: list[int]
    predicted_iou: float
    point_coords: list[list[float]]
    stability_score: float
    crop_box: list[int]


def find_checkpoint(name: str, folder: Path | None = None) -> Path:
    """Return the file with a network's published weights, in ``folder`` or in torch hub's own.

    Raises:
        InputError: no network of that name.
        WeightsMissingError: the file is not there; the message has the command that fetches it.
    """
    _check_name(name)
    place, (file, _) = weights_folder(folder), CHECKPOINTS[name]
    if not (place / file).is_file():
        fetch = f"curl -L --create-dirs -o '{place / file}' {HOST}/{file}"
        raise WeightsMissingError(f"weights {name!r}: {file} is not in {place}; fetch it with: {fetch}")
    return place / file


def load_sam(name: str, folder: Path | None = None) -> nn.Module:
    """Build a network with its published weights, on the CPU, in evaluation mode.

    Raises:
        InputError: the package is not installed, the file's MD5 is not the published one, or the file holds
            anything but this network's tensors.
        WeightsMissingError: the file is not on this machine.
    """
    path = find_checkpoint(name, folder)
    _check_md5(path, CHECKPOINTS[name][1])
    state = read_state_dict(path)
    model = BUILDERS[name]()
    own = model.state_dict()
    for key in sorted(own.keys() | state.keys()):
        if key not in state:
            raise InputError(f"{path}: nothing in it for the network's {key!r}")
        if key not in own:
            raise InputError(f"{path}: key {key!r} is unexpected; is this the file its name says?")
        if own[key].shape != state[key].shape:
            shapes = f"found {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
            raise InputError(f"{path}: key {key!r}: {shapes}")
    model.load_state_dict(state)
    return model.eval()


def masks_of(model: nn.Module, image: np.ndarray, **settings: float) -> list[Mask]:
    """Return every mask that the generator finds in an image, in the generator's order.

    Args:
        image: (H, W, 3) uint8, RGB.
        settings: keyword arguments of the generator (``points_per_side``, ``pred_iou_thresh``, …).
    """
    generator = _package().SamAutomaticMaskGenerator(model, output_mode="uncompressed_rle", **settings)
    masks: list[Mask] = generator.generate(image)
    return masks


def decoded(rle: Rle) -> np.ndarray:
    """Return the mask as (H, W) bool."""
    height, width = rle["size"]
    inside = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(inside, rle["counts"]).reshape(width, height).T


def flops_per_image(name: str, *, points: int) -> float:
    """Count the FLOPs of one image with ``points`` point prompts (a multiply-add is 2), from shapes alone."""
    with shapes_only(), torch.no_grad():
        sam: Any = BUILDERS[name]()
        side, width = sam.image_encoder.img_size, sam.mask_decoder.transformer_dim
        with FlopCounterMode(display=False) as encoding:
            embedding = sam.image_encoder(torch.empty(1, 3, side, side))
        with FlopCounterMode(display=False) as prompting:
            sam.mask_decoder(
                image_embeddings=embedding,
                image_pe=torch.empty_like(embedding),
                sparse_prompt_embeddings=torch.empty(1, 2, width),  # the point and an empty prompt
                dense_prompt_embeddings=torch.empty_like(embedding),
                multimask_output=True,
            )
    return float(encoding.get_total_flops() + points * prompting.get_total_flops())


def check_installed() -> None:
    """Raise InputError unless the authors' package can be imported."""
    _package()


def _check_name(name: str) -> None:
    if name not in BUILDERS:
        raise InputError(
            f"model {name!r}: no such network of automatic masks; known are {', '.join(BUILDERS)}"
        )


def _check_md5(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if digest != expected:
        raise InputError(
            f"{path}: its MD5 is {digest}, the published file's {expected}; the file is damaged or another "
            "one: delete it and download it again"
        )


def _package() -> ModuleType:
    try:
        import segment_anything
    except ModuleNotFoundError as error:
        raise InputError(
            "automatic masks need the package segment-anything, which is not installed; "
            "get it with: pip install 'segment-anything==1.0'"
        ) from error
    package: ModuleType = segment_anything
    return package
