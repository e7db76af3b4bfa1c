"""Backups, retention, receipts: what the command line does about data that is kept, and the proof that it is not."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.table import Table

from api.cli.console import CommandFault, out, progress, say
from api.cli.first_start import shown
from prefs import bootstrap
from prefs.core.erasure import RECEIPT_TYPE, subject_of
from prefs.core.errors import Unavailable
from prefs.services.retention import Report
from prefs.settings import Settings

MIB = 2**20


def back_up(settings: Settings, file: Path, programs: Path | None) -> None:
    _refuse_memory(settings)
    made = _with_bar("Backing up", lambda told: bootstrap.back_up(settings, file, programs, told))
    say(f"Wrote {file} ({made.size / MIB:.1f} MiB, SHA-256 {made.sha256[:16]}...) and its manifest beside it.")


def restore(settings: Settings, file: Path, programs: Path | None, *, sure: bool) -> None:
    _refuse_memory(settings)
    found = _with_bar("Checking", lambda told: bootstrap.look_at_backup(settings, file, told))
    where = shown(settings.database_url)
    if not sure:
        raise CommandFault(
            f"This would replace everything in {where} by the backup of {found.made_at}. Say --yes to do that."
        )
    again = _with_bar("Restoring", lambda told: bootstrap.restore(settings, file, programs, told))
    say(f"{where} is the backup of {found.made_at} now.")
    say(f"Guests it held who were erased since, and are again: {again}.")
    if settings.shares_a_cache:
        say(
            "Restart the cache (Redis or Valkey) before the servers: it may hold copies that are newer than the backup."
        )


def verify(settings: Settings, file: Path, keys: Path | None, guest: str) -> None:
    """Raises CommandFault unless the receipt is genuine, and about this guest where one is named."""
    told = _read(file)
    signed = told.get("signed") if isinstance(told, dict) else None
    published = _read(keys) if keys else bootstrap.published_keys(settings)
    try:
        said = bootstrap.verify_receipt(signed if isinstance(signed, str) else "", published, RECEIPT_TYPE)
    except bootstrap.ReceiptInvalid as invalid:
        raise CommandFault(f"{file} is no genuine receipt: {invalid}.") from invalid
    if {name: value for name, value in told.items() if name != "signed"} != said:
        raise CommandFault(f"{file} says something else than what was signed.")
    if guest and said["subject"] != subject_of(said["receipt"], guest):
        raise CommandFault(f"The receipt is genuine, but about another guest than {guest}.")
    rows, places = sum(said["places"].values()), len(said["places"])
    say(f"Genuine: {said['issuer']} erased a guest at {said['erased_at']}, {rows} rows in {places} places.")
    if guest:
        say(f"It is about {guest}.")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFault(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandFault(f"{file} is not JSON.") from error


def _refuse_memory(settings: Settings) -> None:
    if settings.database_url == bootstrap.MEMORY:
        raise CommandFault(f"{bootstrap.MEMORY} is not kept anywhere; DATABASE_URL must name a database.")


def _with_bar[T](what: str, work: Callable[[Callable[[int, int], None]], Coroutine[Any, Any, T]]) -> T:
    with progress() as bar:
        task = bar.add_task(what, total=None)
        return asyncio.run(work(lambda done, total: bar.update(task, completed=done, total=total)))


RULES = {
    "expired": "past the moment it was given for itself",
    "live": "presses in a room, 15 minutes after the stay",
    "stay": "said for one stay, 30 days after it",
    "inferred": "guesses, 180 days",
    "observed": "noticed by staff, 12 months",
    "special": "special-category data, 24 months without a new consent",
    "history": "changes that hold values of the above",
    "answers": "kept for repeated requests, 24 hours",
    "waiting": "imported and not consented to, 30 days (not counted by a dry run)",
    "stated": "guests inactive for 36 months, erased with a receipt",
}


def retain(settings: Settings, *, dry: bool, after: str) -> None:
    """Let go of what was kept long enough; a table of what that was, or would be."""
    _refuse_memory(settings)
    report = asyncio.run(_retain(settings, dry, after))
    table = Table(title="Would go" if dry else "Gone", title_justify="left")
    table.add_column("class")
    table.add_column("what")
    table.add_column("count", justify="right")
    for named, rule in RULES.items():
        table.add_row(named, rule, str(report.counts[named]))
    out.print(table)
    say(f"Looked at {report.guests} guests.")


async def _retain(settings: Settings, dry: bool, after: str) -> Report:
    house = await bootstrap.open_house(settings)
    reached = after or "gst_"
    try:
        with progress() as bar:
            task = bar.add_task("Guests", total=None)

            def told(report: Report) -> None:
                nonlocal reached
                reached = report.after
                bar.update(task, completed=report.guests)

            return await house.retention.run(dry=dry, after=after, told=told)
    except Unavailable as error:
        raise CommandFault(f"{error} To go on: guestprefs retention run --after {reached}") from error
    finally:
        await house.close()
