"""What is known about a guest: entries with strength, scope, context and provenance, gathered in a document.

Everything here is a frozen value. A document is replaced, never changed; its version rises by one with every accepted
write, and each entry remembers the version that wrote it, which is also its recency when entries are ranked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Strength(StrEnum):
    REQUIRED = "required"
    PREFERRED = "preferred"
    AVOID = "avoid"
    UNACCEPTABLE = "unacceptable"
    NO_PREFERENCE = "no_preference"

    @property
    def is_need(self) -> bool:
        return self in (Strength.REQUIRED, Strength.UNACCEPTABLE)

    @property
    def is_negative(self) -> bool:
        return self in (Strength.AVOID, Strength.UNACCEPTABLE)


class ScopeKind(StrEnum):
    ROOM = "room"
    STAY = "stay"
    PROPERTY = "property"
    BRAND = "brand"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Where an entry holds; `id` is empty for the profile, which holds everywhere."""

    kind: ScopeKind
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.id}" if self.id else self.kind.value


PROFILE = Scope(ScopeKind.PROFILE)

TIMES_OF_DAY = ("wake", "day", "evening", "sleep")
TRIPS = ("business", "leisure", "group")
PARTIES = ("alone", "partner", "children")
SEASONS = ("warm", "cool")
AXES: Mapping[str, tuple[str, ...]] = {
    "time_of_day": TIMES_OF_DAY,
    "trip": TRIPS,
    "party": PARTIES,
    "season": SEASONS,
}


@dataclass(frozen=True, slots=True, order=True)
class Context:
    """When an entry holds: every axis it names must match; an empty context always matches."""

    time_of_day: str = ""
    trip: str = ""
    party: str = ""
    season: str = ""

    def named(self) -> dict[str, str]:
        return {axis: getattr(self, axis) for axis in AXES if getattr(self, axis)}


ANY_TIME = Context()


class ProvenanceKind(StrEnum):
    LIVE = "live"
    STATED = "stated"
    STATED_VIA_STAFF = "stated_via_staff"
    CONFIRMED = "confirmed"
    IMPORTED = "imported"
    OBSERVED = "observed"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an entry is known: `actor` is the subject of the token that wrote it, `surface` where it was written."""

    kind: ProvenanceKind
    actor: str
    surface: str
    at: datetime
    source: str = ""  # of an import: system and original code


@dataclass(frozen=True, slots=True)
class Entered:
    """What the caller typed before conversion, for an exact echo; the unit applies to every quantity in the value."""

    value: Any
    unit: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing known about a guest. `value` is canonical (see `values`); None only with `no_preference`."""

    id: str
    key: str
    value: Any
    strength: Strength
    scope: Scope
    context: Context
    provenance: Provenance
    version: int
    expires_at: datetime | None = None
    entered: Entered | None = None

    @property
    def slot(self) -> tuple[str, Scope, Context, ProvenanceKind]:
        """What at most one positive entry may hold at a time."""
        return self.key, self.scope, self.context, self.provenance.kind


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """How another system knows the guest: unique per (system, id)."""

    system: str
    id: str


@dataclass(frozen=True, slots=True)
class Consent:
    """A guest's consent for one purpose; there is none here where it was never given or was withdrawn.

    Past `expires_at` it counts as none. `notice` is the version of the notice that was shown, `receipt` the number of
    the receipt that proves it; consents from before there were receipts have neither, and no end."""

    purpose: str
    granted_at: datetime
    actor: str
    surface: str
    expires_at: datetime | None = None
    notice: str = ""
    method: str = ""
    receipt: int = 0

    def holds(self, at: datetime) -> bool:
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, slots=True)
class Document:
    """All entries of one guest at one version, with who the guest is elsewhere and what they consented to."""

    guest: str
    version: int
    entries: tuple[Entry, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    consents: tuple[Consent, ...] = ()
    display_name: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    _by_key: dict[str, tuple[Entry, ...]] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        gathered: dict[str, list[Entry]] = {}
        for entry in self.entries:
            gathered.setdefault(entry.key, []).append(entry)
        object.__setattr__(self, "_by_key", {key: tuple(entries) for key, entries in gathered.items()})

    def of(self, key: str) -> tuple[Entry, ...]:
        return self._by_key.get(key, ())

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._by_key)

    def purposes_at(self, at: datetime) -> frozenset[str]:
        """Purposes the guest consents to at a moment: a consent past its expiry is none."""
        return frozenset(consent.purpose for consent in self.consents if consent.holds(at))


NEGATIVE_IDS_MAX = 20  # negatives of one key in one slot: more is a list nobody can honour
