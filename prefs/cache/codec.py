"""Cached values as compact JSON: lists in a fixed order, moments in UTC as text, one byte in front for the form.

The form is part of every entry. A process that meets a form it does not know (another release beside it) takes the
entry for a miss; it never guesses.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from prefs.cache.keys import EXTENSIONS, GUEST, PROPERTY, STAYS
from prefs.core.entries import (
    ANY_TIME,
    Consent,
    Context,
    Document,
    Entered,
    Entry,
    Identifier,
    Provenance,
    ProvenanceKind,
    Scope,
    ScopeKind,
    Strength,
)
from prefs.core.stays import Party, Stay, StayStatus
from prefs.ports import Lodging, Record

# "2" was written by orjson. "K" was not, since orjson refuses lone surrogates and integers beyond 64 bits. ("1" and "J"
# are of a release that kept live presses under a key of their own.) "Z" is either of them, deflated: ids and moments
# repeat, so ten entries shrink to a quarter for some twenty microseconds.
_FAST, _PLAIN, _DEFLATED = b"2", b"K", b"Z"
_DEFLATED_FROM = 512
_moment = datetime.fromisoformat
SHARED_MAX = 4096  # scopes and contexts are few: entries that are alike point at one
_STRENGTHS = {strength.value: strength for strength in Strength}
_SCOPES = {kind.value: kind for kind in ScopeKind}
_PROVENANCES = {kind.value: kind for kind in ProvenanceKind}
_STATUSES = {status.value: status for status in StayStatus}


class UnknownForm(ValueError):
    """Raised for bytes that this release did not learn to read."""


def encode(kind: str, value: Any) -> bytes:
    """None (there is no such thing) is empty."""
    if value is None:
        return b""
    data = _WRITERS[kind](value)
    try:
        written = _FAST + orjson.dumps(data)
    except orjson.JSONEncodeError:
        written = _PLAIN + json.dumps(data, separators=(",", ":"), default=datetime.isoformat).encode()
    return _DEFLATED + zlib.compress(written, 1) if len(written) >= _DEFLATED_FROM else written


def decode(kind: str, payload: bytes) -> Any:
    """Raises UnknownForm."""
    if not payload:
        return None
    form, body = payload[:1], payload[1:]
    if form == _DEFLATED:
        try:
            inflated = zlib.decompress(body)
        except zlib.error as error:
            raise UnknownForm("an entry of another release") from error
        form, body = inflated[:1], inflated[1:]
    if form not in (_FAST, _PLAIN):
        raise UnknownForm("an entry of another release")
    try:
        return _READERS[kind](orjson.loads(body) if form == _FAST else json.loads(body))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UnknownForm("an entry of another release") from error


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _scope(kind: str, id: str) -> Scope:
    if _SCOPES[kind] is ScopeKind.STAY:
        return Scope(ScopeKind.STAY, id)  # one guest's: what is shared outlives whom it was of
    return _shared_scope(kind, id)


@lru_cache(SHARED_MAX)
def _shared_scope(kind: str, id: str) -> Scope:
    return Scope(_SCOPES[kind], id)


@lru_cache(SHARED_MAX)
def _context(*named: str) -> Context:
    return Context(*named)


def _entry(entry: Entry) -> list[Any]:
    provenance, context = entry.provenance, entry.context
    return [
        entry.id,
        entry.key,
        entry.value,
        entry.strength.value,
        [entry.scope.kind.value, entry.scope.id],
        [context.time_of_day, context.trip, context.party, context.season] if context != ANY_TIME else [],
        [provenance.kind.value, provenance.actor, provenance.surface, provenance.at, provenance.source],
        entry.version,
        entry.expires_at,
        [entry.entered.value, entry.entered.unit] if entry.entered else None,
    ]


def _entry_of(data: Sequence[Any]) -> Entry:
    id, key, value, strength, (scope, scope_id), context, provenance, version, expires, entered = data
    kind, actor, surface, at, source = provenance
    return Entry(
        id,
        key,
        value,
        _STRENGTHS[strength],
        _scope(scope, scope_id),
        _context(*context),
        Provenance(_PROVENANCES[kind], actor, surface, _moment(at), source),
        version,
        _maybe(expires),
        Entered(*entered) if entered else None,
    )


def _consent(consent: Consent) -> list[Any]:
    given = [consent.purpose, consent.granted_at, consent.actor, consent.surface]
    return [*given, consent.expires_at, consent.notice, consent.method, consent.receipt]


def _consent_of(data: Sequence[Any]) -> Consent:
    purpose, at, actor, surface, expires, notice, method, receipt = data
    return Consent(purpose, _moment(at), actor, surface, _maybe(expires), notice, method, receipt)


def _document(document: Document) -> list[Any]:
    return [
        document.guest,
        document.version,
        [_entry(entry) for entry in document.entries],
        [[identifier.system, identifier.id] for identifier in document.identifiers],
        list(map(_consent, document.consents)),
        document.display_name,
        document.created_at,
        document.updated_at,
    ]


def _document_of(data: Sequence[Any]) -> Document:
    guest, version, entries, identifiers, consents, display_name, created, updated = data
    return Document(
        guest,
        version,
        tuple(map(_entry_of, entries)),
        tuple(Identifier(system, id) for system, id in identifiers),
        tuple(map(_consent_of, consents)),
        display_name,
        _maybe(created),
        _maybe(updated),
    )


def _stay(stay: Stay) -> list[Any]:
    return [
        stay.id,
        stay.guest,
        stay.property,
        stay.arrival,
        stay.departure,
        stay.room,
        stay.trip,
        [stay.party.adults, stay.party.children] if stay.party else None,
        stay.status.value,
        stay.version,
    ]


def _stay_of(data: Sequence[Any]) -> Stay:
    id, guest, place, arrival, departure, room, trip, party, status, version = data
    return Stay(
        id,
        guest,
        place,
        _moment(arrival),
        _moment(departure),
        room,
        trip,
        Party(*party) if party else None,
        _STATUSES[status],
        version,
    )


def _lodging(lodging: Lodging) -> list[Any]:
    presses = [[stay, [_entry(entry) for entry in pressed]] for stay, pressed in lodging.live.items()]
    return [[_stay(stay) for stay in lodging.stays], presses]


def _lodging_of(data: Sequence[Any]) -> Lodging:
    stays, presses = data
    return Lodging(tuple(map(_stay_of, stays)), {stay: tuple(map(_entry_of, pressed)) for stay, pressed in presses})


def _record(record: Record) -> list[Any]:
    return [record.id, record.body, record.version]


def _record_of(data: Sequence[Any]) -> Record:
    id, body, version = data
    return Record(id, body, version)


_WRITERS: dict[str, Callable[[Any], Any]] = {
    GUEST: _document,
    STAYS: _lodging,
    PROPERTY: _record,
    EXTENSIONS: lambda found: [found[0], [_record(record) for record in found[1]]],
}
_READERS: dict[str, Callable[[Any], Any]] = {
    GUEST: _document_of,
    STAYS: _lodging_of,
    PROPERTY: _record_of,
    EXTENSIONS: lambda data: (data[0], [_record_of(record) for record in data[1]]),
}
