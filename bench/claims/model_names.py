"""The networks of ``reference.models.MODELS``, read from its source, since an import would load torch."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import reference


@cache
def model_builders() -> dict[str, str]:
    """Name of each network → name of the function or class that builds it.

    Raises:
        LookupError: ``reference/models/__init__.py`` holds no literal dict ``MODELS``.
    """
    path = Path(reference.__file__).parent / "models" / "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.Dict):
            continue
        if ast.unparse(node.target) == "MODELS":
            return {
                str(ast.literal_eval(key)): ast.unparse(value).rpartition(".")[2]
                for key, value in zip(node.value.keys, node.value.values, strict=True)
                if key is not None
            }
    raise LookupError(f"{path.name}: no literal dict MODELS")
