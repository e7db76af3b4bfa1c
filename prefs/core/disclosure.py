"""What stored entries may be shown to whom, and their form in JSON: for documents, history, conflicts.

Effective preferences have their own views; here it is the entries themselves. A surface sees entries of keys it gets
by value. Special-category entries need the guest's consent for that surface's purpose: on the guest's own surface
their place is shown without the value, elsewhere they are not there at all.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from prefs.core import values
from prefs.core.candidates import is_positive
from prefs.core.catalogue import GUEST_SURFACE, Catalogue, Definition, Showing
from prefs.core.entries import Document, Entry, Scope, ScopeKind
from prefs.core.patches import write_instant

WITHHELD = "withheld_no_consent"


def shows_values(definition: Definition, surface: str) -> bool:
    """Whether a surface gets this key by value; the guest's own surface gets everything."""
    return surface == GUEST_SURFACE or definition.surfaces.get(surface) is Showing.VALUE


def needs_consent(definition: Definition, entry: Entry, surface: str, purposes: frozenset[str]) -> bool:
    """Whether this entry is special-category data that the guest has not consented to show on the surface."""
    return definition.is_special(entry.strength, entry.value) and definition.purpose_at(surface) not in purposes


def discloses(definition: Definition, entry: Entry, surface: str, purposes: frozenset[str]) -> bool:
    return shows_values(definition, surface) and not needs_consent(definition, entry, surface, purposes)


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
    surface: str,
    purposes: frozenset[str],
    places: frozenset[Scope] | None = None,
) -> list[dict[str, Any]]:
    """The entries of one key that a surface at these places may see, each as JSON."""
    shown = []
    for entry in entries:
        definition = catalogue.get(entry.key)
        if definition is None or not shows_values(definition, surface) or not within(entry, places):
            continue
        withheld = needs_consent(definition, entry, surface, purposes)
        if not withheld or surface == GUEST_SURFACE:
            shown.append(show_entry(definition, entry, withheld=withheld))
    return shown


def show_document(
    catalogue: Catalogue, document: Document, surface: str, places: frozenset[Scope] | None = None
) -> Mapping[str, Any]:
    """Entries by scope and key, in catalogue order."""
    scopes: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for definition in catalogue:
        for entry in document.of(definition.key):
            for shown in show_entries(catalogue, (entry,), surface, document.purposes, places):
                scopes.setdefault(str(entry.scope), {}).setdefault(definition.key, []).append(shown)
    return dict(sorted(scopes.items()))
