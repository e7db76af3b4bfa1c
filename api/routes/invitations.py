"""Invitations: staff ask a guest for a consent, and the guest answers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from api.deps import GUARDED, CallerDep, InvitationsDep, OnceDep, body_of
from api.schemas import consents as shapes
from api.schemas import guests
from api.schemas.document import answers, takes
from api.schemas.representations import told

router = APIRouter(tags=["invitations"], dependencies=GUARDED)

InvitationId = Annotated[str, Path(pattern=r"^inv_[0-9a-f]{32}$", examples=["inv_0199d0f0c1a27cc0a4c3f1f2b6a7d00c"])]


@router.post(
    "/v1/guests/{guest}/consent-invitations",
    status_code=201,
    response_model=shapes.Invitation,
    responses=answers(shapes.INVITATION_EXAMPLE, 201, "Made; the guest sees it."),
    openapi_extra=takes("InvitationMade", shapes.INVITED_EXAMPLE),
)
async def invite_guest(
    request: Request,
    guest: str,
    caller: CallerDep,
    invitations: InvitationsDep,
    asked: Annotated[shapes.InvitationMade, Depends(body_of(shapes.InvitationMade))],
    once: OnceDep,
) -> Response:
    """Ask the guest to consent to a purpose. It lasts 14 days; an open one to the same purpose takes the keys along."""
    answer = await invitations.invite(caller, guest, asked.purpose, asked.keys, once=once)
    return told(request, answer, status=201)


@router.get(
    "/v1/guests/{guest}/consent-invitations",
    response_model=shapes.Invitations,
    responses=answers(shapes.INVITATIONS_EXAMPLE),
)
async def list_invitations(request: Request, guest: str, caller: CallerDep, invitations: InvitationsDep) -> Response:
    """What the guest was asked for; staff see what their property asked."""
    return told(request, await invitations.listing(caller, guest))


@router.put(
    "/v1/guests/{guest}/consent-invitations/{invitation}/answer",
    response_model=guests.Guest,
    responses=answers(guests.GUEST_EXAMPLE),
    openapi_extra=takes("InvitationReply", shapes.REPLY_EXAMPLE),
)
async def answer_invitation(
    request: Request,
    guest: str,
    invitation: InvitationId,
    caller: CallerDep,
    invitations: InvitationsDep,
    said: Annotated[shapes.InvitationReply, Depends(body_of(shapes.InvitationReply))],
    once: OnceDep,
) -> Response:
    """Accept, which gives the consent, or decline, which a receipt records."""
    answer = await invitations.reply(caller, guest, invitation, said.answer == "accept", once=once)
    return told(request, answer)
