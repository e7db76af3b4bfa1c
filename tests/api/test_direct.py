"""The plain edit says and does what the typed route says and does; whatever is unusual is left to the typed route."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from api import direct
from tests.api.front import PROPERTY, Front

WARMTH, QUIET = "climate.temperature.occupied", "room.quiet"
PATCH = {WARMTH: {"value": 72, "unit": "[degF]", "strength": "required"}, QUIET: True}
WHOLE = json.dumps(PATCH).encode()
ENTRY = re.compile(r"prf_[0-9a-f]{32}")
KEY = {"idempotency-key": "0199d0f0-c1a2-7cc0-a4c3-f1f2b6a7d001"}

# Body, headers, query. Each is asked twice in a row.
EDITS: dict[str, tuple[bytes, dict[str, str], dict[str, str]]] = {
    "plain": (WHOLE, {}, {}),
    "at a property": (WHOLE, {}, {"scope": f"property:{PROPERTY}"}),
    "in a stay": (WHOLE, {}, {"scope": "stay:stay-@"}),
    "answered for a property": (WHOLE, {}, {"property": PROPERTY}),
    "in a language": (WHOLE, {"accept-language": "de"}, {"property": PROPERTY}),
    "if it matches": (WHOLE, {"if-match": '"2.abc"'}, {}),
    "if a weak tag matches": (WHOLE, {"if-match": 'W/"2"'}, {}),
    "whatever there is": (WHOLE, {"if-match": "*"}, {}),
    "if it matched once": (WHOLE, {"if-match": '"1.abc"'}, {}),
    "a broken tag": (WHOLE, {"if-match": "2"}, {}),
    "from a version": (WHOLE, {"preferences-base-version": "2"}, {}),
    "from an old version": (WHOLE, {"preferences-base-version": "1"}, {}),
    "from no version": (WHOLE, {"preferences-base-version": "two"}, {}),
    "once": (WHOLE, KEY, {}),
    "once, badly": (WHOLE, {"idempotency-key": "a b"}, {}),
    "not JSON": (b"{", {}, {}),
    "no object": (b"[]", {}, {}),
    "nothing": (b"", {}, {}),
    "twice the same": (b'{"room.quiet": true, "room.quiet": false}', {}, {}),
    "no such key": (b'{"no.such": 1, "room.quiet": 7}', {}, {}),
    "removal": (b'{"room.quiet": null}', {}, {}),
    "nowhere": (WHOLE, {}, {"scope": "property:nowhere"}),
    "no scope": (WHOLE, {}, {"scope": "galaxy"}),
    "a press": (WHOLE, {}, {"scope": "room"}),
    "an unknown parameter": (WHOLE, {}, {"verbose": "1"}),
    "as observed": (WHOLE, {}, {"provenance": "observed"}),
    "a foreign place": (WHOLE, {}, {"property": "nowhere"}),
}


async def furnished(front: Front, number: int) -> str:
    guest = await front.new_guest("Ana Torres")
    await front.new_stay(guest, f"stay-{number}")
    await front.prefer(guest, {WARMTH: 20})
    return guest


async def told(front: Front, guest: str, number: int, edit: str, media: str) -> list[Any]:
    """What is answered to an edit, to the same again, and what there is then; without what differs between guests."""
    content, headers, params = EDITS[edit]
    key = {"idempotency-key": headers["idempotency-key"] + str(number)} if edit == "once" else {}
    path, token = f"/v1/guests/{guest}/preferences", front.guest(guest)
    asked = {name: value.replace("@", str(number)) for name, value in params.items()}
    answers: list[Any] = []
    for _ in range(2):
        sent = {**headers, **key, "content-type": media}
        answer = await front.call("PATCH", path, token, content=content, headers=sent, params=asked)
        own = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "etag")}
        own.pop("content-length", None)
        text = ENTRY.sub("prf", answer.text.replace(guest, "gst").replace(answer.headers["x-request-id"], "id"))
        answers += [answer.status_code, own, text.replace(f"stay-{number}", "stay")]
    history = await front.ok("GET", f"/v1/guests/{guest}/history", token)
    answers.append([[key["key"] for key in change["keys"]] for change in history["changes"]])
    return answers


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Guests whose edits went the direct way."""
    seen: list[str] = []
    known = direct._asked

    def noted(scope: Any) -> Any:
        asked = known(scope)
        if asked is not None:
            seen.append(asked.guest)
        return asked

    monkeypatch.setattr(direct, "_asked", noted)
    return seen


async def test_both_ways_say_and_do_the_same(front: Front, passed: list[str]) -> None:
    await front.new_property(PROPERTY)
    went: dict[str, bool] = {}
    for number, edit in enumerate(EDITS):
        one, other = await furnished(front, 2 * number), await furnished(front, 2 * number + 1)
        passed.clear()

        straight = await told(front, one, 2 * number, edit, "application/merge-patch+json")
        typed = await told(front, other, 2 * number + 1, edit, "application/merge-patch+json; charset=utf-8")

        assert straight == typed, edit
        assert other not in passed
        went[edit] = one in passed
    left = {"whatever there is", "a broken tag", "from no version", "once, badly", "no scope", "a press", "as observed"}
    assert {edit for edit, direct_way in went.items() if not direct_way} == {*left, "an unknown parameter"}


async def test_edits_are_counted_under_their_route(front: Front) -> None:
    guest = await front.new_guest()
    await front.prefer(guest, {WARMTH: 20})

    metrics = (await front.call("GET", "/metrics")).text
    counted = 'guestprefs_requests_total{method="PATCH",route="/v1/guests/{guest}/preferences",status="200"}'

    assert counted in metrics


@pytest.mark.parametrize("role", ["", "nobody", "device", "operator"])
async def test_who_may_not_edit_hears_the_same(front: Front, role: str) -> None:
    await front.new_property(PROPERTY)
    guest = await furnished(front, 1)
    tokens = {"": None, "nobody": "a.b.c", "device": front.device(), "operator": front.operator()}
    await front.call("GET", f"/v1/guests/{guest}/preferences", tokens[role])  # a token that was seen before
    heard = [
        await front.call(
            "PATCH", f"/v1/guests/{guest}/preferences", tokens[role], content=WHOLE, headers={"content-type": media}
        )
        for media in ("application/json", "application/json; charset=utf-8")
    ]

    problems = [{**answer.json(), "request_id": ""} for answer in heard]
    assert (heard[0].status_code, problems[0]) == (heard[1].status_code, problems[1])
    assert heard[0].status_code in (401, 403)
