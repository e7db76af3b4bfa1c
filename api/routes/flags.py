"""Effective preferences as flags, by the OpenFeature Remote Evaluation Protocol: every OpenFeature SDK is a client.

The same read as `GET /v1/guests/{guest}/preferences`: the guest is the targeting key, and the context says what the
query says there. Only the words of answers and refusals are others.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from api.deps import (
    GUARDED,
    CallerDep,
    LanguageDep,
    PreferencesDep,
    ReadsDep,
    body_of,
)
from api.ofrep import KEY_LENGTH_MAX, PATH
from api.prepared import BYPASSED, age_of, cache_status
from api.schemas import flags as shapes
from api.schemas.document import answers, takes
from api.schemas.representations import etag_of, send
from api.schemas.strict_json import write
from prefs.core.callers import Caller
from prefs.ports import Traced
from prefs.services.answers import Answer
from prefs.services.preferences import Preferences

router = APIRouter(tags=["flags"], dependencies=GUARDED)

AskedDep = Annotated[shapes.FlagRequest, Depends(body_of(shapes.FlagRequest))]
Known = Annotated[
    str | None,
    Header(alias="If-None-Match", description="The ETag of an answer to the same question: 304 while it still holds."),
]


@router.post(
    PATH,
    response_model=shapes.Flags,
    responses={
        **answers(shapes.FLAGS_EXAMPLE, description="Every flag of which something is known."),
        304: {"description": "As it was."},
    },
    openapi_extra=takes("FlagRequest", shapes.REQUEST_EXAMPLE),
)
async def evaluate_flags(
    request: Request,
    caller: CallerDep,
    preferences: PreferencesDep,
    language: LanguageDep,
    asked: AskedDep,
    reads: ReadsDep,
    known: Known = None,
) -> Response:
    """Every effective preference of a guest for the caller's surface, as OpenFeature flags."""
    answer = await _answer(preferences, caller, asked.context, language, reads)
    return _sent(request, answer, shapes.flags_of(answer.body), reads)


@router.post(
    PATH + "/{key}",
    response_model=shapes.Flag,
    responses=answers(shapes.FLAG_EXAMPLE, description="The flag; without a value the application's default holds."),
    openapi_extra=takes("FlagRequest", shapes.REQUEST_EXAMPLE),
)
async def evaluate_flag(
    request: Request,
    key: Annotated[
        str,
        Path(
            pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,5}$",
            max_length=KEY_LENGTH_MAX,
            description="A key of the catalogue.",
            examples=["climate.temperature.occupied"],
        ),
    ],
    caller: CallerDep,
    preferences: PreferencesDep,
    language: LanguageDep,
    asked: AskedDep,
    reads: ReadsDep,
) -> Response:
    """One effective preference of a guest for the caller's surface, as an OpenFeature flag."""
    answer = await _answer(preferences, caller, asked.context, language, reads, keys=[key])
    flag = shapes.flag_of(key, answer.body["preferences"].get(key), answer.version)
    if "value" in flag and "valid_until" in answer.body:
        flag["metadata"]["valid_until"] = answer.body["valid_until"]
    return _sent(request, answer, flag, reads)


async def _answer(
    preferences: Preferences,
    caller: Caller,
    context: shapes.FlagContext,
    language: str,
    reads: Traced | None,
    keys: list[str] | None = None,
) -> Answer:
    return await preferences.effective(
        caller,
        context.targeting_key,
        property=context.property,
        stay=context.stay,
        keys=keys,
        at=context.at,
        trip=context.trip,
        party=context.party,
        language=language,
        reads=reads,
    )


def _sent(request: Request, answer: Answer, body: dict[str, Any], reads: Traced | None) -> Response:
    content = write(body)
    headers = {"cache-status": BYPASSED if reads is None else cache_status(reads.tier), **age_of(reads)}
    etag = etag_of(answer.version, content)
    return send(request, content, answer.version, etag, headers=headers, reads_only=True)
