"""Where the house is put together: which adapter stands behind which port, in the order a request passes them.

Nothing else chooses an adapter. The HTTP face and the command line open a `House` here and get services from it.
"""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pysqlite3.dbapi2 import sqlite_version, sqlite_version_info

from prefs.cache.breaker import Breaker
from prefs.cache.counts import RedisCounts
from prefs.cache.keys import GUEST, Heard, kind_of
from prefs.cache.lines import Lines, SharedUnavailable
from prefs.cache.metrics import PrometheusMetrics
from prefs.cache.read_through import CachedStore, cached, embedded
from prefs.cache.sealing import KEY_BYTES
from prefs.core.accesses import Access, Deed, Outcome
from prefs.core.catalogue import Catalogue
from prefs.core.consents import Terms
from prefs.core.destinations import Network, networks
from prefs.core.errors import SchemaOutdated, Sealed, StoreUnavailable, Unavailable
from prefs.courier.post import HttpCourier
from prefs.definitions import load_folder, load_standard
from prefs.feed.tail import Bell, Tail
from prefs.ledger.chained import ChainedLedger
from prefs.ledger.keys import SEED_BYTES, LedgerKeys
from prefs.ledger.memory import MemoryLedger
from prefs.ledger.pruning import prune
from prefs.ledger.verify import Report as Report
from prefs.ledger.verify import verify
from prefs.migrations import SchemaState as SchemaState
from prefs.migrations import migrate, schema_state
from prefs.ports import Backlog, Blocker, Clock, Courier, Feed, Ledger, SecondPlace, SharedCounts, Signer, Store, Tiers
from prefs.services.accesses import Accesses
from prefs.services.changes import Changes
from prefs.services.consents import Consents
from prefs.services.corrections import Corrections
from prefs.services.definitions import Definitions
from prefs.services.deliveries import Deliveries
from prefs.services.devices import Devices
from prefs.services.erasure import Erasure
from prefs.services.export import Export
from prefs.services.guests import Guests
from prefs.services.ids import new_id
from prefs.services.invitations import Invitations
from prefs.services.links import StayLinks
from prefs.services.messages import Messages
from prefs.services.preferences import Preferences
from prefs.services.properties import Properties
from prefs.services.readings import Readings
from prefs.services.retention import Retention
from prefs.services.revocations import Revocations
from prefs.services.stays import Stays
from prefs.services.tombstones import Tombstones
from prefs.services.webhooks import Webhooks
from prefs.services.witness import Witness
from prefs.settings import Settings
from prefs.signing.receipts import ReceiptInvalid as ReceiptInvalid
from prefs.signing.receipts import SigningKeys
from prefs.signing.receipts import verify_receipt as verify_receipt
from prefs.store import backups, buffers
from prefs.store.backups import Manifest, Progress
from prefs.store.custody import Custody as Custody
from prefs.store.custody import wrapping_keys_in_use
from prefs.store.engines import parse, sqlite_path, wal_safe
from prefs.store.ledger_rows import SqlLedgerRows, beside
from prefs.store.memory import MemoryStore
from prefs.store.second_place import NoSecondPlace, TombstoneFile
from prefs.store.sql import SqlStore
from prefs.vault.envelope import Envelope
from prefs.vault.providers import CommandProvider, EnvironmentProvider, Provider
from prefs.vault.providers import FileProvider as FileProvider

VAULT_KEYS, VAULT_COMMAND = "GUESTPREFS_VAULT_KEYS", "GUESTPREFS_VAULT_COMMAND"
MEMORY = "memory://"  # for trying things out: nothing outlives the process


class SystemClock:
    """The only place in the house that looks at the machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the Clock port's adapter


@dataclass(frozen=True, slots=True)
class House:
    """Every service over one store; whoever opens it closes it."""

    store: Store
    tiers: Tiers | None  # the same store, where it has tiers
    clock: Clock
    definitions: Definitions
    preferences: Preferences
    guests: Guests
    consents: Consents
    invitations: Invitations
    stays: Stays
    properties: Properties
    corrections: Corrections
    retention: Retention
    erasure: Erasure
    export: Export
    tombstones: Tombstones
    signer: Signer
    accesses: Accesses
    witness: Witness
    devices: Devices
    links: StayLinks
    revocations: Revocations
    feed: Feed
    changes: Changes
    webhooks: Webhooks
    deliveries: Deliveries
    counts: SharedCounts | None = None  # of requests, where processes share a cache

    async def close(self) -> None:
        await self.deliveries.close()
        await self.feed.close()
        await self.witness.ledger.close()
        await self.store.close()
        if self.counts is not None:
            await self.counts.close()


async def open_house(settings: Settings, clock: Clock | None = None) -> House:
    """Open the store and furnish the house. Raises SchemaOutdated rather than work on an old schema."""
    clock = clock or SystemClock()
    bell = Bell()
    store = await open_store(settings, clock, bell)
    try:
        receipts = await _receipts(settings, store)
    except BaseException:
        await store.close()
        raise
    ledger, terms = open_ledger(settings, clock), terms_of(settings)
    own = networks(settings.webhook_networks)
    house = furnish(store, clock, ledger, terms, receipts, settings.issuer, bell=bell, own=own)
    if settings.wipe_freed:
        house.tombstones.overwrite = partial(_overwrite, store)
    return replace(house, counts=RedisCounts(settings.redis_url)) if settings.shares_a_cache else house


async def _overwrite(store: Store, erased: bool) -> None:
    """What this process keeps, for as long as it runs, of what went through it; a database in it only if need be."""
    sql = store.inner if isinstance(store, CachedStore) else store
    if erased and isinstance(sql, SqlStore):
        await sql.renew()
    await buffers.overwrite()


def open_ledger(settings: Settings, clock: Clock) -> Ledger:
    """The ledger beside the store; its database, key and folder are opened at the first record or question."""
    if settings.database_url == MEMORY:
        return MemoryLedger()
    return ChainedLedger(
        SqlLedgerRows(beside(settings.database_url)),
        settings.ledger_checkpoints,
        partial(ledger_keys, settings),
        clock,
    )


async def verify_ledger(settings: Settings, folders: Sequence[Path], progress: Callable[[int, int], None]) -> Report:
    """Whether the ledger is what was written; looks for checkpoints in these folders beside the setting's."""
    rows = SqlLedgerRows(beside(settings.database_url))
    try:
        return await verify(rows, [settings.ledger_checkpoints, *folders], ledger_keys(settings), progress)
    finally:
        await rows.close()


async def prune_ledger(settings: Settings, before: datetime, *, dry: bool) -> int:
    """Forget records that are older; how many. That is itself on record."""
    rows, clock = SqlLedgerRows(beside(settings.database_url)), SystemClock()
    ledger = open_ledger(settings, clock)
    try:
        if not dry:
            await ledger.append([Access(clock.now(), "operator", "operator", "", Deed.PRUNE, Outcome.BEGUN)])
        pruned = await prune(rows, settings.ledger_checkpoints, ledger_keys(settings), before, clock.now(), dry=dry)
        if not dry:
            await ledger.append([Access(clock.now(), "operator", "operator", "", Deed.PRUNE, Outcome.DONE)])
        return pruned
    finally:
        await ledger.close()
        await rows.close()


def terms_of(settings: Settings) -> Terms:
    """Under which terms guests are asked for consents here."""
    return Terms(
        controller=settings.controller,
        contact=settings.controller_contact,
        notice=settings.notice,
        notice_version=settings.notice_version,
        notice_url=settings.notice_url,
        jurisdiction=settings.jurisdiction,
        term=timedelta(days=settings.consent_days),
    )


async def _receipts(settings: Settings, store: Store) -> tuple[Signer, SecondPlace]:
    if settings.database_url == MEMORY:
        return SigningKeys.make(), NoSecondPlace()
    second_place = TombstoneFile(settings.erasures)
    if not await asyncio.to_thread(settings.receipt_keys.exists):
        known = len(await store.tombstones()) + len(await asyncio.to_thread(second_place.read))
        if known:
            raise Unavailable(
                f"Guests were erased here, and the receipt keys {settings.receipt_keys} are gone: without them nobody "
                "can tell who. Restore that file from where the data folder is backed up."
            )
    return await asyncio.to_thread(SigningKeys.open, settings.receipt_keys), second_place


def published_keys(settings: Settings) -> dict[str, Any]:
    """The public keys that this deployment's receipts are verified with. Raises Unavailable."""
    return SigningKeys.read(settings.receipt_keys).published()


async def open_store(settings: Settings, clock: Clock, bell: Bell | None = None) -> Store:
    """The stack in reading order: local tier, shared tier, SQL. Which tiers there are is said in design section 6. The
    bell rings for every write of this process and of any that shares the cache."""

    def heard(invalidation: Heard) -> None:
        if bell is not None and (invalidation.version or invalidation.purge or kind_of(invalidation.key) != GUEST):
            bell.ring()

    if settings.database_url == MEMORY:
        return MemoryStore(clock)
    if await schema_of(settings) in (SchemaState.EMPTY, SchemaState.OUTDATED):
        raise SchemaOutdated("The database does not have the schema of this program. Run: guestprefs migrate")
    key = await asyncio.to_thread(cache_key, settings.cache_key) if settings.shares_a_cache else b""
    sql = await open_sql(settings, clock)
    if bell is not None:
        sql.on_write(bell.ring)
    bytes_max, metrics = settings.cache_mib * 2**20, PrometheusMetrics()
    if settings.on_sqlite:
        path = sqlite_path(parse(settings.database_url))
        return embedded(sql, clock, path, bytes_max=bytes_max, metrics=metrics)
    if settings.shares_a_cache:
        return cached(sql, clock, settings.redis_url, key, bytes_max=bytes_max, metrics=metrics, heard=heard)
    return sql


async def open_sql(settings: Settings, clock: Clock) -> SqlStore:
    """The truth alone, without tiers; its `custody` keeps what rests sealed in order. Raises Sealed for wrapping keys
    that are missing or wrong."""
    await make_wrapping_keys(settings)
    provider = wrapping_keys(settings)
    vault = await asyncio.to_thread(lambda: Envelope(provider, sealing=settings.sealing))
    return await SqlStore.open(settings.database_url, clock, vault)


async def make_wrapping_keys(settings: Settings) -> bool:
    """Make the file of wrapping keys where `lacks_wrapping_keys`; raises what that raises."""
    return await lacks_wrapping_keys(settings) and await asyncio.to_thread(FileProvider(settings.vault_file).make)


async def lacks_wrapping_keys(settings: Settings) -> bool:
    """Whether there is no file of wrapping keys yet. Raises Sealed where there must have been one."""
    provider = wrapping_keys(settings)
    if not isinstance(provider, FileProvider) or await asyncio.to_thread(provider.path.exists):
        return False
    if used := await wrapping_keys_in_use(settings.database_url):
        raise Sealed(
            f"{provider.path} is missing, and what guests said rests sealed under {', '.join(used)}. "
            "Restore that file from its backup; a new one would open nothing."
        )
    return True


def wrapping_keys(settings: Settings) -> Provider:
    """Where the wrapping keys come from. Raises Sealed when that is said twice."""
    if settings.vault_keys and settings.vault_command:
        raise Sealed(f"{VAULT_KEYS} and {VAULT_COMMAND} are both set: say only once where the wrapping keys come from.")
    if settings.vault_keys:
        return EnvironmentProvider(VAULT_KEYS, settings.vault_keys)
    return CommandProvider(settings.vault_command) if settings.vault_command else FileProvider(settings.vault_file)


def cache_key(path: Path) -> bytes:
    """The key that seals what Redis holds; made on the first call, by whichever process is first. Raises Unavailable
    for a file that is no key or cannot be read or made."""
    return _key_in(path, "cache key", KEY_BYTES, make=True)


def ledger_keys(settings: Settings) -> LedgerKeys:
    """The ledger's keys; made on the first call, but never beside checkpoints that another key signed. Raises
    Unavailable."""
    path, folder = settings.ledger_key, settings.ledger_checkpoints
    signed = folder.is_dir() and any(folder.glob("*.chain"))
    if signed and not path.exists():
        raise Unavailable(
            f"The ledger key {path} is gone, but {folder} holds checkpoints that it signed: restore the file from your "
            "backup of keys. (Where that folder is moved away a new ledger begins, and the old one cannot be verified.)"
        )
    return LedgerKeys(_key_in(path, "ledger key", SEED_BYTES, make=not signed))


def _key_in(path: Path, what: str, size: int, *, make: bool) -> bytes:
    try:
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as made:  # readable by its owner alone
                made.write(secrets.token_hex(size).encode())
                made.flush()
                os.fsync(made.fileno())
                with suppress(FileExistsError):
                    os.link(made.name, path)
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise Unavailable(f"The {what} {path} cannot be read or made: {error.strerror}.") from error
    except ValueError:
        key = b""
    if len(key) != size:
        raise Unavailable(f"{path} is not a {what}: {2 * size} hexadecimal digits are expected.")
    return key


async def feed_blockers(settings: Settings) -> list[Blocker]:
    """Transactions that hold the feed back at this moment."""
    store = await open_sql(settings, SystemClock())
    try:
        return await store.feed.blockers()
    finally:
        await store.close()


async def webhook_backlog(settings: Settings) -> Backlog:
    """How the endpoints stand that are told of changes."""
    store = await open_sql(settings, SystemClock())
    try:
        return await store.webhooks.backlog()
    finally:
        await store.close()


async def shared_cache_answers(settings: Settings) -> bool:
    """Whether the shared tier answers within its time limit; a second call, since the first has to connect."""
    lines = Lines(settings.redis_url, Breaker(time.monotonic))
    try:
        for _ in range(2):
            with suppress(SharedUnavailable):
                await lines.call(lambda server: [("PING",)])
                return True
        return False
    finally:
        await lines.close()


def furnish(
    store: Store,
    clock: Clock,
    ledger: Ledger | None = None,
    terms: Terms = Terms(),  # noqa: B008 - a frozen value
    receipts: tuple[Signer, SecondPlace] | None = None,
    issuer: str = "guestprefs",
    *,
    bell: Bell | None = None,
    own: Sequence[Network] = (),
    courier: Courier | None = None,
) -> House:
    """Every service over a store that is already open; without a ledger, or keys and a second place, ones in this
    process's memory. `own` are networks that webhooks may lie in beside the public internet."""
    ledger = ledger or MemoryLedger()
    signer, second_place = receipts or (SigningKeys.make(), NoSecondPlace())
    witness = Witness(ledger, clock)
    definitions = Definitions(store, standard_catalogue(), clock, new_id, witness)
    erasure = Erasure(store, definitions, clock, new_id, signer, second_place, witness, issuer)
    tiers = store if isinstance(store, CachedStore) else None
    guests = Guests(store, definitions, clock, new_id, witness, tiers)
    consents = Consents(guests, terms)
    preferences, feed = Preferences(store, definitions, clock, new_id, witness), Tail(store, clock, bell)
    messages = Messages(store, definitions, clock, witness, signer.digest)
    deliveries = Deliveries(store.webhooks, store.feed, messages, courier or HttpCourier(own), clock)
    return House(
        store=store,
        tiers=tiers,
        clock=clock,
        definitions=definitions,
        preferences=preferences,
        guests=guests,
        consents=consents,
        invitations=Invitations(consents),
        stays=Stays(store, definitions, clock),
        properties=Properties(store, definitions, witness),
        accesses=Accesses(store, definitions, clock, witness),
        witness=witness,
        devices=Devices(store, clock, new_id, witness),
        links=StayLinks(store, clock, new_id, witness),
        revocations=Revocations(store, clock, witness),
        corrections=Corrections(store, definitions, clock, new_id, tiers),
        retention=Retention(store, definitions, clock, erasure),
        erasure=erasure,
        export=Export(store, definitions, clock, witness),
        tombstones=Tombstones(store, clock, signer, second_place, ledger),
        signer=signer,
        feed=feed,
        changes=Changes(preferences, Readings(preferences, store, clock), store, feed, clock, signer.digest),
        webhooks=Webhooks(store.webhooks, store.feed, deliveries, clock, witness, own),
        deliveries=deliveries,
    )


async def schema_of(settings: Settings) -> SchemaState:
    """How the database's schema compares with this code's; the memory store has none to compare."""
    return SchemaState.OK if settings.database_url == MEMORY else await schema_state(settings.database_url)


async def migrate_schema(settings: Settings) -> None:
    if settings.database_url != MEMORY:
        await migrate(settings.database_url)


async def back_up(settings: Settings, file: Path, programs: Path | None, progress: Progress) -> Manifest:
    """A copy of the whole database in one file, while servers go on. Raises Refused, StoreUnavailable."""
    now = SystemClock().now()
    return await backups.back_up(settings.database_url, file, now, programs, progress)


async def look_at_backup(settings: Settings, file: Path, progress: Progress) -> Manifest:
    """What a backup is, if it is whole and of this engine. Raises Refused."""
    engine = parse(settings.database_url).get_backend_name()
    return await asyncio.to_thread(backups.manifest, file, engine, progress)


async def restore(settings: Settings, file: Path, programs: Path | None, progress: Progress) -> int:
    """Put a backup in the place of the database, without whoever was erased since: how many that were.

    What the database of now knows of erasures is kept first, where it can be read. Raises Refused, Unavailable."""
    clock, erased_again = SystemClock(), 0
    with suppress(SchemaOutdated, StoreUnavailable):
        house = await open_house(settings, clock)
        await house.tombstones.outstanding()
        await house.close()

    async def prepare(url: str) -> None:
        nonlocal erased_again
        beside = settings.model_copy(update={"database_url": url, "redis_url": ""})
        await migrate(url)
        house = await open_house(beside, clock)
        try:
            erased_again = await house.tombstones.compare()
        finally:
            await house.close()

    await backups.restore(settings.database_url, file, programs, prepare, progress)
    return erased_again


@cache
def standard_catalogue() -> Catalogue:
    return load_standard()


def standard_folder() -> Traversable:
    return files("prefs.definitions")


def catalogue_in(folder: Path) -> Catalogue:
    """A catalogue from a folder laid out as the standard one. Raises CatalogueInvalid."""
    return load_folder(folder)


def sqlite_release() -> tuple[str, bool]:
    """The SQLite in use and whether it may use a write-ahead log (see `wal_safe`)."""
    return sqlite_version, wal_safe(sqlite_version_info)
