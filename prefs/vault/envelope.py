"""The vault itself: AES-256-GCM under a data key per guest, which is wrapped by AES-256-GCM under a wrapping key.

Sealed bytes are one of form, twelve of nonce, the ciphertext and its tag. The tag covers guest, data key and place
(what kind of thing, which preference key, which version), so that nothing opens anywhere but where it was sealed.
Nonces are random: a data key seals what one guest says, far below the 2**32 that a key may bear.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prefs.core.errors import Sealed, WrappingKeyMissing
from prefs.ports import DataKey
from prefs.vault.keys import KEY_BYTES
from prefs.vault.providers import Provider

_FORM, _NONCE_BYTES = b"\x01", 12
_HEAD = len(_FORM) + _NONCE_BYTES
_ID_BYTES = 8
ASKED_AGAIN_S = 1.0  # a key that nobody has must not make every request ask


def _seal(cipher: AESGCM, data: bytes, about: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return _FORM + nonce + cipher.encrypt(nonce, data, about)


def _open(cipher: AESGCM, sealed: bytes, about: bytes) -> bytes | None:
    if sealed[:1] != _FORM:
        return None
    try:
        return cipher.decrypt(sealed[1:_HEAD], sealed[_HEAD:], about)
    except (InvalidTag, ValueError):  # too short to have a nonce
        return None


class GuestSafe:
    """A data key at work. Parts of a place are told apart by NUL, which no id has."""

    __slots__ = ("_cipher", "_owner", "key")

    def __init__(self, guest: str, key: DataKey, secret: bytes) -> None:
        self.key = key
        self._cipher = AESGCM(secret)
        self._owner = (guest, key.id)

    def seal(self, data: bytes, *place: str) -> bytes:
        return _seal(self._cipher, data, "\0".join(self._owner + place).encode())

    def open(self, sealed: bytes, *place: str) -> bytes:
        data = _open(self._cipher, sealed, "\0".join(self._owner + place).encode())
        if data is None:
            raise Sealed(f"What is kept of this guest ({place[0]}) does not open: it was moved or tampered with.")
        return data


@dataclass(frozen=True, slots=True)
class _Ring:
    """The wrapping keys of one asking, in order."""

    proofs: Mapping[str, str]
    ciphers: Mapping[str, AESGCM] = field(repr=False)

    @property
    def newest(self) -> str:
        return next(iter(self.ciphers))


def _ring(provider: Provider) -> _Ring:
    keys = provider.load()
    return _Ring({key.id: key.proof for key in keys}, {key.id: AESGCM(key.secret) for key in keys})


class Envelope:
    """A `Vault`. Raises Sealed where the provider cannot tell its keys."""

    def __init__(self, provider: Provider, *, sealing: bool = True) -> None:
        self._provider = provider
        self._sealing = sealing
        self._ring = _ring(provider)
        self._asking = asyncio.Lock()
        self._missed: dict[str, float] = {}

    @property
    def sealing(self) -> bool:
        return self._sealing

    @property
    def proofs(self) -> Mapping[str, str]:
        return self._ring.proofs

    @property
    def place(self) -> str:
        return self._provider.place

    def make(self, guest: str) -> GuestSafe:
        secret = secrets.token_bytes(KEY_BYTES)
        return GuestSafe(guest, self._wrap(guest, secrets.token_hex(_ID_BYTES), secret), secret)

    def unlock(self, guest: str, key: DataKey) -> GuestSafe:
        return GuestSafe(guest, key, self._unwrap(guest, key))

    def rewrap(self, guest: str, key: DataKey) -> DataKey:
        return self._wrap(guest, key.id, self._unwrap(guest, key))

    async def renew(self, missing: str) -> None:
        async with self._asking:
            if missing in self._ring.ciphers or time.monotonic() < self._missed.get(missing, 0.0):
                return
            try:
                self._ring = await asyncio.to_thread(_ring, self._provider)
            finally:
                self._missed = {missing: time.monotonic() + ASKED_AGAIN_S}

    def _wrap(self, guest: str, id: str, secret: bytes) -> DataKey:
        ring = self._ring
        newest = ring.newest
        return DataKey(id, newest, _seal(ring.ciphers[newest], secret, _about(guest, id, newest)))

    def _unwrap(self, guest: str, key: DataKey) -> bytes:
        cipher = self._ring.ciphers.get(key.wrapped_by)
        if cipher is None:
            raise WrappingKeyMissing(
                key.wrapped_by,
                f"The wrapping key {key.wrapped_by} is not in {self.place}. Restore it: without it, what it wraps "
                "cannot be read.",
            )
        secret = _open(cipher, key.wrapped, _about(guest, key.id, key.wrapped_by))
        if secret is None:
            raise Sealed("The data key of this guest does not open: it was moved or tampered with.")
        return secret


def _about(guest: str, id: str, wrapped_by: str) -> bytes:
    return "\0".join((guest, "data key", id, wrapped_by)).encode()
