"""The README's generated parts: MNIST-1D's table, a wrong table with its audit, and the picture of the page.

``python -m bench.pages.readme_block`` writes them after ``bench report --out results``; a suite compares them
with the records, the command's output and the page.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.claims.ledger import load_ledgers
from bench.grading import alignment
from bench.grading.grader import GradedClaim, grade_all
from bench.pages import page_picture
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import seconds
from bench.runs import records
from reference.errors import InputError
from reference.files import write_atomically

BEGIN, END = "<!-- generated: python -m bench.pages.readme_block -->", "<!-- end of generated -->"
BEGIN_AUDIT = "<!-- generated: python -m bench.pages.readme_block, the audit -->"
WRONG_TABLE = "docs/examples/wrong-table.md"
AUDIT = ("audit", WRONG_TABLE, "--n", "500")
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


def audit_block(root: Path) -> str:
    """The wrong table, the command, and what it prints against the table."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *AUDIT], cwd=root, capture_output=True, text=True, check=True
    )
    first, *lines = done.stdout.splitlines()
    against = [" ".join(line.split()) for line in lines if line.startswith("against")]
    said = "\n".join([first.partition("; 0 figures")[0], *against])
    table_text = (root / WRONG_TABLE).read_text(encoding="utf-8").strip()
    return f"{table_text}\n\n```bash\nbench {' '.join(AUDIT)}\n```\n\n```text\n{said}\n```"


def with_block(readme: str, text: str, begin_mark: str = BEGIN) -> str:
    """The README with the text between its marks.

    Raises:
        InputError: the marks are not there.
    """
    before, begin, rest = readme.partition(begin_mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"README.md: expected the marks {begin_mark} and {END}; put them back")
    return f"{before}{begin_mark}\n\n{text}\n\n{END}{after}"


def with_blocks(readme: str, root: Path) -> str:
    """The README with all of its generated blocks."""
    return with_block(with_block(readme, block(root / "results")), audit_block(root), BEGIN_AUDIT)


if __name__ == "__main__":
    path = Path("README.md")
    write_atomically(path, with_blocks(path.read_text("utf-8"), Path()).encode())
    page_picture.take(Path("results/index.html"), Path("docs/page.png"))
