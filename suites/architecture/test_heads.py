"""The classifiers that the reports put on a ResNet-50, and what freezing means."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from reference.errors import InputError
from reference.models import build

HEADS = ["resnet50_linear", "resnet50_dropout", "resnet50_mlp"]


def narrow(name: str, **args) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(name, num_classes=65, width=4, **args)


def test_heads_are_the_printed_ones():
    linear, dropout, mlp = (build(name, num_classes=65, width=4).head for name in HEADS)
    assert [type(layer) for layer in linear] == [nn.Linear]
    assert [type(layer) for layer in dropout] == [nn.Dropout, nn.Linear]
    assert (dropout[0].p, dropout[1].in_features, dropout[1].out_features) == (0.5, 1000, 65)
    assert [type(layer) for layer in mlp] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert (mlp[0].out_features, mlp[2].p, mlp[3].in_features) == (256, 0.1, 256)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet50_linear", 2049 * 65),
        ("resnet50_dropout", 2049 * 1000 + 1001 * 65),
        ("resnet50_mlp", 2049 * 256 + 257 * 65),
    ],
)
def test_parameter_counts(name, head):
    trunk = 25_557_032 - 2_049_000  # torchvision's ResNet-50 without its fc
    with torch.device("meta"):
        model = build(name, num_classes=65)
    assert sum(parameter.numel() for parameter in model.parameters()) == trunk + head


def test_r3_classifies_torchvisions_thousand_outputs(random_state, images):
    with torch.device("meta"):
        ours = build("resnet50_dropout", num_classes=65)
        theirs = torchvision.models.resnet50(weights=None)
    state = random_state(ours)
    ours.load_state_dict(state, assign=True)
    backbone = {key.removeprefix("backbone."): value for key, value in state.items() if key[0] == "b"}
    theirs.load_state_dict(backbone, assign=True)
    x = images(2, 32, 32)
    with torch.inference_mode():
        expected = nn.functional.linear(theirs.eval()(x), state["head.1.weight"], state["head.1.bias"])
        # The same operations in float64; only the order of a sum may differ.
        torch.testing.assert_close(ours.eval()(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", HEADS)
def test_embedding_feeds_the_last_layer(name, images):
    model = narrow(name).double().eval()
    x = images(3, 32, 32)
    torch.testing.assert_close(model.head[-1](model.embed(x)), model(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", HEADS)
def test_a_frozen_backbone_does_not_move_in_any_way(name, images):
    model = narrow(name, frozen=True).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(images(4, 32, 32).float()).square().sum().backward()
        optimizer.step()
    moved = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {key for key in before if key.startswith("head.")}
    assert not any(layer.training for layer in model.backbone.modules())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert model.head.training


@pytest.mark.parametrize("name", HEADS)
def test_a_thawed_backbone_trains(name, images):
    model = narrow(name).train()
    model(images(4, 32, 32).float()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(layer.training for layer in model.modules())


def test_train_and_eval_reach_the_head_of_a_frozen_network():
    model = narrow("resnet50_mlp", frozen=True)
    assert not model.eval().head.training
    assert model.train().head.training


# --- taking a pre-trained encoder ------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_the_online_encoder_of_a_byol_run_becomes_the_backbone(name, images):
    byol = build("byol_resnet50", num_classes=1, width=4)
    with torch.no_grad():
        byol.encoder.conv1.weight.mul_(2)  # so that online and target differ
    model = narrow(name)
    model.load_encoder(byol.state_dict())
    x = images(2, 32, 32).float()
    assert torch.equal(model.eval().backbone.embed(x), byol.eval().encoder.embed(x))
    other = narrow(name)
    other.load_encoder(byol.encoder.state_dict())
    assert torch.equal(
        other.state_dict()["backbone.conv1.weight"], model.state_dict()["backbone.conv1.weight"]
    )


@pytest.mark.parametrize(("classes", "taken"), [(1000, True), (64, False)])
def test_a_supervised_encoders_fc_is_taken_where_it_fits(classes, taken):
    supervised = build("resnet50", num_classes=classes, width=4).state_dict()
    model = narrow("resnet50_dropout")
    model.load_encoder(supervised)
    assert torch.equal(model.backbone.conv1.weight, supervised["conv1.weight"])
    if taken:
        assert torch.equal(model.backbone.fc.weight, supervised["fc.weight"])
    else:
        assert torch.equal(model.backbone.fc.weight, narrow("resnet50_dropout").backbone.fc.weight)
    narrow("resnet50_linear").load_encoder(supervised)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer1.0.bn1.bias"), "'layer1.0.bn1.bias' is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "'extra' is unexpected"),
        (lambda state: state.update({"conv1.weight": torch.zeros(1)}), r"'conv1.weight': found \(1,\)"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(change, message):
    state = build("resnet50", num_classes=64, width=4).state_dict()
    change(state)
    with pytest.raises(InputError, match=message):
        narrow("resnet50_mlp").load_encoder(state)


def test_an_encoder_of_another_width_is_refused():
    with pytest.raises(InputError, match="is it of this width"):
        narrow("resnet50_mlp").load_encoder(build("resnet50", num_classes=64, width=2).state_dict())


@pytest.mark.parametrize(
    ("name", "args"), [("resnet50_mlp", {"hidden": 0}), ("resnet50_dropout", {"dropout": 1})]
)
def test_impossible_arguments_are_refused(name, args):
    with pytest.raises(InputError, match=next(iter(args))):
        build(name, num_classes=65, width=1, **args)
