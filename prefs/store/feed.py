"""The feed on SQL: what changed, in an order that survives transactions which commit out of order.

On PostgreSQL a row may become visible long after rows with higher numbers. Each row names the transaction that wrote
it, and a page ends at the oldest transaction that is still open: whatever older ones wrote is visible, or never will
be. Within a step the order is that of positions, which are given under the guest's lock: so a guest's changes come in
the order of their versions. Only where somebody waited for that lock with an older transaction may the version before
lie beyond the step; then it is told early, and once more in its turn. SQLite has one writer and needs none of this.
"""

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, delete, select, text

from prefs.core.changes import Cursor, EventKind, FeedEvent, FeedPage
from prefs.core.errors import Sealed, WrappingKeyMissing
from prefs.ports import Blocker, DataKey, Safe, Vault
from prefs.store import contents
from prefs.store.engines import Look, Outcome, Runner
from prefs.store.json_text import load
from prefs.store.statements import insert_event, storable
from prefs.store.tables import FEED_EVENT

_CHANGE_COLUMNS = (
    "'change' AS kind, {0}.guest_id AS guest, {0}.version, {0}.position, {0}.action, {0}.note, {0}.keys AS keys_, "
    "{0}.sealed, '' AS place"
)
_EVENT_COLUMNS = (
    "e.kind, e.guest_id AS guest, 0 AS version, e.position, '' AS action, '' AS note, NULL{0} AS keys_, "
    "NULL{1} AS sealed, e.place"
)


def _given(name: str) -> str:
    return f"CAST(CAST(:{name} AS text) AS xid8)"


def _in_step(row: str) -> str:
    return f"{row}.xid >= {_given('since')} AND {row}.xid < (SELECT until FROM step)"


# Rows from beyond `high` were written in another cluster, from which this database was restored: old history.
_ON_POSTGRESQL = f"""
WITH ends AS MATERIALIZED (
  SELECT pg_snapshot_xmin(pg_current_snapshot()) AS low, pg_snapshot_xmax(pg_current_snapshot()) AS high
), step AS MATERIALIZED (
  SELECT low, high, CASE WHEN {_given("until")} = '0'::xid8 THEN low ELSE LEAST({_given("until")}, low) END AS until
  FROM ends
), told AS (
  SELECT {_CHANGE_COLUMNS.format("c")} FROM change c
  WHERE {_in_step("c")} AND c.position + 0 > :position {{of_change}}
  UNION ALL
  SELECT {_CHANGE_COLUMNS.format("p")} FROM change p
  WHERE p.xid >= (SELECT until FROM step) AND p.xid < (SELECT high FROM step) AND p.position + 0 > :position
    AND EXISTS (SELECT 1 FROM change c WHERE c.guest_id = p.guest_id AND c.version > p.version AND {_in_step("c")})
    {{of_earlier}}
  UNION ALL
  SELECT {_EVENT_COLUMNS.format("::json", "::bytea")} FROM feed_event e
  WHERE {_in_step("e")} AND e.position + 0 > :position {{of_event}}
  ORDER BY position LIMIT :most
), waiting AS (
  SELECT min(at) AS since FROM (
    SELECT c.at FROM change c WHERE c.xid >= (SELECT low FROM ends) AND c.xid < (SELECT high FROM ends)
    UNION ALL
    SELECT e.at FROM feed_event e WHERE e.xid >= (SELECT low FROM ends) AND e.xid < (SELECT high FROM ends)
  ) AS later
)
SELECT CAST(step.until AS text) AS until, CAST(step.low AS text) AS low, waiting.since AS waiting_since, told.*,
  k.id AS key_id, k.wrapped_by, k.wrapped
FROM step CROSS JOIN waiting LEFT JOIN told ON true LEFT JOIN guest_key k ON k.guest_id = told.guest
ORDER BY told.position
"""

_ON_SQLITE = f"""
WITH told AS (
  SELECT * FROM (
    SELECT {_CHANGE_COLUMNS.format("c")} FROM change c WHERE c.position > :position {{of_change}}
    ORDER BY c.position LIMIT :most
  )
  UNION ALL
  SELECT * FROM (
    SELECT {_EVENT_COLUMNS.format("", "")} FROM feed_event e WHERE e.position > :position {{of_event}}
    ORDER BY e.position LIMIT :most
  )
  ORDER BY position LIMIT :most
)
SELECT told.*, k.id AS key_id, k.wrapped_by, k.wrapped
FROM told LEFT JOIN guest_key k ON k.guest_id = told.guest ORDER BY told.position
"""

_OF_GUEST = {
    "of_change": "AND c.guest_id = :guest",
    "of_earlier": "AND p.guest_id = :guest",
    "of_event": "AND (e.guest_id IN (:guest, '') OR e.kind = 'erased')",
}
_OF_ALL = dict.fromkeys(_OF_GUEST, "")
_PAGES = {
    (dialect, one): text(statement.format(**(_OF_GUEST if one else _OF_ALL))).bindparams(
        bindparam("position", type_=BigInteger()), bindparam("most", type_=BigInteger())
    )
    for dialect, statement in (("postgresql", _ON_POSTGRESQL), ("sqlite", _ON_SQLITE))
    for one in (True, False)
}
_END = {
    "postgresql": text("SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text)"),
    "sqlite": text(
        "SELECT max(coalesce((SELECT max(position) FROM change), 0), "
        "coalesce((SELECT max(position) FROM feed_event), 0))"
    ),
}
# Whose transaction is as old as the oldest that is open; a prepared one has no session any more.
_BLOCKERS = text("""
SELECT CAST(a.pid AS text) AS session, coalesce(a.usename, '') AS account, coalesce(a.application_name, '') AS program,
  coalesce(a.datname, '') AS database, coalesce(a.state, '') AS state,
  extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, clock_timestamp()))::float8 AS open_s
FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
UNION ALL
SELECT p.gid, p.owner, '', p.database, 'prepared', extract(epoch FROM clock_timestamp() - p.prepared)::float8
FROM pg_prepared_xacts p
ORDER BY open_s DESC LIMIT 20
""")

_NEWEST = select(FEED_EVENT.c.position).order_by(FEED_EVENT.c.position.desc()).limit(1).scalar_subquery()
_OLD = (
    select(FEED_EVENT.c.position)
    .where(FEED_EVENT.c.at <= bindparam("until"), FEED_EVENT.c.position < _NEWEST)
    .order_by(FEED_EVENT.c.position)
    .limit(bindparam("most"))
)
_DROP = delete(FEED_EVENT).where(FEED_EVENT.c.position.in_(_OLD))


class SqlFeed:
    """`FeedRows` over a runner; what opens sealed changes is run by `look`, which knows how to learn of new keys."""

    def __init__(
        self, runner: Runner, vault: Vault, look: Callable[[Look[FeedPage]], Coroutine[Any, Any, FeedPage]]
    ) -> None:
        self._runner, self._vault, self._look = runner, vault, look

    async def page(self, after: Cursor, limit: int, guest: str | None = None) -> FeedPage:
        if guest is not None and not storable(guest):
            return FeedPage((), after)
        return await self._look(lambda connection: page(connection, after, limit, guest, self._vault))

    async def end(self) -> Cursor:
        return await self._runner.look(end, snapshot=False)

    async def trim(self, until: datetime, limit: int) -> int:
        return await self._runner.run(lambda connection: _trim(connection, until, limit))

    async def blockers(self) -> list[Blocker]:
        return await self._runner.look(blockers, snapshot=False)


def _trim(connection: Connection, until: datetime, limit: int) -> Outcome[int]:
    return Outcome(connection.execute(_DROP, {"until": until, "most": limit}).rowcount)


def say(connection: Connection, kind: EventKind, at: datetime, guest: str = "", place: str = "") -> None:
    """Have the feed tell of this, if the transaction commits."""
    told = {"kind": kind.value, "guest_id": guest, "place": place, "at": at}
    connection.execute(insert_event(connection.dialect.name), told)


def say_erased(connection: Connection, digest: str, places: Sequence[str], at: datetime) -> None:
    """That a guest is no more, wherever they were expected: known by the digest of the tombstone. It must be said
    before their changes go: on SQLite the number of the newest would be given again."""
    for place in dict.fromkeys(("", *places)):
        say(connection, EventKind.ERASED, at, digest, place)


def end(connection: Connection) -> Cursor:
    dialect = connection.dialect.name
    found = connection.execute(_END[dialect]).scalar_one()
    return Cursor(since=int(found)) if dialect == "postgresql" else Cursor(position=int(found))


def page(connection: Connection, after: Cursor, limit: int, guest: str | None, vault: Vault) -> FeedPage:
    dialect = connection.dialect.name
    asked: dict[str, Any] = {"position": after.position, "most": limit}
    if guest is not None:
        asked["guest"] = guest
    if dialect == "sqlite":
        rows = connection.execute(_PAGES[dialect, guest is not None], asked).all()
        events = _events(rows, vault, lambda position: Cursor(position=position))
        if len(events) == limit:
            return FeedPage(events, events[-1].cursor, more=True)
        last = end(connection)  # of the same moment: reading is a transaction
        return FeedPage(events, last, lost=after.position > last.position)
    asked |= {"since": str(after.since), "until": str(after.until)}
    rows = connection.execute(_PAGES[dialect, guest is not None], asked).all()
    until, low, waiting_since = int(rows[0].until), int(rows[0].low), rows[0].waiting_since
    told = [row for row in rows if row.kind is not None]
    events = _events(told, vault, lambda position: Cursor(after.since, until, position))
    more = len(events) == limit
    # A step that was begun earlier may have a successor at once.
    cursor = events[-1].cursor if more else Cursor(since=max(until, after.since))
    since = waiting_since.astimezone(UTC) if waiting_since else None
    lost = max(after.since, after.until) > low
    return FeedPage(events, cursor, more or until < low, since, lost)


def _events(rows: Sequence[Any], vault: Vault, place: Callable[[int], Cursor]) -> list[FeedEvent]:
    safes: dict[str, Safe] = {}
    return [
        FeedEvent(
            EventKind(row.kind),
            place(row.position),
            row.guest,
            row.version,
            _keys(row, vault, safes) if row.kind == EventKind.CHANGE else (),
            row.place,
            row.action,
            row.note,
        )
        for row in rows
    ]


def _keys(row: Any, vault: Vault, safes: dict[str, Safe]) -> tuple[str, ...]:
    """The keys of a change; none where they can never be read again, so that one guest does not stop everybody's feed.

    Raises WrappingKeyMissing."""
    told = row.keys_
    if row.sealed is not None:
        if row.wrapped is None:
            return ()
        try:
            safe = safes.get(row.guest) or vault.unlock(row.guest, DataKey(row.key_id, row.wrapped_by, row.wrapped))
            told = contents.open_change(safe, row.sealed, row.version)
        except WrappingKeyMissing:
            raise
        except Sealed:
            return ()
        safes[row.guest] = safe
    elif isinstance(told, str):
        told = load(told)
    return tuple(dict.fromkeys(one["key"] for one in told))


def blockers(connection: Connection) -> list[Blocker]:
    if connection.dialect.name != "postgresql":
        return []
    rows = connection.execute(_BLOCKERS)
    return [
        Blocker(row.session, row.account, row.program, row.database, row.state, timedelta(seconds=row.open_s))
        for row in rows
    ]
