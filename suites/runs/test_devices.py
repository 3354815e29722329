"""``--device``: numerics go by the device's type, whatever number or case it is written with."""

from __future__ import annotations

import pytest
import torch

from bench.runs import cluster, run_plan
from reference.errors import InputError


class FakeRay:
    """A cluster with so many GPUs."""

    def __init__(self, gpus: int) -> None:
        self._gpus = gpus

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, "GPU": float(self._gpus)}


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine with two GPUs; the numbers of those that were chosen."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize("wanted", ["cpu", "CPU", "cpu:0", "Cpu:0"])
def test_the_cpu_is_one_device_however_it_is_written(wanted: str) -> None:
    assert run_plan.choose_device(wanted) == "cpu"
    assert cluster.choose_device(FakeRay(0), wanted) == "cpu"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "chosen"), [("auto", []), ("cuda", []), ("CUDA", []), ("cuda:0", [0]), ("cuda:1", [1])]
)
def test_a_gpus_number_chooses_it_and_is_no_numerics(
    wanted: str, chosen: list[int], two_gpus: list[int]
) -> None:
    assert run_plan.choose_device(wanted) == "cuda"
    assert two_gpus == chosen


def test_what_a_machine_lacks_is_refused_with_what_it_has(two_gpus: list[int]) -> None:
    for wanted in ("cuda:2", "mps", "cpu:1"):
        with pytest.raises(InputError, match=r"not on this machine, which has cuda, cuda:1, cpu; use one"):
            run_plan.choose_device(wanted)
    assert two_gpus == []


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [("cdua", "cuda"), ("cu", "cpu"), ("gpu", "cuda"), ("metal", "mps"), ("cuda:x", "cuda"), ("cpu:", "cpu")],
)
def test_an_unknown_device_names_the_nearest(wanted: str, nearest: str) -> None:
    for choose in (run_plan.choose_device, lambda name: cluster.choose_device(FakeRay(1), name)):
        with pytest.raises(InputError, match=rf"^--device {wanted}: no such device; .*nearest: {nearest};"):
            choose(wanted)


def test_several_processes_take_no_numbered_gpu(two_gpus: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="each process takes its own GPU; say cuda"):
        run_plan.choose_device("cuda:1")
    with pytest.raises(InputError, match="the cluster gives each run a GPU; say cuda"):
        cluster.choose_device(FakeRay(2), "cuda:1")  # type: ignore[arg-type]
    assert run_plan.choose_device("cuda") == "cuda"
