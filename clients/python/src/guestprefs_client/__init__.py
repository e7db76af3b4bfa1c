"""A client of the guest preference service that survives the network: typed, cached, conflict-aware, good off line."""

from guestprefs_client.asynchronous import AsyncGuestPrefs
from guestprefs_client.core.connection import Status
from guestprefs_client.core.kept import Meta, Preferences
from guestprefs_client.core.outbox import DeadLetter, Entry, Flushed, Side
from guestprefs_client.core.retries import Retries, Timeouts
from guestprefs_client.core.writing import Edit
from guestprefs_client.errors import (
    AnswerNotUnderstood,
    BadRequest,
    Conflict,
    Fault,
    GuestPrefsError,
    Invalid,
    NotAllowed,
    NotFound,
    NothingKnown,
    ProblemError,
    RateLimited,
    ServerFailed,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unreachable,
    VersionMoved,
    WrongSeal,
)
from guestprefs_client.stores import MemoryStore, SQLiteStore
from guestprefs_client.sync import GuestPrefs

__all__ = [
    "AnswerNotUnderstood",
    "AsyncGuestPrefs",
    "BadRequest",
    "Conflict",
    "DeadLetter",
    "Edit",
    "Entry",
    "Fault",
    "Flushed",
    "GuestPrefs",
    "GuestPrefsError",
    "Invalid",
    "MemoryStore",
    "Meta",
    "NotAllowed",
    "NotFound",
    "NothingKnown",
    "Preferences",
    "ProblemError",
    "RateLimited",
    "Retries",
    "SQLiteStore",
    "ServerFailed",
    "Side",
    "Status",
    "TimedOut",
    "Timeouts",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "VersionMoved",
    "WrongSeal",
]
