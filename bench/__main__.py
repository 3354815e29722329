"""``bench`` and ``python -m bench``: bad input is one line and exit code 2, never a traceback."""

from __future__ import annotations

import sys

import typer

from bench.cli.options import app, readable
from reference.errors import InputError


def main() -> None:
    """Run the command line; the process exits with its code."""
    words = sys.argv[1:] or ["--help"]
    try:
        code = app(words, prog_name="bench", standalone_mode=False)
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        code = 2
    except typer.TyperException as error:
        print(f"bench: {readable(error.format_message())}", file=sys.stderr)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        print("bench: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
