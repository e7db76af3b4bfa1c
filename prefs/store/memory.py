"""The reference store: what `Store` promises in the plainest form, for tests and for trying things out.

One lock makes every write a transaction. Everything kept went through `records.settle`, as in SQL, so that what comes
back is equal data. It never fails and forgets everything with the process.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from prefs.core.changes import Change, Erasure, EventKind, Written
from prefs.core.consents import without_values
from prefs.core.entries import Document, Entry, Identifier
from prefs.core.erasure import Tombstone
from prefs.core.errors import IdentifierTaken, KeyReused, NotFound, Refused, StayTaken
from prefs.core.papers import NO_PAPERS, Papers
from prefs.core.stays import Stay
from prefs.ports import (
    ANSWERS_KEPT,
    Apply,
    Buried,
    Clock,
    Credentials,
    Found,
    Lodging,
    Lookup,
    Once,
    Put,
    Record,
    Usage,
)
from prefs.store import records, usage
from prefs.store.facts import OPEN
from prefs.store.json_text import plain
from prefs.store.memory_credentials import MemoryCredentials
from prefs.store.memory_feed import MemoryFeed
from prefs.store.memory_webhooks import MemoryWebhooks


@dataclass(frozen=True, slots=True)
class MemoryPast:
    changes: Sequence[Change]
    beside: Papers = NO_PAPERS

    def papers(self) -> Papers:
        return self.beside

    def since(self, version: int) -> list[Change]:
        return [change for change in self.changes if change.version > version]

    def at(self, version: int) -> Change | None:
        return next((change for change in self.changes if change.version == version), None)


@dataclass(frozen=True, slots=True)
class _Kept:
    fingerprint: str
    guest: str
    answer: dict[str, Any]
    expires_at: datetime


@dataclass
class _Guest:
    document: Document
    changes: list[Change] = field(default_factory=list)
    papers: Papers = NO_PAPERS


class MemoryStore:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._guests: dict[str, _Guest] = {}
        self._identifiers: dict[Identifier, str] = {}
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._stays: dict[str, Stay] = {}
        self._live: dict[str, list[Entry]] = {}
        self._properties: dict[str, Record] = {}
        self._extensions: dict[str, Record] = {}
        self._extension_version = 0
        self._credentials = MemoryCredentials()
        self.credentials: Credentials = self._credentials
        self._tombstones: dict[str, Tombstone] = {}
        self.feed = MemoryFeed()
        self.webhooks = MemoryWebhooks(self._guests)

    # ------------------------------------------------------------ guests

    async def look_up(self, wanted: Lookup) -> Found:
        stays = await self.stays_of(wanted.stays)
        return Found(
            await self.get_many(wanted.documents),
            {guest: Lodging(tuple(found), self._pressed(found)) for guest, found in stays.items()},
            {name: self._properties[name] for name in wanted.properties if name in self._properties},
            await self.extensions() if wanted.extensions else None,
        )

    async def get(self, guest: str) -> Document | None:
        kept = self._guests.get(guest)
        return kept.document if kept else None

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        return {guest: self._guests[guest].document for guest in guests if guest in self._guests}

    async def find(self, identifier: Identifier) -> str | None:
        return self._identifiers.get(identifier)

    async def create(self, written: Written, once: Once | None = None) -> Written:
        async with self._lock:
            guest = written.document.guest
            if kept := self._repeated(once):
                return self._replayed(kept)
            document, change = records.settle(written, None, guest)
            if guest in self._guests:
                raise Refused(f"The guest {guest} exists already.")
            self._take_identifiers(Document(guest, 0), document)
            self._guests[guest] = _Guest(document, [change])
            self.feed.say_change(change)
            return self._told(Written(document, change, written.answer), once)

    async def write(self, guest: str, apply: Apply, once: Once | None = None) -> Written:
        async with self._lock:
            if kept := self._repeated(once):
                return self._replayed(kept)
            present = self._guests.get(guest)
            if present is None:
                raise NotFound("There is no such guest.")
            written = apply(present.document, MemoryPast(tuple(present.changes), present.papers))
            if written.change is None:
                present.papers = records.settle_papers(written.papers) if written.papers else present.papers
                return self._told(Written(present.document, None, written.answer), once)
            document, change = records.settle(written, present.document, guest)
            answer = plain(written.answer)  # all that can fail comes before the first thing kept
            self._take_identifiers(present.document, document)
            present.papers = records.settle_papers(written.papers) if written.papers else present.papers
            present.document = document
            if written.erasure:
                self._erase(guest, present, written.erasure)
            present.changes.append(change)
            self.feed.say_change(change)
            return self._told(Written(document, change, answer), once)

    async def history(self, guest: str, limit: int, before: int | None = None) -> list[Change]:
        kept = self._guests.get(guest)
        changes = reversed(kept.changes) if kept else ()
        return [change for change in changes if before is None or change.version < before][: max(limit, 0)]

    async def papers(self, guest: str) -> Papers:
        kept = self._guests.get(guest)
        return kept.papers if kept else NO_PAPERS

    async def drop_waiting(self, until: datetime, limit: int) -> int:
        async with self._lock:
            dropped = 0
            for kept in self._guests.values():
                over = [one for one in kept.papers.waiting if one.expires_at <= until][: limit - dropped]
                left = tuple(one for one in kept.papers.waiting if one not in over)
                kept.papers, dropped = replace(kept.papers, waiting=left), dropped + len(over)
            return dropped

    async def usage(self, key: str) -> list[Usage]:
        counts: usage.Counts = Counter()
        for kept in self._guests.values():
            for entry in kept.document.of(key):
                usage.count(counts, entry)
        return usage.told(counts)

    async def guests_with(self, key: str, limit: int, after: str = "") -> list[str]:
        return [guest for guest in sorted(self._guests) if guest > after and self._guests[guest].document.of(key)][
            :limit
        ]

    async def guests(self, limit: int, after: str = "") -> list[str]:
        return [guest for guest in sorted(self._guests) if guest > after][:limit]

    async def guests_at(self, property_id: str, limit: int, after: str = "") -> list[str]:
        found = {
            stay.guest
            for stay in self._stays.values()
            if stay.property == property_id and stay.status.value in OPEN and stay.guest > after
        }
        return sorted(found)[:limit]

    # ------------------------------------------------------------ erasure

    async def erase(self, guest: str, tombstone: Tombstone, once: Once | None = None) -> Buried | None:
        async with self._lock:
            self._repeated(once)
            kept = self._guests.pop(guest, None)
            if kept is None:
                known = self._tombstones.get(tombstone.digest)
                return Buried(known, fresh=False) if known else None
            stays = [stay.id for stay in self._stays.values() if stay.guest == guest]
            houses = [self._stays[stay].property for stay in stays]
            self.feed.say_erased(guest, tombstone.digest, houses, tombstone.at)
            answers = [key for key, answer in self._kept.items() if guest == answer.guest or key[0] == f"guest:{guest}"]
            document = kept.document
            places = {
                "live": sum(len(self._live.pop(stay, ())) for stay in stays),
                "stay": sum(self._stays.pop(stay, None) is not None for stay in stays),
                "idempotency": sum(self._kept.pop(key, None) is not None for key in answers),
                "identifier": sum(self._identifiers.pop(one, None) is not None for one in document.identifiers),
                "entry": len(document.entries),
                "consent": len(document.consents),
                "change": len(kept.changes),
                "revocation": self._credentials.rename(guest),
                "webhook_delivery": self.webhooks.forget(guest),
                "guest": 1,
            }
            placed = replace(tombstone, places=places)
            self._tombstones[tombstone.digest] = placed
            return Buried(placed)

    async def tombstone(self, digest: str) -> Tombstone | None:
        return self._tombstones.get(digest)

    async def tombstones(self, since: datetime | None = None) -> list[Tombstone]:
        return [one for one in self._tombstones.values() if since is None or one.at >= since]

    async def bury(self, tombstones: Sequence[Tombstone]) -> None:
        for one in tombstones:
            self._tombstones.setdefault(one.digest, one)

    async def keep_receipt(self, digest: str, signed: str) -> None:
        self._tombstones[digest] = replace(self._tombstones[digest], signed=signed)

    async def rewrite_history(self, guest: str, changes: Sequence[Change]) -> None:
        async with self._lock:
            kept = self._guests.get(guest)
            if kept is None:
                raise NotFound("There is no such guest.")
            anew = {change.version: change for change in changes}
            kept.changes[:] = [anew.get(change.version, change) for change in kept.changes]

    async def forget_answers(self, *, dry: bool = False) -> int:
        now = self._clock.now()
        old = [key for key, kept in self._kept.items() if kept.expires_at <= now]
        for key in () if dry else old:
            del self._kept[key]
        return len(old)

    def held(self) -> list[str]:
        return []

    def forget(self, guest: str) -> None:
        """There is nothing beside the data itself."""

    # ------------------------------------------------------------ stays

    async def live(self, stay: Stay) -> list[Entry]:
        return list(self._live.get(stay.id, ()))

    def _pressed(self, stays: Sequence[Stay]) -> dict[str, tuple[Entry, ...]]:
        return {stay.id: tuple(self._live[stay.id]) for stay in stays if self._live.get(stay.id)}

    async def put_live(self, stay: Stay, entries: Sequence[Entry], cleared: Sequence[str] = ()) -> Put[None]:
        async with self._lock:
            known = self._stays.get(stay.id)
            if known is None or known.guest != stay.guest:
                raise NotFound("There is no such stay.")
            gone = {entry.key for entry in entries} | set(cleared)
            left = [entry for entry in self._live.get(stay.id, ()) if entry.key not in gone]
            come = [records.settle_entry(entry) for entry in entries]
            self._live[stay.id] = sorted(left + come, key=lambda entry: (entry.key, entry.id))
            self.feed.say(EventKind.PRESS, self._clock.now(), stay.guest, stay.property)
            return Put(None)

    async def stay(self, stay: str) -> Stay | None:
        return self._stays.get(stay)

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        found: dict[str, list[Stay]] = {guest: [] for guest in guests}
        for stay in sorted(self._stays.values(), key=lambda stay: (stay.arrival, stay.id)):
            if stay.guest in found:
                found[stay.guest].append(stay)
        return found

    async def put_stay(self, stay: Stay, once: Once | None = None) -> Put[Stay]:
        async with self._lock:
            if kept := self._repeated(once):
                return Put(records.stay_from_json(kept.answer))
            if stay.guest not in self._guests or stay.property not in self._properties:
                raise NotFound("There is no such guest or property.")
            present = self._stays.get(stay.id)
            if present and (present.guest, present.property) != (stay.guest, stay.property):
                raise StayTaken(f"The stay {stay.id} belongs to another guest or property.")
            if present is None:
                fresh = records.settle_stay(stay, 1)
            elif records.settle_stay(stay, present.version) == present:
                fresh = present
            else:
                fresh = records.settle_stay(stay, present.version + 1)
                if fresh.room != present.room:
                    self._live.pop(stay.id, None)
            self._stays[stay.id] = fresh
            if fresh is not present:
                self.feed.say(EventKind.STAY, self._clock.now(), stay.guest, stay.property)
            self._keep(once, stay.guest, records.stay_json(fresh))
            return Put(fresh)

    # ------------------------------------------------------------ properties and catalogue

    async def property(self, property_id: str) -> Record | None:
        return self._properties.get(property_id)

    async def properties(self, limit: int, after: str = "") -> list[Record]:
        return [self._properties[name] for name in sorted(self._properties) if name > after][:limit]

    async def put_property(self, property_id: str, body: Mapping[str, Any]) -> Put[Record]:
        async with self._lock:
            given = plain(dict(body))
            present = self._properties.get(property_id)
            if present and present.body == given:
                return Put(present)
            self._properties[property_id] = Record(property_id, given, present.version + 1 if present else 1)
            self.feed.say(EventKind.PROPERTY, self._clock.now(), place=property_id)
            return Put(self._properties[property_id])

    async def delete_property(self, property_id: str) -> Put[bool]:
        async with self._lock:
            if any(stay.property == property_id and stay.status.value in OPEN for stay in self._stays.values()):
                raise Refused(f"The property {property_id} has open stays.")
            return Put(self._properties.pop(property_id, None) is not None)

    async def extensions(self) -> tuple[int, list[Record]]:
        return self._extension_version, [self._extensions[key] for key in sorted(self._extensions)]

    async def put_extension(self, key: str, body: Mapping[str, Any]) -> Put[int]:
        async with self._lock:
            given = plain(dict(body))
            present = self._extensions.get(key)
            if present is None or present.body != given:
                self._extension_version += 1
                self._extensions[key] = Record(key, given, self._extension_version)
                self.feed.say(EventKind.CATALOGUE, self._clock.now())
            return Put(self._extension_version)

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    # ------------------------------------------------------------ inside a write

    def _erase(self, guest: str, present: _Guest, erasure: Erasure) -> None:
        left = {change.version: change for change in erasure.changes}
        present.changes[:] = [left.get(change.version, change) for change in present.changes]
        for key, kept in self._kept.items():
            if kept.guest == guest:
                self._kept[key] = replace(kept, answer=without_values(kept.answer, erasure.keys))

    def _take_identifiers(self, before: Document, after: Document) -> None:
        come = sorted(set(after.identifiers) - set(before.identifiers))
        for identifier in come:
            if identifier in self._identifiers:
                raise IdentifierTaken(identifier.system, identifier.id)
        for identifier in before.identifiers:
            del self._identifiers[identifier]
        self._identifiers |= dict.fromkeys(after.identifiers, after.guest)

    def _repeated(self, once: Once | None) -> _Kept | None:
        if once is None:
            return None
        now = self._clock.now()
        self._kept = {key: kept for key, kept in self._kept.items() if kept.expires_at > now}
        kept = self._kept.get((once.caller, once.key))
        if kept and kept.fingerprint != once.fingerprint:
            raise KeyReused("This idempotency key was used before with another request.")
        return kept

    def _replayed(self, kept: _Kept) -> Written:
        return Written(self._guests[kept.guest].document, None, plain(kept.answer), replayed=True)

    def _told(self, written: Written, once: Once | None) -> Written:
        written = replace(written, answer=plain(written.answer))
        self._keep(once, written.document.guest, written.answer)
        return written

    def _keep(self, once: Once | None, guest: str, answer: dict[str, Any]) -> None:
        if once:
            self._kept[once.caller, once.key] = _Kept(once.fingerprint, guest, answer, self._clock.now() + ANSWERS_KEPT)
