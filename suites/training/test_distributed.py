"""Several ranks train what one process trains: losses, weights and evaluations, to 1e-9 in float64.

Random numbers, batch statistics, gradients and the target of BYOL are each broken on purpose too, which
must show. Ranks are processes of their own over gloo; ``trained_by_ranks.py`` is what they run.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.runs import records
from reference.recipes import RECIPES
from reference.training import batchnorm, distributed
from reference.training.batchnorm import GlobalBatchNorm
from reference.training.distributed import RankRows, World

PROGRAM = Path(__file__).with_name("trained_by_ranks.py")
ROOT = Path(__file__).parents[2]
SAME = ("classify", "mixup", "frozen", "segment", "byol", "byol-joint")
FEW = ("few-classify", "few-auxiliary", "few-byol")
FAULTS = (
    "brief-classify!own-statistics",
    "brief-classify!equal-weights",
    "brief-classify!own-gradients",
    "brief-classify!own-draws",
    "brief-mixup!neighbours-mixed",
    "brief-segment!equal-weights",
    "brief-byol!own-target",
)
BRIEF = tuple(dict.fromkeys(case.partition("!")[0] for case in FAULTS))
TOLERANCE = 1e-9
"""float64 sums in another order stay below it; each fault exceeds it a hundred times."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(ranks: int, folder: Path, *cases: str, program: Path = PROGRAM) -> None:
    """Run ``program`` for ``cases`` on that many processes and wait for them."""
    folder.mkdir()
    port = str(free_port())
    started = []
    for rank in range(ranks):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
        environment = {
            **os.environ,
            **{name: str(value) for name, value in place.items()},
            "MASTER_ADDR": "127.0.0.1",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        words = [sys.executable, str(program), str(folder), *cases]
        started.append(subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * ranks, "\n".join(errors)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], dict[str, np.ndarray]]:
    """What each case left, by number of ranks."""
    out = tmp_path_factory.mktemp("ranks")
    for ranks, cases in ((1, (*SAME, *BRIEF, *FEW)), (2, (*SAME, *FAULTS)), (3, FEW)):
        start(ranks, out / str(ranks), *cases)
    return {(int(p.parent.name), p.stem): dict(np.load(p)) for p in out.glob("*/*.npz")}


Left = dict[str, np.ndarray]


def furthest(one: Left, other: Left) -> float:
    """The largest difference of any weight, running statistic or point of a curve but the gradient's."""
    assert one.keys() == other.keys()
    names = [n for n in one if n.startswith(("weights ", "curve ")) and n != "curve grad_norm"]
    assert len(names) > 10
    return max(float(np.abs(one[n] - other[n]).max(initial=0)) for n in names if not np.isnan(one[n]).all())


@pytest.mark.parametrize(("ranks", "case"), [(2, c) for c in SAME] + [(3, c) for c in FEW])
def test_ranks_train_what_one_process_trains(
    trained: dict[tuple[int, str], Left], ranks: int, case: str
) -> None:
    """An odd last batch included, and of three ranks one that it leaves without an image."""
    alone, together = trained[1, case], trained[ranks, case]
    assert furthest(alone, together) < TOLERANCE
    # up to hundreds, through normalisations over a few values: the weights move by a millionth of it
    np.testing.assert_allclose(alone["curve grad_norm"], together["curve grad_norm"], rtol=1e-7)
    np.testing.assert_array_equal(alone["per_image"], together["per_image"])
    assert alone["samples"] == together["samples"]
    assert len(together["rates"]) == ranks
    assert len(alone["rates"]) == 1


@pytest.mark.parametrize("case", FAULTS)
def test_what_goes_wrong_shows(trained: dict[tuple[int, str], Left], case: str) -> None:
    """The comparison above would be red: by far more than its tolerance."""
    assert furthest(trained[1, case.partition("!")[0]], trained[2, case]) > 100 * TOLERANCE


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("total", [1, 2, 3, 7, 8, 64])
def test_every_row_is_one_ranks(
    total: int, size: int, mirrored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    for rank in range(size):
        monkeypatch.setattr(distributed, "world", lambda rank=rank: World(rank, size))
        held.append(distributed.rank_rows(total, mirrored=mirrored))
    every = torch.cat([rows.at for rows in held]).tolist()
    left_out = mirrored and size > 1 and total % 2
    expected = set(range(total)) - ({total - 1} if left_out else set())
    assert sorted(every) == sorted(expected)
    assert {rows.total for rows in held} == {total}
    assert sum(len(rows) for rows in held) == held[0].trained
    assert max(map(len, held)) - min(map(len, held)) <= 1 + mirrored
    for rows in held:
        if mirrored and size > 1:  # a row's partner in the batch is its partner among the rank's rows
            assert (rows.at + rows.at.flip(0)).tolist() == [len(expected) - 1] * len(rows)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_every_evaluation_batch_is_one_ranks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    every: list[int] = []
    for rank in range(size):
        monkeypatch.setattr(distributed, "world", lambda rank=rank: World(rank, size))
        every += distributed.batches_here(7)
    assert every == list(range(7))


def test_a_lost_or_doubled_image_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="5 rows were evaluated, expected 6"):
        distributed.gather([torch.zeros(3), torch.zeros(2)], 6)


def test_alone_nothing_is_changed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert batchnorm.synchronise(model) is model
    assert isinstance(model[1], nn.BatchNorm2d)
    held = RankRows.whole(5)
    assert distributed.share(held, torch.zeros(5), RECIPES["r4-classify"]) == 1.0


# ---------------------------------------------------------------- batch statistics


@pytest.mark.parametrize("momentum", [0.1, 0.0, None])
@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 3, 2)])
def test_global_batch_norm_alone_is_torchs(shape: tuple[int, ...], momentum: float | None) -> None:
    """Output, gradients and running statistics, over two steps and an evaluation."""
    torch.manual_seed(0)
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(shape[1], momentum=momentum).double()
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    state = {name: value.clone() for name, value in theirs.state_dict().items()}
    ours = GlobalBatchNorm.of(type(theirs)(shape[1], momentum=momentum).double())
    ours.load_state_dict(state)
    for _ in range(2):
        x = (3 + 2 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
        y = x.detach().clone().requires_grad_()
        weights = torch.randn(shape, dtype=torch.float64)
        (theirs(x) * weights).sum().backward()
        (ours(y) * weights).sum().backward()
        torch.testing.assert_close(y.grad, x.grad, rtol=0, atol=1e-12)
    for (name, a), b in zip(theirs.state_dict().items(), ours.state_dict().values(), strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-12, msg=name)
    for (name, p), q in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=0, atol=1e-12, msg=name)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", ["global", pytest.param("synchronised", marks=pytest.mark.gpu)])
def test_two_ranks_normalise_as_one_process_does(layer: str, tmp_path: Path, gpu: str) -> None:
    """Ours on the CPU and torch's on CUDA, each against torch's over the whole batch."""
    if layer == "synchronised" and gpu == "cpu":
        pytest.skip("torch's SyncBatchNorm takes CUDA tensors only; ours is the other case")
    start(2, tmp_path / "out", layer, program=PROGRAM.with_name("normalised_by_ranks.py"))
    left = (f"{layer}-0", f"{layer}-1", "whole")
    first, second, whole = (dict(np.load(tmp_path / "out" / f"{name}.npz")) for name in left)
    assert first.keys() == second.keys() == whole.keys()
    for name, expected in whole.items():
        if name in ("output", "input's gradient"):
            found = [np.concatenate([first[name], second[name]])]
        elif name.endswith("gradient"):
            found = [first[name] + second[name]]
        else:
            found = [first[name], second[name]]
        for one in found:
            np.testing.assert_allclose(one, expected, rtol=0, atol=1e-12, err_msg=name)


# ---------------------------------------------------------------- the command


SHORT = (
    "import bench.runs.tiers as tiers; tiers.SMOKE_WIDTH = 4;"
    "tiers.SMOKE['classification50'] |= {'epochs': 4, 'image_size': 32};"
    "from reference.data import synthetic; synthetic.COUNTS['classification50'] = (40, 20);"
    "import functools, bench.runs.execute as runner, bench.runs.recording as recording;"
    "runner.draw = lambda *words: []; recording.flops_per_sample = lambda recipe: (1.0, 3.0);"
    "runner.execute = functools.partial(runner.execute, checkpoint_seconds={seconds});\n"
    "{fault}"
    "from bench.__main__ import main; main()"
)


def bench_run(
    out: Path, *, ranks: int, program: Path, fault: str = "", seconds: float = 0.0
) -> subprocess.Popen[str]:
    """``bench run r4-classify``, made short, on so many processes under torchrun.

    Args:
        fault: what goes wrong in it, as code.
        seconds: between two checkpoints.
    """
    program.write_text(SHORT.replace("{seconds}", str(seconds)).replace("{fault}", fault))
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-addr", "127.0.0.1"]
    launch += ["--master-port", str(free_port())] if ranks > 1 else []
    words = ["run", "r4-classify", "--tier", "smoke", "--device", "cpu", "--out", str(out)]
    command = [sys.executable, *(launch if ranks > 1 else []), str(program), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["BENCH_CACHE"] = str(out.parent / "cache")
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_killed_rank_ends_the_job_and_either_number_of_ranks_goes_on(tmp_path: Path) -> None:
    job = bench_run(tmp_path / "a", ranks=2, program=tmp_path / "short.py")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "a").glob("work/*/*/checkpoint.pt")):
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (victim,) = [pid for pid in children(job.pid) if environment_of(pid).get("RANK") == "1"]
    os.kill(victim, signal.SIGKILL)
    printed, errors = job.communicate()
    assert job.returncode != 0
    assert "go on with: torchrun --nproc-per-node 2 -m bench run r4-classify" in errors
    assert printed.count("smoke tier on synthetic") == 1, "only rank 0 prints"
    left = records.read_all(tmp_path / "a")
    assert {record.status for record in left} <= {"interrupted"}
    (work,) = (tmp_path / "a").glob("work/*/*")
    subprocess.run(["cp", "-r", str(tmp_path / "a"), str(tmp_path / "b")], check=True)

    for out, ranks in ((tmp_path / "a", 1), (tmp_path / "b", 2)):
        job = bench_run(out, ranks=ranks, program=tmp_path / "short.py")
        printed, errors = job.communicate()
        assert job.returncode == 0, errors
        (record,) = [r for r in records.read_all(out) if r.status == "ok"]
        assert [part["world_size"] for part in record.segments] == [2, ranks]
        assert record.provenance["world_size"] == ranks
        assert len(record.provenance["rank_samples_per_second"]) == ranks
        assert len(record.curves["train_loss"]) == 4
        assert record.run_id == work.name, "the number of processes is no part of what is trained"


SIGNALLED = """
import os, signal, time
from bench.runs import interruption
from bench.runs.progress import RunProgress

told = RunProgress.__call__

def then_a_signal(self, where):
    told(self, where)
    if os.environ.get("RANK") == "0" and (where.epoch, where.step) == (2, 1):
        os.kill(os.getppid(), signal.{name})
        while not interruption.asked():
            time.sleep(0.01)

RunProgress.__call__ = then_a_signal
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_all_ranks_with_the_last_finished_epoch_saved(name: str, tmp_path: Path) -> None:
    """It reaches torchrun in the third epoch, which hands it on; no other checkpoint is written till then."""
    place = {"program": tmp_path / "short.py", "seconds": 1e9}
    job = bench_run(tmp_path / "out", ranks=2, fault=SIGNALLED.replace("{name}", name), **place)
    _, errors = job.communicate()
    assert job.returncode != 0
    assert "interrupted; go on with: torchrun --nproc-per-node 2 -m bench run r4-classify" in errors
    (record,) = records.read_all(tmp_path / "out")
    assert record.status == "interrupted"
    assert list((tmp_path / "out").glob("work/*/*/checkpoint.pt"))

    job = bench_run(tmp_path / "out", ranks=1, **place)
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    (record,) = [r for r in records.read_all(tmp_path / "out") if r.status == "ok"]
    parts = [(part["first_epoch"], part["last_epoch"], part["world_size"]) for part in record.segments]
    assert parts == [(0, 2, 2), (2, 4, 1)]


TOO_LARGE = """
import os
import torch
from reference.training import loop

step = loop.train_step

def too_large(*words, **named):
    if os.environ["RANK"] == "1":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
    return step(*words, **named)

loop.train_step = too_large
"""


def test_what_does_not_fit_on_one_rank_is_said_by_all(tmp_path: Path) -> None:
    """No rank tries less by itself: that would be another training than the others'."""
    job = bench_run(tmp_path / "out", ranks=2, program=tmp_path / "short.py", fault=TOO_LARGE)
    _, errors = job.communicate()
    assert job.returncode != 0
    (record,) = records.read_all(tmp_path / "out")
    images = record.recipe["batch_size"] // 2
    why = f"epoch 1: {images} images at once do not fit (CUDA out of memory. Tried to allocate 1 GiB)"
    why = f"rank 1: r4-classify seed 0: oom: {why}; 4 processes would hold {images // 2}"
    assert why in errors
    assert record.status == "interrupted"
    assert record.reason.startswith(f"another process of this training is gone: {why}")


def children(parent: int) -> list[int]:
    """Process ids of its direct children."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in listed.split()]


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if b"=" in entry)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from reference.errors import InputError

    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="more than the 2 GPUs of this machine"):
        distributed.join("cuda")
