"""A server for tests of what you build: in the process, without a network, and right about versions and conflicts.

`FakeServer` keeps guests in memory and answers the calls that a client makes as the service does: ETags and
`If-None-Match`, `If-Match`, base versions with both sides of a conflict, idempotency keys, problem documents. It knows
no catalogue, so it takes any key, resolves by scope alone and applies no rule of a house. What it does is held to the
real service by the tests of this package.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx2

from guestprefs_client.asynchronous import AsyncGuestPrefs
from guestprefs_client.ports import Clock
from guestprefs_client.surroundings import SystemClock
from guestprefs_client.sync import GuestPrefs

# From the least to the most special; what says more about here and now counts.
_SCOPES = ("profile", "brand", "property", "stay", "room")
_SOMEBODY = "somebody-else"
_NOT_FOUND = "There is no such thing here, or it is not yours to see."


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server hears it; names of headers in lower case."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class _Guest:
    id: str
    display_name: str
    identifiers: list[dict[str, str]]
    version: int = 1
    entries: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)


class _Refusal(Exception):
    def __init__(self, status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None, **more: Any):
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.more = errors or [], more


class FakeServer:
    """`server = FakeServer(); guest = server.add_guest({"room.quiet": True}); client = server.client()`"""

    url = "http://fake.invalid"

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.requests: list[Asked] = []
        self.down = False
        self.tokens: set[str] | None = None
        self._guests: dict[str, _Guest] = {}
        self._done: dict[str, tuple[str, Answer]] = {}
        self._failures: list[Answer] = []
        self._numbers = itertools.count(1)

    # ---- for the test ----

    def client(self, token: Any = "a-token", **options: Any) -> GuestPrefs:
        http = httpx2.Client(transport=httpx2.MockTransport(self.handle))
        return GuestPrefs(self.url, token, http=http, **options)

    def async_client(self, token: Any = "a-token", **options: Any) -> AsyncGuestPrefs:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.handle))
        return AsyncGuestPrefs(self.url, token, http=http, **options)

    def add_guest(self, preferences: Mapping[str, Any] | None = None, display_name: str = "") -> str:
        guest = _Guest(f"gst_{next(self._numbers):032x}", display_name, [])
        self._guests[guest.id] = guest
        made = {"version": 1, "at": self._at(), "actor": _SOMEBODY, "role": "service", "surface": "front_desk"}
        guest.changes.append({**made, "action": "create", "note": "", "keys": [], "scope": "", "said": {}})
        if preferences:
            self.edit(guest.id, preferences)
        return guest.id

    def edit(self, guest: str, patch: Mapping[str, Any], scope: str = "profile") -> int:
        """Somebody else edits; what comes back is the new version."""
        return self._apply(self._guests[guest], patch, scope, _SOMEBODY).version

    def erase(self, guest: str) -> None:
        self._guests.pop(guest, None)

    def values(self, guest: str) -> dict[str, Any]:
        """What is stored, as it was said, by key, for the profile."""
        return {key: one["said"] for (scope, key), one in self._guests[guest].entries.items() if scope == "profile"}

    def version(self, guest: str) -> int:
        return self._guests[guest].version

    def fail(self, status: int, code: str = "UNAVAILABLE", *, times: int = 1, retry_after: float | None = None) -> None:
        """Answer the next calls with this."""
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        self._failures += [self._problem(_Refusal(status, code, "as the test asked for"), headers)] * times

    # ---- as a server ----

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """For `httpx2.MockTransport`."""
        if self.down:
            raise httpx2.ConnectError("the fake server is down", request=request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        params = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        path = request.url.raw_path.split(b"?")[0].decode()
        answer = self.answer(Asked(request.method, path, params, headers, request.read()))
        return httpx2.Response(answer.status, headers=answer.headers, content=answer.body)

    def answer(self, asked: Asked) -> Answer:
        self.requests.append(asked)
        if self._failures:
            return self._failures.pop(0)
        try:
            if self.tokens is not None and asked.headers.get("authorization", "")[7:] not in self.tokens:
                raise _Refusal(401, "UNAUTHENTICATED", "The token has expired.")
            return self._once(asked)
        except _Refusal as refusal:
            return self._problem(refusal)

    def _once(self, asked: Asked) -> Answer:
        key = asked.headers.get("idempotency-key")
        if key is None or asked.method == "GET":
            return self._routed(asked)
        said = f"{asked.method} {asked.path} {sorted(asked.params.items())} {asked.body!r}"
        if key in self._done:
            before, answer = self._done[key]
            if before != said:
                fault = {"parameter": "Idempotency-Key", "code": "IDEMPOTENCY_KEY_REUSED", "detail": "used before"}
                raise _Refusal(422, "IDEMPOTENCY_KEY_REUSED", "The key was used for another request.", [fault])
            return Answer(answer.status, {**answer.headers, "idempotency-replayed": "true"}, answer.body)
        answer = self._routed(asked)
        self._done[key] = (said, answer)
        return answer

    def _routed(self, asked: Asked) -> Answer:
        parts = [unquote(part) for part in asked.path.removeprefix("/v1/").split("/")]
        routes: dict[tuple[str, ...], Callable[..., Answer]] = {
            ("GET", "guests", "*", "preferences"): self._get_preferences,
            ("PATCH", "guests", "*", "preferences"): self._edit_preferences,
            ("POST", "preferences", "batch"): self._batch,
            ("POST", "guests"): self._create_guest,
            ("GET", "guests"): self._find_guest,
            ("GET", "guests", "*"): self._get_guest,
            ("DELETE", "guests", "*"): self._erase_guest,
            ("GET", "guests", "*", "history"): self._get_history,
            ("POST", "guests", "*", "history", "*", "revert"): self._revert,
        }
        for route, call in routes.items():
            wanted = route[1:]
            fits = len(wanted) == len(parts) and all(w in ("*", p) for w, p in zip(wanted, parts, strict=True))
            if route[0] == asked.method and fits:
                return call(asked, *(part for want, part in zip(wanted, parts, strict=True) if want == "*"))
        raise _Refusal(404, "NOT_FOUND", _NOT_FOUND)

    # ---- calls ----

    def _get_preferences(self, asked: Asked, guest: str) -> Answer:
        keys = asked.params["keys"].split(",") if "keys" in asked.params else None
        found = self._known(guest)
        return self._told(asked, self._effective(found, keys), found.version)

    def _edit_preferences(self, asked: Asked, guest: str) -> Answer:
        found, patch = self._known(guest), asked.json
        scope = asked.params.get("scope", "profile")
        if not isinstance(patch, dict) or not patch:
            fault = {"pointer": "", "code": "WRONG_LENGTH", "detail": "must name a key"}
            raise _Refusal(422, "WRONG_LENGTH", "must name a key", [fault])
        match, base = asked.headers.get("if-match", "*"), asked.headers.get("preferences-base-version")
        if match != "*" and int(match.strip('"').split(".")[0]) != found.version:
            raise self._moved(found, match.strip('"').split(".")[0])
        if base is not None:
            self._refuse_conflicts(found, patch, scope, int(base))
        self._apply(found, patch, scope, "guest")
        shown = self._effective(found, list(patch))
        shown["preferences"] = {key: shown["preferences"].get(key, _nothing()) for key in patch}
        return self._told(asked, {**shown, "warnings": []}, found.version)

    def _batch(self, asked: Asked) -> Answer:
        items: list[dict[str, Any]] = []
        for guest in asked.json["guests"]:
            if guest in self._guests:
                items.append(self._effective(self._guests[guest], asked.json.get("keys")))
            else:
                items.append({"guest": guest, "problem": self._document(_Refusal(404, "NOT_FOUND", _NOT_FOUND))})
        return self._told(asked, {"items": items}, None)

    def _create_guest(self, asked: Asked) -> Answer:
        said = asked.json or {}
        guest = self._guests[self.add_guest(display_name=said.get("display_name", ""))]
        guest.identifiers = said.get("identifiers", [])
        answer = self._told(asked, self._document_of(guest), guest.version)
        return Answer(201, {**answer.headers, "location": f"/v1/guests/{guest.id}"}, answer.body)

    def _find_guest(self, asked: Asked) -> Answer:
        wanted = (asked.params.get("system"), asked.params.get("id"))
        for guest in self._guests.values():
            if wanted in [(one["system"], one["id"]) for one in guest.identifiers]:
                return self._told(asked, self._document_of(guest), guest.version)
        raise _Refusal(404, "NOT_FOUND", _NOT_FOUND)

    def _get_guest(self, asked: Asked, guest: str) -> Answer:
        found = self._known(guest)
        return self._told(asked, self._document_of(found), found.version)

    def _erase_guest(self, _asked: Asked, guest: str) -> Answer:
        self._known(guest)
        self.erase(guest)
        return Answer(204, self._headers(), b"")

    def _get_history(self, asked: Asked, guest: str) -> Answer:
        shown = [{name: one[name] for name in _CHANGE} for one in reversed(self._known(guest).changes)]
        version = self._known(guest).version
        return self._told(asked, {"changes": shown, "next_cursor": None}, version)

    def _revert(self, asked: Asked, guest: str, version: str) -> Answer:
        found = self._known(guest)
        undone = next((one for one in found.changes if one["version"] == int(version)), None)
        if undone is None:
            raise _Refusal(404, "NOT_FOUND", _NOT_FOUND)
        stands = {key: found.entries.get((undone["scope"], key), {}).get("said") for key in undone["said"]}
        differing = {key: said for key, said in undone["said"].items() if stands[key] != said}
        self._refuse_conflicts(found, differing, undone["scope"], int(version))
        self._apply(found, undone["said"], undone["scope"], "guest", action="revert")
        shown = self._effective(found, list(undone["said"]))
        shown["preferences"] = {key: shown["preferences"].get(key, _nothing()) for key in undone["said"]}
        return self._told(asked, {**shown, "warnings": []}, found.version)

    # ---- the document ----

    def _known(self, guest: str) -> _Guest:
        if guest not in self._guests:
            raise _Refusal(404, "NOT_FOUND", _NOT_FOUND)
        return self._guests[guest]

    def _apply(self, guest: _Guest, patch: Mapping[str, Any], scope: str, by: str, action: str = "edit") -> _Guest:
        before = {key: guest.entries.get((scope, key), {}).get("said") for key in patch}
        if all(before[key] == said for key, said in patch.items()):
            return guest  # what changes nothing makes no version
        guest.version += 1
        at = self._at()
        keys = []
        for key, said in patch.items():
            old = guest.entries.pop((scope, key), None)
            if said is not None:
                guest.entries[scope, key] = _entry(key, scope, said, guest.version, by, at)
            keys.append({"key": key, "before": _listed(old), "after": _listed(guest.entries.get((scope, key)))})
        made = {"version": guest.version, "at": at, "actor": by, "role": "guest", "surface": "guest_app"}
        guest.changes.append({**made, "action": action, "note": "", "keys": keys, "scope": scope, "said": before})
        return guest

    def _at(self) -> str:
        return datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def _effective(self, guest: _Guest, keys: list[str] | None) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        ordered = sorted(guest.entries.items(), key=lambda one: _SCOPES.index(one[0][0].split(":")[0]))
        for (scope, key), entry in ordered:
            if keys is None or key in keys:
                plain = {name: entry[name] for name in ("value", "unit", "entered", "strength") if name in entry}
                shown[key] = {**plain, "status": "applied", "layer": f"stated/{scope.split(':')[0]}"}
        return {"guest": guest.id, "version": guest.version, "preferences": shown}

    def _document_of(self, guest: _Guest) -> dict[str, Any]:
        entries: dict[str, dict[str, list[Any]]] = {}
        for (scope, key), one in guest.entries.items():
            entries.setdefault(scope, {})[key] = _listed(one)
        named = {"display_name": guest.display_name, "identifiers": guest.identifiers, "consents": []}
        return {"guest": guest.id, "version": guest.version, **named, "entries": entries}

    def _refuse_conflicts(self, guest: _Guest, patch: Mapping[str, Any], scope: str, base: int) -> None:
        if base > guest.version:
            raise self._moved(guest, str(base))
        since = [one for one in guest.changes if one["version"] > base and one["scope"] == scope]
        conflicts = []
        for key, yours in patch.items():
            touching = [(one, change) for one in since for change in one["keys"] if change["key"] == key]
            if touching:
                (_, first), (last, newest) = touching[0], touching[-1]
                sides = {"key": key, "yours": yours, "theirs": newest["after"], "base": first["before"]}
                conflicts.append({**sides, "by": last["actor"], "at": last["at"], "version": last["version"]})
        if conflicts:
            named = ", ".join(str(one["key"]) for one in conflicts)
            detail = f"Changed since your base version: {named}"
            raise _Refusal(409, "CONFLICT", detail, conflicts=conflicts, current_version=guest.version)

    @staticmethod
    def _moved(guest: _Guest, wanted: str) -> _Refusal:
        detail = f"The document is at version {guest.version}, not {wanted}."
        fault = {"parameter": "If-Match", "code": "VERSION_MOVED", "detail": detail}
        return _Refusal(412, "VERSION_MOVED", detail, [fault], current_version=guest.version)

    # ---- answers ----

    def _headers(self) -> dict[str, str]:
        told = {"date": formatdate(self.clock.now(), usegmt=True), "x-request-id": f"req-{next(self._numbers)}"}
        return {**told, "cache-control": "private, no-cache", "vary": "Authorization, Accept-Language"}

    def _told(self, asked: Asked, body: Any, version: int | None) -> Answer:
        content = json.dumps(body, ensure_ascii=False).encode()
        etag = f'"{version or 0}.{hashlib.sha256(content).hexdigest()[:20]}"'
        headers = {**self._headers(), "etag": etag, "content-type": "application/json"}
        if version is not None:
            headers["preferences-version"] = str(version)
        known = [one.strip().removeprefix("W/") for one in asked.headers.get("if-none-match", "").split(",")]
        if asked.method == "GET" and etag in known:
            return Answer(304, headers, b"")
        return Answer(200, headers, content)

    def _document(self, refusal: _Refusal) -> dict[str, Any]:
        name = refusal.code.lower().replace("_", "-")
        told = {"status": refusal.status, "detail": refusal.detail, "code": refusal.code, "errors": refusal.errors}
        title = HTTPStatus(refusal.status).phrase
        id = f"req-{next(self._numbers)}"
        return {"type": f"urn:guestprefs:problem:{name}", "title": title, **told, "request_id": id, **refusal.more}

    def _problem(self, refusal: _Refusal, headers: Mapping[str, str] | None = None) -> Answer:
        document = self._document(refusal)
        told = {"content-type": "application/problem+json", "cache-control": "no-store", **(headers or {})}
        body = json.dumps(document, ensure_ascii=False).encode()
        return Answer(refusal.status, {**self._headers(), **told, "x-request-id": document["request_id"]}, body)


_CHANGE = ("version", "at", "actor", "role", "surface", "action", "note", "keys")


def _listed(entry: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [] if entry is None else [{name: value for name, value in entry.items() if name != "said"}]


def _nothing() -> dict[str, Any]:
    return {"value": None, "status": "default", "layer": None}


def _entry(key: str, scope: str, said: Any, version: int, by: str, at: str) -> dict[str, Any]:
    """A bare value, or the wrapped form that is known by its member `value`; degrees Fahrenheit as the service does."""
    wrapped = said if isinstance(said, dict) and "value" in said else {"value": said}
    id = f"prf_{hashlib.sha256(f'{scope} {key} {version}'.encode()).hexdigest()[:32]}"
    told = {"id": id, "scope": scope, "strength": "preferred", **wrapped}
    if wrapped.get("unit") == "[degF]":
        told |= {"value": round((wrapped["value"] - 32) / 1.8, 2), "unit": "Cel"}
        told["entered"] = {"value": wrapped["value"], "unit": "[degF]"}
    provenance = {"kind": "stated", "actor": by, "surface": "guest_app", "at": at}
    return {**told, "provenance": provenance, "version": version, "said": said}
