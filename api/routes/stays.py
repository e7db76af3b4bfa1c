"""Stays: which guest is where, from when until when."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.deps import GUARDED, CallerDep, ObjectDep, OnceDep, StaysDep
from api.schemas import stays as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import told

router = APIRouter(tags=["stays"], dependencies=GUARDED)

StayId = Annotated[
    str, Path(pattern=ID_PATTERN, description="The stay's id in the property's system.", examples=["R-88123"])
]


@router.get("/v1/stays/{stay}", response_model=shapes.Stay, responses=answers(shapes.STAY_EXAMPLE))
async def get_stay(request: Request, stay: StayId, caller: CallerDep, stays: StaysDep) -> Response:
    """A stay."""
    return told(request, await stays.get(caller, stay))


@router.put(
    "/v1/stays/{stay}",
    response_model=shapes.Stay,
    responses=answers(shapes.STAY_EXAMPLE),
    openapi_extra=takes("StayPut", shapes.STAY_BODY_EXAMPLE),
)
async def put_stay(
    request: Request,
    stay: StayId,
    caller: CallerDep,
    stays: StaysDep,
    body: ObjectDep,
    once: OnceDep,
) -> Response:
    """Make or replace a stay; the same body again changes nothing."""
    return told(request, await stays.put(caller, stay, body, once=once))
