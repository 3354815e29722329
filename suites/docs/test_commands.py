"""Every command of the README and the docs is one that runs.

``bench`` commands run for real, on a few images for one epoch whatever the tier, and placeholders such as
``DIR`` get small files made here. ``tox`` commands are checked against ``tox.ini`` and pytest's own option
parser. A kind of command that is not known here fails.
"""

from __future__ import annotations

import argparse
import configparser
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer
from packaging.requirements import Requirement
from PIL import Image

from bench.claims import ledger
from bench.claims import survey as survey_module
from bench.cli import options as options_module
from bench.runs import recording, tiers, training_run
from reference.data import OFFICIAL_PALETTE, READERS, synthetic
from reference.data.description import read_name, read_palette
from reference.data.landcover import read_mask
from reference.recipes.recipe import Recipe

ROOT = Path(__file__).parents[2]
COUNTS = {"classification50": (40, 20), "miniimagenet": (40, 0), "officehome": (40, 20), "landcover": (4, 2)}
TABLES = {
    "paper.md": "| net | road | wall | sky | Avg |\n|---|---|---|---|---|\n| a | 1.0 | 2.0 | 3.0 | 2.0 |\n",
    "table.csv": "net,top1\na,70.12\n",
    "results.csv": "recipe,seed,metric,value,n\nmine-a,0,top1,0.7012,500\n",
    "mine.toml": (
        '[report]\nid = "mine"\ntitle = "Mine"\n[[claim]]\nid = "mine-a"\nkind = "number"\nline = 1\n'
        'text = "It reaches 0.70."\nrecipe = "mine-a"\nmetric = "top1"\nvalue = "0.70"\nunit = "fraction"\n'
        'data = "mnist1d"\nsplit = "val"\nn = 500\nn_from = "printed"\n'
    ),
}
LANGUAGES = {"bash", "markdown", "text", "json", "toml", "python", "ini", "yaml"}


def tiny(recipe: Recipe, width: int) -> Recipe:
    """One epoch of a narrow network on small images, whatever tier was asked for."""
    short = tiers.shortened(tiers.smoke(recipe), 1)
    size = 64 if recipe.data == "landcover" else 32
    if recipe.model not in tiers.SMOKE_NETWORKS:  # those fit few sizes, and no page trains them
        short = replace(short, width=width, image_size=size)
    return replace(short, embed_epochs=(), mask_epochs=())


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Everything that costs time is small; what the commands do with it stays as it is."""
    for width, tier in enumerate(tiers.TIERS, start=2):  # not the same run at two tiers
        patch.setitem(tiers.TIERS, tier, partial(tiny, width=width))
    for role, counts in COUNTS.items():
        patch.setitem(synthetic.COUNTS, role, counts)
    patch.setattr(training_run, "draw", lambda *words: [])
    patch.setattr(recording, "flops_per_sample", lambda recipe: (1.0, 3.0))
    patch.setattr(survey_module, "ADDED_SURVEYS", [])
    patch.setattr(ledger, "ADDED", [])
    for name in ("BENCH_CLAIMS", "BENCH_OTHERS", "BENCH_CACHE"):
        patch.delenv(name, raising=False)


# Files for placeholders ---------------------------------------------------------------------------------


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")


def write_mask(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = np.random.default_rng(seed).permutation(np.arange(1024) % 7).reshape(32, 32)
    Image.fromarray(OFFICIAL_PALETTE.encode(classes.astype(np.uint8))).save(path)


def write_data(folder: Path) -> None:
    """The official layout with a few images a role."""
    for split, count in (("train_50", 4), ("val_50", 2)):
        for label in range(3):
            for i in range(count):
                write_image(folder / "p1_data" / split / f"{label}_{i}.png", 100 * label + 10 * count + i)
    for split, count in (("train", 4), ("validation", 2)):
        for i in range(count):
            write_image(folder / "p2_data" / split / f"{i:04d}_sat.jpg", i + 10 * count)
            write_mask(folder / "p2_data" / split / f"{i:04d}_mask.png", i + 10 * count)


def write_labels(folder: Path) -> None:
    """Class numbers in place of the colours of all masks."""
    for path in folder.rglob("*_mask.png"):
        Image.fromarray(read_mask(path, OFFICIAL_PALETTE)).save(path)


def fill(words: list[str], folder: Path) -> list[str]:
    """The words of a ``bench`` command with files in place of its placeholders."""
    if "--pred" in words:
        for side in ("pred", "truth"):
            for i in range(2):
                write_mask(folder / side / f"{i:04d}_mask.png", i)
            words[words.index(f"--{side}") + 1] = str(folder / side)
    elif "DIR" in words:
        write_data(folder / "data")
        if "--mask-values" in words:
            write_labels(folder / "data")
        words = [str(folder / "data") if word == "DIR" else word for word in words]
    if "--others" in words:
        survey = (ROOT / "bench" / "claims" / "others.csv").read_text(encoding="utf-8")
        own = re.sub(r"^o0", "mine-", survey, flags=re.MULTILINE)[:700].rpartition("\n")[0]
        (folder / "mine.csv").write_text(own)
        words[words.index("--others") + 1] = str(folder / "mine.csv")
    timed = next((ROOT / "results" / "throughput").glob("*.json"))
    words = [str(timed) if word in ("A", "B") else word for word in words]
    for word in words:
        if word in TABLES:
            (folder / word).write_text(TABLES[word], encoding="utf-8")
    if words[0] == "run" and words[1].startswith("mnist1d"):
        words += ["--jobs", "1"]  # in this process, where everything is small
    if "publish" in words:
        words.append("--dirty")  # the code under test may be uncommitted
    assert not [word for word in words if word.isupper()], f"a placeholder that is not known: {words}"
    return words


@pytest.fixture(scope="module")
def records_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of one recipe at smoke and at full tier, with the tables of them."""
    folder = tmp_path_factory.mktemp("recorded") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        for tier in ("smoke", "full"):
            bench(["run", "r4-classify", "--tier", tier, "--init", "scratch", "--out", str(folder)])
        bench(["report", "--out", str(folder)])
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records_folder: Path) -> Iterator[Path]:
    """A folder to work in, with records in each of the three places where commands look for them."""
    terminated = signal.getsignal(signal.SIGTERM)
    make_small(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for place in ("runs", "results", "runs/fullrun"):
        shutil.copytree(records_folder, tmp_path / place, ignore=shutil.ignore_patterns("work"))
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    yield tmp_path
    signal.signal(signal.SIGTERM, terminated)  # bench run makes it end a run as Ctrl-C does


def bench(words: list[str]) -> None:
    """Run the real command line in this process."""
    code = options_module.app(words, standalone_mode=False)
    assert not code, f"bench {shlex.join(words)}: exit code {code}"


# Kinds of commands ---------------------------------------------------------------------------------------


def check_bench(words: list[str], folder: Path) -> None:
    # a bench command that fails raises InputError or exits with a code, and either fails the test
    bench(fill(words, folder))


def check_tox(words: list[str], config: pytest.Config) -> None:
    """The environment is in tox.ini, and pytest takes what it would be given."""
    ours, _, given = " ".join(words).partition("--")
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-e", dest="name", default="testenv")
    name = parser.parse_args(ours.split()).name
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    section = settings["testenv" if name in ("testenv", "suites") else f"testenv:{name}"]
    commands = section.get("commands", settings["testenv"]["commands"]).strip().splitlines()
    assert commands
    taking = [command for command in commands if "{posargs}" in command]
    assert taking or not given, f"tox -e {name} hands nothing on"
    for command in taking:
        program, *options = shlex.split(command.replace("{posargs}", given))
        assert program == "pytest"
        config._parser.parse(options)


def check_venv(words: list[str], folder: Path) -> None:
    assert words[:1] == ["venv"]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", *words[1:]], check=True, cwd=folder)


def check_pip(words: list[str]) -> None:
    """Requirements that are ones, of this project's own extras and tox's own plugins."""
    assert words[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words[1:]:
        if word in ("-q", "-e"):
            continue
        if word.startswith("."):
            named = re.fullmatch(r"\.(?:\[([\w,]+)\])?", word)
            assert named
            assert set(filter(None, (named[1] or "").split(","))) <= set(extras["optional-dependencies"])
        else:
            assert Requirement(word).name in {"tox-uv", "tensorboard"}


def check_tensorboard(words: list[str]) -> None:
    from tensorboard import program

    board = program.TensorBoard()
    board.configure(argv=["tensorboard", *words])
    assert board.flags.logdir == "runs/tensorboard", "where bench run --tensorboard writes"


def check_torchrun(words: list[str], folder: Path) -> None:
    """torchrun takes its words; the module's are run on one process."""
    from torch.distributed.run import get_args_parser

    given = get_args_parser().parse_args(words)
    assert given.module
    assert given.training_script == "bench"
    assert int(given.nproc_per_node) > 1
    check_bench(given.training_script_args, folder)


def check_ray(words: list[str]) -> None:
    """Ray's own command line takes the words."""
    from ray.scripts.scripts import cli as ray

    ray.commands[words[0]].make_context(words[0], words[1:])


def check_export(words: list[str]) -> None:
    """Variables that the suites' own cluster is started with."""
    used = (ROOT / "suites" / "ray_nodes.py").read_text(encoding="utf-8")
    for word in words:
        assert f'"{word.partition("=")[0]}"' in used


def check_cluster(words: list[str]) -> None:
    """``bench`` takes the words; ``suites/cluster`` is where such a command runs."""
    from typer.main import get_command

    given = get_command(options_module.app).commands[words[0]].make_context(words[0], words[1:])  # type: ignore[attr-defined]
    assert given.params["address"]


def check_prepare(words: list[str]) -> None:
    """``bench data prepare`` takes the words; ``suites/data/test_five_lines.py`` is where such lines run."""
    from typer.main import get_command

    data = get_command(options_module.app).commands["data"]  # type: ignore[attr-defined]
    given = data.commands["prepare"].make_context("prepare", words)
    assert given.params["role"] in READERS


def check_module(name: str, words: list[str]) -> None:
    """A module of ours that is started by its name: its own reader of options takes the words."""
    module = import_module(name)
    if words:
        module.options_of(words)
    assert 'if __name__ == "__main__":' in Path(str(module.__file__)).read_text(encoding="utf-8")


def check(command: str, folder: Callable[[], Path], config: pytest.Config) -> None:
    """Run or check each part of a command, by its kind."""
    for part in command.split(" && "):
        first, *words = shlex.split(part)
        match first.rpartition("/")[2]:
            case "bench" if "--cluster" in words:
                check_cluster(words)
            case "bench" if words[:2] == ["data", "prepare"]:
                check_prepare(words[2:])
            case "bench":
                check_bench(words, folder())
            case "torchrun":
                check_torchrun(words, folder())
            case "ray":
                check_ray(words)
            case "export":
                check_export(words)
            case "tox":
                check_tox(words, config)
            case "pytest":
                config._parser.parse(words)
                assert all(Path(ROOT, word).exists() for word in words if word.startswith("suites"))
            case "pip":
                check_pip(words)
            case "tensorboard":
                check_tensorboard(words)
            case "python3" if words[0] == "-m":
                check_venv(words[1:], folder())
            case "python" if words[0] == "-m":
                check_module(words[1], words[2:])
            case other:
                raise AssertionError(f"{command!r}: nothing here knows what to do with {other!r}")


def test_command(command: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    needs_records = command.startswith(("bench", "torchrun"))
    check(
        command,
        lambda: request.getfixturevalue("folder") if needs_records else tmp_path,
        request.config,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "make all",
        "tox -e nowhere",
        "tox -e fullrun -- --gpu-huors 8",
        "tox -e lint -- --data DIR",
        "python3 -m venv .venv && .venv/bin/pip install -q tox-uv && rm -rf /",
        "pip install -e .[tensorbord]",
        "tensorboard --logdir elsewhere",
        "torchrun --nproc-per-node 2 bench run r4-seg-b",
        "export RAY_AUTH_TOKENS=1",
        "bench run r4-seg-b --cluster",
    ],
)
def test_a_command_that_is_wrong_fails(wrong: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, KeyError, pytest.UsageError, typer.TyperException)):
        check(wrong, lambda: tmp_path, request.config)


@pytest.mark.parametrize("words", ["run r4-seg-z", "score --pred DIR", "run r4-seg-b --data DIR --seeds x"])
def test_a_bench_command_that_is_wrong_fails(words: str, folder: Path) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        check_bench(words.split(), folder)
    assert type(caught.value).__name__ in ("InputError", "BadParameter", "MissingParameter", "ValueError")


# Everything else that a page says ------------------------------------------------------------------------


def test_every_block_has_a_language(page: Path, blocks_of: Callable[[str], list[object]]) -> None:
    for block in blocks_of(str(page.relative_to(ROOT))):
        assert block.language in LANGUAGES, f"{block.place}: a block that nothing checks"  # type: ignore[attr-defined]


def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_named_environments_are_there(page: Path) -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    named = set(re.findall(r"tox -e ([\w-]+)", page.read_text(encoding="utf-8")))
    assert {f"testenv:{name}" for name in named} <= set(settings.sections())


def test_the_readme_names_every_command() -> None:
    from typer.main import get_command

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in get_command(options_module.app).commands:
        assert f"bench {name}" in text, name


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in text


def ini_sections(text: str) -> Iterator[tuple[str, configparser.SectionProxy]]:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    for name in unit.sections():
        yield name, unit[name]


def test_the_units_start_what_tox_has(
    blocks_of: Callable[[str], list[object]], request: pytest.FixtureRequest
) -> None:
    blocks = blocks_of("docs/nightly.md")
    units = [dict(ini_sections(block.text)) for block in blocks if block.language == "ini"]  # type: ignore[attr-defined]
    assert [set(unit) for unit in units] == [{"Unit", "Service"}, {"Unit", "Timer", "Install"}]
    check(units[0]["Service"]["ExecStart"], lambda: ROOT, request.config)
    (cron,) = [block.text for block in blocks if block.language == "text"]  # type: ignore[attr-defined]
    schedule, line = re.fullmatch(r"(\S+ \S+ \S \S \S)  (.*)\n", cron).groups()  # type: ignore[union-attr]
    assert len(schedule.split()) == 5
    into, pull, last = line.removesuffix(" >> night.log 2>&1").split(" && ")
    assert (into, pull) == ("cd /srv/bench", "git pull -q --ff-only")
    check(last, lambda: ROOT, request.config)


def test_descriptions_of_data_are_read(blocks_of: Callable[[str], list[object]], tmp_path: Path) -> None:
    named, coloured = (b.text for b in blocks_of("docs/data.md") if b.language == "toml")  # type: ignore[attr-defined]
    (tmp_path / "dataset.toml").write_text(named, encoding="utf-8")
    assert read_name(tmp_path / "dataset.toml") == "my objects"
    (tmp_path / "dataset.toml").write_text(coloured, encoding="utf-8")
    name, palette = read_palette(tmp_path / "dataset.toml")
    assert (name, palette.classes) == ("my fields", ("field", "forest", "water"))


def test_the_data_page_has_the_official_counts_and_colours() -> None:
    from reference.data import OFFICIAL_COUNTS

    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for role, counts in OFFICIAL_COUNTS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {role} |")]
        cells = [cell.strip().partition(" ")[0].replace(",", "") for cell in row.split("|")[2:5]]
        classes = counts.get("classes", len(OFFICIAL_PALETTE.classes) + 1)
        assert cells == [str(classes), str(counts["train"]), str(counts["val"])]
    names = [*OFFICIAL_PALETTE.classes, "unknown"]
    for index, (name, colour) in enumerate(zip(names, OFFICIAL_PALETTE.table.tolist(), strict=True)):
        assert f"| {index} {name} | {', '.join(map(str, colour))} |" in text
