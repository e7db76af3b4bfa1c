"""What those who run the service ask: alive, ready, which build, and how busy."""

import platform
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.deps import DefinitionsDep, House
from api.schemas import operations as shapes
from api.schemas import rights
from api.schemas.document import answers
from prefs import telemetry
from prefs.core.errors import Unavailable

router = APIRouter(tags=["operations"])

BUILD = version("guestprefs")


@router.get("/livez", response_model=shapes.Alive, responses=answers({"status": "alive"}))
async def livez() -> shapes.Alive:
    """The process turns; nothing below it is asked."""
    return {"status": "alive"}


@router.get("/readyz", response_model=shapes.Ready, responses=answers({"status": "ready"}))
async def readyz(request: Request, house: House) -> shapes.Ready:
    """Able to serve: the store answers, and nobody has asked this process to stop."""
    if request.app.state.draining:
        raise Unavailable("This process is draining; go elsewhere.")
    await house.store.ping()
    return {"status": "ready"}


@router.get("/version", response_model=shapes.Version, responses=answers(shapes.VERSION_EXAMPLE))
async def get_version(definitions: DefinitionsDep) -> shapes.Version:
    """Which build and which catalogue."""
    catalogue = await definitions.current()
    return {"version": BUILD, "python": platform.python_version(), "catalogue_version": catalogue.version}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics() -> Response:
    """Counts and times of this process, for Prometheus."""
    return Response(telemetry.expose(), media_type=CONTENT_TYPE_LATEST)


@router.get("/receipts/keys", response_model=rights.PublicKeys, responses=answers(rights.KEYS_EXAMPLE))
async def get_receipt_keys(house: House) -> Any:
    """The public keys that receipts are verified with, as a JWK set."""
    return house.signer.published()


@router.get("/schemas/guest-export.json", response_model=dict[str, Any], responses=answers({"title": "Export"}))
async def get_export_schema() -> dict[str, Any]:
    """The JSON Schema that an export names in `$schema`."""
    return rights.schema_document("guest-export.json")


@router.get("/schemas/erasure-receipt.json", response_model=dict[str, Any], responses=answers({"title": "Receipt"}))
async def get_receipt_schema() -> dict[str, Any]:
    """The JSON Schema that a receipt of erasure names in `schema`."""
    return rights.schema_document("erasure-receipt.json")
