"""Kinds of field that several resources share: ids, times, names, the closed vocabularies of the query."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from prefs.core.values import clean_text

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
GUEST_PATTERN = r"^gst_[0-9a-f]{32}$"
YEARS = (2000, 2199)  # window arithmetic stays far from the ends of the calendar
NAME_LENGTH_MAX = 120

_RFC3339 = re.compile(r"(\d{4})-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def moment(raw: Any) -> datetime:
    """RFC 3339 and nothing looser: a number or a local time would be a guess."""
    found = _RFC3339.fullmatch(raw) if isinstance(raw, str) else None
    if not found or not YEARS[0] <= int(found[1]) <= YEARS[1]:
        raise ValueError(f"must be a time as 2026-07-01T15:00:00Z, with a zone, between {YEARS[0]} and {YEARS[1]}")
    return datetime.fromisoformat(raw.upper()).astimezone(UTC)


def clean(text: str) -> str:
    if not clean_text(text):
        raise ValueError("must not contain control characters or broken Unicode")
    return text


Moment = Annotated[
    datetime,
    BeforeValidator(moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-07-01T15:00:00Z"]}),
]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Name = Annotated[str, StringConstraints(max_length=NAME_LENGTH_MAX), AfterValidator(clean)]
System = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
ExternalId = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x20\x7f/](?:[^\x00-\x1f\x7f/]{0,126}[^\x00-\x20\x7f/])?$")
]

Trip = Literal["business", "leisure", "group"]
PartyAxis = Literal["alone", "partner", "children"]
Strength = Literal["required", "preferred", "avoid", "unacceptable", "no_preference"]
StayStatus = Literal["booked", "in_house", "checked_out", "cancelled"]
