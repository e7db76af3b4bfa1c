"""The ledger of one process: groups, where a chain goes on, what happens when it cannot be written, and forgetting."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from prefs.bootstrap import SystemClock
from prefs.core.erasure import Tombstone
from prefs.core.errors import LedgerUnavailable
from prefs.ledger import checkpoints
from prefs.ledger.checkpoints import Slot, chains_in, lines_of, segments_of
from prefs.ledger.pruning import prune
from prefs.services.tombstones import Tombstones
from prefs.signing.receipts import SigningKeys
from prefs.store.ledger_rows import SqlLedgerRows, beside
from prefs.store.memory import MemoryStore
from prefs.store.second_place import NoSecondPlace
from tests.ledger.desk import KEYS, Desk, access


async def test_who_comes_together_is_written_together(desk: Desk) -> None:
    ledger = desk.ledger()
    await asyncio.gather(*(ledger.append([access(number)]) for number in range(50)))
    (writer,) = chains_in(desk.folder)
    assert [line.seq for line in lines_of(desk.folder, writer)] == [0, 50]  # one group, one checkpoint


async def test_a_chain_goes_on_where_it_ended_and_a_second_process_has_its_own(desk: Desk) -> None:
    await desk.ledger().append([access(1)])
    await desk.close()
    first, second = desk.ledger(), desk.ledger()
    await first.append([access(2)])
    await second.append([access(3)])
    rows = await desk.rows()
    assert [row[1] for row in rows] == [1, 2, 1] and len({row[0] for row in rows}) == 2
    assert (await desk.verify()).faults == []


async def test_what_cannot_be_put_under_a_checkpoint_is_refused_and_made_good_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = desk.ledger()
    await ledger.append([access(1)])
    write = Slot.write

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Slot, "write", full)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await ledger.append([access(2)])
    monkeypatch.setattr(Slot, "write", write)
    await ledger.append([access(3)])
    report = await desk.verify()
    assert report.faults == [] and (report.records, report.loose) == (3, 0)  # the one that was refused is there as well


async def test_a_second_place_that_is_not_there_is_refused_until_it_is(desk: Desk) -> None:
    desk.folder.write_text("a file where a folder should be", encoding="utf-8")
    ledger = desk.ledger()
    with pytest.raises(LedgerUnavailable):
        await ledger.append([access(1)])
    desk.folder.unlink()
    await ledger.append([access(2)])
    assert len(await desk.rows()) == 1


async def test_a_chain_that_was_cut_is_left_alone(desk: Desk) -> None:
    """Were it gone on with, the cut would be signed."""
    ledger = desk.ledger()
    await ledger.append([access(number) for number in range(5)])
    await desk.close()
    await desk.put((await desk.rows())[:3])
    await desk.ledger().append([access(9)])
    report = await desk.verify()
    assert len(report.faults) == 1 and "the last 2 records were cut off" in report.faults[0]
    assert report.chains == 2


async def test_a_hand_that_adds_to_a_stopped_chain_gets_no_signature(desk: Desk) -> None:
    ledger = desk.ledger()
    await ledger.append([access(1)])
    await desk.close()
    (row,) = await desk.rows()
    await desk.put([row, (row[0], 2, *row[2:])])
    await desk.ledger().append([access(9)])
    assert "record 2 of" in (await desk.verify()).faults[0]


async def test_checkpoints_go_on_in_another_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SEGMENT_BYTES", 1000)
    ledger = desk.ledger()
    for number in range(12):
        await ledger.append([access(number)])
    await desk.close()
    await desk.ledger().append([access(99)])
    (writer,) = chains_in(desk.folder)
    assert len(segments_of(desk.folder, writer)) > 2
    assert (await desk.verify()).faults == []


async def test_pages_of_a_guest_are_newest_first_and_whole(desk: Desk) -> None:
    ledger, other = desk.ledger(), desk.ledger()
    for number in range(7):
        await ledger.append([access(number, "gst_a"), access(number, "gst_b")])
        await other.append([access(number + 10, "gst_a")])
    seen: list[int] = []
    cursor = None
    while page := await ledger.of_guest("gst_a", 4, cursor):
        seen += [one.access.version for one in page]
        cursor = page[-1].position
    assert sorted(seen) == [*range(7), *range(10, 17)]
    assert {one.access.guest for one in await other.of_guest("gst_a", 50)} == {"gst_a"}
    assert await ledger.of_guest("gst_nobody", 5) == []


async def test_a_guest_who_was_forgotten_leaves_records_of_nobody(desk: Desk) -> None:
    ledger, other = desk.ledger(), desk.ledger()
    await ledger.append([access(1, "gst_a"), access(2, "gst_b")])
    await other.append([access(3, "gst_a")])
    assert await ledger.pseudonymise("gst_a") == 3  # the record that says so is one of them
    assert await ledger.pseudonymise("gst_a") == 0
    assert await ledger.of_guest("gst_a", 9) == []
    await ledger.append([access(4, "gst_a")])  # a read that was on its way
    await other.append([access(5, "gst_a")])
    assert not any("gst_a" in str(row) for row in [*await desk.rows(), *await desk.names()])
    assert (await desk.verify()).faults == []
    shown = {one.access.guest for one in await ledger.listed(20)}
    assert "gst_b" in shown and "gst_a" not in shown


async def test_no_process_remembers_the_pseudonym_of_who_was_erased(desk: Desk) -> None:
    ledger, other = desk.ledger(), desk.ledger()
    await ledger.append([access(1, "gst_a"), access(2, "gst_b")])
    await other.append([access(3, "gst_a"), access(4, "gst_b")])
    assert sorted(other.held()) == ["gst_a", "gst_b"]
    await ledger.pseudonymise("gst_a")
    assert list(ledger.held()) == ["gst_b"]
    clock, signer = SystemClock(), SigningKeys.make()
    store = MemoryStore(clock)
    await store.bury([Tombstone(signer.digest("gst_a"), clock.now(), "rcp_1")])
    await Tombstones(store, clock, signer, NoSecondPlace(), other).sweep()
    assert list(other.held()) == ["gst_b"]


async def test_pruning_takes_the_oldest_and_leaves_a_chain_that_verifies(desk: Desk) -> None:
    clock = SystemClock()
    ledger = desk.ledger()
    old = clock.now() - timedelta(days=400)
    for number in range(6):
        await ledger.append([access(number, at=old)])
    await ledger.append([access(7), access(8)])
    rows = SqlLedgerRows(beside(desk.url))
    before, now = clock.now() - timedelta(days=365), clock.now()
    backup = await desk.rows()
    assert await prune(rows, desk.folder, KEYS, before, now, dry=True) == 6
    assert await desk.rows() == backup
    assert await prune(rows, desk.folder, KEYS, before, now, dry=False) == 6
    assert await prune(rows, desk.folder, KEYS, before, now, dry=False) == 0
    assert await prune(rows, desk.folder, KEYS, now, now, dry=False) == 1  # the newest of a chain stays
    await rows.close()
    assert [row[1] for row in await desk.rows()] == [8]
    assert (await desk.verify()).faults == []
    await desk.close()
    await desk.ledger().append([access(9)])
    assert (await desk.verify()).faults == []
    await desk.put(backup)
    assert "although the chain was pruned up to record 7" in (await desk.verify()).faults[0]
