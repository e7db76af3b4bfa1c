"""The promises of `Store` about guests, kept by every store alike: reading, writing, history, use."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from prefs.core.changes import Action, KeyChange, Written
from prefs.core.entries import Context, Document, Entered, Identifier, Scope, ScopeKind, Strength
from prefs.core.errors import NotFound, Refused
from prefs.ports import Once, Past, Store, Usage
from tests.store.samples import (
    NOW,
    TEMPERATURE,
    born,
    change,
    consent,
    document,
    drop,
    entry,
    name,
    newborn,
    nothing,
    put,
    rename,
)

UNSTORABLE = ("gst_\0", "gst_\ud800", "")


# ---------------------------------------------------------------- reading


async def test_what_is_created_is_read_back_whole(store: Store) -> None:
    guest = name("gst")
    full = entry(
        "prf_b",
        {"order": ["espn", "bbc"], "count": 2, "none": None},
        key="tv.channels",
        strength=Strength.REQUIRED,
        scope=Scope(ScopeKind.STAY, "sty_1"),
        context=Context(time_of_day="sleep", trip="business", party="alone", season="warm"),
        expires_at=NOW + timedelta(hours=1),
        entered=Entered(68.5, "[degF]"),
    )
    empty = entry("prf_a", None, strength=Strength.NO_PREFERENCE)
    told = await store.create(newborn(guest, full, empty, identifiers=(Identifier("pms", guest),), display_name="ລາວ"))

    found = await document(store, guest)

    assert found == told.document
    assert found == Document(
        guest, 1, (empty, full), (Identifier("pms", guest),), (), "ລາວ", created_at=NOW, updated_at=NOW
    )
    assert list(found.entries[1].value) == ["order", "count", "none"]


async def test_entries_come_in_the_order_of_key_and_id(store: Store) -> None:
    guest = name("gst")
    await store.create(newborn(guest, entry("b"), entry("a"), entry("B"), entry("z", key="bed.type"), entry("é")))

    assert [known.id for known in (await document(store, guest)).entries] == ["z", "B", "a", "b", "é"]


async def test_moments_come_back_in_utc_to_the_microsecond(store: Store) -> None:
    guest = name("gst")
    away = datetime(2026, 12, 24, 23, 30, 0, 999999, tzinfo=timezone(timedelta(hours=7)))
    await store.create(newborn(guest, entry("prf_a", expires_at=away)))

    found = (await document(store, guest)).entries[0].expires_at

    assert found == away
    assert found is not None and found.utcoffset() == timedelta(0)


async def test_a_moment_without_a_time_zone_is_a_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await store.create(newborn(name("gst"), entry("prf_a", expires_at=NOW.replace(tzinfo=None))))


async def test_numbers_and_sequences_come_back_as_json_has_them(store: Store) -> None:
    guest = name("gst")
    told = await store.create(newborn(guest, entry("prf_a", [1, (2,)], entered=Entered(Decimal("20.50"), "Cel"))))

    assert told.document.entries[0].value == [1, [2]]
    assert repr(told.document.entries[0].entered) == repr(Entered(20.5, "Cel"))
    assert await document(store, guest) == told.document


async def test_any_text_in_a_value_survives(store: Store) -> None:
    guest, text = name("gst"), "a\0b \ud800 ' \" \\ % :x ☕ \U0001f6cf"
    await store.create(newborn(guest, entry("prf_a", text)))

    assert (await document(store, guest)).entries[0].value == text


@pytest.mark.parametrize("guest", [*UNSTORABLE, "gst_nobody"])
async def test_an_unknown_guest_is_none_whatever_its_id(store: Store, guest: str) -> None:
    assert await store.get(guest) is None
    assert await store.get_many([guest]) == {}
    assert await store.find(Identifier(guest, guest)) is None
    assert await store.history(guest, 10) == []
    with pytest.raises(NotFound):
        await store.write(guest, put("prf_a", 1))


async def test_many_are_read_at_once_and_unknown_ones_left_out(store: Store) -> None:
    guests = [await born(store) for _ in range(3)]

    found = await store.get_many([guests[2], "gst_nobody", guests[0], guests[2]])

    assert list(found) == [guests[2], guests[0]]
    assert found[guests[0]] == await store.get(guests[0])
    assert await store.get_many([]) == {}


async def test_guests_are_listed_by_id_in_pages(store: Store) -> None:
    guests = sorted([await born(store) for _ in range(5)])

    assert await store.guests(3) == guests[:3]
    assert await store.guests(3, after=guests[2]) == guests[3:]
    assert await store.guests(3, after=guests[4]) == []


# ---------------------------------------------------------------- writing


async def test_a_write_raises_the_version_by_one_and_tells_what_it_kept(store: Store) -> None:
    guest = await born(store)

    told = await store.write(guest, put("prf_b", 1900))

    assert (told.document.version, told.answer, told.replayed) == (2, {"version": 2, "value": 1900}, False)
    assert await document(store, guest) == told.document
    assert {known.id: known.version for known in told.document.entries} == {"prf_a": 1, "prf_b": 2}


async def test_entries_are_replaced_and_removed(store: Store) -> None:
    guest = await born(store)
    await store.write(guest, put("prf_a", 1800))
    await store.write(guest, put("prf_b", 1900))
    await store.write(guest, drop("prf_a"))

    assert [(known.id, known.value) for known in (await document(store, guest)).entries] == [("prf_b", 1900)]


async def test_apply_sees_the_newest_document_and_its_past(store: Store) -> None:
    guest = await born(store)
    await store.write(guest, put("prf_a", 1800))
    await store.write(guest, put("prf_a", 1900))
    seen: list[object] = []

    def apply(found: Document, past: Past) -> Written:
        seen.extend([found, past.since(1), past.since(10**12), past.at(2), past.at(9), past.at(-1)])
        return nothing(found, past)

    await store.write(guest, apply)
    newest_first = await store.history(guest, 10)

    assert seen == [await store.get(guest), newest_first[1::-1], [], newest_first[1], None, None]


async def test_nothing_changed_saves_nothing(store: Store) -> None:
    guest = await born(store)
    before = await document(store, guest)

    told = await store.write(guest, nothing)

    assert told == Written(before, None, {"version": 1})
    assert await document(store, guest) == before
    assert len(await store.history(guest, 10)) == 1


async def test_whatever_apply_raises_comes_through_and_leaves_nothing(store: Store) -> None:
    guest = await born(store)
    before = await document(store, guest)

    def fail(found: Document, past: Past) -> Written:
        raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="the caller's own"):
        await store.write(guest, fail, Once("caller", name("key"), "f"))

    assert await document(store, guest) == before
    assert (await store.write(guest, put("prf_a", 1))).document.version == 2


@pytest.mark.parametrize("wrong", ["version", "guest", "change", "twice"])
async def test_a_decision_that_contradicts_itself_is_not_kept(store: Store, wrong: str) -> None:
    guest = await born(store)
    before = await document(store, guest)

    def apply(found: Document, past: Past) -> Written:
        after, made = replace(found, version=2), change(guest, 2)
        if wrong == "version":
            after = replace(after, version=3)
        elif wrong == "guest":
            after = replace(after, guest="gst_other")
        elif wrong == "change":
            made = replace(made, version=1)
        else:
            after = replace(after, entries=(entry("prf_x"), entry("prf_x")))
        return Written(after, made, {})

    with pytest.raises(ValueError):
        await store.write(guest, apply)

    assert await document(store, guest) == before


async def test_profile_and_consents_are_kept(store: Store) -> None:
    guest = await born(store)
    later = NOW + timedelta(hours=2)
    await store.write(guest, consent("room_setup", "food_safety"))
    await store.write(guest, consent("room_setup"))
    await store.write(guest, rename("Ben", at=later))

    found = await document(store, guest)

    assert (found.display_name, found.purposes_at(NOW), found.version) == ("Ben", {"room_setup"}, 4)
    assert (found.created_at, found.updated_at) == (NOW, later)
    assert found.consents[0].granted_at == NOW


async def test_a_guest_is_created_once(store: Store) -> None:
    guest = await born(store)
    before = await document(store, guest)

    with pytest.raises(Refused):
        await store.create(newborn(guest, entry("prf_z")))

    assert await document(store, guest) == before


# ---------------------------------------------------------------- history


async def test_history_comes_newest_first_in_pages(store: Store) -> None:
    guest = await born(store)
    for value in range(5):
        await store.write(guest, put("prf_a", value))

    assert [made.version for made in await store.history(guest, 3)] == [6, 5, 4]
    assert [made.version for made in await store.history(guest, 3, before=4)] == [3, 2, 1]
    assert await store.history(guest, 3, before=1) == []
    assert len(await store.history(guest, 10, before=10**15)) == 6


async def test_history_says_who_did_what_with_old_and_new(store: Store) -> None:
    guest = await born(store)
    old = (await document(store, guest)).entries
    await store.write(guest, put("prf_a", {"b": 1, "a": [None, True, 2.5]}))

    made = (await store.history(guest, 1))[0]

    new = (await document(store, guest)).entries
    assert made == change(guest, 2, Action.EDIT, KeyChange(TEMPERATURE, old, new))
    assert made.at.utcoffset() == timedelta(0)
    assert list(made.keys[0].added[0].value) == ["b", "a"]


async def test_history_is_of_one_guest(store: Store) -> None:
    first, second = await born(store), await born(store)
    await store.write(first, put("prf_a", 1))

    assert [made.guest for made in await store.history(second, 10)] == [second]


# ---------------------------------------------------------------- what is stored under a key


async def test_usage_counts_by_value_strength_and_scope(store: Store) -> None:
    for value in (2000, 2000, 2100):
        await store.create(newborn(name("gst"), entry("prf_a", value), entry("prf_b", 1, key="bed.type")))
    property_scope = Scope(ScopeKind.PROPERTY, "htl_1")
    await store.create(newborn(name("gst"), entry("prf_a", 2000, scope=property_scope)))
    await store.create(newborn(name("gst"), entry("prf_a", {"b": 1, "a": 2}), entry("prf_c", None)))

    found = await store.usage(TEMPERATURE)

    preferred = Strength.PREFERRED
    assert len(found) == 5
    assert Usage(2000, preferred, ScopeKind.PROFILE, 2) in found
    assert Usage(2100, preferred, ScopeKind.PROFILE, 1) in found
    assert Usage(2000, preferred, ScopeKind.PROPERTY, 1) in found
    assert Usage({"b": 1, "a": 2}, preferred, ScopeKind.PROFILE, 1) in found
    assert Usage(None, preferred, ScopeKind.PROFILE, 1) in found
    assert await store.usage("no.such.key") == []


async def test_guests_with_a_key_come_by_id_in_pages(store: Store) -> None:
    holders = sorted([await born(store) for _ in range(4)])
    await store.create(newborn(name("gst"), entry("prf_a", key="bed.type")))
    await store.write(holders[3], put("prf_second", 1))

    assert await store.guests_with(TEMPERATURE, 3) == holders[:3]
    assert await store.guests_with(TEMPERATURE, 3, after=holders[2]) == holders[3:]


async def test_ping_of_a_store_that_can_serve(store: Store) -> None:
    assert await store.ping() is None  # type: ignore[func-returns-value]
