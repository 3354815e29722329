"""Your own parts of a recipe, each named by its import path, ``"package.module:callable"``.

To write a recipe for another report, put its network, data, loss, augmentation, optimiser or schedule into a
module of your own, or use a package that somebody else wrote. The module is imported only to run the recipe.
Importing this file does not import torch.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import InputError

if TYPE_CHECKING:
    from torch import nn

PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_import_path(name: str) -> bool:
    """Return whether what a recipe names is an import path and not a name of this project."""
    return ":" in name


def check_path(path: str, field: str = "model") -> None:
    """Raise InputError unless ``path`` looks like an import path; nothing is imported."""
    if not PATH.fullmatch(path):
        raise InputError(f"{field} {path!r}: no import path; expected 'package.module:callable'")


def is_own(name: str, field: str, known: Iterable[str]) -> bool:
    """Return whether a name is an import path, and not one of the known names.

    Raises:
        InputError: it is neither.
    """
    if name in known:
        return False
    if not is_import_path(name):
        raise InputError(
            f"{field} {name!r} is unknown: expected one of {', '.join(known)},"
            " or an import path 'package.module:callable'"
        )
    check_path(name, field)
    return True


def build(model: str, *, num_classes: int, width: int, **args: int | float | bool | str) -> nn.Module:
    """Build the network at an import path: ``callable(num_classes=…, **args)``.

    Args:
        width: passed on only if the callable has an argument of that name.

    Raises:
        InputError: the callable cannot be imported or called, does not take these arguments, fails, or
            does not return a network. Each error is one line.
    """
    from torch import nn

    builder = find(model)
    try:
        parameters = inspect.signature(builder).parameters
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model {model!r}: its arguments cannot be read ({error}); wrap it in a def"
        ) from None
    given: dict[str, Any] = {"num_classes": num_classes, **args}
    if "width" in parameters and "width" not in given:
        given["width"] = width
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in given:
        if key not in parameters and not takes_any:
            raise InputError(
                f"model {model!r}: no argument {key!r}; it takes {', '.join(parameters) or 'none'}"
            )
    try:
        network = builder(**given)
    except Exception as error:
        raise InputError(f"model {model!r}: cannot be built: {message_of(error)}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"model {model!r}: returned {type(network).__name__}, expected a torch.nn.Module")
    return network


def find(path: str, field: str = "model") -> Callable[..., Any]:
    """Import the callable at an import path.

    Args:
        field: the recipe's field that holds the path, for the errors.

    Raises:
        InputError: no such path, module or name, or the module fails while it is imported.
    """
    found = find_any(path, field)
    if not callable(found):
        raise InputError(f"{field} {path!r}: is {type(found).__name__}, expected something to call")
    checked: Callable[..., Any] = found
    return checked


def find_any(path: str, field: str) -> Any:
    """Import what an import path names, callable or not; arguments and errors as :func:`find`."""
    check_path(path, field)
    module, _, names = path.partition(":")
    try:
        attribute: Any = importlib.import_module(module)
    except Exception as error:
        raise InputError(f"{field} {path!r}: cannot import {module!r}: {message_of(error)}") from error
    for name in names.split("."):
        if not hasattr(attribute, name):
            raise InputError(f"{field} {path!r}: {module!r} has no {names!r}; check the name after the colon")
        attribute = getattr(attribute, name)
    return attribute


@cache
def source_hash(path: str, field: str = "model") -> str:
    """Return the sha256 of the source behind an import path; nothing is imported.

    The hash covers a single file, or all files of a package, because each may hold parts of it.

    Raises:
        InputError: no such module, or one without source files.
    """
    check_path(path, field)
    top = path.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module object without a spec
        spec = None
    if spec is None:
        raise InputError(
            f"{field} {path!r}: no module {top!r}; install it, or put it next to the recipe file"
        )
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [(file.relative_to(folder), file) for folder in folders for file in folder.rglob("*.py")]
    if not folders and spec.origin is not None and spec.origin.endswith(".py"):
        files = [(Path(Path(spec.origin).name), Path(spec.origin))]
    if not files:
        raise InputError(
            f"{field} {path!r}: module {top!r} has no Python source to tell its versions apart by"
        )
    digest = hashlib.sha256()
    for name, file in sorted(files):
        digest.update(f"{name.as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def message_of(error: BaseException) -> str:
    """Return the message of another program's exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
