"""OpenID providers: a real one end to end, and every trouble their keys can make."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from api import issuers
from api.auth import Verifier, mint
from api.issuers import KEPT_SECONDS, Issuer, Provider, fetcher, providers_of, read_claims
from api.keys import published_keys
from prefs.bootstrap import SystemClock
from prefs.core.callers import Role
from prefs.core.errors import Unauthenticated, Unavailable
from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import AUDIENCE, Front, StandingClock
from tests.api.keyserver import KeyServer, key_server
from tests.api.realprovider import real_provider

PATH = "/v1/properties"
FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
def kind() -> str:
    return "memory"


def new_key(kid: str) -> Key:
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"})


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server(new_key("one")) as server:
        yield server


def told(settings: Settings, server: KeyServer, **more: Any) -> Settings:
    return settings.model_copy(
        update={"oidc_issuers": server.issuer, "oidc_jwks_urls": server.jwks_url, **more},
    )


@pytest.fixture
async def front(settings: Settings, clock: StandingClock, server: KeyServer) -> AsyncIterator[Front]:
    async with opened(told(settings, server), clock) as front:
        yield front


def signed(key: Key, issuer: str, clock: StandingClock, kid: str | None = None, **more: Any) -> str:
    signing = key if kid is None else type(key).import_key(key.as_dict(private=True) | {"kid": kid})
    given = {"subject": "ana", "role": Role.STAFF, "surface": "front_desk", "properties": ["dallas"]} | more
    lifetime = timedelta(minutes=5)
    return mint(signing, issuer=issuer, audience=AUDIENCE, now=clock.now(), lifetime=lifetime, **given)


async def status(front: Front, token: str) -> int:
    return (await front.call("GET", PATH, token)).status_code


# ---------------------------------------------------------------- a provider from PyPI


CLAIMS = "role=https://hotel.example/roles, surface=hotel.surface, properties=hotel.ids"


def tokens_by_code(base: str) -> dict[str, str]:
    """The authorization code flow, as a front desk's program goes through it."""
    client, back = "front-desk", "http://localhost/back"
    asked = {"client_id": client, "redirect_uri": back, "response_type": "code", "scope": "openid", "state": "s"}
    with httpx2.Client(base_url=base) as http:
        answer = http.post("/oauth2/authorize", params=asked, data={"sub": "ana"})
        code = httpx2.URL(answer.headers["location"]).params["code"]
        wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "client_id": client}
        answer = http.post("/oauth2/token", data=wanted, auth=(client, "secret"))
        told: dict[str, str] = answer.raise_for_status().json()
    return told


async def test_a_real_provider_from_discovery_to_an_answer(settings: Settings) -> None:
    """Its discovery, its keys, its code flow and its access tokens; its id token is not an access token."""
    with real_provider() as issuer:
        changed = settings.model_copy(update={"oidc_issuers": issuer, "oidc_claims": CLAIMS})
        tokens = await asyncio.to_thread(tokens_by_code, issuer)
        async with opened(changed, StandingClock(SystemClock().now())) as front:
            assert await status(front, tokens["access_token"]) == 200
            assert await status(front, tokens["id_token"]) == 401
            # With a provider the local keys speak for devices and stay links only.
            assert await status(front, front.staff()) == 401
            assert await status(front, front.device()) == 403


# ---------------------------------------------------------------- trouble with keys


async def test_keys_are_found_by_discovery(settings: Settings, clock: StandingClock, server: KeyServer) -> None:
    async with opened(told(settings, server, oidc_jwks_urls=""), clock) as front:
        assert await status(front, signed(server.keys[0], server.issuer, clock)) == 200
    assert server.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_a_known_key_makes_nobody_ask(front: Front, clock: StandingClock, server: KeyServer) -> None:
    server.asked.clear()
    for second in range(200):
        clock.pass_by(timedelta(seconds=1))
        assert await status(front, signed(server.keys[0], server.issuer, clock, subject=f"ana-{second}")) == 200
    assert server.asked == []


async def flood(front: Front, clock: StandingClock, server: KeyServer, seconds: int, a_second: int) -> None:
    """Tokens with random key ids, and between them one with a known key a second, which is always let in."""
    stranger = new_key("stranger")
    for second in range(seconds):
        clock.pass_by(timedelta(seconds=1))
        for number in range(a_second):
            forged = signed(stranger, server.issuer, clock, kid=f"kid-{second}-{number}")
            assert await status(front, forged) == 401
        assert await status(front, signed(server.keys[0], server.issuer, clock)) == 200


async def test_a_flood_of_unknown_key_ids_asks_once_in_ten_seconds(
    front: Front, clock: StandingClock, server: KeyServer
) -> None:
    server.asked.clear()
    await flood(front, clock, server, seconds=60, a_second=10)
    assert 1 <= len(server.asked) <= 6


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_a_thousand_unknown_key_ids_a_second_ask_no_more_often(
    front: Front, clock: StandingClock, server: KeyServer
) -> None:
    server.asked.clear()
    _, payload, signature = signed(new_key("stranger"), server.issuer, clock).split(".")
    for second in range(30):
        clock.pass_by(timedelta(seconds=1))
        for number in range(1000):
            head = {"alg": "Ed25519", "typ": "at+jwt", "kid": f"{second}-{number}"}
            forged = base64.urlsafe_b64encode(json.dumps(head).encode()).decode().rstrip("=")
            assert await status(front, f"{forged}.{payload}.{signature}") == 401
        assert await status(front, signed(server.keys[0], server.issuer, clock)) == 200
    assert 1 <= len(server.asked) <= 3


async def test_asking_without_a_limit_would_be_found(
    front: Front, clock: StandingClock, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: the limit between two questions taken away."""
    monkeypatch.setattr(issuers, "FORCED_EVERY_SECONDS", 0)
    server.asked.clear()
    await flood(front, clock, server, seconds=20, a_second=2)
    assert len(server.asked) > 2


async def test_one_key_id_that_the_provider_lacks_does_not_make_it_be_asked_again_and_again(
    front: Front, clock: StandingClock, server: KeyServer
) -> None:
    clock.pass_by(timedelta(seconds=10))
    server.asked.clear()
    forged = signed(new_key("stranger"), server.issuer, clock)
    for _ in range(5):
        assert await status(front, forged) == 401
        clock.pass_by(timedelta(seconds=11))
    assert len(server.asked) == 1


async def test_rotation_with_and_without_overlap(front: Front, clock: StandingClock, server: KeyServer) -> None:
    old, new, sudden = server.keys[0], new_key("two"), new_key("three")
    server.keys = [old, new]
    clock.pass_by(timedelta(seconds=30))
    assert await status(front, signed(new, server.issuer, clock)) == 200  # asked for at once
    assert await status(front, signed(old, server.issuer, clock)) == 200
    server.keys = [sudden]
    clock.pass_by(timedelta(seconds=30))
    assert await status(front, signed(sudden, server.issuer, clock)) == 200
    assert await status(front, signed(old, server.issuer, clock)) == 401


def provider_of(app: Any) -> Provider:
    found: Provider = next(iter(app.state.verifier._providers.values()))
    return found


async def live_through(front: Front, clock: StandingClock, span: timedelta, step: timedelta) -> None:
    """Let time go by with the background's ticks, as the watch of the app makes them."""
    until = clock.now() + span
    while clock.now() < until:
        clock.pass_by(min(step, until - clock.now()))
        await provider_of(front.app).tick()


async def test_a_withdrawn_key_is_refused_within_five_minutes(
    front: Front, clock: StandingClock, server: KeyServer
) -> None:
    withdrawn = server.keys[0]
    token = signed(withdrawn, server.issuer, clock)
    assert await status(front, token) == 200
    server.keys = [new_key("two")]
    until = clock.now() + FIVE_MINUTES
    while await status(front, signed(withdrawn, server.issuer, clock)) == 200:
        await live_through(front, clock, timedelta(seconds=1), timedelta(seconds=1))
        assert clock.now() < until
    assert front.app.state.verifier.known(token.encode(), clock.now().timestamp()) is None


@pytest.mark.parametrize("mode", ["500", "nonsense", "moved", "endless"])
async def test_the_last_keys_stay_good_for_a_day_of_trouble(
    front: Front, clock: StandingClock, server: KeyServer, mode: str
) -> None:
    good = server.keys[0]
    server.mode, server.keys = mode, []
    await live_through(front, clock, timedelta(seconds=KEPT_SECONDS - 60), timedelta(minutes=15))
    assert await status(front, signed(good, server.issuer, clock)) == 200
    assert "/elsewhere" not in server.asked
    await live_through(front, clock, timedelta(minutes=2), timedelta(minutes=1))
    assert await status(front, signed(good, server.issuer, clock)) == 503
    server.mode, server.keys = "keys", [good]
    await live_through(front, clock, timedelta(minutes=1), timedelta(seconds=10))
    assert await status(front, signed(good, server.issuer, clock)) == 200


async def test_a_provider_that_says_nothing_holds_nobody_up(clock: StandingClock, server: KeyServer) -> None:
    provider = Provider(Issuer(server.issuer, (), own=False), clock, server.jwks_url, fetcher(seconds_max=0.1))
    verifier = Verifier([], "guestprefs", AUDIENCE, providers=[provider])
    token = signed(server.keys[0], server.issuer, clock)
    server.mode = "hangs"
    await provider.tick()
    with pytest.raises(Unavailable):
        verifier.verify(token, clock.now())
    server.mode = "keys"
    clock.pass_by(timedelta(seconds=30))
    await provider.tick()
    assert verifier.verify(token, clock.now()).subject == "ana"
    server.mode = "hangs"
    clock.pass_by(timedelta(minutes=4))
    asking = asyncio.create_task(provider.tick())
    await asyncio.sleep(0)
    assert verifier.verify(signed(server.keys[0], server.issuer, clock), clock.now()).subject == "ana"
    stranger = signed(new_key("stranger"), server.issuer, clock)
    assert not await verifier.learn(stranger)  # one question at a time, and nobody waits for it
    await asking


async def test_a_provider_that_was_never_heard_is_unavailable_not_forged(
    settings: Settings, clock: StandingClock, server: KeyServer
) -> None:
    server.mode = "500"
    async with opened(told(settings, server), clock) as front:
        assert await status(front, signed(server.keys[0], server.issuer, clock)) == 503
        assert await status(front, front.device()) == 403  # others go on


# ---------------------------------------------------------------- what is read


def test_only_public_keys_of_our_algorithms_verify() -> None:
    good = [new_key("a"), ECKey.generate_key("P-256", {"kid": "b"}), RSAKey.generate_key(2048, {"kid": "c"})]
    odd: list[dict[str, Any]] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "d"},
        good[0].as_dict(private=False) | {"kid": "e", "use": "enc"},
        good[1].as_dict(private=False) | {"kid": "f", "key_ops": ["sign"]},
        good[2].as_dict(private=False) | {"kid": "g", "alg": "PS256"},
        ECKey.generate_key("P-384", {"kid": "h"}).as_dict(private=False),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "i"},
        {"kty": "RSA", "n": "sXch", "e": "AQAB", "kid": "j"},
    ]
    members = [key.as_dict(private=True) for key in good] + odd
    found = published_keys(json.dumps({"keys": [*members, None, 7]}).encode())
    assert [key.kid for key in found] == ["a", "b", "c"]
    assert not any(key.is_private for key in found)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": {}}', '{"keys": [' + "{}," * 100 + "{}]}", "[" * 100_000])
def test_what_is_no_key_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JWK set"):
        published_keys(text.encode())


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("staff", True),
        (["x", "staff"], True),
        (["staff", "service"], False),
        ([], False),
        (["root"], False),
        (7, False),
    ],
)
def test_a_provider_may_list_roles(clock: StandingClock, server: KeyServer, roles: Any, expected: bool) -> None:
    issuer = Issuer("https://id.example", (), read_claims("role = hotel.roles , guest=guest_id"), own=False)
    issuer.put_keys(server.keys)
    verifier = Verifier([], "guestprefs", AUDIENCE)
    verifier._issuers[issuer.name] = issuer
    token = signed(server.keys[0], issuer.name, clock, more={"hotel": {"roles": roles}})
    if expected:
        assert verifier.verify(token, clock.now()).role is Role.STAFF
    else:
        with pytest.raises(Unauthenticated, match="role"):
            verifier.verify(token, clock.now())


def test_settings_that_make_no_sense_are_refused(clock: StandingClock) -> None:
    for given, words in (
        (("https://a.example https://b.example", "https://a.example/keys", ""), "as many"),
        (("http://a.example", "", ""), "not https"),
        (("https://a.example", "", "role"), "claim"),
        (("https://a.example", "", "colour=red"), "claim"),
    ):
        with pytest.raises(ValueError, match=words):
            providers_of(*given, 600, clock)
    found = providers_of("https://a.example http://localhost:1/x", "", "guest=guest_id", 600, clock)
    assert [provider.issuer.name for provider in found] == ["https://a.example", "http://localhost:1/x"]
    assert found[0].issuer.claims["guest"] == "guest_id"
