"""What those who run the service ask: alive, ready, which build, how busy; and the page that documents the API."""

import platform
import re
from base64 import b64encode
from hashlib import sha256
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST

from api.deps import DefinitionsDep, House
from api.schemas import operations as shapes
from api.schemas.document import answers
from prefs import telemetry
from prefs.core.errors import Unavailable

router = APIRouter(tags=["operations"])

BUILD = version("guestprefs")
DOCS_FILES = "/docs/files"


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


def _page_headers(page: bytes) -> dict[str, str]:
    """What keeps a page to itself: it runs what it was sent with and what lies here, and nothing may frame it."""
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    digests = " ".join(f"'sha256-{b64encode(sha256(script).digest()).decode()}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src 'self' {digests}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"content-security-policy": policy, "referrer-policy": "no-referrer"}


_DOCS = bytes(
    get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="guestprefs",
        swagger_js_url=f"{DOCS_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{DOCS_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{DOCS_FILES}/favicon.png",
    ).body
)


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """The reference as a page; every file of it comes from here."""
    return HTMLResponse(_DOCS, headers=_page_headers(_DOCS))
