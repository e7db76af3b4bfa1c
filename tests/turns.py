"""Who has the machine: tests that run at once on several workers, or one marked `alone` with nothing beside it.

What a server can do at most is not known while another test does what it likes on the other core. So each test holds
a lock on a file of this checkout for as long as it runs, shared or, when it is to be alone, exclusive. Whoever waits
for the exclusive one holds the door meanwhile, or those who share it could go on for ever without him.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DOOR = Path(__file__)
_ROOM = Path(__file__).with_name("conftest.py")


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Wait for the machine, and have it. Locks are of open files: they end with the process too."""
    with _ROOM.open("rb") as room:
        with _DOOR.open("rb") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
