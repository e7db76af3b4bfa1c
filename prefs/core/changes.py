"""What one accepted write did: the guest's new version, per key what left and what came, who, when, through what.

And the feed, which is all of them in order: where one stands in it (`Cursor`), and what it tells (`FeedEvent`).
"""

from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed: whatever comes after it is still to be told.

    The feed is told in steps, each of the transactions from `since` up to, not with, `until` (0: as far as can be said
    now), in the order of their positions; in this step it was told up to `position`. An engine with one writer has one
    step that never ends. Numbers only: they name nobody.
    """

    since: int = 0
    until: int = 0
    position: int = 0


class EventKind(StrEnum):
    """What the feed tells of: a change of a document, and what else changes the answers about a guest."""

    CHANGE = "change"
    STAY = "stay"
    PRESS = "press"
    ERASED = "erased"
    PROPERTY = "property"  # what a property declares; of no guest
    CATALOGUE = "catalogue"  # the extension; of no guest and no property


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """That something changed, without what it is now: that is read when it is told, for whoever it is told to.

    `place` is the property, where the event is about one; `action` and `note` are the change's. Whoever was erased
    has no id any more: there `guest` is the digest of the tombstone."""

    kind: EventKind
    cursor: Cursor
    guest: str = ""
    version: int = 0
    keys: tuple[str, ...] = ()
    place: str = ""
    action: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """The next events of the feed, in an order in which no guest's changes are reversed; an event may come twice.

    `cursor` is where to go on, `more` whether there is more at once. `waiting_since` is when the oldest change was made
    that is committed and cannot be told yet, since an older transaction may still commit before it. `lost` says that
    the place asked for is none of this feed's: it was another database's."""

    events: Sequence[FeedEvent]
    cursor: Cursor
    more: bool = False
    waiting_since: datetime | None = None
    lost: bool = False
