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
    goes_past_copies,
)
from api.errors import problem_of_item
from api.prepared import BYPASSED, NAME_BYTES_MAX, Names, PreparedAnswer, age_of, cache_status, prepare
from api.schemas import preferences as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN, Moment, PartyAxis, Trip
from api.schemas.problems import REQUEST_ID
from api.schemas.representations import etag_of, send, told
from api.schemas.strict_json import write
from prefs.core.callers import name_of
from prefs.ports import Traced

router = APIRouter(tags=["preferences"], dependencies=GUARDED)
NAMES = Names()

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
    if (
        answer.holds_until is not None
        and answer.version
        and not explain
        and not reads.age_s
        and len(query) + len(given) <= NAME_BYTES_MAX
    ):
        ready = prepare(content, answer.holds_until, etag, answer.version, answer.sighting)
        name = NAMES.one(name_of(caller, query, given))
        house.tiers.prepare(reads, guest, name, ready, ready.size_bytes)
    return send(
        request, content, answer.version, etag, headers={"cache-status": cache_status(reads.tier), **age_of(reads)}
    )


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
    house: House,
    asked: Annotated[shapes.BatchRequest, Depends(body_of(shapes.BatchRequest))],
) -> Response:
    """Effective preferences of up to 1,000 guests of one property; a guest that fails is an item with its problem."""
    keys, tiers = None if asked.keys is None else tuple(asked.keys), house.tiers
    name = NAMES.one(("batch", asked.property, keys, name_of(caller, b"", language.encode("latin-1"))))
    reads: Traced | None = tiers.reading(linearizable=goes_past_copies(request)) if tiers else None
    lies_ready: dict[str, PreparedAnswer] = {}
    if tiers and asked.at is None and not goes_past_copies(request):
        lies_ready = tiers.prepared_of(set(asked.guests), name)
    now = house.clock.now().timestamp()
    ready_now = {guest: ready for guest, ready in lies_ready.items() if now < ready.until}
    bodies = {guest: ready.content for guest, ready in ready_now.items()}
    beside = [ready.sighting for ready in ready_now.values() if ready.sighting]
    missing = [guest for guest in asked.guests if guest not in bodies]
    while missing or beside:
        batch = await preferences.batch(
            caller,
            missing,
            property=asked.property,
            keys=keys,
            at=asked.at,
            language=language,
            reads=reads,
            beside=beside,
        )
        for item in batch:
            problem = {"problem": problem_of_item(item.problem, request.scope[REQUEST_ID])} if item.problem else {}
            content = bodies[item.guest] = write(item.body | problem)
            if reads and not reads.age_s and item.answer and item.answer.holds_until:
                ready = prepare(content, item.answer.holds_until, sighting=item.answer.sighting)
                tiers.prepare(reads, item.guest, name, ready, ready.size_bytes, asked.property)
        # What lies ready and could not be recorded is not told as it lies there.
        missing = [guest for guest in asked.guests if guest in ready_now and ready_now[guest].sighting]
        missing, beside = ([] if batch.recorded or not beside else missing), []
    body = b'{"items":[' + b",".join([bodies[guest] for guest in asked.guests]) + b"]}"
    return send(request, body, None, etag_of(None, body), headers=age_of(reads))
