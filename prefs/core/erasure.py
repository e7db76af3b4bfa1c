"""What stays of an erased guest: a tombstone that names nobody, and the receipt that says what was erased where.

A tombstone knows its guest by a keyed digest of the id. Whoever holds the key can tell of a given id whether it was
erased, which is what keeps a restored backup from bringing anybody back; nobody can tell ids from tombstones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefs.core.patches import write_instant

RECEIPT_SCHEMA = "/schemas/erasure-receipt.json"
RECEIPT_TYPE = "erasure-receipt+jws"
DIGEST_BYTES = 20


@dataclass(frozen=True, slots=True)
class Tombstone:
    """`places` counts what was erased, by place; `request` tells a repeat of the same request from a second one;
    `signed` is the receipt as it was given out, empty until then."""

    digest: str
    at: datetime
    receipt: str
    places: Mapping[str, int] = field(default_factory=dict)
    request: str = ""
    signed: str = ""


def digest_of(key: bytes, guest: str) -> str:
    return hashlib.blake2b(guest.encode(), key=key, digest_size=DIGEST_BYTES, person=b"tombstone").hexdigest()


def subject_of(receipt: str, guest: str) -> str:
    """Whom a receipt is about, for whoever knows the guest's id; the same guest never has it twice."""
    return "sha256:" + hashlib.sha256(f"{receipt}|{guest}".encode()).hexdigest()


def receipt_of(tombstone: Tombstone, guest: str, issuer: str, *, everywhere: bool, gone_by: datetime) -> dict[str, Any]:
    """What is signed and told. `everywhere`: no process can tell the data any more; else that holds from `gone_by`."""
    return {
        "schema": RECEIPT_SCHEMA,
        "issuer": issuer,
        "receipt": tombstone.receipt,
        "subject": subject_of(tombstone.receipt, guest),
        "erased_at": write_instant(tombstone.at),
        "places": dict(sorted(tombstone.places.items())),
        "copies": {"everywhere": everywhere, "gone_by": write_instant(gone_by)},
    }
