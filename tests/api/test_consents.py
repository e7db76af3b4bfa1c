"""Consents over HTTP: receipts to download, the offer that goes with a refusal, invitations, imports that wait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.front import Front

ALLERGENS, FOOD = "food.allergens", "food_safety"
PEANUTS = {ALLERGENS: [{"code": "peanuts"}]}


@pytest.fixture
async def guest(front: Front) -> str:
    await front.new_property()
    guest = await front.new_guest()
    await front.new_stay(guest)
    return guest


async def test_a_receipt_is_downloaded_in_each_of_its_versions(front: Front, guest: str) -> None:
    own, consent = front.guest(guest), f"/v1/guests/{guest}/consents/{FOOD}"
    missing = await front.call("GET", f"{consent}/receipt", own)
    assert missing.status_code == 404
    await front.ok("PUT", consent, own, {"language": "en", "notice_version": "1.0"})
    await front.prefer(guest, PEANUTS)
    first = await front.call("GET", f"{consent}/receipt", own)
    assert first.headers["content-disposition"] == 'attachment; filename="consent-food_safety-v1.json"'
    state = await front.ok("GET", consent, own)
    assert state["withdrawal"] == {"keys": [ALLERGENS], "entries": 1, "final": True}
    gone = await front.ok("DELETE", consent, own)
    assert (gone["erased"]["keys"], gone["erased"]["receipt"]) == ([ALLERGENS], 2)
    second = await front.ok("GET", f"{consent}/receipt", own)
    assert (second["version"], second["event"]["status"], second["event"]["erased_keys"]) == (2, "withdrawn", 1)
    assert await front.ok("GET", f"{consent}/receipt", own, params={"version": 1}) == first.json()


@pytest.mark.parametrize(
    ("body", "pointer", "fix"),
    [
        ({"notice_version": "0.1"}, "/notice_version", "1.0"),
        ({"method": "paper"}, "/method", "app"),
        ({"methods": "app"}, "/methods", "not a field"),
        ({"language": "English!"}, "/language", ""),
    ],
)
async def test_what_is_wrong_with_a_consent_is_named(
    front: Front, guest: str, body: dict[str, Any], pointer: str, fix: str
) -> None:
    refused = await front.call("PUT", f"/v1/guests/{guest}/consents/{FOOD}", front.guest(guest), body)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["pointer"] == pointer and fix in error["detail"]


async def test_a_refusal_offers_staff_the_call_that_invites_the_guest(front: Front, guest: str) -> None:
    desk, own = front.staff(), front.guest(guest)
    path = f"/v1/guests/{guest}/preferences"
    refused = await front.call("PATCH", path, desk, PEANUTS, params={"scope": "stay:stay-1"})
    assert (refused.status_code, refused.json()["code"]) == (422, "CONSENT_REQUIRED")
    (offer,) = refused.json()["invitations"]
    assert offer["body"] == {"purpose": FOOD, "keys": [ALLERGENS]}
    assert "invitations" not in (await front.call("PATCH", path, own, PEANUTS)).json()
    made = await front.ok(offer["method"], offer["href"], desk, offer["body"])
    (seen,) = (await front.ok("GET", offer["href"], own))["invitations"]
    assert seen == made
    await front.ok("PUT", f"{offer['href']}/{made['id']}/answer", own, {"answer": "accept"})
    again = await front.call("PUT", f"{offer['href']}/{made['id']}/answer", own, {"answer": "accept"})
    assert again.status_code == 409
    await front.ok("PATCH", path, desk, PEANUTS, params={"scope": "stay:stay-1"})
    absent = await front.call("PUT", f"{offer['href']}/inv_{'0' * 32}/answer", own, {"answer": "accept"})
    assert absent.status_code == 404


async def test_imports_wait_where_nobody_reads_them(front: Front, guest: str) -> None:
    pms, own = front.service(), front.guest(guest)
    told = await front.ok("PATCH", f"/v1/guests/{guest}/preferences", pms, {**PEANUTS, "room.quiet": True})
    assert (told["waiting_for_consent"], list(told["preferences"])) == ([ALLERGENS], ["room.quiet"])
    readers = [own, front.guest(guest, "kiosk"), pms, front.operator(), *map(front.staff, ("food", "front_desk"))]
    for path in ("", "/history", "/preferences", "/consents", "/quarantine", "/consent-invitations"):
        for token in readers:
            answer = await front.call("GET", f"/v1/guests/{guest}{path}", token)
            shown = "peanut" in answer.text
            assert shown is (path == "/quarantine" and token == own), path
    given = await front.ok("PUT", f"/v1/guests/{guest}/consents/{FOOD}", own)
    assert given["imported"] == {"keys": [ALLERGENS], "dropped": []}
    assert "peanut" in str(await front.read(guest, front.staff("food"))).lower()
