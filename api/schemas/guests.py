"""Shapes of a guest: who they are elsewhere, everything known about them by scope, what changed when."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import Field, with_config

from api.schemas.bodies import Body
from api.schemas.fields import ExternalId, Name, System
from api.schemas.preferences import FORBID, GUEST, Entered, Strength

IDENTIFIERS_MAX = 20


class IdentifierBody(Body):
    """How another system knows the guest."""

    system: System
    id: ExternalId


class GuestCreate(Body):
    """A new guest; identifiers must not name another guest yet."""

    display_name: Name = ""
    identifiers: Annotated[list[IdentifierBody], Field(max_length=IDENTIFIERS_MAX)] = []


class GuestPatch(Body):
    """What may be changed about the guest beside preferences."""

    display_name: Name


@with_config(FORBID)
class Identifier(TypedDict):
    system: str
    id: str


@with_config(FORBID)
class Consent(TypedDict):
    purpose: str
    granted_at: str
    actor: str
    surface: str
    expires_at: NotRequired[str]
    receipt: NotRequired[int]


@with_config(FORBID)
class Erased(TypedDict):
    """What went with a withdrawn consent, and the version of the receipt that says so."""

    purpose: str
    keys: list[str]
    entries: int
    waiting: int
    receipt: int | None


@with_config(FORBID)
class LetIn(TypedDict):
    """Imported values that waited for a consent: `keys` are entries now, `dropped` the catalogue takes no more."""

    keys: list[str]
    dropped: list[str]


@with_config(FORBID)
class Provenance(TypedDict):
    kind: str
    actor: str
    surface: str
    at: str
    source: NotRequired[str]


@with_config(FORBID)
class Entry(TypedDict):
    """One thing known; where consent to see it is missing, or the ledger cannot record who would, `status` says so
    instead of value and strength."""

    id: str
    scope: str
    status: NotRequired[Literal["withheld_no_consent", "withheld_no_record"]]
    value: NotRequired[Any]
    unit: NotRequired[str]
    entered: NotRequired[Entered]
    strength: NotRequired[Strength]
    context: NotRequired[dict[str, str]]
    provenance: Provenance
    version: int
    expires_at: NotRequired[str]


@with_config(FORBID)
class Guest(TypedDict):
    """The full document; of it, staff and devices get what their surface may see."""

    guest: str
    version: int
    display_name: str | None
    identifiers: NotRequired[list[Identifier]]
    consents: NotRequired[list[Consent]]
    effective_by: NotRequired[str]
    erased: NotRequired[Erased]
    imported: NotRequired[LetIn]
    declined: NotRequired[int]
    entries: dict[str, dict[str, list[Entry]]]


@with_config(FORBID)
class KeyChange(TypedDict):
    key: str
    before: list[Entry]
    after: list[Entry]


@with_config(FORBID)
class Change(TypedDict):
    """One accepted write."""

    version: int
    at: str
    actor: str
    role: str
    surface: str
    action: str
    note: str
    keys: list[KeyChange]


@with_config(FORBID)
class History(TypedDict):
    changes: list[Change]
    next_cursor: str | None


CREATE_EXAMPLE: dict[str, Any] = {
    "display_name": "Ana Torres",
    "identifiers": [{"system": "loyalty", "id": "881234567"}],
}
PROFILE_EXAMPLE: dict[str, Any] = {"display_name": "Ana Torres"}
_ENTRY_EXAMPLE: dict[str, Any] = {
    "id": "prf_0199d0f0c1a27cc0a4c3f1f2b6a7d00a",
    "scope": "profile",
    "value": 20.0,
    "unit": "Cel",
    "entered": {"value": 68, "unit": "[degF]"},
    "strength": "preferred",
    "provenance": {"kind": "stated", "actor": GUEST, "surface": "guest_app", "at": "2026-11-20T09:30:00Z"},
    "version": 2,
}
GUEST_EXAMPLE: dict[str, Any] = {
    "guest": GUEST,
    "version": 2,
    "display_name": "Ana Torres",
    "identifiers": [{"system": "loyalty", "id": "881234567"}],
    "consents": [],
    "entries": {"profile": {"climate.temperature.occupied": [_ENTRY_EXAMPLE]}},
}
HISTORY_EXAMPLE: dict[str, Any] = {
    "changes": [
        {
            "version": 2,
            "at": "2026-11-20T09:30:00Z",
            "actor": GUEST,
            "role": "guest",
            "surface": "guest_app",
            "action": "edit",
            "note": "",
            "keys": [{"key": "climate.temperature.occupied", "before": [], "after": [_ENTRY_EXAMPLE]}],
        }
    ],
    "next_cursor": None,
}
