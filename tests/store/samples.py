"""Small documents, writes and facts that the tests of stores share."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prefs.core.changes import Action, Change, KeyChange, Written
from prefs.core.entries import (
    ANY_TIME,
    PROFILE,
    Consent,
    Context,
    Document,
    Entry,
    Identifier,
    Provenance,
    ProvenanceKind,
    Scope,
    Strength,
)
from prefs.core.stays import Party, Stay, StayStatus
from prefs.ports import Apply, Past, Store

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
TEMPERATURE = "climate.temperature.occupied"
_numbers = itertools.count(1)


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def move(self, by: timedelta) -> None:
        self.time += by


def name(kind: str) -> str:
    """An id that no other test uses."""
    return f"{kind}_{next(_numbers):032x}"


def entry(
    id: str,
    value: Any = 2050,
    *,
    key: str = TEMPERATURE,
    version: int = 1,
    strength: Strength = Strength.PREFERRED,
    scope: Scope = PROFILE,
    context: Context = ANY_TIME,
    **more: Any,
) -> Entry:
    stated = Provenance(ProvenanceKind.STATED, "guest-token", "guest_app", NOW, "pms:ROOM")
    return Entry(id, key, value, strength, scope, context, stated, version, **more)


def change(guest: str, version: int, action: Action = Action.EDIT, *keys: KeyChange, at: datetime = NOW) -> Change:
    return Change(guest, version, at, "guest-token", "guest", "guest_app", action, keys, "a note")


def newborn(
    guest: str, *entries: Entry, identifiers: tuple[Identifier, ...] = (), display_name: str = "Ann"
) -> Written:
    document = Document(guest, 1, entries, identifiers, display_name=display_name)
    return Written(document, change(guest, 1, Action.CREATE), {"guest": guest})


def changing(edit: Callable[[Document, int], Document], action: Action = Action.PROFILE, answer: Any = None) -> Apply:
    """A write that replaces the document by what `edit` makes of it for the new version."""

    def apply(document: Document, past: Past) -> Written:
        version = document.version + 1
        after = replace(edit(document, version), version=version)
        return Written(
            after, change(document.guest, version, action), {"version": version} if answer is None else answer
        )

    return apply


def put(id: str, value: Any, key: str = TEMPERATURE) -> Apply:
    """A write of one entry, with a change that says what left and what came."""

    def apply(document: Document, past: Past) -> Written:
        version = document.version + 1
        new = entry(id, value, key=key, version=version)
        old = tuple(known for known in document.entries if known.id == id)
        entries = tuple(known for known in document.entries if known.id != id) + (new,)
        after = replace(document, version=version, entries=entries)
        made = change(document.guest, version, Action.EDIT, KeyChange(key, old, (new,)))
        return Written(after, made, {"version": version, "value": value})

    return apply


def drop(id: str) -> Apply:
    return changing(
        lambda document, _: replace(document, entries=tuple(known for known in document.entries if known.id != id))
    )


def identify(*identifiers: Identifier) -> Apply:
    return changing(lambda document, _: replace(document, identifiers=identifiers))


def consent(*purposes: str) -> Apply:
    given = tuple(Consent(purpose, NOW, "guest-token", "guest_app") for purpose in purposes)
    return changing(lambda document, _: replace(document, consents=given), Action.CONSENT)


def rename(display_name: str, at: datetime = NOW) -> Apply:
    def apply(document: Document, past: Past) -> Written:
        version = document.version + 1
        after = replace(document, version=version, display_name=display_name)
        return Written(after, change(document.guest, version, Action.PROFILE, at=at), {})

    return apply


def nothing(document: Document, past: Past) -> Written:
    return Written(document, None, {"version": document.version})


def stay(id: str, guest: str, property_id: str, **more: Any) -> Stay:
    given: dict[str, Any] = {
        "arrival": NOW,
        "departure": NOW + timedelta(days=3),
        "room": "1204",
        "trip": "leisure",
        "party": Party(2, 1),
        "status": StayStatus.BOOKED,
        **more,
    }
    return Stay(id, guest, property_id, **given)


async def born(store: Store, **more: object) -> str:
    guest = name("gst")
    await store.create(newborn(guest, entry("prf_a"), **more))  # type: ignore[arg-type]
    return guest


async def document(store: Store, guest: str) -> Document:
    found = await store.get(guest)
    assert found is not None
    return found
