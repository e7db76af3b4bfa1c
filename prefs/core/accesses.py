"""What the ledger keeps: one access a record, and the flat form in which records are chained.

A record names who did what, through which surface and why, to whose data and which keys; never a value.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Deed(StrEnum):
    """What was done; those of an area are called `area.verb`."""

    READ = "read"
    PROPERTY_PUT = "property.put"
    PROPERTY_DELETE = "property.delete"
    CATALOGUE_PUT = "catalogue.put"
    CATALOGUE_DELETE = "catalogue.delete"
    CONSENT_GRANT = "consent.grant"
    CONSENT_WITHDRAW = "consent.withdraw"
    EXPORT = "guest.export"
    ERASE = "guest.erase"
    PSEUDONYMISE = "ledger.pseudonymise"
    PRUNE = "ledger.prune"
    KEY_ROTATE = "key.rotate"
    DEVICE_DECIDE = "device.decide"
    DEVICE_REVOKE = "device.revoke"
    LINK_MAKE = "link.make"
    LINK_REVOKE = "link.revoke"
    TOKEN_REVOKE = "token.revoke"
    WEBHOOK_PUT = "webhook.put"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_ROTATE = "webhook.rotate"
    WEBHOOK_PING = "webhook.ping"
    WEBHOOK_REPLAY = "webhook.replay"


class Outcome(StrEnum):
    """A read is recorded as shown before it is told. An act is recorded as begun before it is done, and once more with
    how it ended: an act that only began was interrupted."""

    SHOWN = "shown"
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Access:
    """One thing done. `guest` is empty where an act is about no guest; `property` says where reader or act were."""

    at: datetime
    actor: str
    role: str
    surface: str
    act: str
    outcome: str
    property: str = ""
    guest: str = ""
    version: int = 0
    keys: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    request: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An access as the ledger tells it; `position` is where a page after it begins."""

    access: Access
    position: str


class Chained(NamedTuple):
    """A record as it rests: `at` in microseconds since 1970, `guest` as a pseudonym, lists as words with a space
    between, and last the hash over all other fields and the hash of the record before."""

    writer: str
    seq: int
    at: int
    actor: str
    role: str
    surface: str
    property: str
    act: str
    outcome: str
    guest: str
    version: int
    keys: str
    purposes: str
    request: str
    hash: str


class Name(NamedTuple):
    """Which guest a pseudonym stands for. Both are empty once the guest was erased; `digest`, which nobody can make
    without the ledger's key, then keeps a late record from bringing the guest back. `mac` covers the other three."""

    digest: str
    guest: str
    pseudonym: str
    mac: str
