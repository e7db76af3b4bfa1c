"""Shapes of letting somebody in: the OAuth documents of RFC 6749, 8414 and 8628, devices, stay links, revocations."""

import re
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import Field, StringConstraints, with_config

from api.schemas.bodies import Body
from api.schemas.fields import Id
from api.schemas.preferences import FORBID, GUEST
from prefs.core.catalogue import DEVICE_SURFACES
from prefs.core.enrolment import NAME_LENGTH_MAX

GRANT_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_REFRESH = "refresh_token"
CODE_LENGTH_MAX = 200
NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{NAME_LENGTH_MAX - 1}}}$"

NAME = re.compile(NAME_PATTERN)

ASK_SCHEMA: dict[str, Any] = {
    "title": "DeviceAuthorizationRequest",
    "description": "RFC 8628 section 3.1; the scope is the surface that the device is.",
    "type": "object",
    "properties": {
        "client_id": {"type": "string", "pattern": NAME_PATTERN, "description": "What the device calls itself."},
        "scope": {"enum": list(DEVICE_SURFACES)},
    },
    "required": ["client_id", "scope"],  # what is not known here is ignored (RFC 6749 section 3.2)
}
TOKEN_SCHEMA: dict[str, Any] = {
    "title": "TokenRequest",
    "description": "RFC 8628 section 3.4, or a refresh; with a proof in the header DPoP (RFC 9449).",
    "type": "object",
    "properties": {
        "grant_type": {"enum": [GRANT_DEVICE_CODE, GRANT_REFRESH]},
        "client_id": {"type": "string", "pattern": NAME_PATTERN},
        "device_code": {"type": "string", "maxLength": CODE_LENGTH_MAX},
        "refresh_token": {"type": "string", "maxLength": CODE_LENGTH_MAX},
    },
    "required": ["grant_type", "client_id"],
}


@with_config(FORBID)
class ServerMetadata(TypedDict):
    """RFC 8414."""

    issuer: str
    token_endpoint: str
    device_authorization_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    dpop_signing_alg_values_supported: list[str]


@with_config(FORBID)
class KeySet(TypedDict):
    """RFC 7517: public keys."""

    keys: list[dict[str, Any]]


@with_config(FORBID)
class DeviceAuthorization(TypedDict):
    """RFC 8628 section 3.2."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


@with_config(FORBID)
class Token(TypedDict):
    """RFC 6749 section 5.1. `refresh_token` comes with the first token of a device and stays the same."""

    access_token: str
    token_type: Literal["DPoP", "Bearer"]
    expires_in: int
    scope: str
    refresh_token: NotRequired[str]


@with_config(FORBID)
class OAuthError(TypedDict):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str


class GrantDecision(Body):
    """Whether a device is let in, and at which property."""

    property: Id
    approve: bool = Field(description="False refuses it.")


@with_config(FORBID)
class DeviceGrant(TypedDict):
    """What a device has asked for; `property` once it was decided."""

    name: str
    surface: str
    status: Literal["pending", "approved", "denied"]
    asked_at: str
    expires_at: str
    property: NotRequired[str]


@with_config(FORBID)
class Device(TypedDict):
    """`seen_at` is when it last asked for a token, to the hour."""

    id: str
    name: str
    surface: str
    property: str
    enrolled_at: str
    approved_by: str
    seen_at: str


@with_config(FORBID)
class Devices(TypedDict):
    devices: list[Device]
    next_cursor: NotRequired[str]


@with_config(FORBID)
class StayLink(TypedDict):
    """`code` is told this once. Put it behind the # of your guest page's address, which servers do not log."""

    link: str
    code: str
    stay: str
    expires_at: str


class LinkCode(Body):
    """The code of a stay link."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=CODE_LENGTH_MAX)]


@with_config(FORBID)
class GuestToken(TypedDict):
    """A token for one stay; it ends with the stay at the latest."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    guest: str
    stay: str
    property: str


class RevocationPut(Body):
    """What to take back: a token by its `jti`, all tokens of a subject so far, a device, a stay link."""

    kind: Literal["token", "subject", "device", "link"]
    value: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


@with_config(FORBID)
class Revocation(TypedDict):
    """`effective_by`: from then on no process takes it any more."""

    kind: Literal["token", "subject", "device", "link"]
    value: str
    at: str
    effective_by: str


ASK_EXAMPLE = {"client_id": "thermostat-1204", "scope": "thermostat"}
ASKED_EXAMPLE = {
    "device_code": "5d41402abc4b2a76.kZ0",
    "user_code": "WDJB-MJHT",
    "verification_uri": "prefs.hotel.example/device",
    "verification_uri_complete": "prefs.hotel.example/device?user_code=WDJB-MJHT",
    "expires_in": 600,
    "interval": 5,
}
TOKEN_BODY_EXAMPLE = {
    "grant_type": GRANT_DEVICE_CODE,
    "client_id": "thermostat-1204",
    "device_code": ASKED_EXAMPLE["device_code"],
}
TOKEN_EXAMPLE = {
    "access_token": "eyJ0eXAiOiJhdCtqd3Qi...",
    "token_type": "DPoP",
    "expires_in": 600,
    "scope": "thermostat",
    "refresh_token": "dev_019b76daa800751c8f92d01d6a5d5f66.kZ0",
}
ERROR_EXAMPLE = {"error": "authorization_pending", "error_description": "Nobody has decided yet; ask again."}
METADATA_EXAMPLE = {
    "issuer": "prefs.hotel.example",
    "token_endpoint": "prefs.hotel.example/oauth/token",
    "device_authorization_endpoint": "prefs.hotel.example/oauth/device_authorization",
    "jwks_uri": "prefs.hotel.example/oauth/keys",
    "scopes_supported": list(DEVICE_SURFACES),
    "response_types_supported": [],
    "grant_types_supported": [GRANT_DEVICE_CODE, GRANT_REFRESH],
    "token_endpoint_auth_methods_supported": ["none"],
    "dpop_signing_alg_values_supported": ["Ed25519", "ES256", "RS256"],
}
KEYS_EXAMPLE: dict[str, Any] = {
    "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAY...", "kid": "1", "alg": "Ed25519"}]
}
GRANT_EXAMPLE = {
    "name": "thermostat-1204",
    "surface": "thermostat",
    "status": "pending",
    "asked_at": "2026-11-22T10:00:00Z",
    "expires_at": "2026-11-22T10:10:00Z",
}
DECISION_EXAMPLE = {"property": "dallas", "approve": True}
DECIDED_EXAMPLE = GRANT_EXAMPLE | {"status": "approved", "property": "dallas"}
DEVICES_EXAMPLE = {
    "devices": [
        {
            "id": "dev_019b76daa800751c8f92d01d6a5d5f66",
            "name": "thermostat-1204",
            "surface": "thermostat",
            "property": "dallas",
            "enrolled_at": "2026-11-22T10:01:00Z",
            "approved_by": "engineer-7",
            "seen_at": "2026-11-22T10:01:00Z",
        }
    ]
}
LINK_EXAMPLE = {
    "link": "lnk_019b76daa800751c8f92d01d6a5d5f66",
    "code": "lnk_019b76daa800751c8f92d01d6a5d5f66.kZ0",
    "stay": "R-88123",
    "expires_at": "2026-11-25T17:00:00Z",
}
ENTERED_EXAMPLE = {
    "access_token": "eyJ0eXAiOiJhdCtqd3Qi...",
    "token_type": "Bearer",
    "expires_in": 259200,
    "guest": GUEST,
    "stay": "R-88123",
    "property": "dallas",
}
REVOCATION_EXAMPLE = {"kind": "subject", "value": "staff-7"}
REVOKED_EXAMPLE = REVOCATION_EXAMPLE | {"at": "2026-11-22T10:00:00Z", "effective_by": "2026-11-22T10:01:00Z"}
