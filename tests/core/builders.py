"""Short ways to say an entry, a document, a room and a moment in tests; every default is a plain, harmless one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from prefs.core.catalogue import Catalogue, Definition
from prefs.core.dictionary import parse_definition
from prefs.core.entries import (
    ANY_TIME,
    PROFILE,
    Consent,
    Context,
    Document,
    Entered,
    Entry,
    Provenance,
    ProvenanceKind,
    Scope,
    ScopeKind,
    Strength,
)
from prefs.core.rooms import Capability, Choices, Property, Range
from prefs.core.stays import Facts, Stay, StayStatus

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NIGHT = datetime(2026, 7, 1, 23, tzinfo=UTC)

PLAIN: Mapping[str, Any] = {
    "order": 1,
    "merge": "replace",
    "scopes": ["profile", "brand", "property", "stay"],
    "contexts": ["time_of_day", "trip", "party", "season"],
    "strengths": ["required", "preferred", "avoid", "unacceptable", "no_preference"],
    "sensitivity": "P0",
    "purpose": "room_setup",
    "surfaces": {"guest_app": "value", "thermostat": "value", "lights": "value", "housekeeping": "action"},
    "clamp": "nearest_choice",
    "retention": "stated",
}
CELSIUS = {"kind": "quantity", "unit": "Cel", "accepts": ["Cel", "[degF]"], "resolution": "0.01"}
WARMTH = {**CELSIUS, "min": "16", "max": "30"}
NUMBERS = ["required", "preferred", "no_preference"]


def definition(key: str, value: Mapping[str, Any], **changes: Any) -> Definition:
    return parse_definition("test", key, "area", {**PLAIN, "value": value, **changes})


def quantity(key: str = "room.warmth", value: Mapping[str, Any] = WARMTH, **changes: Any) -> Definition:
    return definition(key, value, **{"strengths": NUMBERS, "clamp": "nearest_in_range", **changes})


def choice(key: str, choices: str, **changes: Any) -> Definition:
    return definition(key, {"kind": "choice", "choices": choices.split()}, **changes)


def listing(key: str, choices: str, **changes: Any) -> Definition:
    items = {"kind": "choice", "choices": choices.split()}
    return definition(key, {"kind": "list", "max_items": 20, "items": items}, **changes)


def catalogue(*definitions: Definition) -> Catalogue:
    return Catalogue(definitions)


def scope(written: str) -> Scope:
    kind, _, where = written.partition(":")
    return Scope(ScopeKind(kind), where)


def entry(
    key: str,
    value: Any,
    strength: str = "preferred",
    *,
    at: str = "profile",
    known: str = "stated",
    version: int = 1,
    id: str = "",
    entered: Entered | None = None,
    expires_at: datetime | None = None,
    **context: str,
) -> Entry:
    return Entry(
        id=id or f"{key}-{known}-{at}-{version}-{strength}",
        key=key,
        value=value,
        strength=Strength(strength),
        scope=PROFILE if at == "profile" else scope(at),
        context=Context(**context) if context else ANY_TIME,
        provenance=Provenance(ProvenanceKind(known), "gst_a", "guest_app", datetime(2026, 1, 1, tzinfo=UTC)),
        version=version,
        expires_at=expires_at,
        entered=entered,
    )


def document(*entries: Entry, consents: str = "", version: int = 7) -> Document:
    given = tuple(Consent(purpose, NOON, "gst_a", "guest_app") for purpose in consents.split())
    return Document("gst_a", version, entries, consents=given)


def degrees(minimum: str, maximum: str, step: str = "", unit: str = "Cel", deadband: str = "") -> Range:
    return Range(
        Fraction(minimum),
        Fraction(maximum),
        unit,
        Fraction(step) if step else None,
        Fraction(deadband) if deadband else None,
    )


def offer(offered: str) -> Choices:
    return Choices(tuple(offered.split()))


def facts(at: datetime = NOON, room: Mapping[str, Capability] | None = None, **changes: Any) -> Facts:
    """A moment in room 1 of hotel h (brand b) in UTC; `changes` are the property's."""
    place = Property(**{"id": "h", "brand": "b", "rooms": {"1": room or {}}, **changes})
    arrival, departure = datetime(2026, 6, 30, 15, tzinfo=UTC), datetime(2026, 7, 9, 10, tzinfo=UTC)
    return Facts(at, place, Stay("s", "gst_a", "h", arrival, departure, "1", status=StayStatus.IN_HOUSE))
