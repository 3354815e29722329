"""Compare printed transforms, read as torchvision reads them, with a recipe's augmentation.

An operation is a dict of its torchvision name, the printed arguments, and torchvision's defaults for all else
that is measured on ours. Ours are measured by running them with draws that note each request.

Two operations are treated apart. ``ToTensor`` changes an image's type and not the picture. A ``Resize`` that
comes first sets the size at which images enter. Ours are stored at the recipe's ``image_size``, which needs
no ``Resize`` if the originals have that size.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.audit.network_findings import unmatched_bracket
from bench.claims.claim import Claim
from bench.claims.data_facts import load_data_facts
from reference.errors import InputError
from reference.recipes.recipe import Recipe

if TYPE_CHECKING:
    from reference.augment import Batch, Draws

Operation = dict[str, Any]

BRACKET = "one closing ')' too many"
"""The damage to code that may be declared: then one bracket is taken out before it is parsed."""

TRANSFORMS: dict[str, str] = {
    "horizontal_flip": "RandomHorizontalFlip",
    "vertical_flip": "RandomVerticalFlip",
    "random_crop": "RandomCrop",
    "random_rotation": "RandomRotation",
    "color_jitter": "ColorJitter",
    "grayscale": "RandomGrayscale",
    "gaussian_blur": "GaussianBlur",
    "pad": "Pad",
    "random_resized_crop": "RandomResizedCrop",
}
"""Our operation → torchvision's; ``suites/augment`` compares them pixel by pixel."""

MEASURED: dict[str, tuple[str, ...]] = {
    "RandomHorizontalFlip": ("p",),
    "RandomGrayscale": ("p",),
    "ColorJitter": ("brightness", "contrast", "saturation", "hue", "p"),
    "GaussianBlur": ("kernel_size", "sigma", "p"),
    "Pad": ("padding",),
    "RandomResizedCrop": ("size", "scale", "ratio"),
    "Normalize": ("mean", "std"),
}
"""What is measured of an operation, and so compared even where the report leaves torchvision's default."""

WORDS: dict[str, str] = {
    r"改變圖像的顏色屬性": "ColorJitter",
    r"轉成灰階圖": "RandomGrayscale",
    r"水平翻轉": "RandomHorizontalFlip",
    r"GaussianBlur": "GaussianBlur",
    r"padding (\w+)個像素後隨機切割": "Pad RandomResizedCrop",
}
"""R1's words → operations; the group is the width of the border. "隨機切割", a random cut, does not say
whether the piece is rescaled: any random crop fits."""

_DIGITS = "零一二三四五六七八九"


def number_in_words(text: str) -> int | str:
    """Convert a Chinese number below 100, such as 六十五; return any other text as it is."""
    match = re.fullmatch(rf"(?:([{_DIGITS}])?(十))?([{_DIGITS}])?", text)
    if match is None or not text:
        return text
    tens = (_DIGITS.index(match[1]) if match[1] else 1) if match[2] else 0
    return 10 * tens + (_DIGITS.index(match[3]) if match[3] else 0)


# Printed -----------------------------------------------------------------------------------------------


def parsed(claim: Claim) -> ast.Module | str:
    """Parse the claim's code; return a sentence if it does not parse or if declared damage is not in it.

    Damage that the claims file declares is repaired first, as in printed networks.
    """
    code = claim.code or ""
    if BRACKET in " ".join(claim.damage):
        position = unmatched_bracket(code)
        if position is None or code[position] != ")":
            return f"declared damage that is not there: {BRACKET}"
        code = code[:position] + code[position + 1 :]
    try:
        return ast.parse(code)
    except SyntaxError as error:
        return f"code that does not parse: {error.msg}, in its line {error.lineno}"


def chain(tree: ast.AST, recipe: Recipe) -> list[Operation]:
    """Return the operations of ``Compose([…])``, of a list, or of consecutive calls, in order."""
    nodes: list[ast.expr] = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and _name(node.func) == "Compose"
            and isinstance(node.args[0], ast.List)
        ):
            return [operation(item, recipe) for item in node.args[0].elts]
    for statement in ast.iter_child_nodes(tree):
        value = statement.value if isinstance(statement, ast.Expr) else None
        nodes += value.elts if isinstance(value, ast.List | ast.Tuple) else [value] if value else []
    return [operation(node, recipe) for node in nodes]


def operation(node: ast.expr, recipe: Recipe) -> Operation:
    """Read one transform: a call with its arguments by name, or a bare name."""
    from torchvision import transforms

    name = _name(node.func if isinstance(node, ast.Call) else node)
    if not isinstance(node, ast.Call):
        return {"op": name}
    arguments = {keyword.arg: _literal(keyword.value, recipe) for keyword in node.keywords if keyword.arg}
    if name == "RandomApply":  # torchvision's takes a list, that of byol-pytorch a single operation
        inner = node.args[0].elts[0] if isinstance(node.args[0], ast.List) else node.args[0]
        return operation(inner, recipe) | {"p": arguments.get("p", 0.5)}
    transform = getattr(transforms, name, None)
    if transform is None:
        return {"op": name}
    given = (_literal(argument, recipe) for argument in node.args)
    try:
        bound = inspect.signature(transform).bind_partial(
            *given, **arguments
        )  # Normalize() without arguments
    except TypeError as error:
        return {"op": name, "arguments": f"{ast.unparse(node)}: {error}"}
    printed = set(bound.arguments)
    bound.apply_defaults()
    wanted = printed | set(MEASURED.get(name, ()))
    return {"op": name} | {key: _plain(key, value) for key, value in bound.arguments.items() if key in wanted}


def _name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _literal(node: ast.expr, recipe: Recipe) -> Any:
    """Evaluate a number or a list of numbers; a name stands for the recipe's field."""
    if isinstance(node, ast.Tuple | ast.List):
        return [_literal(item, recipe) for item in node.elts]
    if isinstance(node, ast.Call) and _name(node.func) == "tensor":
        return _literal(node.args[0], recipe)
    if isinstance(node, ast.Name) and hasattr(recipe, node.id):
        return getattr(recipe, node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _plain(key: str, value: Any) -> Any:
    """Write a value as ours are measured: sizes for both axes, tuples as lists."""
    if key in ("size", "kernel_size") and isinstance(value, int):
        return [value, value]
    return list(value) if isinstance(value, tuple) else value


def in_words(text: str) -> list[Operation]:
    """Read the operations that R1 describes in words, separated by ``;``; unknown words stay as they are."""
    operations: list[Operation] = []
    for part in text.split("; "):
        names = [(names.split(), re.fullmatch(words, part)) for words, names in WORDS.items()]
        known_words = next(((n, match) for n, match in names if match), None)
        if known_words is None:
            operations.append({"op": part})
            continue
        for name in known_words[0]:
            border = {"padding": number_in_words(known_words[1][1])} if name == "Pad" else {}
            operations.append({"op": name} | border)
    return operations


# Found -------------------------------------------------------------------------------------------------


def measured(recipe: Recipe) -> list[Operation]:
    """Measure what a recipe's augmentation and normalisation do to its images."""
    operations = [_measured(name, recipe.image_size) for name in recipe.augment]
    return [*operations, {"op": "Normalize", "mean": list(recipe.mean), "std": list(recipe.std)}]


def _measured(name: str, side: int) -> Operation:
    import torch

    from reference import augment

    asked: list[tuple[Any, ...]] = []
    # One bright pixel: a blur spreads it over its kernel.
    images = torch.zeros(1, 3, side, side)
    images[..., side // 2, side // 2] = 1
    after = augment.AUGMENT[name](augment.Batch(images), _noting_draws(asked))
    chances = [values[0] for kind, *values in asked if kind == "chance"]
    ranges = [[round(v, 6) for v in values] for kind, *values in asked if kind == "between"]
    operation_found: Operation = {"op": TRANSFORMS[name]}
    measure: dict[str, Callable[[], Mapping[str, Any]]] = {
        "ColorJitter": lambda: _jitter(ranges),
        "GaussianBlur": lambda: {"kernel_size": _spread(after), "sigma": ranges[0]},
        "Pad": lambda: {"padding": after.border},
        "RandomResizedCrop": lambda: {
            "size": list(after.images.shape[-2:]),
            "scale": list(augment.CROP_AREA),
            "ratio": list(augment.CROP_RATIO),
        },
        "RandomRotation": lambda: {"degrees": ranges[0]},
    }
    if operation_found["op"] in measure:
        operation_found |= measure[operation_found["op"]]()
    return operation_found | ({"p": chances[0]} if chances else {})


def _noting_draws(asked: list[tuple[Any, ...]]) -> Draws:
    """Draws for one sample that always choose it and note each request."""
    import torch

    from reference.augment import Draws

    class Noting(Draws):
        def chance(self, p: float) -> torch.Tensor:
            asked.append(("chance", p))
            return torch.ones(self.count, dtype=torch.bool)

        def between(self, low: float, high: float) -> torch.Tensor:
            asked.append(("between", low, high))
            return super().between(low, high)

    return Noting(generator=torch.Generator(), total=1, start=0, count=1)


def _jitter(ranges: Sequence[Sequence[float]]) -> Operation:
    """Derive ColorJitter's arguments from its factors' ranges: a number if a range is even about 1 or 0."""
    operation_found: Operation = {}
    for name, middle, (low, high) in zip(MEASURED["ColorJitter"], (1, 1, 1, 0), ranges, strict=False):
        even = abs(low + high - 2 * middle) < 1e-6
        operation_found[name] = round(high - middle, 6) if even else [low, high]
    return operation_found


def _spread(batch: Batch) -> list[int]:
    lit = batch.images[0, 0].nonzero()
    return [int(lit[:, axis].max() - lit[:, axis].min()) + 1 for axis in (0, 1)]


# Compared ----------------------------------------------------------------------------------------------


def compared(printed: list[Operation], recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return printed and found operations, and the size at which images enter if it is known."""
    shown = [op for op in printed if op["op"] != "ToTensor"]
    enter: Any = original_size(recipe)
    if shown and shown[0]["op"] == "Resize":
        sides = shown.pop(0).get("size")
        enter = sides[0] if isinstance(sides, list) and len(set(sides)) == 1 else sides
    ours = measured(recipe)
    for index, printed_op in enumerate(shown[: len(ours)]):
        if ours[index]["op"] == printed_op["op"]:  # an operation that is only named has no printed argument
            ours[index] = {key: value for key, value in ours[index].items() if key in printed_op}
    if enter is None:
        return {"operations": shown}, {"operations": ours}
    return (
        {"images enter at": enter, "operations": shown},
        {"images enter at": recipe.image_size, "operations": ours},
    )


def original_size(recipe: Recipe) -> int | None:
    """Return the side in pixels of a recipe's official images; None if it is not known."""
    images = load_data_facts().role(recipe.data).images
    match = re.match(r"\d+", images or "")
    return int(match[0]) if match else None


def listed(text: str) -> ast.AST:
    """Read a list of transforms from a settings list, such as ``[Resize(224),RandomCrop]``.

    Raises:
        InputError: it does not parse.
    """
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise InputError(f"augment {text!r}: {error.msg}; expected a list of transforms") from error
