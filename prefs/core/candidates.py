"""Who takes part in resolving a key at a moment: entries that hold here and now, live presses, policies, the default.

Everything an entry may be set aside for is decided here, in one function, with the code that `explain` tells: expired,
another place, another situation, only a guess. Special-category entries without consent are set aside without a word,
as if they did not exist.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefs.core import windows
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.entries import Context, Document, Entry, ProvenanceKind, ScopeKind
from prefs.core.objections import NOTICED, OPT_OUT
from prefs.core.ranking import Candidate, from_default, from_entry, from_policy
from prefs.core.resolved import Loser
from prefs.core.rooms import Capability, Force, Policy, Property
from prefs.core.sights import Sight, Standing
from prefs.core.stays import Facts

EXPIRED = "EXPIRED"
SUGGESTION_ONLY = "SUGGESTION_ONLY"
SPECIAL_NOT_OBSERVED = "SPECIAL_NOT_OBSERVED"
OTHER_PROPERTY = "OTHER_PROPERTY"
CONTEXT_MISMATCH = "CONTEXT_MISMATCH"
PERSONALISATION_OFF = "PERSONALISATION_OFF"


@dataclass(frozen=True, slots=True)
class Moment:
    """Facts with every context axis worked out, for what one caller may see and the purposes the guest consents to;
    with the policies that hold now, by key."""

    at: datetime
    axes: Context
    property: Property | None
    stay: str
    room: str
    sight: Sight
    purposes: frozenset[str]
    policies: Mapping[str, Sequence[Policy]]
    personalised: bool = True

    def matches(self, context: Context) -> bool:
        """Every axis named must match; an axis whose value is unknown here matches nothing that names it."""
        here = self.axes
        return (
            (not context.time_of_day or context.time_of_day == here.time_of_day)
            and (not context.trip or context.trip == here.trip)
            and (not context.party or context.party == here.party)
            and (not context.season or context.season == here.season)
        )

    def reaches(self, entry: Entry) -> bool:
        """Whether the entry's scope is here; presses of another room of the stay are not."""
        kind, where = entry.scope.kind, entry.scope.id
        match kind:
            case ScopeKind.PROFILE:
                return True
            case ScopeKind.PROPERTY:
                return self.property is not None and self.property.id == where
            case ScopeKind.BRAND:
                return self.property is not None and bool(where) and self.property.brand == where
            case ScopeKind.STAY:
                return bool(where) and self.stay == where
            case ScopeKind.ROOM:
                return not where or where in (self.room, self.stay)

    def takes(self, definition: Definition, special: bool) -> bool:
        """Whether entries of this class may play a part in what the caller is told."""
        return self.sight.takes(definition, special, self.purposes)

    def capability(self, definition: Definition) -> Capability | None:
        """What is declared for the key here; what a property declares holds for each room that says nothing else."""
        need = definition.capability
        if need is None or self.property is None:
            return None
        if need.source == "room":
            found = self.property.rooms.get(self.room, {}).get(need.name)
            if found is not None:
                return found
        return self.property.capabilities.get(need.name)

    def mandatory(self, key: str) -> list[Policy]:
        return [policy for policy in self.policies.get(key, ()) if policy.force is Force.MANDATORY]

    def recommended(self, key: str) -> list[Policy]:
        return [policy for policy in self.policies.get(key, ()) if policy.force is Force.RECOMMENDED]


def moment(facts: Facts, sight: Sight, purposes: frozenset[str], personalised: bool = True) -> Moment:
    place = facts.property
    wall = windows.local(facts.at, place.time_zone if place else "UTC")
    axes = Context(
        windows.time_of_day(wall),
        facts.trip_axis,
        facts.party_axis,
        windows.season(wall, place.warm_months if place else ()),
    )
    stay, room = (facts.stay.id, facts.stay.room) if facts.stay else ("", "")
    policies: dict[str, list[Policy]] = {}
    now = Moment(facts.at, axes, place, stay, room, sight, purposes, policies, personalised)
    for policy in place.policies if place else ():
        if now.matches(policy.context):
            policies.setdefault(policy.key, []).append(policy)
    return now


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates of one key. `withheld` says that entries would take part if the guest had consented."""

    positives: list[Candidate]
    negatives: list[Candidate]
    aside: list[Loser]
    withheld: bool = False


def is_positive(definition: Definition, entry: Entry) -> bool:
    """Under a fixed strength the list itself is the value, however strong (resolving rule 11)."""
    return definition.fixed_strength is not None or not entry.strength.is_negative


def why_aside(definition: Definition, entry: Entry, now: Moment, context: Context) -> str:
    """Code of why an entry takes no part at this moment; empty where it does. Consent is asked elsewhere."""
    if entry.expires_at is not None and now.at >= entry.expires_at:
        return EXPIRED
    kind = entry.provenance.kind
    if kind in NOTICED:
        if not now.personalised:
            return PERSONALISATION_OFF
        if definition.is_special(entry.strength, entry.value):
            return SPECIAL_NOT_OBSERVED
        if kind is ProvenanceKind.INFERRED:
            return SUGGESTION_ONLY
        if entry.scope.kind is not ScopeKind.PROPERTY:
            return OTHER_PROPERTY
    if not now.reaches(entry):
        return OTHER_PROPERTY
    return "" if now.matches(context) else CONTEXT_MISMATCH


def standing_context(definition: Definition, entry: Entry, now: Moment) -> Context | None:
    """The context an entry has under the key its definition stands for; None where it takes no part there."""
    stands = definition.stands_for
    if stands is None or stands.time_of_day != now.axes.time_of_day or entry.context.time_of_day:
        return None
    return replace(entry.context, time_of_day=stands.time_of_day)


def gather(
    catalogue: Catalogue,
    definition: Definition,
    document: Document,
    live: Sequence[Entry],
    now: Moment,
    explain: bool,
) -> Gathered:
    """Everything that takes part in resolving one key, unordered."""
    gathered = Gathered([], [], [])
    withheld = _take(gathered, definition, document.of(definition.key), now, explain)
    for other in catalogue.standing.get(definition.key, ()):
        standing = [(e, c) for e in document.of(other.key) if (c := standing_context(other, e, now)) is not None]
        for entry, context in standing:
            withheld |= _take_one(gathered, other, entry, context, now, explain, standing=True)
    if live and definition.capability is not None:
        withheld |= _take(gathered, definition, (e for e in live if e.key == definition.key), now, explain)
    for policy in now.recommended(definition.key):
        if policy.value is not None:
            gathered.positives.append(from_policy(policy))
    if definition.default is not None:
        gathered.positives.append(from_default(definition.default))
    return replace(gathered, withheld=True) if withheld and definition.is_special_as_a_whole else gathered


def _take(gathered: Gathered, definition: Definition, entries: Iterable[Entry], now: Moment, explain: bool) -> bool:
    withheld = False
    for entry in entries:
        withheld |= _take_one(gathered, definition, entry, entry.context, now, explain, standing=False)
    return withheld


def _take_one(
    gathered: Gathered,
    definition: Definition,
    entry: Entry,
    context: Context,
    now: Moment,
    explain: bool,
    standing: bool,
) -> bool:
    """Sort one entry in; answers whether it was kept out for want of consent alone."""
    code = why_aside(definition, entry, now, context)
    special = definition.is_special(entry.strength, entry.value)
    if not now.takes(definition, special):
        return not code
    positive = is_positive(definition, entry)
    if code:
        if explain and positive and _may_be_told(entry, code, now):
            gathered.aside.append(_loser(definition, entry, context, code))
        return False
    found = from_entry(entry, context, special, standing)
    if positive:
        gathered.positives.append(found)
    else:
        gathered.negatives.append(found)
    return False


def _may_be_told(entry: Entry, code: str, now: Moment) -> bool:
    """Whether `explain` may name an entry that took no part: what was observed never leaves its property, and what
    holds elsewhere is the guest's business alone, and not that of whoever holds the link of one stay."""
    if now.reaches(entry):
        return True
    sight = now.sight
    own = sight.is_own and sight.who is not Standing.LINK
    return own and entry.provenance.kind is not ProvenanceKind.OBSERVED


def _loser(definition: Definition, entry: Entry, context: Context, code: str) -> Loser:
    layer = f"{entry.provenance.kind.value}/{entry.scope.kind.value}"
    return Loser(entry.id, layer, entry.value, entry.strength, code, context)


def earliest_expiry(catalogue: Catalogue, document: Document, live: Sequence[Entry], now: Moment) -> datetime | None:
    """The first moment at which an entry that takes part under a key this surface may see comes to its end."""
    ends: list[datetime] = []
    for entry in (*document.entries, *live):
        if entry.expires_at is None:
            continue
        if entry.key == OPT_OUT:
            ends.append(entry.expires_at)  # then what was noticed counts again, whoever asks
            continue
        definition = catalogue.get(entry.key)
        if definition is not None and _matters(catalogue, definition, entry, now):
            ends.append(entry.expires_at)
    return min(ends, default=None)


def _matters(catalogue: Catalogue, definition: Definition, entry: Entry, now: Moment) -> bool:
    if not now.takes(definition, definition.is_special(entry.strength, entry.value)):
        return False
    if now.sight.surface in definition.surfaces and not why_aside(definition, entry, now, entry.context):
        return True
    context = standing_context(definition, entry, now)
    other = catalogue.get(definition.stands_for.key) if definition.stands_for else None
    return (
        context is not None
        and other is not None
        and now.sight.surface in other.surfaces
        and not why_aside(definition, entry, now, context)
    )


def element(definition: Definition, value: Any) -> tuple[str, ...]:
    """Ids that a negative names, whether it was kept as an id, an element or a list of them."""
    kind = definition.kind
    id_field = getattr(kind, "id_field", None)
    if isinstance(value, list):
        return tuple(one for part in value for one in element(definition, part))
    if isinstance(value, dict) and id_field:
        return (str(value.get(id_field)),)
    if isinstance(value, bool):
        return (str(value).lower(),)
    return (value if isinstance(value, str) else repr(value),)
