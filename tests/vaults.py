"""Vaults for tests: real ones, whose wrapping keys the test names itself."""

from __future__ import annotations

from hashlib import sha256

from prefs.vault.envelope import Envelope
from prefs.vault.keys import WrappingKey, write
from prefs.vault.providers import EnvironmentProvider


def wrapping_key(id: str = "kek_test") -> WrappingKey:
    return WrappingKey(id, sha256(id.encode()).digest())


def vault(*ids: str, sealing: bool = True) -> Envelope:
    """A vault with these wrapping keys, the newest first; the same ids make vaults that open for each other."""
    keys = [wrapping_key(id) for id in ids or ("kek_test",)]
    return Envelope(EnvironmentProvider("the test", write(keys)), sealing=sealing)
