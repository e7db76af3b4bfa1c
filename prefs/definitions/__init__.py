"""The standard catalogue as data, and the loader that refuses it when a file is wrong.

One TOML file an area holds the definitions, `groups.toml` what cannot stand together, `labels/` the words in one file a
language. Everything is checked at load: a refusal names file, key, field and reason, since whoever edits these files
is a hotel person with a text editor, not a debugger.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from prefs.core.catalogue import Area, Catalogue, Definition
from prefs.core.dictionary import check_pursuits, check_references, parse_definition, parse_groups
from prefs.core.errors import CatalogueInvalid
from prefs.core.labels import Labels
from prefs.definitions.wording import check_labels, parse_labels

GROUPS = "groups.toml"
LABELS = "labels"


def load_standard() -> Catalogue:
    """The catalogue that ships with the service."""
    return load_folder(files(__name__))


def load_folder(folder: Traversable) -> Catalogue:
    """A catalogue from a folder of the same layout. Raises CatalogueInvalid."""
    areas: list[Area] = []
    definitions: dict[str, Definition] = {}
    homes: dict[str, str] = {}  # key -> file, to name both when a key comes twice
    for source in _toml_files(folder):
        if source.name == GROUPS:
            continue
        area, found = _read_area(source)
        if area.id in {known.id for known in areas}:
            raise CatalogueInvalid(source.name, "", "area.id", f"{area.id} is already the area of another file")
        areas.append(area)
        for definition in found:
            if definition.key in homes:
                reason = f"is already defined in {homes[definition.key]}"
                raise CatalogueInvalid(source.name, definition.key, "key", reason)
            check_pursuits(source.name, definition)
            homes[definition.key] = source.name
            definitions[definition.key] = definition
    _check_references(definitions, homes)
    groups_file = folder / GROUPS
    groups = parse_groups(GROUPS, _read(groups_file), definitions) if groups_file.is_file() else ()
    labels = _read_labels(folder / LABELS, [area.id for area in areas], definitions)
    return Catalogue(definitions.values(), areas, groups, labels)


def _read_area(source: Traversable) -> tuple[Area, list[Definition]]:
    raw = _read(source)
    for unknown in sorted(set(raw) - {"area", "definitions"}):
        raise CatalogueInvalid(source.name, "", unknown, "is not a table of a definition file")
    table = raw.get("area")
    if not isinstance(table, dict):
        raise CatalogueInvalid(source.name, "", "area", "is missing")
    for field, kind in (("id", str), ("order", int)):
        if type(table.get(field)) is not kind:
            raise CatalogueInvalid(source.name, "", f"area.{field}", f"must be a {kind.__name__}")
    written = raw.get("definitions", {})
    if not isinstance(written, dict):
        raise CatalogueInvalid(source.name, "", "definitions", "must be a table")
    area = Area(table["id"], table["order"])
    return area, [parse_definition(source.name, key, area.id, body) for key, body in written.items()]


def _check_references(definitions: Mapping[str, Definition], homes: Mapping[str, str]) -> None:
    try:
        check_references("", definitions.values())
    except CatalogueInvalid as error:
        raise CatalogueInvalid(homes[error.key], error.key, error.field, error.reason) from None


def _read_labels(folder: Traversable, areas: list[str], definitions: Mapping[str, Definition]) -> dict[str, Labels]:
    labels: dict[str, Labels] = {}
    if not folder.is_dir():
        return labels
    for source in _toml_files(folder):
        file = f"{LABELS}/{source.name}"
        found = parse_labels(file, _read(source, file))
        if source.name != f"{found.language}.toml":
            raise CatalogueInvalid(file, "", "meta.language", f"{found.language} does not match the name of the file")
        check_labels(file, found, areas, definitions)
        labels[found.language] = found
    return labels


def _toml_files(folder: Traversable) -> list[Traversable]:
    return sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)


def _read(source: Traversable, name: str = "") -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise CatalogueInvalid(name or source.name, "", "", f"is not UTF-8: {error.reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise CatalogueInvalid(name or source.name, "", "", f"is not TOML: {error}") from None
