"""DeepLabV3 against torchvision's, built without weights of any kind."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.segmentation import deeplabv3

from reference.models import build
from reference.models.deeplab import ASPP


def on_meta(num_classes: int = 7, **args) -> nn.Module:
    with torch.device("meta"):
        return build("deeplabv3_resnet50", num_classes=num_classes, **args)


def torchvision_on_meta(num_classes: int, aux: bool) -> nn.Module:
    with torch.device("meta"):
        return torchvision.models.segmentation.deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux
        )


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("aux", [True, False])
def test_state_dict_and_outputs_equal_torchvisions(aux, random_state, images):
    ours, theirs = on_meta(aux=aux), torchvision_on_meta(7, aux)
    ours.load_state_dict(random_state(theirs), assign=True)
    theirs.load_state_dict(ours.state_dict(), assign=True)
    ours.eval()
    x = images(2, 33, 48)  # the map is no divisor of this size, so interpolation is tested too
    with torch.inference_mode():
        expected = theirs.eval()(x)
        # The same operations in float64; only the order of a sum may differ.
        torch.testing.assert_close(ours(x), expected["out"], rtol=1e-10, atol=1e-10)
        if aux:
            ours.training = True  # its own flag alone: both outputs, while every BatchNorm stays in eval
            torch.testing.assert_close(ours(x)[1], expected["aux"], rtol=1e-10, atol=1e-10)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_dropout_rates_equal_torchvisions():
    ours, theirs = (
        {name: layer.p for name, layer in model.named_modules() if isinstance(layer, nn.Dropout)}
        for model in (on_meta(), torchvision_on_meta(7, True))
    )
    assert ours == theirs
    assert len(ours) == 2


def test_parameter_counts():
    assert count(on_meta()) == count(torchvision_on_meta(7, True)) == 41_996_878
    assert count(on_meta(aux=False)) == count(torchvision_on_meta(7, False))
    assert count(on_meta(21)) == 42_004_074  # num_params in torchvision's table


def test_pyramid_pooling_equals_torchvisions_at_its_own_rates(random_state):
    """On a map wide enough for the widest rate, which small images are not; not the text's 6, 12, 18."""
    ours, theirs = ASPP(6, 4).double().eval(), deeplabv3.ASPP(6, [12, 24, 36], 4).double().eval()
    ours.load_state_dict(random_state(theirs))
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(1, 6, 40, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        # The same operations in float64; only the order of a sum may differ.
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)


def test_the_backbone_keeps_an_eighth_of_the_image():
    shapes = [
        level.shape[1:] for level in on_meta().backbone.pyramid(torch.empty(1, 3, 64, 96, device="meta"))
    ]
    assert shapes == [(256, 16, 24), (512, 8, 12), (1024, 8, 12), (2048, 8, 12)]


def test_two_outputs_in_training_and_one_in_evaluation(images):
    model = build("deeplabv3_resnet50", num_classes=5, width=4).double()
    x = images(2, 64, 64)
    logits, aux = model.train()(x)
    assert logits.shape == aux.shape == (2, 5, 64, 64)
    assert model.eval()(x).shape == (2, 5, 64, 64)
    without = build("deeplabv3_resnet50", num_classes=5, width=4, aux=False).double()
    assert without.train()(x).shape == (2, 5, 64, 64)


def test_a_batch_of_one_is_refused_in_training_only(images):
    model = build("deeplabv3_resnet50", num_classes=5, width=4).double()
    with pytest.raises(ValueError, match="batch of 1"):
        model.train()(images(1, 64, 64))
    assert model.eval()(images(1, 64, 64)).shape == (1, 5, 64, 64)
