"""Entries as Redis sees them: eight bytes of version, then AES-GCM under a key that Redis never sees.

The entry's name and version are authenticated with it, so an entry that was copied to another name, or given another
version, does not open. Nonces are random: change the key long before 2**32 entries were written under it (at a
thousand fills a second, that is seven weeks).
"""

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_HEAD = _VERSION_BYTES + _NONCE_BYTES


class Opened(NamedTuple):
    version: int
    payload: bytes


class Seal:
    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the cache key must have {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    def close(self, name: str, version: int, payload: bytes) -> bytes:
        head, nonce = version.to_bytes(_VERSION_BYTES), os.urandom(_NONCE_BYTES)
        return head + nonce + self._cipher.encrypt(nonce, payload, name.encode() + head)

    def open(self, name: str, sealed: bytes) -> Opened | None:
        """None for what was sealed with another key, for another name, or tampered with."""
        if len(sealed) < _HEAD + _TAG_BYTES:
            return None
        head, nonce = sealed[:_VERSION_BYTES], sealed[_VERSION_BYTES:_HEAD]
        try:
            payload = self._cipher.decrypt(nonce, sealed[_HEAD:], name.encode() + head)
        except InvalidTag:
            return None
        return Opened(int.from_bytes(head), payload)


def seal_of(sealed: bytes) -> bytes:
    """The tag that authenticates an entry, its name and its version. It differs even between entries that say the same,
    since every nonce is new: who finds it again has found the very entry."""
    return sealed[-_TAG_BYTES:]
