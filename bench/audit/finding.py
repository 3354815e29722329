"""What an audit found: one statement about claims of a report, with its strength."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.claims.claim import Claim

STRENGTHS: dict[str, str] = {
    "certain": "follows by arithmetic from what the report prints, with nothing from outside",
    "strong": "follows with what is known from outside, such as a set's size; or chance rarely does it",
    "weak": "an innocent reading is at hand, or chance explains it; stands next to no grade",
}

FLAGS: dict[str, str] = {
    "inconsistent": "a figure that its own count, classes, bounds, parts or quotation exclude",
    "self-contradicted": "another place of the same report says otherwise",
    "cross-contradicted": "another report prints the opposite, beyond what one split explains",
    "listing cannot run": "code or a network that does not work as printed",
    "misnamed": "the thing described is not what the name says",
    "indistinguishable": "an ordering that one split of so many images cannot tell from chance",
}

VERDICTS: dict[str, str] = {
    "against": "speaks against a claim",
    "note": "what a reader should know to weigh the rest",
    "holds": "checked and in order",
    "not checked": "not checked, and why",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement about claims.

    Attributes:
        claims: ids of all claims that it rests on.
        printed, expected: what stands there, and what the check would accept.
        strength: key of ``STRENGTHS``; of a finding that holds, how hard it would be to hold by chance. Empty
            for what was not checked.
        sentence: the finding in plain words, true by itself.
        locator: lines of the reports, as ``r3:141,142``.
        brief: the sentence's matter alone, for a list of like findings; empty where it has none.
        flag: key of ``FLAGS``, or empty.
        flagged: the claims that the flag stands next to.
    """

    claims: tuple[str, ...]
    check: str
    verdict: str
    strength: str
    printed: str
    expected: str
    sentence: str
    locator: str
    reports: tuple[str, ...]
    brief: str = ""
    flag: str = ""
    flagged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value, valid in (
            ("strength", self.strength, {"": ""} if self.verdict == "not checked" else STRENGTHS),
            ("verdict", self.verdict, VERDICTS),
            ("flag", self.flag, {"": "", **FLAGS}),
        ):
            if value not in valid:
                raise ValueError(f"no {name} {value!r}; valid are {', '.join(valid)}")


def finding(
    claims: Sequence[Claim],
    check: str,
    sentence: str,
    *,
    strength: str,
    verdict: str = "against",
    printed: str = "",
    expected: str = "",
    brief: str = "",
    flag: str = "",
    flagged: Iterable[Claim] | None = None,
) -> Finding:
    """A finding about claims, each once; a flag stands next to all of them unless ``flagged`` says which."""
    unique = list({claim.id: claim for claim in claims}.values())
    marked = (unique if flagged is None else list(flagged)) if flag else []
    return Finding(
        claims=tuple(claim.id for claim in unique),
        check=check,
        verdict=verdict,
        strength=strength,
        printed=printed,
        expected=expected,
        sentence=sentence,
        locator=places(unique),
        reports=tuple(dict.fromkeys(claim.report for claim in unique)),
        brief=brief,
        flag=flag,
        flagged=tuple(dict.fromkeys(claim.id for claim in marked)),
    )


def not_checked(claims: Sequence[Claim], check: str, sentence: str, brief: str = "") -> Finding:
    """A check of claims that could not be made."""
    return finding(claims, check, sentence, strength="", verdict="not checked", brief=brief)


def in_order_of_strength(findings: Iterable[Finding]) -> list[Finding]:
    """The surest first; what was not checked last."""
    order = [*STRENGTHS, ""]
    return sorted(findings, key=lambda found: order.index(found.strength))


def places(claims: Iterable[Claim]) -> str:
    """Where claims stand, by report: ``"r1:318; r3:141-143,186"``; places without lines as they are."""
    lines: dict[str, set[int]] = {}
    named: dict[str, dict[str, None]] = {}
    for claim in claims:
        if claim.place is None:
            lines.setdefault(claim.report, set()).update(claim.lines)
        else:
            named.setdefault(claim.report, {})[claim.place] = None
    by_line = [f"{report}:{','.join(_runs(sorted(numbers)))}" for report, numbers in lines.items()]
    return "; ".join([*by_line, *(f"{report}:{', '.join(at)}" for report, at in named.items())])


def _runs(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers, three neighbours or more as ``"141-143"``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]


def listed(words: Iterable[object]) -> str:
    """``"a"``, ``"a and b"``, ``"a, b and c"``."""
    *rest, last = map(str, words)
    return f"{', '.join(rest)} and {last}" if rest else last


def signed(number: float, digits: int) -> str:
    """A difference with its sign, a true minus."""
    return f"{number:+.{digits}f}".replace("-", "−")


def shown(claim: Claim) -> str:
    """A printed value with its spread and unit."""
    spread = f" ± {claim.spread}" if claim.spread else ""
    return f"{claim.value}{spread}{' %' if claim.unit == 'percent' else ''}"
