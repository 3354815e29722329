"""The page ``others.md``: what other reports print of the same tasks, and the claims among them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.grading.others import ABOVE, BELOW, IN_LINE, WORDS, PlaceAmongOthers, joint_places, short, span
from bench.grading.others_survey import Others
from bench.pages import others_orderings
from bench.pages.markdown import pipe_table, plain
from bench.pages.others_picture import picture
from bench.pages.wording import printed
from reference.files import write_atomically

PAGE = "others.md"

TASKS: dict[str, str] = {
    "classification50": "Classification, 50 classes (top-1 on 2,500 images)",
    "officehome": "Fine-tuning on Office-Home, settings A to E (top-1 on 406 images)",
    "landcover": "Land cover (mean IoU of 6 classes on 257 images)",
}
"""Headings of the tasks that are built in; another task is called by its name."""

HOW_TO_READ = """\
Other people were set the same tasks on the same official data and published what they got. Here each printed
result stands among theirs. This answers "is this number ordinary?" without training anything.

*How to read this page.* **Others** is the number of other reports that print a figure of the claim's
reference class: same task, same model family, same initial weights where the report states them. The classes
are declared in the claims files, not chosen by what comes out. One figure a report counts, its best. **One
more** is the 95 % interval that one more such report would fall into. **Rank** counts from the top, the claim
included. The words come from the interval alone:

{words}

Nothing here is a verdict of our own runs, and nothing is merged with them.
[docs/others.md](../docs/others.md) says how the figures were gathered and how good the interval is.
"""

LIMITS = """\
## What this evidence cannot say

- **The figures are self-reported.** Nobody has run these reports again. A figure near the middle of its class
  looks ordinary whether it was measured or made up. *In line with others* speaks for a number; it proves
  nothing.
- **Most figures are the best of many epochs on the validation split**, as are the graded ones. That lifts all
  of them alike. It is named here and not corrected. None of them estimates the accuracy on new images.
- **The reports are not a random sample.** They are the public ones, and a course with thresholds asked for
  them, so figures below a threshold were improved or not published. Some reports share code and a few
  authors worked together. The number of independent reports is somewhat smaller than the number of reports.
- **Classes are coarse.** Epochs, image sizes and augmentations differ within a class, and for some reports
  nobody knows which weights a network started from. The interval shows what people get with this network on
  this task, not what one recipe gives.
- **Wide intervals contradict little.** Where many runs failed, as in settings A to E, only a very high or
  very low figure falls outside. There the rank says more, and a rank needs no assumption about tails.
- **Many claims are compared.** {claims} figures are placed. About {expected:.0f} of as many honest ones would
  fall outside by chance alone; of these, {outside} do.
"""


def others_markdown(others: Others, folder: Path) -> str:
    """The page as Markdown. It names the hash of each picture in ``folder``, as it lies there."""
    words = "\n".join(f"- **{word}**: {meaning}" for word, meaning in WORDS.items())
    parts = ["# What others got", HOW_TO_READ.format(words=words), _counts(others)]
    joint = joint_places(others.places)
    for task, rows in _by_task(others).items():
        parts += [f"## {TASKS.get(task, task)}", *_picture_part(task, rows, folder), _place_table(rows)]
        parts += [plain(statement.sentence) + "." for statement in joint if statement.task == task]
    parts += others_orderings.parts(others)
    placed = [place for several in others.places.values() for place in several if place.interval]
    outside = sum(place.word in (ABOVE, BELOW) for place in placed)
    parts.append(LIMITS.format(claims=len(placed), expected=0.05 * len(placed), outside=outside))
    parts += _faults(others)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _counts(others: Others) -> str:
    excluded = Counter(figure.excluded for figure in others.survey if figure.excluded)
    years = sorted({figure.year for figure in others.survey})
    reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(excluded.items()))
    return (
        f"The survey holds {len(others.survey)} figures of {len({f.id for f in others.survey})} reports,"
        f" {years[0]} to {years[-1]}. {excluded.total()} belong to no class: {reasons}."
        f" {len(others.inconsistent)} fail the audit and are left out. The last column of each table shows"
        " what that and another choice change."
    )


def _by_task(others: Others) -> dict[str, list[PlaceAmongOthers]]:
    tasks: dict[str, list[PlaceAmongOthers]] = {}
    for several in others.places.values():
        for place in several:
            tasks.setdefault(place.reference.task, []).append(place)
    return {task: tasks[task] for task in sorted(tasks, key=lambda task: ([*TASKS, task].index(task), task))}


# Places -------------------------------------------------------------------------------------------------

_HEADS = [
    "claim", "printed", "class", "others", "their middle half", "one more", "rank", "says", "other choices",
]  # fmt: skip


def _place_table(rows: Sequence[PlaceAmongOthers]) -> str:
    return pipe_table(_HEADS, [_place_row(place) for place in rows], right=(3,))


def _place_row(place: PlaceAmongOthers) -> list[str]:
    index = place.claim.class_index
    return [
        f"`{place.claim.id}`",
        printed(place.claim),
        plain(place.title if index is None else f"{place.title}, class {index}"),
        str(place.n),
        _middle_half(place.dots) if place.interval else "–",
        span(place.interval) if place.interval else "–",
        plain(place.place_in_words) if place.interval else "–",
        place.word if place.word == IN_LINE else f"**{place.word}**",
        "<br>".join(_variant(name, other, place) for name, other in place.variants.items()) or "–",
    ]


def _middle_half(dots: Sequence[float]) -> str:
    low, _, high = quartiles(dots)
    return f"{short(low)} to {short(high)}"


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, ends included (Hyndman and Fan's type 7)."""
    ordered = sorted(values)

    def x_of(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return x_of(0.25), x_of(0.5), x_of(0.75)


def _variant(name: str, other: PlaceAmongOthers, place: PlaceAmongOthers) -> str:
    count = f"{name}: {other.n} others"
    if other.interval is None:
        return count
    word = f", **{other.word}**" if other.word != place.word else ""
    return f"{count}, {span(other.interval)}{word}"


# Pictures -----------------------------------------------------------------------------------------------


def claims_by_class(rows: Sequence[PlaceAmongOthers]) -> list[list[PlaceAmongOthers]]:
    """The claims of each reference class together, classes by name; IoUs of single classes left out."""
    classes: dict[str, list[PlaceAmongOthers]] = {}
    for place in rows:
        if place.claim.class_index is None and place.interval is not None:
            classes.setdefault(place.title, []).append(place)
    return [classes[title] for title in sorted(classes)]


def _picture_part(task: str, rows: Sequence[PlaceAmongOthers], folder: Path) -> list[str]:
    if not claims_by_class(rows):
        return []
    path = folder / picture_file(task)
    content = path.read_bytes() if path.exists() else b""
    return [
        "![Figures of others by reference class, and the claims among them; the table has the same figures]"
        f"({picture_file(task)})\n<!-- sha256 of the picture: {hashlib.sha256(content).hexdigest()} -->",
        "A dot is another report's best figure. The bar is the 95 % interval for one more report. A red"
        " line is a claim. A number at the left edge counts reports that lie below the axis.",
    ]


def picture_file(task: str) -> str:
    """Where a task's picture lies below the results' folder."""
    return f"figures/others/{task}.png"


def pictures(others: Others) -> list[str]:
    """The files, below the results' folder, that ``draw`` writes."""
    return [picture_file(task) for task, rows in _by_task(others).items() if claims_by_class(rows)]


def draw(others: Others, folder: Path) -> list[Path]:
    """Draw one picture a task; the files written."""
    drawn = []
    for task, rows in _by_task(others).items():
        if classes := claims_by_class(rows):
            path = folder / picture_file(task)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, picture(classes))
            drawn.append(path)
    return drawn


# What the audit leaves out ------------------------------------------------------------------------------


def _faults(others: Others) -> list[str]:
    rows = [
        [figure.id, figure.task, plain(figure.model), figure.setting, figure.value, plain(why)]
        for figure, why in others.inconsistent.items()
    ]
    if not rows:
        return []
    return [
        f"## Figures that fail the audit: {len(rows)}",
        "Each figure went through the audit as a claim would. These are kept in the survey and left out of"
        " the classes. Most accuracies among them are probably means over batches, which no whole number"
        " of images gives.",
        "<details><summary>The figures</summary>\n\n"
        + pipe_table(["report", "task", "network", "setting", "printed", "why"], rows)
        + "\n\n</details>",
    ]
