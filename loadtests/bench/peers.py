"""Other services that answer the same question, where they are installed: Kinto, PocketBase and Feast.

`PEERS` names the folder of their environments and data. They are used where they already answer on the ports below;
where they do not and a script `peers-up.sh` lies in that folder (or `PEERS_UP` names one), it is called with `up` and
`seed` before and `down` after. Each is pinned by that script to the server's core, as this bench pins its own.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from loadtests.bench.cores import SERVER_CORE
from loadtests.bench.started import Place, ask
from loadtests.bench.wire import ETAG, VALUE, Request, request

KINTO, POCKETBASE, FEAST = Place("kinto", 8891), Place("pocketbase", 8895), Place("feast", 6566)
_HEALTH = {KINTO.name: "/v1/", POCKETBASE.name: "/api/health", FEAST.name: "/health"}
COUNT = 100  # documents that are read and written
_SCRIPT_TIMEOUT_S = 600


@dataclass(slots=True)
class Peers:
    """Those that answer, and in words why another does not."""

    up: dict[str, Place]
    reason: str = ""
    script: Path | None = None

    def close(self) -> None:
        if self.script:
            _call(self.script, "down")


def find(say: Any) -> Peers:
    folder = os.environ.get("PEERS", "")
    if not folder or not Path(folder).is_dir():
        return Peers({}, "PEERS names no folder of installed peers")
    up, script = _answering(), None
    if not up:
        named = Path(os.environ.get("PEERS_UP") or Path(folder) / "peers-up.sh")
        if not named.is_file():
            return Peers({}, "no peer answers, and there is no peers-up.sh")
        say("starting peers (the first time installs them)")
        script = named
        _call(script, "up")
        _call(script, "seed")
        up = _answering()
    return Peers(up, "it does not answer", script)


def _call(script: Path, verb: str) -> None:
    environment = {**os.environ, "CPU": str(SERVER_CORE)}
    subprocess.run(
        ["bash", str(script), verb], env=environment, stdout=sys.stderr, check=False, timeout=_SCRIPT_TIMEOUT_S
    )


def _answering() -> dict[str, Place]:
    return {
        place.name: replace(place, pids=serving(place.port)) for place in (KINTO, POCKETBASE, FEAST) if _healthy(place)
    }


def serving(port: int) -> tuple[int, ...]:
    """The processes that listen on a port, and those they started."""
    found = set()
    for link in psutil.net_connections("tcp4"):
        if link.status == psutil.CONN_LISTEN and link.laddr.port == port and link.pid:
            found |= {link.pid, *(child.pid for child in psutil.Process(link.pid).children(recursive=True))}
    return tuple(sorted(found))


def _healthy(place: Place) -> bool:
    try:
        return ask(place.port, request(_HEALTH[place.name]))[0] == 200
    except OSError:
        return False


def give(peers: Peers, document: bytes) -> None:
    """The very document that guestprefs answers becomes theirs; Feast has ten numbers of its own."""
    held: dict[str, Any] = json.loads(document)
    for number in range(COUNT):
        if KINTO.name in peers.up:
            _accepted(ask(KINTO.port, request(_kinto(number), "PUT", {"data": held})), KINTO)
            _accepted(ask(KINTO.port, request(_kinto_own(number), "PUT", {"data": {}})), KINTO)
            _accepted(ask(KINTO.port, request(f"{_kinto_own(number)}/records/prefs", "PUT", {"data": held})), KINTO)
        if POCKETBASE.name in peers.up:
            _accepted(ask(POCKETBASE.port, request(_pocketbase(number), "PATCH", {"doc": held})), POCKETBASE)


def _accepted(answer: tuple[int, dict[str, str], bytes], place: Place) -> None:
    if answer[0] not in (200, 201):
        raise SystemExit(f"{place.name} refused the document: {answer[0]} {answer[2][:300]!r}")


def _kinto(number: int) -> str:
    return f"/v1/buckets/h2/collections/prefs/records/g{number}"


def _kinto_own(number: int) -> str:
    """A collection for one guest. Kinto allows one write a collection and millisecond and refuses the others with 409,
    so guests of one collection would be in each other's way; it is made for a collection or a bucket a user."""
    return f"/v1/buckets/h2/collections/guest-{number}"


def _pocketbase(number: int) -> str:
    return f"/api/collections/prefs/records/guest{number:010d}"


def reads(name: str) -> list[Request]:
    if name == FEAST.name:
        asked = {"features": [f"prefs:p{i}" for i in range(10)], "entities": {"guest_id": ["g1"]}}
        return [request("/get-online-features", "POST", asked)]
    path = _kinto if name == KINTO.name else _pocketbase
    return [request(path(number)) for number in range(COUNT)]


def pocketbase_batch() -> Request:
    wanted = quote("||".join(f'id="guest{number:010d}"' for number in range(COUNT)))
    return request(f"/api/collections/prefs/records?perPage=200&skipTotal=1&filter={wanted}")


def kinto_writes() -> list[tuple[Request, Request]]:
    """One key, merged, with a precondition; every write is committed to PostgreSQL."""
    headers = {"content-type": "application/merge-patch+json", "if-match": ETAG.decode()}
    body = b'{"data":{"version":' + VALUE + b"}}"
    paths = [f"{_kinto_own(number)}/records/prefs" for number in range(COUNT)]
    return [(request(path), request(path, "PATCH", body, headers)) for path in paths]


def pocketbase_writes(document: bytes) -> list[tuple[Request, Request]]:
    """It has neither a precondition nor a merge inside a JSON field: the document is sent whole. No history."""
    changed = json.dumps({**json.loads(document), "version": VALUE.decode()}, separators=(",", ":")).encode()
    body = b'{"doc":' + changed + b"}"
    return [(request(_pocketbase(n)), request(_pocketbase(n), "PATCH", body)) for n in range(COUNT)]
