"""Rights: a guest takes everything along, corrects it, objects to what was guessed, or has it erased with a receipt."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse

from api.deps import (
    GUARDED,
    CallerDep,
    CorrectionsDep,
    ErasureDep,
    ExportDep,
    IfMatchDep,
    LanguageDep,
    OnceDep,
    body_of,
)
from api.schemas import rights as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import MEDIA_TYPE, told
from api.schemas.strict_json import write
from prefs.services.export import Exported

router = APIRouter(tags=["rights"], dependencies=GUARDED)

NOT_KEPT = {"cache-control": "no-store", "vary": "Authorization"}
ATTACHED = {**NOT_KEPT, "content-disposition": 'attachment; filename="guest-export.json"'}


@router.get("/v1/guests/{guest}/export", response_model=shapes.GuestExport, responses=answers(shapes.EXPORT_EXAMPLE))
async def export_guest(guest: str, caller: CallerDep, export: ExportDep, language: LanguageDep) -> Response:
    """Everything known about the guest, with how it is known, in a form programs can read."""
    exported = await export.export(caller, guest, language)
    return StreamingResponse(_written(exported), 200, ATTACHED, MEDIA_TYPE)


async def _written(exported: Exported) -> AsyncIterator[bytes]:
    yield write(exported.head)[:-1]
    for name, pages in exported.parts.items():
        yield b"," + write(name) + b":["
        separator = b""
        async for page in pages:
            if page:
                yield separator + write(page)[1:-1]
                separator = b","
        yield b"]"
    yield b"}"


@router.delete(
    "/v1/guests/{guest}",
    response_model=shapes.ErasureReceipt,
    responses={
        **answers(shapes.RECEIPT_EXAMPLE, 200, "Erased everywhere."),
        202: {
            **answers(shapes.RECEIPT_EXAMPLE, 202, "Erased; any copy out of reach is gone by `gone_by`.")[202],
            "model": shapes.ErasureReceipt,
        },
        204: {"description": "Erased before; there is nothing left to erase."},
    },
)
async def erase_guest(request: Request, guest: str, caller: CallerDep, erasure: ErasureDep, once: OnceDep) -> Response:
    """Erase the guest everywhere. The receipt is told once, and again for the same `Idempotency-Key`: keep it."""
    erased = await erasure.erase(caller, guest, once=once)
    if erased is None:
        return Response(status_code=204, headers=NOT_KEPT)
    owed = {**NOT_KEPT, **({"idempotency-replayed": "true"} if erased.replayed else {})}
    return Response(write(erased.body), 202 if erased.effective_by else 200, owed, MEDIA_TYPE)


@router.delete(
    "/v1/guests/{guest}/entries/{entry}",
    response_model=shapes.EntryDeleted,
    responses=answers(shapes.DELETED_EXAMPLE, 200, "Taken away."),
)
async def delete_entry(
    request: Request,
    guest: str,
    entry: Annotated[
        str,
        Path(
            pattern=ID_PATTERN,
            description="The entry's `id`, as the document and the export tell it.",
            examples=[shapes.DELETED_EXAMPLE["entry"]],
        ),
    ],
    caller: CallerDep,
    corrections: CorrectionsDep,
    once: OnceDep,
    if_match: IfMatchDep,
) -> Response:
    """Take one entry away, such as an observation that is wrong. To rectify it, state what is right."""
    answer = await corrections.delete_entry(caller, guest, entry, if_match=if_match, once=once)
    return told(request, answer)


@router.get(
    "/v1/guests/{guest}/personalisation",
    response_model=shapes.Personalisation,
    responses=answers(shapes.PERSONALISATION_EXAMPLE),
)
async def get_personalisation(request: Request, guest: str, caller: CallerDep, corrections: CorrectionsDep) -> Response:
    """Whether what was noticed or guessed about the guest is used."""
    answer = await corrections.personalisation(caller, guest)
    return told(request, answer)


@router.put(
    "/v1/guests/{guest}/personalisation",
    response_model=shapes.Personalisation,
    responses={
        **answers(shapes.PERSONALISATION_EXAMPLE),
        202: {
            **answers(shapes.PERSONALISATION_EXAMPLE, 202, "Done; everywhere by `effective_by`.")[202],
            "model": shapes.Personalisation,
        },
    },
    openapi_extra=takes("PersonalisationBody", {"enabled": False}),
)
async def put_personalisation(
    request: Request,
    guest: str,
    caller: CallerDep,
    corrections: CorrectionsDep,
    asked: Annotated[shapes.PersonalisationBody, Depends(body_of(shapes.PersonalisationBody))],
    once: OnceDep,
) -> Response:
    """Object to what was noticed or guessed: nothing of it is used or recorded any more. Or allow it again."""
    answer = await corrections.personalise(caller, guest, asked.enabled, once=once)
    return told(request, answer, status=202 if answer.effective_by else 200)
