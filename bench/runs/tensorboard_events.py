"""Write TensorBoard event files of runs, to watch trainings. Grades rest on records alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.runs.run_plan import Run
from reference import schedules
from reference.errors import InputError
from reference.training.loop import phase_at
from reference.training.state import Progress
from reference.training.watch import shown_images

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def check_installed() -> None:
    """Raise InputError if TensorBoard's own package, which writes its files, is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard: the package tensorboard is not installed; pip install tensorboard")


_WORDS = {
    "learning_rate": "learning rate",
    "loss": "loss",
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "miou": "mean IoU",
    "grad_norm": "gradient norm",
    "knn": "20-NN accuracy",
    "knn_purity": "10-NN purity of t-SNE",
    "silhouette": "silhouette of t-SNE",
    "pca_knn_purity": "10-NN purity of PCA",
    "pca_silhouette": "silhouette of PCA",
}
"""Names of curves."""


def readable(curve: str, classes: Sequence[str]) -> str:
    """Return the tag of a curve: what it measures, then the split, so that both splits share a group.

    >>> readable("val_miou", ("urban", "forest")), readable("val_iou_1", ("urban", "forest"))
    ('mean IoU/val', 'IoU on val/forest')
    >>> readable("grad_norm", ())
    'training/gradient norm'
    """
    split, _, figure = curve.partition("_")
    if split not in ("train", "val", "probe"):
        group = "embedding" if curve.endswith(("knn_purity", "silhouette")) else "training"
        return f"{group}/{_WORDS.get(curve, curve)}"
    if figure.startswith("iou_"):
        return f"IoU on {split}/{classes[int(figure.removeprefix('iou_'))]}"
    return f"{_WORDS.get(figure, figure)}/{split}"


class EpochEvents:
    """Writes the scalars and masks of each epoch to ``<out>/tensorboard/<slug>/<run_id>``.

    The loop calls it like a progress bar. The step is the epoch, from 1. ``readable`` names the record's
    curves, and ``training/learning rate`` is the rate of the epoch's last step. Each image whose masks the
    run keeps is one tag: image, truth and prediction side by side, at each epoch with masks.
    """

    def __init__(self, run: Run, out: Path) -> None:
        self._recipe, self._dataset = run.recipe, run.dataset
        self._masks = run.folder(out) / "masks"
        self.folder = out / "tensorboard" / run.printed.slug / run.run_id
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def __call__(self, progress: Progress) -> None:
        if progress.unit != "epoch":
            return
        if self._writer is None:
            self._writer = self._opened(progress.epoch + (not progress.scores))
        if progress.scores:
            phase, start = phase_at(self._recipe, progress.epoch - 1)
            last_step = progress.epoch - start - 1 / progress.steps
            figures = progress.scores | {"learning_rate": schedules.learning_rate(phase, last_step)}
            for name, value in figures.items():
                self._writer.add_scalar(readable(name, self._dataset.classes), value, progress.epoch)
            for name, strip in self._strips(progress.epoch):
                self._writer.add_image(f"masks/{name}", strip, progress.epoch, dataformats="HWC")
            self._writer.flush()

    def _strips(self, epoch: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each shown image's name with its image, truth and prediction in one row, (H, 3·W, 3) RGB."""
        file, dataset = self._masks / f"epoch-{epoch}.npy", self._dataset
        if dataset.palette is None or not file.exists():
            return
        for index, predicted in zip(shown_images(dataset, self._recipe), np.load(file), strict=True):
            truth = dataset.palette.encode(np.asarray(dataset.val.targets[index]))
            image = np.asarray(dataset.val.images[index])
            yield (
                str(dataset.val.ids[index]),
                np.concatenate([image, truth, dataset.palette.encode(predicted)], 1),
            )

    def _opened(self, epoch: int) -> SummaryWriter:
        """Open a file that begins at ``epoch``: readers drop what an earlier attempt wrote from there on."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), purge_step=epoch)
