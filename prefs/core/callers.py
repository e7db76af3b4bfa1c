"""Who is asking, as far as rules need to know: role, surface, properties, stay, permissions.

The token is verified at the HTTP face; what arrives here is already believed. What it may do is decided in `access.py`.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    GUEST = "guest"
    DEVICE = "device"
    STAFF = "staff"
    SERVICE = "service"
    OPERATOR = "operator"


ALL_GUESTS = "guests.all"  # permission of a service or operator that may reach every guest


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` of a guest's token is the guest id; `stay` narrows a device or guest token to one stay."""

    subject: str
    role: Role
    surface: str
    properties: frozenset[str] = frozenset()
    stay: str = ""
    permissions: frozenset[str] = frozenset()


def name_of(caller: Caller, asked: Hashable, language: Hashable) -> Hashable:
    """What a question is called under which an answer lies or is shared: everything that the answer may depend on and
    that is no stored value. Callers that no rule tells apart share it: whoever is staff of the same house reads the
    same."""
    subject = caller.subject if caller.role is Role.GUEST else ""
    return asked, language, caller.surface, caller.role, caller.properties, caller.stay, subject, caller.permissions
