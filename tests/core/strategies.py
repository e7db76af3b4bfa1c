"""Hypothesis strategies for what resolving takes: values of any kind, entries that could have been written, facts.

Everything is drawn from the standard catalogue, so that a new definition is covered the day it ships. Written values
are drawn first and checked by their kind: nothing here makes a canonical value by hand.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from prefs.core import units, values
from prefs.core.catalogue import PURPOSES, SURFACES, Catalogue, Definition
from prefs.core.entries import (
    AXES,
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
from prefs.core.errors import Fault
from prefs.core.rooms import Basis, Capability, Channel, Choices, Force, Policy, PolicyLevel, Property, Range
from prefs.core.stays import Facts, Party, Stay, StayStatus
from prefs.core.values import Choice, Flag, Integer, Kind, Object, Quantity, Sequence, Text
from prefs.definitions import load_standard

HOUSE, BRAND, STAY, ROOM, GUEST = "dallas", "northstar", "stay_1", "1204", "gst_1"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "America/Chicago", "Europe/Madrid", "Asia/Kolkata", "Asia/Vientiane", "Australia/Lord_Howe")
TAGS = ("en", "en-GB", "en-US", "pt", "pt-BR", "pt-PT", "lo", "zh-Hant-TW", "es-MX")
GENRES = ("news", "sports", "kids")


@cache
def standard() -> Catalogue:
    return load_standard()


def decimals(low: Fraction, high: Fraction, places: int) -> SearchStrategy[Decimal]:
    """Numbers between two bounds with so many digits after the point, as somebody may type them."""
    scale = 10**places
    first, last = -(-low.numerator * scale // low.denominator), high.numerator * scale // high.denominator
    return st.integers(first, last).map(lambda n: Decimal(n).scaleb(-places))


@st.composite
def quantities(draw: DrawFn, kind: Quantity) -> tuple[Decimal, str]:
    """A number and its unit that the kind accepts."""
    unit = draw(st.sampled_from(kind.accepts))
    low, high = (units.convert(kind.exact(bound), kind.unit, unit) for bound in (kind.minimum, kind.maximum))
    return draw(decimals(low, high, draw(st.integers(1, 3)))), unit


def written(kind: Kind) -> SearchStrategy[Any]:
    """Values of a kind as a caller writes them, quantities in the canonical unit."""
    match kind:
        case Quantity():
            return decimals(kind.exact(kind.minimum), kind.exact(kind.maximum), 2)
        case Integer():
            return st.integers(kind.minimum, kind.maximum)
        case Flag():
            return st.booleans()
        case Choice():
            return st.sampled_from(kind.choices)
        case Text(name="time"):
            return st.times().map(lambda time: time.strftime("%H:%M"))
        case Text(name="language"):
            return st.sampled_from(TAGS)
        case Text():
            return st.text("abcdefgh_ é\u0e81", min_size=1, max_size=min(kind.max_length, 6)).filter(str.strip)
        case Object():
            return _objects(kind)
        case Sequence():
            return _sequences(kind)
    raise TypeError(f"no strategy for {kind}")


@st.composite
def _objects(draw: DrawFn, kind: Object) -> dict[str, Any]:
    drawn = {
        name: draw(written(part))
        for name, part in kind.fields.items()
        if name not in kind.optional or draw(st.booleans())
    }
    if "min" in drawn and "max" in drawn:
        drawn["min"], drawn["max"] = sorted((drawn["min"], drawn["max"]))
    return drawn


@st.composite
def _sequences(draw: DrawFn, kind: Sequence) -> list[Any]:
    items = draw(st.lists(written(kind.items), max_size=min(kind.max_items, 4), unique_by=kind.element_id))
    kept: list[Any] = []
    for item in items:
        ids = {kind.element_id(other) for other in kept} | {kind.element_id(item)}
        if not any(len(group & ids) > 1 for group in kind.exclusive):
            kept.append(item)
    return kept


def canonical(kind: Kind, raw: Any, unit: str | None = None) -> Any:
    faults: list[Fault] = []
    value = kind.check(raw, unit, "", faults)
    if faults:
        raise ValueError(f"{raw} {unit}: {faults}")
    return value


def _is_acceptable(kind: Kind, raw: Any) -> bool:
    """A window of less than an hour, say, fits the shape and is still refused."""
    faults: list[Fault] = []
    kind.check(raw, None, "", faults)
    return not faults


def acceptable(kind: Kind) -> SearchStrategy[Any]:
    """Written values that the kind takes."""
    return written(kind).filter(lambda raw: _is_acceptable(kind, raw))


def refusable(definition: Definition) -> SearchStrategy[Any]:
    """What a negative of this key may name: a choice, or an element by its id."""
    kind: Kind = definition.kind
    if isinstance(kind, Sequence):
        inner = kind.items
        kind = inner.fields[kind.id_field] if isinstance(inner, Object) and kind.id_field else inner
    return written(kind)


def contexts(definition: Definition) -> SearchStrategy[Context]:
    axes = {axis: st.sampled_from(("", *AXES[axis])) for axis in definition.contexts}
    return st.builds(Context, **axes)


def scopes(definition: Definition, kind: ProvenanceKind) -> SearchStrategy[Scope]:
    """Here and elsewhere; observations hold at a property, what was confirmed holds everywhere."""
    ids = {
        ScopeKind.BRAND: (BRAND, "southstar"),
        ScopeKind.PROPERTY: (HOUSE, "cancun"),
        ScopeKind.STAY: (STAY, "stay_0"),
    }
    if kind is ProvenanceKind.OBSERVED:
        return st.sampled_from([Scope(ScopeKind.PROPERTY, place) for place in ids[ScopeKind.PROPERTY]])
    if kind is ProvenanceKind.CONFIRMED:
        return st.just(PROFILE)
    allowed = [s for s in sorted(definition.scopes) if s in ids]
    return st.sampled_from([PROFILE, *(Scope(s, place) for s in allowed for place in ids[s])])


WAYS = tuple(kind for kind in ProvenanceKind if kind is not ProvenanceKind.LIVE)


@st.composite
def entries(draw: DrawFn, definition: Definition, number: int) -> Entry:
    """One entry of a key that an edit could have written; `number` makes its id."""
    strength = draw(st.sampled_from(sorted(definition.strengths)))
    way = draw(st.sampled_from(WAYS))
    value: Any = None
    if strength.is_negative and definition.fixed_strength is None:
        value = draw(refusable(definition))
    elif strength is not Strength.NO_PREFERENCE:
        value = canonical(definition.kind, draw(acceptable(definition.kind)))
    return Entry(
        id=f"prf_{number:04}",
        key=definition.key,
        value=value,
        strength=strength,
        scope=draw(scopes(definition, way)),
        context=draw(contexts(definition)),
        provenance=Provenance(way, GUEST, "guest_app", BEGIN),
        version=draw(st.integers(1, 9)),
        expires_at=draw(st.none() | st.integers(0, 365 * 24 * 12).map(lambda n: BEGIN + timedelta(minutes=5 * n))),
    )


@st.composite
def documents(draw: DrawFn, definitions: tuple[Definition, ...], most: int = 8) -> Document:
    """A guest with up to `most` entries of these keys, and consent for some purposes."""
    keys = draw(st.lists(st.sampled_from(definitions), max_size=most))
    drawn = tuple(draw(entries(definition, number)) for number, definition in enumerate(keys))
    consented = draw(st.sets(st.sampled_from(PURPOSES)))
    consents = tuple(Consent(purpose, BEGIN, GUEST, "guest_app") for purpose in sorted(consented))
    return Document(GUEST, 9, drawn, consents=consents)


def some_definitions(most: int = 3) -> SearchStrategy[tuple[Definition, ...]]:
    listed = tuple(standard())
    return st.lists(st.sampled_from(listed), min_size=1, max_size=most, unique_by=lambda d: d.key).map(tuple)


@st.composite
def ranges(draw: DrawFn, kind: Quantity) -> Range:
    """A device for a quantity, in the canonical unit or another that it accepts, inside or beyond the guest's range."""
    unit = draw(st.sampled_from(kind.accepts))
    low, high = (units.convert(kind.exact(bound), kind.unit, unit) for bound in (kind.minimum, kind.maximum))
    span = high - low
    first = Fraction(draw(decimals(low - span / 4, high, 1)))
    last = Fraction(draw(decimals(first, high + span / 4, 1)))
    step = draw(st.none() | st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(5)]))
    return Range(min(first, last), max(first, last), unit, step)


def offers(definition: Definition) -> SearchStrategy[Choices]:
    known = sorted({choice for _, choice in values.choices(definition.kind)})
    if not known:
        known = ["true", "false"] if isinstance(definition.kind, Flag) else list(TAGS)
    return st.lists(st.sampled_from(known), max_size=5, unique=True).map(lambda ids: Choices(tuple(ids)))


def capabilities(definition: Definition) -> SearchStrategy[Capability]:
    quantity = next(values.quantities(definition.kind), None)
    return ranges(quantity) if quantity is not None else offers(definition)


@st.composite
def policies(draw: DrawFn, definition: Definition, number: int) -> Policy:
    """A recommended or a mandatory policy about one key."""
    force = draw(st.sampled_from(Force))
    quantity = next(values.quantities(definition.kind), None)
    known = sorted({choice for _, choice in values.choices(definition.kind)})
    only_some = draw(st.booleans())
    low = high = allowed = value = None
    forbidden: tuple[str, ...] = ()
    if force is Force.RECOMMENDED:
        value = canonical(definition.kind, draw(acceptable(definition.kind)))
    elif quantity is not None:
        bounds = [draw(st.integers(quantity.minimum, quantity.maximum)) for _ in range(2)]
        low, high = min(bounds), max(bounds)
    elif known and only_some:
        allowed = tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True)))
    elif known:
        forbidden = tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)))
    return Policy(
        id=f"pol-{number}",
        key=definition.key,
        level=draw(st.sampled_from(PolicyLevel)),
        force=force,
        basis=draw(st.sampled_from(Basis)),
        context=draw(st.just(Context()) | contexts(definition)),
        value=value,
        minimum=low,
        maximum=high,
        allowed=allowed,
        forbidden=forbidden,
    )


@st.composite
def houses(draw: DrawFn, definitions: tuple[Definition, ...]) -> Property:
    """A property with one room; what each key needs is declared or not."""
    of_house: dict[str, Capability] = {}
    of_room: dict[str, Capability] = {}
    for definition in definitions:
        need = definition.capability
        if need is not None and not need.lineup and draw(st.booleans()):
            declared = of_room if need.source == "room" else of_house
            declared[need.name] = draw(capabilities(definition))
    networks = draw(st.lists(st.sampled_from("cnn espn bbc_news abc".split()), max_size=3, unique=True))
    lineup = tuple(Channel(one, n, draw(st.sampled_from(GENRES))) for n, one in enumerate(networks))
    about: list[Definition] = draw(st.lists(st.sampled_from(definitions), max_size=3))
    return Property(
        id=HOUSE,
        brand=BRAND,
        time_zone=draw(st.sampled_from(ZONES)),
        warm_months=draw(st.frozensets(st.integers(1, 12))),
        capabilities=of_house,
        rooms={ROOM: of_room},
        lineup=draw(st.none() | st.just(lineup)),
        policies=tuple(draw(policies(definition, number)) for number, definition in enumerate(about)),
    )


@st.composite
def facts(draw: DrawFn, definitions: tuple[Definition, ...]) -> Facts:
    """Some moment of 2026, with or without a property, a stay there, a room."""
    at = BEGIN + timedelta(minutes=draw(st.integers(0, 365 * 24 * 60)))
    house = draw(st.none() | houses(definitions))
    stay = None
    if house is not None and draw(st.booleans()):
        stay = Stay(
            id=STAY,
            guest=GUEST,
            property=HOUSE,
            arrival=at - timedelta(days=1),
            departure=at + timedelta(minutes=draw(st.integers(1, 3000))),
            room=draw(st.sampled_from(("", ROOM))),
            trip=draw(st.sampled_from(("", *AXES["trip"]))),
            party=draw(st.none() | st.builds(Party, st.integers(1, 3), st.integers(0, 2))),
            status=StayStatus.IN_HOUSE,
        )
    trip, party = (draw(st.sampled_from(("", *AXES[axis]))) for axis in ("trip", "party"))
    return Facts(at, house, stay, trip, party)


@st.composite
def presses(draw: DrawFn, definitions: tuple[Definition, ...], at: datetime) -> tuple[Entry, ...]:
    """Presses of the panel in the room, on keys that a device controls."""
    pressable = [d for d in definitions if ScopeKind.ROOM in d.scopes]
    chosen = draw(st.lists(st.sampled_from(pressable), max_size=2)) if pressable else []
    return tuple(
        Entry(
            id=f"prs_{number}",
            key=definition.key,
            value=canonical(definition.kind, draw(acceptable(definition.kind))),
            strength=Strength.PREFERRED,
            scope=Scope(ScopeKind.ROOM),
            context=Context(),
            provenance=Provenance(ProvenanceKind.LIVE, "panel", "thermostat", BEGIN),
            version=number,
            expires_at=at + timedelta(minutes=draw(st.integers(-60, 300))),
        )
        for number, definition in enumerate(chosen)
    )


surfaces = st.sampled_from(SURFACES)


def typed(raw: Decimal, unit: str) -> Entered:
    return Entered(values.entered_number(raw), unit)
