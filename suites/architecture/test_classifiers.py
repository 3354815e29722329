"""VGG and ResNet against torchvision's: keys, outputs, initial weights, counts."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from reference.errors import InputError
from reference.models import build
from reference.models.vgg import VGG13_BLOCKS, VGG16_BLOCKS

NAMES = ["vgg13", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet152"]


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def on_meta(name: str, num_classes: int, **args) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=num_classes, **args)


def torchvision_on_meta(name: str, num_classes: int) -> nn.Module:
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None, num_classes=num_classes)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_and_outputs_equal_torchvisions(name, random_state, images):
    ours, theirs = on_meta(name, 13), torchvision_on_meta(name, 13)
    state = random_state(theirs)
    # Both take the tensors themselves, strictly: the same keys and shapes, without a second copy in memory.
    ours.load_state_dict(state, assign=True)
    theirs.load_state_dict(ours.state_dict(), assign=True)
    x = images(2, 32, 64)
    with torch.inference_mode():
        expected = theirs.eval()(x)
        # The same operations in float64; only the order of a sum may differ.
        torch.testing.assert_close(ours.eval()(x), expected, rtol=1e-10, atol=1e-10)
    assert expected.abs().max() > 1e-3
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_initial_weights_equal_torchvisions_for_one_seed(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = build(name, num_classes=5).state_dict()
        torch.manual_seed(0)
        theirs = getattr(torchvision.models, name)(weights=None, num_classes=5).state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_initial_weights_of_vgg_have_torchvisions_moments():
    model = build("vgg16_bn", num_classes=5, width=16)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            std = (2 / (layer.out_channels * 9)) ** 0.5
        elif isinstance(layer, nn.Linear):
            std = 0.01
        else:
            continue
        # 8 standard errors of a standard deviation estimated from n normal values.
        tolerance = 8 * std / (2 * layer.weight.numel()) ** 0.5
        assert abs(layer.weight.std().item() - std) < tolerance
        assert not layer.bias.any()


@pytest.mark.parametrize("name", ["vgg13", "vgg16_bn"])
def test_dropout_rates_equal_torchvisions(name):
    ours, theirs = (
        [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)]
        for model in (on_meta(name, 5), torchvision_on_meta(name, 5))
    )
    assert ours == theirs
    assert len(ours) == 2


@pytest.mark.parametrize("name", NAMES)
def test_parameter_count_equals_torchvisions(name):
    assert count(on_meta(name, 50)) == count(torchvision_on_meta(name, 50))


def vgg_count(blocks, num_classes: int, batch_norm: bool) -> int:
    channels, total = 3, 0
    for block in blocks:
        for out in block:
            total += (9 * channels + 1) * out + (2 * out if batch_norm else 0)
            channels = out
    return total + (25088 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * num_classes


def test_parameter_counts_follow_from_the_printed_layers():
    assert count(on_meta("vgg16_bn", 50)) == vgg_count(VGG16_BLOCKS, 50, True) == 134_473_842
    assert count(on_meta("vgg13", 50)) == vgg_count(VGG13_BLOCKS, 50, False) == 129_155_698
    assert count(on_meta("resnet50", 1000)) == 25_557_032


@pytest.mark.parametrize("name", ["vgg13", "vgg16_bn"])
def test_width_scales_every_layer_of_a_vgg(name):
    wide, narrow = on_meta(name, 5).state_dict(), on_meta(name, 5, width=8).state_dict()
    for key, tensor in wide.items():
        expected = [size if size in (3, 5) else size // 8 for size in tensor.shape]
        assert list(narrow[key].shape) == expected, key


@pytest.mark.parametrize("name", ["vgg13", "vgg16_bn"])
def test_vgg_embeddings_feed_the_last_layer_or_come_from_the_convolutions(name, randomised, images):
    model = randomised(build(name, num_classes=5, width=8))
    x = images(2, 32, 32)
    torch.testing.assert_close(model.classifier[-1](model.embed(x)), model(x), rtol=0, atol=0)
    conv = randomised(build(name, num_classes=5, width=8, embedding="conv"))
    torch.testing.assert_close(conv.classifier(conv.embed(x)), model(x), rtol=0, atol=0)
    assert conv.embed(x).shape == (2, 8 * 8 * 49)


def test_resnet_embedding_feeds_the_last_layer(randomised, images):
    model = randomised(build("resnet50", num_classes=5, width=8))
    x = images(2, 32, 32)
    torch.testing.assert_close(model.fc(model.embed(x)), model(x), rtol=0, atol=0)
    assert model.embed(x).shape == (2, model.embedding_size)


@pytest.mark.parametrize("args", [{"width": 0}, {"width": 1.5}, {"num_classes": 0}, {"num_classes": True}])
@pytest.mark.parametrize("name", ["vgg13", "resnet18", "fcn32s", "fcn8s_resnet34"])
def test_impossible_sizes_are_refused(name, args):
    with pytest.raises(InputError, match=next(iter(args))):
        build(name, **{"num_classes": 5, **args})


def test_unknown_embedding_is_refused():
    with pytest.raises(InputError, match="'penultimate' or 'conv'"):
        build("vgg13", num_classes=5, width=1, embedding="second")
