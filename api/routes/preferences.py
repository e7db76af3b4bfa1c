"""Effective preferences: the hot read, the edit, and many guests at once."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api.deps import (
    GUARDED,
    BaseVersionDep,
    CallerDep,
    House,
    IfMatchDep,
    KeysDep,
    LanguageDep,
    ObjectDep,
    OnceDep,
    PreferencesDep,
    ReadsDep,
    body_of,
)
from api.errors import problem_of_item
from api.prepared import BYPASSED, NAME_BYTES_MAX, cache_status, name_of, prepare
from api.schemas import preferences as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN, Moment, PartyAxis, Trip
from api.schemas.problems import REQUEST_ID
from api.schemas.representations import etag_of, respond, send, told
from api.schemas.strict_json import write

router = APIRouter(tags=["preferences"], dependencies=GUARDED)

AtProperty = Annotated[str | None, Query(pattern=ID_PATTERN, description="For which property.", examples=["dallas"])]
ForStay = Annotated[str | None, Query(pattern=ID_PATTERN, description="For which stay.", examples=["R-88123"])]


@router.get(
    "/v1/guests/{guest}/preferences",
    response_model=shapes.EffectivePreferences,
    responses=answers(shapes.EFFECTIVE_EXAMPLE, description="What applies, and why."),
)
async def get_preferences(
    request: Request,
    guest: str,
    caller: CallerDep,
    preferences: PreferencesDep,
    language: LanguageDep,
    keys: KeysDep,
    reads: ReadsDep,
    house: House,
    property: AtProperty = None,
    stay: ForStay = None,
    at: Annotated[Moment | None, Query(description="At this moment instead of now.")] = None,
    trip: Annotated[Trip | None, Query(description="Outranks the stay's.")] = None,
    party: Annotated[PartyAxis | None, Query(description="Outranks the stay's.")] = None,
    explain: Annotated[bool, Query(description="Also the candidates that lost, and why.")] = False,
) -> Response:
    """Effective preferences of a guest for the caller's surface: each with its status, layer and reason."""
    answer = await preferences.effective(
        caller,
        guest,
        property=property,
        stay=stay,
        keys=keys,
        at=at,
        trip=trip,
        party=party,
        explain=explain,
        language=language,
        reads=reads,
    )
    content = write(answer.body)
    etag = etag_of(answer.version, content)
    if reads is None:
        return send(request, content, answer.version, etag, headers={"cache-status": BYPASSED})
    query, given = request.scope["query_string"], request.headers.get("accept-language", "").encode("latin-1")
    if answer.holds_until is not None and not explain and not reads.age_s and len(query) + len(given) <= NAME_BYTES_MAX:
        ready = prepare(content, etag, answer.version, answer.holds_until)
        house.tiers.prepare(reads, guest, name_of(caller, query, given), ready, ready.size_bytes)
    age = {"age": str(int(reads.age_s) + 1)} if reads.age_s else {}
    return send(request, content, answer.version, etag, headers={"cache-status": cache_status(reads.tier), **age})


@router.patch(
    "/v1/guests/{guest}/preferences",
    response_model=shapes.Edited,
    responses=answers(shapes.EDITED_EXAMPLE, description="Stored; the touched keys as they apply now."),
    openapi_extra=takes("PreferencesPatch", shapes.PATCH_EXAMPLE, "application/merge-patch+json"),
)
async def edit_preferences(
    request: Request,
    guest: str,
    caller: CallerDep,
    preferences: PreferencesDep,
    language: LanguageDep,
    patch: ObjectDep,
    once: OnceDep,
    if_match: IfMatchDep,
    base_version: BaseVersionDep,
    scope: Annotated[
        str,
        Query(
            pattern=r"^(profile|room|(brand|property|stay):[A-Za-z0-9][A-Za-z0-9_.-]{0,63})$",
            description="Where the edit holds.",
            examples=["profile"],
        ),
    ] = "profile",
    provenance: Annotated[
        Annotated[str, Query(pattern=r"^observed$")] | None, Query(description="Staff: observed, not said.")
    ] = None,
    property: AtProperty = None,
) -> Response:
    """Edit preferences at one scope: all keys or none; a refusal lists every fault."""
    answer = await preferences.patch(
        caller,
        guest,
        scope,
        patch,
        if_match=if_match,
        base_version=base_version,
        once=once,
        provenance=provenance,
        property=property,
        language=language,
    )
    return told(request, answer)


@router.post(
    "/v1/preferences/batch",
    response_model=shapes.Batch,
    responses=answers(shapes.BATCH_EXAMPLE, description="An item per guest, in the order asked."),
    openapi_extra=takes("BatchRequest", shapes.BATCH_REQUEST_EXAMPLE),
)
async def batch_preferences(
    request: Request,
    caller: CallerDep,
    preferences: PreferencesDep,
    language: LanguageDep,
    asked: Annotated[shapes.BatchRequest, Depends(body_of(shapes.BatchRequest))],
) -> Response:
    """Effective preferences of up to 1,000 guests of one property; a guest that fails is an item with its problem."""
    items = await preferences.batch(
        caller, asked.guests, property=asked.property, keys=asked.keys, at=asked.at, language=language
    )
    request_id = request.scope[REQUEST_ID]
    shown = [
        item | {"problem": problem_of_item(item["problem"], request_id)} if "problem" in item else item
        for item in items
    ]
    return respond(request, {"items": shown})
