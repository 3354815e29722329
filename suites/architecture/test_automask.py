"""SAM: the authors' networks, weights checked and refused, real masks of a small network, and its run.

No weights are downloaded: files are made here under their real names, with the table's MD5 set to theirs.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils.amg import mask_to_rle_pytorch, rle_to_mask
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.claims.ledger import load_ledgers
from bench.grading import grader
from bench.pages.publish import publish
from bench.runs import execute, records, run_plan
from bench.runs.records import Record
from reference.errors import InputError, WeightsMissingError
from reference.models.automask import (
    BUILDERS,
    CHECKPOINTS,
    check_installed,
    decoded,
    find_checkpoint,
    flops_per_image,
    load_sam,
    masks_of,
)
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training.automask import measured
from reference.training.numerics import Numerics

# Random weights predict an IoU about 0 and unstable, sprawling masks: these thresholds let some of them pass.
LENIENT = {
    "points_per_side": 6,
    "pred_iou_thresh": -1.0,
    "stability_score_thresh": 1e-3,
    "box_nms_thresh": 1.0,
}


def small_sam(side: int = 128, width: int = 32) -> Sam:
    """The authors' modules, two blocks deep and 32 wide, random weights."""
    grid = side // 16
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Sam(
            image_encoder=ImageEncoderViT(
                depth=2,
                embed_dim=width,
                img_size=side,
                mlp_ratio=2,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                num_heads=2,
                patch_size=16,
                qkv_bias=True,
                use_rel_pos=True,
                global_attn_indexes=(1,),
                window_size=4,
                out_chans=width,
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=width,
                image_embedding_size=(grid, grid),
                input_image_size=(side, side),
                mask_in_chans=4,
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=64, num_heads=2),
                transformer_dim=width,
                iou_head_depth=2,
                iou_head_hidden_dim=width,
            ),
        )
        with torch.no_grad():  # logits of ±1 and more, on which the score of stability looks
            for parameter in model.mask_decoder.output_hypernetworks_mlps.parameters():
                parameter *= 2.5
    return model.eval()


@pytest.fixture(scope="module")
def sam() -> Sam:
    return small_sam()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Wider than high, so that rows taken for columns show."""
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


@pytest.fixture
def provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts an object under ViT-H's file name, with the table's MD5 set to the file's; answers the folder."""
    monkeypatch.setitem(BUILDERS, "sam_vit_h", small_sam)

    def put(content: object, save: Callable[[object, Path], None] = torch.save) -> Path:
        path = tmp_path / "weights" / CHECKPOINTS["sam_vit_h"][0]
        path.parent.mkdir(exist_ok=True)
        save(content, path)
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setitem(CHECKPOINTS, "sam_vit_h", (path.name, digest))
        return path.parent

    return put


def refusal(folder: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        load_sam("sam_vit_h", folder)
    assert not isinstance(caught.value, WeightsMissingError)
    assert "\n" not in str(caught.value)
    assert CHECKPOINTS["sam_vit_h"][0] in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("sam_vit_h", 641_090_608), ("sam_vit_l", 312_342_832), ("sam_vit_b", 93_735_472)],
)
def test_the_three_networks_are_the_authors(name: str, parameters: int) -> None:
    with torch.device("meta"):
        ours, theirs = BUILDERS[name](), sam_model_registry[name.removeprefix("sam_")]()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    assert sum(p.numel() for p in ours.parameters()) == parameters
    assert f"{parameters / 1e6:.0f} million" in (BUILDERS[name].__doc__ or "")


def test_the_registries_are_complete() -> None:
    assert list(BUILDERS) == list(CHECKPOINTS) == ["sam_vit_h", "sam_vit_l", "sam_vit_b"]
    for name, (file, md5) in CHECKPOINTS.items():
        assert len(md5) == 32
        assert file == f"{name}_{md5[:6]}.pth"


def test_flops_are_those_of_a_real_run(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "sam_vit_b", small_sam)
    model = small_sam().requires_grad_(False)  # the counter watches gradients, which the package turns off
    with FlopCounterMode(display=False) as counter:
        masks_of(model, picture, **LENIENT)
    # the positions of points and grid are products too, which the estimate leaves out
    assert flops_per_image("sam_vit_b", points=36) == pytest.approx(counter.get_total_flops(), rel=0.01)


# ---------------------------------------------------------------- weights


def test_a_file_gives_its_weights(provide: Callable[..., Path]) -> None:
    state = {key: torch.full_like(tensor, 0.5) for key, tensor in small_sam().state_dict().items()}
    model = load_sam("sam_vit_h", provide(state))
    assert not model.training
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


def test_a_missing_file_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsMissingError) as caught:
        find_checkpoint("sam_vit_l", tmp_path)
    said = str(caught.value)
    assert "\n" not in said
    assert f"curl -L --create-dirs -o '{tmp_path / 'sam_vit_l_0b3195.pth'}'" in said
    assert "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth" in said
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsMissingError, match="checkpoints"):
        find_checkpoint("sam_vit_l")


def test_another_name_lists_the_three(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sam_vit_h, sam_vit_l, sam_vit_b"):
        find_checkpoint("sam_vit_g", tmp_path)


def test_another_md5_is_refused(provide: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = provide(small_sam().state_dict())
    published = "4b8939a88964f0f4ff5f5b2642c598a6"
    monkeypatch.setitem(CHECKPOINTS, "sam_vit_h", (CHECKPOINTS["sam_vit_h"][0], published))
    said = refusal(folder)
    assert published in said
    assert "download it again" in said


def without(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key != "mask_decoder.iou_token.weight"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without, "nothing in it for the network's 'mask_decoder.iou_token.weight'"),
        (lambda state: state | {"extra": torch.zeros(1)}, "key 'extra' is unexpected"),
        (
            lambda state: state | {"mask_decoder.iou_token.weight": torch.zeros(1, 3)},
            "found (1, 3), expected (1, 32)",
        ),
        (lambda state: {"model": state}, "other than a state dict"),
    ],
    ids=["missing", "unexpected", "shape", "nested"],
)
def test_other_keys_are_refused(
    change: Callable[[dict[str, Tensor]], object], said: str, provide: Callable[..., Path]
) -> None:
    assert said in refusal(provide(change(small_sam().state_dict())))


class Payload:
    """Unpickled, it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_file_is_not_run(provide: Callable[..., Path], tmp_path: Path) -> None:
    folder = provide({"weight": Payload(tmp_path / "made")})
    assert "not a torch file of tensors" in refusal(folder)
    assert not (tmp_path / "made").exists()
    with zipfile.ZipFile(folder / CHECKPOINTS["sam_vit_h"][0]) as file:
        (name,) = [name for name in file.namelist() if name.endswith("data.pkl")]
        assert b"mkdir" in file.read(name), "the file is such a one"


def test_a_file_that_is_no_checkpoint_is_refused(provide: Callable[..., Path]) -> None:
    folder = provide(b"<html>not found</html>", lambda content, path: path.write_bytes(content))
    assert "not a torch file of tensors" in refusal(folder)


def test_without_the_package_one_line_says_how_to_get_it(
    provide: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(InputError, match="pip install 'segment-anything") as caught:
        check_installed()
    assert "\n" not in str(caught.value)


def test_nothing_needs_the_package_until_a_network_is_built(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['segment_anything'] = None; sys.argv[0] = 'bench';"
        "from bench.__main__ import main; main()"
    )
    words = ["run", "r1-sam", "--weights", str(tmp_path), "--out", str(tmp_path / "runs")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    first, last = done.stderr.strip().splitlines()
    assert first.startswith("r1-sam: not run: weights: ")
    assert "sam_vit_h_4b8939.pth" in first
    assert "nothing can run here" in last
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_decode_as_the_authors_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = np.stack([rng.random((7, 5)) < share for share in (0, 0.2, 0.5, 0.9, 1)])
    for mask, rle in zip(masks, mask_to_rle_pytorch(torch.from_numpy(masks)), strict=True):
        assert np.array_equal(decoded(rle), mask)
        assert np.array_equal(decoded(rle), rle_to_mask(rle))


def test_every_mask_is_well_formed(sam: Sam, picture: np.ndarray) -> None:
    masks = masks_of(sam, picture, **LENIENT)
    assert len(masks) > 10
    height, width = picture.shape[:2]
    for mask in masks:
        inside = decoded(mask["segmentation"])
        assert inside.shape == (height, width)
        assert mask["area"] == inside.sum() > 0
        x, y, w, h = mask["bbox"]
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        # the package counts a box from its first to its last pixel's place, so a single pixel is 0 wide
        assert [x, y, x + w, y + h] == [columns[0], rows[0], columns[-1], rows[-1]]
        assert mask["crop_box"] == [0, 0, width, height]
        ((px, py),) = mask["point_coords"]
        assert 0 < px < width
        assert 0 < py < height
        assert LENIENT["stability_score_thresh"] <= mask["stability_score"] <= 1
        assert mask["predicted_iou"] > LENIENT["pred_iou_thresh"]
    assert json.loads(json.dumps(masks, allow_nan=False)) == masks


def test_a_mask_is_what_its_point_asks_for(sam: Sam, picture: np.ndarray) -> None:
    """Through the authors' predictor, one prompt at a time: one of its three masks, with its score."""
    predictor = SamPredictor(sam)
    predictor.set_image(picture)
    for mask in masks_of(sam, picture, **LENIENT)[::5]:
        answers, scores, _ = predictor.predict(np.array(mask["point_coords"]), np.array([1]))
        inside = decoded(mask["segmentation"])
        # a batch of prompts sums in another order, which turns a pixel whose logit is about 0
        agreeing = [np.mean(answer == inside) > 0.999 for answer in answers]
        assert any(agreeing)
        assert scores[agreeing.index(True)] == pytest.approx(mask["predicted_iou"], abs=1e-4)


def test_duplicates_are_removed(sam: Sam, picture: np.ndarray) -> None:
    every = masks_of(sam, picture, **LENIENT)
    assert 0 < len(masks_of(sam, picture, **LENIENT | {"box_nms_thresh": 0.7})) < len(every)


def test_random_weights_find_nothing_by_the_reports_settings(sam: Sam, picture: np.ndarray) -> None:
    """Why no tier runs without the published weights."""
    settings = dict(RECIPES["r1-sam"].model_args) | {"points_per_side": 6}
    assert masks_of(sam, picture, **settings) == []


def test_the_recipe_states_the_packages_own_settings() -> None:
    defaults = inspect.signature(SamAutomaticMaskGenerator).parameters
    for name, value in RECIPES["r1-sam"].model_args:
        assert value == defaults[name].default, name


def test_figures_of_masks_that_overlap() -> None:
    def mask(counts: list[int], iou: float) -> dict[str, object]:
        return {"segmentation": {"size": [2, 4], "counts": counts}, "predicted_iou": iou}

    two = [mask([0, 4, 4], 0.9), mask([2, 4, 2], 0.7)]  # the first four pixels, and the middle four
    found = measured([two, []], (2, 4))
    assert (found["covered"].numerator, found["covered"].denominator) == (6, 16)
    assert found["covered"].value == 6 / 16
    assert found["masks"].value == 2
    assert found["predicted_iou"].value == pytest.approx(0.8)
    assert np.isnan(measured([[]], (2, 4))["predicted_iou"].value)


# ---------------------------------------------------------------- a run


def plan(recipe: Recipe, folder: Path, weights: Path, **changes: object) -> tuple[list, list]:
    arguments = {
        "tier": "smoke",
        "data": None,
        "seeds": 1,
        "init": None,
        "weights": weights,
        "numerics": Numerics(),
        "cache": folder / "cache",
    }
    return run_plan.plan([recipe], **(arguments | changes))


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The recipe at 64 pixels with settings that random weights can meet, in the recipe's place."""
    recipe = RECIPES["r1-sam"]
    settings = tuple((dict(recipe.model_args) | LENIENT).items())
    changed = replace(recipe, image_size=64, model_args=settings, mask_images=("0003", "0001"))
    monkeypatch.setitem(RECIPES, "r1-sam", changed)
    return changed


def run(recipe: Recipe, weights: Path, out: Path) -> Record:
    (planned,), absent = plan(recipe, out, weights)
    assert not absent
    return execute.execute(planned, out, weights=weights)


def test_a_run_leaves_overlays_masks_and_figures(
    lenient: Recipe, provide: Callable[..., Path], tmp_path: Path
) -> None:
    state = small_sam().state_dict()
    record = run(lenient, provide(state), tmp_path)
    assert (record.status, record.reason) == ("ok", "")
    assert not record.deviations
    assert not record.notes
    assert records.read_record(records.path_of(tmp_path, record)) == record
    kinds = [(figure["kind"], figure["file"].rpartition("-")[2]) for figure in record.figures]
    assert kinds == [
        ("overlay", "0003.png"),
        ("automask", "0003.json"),
        ("overlay", "0001.png"),
        ("automask", "0001.json"),
    ]
    total = 0
    for figure in record.figures:
        path = tmp_path / figure["file"]
        if figure["kind"] == "overlay":
            assert Image.open(path).size[0] == 1000
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        name, masks = content["image"], content["masks"]
        covered = np.any([decoded(mask["segmentation"]) for mask in masks], axis=0)
        assert record.metric(f"masks_{name}") == len(masks) > 0
        assert record.counts(f"covered_{name}") == (covered.sum(), 64 * 64)
        mean = np.mean([mask["predicted_iou"] for mask in masks])
        assert record.metric(f"predicted_iou_{name}") == pytest.approx(mean)
        assert content["settings"] == dict(lenient.model_args)
        total += len(masks)
    assert record.metric("masks") == total
    assert record.metrics["final"]["primary"] == "covered"
    assert record.parameters == sum(p.numel() for p in small_sam().parameters())
    assert record.throughput["forward_flops_per_sample"] > 0


def test_a_run_makes_the_figure_shown_and_can_be_published(
    lenient: Recipe, provide: Callable[..., Path], tmp_path: Path
) -> None:
    record = run(lenient, provide(small_sam().state_dict()), tmp_path / "runs")
    rows = grader.grade_all(load_ledgers(), [record], alignment_green=False, folder=tmp_path / "runs")
    (row,) = (row for row in rows if row.claim.id == "r1-figure-sam")
    assert row.label == "not tested: data"
    assert "synthetic" in row.rehearsal
    publish(tmp_path / "runs", tmp_path / "results", allow_dirty=True)
    page = (tmp_path / "results" / "reports" / "r1.md").read_text(encoding="utf-8")
    for figure in record.figures:  # the list of masks stays with the run: no page shows it
        published = (tmp_path / "results" / figure["file"]).exists()
        assert published == (figure["kind"] == "overlay"), figure
    assert [figure["file"] in page for figure in record.figures] == [True, False, True, False]
    assert "SAM ViT-H automatic masks: automatic masks" in page


def test_a_run_repeats_exactly(lenient: Recipe, provide: Callable[..., Path], tmp_path: Path) -> None:
    weights = provide(small_sam().state_dict())
    first, second = (run(lenient, weights, tmp_path / folder) for folder in ("a", "b"))
    assert first.figures == second.figures
    assert first.metrics == second.metrics
    assert first.weights_hash == second.weights_hash


def test_an_image_without_masks_is_said(
    lenient: Recipe, provide: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(lenient, model_args=(("points_per_side", 4),), mask_images=("0001", "9999"))
    record = run(strict, provide(small_sam().state_dict()), tmp_path)
    assert record.status == "ok"
    assert record.notes == ["not in this data: 9999; masks are of 0001", "no mask on 0001"]
    assert (record.metric("masks"), record.metric("covered")) == (0, 0)
    assert record.metric("predicted_iou") is None


def test_a_damaged_file_stops_the_run_with_one_line(
    lenient: Recipe, provide: Callable[..., Path], tmp_path: Path
) -> None:
    weights = provide(small_sam().state_dict())
    (planned,), _ = plan(lenient, tmp_path, weights)
    path = weights / CHECKPOINTS["sam_vit_h"][0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="MD5"):
        execute.execute(planned, tmp_path, weights=weights)


@pytest.mark.parametrize("tier", ["smoke", "gpu", "full"])
def test_no_tier_runs_without_weights(tier: str, tmp_path: Path) -> None:
    runs, (absent,) = plan(RECIPES["r1-sam"], tmp_path, tmp_path, tier=tier)
    assert not runs
    assert (absent.slug, absent.reason) == ("r1-sam", "weights")
    assert "curl -L" in absent.cause


def test_scratch_is_no_way_round_them(tmp_path: Path) -> None:
    runs, (absent,) = plan(RECIPES["r1-sam"], tmp_path, tmp_path, init="scratch")
    assert not runs
    assert absent.reason == "weights"
    assert "--init" in absent.cause


def test_weights_without_the_package_stop_before_anything_runs(
    lenient: Recipe, provide: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = provide({})
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(InputError, match="pip install"):
        plan(lenient, tmp_path, weights)


def test_masks_are_found_in_float32(lenient: Recipe, provide: Callable[..., Path], tmp_path: Path) -> None:
    """What the record says of the numerics is what was computed with, whatever was asked for."""
    (planned,), _ = plan(lenient, tmp_path, provide({}), numerics=Numerics(device="mps", dtype="bfloat16"))
    assert (planned.numerics.device, planned.numerics.dtype) == ("cpu", "float32")


def test_one_seed_says_all(lenient: Recipe, provide: Callable[..., Path], tmp_path: Path) -> None:
    runs, _ = plan(lenient, tmp_path, provide({}), seeds=3)
    assert [planned.seed for planned in runs] == [0]


def test_other_classes_are_no_deviation(
    lenient: Recipe, provide: Callable[..., Path], tmp_path: Path
) -> None:
    (planned,), _ = plan(lenient, tmp_path, provide({}))
    assert planned.recipe.num_classes == 0
    assert planned.deviations == ()
