"""What endpoints are told: signed, thin, in order, until it is taken; by one process at a time, whatever dies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from prefs.core import webhooks
from prefs.core.callers import Caller, Role
from prefs.core.changes import Cursor
from prefs.core.webhooks import SECRET_PREFIX, Attempt, Delivery, State, back_off_s
from prefs.services import deliveries, messages
from prefs.services.deliveries import Telling
from tests.courier.conftest import OPERATOR, Grounds, entries, told
from tests.receiver import Receiver, statuses
from tests.store.samples import NOW

DAY = timedelta(days=1)
QUIET, WARMTH, ALLERGENS = "room.quiet", "climate.temperature.occupied", "food.allergens"
ON = {"mode": "on", "language": "en"}


# ---------------------------------------------------------------- signed


async def test_the_library_of_receivers_verifies_what_is_sent(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    secret = await grounds.endpoint(house, receiver)
    ana = await grounds.guest(house)
    await grounds.state(house, ana, room__quiet=True)
    await told(house)
    assert receiver.types == ["guest.changed", "guest.changed"]
    for one in receiver.received:
        assert one.verified(secret)["data"]["guest"] == ana
        assert one.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        receiver.received[0].verified(SECRET_PREFIX + "b3RoZXI=")


async def test_two_secrets_sign_during_a_rotation_and_one_after_it(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    old = await grounds.endpoint(house, receiver)
    new = str((await house.webhooks.rotate(OPERATOR, "pms")).body["secret"])
    assert old != new
    assert (await house.webhooks.ping(OPERATOR, "pms")).body["taken"] is True
    (ping,) = receiver.received
    assert ping.verified(old) == ping.verified(new)
    endpoint = await house.store.webhooks.get("pms")
    assert endpoint is not None
    sent = webhooks.headers(endpoint, ping.id, grounds.clock.now() + DAY, ping.body)
    assert len(sent["webhook-signature"].split()) == 1
    for shown in (await house.webhooks.get(OPERATOR, "pms"), await house.webhooks.list(OPERATOR)):
        assert SECRET_PREFIX not in json.dumps(shown.body)


def over_the_body_alone(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    return SIGNATURE(keys, "", timestamp, body)


def over_other_bytes(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    return SIGNATURE(keys, id, timestamp, json.dumps(json.loads(body)).encode())


def over_milliseconds(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    return SIGNATURE(keys, id, timestamp * 1000, body)


SIGNATURE = webhooks.signature


@pytest.mark.parametrize("planted", [over_the_body_alone, over_other_bytes, over_milliseconds])
async def test_a_signature_over_the_wrong_bytes_is_noticed(
    grounds: Grounds, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, planted: Any
) -> None:
    house = await grounds.process()
    secret = await grounds.endpoint(house, receiver)
    monkeypatch.setattr(webhooks, "signature", planted)
    await house.webhooks.ping(OPERATOR, "pms")
    with pytest.raises(WebhookVerificationError):
        receiver.received[0].verified(secret)


# ---------------------------------------------------------------- thin


async def test_a_message_names_who_and_which_keys_and_no_value(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver)
    ana = await grounds.guest(house)
    await grounds.state(house, ana, climate__temperature__occupied=21.5, room__quiet=True)
    await told(house)
    last = receiver.received[-1]
    assert last.told.keys() == {"type", "timestamp", "data"}
    assert last.data.keys() == {"guest", "subject", "version", "surface", "keys"}
    assert (last.data["guest"], last.data["version"], last.data["surface"]) == (ana, 2, "front_desk")
    definitions = await house.definitions.current()
    listed = {key for key in (WARMTH, QUIET) if (one := definitions.get(key)) and "front_desk" in one.surfaces}
    assert set(last.data["keys"]) == listed
    assert b"21.5" not in last.body and b"2150" not in last.body


async def test_a_surface_is_not_told_what_is_none_of_its_business(grounds: Grounds, receiver: Receiver) -> None:
    """Not the name of the key, not that there was a change, not that there is a consent."""
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "thermostat", events=["guest.changed", "guest.consent_given"])
    ana = await grounds.guest(house)
    me = Caller(ana, Role.GUEST, "guest_app")
    await house.consents.give(me, ana, "food_safety")
    await grounds.state(house, ana, food__allergens=[{"code": "peanuts"}])
    await grounds.state(house, ana, room__quiet=True)
    await grounds.state(house, ana, climate__temperature__occupied=21)
    await grounds.state(house, ana, climate__temperature__sleep=18)
    await told(house)
    assert [one.data["keys"] for one in receiver.received] == [[], [WARMTH], ["climate.temperature.sleep", WARMTH]]
    said = b" ".join(one.body for one in receiver.received)
    assert not any(word in said for word in (b"food", b"allergens", b"peanuts", b"quiet"))


async def allergies(grounds: Grounds, receiver: Receiver, *, consent: bool) -> None:
    """A kitchen is told of allergies that are stated, while the guest's consent holds or after it was withdrawn."""
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "food")
    ana = await grounds.guest(house)
    me = Caller(ana, Role.GUEST, "guest_app")
    await house.consents.give(me, ana, "food_safety")
    await grounds.state(house, ana, food__allergens=[{"code": "peanuts"}])
    if not consent:
        await house.consents.withdraw(me, ana, "food_safety")
    await told(house)


async def test_a_special_key_is_named_with_consent_and_on_record(grounds: Grounds, receiver: Receiver) -> None:
    await allergies(grounds, receiver, consent=True)
    assert receiver.types == ["guest.changed", "guest.consent_given", "guest.changed"]
    assert receiver.received[1].data["purpose"] == "food_safety"
    assert receiver.received[2].data["keys"] == [ALLERGENS]
    assert not any(b"peanuts" in one.body for one in receiver.received)
    ana = receiver.received[2].data["guest"]
    (seen,) = [one.access for one in await grounds.ledger.of_guest(ana, 10) if one.access.act == "read"]
    assert (seen.actor, seen.surface, seen.keys) == ("webhook:pms", "food", (ALLERGENS,))


async def test_a_special_key_is_not_named_once_consent_is_withdrawn(grounds: Grounds, receiver: Receiver) -> None:
    """Also a change of before, that was only waiting to be told."""
    await allergies(grounds, receiver, consent=False)
    assert receiver.types == ["guest.changed", "guest.consent_given", "guest.consent_withdrawn"]
    assert not any(ALLERGENS.encode() in one.body for one in receiver.received)


async def captions(grounds: Grounds, receiver: Receiver) -> list[list[str]]:
    """A kiosk, to which the guest has not consented, while captions become a need, a wish, and another wish."""
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "kiosk", events=["guest.changed"])
    ana = await grounds.guest(house)
    await house.consents.give(Caller(ana, Role.GUEST, "guest_app"), ana, "room_setup")
    await grounds.state(house, ana, tv__captions={"value": ON, "strength": "required"})
    await grounds.state(house, ana, tv__captions={"value": ON, "strength": "preferred"})
    await grounds.state(
        house, ana, tv__captions={"value": {"mode": "on", "language": "es-MX"}, "strength": "preferred"}
    )
    await told(house)
    return [one.data["keys"] for one in receiver.received]


async def test_what_is_special_by_its_value_is_named_while_it_is_not(grounds: Grounds, receiver: Receiver) -> None:
    assert await captions(grounds, receiver) == [[], ["tv.captions"]]
    assert receiver.received[-1].data["version"] == 5


async def test_a_message_that_names_special_keys_to_anybody_is_noticed(
    grounds: Grounds, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: no key counts as special."""
    monkeypatch.setattr(messages, "may_be_special", lambda definition: False)
    assert await captions(grounds, receiver) == [[], ["tv.captions"], ["tv.captions"], ["tv.captions"]]


async def test_a_place_a_stay_and_the_catalogue_are_told_too(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver, events=["stay.changed", "property.changed"])
    ana = await grounds.guest(house)
    await house.properties.put(OPERATOR, "dallas", {"name": "Dallas", "time_zone": "UTC"})
    now = grounds.clock.now()
    body = {"guest": ana, "property": "dallas", "room": "1204", "status": "in_house"}
    times = {"arrival": (now - DAY).isoformat(), "departure": (now + DAY).isoformat()}
    await house.stays.put(OPERATOR, "s1", {**body, **times})
    await told(house)
    assert receiver.types == ["property.changed", "stay.changed"]
    assert receiver.received[0].data == {"property": "dallas"}
    assert receiver.received[1].data.keys() == {"guest", "subject", "property"}


# ---------------------------------------------------------------- in order, again and again


async def told_in_order(grounds: Grounds, receiver: Receiver) -> list[int]:
    """Versions in the order in which they were taken, where the second was refused three times."""
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "guest_app")
    ana = await grounds.guest(house)
    for quiet in (True, False, True):
        await grounds.state(house, ana, room__quiet=quiet)
    receiver.answer = statuses(204, 500, 429, 503)
    for _ in range(6):
        await told(house)
        grounds.clock.move(timedelta(seconds=60))
    taken = [one.data["version"] for one in receiver.received if receiver.ids.count(one.id) == 1]
    refused = [one for one in receiver.received if receiver.ids.count(one.id) > 1]
    assert {one.data["version"] for one in refused} == {2} and len({one.id for one in refused}) == 1
    assert len(refused) == 4
    return [taken[0], *[one.data["version"] for one in receiver.received[4:]]]


async def test_what_is_refused_is_sent_again_before_anything_else(grounds: Grounds, receiver: Receiver) -> None:
    assert await told_in_order(grounds, receiver) == [1, 2, 3, 4]
    house = grounds.houses[0]
    found = {one["version"]: one for one in await entries(house)}
    assert [(one["state"], one["tried"]) for _, one in sorted(found.items())] == [
        ("delivered", 1),
        ("delivered", 4),
        ("delivered", 1),
        ("delivered", 1),
    ]
    assert [one.get("http_status") for one in found[2]["attempts"]] == [500, 429, 503, 204]


class Hasty(Telling):
    """Planted: what was refused waits, and the rest does not."""

    async def _send(self, delivery: Delivery, message: webhooks.Message, then: Cursor) -> bool:
        await super()._send(delivery, message, then)
        return True


async def test_order_that_is_lost_on_a_retry_is_noticed(
    grounds: Grounds, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "Telling", Hasty)
    with pytest.raises(AssertionError):
        assert await told_in_order(grounds, receiver) == [1, 2, 3, 4]


async def test_after_a_day_it_is_given_up_and_can_be_asked_for_again(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver, "guest_app")
    ana = await grounds.guest(house)
    await grounds.state(house, ana, room__quiet=True)
    first_refused = {"version": 1}
    receiver.answer = lambda one: 500 if one.data["version"] == first_refused["version"] else 204
    for _ in range(40):
        await told(house)
        grounds.clock.move(timedelta(hours=2))
        if receiver.received[-1].data["version"] == 2:
            break
    (dead,) = await entries(house, state="dead")
    assert dead["version"] == 1 and 12 <= dead["tried"] <= 14, "it is looked at every two hours"
    assert [one["version"] for one in await entries(house, state="delivered")] == [2]
    shown = (await house.webhooks.get(OPERATOR, "pms")).body
    assert shown["failures"] == 0 and "failing_since" not in shown
    first_refused["version"] = 0
    again = (await house.webhooks.replay(OPERATOR, "pms", dead["id"])).body
    assert again["state"] == "pending"
    await told(house)
    assert receiver.received[-1].id == dead["id"] and receiver.received[-1].data["version"] == 1
    assert await entries(house, state="dead") == []


async def test_a_replay_says_no_more_than_may_be_said_now(grounds: Grounds, receiver: Receiver) -> None:
    await allergies(grounds, receiver, consent=True)
    house, ana = grounds.houses[0], receiver.received[0].data["guest"]
    await house.consents.withdraw(Caller(ana, Role.GUEST, "guest_app"), ana, "food_safety")
    await told(house)
    before = len(receiver.received)
    (log,) = [one for one in await entries(house) if one["type"] == "guest.changed" and one["version"] == 3]
    await house.webhooks.replay(OPERATOR, "pms", log["id"])
    await told(house)
    assert len(receiver.received) == before
    assert [one["id"] for one in await entries(house, state="dropped")] == [log["id"]]


async def test_a_receiver_that_is_gone_is_left_alone(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver)
    await grounds.guest(house)
    receiver.answer = lambda _: 410
    await told(house)
    grounds.clock.move(DAY)
    await told(house)
    assert len(receiver.received) == 1
    assert (await house.webhooks.get(OPERATOR, "pms")).body["status"] == "gone"
    backlog = await house.store.webhooks.backlog()
    assert (backlog.endpoints, backlog.gone) == (1, ["pms"])
    receiver.answer = lambda _: 204
    await house.webhooks.put(OPERATOR, "pms", url=receiver.url(), surface="front_desk")
    await told(house)
    assert receiver.ids[0] == receiver.ids[1]


async def test_who_was_away_for_too_long_is_told_so(grounds: Grounds, receiver: Receiver) -> None:
    house = await grounds.process()
    await grounds.endpoint(house, receiver, enabled=False)
    ana = await grounds.guest(house)
    grounds.clock.move(8 * DAY)
    await house.webhooks.put(OPERATOR, "pms", url=receiver.url(), surface="front_desk")
    receiver.answer = statuses(500)
    await told(house)
    grounds.clock.move(timedelta(minutes=5))
    await grounds.state(house, ana, climate__temperature__occupied=20)
    await told(house)
    assert receiver.types == ["resync", "resync", "guest.changed"]
    assert receiver.ids[0] == receiver.ids[1]
    await told(house)
    assert len(receiver.received) == 3


@pytest.mark.parametrize("failures", [1, 2, 3, 8, 20, 5000])
def test_waits_grow_are_spread_and_end(failures: int) -> None:
    most = min(7200, 5 * 2 ** min(failures, 30))
    assert (back_off_s(failures, 0.0), back_off_s(failures, 0.5), back_off_s(failures, 1.0)) == (0, most / 2, most)
    assert back_off_s(failures, 0.0, 17.0) == 17.0
    assert back_off_s(failures, 0.0, 1e9) == 7200


def test_the_log_keeps_the_last_attempts_of_many() -> None:
    made = Delivery("pms", "msg_1", webhooks.Kind.CHANGED, State.PENDING, NOW, NOW)
    for number in range(50):
        made = made.after(Attempt(NOW, number, 500), State.PENDING)
    assert made.tried == 50 and [one.took_ms for one in made.attempts] == list(range(30, 50))
