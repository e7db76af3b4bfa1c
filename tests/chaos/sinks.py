"""Every place where words of guests could come to lie or pass by: what servers say of themselves, what goes to Redis
and rests there, every row of every table, and every file of the service's folder."""

from __future__ import annotations

import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import redis

from tests.chaos.grounds import Grounds
from tests.servers import HOST

# What these columns hold identifies a guest and is looked for by its words; the rest of a guest's rows says nothing.
REGISTER = {"guest": ("display_name",), "identifier": ("id",)}
WORDS_OF_THE_HOUSE = ("extension",)  # definitions of the operator, not what guests said
INFLATED_MAX = 10_000_000

# By type of a Redis value: what reads all of it.
READ: Mapping[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, name: client.get(name),
    "hash": lambda client, name: client.hgetall(name),
    "list": lambda client, name: client.lrange(name, 0, -1),
    "set": lambda client, name: client.smembers(name),
    "zset": lambda client, name: client.zrange(name, 0, -1, withscores=True),
    "stream": lambda client, name: client.xrange(name),
    "none": lambda _, __: None,  # ran out since it was listed
}


class Overheard:
    """All that a Redis server is told from now on, by everybody."""

    def __init__(self, port: int) -> None:
        self._said = bytearray()
        self._socket = socket.create_connection((HOST, port), timeout=30)
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._socket.sendall(b"MONITOR\r\n")
        self._thread.start()
        return self

    def _listen(self) -> None:
        try:
            while told := self._socket.recv(1 << 20):
                self._said += told
        except OSError:
            return

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def text(self) -> str:
        return readable(_unescaped(bytes(self._said)))


def _unescaped(told: bytes) -> bytes:
    """MONITOR writes bytes that are no letters as \\xNN."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), told)


def readable(raw: bytes) -> str:
    """Bytes as text, with whatever is deflated in them inflated beside it."""
    return " ".join([raw.decode("latin-1"), *(part.decode("latin-1") for part in _inflated(raw))])


def _inflated(raw: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", raw):
        try:
            yield zlib.decompressobj().decompress(raw[match.start() :], INFLATED_MAX)
        except zlib.error:
            continue


def of_redis(grounds: Grounds) -> tuple[str, str]:
    """The names of all keys, and all that lies under them."""
    client = redis.Redis(host=HOST, port=grounds.valkey.port)
    try:
        names = list(client.scan_iter(count=1000))
        held = []
        for name in names:
            read = READ[client.type(name).decode()]
            held += [repr(read(client, name)), *map(readable, _bytes(read(client, name)))]
            held.append(readable(client.dump(name) or b""))
        return " ".join(name.decode("latin-1") for name in names), " ".join(held)
    finally:
        client.close()


def _bytes(told: Any) -> Iterator[bytes]:
    if isinstance(told, bytes):
        yield told
    elif isinstance(told, dict):
        yield from (part for pair in told.items() for one in pair for part in _bytes(one))
    elif isinstance(told, list | tuple | set):
        yield from (part for one in told for part in _bytes(one))


def of_tables(grounds: Grounds) -> tuple[str, int]:
    """Every row of every table as text, without the columns of the register, and how many there are."""
    execute, told = grounds.postgres.execute, list[str]()
    tables = [row[0] for row in execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "chaos")]
    assert {*REGISTER, *WORDS_OF_THE_HOUSE} <= {*tables}, tables
    for table in tables:
        if table in WORDS_OF_THE_HOUSE:
            continue
        for row in execute(f'SELECT * FROM "{table}"', "chaos"):
            shown = {name: value for name, value in row.items() if name not in REGISTER.get(table, ())}
            raw = [value for value in shown.values() if isinstance(value, bytes)]
            told.append(f"{table} {shown} " + " ".join(map(readable, raw)))
    return "\n".join(told), len(told)


def of_files(grounds: Grounds) -> str:
    """What lies in the service's own folder, and what the servers beside it wrote to their logs."""
    paths = [path for path in (grounds.folder / "data").rglob("*") if path.is_file()]
    return " ".join(readable(path.read_bytes()) for path in (*paths, grounds.postgres.log, grounds.valkey.log))


def settled(grounds: Grounds) -> str:
    """The server's log, when it has been quiet for a moment."""
    said = ""
    while (now := grounds.server.output()) != said:
        said = now
        time.sleep(0.2)
    return said
