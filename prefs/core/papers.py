"""What is kept beside a guest's document and never read on the hot path: receipts of consents, invitations to give
one, and imported values that wait for one.

A receipt is a record of its own and outlives the consent it tells of: every version is kept, none is ever changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

INVITED_FOR = timedelta(days=14)
WAITS_AT_MOST = timedelta(days=30)  # an imported value that nobody consented to (design section 8)


class Status(StrEnum):
    """What a receipt says happened to the consent."""

    GRANTED = "granted"
    RENEWED = "renewed"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"


class Reply(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One version of the record of a guest's consent for a purpose; `body` is what the guest may download."""

    record: str
    purpose: str
    version: int
    status: Status
    at: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Invitation:
    """Staff ask the guest to consent to a purpose: the keys it is about, never a value."""

    id: str
    purpose: str
    keys: tuple[str, ...]
    property: str
    actor: str
    surface: str
    at: datetime
    expires_at: datetime
    reply: Reply = Reply.OPEN
    answered_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.reply is Reply.OPEN and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Waiting:
    """One imported member of an edit, as JSON, that needs a consent which the guest has not given.

    `source` is the subject of the token that brought it. The value is part of no document, history or answer."""

    id: str
    purpose: str
    key: str
    scope: str
    member: str
    source: str
    surface: str
    at: datetime
    expires_at: datetime

    def waits(self, now: datetime) -> bool:
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Papers:
    """All of it for one guest: receipts by purpose and version, the rest by id."""

    receipts: tuple[Receipt, ...] = ()
    invitations: tuple[Invitation, ...] = ()
    waiting: tuple[Waiting, ...] = ()

    def of(self, purpose: str) -> Sequence[Receipt]:
        return [receipt for receipt in self.receipts if receipt.purpose == purpose]


NO_PAPERS = Papers()
