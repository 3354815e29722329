"""The training loop: epochs, optimiser phases, closed-form schedule, evaluation, curves, checkpoints.

The only place that seeds torch or sets a backend flag, and it puts both back as they were.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reference import embeddings, losses, models, schedules
from reference.data.dataset import Dataset, Split
from reference.errors import InputError
from reference.files import write_atomically
from reference.models.byol import BYOL
from reference.models.weights import load_pretrained
from reference.recipes.recipe import Phase, Recipe
from reference.training import TASKS, byol, checkpoint, classify, distributed, segment
from reference.training.batching import batches_of_epoch
from reference.training.evaluation import Batches, Evaluation, Metric
from reference.training.randomness import generator, key, seed_device

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


EMBEDDED_IMAGES = 2000
"""Most images whose embedding is drawn: more points hide each other, and t-SNE's time grows with them."""

Forward = Callable[..., Any]


EXPLODED_RATIO = 1e4
"""A run explodes when the mean gradient norm of an epoch is so many times that of its first epoch."""


class DivergedError(Exception):
    """Loss, gradient or weights no longer finite, an exploding gradient, a collapse: which, and the epoch."""


class DeviceMemoryError(Exception):
    """The device's memory does not hold a training step; says the epoch, how much was tried and what fits."""


@dataclass(frozen=True)
class Numerics:
    """How the arithmetic is done, which no report states: device kind and number format."""

    device: str = "cpu"
    dtype: str = "float32"
    channels_last: bool = False
    compiled: bool = False
    deterministic: bool = True


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step (``scores`` empty) or after an epoch's evaluation."""

    epoch: int
    epochs: int
    step: int
    steps: int
    scores: dict[str, float] = field(default_factory=dict)
    unit: str = "epoch"


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves: evaluations, curves and what the run cost."""

    final: Evaluation
    best: Evaluation
    best_epoch: int
    curves: dict[str, list[float]]
    weights: dict[str, Tensor]
    weights_hash: str
    initial_hash: str
    parameters: int
    train_samples: int
    train_seconds: float
    peak_memory: int
    segments: tuple[dict[str, float], ...]
    notes: tuple[str, ...]
    rank_rates: tuple[float, ...] = ()


def train(
    recipe: Recipe,
    dataset: Dataset,
    *,
    seed: int,
    numerics: Numerics,
    folder: Path,
    weights: Path | None = None,
    initial: dict[str, Tensor] | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[Progress], None] = lambda _: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Train one recipe on one data set with one seed, continuing from a checkpoint in ``folder``.

    Whatever ends the training early, an interruption too, leaves a checkpoint of the last finished epoch.

    Predicted masks of the recipe's ``mask_epochs`` are written to ``folder/masks`` as they are reached, the
    plane's points of its ``embed_epochs`` to ``folder/embeddings``.

    Args:
        folder: working files of this run alone.
        weights: folder to look for pretrained weights in, before torch's own cache.
        initial: state dict of the backbone to start from, where the recipe starts from another run.
        checkpoint_seconds: least time between two checkpoints; the last epoch always writes one.
        notice: called with a line for each damaged checkpoint that was set aside.

    Raises:
        WeightsMissingError: the recipe starts from pretrained weights that are not on this machine.
        DivergedError: loss, gradient or weights are no longer finite, the gradient explodes, or a BYOL
            encoder has collapsed.
        DeviceMemoryError: a training step needs more memory than the device has.
        DiskError: a file cannot be written.
        InputError: the checkpoint is of another version of the network.
    """
    _refuse_parts(recipe)
    device = distributed.local_device(numerics.device)
    task = TASKS[recipe.task]
    loss = partial(losses.LOSSES[recipe.task][recipe.loss], **dict(recipe.loss_args))
    train_batches = Batches.of(dataset.train, device)
    val_batches = Batches.of(task.validation(dataset), device)

    with backend(numerics):
        model = _initial_model(recipe, seed, weights, initial)
        initial_hash = checkpoint.weights_hash(model.state_dict())
        model = model.to(device).to(memory_format=_memory_format(numerics))
        saved, notes = distributed.rank0_first(lambda: checkpoint.load(folder)) if resume else (None, [])
        for line in notes:
            notice(line)
        state = _State.fresh() if saved is None else _restored(saved, model, folder)
        distributed.refuse_difference("start", partial(checkpoint.weights_hash, model.state_dict()))
        model = distributed.synchronise(model)
        gradients = distributed.GradientSum(model)
        if device.type == "cpu":
            interruptible_backward(model)
        forward: Forward = model
        if getattr(model, "frozen", False):
            val_batches = classify.frozen_features(model, val_batches, recipe)
            if not recipe.augment and not recipe.mixup:
                train_batches = classify.frozen_features(model, train_batches, recipe)
                forward = model.head  # type: ignore[assignment]
        if numerics.compiled:
            forward = _compiled(forward, notes)

        first_epoch, started = state.epoch, time.perf_counter()
        # whatever stops it: the model may then be in the middle of a step, so the last whole epoch is kept
        with checkpoint.Writer(folder, checkpoint_seconds) as writer:
            while state.epoch < recipe.epochs:
                phase, phase_start = phase_at(recipe, state.epoch)
                if state.optimizer is None or state.epoch == phase_start:
                    state.optimizer = _optimizer(phase, model, recipe.aux_lr_factor)
                    if saved is not None and state.epoch != phase_start:
                        state.optimizer.load_state_dict(saved["optimizer"])
                model.train()
                trained = _train_epoch(
                    model,
                    forward,
                    gradients,
                    state,
                    recipe,
                    phase,
                    phase_start,
                    train_batches,
                    seed,
                    loss,
                    numerics,
                    progress,
                )
                state.epoch += 1
                evaluation = task.evaluate(model, val_batches, dataset, recipe, loss)
                if recipe.score_train:
                    scored = task.evaluate(model, train_batches, dataset, recipe, loss)
                    trained |= {f"train_{name}": metric.value for name, metric in scored.metrics.items()}
                state.note(
                    evaluation, trained, _clusters(model, dataset, recipe, state.epoch, folder, device)
                )
                _refuse_explosion(state, model)
                if isinstance(model, BYOL):
                    _refuse_collapse(state, recipe, model)
                if recipe.task == "segment" and state.epoch in recipe.mask_epochs:
                    _keep_masks(model, dataset, recipe, state.epoch, folder / "masks", device)
                scores = {name: v[-1] for name, v in state.curves.items() if not math.isnan(v[-1])}
                steps = _steps_of_epoch(recipe, len(train_batches), state.epoch - 1)
                state.segment(first_epoch, time.perf_counter() - started)
                if distributed.world().main:
                    writer.keep(state.payload(model), last=state.epoch == recipe.epochs)
                progress(Progress(state.epoch, recipe.epochs, steps, steps, scores))

    final, best = state.final, state.best
    assert final is not None
    assert best is not None
    state_dict = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    return Outcome(
        final=final,
        best=best,
        best_epoch=state.best_epoch,
        curves=state.curves,
        weights=state_dict,
        weights_hash=checkpoint.weights_hash(state_dict),
        initial_hash=initial_hash,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        train_samples=state.samples,
        train_seconds=state.seconds,
        peak_memory=_peak_memory(device),
        segments=tuple(state.segments),
        notes=tuple(notes),
        rank_rates=distributed.figures(state.rows_here / max(state.seconds_here, 1e-9)),
    )


def _train_epoch(
    model: nn.Module,
    forward: Forward,
    gradients: distributed.GradientSum,
    state: _State,
    recipe: Recipe,
    phase: Phase,
    phase_start: int,
    batches: Batches,
    seed: int,
    loss: Callable[..., Tensor],
    numerics: Numerics,
    progress: Callable[[Progress], None],
) -> dict[str, float]:
    """One pass over the training split; mean loss over its samples, mean gradient norm over its steps."""
    assert state.optimizer is not None
    task = TASKS[recipe.task]
    epoch = state.epoch
    wholes = batches_of_epoch(recipe, len(batches), epoch, seed)
    steps, before = len(wholes), schedules.steps_before(recipe, len(batches), epoch)
    all_steps = schedules.steps_before(recipe, len(batches), recipe.epochs)
    total, norms = torch.zeros(2, dtype=torch.float64, device=batches.device)
    started = time.perf_counter()
    held = [distributed.rows(len(whole), mirrored=bool(recipe.mixup)) for whole in wholes]
    parts = [whole[rows.at] for whole, rows in zip(wholes, held, strict=True)]
    gathered = batches.ahead(parts) if batches.streamed else map(batches.gather, parts)
    for step, (indices, rows, (images, labels)) in enumerate(zip(wholes, held, gathered, strict=True)):
        draws = generator(seed, "augment", epoch, step)
        inputs, targets = task.batch(images, labels, recipe, draws, rows)
        for group in state.optimizer.param_groups:
            rate = schedules.learning_rate(phase, epoch - phase_start + step / steps)
            group["lr"] = rate * group["lr_factor"]
        seed_device(batches.device, key(seed, distributed.stream("forward"), epoch, step))  # dropout
        decay = byol.decay(recipe, before + step, all_steps)
        step_of = partial(
            train_step,
            model,
            state.optimizer,
            inputs,
            targets,
            loss,
            numerics=numerics,
            decay=decay,
            share=distributed.share(rows, targets, recipe),
            gradients=gradients,
        )
        try:
            batch_loss = step_of(recipe, forward=forward)
        except torch.OutOfMemoryError as error:
            cause = str(error).partition("\n")[0] or "out of memory"
        else:
            cause = ""
        if cause:  # not within the handler, whose traceback holds on to the step's memory
            raise DeviceMemoryError(_too_much(cause, epoch, recipe, len(rows), step_of))
        total += batch_loss * len(indices)
        norms += _gradient_norm(model)
        state.samples += len(indices)
        state.rows_here += len(rows)
        progress(Progress(epoch, recipe.epochs, step + 1, steps))
    counted = sum(map(len, wholes))
    mean = float(distributed.total(total)) / counted  # waits for the device
    state.seconds += time.perf_counter() - started
    state.seconds_here += time.perf_counter() - started
    if not math.isfinite(mean):
        raise DivergedError(f"training loss is {mean} in epoch {epoch + 1}")
    return {"train_loss": mean, "grad_norm": float(norms) / steps}


def _gradient_norm(model: nn.Module) -> Tensor:
    """L2 norm of the whole gradient that the last step used, a scalar on the device."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _refuse_explosion(state: _State, model: nn.Module) -> None:
    """Raise DivergedError for a gradient that is not finite or explodes, or weights that are not finite."""
    norms, where = state.curves["grad_norm"], f"epoch {state.epoch}"
    first = next((norm for norm in norms if math.isfinite(norm)), math.inf)
    if not math.isfinite(norms[-1]):
        raise DivergedError(f"gradient norm is {norms[-1]} in {where}")
    if norms[-1] > EXPLODED_RATIO * first:
        ratio = f"more than {EXPLODED_RATIO:g} times the first epoch's {first:.2g}"
        raise DivergedError(f"gradient explodes: its norm is {norms[-1]:.2g} in {where}, {ratio}")
    if not math.isfinite(float(torch.nn.utils.get_total_norm([p.detach() for p in model.parameters()]))):
        raise DivergedError(f"weights are no longer finite after {where}")


def _too_much(cause: str, epoch: int, recipe: Recipe, batch: int, step_of: Callable[[Recipe], object]) -> str:
    """What did not fit, and the largest half, quarter, … of it that does: steps are tried."""
    tried = recipe.micro_batch or batch
    said = f"epoch {epoch + 1}: {tried} images at once do not fit ({cause})"
    if (ranks := distributed.world().size) > 1:  # which are not at this step: nothing can be tried with them
        return (
            f"{said}; {2 * ranks} processes would hold {math.ceil(tried / 2)} each, one takes --micro-batch"
        )
    size = tried // 2
    while size >= 2:
        torch.cuda.empty_cache()
        try:
            step_of(replace(recipe, micro_batch=size))
        except torch.OutOfMemoryError:
            size //= 2
        else:
            return f"{said}; {size} do: --micro-batch {size}, a deviation where there is BatchNorm"
    return f"{said}, nor do 2; use a smaller tier or a larger device"


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: tuple[Tensor, ...],
    targets: Tensor,
    loss: Callable[..., Tensor],
    recipe: Recipe,
    numerics: Numerics,
    *,
    forward: Forward | None = None,
    decay: float = 1.0,
    share: float | Tensor = 1.0,
    gradients: distributed.GradientSum | None = None,
) -> Tensor:
    """One optimiser step on one batch, and after it the step of BYOL's target; the mean loss, detached.

    Of several ranks each has its part of the batch and returns its part of the mean.

    Args:
        inputs: what the network takes, each (B, …), as the task's ``batch`` makes them with ``targets``.
        forward: ``model`` itself, or its compiled form.
        decay: τ of this step.
        share: of the global batch's mean loss that is this rank's.
        gradients: what sums them over ranks.
    """
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=targets.device)
    for part, weight in _parts(inputs, targets, recipe.micro_batch):
        images = (x.to(memory_format=_memory_format(numerics)) if x.ndim == 4 else x for x in part[:-1])
        with torch.autocast(targets.device.type, torch.bfloat16, enabled=numerics.dtype == "bfloat16"):
            output = (forward or model)(*images)
            if len(part[-1]) and float(share):
                part_loss = TASKS[recipe.task].objective(output, part[-1], loss, recipe) * weight * share
            else:
                part_loss = distributed.nothing(output)
        part_loss.backward()
        total = total + part_loss.detach()
    if gradients is not None:
        gradients.finish()
    optimizer.step()
    if isinstance(model, BYOL):
        model.ema_update(decay)
    return total


def interruptible_backward(model: nn.Module) -> None:
    """Let a backward pass on the CPU return to Python at every parameter, where a signal can end it.

    Of a large network it takes seconds, all of them in one call of torch's, in the thread that signals go to.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: None)  # type: ignore[no-untyped-call]


def _parts(
    inputs: tuple[Tensor, ...], targets: Tensor, size: int
) -> Iterator[tuple[tuple[Tensor, ...], float]]:
    """A batch in parts of ``size`` images (0: whole), each with its share of the batch."""
    whole, count = (*inputs, targets), len(targets)
    for start in range(0, max(count, 1), size or max(count, 1)):
        part = tuple(tensor[start : start + (size or count)] for tensor in whole)
        yield part, len(part[-1]) / max(count, 1)


def _refuse_parts(recipe: Recipe) -> None:
    if recipe.micro_batch and distributed.world().size > 1:
        raise InputError(
            f"--micro-batch {recipe.micro_batch}: {distributed.world().size} processes divide each batch"
            " already, with statistics of all of it; start more of them, or one with --micro-batch"
        )


def _initial_model(
    recipe: Recipe, seed: int, weights: Path | None, initial: dict[str, Tensor] | None
) -> nn.Module:
    """The network as training finds it: drawn from the seed, then what is pretrained loaded over it."""
    torch.manual_seed(key(seed, "init"))
    model = models.build(
        recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
    )
    if initial is not None:
        model.load_encoder(initial)  # type: ignore[operator]
    elif recipe.init != "scratch":
        load_pretrained(model, recipe.init, weights)
    return model


def _compiled(forward: Forward, notes: list[str]) -> Forward:
    """``forward`` compiled; where that fails, ``forward`` itself from then on, with a note."""
    attempt = torch.compile(forward)
    chosen: list[Forward] = [attempt]

    def call(*inputs: Tensor) -> Any:
        try:
            return chosen[0](*inputs)
        except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
            notes.append(f"not compiled: {str(error).splitlines()[0]}")
            chosen[0] = forward
            return forward(*inputs)

    return call


def _refuse_collapse(state: _State, recipe: Recipe, model: BYOL) -> None:
    spread, size = state.curves["probe_embedding_std"], model.encoder.embedding_size
    if byol.collapsed(spread, size, recipe.phases[0].warmup_epochs):
        raise DivergedError(
            f"collapse: embedding std {spread[-1]:.2g} after epoch {state.epoch}, below"
            f" {byol.COLLAPSED_SHARE / math.sqrt(size):.2g} for {byol.COLLAPSED_EPOCHS} epochs"
        )


def _restored(saved: dict[str, Any], model: nn.Module, folder: Path) -> _State:
    try:
        return _State.restore(saved, model)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        cause = str(error).partition("\n")[0]
        raise InputError(
            f"{folder}: its checkpoint does not fit this version of the network"
            f" ({type(error).__name__}: {cause}); start anew with --no-resume"
        ) from error


@dataclass
class _State:
    """What a run carries from epoch to epoch, and a checkpoint holds besides the weights."""

    epoch: int
    optimizer: torch.optim.Optimizer | None
    curves: dict[str, list[float]]
    final: Evaluation | None
    best: Evaluation | None
    best_epoch: int
    samples: int
    seconds: float
    segments: list[dict[str, float]]
    rows_here: int = 0  # of this process alone: not part of a checkpoint
    seconds_here: float = 0.0

    @classmethod
    def fresh(cls) -> _State:
        return cls(0, None, {}, None, None, 0, 0, 0.0, [])

    @classmethod
    def restore(cls, saved: dict[str, Any], model: nn.Module) -> _State:
        model.load_state_dict(saved["model"])
        return cls(
            epoch=saved["epoch"],
            optimizer=None,
            curves=saved["curves"],
            final=_unpack(saved["final"]),
            best=_unpack(saved["best"]),
            best_epoch=saved["best_epoch"],
            samples=saved["samples"],
            seconds=saved["seconds"],
            segments=saved["segments"],
        )

    def payload(self, model: nn.Module) -> dict[str, Any]:
        assert self.optimizer is not None
        assert self.final is not None
        assert self.best is not None
        return {
            "model": model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "curves": self.curves,
            "final": _pack(self.final),
            "best": _pack(self.best),
            "best_epoch": self.best_epoch,
            "samples": self.samples,
            "seconds": self.seconds,
            "segments": self.segments,
        }

    def note(self, evaluation: Evaluation, trained: dict[str, float], clusters: dict[str, float]) -> None:
        split = evaluation.split
        figures = dict(trained)
        if split == "val":
            figures["val_loss"] = evaluation.loss
        figures |= {f"{split}_{name}": metric.value for name, metric in evaluation.metrics.items()}
        figures |= clusters
        for name, value in figures.items():
            # a checkpoint of an older version may lack a curve
            self.curves.setdefault(name, [math.nan] * (self.epoch - 1)).append(value)
        self.final = evaluation
        if self.best is None or evaluation.score > self.best.score:
            self.best, self.best_epoch = evaluation, self.epoch

    def segment(self, first_epoch: int, seconds: float) -> None:
        """Note what this process has done so far; later calls of the same process replace the note."""
        self.segments = [s for s in self.segments if s["first_epoch"] < first_epoch]
        here = {"first_epoch": first_epoch, "last_epoch": self.epoch, "seconds": seconds}
        self.segments.append(here | {"world_size": distributed.world().size})


def _pack(evaluation: Evaluation) -> dict[str, Any]:
    metrics = {name: [m.value, m.numerator, m.denominator] for name, m in evaluation.metrics.items()}
    arrays = {name: torch.from_numpy(getattr(evaluation, name)) for name in ("confusion", "per_image")}
    return {
        "metrics": metrics,
        "primary": evaluation.primary,
        "loss": evaluation.loss,
        "majority": evaluation.majority,
        "split": evaluation.split,
        **arrays,
    }


def _unpack(saved: dict[str, Any]) -> Evaluation:
    return Evaluation(
        metrics={name: Metric(*values) for name, values in saved["metrics"].items()},
        primary=saved["primary"],
        loss=saved["loss"],
        majority=saved["majority"],
        split=saved["split"],
        confusion=saved["confusion"].numpy(),
        per_image=saved["per_image"].numpy(),
    )


def phase_at(recipe: Recipe, epoch: int) -> tuple[Phase, int]:
    """The phase that ``epoch`` (0-based) lies in, and the epoch that it starts with."""
    start = 0
    for phase in recipe.phases:
        if epoch < start + phase.epochs:
            return phase, start
        start += phase.epochs
    raise ValueError(f"epoch {epoch} lies beyond the {recipe.epochs} epochs of {recipe.slug}")


def _optimizer(phase: Phase, model: nn.Module, aux_lr_factor: float) -> torch.optim.Optimizer:
    """Over what is not frozen; an auxiliary head has a learning rate of its own."""
    momentum = {"momentum": phase.momentum} if phase.optimizer == "sgd" else {}
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    heads = [p for name, p in trained if name.startswith("aux_classifier.")]
    rest = [p for name, p in trained if not name.startswith("aux_classifier.")]
    groups = [{"params": rest, "lr_factor": 1.0}]
    if heads:
        groups.append({"params": heads, "lr_factor": aux_lr_factor})
    return OPTIMIZERS[phase.optimizer](
        groups, lr=phase.lr, weight_decay=phase.weight_decay, fused=_fused(trained[0][1]), **momentum
    )


def _fused(parameter: Tensor) -> bool:
    """One kernel for all parameters, where torch has it."""
    return parameter.device.type in ("cuda", "cpu")


def _steps_of_epoch(recipe: Recipe, samples: int, epoch: int) -> int:
    return schedules.steps_before(recipe, samples, epoch + 1) - schedules.steps_before(recipe, samples, epoch)


def shown_images(dataset: Dataset, recipe: Recipe) -> list[int]:
    """Indices in the validation split of the images a report shows, else of its first three."""
    wanted = [dataset.val.ids.index(name) for name in recipe.mask_images if name in dataset.val.ids]
    return wanted or list(range(min(3, len(dataset.val.ids))))


def _keep_masks(
    model: nn.Module, dataset: Dataset, recipe: Recipe, epoch: int, folder: Path, device: torch.device
) -> None:
    at = shown_images(dataset, recipe)
    some = dataset.val.take(at)
    masks = segment.predict(model, Batches.of(some, device), replace(recipe, eval_batch_size=len(at)))
    _save_array(folder / f"epoch-{epoch}.npy", masks)


def _clusters(
    model: nn.Module, dataset: Dataset, recipe: Recipe, epoch: int, folder: Path, device: torch.device
) -> dict[str, float]:
    """Whether classes form clusters in the plane, at the epochs a report shows; nan at all others.

    The points and their labels are kept in ``folder/embeddings``.
    """
    names = {method: "" if method == "tsne" else f"{method}_" for method in recipe.embed_methods}
    if not recipe.embed_epochs:
        return {}
    figures = {f"{p}{name}": math.nan for p in names.values() for name in ("knn_purity", "silhouette")}
    if epoch not in recipe.embed_epochs:
        return figures
    shown = embedded_images(dataset, recipe)
    features, labels = (
        classify.embed(model, Batches.of(shown, device), recipe),
        torch.from_numpy(shown.targets),
    )
    for method, prefix in names.items():
        points = embeddings.project(features, method)
        figures[f"{prefix}knn_purity"] = embeddings.knn_purity(points, labels, k=min(10, len(points) - 1))
        figures[f"{prefix}silhouette"] = embeddings.silhouette(points, labels)
        _save_array(folder / "embeddings" / f"{method}-{epoch}.npy", points.numpy())
    return figures


def embedded_images(dataset: Dataset, recipe: Recipe) -> Split:
    """The images whose embedding is shown: evenly spread over the recipe's split."""
    split = dataset.train if recipe.embed_split == "train" else dataset.val
    return split.spread(EMBEDDED_IMAGES)


def _save_array(path: Path, array: np.ndarray) -> None:
    if not distributed.world().main:
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def _memory_format(numerics: Numerics) -> torch.memory_format:
    return torch.channels_last if numerics.channels_last else torch.contiguous_format


def _peak_memory(device: torch.device) -> int:
    """Bytes: the device's peak allocation on CUDA, 0 elsewhere (the runner adds the process's)."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


@contextmanager
def backend(numerics: Numerics) -> Iterator[None]:
    """Determinism and float32 products for the duration of a run; the caller's settings come back."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    benchmark, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    tf32 = torch.backends.cudnn.allow_tf32
    # of all GPUs only this process's own is touched
    devices = [torch.cuda.current_device()] if numerics.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        try:
            torch.use_deterministic_algorithms(numerics.deterministic)
            torch.backends.cudnn.benchmark = not numerics.deterministic
            torch.backends.cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic)
            torch.backends.cudnn.benchmark = benchmark
            torch.backends.cudnn.allow_tf32 = tf32
            torch.set_float32_matmul_precision(precision)
