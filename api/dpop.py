"""Proofs of possession (DPoP, RFC 9449): a device shows with each request that it holds the key of its token.

A proof is a small JWT over the method, the address, the token and a moment, good for that moment and once. Used ones
are remembered by each process for itself, as long as they could be good, and, where processes share a Redis, by all of
them together. While Redis is gone, whoever replays one to another process within a minute is not found out, and reads
what the device reads at that moment anyway. Where a process cannot remember any more, it refuses rather than forget.
"""

import base64
import binascii
import hashlib
import inspect
import json
from collections import OrderedDict
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from api.keys import algorithm_of, published_key, registry_of
from prefs.core.errors import Unauthenticated
from prefs.ports import CountsUnavailable, SharedCounts

PROVED = "guestprefs.proved"  # key of the ASGI scope: the proof of this request was found good already
PROOF_TYPE = "dpop+jwt"
PROOF_BYTES_MAX = 4096
WINDOW_SECONDS = 60  # how old a proof may be, and how far ahead a device's clock
SEEN_MAX = 100_000  # proofs; about 15 MB
ID_LENGTH_MAX = 200
_split = inspect.unwrap(urlsplit)  # which would remember the addresses of many requests
USED = "The proof was used before."
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Proof(NamedTuple):
    """What came in the header `DPoP`, and the request it came with; `address` without query."""

    text: str
    method: str
    address: str


class Used(NamedTuple):
    """A proof that was good: the thumbprint of its key, and the name that no other proof has."""

    thumbprint: str
    name: bytes


class Proofs:
    """Checks proofs and remembers those that were used, together with the processes beside. For one thread."""

    def __init__(self, seen_max: int = SEEN_MAX, counts: SharedCounts | None = None) -> None:
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._seen_max, self._counts = seen_max, counts

    async def use(self, proof: Proof, jkt: str, token_digest: bytes | None, moment: float) -> str:
        """Raises Unauthenticated unless the proof is good for this request and was never used, here or in a process
        beside; the thumbprint of its key, which must be `jkt` where one is given."""
        used = self.check(proof, jkt, token_digest, moment)
        await self.claim(used)
        return used.thumbprint

    async def claim(self, used: Used) -> None:
        """Raises Unauthenticated where another process has seen this proof; nothing is known while Redis is gone."""
        if self._counts is None:
            return
        try:
            claims = await self._counts.add(f"proof:{used.name.hex()}", 1, 2 * WINDOW_SECONDS)
        except CountsUnavailable:
            return
        if claims > 1:
            raise Unauthenticated(USED)

    def check(self, proof: Proof, jkt: str, token_digest: bytes | None, moment: float) -> Used:
        """The same as far as this process knows by itself."""
        key, claims = _read(proof.text)
        if claims.get("htm") != proof.method or _same(claims.get("htu")) != _same(proof.address):
            raise Unauthenticated("The proof is for another request (htm and htu).")
        at = claims.get("iat")
        if isinstance(at, bool) or not isinstance(at, int | float) or not abs(at - moment) <= WINDOW_SECONDS:
            raise Unauthenticated(f"The proof's iat is not within {WINDOW_SECONDS} seconds of now.")
        if token_digest is not None and claims.get("ath") != _base64(token_digest):
            raise Unauthenticated("The proof is for another token (ath).")
        thumbprint = key.thumbprint()
        if jkt and thumbprint != jkt:
            raise Unauthenticated("The proof is signed with another key than the token's.")
        return Used(thumbprint, self._use(thumbprint, claims.get("jti"), moment))

    def _use(self, thumbprint: str, jti: object, moment: float) -> bytes:
        if not isinstance(jti, str) or not 0 < len(jti) <= ID_LENGTH_MAX:
            raise Unauthenticated("The proof's jti is missing or not a text.")
        while self._seen and next(iter(self._seen.values())) < moment:
            self._seen.popitem(last=False)
        used = hashlib.sha256(f"{thumbprint}:{jti}".encode("utf-8", "replace")).digest()
        if used in self._seen:
            raise Unauthenticated(USED)
        if len(self._seen) >= self._seen_max:
            raise Unauthenticated("More proofs are used than can be remembered; ask again in a minute.")
        self._seen[used] = moment + 2 * WINDOW_SECONDS  # in order, so that the oldest goes first
        return used


def _read(text: str) -> tuple[Key, dict[str, Any]]:
    if len(text) > PROOF_BYTES_MAX or not text.isascii() or text.count(".") != 2:
        raise Unauthenticated("The proof is not a JWT of a few hundred bytes.")
    encoded = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Unauthenticated("The proof is not a JWT.") from error
    if not isinstance(header, dict) or header.get("typ") != PROOF_TYPE or "crit" in header or "b64" in header:
        raise Unauthenticated("The proof is not a proof (typ must be dpop+jwt, without extensions).")
    member = header.get("jwk")
    # A proof brings its own key, which is what it proves; the private half in it would prove nothing.
    key = published_key(member) if isinstance(member, dict) and "d" not in member else None
    if key is None or header.get("alg") != algorithm_of(key):
        raise Unauthenticated("The proof's key is not a public Ed25519, P-256 or RSA key of its algorithm.")
    algorithm = algorithm_of(key)
    try:
        claims = jwt.decode(text, key, algorithms=[algorithm], registry=registry_of(algorithm)).claims
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Unauthenticated("The proof's signature does not verify.") from error
    return key, dict(claims)


def _base64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _same(address: object) -> str:
    """An address in the one form that is compared: small scheme and host, no default port, no query (RFC 9449)."""
    if not isinstance(address, str):
        return ""
    try:
        parts = _split(address)
    except ValueError:
        return ""
    scheme, host = parts.scheme.lower(), parts.netloc.lower()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ''))}{parts.path or '/'}"
