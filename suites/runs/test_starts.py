"""Runs that start from other runs' weights, or from a user's file: planned, reused, refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.cli import run_command
from bench.cli.verdict_lines import VerdictLines
from bench.grading import groups
from bench.runs import execute, recording, records, run_plan, starts, tiers
from bench.runs.run_kinds import RUN_KINDS, TRAINING
from bench.runs.run_plan import NotRun, Run
from reference import models
from reference.data import synthetic
from reference.errors import InputError
from reference.models.resnet import Bottleneck, ResNet
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training import checkpoint
from reference.training.numerics import Numerics
from reference.training.randomness import key

Plan = Callable[..., tuple[list[Run], list[NotRun]]]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch of a few images: what is tested is who starts from whom."""
    for role in ("miniimagenet", "officehome"):
        monkeypatch.setitem(tiers.SMOKE, role, tiers.SMOKE[role] | {"epochs": 1, "image_size": 32})
    monkeypatch.setattr(tiers, "SMOKE_WIDTH", 2)
    monkeypatch.setitem(synthetic.COUNTS, "miniimagenet", (40, 0))
    monkeypatch.setitem(synthetic.COUNTS, "officehome", (20, 10))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    def planned(*slugs: str, **options: object) -> tuple[list[Run], list[NotRun]]:
        settings: dict[str, object] = {
            "tier": "smoke",
            "data": None,
            "seeds": 1,
            "init": None,
            "weights": None,
            "numerics": Numerics(),
            "cache": tmp_path / "cache",
        }
        return run_plan.plan([RECIPES[slug] for slug in slugs], **(settings | options))

    return planned


def slugs(runs: list[Run]) -> list[str]:
    return [run.printed.slug for run in runs]


def test_a_fine_tuning_runs_its_pre_training_first_and_reuses_it(plan: Plan, tmp_path: Path) -> None:
    runs, absent = plan("r3-finetune-c")
    assert absent == []
    assert slugs(runs) == ["r3-finetune-c"]
    todo = execute.missing(runs, tmp_path)
    assert slugs(todo) == ["r3-byol", "r3-finetune-c"]
    byol, tuned = (execute.execute(run, tmp_path) for run in todo)
    assert byol.status == tuned.status == "ok", (byol.reason, tuned.reason)
    assert tuned.initial_weights["from"] == "run:r3-byol"
    assert tuned.initial_weights["run_id"] == byol.run_id
    assert byol.initial_weights["start"] == byol.initial_weights["start_recipe"] == ""
    manifest, numerics = byol.data["manifest"], byol.numerics
    assert tuned.initial_weights["start"] == starts.hash_of_run(byol.recipe, manifest, numerics, "")
    assert tuned.initial_weights["start_recipe"] == starts.present_recipe_hash("run:r3-byol", "smoke")
    assert groups.is_of_present_recipe(records.read_record(records.path_of(tmp_path, tuned)))

    assert execute.missing(runs, tmp_path) == []
    both, _ = plan("r3-finetune-c", "r3-finetune-e")
    assert slugs(execute.missing(both, tmp_path)) == ["r3-finetune-e"]
    assert slugs(execute.missing(both, tmp_path, again=True)) == ["r3-finetune-c", "r3-finetune-e"]
    todo[0].weights(tmp_path).unlink()
    assert slugs(execute.missing(both, tmp_path)) == ["r3-byol", "r3-finetune-e"]


def test_the_weights_that_it_starts_from_are_the_online_encoders(plan: Plan, tmp_path: Path) -> None:
    runs, _ = plan("r3-finetune-c")
    pre_training, tuning = execute.missing(runs, tmp_path)
    execute.execute(pre_training, tmp_path)
    record = execute.execute(tuning, tmp_path)
    state = load_file(pre_training.weights(tmp_path))
    recipe = tuning.recipe
    with torch.random.fork_rng():
        torch.manual_seed(key(0, "init"))
        model = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )
    online = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
    model.backbone.load_state_dict(online, strict=False)
    assert checkpoint.weights_hash(model.state_dict()) == record.initial_weights["hash"]


def test_runs_of_one_seed_share_their_start(plan: Plan, tmp_path: Path) -> None:
    runs, _ = plan("r3-finetune-c", "r3-finetune-e", "r3-finetune-b", seeds=2)
    todo = execute.missing(runs, tmp_path)
    assert sorted(slugs(todo)) == sorted(
        2 * ["r3-byol", "r3-finetune-c", "r3-finetune-e", "supervised", "r3-finetune-b"]
    )
    for position, run in enumerate(todo):
        if run.start is not None:
            assert run.start in todo[:position]
            assert run.start.seed == run.seed


def test_what_a_run_starts_from_is_part_of_its_identity(plan: Plan, tmp_path: Path) -> None:
    (own,), _ = plan("r3-finetune-b")
    files = []
    for name in ("one", "two"):
        files.append(tmp_path / f"{name}.safetensors")
        torch.manual_seed(len(files))
        encoder = ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=2)
        save_file(encoder.state_dict(), files[-1])
    given = [plan("r3-finetune-b", backbone=file)[0][0] for file in files]
    assert len({own.run_id, *(run.run_id for run in given)}) == 3
    assert slugs(execute.missing(given, tmp_path)) == ["r3-finetune-b", "r3-finetune-b"]
    record = execute.execute(given[0], tmp_path)
    assert record.status == "ok", record.reason
    assert record.initial_weights["from"] == "file one.safetensors"
    assert record.initial_weights["start"] == hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert given[0].start_hash != given[1].start_hash
    # a file takes the supervised backbone's place, nobody else's
    assert plan("r3-finetune-c", backbone=files[0])[0][0].start is not None


def test_the_start_counts_in_the_identity_and_its_seed_does_not_in_its_hash(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fine-tuning itself is the same before and after; only what it starts from has changed."""
    before, other_seed = plan("r3-finetune-c", seeds=2)[0]
    monkeypatch.setitem(RECIPES, "r3-byol", replace(RECIPES["r3-byol"], tau=0.5))
    (after,) = plan("r3-finetune-c")[0]
    assert after.recipe == before.recipe
    assert len({before.run_id, other_seed.run_id, after.run_id}) == 3
    assert before.start_hash == other_seed.start_hash != after.start_hash
    assert after.run_id != replace(after, start=None).run_id != before.run_id


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "'layer1.0.conv1.weight' is missing"),
        (lambda state: state.update({"layer9.weight": torch.zeros(1)}), "'layer9.weight' is unexpected"),
        (lambda state: state.update({"conv1.weight": torch.zeros(3, 3, 7, 7)}), "found (3, 3, 7, 7)"),
    ],
    ids=["missing", "extra", "shape"],
)
def test_a_backbone_that_does_not_fit_is_refused_before_any_training(
    spoil: Callable[[dict[str, torch.Tensor]], object], said: str, plan: Plan, tmp_path: Path
) -> None:
    state = ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=2).state_dict()
    spoil(state)
    file = tmp_path / "backbone.pth"
    torch.save(state, file)
    with pytest.raises(InputError) as caught:
        plan("r3-finetune-b", backbone=file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not weights"], ids=["empty", "text"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_damaged_backbone_is_refused(ending: str, content: bytes, plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / f"backbone{ending}"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"backbone\{ending}: not a"):
        plan("r3-finetune-b", backbone=file)


def test_a_backbone_that_is_not_there_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        plan("r3-finetune-b", backbone=tmp_path / "gone.pth")


def test_what_cannot_start_says_what_is_lacking(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "p1_data/office").mkdir(parents=True)
    runs, absent = plan("r3-finetune-c", data=tmp_path)
    assert runs == []
    assert absent[0].reason == "data"
    assert "starts from r3-byol" in absent[0].cause


def test_a_start_that_broke_starts_nothing(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, _ = plan("r3-finetune-c")
    assert run_command._run_all(
        runs, tmp_path, None, resume=True, tensorboard=False, verdicts=VerdictLines([], tmp_path)
    ) == ["not started"]
    assert "not started: r3-byol left no weights" in capsys.readouterr().err
    assert records.read_all(tmp_path) == []
    with pytest.raises(InputError, match="starts from r3-byol, which left no weights"):
        execute.execute(runs[0], tmp_path)


def test_flops_are_counted_before_training(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting takes seconds, which a run that is being stopped has not."""
    done: list[str] = []

    def interrupted(*words: object, **named: object) -> NoReturn:
        done.append("train")
        raise KeyboardInterrupt

    def counted(recipe: Recipe) -> tuple[float, float]:
        done.append("count")
        return 1.0, 3.0

    monkeypatch.setitem(RUN_KINDS, "classify", replace(TRAINING, work=interrupted))
    monkeypatch.setattr(recording, "flops_per_sample", counted)
    (run,), _ = plan("supervised")
    with pytest.raises(KeyboardInterrupt):
        execute.execute(run, tmp_path)
    assert done[:2] == ["count", "train"]
    assert [record.status for record in records.read_all(tmp_path)] == ["interrupted"]


def test_labels_without_a_validation_split_are_held_out(plan: Plan) -> None:
    (run,), _ = plan("supervised")
    train, val = run.dataset.train, run.dataset.val
    assert len(train) + len(val) == 40
    assert set(val.targets) == set(train.targets)
    assert not {image.tobytes() for image in val.images} & {image.tobytes() for image in train.images}
    assert "held out" in run.dataset.counts_note


def test_a_batch_in_parts_is_a_deviation_that_says_why(plan: Plan) -> None:
    (whole,), _ = plan("r3-byol")
    (same,), _ = plan("r3-byol", micro_batch=whole.recipe.batch_size)
    (parts,), _ = plan("r3-byol", micro_batch=4)
    assert same.run_id == whole.run_id
    assert parts.run_id != whole.run_id
    (said,) = [d for d in parts.deviations if d.field == "micro_batch"]
    assert (said.printed, said.used) == ("0", "4")
    assert "BatchNorm sees each part by itself" in said.why
