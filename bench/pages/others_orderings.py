"""The parts of ``others.md`` about orderings: how many others agree, settings A to E, R4's two by two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from bench.grading.agreement import (
    IMPROVED_OVER_BASELINE,
    TWO_BY_TWO,
    Agreement,
    PairSide,
    agreements,
    asked,
    gaps,
    p_text,
    setting_pairs,
)
from bench.grading.others import best_figures, short
from bench.grading.others_survey import Others
from bench.pages.markdown import pipe_table, plain

_DECIDED = 0.05

_HEADS = [
    "first over second", "agree", "against", "p", "share that agrees, 95 %", "median difference",
    "graded reports", "with the graded reports", "with inconsistent figures",
]  # fmt: skip


def parts(others: Others) -> list[str]:
    """Everything about orderings, each part as Markdown."""
    return [*_orderings(others), *_settings(others), *_two_by_two(others)]


def _orderings(others: Others) -> list[str]:
    rows = agreements(others.ledgers, others.survey, others.inconsistent)
    if not rows:
        return []
    improved = asked(*IMPROVED_OVER_BASELINE, others.ledgers, others.survey, others.inconsistent)
    table = [[*_row(row, others), _codes(row.claims), _codes(row.opposite)] for row in rows if row.gaps]
    told = [
        "## Orderings",
        "How many other reports that print both sides agree. **p** is the exact two-sided sign test over the"
        " others alone. The graded reports stand beside it, one vote each. Differences are in points,"
        " first minus second.",
        pipe_table([*_HEADS, "claimed by", "opposite claimed by"], table, right=(1, 2)),
        f"Beyond the claims: of the others that print both, {improved.agree} of {improved.n} print more for"
        f" their best improved land-cover model than for their own VGG16-FCN32s (p = {p_text(improved.p)},"
        f" median {_points(improved.median_gap)} points).",
    ]
    missing = [name for row in rows if not row.gaps for name in row.claims]
    if missing:
        told.append(f"No other report prints both sides of {', '.join(f'`{name}`' for name in missing)}.")
    return told


def _codes(names: Sequence[str]) -> str:
    return "<br>".join(f"`{name}`" for name in names) or "–"


def _row(row: Agreement, others: Others) -> list[str]:
    interval = row.interval
    return [
        plain(f"{_title(row.first)} > {_title(row.second)}"),
        str(row.agree),
        str(row.against) + (f" ({row.ties} tied)" if row.ties else ""),
        p_text(row.p),
        f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %" if interval else "–",
        _points(row.median_gap),
        ", ".join(f"{report.upper()} {_points(gap)}" for report, gap in row.graded.items()) or "–",
        _count([*row.gaps.values(), *row.graded.values()]),
        _count(gaps(row.first, row.second, others.survey).values()),
    ]


def _count(differences: Iterable[float]) -> str:
    """How many differences are positive, and how many negative: ``"39 to 3"``."""
    signs = [difference > 0 for difference in differences if difference]
    return f"{sum(signs)} to {len(signs) - sum(signs)}"


def _title(side: PairSide) -> str:
    return side.title if side.class_index is None else f"{side.title}, class {side.class_index}"


def _points(gap: float | None) -> str:
    return "–" if gap is None else f"{100 * gap:+.1f}".replace("-", "−")


# Settings A to E ----------------------------------------------------------------------------------------


def _settings(others: Others) -> list[str]:
    """What the survey changes in what is said of settings A to E; nothing where none of them is claimed."""
    pairs = setting_pairs(others.ledgers, others.survey, others.inconsistent)
    if not any(pair.graded for pair in pairs):
        return []
    open_pairs = [pair for pair in pairs if pair.p >= _DECIDED]
    decided = "; ".join(_counted(pair) for pair in pairs if pair.p < _DECIDED)
    lines = [
        f"- Others decide these: {decided}.",
        f"- Others are divided, like the graded reports, over {'; '.join(map(_counted, open_pairs))}. A"
        f" quarrel over these needs no error to explain it.{_decided_by_all(open_pairs, others)}",
    ]
    against = "; ".join(filter(None, map(_dissent, pairs)))
    if against:
        lines.append(f"- Against what others decide: {against}.")
    return [
        "## Settings A to E: what the survey changes",
        "Three graded reports rank the five settings differently. Below are all ten pairs as other reports"
        " print them, first the setting that more of them print higher.",
        pipe_table(_HEADS, [_row(pair, others) for pair in pairs], right=(1, 2)),
        "\n".join(lines),
    ]


def _setting(side: PairSide) -> str:
    return str(side.reference.setting)


def _counted(pair: Agreement) -> str:
    return f"{_setting(pair.first)} over {_setting(pair.second)} ({pair.agree} to {pair.against})"


def _decided_by_all(pairs: Sequence[Agreement], others: Others) -> str:
    """Which open pairs the inconsistent figures would decide, if they counted."""
    every = [asked(pair.first, pair.second, (), others.survey) for pair in pairs]
    decided = [_counted(pair) for pair in every if pair.p < _DECIDED]
    return f" With the inconsistent figures they would also decide {'; '.join(decided)}." if decided else ""


def _dissent(pair: Agreement) -> str:
    """Graded reports that print the opposite of what others decide; empty where there is none."""
    dissenting = [report.upper() for report, gap in pair.graded.items() if gap < 0]
    if pair.p >= _DECIDED or not dissenting:
        return ""
    verb = "prints" if len(dissenting) == 1 else "print"
    return (
        f"{' and '.join(dissenting)} {verb} {_setting(pair.second)} above {_setting(pair.first)}, as"
        f" {pair.against} of {pair.n} others do"
    )


# R4's two by two ----------------------------------------------------------------------------------------


def _two_by_two(others: Others) -> list[str]:
    """R4's own question, from reports that print two of its four cells; nothing without its claim."""
    if "r4-order-seg" not in others.orderings:
        return []
    pairs = {
        name: asked(*sides, others.ledgers, others.survey, others.inconsistent)
        for name, sides in TWO_BY_TWO.items()
    }
    changes = [
        [
            name,
            plain(f"{pair.first.title} > {pair.second.title}"),
            str(len(pair.gaps)),
            f"{pair.agree} to {pair.against}" if pair.gaps else "–",
            _points(pair.median_gap),
            f"{_points(min(pair.gaps.values()))} to {_points(max(pair.gaps.values()))}" if pair.gaps else "–",
        ]
        for name, pair in pairs.items()
    ]
    sides = dict.fromkeys(side for both in TWO_BY_TWO.values() for side in both)
    (own_gain,) = (pair.graded["r4"] for pair in others.orderings["r4-order-seg"])
    return [
        "## ResNet or skips? R4's question",
        f"R4 changes the backbone and adds skips at once, gains {100 * own_gain:.1f} points, and says that it"
        " could not afford to find out which of the two it was. Other reports print two of the four cells;"
        " differences are in points.",
        pipe_table(
            ["change", "first over second", "others", "agree", "median", "range"], changes, right=(2,)
        ),
        pipe_table(
            ["cell", "others", "median mean IoU"], [_cell(side, others) for side in sides], right=(1,)
        ),
        _answer(pairs, own_gain),
    ]


def _cell(side: PairSide, others: Others) -> list[str]:
    best = best_figures(
        side.reference, others.survey, side.metric, keeps=lambda figure: figure not in others.inconsistent
    )
    values = [float(figure.fraction) for figure in best.values()]
    return [side.title, str(len(values)), short(median(values)) if values else "–"]


def _answer(pairs: Mapping[str, Agreement], own_gain: float) -> str:
    skips, backbone = pairs["skips, over VGG16"], pairs["ResNet, without skips"]
    as_much = sum(gap >= own_gain for gap in skips.gaps.values())
    return (
        f"Skips alone gain a median of {_points(skips.median_gap)} points over VGG16,"
        f" {100 * (skips.median_gap or 0) / own_gain:.0f} % of R4's gain, and {as_much} of {len(skips.gaps)}"
        f" others gain as much as R4 with skips alone. Only {len(backbone.gaps)} others print the ResNet's"
        " part, too few to say. Their networks are torchvision's with dilated backbones, a third change."
    )
