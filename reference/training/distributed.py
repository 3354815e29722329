"""One training on several processes: the same global batches, statistics and gradients as on one.

``torchrun`` starts a process (a rank) for each GPU; ``join`` makes them a world. Every rank holds the whole
model and the whole schedule, takes its rows of each global batch, and takes part in three sums: of the
batch statistics (``batchnorm.synchronise``), of the gradients (``summing_gradients``) and of the epoch's
loss. Evaluation is divided by whole batches and gathered in order, so that each image counts once. Rank 0
alone writes.

Alone, every function here is what it says without the others: nothing is sent, nothing changes.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from reference.augment import augment_views, to_float
from reference.errors import InputError
from reference.recipes.recipe import Recipe

Result = TypeVar("Result")

PATIENCE = timedelta(hours=4)
"""How long ranks wait for one that decodes images or draws; one that has died is noticed at once."""

_DTYPES = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bfloat16, torch.float16, torch.int32)


class RankLostError(SystemExit):
    """Another process of this training is gone. This one ends too, and the run can be resumed."""


@dataclass(frozen=True)
class World:
    """The number of this process and of all processes; rank 0 writes the files and prints."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


def world() -> World:
    """Return this process's place among those that train together; alone without ``join``."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    return World(dist.get_rank(), dist.get_world_size())


def join(device: str) -> World:
    """Meet the other processes that ``torchrun`` started, if any: over NCCL for CUDA, over gloo else.

    Args:
        device: kind of device to train on; each process takes the GPU of its local rank.

    Raises:
        InputError: more processes than GPUs on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    cuda, local = device.startswith("cuda"), int(os.environ.get("LOCAL_RANK", "0"))
    if cuda:
        if local >= torch.cuda.device_count():
            raise InputError(
                f"torchrun --nproc-per-node: more than the {torch.cuda.device_count()} GPUs of this machine;"
                " ask for at most that, or say --device cpu"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    return world()


def leave() -> None:
    """Leave the other processes once all work is done; after an error the process just ends."""
    if world().size > 1:
        dist.destroy_process_group()


def local_device(name: str) -> torch.device:
    """Return the device of this process: of kind ``name``, and on CUDA the one that ``join`` chose."""
    if name.startswith("cuda") and world().size > 1:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(name)


# ---------------------------------------------------------------- who does what


def rank0_first(work: Callable[[], Result]) -> Result:
    """Do ``work`` on rank 0, then on all others, which find the files that rank 0 has prepared.

    If it fails on rank 0, the others end silently, since rank 0 says why.
    """
    if world().size == 1:
        return work()
    if world().main:
        done = False
        try:
            result = work()
            done = True
        finally:
            total(torch.tensor(float(done)))
        return result
    if float(total(torch.tensor(0.0))) == 0:
        raise SystemExit(2)
    try:
        return work()
    except InputError as error:
        print(f"rank {world().rank}: {error}", file=sys.__stderr__)
        raise


def refuse_difference(what: str, digest: Callable[[], str]) -> None:
    """Make sure that all ranks hold the same, by a hexadecimal digest of it.

    Raises:
        InputError: they do not; names the lowest rank that differs from rank 0.
    """
    if world().size == 1:
        return
    own_digest = digest()
    first, *others = all_gather(torch.tensor([int(own_digest[i : i + 8], 16) for i in range(0, 32, 8)]))
    for rank, theirs in enumerate(others, start=1):
        if not torch.equal(theirs, first):
            raise InputError(
                f"rank {rank} has another {what} than rank 0; give every machine the same files and an --out"
                " that all of them share"
            )


def give_up(reason: str) -> None:
    """End this process where the others do not know that its work has failed; alone, go on.

    They find it gone and say ``reason`` too; where they would wait for ever, torchrun ends them.

    Raises:
        SystemExit: there are others.
    """
    if world().size > 1:
        message = f"rank {world().rank}: {reason}"
        print(message, file=sys.__stderr__)
        with suppress(RuntimeError):  # rank 0 may hold the board, and be gone
            _board().set("reason", message)
        raise SystemExit(1)


def _board() -> Any:
    """What all ranks can read and write without a collective: the store where they met.

    Raises:
        RuntimeError: whoever holds it is gone.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=5))  # type: ignore[attr-defined]
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"gave-up-{attempt}", store)  # type: ignore[attr-defined]


def barrier() -> None:
    """Wait until every rank is here."""
    total(torch.zeros(()))


# ---------------------------------------------------------------- a batch


@dataclass(frozen=True)
class RankRows:
    """The rows of a global batch that a rank trains on.

    Attributes:
        pieces: ranges of rows, in the order in which the rank holds them.
        total: rows of the global batch; ``trained`` is how many of them all ranks together train on.
    """

    pieces: tuple[range, ...]
    total: int
    trained: int

    @classmethod
    def whole(cls, total: int) -> RankRows:
        """All rows, in order."""
        return cls((range(total),), total, total)

    @property
    def at(self) -> Tensor:
        """(n,) int64: the rows, in the order in which the rank holds them."""
        return torch.tensor([row for piece in self.pieces for row in piece], dtype=torch.int64)

    def __len__(self) -> int:
        return sum(map(len, self.pieces))


def rank_rows(total: int, *, mirrored: bool) -> RankRows:
    """This rank's rows of a global batch of ``total``: as many as any other's, but for one.

    Args:
        mirrored: rows i and total − 1 − i meet (mixup), so a rank holds both, and its own rows mirrored are
            their partners. The middle of an odd batch would meet itself and is left out.
    """
    here = world()
    if here.size == 1:
        return RankRows.whole(total)
    if not mirrored:
        return RankRows((_share(total, here),), total, total)
    even = total // 2 * 2
    first = _share(even // 2, here)
    return RankRows((first, range(even - first.stop, even - first.start)), total, even)


def share(held: RankRows, targets: Tensor, recipe: Recipe) -> float | Tensor:
    """Return this rank's share of the global batch's mean loss: of rows, or of targets not ignored.

    Args:
        targets: of the rows that this rank holds.
    """
    number = len(held) if world().size == 1 else counted(targets, recipe)
    return number / (total(number).clamp(min=1) if isinstance(number, Tensor) else held.trained)


def counted(targets: Tensor, recipe: Recipe) -> int | Tensor:
    """Count what the mean loss is over: images, or if some targets are ignored the others, float64 ()."""
    ignored = dict(recipe.loss_args).get("ignore_index")
    return len(targets) if ignored is None else targets.ne(int(ignored)).sum().double()


def nothing(output: Any) -> Tensor:
    """Return a loss of 0 that depends on every parameter, for a rank without images."""
    outputs = [output] if isinstance(output, Tensor) else list(output)
    return torch.stack([part.float().sum() * 0 for part in outputs if part.requires_grad]).sum()


def stream(name: str) -> str:
    """Return the stream of a rank's dropout: each has its own, or all would drop the same units."""
    return name if world().main else f"{name}-{world().rank}"


def batches_here(count: int) -> range:
    """Return which of ``count`` evaluation batches this rank forwards; each batch stays whole."""
    return _share(count, world())


def _share(count: int, here: World) -> range:
    return range(count * here.rank // here.size, count * (here.rank + 1) // here.size)


def augment_rows(
    images: Tensor,
    targets: Tensor | None,
    names: Sequence[str],
    draws: torch.Generator,
    held: RankRows,
    *,
    views: int = 1,
) -> list[tuple[Tensor, Tensor | None]]:
    """``augment_views`` of the rows that a rank holds, with the draws that one process makes for them."""
    if not len(held):
        return [(to_float(images), targets)] * views
    before, start = draws.get_state(), 0
    pieces: list[list[tuple[Tensor, Tensor | None]]] = []
    for piece in held.pieces:
        draws.set_state(before)
        stop = start + len(piece)
        part = images[start:stop], None if targets is None else targets[start:stop]
        pieces.append(augment_views(*part, names, draws, views=views, start=piece.start, total=held.total))
        start = stop
    if len(pieces) == 1:
        return pieces[0]
    return [_joined(parts) for parts in zip(*pieces, strict=True)]


def _joined(parts: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    targets = [target for _, target in parts if target is not None]
    return torch.cat([images for images, _ in parts]), torch.cat(targets) if targets else None


# ---------------------------------------------------------------- gradients


def summing_gradients(module: nn.Module, *, may_be_idle: bool = False) -> nn.Module:
    """``module``, whose backward pass leaves the mean of all ranks' gradients, summed while it is at work.

    A rank whose loss is its part of the global batch's mean times the number of ranks has the gradient of
    that mean, whatever the ranks' numbers of rows. Alone, ``module`` itself.

    Args:
        may_be_idle: some parameter may have no part in the loss, which takes a search each step.
    """
    if world().size == 1:
        return module
    parallel = nn.parallel.DistributedDataParallel
    new_name = "forward_sync_buffers" in inspect.signature(parallel).parameters
    keep_buffers: dict[str, Any] = {"forward_sync_buffers" if new_name else "broadcast_buffers": False}
    return parallel(module, find_unused_parameters=may_be_idle, **keep_buffers)


@contextmanager
def ended_if_a_rank_is_lost() -> Iterator[None]:
    """Around a backward pass, in which ranks meet: end this process where another is gone.

    Raises:
        RankLostError: the processes cannot reach each other any more.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if world().size > 1 and any(word in str(error) for word in ("gloo", "NCCL", "onnection")):
            raise RankLostError(f"another process of this training is gone: {_why_gone(error)}") from error
        raise


# ---------------------------------------------------------------- sums and gatherings


def total(value: Tensor) -> Tensor:
    """Return the sum of ``value`` over all ranks, on its device; ``value`` itself when alone."""
    if world().size == 1:
        return value
    summed = value.detach().clone().to(_wire()).contiguous()
    with _lost_if_it_fails():
        dist.all_reduce(summed)
    return summed.to(value.device)


def gather(parts: Sequence[Tensor], count: int) -> Tensor:
    """Return all ranks' rows in the order of ranks, (count, …), on the device of ``parts``.

    Args:
        parts: this rank's rows in order, each (n, …); none where it had nothing to do.
        count: rows of all ranks together.

    Raises:
        RuntimeError: there are not ``count`` rows: an image was lost or counted twice.
    """
    if world().size == 1:
        whole = torch.cat(list(parts))
    else:
        whole = _gathered(torch.cat(list(parts)) if parts else None)
        whole = whole.to(parts[0].device) if parts else whole
    if len(whole) != count:
        raise RuntimeError(f"{len(whole)} rows were evaluated, expected {count}")
    return whole


def _gathered(tensor: Tensor | None) -> Tensor:
    """Return all ranks' rows; ranks without any learn dtype and shape from the others."""
    shape_sent = torch.zeros(8, dtype=torch.int64)
    if tensor is not None:
        shape = torch.tensor(tensor.shape[1:], dtype=torch.int64)
        shape_sent[:3] = torch.tensor([len(tensor), _DTYPES.index(tensor.dtype), len(shape)])
        shape_sent[3 : 3 + len(shape)] = shape
    heads = [head.tolist() for head in all_gather(shape_sent)]
    _, dtype, ndim, *shape_of = max(heads)
    tail = shape_of[:ndim]
    padded = torch.zeros(max(head[0] for head in heads), *tail, dtype=_DTYPES[dtype])
    if tensor is not None:
        padded[: len(tensor)] = tensor
    return torch.cat([rows[: head[0]] for rows, head in zip(all_gather(padded), heads, strict=True)])


def all_gather(tensor: Tensor) -> list[Tensor]:
    """Return every rank's ``own``, all of one shape, on the CPU."""
    sent = tensor.to(_wire()).contiguous()
    gathered = [torch.empty_like(sent) for _ in range(world().size)]
    with _lost_if_it_fails():
        dist.all_gather(gathered, sent)
    return [one.cpu() for one in gathered]


def add_up(sums: Sequence[float]) -> float:
    """Return the sum over all ranks' figures, added in the order in which one process adds them."""
    if world().size == 1:
        return sum(sums)
    every: list[float] = _gathered(torch.tensor(sums, dtype=torch.float64)).tolist()
    return sum(every)


def figures(value: float) -> tuple[float, ...]:
    """Return one figure of every rank, in the order of ranks."""
    if world().size == 1:
        return (value,)
    return tuple(_gathered(torch.tensor([value], dtype=torch.float64)).tolist())


def _wire() -> torch.device:
    """Return where a tensor must lie to be sent: NCCL knows only the GPU."""
    return local_device("cuda" if dist.get_backend() == "nccl" else "cpu")


@contextmanager
def _lost_if_it_fails() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(f"another process of this training is gone: {_why_gone(error)}") from error


def _why_gone(error: RuntimeError) -> str:
    """Return the last message of the lost process, or that of the network."""
    try:
        board = _board()
        if board.check(["reason"]):
            return str(board.get("reason"), "utf-8")
    except RuntimeError:  # the process that is gone held the board
        pass
    return str(error).partition("\n")[0]
