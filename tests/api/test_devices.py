"""Devices from the first request to the last: the device grant by the letter, tokens bound to keys, put out again."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey

from api import dpop
from api.dpop import WINDOW_SECONDS, Proof, Proofs
from prefs.core.enrolment import DEVICE_SILENT_MAX
from prefs.core.errors import Unauthenticated
from tests.api.front import PROPERTY, Front
from tests.api.prover import BASE, Prover, segment

SECONDS = timedelta(seconds=1)


@pytest.fixture
def kind() -> str:
    return "sqlite"  # one with tiers, so that the hot read takes part; engines are told apart in tests/store


@pytest.fixture
async def thermostat(front: Front) -> Prover:
    await front.new_property(PROPERTY)
    return Prover(front)


def error_of(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["error"])


async def in_house(front: Front) -> str:
    guest = await front.new_guest()
    await front.new_stay(guest)
    await front.prefer(guest, {"climate.temperature.occupied": 21})
    return f"/v1/guests/{guest}/preferences"


# ---------------------------------------------------------------- the grant


async def test_a_device_enrols_reads_and_is_listed(front: Front, thermostat: Prover) -> None:
    asked = await thermostat.ask()
    assert asked["expires_in"] == 600 and asked["interval"] == 5 and asked["verification_uri"] == f"{BASE}/device"
    shown = await front.ok("GET", f"/v1/device-grants/{asked['user_code'].lower()}", front.staff())
    assert (shown["name"], shown["surface"], shown["status"]) == ("thermostat-1204", "thermostat", "pending")
    assert (await thermostat.decide(asked)).json()["status"] == "approved"
    answer = await thermostat.poll(asked)
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("DPoP", 600, "thermostat")
    claims = json.loads(base64.urlsafe_b64decode(told["access_token"].split(".")[1] + "=="))
    assert claims["cnf"] == {"jkt": thermostat.key.thumbprint()}
    read = await thermostat.get(await in_house(front), told["access_token"])
    assert read.status_code == 200 and read.json()["preferences"]["climate.temperature.occupied"]["value"] == 21
    devices = (await front.ok("GET", f"/v1/properties/{PROPERTY}/devices", front.staff()))["devices"]
    assert [(one["id"], one["name"], one["approved_by"]) for one in devices] == [
        (claims["sub"], "thermostat-1204", "staff-engineering")
    ]


async def test_errors_of_polling_are_those_of_the_rfc(front: Front, thermostat: Prover) -> None:
    asked = await thermostat.ask()
    front.clock.pass_by(5 * SECONDS)
    assert error_of(await thermostat.poll(asked)) == "authorization_pending"
    front.clock.pass_by(2 * SECONDS)
    assert error_of(await thermostat.poll(asked)) == "slow_down"
    front.clock.pass_by(5 * SECONDS)
    assert error_of(await thermostat.poll(asked)) == "slow_down"  # it has to wait ten seconds now
    front.clock.pass_by(15 * SECONDS)
    assert error_of(await thermostat.poll(asked)) == "authorization_pending"
    await thermostat.decide(asked, approve=False)
    front.clock.pass_by(15 * SECONDS)
    assert error_of(await thermostat.poll(asked)) == "access_denied"
    front.clock.pass_by(timedelta(minutes=10))
    assert error_of(await thermostat.poll(asked)) == "expired_token"
    assert (await thermostat.decide(asked)).status_code == 404


async def test_a_code_is_good_for_one_device_and_once(front: Front, thermostat: Prover) -> None:
    asked = await thermostat.ask()
    await thermostat.decide(asked)
    thief = Prover(front, key=OKPKey.generate_key("Ed25519"))
    assert error_of(await thief.poll(asked)) == "invalid_grant"  # the code is bound to the key that asked
    assert error_of(await thermostat.poll(asked, client_id="another")) == "invalid_grant"
    assert error_of(await thermostat.poll(asked | {"device_code": asked["device_code"] + "x"})) == "invalid_grant"
    assert error_of(await thermostat.poll({"device_code": "nonsense"})) == "invalid_grant"
    assert (await thermostat.poll(asked)).status_code == 200
    assert error_of(await thermostat.poll(asked)) == "invalid_grant"


async def test_only_staff_of_the_property_decide(front: Front, thermostat: Prover) -> None:
    asked = await thermostat.ask()
    others = (front.staff("engineering", "cleveland"), 404), (front.device(), 403), (front.service(), 403)
    for token, status in others:
        assert (await thermostat.decide(asked, by=token)).status_code == status
    assert (await thermostat.decide(asked, by=front.operator())).status_code == 200
    assert (await thermostat.decide(asked)).status_code == 200  # the same again
    again = await thermostat.decide(asked, approve=False)
    assert (again.status_code, again.json()["code"]) == (422, "ALREADY_DECIDED")
    nowhere = await front.call(
        "PUT", "/v1/device-grants/BBBB-BBBB", front.operator(), {"property": "x", "approve": True}
    )
    assert nowhere.status_code == 404


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "client_id": "a"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "client_id": "a"}, "invalid_request"),
        ({"grant_type": "refresh_token", "client_id": "a b", "refresh_token": "x"}, "invalid_request"),
        ({"grant_type": "refresh_token", "client_id": "a", "refresh_token": "x" * 300}, "invalid_request"),
        ({"grant_type": "refresh_token", "client_id": "a", "refresh_token": "x"}, "invalid_grant"),
    ],
)
async def test_wrong_forms_are_refused_in_oauths_words(thermostat: Prover, form: dict[str, str], error: str) -> None:
    assert error_of(await thermostat.post("/oauth/token", **form)) == error


async def test_requests_that_are_no_form(front: Front, thermostat: Prover) -> None:
    twice = b"client_id=a&client_id=a&scope=tv"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (
        error_of(await front.call("POST", "/oauth/device_authorization", content=twice, headers=kind))
        == "invalid_request"
    )
    assert error_of(await front.call("POST", "/oauth/token", json={"grant_type": "refresh_token"})) == "invalid_request"
    asked = await thermostat.post("/oauth/device_authorization", client_id="a", scope="front_desk")
    assert error_of(asked) == "invalid_scope"
    form = {"grant_type": "refresh_token", "client_id": "a", "refresh_token": "x"}
    assert error_of(await thermostat.post("/oauth/token", proved=False, **form)) == "invalid_dpop_proof"


async def test_the_metadata_names_what_is_there(front: Front) -> None:
    told = await front.ok("GET", "/.well-known/oauth-authorization-server")
    assert told["issuer"] == BASE
    for name in ("token_endpoint", "device_authorization_endpoint"):
        assert (await front.call("POST", told[name].removeprefix(BASE))).status_code == 400
    keys = (await front.ok("GET", told["jwks_uri"].removeprefix(BASE)))["keys"]
    assert [key["kid"] for key in keys] == [front.key.kid]
    assert not any("d" in key for key in keys)


async def test_nobody_fills_the_store_with_wishes(
    front: Front, thermostat: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefs.services.devices.ASKED_A_MINUTE_MAX", 3)
    for _ in range(3):
        await thermostat.ask(proved=False)
    form = {"client_id": "a", "scope": "tv"}
    assert (await thermostat.post("/oauth/device_authorization", proved=False, **form)).status_code == 503
    front.clock.pass_by(timedelta(minutes=1))
    await thermostat.ask(proved=False)


# ---------------------------------------------------------------- refreshing, putting out


async def test_a_refresh_needs_the_devices_own_key(front: Front, thermostat: Prover) -> None:
    told = await thermostat.enrol()
    front.clock.pass_by(timedelta(days=30))
    fresh = (await thermostat.refresh(told["refresh_token"])).json()
    assert "refresh_token" not in fresh  # bound to the key, so it may stay the same
    path = await in_house(front)
    assert (await thermostat.get(path, fresh["access_token"])).status_code == 200
    assert (await thermostat.get(path, told["access_token"])).status_code == 401
    thief = Prover(front)
    assert error_of(await thief.refresh(told["refresh_token"])) == "invalid_grant"
    assert error_of(await thermostat.refresh(told["refresh_token"], client_id="other")) == "invalid_grant"
    front.clock.pass_by(DEVICE_SILENT_MAX - timedelta(minutes=1))
    assert (await thermostat.refresh(told["refresh_token"])).status_code == 200
    front.clock.pass_by(DEVICE_SILENT_MAX)
    assert error_of(await thermostat.refresh(told["refresh_token"])) == "invalid_grant"


async def test_a_device_that_is_put_out_is_out(front: Front, thermostat: Prover) -> None:
    told, path = await thermostat.enrol(), await in_house(front)
    for _ in range(2):
        assert (await thermostat.get(path, told["access_token"])).status_code == 200
    device = (await front.ok("GET", f"/v1/properties/{PROPERTY}/devices", front.staff()))["devices"][0]["id"]
    assert (await front.call("DELETE", f"/v1/devices/{device}", front.staff(property="cleveland"))).status_code == 404
    assert (await front.call("DELETE", f"/v1/devices/{device}", front.staff())).status_code == 204
    assert (await thermostat.get(path, told["access_token"])).status_code == 401
    assert error_of(await thermostat.refresh(told["refresh_token"])) == "invalid_grant"
    assert (await front.call("DELETE", f"/v1/devices/{device}", front.staff())).status_code == 404
    assert (await front.ok("GET", f"/v1/properties/{PROPERTY}/devices", front.staff()))["devices"] == []


async def test_devices_are_listed_in_pages(front: Front, thermostat: Prover) -> None:
    for number in range(3):
        await Prover(front, f"tv-{number}").enrol("tv")
    path, found, cursor = f"/v1/properties/{PROPERTY}/devices", [], {}
    while True:
        page = await front.ok("GET", path, front.operator(), params={"limit": 2} | cursor)
        found += [one["name"] for one in page["devices"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(found) == ["tv-0", "tv-1", "tv-2"]


# ---------------------------------------------------------------- proofs, on the typed route and on the hot read


WRONG: dict[str, dict[str, Any]] = {
    "another method": {"htm": "POST"},
    "another path": {"htu": f"{BASE}/v1/properties"},
    "another host": {"htu": "http://elsewhere/v1/guests"},
    "no address": {"htu": None},
    "too old": {"iat": -WINDOW_SECONDS - 1},
    "of the future": {"iat": WINDOW_SECONDS + 1},
    "no moment": {"iat": None},
    "another token": {"ath": segment(b"x" * 32)},
    "no token": {"ath": None},
    "no id": {"jti": None},
    "an id without end": {"jti": "x" * 300},
    "typ at+jwt": {"header": {"typ": "at+jwt"}},
    "algorithm none": {"header": {"alg": "none"}},
    "HMAC": {"header": {"alg": "HS256", "jwk": OctKey.generate_key(256).as_dict(private=True)}},
    "critical extension": {"header": {"crit": ["b64"], "b64": False}},
    "no key": {"header": {"jwk": None}},
    "another key in the head": {"header": {"jwk": OKPKey.generate_key("Ed25519").as_dict(private=False)}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_proof_is_refused_also_on_the_hot_read(
    front: Front, thermostat: Prover, wrong: dict[str, Any]
) -> None:
    token, path = (await thermostat.enrol())["access_token"], await in_house(front)
    changed = dict(wrong)
    if isinstance(changed.get("iat"), int):
        changed["iat"] += int(front.clock.now().timestamp())
    for _ in range(2):  # the first by the typed route, which lays down the answer, the second by the hot read
        bad = await thermostat.get(path, token, thermostat.proof("GET", path, token, **changed))
        assert bad.status_code == 401, bad.text
        assert "DPoP" in bad.headers["www-authenticate"]
        assert (await thermostat.get(path, token)).status_code == 200


async def test_a_proof_is_good_once(front: Front, thermostat: Prover) -> None:
    token, path = (await thermostat.enrol())["access_token"], await in_house(front)
    for _ in range(3):
        proof = thermostat.proof("GET", path, token)
        assert (await thermostat.get(path, token, proof)).status_code == 200
        again = await thermostat.get(path, token, proof)
        assert again.status_code == 401 and "before" in again.json()["detail"]


async def test_a_bound_token_is_no_bearer_token(front: Front, thermostat: Prover) -> None:
    token, path = (await thermostat.enrol())["access_token"], await in_house(front)
    assert (await thermostat.get(path, token)).status_code == 200
    for _ in range(2):
        assert (await front.call("GET", path, token)).status_code == 401
        assert (await thermostat.get(path, token, scheme="Bearer")).status_code == 401
    stranger = Prover(front)
    assert (await stranger.get(path, token)).status_code == 401
    assert (await thermostat.get(path, front.device())).status_code == 401  # not bound to anything
    bare = await front.http.get(path, headers={"authorization": f"DPoP {token}"})
    assert bare.status_code == 401


async def test_every_kind_of_key_may_be_proved(front: Front, thermostat: Prover) -> None:
    elliptic = Prover(front, key=ECKey.generate_key("P-256"))
    token = (await elliptic.enrol())["access_token"]
    assert (await elliptic.get(await in_house(front), token)).status_code == 200


def replayed(proofs: Proofs, front: Front) -> bool:
    proof = Proof(Prover(front).proof("GET", "/x"), "GET", f"{BASE}/x")
    moment = front.clock.now().timestamp()
    proofs.check(proof, "", None, moment)
    try:
        proofs.check(proof, "", None, moment)
    except Unauthenticated:
        return False
    return True


async def test_forgetting_ids_would_be_found(front: Front) -> None:
    """A planted fault: proofs whose ids are not remembered."""

    class Forgetful(OrderedDict[bytes, float]):
        def __contains__(self, key: object) -> bool:
            return False

    assert not replayed(Proofs(), front)
    planted = Proofs()
    planted._seen = Forgetful()
    assert replayed(planted, front)


async def test_memory_of_proofs_is_bounded_and_nothing_is_forgotten_too_early(front: Front) -> None:
    proofs, prover, clock = Proofs(seen_max=3), Prover(front), front.clock

    def use(text: str) -> None:
        proofs.check(Proof(text, "GET", f"{BASE}/x"), "", None, clock.now().timestamp())

    ahead = prover.proof("GET", "/x", iat=int(clock.now().timestamp()) + WINDOW_SECONDS)
    for text in (ahead, prover.proof("GET", "/x"), prover.proof("GET", "/x")):
        use(text)
    with pytest.raises(Unauthenticated, match="remembered"):
        use(prover.proof("GET", "/x"))
    clock.pass_by(2 * WINDOW_SECONDS * SECONDS)
    with pytest.raises(Unauthenticated, match="before"):
        use(ahead)  # still good by its moment, and still remembered
    clock.pass_by(SECONDS)
    use(prover.proof("GET", "/x"))
    assert len(proofs._seen) == 1


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "é.b.c", "x" * 5000, f"{segment([1])}.b.c"])
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        Proofs().check(Proof(text, "GET", f"{BASE}/x"), "", None, 0.0)


def test_addresses_are_compared_in_one_form() -> None:
    same = {dpop._same(one) for one in ("HTTPS://Host:443/a?x=1#y", "https://host/a", "https://HOST/a?")}
    assert len(same) == 1
    assert len({dpop._same(one) for one in ("http://h/a", "https://h/a", "http://h:81/a", "http://h/A", 7, "")}) == 6
