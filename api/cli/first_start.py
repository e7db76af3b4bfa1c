"""What has to be there before a server can start: a folder, a key, a schema. Made when missing, said when made.

An empty SQLite file is migrated without asking, since nobody can lose anything in it. Any other schema that does not
fit is refused with the command that mends it: a server must not change a database that other servers are using.
"""

import asyncio
import os
from pathlib import Path

from api.auth import make_key, save_keys
from api.cli.audit import refuse_unsafe
from api.cli.console import CommandFault, say
from api.cli.credentials import signing_key
from api.keys import DEMO_KEY
from prefs.bootstrap import (
    MEMORY,
    SchemaState,
    SystemClock,
    cache_key,
    make_wrapping_keys,
    migrate_schema,
    open_sql,
    schema_of,
)
from prefs.settings import Settings

FOLDER_MODE = 0o700


def prepare(settings: Settings, *, demo: bool) -> None:
    """Everything that a first start needs, a line for each thing made. Raises CommandFault for a schema that does
    not fit."""
    make_folder(settings.data)
    if not settings.keys.exists():
        make_keys(settings.keys, DEMO_KEY if demo else "")
        say(f"Made a signing key in {settings.keys} (readable by you alone).")
    if settings.shares_a_cache:
        missing = not settings.cache_key.exists()
        cache_key(settings.cache_key)
        if missing:
            say(f"Made a key in {settings.cache_key} that seals what the cache holds (readable by you alone).")
    signing_key(settings.keys)  # a broken file is said here once, not by every worker that cannot start
    if schema_now(settings) is SchemaState.EMPTY and (settings.on_sqlite or demo):
        migrate_now(settings)
        say(f"Made the tables in {shown(settings.database_url)}.")
    refuse_unfit(settings)
    if not demo:
        refuse_unsafe(settings)
    asyncio.run(_prepare_vault(settings))


async def _prepare_vault(settings: Settings) -> None:
    """Said here once, not by every worker that cannot start: Sealed for wrapping keys that are missing or wrong."""
    if await make_wrapping_keys(settings):
        say(
            f"Made a wrapping key in {settings.vault_file} (readable by you alone). Keep a copy of it apart from the "
            "database: nothing that guests say can be read without it."
        )
    await (await open_sql(settings, SystemClock())).close()


def refuse_unfit(settings: Settings) -> None:
    """Raise CommandFault for a schema that this program cannot work on. A newer one it can: schemas expand first."""
    where = shown(settings.database_url)
    if settings.database_url == MEMORY:
        raise CommandFault(
            f"{MEMORY} keeps everything in one process and forgets it; DATABASE_URL must name a database."
        )
    match schema_now(settings):
        case SchemaState.EMPTY:
            raise CommandFault(f"The database {where} has no tables yet. Run: guestprefs migrate")
        case SchemaState.OUTDATED:
            raise CommandFault(f"The schema of {where} is older than this program. Run: guestprefs migrate")


def schema_now(settings: Settings) -> SchemaState:
    return asyncio.run(schema_of(settings))


def migrate_now(settings: Settings) -> None:
    asyncio.run(migrate_schema(settings))


def make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, mode=FOLDER_MODE)
    except OSError as error:
        raise CommandFault(f"The data folder {folder} cannot be made: {error.strerror}.") from error
    say(f"Made the data folder {folder}.")


def make_keys(path: Path, mark: str = "") -> None:
    """A new key file, never readable by others, not even for a moment; it never replaces one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CommandFault(f"There is already a key file {path}; move it away first to make a new one.") from error
    except OSError as error:
        raise CommandFault(f"The key file {path} cannot be written: {error.strerror}.") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(save_keys([make_key(mark)]))


def shown(url: str) -> str:
    """A database URL without its password."""
    scheme, separator, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    return f"{scheme}{separator}{user}{':***' if colon else ''}{at}{place}"
