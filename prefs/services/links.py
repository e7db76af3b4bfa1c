"""Stay links: a guest without an account gets in once by a link, and then for that stay alone."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller, Role
from prefs.core.enrolment import Changes, Credential, Kind, StayLink, link_end, seconds_of
from prefs.core.errors import LinkUsed, NotAllowed, NotFound
from prefs.core.patches import SCOPE_ID
from prefs.core.revocations import KEPT, Revocable, Revocation
from prefs.core.stays import Stay
from prefs.ports import Clock, Store
from prefs.services.devices import digest_of, secret_of
from prefs.services.surroundings import no_stay
from prefs.services.witness import Witness

LINKING_SURFACE = "front_desk"  # whoever has a link can go in by it: not every screen of a hotel hands them out


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in by which link, and until when at the latest."""

    link: str
    guest: str
    stay: str
    property: str
    until: datetime


class StayLinks:
    """Use cases around links. What such a guest may do then, the rules on callers narrowed to a stay decide."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[str], str], witness: Witness) -> None:
        self.store, self.clock, self.new_id, self.witness = store, clock, new_id, witness

    async def make(self, caller: Caller, stay_id: str) -> dict[str, Any]:
        """A new link into a stay; its code is told this once. Raises NotAllowed, NotFound, also for a stay that is
        over."""
        stay = await self._stay(caller, stay_id)
        now = self.clock.now()
        end = link_end(stay, now)
        if end is None:
            raise no_stay()
        id, secret = self.new_id("lnk"), secrets.token_urlsafe(24)
        link = StayLink(stay.id, stay.guest, stay.property, digest_of(secret), seconds_of(now), caller.subject)
        async with self.witness.act(caller, Deed.LINK_MAKE, guest=stay.guest, property=stay.property):
            await self.store.credentials.add(link.stored(id, end), now)
        return {"link": id, "code": f"{id}.{secret}", "stay": stay.id, "expires_at": _text(end)}

    async def enter(self, code: str) -> Entered:
        """Come in by a link, once. Raises NotFound for what lets nobody in, LinkUsed for what did."""
        link_id, secret = secret_of(code)
        kept, now = await self.store.credentials.get(Kind.LINK, link_id), self.clock.now()
        stay = await self.store.stay(StayLink.of(kept).stay) if kept else None
        end = link_end(stay, now) if stay else None

        def decide(kept: Credential | None) -> Changes[Entered]:
            link = StayLink.of(kept) if kept else None
            if kept is None or link is None or not hmac.compare_digest(link.secret, secret):
                raise _no_link()
            if link.used_at:
                raise LinkUsed("This link was used already. Ask the hotel for a new one.")
            if end is None or stay is None or stay.guest != link.guest or now >= kept.expires_at:
                raise _no_link()
            used = replace(link, used_at=seconds_of(now)).stored(link_id, kept.expires_at)
            return Changes(Entered(link_id, link.guest, link.stay, link.property, end), put=[used])

        return await self.store.credentials.change(Kind.LINK, link_id, decide)

    async def revoke(self, caller: Caller, stay_id: str, link_id: str) -> None:
        """Nobody comes in by this link any more, and who came in is out. Raises NotAllowed, NotFound."""
        stay = await self._stay(caller, stay_id)
        now = self.clock.now()

        def decide(kept: Credential | None) -> Changes[None]:
            if kept is None or StayLink.of(kept).stay != stay.id:
                raise _no_link()
            gone = Revocation(Revocable.LINK, link_id, now, now + KEPT)
            return Changes(None, drop=[(Kind.LINK, link_id)], revoke=[gone])

        async with self.witness.act(caller, Deed.LINK_REVOKE, guest=stay.guest, property=stay.property):
            await self.store.credentials.change(Kind.LINK, link_id, decide)

    async def _stay(self, caller: Caller, stay_id: str) -> Stay:
        """A stay that this caller may open to its guest."""
        access.require(caller, Act.LINK_STAY)
        if caller.role is Role.STAFF and caller.surface != LINKING_SURFACE:
            raise NotAllowed(f"Of staff only the {LINKING_SURFACE} may do this.")
        stay = await self.store.stay(stay_id) if SCOPE_ID.fullmatch(stay_id) else None
        if stay is None or not access.reaches(caller, Act.LINK_STAY, stay.guest, [stay], self.clock.now()):
            raise no_stay()
        return stay


def _no_link() -> NotFound:
    return NotFound("There is no such link.")


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
