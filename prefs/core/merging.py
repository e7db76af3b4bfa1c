"""Four ways in which candidates of one key become one value: replace, object, union, strictest.

Every way takes candidates in order, refusals already struck, and answers the value, the candidates that made it
(the highest first) and those that lost with the code of why.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import Any

from prefs.core.catalogue import Definition, Merge
from prefs.core.entries import Strength
from prefs.core.ranking import RULES, Candidate, Rule, why_lost
from prefs.core.values import Object, Sequence

STOPPED = "STOPPED_BY_NO_PREFERENCE"
NO_PREFERENCE = "NO_PREFERENCE"
LESS_STRICT = "LESS_STRICT"

type Lost = list[tuple[Candidate, str]]


@dataclass(frozen=True, slots=True)
class Merged:
    """`value` None means an explicit no preference. Strength and layer of the answer are the highest contributor's,
    but for a union, whose strength is the strongest contributor's."""

    value: Any
    strength: Strength
    contributors: tuple[Candidate, ...]
    lost: Lost

    @property
    def winner(self) -> Candidate:
        return self.contributors[0]


def merge(definition: Definition, ranked: Ordered[Candidate], rules: Ordered[Rule] = RULES) -> Merged | None:
    """One value out of candidates in order; None where there is no candidate."""
    if not ranked:
        return None
    listed = isinstance(definition.kind, Sequence)
    match definition.merge:
        case Merge.UNION if listed:
            return _union(definition, ranked, rules, no_preference_stops=False)
        case Merge.STRICTEST if listed:
            return _union(definition, ranked, rules, no_preference_stops=True)
        case Merge.STRICTEST if definition.strictest_order:
            return _strictest(definition, ranked, rules)
        case Merge.OBJECT if isinstance(definition.kind, Object):
            return _fields(definition.kind, ranked, rules)
    return _replace(ranked, rules)


def _replace(ranked: Ordered[Candidate], rules: Ordered[Rule]) -> Merged:
    winner = ranked[0]
    return Merged(winner.value, winner.strength, (winner,), _below(winner, ranked[1:], rules))


def _below(winner: Candidate, losers: Ordered[Candidate], rules: Ordered[Rule]) -> Lost:
    if winner.value is None:
        return [(loser, STOPPED) for loser in losers]
    return [(loser, _why(winner, loser, rules)) for loser in losers]


def _why(winner: Candidate, loser: Candidate, rules: Ordered[Rule]) -> str:
    return NO_PREFERENCE if loser.value is None else why_lost(winner, loser, rules) or "LOWER_ID"


def _fields(kind: Object, ranked: Ordered[Candidate], rules: Ordered[Rule]) -> Merged:
    """Fields the highest leaves open are filled from below, down to a no preference (resolving rule 15)."""
    highest = ranked[0]
    if highest.value is None:
        return _replace(ranked, rules)
    filled: dict[str, Any] = dict(highest.value)
    contributors, lost = [highest], []
    stopped = False
    for candidate in ranked[1:]:
        stopped = stopped or candidate.value is None
        open_fields = [] if stopped else [f for f in kind.fields if f in candidate.value and f not in filled]
        if open_fields:
            filled |= {name: candidate.value[name] for name in open_fields}
            contributors.append(candidate)
        else:
            lost.append((candidate, STOPPED if stopped and candidate.value else _why(highest, candidate, rules)))
    ordered = {name: filled[name] for name in kind.fields if name in filled}
    return Merged(ordered, highest.strength, tuple(contributors), lost)


def _parted(ranked: Ordered[Candidate]) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """Entries with a value, entries without preference, and offers: recommended policies and the default."""
    said = [c for c in ranked if not c.is_default]
    return (
        [c for c in said if c.value is not None],
        [c for c in said if c.value is None],
        [c for c in ranked if c.is_default],
    )


def _without_entries(
    indifferent: list[Candidate], offers: list[Candidate], rules: Ordered[Rule], no_preference_stops: bool
) -> Merged:
    """What counts when nobody stated a value: an offer or the no preference, whichever the merge puts first."""
    if indifferent and (no_preference_stops or not offers):
        return _replace([*indifferent, *offers], rules)
    merged = _replace(offers, rules)
    return Merged(
        merged.value,
        merged.strength,
        merged.contributors,
        [*((c, NO_PREFERENCE) for c in indifferent), *merged.lost],
    )


def _union(
    definition: Definition, ranked: Ordered[Candidate], rules: Ordered[Rule], no_preference_stops: bool
) -> Merged:
    """Elements of every entry by rank, then position; for one id a true flag wins (resolving rule 14)."""
    valued, indifferent, offers = _parted(ranked)
    if not valued:
        return _without_entries(indifferent, offers, rules, no_preference_stops)
    kind = definition.kind
    assert isinstance(kind, Sequence)
    elements: dict[str, Any] = {}
    for candidate in valued:
        for item in candidate.value:
            one = kind.element_id(item)
            elements[one] = _with_true_flags(elements[one], item) if one in elements else item
    contributors = tuple(c for c in valued if c.value) or (valued[0],)
    strength = next((c.strength for c in contributors if c.strength.is_need), contributors[0].strength)
    lost = [(c, _why(contributors[0], c, rules)) for c in ranked if c not in contributors]
    return Merged(list(elements.values()), strength, contributors, lost)


def _with_true_flags(item: Any, other: Any) -> Any:
    if not isinstance(item, dict) or not isinstance(other, dict):
        return item
    return item | {name: True for name, part in other.items() if part is True}


def _strictest(definition: Definition, ranked: Ordered[Candidate], rules: Ordered[Rule]) -> Merged:
    """The strictest of what entries say; the highest entry that holds it gives layer and strength (rules 13, 24)."""
    valued, indifferent, offers = _parted(ranked)
    if not valued:
        return _without_entries(indifferent, offers, rules, no_preference_stops=True)
    order = definition.strictest_order
    strictest = max((c.value for c in valued), key=lambda value: order.index(value) if value in order else -1)
    holders = [c for c in valued if c.value == strictest]
    winner = holders[0]
    others = [c for c in ranked if c is not winner]
    laxer = [c for c in valued if c.value != strictest]
    lost = [(c, LESS_STRICT if c in laxer else _why(winner, c, rules)) for c in others]
    return Merged(strictest, winner.strength, (winner,), lost)
