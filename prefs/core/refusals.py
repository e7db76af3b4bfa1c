"""Negative entries at work: what they strike from the candidates, and what of them the answer shows.

`unacceptable` strikes its value from every candidate of the same or a lower class, need or wish; `avoid` strikes it
from wishes ranked below it. On lists and sets a negative strikes one element; a candidate left empty falls out.
"""

from collections.abc import Sequence as Ordered
from dataclasses import replace

from prefs.core.candidates import element
from prefs.core.catalogue import Definition
from prefs.core.entries import Strength
from prefs.core.ranking import RULES, Candidate, Rule, place
from prefs.core.resolved import Negative
from prefs.core.values import Sequence, element_ids

REFUSED = "REFUSED"
AVOIDED = "AVOIDED"


def strike(
    definition: Definition,
    ranked: Ordered[Candidate],
    negatives: Ordered[Candidate],
    rules: Ordered[Rule] = RULES,
) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
    """Candidates that remain, in order, and those that fell out with the code of why."""
    if not negatives:
        return list(ranked), []
    remaining: list[Candidate] = []
    fallen: list[tuple[Candidate, str]] = []
    for candidate in ranked:
        codes = {} if candidate.value is None else _struck(definition, candidate, negatives, rules)
        if not codes:
            remaining.append(candidate)
            continue
        code = REFUSED if REFUSED in codes.values() else AVOIDED
        kind = definition.kind
        kept = [i for i in candidate.value if kind.element_id(i) not in codes] if isinstance(kind, Sequence) else []
        if kept:
            remaining.append(replace(candidate, value=kept, struck=code))
        else:
            fallen.append((candidate, code))
    return remaining, fallen


def _struck(
    definition: Definition, candidate: Candidate, negatives: Ordered[Candidate], rules: Ordered[Rule]
) -> dict[str, str]:
    """Element ids of the candidate that a negative strikes, with the code."""
    ids = element_ids(definition.kind, candidate.value)
    codes: dict[str, str] = {}
    for negative in negatives:
        if negative.strength is Strength.UNACCEPTABLE:
            strikes, code = negative.level >= candidate.level, REFUSED
        else:
            outranks = place(negative, rules) > place(candidate, rules)
            strikes, code = outranks and not candidate.strength.is_need, AVOIDED
        if strikes:
            codes |= {one: code for one in element(definition, negative.value) if one in ids}
    return codes


def refused_anywhere(definition: Definition, negatives: Ordered[Candidate]) -> frozenset[str]:
    """Ids that no fallback may choose: unacceptable to any layer, of whatever class (resolving rule 20)."""
    return frozenset(
        one
        for negative in negatives
        if negative.strength is Strength.UNACCEPTABLE
        for one in element(definition, negative.value)
    )


def shown(
    definition: Definition,
    negatives: Ordered[Candidate],
    contributors: Ordered[Candidate],
    rules: Ordered[Rule] = RULES,
) -> list[tuple[Negative, Candidate]]:
    """The strongest negative per value, strongest first, without those that a higher-ranked winner contains."""
    if not negatives:
        return []
    order = sorted(negatives, key=lambda n: (n.strength is Strength.UNACCEPTABLE, place(n, rules)), reverse=True)
    told: dict[str, tuple[Negative, Candidate]] = {}
    for negative in order:
        for one in element(definition, negative.value):
            if one in told or any(_overrules(definition, c, negative, one, rules) for c in contributors):
                continue
            told[one] = Negative(one, negative.strength, negative.layer), negative
    return list(told.values())


def _overrules(definition: Definition, winner: Candidate, negative: Candidate, one: str, rules: Ordered[Rule]) -> bool:
    if winner.value is None or place(winner, rules) < place(negative, rules):
        return False
    return one in element_ids(definition.kind, winner.value)
