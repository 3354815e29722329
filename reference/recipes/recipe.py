"""What one training needs, as flat frozen dataclasses. Importing this never imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["classify", "segment"]
Role = Literal["classification50", "miniimagenet", "officehome", "landcover"]


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """A value that the report does not state, what was taken for it, and why."""

    field: str
    value: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A stated (or assumed) value that a run did not use: a tier's, a data set's or a user's doing."""

    field: str
    printed: str
    used: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with one optimiser; a new phase starts with fresh optimiser state.

    ``lr`` is the peak rate; ``warmup_epochs`` rise to it linearly and ``schedule`` falls from it over
    the rest of the phase (``reference.schedules``).
    """

    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float
    epochs: int
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "poly"] = "constant"
    warmup_epochs: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training or evaluation as a report prints it. Its slug is its claim's, its records' and its row's.

    Attributes:
        init: ``"scratch"``, the name of a weights file in ``reference.models.weights.WEIGHTS``, or
            ``"run:<slug>"`` for the weights that another recipe's run ends with.
        model: key of ``reference.models.MODELS``; ``model_args`` are further keyword arguments.
        width: channels of the first stage; 64 is the printed network.
        loss: key of the task's losses, with ``loss_args``.
        augment: names of ``reference.augment`` operations, applied in this order to training batches.
        mean, std: per-channel normalisation of images scaled to 0…1, RGB.
        selection: which epoch the reported figure is taken from.
        mask_epochs: epochs (1-based, of the recipe's own schedule) whose predictions the report shows.
        mask_images: the images shown, by their id in the data set.
    """

    slug: str
    report: str
    title: str
    task: Task
    data: Role
    model: str
    num_classes: int
    image_size: int
    init: str
    loss: str
    batch_size: int
    phases: tuple[Phase, ...]
    augment: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    selection: Literal["best", "final"]
    assumptions: tuple[Assumption, ...]
    width: int = 64
    model_args: tuple[tuple[str, int | float | bool | str], ...] = ()
    loss_args: tuple[tuple[str, int | float | bool | str], ...] = ()
    eval_batch_size: int = 32
    mask_epochs: tuple[int, ...] = ()
    mask_images: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """Epochs over all phases."""
        return sum(phase.epochs for phase in self.phases)
