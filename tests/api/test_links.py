"""Stay links: a guest without an account gets in once, for one stay alone, and is out when it is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from prefs.core.enrolment import StayLink
from tests.api.front import PROPERTY, Front

STAY = "stay-1"
LINKS = f"/v1/stays/{STAY}/links"
TEMPERATURE = {"climate.temperature.occupied": 21}


@pytest.fixture
def kind() -> str:
    return "sqlite"  # one with tiers, so that the hot read takes part; engines are told apart in tests/store


@pytest.fixture
async def guest(front: Front) -> str:
    await front.new_property(PROPERTY)
    guest = await front.new_guest()
    await front.new_stay(guest, STAY)
    await front.prefer(guest, TEMPERATURE)
    return guest


async def link(front: Front, **by: Any) -> dict[str, Any]:
    made: dict[str, Any] = await front.ok("POST", LINKS, by.get("token") or front.staff())
    return made


async def enter(front: Front, code: str) -> Any:
    return await front.call("POST", "/oauth/stay_link", json={"code": code})


async def token_by_link(front: Front) -> str:
    answer = await enter(front, (await link(front))["code"])
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def test_a_link_lets_its_guest_in(front: Front, guest: str) -> None:
    made = await link(front)
    answer = await enter(front, made["code"])
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (told["guest"], told["stay"], told["property"], told["token_type"]) == (guest, STAY, PROPERTY, "Bearer")
    assert told["expires_in"] == timedelta(days=3).total_seconds()  # until the departure
    found = await front.read(guest, told["access_token"], property=PROPERTY)
    assert found["preferences"]["climate.temperature.occupied"]["value"] == 21


async def test_a_link_is_used_up(front: Front, guest: str) -> None:
    made = await link(front)
    assert (await enter(front, made["code"])).status_code == 200
    again = await enter(front, made["code"])
    assert (again.status_code, again.json()["code"]) == (409, "LINK_USED")
    assert "new one" in again.json()["detail"]
    other = await link(front)
    told = await asyncio.gather(*(enter(front, other["code"]) for _ in range(5)))
    assert sorted(answer.status_code for answer in told) == [200, 409, 409, 409, 409]


async def test_a_link_that_forgets_its_use_would_be_found(
    front: Front, guest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: what says that a link was used is not kept."""
    stored = StayLink.stored
    monkeypatch.setattr(
        StayLink,
        "stored",
        lambda self, *given: stored(type(self)(**(stored(self, *given).body | {"used_at": 0})), *given),
    )
    made = await link(front)
    told = [(await enter(front, made["code"])).status_code for _ in range(2)]
    assert told == [200, 200]


async def test_codes_that_let_nobody_in(front: Front, guest: str) -> None:
    code = (await link(front))["code"]
    for wrong in ("x", code[:-1], code + "x", code.partition(".")[0], f"{code.partition('.')[0]}.", "lnk_0.x"):
        assert (await enter(front, wrong)).status_code == 404, wrong
    assert (await enter(front, "")).status_code == 422
    assert (await enter(front, code)).status_code == 200


async def test_who_may_make_one(front: Front, guest: str) -> None:
    expected = {
        front.staff(): 201,
        front.service(): 201,
        front.operator(): 201,
        front.staff("housekeeping"): 403,
        front.staff(property="cleveland"): 404,
        front.device(): 403,
        front.guest(guest): 403,
        front.token("service", "front_desk", "pms"): 404,
    }
    found = {token: (await front.call("POST", LINKS, token)).status_code for token in expected}
    assert found == expected
    assert (await front.call("POST", "/v1/stays/nowhere/links", front.service())).status_code == 404


async def test_such_a_guest_stays_within_the_stay(front: Front, guest: str) -> None:
    token = await token_by_link(front)
    path = f"/v1/guests/{guest}/preferences"
    assert (await front.call("PATCH", path, token, TEMPERATURE, params={"scope": f"stay:{STAY}"})).status_code == 200
    for scope in ("profile", f"property:{PROPERTY}", "stay:another"):
        answer = await front.call("PATCH", path, token, TEMPERATURE, params={"scope": scope})
        assert answer.status_code in (403, 404, 422), (scope, answer.text)
    assert (await front.call("GET", f"/v1/guests/{guest}/history", token)).status_code == 403
    stranger = await front.new_guest("Bo Ek")
    assert (await front.call("GET", f"/v1/guests/{stranger}/preferences", token)).status_code == 404
    await front.new_property("cleveland")
    assert (await front.call("GET", path, token, params={"property": "cleveland"})).status_code == 404
    await front.prefer(guest, {"climate.temperature.occupied": 27.5}, "property:cleveland")
    for who, told in ((token, False), (front.guest(guest), True)):
        answer = await front.read(guest, who, property=PROPERTY, explain=True)
        assert ("27.5" in str(answer["preferences"])) is told, answer


@pytest.mark.parametrize("how", ["departure", "left early", "cancelled", "a shorter stay"])
async def test_checkout_ends_it_at_once(front: Front, guest: str, how: str) -> None:
    token, waiting = await token_by_link(front), await link(front)
    path = f"/v1/guests/{guest}/preferences"
    for _ in range(2):  # the second is answered from what lies ready
        assert (await front.call("GET", path, token)).status_code == 200
    now = front.clock.now()
    match how:
        case "departure":
            front.clock.pass_by(timedelta(days=3, minutes=1))
        case "left early":
            await front.new_stay(guest, STAY, status="checked_out")
        case "cancelled":
            await front.new_stay(guest, STAY, status="cancelled")
        case "a shorter stay":
            await front.new_stay(guest, STAY, departure=(now + timedelta(minutes=1)).isoformat())
            front.clock.pass_by(timedelta(minutes=2))
    assert (await front.call("GET", path, token)).status_code in (401, 404)
    assert (await enter(front, waiting["code"])).status_code == 404
    assert (await front.call("POST", LINKS, front.service())).status_code == 404


async def test_a_link_can_be_taken_back_before_and_after_its_use(front: Front, guest: str) -> None:
    path = f"/v1/guests/{guest}/preferences"
    unused, used = await link(front), await link(front)
    token = (await enter(front, used["code"])).json()["access_token"]
    for _ in range(2):
        assert (await front.call("GET", path, token)).status_code == 200
    for made in (unused, used):
        foreign = await front.call("DELETE", f"{LINKS}/{made['link']}", front.staff(property="cleveland"))
        assert foreign.status_code == 404
        assert (await front.call("DELETE", f"{LINKS}/{made['link']}", front.staff())).status_code == 204
        assert (await front.call("DELETE", f"{LINKS}/{made['link']}", front.staff())).status_code == 404
    assert (await enter(front, unused["code"])).status_code == 404
    assert (await front.call("GET", path, token)).status_code == 401
