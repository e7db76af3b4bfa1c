"""The few places where SQL differs between the engines, so that every query is written once."""

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Insert, Table, bindparam, func, insert, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from prefs.store.tables import CHANGE, FEED_EVENT, TextList

INTEGER_MAX = 2**31 - 1  # versions are 32-bit in SQL


class Among(FunctionElement[bool]):
    """`column` is one of the strings in the parameter `name`: one prepared statement for any number of them."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Column[Any], name: str) -> None:
        super().__init__(column, bindparam(name, type_=TextList()))

    def self_group(self, against: Any = None) -> Any:
        """As it is: SQLAlchemy would ask SQLite for `(...) = 1`, which no index answers, so every read scanned all."""
        return self


@compiles(Among, "postgresql")
def _any(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, many = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({many})"


@compiles(Among, "sqlite")
def _each(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, many = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({many}))"


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT that can say ON CONFLICT, in the engine's own dialect."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_new(connection: Connection, table: Table, columns: dict[str, Any]) -> bool:
    """Insert a row unless one of its unique keys is taken; waits for a transaction that is about to take it."""
    result = connection.execute(_insert_or_nothing(connection.dialect.name, table), columns)
    return result.rowcount == 1


@cache
def _insert_or_nothing(dialect: str, table: Table) -> Any:
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_nothing()


# One numbering for changes and events of the feed. PostgreSQL has a sequence; SQLite has one writer, so the next number
# is free until it commits. Whatever trims them must keep the newest: on SQLite its number would be given again.
NEXT_POSITION = {
    "postgresql": "nextval('change_position_seq')",
    "sqlite": (
        "max(coalesce((SELECT max(position) FROM change), 0), coalesce((SELECT max(position) FROM feed_event), 0)) + 1"
    ),
}


@cache
def insert_change(dialect: str) -> Insert:
    return insert(CHANGE) if dialect == "postgresql" else _numbered(CHANGE, dialect)


@cache
def insert_event(dialect: str) -> Insert:
    return _numbered(FEED_EVENT, dialect)


def _numbered(table: Table, dialect: str) -> Insert:
    number: Any = literal_column(f"({NEXT_POSITION[dialect]})", BigInteger())
    return insert(table).values(position=func.coalesce(number, 0, type_=BigInteger()))


def storable(*texts: str) -> bool:
    """Whether a text can be in a database at all: no NUL, no lone surrogate. What cannot be stored is not there."""
    return not any("\0" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text) for text in texts)
