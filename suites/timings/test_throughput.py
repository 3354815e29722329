"""Throughput results: what samples give, what is refused, and that nothing goes untimed in silence."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from sessions import run_pytest

from bench.claims.ledger import load_ledgers
from bench.grading import statistics
from bench.pages import build
from bench.runs import cost
from bench.throughput import compare_sessions, results, timing
from bench.throughput.results import CONFUSION, Result, Timing
from reference.errors import InputError

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu": "A Processor", "cores": 4, "gpu": None, "gpus": 0}
H200 = {**MACHINE, "gpu": "NVIDIA H200", "gpus": 1}
MADE = {
    "commit": "0123456789abcdef",
    "dirty": False,
    "packages": {"torch": "2.15.0"},
    "driver": None,
    "system": "Linux x86_64",
}
ON_CPU = {"device": "cpu", "threads": 4, "dtype": "float32"}
ON_GPU = {"device": "cuda", "threads": 4, "dtype": "bfloat16"}


def row(contender: str = "ours", samples: tuple[float, ...] = (1.0,), **changes: Any) -> Timing:
    plain = {"work": CONFUSION, "unit": "Mpx/s", "items": 8.0, "settings": ON_CPU}
    return Timing(contender=contender, samples=samples, **(plain | changes))


def result(*rows: Timing, **changes: Any) -> Result:
    plain = {
        "machine": MACHINE,
        "provenance": MADE,
        "ceilings": {"cpu, 4 threads": {"float32": 100.0, "bfloat16": 50.0, "copy": 40.0}},
        "started": "2031-05-06T07:08:09+00:00",
    }
    return Result(rows=rows, **(plain | changes))


def network(name: str, samples: tuple[float, ...], **changes: Any) -> Timing:
    settings = {**ON_CPU, "pass": "train", "model": name, "image_size": 64, "width": 16}
    plain = {"work": f"train {name} at 64 px", "unit": "images/s", "settings": settings}
    return row(samples=samples, **(plain | {"flops": 4.0, "bytes": 1.0} | changes))


# ---------------------------------------------------------------- measuring


def test_contenders_take_turns_on_the_same_fresh_data() -> None:
    seen: list[tuple[str, int]] = []
    contenders = {name: lambda data, name=name: seen.append((name, data)) for name in "abc"}
    seconds = timing.interleave(contenders, data=lambda number: 10 * number, rounds=3, warmup=1)
    assert [data for _, data in seen] == [-10] * 3 + [0] * 3 + [10] * 3 + [20] * 3
    assert ["".join(name for name, data in seen if data == d) for d in (0, 10, 20)] == ["abc", "bca", "cab"]
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    assert all(time >= 0 for times in seconds.values() for time in times)


def test_a_contenders_time_is_its_own() -> None:
    import time

    contenders = {"slow": lambda _: time.sleep(0.05), "fast": lambda _: None}
    seconds = timing.interleave(contenders, data=lambda _: time.sleep(0.02), rounds=3)
    assert min(seconds["slow"]) >= 0.05
    assert min(seconds["fast"]) < 0.01, "neither the data nor the other contender is in its time"


def test_ceilings_are_rates_and_leave_the_threads_alone() -> None:
    before = torch.get_num_threads()
    limits = timing.ceilings("cpu", 1, side=64, copy_bytes=2**16)
    assert set(limits) == {"float32", "bfloat16", "copy"}
    assert all(math.isfinite(rate) and rate > 0 for rate in limits.values())
    assert torch.get_num_threads() == before


def test_the_machine_names_no_host() -> None:
    import platform

    told = json.dumps([timing.machine(), timing.software()])
    assert platform.node() not in told or len(platform.node()) < 3
    assert timing.machine()["cores"] >= 1


@pytest.mark.parametrize(
    ("name", "size", "forward", "training"),
    [
        ("resnet50", 128, 2.67, 7.94),
        ("resnet152", 224, 23.0, 68.9),
        ("fcn32s_leaky", 512, 379, 1137),
        ("deeplabv3_resnet50", 512, 347, 1038),
    ],
)
def test_flops_are_those_counted_elsewhere(name: str, size: int, forward: float, training: float) -> None:
    """Expected costs in GFLOPs; their three digits were rounded, with other numbers of classes."""
    of = cost.of_network(name, num_classes=7, image_size=size)
    assert of.forward_flops / 1e9 == pytest.approx(forward, rel=3e-3)
    assert of.training_flops / 1e9 == pytest.approx(training, rel=3e-3)


def test_byol_costs_two_views_forward_through_target_and_backward_through_online() -> None:
    """Online 2 × 3 forwards' worth, target 2 × 1: eight of a ResNet-50 and of its heads."""
    encoder = cost.of_network("resnet50", num_classes=1, image_size=128).forward_flops - 2 * 2048
    projector, predictor = 2 * (2048 * 4096 + 4096 * 256), 2 * (256 * 4096 + 4096 * 256)
    byol = cost.of_network("byol_resnet50", num_classes=1, image_size=128)
    assert byol.forward_flops == pytest.approx(2 * (2 * (encoder + projector) + predictor), rel=1e-6)
    # the first convolution needs no gradient of its input
    assert byol.training_flops == pytest.approx(8 * (encoder + projector) + 6 * predictor, rel=0.02)


def test_bytes_are_those_of_operands_and_results() -> None:
    with torch.device("meta"), cost._Traffic() as moved:
        torch.nn.Linear(3, 5)(torch.empty(2, 3)).relu()
    assert moved.elements == 5 + 2 * 3 + 3 * 5 + 2 * 5  # bias, input, weight, output; the ReLU is free
    whole, half = (
        cost.of_network("resnet18", num_classes=7, image_size=64, dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    assert whole.training_bytes == 2 * half.training_bytes
    many = cost.of_network("resnet18", num_classes=7, image_size=64, batch=16)
    assert many.training_flops == pytest.approx(whole.training_flops)
    assert many.training_bytes < whole.training_bytes, "a batch shares one reading of the weights"


# ---------------------------------------------------------------- what follows from samples


def test_share_is_of_the_lower_of_both_ceilings() -> None:
    bound_by_flops = row(samples=(5.0,), flops=10.0, bytes=1.0)  # 100/10 = 10 against 40/1 = 40
    bound_by_bytes = row(samples=(5.0,), flops=1.0, bytes=8.0)  # 100 against 40/8 = 5
    only_bytes = row(samples=(5.0,), bytes=4.0, settings={**ON_CPU, "dtype": "uint8"})
    unbounded = row(samples=(5.0,))
    elsewhere = row(samples=(5.0,), flops=10.0, settings={**ON_CPU, "threads": 1})
    whole = result(bound_by_flops, bound_by_bytes, only_bytes, unbounded, elsewhere)
    assert [results.share(r, whole) for r in whole.rows] == [0.5, 1.0, 0.5, None, None]


def test_ratio_is_the_median_over_rounds_not_of_medians() -> None:
    ours, peer = row(samples=(10.0, 20.0, 90.0)), row("torchmetrics", (5.0, 4.0, 3.0))
    # the rounds give 2, 5 and 30; the medians 20 / 4 would too, so tell them apart by a third peer
    other = row("scikit-learn", (2.0, 1.0, 10.0))  # rounds 5, 20, 9: median 9; of medians 20 / 2 = 10
    assert results.ratios(ours, result(ours, peer, other)) == {"torchmetrics": 5.0, "scikit-learn": 9.0}
    assert results.ratios(peer, result(ours, peer, other)) == {}


def test_targets_are_met_by_the_fastest_of_ours_against_the_fastest_peer() -> None:
    ours, peer = row(samples=(100.0, 100.0)), row("torchmetrics", (4.0, 5.0))
    reference = row("torchvision's reference", (20.0, 20.0))
    told = results.targets(ours, result(ours, peer, reference))
    assert told == [
        {"target": "≥ 20 × torchmetrics", "reached": 22.5, "met": True},
        {"target": "≥ 10 × torchvision's reference", "reached": 5.0, "met": False},
    ]
    views = {"work": results.VIEWS, "unit": "views/s"}
    ours = row(samples=(30.0,), **views)
    pil = row("torchvision on PIL", (10.0,), **views)
    tensors = row("torchvision v2 on tensors", (40.0,), **views)
    assert results.targets(ours, result(ours, pil, tensors))[0]["reached"] == 0.75


def test_absolute_targets_hold_for_the_gpu_they_name() -> None:
    work = {"work": results.FCN32S, "unit": "images/s", "settings": ON_GPU}
    slow, fast = row("ours, float32", (90.0,), **work), row("ours, compiled", (300.0,), **work)
    (told,) = results.targets(fast, result(slow, fast, machine=H200))
    assert told == {"target": "≥ 286 on one H200", "reached": 300.0, "met": True}
    assert results.targets(slow, result(slow, fast, machine=H200)) == []
    other = {**H200, "gpu": "NVIDIA A100"}
    assert results.targets(fast, result(slow, fast, machine=other)) == []


def test_every_target_is_about_work_that_the_suites_time() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "suites" / "throughput").glob("*.py"))
    names = {target.work for target in results.TARGETS} - {results.FCN32S, results.DEEPLAB}
    constants = {value: name for name, value in vars(results).items() if isinstance(value, str)}
    assert all(constants[name] in sources for name in names)
    assert 'f"{task} {name} at {size} px, GPU"' in sources, "the two others are composed so"
    for target in results.TARGETS:
        assert all(f'"{name}"' in sources for name in target.against)


@pytest.mark.parametrize("samples", [(), (0.0,), (1.0, math.inf), (math.nan,), (-1.0,)])
def test_a_row_without_rates_cannot_be_made(samples: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected rates"):
        row(samples=samples)


# ---------------------------------------------------------------- files


def test_a_file_reads_as_it_was_written(tmp_path: Path) -> None:
    ours = row(samples=(100.0, 90.0, 80.0), bytes=0.2, settings={**ON_CPU, "dtype": "uint8"})
    whole = result(ours, row("torchmetrics", (5.0, 4.5, 4.0)), failed=("suites/throughput/test_x.py::test",))
    path = results.write_session(tmp_path, whole)
    assert path == tmp_path / "throughput" / "a-processor-4-cores.json"
    assert results.read_session(path) == whole
    assert results.read_sessions(tmp_path) == [whole]
    entry = json.loads(path.read_text())["rows"][0]
    assert (entry["median"], entry["share_of_ceiling"]) == (90.0, 90.0 / 200.0)
    assert entry["ratios"] == {"torchmetrics": 20.0}
    assert entry["targets"] == [{"target": "≥ 20 × torchmetrics", "reached": 20.0, "met": True}]


@pytest.mark.parametrize(
    ("machine", "slug"),
    [
        (MACHINE, "a-processor-4-cores"),
        (H200, "nvidia-h200"),
        ({**H200, "gpus": 8}, "nvidia-h200-x8"),
    ],
)
def test_a_machine_is_a_file_name(machine: dict[str, Any], slug: str) -> None:
    assert result(machine=machine).slug == slug


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        body = json.loads(text)
        change(body)
        return json.dumps(body)

    return edit


def rehashed(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        body = json.loads(text)
        change(body)
        body.pop("content_hash")
        body["content_hash"] = results.hash_of(body)
        return json.dumps(body)

    return edit


BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "not JSON": (lambda text: text[:-9], "not a throughput result"),
    "a list": (lambda text: "[]", "schema 'list'"),
    "another schema": (edited(lambda body: body.update(schema=9)), "schema 9"),
    "an edited rate": (edited(lambda body: body["rows"][0].update(median=9e9)), "does not match its hash"),
    "no machine": (rehashed(lambda body: body.pop("machine")), "machine"),
    "an unknown key": (rehashed(lambda body: body.update(extra=1)), "extra"),
    "a row without samples": (rehashed(lambda body: body["rows"][0].pop("samples")), "samples"),
    "an empty row": (rehashed(lambda body: body["rows"][0].update(samples=[])), "expected rates"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_bad_file_is_one_line(fault: str, tmp_path: Path) -> None:
    edit, said = BROKEN[fault]
    path = results.write_session(tmp_path, result(row()))
    path.write_text(edit(path.read_text()))
    done = bench("throughput", "compare", str(path), str(path))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert said in line
    assert path.name in line


# ---------------------------------------------------------------- compare


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_compare_tests_by_ranks_as_scipy_does_and_adjusts_for_all_rows() -> None:
    rng = np.random.default_rng(0)
    before = [tuple(rng.normal(100, 1, 8)) for _ in range(4)]
    after = [tuple(rng.normal(mean, 1, 8)) for mean in (120, 80, 100, 100)]
    first = result(*(network(f"net{i}", samples) for i, samples in enumerate(before)))
    second = result(*(network(f"net{i}", samples) for i, samples in enumerate(after)))
    table = compare_sessions.compare(first, second)
    plain = [float(mannwhitneyu(a, b).pvalue) for a, b in zip(before, after, strict=True)]
    assert [entry["p"] for entry in table] == pytest.approx(statistics.holm(plain), rel=1e-3)
    medians = [np.median(b) / np.median(a) for a, b in zip(before, after, strict=True)]
    assert [entry["B/A"] for entry in table] == pytest.approx(medians, abs=1e-3)
    told = [entry["result"] for entry in table]
    assert told == ["B is faster", "B is slower", "no difference shown", "no difference shown"]


def test_compare_names_what_only_one_file_has_or_what_was_set_otherwise() -> None:
    same, gone, new = (network(name, (1.0, 2.0)) for name in ("same", "gone", "new"))
    other = replace(gone, work="other")
    changed = replace(other, settings={**other.settings, "width": 64})
    table = compare_sessions.compare(result(same, gone, other), result(same, new, changed))
    assert {entry["work"]: entry["result"] for entry in table} == {
        "train same at 64 px": "no difference shown",
        "train gone at 64 px": "only in A",
        "train new at 64 px": "only in B",
        "other": "not compared: settings differ",
    }
    assert [entry["B/A"] for entry in table] == [1.0, None, None, None]


def test_compare_of_two_machines_is_refused_in_one_line(tmp_path: Path) -> None:
    sessions = [result(row(), machine=machine) for machine in (MACHINE, H200)]
    ours, theirs = (results.write_session(tmp_path, session) for session in sessions)
    done = bench("throughput", "compare", str(ours), str(theirs))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "two machines" in line
    assert "NVIDIA H200" in line
    with pytest.raises(InputError, match="two machines"):
        compare_sessions.compare(result(), result(machine={**MACHINE, "cores": 8}))


def test_compare_never_fails_for_a_time_and_takes_another_driver(tmp_path: Path) -> None:
    slow = result(row(samples=(1.0,) * 6), provenance={**MADE, "driver": "999"})
    first = results.write_session(tmp_path / "a", result(row(samples=(100.0,) * 6)))
    second = results.write_session(tmp_path / "b", slow)
    done = bench("throughput", "compare", str(first), str(second), "--format", "json")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)
    assert (entry["B/A"], entry["result"]) == (0.01, "B is slower")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    done = bench("throughput", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "a.json" in done.stderr


# ---------------------------------------------------------------- page and picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ours = row(samples=(100.0, 110.0, 90.0))
    rows = (ours, row("torchmetrics", (4.0, 5.0, 6.0)), network("resnet50", (3.0, 4.0, 5.0)))
    results.write_session(tmp_path, result(*rows, failed=("suites/throughput/test_x.py::test_it",)))
    build.write_all(tmp_path, load_ledgers())
    return tmp_path


def test_the_page_tells_rates_ratios_targets_and_failures(folder: Path) -> None:
    text = (folder / "throughput.md").read_text(encoding="utf-8")
    assert "A Processor, 4 cores" in text
    assert re.search(r"\| ours +\| 100 Mpx/s \(90\.0–110\) +\| 3 ", text)
    assert "22 × torchmetrics" in text
    assert "suites/throughput/test_x.py::test_it" in text
    assert "not measured here" in text
    assert "2031" not in text, "no dates in generated pages"
    assert (folder / "figures" / "throughput" / "a-processor-4-cores-roofline.png").stat().st_size > 5000


def test_check_covers_page_and_picture(folder: Path) -> None:
    ledgers = load_ledgers()
    assert build.check_pages(folder, ledgers) == []
    stale = [f"{page}: stale: differs from what the records give" for page in ("index.html", "throughput.md")]
    picture = folder / "figures" / "throughput" / "a-processor-4-cores-roofline.png"
    content = picture.read_bytes()
    picture.write_bytes(content + b" ")
    assert (
        build.check_pages(folder, ledgers) == stale[1:]
    )  # the other page links the picture, without its hash
    picture.write_bytes(content)
    results.write_session(folder, result(row(samples=(7.0,)), network("resnet50", (3.0,))))
    assert build.check_pages(folder, ledgers) == stale
    shutil.rmtree(folder / "throughput")
    assert [line.partition(":")[0] for line in build.check_pages(folder, ledgers)] == [
        "index.html",
        "throughput.md",
        "figures/throughput/a-processor-4-cores-roofline.png",
    ]


def test_without_measurements_there_is_no_page(tmp_path: Path) -> None:
    assert "throughput.md" not in build.render(tmp_path, load_ledgers())


# ---------------------------------------------------------------- a session of the suite


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run invented tests under the real conftest files, with tiny ceilings."""
    suite = tmp_path / "suites" / "throughput"
    suite.mkdir(parents=True)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    shutil.copy(ROOT / "suites" / "throughput" / "conftest.py", suite)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def run(tests: str, *words: str) -> subprocess.CompletedProcess[str]:
        head = "from bench.throughput import timing\n"
        head += "timing._SIDE['cpu'], timing._COPY_BYTES['cpu'] = 64, 2**16\n"
        (suite / "test_invented.py").write_text(head + tests)
        settings = ("-c", str(tmp_path / "pyproject.toml"), str(suite), "--out", str(tmp_path / "out"))
        return run_pytest(tmp_path, *settings, *words, plugin="pytest_benchmark.plugin")

    return run


GOOD = """
def test_good(note, seconds_alone):
    note("work", "ours", unit="images/s", items=2, seconds=seconds_alone(lambda x: x, lambda: 1))
"""
SILENT = """
def test_silent(note):
    assert True
"""
TAKEN_AWAY = """
def test_machine_is_taken_away(note):
    import os
    os._exit(9)
"""
UNWRITABLE = """
import pytest
@pytest.mark.gpu
def test_unwritable(note, gpu):
    note("work", "ours", unit="images/s", items=2, seconds=[1.0], device=gpu, layers=(1, 2))
"""
BREAKS = """
def test_breaks(note, benchmark):
    benchmark.pedantic(lambda: 1 / 0)
"""


def test_a_session_writes_its_rows_after_each_test(
    session: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = session(GOOD + TAKEN_AWAY, "--measure")
    assert done.returncode == 9, "the second test ends the process"
    (whole,) = results.read_sessions(tmp_path / "out")
    (only,) = whole.rows
    assert (only.work, only.contender, len(only.samples), whole.failed) == ("work", "ours", 10, ())
    assert results.place(only.settings) in whole.ceilings
    assert whole.provenance["peers"]["lightly"]


def test_a_rehearsal_refuses_a_row_that_its_file_would_change(
    session: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = session(UNWRITABLE, "-m", "gpu", "--rehearse")  # JSON makes a list of a tuple
    assert done.returncode == 1
    assert "the file does not hold its rows as they were noted" in done.stdout
    assert not (tmp_path / "out").exists()


def test_an_errored_benchmark_fails_the_session_and_is_named_in_the_file(
    session: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = session(GOOD + BREAKS, "--measure")
    assert done.returncode == 1
    (whole,) = results.read_sessions(tmp_path / "out")
    assert len(whole.rows) == 1
    (name,) = whole.failed
    assert name.endswith("test_invented.py::test_breaks")


def test_a_test_that_times_nothing_fails(session: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = session(GOOD + SILENT)
    assert done.returncode == 1
    assert "test_silent passed but noted no row" in done.stdout


def test_switched_off_benchmarks_fail(session: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = session(GOOD, "--measure", "--benchmark-disable")
    assert done.returncode == 1
    assert "nothing is timed" in done.stdout


@pytest.mark.parametrize("words", [("-k", "nothing_of_that_name"), ()], ids=["none selected", "all skipped"])
def test_measuring_nothing_is_no_success(
    words: tuple[str, ...], session: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    skipped = "import pytest\n@pytest.mark.skip(reason='for a test')" + GOOD
    done = session(GOOD if words else skipped, "--measure", *words)
    assert done.returncode == 5, done.stdout
    assert "timed nothing" in done.stdout
    assert not (tmp_path / "out").exists()


def test_without_measure_nothing_is_written(
    session: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert session(GOOD).returncode == 0
    assert not (tmp_path / "out").exists()
