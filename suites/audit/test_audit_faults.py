"""An invented ledger is clean; with one fault planted in it, that fault is found and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.audit import FLAGS, Finding, audit, audit_page, finding_rows, flags, paragraph
from bench.claims.claim import Claim, Ledger
from bench.claims.ledger import load_ledger

IOUS = ("0.70000", "0.80000", "0.30000", "0.60000", "0.50000", "0.40000")


def _claim(**keys: object) -> str:
    """One claim as TOML."""
    lines = ["[[claim]]"]
    for key, value in keys.items():
        if isinstance(value, dict):
            said = "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
        else:
            said = _toml(value)
        lines.append(f"{key} = {said}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'''\n{value}\n'''" if "\n" in value else f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _top1(name: str, value: str, **keys: object) -> dict[str, object]:
    recipe = keys.pop("recipe", name)
    return {
        "id": name, "kind": "number", "line": 1, "text": f"{name} reaches {value}.", "recipe": recipe,
        "metric": "top1", "value": value, "unit": "fraction", "data": "officehome", "split": "val", "n": 400,
        "n_from": "printed", **keys,
    }  # fmt: skip


def _without(claim: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in claim.items() if key not in keys}


def _score(name: str, value: str, **keys: object) -> dict[str, object]:
    return {
        "id": name, "kind": "number", "line": 2, "text": f"{name} reaches {value}.", "recipe": name,
        "metric": "miou", "value": value, "unit": "fraction", "data": "landcover", "split": "val", **keys,
    }  # fmt: skip


def _order(name: str, *members: str, **keys: object) -> dict[str, object]:
    return {
        "id": name, "kind": "ordering", "line": 3, "text": f"{' beats '.join(members)}.", "metric": "top1",
        "order": list(members), **keys,
    }  # fmt: skip


def _other(name: str, kind: str, **keys: object) -> dict[str, object]:
    return {"id": name, "kind": kind, "line": 4, "text": f"What {name} says.", "recipe": "x1-tune-a", **keys}


NET = """Net(
  (features): Sequential(
    (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
    (2): Conv2d(8, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  )
)"""
BATCH_NORM = NET.splitlines()[3]
CODE = "views = Compose([\n    Crop((4, 4)),\n    Flip(p=0.5),  # ':)'\n])"


def _clean() -> dict[str, dict[str, object]]:
    claims = [
        _top1("x1-tune-a", "0.6000", epoch=40),
        _top1("x1-tune-a-100", "0.6100", epoch=100),
        _top1("x1-tune-b", "0.4000"),
        _order("x1-order", "x1-tune-a", "x1-tune-b"),
        {**_top1("x1-gain", "20", recipe="x1-tune-a"), "metric": "delta_top1", "unit": "percent",
         "difference_of": ["x1-tune-a", "x1-tune-b"]},
        {**_top1("x1-gain-relative", "50", recipe="x1-tune-a"), "metric": "delta_top1", "unit": "percent",
         "difference_of": ["x1-tune-a", "x1-tune-b"]},
        _top1("x1-about", "0.3012", approx=True),
        _score("x1-seg", "0.550000"),
        _score("x1-seg-base", "0.500000"),
        *(
            {**_score(f"x1-seg-iou-{index}", iou), "recipe": "x1-seg", "metric": "iou", "class_index": index}
            for index, iou in enumerate(IOUS)
        ),
        _order("x1-order-seg", "x1-seg", "x1-seg-base", metric="miou"),
        {**_score("x1-part", "0.03"), "metric": "delta_miou", "recipe": "x1-seg",
         "difference_of": ["x1-seg", "ablation-x1-loss"]},
        {**_score("x1-whole", "0.05"), "metric": "delta_miou", "recipe": "x1-seg",
         "difference_of": ["x1-seg", "x1-seg-base"]},
        _other("x1-explain", "explanation", tested_by=["ablation-x1-net"]),
        _other("x1-plateau", "process", predicate="no_clear_gain_after", args={"epoch": 50}),
        _other("x1-best", "process", predicate="best_near", args={"epoch": 35, "within": 10, "until": 60}),
        _other("x1-protocol", "protocol",
               stated={"epochs": "(80 / 100)", "batch_size": "32", "lr": "0.001"}),
        _other("x1-same", "protocol", stated={"lr": "1e-3"}),
        _other("x1-figure", "figure", shows="masks", epochs=[1, 50, 100],
               stages=["early", "middle", "final"]),
        _other("x1-code", "protocol", stated={"augment": "Compose"}, code=CODE),
        _other("x1-net", "protocol", stated={"model": "Net"}, code=NET),
        _other("x1-resnet", "architecture", model="resnet50",
               facts=["bottlenecks per stage: 3, 4, 6, 3", "50 layers", "25,557,032 parameters"]),
    ]  # fmt: skip
    return {str(claim["id"]): claim for claim in claims}


Claims = dict[str, dict[str, object]]


def _ledger(folder: Path, claims: Claims, report: str = "x1") -> Ledger:
    file = folder / f"{report}.toml"
    head = f'[report]\nid = "{report}"\ntitle = "Invented"\n\n'
    file.write_text(head + "\n".join(_claim(**claim) for claim in claims.values()), encoding="utf-8")
    return load_ledger(file)


def _against(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return sorted((f.check, f.flag, f.strength) for f in findings if f.verdict == "against")


Plant = Callable[[Claims], None]


def _add(*new: dict[str, object]) -> Plant:
    return lambda claims: claims.update({str(claim["id"]): claim for claim in new})


def _set(name: str, **keys: object) -> Plant:
    return lambda claims: claims[name].update(keys)


def _drop(*names: str) -> Plant:
    def plant(claims: Claims) -> None:
        for name in names:
            del claims[name]

    return plant


def _all(*plants: Plant) -> Plant:
    def plant(claims: Claims) -> None:
        for one in plants:
            one(claims)

    return plant


FAULTS: dict[str, tuple[Plant, list[tuple[str, str, str]]]] = {
    "an accuracy that is no whole number of images": (
        _add(_top1("x1-tune-c", "0.4012")),
        [("GRIM", "inconsistent", "certain")],
    ),
    "the same where the number of images is known from outside": (
        _add(_top1("x1-tune-c", "0.3012", n_from="outside")),
        [("GRIM", "inconsistent", "strong")],
    ),
    "the same where the split is not said": (
        _add(_without(_top1("x1-first", "0.30001", split="unstated"), "n", "n_from")),
        [("GRIM", "inconsistent", "weak")],
    ),
    "class IoUs that do not average to their mean": (
        _set("x1-seg-iou-2", value="0.36000"),
        [("class mean", "inconsistent", "certain")],
    ),
    "the same where the epoch is printed with the mean alone": (
        _all(_set("x1-seg-iou-2", value="0.36000"), _set("x1-seg", epoch=70)),
        [("class mean", "inconsistent", "certain")],
    ),
    "class IoUs, one not printed, that no value of it brings to their mean": (
        _all(_drop("x1-seg-iou-5", "x1-whole"), _set("x1-seg", value="0.700000")),
        [("class mean", "inconsistent", "certain")],
    ),
    "a difference that the figures do not give": (
        _set("x1-gain", value="22"),
        [("difference", "inconsistent", "certain")],
    ),
    "a difference that about the figures do not give": (
        _set("x1-gain", value="22", approx=True),
        [("difference", "inconsistent", "weak")],
    ),
    "parts that exceed the whole": (
        _set("x1-part", value="0.07"),
        [("parts of a gain", "inconsistent", "strong")],
    ),
    "parts that exceed the whole, but for rounding": (
        _set("x1-part", value="0.1", approx=True),
        [("parts of a gain", "inconsistent", "weak")],
    ),
    "an ordering against its figures": (
        _set("x1-order", order=["x1-tune-b", "x1-tune-a"]),
        [("ordering", "self-contradicted", "certain")],
    ),
    "an ordering against the last digit of its figures": (
        _all(_set("x1-tune-a-100", value="0.59"), _set("x1-tune-a", value="0.60"),
             _add(_order("x1-order-close", "x1-tune-a-100", "x1-tune-a"))),
        [("ordering", "self-contradicted", "certain")],
    ),
    "an ordering inside the noise of one split": (
        _add(_order("x1-order-close", "x1-tune-a-100", "x1-tune-a")),
        [("ordering", "indistinguishable", "strong")],
    ),
    "a tie beyond the noise of one split": (
        _add(_order("x1-tie", "x1-tune-a", "x1-tune-b", tie=True)),
        [("tie", "self-contradicted", "strong")],
    ),
    "figures less than an image apart": (
        _add(_top1("x1-c", "0.40121"), _order("x1-tie", "x1-c", "x1-tune-b", tie=True)),
        [("GRIM", "inconsistent", "certain"), ("difference", "inconsistent", "certain")],
    ),
    "the same where a mean over batches is an innocent reading": (
        _add(_top1("x1-c", "0.4012"), _order("x1-tie", "x1-c", "x1-tune-b", tie=True)),
        [("GRIM", "inconsistent", "weak"), ("difference", "inconsistent", "weak")],
    ),
    "a gain after the epoch from which none is claimed": (
        _set("x1-tune-a-100", value="0.7500"),
        [("process", "self-contradicted", "certain")],
    ),
    "a best epoch elsewhere than claimed": (
        _set("x1-tune-a", epoch=20, selection="best epoch 20"),
        [("process", "self-contradicted", "certain"), ("selection", "", "strong")],
    ),
    "an epoch beyond the training": (
        _set("x1-figure", epochs=[1, 50, 120]),
        [("epochs", "self-contradicted", "certain")],
    ),
    "final masks of an early epoch": (
        _set("x1-figure", epochs=[1, 20, 40]),
        [("stages", "self-contradicted", "strong")],
    ),
    "one setting stated as two numbers": (
        _set("x1-same", stated={"lr": "0.01"}),
        [("settings", "self-contradicted", "certain")],
    ),
    "figures selected on the images they are reported on": (
        _set("x1-tune-b", selection="the best of all epochs"),
        [("selection", "", "strong")],
    ),
    "two rules of selection": (_set("x1-tune-b", epoch=90), [("selection", "", "strong")]),
    "an order that the selected epoch decides": (
        _add(
            _top1("x1-tune-b-100", "0.7000", epoch=50, recipe="x1-tune-b-100"),
            _order("x1-order-100", "x1-tune-b-100", "x1-tune-a"),
        ),
        [("selection", "", "strong")],
    ),
    "code with a bracket too many": (
        _set("x1-code", code=CODE.replace("0.5)", "0.5))")),
        [("code", "listing cannot run", "certain")],
    ),
    "code with a bracket too few": (
        _set("x1-code", code=CODE.removesuffix(")")),
        [("code", "listing cannot run", "certain")],
    ),
    "code of another stage": (
        _set("x1-code", code="train(seg_net.parameters())"),
        [("name", "misnamed", "weak")],
    ),
    "a network that cannot run": (
        _set("x1-net", code=NET.replace("Conv2d(8, 16", "Conv2d(4, 16")),
        [("listing", "listing cannot run", "certain")],
    ),
    "a listing that repeats itself": (
        _set("x1-net", code=NET.replace(BATCH_NORM, f"{BATCH_NORM}\n{BATCH_NORM}")),
        [("listing", "listing cannot run", "strong")],
    ),
    "a named network with settings that it does not have": (
        _set("x1-resnet", facts=["bottlenecks per stage: 3, 8, 36, 3"]),
        [("named model", "misnamed", "strong")],
    ),
    "the same where the report's own code names it": (
        _all(
            _set("x1-resnet", model="deeplabv3_resnet50", facts=["ASPP dilation rates: 6, 12, 18"]),
            _set("x1-net", stated={"model": "DeepLabV3-ResNet50"}),
        ),
        [("named model", "self-contradicted", "strong")],
    ),
    "a network under two names": (
        _add(_other("x1-name", "protocol", stated={"model": "Net++"}, conflicts_with=["x1-net"])),
        [("name", "misnamed", "strong")],
    ),
    "a declared conflict of settings": (
        _add(_other("x1-text", "protocol", stated={"augment": "Flip"}, conflicts_with=["x1-code"])),
        [("conflict", "self-contradicted", "strong")],
    ),
    "a declared conflict of statements": (
        _set("x1-explain", conflicts_with=["x1-resnet"]),
        [("conflict", "self-contradicted", "strong")],
    ),
    "a declared conflict of figures": (
        _add(_top1("x1-text", "0.6500", recipe="x1-tune-b", conflicts_with=["x1-tune-b"])),
        [("conflict", "self-contradicted", "strong")],
    ),
}  # fmt: skip


def test_the_clean_ledger_is_clean(tmp_path: Path) -> None:
    found = audit([_ledger(tmp_path, _clean())])
    assert _against(found) == []
    assert flags(found) == {}
    held = {f.check for f in found if f.verdict == "holds"}
    assert held == {"GRIM", "class mean", "difference", "ordering", "ranking"}


@pytest.mark.parametrize("name", FAULTS)
def test_one_planted_fault_is_found_and_none_invented(tmp_path: Path, name: str) -> None:
    plant, expected = FAULTS[name]
    claims = _clean()
    plant(claims)
    assert _against(audit([_ledger(tmp_path, claims)])) == expected


def test_parts_that_exceed_the_whole_by_their_rounding_alone_add_up(tmp_path: Path) -> None:
    claims = _clean()
    _all(_set("x1-part", value="0.1", approx=True), _drop("x1-explain"))(claims)
    assert _against(audit([_ledger(tmp_path, claims)])) == []


def test_figures_one_image_apart_are_in_order(tmp_path: Path) -> None:
    claims = _clean()
    _add(_top1("x1-c", "0.4025"), _order("x1-tie", "x1-c", "x1-tune-b", tie=True))(claims)
    assert _against(audit([_ledger(tmp_path, claims)])) == []


def _printed(number: Fraction, digits: int, way: str, *, percent: bool = False) -> str:
    """A number as a report may print it."""
    at = number * 10**digits * (100 if percent else 1)
    steps = math.trunc(at) if way == "cut" else math.floor(abs(at) + Fraction(1, 2)) * (1 if at >= 0 else -1)
    whole, part = divmod(abs(steps), 10**digits)
    sign = "-" if steps < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


ways = st.sampled_from(["rounded", "cut"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 3000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))),
    st.lists(st.integers(0, 1000), min_size=6, max_size=6),
    st.tuples(st.integers(2, 6), st.integers(0, 3)),
    st.tuples(ways, ways),
)
def test_what_comes_from_one_evaluation_is_never_inconsistent(
    tmp_path: Path,
    images: tuple[int, int, int],
    ious: list[int],
    digits: tuple[int, int],
    printed: tuple[str, str],
) -> None:
    n, a, b = images
    fine, coarse = digits
    gain = _printed(Fraction(a - b, n), coarse, printed[1], percent=True)
    claims = _clean()
    claims["x1-tune-a"].update(value=_printed(Fraction(a, n), fine, printed[0]), n=n)
    claims["x1-tune-b"].update(value=_printed(Fraction(b, n), fine, printed[0]), n=n)
    claims["x1-gain"].update(value=gain)
    _drop("x1-gain-relative", "x1-whole")(claims)
    for index, iou in enumerate(ious):
        claims[f"x1-seg-iou-{index}"]["value"] = _printed(Fraction(iou, 1000), fine, printed[0])
    claims["x1-seg"]["value"] = _printed(Fraction(sum(ious), 6000), coarse + 2, printed[1])
    found = audit([_ledger(tmp_path, claims)])
    assert [f.sentence for f in found if f.flag == "inconsistent" and f.check != "parts of a gain"] == []


def test_all_checks_are_planted() -> None:
    planted = {check for _, expected in FAULTS.values() for check, _, _ in expected}
    assert planted | {"bounds", "across reports", "batch means"} == CHECKS
    flagged = {flag for _, expected in FAULTS.values() for _, flag, _ in expected}
    assert flagged | {"cross-contradicted"} == {*FLAGS, ""}


CHECKS = {
    "GRIM", "batch means", "class mean", "bounds", "difference", "parts of a gain", "ordering", "tie",
    "process", "epochs", "stages", "settings", "selection", "code", "listing", "named model", "name",
    "conflict", "across reports",
}  # fmt: skip


# Faults that no claims file can hold alone ------------------------------------------------------------


def _with_scores(**scores: str) -> Ledger:
    claims = tuple(
        Claim(
            report="x1", id=f"x1-{metric}", kind="number", lines=(1,), text="A score.", recipe="x1-seg",
            metric=metric, value=value, unit="fraction", data="landcover", split="val",
        )
        for metric, value in scores.items()
    )  # fmt: skip
    return Ledger("x1", "Invented", None, claims, "x1.toml")


SCORES = {"pixel_accuracy": "0.85", "mean_accuracy": "0.72", "fwiou": "0.76", "miou": "0.61", "mdice": "0.74"}


@pytest.mark.parametrize(
    ("change", "bound"),
    [
        ({"miou": "0.72", "mean_accuracy": "0.61", "mdice": "0.80"}, "mIoU ≤ mean class accuracy"),
        ({"fwiou": "0.88"}, "fwIoU ≤ pixel accuracy"),
        ({"fwiou": "0.60"}, "pixel accuracy²/(2 − pixel accuracy) ≤ fwIoU"),
        ({"mdice": "0.59"}, "mIoU ≤ mean Dice"),
        ({"mdice": "0.78"}, "mean Dice ≤ 2·mIoU/(1 + mIoU)"),
    ],
)
def test_bounds_between_printed_scores(change: dict[str, str], bound: str) -> None:
    assert _against(audit([_with_scores(**SCORES)])) == []
    found = audit([_with_scores(**{**SCORES, **change})])
    assert _against(found) == [("bounds", "inconsistent", "certain")]
    assert [f.expected for f in found if f.verdict == "against"] == [bound]


def test_bounds_forgive_rounding() -> None:
    # 0.6149… and 0.6050… print as these; the exact 0.61 ≤ 0.61 is on the bound.
    assert _against(audit([_with_scores(miou="0.61", mean_accuracy="0.60")])) == []
    assert _against(audit([_with_scores(miou="0.610", mean_accuracy="0.600")])) != []


def _pair(folder: Path, b: str, *, n: int = 400, **keys: object) -> list[Ledger]:
    """Two reports, the second of which ranks b over a by figures of its own."""
    first = {
        claim["id"]: claim
        for claim in (
            _top1("x1-tune-a", "0.6000"),
            _top1("x1-tune-b", "0.4000"),
            _order("x1-order", "x1-tune-a", "x1-tune-b", conflicts_with=["x2-order"]),
        )
    }
    second = {
        claim["id"]: claim
        for claim in (
            _top1("x2-tune-a", "0.6000", n=n),
            _top1("x2-tune-b", b, n=n),
            _order("x2-order", "x2-tune-b", "x2-tune-a", **keys),
        )
    }
    return [_ledger(folder, first), _ledger(folder, second, "x2")]  # type: ignore[arg-type]


def test_opposite_orderings_of_two_reports(tmp_path: Path) -> None:
    found = audit(_pair(tmp_path, "0.8000"))
    assert _against(found) == [("across reports", "cross-contradicted", "strong")]
    assert flags(found) == {"x1-order": ("cross-contradicted",), "x2-order": ("cross-contradicted",)}
    assert [f.sentence.split(",")[0] for f in found if f.verdict == "note"] == ["tune-b"]


def test_opposite_orderings_inside_the_noise_flag_nothing(tmp_path: Path) -> None:
    ledgers = _pair(tmp_path, "0.7", n=10)
    assert _against(audit(ledgers)) == [
        ("across reports", "cross-contradicted", "weak"),
        ("ordering", "indistinguishable", "strong"),
    ]
    assert flags(audit(ledgers)) == {"x2-order": ("indistinguishable",)}


def test_a_conflict_with_a_report_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert _against(audit(_pair(tmp_path, "0.8000")[:1])) == []


# Texts ------------------------------------------------------------------------------------------------


def test_weak_findings_flag_nothing(tmp_path: Path) -> None:
    claims = _clean()
    FAULTS["code of another stage"][0](claims)
    found = audit([_ledger(tmp_path, claims)])
    assert [f.flag for f in found if f.verdict == "against"] == ["misnamed"]
    assert flags(found) == {}


def test_an_illegible_claim_is_not_audited(tmp_path: Path) -> None:
    claims = _clean()
    claims["x1-resnet"].update(
        facts=["50 layers, or 18 layers"], illegible=True, illegible_why="the page is torn"
    )
    claims["x1-seg-iou-2"].update(value="0.90000", illegible=True, illegible_why="the page is torn")
    assert _against(audit([_ledger(tmp_path, claims)])) == []


def test_paragraph_and_rows(tmp_path: Path) -> None:
    claims = _clean()
    _add(_top1("x1-tune-c", "0.4012"))(claims)
    _set("x1-part", value="0.1", approx=True)(claims)
    ledger = _ledger(tmp_path, claims)
    found = audit([ledger])
    said = paragraph(ledger, found)
    assert "\n" not in said
    assert said.startswith("X1 has 1 point to answer, by its text alone: 0.4012 is no whole number of")
    assert "Less surely: Of the whole gain of 0.0500 (seg over seg-base)" in said
    assert said.endswith(
        "Please say on how many images each accuracy is measured and how batches are averaged."
    )
    assert [row["claims"] for row in finding_rows(found)] == [list(f.claims) for f in found]
    assert audit_page([ledger], found) == audit_page([ledger], audit([ledger]))
    nothing = replace(ledger, claims=ledger.claims[8:9])
    assert paragraph(nothing, []) == "X1 prints nothing that these checks apply to."


def test_code_as_printed_in_reports(tmp_path: Path) -> None:
    claims = _clean()
    # A stretch of a call's arguments, over several lines, is no fault; nor are brackets in strings.
    for code in (
        "Flip(p=0.5),\nCrop(4),",
        "p=0.5,\nq=2",
        "name = '(['\nother = 3  # )",
        "    x = 1\n    y = (x)",
        ">>> for x in y:\n...     print(x)",
        "%matplotlib inline\nx = 1",
    ):
        claims["x1-code"]["code"] = code
        assert _against(audit([_ledger(tmp_path, claims)])) == [], code
    claims["x1-code"]["code"] = "import for x"
    assert _against(audit([_ledger(tmp_path, claims)])) == [("code", "listing cannot run", "certain")]


def test_a_printed_network_that_cannot_be_read_is_told_and_flags_nothing(tmp_path: Path) -> None:
    claims = _clean()
    claims["x1-net"]["code"] = NET.removesuffix(")")
    findings = audit([_ledger(tmp_path, claims)])
    (unread,) = [one for one in findings if one.check == "listing"]
    assert (unread.verdict, unread.strength, unread.claims) == ("note", "weak", ("x1-net",))
    assert "the listing of x1-net could not be read and was not checked: line " in unread.sentence
    assert "never closed" in unread.sentence
    assert "\n" not in unread.sentence
    assert flags(findings) == {}
    assert _against(findings) == []
