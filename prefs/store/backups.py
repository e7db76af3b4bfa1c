"""Backups of the whole database, one file each: a SQLite file, or an archive of pg_dump.

A backup is checked by its size and SHA-256, which stand in a manifest beside it. It is restored beside the database
that is in use and takes its place only when it is complete, migrated and rid of whoever was erased since (`into`
prepares it): whatever goes wrong before that changes nothing.
"""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import asyncpg
import pysqlite3.dbapi2 as sqlite
from sqlalchemy import URL

from prefs.core.errors import Refused, StoreUnavailable
from prefs.store.engines import LIBRARY_ERRORS, parse, sqlite_path

PAGES_AT_ONCE = 2048
RESTARTS_MAX = 3  # writers make a copy begin anew; after that it is made in one go, which they do not disturb
CHUNK = 2**20
LAST_WORDS = 300

type Progress = Callable[[int, int], None]  # done, of how many
type Prepare = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is, and how to tell that it is still that."""

    engine: str
    made_at: str
    size: int
    sha256: str

    @staticmethod
    def place(file: Path) -> Path:
        return file.with_name(file.name + ".manifest.json")


class _Restless(Exception):
    """Others write faster than pages are copied."""


# ---------------------------------------------------------------- making one


async def back_up(url: str, file: Path, now: datetime, programs: Path | None, progress: Progress) -> Manifest:
    """Raises Refused for a file that is there already or a program that is not, StoreUnavailable."""
    place = parse(url)
    partial = await asyncio.to_thread(_begin, file)
    try:
        if place.get_backend_name() == "postgresql":
            arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
            await _run(place, programs, "pg_dump", *arguments)
        else:
            await asyncio.to_thread(_copy_sqlite, sqlite_path(place), partial, progress)
        return await asyncio.to_thread(_finish, partial, file, place.get_backend_name(), now, progress)
    except OSError as error:
        raise Refused(f"The backup {file} cannot be written: {error.strerror}.") from error
    finally:
        await asyncio.to_thread(partial.unlink, missing_ok=True)


def _begin(file: Path) -> Path:
    if file.exists():
        raise Refused(f"{file} exists already; a backup never replaces another.")
    partial = file.with_name(file.name + ".partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    except OSError as error:
        raise Refused(f"The backup {file} cannot be written: {error.strerror}.") from error
    return partial


def _finish(partial: Path, file: Path, engine: str, now: datetime, progress: Progress) -> Manifest:
    made = Manifest(engine, now.isoformat(), partial.stat().st_size, _digest(partial, progress))
    Manifest.place(file).write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="ascii")
    os.replace(partial, file)
    return made


def _copy_sqlite(source: Path, target: Path, progress: Progress) -> None:
    try:
        _copy(source, target, progress)
    except sqlite.Error as error:
        raise StoreUnavailable(f"The database {source} cannot be copied: {error}.") from error


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """By SQLite's online backup: what was committed at one moment, while others go on writing."""
    restarts, left = 0, 0

    def step(_status: int, remaining: int, total: int) -> None:
        nonlocal restarts, left
        restarts, left = restarts + (remaining > left > 0), remaining
        if restarts > RESTARTS_MAX:
            raise _Restless
        progress(total - remaining, total)

    read, written = _open(source), sqlite.connect(target, isolation_level=None, timeout=10)
    try:
        try:
            read.backup(written, pages=PAGES_AT_ONCE, progress=step, sleep=0.0)
        except _Restless:
            read.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    finally:
        written.close()
        read.close()


def _open(path: Path) -> "sqlite.Connection":
    return sqlite.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)


def _digest(file: Path, progress: Progress) -> str:
    size, done, found = file.stat().st_size, 0, hashlib.sha256()
    with file.open("r+b") as read:
        while chunk := read.read(CHUNK):
            found.update(chunk)
            done += len(chunk)
            progress(done, size)
        os.fsync(read.fileno())
    return found.hexdigest()


# ---------------------------------------------------------------- looking at one


def manifest(file: Path, engine: str, progress: Progress) -> Manifest:
    """The manifest of a backup that is whole. Raises Refused."""
    place = Manifest.place(file)
    try:
        told = Manifest(**json.loads(place.read_text(encoding="ascii")))
        size = file.stat().st_size
    except OSError as error:
        raise Refused(f"{error.filename} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise Refused(f"{place} is no manifest of a backup.") from error
    if told.engine != engine:
        raise Refused(f"{file} is a backup of {told.engine}; this database is {engine}.")
    if size != told.size or _digest(file, progress) != told.sha256:
        raise Refused(f"{file} is not the backup that was made: its checksum differs.")
    return told


# ---------------------------------------------------------------- restoring one


async def restore(url: str, file: Path, programs: Path | None, into: Prepare, progress: Progress) -> None:
    """Put a backup in the place of the database, after `into` has prepared the database at the URL it is given.
    Raises Refused, StoreUnavailable; then nothing has changed."""
    place = parse(url)
    if place.get_backend_name() == "postgresql":
        await _restore_postgresql(place, file, programs, into)
    else:
        await _restore_sqlite(sqlite_path(place), file, into, progress)


async def _restore_sqlite(live: Path, file: Path, into: Prepare, progress: Progress) -> None:
    beside = live.with_name(f"{live.name}.restoring-{secrets.token_hex(4)}")
    try:
        await asyncio.to_thread(live.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(beside.touch, 0o600)
        await asyncio.to_thread(_copy_sqlite, file, beside, progress)
        await into(f"sqlite:///{beside}")
        await asyncio.to_thread(_take_place, beside, live)
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}.") from error
    finally:
        for end in ("", "-wal", "-shm"):
            await asyncio.to_thread(beside.with_name(beside.name + end).unlink, missing_ok=True)


def _take_place(prepared: Path, live: Path) -> None:
    """In one transaction of the file that is in use: servers that have it open see all of it at once."""
    read, written = _open(prepared), sqlite.connect(live, isolation_level=None, timeout=10)
    try:
        read.backup(written)
        written.execute("PRAGMA journal_mode = WAL")
        written.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite.Error as error:
        raise StoreUnavailable(f"The database {live} cannot be replaced: {error}. Nothing was changed.") from error
    finally:
        written.close()
        read.close()


async def _restore_postgresql(place: URL, file: Path, programs: Path | None, into: Prepare) -> None:
    name = place.database or "guestprefs"
    beside = f"{name}_restoring_{secrets.token_hex(4)}"
    fresh = place.set(database=beside)
    async with _server(place) as execute:
        await execute(f"CREATE DATABASE {_quoted(beside)} TEMPLATE template0")
        try:
            arguments = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
            await _run(fresh, programs, "pg_restore", *arguments, f"--dbname={beside}", str(file))
            await into(fresh.render_as_string(hide_password=False))
            await _swap(execute, name, beside)
        finally:
            with suppress(StoreUnavailable):
                await execute(f"DROP DATABASE IF EXISTS {_quoted(beside)} WITH (FORCE)")


async def _swap(execute: Callable[[str], Awaitable[object]], name: str, beside: str) -> None:
    old = f"{name}_replaced_{secrets.token_hex(4)}"
    aside = f"ALTER DATABASE {_quoted(name)} RENAME TO {_quoted(old)}"
    try:  # both in one transaction
        await execute(f"{aside}; ALTER DATABASE {_quoted(beside)} RENAME TO {_quoted(name)}")
    except StoreUnavailable as error:
        raise Refused(f"The database {name} is in use: stop the servers first. Nothing was changed.") from error
    await execute(f"DROP DATABASE {_quoted(old)}")


@asynccontextmanager
async def _server(place: URL) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    """Statements on the server beside any of its databases of ours."""
    try:
        connection = await asyncpg.connect(
            host=place.host, port=place.port, user=place.username, password=place.password, database="postgres"
        )
    except LIBRARY_ERRORS as error:
        raise StoreUnavailable(f"The database server does not answer: {error}") from error

    async def execute(statement: str) -> object:
        try:
            return await connection.execute(statement)
        except LIBRARY_ERRORS as error:
            raise StoreUnavailable(f"The database server refused: {error}") from error

    try:
        yield execute
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def _run(place: URL, programs: Path | None, program: str, *arguments: str) -> None:
    """A program of PostgreSQL on this database, which hears the password where nobody else can."""
    found = shutil.which(program, path=str(programs) if programs else None)
    if found is None:
        where = f"in {programs}" if programs else "on the PATH"
        raise Refused(f"There is no {program} {where}; name the folder of PostgreSQL's programs with --programs.")
    known = {"PGHOST": place.host, "PGPORT": place.port, "PGUSER": place.username, "PGPASSWORD": place.password}
    environment = {**os.environ, **{name: str(value) for name, value in known.items() if value}}
    running = await asyncio.create_subprocess_exec(
        found,
        *arguments,
        env={**environment, "PGDATABASE": place.database or ""},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await running.communicate()
    except asyncio.CancelledError:
        running.kill()
        await running.wait()
        raise
    if running.returncode:
        words = " ".join(said.decode(errors="replace").split())[:LAST_WORDS]
        raise StoreUnavailable(f"{program} failed: {words}")
