"""A planted fault: the product with `synchronous=NORMAL`, which survives kill -9 and loses power cuts. strace must
see it.

Every connection is loosened when it leaves its pool, after the product has prepared it.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.pool import Pool

from api.app import create_app as real_app


def _loosen(connection: Any, _record: Any, _proxy: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL").close()


def create_app() -> FastAPI:
    event.listen(Pool, "checkout", _loosen)
    return real_app()
