"""Is this machine able? Every check stands alone: what is broken is said, and the rest still checked."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reference.data.listing import is_folder
from reference.errors import InputError
from reference.files import check_writable

OK, NOTE, BROKEN = "ok", "note", "broken"
LEAST_GB = 5


@dataclass(frozen=True)
class Diagnosis:
    """What one check found: ``ok``, ``note`` (something runs without it) or ``broken``."""

    check: str
    verdict: str
    message: str


def examine(out: Path, cache: Path, data: Path | None, weights: Path | None) -> list[Diagnosis]:
    """All checks, in the order in which one depends on another."""
    pair, seen = _torch_and_torchvision(weights)
    findings = [_python(), pair, *([_gpu(seen)] if seen else [])]
    findings.append(_memory(seen))
    findings += [_writable("results", out), _writable("cache", cache), _disk(out), _data(data)]
    if seen:
        findings.append(Diagnosis(**seen["weights"]))
    return [*findings, _closing(findings)]


def _python() -> Diagnosis:
    message = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    return Diagnosis("python", OK if sys.version_info >= (3, 11) else BROKEN, message)


def _torch_and_torchvision(weights: Path | None) -> tuple[Diagnosis, dict[str, Any] | None]:
    """Loads both in a process of its own, since a mismatch may end it; and what ``probe`` saw there."""
    try:
        have = {name: version(name) for name in ("torch", "torchvision")}
    except PackageNotFoundError as error:
        return Diagnosis("torch", BROKEN, f"{error.name} is not installed; pip install -e ."), None
    program = f"from bench.cli import doctor; doctor.probe({str(weights or '')!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    both = f"torch {have['torch']}, torchvision {have['torchvision']}"
    if done.returncode == 0:
        return Diagnosis("torch", OK, both), json.loads(done.stdout.splitlines()[-1])
    cause = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return Diagnosis("torch", BROKEN, f"{both} do not work together ({cause}); {_advice(have)}"), None


def probe(weights: str) -> None:
    """Print what a process with torch sees, as JSON: its GPUs, and the weights in a folder ("": the default).

    torchvision's compiled operators show whether it fits torch. Its Python code takes longer to import than
    torch itself, so it is imported only where the operators cannot be loaded: its error says why.
    """
    import torch

    boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1)
    place = find_spec("torchvision")
    assert place is not None
    assert place.origin is not None
    try:
        for library in Path(place.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        torch.ops.torchvision.nms(boxes, scores, 0.5)
    except (OSError, RuntimeError, AttributeError):
        import torchvision

        torchvision.ops.nms(boxes, scores, 0.5)
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    seen = {
        "built": torch.version.cuda,
        "gpus": [(gpu.name, gpu.total_memory) for gpu in gpus],
        "weights": asdict(_weights(Path(weights) if weights else None)),
    }
    print(json.dumps(seen))


def _advice(have: dict[str, str]) -> str:
    """What to install; builds of torch and torchvision are made for each other, CPU or CUDA alike."""
    builds = {name: number.partition("+")[2] for name, number in have.items()}
    if builds["torch"] != builds["torchvision"]:
        kinds = " and ".join(
            f"{name} is a build {build or 'without a mark'}" for name, build in builds.items()
        )
        return f"{kinds}: take both from one registry: pip install --force-reinstall torch torchvision"
    return "take a pair that was released together: pip install --force-reinstall torch torchvision"


def _gpu(seen: dict[str, Any]) -> Diagnosis:
    if seen["gpus"]:
        name, memory = seen["gpus"][0]
        return Diagnosis("gpu", OK, f"{len(seen['gpus'])} × {name}, {memory / 1e9:.0f} GB")
    built = "torch is built without CUDA" if seen["built"] is None else "torch finds no CUDA device"
    return Diagnosis("gpu", NOTE, f"none: {built}; everything runs on the CPU")


def _memory(seen: dict[str, Any] | None) -> Diagnosis:
    """Which recipes fit this machine's GPU, else how many fit GPUs of the usual sizes."""
    from bench.plan import predictions
    from reference.recipes import RECIPES

    recipes = RECIPES.values()
    if seen and seen["gpus"]:
        gigabytes = round(seen["gpus"][0][1] / predictions.GIGABYTE, 1)
        return Diagnosis("memory", OK, f"predicted: {predictions.summary(recipes, gigabytes, 'float32')}")
    sizes = [predictions.count(recipes, gigabytes, "float32") for gigabytes in predictions.USUAL_MEMORIES]
    message = f"recipes predicted to fit a GPU as printed: {', '.join(sizes)}; bench plan --gpu-memory 24"
    return Diagnosis("memory", NOTE, f"{message} says which")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there; one that may not be looked at is there."""
    for place in (folder, *folder.absolute().parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return place
        return place
    raise AssertionError("the root of a file system is there")


def _writable(name: str, folder: Path) -> Diagnosis:
    """Writes into the folder, or into the nearest one above it that is there."""
    try:
        check_writable(_nearest(folder) / f".probe-{os.getpid()}")
    except InputError as error:
        return Diagnosis(name, BROKEN, str(error))
    return Diagnosis(name, OK, f"{folder} can be written")


def _disk(folder: Path) -> Diagnosis:
    try:
        free = shutil.disk_usage(_nearest(folder)).free / 1e9
    except OSError as error:
        return Diagnosis("disk", NOTE, f"{folder}: free space cannot be told ({error.strerror})")
    message = f"{free:.0f} GB free; a full run's checkpoints and cache take up to {LEAST_GB} GB"
    return Diagnosis("disk", OK if free >= LEAST_GB else NOTE, message)


def _data(data: Path | None) -> Diagnosis:
    if data is None:
        return Diagnosis("data", NOTE, "none named (--data DIR); recipes run on synthetic images")
    from bench.cli.data_check import FOLDERS

    there = [folder.path for folder in FOLDERS if is_folder(data / folder.path)]
    for folder in (data, *(data / path for path in there)):
        if cause := _why_unreadable(folder):
            return Diagnosis("data", BROKEN, f"{folder}: cannot be listed ({cause}); make it readable")
    if not there:
        return Diagnosis("data", BROKEN, f"{data}: none of {', '.join(f.path for f in FOLDERS)} is there")
    message = f"{data}: {_roles(data)}; whether it is whole: bench data check {data}"
    return Diagnosis("data", OK, message)


def _roles(data: Path) -> str:
    """What each role's data are, and how many printed results wait for those that are missing."""
    from bench.claims.ledger import load_ledgers
    from reference.data import READERS, ROOTS, source_of
    from reference.recipes import RECIPES

    waiting: Counter[str] = Counter(
        RECIPES[claim.recipe].data
        for ledger in load_ledgers()
        for claim in ledger.claims
        if claim.kind == "number" and not claim.illegible and claim.recipe in RECIPES
    )
    there, absent = list[str](), list[str]()
    for role, root in ROOTS.items():
        results = f"{role} ({waiting[role]} printed results)"
        if not is_folder(data / root):
            absent.append(results)
            continue
        faults: list[str] = []
        listing = READERS[role](data, faults.append)
        kind = "with faults" if faults else source_of(role, listing)[0].replace("-originals", " originals")
        there.append(f"{role} {kind}")
    return "; missing: ".join(filter(None, (", ".join(there), ", ".join(absent))))


def _why_unreadable(folder: Path) -> str:
    """Why a folder cannot be listed; empty where it can, or is not there."""
    try:
        with os.scandir(folder):
            return ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error.strerror)


def _weights(folder: Path | None) -> Diagnosis:
    from reference.models.weights import WEIGHTS, checked_sha256, weights_folder

    place = weights_folder(folder)
    if cause := _why_unreadable(place):
        return Diagnosis("weights", BROKEN, f"{place}: cannot be listed ({cause}); make it readable")
    there = [name for name, file in WEIGHTS.items() if os.path.isfile(place / file)]
    try:
        for name in there:
            checked_sha256(place / WEIGHTS[name])
    except InputError as error:
        return Diagnosis("weights", BROKEN, str(error))
    absent = [name for name in WEIGHTS if name not in there]
    message = f"{len(there)} of {len(WEIGHTS)} in {place}" + (
        f"; not there: {', '.join(absent)}" if absent else ""
    )
    return Diagnosis("weights", NOTE if absent else OK, message)


def _closing(findings: list[Diagnosis]) -> Diagnosis:
    """What this machine can run."""
    verdicts = {finding.check: finding.verdict for finding in findings}
    if broken := [check for check, verdict in verdicts.items() if verdict == BROKEN]:
        listing = (
            "" if verdicts["python"] == BROKEN else "; bench list, audit and score of what is there work"
        )
        return Diagnosis("so", BROKEN, f"fix {', '.join(broken)} first{listing}")
    tiers = ["smoke tier"]
    if verdicts["gpu"] == OK:
        tiers.append("gpu tier")
        if verdicts["data"] == OK and verdicts["weights"] == OK:
            tiers.append("full tier")
    lacking = [check for check in ("gpu", "data", "weights") if verdicts[check] != OK]
    why = f"; full tier needs {', '.join(lacking)}" if lacking else ""
    return Diagnosis("so", OK, f"this machine runs: {', '.join(tiers)}{why}")
