"""The written form of what a hotel declares about itself: JSON of a PUT in, a checked `Property` out.

What was put is what is stored and shown again; it is read with the catalogue of the day each time it is needed, so a
property outlives a change of the catalogue: strict where somebody puts it, lenient where it is only read.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from prefs.core import units, values
from prefs.core.catalogue import CapabilityNeed, Catalogue, Definition
from prefs.core.entries import ANY_TIME, AXES, Context
from prefs.core.errors import Fault, InvalidEdit
from prefs.core.patches import SCOPE_ID
from prefs.core.rooms import Basis, Capability, Channel, Choices, Force, Policy, PolicyLevel, Property, Range
from prefs.core.tables import Table

CAPABILITIES_MAX = 100
ROOMS_MAX = 5000
CHANNELS_MAX = 1000
POLICIES_MAX = 200
OFFERED_MAX = 200


def parse_property(property_id: str, body: object, catalogue: Catalogue, version: int = 0) -> Property:
    """A property out of its written form. Raises InvalidEdit with every fault."""
    faults: list[Fault] = []
    found = _property(property_id, body, catalogue, version, faults)
    if faults:
        raise InvalidEdit(faults)
    return found


def recall_property(property_id: str, body: Mapping[str, Any], catalogue: Catalogue, version: int) -> Property:
    """The same for a stored body: what the catalogue no longer knows is passed over, the rest holds."""
    return _property(property_id, body, catalogue, version, [])


def _property(property_id: str, body: object, catalogue: Catalogue, version: int, faults: list[Fault]) -> Property:
    table = Table(body, "", faults)
    table.known("name", "brand", "time_zone", "warm_months", "capabilities", "rooms", "lineup", "policies")
    if not SCOPE_ID.fullmatch(property_id):
        faults.append(Fault("property", "BAD_ID", "must be 1 to 64 letters, digits, dots, dashes or underscores"))
    needs = _needs(catalogue)
    rooms = {}
    for room, declared in table.members("rooms", ROOMS_MAX):
        declared.known("capabilities")
        if not 0 < len(room) <= 20 or not values.clean_text(room):
            faults.append(Fault(declared.pointer, "WRONG_LENGTH", "a room number must have 1 to 20 characters"))
        rooms[room] = _capabilities(declared, needs)
    return Property(
        id=property_id,
        brand=table.identifier("brand", required=False),
        name=table.text("name", 120),
        time_zone=_time_zone(table),
        warm_months=_months(table),
        capabilities=_capabilities(table, needs),
        rooms=rooms,
        lineup=_lineup(table),
        policies=_policies(table, catalogue),
        version=version,
    )


def _needs(catalogue: Catalogue) -> dict[str, list[tuple[CapabilityNeed, Definition]]]:
    """What each capability name is declared for: the definitions that are held against it."""
    needs: dict[str, list[tuple[CapabilityNeed, Definition]]] = {}
    for definition in catalogue:
        if definition.capability:
            needs.setdefault(definition.capability.name, []).append((definition.capability, definition))
    return needs


def _time_zone(table: Table) -> str:
    name = table.text("time_zone", 64)
    try:
        ZoneInfo(name or "UTC")
    except (ValueError, OSError, LookupError):  # a name that is no file, no path, or a folder of the zone database
        table.fault("time_zone", "UNKNOWN_TIME_ZONE", "must be a name of the IANA time zone database")
        return "UTC"
    return name or "UTC"


def _months(table: Table) -> frozenset[int]:
    raw = table.items("warm_months", 12) or []
    months = [m for m in raw if isinstance(m, int) and not isinstance(m, bool) and 1 <= m <= 12]
    if len(months) < len(raw) or len(set(months)) < len(months):
        table.fault("warm_months", "OUT_OF_RANGE", "must be different months from 1 to 12")
    return frozenset(months)


def _capabilities(table: Table, needs: Mapping[str, list[tuple[CapabilityNeed, Definition]]]) -> dict[str, Capability]:
    declared: dict[str, Capability] = {}
    for name, inner in table.members("capabilities", CAPABILITIES_MAX):
        users = needs.get(name)
        if not users:
            inner.faults.append(Fault(inner.pointer, "UNKNOWN_CAPABILITY", "no preference is held against this"))
            continue
        found = len(inner.faults)
        capability = _choices(inner, users) if "choices" in inner.raw else _range(inner, users)
        if len(inner.faults) == found and capability is not None:
            declared[name] = capability
    return declared


def _range(table: Table, users: list[tuple[CapabilityNeed, Definition]]) -> Range | None:
    table.known("min", "max", "step", "unit", "deadband")
    quantities = [q for _, definition in users for q in values.quantities(definition.kind)]
    integers = any(isinstance(definition.kind, values.Integer) for _, definition in users)
    if not quantities and not integers:
        table.fault("choices", "MISSING_FIELD", "is required: this capability offers choices")
        return None
    unit = table.text("unit", 40, required=bool(quantities))
    if unit and not any(units.comparable(unit, quantity.unit) for quantity in quantities):
        known = ", ".join(sorted({quantity.unit for quantity in quantities})) or "nothing"
        table.fault("unit", "WRONG_UNIT", f"must be a unit comparable with {known}")
    low, high, step, deadband = (table.number(name) for name in ("min", "max", "step", "deadband"))
    for name, bound in (("min", low), ("max", high)):
        if bound is None and table.get(name) is None:
            table.fault(name, "MISSING_FIELD", "is required")
    if low is not None and high is not None and low > high:
        table.fault("min", "OUT_OF_RANGE", "must not be above max")
    if step is not None and step <= 0:
        table.fault("step", "OUT_OF_RANGE", "must be above 0")
    if deadband is not None and deadband < 0:
        table.fault("deadband", "OUT_OF_RANGE", "must not be below 0")
    if unit == "mired" and low is not None and low <= 0:
        table.fault("min", "OUT_OF_RANGE", "must be above 0")
    return None if low is None or high is None else Range(low, high, unit, step, deadband)


def _choices(table: Table, users: list[tuple[CapabilityNeed, Definition]]) -> Choices:
    table.known("choices")
    offered = table.words("choices", OFFERED_MAX) or ()
    known = _offerable(users)
    for i, choice in enumerate(offered):
        if known is not None and choice not in known:
            table.faults.append(Fault(f"{table.at('choices')}/{i}", "UNKNOWN_CHOICE", _listed(known)))
    return Choices(offered)


def _offerable(users: list[tuple[CapabilityNeed, Definition]]) -> set[str] | None:
    """Ids that may be offered; None where any text may be (languages, networks)."""
    known: set[str] = set()
    for need, definition in users:
        kind = definition.kind
        if need.field and isinstance(kind, values.Object):
            kind = kind.fields[need.field]
        if isinstance(kind, values.Flag):
            known |= {"true", "false"}
            continue
        found = {choice for _, choice in values.choices(kind)}
        if not found:
            return None
        known |= found
    return known


def _listed(known: set[str]) -> str:
    return "must be one of " + ", ".join(sorted(known))


def _lineup(table: Table) -> tuple[Channel, ...] | None:
    channels = table.tables("lineup", CHANNELS_MAX)
    if channels is None:
        return None
    lineup = []
    for channel in channels:
        channel.known("network_id", "number", "genre", "call_sign")
        lineup.append(
            Channel(
                channel.text("network_id", 40),
                channel.integer("number", 0, 9999, -1),
                channel.text("genre", 40, required=False),
                channel.text("call_sign", 20, required=False),
            )
        )
    numbers = [channel.number for channel in lineup]
    for i, number in enumerate(numbers):
        if number in numbers[:i]:
            table.faults.append(Fault(f"/lineup/{i}/number", "DUPLICATE", "is already another network's number"))
    return tuple(lineup)


def _policies(table: Table, catalogue: Catalogue) -> tuple[Policy, ...]:
    policies: list[Policy] = []
    for written in table.tables("policies", POLICIES_MAX) or []:
        found = len(written.faults)
        policy = _policy(written, catalogue)
        if policy is not None and any(policy.id == other.id for other in policies):
            written.fault("id", "DUPLICATE", "is already the id of another policy")
        if policy is not None and len(written.faults) == found:
            policies.append(policy)
    return tuple(policies)


_POLICY = (
    "id",
    "key",
    "level",
    "force",
    "basis",
    "context",
    "value",
    "unit",
    "min",
    "max",
    "allowed",
    "forbidden",
    "name",
)


def _policy(table: Table, catalogue: Catalogue) -> Policy | None:
    table.known(*_POLICY)
    policy_id, name = table.identifier("id"), table.text("name", 200, required=False)
    level = PolicyLevel(table.word("level", [v.value for v in PolicyLevel], PolicyLevel.PROPERTY.value))
    force = Force(table.word("force", [v.value for v in Force]))
    basis = Basis(table.word("basis", [v.value for v in Basis]))
    key = table.text("key", 80)
    definition = catalogue.get(key)
    if definition is None:
        if key:
            table.fault("key", "UNKNOWN_KEY", "is not a key of the catalogue")
        return None
    context = _context(table)
    unit = table.text("unit", 40, required=False) or None
    value = None
    if force is Force.RECOMMENDED:
        for other in ("min", "max", "allowed", "forbidden"):
            if table.get(other) is not None:
                table.fault(other, "VALUE_NOT_ALLOWED", "a recommended policy only offers a value")
        if table.get("value") is None:
            table.fault("value", "MISSING_FIELD", "is required of a recommended policy")
        else:
            value = definition.kind.check(table.get("value"), unit, table.at("value"), table.faults)
    elif table.get("value") is not None:
        table.fault("value", "VALUE_NOT_ALLOWED", "a mandatory policy may only restrict: min, max, allowed, forbidden")
    low, high = (_bound(table, definition, side, unit) for side in ("min", "max"))
    if low is not None and high is not None and low > high:
        table.fault("min", "OUT_OF_RANGE", "must not be above max")
    allowed, forbidden = (_elements(table, definition, side) for side in ("allowed", "forbidden"))
    if force is Force.MANDATORY and low is None and high is None and allowed is None and not forbidden:
        table.fault("force", "MISSING_FIELD", "a mandatory policy needs min, max, allowed or forbidden")
    return Policy(policy_id, key, level, force, basis, context, value, low, high, allowed, forbidden or (), name)


def _context(table: Table) -> Context:
    if table.get("context") is None:
        return ANY_TIME
    inner = table.table("context")
    inner.known(*AXES)
    return Context(**{axis: inner.word(axis, AXES[axis], "") for axis in AXES if axis in inner.raw})


def _bound(table: Table, definition: Definition, side: str, unit: str | None) -> int | None:
    if table.get(side) is None:
        return None
    number = table.number(side)
    quantity = next(values.quantities(definition.kind), None)
    if quantity is None and not isinstance(definition.kind, values.Integer):
        table.fault(side, "VALUE_NOT_ALLOWED", "only numbers have bounds; use allowed or forbidden")
    elif number is not None and quantity is None:
        return int(number)
    elif number is not None and quantity is not None:
        try:
            return units.canonical(number, unit or quantity.unit, quantity.unit, quantity.resolution)
        except ValueError as error:
            table.fault("unit", "WRONG_UNIT", str(error))
    return None


def _elements(table: Table, definition: Definition, side: str) -> tuple[str, ...] | None:
    listed = table.words(side, OFFERED_MAX)
    if listed is None:
        return None
    known = {choice for _, choice in values.choices(definition.kind)}
    if isinstance(definition.kind, values.Flag):
        known = {"true", "false"}
    for i, element in enumerate(listed):
        if known and element not in known:
            table.faults.append(Fault(f"{table.at(side)}/{i}", "UNKNOWN_CHOICE", _listed(known)))
    return listed
