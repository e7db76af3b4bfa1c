"""Edits that wait for the server: their order, their merging before they are sent, and what becomes of the refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from guestprefs_client.core.kept import WRAPPED
from guestprefs_client.errors import Fault
from guestprefs_client.models import Conflict, Edited

KEYS_MAX = 50


class Side(StrEnum):
    """Whose value stands when an edit comes late and the key was changed meanwhile."""

    MINE = "mine"
    THEIRS = "theirs"


type Judge = Callable[[Conflict], Side]


@dataclass(frozen=True, slots=True)
class Entry:
    """One waiting edit. `id` is its idempotency key: however often it is sent, it has one effect.

    `base` is the version that the user saw; it is sent with an edit that comes late, or that is `guarded`. In
    `own_versions` are those that earlier entries of this outbox made.
    """

    id: str
    guest: str
    patch: Mapping[str, Any]
    scope: str = "profile"
    property: str | None = None
    provenance: str | None = None
    base: int | None = None
    made_at: float = 0.0
    edits: int = 1
    tried: int = 0
    next_at: float = 0.0
    own_versions: tuple[int, ...] = ()
    guarded: bool = False

    @classmethod
    def load(cls, data: bytes) -> Entry:
        told = json.loads(data)
        return cls(**{**told, "own_versions": tuple(told["own_versions"])})

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def takes(self, other: Entry) -> bool:
        """Whether another edit can still be merged into this one: not when the server may know it already."""
        alike = (self.scope, self.property, self.provenance) == (other.scope, other.property, other.provenance)
        return alike and not self.tried and not other.tried and len(self.patch.keys() | other.patch.keys()) <= KEYS_MAX

    def with_edit(self, other: Entry) -> Entry:
        """The last write of a key counts. The base stays: it is what the first of them was made on."""
        patch = {**self.patch, **other.patch}
        return replace(self, patch=patch, edits=self.edits + other.edits, guarded=self.guarded or other.guarded)

    def without(self, keys: frozenset[str] | set[str]) -> Entry:
        return replace(self, patch={key: said for key, said in self.patch.items() if key not in keys})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What of an edit was given up, and why. `theirs` holds what stands instead, by key, after a conflict."""

    id: str
    guest: str
    patch: Mapping[str, Any]
    scope: str
    reason: str
    detail: str
    made_at: float
    theirs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, data: bytes) -> DeadLetter:
        return cls(**json.loads(data))

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def dead(entry: Entry, reason: str, detail: str, keys: set[str] | None = None, **theirs: Any) -> DeadLetter:
    patch = {key: said for key, said in entry.patch.items() if keys is None or key in keys}
    return DeadLetter(entry.id, entry.guest, patch, entry.scope, reason, detail, entry.made_at, theirs)


@dataclass(frozen=True, slots=True)
class Flushed:
    """What became of waiting edits: done, given up, still waiting; and guests that are gone, with all about them."""

    done: Mapping[str, Edited] = field(default_factory=dict)
    dead: Sequence[DeadLetter] = ()
    gone: Sequence[str] = ()
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """How an entry goes on after a conflict: what is still to be sent, and what is given up."""

    entry: Entry
    lost: DeadLetter | None


def after_conflict(entry: Entry, conflicts: Sequence[Conflict], current: int | None, judge: Judge) -> Settled:
    """A key that we changed ourselves, or that holds what we want, is no conflict; about the others the judge decides.

    The server names every key that changed since the base, so what goes on may stand on the current version.
    """
    dropped, lost, theirs = set[str](), set[str](), dict[str, Any]()
    for conflict in conflicts:
        if conflict.version in entry.own_versions:
            continue
        if same(entry.patch.get(conflict.key), conflict.theirs):
            dropped.add(conflict.key)
        elif judge(conflict) is Side.THEIRS:
            lost.add(conflict.key)
            theirs[conflict.key] = conflict.theirs
    letter = dead(entry, "CONFLICT", "changed since by somebody else", lost, **theirs) if lost else None
    return Settled(replace(entry.without(dropped | lost), base=current), letter)


def after_refusal(entry: Entry, faults: Sequence[Fault], code: str, detail: str) -> Settled:
    """Of merged edits one may be wrong: the keys at fault are given up and the others go on. A single edit is all or
    nothing, as it was made."""
    named = set(map(key_of, faults))
    wrong = named if entry.edits > 1 and named and named <= entry.patch.keys() else set(entry.patch)
    return Settled(entry.without(wrong), dead(entry, code, detail, wrong))


def key_of(fault: Fault) -> str:
    """The preference key that a fault is about: the first segment of its pointer."""
    if not fault.field.startswith("/"):
        return ""
    return fault.field[1:].split("/", 1)[0].replace("~1", "/").replace("~0", "~")


def same(mine: Any, theirs: Any) -> bool:
    """Whether what stands is what we wanted. Anything but plain values is taken as different."""
    wanted = mine if isinstance(mine, dict) and WRAPPED in mine else {WRAPPED: mine}
    if mine is None or wanted.keys() - {WRAPPED, "unit"}:
        return mine is None and not theirs
    if not isinstance(theirs, list) or len(theirs) != 1 or not isinstance(theirs[0], dict):
        return False
    stands = theirs[0]
    said: dict[str, Any] = (stands.get("entered") if "unit" in wanted else None) or stands
    plain = not stands.get("context") and stands.get("strength", "preferred") == "preferred"
    return plain and said.get(WRAPPED) == wanted[WRAPPED] and wanted.get("unit") in (None, said.get("unit"))
