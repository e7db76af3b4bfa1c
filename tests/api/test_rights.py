"""A guest takes everything along, and has everything erased: over HTTP, on every kind of store."""

from __future__ import annotations

import hashlib
from typing import Any

import jsonschema_rs
import pytest

from prefs.bootstrap import ReceiptInvalid, verify_receipt
from prefs.core.erasure import RECEIPT_TYPE
from tests.api.front import PROPERTY, Front

WARMTH = "climate.temperature.occupied"


@pytest.fixture
async def ana(front: Front) -> str:
    """A guest with something in every place there is."""
    guest = await front.new_guest(identifiers=[{"system": "loyalty", "id": "881234567"}])
    await front.new_property(capabilities={"thermostat.setpoint": {"min": 18, "max": 26, "step": 0.5, "unit": "Cel"}})
    await front.new_stay(guest)
    await front.ok("PUT", f"/v1/guests/{guest}/consents/food_safety", front.guest(guest))
    own = {"idempotency-key": "ana-1"}
    path = f"/v1/guests/{guest}/preferences"
    await front.ok("PATCH", path, front.guest(guest), {WARMTH: 20.5}, headers=own)
    seen = {"scope": f"property:{PROPERTY}", "provenance": "observed"}
    await front.ok("PATCH", path, front.staff("housekeeping"), {"room.quiet": True}, params=seen)
    await front.ok("PATCH", path, front.service(), {"room.floor_level": "high"})
    await front.ok("PATCH", path, front.device(), {WARMTH: 22}, params={"scope": "room"})
    return guest


async def test_the_export_holds_everything_apart(front: Front, ana: str) -> None:
    answer = await front.call("GET", f"/v1/guests/{ana}/export", front.guest(ana))

    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    schema = await front.ok("GET", told["$schema"])
    jsonschema_rs.validator_for(schema).validate(told)
    assert schema["$id"] == told["$schema"]
    found = {group: [one["key"] for one in entries] for group, entries in told["preferences"].items()}
    assert found == {"stated": [WARMTH], "observed": ["room.quiet"], "imported": ["room.floor_level"], "inferred": []}
    assert [one["provenance"]["kind"] for one in told["preferences"]["observed"]] == ["observed"]
    assert [one["stay"] for one in told["live"]] == ["stay-1"]
    assert [one["purpose"] for one in told["consents"]] == ["food_safety"]
    assert [one["id"] for one in told["stays"]] == ["stay-1"]
    assert [one["version"] for one in told["history"]] == list(range(told["version"], 0, -1))
    assert told["access_log"] == []


async def test_a_long_history_is_exported_whole(front: Front) -> None:
    guest = await front.new_guest()
    for number in range(230):
        await front.prefer(guest, {WARMTH: 18 + number % 9})

    told = await front.ok("GET", f"/v1/guests/{guest}/export", front.guest(guest))

    assert [one["version"] for one in told["history"]] == list(range(told["version"], 0, -1))


async def test_only_the_guest_and_who_acts_for_them_may_export_and_erase(front: Front, ana: str) -> None:
    other = await front.new_guest("Bo")
    for method, path in (("GET", f"/v1/guests/{ana}/export"), ("DELETE", f"/v1/guests/{ana}")):
        for token, status in (
            (front.guest(other), 404),
            (front.staff(), 403),
            (front.device(), 403),
            (front.token("service", "front_desk", "x"), 404),
            (front.token("guest", "guest_app", ana, stay="stay-1"), 403),
        ):
            answer = await front.call(method, path, token)
            assert answer.status_code == status, (method, answer.text)
    assert (await front.call("GET", f"/v1/guests/{ana}/export", front.service())).status_code == 200


async def erase(front: Front, guest: str, token: str | None = None, key: str = "") -> Any:
    headers = {"idempotency-key": key} if key else {}
    return await front.call("DELETE", f"/v1/guests/{guest}", token or front.guest(guest), headers=headers)


async def test_erasing_counts_every_place_and_leaves_nobody(front: Front, ana: str) -> None:
    answer = await erase(front, ana)

    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    counts = {"guest": 1, "identifier": 1, "consent": 1, "stay": 1, "live": 1, "entry": 3, "change": 5}
    assert {place: receipt["places"][place] for place in counts} == counts
    assert receipt["places"]["idempotency"] == 1
    assert receipt["copies"]["everywhere"] is True
    assert receipt["subject"] == "sha256:" + hashlib.sha256(f"{receipt['receipt']}|{ana}".encode()).hexdigest()
    for path in ("", "/preferences", "/export", "/history"):
        for token in (front.guest(ana), front.service()):
            assert (await front.call("GET", f"/v1/guests/{ana}{path}", token)).status_code == 404
    found = await front.call("GET", "/v1/guests", front.service(), params={"system": "loyalty", "id": "881234567"})
    assert found.status_code == 404
    edited = await front.call("PATCH", f"/v1/guests/{ana}/preferences", front.guest(ana), {WARMTH: 20})
    assert edited.status_code == 404
    assert (await front.call("GET", "/v1/stays/stay-1", front.service())).status_code == 404


async def test_a_second_erasure_has_nothing_left(front: Front, ana: str) -> None:
    assert (await erase(front, ana, key="one")).status_code == 200
    again = await erase(front, ana)
    assert (again.status_code, again.content) == (204, b"")
    assert (await erase(front, ana, key="two")).status_code == 204
    assert (await erase(front, ana, front.service())).status_code == 204
    never = "gst_" + "1" * 32
    assert (await erase(front, never, front.guest(never))).status_code == 404


async def test_the_same_request_is_told_its_receipt_again(front: Front, ana: str) -> None:
    first = await erase(front, ana, key="once")
    again = await erase(front, ana, key="once")

    assert again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_key_of_another_request_is_refused(front: Front, ana: str) -> None:
    answer = await erase(front, ana, key="ana-1")

    assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await front.call("GET", f"/v1/guests/{ana}", front.guest(ana))).status_code == 200


async def test_a_receipt_is_verified_with_the_published_keys(front: Front, ana: str) -> None:
    receipt = (await erase(front, ana)).json()
    keys = await front.ok("GET", "/receipts/keys")

    assert "d" not in keys["keys"][0] and "tombstones" not in str(keys)
    said = verify_receipt(receipt["signed"], keys, RECEIPT_TYPE)
    assert said == {name: value for name, value in receipt.items() if name != "signed"}
    head, payload, signature = receipt["signed"].split(".")
    for planted in (f"{head}.{payload[:-2]}AA.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA"):
        with pytest.raises(ReceiptInvalid):
            verify_receipt(planted, keys, RECEIPT_TYPE)
    with pytest.raises(ReceiptInvalid, match="kind"):
        verify_receipt(receipt["signed"], keys, "another+jws")


async def test_an_identifier_is_free_again_and_names_another_guest(front: Front, ana: str) -> None:
    await erase(front, ana)

    anew = await front.new_guest(identifiers=[{"system": "loyalty", "id": "881234567"}])

    assert anew != ana
    told = await front.ok("GET", f"/v1/guests/{anew}/export", front.guest(anew))
    assert told["preferences"]["stated"] == []


async def entry_of(front: Front, guest: str, group: str) -> dict[str, Any]:
    told = await front.ok("GET", f"/v1/guests/{guest}/export", front.guest(guest))
    found: dict[str, Any] = told["preferences"][group][0]
    return found


async def test_a_guest_takes_an_observation_away_and_rectifies_another(front: Front, ana: str) -> None:
    seen = await entry_of(front, ana, "observed")
    path = f"/v1/guests/{ana}/entries/{seen['id']}"

    assert (await front.call("DELETE", path, front.service())).status_code == 403
    stale = await front.call("DELETE", path, front.guest(ana), headers={"if-match": '"1"'})
    assert stale.status_code == 412
    gone = await front.call("DELETE", path, front.guest(ana), headers={"idempotency-key": "gone"})
    assert gone.status_code == 200
    assert (gone.json()["entry"], gone.json()["key"]) == (seen["id"], "room.quiet")
    repeated = await front.call("DELETE", path, front.guest(ana), headers={"idempotency-key": "gone"})
    assert repeated.json() == gone.json()
    assert (await front.call("DELETE", path, front.guest(ana))).status_code == 404
    desk = (await front.read(ana, front.staff()))["preferences"]
    assert "room.quiet" not in desk and "room.floor_level" in desk

    told = await entry_of(front, ana, "imported")
    await front.prefer(ana, {told["key"]: "ground"})
    assert (await front.read(ana))["preferences"][told["key"]]["value"] == "ground"


async def test_staff_take_away_what_staff_wrote(front: Front, ana: str) -> None:
    seen, said = await entry_of(front, ana, "observed"), await entry_of(front, ana, "stated")
    desk = front.staff("front_desk")
    refused = await front.call("DELETE", f"/v1/guests/{ana}/entries/{said['id']}", desk)
    assert refused.status_code in (403, 404)
    assert (await front.call("DELETE", f"/v1/guests/{ana}/entries/{seen['id']}", desk)).status_code == 200


async def test_who_objects_is_neither_noticed_nor_guessed_about(front: Front, ana: str) -> None:
    path, own = f"/v1/guests/{ana}/personalisation", front.guest(ana)
    assert (await front.ok("GET", path, own))["enabled"] is True
    assert (await front.read(ana, front.staff()))["preferences"]["room.quiet"]["value"] is True

    assert (await front.ok("PUT", path, own, {"enabled": False}))["enabled"] is False

    desk = (await front.read(ana, front.staff(), explain=1))["preferences"]
    assert desk["room.floor_level"]["value"] == "high", "what was stated or imported still works"
    assert "room.quiet" not in desk
    why = (await front.read(ana, own, property=PROPERTY, keys="room.quiet", explain=1))["preferences"]["room.quiet"]
    assert [one["code"] for one in why["considered"]] == ["PERSONALISATION_OFF"], why
    seen = {"scope": f"property:{PROPERTY}", "provenance": "observed"}
    noted = await front.call("PATCH", f"/v1/guests/{ana}/preferences", front.staff(), {"room.quiet": True}, params=seen)
    assert (noted.status_code, noted.json()["code"]) == (403, "NOT_ALLOWED")
    again = await front.ok("PUT", path, own, {"enabled": False})
    assert again == await front.ok("GET", path, own)

    assert (await front.ok("PUT", path, own, {"enabled": True}))["enabled"] is True
    assert (await front.read(ana, front.staff()))["preferences"]["room.quiet"]["value"] is True
