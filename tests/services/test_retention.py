"""What was kept long enough goes, class by class, and nothing else; a dry run says the same and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from prefs.core.changes import Written
from prefs.core.consents import Terms
from prefs.core.entries import Document, Provenance, ProvenanceKind, Scope, ScopeKind
from prefs.ledger.memory import MemoryLedger
from prefs.ports import Once, Past
from prefs.services.erasure import Erasure
from prefs.services.ids import new_id
from prefs.services.retention import Report, Retention
from prefs.services.witness import Witness
from prefs.signing.receipts import SigningKeys
from prefs.store.second_place import NoSecondPlace
from tests.services.house import WARMTH, House, device, guest, staff
from tests.store import samples

DAY = timedelta(days=1)


def retention_of(house: House) -> Retention:
    keys, witness = SigningKeys.make(), Witness(MemoryLedger(), house.clock)
    second = NoSecondPlace()
    erasure = Erasure(house.store, house.definitions, house.clock, new_id, keys, second, witness, "guestprefs")
    return Retention(house.store, house.definitions, house.clock, erasure)


async def run(house: House, **options: Any) -> dict[str, int]:
    """What went, by class; a dry run before it must have said the same, and changed nothing."""
    retention = retention_of(house)
    before = await house.store.guests(100)
    documents = await house.store.get_many(before)
    said = (await retention.run(dry=True, **options)).counts
    assert await house.store.get_many(await house.store.guests(100)) == documents
    done = (await retention.run(dry=False, **options)).counts
    assert said == done
    again = (await retention.run(dry=False, **options)).counts
    assert not any(again.values()), again
    return {named: count for named, count in done.items() if count}


async def keys_of(house: House, known: str) -> set[str]:
    document = await house.store.get(known)
    assert document is not None
    return {entry.key for entry in document.entries}


async def observed(house: House, known: str) -> None:
    await house.preferences.patch(staff(), known, "property:dallas", {"room.quiet": True}, provenance="observed")


async def test_nothing_goes_before_its_time(house: House) -> None:
    known = await house.guest()
    await house.stay(known)
    await house.state(known, {WARMTH: 21})
    await observed(house, known)
    await house.consent(known, "food_safety")
    await house.state(known, {"food.allergens": [{"code": "peanuts"}]})

    house.clock.pass_by(364 * DAY)

    assert await run(house) == {}


async def test_what_staff_noticed_goes_after_a_year_and_from_history_too(house: House) -> None:
    known = await house.guest()
    await house.stay(known)
    await observed(house, known)
    await house.state(known, {WARMTH: 21})

    house.clock.pass_by(365 * DAY)

    assert await run(house) == {"observed": 1, "history": 1}
    assert await keys_of(house, known) == {WARMTH}
    told = [change for change in await house.store.history(known, 10) if change.keys]
    assert [(one.action.value, one.keys[0].added) for one in told if one.keys[0].key == "room.quiet"] == [
        ("retention", ()),
        ("edit", ()),
    ]
    assert [one.keys[0].added[0].key for one in told if one.keys[0].key == WARMTH] == [WARMTH]


async def test_guesses_go_after_half_a_year(house: House) -> None:
    known = await house.guest()
    guessed = Provenance(ProvenanceKind.INFERRED, "model", "", house.clock.now())

    def guess(document: Document, past: Past) -> Written:
        made = samples.put("prf_guess", True, "room.quiet")(document, past)
        entries = tuple(replace(entry, provenance=guessed) for entry in made.document.entries)
        return replace(made, document=replace(made.document, entries=entries))

    await house.store.write(known, guess)
    house.clock.pass_by(179 * DAY)
    assert "inferred" not in await run(house)
    house.clock.pass_by(DAY)
    assert (await run(house))["inferred"] == 1


async def test_what_was_said_for_a_stay_goes_a_month_after_it(house: House) -> None:
    known = await house.guest()
    stay = await house.stay(known)  # for two more days
    await house.state(known, {WARMTH: 19}, f"stay:{stay}")
    await house.state(known, {"room.quiet": True})

    house.clock.pass_by(31 * DAY)
    assert await run(house) == {}
    house.clock.pass_by(DAY)

    assert await run(house) == {"stay": 1, "history": 1}
    assert await keys_of(house, known) == {"room.quiet"}


async def test_special_data_goes_without_a_new_consent(house: House) -> None:
    known, other = await house.guest(), await house.guest("Bo")
    for one in (known, other):
        await house.consent(one, "food_safety")
        await house.state(one, {"food.allergens": [{"code": "peanuts"}]})
    house.clock.pass_by(400 * DAY)
    await house.consents.withdraw(guest(other), other, "food_safety")
    await house.consent(other, "food_safety")
    house.clock.pass_by(330 * DAY)

    found = await run(house)

    assert found["special"] >= 1
    assert await keys_of(house, known) == set()
    assert "peanuts" not in str(await house.store.history(known, 20))


async def test_special_data_goes_a_month_after_its_consent_came_to_an_end(house: House) -> None:
    """Where consents hold for less than the data would be kept; until then the guest may give it anew."""
    house.consents.terms = Terms(term=90 * DAY)
    known, other, old = [await house.guest(name) for name in ("Ana", "Bo", "Cy")]
    for one in (known, other):
        await house.consent(one, "food_safety")
    await house.store.write(old, samples.consent("food_safety"))  # from before there were receipts: it has no end
    for one in (known, other, old):
        await house.state(one, {"food.allergens": [{"code": "peanuts"}], WARMTH: 21})
    house.clock.pass_by(119 * DAY)
    await house.consent(other, "food_safety")
    assert await run(house) == {"history": 1}, "which forgets a value as soon as it may not be told"
    assert "food.allergens" in await keys_of(house, known)

    house.clock.pass_by(DAY)

    assert (await run(house))["special"] == 1
    assert await keys_of(house, known) == {WARMTH}
    assert await keys_of(house, other) == await keys_of(house, old) == {WARMTH, "food.allergens"}


async def test_withdrawn_values_go_from_history(house: House) -> None:
    known = await house.guest()
    await house.consent(known, "food_safety")
    await house.state(known, {"food.allergens": [{"code": "peanuts"}]})
    await house.consents.withdraw(guest(known), known, "food_safety")

    await run(house)

    assert "peanuts" not in str([change.keys for change in await house.store.history(known, 20)])


async def test_presses_go_with_the_stay(house: House) -> None:
    known = await house.guest()
    stay = await house.stay(known)
    await house.preferences.patch(device(), known, Scope(ScopeKind.ROOM), {WARMTH: 23})
    assert await run(house) == {}

    house.clock.pass_by(2 * DAY + timedelta(minutes=15))

    assert await run(house) == {"live": 1}
    assert await house.live(stay) == []


async def test_who_was_away_for_three_years_is_erased(house: House) -> None:
    known, lately = await house.guest(), await house.guest("Bo")
    await house.state(known, {WARMTH: 21})
    await house.stay(lately, arrival="2027-01-01T12:00:00Z", departure="2027-01-05T12:00:00Z", status="booked")

    house.clock.pass_by(1095 * DAY)
    found = await run(house)

    assert found["stated"] == 1
    assert await house.store.guests(10) == [lately]
    assert len(await house.store.tombstones()) == 1


async def test_a_run_is_taken_up_where_it_was_cut_off(house: House) -> None:
    for number in range(3):
        await house.state(await house.guest(f"Guest {number}"), {WARMTH: 21})
    guests = sorted(await house.store.guests(10))
    house.clock.pass_by(1095 * DAY)
    told: list[Report] = []

    report = await retention_of(house).run(dry=False, after=guests[1], told=told.append)

    assert (report.guests, report.after, report.counts["stated"]) == (1, guests[2], 1)
    assert told == [report]
    assert await house.store.guests(10) == guests[:2]


@pytest.mark.parametrize("days, gone", [(0, 0), (1, 1)])
async def test_answers_for_repeats_go_after_a_day(house: House, days: int, gone: int) -> None:
    known = await house.guest()
    await house.store.write(known, samples.rename("Ann"), Once("guest:x", "key", "print"))
    house.clock.pass_by(days * DAY)

    assert (await run(house)).get("answers", 0) == gone
