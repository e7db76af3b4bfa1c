"""What routes are given: the house, the caller, the body, and the headers that steer a write. All of it async."""

import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.exceptions import HTTPException

from api.auth import Verifier
from api.dpop import PROVED, Proof
from api.schemas import strict_json
from api.schemas.bodies import Body, read_as
from prefs.core import access
from prefs.core.callers import Caller
from prefs.core.errors import Fault, InvalidEdit, Unauthenticated, Unavailable
from prefs.ports import Once, Traced
from prefs.services.accesses import Accesses
from prefs.services.changes import Changes
from prefs.services.consents import Consents
from prefs.services.corrections import Corrections
from prefs.services.definitions import Definitions
from prefs.services.devices import Devices
from prefs.services.erasure import Erasure
from prefs.services.export import Export
from prefs.services.guests import Guests
from prefs.services.invitations import Invitations
from prefs.services.links import StayLinks
from prefs.services.preferences import Preferences
from prefs.services.properties import Properties
from prefs.services.revocations import Revocations
from prefs.services.stays import Stays
from prefs.services.webhooks import Webhooks

BODY_TYPES = ("application/json", "application/merge-patch+json")
FAULTS_MAX = 50  # named in one answer; a body or query full of them must not make an answer many times as long
LANGUAGE_LENGTH_MAX = 200
VERSION_DIGITS_MAX = 15

_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT (RFC 9068)",
    scheme_name="bearer",
    description="An access token: `typ` at+jwt, with `role`, `surface` and, where the role needs them, `properties`.",
)
IF_MATCH = re.compile(r'(?:W/)?"(\d{1,15})(?:\.[0-9a-f]{1,64})?"')


async def get_house(request: Request) -> Any:
    """The services, once the lifespan has opened them."""
    house = getattr(request.app.state, "house", None)
    if house is None:
        raise Unavailable("The service is still starting.")
    return house


House = Annotated[Any, Depends(get_house)]


async def get_preferences(house: House) -> Preferences:
    return house.preferences  # type: ignore[no-any-return]


async def get_guests(house: House) -> Guests:
    return house.guests  # type: ignore[no-any-return]


async def get_consents(house: House) -> Consents:
    return house.consents  # type: ignore[no-any-return]


async def get_invitations(house: House) -> Invitations:
    return house.invitations  # type: ignore[no-any-return]


async def get_stays(house: House) -> Stays:
    return house.stays  # type: ignore[no-any-return]


async def get_properties(house: House) -> Properties:
    return house.properties  # type: ignore[no-any-return]


async def get_accesses(house: House) -> Accesses:
    return house.accesses  # type: ignore[no-any-return]


async def get_definitions(house: House) -> Definitions:
    return house.definitions  # type: ignore[no-any-return]


async def get_devices(house: House) -> Devices:
    return house.devices  # type: ignore[no-any-return]


async def get_links(house: House) -> StayLinks:
    return house.links  # type: ignore[no-any-return]


async def get_revocations(house: House) -> Revocations:
    return house.revocations  # type: ignore[no-any-return]


async def get_corrections(house: House) -> Corrections:
    return house.corrections  # type: ignore[no-any-return]


async def get_erasure(house: House) -> Erasure:
    return house.erasure  # type: ignore[no-any-return]


async def get_export(house: House) -> Export:
    return house.export  # type: ignore[no-any-return]


async def get_changes_of(house: House) -> Changes:
    return house.changes  # type: ignore[no-any-return]


async def get_webhooks(house: House) -> Webhooks:
    return house.webhooks  # type: ignore[no-any-return]


async def get_caller(
    request: Request, house: House, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    verifier: Verifier = request.app.state.verifier
    proof, token = None, given.credentials if given else ""
    if given is None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "dpop" or not token:
            raise Unauthenticated("A bearer token is required.")
        proof = proof_of(request)
    proved = PROVED in request.scope
    try:
        caller = await verifier.admit(token, house.clock.now(), proof, proved=proved)
    except Unauthenticated:
        if not await verifier.learn(token):
            raise
        caller = await verifier.admit(token, house.clock.now(), proof, proved=proved)
    request.app.state.allowance.admit(request.scope, caller)
    return caller


def standing_of(request: Request, house: Any) -> Callable[[], None]:
    """What a long answer asks before it says more: raises Unauthenticated once the token has ended or is revoked."""
    verifier: Verifier = request.app.state.verifier
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    proof = proof_of(request) if scheme.lower() == "dpop" else None

    def still() -> None:
        verifier.check(token.strip(), house.clock.now(), proof)

    return still


def proof_of(request: Request) -> Proof:
    """The one proof of a request (RFC 9449). Raises Unauthenticated for none or several."""
    given = request.headers.getlist("dpop")
    if len(given) != 1:
        raise Unauthenticated("The scheme DPoP takes one proof, in the header DPoP.")
    return Proof(given[0], request.method, address_of(request))


def address_of(request: Request) -> str:
    """The address that a client asked, without its query, as it has to name it itself."""
    # Never by `request.url`: the standard library remembers addresses that it took apart, and people are named in them.
    return base_of(request) + str(request.scope["path"])


def base_of(request: Request) -> str:
    """Where the service is reached: as it was told, else as the request says."""
    told: str = request.app.state.public_url
    return told or f"{request.scope['scheme']}://{request.headers.get('host', '')}"


async def get_language(request: Request) -> str:
    return request.headers.get("accept-language", "")[:LANGUAGE_LENGTH_MAX]


def _query_names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _query_names(inner)


async def refuse_unknown_parameters(request: Request) -> None:
    """A misspelt parameter must not quietly widen an answer; one given twice has no meaning here."""
    if not request.scope["query_string"]:
        return
    known = set(_query_names(request.scope["route"].dependant))
    times = Counter(name for name, _ in request.query_params.multi_items())  # in one pass, however many there are
    found = [
        {"type": "unknown", "loc": ("query", name[:80]), "msg": "is not a parameter of this call", "code": code}
        for name, code in ((n, "UNKNOWN_PARAMETER") for n in islice((n for n in times if n not in known), FAULTS_MAX))
    ]
    found += [
        {"type": "twice", "loc": ("query", name), "msg": "is given twice", "code": "DUPLICATE_PARAMETER"}
        for name in sorted(n for n in times if n in known and times[n] > 1)
    ]
    if found:
        raise RequestValidationError(found)


async def read_body(request: Request) -> Any:
    """The body as plain data; raises 415 for another type, InvalidEdit for what strict JSON does not allow."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if media.strip().lower() not in BODY_TYPES or charset not in ("", "utf-8"):
        raise HTTPException(415, "The body must be application/json in UTF-8.")
    return strict_json.read(await request.body())


async def read_object(data: Annotated[Any, Depends(read_body)]) -> dict[str, Any]:
    """A body whose members a core module judges one by one."""
    return object_of(data)


def object_of(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidEdit([Fault("", "WRONG_TYPE", "the body must be an object")])
    return data


def body_of[T: Body](model: type[T]) -> Callable[..., Awaitable[T]]:
    async def parsed(data: Annotated[Any, Depends(read_body)]) -> T:
        return read_as(model, data)

    return parsed


def optional_body_of[T: Body](model: type[T]) -> Callable[..., Awaitable[T]]:
    async def parsed(request: Request) -> T:
        given = await request.body()
        return read_as(model, await read_body(request) if given else {})

    return parsed


async def get_once(
    request: Request,
    caller: Annotated[Caller, Depends(get_caller)],
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="The same key with the same request is done once; kept 24 hours.",
        ),
    ] = None,
) -> Once | None:
    if key is None:
        return None
    scope = request.scope
    return once_of(caller, key, request.method, scope["path"], scope["query_string"], await request.body())


def once_of(caller: Caller, key: str, method: str, path: str, query: bytes, body: bytes) -> Once:
    said = hashlib.sha256()
    for part in (method.encode(), path.encode(), query):
        said.update(len(part).to_bytes(4) + part)
    said.update(body)
    # An answer that is kept is told again to whoever would get the same answer anew: the same sight of the same guest.
    who = f"{access.standing(caller).value}:{caller.subject}@{caller.surface}/{caller.stay}"
    return Once(who, key, said.hexdigest())


async def get_if_match(
    header: Annotated[
        str | None,
        Header(alias="If-Match", description='An ETag of the document, `"43.5f…"`: only its version is compared.'),
    ] = None,
) -> int | None:
    if header is None or header.strip() == "*":
        return None
    found = IF_MATCH.fullmatch(header.strip())
    if not found:
        msg = 'must be one ETag as "43.5f2c", or *'
        raise RequestValidationError(
            [{"type": "etag", "loc": ("header", "If-Match"), "msg": msg, "code": "BAD_FORMAT"}]
        )
    return int(found[1])


async def get_base_version(
    header: Annotated[
        str | None,
        Header(
            alias="Preferences-Base-Version",
            pattern=r"^[0-9]{1,15}$",
            description="The version an edit started from: refused only if a key it touches changed since.",
        ),
    ] = None,
) -> int | None:
    return None if header is None else int(header)


async def get_keys(
    keys: Annotated[
        str | None,
        Query(
            max_length=8000,
            pattern=r"^[a-z0-9_.]+(,[a-z0-9_.]+)*$",
            description="Keys to answer, separated by commas; one without a value is answered with status `default`.",
            examples=["climate.temperature.occupied,tv.favorite_channels"],
        ),
    ] = None,
) -> list[str] | None:
    return None if keys is None else list(dict.fromkeys(keys.split(",")))


async def get_reads(
    request: Request,
    house: House,
    min_version: Annotated[
        str | None,
        Header(
            alias="Preferences-Min-Version",
            pattern=r"^[0-9]{1,15}$",
            description="A version of this guest that the caller knows: no older copy is answered. (`Cache-Control: "
            "no-cache` goes past every copy in the answering process.)",
        ),
    ] = None,
) -> Traced | None:
    """Reads for this request as fresh as it wants them; None where the store has no tiers and is always fresh."""
    if house.tiers is None:
        return None
    reads: Traced = house.tiers.reading(linearizable=goes_past_copies(request), min_version=int(min_version or 0))
    return reads


def goes_past_copies(request: Request) -> bool:
    """Whether the caller wants no copy of this process, which may be 200 ms old."""
    directives = request.headers.get("cache-control", "").lower().split(",")
    return any(directive.strip() in ("no-cache", "max-age=0") for directive in directives)


CallerDep = Annotated[Caller, Depends(get_caller)]
LanguageDep = Annotated[str, Depends(get_language)]
OnceDep = Annotated[Once | None, Depends(get_once)]
IfMatchDep = Annotated[int | None, Depends(get_if_match)]
ReadsDep = Annotated[Traced | None, Depends(get_reads)]
BaseVersionDep = Annotated[int | None, Depends(get_base_version)]
KeysDep = Annotated[list[str] | None, Depends(get_keys)]
ObjectDep = Annotated[dict[str, Any], Depends(read_object)]
PreferencesDep = Annotated[Preferences, Depends(get_preferences)]
GuestsDep = Annotated[Guests, Depends(get_guests)]
ConsentsDep = Annotated[Consents, Depends(get_consents)]
InvitationsDep = Annotated[Invitations, Depends(get_invitations)]
StaysDep = Annotated[Stays, Depends(get_stays)]
PropertiesDep = Annotated[Properties, Depends(get_properties)]
ChangesDep = Annotated[Changes, Depends(get_changes_of)]
AccessesDep = Annotated[Accesses, Depends(get_accesses)]
CorrectionsDep = Annotated[Corrections, Depends(get_corrections)]
ErasureDep = Annotated[Erasure, Depends(get_erasure)]
ExportDep = Annotated[Export, Depends(get_export)]
DefinitionsDep = Annotated[Definitions, Depends(get_definitions)]
DevicesDep = Annotated[Devices, Depends(get_devices)]
LinksDep = Annotated[StayLinks, Depends(get_links)]
RevocationsDep = Annotated[Revocations, Depends(get_revocations)]
WebhooksDep = Annotated[Webhooks, Depends(get_webhooks)]

# Every route under /v1 passes these two first, in this order.
GUARDED = [Depends(get_caller), Depends(refuse_unknown_parameters)]
