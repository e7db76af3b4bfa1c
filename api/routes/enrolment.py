"""Letting in whom no provider knows: devices by RFC 8628 with tokens bound to their keys, guests by a stay link.

The OAuth calls speak OAuth: forms in, its own error documents out. Nobody who calls here has a token yet.
"""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response

from api.deps import DevicesDep, House, LinksDep, base_of, body_of, proof_of
from api.dpop import Proofs
from api.keys import ALGORITHMS
from api.routes.pages import DEVICE_PAGE
from api.schemas import enrolment as shapes
from api.schemas.document import answers, takes
from api.schemas.strict_json import write
from api.tokens import DEVICE_TOKEN_LASTS, Signer
from prefs.core.catalogue import DEVICE_SURFACES
from prefs.core.enrolment import Poll
from prefs.core.errors import Unauthenticated
from prefs.services.devices import Enrolled

router = APIRouter(tags=["enrolment"])

FORM = "application/x-www-form-urlencoded"
NO_STORE = {"cache-control": "no-store"}
_SAID = {
    Poll.PENDING: "Nobody has decided yet; ask again after the interval.",
    Poll.SLOW_DOWN: "Asked too soon; wait five seconds longer each time from now on.",
    Poll.DENIED: "The property does not let this device in.",
    Poll.EXPIRED: "The code has expired; ask for a new one.",
    Poll.INVALID: "The code or refresh token is not known, was used, or is another client's or key's.",
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {**answers(shapes.ERROR_EXAMPLE, 400, "Refused, as RFC 6749 and 8628 say.")[400], "model": shapes.OAuthError}
}


class OAuthRefused(Exception):
    """A refusal in the words of OAuth."""

    def __init__(self, error: str, description: str) -> None:
        self.error, self.description = error, description
        super().__init__(description)


async def on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthRefused)
    return _json({"error": error.error, "error_description": error.description}, 400)


def _json(body: Any, status: int = 200) -> Response:
    return Response(write(body), status, NO_STORE, "application/json")


async def read_form(request: Request) -> dict[str, str]:
    """The members of a form, each once and none empty (RFC 6749 section 3.2). Raises OAuthRefused."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        pairs = parse_qsl((await request.body()).decode("utf-8"), max_num_fields=20, strict_parsing=True)
    except ValueError:
        pairs = []
    form = dict(pairs)
    if media != FORM or not pairs or len(form) != len(pairs):
        raise OAuthRefused("invalid_request", f"The body must be {FORM} with each parameter once.")
    return form


FormDep = Annotated[dict[str, str], Depends(read_form)]


def _member(form: dict[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value or len(value) > shapes.CODE_LENGTH_MAX or not value.isascii() or not value.isprintable():
        raise OAuthRefused("invalid_request", f"The parameter {name} is missing, too long or not plain text.")
    return value


def _client(form: dict[str, str]) -> str:
    name = _member(form, "client_id")
    if not shapes.NAME.fullmatch(name):
        raise OAuthRefused("invalid_request", "The client_id is up to 100 letters, digits and _ . : - .")
    return name


async def _thumbprint(request: Request, house: Any) -> str:
    """The key that this request is proved with; its proof is used up."""
    proofs: Proofs = request.app.state.proofs
    try:
        return await proofs.use(proof_of(request), "", None, house.clock.now().timestamp())
    except Unauthenticated as error:
        raise OAuthRefused("invalid_dpop_proof", str(error)) from error


@router.get(
    "/.well-known/oauth-authorization-server",
    response_model=shapes.ServerMetadata,
    responses=answers(shapes.METADATA_EXAMPLE),
)
async def get_server_metadata(request: Request) -> Response:
    """What this authorization server for devices can do, and where (RFC 8414)."""
    base, issuer = base_of(request), request.app.state.issuer
    return _json(
        shapes.METADATA_EXAMPLE
        | {
            "issuer": issuer if "://" in issuer else base,
            "token_endpoint": f"{base}/oauth/token",
            "device_authorization_endpoint": f"{base}/oauth/device_authorization",
            "jwks_uri": f"{base}/oauth/keys",
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
        }
    )


@router.get("/oauth/keys", response_model=shapes.KeySet, responses=answers(shapes.KEYS_EXAMPLE))
async def get_keys(request: Request) -> Response:
    """The public keys of the tokens that are signed here."""
    signer: Signer = request.app.state.signer
    return _json({"keys": signer.public()})


@router.post(
    "/oauth/device_authorization",
    response_model=shapes.DeviceAuthorization,
    responses={**answers(shapes.ASKED_EXAMPLE), **_REFUSED},
    openapi_extra=takes("DeviceAuthorizationRequest", shapes.ASK_EXAMPLE, FORM),
)
async def authorize_device(request: Request, house: House, devices: DevicesDep, form: FormDep) -> Response:
    """A device asks to be let in, and shows the user code it gets to staff (RFC 8628). With a proof in the header DPoP
    only the proof's key can collect the token."""
    name, surface = _client(form), form.get("scope", "")
    if surface not in DEVICE_SURFACES:
        raise OAuthRefused("invalid_scope", "The scope is the device's surface: " + ", ".join(DEVICE_SURFACES))
    jkt = await _thumbprint(request, house) if "dpop" in request.headers else ""
    asked = await devices.ask(name, surface, jkt)
    where = request.app.state.device_page or base_of(request) + DEVICE_PAGE
    return _json(
        {
            "device_code": asked.device_code,
            "user_code": asked.user_code,
            "verification_uri": where,
            "verification_uri_complete": f"{where}{'&' if '?' in where else '?'}user_code={asked.user_code}",
            "expires_in": asked.expires_in,
            "interval": asked.interval,
        }
    )


@router.post(
    "/oauth/token",
    response_model=shapes.Token,
    responses={**answers(shapes.TOKEN_EXAMPLE), **_REFUSED},
    openapi_extra=takes("TokenRequest", shapes.TOKEN_BODY_EXAMPLE, FORM),
)
async def issue_token(request: Request, house: House, devices: DevicesDep, form: FormDep) -> Response:
    """A device collects its token, or a new one, and proves its key each time (RFC 8628, RFC 9449)."""
    name, grant = _client(form), _member(form, "grant_type")
    if grant == shapes.GRANT_DEVICE_CODE:
        code = _member(form, "device_code")
        told, enrolled = await devices.poll(code, name, await _thumbprint(request, house))
    elif grant == shapes.GRANT_REFRESH:
        code = _member(form, "refresh_token")
        told, enrolled = Poll.INVALID, await devices.refresh(code, name, await _thumbprint(request, house))
    else:
        raise OAuthRefused("unsupported_grant_type", "Only a device code or a refresh token is taken here.")
    if enrolled is None:
        raise OAuthRefused(told.value, _SAID[told])
    return _json(_token(request, house, enrolled))


def _token(request: Request, house: Any, enrolled: Enrolled) -> dict[str, Any]:
    signer: Signer = request.app.state.signer
    return {
        "access_token": signer.for_device(enrolled.id, enrolled.device, house.clock.now()),
        "token_type": "DPoP",
        "expires_in": int(DEVICE_TOKEN_LASTS.total_seconds()),
        "scope": enrolled.device.surface,
        **({"refresh_token": enrolled.refresh} if enrolled.refresh else {}),
    }


@router.post(
    "/oauth/stay_link",
    response_model=shapes.GuestToken,
    responses=answers(shapes.ENTERED_EXAMPLE),
    openapi_extra=takes("LinkCode", {"code": shapes.LINK_EXAMPLE["code"]}),
)
async def enter_by_link(
    request: Request,
    house: House,
    links: LinksDep,
    body: Annotated[shapes.LinkCode, Depends(body_of(shapes.LinkCode))],
) -> Response:
    """A guest comes in by a stay link, once, and gets a token for that stay alone."""
    entered, now = await links.enter(body.code), house.clock.now()
    signer: Signer = request.app.state.signer
    return _json(
        {
            "access_token": signer.for_guest(entered, now),
            "token_type": "Bearer",
            "expires_in": int((entered.until - now).total_seconds()),
            "guest": entered.guest,
            "stay": entered.stay,
            "property": entered.property,
        }
    )
