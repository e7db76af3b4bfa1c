"""Shapes of what a guest may ask of those who keep their data: all of it, its erasure, and the proof of that."""

from typing import Any, NotRequired, TypedDict

from pydantic import TypeAdapter, with_config

from api.schemas.accesses import Access
from api.schemas.bodies import Body
from api.schemas.consents import ConsentReceipt
from api.schemas.guests import Change, Consent, Entry, Identifier
from api.schemas.preferences import FORBID, GUEST
from api.schemas.stays import STAY_EXAMPLE, Stay


@with_config(FORBID)
class ExportedEntry(Entry):
    """One thing known, with its key, and the stay of what was pressed."""

    key: str
    stay: NotRequired[str]


@with_config(FORBID)
class ExportedWaiting(TypedDict):
    """What another system told and no consent covers yet; `member` is what it told, for the guest alone."""

    id: str
    purpose: str
    key: str
    scope: str
    source: str
    at: str
    expires_at: str
    member: NotRequired[Any]


@with_config(FORBID)
class ExportedPreferences(TypedDict):
    """By how it is known: said by the guest, noticed by staff, told by another system, guessed."""

    stated: list[ExportedEntry]
    observed: list[ExportedEntry]
    imported: list[ExportedEntry]
    inferred: list[ExportedEntry]


GuestExport = TypedDict(  # in this form, since one member is no name
    "GuestExport",
    {
        "$schema": str,
        "guest": str,
        "exported_at": str,
        "version": int,
        "display_name": str | None,
        "created_at": str | None,
        "updated_at": str | None,
        "identifiers": list[Identifier],
        "consents": list[Consent],
        "consent_receipts": list[ConsentReceipt],
        "waiting": list[ExportedWaiting],
        "preferences": ExportedPreferences,
        "live": list[ExportedEntry],
        "stays": list[Stay],
        "history": list[Change],
        "access_log": list[Access],
    },
)
GuestExport.__pydantic_config__ = FORBID  # type: ignore[attr-defined]


class PersonalisationBody(Body):
    """Whether what was noticed or guessed about the guest may be used."""

    enabled: bool


@with_config(FORBID)
class Personalisation(TypedDict):
    guest: str
    version: int
    enabled: bool
    effective_by: NotRequired[str]


@with_config(FORBID)
class EntryDeleted(TypedDict):
    guest: str
    version: int
    entry: str
    key: str


@with_config(FORBID)
class Copies(TypedDict):
    """`everywhere`: no process can tell the data any more. If not, that holds from `gone_by`."""

    everywhere: bool
    gone_by: str


@with_config(FORBID)
class ErasureReceipt(TypedDict):
    """What was erased, counted by place. `subject` is `sha256:` and the SHA-256 of receipt, `|` and the guest's id;
    `signed` is all the rest as a compact JWS."""

    schema: str
    issuer: str
    receipt: str
    subject: str
    erased_at: str
    places: dict[str, int]
    copies: Copies
    signed: str


@with_config(FORBID)
class PublicKey(TypedDict):
    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


@with_config(FORBID)
class PublicKeys(TypedDict):
    keys: list[PublicKey]


SCHEMAS: dict[str, tuple[str, Any]] = {
    "guest-export.json": ("A guest's data", GuestExport),
    "erasure-receipt.json": ("A receipt of erasure", ErasureReceipt),
}


def schema_document(name: str) -> dict[str, Any]:
    """The JSON Schema published under this name. Raises KeyError."""
    title, shape = SCHEMAS[name]
    described = TypeAdapter(shape).json_schema()
    dialect = "https:" + "//json-schema.org/draft/2020-12/schema"
    return {**described, "$schema": dialect, "$id": f"/schemas/{name}", "title": title}


_ENTRY_EXAMPLE: dict[str, Any] = {
    "key": "climate.temperature.occupied",
    "id": "prf_0199d0f0c1a27cc0a4c3f1f2b6a7d00a",
    "scope": "profile",
    "value": 20.0,
    "unit": "Cel",
    "strength": "preferred",
    "provenance": {"kind": "stated", "actor": GUEST, "surface": "guest_app", "at": "2026-11-20T09:30:00Z"},
    "version": 2,
}
EXPORT_EXAMPLE: dict[str, Any] = {
    "$schema": "/schemas/guest-export.json",
    "guest": GUEST,
    "exported_at": "2026-11-22T10:00:00Z",
    "version": 2,
    "display_name": "Ana Torres",
    "created_at": "2026-11-20T09:00:00Z",
    "updated_at": "2026-11-20T09:30:00Z",
    "identifiers": [{"system": "loyalty", "id": "881234567"}],
    "consents": [],
    "consent_receipts": [],
    "waiting": [],
    "preferences": {"stated": [_ENTRY_EXAMPLE], "observed": [], "imported": [], "inferred": []},
    "live": [],
    "stays": [STAY_EXAMPLE],
    "history": [],
    "access_log": [],
}
RECEIPT_EXAMPLE: dict[str, Any] = {
    "schema": "/schemas/erasure-receipt.json",
    "issuer": "guestprefs",
    "receipt": "rcp_0199d0f0c1a27cc0a4c3f1f2b6a7d0cc",
    "subject": "sha256:0c6f6ad5dd2b8ab28ba9cd9c0f6d4a0dd6d3e2a1b51a3d2b5be31c3f3b6f9a10",
    "erased_at": "2026-11-22T10:00:00Z",
    "places": {
        "change": 4,
        "consent": 1,
        "entry": 3,
        "guest": 1,
        "idempotency": 2,
        "identifier": 1,
        "live": 0,
        "stay": 1,
    },
    "copies": {"everywhere": True, "gone_by": "2026-11-22T10:00:00Z"},
    "signed": "eyJhbGciOiJFZDI1NTE5In0.e30.c2lnbmF0dXJl",
}
KEYS_EXAMPLE: dict[str, Any] = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "0199d0f0c1a27cc0a4c3f1f2b6a7d0dd",
            "use": "sig",
            "alg": "Ed25519",
        }
    ]
}
PERSONALISATION_EXAMPLE: dict[str, Any] = {"guest": GUEST, "version": 3, "enabled": False}
DELETED_EXAMPLE: dict[str, Any] = {
    "guest": GUEST,
    "version": 3,
    "entry": "prf_0199d0f0c1a27cc0a4c3f1f2b6a7d00a",
    "key": "room.quiet",
}
