"""Who is calling: bearer tokens (JWT after RFC 9068) verified with keys from a local file, and signed for development.

A token never chooses how it is checked: the key decides the algorithm, addresses and keys inside the token (`jku`,
`x5u`, `jwk`) are not looked at, and a critical extension that nobody here knows refuses it. Verifying costs more than
a whole local read, so verified tokens are remembered by their SHA-256, for a minute at most and `CACHE_MAX` at most.
"""

import base64
import binascii
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from uuid_utils import uuid7

from prefs.core.callers import Caller, Role
from prefs.core.catalogue import DEVICE_SURFACES, STAFF_SURFACES, SURFACES
from prefs.core.errors import Unauthenticated

TOKEN_TYPE = "at+jwt"
TOKEN_BYTES_MAX = 8192
HEADER_BYTES_MAX = 4096
LEEWAY_SECONDS = 30
REMEMBERED_SECONDS = 60  # what a withdrawn key may still do at most
CACHE_MAX = 10_000  # tokens; about 5 MB
CLAIM_LENGTH_MAX = 200
LISTED_MAX = 200  # properties or permissions of one token

SURFACES_OF: Mapping[Role, tuple[str, ...]] = {
    Role.GUEST: ("guest_app", "kiosk"),
    Role.DEVICE: DEVICE_SURFACES,
    Role.STAFF: STAFF_SURFACES,
    Role.SERVICE: SURFACES,
    Role.OPERATOR: SURFACES,
}
_NEEDS_PROPERTY = (Role.STAFF, Role.DEVICE)


def make_key() -> OKPKey:
    """A new Ed25519 key with an id of its own."""
    return OKPKey.generate_key("Ed25519", {"kid": uuid7().hex, "use": "sig", "alg": "Ed25519"})


def save_keys(keys: Iterable[Key]) -> str:
    """The text of a key file: a JWK set with the private halves."""
    return json.dumps({"keys": [key.as_dict(private=True) for key in keys]}, indent=2) + "\n"


def load_keys(path: Path) -> list[Key]:
    """The keys of a JWK set file. Raises ValueError in words for a wrong file, OSError for one that cannot be read."""
    try:
        loaded = KeySet.import_key_set(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, JoseError) as error:
        raise ValueError(f"{path} is not a JWK set: {error}") from error
    for key in loaded.keys:
        algorithm_of(key)
    return list(loaded.keys)


def algorithm_of(key: Key) -> str:
    """The one algorithm a key may be used with; a token that names another is refused."""
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        return "Ed25519"  # "EdDSA" is deprecated by RFC 9864
    if isinstance(key, ECKey) and key.curve_name == "P-256":
        return "ES256"
    if isinstance(key, RSAKey):
        return "RS256"
    raise ValueError("a key must be Ed25519, P-256 or RSA")


def mint(
    key: Key,
    *,
    issuer: str,
    audience: str,
    subject: str,
    role: Role,
    surface: str,
    now: datetime,
    lifetime: timedelta,
    properties: Sequence[str] = (),
    stay: str = "",
    permissions: Sequence[str] = (),
    client_id: str = "guestprefs",
) -> str:
    """A signed token, as an authorization server would issue it."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "client_id": client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        "jti": uuid7().hex,
        "role": role.value,
        "surface": surface,
    }
    if properties:
        claims["properties"] = list(properties)
    if stay:
        claims["stay"] = stay
    if permissions:
        claims["scope"] = " ".join(permissions)
    algorithm = algorithm_of(key)
    header = {"alg": algorithm, "typ": TOKEN_TYPE, **({"kid": key.kid} if key.kid else {})}
    return jwt.encode(header, claims, key, algorithms=[algorithm], registry=_registry(algorithm))


def _registry(algorithm: str) -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = HEADER_BYTES_MAX
    return registry


class Verifier:
    """Tokens to callers. Raises Unauthenticated with a reason that helps the holder of a token and nobody else."""

    def __init__(self, keys: Sequence[Key], issuer: str, audience: str, remembered_max: int = CACHE_MAX) -> None:
        self._by_id = {key.kid: key for key in keys if key.kid}
        self._only = keys[0] if len(keys) == 1 else None
        self._issuer, self._audience, self._remembered_max = issuer, audience, remembered_max
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, token: bytes, moment: float) -> Caller | None:
        """The caller of a token that was verified lately; None for any other, which `verify` has to look at."""
        found = self._remembered.get(hashlib.sha256(token).digest())
        return found[0] if found and moment < found[1] else None

    def verify(self, token: str, now: datetime) -> Caller:
        if len(token) > TOKEN_BYTES_MAX:
            raise Unauthenticated("The token is too long.")
        moment = now.timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        with self._lock:
            known = self._remembered.get(digest)
            if known and moment < known[1]:
                self._remembered.move_to_end(digest)
                return known[0]
        claims = self._checked_claims(token)
        expires = self._check_times(claims, moment)
        caller = caller_of(claims)
        with self._lock:
            self._remembered[digest] = caller, min(expires, moment + REMEMBERED_SECONDS)
            self._remembered.move_to_end(digest)
            while len(self._remembered) > self._remembered_max:
                self._remembered.popitem(last=False)
        return caller

    def _checked_claims(self, token: str) -> Mapping[str, Any]:
        key = self._key_for(_header_of(token))
        algorithm = algorithm_of(key)
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm], registry=_registry(algorithm)).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated("The token's signature does not verify.") from error
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer:
            raise Unauthenticated("The token comes from another issuer.")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise Unauthenticated("The token is meant for another audience.")
        _text(claims, "client_id")
        return claims

    def _key_for(self, header: Mapping[str, Any]) -> Key:
        typ = header.get("typ")
        if not isinstance(typ, str) or typ.lower().removeprefix("application/") != TOKEN_TYPE:
            raise Unauthenticated("The token is not an access token (typ must be at+jwt).")
        if "crit" in header or "b64" in header:
            raise Unauthenticated("The token asks for an extension that is not known here.")
        kid = header.get("kid")
        key = self._only if kid is None else self._by_id.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise Unauthenticated("The token is signed with a key that is not known here.")
        if header.get("alg") != algorithm_of(key):
            raise Unauthenticated("The token's algorithm is not the one of its key.")
        return key

    def _check_times(self, claims: Mapping[str, Any], moment: float) -> float:
        expires, issued = _time(claims, "exp"), _time(claims, "iat")
        begins = _time(claims, "nbf") if "nbf" in claims else issued
        if moment >= expires + LEEWAY_SECONDS:
            raise Unauthenticated("The token has expired.")
        if max(issued, begins) > moment + LEEWAY_SECONDS:
            raise Unauthenticated("The token is not valid yet.")
        return expires


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e11:
        raise Unauthenticated(f"The token's {name} is missing or not a time.")
    return float(value)


def _header_of(token: str) -> Mapping[str, Any]:
    encoded, dot, _ = token.partition(".")
    if not dot or token.count(".") != 2 or not token.isascii() or len(encoded) > HEADER_BYTES_MAX:
        raise Unauthenticated("The token is not a JWT.")
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Unauthenticated("The token is not a JWT.") from error
    if not isinstance(header, dict):
        raise Unauthenticated("The token is not a JWT.")
    return header


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= CLAIM_LENGTH_MAX or not value.isprintable():
        raise Unauthenticated(f"The token's {name} is missing or not a text.")
    return value


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """The caller that verified claims speak of; a role that stands on a surface not its own is refused."""
    subject, surface = _text(claims, "sub"), _text(claims, "surface")
    try:
        role = Role(_text(claims, "role"))
    except ValueError as error:
        raise Unauthenticated("The token's role is not known.") from error
    if surface not in SURFACES_OF[role]:
        raise Unauthenticated(f"The token's role {role.value} has no surface {surface[:40]}.")
    properties = claims.get("properties", [])
    if not isinstance(properties, list) or not all(isinstance(p, str) and 0 < len(p) <= 64 for p in properties):
        raise Unauthenticated("The token's properties are not a list of ids.")
    if len(properties) > LISTED_MAX or (role in _NEEDS_PROPERTY and not properties):
        raise Unauthenticated(f"The token of a {role.value} names between 1 and {LISTED_MAX} properties.")
    scope = claims.get("scope", "")
    if not isinstance(scope, str) or len(scope.split()) > LISTED_MAX:
        raise Unauthenticated("The token's scope is not a text.")
    stay = _text(claims, "stay") if "stay" in claims else ""
    return Caller(subject, role, surface, frozenset(properties), stay, frozenset(scope.split()))
