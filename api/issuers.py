"""Whose tokens count: the service's own key file, and OpenID providers whose published keys are kept at hand.

A provider is asked in the background, never for a request whose key is known, and never at an address that a token
names. What it said last stays good for 24 hours of its silence. A key id that nobody knows makes one request ask at
once, at most every ten seconds in each process, however many such tokens come; the others are refused meanwhile.
"""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import Key

from api.keys import published_keys
from prefs import telemetry
from prefs.ports import Clock

REFRESH_SECONDS = 240  # with a fetch and a tick it stays below the five minutes a withdrawn key may still do
RETRY_SECONDS = 30
KEPT_SECONDS = 24 * 3600
FORCED_EVERY_SECONDS = 10
UNKNOWN_MAX, UNKNOWN_SECONDS = 128, 60  # key ids that the provider does not know either
FETCH_SECONDS_MAX = 3.0
DOCUMENT_BYTES_MAX = 256 * 1024
DISCOVERY = "/.well-known/openid-configuration"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

CLAIMS: Mapping[str, str] = {name: name for name in ("role", "surface", "properties", "stay", "scope", "client_id")} | {
    "guest": "sub"
}

_log = telemetry.logger("issuers")

type Fetch = Callable[[str], Awaitable[bytes]]
type Look = Callable[[str], Awaitable["Document"]]


class FetchFailed(Exception):
    """A provider did not answer, or not as it should."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An address is asked or not; whoever answers there does not choose another."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Document:
    """What was fetched, and what time it was for its sender (None where that is not said)."""

    body: bytes
    at: float | None


def fetcher(seconds_max: float = FETCH_SECONDS_MAX) -> Fetch:
    """Fetches the text of a small document."""
    look = looker(seconds_max)

    async def fetch(url: str) -> bytes:
        return (await look(url)).body

    return fetch


def looker(seconds_max: float = FETCH_SECONDS_MAX) -> Look:
    """Fetches a small document in a thread: no redirects, a size limit, and a limit to the whole of the time."""

    def read(url: str) -> Document:
        handlers: list[Any] = [_NoRedirect()]
        if urlsplit(url).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        deadline, read = time.monotonic() + seconds_max, bytearray()
        asked = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "guestprefs"})
        with urllib.request.build_opener(*handlers).open(asked, timeout=seconds_max) as answer:
            while part := answer.read1(65536):
                read += part
                if len(read) > DOCUMENT_BYTES_MAX or time.monotonic() > deadline:
                    raise FetchFailed("the answer is too long or too slow")
            return Document(bytes(read), _sent_at(answer.headers))

    async def look(url: str) -> Document:
        try:
            async with asyncio.timeout(2 * seconds_max):
                return await asyncio.to_thread(read, url)
        except urllib.error.HTTPError as error:
            error.close()
            raise FetchFailed(f"it answered {error.code}") from error
        except (OSError, ValueError, HTTPException) as error:  # URLError and TimeoutError are OSErrors
            raise FetchFailed(f"it did not answer: {type(error).__name__}") from error

    return look


def _sent_at(headers: Mapping[str, str]) -> float | None:
    """The sender's clock; what a cache on the way kept is as much older as its Age says."""
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp() + float(headers.get("Age") or 0)
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(slots=True)
class Issuer:
    """One `iss`: its keys by id, how its claims are named, and how long a token of it may last (0: as it likes)."""

    name: str
    keys: Sequence[Key]
    claims: Mapping[str, str] = field(default_factory=lambda: CLAIMS)
    lifetime_seconds_max: int = 0
    own: bool = True  # the service's own key file
    _by_id: dict[str, Key] = field(init=False)

    def __post_init__(self) -> None:
        self._by_id = {key.kid: key for key in reversed(self.keys) if key.kid}

    def key(self, kid: object) -> Key | None:
        """A token without a key id can only mean the one key there is."""
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 else None
        return self._by_id.get(kid) if isinstance(kid, str) else None

    def put_keys(self, keys: Sequence[Key]) -> None:
        self.keys = keys
        self._by_id = {key.kid: key for key in reversed(keys) if key.kid}


class Provider:
    """Keeps the keys of one OpenID provider. `tick` is called every second or so; `on_change` hears of new keys."""

    def __init__(self, issuer: Issuer, clock: Clock, jwks_url: str = "", fetch: Fetch | None = None) -> None:
        self.issuer, self._clock, self._given_url = issuer, clock, jwks_url
        self._fetch = fetch or fetcher()
        self._url = jwks_url
        self._fetched_at: float | None = None
        self._asked_at = float("-inf")
        self._asking = False
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def ready(self) -> bool:
        """Whether there is an answer of the provider that is not too old to go by."""
        return self._fetched_at is not None and self._now() < self._fetched_at + KEPT_SECONDS

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def tick(self) -> None:
        """Ask again when it is time; forget keys that nobody has confirmed for a day."""
        now = self._now()
        fetched = float("-inf") if self._fetched_at is None else self._fetched_at
        if self.issuer.keys and now >= fetched + KEPT_SECONDS:
            self._put([])
        if now >= fetched + REFRESH_SECONDS and now >= self._asked_at + RETRY_SECONDS:
            await self._ask()

    async def learn(self, kid: str) -> bool:
        """Ask now for a key that a token names; whether that key is known afterwards. Nobody waits for another's
        question, and none is asked within ten seconds of the one before."""
        now = self._now()
        if self._asking or now < self._asked_at + FORCED_EVERY_SECONDS or now < self._unknown.get(kid, 0):
            return False
        await self._ask()
        if self.issuer.key(kid) is not None:
            return True
        self._unknown[kid] = now + UNKNOWN_SECONDS
        while len(self._unknown) > UNKNOWN_MAX:
            self._unknown.popitem(last=False)
        return False

    async def _ask(self) -> None:
        if self._asking:
            return
        self._asking, self._asked_at = True, self._now()
        try:
            keys = published_keys(await self._fetch(await self._where()))
        except (FetchFailed, ValueError) as failure:
            self._url = self._given_url  # it may have moved: look where it is again
            telemetry.KEY_FETCHES.labels("failed").inc()
            _log.warning("provider's keys could not be read", issuer=self.issuer.name, reason=str(failure))
            return
        finally:
            self._asking = False
        telemetry.KEY_FETCHES.labels("done").inc()
        self._fetched_at = self._now()
        if [key.as_dict() for key in keys] != [key.as_dict() for key in self.issuer.keys]:
            self._put(keys)

    async def _where(self) -> str:
        """The address of the key set: as set, else as the provider's own configuration says."""
        if not self._url:
            issuer, url = read_configuration(await self._fetch(configuration_of(self.issuer.name)))
            if issuer != self.issuer.name or not trustworthy(url):
                raise ValueError("its configuration is of another issuer, or names no safe address")
            self._url = url
        return self._url

    def _put(self, keys: Sequence[Key]) -> None:
        self._unknown.clear()
        self.issuer.put_keys(keys)
        self.on_change()


def configuration_of(issuer: str) -> str:
    """Where a provider says what it is (OpenID Connect Discovery)."""
    return issuer.rstrip("/") + DISCOVERY


def read_configuration(document: bytes) -> tuple[str, str]:
    """What a provider calls itself, and where its keys are. Raises ValueError."""
    try:
        told = json.loads(document)
        issuer, url = told["issuer"], told["jwks_uri"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("its configuration names no issuer and jwks_uri") from error
    if not isinstance(issuer, str) or not isinstance(url, str):
        raise ValueError("its configuration names no issuer and jwks_uri")
    return issuer, url


def trustworthy(url: str) -> bool:
    """Whether nobody on the way can change what an address says: TLS, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def read_claims(text: str) -> dict[str, str]:
    """Names of claims from `role=https://hotel.example/role, properties=hotel.ids`; the rest as usual. Raises
    ValueError."""
    claims = dict(CLAIMS)
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, equals, claim = (part.strip() for part in pair.partition("="))
        if name not in CLAIMS or not equals or not claim:
            raise ValueError(f"{pair!r} is not one of {', '.join(CLAIMS)} = a claim's name")
        claims[name] = claim
    return claims


def providers_of(issuers: str, jwks_urls: str, claims: str, lifetime_seconds_max: int, clock: Clock) -> list[Provider]:
    """The providers that the settings name, addresses in the order of their issuers. Raises ValueError in words."""
    names, urls = issuers.split(), jwks_urls.split()
    if urls and len(urls) != len(names):
        raise ValueError("there must be as many JWKS addresses as issuers, or none")
    for url in (*names, *urls):
        if not trustworthy(url):
            raise ValueError(f"{url} is not https")
    known = read_claims(claims)
    return [
        Provider(Issuer(name, (), known, lifetime_seconds_max, own=False), clock, url)
        for name, url in zip(names, urls or [""] * len(names), strict=True)
    ]
