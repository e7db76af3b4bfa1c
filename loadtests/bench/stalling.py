"""A server that stands still on purpose: 200 ms of every 2 s. A generator that does not see it is not believed."""

import asyncio
import sys
import time
from typing import Any

import uvloop

STALL_S, EVERY_S = 0.2, 2.0
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's own class, which is no asyncio.Transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", port)
    async with server:
        while True:
            await asyncio.sleep(EVERY_S - STALL_S)
            time.sleep(STALL_S)  # noqa: ASYNC251 - standing still is the point


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
