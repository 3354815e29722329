"""What the survey of other reports says of the claims, in one object that pages and the command line ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.audit.survey_audit import inconsistent
from bench.claims.claim import Claim, Ledger
from bench.claims.survey import OtherFigure, load_others
from bench.grading.agreement import Agreement, asked, ordered_sides
from bench.grading.others import PlaceAmongOthers, places


@dataclass(frozen=True, kw_only=True)
class Others:
    """The survey, and what it says of the claims.

    Attributes:
        places: by number claim, its place in each reference class.
        orderings: by ordering claim, what others say of each pair that it ranks.
    """

    ledgers: tuple[Ledger, ...]
    survey: tuple[OtherFigure, ...]
    inconsistent: Mapping[OtherFigure, str]
    places: Mapping[str, tuple[PlaceAmongOthers, ...]]
    orderings: Mapping[str, tuple[Agreement, ...]]

    def sentences(self, claim: Claim) -> list[str]:
        """What others say of a claim, a sentence each; none for a claim that is not compared."""
        ranked = self.orderings.get(claim.id, ())
        sentences = [place.sentence for place in self.places.get(claim.id, ())]
        for pair in ranked:
            if pair.gaps:
                name = f"{pair.first.title} over {pair.second.title}: " if len(ranked) > 1 else ""
                sentences.append(f"{name}{pair.sentence}")
        return sentences


def gather(ledgers: Sequence[Ledger]) -> Others:
    """Reads the survey and compares every claim that names a reference class.

    Raises:
        InputError: the survey cannot be read, or a reference class names what it does not know.
    """
    survey = load_others()
    excluded = inconsistent(survey)
    return Others(
        ledgers=tuple(ledgers),
        survey=survey,
        inconsistent=excluded,
        places=places(ledgers, survey, excluded),
        orderings={
            claim.id: tuple(asked(first, second, ledgers, survey, excluded) for first, second in pairs)
            for ledger in ledgers
            for claim in ledger.of_kind("ordering")
            if (pairs := ordered_sides(claim, ledger))
        },
    )
