"""The catalogue: all definitions in the caller's language, and an operator's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, DefinitionsDep, LanguageDep, ObjectDep
from api.schemas import catalogue as shapes
from api.schemas.document import answers, takes
from api.schemas.representations import told

router = APIRouter(tags=["catalogue"], dependencies=GUARDED)

Key = Annotated[
    str,
    Path(
        pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,5}$",
        max_length=100,
        description="The definition's key.",
        examples=["lumen.arrival.drink"],
    ),
]
Plan = Annotated[bool, Query(description="Only say what the change would do to stored entries.")]
Migrate = Annotated[bool, Query(description="Rewrite stored entries so that they fit.")]


@router.get("/v1/catalogue", response_model=shapes.Catalogue, responses=answers(shapes.CATALOGUE_EXAMPLE))
async def get_catalogue(
    request: Request, caller: CallerDep, definitions: DefinitionsDep, language: LanguageDep
) -> Response:
    """Every definition with its labels, grouped and ordered: all that a client needs to draw an editor."""
    answer = await definitions.listing(language)
    return told(request, answer, headers={"content-language": answer.body["language"]})


@router.put(
    "/v1/catalogue/{key}",
    response_model=shapes.CatalogueChange,
    responses=answers(shapes.CHANGE_EXAMPLE),
    openapi_extra=takes("DefinitionPut", shapes.DEFINITION_EXAMPLE),
)
async def put_definition(
    request: Request,
    key: Key,
    caller: CallerDep,
    definitions: DefinitionsDep,
    body: ObjectDep,
    language: LanguageDep,
    plan: Plan = False,
    migrate: Migrate = False,
) -> Response:
    """Add or replace a definition; refused with counts where stored entries would no longer fit."""
    return told(request, await definitions.put(caller, key, body, plan=plan, migrate=migrate, language=language))


@router.delete("/v1/catalogue/{key}", response_model=shapes.CatalogueChange, responses=answers(shapes.CHANGE_EXAMPLE))
async def delete_definition(
    request: Request,
    key: Key,
    caller: CallerDep,
    definitions: DefinitionsDep,
    plan: Plan = False,
    migrate: Migrate = False,
) -> Response:
    """Delete a definition; refused with counts while it is in use."""
    return told(request, await definitions.delete(caller, key, plan=plan, migrate=migrate))
