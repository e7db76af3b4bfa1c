"""Properties: what a hotel declares about itself."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, ObjectDep, PropertiesDep
from api.schemas import properties as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import coherence_of, told

router = APIRouter(tags=["properties"], dependencies=GUARDED)

PAGE_DEFAULT, PAGE_MAX = 50, 100
PropertyId = Annotated[str, Path(pattern=ID_PATTERN, description="The property's id.", examples=["dallas"])]


@router.get("/v1/properties", response_model=shapes.Properties, responses=answers(shapes.PROPERTIES_EXAMPLE))
async def list_properties(
    request: Request,
    caller: CallerDep,
    properties: PropertiesDep,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Properties of one page.")] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Properties by id."""
    return told(request, await properties.list(caller, limit, cursor))


@router.get("/v1/properties/{property}", response_model=shapes.Property, responses=answers(shapes.PROPERTY_EXAMPLE))
async def get_property(
    request: Request, property: PropertyId, caller: CallerDep, properties: PropertiesDep
) -> Response:
    """A property as it was put."""
    return told(request, await properties.get(caller, property))


@router.put(
    "/v1/properties/{property}",
    response_model=shapes.Property,
    responses=answers(shapes.PROPERTY_EXAMPLE),
    openapi_extra=takes("PropertyPut", shapes.DECLARED_EXAMPLE),
)
async def put_property(
    request: Request, property: PropertyId, caller: CallerDep, properties: PropertiesDep, declared: ObjectDep
) -> Response:
    """Declare a property, replacing what it declared before."""
    return told(request, await properties.put(caller, property, declared))


@router.delete("/v1/properties/{property}", status_code=204)
async def delete_property(property: PropertyId, caller: CallerDep, properties: PropertiesDep) -> Response:
    """Forget a property; refused while open stays point at it."""
    coherence = await properties.delete(caller, property)
    return Response(status_code=204, headers=coherence_of(coherence))
