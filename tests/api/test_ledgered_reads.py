"""Nothing of special-category data is told before it is on record who sees it; what cannot be recorded is withheld, and
all else is told. The guest reads the records, without a name of staff."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefs.core.accesses import Access
from prefs.ledger.checkpoints import Slot, chains_in, lines_of
from prefs.services.witness import Witness
from prefs.settings import Settings
from tests.api.conftest import StandingClock, opened
from tests.api.front import PROPERTY, Front

ALLERGENS, BREAKFAST, HEARING = "food.allergens", "breakfast.style", "access.hearing_communication"
PEANUTS = [{"code": "peanuts"}]
WITHHELD = "withheld_no_record"
FLAGS = "/ofrep/v1/evaluate/flags"


async def records(front: Front, act: str = "read") -> list[Access]:
    """What is on record, oldest first."""
    found = [one.access for one in await front.house.witness.ledger.listed(20_000)]
    return [one for one in reversed(found) if one.act.startswith(act)]


async def new_ana(front: Front) -> str:
    """In house at Dallas, with an allergy that the kitchen may know and a need that a kiosk may."""
    await front.new_property()
    guest = await front.new_guest()
    await front.new_stay(guest)
    for purpose in ("food_safety", "service_delivery", "ui_adaptation"):
        await front.ok("PUT", f"/v1/guests/{guest}/consents/{purpose}", front.guest(guest))
    await front.prefer(
        guest, {ALLERGENS: PEANUTS, BREAKFAST: {"style": "continental"}, HEARING: [{"type": "hearing_loop"}]}
    )
    return guest


@pytest.fixture
async def ana(front: Front) -> str:
    return await new_ana(front)


def path(guest: str) -> str:
    return f"/v1/guests/{guest}/preferences"


async def test_a_read_by_staff_is_on_record_and_a_guests_own_is_not(front: Front, ana: str) -> None:
    await front.read(ana)
    await front.read(ana, front.device())
    assert await records(front) == []

    answer = await front.call("GET", path(ana), front.staff("food"), headers={"x-request-id": "kitchen-1"})
    assert answer.json()["preferences"][ALLERGENS]["action"]
    (one,) = await records(front)
    assert (one.actor, one.role, one.surface, one.property) == ("staff-food", "staff", "food", PROPERTY)
    assert (one.guest, one.act, one.outcome, one.request) == (ana, "read", "shown", "kitchen-1")
    assert (one.keys, one.purposes, one.version) == ((ALLERGENS,), ("food_safety",), answer.json()["version"])
    assert "peanut" not in str(one)


async def test_a_read_that_lies_ready_is_on_record_and_so_is_not_modified(front: Front, ana: str) -> None:
    kitchen = front.staff("food")
    first = await front.call("GET", path(ana), kitchen)
    again = await front.call("GET", path(ana), kitchen)
    known = {"if-none-match": again.headers["etag"]}
    same = await front.call("GET", path(ana), kitchen, headers=known)
    assert (first.status_code, again.status_code, same.status_code) == (200, 200, 304)
    assert len(await records(front)) == 3
    assert len({one.request for one in await records(front)}) == 3


async def test_a_batch_is_a_record_a_guest_made_or_lying_ready(front: Front, ana: str) -> None:
    ben = await front.new_guest("Ben")
    await front.new_stay(ben, "stay-2")
    body = {"guests": [ana, ben], "property": PROPERTY}
    for count in (1, 2):
        await front.ok("POST", "/v1/preferences/batch", front.staff("food"), body)
        assert [one.guest for one in await records(front)] == [ana] * count


async def test_a_batch_is_one_append_whatever_of_it_lies_ready(front: Front, ana: str, settings: Settings) -> None:
    if front.house.tiers is None:
        pytest.skip("only where answers lie ready")
    ben = await front.new_guest("Ben")
    await front.new_stay(ben, "stay-2")
    await front.ok("PUT", f"/v1/guests/{ben}/consents/food_safety", front.guest(ben))
    await front.prefer(ben, {ALLERGENS: PEANUTS})
    folder = settings.ledger_checkpoints
    kitchen = front.staff("food")
    await front.ok("POST", "/v1/preferences/batch", kitchen, {"guests": [ana], "property": PROPERTY})
    (writer,) = chains_in(folder)
    before = lines_of(folder, writer)
    await front.ok("POST", "/v1/preferences/batch", kitchen, {"guests": [ana, ben], "property": PROPERTY})
    after = lines_of(folder, writer)[len(before) :]
    assert [line.seq - before[-1].seq for line in after] == [2]  # one checkpoint, over both


async def test_documents_history_and_answers_of_writes_are_on_record(front: Front, ana: str) -> None:
    kiosk = front.device("kiosk")
    shown = await front.ok("GET", f"/v1/guests/{ana}", kiosk)
    assert shown["entries"]["profile"][HEARING][0]["value"]
    assert [(one.surface, one.keys) for one in await records(front)] == [("kiosk", (HEARING,))]

    integration = front.token("service", "guest_app", "crm", permissions=["guests.all"])
    await front.ok("GET", f"/v1/guests/{ana}/history", integration)
    await front.ok("PATCH", f"/v1/guests/{ana}", integration, {"display_name": "Ana T."})
    await front.ok("PATCH", path(ana), integration, {ALLERGENS: [{"code": "milk"}]})
    seen = (await records(front))[1:]
    assert [(one.role, set(one.keys)) for one in seen] == [
        ("service", {ALLERGENS, HEARING}),
        ("service", {ALLERGENS, HEARING}),
        ("service", {ALLERGENS}),
    ]


async def test_a_write_that_is_repeated_is_on_record_each_time_it_is_answered(front: Front, ana: str) -> None:
    integration = front.token("service", "guest_app", "crm", permissions=["guests.all"])
    for count in (1, 2):
        await front.ok(
            "PATCH", path(ana), integration, {ALLERGENS: [{"code": "milk"}]}, headers={"idempotency-key": "once"}
        )
        assert len(await records(front)) == count


async def test_administrative_acts_are_on_record_as_begun_and_as_ended(front: Front, ana: str) -> None:
    await front.call("DELETE", f"/v1/properties/{PROPERTY}", front.operator())
    acts = [(one.act, one.outcome, one.actor, one.property) for one in await records(front, "property")]
    assert acts == [
        ("property.put", "begun", "ops", PROPERTY),
        ("property.put", "done", "ops", PROPERTY),
        ("property.delete", "begun", "ops", PROPERTY),
        ("property.delete", "refused", "ops", PROPERTY),
    ]
    await front.ok("DELETE", f"/v1/guests/{ana}/consents/food_safety", front.service())
    acts = [(one.act, one.outcome, one.guest) for one in await records(front, "consent")]
    assert acts == [("consent.withdraw", "begun", ana), ("consent.withdraw", "done", ana)]


# ---- what cannot be recorded ----


@pytest.fixture
def full(front: Front, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The disk of the second place takes nothing more, once `fill` is called."""
    if front.house.store.__class__.__name__ == "MemoryStore":
        pytest.skip("a ledger in memory never fails")
    with monkeypatch.context() as patched:
        yield patched


def fill(full: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    full.setattr(Slot, "write", refuse)


async def leaks(front: Front, ana: str, full: pytest.MonkeyPatch) -> list[str]:
    """Ways in that told of an allergy or a need while nothing could be recorded."""
    kitchen, kiosk = front.staff("food"), front.device("kiosk")
    crm = front.token("service", "guest_app", "crm", permissions=["guests.all"])
    many = {"guests": [ana], "property": PROPERTY}
    ready = await front.call("GET", path(ana), kitchen)  # lies ready from now on, and so does the batch
    await front.ok("POST", "/v1/preferences/batch", kitchen, many)
    known = {"if-none-match": ready.headers["etag"]}
    whose = {"context": {"targetingKey": ana}}
    same = {"if-none-match": (await front.call("POST", FLAGS, kitchen, whose)).headers["etag"]}
    fill(full)
    asked = {
        "ready": await front.call("GET", path(ana), kitchen),
        "not modified": await front.call("GET", path(ana), kitchen, headers=known),
        "batch": await front.call("POST", "/v1/preferences/batch", kitchen, many),
        "made": await front.call("GET", path(ana), kitchen, params={"trip": "business"}),
        "flags": await front.call("POST", FLAGS, kitchen, whose),
        "flags not modified": await front.call("POST", FLAGS, kitchen, whose, headers=same),
        "flag": await front.call("POST", f"{FLAGS}/{ALLERGENS}", kitchen, whose),
        "document": await front.call("GET", f"/v1/guests/{ana}", kiosk),
        "history": await front.call("GET", f"/v1/guests/{ana}/history", crm),
        "write": await front.call("PATCH", path(ana), crm, {ALLERGENS: [{"code": "milk"}]}),
    }
    assert [name for name, answer in asked.items() if answer.status_code not in (200, 304)] == []
    own = await front.read(ana)  # the guest needs no record
    assert own["preferences"][ALLERGENS]["value"]
    words = ("eanut", "ilk", "hearing_loop", "earing loop")
    told = {name: answer.status_code == 304 or any(w in answer.text for w in words) for name, answer in asked.items()}
    withheld = [name for name, answer in asked.items() if WITHHELD in answer.text]
    assert sorted([*withheld, *(name for name, leaked in told.items() if leaked)]) == sorted(asked)
    if not told["ready"]:
        kept = asked["ready"].json()["preferences"]
        assert kept[ALLERGENS] == {"action": None, "status": WITHHELD}
        assert kept[BREAKFAST]["action"]  # all else is told
    full.undo()
    again = await front.read(ana, kitchen)
    assert again["preferences"][ALLERGENS]["action"]
    return [name for name, leaked in told.items() if leaked]


async def test_what_cannot_be_recorded_is_withheld_and_all_else_is_told(
    front: Front, ana: str, full: pytest.MonkeyPatch
) -> None:
    assert await leaks(front, ana, full) == []


async def test_answering_before_the_record_is_caught(front: Front, ana: str, full: pytest.MonkeyPatch) -> None:
    async def anyway(*_: object, **__: object) -> bool:
        return True

    full.setattr(Witness, "saw", anyway)
    assert len(await leaks(front, ana, full)) == 10


async def test_an_act_that_cannot_be_recorded_is_not_done(front: Front, full: pytest.MonkeyPatch) -> None:
    fill(full)
    body = {"name": "Dallas", "time_zone": "UTC"}
    refused = await front.call("PUT", f"/v1/properties/{PROPERTY}", front.operator(), body)
    assert (refused.status_code, refused.json()["code"]) == (503, "LEDGER_UNAVAILABLE")
    assert (await front.call("GET", f"/v1/properties/{PROPERTY}", front.operator())).status_code == 404


# ---- as many records as reads ----


async def reconciled(front: Front, ana: str, reads: int) -> tuple[int, int]:
    kitchen, given = front.staff("food"), 0
    for number in range(reads):
        headers = {"x-request-id": f"read-{number}"}
        answer = await front.call(
            "GET", path(ana), kitchen, headers=headers, params={"trip": "business"} if number % 7 == 0 else {}
        )
        given += bool(answer.json()["preferences"][ALLERGENS]["action"])
    kept = {one.request for one in await records(front)}
    assert kept == {f"read-{number}" for number in range(reads)}
    return given, len(await records(front))


async def test_there_are_as_many_records_as_reads(front: Front, ana: str) -> None:
    assert await reconciled(front, ana, 100) == (100, 100)


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_there_are_ten_thousand_records_of_ten_thousand_reads(settings: Settings, clock: StandingClock) -> None:
    """More than a member of staff may ask in that time, so nothing counts them here."""
    async with opened(settings.model_copy(update={"caller_rate": 0, "property_rate": 0}), clock) as front:
        assert await reconciled(front, await new_ana(front), 10_000) == (10_000, 10_000)


# ---- what the guest is told ----


async def test_the_guest_reads_who_saw_it_newest_first(front: Front, ana: str) -> None:
    log = f"/v1/guests/{ana}/access-log"
    assert await front.ok("GET", log, front.guest(ana)) == {"accesses": [], "next_cursor": None}

    for surface in ("food", "housekeeping", "food"):
        await front.read(ana, front.staff(surface))
    page = await front.ok("GET", log, front.guest(ana), params={"limit": 2})
    rest = await front.ok("GET", log, front.guest(ana), params={"limit": 2, "cursor": page["next_cursor"]})
    assert [one["surface"] for one in page["accesses"]] == ["food", "housekeeping"]
    assert [one["surface"] for one in rest["accesses"]] == ["food"] and rest["next_cursor"] is None
    assert page["accesses"][0] == {
        "at": "2026-07-01T12:00:00Z",
        "act": "read",
        "outcome": "shown",
        "who": {"role": "staff", "property": PROPERTY},
        "surface": "food",
        "purposes": ["food_safety"],
        "keys": [{"key": ALLERGENS, "label": page["accesses"][0]["keys"][0]["label"]}],
        "version": page["accesses"][0]["version"],
    }
    assert page["accesses"][0]["keys"][0]["label"] != ALLERGENS
    assert "staff-food" not in str(page)
    thai = await front.ok("GET", log, front.guest(ana), headers={"accept-language": "th"})
    assert thai["accesses"][0]["keys"][0]["label"] != page["accesses"][0]["keys"][0]["label"]


async def test_nobody_else_reads_it(front: Front, ana: str) -> None:
    log = f"/v1/guests/{ana}/access-log"
    ben = await front.new_guest("Ben")
    for token in (front.staff(), front.device(), front.service(), front.operator()):
        assert (await front.call("GET", log, token)).status_code == 403
    foreign = await front.call("GET", log, front.guest(ben))
    absent = await front.call("GET", "/v1/guests/gst_" + "1" * 32 + "/access-log", front.guest(ben))
    assert foreign.status_code == absent.status_code == 404
    assert {**foreign.json(), "request_id": ""} == {**absent.json(), "request_id": ""}
    refused = await front.call("GET", log, front.guest(ana), params={"cursor": "nonsense"})
    assert refused.status_code == 422
