"""Wrapping keys change beside running processes: no read fails, no data key is left, and no wrong key is taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from prefs.core.errors import Sealed, WrappingKeyMissing
from prefs.ports import Lookup
from prefs.store.custody import wrapping_keys_in_use
from prefs.store.sql import SqlStore
from prefs.vault.envelope import Envelope
from prefs.vault.keys import WrappingKey, write
from prefs.vault.providers import EnvironmentProvider, FileProvider
from tests.store.conftest import Place
from tests.store.samples import SetClock, born, document, put
from tests.vaults import vault, wrapping_key

READERS, READS_A_SECOND = 30, 300


async def opened(place: Place, file: FileProvider) -> SqlStore:
    store = await SqlStore.open(place.url, place.clock, Envelope(file))
    place.close_later(store)
    return store


@pytest.fixture
def file(tmp_path: Path) -> FileProvider:
    provider = FileProvider(tmp_path / "vault.json")
    provider.make()
    return provider


async def rotate_under_reads(place: Place, file: FileProvider, guests: int, least_s: float) -> int:
    """Rotate while another process reads, writes and makes guests; how many reads there were. None of them may fail."""
    serving, rotating = await opened(place, file), await opened(place, file)
    known = [await born(serving) for _ in range(guests)]
    (old,) = await rotating.custody.wrapped()
    over = asyncio.Event()
    reads = 0

    async def read(first: int) -> None:
        nonlocal reads
        number = first
        while not over.is_set():
            guest = known[number % guests]
            assert (await serving.look_up(Lookup([guest]))).documents[guest].entries[0].id == "prf_a"
            reads, number = reads + 1, number + READERS
            await asyncio.sleep(READERS / READS_A_SECOND)

    async def write_some() -> None:
        number = 0
        while not over.is_set():
            known.append(await born(serving))
            await serving.write(known[number % guests], put("prf_b", number))
            number += 1
            await asyncio.sleep(0.05)

    async def rotate() -> list[str]:
        await asyncio.sleep(least_s / 2)
        file.add()
        await rotating._vault.renew("the new one")
        gone: list[str] = []
        while not gone:
            while await rotating.custody.rewrap_some(50):
                pass
            gone = await rotating.custody.retire()
        await asyncio.sleep(least_s / 2)
        over.set()
        return gone

    async with asyncio.TaskGroup() as tasks:
        for first in range(READERS):
            tasks.create_task(read(first))
        tasks.create_task(write_some())
        rotation = tasks.create_task(rotate())
    assert rotation.result() == [old]

    file.remove([old])  # and nothing needs it any more
    later = await opened(place, file)
    assert all(count == len(known) for count in (await later.custody.wrapped()).values())
    for start in range(0, len(known), 1000):
        page = known[start : start + 1000]
        assert len(await later.get_many(page)) == len(page)
    return reads


async def test_wrapping_keys_rotate_under_reads_and_writes(sql_place: Place, file: FileProvider) -> None:
    assert await rotate_under_reads(sql_place, file, guests=40, least_s=0.6) > 0


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_ten_thousand_data_keys_are_wrapped_anew_under_three_hundred_reads_a_second(
    sql_place: Place, file: FileProvider
) -> None:
    reads = await rotate_under_reads(sql_place, file, guests=10_000, least_s=10)
    assert reads >= 1000


async def test_a_process_that_does_not_look_again_would_fail(
    sql_place: Place, file: FileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: Envelope, missing: str) -> None:
        return None

    rotating, serving = await opened(sql_place, file), await opened(sql_place, file)
    guest = await born(serving)
    file.add()
    await rotating._vault.renew("the new one")
    monkeypatch.setattr(Envelope, "renew", never)
    while await rotating.custody.rewrap_some():
        pass
    with pytest.raises(WrappingKeyMissing):
        await serving.get(guest)
    await rotating.custody.retire()
    with pytest.raises(Sealed, match="taken out of use by a rotation"):  # no new data key under what was retired
        await born(serving)
    with pytest.raises(Sealed, match="not given"):
        await SqlStore.open(sql_place.url, SetClock(), serving._vault)


async def test_a_rotation_broken_off_goes_on(sql_place: Place, file: FileProvider) -> None:
    store = await opened(sql_place, file)
    guests = [await born(store) for _ in range(7)]
    file.add()
    first = await opened(sql_place, file)
    assert (await first.custody.rewrap_some(3), list((await first.custody.wrapped()).values())) == (3, [3, 4])
    assert await first.custody.retire() == [], "it still wraps some"
    second = await opened(sql_place, file)
    assert [await second.custody.rewrap_some(3) for _ in range(3)] == [3, 1, 0]
    assert len(await second.custody.retire()) == 1
    assert len(await store.get_many(guests)) == 7


# ---------------------------------------------------------------- keys that are lost or wrong


async def test_a_lost_or_wrong_key_is_noticed_at_the_start(sql_place: Place) -> None:
    def wrong() -> Envelope:
        return Envelope(EnvironmentProvider("the test", write([WrappingKey("kek_test", b"w" * 32)])))

    for other in (vault("other"), wrong(), vault()):  # nothing is sealed yet: nothing is lost
        await (await SqlStore.open(sql_place.url, SetClock(), other)).close()
    assert await wrapping_keys_in_use(sql_place.url) == []
    store = await SqlStore.open(sql_place.url, sql_place.clock, vault())
    guest = await born(store)
    assert await wrapping_keys_in_use(sql_place.url) == ["kek_test"]

    with pytest.raises(Sealed, match="kek_test, which this process was not given. Restore the key file"):
        await SqlStore.open(sql_place.url, SetClock(), vault("other"))
    with pytest.raises(Sealed, match="kek_test is not the one that sealed"):
        await SqlStore.open(sql_place.url, SetClock(), wrong())
    assert (await document(store, guest)).version == 1
    await store.close()
    await (await SqlStore.open(sql_place.url, SetClock(), vault("other", "kek_test"))).close()


async def test_a_data_key_that_names_another_wrapping_key_is_refused_for_that_guest_alone(sql_place: Place) -> None:
    store = await SqlStore.open(sql_place.url, sql_place.clock, vault("one"))
    sql_place.close_later(store)
    theirs, ours = await born(store), await born(store)
    added = await SqlStore.open(sql_place.url, sql_place.clock, vault("two", "one"))
    sql_place.close_later(added)
    assert await added.custody.rewrap_some(1) == 1
    moved = min(theirs, ours)
    with pytest.raises(WrappingKeyMissing, match="two is not in the variable the test"):
        await store.get(moved)
    assert await store.get(max(theirs, ours)) is not None
    assert wrapping_key("two").secret.hex() not in repr(store._vault)
