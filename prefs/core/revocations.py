"""What was taken back before its time: single tokens, everything of a subject so far, devices, stay links.

A list of entries becomes `Revoked`, which answers for one token by looking into a few sets.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

KEPT = timedelta(days=400)  # longer than any token that this service signs lasts


_ERASED = "sha256:"


def pseudonym(subject: str) -> str:
    """What stands for a subject who was erased: it names nobody, and their old tokens are known by it still."""
    return _ERASED + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()


class Revocable(StrEnum):
    """What an entry names. A subject's tokens are refused up to the moment of the entry; newer ones are good."""

    TOKEN = "token"
    SUBJECT = "subject"
    DEVICE = "device"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Revocation:
    """`until`: from then on nothing that it names can be valid any more, and it may be forgotten."""

    kind: Revocable
    value: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What of a token a revocation may name; empty where it has none. `link` is the stay link it was got by."""

    token: str
    subject: str
    device: str
    link: str
    issued_at: float


class Revoked:
    """Everything that is revoked at one moment. Equal lists make equal objects, so that no change is seen as one."""

    def __init__(self, entries: Iterable[Revocation] = ()) -> None:
        self._entries = frozenset(entry for entry in entries if entry.value)
        named: dict[Revocable, set[str]] = {kind: set() for kind in Revocable}
        self._subjects: dict[str, float] = {}
        for entry in self._entries:
            named[entry.kind].add(entry.value)
            if entry.kind is Revocable.SUBJECT:
                self._subjects[entry.value] = max(self._subjects.get(entry.value, 0.0), entry.at.timestamp())
        self._pseudonyms = any(subject.startswith(_ERASED) for subject in self._subjects)
        self._tokens, self._devices, self._links = (
            frozenset(named[kind]) for kind in (Revocable.TOKEN, Revocable.DEVICE, Revocable.LINK)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Revoked) and self._entries == other._entries

    def __hash__(self) -> int:
        return hash(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __or__(self, entry: Revocation) -> "Revoked":
        return Revoked(self._entries | {entry})

    def refuses(self, facts: TokenFacts) -> bool:
        return (
            facts.token in self._tokens
            or facts.device in self._devices
            or facts.link in self._links
            or facts.issued_at <= self._subjects.get(facts.subject, -1.0)
            or (self._pseudonyms and facts.issued_at <= self._subjects.get(pseudonym(facts.subject), -1.0))
        )
