"""What there is at one moment: the row in SQL, the three keys in Redis, one worker's local tier, writers and readers.

A lease or a fence is kept with the one who took it: that is the same as a token in Redis, for a token once gone never
comes back, and it makes two writers in the same place interchangeable, so that the search visits one of the two.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NOTHING: Final = -1  # no entry, in Redis or in the local tier; versions begin with 0, the row before any write

# Where a writer is.
IDLE: Final = "idle"
READY: Final = "ready"  # has fenced, or was allowed to go on without
OPEN: Final = "open"  # in its transaction, holds the row lock
ORPHAN: Final = "orphan"  # died in its transaction: the database has yet to commit it or roll it back
COMMITTED: Final = "committed"
ROLLED_BACK: Final = "rolled back"
WAITING: Final = "waiting"  # a strict write between UNFENCE and its acknowledgement
WAITED: Final = "waited"
WAITING_OWING: Final = "waiting, UNFENCE owed"
WAITED_OWING: Final = "waited, UNFENCE owed"
SILENT: Final = "silent"  # acknowledged and not yet published; only a mutant comes here
OWED: Final = "owed"  # committed, and its UNFENCE is left to the relay
DEAD: Final = "dead"  # died without a commit; its fence may still stand
DONE: Final = "done"

IN_TRANSACTION: Final = frozenset({OPEN, ORPHAN})
MAY_YET_COMMIT: Final = frozenset({READY, OPEN, ORPHAN})

# A writer's fence.
DOWN: Final = 0
UP: Final = 1
WIPED: Final = 2  # gone in a restart of Redis while the write may yet commit

# Where a reader is, beside IDLE.
ASKING: Final = "asking"  # not in the local tier, placeholder set
MISSED: Final = "missed"
LOADING: Final = "loading"
FILLING: Final = "filling"
KEEPING: Final = "keeping"

# A reader's lease.
NO_LEASE: Final = 0
LEASED: Final = 1
DOOMED: Final = 2  # granted while a write without its fence was open: runs out before Redis is warm
LAPSED: Final = 3  # the reader still believes in it

# Messages on the invalidation channel, beside the versions themselves.
HEARTBEAT: Final = 0
ANNOUNCED: Final = 99  # newer than any version: drops whatever it meets


class Writer(NamedTuple):
    at: str = IDLE
    version: int = 0
    fence: int = DOWN
    answered: bool = False  # FENCE was; kept only where a strict write relies on it


class Reader(NamedTuple):
    at: str = IDLE
    value: int = 0
    lease: int = NO_LEASE
    placeholder: bool = False
    acked: int = 0  # the newest write acknowledged before this read began
    seen: int = 0  # the newest version any read had returned before this one began


class Worker(NamedTuple):
    """One process's local tier and its end of the invalidation channel."""

    entry: int = NOTHING
    fresh: bool = False  # the last echo is of a heartbeat sent since the last tick
    subscribed: bool = True
    queue: tuple[int, ...] = ()  # published, not yet heard, in order


class State(NamedTuple):
    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...]
    worker: Worker = Worker()
    version: int = 0  # committed in SQL
    entry: int = NOTHING  # in Redis
    cold: bool = False  # Redis has just restarted
    acked: int = 0
    seen: int = 0
    due: int = 0  # acknowledged before the last tick, so at least Delta ago
    broken: str = ""  # the promise that the last step broke


def with_writer(state: State, at: int, writer: Writer) -> tuple[Writer, ...]:
    return (*state.writers[:at], writer, *state.writers[at + 1 :])


def with_reader(state: State, at: int, reader: Reader) -> tuple[Reader, ...]:
    return (*state.readers[:at], reader, *state.readers[at + 1 :])


def without_leases(readers: tuple[Reader, ...], gone: tuple[int, ...] = (LEASED, DOOMED)) -> tuple[Reader, ...]:
    return tuple(reader._replace(lease=LAPSED) if reader.lease in gone else reader for reader in readers)


def without_placeholders(readers: tuple[Reader, ...]) -> tuple[Reader, ...]:
    return tuple(reader._replace(placeholder=False) if reader.placeholder else reader for reader in readers)


def fenced(state: State) -> bool:
    return any(writer.fence == UP for writer in state.writers)


def published(worker: Worker, message: int) -> Worker:
    """A message to a subscriber that is cut off is lost without a trace."""
    return worker._replace(queue=(*worker.queue, message)) if worker.subscribed else worker


def canonical(state: State) -> State:
    """One state for all that differ only in which of several equal writers or readers is which."""
    writers, readers = tuple(sorted(state.writers)), tuple(sorted(state.readers))
    if writers == state.writers and readers == state.readers:
        return state
    return state._replace(writers=writers, readers=readers)
