"""`guestprefs ledger`: whether the ledger is whole, what is in it, and forgetting what is too old."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api.cli.configuration import read_settings
from api.cli.console import CommandFault, progress, say
from api.cli.first_start import refuse_unfit
from prefs.bootstrap import Report, SystemClock, open_ledger, prune_ledger, verify_ledger
from prefs.core.accesses import Access, Recorded
from prefs.settings import Settings

PAGE = 500


def verify(data: Path | None, folders: Sequence[Path]) -> None:
    """Say that the ledger is whole, or raise CommandFault with the first wrong place of each chain."""
    settings = read_settings(data=data)
    refuse_unfit(settings)
    for folder in folders:
        if not folder.is_dir():
            raise CommandFault(f"There is no folder {folder}.")
    with progress() as bar:
        task = bar.add_task("Records", total=None)
        report: Report = asyncio.run(
            verify_ledger(settings, folders, lambda done, of: bar.update(task, completed=done, total=of))
        )
    counted = f"{report.records:,} records in {report.chains} chains"
    if report.faults:
        raise CommandFault(f"the ledger is not what was written ({counted}). " + " ".join(report.faults))
    loose = f" {report.loose} of them are so new that no checkpoint is over them yet." if report.loose else ""
    say(f"The ledger is whole: {counted}.{loose}")


def show(data: Path | None, guest: str, since: str, until: str, limit: int) -> None:
    """A line a record, newest first."""
    settings = read_settings(data=data)
    refuse_unfit(settings)
    first, last = _moment(since, "--since"), _moment(until, "--until")
    found = asyncio.run(_found(settings, guest, first, last, limit))
    for recorded in found:
        say(_line(recorded.access))
    if not found:
        say("No record matches.")


def prune(data: Path | None, days: int, *, dry: bool) -> None:
    settings = read_settings(data=data)
    refuse_unfit(settings)
    before = SystemClock().now() - timedelta(days=days)
    count = asyncio.run(prune_ledger(settings, before, dry=dry))
    done = "would be forgotten" if dry else "are forgotten; the ledger verifies from the first that is left"
    say(f"{count:,} records older than {before:%Y-%m-%d} {done}.")


async def _found(
    settings: Settings, guest: str, since: datetime | None, until: datetime | None, limit: int
) -> list[Recorded]:
    ledger = open_ledger(settings, SystemClock())
    found: list[Recorded] = []
    try:
        cursor = None
        while len(found) < limit:
            if guest:
                page = await ledger.of_guest(guest, PAGE, cursor)
            else:
                page = await ledger.listed(PAGE, cursor, since, until)
            found += [one for one in page if _within(one.access, since, until)]
            if len(page) < PAGE:
                break
            cursor = page[-1].position
    finally:
        await ledger.close()
    return found[:limit]


def _within(access: Access, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or access.at >= since) and (until is None or access.at <= until)


def _moment(text: str, option: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandFault(f"{option} must be a day or a time such as 2026-11-22 or 2026-11-22T18:00:00Z.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _line(access: Access) -> str:
    who = f"{access.role} {access.actor}".strip()
    parts = [access.at.strftime("%Y-%m-%d %H:%M:%S"), f"{access.act} {access.outcome}", who]
    parts += [f"on {access.surface}"] if access.surface else []
    parts += [f"at {access.property}"] if access.property else []
    parts += [access.guest] if access.guest else []
    parts += [", ".join(access.keys)] if access.keys else []
    parts += [f"for {', '.join(access.purposes)}"] if access.purposes else []
    parts += [f"[{access.request}]"] if access.request else []
    return "  ".join(parts)
