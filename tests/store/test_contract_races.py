"""The promises of `Store` about writers that meet: identifiers, repeated requests, many at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from prefs.core.changes import Written
from prefs.core.entries import Document, Identifier
from prefs.core.errors import IdentifierTaken, KeyReused, NotFound
from prefs.ports import Once, Store
from tests.store.conftest import Place
from tests.store.samples import (
    born,
    changing,
    document,
    entry,
    identify,
    name,
    newborn,
    nothing,
    put,
    rename,
)

# ---------------------------------------------------------------- identifiers


async def test_a_guest_is_found_by_identifier_until_it_is_removed(store: Store) -> None:
    first, second = Identifier("pms", name("x")), Identifier("crm", name("x"))
    guest = await born(store, identifiers=(first,))
    await store.write(guest, identify(second))

    assert await store.find(first) is None
    assert await store.find(second) == guest


async def test_a_taken_identifier_is_refused_and_leaves_nothing(store: Store) -> None:
    taken = Identifier("pms", name("x"))
    owner, other = await born(store, identifiers=(taken,)), await born(store)
    before = await document(store, other)

    with pytest.raises(IdentifierTaken) as caught:
        await store.write(other, identify(Identifier("crm", name("x")), taken))
    with pytest.raises(IdentifierTaken):
        await store.create(newborn(name("gst"), identifiers=(taken,)))

    assert (caught.value.system, caught.value.external_id) == (taken.system, taken.id)
    assert owner not in str(caught.value)
    assert await document(store, other) == before
    assert await store.find(taken) == owner
    assert len(await store.guests(10)) == 2


async def test_an_identifier_may_move_once_it_is_free(store: Store) -> None:
    moving = Identifier("pms", name("x"))
    first, second = await born(store, identifiers=(moving,)), await born(store)
    await store.write(first, identify())
    await store.write(second, identify(moving))

    assert await store.find(moving) == second


async def test_of_two_who_want_one_identifier_at_once_one_gets_it(place: Place) -> None:
    stores = [await place.open(), await place.open()]
    guests = [await born(stores[0]) for _ in range(6)]
    wanted = Identifier("pms", name("x"))

    results = await asyncio.gather(
        *(stores[n % 2].write(guest, identify(wanted)) for n, guest in enumerate(guests)), return_exceptions=True
    )

    winners = [guest for guest, result in zip(guests, results, strict=True) if isinstance(result, Written)]
    assert [type(result) for result in results].count(IdentifierTaken) == 5
    assert [await stores[0].find(wanted)] == winners


# ---------------------------------------------------------------- repeats


async def test_a_repeat_hears_the_first_answer_and_does_nothing(place: Place) -> None:
    store = await place.open()
    guest, once = await born(store), Once("caller", name("key"), "f")
    first = await store.write(guest, put("prf_a", 1), once)
    await store.write(guest, put("prf_a", 2))

    again = await (await place.open()).write(guest, put("prf_a", 1), once)

    assert (again.replayed, again.change, again.answer) == (True, None, first.answer)
    assert again.document == await document(store, guest)
    assert (again.document.version, again.document.entries[0].value) == (3, 2)


async def test_a_repeat_of_what_changed_nothing_is_a_repeat_too(store: Store) -> None:
    guest, once = await born(store), Once("caller", name("key"), "f")
    first = await store.write(guest, nothing, once)
    await store.write(guest, put("prf_a", 2))

    again = await store.write(guest, nothing, once)

    assert (first.document.version, first.replayed) == (1, False)
    assert (again.answer, again.replayed, again.document.version) == (first.answer, True, 2)
    assert len(await store.history(guest, 10)) == 2


async def test_a_key_with_another_request_is_refused(store: Store) -> None:
    guest, once = await born(store), Once("caller", name("key"), "f")
    await store.write(guest, put("prf_a", 1), once)

    with pytest.raises(KeyReused):
        await store.write(guest, put("prf_a", 2), replace(once, fingerprint="g"))
    with pytest.raises(KeyReused):
        await store.create(newborn(name("gst")), replace(once, fingerprint="g"))

    assert (await document(store, guest)).version == 2
    assert (await store.write(guest, put("prf_a", 3), replace(once, caller="another"))).document.version == 3


async def test_a_refused_write_does_not_use_the_key_up(store: Store) -> None:
    once = Once("caller", name("key"), "f")
    with pytest.raises(NotFound):
        await store.write("gst_nobody", put("prf_a", 1), once)
    guest = await born(store)

    assert not (await store.write(guest, put("prf_a", 1), replace(once, fingerprint="g"))).replayed


async def test_a_key_is_kept_for_24_hours(place: Place) -> None:
    store = await place.open()
    guest, once = await born(store), Once("caller", name("key"), "f")
    await store.write(guest, put("prf_a", 1), once)

    place.clock.move(timedelta(hours=23, minutes=59))
    assert (await store.write(guest, put("prf_a", 1), once)).replayed
    place.clock.move(timedelta(minutes=1))
    assert not (await store.write(guest, put("prf_a", 1), replace(once, fingerprint="g"))).replayed


async def test_a_repeated_create_answers_with_the_first_guest(store: Store) -> None:
    once, guest = Once("caller", name("key"), "f"), name("gst")
    await store.create(newborn(guest), once)

    again = await store.create(newborn(name("gst")), once)

    assert (again.replayed, again.document.guest, again.answer) == (True, guest, {"guest": guest})
    assert await store.guests(10) == [guest]


async def test_fifty_duplicates_at_once_have_one_effect(place: Place) -> None:
    stores = [await place.open(), await place.open()]
    guest, once = await born(stores[0]), Once("caller", name("key"), "f")

    told = await asyncio.gather(*(stores[n % 2].write(guest, put("prf_a", 7), once) for n in range(50)))

    assert [result.replayed for result in told].count(False) == 1
    assert {str(result.answer) for result in told} == {"{'version': 2, 'value': 7}"}
    assert len(await stores[0].history(guest, 100)) == 2


async def test_fifty_duplicate_creates_make_one_guest(place: Place) -> None:
    stores = [await place.open(), await place.open()]
    once = Once("caller", name("key"), "f")

    told = await asyncio.gather(*(stores[n % 2].create(newborn(name("gst")), once) for n in range(50)))

    assert len({result.document.guest for result in told}) == 1
    assert len(await stores[0].guests(100)) == 1


# ---------------------------------------------------------------- many at once


async def test_concurrent_writers_lose_nothing(place: Place) -> None:
    stores = [await place.open(), await place.open()]
    guest = await born(stores[0])

    def count(found: Document, version: int) -> Document:
        return replace(found, display_name=str(int(found.display_name or 0) + 1))

    await stores[0].write(guest, rename("0"))
    told = await asyncio.gather(*(stores[n % 2].write(guest, changing(count)) for n in range(40)))

    assert sorted(result.document.version for result in told) == list(range(3, 43))
    assert (await document(stores[1], guest)).display_name == "40"
    assert [made.version for made in await stores[1].history(guest, 100)] == list(range(42, 0, -1))


async def test_a_read_never_sees_half_a_write(place: Place) -> None:
    writer, reader = await place.open(), await place.open()
    guest = await born(writer)

    def both(found: Document, version: int) -> Document:
        entries = (entry("prf_a", version, version=version), entry("prf_b", version, version=version, key="bed.type"))
        return replace(found, entries=entries, display_name=str(version))

    async def write() -> None:
        for _ in range(30):
            await writer.write(guest, changing(both))

    writing = asyncio.create_task(write())
    seen = []
    while not writing.done():
        await asyncio.sleep(0)  # the memory store never waits by itself
        found = await document(reader, guest)
        seen.append(found.version)
        if found.version > 1:
            assert {str(known.value) for known in found.entries} == {found.display_name} == {str(found.version)}
    await writing

    assert seen == sorted(seen)


async def test_a_caller_that_leaves_does_not_stop_its_write(place: Place) -> None:
    store = await place.open()
    guest = await born(store)

    calls = [asyncio.create_task(store.write(guest, put("prf_a", n))) for n in range(20)]
    await asyncio.sleep(0)
    for call in calls[:-1]:
        call.cancel()
    last = await calls[-1]
    await asyncio.gather(*calls, return_exceptions=True)
    await store.close()

    found = await document(await place.open(), guest)
    assert found.version >= last.document.version
    assert [made.version for made in await (await place.open()).history(guest, 100)] == list(
        range(found.version, 0, -1)
    )
