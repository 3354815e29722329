"""A report of one's own: begun by ``new-report``, read next to the packaged ones, refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up import put

from bench.claims import added, ledger
from bench.cli import app, run_command
from bench.grading import grader, groups
from bench.plan import hours
from bench.runs import execute, records, run_plan, tiers
from bench.runs.run_plan import Run
from reference import models, outside
from reference.data import synthetic
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training.numerics import Numerics

PACKAGED = dict(RECIPES)
CLAIMS_FILE, RECIPE_FILE = added.STARTER / "claims.toml", added.STARTER / "recipes.py.txt"


pytestmark = pytest.mark.usefixtures("for_this_test_only")


@pytest.fixture
def claims_file(tmp_path: Path) -> Path:
    """The starter, as ``bench new-report mine`` writes it."""
    return added.start("mine", tmp_path)[0]


Change = Callable[[str, str], Path]


@pytest.fixture
def changed(claims_file: Path) -> Change:
    """The starter with one text of its recipe file replaced; its claims file."""

    def change(before: str, after: str) -> Path:
        path = claims_file.with_suffix(".py")
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
        return claims_file

    return change


def known(*files: Path) -> None:
    """Read claims files and run the recipe files that they name, as ``bench run`` does."""
    added.add(files)
    added.run_recipe_files()


def refusal(file: Path) -> str:
    """The one line that refuses a report, none of whose recipes is left behind."""
    with pytest.raises(InputError) as caught:
        known(file)
    assert "\n" not in str(caught.value)
    assert dict(RECIPES) == PACKAGED
    assert not added.SLUGS
    return str(caught.value)


def plan(recipe: Recipe, tmp_path: Path, tier: str = "full", seeds: int = 1) -> list[Run]:
    runs, absent = run_plan.plan(
        [recipe],
        tier=tier,
        data=None,
        seeds=seeds,
        init=None,
        weights=None,
        numerics=Numerics(),
        cache=tmp_path / "cache",
    )
    assert absent == []
    return runs


Here = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def here(claims_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """``bench`` in this process, next to the claims file: what it prints, and the lines of its errors."""

    def command(*words: str) -> tuple[str, list[str]]:
        monkeypatch.chdir(claims_file.parent)
        assert not app([*words], standalone_mode=False)
        printed = capsys.readouterr()
        return printed.out, printed.err.splitlines()

    return command


def bench(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, cwd=cwd
    )


# The starter -------------------------------------------------------------------------------------------


def test_the_starter_is_valid_as_it_lies_there() -> None:
    one = ledger.load_ledger(CLAIMS_FILE)
    assert one.report == added.STARTER_NAME
    assert {claim.kind for claim in one.claims} == {"number", "protocol"}


def test_what_the_starter_shows_as_a_comment_is_valid_too(tmp_path: Path) -> None:
    """Every commented key and claim is one that the reader takes."""
    lines = [line.removeprefix("# ") for line in CLAIMS_FILE.read_text(encoding="utf-8").splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("[report]"))
    told = [line for line in lines[at:] if " = " in line.partition("#")[0] or line.startswith("[")]
    (tmp_path / "all.toml").write_text("\n".join(told), encoding="utf-8")
    one = ledger.load_ledger(tmp_path / "all.toml")
    assert {claim.kind for claim in one.claims} == {"number", "ordering", "process", "protocol"}
    assert (one.year, one.recipes) == (2024, "myreport.py")
    assert one.claims[0].runs == 3


def test_new_report_writes_two_files_of_its_name(tmp_path: Path) -> None:
    done = bench("new-report", "smith-2024", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smith-2024.py", "smith-2024.toml"]
    known(tmp_path / "smith-2024.toml")
    assert set(RECIPES) - set(PACKAGED) == {"smith-2024-small"} == added.SLUGS
    assert not any(added.STARTER_NAME in p.read_text(encoding="utf-8") for p in tmp_path.glob("smith*"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Shapes", "lower-case letters"),
        ("two words", "lower-case letters"),
        ("../up", "lower-case letters"),
        ("2024", "a letter first"),
        ("class", "lower-case letters"),
        ("r4", "is there already"),
        ("random", "a Python module is called that"),
        ("torch", "a Python module is called that"),
        ("", "lower-case letters"),
    ],
)
def test_a_bad_name_gets_one_line_and_writes_nothing(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        added.start(name, tmp_path)
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["mine.toml", "mine.py"])
def test_nothing_is_written_over(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("precious", encoding="utf-8")
    done = bench("new-report", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"bench: {there}: is there already; choose another name, or move the file away\n"
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text(encoding="utf-8") == "precious"


# Reading -----------------------------------------------------------------------------------------------


def test_every_command_knows_the_report(
    claims_file: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = claims_file.parent
    option = ("--claims", "mine.toml")
    rows = json.loads(here("list", "recipes", "--format", "json", *option)[0])
    assert next(row for row in rows if row["recipe"] == "mine-small")["printed"] == "0.49"
    graded = json.loads(here("grade", "mine", "--format", "json", *option)[0])
    assert [row["claim"] for row in graded] == ["mine-small", "mine-small-settings"]
    assert "MINE has" in here("audit", "mine", *option)[0]
    put(folder / "runs", "r4-seg-a", 0.5)  # a record, without which no page is written
    here("report", "--out", "runs", *option)
    assert "`mine-small`" in (folder / "runs/reports/mine.md").read_text(encoding="utf-8")
    planned = json.loads(here("plan", "--format", "json", *option)[0])
    (row,) = [row for row in planned if row["recipe"] == "mine-small"]
    assert (row["images"], row["settles"]) == (12 * 400, ["mine-small"])
    # A new process does not know it, unless the environment names the file.
    assert "mine-small" not in bench("list", cwd=folder).stdout
    monkeypatch.setenv("BENCH_CLAIMS", "mine.toml")
    assert "mine-small" in bench("list", cwd=folder).stdout


def test_listing_stays_light(claims_file: Path) -> None:
    program = (
        "import sys; sys.argv = ['bench', 'list', '--claims', 'mine.toml', '--format', 'json'];"
        "from bench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit(f'imported {heavy}' if (heavy := {'torch', 'numpy'} & set(sys.modules)) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=claims_file.parent
    )
    assert done.returncode == 0, done.stderr
    assert "mine-small" in done.stdout


def test_a_file_named_twice_is_read_once(claims_file: Path) -> None:
    added.add([claims_file, claims_file])
    added.add([claims_file.parent / "." / claims_file.name])
    assert [one.report for one in ledger.load_ledgers([claims_file])][-2:] == ["r5", "mine"]


TOUCH = """
from pathlib import Path

Path(__file__).with_name("was-run").touch()
RECIPES = (SMALL,)
"""
READING = (
    ("list", "claims", "--claims", "mine.toml"),
    ("list", "runs", "--claims", "mine.toml"),
    ("audit", "mine.toml"),
    ("audit", "mine.toml", "--claims", "mine.toml"),
)
NEEDING = (
    ("list", "recipes"),
    ("list", "models"),
    ("grade", "mine"),
    ("report", "--out", "pages"),
    ("plan",),
)
WITH_CLAIMS = ("--claims", "mine.toml")


@pytest.fixture
def telling(changed: Change) -> Path:
    """The starter, whose recipe file leaves a file ``was-run`` next to it when it is run; its claims file."""
    file = changed("RECIPES = (SMALL,)", TOUCH)
    put(file.parent / "pages", "r4-seg-a", 0.5)  # a record, without which no page is written
    return file


def unnamed(file: Path) -> None:
    """Let a claims file name no recipe file; that of its name still lies next to it."""
    text = file.read_text(encoding="utf-8")
    assert '\nrecipes = "mine.py"' in text
    file.write_text(text.replace('\nrecipes = "mine.py"', "\n# no recipes"), encoding="utf-8")


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_runs_no_code(words: tuple[str, ...], telling: Path, here: Here) -> None:
    """Not even where the claims file names its recipe file: these commands need no recipe."""
    printed, errors = here(*words)
    assert errors == []
    assert "mine" in printed or words[:2] == ("list", "runs")
    assert not (telling.parent / "was-run").exists()


@pytest.mark.parametrize("words", NEEDING, ids=" ".join)
def test_a_recipe_file_that_nobody_names_is_not_run(
    words: tuple[str, ...], telling: Path, here: Here
) -> None:
    unnamed(telling)
    _, errors = here(*words, *WITH_CLAIMS)
    assert not (telling.parent / "was-run").exists()
    assert errors[0] == (
        "mine.toml names no recipe file, so mine.py next to it is not run;"
        ' write recipes = "mine.py" under [report], or give --recipes mine.py'
    )


@pytest.mark.parametrize("words", NEEDING[:3], ids=" ".join)
def test_a_command_that_needs_recipes_says_what_it_runs(
    words: tuple[str, ...], telling: Path, here: Here
) -> None:
    _, errors = here(*words, *WITH_CLAIMS)
    assert (telling.parent / "was-run").exists()
    assert errors[0] == "mine.toml: running its recipe file mine.py"


def test_an_option_names_a_recipe_file(telling: Path, tmp_path: Path, here: Here) -> None:
    unnamed(telling)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    telling.with_suffix(".py").rename(elsewhere / "of_mine.py")
    words = ("list", "recipes", *WITH_CLAIMS, "--recipes", "elsewhere/of_mine.py")
    printed, errors = here(*words, "--format", "json")
    assert errors == ["running the recipe file elsewhere/of_mine.py"]
    assert (elsewhere / "was-run").exists()
    assert "mine-small" in [row["recipe"] for row in json.loads(printed)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--recipes", "mine.py"), "--recipes mine.py: of which report? Name its claims file with --claims"),
        ((*WITH_CLAIMS, "--recipes", "gone.py"), "--recipes gone.py: no such file"),
        ((*WITH_CLAIMS, "--recipes", "other.py"), "other.py: its recipes are of report 'r4'; name"),
    ],
)
def test_a_recipe_file_that_cannot_be_had_is_one_line(
    words: tuple[str, ...], said: str, claims_file: Path, here: Here
) -> None:
    text = claims_file.with_suffix(".py").read_text(encoding="utf-8")
    claims_file.with_name("other.py").write_text(text.replace('report="mine"', 'report="r4"'))
    unnamed(claims_file)
    with pytest.raises(InputError) as caught:
        here("list", "recipes", *words)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_recipe_file_is_run_once(telling: Path) -> None:
    lines: list[str] = []
    added.add([telling])
    for more in ((), (telling.with_suffix(".py"),)):
        added.run_recipe_files(more, lines.append)
    assert lines == ["mine.toml: running its recipe file mine.py"]


def test_a_claims_file_may_name_its_recipe_file(claims_file: Path) -> None:
    claims_file.with_suffix(".py").rename(claims_file.with_name("elsewhere_recipes.py"))
    text = claims_file.read_text(encoding="utf-8")
    claims_file.write_text(text.replace('recipes = "mine.py"', 'recipes = "elsewhere_recipes.py"'))
    known(claims_file)
    assert sorted(added.SLUGS) == ["mine-small"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("RECIPES = (SMALL,)", "RECIPES = (SMALL", "mine.py:35: SyntaxError: '(' was never closed; fix"),
        ("RECIPES = (SMALL,)", "RECIPES = (SMAL,)", "mine.py:35: NameError: name 'SMAL'"),
        ("RECIPES = (SMALL,)", "", "no RECIPES; end the file with"),
        ("RECIPES = (SMALL,)", "RECIPES = ()", "expected a tuple of recipes, at least one"),
        ("RECIPES = (SMALL,)", "RECIPES = (SMALL, 'x')", "entry 2 of RECIPES is 'x'; expected a Recipe"),
        ("RECIPES = (SMALL,)", "RECIPES = (SMALL, SMALL)", "mine-small: slug is used by another recipe"),
        ('    loss="cross_entropy",\n', "", "missing 1 required keyword-only argument: 'loss'"),
        ('slug="mine-small"', 'slug="small"', "slug does not start with the report's, 'mine-'"),
        ('slug="mine-small"', 'slug="mine-Small"', "expected lower-case letters"),
        ('slug="mine-small"', "slug=['mine']", "slug is ['mine']; expected text"),
        ('report="mine"', 'report="r4"', "report is 'r4'; mine.toml is of report 'mine'"),
        ('task="classify"', 'task="clasify"', "task is 'clasify'; expected one of 'classify', 'segment'"),
        ('task="classify"', 'task="automask"', "task 'automask' is of one network only"),
        ('data="classification50"', 'data="cifar"', "data 'cifar' is unknown: expected one of"),
        ('model="resnet18"', 'model="resnet81"', "unknown model 'resnet81' (nearest: 'resnet18'"),
        ('model="resnet18"', 'model="net works:build"', "expected 'package.module:callable'"),
        ("image_size=32", "image_size=32.5", "image_size is 32.5; expected a whole number"),
        ("image_size=32", "image_size=4", "image_size is 4; expected at least 8"),
        ("num_classes=4", "num_classes=True", "num_classes is True; expected a whole number"),
        ("epochs=12", "epochs=0", "found epochs 0"),
        ('optimizer="sgd"', 'optimizer="sdg"', "optimizer 'sdg' is unknown: expected one of sgd, adam"),
        ('schedule="cosine"', 'schedule="cos"', "schedule 'cos' is unknown: expected"),
        ("lr=0.02", 'lr="0.02"', "lr is '0.02'; expected a number"),
        ('augment=("horizontal_flip",)', 'augment="horizontal_flip"', "expected a tuple (text, …)"),
        ("assumptions=()", 'assumptions=("lr",)', "expected a tuple (Assumption(…), …)"),
        ('init="scratch"', 'init="run:mine-smal"', "init names 'mine-smal', which is no recipe"),
        ('init="scratch"', 'init="run:mine-small"', "goes round: mine-small from mine-small"),
        ('selection="final"', 'selection="last"', "expected one of 'best', 'final'"),
    ],
)  # fmt: skip
def test_a_fault_in_a_recipe_file_gets_one_line(before: str, after: str, said: str, changed: Change) -> None:
    line = refusal(changed(before, after))
    assert line.startswith("mine.py")
    assert said in line


def test_a_slug_of_the_packaged_recipes_is_taken(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "mine-small", RECIPES["r4-classify"])
    with pytest.raises(InputError, match="mine-small: slug is used by another recipe"):
        known(changed("RECIPES =", "RECIPES ="))
    del RECIPES["mine-small"]


def test_a_report_of_a_packaged_ones_name_is_refused(claims_file: Path) -> None:
    text = claims_file.read_text(encoding="utf-8")
    claims_file.write_text(text.replace('"mine-', '"r4-x-').replace('id = "mine"', 'id = "r4"'))
    assert "id 'r4' is that of r4.toml too; rename it" in refusal(claims_file)


def test_a_recipe_file_that_is_not_there(claims_file: Path) -> None:
    text = claims_file.read_text(encoding="utf-8")
    claims_file.write_text(text.replace('recipes = "mine.py"', 'recipes = "gone.py"'))
    assert "recipes is 'gone.py'; there is no such file" in refusal(claims_file)


def test_a_recipe_file_may_not_hide_a_module(claims_file: Path) -> None:
    claims_file.with_suffix(".py").rename(claims_file.with_name("json.py"))
    text = claims_file.read_text(encoding="utf-8")
    claims_file.write_text(text.replace('recipes = "mine.py"', 'recipes = "json.py"'))
    assert "a Python module is called 'json' already" in refusal(claims_file)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('loss="cross_entropy"', 'loss="cross_entrpy"', "unknown loss 'cross_entrpy' (nearest"),
        ('augment=("horizontal_flip",)', 'augment=("flip",)', "unknown augment 'flip'"),
        ('init="scratch"', 'init="imagenet"', "unknown init 'imagenet'"),
        ('init="scratch"', 'init="resnet50"', "cannot start from 'resnet50'"),
        ('model="resnet18"', 'model="fcn32s"', "makes (2, 4, 32, 32) of 2 images; expected (2, 4)"),
        ('model="resnet18"', 'model="byol_resnet50"', "'byol_resnet50' is a BYOL network"),
        ('model="resnet18"', 'model="resnet18", model_args=(("depth", 3),)', "no argument 'depth'"),
        ('loss="cross_entropy"', 'loss="focal", loss_args=(("gama", 2),)', "takes no 'gama'"),
        ('model="resnet18"', 'model="nowhere.net:build"', "cannot import 'nowhere.net': ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_what_cannot_train_is_refused(before: str, after: str, said: str, changed: Change) -> None:
    known(changed(before, after))
    with pytest.raises(InputError) as caught:
        run_command._check_runnable([RECIPES["mine-small"]], "smoke")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_refused_before_any_training(changed: Change) -> None:
    file = changed('model="resnet18"', 'model="nowhere.net:build"')
    done = bench("run", "mine-small", "--claims", file.name, cwd=file.parent)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr == (
        "mine.toml: running its recipe file mine.py\n"
        "bench: model 'nowhere.net:build': cannot import 'nowhere.net': ModuleNotFoundError:"
        " No module named 'nowhere'\n"
    )
    assert not (file.parent / "runs").exists()


# Grading -----------------------------------------------------------------------------------------------


@pytest.fixture
def one_epoch(changed: Change) -> Recipe:
    """The starter's recipe as a claims file that was read has it, with one epoch."""
    known(changed("epochs=12", "epochs=1"))
    return RECIPES["mine-small"]


def test_a_run_at_full_tier_on_drawn_data_counts_for_a_claim_on_it(one_epoch: Recipe, tmp_path: Path) -> None:
    (run,) = plan(one_epoch, tmp_path)
    assert run.deviations == ()
    assert len(run.dataset.classes) == one_epoch.num_classes == 4
    record = execute.execute(run, tmp_path)
    assert (record.status, record.claims) == ("ok", ("mine-small", "mine-small-settings"))
    guessing = record.metrics["final"]["metrics"]["top1"]  # after one epoch it knows nothing
    learned = {**guessing, "numerator": 50, "value": 50 / guessing["denominator"]}
    metrics = {e: {**entry, "metrics": {"top1": learned}} for e, entry in record.metrics.items()}
    for told, counts in ((record, False), (replace(record, metrics=metrics), True)):
        (row,) = grader.grade_all(ledger.load_ledgers(), [told], alignment_green=False, only={"mine-small"})
        assert (row.grade != "not tested") == counts, row.sentence
        assert [r.run_id for r in row.runs] == ([record.run_id] if counts else [])
        assert counts or "did not learn" in row.sentence


def test_no_suite_vouches_for_a_network_from_elsewhere() -> None:
    recipe = PACKAGED["r4-classify"]
    assert grader._of_outside(recipe) == ""
    assert grader._of_outside(replace(recipe, model="a.b:c")).endswith("vouches for its network, a.b:c")


def test_the_same_run_counts_for_no_claim_on_official_data(one_epoch: Recipe, tmp_path: Path) -> None:
    record = execute.execute(plan(one_epoch, tmp_path)[0], tmp_path)
    ledgers = [
        replace(one, claims=tuple(replace(claim, source="official") for claim in one.claims))
        for one in ledger.load_ledgers()
    ]
    (row,) = grader.grade_all(ledgers, [record], alignment_green=False, only={"mine-small"})
    assert row.label == "not tested: data"


def test_packaged_recipes_draw_what_they_drew_before() -> None:
    """As many classes as the official data have, so that no run of theirs is another one now."""
    drawn = {r.slug: synthetic.CLASSES[r.data] for r in PACKAGED.values() if r.data in synthetic.CLASSES}
    assert {slug: PACKAGED[slug].num_classes for slug in drawn} == drawn


def test_plans_count_drawn_images_only_for_claims_on_them(one_epoch: Recipe) -> None:
    claims = [claim for one in ledger.load_ledgers() for claim in one.claims]
    two = {slug: RECIPES[slug] for slug in ("mine-small", "r4-classify")}
    jobs = {job.recipe.slug: job for job in hours.plan(two, claims, hours.Basis.of(None, "float32", ()))}
    assert jobs["mine-small"].images == 400
    assert jobs["r4-classify"].images == 30 * 22_500


# Networks from elsewhere --------------------------------------------------------------------------------

NETWORK = """
import torch
from torch import nn

def build(*, num_classes, hidden=4):
    return nn.Sequential(nn.Conv2d(3, hidden, 3, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(hidden, num_classes))

def wide(*, num_classes, width):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, width),
                         nn.Linear(width, num_classes))

def anything(**given):
    return build(**given)

def broken(*, num_classes):
    raise RuntimeError("no weights\\nhere")

def text(*, num_classes):
    return "network"

class Net(nn.Module):
    @classmethod
    def make(cls, num_classes):
        return build(num_classes=num_classes)

number = 3
"""


@pytest.fixture
def network_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "my_networks.py"
    path.write_text(NETWORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def test_a_network_is_built_from_its_import_path(network_file: Path) -> None:
    built = models.build("my_networks:build", num_classes=5, width=64, hidden=6)
    assert built(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert built[0].out_channels == 6
    assert models.build("my_networks:wide", num_classes=5, width=7)[2].out_features == 7
    assert models.build("my_networks:anything", num_classes=5, width=64, hidden=2)[0].out_channels == 2
    assert models.build("my_networks:Net.make", num_classes=5)(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


def test_a_network_that_somebody_else_wrote_can_be_named() -> None:
    built = models.build("torchvision.models:resnet18", num_classes=4, width=8)
    assert built(torch.zeros(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("model", "args", "said"),
    [
        ("my_networks:gone", {}, "'my_networks' has no 'gone'"),
        ("my_networks:number", {}, "is int, expected something to call"),
        ("my_networks:build", {"depth": 3}, "no argument 'depth'; it takes num_classes, hidden"),
        ("my_networks:broken", {}, "cannot be built: RuntimeError: no weights here"),
        ("my_networks:text", {}, "returned str, expected a torch.nn.Module"),
        ("my_networks.deeper:build", {}, "cannot import 'my_networks.deeper'"),
        ("nowhere:build", {}, "cannot import 'nowhere'"),
        ("my_networks:", {}, "no import path"),
        (":build", {}, "no import path"),
    ],
)
def test_a_network_that_cannot_be_had_gets_one_line(
    model: str, args: dict[str, int], said: str, network_file: Path
) -> None:
    with pytest.raises(InputError) as caught:
        models.build(model, num_classes=4, **args)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def plugged(changed: Change, network_file: Path) -> Recipe:
    changed("epochs=12", "epochs=1")
    known(changed('model="resnet18"', 'model="my_networks:build"'))
    return RECIPES["mine-small"]


def test_a_plugged_in_network_trains_and_counts(plugged: Recipe, tmp_path: Path) -> None:
    added.check_runnable(plugged)
    record = execute.execute(plan(plugged, tmp_path)[0], tmp_path)
    assert (record.status, record.reason, record.deviations) == ("ok", "", [])
    assert record.throughput["forward_flops_per_sample"] > 0
    assert record.recipe["model"] == "my_networks:build"
    assert record.recipe["model_source"] == outside.source_hash("my_networks:build")
    assert groups.is_of_present_recipe(record)
    assert records.read_record(records.path_of(tmp_path, record)) == record


def test_a_change_of_the_network_makes_a_new_run(plugged: Recipe, network_file: Path, tmp_path: Path) -> None:
    record = execute.execute(plan(plugged, tmp_path)[0], tmp_path)
    assert plan(plugged, tmp_path)[0].run_id == record.run_id
    network_file.write_text(NETWORK.replace("stride=4", "stride=2"), encoding="utf-8")
    outside.source_hash.cache_clear()
    assert plan(plugged, tmp_path)[0].run_id != record.run_id
    assert not groups.is_of_present_recipe(record), "its figure is of another network"


def test_the_hash_is_over_all_files_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "networks.py").write_text("from .layers import *")
    (package / "layers.py").write_text("one = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = outside.source_hash("my_package.networks:build")
    outside.source_hash.cache_clear()
    (package / "layers.py").write_text("one = 2")
    assert outside.source_hash("my_package.networks:build") != before
    with pytest.raises(InputError, match="no module 'nowhere'; install it"):
        outside.source_hash("nowhere:build")


def test_a_plugged_in_network_keeps_its_width_at_smoke_tier(plugged: Recipe) -> None:
    scaled, deviations = tiers.apply(replace(plugged, width=64), "smoke")
    assert scaled.width == 64
    assert "width" not in {deviation.field for deviation in deviations}


def test_its_cost_can_be_planned_and_it_is_listed(plugged: Recipe) -> None:
    price = hours.price(plugged, hours.Basis.of(None, "float32", ()))
    assert price.rate is not None
    from bench.cli import list_rows

    (row,) = [row for row in list_rows.models() if row["model"] == "my_networks:build"]
    assert row["recipes"] == ["mine-small"]
