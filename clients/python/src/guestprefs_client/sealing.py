"""How records rest under a seal: values encrypted and bound to their place, names as digests with a key.

A `Seal` only has to encrypt and decrypt, so the digests have a key of their own, which lies in the store, sealed. What
a record says of itself is encrypted with its value and compared when it is opened: moved to another one, nothing opens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

from guestprefs_client.ports import Record, Seal

# Words that are digests begin so. What is told of a record that does not open has such words for names.
MARK = "sealed:"
KEY_BYTES = 32


def decrypted(seal: Seal, token: bytes) -> bytes | None:
    """None for what was sealed with another key, or tampered with. A seal that cannot say now raises OSError."""
    try:
        return seal.decrypt(token)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - every library has an error of its own for it
        return None


class Sealing:
    def __init__(self, seal: Seal, key: bytes) -> None:
        self._seal, self._key = seal, key

    def word(self, column: str, said: str) -> str:
        """A name as it rests. One that is a digest already is told as it is, so that such a record can be dropped."""
        if said.startswith(MARK):
            return said
        return MARK + hmac.digest(self._key, f"{column}\0{said}".encode(), hashlib.sha256).hex()

    def closed(self, record: Record) -> Record:
        head = json.dumps([record.kind, record.account, record.guest, record.name]).encode()
        data = self._seal.encrypt(head + b"\n" + record.data)
        return Record(record.kind, *self._words(record.account, record.guest, record.name), data)

    def opened(self, resting: Record) -> Record | None:
        """None for what does not open, or says that it is another record."""
        told = decrypted(self._seal, resting.data)
        if told is None:
            return None
        head, _, data = told.partition(b"\n")
        kind, account, guest, name = json.loads(head)
        place = (resting.kind, resting.account, resting.guest, resting.name)
        return Record(kind, account, guest, name, data) if (kind, *self._words(account, guest, name)) == place else None

    def _words(self, account: str, guest: str, name: str) -> tuple[str, str, str]:
        return self.word("account", account), self.word("guest", guest), self.word("name", name)


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)
