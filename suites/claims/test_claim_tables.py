"""``[[table]]`` and ``[[data]]`` of a claims file: rows become claims, and every slip is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.audit import audit
from bench.claims.claim import METRICS, Ledger
from bench.claims.claim_keys import printed_figure
from bench.claims.ledger import load_ledger
from reference.errors import InputError

HEAD = '[report]\nid = "mine"\ntitle = "Mine"\n'
DATA = '[[data]]\nname = "digits"\nclasses = 10\nsplits = { train = 898, test = 899 }\n'


def table(*rows: str, columns: str = '"name", "top1"', more: str = 'unit = "fraction"') -> str:
    body = "".join(f"  [{row}],\n" for row in rows)
    return (
        f'[[table]]\nid = "mine-t1"\nplace = "table 1"\ndata = "digits"\nsplit = "test"\n{more}\n'
        f"columns = [{columns}]\nrows = [\n{body}]\n"
    )


def ledger(tmp_path: Path, *parts: str) -> Ledger:
    file = tmp_path / "mine.toml"
    file.write_text("\n".join([HEAD, *parts]), encoding="utf-8")
    return load_ledger(file)


def refusal(tmp_path: Path, *parts: str) -> str:
    with pytest.raises(InputError) as caught:
        ledger(tmp_path, *parts)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Figures as printed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "spread", "percent"),
    [
        (".703", "0.703", None, False),
        ("98.1%", "98.1", None, True),
        ("98.1 %", "98.1", None, True),
        ("98.1*", "98.1", None, False),
        ("**98.10**", "98.10", None, False),
        ("−0.3", "-0.3", None, False),
        ("98.25 ± 0.06", "98.25", "0.06", False),
        ("98.25 (0.06)", "98.25", "0.06", False),
        ("1,014", "1014", None, False),
        ("0.785600", "0.785600", None, False),
        ("+1.20", "+1.20", None, False),
    ],
)
def test_a_figure_keeps_every_printed_digit(text: str, value: str, spread: str | None, percent: bool) -> None:
    figure = printed_figure(text)
    assert figure is not None
    assert (figure.value, figure.spread, figure.percent) == (value, spread, percent)


@pytest.mark.parametrize("text", ["", "x", "7e-1", "٠.٧", "1.2.3", "88.9/84.8", "25.6M", "nan", "1 2"])
def test_what_is_no_figure_is_not_guessed(text: str) -> None:
    assert printed_figure(text) is None


# Tables --------------------------------------------------------------------------------------------------


def test_a_table_of_eight_by_four_is_seventeen_lines_and_32_claims(tmp_path: Path) -> None:
    rows = [f'"net {i}", "0.{i}1", "0.{i}2", "0.{i}3", "0.{i}4"' for i in range(1, 9)]
    text = table(*rows, columns='"name", "top1", "top5", "miou", "f1"')
    assert len(text.splitlines()) == 17  # the declaration of the data set is six more at most
    claims = ledger(tmp_path, DATA, text).claims
    assert len(claims) == 32
    assert len({claim.id for claim in claims}) == 32
    assert claims[0].id == "mine-t1-net-1-top1"
    assert claims[0].recipe == "mine-t1-net-1"
    assert (claims[0].value, claims[3].value, claims[0].place) == ("0.11", "0.14", "table 1")


def test_rows_give_images_runs_lines_and_recipes(tmp_path: Path) -> None:
    text = table(
        '"mine-a", "98.10%", "500", "3", "12"',
        '"mine-b", "", "500", "3", "13"',
        '"mine-b", "97.2 ± 0.3", "1,000", "", "14"',
        columns='"recipe", "top1", "n", "runs", "line"',
        more='unit = "percent"',
    ).replace('place = "table 1"\n', "")
    first, second = ledger(tmp_path, DATA, text).claims
    assert (first.recipe, first.n, first.n_from, first.runs, first.lines) == (
        "mine-a", 500, "printed", 3, (12,),
    )  # fmt: skip
    assert (first.value, first.unit, second.n, second.runs, second.spread) == (
        "98.10", "percent", 1000, 1, "0.3",
    )  # fmt: skip


def test_columns_of_classes_are_numbered_or_named(tmp_path: Path) -> None:
    columns = '"name", "iou:sky", "iou:road", "miou"'
    claims = ledger(tmp_path, DATA, table('"a", "0.5", "0.7", "0.6"', columns=columns)).claims
    assert [claim.class_index for claim in claims] == [0, 1, None]
    assert [claim.id for claim in claims][:2] == ["mine-t1-a-iou-sky", "mine-t1-a-iou-road"]
    named = DATA.replace("classes = 10", 'classes = ["road", "sky"]')
    claims = ledger(tmp_path, named, table('"a", "0.5", "0.7", "0.6"', columns=columns)).claims
    assert [claim.class_index for claim in claims] == [1, 0, None]


REPORT = (
    '"0", "1.00", "0.50", "0.67", "2"',
    '"1", "0.75", "1.00", "0.86", "3"',
    '"accuracy", "", "", "0.80", "5"',
    '"macro avg", "0.88", "0.75", "0.76", "5"',
    '"weighted avg", "0.85", "0.80", "0.78", "5"',
)
REPORT_COLUMNS = '"class", "precision", "recall", "f1", "support"'


def test_a_classification_report_becomes_classes_means_and_an_accuracy(tmp_path: Path) -> None:
    one = ledger(tmp_path, DATA, table(*REPORT, columns=REPORT_COLUMNS))
    accuracy = one.claim("mine-t1-accuracy-f1")
    assert (accuracy.metric, accuracy.n, accuracy.value) == ("top1", 5, "0.80")
    macro, weighted = one.claim("mine-t1-macro-avg-recall"), one.claim("mine-t1-weighted-avg-recall")
    assert macro.mean_of == weighted.mean_of == ("mine-t1-0-recall", "mine-t1-1-recall")
    assert (macro.weights, weighted.weights) == ((), ("2", "3"))
    assert {claim.recipe for claim in one.claims} == {"mine-t1"}
    findings = audit([one])
    means = [f for f in findings if f.check == "mean"]
    assert len(means) == 6
    assert {f.verdict for f in means} == {"holds"}
    assert not [f for f in findings if f.verdict == "against"]


def test_a_wrong_average_of_a_classification_report_is_found(tmp_path: Path) -> None:
    rows = [row.replace('"0.85", "0.80"', '"0.85", "0.82"') for row in REPORT]
    against = [
        f for f in audit([ledger(tmp_path, DATA, table(*rows, columns=REPORT_COLUMNS))])
        if f.verdict == "against"
    ]  # fmt: skip
    assert [(f.check, f.strength, f.flagged) for f in against] == [
        ("mean", "certain", ("mine-t1-weighted-avg-recall",))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (table('"a"'), "mine-t1: row 1 has 1 cells; expected 2, one a column"),
        (table('"a", "abc"'), "mine-t1: row 1 (a), top1: 'abc' is no figure; expected one as printed"),
        (table('"a", ""'), "mine-t1: no cell holds a figure"),
        (table('"a", "0.5"', columns='"name", "topp1"'), "role 'topp1' of column 2 (nearest: 'top1')"),
        (table('"a", "b"', columns='"name", "class"'), "mine-t1: no column is a metric"),
        (table('"a", "b", "0.1"', columns='"name", "name", "top1"'), "two columns have the role 'name'"),
        (table('"a", "0.5"', more=""), "mine-t1: missing key 'unit'; add \"fraction\" or \"percent\""),
        (table('"a", "0.5", "x"', columns='"name", "top1", "n"'), "row 'a', n: 'x'; expected a whole number"),
        (table('"a", "0.5"', more='unit = "fraction"\ncolour = 1'), "mine-t1: unknown key 'colour'"),
        (table('"A b", "0.5"', columns='"recipe", "top1"'), "mine-t1-a-b-top1: recipe is 'A b'; expected a"),
        (
            table('"a", "0.5"', columns='"class", "recall"').replace("digits", "named"),
            "mine-t1: unknown class 'a' (valid: sky, road)",
        ),
    ],
)  # fmt: skip
def test_a_slip_in_a_table_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    named = '[[data]]\nname = "named"\nclasses = ["sky", "road"]\n'
    message = refusal(tmp_path, DATA, named, text)
    assert message.startswith("mine.toml: mine-t1")
    assert expected in message


# Data sets -----------------------------------------------------------------------------------------------


def test_a_declared_split_gives_the_number_of_images(tmp_path: Path) -> None:
    one = ledger(tmp_path, DATA, table('"a", "0.97"'))
    assert (one.claims[0].n, one.claims[0].n_from, one.data[0].classes) == (899, "outside", 10)
    drawn = ledger(tmp_path, DATA, table('"a", "0.97"', more='unit = "fraction"\nsource = "synthetic"'))
    assert drawn.claims[0].n is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[data]]\nclasses = 3\n', "data 1: missing key 'name'"),
        ('[[data]]\nname = "landcover"\n', "landcover: a data set of that name is built in"),
        (DATA + DATA, "digits: the name is declared twice"),
        ('[[data]]\nname = "x"\nclasses = ["a", "a"]\n', "x: classes names one class twice"),
        ('[[data]]\nname = "x"\nclasses = 0\n', "x: classes is 0; expected a number of classes or a list"),
        ('[[data]]\nname = "x"\nclasses = 3\nscored = [3]\n', "x: scored is [3]; expected different indices"),
        ('[[data]]\nname = "x"\nsplits = { test = 0 }\n', "x: splits is {'test': 0}; expected a table of"),
        ('[[data]]\nname = "x"\nmanifest = "abc"\n', "x: manifest is 'abc'; expected 64 hexadecimal digits"),
        ('[[data]]\nname = "x"\nclases = 3\n', "x: unknown key 'clases' (nearest: 'classes')"),
    ],
)  # fmt: skip
def test_a_slip_in_a_data_set_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refusal(tmp_path, text, DATA if "digits" not in text else "", table('"a", "0.5"'))


def test_a_data_set_that_nobody_declares_is_refused_with_the_nearest(tmp_path: Path) -> None:
    message = refusal(tmp_path, DATA.replace("digits", "digitz"), table('"a", "0.5"'))
    assert "unknown data 'digits' (nearest: 'digitz'); or declare it in a [[data]] table" in message


@pytest.mark.parametrize("metric", [name for name in METRICS if not name.startswith("delta_")])
def test_every_metric_can_be_claimed_within_its_range(tmp_path: Path, metric: str) -> None:
    entry = METRICS[metric]
    role = f"{metric}:a" if metric == "iou" else metric
    one = ledger(tmp_path, DATA, table('"a", "1"', columns=f'"name", "{role}"'))
    assert one.claims[0].metric == metric
    if entry.high == 1.0:
        text = table('"a", "1.01"', columns=f'"name", "{role}"')
        assert "is outside" in refusal(tmp_path, DATA, text)
