"""Everything guestprefs can refuse or fail at, as one tree. No status codes: HTTP meets the tree in `api/errors.py`.

PrefsError
├── Refused                     the caller asked for something that cannot be done as asked
│   ├── InvalidEdit             one or more fields are wrong; lists every one of them
│   ├── NotFound                no such thing, or not yours to see: the same answer
│   ├── NotAllowed              known caller, but this role may not do this
│   ├── VersionMoved            If-Match names a version that is no longer current
│   ├── KeyConflict             a touched key changed after the base version
│   ├── IdentifierTaken         the identifier already names another guest
│   ├── StayTaken               the stay id already belongs to another guest or property
│   ├── LinkUsed                a stay link lets in once, and did
│   ├── KeyReused               an idempotency key came back with another request
│   ├── CatalogueInUse          a catalogue change would orphan stored entries
│   └── CatalogueInvalid        a definition file or body is wrong: file, key, field, reason
├── Unauthenticated             no token, or one that does not verify
└── Unavailable                 try again later
    ├── StoreUnavailable        the database cannot be reached or did not answer in time
    ├── LedgerUnavailable       what is to be done or told cannot be recorded first
    ├── SchemaOutdated          the database is older than the code: migrate first
    └── Sealed                  what rests sealed does not open with the keys at hand
        └── WrappingKeyMissing  a wrapping key is not among those that are known here
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class PrefsError(Exception):
    """Root of the tree; `code` is the machine-readable name callers may branch on."""

    code = "ERROR"


class Refused(PrefsError):
    """The request was understood and cannot be done; trying again unchanged will not help."""

    code = "REFUSED"


FAULTS_MAX = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where (JSON pointer), what (code), and how to mend it (detail)."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Invitable:
    """What a caller who was refused for want of consent may invite the guest to."""

    guest: str
    purpose: str
    keys: tuple[str, ...]


class InvalidEdit(Refused):
    """Raised with every fault found, never only the first, so that a client can mend them in one go. Beyond FAULTS_MAX
    they are counted: a body full of them must not make an answer many times as long."""

    code = "INVALID"

    def __init__(self, faults: Sequence[Fault], invitable: Sequence[Invitable] = ()) -> None:
        if not faults:
            raise ValueError("InvalidEdit needs at least one fault")
        codes = {fault.code for fault in faults}
        more = len(faults) - FAULTS_MAX
        if more > 0:
            faults = [*faults[:FAULTS_MAX], Fault("", "MORE_FAULTS", f"{more} more are not listed")]
        self.faults = tuple(faults)
        self.invitable = tuple(invitable)
        if len(codes) == 1:
            self.code = faults[0].code
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))


class NotFound(Refused):
    """Raised alike for what does not exist and for what the caller has no reason to see."""

    code = "NOT_FOUND"


class NotAllowed(Refused):
    """Raised when the role as such may not call this; says nothing about whether the target exists."""

    code = "NOT_ALLOWED"


class VersionMoved(Refused):
    """Raised when `If-Match` names another version than the stored one."""

    code = "VERSION_MOVED"

    def __init__(self, expected: int, current: int) -> None:
        self.expected, self.current = expected, current
        super().__init__(f"The document is at version {current}, not {expected}.")


@dataclass(frozen=True, slots=True)
class Conflict:
    """One key that changed under the caller's feet: the three sides of a merge, already in response form."""

    key: str
    yours: Any
    theirs: Any
    base: Any
    by: str
    at: str
    version: int


class KeyConflict(Refused):
    """Raised when keys the edit touches changed after `Preferences-Base-Version`; disjoint edits never conflict."""

    code = "CONFLICT"

    def __init__(self, conflicts: Sequence[Conflict], current: int) -> None:
        self.conflicts, self.current = tuple(conflicts), current
        super().__init__("Changed since your base version: " + ", ".join(c.key for c in conflicts))


class IdentifierTaken(Refused):
    """Raised without naming the other guest: only which identifier is taken."""

    code = "IDENTIFIER_TAKEN"

    def __init__(self, system: str, external_id: str) -> None:
        self.system, self.external_id = system, external_id
        super().__init__(f"The identifier {external_id} of system {system} is already in use.")


class StayTaken(Refused):
    """Raised when a stay id is put again for another guest or another property."""

    code = "STAY_TAKEN"


class LinkUsed(Refused):
    """Raised when a stay link is brought a second time: a new one has to be made."""

    code = "LINK_USED"


class KeyReused(Refused):
    """Raised when an `Idempotency-Key` comes with another method, path or body than the first time."""

    code = "IDEMPOTENCY_KEY_REUSED"


class CatalogueInUse(Refused):
    """Raised with the number of stored entries per reason that a catalogue change would leave invalid."""

    code = "CATALOGUE_IN_USE"

    def __init__(self, key: str, counts: Mapping[str, int], advice: str) -> None:
        self.key, self.counts = key, dict(counts)
        listed = ", ".join(f"{count} {what}" for what, count in counts.items())
        super().__init__(f"{key} is in use ({listed}). {advice}")


class CatalogueInvalid(Refused):
    """Raised at load or on extension; names the file (or `request`), the key, the field and the reason."""

    code = "CATALOGUE_INVALID"

    def __init__(self, file: str, key: str, field: str, reason: str) -> None:
        self.file, self.key, self.field, self.reason = file, key, field, reason
        super().__init__(f"{file}: {key or '(file)'}: {field or '(whole)'}: {reason}")


class Unauthenticated(PrefsError):
    """Raised when the bearer token is missing, malformed, expired, or not signed by a known key."""

    code = "UNAUTHENTICATED"


class Unavailable(PrefsError):
    """Nothing is wrong with the request; something below is not answering."""

    code = "UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """Raised instead of any driver's own error when SQL cannot be reached, is read-only, or timed out."""

    code = "STORE_UNAVAILABLE"


class LedgerUnavailable(Unavailable):
    """Raised where nothing may be done or told without a record of it, and none can be written."""

    code = "LEDGER_UNAVAILABLE"


class SchemaOutdated(Unavailable):
    """Raised at start-up when migrations are missing; the message names the command to run."""

    code = "SCHEMA_OUTDATED"


class Sealed(Unavailable):
    """Raised when a key is missing or does not fit, or when what it sealed was tampered with."""

    code = "SEALED"


class WrappingKeyMissing(Sealed):
    """Raised for a data key wrapped by a key that is not known here, or no longer in use; asking anew may help."""

    code = "WRAPPING_KEY_MISSING"

    def __init__(self, id: str, sentence: str) -> None:
        self.id = id
        super().__init__(sentence)
