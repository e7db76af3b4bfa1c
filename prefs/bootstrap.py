"""Where the house is put together: which adapter stands behind which port, in the order a request passes them.

Nothing else chooses an adapter. The HTTP face and the command line open a `House` here and get services from it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pysqlite3.dbapi2 import sqlite_version, sqlite_version_info

from prefs.core.catalogue import Catalogue
from prefs.core.errors import SchemaOutdated
from prefs.definitions import load_folder, load_standard
from prefs.migrations import SchemaState as SchemaState
from prefs.migrations import migrate, schema_state
from prefs.ports import Clock, Store
from prefs.services.definitions import Definitions
from prefs.services.guests import Guests
from prefs.services.ids import new_id
from prefs.services.preferences import Preferences
from prefs.services.properties import Properties
from prefs.services.stays import Stays
from prefs.settings import Settings
from prefs.store.engines import wal_safe
from prefs.store.memory import MemoryStore
from prefs.store.sql import SqlStore

MEMORY = "memory://"  # for trying things out: nothing outlives the process


class SystemClock:
    """The only place in the house that looks at the machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the Clock port's adapter


@dataclass(frozen=True, slots=True)
class House:
    """Every service over one store; whoever opens it closes it."""

    store: Store
    clock: Clock
    definitions: Definitions
    preferences: Preferences
    guests: Guests
    stays: Stays
    properties: Properties

    async def close(self) -> None:
        await self.store.close()


async def open_house(settings: Settings, clock: Clock | None = None) -> House:
    """Open the store and furnish the house. Raises SchemaOutdated rather than work on an old schema."""
    clock = clock or SystemClock()
    return furnish(await open_store(settings, clock), clock)


async def open_store(settings: Settings, clock: Clock) -> Store:
    if settings.database_url == MEMORY:
        return MemoryStore(clock)
    if await schema_of(settings) in (SchemaState.EMPTY, SchemaState.OUTDATED):
        raise SchemaOutdated("The database does not have the schema of this program. Run: guestprefs migrate")
    return await SqlStore.open(settings.database_url, clock)


def furnish(store: Store, clock: Clock) -> House:
    """Every service over a store that is already open."""
    definitions = Definitions(store, standard_catalogue(), clock, new_id)
    return House(
        store=store,
        clock=clock,
        definitions=definitions,
        preferences=Preferences(store, definitions, clock, new_id),
        guests=Guests(store, definitions, clock, new_id),
        stays=Stays(store, definitions, clock),
        properties=Properties(store, definitions),
    )


async def schema_of(settings: Settings) -> SchemaState:
    """How the database's schema compares with this code's; the memory store has none to compare."""
    return SchemaState.OK if settings.database_url == MEMORY else await schema_state(settings.database_url)


async def migrate_schema(settings: Settings) -> None:
    if settings.database_url != MEMORY:
        await migrate(settings.database_url)


@cache
def standard_catalogue() -> Catalogue:
    return load_standard()


def standard_folder() -> Traversable:
    return files("prefs.definitions")


def catalogue_in(folder: Path) -> Catalogue:
    """A catalogue from a folder laid out as the standard one. Raises CatalogueInvalid."""
    return load_folder(folder)


def sqlite_release() -> tuple[str, bool]:
    """The SQLite in use and whether it may use a write-ahead log (see `wal_safe`)."""
    return sqlite_version, wal_safe(sqlite_version_info)
