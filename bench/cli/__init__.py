"""The command line: one file for each group of commands. ``app`` holds them all.

A command imports what it needs when it runs, so that listings answer at once.
"""

from bench.cli import data_commands, plan_commands, result_commands, run_command
from bench.cli.options import app

__all__ = ["app", "data_commands", "plan_commands", "result_commands", "run_command"]

ORDER = (
    "list", "run", "grade", "audit", "report", "publish", "score", "plan", "doctor", "new-report", "import",
)  # fmt: skip
"""The order of the commands in ``bench --help``."""

app.registered_commands.sort(
    key=lambda command: ORDER.index(command.name or getattr(command.callback, "__name__", ""))
)
