"""Every network's inference and training step: narrow on the CPU, as printed on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.runs import cost
from bench.throughput.timing import interleave
from reference import losses
from reference.models import MODELS, SIGNALS, build
from reference.models.byol import BYOL, Prediction
from reference.training.step import OPTIMIZERS

CLASSES = 7


@dataclass(frozen=True)
class Case:
    """The size a network is timed at: as its recipes have it on a GPU, as small as it goes elsewhere."""

    size: int
    batch: int
    small: int = 64
    compiled: bool = False  # a minute each: only for the main rows


NETWORKS: dict[str, Case] = {
    "vgg13": Case(224, 128),
    "vgg16_bn": Case(224, 128),
    "leaky_vgg16": Case(224, 128, small=224),
    "resnet18": Case(224, 256),
    "resnet34": Case(224, 256),
    "resnet50": Case(128, 512, compiled=True),
    "resnet152": Case(224, 128, compiled=True),
    "resnet50_linear": Case(128, 256),
    "resnet50_dropout": Case(128, 256),
    "resnet50_mlp": Case(128, 256),
    "fcn32s": Case(512, 16),
    "fcn32s_leaky": Case(512, 16, compiled=True),
    "fcn32s_resnet34": Case(512, 32),
    "fcn8s_vgg16": Case(512, 16),
    "fcn8s_leaky": Case(512, 16, small=464),
    "fcn8s_resnet34": Case(512, 32),
    "deeplabv3_resnet50": Case(512, 32, compiled=True),
    "byol_resnet50": Case(128, 256),
}
PASSES = ("inference", "train")
assert set(NETWORKS) == set(MODELS) - set(SIGNALS), "a network of images that is registered is timed"


class Step:
    """One network with its optimiser; calling it does one inference or training step on its own inputs."""

    def __init__(self, model: nn.Module, name: str, *, dtype: str = "float32", channels_last: bool = False):
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(memory_format=self.format)
        self.bf16 = dtype == "bfloat16"
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = OPTIMIZERS["sgd"](trained, lr=0.01, momentum=0.9)

    def forward(self, images: Tensor) -> Any:
        images = images.to(memory_format=self.format)
        views = (images, images.flip(-1)) if isinstance(self.model, BYOL) else (images,)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model(*views)

    def inference(self, batch: tuple[Tensor, Tensor]) -> Any:
        self.model.eval()
        with torch.inference_mode():
            if isinstance(self.model, BYOL):
                return self.model.embed(batch[0].to(memory_format=self.format))
            return self.forward(batch[0])

    def train(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        self.model.train()
        loss = loss_of(self.forward(batch[0]), batch[1])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if isinstance(self.model, BYOL):
            self.model.ema_update(0.99)
        return loss.detach()


def loss_of(output: Any, target: Tensor) -> Tensor:
    if isinstance(output, Prediction):
        return losses.byol_loss(*(tensor.float() for tensor in output))
    if isinstance(output, tuple):
        logits, aux = output
        return losses.cross_entropy(logits, target) + 0.5 * losses.cross_entropy(aux, target)
    return losses.cross_entropy(output, target)


def batches(name: str, size: int, batch: int, device: str) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Images and targets of a round: labels, or masks where the network answers with maps."""
    maps = name.startswith(("fcn", "deeplab"))

    def draw(number: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator(device).manual_seed(number + 1)
        images = torch.rand(batch, 3, size, size, generator=generator, device=device)
        shape = (batch, size, size) if maps else (batch,)
        return images, torch.randint(CLASSES, shape, generator=generator, device=device)

    return draw


def costs(name: str, task: str, size: int, width: int, batch: int, dtype: str) -> dict[str, float]:
    of = cost.of_network(name, num_classes=CLASSES, image_size=size, width=width, batch=batch, dtype=dtype)
    if task == "train":
        return {"flops": of.training_flops, "bytes": of.training_bytes}
    if name == "byol_resnet50":  # its inference is its encoder's, a fourth of two views through two networks
        of = cost.of_network(
            "resnet50", num_classes=CLASSES, image_size=size, width=width, batch=batch, dtype=dtype
        )
    return {"flops": of.forward_flops, "bytes": of.forward_bytes}


@pytest.mark.parametrize("task", PASSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_network_on_the_cpu(
    name: str,
    task: str,
    measuring: bool,
    seconds_alone: Callable[..., list[float]],
    note: Callable[..., None],
) -> None:
    size, width, batch = NETWORKS[name].small, 16 if measuring else 8, 8 if measuring else 2
    with torch.random.fork_rng():
        torch.manual_seed(0)
        step = Step(build(name, num_classes=CLASSES, width=width), name)
    draw, numbers = batches(name, size, batch, "cpu"), count()
    seconds = seconds_alone(getattr(step, task), lambda: draw(next(numbers)))
    note(
        f"{task} {name} at {size} px, width {width}",
        "ours",
        unit="images/s",
        items=batch,
        seconds=seconds,
        model=name,
        image_size=size,
        width=width,
        batch=batch,
        **{"pass": task},
        **costs(name, task, size, width, batch, "float32"),
    )


@pytest.fixture
def fastest_kernels() -> Iterator[None]:
    """Let cuDNN try which of its kernels is fastest, as the training loop does; float32 stays float32."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
        yield
    torch.cuda.empty_cache()


# the main rows first
ON_A_GPU = [
    pytest.param(name, task, marks=pytest.mark.gpu(2) if case.compiled and task == "train" else ())
    for name, case in NETWORKS.items()
    for task in PASSES
]


@pytest.mark.gpu
@pytest.mark.usefixtures("fastest_kernels")
@pytest.mark.parametrize(("name", "task"), ON_A_GPU)
def test_network_on_a_gpu(
    name: str, task: str, measuring: bool, rounds: int, note: Callable[..., None], gpu: str, rehearsing: bool
) -> None:
    case = NETWORKS[name]
    batch = case.batch if measuring else 2
    size, width = (case.small, 8) if rehearsing else (case.size, 64)
    numerics: dict[str, dict[str, Any]] = {
        "ours, float32": {"dtype": "float32", "channels_last": False, "compiled": False},
        "ours": {"dtype": "bfloat16", "channels_last": True, "compiled": False},
    }
    if measuring and case.compiled and task == "train":
        numerics["ours, compiled"] = {**numerics["ours"], "compiled": True}
    steps, networks = {}, []
    for contender, how in numerics.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build(name, num_classes=CLASSES, width=width).to(gpu)
        step = Step(model, name, dtype=how["dtype"], channels_last=how["channels_last"])
        if how["compiled"]:
            model.compile()
        steps[contender] = getattr(step, task)
        networks.append(model)
    draw = batches(name, size, batch, gpu)
    if task == "train":
        with without_dropout(networks):
            check_first_losses(steps, draw(0))
    # the first rounds choose kernels and compile
    timed = interleave(steps, data=draw, rounds=rounds, warmup=1 if rehearsing else 3, device=gpu)
    for contender, seconds in timed.items():
        how = numerics[contender]
        note(
            f"{task} {name} at {size} px, GPU",
            contender,
            unit="images/s",
            items=batch,
            seconds=seconds,
            device=gpu,
            model=name,
            image_size=size,
            width=width,
            batch=batch,
            **{"pass": task},
            **how,
            **costs(name, task, size, width, batch, how["dtype"]),
        )


@contextmanager
def without_dropout(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Drop nothing: each number format draws its own units."""
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, nn.Dropout)]
    kept = [layer.p for layer in layers]
    for layer in layers:
        layer.p = 0.0
    yield
    for layer, p in zip(layers, kept, strict=True):
        layer.p = p


def check_first_losses(steps: dict[str, Callable[..., Tensor]], batch: tuple[Tensor, Tensor]) -> None:
    """The same weights and images give the same first loss, but for bfloat16's three digits."""
    first = {contender: step(batch).item() for contender, step in steps.items()}
    for contender, loss in first.items():
        assert loss == pytest.approx(first["ours, float32"], rel=0.2), contender
