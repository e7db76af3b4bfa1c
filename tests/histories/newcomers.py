"""What was not there is asked for everywhere, so that everybody remembers that; then it is made, and must be found.

Guests get their ids when they are made, so what can be missed before it is there is a stay (the desk of a hotel may not
see a guest who has none there) and a property that a question names.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any

from prefs.bootstrap import SystemClock
from prefs.cache.local import DELTA_S
from prefs.core.callers import Role
from tests.histories.client import Answer, Caller, Unanswered, callers, request
from tests.histories.trio import WORKERS, Trio

ROUNDS_NO_CACHE = ROUNDS_DEFAULT = 4  # reads of each worker after it was made


@dataclass(slots=True)
class Tally:
    made: Counter[str] = field(default_factory=Counter)
    missed_before: int = 0  # 404s from before: there was something to remember
    judged: int = 0
    false: list[str] = field(default_factory=list)
    excused: int = 0  # false too, but whoever made it was told that others might not know of it yet


class Newcomers:
    def __init__(self, trio: Trio, makers: int = 12, seed: int = 9) -> None:
        self.tally = Tally()
        self._trio = trio
        self._makers = makers
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        self._service, self._operator = trio.service_token(), trio.operator_token()
        self._desk = trio.token(Role.STAFF, "front_desk", "staff-1", properties=["dallas"])

    async def run(self, seconds: float, enough: int = 0) -> Tally:
        over, guests = time.monotonic() + seconds, await asyncio.to_thread(self._trio.make_guests, 30)
        self._trio.make_late()

        async def make_on(number: int) -> None:
            caller = made[number]
            kinds = itertools.cycle((self._property, self._stay) if number % 2 else (self._stay, self._property))
            while time.monotonic() < over or self.tally.judged < enough:
                await next(kinds)(caller, self._chance.choice(guests))

        async with callers(self._trio.ports, self._makers) as made:
            await self._make(made[0], 0, "/v1/properties/dallas", self._operator, _hotel("Dallas"))
            await asyncio.gather(*(make_on(number) for number in range(self._makers)))
        return self.tally

    async def _property(self, caller: Caller, guest: str) -> None:
        name = f"hotel-{next(self._numbers)}"
        asked = f"/v1/guests/{guest}/preferences?property={name}", self._trio.guest_token(guest)
        await self._round(caller, "property", asked, f"/v1/properties/{name}", self._operator, _hotel(name))

    async def _stay(self, caller: Caller, _: str) -> None:
        """Of a guest who has none yet, so of a new one."""
        (guest,) = await asyncio.to_thread(self._trio.make_guests, 1)
        asked = f"/v1/guests/{guest}/preferences?property=dallas", self._desk
        now = SystemClock().now().astimezone(UTC)
        stay = {
            "guest": guest,
            "property": "dallas",
            "arrival": (now - timedelta(days=1)).isoformat(),
            "departure": (now + timedelta(days=3)).isoformat(),
            "room": "1204",
            "status": "in_house",
        }
        await self._round(caller, "stay", asked, f"/v1/stays/stay-{next(self._numbers)}", self._service, stay)

    async def _round(
        self, caller: Caller, kind: str, asked: tuple[str, str], path: str, token: str, body: dict[str, Any]
    ) -> None:
        for worker in range(WORKERS):
            status = await self._status(caller, worker, asked)
            self.tally.missed_before += status == 404
        made = await self._make(caller, self._chance.randrange(WORKERS), path, token, body)
        if made is None:
            return
        made_at, degraded = time.monotonic(), made.coherence == "degraded"
        self.tally.made[kind] += 1
        for turn in range(ROUNDS_NO_CACHE * WORKERS):
            await self._judge(caller, turn % WORKERS, asked, {"cache-control": "no-cache"}, degraded)
        await asyncio.sleep(max(0.0, made_at + DELTA_S - time.monotonic()))
        for turn in range(ROUNDS_DEFAULT * WORKERS):
            await self._judge(caller, turn % WORKERS, asked, {}, degraded)

    async def _judge(
        self, caller: Caller, worker: int, asked: tuple[str, str], headers: dict[str, str], degraded: bool
    ) -> None:
        status = await self._status(caller, worker, asked, headers)
        if degraded:
            self.tally.excused += status not in (None, 200)
        elif status is not None:
            self.tally.judged += 1
            if status != 200:
                self.tally.false.append(f"{status} from worker {worker} for {asked[0]} {headers}")

    async def _status(
        self, caller: Caller, worker: int, asked: tuple[str, str], headers: dict[str, str] | None = None
    ) -> int | None:
        try:
            return (await caller.ask(worker, request("GET", *asked, headers=headers))).status
        except Unanswered:
            await asyncio.sleep(0.02)
            return None

    async def _make(self, caller: Caller, worker: int, path: str, token: str, body: dict[str, Any]) -> Answer | None:
        try:
            answer = await caller.ask(worker, request("PUT", path, token, body))
        except Unanswered:
            return None
        assert answer.status in (200, 201, 503), answer.body
        return answer if answer.status < 300 else None


def _hotel(name: str) -> dict[str, Any]:
    return {"name": name, "time_zone": "UTC", "warm_months": [5, 6, 7, 8, 9]}
