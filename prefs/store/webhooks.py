"""Endpoints and their log in SQL.

Whoever tells an endpoint holds its lease, a row that only one process can take; every step it saves asks again whether
it still does. A row about a guest is written only while the guest is there, under the same lock that an erasure takes,
so that none is left behind by one.
"""

import base64
import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, tuple_, update

from prefs.core.changes import Cursor
from prefs.core.webhooks import Attempt, Delivery, Endpoint, Kind, Progress, Secret, Standing, State
from prefs.ports import Backlog, DataKey, Vault
from prefs.store import keys
from prefs.store.engines import Look, Outcome, Work
from prefs.store.statements import storable, upsert
from prefs.store.tables import EPOCH, GUEST, WEBHOOK, WEBHOOK_DELIVERY

_ONE = select(WEBHOOK).where(WEBHOOK.c.id == bindparam("of"))
_LISTED = select(WEBHOOK).where(WEBHOOK.c.id > bindparam("after")).order_by(WEBHOOK.c.id).limit(bindparam("most"))
_ON = select(WEBHOOK).where(WEBHOOK.c.standing == Standing.ON.value).order_by(WEBHOOK.c.id)
_LEASE = (
    update(WEBHOOK)
    .where(
        WEBHOOK.c.id == bindparam("of"),
        or_(WEBHOOK.c.lease == bindparam("owner"), WEBHOOK.c.leased_until <= bindparam("now")),
    )
    .values(lease=bindparam("owner"), leased_until=bindparam("until"))
)
_RELEASE = update(WEBHOOK).where(WEBHOOK.c.lease == bindparam("owner")).values(lease="", leased_until=EPOCH)
_HELD = select(WEBHOOK.c.id).where(WEBHOOK.c.id == bindparam("of"), WEBHOOK.c.lease == bindparam("owner"))
_SET = update(WEBHOOK).where(WEBHOOK.c.id == bindparam("of"))
_IS_THERE = select(GUEST.c.id).where(GUEST.c.id == bindparam("of")).with_for_update(read=True, key_share=True)

_LOG = select(WEBHOOK_DELIVERY).where(WEBHOOK_DELIVERY.c.endpoint_id == bindparam("of"))
_DELIVERY = _LOG.where(WEBHOOK_DELIVERY.c.id == bindparam("of_id"))
_DUE = (
    _LOG.where(WEBHOOK_DELIVERY.c.state == State.PENDING.value, WEBHOOK_DELIVERY.c.next_at <= bindparam("now"))
    .order_by(WEBHOOK_DELIVERY.c.made_at, WEBHOOK_DELIVERY.c.id)
    .limit(bindparam("most"))
)
_AGAIN = (
    update(WEBHOOK_DELIVERY)
    .where(WEBHOOK_DELIVERY.c.endpoint_id == bindparam("of"), WEBHOOK_DELIVERY.c.id == bindparam("of_id"))
    .where(WEBHOOK_DELIVERY.c.state != State.PENDING.value)
    .values(state=State.PENDING.value, since=bindparam("now"), next_at=bindparam("now"))
)
_STANDINGS = select(WEBHOOK.c.id, WEBHOOK.c.standing, WEBHOOK.c.progress)
_DEAD = select(func.count()).where(WEBHOOK_DELIVERY.c.state == State.DEAD.value)
_PLACE = "webhook"


class SqlWebhooks:
    """Keeps the promises of `WebhookRows`. What opens sealed secrets is run by `look` and `run`, which know how to
    learn of new wrapping keys."""

    def __init__(
        self,
        vault: Vault,
        look: Callable[[Look[Any]], Coroutine[Any, Any, Any]],
        run: Callable[[Work[Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._vault, self._look, self._run = vault, look, run

    async def add(self, endpoint: Endpoint) -> bool:
        def work(connection: Connection) -> Outcome[bool]:
            safe = keys.make_for_endpoint(connection, self._vault, endpoint.id)
            key = safe.key
            columns = {
                **_columns(endpoint),
                **{"id": endpoint.id, "made_at": endpoint.made_at, "salt": endpoint.salt},
                **{"key_id": key.id, "wrapped_by": key.wrapped_by, "wrapped": key.wrapped},
                **{"sealed": safe.seal(_secret_part(endpoint), _PLACE), "progress": _progress(endpoint.progress)},
                **{"lease": "", "leased_until": EPOCH},
            }
            statement = upsert(connection, WEBHOOK).values(**columns).on_conflict_do_nothing()
            return Outcome(connection.execute(statement).rowcount == 1)

        return bool(await self._run(work))

    async def get(self, id: str) -> Endpoint | None:
        if not storable(id):
            return None

        def look(connection: Connection) -> Endpoint | None:
            row = connection.execute(_ONE, {"of": id}).first()
            return self._endpoint(row) if row else None

        found: Endpoint | None = await self._look(look)
        return found

    async def listed(self, limit: int, after: str = "") -> list[Endpoint]:
        def look(connection: Connection) -> list[Endpoint]:
            return [self._endpoint(row) for row in connection.execute(_LISTED, {"after": after, "most": limit})]

        return list(await self._look(look))

    async def change(self, id: str, apply: Callable[[Endpoint], Endpoint]) -> Endpoint | None:
        def work(connection: Connection) -> Outcome[Endpoint | None]:
            row = connection.execute(_ONE.with_for_update(), {"of": id}).first() if storable(id) else None
            if row is None:
                return Outcome(None, keep=False)
            before = self._endpoint(row)
            after = apply(before)
            columns = {**_columns(after), "progress": _progress(after.progress)}
            if _secret_part(after) != _secret_part(before):
                columns["sealed"] = self._safe(row).seal(_secret_part(after), _PLACE)
            connection.execute(_SET.values(**columns), {"of": id})
            return Outcome(after, keep=after != before)

        found: Endpoint | None = await self._run(work)
        return found

    async def delete(self, id: str) -> bool:
        if not storable(id):
            return False
        return bool(await self._run(lambda connection: Outcome(_delete(connection, id))))

    # ------------------------------------------------------------ telling

    async def lease(self, owner: str, now: datetime, until: datetime, renew: datetime) -> list[Endpoint]:
        """Nothing is written while what is held is held long enough: on SQLite every process would hear of it."""
        rows = await self._look(lambda connection: connection.execute(_ON).all())
        held = [row for row in rows if row.lease == owner and row.leased_until > renew]
        wanted = [row.id for row in rows if row not in held and (row.lease == owner or row.leased_until <= now)]
        if not wanted:
            return [self._endpoint(row) for row in held]

        def work(connection: Connection) -> Outcome[list[Any]]:
            asked = {"owner": owner, "now": now, "until": until}
            taken = [id for id in wanted if connection.execute(_LEASE, {"of": id, **asked}).rowcount]
            rows = connection.execute(_ON).all()
            return Outcome([self._endpoint(row) for row in rows if row.id in taken])

        return [*(self._endpoint(row) for row in held), *await self._run(work)]

    async def release(self, owner: str) -> None:
        await self._run(lambda connection: _done(connection.execute(_RELEASE, {"owner": owner})))

    async def keep(self, owner: str, id: str, progress: Progress | None, delivery: Delivery | None = None) -> bool:
        def work(connection: Connection) -> Outcome[bool]:
            asked = _HELD.with_for_update()
            if connection.execute(asked, {"of": id, "owner": owner}).first() is None:
                return Outcome(False, keep=False)
            if delivery is not None and _may_be_kept(connection, delivery):
                columns = _log_columns(delivery)
                statement = upsert(connection, WEBHOOK_DELIVERY).values(**columns)
                connection.execute(statement.on_conflict_do_update(index_elements=["endpoint_id", "id"], set_=columns))
            if progress is not None:
                connection.execute(_SET.values(progress=_progress(progress)), {"of": id})
            return Outcome(True)

        return bool(await self._run(work))

    # ------------------------------------------------------------ the log

    async def delivery(self, endpoint: str, id: str) -> Delivery | None:
        if not storable(endpoint, id):
            return None
        found = await self._look(
            lambda connection: connection.execute(_DELIVERY, {"of": endpoint, "of_id": id}).first()
        )
        return _delivery(found) if found else None

    async def deliveries(
        self, endpoint: str, state: State | None, limit: int, before: tuple[datetime, str] | None = None
    ) -> list[Delivery]:
        asked = _LOG.order_by(WEBHOOK_DELIVERY.c.at.desc(), WEBHOOK_DELIVERY.c.id.desc()).limit(limit)
        if state is not None:
            asked = asked.where(WEBHOOK_DELIVERY.c.state == state.value)
        if before is not None:
            at, of_id = before
            older = and_(WEBHOOK_DELIVERY.c.at == at, WEBHOOK_DELIVERY.c.id < of_id)
            asked = asked.where(or_(WEBHOOK_DELIVERY.c.at < at, older))
        rows = await self._look(lambda connection: connection.execute(asked, {"of": endpoint}).all())
        return [_delivery(row) for row in rows]

    async def due(self, endpoint: str, now: datetime, limit: int) -> list[Delivery]:
        asked = {"of": endpoint, "now": now, "most": limit}
        return [_delivery(row) for row in await self._look(lambda connection: connection.execute(_DUE, asked).all())]

    async def replay(self, endpoint: str, id: str, now: datetime) -> Delivery | None:
        if not storable(endpoint, id):
            return None

        def work(connection: Connection) -> Outcome[Any]:
            connection.execute(_AGAIN, {"of": endpoint, "of_id": id, "now": now})
            return Outcome(connection.execute(_DELIVERY, {"of": endpoint, "of_id": id}).first())

        found = await self._run(work)
        return _delivery(found) if found else None

    async def trim(self, until: datetime, limit: int) -> int:
        key = (WEBHOOK_DELIVERY.c.endpoint_id, WEBHOOK_DELIVERY.c.id)
        ended = WEBHOOK_DELIVERY.c.state != State.PENDING.value
        old = select(*key).where(WEBHOOK_DELIVERY.c.at <= until, ended).limit(limit)
        gone = delete(WEBHOOK_DELIVERY).where(tuple_(*key).in_(old))
        return int(await self._run(lambda connection: Outcome(connection.execute(gone).rowcount)))

    async def backlog(self) -> Backlog:
        def look(connection: Connection) -> tuple[Any, int]:
            return connection.execute(_STANDINGS).all(), connection.execute(_DEAD).scalar_one()

        rows, dead = await self._look(look)
        on = {row.id: _read_progress(row.progress) for row in rows if row.standing == Standing.ON}
        failing = {id: progress.failing_since for id, progress in on.items() if progress.failing_since}
        return Backlog(len(rows), failing, [row.id for row in rows if row.standing == Standing.GONE], dead)

    # ------------------------------------------------------------ rows

    def _safe(self, row: Any) -> Any:
        return self._vault.unlock(keys.endpoint_owner(row.id), DataKey(row.key_id, row.wrapped_by, row.wrapped))

    def _endpoint(self, row: Any) -> Endpoint:
        """Raises WrappingKeyMissing, Sealed."""
        told = json.loads(self._safe(row).open(row.sealed, _PLACE))
        return Endpoint(
            row.id,
            told["url"],
            row.surface,
            tuple(row.events),
            row.description,
            Standing(row.standing),
            row.made_at,
            row.version,
            row.salt,
            tuple(Secret(base64.b64decode(key), _read_moment(until)) for key, until in told["secrets"]),
            _read_progress(row.progress),
            row.leased_until,
        )


def _done(_: Any) -> Outcome[None]:
    return Outcome(None)


def _delete(connection: Connection, id: str) -> bool:
    connection.execute(delete(WEBHOOK_DELIVERY).where(WEBHOOK_DELIVERY.c.endpoint_id == id))
    return connection.execute(delete(WEBHOOK).where(WEBHOOK.c.id == id)).rowcount == 1


def _may_be_kept(connection: Connection, delivery: Delivery) -> bool:
    return not delivery.guest or connection.execute(_IS_THERE, {"of": delivery.guest}).first() is not None


def _columns(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "surface": endpoint.surface,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "standing": endpoint.standing.value,
        "version": endpoint.version,
    }


def _secret_part(endpoint: Endpoint) -> bytes:
    secrets = [[base64.b64encode(one.key).decode(), _write_moment(one.until)] for one in endpoint.secrets]
    return json.dumps({"url": endpoint.url, "secrets": secrets}).encode()


def _write_moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _read_moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _progress(progress: Progress) -> dict[str, Any]:
    cursor = progress.cursor
    return {
        "cursor": [cursor.since, cursor.until, cursor.position],
        "at": _write_moment(progress.at),
        "failures": progress.failures,
        "failing_since": _write_moment(progress.failing_since),
        "next_at": _write_moment(progress.next_at),
        "resync": progress.resync,
    }


def _read_progress(told: dict[str, Any]) -> Progress:
    return Progress(
        Cursor(*told["cursor"]),
        datetime.fromisoformat(told["at"]),
        told["failures"],
        _read_moment(told["failing_since"]),
        _read_moment(told["next_at"]),
        told["resync"],
    )


def _log_columns(delivery: Delivery) -> dict[str, Any]:
    return {
        "endpoint_id": delivery.endpoint,
        "id": delivery.id,
        "guest_id": delivery.guest or None,
        "digest": delivery.digest,
        "kind": delivery.kind.value,
        "place": delivery.place,
        "version": delivery.version,
        "state": delivery.state.value,
        "made_at": delivery.made_at,
        "at": delivery.at,
        "tried": delivery.tried,
        "attempts": [[_write_moment(one.at), one.took_ms, one.status, one.error] for one in delivery.attempts],
        "since": delivery.since,
        "next_at": delivery.next_at,
    }


def _delivery(row: Any) -> Delivery:
    attempts = tuple(Attempt(datetime.fromisoformat(at), took, *came) for at, took, *came in row.attempts)
    return Delivery(
        endpoint=row.endpoint_id,
        id=row.id,
        kind=Kind(row.kind),
        state=State(row.state),
        made_at=row.made_at,
        at=row.at,
        guest=row.guest_id or "",
        digest=row.digest,
        place=row.place,
        version=row.version,
        attempts=attempts,
        tried=row.tried,
        since=row.since,
        next_at=row.next_at,
    )
