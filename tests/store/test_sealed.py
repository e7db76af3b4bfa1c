"""What guests say rests as ciphertext: unique words in every place that holds any, then a search through all of it.

Each search is also run where one place is left unsealed on purpose, so that a search gone blind is noticed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from prefs.core.changes import Action, KeyChange, Written
from prefs.core.entries import Document, Entered, Entry, Provenance, ProvenanceKind
from prefs.core.errors import NotFound, Sealed, StoreUnavailable
from prefs.core.papers import Papers, Waiting
from prefs.ports import Apply, Lookup, Once, Past, Store, Usage
from prefs.store import contents, records
from prefs.store.engines import Outcome
from prefs.store.sql import SqlStore
from prefs.vault.envelope import GuestSafe
from tests.store.conftest import Place
from tests.store.samples import NOW, born, change, consent, document, drop, entry, name, newborn, nothing, put, stay
from tests.vaults import vault

CANARY = "zqx7canary"
TABLES = ("guest", "entry", "identifier", "consent", "change", "stay", "live", "property", "extension", "idempotency")


async def opened(place: Place, *ids: str, sealing: bool = True) -> SqlStore:
    """A store of another process, with these wrapping keys."""
    store = await SqlStore.open(place.url, place.clock, vault(*ids, sealing=sealing))
    place.close_later(store)
    return store


def telling(id: str, word: str, version: int = 1) -> Entry:
    """An entry that says the word in each of its parts that come from a guest or another system."""
    source = Provenance(ProvenanceKind.IMPORTED, "pms", "", NOW, f"opera:{CANARY}-source-{word}")
    typed = Entered(f"{CANARY}-entered-{word}", "[degF]")
    made = entry(id, {"text": f"{CANARY}-value-{word}"}, key="food.allergens", version=version, entered=typed)
    return replace(made, provenance=source)


def tell(id: str, word: str) -> Apply:
    def apply(before: Document, past: Past) -> Written:
        version = before.version + 1
        new = telling(id, word, version)
        after = replace(before, version=version, entries=(*before.entries, new))
        made = change(before.guest, version, Action.EDIT, KeyChange(new.key, (), (new,)))
        return Written(after, made, {"told": f"{CANARY}-answer-{word}"})

    return apply


def change_nothing(before: Document, past: Past) -> Written:
    return Written(before, None, {"told": f"{CANARY}-answer-same"})


def let_wait(before: Document, past: Past) -> Written:
    day = timedelta(days=1)
    member = f'{{"value": "{CANARY}-waiting"}}'
    waiting = Waiting("wtg_1", "food_safety", "food.allergens", "profile", member, "pms", "", NOW, NOW + day)
    return Written(before, None, {}, papers=Papers((), (), (waiting,)))


def once() -> Once:
    return Once("caller", name("key"), "f")


async def told_everywhere(store: Store) -> str:
    """A guest of whom something is kept in every table that holds what guests say, by every way of writing."""
    guest = name("gst")
    await store.create(newborn(guest, telling("prf_born", "born")), once())
    for number in range(4):  # under the lock, and on what is remembered; with an idempotency key and without
        await store.write(guest, tell(f"prf_{number}", str(number)), once() if number % 2 else None)
    await store.write(guest, drop("prf_1"))  # rests in history alone
    await store.write(guest, change_nothing, once())
    await store.write(guest, let_wait)
    await store.put_property("htl_a", {"name": "A"})
    lodged = (await store.put_stay(stay(name("sty"), guest, "htl_a"), once())).value
    await store.put_live(lodged, [telling("prf_live", "live")])
    return guest


async def found_in(place: Place) -> list[str]:
    """Where the canary rests: files of SQLite byte by byte, every row of every table of PostgreSQL as text."""
    if place.kind == "sqlite":
        path = Path(place.url.removeprefix("sqlite:///"))
        files = [path, *path.parent.glob(f"{path.name}-*")]
        assert len(files) > 1, "there is a write-ahead log to look through"
        return [file.name.removeprefix(path.name) for file in files if CANARY.encode() in file.read_bytes()]
    connection = await asyncpg.connect(place.url.replace("+asyncpg", ""))
    try:
        tables = [row["relname"] for row in await connection.fetch(_TABLES)]
        assert set(TABLES) < set(tables)
        found = []
        for table in tables:
            rows = await connection.fetch(f'SELECT "{table}"::text AS told FROM "{table}"')
            said = [_plain(row["told"]) for row in rows]
            assert table not in ("entry", "change", "live", "idempotency") or said, f"{table} is empty"
            found += [table] if any(CANARY in row for row in said) else []
        return found
    finally:
        await connection.close()


_TABLES = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace"


def _plain(row: str) -> str:
    """A row as text, and its bytea as the bytes they are, whatever encoding could hide a word in them."""
    shown = [bytes.fromhex(digits).decode("latin-1") for digits in re.findall(r"\\\\x([0-9a-f]+)", row)]
    return "\n".join([row, *shown])


# ---------------------------------------------------------------- nothing to read


async def test_nothing_that_guests_say_can_be_read_where_it_rests(sql_place: Place) -> None:
    store = await sql_place.open()
    guest = await told_everywhere(store)
    for told in (await document(store, guest), await store.history(guest, 50), await store.papers(guest)):
        assert CANARY in repr(told)
    assert await found_in(sql_place) == []


async def test_a_consent_or_name_under_the_lock_seals_as_well(sql_place: Place) -> None:
    store = await sql_place.open()
    guest = await told_everywhere(store)
    await store.write(guest, consent("food_safety"), once())
    await store.write(guest, tell("prf_after", "after"), once())
    assert await found_in(sql_place) == []


@pytest.mark.parametrize("left_out", ["seal_entry", "seal_change", "seal_answer", "seal_press", "seal_waiting"])
async def test_a_place_left_unsealed_would_be_found(
    sql_place: Place, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    def open_seal(safe: GuestSafe, *told: Any) -> bytes:
        return repr(told).encode()

    monkeypatch.setattr(contents, left_out, open_seal)
    store = await sql_place.open()
    guest = name("gst")
    await store.create(newborn(guest))
    await store.write(guest, tell("prf_0", "0"))
    await store.put_property("htl_a", {"name": "A"})
    lodged = (await store.put_stay(stay(name("sty"), guest, "htl_a"), once())).value
    await store.put_live(lodged, [telling("prf_live", "live")])
    if left_out == "seal_waiting":
        await store.write(guest, let_wait)
    if left_out == "seal_answer":
        await store.write(guest, change_nothing, once())
    assert await found_in(sql_place) != []


# ---------------------------------------------------------------- bound to its place

MOVES = {
    "to another guest": "UPDATE entry SET sealed = (SELECT o.sealed FROM entry AS o WHERE o.guest_id = :other) "
    "WHERE guest_id = :guest",
    "to another version": "UPDATE entry SET version = version + 1 WHERE guest_id = :guest",
    "to another key": "UPDATE entry SET key = 'food.diet' WHERE guest_id = :guest",
    "with its key": "UPDATE guest_key SET id = (SELECT o.id FROM guest_key AS o WHERE o.guest_id = :other), "
    "wrapped = (SELECT o.wrapped FROM guest_key AS o WHERE o.guest_id = :other) WHERE guest_id = :guest",
    "without its key": "DELETE FROM guest_key WHERE guest_id = :guest",
}


@pytest.mark.parametrize("how", MOVES)
async def test_what_was_moved_is_not_told(sql_place: Place, how: str) -> None:
    store = await opened(sql_place)
    guest, other = await born(store), await born(store)
    await store._runner.run(lambda c: Outcome(c.execute(text(MOVES[how]), {"guest": guest, "other": other}).rowcount))
    with pytest.raises(Sealed):
        await store.get(guest)
    assert await document(store, other)


async def test_history_and_answers_are_bound_to_their_place(sql_place: Place) -> None:
    store = await opened(sql_place)
    guest = await born(store)
    one, two = once(), once()
    await store.write(guest, put("prf_b", 1), one)
    await store.write(guest, put("prf_b", 2), two)
    swap = (
        "UPDATE change SET sealed = (SELECT o.sealed FROM change AS o WHERE o.guest_id = :guest AND o.version = 2) "
        "WHERE guest_id = :guest AND version = 3",
        "UPDATE idempotency SET sealed = (SELECT o.sealed FROM idempotency AS o WHERE o.key = :two) WHERE key = :one",
    )

    def move(connection: Any) -> Outcome[None]:
        for said in swap:
            names = {"guest": guest, "one": one.key, "two": two.key}
            connection.execute(text(said), {n: v for n, v in names.items() if f":{n}" in said})
        return Outcome(None)

    await store._runner.run(move)
    with pytest.raises(Sealed):
        await store.history(guest, 10)
    with pytest.raises(Sealed):
        await store.write(guest, nothing, one)
    assert (await store.write(guest, nothing, two)).answer == {"version": 3, "value": 2}


async def test_a_version_left_out_of_the_seal_would_be_noticed(
    sql_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above sees a seal that does not cover the version."""
    seal, undo = GuestSafe.seal, GuestSafe.open
    monkeypatch.setattr(GuestSafe, "seal", lambda self, data, *place: seal(self, data, *place[:-1]))
    monkeypatch.setattr(GuestSafe, "open", lambda self, sealed, *place: undo(self, sealed, *place[:-1]))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await test_what_was_moved_is_not_told(sql_place, "to another version")


async def test_a_destroyed_key_opens_nothing_for_any_process(sql_place: Place) -> None:
    store, other = await opened(sql_place), await opened(sql_place)
    guest = await born(store)
    first = once()
    await store.write(guest, put("prf_b", 1), first)
    await other.get(guest)

    assert [await other.custody.destroy(guest), await other.custody.destroy(guest)] == [1, 0]

    for attempt in (
        store.get(guest),
        store.history(guest, 10),
        store.write(guest, put("prf_c", 1)),  # this process remembers the document and its key
        other.look_up(Lookup([guest])),
    ):
        with pytest.raises(Sealed, match="destroyed"):
            await attempt
    erase = text("DELETE FROM guest WHERE id = :guest")
    await store._runner.run(lambda c: Outcome(c.execute(erase, {"guest": guest}).rowcount))
    with pytest.raises(NotFound):
        await store.write(guest, nothing, first)


async def test_a_guest_is_not_deleted_while_the_key_is_there(sql_place: Place) -> None:
    store = await opened(sql_place)
    guest = await born(store)
    erase = text("DELETE FROM guest WHERE id = :guest")
    with pytest.raises(StoreUnavailable, match="IntegrityError|ForeignKey"):
        await store._runner.run(lambda c: Outcome(c.execute(erase, {"guest": guest}).rowcount))
    assert (await document(store, guest)).version == 1


# ---------------------------------------------------------------- beside another release


async def test_what_rests_open_is_read_and_sealed_with_the_next_write(sql_place: Place) -> None:
    old, new = await opened(sql_place, sealing=False), await opened(sql_place)
    guest = await told_everywhere(old)
    assert await found_in(sql_place) != []
    known = await document(new, guest)
    assert known == await document(old, guest)
    assert await new.history(guest, 50) == await old.history(guest, 50)

    await new.write(guest, tell("prf_new", "new"))
    assert (await old.write(guest, nothing)).document == await document(new, guest)  # one that does not seal can open
    assert {found.id for found in (await document(old, guest)).entries} == {
        *(found.id for found in known.entries),
        "prf_new",
    }


async def test_sealing_what_rests_open_goes_through_all_and_can_be_broken_off(sql_place: Place) -> None:
    old, new = await opened(sql_place, sealing=False), await opened(sql_place)
    guests = sorted([await told_everywhere(old) for _ in range(5)])
    before = [(await document(old, guest), await old.history(guest, 50)) for guest in guests]
    pressed = (await new.look_up(Lookup(stays=guests))).lodgings
    papers = [await new.papers(guest) for guest in guests]

    step = await new.custody.seal_some(most=2)
    assert (step.after, step.seen, step.guests) == (guests[1], 2, 2)
    again = await new.custody.seal_some(most=3)  # begun again from the start
    assert (again.after, again.seen, again.guests) == (guests[2], 3, 1)
    rest = await new.custody.seal_some(again.after)
    assert (rest.seen, rest.guests) == (2, 2)
    assert (await new.custody.seal_some(rest.after)).seen == (await new.custody.seal_some()).rows == 0
    await new.custody.scrub()

    assert [(await document(new, guest), await new.history(guest, 50)) for guest in guests] == before
    assert (await new.look_up(Lookup(stays=guests))).lodgings == pressed
    assert [await new.papers(guest) for guest in guests] == papers
    assert await found_in(sql_place) == []


async def test_an_older_release_stumbles_over_what_is_sealed_rather_than_tell_it_wrongly(sql_place: Place) -> None:
    """What it reads of a sealed row: no column holds a word that it knows."""
    store = await opened(sql_place)
    guest = await told_everywhere(store)

    def seen(connection: Any) -> tuple[set[Any], ...]:
        strengths = connection.execute(text("SELECT strength FROM entry WHERE guest_id = :g"), {"g": guest})
        changes = connection.execute(text("SELECT keys FROM change WHERE guest_id = :g"), {"g": guest})
        presses = connection.execute(text("SELECT entry FROM live"))
        return set(strengths.scalars()), set(map(str, changes.scalars())), set(map(str, presses.scalars()))

    assert await store._runner.look(seen) == ({"sealed"}, {"[{}]"}, {"{}"})
    with pytest.raises(KeyError):
        records.entry_from_json({})


# ---------------------------------------------------------------- counting what is sealed


async def test_use_is_counted_over_sealed_and_open_rows(sql_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefs.store.usage.GUESTS_AT_ONCE", 2)
    old, new = await opened(sql_place, sealing=False), await opened(sql_place)
    for store in (old, new, new, old, new):
        await store.write(await born(store), put("prf_b", "two", key="bed.type"))
    strength, scope = telling("a", "b").strength, telling("a", "b").scope.kind
    assert await new.usage("bed.type") == [Usage("two", strength, scope, 5)]
