"""BYOL: what moves, what does not, and whose statistics normalise what."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.losses import byol_loss
from reference.models import build
from reference.models.byol import BYOL
from reference.models.resnet import BasicBlock, ResNet


def small(**args) -> BYOL:
    """Width 2 and float64: every path of the real one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ResNet("resnet18", BasicBlock, (1, 1, 1, 1), num_classes=None, width=2)
        return BYOL(encoder, hidden=12, projection=6, **args).double()


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(4, 3, 16, 16, generator=generator, dtype=torch.float64)
    # Other statistics than the first's, so that joint and separate normalisation differ.
    return first, 3 * torch.randn(4, 3, 16, 16, generator=generator, dtype=torch.float64) + 1


def online_parts(model: BYOL) -> list[nn.Module]:
    return [model.encoder, model.projector]


def target_parts(model: BYOL) -> list[nn.Module]:
    return [model.target_encoder, model.target_projector]


def step(model: BYOL, views, decay: float = 0.9) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    optimizer.zero_grad()
    byol_loss(*model(*views)).backward()
    optimizer.step()
    model.ema_update(decay)


def test_parameter_counts_of_the_reports_network():
    with torch.device("meta"):
        model = build("byol_resnet50", num_classes=64)
    sizes = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.encoder, model.projector, model.predictor, model.target_encoder)
    ]
    assert sizes == [25_557_032 - 2_049_000, 9_449_728, 2_109_696, 25_557_032 - 2_049_000]


def test_shapes_at_a_narrow_width(images):
    model = build("byol_resnet50", num_classes=64, width=4).double()
    x = images(3, 32, 32)
    output = model(x, x.flip(-1))
    assert [tensor.shape for tensor in output] == [(3, 16)] * 4
    assert model.embed(x).shape == (3, 128)


def test_the_target_starts_as_a_copy_that_shares_no_memory():
    model = small()
    for online, target in zip(online_parts(model), target_parts(model), strict=True):
        state = target.state_dict()
        for key, tensor in online.state_dict().items():
            assert torch.equal(tensor, state[key])
            assert tensor.data_ptr() != state[key].data_ptr()


@pytest.mark.parametrize("bn_views", ["joint", "separate"])
def test_no_gradient_reaches_the_target_and_every_online_parameter_has_one(bn_views, views):
    model = small(bn_views=bn_views)
    # The images ask for gradients too: frozen parameters alone would let some pass through the target.
    output = model(*(view.requires_grad_() for view in views))
    assert not output.target1.requires_grad
    assert not output.target2.requires_grad
    # Not byol_loss, which stops the gradient by itself.
    (output.prediction1 * output.target2 + output.prediction2 * output.target1).sum().backward()
    for part in target_parts(model):
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in part.parameters())
    for part in [*online_parts(model), model.predictor]:
        assert all(parameter.grad is not None for parameter in part.parameters())


def test_an_optimiser_over_everything_leaves_the_target_alone(views):
    model = small()
    before = [parameter.clone() for part in target_parts(model) for parameter in part.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    byol_loss(*model(*views)).backward()
    optimizer.step()
    after = [parameter for part in target_parts(model) for parameter in part.parameters()]
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


def test_each_prediction_is_paired_with_the_other_views_target(views):
    """Every output recomputed from the parts, view by view."""
    model = small().eval()  # in eval no view sees another, so the parts can be called one by one
    first, second = views
    output = model(first, second)
    for view, prediction, target in (
        (first, output.prediction1, output.target1),
        (second, output.prediction2, output.target2),
    ):
        projected = model.projector(model.encoder(view))
        torch.testing.assert_close(prediction, model.predictor(projected), rtol=0, atol=0)
        torch.testing.assert_close(target, model.target_projector(model.target_encoder(view)), rtol=0, atol=0)
    assert not torch.allclose(output.target1, output.target2)


def test_embeddings_are_the_online_encoders(views):
    model = small()
    step(model, views)  # so that online and target differ
    model.eval()
    torch.testing.assert_close(model.embed(views[0]), model.encoder(views[0]), rtol=0, atol=0)
    assert not torch.allclose(model.embed(views[0]), model.target_encoder(views[0]))


def test_unasked_views_are_separate_and_statistics_the_targets_own():
    model = build("byol_resnet50", num_classes=1, width=1)
    assert (model.bn_views, model.target_buffers) == ("separate", "own")  # the paper's; byol-pytorch's


# --- whose statistics -------------------------------------------------------------------------------


def predict(model: BYOL, x: Tensor) -> Tensor:
    return model.predictor(model.projector(model.encoder(x)))


def target(model: BYOL, x: Tensor) -> Tensor:
    return model.target_projector(model.target_encoder(x))


def test_separate_views_are_normalised_each_by_its_own_statistics(views):
    output = copy.deepcopy(small(bn_views="separate"))(*views)
    for i, view in enumerate(views):
        fresh = small()
        expected = predict(fresh, view), target(fresh, view)
        torch.testing.assert_close((output.prediction1, output.prediction2)[i], expected[0], rtol=0, atol=0)
        torch.testing.assert_close((output.target1, output.target2)[i], expected[1], rtol=0, atol=0)


def test_joint_views_are_normalised_by_common_statistics(views):
    output = small(bn_views="joint")(*views)
    both = torch.cat(views)
    prediction, projection = predict(small(), both), target(small(), both)
    torch.testing.assert_close(
        torch.cat([output.prediction1, output.prediction2]), prediction, rtol=0, atol=0
    )
    torch.testing.assert_close(torch.cat([output.target1, output.target2]), projection, rtol=0, atol=0)


def test_joint_and_separate_differ_in_training_and_agree_in_evaluation(views):
    joint, separate = small(bn_views="joint"), small(bn_views="separate")
    assert not torch.allclose(joint(*views).prediction1, separate(*views).prediction1)
    joint, separate = small(bn_views="joint").eval(), small(bn_views="separate").eval()
    for one, two in zip(joint(*views), separate(*views), strict=True):
        # The same rows in batches of another size: another order of summation at most.
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("bn_views", "batches"), [("joint", 1), ("separate", 2)])
def test_running_statistics_count_the_batches_they_saw(bn_views, batches, views):
    model = small(bn_views=bn_views)
    model(*views)
    assert model.encoder.bn1.num_batches_tracked == batches
    first = model.encoder.conv1(views[0]).mean(dim=(0, 2, 3))
    second = model.encoder.conv1(views[1]).mean(dim=(0, 2, 3))
    # Momentum 0.1 from zero: one step to the common mean, or two steps, the first view's first.
    expected = 0.1 * (first + second) / 2 if bn_views == "joint" else 0.09 * first + 0.1 * second
    torch.testing.assert_close(model.encoder.bn1.running_mean, expected, rtol=1e-9, atol=1e-9)


# --- the target's update ----------------------------------------------------------------------------


def test_ema_by_hand():
    model = small()
    with torch.no_grad():
        for part in online_parts(model):
            for parameter in part.parameters():
                parameter.fill_(3.0)
        for part in target_parts(model):
            for parameter in part.parameters():
                parameter.fill_(1.0)
    model.ema_update(0.75)  # 0.75 · 1 + 0.25 · 3
    assert all((p == 1.5).all() for part in target_parts(model) for p in part.parameters())
    model.ema_update(0.75)  # 0.75 · 1.5 + 0.25 · 3
    assert all((p == 1.875).all() for part in target_parts(model) for p in part.parameters())
    assert all((p == 3.0).all() for part in online_parts(model) for p in part.parameters())


def test_ema_after_a_real_step(views):
    model = small()
    before = copy.deepcopy(model)
    step(model, views, decay=0.99)
    for online, now, then in zip(online_parts(model), target_parts(model), target_parts(before), strict=True):
        old, new = dict(then.named_parameters()), dict(now.named_parameters())
        for key, parameter in online.named_parameters():
            assert not torch.equal(parameter, old[key])
            # ξ ← τξ + (1 − τ)θ with the θ that the optimiser left; float64 rounding of one product.
            torch.testing.assert_close(new[key], 0.99 * old[key] + 0.01 * parameter, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("decay", "source"), [(1.0, "target"), (0.0, "online")])
def test_ema_at_its_ends_is_exact(decay, source, views):
    model = small()
    step(model, views)
    expected = {
        "target": [p.clone() for part in target_parts(model) for p in part.parameters()],
        "online": [p.clone() for part in online_parts(model) for p in part.parameters()],
    }[source]
    model.ema_update(decay)
    now = [p for part in target_parts(model) for p in part.parameters()]
    assert all(torch.equal(one, two) for one, two in zip(now, expected, strict=True))


def statistics(part: nn.Module) -> dict[str, Tensor]:
    return {key: buffer.clone() for key, buffer in part.named_buffers()}


def test_own_statistics_follow_the_targets_forwards_and_no_update(views):
    model = small(target_buffers="own")
    model(*views)
    after_forward = statistics(model.target_encoder)
    torch.testing.assert_close(after_forward["bn1.running_mean"], model.encoder.bn1.running_mean)
    with torch.no_grad():
        model.encoder.bn1.running_mean.add_(5)
    model.ema_update(0.5)
    assert all(
        torch.equal(buffer, after_forward[key]) for key, buffer in model.target_encoder.named_buffers()
    )


def test_copied_statistics_are_the_online_networks(views):
    model = small(target_buffers="copy")
    step(model, views)
    for online, follower in zip(online_parts(model), target_parts(model), strict=True):
        theirs = statistics(online)
        assert all(torch.equal(buffer, theirs[key]) for key, buffer in follower.named_buffers())


def test_averaged_statistics_follow_the_online_networks(views):
    model = small(target_buffers="ema")
    before = statistics(model.target_encoder)
    model(*views)
    now = statistics(model.target_encoder)
    floating = [key for key, buffer in before.items() if buffer.is_floating_point()]
    assert all(torch.equal(now[key], before[key]) for key in floating)  # its own forwards add nothing
    model.ema_update(0.75)
    online, now = statistics(model.encoder), statistics(model.target_encoder)
    for key in floating:
        # One product's float64 rounding.
        torch.testing.assert_close(now[key], 0.75 * before[key] + 0.25 * online[key], rtol=1e-14, atol=1e-15)
    assert now["bn1.num_batches_tracked"] == online["bn1.num_batches_tracked"]


@pytest.mark.parametrize("target_buffers", ["own", "copy", "ema"])
def test_targets_are_normalised_by_batch_statistics_under_every_policy(target_buffers, views):
    model = small(target_buffers=target_buffers)
    torch.testing.assert_close(model(*views).target1, target(small(), views[0]), rtol=0, atol=0)


def test_resuming_from_a_state_dict_repeats_the_next_step(views):
    one = small(target_buffers="ema")
    step(one, views)
    two = small(target_buffers="ema")
    two.load_state_dict(one.state_dict())
    step(one, views)
    step(two, views)
    other = two.state_dict()
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.state_dict().items())


def test_building_draws_no_more_random_numbers_than_the_online_network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small_encoder = ResNet("resnet18", BasicBlock, (1, 1, 1, 1), num_classes=None, width=2)
        BYOL(small_encoder, hidden=12, projection=6)
        with_target = torch.rand(1)
        torch.manual_seed(0)
        ResNet("resnet18", BasicBlock, (1, 1, 1, 1), num_classes=None, width=2)
        for channels, out in ((16, 12), (12, 6), (6, 12), (12, 6)):
            nn.Linear(channels, out)
        assert torch.equal(torch.rand(1), with_target)


@pytest.mark.parametrize("args", [{"bn_views": "both"}, {"target_buffers": "mine"}])
def test_unknown_policies_are_refused(args):
    with pytest.raises(InputError, match=next(iter(args))):
        build("byol_resnet50", num_classes=1, width=1, **args)
