"""Stays: which guest is where, from when until when."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from api.deps import GUARDED, CallerDep, OnceDep, StaysDep, body_of
from api.schemas import stays as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import respond

router = APIRouter(tags=["stays"], dependencies=GUARDED)

StayId = Annotated[
    str, Path(pattern=ID_PATTERN, description="The stay's id in the property's system.", examples=["R-88123"])
]


@router.get("/v1/stays/{stay}", response_model=shapes.Stay, responses=answers(shapes.STAY_EXAMPLE))
async def get_stay(request: Request, stay: StayId, caller: CallerDep, stays: StaysDep) -> Response:
    """A stay."""
    body = await stays.get(caller, stay)
    return respond(request, body, body["version"])


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
    asked: Annotated[shapes.StayPut, Depends(body_of(shapes.StayPut))],
    once: OnceDep,
) -> Response:
    """Make or replace a stay; the same body again changes nothing."""
    body = await stays.put(caller, stay, asked.model_dump(), once)
    return respond(request, body, body["version"])
