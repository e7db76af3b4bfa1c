"""Tokens made and taken back by hand: for development, a demo, a first device before there is an identity provider."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from joserfc.jwk import Key

from api.auth import load_keys, mint
from api.cli.console import CommandFault
from prefs.bootstrap import SystemClock, open_house
from prefs.core.access import surfaces_of
from prefs.core.callers import Caller, Role
from prefs.core.revocations import Revocable
from prefs.settings import Settings

VALUE_LENGTH_MAX = 200
_OPERATOR = Caller("cli", Role.OPERATOR, "front_desk")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token is for. A guest's `subject` is the guest's id."""

    role: Role
    surface: str
    subject: str
    properties: Sequence[str] = ()
    stay: str = ""
    permissions: Sequence[str] = ()


def signing_key(path: Path) -> Key:
    """The first key of the file: the one that signs. Raises CommandFault."""
    try:
        keys = load_keys(path)
    except FileNotFoundError as error:
        raise CommandFault(f"There is no key file {path} yet. Run: guestprefs keys") from error
    except OSError as error:
        raise CommandFault(f"The key file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandFault(f"{error}.") from error
    if not keys:
        raise CommandFault(f"The key file {path} holds no key.")
    return keys[0]


def sign(key: Key, settings: Settings, bearer: Bearer, lifetime: timedelta) -> str:
    """A token that this deployment accepts. Raises CommandFault for one that it would refuse."""
    allowed = surfaces_of(bearer.role)
    if bearer.surface not in allowed:
        raise CommandFault(f"A {bearer.role.value} has no surface {bearer.surface}; choose from {', '.join(allowed)}.")
    if not bearer.subject:
        raise CommandFault("Name whom the token is for: --guest for a guest, --subject for anybody else.")
    if bearer.role in (Role.STAFF, Role.DEVICE) and not bearer.properties:
        raise CommandFault(f"A {bearer.role.value} works at a property: name it with --property.")
    return mint(
        key,
        issuer=settings.issuer,
        audience=settings.audience,
        subject=bearer.subject,
        role=bearer.role,
        surface=bearer.surface,
        now=SystemClock().now(),
        lifetime=lifetime,
        properties=bearer.properties,
        stay=bearer.stay,
        permissions=bearer.permissions,
    )


def revoke(settings: Settings, kind: Revocable, value: str) -> str:
    """Take something back, and say from when on it is refused everywhere. Raises CommandFault."""
    if not 0 < len(value) <= VALUE_LENGTH_MAX or not value.isascii() or not value.isprintable() or " " in value:
        raise CommandFault(f"A {kind.value} is named by up to {VALUE_LENGTH_MAX} letters, digits and signs.")

    return asyncio.run(taken_back(settings, kind, value))


async def taken_back(settings: Settings, kind: Revocable, value: str) -> str:
    house = await open_house(settings)
    try:
        told = await house.revocations.revoke(_OPERATOR, kind, value)
    finally:
        await house.close()
    return f"The {kind.value} {value} is refused by every process from {told['effective_by']} on."
