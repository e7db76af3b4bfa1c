"""A device of RFC 8628 and RFC 9449: it holds a key, proves it with every request, and enrols over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx2
from joserfc import jws
from joserfc.jwk import Key, OKPKey
from uuid_utils import uuid7

from api.keys import algorithm_of
from api.schemas.enrolment import GRANT_DEVICE_CODE, GRANT_REFRESH
from tests.api.front import PROPERTY, Front

BASE = "http://test"


def segment(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Prover:
    def __init__(self, front: Front, name: str = "thermostat-1204", key: Key | None = None) -> None:
        self.front, self.name = front, name
        self.key = key or OKPKey.generate_key("Ed25519")

    def proof(self, method: str, path: str, token: str | None = None, **changes: Any) -> str:
        """A good proof for a request, but for these members; `header` changes those of its head."""
        head = {"typ": "dpop+jwt", "alg": algorithm_of(self.key), "jwk": self.key.as_dict(private=False)}
        claims: dict[str, Any] = {"jti": uuid7().hex, "htm": method, "htu": BASE + path}
        claims["iat"] = int(self.front.clock.now().timestamp())
        if token is not None:
            claims["ath"] = segment(hashlib.sha256(token.encode()).digest())
        head |= changes.pop("header", {})
        claims |= changes
        text = ".".join(segment({n: v for n, v in part.items() if v is not None}) for part in (head, claims))
        signature = jws.JWSRegistry.algorithms[algorithm_of(self.key)].sign(text.encode(), self.key)
        return f"{text}.{segment(signature)}"

    async def post(self, path: str, proved: bool = True, proof: str | None = None, **form: str) -> httpx2.Response:
        headers = {"dpop": proof or self.proof("POST", path)} if proved else {}
        return await self.front.http.post(path, data=form, headers=headers)

    async def ask(self, surface: str = "thermostat", proved: bool = True) -> dict[str, Any]:
        answer = await self.post("/oauth/device_authorization", proved, client_id=self.name, scope=surface)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def poll(self, asked: dict[str, Any], **more: Any) -> httpx2.Response:
        form = {"grant_type": GRANT_DEVICE_CODE, "client_id": self.name, "device_code": asked["device_code"]}
        return await self.post("/oauth/token", **(form | more))

    async def refresh(self, token: str, **more: Any) -> httpx2.Response:
        form = {"grant_type": GRANT_REFRESH, "client_id": self.name, "refresh_token": token}
        return await self.post("/oauth/token", **(form | more))

    async def decide(self, asked: dict[str, Any], approve: bool = True, by: str | None = None) -> httpx2.Response:
        body = {"property": PROPERTY, "approve": approve}
        staff = by or self.front.staff("engineering")
        return await self.front.call("PUT", f"/v1/device-grants/{asked['user_code']}", staff, body)

    async def enrol(self, surface: str = "thermostat") -> dict[str, Any]:
        """All of it; the answer with the first token."""
        asked = await self.ask(surface)
        assert (await self.decide(asked)).status_code == 200
        answer = await self.poll(asked)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def get(self, path: str, token: str, proof: str | None = None, scheme: str = "DPoP", **params: Any) -> Any:
        proof = proof or self.proof("GET", path, token)
        headers = {"authorization": f"{scheme} {token}", "dpop": proof}
        return await self.front.http.get(path, headers=headers, params=params)
