"""Grants, devices, stay links and revocations in SQL: few rows, read by id or by property, changed under their lock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from prefs.core.enrolment import Changes, Credential, Decide, Kind
from prefs.core.revocations import Revocable, Revocation
from prefs.store.engines import Outcome, Runner
from prefs.store.json_text import plain
from prefs.store.statements import insert_new, storable, upsert
from prefs.store.tables import CREDENTIAL, REVOCATION

PURGED_AT_ONCE_MAX = 200

_ONE = select(CREDENTIAL).where(CREDENTIAL.c.kind == bindparam("of_kind"), CREDENTIAL.c.id == bindparam("of"))
_OF_PROPERTY = (
    select(CREDENTIAL)
    .where(
        CREDENTIAL.c.kind == bindparam("of_kind"),
        CREDENTIAL.c.property == bindparam("at"),
        CREDENTIAL.c.id > bindparam("after"),
        CREDENTIAL.c.expires_at > bindparam("now"),
    )
    .order_by(CREDENTIAL.c.id)
    .limit(bindparam("most"))
)
_REVOKED = select(REVOCATION).where(REVOCATION.c.until > bindparam("now"))
_GONE = delete(CREDENTIAL).where(CREDENTIAL.c.kind == bindparam("of_kind"), CREDENTIAL.c.id == bindparam("of"))


class SqlCredentials:
    """Keeps the promises of `Credentials` on an engine that somebody else opened and closes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def add(self, credential: Credential, now: datetime) -> bool:
        def work(connection: Connection) -> Outcome[bool]:
            _purge(connection, now)
            return Outcome(insert_new(connection, CREDENTIAL, _columns(credential)))

        return await self._runner.run(work)

    async def get(self, kind: Kind, id: str) -> Credential | None:
        if not storable(id):
            return None

        def look(connection: Connection) -> Credential | None:
            row = connection.execute(_ONE, {"of_kind": kind.value, "of": id}).first()
            return _credential(row) if row else None

        return await self._runner.look(look, snapshot=False)

    async def of_property(
        self, kind: Kind, property: str, now: datetime, limit: int, after: str = ""
    ) -> list[Credential]:
        asked = {"of_kind": kind.value, "at": property, "after": after, "now": now, "most": limit}
        return await self._runner.look(
            lambda connection: [_credential(row) for row in connection.execute(_OF_PROPERTY, asked)], snapshot=False
        )

    async def change[T](self, kind: Kind, id: str, apply: Decide[T]) -> T:
        def work(connection: Connection) -> Outcome[T]:
            row = None
            if storable(id):
                row = connection.execute(_ONE.with_for_update(), {"of_kind": kind.value, "of": id}).first()
            decided: Changes[T] = apply(_credential(row) if row else None)
            for gone in decided.drop:
                connection.execute(_GONE, {"of_kind": gone[0].value, "of": gone[1]})
            for credential in decided.put:
                columns = _columns(credential)
                statement = upsert(connection, CREDENTIAL).values(**columns)
                connection.execute(statement.on_conflict_do_update(index_elements=["kind", "id"], set_=columns))
            _revoke(connection, decided.revoke)
            return Outcome(decided.result, keep=bool(decided.put or decided.drop or decided.revoke))

        return await self._runner.run(work)

    async def revoke(self, entries: Sequence[Revocation], now: datetime) -> None:
        def work(connection: Connection) -> Outcome[None]:
            connection.execute(delete(REVOCATION).where(REVOCATION.c.until <= now))
            _revoke(connection, entries)
            return Outcome(None)

        await self._runner.run(work)

    async def revocations(self, now: datetime) -> list[Revocation]:
        return await self._runner.look(
            lambda connection: [
                Revocation(Revocable(row.kind), row.value, row.at, row.until)
                for row in connection.execute(_REVOKED, {"now": now})
            ],
            snapshot=False,
        )


def _revoke(connection: Connection, entries: Sequence[Revocation]) -> None:
    for entry in entries:
        columns = {"kind": entry.kind.value, "value": entry.value, "at": entry.at, "until": entry.until}
        statement = upsert(connection, REVOCATION).values(**columns)
        connection.execute(statement.on_conflict_do_update(index_elements=["kind", "value"], set_=columns))


def _purge(connection: Connection, now: datetime) -> None:
    """What has expired, some at a time; whoever adds something clears up."""
    key = (CREDENTIAL.c.kind, CREDENTIAL.c.id)
    old = select(*key).where(CREDENTIAL.c.expires_at <= now).limit(PURGED_AT_ONCE_MAX)
    connection.execute(delete(CREDENTIAL).where(tuple_(*key).in_(old)))


def _columns(credential: Credential) -> dict[str, Any]:
    return {
        "kind": credential.kind.value,
        "id": credential.id,
        "property": credential.property,
        "guest_id": credential.guest or None,
        "body": plain(dict(credential.body)),
        "expires_at": credential.expires_at,
    }


def _credential(row: Any) -> Credential:
    return Credential(Kind(row.kind), row.id, row.body, row.expires_at, row.property, row.guest_id or "")
