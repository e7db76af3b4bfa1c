"""P33: whoever changes, takes away, inserts, moves or brings back anything in the ledger is found out by `verify`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from prefs.core.accesses import Chained
from prefs.ledger import chained as writing
from prefs.ledger import verify as verifying
from prefs.ledger.chain import GENESIS, link
from prefs.ledger.checkpoints import Checkpoint, Slot, segments_of
from tests.ledger.desk import KEYS, Desk, Rows, access

COLUMNS = len(Chained._fields)
WRITER, SEQ, HASH = (Chained._fields.index(name) for name in ("writer", "seq", "hash"))
type Mutation = Callable[[random.Random, Rows, Rows], Rows | None]


async def fill(desk: Desk) -> tuple[Rows, Rows]:
    """Two processes take turns; answers what there is at the end, and what a backup of half-way holds."""
    first, second = desk.ledger(), desk.ledger()
    backup: Rows = []
    for number in range(14):
        await first.append([access(number), access(number + 1)])
        await second.append([access(number + 100)] * (1 + number % 3))
        if number == 6:
            backup = await desk.rows()
    await first.pseudonymise("gst_2")
    await desk.close()
    return await desk.rows(), backup


def edit(chance: random.Random, rows: Rows, _backup: Rows) -> Rows:
    """Another value in one field of one record, of the kind that stands there."""
    number, column = chance.randrange(len(rows)), chance.randrange(COLUMNS)
    row = list(rows[number])
    other = chance.choice(rows)[column]
    if other == row[column] or column in (WRITER, SEQ):
        other = row[column] + 1000 + number if isinstance(row[column], int) else f"{row[column]}x"
    row[column] = other
    return [*rows[:number], tuple(row), *rows[number + 1 :]]


def remove(chance: random.Random, rows: Rows, _backup: Rows) -> Rows:
    number = chance.randrange(len(rows))
    return [*rows[:number], *rows[number + 1 :]]


def put_in(chance: random.Random, rows: Rows, _backup: Rows) -> Rows:
    """A record more: after the last of its chain, or in a chain of its own."""
    row = list(chance.choice(rows))
    row[SEQ] = 1 + max(one[SEQ] for one in rows if one[0] == row[0])
    if chance.random() < 0.5:
        row[0], row[SEQ] = "deadbeef-0", 1
    if chance.random() < 0.5:
        row[HASH] = f"{chance.getrandbits(256):064x}"
    return [*rows, tuple(row)]


def reorder(chance: random.Random, rows: Rows, _backup: Rows) -> Rows | None:
    """Two records of a chain change places; their numbers stay."""
    one, other = sorted(chance.sample(range(len(rows)), 2))
    mine, theirs = rows[one], rows[other]
    if mine[0] != theirs[0]:
        return None
    moved = list(rows)
    moved[one], moved[other] = (*mine[:2], *theirs[2:]), (*theirs[:2], *mine[2:])
    return moved


def cut_tail(chance: random.Random, rows: Rows, _backup: Rows) -> Rows:
    writer = chance.choice(rows)[0]
    last = max(row[SEQ] for row in rows if row[0] == writer)
    kept = last - chance.randint(1, min(last, 9))
    return [row for row in rows if row[0] != writer or row[SEQ] <= kept]


def bring_back(_chance: random.Random, _rows: Rows, backup: Rows) -> Rows:
    return backup


def fork(chance: random.Random, rows: Rows, _backup: Rows) -> Rows:
    """One record as a copy of the service with the same key, split off just before, would have written it."""
    number = chance.randrange(len(rows))
    row = rows[number]
    before = rows[number - 1][HASH] if row[SEQ] > 1 else GENESIS
    fields = (*row[:3], "somebody else", *row[4:HASH])
    return [*rows[:number], (*fields, writing.link(KEYS.chain, before, fields)), *rows[number + 1 :]]


MUTATIONS: Sequence[Mutation] = (edit, edit, remove, put_in, reorder, cut_tail, bring_back, fork)


async def unnoticed(desk: Desk, count: int, mutations: Sequence[Mutation] = MUTATIONS) -> list[str]:
    """Names of single mutations, out of so many, after which `verify` says that all is well."""
    rows, backup = await fill(desk)
    names = await desk.names()
    whole = await desk.verify()
    assert whole.faults == [] and whole.records == len(rows) and whole.chains == 2
    chance, missed, done = random.Random(33), [], 0
    while done < count:
        mutation = mutations[done % len(mutations)]
        changed = mutation(chance, rows, backup)
        if changed is None:
            continue
        await desk.put(changed)
        report = await desk.verify()
        if not report.faults:
            missed.append(mutation.__name__)
        done += 1
    await desk.put(rows, names)
    assert (await desk.verify()).faults == []
    return missed


async def test_every_single_mutation_is_found(desk: Desk) -> None:
    assert await unnoticed(desk, 80) == []


@pytest.mark.prove
@pytest.mark.timeout(1200)
async def test_a_thousand_single_mutations_are_found(desk: Desk) -> None:
    assert await unnoticed(desk, 1000) == []


async def test_without_checkpoints_a_cut_tail_would_pass(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the mutations above found anyway, they would prove nothing of checkpoints."""

    def forget(slot: Slot, seq: int, hash: str, at: int) -> None:
        if seq == 0:
            write(slot, seq, hash, at)

    write = Slot.write
    monkeypatch.setattr(Slot, "write", forget)
    assert "cut_tail" in await unnoticed(desk, 8)


async def test_with_hashes_that_know_no_record_before_a_fork_would_pass(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(key: bytes, _previous: str, fields: Sequence[Any]) -> str:
        return link(key, GENESIS, fields)

    monkeypatch.setattr(writing, "link", alone)
    monkeypatch.setattr(verifying, "link", alone)
    assert "fork" in await unnoticed(desk, 24, (fork,))


# ---- the second place, and the names ----


async def test_the_first_wrong_place_is_named(desk: Desk) -> None:
    rows, _ = await fill(desk)
    writer = rows[0][0]
    await desk.put([row for row in rows if (row[0], row[1]) != (writer, 5)])
    (fault,) = (await desk.verify()).faults
    assert fault.startswith(f"Chain {writer}: record 5 is missing: after record 4 follows 6 of 20")

    await desk.put([row for row in rows if row[0] != writer or row[1] <= 20])
    (fault,) = (await desk.verify()).faults
    assert "it ends at record 20, but a checkpoint of" in fault and "records were cut off" in fault


async def test_checkpoints_that_were_changed_or_taken_away_are_found(desk: Desk) -> None:
    rows, _ = await fill(desk)
    (path,) = segments_of(desk.folder, rows[0][0])
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    last = Checkpoint.read(lines[-1])

    forged = Checkpoint(last.kind, last.writer, last.seq - 1, rows[last.seq - 2][HASH], last.at, last.signature)
    path.write_bytes(content + forged.line())
    assert "is not one that this ledger's key signed" in (await desk.verify()).faults[0]

    path.write_bytes(b"".join(lines[:2]) + lines[2].replace(b'"', b"'") + b"".join(lines[3:]))
    assert "Line 3 of" in (await desk.verify()).faults[0]

    path.unlink()
    assert "no checkpoints in" in (await desk.verify()).faults[0]


async def test_names_that_were_changed_taken_away_or_brought_back_are_found(desk: Desk) -> None:
    ledger = desk.ledger()
    await ledger.append([access(0, "gst_a"), access(1, "gst_b")])
    before = await desk.names()
    rows = await desk.rows()
    await desk.put(rows, before[:1])
    assert "is gone, and no record says that it was forgotten" in (await desk.verify()).faults[0]
    await desk.put(rows, [(before[0][0], before[1][1], *before[0][2:]), before[1]])
    assert "is not one this ledger gave" in (await desk.verify()).faults[0]
    await desk.put(rows, before)
    assert (await desk.verify()).faults == []

    assert await ledger.pseudonymise("gst_a") == 2
    assert (await desk.verify()).faults == []
    rows, after = await desk.rows(), await desk.names()
    assert not any("gst_a" in str(row) for row in [*rows, *after])
    await desk.put(rows, before)
    assert "it was brought back" in (await desk.verify()).faults[0]
    await desk.put(rows, after)
    assert (await desk.verify()).faults == []
