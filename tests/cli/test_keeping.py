"""Backups that cannot bring anybody back, on both engines, and receipts that are checked: as the commands do it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.cli import keeping
from api.cli.console import CommandFault
from prefs import bootstrap
from prefs.bootstrap import House, open_house
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.entries import PROFILE
from prefs.core.errors import NotFound, PrefsError
from prefs.migrations import migrate
from prefs.settings import Settings
from prefs.store.engines import Outcome, parse
from prefs.store.runners import open_runner
from prefs.store.tables import Row
from tests.api.conftest import opened
from tests.api.front import StandingClock
from tests.cli.served import guestprefs
from tests.servers import postgres_programs

CANARY = "canary-51b0e7"
PMS = Caller("pms", Role.SERVICE, "front_desk", permissions=frozenset({ALL_GUESTS}))


@pytest.fixture(params=["sqlite", "postgresql"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    await migrate(url)
    assert guestprefs(tmp_path, "keys").returncode == 0
    return Settings(data=tmp_path, database_url=url, keys=tmp_path / "data" / "keys.json")


def silent(done: int, total: int) -> None:
    assert done <= total


async def in_house[T](settings: Settings, work: Callable[[House], Awaitable[T]]) -> T:
    house = await open_house(settings)
    try:
        return await work(house)
    finally:
        await house.close()


async def new_guest(house: House) -> str:
    guest = str((await house.guests.create(PMS, CANARY)).body["guest"])
    own = Caller(guest, Role.GUEST, "guest_app")
    await house.preferences.patch(own, guest, PROFILE, {"comms.addressed_as": {"name": CANARY}})
    return guest


async def erase(house: House, guest: str) -> Any:
    erased = await house.erasure.erase(PMS, guest)
    assert erased is not None
    return erased.body


async def canaries(url: str) -> list[str]:
    """Tables that hold the canary."""
    runner = open_runner(parse(url))

    def look(connection: Any) -> Outcome[list[str]]:
        tables = [table for table in Row.metadata.sorted_tables if not table.info.get("apart")]
        rows = {table.name: connection.execute(text(f'SELECT * FROM "{table.name}"')).all() for table in tables}
        return Outcome([name for name, found in rows.items() if CANARY in repr(found)], keep=False)

    try:
        return await runner.run(look)
    finally:
        await runner.close()


async def a_backup(settings: Settings, folder: Path) -> tuple[str, str, Path]:
    """A guest who was erased after the backup, one who was not, and the backup."""
    gone, stays = await in_house(settings, new_guest), await in_house(settings, new_guest)
    file = folder / "kept" / "backup"
    made = await bootstrap.back_up(settings, file, postgres_programs(), silent)
    assert made.size == file.stat().st_size and file.stat().st_mode & 0o077 == 0
    await in_house(settings, lambda house: erase(house, gone))
    await in_house(settings, lambda house: erase(house, stays))
    return gone, stays, file


async def is_there(settings: Settings, guest: str) -> bool:
    try:
        await in_house(settings, lambda house: house.guests.document(PMS, guest))
    except NotFound:
        return False
    return True


async def test_a_restored_backup_brings_nobody_back(settings: Settings, tmp_path: Path) -> None:
    kept = await in_house(settings, new_guest)
    gone, also, file = await a_backup(settings, tmp_path)

    found = await bootstrap.restore(settings, file, postgres_programs(), silent)

    assert found == 2
    assert not await is_there(settings, gone) and not await is_there(settings, also)
    assert await is_there(settings, kept)
    await in_house(settings, lambda house: erase(house, kept))
    assert await canaries(settings.database_url) == []
    assert await in_house(settings, lambda house: house.erasure.erase(PMS, gone)) is None, "erased is erased"


async def test_without_the_second_place_the_erased_would_be_back(settings: Settings, tmp_path: Path) -> None:
    """The fault that the test above would see."""
    gone, _, file = await a_backup(settings, tmp_path)
    elsewhere = settings.model_copy(update={"erasures": tmp_path / "none.jsonl"})
    settings.erasures.unlink()
    reached: list[int] = []

    async def nothing(url: str) -> None:
        reached.append(1)

    backups: Any = bootstrap.backups
    await backups.restore(settings.database_url, file, postgres_programs(), nothing, silent)

    assert reached and await is_there(elsewhere, gone)


async def test_a_backup_restored_by_hand_is_served_only_after_the_erasures(settings: Settings, tmp_path: Path) -> None:
    gone, _, file = await a_backup(settings, tmp_path)

    async def nothing(url: str) -> None:
        """As if somebody had used the engine's own tools."""

    backups: Any = bootstrap.backups
    await backups.restore(settings.database_url, file, postgres_programs(), nothing, silent)
    house = await open_house(settings)
    held = asyncio.Event()
    guests = house.store.guests

    async def slow(limit: int, after: str = "") -> list[str]:
        await held.wait()
        return await guests(limit, after)

    house.store.guests = slow  # type: ignore[method-assign]
    async with opened(settings, StandingClock(house.clock.now()), house) as front:
        ready = await front.call("GET", "/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "UNAVAILABLE")
        assert (await front.call("GET", "/livez")).status_code == 200
        assert (await front.call("GET", f"/v1/guests/{gone}", front.guest(gone))).status_code == 503
        held.set()
        for _ in range(500):
            if (await front.call("GET", "/readyz")).status_code == 200:
                break
            await asyncio.sleep(0.01)
        assert (await front.call("GET", "/readyz")).status_code == 200
        assert (await front.call("GET", f"/v1/guests/{gone}", front.guest(gone))).status_code == 404
        assert await canaries(settings.database_url) == []
    await house.close()


async def test_a_backup_is_made_while_others_write(settings: Settings, tmp_path: Path) -> None:
    house = await open_house(settings)
    guest = await new_guest(house)
    own = Caller(guest, Role.GUEST, "guest_app")
    done = asyncio.Event()

    async def write() -> int:
        count = 0
        while not done.is_set():
            await house.preferences.patch(own, guest, PROFILE, {"climate.temperature.occupied": 18 + count % 9})
            count += 1
        return count

    writing = asyncio.create_task(write())
    file = tmp_path / "backup"
    try:
        await bootstrap.back_up(settings, file, postgres_programs(), silent)
    finally:
        done.set()
    assert await writing > 0
    version = (await house.guests.document(own, guest)).version
    await house.close()

    await bootstrap.restore(settings, file, postgres_programs(), silent)

    answer = await in_house(settings, lambda house: house.guests.document(own, guest))
    assert answer.version is not None and version is not None and 2 <= answer.version <= version


async def test_what_is_no_backup_is_refused_and_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    guest = await in_house(settings, new_guest)
    file = tmp_path / "backup"
    await bootstrap.back_up(settings, file, postgres_programs(), silent)
    with pytest.raises(PrefsError, match="never replaces"):
        await bootstrap.back_up(settings, file, postgres_programs(), silent)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(PrefsError, match="checksum"):
        await bootstrap.look_at_backup(settings, file, silent)
    file.write_bytes(whole)
    with pytest.raises(CommandFault, match="--yes"):
        await asyncio.to_thread(keeping.restore, settings, file, postgres_programs(), sure=False)
    bootstrap.backups.Manifest.place(file).unlink()
    with pytest.raises(PrefsError, match=r"manifest\.json cannot be read"):
        await bootstrap.look_at_backup(settings, file, silent)
    assert await is_there(settings, guest)
    if not settings.on_sqlite:
        with pytest.raises(PrefsError, match="There is no pg_dump"):
            await bootstrap.back_up(settings, tmp_path / "other", tmp_path, silent)


async def test_lost_keys_are_said_rather_than_made_anew(settings: Settings) -> None:
    guest = await in_house(settings, new_guest)
    await in_house(settings, lambda house: erase(house, guest))
    settings.receipt_keys.unlink()

    with pytest.raises(PrefsError, match="Restore that file"):
        await open_house(settings)


def test_receipts_are_verified_on_the_command_line(tmp_path: Path) -> None:
    assert guestprefs(tmp_path, "keys").returncode == 0
    assert guestprefs(tmp_path, "migrate").returncode == 0
    folder = tmp_path / "data"
    settings = Settings(data=folder, database_url=f"sqlite:///{folder / 'guestprefs.db'}")
    guest = asyncio.run(in_house(settings, new_guest))
    receipt = asyncio.run(in_house(settings, lambda house: erase(house, guest)))
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt), encoding="utf-8")

    good = guestprefs(tmp_path, "receipts", "verify", str(file), "--guest", guest)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("Genuine: guestprefs erased a guest at ")
    other = guestprefs(tmp_path, "receipts", "verify", str(file), "--guest", "gst_" + "0" * 32)
    assert other.returncode == 1 and "another guest" in other.stderr
    file.write_text(json.dumps({**receipt, "places": {}}), encoding="utf-8")
    changed = guestprefs(tmp_path, "receipts", "verify", str(file))
    assert changed.returncode == 1 and "something else" in changed.stderr
    forged = receipt["signed"].rpartition(".")[0] + "." + "A" * 86
    file.write_text(json.dumps({**receipt, "signed": forged}), encoding="utf-8")
    assert guestprefs(tmp_path, "receipts", "verify", str(file)).returncode == 1
    assert guestprefs(tmp_path, "receipts", "verify", "nowhere.json").returncode == 1
