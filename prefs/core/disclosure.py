"""What stored entries may be shown to whom, and their form in JSON: for documents, history, conflicts.

Effective preferences have their own views; here it is the entries themselves. How much of each is told is decided in
`access.py`; of an entry whose existence alone is told the place is shown without the value.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prefs.core import values
from prefs.core.candidates import is_positive
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.entries import Document, Entry, Scope, ScopeKind
from prefs.core.patches import write_instant
from prefs.core.sights import Shown, Sight

WITHHELD = "withheld_no_consent"


def told(definition: Definition, entry: Entry, sight: Sight, purposes: frozenset[str]) -> Shown:
    """How much of a stored entry is told."""
    return sight.stored(definition, definition.is_special(entry.strength, entry.value), purposes)


def within(entry: Entry, places: frozenset[Scope] | None) -> bool:
    """Whether an entry holds at these properties and stays, or everywhere; None stands for all places."""
    if places is None or entry.scope.kind in (ScopeKind.PROFILE, ScopeKind.BRAND):
        return True
    return entry.scope in places


def is_negative(definition: Definition, entry: Entry) -> bool:
    """Whether an entry refuses a value; where the strength is fixed, the list itself is the value (rule 11)."""
    return not is_positive(definition, entry)


def show_value(definition: Definition, entry: Entry) -> Any:
    """A stored value in the form it is written and served in."""
    if entry.value is None or is_negative(definition, entry):
        return entry.value
    return definition.kind.show(entry.value)


def show_entry(definition: Definition | None, entry: Entry, *, withheld: bool = False) -> dict[str, Any]:
    """One entry as JSON; withheld ones keep their place and lose value and strength."""
    body: dict[str, Any] = {"id": entry.id, "scope": str(entry.scope)}
    if withheld or definition is None:
        body["status"] = WITHHELD
    else:
        body["value"] = show_value(definition, entry)
        unit = values.unit_of(definition.kind)
        if unit and entry.value is not None:
            body["unit"] = unit
        if entry.entered:
            body["entered"] = {"value": entry.entered.value, "unit": entry.entered.unit}
        body["strength"] = entry.strength.value
    if named := entry.context.named():
        body["context"] = named
    provenance = entry.provenance
    body["provenance"] = {
        "kind": provenance.kind.value,
        "actor": provenance.actor,
        "surface": provenance.surface,
        "at": write_instant(provenance.at),
    }
    if provenance.source:
        body["provenance"]["source"] = provenance.source
    body["version"] = entry.version
    if entry.expires_at:
        body["expires_at"] = write_instant(entry.expires_at)
    return body


def show_entries(
    catalogue: Catalogue,
    entries: Iterable[Entry],
    sight: Sight,
    purposes: frozenset[str],
    places: frozenset[Scope] | None = None,
) -> list[dict[str, Any]]:
    """The entries of one key that may be told at these places, each as JSON."""
    shown = []
    for entry in entries:
        definition = catalogue.get(entry.key)
        if definition is None or not within(entry, places):
            continue
        how = told(definition, entry, sight, purposes)
        if how is not Shown.NOTHING:
            shown.append(show_entry(definition, entry, withheld=how is not Shown.VALUE))
    return shown


def show_document(
    catalogue: Catalogue, document: Document, sight: Sight, at: datetime, places: frozenset[Scope] | None = None
) -> Mapping[str, Any]:
    """Entries by scope and key, in catalogue order, as the guest's consents allow at this moment."""
    purposes = document.purposes_at(at)
    scopes: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for definition in catalogue:
        for entry in document.of(definition.key):
            for shown in show_entries(catalogue, (entry,), sight, purposes, places):
                scopes.setdefault(str(entry.scope), {}).setdefault(definition.key, []).append(shown)
    return dict(sorted(scopes.items()))
