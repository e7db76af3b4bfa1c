"""What one accepted write did: the guest's new version, per key what left and what came, who, when, through what."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from prefs.core.entries import Document, Entry


class Action(StrEnum):
    CREATE = "create"
    EDIT = "edit"
    REVERT = "revert"
    CONSENT = "consent"
    PROFILE = "profile"  # display name, identifiers
    CATALOGUE = "catalogue"  # entries rewritten by a planned catalogue change


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Entries of one key that the write removed and added; an entry that was replaced is in both."""

    key: str
    removed: tuple[Entry, ...]
    added: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One accepted write of a guest's document. `note` says in a word what changed beside entries (a purpose, ...)."""

    guest: str
    version: int
    at: datetime
    actor: str
    role: str
    surface: str
    action: Action
    keys: tuple[KeyChange, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write decided: the document it leaves and the change that led there; None where nothing changed.

    `answer` is JSON data the caller is told; it is kept with the idempotency key so that a repeat hears it again.
    `degraded`: committed, but other processes could not be told yet, and may tell the version before for a while.
    """

    document: Document
    change: Change | None
    answer: dict[str, object]
    replayed: bool = False
    degraded: bool = False
