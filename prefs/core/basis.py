"""On what basis special-category data may be kept: the guest's consent for the purpose of its key, at this moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NoReturn

from prefs.core.callers import Role
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.entries import Document, Entry, ProvenanceKind
from prefs.core.errors import Fault, InvalidEdit, Invitable
from prefs.core.patches import Member
from prefs.core.values import escape

CONSENT_REQUIRED = "CONSENT_REQUIRED"


def is_special(member: Member) -> bool:
    return any(member.definition.is_special(said.strength, said.value) for said in member.said)


def lacks_consent(member: Member, document: Document, at: datetime) -> bool:
    return is_special(member) and member.definition.purpose not in document.purposes_at(at)


def consent_faults(member: Member, document: Document, kind: ProvenanceKind, at: datetime) -> Iterable[Fault]:
    if not is_special(member):
        return
    if kind in (ProvenanceKind.OBSERVED, ProvenanceKind.INFERRED):
        yield Fault(member.pointer, "SPECIAL_NOT_OBSERVED", "is special-category data: only the guest can state it")
    elif lacks_consent(member, document, at):
        yield consent_fault(member.pointer, member.definition)


def consent_fault(pointer: str, definition: Definition) -> Fault:
    return Fault(pointer, CONSENT_REQUIRED, f"needs the guest's consent for {definition.purpose} first")


def restore_faults(
    catalogue: Catalogue, document: Document, key: str, entries: Iterable[Entry], at: datetime
) -> Iterable[Fault]:
    """What the want of consent says against entries that are to stand again."""
    definition, given = catalogue.get(key), document.purposes_at(at)
    for entry in entries:
        if definition and definition.is_special(entry.strength, entry.value) and definition.purpose not in given:
            yield consent_fault(f"/{escape(key)}", definition)


def refuse(faults: Sequence[Fault], document: Document, role: Role, catalogue: Catalogue) -> NoReturn:
    """Raise InvalidEdit; staff are told what they may invite the guest to consent to."""
    wanted: dict[str, list[str]] = {}
    for fault in faults if role is Role.STAFF else ():
        key = fault.pointer[1:]
        definition = catalogue.get(key)
        if fault.code == CONSENT_REQUIRED and definition:
            wanted.setdefault(definition.purpose, []).append(key)
    raise InvalidEdit(faults, [Invitable(document.guest, purpose, tuple(keys)) for purpose, keys in wanted.items()])
