"""Where the tree of errors meets HTTP: one table of statuses, and the handlers that write problem documents."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException

from api.schemas import problems
from prefs import telemetry
from prefs.core import errors
from prefs.core.values import escape

STATUSES: Mapping[type[errors.PrefsError], int] = {
    errors.PrefsError: 500,
    errors.Refused: 409,
    errors.InvalidEdit: 422,
    errors.NotFound: 404,
    errors.NotAllowed: 403,
    errors.VersionMoved: 412,
    errors.KeyConflict: 409,
    errors.IdentifierTaken: 409,
    errors.StayTaken: 409,
    errors.LinkUsed: 409,
    errors.KeyReused: 422,
    errors.CatalogueInUse: 409,
    errors.CatalogueInvalid: 422,
    errors.Unauthenticated: 401,
    errors.Unavailable: 503,
    errors.StoreUnavailable: 503,
    errors.LedgerUnavailable: 503,
    errors.SchemaOutdated: 503,
    errors.Sealed: 503,
    errors.WrappingKeyMissing: 503,
}

STATUS_BY_CODE: Mapping[str, int] = {kind.code: status for kind, status in STATUSES.items()}

NOT_FOUND = "There is no such thing here, or it is not yours to see."
_IN_PARAMETERS = {"query", "path", "header", "cookie"}


def problem_of(error: errors.PrefsError, request_id: str) -> dict[str, Any]:
    """The problem document of an error."""
    status = STATUSES[type(error)]
    faults, extra = _particulars(error)
    detail = NOT_FOUND if isinstance(error, errors.NotFound) else str(error) or problems.title_of(status)
    return problems.build(status, error.code, detail, request_id, faults, extra)


def problem_of_item(told: Mapping[str, str], request_id: str) -> dict[str, Any]:
    """The problem document of one guest of a batch, which is told as code and detail."""
    status = STATUS_BY_CODE[told["code"]]
    return problems.build(status, told["code"], NOT_FOUND if status == 404 else told["detail"], request_id)


def _particulars(error: errors.PrefsError) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What this class of error says beyond its sentence: the faults, and members of its own."""
    match error:
        case errors.InvalidEdit():
            return [_shown(fault) for fault in error.faults], _invitations(error)
        case errors.CatalogueInvalid():
            return [{"pointer": _pointer_of(error.field), "code": error.code, "detail": error.reason}], {}
        case errors.VersionMoved():
            fault = {"parameter": "If-Match", "code": error.code, "detail": str(error)}
            return [fault], {"current_version": error.current}
        case errors.KeyReused():
            return [{"parameter": "Idempotency-Key", "code": error.code, "detail": str(error)}], {}
        case errors.KeyConflict():
            names = ("key", "yours", "theirs", "base", "by", "at", "version")
            conflicts = [{name: getattr(conflict, name) for name in names} for conflict in error.conflicts]
            return [], {"conflicts": conflicts, "current_version": error.current}
        case errors.IdentifierTaken():
            return [], {"identifier": {"system": error.system, "id": error.external_id}}
        case errors.CatalogueInUse():
            return [], {"counts": error.counts}
    return [], {}


def _invitations(error: errors.InvalidEdit) -> dict[str, Any]:
    """Where and with what body the caller may invite the guest to consent; nothing for who may not."""
    offered = [
        {
            "method": "POST",
            "href": f"/v1/guests/{one.guest}/consent-invitations",
            "body": {"purpose": one.purpose, "keys": list(one.keys)},
        }
        for one in error.invitable
    ]
    return {"invitations": offered} if offered else {}


def _shown(fault: errors.Fault) -> dict[str, Any]:
    """A pointer starts with a slash or is empty (RFC 6901); anything else names a parameter."""
    place = "pointer" if fault.pointer.startswith("/") or not fault.pointer else "parameter"
    return {place: fault.pointer, "code": fault.code, "detail": fault.detail}


def _pointer_of(field: str) -> str:
    """A field of a definition as the body of a PUT holds it: the catalogue names them as its files do."""
    if not field:
        return ""
    names = [escape(name) for name in field.split(".")]
    in_definition = names[0] not in ("area", "definition", "labels", "deprecated_by")
    return "/" + "/".join(["definition", *names] if in_definition else names)


def _respond(problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    telemetry.PROBLEMS.labels(problem["code"]).inc()
    owed = {**problems.headers_of(problem["status"]), **(headers or {})}
    return Response(problems.encode(problem), problem["status"], owed, problems.MEDIA_TYPE)


def _request_id(request: Request) -> str:
    return str(request.scope.get(problems.REQUEST_ID, ""))


async def on_prefs_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.PrefsError)
    return _respond(problem_of(error, _request_id(request)))


async def on_http_error(request: Request, error: Exception) -> Response:
    """404 and 405 of the router, 413 and 415 of the body reader."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    code = problems.PLAIN_CODES.get(status, "REFUSED" if status < 500 else "INTERNAL")
    detail = NOT_FOUND if status == 404 else error.detail
    problem = problems.build(status, code, detail, _request_id(request))
    return _respond(problem, {"allow": _allowed(request)} if status == 405 else error.headers)


def _allowed(request: Request) -> str:
    """Every method of the path; the router names only those of the first route that matches it."""
    path, methods = request.scope["path"], set[str]()
    for found in iter_route_contexts(request.app.routes):
        route = found.original_route
        if isinstance(route, APIRoute) and route.path_regex.match(path):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


async def on_validation_error(request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with parameters, said in the same shape as our own refusals."""
    assert isinstance(error, RequestValidationError)
    faults = [fault_of(found) for found in error.errors()]
    detail = "; ".join(f"{f.get('parameter') or f.get('pointer')}: {f['detail']}" for f in faults)
    codes = {fault["code"] for fault in faults}
    code = codes.pop() if len(codes) == 1 else "INVALID"
    return _respond(problems.build(422, code, detail, _request_id(request), faults))


_CODES = {
    "missing": "MISSING_PARAMETER",
    "string_pattern_mismatch": "BAD_FORMAT",
    "enum": "UNKNOWN_CHOICE",
    "literal_error": "UNKNOWN_CHOICE",
    "string_too_long": "WRONG_LENGTH",
    "string_too_short": "WRONG_LENGTH",
    "greater_than_equal": "OUT_OF_RANGE",
    "less_than_equal": "OUT_OF_RANGE",
}


def fault_of(found: Mapping[str, Any]) -> dict[str, Any]:
    place, *path = found["loc"]
    code = found.get("code") or _CODES.get(found["type"], "WRONG_TYPE")
    detail = str(found["msg"]).removeprefix("Value error, ")
    if place in _IN_PARAMETERS:
        return {"parameter": str(path[0]) if path else str(place), "code": code, "detail": detail}
    return {"pointer": "".join(f"/{part}" for part in path), "code": code, "detail": detail}


def install(app: FastAPI) -> None:
    app.add_exception_handler(errors.PrefsError, on_prefs_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
