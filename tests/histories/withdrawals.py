"""Guests who allow a purpose and take it back, again and again, and readers who ask everywhere for what it gated."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from tests.histories.client import Answer, Caller, Unanswered, callers, request
from tests.histories.followers import Followed, Followers
from tests.histories.trio import WORKERS, Trio

KEY, PURPOSE, SECRET = "food.allergens", "food_safety", "peanut"
WATCH_S = 0.3  # beyond Delta: what a local copy could still tell, it would tell by then
SHOWN_TO_ALL = 0.5  # the share of rounds in which streams were told before; in others that may be on its way
SHOWN_S = 5.0  # by when a granted value must have been seen by all, or the round does not count


@dataclass(slots=True)
class Tally:
    withdrawn: int = 0  # answered 200
    accepted: dict[str, datetime] = field(default_factory=dict)  # answered 202: guest, and by when it holds
    unknown: int = 0  # not answered, or refused
    judged: Counter[str] = field(default_factory=Counter)  # reads begun after a 200, by tier
    shown: int = 0  # reads before it that told the value: there was something to leak
    leaks: list[str] = field(default_factory=list)
    followed: Followed = field(default_factory=Followed)


class Withdrawals:
    def __init__(self, trio: Trio, guests: int, seed: int = 3, followed: bool = False) -> None:
        """`followed`: streams and a client follow each guest."""
        self.tally = Tally()
        self._followed = followed
        self._trio = trio
        self._count = guests
        self._chance = random.Random(seed)
        self._tokens: dict[str, str] = {}
        self._over, self._enough = 0.0, 0

    async def run(self, seconds: float, enough: int = 0) -> Tally:
        """Until the time is over and so many reads were judged."""
        self._trio.make_late()
        self._over, self._enough = time.monotonic() + seconds, enough
        await asyncio.gather(*(self._guest() for _ in range(self._count)))
        return self.tally

    def _goes_on(self) -> bool:
        return time.monotonic() < self._over or sum(self.tally.judged.values()) < self._enough

    async def _guest(self) -> None:
        async with callers(self._trio.ports, 2 * WORKERS) as readers:
            while self._goes_on():
                guest = await self._new_guest(readers[0])
                async with self._followers(guest) as followers:
                    while self._goes_on() and guest not in self.tally.accepted:
                        await self._round(guest, readers, followers)

    @asynccontextmanager
    async def _followers(self, guest: str) -> AsyncIterator[Followers | None]:
        if not self._followed:
            yield None
            return
        followers = Followers(self._trio, guest, SECRET, self._chance.randrange(WORKERS))
        async with followers.at_work():
            yield followers
        self.tally.followed.add(followers)

    async def _new_guest(self, caller: Caller) -> str:
        made = await self._insist(caller, "POST", "/v1/guests", self._trio.service_token(), {"display_name": "G"})
        guest = str(orjson.loads(made.body)["guest"])
        return guest

    def _token_of(self, guest: str) -> str:
        if guest not in self._tokens:
            self._tokens[guest] = self._trio.guest_token(guest)
        return self._tokens[guest]

    async def _insist(self, caller: Caller, method: str, path: str, token: str, body: object = None) -> Answer:
        """Ask whoever answers until it is done: what prepares a round is not what is judged."""
        while True:
            try:
                worker = self._chance.randrange(WORKERS)
                answer = await caller.ask(worker, request(method, path, token, body))
                if answer.status < 300:
                    return answer
                assert answer.status == 503, answer.body
            except Unanswered:
                pass
            await asyncio.sleep(0.02)

    async def _round(self, guest: str, readers: list[Caller], followers: Followers | None) -> None:
        consent, token = f"/v1/guests/{guest}/consents/{PURPOSE}", self._token_of(guest)
        if followers is not None:
            followers.allow()
        await self._insist(readers[0], "PUT", consent, token)
        stated = {KEY: [{"code": SECRET + "s"}]}
        await self._insist(readers[0], "PATCH", f"/v1/guests/{guest}/preferences", token, stated)
        await asyncio.gather(*(self._show(guest, caller, n) for n, caller in enumerate(readers[:WORKERS])))
        if followers is not None and self._chance.random() < SHOWN_TO_ALL:
            await followers.wait_until_shown()
        try:
            answer = await readers[0].ask(self._chance.randrange(WORKERS), request("DELETE", consent, token))
        except Unanswered:
            self.tally.unknown += 1
            return
        if answer.status == 202:
            self.tally.accepted[guest] = datetime.fromisoformat(orjson.loads(answer.body)["effective_by"])
        elif answer.status == 200:
            self.tally.withdrawn += 1
            until = time.monotonic() + WATCH_S
            if followers is not None:
                followers.forbid()
            await asyncio.gather(*(self._watch(guest, caller, n, until) for n, caller in enumerate(readers)))
            if followers is not None:
                await followers.wait_until_let_go()
        else:
            self.tally.unknown += 1

    async def _show(self, guest: str, caller: Caller, worker: int) -> None:
        """Read until this worker tells the value, twice, so that it lies in every tier."""
        seen, until = 0, time.monotonic() + SHOWN_S
        while seen < 2 and time.monotonic() < until:
            answer = await self.read(guest, caller, worker)
            seen += answer is not None and SECRET.encode() in answer.body
        self.tally.shown += seen

    async def read(self, guest: str, caller: Caller, worker: int, no_cache: bool = False) -> Answer | None:
        headers = {"cache-control": "no-cache"} if no_cache else {}
        asked = request("GET", f"/v1/guests/{guest}/preferences?keys={KEY}", self._token_of(guest), headers=headers)
        try:
            answer = await caller.ask(worker, asked)
        except Unanswered:
            await asyncio.sleep(0.02)
            return None
        return answer if answer.status == 200 else None

    async def _watch(self, guest: str, caller: Caller, number: int, until: float) -> None:
        for turn in itertools.count():
            if time.monotonic() >= until:
                return
            no_cache = number >= WORKERS and turn % 2 == 1
            answer = await self.read(guest, caller, number % WORKERS, no_cache)
            if answer is not None:
                self.tally.judged[answer.tier] += 1
                if SECRET.encode() in answer.body:
                    self.tally.leaks.append(f"{guest} by worker {number % WORKERS} from {answer.tier}")
            await asyncio.sleep(0.01)

    async def leaks_of(self, guests: list[str]) -> list[str]:
        """Who of these guests is told of now by any worker."""
        found = []
        async with callers(self._trio.ports, 1) as (caller,):
            for guest in guests:
                for number in range(2 * WORKERS):
                    answer = await self.read(guest, caller, number % WORKERS, number >= WORKERS)
                    assert answer is not None
                    if SECRET.encode() in answer.body:
                        found.append(guest)
        return found
