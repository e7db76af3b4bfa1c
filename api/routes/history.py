"""History: who changed what, when, through which surface; and undoing one change as a new version."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, LanguageDep, OnceDep, PreferencesDep
from api.schemas import guests, preferences
from api.schemas.document import answers
from api.schemas.representations import told

router = APIRouter(tags=["history"], dependencies=GUARDED)

PAGE_DEFAULT, PAGE_MAX = 50, 100
VERSION_MAX = 10**12


@router.get("/v1/guests/{guest}/history", response_model=guests.History, responses=answers(guests.HISTORY_EXAMPLE))
async def get_history(
    request: Request,
    guest: str,
    caller: CallerDep,
    preferences: PreferencesDep,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Changes of one page.")] = PAGE_DEFAULT,
    cursor: Annotated[
        str | None, Query(pattern=r"^[0-9]{1,12}$", description="`next_cursor` of the page before.")
    ] = None,
) -> Response:
    """Changes, newest first, with old and new values."""
    answer = await preferences.history(caller, guest, limit, cursor)
    return told(request, answer)


@router.post(
    "/v1/guests/{guest}/history/{version}/revert",
    response_model=preferences.Edited,
    responses=answers(preferences.EDITED_EXAMPLE, description="Undone as a new version."),
)
async def revert_change(
    request: Request,
    guest: str,
    version: Annotated[int, Path(ge=1, le=VERSION_MAX, description="The version that the change made.", examples=[2])],
    caller: CallerDep,
    preferences: PreferencesDep,
    once: OnceDep,
    language: LanguageDep,
) -> Response:
    """Undo one change; refused with the conflicts when its keys changed again since."""
    answer = await preferences.revert(caller, guest, version, once=once, language=language)
    return told(request, answer)
