"""Claims on any data set: the smallest inputs on which an audit was once wrong with certainty, or silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.audit import Finding, audit, paragraph
from bench.audit.ordering_findings import gap
from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.ledger import load_ledger

HEAD = '[report]\nid = "mine"\ntitle = "Mine"\n[[data]]\nname = "streets"\n'


def _ledger(tmp_path: Path, text: str, data: str = "") -> Ledger:
    file = tmp_path / "mine.toml"
    file.write_text(f"{HEAD}{data}{text}", encoding="utf-8")
    return load_ledger(file)


def _rows(columns: str, *rows: str, more: str = "", data: str = "streets") -> str:
    body = "".join(f"[{row}], " for row in rows)
    return (
        f'\n[[table]]\nid = "mine-t"\nplace = "table"\ndata = "{data}"\nsplit = "test"\nunit = "percent"\n'
        f"{more}\ncolumns = [{columns}]\nrows = [{body}]\n"
    )


def _number(name: str, value: str, **keys: object) -> str:
    shown = {"metric": "top1", "unit": "fraction", "data": "streets", "split": "test", **keys}
    lines = [f"{key} = {_toml(item)}" for key, item in shown.items() if item is not None]
    return "\n".join(
        ["", "[[claim]]", f'id = "mine-{name}"', 'kind = "number"', 'place = "text"', 'text = "A figure."',
         f'value = "{value}"', *lines, ""]
    )  # fmt: skip


def _toml(item: object) -> str:
    return str(item) if isinstance(item, int | list) else f'"{item}"'


def _made(findings: list[Finding], check: str) -> list[tuple[str, str]]:
    return [(f.verdict, f.strength) for f in findings if f.check == check]


NINETEEN = ", ".join(f'"iou:class {i}"' for i in range(19))
VALUES = [f"{40 + 2 * i}.25" for i in range(19)]
ROW = f'"a", {", ".join(map(_toml, VALUES))}, "58.25"'


@pytest.mark.parametrize(("declared", "strength"), [("classes = 19\n", "certain"), ("", "strong")])
def test_nineteen_classes_are_averaged_whatever_the_data(
    tmp_path: Path, declared: str, strength: str
) -> None:
    columns = f'"name", {NINETEEN}, "miou"'
    findings = audit([_ledger(tmp_path, _rows(columns, ROW), declared)])
    assert _made(findings, "class mean") == [("holds", strength)]
    wrong = ROW.replace("58.25", "58.52")
    findings = audit([_ledger(tmp_path, _rows(columns, wrong), declared)])
    assert _made(findings, "class mean") == [("against", strength)]


def test_more_classes_than_land_cover_has_are_not_cut_to_its_first_six(tmp_path: Path) -> None:
    text = _rows(f'"name", {NINETEEN}, "miou"', ROW, data="landcover")
    assert _made(audit([_ledger(tmp_path, text)]), "class mean") == [("holds", "strong")]


def test_classes_with_gaps_and_no_declared_count_speak_weakly(tmp_path: Path) -> None:
    text = _rows('"name", "iou:3", "iou:9", "miou"', '"a", "50.0", "60.0", "70.0"')
    assert _made(audit([_ledger(tmp_path, text)]), "class mean") == [("against", "weak")]


def test_a_class_that_is_not_printed_leaves_the_mean_open_and_that_is_said(tmp_path: Path) -> None:
    text = _rows('"name", "iou:0", "iou:1", "miou"', '"a", "50.0", "60.0", "60.0"')
    findings = audit([_ledger(tmp_path, text, "classes = 3\n")])
    assert _made(findings, "class mean") == [("not checked", "")]


def test_a_declared_count_decides_which_classes_a_mean_runs_over(tmp_path: Path) -> None:
    text = _rows('"name", "iou:0", "iou:1", "iou:2", "miou"', '"a", "50.0", "60.0", "10.0", "55.0"')
    holds = audit([_ledger(tmp_path, text, "classes = 3\nscored = [0, 1]\n")])
    against = audit([_ledger(tmp_path, text, "classes = 3\n")])
    assert _made(holds, "class mean") == [("holds", "certain")]
    assert _made(against, "class mean") == [("against", "certain")]


def test_bounds_can_be_reached_by_a_claims_file(tmp_path: Path) -> None:
    columns = '"name", "pixel_accuracy", "mean_accuracy", "miou", "fwiou", "mdice"'
    kept = audit([_ledger(tmp_path, _rows(columns, '"a", "90.0", "70.0", "60.0", "85.0", "72.0"'))])
    assert _made(kept, "bounds") == [("holds", "weak")] * 5
    broken = audit([_ledger(tmp_path, _rows(columns, '"a", "90.0", "50.0", "60.0", "85.0", "72.0"'))])
    assert _made(broken, "bounds").count(("against", "certain")) == 1


def test_top1_stays_below_top5_and_a_mean_between_its_extremes(tmp_path: Path) -> None:
    text = _rows('"name", "top1", "top5"', '"a", "70.0", "90.0"', '"b", "70.0", "60.0"')
    assert _made(audit([_ledger(tmp_path, text)]), "order of scores") == [
        ("holds", "weak"), ("against", "certain"),
    ]  # fmt: skip
    text = _rows('"name", "top1", "min", "max"', '"a", "70.0", "71.0", "72.0"')
    assert ("against", "certain") in _made(audit([_ledger(tmp_path, text)]), "order of scores")


def test_figures_without_a_recipe_are_not_of_one_evaluation(tmp_path: Path) -> None:
    text = "".join(_number(f"iou-{i}", f"0.{i}", metric="iou", class_index=i) for i in range(1, 3)) + _number(
        "miou", "0.9", metric="miou"
    )
    findings = audit([_ledger(tmp_path, text)])
    assert not [f for f in findings if f.verdict == "against"]
    told = [f.sentence for f in findings if f.verdict == "not checked"]
    assert "3 figures of streets (test) name no recipe" in told[0]
    assert "3 of 3 figures stand in no check: mine-iou-1, mine-iou-2, mine-miou" in told[1]


def test_data_drawn_by_code_is_not_counted_as_the_official_set(tmp_path: Path) -> None:
    official = _number("a", "0.12345", data="officehome", split="val", recipe="mine-a")
    drawn = _number("a", "0.12345", data="officehome", split="val", recipe="mine-a", source="synthetic")
    assert _made(audit([_ledger(tmp_path, official)]), "GRIM") == [("against", "weak")]
    assert _made(audit([_ledger(tmp_path, drawn)]), "GRIM") == []


def test_runs_do_not_shrink_the_error_of_one_split() -> None:
    one, five = (
        [
            Claim(report="x", id=name, kind="number", lines=(1,), text=name, metric="top1", value=value,
                  unit="fraction", data="d", split="test", n=1000, runs=runs)
            for name, value in (("a", "0.760"), ("b", "0.740"))
        ]
        for runs in (1, 5)
    )  # fmt: skip
    assert gap(*one) == gap(*five)
    assert gap(*five).z < 1.96  # type: ignore[union-attr]


TWO_SETS = (
    '\n[[data]]\nname = "other"\n'
    + _number("a", "0.80", recipe="mine-a")
    + _number("b", "0.70", recipe="mine-b")
    + _number("a-other", "0.60", recipe="mine-a", data="other")
    + _number("b-other", "0.55", recipe="mine-b", data="other")
)


def _gain(value: str, **keys: object) -> str:
    return _number("gain", value, metric="delta_top1", **keys).replace(
        "[[claim]]\n", '[[claim]]\ndifference_of = ["mine-a", "mine-b"]\n'
    )


def test_a_difference_is_compared_on_its_own_data_set(tmp_path: Path) -> None:
    kept = audit([_ledger(tmp_path, TWO_SETS + _gain("0.10"))])
    assert _made(kept, "difference") == [("holds", "weak")]
    wrong = audit([_ledger(tmp_path, TWO_SETS + _gain("0.05"))])
    assert _made(wrong, "difference") == [("against", "certain")]
    other = audit([_ledger(tmp_path, TWO_SETS + _gain("0.05", data="other"))])
    assert _made(other, "difference") == [("holds", "weak")]


def test_a_difference_without_its_figures_is_said(tmp_path: Path) -> None:
    one = _ledger(tmp_path, _number("a", "0.80", recipe="mine-a") + _gain("0.10"))
    findings = audit([one])
    assert _made(findings, "difference") == [("not checked", "")]
    assert "no top-1 accuracy of mine-b is printed" in " ".join(f.sentence for f in findings)
    assert "Differences without both figures: gain." in paragraph(one, findings)


def test_an_error_is_ranked_from_below(tmp_path: Path) -> None:
    figures = _number("a", "0.20", metric="error", recipe="mine-a")
    figures += _number("b", "0.30", metric="error", recipe="mine-b")
    order = (
        '\n[[claim]]\nid = "mine-order"\nkind = "ordering"\nplace = "text"\ntext = "A is better."\n'
        'metric = "error"\norder = ["mine-{}", "mine-{}"]\n'
    )
    assert _made(audit([_ledger(tmp_path, figures + order.format("a", "b"))]), "ranking") == [
        ("holds", "weak")
    ]
    turned = audit([_ledger(tmp_path, figures + order.format("b", "a"))])
    assert _made(turned, "ordering") == [("against", "certain")]


def test_directions_and_ranges_are_data() -> None:
    assert {name for name, entry in METRICS.items() if entry.higher_is_better is False} == {"error", "loss"}
    assert all(entry.low < entry.high for entry in METRICS.values())
    assert all(entry.mean_of in METRICS for entry in METRICS.values() if entry.mean_of)


def test_a_mean_of_claims_uses_its_weights(tmp_path: Path) -> None:
    parts = "".join(_number(name, value, recipe=name) for name, value in (("a", "0.50"), ("b", "0.80")))
    mean = _number("mean", "0.65", recipe="all").replace(
        "[[claim]]\n", '[[claim]]\nmean_of = ["mine-a", "mine-b"]\n'
    )
    assert _made(audit([_ledger(tmp_path, parts + mean)]), "mean") == [("holds", "certain")]
    weighted = mean.replace("[[claim]]\n", "[[claim]]\nweights = [2, 1]\n")
    assert _made(audit([_ledger(tmp_path, parts + weighted)]), "mean") == [("against", "certain")]
    right = weighted.replace("0.65", "0.60")
    assert _made(audit([_ledger(tmp_path, parts + right)]), "mean") == [("holds", "certain")]
