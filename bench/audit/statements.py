"""What a report says against what it says elsewhere: processes, epochs, selection, settings, figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from itertools import combinations, pairwise
from typing import Any

from bench.audit.finding import Finding, finding, listed, shown
from bench.audit.ordering_findings import Z, gap
from bench.audit.stated import numbers, same_training, stated, value, whole_numbers
from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.predicates import PREDICATES

LAST_STAGES = ("final", "last", "end")


def check_statements(ledger: Ledger) -> Iterator[Finding]:
    """All checks of statements of one report, but for declared conflicts."""
    yield from _gains_denied(ledger)
    yield from _best_elsewhere(ledger)
    yield from _beyond_training(ledger)
    yield from _final_figures(ledger)
    yield from _settings(ledger)
    yield from _selected_where_reported(ledger)
    yield from _selected_unlike(ledger)
    yield from _order_by_selection(ledger)


# Processes against numbers ----------------------------------------------------------------------------


def _arguments(claim: Claim) -> Mapping[str, Any]:
    """A process's arguments with the predicate's defaults."""
    assert claim.predicate is not None
    return {**(PREDICATES[claim.predicate].__kwdefaults__ or {}), **claim.args}


def _of_predicate(ledger: Ledger, name: str) -> Iterator[tuple[Claim, Mapping[str, Any]]]:
    for claim in ledger.of_kind("process"):
        if claim.predicate == name and not claim.illegible:
            yield claim, _arguments(claim)


def _measured(ledger: Ledger, process: Claim, curve: str) -> list[Claim]:
    """Figures of the training that a process is about, measured as its curve is."""
    split, _, metric = curve.partition("_")
    return [
        claim
        for claim in numbers(ledger)
        if claim.metric == metric and claim.split == split and same_training(claim.recipe, process.recipe)
    ]


def _gains_denied(ledger: Ledger) -> Iterator[Finding]:
    """No clear gain after an epoch is claimed, and a clearly better figure of more epochs is printed."""
    for process, arguments in _of_predicate(ledger, "no_clear_gain_after"):
        epoch = arguments["epoch"]
        figures = _measured(ledger, process, arguments["curve"])
        early = [claim for claim in figures if claim.epoch is not None and claim.epoch <= epoch]
        late = [claim for claim in figures if claim.epoch is None or claim.epoch > epoch]
        if not early or not late:
            continue
        before, after = max(early, key=value), max(late, key=value)
        gain = gap(after, before)
        if not METRICS[str(after.metric)].higher_is_better or gain is None or gain.z < Z:
            continue
        images = round(gain.difference * after.n) if after.n else 0
        when = f"at epoch {after.epoch}" if after.epoch is not None else after.selection
        yield finding(
            [process, after, before],
            "process",
            f"no clear gain is claimed after epoch {epoch}, yet {shown(after)} is printed ({when}) against"
            f" {shown(before)} at epoch {before.epoch}: {images:,} images of {after.n:,} more"
            f" (z = {gain.z:.2f})",
            strength="certain" if after.epoch is not None else "strong",
            printed=shown(after),
            expected=f"no more than {value(before) + gain.resolved:.3f}",
            flag="self-contradicted",
            flagged=[process],
        )


def _best_elsewhere(ledger: Ledger) -> Iterator[Finding]:
    """The best epoch is claimed to lie near one, and the best figure is printed for another."""
    for process, arguments in _of_predicate(ledger, "best_near"):
        for claim in _measured(ledger, process, arguments["curve"]):
            competes = claim.epoch is not None and claim.epoch <= (arguments["until"] or claim.epoch)
            if "best" not in claim.selection or not competes or claim.epoch is None:
                continue
            if abs(claim.epoch - arguments["epoch"]) > arguments["within"]:
                yield finding(
                    [process, claim],
                    "process",
                    f"the best epoch is claimed to lie within {arguments['within']} of {arguments['epoch']},"
                    f" and {shown(claim)} is printed as the best at epoch {claim.epoch}",
                    strength="certain",
                    printed=f"epoch {claim.epoch}",
                    expected=f"{arguments['epoch']} ± {arguments['within']}",
                    flag="self-contradicted",
                )


# Epochs -----------------------------------------------------------------------------------------------


def _trained(ledger: Ledger, recipe: str | None) -> tuple[int, Claim] | None:
    """The epochs that a recipe's own protocol states: ``"(70 / 100)"`` are 100."""
    stated_epochs = stated(ledger, recipe, "epochs")
    if stated_epochs is None or stated_epochs[1].recipe != recipe:
        return None
    epochs = whole_numbers(stated_epochs[0])
    return (max(epochs), stated_epochs[1]) if epochs else None


def _beyond_training(ledger: Ledger) -> Iterator[Finding]:
    """Epochs that a training did not reach."""
    for claim in ledger.claims:
        trained = _trained(ledger, claim.recipe)
        epochs = [e for e in (claim.epoch, *claim.epochs) if e is not None]
        if trained and epochs and max(epochs) > trained[0]:
            yield finding(
                [claim, trained[1]],
                "epochs",
                f"{claim.id} is of epoch {max(epochs)}, and its training is said to have {trained[0]}",
                strength="certain",
                printed=f"epoch {max(epochs)}",
                expected=f"at most {trained[0]}",
                flag="self-contradicted",
                flagged=[claim],
            )


def _final_figures(ledger: Ledger) -> Iterator[Finding]:
    """Pictures called final that are of an earlier epoch."""
    for figure in ledger.of_kind("figure"):
        trained = _trained(ledger, figure.recipe)
        if trained is None:
            continue
        for epoch, stage in zip(figure.epochs, figure.stages, strict=False):
            if stage.lower() in LAST_STAGES and epoch < trained[0]:
                yield finding(
                    [figure, trained[1]],
                    "stages",
                    f"the {figure.shows} called {stage} are of epoch {epoch}, and the training has"
                    f" {trained[0]} epochs",
                    strength="strong",
                    printed=f"{stage}: epoch {epoch}",
                    expected=f"epoch {trained[0]}",
                    flag="self-contradicted",
                    flagged=[figure],
                )


# Settings ---------------------------------------------------------------------------------------------


def _settings(ledger: Ledger) -> Iterator[Finding]:
    """One setting of one recipe, stated as two different numbers."""
    for one, other in combinations(ledger.of_kind("protocol"), 2):
        if one.recipe is None or one.recipe != other.recipe or one.illegible or other.illegible:
            continue
        for key in one.stated:
            first, second = _number(one.stated[key]), _number(other.stated.get(key, ""))
            if first is not None and second is not None and first != second:
                yield finding(
                    [one, other],
                    "settings",
                    f"{key} of {one.recipe} is stated as {one.stated[key]} and as {other.stated[key]}",
                    strength="certain",
                    printed=one.stated[key],
                    expected=other.stated[key],
                    flag="self-contradicted",
                )


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# Selection --------------------------------------------------------------------------------------------


def _selected_where_reported(ledger: Ledger) -> Iterator[Finding]:
    """Figures that are the best of an evaluation on the very split they are reported on."""
    best_figures = [c for c in numbers(ledger) if c.split == "val" and re.search(r"\bbest\b", c.selection)]
    named = [
        c for c in numbers(ledger) if c.split == "val" and c.epoch and re.search(r"^epoch \d+$", c.selection)
    ]
    if best_figures:
        beside = (
            f"; {listed(c.id for c in named)} name an epoch each, and whether it is the best is not said"
            if named
            else ""
        )
        yield finding(
            [*best_figures, *named],
            "selection",
            f"{listed(c.id for c in best_figures)}: the best of many epochs on the validation split, "
            f"reported on the same images; on others such a figure is lower on average{beside}",
            strength="strong",
            printed=listed(dict.fromkeys(c.selection for c in best_figures)),
            expected="selection on other images",
            flagged=best_figures,
        )


def _selected_unlike(ledger: Ledger) -> Iterator[Finding]:
    """One setting is selected among early epochs only, another of the same table far later."""
    for process, arguments in _of_predicate(ledger, "best_near"):
        until = arguments["until"]
        capped = [
            c
            for c in _measured(ledger, process, arguments["curve"])
            if c.epoch is not None and until and c.epoch <= until
        ]
        if not capped:
            continue
        one, trained = capped[0], _trained(ledger, process.recipe)
        of_all = f" of {trained[0]}" if trained and trained[0] > arguments["epoch"] else ""
        for other in numbers(ledger):
            alike = other.metric == one.metric and other.data == one.data and other.split == one.split
            later = other.epoch is not None and other.epoch > until
            if alike and later and not same_training(other.recipe, process.recipe):
                yield finding(
                    [one, other, process],
                    "selection",
                    f"{one.id} is selected near epoch {arguments['epoch']}{of_all}, {other.id} at epoch"
                    f" {other.epoch}: figures of one kind, two rules of selection",
                    strength="strong",
                    printed=f"epochs {one.epoch} and {other.epoch}",
                    expected="one rule",
                )


def _order_by_selection(ledger: Ledger) -> Iterator[Finding]:
    """Two orderings of the same settings that differ only in the epoch selected for one of them."""
    orderings = [claim for claim in ledger.of_kind("ordering") if claim.order and not claim.tie]
    for one, other in combinations(orderings, 2):
        for a, b in combinations(map(ledger.claim, one.order), 2):
            for c, d in combinations(map(ledger.claim, other.order), 2):
                if not (_reselected(a, d) and _reselected(b, c)) or {a.id, b.id} == {c.id, d.id}:
                    continue
                gaps = [g for g in (gap(a, b), gap(c, d)) if g is not None]
                weak = len(gaps) < 2 or any(abs(g.z) < Z for g in gaps)
                zs = f" (z = {listed(f'{g.z:.2f}' for g in gaps)})" if gaps else ""
                yield finding(
                    [one, other, a, b, c, d],
                    "selection",
                    f"{a.id} > {b.id} but {c.id} > {d.id}{zs}: which is ahead depends on the epochs selected",
                    strength="weak" if weak else "strong",
                    printed=f"{one.id}, {other.id}",
                    expected="one order",
                )


def _reselected(one: Claim, other: Claim) -> bool:
    """Whether two figures are one, or of one training whose epoch was selected in two ways."""
    if one.id == other.id:
        return True
    same = one.metric_name == other.metric_name and one.data == other.data and one.split == other.split
    return same and same_training(one.recipe, other.recipe)


# Declared conflicts -----------------------------------------------------------------------------------


def conflicts(ledger: Ledger, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Conflicts that the ledger declares within its report and that no other check has explained."""
    explained = [set(f.claims) for f in findings if f.verdict == "against"]
    done = set()
    for claim in ledger.claims:
        for name in claim.conflicts_with:
            pair = frozenset((claim.id, name))
            if not name.startswith(f"{ledger.report}-") or pair in done:
                continue
            done.add(pair)
            if not any(pair <= claims for claims in explained):
                yield _conflict(ledger, claim, ledger.claim(name))


def _conflict(ledger: Ledger, claim: Claim, other: Claim) -> Finding:
    declaring = [claim]  # one slip, one flag
    if "model" in claim.stated and ("model" in other.stated or other.model):
        return _names(claim, other, declaring)
    if "model" in other.stated and claim.model:
        return _names(other, claim, declaring)
    if claim.kind == other.kind == "number":
        alike = claim.split == other.split != "unstated" and claim.epoch == other.epoch
        about = "about " if claim.approx else ""
        sentence = (
            f"{about}{shown(claim)} ({claim.id}) and {'about ' if other.approx else ''}{shown(other)}"
            f" ({other.id}) are printed for one thing{'' if alike else ', though split or epoch may differ'}"
        )
        return _declared(sentence, claim, other, declaring, strength="strong" if alike else "weak")
    shared = [key for key in claim.stated if other.stated.get(key, claim.stated[key]) != claim.stated[key]]
    if shared:
        key = shared[0]
        sentence = f"{key} of {claim.recipe} is stated as {claim.stated[key]} and as {other.stated[key]}"
        return _declared(sentence, claim, other, declaring)
    sentence = f"{claim.id} ({_plain(claim.text)}) does not go with {other.id} ({_plain(other.text)})"
    if claim.note:
        sentence += f": {_plain(claim.note)}"
    close = [z for z in (_closest(ledger, claim), _closest(ledger, other)) if z is not None and z < Z]
    if close:
        sentence += f", though the ordering is inside the noise of one split (z = {min(close):.2f})"
    return _declared(sentence, claim, other, declaring, strength="weak" if close else "strong")


def _names(name: Claim, thing: Claim, declaring: list[Claim]) -> Finding:
    stated_name = thing.stated.get("model") or f"a network that reads as {thing.model}"
    return finding(
        [name, thing],
        "name",
        f"what is called {name.stated['model']} is {stated_name} elsewhere in the report",
        strength="strong",
        printed=name.stated["model"],
        expected=stated_name,
        flag="misnamed",
        flagged=declaring,
    )


def _declared(
    sentence: str, claim: Claim, other: Claim, declaring: list[Claim], strength: str = "strong"
) -> Finding:
    return finding(
        [claim, other],
        "conflict",
        sentence,
        strength=strength,
        printed=claim.id,
        expected=other.id,
        flag="self-contradicted",
        flagged=declaring,
    )


def _closest(ledger: Ledger, claim: Claim) -> float | None:
    """The smallest |z| between neighbours of an ordering; None where there is none."""
    members = [ledger.claim(name) for name in claim.order]
    gaps = [g for a, b in pairwise(members) if (g := gap(a, b)) is not None]
    return min((abs(g.z) for g in gaps), default=None)


def _plain(text: str) -> str:
    return text.rstrip(".")
