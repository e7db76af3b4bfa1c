"""Consents: a guest allows one purpose, or takes that back; each leaves a receipt."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, ConsentsDep, OnceDep, optional_body_of
from api.schemas import consents as shapes
from api.schemas import guests
from api.schemas.document import answers, takes
from api.schemas.representations import told

router = APIRouter(tags=["consents"], dependencies=GUARDED)

Purpose = Annotated[
    str, Path(pattern=r"^[a-z_]{1,40}$", description="What the data may be used for.", examples=["food_safety"])
]


@router.get(
    "/v1/guests/{guest}/consents", response_model=shapes.ConsentStates, responses=answers(shapes.STATES_EXAMPLE)
)
async def list_consents(request: Request, guest: str, caller: CallerDep, consents: ConsentsDep) -> Response:
    """Each purpose: whether the guest consents, until when, and what a withdrawal would erase."""
    return told(request, await consents.states(caller, guest))


@router.get(
    "/v1/guests/{guest}/consents/{purpose}",
    response_model=shapes.GuestConsentState,
    responses=answers(shapes.GUEST_STATE_EXAMPLE),
)
async def get_consent(
    request: Request, guest: str, purpose: Purpose, caller: CallerDep, consents: ConsentsDep
) -> Response:
    """One purpose; look at `withdrawal` before withdrawing."""
    return told(request, await consents.state(caller, guest, purpose))


@router.put(
    "/v1/guests/{guest}/consents/{purpose}",
    response_model=guests.Guest,
    responses=answers(guests.GUEST_EXAMPLE),
    openapi_extra=takes("ConsentGiven", shapes.GIVEN_EXAMPLE, required=False),
)
async def grant_consent(
    request: Request,
    guest: str,
    purpose: Purpose,
    caller: CallerDep,
    consents: ConsentsDep,
    said: Annotated[shapes.ConsentGiven, Depends(optional_body_of(shapes.ConsentGiven))],
    once: OnceDep,
) -> Response:
    """Consent to one purpose, or renew it. Imported values that waited for it are let in."""
    answer = await consents.give(caller, guest, purpose, said.model_dump(exclude_none=True), once=once)
    return told(request, answer)


@router.delete(
    "/v1/guests/{guest}/consents/{purpose}",
    response_model=guests.Guest,
    responses={
        **answers(guests.GUEST_EXAMPLE),
        202: {
            **answers(guests.GUEST_EXAMPLE, 202, "Withdrawn; any copy out of reach is gone by `effective_by`.")[202],
            "model": guests.Guest,
        },
    },
)
async def withdraw_consent(
    request: Request,
    guest: str,
    purpose: Purpose,
    caller: CallerDep,
    consents: ConsentsDep,
    once: OnceDep,
    reference: Annotated[
        str | None,
        Query(pattern=shapes.REFERENCE, description="For staff: where the form that the guest signed is filed."),
    ] = None,
) -> Response:
    """Take a consent back. Values that need it are erased for good, and gone everywhere once this is answered 200."""
    answer = await consents.withdraw(caller, guest, purpose, reference=reference or "", once=once)
    return told(request, answer, status=202 if answer.effective_by else 200)


@router.get(
    "/v1/guests/{guest}/consents/{purpose}/receipt",
    response_model=shapes.ConsentReceipt,
    responses=answers(shapes.RECEIPT_EXAMPLE),
)
async def get_receipt(
    request: Request,
    guest: str,
    purpose: Purpose,
    caller: CallerDep,
    consents: ConsentsDep,
    version: Annotated[
        int | None, Query(ge=1, le=1_000_000, description="Which version; the newest by default.")
    ] = None,
) -> Response:
    """The receipt of a consent, to keep: every version of it stays."""
    answer = await consents.receipt(caller, guest, purpose, version)
    name = f"consent-{purpose}-v{answer.body['version']}.json"
    return told(request, answer, headers={"content-disposition": f'attachment; filename="{name}"'})


@router.get(
    "/v1/guests/{guest}/quarantine", response_model=shapes.WaitingValues, responses=answers(shapes.WAITING_EXAMPLE)
)
async def list_waiting(request: Request, guest: str, caller: CallerDep, consents: ConsentsDep) -> Response:
    """Imported values that wait for a consent, 30 days at most. The guest alone is shown the values."""
    return told(request, await consents.waiting(caller, guest))


@router.delete(
    "/v1/guests/{guest}/quarantine/{purpose}", response_model=guests.Guest, responses=answers(guests.GUEST_EXAMPLE)
)
async def decline_waiting(
    request: Request, guest: str, purpose: Purpose, caller: CallerDep, consents: ConsentsDep, once: OnceDep
) -> Response:
    """Decline what was imported for a purpose: it is forgotten. (Consenting to the purpose lets it in.)"""
    return told(request, await consents.decline_waiting(caller, guest, purpose, once=once))
