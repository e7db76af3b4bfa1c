"""The limits: the same document from a bare ASGI application, an empty FastAPI route, and a typed FastAPI route.

Each is what a service like this one would cost if it did nothing. They send the very bytes that guestprefs sends.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from pydantic import TypeAdapter

from api.schemas.preferences import EffectivePreferences

type Message = MutableMapping[str, Any]

BODY = Path(os.environ["BENCH_DOCUMENT"]).read_bytes()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
DOCUMENT = TypeAdapter(EffectivePreferences).validate_python(json.loads(BODY))


async def raw(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


ready = FastAPI()
typed = FastAPI()


def raw_application() -> Any:
    return raw


def ready_application() -> Any:
    return ready


def typed_application() -> Any:
    return typed


@ready.get("/v1/guests/{guest}/preferences")
async def ready_bytes(guest: str) -> Response:
    return Response(BODY, media_type="application/json")


@typed.get("/v1/guests/{guest}/preferences")
async def typed_model(guest: str, property: str | None = None) -> EffectivePreferences:
    return DOCUMENT


@ready.get("/readyz")
@typed.get("/readyz")
async def is_ready() -> Response:
    """What the supervisor asks when it starts. Last, so that the routes that are measured are found first."""
    return Response()
