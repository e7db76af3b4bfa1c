"""Who is asking, as far as rules need to know: role, surface, properties, stay, permissions.

The token is verified at the HTTP face; what arrives here is already believed. What it may do is decided in `access.py`.
"""

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
