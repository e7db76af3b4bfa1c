"""A running service for clients to speak to, and who may sign tokens for it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from guestprefs_client import GuestPrefs
from guestprefs_client.surroundings import SystemClock
from joserfc.jwk import Key

from api.auth import load_keys, make_key, mint, save_keys
from prefs.core.callers import ALL_GUESTS, Role
from prefs.migrations import migrate
from prefs.settings import Settings
from tests.api.front import AUDIENCE, ISSUER
from tests.api.served import served

LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Place:
    url: str
    key: Key

    def token(self, subject: str, role: Role, surface: str, **more: Any) -> str:
        now = datetime.fromtimestamp(SystemClock().now(), UTC)
        named = {"issuer": ISSUER, "audience": AUDIENCE, "subject": subject, "role": role, "surface": surface}
        return mint(self.key, **named, now=now, lifetime=LIFETIME, **more)

    def guest_token(self, guest: str) -> str:
        return self.token(guest, Role.GUEST, "guest_app")

    @property
    def service(self) -> str:
        return self.token("pms", Role.SERVICE, "front_desk", permissions=[ALL_GUESTS])

    def new_guest(self) -> str:
        with GuestPrefs(self.url, self.service) as service:
            return service.create_guest("Ana Torres", [{"system": "loyalty", "id": uuid.uuid4().hex}]).guest


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Place]:
    """A server process over a SQLite file in this folder."""
    keys = folder / "keys.json"
    keys.write_text(save_keys([make_key()]), encoding="utf-8")
    given = Settings(data=folder, database_url=f"sqlite:///{folder / 'guestprefs.sqlite3'}", keys=keys, **settings)
    asyncio.run(migrate(given.database_url))
    with served(given, folder / "serve.log") as url:
        yield Place(url, load_keys(keys)[0])
