"""What one accepted write did: the guest's new version, per key what left and what came, who, when, through what."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from prefs.core.entries import Document, Entry
from prefs.core.papers import Papers


class Action(StrEnum):
    CREATE = "create"
    EDIT = "edit"
    REVERT = "revert"
    CONSENT = "consent"
    PROFILE = "profile"  # display name, identifiers
    RETENTION = "retention"  # what was kept long enough; without the values
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


class Coherence(StrEnum):
    """What other processes may still tell after a committed write. `unfenced`: what was before it only until it was
    answered, but a reader may have heard of both in the wrong order. `degraded`: what was before it, for a while, since
    they could not be told yet."""

    WHOLE = ""
    UNFENCED = "unfenced"
    DEGRADED = "degraded"

    @classmethod
    def worst(cls, of: Iterable["Coherence"]) -> "Coherence":
        """Of several writes as one."""
        return max(of, key=list(cls).index, default=cls.WHOLE)


@dataclass(frozen=True, slots=True)
class Erasure:
    """Values that go for good: earlier changes in the form in which they stay, and the keys whose values no answer that
    was kept for a repeat may hold any more."""

    changes: tuple[Change, ...] = ()
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Written:
    """What a write decided: the document it leaves and the change that led there; None where nothing changed.

    `answer` is JSON data the caller is told; it is kept with the idempotency key so that a repeat hears it again.
    `papers` is all that lies beside the document from now on, also without a change of it; None leaves them as they
    are. With an `erasure`, values go from where they were kept before.
    """

    document: Document
    change: Change | None
    answer: dict[str, object]
    replayed: bool = False
    coherence: Coherence = Coherence.WHOLE
    papers: Papers | None = None
    erasure: Erasure | None = None
