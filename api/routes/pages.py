"""Pages for people: the reference of the API, and where staff types in the code that a new device shows (RFC 8628).

Nothing of a page comes from elsewhere. What it may run and how it may look is named by the digest of its own text, and
no other page may frame it or be told where it was opened.
"""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

DOCS_FILES = "/docs/files"
DEVICE_PAGE = "/device"
_NOWHERE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_ALONE = {
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


def _digests(page: bytes, element: str) -> str:
    inline = re.findall(rb"<%b>(.*?)</%b>" % (element.encode(), element.encode()), page, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for text in inline)


_DOCS = bytes(
    get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="guestprefs",
        swagger_js_url=f"{DOCS_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{DOCS_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{DOCS_FILES}/favicon.png",
    ).body
)
_DOCS_MAY = (
    f"default-src 'none'; script-src 'self' {_digests(_DOCS, 'script')}; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; connect-src 'self'; {_NOWHERE}"
)
_DEVICE = files("api.routes").joinpath("device.html").read_bytes()
# A token is pasted here: no script but this page's own runs, and no text becomes markup.
_DEVICE_MAY = (
    f"default-src 'none'; script-src {_digests(_DEVICE, 'script')}; style-src {_digests(_DEVICE, 'style')}; "
    f"img-src data:; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; {_NOWHERE}"
)


@router.get("/docs")
async def docs() -> Response:
    """The reference as a page; every file of it comes from here."""
    return HTMLResponse(_DOCS, headers=_ALONE | {"content-security-policy": _DOCS_MAY})


@router.get(DEVICE_PAGE)
async def device_page() -> Response:
    """Where staff lets a device in: the page asks for a token of theirs, and calls the API with it."""
    return HTMLResponse(_DEVICE, headers=_ALONE | {"content-security-policy": _DEVICE_MAY, "cache-control": "no-store"})
