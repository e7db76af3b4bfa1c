"""A receiver of webhooks: a real server on loopback that keeps what it is sent and answers as a test says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from tempfile import NamedTemporaryFile
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook

from prefs.bootstrap import SystemClock


@dataclass(frozen=True)
class Received:
    """One request, as it came over the network."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.told["data"]
        return found

    def verified(self, secret: str) -> Any:
        """By the library that receivers use, as it is; raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """`answer` says the status for each request, or raw bytes of an answer; `connections` counts who connected at all,
    whether or not they said anything."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.answer: Callable[[Received], int | bytes] = lambda _: 204
        self.holds: asyncio.Event | None = None  # until it is set nothing is answered
        self._came = asyncio.Condition()
        self.port = 0
        self.scheme = "http"

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.received]

    @property
    def types(self) -> list[str]:
        return [str(one.told["type"]) for one in self.received]

    async def has(self, count: int, timeout_s: float = 10.0) -> None:
        """Return once so many messages have come, answered or not."""
        async with asyncio.timeout(timeout_s), self._came:
            await self._came.wait_for(lambda: len(self.received) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            found = Received(first.split()[1], headers, body)
            async with self._came:
                self.received.append(found)
                self._came.notify_all()
            if self.holds is not None:
                await self.holds.wait()
            answer = self.answer(found)
            if isinstance(answer, int):
                answer = f"HTTP/1.1 {answer} As Said\r\ncontent-length: 0\r\n\r\n".encode()
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def certificate(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server for this host shows, and what somebody who trusts it looks with."""
    key, now = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as file:
        file.write(shown + secret)
        file.flush()
        served.load_cert_chain(file.name)
    return served, ssl.create_default_context(cadata=shown.decode())


@asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver._serve, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    receiver.scheme = "https" if tls else "http"
    try:
        yield receiver
    finally:
        server.close()
        if receiver.holds is not None:
            receiver.holds.set()
        await server.wait_closed()


def statuses(*answers: int, then: int = 204) -> Callable[[Received], int]:
    """These, one after the other, and then always the same."""
    left: Sequence[int] = list(answers)

    def answer(_: Received) -> int:
        nonlocal left
        if not left:
            return then
        found, left = left[0], left[1:]
        return found

    return answer
