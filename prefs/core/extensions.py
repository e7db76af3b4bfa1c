"""An operator's own keys: their written form, and the catalogue that comes of laying them over the standard one.

A record of an extension is `{"area", "definition", "labels", "deleted"}`. A key that was deleted stays as a record, so
that a standard key can be taken away too.
"""

from collections.abc import Mapping
from typing import Any

from prefs.core import values
from prefs.core.catalogue import Area, Catalogue, Definition, Group, Showing
from prefs.core.dictionary import check_pursuits, parse_definition
from prefs.core.errors import CatalogueInvalid
from prefs.core.labels import FALLBACK_LANGUAGE, KeyLabels, Labels

SOURCE = "request"  # what a refusal names in place of a file
AREA_TITLE = "area"
WHOLE = "_"


def extend(standard: Catalogue, version: int, records: Mapping[str, Mapping[str, Any]]) -> Catalogue:
    """The standard catalogue with these records laid over it. Raises CatalogueInvalid."""
    definitions = dict(standard.definitions)
    areas, labels = dict(standard.areas), dict(standard.labels)
    for key, body in sorted(records.items()):
        definitions.pop(key, None)
        if body.get("deleted"):
            continue
        definition = read_definition(key, body)
        definitions[key] = definition
        if definition.area not in areas:
            last = max((area.order for area in areas.values()), default=0)
            areas[definition.area] = Area(definition.area, last + 1)
        labels = _labelled(labels, definition, body.get("labels", {}))
    groups = tuple(group for group in (_left(group, definitions) for group in standard.groups) if group)
    return Catalogue(definitions.values(), areas.values(), groups, labels, standard.version + version)


def read_definition(key: str, body: Mapping[str, Any]) -> Definition:
    """The definition of a record's body. Raises CatalogueInvalid."""
    area = body.get("area")
    if not isinstance(area, str) or not values.clean_text(area) or not 1 <= len(area) <= 40:
        raise CatalogueInvalid(SOURCE, key, "area", "must be a text of 1 to 40 characters")
    raw = body.get("definition")
    if not isinstance(raw, Mapping):
        raise CatalogueInvalid(SOURCE, key, "definition", "must be an object")
    return parse_definition(SOURCE, key, area, raw)


def check(current: Catalogue, key: str, body: Mapping[str, Any]) -> Definition:
    """A record before it is put: definition and labels are whole. Raises CatalogueInvalid.

    References between keys are checked on the catalogue that would come of it, not here."""
    definition = read_definition(key, body)
    check_pursuits(SOURCE, definition)
    labels = body.get("labels")
    if not isinstance(labels, Mapping) or FALLBACK_LANGUAGE not in labels:
        raise CatalogueInvalid(SOURCE, key, "labels", "must hold at least the language en")
    for language, written in labels.items():
        if language not in current.labels:
            known = ", ".join(current.labels)
            raise CatalogueInvalid(SOURCE, key, f"labels.{str(language)[:40]}", f"must be one of {known}")
        _check_labels(definition, language, written)
    if definition.area not in current.areas and not labels[FALLBACK_LANGUAGE].get(AREA_TITLE):
        raise CatalogueInvalid(SOURCE, key, "labels.en.area", "is missing: the area is new and needs a title")
    return definition


def _check_labels(definition: Definition, language: str, written: object) -> None:
    def refuse(field: str, reason: str) -> CatalogueInvalid:
        return CatalogueInvalid(SOURCE, definition.key, f"labels.{language}{field}", reason)

    if not isinstance(written, Mapping):
        raise refuse("", "must be an object")
    known = {"title", "help", AREA_TITLE, "review", "choices", "fields", "actions"}
    for unknown in sorted(str(name) for name in set(written) - known):
        raise refuse(f".{unknown[:40]}", "is not a label of a key")
    for name in ("title", "help"):
        if not _is_text(written.get(name)):
            raise refuse(f".{name}", "is missing")
    for name in (AREA_TITLE, "review"):
        if name in written and not _is_text(written[name]):
            raise refuse(f".{name}", "must be a text")
    choices = {choice for _, choice in values.choices(definition.kind)}
    for section in ("choices", "fields", "actions"):
        table = written.get(section, {})
        if not isinstance(table, Mapping) or not all(_is_text(text) for text in table.values()):
            raise refuse(f".{section}", "must be an object of texts")
        for unknown in sorted(set(table) - choices) if section == "choices" else ():
            raise refuse(f".choices.{unknown[:40]}", "is not a choice of this key")
    for missing in sorted(choices - set(written.get("choices", {}))):
        raise refuse(f".choices.{missing}", "is missing")
    acts = Showing.ACTION in definition.surfaces.values()
    if acts and WHOLE not in written.get("actions", {}):
        raise refuse(f".actions.{WHOLE}", "is missing: a surface shows this key as an action")


def _is_text(raw: object) -> bool:
    return isinstance(raw, str) and bool(raw.strip()) and len(raw) <= 500 and values.clean_text(raw)


def _labelled(labels: Mapping[str, Labels], definition: Definition, written: Any) -> dict[str, Labels]:
    """Every language gets words for the key: its own, else the English ones."""
    english = written.get(FALLBACK_LANGUAGE, {})
    laid = {}
    for language, known in labels.items():
        words = written.get(language, english)
        review = "source" if language == FALLBACK_LANGUAGE else "machine"
        key_labels = KeyLabels(
            words.get("title", definition.key),
            words.get("help", ""),
            words.get("choices", {}),
            words.get("fields", {}),
            words.get("actions", {}),
            words.get("review", review),
        )
        title = words.get(AREA_TITLE) or english.get(AREA_TITLE)
        areas = {definition.area: title} if title and definition.area not in known.areas else {}
        laid[language] = known.with_keys(Labels(language, areas=areas, keys={definition.key: key_labels}))
    return laid


def _left(group: Group, definitions: Mapping[str, Definition]) -> Group | None:
    """A group without members whose key is gone; None where it can no longer be crowded."""
    members = tuple(member for member in group.members if member.partition("=")[0] in definitions)
    if len(members) <= group.maximum:
        return None
    return Group(group.id, members, group.maximum, group.reason)
