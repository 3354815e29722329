"""The BYOL step over a ResNet-50: ours against byol-pytorch and lightly, same views, batch and optimiser."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from byol_pytorch import BYOL as ByolPytorch  # noqa: N811
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn
from torchvision.models import resnet50

from bench.runs import cost
from bench.throughput.results import BYOL_STEP, BYOL_STEP_GPU, WITH_INPUT
from bench.throughput.timing import interleave
from reference.augment import augment_views, normalise
from reference.losses import byol_loss
from reference.models import build
from reference.models.byol import BYOL
from reference.recipes import r3
from reference.recipes.r4 import IMAGENET_MEAN, IMAGENET_STD
from reference.training.numerics import Numerics as LoopNumerics
from reference.training.step import train_step

DECAY = 0.99
CHAIN = ("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "pad", "random_resized_crop")
RECIPE = r3.BYOL
Views = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Numerics:
    """How a contender computes; the defaults are those of somebody who sets nothing."""

    device: str
    dtype: str = "float32"
    channels_last: bool = False
    compiled: bool = False

    def place(self, network: nn.Module) -> nn.Module:
        formats = {True: torch.channels_last, False: torch.contiguous_format}
        return network.to(self.device).to(memory_format=formats[self.channels_last])

    def views(self, views: Views) -> Views:
        first, second = (view.to(memory_format=self._format) for view in views)
        return first, second

    @property
    def _format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.dtype == "bfloat16")


def adam(network: nn.Module, numerics: Numerics, *, fused: bool) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trained, lr=5e-4, **({"fused": True} if fused else {}))


def trunk(width: int) -> nn.Module:
    """What a peer is given: torchvision's ResNet-50, or where little work is done our narrow one."""
    if width == 64:
        network = resnet50(weights=None)
        network.fc = nn.Identity()
        return network
    return build("byol_resnet50", num_classes=1, width=width).encoder


class Ours:
    """The reference network and loss; ``bn_views`` is chosen as the peer has it that it is compared with."""

    def __init__(
        self, numerics: Numerics, width: int, *, bn_views: str = "joint", fused: bool = True
    ) -> None:
        self.numerics = numerics
        network = build("byol_resnet50", num_classes=1, width=width, bn_views=bn_views)
        self.network = numerics.place(network)
        assert isinstance(self.network, BYOL)
        if numerics.compiled:
            self.network.compile()
        self.optimizer = adam(self.network, numerics, fused=fused)

    def loss(self, views: Views) -> Tensor:
        with self.numerics.autocast():
            return byol_loss(*self.network(*self.numerics.views(views)))

    def step(self, views: Views) -> Tensor:
        """The training loop's own."""
        how = self.numerics
        settings = LoopNumerics(device=how.device, dtype=how.dtype, channels_last=how.channels_last)
        nobodys = torch.zeros(len(views[0]), device=views[0].device)
        return train_step(
            self.network, self.optimizer, views, nobodys, byol_loss, RECIPE, settings, decay=DECAY
        )


class ReadyViews(nn.Module):
    """Hands byol-pytorch views that are made already, where it would augment: the first, then the second."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.ready.pop(0) if self.ready else x


class ByolPytorchs:
    """byol-pytorch's learner, with the projector of the paper, not its new default."""

    def __init__(self, numerics: Numerics, width: int, size: int, *, fused: bool) -> None:
        self.numerics, self.source = numerics, ReadyViews()
        self.learner = ByolPytorch(
            numerics.place(trunk(width)),
            image_size=size,
            hidden_layer=-1,
            projection_size=4 * width,
            projection_hidden_size=64 * width,
            augment_fn=self.source,
            moving_average_decay=DECAY,
            use_simplicial_embeddings=False,
        )
        numerics.place(self.learner)
        if numerics.compiled:
            for wrapper in (self.learner.online_encoder, self.learner.target_encoder):
                wrapper.net.compile()
                wrapper.projector.compile()
            self.learner.online_predictor.compile()
        self.optimizer = adam(self.learner, numerics, fused=fused)

    def take(self, ours: BYOL) -> None:
        for wrapper in (self.learner.online_encoder, self.learner.target_encoder):
            wrapper.net.load_state_dict(ours.encoder.state_dict())
            wrapper.projector.load_state_dict(ours.projector.state_dict())
        self.learner.online_predictor.load_state_dict(ours.predictor.state_dict())

    def loss(self, views: Views) -> Tensor:
        self.source.ready = list(self.numerics.views(views))
        with self.numerics.autocast():
            return self.learner(views[0])

    def step(self, views: Views) -> Tensor:
        loss = self.loss(views)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.learner.update_moving_average()
        return loss.detach()


class Lightlys(nn.Module):
    """lightly's modules put together as its documentation's BYOL example does."""

    def __init__(self, numerics: Numerics, width: int, *, fused: bool) -> None:
        super().__init__()
        self.numerics = numerics
        self.backbone = trunk(width)
        self.projection_head = BYOLProjectionHead(32 * width, 64 * width, 4 * width)
        self.prediction_head = BYOLPredictionHead(4 * width, 64 * width, 4 * width)
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)
        self.criterion = NegativeCosineSimilarity()
        numerics.place(self)
        if numerics.compiled:
            for network in (
                self.backbone,
                self.backbone_momentum,
                self.projection_head,
                self.prediction_head,
            ):
                network.compile()
            self.projection_head_momentum.compile()
        self.optimizer = adam(self, numerics, fused=fused)

    def take(self, ours: BYOL) -> None:
        for network in (self.backbone, self.backbone_momentum):
            network.load_state_dict(ours.encoder.state_dict())
        for head, own in (
            (self.projection_head, ours.projector),
            (self.projection_head_momentum, ours.projector),
            (self.prediction_head, ours.predictor),
        ):
            # theirs has no bias before BatchNorm, which would take it away again
            state = {f"layers.{key}": value for key, value in own.state_dict().items()}
            head.load_state_dict({key: state[key] for key in head.state_dict()})

    def embed(self, x: Tensor) -> Tensor:
        return self.prediction_head(self.projection_head(self.backbone(x)))

    @torch.no_grad()
    def target(self, x: Tensor) -> Tensor:
        return self.projection_head_momentum(self.backbone_momentum(x))

    def loss(self, views: Views) -> Tensor:
        first, second = self.numerics.views(views)
        with self.numerics.autocast():
            p0, z0 = self.embed(first), self.target(first)
            p1, z1 = self.embed(second), self.target(second)
            return 0.5 * (self.criterion(p0, z1) + self.criterion(p1, z0))

    def step(self, views: Views) -> Tensor:
        update_momentum(self.backbone, self.backbone_momentum, DECAY)
        update_momentum(self.projection_head, self.projection_head_momentum, DECAY)
        loss = self.loss(views)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


def check_same_loss(width: int, size: int) -> None:
    """With the same weights all three compute one loss, so they are timed doing one thing."""
    numerics = Numerics("cpu")
    views = images(8, size, "cpu")(0)
    joint, separate = Ours(numerics, width), Ours(numerics, width, bn_views="separate")
    separate.network.load_state_dict(joint.network.state_dict())
    theirs, lightly = ByolPytorchs(numerics, width, size, fused=False), Lightlys(numerics, width, fused=False)
    theirs.take(joint.network)
    lightly.take(joint.network)
    # float32 through 54 layers with statistics of few images
    assert theirs.loss(views).item() == pytest.approx(joint.loss(views).item(), abs=2e-3)
    assert 4 + 4 * lightly.loss(views).item() == pytest.approx(separate.loss(views).item(), abs=2e-3)


def images(batch: int, size: int, device: str) -> Callable[[int], Views]:
    def draw(number: int) -> Views:
        generator = torch.Generator(device).manual_seed(number + 1)
        first, second = torch.rand(2, batch, 3, size, size, generator=generator, device=device)
        return first, second

    return draw


def contenders(
    best: Numerics, width: int, size: int
) -> dict[str, tuple[Numerics, Callable[[Views], Tensor]]]:
    """Ours and the peers with the same numerics, then the peers as they come."""
    plain = Numerics(best.device)
    return {
        "ours": (best, Ours(best, width).step),
        "byol-pytorch": (best, ByolPytorchs(best, width, size, fused=True).step),
        "lightly": (best, Lightlys(best, width, fused=True).step),
        "byol-pytorch, defaults": (plain, ByolPytorchs(plain, width, size, fused=False).step),
        "lightly, defaults": (plain, Lightlys(plain, width, fused=False).step),
    }


def note_all(
    note: Callable[..., None],
    work: str,
    timed: dict[str, list[float]],
    how: dict[str, Numerics],
    width: int,
    size: int,
    batch: int,
) -> None:
    for name, seconds in timed.items():
        numerics = how[name]
        of = cost.of_network(
            "byol_resnet50",
            num_classes=1,
            image_size=size,
            width=width,
            batch=batch,
            dtype=numerics.dtype,
        )
        note(
            work,
            name,
            unit="images/s",
            items=batch,
            seconds=seconds,
            flops=of.training_flops,
            bytes=of.training_bytes,
            model="byol_resnet50",
            image_size=size,
            width=width,
            batch=batch,
            **{"pass": "train"},
            **vars(numerics),
        )


@pytest.fixture(autouse=True)
def same_weights() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_byol_step_on_the_cpu(measuring: bool, rounds: int, note: Callable[..., None]) -> None:
    width, size, batch = (64, 128, 16) if measuring else (8, 32, 4)
    check_same_loss(width, size)
    entries = contenders(Numerics("cpu", channels_last=True), width, size)
    timed = interleave(
        {name: step for name, (_, step) in entries.items()},
        data=images(batch, size, "cpu"),
        rounds=min(rounds, 6),
    )
    how = {name: numerics for name, (numerics, _) in entries.items()}
    note_all(note, BYOL_STEP, timed, how, width, size, batch)


@pytest.mark.gpu(2)
def test_byol_step_on_a_gpu(measuring: bool, rounds: int, note: Callable[..., None], gpu: str) -> None:
    width, size, batch = (64, 128, 256) if measuring else (8, 32, 4)
    best = Numerics(gpu, dtype="bfloat16", channels_last=True, compiled=measuring)
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
        entries = contenders(best, width, size)
        entries[WITH_INPUT] = (best, with_input(entries["ours"][1], size, batch, gpu))
        timed = interleave(
            {name: step for name, (_, step) in entries.items()},
            data=images(batch, size, gpu),
            rounds=rounds,
            warmup=3,
            device=gpu,
        )
    how = {name: numerics for name, (numerics, _) in entries.items()}
    note_all(note, BYOL_STEP_GPU, timed, how, width, size, batch)


def with_input(step: Callable[[Views], Any], size: int, batch: int, device: str) -> Callable[[Views], Any]:
    """A step that makes its own views out of stored images on the device, as a training does."""
    stored = torch.randint(256, (4 * batch, size, size, 3), dtype=torch.uint8, device=device)
    generator = torch.Generator().manual_seed(0)

    def whole(_: Views) -> Any:
        chosen = stored[torch.randperm(len(stored), generator=generator)[:batch].to(device)]
        views = augment_views(chosen, None, CHAIN, generator, views=2)
        return step(tuple(normalise(view, IMAGENET_MEAN, IMAGENET_STD) for view, _ in views))

    return whole
