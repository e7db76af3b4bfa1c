"""Who hears of guests while they are erased: streams of each guest and of the property, two receivers of webhooks of
which one is away meanwhile, and clients with copies of their own. What each may not have heard or hold is a fault."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self

import httpx2
from guestprefs_client import SQLiteStore

from tests.chaos.background import Background
from tests.chaos.copies import Copy, NodeCopy, PythonCopy
from tests.chaos.grounds import PROPERTY, Grounds, wait_until
from tests.chaos.stream import StreamReader
from tests.cli.served import bearer
from tests.receiver import Received, Receiver, receiving

HERE, AWAY = "here", "away"  # the endpoints
NETWORKS = {"GUESTPREFS_WEBHOOK_NETWORKS": "127.0.0.0/8"}
AGAIN_S = 0.05


class Followed(Protocol):
    """A guest. `canary` stands in everything that was said of them."""

    id: str
    acknowledged_at: float

    @property
    def canary(self) -> str: ...
    def settle(self) -> None: ...


class Streams:
    """Of each guest by the guest, and of the property by the front desk; each goes on from its last id when cut."""

    def __init__(self, grounds: Grounds, background: Background, guests: Sequence[Followed]) -> None:
        self._url, self._guests = grounds.server.url, guests
        self.own = {one.id: StreamReader(grounds.token_of(one.id), {"guest": one.id}) for one in guests}
        self.house = StreamReader(grounds.service, {"property": PROPERTY})
        for reader in (*self.own.values(), self.house):
            background.start(self._read_on(reader))

    async def _read_on(self, reader: StreamReader) -> None:
        while not (reader is not self.house and self._partings(reader)):
            try:
                await reader.read(self._url)
            except httpx2.TransportError:
                pass
            await asyncio.sleep(AGAIN_S)

    @staticmethod
    def _partings(reader: StreamReader, guest: str | None = None) -> int:
        return sum(kind == "erased" and guest in (None, data["guest"]) for kind, data in reader.events)

    def are_told(self) -> bool:
        """Everybody has heard of everybody, with words."""
        return all(
            any(one.canary in json.dumps(body) for body in reader.bodies())
            for one in self._guests
            for reader in (self.own[one.id], self.house)
        )

    def are_over(self) -> bool:
        return all(self._partings(reader, one.id) for one in self._guests for reader in (self.own[one.id], self.house))

    @staticmethod
    def _late(reader: StreamReader, acknowledged_at: float) -> list[str]:
        """Whatever began to be sent after that."""
        told = zip(reader.events, reader.stamps, strict=True)
        return [json.dumps(data) for (_, data), (_, _, sent_at) in told if 0 < acknowledged_at < sent_at]

    def faults(self) -> list[str]:
        found = []
        for one in self._guests:
            for name, reader in (("own", self.own[one.id]), ("house", self.house)):
                if (count := self._partings(reader, one.id)) != 1:
                    found.append(f"{name}: {count} times told that {one.id} was erased")
                if any(one.canary in text for text in self._late(reader, one.acknowledged_at)):
                    found.append(f"{name}: told of {one.canary} after it was acknowledged")
                about = [(kind, text) for kind, data in reader.events if one.id in (text := json.dumps(data))]
                if any(kind == "erased" for kind, _ in about[:-1]):
                    found.append(f"{name}: told of {one.id} after it said they were erased")
        return found


class Hooks:
    """Two endpoints. The one that is away is not there while guests are erased, and comes back afterwards."""

    def __init__(self, grounds: Grounds, background: Background, guests: Sequence[Followed]) -> None:
        self._http, self._operator = grounds.http, bearer(grounds.operator)
        self._background, self._guests = background, guests
        self._said: dict[str, dict[str, Any]] = {}
        self._contexts = {name: receiving() for name in (HERE, AWAY)}
        self.receivers: dict[str, list[Receiver]] = {
            name: [background.enter(context)] for name, context in self._contexts.items()
        }
        for name, surface in ((HERE, "front_desk"), (AWAY, "guest_app")):
            self._put(name, surface=surface, url=self.receivers[name][0].url(f"/{name}"))

    def _put(self, name: str, **said: Any) -> None:
        put = self._http.put(f"/v1/webhooks/{name}", json=said, headers=self._operator)
        assert put.status_code in (200, 201), put.text
        self._said[name] = said

    def received(self, name: str) -> list[Received]:
        """Each message once, however often it came."""
        every = itertools.chain.from_iterable(receiver.received for receiver in self.receivers[name])
        return list({one.id: one for one in every}.values())

    def subjects(self, name: str) -> Mapping[str, str]:
        """By guest: what the guest is called towards this endpoint."""
        return {
            one.data["guest"]: one.data["subject"] for one in self.received(name) if {"guest", "subject"} <= {*one.data}
        }

    def are_told(self) -> bool:
        return all(one.id in self.subjects(name) for one in self._guests for name in (HERE, AWAY))

    def leave(self) -> None:
        """First it refuses: whoever is refused waits, and nobody connects at the very moment at which it is gone."""
        leaving = self.receivers[AWAY][0]
        leaving.answer = lambda _: 503
        count = len(leaving.received)
        wait_until(lambda: len(leaving.received) > count, "a message is refused")
        self._background.leave(self._contexts[AWAY])

    def come_back(self) -> None:
        """At the same place; the operator says so, so that it is tried at once."""
        said = self._said[AWAY]
        self._contexts[AWAY] = receiving(port=self.receivers[AWAY][0].port)
        self.receivers[AWAY].append(self._background.enter(self._contexts[AWAY]))
        for enabled in (False, True):
            self._put(AWAY, **{**said, "enabled": enabled})

    def _partings(self, name: str) -> list[str]:
        return [one.data["subject"] for one in self.received(name) if one.told["type"] == "guest.erased"]

    def are_over(self) -> bool:
        return all({*self.subjects(name).values()} <= {*self._partings(name)} for name in (HERE, AWAY))

    def faults(self) -> list[str]:
        found = []
        for name in (HERE, AWAY):
            subjects = self.subjects(name)
            texts = [one.body.decode() + str(one.headers) for one in self.received(name)]
            partings = self._partings(name)
            log = self._http.get(f"/v1/webhooks/{name}/deliveries?limit=100", headers=self._operator)
            assert log.status_code == 200 and "guest.erased" in log.text, log.text
            for one in self._guests:
                subject = subjects[one.id]
                if partings.count(subject) != 1:
                    found.append(f"{name}: {partings.count(subject)} times told that {one.id} was erased")
                if any(one.canary in text for text in texts):
                    found.append(f"{name}: told of {one.canary}")
                about = [text for text in texts if one.id in text or subject in text]
                if any("guest.erased" in text for text in about[:-1]):
                    found.append(f"{name}: told of {one.id} after it was told that they were erased")
                if one.id in log.text or one.canary in log.text:
                    found.append(f"{name}: the log names {one.id}")
            for late in self.receivers[AWAY][1].received if name == AWAY else ():
                if "guest" in late.data and late.data["guest"] in subjects:
                    found.append(f"{name}: told of {late.data['guest']}, who was erased meanwhile")
        return found


class Copies:
    """For each guest: a client that watches, one that is off line during the erasure, one that is not even running."""

    def __init__(
        self, grounds: Grounds, folder: Path, guests: Sequence[Followed], store: Callable[[Path], SQLiteStore]
    ) -> None:
        folder.mkdir()
        self.live: list[tuple[Followed, Copy]] = []
        self.away: list[tuple[Followed, Copy]] = []
        for number, one in enumerate(guests):
            who = (grounds.server.url, grounds.token_of(one.id), one.id, one.canary)
            named = {name: folder / f"{name}{number}" for name in ("live", "off", "shut", "node", "nodeoff")}
            self.live.append((one, PythonCopy(*who, named["live"], store)))
            self.away.append((one, PythonCopy(*who, named["off"], store)))
            self.away.append((one, PythonCopy(*who, named["shut"], store, shut=True)))
            if number == 0:
                self.live.append((one, NodeCopy(*who, named["node"])))
                self.away.append((one, NodeCopy(*who, named["nodeoff"])))

    def every(self) -> Sequence[tuple[Followed, Copy]]:
        return (*self.live, *self.away)

    def wait_until_told(self) -> None:
        for one, copy in self.every():
            copy.wait_until_told()
            assert copy.held().count(one.canary.encode()) >= 2, f"{copy.name} keeps nothing, so this proves nothing"

    def leave(self) -> None:
        for _, copy in self.away:
            copy.leave()

    def come_back(self) -> None:
        for _, copy in self.away:
            copy.come_back()

    def are_over(self) -> bool:
        return all([copy.is_over() for _, copy in self.every()])

    def faults(self) -> list[str]:
        found = [f"{copy.name}: does not know that the guest is gone" for _, copy in self.every() if not copy.is_over()]
        for one, copy in self.every():
            held = copy.held()
            found += [f"{copy.name}: holds {word}" for word in (one.canary, one.id) if word.encode() in held]
        return found

    def close(self) -> None:
        for _, copy in self.every():
            copy.close()


class Followers:
    """All of them. `told` is waited for before guests are erased, `away` lasts while they are."""

    def __init__(
        self,
        grounds: Grounds,
        guests: Sequence[Followed],
        keepers: int,
        store: Callable[[Path], SQLiteStore] = SQLiteStore,
    ) -> None:
        """`keepers`: how many of the guests have clients with copies."""
        self._grounds, self._guests, self._keepers, self._store = grounds, guests, keepers, store
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            background = stack.enter_context(Background())
            self.hooks = Hooks(self._grounds, background, self._guests)
            for guest in self._guests:
                guest.settle()
            self.streams = Streams(self._grounds, background, self._guests)
            folder = self._grounds.folder / "copies"
            self.copies = Copies(self._grounds, folder, self._guests[: self._keepers], self._store)
            stack.callback(self.copies.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_until_told(self) -> None:
        wait_until(self.streams.are_told, "streams are told", 60)
        wait_until(self.hooks.are_told, "webhooks are told", 60)
        self.copies.wait_until_told()

    def leave(self) -> None:
        self.hooks.leave()
        self.copies.leave()

    def come_back(self) -> None:
        self.hooks.come_back()
        self.copies.come_back()

    def are_over(self) -> bool:
        return all([self.streams.are_over(), self.hooks.are_over(), self.copies.are_over()])
