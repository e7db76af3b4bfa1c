"""Shapes of consents: their state by purpose, receipts, invitations, and imported values that wait."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import Field, StringConstraints, with_config

from api.schemas.bodies import Body
from api.schemas.preferences import FORBID, GUEST

Purpose = Literal["room_setup", "service_delivery", "food_safety", "safety_evacuation", "ui_adaptation"]
Method = Literal["app", "kiosk", "paper", "telephone", "relayed"]
REFERENCE = r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,79}$"


class ConsentGiven(Body):
    """How the guest said yes. Guests need none of it; staff say method paper and where the signed form is filed."""

    method: Method | None = None
    reference: Annotated[str, StringConstraints(pattern=REFERENCE)] | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    notice_version: Annotated[str, StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}$")] | None = None


class InvitationMade(Body):
    """Which consent the guest is asked for, and for which keys; never a value."""

    purpose: Purpose
    keys: Annotated[list[Annotated[str, Field(max_length=120)]], Field(min_length=1, max_length=50)]


class InvitationReply(Body):
    answer: Literal["accept", "decline"]


@with_config(FORBID)
class Withdrawal(TypedDict):
    """What a withdrawal would erase now. Erased values cannot be brought back."""

    keys: list[str]
    entries: int
    final: bool


@with_config(FORBID)
class ConsentState(TypedDict):
    """`ask_again`: it has ended, or the notice has a new major version; `waiting`: imported values that need it."""

    purpose: str
    status: Literal["none", "granted", "expired", "withdrawn", "denied"]
    ask_again: bool
    covers: list[str]
    receipts: list[int]
    waiting: int
    withdrawal: Withdrawal
    granted_at: NotRequired[str]
    expires_at: NotRequired[str]
    notice_version: NotRequired[str]
    method: NotRequired[str]


@with_config(FORBID)
class GuestConsentState(ConsentState):
    guest: str


@with_config(FORBID)
class ConsentStates(TypedDict):
    guest: str
    consents: list[ConsentState]


@with_config(FORBID)
class ReceiptNotice(TypedDict):
    id: str
    version: str
    url: str


@with_config(FORBID)
class ReceiptController(TypedDict):
    name: str
    contact: str


@with_config(FORBID)
class ReceiptProcessing(TypedDict):
    """What is processed, for what, on what basis, who gets it, and the call that withdraws the consent."""

    purpose: str
    description: str
    lawful_basis: str
    data_categories: list[str]
    keys: list[str]
    recipients: list[str]
    storage: str
    withdrawal: str


@with_config(FORBID)
class ReceiptEvent(TypedDict):
    status: Literal["granted", "renewed", "denied", "withdrawn"]
    at: str
    method: str
    source: str
    actor: str
    surface: str
    reference: str
    expires_at: str | None
    erased_keys: int


@with_config(FORBID)
class ConsentReceipt(TypedDict):
    """One version of the record of a consent, in the shape of ISO/IEC TS 27560:2023."""

    schema_version: str
    record_id: str
    version: int
    pii_principal_id: str
    language: str
    notice: ReceiptNotice
    controller: ReceiptController
    jurisdiction: str
    processing: ReceiptProcessing
    event: ReceiptEvent


@with_config(FORBID)
class Invitation(TypedDict):
    id: str
    purpose: str
    keys: list[str]
    property: str | None
    actor: str
    surface: str
    at: str
    expires_at: str
    status: Literal["open", "accepted", "declined", "expired"]
    answered_at: NotRequired[str]


@with_config(FORBID)
class Invitations(TypedDict):
    guest: str
    invitations: list[Invitation]


@with_config(FORBID)
class WaitingValue(TypedDict):
    """An imported value that waits for a consent; `value` is there for the guest in their own app alone."""

    id: str
    purpose: str
    key: str
    scope: str
    source: str
    imported_at: str
    expires_at: str
    value: NotRequired[Any]


@with_config(FORBID)
class WaitingValues(TypedDict):
    guest: str
    items: list[WaitingValue]


GIVEN_EXAMPLE: dict[str, Any] = {"language": "en", "notice_version": "1.0"}
STATE_EXAMPLE: dict[str, Any] = {
    "purpose": "food_safety",
    "status": "granted",
    "ask_again": False,
    "covers": ["food.diet", "food.allergens"],
    "receipts": [1],
    "waiting": 0,
    "withdrawal": {"keys": ["food.allergens"], "entries": 1, "final": True},
    "granted_at": "2026-11-20T09:30:00Z",
    "expires_at": "2028-11-19T09:30:00Z",
    "notice_version": "1.0",
    "method": "app",
}
STATES_EXAMPLE: dict[str, Any] = {"guest": GUEST, "consents": [STATE_EXAMPLE]}
GUEST_STATE_EXAMPLE: dict[str, Any] = {"guest": GUEST, **STATE_EXAMPLE}
RECEIPT_EXAMPLE: dict[str, Any] = {
    "schema_version": "ISO/IEC TS 27560:2023, guestprefs 1",
    "record_id": "cns_0199d0f0c1a27cc0a4c3f1f2b6a7d00b",
    "version": 1,
    "pii_principal_id": GUEST,
    "language": "en",
    "notice": {"id": "privacy-notice", "version": "1.0", "url": ""},
    "controller": {"name": "Lumen Hotels", "contact": "privacy@lumen.example"},
    "jurisdiction": "EU",
    "processing": {
        "purpose": "food_safety",
        "description": "Keeping food and drink safe for the guest.",
        "lawful_basis": "Consent: GDPR Article 6(1)(a) and, for special categories of data, Article 9(2)(a).",
        "data_categories": ["food"],
        "keys": ["food.allergens", "food.diet"],
        "recipients": ["food", "front_desk", "guest_app"],
        "storage": "Until it is withdrawn or erased; used until it ends.",
        "withdrawal": f"DELETE /v1/guests/{GUEST}/consents/food_safety",
    },
    "event": {
        "status": "granted",
        "at": "2026-11-20T09:30:00Z",
        "method": "app",
        "source": "guest",
        "actor": GUEST,
        "surface": "guest_app",
        "reference": "",
        "expires_at": "2028-11-19T09:30:00Z",
        "erased_keys": 0,
    },
}
INVITED_EXAMPLE: dict[str, Any] = {"purpose": "food_safety", "keys": ["food.allergens"]}
INVITATION_EXAMPLE: dict[str, Any] = {
    "id": "inv_0199d0f0c1a27cc0a4c3f1f2b6a7d00c",
    **INVITED_EXAMPLE,
    "property": "dallas",
    "actor": "staff-17",
    "surface": "front_desk",
    "at": "2026-11-20T09:30:00Z",
    "expires_at": "2026-12-04T09:30:00Z",
    "status": "open",
}
INVITATIONS_EXAMPLE: dict[str, Any] = {"guest": GUEST, "invitations": [INVITATION_EXAMPLE]}
REPLY_EXAMPLE: dict[str, Any] = {"answer": "accept"}
WAITING_EXAMPLE: dict[str, Any] = {
    "guest": GUEST,
    "items": [
        {
            "id": "imp_0199d0f0c1a27cc0a4c3f1f2b6a7d00d",
            "purpose": "food_safety",
            "key": "food.allergens",
            "scope": "profile",
            "source": "pms",
            "imported_at": "2026-11-20T09:30:00Z",
            "expires_at": "2026-12-20T09:30:00Z",
            "value": [{"code": "peanuts"}],
        }
    ],
}
