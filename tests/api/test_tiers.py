"""The service as it grows up: houses of two processes over one PostgreSQL and one Valkey, asked over HTTP."""

from __future__ import annotations

import itertools
import re
import time
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from prefs import telemetry
from prefs.bootstrap import cache_key, furnish
from prefs.cache.read_through import cached
from prefs.core.erasure import Tombstone
from prefs.services.tombstones import LOOKS_BACK
from prefs.settings import Settings
from prefs.store.sql import SqlStore
from tests.api.conftest import OpenFront, Statements, opened
from tests.api.front import PROPERTY, Front, StandingClock
from tests.api.served import free_port
from tests.api.test_hot import ALLERGENS, NIGHT, QUESTIONS, WARMTH, callers, is_hot, read, told, typed
from tests.cache.watched import Watched, until
from tests.vaults import vault

SECONDS_MAX = 10


@pytest.fixture
def kind() -> str:
    return "postgresql"


async def hot(front: Front, guest: str, token: str, times: int = 1, statements: Statements | None = None) -> None:
    """Return once so many reads were answered from memory, none of which may ask the store: the first heartbeat has to
    come back, and on a busy machine a later one may be overdue, when a read is right not to be."""
    until = time.monotonic() + SECONDS_MAX
    while times:
        assert time.monotonic() < until, "no read was ever hot"
        before = len(statements.said) if statements else 0
        if is_hot(await read(front, guest, token)):
            times -= 1
            assert not statements or len(statements.said) == before


async def test_a_write_through_one_is_seen_by_the_other(open_front: OpenFront) -> None:
    """At once with no-cache or a version; by default within the contract, and the store is not asked for hot reads."""
    (one, _), (other, statements) = await open_front(), await open_front()
    guest = await one.new_guest()
    token = one.guest(guest)
    for warmth in range(17, 25):
        written = await one.prefer(guest, {NIGHT: warmth})
        known = await read(other, guest, token, preferences_min_version=str(written["version"]))
        assert known.json()["preferences"][NIGHT]["value"] == warmth
        fresh = await read(other, guest, token, cache_control="no-cache")
        assert fresh.json()["version"] == written["version"]
        until = time.monotonic() + SECONDS_MAX
        while (await read(other, guest, token)).json()["version"] != written["version"]:
            assert time.monotonic() < until, "the write was never seen"
        await hot(other, guest, token, times=20, statements=statements)
        async with typed(other) as slow:
            assert told(await read(other, guest, token)) == told(await read(slow, guest, token))


async def test_a_tier_is_named_for_what_it_answered(open_front: OpenFront) -> None:
    (one, _), (other, _) = await open_front(), await open_front()
    guest = await one.new_guest()
    await hot(one, guest, one.guest(guest))
    found = await read(other, guest, one.guest(guest), cache_control="no-cache")
    assert found.headers["cache-status"] == "guestprefs; hit; detail=shared"


async def test_what_is_confirmed_is_what_the_typed_route_says(open_front: OpenFront) -> None:
    """To the byte, headers and all, for callers who want no copy: from what lies ready, once it does."""
    (front, statements), (other, _) = await open_front(), await open_front()
    guest = await front.new_guest("Ana Torres")
    await front.new_property(PROPERTY)
    await front.new_stay(guest, "stay-1")
    await front.prefer(guest, {WARMTH: {"value": 70, "unit": "[degF]", "strength": "required"}, NIGHT: 18})
    confirmed, path = 0, f"/v1/guests/{guest}/preferences"
    async with typed(front) as slow:
        for (who, token), question in itertools.product(callers(front, guest), QUESTIONS[:7]):
            for wish in ("no-cache", "max-age=0"):
                asked: dict[str, Any] = {"params": question, "headers": {"cache-control": wish}}
                expected = await slow.call("GET", path, token, **asked)
                before = len(statements.said)
                found = await front.call("GET", path, token, **asked)
                assert told(found) == told(expected), (who, question)
                if found.status_code == 200:
                    assert found.headers["cache-status"].endswith(("detail=shared", "detail=store"))
                    confirmed += len(statements.said) == before
        assert confirmed > 50
        seen, token = served_shared(), front.guest(guest)
        for number in range(20):
            await other.prefer(guest, {NIGHT: 16 + number % 10})
            fresh = await read(slow, guest, token, cache_control="no-cache")
            await until(lambda: not front.house.store._loader._flights, "the fill")
            assert told(await read(front, guest, token, cache_control="no-cache")) == told(fresh)
            assert fresh.json()["preferences"][NIGHT]["value"] == 16 + number % 10
    assert served_shared() >= seen + 15


def served_shared() -> float:
    said = re.search(rb'guestprefs_cache_served_total{kind="prepared",tier="shared"} ([0-9.]+)', telemetry.expose())
    return float(said[1]) if said else 0.0


async def test_a_withdrawn_consent_is_gone_everywhere_when_it_is_answered(open_front: OpenFront) -> None:
    (one, _), (other, _) = await open_front(), await open_front()
    guest = await one.new_guest()
    token, consent = one.guest(guest), f"/v1/guests/{guest}/consents/food_safety"
    for _ in range(5):
        await one.ok("PUT", consent, token)
        await one.prefer(guest, {ALLERGENS: [{"code": "peanuts"}]})
        while "peanut" not in (await read(other, guest, token)).text:
            continue
        await hot(other, guest, token)
        assert "peanut" in (await read(other, guest, token)).text
        withdrawn = await one.call("DELETE", consent, token)
        assert withdrawn.status_code == 200
        assert "peanut" not in (await read(other, guest, token)).text


async def test_a_write_that_other_processes_could_not_be_told_of_says_so(open_front: OpenFront) -> None:
    """So that whoever wrote knows when to hand the version on to the next reader."""
    (alone, _), (one, _) = await open_front(f"redis://127.0.0.1:{free_port()}"), await open_front()
    for front, said in ((alone, "degraded"), (one, None)):
        guest = await front.new_guest()
        written = await front.call("PATCH", f"/v1/guests/{guest}/preferences", front.guest(guest), {NIGHT: 18})
        assert (written.status_code, written.headers.get("coherence")) == (200, said)
        renamed = await front.call("PATCH", f"/v1/guests/{guest}", front.guest(guest), {"display_name": "Ana"})
        assert (renamed.status_code, renamed.headers.get("coherence")) == (200, said)


async def test_a_fact_that_other_processes_could_not_be_told_of_says_so_too(open_front: OpenFront) -> None:
    """Where a guest lodges, what a hotel declares, what a room's panel was pressed to and what the catalogue knows are
    cached under the same protocol as what a guest said."""
    (alone, _), (one, _) = await open_front(f"redis://127.0.0.1:{free_port()}"), await open_front()
    document = one.app.openapi()["paths"]["/v1/catalogue/{key}"]["put"]["requestBody"]
    defined = document["content"]["application/json"]["example"]
    for front, said in ((alone, "degraded"), (one, None)):
        guest, place = await front.new_guest(), f"hotel-{said}"
        stay, key = f"/v1/stays/stay-{said}", f"/v1/catalogue/lumen.arrival.{said or 'whole'}"
        now, operator, panel = front.clock.now(), front.operator(), front.device(property=place, stay=f"stay-{said}")
        booking = {
            "guest": guest,
            "property": place,
            "arrival": (now - timedelta(days=1)).isoformat(),
            "departure": (now + timedelta(days=3)).isoformat(),
            "room": "1204",
            "status": "in_house",
        }
        puts = (
            ("PUT", f"/v1/properties/{place}", operator, {"name": place, "time_zone": "UTC", "warm_months": [6]}),
            ("PUT", stay, front.service(), booking),
            ("PATCH", f"/v1/guests/{guest}/preferences?scope=room", panel, {WARMTH: 21}),
            ("PUT", key, operator, defined),
            ("DELETE", key, operator, None),
            ("PUT", stay, front.service(), booking | {"status": "checked_out"}),
            ("DELETE", f"/v1/properties/{place}", operator, None),
        )
        for method, path, token, body in puts:
            told = await front.call(method, path, token, body)
            assert told.status_code < 300, (method, path, told.text)
            assert (method, path, told.headers.get("coherence")) == (method, path, said)


async def test_a_consent_withdrawn_without_the_cache_says_by_when_it_is_gone(
    open_front: OpenFront, clock: StandingClock
) -> None:
    front, _ = await open_front(f"redis://127.0.0.1:{free_port()}")
    guest = await front.new_guest()
    consent = f"/v1/guests/{guest}/consents/food_safety"
    await front.ok("PUT", consent, front.guest(guest))
    withdrawn = await front.call("DELETE", consent, front.guest(guest))
    assert withdrawn.status_code == 202
    assert withdrawn.json()["effective_by"] > clock.now().isoformat()
    assert withdrawn.json()["consents"] == []


async def test_while_the_store_is_gone_what_is_known_is_told_with_its_age(
    settings: Settings, clock: StandingClock
) -> None:
    """Without Redis too. What a consent allows is told for a minute, for it may have been withdrawn meanwhile."""
    watched: Any = Watched(await SqlStore.open(settings.database_url, clock, vault()))
    redis_url = f"redis://127.0.0.1:{free_port()}"
    store = cached(watched, clock, redis_url, cache_key(settings.cache_key), cold_guard_s=0)
    async with opened(settings, clock, furnish(store, clock)) as front:
        known, unknown = await front.new_guest(), await front.new_guest()
        token = front.guest(known)
        await front.ok("PUT", f"/v1/guests/{known}/consents/food_safety", token)
        await front.prefer(known, {ALLERGENS: [{"code": "peanuts"}], NIGHT: 18})
        before = await read(front, known, token)
        assert "age" not in before.headers

        watched.gone = True
        stale = await read(front, known, token)
        assert (stale.status_code, stale.content) == (200, before.content)
        assert stale.headers["cache-status"] == "guestprefs; hit; detail=stale"
        assert int(stale.headers["age"]) >= 1
        assert (await read(front, unknown, front.guest(unknown))).status_code == 503
        assert (await front.call("PATCH", f"/v1/guests/{known}/preferences", token, {NIGHT: 20})).status_code == 503

        local: Any = store._local
        for kept in local._kept.values():
            kept.doubted_at -= 61
        older = await read(front, known, token)
        assert older.status_code == 200 and int(older.headers["age"]) > 60
        assert older.json()["preferences"][ALLERGENS]["status"] == "withheld_no_consent"
        assert older.json()["preferences"][NIGHT]["value"] == 18
        for kept in local._kept.values():
            kept.doubted_at -= 900
        assert (await read(front, known, token)).status_code == 503

        watched.gone = False
        until = time.monotonic() + SECONDS_MAX
        while (again := await read(front, known, token)).status_code != 200:
            assert time.monotonic() < until
        assert again.content == before.content and "age" not in again.headers
    await store.close()


async def test_a_batch_from_prepared_items_is_the_same_to_the_byte(open_front: OpenFront, clock: StandingClock) -> None:
    """Half of the guests change between two rounds, and time goes by; a house that keeps nothing is asked the same."""
    (front, _), (bare, _) = await open_front(), await open_front(f"redis://127.0.0.1:{free_port()}")
    await front.new_property(PROPERTY)
    guests = [await front.new_guest() for _ in range(8)]
    for number, guest in enumerate(guests[:6]):
        await front.new_stay(guest, f"stay-{number}")
    asked = {"guests": [*guests, "gst_" + "0" * 32, guests[0]], "property": PROPERTY}
    seen = set()
    for hour in range(0, 24, 4):
        for guest in guests[::2]:
            await front.prefer(guest, {WARMTH: 17 + hour % 9, NIGHT: 18})
        callers = (front.staff(), front.staff("housekeeping"), front.device(), front.service(), front.guest(guests[0]))
        for token in callers:
            for keys in ({}, {"keys": [WARMTH]}):
                rounds = [await front.call("POST", "/v1/preferences/batch", token, asked | keys) for _ in range(3)]
                expected = await bare.call("POST", "/v1/preferences/batch", token, asked | keys)
                shown = [without_request_ids(response) for response in (*rounds, expected)]
                assert shown[0] == shown[1] == shown[2] == shown[3]
                seen.add(shown[0])
        clock.pass_by(timedelta(hours=4))
    assert len(seen) > 20


def without_request_ids(response: httpx2.Response) -> str:
    assert response.status_code == 200
    return re.sub(r'"request_id":"[0-9a-f]{32}"', "", response.text)


async def test_an_erased_guest_is_gone_from_every_process_when_the_answer_comes(open_front: OpenFront) -> None:
    (one, _), (other, _) = await open_front(), await open_front()
    guest = await one.new_guest()
    token = one.guest(guest)
    await one.prefer(guest, {WARMTH: 21})
    for front in (one, other):
        await hot(front, guest, token)
    erased = await one.call("DELETE", f"/v1/guests/{guest}", token)
    assert (erased.status_code, erased.json()["copies"]["everywhere"]) == (200, True)
    assert guest not in [*one.house.store.held(), *other.house.store.held()]
    for front in (one, other):
        for control in ("", "no-cache"):
            assert (await read(front, guest, token, cache_control=control)).status_code == 404


async def test_erased_without_the_cache_it_says_by_when_copies_are_gone(
    open_front: OpenFront, clock: StandingClock
) -> None:
    front, _ = await open_front(f"redis://127.0.0.1:{free_port()}")
    guest = await front.new_guest()
    key = {"idempotency-key": "once"}
    erased = await front.call("DELETE", f"/v1/guests/{guest}", front.guest(guest), headers=key)
    assert erased.status_code == 202
    copies = erased.json()["copies"]
    assert not copies["everywhere"] and copies["gone_by"] > clock.now().isoformat()
    assert (await front.call("GET", f"/v1/guests/{guest}", front.guest(guest))).status_code == 404
    again = await front.call("DELETE", f"/v1/guests/{guest}", front.guest(guest), headers=key)
    assert (again.status_code, again.json()) == (202, erased.json())


async def test_a_process_lets_go_of_whom_another_erased(open_front: OpenFront, clock: StandingClock) -> None:
    """Also where no message told it: what a writer remembers is not in the caches. Of its looking it keeps nothing."""
    (one, _), (other, _) = await open_front(), await open_front()
    guest = await one.new_guest()
    await other.prefer(guest, {WARMTH: 21})
    assert guest in other.house.store.inner.held()
    await one.house.store.erase(guest, Tombstone(other.house.signer.digest(guest), one.clock.now(), "rcp_1"))
    assert guest in other.house.store.inner.held()

    await other.house.tombstones.sweep()

    assert guest not in other.house.store.held()
    assert len(other.house.tombstones._sweeps) == 1
    clock.pass_by(2 * LOOKS_BACK)
    await other.house.tombstones.sweep()
    assert other.house.tombstones._sweeps == {}
