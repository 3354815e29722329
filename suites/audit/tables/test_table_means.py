"""Means, sums and harmonic means against their members: which are found, what holds and what does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.audit.tables import Options, TableAudit, audit_document
from bench.audit.tables.files import READERS
from bench.audit.tables.layout import Document, TableRow
from bench.audit.tables.means import mean_fit
from bench.audit.tables.table_finding import Place, TableFinding
from bench.claims.cells import read_cell
from reference.errors import InputError

Audited = Callable[..., TableAudit]
Found = Callable[..., list[TableFinding]]

CLASSES = ("road", "wall", "sky", "car", "tree", "pole", "sign", "bus", "hill", "lake", "fence", "rock")


def pipe(names: Sequence[str], *rows: Sequence[object]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (names, ["---"] * len(names), *rows)]
    return "\n".join(lines) + "\n"


def of(members: Sequence[str], decimals: int, rounding: str = ROUND_HALF_EVEN) -> str:
    """Their mean as a person prints it."""
    mean = sum(map(Decimal, members)) / len(members)
    return str(mean.quantize(Decimal(1).scaleb(-decimals), rounding=rounding))


# The arithmetic ---------------------------------------------------------------------------------------


def figure(text: str):  # type: ignore[no-untyped-def]
    cell = read_cell(text)
    assert cell.figure is not None
    return cell.figure


def printed(value: Fraction, decimals: int, *, cut: bool) -> str:
    steps = value * 10**decimals
    whole = int(steps) if cut else round(steps)
    return str(Decimal(whole).scaleb(-decimals).quantize(Decimal(1).scaleb(-decimals)))


@given(
    st.lists(st.fractions(0, 100, max_denominator=10**6), min_size=2, max_size=25),
    st.integers(0, 4),
    st.integers(0, 6),
    st.booleans(),
    st.booleans(),
)
def test_a_mean_of_true_values_is_never_called_wrong(
    values: list[Fraction], decimals: int, mean_decimals: int, members_cut: bool, mean_cut: bool
) -> None:
    """However members and mean are printed, rounded or cut off, some reading accepts it."""
    mean = printed(sum(values, Fraction(0)) / len(values), mean_decimals, cut=mean_cut)
    members = [figure(printed(value, decimals, cut=members_cut)) for value in values]
    fit = mean_fit(members, figure(mean))
    assert fit
    if not members_cut and not mean_cut:
        assert fit in ("rounded", "unlikely")


def test_roundings_that_all_go_one_way_are_called_unlikely_and_happen_so_rarely() -> None:
    draw = random.Random(0)
    fits = []
    for _ in range(4000):
        values = [Fraction(draw.randrange(10**6), 10**4) for _ in range(12)]
        mean = printed(sum(values, Fraction(0)) / 12, 2, cut=False)
        fits.append(mean_fit([figure(printed(value, 1, cut=False)) for value in values], figure(mean)))
    assert set(fits) <= {"rounded", "unlikely"}
    assert fits.count("unlikely") <= 4, "less than 1 of 1,000, as the sentence says"


@given(st.lists(st.integers(0, 9999), min_size=2, max_size=20), st.integers(1, 400))
def test_a_mean_too_far_off_is_always_wrong(digits: list[int], off: int) -> None:
    members = [figure(f"{d / 100:.2f}") for d in digits]
    exact = sum(f.value for f in members) / len(members)
    far = exact + Fraction(off + 4, 100)  # two hundredths hold by some reading
    assert mean_fit(members, figure(printed(far, 2, cut=False))) == ""


# Which figures a mean is of ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["after", "before", "between"])
@pytest.mark.parametrize("name", ["mIoU", "Mean IoU (%)", "Avg", "Average", "mean", "mAP", "**Mean**"])
def test_the_members_are_found_on_either_side(audited: Audited, found: Found, where: str, name: str) -> None:
    draw = random.Random(name)
    rows = []
    for row in range(4):
        members = [f"{draw.uniform(20, 90):.1f}" for _ in range(5)]
        rows.append([f"net {row}", *members, of(members, 1)])
    names = ["method", *CLASSES[:5], name]
    order = {
        "after": [0, 1, 2, 3, 4, 5, 6],
        "before": [0, 6, 1, 2, 3, 4, 5],
        "between": [0, 1, 2, 6, 3, 4, 5],
    }[where]
    text = pipe([names[i] for i in order], *([row[i] for i in order] for row in rows))
    assert [f.verdict for f in found(audited(text), "mean")] == ["holds"] * 4


def test_other_columns_are_no_members(audited: Audited, found: Found) -> None:
    text = pipe(
        ["method", "params (M)", "epochs", *CLASSES[:4], "mIoU", "FPS"],
        ["a", "25.6", "100", "10.0", "20.0", "30.0", "40.0", "25.0", "31.5"],
        ["b", "44.5", "100", "11.0", "21.0", "31.0", "41.0", "26.0", "20.5"],
    )
    assert [(f.verdict, len(f.places)) for f in found(audited(text), "mean")] == [("holds", 5)] * 2


def test_metrics_beside_each_other_are_no_mean_of_each_other(audited: Audited) -> None:
    text = pipe(
        ["net", "AP50", "AP75", "mAP"],
        ["a", "58.0", "41.0", "37.9"],
        ["b", "60.1", "43.0", "39.4"],
        ["c", "61.0", "44.0", "40.3"],
    )
    audit = audited(text)
    assert not [f for f in audit.findings if f.verdict == "against"]
    assert not [f for f in audit.findings if f.check == "mean"]


def test_where_no_row_holds_the_guess_is_doubted(audited: Audited, found: Found) -> None:
    """A mean over classes of which a few are shown: three rows, none holds, nothing is accused."""
    text = pipe(
        ["net", "car", "bus", "sky", "mIoU"],
        ["a", "80.0", "70.0", "90.0", "55.3"],
        ["b", "81.0", "72.0", "91.0", "56.9"],
        ["c", "82.0", "75.0", "92.0", "58.8"],
    )
    audit = audited(text)
    assert not [f for f in audit.findings if f.verdict == "against"]
    (doubt,) = found(audit, "mean")
    assert doubt.verdict == "not checked"
    assert '--mean "mIoU=FIRST..LAST"' in doubt.sentence


def test_one_row_alone_is_weak_unless_its_slip_explains_itself(audited: Audited, found: Found) -> None:
    members = [f"{value:.1f}" for value in (89.0, 65.0, 18.3, 84.7, 59.0, 59.2, 16.4, 11.4, 55.3)]
    exact = sum(map(Decimal, members))
    cases = {
        str((exact / 10).quantize(Decimal("0.01"))): ("strong", "divided by 10"),
        of(members, 2).replace(of(members, 2)[0], "9", 1): ("strong", "one digit off"),
        "77.77": ("weak", "other figures"),
    }
    for mean, (strength, word) in cases.items():
        (finding,) = found(
            audited(pipe(["data", *CLASSES[:9], "mIoU"], ["x", *members, mean])), "mean", "against"
        )
        assert finding.strength == strength
        assert word in finding.sentence


def test_cut_off_and_left_out(audited: Audited, found: Found) -> None:
    members = ["10.19", "20.19", "30.19"]
    rows = [
        ["a", *members, "20.1"],
        ["b", "1.00", "2.00", "3.00", "2.0"],
        ["c", "4.00", "5.00", "6.00", "5.0"],
    ]
    (finding,) = found(audited(pipe(["net", *CLASSES[:3], "Avg"], *rows)), "mean", "against")
    assert (finding.strength, finding.line) == ("weak", 3)
    assert "cut off" in finding.sentence
    rows = [[f"n{i}", str(i), "50.0", "60.0", "55.0"] for i in range(4)]
    text = pipe(["net", "background", "car", "bus", "mIoU"], *([n, f"9{b}.0", *rest] for n, b, *rest in rows))
    held = found(audited(text), "mean")
    assert [f.verdict for f in held] == ["holds"] * 4
    assert "background left out" in held[0].sentence


def test_a_row_cut_off_like_its_table_holds(audited: Audited, found: Found) -> None:
    draw = random.Random(1)
    rows = []
    for row in range(24):
        members = [f"{draw.uniform(10, 90):.3f}" for _ in range(4)]
        rows.append([f"n{row}", *members, of(members, 1, ROUND_DOWN)])
    findings = found(audited(pipe(["net", *CLASSES[:4], "Avg"], *rows)), "mean")
    assert {f.verdict for f in findings} == {"holds"}
    assert any("cut off as in the rows next to it" in f.sentence for f in findings)


def test_means_down_a_column_with_weights(audited: Audited, found: Found) -> None:
    head = ["class", "accuracy", "n"]
    text = pipe(head, ["a", "0.50", "30"], ["b", "0.80", "10"], ["c", "0.90", "10"], ["mean", "0.64", "50"])
    (finding,) = found(audited(text), "mean")
    assert finding.verdict == "holds"
    assert "weighted by n" in finding.sentence
    (wrong,) = found(audited(text.replace("0.64", "0.60")), "mean", "against")
    assert wrong.strength == "strong"


def test_groups_under_one_heading_and_the_mean_of_means(audited: Audited, found: Found) -> None:
    text = (
        "\\begin{tabular}{lccccccc}\n & \\multicolumn{3}{c}{A} & \\multicolumn{3}{c}{B} & \\\\\n"
        "net & x & y & Avg & x & y & Avg & Avg \\\\ \\hline\n"
        "p & 1.0 & 3.0 & 2.0 & 5.0 & 8.0 & 6.5 & 4.25 \\\\\nq & 2.0 & 3.0 & 2.5 & 4.0 & 8.0 & 6.0 & 4.25 "
        "\\\\\n\\end{tabular}\n"
    )
    held = found(audited(text, ".tex"), "mean")
    assert [f.verdict for f in held] == ["holds"] * 6


def test_sums_and_harmonic_means(audited: Audited, found: Found) -> None:
    text = pipe(
        ["set", "train", "val", "test", "total"],
        ["a", "1,000", "100", "100", "1,200"],
        ["b", "2,000", "50", "50", "2,150"],
        ["c", "10", "5", "5", "20"],
    )
    assert [(f.verdict, f.line) for f in found(audited(text), "sum")] == [
        ("against", 4),
        ("holds", 3),
        ("holds", 5),
    ]
    text = pipe(
        ["m", "seen", "novel", "H"],
        ["a", "60.0", "40.0", "48.0"],
        ["b", "70.0", "30.0", "42.0"],
        ["c", "70.0", "30.0", "50.0"],
    )
    assert [(f.verdict, f.line) for f in found(audited(text), "harmonic mean")] == [
        ("against", 5),
        ("holds", 3),
        ("holds", 4),
    ]


def test_the_user_says_what_the_mean_is_of(audited: Audited, found: Found) -> None:
    text = pipe(["net", "a", "b", "c", "Avg"], ["x", "1.0", "2.0", "9.0", "1.5"])
    (finding,) = found(audited(text, means=(("Avg", "a..b"),)), "mean")
    assert (finding.verdict, finding.strength) == ("holds", "certain")
    (finding,) = found(audited(text, means=(("avg", "a,c"),)), "mean")
    assert (finding.verdict, finding.strength) == ("against", "certain")
    with pytest.raises(InputError, match="no table has these"):
        audited(text, means=(("Avg", "a..z"),))


def test_fractions_with_their_mean_in_percent(audited: Audited, found: Found) -> None:
    text = pipe(["net", "a", "b", "Avg (%)"], ["x", "0.10", "0.20", "15.0"], ["y", "0.30", "0.40", "35.0"])
    assert [f.verdict for f in found(audited(text), "mean")] == ["holds", "holds"]


def test_a_mean_in_another_table_of_the_section(audited: Audited, found: Found) -> None:
    classes = pipe(["Class", "IoU"], *([name, f"{10 + 7 * i}.00%"] for i, name in enumerate(CLASSES)))
    head = pipe(["Metric", "Value"], ["**IoU Classes**", "**48.50%**"])
    assert [f.verdict for f in found(audited(head + "\n" + classes), "mean")] == ["holds"]
    wrong = found(audited(head.replace("48", "43") + "\n" + classes), "mean")
    assert [f.verdict for f in wrong] == ["against"]


def test_the_class_log_of_a_script(audited: Audited, found: Found) -> None:
    text = (
        "epoch 1\nclass #0 : 0.75000\nclass #1 : 0.85000\nclass #2 : 0.35000\n\nmean_iou: "
        "0.650000\n\nclass #0 : 0.5\nclass #1 : 0.7\n\nmean_iou: 0.9\n"
    )
    assert [(f.verdict, f.strength, f.line) for f in found(audited(text, ".log"), "mean")] == [
        ("against", "strong", 11),
        ("holds", "strong", 6),
    ]


# Planted typos ----------------------------------------------------------------------------------------


def with_cell(document: Document, place: Place, text: str) -> Document:
    """The document with one cell printed otherwise."""
    tables = []
    for table in document.tables:
        if table.number == place.read.table.number:
            rows = list(table.rows)
            cells = list(rows[place.row].cells)
            cells[place.column] = read_cell(text)
            rows[place.row] = TableRow(rows[place.row].line, tuple(cells))
            table = replace(table, rows=tuple(rows))
        tables.append(table)
    return Document(tables=tables, sentences=document.sentences)


def typos(text: str) -> list[str]:
    """Every figure that differs from a printed one in one digit."""
    return [
        text[:i] + digit + text[i + 1 :]
        for i, old in enumerate(text)
        if old.isdigit()
        for digit in "0123456789"
        if digit != old
    ]


def generated(shape: str, draw: random.Random) -> tuple[str, str]:
    """A correct table of a shape that people print, and the ending of its file."""
    if shape == "classes in columns":
        rows = []
        for row in range(3):
            members = [f"{draw.uniform(15, 95):.1f}" for _ in CLASSES]
            rows.append([f"net{row}", *members, of(members, 1)])
        return pipe(["net", *CLASSES, "mIoU"], *rows), ".md"
    if shape == "one row":
        members = [f"{draw.uniform(15, 95):.1f}" for _ in CLASSES]
        return pipe(["data", *CLASSES, "Mean IoU (%)"], ["x", *members, of(members, 2)]), ".md"
    if shape == "five long fractions":
        members = [f"{draw.uniform(0.3, 0.9):.8f}" for _ in range(5)]
        names = ",".join(f"iou_{i}" for i in range(2, 7))
        return f"net,{names},miou_2_6\na,{','.join(members)},{of(members, 8)}\n", ".csv"
    if shape == "latex":
        rows = []
        for row in range(3):
            members = [f"{draw.uniform(0.3, 0.9):.3f}" for _ in CLASSES]
            rows.append(f"net{row} & {' & '.join(members)} & \\textbf{{{of(members, 3)}}} \\\\\n")
        return "\\begin{tabular}{l" + "c" * 13 + "}\nnet & " + " & ".join(
            CLASSES
        ) + " & mAP \\\\ \\hline\n" + "".join(rows) + "\\end{tabular}\n", ".tex"
    if shape == "down a column":
        members = [f"{draw.uniform(0.1, 0.99):.2f}" for _ in CLASSES]
        rows_ = "".join(f"{name},{value}\n" for name, value in zip(CLASSES, members, strict=True))
        return f"scene,accuracy\n{rows_}mean,{of(members, 3)}\n", ".csv"
    assert shape == "log"
    members = [f"{draw.uniform(0.2, 0.95):.5f}" for _ in range(6)]
    return "".join(
        f"class #{i} : {value}\n" for i, value in enumerate(members)
    ) + f"\nmean_iou: {of(members, 6)}\n", ".log"


SHAPES = ("classes in columns", "one row", "five long fractions", "latex", "down a column", "log")


@pytest.mark.parametrize("shape", SHAPES)
def test_typos_are_found_and_clean_tables_are_not_accused(shape: str) -> None:
    """Every single-digit typo of every printed mean, and of the first figure below it.

    A typo is missed only where the printed digits cannot show it: the changed row still holds by rounding.
    """
    draw = random.Random(shape)
    planted = seen = 0
    for _ in range(3):
        text, ending = generated(shape, draw)
        document = READERS[ending](text)
        clean = audit_document("clean", document, Options())
        assert not [f for f in clean.findings if f.verdict == "against"], "a false alarm"
        held = [f for f in clean.findings if f.check == "mean"]
        assert held
        for finding in held:
            for position, place in enumerate(finding.places[:2]):
                for wrong in typos(place.figure.text):
                    audit = audit_document("typo", with_cell(document, place, wrong), Options())
                    caught = any(f.verdict == "against" for f in audit.findings)
                    members = [p.figure for p in finding.places[1:]]
                    mean = finding.places[0].figure
                    if position:
                        members[position - 1] = figure(wrong)
                    else:
                        mean = figure(wrong)
                    assert caught or mean_fit(members, mean) == "rounded", (wrong, place.figure.text)
                    planted += position == 0
                    seen += caught and position == 0
    assert seen / planted >= 0.85, f"{seen} of {planted} typos of printed means"


USUAL = {
    "average precision by object size": ("net,AP,AP50,AP75,APS,APM,APL", "a,37.9,58.8,41.1,22.4,41.1,49.1"),
    "pairs in a cell": ("net,MNLI-(m/mm),QQP,CoLA,Average", "a,84.6/83.4,71.2,52.1,79.6"),
    "a score and errors": ("net,mAP,NDS,mATE,mASE", "a,58.0,65.5,0.31,0.25"),
    "recalls and ranks": ("net,R@1,R@5,R@10,MdR,Sum", "a,44.5,71.4,81.6,2.0,197.5"),
    "a method called mean": ("set,Mean Teacher,Mean Shift,average pooling", "a,12.3,11.4,10.1"),
    "sizes and speeds": ("net,size (px),mAP 50-95,mAP 50,CPU (ms),params (M)", "a,640,28.0,45.7,45,1.9"),
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_tables_without_a_mean_are_not_accused(audited: Audited, name: str) -> None:
    head, row = USUAL[name]
    assert not [f for f in audited(pipe(head.split(","), row.split(","))).findings if f.verdict == "against"]
