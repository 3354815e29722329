"""Real runs, killed at random instants, go on to the very weights, metrics and record of an unbroken one."""

from __future__ import annotations

import hashlib
import json
import random
import shlex
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.claims.ledger import load_ledgers
from bench.pages import build
from bench.runs import records
from reference.training import checkpoint

TASKS = {
    "classify": "r4-classify",
    "segment": "r4-seg-b",
    "byol": "r3-byol",
    "fine-tune from a byol run": "r3-finetune-c",
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
PLAIN_KILLS, SOAK_KILLS, CHAIN = 5, 60, 5
END_SECONDS = 5.0

Command = Callable[..., Any]


@dataclass(frozen=True)
class Kill:
    """A signal at the ``nth`` call of a place, or from outside ``after`` so many seconds."""

    number: signal.Signals
    place: str = ""
    nth: int = 1
    after: float | None = None

    @property
    def job(self) -> dict[str, Any]:
        if self.after is not None:
            return {"signal": int(self.number), "after": self.after}
        return {"signal": int(self.number), "place": self.place, "nth": self.nth}


def drawn(order: list[str], seconds: float, rng: random.Random) -> Iterator[Kill]:
    """Kills for one folder: some from outside, the others at instants of an unbroken run, in its order."""
    yield Kill(rng.choice(SIGNALS), after=rng.uniform(0.1, seconds))
    working = {"step", "stepped", "evaluation", "drawing"}
    places = rng.sample(sorted(working), 2) + rng.sample(sorted(set(order) - working), CHAIN - 3)
    for place in sorted(places, key=order.index):
        yield Kill(rng.choice(SIGNALS), place, rng.randint(1, min(6, order.count(place))))


def check_left(out: Path, ended: Any, kill: Kill) -> None:
    """What a killed run leaves can be read, and an interrupted one says how it goes on."""
    assert ended.threads == 1, "forking is sound only from a process with one thread"
    assert "Traceback" not in ended.said, ended.said
    for folder in out.glob("work/*/*"):
        damaged = checkpoint.load(folder)[1]
        assert not damaged, damaged
    found, unreadable = records.find(out)
    assert not unreadable
    if kill.number is signal.SIGKILL:
        return
    if (line := next((line for line in ended.lines if "go on with: " in line), None)) is None:
        # before or after what can be interrupted: the process has only just begun, or all is done
        assert kill.after is not None or ended.code == 0, ended.said
        return
    words = shlex.split(line.partition("go on with: ")[2])
    assert words[:2] == ["bench", "run"]
    if any(out.glob("work/*/*/lock")) and "] " in ended.said:
        assert found, "every started run leaves a record"


def survive(
    command: Command,
    data: Path,
    out: Path,
    slug: str,
    kills: int,
    seed: int,
    comparable: Command,
) -> tuple[int, int, list[float]]:
    """Kill runs of a recipe until so many kills have been delivered: how many were survived, and how many.

    And the seconds from a SIGTERM or SIGINT that came from outside until the run's end.
    """
    words = ("run", slug, "--data", data, "--device", "cpu", "--out")
    instants = out / "instants.json"
    out.mkdir(parents=True)
    draw = slug == "r4-seg-b" and kills == SOAK_KILLS  # real pictures: drawing takes longer than all else
    unbroken = command(*words, out / "unbroken", instants=str(instants), draw=draw)
    assert unbroken.code == 0, unbroken.said
    expected, order = comparable(out / "unbroken"), json.loads(instants.read_text())
    assert set(expected) >= {slug}
    rng, tried, survived, faults = random.Random(seed), 0, 0, []
    ends: list[float] = []
    while tried < kills:
        chain = out / f"chain-{rng.getrandbits(32):08x}"
        delivered: list[Kill] = []
        for kill in drawn(order, unbroken.seconds, rng):
            if tried + len(delivered) == kills:
                break
            cadence = rng.choice((0.0, 30.0))
            ended = command(*words, chain, checkpoint_seconds=cadence, draw=draw, **kill.job)
            if ended.code == 0:  # it was done before that instant came
                continue
            delivered.append(kill)
            assert ended.code in (ENDS[kill.number], -kill.number), (kill, ended)
            check_left(chain, ended, kill)
            if ended.struck_at is not None and kill.number is not signal.SIGKILL:
                ends.append(ended.seconds - ended.struck_at)
        last = command(*words, chain, draw=draw)
        tried += len(delivered)
        if last.code == 0 and comparable(chain) == expected:
            survived += len(delivered)
        else:
            faults.append((chain, delivered, last.said, comparable(chain)["parts"]))
    print(f"{slug}: {survived} of {tried} kills survived")
    for fault in faults:
        print(*fault, sep="\n  ")
    return survived, tried, ends


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(PLAIN_KILLS, 1), pytest.param(SOAK_KILLS, 2, marks=pytest.mark.slow)],
    ids=["", "slow"],
)
@pytest.mark.parametrize("task", TASKS)
def test_killed_runs_go_on_as_if_unbroken(
    task: str,
    kills: int,
    seed: int,
    command: Command,
    data: Path,
    tmp_path: Path,
    comparable: Command,
    note: Callable[..., None],
) -> None:
    survived, tried, ends = survive(command, data, tmp_path / "out", TASKS[task], kills, seed, comparable)
    what = f"{task}, slow" if kills == SOAK_KILLS else task
    note("kills", what, survived, tried)
    note("ends", what, sum(seconds <= END_SECONDS for seconds in ends), len(ends))
    assert survived == tried >= kills


def test_a_run_killed_while_it_draws_real_pictures_leaves_those_of_an_unbroken_one(
    command: Command, data: Path, tmp_path: Path, comparable: Command, note: Callable[..., None]
) -> None:
    words = ("run", "r4-seg-b", "--data", data, "--device", "cpu", "--out")
    assert command(*words, tmp_path / "unbroken", draw=True).code == 0
    killed = command(*words, tmp_path / "out", draw=True, signal=9, place="write figure", nth=2)
    done = command(*words, tmp_path / "out", draw=True)
    expected = comparable(tmp_path / "unbroken")
    kinds = {figure["kind"] for figure in expected["r4-seg-b"]["figures"]}
    held = killed.code == -9 and done.code == 0 and comparable(tmp_path / "out") == expected
    note("kills", "segment, while its pictures are drawn", int(held), 1)
    assert "masks" in kinds
    assert held, (killed, done)


def test_a_report_killed_while_it_is_written_is_written_whole_the_next_time(
    command: Command, data: Path, tmp_path: Path, note: Callable[..., None]
) -> None:
    assert command("run", "r4-seg-b", "--data", data, "--device", "cpu", "--out", tmp_path).code == 0
    instants, rng = tmp_path / "instants.json", random.Random(3)
    assert command("report", "--out", tmp_path, instants=str(instants)).code == 0
    expected = {name: (tmp_path / name).read_text() for name in build.render(tmp_path, load_ledgers())}
    order = [place for place in json.loads(instants.read_text()) if place.endswith("page")]
    survived, tried = 0, 3
    for _ in range(tried):
        for name in expected:
            (tmp_path / name).write_text("old")
        nth, place = rng.randint(1, order.count("write page")), rng.choice(sorted(set(order)))
        assert command("report", "--out", tmp_path, signal=9, place=place, nth=nth).code == -9
        found = {name: (tmp_path / name).read_text() for name in expected}
        survived += all(text in ("old", expected[name]) for name, text in found.items())
    again = command("report", "--out", tmp_path)
    rewritten = {name: (tmp_path / name).read_text() for name in expected}
    survived *= again.code == 0 and rewritten == expected
    note("kills", "report, while its pages are written", survived, tried)
    assert survived == tried


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_an_interrupted_run_keeps_its_last_finished_epoch(
    number: str, run: Command, comparable: Command, tmp_path: Path, note: Callable[..., None]
) -> None:
    """At a cadence that has written nothing yet: what would be lost is saved on the way out."""
    assert run("r4-classify", tmp_path / "unbroken").code == 0
    out, kill = tmp_path / "out", Kill(signal.Signals[number], "step", nth=8)
    struck = run("r4-classify", out, checkpoint_seconds=1e9, **kill.job)
    (record,) = records.read_all(out)
    (folder,) = (out / "work" / "r4-classify").iterdir()
    payload, damaged = checkpoint.load(folder)
    done = run("r4-classify", out)
    finished = next(r for r in records.read_all(out) if r.status == "ok")
    held = (
        struck.code == ENDS[kill.number]
        and record.status == "interrupted"
        and not damaged
        and payload is not None
        and payload["epoch"] == 2  # the third was under way
        and "go on with: bench run r4-classify" in struck.said
        and done.code == 0
        and [segment["first_epoch"] for segment in finished.segments] == [0, 2]
        and comparable(out) == comparable(tmp_path / "unbroken")  # no step of the third is in what was saved
    )
    note("kills", f"{number} with nothing saved yet", int(held), 1)
    assert held, (struck, record, payload and payload["epoch"], done)


def test_what_a_finished_run_left_is_cleared_by_the_next_command(
    run: Command, leftovers: Command, tmp_path: Path, note: Callable[..., None]
) -> None:
    """Killed with its record written: nothing is trained again, and no checkpoint stays behind."""
    assert run("r4-classify", tmp_path, signal=9, place="renamed record").code == -9
    assert list(tmp_path.glob("work/*/*/checkpoint*"))
    assert leftovers(tmp_path) == ["owner.json"]
    done = run("r4-classify", tmp_path)
    held = (
        done.code == 0
        and "1 of 1 runs have a record already" in done.said
        and not list(tmp_path.glob("work/*/*/checkpoint*"))
        and leftovers(tmp_path) == []
    )
    note("kills", "between a run's record and its end", int(held), 1)
    assert held, done


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def _code(content: bytes) -> bytes:
    """A whole checkpoint by its checksum, whose pickle would run code."""
    import pickle

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (exec, ("raise SystemExit('a checkpoint ran code')",))

    tree = pickle.dumps(Runs())
    body = b"%d\n%b" % (len(tree), tree) + bytes(64)
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": _cut,
    "one bit flipped": _flipped,
    "empty": lambda content: b"",
    "a pickle that runs code": _code,
}


def test_a_damaged_checkpoint_is_set_aside_named_and_done_without(
    run: Command, tmp_path: Path, comparable: Command, note: Callable[..., None]
) -> None:
    assert run("r4-classify", tmp_path / "unbroken").code == 0
    expected = comparable(tmp_path / "unbroken")["r4-classify"]
    del expected["notes"]
    held = dict.fromkeys([*DAMAGES, "both"], False)
    for damage in held:
        out = tmp_path / damage.replace(" ", "-")
        assert run("r4-classify", out, signal=9, place="step", nth=9).code == -9
        names = checkpoint.NAMES if damage == "both" else checkpoint.NAMES[:1]
        for path in (path for name in names for path in out.glob(f"work/*/*/{name}")):
            path.write_bytes(DAMAGES.get(damage, _cut)(path.read_bytes()))
        done = run("r4-classify", out)
        (record,) = records.read_all(out)
        found = comparable(out)["r4-classify"]
        notes = found.pop("notes")
        held[damage] = (
            done.code == 0
            and found == expected
            and len(notes) == len(names)
            and all(name in line and line in done.said for name, line in zip(names, notes, strict=True))
            and len(list(out.glob("work/*/*/*.torn"))) == len(names)
            and [s["first_epoch"] for s in record.segments] == ([0] if damage == "both" else [0, 1])
        )
    note("damage", "checkpoints", sum(held.values()), len(held))
    assert all(held.values()), held
