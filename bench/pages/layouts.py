"""Each report's results in its own layout, line for line as printed, with ours beside them.

MNIST-1D, R1, R2, R3 and R5 print tables, whose headings and cells are repeated here (translated where they
are not in English); R4 prints the output of its validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.claims.claim import Claim
from bench.grading.grader import GradedClaim
from bench.grading.groups import Group
from bench.grading.measured import Measured
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import bracket, digits, figure_text
from reference.data.dataset import OFFICIAL_PALETTE

# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class _Table:
    """A table of a report: its heading, its column heads, and its rows' cells with the claim of each.

    Attributes:
        printed: how the last cell is printed, of ``value`` and ``epoch``.
        across: the report has a column, not a row, for each claim.
    """

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], str], ...]
    printed: str = "{value}"
    across: bool = False


_FULL, _HEAD = "Train full model (backbone + classifier)", "Fix the backbone. Train classifier only"
_WITH, _WITHOUT = "w/ label (TAs have provided this backbone)", "w/o label (Your SSL pre-trained backbone)"

TABLES: dict[str, tuple[_Table, ...]] = {
    "mnist1d": tuple(
        _Table(
            f"{row}, accuracy in % (README table)",
            ("Dataset", "Logistic regression", "MLP", "CNN", "GRU", "Human expert"),
            tuple(
                ((row,), f"mnist1d-{prefix}{model}") for model in ("logistic", "mlp", "cnn", "gru", "human")
            ),
            across=True,
        )
        for row, prefix in (("MNIST-1D", ""), ("MNIST-1D (shuffle)", "shuffled-"))
    ),
    "r1": (
        _Table(
            "Office-Home (r1:315)",
            ("Setting", "Pre-training (Mini-ImageNet)", "Fine-tuning (Office-Home dataset)"),
            (
                (("A", "-", _FULL), "r1-finetune-a"),
                (("B", _WITH, _FULL), "r1-finetune-b"),
                (("C", _WITHOUT, _FULL), "r1-finetune-c"),
                (("D", _WITH, _HEAD), "r1-finetune-d"),
                (("E", _WITHOUT, _HEAD), "r1-finetune-e"),
                (("C", "the text's best within 400 epochs (r1:327)", _FULL), "r1-finetune-c-400"),
            ),
            printed="Epoch {epoch} : {value}",
        ),
        _Table(
            "mIoUs of two models on the validation set (r1:681)",
            ("Model", "VGG16-FCN32s model (model A)", "model B"),
            ((("mIoU",), "r1-seg-a"), (("mIoU",), "r1-seg-b")),
            printed="epoch {epoch} : {value}",
            across=True,
        ),
    ),
    "r2": (
        _Table(
            "Classification (r2:79)",
            ("",),
            ((("The accuracy on the validation set",), "r2-classify"),),
        ),
        _Table(
            "Segmentation (r2:261-275)",
            ("",),
            (
                (("The mIOU of the baseline model on the validation set",), "r2-seg-a"),
                (("The mIOU of the improved model on the validation set",), "r2-seg-b"),
                (("Its mIOU before Adam gave way to SGD, or without the change",), "r2-seg-b-adam"),
                (("Gain of the focal loss",), "r2-focal-gain"),
                (("Gain of the change to SGD",), "r2-sgd-gain"),
            ),
        ),
    ),
    "r3": (
        _Table(
            "Acc for Model A & B (r3:21)",
            ("", "Model A(VGG)", "Model B(Resnet152)"),
            ((("Acc",), "r3-classify-a"), (("Acc",), "r3-classify-b")),
            across=True,
        ),
        _Table(
            "Downstream task for Office-Home Image-Classification (r3:141; the cells of A to E run together"
            " there)",
            ("Setting", "Pre-training(Mini-Image-Net)", "Fine-tuning(Office-Home)"),
            (
                (("A", "", "Train full model"), "r3-finetune-a"),
                (("B", "w/ label(TA backbone)", "Train full model"), "r3-finetune-b"),
                (("C", "w/o label(My backbone)", "Train full model"), "r3-finetune-c"),
                (("D", "w/ label (TA backbone)", "Fix the backbone"), "r3-finetune-d"),
                (("E", "w/o label(My backbone)", "Fix the backbone"), "r3-finetune-e"),
            ),
        ),
        _Table(
            "mIoU on model A & B (r3:248)",
            ("", "Model A(FCN32s)", "Model B(DeepLabv3+)"),
            ((("mIoU",), "r3-seg-a"), (("mIoU",), "r3-seg-b")),
            across=True,
        ),
    ),
    "r5": (
        _Table(
            "Office-Home (r5:54)",
            ("Setting", "Pre-training (Mini-ImageNet)", "Fine-tuning (Office-Home dataset)"),
            (
                (("A", "-", _FULL), "r5-finetune-a"),
                (("B", "w/ label", _FULL), "r5-finetune-b"),
                (("C", "w/o label", _FULL), "r5-finetune-c"),
                (("D", "w/ label", "Train classifier only"), "r5-finetune-d"),
                (("E", "w/o label", "Train classifier only"), "r5-finetune-e"),
            ),
        ),
    ),
}


@dataclass(frozen=True)
class Filled:
    """A report's table with ours beside: its heading, its column heads and its cells.

    Attributes:
        graded: (row, column) of every cell that is a grade.
    """

    heading: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    graded: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Printout:
    """A report's printed output with ours beside, as lines of fixed width, under its heading."""

    heading: str
    claim: str
    grade: str
    text: str


def tables_of(tables: Sequence[_Table], rows: Sequence[GradedClaim]) -> list[Filled | Printout]:
    """A report's tables, with a column for our runs that count; a row where models stand in columns."""
    of = {row.claim.id: row for row in rows}
    return [_filled(one, of) for one in tables]


def _filled(one: _Table, of: Mapping[str, GradedClaim]) -> Filled:
    shown = [of[claim] for _, claim in one.rows]
    ours = {"measured": [figure_text(row.measured, row.claim.unit) if row.measured else "–" for row in shown]}
    printed = [_printed(one, row.claim) for row in shown]
    grades = [row.label for row in shown]
    if not one.across:
        heads = (*one.columns, "printed", *ours, "verdict")
        cells = tuple(
            (*names, printed[i], *(column[i] for column in ours.values()), grades[i])
            for i, (names, _) in enumerate(one.rows)
        )
        graded = frozenset((i, len(heads) - 1) for i in range(len(cells)))
        return Filled(one.heading, heads, cells, graded)
    label = one.rows[0][0][0]
    lines = {
        f"{label}, printed": printed,
        **{f"{label}, {name}": column for name, column in ours.items()},
        "verdict": grades,
    }
    cells = tuple((head, *column) for head, column in lines.items())
    graded = frozenset((len(cells) - 1, i + 1) for i in range(len(grades)))
    return Filled(one.heading, one.columns, cells, graded)


def _printed(one: _Table, claim: Claim) -> str:
    about = "about " if claim.approx else ""
    form = one.printed if claim.epoch is not None else "{value}"
    return about + form.format(value=claim.value, epoch=claim.epoch)


# ---------------------------------------------------------------- R4's listings


@dataclass(frozen=True)
class _Listing:
    """One of the outputs that a report prints: its heading there, and its lines with the claim of each."""

    heading: str
    lines: tuple[tuple[str, str], ...]


_IOU_LINES = tuple((f"class #{index} : ", f"-iou-{index}") for index in range(6))
R4_LISTINGS = (
    _Listing("VGG16-BN", (("Val Acc: ", "r4-classify"),)),
    *(
        _Listing(heading, (*((label, f"{slug}{end}") for label, end in _IOU_LINES), ("mean_iou: ", slug)))
        for heading, slug in (("VGG16+FCN32(50 epoch)", "r4-seg-a"), ("Resnet34+FCN8(50 epoch)", "r4-seg-b"))
    ),
)


def r4_printouts(rows: Sequence[GradedClaim]) -> list[Filled | Printout]:
    """R4's validation output, line for line as printed, with a column for our runs that count."""
    of = {row.claim.id: row for row in rows}
    return [_printout(listing, of) for listing in R4_LISTINGS]


def _printout(listing: _Listing, of: Mapping[str, GradedClaim]) -> Printout:
    rows = [of[claim] for _, claim in listing.lines]
    printed = [f"{label}{of[claim].claim.value}" for label, claim in listing.lines]
    seeds = next((_seeds(row.measured.group) for row in rows if row.measured), "not tested")
    columns = [["printed", "", *printed]]
    columns.append(["measured", seeds, *(_r4_cell(row.measured, row.claim) for row in rows)])
    if len(rows) > 1:
        columns.append(["class", "", *OFFICIAL_PALETTE.classes, "mean"])
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]
    main = rows[-1]
    return Printout(listing.heading, main.claim.id, main.label, "\n".join(lines))


def _r4_cell(measured: Measured | None, claim: Claim) -> str:
    """With the printed figure's digits; the interval needs no more than four."""
    if measured is None:
        return "-"
    return f"{digits(measured.mean, claim.decimals)}{bracket(measured)}"


def _seeds(group: Group) -> str:
    return f"{len(group.runs)} seed{'s' if len(group.runs) > 1 else ''}, {group.numerics}"


FORMATS: dict[str, Callable[[Sequence[GradedClaim]], list[Filled | Printout]]] = {
    **{report: partial(tables_of, tables) for report, tables in TABLES.items()},
    "r4": r4_printouts,
}
"""How each report prints its results."""


def in_markdown(results: Sequence[Filled | Printout]) -> str:
    """A report's results, as Markdown."""
    return "\n\n".join(
        _table_in_markdown(one) if isinstance(one, Filled) else _printout_in_markdown(one) for one in results
    )


def _table_in_markdown(one: Filled) -> str:
    cells = [
        [f"**{cell}**" if (i, j) in one.graded else plain(cell) for j, cell in enumerate(row)]
        for i, row in enumerate(one.rows)
    ]
    return f"**{plain(one.heading)}**\n\n{pipe_table([*map(plain, one.heads)], cells)}"


def _printout_in_markdown(one: Printout) -> str:
    title = f"**{plain(one.heading)}**: `{one.claim}`, **{one.grade}**"
    return f"{title}\n\n```text\n{one.text}\n```"
