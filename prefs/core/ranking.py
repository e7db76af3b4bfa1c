"""The order of candidates for one key, highest first: compare part by part, the first difference decides.

A candidate is an entry that takes part, a recommended policy or the catalogue's default, brought to one shape so that
they compare. Each part of the order is a `Rule` of its own, a function whose greater answer goes first; `RULES` is the
order itself. Mandatory policies are no candidates: they restrict whatever won (see `fitting.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prefs.core.entries import ANY_TIME, Context, Entered, Entry, ProvenanceKind, ScopeKind, Strength
from prefs.core.rooms import Policy, PolicyLevel

RECOMMENDED_PROPERTY = "recommended/property"
RECOMMENDED_BRAND = "recommended/brand"
CATALOGUE_DEFAULT = "default/catalogue"

# Highest class first. Members of one tuple are the same class.
CLASS_ORDER: tuple[tuple[str, ...], ...] = (
    (ProvenanceKind.LIVE,),
    (ProvenanceKind.STATED, ProvenanceKind.STATED_VIA_STAFF),
    (ProvenanceKind.CONFIRMED,),
    (ProvenanceKind.IMPORTED,),
    (ProvenanceKind.OBSERVED,),
    (RECOMMENDED_PROPERTY,),
    (RECOMMENDED_BRAND,),
    (CATALOGUE_DEFAULT,),
)
SCOPE_ORDER: tuple[ScopeKind, ...] = (
    ScopeKind.ROOM,
    ScopeKind.STAY,
    ScopeKind.PROPERTY,
    ScopeKind.BRAND,
    ScopeKind.PROFILE,
)
_CLASS = {member: len(CLASS_ORDER) - place for place, members in enumerate(CLASS_ORDER) for member in members}
_SCOPE = {kind: len(SCOPE_ORDER) - place for place, kind in enumerate(SCOPE_ORDER)}
_LAYER = {(kind, scope): f"{kind.value}/{scope.value}" for kind in ProvenanceKind for scope in ScopeKind}
LOWEST_ENTRY = _CLASS[ProvenanceKind.OBSERVED]


def level_of(kind: ProvenanceKind) -> int:
    """The class of an entry, greater first; a suggestion that nobody confirmed stands below all (resolving rule 2)."""
    return _CLASS.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that asks for a value of a key, or against one.

    `known_as` names its class in `CLASS_ORDER`, `standing` says that it was stated under another key that stands for
    this one. `value` may be less than `stated` where refusals struck elements, and then `struck` is the code of why.
    """

    id: str
    value: Any
    strength: Strength
    known_as: str
    layer: str
    level: int
    scope: int = 0
    context: Context = ANY_TIME
    version: int = 0
    entered: Entered | None = None
    special: bool = False
    standing: bool = False
    stated: Any = None
    struck: str = ""

    @property
    def is_default(self) -> bool:
        """Whether nobody said this about the guest: a recommended policy or the catalogue."""
        return self.level < LOWEST_ENTRY


def from_entry(entry: Entry, context: Context, special: bool, standing: bool) -> Candidate:
    """`context` is the entry's own, or with a time of day added where its key stands for the one being read."""
    kind = entry.provenance.kind
    return Candidate(
        id=entry.id,
        value=entry.value,
        strength=entry.strength,
        known_as=kind,
        layer=_LAYER[kind, entry.scope.kind],
        level=level_of(kind),
        scope=_SCOPE[entry.scope.kind],
        context=context,
        version=entry.version,
        entered=entry.entered,
        special=special,
        standing=standing,
        stated=entry.value,
    )


def from_policy(policy: Policy) -> Candidate:
    layer = RECOMMENDED_PROPERTY if policy.level is PolicyLevel.PROPERTY else RECOMMENDED_BRAND
    return Candidate(
        id=policy.id,
        value=policy.value,
        strength=Strength.PREFERRED,
        known_as=layer,
        layer=layer,
        level=_CLASS[layer],
        context=policy.context,
        stated=policy.value,
    )


def from_default(value: Any) -> Candidate:
    level = _CLASS[CATALOGUE_DEFAULT]
    return Candidate("", value, Strength.PREFERRED, CATALOGUE_DEFAULT, CATALOGUE_DEFAULT, level, stated=value)


type Rule = Callable[[Candidate], Any]


def provenance_class(candidate: Candidate) -> int:
    return candidate.level


def need_over_wish(candidate: Candidate) -> bool:
    return candidate.strength.is_need


def scope(candidate: Candidate) -> int:
    return candidate.scope


def axis_count(candidate: Candidate) -> int:
    context = candidate.context
    return bool(context.time_of_day) + bool(context.trip) + bool(context.party) + bool(context.season)


def axis_order(candidate: Candidate) -> tuple[bool, ...]:
    context = candidate.context
    return bool(context.time_of_day), bool(context.trip), bool(context.party), bool(context.season)


def recency(candidate: Candidate) -> int:
    return candidate.version


def identity(candidate: Candidate) -> str:
    return candidate.id


RULES: tuple[Rule, ...] = (
    provenance_class,
    need_over_wish,
    scope,
    axis_count,
    axis_order,
    recency,
    identity,
)
_LOST_BY: dict[Rule, str] = {
    provenance_class: "LOWER_CLASS",
    need_over_wish: "WISH_BELOW_NEED",
    scope: "LOWER_SCOPE",
    axis_count: "LESS_SPECIFIC_CONTEXT",
    axis_order: "CONTEXT_AXIS",
    recency: "OLDER",
    identity: "LOWER_ID",
}


def place(candidate: Candidate, rules: Sequence[Rule] = RULES) -> tuple[Any, ...]:
    """Where a candidate stands; the greater place goes first."""
    return tuple(rule(candidate) for rule in rules)


def rank(candidates: Iterable[Candidate], rules: Sequence[Rule] = RULES) -> list[Candidate]:
    """Highest first."""
    listed = list(candidates)
    if len(listed) > 1:
        listed.sort(key=lambda candidate: place(candidate, rules), reverse=True)
    return listed


def why_lost(winner: Candidate, loser: Candidate, rules: Sequence[Rule] = RULES) -> str:
    """Code of the first rule that puts the loser below the winner; empty where none does."""
    for rule in rules:
        high, low = rule(winner), rule(loser)
        if high != low:
            return _LOST_BY.get(rule, "LOWER_CLASS") if high > low else ""
    return ""
