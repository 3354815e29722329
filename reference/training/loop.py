"""The training loop: epochs, optimiser phases, closed-form schedule, evaluation, curves, checkpoints.

No other file seeds torch. ``numerics.backend`` restores the generator's state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from reference import models, schedules
from reference.data.dataset import Dataset
from reference.models.weights import load_pretrained
from reference.outside import is_import_path
from reference.recipes.recipe import Phase, Recipe
from reference.training import TASKS, batchnorm, byol, checkpoint, classify, distributed
from reference.training.batching import batches_of_epoch
from reference.training.evaluation import Batches
from reference.training.numerics import Compiled, Forward, Numerics, backend, peak_memory
from reference.training.randomness import generator, key, seed_device
from reference.training.state import Outcome, Progress, State
from reference.training.step import (
    DeviceMemoryError,
    build_loss,
    build_optimizer,
    gradient_norm,
    interruptible_backward,
    refuse_parts,
    restore_optimizer,
    train_step,
    what_fits,
)
from reference.training.watch import (
    DivergedError,
    clusters,
    keep_masks,
    refuse_collapse,
    refuse_constant,
    refuse_explosion,
)


@dataclass(frozen=True, kw_only=True)
class _Training:
    """Everything that one training uses from its first epoch to its last.

    Attributes:
        forward: what a step calls: ``model``, or its head if the backbone is frozen. With several ranks it is
            wrapped so that gradients are summed over them. It may be compiled.
    """

    recipe: Recipe
    dataset: Dataset
    seed: int
    numerics: Numerics
    folder: Path
    device: torch.device
    loss: Callable[..., Tensor]
    model: nn.Module
    forward: Forward
    train_batches: Batches
    val_batches: Batches
    progress: Callable[[Progress], None]

    def steps_before(self, epoch: int) -> int:
        """Count the optimiser steps before an epoch (0-based); for ``recipe.epochs``, all of the run."""
        return schedules.steps_before(self.recipe, len(self.train_batches), epoch)


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

    A recipe without phases is evaluated once, as it starts.

    If the training ends early, it leaves a checkpoint of the last finished epoch.

    Predicted masks of the recipe's ``mask_epochs`` and of each best epoch so far are written to
    ``folder/masks`` as they are reached, the plane's points of its ``embed_epochs`` to ``folder/embeddings``.

    Args:
        folder: working files of this run alone.
        weights: folder to look for pretrained weights in, before torch's own cache.
        initial: state dict of the backbone to start from, where the recipe starts from another run.
        checkpoint_seconds: least time between two checkpoints; the last epoch always writes one.
        notice: called with a line for each damaged checkpoint that was set aside, and for a network that
            cannot be compiled here. The same lines are the outcome's notes.

    Raises:
        WeightsMissingError: the recipe starts from pretrained weights that are not on this machine.
        DivergedError: loss, gradient or weights are no longer finite, the gradient explodes, or a BYOL
            encoder has collapsed.
        DidNotLearnError: the training loss stays at a constant predictor's for a tenth of the schedule.
        DeviceMemoryError: a training step needs more memory than the device has.
        DiskError: a file cannot be written.
        InputError: the checkpoint is of another version of the network, or ``micro_batch`` leaves an image
            alone where the network needs two.

    Example:
        A narrow ResNet-18 for one epoch on eight drawn images:

        >>> from dataclasses import replace
        >>> from tempfile import TemporaryDirectory
        >>> from reference.data import open_dataset
        >>> from reference.recipes import RECIPES
        >>> phase = Phase(optimizer="sgd", lr=0.01, epochs=1)
        >>> tiny = {"model": "resnet18", "width": 2, "image_size": 32, "num_classes": 2, "batch_size": 4}
        >>> recipe = replace(RECIPES["r4-classify"], init="scratch", phases=(phase,), embed_epochs=(), **tiny)
        >>> data = open_dataset(recipe.data, None, image_size=32, classes=2, train_limit=8, val_limit=4)
        >>> with TemporaryDirectory() as folder:
        ...     outcome = train(recipe, data, seed=0, numerics=Numerics(), folder=Path(folder))
        >>> outcome.best_epoch, outcome.train_samples, sorted(outcome.curves)
        (1, 8, ['grad_norm', 'train_loss', 'val_loss', 'val_top1'])
    """
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        notice(line)

    with backend(numerics):
        model = _initial_model(recipe, seed, weights, initial)
        refuse_parts(recipe, len(dataset.train), model)
        initial_hash = checkpoint.weights_hash(model.state_dict())
        model = model.to(distributed.local_device(numerics.device)).to(memory_format=numerics.memory_format)
        saved, damaged = distributed.rank0_first(lambda: checkpoint.load(folder)) if resume else (None, [])
        for line in damaged:
            note(line)
        state = State() if saved is None else State.restored(saved, model, folder)
        training = _prepared(recipe, dataset, model, note, seed, numerics, folder, progress)
        first_epoch, started = state.epoch, time.perf_counter()
        if not recipe.phases and state.final is None:
            evaluate = TASKS[recipe.task].evaluate
            state.note(evaluate(model, training.val_batches, dataset, recipe, training.loss), {}, {})
        # an interruption may come in the middle of a step, so the last whole epoch is kept
        with checkpoint.Writer(folder, checkpoint_seconds) as writer:
            while state.epoch < recipe.epochs:
                _epoch(training, state)
                state.segment(first_epoch, time.perf_counter() - started)
                if distributed.world().main:
                    writer.keep(state.payload(training.model), last=state.epoch == recipe.epochs)
                scores = {name: v[-1] for name, v in state.curves.items() if not math.isnan(v[-1])}
                steps = training.steps_before(state.epoch) - training.steps_before(state.epoch - 1)
                progress(Progress(state.epoch, recipe.epochs, steps, steps, scores))
    return _outcome(training, state, initial_hash, notes)


def _initial_model(
    recipe: Recipe, seed: int, weights: Path | None, initial: dict[str, Tensor] | None
) -> nn.Module:
    """Build the network with weights drawn from the seed, then load pretrained ones over them."""
    torch.manual_seed(key(seed, "init"))
    model = models.build(
        recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
    )
    if initial is not None:
        model.load_encoder(initial)  # type: ignore[operator]
    elif recipe.init != "scratch":
        load_pretrained(model, recipe.init, weights)
    return model


def _prepared(
    recipe: Recipe,
    dataset: Dataset,
    model: nn.Module,
    note: Callable[[str], None],
    seed: int,
    numerics: Numerics,
    folder: Path,
    progress: Callable[[Progress], None],
) -> _Training:
    """Check that all ranks hold the same model, put the data on the device, and compile the forward pass."""
    distributed.refuse_difference("start", partial(checkpoint.weights_hash, model.state_dict()))
    device = distributed.local_device(numerics.device)
    train_batches = Batches.of(dataset.train, device)
    val_batches = Batches.of(TASKS[recipe.task].validation(dataset), device)
    model = batchnorm.synchronise(model)
    if device.type == "cpu":
        interruptible_backward(model)
    forward: nn.Module = model
    if getattr(model, "frozen", False):
        val_batches = classify.frozen_features(model, val_batches, recipe)
        if not recipe.augment and not recipe.mixup:
            train_batches = classify.frozen_features(model, train_batches, recipe)
            forward = model.head  # type: ignore[assignment]
    forward = distributed.summing_gradients(forward, may_be_idle=is_import_path(recipe.model))
    return _Training(
        recipe=recipe,
        dataset=dataset,
        seed=seed,
        numerics=numerics,
        folder=folder,
        device=device,
        loss=build_loss(recipe),
        model=model,
        forward=Compiled(forward, note) if numerics.compiled else forward,
        train_batches=train_batches,
        val_batches=val_batches,
        progress=progress,
    )


def _epoch(training: _Training, state: State) -> None:
    """Train and evaluate one epoch, and note its figures in ``state``."""
    recipe, dataset, model = training.recipe, training.dataset, training.model
    trained = _train_next_epoch(training, state)
    evaluate = TASKS[recipe.task].evaluate
    evaluation = evaluate(model, training.val_batches, dataset, recipe, training.loss)
    if recipe.score_train:
        scored = evaluate(model, training.train_batches, dataset, recipe, training.loss)
        trained |= {f"train_{name}": metric.value for name, metric in scored.metrics.items()}
    shown = (model, dataset, recipe, state.epoch, training.folder, training.device)
    state.note(evaluation, trained, clusters(*shown))
    refuse_explosion(state, model)
    refuse_collapse(state, recipe, model)
    refuse_constant(state, recipe, dataset, model, training.loss, training.steps_before)
    keep_masks(*shown, evaluation=evaluation, is_best=state.best_epoch == state.epoch)


def _train_next_epoch(training: _Training, state: State) -> dict[str, float]:
    """Train the epoch that is next, with a fresh optimiser where a phase begins; return its figures."""
    recipe, model = training.recipe, training.model
    phase, phase_start = phase_at(recipe, state.epoch)
    if state.optimizer is None or state.epoch == phase_start:
        state.optimizer = build_optimizer(phase, model, recipe.aux_lr_factor)
        if state.saved_optimizer is not None and state.epoch != phase_start:
            restore_optimizer(state.optimizer, state.saved_optimizer)
        state.saved_optimizer = None
    model.train()
    trained = _train_epoch(training, state, state.optimizer, phase, phase_start)
    state.epoch += 1
    return trained


def _train_epoch(
    training: _Training, state: State, optimizer: torch.optim.Optimizer, phase: Phase, phase_start: int
) -> dict[str, float]:
    """Train one epoch; return its mean loss over samples and its mean gradient norm over steps."""
    recipe, batches, seed = training.recipe, training.train_batches, training.seed
    epoch = state.epoch
    wholes = batches_of_epoch(recipe, len(batches), epoch, seed)
    steps = len(wholes)
    total, norms = torch.zeros(2, dtype=torch.float64, device=batches.device)
    started = time.perf_counter()
    held = [distributed.rank_rows(len(whole), mirrored=bool(recipe.mixup)) for whole in wholes]
    parts = [whole[rows.at] for whole, rows in zip(wholes, held, strict=True)]
    parts = batches.sent(parts)
    gathered = batches.ahead(parts) if batches.streamed else map(batches.gather, parts)
    for step, (indices, rows, (images, labels)) in enumerate(zip(wholes, held, gathered, strict=True)):
        draws = generator(seed, "augment", epoch, step)
        inputs, targets = TASKS[recipe.task].batch(images, labels, recipe, draws, rows)
        for group in optimizer.param_groups:
            rate = schedules.learning_rate(phase, epoch - phase_start + step / steps)
            group["lr"] = rate * group["lr_factor"]
        seed_device(batches.device, key(seed, distributed.stream("forward"), epoch, step))  # dropout
        total += _step(training, optimizer, inputs, targets, rows, epoch, step) * len(indices)
        norms += gradient_norm(training.model)
        state.samples += len(indices)
        state.rows_here += len(rows)
        training.progress(Progress(epoch, recipe.epochs, step + 1, steps))
    counted = sum(map(len, wholes))
    mean = float(distributed.total(total)) / counted  # waits for the device
    seconds = time.perf_counter() - started
    state.seconds += seconds
    state.seconds_here += seconds
    if not math.isfinite(mean):
        raise DivergedError(f"training loss is {mean} in epoch {epoch + 1}")
    return {"train_loss": mean, "grad_norm": float(norms) / steps}


def _step(
    training: _Training,
    optimizer: torch.optim.Optimizer,
    inputs: tuple[Tensor, ...],
    targets: Tensor,
    rows: distributed.RankRows,
    epoch: int,
    step: int,
) -> Tensor:
    """Make one step and return the batch's mean loss. Raises DeviceMemoryError if it does not fit."""
    recipe = training.recipe
    steps_done, all_steps = training.steps_before(epoch) + step, training.steps_before(recipe.epochs)
    step_of = partial(
        train_step,
        training.model,
        optimizer,
        inputs,
        targets,
        training.loss,
        numerics=training.numerics,
        decay=byol.decay(recipe, steps_done, all_steps),
        share=distributed.share(rows, targets, recipe),
    )
    try:
        return step_of(recipe, forward=training.forward)
    except torch.OutOfMemoryError as error:
        cause = str(error).partition("\n")[0] or "out of memory"
    # not within the handler, whose traceback holds on to the step's memory
    samples = len(training.train_batches)
    raise DeviceMemoryError(what_fits(cause, epoch, recipe, len(rows), samples, training.model, step_of))


def phase_at(recipe: Recipe, epoch: int) -> tuple[Phase, int]:
    """Return the phase of ``epoch`` (0-based), and the epoch with which the phase starts."""
    start = 0
    for phase in recipe.phases:
        if epoch < start + phase.epochs:
            return phase, start
        start += phase.epochs
    raise ValueError(f"epoch {epoch} lies beyond the {recipe.epochs} epochs of {recipe.slug}")


def _outcome(training: _Training, state: State, initial_hash: str, notes: list[str]) -> Outcome:
    """Collect the results of a training after its last epoch."""
    assert state.final is not None
    assert state.best is not None
    # safetensors stores no other layout
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in training.model.state_dict().items()
    }
    return Outcome(
        final=state.final,
        best=state.best,
        best_epoch=state.best_epoch,
        curves=state.curves,
        weights=weights,
        weights_hash=checkpoint.weights_hash(weights),
        initial_hash=initial_hash,
        parameters=sum(parameter.numel() for parameter in training.model.parameters()),
        train_samples=state.samples,
        train_seconds=state.seconds,
        peak_memory=peak_memory(training.device),
        segments=tuple(state.segments),
        notes=tuple(notes),
        compiled=isinstance(training.forward, Compiled) and training.forward.works,
        rank_rates=distributed.figures(state.rows_here / max(state.seconds_here, 1e-9)),
    )
