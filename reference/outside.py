"""Your own networks: a recipe may name one by its import path, ``"package.module:callable"``.

To write a recipe for another report, put its network into a module of your own, or use a package that
somebody else wrote. The module is imported only to build the network. Importing this file does not import
torch.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import InputError

if TYPE_CHECKING:
    from torch import nn

PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_import_path(model: str) -> bool:
    """Return whether a recipe's ``model`` is an import path and not a key of ``reference.models.MODELS``."""
    return ":" in model


def _check_path(model: str) -> None:
    if not PATH.fullmatch(model):
        raise InputError(f"model {model!r}: no import path; expected 'package.module:callable'")


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


def find(model: str) -> Callable[..., Any]:
    """Import the callable at an import path.

    Raises:
        InputError: no such path, module or name, or the module fails while it is imported.
    """
    _check_path(model)
    module, _, names = model.partition(":")
    try:
        attribute: Any = importlib.import_module(module)
    except Exception as error:
        raise InputError(f"model {model!r}: cannot import {module!r}: {message_of(error)}") from error
    for name in names.split("."):
        if not hasattr(attribute, name):
            raise InputError(f"model {model!r}: {module!r} has no {names!r}; check the name after the colon")
        attribute = getattr(attribute, name)
    if not callable(attribute):
        raise InputError(f"model {model!r}: is {type(attribute).__name__}, expected something to call")
    checked: Callable[..., Any] = attribute
    return checked


@cache
def source_hash(model: str) -> str:
    """Hash the source of the network at an import path (sha256) without importing it.

    The hash covers a single file, or all files of a package, because each may hold parts of the network.

    Raises:
        InputError: no such module, or one without source files.
    """
    _check_path(model)
    top = model.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module object without a spec
        spec = None
    if spec is None:
        raise InputError(f"model {model!r}: no module {top!r}; install it, or put it next to the recipe file")
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [(path.relative_to(folder), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and spec.origin is not None and spec.origin.endswith(".py"):
        files = [(Path(Path(spec.origin).name), Path(spec.origin))]
    if not files:
        raise InputError(
            f"model {model!r}: module {top!r} has no Python source to tell its versions apart by"
        )
    digest = hashlib.sha256()
    for name, path in sorted(files):
        digest.update(f"{name.as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def message_of(error: BaseException) -> str:
    """Return the message of another program's exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
