"""The hot write on each engine: what it asks of the database, and when it leaves the decision to the guest's lock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from prefs.core.changes import Change, Written
from prefs.core.entries import Document, Identifier
from prefs.core.errors import KeyReused, NotFound, Refused
from prefs.ports import Once, Past
from prefs.store import edits, runners
from prefs.store.engines import Outcome
from prefs.store.reads import Known
from prefs.store.remembered import DOCUMENTS_MAX, ENTRIES_MAX, Remembered
from prefs.store.runners import PostgresRunner
from prefs.store.sql import SqlStore
from tests.store.conftest import Place
from tests.store.samples import NOW, born, consent, document, drop, entry, identify, name, nothing, put, rename


async def opened(place: Place) -> SqlStore:
    store = await place.open()
    assert isinstance(store, SqlStore)
    return store


@contextmanager
def ways(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How writes went on PostgreSQL: in one statement that did it or did not, or under the lock."""
    went: list[str] = []
    whole, locked = PostgresRunner.try_whole, PostgresRunner.run

    async def try_whole(self: PostgresRunner, *given: Any) -> bool:
        done = await whole(self, *given)
        went.append("whole" if done else "moved")
        return done

    async def run(self: PostgresRunner, *given: Any) -> Any:
        went.append("locked")
        return await locked(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresRunner, "try_whole", try_whole)
        patch.setattr(PostgresRunner, "run", run)
        yield went


async def test_a_plain_edit_is_one_statement(postgres_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await opened(postgres_place)
    guest = await born(store)
    with ways(monkeypatch) as went:
        await store.write(guest, put("prf_q", 1))
        await store.write(guest, put("prf_b", {"é": ["\0", 0.5, None]}, "bed.type"))
        await store.write(guest, drop("prf_a"))
        await store.write(guest, rename("Ann"))
        made = await store.write(guest, put("prf_b", 3, "bed.type"), Once("caller", name("key"), "f"))

    assert went == ["whole", "whole", "whole", "whole", "locked"]  # the last puts an entry in the place of its own id
    assert await document(store, guest) == made.document
    assert [change.version for change in await store.history(guest, 10)] == [6, 5, 4, 3, 2, 1]


async def test_a_write_with_its_key_is_one_statement_too(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(postgres_place)
    guest, once = await born(store), Once("caller", name("key"), "f")
    with ways(monkeypatch) as went:
        first = await store.write(guest, put("prf_q", 1), once)
        again = await store.write(guest, put("prf_q", 1), once)
        postgres_place.clock.move(timedelta(hours=25))
        later = await store.write(guest, put("prf_r", 2), once)

    assert went == ["whole", "locked", "whole"]
    assert (again.replayed, again.answer, later.replayed) == (True, first.answer, False)
    assert (await document(store, guest)).version == 3


async def test_what_another_wrote_is_noticed_in_the_statement(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await opened(postgres_place), await opened(postgres_place)
    guest = await born(one)
    await one.write(guest, put("prf_a", 1))
    await other.write(guest, put("prf_b", 2))
    with ways(monkeypatch) as went:
        again = await one.write(guest, put("prf_c", 3))
        once = await other.write(guest, put("prf_d", 4), Once("caller", name("key"), "f"))

    assert went == ["moved", "locked", "moved", "locked"]
    assert [again.document.version, once.document.version] == [4, 5]
    assert {found.id for found in (await document(one, guest)).entries} == {"prf_a", "prf_b", "prf_c", "prf_d"}


async def test_a_version_that_stands_for_something_else_is_noticed(postgres_place: Place) -> None:
    """As after a return to an older copy of the database: the same number, another history."""
    one, other = await opened(postgres_place), await opened(postgres_place)
    guest = await born(one)
    await one.write(guest, put("prf_a", 1))

    def otherwise(connection: Connection) -> Outcome[None]:
        connection.execute(text("UPDATE entry SET actor = 'another' WHERE guest_id = :guest"), {"guest": guest})
        moment = {"guest": guest, "at": NOW + timedelta(seconds=1)}
        connection.execute(text("UPDATE guest SET updated_at = :at WHERE id = :guest"), moment)
        return Outcome(None)

    await other._runner.run(otherwise)
    made = await one.write(guest, put("prf_b", 2))

    assert {found.id: found.provenance.actor for found in made.document.entries} == {
        "prf_a": "another",
        "prf_b": "guest-token",
    }
    assert await document(other, guest) == made.document


async def test_a_statement_that_comes_too_late_does_nothing(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(postgres_place)
    guest = await born(store)
    monkeypatch.setattr(runners, "IN_TIME_S", -0.1)
    with ways(monkeypatch) as went:
        await store.write(guest, put("prf_q", 1))
        await store.write(guest, put("prf_b", 2), Once("caller", name("key"), "f"))

    assert went == ["moved", "locked", "moved", "locked"]
    assert [change.version for change in await store.history(guest, 10)] == [3, 2, 1]


async def test_writers_of_one_guest_in_two_processes_lose_nothing(postgres_place: Place) -> None:
    stores = [await opened(postgres_place), await opened(postgres_place)]
    guest = await born(stores[0])
    keys = [Once("caller", name("key"), "f") if n % 3 else None for n in range(30)]

    told = await asyncio.gather(*(stores[n % 2].write(guest, put(f"prf_{n}", n), keys[n]) for n in range(30)))

    assert sorted(one.document.version for one in told) == list(range(2, 32))
    assert len((await document(stores[0], guest)).entries) == 31
    assert [change.version for change in await stores[1].history(guest, 100)] == list(range(31, 0, -1))


async def test_the_lock_decides_what_only_it_can_tell(sql_place: Place) -> None:
    """Refusals on what is remembered, repeats, the past, and what lies beside entries."""
    one, other = await opened(sql_place), await opened(sql_place)
    guest, once = await born(one), Once("caller", name("key"), "f")
    first = await one.write(guest, put("prf_a", 1), once)
    seen: list[int] = []

    def refusing(found: Document, past: Past) -> Written:
        seen.append(found.version)
        raise Refused(f"at {found.version}")

    def looking(found: Document, past: Past) -> Written:
        changes: list[Change | None] = [*past.since(1), past.at(2)]
        assert [change and change.version for change in changes][-1] == 2
        return put("prf_b", len(changes))(found, past)

    await other.write(guest, consent("food_safety"))
    with pytest.raises(Refused, match="at 3"):
        await one.write(guest, refusing)
    assert seen[-1] == 3
    assert (await one.write(guest, refusing, once)).answer == first.answer
    with pytest.raises(KeyReused):
        await one.write(guest, put("prf_a", 2), Once(once.caller, once.key, "g"))
    assert (await one.write(guest, nothing)).document.version == 3
    assert (await one.write(guest, looking)).document.version == 4
    assert (await one.write(guest, identify(Identifier("pms", name("x"))))).document.version == 5
    with pytest.raises(NotFound):
        await one.write("gst_nobody", put("prf_a", 1))
    assert await document(other, guest) == await document(one, guest)


async def test_an_unchecked_memory_would_be_noticed(postgres_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: the statement does not look whether the guest is still as it was known."""
    text_of = edits._whole_write
    monkeypatch.setattr(edits, "_whole_write", lambda claims: text_of(claims).replace("version = $5", "$5::int > 0"))
    one, other = await opened(postgres_place), await opened(postgres_place)
    guest = await born(one)
    await one.write(guest, put("prf_a", 1))
    await other.write(guest, put("prf_b", 2))
    history = len(await one.history(guest, 10))
    try:
        await one.write(guest, put("prf_c", 3))
    except Exception as failure:  # noqa: BLE001 - whichever way it shows
        assert "unique" in str(failure).lower() or "duplicate" in str(failure).lower()
        return
    assert len(await one.history(guest, 10)) != history + 1


def test_what_is_remembered_is_bounded_and_only_used_as_it_was() -> None:
    remembered = Remembered()
    for number in range(DOCUMENTS_MAX + 5):
        remembered.keep(Known(Document(f"gst_{number}", 1, updated_at=NOW), None))
    many = tuple(entry(f"prf_{n}") for n in range(ENTRIES_MAX + 1))
    remembered.keep(Known(Document("gst_big", 1, many, updated_at=NOW), None))

    assert len(remembered) == DOCUMENTS_MAX
    assert (remembered.get("gst_0"), remembered.get("gst_big")) == (None, None)
    known = remembered.get("gst_7")
    assert known is not None
    assert remembered.still("gst_7", 1, NOW) is known
    assert remembered.still("gst_7", 2, NOW) is None
    assert remembered.still("gst_7", 1, NOW + timedelta(microseconds=1)) is None
