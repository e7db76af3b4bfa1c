"""What is remembered, in the store's records: answers, waiting edits, given-up edits, and versions seen."""

from __future__ import annotations

from guestprefs_client.core.kept import Kept
from guestprefs_client.core.outbox import DeadLetter, Entry
from guestprefs_client.core.questions import Question
from guestprefs_client.ports import Record, Store

ANSWER, EDIT, DEAD, SEEN = "answer", "edit", "dead", "seen"
_ONE = "version"
UNREADABLE = "UNREADABLE"
# After this long an answer is nobody's last known state any more.
ANSWER_LASTS_S = 30 * 86_400.0


class UnderWay:
    """An edit that nothing remembers but whoever waits for its answer. `wiped` once its guest was, meanwhile."""

    def __init__(self, guest: str) -> None:
        self.guest, self.wiped = guest, False


class Memory:
    """Every method reads or writes the store, so flows call it through `Local`."""

    def __init__(self, store: Store, language: str | None = None) -> None:
        self.store = store
        self.language = language
        self.account = ""
        # Grows when something is wiped: an answer that was asked for before that is not kept any more.
        self.wipes = 0
        self._highest: dict[tuple[str, str], int] = {}
        self._under_way = set[UnderWay]()

    def answer(self, asked: Question, now: float) -> Kept | None:
        data = self.store.get(ANSWER, self.account, asked.guest, asked.name(self.language))
        kept = Kept.load(data) if data else None
        return kept if kept and now - kept.taken_at < ANSWER_LASTS_S else None

    def keep(self, asked: Question, kept: Kept, wipes: int) -> None:
        """Keep an answer, and the version that it shows, unless something was wiped since it was asked for."""
        if wipes != self.wipes:
            return
        if asked.lasting():
            self._put(ANSWER, asked.guest, asked.name(self.language), kept.dump())
        self.saw(asked.guest, kept.version)
        if wipes != self.wipes:  # another thread wiped before all of it was written: it is taken back
            self.forget_answer(asked)
            self._forget_version(asked.guest)

    def _forget_version(self, guest: str) -> None:
        self._highest.pop((self.account, guest), None)
        self.store.drop(SEEN, self.account, guest, _ONE)

    def forget_answer(self, asked: Question) -> None:
        self.store.drop(ANSWER, self.account, asked.guest, asked.name(self.language))

    def forget_answers(self) -> None:
        self.store.drop(ANSWER, self.account)

    def seen(self, guest: str) -> int:
        """The highest version of this guest that this client knows of."""
        data = self.store.get(SEEN, self.account, guest, _ONE)
        return max(int(data) if data else 0, self._highest.get((self.account, guest), 0))

    def saw(self, guest: str, version: int) -> None:
        if version > self.seen(guest):
            # Of two calls at once the one with the older answer may write last: it writes the highest all the same.
            own = (self.account, guest)
            self._highest[own] = max(version, self._highest.get(own, 0))
            self._put(SEEN, guest, _ONE, str(self._highest[own]).encode())

    def begin(self, guest: str) -> UnderWay:
        edit = UnderWay(guest)
        self._under_way.add(edit)
        return edit

    def end(self, edit: UnderWay) -> None:
        self._under_way.discard(edit)

    def made(self, edit: UnderWay, version: int) -> None:
        """The version that an edit made, unless its guest was wiped since it was sent."""
        if not edit.wiped:
            self.saw(edit.guest, version)
        if edit.wiped:  # by another thread, before all of it was written
            self._forget_version(edit.guest)

    def saw_last(self, guest: str, version: int) -> None:
        """The version that the server itself says is its newest, even if it was further before it was restored."""
        self._highest[self.account, guest] = version
        self._put(SEEN, guest, _ONE, str(version).encode())

    def waiting(self, guest: str | None = None) -> list[Entry]:
        return [Entry.load(record.data) for record in self._legible(EDIT, guest)]

    def enqueue(self, entry: Entry) -> Entry:
        """Put an edit behind the others of its guest, or into the last of them while that was never sent."""
        before = self.waiting(entry.guest)
        kept = before[-1].with_edit(entry) if before and before[-1].takes(entry) else entry
        self.put_entry(kept)
        return kept

    def put_entry(self, entry: Entry) -> None:
        self._put(EDIT, entry.guest, entry.id, entry.dump())

    def drop_entry(self, entry: Entry) -> None:
        self.store.drop(EDIT, self.account, entry.guest, entry.id)

    def give_up(self, letter: DeadLetter) -> None:
        """First written down as given up, then no longer waiting: a crash between the two loses nothing."""
        self._put(DEAD, letter.guest, f"{letter.id}/{letter.reason}", letter.dump())

    def given_up(self, guest: str | None = None) -> list[DeadLetter]:
        return [DeadLetter.load(record.data) for record in self._legible(DEAD, guest)]

    def discard(self, letter: DeadLetter) -> None:
        self.store.drop(DEAD, self.account, letter.guest, f"{letter.id}/{letter.reason}")

    def wipe(self, guest: str | None = None) -> None:
        self.wipes += 1
        for edit in list(self._under_way):
            edit.wiped = edit.wiped or guest in (None, edit.guest)
        for known in [known for known in self._highest if guest in (None, known[1])]:
            del self._highest[known]
        self.store.wipe(guest)

    def _legible(self, kind: str, guest: str | None) -> list[Record]:
        """What can be read. Of an edit that cannot be any more (its file was damaged, or tampered with) it is written
        down that it was given up: it neither vanishes unsaid nor holds up the others."""
        records = self.store.listed(kind, self.account, guest)
        for lost in (record for record in records if not record.data):
            self.give_up(
                DeadLetter(lost.name, lost.guest, {}, "", UNREADABLE, "what was kept of it does not open", 0.0)
            )
            self.store.drop(kind, self.account, lost.guest, lost.name)
        if all(record.data for record in records):
            return list(records)
        return [record for record in self.store.listed(kind, self.account, guest) if record.data]

    def _put(self, kind: str, guest: str, name: str, data: bytes) -> None:
        self.store.put(Record(kind, self.account, guest, name, data))
