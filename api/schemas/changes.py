"""Shapes of what streams tell, for the document and whoever generates types from it."""

from typing import Any

_EFFECTIVE = "#/components/schemas/EffectivePreferences"
_KEYS = {"type": "array", "items": {"type": "string"}}


def _shape(title: str, says: str, properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "description": says,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


_OF_GUEST: dict[str, Any] = {
    "guest": {"type": "string"},
    "version": {"type": "integer"},
    "valid_until": {"type": "string", "format": "date-time"},
    "preferences": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Preference"}},
    "changed": {**_KEYS, "description": "Keys whose answer is another one than before, or is gone."},
}
_OWED = ["guest", "version", "preferences", "changed"]

SNAPSHOT_SCHEMA = _shape(
    "StreamSnapshot",
    "`snapshot`: what applies now. A large property comes in several; who is in none of them up to the "
    "`complete` one is not there.",
    {
        "property": {"type": "string"},
        "items": {"type": "array", "items": {"$ref": _EFFECTIVE}},
        "complete": {"type": "boolean"},
    },
    ["items", "complete"],
)
CHANGE_SCHEMA = _shape(
    "StreamChange", "`change`: all that applies to a guest now; it replaces what was told before.", _OF_GUEST, _OWED
)
WITHDRAWAL_SCHEMA = _shape(
    "StreamWithdrawal",
    "`consent_withdrawn`: as `change`; what was known for these purposes must be forgotten.",
    {**_OF_GUEST, "purposes": _KEYS},
    [*_OWED, "purposes"],
)
PARTING_SCHEMA = _shape(
    "StreamParting",
    "`erased`: forget this guest for good. `gone`: the guest is none of yours any more.",
    {"guest": {"type": "string"}},
    ["guest"],
)
SHAPES = (SNAPSHOT_SCHEMA, CHANGE_SCHEMA, WITHDRAWAL_SCHEMA, PARTING_SCHEMA)

_SAYS = (
    "Server-sent events, each with JSON as `data`. First `snapshot` (StreamSnapshot), then `change` (StreamChange), "
    "`consent_withdrawn` (StreamWithdrawal), `erased` and `gone` (StreamParting). Comments keep the connection. `id` "
    "is where the stream stands: come back with it as `Last-Event-ID` and nothing is missed, though something may be "
    "told twice. After more than a week, or a thousand changes, the stream says `resync` once and begins anew."
)
_EVENT = _shape(
    "StreamEvent",
    "One event; `data` is one of the other shapes as JSON.",
    {
        "event": {"enum": ["snapshot", "change", "consent_withdrawn", "erased", "gone", "resync"]},
        "id": {"type": "string"},
        "data": {"type": "string"},
        "retry": {"type": "integer"},
    },
    [],
)
_EXAMPLE = {
    "event": "snapshot",
    "id": "AAAAAAAABJEAAAAAAAAAAAAAAAAAAAAAAAAAAGoOr1A=",
    "data": '{"items":[{"guest":"gst_0199d0f0c1a27cc0a4c3f1f2b6a7d0ff","version":2,"preferences":{"room.quiet":{"value"'
    ':true,"strength":"preferred","status":"applied","layer":"stated/profile"}}}],"complete":true}',
}


def described() -> dict[int | str, dict[str, Any]]:
    """`responses` of the operation."""
    content = {"text/event-stream": {"schema": _EVENT, "example": _EXAMPLE}}
    return {200: {"description": _SAYS, "content": content}}
