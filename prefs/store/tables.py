"""The tables, once for both engines. Only the store and the migrations know them.

`guest_id` comes first in the key of everything that belongs to a guest, so that tables can be spread over a distributed
engine by guest. JSON columns are of type `json`, not `jsonb`: they give back the bytes that were stored (field order,
NUL escapes), so every engine gives the same answers, and nothing is searched inside them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType
from sqlmodel import Field, SQLModel

REVISION = "0008"  # the newest migration; a store on an older schema does not open

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware moment: timestamptz on PostgreSQL, microseconds since 1970 on SQLite. Comes back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "postgresql":
            moment: datetime = value
            return moment.astimezone(UTC)
        return EPOCH + timedelta(microseconds=value)


class TextList(TypeDecorator[list[str]]):
    """Many strings in one parameter, so that a statement reads the same for one guest and for a thousand."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else JSON())


class TransactionId(UserDefinedType[int]):
    """Which transaction wrote a row: `xid8` on PostgreSQL, where readers of the feed must know; unused on SQLite."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class CurrentTransaction(FunctionElement[int]):
    """The default of `change.xid`: the writing transaction; 0 on SQLite, whose only writer keeps order by itself."""

    name = "current_transaction"
    inherit_cache = True


@compiles(CurrentTransaction)
def _anywhere(element: CurrentTransaction, compiler: SQLCompiler, **_: Any) -> str:
    return "0"


@compiles(CurrentTransaction, "postgresql")
def _on_postgresql(element: CurrentTransaction, compiler: SQLCompiler, **_: Any) -> str:
    return "pg_current_xact_id()"


# Ids and keys sort by code point on every engine, whatever the database's own locale.
KEY = Text().with_variant(Text(collation="C"), "postgresql")
ischema_names["xid8"] = TransactionId  # so that reflecting a database knows the type
XID = TransactionId().with_variant(BigInteger(), "sqlite")
JSON_OR_NULL = JSON(none_as_null=True)


def _sealed() -> Any:
    """What the columns beside it would say, under the guest's data key; null in rows of a release without a vault."""
    return Field(sa_column=Column(LargeBinary, nullable=True))


def _owner(primary_key: bool = True) -> Any:
    return Column(KEY, ForeignKey("guest.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


class Row(SQLModel):
    """What every table shares: one naming of constraints, so that migrations can name them too."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class GuestRow(Row, table=True):
    __tablename__ = "guest"

    id: str = Field(primary_key=True, sa_type=KEY)
    version: int
    display_name: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=Instant)
    updated_at: datetime = Field(sa_type=Instant)


class EntryRow(Row, table=True):
    __tablename__ = "entry"
    __table_args__ = (Index(None, "key", "guest_id"),)

    guest_id: str = Field(sa_column=_owner())
    id: str = Field(primary_key=True, sa_type=KEY)
    key: str = Field(sa_type=KEY)
    value: Any = Field(sa_column=Column(JSON_OR_NULL, nullable=True))
    strength: str = Field(sa_type=Text)
    scope_kind: str = Field(sa_type=Text)
    scope_id: str = Field(sa_type=Text)
    context: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    provenance: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    surface: str = Field(sa_type=Text)
    stated_at: datetime = Field(sa_type=Instant)
    source: str = Field(sa_type=Text)
    version: int
    expires_at: datetime | None = Field(sa_type=Instant)
    entered: Any = Field(sa_column=Column(JSON_OR_NULL, nullable=True))
    sealed: bytes | None = _sealed()


class IdentifierRow(Row, table=True):
    __tablename__ = "identifier"
    __table_args__ = (UniqueConstraint("system", "id"),)

    guest_id: str = Field(sa_column=_owner())
    system: str = Field(primary_key=True, sa_type=KEY)
    id: str = Field(primary_key=True, sa_type=KEY)


class ConsentRow(Row, table=True):
    __tablename__ = "consent"

    guest_id: str = Field(sa_column=_owner())
    purpose: str = Field(primary_key=True, sa_type=KEY)
    granted_at: datetime = Field(sa_type=Instant)
    actor: str = Field(sa_type=Text)
    surface: str = Field(sa_type=Text)
    expires_at: datetime | None = Field(sa_type=Instant)
    notice: str = Field(sa_column=Column(Text, nullable=False, server_default=""))
    method: str = Field(sa_column=Column(Text, nullable=False, server_default=""))
    receipt: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))


class ReceiptRow(Row, table=True):
    """Every version of the record of every consent; rows are added and never changed."""

    __tablename__ = "receipt"

    guest_id: str = Field(sa_column=_owner())
    purpose: str = Field(primary_key=True, sa_type=KEY)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    record: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=Instant)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class InvitationRow(Row, table=True):
    __tablename__ = "invitation"

    guest_id: str = Field(sa_column=_owner())
    id: str = Field(primary_key=True, sa_type=KEY)
    purpose: str = Field(sa_type=Text)
    keys: list[str] = Field(sa_column=Column(JSON, nullable=False))
    property: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    surface: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    reply: str = Field(sa_type=Text)
    answered_at: datetime | None = Field(sa_type=Instant)


class WaitingRow(Row, table=True):
    """Imported values that no consent covers yet; `member`, or what is sealed in its place, holds the value, and no
    other column does."""

    __tablename__ = "waiting"
    __table_args__ = (Index(None, "expires_at"),)

    guest_id: str = Field(sa_column=_owner())
    id: str = Field(primary_key=True, sa_type=KEY)
    purpose: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    scope: str = Field(sa_type=Text)
    member: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    surface: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    sealed: bytes | None = _sealed()


class ChangeRow(Row, table=True):
    """History and feed in one: `version` orders a guest's changes, (`xid`, `position`) the changes of all."""

    __tablename__ = "change"
    __table_args__ = (Index(None, "position"), Index(None, "xid", "position"))

    guest_id: str = Field(sa_column=_owner())
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    position: int = Field(sa_column=Column(BigInteger, Identity(), nullable=False))
    xid: int = Field(sa_column=Column(XID, server_default=CurrentTransaction(), nullable=False))
    at: datetime = Field(sa_type=Instant)
    actor: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    surface: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    note: str = Field(sa_type=Text)
    keys: list[Any] = Field(sa_column=Column(JSON, nullable=False))
    sealed: bytes | None = _sealed()


class FeedEventRow(Row, table=True):
    """What the feed tells beside changes, for a few days: numbered together with them. Of an erasure it holds the
    digest that the tombstone has, in the place of the guest."""

    __tablename__ = "feed_event"
    __table_args__ = (Index(None, "xid", "position"), Index(None, "guest_id"))

    position: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))
    xid: int = Field(sa_column=Column(XID, server_default=CurrentTransaction(), nullable=False))
    kind: str = Field(sa_type=Text)
    guest_id: str = Field(sa_type=KEY)
    place: str = Field(sa_type=KEY)
    at: datetime = Field(sa_type=Instant)


class StayRow(Row, table=True):
    __tablename__ = "stay"
    __table_args__ = (UniqueConstraint("id"), Index(None, "property"))

    guest_id: str = Field(sa_column=_owner())
    id: str = Field(primary_key=True, sa_type=KEY)
    property: str = Field(sa_type=Text)
    arrival: datetime = Field(sa_type=Instant)
    departure: datetime = Field(sa_type=Instant)
    room: str = Field(sa_type=Text)
    trip: str = Field(sa_type=Text)
    adults: int | None = Field(sa_type=Integer)
    children: int | None = Field(sa_type=Integer)
    status: str = Field(sa_type=Text)
    version: int


class LiveRow(Row, table=True):
    """Presses in a room, by stay; they are no part of a guest's document. The entry is kept whole as JSON."""

    __tablename__ = "live"

    stay_id: str = Field(primary_key=True, sa_type=KEY)
    key: str = Field(primary_key=True, sa_type=KEY)
    id: str = Field(primary_key=True, sa_type=KEY)
    entry: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    sealed: bytes | None = _sealed()


class PropertyRow(Row, table=True):
    __tablename__ = "property"

    id: str = Field(primary_key=True, sa_type=KEY)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    version: int


class ExtensionRow(Row, table=True):
    __tablename__ = "extension"

    key: str = Field(primary_key=True, sa_type=KEY)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    version: int


class ExtensionVersionRow(Row, table=True):
    """One row: the version of all extensions together."""

    __tablename__ = "extension_version"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    version: int


class CredentialRow(Row, table=True):
    """Devices, the grants they enrol by, and stay links. `body` holds what is said of each, and digests of secrets."""

    __tablename__ = "credential"
    __table_args__ = (Index(None, "kind", "property", "id"), Index(None, "expires_at"), Index(None, "guest_id"))

    kind: str = Field(primary_key=True, sa_type=KEY)
    id: str = Field(primary_key=True, sa_type=KEY)
    property: str = Field(sa_type=KEY)
    guest_id: str | None = Field(sa_column=Column(KEY, ForeignKey("guest.id", ondelete="CASCADE"), nullable=True))
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    expires_at: datetime = Field(sa_type=Instant)


class RevocationRow(Row, table=True):
    """Tokens, subjects, devices and links that were taken back before their time."""

    __tablename__ = "revocation"

    kind: str = Field(primary_key=True, sa_type=KEY)
    value: str = Field(primary_key=True, sa_type=KEY)
    at: datetime = Field(sa_type=Instant)
    until: datetime = Field(sa_type=Instant)


class IdempotencyRow(Row, table=True):
    """The first answer to a request, by caller and key; there is neither `answer` nor `sealed` only inside the
    transaction that writes it."""

    __tablename__ = "idempotency"
    __table_args__ = (Index(None, "expires_at"), Index(None, "guest_id"))

    caller: str = Field(primary_key=True, sa_type=KEY)
    key: str = Field(primary_key=True, sa_type=KEY)
    fingerprint: str = Field(sa_type=Text)
    guest_id: str = Field(sa_type=KEY)
    answer: Any = Field(sa_column=Column(JSON_OR_NULL, nullable=True))
    expires_at: datetime = Field(sa_type=Instant)
    sealed: bytes | None = _sealed()


class WrappingKeyRow(Row, table=True):
    """Wrapping keys that data keys may be wrapped by, never the keys themselves: `proof` tells a key that fits."""

    __tablename__ = "wrapping_key"

    id: str = Field(primary_key=True, sa_type=KEY)
    proof: str = Field(sa_type=Text)


class RetiredKeyRow(Row, table=True):
    """Wrapping keys that a rotation took out of use; a process that has not heard of it must not bring one back."""

    __tablename__ = "retired_key"

    id: str = Field(primary_key=True, sa_type=KEY)


class GuestKeyRow(Row, table=True):
    """A guest's data key, wrapped. It goes only when it is destroyed on purpose: a guest whose key is still there
    cannot be deleted, and a wrapping key that still wraps one cannot be retired."""

    __tablename__ = "guest_key"
    __table_args__ = (Index(None, "wrapped_by", "guest_id"),)

    guest_id: str = Field(sa_column=Column(KEY, ForeignKey("guest.id"), primary_key=True, nullable=False))
    id: str = Field(sa_type=Text)
    wrapped_by: str = Field(sa_column=Column(KEY, ForeignKey("wrapping_key.id"), nullable=False))
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_type=Instant)


class LedgerRow(Row, table=True):
    """Who saw what, record by record: the fields of `Chained`. On SQLite the ledger lies in a file of its own,
    since a record in the main file would tell every process that guests changed."""

    __tablename__ = "ledger"
    __table_args__ = (Index(None, "guest", "at"), Index(None, "at"), {"info": {"apart": True}})

    writer: str = Field(primary_key=True, sa_type=KEY)
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))
    at: int = Field(sa_type=BigInteger)
    actor: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    surface: str = Field(sa_type=Text)
    property: str = Field(sa_type=Text)
    act: str = Field(sa_type=Text)
    outcome: str = Field(sa_type=Text)
    guest: str = Field(sa_type=KEY)
    version: int = Field(sa_type=BigInteger)
    keys: str = Field(sa_type=Text)
    purposes: str = Field(sa_type=Text)
    request: str = Field(sa_type=Text)
    hash: str = Field(sa_type=Text)


class LedgerNameRow(Row, table=True):
    """Which guest a pseudonym in the ledger stands for; both empty once that is forgotten."""

    __tablename__ = "ledger_name"
    __table_args__ = (Index(None, "pseudonym"), {"info": {"apart": True}})

    digest: str = Field(primary_key=True, sa_type=KEY)
    guest: str = Field(sa_type=KEY)
    pseudonym: str = Field(sa_type=KEY)
    mac: str = Field(sa_type=Text)


class ErasureRow(Row, table=True):
    """Tombstones: who was erased, as a keyed digest, what that came to, and the receipt that was given for it."""

    __tablename__ = "erasure"
    __table_args__ = (Index(None, "at"),)

    digest: str = Field(primary_key=True, sa_type=KEY)
    at: datetime = Field(sa_type=Instant)
    receipt: str = Field(sa_type=Text)
    places: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))
    request: str = Field(sa_type=Text)
    signed: str = Field(sa_type=Text)


class WebhookRow(Row, table=True):
    """Endpoints that are told of changes. Address and secrets rest sealed under a key of the endpoint's own, wrapped as
    guests' keys are; whoever holds the lease tells it."""

    __tablename__ = "webhook"
    __table_args__ = (Index(None, "wrapped_by"),)

    id: str = Field(primary_key=True, sa_type=KEY)
    surface: str = Field(sa_type=Text)
    events: list[str] = Field(sa_column=Column(JSON, nullable=False))
    description: str = Field(sa_type=Text)
    standing: str = Field(sa_type=Text)
    made_at: datetime = Field(sa_type=Instant)
    version: int
    salt: str = Field(sa_type=Text)
    key_id: str = Field(sa_type=Text)
    wrapped_by: str = Field(sa_column=Column(KEY, ForeignKey("wrapping_key.id"), nullable=False))
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    progress: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    lease: str = Field(sa_type=Text)
    leased_until: datetime = Field(sa_type=Instant)


class WebhookDeliveryRow(Row, table=True):
    """What endpoints were told, without what was said. `digest` stands for a guest who was erased, as in the feed;
    every other row about a guest goes with them."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index(None, "guest_id"), Index(None, "endpoint_id", "at"), Index(None, "endpoint_id", "next_at"))

    endpoint_id: str = Field(sa_column=Column(KEY, ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True))
    id: str = Field(primary_key=True, sa_type=KEY)
    guest_id: str | None = Field(sa_column=Column(KEY, ForeignKey("guest.id", ondelete="CASCADE"), nullable=True))
    digest: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    place: str = Field(sa_type=Text)
    version: int
    state: str = Field(sa_type=Text)
    made_at: datetime = Field(sa_type=Instant)
    at: datetime = Field(sa_type=Instant)
    tried: int
    attempts: list[Any] = Field(sa_column=Column(JSON, nullable=False))
    since: datetime | None = Field(sa_type=Instant)
    next_at: datetime | None = Field(sa_type=Instant)


def table(name: str) -> Table:
    return Row.metadata.tables[name]


GUEST = table("guest")
ENTRY = table("entry")
IDENTIFIER = table("identifier")
CONSENT = table("consent")
RECEIPT = table("receipt")
INVITATION = table("invitation")
WAITING = table("waiting")
CHANGE = table("change")
FEED_EVENT = table("feed_event")
STAY = table("stay")
LIVE = table("live")
PROPERTY = table("property")
EXTENSION = table("extension")
EXTENSION_VERSION = table("extension_version")
IDEMPOTENCY = table("idempotency")
LEDGER = table("ledger")
LEDGER_NAME = table("ledger_name")
CREDENTIAL = table("credential")
REVOCATION = table("revocation")
WRAPPING_KEY = table("wrapping_key")
RETIRED_KEY = table("retired_key")
GUEST_KEY = table("guest_key")
ERASURE = table("erasure")
WEBHOOK = table("webhook")
WEBHOOK_DELIVERY = table("webhook_delivery")
