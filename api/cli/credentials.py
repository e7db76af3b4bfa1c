"""Tokens made by hand: for development, for a demo, and for a first device before an identity provider is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from joserfc.jwk import Key

from api.auth import load_keys, mint
from api.cli.console import CommandFault
from prefs.bootstrap import SystemClock
from prefs.core.access import surfaces_of
from prefs.core.callers import Role
from prefs.settings import Settings


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
