"""The networks as R1 and R2 print them: the same layers, counted from the printed lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from reference.models import build
from reference.models.vgg import VGG16_BLOCKS

REPORTS = Path(__file__).parents[2].parent / "shared" / "reports"


def on_meta(name: str, num_classes: int, **args) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=num_classes, **args)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def printed(report: str, first: int, last: int) -> str:
    path = REPORTS / f"{report}.txt"
    if not path.is_file():
        pytest.skip("the report's text is not next to this repository")
    return "\n".join(path.read_text().splitlines()[first - 1 : last])


def printed_count(text: str) -> int:
    """Parameters of the layers in a printed listing; a convolution has a bias unless it says otherwise."""
    total = 0
    for kind, rest in re.findall(r"(Conv2d|ConvTranspose2d|BatchNorm[12]d|Linear)\((.*)\)", text):
        if kind == "Linear":
            channels, out = re.search(r"in_features=(\d+), out_features=(\d+)", rest).groups()
            total += (int(channels) + 1) * int(out)
        elif kind.startswith("Batch"):
            total += 2 * int(rest.split(",")[0])
        else:
            channels, out, *kernel = re.match(r"(\d+), (\d+), kernel_size=\((\d+), (\d+)\)", rest).groups()
            total += int(channels) * int(out) * int(kernel[0]) * int(kernel[1])
            total += int(out) if "bias=False" not in rest else 0
    return total


def test_r1_resnet50_lacks_bias_false_in_every_3x3():
    model = on_meta("resnet50", 1000)
    biases = sum(
        layer.out_channels
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d) and name.endswith("conv2")
    )
    assert (count(model), biases) == (25_557_032, 3_776)
    assert printed_count(printed("r1", 124, 310)) == 25_557_032 + 3_776 == 25_560_808


def test_r2_classifier():
    assert printed_count(printed("r2", 12, 78)) == count(on_meta("leaky_vgg16", 50)) == 40_967_794


def test_r2_fcn32s():
    assert printed_count(printed("r2", 102, 147)) == count(on_meta("fcn32s_leaky", 7)) == 134_506_311


def test_r2_fcn8s_repeats_one_batch_norm():
    repeated = 2 * 7  # bn4_2, printed again after the page break under another name
    assert (
        printed_count(printed("r2", 170, 249)) - repeated == count(on_meta("fcn8s_leaky", 7)) == 158_051_632
    )


def test_r2_modules_have_the_printed_names():
    for name, lines in (("fcn32s_leaky", (102, 147)), ("fcn8s_leaky", (171, 249))):
        found = re.findall(r"^ *\((\w+)\): ", printed("r2", *lines), flags=re.MULTILINE)
        top = [module for module in found if not module.isdigit() and module != "conv4_2"]
        ours = [module for module, _ in on_meta(name, 7).named_children()]
        assert ours == top
    assert [name for name, _ in on_meta("leaky_vgg16", 50).named_children()] == ["cnn", "fc"]


def test_r2_layers_are_printed_as_ours_are():
    """Line by line: torch prints our modules as it printed the report's."""
    for name, classes, lines in (
        ("leaky_vgg16", 50, (12, 78)),
        ("fcn32s_leaky", 7, (102, 147)),
        ("fcn8s_leaky", 7, (171, 241)),
    ):
        layer = re.compile(r"\(\w+\): \w+\(.*\)(?=\s*$)", re.MULTILINE)
        theirs = layer.findall(printed("r2", *lines))
        # torch from 2.15 on also prints a BatchNorm's bias.
        ours = layer.findall(str(on_meta(name, classes)).replace("affine=True, bias=True", "affine=True"))
        assert theirs == ours[: len(theirs)]
        assert len(ours) - len(theirs) == {"fcn8s_leaky": 4}.get(name, 0)  # after the page break


def test_r2_counts_follow_from_formulas():
    convs, channels = 0, 3
    for block in VGG16_BLOCKS:
        for out in block:
            convs += (9 * channels + 1) * out
            channels = out
    norms = 2 * sum(out for block in VGG16_BLOCKS for out in block)
    fc = (25088 + 1) * 1024 + 2 * 1024 + (1024 + 1) * 512 + 2 * 512 + (512 + 1) * 50
    assert count(on_meta("leaky_vgg16", 50)) == convs + norms + fc
    leaky = (25088 + 1) * 4096 + (4096 + 1) * 4096 + 2 * 2 * 4096 + (4096 + 1) * 7
    assert count(on_meta("fcn32s_leaky", 7)) == convs + leaky + 49 * 64**2
    pool4 = (9 * 512 + 1) * 1024 + 2 * 1024 + (9 * 1024 + 1) * 2048 + 2 * 2048 + (9 * 2048 + 1) * 7 + 2 * 7
    scores = (256 + 1) * 7 + pool4 + 49 * (25 + 64 + 4)
    assert count(on_meta("fcn8s_leaky", 7)) == convs + norms + leaky + scores


# --- what fits the printed layers -------------------------------------------------------------------


def test_r2_classifier_fits_220_to_251_pixels():
    model = on_meta("leaky_vgg16", 50, width=1).eval()
    sides = range(210, 262)
    fitting = [side for side in sides if fits(model, torch.empty(1, 3, side, 224, device="meta"))]
    assert fitting == list(range(220, 252))
    # The check is the layers' own: without it the linear layer takes the same sizes.
    linear = [
        side for side in sides if model.cnn(torch.empty(1, 3, side, side, device="meta")).shape[-1] == 7
    ]
    assert linear == fitting


def test_r2_classifier_fits_smaller_images_with_a_smaller_map():
    for size in (1, 2):
        model = on_meta("leaky_vgg16", 50, width=1, map_size=size).eval()
        images = ((side, torch.empty(1, 3, side, side, device="meta")) for side in range(20, 100))
        assert [side for side, x in images if fits(model, x)] == list(range(32 * size - 4, 32 * size + 28))


def test_r2_fcn8s_fits_464_and_512_pixels():
    model = on_meta("fcn8s_leaky", 7).eval()
    for height, width in ((464, 464), (512, 512), (464, 512)):
        assert model(torch.empty(1, 3, height, width, device="meta")).shape == (1, 7, height, width)
    assert not any(fits(model, torch.empty(1, 3, side, 512, device="meta")) for side in (463, 480, 511, 513))


def test_r2_fcn8s_fits_no_other_size_even_without_the_check(monkeypatch):
    """Through the layers alone: n pixels at pool5 become 3n − 16, which meets pool4 if n is 15 or 16."""
    model = on_meta("fcn8s_leaky", 7, width=1).eval()
    monkeypatch.setattr(type(model), "SIDES", range(1000))
    fitting = []
    for side in range(440, 530):
        try:
            y = model(torch.empty(1, 3, side, side, device="meta"))
        except RuntimeError:
            continue
        if y.shape[-1] == side:
            fitting.append(side)
    assert fitting == [464, 512]


def fits(model: nn.Module, x: torch.Tensor) -> bool:
    try:
        model(x)
    except ValueError as error:
        if "pixels" not in str(error):
            raise
        return False
    return True


def test_r2_fcn8s_sums_its_three_branches(randomised, images):
    model = randomised(build("fcn8s_leaky", num_classes=3, width=1))
    x = images(1, 464, 464)
    with torch.inference_mode():
        pool3 = model.features3(x)
        pool4 = model.features4(pool3)
        pool5 = model.features5(pool4)
        assert [pool3.shape[-1], pool4.shape[-1], pool5.shape[-1]] == [58, 29, 15]
        parts = [
            model.upscore8(model.upscore_pool4(model.upscore2(model.score(pool5)))),
            model.upscore8(model.upscore_pool4(model.score4(pool4))),
            model.upscore8(model.score_pool3(pool3)),
        ]
        # Without biases upsampling is linear; float64 rounding remains.
        torch.testing.assert_close(model(x), sum(parts), rtol=1e-9, atol=1e-9)


def test_r2_fcn8s_without_skips_is_the_way_up_from_pool5(randomised, images):
    whole = randomised(build("fcn8s_leaky", num_classes=3, width=1))
    coarse = build("fcn8s_leaky", num_classes=3, width=1, skips=False).to(torch.float64).eval()
    coarse.load_state_dict({key: whole.state_dict()[key] for key in coarse.state_dict()})
    left = {key.partition(".")[0] for key in whole.state_dict() if key not in coarse.state_dict()}
    assert left == {"score_pool3", *(f"{name}_{i}" for name in ("score_pool4", "bn4") for i in range(3))}
    x = images(1, 464, 464)
    with torch.inference_mode():
        pool5 = whole.features5(whole.features4(whole.features3(x)))
        expected = whole.upscore8(whole.upscore_pool4(whole.upscore2(whole.score(pool5))))
        assert torch.equal(coarse(x), expected)


def test_r2_fcn32s_is_cropped_as_the_original():
    assert on_meta("fcn32s_leaky", 7).offset == 19
    assert on_meta("fcn32s_leaky", 7, padding=1).offset == 16
