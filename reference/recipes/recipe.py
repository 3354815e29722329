"""All settings of one training, as flat frozen dataclasses. Importing this never imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["classify", "segment", "byol", "automask"]
Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["constant", "cosine", "poly", "gradual", "step"]
Arguments = tuple[tuple[str, int | float | bool | str], ...]
Role = Literal["classification50", "miniimagenet", "officehome", "landcover", "mnist1d", "mnist1d-shuffled"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """A value that the report does not state, our choice, and the reason."""

    field: str
    value: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A stated (or assumed) value that a run did not use, because of its tier, its data or the user."""

    field: str
    printed: str
    used: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of a training with one optimiser; a new phase starts with fresh optimiser state.

    ``lr`` is the peak rate; ``warmup_epochs`` rise to it linearly and ``schedule`` falls from it over
    the rest of the phase (``reference.schedules``). Both names may be import paths
    (``reference.outside``): the optimiser is called as torch's own, ``callable(groups, lr=…, weight_decay=…,
    **optimizer_args)``, and the schedule as ``callable(epoch, epochs=…, **schedule_args)``, which returns a
    multiple of the peak rate. ``momentum`` is SGD's.
    """

    optimizer: str
    lr: float
    epochs: int
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_epochs: int = 0
    optimizer_args: Arguments = ()
    schedule_args: Arguments = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training or evaluation as a report prints it; its claim, records and table row have the same slug.

    Attributes:
        printed: the figure that the recipe stands for, digit for digit and in the unit of its report;
            empty if no single figure of the report has the recipe's slug.
        init: ``"scratch"``, the name of a weights file in ``reference.models.weights.WEIGHTS``, or
            ``"run:<slug>"`` for the final weights of another recipe's run, or the import path of
            torchvision's weights, such as ``"torchvision.models:ResNet18_Weights.IMAGENET1K_V1"``. For
            automatic masks, a key of ``reference.models.automask.CHECKPOINTS``.
        data: role of the data, or the import path of a function that returns them (``reference.data.own``).
        phases: parts of the training in turn; none evaluates the network as ``init`` leaves it.
        model: key of ``reference.models.MODELS``, or the import path of your own network
            (``reference.outside``); ``model_args`` are further keyword arguments. For automatic masks, a key
            of ``reference.models.automask.BUILDERS``, and settings of the mask generator.
        num_classes: outputs. BYOL has none, so there it is the number of classes of its probe; 0 for
            automatic masks, which have no class.
        width: channels of the first stage; 64 is the printed network. For signals, the hidden size.
        image_size: side of the square images, in pixels; for signals, their number of values.
        loss: key of the task's losses, or the import path of ``callable(logits, target, **loss_args)``.
        augment: names of ``reference.augment`` operations, or import paths of your own
            ``reference.augment.Operation``, applied in this order to training batches
            (twice, with separate draws, if the task is BYOL).
        mixup: α of mixup's Beta distribution, 0 for none; ``mixup_smoothing`` is its label smoothing.
        aux_weight: weight of the loss of a network's auxiliary output, if it has one in training.
        aux_lr_factor: learning rate of the auxiliary head as a multiple of that of the rest.
        tau, tau_schedule: decay of BYOL's target, constant or rising from ``tau`` to 1 over the training.
        micro_batch: images of a batch to train on at once, 0 for all; gradients are summed, but each part
            has its own batch statistics.
        mean, std: per-channel normalisation of images scaled to 0…1, RGB. Signals are used as they are.
        selection: the epoch that gives the reported figure.
        mask_epochs: epochs (1-based, of the recipe's own schedule) whose predictions the report shows.
        mask_images: the images shown, by their id in the data set.
        order: ``"shuffled"`` draws a new order of the training samples for each pass; ``"fixed"`` takes them
            in the order of the data set in every pass.
        eval_steps: 0 evaluates after each pass over the training samples, so a pass is an epoch. Another
            number n is for a report that counts steps: the first epoch is only step 0, and each later epoch
            has n steps. Evaluations follow the steps 0, n, 2n, …, and the run has 1 + n · (epochs - 1)
            steps in all, across passes.
        score_train: evaluate the training samples too, in evaluation mode, at each evaluation; gives the
            curves ``train_top1`` and so on. Classification only.
        embed_epochs: epochs (1-based) whose ``embedding_layer`` the report shows as points in the plane;
            ``embed_split`` names the images, ``embed_methods`` the methods.
    """

    slug: str
    report: str
    title: str
    task: Task
    data: str
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
    printed: str = ""
    width: int = 64
    model_args: Arguments = ()
    loss_args: Arguments = ()
    eval_batch_size: int = 32
    mask_epochs: tuple[int, ...] = ()
    mask_images: tuple[str, ...] = ()
    mixup: float = 0.0
    mixup_smoothing: float = 0.0
    aux_weight: float = 0.5
    aux_lr_factor: float = 1.0
    tau: float = 0.99
    tau_schedule: Literal["constant", "cosine"] = "constant"
    micro_batch: int = 0
    order: Literal["shuffled", "fixed"] = "shuffled"
    eval_steps: int = 0
    score_train: bool = False
    embed_epochs: tuple[int, ...] = ()
    embed_split: Literal["train", "val"] = "train"
    embed_methods: tuple[Literal["tsne", "pca"], ...] = ("tsne",)

    @property
    def epochs(self) -> int:
        """Count the epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def embedding_layer(self) -> str:
        """Name the layer whose output ``embed_epochs`` shows, as pictures and pages call it."""
        conv = dict(self.model_args).get("embedding") == "conv"
        return "output of the convolutions" if conv else "penultimate layer"
