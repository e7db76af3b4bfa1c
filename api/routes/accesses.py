"""Access log: who saw a guest's special-category data, when, through which surface and what for."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.deps import GUARDED, AccessesDep, CallerDep, LanguageDep
from api.schemas import accesses as shapes
from api.schemas.document import answers
from api.schemas.representations import told

router = APIRouter(tags=["accesses"], dependencies=GUARDED)

PAGE_DEFAULT, PAGE_MAX = 50, 100
POSITION = r"^[0-9]{1,17}\.[0-9a-f]{8}-[0-9]{1,3}\.[0-9]{1,15}$"


@router.get(
    "/v1/guests/{guest}/access-log", response_model=shapes.AccessLog, responses=answers(shapes.ACCESS_LOG_EXAMPLE)
)
async def get_access_log(
    request: Request,
    guest: str,
    caller: CallerDep,
    accesses: AccessesDep,
    language: LanguageDep,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Accesses of one page.")] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(pattern=POSITION, description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Who saw the guest's special-category data, newest first; for the guest alone, whose own reads are not listed."""
    return told(request, await accesses.of_guest(caller, guest, limit, cursor, language))
