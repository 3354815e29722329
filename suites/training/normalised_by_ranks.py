"""Normalises one batch as one of two processes; ``test_distributed.py`` compares with the batch as a whole.

``python normalised_by_ranks.py FOLDER LAYER…`` with torchrun's variables in the environment; a layer is
``global`` (on the CPU) or ``synchronised`` (torch's, on a CUDA device, which both may share), and each rank
leaves ``FOLDER/<layer>-<rank>.npz``, rank 0 also ``FOLDER/whole.npz``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reference.training import distributed
from reference.training.batchnorm import GlobalBatchNorm

SHAPE = (7, 5, 3, 2)
"""Seven images: two ranks have three and four."""


def batch() -> tuple[nn.BatchNorm2d, Tensor, Tensor]:
    """A layer, its input and the gradient of its output, the same in every process."""
    draws = torch.Generator().manual_seed(0)
    layer = nn.BatchNorm2d(SHAPE[1]).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(SHAPE[1], generator=draws))
        layer.bias.copy_(torch.randn(SHAPE[1], generator=draws))
    x, gradient = torch.randn(2, *SHAPE, generator=draws, dtype=torch.float64)
    return layer, 3 + 2 * x, gradient


def passed(layer: nn.Module, x: Tensor, gradient: Tensor) -> dict[str, np.ndarray]:
    """Output, gradients and running statistics after one step."""
    x = x.clone().requires_grad_()
    output = layer(x)
    output.backward(gradient)
    found = {"output": output, "input's gradient": x.grad, **dict(layer.named_buffers())}
    found |= {f"{name}'s gradient": p.grad for name, p in layer.named_parameters()}
    return {name: tensor.detach().cpu().numpy() for name, tensor in found.items() if tensor is not None}


def main(folder: Path, names: list[str]) -> None:
    here = distributed.join("cpu")  # gloo, which lets two ranks share a GPU
    if here.main:
        np.savez(folder / "whole.npz", **passed(*batch()))
    for name in names:
        layer, x, gradient = batch()
        held = distributed.rank_rows(len(x), mirrored=False).at
        if name == "synchronised":
            layer = nn.SyncBatchNorm.convert_sync_batchnorm(layer.cuda())
            x, gradient = x.cuda(), gradient.cuda()
        else:
            layer = GlobalBatchNorm.of(layer)
        np.savez(folder / f"{name}-{here.rank}.npz", **passed(layer, x[held], gradient[held]))
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
