"""What must not be so where real guests are served: `serve` refuses to start on any of it, and `doctor` tells the same.

All findings are told at once, each with what mends it. The demo is for trying things out and is not looked at.
"""

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from api.cli.console import CommandFault
from api.keys import DEMO_KEY, load_keys
from prefs.settings import Settings

# Passwords of examples and first set-ups, tried before all others.
KNOWN_PASSWORDS = frozenset(
    ("admin", "changeme", "default", "demo", "example", "guestprefs", "letmein", "password", "postgres", "redis")
    + ("root", "secret", "test", "user", "valkey", "123456")
)
CACHE_KEY = re.compile("[0-9a-f]{64}")
DISTINCT_DIGITS_MIN = 8  # of 64 hexadecimal ones; made by chance they are nearly always all sixteen
OTHERS = stat.S_IRWXO | stat.S_IWGRP


def refuse_unsafe(settings: Settings) -> None:
    """Raise CommandFault with every finding."""
    found = list(findings(settings))
    if found:
        count = f"{len(found)} things are" if len(found) > 1 else "one thing is"
        listed = "".join(f"\n  - {finding}" for finding in found)
        raise CommandFault(f"Not started: {count} unsafe where real guests are served.{listed}")


def findings(settings: Settings) -> Iterator[str]:
    yield from _debugging(settings)
    if "*" in settings.origins:
        yield "GUESTPREFS_CORS_ORIGINS lets every web page call. Name the origins of your own pages, or leave it empty."
    yield from _keys(settings.keys)
    for variable, field in Settings.variables().items():
        if field.annotation in (Path, Path | None) and variable != "GUESTPREFS_DATA":
            yield from _open_file(variable, getattr(settings, _name_of(variable)))
    for variable, url in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url)):
        yield from _password(variable, url)
    yield from _cache_key(settings.cache_key)


def _name_of(variable: str) -> str:
    return dict(zip(Settings.variables(), Settings.model_fields, strict=True))[variable]


def _debugging(settings: Settings) -> Iterator[str]:
    if settings.log_level == "debug":
        yield "LOG_LEVEL is debug. Set it to info."
    if sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG"):
        yield "Python runs in its development mode. Unset PYTHONDEVMODE and PYTHONASYNCIODEBUG; no -X dev."
    if os.environ.get("PYTHONHASHSEED", "random") not in ("", "random"):
        yield "PYTHONHASHSEED fixes how names are hashed, so that callers can make them collide. Unset it."


def _keys(path: Path) -> Iterator[str]:
    """A file that is missing or wrong is not this module's to tell."""
    try:
        keys = load_keys(path)
    except (OSError, ValueError):
        return
    if any((key.kid or "").startswith(DEMO_KEY) for key in keys):
        yield (
            f"{path} holds the key of a demo, whose tokens were printed. Move the file away, or use another data "
            "folder; a new key is made at the next start."
        )


def _open_file(variable: str, path: Path | None) -> Iterator[str]:
    try:
        mode = path.stat().st_mode if path else 0
    except OSError:
        return
    if stat.S_ISDIR(mode):
        if mode & stat.S_IWOTH:
            yield f"The folder {path} ({variable}) can be changed by others. Run: chmod o-w {path}"
    elif mode & OTHERS:
        yield f"{path} ({variable}) can be read or changed by others. Run: chmod 600 {path}"


def _password(variable: str, url: str) -> Iterator[str]:
    parts = urlsplit(url)
    password = unquote(parts.password or "").lower()
    if password and (password in KNOWN_PASSWORDS or password == unquote(parts.username or "").lower()):
        yield f"{variable} has a password that everybody tries first. Give the account another one."


def _cache_key(path: Path) -> Iterator[str]:
    try:
        digits = path.read_text(encoding="ascii").strip().lower()
    except (OSError, ValueError):
        return
    if CACHE_KEY.fullmatch(digits) and len(set(digits)) < DISTINCT_DIGITS_MIN:
        yield f"{path} holds a key that was not made by chance. Remove it; a new one is made at the next start."
