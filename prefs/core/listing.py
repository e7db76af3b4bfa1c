"""The catalogue as an editor needs it: every key with its words in one language and the shape of its value, as JSON."""

from typing import Any

from prefs.core.catalogue import Catalogue, Definition
from prefs.core.entries import AXES, ScopeKind, Strength
from prefs.core.labels import KeyLabels, Labels
from prefs.core.values import Choice, Flag, Integer, Kind, Object, Quantity, Sequence, Text

UNLABELLED = KeyLabels("", "")


def list_catalogue(catalogue: Catalogue, labels: Labels, surface: str = "") -> dict[str, Any]:
    """All definitions, grouped by area and ordered; with `surface` only those it may see anything of."""
    definitions = catalogue.visible_to(surface) if surface else tuple(catalogue)
    used = {definition.area for definition in definitions}
    areas = sorted((area for area in catalogue.areas.values() if area.id in used), key=lambda area: area.order)
    return {
        "version": catalogue.version,
        "language": labels.language,
        "direction": labels.direction,
        "languages": [{"language": one.language, "name": one.name} for one in catalogue.labels.values()],
        "areas": [{"id": area.id, "title": labels.areas.get(area.id, area.id), "order": area.order} for area in areas],
        "strengths": {strength.value: labels.strengths.get(strength.value, strength.value) for strength in Strength},
        "contexts": {axis: list(words) for axis, words in AXES.items()},
        "groups": [
            {"id": group.id, "members": list(group.members), "max": group.maximum, "reason": group.reason}
            for group in catalogue.groups
        ],
        "definitions": [show_definition(definition, labels) for definition in definitions],
    }


def show_definition(definition: Definition, labels: Labels) -> dict[str, Any]:
    words = labels.keys.get(definition.key, UNLABELLED)
    shown: dict[str, Any] = {
        "key": definition.key,
        "area": definition.area,
        "order": definition.order,
        "title": words.title or definition.key,
        "help": words.help,
        "review": words.review,
        "value": show_kind(definition.kind, words),
        "merge": definition.merge.value,
        "scopes": [kind.value for kind in ScopeKind if kind in definition.scopes],
        "contexts": list(definition.contexts),
        "strengths": [strength.value for strength in Strength if strength in definition.strengths],
        "sensitivity": definition.sensitivity.value,
        "purpose": definition.purpose,
        "surfaces": {surface: showing.value for surface, showing in definition.surfaces.items()},
        "default": None if definition.default is None else definition.kind.show(definition.default),
        "clamp": definition.clamp.value,
        "retention": definition.retention,
    }
    if definition.purposes:
        shown["purposes"] = dict(definition.purposes)
    if definition.fixed_strength:
        shown["fixed_strength"] = definition.fixed_strength.value
    if definition.special_when:
        strengths = [s.value for s in Strength if s in definition.special_when.strengths]
        shown["special_when"] = {"strengths": strengths, "values": sorted(definition.special_when.values)}
    if definition.stands_for:
        stands = definition.stands_for
        shown["stands_for"] = {"key": stands.key, "time_of_day": stands.time_of_day}
    if definition.capability:
        shown["capability"] = {"name": definition.capability.name, "source": definition.capability.source}
    if definition.strictest_order:
        shown["strictest_order"] = list(definition.strictest_order)
    if definition.codes:
        shown["codes"] = list(definition.codes)
    if definition.deprecated_by:
        shown["deprecated_by"] = definition.deprecated_by
    return shown


def show_kind(kind: Kind, words: KeyLabels) -> dict[str, Any]:
    """The shape of a value, with the numbers as they are shown and a word for everything a guest can pick."""
    shown: dict[str, Any] = {"kind": kind.name}
    match kind:
        case Quantity():
            step = float(kind.resolution) if kind.resolution.denominator > 1 else int(kind.resolution)
            shown |= {"unit": kind.unit, "accepts": list(kind.accepts), "step": step}
            shown |= {"min": kind.show(kind.minimum), "max": kind.show(kind.maximum)}
        case Integer():
            shown |= {"min": kind.minimum, "max": kind.maximum}
        case Choice():
            shown["choices"] = [{"id": one, "label": words.choices.get(one, one)} for one in kind.choices]
        case Text():
            shown["max_length"] = kind.max_length
        case Object():
            shown["fields"] = [
                {
                    "name": name,
                    "label": words.fields.get(name, name),
                    "optional": name in kind.optional,
                    "value": show_kind(part, words),
                }
                for name, part in kind.fields.items()
            ]
        case Sequence():
            shown |= {"items": show_kind(kind.items, words), "max_items": kind.max_items}
            if kind.id_field:
                shown["id"] = kind.id_field
            if kind.exclusive:
                shown["exclusive"] = [sorted(group) for group in kind.exclusive]
        case Flag():
            pass
    return shown
