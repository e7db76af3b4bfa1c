"""Forged tokens: the corpus in `forgeries.json`, each sent to the app and refused, with nobody asked for advice."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key

from api.auth import Verifier
from api.issuers import Issuer
from prefs.core.errors import Unauthenticated
from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import AUDIENCE, Front, StandingClock
from tests.api.keyserver import Canary, KeyServer, key_server

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("forgeries.json").read_text(encoding="utf-8"))
PATH = "/v1/properties"


@pytest.fixture
def kind() -> str:
    return "memory"


@pytest.fixture(scope="module")
def provider() -> Iterator[KeyServer]:
    with key_server(ECKey.generate_key("P-256", {"kid": "es", "use": "sig"})) as server:
        yield server


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


@pytest.fixture
async def front(settings: Settings, clock: StandingClock, provider: KeyServer) -> AsyncIterator[Front]:
    told = settings.model_copy(update={"oidc_issuers": provider.issuer, "oidc_jwks_urls": provider.jwks_url})
    async with opened(told, clock) as front:
        provider.asked.clear()
        yield front


def segment(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Makes the token of a case. What a case leaves unsaid is as in a good token."""

    def __init__(self, own: Key, issuer: str, canary: str, now: int) -> None:
        self.own, self.issuer, self.canary, self.now = own, issuer, canary, now
        self.stranger = ECKey.generate_key("P-256", {"kid": own.kid})

    def good(self) -> tuple[dict[str, Any], dict[str, Any]]:
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.own.kid}
        claims = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ana", "client_id": "desk", "jti": "1"}
        claims |= {"iat": 0, "exp": 300, "role": "staff", "surface": "front_desk", "properties": ["dallas"]}
        return header, claims

    def filled(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.filled(one) for one in value]
        if value == "{stranger}":
            return self.stranger.as_dict(private=False)
        words = {"canary": self.canary, "kid": self.own.kid, "issuer": self.issuer, "thumbprint": "x" * 43}
        for name, word in words.items() if isinstance(value, str) else ():
            value = value.replace("{" + name + "}", str(word))
        return value

    def token(self, case: dict[str, Any]) -> str:
        header, claims = self.good()
        header |= {name: self.filled(value) for name, value in case.get("header", {}).items()}
        claims |= {name: self.filled(value) for name, value in case.get("claims", {}).items()}
        header, claims = ({n: v for n, v in part.items() if v is not None} for part in (header, claims))
        for name in {"iat", "exp", "nbf"} & claims.keys():
            claims[name] += self.now if abs(claims[name]) < 1e6 else 0
        token = self.signed(header, claims, case["sign"])
        return self.spoilt(token, case.get("after", ""))

    def signed(self, header: dict[str, Any], claims: Any, by: str = "own") -> str:
        text = f"{segment(header)}.{segment(claims)}"
        return f"{text}.{segment(self.signature(text.encode(), by))}"

    def signature(self, text: bytes, by: str) -> bytes:
        """Made by hand: a library would refuse to sign half of these headers."""
        match by:
            case "nothing":
                return b""
            case "public-pem":
                return hmac.digest(self.own.as_pem(private=False), text, "sha256")
            case "public-jwk":
                return hmac.digest(json.dumps(self.own.as_dict(private=False)).encode(), text, "sha256")
            case "empty":
                return hmac.digest(b"", text, "sha256")
        return jws.JWSRegistry.algorithms["ES256"].sign(text, self.stranger if by == "stranger" else self.own)

    def spoilt(self, token: str, how: str) -> str:
        if not how:
            return token
        head, payload, signature = token.split(".")
        _, claims = self.good()
        match how:
            case "payload":
                changed = claims | {"role": "operator", "iat": self.now, "exp": self.now + 300}
                return f"{head}.{segment(changed)}.{signature}"
            case "cut":
                return f"{head}.{payload}.{signature[:-8]}"
            case "foreign":
                other = self.signed(self.good()[0], claims | {"jti": "2"})
                return f"{head}.{payload}.{other.split('.')[2]}"
            case "nested":
                return self.signed(self.good()[0], token)
            case "encrypted":
                return f"{token}.{payload}.{signature}"
            case "json":
                return segment({"protected": head, "payload": payload, "signature": signature})
            case "deep":
                return self.signed(self.good()[0], b"[" * 2900 + b"]" * 2900)
            case "megabyte":
                return f"{segment(self.good()[0] | {'x': 'x' * 1_000_000})}.{payload}.{signature}"
        raise AssertionError(f"no such spoiling: {how}")


def forger_of(front: Front, provider: KeyServer, canary: Canary) -> Forger:
    return Forger(provider.keys[0], provider.issuer, canary.url, int(front.clock.now().timestamp()))


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) >= 30
    assert len({case["name"] for case in CASES}) == len(CASES)


async def test_the_pattern_of_all_forgeries_is_good(front: Front, provider: KeyServer, canary: Canary) -> None:
    good = forger_of(front, provider, canary).token({"sign": "own"})
    assert (await front.call("GET", PATH, good)).status_code == 200


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_a_forgery_is_refused(front: Front, provider: KeyServer, canary: Canary, case: dict[str, Any]) -> None:
    token = forger_of(front, provider, canary).token(case)
    for _ in range(2):  # nothing that was refused is remembered as good
        response = await front.call("GET", PATH, token)
        assert (response.status_code, response.json()["code"]) == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert canary.connections() == 0
    assert provider.asked == []


async def test_the_whole_corpus_makes_nobody_ask_but_once(
    front: Front, provider: KeyServer, canary: Canary, clock: StandingClock
) -> None:
    """Half a minute after the last look a key id that nobody knows may cause one more look, at the address set."""
    clock.at = clock.at.replace(second=30)
    forger = forger_of(front, provider, canary)
    for case in CASES:
        assert (await front.call("GET", PATH, forger.token(case))).status_code == 401, case["name"]
    assert canary.connections() == 0
    assert len(provider.asked) <= 1 and set(provider.asked) <= {"/keys"}


class Believing(Verifier):
    """A planted fault: asks the token how it wants to be checked."""

    def _checked_claims(self, token: str) -> tuple[Issuer, Mapping[str, Any]]:
        head, payload, signature = token.split(".")
        algorithm = json.loads(base64.urlsafe_b64decode(head + "=="))["alg"]
        key = self.own.keys[0]
        if algorithm == "HS256":  # the library would not take a public key for a secret
            assert signature == segment(hmac.digest(key.as_pem(private=False), f"{head}.{payload}".encode(), "sha256"))
        elif algorithm != "none":
            return super()._checked_claims(token)
        return self.own, json.loads(base64.urlsafe_b64decode(payload + "=="))


def test_an_algorithm_taken_from_the_token_is_found(provider: KeyServer, canary: Canary, clock: StandingClock) -> None:
    forger = Forger(provider.keys[0], provider.issuer, canary.url, int(clock.now().timestamp()))
    verifiers = [kind(provider.keys, provider.issuer, AUDIENCE) for kind in (Verifier, Believing)]
    for case in CASES:
        if case["sign"] in ("nothing", "public-pem"):
            token = forger.token(case)
            with pytest.raises(Unauthenticated):
                verifiers[0].verify(token, clock.now())
            if case["header"]["alg"] != "nOnE":
                assert verifiers[1].verify(token, clock.now()).subject == "ana", case["name"]
