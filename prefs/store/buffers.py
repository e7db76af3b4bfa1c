"""Buffers that live as long as a process and keep what last went through them, overwritten.

What is freed can be overwritten by who frees it; these are never freed. The event loop reads every socket into one
buffer, of which a short answer overwrites only the beginning. The driver keeps up to so many used buffers of what it
sends, and takes the last one first: those at the bottom may lie there for ever.
"""

import asyncio
import socket
from contextlib import suppress

from asyncpg.pgproto.pgproto import WriteBuffer

LOOP_BYTES = 256_000  # of uvloop's buffer; asyncio's own loop has none
SENT_KEPT = 256  # of the driver's, by each process
WAIT_S = 5.0


async def overwrite() -> None:
    """Once around, in a fifth of a millisecond. Without a file to spare for it, it is left to the next time."""
    _sent()
    with suppress(OSError):
        await _received()


def _sent() -> None:
    """A buffer that is taken out of the list begins as zeros."""
    taken = [WriteBuffer() for _ in range(SENT_KEPT)]
    del taken


async def _received() -> None:
    """Read as much of nothing as fits into the buffer, in one piece: all of it is there before it is read."""
    loop = asyncio.get_running_loop()
    there, here = socket.socketpair()
    with there:
        there.setblocking(False)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LOOP_BYTES)
        there.send(bytes(LOOP_BYTES))
    ended: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Drain(ended), sock=here)
    try:
        async with asyncio.timeout(WAIT_S):
            await ended
    finally:
        transport.close()


class _Drain(asyncio.Protocol):
    def __init__(self, ended: asyncio.Future[None]) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
