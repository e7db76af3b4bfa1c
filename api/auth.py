"""Who is calling: bearer tokens (JWT after RFC 9068), verified with keys of the issuers that the settings name.

A token never chooses how it is checked: the key decides the algorithm, addresses and keys inside the token (`jku`,
`x5u`, `jwk`) are not looked at, and a critical extension that nobody here knows refuses it. Verifying costs more than
a whole local read, so verified tokens are remembered by their SHA-256, for a minute at most and `CACHE_MAX` at most;
whatever may change the judgement of one (a new key set, a revocation) empties that memory.

A token bound to a key (`cnf.jkt`, RFC 9449) is remembered apart: sent as a plain bearer it is never found.
"""

import base64
import binascii
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from api.dpop import Proof, Proofs
from api.issuers import Issuer, Provider
from api.keys import HEADER_BYTES_MAX, TOKEN_TYPE, algorithm_of, registry_of
from api.keys import load_keys as load_keys
from api.keys import make_key as make_key
from api.keys import mint as mint
from api.keys import save_keys as save_keys
from prefs.core.access import surfaces_of
from prefs.core.callers import Caller, Role
from prefs.core.errors import Unauthenticated, Unavailable
from prefs.core.revocations import Revoked, TokenFacts
from prefs.ports import SharedCounts

TOKEN_BYTES_MAX = 8192
LEEWAY_SECONDS = 30
REMEMBERED_SECONDS = 60  # what a withdrawn key may still do at most
CACHE_MAX = 10_000  # tokens; about 5 MB
CLAIM_LENGTH_MAX = 200
LISTED_MAX = 200  # properties or permissions of one token

_NEEDS_PROPERTY = (Role.STAFF, Role.DEVICE)


class Known(NamedTuple):
    """A verified token: whose it is, until when that is remembered, and the key it is bound to, if any."""

    caller: Caller
    until: float
    jkt: str


class Verifier:
    """Tokens to callers. Raises Unauthenticated with a reason that helps the holder of a token and nobody else."""

    def __init__(
        self,
        keys: Sequence[Key],
        issuer: str,
        audience: str,
        remembered_max: int = CACHE_MAX,
        providers: Sequence[Provider] = (),
        counts: SharedCounts | None = None,
    ) -> None:
        self.own = Issuer(issuer, keys)
        self._issuers = {issuer: self.own} | {provider.issuer.name: provider.issuer for provider in providers}
        self._providers = {provider.issuer.name: provider for provider in providers}
        for provider in providers:
            provider.on_change = self.forget
        self.audience, self._remembered_max = audience, remembered_max
        self._revoked = Revoked()
        self._proofs = Proofs(counts=counts)
        self._remembered: OrderedDict[bytes, Known] = OrderedDict()
        self._bound: OrderedDict[bytes, Known] = OrderedDict()
        self._generation = 0
        self._lock = threading.Lock()

    # ------------------------------------------------------------ what may change a judgement

    def forget(self) -> None:
        """Every token is looked at again."""
        with self._lock:
            self._generation += 1
            self._remembered.clear()
            self._bound.clear()

    @property
    def revoked(self) -> Revoked:
        return self._revoked

    def revoke(self, revoked: Revoked) -> None:
        """From now on these are refused, and no others."""
        if revoked != self._revoked:
            self._revoked = revoked
            self.forget()

    def tidy(self, now: datetime) -> None:
        """Let go of whose tokens have to be looked at anew anyway."""
        moment = now.timestamp()
        with self._lock:
            for memory in (self._remembered, self._bound):
                for digest in [digest for digest, found in memory.items() if found.until <= moment]:
                    del memory[digest]

    # ------------------------------------------------------------ tokens

    def known(self, token: bytes, moment: float) -> Caller | None:
        """The caller of a token that was verified lately; None for any other, which `verify` has to look at."""
        found = self._remembered.get(hashlib.sha256(token).digest())
        return found.caller if found and moment < found.until else None

    def known_bound(self, token: bytes, moment: float) -> Caller | None:
        """The same for a bound token; nothing may be told before `prove`."""
        found = self._bound.get(hashlib.sha256(token).digest())
        return found.caller if found and moment < found.until else None

    async def prove(self, token: bytes, proof: Proof, moment: float) -> None:
        """Use up the proof of a bound token that is known. Raises Unauthenticated for a wrong or used one."""
        digest = hashlib.sha256(token).digest()
        found = self._bound.get(digest)
        if found is None:
            raise Unauthenticated("The token is not known any more.")
        await self._proofs.use(proof, found.jkt, digest, moment)

    async def admit(self, token: str, now: datetime, proof: Proof | None, *, proved: bool = False) -> Caller:
        """The same as `verify`, for whom the processes beside are asked about the proof too. `proved`: that was found
        good for this very request, and is used up."""
        found, digest = self._verified(token, now, proof)
        if proof is not None and not proved:
            await self._proofs.use(proof, found.jkt, digest, now.timestamp())
        return found.caller

    def verify(self, token: str, now: datetime, proof: Proof | None = None) -> Caller:
        """The caller of a token; with a proof it must be bound to the proof's key, without one to none."""
        found, digest = self._verified(token, now, proof)
        if proof is not None:
            self._proofs.check(proof, found.jkt, digest, now.timestamp())
        return found.caller

    def check(self, token: str, now: datetime, proof: Proof | None) -> None:
        """Whether a token still counts whose request was admitted and goes on: its proof was for that. Raises
        Unauthenticated."""
        self._verified(token, now, proof)

    def _verified(self, token: str, now: datetime, proof: Proof | None) -> tuple[Known, bytes]:
        if len(token) > TOKEN_BYTES_MAX:
            raise Unauthenticated("The token is too long.")
        moment = now.timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        with self._lock:
            memory = self._remembered if proof is None else self._bound
            found = memory.get(digest)
            if found and moment < found.until:
                memory.move_to_end(digest)
            else:
                found = None
            generation = self._generation
        if found is None:
            found = self._look_at(token, moment)
            if found.jkt and proof is None:
                raise Unauthenticated("The token is bound to a key: send it with the scheme DPoP and a proof.")
            if not found.jkt and proof is not None:
                raise Unauthenticated("The token is not bound to a key: send it with the scheme Bearer.")
            self._remember(digest, found, generation)
        return found, digest

    def _look_at(self, token: str, moment: float) -> Known:
        issuer, claims = self._checked_claims(token)
        expires = self._check_times(issuer, claims, moment)
        caller, facts, jkt = caller_of(claims, issuer), token_facts(claims, issuer), _binding(claims)
        if issuer.own and self._providers and not (caller.role is Role.DEVICE or facts.link):
            raise Unauthenticated("The token's issuer speaks for devices and stay links only.")
        if self._revoked.refuses(facts):
            raise Unauthenticated("The token was revoked.")
        return Known(caller, min(expires, moment + REMEMBERED_SECONDS), jkt)

    def _remember(self, digest: bytes, found: Known, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return  # what it was judged by has changed meanwhile
            memory = self._bound if found.jkt else self._remembered
            memory[digest] = found
            memory.move_to_end(digest)
            while len(memory) > self._remembered_max:
                memory.popitem(last=False)

    async def learn(self, token: str) -> bool:
        """Whether looking once more may help: the token names a provider's key that has become known just now."""
        try:
            issuer, header = self._issuer_of(token), _header_of(token)
        except Unauthenticated:
            return False
        kid, provider = header.get("kid"), self._providers.get(issuer.name)
        if provider is None or not isinstance(kid, str) or issuer.key(kid) is not None:
            return False
        return await provider.learn(kid)

    def _issuer_of(self, token: str) -> Issuer:
        """The issuer that a token claims; its keys then say whether that is true."""
        claims = _segment(token.split(".")[1]) if token.count(".") == 2 else None
        name = claims.get("iss") if isinstance(claims, dict) else None
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise Unauthenticated("The token comes from another issuer.")
        return issuer

    def _checked_claims(self, token: str) -> tuple[Issuer, Mapping[str, Any]]:
        header = _header_of(token)
        issuer = self._issuer_of(token)
        key = self._key_for(issuer, header)
        algorithm = algorithm_of(key)
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm], registry=registry_of(algorithm)).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated("The token's signature does not verify.") from error
        audience = claims.get("aud")
        if claims.get("iss") != issuer.name:
            raise Unauthenticated("The token comes from another issuer.")
        if self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise Unauthenticated("The token is meant for another audience.")
        _text(claims, issuer.claims["client_id"])
        return issuer, claims

    def _key_for(self, issuer: Issuer, header: Mapping[str, Any]) -> Key:
        typ = header.get("typ")
        if not isinstance(typ, str) or typ.lower().removeprefix("application/") != TOKEN_TYPE:
            raise Unauthenticated("The token is not an access token (typ must be at+jwt).")
        if "crit" in header or "b64" in header:
            raise Unauthenticated("The token asks for an extension that is not known here.")
        provider = self._providers.get(issuer.name)
        if provider is not None and not provider.ready:
            raise Unavailable("The keys of the token's issuer cannot be read at the moment.")
        key = issuer.key(header.get("kid"))
        if key is None:
            raise Unauthenticated("The token is signed with a key that is not known here.")
        if header.get("alg") != algorithm_of(key):
            raise Unauthenticated("The token's algorithm is not the one of its key.")
        return key

    def _check_times(self, issuer: Issuer, claims: Mapping[str, Any], moment: float) -> float:
        expires, issued = _time(claims, "exp"), _time(claims, "iat")
        begins = _time(claims, "nbf") if "nbf" in claims else issued
        if moment >= expires + LEEWAY_SECONDS:
            raise Unauthenticated("The token has expired.")
        if max(issued, begins) > moment + LEEWAY_SECONDS:
            raise Unauthenticated("The token is not valid yet.")
        if issuer.lifetime_seconds_max and expires - issued > issuer.lifetime_seconds_max:
            raise Unauthenticated(f"The token lasts longer than {issuer.lifetime_seconds_max} seconds.")
        return expires


# ---------------------------------------------------------------- reading a token


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e11:
        raise Unauthenticated(f"The token's {name} is missing or not a time.")
    return float(value)


def _segment(encoded: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Unauthenticated("The token is not a JWT.") from error


def _header_of(token: str) -> Mapping[str, Any]:
    encoded, dot, _ = token.partition(".")
    if not dot or token.count(".") != 2 or not token.isascii() or len(encoded) > HEADER_BYTES_MAX:
        raise Unauthenticated("The token is not a JWT.")
    header = _segment(encoded)
    if not isinstance(header, dict):
        raise Unauthenticated("The token is not a JWT.")
    return header


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, else by a path into objects: `realm.role`."""
    if name in claims or "." not in name:
        return claims.get(name)
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = _claim(claims, name)
    if not isinstance(value, str) or not 0 < len(value) <= CLAIM_LENGTH_MAX or not value.isprintable():
        raise Unauthenticated(f"The token's {name} is missing or not a text.")
    return value


def _role(claims: Mapping[str, Any], name: str) -> Role:
    """One role. A provider may list all of a user's: exactly one of them must be ours."""
    given = _claim(claims, name)
    listed = given if isinstance(given, list) else [_text(claims, name)]
    found = [Role(one) for one in listed if isinstance(one, str) and one in list(Role)]
    if len(found) != 1:
        raise Unauthenticated("The token's role is not known.")
    return found[0]


def _binding(claims: Mapping[str, Any]) -> str:
    """The thumbprint of the key a token is bound to. Another kind of binding is one that nobody here can check."""
    confirmation = claims.get("cnf")
    if confirmation is None:
        return ""
    if not isinstance(confirmation, dict) or not isinstance(confirmation.get("jkt"), str) or len(confirmation) != 1:
        raise Unauthenticated("The token is bound in a way that is not known here.")
    return str(confirmation["jkt"])


def token_facts(claims: Mapping[str, Any], issuer: Issuer) -> TokenFacts:
    subject, token, link = claims.get("sub"), claims.get("jti"), claims.get("link")
    device = subject if issuer.own and claims.get("role") == Role.DEVICE else ""
    return TokenFacts(
        token=token if isinstance(token, str) else "",
        subject=str(subject),
        device=str(device),
        link=link if issuer.own and isinstance(link, str) else "",
        issued_at=_time(claims, "iat"),
    )


def caller_of(claims: Mapping[str, Any], issuer: Issuer) -> Caller:
    """The caller that verified claims speak of; a role that stands on a surface not its own is refused."""
    names = issuer.claims
    role = _role(claims, names["role"])
    subject = _text(claims, names["guest"] if role is Role.GUEST else "sub")
    surface = _text(claims, names["surface"])
    if surface not in surfaces_of(role):
        raise Unauthenticated(f"The token's role {role.value} has no surface {surface[:40]}.")
    properties = _claim(claims, names["properties"]) or []
    if isinstance(properties, str) and not issuer.own:
        properties = [properties]  # a provider's single value
    if not isinstance(properties, list) or not all(isinstance(p, str) and 0 < len(p) <= 64 for p in properties):
        raise Unauthenticated("The token's properties are not a list of ids.")
    if len(properties) > LISTED_MAX or (role in _NEEDS_PROPERTY and not properties):
        raise Unauthenticated(f"The token of a {role.value} names between 1 and {LISTED_MAX} properties.")
    scope = _claim(claims, names["scope"]) or ""
    if not isinstance(scope, str) or len(scope.split()) > LISTED_MAX:
        raise Unauthenticated("The token's scope is not a text.")
    stay = _text(claims, names["stay"]) if _claim(claims, names["stay"]) is not None else ""
    return Caller(subject, role, surface, frozenset(properties), stay, frozenset(scope.split()))
