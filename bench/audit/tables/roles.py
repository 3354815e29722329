"""What each column of a table is, read off its name, its values and what the user says.

All of it is a guess, kept with its reason, so that ``--explain`` can show it. Nothing that rests on a guess
is called *certain*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from bench.audit.tables.layout import Table, TableRow
from bench.claims.cells import Cell
from reference.errors import InputError


class Role(NamedTuple):
    """What a column of this role holds, and the names (normalised) that it goes by."""

    title: str
    names: str


ROLES: dict[str, Role] = {
    "n": Role("number of images or items",
        r"n|n (test|val|images?|samples?|items?)|support|#|(# |no |num |number of |test |val )?(images"
        r"|samples|items|examples|instances|subjects|patients)|count|test size"),
    "runs": Role("number of runs", r"(# |no |num |number of )?(runs|seeds|trials|repeats|repetitions)"),
    "top1_error": Role("top-1 error",
        r"top ?1 (val |test )?(err|error)( rate)?|(val |test )?(err|error) ?@ ?1"),
    "top5_error": Role("top-5 error",
        r"top ?5 (val |test )?(err|error)( rate)?|(val |test )?(err|error) ?@ ?5"),
    "error": Role("error", r"(test |val |validation |classification )?(err|error)( rate)?"),
    "top1": Role("top-1 accuracy",
        r"(imagenet |val |test )?(top ?1|acc ?@ ?1|accuracy ?@ ?1|acc1)( (acc|accuracy|val|test|score))*"),
    "top5": Role("top-5 accuracy",
        r"(imagenet |val |test )?(top ?5|acc ?@ ?5|accuracy ?@ ?5|acc5)( (acc|accuracy|val|test|score))*"),
    "pixel_accuracy": Role("pixel accuracy",
        r"pixel ?(wise )?(acc|accuracy)|pix ?acc|pa|aacc|pacc|global (acc|accuracy)"),
    "mean_accuracy": Role("mean class accuracy", r"mean (class |pixel )?(acc|accuracy)|macc|mpa|m acc"),
    "accuracy": Role("accuracy",
        r"(test |val |overall |validation |clean |classification |avg |average )?(acc|accuracy)( test"
        r"| val| score)?|oa"),
    "miou": Role("mean IoU",
        r"m ?iou|(mean|avg|average) (iou|iu|jaccard|jaccard index|intersection over union)( classes?)?"
        r"|miu|(val|test) miou|miou (val|test|ss|ms)"),
    "fwiou": Role("frequency-weighted IoU", r"f ?w ?iou|f ?w ?iu|(frequency|freq) weighted (iou|iu)"),
    "mdice": Role("mean Dice", r"m ?dice|(mean|avg|average) (dice|dsc)( score| coefficient)?|m ?dsc"),
    "ap50": Role("AP at IoU 0.5",
        r"(box |bbox |mask )?m?ap ?(@ ?)?(50|0?\.5|@ ?iou ?= ?0?\.50?)( box| mask| val)?"),
    "ap75": Role("AP at IoU 0.75", r"(box |bbox |mask )?m?ap ?(@ ?)?(75|0?\.75)( box| mask| val)?"),
    "ap_part": Role(
        "average precision or recall of some objects, or at another limit",
        r"(box |bbox |mask )?m?a[pr] ?(s|m|l|small|medium|large)( box| mask)?|m?ar( ?@? ?\d{1,3})?",
    ),
    "ap": Role("average precision",
        r"(box |bbox |mask )?m?ap( box| bbox| mask| val| test)?|m?ap ?(@ ?)?\[?(0?\.50?"
        r"|50) ?[: ] ?(0?\.95|95)\]?( val)?|(mean )?average precision"),
    "precision": Role("precision", r"(macro |micro |weighted |mean |avg )?(precision|prec|ppv)"),
    "recall": Role("recall", r"(macro |micro |weighted |mean |avg )?(recall|rec|sensitivity|tpr)"),
    "f1": Role("F1",
        r"(macro |micro |weighted |mean |avg )?(f ?1|f ?score|f ?measure|f 1)( score| measure| macro"
        r"| micro)?"),
    "min": Role("smallest", r"min|minimum|lowest"),
    "max": Role("largest", r"max|maximum|highest"),
    "median": Role("median", r"median|med"),
    "mean": Role("mean of other columns or of runs",
        r"mean|avg|average|ave|(mean|avg|average|overall|macro) (avg|average|mean)|(avg|average|mean"
        r"|macro) (of |over |across )?(all|all tasks|acc|accuracy|accuracies|score|scores|iou|iu|ap|dice"
        r"|dsc|f ?1|auc|auroc|recall|precision|performance|error|classes|tasks)|(all|task|tasks|class"
        r"|classes|overall|total|acc|accuracy|iou|ap|f ?1|score) (avg|average|mean)|m (recall|precision"
        r"|f ?score|f ?1|pq|auc)|m(recall|precision|fscore|f1|pq|rec|prec)"),
    "harmonic": Role("harmonic mean", r"h|hm|h mean|hmean|harmonic( mean)?|h score"),
    "sd": Role("standard deviation", r"std|sd|stdev|std dev|std\. ?dev\.?|standard deviation|σ|±|\+ ?/? ?"),
    "delta": Role("difference",
        r"δ.*|delta.*|diff|difference|gain|improvement|impr|change|.* (gain|improvement|diff|difference)"
        r"|rel .*"),
    "share": Role("share of the whole",
        r"share|percentage|percent|proportion|portion|fraction|pct|% of (total|all|images|pixels|samples)"),
    "total": Role("sum of other columns", r"total|sum|σ total|grand total|in total"),
    "overall": Role("all together, in a way not said", r"all|overall|final|score|combined"),
    "aside": Role(
        "no result, or one that no check knows",
        r"(#? ?|number of |num )?(params?|parameters|flops?|macs?|gflops?|mflops?|gmacs?|fps|latency|time"
        r"|runtime|epochs?|ep|lr|learning rate"
        r"|batch( size)?|bs|input( size)?|image( size)?|img ?size|size|resolution|res|crop( size)?|memory"
        r"|mem|gpu mem.*|year|rank|seed|speed"
        r"|throughput|iters?|iterations|steps?|layers|depth|width|dim|dims|id|index|idx|fold|lr schd|schd"
        r"|schedule|temperature|weights?|loss|.* loss"
        r"|perplexity|ppl|stride|os|gts|dets|download|model size|inf time.*|mem gb|#|gpus?|shots?|k|patch"
        r"|heads|version|date"
        r"|train(ing)? time.*|test time.*|hours|.* time|.* memory|ece|nll|fid|threshold|score thr"
        r"|seq len.*|length)( [mgk]b?| s| ms| h| im s| px| m| g| b| mb| gb| gflops)?",
    ),
    "aside_count": Role("sizes of parts",
        r"train|val|test|training|validation|train (set|images|size)|val (set|images)|test (set|images)"),
}  # fmt: skip
"""In the order in which they are tried; a column of none of these names holds values of its own name."""

MEANS = {"mean": "", "miou": "iou", "mdice": "dice", "mean_accuracy": "acc", "ap": "ap"}
"""Roles that can be the mean of other columns, and the metric that those are of."""

ACCURACIES = ("top1", "accuracy", "top5", "error", "top1_error", "top5_error")
"""Roles whose figure is a share of the images."""

VALUE, LABEL = "value", "label"

_WORDS = re.compile("|".join(f"(?P<{role}>{entry.names})" for role, entry in ROLES.items()))
_COUNTED = re.compile(
    r"(?<![\w.])(\d{1,3}(?:[, ]\d{3})+|\d+)\s*(?:(?:test|val|validation|evaluation|held-out)\s+)?"
    r"(images|samples|examples|instances|subjects|patients|items|sentences|questions|clips|videos)\b"
    r"|\b[nN]\s*=\s*(\d{1,3}(?:,\d{3})+|\d+)(?![\d.])"
)
_RUNS = re.compile(
    r"(?<![\w.])(\d{1,3})[ -]*(?:runs?|seeds?|trials?|repetitions|repeats|restarts)\b"
    r"|\bover (\d{1,2}) (?:random )?\w*\s?(?:runs|seeds)",
    re.I,
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column as it was read.

    Attributes:
        role: key of ``ROLES``, ``value`` or ``label``.
        why: what the role was read from.
        unit: ``percent``, ``fraction`` or empty for neither.
        n, runs: images that each figure is of, runs that it is a mean of; None where that is not said.
        n_why: where ``n`` and ``runs`` are from.
        given: the user said what the column is.
        figures: how many of its cells hold a figure.
    """

    index: int
    name: str
    role: str
    why: str
    unit: str = ""
    unit_why: str = ""
    n: int | None = None
    runs: int | None = None
    n_why: str = ""
    given: bool = False
    figures: int = 0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user says of the tables; it goes before every guess."""

    n: int | None = None
    runs: int | None = None
    split: str = ""
    data: str = ""
    unit: str = ""
    means: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReadTable:
    """A table with the roles of its columns, and of its rows where the first column names metrics."""

    table: Table
    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    row_roles: tuple[str, ...]
    options: Options = field(default_factory=Options)

    def numeric(self) -> list[Column]:
        """The columns that hold results."""
        return [column for column in self.columns if column.role not in (LABEL, "aside")]

    def cell(self, row: int, column: int) -> Cell:
        """One cell."""
        return self.table.rows[row].cells[column]


@lru_cache(maxsize=1 << 15)
def normal(name: str) -> str:
    """A name in lower case, without arrows, brackets' content and percent signs, words split by spaces."""
    name = re.sub(r"(?<=[a-z])(?=IoU|Acc|Dice)", " ", name) if len(name) > 5 else name
    name = re.sub(r"\([^()]*\)|\[[%↑↓ ]*\]", " ", name).lower()
    name = re.sub(r"[↑↓%*†‡$]|\^\w", " ", name)
    return " ".join(re.sub(r"[_\-–/|:;,{}\\]+|(?<!\d)\.(?!\d)", " ", name).split())


@lru_cache(maxsize=1 << 15)
def role_of_name(name: str) -> str:
    """The role that a name stands for, ``value`` where it is nobody's."""
    plain = normal(name)
    if not plain:
        return VALUE
    if len(plain) <= 80 and (match := _WORDS.fullmatch(plain)):
        return str(match.lastgroup)  # the role's own group, which closes last
    if ranged := re.fullmatch(r"(.*\D) ?\d{1,3} (?:to )?\d{1,3}", plain):
        return role_of_name(ranged[1])
    # A name of several header levels, "Office-31 / Avg", or of metric and data set, "Top-1 (ImageNet)".
    last = name.rpartition(" / ")[2]
    return role_of_name(last) if last != name else VALUE


def read_roles(table: Table, options: Options) -> ReadTable:
    """Guess what every column of a table is."""
    table = _with_decimal_commas(table)
    columns = [_column(table, index, options) for index in range(len(table.names))]
    labels = _labels(table, columns)
    columns = [_counted_in(table, column, columns) for column in columns]
    return ReadTable(
        table=table,
        columns=tuple(columns),
        labels=labels,
        row_roles=tuple(role_of_name(label) for label in labels),
        options=options,
    )


def _with_decimal_commas(table: Table) -> Table:
    """Where a column prints ``98,15`` elsewhere, its ``1,014`` has two readings and is not understood."""
    doubtful = {}
    for index in range(len(table.names)):
        texts = [row.cells[index].text for row in table.rows if row.cells[index].kind == "figure"]
        with_comma = [text for text in texts if "," in text]
        if not with_comma:
            continue
        decimal = [text for text in with_comma if not re.search(r"(?<!\d)[1-9]\d{0,2}(,\d{3})+(?!\d)", text)]
        if decimal and len(decimal) < len(with_comma):
            doubtful[index] = "a comma that separates thousands or decimals"
    if not doubtful:
        return table

    def doubted(row: TableRow) -> TableRow:
        cells = [
            cell._replace(kind="text", figure=None, why=doubtful[i])
            if i in doubtful and re.search(r"(?<!\d)[1-9]\d{0,2}(,\d{3})+(?!\d)", cell.text)
            else cell
            for i, cell in enumerate(row.cells)
        ]
        return TableRow(row.line, tuple(cells))

    return replace(table, rows=tuple(map(doubted, table.rows)))


def _column(table: Table, index: int, options: Options) -> Column:
    name = table.names[index]
    cells = [row.cells[index] for row in table.rows]
    figures = [cell for cell in cells if cell.kind == "figure" and cell.figure]
    numbers = sum(cell.kind in ("figure", "quantity", "about", "pair", "count") for cell in cells)
    texts = sum(cell.kind == "text" for cell in cells)
    if texts > numbers or (not numbers and index == 0):
        return Column(
            index=index, name=name, role=LABEL, why="most of its cells are words", figures=len(figures)
        )
    if not numbers:
        return Column(index=index, name=name, role="aside", why="no figure in it")
    role = role_of_name(name)
    why = "its name" if role != VALUE else "a name of its own"
    if index == 0 and _is_numbering(cells, name):
        role, why = LABEL, "the first column counts or names the rows"
    elif index == 0 and len(cells) > 1 and {cell.text for cell in cells} <= {*table.names[1:]}:
        role, why = LABEL, "its cells are the names of the columns"
    if role == "aside_count":
        whole = all(cell.figure and not cell.figure.decimals for cell in figures)
        role, why = ("n", "a size: whole numbers") if whole else (VALUE, "a name of its own")
    if role == "n" and any(cell.figure and cell.figure.decimals for cell in figures):
        role, why = VALUE, "its name is that of a count, its figures are not whole"
    if len(figures) * 2 < numbers:
        role, why = "aside", "most of its cells are quantities with units, or pairs"
    unit, unit_why = _unit(name, role, figures, options)
    n, runs, n_why = _sizes(f"{name}", options, table.title)
    return Column(
        index=index, name=name, role=role, why=why, unit=unit, unit_why=unit_why, n=n, runs=runs, n_why=n_why,
        figures=len(figures),
    )  # fmt: skip


def _is_numbering(cells: Sequence[Cell], name: str) -> bool:
    if not normal(name) or re.fullmatch(
        r"#|id|idx|index|no|rank|epoch|step|iteration|iter|seed|run|fold|class|k|year", normal(name)
    ):
        return all(cell.figure is None or not cell.figure.decimals for cell in cells)
    return False


def _unit(name: str, role: str, figures: Sequence[Cell], options: Options) -> tuple[str, str]:
    if role in ("n", "runs", "aside", LABEL, "total"):
        return "", ""
    if options.unit:
        return options.unit, "--unit"
    if "%" in name or any(cell.percent for cell in figures):
        return "percent", "a percent sign"
    values = [abs(cell.figure.digits) / 10**cell.figure.decimals for cell in figures if cell.figure]
    if not values:
        return "", ""
    small = sum(value <= 1 for value in values)
    if small == len(values) and any(cell.figure and cell.figure.decimals for cell in figures):
        return "fraction", "no value above 1"
    if (
        small > 2
        and 3 * small >= 2 * len(values)
        and all(cell.figure.decimals >= 2 for cell in figures if cell.figure)
    ):
        return "fraction", "most values not above 1"
    if max(values) <= 100:
        return "percent", "values up to 100"
    return "", "values above 100"


def _sizes(name: str, options: Options, title: str) -> tuple[int | None, int | None, str]:
    """Images and runs that the name of a column or the table's title gives."""
    n = runs = None
    n_why = ""
    for text, place in ((name, "its name"), (title, "the title")):
        if n is None and (match := _COUNTED.search(text)):
            n, n_why = _whole(match[1] or match[3]), place
        if runs is None and (match := _RUNS.search(text)):
            runs = int(match[1] or match[2])
            n_why = n_why or place
    if options.n is not None:
        n, n_why = options.n, "--n"
    if options.runs is not None:
        runs = options.runs
    return (n or None), (runs or None), n_why


def _whole(text: str) -> int:
    return int(re.sub(r"\D", "", text)[:12] or 0)


def _counted_in(table: Table, column: Column, columns: Sequence[Column]) -> Column:
    """A standard deviation, minimum or maximum next to one metric shares its unit."""
    if column.role in ("sd", "min", "max") and column.unit == "fraction":
        others = {c.unit for c in columns if c.role in (*ACCURACIES, "mean", VALUE) and c.unit}
        if others == {"percent"}:
            return replace(column, unit="percent", unit_why="as the column next to it")
    return column


def _labels(table: Table, columns: Sequence[Column]) -> tuple[str, ...]:
    """What each row is called: its words, else its place."""
    texts = [column.index for column in columns if column.role == LABEL]
    labels = []
    for position, row in enumerate(table.rows, start=1):
        words = [row.cells[i].text for i in texts[:3] if any(map(str.isalnum, row.cells[i].text))]
        labels.append(" ".join(words) or f"row {position}")
    return tuple(labels)


def means_given(option: str) -> tuple[str, str]:
    """``Avg=A..R`` as (mean, members). Raises: InputError."""
    mean, sign, members = option.partition("=")
    if not sign or not mean.strip() or not members.strip():
        raise InputError(f'--mean {option!r}: give the mean and its members, as in "Avg=A..R" or "Avg=A,C,D"')
    return mean.strip(), members.strip()


def columns_named(spec: str, names: Sequence[str], find: Callable[[str], int | None]) -> list[int] | None:
    """The columns of ``A..R`` or ``A,C,D``; None where one of them is not in the table."""
    chosen: list[int] = []
    for part in spec.split(","):
        first, sign, last = part.partition("..")
        start = find(first.strip())
        end = find(last.strip()) if sign else start
        if start is None or end is None:
            return None
        chosen += range(min(start, end), max(start, end) + 1)
    return list(dict.fromkeys(index for index in chosen if index < len(names)))


def finder(names: Sequence[str]) -> Callable[[str], int | None]:
    """A function from a printed name to the index of the column or row that it means; case is ignored."""
    exact = {name: index for index, name in reversed(list(enumerate(names)))}
    loose = {normal(name) or name.lower(): index for index, name in reversed(list(enumerate(names)))}

    def find(name: str) -> int | None:
        match = exact.get(name)
        return match if match is not None else loose.get(normal(name) or name.lower())

    return find
