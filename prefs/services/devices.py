"""Devices: how they ask to be let in, how staff of a property lets them, how they stay, and how they are put out."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller
from prefs.core.enrolment import (
    GRANT_LASTS,
    POLL_SECONDS,
    USER_CODE_LENGTH,
    USER_CODE_LETTERS,
    Changes,
    Credential,
    Device,
    Grant,
    GrantStatus,
    Kind,
    Poll,
    moment_of,
    seconds_of,
    user_code_of,
)
from prefs.core.errors import Fault, InvalidEdit, NotFound, Unavailable
from prefs.core.revocations import KEPT, Revocable, Revocation
from prefs.ports import Clock, Store
from prefs.services.surroundings import no_property
from prefs.services.witness import Witness

ASKED_A_MINUTE_MAX = 600  # in each process: whoever asks has shown nothing of himself yet
REFRESH_SEEN_AFTER = timedelta(hours=1)  # how exactly it is kept when a device was last there


@dataclass(frozen=True, slots=True)
class Asked:
    """What a device is told when it asks to be let in: a secret for itself, a code for people."""

    device_code: str
    user_code: str
    expires_in: int = int(GRANT_LASTS.total_seconds())
    interval: int = POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device that is let in; `refresh` is empty where it has its secret already."""

    id: str
    device: Device
    refresh: str = ""


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def secret_of(code: str) -> tuple[str, str]:
    """The id and the digest of the secret of a code that was given out as `id.secret`."""
    id, _, secret = code.partition(".")
    return id, digest_of(secret)


class Devices:
    """Use cases of RFC 8628 and around: no secret is kept, and every step is one transaction."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[str], str], witness: Witness) -> None:
        self.store, self.clock, self.new_id, self.witness = store, clock, new_id, witness
        self._asked: tuple[int, int] = (0, 0)  # which minute, how often

    # ------------------------------------------------------------ the device's side

    async def ask(self, name: str, surface: str, jkt: str) -> Asked:
        """A new wish to be let in. Raises Unavailable when too many have one."""
        now = self.clock.now()
        minute = seconds_of(now) // 60
        self._asked = (minute, self._asked[1] + 1 if self._asked[0] == minute else 1)
        if self._asked[1] > ASKED_A_MINUTE_MAX:
            raise Unavailable("Too many devices ask to be let in; ask again in a minute.")
        while True:
            code = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(USER_CODE_LENGTH))
            secret = secrets.token_urlsafe(32)
            grant = Grant(name, surface, digest_of(secret), jkt, seconds_of(now))
            if await self.store.credentials.add(grant.stored(digest_of(code)), now):
                return Asked(f"{digest_of(code)}.{secret}", f"{code[:4]}-{code[4:]}")

    async def poll(self, device_code: str, name: str, jkt: str) -> tuple[Poll, Enrolled | None]:
        """What a waiting device hears; once it is let in, the device it has become, and only once."""
        grant_id, secret = secret_of(device_code)
        device_id, refresh, now = self.new_id("dev"), secrets.token_urlsafe(32), self.clock.now()

        def decide(kept: Credential | None) -> Changes[tuple[Poll, Enrolled | None]]:
            grant = Grant.of(kept) if kept else None
            if grant is None or grant.name != name:
                return Changes((Poll.INVALID, None))
            told, after = grant.polled(secret, jkt, now)
            if told is not Poll.READY:
                return Changes((told, None), put=[] if after == grant else [after.stored(grant_id)])
            seen = seconds_of(now)
            device = Device(grant.name, grant.surface, grant.property, jkt, digest_of(refresh), seen, grant.by, seen)
            enrolled = Enrolled(device_id, device, f"{device_id}.{refresh}")
            return Changes((told, enrolled), put=[device.stored(device_id)], drop=[(Kind.GRANT, grant_id)])

        return await self.store.credentials.change(Kind.GRANT, grant_id, decide)

    async def refresh(self, refresh_token: str, name: str, jkt: str) -> Enrolled | None:
        """The device that a refresh token and a proof of its key speak for; None where they do not."""
        device_id, secret = secret_of(refresh_token)
        kept, now = await self.store.credentials.get(Kind.DEVICE, device_id), self.clock.now()
        if kept is None or now >= kept.expires_at:
            return None
        device = Device.of(kept)
        if not hmac.compare_digest(device.secret, secret) or device.jkt != jkt or device.name != name:
            return None
        if now - moment_of(device.seen_at) >= REFRESH_SEEN_AFTER:
            await self.store.credentials.change(Kind.DEVICE, device_id, _seen(device_id, seconds_of(now)))
        return Enrolled(device_id, device)

    # ------------------------------------------------------------ the property's side

    async def grant(self, caller: Caller, user_code: str) -> dict[str, Any]:
        """What a device has asked for. Raises NotAllowed, NotFound."""
        access.require(caller, Act.ENROL_DEVICE)
        kept = await self.store.credentials.get(Kind.GRANT, digest_of(user_code_of(user_code)))
        return _show_grant(_living(kept, self.clock))

    async def decide(self, caller: Caller, user_code: str, property: str, approve: bool) -> dict[str, Any]:
        """Let a device in at a property, or not. Raises NotAllowed, NotFound, InvalidEdit where it was decided."""
        access.require(caller, Act.ENROL_DEVICE)
        await self._own_property(caller, property)
        id, status = digest_of(user_code_of(user_code)), GrantStatus.APPROVED if approve else GrantStatus.DENIED

        def decide(kept: Credential | None) -> Changes[dict[str, Any]]:
            grant = _living(kept, self.clock)
            if grant.status is not GrantStatus.PENDING and (grant.status, grant.property) != (status, property):
                raise InvalidEdit([Fault("/approve", "ALREADY_DECIDED", f"is {grant.status.value} already")])
            decided = replace(grant, status=status, property=property, by=caller.subject)
            return Changes(_show_grant(decided), put=[decided.stored(id)])

        async with self.witness.act(caller, Deed.DEVICE_DECIDE, property=property):
            return await self.store.credentials.change(Kind.GRANT, id, decide)

    async def of_property(self, caller: Caller, property: str, limit: int, after: str = "") -> list[dict[str, Any]]:
        """Devices of a property by id. Raises NotAllowed, NotFound."""
        access.require(caller, Act.ENROL_DEVICE)
        await self._own_property(caller, property)
        now = self.clock.now()
        found = await self.store.credentials.of_property(Kind.DEVICE, property, now, limit, after)
        return [_show_device(one.id, Device.of(one)) for one in found]

    async def revoke(self, caller: Caller, device_id: str) -> None:
        """Put a device out: its refresh token dies with this, its access tokens are revoked. Raises NotAllowed,
        NotFound."""
        access.require(caller, Act.ENROL_DEVICE)
        now = self.clock.now()

        def decide(kept: Credential | None) -> Changes[None]:
            if kept is None or not access.belongs(caller, kept.property):
                raise NotFound("There is no such device.")
            gone = Revocation(Revocable.DEVICE, device_id, now, now + KEPT)
            return Changes(None, drop=[(Kind.DEVICE, device_id)], revoke=[gone])

        async with self.witness.act(caller, Deed.DEVICE_REVOKE):
            await self.store.credentials.change(Kind.DEVICE, device_id, decide)

    async def _own_property(self, caller: Caller, property: str) -> None:
        if not access.belongs(caller, property) or await self.store.property(property) is None:
            raise no_property()


def _living(kept: Credential | None, clock: Clock) -> Grant:
    grant = Grant.of(kept) if kept else None
    if grant is None or clock.now() >= moment_of(grant.asked_at) + GRANT_LASTS:
        raise NotFound("There is no such code.")
    return grant


def _seen(device_id: str, moment: int) -> Callable[[Credential | None], Changes[None]]:
    def decide(kept: Credential | None) -> Changes[None]:
        return Changes(None, put=[replace(Device.of(kept), seen_at=moment).stored(device_id)] if kept else [])

    return decide


def _show_grant(grant: Grant) -> dict[str, Any]:
    told = {"name": grant.name, "surface": grant.surface, "status": grant.status.value}
    asked = {"asked_at": _text(grant.asked_at), "expires_at": _text(grant.asked_at + int(GRANT_LASTS.total_seconds()))}
    return told | asked | ({"property": grant.property} if grant.property else {})


def _show_device(id: str, device: Device) -> dict[str, Any]:
    return {
        "id": id,
        "name": device.name,
        "surface": device.surface,
        "property": device.property,
        "enrolled_at": _text(device.enrolled_at),
        "approved_by": device.by,
        "seen_at": _text(device.seen_at),
    }


def _text(seconds: int) -> str:
    return moment_of(seconds).isoformat().replace("+00:00", "Z")
