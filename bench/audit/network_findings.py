"""Networks and code as printed: does the code parse, can the network run, is it what its name says?"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from textwrap import dedent

from bench.audit.finding import Finding, finding, listed
from bench.claims.claim import Claim, Ledger
from bench.printed import printed_files, printed_layers, printout, runnable
from reference.errors import InputError

NAMED_MODELS: dict[str, dict[str, tuple[int, ...]]] = {
    "deeplabv3_resnet50": {"dilation rates": (12, 24, 36)},
    "resnet18": {"layers": (18,), "blocks per stage": (2, 2, 2, 2), "parameters": (11_689_512,)},
    "resnet34": {"layers": (34,), "blocks per stage": (3, 4, 6, 3), "parameters": (21_797_672,)},
    "resnet50": {"layers": (50,), "blocks per stage": (3, 4, 6, 3), "parameters": (25_557_032,)},
    "resnet152": {"layers": (152,), "blocks per stage": (3, 8, 36, 3), "parameters": (60_192_808,)},
    "vgg13": {"layers": (13,), "parameters": (133_047_848,)},
    "vgg16": {"layers": (16,), "parameters": (138_357_544,)},
    "vgg16_bn": {"layers": (16,), "parameters": (138_365_992,)},
}
"""What torchvision's networks of these names have."""

_SAID_AS = {
    "dilation rates": re.compile(r"\brates?\b\D*((?:\d+\D{1,5})*\d+)"),
    "layers": re.compile(r"^(\d+) layers\b"),
    "blocks per stage": re.compile(r"\bper stage\D*((?:\d+\D{1,5})*\d+)"),
    "parameters": re.compile(r"\b(\d{1,3}(?:,\d{3})+|\d{5,}) parameters\b"),
}

LOST_NAME = "?"
"""How a listing's file writes a name that cannot be read in the report."""

_OPEN = {"(": ")", "[": "]", "{": "}"}
_STRINGS = r"'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|\"[^\"\n]*\"|#[^\n]*"


def check_networks(ledger: Ledger) -> Iterator[Finding]:
    """All checks of printed code and networks."""
    for claim in ledger.claims:
        if claim.illegible:
            continue
        if claim.code is not None:
            yield from _code(ledger, claim)
        if claim.kind == "architecture":
            yield from _facts(ledger, claim)
            yield from _listing(ledger, claim)


# Code -------------------------------------------------------------------------------------------------


def _code(ledger: Ledger, claim: Claim) -> Iterator[Finding]:
    assert claim.code is not None
    if _is_listing(claim.code):
        try:
            rows = printout.parse(claim.code, claim.lines[0])
        except InputError as refusal:
            yield _unread(claim, str(refusal))
            return
        yield from _runs(claim, rows)
        yield from _repeats(claim, rows)
        return
    code = _python(claim.code)
    wrong = _syntax_error(code)
    if wrong is None:
        yield from _other_stage(ledger, claim)
        return
    line, why = wrong
    yield finding(
        [claim],
        "code",
        f"the code of {claim.id} does not parse: {why}, in its line {line}",
        strength="certain",
        printed=code.splitlines()[line - 1].strip(),
        expected="code that parses",
        flag="listing cannot run",
    )


def _unread(claim: Claim, refusal: str) -> Finding:
    """A printed network that the reader refuses is told, not passed over in silence."""
    return finding(
        [claim],
        "listing",
        f"the listing of {claim.id} could not be read and was not checked: {refusal}",
        strength="weak",
        verdict="note",
        printed=refusal.partition("; ")[0],
        expected="a printout whose brackets match",
    )


def _python(code: str) -> str:
    """The code without common indentation, prompts (``>>>``) and notebook commands (``%``, ``!``)."""
    lines = [re.sub(r"^(>>>|\.\.\.) ?", "", line) for line in dedent(code).strip("\n").splitlines()]
    return "\n".join("" if re.match(r"\s*[%!]", line) else line for line in lines)


def _is_listing(code: str) -> bool:
    """Whether the text is a printed network, ``(name): Type(…)`` line by line, and no Python."""
    lines = [line for line in code.splitlines() if line.strip()]
    return 2 * sum(bool(re.match(r"\s*\(\w+\): [A-Za-z]", line)) for line in lines) > len(lines)


def _syntax_error(code: str) -> tuple[int, str] | None:
    """Line and reason where code does not parse; a stretch out of a longer list of arguments does."""
    try:
        ast.parse(code)
    except SyntaxError as error:
        if _parses(f"f(\n{code}\n)") or _parses(f"[\n{code}\n]"):
            return None
        return _bracket(code) or (min(error.lineno or 1, len(code.splitlines())), "a syntax error")
    return None


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def _bracket(code: str) -> tuple[int, str] | None:
    """The one bracket without which the code parses, or the one that is missing at its end."""
    position = unmatched_bracket(code)
    if position is None:
        return None
    if code[position] in _OPEN:
        closed = code + "\n" + _OPEN[code[position]]
        return (_line(code, position), f"its {code[position]!r} is never closed") if _parses(closed) else None
    left_out = code[:position] + code[position + 1 :]
    return (_line(code, position), f"one closing {code[position]!r} too many") if _parses(left_out) else None


def unmatched_bracket(code: str) -> int | None:
    """Where a bracket closes another one than is open or none, or is never closed; outside strings."""
    stack: list[int] = []
    for token in re.finditer(_STRINGS + r"|[()\[\]{}]", code, re.DOTALL):
        char = token[0]
        if char in _OPEN:
            stack.append(token.start())
        elif char in _OPEN.values() and (not stack or _OPEN[code[stack.pop()]] != char):
            return token.start()
    return stack[-1] if stack else None


def _line(code: str, position: int) -> int:
    return code.count("\n", 0, position) + 1


def _other_stage(ledger: Ledger, claim: Claim) -> Iterator[Finding]:
    """Code of one stage (pre-training, say) that names the network of another."""
    stages = {stage for c in ledger.claims if (stage := _stage(c)) is not None}
    own_stage = _stage(claim)
    assert claim.code is not None
    if own_stage is None:
        return
    for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", claim.code)):
        for stage in sorted((stages - {own_stage}) & set(name.lower().split("_"))):
            yield finding(
                [claim],
                "name",
                f"the code printed for {own_stage} uses {name}, by its name the {stage} stage's",
                strength="weak",
                printed=name,
                expected=f"a name of {own_stage}",
                flag="misnamed",
            )


def _stage(claim: Claim) -> str | None:
    """The stage of a claim's recipe: ``finetune`` of ``r1-finetune-a``."""
    words = (claim.recipe or "").split("-")
    return words[1] if len(words) > 1 and words[0] == claim.report else None


# Named networks ---------------------------------------------------------------------------------------


def _facts(ledger: Ledger, claim: Claim) -> Iterator[Finding]:
    """What the report says of a network against what the network of that name has."""
    named_facts = NAMED_MODELS.get(claim.model or "", {})
    for fact in claim.facts:
        for quality, true in named_facts.items():
            stated_fact = _SAID_AS[quality].search(fact)
            if stated_fact is None or _numbers(quality, stated_fact[1]) == true:
                continue
            naming = [c for c in ledger.of_kind("protocol") if _same_name(c.stated.get("model"), claim.model)]
            named = f", which {listed(c.id for c in naming)} names," if naming else ""
            has = f"{quality}: {', '.join(f'{number:,}' for number in true)}"
            yield finding(
                [claim, *naming],
                "named model",
                f"{claim.id} has {fact}, but {claim.model}{named} has {has}",
                strength="weak" if claim.damage else "strong",  # what the named network has is not printed
                printed=fact,
                expected=has,
                flag="self-contradicted" if naming else "misnamed",
                flagged=[claim],
            )


def _numbers(quality: str, text: str) -> tuple[int, ...]:
    plain = text.replace(",", "") if quality == "parameters" else text
    return tuple(int(number) for number in re.findall(r"\d+", plain))


def _same_name(stated_name: str | None, model: str | None) -> bool:
    return bool(stated_name) and _letters(stated_name) == _letters(model)


def _letters(name: str | None) -> str:
    return re.sub(r"\W|_", "", name or "").lower()


# Printed networks -------------------------------------------------------------------------------------


def _listing(ledger: Ledger, claim: Claim) -> Iterator[Finding]:
    """A packaged listing: can it run, does it repeat itself, does it make what its report says?"""
    if not (printed_files.LISTINGS / f"{claim.id}.toml").is_file():
        return
    rows = printed_files.load(claim.id).rows
    yield from _runs(claim, rows)
    yield from _repeats(claim, rows)
    yield from _makes(ledger, claim, rows)


def _runs(claim: Claim, rows: Sequence[printed_layers.PrintedLayer]) -> Iterator[Finding]:
    for broken in runnable.chain_check(rows)[:1]:
        yield finding(
            [claim],
            "listing",
            f"the network cannot run as printed: {broken} ({claim.report}:{broken.row.line})"
            f"{', but damage of print or scan is declared' if claim.damage else ''}",
            strength="weak" if claim.damage else "certain",
            printed=broken.row.layer,
            expected=broken.why,
            flag="listing cannot run",
        )


def _repeats(claim: Claim, rows: Sequence[printed_layers.PrintedLayer]) -> Iterator[Finding]:
    """The same layer with weights at the same place twice; a place whose name is lost is none."""
    lines_by_layer: dict[printed_layers.PrintedLayer, list[int]] = defaultdict(list)
    for row in rows:
        if LOST_NAME not in row.path.split(".") and printed_layers.channels(row)[0] is not None:
            lines_by_layer[row].append(row.line)
    twice = {row: lines for row, lines in lines_by_layer.items() if len(lines) > 1}
    if not twice:
        return
    row, lines = next(iter(twice.items()))
    yield finding(
        [claim],
        "listing",
        f"the listing repeats itself: {row.path} stands in lines {listed(lines)}"
        f"{f', and {len(twice) - 1} more so' if len(twice) > 1 else ''}"
        f"{'; damage of print or scan is declared' if claim.damage else ''}",
        verdict="note" if claim.damage else "against",
        strength="weak" if claim.damage else "strong",
        printed=f"lines {listed(lines)}",
        expected="each layer once",
        flag="" if claim.damage else "listing cannot run",
    )


def _makes(ledger: Ledger, claim: Claim, rows: Sequence[printed_layers.PrintedLayer]) -> Iterator[Finding]:
    """A network under the name of a segmentation that ends in numbers and no map."""
    for name in ledger.of_kind("protocol"):
        if "model" not in name.stated or claim.id not in name.conflicts_with:
            continue
        metrics = {c.metric for c in ledger.of_kind("number") if c.recipe == name.recipe}
        last = printed_layers.last_layer(rows)
        if metrics & {"miou", "iou"} and last.type == "Linear":
            yield finding(
                [claim, name],
                "name",
                f"the network printed as {name.stated['model']} ends in {last.layer}"
                f" ({claim.report}:{last.line}): {printed_layers.channels(last)[1]} numbers an"
                f" image, and no mask",
                strength="certain",
                printed=last.layer,
                expected="a map of classes",
                flag="misnamed",
                flagged=[claim],
            )
