"""The README's table of MNIST-1D, generated from the published records.

``python -m bench.pages.readme_block`` writes it between two marks; a suite compares it with the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.claims.ledger import load_ledgers
from bench.grading import alignment
from bench.grading.grader import GradedClaim, grade_all
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import seconds
from bench.runs import records
from reference.errors import InputError
from reference.files import write_atomically

BEGIN, END = "<!-- generated: python -m bench.pages.readme_block -->", "<!-- end of generated -->"
NETWORKS = {"logistic": "logistic regression", "mlp": "MLP", "cnn": "CNN", "gru": "GRU"}


def table(rows: Iterable[GradedClaim]) -> str:
    """Printed accuracy, our mean with interval, seeds, their time, verdict: a line a network and data set."""
    row_of = {row.claim.id: row for row in rows}
    lines = []
    for prefix, suffix in (("", ""), ("shuffled-", ", positions shuffled")):
        for network, name in NETWORKS.items():
            row = row_of[f"mnist1d-{prefix}{network}"]
            ours, seeds = "–", "0"
            if row.measured is not None:
                low, high = row.measured.interval or (row.measured.mean, row.measured.mean)
                ours = f"{100 * row.measured.mean:.1f} ({100 * low:.1f}–{100 * high:.1f})"
                seeds = str(row.measured.k)
            lines.append([name + suffix, str(row.claim.value), ours, seeds, seconds(row), plain(row.grade)])
    heads = (
        "MNIST-1D, accuracy in %",
        "printed",
        "ours (95 % interval)",
        "seeds",
        "seconds a seed",
        "verdict",
    )
    return pipe_table(heads, lines, right=(1, 2, 3, 4))


def block(folder: Path) -> str:
    """The table from the records of a folder."""
    ledgers = load_ledgers()
    rows = grade_all(
        ledgers, records.read_all(folder), alignment_green=alignment.is_green(folder), folder=folder
    )
    return table(rows)


def with_block(readme: str, text: str) -> str:
    """The README with the text between its marks.

    Raises:
        InputError: the marks are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"README.md: expected the marks {BEGIN} and {END}; put them back")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


if __name__ == "__main__":
    readme = Path("README.md")
    write_atomically(readme, with_block(readme.read_text("utf-8"), block(Path("results"))).encode())
