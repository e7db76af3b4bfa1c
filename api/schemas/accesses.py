"""Shapes of the access log: who saw what of a guest, never the values."""

from typing import Any, NotRequired, TypedDict

from pydantic import ConfigDict, with_config

FORBID = ConfigDict(extra="forbid")


@with_config(FORBID)
class Reader(TypedDict):
    """Staff and devices by role and property, never by name."""

    role: str
    property: NotRequired[str]


@with_config(FORBID)
class SeenKey(TypedDict):
    key: str
    label: str


@with_config(FORBID)
class Access(TypedDict):
    """One read (`read`, `shown`), or one administrative act as it began and as it ended."""

    at: str
    act: str
    outcome: str
    who: Reader
    surface: str
    purposes: list[str]
    keys: list[SeenKey]
    version: NotRequired[int]


@with_config(FORBID)
class AccessLog(TypedDict):
    accesses: list[Access]
    next_cursor: str | None


ACCESS_LOG_EXAMPLE: dict[str, Any] = {
    "accesses": [
        {
            "at": "2026-11-22T18:04:11Z",
            "act": "read",
            "outcome": "shown",
            "who": {"role": "staff", "property": "dallas"},
            "surface": "food",
            "purposes": ["food_safety"],
            "keys": [{"key": "food.allergens", "label": "Food allergies"}],
            "version": 12,
        }
    ],
    "next_cursor": None,
}
