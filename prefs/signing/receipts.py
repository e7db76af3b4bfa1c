"""ADAPTER: signed receipts, and the names tombstones go by.

One file holds both keys: an Ed25519 key that signs (the first of them signs, all are published, so a new one is put in
front of the old), and a secret under which an erased guest is known. Without that secret no backup could be kept from
bringing erased guests back, so it stays as long as there are tombstones.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, OKPKey
from uuid_utils import uuid7

from prefs.core.erasure import digest_of
from prefs.core.errors import Unavailable

ALGORITHM: Literal["Ed25519"] = "Ed25519"
SECRET_BYTES = 32
_SECRET = "tombstones"


class ReceiptInvalid(ValueError):
    """A receipt that was not signed by these keys, or was changed since; says which."""


class SigningKeys:
    """Raises ValueError for a key set without an Ed25519 private key or without the secret."""

    def __init__(self, keys: KeySet) -> None:
        secret = next((key for key in keys.keys if isinstance(key, OctKey) and key.kid == _SECRET), None)
        self._signing = [key for key in keys.keys if isinstance(key, OKPKey) and key.curve_name == ALGORITHM]
        if secret is None or not self._signing or not self._signing[0].is_private:
            raise ValueError(f"an Ed25519 private key and a secret of the id {_SECRET} are expected")
        self._secret = secret.raw_value
        self._keys = keys

    @classmethod
    def make(cls) -> Self:
        signing = OKPKey.generate_key(ALGORITHM, {"kid": uuid7().hex, "use": "sig", "alg": ALGORITHM})
        return cls(KeySet([signing, OctKey.generate_key(8 * SECRET_BYTES, {"kid": _SECRET})]))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises Unavailable in words for a file that cannot be read or is no such key set."""
        try:
            return cls(KeySet.import_key_set(json.loads(path.read_text(encoding="ascii"))))
        except OSError as error:
            raise Unavailable(f"The receipt keys {path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, JoseError) as error:
            raise Unavailable(f"{path} does not hold receipt keys: {error}.") from error

    @classmethod
    def open(cls, path: Path) -> Self:
        """From their file, which is made on the first call, by whichever process is first."""
        if not path.exists():
            text = json.dumps(cls.make()._keys.as_dict(private=True), indent=2) + "\n"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as made:  # its owner's alone
                    made.write(text.encode())
                    made.flush()
                    os.fsync(made.fileno())
                    with suppress(FileExistsError):
                        os.link(made.name, path)
            except OSError as error:
                raise Unavailable(f"The receipt keys {path} cannot be made: {error.strerror}.") from error
        return cls.read(path)

    def sign(self, kind: str, body: Mapping[str, Any]) -> str:
        key = self._signing[0]
        header = {"alg": ALGORITHM, "typ": kind, "kid": key.kid}
        return jws.serialize_compact(header, json.dumps(body, sort_keys=True), key, algorithms=[ALGORITHM])

    def digest(self, guest: str) -> str:
        return digest_of(self._secret, guest)

    def published(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in self._signing]}


def verify_receipt(signed: str, published: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a receipt says, if one of these public keys signed it as a receipt of this kind. Raises ReceiptInvalid."""
    try:
        keys = KeySet.import_key_set(dict(published))  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, JoseError) as error:
        raise ReceiptInvalid("what should be the published keys is no JWK set") from error
    try:
        found = jws.deserialize_compact(signed, keys, algorithms=[ALGORITHM])
        body = json.loads(found.payload)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ReceiptInvalid("it was not signed by these keys, or was changed since") from error
    if found.headers().get("typ") != kind or not isinstance(body, dict):
        raise ReceiptInvalid("it is signed, but is no receipt of this kind")
    return body
