"""The service with one question more: how much memory its process holds once all that is garbage is gone.

Nothing else is different; `serving.py` puts it on the server.
"""

import gc
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from api.app import create_app

MEMORY = "/bench/memory"

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]


def probed() -> Callable[[Message, Receive, Send], Awaitable[None]]:
    service = create_app()

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == MEMORY:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": str(resident_bytes()).encode()})
        else:
            await service(scope, receive, send)

    return application


def resident_bytes() -> int:
    """Of this process, after a full collection."""
    while gc.collect():
        pass
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
