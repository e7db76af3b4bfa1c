"""Shapes of what those who run the service ask: alive, ready, which build."""

from typing import Any, Literal, TypedDict

from pydantic import with_config

from api.schemas.preferences import FORBID


@with_config(FORBID)
class Alive(TypedDict):
    status: Literal["alive"]


@with_config(FORBID)
class Ready(TypedDict):
    status: Literal["ready"]


@with_config(FORBID)
class Version(TypedDict):
    version: str
    python: str
    catalogue_version: int


VERSION_EXAMPLE: dict[str, Any] = {"version": "0.1.0", "python": "3.13.0", "catalogue_version": 1}
