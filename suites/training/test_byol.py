"""BYOL's training: byol-pytorch's losses and weights step by step, τ's schedule, collapse, no labels."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from byol_pytorch.byol_pytorch import BYOL as byol_pytorch  # noqa: N811
from torch import Tensor, nn

from reference import embeddings
from reference.data import open_dataset
from reference.data.dataset import Dataset
from reference.losses import byol_loss
from reference.models.byol import BYOL
from reference.models.resnet import Bottleneck, ResNet
from reference.recipes.recipe import Assumption, Phase, Recipe
from reference.training import byol, classify
from reference.training.evaluation import Batches
from reference.training.loop import train
from reference.training.numerics import Numerics
from reference.training.state import Outcome, Progress
from reference.training.step import build_optimizer, train_step
from reference.training.watch import DivergedError

RECIPE = Recipe(
    slug="tiny-byol",
    report="r0",
    title="BYOL in miniature",
    task="byol",
    data="miniimagenet",
    model="byol_resnet50",
    model_args=(("bn_views", "joint"),),
    num_classes=1,
    image_size=32,
    init="scratch",
    loss="byol_loss",
    batch_size=8,
    phases=(Phase(optimizer="adam", lr=1e-3, epochs=3),),
    augment=("color_jitter", "horizontal_flip", "random_resized_crop"),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    selection="final",
    assumptions=(Assumption(field="tau", value="0.99", why="a test"),),
    width=4,
)
CPU = Numerics(device="cpu")
STEPS = 20


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return open_dataset("miniimagenet", None, image_size=32, classes=4, train_limit=40)


def run(recipe: Recipe, dataset: Dataset, folder: Path, **options: object) -> Outcome:
    return train(recipe, dataset, seed=0, numerics=CPU, folder=folder, **options)


class FixedViews(nn.Module):
    """byol-pytorch's augmentation, replaced by views that were drawn elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.view: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return x if self.view is None else self.view


def peer_of(model: BYOL, size: int) -> byol_pytorch:
    """byol-pytorch with our weights and its own forward, loss and moving average."""
    views = [FixedViews(), FixedViews()]
    peer = byol_pytorch(
        copy.deepcopy(model.encoder).float(),
        size,
        hidden_layer="avgpool",
        projection_size=model.projector[-1].out_features,
        projection_hidden_size=model.projector[0].out_features,
        augment_fn=views[0],
        augment_fn2=views[1],
        moving_average_decay=RECIPE.tau,
        use_simplicial_embeddings=False,
    ).double()
    # Its constructor ran a mock forward, which moved running statistics: all state is set anew.
    peer.online_encoder.net.load_state_dict(model.encoder.state_dict())
    peer.online_encoder.projector.load_state_dict(model.projector.state_dict())
    peer.online_predictor.load_state_dict(model.predictor.state_dict())
    peer.target_encoder.net.load_state_dict(model.target_encoder.state_dict())
    peer.target_encoder.projector.load_state_dict(model.target_projector.state_dict())
    return peer.train()


@pytest.mark.parametrize(
    "phase",
    [Phase(optimizer="sgd", lr=0.05, epochs=1), Phase(optimizer="adam", lr=1e-4, epochs=1)],
    ids=["sgd", "adam"],
)
def test_twenty_steps_follow_byol_pytorch(phase: Phase) -> None:
    torch.manual_seed(0)
    encoder = ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=8)
    model = BYOL(encoder, hidden=64, projection=16, bn_views="joint").double()
    peer = peer_of(model, 32)
    theirs = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[phase.optimizer](
        [p for p in peer.parameters() if p.requires_grad],
        lr=phase.lr,
        **({"momentum": phase.momentum} if phase.optimizer == "sgd" else {}),
    )
    ours = build_optimizer(phase, model.train(), 1.0)
    probe = torch.randn(16, 3, 32, 32, dtype=torch.float64)
    for _ in range(STEPS):
        views = torch.randn(2, 8, 3, 32, 32, dtype=torch.float64).unbind()
        labels = torch.zeros(8)
        loss = train_step(model, ours, views, labels, byol_loss, RECIPE, CPU, decay=RECIPE.tau)
        peer.augment1.view, peer.augment2.view = views
        their_loss = peer(views[0])
        theirs.zero_grad()
        their_loss.backward()
        theirs.step()
        peer.update_moving_average()
        assert float(loss) == pytest.approx(float(their_loss.detach()), abs=1e-8)
        with torch.no_grad():
            spread = embeddings.embedding_std(model.eval().embed(probe))
            their_spread = embeddings.embedding_std(peer.eval()(probe, return_embedding=True)[1])
        assert spread == pytest.approx(their_spread, abs=1e-8)
        model.train()
        peer.train()
    for network, their_network in (
        (model.encoder, peer.online_encoder.net),
        (model.predictor, peer.online_predictor),
        (model.target_encoder, peer.target_encoder.net),
        (model.target_projector, peer.target_encoder.projector),
    ):
        for own, other in zip(network.parameters(), their_network.parameters(), strict=True):
            torch.testing.assert_close(own, other, rtol=0, atol=1e-8)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_tau_is_the_papers_at_every_step(
    schedule: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []
    update = BYOL.ema_update
    monkeypatch.setattr(BYOL, "ema_update", lambda self, decay: (used.append(decay), update(self, decay))[1])
    recipe = replace(RECIPE, tau=0.97, tau_schedule=schedule)
    run(recipe, dataset, tmp_path)
    steps = 3 * 5
    expected = [
        0.97 if schedule == "constant" else 1 - 0.03 * (math.cos(math.pi * k / steps) + 1) / 2
        for k in range(steps)
    ]
    assert used == pytest.approx(expected, abs=1e-12)


def test_the_target_moves_after_the_step_and_towards_the_new_weights(dataset: Dataset) -> None:
    torch.manual_seed(0)
    model = BYOL(
        ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=4), hidden=32, projection=8
    ).train()
    before = model.target_encoder.conv1.weight.clone()
    optimizer = build_optimizer(Phase(optimizer="sgd", lr=1.0, epochs=1), model, 1.0)
    views = (torch.randn(8, 3, 32, 32), torch.randn(8, 3, 32, 32))
    train_step(model, optimizer, views, torch.zeros(8), byol_loss, RECIPE, CPU, decay=0.9)
    after = model.encoder.conv1.weight.detach()
    assert not torch.equal(after, before)
    torch.testing.assert_close(model.target_encoder.conv1.weight, 0.9 * before + 0.1 * after)


def test_resumed_run_equals_an_unbroken_one(dataset: Dataset, tmp_path: Path) -> None:
    unbroken = run(RECIPE, dataset, tmp_path / "a", checkpoint_seconds=0)

    class StopHereError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.epoch == 1 and progress.step == 2 and not progress.scores:
            raise StopHereError

    with pytest.raises(StopHereError):
        run(RECIPE, dataset, tmp_path / "b", checkpoint_seconds=0, progress=stop)
    resumed = run(RECIPE, dataset, tmp_path / "b", checkpoint_seconds=0)
    assert resumed.weights_hash == unbroken.weights_hash
    assert resumed.curves == unbroken.curves


def test_labels_take_no_part_in_the_training(dataset: Dataset, tmp_path: Path) -> None:
    labels = np.array(dataset.train.targets)
    shuffled = replace(dataset, train=replace(dataset.train, targets=np.roll(labels, 1)))
    unlabelled = replace(dataset, train=replace(dataset.train, targets=np.full_like(labels, -1)), classes=())
    outcomes = [run(RECIPE, d, tmp_path / str(i)) for i, d in enumerate((dataset, shuffled, unlabelled))]
    assert len({outcome.weights_hash for outcome in outcomes}) == 1
    labelled, _, without = outcomes
    assert labelled.final.primary == "knn"
    assert 0 < labelled.final.metrics["knn"].denominator < len(labels)
    assert without.final.primary == "effective_rank"
    assert set(without.final.metrics) == {"embedding_std", "effective_rank"}


def test_the_probe_is_of_training_images_and_says_so(dataset: Dataset, tmp_path: Path) -> None:
    outcome = run(RECIPE, dataset, tmp_path)
    assert outcome.final.split == "probe"
    assert set(outcome.curves) == {
        "train_loss",
        "grad_norm",
        "probe_knn",
        "probe_embedding_std",
        "probe_effective_rank",
    }
    model = BYOL(
        ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=4), hidden=256, projection=16
    )
    model.bn_views = "joint"
    model.load_state_dict(outcome.weights)
    features = classify.embed(model, Batches.of(byol.validation(dataset), torch.device("cpu")), RECIPE)
    assert embeddings.embedding_std(features) == pytest.approx(
        outcome.curves["probe_embedding_std"][-1], rel=1e-5
    )


def test_many_images_are_probed_by_a_fixed_number() -> None:
    many = open_dataset("miniimagenet", None, image_size=8, classes=4, train_limit=3000)
    probe = byol.validation(many)
    assert len(probe) == byol.PROBE_IMAGES
    assert len(set(probe.ids)) == byol.PROBE_IMAGES
    assert np.bincount(probe.targets).min() > byol.PROBE_IMAGES / 5


def test_collapse_counts_three_epochs_after_the_warmup() -> None:
    least = 0.01 / math.sqrt(100)
    low, high = least * 0.99, least * 1.01
    assert byol.collapsed([high, low, low, low], 100, 0)
    assert byol.collapsed([high, math.nan, low, low], 100, 0)
    assert not byol.collapsed([low, low, high, low, low], 100, 0)
    assert not byol.collapsed([low, low, high], 100, 0)
    assert not byol.collapsed([low, low, low], 100, 1)
    assert byol.collapsed([low, low, low, low], 100, 1)


def test_a_collapsed_run_ends_and_keeps_its_last_good_checkpoint(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, phases=(replace(RECIPE.phases[0], epochs=6, warmup_epochs=1),))
    monkeypatch.setattr(embeddings, "embedding_std", lambda features: 1e-9)
    with pytest.raises(DivergedError, match=r"collapse: embedding std 1e-09 after epoch 4"):
        run(recipe, dataset, tmp_path, checkpoint_seconds=0)
    assert (tmp_path / "checkpoint.pt").exists()


def test_parts_of_a_batch_see_their_own_statistics(dataset: Dataset, tmp_path: Path) -> None:
    whole = run(RECIPE, dataset, tmp_path / "whole")
    same = run(replace(RECIPE, micro_batch=8), dataset, tmp_path / "same")
    parts = run(replace(RECIPE, micro_batch=4), dataset, tmp_path / "parts")
    assert same.weights_hash == whole.weights_hash
    assert parts.weights_hash != whole.weights_hash
