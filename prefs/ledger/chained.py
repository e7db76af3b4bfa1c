"""The ledger of one process: accesses become records of its own chain, and records become durable in groups.

Whoever comes while a group is on its way waits for the next, which takes all of them in one statement and under one
checkpoint. Nobody is told before both have returned. Whatever goes wrong, the group's callers hear LedgerUnavailable
and the next group first looks where the chain really ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from prefs import telemetry
from prefs.core.accesses import Access, Chained, Deed, Outcome, Recorded
from prefs.core.errors import LedgerUnavailable
from prefs.ledger import metrics
from prefs.ledger.chain import link
from prefs.ledger.checkpoints import Slot, claim, cuts_of
from prefs.ledger.keys import LedgerKeys
from prefs.ledger.names import Names
from prefs.ledger.positions import fields_of, microseconds, place_of, recorded
from prefs.ports import Clock, LedgerRows

TOGETHER_MAX = 1024  # records in a group; so many at most are ever past the last checkpoint of a chain
_log = telemetry.logger("ledger")


@dataclass(slots=True, eq=False)
class _Waiting:
    accesses: Sequence[Access]
    told: asyncio.Future[None]


class ChainedLedger:
    """`load_keys` is called once, before the first record or question, on a thread."""

    def __init__(self, rows: LedgerRows, folder: Path, load_keys: Callable[[], LedgerKeys], clock: Clock) -> None:
        self._rows, self._folder, self._load_keys, self._clock = rows, folder, load_keys, clock
        self._names = Names(rows)
        self._keys: LedgerKeys | None = None
        self._slot: Slot | None = None
        self._head: tuple[int, str] | None = None  # None where it has to be looked up
        self._broken: set[str] = set()
        self._waiting: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, accesses: Sequence[Access]) -> None:
        if len(accesses) > TOGETHER_MAX:
            raise ValueError(f"at most {TOGETHER_MAX} accesses at once")
        if self._closed:
            raise LedgerUnavailable("The ledger is closed.")
        if not accesses:
            return
        started = perf_counter()
        waiting = _Waiting(accesses, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._serve())
        await waiting.told
        metrics.WAIT_SECONDS.observe(perf_counter() - started)

    async def of_guest(self, guest: str, limit: int, before: str | None = None) -> list[Recorded]:
        pseudonym = await self._names.known(guest, await self._unlocked())
        found = await self._rows.about(pseudonym, limit, place_of(before)) if pseudonym else []
        return [recorded(row, guest) for row in found]

    async def listed(
        self, limit: int, before: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Recorded]:
        first = microseconds(since) if since else 0
        last = microseconds(until) if until else microseconds(datetime.max.replace(tzinfo=UTC))
        rows = await self._rows.between(first, last, limit, place_of(before))
        names = await self._rows.names_of(list({row.guest for row in rows if row.guest}))
        return [recorded(row, names.get(row.guest, row.guest)) for row in rows]

    async def pseudonymise(self, guest: str) -> int:
        keys = await self._unlocked()
        pseudonym = await self._names.known(guest, keys)
        if pseudonym:  # said in the chain first: a name that is gone without that was taken away
            act = Access(self._clock.now(), "", "guestprefs", "", Deed.PSEUDONYMISE, Outcome.DONE, guest=guest)
            await self.append([act])
        await self._names.erase(guest, pseudonym, keys)
        return await self._rows.count(pseudonym) if pseudonym else 0

    def held(self) -> Sequence[str]:
        return self._names.held()

    def forget(self, guest: str) -> None:
        self._names.forget(guest)

    async def close(self) -> None:
        """What waits is written first."""
        self._closed = True
        if self._worker is not None:
            await asyncio.wait((self._worker,))
        if self._slot is not None:
            self._slot.close()
        await self._rows.close()

    # ------------------------------------------------------------ groups

    async def _serve(self) -> None:
        await asyncio.sleep(0)  # whoever asks in the same round belongs to the first group
        while self._waiting:
            group = self._next_group()
            failed = False
            try:
                await self._record([access for one in group for access in one.accesses])
            except Exception as error:  # noqa: BLE001 - whatever it was, whoever waits must hear of it
                self._head = None
                failed = True
                metrics.FAILED.inc(sum(len(one.accesses) for one in group))
                _log.error("ledger not written", error=type(error).__name__, reason=str(error)[:200])
            for one in group:
                if one.told.done():
                    continue  # whoever waited hung up
                if failed:
                    one.told.set_exception(LedgerUnavailable("What is to be told or done cannot be recorded."))
                else:
                    one.told.set_result(None)

    def _next_group(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        count = len(group[0].accesses)
        while self._waiting and count + len(self._waiting[0].accesses) <= TOGETHER_MAX:
            count += len(self._waiting[0].accesses)
            group.append(self._waiting.popleft())
        return group

    async def _record(self, accesses: Sequence[Access]) -> None:
        keys = await self._unlocked()
        slot, (seq, hash) = await self._ready(keys)
        pseudonyms = await self._names.of({access.guest for access in accesses}, keys)
        rows: list[Chained] = []
        for access in accesses:
            seq += 1
            fields = fields_of(access, slot.writer, seq, pseudonyms[access.guest])
            hash = link(keys.chain, hash, fields)
            rows.append(Chained._make((*fields, hash)))
        await self._rows.append(rows)
        await asyncio.to_thread(slot.write, seq, hash, rows[-1].at)
        self._head = seq, hash
        metrics.RECORDS.count += len(rows)
        metrics.GROUP.observe(len(rows))

    async def _unlocked(self) -> LedgerKeys:
        if self._keys is None:
            self._keys = await asyncio.to_thread(self._load_keys)
        return self._keys

    # ------------------------------------------------------------ where the chain ends

    async def _ready(self, keys: LedgerKeys) -> tuple[Slot, tuple[int, str]]:
        """The chain to go on with, and its last record; one that was cut or changed is left alone, for `verify`."""
        while True:
            if self._slot is None:
                now = microseconds(self._clock.now())
                self._slot = await asyncio.to_thread(claim, self._folder, keys, now, self._broken)
            if self._head is not None:
                return self._slot, self._head
            self._head = await self._end_of(self._slot, keys)
            if self._head is None:
                _log.error("a chain of the ledger was cut or changed", chain=self._slot.writer)
                metrics.BROKEN.inc()
                self._broken.add(self._slot.writer)
                self._slot.close()
                self._slot = None

    async def _end_of(self, slot: Slot, keys: LedgerKeys) -> tuple[int, str] | None:
        """The last record, after bringing what a crash left past the last checkpoint under one."""
        last = slot.last
        assert last is not None
        begun = (await asyncio.to_thread(cuts_of, self._folder, keys.verifying)).get(slot.writer)
        pruned = begun is not None and begun.seq >= last.seq
        found = await self._rows.after(slot.writer, last.seq - (last.seq > 0 and not pruned), TOGETHER_MAX + 2)
        rows = [Chained(*row) for row in found]
        if last.seq > 0 and not pruned:
            if not rows or (rows[0].seq, rows[0].hash) != (last.seq, last.hash):
                return None
            del rows[0]
        seq, hash = last.seq, last.hash
        for row in rows:
            if row.seq != seq + 1 or row.hash != link(keys.chain, hash, row[:-1]):
                return None
            seq, hash = row.seq, row.hash
        if len(rows) > TOGETHER_MAX:
            return None
        if rows:
            await asyncio.to_thread(slot.write, seq, hash, rows[-1].at)
        return seq, hash
