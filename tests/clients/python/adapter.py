"""`python -m tests.clients.python.adapter sync|async`: the Python SDK as the contract suite drives it."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.fernet import Fernet
from guestprefs_client import (
    AsyncGuestPrefs,
    GuestPrefs,
    GuestPrefsError,
    Preferences,
    ProblemError,
    Retries,
    SQLiteStore,
    Timeouts,
)

from tests.clients.surroundings import MiddleChance, MovedClock

PATIENCE_S = 10.0


class Driver:
    def __init__(self, kind: type[GuestPrefs] | type[AsyncGuestPrefs]) -> None:
        self.kind = kind
        self.clock, self.chance = MovedClock(), MiddleChance()
        self.client: Any = None
        self.watching: Any = None
        self.statuses: list[str] = []
        self.under_way: asyncio.Future[Any] | None = None

    async def do(self, order: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in order.items() if name not in ("do", "guest")}
        match order["do"]:
            case "reset":
                self.clock, self.chance, self.statuses = MovedClock(), MiddleChance(), []
            case "open":
                self._open(**given)
            case "close":
                await self._unwatched()
                await self._finish(self.client.close())
            case "pass":
                self.clock.pass_by(given["seconds"])
            case "jump":
                self.clock.jump(given["seconds"])
            case "pauses":
                pauses, self.clock.pauses = self.clock.pauses, []
                return pauses
            case "status":
                return {"now": self.client.status.value, "heard": self.statuses}
            case "offline":
                self.client.offline = given["is"]
            case _:
                return await self._call(order, given)
        return None

    async def _call(self, order: Mapping[str, Any], given: dict[str, Any]) -> Any:
        about = [order["guest"]] if "guest" in order else []
        match order["do"]:
            case "get":
                return shown(await self._finish(self.client.get(*about, **given)))
            case "edit":
                return edited(await self._finish(self.client.edit(*about, given.pop("patch"), **given)))
            case "update":
                change = added(given.pop("add"))
                return edited(await self._finish(self.client.update(*about, change, **given)))
            case "prefetch":
                found = await self._finish(self.client.prefetch(given.pop("guests"), **given))
                return [shown(one) for one in found]
            case "flush":
                done = await self._finish(self.client.flush(*about))
                dead = [{"reason": one.reason, "patch": one.patch} for one in done.dead]
                return {"done": len(done.done), "dead": dead, "gone": len(done.gone), "waiting": done.waiting}
            case "waiting":
                return [{"patch": one.patch, "tried": one.tried} for one in await self._finish(self.client.waiting())]
            case "given_up":
                found = await self._finish(self.client.given_up())
                return [{"reason": one.reason, "patch": one.patch} for one in found]
            case "watch":
                await self._unwatched()
                self.watching = self.client.watch(*about, **given)
                return None
            case "told":
                known = anext(self.watching, None) if hasattr(self.watching, "__anext__") else next(self.watching, None)
                told: Preferences | None = await self._finish(known)
                return None if told is None else shown(told)
            case "begin":
                self.under_way = self._begun({**given["what"], **({"guest": order["guest"]} if about else {})})
                return None
            case "finish":
                assert self.under_way is not None
                return await asyncio.wait_for(self.under_way, PATIENCE_S)
            case "wipe":
                return await self._finish(self.client.wipe(*about))
        raise AssertionError(f"no such order: {order}")

    def _begun(self, order: Mapping[str, Any]) -> asyncio.Future[Any]:
        """A call that is under way while others are made."""
        if isinstance(self.client, AsyncGuestPrefs):
            return asyncio.ensure_future(self.do(order))
        return asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(self.do(order))))

    def _open(self, url: str, store: str, options: Mapping[str, Any], secret: str | None = None) -> None:
        given = dict(options)
        seal = Fernet(base64.urlsafe_b64encode(bytes.fromhex(secret))) if secret else None
        tokens = iter(given.pop("tokens", ["a-token"]))
        last = [next(tokens)]

        def token() -> str:
            first, last[0] = last[0], next(tokens, last[0])
            return first

        timeouts = Timeouts(**given.pop("timeouts", {"connect": 2, "total": 5}))
        retries = Retries(**given.pop("retries", {}))
        more = {"store": SQLiteStore(store, seal=seal), "timeouts": timeouts, "retries": retries, "account": "a-guest"}
        self.client = self.kind(url, token, clock=self.clock, chance=self.chance, **more, **given)
        self.client.on_status(lambda status: self.statuses.append(status.value))

    async def _unwatched(self) -> None:
        """Whoever followed somebody does so no more."""
        watching, self.watching = self.watching, None
        if watching is not None:
            await self._finish(watching.aclose() if hasattr(watching, "aclose") else watching.close())

    async def _finish(self, given: Any) -> Any:
        return await given if inspect.isawaitable(given) else given


def shown(known: Preferences) -> dict[str, Any]:
    meta = known.meta
    told = {"version": known.version, "values": known.values_by_key(), "as_of": meta.as_of.timestamp()}
    where = {"from_cache": meta.from_cache, "stale": meta.stale, "pending_writes": meta.pending_writes}
    return {**told, **where, "pending_keys": sorted(meta.pending_keys)}


def edited(edit: Any) -> Any:
    return None if edit is None else {"queued": edit.queued, "version": edit.version}


def added(amounts: Mapping[str, float]) -> Callable[[Preferences], dict[str, Any]]:
    return lambda known: {key: known.value(key, 0) + amount for key, amount in amounts.items()}


def told_of(error: GuestPrefsError) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": type(error).__name__}
    if isinstance(error, ProblemError):
        told |= {"status": error.status, "code": error.code, "field": error.field, "request_id": error.request_id}
        told |= {"retry_after": error.retry_after}
    return told


async def main(kind: str) -> None:
    driver = Driver(AsyncGuestPrefs if kind == "async" else GuestPrefs)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer = {"ok": await driver.do(json.loads(line))}
        except GuestPrefsError as error:
            answer = {"error": told_of(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
