"""Looks at everything a server needs and says what it finds in words that name the remedy."""

import asyncio
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from api.auth import load_keys
from api.cli import audit, console, providers, vault
from api.cli.configuration import read_settings, unknown_variables
from api.cli.console import CommandFault
from api.cli.findings import Finding
from api.cli.first_start import schema_now, shown
from api.cli.release import version_number
from prefs.bootstrap import (
    SchemaState,
    SystemClock,
    cache_key,
    feed_blockers,
    shared_cache_answers,
    sqlite_release,
    standard_catalogue,
    webhook_backlog,
)
from prefs.core.errors import PrefsError
from prefs.settings import Settings

PYTHON_AT_LEAST = (3, 12)  # older ones lose task cancellations, and this code would not even parse
FEED_PATIENCE = timedelta(seconds=5)  # a write takes two at most
WEBHOOK_PATIENCE = timedelta(hours=1)
COMPANIONS = ("fastapi", "starlette", "pydantic", "sqlalchemy", "asyncpg", "pysqlite3", "granian", "joserfc")


def examine(data: Path | None) -> int:
    """Print every finding; the exit code says whether all is fine."""
    findings = list(_examine(data))
    for finding in findings:
        mark, style = ("ok    ", "green") if finding.fine else ("WRONG ", "bold red")
        console.out.print(mark, style=style if console.out.is_terminal else None, end="", markup=False)
        console.out.print(finding.sentence, markup=False)
    wrong = sum(not finding.fine for finding in findings)
    console.say("Nothing is wrong." if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong.")
    return 1 if wrong else 0


def _examine(data: Path | None) -> Iterator[Finding]:
    yield from _versions()
    try:
        settings = read_settings(data=data)
    except CommandFault as fault:
        yield Finding(False, f"Settings: {fault}")
        return
    yield from _settings(settings)
    unsafe = list(audit.findings(settings))
    yield from (Finding(False, f"Unsafe: {finding}") for finding in unsafe)
    if not unsafe:
        yield Finding(True, "Safe to serve real guests: no debugging, no demo key, no known password, no open file.")
    for look in (_keys, _catalogue, _database, _vault, _cache, _feed, _webhooks):
        yield _look(look, settings)
    yield from providers.examine(settings)


def _look(look: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return look(settings)
    except (PrefsError, CommandFault, OSError, ValueError) as error:
        return Finding(False, f"{look.__name__.strip('_').capitalize()}: {error}")


def _versions() -> Iterator[Finding]:
    python = platform.python_version()
    wanted = ".".join(map(str, PYTHON_AT_LEAST))
    yield Finding(
        sys.version_info >= PYTHON_AT_LEAST,
        f"Python {python} (needs {wanted} or newer); guestprefs {version_number()}.",
    )
    missing = [name for name in COMPANIONS if not _installed(name)]
    if missing:
        yield Finding(False, f"Packages missing: {', '.join(missing)}. Install from requirements.txt.")
    else:
        yield Finding(True, "Packages: " + ", ".join(f"{name} {_installed(name)}" for name in COMPANIONS) + ".")
    release, safe = sqlite_release()
    if safe:
        yield Finding(True, f"SQLite {release} is safe with a write-ahead log.")
    else:
        yield Finding(False, f"SQLite {release} can corrupt a database in WAL mode. Install pysqlite3 0.6.1 or newer.")


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _settings(settings: Settings) -> Iterator[Finding]:
    for name in unknown_variables():
        yield Finding(False, f"Settings: {name} is not a setting; check its spelling against .env.example.")
    shared = "" if settings.data.is_dir() else " (not there yet; the first start makes it)"
    yield Finding(
        True,
        f"Settings: data folder {settings.data}{shared}, {settings.host}:{settings.port}, {settings.workers} workers.",
    )


def _keys(settings: Settings) -> Finding:
    if not settings.keys.exists():
        return Finding(False, f"Keys: {settings.keys} is missing. Run: guestprefs keys")
    keys = load_keys(settings.keys)
    return Finding(True, f"Keys: {len(keys)} in {settings.keys}.")


def _catalogue(settings: Settings) -> Finding:
    catalogue = standard_catalogue()
    return Finding(True, f"Catalogue: {len(catalogue)} standard definitions in {len(catalogue.labels)} languages.")


def _database(settings: Settings) -> Finding:
    where = shown(settings.database_url)
    match schema_now(settings):
        case SchemaState.EMPTY:
            return Finding(False, f"Database: {where} has no tables yet. Run: guestprefs migrate")
        case SchemaState.OUTDATED:
            return Finding(
                False, f"Database: the schema of {where} is older than this program. Run: guestprefs migrate"
            )
        case SchemaState.AHEAD:
            return Finding(
                True, f"Database: the schema of {where} is newer than this program, which still works on it."
            )
    return Finding(True, f"Database: {where} answers and its schema fits.")


def _vault(settings: Settings) -> Finding:
    if schema_now(settings) in (SchemaState.EMPTY, SchemaState.OUTDATED):
        return Finding(True, "Vault: not looked at before the database has its tables.")
    if not vault.is_there(settings):
        return Finding(True, f"Vault: {settings.vault_file} is not there yet; the first start makes it.")
    if not settings.sealing:
        return Finding(
            False,
            "Vault: GUESTPREFS_SEALING is off, so what guests say rests open. Once no process of an older release "
            "runs, turn it on and run: guestprefs vault seal",
        )
    return Finding(True, f"Vault: {vault.described(settings)}")


def _cache(settings: Settings) -> Finding:
    kept = f"{settings.cache_mib} MiB in each process"
    if settings.on_sqlite:
        unused = "; REDIS_URL is not used with SQLite" if settings.redis_url else ""
        return Finding(True, f"Cache: {kept}, none shared{unused}.")
    if not settings.shares_a_cache:
        return Finding(True, "Cache: none; every read goes to the database. Set REDIS_URL to have one.")
    where = shown(settings.redis_url)
    if settings.cache_key.exists():
        cache_key(settings.cache_key)
    if not asyncio.run(shared_cache_answers(settings)):
        return Finding(False, f"Cache: {where} does not answer. The service works without it, only slower.")
    return Finding(True, f"Cache: {kept}, and {where} answers.")


def _feed(settings: Settings) -> Finding:
    """An open transaction anywhere in the cluster holds back what streams tell, though it has nothing to do with it."""
    if not settings.database_url.startswith("postgresql"):
        return Finding(True, "Feed: one writer at a time; nothing can hold it back.")
    if schema_now(settings) in (SchemaState.EMPTY, SchemaState.OUTDATED):
        return Finding(True, "Feed: not looked at before the database has its tables.")
    late = [one for one in asyncio.run(feed_blockers(settings)) if one.open_for > FEED_PATIENCE]
    if not late:
        return Finding(True, "Feed: no old transaction holds it back.")
    worst = late[0]
    who = f"account {worst.account}, program {worst.program or 'unnamed'}, database {worst.database}, {worst.state}"
    remedy = (
        f"ROLLBACK PREPARED '{worst.session}' (or COMMIT PREPARED)"
        if worst.state == "prepared"
        else f"SELECT pg_terminate_backend({worst.session})"
    )
    return Finding(
        False,
        f"Feed: streams hear nothing new, because {len(late)} transaction{'s are' if len(late) > 1 else ' is'} open; "
        f"the oldest for {worst.open_for.total_seconds():.0f} s is session {worst.session} ({who}). "
        f"Let it end, or end it: {remedy}",
    )


def _webhooks(settings: Settings) -> Finding:
    if schema_now(settings) in (SchemaState.EMPTY, SchemaState.OUTDATED) or not vault.is_there(settings):
        return Finding(True, "Webhooks: not looked at before the database has its tables and the vault its keys.")
    backlog = asyncio.run(webhook_backlog(settings))
    now = SystemClock().now()
    late = {id: since for id, since in backlog.failing.items() if now - since > WEBHOOK_PATIENCE}
    wrong = [f"{id} has taken nothing since {since:%Y-%m-%d %H:%M} UTC" for id, since in sorted(late.items())]
    wrong += [f"{id} said that it is gone (410)" for id in sorted(backlog.gone)]
    letters = f"{backlog.dead} dead letter{'' if backlog.dead == 1 else 's'}"
    if not wrong:
        many = f"{backlog.endpoints} endpoint{'' if backlog.endpoints == 1 else 's'}"
        return Finding(True, f"Webhooks: {many}, none of them refusing; {letters} in the log.")
    return Finding(
        False,
        f"Webhooks: {'; '.join(wrong)}; {letters}. Look at GET /v1/webhooks/ID/deliveries, mend the receiver, and put "
        "the webhook again to have it tried at once; or delete it.",
    )
