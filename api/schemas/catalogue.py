"""Shapes of the catalogue: definitions with labels in one language, and what an operator may add to it."""

from typing import Any, NotRequired, TypedDict

from pydantic import with_config

from api.schemas.preferences import FORBID


@with_config(FORBID)
class Area(TypedDict):
    id: str
    title: str
    order: int


class CataloguedDefinition(TypedDict):
    """One key with all that a client needs to draw its editor; members beyond these depend on the kind of value."""

    key: str
    area: str
    order: int
    title: str
    help: str


@with_config(FORBID)
class Catalogue(TypedDict):
    """Grouped by area and ordered, in the language matched from Accept-Language."""

    version: int
    language: str
    direction: str
    areas: list[Area]
    definitions: list[CataloguedDefinition]
    strengths: NotRequired[dict[str, str]]
    groups: NotRequired[list[dict[str, Any]]]


class CatalogueChange(TypedDict):
    """What became of a change to the catalogue: done, or planned with the counts of stored entries it would touch."""

    key: str


DEFINITION_SCHEMA: dict[str, Any] = {
    "title": "DefinitionPut",
    "description": "A definition in the shape of the standard catalogue, with labels; English titles are required.",
    "type": "object",
    "properties": {
        "area": {"type": "string"},
        "definition": {"type": "object"},
        "labels": {"type": "object", "additionalProperties": {"type": "object"}},
        "rename_from": {"type": "string"},
        "deprecated_by": {"type": "string"},
    },
    "required": ["area", "definition", "labels"],
    "additionalProperties": False,
}
DEFINITION_EXAMPLE: dict[str, Any] = {
    "area": "arrival",
    "definition": {
        "kind": {"type": "choice", "choices": ["garden", "roof", "lobby"]},
        "scopes": ["profile", "property", "stay"],
        "strengths": ["preferred", "no_preference"],
        "sensitivity": "P0",
        "purpose": "service_delivery",
        "surfaces": {"guest_app": "value", "front_desk": "value"},
        "merge": "replace",
        "retention": "profile",
    },
    "labels": {
        "en": {
            "title": "Where to have the welcome drink",
            "help": "Served within ten minutes of arrival.",
            "choices": {"garden": "Garden", "roof": "Roof terrace", "lobby": "Lobby"},
        }
    },
}
CATALOGUE_EXAMPLE: dict[str, Any] = {
    "version": 1,
    "language": "en",
    "direction": "ltr",
    "areas": [{"id": "climate", "title": "Temperature and air", "order": 1}],
    "definitions": [
        {
            "key": "climate.temperature.occupied",
            "area": "climate",
            "order": 1,
            "title": "Room temperature",
            "help": "The temperature while you are in the room.",
        }
    ],
}
CHANGE_EXAMPLE: dict[str, Any] = {"key": "lumen.arrival.welcome_drink_place"}
