"""The store on SQL: `Store` said in terms of queries (`documents`, `facts`) and of who runs them (`runners`)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Entry, Identifier
from prefs.core.errors import NotFound, SchemaOutdated, StoreUnavailable
from prefs.core.stays import Stay
from prefs.ports import Apply, Clock, Once, Record, Usage
from prefs.store import documents, facts, replays
from prefs.store.engines import Runner, parse, sqlite_path
from prefs.store.runners import open_runner
from prefs.store.statements import INTEGER_MAX, storable
from prefs.store.tables import REVISION

PURGE_EVERY = 500  # claims of idempotency keys between two clearings of old ones
_ADVICE = "Run `guestprefs migrate` first."


class SqlStore:
    """Documents in PostgreSQL or SQLite. Open it with `open`, which looks at the schema."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock
        self._claims = 0

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Self:
        """Raises SchemaOutdated when migrations are missing, StoreUnavailable when nothing answers."""
        place = parse(url)
        if place.get_backend_name() == "sqlite" and not await asyncio.to_thread(sqlite_path(place).exists):
            raise SchemaOutdated(f"There is no database at {place.database}. {_ADVICE}")
        store = cls(open_runner(place), clock)
        try:
            await store.ping()
        except (SchemaOutdated, StoreUnavailable):
            await store.close()
            raise
        return store

    # ------------------------------------------------------------ guests

    async def get(self, guest: str) -> Document | None:
        return (await self.get_many([guest])).get(guest)

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        wanted = [guest for guest in dict.fromkeys(guests) if storable(guest)]
        if not wanted:
            return {}
        found = await self._runner.look(lambda connection: documents.read_many(connection, wanted))
        return {guest: found[guest] for guest in wanted if guest in found}

    async def find(self, identifier: Identifier) -> str | None:
        if not storable(identifier.system, identifier.id):
            return None
        return await self._runner.look(lambda connection: documents.find(connection, identifier), snapshot=False)

    async def create(self, written: Written, once: Once | None = None) -> Written:
        await self._purge_sometimes(once)
        now = self._clock.now()
        return await self._runner.run(lambda connection: documents.create(connection, written, once, now))

    async def write(self, guest: str, apply: Apply, once: Once | None = None) -> Written:
        if not storable(guest):
            raise NotFound("There is no such guest.")
        await self._purge_sometimes(once)
        now = self._clock.now()
        return await self._runner.run(lambda connection: documents.write(connection, guest, apply, once, now))

    async def history(self, guest: str, limit: int, before: int | None = None) -> list[Change]:
        if not storable(guest):
            return []
        top = INTEGER_MAX if before is None else documents.clamp(before)
        most = documents.clamp(limit)
        return await self._runner.look(
            lambda connection: documents.history(connection, guest, most, top), snapshot=False
        )

    async def usage(self, key: str) -> list[Usage]:
        return await self._runner.survey(lambda connection: documents.usage(connection, key))

    async def guests_with(self, key: str, limit: int, after: str = "") -> list[str]:
        return await self._runner.look(
            lambda connection: documents.holders(connection, key, limit, after), snapshot=False
        )

    async def guests(self, limit: int, after: str = "") -> list[str]:
        return await self._runner.look(lambda connection: documents.every(connection, limit, after), snapshot=False)

    # ------------------------------------------------------------ stays

    async def live(self, stay: str) -> list[Entry]:
        if not storable(stay):
            return []
        return await self._runner.look(lambda connection: facts.live(connection, stay), snapshot=False)

    async def live_of(self, stays: Sequence[str]) -> dict[str, list[Entry]]:
        wanted = [stay for stay in stays if storable(stay)]
        if not wanted:
            return {}
        return await self._runner.look(lambda connection: facts.live_of(connection, wanted), snapshot=False)

    async def put_live(self, stay: str, entries: Sequence[Entry], cleared: Sequence[str] = ()) -> None:
        await self._runner.run(lambda connection: facts.put_live(connection, stay, entries, cleared))

    async def stay(self, stay: str) -> Stay | None:
        if not storable(stay):
            return None
        return await self._runner.look(lambda connection: facts.stay(connection, stay), snapshot=False)

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        wanted = [guest for guest in guests if storable(guest)]
        found: dict[str, list[Stay]] = {guest: [] for guest in guests}
        if wanted:
            found |= await self._runner.look(lambda connection: facts.stays_of(connection, wanted), snapshot=False)
        return found

    async def put_stay(self, stay: Stay, once: Once | None = None) -> Stay:
        if not storable(stay.guest, stay.property):
            raise NotFound("There is no such guest or property.")
        await self._purge_sometimes(once)
        now = self._clock.now()
        return await self._runner.run(lambda connection: facts.put_stay(connection, stay, once, now))

    # ------------------------------------------------------------ properties and catalogue

    async def property(self, property_id: str) -> Record | None:
        if not storable(property_id):
            return None
        return await self._runner.look(lambda connection: facts.property_(connection, property_id), snapshot=False)

    async def properties(self, limit: int, after: str = "") -> list[Record]:
        return await self._runner.look(lambda connection: facts.properties(connection, limit, after), snapshot=False)

    async def put_property(self, property_id: str, body: Mapping[str, Any]) -> Record:
        return await self._runner.run(lambda connection: facts.put_property(connection, property_id, body))

    async def delete_property(self, property_id: str) -> bool:
        if not storable(property_id):
            return False
        return await self._runner.run(lambda connection: facts.delete_property(connection, property_id))

    async def extensions(self) -> tuple[int, list[Record]]:
        return await self._runner.look(facts.extensions)

    async def put_extension(self, key: str, body: Mapping[str, Any]) -> int:
        return await self._runner.run(lambda connection: facts.put_extension(connection, key, body))

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


def _revision(connection: Connection) -> str | None:
    try:
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DBAPIError as error:
        if "alembic_version" in str(error.orig):  # no such table: nothing was ever migrated here
            return None
        raise
    return found
