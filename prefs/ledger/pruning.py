"""Forgetting old records: each chain begins later, and says so in a signed line of the second place, before records go.

A prune that was interrupted is finished by the next one; `verify` tells of it until then.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from prefs.core.accesses import Chained
from prefs.ledger.checkpoints import Checkpoint, chains_in, cut, cuts_of, lines_of, segments_of
from prefs.ledger.keys import LedgerKeys
from prefs.ledger.positions import microseconds
from prefs.ports import LedgerRows

TOGETHER = 5000  # records that go in one transaction


async def prune(rows: LedgerRows, folder: Path, keys: LedgerKeys, before: datetime, now: datetime, *, dry: bool) -> int:
    """How many records of this folder's chains are older, and with `dry` nothing else. The newest record of a chain
    always stays."""
    begun = await asyncio.to_thread(cuts_of, folder, keys.verifying)
    pruned = 0
    for writer in await asyncio.to_thread(chains_in, folder):
        last = await _last_to_go(rows, folder, writer, before)
        known = begun.get(writer)
        if last is not None and (known is None or last.seq > known.seq):
            if not dry:
                made = Checkpoint("cut", writer, last.seq, last.hash, microseconds(now)).signed(keys)
                await asyncio.to_thread(cut, folder, [made])
            known = Checkpoint("cut", writer, last.seq, last.hash, 0)
        if known is not None:
            pruned += await _forget(rows, writer, known.seq, dry=dry)
            if not dry:
                await asyncio.to_thread(_drop_segments, folder, writer, known.seq)
    return pruned


async def _last_to_go(rows: LedgerRows, folder: Path, writer: str, before: datetime) -> Chained | None:
    """Only what a checkpoint is over may go: past the last one, a writer that starts looks for every record."""
    signed = (await asyncio.to_thread(lines_of, folder, writer))[-1].seq
    found = await rows.last_before(writer, microseconds(before))
    if found is None or found.seq < signed:
        return found
    rest: Sequence[Sequence[object]] = await rows.after(writer, signed - 2, 1) if signed > 1 else ()
    return Chained(*rest[0]) if rest and rest[0][1] == signed - 1 else None  # type: ignore[arg-type]


async def _forget(rows: LedgerRows, writer: str, seq: int, *, dry: bool) -> int:
    first = next((int(row[1]) for row in await rows.after(writer, 0, 1)), seq + 1)
    if not dry:
        for up_to in range(first + TOGETHER - 1, seq + TOGETHER, TOGETHER):
            await rows.drop(writer, min(up_to, seq))
    return max(0, seq - first + 1)


def _drop_segments(folder: Path, writer: str, seq: int) -> None:
    """Files of checkpoints that only speak of what is gone; never the one that is written."""
    segments = segments_of(folder, writer)
    for path, following in zip(segments, segments[1:], strict=False):
        with following.open("rb") as file:
            first = file.readline()
        if first.endswith(b"\n") and Checkpoint.read(first).seq <= seq:
            path.unlink()
