"""Bearer tokens: what verifies, what does not, and what is remembered for how long."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from api import auth
from api.auth import Verifier, load_keys, make_key, mint, save_keys
from prefs.core.callers import Caller, Role
from prefs.core.errors import Unauthenticated
from tests.api.front import START

KEY = make_key()
CLAIMS: dict[str, Any] = {
    "iss": "issuer",
    "aud": "audience",
    "sub": "staff-1",
    "client_id": "desk",
    "iat": int(START.timestamp()),
    "exp": int(START.timestamp()) + 600,
    "role": "staff",
    "surface": "front_desk",
    "properties": ["dallas"],
}
HEADER: dict[str, Any] = {"alg": "Ed25519", "typ": "at+jwt", "kid": KEY.kid}


def verifier(*keys: Key) -> Verifier:
    return Verifier(keys or (KEY,), "issuer", "audience")


def signed(claims: Any, header: dict[str, Any] | None = None, key: Key = KEY) -> str:
    header = HEADER if header is None else header
    registry = jws.JWSRegistry(algorithms=[str(header.get("alg"))], strict_check_header=False)
    registry.max_header_length = 100_000
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, registry=registry)


def segment(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_good_token_names_its_caller() -> None:
    claims = CLAIMS | {"scope": "guests.all audit", "stay": "R-1", "aud": ["other", "audience"]}
    assert verifier().verify(signed(claims), START) == Caller(
        "staff-1", Role.STAFF, "front_desk", frozenset({"dallas"}), "R-1", frozenset({"guests.all", "audit"})
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iss": "other"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other"]}, "audience"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "a\x00"}, "sub"),
        ({"client_id": None}, "client_id"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"exp": CLAIMS["iat"] - 30}, "expired"),
        ({"iat": None}, "iat"),
        ({"iat": CLAIMS["iat"] + 31}, "not valid yet"),
        ({"nbf": CLAIMS["iat"] + 31}, "not valid yet"),
        ({"role": "root"}, "role"),
        ({"role": None}, "role"),
        ({"surface": None}, "surface"),
        ({"surface": "thermostat"}, "surface"),
        ({"role": "guest", "surface": "front_desk"}, "surface"),
        ({"role": "device", "surface": "guest_app"}, "surface"),
        ({"properties": None}, "properties"),
        ({"properties": []}, "properties"),
        ({"properties": "dallas"}, "properties"),
        ({"properties": [1]}, "properties"),
        ({"properties": [f"p{i}" for i in range(201)]}, "properties"),
        ({"scope": ["guests.all"]}, "scope"),
        ({"stay": 7}, "stay"),
    ],
)
def test_claims_that_are_refused(changes: dict[str, Any], words: str) -> None:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    with pytest.raises(Unauthenticated, match=words):
        verifier().verify(signed(claims), START)


def test_thirty_seconds_of_leeway_and_no_more() -> None:
    token = signed(CLAIMS)
    verifier().verify(token, START + timedelta(seconds=629))
    with pytest.raises(Unauthenticated, match="expired"):
        verifier().verify(token, START + timedelta(seconds=630))
    verifier().verify(signed(CLAIMS | {"iat": CLAIMS["iat"] + 30}), START)


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": True},
        {"kid": "unknown"},
        {"kid": 7},
    ],
)
def test_headers_that_are_refused(changes: dict[str, Any]) -> None:
    header = {name: value for name, value in (HEADER | changes).items() if value is not None}
    if {"crit", "kid"} & changes.keys():  # the library would not sign these
        good = signed(CLAIMS)
        token = ".".join([segment(header), *good.split(".")[1:]])
    else:
        token = signed(CLAIMS, header)
    with pytest.raises(Unauthenticated):
        verifier().verify(token, START)


def test_a_token_cannot_bring_its_own_key() -> None:
    stranger = make_key()
    for address in ("jku", "x5u"):
        token = signed(CLAIMS, HEADER | {address: "https://example.invalid/keys"}, stranger)
        with pytest.raises(Unauthenticated):
            verifier().verify(token, START)
    token = signed(CLAIMS, HEADER | {"jwk": stranger.as_dict(private=False)}, stranger)
    with pytest.raises(Unauthenticated):
        verifier().verify(token, START)
    verifier().verify(signed(CLAIMS, HEADER | {"jku": "https://example.invalid/keys"}), START)


def test_the_key_decides_the_algorithm() -> None:
    public = KEY.as_dict(private=False)["x"].encode()
    for forged in (
        f"{segment({**HEADER, 'alg': 'none'})}.{segment(CLAIMS)}.",
        signed(CLAIMS, {**HEADER, "alg": "HS256"}, OctKey.import_key(public * 2)),
    ):
        with pytest.raises(Unauthenticated, match="algorithm"):
            verifier().verify(forged, START)
    elliptic = ECKey.generate_key("P-256", {"kid": "ec"})
    token = signed(CLAIMS, {"alg": "ES256", "typ": "at+jwt", "kid": "ec"}, elliptic)
    assert verifier(KEY, elliptic).verify(token, START).subject == "staff-1"
    with pytest.raises(Unauthenticated, match="not known"):
        verifier().verify(token, START)


def test_a_tampered_token_is_refused() -> None:
    head, _, signature = signed(CLAIMS).split(".")
    for claims in (CLAIMS | {"sub": "someone-else"}, [1], "text", 7):
        with pytest.raises(Unauthenticated):
            verifier().verify(f"{head}.{segment(claims)}.{signature}", START)
    for claims in ([CLAIMS], "text", 7, None):
        with pytest.raises(Unauthenticated):
            verifier().verify(signed(claims), START)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.b.c", f"{segment([1])}.b.c", f"{segment(b'{')}.b.c", "x" * 9000],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(token, START)


def test_sizes_are_limited() -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(signed(CLAIMS, HEADER | {"x": "x" * 3100}), START)  # 4 KB once encoded
    with pytest.raises(Unauthenticated, match="too long"):
        verifier().verify(signed(CLAIMS | {"x": "x" * 6200}), START)


class CountingVerifier(Verifier):
    """Counts how often a signature is really checked."""

    checked = 0

    def _checked_claims(self, token: str) -> tuple[Any, Mapping[str, Any]]:
        self.checked += 1
        return super()._checked_claims(token)


def test_remembering_ends_with_the_token_and_after_a_minute() -> None:
    known, token = CountingVerifier([KEY], "issuer", "audience", remembered_max=2), signed(CLAIMS)
    for seconds, expected in ((0, 1), (59, 1), (60, 2), (119, 2), (595, 3), (599, 3), (600, 4), (601, 5)):
        known.verify(token, START + timedelta(seconds=seconds))
        assert known.checked == expected, seconds


def test_nobody_stays_remembered_whose_token_has_to_be_looked_at_anew() -> None:
    known, token = CountingVerifier([KEY], "issuer", "audience"), signed(CLAIMS)
    known.verify(token, START)
    known.tidy(START + timedelta(seconds=59))
    assert known.known(token.encode(), START.timestamp()) is not None
    known.tidy(START + timedelta(seconds=60))
    assert known.known(token.encode(), START.timestamp()) is None


def test_no_more_tokens_are_remembered_than_the_limit() -> None:
    known = CountingVerifier([KEY], "issuer", "audience", remembered_max=2)
    tokens = [signed(CLAIMS | {"sub": f"staff-{number}"}) for number in range(3)]
    for token in (*tokens, tokens[2], tokens[1], tokens[0]):
        known.verify(token, START)
    assert known.checked == 4  # the first was forgotten for the third


def test_keys_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(save_keys([KEY, make_key()]), encoding="utf-8")
    loaded = load_keys(path)
    token = mint(
        loaded[0],
        issuer="issuer",
        audience="audience",
        subject="gst_1",
        role=Role.GUEST,
        surface="guest_app",
        now=START,
        lifetime=timedelta(hours=12),
    )
    assert Verifier(loaded, "issuer", "audience").verify(token, START).subject == "gst_1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "OKP"}]}',
        json.dumps({"keys": [OctKey.generate_key(256).as_dict(private=True)]}),
        json.dumps({"keys": [OKPKey.generate_key("X25519").as_dict(private=True)]}),
        json.dumps({"keys": [ECKey.generate_key("P-384").as_dict(private=True)]}),
    ],
    ids=["empty", "list", "no set", "no key", "no parts", "secret", "x25519", "p-384"],  # generated keys name no test
)
def test_a_wrong_key_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="key|JWK"):
        load_keys(path)


def test_every_kind_of_key_has_one_algorithm() -> None:
    keys = [KEY, ECKey.generate_key("P-256"), RSAKey.generate_key(2048)]
    assert [auth.algorithm_of(key) for key in keys] == ["Ed25519", "ES256", "RS256"]
