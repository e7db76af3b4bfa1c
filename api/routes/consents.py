"""Consents: a guest allows one purpose, or takes that back."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.deps import GUARDED, CallerDep, GuestsDep, OnceDep
from api.schemas import guests as shapes
from api.schemas.document import answers
from api.schemas.representations import told

router = APIRouter(tags=["consents"], dependencies=GUARDED)

Purpose = Annotated[
    str, Path(pattern=r"^[a-z_]{1,40}$", description="What the data may be used for.", examples=["food_safety"])
]


@router.put(
    "/v1/guests/{guest}/consents/{purpose}", response_model=shapes.Guest, responses=answers(shapes.GUEST_EXAMPLE)
)
async def grant_consent(
    request: Request, guest: str, purpose: Purpose, caller: CallerDep, guests: GuestsDep, once: OnceDep
) -> Response:
    """Consent to one purpose."""
    answer = await guests.grant_consent(caller, guest, purpose, once=once)
    return told(request, answer)


@router.delete(
    "/v1/guests/{guest}/consents/{purpose}",
    response_model=shapes.Guest,
    responses={
        **answers(shapes.GUEST_EXAMPLE),
        202: {
            **answers(shapes.GUEST_EXAMPLE, 202, "Withdrawn; any copy out of reach is gone by `effective_by`.")[202],
            "model": shapes.Guest,
        },
    },
)
async def withdraw_consent(
    request: Request, guest: str, purpose: Purpose, caller: CallerDep, guests: GuestsDep, once: OnceDep
) -> Response:
    """Take a consent back; what depended on it is withheld from this answer on."""
    answer = await guests.withdraw_consent(caller, guest, purpose, once=once)
    return told(request, answer, status=202 if answer.effective_by else 200)
