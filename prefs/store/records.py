"""Between domain values and what is stored: rows of tables, and JSON for what is kept whole (changes, live presses).

`settle` gives a document the form every store keeps: entries in the order of key and id, values as JSON reads them
back, moments in UTC. Two stores that were told the same then answer with equal data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefs.core.changes import Action, Change, KeyChange, Written
from prefs.core.entries import (
    ANY_TIME,
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
from prefs.core.errors import Sealed
from prefs.core.papers import Papers
from prefs.core.stays import Party, Stay, StayStatus
from prefs.ports import Safe
from prefs.store import contents
from prefs.store.json_text import plain

type Columns = dict[str, Any]

# Looking a member up by its value is several times quicker here than through the enumeration.
_STRENGTHS = {member.value: member for member in Strength}
_SCOPES = {member.value: member for member in ScopeKind}
_WAYS = {member.value: member for member in ProvenanceKind}
_EVERYWHERE = {member.value: Scope(member) for member in ScopeKind}


def utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return moment.astimezone(UTC)


# ---------------------------------------------------------------- entries


def settle_entry(entry: Entry) -> Entry:
    entered = entry.entered
    return replace(
        entry,
        value=plain(entry.value),
        provenance=replace(entry.provenance, at=utc(entry.provenance.at)),
        expires_at=utc(entry.expires_at) if entry.expires_at else None,
        entered=Entered(plain(entered.value), entered.unit) if entered else None,
    )


def entry_columns(guest: str, entry: Entry, safe: Safe | None) -> Columns:
    told: Columns = {
        "value": entry.value,
        "strength": entry.strength.value,
        "source": entry.provenance.source,
        "entered": _entered_json(entry.entered),
        "sealed": None,
    }
    return {
        "guest_id": guest,
        "id": entry.id,
        "key": entry.key,
        "scope_kind": entry.scope.kind.value,
        "scope_id": entry.scope.id,
        "context": entry.context.named(),
        "provenance": entry.provenance.kind.value,
        "actor": entry.provenance.actor,
        "surface": entry.provenance.surface,
        "stated_at": entry.provenance.at,
        "version": entry.version,
        "expires_at": entry.expires_at,
        **(told if safe is None else sealed_columns(contents.seal_entry(safe, entry))),
    }


def sealed_columns(sealed: bytes) -> Columns:
    """What a sealed entry leaves in its columns."""
    return {"value": None, "strength": contents.STRENGTH, "source": "", "entered": None, "sealed": sealed}


def entry_of(row: Sequence[Any], safe: Safe | None) -> Entry:
    """An entry from a row of its table, in the table's order of columns. Reading is mostly this: it is kept quick.

    Raises Sealed."""
    (_, id, key, value, strength, scope_kind, scope_id, context) = row[:8]
    (provenance, actor, surface, stated_at, source, version, expires_at, entered, sealed) = row[8:]
    typed = Entered(entered["value"], entered["unit"]) if entered else None
    if sealed is not None:
        value, strength, source, typed = contents.open_entry(needed(safe), sealed, id, key, version)
    return Entry(
        id,
        key,
        value,
        _STRENGTHS[strength],
        Scope(_SCOPES[scope_kind], scope_id) if scope_id else _EVERYWHERE[scope_kind],
        Context(**context) if context else ANY_TIME,
        Provenance(_WAYS[provenance], actor, surface, stated_at, source),
        version,
        expires_at,
        typed,
    )


def needed(safe: Safe | None) -> Safe:
    """Raises Sealed for a guest whose data key is gone: whatever was sealed of them is erased, wherever it turns up."""
    if safe is None:
        raise Sealed("What is kept of this guest is sealed, and its data key was destroyed.")
    return safe


def _entered_json(entered: Entered | None) -> Columns | None:
    return {"value": entered.value, "unit": entered.unit} if entered else None


def entry_json(entry: Entry) -> Columns:
    """An entry whole; what is empty is left out."""
    provenance = entry.provenance
    whole = {
        "id": entry.id,
        "key": entry.key,
        "value": entry.value,
        "strength": entry.strength.value,
        "scope": [entry.scope.kind.value, entry.scope.id],
        "context": entry.context.named(),
        "provenance": [provenance.kind.value, provenance.actor, provenance.surface, provenance.source],
        "at": provenance.at.isoformat(),
        "version": entry.version,
        "expires_at": entry.expires_at.isoformat() if entry.expires_at else None,
        "entered": _entered_json(entry.entered),
    }
    return {name: value for name, value in whole.items() if value is not None and value != {}}


def entry_from_json(data: Mapping[str, Any]) -> Entry:
    kind, actor, surface, source = data["provenance"]
    scope_kind, scope_id = data["scope"]
    entered, expires_at = data.get("entered"), data.get("expires_at")
    return Entry(
        id=data["id"],
        key=data["key"],
        value=data.get("value"),
        strength=Strength(data["strength"]),
        scope=Scope(ScopeKind(scope_kind), scope_id),
        context=Context(**data.get("context", {})),
        provenance=Provenance(ProvenanceKind(kind), actor, surface, _moment(data["at"]), source),
        version=data["version"],
        expires_at=_moment(expires_at) if expires_at else None,
        entered=Entered(entered["value"], entered["unit"]) if entered else None,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# ---------------------------------------------------------------- documents and changes


def consent_columns(guest: str, consent: Consent) -> Columns:
    return {
        "guest_id": guest,
        "purpose": consent.purpose,
        "granted_at": consent.granted_at,
        "actor": consent.actor,
        "surface": consent.surface,
        "expires_at": consent.expires_at,
        "notice": consent.notice,
        "method": consent.method,
        "receipt": consent.receipt,
    }


def _settle_consent(consent: Consent) -> Consent:
    ends = utc(consent.expires_at) if consent.expires_at else None
    return replace(consent, granted_at=utc(consent.granted_at), expires_at=ends)


def settle_papers(papers: Papers) -> Papers:
    """What lies beside a document, in the form and order in which every store gives it back."""
    receipts = (replace(one, at=utc(one.at), body=plain(dict(one.body))) for one in papers.receipts)
    invitations = (
        replace(
            one,
            at=utc(one.at),
            expires_at=utc(one.expires_at),
            answered_at=utc(one.answered_at) if one.answered_at else None,
        )
        for one in papers.invitations
    )
    waiting = (replace(one, at=utc(one.at), expires_at=utc(one.expires_at)) for one in papers.waiting)
    return Papers(
        tuple(sorted(receipts, key=lambda one: (one.purpose, one.version))),
        tuple(sorted(invitations, key=lambda one: one.id)),
        tuple(sorted(waiting, key=lambda one: one.id)),
    )


def settle(written: Written, before: Document | None, guest: str) -> tuple[Document, Change]:
    """What is kept of a write that changed something. Raises ValueError for a decision that contradicts itself."""
    document, change = written.document, written.change
    if change is None:
        raise ValueError("nothing changed: there is nothing to keep")
    version = before.version + 1 if before else 1
    if (document.guest, document.version) != (guest, version) or (change.guest, change.version) != (guest, version):
        raise ValueError(f"the write must make version {version} of {guest}")
    known = {id(entry) for entry in before.entries} if before else set()
    entries = [entry if id(entry) in known else settle_entry(entry) for entry in document.entries]
    if len({entry.id for entry in entries}) != len(entries):
        raise ValueError("two entries have one id")
    change = replace(change, at=utc(change.at), keys=tuple(_settle_key(key) for key in change.keys))
    created = (before.created_at if before else document.created_at) or change.at
    document = replace(
        document,
        entries=tuple(sorted(entries, key=lambda entry: (entry.key, entry.id))),
        identifiers=tuple(sorted(set(document.identifiers))),
        consents=tuple(
            sorted(
                map(_settle_consent, document.consents),
                key=lambda consent: consent.purpose,
            )
        ),
        created_at=utc(created),
        updated_at=change.at,
    )
    return document, change


def _settle_key(change: KeyChange) -> KeyChange:
    return KeyChange(change.key, tuple(map(settle_entry, change.removed)), tuple(map(settle_entry, change.added)))


def keys_json(change: Change) -> list[Columns]:
    return [
        {
            "key": key.key,
            "removed": [entry_json(entry) for entry in key.removed],
            "added": [entry_json(entry) for entry in key.added],
        }
        for key in change.keys
    ]


def change_columns(change: Change, safe: Safe | None) -> Columns:
    keys = keys_json(change)
    return {
        "guest_id": change.guest,
        "version": change.version,
        "at": change.at,
        "actor": change.actor,
        "role": change.role,
        "surface": change.surface,
        "action": change.action.value,
        "note": change.note,
        "keys": keys if safe is None else contents.CHANGE,
        "sealed": None if safe is None else contents.seal_change(safe, change.version, keys),
    }


def change_of(row: Any, safe: Safe | None) -> Change:
    """Raises Sealed."""
    told = row.keys_ if row.sealed is None else contents.open_change(needed(safe), row.sealed, row.version)
    keys = tuple(
        KeyChange(
            key["key"],
            tuple(entry_from_json(entry) for entry in key["removed"]),
            tuple(entry_from_json(entry) for entry in key["added"]),
        )
        for key in told
    )
    return Change(
        row.guest_id, row.version, row.at, row.actor, row.role, row.surface, Action(row.action), keys, row.note
    )


# ---------------------------------------------------------------- stays


def settle_stay(stay: Stay, version: int) -> Stay:
    return replace(stay, arrival=utc(stay.arrival), departure=utc(stay.departure), version=version)


def stay_columns(stay: Stay) -> Columns:
    return {
        "guest_id": stay.guest,
        "id": stay.id,
        "property": stay.property,
        "arrival": stay.arrival,
        "departure": stay.departure,
        "room": stay.room,
        "trip": stay.trip,
        "adults": stay.party.adults if stay.party else None,
        "children": stay.party.children if stay.party else None,
        "status": stay.status.value,
        "version": stay.version,
    }


def stay_of(row: Any) -> Stay:
    return Stay(
        id=row.id,
        guest=row.guest_id,
        property=row.property,
        arrival=row.arrival,
        departure=row.departure,
        room=row.room,
        trip=row.trip,
        party=None if row.adults is None else Party(row.adults, row.children),
        status=StayStatus(row.status),
        version=row.version,
    )


def stay_json(stay: Stay) -> Columns:
    """The answer to putting a stay, as kept for a repeat of the request."""
    columns = stay_columns(stay)
    return {**columns, "arrival": stay.arrival.isoformat(), "departure": stay.departure.isoformat()}


def stay_from_json(data: Mapping[str, Any]) -> Stay:
    return Stay(
        id=data["id"],
        guest=data["guest_id"],
        property=data["property"],
        arrival=_moment(data["arrival"]),
        departure=_moment(data["departure"]),
        room=data["room"],
        trip=data["trip"],
        party=None if data["adults"] is None else Party(data["adults"], data["children"]),
        status=StayStatus(data["status"]),
        version=data["version"],
    )
