"""Keys and what they sign: a JWK set file, the one algorithm each key may be used with, and tokens for development.

A key decides its algorithm, never the token that names it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from uuid_utils import uuid7

from prefs.core.callers import Role

TOKEN_TYPE = "at+jwt"
HEADER_BYTES_MAX = 4096
DEMO_KEY = "demo-"  # so begins the id of a key that a demo made
ALGORITHMS = ("Ed25519", "ES256", "RS256")
PUBLISHED_MAX = 100  # keys of one provider
RSA_BITS_MIN = 2048
_PRIVATE_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def make_key(mark: str = "") -> OKPKey:
    """A new Ed25519 key with an id of its own, which begins with the mark."""
    return OKPKey.generate_key("Ed25519", {"kid": mark + uuid7().hex, "use": "sig", "alg": "Ed25519"})


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


def published_keys(document: bytes) -> list[Key]:
    """The public keys of a provider's JWK set that verify signatures by one of our algorithms; all others are left
    out, for a set may hold what is meant for somebody else. Raises ValueError for what is no JWK set."""
    try:
        members = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("the answer is not a JWK set") from error
    if not isinstance(members, list) or len(members) > PUBLISHED_MAX:
        raise ValueError(f"the JWK set is not a list of at most {PUBLISHED_MAX} keys")
    found = [published_key(member) for member in members]
    return [key for key in found if key is not None]


def published_key(member: Any) -> Key | None:
    """One public key; None for what cannot or must not verify here (a secret, another use, a weak or unknown kind)."""
    if not isinstance(member, dict) or member.get("kty") not in ("OKP", "EC", "RSA"):
        return None
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        return None
    if member["kty"] == "RSA" and len(str(member.get("n", ""))) * 6 < RSA_BITS_MIN:
        return None
    public = {name: value for name, value in member.items() if name not in _PRIVATE_PARTS}
    try:
        key: Key = KeySet.import_key_set({"keys": [public]}).keys[0]
        algorithm = algorithm_of(key)
    except (ValueError, KeyError, TypeError, JoseError):
        return None
    return key if member.get("alg", algorithm) in (algorithm, "EdDSA") else None


def algorithm_of(key: Key) -> str:
    """The one algorithm a key may be used with; a token that names another is refused."""
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        return "Ed25519"  # "EdDSA" is deprecated by RFC 9864
    if isinstance(key, ECKey) and key.curve_name == "P-256":
        return "ES256"
    if isinstance(key, RSAKey):
        return "RS256"
    raise ValueError("a key must be Ed25519, P-256 or RSA")


def registry_of(algorithm: str) -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = HEADER_BYTES_MAX
    return registry


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
    more: Mapping[str, Any] | None = None,
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
        **(more or {}),
    }
    if properties:
        claims["properties"] = list(properties)
    if stay:
        claims["stay"] = stay
    if permissions:
        claims["scope"] = " ".join(permissions)
    algorithm = algorithm_of(key)
    header = {"alg": algorithm, "typ": TOKEN_TYPE, **({"kid": key.kid} if key.kid else {})}
    return jwt.encode(header, claims, key, algorithms=[algorithm], registry=registry_of(algorithm))
