"""Tokens that guestprefs itself signs: for devices it has enrolled, and for guests who came by a stay link."""

from datetime import datetime, timedelta
from typing import Any

from joserfc.jwk import Key

from api.keys import algorithm_of, mint
from prefs.core.callers import Role
from prefs.core.catalogue import GUEST_SURFACE
from prefs.core.enrolment import Device
from prefs.core.errors import Unavailable
from prefs.services.links import Entered

DEVICE_TOKEN_LASTS = timedelta(minutes=10)


class Signer:
    """Signs with the first key of the key file, as the issuer whose tokens this service verifies."""

    def __init__(self, keys: list[Key], issuer: str, audience: str) -> None:
        self._keys, self._issuer, self._audience = keys, issuer, audience

    def public(self) -> list[dict[str, Any]]:
        """The keys that verify what is signed here, for whoever else is shown such a token."""
        told = []
        for key in self._keys:
            told.append(key.as_dict(private=False) | {"use": "sig", "alg": algorithm_of(key)})
        return told

    def for_device(self, id: str, device: Device, now: datetime) -> str:
        """A short token, bound to the device's key."""
        return mint(
            self._key(),
            issuer=self._issuer,
            audience=self._audience,
            subject=id,
            role=Role.DEVICE,
            surface=device.surface,
            now=now,
            lifetime=DEVICE_TOKEN_LASTS,
            properties=[device.property],
            client_id=device.name,
            more={"cnf": {"jkt": device.jkt}},
        )

    def for_guest(self, entered: Entered, now: datetime) -> str:
        """A token for one stay; there is no other after it, so it lasts as long as the stay may."""
        return mint(
            self._key(),
            issuer=self._issuer,
            audience=self._audience,
            subject=entered.guest,
            role=Role.GUEST,
            surface=GUEST_SURFACE,
            now=now,
            lifetime=entered.until - now,
            stay=entered.stay,
            client_id="stay-link",
            more={"link": entered.link},
        )

    def _key(self) -> Key:
        if not self._keys or not self._keys[0].is_private:
            raise Unavailable("This service has no key to sign tokens with.")
        return self._keys[0]
