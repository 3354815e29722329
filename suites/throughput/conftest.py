"""What the timings share: how many rounds, the rows they leave, and the file those are written to.

Without ``--measure`` everything that is timed runs twice on little work: contenders must agree and every test
must leave its rows, but nothing is written. No test ever asserts a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch

from bench.throughput import results, timing

ROWS = pytest.StashKey[list[results.Timing]]()
CEILINGS = pytest.StashKey[dict[str, dict[str, float]]]()
STARTED = pytest.StashKey[str]()
PEERS = ("torchmetrics", "byol-pytorch", "lightly", "kornia")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    config.stash[CEILINGS] = {}
    config.stash[STARTED] = datetime.now(UTC).isoformat(timespec="seconds")
    if not config.getoption("--measure"):
        config.option.benchmark_quiet = True  # a table of two rounds of little work would only mislead


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """The GPU belongs to a timing, the host's name to nobody."""
    machine_info.pop("node", None)
    machine_info.update(timing.machine())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that passes without a row has timed nothing, which nobody would notice in the file.

    A rehearsal writes the file too, into a folder of its own, so that no row can spoil the one of a GPU.
    """
    rows = item.config.stash[ROWS]
    before = len(rows)
    result = yield
    if len(rows) == before:
        pytest.fail(f"{item.name} passed but noted no row: it has timed nothing", pytrace=False)
    if item.config.getoption("--rehearse"):
        with tempfile.TemporaryDirectory() as folder:
            written = results.read_session(_write_rows(item.config, Path(folder), side=64, copy_bytes=2**16))
        if written.rows != tuple(rows):
            pytest.fail(f"{item.name}: the file does not hold its rows as they were noted", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Write the file after each test: a machine that is taken away leaves a valid, smaller one."""
    result = yield
    _write(item.config)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--measure") or session.config.option.collectonly:
        return
    if not session.config.stash[ROWS] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def _write(config: pytest.Config) -> None:
    """Write what was timed so far."""
    if config.getoption("--measure") and config.stash[ROWS]:
        config.stash[WRITTEN] = _write_rows(config, config.getoption("--out") or Path("runs"))


def _write_rows(config: pytest.Config, folder: Path, **sizes: int) -> Path:
    """Write all rows, and the ceilings of each place, measured once in this very process."""
    rows, limits = config.stash[ROWS], config.stash[CEILINGS]
    for row in rows:
        if (where := results.place(row.settings)) not in limits:
            limits[where] = timing.ceilings(row.settings["device"], row.settings["threads"], **sizes)
    return results.write_session(
        folder,
        results.Result(
            machine=timing.machine(),
            provenance=timing.software() | {"peers": {name: version(name) for name in PEERS}},
            ceilings=limits,
            rows=tuple(rows),
            started=config.stash[STARTED],
            failed=tuple(_failed(config)),
        ),
    )


WRITTEN = pytest.StashKey[Path]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--measure"):
        return
    path = config.stash.get(WRITTEN, None)
    if path is None:
        terminalreporter.write_line("--measure timed nothing: no file is written", red=True)
        return
    terminalreporter.write_line(f"{len(config.stash[ROWS])} rows: {path}")


def _failed(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    reports = [*reporter.stats.get("failed", []), *reporter.stats.get("error", [])]
    return sorted({report.nodeid for report in reports if "throughput/" in report.nodeid})


@pytest.fixture(scope="session")
def measuring(request: pytest.FixtureRequest) -> bool:
    """Whether real sizes are timed; else little work is done twice."""
    return bool(request.config.getoption("--measure"))


@pytest.fixture(scope="session")
def rounds(measuring: bool) -> int:
    """Timed rounds. Ten tell two sessions apart by rank, over as many rows as there are here."""
    return 10 if measuring else 2


@pytest.fixture(autouse=True)
def one_core_where_nothing_is_measured(measuring: bool) -> Iterator[None]:
    """Little work is done faster without handing it between threads."""
    with timing.threads(torch.get_num_threads() if measuring else 1):
        yield


@pytest.fixture
def one_core() -> Iterator[None]:
    with timing.threads(1):
        yield


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``note(work, contender, unit=, items=, seconds=, …)``: leave a row; further words are its settings."""
    rows = request.config.stash[ROWS]

    def leave(
        work: str,
        contender: str,
        *,
        unit: str,
        items: float,
        seconds: Sequence[float],
        flops: float | None = None,
        bytes: float | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        **settings: object,
    ) -> None:
        where = {"device": device, "threads": torch.get_num_threads(), "dtype": dtype}
        rows.append(
            results.Timing(
                work=work,
                contender=contender,
                unit=unit,
                items=items,
                samples=tuple(items / s for s in seconds),
                settings=where | settings,
                flops=flops,
                bytes=bytes,
            )
        )

    return leave


@pytest.fixture
def seconds_alone(request: pytest.FixtureRequest, measuring: bool, rounds: int) -> Callable[..., list[float]]:
    """``seconds_alone(work, data)``: pytest-benchmark's timings of ``work(data())``, new data each round.

    Without ``--measure`` the work is done too, also in a worker, where pytest-benchmark times nothing.
    """

    def do(work: Callable[[Any], object], data: Callable[[], object]) -> list[float]:
        seconds = []
        for _ in range(rounds):
            prepared, started = data(), perf_counter()
            work(prepared)
            seconds.append(perf_counter() - started)
        return seconds

    if not measuring:
        return do
    benchmark: Any = request.getfixturevalue("benchmark")

    def measure(work: Callable[[Any], object], data: Callable[[], object]) -> list[float]:
        benchmark.pedantic(work, setup=lambda: ((data(),), {}), rounds=rounds, warmup_rounds=1)
        if benchmark.disabled:
            pytest.fail("pytest-benchmark is switched off (xdist, --benchmark-disable), so nothing is timed")
        return list(benchmark.stats.stats.data)

    return measure
