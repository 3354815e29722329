"""What each task makes of a batch and an answer: mixup, auxiliary heads, frozen backbones, views, parts."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from sklearn.metrics import log_loss
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torchvision.transforms.functional import normalize

from reference.data import open_dataset
from reference.data.dataset import Dataset
from reference.losses import cross_entropy, soft_cross_entropy
from reference.mixup import draw_lambda
from reference.models import build
from reference.recipes import r4
from reference.recipes.recipe import Recipe
from reference.training import byol, classify, segment
from reference.training.evaluation import Batches
from reference.training.loop import train
from reference.training.numerics import Numerics
from reference.training.step import train_step

CPU = Numerics(device="cpu")
CLASSIFY = replace(
    r4.CLASSIFY, width=2, image_size=32, num_classes=4, init="scratch", batch_size=4, augment=()
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return open_dataset("officehome", None, image_size=32, classes=4, train_limit=12, val_limit=7)


def images_and_labels(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return images, torch.arange(count) % 4


def normalised(images: Tensor, recipe: Recipe) -> Tensor:
    return normalize(images.permute(0, 3, 1, 2) / 255, recipe.mean, recipe.std)


# --- mixup -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "used"), [(6, 6), (5, 4)])
def test_a_recipes_mixup_is_applied_with_its_numbers(count: int, used: int) -> None:
    """λ by the recipe's α, smoothed labels, pairs from either end; of an odd batch the last one stays out."""
    recipe = replace(CLASSIFY, mixup=0.2, mixup_smoothing=0.1)
    images, labels = images_and_labels(count)
    (mixed,), soft = classify.batch(images, labels, recipe, torch.Generator().manual_seed(1))
    lam = draw_lambda(torch.Generator().manual_seed(1), 0.2)
    plain = normalised(images, recipe)[:used]
    torch.testing.assert_close(mixed, lam * plain + (1 - lam) * plain.flip(0), rtol=1e-5, atol=1e-5)
    smooth = 0.9 * F.one_hot(labels[:used], 4) + 0.1 / 4
    torch.testing.assert_close(soft, lam * smooth + (1 - lam) * smooth.flip(0))


def test_without_mixup_images_and_labels_stay_their_own() -> None:
    images, labels = images_and_labels(5)
    (inputs,), targets = classify.batch(images, labels, CLASSIFY, torch.Generator())
    torch.testing.assert_close(inputs, normalised(images, CLASSIFY))
    assert torch.equal(targets, labels)


def test_a_recipe_with_mixup_is_evaluated_on_unmixed_labels(dataset: Dataset) -> None:
    recipe = replace(CLASSIFY, mixup=1.0, loss="soft_cross_entropy")
    model = build("resnet18", num_classes=4, width=2)
    batches = Batches.of(dataset.val, torch.device("cpu"))
    found = classify.evaluate(model, batches, dataset, recipe, soft_cross_entropy)
    with torch.no_grad():
        logits = model.eval()(normalised(batches.images, recipe))
    expected = log_loss(batches.targets.numpy(), logits.double().softmax(1).numpy(), labels=range(4))
    assert found.loss == pytest.approx(expected, rel=1e-5)  # float32
    np.testing.assert_array_equal(found.per_image, logits.argmax(1).numpy())


# --- auxiliary outputs -----------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.5, 0.25])
def test_an_auxiliary_output_adds_its_weighted_loss(weight: float) -> None:
    """torchvision's reference: the output's loss plus half the auxiliary one's."""
    logits, aux = torch.randn(2, 2, 7, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(7, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    recipe = replace(r4.SEG_B, aux_weight=weight)
    found = segment.objective((logits, aux), masks, cross_entropy, recipe)
    torch.testing.assert_close(found, F.cross_entropy(logits, masks) + weight * F.cross_entropy(aux, masks))
    torch.testing.assert_close(
        segment.objective(logits, masks, cross_entropy, recipe), F.cross_entropy(logits, masks)
    )


def test_an_auxiliary_head_learns_at_its_own_rate(tmp_path: Path) -> None:
    recipe = replace(
        r4.SEG_B,
        model="deeplabv3_resnet50",
        width=1,
        image_size=32,
        init="scratch",
        batch_size=2,
        phases=(replace(r4.SEG_B.phases[0], epochs=2),),
        mask_epochs=(),
        aux_lr_factor=10.0,
    )
    data = open_dataset("landcover", None, image_size=32, train_limit=4, val_limit=2)
    rates: list[tuple[float, float]] = []
    sizes: set[tuple[int, int]] = set()

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        rest, head = optimizer.param_groups
        rates.append((rest["lr"], head["lr"]))
        sizes.add((len(rest["params"]), len(head["params"])))

    hook = register_optimizer_step_post_hook(note)
    try:
        train(recipe, data, seed=0, numerics=CPU, folder=tmp_path)
    finally:
        hook.remove()
    names = [name for name, _ in build("deeplabv3_resnet50", num_classes=7, width=1).named_parameters()]
    heads = sum(name.startswith("aux_classifier.") for name in names)
    assert sizes == {(len(names) - heads, heads)}
    assert len(rates) == 4
    for rest, head in rates:
        assert head == pytest.approx(10 * rest)
    assert rates[0][0] == 0.01  # the phase's own


# --- frozen backbones ------------------------------------------------------------------------------


FROZEN = replace(
    CLASSIFY,
    model="resnet50_mlp",
    data="officehome",
    width=1,
    model_args=(("frozen", True), ("dropout", 0.0)),
    phases=(replace(r4.CLASSIFY.phases[0], epochs=2, lr=0.1),),
)


def test_features_of_a_frozen_backbone_are_what_its_head_sees(dataset: Dataset) -> None:
    model = build("resnet50_mlp", num_classes=4, width=1, frozen=True).train()
    batches = Batches.of(dataset.val, torch.device("cpu"))
    features = classify.frozen_features(model, batches, FROZEN)
    assert torch.equal(features.targets, batches.targets)
    model.eval()
    with torch.no_grad():
        expected = model.backbone(normalised(batches.images, FROZEN))
    torch.testing.assert_close(features.images, expected, rtol=1e-4, atol=1e-5)  # batches of another size
    seen, whole = (classify.evaluate(model, b, dataset, FROZEN, cross_entropy) for b in (features, batches))
    assert seen.loss == pytest.approx(whole.loss, rel=1e-5)
    np.testing.assert_array_equal(seen.per_image, whole.per_image)


def test_training_on_features_is_training_the_whole_network(dataset: Dataset, tmp_path: Path) -> None:
    """A flip of nothing keeps the recipe's own path through the backbone: the images are symmetric."""
    mirrored = dataset.train.images + dataset.train.images[:, :, ::-1]  # uint8 wraps round, on both sides
    symmetric = replace(dataset, train=replace(dataset.train, images=mirrored))
    by_features = train(FROZEN, symmetric, seed=0, numerics=CPU, folder=tmp_path / "features")
    by_images = train(
        replace(FROZEN, augment=("horizontal_flip",)), symmetric, seed=0, numerics=CPU, folder=tmp_path / "im"
    )
    assert by_features.weights_hash != by_features.initial_hash
    for key, tensor in by_features.weights.items():
        # float32 in batches of another size.
        torch.testing.assert_close(tensor, by_images.weights[key], rtol=1e-3, atol=1e-4)


def test_the_given_encoder_is_the_one_that_is_fine_tuned(dataset: Dataset, tmp_path: Path) -> None:
    encoder = build("byol_resnet50", num_classes=1, width=1).state_dict()
    outcome = train(FROZEN, dataset, seed=0, numerics=CPU, folder=tmp_path, initial=encoder)
    for key, tensor in outcome.weights.items():
        if key.startswith("backbone."):
            assert torch.equal(tensor, encoder["encoder." + key.removeprefix("backbone.")])


# --- normalisation ---------------------------------------------------------------------------------


def test_masks_and_views_are_normalised_as_torchvision_does() -> None:
    recipe = replace(CLASSIFY, mean=(0.1, 0.5, 0.7), std=(0.2, 0.3, 0.9))
    images, labels = images_and_labels(5)
    masks = torch.randint(7, (5, 32, 32), generator=torch.Generator().manual_seed(3))
    (inputs,), targets = segment.batch(images, masks, replace(recipe, task="segment"), torch.Generator())
    torch.testing.assert_close(inputs, normalised(images, recipe))
    assert targets is not None
    assert torch.equal(targets, masks)
    views, _ = byol.batch(images, labels, replace(recipe, task="byol"), torch.Generator())
    for view in views:
        torch.testing.assert_close(view, normalised(images, recipe))


# --- BYOL's views ----------------------------------------------------------------------------------


def test_the_two_views_of_an_image_are_drawn_apart() -> None:
    """Flipped alone, each with probability ½, the views of half of the images are the same."""
    images, labels = images_and_labels(1000)
    recipe = replace(CLASSIFY, task="byol", augment=("horizontal_flip",))
    (first, second), _ = byol.batch(images, labels, recipe, torch.Generator().manual_seed(0))
    plain = normalised(images, recipe)
    for view in (first, second):
        flipped = (view - plain).abs().flatten(1).amax(dim=1) > 1e-5
        torch.testing.assert_close(view, torch.where(flipped.view(-1, 1, 1, 1), plain.flip(-1), plain))
    same = int((first == second).flatten(1).all(dim=1).sum())
    assert binomtest(same, 1000, 0.5).pvalue > 0.001  # the seed is fixed


def test_the_probes_neighbours_exclude_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image is a class of its own: a query among its own neighbours would be right, each time."""
    classes = tuple(map(str, range(50)))
    many = open_dataset("officehome", None, image_size=8, classes=4, train_limit=50, val_limit=4)
    train_split = replace(many.train.take(range(50)), targets=np.arange(50))
    data = replace(many, train=train_split, classes=classes)
    batches = Batches.of(byol.validation(data), torch.device("cpu"))
    monkeypatch.setattr(byol, "embed", lambda *_: torch.eye(50))
    found = byol.evaluate(nn.Identity(), batches, data, CLASSIFY, cross_entropy)  # type: ignore[arg-type]
    assert found.metrics["knn"].denominator == 10
    assert found.metrics["knn"].numerator == 0
    assert len(found.per_image) == 10


def test_embedding_moves_no_statistics(dataset: Dataset) -> None:
    model = build("byol_resnet50", num_classes=1, width=1).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    batches = Batches.of(dataset.val, torch.device("cpu"))
    features = classify.embed(model, batches, CLASSIFY)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    with torch.no_grad():
        expected = model.eval().encoder(normalised(batches.images, CLASSIFY))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)  # batches of another size


# --- parts of a batch ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_parts_add_up_to_the_whole_batch_where_statistics_are_fixed(size: int) -> None:
    """One step of plain SGD over five images, which no size but 1 and 5 divides."""
    images, labels = images_and_labels(5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole: nn.Module = build("resnet18", num_classes=4, width=2).double().eval()
    inputs = normalised(images, CLASSIFY).double()
    parts = copy.deepcopy(whole)
    recipe = replace(CLASSIFY, micro_batch=size)
    optimizer = torch.optim.SGD(parts.parameters(), lr=0.1)
    loss = train_step(parts, optimizer, (inputs,), labels, partial(cross_entropy), recipe, CPU)
    expected = F.cross_entropy(whole(inputs), labels)
    expected.backward()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-6)  # summed in float32
    for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        assert theirs.grad is not None
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad, rtol=1e-9, atol=1e-9)
