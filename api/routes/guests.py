"""Guests: make one, find one by an identifier, see everything known, and who they are to other systems."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, GuestsDep, IfMatchDep, OnceDep, body_of
from api.schemas import guests as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ExternalId, System
from api.schemas.representations import told

router = APIRouter(tags=["guests"], dependencies=GUARDED)

InSystem = Annotated[System, Path(description="The other system, such as loyalty.", examples=["loyalty"])]
KnownAs = Annotated[ExternalId, Path(description="The guest's id there.", examples=["881234567"])]


@router.post(
    "/v1/guests",
    status_code=201,
    response_model=shapes.Guest,
    responses=answers(shapes.GUEST_EXAMPLE, 201, "Made."),
    openapi_extra=takes("GuestCreate", shapes.CREATE_EXAMPLE),
)
async def create_guest(
    request: Request,
    caller: CallerDep,
    guests: GuestsDep,
    asked: Annotated[shapes.GuestCreate, Depends(body_of(shapes.GuestCreate))],
    once: OnceDep,
) -> Response:
    """Make a guest, with the identifiers other systems know them by."""
    identifiers = [known.model_dump() for known in asked.identifiers]
    answer = await guests.create(caller, asked.display_name, identifiers, once=once)
    location = f"/v1/guests/{answer.body['guest']}"
    return told(request, answer, status=201, headers={"location": location})


@router.get("/v1/guests", response_model=shapes.Guest, responses=answers(shapes.GUEST_EXAMPLE))
async def find_guest(
    request: Request,
    caller: CallerDep,
    guests: GuestsDep,
    system: Annotated[System, Query(description="The other system.", examples=["loyalty"])],
    id: Annotated[ExternalId, Query(description="The guest's id there.", examples=["881234567"])],
) -> Response:
    """Find a guest by an identifier of another system."""
    answer = await guests.find(caller, system, id)
    return told(request, answer)


@router.get("/v1/guests/{guest}", response_model=shapes.Guest, responses=answers(shapes.GUEST_EXAMPLE))
async def get_guest(request: Request, guest: str, caller: CallerDep, guests: GuestsDep) -> Response:
    """The full document: identifiers, consents, entries by scope, version."""
    answer = await guests.document(caller, guest)
    return told(request, answer)


@router.patch(
    "/v1/guests/{guest}",
    response_model=shapes.Guest,
    responses=answers(shapes.GUEST_EXAMPLE),
    openapi_extra=takes("GuestPatch", shapes.PROFILE_EXAMPLE, "application/merge-patch+json"),
)
async def edit_guest(
    request: Request,
    guest: str,
    caller: CallerDep,
    guests: GuestsDep,
    asked: Annotated[shapes.GuestPatch, Depends(body_of(shapes.GuestPatch))],
    once: OnceDep,
    if_match: IfMatchDep,
) -> Response:
    """Change the name a guest is shown by."""
    answer = await guests.rename(caller, guest, asked.display_name, if_match=if_match, once=once)
    return told(request, answer)


@router.put(
    "/v1/guests/{guest}/identifiers/{system}/{id}", response_model=shapes.Guest, responses=answers(shapes.GUEST_EXAMPLE)
)
async def add_identifier(
    request: Request, guest: str, system: InSystem, id: KnownAs, caller: CallerDep, guests: GuestsDep, once: OnceDep
) -> Response:
    """Tell how another system knows the guest; refused when that identifier names another guest."""
    answer = await guests.add_identifier(caller, guest, system, id, once=once)
    return told(request, answer)


@router.delete(
    "/v1/guests/{guest}/identifiers/{system}/{id}", response_model=shapes.Guest, responses=answers(shapes.GUEST_EXAMPLE)
)
async def remove_identifier(
    request: Request, guest: str, system: InSystem, id: KnownAs, caller: CallerDep, guests: GuestsDep, once: OnceDep
) -> Response:
    """Forget how another system knows the guest."""
    answer = await guests.remove_identifier(caller, guest, system, id, once=once)
    return told(request, answer)
