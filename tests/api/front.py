"""A client at the front door: signs tokens as an authorization server would, and speaks to the app over ASGI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from joserfc.jwk import Key

from api.auth import mint
from prefs.core.callers import ALL_GUESTS, Role

ISSUER = AUDIENCE = "guestprefs"
PROPERTY = "dallas"
START = datetime.fromisoformat("2026-07-01T12:00:00+00:00")


class StandingClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def pass_by(self, span: timedelta) -> None:
        self.at += span


class Front:
    """One running app. A caller is a token; `json` bodies are sent as they are told."""

    def __init__(self, app: Any, http: httpx2.AsyncClient, key: Key, clock: Any, house: Any) -> None:
        self.app, self.http, self.key, self.clock, self.house = app, http, key, clock, house

    @staticmethod
    def unopened(app: FastAPI) -> httpx2.AsyncClient:
        """A client of an app whose lifespan has not begun."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test")

    def token(
        self,
        role: str,
        surface: str,
        subject: str = "someone",
        properties: Iterable[str] = (),
        permissions: Iterable[str] = (),
        stay: str = "",
    ) -> str:
        return mint(
            self.key,
            issuer=ISSUER,
            audience=AUDIENCE,
            subject=subject,
            role=Role(role),
            surface=surface,
            now=self.clock.now(),
            lifetime=timedelta(hours=12),
            properties=list(properties),
            permissions=list(permissions),
            stay=stay,
        )

    def guest(self, guest: str, surface: str = "guest_app") -> str:
        return self.token("guest", surface, guest)

    def service(self) -> str:
        return self.token("service", "front_desk", "pms", permissions=[ALL_GUESTS])

    def operator(self) -> str:
        return self.token("operator", "front_desk", "ops", permissions=[ALL_GUESTS])

    def staff(self, surface: str = "front_desk", property: str = PROPERTY) -> str:
        return self.token("staff", surface, f"staff-{surface}", [property])

    def device(self, surface: str = "thermostat", property: str = PROPERTY, stay: str = "") -> str:
        return self.token("device", surface, f"{surface}-1204", [property], stay=stay)

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: dict[str, Any] | None = None,
    ) -> httpx2.Response:
        sent = dict(headers or {})
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if content is not None:
            sent.setdefault("content-type", "application/json")
        raw = {name: value.encode("latin-1") for name, value in sent.items()}
        return await self.http.request(method, path, json=json, content=content, headers=raw, params=params)

    async def ok(self, method: str, path: str, token: str | None = None, json: Any = None, **more: Any) -> Any:
        response = await self.call(method, path, token, json, **more)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    async def new_guest(self, name: str = "Ana Torres", identifiers: Iterable[dict[str, str]] = ()) -> str:
        body = {"display_name": name, "identifiers": list(identifiers)}
        return str((await self.ok("POST", "/v1/guests", self.service(), body))["guest"])

    async def new_property(self, property: str = PROPERTY, **declared: Any) -> None:
        body = {"name": property.title(), "time_zone": "UTC", "warm_months": [5, 6, 7, 8, 9], **declared}
        await self.ok("PUT", f"/v1/properties/{property}", self.operator(), body)

    async def new_stay(self, guest: str, stay: str = "stay-1", property: str = PROPERTY, **more: Any) -> None:
        now = self.clock.now()
        body = {
            "guest": guest,
            "property": property,
            "arrival": (now - timedelta(days=1)).isoformat(),
            "departure": (now + timedelta(days=3)).isoformat(),
            "room": "1204",
            "status": "in_house",
            **more,
        }
        await self.ok("PUT", f"/v1/stays/{stay}", self.service(), body)

    async def prefer(self, guest: str, patch: dict[str, Any], scope: str = "profile") -> Any:
        return await self.ok(
            "PATCH", f"/v1/guests/{guest}/preferences", self.guest(guest), patch, params={"scope": scope}
        )

    async def read(self, guest: str, token: str | None = None, **params: Any) -> Any:
        return await self.ok("GET", f"/v1/guests/{guest}/preferences", token or self.guest(guest), params=params)
