"""Whether the ledger is what was written: every record follows from the one before, no chain ends before its last
signed checkpoint, and no name was taken away, changed or brought back.

The first wrong place of each chain is told in words. Checkpoints are read before records, and again after them, so that
a service may go on writing meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefs.core.accesses import Chained, Deed
from prefs.ledger.chain import GENESIS, link
from prefs.ledger.chained import TOGETHER_MAX
from prefs.ledger.checkpoints import Checkpoint, CheckpointFault, chains_in, cuts_of, lines_of
from prefs.ledger.keys import LedgerKeys
from prefs.ledger.positions import moment
from prefs.ports import LedgerRows

PAGE = 5000
_GUEST, _ACT = Chained._fields.index("guest"), Chained._fields.index("act")
_PSEUDONYMISE = Deed.PSEUDONYMISE.value


@dataclass
class Report:
    """`faults` in the order of chains, one a chain; `loose` are records that no checkpoint is over yet."""

    chains: int = 0
    records: int = 0
    loose: int = 0
    faults: list[str] = field(default_factory=list)


class _Broken(Exception):
    """The first wrong place of a chain, in words."""


@dataclass(slots=True)
class _Seen:
    """Pseudonyms that records are about, and those of which it is said that they were forgotten."""

    about: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)


async def verify(
    rows: LedgerRows, folders: Sequence[Path], keys: LedgerKeys, progress: Callable[[int, int], None]
) -> Report:
    """`progress` hears how many records were looked at, of how many."""
    report, seen = Report(), _Seen()
    present = {writer: (count, first) for writer, count, first in await rows.chains()}
    homes = {writer: folder for folder in folders for writer in chains_in(folder)}
    total = sum(count for count, _ in present.values())
    cuts: dict[str, Checkpoint] = {}
    for folder in folders:
        try:
            cuts |= cuts_of(folder, keys.verifying)
        except CheckpointFault as fault:
            report.faults.append(str(fault))
    for writer in sorted(present.keys() | homes.keys()):
        report.chains += 1
        if writer not in homes:
            searched = ", ".join(str(folder) for folder in folders)
            report.faults.append(
                f"Chain {writer} has {present[writer][0]} records and no checkpoints in {searched}: they were taken "
                "away, or lie in another folder, which --checkpoints can name."
            )
            continue
        walk = _Walk(writer, homes[writer], rows, keys, cuts.get(writer), seen)
        try:
            await walk.all(lambda count: progress(report.records + count, total))
        except (_Broken, CheckpointFault) as fault:
            report.faults.append(f"Chain {writer}: {fault}")
        report.records += walk.count
        report.loose += walk.loose
    if not report.faults:
        report.faults.extend(await _wrong_names(rows, keys, seen))
    return report


class _Walk:
    """One chain from its beginning to its end."""

    def __init__(
        self, writer: str, folder: Path, rows: LedgerRows, keys: LedgerKeys, begun: Checkpoint | None, seen: _Seen
    ) -> None:
        self._writer, self._folder, self._rows, self._keys, self._seen = writer, folder, rows, keys, seen
        self._begun = begun
        self.seq, self.hash = (begun.seq, begun.hash) if begun else (0, GENESIS)
        self.count = self.loose = 0

    async def all(self, progress: Callable[[int], None]) -> None:
        lines = lines_of(self._folder, self._writer)
        self._check_last(lines)
        expected = {line.seq: line.hash for line in lines}
        if self._begun and await self._rows.after(self._writer, 0, 1):
            await self._refuse_leftovers(self._begun)
        while page := await self._rows.after(self._writer, self.seq, PAGE):
            self._check_page(page, expected)
            progress(self.count)
        lines = lines_of(self._folder, self._writer)  # those that were written meanwhile
        self._check_last(lines)
        last = lines[-1]
        if self.seq < last.seq and not await self._rows.after(self._writer, self.seq, 1):
            raise _Broken(
                f"it ends at record {self.seq:,}, but a checkpoint of {_time(last.at)} was signed over record "
                f"{last.seq:,}: the last {last.seq - self.seq:,} records were cut off."
            )
        self.loose = max(0, self.seq - last.seq)
        if self.loose > TOGETHER_MAX:
            raise _Broken(
                f"{self.loose:,} records follow its last checkpoint, more than are ever written before one: "
                "checkpoints were taken away."
            )

    async def _refuse_leftovers(self, begun: Checkpoint) -> None:
        first = Chained(*(await self._rows.after(self._writer, 0, 1))[0])
        if first.seq <= begun.seq:
            raise _Broken(
                f"record {first.seq:,} of {_time(first.at)} is there, although the chain was pruned up to record "
                f"{begun.seq:,}: it was brought back, or pruning was interrupted and has to be done again."
            )

    def _check_last(self, lines: Sequence[Checkpoint]) -> None:
        if not lines:
            raise _Broken("its file of checkpoints is empty: what was signed was taken away.")
        last = lines[-1]
        if last.writer != self._writer or last.kind != "checkpoint" or not last.is_signed(self._keys.verifying):
            raise _Broken(f"its last checkpoint, over record {last.seq:,}, is not one that this ledger's key signed.")

    def _check_page(self, page: Sequence[Sequence[Any]], expected: dict[int, str]) -> None:
        """The inner loop: fields by their number, since a million records go through here."""
        chain_key, seq, hash, about = self._keys.chain, self.seq, self.hash, self._seen.about
        for row in page:
            fields = tuple(row[:-1])
            if row[1] != seq + 1:
                raise self._gap(row, seq)
            hash = link(chain_key, hash, fields)
            if hash != row[-1]:
                raise self._changed(row)
            seq += 1
            if seq in expected and expected[seq] != hash:
                raise _Broken(f"the checkpoint over record {seq:,} was signed over another record: it was changed.")
            about.add(row[_GUEST])
            if row[_ACT] == _PSEUDONYMISE:
                self._seen.forgotten.add(row[_GUEST])
        self.count += len(page)
        self.seq, self.hash = seq, hash

    def _gap(self, row: Sequence[Any], seq: int) -> _Broken:
        found = Chained(*row)
        return _Broken(
            f"record {seq + 1:,} is missing: after record {seq:,} follows {found.seq:,} of {_time(found.at)}."
        )

    def _changed(self, row: Sequence[Any]) -> _Broken:
        found = Chained(*row)
        return _Broken(
            f"record {found.seq:,} of {_time(found.at)} does not follow from the one before: it was changed, inserted "
            "or put in another's place."
        )


async def _wrong_names(rows: LedgerRows, keys: LedgerKeys, seen: _Seen) -> list[str]:
    """Only asked when all chains are whole: what names should be there is what the chains say."""
    standing: set[str] = set()
    after = ""
    while page := await rows.all_names(after, PAGE):
        after = page[-1].digest
        for name in page:
            if name.mac != keys.mac(name.digest, name.guest, name.pseudonym):
                return [f"The name filed under {name.digest[:12]}… is not one this ledger gave: it was changed."]
            if name.guest:
                standing.add(name.pseudonym)
            elif name.pseudonym:
                seen.forgotten.add(name.pseudonym)
    if back := standing & seen.forgotten:
        return [
            f"The name of pseudonym {min(back)[:12]}… is there, although the ledger says that it was forgotten: it was "
            "brought back, or forgetting was interrupted and has to be done again."
        ]
    if gone := seen.about - standing - seen.forgotten - {""}:
        return [f"The name of pseudonym {min(gone)[:12]}… is gone, and no record says that it was forgotten."]
    return []


def _time(at: int) -> str:
    return moment(at).strftime("%Y-%m-%d %H:%M:%S UTC")
