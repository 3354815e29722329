"""Every network of the reports, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import nn

from reference import outside
from reference.errors import InputError
from reference.models.byol import byol_resnet50
from reference.models.deeplab import DeepLabV3
from reference.models.fcn import (
    Fcn8s,
    Fcn8sLeaky,
    Fcn8sResNet34,
    Fcn32s,
    Fcn32sLeaky,
    Fcn32sResNet34,
)
from reference.models.heads import resnet50_dropout, resnet50_linear, resnet50_mlp
from reference.models.mnist1d import LENGTH, Cnn1d, Gru1d, Logistic1d, Mlp1d
from reference.models.resnet import resnet18, resnet34, resnet50, resnet152
from reference.models.shapes import shapes_only
from reference.models.vgg import LeakyVGG16, vgg13, vgg16_bn

MODELS: dict[str, Callable[..., nn.Module]] = {
    "vgg13": vgg13,
    "vgg16_bn": vgg16_bn,
    "leaky_vgg16": LeakyVGG16,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet152": resnet152,
    "resnet50_linear": resnet50_linear,
    "resnet50_dropout": resnet50_dropout,
    "resnet50_mlp": resnet50_mlp,
    "fcn32s": Fcn32s,
    "fcn32s_leaky": Fcn32sLeaky,
    "fcn32s_resnet34": Fcn32sResNet34,
    "fcn8s_vgg16": Fcn8s,
    "fcn8s_leaky": Fcn8sLeaky,
    "fcn8s_resnet34": Fcn8sResNet34,
    "deeplabv3_resnet50": DeepLabV3,
    "byol_resnet50": byol_resnet50,
    "logistic_1d": Logistic1d,
    "mlp_1d": Mlp1d,
    "cnn_1d": Cnn1d,
    "gru_1d": Gru1d,
}

SIGNALS: dict[str, int] = dict.fromkeys(("logistic_1d", "mlp_1d", "cnn_1d", "gru_1d"), LENGTH)
"""Networks that take signals (B, length) instead of images, and the length of each."""


def build(name: str, *, num_classes: int, width: int = 64, **args: int | float | bool | str) -> nn.Module:
    """Build a network with its initial weights, from torch's current random state.

    Args:
        name: key of ``MODELS``, or the import path of your own network (``reference.outside``).

    Raises:
        InputError: no such network, or an argument that its builder does not take.

    Example:
        >>> import torch
        >>> network = build("fcn32s", num_classes=7, width=4).eval()
        >>> tuple(network(torch.zeros(1, 3, 64, 64)).shape)
        (1, 7, 64, 64)
    """
    if outside.is_import_path(name):
        return outside.build(name, num_classes=num_classes, width=width, **args)
    if name not in MODELS:
        raise InputError(f"model {name!r}: no such network; known are {', '.join(sorted(MODELS))}")
    builder = MODELS[name]
    valid = sorted(set(inspect.signature(builder).parameters) - {"num_classes", "width"})
    for key in args:
        if key not in valid:
            raise InputError(f"model {name!r}: no argument {key!r}; it takes {', '.join(valid) or 'none'}")
    return builder(num_classes=num_classes, width=width, **args)


def counting(name: str) -> AbstractContextManager[object]:
    """Return the context in which to count a network's FLOPs; it builds shapes without values.

    Your own network may look at its values, so it is built on the CPU.
    """
    return torch.device("cpu") if outside.is_import_path(name) else shapes_only()
