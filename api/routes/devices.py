"""Devices of a property: who asks to be let in, who is in, and putting one out; and what else is taken back."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, DevicesDep, LinksDep, RevocationsDep, body_of
from api.routes.properties import PAGE_DEFAULT, PAGE_MAX, PropertyId
from api.routes.stays import StayId
from api.schemas import enrolment as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import respond
from prefs.core.revocations import Revocable

router = APIRouter(tags=["devices"], dependencies=GUARDED)

UserCode = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9-]{1,20}$", description="The code that the device shows.", examples=["WDJB-MJHT"])
]
DeviceId = Annotated[str, Path(pattern=ID_PATTERN, description="The device's id.", examples=["dev_019b76da"])]
LinkId = Annotated[str, Path(pattern=ID_PATTERN, description="The link's id.", examples=["lnk_019b76da"])]


@router.get("/v1/device-grants/{user_code}", response_model=shapes.DeviceGrant, responses=answers(shapes.GRANT_EXAMPLE))
async def get_device_grant(request: Request, user_code: UserCode, caller: CallerDep, devices: DevicesDep) -> Response:
    """What the device that shows this code has asked for."""
    return respond(request, await devices.grant(caller, user_code))


@router.put(
    "/v1/device-grants/{user_code}",
    response_model=shapes.DeviceGrant,
    responses=answers(shapes.DECIDED_EXAMPLE),
    openapi_extra=takes("GrantDecision", shapes.DECISION_EXAMPLE),
)
async def decide_device_grant(
    request: Request,
    user_code: UserCode,
    caller: CallerDep,
    devices: DevicesDep,
    body: Annotated[shapes.GrantDecision, Depends(body_of(shapes.GrantDecision))],
) -> Response:
    """Let the device that shows this code in at a property, or refuse it. Compare its name first."""
    return respond(request, await devices.decide(caller, user_code, body.property, body.approve))


@router.get(
    "/v1/properties/{property}/devices", response_model=shapes.Devices, responses=answers(shapes.DEVICES_EXAMPLE)
)
async def list_devices(
    request: Request,
    property: PropertyId,
    caller: CallerDep,
    devices: DevicesDep,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Devices of one page.")] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Devices that are enrolled at a property."""
    found = await devices.of_property(caller, property, limit + 1, cursor or "")
    following = {"next_cursor": found[limit - 1]["id"]} if len(found) > limit else {}
    return respond(request, {"devices": found[:limit], **following})


@router.delete("/v1/devices/{device}", status_code=204)
async def revoke_device(request: Request, device: DeviceId, caller: CallerDep, devices: DevicesDep) -> Response:
    """Put a device out: it gets no more tokens, and within a minute no process takes those it has."""
    await devices.revoke(caller, device)
    await request.app.state.watch.read_revocations()
    return Response(status_code=204)


@router.post(
    "/v1/stays/{stay}/links",
    response_model=shapes.StayLink,
    status_code=201,
    responses=answers(shapes.LINK_EXAMPLE, 201),
)
async def make_stay_link(request: Request, stay: StayId, caller: CallerDep, links: LinksDep) -> Response:
    """A link that lets the guest of this stay in once, without an account, for this stay alone."""
    made = await links.make(caller, stay)
    return respond(request, made, status=201, headers={"cache-control": "no-store"})


@router.delete("/v1/stays/{stay}/links/{link}", status_code=204)
async def revoke_stay_link(
    request: Request, stay: StayId, link: LinkId, caller: CallerDep, links: LinksDep
) -> Response:
    """Nobody comes in by this link any more, and within a minute who came in by it is out."""
    await links.revoke(caller, stay, link)
    await request.app.state.watch.read_revocations()
    return Response(status_code=204)


@router.post(
    "/v1/revocations",
    response_model=shapes.Revocation,
    responses=answers(shapes.REVOKED_EXAMPLE),
    openapi_extra=takes("RevocationPut", shapes.REVOCATION_EXAMPLE),
)
async def revoke(
    request: Request,
    caller: CallerDep,
    revocations: RevocationsDep,
    body: Annotated[shapes.RevocationPut, Depends(body_of(shapes.RevocationPut))],
) -> Response:
    """Take back a token, all tokens of a subject so far, a device or a stay link."""
    made = await revocations.revoke(caller, Revocable(body.kind), body.value)
    await request.app.state.watch.read_revocations()
    return respond(request, made)
