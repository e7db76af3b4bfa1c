"""A planted fault: the product with `synchronous=NORMAL`, which survives kill -9 and loses power cuts. strace must
see it.

Every connection is loosened when it leaves its pool, after the product has prepared it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.pool import Pool

from api.app import create_app as real_app
from api.cli import running
from api.cli.configuration import read_settings


def _loosen(connection: Any, _record: Any, _proxy: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL").close()


def create_app() -> FastAPI:
    event.listen(Pool, "checkout", _loosen)
    return real_app()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    return running.run(read_settings(**vars(given)), application="tests.chaos.lax:create_app")


if __name__ == "__main__":
    sys.exit(main())
