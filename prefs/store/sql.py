"""The store on SQL: `Store` said in queries (`reads`, `documents`, `facts`) and in who runs them (`runners`)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Entry, Identifier
from prefs.core.erasure import Tombstone
from prefs.core.errors import NotFound, PrefsError, SchemaOutdated, Sealed, StoreUnavailable, WrappingKeyMissing
from prefs.core.papers import NO_PAPERS, Papers
from prefs.core.stays import Stay
from prefs.ports import (
    Apply,
    Buried,
    Clock,
    Credentials,
    FeedRows,
    Found,
    Lodging,
    Lookup,
    Once,
    Put,
    Record,
    Usage,
    Vault,
    WebhookRows,
)
from prefs.store import documents, erasure, facts, papers, reads, replays
from prefs.store.credentials import SqlCredentials
from prefs.store.custody import Custody
from prefs.store.documents import Kept
from prefs.store.edits import Edit, NeedsLock, statement, write_sqlite
from prefs.store.engines import Look, Runner, Unit, Work, parse, sqlite_path
from prefs.store.feed import SqlFeed
from prefs.store.remembered import Remembered
from prefs.store.runners import PostgresRunner, SqliteRunner, open_runner
from prefs.store.statements import INTEGER_MAX, storable
from prefs.store.tables import REVISION
from prefs.store.usage import usage
from prefs.store.webhooks import SqlWebhooks

PURGE_EVERY = 500  # claims of idempotency keys between two clearings of old ones
_ADVICE = "Run `guestprefs migrate` first."


class SqlStore:
    """Documents in PostgreSQL or SQLite. Open it with `open`, which looks at the schema and the keys."""

    def __init__(self, runner: Runner, clock: Clock, vault: Vault) -> None:
        self._runner = runner
        self._clock = clock
        self._vault = vault
        self._claims = 0
        self.custody = Custody(runner, clock, vault)
        self._remembered = Remembered()
        self.credentials: Credentials = SqlCredentials(runner)
        self.feed: FeedRows = SqlFeed(runner, vault, self._look)
        self.webhooks: WebhookRows = SqlWebhooks(vault, self._look, self._run)

    @classmethod
    async def open(cls, url: str, clock: Clock, vault: Vault) -> Self:
        """Raises SchemaOutdated when migrations are missing, StoreUnavailable when nothing answers, Sealed when what
        rests here was sealed with keys that the vault does not have."""
        place = parse(url)
        if place.get_backend_name() == "sqlite" and not await asyncio.to_thread(sqlite_path(place).exists):
            raise SchemaOutdated(f"There is no database at {place.database}. {_ADVICE}")
        store = cls(open_runner(place), clock, vault)
        try:
            await store.ping()
            await store.custody.open()
        except (SchemaOutdated, StoreUnavailable, Sealed):
            await store.close()
            raise
        return store

    def on_write(self, wrote: Callable[[], None]) -> None:
        """Have this called on the event loop after every write of this process that may have committed."""
        self._runner.wrote = wrote

    # ------------------------------------------------------------ guests

    async def look_up(self, wanted: Lookup) -> Found:
        """Ids that no database can hold are not there; a guest with one still has a lodging, without stays."""
        asked = Lookup(
            _storable(wanted.documents), _storable(wanted.stays), _storable(wanted.properties), wanted.extensions
        )
        found = Found({}, {}, {})
        if asked.documents or asked.stays or asked.properties or asked.extensions:
            found = await self._look(lambda connection: reads.read(connection, asked, self._vault))
        if len(asked.stays) == len(wanted.stays):
            return found
        return replace(found, lodgings=dict.fromkeys(wanted.stays, Lodging()) | dict(found.lodgings))

    async def get(self, guest: str) -> Document | None:
        return (await self.look_up(Lookup((guest,)))).documents.get(guest)

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        found = (await self.look_up(Lookup(guests))).documents
        return {guest: found[guest] for guest in guests if guest in found}

    async def find(self, identifier: Identifier) -> str | None:
        if not storable(identifier.system, identifier.id):
            return None
        return await self._runner.look(lambda connection: documents.find(connection, identifier), snapshot=False)

    async def create(self, written: Written, once: Once | None = None) -> Written:
        await self._purge_sometimes(once)
        now = self._clock.now()
        return await self._run(lambda connection: documents.create(connection, written, once, now, self._vault))

    async def write(self, guest: str, apply: Apply, once: Once | None = None) -> Written:
        if not storable(guest):
            raise NotFound("There is no such guest.")
        await self._purge_sometimes(once)
        edit = Edit(guest, apply, once, self._clock.now(), self._vault)
        kept = await self._opening(lambda: self._write(edit))
        self._remembered.keep(kept.known)
        return kept.written

    async def _write(self, edit: Edit) -> Kept:
        if isinstance(self._runner, SqliteRunner):
            return await self._runner.run(lambda connection: write_sqlite(connection, edit, self._remembered))
        unit = Unit()
        if isinstance(self._runner, PostgresRunner) and (kept := await self._write_whole(self._runner, edit, unit)):
            return kept
        return await self._runner.run(
            lambda connection: documents.write(connection, edit.guest, edit.apply, edit.once, edit.now, self._vault),
            unit,
        )

    async def _write_whole(self, runner: PostgresRunner, edit: Edit, unit: Unit) -> Kept | None:
        """The write in one statement on what is known of the guest; None where only the guest's lock can tell."""
        before = self._remembered.get(edit.guest)
        certain = before is None  # what was read just now may be refused for; what is remembered may have changed
        if before is None:
            before = await self._look(lambda connection: reads.known(connection, edit.guest, self._vault))
        if before is None:
            return None
        try:
            ready = statement(edit, before)
        except (NeedsLock, PrefsError) as refusal:
            self._remembered.forget(edit.guest)
            if certain and edit.once is None and isinstance(refusal, PrefsError):
                raise
            return None
        if ready is not None and await runner.try_whole(ready, unit):
            return Kept(ready.written, before.safe)
        self._remembered.forget(edit.guest)
        return None

    async def history(self, guest: str, limit: int, before: int | None = None) -> list[Change]:
        if not storable(guest):
            return []
        top = INTEGER_MAX if before is None else documents.clamp(before)
        most = documents.clamp(limit)
        return await self._look(lambda connection: documents.history(connection, guest, most, top, self._vault))

    async def papers(self, guest: str) -> Papers:
        if not storable(guest):
            return NO_PAPERS
        return await self._opening(
            lambda: self._runner.look(lambda connection: papers.read(connection, guest, self._vault), snapshot=True)
        )

    async def drop_waiting(self, until: datetime, limit: int) -> int:
        return await self._runner.run(lambda connection: papers.drop_waiting(connection, until, limit))

    async def usage(self, key: str) -> list[Usage]:
        return await self._opening(lambda: self._runner.survey(lambda connection: usage(connection, key, self._vault)))

    async def guests_with(self, key: str, limit: int, after: str = "") -> list[str]:
        return await self._runner.look(
            lambda connection: documents.holders(connection, key, limit, after), snapshot=False
        )

    async def guests(self, limit: int, after: str = "") -> list[str]:
        return await self._runner.look(lambda connection: documents.every(connection, limit, after), snapshot=False)

    async def guests_at(self, property_id: str, limit: int, after: str = "") -> list[str]:
        if not storable(property_id):
            return []
        return await self._runner.look(
            lambda connection: facts.lodgers(connection, property_id, limit, after), snapshot=False
        )

    # ------------------------------------------------------------ erasure

    async def erase(self, guest: str, tombstone: Tombstone, once: Once | None = None) -> Buried | None:
        if not storable(guest):
            return None
        try:
            return await self._runner.run(lambda connection: erasure.erase(connection, guest, tombstone, once))
        finally:
            self.forget(guest)
            if isinstance(self._runner, SqliteRunner):
                await self._runner.fold()

    async def renew(self) -> None:
        """Where the database runs in this process, have it keep nothing of what it read."""
        if isinstance(self._runner, SqliteRunner):
            await self._runner.renew()

    async def tombstone(self, digest: str) -> Tombstone | None:
        return await self._runner.look(lambda connection: erasure.find(connection, digest), snapshot=False)

    async def tombstones(self, since: datetime | None = None) -> list[Tombstone]:
        return list(await self._runner.survey(lambda connection: erasure.every(connection, since)))

    async def bury(self, tombstones: Sequence[Tombstone]) -> None:
        await self._runner.run(lambda connection: erasure.bury(connection, tombstones))

    async def keep_receipt(self, digest: str, signed: str) -> None:
        await self._runner.run(lambda connection: erasure.keep_receipt(connection, digest, signed))

    async def rewrite_history(self, guest: str, changes: Sequence[Change]) -> None:
        await self._run(lambda connection: documents.rewrite_history(connection, guest, changes, self._vault))

    async def forget_answers(self, *, dry: bool = False) -> int:
        now, forgotten = self._clock.now(), 0
        if dry:
            return await self._runner.survey(lambda connection: replays.outdated(connection, now))
        while count := await self._runner.run(lambda connection: replays.purge(connection, now)):
            forgotten += count
        return forgotten

    def held(self) -> list[str]:
        return self._remembered.guests()

    def forget(self, guest: str) -> None:
        self._remembered.forget(guest)

    # ------------------------------------------------------------ stays

    async def live(self, stay: Stay) -> list[Entry]:
        found = (await self.look_up(Lookup(stays=(stay.guest,)))).lodgings[stay.guest]
        return list(found.live.get(stay.id, ()))

    async def put_live(self, stay: Stay, entries: Sequence[Entry], cleared: Sequence[str] = ()) -> Put[None]:
        if not storable(stay.id):
            raise NotFound("There is no such stay.")
        now = self._clock.now()
        await self._run(lambda connection: facts.put_live(connection, stay, entries, cleared, now, self._vault))
        return Put(None)

    async def stay(self, stay: str) -> Stay | None:
        if not storable(stay):
            return None
        return await self._runner.look(lambda connection: facts.stay(connection, stay), snapshot=False)

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        found = (await self.look_up(Lookup(stays=guests))).lodgings
        return {guest: list(lodging.stays) for guest, lodging in found.items()}

    async def put_stay(self, stay: Stay, once: Once | None = None) -> Put[Stay]:
        if not storable(stay.guest, stay.property):
            raise NotFound("There is no such guest or property.")
        await self._purge_sometimes(once)
        now = self._clock.now()
        return Put(await self._run(lambda connection: facts.put_stay(connection, stay, once, now, self._vault)))

    # ------------------------------------------------------------ properties and catalogue

    async def property(self, property_id: str) -> Record | None:
        return (await self.look_up(Lookup(properties=(property_id,)))).properties.get(property_id)

    async def properties(self, limit: int, after: str = "") -> list[Record]:
        return await self._runner.look(lambda connection: facts.properties(connection, limit, after), snapshot=False)

    async def put_property(self, property_id: str, body: Mapping[str, Any]) -> Put[Record]:
        now = self._clock.now()
        return Put(await self._runner.run(lambda connection: facts.put_property(connection, property_id, body, now)))

    async def delete_property(self, property_id: str) -> Put[bool]:
        if not storable(property_id):
            return Put(False)
        return Put(await self._runner.run(lambda connection: facts.delete_property(connection, property_id)))

    async def extensions(self) -> tuple[int, list[Record]]:
        return (await self.look_up(Lookup(extensions=True))).extensions or (0, [])

    async def put_extension(self, key: str, body: Mapping[str, Any]) -> Put[int]:
        now = self._clock.now()
        return Put(await self._runner.run(lambda connection: facts.put_extension(connection, key, body, now)))

    # ------------------------------------------------------------ keys

    async def _look[T](self, work: Look[T]) -> T:
        return await self._opening(lambda: self._runner.look(work, snapshot=False))

    async def _run[T](self, work: Work[T]) -> T:
        return await self._opening(lambda: self._runner.run(work))

    async def _opening[T](self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Once more where a wrapping key is not known here: keys are rotated while this process runs."""
        try:
            return await attempt()
        except WrappingKeyMissing as missing:
            await self._vault.renew(missing.id)
            await self.custody.register()
        return await attempt()

    # ------------------------------------------------------------ the database itself

    async def ping(self) -> None:
        present = await self._runner.look(_revision, snapshot=False)
        # Revisions are numbered. A newer one is welcome: schemas expand first, so this code still works on them.
        if present is None or present < REVISION:
            raise SchemaOutdated(
                f"The database is at schema {present or 'none'}, this code needs {REVISION}. {_ADVICE}"
            )

    async def close(self) -> None:
        await self._runner.close()

    async def _purge_sometimes(self, once: Once | None) -> None:
        """In a transaction of its own: keys locked together with a guest could make two writers wait for each other."""
        if once is None:
            return
        self._claims += 1
        if self._claims % PURGE_EVERY == 0:
            now = self._clock.now()
            await self._runner.run(lambda connection: replays.purge(connection, now))


def _storable(ids: Sequence[str]) -> list[str]:
    return [one for one in dict.fromkeys(ids) if storable(one)]


def _revision(connection: Connection) -> str | None:
    try:
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DBAPIError as error:
        if "alembic_version" in str(error.orig):  # no such table: nothing was ever migrated here
            return None
        raise
    return found
