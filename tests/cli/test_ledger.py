"""`guestprefs ledger`: what it says of a whole ledger and of one that somebody touched."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest

from prefs.bootstrap import SystemClock, open_ledger
from prefs.core.accesses import Access, Deed, Outcome
from prefs.settings import Settings
from tests.cli.served import guestprefs


def access(number: int, guest: str, days: int = 0) -> Access:
    return Access(
        at=SystemClock().now() - timedelta(days=days),
        actor=f"staff-{number}",
        role="staff",
        surface="food",
        act=Deed.READ,
        outcome=Outcome.SHOWN,
        property="dallas",
        guest=guest,
        version=number,
        keys=("food.allergens",),
        purposes=("food_safety",),
        request=f"r-{number}",
    )


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A migrated folder with twelve records, two of them four years old."""
    assert guestprefs(tmp_path, "keys").returncode == 0
    assert guestprefs(tmp_path, "migrate").returncode == 0

    async def fill() -> None:
        ledger = open_ledger(Settings(data=tmp_path / "data"), SystemClock())
        await ledger.append([access(100, "gst_old", 1500), access(101, "gst_old", 1400)])
        for number in range(10):
            await ledger.append([access(number, f"gst_{number % 2}")])
        await ledger.close()

    asyncio.run(fill())
    return tmp_path


def test_a_whole_ledger_is_said_to_be_whole(kept: Path) -> None:
    done = guestprefs(kept, "ledger", "verify")
    assert done.returncode == 0, done.stderr
    assert "The ledger is whole: 12 records in 1 chains." in done.stdout


def test_the_first_wrong_place_is_named_and_the_exit_code_is_1(kept: Path) -> None:
    with sqlite.connect(kept / "data" / "guestprefs.ledger.db") as file:
        file.execute("UPDATE ledger SET keys = 'tv.volume_default' WHERE seq = 7")
    done = guestprefs(kept, "ledger", "verify")
    assert done.returncode == 1
    assert "record 7 of" in done.stderr and "it was changed" in done.stderr


def test_a_lost_key_is_said_and_no_new_one_made(kept: Path) -> None:
    (kept / "data" / "ledger.key").unlink()
    done = guestprefs(kept, "ledger", "verify")
    assert done.returncode == 1 and "restore the file from your backup of keys" in done.stderr.replace("\n", " ")
    assert not (kept / "data" / "ledger.key").exists()


def test_records_are_shown_newest_first_by_guest_and_time(kept: Path) -> None:
    lines = guestprefs(kept, "ledger", "show", "--guest", "gst_1").stdout.splitlines()
    assert len(lines) == 5
    assert "read shown  staff staff-9  on food  at dallas  gst_1  food.allergens  for food_safety  [r-9]" in lines[0]
    tomorrow = f"{SystemClock().now() + timedelta(days=1):%Y-%m-%d}"
    assert "No record matches." in guestprefs(kept, "ledger", "show", "--since", tomorrow).stdout
    old = f"{SystemClock().now() - timedelta(days=1000):%Y-%m-%d}"
    assert len(guestprefs(kept, "ledger", "show", "--until", old).stdout.splitlines()) == 2
    wrong = guestprefs(kept, "ledger", "show", "--since", "tomorrow")
    assert wrong.returncode == 1 and "--since must be a day or a time" in wrong.stderr.replace("\n", " ")


def test_what_is_too_old_is_forgotten_and_the_rest_verifies(kept: Path) -> None:
    planned = guestprefs(kept, "ledger", "prune", "--older-than", "1096", "--dry-run")
    assert "2 records older than" in planned.stdout and "would be" in planned.stdout
    assert "2 records older than" in guestprefs(kept, "ledger", "prune").stdout
    assert "ledger.prune done" in guestprefs(kept, "ledger", "show", "--limit", "1").stdout
    assert "12 records in 1 chains" in guestprefs(kept, "ledger", "verify").stdout
