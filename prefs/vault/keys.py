"""Wrapping keys as they are written in a file, a variable or the output of a command: `{"keys": [{"id", "key"}]}`.

The first one wraps, all of them unwrap. A key that was added in front is a rotation begun; one that wraps nothing any
more may be taken away.
"""

import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class WrappingKey:
    id: str
    secret: bytes = field(repr=False)

    @property
    def proof(self) -> str:
        """Tells whether another key of this id is the same key, and nothing about the key."""
        return hmac.new(self.secret, b"guestprefs wrapping key\0" + self.id.encode(), sha256).hexdigest()[:32]


def new_key() -> WrappingKey:
    return WrappingKey(f"kek_{secrets.token_hex(6)}", secrets.token_bytes(KEY_BYTES))


def write(keys: Sequence[WrappingKey]) -> str:
    return json.dumps({"keys": [{"id": key.id, "key": key.secret.hex()} for key in keys]}, indent=1) + "\n"


def read(text: str, where: str) -> list[WrappingKey]:
    """Raises ValueError with a sentence that says what is wrong, never what the keys are."""
    try:
        listed = json.loads(text)["keys"]
        found = [WrappingKey(entry["id"], bytes.fromhex(entry["key"])) for entry in listed]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{where} must hold {{"keys": [{{"id": "...", "key": "64 hexadecimal digits"}}]}}') from None
    if not found:
        raise ValueError(f"{where} holds no wrapping key")
    for key in found:
        if not _ID.fullmatch(key.id):
            raise ValueError(f"{where}: an id of a wrapping key has letters, digits, dots, dashes or underscores")
        if len(key.secret) != KEY_BYTES:
            raise ValueError(f"{where}: the wrapping key {key.id} must have {2 * KEY_BYTES} hexadecimal digits")
    if len({key.id for key in found}) != len(found):
        raise ValueError(f"{where}: two wrapping keys have one id")
    return found
