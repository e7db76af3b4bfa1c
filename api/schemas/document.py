"""The OpenAPI document: what FastAPI derives from the routes, and what it cannot know about bodies we read ourselves.

Request bodies are parsed by `strict_json` and not by FastAPI, so their schemas are put in here; every operation also
declares the problem documents it may answer with.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from api.schemas import (
    catalogue,
    changes,
    consents,
    enrolment,
    flags,
    guests,
    preferences,
    problems,
    properties,
    rights,
    stays,
    webhooks,
)

_MODELS: tuple[type[BaseModel], ...] = (
    guests.GuestCreate,
    guests.GuestPatch,
    consents.ConsentGiven,
    consents.InvitationMade,
    consents.InvitationReply,
    preferences.BatchRequest,
    flags.FlagRequest,
    enrolment.GrantDecision,
    enrolment.LinkCode,
    enrolment.RevocationPut,
    rights.PersonalisationBody,
    webhooks.WebhookPut,
)
_SHAPES: tuple[dict[str, Any], ...] = (
    preferences.PATCH_SCHEMA,
    preferences.WRAPPED_SCHEMA,
    properties.PROPERTY_SCHEMA,
    stays.STAY_SCHEMA,
    catalogue.DEFINITION_SCHEMA,
    enrolment.ASK_SCHEMA,
    enrolment.TOKEN_SCHEMA,
    *changes.SHAPES,
)
_REF = "#/components/schemas/{model}"
_ANY_READ = (401, 403, 404, 422, 429, 503)
_ANY_WRITE = (400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 503)
_ANY_FLAG = (400, 401, 403, 404, 408, 413, 415, 429, 503)
_UNAVAILABLE = {
    "description": "Nothing was done; ask again after `Retry-After`. "
    "The database does not answer (`STORE_UNAVAILABLE`), more is asked than can be done (`OVERLOADED`), "
    "or this process is about to stop (`UNAVAILABLE`).",
    "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}
_LIMITED = {
    "description": "Nothing was done; ask again after `Retry-After`. `RateLimit-Policy` says what may be asked: `q` "
    "requests in `w` seconds, by this caller or by all devices and staff of the property.",
    "headers": {
        "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
        "RateLimit": {"description": '`"caller";r=0;t=1`: nothing is left.', "schema": {"type": "string"}},
        "RateLimit-Policy": {"description": '`"caller";q=2000;w=10`.', "schema": {"type": "string"}},
    },
}
DESCRIPTION = """What applies to this guest, here, now, for this surface, and why.

Every error is a problem document (RFC 9457) whose `code` programs may branch on. Writes take an `Idempotency-Key`.
Times are RFC 3339 in UTC. Nothing on this page is loaded from elsewhere."""


def takes(
    schema: str, example: Mapping[str, Any], media: str = "application/json", *, required: bool = True
) -> dict[str, Any]:
    """`openapi_extra` of an operation whose body we read ourselves."""
    body = {"schema": {"$ref": _REF.format(model=schema)}, "example": dict(example)}
    return {"requestBody": {"required": required, "content": {media: body}}}


def answers(
    example: Mapping[str, Any], status: int = 200, description: str = "Done."
) -> dict[int | str, dict[str, Any]]:
    """`responses` of an operation: its example."""
    return {status: {"description": description, "content": {"application/json": {"example": dict(example)}}}}


def describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, definitions = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REF)
    problem = TypeAdapter(problems.Problem).json_schema(ref_template=_REF)
    schemas.update(definitions["$defs"] | problem.pop("$defs") | {"Problem": problem})
    schemas.update({shape["title"]: shape for shape in _SHAPES})
    schemas["FlagFailure"] = TypeAdapter(flags.FlagFailure).json_schema(ref_template=_REF)
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {f"Problem{status}": _problem_response(status) for status in (*_ANY_WRITE, 500)}
    components["responses"] |= {f"FlagFailure{status}": _flag_response(status) for status in _ANY_FLAG}
    _restore_examples(app, document)
    for path, method, operation in operations(document):
        responses = operation["responses"]
        responses.pop("422", None)
        if path.startswith("/v1/"):
            for status in _ANY_READ if method == "get" else _ANY_WRITE:
                responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        elif path.startswith("/ofrep/"):
            for status in _ANY_FLAG:
                responses[str(status)] = {"$ref": f"#/components/responses/FlagFailure{status}"}
        elif path.startswith("/oauth/"):
            for status in (413, 503) if "400" in responses else _ANY_WRITE if method == "post" else ():
                responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        elif path in ("/readyz", "/version"):
            responses["503"] = {"$ref": "#/components/responses/Problem503"}
    return document


def _restore_examples(app: FastAPI, document: dict[str, Any]) -> None:
    """FastAPI drops every null from the document, also from examples, where null is what is meant."""
    for found in iter_route_contexts(app.routes):
        route = found.original_route
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        operation = document["paths"][route.path][next(iter(route.methods or ())).lower()]
        told = {str(status): response.get("content", {}) for status, response in route.responses.items()}
        written = [(operation["responses"][status]["content"], content) for status, content in told.items() if content]
        taken = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
        for shown, content in [*written, *([(operation["requestBody"]["content"], taken)] if taken else [])]:
            for media, described in content.items():
                if "example" in described:
                    shown[media]["example"] = described["example"]


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _problem_response(status: int) -> dict[str, Any]:
    code = {409: "CONFLICT", 412: "VERSION_MOVED", 422: "INVALID"}.get(
        status, problems.PLAIN_CODES.get(status, "REFUSED")
    )
    example = problems.build(status, code, problems.title_of(status) + ".", "0199d0f0c1a27cc0a4c3f1f2b6a7d0ff")
    content = {"schema": {"$ref": _REF.format(model="Problem")}, "example": example}
    described = {"description": problems.title_of(status), "content": {problems.MEDIA_TYPE: content}}
    return described | {429: _LIMITED, 503: _UNAVAILABLE}.get(status, {})


def _flag_response(status: int) -> dict[str, Any]:
    content = {"schema": {"$ref": _REF.format(model="FlagFailure")}, "example": flags.FAILURE_EXAMPLE}
    described = {"description": problems.title_of(status), "content": {"application/json": content}}
    return described | {429: _LIMITED, 503: _UNAVAILABLE}.get(status, {})
