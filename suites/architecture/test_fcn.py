"""The FCNs: interpolation, crops, sizes, alignment, counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from reference.errors import InputError
from reference.models import build
from reference.models.fcn import Grid, add_aligned, bilinear_kernel, upsampler, vgg_pool_grids

VGG_FCNS = ["fcn32s", "fcn32s_leaky", "fcn8s_vgg16"]
RESNET_FCNS = ["fcn32s_resnet34", "fcn8s_resnet34"]


def on_meta(name: str, **args) -> nn.Module:
    with torch.device("meta"):
        return build(name, **{"num_classes": 7, **args})


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 16, 64])
def test_kernel_is_the_originals(size):
    # upsample_filt of the authors' surgery.py.
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    rows, columns = np.ogrid[:size, :size]
    expected = (1 - abs(rows - centre) / factor) * (1 - abs(columns - centre) / factor)
    kernel = bilinear_kernel(3, size)
    for i in range(3):
        for j in range(3):
            wanted = expected if i == j else 0 * expected
            np.testing.assert_allclose(kernel[i, j].numpy(), wanted, atol=1e-7)  # one float32 rounding


@pytest.mark.parametrize("stride", [2, 8, 32])
def test_upsampler_starts_as_bilinear_interpolation(stride):
    x = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = upsampler(3, 2 * stride, stride, stride // 2).double()(x)
    expected = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    assert y.shape == expected.shape
    inner = slice(stride // 2, -(stride // 2))  # at the border interpolation repeats the edge instead
    # The kernel's values are multiples of 1/4096, exact in float32; what is left is float64 rounding.
    torch.testing.assert_close(y[..., inner, inner], expected[..., inner, inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [*VGG_FCNS, *RESNET_FCNS, "fcn8s_leaky"])
def test_every_upsampling_layer_starts_as_the_originals(name):
    model = build(name, num_classes=3, width=1)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert len(layers) == (1 if "32s" in name else 3)
    for layer in layers:
        assert torch.equal(layer.weight, bilinear_kernel(3, layer.kernel_size[0]))


def test_crops_of_padding_100_are_the_originals():
    assert on_meta("fcn32s").offset == 19  # crop offset 19 in voc-fcn32s
    pools = vgg_pool_grids(100)
    scores = on_meta("fcn8s_vgg16").score_grid.deconv(4, 2)
    assert scores.crop(pools[3]) == -5  # score_pool4c: offset 5
    assert pools[3].first + 5 * 16 == scores.first
    fused = scores.deconv(4, 2)
    assert fused.crop(pools[2]) == -9  # score_pool3c: offset 9
    assert fused.deconv(16, 8).crop(Grid()) == 31  # score: offset 31


@pytest.mark.parametrize("name", VGG_FCNS)
@given(
    height=st.integers(3, 130),
    width=st.integers(3, 130),
    padding=st.sampled_from([0, 1, 2, 31, 80, 81, 96, 97, 100, 110]),
)
@settings(max_examples=30, deadline=None)
def test_output_has_the_images_size(name, height, width, padding):
    model = on_meta(name, width=1, padding=padding).eval()
    x = torch.empty(1, 3, height, width, device="meta")
    assert model(x).shape == (1, 7, height, width)


def fits(model: nn.Module, size: int) -> bool:
    """Whether the output reaches to the last row of an image of that height."""
    try:
        return model(torch.empty(1, 3, size, 512, device="meta")).shape[-2] == size
    except RuntimeError:  # not even one window for fc6
        return False


@pytest.mark.parametrize("name", VGG_FCNS)
def test_every_size_up_to_1024_fits(name):
    model = on_meta(name, width=1).eval()
    assert all(fits(model, size) for size in range(1, 1025))


def test_floor_pools_would_fall_short_for_397_sizes():
    # The figure is known from outside; it also shows that the test above can fail.
    model = on_meta("fcn32s", width=1).eval()
    for layer in model.features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = False
    assert sum(not fits(model, size) for size in range(1, 1025)) == 397


def test_scores_at_512_pixels_are_17_by_17():
    model = on_meta("fcn32s", width=1).eval()
    scores = model.score(model.pools(torch.empty(1, 3, 512, 512, device="meta"))[-1])
    assert scores.shape[-2:] == (17, 17)
    assert model.upscore(scores).shape[-2:] == (576, 576)


def pass_channel_0(layer: nn.Conv2d) -> None:
    """Make a convolution copy the centre of its first input channel into its first output channel."""
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    layer.weight.data[0, 0, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = 1


class MeanPool(nn.MaxPool2d):
    """A pool that keeps a ramp a ramp."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2, 2, ceil_mode=self.ceil_mode)


def averaging(name: str, padding: int) -> nn.Module:
    """A VGG FCN whose scores for class 0 are block averages of the image's first channel."""
    model = build(name, num_classes=2, width=1, padding=padding).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            pass_channel_0(layer)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0  # with its initial weights and statistics the identity
    features = model.features5 if name == "fcn32s_leaky" else model.features
    for i, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            features[i] = MeanPool(2, 2, ceil_mode=layer.ceil_mode)
    return model


@pytest.mark.parametrize("padding", [0, 1, 50, 96, 97, 100])
@pytest.mark.parametrize(("name", "branches"), [("fcn32s", 1), ("fcn32s_leaky", 1), ("fcn8s_vgg16", 3)])
def test_every_branch_is_aligned_with_the_image(name, branches, padding):
    """Averages and bilinear interpolation keep a linear ramp, so pixel (i, j) must read its own position."""
    size = 320
    rows, columns = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    inner = slice(128, 192)  # further from the border than the zeros of padding, fc6 and upsampling reach
    model = averaging(name, padding)
    for ramp in (rows, columns):
        with torch.inference_mode():
            y = model(ramp.expand(1, 3, size, size))[0, 0]
        torch.testing.assert_close(y[inner, inner], branches * ramp[inner, inner], rtol=0, atol=1e-9)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 4)), max_size=4), st.booleans()
)
@settings(max_examples=50, deadline=None)
def test_grid_is_the_centre_of_the_receptive_field(layers, upsampled):
    """By autograd: the mean position of the input pixels that one output pixel answers to."""
    grid = Grid()
    x = torch.ones(1, 1, 1000, dtype=torch.float64, requires_grad=True)
    y = x
    for size, stride, padding in layers:
        grid = grid.conv(size, stride, padding)
        y = F.conv1d(y, torch.ones(1, 1, size, dtype=torch.float64), None, stride, padding)
    index = y.shape[-1] // 2
    if upsampled:
        grid = grid.deconv(4, 2)
        y = F.conv_transpose1d(y, torch.tensor([[[1, 3, 3, 1]]], dtype=torch.float64), None, 2)
        index = y.shape[-1] // 2
    y[0, 0, index].backward()
    assert x.grad is not None
    weight = x.grad[0, 0]
    centre = (weight * torch.arange(1000)).sum() / weight.sum()
    assert centre.item() == pytest.approx(grid.first + grid.step * index, abs=1e-9)


def test_grids_without_common_pixels_are_refused():
    with pytest.raises(ValueError, match="no pixels in common"):
        Grid(2, 0).crop(Grid(2, 1))
    with pytest.raises(ValueError, match="no pixels in common"):
        Grid(2, 0).crop(Grid(4, 0))


def test_aligned_sum_keeps_the_overlap_only():
    a = torch.arange(5.0).expand(1, 1, 5, 5)
    b = torch.arange(6.0).expand(1, 1, 6, 6)
    total, grid = add_aligned(a, Grid(2, 0), b, Grid(2, 4))  # b starts two pixels into a
    assert grid == Grid(2, 4)
    assert total.shape == (1, 1, 3, 3)
    assert total[0, 0, 0].tolist() == [2, 4, 6]
    swapped, same = add_aligned(b, Grid(2, 4), a, Grid(2, 0))
    assert same == grid
    assert torch.equal(swapped, total)


@pytest.mark.parametrize("name", RESNET_FCNS)
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (512, 32)])
def test_resnet_fcns_fit_multiples_of_32(name, size):
    model = on_meta(name, width=1).eval()
    assert model(torch.empty(1, 3, *size, device="meta")).shape == (1, 7, *size)


@pytest.mark.parametrize("name", RESNET_FCNS)
@pytest.mark.parametrize("size", [(33, 32), (32, 48), (500, 500)])
def test_resnet_fcns_refuse_other_sizes(name, size):
    with pytest.raises(ValueError, match="multiples of 32"):
        on_meta(name, width=1)(torch.empty(1, 3, *size, device="meta"))


def test_fcn8s_resnet34_sums_its_three_branches(randomised, images):
    """Each branch alone, through interpolation written out here."""
    model = randomised(build("fcn8s_resnet34", num_classes=5, width=4))
    x = images(2, 64, 96)
    with torch.inference_mode():
        first = model.stage1(x)
        second = model.stage2(first)
        third = model.stage3(second)
        assert [x.shape[-1] // y.shape[-1] for y in (first, second, third)] == [8, 16, 32]
        parts = [
            model.upsample_8x(model.upsample_4x(model.upsample_2x(model.scores1(third)))),
            model.upsample_8x(model.upsample_4x(model.scores2(second))),
            model.upsample_8x(model.scores3(first)),
        ]
        # Without biases upsampling is linear; float64 rounding remains.
        torch.testing.assert_close(model(x), sum(parts), rtol=1e-10, atol=1e-10)


def test_fcn8s_resnet34_has_the_printed_modules():
    model = on_meta("fcn8s_resnet34")
    printed = ["stage1", "stage2", "stage3", "scores1", "scores2", "scores3"]
    printed += ["upsample_8x", "upsample_4x", "upsample_2x"]
    assert [name for name, _ in model.named_children()] == printed
    assert [len(model.stage1[i]) for i in (4, 5)] + [len(model.stage2), len(model.stage3)] == [3, 4, 6, 3]
    assert [model.scores1.in_channels, model.scores2.in_channels, model.scores3.in_channels] == [
        512,
        256,
        128,
    ]
    for layer, size, stride, padding in (
        (model.upsample_8x, 16, 8, 4),
        (model.upsample_4x, 4, 2, 1),
        (model.upsample_2x, 4, 2, 1),
    ):
        assert (layer.kernel_size, layer.stride, layer.padding) == (
            (size,) * 2,
            (stride,) * 2,
            (padding,) * 2,
        )
        assert layer.bias is None


def test_parameter_counts_follow_from_the_printed_layers():
    convs = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)]
    convs += [(512, 512)] * 5
    trunk = sum((9 * channels + 1) * out for channels, out in convs)
    norms = sum(2 * out for _, out in convs)
    fc = (49 * 512 + 1) * 4096 + (4096 + 1) * 4096
    score = (4096 + 1) * 7
    assert count(on_meta("fcn32s")) == trunk + fc + score + 49 * 64**2 == 134_489_927
    assert count(on_meta("fcn32s", batch_norm=True)) == trunk + norms + fc + score + 49 * 64**2 == 134_498_375
    assert count(on_meta("fcn32s", deconv_bias=True)) == 134_489_927 + 7
    skips = (512 + 1) * 7 + (256 + 1) * 7
    assert count(on_meta("fcn8s_vgg16")) == trunk + fc + score + skips + 49 * (16 + 16 + 256) == 134_308_725
    resnet34 = 21_797_672 - 513_000  # torchvision's count without its fc
    scores = (512 + 256 + 128 + 3) * 7
    assert count(on_meta("fcn8s_resnet34")) == resnet34 + scores + 49 * (256 + 16 + 16) == 21_305_077
    assert count(on_meta("fcn32s_resnet34")) == resnet34 + 513 * 7 + 49 * 64**2


@pytest.mark.parametrize("name", VGG_FCNS)
def test_scores_start_at_zero_and_still_learn(name, images):
    model = build(name, num_classes=3, width=2, padding=1).double().eval()
    y = model(images(1, 64, 64))
    assert not y.any()
    y[0, 1].sum().backward()
    scores = {key: parameter.grad for key, parameter in model.named_parameters() if key.startswith("score")}
    assert all(grad.any() for grad in scores.values())


def test_a_relu_after_the_scores_does_not_stop_learning_before_it_starts(images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build("fcn32s", num_classes=7, width=8, padding=1, score_relu=True, deconv_bias=True).double()
    y = model.eval()(images(1, 96, 96))
    assert y.min() >= 0
    y.sum().backward()
    assert model.score_fr.weight.grad.any()


def test_dropout_is_spatial_unless_asked_otherwise():
    assert isinstance(on_meta("fcn32s").drop6, nn.Dropout2d)
    assert type(on_meta("fcn32s", channel_dropout=False).drop6) is nn.Dropout


def test_impossible_arguments_are_refused():
    with pytest.raises(InputError, match="padding"):
        build("fcn32s", num_classes=7, width=1, padding=-1)
    with pytest.raises(InputError, match="transplant"):
        build("fcn32s", num_classes=7, width=1, batch_norm=True, transplant=True)
