"""Streams: what applies now, and then whatever changes, as server-sent events."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.deps import GUARDED, CallerDep, ChangesDep, House, LanguageDep, standing_of
from api.routes.preferences import AtProperty
from api.schemas.changes import described
from api.schemas.fields import ID_PATTERN
from api.streams import EventStream, Seats

router = APIRouter(tags=["changes"], dependencies=GUARDED)


@router.get("/v1/changes", response_class=Response, responses=described())
async def get_changes(
    request: Request,
    caller: CallerDep,
    changes: ChangesDep,
    language: LanguageDep,
    house: House,
    guest: Annotated[str | None, Query(max_length=80, description="Of this guest.", examples=["gst_0199d0f0"])] = None,
    property: AtProperty = None,
    surface: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="The surface of the token; another one is refused.")
    ] = None,
    follow: Annotated[bool, Query(description="Go on; if not, the stream ends with what there is now.")] = True,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID", pattern=r"^[A-Za-z0-9_-]{43}=$", description="The id of an event: goes on after it."
        ),
    ] = None,
) -> Response:
    """What applies to a guest, or to every guest who is at a property or about to be, and then whatever changes."""
    seats: Seats = request.app.state.seats
    give_back = seats.take(caller)
    try:
        stream = await changes.open(
            caller,
            guest=guest,
            property=property,
            surface=surface,
            place=last_event_id,
            follow=follow,
            language=language,
            still=standing_of(request, house),
        )
    except BaseException:
        give_back()
        raise
    return EventStream(stream.tell(), stream.close, give_back)
