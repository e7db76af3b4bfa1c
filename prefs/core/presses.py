"""Presses on a panel in the room: the written form of live values in, entries that end by themselves out.

A press is always a wish, only on keys that a device of the room controls, and it holds until the earliest of its hold
time, the next context window and checkout (resolving rule 4). It is attributed to no one.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from prefs.core import patches, windows
from prefs.core.basis import consent_fault, lacks_consent
from prefs.core.catalogue import Catalogue
from prefs.core.entries import ANY_TIME, Document, Entry, Provenance, ProvenanceKind, Scope, ScopeKind, Strength
from prefs.core.errors import Fault, InvalidEdit
from prefs.core.patches import Member
from prefs.core.sights import Shown, Sight
from prefs.core.stays import Facts


def read(
    catalogue: Catalogue,
    document: Document,
    patch: Mapping[str, Any],
    facts: Facts,
    sight: Sight,
    new_id: Callable[[], str],
) -> tuple[list[Entry], list[str]]:
    """Entries to keep and keys to clear. Raises InvalidEdit with every fault; `facts` must hold the stay."""
    stay = facts.stay
    if stay is None:
        raise ValueError("a press belongs to a stay")
    faults: list[Fault] = []
    scope = Scope(ScopeKind.ROOM, stay.room or stay.id)
    members = patches.read(catalogue, patch, scope, facts.at, faults)
    for member in members:
        _check(member, sight, document, facts.at, faults)
    if faults:
        raise InvalidEdit(faults)
    zone = facts.property.time_zone if facts.property else "UTC"
    latest = min(windows.next_boundary(facts.at, zone), stay.departure)
    pressed = []
    for member in members:
        if member.positive is None:
            continue
        held = member.positive.expires_at
        pressed.append(
            Entry(
                id=new_id(),
                key=member.definition.key,
                value=member.positive.value,
                strength=Strength.PREFERRED,
                scope=scope,
                context=ANY_TIME,
                provenance=Provenance(ProvenanceKind.LIVE, "", sight.surface, facts.at),
                version=document.version,
                expires_at=min(held, latest) if held else latest,
                entered=member.positive.entered,
            )
        )
    return pressed, [member.definition.key for member in members if member.positive is None]


def _check(member: Member, sight: Sight, document: Document, at: datetime, faults: list[Fault]) -> None:
    definition, pointer = member.definition, member.pointer
    if sight.applied(definition, False, document.purposes_at(at)) is Shown.NOTHING:
        faults.append(Fault(pointer, "NOT_ON_SURFACE", f"is not a key of the surface {sight.surface}"))
    if ScopeKind.ROOM not in definition.scopes:
        faults.append(Fault(pointer, "SCOPE_NOT_ALLOWED", "no device in the room controls this"))
    if member.negatives is not None:
        faults.append(Fault(f"{pointer}/not", "VALUE_NOT_ALLOWED", "a press only sets a value"))
    if member.context not in (None, ANY_TIME):
        faults.append(Fault(f"{pointer}/context", "CONTEXT_NOT_ALLOWED", "a press holds for the moment"))
    said = member.positive
    if said and said.strength is not Strength.PREFERRED:
        faults.append(Fault(f"{pointer}/strength", "STRENGTH_NOT_ALLOWED", "a press is always preferred"))
    if said and lacks_consent(member, document, at):
        faults.append(consent_fault(pointer, definition))
