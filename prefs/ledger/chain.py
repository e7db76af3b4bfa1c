"""How one record follows from the one before: a keyed hash over all of its fields and the hash before it.

Keyed, so that whoever can write to the database but has no key cannot append a record either, not even past the last
checkpoint.
"""

import hmac
from collections.abc import Sequence
from typing import Any

import orjson

GENESIS = "0" * 64  # what the first record of a chain follows


def link(key: bytes, previous: str, fields: Sequence[Any]) -> str:
    """The hash of a record; `fields` are all of `Chained` but the last."""
    return hmac.digest(key, previous.encode() + orjson.dumps(fields), "sha256").hex()
