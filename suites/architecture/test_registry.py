"""Properties that every network of ``MODELS`` has, and that nothing hides from them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reference.errors import InputError
from reference.models import MODELS, SIGNALS, build

CLASSIFIERS = [
    "vgg13",
    "vgg16_bn",
    "leaky_vgg16",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet152",
    "resnet50_linear",
    "resnet50_dropout",
    "resnet50_mlp",
]
SEGMENTERS = [
    "fcn32s",
    "fcn32s_leaky",
    "fcn32s_resnet34",
    "fcn8s_vgg16",
    "fcn8s_leaky",
    "fcn8s_resnet34",
    "deeplabv3_resnet50",
]
ELSEWHERE = ["byol_resnet50"]  # two views in, four tensors out: test_byol.py
# Further arguments under which a network has other parameters or another path.
VARIANTS = [
    ("vgg13", {"embedding": "conv"}),
    ("leaky_vgg16", {"map_size": 2}),
    ("fcn32s", {"padding": 1}),
    ("fcn32s", {"batch_norm": True}),
    ("fcn32s", {"score_relu": True, "deconv_bias": True, "channel_dropout": False}),
    ("fcn32s_leaky", {"padding": 1}),
    ("fcn8s_vgg16", {"batch_norm": True, "padding": 1}),
    ("fcn8s_leaky", {"batch_norm": False}),
    ("fcn8s_leaky", {"skips": False}),
    ("deeplabv3_resnet50", {"aux": False}),
]
# Images of 64×96 pixels, but where the printed layers need another size.
SIZES = {"leaky_vgg16": (220, 251), "fcn8s_leaky": (464, 464)}
CASES = [(name, {}) for name in CLASSIFIERS + SEGMENTERS] + VARIANTS


def size_of(name: str, args: dict) -> tuple[int, int]:
    return (60, 91) if args == {"map_size": 2} else SIZES.get(name, (64, 96))


# The fewest pixels a side; two networks also have a most. R4's take multiples of 32, which test_fcn.py tests.
SMALLEST = {
    **dict.fromkeys(CLASSIFIERS + SEGMENTERS + ELSEWHERE, 1),
    **dict.fromkeys(["vgg13", "vgg16_bn", "fcn32s_resnet34", "fcn8s_resnet34"], 32),
    "leaky_vgg16": 220,
    "fcn8s_leaky": 464,
}
MOST = {"leaky_vgg16": 251, "fcn8s_leaky": 512}


OF_IMAGES = [name for name in MODELS if name not in SIGNALS]  # the others: test_mnist1d_networks.py


def test_every_network_is_tested():
    assert len(MODELS) == 22
    assert set(SMALLEST) == set(OF_IMAGES)
    assert {name for name, _ in CASES}.union(ELSEWHERE) == set(OF_IMAGES)
    assert len(CLASSIFIERS) + len(SEGMENTERS) + len(ELSEWHERE) == len(OF_IMAGES)


@pytest.mark.parametrize(("name", "args"), CASES)
def test_shapes_and_determinism(name, args, randomised, images):
    model = randomised(build(name, num_classes=5, width=8, **args))
    height, width = size_of(name, args)
    x = images(2, height, width)
    with torch.inference_mode():
        y = model(x)
        assert y.shape == ((2, 5) if name in CLASSIFIERS else (2, 5, height, width))
        assert y.isfinite().all()
        assert torch.equal(y, model(x))
        # No image of a batch sees another one; batched kernels may sum in another order.
        torch.testing.assert_close(model(x[1:]), y[1:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_embeddings_have_one_row_per_image(name, images, randomised):
    model = randomised(build(name, num_classes=5, width=8))
    with torch.inference_mode():
        features = model.embed(images(3, *size_of(name, {})))
    assert features.shape[0] == 3
    assert features.ndim == 2


@pytest.mark.parametrize(("name", "args"), CASES)
def test_the_gradient_reaches_every_parameter_and_the_image(name, args, randomised, images):
    # In eval: a bias before BatchNorm has no gradient in training, and dropout would hide channels.
    model = randomised(build(name, num_classes=5, width=4, **args))
    x = images(2, *size_of(name, args)).requires_grad_()
    # Its own flag alone: DeepLab gives both outputs then, while every BatchNorm and dropout stays in eval.
    model.training = name == "deeplabv3_resnet50"
    y = model(x)
    y = torch.cat(y) if isinstance(y, tuple) else y
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)
    (y * weights).sum().backward()
    assert x.grad is not None
    assert x.grad.any()
    dead = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    dead += [key for key, parameter in model.named_parameters() if not parameter.grad.any()]
    assert not dead


@pytest.mark.parametrize(("name", "args"), CASES)
def test_initial_weights_are_finite_and_follow_the_seed(name, args):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one = build(name, num_classes=5, width=4, **args).state_dict()
        torch.manual_seed(0)
        two = build(name, num_classes=5, width=4, **args).state_dict()
    assert all(tensor.isfinite().all() for tensor in one.values())
    assert all(torch.equal(one[key], two[key]) for key in one)


def on_meta(name: str, **args) -> nn.Module:
    """Shapes without numbers."""
    with torch.device("meta"):
        return build(name, num_classes=5, width=1, **args)


def check_output(name: str, model: nn.Module, height: int, width: int) -> None:
    """Two images a batch; BYOL's embeddings have four numbers at this width."""
    x = torch.empty(2, 3, height, width, device="meta")
    y = model(x, x) if name in ELSEWHERE else model(x)
    for tensor in y if isinstance(y, tuple) else (y,):
        wanted = (5, height, width) if name in SEGMENTERS else (4,) if name in ELSEWHERE else (5,)
        assert tensor.shape == (2, *wanted)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_smallest_image_fits(name):
    least, most = SMALLEST[name], MOST.get(name, 32 * (SMALLEST[name] // 32 + 1))
    model = on_meta(name)
    for height, width in ((least, least), (least, most), (most, least)):
        check_output(name, model.eval(), height, width)
        check_output(name, model.train(), height, width)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_one_pixel_less_is_refused_in_one_line(name):
    """The line says what was found and what would fit."""
    fits, model = SMALLEST[name], on_meta(name)
    for height, width in ((fits - 1, fits), (fits, fits - 1), (0, fits)):
        with pytest.raises(ValueError, match=rf"^image of {height}×{width}: .*\b{fits}\b.* pixels"):
            check_output(name, model, height, width)


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_one_pixel_more_than_fits_is_refused(name, most):
    model = on_meta(name)
    for size in ((most + 1, most), (most, most + 1)):
        with pytest.raises(ValueError, match=rf"\b{most}\b"):
            check_output(name, model, *size)


@pytest.mark.parametrize("padding", [0, 1, 2, 96, 97, 100])
@pytest.mark.parametrize("name", ["fcn32s", "fcn32s_leaky", "fcn8s_vgg16"])
def test_padding_lets_vgg_fcns_take_any_image(name, padding):
    least, model = 3 if padding == 0 else 1, on_meta(name, padding=padding)
    check_output(name, model, least, 64)
    with pytest.raises(ValueError, match=f"at least {least} pixels"):
        check_output(name, model, least - 1, 64)


@pytest.mark.parametrize("name", sorted(set(OF_IMAGES) - set(SIZES) - {"fcn32s_resnet34", "fcn8s_resnet34"}))
def test_odd_sizes_fit(name):
    model = on_meta(name)
    for height, width in ((33, 47), (61, 101)):
        check_output(name, model, height, width)


def test_unknown_network_lists_the_known_ones():
    with pytest.raises(InputError) as caught:
        build("vgg61", num_classes=5)
    assert all(name in str(caught.value) for name in MODELS)


@pytest.mark.parametrize(("name", "args"), CASES)
def test_training_mode_runs(name, args, images):
    """BatchNorm over batch statistics and every dropout, at initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(name, num_classes=5, width=4, **args).train()
        y = model(images(2, *size_of(name, args)).float())
    for logits in y if isinstance(y, tuple) else (y,):
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_unknown_argument_lists_the_known_ones(name):
    with pytest.raises(InputError, match="no argument 'colour'"):
        build(name, num_classes=5, width=1, colour=1)


def test_unknown_argument_names_those_there_are():
    with pytest.raises(InputError, match="padding"):
        build("fcn32s", num_classes=5, width=1, paddings=1)
