"""What of an answer is special-category data, and the same answer without it.

Reads know it from resolving. Everything else is looked at in the form in which it is told, since an answer may be one
that was remembered: there a key that can hold special-category data counts wherever anything of it is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefs.core.catalogue import Catalogue, Definition, Showing
from prefs.core.entries import Strength
from prefs.core.labels import Labels
from prefs.core.resolved import Effective, Resolved

WITHHELD = "withheld_no_record"  # beside `withheld_no_consent`: it could not be recorded who would have seen it
NO_RECORD = "NO_RECORD"
_OF_VALUE = ("value", "unit", "entered", "strength")

type Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Special-category keys of one guest in one answer, and what for they are shown. `property` is where."""

    guest: str
    version: int
    keys: tuple[str, ...]
    purposes: tuple[str, ...]
    property: str = ""


def of_resolved(catalogue: Catalogue, resolved: Resolved, surface: str, property: str = "") -> Sighting | None:
    """What an answer made from this resolving shows; None where there is nothing special in it."""
    found = [
        definition
        for key, effective in resolved.effective.items()
        if (definition := catalogue.get(key)) is not None and surface in definition.surfaces
        if _is_special(definition, effective)
    ]
    return _sighting(found, surface, resolved.guest, resolved.version, property)


def _is_special(definition: Definition, effective: Effective) -> bool:
    if effective.special:
        return True
    return any(loser.entry and may_be_special(definition) for loser in effective.losers)


def may_be_special(definition: Definition) -> bool:
    return definition.is_special_as_a_whole or definition.special_when is not None


def of_written(catalogue: Catalogue, body: Body, surface: str, property: str = "") -> Sighting | None:
    """What the answer of an edit shows: the touched keys as they apply, and warnings, which quote values."""
    shown: Body = body.get("preferences", {})
    keys = [key for key, one in shown.items() if one.get("layer") or one.get("action") or one.get("not")]
    keys += [warning["key"] for warning in body.get("warnings", ())]
    found = _definitions(catalogue, keys)
    return _sighting(found, surface, str(body.get("guest", "")), int(body.get("version", 0)), property)


def of_document(catalogue: Catalogue, body: Body, surface: str, property: str = "") -> Sighting | None:
    """What a guest's document shows."""
    pairs = [pair for by_key in body.get("entries", {}).values() for pair in by_key.items()]
    found = _shown_by(catalogue, pairs)
    return _sighting(found, surface, str(body.get("guest", "")), int(body.get("version", 0)), property)


def of_history(
    catalogue: Catalogue, guest: str, version: int, body: Body, surface: str, property: str = ""
) -> Sighting | None:
    """What a page of history shows."""
    pairs = [(one["key"], [*one["before"], *one["after"]]) for change in body["changes"] for one in change["keys"]]
    return _sighting(_shown_by(catalogue, pairs), surface, guest, version, property)


def of_conflict(
    catalogue: Catalogue, guest: str, version: int, sides: Mapping[str, Sequence[Body]], surface: str
) -> Sighting | None:
    """What the two sides of a conflict show, by key."""
    return _sighting(_shown_by(catalogue, sides.items()), surface, guest, version, "")


def without_preferences(catalogue: Catalogue, body: Body, keys: Iterable[str], surface: str, labels: Labels) -> Body:
    """Effective preferences with these keys in their place and nothing of them but why they are withheld."""
    gone = set(keys)
    told: dict[str, Any] = {"code": NO_RECORD}
    if text := labels.reasons.get(NO_RECORD):
        told["text"] = text

    def empty(key: str) -> dict[str, Any]:
        definition = catalogue.get(key)
        if definition is not None and definition.surfaces.get(surface) is Showing.ACTION:
            return {"action": None, "status": WITHHELD}
        return {"value": None, "status": WITHHELD, "layer": None, "reason": told}

    kept = {key: empty(key) if key in gone else one for key, one in body["preferences"].items()}
    less: dict[str, Any] = {**body, "preferences": kept}
    if "warnings" in body:
        less["warnings"] = [warning for warning in body["warnings"] if warning["key"] not in gone]
    return less


def without_entries(body: Body, keys: Iterable[str]) -> Body:
    """A document whose entries of these keys keep their place and lose value and strength."""
    gone = set(keys)
    entries = {scope: _less(by_key, gone) for scope, by_key in body["entries"].items()}
    return {**body, "entries": entries}


def without_changes(body: Body, keys: Iterable[str]) -> Body:
    """A page of history likewise."""
    gone = set(keys)

    def less(one: Body) -> Body:
        return {**one, **_less({"before": one["before"], "after": one["after"]}, {"before", "after"})}

    changes = [
        {**change, "keys": [less(one) if one["key"] in gone else one for one in change["keys"]]}
        for change in body["changes"]
    ]
    return {**body, "changes": changes}


def _less(by_key: Mapping[str, Sequence[Body]], gone: set[str]) -> dict[str, Any]:
    return {key: [_emptied(one) for one in found] if key in gone else found for key, found in by_key.items()}


def _emptied(entry: Body) -> dict[str, Any]:
    if "value" not in entry:
        return dict(entry)
    shown: dict[str, Any] = {}
    for name, member in entry.items():
        if name == "value":
            shown["status"] = WITHHELD
        elif name not in _OF_VALUE:
            shown[name] = member
    return shown


def _shown_by(catalogue: Catalogue, pairs: Iterable[tuple[str, Sequence[Body]]]) -> list[Definition]:
    found = {}
    for key, entries in pairs:
        definition = catalogue.get(key)
        if definition is not None and any(_entry_is_special(definition, entry) for entry in entries):
            found[key] = definition
    return list(found.values())


def _entry_is_special(definition: Definition, entry: Body) -> bool:
    return "value" in entry and definition.is_special(Strength(entry["strength"]), entry["value"])


def _definitions(catalogue: Catalogue, keys: Iterable[str]) -> list[Definition]:
    found = {key: catalogue.get(key) for key in keys}
    return [definition for definition in found.values() if definition is not None and may_be_special(definition)]


def _sighting(found: Sequence[Definition], surface: str, guest: str, version: int, property: str) -> Sighting | None:
    if not found:
        return None
    purposes = sorted({definition.purpose_at(surface) for definition in found})
    return Sighting(guest, version, tuple(definition.key for definition in found), tuple(purposes), property)
