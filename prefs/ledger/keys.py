"""The ledger's secrets, all from one seed: a key that signs, one that chains, and one that hides names."""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SEED_BYTES = 32


class LedgerKeys:
    """Whoever has none of them can neither add a record that fits nor tell whose records a pseudonym's are."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"the ledger's key needs {SEED_BYTES} bytes")
        self.chain, self._names, signing = (_derived(seed, use) for use in (b"chain", b"names", b"checkpoints"))
        self.signing: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(signing)
        self.verifying: Ed25519PublicKey = self.signing.public_key()

    def digest(self, guest: str) -> str:
        """What a guest's name is filed under."""
        return self._mac(b"guest", guest)

    def digest_of_forgotten(self, pseudonym: str) -> str:
        """What a pseudonym is filed under that stands for nobody any more."""
        return self._mac(b"forgotten", pseudonym)

    def mac(self, digest: str, guest: str, pseudonym: str) -> str:
        return self._mac(b"name", digest, guest, pseudonym)

    def _mac(self, *parts: str | bytes) -> str:
        told = b"\0".join(part if isinstance(part, bytes) else part.encode() for part in parts)
        return hmac.digest(self._names, told, "sha256").hex()


def _derived(seed: bytes, use: bytes) -> bytes:
    return hmac.digest(seed, b"guestprefs ledger " + use, hashlib.sha256)
