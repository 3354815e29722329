"""Options, markers and reports shared by every suite."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.grading import alignment, kept_checks

ANSWERS = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench", "what suites/endtoend runs")
    group.addoption(
        "--tier",
        default="smoke",
        choices=("smoke", "gpu", "full", "auto"),
        help="what is scaled down; auto: the fullest at which --gpu-hours are enough for anything",
    )
    group.addoption(
        "--recipes", default="quick", choices=("quick", "all"), help="one for each network and task, or all"
    )
    group.addoption("--data", default="synthetic", help="'synthetic' or a folder in the official layout")
    group.addoption("--seeds", default=1, type=int, help="seeds 0…k−1 of every recipe")
    group.addoption("--epochs", default=None, type=int, help="shorten the rehearsals to so many epochs")
    group.addoption("--init", default=None, choices=("scratch",), help="instead of pretrained weights")
    group.addoption("--weights", default=None, type=Path, help="folder with pretrained weights")
    group.addoption("--device", default="auto", help="auto, cpu, cuda or mps")
    group.addoption("--out", default=None, type=Path, help="where records and tables go (a fresh folder)")
    group.addoption(
        "--measure",
        action="store_true",
        help="suites/throughput: time real sizes and write <out>/throughput/<machine>.json (out: runs)",
    )
    group.addoption(
        "--rehearse",
        action="store_true",
        help="with -m gpu: run the same code on the CPU at the smallest sizes",
    )
    group.addoption(
        "--gpu-hours", default=None, type=float, help="run what settles most claims in so many hours"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Set what holds for every suite.

    Workers that run side by side (``-n 2``) have one core each; a timing needs the machine to itself. All
    workers and all commands that they start share one temporary folder for the answers that they keep.
    """
    if hasattr(config, "workerinput"):
        os.environ["OMP_NUM_THREADS"] = "1"
    if not os.environ.get("BENCH_ANSWERS"):
        config.stash[ANSWERS] = os.environ["BENCH_ANSWERS"] = tempfile.mkdtemp(prefix="bench-answers-")
    if config.option.measure and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--measure times one thing at a time: give it without -n")
    if config.option.rehearse and (config.option.measure or not _asked(config, "gpu")):
        raise pytest.UsageError("--rehearse goes with -m gpu, and without --measure: nothing is timed")


def pytest_unconfigure(config: pytest.Config) -> None:
    if (folder := config.stash.get(ANSWERS, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ["BENCH_ANSWERS"]


def _asked(config: pytest.Config, marker: str) -> bool:
    """Whether ``-m`` names the marker, other than to leave it out."""
    words = str(config.option.markexpr).replace("(", " ").replace(")", " ").split()
    return any(
        word == marker and (position == 0 or words[position - 1] != "not")
        for position, word in enumerate(words)
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {}
    if _asked(config, "gpu"):
        items.sort(key=_turn)
    if any(item.get_closest_marker("gpu") for item in items) and not (config.option.rehearse or _has_cuda()):
        reasons["gpu"] = "needs a CUDA device, none is here"
    if not _asked(config, "fullrun"):
        reasons["fullrun"] = "trains recipes as printed; ask for it with -m fullrun"
    if not _asked(config, "slow"):
        reasons["slow"] = "slow; ask for it with -m slow (tox -e soak)"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _turn(item: pytest.Item) -> int:
    """What a GPU does first: ``gpu(1)``, then ``gpu(2)``, then the rest."""
    turns = [mark.args[0] for mark in item.iter_markers("gpu") if mark.args]
    return min(turns, default=LAST_TURN)


LAST_TURN = 9


@pytest.fixture(scope="session")
def rehearsing(request: pytest.FixtureRequest) -> bool:
    """Whether a gpu test runs on the CPU, to show that its code runs: as little work as that takes."""
    return bool(request.config.option.rehearse)


@pytest.fixture(scope="session")
def gpu(rehearsing: bool) -> str:
    """The kind of device that a gpu test uses."""
    return "cpu" if rehearsing else "cuda"


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="package")
def kept_answers() -> Iterator[None]:
    """Within a package of suites that only shows their answers, the checks are computed once a session."""
    with kept_checks.kept():
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, the system's or the one that ``playwright install chromium`` fetched."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        names = ("chromium", "chromium-browser", "google-chrome")
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, names)), None)
        if path is None:
            pytest.skip("no Chromium here: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    if _ran_nothing_asked_for(config, terminalreporter.stats):
        terminalreporter.write_line(
            f"-m {config.option.markexpr!r} executed no test: see the reasons of the skipped ones", red=True
        )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.config.option.collectonly:
        return
    if exitstatus == 0 and _ran_nothing_asked_for(session.config, reporter.stats):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
    _note_alignment(session, reporter.stats)


def _ran_nothing_asked_for(config: pytest.Config, stats: dict[str, list[object]]) -> bool:
    """An explicit ``-m gpu`` or ``-m fullrun`` that ran no test must not look like a success."""
    wanted = any(_asked(config, marker) for marker in ("gpu", "fullrun"))
    return wanted and not any(stats.get(outcome) for outcome in ("passed", "failed", "error", "xfailed"))


def _note_alignment(session: pytest.Session, stats: dict[str, list[object]]) -> None:
    """Whether the suites that hold ``reference`` to outside oracles passed, for the grade *contradicted*.

    Only a run over all of them says anything: a part of them is not noted.
    """
    counts = {suite: Counter[str]() for suite in alignment.SUITES}
    for outcome in ("passed", "failed", "error"):
        for report in stats.get(outcome, []):
            name = getattr(report, "nodeid", "").split("/")[1:2]
            if name and name[0] in counts:
                counts[name[0]][outcome] += 1
    selected = session.config.option.keyword or session.config.option.markexpr
    if not selected and all(sum(count.values()) for count in counts.values()):
        folder = session.config.rootpath / "runs"
        alignment.note(folder, {s: (c["passed"], c["failed"] + c["error"]) for s, c in counts.items()})
