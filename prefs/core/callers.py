"""Who is asking, as far as rules need to know: role, surface, properties; and which guests they have a reason to see.

The token is verified at the HTTP face; what arrives here is already believed. Rules: design section 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from prefs.core.stays import Stay


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

    def may_reach(self, guest: str, stays: Sequence[Stay], now: datetime) -> bool:
        """Whether this caller has a reason to see this guest at all; a no is told as not found."""
        match self.role:
            case Role.GUEST:
                return self.subject == guest
            case Role.SERVICE | Role.OPERATOR:
                return ALL_GUESTS in self.permissions
            case Role.STAFF | Role.DEVICE:
                return any(
                    stay.property in self.properties
                    and (not self.stay or stay.id == self.stay)
                    and stay.gives_reason(now)
                    for stay in stays
                )
