"""Posts a message, to an address that was looked at: the name is resolved once, every address it has is judged, and the
connection is made to one of these very addresses, so that no second look at the name can lead elsewhere.

No redirect is followed, no proxy of the environment is asked, of the answer no more than its head is read and no more
than its status and `Retry-After` kept; all of it within one time limit.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address

from prefs.core.destinations import Address, Destination, Network, may_connect, take_apart
from prefs.ports import Posted

TOTAL_S = 10.0
HEAD_BYTES_MAX = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")
_RETRY_AFTER = re.compile(rb"(?mi)^retry-after:[ \t]*([0-9]{1,6})[ \t]*\r?$")

type Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(Exception):
    """It is not sent there, or nothing sensible came back; says why in one word."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name, as the machine's resolver says it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class HttpCourier:
    """Keeps the promises of `Courier`. `own` are networks that may be reached beside the public internet."""

    def __init__(
        self,
        own: Sequence[Network] = (),
        *,
        resolve: Resolve = resolve,
        trusted: ssl.SSLContext | None = None,
        total_s: float = TOTAL_S,
    ) -> None:
        self.own, self._resolve, self._total_s = own, resolve, total_s
        self._trusted = trusted

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        begun = time.monotonic()
        status, retry_after_s, error = 0, None, ""
        try:
            async with asyncio.timeout(self._total_s):
                status, retry_after_s = await self._post(url, headers, body)
        except TimeoutError:
            error = "TIMED_OUT"
        except Refused as refused:
            error = str(refused)
        except ssl.SSLError:
            error = "TLS_FAILED"
        except (OSError, UnicodeError, EOFError):
            error = "NOT_REACHED"
        return Posted(status, error, retry_after_s, round(1000 * (time.monotonic() - begun)))

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        destination = take_apart(url)
        if isinstance(destination, str):
            raise Refused("BAD_URL")
        address = await self._address(destination)
        trusted = None
        if destination.tls:
            self._trusted = trusted = self._trusted or await asyncio.to_thread(ssl.create_default_context)
        name = destination.host if destination.tls else None
        reader, writer = await asyncio.open_connection(
            str(address), destination.port, ssl=trusted, server_hostname=name, limit=HEAD_BYTES_MAX
        )
        try:
            writer.write(_head(destination, headers, len(body)) + body)
            await writer.drain()
            return await _answer(reader)
        finally:
            writer.transport.abort()  # what else it says is nothing to us
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _address(self, destination: Destination) -> Address:
        """Where to connect. A name with even one address that may not be reached is not reached at all."""
        literal = destination.literal
        found = [literal] if literal else await self._looked_up(destination)
        if not found or not all(may_connect(address, destination, self.own) for address in found):
            raise Refused("ADDRESS_REFUSED")
        return found[0]

    async def _looked_up(self, destination: Destination) -> list[Address]:
        try:
            return [ip_address(one) for one in await self._resolve(destination.host, destination.port)]
        except ValueError:  # an address with a zone
            raise Refused("ADDRESS_REFUSED") from None


def _head(destination: Destination, headers: Mapping[str, str], length: int) -> bytes:
    """No header holds anything from outside but the host, whose form was judged."""
    lines = [f"POST {destination.path} HTTP/1.1", f"host: {destination.authority}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, f"content-length: {length}", "", "")).encode("ascii")


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float | None]:
    for _ in range(3):  # what a receiver may say in between
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            raise Refused("BAD_ANSWER") from None
        first = _STATUS.fullmatch(head.partition(b"\r\n")[0])
        if first is None:
            raise Refused("BAD_ANSWER")
        status = int(first[1])
        if status >= 200:
            asked = _RETRY_AFTER.search(head)
            return status, float(asked[1]) if asked else None
    raise Refused("BAD_ANSWER")
