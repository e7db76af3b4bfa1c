"""Erasing in the store: everything goes in one transaction, and no write that is under way brings anything back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pysqlite3.dbapi2 as pysqlite
import pytest
from sqlalchemy import text

from prefs.core.entries import Identifier
from prefs.core.erasure import Tombstone, digest_of
from prefs.core.errors import NotFound, PrefsError, StoreUnavailable
from prefs.core.revocations import KEPT, Revocable, Revocation, Revoked, TokenFacts
from prefs.ports import Lodging, Lookup, Once, Store
from prefs.store.engines import Outcome, parse
from prefs.store.erasure import tables_of_a_guest
from prefs.store.runners import open_runner
from prefs.store.second_place import TombstoneFile
from prefs.store.tables import Row
from tests.store import samples
from tests.store.conftest import Place
from tests.store.samples import NOW

KEY = b"k" * 32
CANARY = "canary-7f3a9c"


def tombstone(guest: str, receipt: str = "rcp_1") -> Tombstone:
    return Tombstone(digest_of(KEY, guest), NOW, receipt)


async def test_an_erased_guest_is_not_there_and_has_a_tombstone(store: Store) -> None:
    guest = await samples.born(store)

    buried = await store.erase(guest, tombstone(guest))

    assert buried is not None and buried.fresh and buried.tombstone.places["guest"] == 1
    assert await store.get(guest) is None
    assert await store.history(guest, 10) == []
    assert await store.tombstone(digest_of(KEY, guest)) == buried.tombstone
    again = await store.erase(guest, tombstone(guest, "rcp_2"))
    assert again is not None and not again.fresh and again.tombstone.receipt == "rcp_1"
    assert await store.erase("gst_" + "7" * 32, tombstone("gst_" + "7" * 32)) is None


async def test_what_was_revoked_of_the_erased_stays_revoked_and_names_nobody(store: Store) -> None:
    guest = await samples.born(store)
    of_guest, of_other = (Revocation(Revocable.SUBJECT, who, NOW, NOW + KEPT) for who in (guest, "somebody"))
    await store.credentials.revoke([of_guest, of_other], NOW)

    buried = await store.erase(guest, tombstone(guest))

    assert buried is not None and buried.tombstone.places["revocation"] == 1
    left = await store.credentials.revocations(NOW)
    assert len(left) == 2 and guest not in repr(left)
    held, moment = TokenFacts("jti", guest, "", "", 0.0), NOW.timestamp()
    assert Revoked(left).refuses(held)
    assert Revoked(left).refuses(replace(held, subject="somebody"))
    assert not Revoked(left).refuses(replace(held, subject="gst_" + "7" * 32))
    assert not Revoked(left).refuses(replace(held, issued_at=moment + 1))


async def test_tombstones_are_listed_buried_and_signed(store: Store) -> None:
    await store.bury([tombstone("a"), tombstone("b")])
    await store.bury([tombstone("b", "rcp_other")])
    await store.keep_receipt(digest_of(KEY, "a"), "signed")

    assert {one.receipt for one in await store.tombstones()} == {"rcp_1"}
    assert len(await store.tombstones(NOW)) == 2
    assert await store.tombstones(NOW.replace(year=2027)) == []
    found = await store.tombstone(digest_of(KEY, "a"))
    assert found is not None and found.signed == "signed"


async def test_writers_that_race_an_erasure_bring_nothing_back(place: Place) -> None:
    """Edits, identifiers and stays in flight while the guest goes: each is done before and erased, or refused."""
    first, second = await place.open(), await place.open()
    for _ in range(8):
        guest = await samples.born(first)
        name = Identifier("loyalty", guest)
        edit, claim = samples.put("e1", CANARY), samples.identify(name)
        once = Once("guest:" + guest, "key", "print")
        tried = await asyncio.gather(
            first.write(guest, edit, once),
            second.write(guest, claim),
            first.erase(guest, tombstone(guest)),
            second.write(guest, edit, Once("service:pms", guest, "print")),
            second.erase(guest, tombstone(guest)),
            return_exceptions=True,
        )
        unexpected = [one for one in tried if isinstance(one, BaseException)]
        assert all(isinstance(one, NotFound | StoreUnavailable) for one in unexpected), unexpected
        buried = await second.erase(guest, tombstone(guest))
        assert buried is not None and not buried.fresh
        for store in (first, second):
            assert await store.get(guest) is None
            assert await store.history(guest, 10) == []
            assert await store.find(name) is None
            with pytest.raises(NotFound):
                await store.write(guest, edit, once)


async def test_a_stay_and_a_press_that_race_an_erasure_leave_nothing(place: Place) -> None:
    first, second = await place.open(), await place.open()
    await first.put_property("dallas", {"name": "Dallas"})
    for _ in range(5):
        guest = await samples.born(first)
        stay = (await first.put_stay(samples.stay(samples.name("stay"), guest, "dallas"))).value
        other = samples.stay(samples.name("stay"), guest, "dallas")
        await asyncio.gather(
            second.put_live(stay, [samples.entry("live-1")]),
            second.put_stay(other, Once("service:pms", other.id, "print")),
            first.erase(guest, tombstone(guest)),
            return_exceptions=True,
        )
        assert (await first.look_up(Lookup(stays=(guest,)))).lodgings[guest] == Lodging()
        assert await first.stay(stay.id) is None and await first.stay(other.id) is None
        if place.kind != "memory":
            assert await rows_with(place.url, stay.id) == await rows_with(place.url, guest) == []


async def rows_with(url: str, needle: str) -> list[str]:
    """Every table that has the needle in any of its rows."""
    runner = open_runner(parse(url))

    def look(connection: object) -> Outcome[list[str]]:
        found = []
        for table in [one for one in Row.metadata.sorted_tables if not one.info.get("apart")]:
            rows = connection.execute(text(f'SELECT * FROM "{table.name}"')).all()  # type: ignore[attr-defined]
            found += [table.name for row in rows if needle in repr(tuple(row))]
        return Outcome(found, keep=False)

    try:
        return await runner.run(look)
    finally:
        await runner.close()


async def test_no_table_knows_the_guest_or_what_they_said(sql_place: Place) -> None:
    store = await sql_place.open()
    guest = await samples.born(store)
    once = Once("service:pms", "key", "print")
    await store.write(guest, samples.put("e1", CANARY), once)
    await store.write(guest, samples.rename(CANARY))
    assert "guest" in await rows_with(sql_place.url, CANARY)
    assert {"guest", "entry", "change", "idempotency", "guest_key"} <= set(await rows_with(sql_place.url, guest))

    await store.erase(guest, tombstone(guest))

    assert await rows_with(sql_place.url, CANARY) == []
    assert await rows_with(sql_place.url, guest) == []


async def test_the_file_of_sqlite_forgets_too(sqlite_place: Place) -> None:
    """What is deleted must not be left in free pages or in the write-ahead log."""
    store = await sqlite_place.open()
    kept, guest = await samples.born(store), await samples.born(store)
    for number in range(30):
        await store.write(guest, samples.rename(f"{CANARY}{number}" * 200))
        await store.write(kept, samples.put(f"e{number}", "another"))
    path = Path(str(parse(sqlite_place.url).database))

    def files() -> bytes:
        return b"".join(one.read_bytes() for one in (path, path.with_name(path.name + "-wal")) if one.exists())

    assert CANARY.encode() in files()

    await store.erase(guest, tombstone(guest))

    assert CANARY.encode() not in files()
    assert guest.encode() not in files()
    connection = pysqlite.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_every_table_that_names_a_guest_is_erased() -> None:
    """A column that holds a guest's id under another name would be overlooked."""
    named = {table.name for table in tables_of_a_guest()}
    assert {"entry", "identifier", "consent", "change", "stay", "idempotency"} <= named
    suspect = {
        f"{table.name}.{column.name}"
        for table in Row.metadata.sorted_tables
        if not table.info.get("apart")  # the ledger, which is pseudonymised
        for column in table.c
        if "guest" in column.name and column.name != "guest_id"
    }
    assert suspect == set()


def test_the_second_place_is_only_added_to_and_bears_a_cut(tmp_path: Path) -> None:
    place = TombstoneFile(tmp_path / "deep" / "erasures.jsonl")
    assert place.read() == {}
    place.append([tombstone("a")])
    with place.path.open("ab") as file:
        file.write(b'{"digest": "cut')
    assert set(place.read()) == {digest_of(KEY, "a")}

    place.append([tombstone("b")])

    assert set(place.read()) == {digest_of(KEY, "a"), digest_of(KEY, "b")}
    assert place.path.stat().st_mode & 0o077 == 0
    place.path.chmod(0o600)
    place.path.write_bytes(b'{"digest": 1}\n')
    with pytest.raises(PrefsError, match="Line 1"):
        place.read()
