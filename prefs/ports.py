"""What the domain needs from the world: protocols, each method with its promise. Adapters are chosen in `bootstrap.py`.

Every method of `Store` may raise `StoreUnavailable`, and no other error of a library below it. Everything else it
raises is in the tree of `prefs.core.errors` and is named at the method.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from prefs.core.accesses import Access, Chained, Name, Recorded
from prefs.core.changes import Change, Coherence, Cursor, FeedEvent, FeedPage, Written
from prefs.core.enrolment import Credential, Decide, Kind
from prefs.core.entries import Document, Entry, Identifier, ScopeKind, Strength
from prefs.core.erasure import Tombstone
from prefs.core.papers import Papers
from prefs.core.revocations import Revocation
from prefs.core.stays import Stay
from prefs.core.webhooks import Attempt, Delivery, Endpoint, Progress, State


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class DataKey:
    """A guest's data key as it rests: its id, the wrapping key that wraps it, and itself under that."""

    id: str
    wrapped_by: str
    wrapped: bytes


class Safe(Protocol):
    """One guest's data key at work."""

    @property
    def key(self) -> DataKey: ...

    def seal(self, data: bytes, *place: str) -> bytes:
        """Under the data key, bound to guest, key and place (what it is, of which preference key, at which version):
        what was moved to another place does not open there."""
        ...

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Raises Sealed for anything but what was sealed for this very place."""
        ...


class Vault(Protocol):
    """Data keys of guests, wrapped by wrapping keys that never rest beside them."""

    @property
    def sealing(self) -> bool:
        """Whether what is written now is sealed; what is sealed is opened in any case."""
        ...

    @property
    def proofs(self) -> Mapping[str, str]:
        """By the ids of all wrapping keys, what tells whether a key of that id is the same key; the first one wraps."""
        ...

    def make(self, guest: str) -> Safe:
        """A new data key, wrapped by the newest wrapping key."""
        ...

    def unlock(self, guest: str, key: DataKey) -> Safe:
        """Raises WrappingKeyMissing, and Sealed for a key that was not wrapped for this guest."""
        ...

    def rewrap(self, guest: str, key: DataKey) -> DataKey:
        """The same data key, wrapped by the newest wrapping key. Raises as `unlock`."""
        ...

    async def renew(self, missing: str) -> None:
        """Look again where the wrapping keys come from: this one may have been added. Raises Sealed."""
        ...


class Past(Protocol):
    """A guest's history as seen inside a write, under its lock."""

    def since(self, version: int) -> Sequence[Change]:
        """Changes after `version`, oldest first."""
        ...

    def at(self, version: int) -> Change | None:
        """The change that made `version`, or None."""
        ...

    def papers(self) -> Papers:
        """What lies beside the document, expired invitations and waiting values included."""
        ...


ANSWERS_KEPT = timedelta(hours=24)  # for repeats


@dataclass(frozen=True, slots=True)
class Once:
    """An `Idempotency-Key`: whose, which, and a digest of method, path and body to tell a repeat from a reuse."""

    caller: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Record:
    """A property or catalogue extension as it was put: JSON data at a version of its own."""

    id: str
    body: Mapping[str, Any]
    version: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How many stored entries of a key share this value, strength and kind of scope."""

    value: Any
    strength: Strength
    scope: ScopeKind
    count: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is to be read at one moment: documents of these guests, stays of these guests, these properties, and the
    extension of the catalogue."""

    documents: Sequence[str] = ()
    stays: Sequence[str] = ()
    properties: Sequence[str] = ()
    extensions: bool = False


@dataclass(frozen=True, slots=True)
class Lodging:
    """A guest's stays by arrival, and by stay the live presses in its room, expired ones included: the resolver looks
    at `expires_at`."""

    stays: Sequence[Stay] = ()
    live: Mapping[str, Sequence[Entry]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up told. Unknown guests have no document, but a lodging without stays; unknown properties are left
    out; `extensions` is None where nobody asked."""

    documents: Mapping[str, Document]
    lodgings: Mapping[str, Lodging]
    properties: Mapping[str, Record]
    extensions: tuple[int, list[Record]] | None = None


type Apply = Callable[[Document, Past], Written]


@dataclass(frozen=True, slots=True)
class Blocker:
    """An open transaction that the feed waits for: the database's name for its session, and what it says of itself."""

    session: str
    account: str
    program: str
    database: str
    state: str
    open_for: timedelta


class Reads(Protocol):
    """The half of `Store` that resolving needs; see there for each promise."""

    async def get(self, guest: str) -> Document | None: ...

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]: ...

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]: ...

    async def live(self, stay: Stay) -> list[Entry]: ...

    async def property(self, property_id: str) -> Record | None: ...

    async def extensions(self) -> tuple[int, list[Record]]: ...

    async def look_up(self, wanted: Lookup) -> Found: ...


class Traced(Reads, Protocol):
    """Reads of one request that remember where answers came from: the farthest tier (local, shared, store, stale), the
    greatest age in seconds of what is stale, and for every value, by its key, whatever the tiers know it by."""

    @property
    def tier(self) -> str: ...
    @property
    def age_s(self) -> float: ...
    @property
    def parts(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Committed:
    """A write with what it may take until everybody sees it: `degraded` says that the shared tier could not be told,
    `gone_after` by when at the latest no tier serves the old copy."""

    written: Written
    degraded: bool
    gone_after: timedelta


@dataclass(frozen=True, slots=True)
class Put[T]:
    """What a write of a fact (a stay, a property, live presses, the catalogue's extension) left, and what other
    processes may still tell of before it."""

    value: T
    coherence: Coherence = Coherence.WHOLE


@dataclass(frozen=True, slots=True)
class Buried:
    """An erasure that is committed. `fresh` is False where it had happened before, and nothing was done now;
    `degraded` and `gone_after` are as in `Committed`."""

    tombstone: Tombstone
    fresh: bool = True
    degraded: bool = False
    gone_after: timedelta = timedelta()


class Signer(Protocol):
    """The keys behind receipts: one that signs them, and one under which an erased guest is known."""

    def sign(self, kind: str, body: Mapping[str, Any]) -> str:
        """A compact JWS over the body, of this type."""
        ...

    def digest(self, guest: str) -> str:
        """What a tombstone knows this guest by."""
        ...

    def published(self) -> dict[str, Any]:
        """The public halves as a JWK set."""
        ...


class SecondPlace(Protocol):
    """Tombstones kept where restoring the database does not reach. Both raise Unavailable."""

    def read(self) -> dict[str, Tombstone]:
        """All of them by digest."""
        ...

    def append(self, tombstones: Sequence[Tombstone]) -> None:
        """Durable when it returns; nothing at all may be given, to see whether it could be written."""
        ...


@runtime_checkable
class Tiers(Protocol):
    """What a store with tiers offers beside `Store`, for the hot read."""

    def reading(self, *, linearizable: bool = False, min_version: int = 0) -> Traced:
        """Reads for one request, by default at most 200 ms old; documents at least at this version unless the store
        itself is behind it. While the store is gone they tell what is known, for 15 minutes."""
        ...

    def prepared(self, guest: str, name: Hashable, min_version: int = 0) -> Any | None:
        """The answer laid down under this name, if every value it was made from may be told this moment."""
        ...

    async def confirmed(self, guest: str, name: Hashable, min_version: int = 0) -> Any | None:
        """The same, if every value is what all processes share at some moment after this call; then the answer is as
        fresh as `reading(linearizable=True)` makes one. None where nothing is shared."""
        ...

    def prepared_of(self, guests: Iterable[str], name: Hashable) -> dict[str, Any]:
        """The same for many, at one moment; guests without one are left out."""
        ...

    def prepare(
        self, reads: Traced, guest: str, name: Hashable, answer: Any, size_bytes: int, property: str | None = None
    ) -> None:
        """Lay down an answer made from what these reads told, and from nothing else that can change. Where they told of
        many guests, `property` says for which place this one's was made."""
        ...

    async def wait_as_for_nobody(self, reads: Reads) -> None:
        """Ask the store for nobody, if these reads were answered from copies: then it takes as long as if it had been
        asked."""
        ...

    async def withdraw(self, guest: str, apply: "Apply", once: Once | None = None) -> Committed:
        """`Store.write` for withdrawn consent and erasure: when it returns undegraded, no tier of any process can tell
        what was before, not even as stale."""
        ...


class Credentials(Protocol):
    """Grants, devices and stay links, and what is revoked; durable as writes of `Store` are, and raising as they do."""

    async def add(self, credential: Credential, now: datetime) -> bool:
        """Store a new one; False when its id is taken. What has expired may be forgotten on the way."""
        ...

    async def get(self, kind: Kind, id: str) -> Credential | None:
        """One as it is now; it may have expired."""
        ...

    async def of_property(
        self, kind: Kind, property: str, now: datetime, limit: int, after: str = ""
    ) -> list[Credential]:
        """Those of a property that have not expired, by id, after the given one."""
        ...

    async def change[T](self, kind: Kind, id: str, apply: Decide[T]) -> T:
        """Read, decide and save in one transaction under the lock of the one named, if it is there. `apply` is pure."""
        ...

    async def revoke(self, entries: Sequence[Revocation], now: datetime) -> None:
        """Add to what is revoked, replacing an older entry for the same."""
        ...

    async def revocations(self, now: datetime) -> list[Revocation]:
        """Everything that is revoked and could still be valid."""
        ...


class FeedRows(Protocol):
    """The feed as it rests beside what it tells of. Every method may raise StoreUnavailable."""

    async def page(self, after: Cursor, limit: int, guest: str | None = None) -> FeedPage:
        """What comes after this place, of one guest or of everybody. Whatever is committed is told once its turn can be
        said, in whatever order transactions commit."""
        ...

    async def end(self) -> Cursor:
        """A place such that everything before it is seen by every read that begins from now on."""
        ...

    async def trim(self, until: datetime, limit: int) -> int:
        """Forget events up to then that are no changes of documents, `limit` at most; says how many."""
        ...

    async def blockers(self) -> list[Blocker]:
        """Transactions that the feed waits for, the oldest first; none where there is one writer."""
        ...


class Listening(Protocol):
    """One listener of the feed."""

    @property
    def here(self) -> Cursor:
        """Whatever comes after this place it will still hear."""
        ...

    @property
    def cut(self) -> bool:
        """It fell too far behind, or the feed is another one: it hears nothing any more."""
        ...

    @property
    def drained(self) -> bool:
        """This process is about to stop, and asks it to leave."""
        ...

    async def take(self, timeout_s: float) -> list[FeedEvent]:
        """What came, in order; nothing when the time is over, it was cut, or is asked to leave."""
        ...

    def close(self) -> None: ...


class Feed(Protocol):
    """The feed as this process hears it."""

    @property
    def rows(self) -> FeedRows: ...

    async def listen(self, guest: str | None = None, place: str | None = None) -> Listening:
        """Hear of one guest, or of everybody at a property, and of what concerns all. Raises StoreUnavailable."""
        ...

    def drain(self) -> None:
        """Ask every listener to leave."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of posting a message: a status, or in a word why there is none."""

    status: int
    error: str
    retry_after_s: float | None
    took_ms: int

    def attempt(self, at: datetime) -> Attempt:
        return Attempt(at, self.took_ms, self.status, self.error, self.retry_after_s)


class Courier(Protocol):
    """Brings messages to receivers outside, and nothing anywhere else."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Within a few seconds; whatever goes wrong is in the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """How endpoints stand: how many there are, which are refused, and how many messages were given up."""

    endpoints: int
    failing: Mapping[str, datetime]
    gone: Sequence[str]
    dead: int


class WebhookRows(Protocol):
    """Endpoints and the log of what they were told. What is said of a guest there goes with the guest. Every method may
    raise StoreUnavailable."""

    async def add(self, endpoint: Endpoint) -> bool:
        """False when its id is taken."""
        ...

    async def get(self, id: str) -> Endpoint | None: ...

    async def listed(self, limit: int, after: str = "") -> list[Endpoint]:
        """By id, after the given one."""
        ...

    async def change(self, id: str, apply: Callable[[Endpoint], Endpoint]) -> Endpoint | None:
        """Read, decide and save under a lock; None where there is none. `apply` is pure."""
        ...

    async def delete(self, id: str) -> bool:
        """With its log; False when it was not there."""
        ...

    async def lease(self, owner: str, now: datetime, until: datetime, renew: datetime) -> list[Endpoint]:
        """Every endpoint that is on and that `owner` alone may tell now: those it holds, held longer where that would
        end before `renew`, and those that nobody holds any more."""
        ...

    async def release(self, owner: str) -> None: ...

    async def keep(self, owner: str, id: str, progress: Progress | None, delivery: Delivery | None = None) -> bool:
        """Save both in one transaction; False, and nothing is saved, where somebody else holds the endpoint by now. A
        delivery about a guest who is no more is left out."""
        ...

    async def delivery(self, endpoint: str, id: str) -> Delivery | None: ...

    async def deliveries(
        self, endpoint: str, state: State | None, limit: int, before: tuple[datetime, str] | None = None
    ) -> list[Delivery]:
        """By when they were last tried, newest first, before the given moment and id."""
        ...

    async def due(self, endpoint: str, now: datetime, limit: int) -> list[Delivery]:
        """Deliveries that somebody asked for again and that may be tried, the oldest first."""
        ...

    async def replay(self, endpoint: str, id: str, now: datetime) -> Delivery | None:
        """Have it delivered again, unless it is still pending; None where there is none."""
        ...

    async def trim(self, until: datetime, limit: int) -> int:
        """Forget deliveries that ended up to then, `limit` at most; says how many."""
        ...

    async def backlog(self) -> Backlog: ...


class Store(Protocol):
    """Documents, history, facts and idempotency answers. Truth when it is SQL; every other store wraps or imitates it.

    A write that returns has been committed durably. A write that raises has left nothing behind.
    """

    @property
    def credentials(self) -> Credentials:
        """What is kept of callers, in the same place."""
        ...

    @property
    def feed(self) -> FeedRows:
        """All that changed, in order."""
        ...

    @property
    def webhooks(self) -> WebhookRows:
        """Who outside is told of changes."""
        ...

    async def get(self, guest: str) -> Document | None:
        """The document at its newest committed version, None for an unknown guest."""
        ...

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        """The same for many; unknown guests are left out."""
        ...

    async def find(self, identifier: Identifier) -> str | None:
        """The guest that another system knows by this identifier."""
        ...

    async def create(self, written: Written, once: Once | None = None) -> Written:
        """Store a new guest. Raises IdentifierTaken; with `once` as `write` does."""
        ...

    async def write(self, guest: str, apply: Apply, once: Once | None = None) -> Written:
        """Read, decide and save under the guest's lock in one transaction.

        `apply` is pure and gets the newest document (its version still the old one) and its past; the document it
        returns carries the version one higher. A `change` of None means nothing changed: nothing is saved and the
        version stays; papers that it brings are saved alone. With `once`: the same key and fingerprint again returns
        the first answer (`replayed`, nothing applied), also under concurrent duplicates, for 24 hours. Raises NotFound
        for an unknown guest, KeyReused, IdentifierTaken, and whatever `apply` raises (after rolling back).
        """
        ...

    async def papers(self, guest: str) -> Papers:
        """What lies beside the document; nothing for an unknown guest."""
        ...

    async def drop_waiting(self, until: datetime, limit: int) -> int:
        """Forget imported values whose time to wait was over by then, `limit` at most; says how many. For retention."""
        ...

    async def history(self, guest: str, limit: int, before: int | None = None) -> list[Change]:
        """Changes of one guest, newest first, of versions below `before`."""
        ...

    async def look_up(self, wanted: Lookup) -> Found:
        """All that is asked for, of one moment, in one statement; what resolving one answer takes is asked together."""
        ...

    async def live(self, stay: Stay) -> list[Entry]:
        """Live presses of a stay by key, expired ones included; the resolver looks at `expires_at`."""
        ...

    async def put_live(self, stay: Stay, entries: Sequence[Entry], cleared: Sequence[str] = ()) -> Put[None]:
        """Replace the live presses of these keys (`cleared` ones just go). Raises NotFound when the guest of this stay
        has no stay of this id."""
        ...

    async def stay(self, stay: str) -> Stay | None: ...

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        """Stays of each guest by arrival; guests without any map to an empty list."""
        ...

    async def put_stay(self, stay: Stay, once: Once | None = None) -> Put[Stay]:
        """Create or replace; the version rises only when something changed. Raises NotFound for an unknown guest or
        property, StayTaken when the id belongs to another guest or property. A new room drops live presses."""
        ...

    async def property(self, property_id: str) -> Record | None: ...

    async def properties(self, limit: int, after: str = "") -> list[Record]:
        """Properties by id, after the given one."""
        ...

    async def put_property(self, property_id: str, body: Mapping[str, Any]) -> Put[Record]:
        """Create or replace; the version rises only when the body changed."""
        ...

    async def delete_property(self, property_id: str) -> Put[bool]:
        """Forget a property; False when it was not there. Raises Refused while open stays point at it."""
        ...

    async def extensions(self) -> tuple[int, list[Record]]:
        """The catalogue extension's version (0 when there never was one) and its records by key.

        A record's body is {"area", "definition", "labels", "deleted": bool}."""
        ...

    async def put_extension(self, key: str, body: Mapping[str, Any]) -> Put[int]:
        """Create or replace the extension of one key; answers the new extension version."""
        ...

    async def usage(self, key: str) -> list[Usage]:
        """What is stored under a key, grouped, over all guests."""
        ...

    async def guests_with(self, key: str, limit: int, after: str = "") -> list[str]:
        """Guests that hold an entry of this key, by id, after the given one."""
        ...

    async def guests(self, limit: int, after: str = "") -> list[str]:
        """All guests by id, after the given one."""
        ...

    async def guests_at(self, property_id: str, limit: int, after: str = "") -> list[str]:
        """Guests with an open stay at a property, by id, after the given one."""
        ...

    async def erase(self, guest: str, tombstone: Tombstone, once: Once | None = None) -> Buried | None:
        """Delete everything that belongs to a guest, count it by place, and put the tombstone, in one transaction; None
        for a guest who never was. From then on the guest is unknown here, also to writes that are under way. When it
        returns undegraded, no tier of any process can tell what was, not even as stale. Raises KeyReused."""
        ...

    async def tombstone(self, digest: str) -> Tombstone | None: ...

    async def tombstones(self, since: datetime | None = None) -> list[Tombstone]:
        """All, or those erased since then; without what was signed."""
        ...

    async def bury(self, tombstones: Sequence[Tombstone]) -> None:
        """Put tombstones of guests who are not here; those that are known stay as they are."""
        ...

    async def keep_receipt(self, digest: str, signed: str) -> None: ...

    async def rewrite_history(self, guest: str, changes: Sequence[Change]) -> None:
        """Put these changes in the place of those of the same versions. Raises NotFound."""
        ...

    async def forget_answers(self, *, dry: bool = False) -> int:
        """Forget answers kept for repeats that are past their time; how many those are."""
        ...

    def held(self) -> list[str]:
        """Guests of whom this process has something in memory."""
        ...

    def forget(self, guest: str) -> None:
        """Have nothing of this guest in memory any more."""
        ...

    async def ping(self) -> None:
        """Return when the store can serve. Raises StoreUnavailable or SchemaOutdated."""
        ...

    async def close(self) -> None: ...


class Ledger(Protocol):
    """Who saw what, and who did what as an administrator."""

    async def append(self, accesses: Sequence[Access]) -> None:
        """Durable, and under a signed checkpoint in the second place, when it returns. Raises LedgerUnavailable; then
        what these accesses are to see must not be told. At most `TOGETHER_MAX` of them."""
        ...

    async def of_guest(self, guest: str, limit: int, before: str | None = None) -> list[Recorded]:
        """Records about one guest, newest first, before the position given; none once the guest was pseudonymised."""
        ...

    async def listed(
        self, limit: int, before: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Recorded]:
        """Records of all, newest first; guests by their ids, or by the pseudonym of one who was erased."""
        ...

    async def pseudonymise(self, guest: str) -> int:
        """Forget which guest a pseudonym stands for; answers how many records there are under it. The chain stays as
        it is. Doing it again finds none. Raises LedgerUnavailable."""
        ...

    def held(self) -> Sequence[str]:
        """Guests whose pseudonyms this process remembers."""
        ...

    def forget(self, guest: str) -> None:
        """Remember this guest's pseudonym no more."""
        ...

    async def close(self) -> None: ...


class LedgerRows(Protocol):
    """Where the records of a ledger rest. Every method may raise StoreUnavailable."""

    async def append(self, rows: Sequence[Chained]) -> None:
        """All or none, durably; refused where a chain has a record of that number."""
        ...

    async def after(self, writer: str, seq: int, limit: int) -> Sequence[Sequence[Any]]:
        """Records of a chain after a number, in order, each with the fields of `Chained`."""
        ...

    async def chains(self) -> list[tuple[str, int, int]]:
        """Every chain with how many records it has and the number of its first."""
        ...

    async def about(self, pseudonym: str, limit: int, before: tuple[int, str, int] | None) -> list[Chained]:
        """Records about one guest, newest first, before (`at`, `writer`, `seq`)."""
        ...

    async def between(self, since: int, until: int, limit: int, before: tuple[int, str, int] | None) -> list[Chained]:
        """Records of these moments, newest first."""
        ...

    async def count(self, pseudonym: str) -> int: ...

    async def last_before(self, writer: str, at: int) -> Chained | None:
        """The last record of the unbroken run at a chain's beginning that is older than this moment."""
        ...

    async def drop(self, writer: str, seq: int) -> int:
        """Forget a chain's records up to this number; answers how many."""
        ...

    async def names(self, digests: Sequence[str]) -> dict[str, Name]:
        """Names by digest; unknown ones are left out."""
        ...

    async def names_of(self, pseudonyms: Sequence[str]) -> dict[str, str]:
        """Guests by pseudonym; those of erased guests are left out."""
        ...

    async def all_names(self, after: str, limit: int) -> list[Name]:
        """Names by digest, after the given one."""
        ...

    async def add_names(self, names: Sequence[Name]) -> None:
        """Keep names whose digest has none yet."""
        ...

    async def put_name(self, name: Name) -> None:
        """Replace a name."""
        ...

    async def close(self) -> None: ...


class CountsUnavailable(Exception):
    """The shared counts do not answer; nothing is known of what was added."""


class SharedCounts(Protocol):
    """Counts that all processes add to and hear; they forget in a minute or so what nobody needs any more."""

    async def add(self, key: str, amount: int, kept_s: int = 60) -> int:
        """What all have added under this key in the time that it is kept. Raises CountsUnavailable, soon."""
        ...

    async def close(self) -> None: ...
