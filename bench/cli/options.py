"""Options that several commands share, and how a wrong value is refused."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, get_type_hints

import typer

from reference.errors import InputError

if TYPE_CHECKING:
    from reference.recipes.recipe import Recipe


app = typer.Typer(
    name="bench",
    help="Does this number hold? Runs reference recipes and grades the claims of reports.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Options = TypeVar("Options")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("reproducibility-bench"))
        raise typer.Exit


@app.callback()
def _bench(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Does this number hold? Runs reference recipes and grades the claims of reports."""


RUNS = Path("runs")
RESULTS = Path("results")


class ListKind(StrEnum):
    """What ``bench list`` can list."""

    recipes = "recipes"
    claims = "claims"
    models = "models"
    runs = "runs"
    others = "others"


class Format(StrEnum):
    """How a command prints its table."""

    table = "table"
    json = "json"
    markdown = "markdown"


class Tier(StrEnum):
    """How far a run is scaled down."""

    smoke = "smoke"
    gpu = "gpu"
    full = "full"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder that holds the records.")]
ClaimsOption = Annotated[
    list[Path] | None,
    typer.Option("--claims", envvar="BENCH_CLAIMS", help="Claims file of your own report; repeatable."),
]
OthersOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--others", envvar="BENCH_OTHERS", help="Your own CSV of what other reports print; repeatable."
    ),
]


def add_surveys(claims_files: list[Path] | None) -> None:
    """Make surveys of one's own known to this process, checked."""
    if claims_files:
        from bench.claims import survey

        survey.ADDED_SURVEYS += claims_files
        survey.load_others()


MaskValuesOption = Annotated[
    str | None,
    typer.Option(
        "--mask-values",
        envvar="BENCH_MASK_VALUES",
        metavar="NAMES",
        help="Masks hold labels: the classes in the order of their values (urban,water,255=unknown); "
        "or 'colours', where a mask may be unknown everywhere.",
    ),
]


def mask_values_of(text: str | None) -> tuple[str, ...]:
    """The entries of ``--mask-values``; none where it was not given."""
    return () if text is None else tuple(text.split(","))


RecipesOption = Annotated[
    list[Path] | None,
    typer.Option("--recipes", help="Recipe file of your own report; runs as Python; repeatable."),
]


def add_reports(claims_files: list[Path] | None) -> None:
    """Make the claims of reports of one's own known to this process. Runs no code."""
    if claims_files:
        from bench.claims.added import add

        add(claims_files)


def add_recipes(claims_files: list[Path] | None, recipe_files: list[Path] | None) -> None:
    """Make such reports known with their recipes. Runs the recipe files that are named, and says so."""
    add_reports(claims_files)
    if recipe_files and not claims_files:
        raise InputError(f"--recipes {recipe_files[0]}: of which report? Name its claims file with --claims")
    if claims_files:
        from bench.claims.added import run_recipe_files

        run_recipe_files(recipe_files or (), say=lambda line: print(line, file=sys.stderr))


BY_NAME_ONLY = ("mnist1d-gru", "mnist1d-shuffled-gru")
"""Left out where a report's name stands for its recipes: a minute or more a seed, the others seconds."""


def chosen_recipes(slugs: list[str] | None, every: bool) -> list[Recipe]:
    """The recipes of those names, each once; a report's name stands for its recipes but ``BY_NAME_ONLY``."""
    from reference.recipes import RECIPES

    if every:
        if slugs:
            raise InputError("--all runs every recipe; name recipes or say --all, not both")
        return list(RECIPES.values())
    if not slugs:
        raise InputError("no recipe named; name some (bench list recipes) or say --all")
    of: dict[str, list[str]] = {slug: [slug] for slug in RECIPES}
    for slug, recipe in RECIPES.items():
        if slug in BY_NAME_ONLY:
            continue
        of.setdefault(recipe.report, []).append(slug)
    for slug in slugs:
        if slug not in of:
            refuse_name("recipe", slug, of)
    return [RECIPES[slug] for slug in dict.fromkeys(one for name in slugs for one in of[name])]


def left_out(slugs: Iterable[str], chosen: Iterable[Recipe]) -> list[str]:
    """Recipes of ``BY_NAME_ONLY`` whose report was named, and which are not among those chosen."""
    from reference.recipes import RECIPES

    names, taken = set(slugs), {recipe.slug for recipe in chosen}
    return [slug for slug in BY_NAME_ONLY if RECIPES[slug].report in names and slug not in taken]


def data_folder(data: str) -> Path | None:
    """Return the folder that ``--data`` names, or None for synthetic data."""
    if data == "synthetic":
        return None
    from reference.data.listing import is_folder

    if not is_folder(Path(data)):
        raise InputError(
            f"--data {data}: no such folder; give 'synthetic' or a folder that holds p1_data or p2_data"
        )
    return Path(data)


def records_folder(out: Path) -> Path:
    """The folder to read records from: ``runs`` where it has some, else the published ``results``.

    Says on standard error which one it is where that is not the folder that was asked for.

    Raises:
        InputError: there is no such folder.
    """
    if out != RUNS:
        if not out.is_dir():
            raise InputError(f"--out {out}: no such folder; give one that holds records")
        return out
    if (RUNS / "records").is_dir() or not (RESULTS / "records").is_dir():
        return out
    print(f"{RUNS}/ holds no records: these are the published ones, of {RESULTS}/", file=sys.stderr)
    return RESULTS


def readable(message: str) -> str:
    """A refusal of the command line in our words: no name of a library's error, and the nearest choice."""
    message = message.replace("Value error, ", "")
    refusal = re.search(r"'([^']*)' is not one of ('.*')\.$", message)
    if refusal is None:
        return message
    choices = re.findall(r"'([^']*)'", refusal[2])
    near = difflib.get_close_matches(refusal[1], choices, n=1, cutoff=0.5)
    return f"{message[:-1]}; did you mean {near[0]!r}?" if near else message


def refuse_name(kind: str, name: str, valid: Iterable[str]) -> NoReturn:
    """Raise ``InputError`` for an unknown name and list the nearest valid ones."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]
    raise InputError(f"{kind} {name!r} is not known; nearest: {', '.join(near)}")


def taken_as(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Turn a command of one dataclass of options into one whose arguments are the dataclass's fields."""

    def decorate(command: Callable[[Options], None]) -> Callable[..., None]:
        def taking(**values: Any) -> None:
            command(kind(**values))

        hints = get_type_hints(kind, include_extras=True)
        parameters = inspect.signature(kind).parameters.values()
        named = [parameter.replace(annotation=hints[parameter.name]) for parameter in parameters]
        taking.__name__, taking.__doc__ = command.__name__, command.__doc__
        taking.__annotations__ = hints
        taking.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
        return taking

    return decorate
